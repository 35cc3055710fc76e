"""Animations and files of several pages, image by image."""

import struct

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageSequence, PngImagePlugin

from tfdeblur.errors import InputError
from tfdeblur.io import animations, images, photos
from tfdeblur.io.metadata import Metadata
from tfdeblur.restoration import files

COLOURS = [(200, 30, 40), (10, 220, 90), (60, 70, 250)]


def pictures(alpha=False):
    """Of few colours, which a GIF holds exactly; a dot moves."""
    made = []
    for i, colour in enumerate(COLOURS):
        planes = np.full((12, 16, 4), (*colour, 255), np.uint8)
        planes[3:6, 4 * i : 4 * i + 3, :3] = 255
        planes[9:, :, 3] = 0 if alpha else 255
        made.append(Image.fromarray(planes if alpha else planes[..., :3]))
    return made


def invert(image, progress=None):
    return 255 - image


def planes(path):
    with Image.open(path) as image:
        return [np.asarray(x.convert("RGBA")) for x in ImageSequence.Iterator(image)]


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("x.gif", {"duration": [50, 100, 150], "loop": 0}),
        ("x.png", {"duration": [50, 100, 150], "loop": 2}),
        ("x.webp", {"duration": [50, 100, 150], "loop": 3, "lossless": True, "exact": True}),
        ("x.tif", {}),
    ],
)
def test_images_times_and_transparency(tmp_path, monkeypatch, name, options, alpha):
    monkeypatch.chdir(tmp_path)
    first, *rest = pictures(alpha)
    first.save(name, save_all=True, append_images=rest, **options)
    jobs = files.plan([name], "out")
    assert files.check(jobs[0]) == "3 images of 16x12 pixels"
    assert files.restore_files(jobs, invert) == files.Outcome(1, 0, 0)
    before, after = planes(name), planes(f"out/{name}")
    assert len(after) == 3
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(other[..., 3], one[..., 3])
        seen = one[..., 3] > 0
        np.testing.assert_array_equal(other[seen, :3], 255 - one[seen, :3])
    with Image.open(name) as one, Image.open(f"out/{name}") as other:
        for index in range(3):
            one.seek(index), other.seek(index)
            assert one.info.get("duration") == other.info.get("duration")
        assert one.info.get("loop") == other.info.get("loop")


