"""One image in, the restored image out, whatever its size."""

import numbers
import weakref

import keras
import numpy as np

from tfdeblur import memory
from tfdeblur import precision as precisions
from tfdeblur.errors import InputError, NotFiniteError
from tfdeblur.models.network import Network
from tfdeblur.restoration import blending, kinds, tiles

AUTO = "auto"
# The tiles that "auto" chooses from when the whole image does not fit, in pixels.
LARGEST, SMALLEST, STEP = 2048, 256, 64
# Of the memory that is free, what "auto" takes: other programs need some meanwhile.
MEMORY_SHARE = 0.8

# What `Network.padding` means.
_PADDING = {
    "reflect": {"mode": "reflect"},
    "zeros": {"mode": "constant"},
    "grey": {"mode": "constant", "constant_values": 0.5},
}


def restore(
    net,
    image,
    tile=None,
    overlap=None,
    self_ensemble=False,
    precision=None,
    progress=None,
    strength=1,
    mask=None,
):
    """Restores one blurry image.

    Args:
        net: a network of `tfdeblur.models`, trained.
        image: uint8 or uint16 `[H, W, 3]`, RGB, of any size from 1x1; or floating point in [0, 1],
            grey, with alpha, a PIL image, or a path: see `kinds.as_pixels`.
        tile: None restores the image at once; otherwise in overlapping tiles of at most this many
            pixels in height and width, so that memory does not grow with the image. "auto": at
            once if that fits the memory that is free, else in the largest tiles that do; but in
            none that are larger than the network restores best.
        overlap: pixels that neighbouring tiles share at least; they are blended across it. None:
            what the network needs, or half of a tile that is smaller than two of that.
        self_ensemble: mean of the results over the four rotations by 90 degrees, as in
            MIMO-UNet++ (Cho et al. 2021): four times the work.
        precision: "float32", "bfloat16", "float16", "auto"; None leaves the network as it is.
        progress: function that is called with the share of the image restored, in [0, 1], after
            each tile; or None.
        strength, mask: the share of what is restored, everywhere and in each pixel, see
            `blending.blend` and `blending.as_mask`.

    Returns:
        The restored image, of the kind, shape and type of what was given; of a path, an array.
        Where XLA compiles the network for each size, images and tiles are padded to one of a few
        sizes, unless each pixel depends on the whole picture (`net.of_whole_picture`).

    Raises:
        InputError: the image is of another type or shape, tile and overlap do not fit, memory does
            not suffice, the network returned values that are not finite, or the mask does not fit;
            or `net` is no network.
    """
    if not isinstance(net, Network):
        raise InputError(
            f"net is {net!r}, no network: tfdeblur.weights.open_network(...) returns one, and a "
            "line about it."
        )
    image, back = kinds.as_pixels(image)
    mask = None if mask is None else blending.as_mask(mask)
    blending.check(image, strength, mask)
    if precision is not None:
        net = _in_precision(net, precisions.resolve(precision))
    restored = np.empty_like(image)
    bucketed = net.jit_compile and not net.of_whole_picture  # which padding would change
    grid = _plan(net, image, tile, overlap, bucketed)
    for rows, band in _bands(net, image, grid, self_ensemble, progress):
        restored[rows] = quantise(band, image.dtype)
    return back(blending.blend(image, restored, strength, mask))


def restore_float(
    net,
    image,
    tile=None,
    overlap=None,
    self_ensemble=False,
    precision=None,
    progress=None,
):
    """`restore` of colours before rounding: float32 `[H, W, 3]`, clipped to [0, 1].

    For measuring: an image is padded to the network's stride and no further.
    """
    image, _ = kinds.as_pixels(image)
    if precision is not None:
        net = _in_precision(net, precisions.resolve(precision))
    restored = np.empty(image.shape, "float32")
    grid = _plan(net, image, tile, overlap, bucketed=False)
    for rows, band in _bands(net, image, grid, self_ensemble, progress):
        restored[rows] = band
    return restored


def quantise(image, dtype="uint8"):
    """float [0, 1] -> uint8 or uint16, rounding to nearest; or float32, as it is."""
    if dtype == np.float32:
        return image
    peak = np.iinfo(dtype).max
    return np.clip(np.rint(image * np.float32(peak)), 0, peak).astype(dtype)


