"""One image in, the restored image out, whatever its size."""

import functools
import weakref

import keras
import numpy as np
from keras import ops

from tfdeblur import memory
from tfdeblur import precision as precisions
from tfdeblur.errors import InputError


def restore(net, image, tile=None, overlap=32, self_ensemble=False, precision=None):
    """Restores one blurry image.

    Args:
        net: a network of `tfdeblur.models`, trained.
        image: uint8 `[H, W, 3]`, RGB, of any size from 1x1.
        tile: None restores the image at once; otherwise in overlapping square tiles of this many
            pixels, so that memory does not grow with the image.
        overlap: pixels that neighbouring tiles share; they are blended across it.
        self_ensemble: mean of the results over the four rotations by 90 degrees, as in
            MIMO-UNet++ (Cho et al. 2021): four times the work.
        precision: "float32", "bfloat16", "float16", "auto"; None leaves the network as it is.

    Returns:
        uint8 `[H, W, 3]`.

    Raises:
        InputError: the image is not uint8 `[H, W, 3]`, tile and overlap do not fit, or the network
            returned values that are not finite.
    """
    return quantise(restore_float(net, image, tile, overlap, self_ensemble, precision))


def restore_float(net, image, tile=None, overlap=32, self_ensemble=False, precision=None):
    """`restore` before rounding: float32 `[H, W, 3]`, clipped to [0, 1]."""
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise InputError(
            f"restore takes a uint8 image [H, W, 3], not {image.dtype} {list(image.shape)}."
        )
    if precision is not None:
        net = _in_precision(net, precisions.resolve(precision))
    unit = image.astype("float32") / 255
    turns = range(4) if self_ensemble else range(1)
    run = functools.partial(_restore_tiles, net, tile=tile, overlap=overlap)
    restored = [np.rot90(run(np.rot90(unit, k)), -k) for k in turns]
    mean = np.mean(restored, axis=0, dtype="float32")
    if not np.isfinite(mean).all():
        raise InputError(
            f"the network {net.name!r} returned values that are not finite: its weights are "
            "broken, or --precision is too low for it."
        )
    return np.clip(mean, 0, 1)


def quantise(image):
    """float [0, 1] -> uint8, rounding to nearest."""
    return np.clip(np.rint(image * 255), 0, 255).astype("uint8")


def pad_to_multiple(images, multiple):
    """Pads `[B, H, W, C]` at the bottom and right, by reflection, to multiples of `multiple`.

    Unlike a library's reflect padding it takes images smaller than the padding, down to 1x1,
    and sizes that are only known at run time.
    """
    for axis in (1, 2):
        size = ops.shape(images)[axis]
        padded = -(-size // multiple) * multiple
        period = ops.maximum(2 * (size - 1), 1)
        index = ops.arange(padded, dtype="int32") % period
        images = ops.take(images, ops.minimum(index, period - index), axis=axis)
    return images


def _restore_tiles(net, image, tile, overlap):
    """float32 `[H, W, 3]` -> the same; tiles are blended by weights that fall off linearly."""
    if tile is None:
        return _forward(net, image)
    if not 0 <= overlap < tile:
        raise InputError(f"--tile={tile} must be larger than the overlap of {overlap} pixels.")
    height, width, _ = image.shape
    total = np.zeros(image.shape, "float32")
    weight = np.zeros((height, width, 1), "float32")
    for y in _starts(height, tile, overlap):
        for x in _starts(width, tile, overlap):
            restored = _forward(net, image[y : y + tile, x : x + tile])
            rows, columns, _ = restored.shape
            blend = np.outer(_ramp(rows, overlap), _ramp(columns, overlap))[..., None]
            total[y : y + tile, x : x + tile] += blend * restored
            weight[y : y + tile, x : x + tile] += blend
    return total / weight


def _starts(size, tile, overlap):
    """Where tiles begin so that the last one ends at the border."""
    last = max(size - tile, 0)
    return [*range(0, last, tile - overlap), last]


def _ramp(size, overlap):
    """Weights of a tile's rows: rising over the overlap at both ends, 1 between."""
    inside = np.minimum(np.arange(size), np.arange(size)[::-1])
    return np.minimum((inside + 1) / (overlap + 1), 1).astype("float32")


def _forward(net, image):
    height, width, _ = image.shape
    _check_memory(net, height, width)
    padded = pad_to_multiple(image[None], net.stride)
    return net.predict_on_batch(padded)[0][0, :height, :width]


def _check_memory(net, height, width):
    memory.check(
        height * width * net.live_maps * memory.bytes_per_value(net),
        f"restoring {width}x{height} pixels at once",
        "restore in smaller tiles, --tile=512 say.",
    )


# A copy of each network for each precision that it was asked for, so that it compiles once.
_copies = weakref.WeakKeyDictionary()


def _in_precision(net, precision):
    if net.compute_dtype == keras.DTypePolicy(precisions.POLICIES[precision]).compute_dtype:
        return net
    copies = _copies.setdefault(net, {})
    if precision in copies:
        copies[precision].set_weights(net.get_weights())  # they may have been trained further
    else:
        copies[precision] = precisions.cast(net, precision)
    return copies[precision]
