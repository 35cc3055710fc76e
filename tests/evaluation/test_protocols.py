"""Each protocol's rounding, alignment and SSIM: golden values, and cases with known answers."""

import json
import math

import golden
import numpy as np
import pytest

from tfdeblur import metrics
from tfdeblur.errors import InputError
from tfdeblur.evaluation import PROTOCOLS, alignment, protocols

OF_PAIRS = [p.name for p in PROTOCOLS.values() if p.reference == "sharp" and p.name != "realblur"]


@pytest.fixture
def pair():
    generator = np.random.default_rng(0)
    sharp = generator.integers(60, 200, (16, 20, 3), np.uint8)
    return (sharp + generator.integers(-40, 40, sharp.shape)).astype(np.uint8), sharp


def unit(image):
    return image.astype(np.float32) / 255


def golden_cases():
    return json.loads((golden.FOLDER / "metrics.json").read_text()).items()


@pytest.mark.parametrize(("case", "expected"), golden_cases())
@pytest.mark.parametrize("name", OF_PAIRS)
def test_golden_values(name, case, expected):
    arrays = golden.arrays("metrics")
    quality = PROTOCOLS[name].measure(arrays[f"sharp_{case}"], unit(arrays[f"test_{case}"]))
    assert quality.psnr == pytest.approx(expected["psnr"], abs=1e-5)
    key = "ssim_3d" if PROTOCOLS[name].ssim == "volume" else "ssim_deepdeblur_pytorch"
    assert quality.ssim == pytest.approx(expected[key], abs=2e-5)
    assert quality.ssim_volume == pytest.approx(expected["ssim_3d"], abs=2e-5)


def test_realblur_golden_values():
    pytest.importorskip("cv2")
    arrays = golden.arrays("realblur_ecc")
    expected = json.loads((golden.FOLDER / "realblur_ecc.json").read_text())
    quality = protocols.realblur(arrays["sharp"], unit(arrays["restored"]))
    # Another version of OpenCV warps a little differently.
    assert quality.psnr == pytest.approx(expected["psnr"], abs=0.05)
    assert quality.ssim == pytest.approx(expected["ssim"], abs=1e-4)
    unaligned = metrics.psnr(arrays["sharp"], arrays["restored"], 255)
    assert unaligned == pytest.approx(expected["psnr_unaligned"], abs=1e-6)


@pytest.mark.parametrize(("size", "other"), [(9, 9), (24, 32)])
def test_realblur_refuses_what_its_window_does_not_fit(size, other):
    sharp, restored = np.zeros((size, 40, 3), "uint8"), np.zeros((other, 40, 3), "float32")
    with pytest.raises(InputError, match="of one size, of 11 pixels"):
        protocols.realblur(sharp, restored)


@pytest.mark.parametrize("name", OF_PAIRS)
def test_rounding(pair, name):
    """The restored image is right after rounding, wrong before."""
    _, sharp = pair
    quality = PROTOCOLS[name].measure(sharp, unit(sharp) + np.float32(0.4 / 255))
    if "not rounded" in PROTOCOLS[name].rounding:
        assert quality.psnr == pytest.approx(20 * math.log10(255 / 0.4), abs=1e-3)
    else:
        assert quality.psnr == math.inf
        assert quality.ssim == pytest.approx(1)


@pytest.mark.parametrize("name", OF_PAIRS)
def test_what_is_outside_the_range_is_clipped(pair, name):
    blurry, _ = pair
    white = np.full_like(blurry, 255)
    assert PROTOCOLS[name].measure(white, unit(white) + 0.2).psnr == math.inf


@pytest.mark.parametrize("name", OF_PAIRS)
def test_ssim_kinds(pair, name):
    blurry, sharp = pair
    quality = PROTOCOLS[name].measure(sharp, unit(blurry))
    assert quality.psnr == pytest.approx(metrics.psnr(sharp, blurry, 255))
    assert quality.ssim == pytest.approx(metrics.ssim(sharp, blurry, 255, PROTOCOLS[name].ssim))
    assert quality.ssim_volume == pytest.approx(metrics.ssim(sharp, blurry, 255, "volume"))


