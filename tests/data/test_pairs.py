"""Which pairs a recipe trains on, chooses by and is tested on."""

import dataclasses
import pathlib
from typing import ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfdeblur import recipes
from tfdeblur.data.pairs import open_pairs
from tfdeblur.evaluation import test_sets as measured_data


class SmallPairs(tfds.core.GeneratorBasedBuilder):
    """As REDS, whose sharp test frames are secret: training and validation pairs."""

    pkg_dir_path = pathlib.Path(__file__).parent
    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(name=name, description=name) for name in ("eight", "hundred")
    ]

    def _info(self):
        image = tfds.features.Image(shape=(4, 4, 3))
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({"blurry": image, "sharp": image}),
            supervised_keys=("blurry", "sharp"),
        )

    def _split_generators(self, dl_manager):
        count = {"eight": 8, "hundred": 100}[self.builder_config.name]
        return {"train": self._generate_examples(count), "validation": self._generate_examples(2)}

    def _generate_examples(self, count):
        image = np.zeros((4, 4, 3), "uint8")
        for key in range(count):
            yield key, {"blurry": image, "sharp": image}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.mark.parametrize(
    ("configs", "counts"),
    [
        (["hundred"], (98, 2, 2)),
        (["eight"], (8, 2, 2)),  # too few to set any apart: chosen by the test pairs
        (["eight", "hundred"], (106, 2, 4)),
    ],
)
def test_a_share_of_each_dataset_that_is_large_enough_is_set_apart(data_dir, configs, counts):
    dataset = "+".join(f"small_pairs/{config}" for config in configs)
    recipe = dataclasses.replace(recipes.QUICKSTART, dataset=dataset, test_split="test")
    pairs = open_pairs(recipe, data_dir)
    assert tuple(part.count for part in pairs) == counts
    assert [len(list(part.encoded)) for part in pairs] == list(counts)


def test_without_test_pairs_the_validation_pairs_are_measured(data_dir):
    recipe = dataclasses.replace(recipes.QUICKSTART, dataset="small_pairs/hundred")
    train, apart, test = open_pairs(recipe, data_dir)
    assert test.name == "small_pairs/hundred/1.0.0 validation"
    assert measured_data.from_pairs(test).dataset == "small_pairs/hundred"
    assert [measured_data.from_pairs(part).dataset for part in (train, apart)] == [None, None]
    data = measured_data.from_tfds("small_pairs/hundred", data_dir=data_dir)
    assert (data.name, data.count) == (test.name, 2)
    assert data.dataset == "small_pairs/hundred"
