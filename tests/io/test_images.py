"""Image files of all kinds in, atomic files out, and the pairing of folders."""

import io
import os
import pathlib
import re
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from tfdeblur.errors import InputError
from tfdeblur.io import images


@pytest.fixture
def colours():
    return np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)


def save(path, array, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(array)
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


def grey_png(path, array):
    """A 16-bit greyscale PNG written by hand."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width = array.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".ppm", ".tif", ".PNG"])
def test_lossless_round_trip(tmp_path, colours, suffix):
    images.write(tmp_path / f"new/folder/x{suffix}", colours)
    np.testing.assert_array_equal(images.read(tmp_path / f"new/folder/x{suffix}"), colours)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_round_trip(tmp_path, suffix):
    colour = np.full((16, 16, 3), (200, 30, 90), np.uint8)
    images.write(tmp_path / f"x{suffix}", colour)
    np.testing.assert_allclose(images.read(tmp_path / f"x{suffix}"), colour, atol=6)


def test_jpeg_keeps_full_colour_resolution(tmp_path):
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, ::2] = (255, 0, 0)
    stripes[:, 1::2] = (0, 0, 255)
    images.write(tmp_path / "x.jpg", stripes)
    assert np.abs(images.read(tmp_path / "x.jpg").astype(int) - stripes).max() < 30


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "CMYK"])
def test_other_modes_become_rgb(tmp_path, colours, mode):
    path = save(tmp_path / ("x.tif" if mode == "CMYK" else "x.png"), colours, mode)
    expected = np.asarray(Image.fromarray(colours).convert(mode).convert("RGB"))
    np.testing.assert_array_equal(images.read(path), expected)


def test_sixteen_bits_become_eight(tmp_path):
    grey = np.array([[0, 257, 65535], [128 * 257, 128 * 257 + 100, 1]], np.uint16)
    expected = np.array([[0, 1, 255], [128, 128, 0]], np.uint8)
    read = images.read(grey_png(tmp_path / "x.png", grey))
    np.testing.assert_array_equal(read, np.repeat(expected[..., None], 3, axis=-1))


def test_floating_point_pixels_are_refused(tmp_path):
    path = save(tmp_path / "x.tif", np.zeros((2, 2), np.float32))
    with pytest.raises(InputError, match=r"x\.tif holds 'F' pixels"):
        images.read(path)


def test_alpha_is_dropped_not_composited(tmp_path, colours):
    alpha = np.arange(35, dtype=np.uint8).reshape(7, 5, 1)
    path = save(tmp_path / "x.png", np.concatenate([colours, alpha], axis=-1))
    np.testing.assert_array_equal(images.read(path), colours)


def test_all_values_of_sixteen_bits():
    values = np.arange(65536, dtype=np.uint16)
    np.testing.assert_array_equal(images.to_eight_bits(values), np.rint(values / 257))


def test_plain_files(tmp_path, colours):
    for name, mode, plain in (
        ("x.png", "RGB", True),
        ("x.jpg", "RGB", True),
        ("grey.png", "L", True),
        ("palette.png", "P", False),
        ("alpha.png", "RGBA", False),
        ("cmyk.jpg", "CMYK", False),
        ("x.tif", "RGB", False),
    ):
        assert images.is_plain(save(tmp_path / name, colours, mode)) == plain
    assert not images.is_plain(grey_png(tmp_path / "deep.png", np.zeros((2, 2), np.uint16)))


def test_encode_png(tmp_path, colours):
    (tmp_path / "x.png").write_bytes(images.encode_png(colours))
    np.testing.assert_array_equal(images.read(tmp_path / "x.png"), colours)


def test_transparent_palette_colour(tmp_path):
    picture = Image.fromarray(np.array([[0, 1]], np.uint8), mode="P")
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.save(tmp_path / "x.png", transparency=1)
    np.testing.assert_array_equal(images.read(tmp_path / "x.png"), [[[10, 20, 30], [40, 50, 60]]])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_orientation_is_applied(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    stored = np.zeros((8, 16, 3), np.uint8)
    stored[:, :8] = 255
    path = save(tmp_path / f"x{suffix}", stored, exif=exif)
    read = images.read(path)
    assert read.shape == (16, 8, 3)
    assert images.size(path) == (8, 16)
    assert not images.is_plain(path)
    assert read[:8].min() > 240 and read[8:].max() < 15


def test_orientation_in_xmp_is_applied(tmp_path):
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    path = save(tmp_path / "x.jpg", np.zeros((8, 16, 3), np.uint8), xmp=xmp)
    assert images.read(path).shape == (16, 8, 3)
    assert images.size(path) == (8, 16)


def test_broken_files(tmp_path, colours):
    whole = save(tmp_path / "whole.png", np.tile(colours, (20, 20, 1))).read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    for name, reason in {
        "half.png": "truncated",
        "empty.png": "the file is empty",
        "text.png": "unknown format",
        "folder.png": "it is a folder",
    }.items():
        with pytest.raises(InputError, match=rf"{name} cannot be read.*{reason}.*replace"):
            images.read(tmp_path / name)
    with pytest.raises(InputError, match=r"none\.png does not exist"):
        images.read(tmp_path / "none.png")


@pytest.mark.parametrize(
    ("dtype", "photometric", "kind"),
    [
        ("int16", "rgb", r"int16 pixels \(3 channels, RGB\)"),
        ("uint32", "rgb", r"uint32 pixels \(3 channels, RGB\)"),
        ("uint16", "cielab", r"uint16 pixels \(3 channels, CIELAB\)"),
    ],
)
def test_tiff_files_of_other_pixels(tmp_path, dtype, photometric, kind):
    pixels = np.zeros((7, 5, 3), dtype)
    tifffile.imwrite(tmp_path / "x.tif", pixels, photometric=photometric)
    for function in (images.read, images.size):
        with pytest.raises(InputError, match=rf"x\.tif holds {kind}, .* convert it to RGB"):
            function(tmp_path / "x.tif")
    content = (tmp_path / "x.tif").read_bytes()
    (tmp_path / "x.tif").write_bytes(content[:8] + bytes(len(content)))
    with pytest.raises(InputError, match=r"x\.tif cannot be read .*unknown format"):
        images.read(tmp_path / "x.tif")


def test_decompression_bomb(tmp_path, colours, monkeypatch):
    path = save(tmp_path / "x.png", colours)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(InputError, match=r"x\.png is too large"):
        images.read(path)


def test_animation_is_refused(tmp_path, colours):
    frames = [Image.fromarray(colours), Image.fromarray(255 - colours)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match="holds 2 images"):
        images.read(tmp_path / "x.gif")


def test_write_refuses_unknown_suffixes_and_wrong_arrays(tmp_path, colours):
    with pytest.raises(InputError, match=r"x\.xyz: name a file ending in"):
        images.write(tmp_path / "x.xyz", colours)
    with pytest.raises(ValueError, match="uint8"):
        images.write(tmp_path / "x.png", colours / 255)


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_failed_write_leaves_the_old_file(tmp_path, colours, monkeypatch, error):
    images.write(tmp_path / "x.png", colours)

    def fail(picture, path, **options):
        pathlib.Path(path).write_bytes(b"half")
        raise error

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises((InputError, KeyboardInterrupt)):
        images.write(tmp_path / "x.png", 255 - colours)
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]
    np.testing.assert_array_equal(images.read(tmp_path / "x.png"), colours)


def test_find_images(tmp_path, colours):
    for name in ("b.png", "a/z.JPG", "a/y.tif", ".hidden.png", ".trash/t.png", "odd.dat"):
        save(tmp_path / name, colours, format="PNG")
    found = images.find_images([tmp_path / "odd.dat", tmp_path, tmp_path / "b.png"])
    names = [path.relative_to(tmp_path).as_posix() for path in found]
    assert names == ["odd.dat", "a/y.tif", "a/z.JPG", "b.png"]
    with pytest.raises(InputError, match="nowhere does not exist"):
        images.find_images([tmp_path / "nowhere"])


# ------------------------------------------------------------------------ hostile files

HOSTILE = pathlib.Path(__file__).parents[1] / "cases" / "hostile"


def test_one_door_for_images():
    root = pathlib.Path(images.__file__).parents[2]
    sources = [*root.glob("*.py"), *root.glob("tfdeblur/**/*.py")]
    sources += [*root.glob("datasets/**/*builder.py"), *root.glob("examples/*.py")]
    pattern = re.compile(r"\bImage\.open\(|\bplt\.imread\(|\bcv2\.imread\(|\bimread\(")
    found = [path.name for path in sources if pattern.search(path.read_text())]
    # raw.py's imread is LibRaw's, of a file that images.py has opened.
    assert len(sources) > 40 and sorted(found) == ["images.py", "raw.py"]
    assert pathlib.Path(images.__file__).read_text().count("Image.open(") == 1
    assert "formats=" in pathlib.Path(images.__file__).read_text().split("Image.open(")[1][:20]


def drawing(kind):
    return {
        "eps": (HOSTILE / "eps_named.png").read_bytes(),
        "dos eps": b"\xc5\xd0\xd3\xc6" + bytes(60),
        "pdf": b"%PDF-1.7\n",
        "svg": b'<?xml version="1.0"?><svg/>',
        "xbm": b"#define x_width 8\n#define x_height 8\nstatic char x_bits[] = {\n0};",
        "wmf": b"\xd7\xcd\xc6\x9a\0\0" + bytes(60),
    }[kind]


@pytest.mark.parametrize("kind", ["eps", "dos eps", "pdf", "svg", "xbm", "wmf"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".heic"])
def test_what_is_a_program_or_a_document_is_never_opened(tmp_path, monkeypatch, kind, suffix):
    def run(*arguments, **options):
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen", run)
    path = tmp_path / f"x{suffix}"
    path.write_bytes(drawing(kind))
    for read in (images.read, images.size, images.is_plain):
        with pytest.raises(InputError, match=r"x\..* cannot be read as an image"):
            read(path)


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    os.symlink("/dev/zero", tmp_path / "endless.png")
    for name in ("pipe.png", "endless.png"):
        with pytest.raises(InputError, match=rf"{name} cannot be read \(it is a pipe or a device"):
            images.read(tmp_path / name)
    os.symlink("nowhere", tmp_path / "dangling.png")
    with pytest.raises(InputError, match=r"dangling\.png is a link to nowhere, which does not"):
        images.size(tmp_path / "dangling.png")
    os.symlink("loop.png", tmp_path / "loop.png")
    with pytest.raises(InputError, match=r"loop\.png cannot be read"):
        images.size(tmp_path / "loop.png")


def test_files_too_large_are_not_read(tmp_path):
    with open(tmp_path / "x.png", "wb") as file:
        file.truncate(2**31 + 1)
    with pytest.raises(InputError, match=r"x\.png has 2,147,483,649 bytes"):
        images.size(tmp_path / "x.png")


def test_a_walk_comes_to_each_folder_once(tmp_path):
    (tmp_path / "b" / "c").mkdir(parents=True)
    for name, target in {"x": ".", "y": ".", "a": "b", "b/up": "..", "loop": "loop"}.items():
        os.symlink(target, tmp_path / name)
    outside = tmp_path.with_name(tmp_path.name + "_outside")
    outside.mkdir()
    os.symlink(outside, tmp_path / "b" / "out")
    walked = [root for root, _, _ in images.walk(tmp_path)]
    assert walked == [str(tmp_path), str(tmp_path / "b"), str(tmp_path / "b" / "c")]
    walked = [root for root, _, _ in images.walk(tmp_path, follow_links=True)]
    assert walked[3:] == [str(tmp_path / "b" / "out")]


def test_content_decides_not_the_suffix(tmp_path, colours):
    Image.fromarray(colours).save(tmp_path / "x.jpg", format="PNG")
    np.testing.assert_array_equal(images.read(tmp_path / "x.jpg"), colours)


def test_heic_by_another_name(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra [photos] is not installed")
    grey = Image.new("RGB", (64, 48), (90, 90, 90))
    pillow_heif.from_pillow(grey).save(tmp_path / "x.heic")
    (tmp_path / "x.heic").rename(tmp_path / "x.jpg")
    Image.OPEN.pop("HEIF", None)  # as in a process that has read none before
    np.testing.assert_allclose(images.read(tmp_path / "x.jpg"), np.asarray(grey), atol=3)


def test_bytes_of_a_file(colours):
    buffer = io.BytesIO()
    Image.fromarray(colours).save(buffer, "PNG")
    with images.opened(buffer.getvalue(), "archive/x.png") as image:
        assert image.size == (5, 7)
    with (
        pytest.raises(InputError, match=r"archive/x\.png cannot be read as an image"),
        images.opened(buffer.getvalue(), "archive/x.png", formats=("JPEG",)),
    ):
        pass


def test_names_as_long_as_a_file_system_takes(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    path = tmp_path / ("ä" * 125 + ".png")  # 254 bytes
    images.write(path, image)
    np.testing.assert_array_equal(images.read(path), image)
    assert list(tmp_path.iterdir()) == [path]


def test_a_raw_photograph_under_another_name_is_not_taken_for_its_preview(tmp_path, colours):
    path = tmp_path / "x.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(colours, photometric="rgb", subfiletype=1, subifds=1)
        file.write(np.zeros((64, 48), np.uint16), photometric="cfa")
    for read in (images.read, lambda path: images.read(path.read_bytes())):
        with pytest.raises(InputError, match=r"only a preview .*\.dng"):
            read(path)
