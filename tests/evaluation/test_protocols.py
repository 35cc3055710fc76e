"""Each protocol's rounding and SSIM, and the scoring of pairs by them."""

import math

import numpy as np
import pytest

from tfdeblur import evaluation, metrics
from tfdeblur.errors import InputError
from tfdeblur.evaluation import PROTOCOLS, protocols


@pytest.fixture
def pair():
    generator = np.random.default_rng(0)
    sharp = generator.integers(60, 200, (16, 20, 3), np.uint8)
    blurry = (sharp + generator.integers(-40, 40, sharp.shape)).astype(np.uint8)
    return "scene/1", blurry, sharp


def nearly(sharp):
    """A restored image that is right after rounding, wrong before."""
    return lambda blurry: (sharp / 255 + 0.4 / 255).astype(np.float32)


def test_default_protocol():
    assert PROTOCOLS[protocols.DEFAULT].name == "deepdeblur_pytorch"


def test_unknown_protocol_lists_the_choices():
    with pytest.raises(InputError, match=r"--protocol=psnr is unknown: .*nah2017.*srn"):
        protocols.choose("psnr")


@pytest.mark.parametrize("name", PROTOCOLS)
def test_rounding(pair, name):
    protocol = protocols.choose(name)
    (score,) = evaluation.evaluate([pair], nearly(pair[2]), protocol)
    if protocol.eight_bit:
        assert score.psnr_restored == math.inf
        assert score.ssim_restored == pytest.approx(1)
    else:
        assert score.psnr_restored == pytest.approx(20 * math.log10(255 / 0.4), abs=1e-3)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_ssim_kinds(pair, name):
    protocol = protocols.choose(name)
    (score,) = evaluation.evaluate([pair], lambda blurry: blurry / 255, protocol)
    _, blurry, sharp = pair
    volume = metrics.ssim(sharp, blurry, 255, kind="volume")
    assert score.ssim_volume_blurry == pytest.approx(volume)
    assert score.ssim_blurry == pytest.approx(metrics.ssim(sharp, blurry, 255, protocol.ssim))
    assert score.psnr_blurry == pytest.approx(metrics.psnr(sharp, blurry, 255))
    assert score.psnr_restored == pytest.approx(score.psnr_blurry)
    assert score.gain == pytest.approx(0)


def test_pairs_are_taken_one_at_a_time(pair):
    alive = []

    def pairs():
        for i in range(3):
            alive.append(f"read {i}")
            yield (str(i), *pair[1:])

    def restore(blurry):
        alive.append("restored")
        return blurry / 255

    scores = evaluation.evaluate(pairs(), restore, PROTOCOLS["mimo_unet"])
    assert [score.name for score in scores] == ["0", "1", "2"]
    assert alive == ["read 0", "restored", "read 1", "restored", "read 2", "restored"]


def test_summary(pair):
    name, blurry, sharp = pair
    pairs = [(name, blurry, sharp), ("2", sharp // 2, sharp)]
    scores = evaluation.evaluate(pairs, lambda image: image / 255, PROTOCOLS["nah2017"])
    summary = evaluation.summarise(scores)
    assert summary["images"] == 2
    for key in ("psnr", "ssim", "ssim_volume"):
        mean = (getattr(scores[0], f"{key}_blurry") + getattr(scores[1], f"{key}_blurry")) / 2
        assert summary[f"{key}_blurry"] == pytest.approx(mean)
        assert summary[f"{key}_restored"] == pytest.approx(mean)


def test_summary_of_nothing():
    with pytest.raises(InputError, match="no image"):
        evaluation.summarise([])


def test_errors_name_the_image(pair):
    name, blurry, sharp = pair
    protocol = PROTOCOLS["deepdeblur_pytorch"]
    with pytest.raises(InputError, match=r"scene/1: .*less than the 11x11 window"):
        evaluation.evaluate([(name, blurry[:8], sharp[:8])], lambda image: image / 255, protocol)
    with pytest.raises(InputError, match="scene/1: expected two images"):
        evaluation.evaluate([(name, blurry[:12], sharp)], lambda image: image / 255, protocol)