def _plan(net, image, tile, overlap, bucketed):
    """The tiles of an image: spans of rows, and spans of columns."""
    _require_pixels(tile=None if tile == AUTO else tile, overlap=overlap)
    if tile != AUTO:
        grid = _grid(net, image, tile, overlap, bucketed)
        memory.check(
            _bytes_needed(net, image, grid),
            f"restoring {_size(grid)} pixels at once",
            "restore in smaller tiles, `tile=auto` say.",
        )
        return grid
    free = memory.of_device()
    if net.largest_tile:
        tiles_to_try = range(net.largest_tile, SMALLEST - 1, -STEP)
    else:
        # Where nobody tells, a size that any accelerator has memory for.
        tiles_to_try = [1024] if free is None else [None, *range(LARGEST, SMALLEST - 1, -STEP)]
    for tile in tiles_to_try:
        grid = _grid(net, image, tile, overlap, bucketed)
        needed = _bytes_needed(net, image, grid)
        if free is None or needed <= MEMORY_SHARE * free:
            return grid
    raise InputError(
        f"even a tile of {_size(grid)} pixels takes {needed / 2**30:.1f} GiB of memory, more than "
        f"four fifths of the {free / 2**30:.1f} GiB that are free: end other programs, or give "
        "`tile=128`."
    )


def _require_pixels(**arguments):
    for name, value in arguments.items():
        whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if value is not None and not (whole and value >= 0):
            auto = ', "auto"' * (name == "tile")
            raise InputError(f"`{name}={value}`: give a number of pixels{auto} or None.")


def _grid(net, image, tile, overlap, bucketed):
    if overlap is None:
        overlap = net.overlap if tile is None else min(net.overlap, tile // 2)
        overlap = overlap // net.stride * net.stride
    sizes = {"stride": net.stride, "least": net.smallest, "padding": net.least_padding}
    return [tiles.spans(n, tile, overlap, bucketed=bucketed, **sizes) for n in image.shape[:2]]


def _size(grid):
    rows, columns = grid
    return f"{columns[0].length}x{rows[0].length}"


def _bytes_needed(net, image, grid):
    """At the peak: the network's feature maps, the result, and what is summed of it in float32."""
    rows, columns = grid
    maps = rows[0].length * columns[0].length * net.bytes_per_pixel
    return maps + image.nbytes + 2 * 4 * rows[0].length * image[0].size


def _bands(net, image, grid, self_ensemble, progress):
    """Restores tile by tile.

    Yields:
        (slice of rows, float32 `[rows, W, 3]` in [0, 1]), from the top to the bottom; an array
        holds until the next one is asked for.
    """
    rows, columns = grid
    done = 0
    # The rows from `top` on that a tile has reached.
    top, sums = 0, np.zeros((rows[0].length, *image.shape[1:]), "float32")
    for i, row in enumerate(rows):
        for column in columns:
            tile = image[row.start : row.stop, column.start : column.stop]
            weights = row.weights[:, None, None] * column.weights[:, None]
            restored = _restore_tile(net, tile, row.length, column.length, self_ensemble)
            sums[row.start - top : row.stop - top, column.start : column.stop] += weights * restored
            done += 1
            if progress:
                progress(done / (len(rows) * len(columns)))
        bottom = rows[i + 1].start if i + 1 < len(rows) else row.stop
        yield slice(top, bottom), np.clip(sums[: bottom - top], 0, 1)
        left = row.stop - bottom  # rows that the next tiles share
        sums[:left] = sums[bottom - top : row.stop - top].copy()
        sums[left:] = 0
        top = bottom


def _restore_tile(net, tile, height, width, self_ensemble):
    """Any type of `[h, w, 3]` -> float32, seen by the network as `[height, width, 3]`."""
    unit = tile.astype("float32")
    if tile.dtype != np.float32:
        unit /= np.iinfo(tile.dtype).max
    total = np.zeros_like(unit)
    turns = 4 if self_ensemble else 1
    for k in range(turns):
        size = (height, width) if k % 2 == 0 else (width, height)
        turned = np.rot90(unit, k)
        padding = [(0, size[axis] - turned.shape[axis]) for axis in (0, 1)]
        padded = np.pad(turned, [*padding, (0, 0)], **_PADDING[net.padding])
        restored = _run(net, padded[None])[0, : turned.shape[0], : turned.shape[1]]
        total += np.rot90(restored, -k)
    if not np.isfinite(total).all():
        raise NotFiniteError(
            f"the network {net.name!r} returned values that are not finite: its weights are "
            "broken, or `precision` is too low for it."
        )
    return total / turns


def _run(net, images):
    """float32 `[B, H, W, 3]`, of sizes that fit the stride -> the finest level, as a NumPy array.

    The one place where a network restores. What stands in for a network has its `stride`,
    `smallest`, `padding`, `least_padding`, `overlap`, `of_whole_picture`, `bytes_per_pixel`,
    `compute_dtype`, `jit_compile`, `name` and `restore_on_batch`.
    """
    return net.restore_on_batch(images)


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
