"""Alignment of made-up images whose misalignment is known."""

import sys

import numpy as np
import pytest

from tfdeblur.errors import InputError
from tfdeblur.evaluation import alignment


@pytest.fixture
def image():
    return np.random.default_rng(0).random((20, 31, 3))


def test_intensity(image):
    np.testing.assert_allclose(alignment.match_intensity(image, image / 3), image)
    black = np.zeros_like(image)
    np.testing.assert_array_equal(alignment.match_intensity(image, black), black)


@pytest.mark.parametrize("shift", [(0, 0), (3, -5), (-9, 14), (-10, 0)])
def test_shifts_are_found(image, shift):
    grey = image[..., 0]
    moved = alignment.move(grey, shift)
    assert alignment.find_shift(moved, grey) == shift
    back = alignment.move(moved, (-shift[0], -shift[1]))
    content = back != 0
    assert content.sum() == (20 - abs(shift[0])) * (31 - abs(shift[1]))
    np.testing.assert_array_equal(back[content], grey[content])


def test_a_homography_is_found():
    pytest.importorskip("cv2")
    from scipy import ndimage

    noise = np.random.default_rng(0).random((80, 110, 3))
    smooth = ndimage.gaussian_filter(noise, (3, 3, 0))
    smooth = ((smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)
    sharp, image = smooth[5:-5, 5:-5], smooth[7:-3, 2:-8]  # two down, three to the left
    aligned, mask = alignment.align_by_homography(sharp, image)
    assert np.abs(image - sharp).max() > 0.2
    assert np.abs((aligned - sharp) * mask).max() < 0.02
    assert mask[10:-10, 10:-10].all() and set(np.unique(mask)) == {0, 1}
    expected = sharp.shape[0] * sharp.shape[1] - mask[..., 0].sum()
    assert expected == pytest.approx(2 * 100 + 3 * 70 - 6, abs=110)


def test_what_cannot_be_aligned_is_refused():
    pytest.importorskip("cv2")
    flat = np.full((40, 40, 3), 0.5, np.float32)
    with pytest.raises(InputError, match="no homography onto the sharp image"):
        alignment.align_by_homography(flat, flat)


def test_without_opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match=r"pip install -e \"\.\[realblur\]\""):
        alignment.opencv()
