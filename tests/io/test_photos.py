"""Photographs keep what they are: depth, alpha, greyscale, metadata; and stand upright."""

import functools
import re
import struct
import sys
import zlib

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms, PngImagePlugin, TiffImagePlugin

from tfdeblur.errors import InputError
from tfdeblur.io import photos
from tfdeblur.io.metadata import Metadata
from tfdeblur.io.photos import Photo

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
BASE = ExifTags.Base


@pytest.fixture
def colours():
    return np.random.default_rng(0).integers(0, 256, (16, 8, 3), np.uint8)


@pytest.fixture
def deep():
    return np.random.default_rng(1).integers(0, 65536, (16, 8, 3), np.uint16)


@functools.cache  # it holds the time at which it was made
def profile(space="sRGB"):
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()


def exif_of(orientation=6, thumbnail=b"\xff\xd8 an old thumbnail"):
    """EXIF as a camera writes it, with details, sizes and a thumbnail."""
    exif = Image.Exif()
    exif[BASE.Orientation] = orientation
    exif[BASE.Model] = "Camera"
    exif[BASE.DateTime] = "2024:05:06 07:08:09"
    details = {BASE.ExifImageWidth: 16, BASE.ExifImageHeight: 8, BASE.ISOSpeedRatings: 200}
    exif[ExifTags.IFD.Exif] = {**details, BASE.MakerNote: b"note" * 20}
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N"}
    content = bytearray(exif.tobytes()[6:])
    (count,) = struct.unpack_from(">H", content, 8)
    struct.pack_into(">I", content, 8 + 2 + 12 * count, len(content))
    length = len(content) + 2 + 2 * 12 + 4
    content += struct.pack(">H", 2)
    content += struct.pack(">HHII", BASE.JpegIFOffset, 4, 1, length)
    content += struct.pack(">HHII", BASE.JpegIFByteCount, 4, 1, len(thumbnail))
    return b"Exif\0\0" + bytes(content) + bytes(4) + thumbnail


def described(path):
    """What another program finds in a file: Pillow's EXIF, directory by directory."""
    with Image.open(path) as image:
        image.load()
        exif = image.getexif()
        directories = [exif.get_ifd(tag) for tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)]
        return dict(exif), *directories, exif.get_ifd(ExifTags.IFD.IFD1)


def assert_same(photo, other):
    assert photo.pixels.dtype == other.pixels.dtype and photo.grey == other.grey
    np.testing.assert_array_equal(photo.pixels, other.pixels)
    np.testing.assert_array_equal(photo.alpha, other.alpha)


# ------------------------------------------------------------------------ pixels


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_lossless_round_trip(tmp_path, colours, deep, suffix, bits, grey, with_alpha):
    pixels = colours if bits == 8 else deep
    pixels = np.repeat(pixels[..., :1], 3, axis=-1) if grey else pixels
    photo = Photo(pixels, pixels[::-1, :, 0] if with_alpha else None, grey)
    photos.write(tmp_path / f"x{suffix}", photo)
    assert_same(photos.read(tmp_path / f"x{suffix}"), photo)


@pytest.mark.parametrize("grey", [False, True])
def test_sixteen_bits_of_ppm_and_pgm(tmp_path, deep, grey):
    pixels = np.repeat(deep[..., :1], 3, axis=-1) if grey else deep
    photo = Photo(pixels, grey=grey)
    assert photos.write(tmp_path / "x.ppm", photo) == ""
    assert_same(photos.read(tmp_path / "x.ppm"), photo)


