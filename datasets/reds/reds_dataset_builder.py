"""REDS: video of 120 fps, averaged after interpolation to pairs of blurry and sharp frames."""

import dataclasses
import pathlib
import re
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfdeblur.preparation import archives, builders

URL = "https://huggingface.co/datasets/snah/REDS/resolve/main/"
FOLDERS = {"train": "train", "validation": "val"}


@dataclasses.dataclass(kw_only=True)
class RedsConfig(tfds.core.BuilderConfig):
    """A kind of blurry frames.

    Attributes:
        blur: "blur", "blur_comp" or "blur_jpeg": the end of an archive's name.
        sequences: how many there are, by split. They are numbered from 000.
        frames: how many a sequence has. They are numbered from 00000000.
    """

    blur: str
    sequences: dict[str, int] = dataclasses.field(
        default_factory=lambda: {"train": 240, "validation": 30}
    )
    frames: int = 100


class Builder(builders.ParallelBuilder):
    """Reads the archives of REDS."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First release."}
    BUILDER_CONFIGS: ClassVar = [
        RedsConfig(name="blur", description="Blurry frames.", blur="blur"),
        RedsConfig(
            name="blur_comp",
            description="Blurry frames, then compressed as a video.",
            blur="blur_comp",
        ),
        RedsConfig(
            name="blur_jpeg",
            description="Blurry frames, then compressed as JPEG.",
            blur="blur_jpeg",
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Nothing has to be there: the archives are downloaded. If you have them, put "
        "train_blur.zip, train_sharp.zip, val_blur.zip and val_sharp.zip (likewise for blur_comp "
        "and blur_jpeg) or the extracted folders train_blur, train_sharp, ... there. Where only "
        "those of one split are there, only that split is built."
    )
    pkg_dir_path = pathlib.Path(__file__).parent  # see dead_leaves

    def _info(self):
        blurry = builders.png()
        if self.builder_config.blur == "blur_jpeg":
            blurry = tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "blurry": blurry,
                    "sharp": builders.png(),
                    "sequence": tfds.features.Text(doc="Its number; each split counts from 000."),
                    "frame": tfds.features.Scalar(np.int64, doc="Its number, from 0."),
                }
            ),
            supervised_keys=("blurry", "sharp"),
            homepage="https://seungjunnah.github.io/Datasets/reds",
            license="CC BY 4.0",
        )

    def _split_generators(self, dl_manager):
        config = self.builder_config
        parts = {
            split: [f"{FOLDERS[split]}_{kind}" for kind in (config.blur, "sharp")]
            for split in config.sequences
        }
        files = {
            part: builders.find_manually(dl_manager, _pattern(part), part, f"REDS/{part}")
            for split in parts
            for part in parts[split]
        }
        started = [split for split in parts if any(files[part] for part in parts[split])]
        return {
            split: self._generate_examples(
                [
                    files[part] or builders.download(dl_manager, f"{URL}{part}.zip", _pattern(part))
                    for part in parts[split]
                ],
                parts[split],
                config.sequences[split],
            )
            for split in started or parts
        }

    def _generate_examples(self, files, parts, sequences):
        keys = [
            (f"{sequence:03d}", f"{frame:08d}")
            for sequence in range(sequences)
            for frame in range(self.builder_config.frames)
        ]
        blurry, sharp = (
            builders.select(found, keys, part) for found, part in zip(files, parts, strict=True)
        )
        return self.examples(_read, [(key, blurry[key], sharp[key]) for key in keys])


def _pattern(part):
    """Sequence and frame; NAFNet's preparation joins them by "_", where the archives have "/"."""
    return re.compile(rf"{part}/(\d{{3}})[/_](\d{{8}})\.(?:png|jpg)")


def _read(job):
    (sequence, frame), blurry, sharp = job
    return f"{sequence}/{frame}", {
        **archives.read_pair(blurry, sharp),
        "sequence": sequence,
        "frame": int(frame),
    }
