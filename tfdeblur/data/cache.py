"""Decoded training images: kept in memory, or cut into patches that are kept on disk.

Decoding a PNG file costs several times as much as augmenting a crop of it. Both stores do it once;
crops are then copied out of memory, or out of files that the operating system maps into it.
"""

import dataclasses
import json
import os
import pathlib
import re
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tqdm

from tfdeblur import files, memory
from tfdeblur.data.pairs import Pairs, crop_arrays
from tfdeblur.errors import InputError, reason

IN_MEMORY = "ram"
MANIFEST = "patches.json"  # written last: a folder that has it is complete
SHARD_BYTES = 2**30


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodedPairs(Pairs):
    """`Pairs` that take their crops from decoded images.

    Attributes:
        images: per pair or patch, uint8 `[2, H, W, 3]`: blurry, sharp.
    """

    images: Sequence[np.ndarray]

    @property
    def examples(self):
        return tf.data.Dataset.range(len(self.images))

    def crops(self, example, corners, side):
        def copy(index, corners):
            return crop_arrays(*self.images[index], corners, side)

        return tf.numpy_function(copy, [example, corners], tf.uint8, stateful=False)


def open_cache(pairs, where, crop):
    """The pairs that the flag --cache makes of those of a dataset.

    Args:
        pairs: `pairs.Pairs`.
        where: `IN_MEMORY`, or a folder for patches.
        crop: height and width of training crops, in pixels; patches are twice as large.

    Raises:
        InputError: see `keep_in_memory` and `cut_patches`.
    """
    return keep_in_memory(pairs) if where == IN_MEMORY else cut_patches(pairs, where, 2 * crop)


def keep_in_memory(pairs):
    """All images, decoded, in memory. Training batches are those that `pairs` gives.

    Raises:
        InputError: they do not fit, or one is broken.
    """
    images, used = [], 0
    for image in _decoded(pairs, f"decoding {pairs.name}"):
        used += image.nbytes
        needed, free = used / (len(images) + 1) * (pairs.count - len(images)), memory.available()
        if free is not None and needed > free:
            raise InputError(
                f"`cache={IN_MEMORY}` needs about {needed / 2**30:.1f} GiB of memory for the "
                f"{pairs.count} decoded pairs of {pairs.name}, {free / 2**30:.1f} GiB are free: "
                "give `cache` a folder, for patches on disk."
            )
        images.append(image)
    return DecodedPairs(**_fields(pairs), images=images)


