"""Overlapping tiles: where they lie, and how they are blended without a seam.

Tiles are laid out along each axis by itself: a tile is a span of rows by a span of columns, and its
weights are the product of theirs.
"""

import dataclasses

import numpy as np

from tfdeblur.errors import InputError


@dataclasses.dataclass(frozen=True)
class Span:
    """The rows, or the columns, of a tile."""

    start: int
    stop: int
    length: int  # that the network sees: stop - start, and padding at the image's border
    weights: np.ndarray  # float32 [stop - start]; those of all spans over a pixel sum to 1


def spans(size, longest, overlap, stride, bucketed=False, least=1, padding=0):
    """Lays spans over the rows, or the columns, of an image: as few as fit, of one length, evenly.

    They start at multiples of the stride, so that a network halves a tile between the same pixels
    as the whole image.

    Args:
        size: of the image in pixels.
        longest: that a span may be, in pixels; None: one span for the whole image.
        overlap: of neighbouring spans in pixels, at least.
        stride: of the network, which lengths are multiples of.
        bucketed: lengths are rounded up to one of eight per octave, but not above `longest`, so
            that images of many sizes have few lengths.
        least: that a span may be, in pixels; shorter images are padded.
        padding: pixels beyond the image that its only span has at least, if `longest` leaves room.

    Returns:
        list of Span, in order.

    Raises:
        InputError: `longest` is less than two overlaps, or than `least`.
    """
    # Here and below, all but the weights is in units of the stride.
    whole, shared = -(-size // stride), -(-overlap // stride)
    most, least = None if longest is None else longest // stride, -(-least // stride)
    if most is not None and most < max(2 * shared, least):
        raise InputError(
            f"`tile={longest}` is too small for tiles that overlap by {overlap} pixels, or for "
            f"this network: give at least {max(2 * shared, least) * stride}."
        )
    padded = -(-(size + padding) // stride)
    if most is None or most >= padded:
        whole = max(padded, least)
    count = 1 if most is None or most >= whole else -(-(whole - shared) // (most - shared))
    length = -(-(whole + (count - 1) * shared) // count)
    if bucketed:
        length = min(bucket(length), most or bucket(length))
    length = max(length, least)
    starts = [i * (whole - length) // max(count - 1, 1) * stride for i in range(count)]
    length *= stride
    stops = [min(start + length, size) for start in starts]
    weights = _weights(starts, stops)
    return [Span(*place, length, w) for *place, w in zip(starts, stops, weights, strict=True)]


def bucket(count):
    """The next larger whole number with at most four significant binary digits."""
    step = 2 ** max(count.bit_length() - 4, 0)
    return -(-count // step) * step


def _weights(starts, stops):
    """Each span's weights: 1 inside, falling smoothly to 0 where another one takes over.

    In the outer quarters of an overlap one of the two stands alone, since what a network restores
    is least certain beside a cut.
    """
    weights = []
    for start, stop in zip(starts, stops, strict=True):
        weights.append(np.ones(stop - start, "float32"))
    for i in range(len(starts) - 1):
        shared = stops[i] - starts[i + 1]
        if shared > 0:
            share = (np.arange(shared, dtype="float32") + 0.5) / shared
            share = np.clip(2 * share - 0.5, 0, 1)
            rising = share**2 * (3 - 2 * share)
            weights[i][-shared:] *= 1 - rising
            weights[i + 1][:shared] *= rising
    total = np.zeros(stops[-1], "float32")
    for start, stop, weight in zip(starts, stops, weights, strict=True):
        total[start:stop] += weight
    return [
        weight / total[start:stop]
        for start, stop, weight in zip(starts, stops, weights, strict=True)
    ]
