"""Pairs of blurry and sharp images from the user's own photographs, set in motion."""

import dataclasses
import functools
import pathlib
import zlib
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfdeblur.errors import InputError
from tfdeblur.io import images
from tfdeblur.preparation import archives, moving_stills
from tfdeblur.preparation.builders import ParallelBuilder, manual_folder, png


@dataclasses.dataclass(kw_only=True)
class MovingStillsConfig(tfds.core.BuilderConfig):
    """Which photographs are used, and how.

    TFDS tells built datasets apart by the config's name alone: give other settings another name.

    Attributes:
        photos: a folder, searched for image files. None is the folder moving_stills in TFDS's
            manual directory.
        pairs_per_photo: how many pairs are made of each photograph.
        test_share: share of the photographs that make the test split; 0 is none.
        options: crop, motion, camera and noise, a `moving_stills.Options`; or a dict of
            its attributes, for `tfds build --config`.

    Raises:
        InputError: a value is out of range.
    """

    photos: str | None = None
    pairs_per_photo: int = 16
    test_share: float = 0.1
    options: moving_stills.Options = dataclasses.field(default_factory=moving_stills.Options)

    def __post_init__(self):
        if isinstance(self.options, dict):
            self.options = moving_stills.Options(**self.options)
        if self.pairs_per_photo < 1:
            raise InputError(f"pairs_per_photo is {self.pairs_per_photo}: give 1 or more.")
        if not 0 <= self.test_share < 1:
            raise InputError(f"test_share is {self.test_share}: give a number in [0, 1).")


class Builder(ParallelBuilder):
    """Films photographs with a moving camera, and averages the exposure into a blurry image."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First release."}
    BUILDER_CONFIGS: ClassVar = [
        MovingStillsConfig(
            name="default",
            description="The photographs in <manual_dir>/moving_stills, 16 pairs of each.",
        ),
        MovingStillsConfig(
            name="large",
            pairs_per_photo=100,
            description="The photographs in <manual_dir>/moving_stills, 100 pairs of each.",
        ),
        MovingStillsConfig(
            name="photographs",
            pairs_per_photo=8,
            options=moving_stills.Options(
                size=192,
                downscale=(1.0, 4.0),
                speed=150.0,
                speed_spread=0.8,
                responses=("gamma", "linear", "log"),
                highlights=4.0,
                shot_noise=5e-5,
                jpeg=(70, 95),
            ),
            description="8 pairs of each, blurred by up to 40 pixels, with streaks of lights, "
            "noise and JPEG compression.",
        ),
        MovingStillsConfig(
            name="photographs_short",
            version=tfds.core.Version("1.1.0"),
            release_notes={"1.1.0": "32 pairs of each photograph, in place of 8."},
            pairs_per_photo=32,
            options=moving_stills.Options(size=192),
            description="32 pairs of each, blurred as REDS is at 320x180 pixels.",
        ),
        MovingStillsConfig(
            name="uniform",
            options=moving_stills.Options(uniform=True),
            description="As default, each image blurred by one kernel.",
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Put photographs into the folder moving_stills there; or leave them where they are, and give a
    MovingStillsConfig(name=..., photos="their/folder").
    """
    pkg_dir_path = pathlib.Path(__file__).parent

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "blurry": png(),
                    "sharp": png(),
                    "photo": tfds.features.Text(doc="Its path below the photographs' folder."),
                    "seed": tfds.features.Scalar(np.int64, doc="What the pair was drawn from."),
                    "frames": tfds.features.Scalar(
                        np.int64, doc="How long the exposure is, in frames of 240 per second."
                    ),
                }
            ),
            supervised_keys=("blurry", "sharp"),
        )

    def _split_generators(self, dl_manager):
        config = self.builder_config
        folder = config.photos or manual_folder(self, dl_manager)
        photos = moving_stills.find_photos(folder, config.options.size)
        train, test = archives.split(photos, config.test_share)
        splits = {"train": train, "test": test} if test else {"train": train}
        return {name: self._generate_examples(photos) for name, photos in splits.items()}

    def _generate_examples(self, photos):
        config = self.builder_config
        expand = functools.partial(_jobs, photos=photos, count=config.pairs_per_photo)
        render = functools.partial(_render, options=config.options)
        return self.examples(render, range(len(photos)), expand=expand)


def _jobs(index, photos, count):
    """Describes the pairs of a photograph: (it, another one of the split, key, seed)."""
    photo = photos[index]
    others = photos[:index] + photos[index + 1 :] or [photo]
    for key in (f"{photo.name}/{k}" for k in range(count)):
        seed = zlib.crc32(key.encode())
        yield photo, others[seed % len(others)], key, seed


def _render(job, options):
    photo, other, key, seed = job
    blurry, sharp, frames = moving_stills.render_pair(
        _read(photo.path), _read(other.path), seed, options
    )
    return key, {
        "blurry": images.encode_png(blurry),
        "sharp": images.encode_png(sharp),
        "photo": photo.name,
        "seed": seed,
        "frames": frames,
    }


@functools.lru_cache(maxsize=4)  # all pairs of a photograph need it, one after the other
def _read(path):
    return images.read(path)