@pytest.fixture
def frames():
    """Three sharp frames of smooth noise, between 0 and 200."""
    from scipy import ndimage

    noise = np.random.default_rng(0).random((3, 170, 180, 3))
    smooth = ndimage.gaussian_filter(noise, (0, 2, 2, 0))
    return np.rint(200 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)


def test_kohler_finds_the_frame_the_shift_and_the_gain(frames):
    """Half as bright as the second frame, whose values are even; moved by (3, -5)."""
    frames = frames // 2 * 2
    moved = np.stack([alignment.move(x, (3, -5)) for x in np.moveaxis(frames[1], -1, 0)], axis=-1)
    by_frame = protocols.kohler_by_frame(frames, unit(moved // 2))
    assert [psnr > 30 for psnr, _ in by_frame] == [False, True, False]
    assert [ssim > 0.95 for _, ssim in by_frame] == [False, True, False]
    assert protocols.kohler(frames, unit(moved // 2))[:2] == by_frame[1]


def test_kohler_knows_an_equal_image(frames):
    quality = protocols.kohler(frames, unit(frames[2]))
    assert (quality.psnr, quality.ssim, quality.ssim_volume) == (math.inf, pytest.approx(1), None)


def test_kohler_psnr_of_a_known_error():
    """An error orthogonal to the frame leaves its brightness alone, and is taken from the luma."""
    frame = np.full((161, 162, 3), 100, np.uint8)
    checkered = np.where(np.indices(frame.shape[:2]).sum(0) % 2, 110, 90).astype(np.uint8)
    image = np.repeat(checkered[..., None], 3, axis=-1)
    energy, product = np.mean(image.astype(float) ** 2), 100 * np.mean(image)
    error = np.mean((product / energy * image - 100) ** 2)
    quality = protocols.kohler(frame[None], unit(image))
    assert quality.psnr == pytest.approx(10 * math.log10(255**2 / error), abs=1e-6)


def test_kohler_takes_the_best_of_each_metric(frames, monkeypatch):
    monkeypatch.setattr(protocols, "_compare_shifted", lambda image, frame: tuple(frame[0, 0, :2]))
    best = np.zeros((3, 1, 1, 3), np.uint8)
    best[0, ..., 0], best[2, ..., 1] = 7, 9
    assert protocols.kohler(best, unit(frames[0]))[:2] == (7, 9)


def test_unknown_protocol_lists_the_choices():
    with pytest.raises(InputError, match=r"`protocol=psnr` is unknown: .*nah2017.*srn.* or all"):
        protocols.choose("psnr")


def test_what_the_flag_means():
    pytest.importorskip("cv2")

    def names(*arguments):
        return [protocol.name for protocol in protocols.choose_for(*arguments)]

    assert names("sharp") == [protocols.DEFAULT] == ["deepdeblur_pytorch"]
    assert names("frames") == names("frames", "all") == ["kohler"]
    assert names("nothing") == ["lai"]
    assert names("sharp", "srn") == ["srn"]
    assert names("sharp", "all") == [*OF_PAIRS, "realblur"]


@pytest.mark.parametrize(
    ("reference", "name", "message"),
    [
        ("sharp", "kohler", "sharp frames of a camera's movement, but .* one sharp image each"),
        (
            "frames",
            "srn",
            "one sharp image each, but this data has the sharp frames .*: choose `protocol=koh",
        ),
        ("nothing", "srn", "but this data has no sharp images: choose `protocol=lai`"),
    ],
)
def test_what_does_not_apply_is_refused(reference, name, message):
    with pytest.raises(InputError, match=message):
        protocols.choose_for(reference, name)
