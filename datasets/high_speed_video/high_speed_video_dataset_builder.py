"""Pairs of blurry and sharp images from the user's own high-speed footage."""

import dataclasses
import functools
import pathlib
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfdeblur import blur
from tfdeblur.errors import InputError
from tfdeblur.io import images
from tfdeblur.preparation import archives, clips
from tfdeblur.preparation.builders import ParallelBuilder, manual_folder, png


@dataclasses.dataclass(kw_only=True)
class HighSpeedVideoConfig(tfds.core.BuilderConfig):
    """Which footage is used, and how.

    TFDS tells built datasets apart by the config's name alone: give other settings another name.

    Attributes:
        footage: a video; or a folder, searched for videos and for folders with the frames of a
            clip each. None is the folder high_speed_video in TFDS's manual directory.
        fps: frames per second at which the footage was captured. None is what the videos say of
            themselves; folders of frames and videos stored for slow playback need a number.
        min_fps: footage with fewer frames per second is refused.
        frames_averaged: numbers of frames, odd; one is drawn for each blurry image.
        stride: frames from the start of an averaged window to the start of the next one. None:
            each starts where the last one ended.
        response: of the camera, "gamma" or "linear"; see `tfdeblur.blur.synthesize`.
        min_motion: windows in which less moves are dropped, see `clips.motion`. 0 keeps
            them all.
        height: larger frames are reduced to this height, by area averaging. None keeps the size.
        test_share: share of the clips that make the test split; 0 is none.

    Raises:
        InputError: a value is out of range.
    """

    footage: str | None = None
    fps: float | None = None
    min_fps: float = 100.0
    frames_averaged: tuple[int, ...] = (7, 9, 11, 13)
    stride: int | None = None
    response: str = "gamma"
    min_motion: float = 2.0
    height: int | None = None
    test_share: float = 0.1

    def __post_init__(self):
        counts = self.frames_averaged
        if not counts or any(count < 3 or count % 2 == 0 for count in counts):
            raise InputError(f"frames_averaged is {counts}: give odd numbers, 3 or more.")
        if self.response not in blur.RESPONSES:
            raise InputError(
                f"response is {self.response!r}: give one of {', '.join(blur.RESPONSES)}."
            )
        if not 0 <= self.test_share < 1:
            raise InputError(f"test_share is {self.test_share}: give a number in [0, 1).")
        for name in ("fps", "stride", "height"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise InputError(f"{name} is {value}: give a positive number, or None.")


class Builder(ParallelBuilder):
    """Averages successive frames of high-speed footage into blurry images."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First release."}
    BUILDER_CONFIGS: ClassVar = [
        HighSpeedVideoConfig(
            name="default",
            description="The videos in <manual_dir>/high_speed_video, averaged as in GOPRO.",
        )
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Put videos of 100 frames per second or more into the folder high_speed_video there; or leave
    them where they are, and give a HighSpeedVideoConfig(name=..., footage="their/folder").
    """
    pkg_dir_path = pathlib.Path(__file__).parent

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "blurry": png(),
                    "sharp": png(),
                    "clip": tfds.features.Text(doc="Its path below the footage's folder."),
                    "frame": tfds.features.Scalar(
                        np.int64, doc="Index of the sharp frame in the clip, from 0 on."
                    ),
                    "frames": tfds.features.Scalar(np.int64, doc="How many frames are averaged."),
                    "fps": tfds.features.Scalar(np.float32, doc="Frames per second of the clip."),
                }
            ),
            supervised_keys=("blurry", "sharp"),
        )

    def _download_and_prepare(self, dl_manager, download_config):
        try:
            super()._download_and_prepare(dl_manager, download_config)
        except AssertionError as error:
            if "No examples were yielded" not in str(error):
                raise
            raise InputError(
                "a split has no example left: in all windows of its clips less moves than "
                f"min_motion={self.builder_config.min_motion:g}. Remove the static clips (see the "
                "warnings), add others, or lower min_motion."
            ) from error

    def _split_generators(self, dl_manager):
        config = self.builder_config
        path = config.footage or manual_folder(self, dl_manager)
        found = clips.find_clips(path, config.fps, config.min_fps)
        train, test = archives.split(found, config.test_share)
        splits = {"train": train, "test": test} if test else {"train": train}
        return {name: self._generate_examples(chosen) for name, chosen in splits.items()}

    def _generate_examples(self, chosen):
        config = self.builder_config
        cut = functools.partial(
            clips.windows,
            frames_averaged=config.frames_averaged,
            stride=config.stride,
            min_motion=config.min_motion,
            height=config.height,
        )
        synthesize = functools.partial(_synthesize, response=config.response)
        return self.examples(synthesize, chosen, expand=cut)


def _synthesize(window, response):
    blurry, sharp = blur.synthesize(window.frames, response)
    return f"{window.clip.name}/{window.middle}", {
        "blurry": images.encode_png(blurry),
        "sharp": images.encode_png(sharp),
        "clip": window.clip.name,
        "frame": window.middle,
        "frames": len(window.frames),
        "fps": window.clip.fps,
    }
