import colorsys

import numpy as np
import pytest

from tfdeblur.data import augment

SEED = (3, 5)


@pytest.fixture
def image():
    return np.random.default_rng(0).random((6, 6, 3)).astype("float32")


RARE = {"scale_saturation_rarely", "sharp_as_input"}


@pytest.mark.parametrize("name", sorted(augment.AUGMENTATIONS.keys() - {"to_luminance", *RARE}))
def test_same_seed_same_result(name, image):
    function = augment.AUGMENTATIONS[name]
    first, second = function(image, image, SEED), function(image, image, SEED)
    np.testing.assert_array_equal(first[0], second[0])
    others = [np.asarray(function(image, image, (3, i))[0]) for i in range(8)]
    assert any(not np.array_equal(first[0], other) for other in others)
    assert first[0].shape == first[1].shape == image.shape


@pytest.mark.parametrize("name", sorted(augment.AUGMENTATIONS.keys() - {"add_noise"}))
def test_both_images_change_alike(name, image):
    for i in range(8):
        blurry, sharp = augment.AUGMENTATIONS[name](image, image, (i, 0))
        np.testing.assert_array_equal(blurry, sharp)


def test_a_tenth_of_inputs_is_the_sharp_image(image):
    taken = 0
    for i in range(200):
        blurry, sharp = map(np.asarray, augment.sharp_as_input(image, 1 - image, (i, 6)))
        np.testing.assert_array_equal(sharp, 1 - image)
        is_sharp = np.array_equal(blurry, sharp)
        assert is_sharp or np.array_equal(blurry, image)
        taken += is_sharp
    assert 8 <= taken <= 34


def test_the_saturation_of_a_tenth_is_scaled_unclipped(image):
    factors = []
    for i in range(200):
        blurry = np.asarray(augment.scale_saturation_rarely(image, image, (i, 7))[0])
        np.testing.assert_allclose(blurry.max(axis=-1), image.max(axis=-1), atol=1e-6)
        chroma = (blurry.max(axis=-1) - blurry.min(axis=-1)) / np.ptp(image, axis=-1)
        np.testing.assert_allclose(chroma, chroma[0, 0], rtol=1e-3)
        factors.append(chroma[0, 0])
    changed = [factor for factor in factors if abs(factor - 1) > 1e-3]
    assert 8 <= len(changed) <= 34
    assert min(changed) >= 0.5 and max(changed) <= 1.5


@pytest.mark.parametrize(
    ("name", "results"),
    [
        ("flip_horizontally", lambda x: [x, x[:, ::-1]]),
        ("flip_vertically", lambda x: [x, x[::-1]]),
        ("rotate_by_90", lambda x: [np.rot90(x, k) for k in range(4)]),
        (
            "permute_channels",
            lambda x: [
                x[..., list(p)]
                for p in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
            ],
        ),
    ],
)
def test_every_outcome_occurs_and_no_other(name, results, image):
    expected = results(image)
    seen = set()
    for i in range(60):
        out = np.asarray(augment.AUGMENTATIONS[name](image, image, (i, 1))[0])
        matches = [k for k, result in enumerate(expected) if np.array_equal(out, result)]
        assert len(matches) == 1
        seen.update(matches)
    assert seen == set(range(len(expected)))


def test_saturation_is_scaled_in_hsv(image):
    out = np.asarray(augment.scale_saturation(image, image, SEED)[0])
    before = np.array([colorsys.rgb_to_hsv(*p) for p in image.reshape(-1, 3)])
    after = np.array([colorsys.rgb_to_hsv(*p) for p in out.reshape(-1, 3)])
    factor = after[0, 1] / before[0, 1]
    assert 0.5 <= factor <= 1.5
    np.testing.assert_allclose(after[:, 1], np.minimum(before[:, 1] * factor, 1), atol=1e-4)
    np.testing.assert_allclose(after[:, 2], before[:, 2], atol=1e-5)


def test_a_third_of_images_is_blended_with_grey(image):
    image = 0.25 + image / 2  # nothing is clipped
    factors = []
    for i in range(90):
        blurry, sharp = augment.blend_with_grey(image, 1 - image, (i, 5))
        grey, _ = augment.to_luminance(image, image, SEED)
        np.testing.assert_allclose(sharp, 1 - blurry, atol=1e-3)
        factors.append(np.std(blurry - grey) / np.std(image - grey))
    changed = [factor for factor in factors if abs(factor - 1) > 1e-4]
    assert 0.2 < len(changed) / len(factors) < 0.47
    assert min(changed) > 0.8 and max(changed) < 1.2
    np.testing.assert_allclose(np.std(changed), 0.4 / 12**0.5, rtol=0.3)


def test_luminance_has_three_equal_channels(image):
    grey, _ = augment.to_luminance(image, image, SEED)
    expected = 0.2989 * image[..., 0] + 0.587 * image[..., 1] + 0.114 * image[..., 2]
    for channel in range(3):
        np.testing.assert_allclose(grey[..., channel], expected, atol=1e-6)


def test_noise_has_the_papers_strength_and_spares_the_sharp_image():
    grey = np.full((64, 64, 3), 0.5, "float32")
    sigmas = []
    for i in range(200):
        blurry, sharp = augment.add_noise(grey, grey, (i, 3))
        np.testing.assert_array_equal(sharp, grey)
        sigmas.append(np.std(blurry))
    # sigma ~ N(0, (2/255)^2), so the root of its mean square is 2/255
    np.testing.assert_allclose(np.sqrt(np.mean(np.square(sigmas))), 2 / 255, rtol=0.15)


def test_noise_is_normal():
    grey = np.full((101, 99, 3), 0.5, "float32")
    noise = np.ravel(augment.add_noise(grey, grey, SEED)[0] - grey)
    noise = noise / noise.std()
    assert abs(noise.mean()) < 0.03
    shares = [np.mean(np.abs(noise) < sigmas) for sigmas in (1, 2, 3)]
    np.testing.assert_allclose(shares, [0.6827, 0.9545, 0.9973], atol=0.01)
    assert abs(np.corrcoef(noise[:-1], noise[1:])[0, 1]) < 0.03


def test_noise_stays_in_range():
    white = np.ones((16, 16, 3), "float32")
    assert np.max(augment.add_noise(white, white, SEED)[0]) <= 1


def test_any_angle_keeps_the_middle():
    image = np.zeros((9, 9, 3), "float32")
    image[4, 4] = 1
    for i in range(5):
        turned = augment.rotate_by_any_angle(image, image, (i, 4))[0]
        np.testing.assert_allclose(turned[4, 4], 1, atol=1e-5)
