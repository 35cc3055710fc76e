"""Pairs of images from a TFDS dataset or from two folders, to augmented training batches.

What a batch holds is a function of the seed and the step alone, so that a resumed run sees
what an uninterrupted one would have seen.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from tfdeblur import images
from tfdeblur.augment import AUGMENTATIONS, random_crop
from tfdeblur.errors import InputError


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Blurry and sharp images, still encoded, so that shuffling moves no pixels.

    Attributes:
        name: where they come from, for reports.
        count: how many pairs.
        encoded: dataset of (name, blurry, sharp) string tensors.
        read: maps an encoded image (or a path) to uint8 `[H, W, 3]`.
    """

    name: str
    count: int
    encoded: tf.data.Dataset
    read: Callable

    def numpy_pairs(self, limit=None):
        """Yields (name, blurry, sharp), images as uint8 `[H, W, 3]`, one pair at a time."""
        for name, blurry, sharp in self.encoded.take(-1 if limit is None else limit):
            yield name.numpy().decode(), self.read(blurry).numpy(), self.read(sharp).numpy()


def from_tfds(name, split, data_dir=None):
    """The pairs of a TFDS dataset, which is built first where that has not been done.

    Args:
        name: such as "dead_leaves" or "gopro/blur_gamma"; any dataset whose `supervised_keys`
            are a blurry and a sharp image.
        split: such as "train", "test" or "train[:10%]".
        data_dir: where TFDS keeps its datasets; None: its default.

    Raises:
        InputError: unknown dataset or split, or no pairs of images.
    """
    import tensorflow_datasets as tfds

    import tfdeblur.datasets  # registers our builders

    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        ours = ", ".join(x.removesuffix("_dataset_builder") for x in tfdeblur.datasets.__all__)
        raise InputError(
            f"the dataset {name} (of the recipe, or --dataset) is unknown to TFDS. tfdeblur brings "
            f"{ours}; or give your own pairs, --blurry_dir and --sharp_dir."
        ) from error
    keys = builder.info.supervised_keys
    if not keys or any(not isinstance(builder.info.features[k], tfds.features.Image) for k in keys):
        raise InputError(f"--dataset={name}: its supervised_keys {keys} are no pair of images.")
    try:
        builder.download_and_prepare()
    except OSError as error:  # no network, no space, no permission
        raise InputError(f"--dataset={name} could not be built in --data_dir: {error}") from error
    try:
        count = builder.info.splits[split].num_examples
    except (KeyError, ValueError) as error:
        raise InputError(f"--dataset={name} has no split {split!r}: {error}") from error
    blurry, sharp = keys
    examples = builder.as_dataset(
        split=split,
        decoders={key: tfds.decode.SkipDecoding() for key in keys},
        read_config=tfds.ReadConfig(
            interleave_cycle_length=1, add_tfds_id=True, try_autocache=False
        ),
    )
    encoded = examples.map(lambda x: (x["tfds_id"], x[blurry], x[sharp]))
    return Pairs(f"{builder.info.full_name} {split}", count, encoded, _decode)


def from_folders(blurry_dir, sharp_dir, smallest=1):
    """The pairs of two folders, partners having the same path below them, suffixes aside.

    Images in formats that TensorFlow cannot read (TIFF, CMYK, 16-bit greyscale, ...) are converted
    to PNG in memory, once.

    Args:
        smallest: pixels that the height and width of every image must have.

    Raises:
        InputError: see `images.find_pairs`; or an image is smaller than `smallest`.
    """
    return _from_files(_find(blurry_dir, sharp_dir, smallest), f"{blurry_dir} and {sharp_dir}")


