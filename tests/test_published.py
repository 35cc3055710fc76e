"""Which published score stands beside a measured one."""

import pytest

from tfdeblur import models, published, recipes
from tfdeblur.evaluation import PROTOCOLS


@pytest.mark.parametrize(
    ("name", "hyperparameters", "self_ensemble", "dataset", "protocol", "psnr"),
    [
        ("dmphn", {}, False, "gopro/blur", "srn", 30.25),
        ("dmphn", {"patches": (1, 2, 4), "stacks": 4}, False, "gopro/blur", "srn", 31.20),
        ("dmphn", {"patches": (1, 2, 4)}, False, "gopro/blur", "srn", None),
        ("dmphn", {}, False, "gopro/blur_gamma", "srn", None),
        ("dmphn", {}, False, "gopro/blur", "nah2017", None),
        ("deepdeblur", {"scales": 2}, False, "gopro/blur_gamma", "nah2017", 29.23),
        ("deepdeblur", {"scales": 2}, False, "gopro/blur", "nah2017", None),
        ("deepdeblur", {"scales": 2}, False, "kohler", "kohler", 26.02),
        ("mimo_unet_plus", {}, False, "gopro/blur", "mimo_unet", 32.45),
        ("mimo_unet_plus", {}, True, "gopro/blur", "mimo_unet", 32.68),
        ("mimo_unet_plus", {}, True, "realblur/j", "realblur", 32.05),
        ("mimo_unet", {"filters": 4}, False, "gopro/blur", "mimo_unet", None),
        ("mimo_unet", {}, False, None, "mimo_unet", None),
    ],
)
def test_only_what_was_measured_alike(
    name, hyperparameters, self_ensemble, dataset, protocol, psnr, monkeypatch
):
    network = models.build(name, **hyperparameters)
    monkeypatch.setattr(models, "build", None)  # which takes seconds for all recipes
    found = published.find(recipes.published_of(network, self_ensemble), dataset, protocol)
    assert (found and found.psnr) == psnr


@pytest.mark.parametrize(
    ("name", "given"),
    [("mimo_unet_plus", {}), ("mimo_unet_plus", {"resblocks": 1}), ("dmphn", {"patches": (1, 2)})],
)
def test_hyperparameters_are_known_without_the_network(name, given):
    assert models.hyperparameters(name, **given) == models.build(name, **given).hyperparameters


def test_quoted_scores_by_dataset():
    assert {one.dataset for one in published.on_dataset("gopro/blur")} == {"gopro"}
    assert {one.dataset for one in published.on_dataset("kohler")} == {"kohler"}
    assert published.on_dataset("reds/blur") == published.on_dataset(None) == []


def test_the_catalogue():
    for one in published.QUOTED:
        assert one.source and one.protocol in {None, *PROTOCOLS}
        assert 20 < one.psnr < 40 and (one.ssim is None or 0.7 < one.ssim < 1)
