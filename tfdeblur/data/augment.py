"""Augmentations of training pairs: pure functions (blurry, sharp, seed) -> (blurry, sharp).

Images are float32 `[H, W, 3]` in [0, 1]. `seed` is an int32 or int64 tensor of shape `[2]`; the
same seed gives the same result, on every run and every machine.
"""

import math

import tensorflow as tf


def flip_horizontally(blurry, sharp, seed):
    """Mirrors left and right in half of all cases.

    Args:
        blurry, sharp: float32 `[H, W, 3]` in [0, 1], of one size.
        seed: int32 or int64 `[2]`.

    Returns:
        (blurry, sharp), changed in the same way.

    >>> pixels = tf.reshape(tf.range(6.0), (1, 2, 3))
    >>> flipped, same = flip_horizontally(pixels, pixels, seed=[0, 1])
    >>> bool(tf.reduce_all(flipped == same))
    True
    """
    return _in_half_of_cases(tf.image.flip_left_right, blurry, sharp, seed)


def flip_vertically(blurry, sharp, seed):
    """Mirrors top and bottom in half of all cases.

    Args:
        blurry, sharp: float32 `[H, W, 3]` in [0, 1], of one size.
        seed: int32 or int64 `[2]`.

    Returns:
        (blurry, sharp), changed in the same way.
    """
    return _in_half_of_cases(tf.image.flip_up_down, blurry, sharp, seed)


def rotate_by_90(blurry, sharp, seed):
    """Turns by 0, 90, 180 or 270 degrees; the images are square.

    Args:
        blurry, sharp: float32 `[S, S, 3]` in [0, 1], of one size.
        seed: int32 or int64 `[2]`.

    Returns:
        (blurry, sharp), changed in the same way.
    """
    turns = tf.random.stateless_uniform([], seed, 0, 4, tf.int32)
    shape = blurry.shape
    return tuple(tf.ensure_shape(tf.image.rot90(image, turns), shape) for image in (blurry, sharp))


def rotate_by_any_angle(blurry, sharp, seed):
    """Turns by a uniformly random angle about the middle, bilinearly, reflecting at the border.

    Source: the first arXiv version of Nah et al. 2017; the published one turns by right angles.

    Args:
        blurry, sharp: float32 `[H, W, 3]` in [0, 1], of one size.
        seed: int32 or int64 `[2]`.

    Returns:
        (blurry, sharp), changed in the same way.
    """
    angle = tf.random.stateless_uniform([], seed, 0, 2 * math.pi)
    cos, sin = tf.cos(angle), tf.sin(angle)
    height, width = tf.unstack(tf.cast(tf.shape(blurry)[:2], tf.float32))
    y, x = (height - 1) / 2, (width - 1) / 2
    transform = [cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y, 0.0, 0.0]
    turned = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.stack([blurry, sharp]),
        transforms=[transform],
        output_shape=tf.shape(blurry)[:2],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    turned = tf.ensure_shape(turned, [2, *blurry.shape])
    return turned[0], turned[1]


def permute_channels(blurry, sharp, seed):
    """Puts red, green and blue in a random order.

    Args:
        blurry, sharp: float32 `[H, W, 3]` in [0, 1], of one size.
        seed: int32 or int64 `[2]`.

    Returns:
        (blurry, sharp), changed in the same way.
    """
    order = tf.random.experimental.stateless_shuffle([0, 1, 2], seed)
    permutation = tf.one_hot(order, 3)  # a product is exact, and five times as fast as a gather
    return tf.matmul(blurry, permutation), tf.matmul(sharp, permutation)


def scale_saturation(blurry, sharp, seed):
    """Multiplies the saturation in HSV by a factor from U[0.5, 1.5].

    The product is clipped to 1 in HSV; Nah et al.'s code clips what it gives in RGB.

    Args:
        blurry, sharp: float32 `[H, W, 3]` in [0, 1], of one size.
        seed: int32 or int64 `[2]`.

    Returns:
        (blurry, sharp), changed in the same way.
    """
    factor = tf.random.stateless_uniform([], seed, 0.5, 1.5)
    return tf.image.adjust_saturation(blurry, factor), tf.image.adjust_saturation(sharp, factor)


