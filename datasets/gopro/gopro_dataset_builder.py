"""GOPRO: 240 fps video of hand-held cameras, averaged to pairs of blurry and sharp images."""

import collections
import dataclasses
import functools
import pathlib
import re
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from tfdeblur.blur import RESPONSES, synthesize
from tfdeblur.errors import InputError
from tfdeblur.io import images
from tfdeblur.preparation import archives, builders

# How many pairs each sequence has. A sequence's name ends in _yy_zz: yy frames make a blurry one.
SEQUENCES = {
    "train": {
        "GOPR0372_07_00": 100,
        "GOPR0372_07_01": 75,
        "GOPR0374_11_00": 150,
        "GOPR0374_11_01": 80,
        "GOPR0374_11_02": 100,
        "GOPR0374_11_03": 48,
        "GOPR0378_13_00": 110,
        "GOPR0379_11_00": 100,
        "GOPR0380_11_00": 60,
        "GOPR0384_11_01": 100,
        "GOPR0384_11_02": 100,
        "GOPR0384_11_03": 100,
        "GOPR0384_11_04": 100,
        "GOPR0385_11_00": 100,
        "GOPR0386_11_00": 100,
        "GOPR0477_11_00": 80,
        "GOPR0857_11_00": 100,
        "GOPR0868_11_01": 100,
        "GOPR0868_11_02": 100,
        "GOPR0871_11_01": 100,
        "GOPR0881_11_00": 100,
        "GOPR0884_11_00": 100,
    },
    "test": {
        "GOPR0384_11_00": 100,
        "GOPR0384_11_05": 100,
        "GOPR0385_11_01": 100,
        "GOPR0396_11_00": 100,
        "GOPR0410_11_00": 134,
        "GOPR0854_11_00": 100,
        "GOPR0862_11_00": 77,
        "GOPR0868_11_00": 100,
        "GOPR0869_11_00": 100,
        "GOPR0871_11_00": 100,
        "GOPR0881_11_01": 100,
    },
}

BLURS = ("blur_gamma", "blur", "synthesized")

URL = "https://huggingface.co/datasets/snah/GOPRO_Large/resolve/main/"
# Of GOPRO_Large: split, sequence, kind, number. Of GOPRO_Large_all: split, sequence, number.
PAIRED = re.compile(r"(train|test)/(GOPR\d+_\d+_\d+)/(blur|blur_gamma|sharp)/(\d+)\.png")
RECORDED = re.compile(r"(train|test)/(GOPR\d+_\d+_\d+)/(\d+)\.png")

# Some sharp frames of GOPRO_Large differ by one grey level from those of GOPRO_Large_all
# (SeungjunNah/DeepDeblur_release, issue 65), and equal the same frame for all that.
ROUNDING = 1


@dataclasses.dataclass(kw_only=True)
class GoproConfig(tfds.core.BuilderConfig):
    """A way to get the blurry images.

    Attributes:
        blur: "blur_gamma" or "blur": as published in these folders of GOPRO_Large; "synthesized":
            averaged anew from the recorded frames around each published sharp one.
        frames_averaged: M of synthesized ones, odd, at least 3; None: as published, which differs
            between sequences.
        response: "gamma" or "linear", of synthesized ones, see `tfdeblur.blur.synthesize`.
        gamma: exponent of the "gamma" response.
        sequences: number of pairs by split and sequence.
        name: where not given, it is made of the options, so that no two share a folder.

    Raises:
        InputError: an option has another value than these.
    """

    name: str = ""
    blur: str = "synthesized"
    frames_averaged: int | None = None
    response: str = "gamma"
    gamma: float = 2.2
    sequences: dict[str, dict[str, int]] = dataclasses.field(default_factory=lambda: SEQUENCES)

    def __post_init__(self):
        for option, choices in (("blur", BLURS), ("response", RESPONSES)):
            value = getattr(self, option)
            if value not in choices:
                raise InputError(f"{option}={value!r} is unknown: choose {' or '.join(choices)}.")
        m = self.frames_averaged
        if m is not None and (m < 3 or m % 2 == 0):
            raise InputError(f"frames_averaged={m}: give an odd number, 3 or more.")
        if not self.gamma > 0:
            raise InputError(f"gamma={self.gamma}: give a positive number, such as 2.2.")
        options = list(self._options())
        if options and self.blur != "synthesized":
            raise InputError(f"blur={self.blur!r} is taken as it is: leave out {options}.")
        self.name = self.name or "_".join([self.blur, *options])

    def _options(self):
        if self.response != "gamma":
            yield self.response
        if self.gamma != 2.2:
            yield f"gamma{self.gamma:g}"
        if self.frames_averaged:
            yield f"m{self.frames_averaged}"


