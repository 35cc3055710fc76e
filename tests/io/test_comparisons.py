"""Pictures of made-up images."""

import numpy as np
import pytest

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


def test_a_page(tmp_path):
    greys = {"blurry": 50, "one": 102, "two": 255}
    versions = {label: np.full((20, 30, 3), grey, np.uint8) for label, grey in greys.items()}
    comparisons.write_page(tmp_path, "s/a.b", versions)
    picture = images.read(tmp_path / comparisons.page_file("s/a.b"))
    for grey in greys.values():
        assert np.count_nonzero((picture == grey).all(-1)) >= 20 * 30