@pytest.mark.parametrize(
    ("content", "expected", "lost"),
    [
        (b"P6 2 1 1023\n" + bytes([0, 0, 1, 0, 3, 255] * 2), [0, 16400, 65535], ()),
        (b"P6 2 1 65535\n" + bytes([0, 1, 2, 3, 255, 255] * 2), [1, 515, 65535], ()),
        (b"P3 2 1 65535\n" + b"0 257 65535 " * 2, [0, 1, 255], ("its 16 bits, which become 8",)),
        (b"P6 2 1 255\n" + bytes([0, 1, 2] * 2), [0, 1, 2], ()),
    ],
)
def test_ppm_of_other_programs(tmp_path, content, expected, lost):
    (tmp_path / "x.ppm").write_bytes(content)
    photo = photos.read(tmp_path / "x.ppm")
    assert photo.pixels.tolist() == [[expected] * 2] and photo.lost == lost
    (tmp_path / "x.ppm").write_bytes(content[:-12])
    with pytest.raises(InputError, match=r"x\.ppm cannot be read"):
        photos.read(tmp_path / "x.ppm")


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".bmp", ".ppm", ".avif", ".heic"])
@pytest.mark.parametrize("grey", [False, True])
def test_other_formats(tmp_path, suffix, grey):
    if suffix == ".heic":
        pytest.importorskip("pillow_heif")
    pixels = np.full((16, 24, 3), 180 if grey else (200, 30, 90), np.uint8)
    photos.write(tmp_path / f"x{suffix}", Photo(pixels, pixels[..., 0], grey))
    read = photos.read(tmp_path / f"x{suffix}")
    np.testing.assert_allclose(read.pixels, pixels, atol=6)
    assert (read.alpha is not None) == (suffix in (".webp", ".avif", ".heic"))
    assert read.grey == (grey and suffix in (".jpg", ".bmp", ".ppm"))


def test_sixteen_bits_become_eight_where_the_format_has_no_more(tmp_path, deep):
    photos.write(tmp_path / "x.bmp", Photo(deep))
    np.testing.assert_array_equal(photos.read(tmp_path / "x.bmp").pixels, np.rint(deep / 257))


def test_grey_is_the_luma_of_what_was_restored(tmp_path):
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255] * 3]], np.uint8)
    photos.write(tmp_path / "x.png", Photo(pixels, grey=True))
    read = photos.read(tmp_path / "x.png")
    assert read.grey
    assert read.pixels[0, :, 0].tolist() == [76, 150, 29, 255]


@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "rgb", "planarconfig": "separate"},
        {"photometric": "rgb", "byteorder": ">"},
        {"photometric": "rgb", "tile": (16, 16), "compression": "zlib"},
        {"photometric": "rgb", "bigtiff": True},
    ],
)
def test_tiff_files_of_other_programs(tmp_path, deep, options):
    stored = np.moveaxis(deep, -1, 0) if "planarconfig" in options else deep
    tifffile.imwrite(tmp_path / "x.tif", stored, **options)
    np.testing.assert_array_equal(photos.read(tmp_path / "x.tif").pixels, deep)


