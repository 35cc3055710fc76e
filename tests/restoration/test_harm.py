"""Harm that restoring does: made-up failures are found, and sharper pictures are none."""

import numpy as np
import pytest

from tfdeblur import blur
from tfdeblur.restoration import harm

PLACE = slice(60, 150), slice(80, 180)


@pytest.fixture(scope="module")
def sharp():
    """A smooth sky above a texture with edges."""
    random = np.random.default_rng(0)
    image = np.linspace(120, 170, 240)[:, None, None] + np.zeros((240, 320, 3))
    image[150:] = random.integers(40, 200, (15, 40, 3)).repeat(6, 0).repeat(8, 1)
    image[60:150, 250:280] = (200, 60, 50)
    return np.rint(image).astype(np.uint8)


def mosaic(image):
    cells = np.random.default_rng(1).integers(-60, 60, (9, 10, 3))
    image[PLACE] += cells.repeat(10, 0).repeat(10, 1)


def ripples(image):
    image[PLACE] += np.rint(40 * np.sin(np.arange(100) * 0.8))[:, None].astype(int)


def too_bright(image):
    image[PLACE] += 50


FAILURES = {
    mosaic: "colours that were not there",
    ripples: "patterns that were not there",
    too_bright: "light that changed",
}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("fail", FAILURES)
def test_failures_are_found_and_undone(sharp, fail, dtype):
    failed = sharp.astype(int)
    fail(failed)
    before, after = (as_type(np.clip(x, 0, 255).astype(np.uint8), dtype) for x in (sharp, failed))
    found = harm.find(before, after)
    assert FAILURES[fail] in found.kinds
    assert 0.03 < found.share < 0.35
    undone = found.undo(before, after)
    assert undone.dtype == dtype
    assert harm.find(before, undone) is None
    assert np.mean(undone[PLACE] == before[PLACE]) > 0.8
    np.testing.assert_array_equal(undone[200:], after[200:])  # elsewhere nothing is lost


def as_type(image, dtype):
    return {
        "uint8": image,
        "uint16": image.astype(np.uint16) * 257,
        "float32": (image / np.float32(255)).astype(np.float32),
    }[dtype]


def test_another_brightness_of_all_of_it_is_found(sharp):
    found = harm.find(sharp, sharp - np.uint8(20))
    assert found.kinds == ("light that changed",) and found.share == 1
    np.testing.assert_array_equal(found.undo(sharp, sharp - np.uint8(20)), sharp)
    assert harm.find(sharp, sharp - np.uint8(6)) is None


def test_a_sharper_image_is_no_harm(sharp):
    kernel = np.full((1, 15), 1 / 15)
    assert harm.find(blur.convolve(sharp, kernel), sharp) is None
    assert harm.find(sharp, sharp) is None


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (37, 53), (300, 17)])
def test_any_size(size):
    before = np.full((*size, 3), 90, np.uint8)
    after = np.full((*size, 3), 190, np.uint8)
    assert harm.find(before, before) is None
    found = harm.find(before, after)
    assert (found is None) == (min(size) < 17)  # four windows at least
    if found:
        np.testing.assert_array_equal(found.undo(before, after), before)
