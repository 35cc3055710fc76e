"""Köhler: camera shake played back by a robot, with the sharp frames along each trajectory."""

import collections
import dataclasses
import functools
import pathlib
import re
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfdeblur.errors import InputError
from tfdeblur.io import images
from tfdeblur.preparation import builders, mat_files

BLURRY = re.compile(r"Blurry(\d+)_(\d+)\.png")
MAT_FILE = re.compile(r"GroundTruth(\d+)_(\d+)\.mat")


@dataclasses.dataclass(kw_only=True)
class KohlerConfig(tfds.core.BuilderConfig):
    """The dataset.

    Attributes:
        images: number of printed photographs.
        trajectories: number of camera movements.
        frames: number of sharp frames that each trajectory has at least.
    """

    images: int = 4
    trajectories: int = 12
    frames: int = 198


class Builder(tfds.core.GeneratorBasedBuilder):
    """Reads the ground truth from PNG files, or from MATLAB files where these are missing."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First release."}
    BUILDER_CONFIGS: ClassVar = [KohlerConfig(name="default", description="All images.")]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put BlurryImages.zip and GroundTruth_pngs_Image1.zip to GroundTruth_pngs_Image4.zip (from "
        "http://people.kyb.tuebingen.mpg.de/rolfk/BenchmarkECCV2012/) or what they hold there: "
        "Blurry1_1.png and so on, and Image1/Kernel1/GroundTruth1_1_1.png and so on or "
        "GroundTruth1_1.mat and so on."
    )
    pkg_dir_path = pathlib.Path(__file__).parent  # see dead_leaves

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "blurry": builders.png(),
                    "frames": tfds.features.Sequence(
                        builders.png(), doc="The sharp frames, in the order of time."
                    ),
                    "image": tfds.features.Scalar(np.int64, doc="Of the photograph, 1 to 4."),
                    "trajectory": tfds.features.Scalar(np.int64, doc="1 to 12."),
                }
            ),
            # No frame is the ground truth: a score is the best over all frames.
            supervised_keys=None,
            homepage="https://webdav.tuebingen.mpg.de/pixel/benchmark4camerashake/",
        )

    def _split_generators(self, dl_manager):
        config = self.builder_config
        photographs = [str(i) for i in range(1, config.images + 1)]
        keys = [(i, str(j)) for i in photographs for j in range(1, config.trajectories + 1)]
        blurry = builders.find_manually(dl_manager, BLURRY, "BlurryImages")
        if not blurry:
            raise builders.not_found(self, dl_manager)
        blurry = builders.select(blurry, keys, "Köhler's blurry images (image/trajectory)")
        frames = _find_frames(dl_manager, photographs) or builders.find_manually(
            dl_manager, MAT_FILE, "groundTruthMatFiles"
        )
        frames = builders.select(frames, keys, "Köhler's ground truth (image/trajectory)")
        return {"test": self._generate_examples(blurry, frames)}

    def _generate_examples(self, blurry, frames):
        # One example after the other, since the frames of each take some 200 MB.
        for key, file in blurry.items():
            content, size = file.read_image()
            read = functools.partial(_read_frame, size=size, blurry=file)
            scored = _scored(key, _numbered(frames[key]), self.builder_config.frames)
            yield (
                "_".join(key),
                {
                    "blurry": content,
                    "frames": list(builders.map_on_all_cores(read, scored)),
                    "image": int(key[0]),
                    "trajectory": int(key[1]),
                },
            )


def _find_frames(dl_manager, photographs):
    """The PNG files as {(image, trajectory): {number: file}}."""
    frames = collections.defaultdict(dict)
    for i in photographs:
        pattern = re.compile(rf"GroundTruth({i})_(\d+)(?:_|/|/GroundTruth{i}_\d+_)0*(\d+)\.png")
        found = builders.find_manually(dl_manager, pattern, f"GroundTruth_pngs_Image{i}")
        for (image, trajectory, number), file in found.items():
            frames[image, trajectory][number] = file
    return frames


def _numbered(frames):
    """The frames by their numbers, strings from "1": PNG files as they are, or uint8 [H, W, 3]."""
    if isinstance(frames, dict):
        if "0" in frames:
            raise InputError(f"{frames['0']}: the authors number the frames from 1, not from 0.")
        return frames
    array = mat_files.read_frames(frames.read(), frames)
    return {str(n + 1): array[..., n] for n in range(array.shape[-1])}


def _scored(key, numbered, at_least):
    """The frames that the authors' evaluation compares with, in order of time.

    Raises:
        InputError: some are missing.
    """
    name = "GroundTruth" + "_".join(key)
    last = max(at_least, *map(int, numbered))
    numbers = range(1, last + 1)
    if key == ("1", "3"):  # of which eval_image.m leaves out what follows too
        numbers = [n for n in numbers if n != 30 and n <= 198]
    return builders.select(numbered, map(str, numbers), name).values()


def _read_frame(frame, size, blurry):
    """The PNG bytes of a frame of `_numbered`; raises InputError if it has another size."""
    if isinstance(frame, np.ndarray):
        content, frame_size = images.encode_png(frame), frame.shape[1::-1]
    else:
        content, frame_size = frame.read_image()
    if frame_size != size:
        raise InputError(
            "{} has {}x{} pixels, but a frame of its ground truth {}x{}: get them again.".format(
                blurry, *size, *frame_size
            )
        )
    return content