class Builder(builders.ParallelBuilder):
    """Reads GOPRO_Large, and for the synthesized configs GOPRO_Large_all too, in their archives."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First release."}
    BUILDER_CONFIGS: ClassVar = [
        GoproConfig(
            blur="blur_gamma",
            description="Averaged in linear light, gamma 2.2: the benchmark of Nah et al. 2017.",
        ),
        GoproConfig(
            blur="blur",
            description="Averaged in pixel values: what MIMO-UNet and most later work used.",
        ),
        GoproConfig(
            blur="synthesized",
            description="Averaged anew from the 240 fps frames, in linear light, gamma 2.2.",
        ),
        GoproConfig(
            blur="synthesized",
            response="linear",
            description="Averaged anew from the 240 fps frames, in pixel values.",
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Nothing has to be there: the archives are downloaded. If you have them, put "
        "GOPRO_Large.zip (and GOPRO_Large_all.zip for the synthesized configs) or the extracted "
        "folders of these names there."
    )
    pkg_dir_path = pathlib.Path(__file__).parent  # see dead_leaves

    def _info(self):
        features = {
            "blurry": builders.png(),
            "sharp": builders.png(),
            "sequence": tfds.features.Text(doc="Its name; the number after it is its own M."),
            "frame": tfds.features.Scalar(np.int64, doc="The number in the sharp file's name."),
        }
        if self.builder_config.blur == "synthesized":
            features["M"] = tfds.features.Scalar(np.int64, doc="How many frames are averaged.")
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("blurry", "sharp"),
            homepage="https://seungjunnah.github.io/Datasets/gopro",
            license="CC BY 4.0",
        )

    def _split_generators(self, dl_manager):
        config = self.builder_config
        pairs = _obtain(dl_manager, PAIRED, "GOPRO_Large")
        if config.blur == "synthesized":
            recorded = _obtain(dl_manager, RECORDED, "GOPRO_Large_all")
            jobs = _recordings(pairs, recorded, config.sequences)
        else:
            jobs = _pairs(pairs, config.blur, config.sequences)
        return {split: self._generate_examples(jobs[split]) for split in config.sequences}

    def _generate_examples(self, jobs):
        config = self.builder_config
        if config.blur != "synthesized":
            return self.examples(_read, jobs)
        return self.examples(
            functools.partial(_average, response=config.response, gamma=config.gamma),
            jobs,
            expand=functools.partial(_windows, frames_averaged=config.frames_averaged),
        )


@dataclasses.dataclass(frozen=True)
class _Pair:
    sequence: str
    frame: int
    blurry: archives.File
    sharp: archives.File


@dataclasses.dataclass(frozen=True)
class _Recording:
    """The raw frames of a sequence, and its sharp frames by their numbers, both in order."""

    sequence: str
    raw: list[archives.File]
    sharp: dict[int, archives.File]


@dataclasses.dataclass(frozen=True)
class _Window:
    """The raw frames that make a blurry image, and the sharp image that the middle one shows."""

    sequence: str
    frame: int
    raw: list[archives.File]
    sharp: archives.File


def _obtain(dl_manager, pattern, name):
    """The files of the archive or folder of this name: the user's own, else downloaded."""
    return builders.find_manually(dl_manager, pattern, name) or builders.download(
        dl_manager, f"{URL}{name}.zip", pattern
    )


