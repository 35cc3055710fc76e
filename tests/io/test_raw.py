"""Raw photographs, here a DNG file that is made up."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from tfdeblur.errors import InputError
from tfdeblur.io import photos, raw
from tfdeblur.restoration import files

pytest.importorskip("rawpy", reason="the extra [photos] is not installed")


def write_dng(path, orientation):
    """A mosaic of red, green and blue sensors, brighter to the right."""
    values = np.linspace(100, 4000, 64).astype(np.uint16)[None].repeat(48, 0)
    unit = (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1)
    tags = [
        (271, "s", 0, "Maker", True),
        (274, "H", 1, orientation, True),
        (33421, "H", 2, (2, 2), True),  # size of the mosaic's pattern
        (33422, "B", 4, bytes([0, 1, 1, 2]), True),  # red, green, green, blue
        (50706, "B", 4, bytes([1, 4, 0, 0]), True),  # version
        (50708, "s", 0, "Maker Model", True),
        (50714, "H", 1, 64, True),  # black
        (50717, "H", 1, 4095, True),  # white
        (50721, "2i", 9, unit, True),  # colour matrix
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # neutral
    ]
    options = {"photometric": "cfa", "metadata": None, "software": False}
    tifffile.imwrite(path, values, extratags=tags, **options)


@pytest.mark.parametrize(("orientation", "size"), [(1, (64, 48)), (6, (48, 64))])
def test_a_raw_photograph(tmp_path, orientation, size):
    write_dng(tmp_path / "x.DNG", orientation)
    assert photos.size(tmp_path / "x.DNG") == size
    photo = photos.read(tmp_path / "x.DNG")
    assert photo.pixels.dtype == np.uint16 and photo.pixels.shape == (*size[::-1], 3)
    means = photo.pixels.mean((0 if orientation == 1 else 1, 2))
    assert (np.diff(means[4:-4]) >= 0).all() and means[-8] > 2 * means[8]
    kept = Image.Exif()
    kept.load(photo.metadata.exif)
    assert kept[271] == "Maker" and kept.get(274, 1) == 1


def test_raw_files_become_tiff_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_dng("a.dng", 1)
    photos.write("a.tif", photos.Photo(np.zeros((4, 4, 3), np.uint8)))
    jobs = files.plan(["."], "out")
    assert [job.target.name for job in jobs] == ["a.dng.tif", "a.tif"]
    assert files.restore_files(jobs, lambda x, progress: x) == files.Outcome(2, 0, 0)
    before, after = photos.read("a.dng"), photos.read("out/a.dng.tif")
    np.testing.assert_array_equal(after.pixels, before.pixels)
    assert [job.target.name for job in files.plan(["a.dng"], "out", kind="png")] == ["a.dng.png"]


def test_what_is_refused(tmp_path):
    (tmp_path / "x.dng").write_bytes(b"II*\0nothing")
    for read in (raw.read, raw.size):
        with pytest.raises(InputError, match=r"x\.dng cannot be read as an image"):
            read(tmp_path / "x.dng")
