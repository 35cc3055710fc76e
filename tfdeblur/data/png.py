"""Crops of a PNG file, at a fraction of what decoding the whole of it costs.

PNG rows are compressed one after the other, and every pixel is stored as the difference from a
prediction by its neighbours on the left and above: a crop needs the rows down to its last, and of
these the pixels up to its right edge. isal inflates more than twice as fast as zlib, and numba
compiles the loop that undoes the prediction. Both are in the extra [fast]; `AVAILABLE` says whether
they are installed.
"""

import struct

import numpy as np

try:
    import numba
    from isal import isal_zlib

    AVAILABLE = True
except ImportError:
    AVAILABLE = False

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What follows width and height in the header: 8 bits, RGB, deflate, not interlaced.
PLAIN = b"\x08\x02\x00\x00\x00"
PLAIN_AT = 24  # bytes from the start of the file


def size(content):
    """(height, width), in pixels, of the bytes of a PNG file."""
    width, height = struct.unpack_from(">II", content, 16)
    return height, width


def crops(content, corners, side):
    """Squares of `side` pixels from a PNG file; equal to those of the image decoded whole.

    Args:
        content: the file's bytes, of which `PLAIN` must be at `PLAIN_AT`.
        corners: (top, left) of each square, in pixels; all lie within the image.

    Returns:
        uint8 `[len(corners), side, side, 3]`.

    Raises:
        ValueError: the file is truncated or broken, as far as its checksums tell.
    """
    width = size(content)[1]
    rows, columns = (max(edges) + side for edges in zip(*corners, strict=True))
    coded = inflate(compressed(content), rows * (1 + 3 * width))
    coded = np.frombuffer(coded, np.uint8).reshape(rows, 1 + 3 * width)
    image = np.empty((rows + 1, columns + 1, 3), np.uint8)
    image[0] = image[:, 0] = 0  # what is above and left counts as 0
    if not _undo_predictions(coded, image):
        raise ValueError("it has rows of an unknown filter")
    return np.stack([image[y + 1 :, x + 1 :][:side, :side] for y, x in corners])


def compressed(content):
    """The pixels' zlib stream: the data of all IDAT chunks, whose checksums must be right."""
    content = memoryview(content)
    parts, start = [], len(SIGNATURE)
    while start + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, start)
        end = start + 8 + length
        if kind == b"IEND":
            return b"".join(parts)
        if kind == b"IDAT" and end + 4 <= len(content):
            (checksum,) = struct.unpack_from(">I", content, end)
            if isal_zlib.crc32(content[start + 4 : end]) != checksum:
                raise ValueError("a checksum is wrong")
            parts.append(content[start + 8 : end])
        start = end + 4
    raise ValueError("it is truncated")


def inflate(compressed, length):
    """The first `length` bytes of a zlib stream."""
    try:
        inflated = isal_zlib.decompressobj().decompress(compressed, length)
    except isal_zlib.error as error:
        raise ValueError(str(error)) from error
    if len(inflated) < length:
        raise ValueError("it has too few rows")
    return inflated


if AVAILABLE:

    @numba.njit(nogil=True)
    def _undo_predictions(coded, image):
        """Fills `image[1:, 1:]` from its coded rows; returns False where a filter is unknown.

        Source: Portable Network Graphics (PNG) Specification, third edition, section 9.
        """
        for y in range(1, image.shape[0]):
            kind, differences = coded[y - 1, 0], coded[y - 1, 1:]
            if kind > 4:
                return False
            left_r = left_g = left_b = corner_r = corner_g = corner_b = np.int32(0)
            for x in range(1, image.shape[1]):
                above_r, above_g, above_b = image[y - 1, x]
                # Channels side by side, not in a loop: the processor works on the three at once.
                left_r = 255 & (differences[3 * x - 3] + _predict(kind, left_r, above_r, corner_r))
                left_g = 255 & (differences[3 * x - 2] + _predict(kind, left_g, above_g, corner_g))
                left_b = 255 & (differences[3 * x - 1] + _predict(kind, left_b, above_b, corner_b))
                image[y, x] = left_r, left_g, left_b
                corner_r, corner_g, corner_b = above_r, above_g, above_b
        return True

    @numba.njit(nogil=True)
    def _predict(kind, left, above, corner):
        left, above, corner = np.int32(left), np.int32(above), np.int32(corner)
        if kind == 0:
            return np.int32(0)
        if kind == 1:
            return left
        if kind == 2:
            return above
        if kind == 3:
            return (left + above) >> 1
        # Paeth: whichever is nearest to left + above - corner
        from_left, from_above = abs(above - corner), abs(left - corner)
        from_corner = abs(left + above - 2 * corner)
        nearest = above if from_above <= from_corner else corner
        return left if from_left <= min(from_above, from_corner) else nearest