def _pairs(found, blurry, sequences):
    """Checks GOPRO_Large; returns its pairs by split."""
    by_sequence = _check_pairs(found, ("sharp", blurry), sequences)
    return {
        split: [
            _Pair(sequence, frame, by_sequence[split, sequence][blurry][frame], sharp)
            for sequence in sequences[split]
            for frame, sharp in by_sequence[split, sequence]["sharp"].items()
        ]
        for split in sequences
    }


def _recordings(found_pairs, found_raw, sequences):
    """Checks GOPRO_Large and GOPRO_Large_all; returns the recordings by split."""
    sharp = _check_pairs(found_pairs, ("sharp",), sequences)
    raw = _check_raw(found_raw, sequences)
    return {
        split: [
            _Recording(sequence, raw[split, sequence], sharp[split, sequence]["sharp"])
            for sequence in sequences[split]
        ]
        for split in sequences
    }


def _check_pairs(found, kinds, sequences):
    """Arranges files as {(split, sequence): {kind: {number: file}}}.

    Raises:
        InputError: any file is missing, or one too many.
    """
    by_sequence = collections.defaultdict(lambda: {kind: {} for kind in kinds})
    for (split, sequence, kind, number), file in found.items():
        if kind in kinds:
            by_sequence[split, sequence][kind][int(number)] = file
    faults = []
    for split, sequence in sorted(_names(sequences) | by_sequence.keys()):
        frames = by_sequence[split, sequence]
        count = sequences.get(split, {}).get(sequence, 0)
        faults += _sequence_faults(f"{split}/{sequence}", frames, count)
    _refuse(found, "GOPRO_Large", faults)
    return by_sequence


def _sequence_faults(name, frames, count):
    """What is wrong with a sequence, which should have `count` frames of each kind, in words."""
    if not count:
        yield f"{name} is not of GOPRO"
    elif not any(frames.values()):
        yield f"{name} is missing"
    else:
        for kind, files in frames.items():
            if len(files) != count:
                yield f"{name}/{kind} holds {len(files)} of {count} frames"
        lonely = set.union(*map(set, frames.values())) - set.intersection(
            *map(set, frames.values())
        )
        if lonely:
            number = min(lonely)
            kind = next(kind for kind, files in frames.items() if number not in files)
            yield f"{name}/{kind}/{number:06d}.png is missing"


def _check_raw(found, sequences):
    """Arranges files as {(split, sequence): [file, ...]}, in the order of their numbers.

    Raises:
        InputError: files are missing.
    """
    by_sequence = collections.defaultdict(dict)
    for (split, sequence, number), file in found.items():
        by_sequence[split, sequence][int(number)] = file
    expected = {
        (split, sequence): sequences[split][sequence] * _own_m(sequence)
        for split, sequence in _names(sequences)
    }
    # Published is only how many there are in all, 34,874: as many as have been averaged.
    if sum(len(by_sequence[name]) for name in expected) < sum(expected.values()):
        _refuse(
            found,
            "GOPRO_Large_all",
            [
                f"{'/'.join(name)} holds {len(by_sequence[name])} of {count} frames"
                for name, count in sorted(expected.items())
                if len(by_sequence[name]) < count
            ],
        )
    return {name: [file for _, file in sorted(by_sequence[name].items())] for name in expected}


def _names(sequences):
    return {(split, sequence) for split in sequences for sequence in sequences[split]}


def _own_m(sequence):
    """How many frames were averaged: the yy of GOPRxxxx_yy_zz."""
    return int(sequence.split("_")[1])