def cut_patches(pairs, folder, side):
    """Overlapping patches of all images, in files that are written once.

    A crop never crosses the border of a patch. Neighbours overlap by a quarter of their side or
    more; an image smaller than `side` is a single patch, or a row of them.

    Args:
        pairs: `pairs.Pairs`.
        folder: where the files are, or else are put: several of about 1 GiB, decoded, and
            `MANIFEST`. They appear together or not at all.
        side: height and width of the patches, in pixels.

    Returns:
        `DecodedPairs`, whose `count` is that of the patches.

    Raises:
        InputError: an image is broken, the folder cannot be written, or it holds something else,
            such as patches of another version of the dataset or of another size.
    """
    folder = pathlib.Path(folder)
    made_of = {"data": pairs.name, "version": pairs.version, "side": side}
    with files.locked(folder, waiting=True):
        if not os.path.lexists(folder / MANIFEST):
            _write_patches(pairs, folder, side, made_of)
    manifest = files.read_json(folder / MANIFEST, f"name another folder than `cache={folder}`")
    if not isinstance(manifest.get("shards"), list) or "patches" not in manifest:
        raise InputError(f"`cache={folder}` holds no patches of tfdeblur: name a new folder.")
    for key, value in made_of.items():
        if manifest.get(key) != value:
            raise InputError(
                f"`cache={folder}` holds patches of other images or another size ({key}: "
                f"{manifest.get(key)!r}, now {value!r}): delete it, or name another folder."
            )
    try:
        images = _map_patches(manifest, folder, side)
    except (OSError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise InputError(
            f"`cache={folder}` is damaged ({reason(error)}): remove it, or name another folder."
        ) from error
    fields = _fields(pairs) | {
        "name": f"{pairs.name}, in {side}x{side} patches",
        "count": len(images),
        "encoded_bytes": 8,  # a number; the whole epoch is shuffled
    }
    return DecodedPairs(**fields, images=images)


def _map_patches(manifest, folder, side):
    shards = []
    for name in manifest["shards"]:
        if not re.fullmatch(r"patches-\d{5}\.bin", name) or not (folder / name).is_file():
            raise ValueError(f"{name!r} is no file of patches")
        shards.append(np.memmap(folder / name, np.uint8, "r"))
    images = []
    for shard, start, height, width in manifest["patches"]:
        size = 6 * height * width
        if not (0 < height <= side and 0 < width <= side and shard >= 0 and start >= 0):
            raise ValueError("a patch has an impossible place or size")
        if start + size > shards[shard].size:
            raise ValueError("a file of patches is too short")
        images.append(shards[shard][start : start + size].reshape(2, height, width, 3))
    return images


def _write_patches(pairs, folder, side, made_of):
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"`cache={folder}` holds no patches: name a new folder.")
    try:
        # Not the same for all: several workers may write at once, and the first to end wins.
        with files.new_folder(folder) as temporary:
            manifest = {**made_of, **_write_shards(pairs, temporary, side)}
            (temporary / MANIFEST).write_text(json.dumps(manifest))
            if not (folder / MANIFEST).exists():
                temporary.replace(folder)
    except OSError as error:
        raise InputError(
            f"`cache={folder}` cannot be written ({error.strerror}). Patches take four to eight "
            f"times the space of PNG files: name another folder, or make room (a run that was "
            f"killed may have left {files.INCOMPLETE}*-{folder.name} beside it)."
        ) from error


def _write_shards(pairs, folder, side):
    shards, patches = [], []
    file = None
    try:
        for image in _decoded(pairs, f"cutting {pairs.name} into patches"):
            if file is None or file.tell() > SHARD_BYTES:
                if file:
                    file.close()
                shards.append(f"patches-{len(shards):05d}.bin")
                file = open(folder / shards[-1], "wb")  # noqa: SIM115
            for patch in _patches(image, side):
                patches.append((len(shards) - 1, file.tell(), *patch.shape[1:3]))
                file.write(np.ascontiguousarray(patch))
    finally:
        if file:
            file.close()
    return {"shards": shards, "patches": patches}


def _patches(image, side):
    height, width = (min(side, length) for length in image.shape[1:3])
    for top in _starts(image.shape[1], height):
        for left in _starts(image.shape[2], width):
            yield image[:, top : top + height, left : left + width]


def _starts(length, side):
    """Of the fewest patches that overlap by a quarter of `side` or more, evenly spaced."""
    count = 1 + -(-(length - side) * 4 // (side * 3))
    return np.linspace(0, length - side, count).astype(int)


def _decoded(pairs, doing):
    """Yields each pair as uint8 `[2, H, W, 3]`, in order."""

    def decode(name, blurry, sharp):
        blurry, sharp = pairs.read(blurry), pairs.read(sharp)
        tf.debugging.assert_equal(tf.shape(blurry), tf.shape(sharp), "a pair differs in size")
        return tf.stack([blurry, sharp])

    decoded = pairs.encoded.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    number = 0
    try:
        images = decoded.as_numpy_iterator()
        for image in tqdm.tqdm(images, doing, pairs.count, unit="pair", disable=None):
            yield image
            number += 1
    except tf.errors.InvalidArgumentError as error:
        ((name, *_),) = pairs.encoded.skip(number).take(1)
        raise InputError(
            f"{name.numpy().decode()} of {pairs.name} is broken or differs in size from its "
            "partner: replace or remove it."
        ) from error


def _fields(pairs):
    return {field.name: getattr(pairs, field.name) for field in dataclasses.fields(pairs)}
