import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfdeblur.datasets.dead_leaves import dead_leaves_dataset_builder as dead_leaves
from tfdeblur.preparation.dead_leaves import render_pair

TINY = dead_leaves.DeadLeavesConfig(
    name="tiny", description="For tests.", train_pairs=5, test_pairs=2, image_size=64
)


class DeadLeavesTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = dead_leaves.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = (TINY,)
    SPLITS = {"train": 5, "test": 2}  # noqa: RUF012
    EXAMPLE_DIR = dead_leaves.Builder.pkg_dir_path  # There is no dummy data: nothing is read.


@pytest.mark.slow
def test_the_built_pairs_are_those_that_their_seeds_render(tmp_path):
    builder = tfds.builder("dead_leaves", config=TINY, data_dir=tmp_path)
    builder.download_and_prepare()

    for split, seeds in {"train": set(range(5)), "test": {10**9, 10**9 + 1}}.items():
        examples = list(tfds.as_numpy(builder.as_dataset(split=split)))
        assert {int(example["scene"]) for example in examples} == seeds
        for example in examples:
            blurry, sharp, frames = render_pair(int(example["scene"]), size=64)
            np.testing.assert_array_equal(example["blurry"], blurry)
            np.testing.assert_array_equal(example["sharp"], sharp)
            assert example["frames"] == frames


def test_configs_train_and_test_on_different_scenes():
    small, large, uniform = dead_leaves.Builder.BUILDER_CONFIGS
    assert (small.name, small.train_pairs, small.test_pairs) == ("small", 256, 32)
    assert (large.name, large.train_pairs) == ("large", 10_000)
    assert (uniform.name, uniform.uniform) == ("uniform", True)
    assert large.train_pairs <= dead_leaves.FIRST_TEST_SEED


def test_readme_and_citations_are_found():
    metadata = dead_leaves.Builder.get_metadata()
    assert "dead-leaves" in metadata.description
    assert "Matheron" in metadata.citation


if __name__ == "__main__":
    tfds.testing.test_main()
