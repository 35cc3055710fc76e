"""JPEG XL: pixels, sizes told by the header, EXIF and XMP, and what is refused."""

import dataclasses
import io
import struct
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from tfdeblur.errors import InputError
from tfdeblur.io import jxl, photos
from tfdeblur.io.metadata import Metadata

imagecodecs = pytest.importorskip("imagecodecs", reason="the extra [photos] is not installed")
RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_without_loss(tmp_path, dtype, channels):
    planes = RANDOM.integers(0, np.iinfo(dtype).max + 1, (20, 31, channels), dtype)
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    jxl.write(tmp_path / "x.jxl", planes, 100, exif, b"<x/>")
    assert jxl.is_jxl(tmp_path / "x.jxl") and jxl.size(tmp_path / "x.jxl") == (31, 20)
    read, *boxes = jxl.read(tmp_path / "x.jxl")
    assert read.dtype == dtype and boxes == [exif, b"<x/>"]
    np.testing.assert_array_equal(read, planes)


@pytest.mark.parametrize("size", [(1, 1), (8, 256), (9, 600), (1080, 1920), (300, 300), (8200, 16)])
def test_sizes(tmp_path, size):
    content = imagecodecs.jpegxl_encode(np.zeros((*size, 3), np.uint8), usecontainer=False)
    (tmp_path / "x.jxl").write_bytes(content)
    assert jxl.size(tmp_path / "x.jxl") == size[::-1]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("lossless", [False, True])
def test_whether_a_file_is_lossless(tmp_path, dtype, channels, lossless):
    peak = 1 if dtype == "float32" else np.iinfo(dtype).max
    planes = (RANDOM.random((16, 24, channels)) * peak).astype(dtype)
    how = {"lossless": True} if lossless else {"distance": 1}
    content = imagecodecs.jpegxl_encode(planes[..., 0] if channels == 1 else planes, **how)
    (tmp_path / "x.jxl").write_bytes(content)
    assert jxl.encoding(tmp_path / "x.jxl")[0] == lossless
    photo = photos.read(tmp_path / "x.jxl")
    photos.write(tmp_path / "y.jxl", photo)
    again = photos.read(tmp_path / "y.jxl")
    assert photo.lossless == again.lossless == lossless
    if lossless and dtype != "float32":
        np.testing.assert_array_equal(again.pixels, photo.pixels)
        np.testing.assert_array_equal(again.alpha, photo.alpha)


@pytest.mark.parametrize(
    ("colours", "expected"),  # each field as (number, bits)
    [
        ([(1, 1)], True),
        ([(0, 1), (1, 1)], False),  # a profile
        ([(0, 2), (0, 2), (1, 2), (1, 2), (0, 1), (2, 2), (11, 4)], True),  # all said: 2 + 11 = 13
        ([(0, 2), (1, 2), (1, 2), (0, 1), (2, 2), (11, 4)], True),  # grey
        ([(0, 2), (0, 2), (1, 2), (2, 2), (9, 4), (0, 1), (2, 2), (11, 4)], False),  # P3
        ([(0, 2), (0, 2), (1, 2), (1, 2), (0, 1), (2, 2), (6, 4)], False),  # linear
        ([(0, 2), (0, 2), (1, 2), (1, 2), (1, 1), (45455, 24)], False),  # an exponent
    ],
)
def test_whether_colours_are_those_of_srgb(tmp_path, colours, expected):
    # 8x8 pixels; metadata not as usual, without further fields, of 8 bits; no XYB.
    size = [(1, 1), (0, 5), (1, 3)]
    metadata = [(0, 1), (0, 1), (0, 1), (0, 2), (1, 1), (0, 2), (0, 1)]
    bits = place = 0
    for value, count in [*size, *metadata, *colours]:
        bits |= value << place
        place += count
    (tmp_path / "x.jxl").write_bytes(b"\xff\x0a" + bits.to_bytes(40, "little"))
    assert jxl.size(tmp_path / "x.jxl") == (8, 8)
    assert jxl.encoding(tmp_path / "x.jxl")[1] == expected


def test_a_jpeg_file_packed_anew_is_not_lossless(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(RANDOM.integers(0, 256, (16, 24, 3), np.uint8)).save(buffer, "JPEG")
    (tmp_path / "x.jxl").write_bytes(imagecodecs.jpegxl_encode_jpeg(buffer.getvalue()))
    assert jxl.size(tmp_path / "x.jxl") == (24, 16)
    assert not jxl.encoding(tmp_path / "x.jxl")[0]


def test_a_photo(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x0112] = 6  # of pixels that are upright all the same
    pixels = np.linspace(0, 255, 60 * 80 * 3).reshape(60, 80, 3).astype(np.uint8)
    photo = photos.Photo(pixels, metadata=Metadata(exif=exif.tobytes()))
    assert not photos.write(tmp_path / "x.jxl", photo)
    read = photos.read(tmp_path / "x.jxl")
    assert read.format == "JXL" and read.pixels.shape == (60, 80, 3)
    assert np.abs(read.pixels.astype(int) - pixels).max() < 20
    kept = Image.Exif()
    kept.load(read.metadata.exif)
    assert kept[0x010F] == "Maker" and kept.get(0x0112, 1) == 1
    assert photos.size(tmp_path / "x.jxl") == (80, 60)
    profile = dataclasses.replace(photo, metadata=Metadata(icc=b"x"))
    assert photos.write(tmp_path / "x.jxl", profile) == "its colour profile"


def test_what_is_refused(tmp_path):
    path = tmp_path / "x.jxl"
    jxl.write(path, np.zeros((9, 9, 3), np.uint8), 95)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(InputError, match=r"x\.jxl cannot be read as an image"):
        jxl.read(path)
    path.write_bytes(whole[:12])
    with pytest.raises(InputError, match="no JPEG XL"):
        jxl.size(path)
    # small: no; height 2^30 by the longest of four fields; ratio 1.
    bits = 0 | 3 << 1 | (2**30 - 1) << 3 | 1 << 33
    path.write_bytes(b"\xff\x0a" + struct.pack("<Q", bits))
    with pytest.raises(InputError, match="too large to be opened safely: 1073741824x1073741824"):
        jxl.read(path)


def test_many_boxes_are_not_kept(tmp_path):
    path = tmp_path / "x.jxl"
    jxl.write(path, np.zeros((9, 9, 3), np.uint8), 95)
    path.write_bytes(path.read_bytes() + 100_000 * struct.pack(">I4s", 8, b"free"))
    tracemalloc.start()
    assert jxl.size(path) == (9, 9)
    assert tracemalloc.get_traced_memory()[1] < 3 * path.stat().st_size
    tracemalloc.stop()
