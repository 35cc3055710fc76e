"""Dead leaves in motion: pairs of blurry and sharp images that are rendered, not downloaded."""

import dataclasses
import functools
import pathlib
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfdeblur.preparation import dead_leaves
from tfdeblur.preparation.builders import ParallelBuilder

# Training scenes have the seeds from 0, test scenes those from here, in every config: what one
# config tests with, no config trains on.
FIRST_TEST_SEED = 1_000_000_000


@dataclasses.dataclass(kw_only=True)
class DeadLeavesConfig(tfds.core.BuilderConfig):
    """A size of the dataset.

    Attributes:
        train_pairs, test_pairs: number of pairs, each of a scene of its own.
        image_size: height and width in pixels.
        shot_noise, read_noise: of the sensor, see `scenes.add_sensor_noise`. 0 is none.
        uniform: whether one kernel blurs the whole image, in place of moving scenes.
    """

    train_pairs: int
    test_pairs: int
    image_size: int = 256
    shot_noise: float = 0.0
    read_noise: float = 0.0
    uniform: bool = False


class Builder(ParallelBuilder):
    """Renders dead leaves in motion at 240 fps, and averages 7 to 13 frames into a blurry image."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First release."}
    BUILDER_CONFIGS: ClassVar = [
        DeadLeavesConfig(
            name="small",
            description="256 training and 32 test pairs, rendered in about two minutes.",
            train_pairs=256,
            test_pairs=32,
        ),
        DeadLeavesConfig(
            name="large",
            description="10,000 training and 100 test pairs.",
            train_pairs=10_000,
            test_pairs=100,
        ),
        DeadLeavesConfig(
            name="uniform",
            description="As small, each image blurred by one kernel.",
            train_pairs=256,
            test_pairs=32,
            uniform=True,
        ),
    ]
    # TFDS would look for README.md and its companions where the module's name points to; but the
    # folder datasets/ is installed under another name, tfdeblur.datasets.
    pkg_dir_path = pathlib.Path(__file__).parent

    def _info(self):
        size = self.builder_config.image_size
        image = tfds.features.Image(shape=(size, size, 3), dtype=np.uint8, encoding_format="png")
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "blurry": image,
                    "sharp": image,
                    "scene": tfds.features.Scalar(np.int64, doc="The seed of the scene."),
                    "frames": tfds.features.Scalar(np.int64, doc="How many frames are averaged."),
                }
            ),
            supervised_keys=("blurry", "sharp"),
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # There is nothing to download.
        config = self.builder_config
        test_seeds = range(FIRST_TEST_SEED, FIRST_TEST_SEED + config.test_pairs)
        return {
            "train": self._generate_examples(range(config.train_pairs)),
            "test": self._generate_examples(test_seeds),
        }

    def _generate_examples(self, seeds):
        config = self.builder_config
        render = functools.partial(
            _render,
            size=config.image_size,
            shot_noise=config.shot_noise,
            read_noise=config.read_noise,
            uniform=config.uniform,
        )
        return self.examples(render, seeds)


def _render(seed, **options):
    blurry, sharp, frames = dead_leaves.render_pair(seed, **options)
    return seed, {"blurry": blurry, "sharp": sharp, "scene": seed, "frames": frames}