def scale_saturation_rarely(blurry, sharp, seed):
    """In a tenth of cases, multiplies the saturation in HSV by a factor from U[0.5, 1.5].

    Not clipped, as `add_noise` follows, which clips both images. Source: the code behind the tables
    of Nah et al. 2017.

    Args:
        blurry, sharp: float32 `[H, W, 3]` in [0, 1], of one size.
        seed: int32 or int64 `[2]`.

    Returns:
        (blurry, sharp), changed in the same way.
    """
    coin, factor = tf.unstack(tf.random.stateless_uniform([2], seed))
    factor = tf.where(coin < 0.1, 0.5 + factor, 1.0)

    def scale(image):
        # The brightest channel is HSV's value, and stays.
        brightest = tf.reduce_max(image, axis=-1, keepdims=True)
        return brightest - factor * (brightest - image)

    return scale(blurry), scale(sharp)


def sharp_as_input(blurry, sharp, seed):
    """In a tenth of cases, the sharp image in place of the blurry one.

    Source: the code behind the tables of Nah et al. 2017.

    Args:
        blurry, sharp: float32 `[H, W, 3]` in [0, 1], of one size.
        seed: int32 or int64 `[2]`.

    Returns:
        (blurry, sharp), sharp as it was.
    """
    return tf.where(tf.random.stateless_uniform([], seed) < 0.1, sharp, blurry), sharp


def blend_with_grey(blurry, sharp, seed):
    """In a third of cases, multiplies the distance from grey by a factor from U[0.8, 1.2].

    Grey is the luminance of each pixel; the result is clipped to [0, 1]. Source: the released code
    of MPRNet (Zamir et al. 2021).

    Args:
        blurry, sharp: float32 `[H, W, 3]` in [0, 1], of one size.
        seed: int32 or int64 `[2]`.

    Returns:
        (blurry, sharp), changed in the same way.
    """
    coin, factor = tf.unstack(tf.random.stateless_uniform([2], seed))
    factor = tf.where(coin < 1 / 3, 0.8 + 0.4 * factor, 1.0)
    grey = to_luminance(blurry, sharp, seed)
    return tuple(
        tf.clip_by_value(g + factor * (image - g), 0, 1)
        for image, g in zip((blurry, sharp), grey, strict=True)
    )


def to_luminance(blurry, sharp, seed):
    """Grey images of three equal channels, as SRN-Deblur's networks for one channel train on.

    Args:
        blurry, sharp: float32 `[H, W, 3]` in [0, 1], of one size.
        seed: int32 or int64 `[2]`.

    Returns:
        (blurry, sharp), changed in the same way.
    """
    del seed
    weights = tf.constant([0.2989, 0.5870, 0.1140])[:, None] * tf.ones([1, 3])
    return tf.matmul(blurry, weights), tf.matmul(sharp, weights)


def add_noise(blurry, sharp, seed):
    """Gaussian noise on the blurry image, of sigma ~ N(0, (2/255)^2), then clipped to [0, 1].

    Args:
        blurry, sharp: float32 `[H, W, 3]` in [0, 1], of one size.
        seed: int32 or int64 `[2]`.

    Returns:
        (blurry, sharp), the noise on blurry alone.
    """
    seeds = tf.random.split(seed)
    sigma = tf.random.stateless_normal([], seeds[0], stddev=2 / 255)
    noisy = blurry + sigma * _normal(tf.shape(blurry), seeds[1])
    return tf.clip_by_value(noisy, 0, 1), tf.clip_by_value(sharp, 0, 1)


AUGMENTATIONS = {
    "flip_horizontally": flip_horizontally,
    "flip_vertically": flip_vertically,
    "rotate_by_90": rotate_by_90,
    "rotate_by_any_angle": rotate_by_any_angle,
    "permute_channels": permute_channels,
    "scale_saturation": scale_saturation,
    "scale_saturation_rarely": scale_saturation_rarely,
    "sharp_as_input": sharp_as_input,
    "blend_with_grey": blend_with_grey,
    "add_noise": add_noise,
    "to_luminance": to_luminance,
}


def _in_half_of_cases(change, blurry, sharp, seed):
    coin = tf.random.stateless_uniform([], seed) < 0.5
    return tf.cond(coin, lambda: (change(blurry), change(sharp)), lambda: (blurry, sharp))


def _normal(shape, seed):
    """Standard normal values by Box and Muller's transform.

    TensorFlow's `stateless_normal` computes the same one value at a time, in twice the time.
    """
    count = tf.reduce_prod(shape)
    uniform = tf.random.stateless_uniform([2, (count + 1) // 2], seed)
    radius, angle = tf.sqrt(-2 * tf.math.log(1 - uniform[0])), 2 * math.pi * uniform[1]
    values = tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], axis=0)
    return tf.reshape(values[:count], shape)
