"""Scoring of several networks by several protocols, and the means."""

import math

import numpy as np
import pytest

from tfdeblur import evaluation, metrics
from tfdeblur.errors import InputError
from tfdeblur.evaluation import PROTOCOLS, scoring

NAH, MIMO = PROTOCOLS["nah2017"], PROTOCOLS["mimo_unet"]


def example(name, seed=0, shape=(16, 20, 3)):
    generator = np.random.default_rng(seed)
    sharp = generator.integers(60, 200, shape, np.uint8)
    return name, (sharp + generator.integers(-40, 40, shape)).astype(np.uint8), sharp


def unchanged(blurry):
    return blurry.astype(np.float32) / 255


def test_images_are_taken_one_at_a_time():
    events = []

    def examples():
        for i in range(3):
            events.append(f"read {i}")
            yield example(str(i))

    def restore(blurry):
        events.append("restored")
        return unchanged(blurry)

    scores = evaluation.evaluate(examples(), restore, MIMO)
    assert [(one.image, one.method) for one in scores] == [
        (str(i), method) for i in range(3) for method in ("blurry", "restored")
    ]
    assert events == ["read 0", "restored", "read 1", "restored", "read 2", "restored"]


def test_networks_and_protocols_in_order():
    networks = {"a": unchanged, "b": lambda blurry: np.zeros(blurry.shape, np.float32)}
    name, blurry, sharp = example("s/1")
    (scores,) = scoring.score([(name, blurry, sharp)], networks, [NAH, MIMO])
    assert [(one.method, one.protocol) for one in scores] == [
        (method, protocol)
        for method in ("blurry", "a", "b")
        for protocol in ("nah2017", "mimo_unet")
    ]
    by_key = {(one.method, one.protocol): one for one in scores}
    assert by_key["a", "nah2017"].psnr == by_key["blurry", "nah2017"].psnr
    assert by_key["a", "nah2017"].psnr == pytest.approx(metrics.psnr(sharp, blurry, 255))
    black = metrics.psnr(sharp, np.zeros_like(sharp), 255)
    assert by_key["b", "mimo_unet"].psnr == pytest.approx(black)


def test_protocols_that_agree_are_measured_once(monkeypatch):
    calls = []
    monkeypatch.setattr(metrics, "psnr", lambda *arguments: calls.append(arguments) or 7.0)
    same = [PROTOCOLS[name] for name in ("nah2017", "mprnet", "nafnet", "srn")]
    (scores,) = scoring.score([example("1")], {}, same)
    assert [one.psnr for one in scores] == [7.0] * 4
    assert len(calls) == 1


def test_seconds_without_compilation_and_memory():
    shapes = [(16, 20, 3), (16, 20, 3), (20, 16, 3), (16, 20, 3)]
    examples = [example(str(i), shape=shape) for i, shape in enumerate(shapes)]
    scores = evaluation.evaluate(examples, unchanged, NAH)
    timed = [one.seconds is not None for one in scores if one.method == "restored"]
    assert timed == [False, True, False, True]
    assert all(one.seconds is None for one in scores if one.method == "blurry")
    assert all(one.memory is None or one.memory > 2**20 for one in scores)


def test_without_ground_truth_pictures_are_all():
    seen = []
    (scores,) = scoring.score(
        [("1", example("1")[1], None)],
        {"a": unchanged},
        [PROTOCOLS["lai"]],
        lambda example, restored: seen.append((example[0], list(restored))),
    )
    assert seen == [("1", ["a"])]
    assert [(one.method, one.psnr, one.ssim) for one in scores] == [
        ("blurry", None, None),
        ("a", None, None),
    ]
    assert evaluation.summarise(scores)["psnr_a"] is None


def test_summary():
    examples = [example("1"), example("2", seed=1)]
    scores = evaluation.evaluate(examples, unchanged, NAH)
    summary = evaluation.summarise(scores)
    assert summary["images"] == 2
    for key in ("psnr", "ssim", "ssim_volume"):
        for method in ("blurry", "restored"):
            mean = np.mean([getattr(one, key) for one in scores if one.method == method])
            assert summary[f"{key}_{method}"] == pytest.approx(mean)
    assert summary["seconds"] == next(one.seconds for one in scores if one.seconds is not None)


def test_a_perfect_image():
    name, _, sharp = example("1")
    summary = evaluation.summarise(evaluation.evaluate([(name, sharp, sharp)], unchanged, NAH))
    assert summary["psnr_restored"] == math.inf


def test_summary_of_nothing():
    with pytest.raises(InputError, match="no image"):
        evaluation.summarise([])


def test_errors_name_the_image():
    name, blurry, sharp = example("scene/1")
    protocol = PROTOCOLS["deepdeblur_pytorch"]
    with pytest.raises(InputError, match=r"scene/1: .*less than the 11x11 window"):
        evaluation.evaluate([(name, blurry[:8], sharp[:8])], unchanged, protocol)
    with pytest.raises(InputError, match="scene/1: expected two images"):
        evaluation.evaluate([(name, blurry[:12], sharp)], unchanged, protocol)
    with pytest.raises(InputError, match=r"scene/1: .*161 at least"):
        evaluation.evaluate([(name, blurry, sharp[None])], unchanged, PROTOCOLS["kohler"])
