"""Köhler's MATLAB files: read as SciPy reads them, or refused within limits."""

import io
import pathlib
import struct
import time
import zlib

import numpy as np
import pytest
import scipy.io

from tfdeblur.errors import InputError
from tfdeblur.preparation import mat_files

HOSTILE = sorted((pathlib.Path(__file__).parents[1] / "cases" / "hostile").glob("*.mat"))
FRAMES = np.random.default_rng(0).integers(0, 256, (6, 5, 3, 4)).astype(np.uint8)


def written(compressed=True, **arrays):
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, arrays or {"GroundTruth": FRAMES}, do_compression=compressed)
    return buffer.getvalue()


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("shape", [(6, 5, 3, 4), (1, 1, 3, 2), (40, 30, 3, 7)])
def test_arrays_are_read_as_scipy_reads_them(compressed, shape):
    frames = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    content = written(compressed, other=np.ones(3), GroundTruth=frames, last="text")
    np.testing.assert_array_equal(mat_files.read_frames(content, "x.mat"), frames)


@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: path.name)
def test_files_that_crash_scipy_are_refused(path):
    with pytest.raises(InputError, match=rf"{path.name} holds "):
        mat_files.read_frames(path.read_bytes(), path.name)


@pytest.mark.parametrize("compressed", [True, False])
def test_truncated_files_are_refused(compressed):
    content = written(compressed)
    for length in range(len(content) - 1):
        with pytest.raises(InputError, match=r"x\.mat holds no array"):
            mat_files.read_frames(content[:length], "x.mat")


@pytest.mark.parametrize("compressed", [True, False])
def test_changed_files_are_read_or_refused(compressed):
    content, rng = written(compressed), np.random.default_rng(0)
    for _ in range(2000):
        changed = bytearray(content)
        for at in rng.integers(124, len(content) if compressed else 200, rng.integers(1, 4)):
            changed[at] = rng.integers(256)
        try:
            array = mat_files.read_frames(bytes(changed), "x.mat")
            assert array.dtype == np.uint8 and array.ndim == 4
        except InputError as error:
            assert "x.mat" in str(error) and "\n" not in str(error)


def test_bombs_are_refused_before_they_expand():
    size = (1000, 1000, 3, 1000)
    head = struct.pack("<IIII", 6, 8, 9, 0) + struct.pack("<II4i", 5, 16, *size)
    head += struct.pack("<II", 1, 11) + b"GroundTruth".ljust(16, b"\0")
    total = int(np.prod(size))
    head += struct.pack("<II", 2, total)
    squeeze = zlib.compressobj()
    parts = [squeeze.compress(struct.pack("<II", 14, total + len(head)) + head)]
    parts += [squeeze.compress(bytes(2**20)) for _ in range(100)]
    data = b"".join([*parts, squeeze.flush()])
    content = written()[:128] + struct.pack("<II", 15, len(data)) + data
    began = time.perf_counter()
    with pytest.raises(InputError, match="claims more numbers than the file holds"):
        mat_files.read_frames(content, "x.mat")
    assert time.perf_counter() - began < 1
