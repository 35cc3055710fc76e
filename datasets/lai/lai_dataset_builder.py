"""Lai: the images of a comparative study: real photographs, and synthetic blur of two kinds."""

import dataclasses
import itertools
import pathlib
import re
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfdeblur.preparation import archives, builders

REAL = re.compile(r"real_dataset/([^/]+)\.(?:jpg|png)")
# The folder of the blurry images, and what the files' names call the blur.
BLURRY = {
    "uniform": re.compile(r"uniform/([a-z]+_\d+)_kernel_(\d+)\.png"),
    "nonuniform": re.compile(r"nonuniform/([a-z]+_\d+)_gyro_(\d+)\.png"),
}
SHARP = re.compile(r"ground_truth/([a-z]+_\d+)\.png")


@dataclasses.dataclass(kw_only=True)
class LaiConfig(tfds.core.BuilderConfig):
    """One of the study's three datasets.

    Attributes:
        blur: "real", "uniform" or "nonuniform".
        images: number of blurry images.
    """

    blur: str
    images: int = 100


class Builder(builders.ParallelBuilder):
    """Reads the two archives of the study."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First release."}
    BUILDER_CONFIGS: ClassVar = [
        LaiConfig(name="real", description="Real photographs, no ground truth.", blur="real"),
        LaiConfig(
            name="uniform",
            description="25 images, each convolved with 4 kernels, with noise.",
            blur="uniform",
        ),
        LaiConfig(
            name="nonuniform",
            description="25 images, each blurred by 4 recorded camera movements, with noise.",
            blur="nonuniform",
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put the real and the synthetic dataset's zip file of "
        "http://vllab1.ucmerced.edu/~wlai24/cvpr16_deblur_study/ or the extracted folders "
        "real_dataset and synthetic_dataset there."
    )
    pkg_dir_path = pathlib.Path(__file__).parent  # see dead_leaves

    def _info(self):
        if self.builder_config.blur == "real":
            features = {
                "blurry": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                "name": tfds.features.Text(doc="The name of the file, without suffix."),
            }
            supervised_keys = None
        else:
            features = {
                "blurry": builders.png(),
                "sharp": builders.png(),
                "name": tfds.features.Text(doc="Of the sharp image, such as manmade_01."),
                "kernel": tfds.features.Scalar(np.int64, doc="The number of the blur, 1 to 4."),
            }
            supervised_keys = ("blurry", "sharp")
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            supervised_keys=supervised_keys,
            homepage="http://vllab1.ucmerced.edu/~wlai24/cvpr16_deblur_study/",
        )

    def _split_generators(self, dl_manager):
        config = self.builder_config
        if config.blur == "real":
            name, pattern = "real_dataset", REAL
        else:
            name, pattern = "synthetic_dataset", BLURRY[config.blur]
        names = name, f"cvpr16_deblur_study_{name}"
        blurry = builders.find_manually(dl_manager, pattern, *names)
        if not blurry:
            raise builders.not_found(self, dl_manager)
        if config.blur == "real":
            builders.check_count(blurry, config.images, "Lai's real photographs")
            return {"test": self.examples(_read_photograph, blurry.items())}
        sharp = builders.find_manually(dl_manager, SHARP, *names)
        return {"test": self._generate_examples(blurry, sharp)}

    def _generate_examples(self, blurry, sharp):
        config = self.builder_config
        names, kernels = (sorted(set(part)) for part in zip(*blurry, strict=True))
        builders.select(blurry, itertools.product(names, kernels), f"Lai's {config.blur} images")
        builders.check_count(blurry, config.images, f"Lai's {config.blur} images")
        sharp = builders.select(sharp, [(name,) for name in names], "Lai's ground_truth images")
        return self.examples(
            _read_pair, [(key, file, sharp[key[:1]]) for key, file in blurry.items()]
        )


def _read_photograph(job):
    (name,), file = job
    content, _ = file.read_image()
    return name, {"blurry": content, "name": name}


def _read_pair(job):
    (name, kernel), blurry, sharp = job
    return f"{name}_{kernel}", {
        **archives.read_pair(blurry, sharp),
        "name": name,
        "kernel": int(kernel),
    }
