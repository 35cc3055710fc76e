"""Strength and masks: what was restored, blended with what was given."""

import numpy as np
import pytest
from PIL import Image

from tfdeblur import blur
from tfdeblur.errors import InputError
from tfdeblur.restoration import blending

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_ends_are_exact(dtype):
    before, after = RANDOM.random((2, 300, 5, 3), dtype=np.float32)
    if dtype != "float32":
        before, after = ((x * np.iinfo(dtype).max).round().astype(dtype) for x in (before, after))
    for strength, expected in ((0, before), (1, after)):
        blended = blending.blend(before, after, strength)
        assert blended.dtype == dtype
        np.testing.assert_array_equal(blended, expected)
    mask = np.zeros((300, 5), np.float32)
    mask[299, 3] = 1
    blended = blending.blend(before, after, mask=mask)
    np.testing.assert_array_equal(blended[299, 3], after[299, 3])
    blended[299, 3] = before[299, 3]
    np.testing.assert_array_equal(blended, before)
    if dtype != "float32":
        np.testing.assert_array_equal(blending.blend(before, before, 0.3), before)


def test_light_is_blended_and_not_codes():
    before, after = np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)
    # A quarter of the light, as from four frames of which one is white.
    expected = blur.from_linear(np.float32(0.25))
    assert expected == 136
    np.testing.assert_array_equal(blending.blend(before, after, 0.25), expected)
    half = np.full((1, 1), 0.5, np.float32)
    np.testing.assert_array_equal(blending.blend(before, after, 0.5, half), expected)


def test_masks(tmp_path):
    grey = RANDOM.integers(0, 256, (4, 6), np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    expected = grey / np.float32(255)
    np.testing.assert_allclose(blending.as_mask(tmp_path / "grey.png"), expected, rtol=1e-6)
    np.testing.assert_allclose(blending.as_mask(grey), expected, rtol=1e-6)
    np.testing.assert_array_equal(blending.as_mask(grey > 99), grey > 99)
    painted = np.dstack([np.full((4, 6, 3), 255, np.uint8), grey])  # on a transparent layer
    Image.fromarray(painted).save(tmp_path / "painted.png")
    np.testing.assert_allclose(blending.as_mask(tmp_path / "painted.png"), expected, rtol=1e-6)


def test_what_does_not_fit_is_refused():
    image = np.zeros((4, 6, 3), np.uint8)
    with pytest.raises(InputError, match=r"`strength=1\.5`: give a number from 0 to 1"):
        blending.blend(image, image, 1.5)
    mask = np.zeros((6, 4), np.float32)
    with pytest.raises(InputError, match="`mask` is of 4x6 pixels, and the image, upright, of 6x4"):
        blending.blend(image, image, 1, mask)
    with pytest.raises(InputError, match="of uint8, and 1 at most, nearly black: give `mask > 0`"):
        blending.as_mask(np.eye(4, dtype=np.uint8))
    for wrong in (np.full((4, 6), 2.0), np.zeros((4, 6, 3)), np.full((4, 6), np.nan)):
        with pytest.raises(InputError, match="`mask`: give"):
            blending.as_mask(wrong)