def split_folders(blurry_dir, sharp_dir, smallest=1):
    """The pairs of two folders, for training and, the last tenth by name, for testing.

    Neighbours in name are often neighbours in a video: a random split would test on what was
    trained on. Arguments and errors are those of `from_folders`, and one pair is too few.

    Returns:
        (training `Pairs`, test `Pairs`).
    """
    files = _find(blurry_dir, sharp_dir, smallest)
    if len(files) < 2:
        raise InputError(f"--blurry_dir={blurry_dir} holds one pair: training needs two or more.")
    tested = max(1, len(files) // 10)
    name = f"{blurry_dir} and {sharp_dir}"
    return (
        _from_files(files[:-tested], f"{name}, all but the last {tested}"),
        _from_files(files[-tested:], f"{name}, the last {tested}"),
    )


def open_pairs(recipe, data_dir=None, blurry_dir=None, sharp_dir=None):
    """What a recipe trains and is tested on: its dataset, or two folders instead.

    Returns:
        (training `Pairs`, test `Pairs`).

    Raises:
        InputError: one of the folders is not given; or see `from_tfds` and `split_folders`.
    """
    if blurry_dir and sharp_dir:
        return split_folders(blurry_dir, sharp_dir, smallest=recipe.crop)
    if blurry_dir or sharp_dir:
        raise InputError("--blurry_dir and --sharp_dir go together: give both.")
    return tuple(
        from_tfds(recipe.dataset, split, data_dir)
        for split in (recipe.train_split, recipe.test_split)
    )


def batches(pairs, *, crop, batch_size, augmentations, seed, start_step=0, shuffle_buffer=1024):
    """Endless augmented training batches, from the given step on.

    Args:
        pairs: `Pairs`, whose images have at least `crop` pixels in height and width.
        crop: height and width of the training crops, in pixels.
        augmentations: keys of `AUGMENTATIONS`, applied in this order.
        seed: of the order, the crops and the augmentations.
        start_step: batches that have been used already; they are passed over without decoding.
        shuffle_buffer: how many pairs, still encoded, are shuffled among each other at a time.

    Returns:
        Dataset of (blurry, sharp), float32 `[batch_size, crop, crop, 3]` in [0, 1].
    """
    start = start_step * batch_size
    first_epoch, used = divmod(start, pairs.count)

    def one_epoch(epoch):
        # Not `Dataset.shuffle`: its order would also depend on TensorFlow's global seed.
        blocks = pairs.encoded.batch(shuffle_buffer).enumerate()
        return blocks.map(lambda i, block: _shuffled(block, (epoch, seed + i))).unbatch()

    def load(index, pair):
        _, blurry, sharp = pair
        seeds = tf.random.split((index, seed), len(augmentations) + 1)
        blurry, sharp = random_crop(pairs.read(blurry), pairs.read(sharp), seeds[0], crop)
        blurry, sharp = _to_float(blurry), _to_float(sharp)
        for name, example_seed in zip(augmentations, tf.unstack(seeds[1:]), strict=True):
            blurry, sharp = AUGMENTATIONS[name](blurry, sharp, example_seed)
        return blurry, sharp

    epochs = tf.data.Dataset.range(first_epoch, tf.int64.max)
    examples = epochs.flat_map(one_epoch).skip(used).enumerate(start)
    examples = examples.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return examples.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def middle_crops(pairs, *, crop, batch_size, limit):
    """The middle `crop` x `crop` pixels of the first `limit` pairs, for validation.

    Returns:
        Dataset of (blurry, sharp), float32 `[<= batch_size, crop, crop, 3]` in [0, 1], cached.
    """

    def middle(image):
        return tf.ensure_shape(
            _to_float(tf.image.resize_with_crop_or_pad(image, crop, crop)), (crop, crop, 3)
        )

    examples = pairs.encoded.take(limit).map(
        lambda _, blurry, sharp: (middle(pairs.read(blurry)), middle(pairs.read(sharp)))
    )
    return examples.batch(batch_size).cache()


def _find(blurry_dir, sharp_dir, smallest):
    files = images.find_pairs(blurry_dir, sharp_dir)
    for pair in files:
        if min(pair.size) < smallest:
            width, height = pair.size
            raise InputError(
                f"{pair.blurry} is {width}x{height} pixels, smaller than the training crop of "
                f"{smallest}x{smallest}: remove the pair, or choose a smaller --crop."
            )
    return files


def _from_files(files, name):
    columns = (
        [pair.name for pair in files],
        [_readable(pair.blurry) for pair in files],
        [_readable(pair.sharp) for pair in files],
    )
    return Pairs(name, len(files), tf.data.Dataset.from_tensor_slices(columns), _read)


def _shuffled(block, seed):
    order = tf.random.experimental.stateless_shuffle(tf.range(tf.size(block[0])), seed)
    return tuple(tf.gather(column, order) for column in block)


def _decode(content):
    image = tf.io.decode_image(content, channels=3, expand_animations=False)
    return tf.ensure_shape(image, (None, None, 3))


def _read(path_or_png):
    is_png = tf.strings.substr(path_or_png, 0, 4) == b"\x89PNG"
    return _decode(tf.cond(is_png, lambda: path_or_png, lambda: tf.io.read_file(path_or_png)))


def _readable(path):
    """The path of a file that TensorFlow decodes as `images.read` does, else its pixels as PNG."""
    return str(path) if images.is_plain(path) else images.encode_png(images.read(path))


def _to_float(image):
    return tf.cast(image, tf.float32) / 255
