"""Pictures of made-up images."""

import numpy as np
import pytest

from tfdeblur.errors import InputError
from tfdeblur.io import comparisons, images


@pytest.mark.parametrize("size", [(1, 1), (12, 16), (400, 20), (720, 1280)])
def test_comparison(tmp_path, size):
    row = comparisons.Row(
        "caption", *(np.full((*size, 3), grey, np.uint8) for grey in (40, 90, 130))
    )
    comparisons.comparison(tmp_path / "x.png", [row, row])
    picture = images.read(tmp_path / "x.png")
    assert picture.shape[0] < 700 and picture.shape[1] < 1700
    areas = [np.count_nonzero((picture == grey).all(-1)) for grey in (90, 130, 160)]
    # Restored, sharp, and 4 x (130 - 90); letters have other greys, some the same.
    assert areas == pytest.approx([2 * 256 * 256] * 3, abs=100)


def test_the_crop_is_where_the_blur_is(tmp_path):
    sharp = np.full((300, 400, 3), 100, np.uint8)
    blurry, restored = sharp.copy(), sharp.copy()
    blurry[210:250, 310:350] = 180
    restored[215:220, 315:320] = 120
    comparisons.comparison(tmp_path / "x.png", [comparisons.Row("", blurry, restored, sharp)])
    picture = images.read(tmp_path / "x.png")
    assert (picture == 120).all(-1).any()
    assert (picture == 80).all(-1).any()  # 4 x (120 - 100)
    red = np.argwhere((picture == (255, 0, 0)).all(-1))
    assert (red.max(axis=0) - red.min(axis=0)).tolist() == pytest.approx(
        [256 * 96 / 300] * 2, abs=4
    )


@pytest.mark.parametrize("white", [np.uint8(255), np.float32(1)])
def test_the_place_that_changed_most_may_be_the_last_one(white):
    before = np.zeros((479, 639, 3), np.asarray(white).dtype)
    before[:200, :200] = white  # bright, and left as it is
    after = before.copy()
    after[470:, 630:] = white
    side = comparisons._CHANGED
    assert comparisons._most_changed(before, after) == (479 - side, 639 - side)


def test_methods_are_cut_at_one_place(tmp_path):
    versions = {
        label: np.full((60, 80, 3), grey, np.uint8)
        for label, grey in {"blurry": 10, "one": 20, "two": 30, "sharp": 40}.items()
    }
    versions["two"][10:20, 50:60] = 90
    place = comparisons.find_square(versions, (50, 10, 10), "x")
    assert place == (10, 50, 10)
    comparisons.compare_methods(tmp_path / "x.png", [("", versions)], (50, 10, 10))
    picture = images.read(tmp_path / "x.png")
    areas = [np.count_nonzero((picture == grey).all(-1)) for grey in (20, 90, 40)]
    assert areas == pytest.approx([256 * 256] * 3, abs=200)


def test_methods_are_cut_where_they_differ_most():
    versions = {label: np.zeros((200, 300, 3), np.uint8) for label in ("blurry", "a", "b", "sharp")}
    versions["blurry"][:50, :50] = 255  # as both methods see it
    versions["b"][150:, 250:] = 100
    top, left, side = comparisons.find_square(versions, None, "x")
    assert top + side >= 200 and left + side >= 300


@pytest.mark.parametrize("place", [(0, 0, 0), (-1, 0, 5), (70, 0, 11), (0, 55, 6)])
def test_a_place_outside_is_refused(place):
    with pytest.raises(InputError, match="does not lie in x, which has 80x60 pixels"):
        comparisons.find_square({"blurry": np.zeros((60, 80, 3), np.uint8)}, place, "x")


def test_a_page_has_its_suffix_once():
    assert comparisons.page_file("s/1.png") == comparisons.page_file("s/1") == "comparison/s/1.png"
    assert comparisons.page_file("1.jpg") == "comparison/1.jpg.png"


def test_a_page(tmp_path):
    greys = {"blurry": 50, "one": 102, "two": 255}
    versions = {label: np.full((20, 30, 3), grey, np.uint8) for label, grey in greys.items()}
    comparisons.write_page(tmp_path, "s/a.b", versions)
    picture = images.read(tmp_path / comparisons.page_file("s/a.b"))
    for grey in greys.values():
        assert np.count_nonzero((picture == grey).all(-1)) >= 20 * 30