def test_white_is_zero_in_some_tiff_files(tmp_path, deep):
    tifffile.imwrite(tmp_path / "x.tif", deep[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(photos.read(tmp_path / "x.tif").pixels[..., 0], ~deep[..., 0])


def test_a_transparent_colour(tmp_path):
    picture = Image.fromarray(np.array([[0, 1]], np.uint8), mode="P")
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.save(tmp_path / "x.png", transparency=1)
    photo = photos.read(tmp_path / "x.png")
    np.testing.assert_array_equal(photo.pixels, [[[10, 20, 30], [40, 50, 60]]])
    np.testing.assert_array_equal(photo.alpha, [[255, 0]])


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_grey(tmp_path, bits):
    """Of the greys 0, 1, 0, 1, ... the second is transparent."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    row = int(("0" * bits + "0" * (bits - 1) + "1") * 4, 2).to_bytes(bits, "big")
    (tmp_path / "x.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 1, bits, 0, 0, 0, 0))
        + chunk(b"tRNS", struct.pack(">H", 1))
        + chunk(b"IDAT", zlib.compress(b"\0" + row))
        + chunk(b"IEND", b"")
    )
    photo = photos.read(tmp_path / "x.png")
    peak = 65535 if bits == 16 else 255
    assert photo.grey and photo.alpha.tolist() == [[peak, 0] * 4]
    assert photo.pixels[0, :2, 0].tolist() == [0, 1 if bits == 16 else 255 // (2**bits - 1)]
    assert photos.write(tmp_path / "y.png", photo) == ""
    assert_same(photos.read(tmp_path / "y.png"), photo)


def test_one_bit_is_greyscale(tmp_path):
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1").save(tmp_path / "x.png")
    photo = photos.read(tmp_path / "x.png")
    assert photo.grey and photo.pixels[0, :, 0].tolist() == [0, 255]


def test_quality(tmp_path, colours):
    sizes = []
    for quality in (20, 95):
        photos.write(tmp_path / "x.jpg", Photo(colours), quality)
        sizes.append((tmp_path / "x.jpg").stat().st_size)
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("grey", [False, True])
def test_colours_are_not_multiplied_by_alpha(tmp_path, dtype, grey):
    """Of a file whose colours are: alpha 1/2, and a colour of 1/4."""
    peak = 1 if dtype == "float32" else np.iinfo(dtype).max
    stored = np.full((4, 4, 2 if grey else 4), peak * 0.25).astype(dtype)
    stored[..., -1] = peak * 0.5
    photometric = "minisblack" if grey else "rgb"
    if grey and dtype == "uint8":
        pytest.skip("Pillow does not open these")
    tifffile.imwrite(
        tmp_path / "x.tif",
        stored,
        photometric=photometric,
        planarconfig="contig",
        extrasamples=["assocalpha"],
    )
    photo = photos.read(tmp_path / "x.tif")
    assert photo.pixels.dtype == dtype and photo.grey == grey
    np.testing.assert_allclose(photo.pixels / peak, 0.5, atol=1 / 127)
    np.testing.assert_array_equal(photo.alpha, stored[..., -1])
    photos.write(tmp_path / "y.tif", photo)
    assert_same(photos.read(tmp_path / "y.tif"), photo)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("kinds", "lost"),
    [
        (["unspecified"], ("1 channel without a meaning",)),
        (["unassalpha", "unspecified"], ("1 channel without a meaning",)),
        (["unspecified"] * 2, ("2 channels without a meaning",)),
        (["unassalpha"], ()),
    ],
)
def test_channels_without_a_meaning_are_told(tmp_path, colours, deep, bits, kinds, lost):
    pixels = colours if bits == 8 else deep
    stored = np.concatenate([pixels, pixels[..., : len(kinds)]], axis=-1)
    tifffile.imwrite(tmp_path / "x.tif", stored, photometric="rgb", extrasamples=kinds)
    photo = photos.read(tmp_path / "x.tif")
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert photo.lost == lost
    np.testing.assert_array_equal(photo.alpha, pixels[..., 0] if "unassalpha" in kinds else None)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_what_becomes_of_cmyk_is_told(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((4, 4, 4), dtype), photometric="separated")
    photo = photos.read(tmp_path / "x.tif")
    assert photo.pixels.dtype == np.uint8 and photo.pixels.min() == 255
    assert photo.lost == ("its CMYK colours, which become RGB of 8 bits",)


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 3), (6, 5, 4)])
def test_floating_point_in_tiff_files(tmp_path, shape):
    values = np.random.default_rng(0).random(shape, np.float32)
    tifffile.imwrite(tmp_path / "x.tif", values, photometric="rgb" if len(shape) > 2 else None)
    photo = photos.read(tmp_path / "x.tif")
    colours = values[..., :3] if len(shape) > 2 else values[..., None]
    np.testing.assert_array_equal(photo.pixels, np.broadcast_to(colours, (6, 5, 3)))
    assert photos.write(tmp_path / "y.tif", photo) == ""
    assert_same(photos.read(tmp_path / "y.tif"), photo)
    assert photos.write(tmp_path / "y.png", photo) == "its floating-point values"
    np.testing.assert_array_equal(
        photos.read(tmp_path / "y.png").pixels, np.rint(photo.pixels * np.float32(65535))
    )
    assert photos.write(tmp_path / "y.jpg", photo).startswith("its floating-point values")


@pytest.mark.parametrize("value", [-0.5, 1.5, np.nan])
def test_floating_point_beyond_white_is_refused(tmp_path, value):
    tifffile.imwrite(tmp_path / "x.tif", np.full((4, 4, 3), value, np.float32), photometric="rgb")
    for function in (photos.read, photos.size):
        with pytest.raises(InputError, match=r"x\.tif holds floating-point values"):
            function(tmp_path / "x.tif")


def test_what_size_refuses_is_what_read_refuses(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((4, 4), np.int32))
    for function in (photos.read, photos.size):
        with pytest.raises(InputError, match=r"x\.tif"):
            function(tmp_path / "x.tif")


def test_sizes_are_of_upright_photographs(tmp_path, deep):
    tifffile.imwrite(tmp_path / "x.tif", deep, photometric="rgb", extratags=[(274, "H", 1, 6)])
    assert photos.size(tmp_path / "x.tif") == (16, 8)
    photos.write(tmp_path / "x.png", Photo(deep))
    assert photos.size(tmp_path / "x.png") == (8, 16)


def test_previews_in_tiff_files_are_no_second_picture(tmp_path, colours):
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        file.write(colours, photometric="rgb")
        file.write(colours[::2, ::2], photometric="rgb", subfiletype=1)
    np.testing.assert_array_equal(photos.read(tmp_path / "x.tif").pixels, colours)
    tifffile.imwrite(tmp_path / "y.tif", np.stack([colours, colours]), photometric="rgb")
    with pytest.raises(InputError, match=r"y\.tif holds 2 images"):
        photos.read(tmp_path / "y.tif")


@pytest.mark.parametrize("kind", ["WEBP", "HEIF"])
def test_lossless_stays_lossless(tmp_path, colours, kind):
    options = {"lossless": True}
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
        options = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}
    path = tmp_path / f"x.{kind.lower()}"
    Image.fromarray(colours).save(path, format=kind, **options)
    photo = photos.read(path)
    assert photo.lossless
    for _ in range(2):
        assert photos.write(path, photo) == ""
        photo = photos.read(path)
        np.testing.assert_array_equal(photo.pixels, colours)
    Image.fromarray(colours).save(path, format=kind, quality=80)
    assert not photos.read(path).lossless


def test_lossless_webp_with_metadata_and_alpha(tmp_path, colours):
    pixels = np.concatenate([colours, colours[..., :1] // 128], axis=-1)
    Image.fromarray(pixels).save(tmp_path / "x.webp", lossless=True, exact=True, exif=exif_of(1))
    photo = photos.read(tmp_path / "x.webp")
    photos.write(tmp_path / "y.webp", photo)
    assert_same(photos.read(tmp_path / "y.webp"), photo)
    np.testing.assert_array_equal(photo.pixels, colours)


def test_the_format_is_that_of_the_content(tmp_path, colours):
    Image.fromarray(np.dstack([colours, colours[..., 0]])).save(tmp_path / "x.jpg", format="PNG")
    photo = photos.read(tmp_path / "x.jpg")
    assert photo.format == "PNG"
    assert photos.write(tmp_path / "y.jpg", photo, form=photo.format) == ""
    assert_same(photos.read(tmp_path / "y.jpg"), photo)
    assert photos.write(tmp_path / "z.jpg", photo) == "its transparency"


def test_what_a_format_cannot_hold_is_told(tmp_path, deep):
    found = Metadata(
        exif=exif_of(), xmp=XMP, icc=profile(), chunks=((b"gAMA", bytes(4)), (b"tEXt", b"a\0b"))
    )
    lost = photos.write(tmp_path / "x.bmp", Photo(deep, deep[..., 0], metadata=found))
    for name in ("16 bits", "transparency", "EXIF", "XMP", "colour profile", "gAMA", "texts"):
        assert name in lost
    opaque = np.full(deep.shape[:2], 65535, np.uint16)
    assert photos.write(tmp_path / "x.jpg", Photo(deep, opaque)) == "its 16 bits"


# ------------------------------------------------------------------------ metadata


@pytest.mark.parametrize("bits", [8, 16])
def test_chunks_of_png_files(tmp_path, colours, deep, bits):
    chunks = (
        (b"gAMA", (100000).to_bytes(4, "big")),
        (b"cICP", bytes([1, 8, 0, 1])),
        (b"tEXt", b"Description\0a walk"),
        (b"tEXt", b"Author\0me"),
        (b"zTXt", b"Comment\0\0" + zlib.compress(b"long")),
        (b"iTXt", "Title\0\0\0de\0Titel\0Übung".encode()),
        (b"tIME", bytes([7, 234, 1, 2, 3, 4, 5])),
        (b"mDCV", bytes(range(24))),
        (b"cLLI", bytes(range(8))),
        (b"pHYs", struct.pack(">IIB", 1, 2, 0)),
        (b"bKGD", struct.pack(">HHH", 1, 2, 3)),
    )
    photo = Photo(colours if bits == 8 else deep, metadata=Metadata(xmp=XMP, chunks=chunks))
    photos.write(tmp_path / "x.png", photo)
    read = photos.read(tmp_path / "x.png")
    assert sorted(read.metadata.chunks) == sorted(chunks) and read.lost == ()
    assert read.metadata.xmp == XMP.replace(b"6", b"1")
    lost = photos.write(tmp_path / "x.bmp", read)
    assert all(name in lost for name in ("mDCV", "cLLI", "pHYs", "bKGD"))
    with Image.open(tmp_path / "x.png") as image:
        image.load()
        assert image.info["gamma"] == 1 and image.text["Title"] == "Übung"


def with_chunks(path, *chunks):
    """Puts chunks, (kind, content), behind the header of a PNG file."""
    content = path.read_bytes()
    packed = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    path.write_bytes(content[:33] + packed + content[33:])


def test_chunks_that_are_not_kept_are_told(tmp_path, colours):
    Image.fromarray(colours).save(tmp_path / "x.png")
    with_chunks(tmp_path / "x.png", (b"sBIT", bytes([5, 6, 5])), (b"caBX", b"signed"))
    credentials, others = photos.read(tmp_path / "x.png").lost
    assert "(C2PA)" in credentials and others == "its PNG chunk sBIT"
    Image.fromarray(colours).quantize(4).save(tmp_path / "x.png")
    many = [(b"a%cXa" % letter, b"") for letter in b"abcdefghij"]
    with_chunks(tmp_path / "x.png", *many, (b"bKGD", b"\1"))
    (lost,) = photos.read(tmp_path / "x.png").lost
    assert lost.startswith("its PNG chunks aaXa, abXa,") and lost.endswith("ahXa, 3 more")


def test_content_credentials_of_jpeg_files_are_told(tmp_path, colours):
    Image.fromarray(colours).save(tmp_path / "x.jpg")
    content = (tmp_path / "x.jpg").read_bytes()
    segment = b"\xff\xeb\0\x0eJP....c2pa.."
    (tmp_path / "x.jpg").write_bytes(content[:2] + segment + content[2:])
    (lost,) = photos.read(tmp_path / "x.jpg").lost
    assert "(C2PA)" in lost


@pytest.mark.parametrize("suffix", [".webp", ".avif"])
def test_content_credentials_in_boxes_and_chunks_are_told(suffix, tmp_path, colours):
    path = tmp_path / f"x{suffix}"
    photos.write(path, photos.Photo(colours))
    assert not photos.read(path).lost
    kind = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
    added = {
        ".webp": b"C2PA" + struct.pack("<I", 4) + b"jumb",
        ".avif": struct.pack(">I4s", 28, b"uuid") + kind + b"jumb",
    }
    with path.open("ab") as file:
        file.write(added[suffix])
    if suffix == ".webp":  # whose header knows its length
        content = bytearray(path.read_bytes())
        content[4:8] = struct.pack("<I", len(content) - 8)
        path.write_bytes(content)
    (lost,) = photos.read(path).lost
    assert "(C2PA)" in lost


@pytest.mark.parametrize("bits", [8, 16])
def test_tags_of_tiff_files(tmp_path, colours, deep, bits):
    title = "Titel\0".encode("utf-16le")
    kept = {
        40091: ("B", len(title), title),
        18246: ("H", 1, 4),
        285: ("s", 0, "page"),
        297: ("H", 2, (1, 3)),
    }
    tags = [(tag, *value, True) for tag, value in kept.items()]
    tags += [(33550, "d", 3, (1.0, 1.0, 0.0), True), (65000, "H", 1, 1, True)]
    pixels = colours if bits == 8 else deep
    tifffile.imwrite(tmp_path / "x.tif", pixels, photometric="rgb", extratags=tags)
    photo = photos.read(tmp_path / "x.tif")
    assert photo.lost == ("its TIFF tags ModelPixelScaleTag, 65000",)
    photos.write(tmp_path / "y.tif", photo)
    with tifffile.TiffFile(tmp_path / "y.tif") as file:
        found = file.pages[0].tags
        assert {tag: found[tag].value for tag in kept} == {tag: x[2] for tag, x in kept.items()}
    photos.write(tmp_path / "y.jpg", photo)
    assert described(tmp_path / "y.jpg")[0][40091] == title


@pytest.mark.parametrize("text", ["Café Zürich".encode(), "Café".encode("latin-1")])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("suffix", [".tif", ".jpg", ".png"])
def test_text_keeps_its_bytes(tmp_path, colours, deep, text, bits, suffix):
    pixels = colours if bits == 8 else deep
    tags = [(tag, "s", 0, text, True) for tag in (BASE.Artist, BASE.ImageDescription)]
    tifffile.imwrite(tmp_path / "x.tif", pixels, photometric="rgb", extratags=tags, metadata=None)
    photos.write(tmp_path / f"y{suffix}", photos.read(tmp_path / "x.tif"))
    # From another format, in the directory of EXIF too.
    exif = Image.Exif()
    exif[BASE.Artist] = "name"
    exif.get_ifd(ExifTags.IFD.Exif)[0xA430] = "owner"
    content = exif.tobytes().replace(b"name\0", text[:4] + b"\0").replace(b"owner", text[:4] + b"!")
    photo = Photo(pixels, metadata=Metadata(exif=content))
    photos.write(tmp_path / f"z{suffix}", photo)
    read = (described(tmp_path / f"{name}{suffix}") for name in "yz")
    assert [main[BASE.Artist].encode("latin-1") for main, *_ in read] == [text, text[:4]]
    _, details, *_ = described(tmp_path / f"z{suffix}")
    assert details[0xA430].encode("latin-1") == text[:4] + b"!"


@pytest.mark.parametrize("values", [(0, 0), (300, 0), (4_000_000_000, 1)])
def test_a_resolution_without_a_meaning_is_none(tmp_path, colours, values):
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag in (BASE.XResolution, BASE.YResolution):
        info[tag] = TiffImagePlugin.IFDRational(*values)
    info[BASE.ResolutionUnit] = 3
    Image.fromarray(colours).save(tmp_path / "x.tif", tiffinfo=info)
    photo = photos.read(tmp_path / "x.tif")
    assert photo.metadata.dpi == ()
    for suffix in (".tif", ".png", ".jpg"):
        photos.write(tmp_path / f"y{suffix}", photo)


def test_old_places_of_exif_in_png_files_are_not_kept(tmp_path, colours):
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", "\nexif\n 4\n00000000")
    info.add_text("Author", "me")
    Image.fromarray(colours).save(tmp_path / "x.png", pnginfo=info)
    assert photos.read(tmp_path / "x.png").metadata.chunks == ((b"tEXt", b"Author\0me"),)


def resource(number, content):
    size = len(content).to_bytes(4, "big")
    return b"8BIM" + number.to_bytes(2, "big") + b"\0\0" + size + content + bytes(len(content) % 2)


def test_iptc_and_comments(tmp_path, colours):
    iptc = resource(1028, b"\x1c\x02\x78\x00\x05Hello")
    large = resource(1085, bytes(70000))
    written = Metadata(comments=(b"one", b"two"), photoshop=iptc + large)
    photos.write(tmp_path / "x.jpg", Photo(colours, metadata=written))
    assert photos.read(tmp_path / "x.jpg").metadata == written
    filled = (tmp_path / "x.jpg").read_bytes().replace(b"\xff\xfe", b"\xff\xff\xff\xfe")
    (tmp_path / "filled.jpg").write_bytes(filled)
    assert photos.read(tmp_path / "filled.jpg").metadata == written
    with Image.open(tmp_path / "x.jpg") as image:
        assert image.info["comment"] == b"two"
    assert photos.write(tmp_path / "x.tif", Photo(colours, metadata=written)) == "its comment"
    assert photos.read(tmp_path / "x.tif").metadata.photoshop == iptc + large
    assert photos.write(tmp_path / "x.png", Photo(colours, metadata=written)) == (
        "its IPTC, its comment"
    )


def test_previews_in_photoshop_s_resources_are_dropped(tmp_path, colours):
    kept = resource(1028, b"abc")
    found = Metadata(photoshop=resource(1036, b"an old preview") + kept + b"8BIM broken")
    photos.write(tmp_path / "x.jpg", Photo(colours, metadata=found))
    assert photos.read(tmp_path / "x.jpg").metadata.photoshop == kept


@pytest.mark.parametrize("bits", [8, 16])
def test_iptc_of_tiff_files(tmp_path, colours, deep, bits):
    record = b"\x1c\x02\x78\x00\x05Hello"
    tags = [(33723, "B", len(record), record, True)]
    pixels = colours if bits == 8 else deep
    tifffile.imwrite(tmp_path / "x.tif", pixels, photometric="rgb", extratags=tags)
    photo = photos.read(tmp_path / "x.tif")
    assert photo.metadata.photoshop == resource(1028, record)
    photos.write(tmp_path / "y.tif", photo)
    with tifffile.TiffFile(tmp_path / "y.tif") as file:
        assert bytes(file.pages[0].tags[33723].value) == record


@pytest.mark.parametrize(
    "announced",
    [
        b' Camera:MotionPhoto="1" Camera:MicroVideoOffset="4096"',
        b" hdrgm:Version='1.0'",
        b' xmpNote:HasExtendedXMP="0123"',
        b"><GCamera:MotionPhoto>1</GCamera:MotionPhoto",
        b"><Container:Directory><rdf:Seq><rdf:li>video</rdf:li></rdf:Seq></Container:Directory",
        b'><hdrgm:GainMapMax a="b"><rdf:Seq>1</rdf:Seq></hdrgm:GainMapMax',
    ],
)
def test_what_is_not_written_is_not_announced(tmp_path, colours, announced):
    before, after = b'<rdf:Description xmp:Rating="5"', b"><x:Kept>1</x:Kept></rdf:Description>"
    Image.fromarray(colours).save(tmp_path / "x.jpg", xmp=before + announced + after)
    photo = photos.read(tmp_path / "x.jpg")
    assert photo.metadata.xmp in (before + after, before + b">" + after)
    assert "video" in photo.lost[0]


@pytest.mark.parametrize("part", [b"<Container:Directory>", b" ", b" a"])
def test_a_long_packet_takes_no_time(tmp_path, colours, part):
    xmp = part * 100_000 + b"."
    photos.write(tmp_path / "x.png", Photo(colours, metadata=Metadata(xmp=xmp)))
    assert photos.read(tmp_path / "x.png").metadata.xmp == xmp


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif", ".heic"])
def test_metadata_are_kept_and_fit_the_upright_picture(tmp_path, suffix):
    if suffix == ".heic":
        pytest.importorskip("pillow_heif")
    stored = np.zeros((8, 16, 3), np.uint8)
    stored[:, :8] = 255
    Image.fromarray(stored).save(
        tmp_path / "in.jpg",
        exif=exif_of(),
        icc_profile=profile(),
        xmp=XMP,
        dpi=(300, 300),
        quality=100,
        subsampling=0,
    )
    photo = photos.read(tmp_path / "in.jpg")
    photos.write(tmp_path / f"out{suffix}", photo)
    main, details, places, thumbnail = described(tmp_path / f"out{suffix}")
    assert main.get(BASE.Orientation, 1) == 1
    assert main[BASE.Model] == "Camera"
    assert details[BASE.ISOSpeedRatings] == 200
    assert details[BASE.MakerNote] == b"note" * 20
    assert (details[BASE.ExifImageWidth], details[BASE.ExifImageHeight]) == (8, 16)
    assert places[ExifTags.GPS.GPSLatitudeRef] == "N"
    assert not thumbnail
    again = photos.read(tmp_path / f"out{suffix}")
    assert again.pixels.shape == (16, 8, 3)
    assert again.pixels[:7].min() > 200 and again.pixels[9:].max() < 50
    assert again.metadata.icc == profile()
    assert again.metadata.xmp == XMP.replace(b"6", b"1")
    if suffix in (".jpg", ".png", ".tif"):
        np.testing.assert_allclose(again.metadata.dpi, 300, atol=0.1)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_metadata_of_sixteen_bits(tmp_path, deep, suffix):
    Image.new("RGB", (1, 1)).save(tmp_path / "x.jpg", exif=exif_of(), xmp=XMP, dpi=(72, 72))
    found = photos.read(tmp_path / "x.jpg").metadata
    found = Metadata(found.exif, found.xmp, profile(), found.dpi)
    photos.write(tmp_path / f"x{suffix}", Photo(deep, metadata=found))
    main, details, places, _ = described(tmp_path / f"x{suffix}")
    assert main[BASE.Model] == "Camera" and main[BASE.DateTime] == "2024:05:06 07:08:09"
    assert details[BASE.ISOSpeedRatings] == 200
    assert places[ExifTags.GPS.GPSLatitudeRef] == "N"
    again = photos.read(tmp_path / f"x{suffix}")
    assert_same(again, Photo(deep))
    assert (again.metadata.icc, again.metadata.xmp) == (found.icc, found.xmp)
    np.testing.assert_allclose(again.metadata.dpi, 72, atol=0.1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_orientations(tmp_path, deep, orientation, suffix):
    """8 bits by Pillow's own turning, 16 bits likewise."""
    eight = (deep >> 8).astype(np.uint8)
    exif = Image.Exif()
    exif[BASE.Orientation] = orientation
    Image.fromarray(eight).save(tmp_path / f"eight{suffix}", exif=exif)
    expected = photos.read(tmp_path / f"eight{suffix}").pixels
    turned = (8, 16, 3) if orientation > 4 else (16, 8, 3)
    assert expected.shape == turned
    path = tmp_path / f"deep{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, deep, photometric="rgb", extratags=[(274, "H", 1, orientation)])
    else:
        photos.write(path, Photo(deep, metadata=Metadata(exif=exif.tobytes())))
    np.testing.assert_array_equal(photos.read(path).pixels >> 8, expected)


def test_metadata_after_the_pixels_of_a_png(tmp_path, colours):
    whole = tmp_path / "whole.png"
    extra = PngImagePlugin.PngInfo()
    extra.add_itxt("XML:com.adobe.xmp", XMP.decode())
    Image.fromarray(colours).save(whole, exif=exif_of(), pnginfo=extra)
    chunks = re.split(rb"(?s)(?=.{4}(?:eXIf|iTXt|IDAT|IEND))", whole.read_bytes())
    chunks.insert(-1, chunks.pop(next(i for i, c in enumerate(chunks) if c[4:8] == b"eXIf")))
    assert [chunk[4:8] for chunk in chunks[1:]] == [b"iTXt", b"IDAT", b"eXIf", b"IEND"]
    (tmp_path / "x.png").write_bytes(b"".join(chunks))
    photo = photos.read(tmp_path / "x.png")
    assert photo.metadata.exif.startswith(b"Exif\0\0MM")
    assert photo.pixels.shape == (8, 16, 3)


def test_a_profile_of_other_colours_is_dropped(tmp_path, colours):
    cmyk = bytearray(profile())
    cmyk[16:20] = b"CMYK"
    picture = Image.fromarray(colours).convert("CMYK")
    picture.save(tmp_path / "x.jpg", icc_profile=bytes(cmyk))
    assert photos.read(tmp_path / "x.jpg").metadata.icc == b""


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0nonsense", exif_of()[:40]])
def test_broken_exif_is_dropped(tmp_path, colours, exif):
    Image.fromarray(colours).save(tmp_path / "x.jpg", exif=exif)
    photo = photos.read(tmp_path / "x.jpg")
    assert photo.metadata.exif == b""
    assert photo.lost == (() if exif == b"Exif\0\0" else ("its EXIF, which is broken",))
    assert photo.pixels.shape == colours.shape


def test_what_is_too_long_for_jpeg_is_left_out(tmp_path, colours):
    photos.write(tmp_path / "x.jpg", Photo(colours, metadata=Metadata(xmp=b"x" * 70000)))
    assert photos.read(tmp_path / "x.jpg").metadata.xmp == b""


# ------------------------------------------------------------------------ refused


def test_missing_libraries_are_named(tmp_path, monkeypatch, deep):
    (tmp_path / "x.heic").write_bytes(b"\0\0\0\x18ftypheic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(InputError, match=r"x\.heic: HEIC needs .* pip install pillow-heif"):
        photos.read(tmp_path / "x.heic")
    tifffile.imwrite(tmp_path / "x.tif", deep, photometric="rgb")

    def refuse(page):
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", refuse)
    with pytest.raises(InputError, match=r"x\.tif is compressed .* pip install imagecodecs"):
        photos.read(tmp_path / "x.tif")


def test_broken_sixteen_bits(tmp_path, deep):
    for suffix in (".png", ".tif"):
        photos.write(tmp_path / f"x{suffix}", Photo(np.tile(deep, (20, 20, 1))))
        content = (tmp_path / f"x{suffix}").read_bytes()
        (tmp_path / f"x{suffix}").write_bytes(content[: len(content) // 2])
        with pytest.raises(InputError, match=rf"x\{suffix} cannot be read as an image"):
            photos.read(tmp_path / f"x{suffix}")


def test_unknown_suffix(tmp_path, colours):
    with pytest.raises(InputError, match=r"cannot write .*x\.gif: name a file ending in"):
        photos.write(tmp_path / "x.gif", Photo(colours))


@pytest.mark.parametrize(("bits", "lost"), [(8, ()), (10, ("its 10 bits, which become 8",))])
def test_avif_of_more_than_eight_bits_says_so(tmp_path, bits, lost):
    imagecodecs = pytest.importorskip("imagecodecs", reason="the extra [photos] is not installed")
    pixels = np.zeros((16, 16, 3), np.uint8 if bits == 8 else np.uint16)
    (tmp_path / "x.avif").write_bytes(imagecodecs.avif_encode(pixels, bitspersample=bits))
    assert photos.read(tmp_path / "x.avif").lost == lost