def _refuse(found, name, faults):
    """Raises InputError if there are faults."""
    if faults:
        path = next(iter(found.values())).source.path
        more = f"; and {len(faults) - 5} faults more" if len(faults) > 5 else ""
        raise InputError(
            f"{path} is no complete copy of {name}: {'; '.join(faults[:5])}{more}. "
            f"Get it again from {URL}{name}.zip"
        )


def _read(pair):
    return f"{pair.sequence}/{pair.frame:06d}", {
        **archives.read_pair(pair.blurry, pair.sharp),
        "sequence": pair.sequence,
        "frame": pair.frame,
    }


def _average(window, response, gamma):
    content, _ = window.sharp.read_image()
    try:
        blurry, _ = synthesize([_decode(file) for file in window.raw], response, gamma)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{window.raw[0]} and those after it: {error}") from error
    return f"{window.sequence}/{window.frame:06d}", {
        "blurry": images.encode_png(blurry),
        "sharp": content,
        "sequence": window.sequence,
        "frame": window.frame,
        "M": len(window.raw),
    }


def _windows(recording, frames_averaged):
    """Yields a `_Window` around the raw frame that each sharp frame shows.

    Windows that leave the recording are left out, with a warning.
    """
    own_m = _own_m(recording.sequence)
    m = frames_averaged or own_m
    matcher = _Matcher(recording.raw, own_m)
    left_out = 0
    for i, (frame, sharp) in enumerate(recording.sharp.items()):
        # The authors averaged disjoint windows, one after the other.
        first = matcher.find(sharp, expected=i * own_m + own_m // 2) - m // 2
        if 0 <= first <= len(recording.raw) - m:
            yield _Window(recording.sequence, frame, recording.raw[first : first + m], sharp)
        else:
            left_out += 1
    if left_out:
        logging.warning(
            "%s: %d of %d pairs are left out, since not all of their %d frames were recorded.",
            *(recording.sequence, left_out, len(recording.sharp), m),
        )


class _Matcher:
    """Finds the frames of a recording that sharp frames show, asked for one after the other."""

    def __init__(self, raw, own_m):
        self.raw = raw
        self.own_m = own_m
        # What the last frame showed, and what the next is expected to go on with: how far it is
        # from where the rule puts it, and by how many grey levels it may differ.
        self.shift = 0
        self.tolerance = 0

    def find(self, sharp, expected):
        """The index of the raw frame with the pixels of `sharp`, the nearest to `expected`.

        Raises:
            InputError: there is none; or a file cannot be read.
        """
        pixels = _decode(sharp)
        index = expected + self.shift
        if not (0 <= index < len(self.raw) and self._difference(index, pixels) <= self.tolerance):
            index, self.tolerance = self._search(sharp, pixels, expected)
            self.shift = index - expected
        return index

    def _search(self, sharp, pixels, expected):
        """(index, difference), outwards from the expected index."""
        rounded = None
        for index in sorted(range(len(self.raw)), key=lambda i: abs(i - expected)):
            # In a still scene the neighbours differ by little too: the equal frame would be near.
            if rounded is not None and abs(index - rounded) > self.own_m:
                break
            difference = self._difference(index, pixels)
            if difference == 0:
                return index, 0
            if difference <= ROUNDING and rounded is None:
                rounded = index
        if rounded is None:
            raise InputError(
                f"{sharp} is none of its sequence's {len(self.raw)} frames in GOPRO_Large_all: "
                "get both archives again from their authors."
            )
        return rounded, ROUNDING

    def _difference(self, index, pixels):
        """The largest difference in grey levels."""
        frame = _decode(self.raw[index])
        if frame.shape != pixels.shape:
            return 256
        return int(np.abs(frame.astype(np.int16) - pixels).max())


def _decode(file):
    """uint8 [H, W, 3]; raises InputError."""
    content, _ = file.read_image()
    with images.opened(content, file) as image:
        return np.asarray(image.convert("RGB"))
