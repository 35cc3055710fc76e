"""Köhler's ground truth in MATLAB files: one array of one layout, read without SciPy.

SciPy's reader trusts sizes and types that a file names; two changed bytes make it crash. This one
knows a single layout, uint8 [height, width, 3, frames] in MATLAB's format 5, and takes no more
memory than the file's numbers.

Format: "MAT-File Format", https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf
"""

import math
import struct
import zlib

import numpy as np

from tfdeblur.errors import InputError, reason

HEADER = 128
MAX_EXPANSION = 50  # of a compressed array; photographs shrink by half
MAX_PADDING = 2**20  # bytes that may come from nearly none
MAX_ARRAY = 2**32
MAX_ELEMENTS = 100  # in a file, before the array
_INT8, _UINT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 2, 5, 6, 14, 15
_CLASSES = {
    4: "char",
    6: "float64",
    7: "float32",
    8: "int8",
    9: "uint8",
    10: "int16",
    11: "uint16",
    12: "int32",
    13: "uint32",
    14: "int64",
    15: "uint64",
}
_START = 512  # bytes that hold an array's flags, dimensions and name


def read_frames(content, name, variable="GroundTruth"):
    """An array of frames in a MATLAB file.

    Args:
        content: of the file, bytes.
        name: of the file, for messages.
        variable: of the array.

    Returns:
        uint8 [height, width, 3, frames], read-only.

    Raises:
        InputError: the file is damaged, or holds something else.
    """
    if content[124:128] == b"\x00\x02IM":
        raise InputError(
            f"{name} has MATLAB's format 7.3, which is not read here: save it with -v7, or get "
            "the PNG files."
        )
    try:
        return _read(memoryview(content), name, variable)
    except (_Damage, struct.error, zlib.error) as error:
        raise InputError(
            f"{name} holds no array {variable} ({reason(error)}): get it again."
        ) from error


class _Damage(Exception):
    """What is wrong, in a few words."""


def _read(content, name, variable):
    if len(content) < HEADER or content[124:128] != b"\x00\x01IM":
        raise _Damage("it is no MATLAB file of format 5")
    at = HEADER
    for _ in range(MAX_ELEMENTS):
        if at == len(content):
            break
        kind, length = struct.unpack_from("<II", content, at)
        at += 8
        if length > len(content) - at:
            raise _Damage("it ends early")
        element = content[at : at + length]
        if kind == _COMPRESSED:
            inflate = zlib.decompressobj()
            start = inflate.decompress(element, 8 + _START)
            kind, inner = struct.unpack_from("<II", start)
            start, at = start[8:], at + length  # compressed elements are not padded
        else:
            inflate, inner, start = None, length, element[:_START]
            at += -(-length // 8) * 8
        if kind != _MATRIX:
            raise _Damage("it has an element that is no array")
        found = _header(start)
        if found[0] == variable:
            return _numbers(found, element, inflate, start, inner, name)
    raise _Damage("there is none")


def _header(start):
    """(name, class, flags, dimensions, where the numbers' tag begins) of a matrix."""
    kind, length, at, _ = _tag(start, 0)
    if kind != _UINT32 or length != 8:
        raise _Damage("an array has no flags")
    (flags,) = struct.unpack_from("<I", start, at)
    kind, length, at, end = _tag(start, at + 8)
    if kind != _INT32 or length % 4 or not 8 <= length <= 32:
        raise _Damage("an array has no dimensions")
    dimensions = struct.unpack_from(f"<{length // 4}i", start, at)
    kind, length, at, end = _tag(start, end)
    if kind != _INT8 or length > 64:
        raise _Damage("an array has no name")
    return bytes(start[at : at + length]).decode("latin-1"), flags & 255, flags, dimensions, end


def _tag(data, at):
    """(type, length, where the data begins, where the next tag begins)."""
    (first,) = struct.unpack_from("<I", data, at)
    if first >> 16:  # up to 4 bytes lie in the tag itself
        kind, length = first & 0xFFFF, first >> 16
        if length > 4:
            raise _Damage("a small element is too long")
        return kind, length, at + 4, at + 8
    kind, length = struct.unpack_from("<II", data, at)
    return kind, length, at + 8, at + 8 + -(-length // 8) * 8


def _numbers(header, element, inflate, start, inner, name):
    _, kind, flags, dimensions, at = header
    if min(dimensions) < 1:
        raise _Damage("it is empty")
    dtype = _CLASSES.get(kind, "no numbers")
    if dtype != "uint8" or flags & 0x0800 or len(dimensions) != 4 or dimensions[2] != 3:
        dtype = "complex numbers" if flags & 0x0800 else dtype
        raise InputError(
            f"{name} holds {dtype} {list(dimensions)}: uint8 [height, width, 3, frames] is "
            "expected."
        )
    size = math.prod(dimensions)
    stored, length, begin, _ = _tag(start, at)
    if stored != _UINT8 or length != size or begin + size > inner:
        raise _Damage("its numbers do not fit its dimensions")
    if size > min(MAX_ARRAY, MAX_EXPANSION * len(element) + MAX_PADDING):
        raise _Damage("it claims more numbers than the file holds")
    if inflate is None:
        numbers = element[begin : begin + size]
    else:
        missing = max(begin + size - len(start), 0)
        rest = inflate.decompress(inflate.unconsumed_tail, missing) if missing else b""
        numbers = b"".join((start[begin:], rest))[:size]
    if len(numbers) != size:
        raise _Damage("it ends early")
    if inflate is not None:  # which tells whether what was read is what was written
        inflate.decompress(inflate.unconsumed_tail, MAX_PADDING)
        if not inflate.eof:
            raise _Damage("its end is missing")
    return np.frombuffer(numbers, np.uint8).reshape(dimensions, order="F")
