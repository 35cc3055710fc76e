"""What is evaluated on: datasets of TFDS, with or without pairs, and folders of pairs."""

import contextlib
import dataclasses
import hashlib
import itertools
import pathlib
from collections.abc import Callable

import numpy as np

from tfdeblur.data import opening
from tfdeblur.errors import InputError
from tfdeblur.io import images, pairing

# What of an example makes its name: "sequence/frame". The first group of which it has any counts.
_SEQUENCES = ("sequence", "clip", "photo", "image", "scene", "name")
_FRAMES = ("frame", "trajectory", "kernel", "seed")


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
        warning: what to know of scores on it; "" for nothing.
        pages: whether its papers compare by whole pictures, which a report has then.
    """

    name: str
    version: str
    count: int
    reference: str
    read: Callable
    dataset: str | None = None
    warning: str = ""
    pages: bool = False


UNALIGNED = (
    "The sharp images of lai/nonuniform are not aligned with the blurry ones: PSNR and SSIM say "
    "little of it, not even which of two methods is better. The study judged by people's eyes."
)


def from_folder(blurry_dir):
    """The images of a folder, which have no sharp ones beside them.

    Raises:
        InputError: there is no folder, or no image in it.
    """
    if not pathlib.Path(blurry_dir).is_dir():
        raise InputError(f"`blurry_dir={blurry_dir}` is not a folder: name one with images.")
    files = images.find_images([blurry_dir])
    if not files:
        raise InputError(f"`blurry_dir={blurry_dir}` holds no image: name a folder with some.")

    def read(skip=0):
        for path in files[skip:]:
            yield path.relative_to(blurry_dir).as_posix(), images.read(path), None

    return Data(
        name=f"{blurry_dir} (no sharp images)",
        version=_digest(files),
        count=len(files),
        reference="nothing",
        read=read,
        pages=True,
    )


def from_folders(blurry_dir, sharp_dir, pairs=None):
    """The pairs of two folders, or of a list; see `pairing.find_pairs` for all of it."""
    folders = f"{blurry_dir} against {sharp_dir}" if blurry_dir else ""
    name = " ".join(filter(None, (folders, f"({pairs})" if folders and pairs else pairs)))
    pairs = pairing.find_pairs(blurry_dir, sharp_dir, pairs)

    def read(skip=0):
        for pair in pairs[skip:]:
            yield pair.name, images.read(pair.blurry), images.read(pair.sharp)

    return Data(
        name=f"{name} (blur variant not known)",
        version=_digest([path for pair in pairs for path in (pair.blurry, pair.sharp)]),
        count=len(pairs),
        reference="sharp",
        read=read,
    )


def _digest(paths):
    """Of the files' names, sizes and times of change."""
    digest = hashlib.sha256()
    for path in paths:
        status = path.stat()
        digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def from_tfds(name, split="test", data_dir=None, manual_dir=None):
    """A dataset of TFDS; it is built first where that has not been done.

    Args:
        name: such as "gopro/blur_gamma", "kohler" or "lai/real"; "a+b" is first a, then b.
        split, data_dir, manual_dir: see `opening.open_dataset`.

    Raises:
        InputError: see `opening.open_dataset`; the dataset has no blurry images; or those of a
            union differ in what they are compared with.
    """
    names = name.split("+")
    for part in names:  # before anything is built
        _compared(opening.find_builder(part, data_dir))
    opened = [opening.open_dataset(part, split, data_dir, manual_dir) for part in names]
    parts = [from_builder(builder, split) for builder, _ in opened]
    return parts[0] if len(parts) == 1 else _union(parts)


def reference(name, data_dir=None):
    """What a dataset's images are compared with, see `Data.reference`, before it is built.

    Raises:
        InputError: the dataset is unknown, or has no blurry images.
    """
    return _compared(opening.find_builder(name, data_dir))[0]


def references(name, data_dir=None):
    """Yields (name, reference) of a dataset's configs, of those that can be evaluated."""
    dataset = name.partition("/")[0]
    for config in opening.find_builder(dataset, data_dir).BUILDER_CONFIGS:
        with contextlib.suppress(InputError):
            yield f"{dataset}/{config.name}", reference(f"{dataset}/{config.name}", data_dir)


def from_builder(builder, split="test"):
    """A dataset of TFDS that has been built, see `from_tfds`."""
    split = opening.measured_split(builder, split)
    count = opening.count_examples(builder, split)
    reference, keys = _compared(builder)
    info = builder.info
    return Data(
        name=f"{info.full_name} {split}",
        version=f"{count} examples, {info.dataset_size} bytes in all",
        count=count,
        reference=reference,
        read=lambda skip=0: _read_tfds(builder, split, keys, skip),
        dataset=opening.dataset_name(builder) if split in opening.MEASURED_SPLITS else None,
        warning=UNALIGNED if opening.dataset_name(builder) == "lai/nonuniform" else "",
        pages=reference == "nothing" or builder.name == "lai",
    )


def from_pairs(pairs):
    """`data.pairs.Pairs` of a training."""
    return Data(
        name=pairs.name,
        version=pairs.version,
        count=pairs.count,
        reference="sharp",
        read=lambda skip=0: itertools.islice(pairs.numpy_pairs(), skip, None),
        dataset=pairs.dataset if pairs.split in opening.MEASURED_SPLITS else None,
    )


def _compared(builder):
    """`Data.reference` of a dataset, and its features that are read."""
    features = builder.info.features
    if builder.info.supervised_keys or "blurry" not in features:
        return "sharp", opening.pair_keys(builder)
    if "frames" in features:
        return "frames", ("blurry", "frames")
    return "nothing", ("blurry",)


def _union(parts):
    """Several `Data`, one after the other; an image's name begins with its dataset's."""
    kinds = {part.reference: part.name for part in parts}
    if len(kinds) > 1:
        (one, first), (other, second), *_ = kinds.items()
        raise InputError(
            f"{first} is compared with {one}, {second} with {other}: evaluate each by itself."
        )

    def read(skip=0):
        for part in parts:
            left_out = min(skip, part.count)
            skip -= left_out
            for name, *pictures in part.read(left_out):
                yield f"{part.name.split()[0]}/{name}", *pictures

    return Data(
        name=" + ".join(part.name for part in parts),
        version=" + ".join(part.version for part in parts),
        count=sum(part.count for part in parts),
        reference=parts[0].reference,
        read=read,
        warning=" ".join(part.warning for part in parts if part.warning),
        pages=any(part.pages for part in parts),
    )


def _read_tfds(builder, split, keys, skip):
    import tensorflow as tf

    def decode(encoded):
        if np.ndim(encoded):
            return np.stack([decode(one) for one in encoded])
        return tf.io.decode_image(encoded, channels=3, expand_animations=False).numpy()

    examples = opening.read_encoded(builder, split, keys)
    for example in examples.skip(skip).as_numpy_iterator():
        blurry, *rest = (decode(example[key]) for key in keys)
        yield _name(example), blurry, rest[0] if rest else None


def _name(example):
    sequence = next((example[key] for key in _SEQUENCES if key in example), None)
    frame = next((example[key] for key in _FRAMES if key in example), None)
    parts = [part for part in (sequence, frame) if part is not None] or [example["tfds_id"]]
    return "/".join(part.decode() if isinstance(part, bytes) else f"{part:06d}" for part in parts)
