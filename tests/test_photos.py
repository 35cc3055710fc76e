"""Photographs keep what they are: depth, alpha, greyscale, metadata; and stand upright."""

import dataclasses
import re
import struct
import sys

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

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
    if suffix == ".tif" and bits == 16 and grey and with_alpha:
        photo = dataclasses.replace(photo, grey=False)  # Pillow has no such TIFF files
    assert_same(photos.read(tmp_path / f"x{suffix}"), photo)


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


# ------------------------------------------------------------------------ metadata


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
