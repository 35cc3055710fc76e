"""The form of a TFDS dataset; what GOPRO needs besides is in tests/preparation/test_gopro.py."""

import pathlib

import tensorflow_datasets as tfds

from tfdeblur.datasets.gopro import gopro_dataset_builder as gopro

DUMMY_DATA = pathlib.Path(__file__).parent / "dummy_data"  # by tests/helpers/gopro_stand_in.py
FEW = {"train": {"GOPR0372_07_00": 2, "GOPR0374_11_00": 2}, "test": {"GOPR0384_11_05": 2}}


class GoproTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = gopro.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = tuple(
        gopro.GoproConfig(name=f"few_{blur}", blur=blur, sequences=FEW)
        for blur in ("blur_gamma", "blur")
    )
    SPLITS = {"train": 4, "test": 2}  # noqa: RUF012
    EXAMPLE_DIR = DUMMY_DATA


class SynthesizedGoproTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = gopro.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = (gopro.GoproConfig(name="few_synthesized", sequences=FEW),)
    SPLITS = {"train": 4, "test": 1}  # noqa: RUF012  # the other leaves its recording
    EXAMPLE_DIR = DUMMY_DATA


def test_the_table_holds_the_published_numbers():
    pairs = {split: sum(counts.values()) for split, counts in gopro.SEQUENCES.items()}
    assert pairs == {"train": 2103, "test": 1111}
    assert [len(counts) for counts in gopro.SEQUENCES.values()] == [22, 11]
    assert gopro.Builder.BUILDER_CONFIGS[0].name == "blur_gamma"  # the default


def test_readme_and_citations_are_found():
    metadata = gopro.Builder.get_metadata()
    assert "GOPRO_Large.zip" in metadata.description
    assert "Nah" in metadata.citation


if __name__ == "__main__":
    tfds.testing.test_main()
