"""One array of bytes from a MATLAB file, read with limits: SciPy's reader crashes on broken ones.

Version 5 of the format alone ("-v6" and "-v7"), as Köhler's ground truth has it. Source: "MAT-File
Format", MathWorks.
"""

import math
import struct
import zlib

import numpy as np

MAX_VARIABLES = 64
MAX_BYTES = 2**30
_MATRIX, _COMPRESSED, _UINT8_CLASS = 14, 15, 9
_NUMBERS = {1: 1, 2: 1, 5: 4, 6: 4}  # bytes each: int8, uint8, int32, uint32
_COMPLEX = 0x0800


def read_bytes(content, variable):
    """The array of a variable.

    Args:
        content: bytes of the file.
        variable: its name.

    Returns:
        uint8 array, in MATLAB's order of its axes.

    Raises:
        NotImplementedError: version 7.3, which is HDF5.
        ValueError: the file is damaged, or holds no such array.
    """
    if content[:10] == b"MATLAB 7.3":
        raise NotImplementedError
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None or len(content) < 136:
        raise ValueError("no MATLAB file of version 5")
    position = 128
    for _ in range(MAX_VARIABLES):
        if position + 8 > len(content):
            break
        kind, size = struct.unpack_from(f"{order}II", content, position)
        element = memoryview(content)[position + 8 : position + 8 + size]
        if kind in (_MATRIX, _COMPRESSED):
            array = _matrix(_Stream(element, kind == _COMPRESSED), order, variable)
            if array is not None:
                return array
        position += 8 + size + (-size % 8 if kind == _MATRIX else 0)
    raise ValueError(f"it holds no {variable}")


class _Stream:
    """Bytes from the front of an element, decompressed only as far as they are asked for."""

    def __init__(self, element, compressed):
        self.rest = element
        self.inflate = zlib.decompressobj() if compressed else None
        if compressed:
            self.take(8)  # the tag of the matrix in it

    def take(self, count):
        if self.inflate is None:
            taken, self.rest = self.rest[:count], self.rest[count:]
        else:
            taken = self.inflate.decompress(self.rest, count) if count else b""
            self.rest = self.inflate.unconsumed_tail
        if len(taken) != count:
            raise ValueError("it is cut off")
        return taken


def _matrix(stream, order, variable):
    """The array of a matrix element, None where it has another name."""
    flags = np.frombuffer(_numbers(stream, order, 6, 8), f"{order}u4")
    shape = np.frombuffer(_numbers(stream, order, 5, 4 * 32), f"{order}i4").tolist()
    name = bytes(_numbers(stream, order, 1, 256)).decode("ascii", "replace")
    if name != variable:
        return None
    size = math.prod(shape)
    if min(shape, default=0) < 1 or size > MAX_BYTES:
        raise ValueError(f"its {variable} has the impossible shape {shape}")
    if flags[0] & 0xFF != _UINT8_CLASS or flags[0] & _COMPLEX:
        raise ValueError(f"its {variable} is no uint8")
    data = _numbers(stream, order, 2, size)
    if len(data) != size:
        raise ValueError(f"its {variable} is cut off")
    return np.frombuffer(data, np.uint8).reshape(shape, order="F")


def _numbers(stream, order, kind, limit):
    """The bytes of the next sub-element, which must be of a kind and no larger than a limit."""
    tag = stream.take(4)
    (word,) = struct.unpack(f"{order}I", tag)
    small = word >> 16  # up to four bytes lie in the tag itself
    if small:
        found, size = word & 0xFFFF, small
    else:
        found, (size,) = word, struct.unpack(f"{order}I", stream.take(4))
    if found != kind or size > (4 if small else limit) or size % _NUMBERS[kind]:
        raise ValueError("it is damaged")
    content = stream.take(4 if small else size)[:size]
    if not small:
        stream.take(-size % 8 if kind != 2 else 0)
    return content
