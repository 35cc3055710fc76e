import golden
import numpy as np
import pytest

from tfdeblur import pyramid
from tfdeblur.models.maxim import NearestReduction


def test_gaussian_pyramid_equals_the_reference():
    arrays = golden.arrays("gaussian_pyramid")
    levels = pyramid.gaussian_pyramid(arrays["image"][None], 3)
    for k, level in enumerate(levels, start=1):
        np.testing.assert_allclose(np.asarray(level)[0], arrays[f"level_{k}"], atol=0.01)


def test_bilinear_pyramid_equals_the_reference():
    arrays = golden.arrays("mimo_loss")
    levels = pyramid.bilinear_pyramid(arrays["label"], 3)
    for k, level in enumerate(levels, start=1):
        np.testing.assert_allclose(level, arrays[f"label_{k}"], atol=1e-6)


def test_nearest_pyramid_takes_even_pixels():
    images = np.arange(64, dtype="float32").reshape(1, 8, 8, 1)
    levels = pyramid.nearest_pyramid(images, 3)
    np.testing.assert_array_equal(np.asarray(levels[1])[0, :, :, 0], images[0, ::2, ::2, 0])
    np.testing.assert_array_equal(np.asarray(levels[2])[0, :, :, 0], [[0, 4], [32, 36]])


def test_labels_of_maxim_are_the_pixels_of_its_inputs_again_for_each_stage():
    images = np.random.default_rng(0).random((1, 8, 12, 3), "float32")
    levels = pyramid.maxim_pyramid(images, 6)
    for k in (0, 1, 2):
        for level in (levels[k], levels[k + 3]):
            np.testing.assert_array_equal(level, NearestReduction(2**k)(images))


@pytest.mark.parametrize("kind", pyramid.PYRAMIDS)
def test_constant_images_stay_constant(kind):
    for level in pyramid.PYRAMIDS[kind](np.full((1, 8, 12, 3), 0.25), 3):
        np.testing.assert_allclose(level, 0.25, rtol=1e-6)


def test_torch7_pyramid_smooths_by_three_pixels_and_takes_even_ones():
    """By hand: a point of light, whose mean 1/64 lies beyond the border."""
    side = np.exp(-8 / 9)  # one pixel from the middle, of sigma 3/4
    middle, side = 1 / (1 + 2 * side), side / (1 + 2 * side)
    image = np.zeros((1, 8, 8, 1), "float32")
    image[0, 4, 3] = 1
    _, half, quarter = (np.asarray(x)[0, :, :, 0] for x in pyramid.torch7_pyramid(image, 3))
    expected = np.zeros((4, 4))
    expected[2, 1:3] = middle * side  # of row 4, columns 2 and 4
    expected[0, 1:] = expected[1:, 0] = side / 64  # a neighbour beyond the border
    expected[2, 0] = side / 64
    expected[0, 0] = (1 - (1 - side) ** 2) / 64
    np.testing.assert_allclose(half, expected, atol=1e-7)
    padded = np.pad(half, 1, constant_values=1 / 64)
    taps = np.array([side, middle, side])
    smooth = sum(
        a * b * padded[i : i + 4, j : j + 4] for i, a in enumerate(taps) for j, b in enumerate(taps)
    )
    np.testing.assert_allclose(quarter, smooth[::2, ::2], atol=1e-7)


@pytest.mark.parametrize("kind", ["gaussian", "bilinear", "nearest", "torch7"])
def test_sizes_that_do_not_halve_are_refused(kind):
    with pytest.raises(ValueError, match="width 10 is no multiple of 4"):
        pyramid.PYRAMIDS[kind](np.zeros((1, 8, 10, 3)), 3)


def test_the_labels_of_a_stack_all_have_the_full_size():
    images = np.random.default_rng(0).random((1, 7, 5, 3))
    levels = pyramid.PYRAMIDS["repeated"](images, 3)
    assert len(levels) == 3
    for level in levels:
        np.testing.assert_allclose(level, images, rtol=1e-6)
