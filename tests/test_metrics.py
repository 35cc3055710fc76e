"""PSNR and SSIM against values printed by the reference implementations."""

import json
import math

import golden
import numpy as np
import pytest
from scipy import ndimage, signal

from tfdeblur import metrics
from tfdeblur.errors import InputError


def golden_cases():
    return json.loads((golden.FOLDER / "metrics.json").read_text()).items()


@pytest.mark.parametrize(("case", "expected"), golden_cases())
def test_golden_values(case, expected):
    arrays = golden.arrays("metrics")
    sharp, restored = arrays[f"sharp_{case}"], arrays[f"test_{case}"]
    assert metrics.psnr(sharp, restored, 255) == pytest.approx(expected["psnr"], abs=1e-6)
    gaussian = metrics.ssim(sharp, restored, 255)
    assert gaussian == pytest.approx(expected["ssim_skimage_gaussian"], abs=1e-6)
    assert gaussian == pytest.approx(expected["ssim_deepdeblur_pytorch"], abs=1e-5)
    volume = metrics.ssim(sharp, restored, 255, kind="volume")
    assert volume == pytest.approx(expected["ssim_3d"], abs=2e-5)  # the reference is in float32


def test_gaussian_equals_scikit_image():
    from skimage.metrics import structural_similarity

    generator = np.random.default_rng(0)
    sharp = generator.random((23, 41, 3), np.float32)
    restored = np.clip(sharp + generator.normal(0, 0.1, sharp.shape), 0, 1)
    expected = structural_similarity(
        sharp.astype(np.float64),
        restored,
        data_range=1,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert metrics.ssim(sharp, restored, 1) == pytest.approx(expected, abs=1e-9)


def test_scale_does_not_matter():
    generator = np.random.default_rng(0)
    sharp, restored = generator.integers(0, 256, (2, 16, 16, 3), np.uint8)
    assert metrics.psnr(sharp, restored, 255) == pytest.approx(
        metrics.psnr(sharp / 255, restored / 255, 1)
    )
    for kind in ("gaussian", "volume"):
        assert metrics.ssim(sharp, restored, 255, kind) == pytest.approx(
            metrics.ssim(sharp / 255, restored / 255, 1, kind)
        )


def test_uint8_does_not_wrap_around():
    black, white = np.zeros((11, 11, 3), np.uint8), np.full((11, 11, 3), 255, np.uint8)
    assert metrics.psnr(black, white, 255) == pytest.approx(0)


def test_equal_images():
    image = np.full((11, 11, 3), 7, np.uint8)
    assert metrics.psnr(image, image, 255) == math.inf
    assert metrics.ssim(image, image, 255) == pytest.approx(1)
    assert metrics.ssim(image, image, 255, kind="volume") == pytest.approx(1)


def test_small_images():
    image = np.zeros((10, 30, 3))
    assert metrics.ssim(image[:1, :1], image[:1, :1], 1, kind="volume") == pytest.approx(1)
    with pytest.raises(InputError, match="30x10 pixels, less than the 11x11 window"):
        metrics.ssim(image, image, 1)


@pytest.mark.parametrize("metric", [metrics.psnr, metrics.ssim])
def test_what_is_refused(metric):
    image = np.zeros((12, 12, 3))
    with pytest.raises(InputError, match=r"\(12, 12, 3\), \(12, 11, 3\)"):
        metric(image, image[:, :11], 1)
    with pytest.raises(InputError, match=r"\[H, W, 3\]"):
        metric(image[..., 0], image[..., 0], 1)
    with pytest.raises(InputError, match="data_range"):
        metric(image, image, 0)


def test_unknown_kind():
    image = np.zeros((12, 12, 3))
    with pytest.raises(InputError, match="'mean'"):
        metrics.ssim(image, image, 1, kind="mean")


def grey(seed=0, size=(170, 181)):
    return ndimage.gaussian_filter(np.random.default_rng(seed).random(size), 1.5)


def test_ms_ssim_of_equal_and_of_opposite_images():
    image = grey()
    assert metrics.ms_ssim(image, image, 1) == pytest.approx(1)
    assert metrics.ms_ssim(image, 1 - image, 1) == 0
    flat = np.full((161, 161), 9)
    assert metrics.ms_ssim(flat, flat, 255) == pytest.approx(1)


def test_ms_ssim_of_a_brighter_image_is_its_luminance():
    """Only the mean differs, so the coarsest level's luminance is all that is left."""
    dark, bright = np.full((161, 170), 0.3), np.full((161, 170), 0.5)
    luminance = (2 * 0.15 + 0.01**2) / (0.3**2 + 0.5**2 + 0.01**2)
    assert metrics.ms_ssim(dark, bright, 1) == pytest.approx(luminance**0.1333)


def test_ms_ssim_against_its_definition():
    """Straight from the formulas, with two-dimensional convolutions."""
    reference, restored = grey(), 0.5 * grey() + 0.5 * grey(1)
    x, y = reference, restored
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(taps, taps) / taps.sum() ** 2
    half = [0.037828455507, -0.023849465020, -0.110624404418, 0.377402855613]
    low_pass = np.array([*half, 0.852698679009, *half[::-1]])
    low_pass = np.outer(low_pass, low_pass) / low_pass.sum() ** 2
    c1, c2 = 0.01**2, 0.03**2
    expected = 1
    for weight in (0.0448, 0.2856, 0.3001, 0.2363, 0.1333):
        means = {
            key: signal.convolve2d(image, window, "valid")
            for key, image in {"x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}.items()
        }
        var_x, var_y = means["xx"] - means["x"] ** 2, means["yy"] - means["y"] ** 2
        deviations = np.sqrt(var_x * var_y)
        structure = (means["xy"] - means["x"] * means["y"] + c2 / 2) / (deviations + c2 / 2)
        contrast = (2 * deviations + c2) / (var_x + var_y + c2)
        luminance = (2 * means["x"] * means["y"] + c1) / (means["x"] ** 2 + means["y"] ** 2 + c1)
        expected *= (contrast.mean() * structure.mean()) ** weight
        x, y = (
            signal.convolve2d(np.pad(image, 4, mode="symmetric"), low_pass, "valid")[::2, ::2]
            for image in (x, y)
        )
    expected *= luminance.mean() ** weight
    assert 0.5 < expected < 0.99
    assert metrics.ms_ssim(reference, restored, 1) == pytest.approx(expected, abs=1e-9)


def test_what_ms_ssim_refuses():
    flat = np.zeros((161, 161))
    with pytest.raises(InputError, match="data_range"):
        metrics.ms_ssim(flat, flat, 0)
    with pytest.raises(InputError, match="300x160 pixels, but multi-scale SSIM needs 161"):
        metrics.ms_ssim(np.zeros((160, 300)), np.zeros((160, 300)), 1)
    with pytest.raises(InputError, match=r"\[H, W\]"):
        metrics.ms_ssim(np.zeros((200, 200)), np.zeros((200, 201)), 1)
