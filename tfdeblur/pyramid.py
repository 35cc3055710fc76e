"""Image pyramids of ratio 1/2, the scales of coarse-to-fine deblurring.

Every function takes images `[B, H, W, C]` (float, any range) whose height and width are
multiples of 2^(levels-1), and returns a list of `levels` float32 tensors, finest first:
level k has 1/2^(k-1) of the size. Level 1 is the input itself.
"""

import keras
import numpy as np
from keras import ops

__all__ = [
    "PYRAMIDS",
    "bilinear_pyramid",
    "gaussian_pyramid",
    "maxim_pyramid",
    "nearest_pyramid",
    "repeated",
    "torch7_pyramid",
]


def __dir__():
    return __all__


def gaussian_pyramid(images, levels):
    """Gaussian smoothing (sigma 2/3, symmetric borders), then the mean of each 2x2 block.

    Source: the authors' later PyTorch code for Nah et al. 2017 (scikit-image's `pyramid_gaussian`);
    that of their first code: `torch7_pyramid`.

    Args:
        images: `[B, H, W, C]`.
        levels: how many images to return, at least 1.

    Raises:
        ValueError: a known height or width is no multiple of 2^(levels-1).

    >>> [tuple(image.shape) for image in gaussian_pyramid(np.zeros((1, 64, 32, 3), "float32"), 3)]
    [(1, 64, 32, 3), (1, 32, 16, 3), (1, 16, 8, 3)]
    """
    pyramid = [_checked(images, levels)]
    for _ in range(levels - 1):
        pyramid.append(_gaussian_halve(pyramid[-1]))
    return pyramid


def torch7_pyramid(images, levels):
    """Gaussian smoothing by 3x3 pixels (sigma 3/4), then every second pixel, the even ones.

    Beyond the border lies the mean of the channel over the whole image.

    Source: the code behind the tables of Nah et al. 2017, which is in Torch: `gaussianpyramid` of
    its package image, of images whose mean is subtracted before and added again. Arguments and
    errors: `gaussian_pyramid`.
    """
    images = _checked(images, levels)
    means = ops.mean(images, axis=(1, 2), keepdims=True)
    kernel = _depthwise(_gaussian_taps(sigma=3 / 4, radius=1), images.shape[-1])
    pyramid = [images]
    for _ in range(levels - 1):
        # Of an even size, the last even pixel needs no neighbour beyond the border.
        padded = ops.pad(pyramid[-1] - means, [[0, 0], [1, 0], [1, 0], [0, 0]])
        halved = ops.depthwise_conv(
            padded, kernel, strides=2, padding="valid", data_format="channels_last"
        )
        pyramid.append(halved + means)
    return pyramid


def bilinear_pyramid(images, levels):
    """Each level resized bilinearly from the input itself, without antialiasing.

    Level k is the mean of the middle 2x2 pixels of each block of 2^(k-1) x 2^(k-1): the 2x2 mean
    at level 2, but not the mean of the whole block further down, as halving repeatedly would give.

    Source: the labels of MIMO-UNet's released code (Cho et al. 2021). Arguments and errors:
    `gaussian_pyramid`.
    """
    images = _checked(images, levels)
    return [images] + [_middle_of_blocks(images, 2**k) for k in range(1, levels)]


def nearest_pyramid(images, levels):
    """Every second pixel of every second row, the even ones.

    Source: the inputs of MIMO-UNet (Cho et al. 2021). Arguments and errors: `gaussian_pyramid`.
    """
    images = _checked(images, levels)
    return [images[:, :: 2**k, :: 2**k, :] for k in range(levels)]


def maxim_pyramid(images, levels):
    """Full, half and quarter size, again for each stage; of each block the pixel after the middle.

    So the input pyramid of MAXIM (Tu et al. 2022) is made, whose outputs these are the labels of.
    `levels` is a multiple of 3. Arguments and errors otherwise: `gaussian_pyramid`.
    """
    images = _checked(images, 3)
    halves, quarters = images[:, 1::2, 1::2, :], images[:, 2::4, 2::4, :]
    return [images, halves, quarters] * (levels // 3)


def repeated(images, levels):
    """Every level the input itself: labels of networks all of whose results have the full size."""
    return [ops.convert_to_tensor(images, dtype="float32")] * levels


PYRAMIDS = {
    "gaussian": gaussian_pyramid,
    "torch7": torch7_pyramid,
    "bilinear": bilinear_pyramid,
    "nearest": nearest_pyramid,
    "repeated": repeated,
    "maxim": maxim_pyramid,
}


@keras.saving.register_keras_serializable("tfdeblur")
class Pyramid(keras.layers.Layer):
    """One of `PYRAMIDS` as a layer; float32 whatever the policy, since its results are images."""

    def __init__(self, kind, levels, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.kind = kind
        self.levels = levels

    def call(self, images):
        return PYRAMIDS[self.kind](images, self.levels)

    def compute_output_shape(self, shape):
        batch, height, width, channels = shape

        def halved(size, level):
            return None if size is None else size // 2**level

        return [(batch, halved(height, k), halved(width, k), channels) for k in range(self.levels)]

    def get_config(self):
        return {**super().get_config(), "kind": self.kind, "levels": self.levels}


def _checked(images, levels):
    multiple = 2 ** (levels - 1)
    images = ops.convert_to_tensor(images, dtype="float32")
    for name, size in (("height", images.shape[1]), ("width", images.shape[2])):
        if size is not None and size % multiple:
            raise ValueError(
                f"{name} {size} is no multiple of {multiple}, which {levels} levels need: "
                "crop or pad the images first."
            )
    return images


def _middle_of_blocks(images, block):
    first, second = block // 2 - 1, block // 2
    rows = images[:, first::block] + images[:, second::block]
    return (rows[:, :, first::block] + rows[:, :, second::block]) / 4


def _gaussian_halve(images):
    # One strided convolution does both steps: the smoothing kernel averaged with its
    # neighbour, in each direction.
    taps = np.convolve(_gaussian_taps(sigma=2 / 3, radius=3), [0.5, 0.5])
    padded = _pad_symmetric(images, 3)
    kernel = _depthwise(taps, images.shape[-1])
    return ops.depthwise_conv(
        padded, kernel, strides=2, padding="valid", data_format="channels_last"
    )


def _depthwise(taps, channels):
    """The same separable kernel for each channel, `[N, N, channels, 1]`."""
    kernel = np.tile(np.outer(taps, taps)[:, :, None, None], (1, 1, channels, 1))
    return kernel.astype("float32")


def _pad_symmetric(images, width):
    # By gathering: a library's padding refuses images smaller than the padding.
    for axis in (1, 2):
        size = ops.shape(images)[axis]
        # No negative operand, as ONNX computes remainders with the sign of the dividend.
        index = (ops.arange(size + 2 * width, dtype="int32") + width * (2 * size - 1)) % (2 * size)
        images = ops.take(images, ops.minimum(index, 2 * size - 1 - index), axis=axis)
    return images


def _gaussian_taps(sigma, radius):
    offsets = np.arange(-radius, radius + 1)
    taps = np.exp(-0.5 * (offsets / sigma) ** 2)
    return taps / taps.sum()
