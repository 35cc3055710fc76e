"""What is evaluated on: datasets of TFDS, with or without pairs, and folders of pairs."""

import dataclasses
import hashlib
from collections.abc import Callable

import numpy as np

from tfdeblur.data import pairs as training_pairs
from tfdeblur.errors import InputError
from tfdeblur.io import images

# What of an example makes its name: "sequence/frame". The first group of which it has any counts.
_SEQUENCES = ("sequence", "clip", "photo", "image", "scene", "name")
_FRAMES = ("frame", "trajectory", "kernel", "seed")

_WITHOUT_PAIRS = ("kohler", "lai/real")


@dataclasses.dataclass(frozen=True)
class Data:
    """Blurry images, and what their restored versions are compared with.

    Attributes:
        name: in words, for reports.
        version: changes when the images or their order do.
        count: of images.
        reference: "sharp", "frames" or "nothing", see `protocols.Protocol`.
        read: function of a number of images to leave out, which yields the others as (name, blurry
            uint8 [H, W, 3], reference: uint8 [H, W, 3], [N, H, W, 3] or None).
        dataset: name of the dataset, if it is the whole test split of one that has papers.
    """

    name: str
    version: str
    count: int
    reference: str
    read: Callable
    dataset: str | None = None


def from_folders(blurry_dir, sharp_dir):
    """The pairs of two folders.

    Raises:
        InputError: see `images.find_pairs`.
    """
    pairs = images.find_pairs(blurry_dir, sharp_dir)
    digest = hashlib.sha256()
    for path in [path for pair in pairs for path in (pair.blurry, pair.sharp)]:
        status = path.stat()
        digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())

    def read(skip=0):
        for pair in pairs[skip:]:
            yield pair.name, images.read(pair.blurry), images.read(pair.sharp)

    return Data(
        name=f"{blurry_dir} against {sharp_dir} (blur variant not known)",
        version=digest.hexdigest(),
        count=len(pairs),
        reference="sharp",
        read=read,
    )


def from_tfds(name, split="test", data_dir=None, manual_dir=None):
    """A dataset of TFDS; it is built first where that has not been done.

    Args:
        name: of pairs, such as "gopro/blur_gamma"; "kohler"; or "lai/real".
        split: such as "test" or "train[:10%]".
        data_dir, manual_dir: see `pairs.from_tfds`.

    Raises:
        InputError: see `pairs.from_tfds`.
    """
    import tensorflow_datasets as tfds

    import tfdeblur.datasets  # noqa: F401  registers our builders

    if name not in _WITHOUT_PAIRS:
        # Checks the name, the split and the features.
        training_pairs.from_tfds(name, split, data_dir, manual_dir)
    builder = tfds.builder(name, data_dir=data_dir)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
    )
    return from_builder(builder, split)


def from_builder(builder, split="test"):
    """A dataset of TFDS that has been built, see `from_tfds`."""
    try:
        count = builder.info.splits[split].num_examples
    except (KeyError, ValueError) as error:
        raise InputError(f"--dataset={builder.name} has no split {split!r}: {error}") from error
    info = builder.info
    if info.supervised_keys:
        reference, keys = "sharp", info.supervised_keys
    elif "frames" in info.features:
        reference, keys = "frames", ("blurry", "frames")
    else:
        reference, keys = "nothing", ("blurry",)
    dataset = info.full_name.rpartition("/")[0].removesuffix("/default")
    return Data(
        name=f"{info.full_name} {split}",
        version=f"{count} examples, {info.dataset_size} bytes in all",
        count=count,
        reference=reference,
        read=lambda skip=0: _read_tfds(builder, split, keys, skip),
        dataset=dataset if split == "test" else None,
    )


def _read_tfds(builder, split, keys, skip):
    import tensorflow as tf
    import tensorflow_datasets as tfds

    dataset = builder.as_dataset(
        split=split,
        decoders={key: tfds.decode.SkipDecoding() for key in keys},
        read_config=tfds.ReadConfig(
            interleave_cycle_length=1, add_tfds_id=True, try_autocache=False
        ),
    )

    def decode(encoded):
        if np.ndim(encoded):
            return np.stack([decode(one) for one in encoded])
        return tf.io.decode_image(encoded, channels=3, expand_animations=False).numpy()

    for example in dataset.skip(skip).as_numpy_iterator():
        blurry, *rest = (decode(example[key]) for key in keys)
        yield _name(example), blurry, rest[0] if rest else None


def _name(example):
    sequence = next((example[key] for key in _SEQUENCES if key in example), None)
    frame = next((example[key] for key in _FRAMES if key in example), None)
    parts = [part for part in (sequence, frame) if part is not None] or [example["tfds_id"]]
    return "/".join(part.decode() if isinstance(part, bytes) else f"{part:06d}" for part in parts)