def test_a_still_gif(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pictures()[0].save("x.gif")
    assert files.restore_files(files.plan(["x.gif"], "out"), invert).restored == 1
    assert "leaves out of x.gif: colours beyond 256" in capsys.readouterr().err
    np.testing.assert_array_equal(planes("out/x.gif")[0][0, 0, :3], 255 - np.array(COLOURS[0]))
    assert files.restore_files(files.plan(["x.gif"], "x.png"), invert).restored == 1


def test_metadata_of_animations(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    first, *rest = pictures()
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "a walk")
    texts.add_itxt("XML:com.adobe.xmp", "<x/>")
    texts.add(b"gAMA", (100000).to_bytes(4, "big"))
    first.save("x.png", save_all=True, append_images=rest, pnginfo=texts, dpi=(300, 300))
    first.save("x.gif", save_all=True, append_images=rest, comment=b"hello")
    first.save("x.webp", save_all=True, append_images=rest, xmp=b"<x/>", exif=b"Exif\0\0MM\0*")
    assert files.restore_files(files.plan(["."], "out"), invert).restored == 3
    with Image.open("out/x.png") as image:
        assert image.info["Title"] == "a walk" and image.info["xmp"] == b"<x/>"
        assert image.info["gamma"] == 1 and image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    with Image.open("out/x.gif") as image:
        assert image.info["comment"] == b"hello"
    with Image.open("out/x.webp") as image:
        assert image.info["xmp"] == b"<x/>" and image.info["exif"].endswith(b"MM\0*")
    assert capsys.readouterr().err.count("note:") == 1  # of the GIF's colours


def test_an_image_before_the_animation(tmp_path):
    first, *rest = pictures()
    options = {"default_image": True, "duration": [100, 200], "loop": 2}
    first.save(tmp_path / "x.png", save_all=True, append_images=rest, **options)
    animations.restore(tmp_path / "x.png", tmp_path / "y.png", invert)
    with Image.open(tmp_path / "y.png") as image:
        assert image.n_frames == 3 and image.info["default_image"]
        image.seek(1), image.load()
        assert image.info["duration"] == 100
        image.seek(2), image.load()
        assert image.info["duration"] == 200
    assert np.array_equal(planes(tmp_path / "y.png")[0][..., :3], 255 - np.asarray(first))


@pytest.mark.parametrize("alpha", [False, True])
def test_grey_animations_stay_grey(tmp_path, alpha):
    mode = "LA" if alpha else "L"
    first, *rest = (x.convert(mode) for x in pictures(alpha))
    first.save(tmp_path / "x.png", save_all=True, append_images=rest)
    assert animations.restore(tmp_path / "x.png", tmp_path / "y.png", lambda x: x) == []
    with Image.open(tmp_path / "y.png") as image:
        assert image.mode == mode
    np.testing.assert_array_equal(planes(tmp_path / "y.png"), planes(tmp_path / "x.png"))


@pytest.mark.parametrize("name", ["x.gif", "x.tif"])
def test_a_picture_of_before_and_after_shows_the_first_image(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    first, *rest = pictures()
    first.save(name, save_all=True, append_images=rest)
    jobs = files.plan([name], "out", compare=True)
    pictures_made = []
    for _ in range(2):  # with what is restored, and of what has been
        files.restore_files(jobs, invert)
        pictures_made.append(images.read(jobs[0].compared))
        jobs[0].compared.unlink()
    shown = pictures_made[0][-20, [30, -30]].astype(int)
    assert np.abs(shown - [COLOURS[0], 255 - np.array(COLOURS[0])]).max() < 6
    np.testing.assert_array_equal(*pictures_made)


def test_several_images_that_cannot_be_restored_together(tmp_path):
    first, *rest = pictures()
    first.save(tmp_path / "x.avif", save_all=True, append_images=rest, duration=100)
    with pytest.raises(InputError, match=r"x\.avif holds 3 images: save the wanted one"):
        animations.find(tmp_path / "x.avif", tmp_path / "y.avif")


def test_what_is_refused(tmp_path):
    first, *rest = pictures()
    first.save(tmp_path / "x.gif", save_all=True, append_images=rest)
    with pytest.raises(InputError, match=r"x\.gif holds 3 images: name a file of its own format"):
        animations.find(tmp_path / "x.gif", tmp_path / "x.png")
    (tmp_path / "broken.gif").write_bytes((tmp_path / "x.gif").read_bytes()[:60])
    with pytest.raises(InputError, match=r"broken\.gif cannot be read as an image"):
        animations.restore(tmp_path / "broken.gif", tmp_path / "out.gif", invert)
    assert not (tmp_path / "out.gif").exists()


def test_pages_stay_what_they_are(tmp_path, monkeypatch, capsys):
    """Of 8 bits, grey, in colour, with alpha, of one bit; of 16 bits; turned; beside a preview."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0).integers(0, 65536, (6, 5, 4), np.uint16)
    small = random.astype(np.uint8)
    turned = [(274, "H", 1, 6)]
    with tifffile.TiffWriter("x.tif") as file:
        file.write(small[..., 0], photometric="minisblack", description="one", metadata=None)
        file.write(small[::2, ::2, 0], photometric="minisblack", subfiletype=1)
        file.write(small[..., :3], photometric="rgb", resolution=(300, 200), extratags=turned)
        file.write(small, photometric="rgb", extrasamples=["unassalpha"])
        file.write(small[..., 0] > 99, photometric="minisblack")
        file.write(random[..., 0], photometric="minisblack", description="deep", metadata=None)
        file.write(random[..., :3], photometric="rgb", extratags=turned)
        file.write(np.zeros((6, 5, 4), np.uint8), photometric="separated")
    (job,) = files.plan(["x.tif"], "out")
    assert files.check(job) == "7 images of 5x6 pixels"
    files.restore_file(job, lambda image, progress: image)
    before, after = (list(photos.read_pages(path)) for path in ("x.tif", "out/x.tif"))
    assert [page.grey for page in after] == [True, False, False, True, True, False, False]
    assert [page.pixels.dtype for page in after[4:]] == ["uint16", "uint16", "uint8"]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(other.pixels, one.pixels)
        np.testing.assert_array_equal(other.alpha, one.alpha)
        assert other.metadata == one.metadata
    assert after[1].pixels.shape == (5, 6, 3) and after[1].metadata.dpi == (300, 200)
    np.testing.assert_array_equal(after[3].pixels[..., 0], 255 * (small[..., 0] > 99))
    with tifffile.TiffFile("out/x.tif") as file:
        assert [file.pages[n].description for n in (0, 4)] == ["one", "deep"]
    note = capsys.readouterr().err
    assert "leaves out of x.tif: its CMYK colours, which become RGB of 8 bits." in note


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("following", [0, 1])
def test_pages_in_a_circle_end(tmp_path, dtype, following):
    """Of two pages, the second says that one of them follows it."""
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.zeros((2, 8, 9, 3), dtype), photometric="rgb", metadata=None)
    with tifffile.TiffFile(path) as file:
        places = [page.offset for page in file.pages]
        end = places[1] + 2 + 12 * len(file.pages[1].tags)
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, end, places[following])
    path.write_bytes(content)
    assert len(list(photos.read_pages(path))) == 2
    assert animations.find(path, path)[0] == 2


def test_exif_of_pages(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.ISOSpeedRatings: 200}
    exif[ExifTags.Base.Artist] = "me"
    with photos.writing_pages(tmp_path / "x.tif") as write_page:
        for number, kept in enumerate((exif.tobytes(), b"", exif.tobytes())):
            pixels = np.full((4, 4, 3), number, np.uint8)
            write_page(photos.Photo(pixels, metadata=Metadata(exif=kept)))
    found = []
    for number, page in enumerate(photos.read_pages(tmp_path / "x.tif")):
        assert page.pixels.min() == page.pixels.max() == number
        found.append(Image.Exif())
        found[-1].load(page.metadata.exif)
    assert [tags.get(ExifTags.Base.Artist) for tags in found] == ["me", None, "me"]
    speeds = [tags.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ISOSpeedRatings) for tags in found]
    assert speeds == [200, None, 200]


def test_one_photo_of_several_pages_of_sixteen_bits_is_refused(tmp_path):
    deep = np.zeros((3, 8, 9, 3), np.uint16)
    tifffile.imwrite(tmp_path / "x.tif", deep, photometric="rgb", metadata=None)
    for function in (photos.read, photos.size):
        with pytest.raises(InputError, match=r"x\.tif holds 3 images: save the wanted one"):
            function(tmp_path / "x.tif")
    with pytest.raises(InputError, match=r"name a file of its own format, not \.png"):
        animations.find(tmp_path / "x.tif", tmp_path / "x.png")


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_file_of_many_pages_is_opened_no_more_often(tmp_path, monkeypatch, dtype):
    made = []

    class Counting(tifffile.TiffFile):
        def __init__(self, *arguments, **options):
            made.append(1)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(tifffile, "TiffFile", Counting)
    counts = []
    for pages in (2, 9):
        stack = np.arange(pages, dtype=dtype)[:, None, None] + np.zeros((4, 5), dtype)
        path = tmp_path / f"{pages}.tif"
        tifffile.imwrite(path, stack, photometric="minisblack", metadata=None)
        made.clear()
        animations.restore(path, tmp_path / "out.tif", lambda x: x + x.dtype.type(3))
        counts.append(len(made))
        written = tifffile.imread(tmp_path / "out.tif", key=range(pages))
        np.testing.assert_array_equal(written, stack + 3)
    assert counts[0] == counts[1]


@pytest.mark.parametrize("options", [{"bigtiff": True}, {"bigtiff": True, "byteorder": ">"}])
def test_large_tiff_files(tmp_path, options):
    """BigTIFF, as stacks of microscopes have it."""
    stack = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    tifffile.imwrite(tmp_path / "x.tif", stack, photometric="minisblack", **options)
    assert animations.find(tmp_path / "x.tif", "y.tif") == (3, (5, 4))
    animations.restore(tmp_path / "x.tif", tmp_path / "y.tif", lambda x: x)
    after = [page.pixels[..., 0] for page in photos.read_pages(tmp_path / "y.tif")]
    np.testing.assert_array_equal(after, stack)


def test_turned_pages_of_eight_bits(tmp_path):
    """Of one open file, in which a page inherits nothing from that before."""
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        for orientation in (1, 6, 1, 3):
            tags = [(274, "H", 1, orientation), (315, "s", 0, f"artist {orientation}")]
            file.write(pixels, photometric="rgb", metadata=None, extratags=tags)
    found = list(photos.read_pages(tmp_path / "x.tif"))
    turned = [pixels, pixels[::-1].swapaxes(0, 1), pixels, pixels[::-1, ::-1]]
    for page, expected, orientation in zip(found, turned, (1, 6, 1, 3), strict=True):
        np.testing.assert_array_equal(page.pixels, expected)
        assert f"artist {orientation}".encode() in page.metadata.exif


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("options", [{"imagej": True}, {"ome": True}, {}])
def test_descriptions_of_stacks_are_left_out(tmp_path, caplog, dtype, options):
    """ImageJ's, OME's and tifffile's own tell of shapes that may be others afterwards."""
    stack = np.arange(60, dtype=dtype).reshape(3, 4, 5)
    path, target = tmp_path / "x.ome.tif", tmp_path / "y.ome.tif"
    tifffile.imwrite(path, stack, photometric="minisblack", **options)
    lost = animations.restore(path, target, lambda x: x + x.dtype.type(3))
    assert lost == ["its description of the stack's layout"]
    with tifffile.TiffFile(target) as file:
        np.testing.assert_array_equal([page.asarray() for page in file.pages], stack + 3)
        assert [page.description for page in file.pages] == ["", "", ""]
    assert not caplog.records


@pytest.mark.parametrize(
    ("dtype", "value", "told"),
    [
        ("uint32", 1, "uint32 pixels, which cannot be read"),
        ("int16", 1, "int16 pixels, which cannot be read"),
        ("complex64", 1, "complex64 pixels, which cannot be read"),
        ("float32", 2, "floating-point values from 2 to 2"),
    ],
)
def test_a_further_page_that_cannot_be_read_is_named_at_once(tmp_path, dtype, value, told):
    path = tmp_path / "x.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(np.zeros((4, 5), np.uint16), photometric="minisblack")
        file.write(np.full((4, 5), value, dtype), photometric="minisblack")
    for function in (animations.find, lambda *paths: animations.restore(*paths, invert)):
        with pytest.raises(InputError, match=rf"page 2 of .*x\.tif holds {told}"):
            function(path, tmp_path / "y.tif")
