"""PSNR and SSIM against values printed by the reference implementations."""

import json
import math

import golden
import numpy as np
import pytest

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
