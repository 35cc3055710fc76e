"""Which published score stands beside a measured one."""

import types

import pytest

from tfdeblur import models, published, recipes
from tfdeblur.evaluation import PROTOCOLS
from tfdeblur.weights import catalogue

ADVERSARIAL = {"recipe": "deepdeblur_k2_adv", "dataset": "gopro/blur_gamma"}
LINEAR = {"recipe": "deepdeblur_k2_adv_linear", "dataset": "gopro/blur"}
CONTENT = {"recipe": "deepdeblur_k2", "dataset": "gopro/blur_gamma"}
OTHER = {"recipe": "", "dataset": "dead_leaves/small"}
RELEASE = {"scales": 3, "upsampling": "sub_pixel", "resblocks": 19}


@pytest.mark.parametrize(
    ("name", "hyperparameters", "origin", "dataset", "protocol", "psnr"),
    [
        ("deepdeblur", {"scales": 2}, ADVERSARIAL, "gopro/blur_gamma", "nah2017", 29.23),
        ("deepdeblur", {"scales": 2}, ADVERSARIAL, "gopro/blur", "nah2017", None),
        ("deepdeblur", {"scales": 2}, ADVERSARIAL, "kohler", "kohler", None),
        ("deepdeblur", {"scales": 2}, LINEAR, "kohler", "kohler", 26.02),
        ("deepdeblur", {"scales": 2}, LINEAR, "gopro/blur_gamma", "nah2017", None),
        ("deepdeblur", {"scales": 2}, CONTENT, "gopro/blur_gamma", "nah2017", None),
        ("deepdeblur", {"scales": 2}, OTHER, "gopro/blur_gamma", "nah2017", None),
        ("deepdeblur", {"scales": 2}, {}, "gopro/blur_gamma", "nah2017", None),
        ("deepdeblur", {"scales": 2}, {}, "kohler", "kohler", None),
        # Files of which several are published; and the only ones of their architecture.
        ("deepdeblur", RELEASE, {}, "gopro/blur_gamma", "deepdeblur_pytorch", None),
        ("mimo_unet_plus", {}, {}, "gopro/blur", "mimo_unet", None),
        ("nafnet", {"filters": 64}, {}, "gopro/blur", "nafnet", None),
        ("pss_nsc", {}, {}, "gopro/blur", "srn", None),
        ("nafnet", {}, {}, "gopro/blur", "nafnet", 32.87),
        ("srn", {}, {}, "gopro/blur", "srn", 30.19),
        # Weights of a name, computing otherwise than what was measured.
        ("mprnet", {"window": None}, {"weights": "gopro_global"}, "gopro/blur", "mprnet", 32.66),
        ("mprnet", {"window": None}, {"weights": "gopro"}, "gopro/blur", "nafnet", None),
        (
            "deepdeblur",
            RELEASE,
            {"weights": "gopro"},
            "gopro/blur_gamma",
            "deepdeblur_pytorch",
            30.40,
        ),
        ("deepdeblur", RELEASE, {"weights": "gopro"}, "gopro/blur_gamma", "nah2017", None),
        (
            "deepdeblur",
            RELEASE,
            {"weights": "gopro_mixed_precision"},
            "gopro/blur_gamma",
            "deepdeblur_pytorch",
            30.42,
        ),
        ("deepdeblur", RELEASE, {"weights": "reds"}, "reds/blur", "deepdeblur_pytorch", 32.89),
        (
            "deepdeblur",
            RELEASE,
            {"weights": "gopro_reds_mixed_precision"},
            "reds/blur",
            "deepdeblur_pytorch",
            33.13,
        ),
        ("deepdeblur", RELEASE, {"weights": "reds"}, "gopro/blur", "deepdeblur_pytorch", None),
        ("mimo_unet_plus", {}, {"weights": "gopro"}, "realblur/j", "realblur", None),
        ("mimo_unet_plus", {}, {"weights": "realblur"}, "realblur/j", "realblur", 31.92),
        ("srn", {}, {"weights": "gopro"}, "gopro/blur", "srn", 30.19),
        ("mtwnet", {}, {"recipe": "mtwnet", "dataset": "gopro/blur"}, "kohler", "kohler", 26.80),
    ],
)
def test_a_network_has_the_scores_of_its_own_training(
    name, hyperparameters, origin, dataset, protocol, psnr
):
    network = types.SimpleNamespace(name=name, hyperparameters=hyperparameters, origin=origin)
    network.hyperparameters = models.hyperparameters(name, **hyperparameters)
    found = published.find(catalogue.published_of(network, False), dataset, protocol)
    assert (found and found.psnr) == psnr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "hyperparameters", "self_ensemble", "dataset", "protocol", "psnr"),
    [
        ("dmphn", {}, False, "gopro/blur", "srn", 30.25),
        ("dmphn", {"patches": (1, 2, 4), "stacks": 4}, False, "gopro/blur", "srn", 31.20),
        ("dmphn", {"patches": (1, 2, 4)}, False, "gopro/blur", "srn", None),
        ("dmphn", {}, False, "gopro/blur_gamma", "srn", None),
        ("dmphn", {}, False, "gopro/blur", "nah2017", None),
        ("mimo_unet", {}, False, "gopro/blur", "mimo_unet", 31.73),
        ("mimo_unet", {"filters": 4}, False, "gopro/blur", "mimo_unet", None),
        ("mimo_unet", {}, False, None, "mimo_unet", None),
    ],
)
def test_only_what_was_measured_alike(
    name, hyperparameters, self_ensemble, dataset, protocol, psnr, monkeypatch
):
    network = models.build(name, **hyperparameters)
    monkeypatch.setattr(models, "build", None)  # which takes seconds for all recipes
    found = published.find(catalogue.published_of(network, self_ensemble), dataset, protocol)
    assert (found and found.psnr) == psnr


@pytest.mark.parametrize(
    ("origin", "dataset", "protocol", "psnr"),
    [
        ({"weights": "gopro"}, "gopro/blur", "mimo_unet", 32.68),
        ({"weights": "gopro"}, "realblur/j", "realblur", None),
        ({"weights": "realblur"}, "realblur/j", "realblur", 32.05),
        ({}, "gopro/blur", "mimo_unet", None),
    ],
)
def test_the_self_ensemble_of_published_weights(origin, dataset, protocol, psnr):
    given = models.hyperparameters("mimo_unet_plus")
    network = types.SimpleNamespace(name="mimo_unet_plus", hyperparameters=given, origin=origin)
    found = published.find(catalogue.published_of(network, True), dataset, protocol)
    assert (found and found.psnr) == psnr


@pytest.mark.parametrize(
    ("name", "weights", "recipe"),
    [
        ("dmphn", "gopro", "dmphn_1_2_4_8"),
        ("dmphn", "gopro_stack4", "dmphn_stack4"),
        ("mimo_unet", "gopro", "mimo_unet"),
    ],
)
def test_scores_of_published_weights_are_those_of_their_recipe(name, weights, recipe):
    recipe = recipes.RECIPES[recipe]
    given = models.hyperparameters(name, **recipe.hyperparameters)
    network = types.SimpleNamespace(name=name, hyperparameters=given, origin={"weights": weights})
    assert catalogue.published_of(network, False) == recipes.published_of(recipe)


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
