"""Pairs of blurry and sharp images, from TFDS datasets or from two folders."""

import dataclasses
import hashlib
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfdeblur.data import opening, png
from tfdeblur.errors import InputError
from tfdeblur.io import images, pairing

SEQUENCES = ("sequence", "clip", "scene")  # features of datasets that name one
VALIDATION_SHARE = 0.02  # of the training pairs, on which the best network is chosen


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Blurry and sharp images, still encoded, so that shuffling moves no pixels.

    Attributes:
        name: where they come from, for reports.
        version: changes when their pixels or their order do.
        count: how many pairs.
        encoded: dataset of (name, blurry, sharp) string tensors.
        encoded_bytes: that one element of `encoded` has, on average.
        load: maps an encoded image, which may be a path, to the bytes of its file.
        dataset, split: of TFDS, without its version; None where they are from folders.
        sequences: function that reads which sequence each pair is of, a list of names in order;
            None where that is not known.
    """

    name: str
    version: str
    count: int
    encoded: tf.data.Dataset
    encoded_bytes: float
    load: Callable
    dataset: str | None = None
    split: str | None = None
    sequences: Callable | None = None

    def read(self, encoded):
        """An encoded image as a uint8 tensor `[H, W, 3]`."""
        return _decode(self.load(encoded))

    def uses_per_epoch(self):
        """How often each pair comes in an epoch in which all sequences come equally often.

        Returns:
            float64 array `[count]` of sum `count`.

        Raises:
            InputError: it is not known which pairs are of one sequence.
        """
        names = self.sequences() if self.sequences else []
        if len(names) != self.count:
            raise InputError(
                f"{self.name} does not tell which pairs are of one sequence, and this recipe draws "
                "each sequence equally often: leave out `cache`, or choose another `dataset`."
            )
        _, numbers, lengths = np.unique(names, return_inverse=True, return_counts=True)
        return self.count / len(lengths) / lengths[numbers]

    @property
    def examples(self):
        """Dataset of what `crops` takes: `count` elements, always in the same order."""
        return self.encoded

    def crops(self, example, corners, side):
        """The same squares of a pair's blurry and sharp image.

        Args:
            example: an element of `examples`.
            corners: float32 `[K, 2]` in [0, 1): where each square lies, from the top and the left,
                as shares of the room that it has.
            side: of the squares, in pixels.

        Returns:
            uint8 tensor `[K, 2, side, side, 3]`.

        Raises:
            tf.errors.InvalidArgumentError: an image is broken or smaller than `side`, or the two
                differ in size.
        """
        _, blurry, sharp = example
        files = [self.load(blurry), self.load(sharp)]

        def decode_partly():
            return tf.numpy_function(_crop_png, [*files, corners, side], tf.uint8, stateful=False)

        def decode_wholly():
            pair = [_decode(file) for file in files]
            tf.debugging.assert_equal(*map(tf.shape, pair), "a pair differs in size")
            return tf.numpy_function(crop_arrays, [*pair, corners, side], tf.uint8, stateful=False)

        if not png.AVAILABLE:
            return decode_wholly()
        return tf.cond(
            tf.reduce_all([_is_plain_png(file) for file in files]), decode_partly, decode_wholly
        )

    def numpy_pairs(self, limit=None):
        """Yields (name, blurry, sharp), images as uint8 `[H, W, 3]`, one pair at a time."""
        for name, blurry, sharp in self.encoded.take(-1 if limit is None else limit):
            yield name.numpy().decode(), self.read(blurry).numpy(), self.read(sharp).numpy()


def from_tfds(name, split, data_dir=None, manual_dir=None):
    """The pairs of a TFDS dataset, which is built first where that has not been done.

    Args:
        name: such as "dead_leaves" or "gopro/blur_gamma"; any dataset whose `supervised_keys`
            are a blurry and a sharp image. "a+b" is the union of two, evenly mixed.
        split: such as "train", "test" or "train[:10%]"; see `opening.measured_split`.
        data_dir: where TFDS keeps its datasets; None: its default.
        manual_dir: where files are that the user has downloaded; None: TFDS's default, below
            `data_dir`.

    Raises:
        InputError: unknown dataset or split, no pairs of images, or files to build it are missing
            or broken.
    """
    parts = [_from_tfds(part, split, data_dir, manual_dir) for part in name.split("+")]
    return parts[0] if len(parts) == 1 else _union(parts)


def _from_tfds(name, split, data_dir, manual_dir):
    keys = opening.pair_keys(opening.find_builder(name, data_dir))  # before it is built
    builder, count = opening.open_dataset(name, split, data_dir, manual_dir)
    split = opening.measured_split(builder, split)
    blurry, sharp = keys
    examples = opening.read_encoded(builder, split, keys)
    examples_in_all = builder.info.splits.total_num_examples
    return Pairs(
        name=f"{builder.info.full_name} {split}",
        version=f"{count} of {examples_in_all} examples, {builder.info.dataset_size} bytes in all",
        count=count,
        encoded=examples.map(lambda x: (x["tfds_id"], x[blurry], x[sharp])),
        encoded_bytes=max(1, builder.info.dataset_size / examples_in_all),
        load=tf.identity,
        dataset=opening.dataset_name(builder),
        split=split,
        sequences=_sequences(builder, examples),
    )


def _sequences(builder, examples):
    feature = next((x for x in SEQUENCES if x in builder.info.features), None)
    if feature is None:
        return None
    names = examples.map(lambda x: x[feature])
    return lambda: [str(name) for name in names.as_numpy_iterator()]


def _union(parts):
    """Several `Pairs` from TFDS as one: each goes on evenly from the first pair to the last."""
    places = [(np.arange(part.count) + 0.5) / part.count for part in parts]
    owners = np.repeat(np.arange(len(parts)), [part.count for part in parts])
    turns = tf.data.Dataset.from_tensor_slices(owners[np.argsort(np.concatenate(places))])
    count = sum(part.count for part in parts)
    mixed = tf.data.Dataset.choose_from_datasets([part.encoded for part in parts], turns)
    return Pairs(
        name=" + ".join(part.name for part in parts),
        version=" + ".join(part.version for part in parts),
        count=count,
        encoded=mixed.apply(tf.data.experimental.assert_cardinality(count)),
        encoded_bytes=sum(part.count * part.encoded_bytes for part in parts) / count,
        load=tf.identity,
        dataset="+".join(part.dataset for part in parts),
        split=parts[0].split,
    )


def from_folders(blurry_dir, sharp_dir, smallest=1, pairs=None):
    """The pairs of two folders.

    Images in formats that TensorFlow cannot read (TIFF, CMYK, 16-bit greyscale, ...) are converted
    to PNG in memory, once.

    Args:
        blurry_dir, sharp_dir, pairs: see `pairing.find_pairs`.
        smallest: pixels that the height and width of every image must have.

    Raises:
        InputError: see `pairing.find_pairs`; or an image is smaller than `smallest`.
    """
    files = _find(blurry_dir, sharp_dir, smallest, pairs)
    return _from_files(files, _described(blurry_dir, sharp_dir, pairs))


def split_folders(blurry_dir, sharp_dir, smallest=1, validation=False, pairs=None):
    """The pairs of two folders, for training and, the last tenth by name, for testing.

    Neighbours in name are often neighbours in a video: a random split would test on what was
    trained on. Arguments and errors are those of `from_folders`, and one pair is too few.

    Args:
        validation: whether the `VALIDATION_SHARE` before those is set apart, too.

    Returns:
        (training `Pairs`, test `Pairs`); with `validation`, those `Pairs` between them, or None
        where there are too few.
    """
    files = _find(blurry_dir, sharp_dir, smallest, pairs)
    name = _described(blurry_dir, sharp_dir, pairs)
    if len(files) < 2:
        raise InputError(f"{name} is one pair: training needs two or more.")
    tested = max(1, len(files) // 10)
    trained, test = files[:-tested], _from_files(files[-tested:], f"{name}, the last {tested}")
    apart = round(VALIDATION_SHARE * len(trained)) if validation else 0
    if not apart:
        train = _from_files(trained, f"{name}, all but the last {tested}")
        return (train, None, test) if validation else (train, test)
    return (
        _from_files(trained[:-apart], f"{name}, all but the last {apart + tested}"),
        _from_files(trained[-apart:], f"{name}, {apart} before the last {tested}"),
        test,
    )


def open_pairs(
    recipe,
    data_dir=None,
    blurry_dir=None,
    sharp_dir=None,
    manual_dir=None,
    validation="train",
    pairs=None,
):
    """What a recipe trains on, chooses its best network by, and is tested on.

    Args:
        recipe: a `recipes.Recipe`.
        data_dir, manual_dir: see `from_tfds`.
        blurry_dir, sharp_dir, pairs: two folders, or a list, instead of the recipe's dataset: see
            `pairing.find_pairs`.
        validation: "train" sets `VALIDATION_SHARE` of the training pairs apart; "test" takes the
            test pairs, as most papers' authors do.

    Returns:
        `Pairs` for training, for validation (the test pairs where there are too few to set any
        apart), and for testing.

    Raises:
        InputError: one of the folders is not given; or see `from_tfds` and `split_folders`.
    """
    if blurry_dir or sharp_dir or pairs:
        apart = validation == "train"
        train, *between, test = split_folders(blurry_dir, sharp_dir, recipe.crop, apart, pairs)
        return train, (between and between[0]) or test, test
    train, test = (
        from_tfds(name, split, data_dir, manual_dir)
        for name, split in (
            (recipe.dataset, recipe.train_split),
            (recipe.test_dataset, recipe.test_split),
        )
    )
    if validation != "train" or "[" in recipe.train_split:
        return train, test, test
    percent = 100 - round(100 * VALIDATION_SHARE)
    kept, apart = (f"{recipe.train_split}[{part}]" for part in (f":{percent}%", f"{percent}%:"))
    builders = {name: opening.find_builder(name, data_dir) for name in recipe.dataset.split("+")}
    large = [name for name in builders if opening.count_examples(builders[name], apart)]
    if not large:
        return train, test, test
    train, apart = (
        from_tfds(name, split, data_dir, manual_dir)
        for name, split in ((recipe.dataset, kept), ("+".join(large), apart))
    )
    return train, apart, test


def crop_arrays(blurry, sharp, corners, side):
    """`Pairs.crops` of two decoded images, as uint8 arrays `[H, W, 3]`.

    Raises:
        ValueError: the images are smaller than `side`.
    """
    corners = _in_pixels(corners, blurry.shape[:2], side)
    return np.stack(
        [
            [image[top : top + side, left : left + side] for image in (blurry, sharp)]
            for top, left in corners
        ]
    )


def _described(blurry_dir, sharp_dir, pairs):
    folders = " and ".join(str(folder) for folder in (blurry_dir, sharp_dir) if folder)
    return " ".join(filter(None, [folders, pairs and f"({pairs})"]))


def _find(blurry_dir, sharp_dir, smallest, pairs):
    files = pairing.find_pairs(blurry_dir, sharp_dir, pairs)
    for pair in files:
        if min(pair.size) < smallest:
            width, height = pair.size
            raise InputError(
                f"{pair.blurry} is {width}x{height} pixels, smaller than the training crop of "
                f"{smallest}x{smallest}: remove the pair, or choose a smaller `crop`."
            )
    return files


def _from_files(files, name):
    columns = (
        [pair.name for pair in files],
        [_readable(pair.blurry) for pair in files],
        [_readable(pair.sharp) for pair in files],
    )
    return Pairs(
        name=name,
        version=_fingerprint(files),
        count=len(files),
        encoded=tf.data.Dataset.from_tensor_slices(columns),
        encoded_bytes=sum(len(text) for column in columns for text in column) / len(files),
        load=_load,
        sequences=lambda: [pair.name.rpartition("/")[0] for pair in files],
    )


def _fingerprint(files):
    """Of the files' names, sizes and times of change."""
    digest = hashlib.sha256()
    for path in [path for pair in files for path in (pair.blurry, pair.sharp)]:
        status = os.stat(path)
        digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _is_plain_png(file):
    is_png = tf.strings.substr(file, 0, len(png.SIGNATURE)) == png.SIGNATURE
    return is_png & (tf.strings.substr(file, png.PLAIN_AT, len(png.PLAIN)) == png.PLAIN)


def _crop_png(blurry, sharp, corners, side):
    """`crop_arrays`, of the bytes of two plain PNG files."""
    if png.size(blurry) != png.size(sharp):
        raise ValueError("a pair differs in size")
    corners = _in_pixels(corners, png.size(blurry), side)
    return np.stack([png.crops(file, corners, side) for file in (blurry, sharp)], axis=1)


def _in_pixels(corners, size, side):
    """List of (top, left)."""
    room = np.subtract(size, side - 1)
    if room.min() < 1:
        raise ValueError("an image is smaller than the crop")
    return [(int(top), int(left)) for top, left in corners * room.astype(np.float32)]


def _decode(content):
    image = tf.io.decode_image(content, channels=3, expand_animations=False)
    return tf.ensure_shape(image, (None, None, 3))


def _load(path_or_png):
    is_png = tf.strings.substr(path_or_png, 0, len(png.SIGNATURE)) == png.SIGNATURE
    return tf.cond(is_png, lambda: path_or_png, lambda: tf.io.read_file(path_or_png))


def _readable(path):
    """The path of a file that TensorFlow decodes as `images.read` does, else its pixels as PNG."""
    return str(path) if images.is_plain(path) else images.encode_png(images.read(path))
