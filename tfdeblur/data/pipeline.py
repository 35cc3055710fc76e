"""From pairs of images to augmented training batches.

What a batch holds is a function of the seed and the step alone, so that a resumed run sees
what an uninterrupted one would have seen, and several workers together what one would have.
"""

import dataclasses
import functools
import math

import numpy as np
import tensorflow as tf

from tfdeblur.data.augment import AUGMENTATIONS
from tfdeblur.errors import InputError

# Encoded pairs are shuffled in blocks of this size. Two blocks are in memory, one being read while
# the other is used: 1 GiB, whatever the images' size. (GOPRO, of 2.4 MB a pair, has ten blocks.)
SHUFFLED_BYTES = 2**29
# Crops of at least so many images are mixed where an image gives more than one.
MIXED_IMAGES = 64


def batches(
    pairs,
    *,
    crop,
    batch_size,
    augmentations,
    seed,
    start_step=0,
    crops_per_image=1,
    shard=(0, 1),
    sampling=None,
):
    """Endless augmented training batches, from the given step on.

    Where an image gives several crops, it is decoded once for them. They go to as many batches,
    none with another, mixed with those of at least `MIXED_IMAGES` images, in memory meanwhile.

    Args:
        pairs: `Pairs`, whose images have at least `crop` pixels in height and width.
        crop: height and width of the training crops, in pixels.
        batch_size: crops per step, of all workers together.
        augmentations: keys of `AUGMENTATIONS`, applied in this order.
        seed: of the order, the crops and the augmentations.
        start_step: batches that have been used already; they are passed over without decoding.
        crops_per_image: how many crops of an image make an epoch.
        shard: (index, count) of this worker among several; each gets an equal part of every
            batch, and their parts, in the order of the workers, are the batch that one worker
            would get.
        sampling: "sequences" draws each sequence equally often, and as many pairs in an epoch as
            there are; None: each pair once.

    Returns:
        Dataset of (blurry, sharp), float32 `[batch_size / count, crop, crop, 3]` in [0, 1].

    Raises:
        InputError: `batch_size` is no multiple of the number of workers; or see
            `Pairs.uses_per_epoch`.
    """
    if batch_size % shard[1]:
        raise InputError(
            f"`batch_size={batch_size}` cannot be shared equally by {shard[1]} workers: choose a "
            "multiple."
        )
    schedule = Schedule(crop, batch_size, tuple(augmentations), seed, crops_per_image, shard)
    parallel = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
    first_group, used_steps = divmod(start_step, schedule.steps_per_group)
    uses = pairs.uses_per_epoch() if sampling == "sequences" else None
    examples = schedule.images(pairs, first_group, uses)
    cuts = examples.map(functools.partial(schedule.cut, pairs), **parallel)
    if crops_per_image == 1:
        cuts = cuts.unbatch()
    else:
        groups = cuts.batch(schedule.rows * schedule.own).prefetch(1).enumerate(first_group)
        cuts = groups.flat_map(schedule.mix).skip(used_steps * schedule.own)
    crops = cuts.enumerate(start_step * schedule.own).map(schedule.augment, **parallel)
    return crops.batch(schedule.own, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def staged_batches(pairs, stages, *, start_step=0, **settings):
    """`batches` whose crops and size change along the run: progressive learning.

    Every stage has the batches that it would have if the whole run were like it.

    Args:
        pairs: `Pairs`.
        stages: list of (number of steps, crop, batch size).
        start_step: batches that have been used already, of all stages together.
        **settings: other arguments of `batches`.

    Returns:
        As `batches`; the last stage is endless.
    """
    total = sum(steps for steps, _, _ in stages)
    parts, end = [], 0
    for steps, crop, batch_size in stages:
        begin, end = end, end + steps
        start = min(max(begin, start_step), end)
        part = batches(pairs, crop=crop, batch_size=batch_size, start_step=start, **settings)
        parts.append(part if end == total else part.take(end - start))
    # Those that are over, too: a resumed run has to have the graph of one that was not stopped.
    return functools.reduce(tf.data.Dataset.concatenate, parts)


@dataclasses.dataclass(frozen=True)
class Schedule:
    """What a worker's part of each training batch is made of.

    Crop i of a batch always comes from an image whose number in the order of use is i modulo the
    batch size, so that each worker decodes its own images only.

    Attributes:
        crop, batch_size, augmentations, seed, crops_per_image, shard: see `batches`.
    """

    crop: int
    batch_size: int
    augmentations: tuple[str, ...]
    seed: int
    crops_per_image: int
    shard: tuple[int, int]

    @property
    def own(self):
        """Crops of each batch that are this worker's."""
        return self.batch_size // self.shard[1]

    @property
    def first(self):
        """The place in the batch of the first of them."""
        return self.shard[0] * self.own

    @property
    def rows(self):
        """Batches of images whose crops are mixed with each other."""
        return math.ceil(MIXED_IMAGES / self.batch_size) if self.crops_per_image > 1 else 1

    @property
    def steps_per_group(self):
        """Batches that the crops of so many images make."""
        return self.rows * self.crops_per_image

    def images(self, pairs, first_group, uses):
        """Dataset of (number in the order of use, example) of this worker's images."""
        used = first_group * self.rows * self.batch_size
        examples = _ordered(pairs, self.seed, used, uses).enumerate(used)
        worker, workers = self.shard
        if workers == 1:
            return examples
        return examples.filter(lambda i, _: i % self.batch_size // self.own == worker)

    def cut(self, pairs, index, example):
        """The crops of an image: uint8 `[crops_per_image, 2, crop, crop, 3]`."""
        shape = [self.crops_per_image, 2]
        corners = tf.random.stateless_uniform(shape, _seed(self.seed, "crops", index))
        cuts = pairs.crops(example, corners, self.crop)
        return tf.ensure_shape(cuts, [*shape, self.crop, self.crop, 3])

    def mix(self, group, cuts):
        """From rows of images, `own` in each, to steps of as many crops, one of each column."""
        shape = (self.batch_size, self.steps_per_group)
        keys = tf.random.stateless_uniform(shape, _seed(self.seed, "mix", group))
        # [steps_per_group, own]
        order = tf.transpose(tf.argsort(keys)[self.first : self.first + self.own])
        row, number = order // self.crops_per_image, order % self.crops_per_image
        indices = tf.stack([row * self.own + tf.range(self.own), number], axis=-1)
        return _gathered(cuts, tf.reshape(indices, (-1, 2)))

    def augment(self, index, pair):
        """The worker's crop of this number, as (blurry, sharp), float32 in [0, 1]."""
        step, position = index // self.own, index % self.own
        number = step * self.batch_size + self.first + position
        blurry, sharp = tf.unstack(tf.cast(pair, tf.float32) / 255)
        for i, name in enumerate(self.augmentations):
            seed = _seed(self.seed, "augment", number, i)
            blurry, sharp = AUGMENTATIONS[name](blurry, sharp, seed)
        return blurry, sharp


def center_crops(pairs, *, crop, batch_size, limit):
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


def _ordered(pairs, seed, start, uses):
    """Examples epoch after epoch, each in an order of its own, from number `start` on.

    Args:
        uses: how often each comes in an epoch on average, of sum `pairs.count`; None: once.
    """
    first_epoch, used = divmod(start, pairs.count)
    block_size = max(1, min(pairs.count, int(SHUFFLED_BYTES / pairs.encoded_bytes)))

    def one_epoch(epoch):
        # Not `Dataset.shuffle`: its order would also depend on TensorFlow's global seed.
        def shuffled(number, block):
            size = tf.size(tf.nest.flatten(block)[0])
            order = tf.random.experimental.stateless_shuffle(
                tf.range(size), _seed(seed, "order", epoch, number)
            )
            return _gathered(block, order[:, None])

        examples = pairs.examples if uses is None else _repeated(pairs, uses, seed, epoch)
        blocks = examples.batch(block_size).prefetch(1)
        return blocks.enumerate().flat_map(shuffled)

    epochs = tf.data.Dataset.range(first_epoch, tf.int64.max)
    return epochs.flat_map(one_epoch).skip(used)


def _repeated(pairs, uses, seed, epoch):
    """Each example as often as it comes in this epoch: `uses`, rounded up or down by chance."""
    offset = tf.random.stateless_uniform([], _seed(seed, "uses", epoch), dtype=tf.float64)
    # Rounded, so that the last sum is a whole number and all epochs are equally long.
    sums = np.rint(np.cumsum([0, *uses]) * 2**20) / 2**20
    numbers = tf.cast(tf.floor(sums + offset), tf.int64)
    counts = numbers[1:] - numbers[:-1]
    return pairs.examples.enumerate().flat_map(
        lambda i, example: tf.data.Dataset.from_tensors(example).repeat(counts[i])
    )


def _gathered(columns, indices):
    """Dataset of the elements of batched tensors at `indices` `[N, axes]`, one at a time."""
    return tf.data.Dataset.from_tensor_slices(indices).map(
        lambda index: tf.nest.map_structure(lambda column: tf.gather_nd(column, index), columns)
    )


def _seed(seed, purpose, *numbers):
    """A seed for each purpose and each number, independent of all others."""
    purposes = ("order", "crops", "mix", "augment", "uses")
    folded = tf.constant([seed, purposes.index(purpose)], tf.int64)
    for number in numbers:
        folded = tf.random.experimental.stateless_fold_in(folded, tf.cast(number, tf.int64))
    return folded


def _to_float(image):
    return tf.cast(image, tf.float32) / 255
