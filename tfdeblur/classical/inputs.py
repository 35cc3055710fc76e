"""What the classical methods take: photographs, kernels and kernel sizes, checked."""

import numpy as np
from absl import logging

from tfdeblur.errors import InputError

_SATURATED = 0.995
_SATURATED_SHARE = 0.02
_BLOCK = 8
_OF_NOISE = 0.87  # what `noise` finds of noise alone, of its deviation
_LEAST_CONTRAST = 0.004  # about one 8-bit code


def unit_image(image):
    """A photograph as float32 [H, W, C] in [0, 1].

    Args:
        image: uint8, uint16 or float [H, W], [H, W, 1] or [H, W, 3]; float is in [0, 1] already.

    Raises:
        InputError: any other type or shape, or a value that is not finite.
    """
    image = np.asarray(image)
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[-1] not in (1, 3)):
        raise InputError(f"the image has the shape {image.shape}: give [H, W] or RGB [H, W, 3].")
    if image.size == 0:
        raise InputError(f"the image has the shape {image.shape} and no pixels: give a photograph.")
    if image.dtype in (np.uint8, np.uint16):
        unit = image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
    elif image.dtype in (np.float32, np.float64):
        if not np.isfinite(image).all():
            raise InputError(
                "the image has pixels that are NaN or infinite: replace them, "
                "for instance by numpy.nan_to_num."
            )
        if image.min() < -0.5 or image.max() > 1.5:
            raise InputError(
                f"the float image reaches from {image.min():.4g} to {image.max():.4g}: "
                "scale it to [0, 1]."
            )
        unit = image.astype(np.float32)
    else:
        raise InputError(f"the image is {image.dtype}: give uint8, uint16, or float in [0, 1].")
    return unit if unit.ndim == 3 else unit[..., None]


def like(unit, image):
    """The float32 image [H, W, C] in the type and shape of the photograph `image`, clipped."""
    unit = np.clip(unit, 0, 1).reshape(image.shape)
    if image.dtype in (np.uint8, np.uint16):
        unit = np.rint(unit * np.float32(np.iinfo(image.dtype).max))
    return unit.astype(image.dtype)


def grey(unit):
    """Luma (ITU-R BT.601) [H, W] of [H, W, C]."""
    if unit.shape[-1] == 1:
        return unit[..., 0]
    return unit @ np.array([0.299, 0.587, 0.114], np.float32)


def noise(unit):
    """Standard deviation of the noise in float32 [H, W, C] of at least 2x2, the mean of channels.

    From the diagonal differences of 2x2 pixels, to which smooth parts of a blurry photograph add
    next to nothing: their root mean square in blocks, of which the tenth part is less. Blocks
    without any difference are saturated, or drawn, and tell nothing.
    """
    found = []
    for channel in np.moveaxis(unit, -1, 0):
        rows = channel[1:] - channel[:-1]
        squares = np.square((rows[:, 1:] - rows[:, :-1]) / 2)
        height, width = (max(length // _BLOCK, 1) for length in squares.shape)
        squares = squares[: height * _BLOCK, : width * _BLOCK]
        blocks = squares.reshape(height, -1, width, squares.shape[1] // width).mean((1, 3))
        blocks = blocks[blocks > 0]
        found.append(np.sqrt(np.quantile(blocks, 0.1)) / _OF_NOISE if blocks.size else 0.0)
    return float(np.mean(found))


def check_photograph(luma, size):
    """Whether a kernel of `size` can be estimated from `luma` [H, W]; warns of saturation.

    Raises:
        InputError: `size` is even, below 3, or more than half the shorter side; or the image is
            flat.
    """
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)):
        raise InputError(f"the kernel size is {size!r}: give an odd whole number, such as 31.")
    if size < 3 or size % 2 == 0:
        raise InputError(f"the kernel size is {size}: give an odd number from 3 on, such as 31.")
    height, width = luma.shape
    if 2 * size > min(height, width):
        raise InputError(
            f"a kernel of {size}x{size} is too large for {width}x{height} pixels: "
            f"{_largest_size(min(height, width))}"
        )
    if np.ptp(luma) < _LEAST_CONTRAST:
        raise InputError("the image is flat, and shows no blur: give one with edges in it.")
    share = float(np.mean(luma >= _SATURATED))
    if share > _SATURATED_SHARE:
        logging.warning(
            "%.1f %% of the pixels are saturated: they are not linear in the light, and mislead "
            "the kernel. Choose a part of the photo without burnt-out lights.",
            100 * share,
        )


def unit_kernel(kernel, height, width):
    """A kernel as float32 [h, w] that sums to 1.

    Raises:
        InputError: it is no matrix of odd sizes, does not fit into the image, or has negative or
            non-finite values, or the sum 0.
    """
    kernel = np.asarray(kernel)
    if kernel.ndim != 2 or kernel.dtype.kind not in "fiu":
        raise InputError(
            f"the kernel is {kernel.dtype} of the shape {kernel.shape}: give numbers [h, w]."
        )
    if kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
        raise InputError(
            f"the kernel is {kernel.shape[1]}x{kernel.shape[0]}, without a middle: "
            "give odd sizes, for instance by a row or column of zeros."
        )
    if kernel.shape[0] > height or kernel.shape[1] > width:
        raise InputError(
            f"a kernel of {kernel.shape[1]}x{kernel.shape[0]} is too large for "
            f"{width}x{height} pixels: give a larger image."
        )
    kernel = kernel.astype(np.float64)
    if not np.isfinite(kernel).all() or kernel.min() < 0 or kernel.sum() <= 0:
        raise InputError(
            "the kernel has values that are negative, NaN or infinite, or only zeros: "
            "give shares of the exposure, 0 or more."
        )
    return (kernel / kernel.sum()).astype(np.float32)


def _largest_size(side):
    largest = side // 2 - (side // 2 + 1) % 2
    if largest < 3:
        return "give a photograph of at least 6x6 pixels, better some hundreds."
    return f"choose at most {largest}, or give a larger image."
