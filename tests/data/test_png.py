import io
import itertools
import zlib

import numpy as np
import PIL.Image
import pytest

from tfdeblur.data import png

pytestmark = pytest.mark.skipif(not png.AVAILABLE, reason="the extra [fast] is not installed")

HEIGHT, WIDTH, SIDE = 23, 31, 9


def chunk(kind, data):
    checksum = zlib.crc32(kind + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + kind + data + checksum


def encoded(image, filters, parts=3):
    """A PNG file whose rows use these filters in turn, by the definitions of the standard."""
    image = np.pad(image.astype(int), ((1, 0), (1, 0), (0, 0)))
    here, left, above, corner = image[1:, 1:], image[1:, :-1], image[:-1, 1:], image[:-1, :-1]
    nearest = np.stack([left, above, corner])
    distances = np.abs(nearest - (left + above - corner))
    paeth = np.take_along_axis(nearest, distances.argmin(0)[None], 0)[0]
    predictions = [np.zeros_like(here), left, above, (left + above) // 2, paeth]
    rows = b"".join(
        bytes([kind]) + ((here[y] - predictions[kind][y]) % 256).astype("uint8").tobytes()
        for y, kind in enumerate(np.resize(filters, HEIGHT))
    )
    stream = zlib.compress(rows)
    header = WIDTH.to_bytes(4, "big") + HEIGHT.to_bytes(4, "big") + png.PLAIN
    cuts = np.linspace(0, len(stream), parts + 1).astype(int)
    data = [chunk(b"IDAT", stream[a:b]) for a, b in itertools.pairwise(cuts)]
    return b"".join([png.SIGNATURE, chunk(b"IHDR", header), *data, chunk(b"IEND", b"")])


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), "uint8")


@pytest.mark.parametrize("filters", [[0], [1], [2], [3], [4], [4, 1, 0, 3, 2]])
def test_crops_are_those_of_the_whole_image(image, filters):
    content = encoded(image, filters)
    decoded = PIL.Image.open(io.BytesIO(content))
    np.testing.assert_array_equal(np.asarray(decoded), image)  # a valid file
    assert png.size(content) == (HEIGHT, WIDTH)
    corners = [(0, 0), (HEIGHT - SIDE, WIDTH - SIDE), (5, 7), (5, 0)]
    crops = png.crops(content, corners, SIDE)
    for crop, (y, x) in zip(crops, corners, strict=True):
        np.testing.assert_array_equal(crop, image[y : y + SIDE, x : x + SIDE])


def test_the_header_tells_plain_files(image):
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, format="PNG")
    assert file.getvalue()[png.PLAIN_AT :].startswith(png.PLAIN)


@pytest.mark.parametrize("kept", [33, 40, 200, -1, -13])
def test_truncated_files_are_refused_wherever_the_crop_lies(image, kept):
    with pytest.raises(ValueError, match="truncated"):
        png.crops(encoded(image, [4])[:kept], [(0, 0)], SIDE)


def test_a_changed_byte_is_noticed(image):
    content = bytearray(encoded(image, [4]))
    content[-40] ^= 1
    with pytest.raises(ValueError, match="checksum"):
        png.crops(bytes(content), [(0, 0)], SIDE)


def test_missing_rows_broken_streams_and_unknown_filters_are_refused(image):
    end = chunk(b"IEND", b"")
    head = encoded(image, [0])[:33]
    for stream, message in (
        (zlib.compress(b"0" * 100), "too few rows"),
        (b"no zlib stream", "Error"),
        (zlib.compress(b"9" * HEIGHT * (1 + 3 * WIDTH)), "unknown filter"),
    ):
        with pytest.raises(ValueError, match=message):
            png.crops(head + chunk(b"IDAT", stream) + end, [(0, 0)], SIDE)
