import dataclasses
import pathlib

import numpy as np
import pytest

from tfdeblur import losses, models, pyramid, recipes
from tfdeblur.data import augment
from tfdeblur.evaluation import protocols
from tfdeblur.models import initialization
from tfdeblur.recipes import RECIPES, CosineDecay, PolynomialDecay, StepDecay


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_name_in_a_recipe_exists(recipe):
    assert recipe.network in models.NETWORKS
    assert set(recipe.augmentations) <= set(augment.AUGMENTATIONS)
    assert recipe.loss in losses.LOSSES
    assert recipe.label_pyramid in pyramid.PYRAMIDS
    assert recipe.initialization in initialization.INITIALIZATIONS
    assert recipe.epsilon == 1e-8
    for published in recipe.published:
        assert published.protocol in {None, *protocols.PROTOCOLS}
    if recipe.adversarial:
        assert recipe.adversarial.loss in losses.ADVERSARIAL_LOSSES
        assert (recipe.adversarial.judge or "discriminator") in models.NETWORKS
    assert set(recipe.not_stated) <= {field.name for field in dataclasses.fields(recipe)}
    stages = recipe.stages()
    assert sum(steps for steps, _, _ in stages) == recipe.steps
    assert max(crop for _, crop, _ in stages) == recipe.crop


def rates(recipe, steps):
    schedule = recipe.schedule.build(recipe.steps)
    return [float(schedule(step)) for step in steps]


def test_deepdeblur_follows_the_paper():
    recipe = RECIPES["deepdeblur_k3"]
    assert (recipe.dataset, recipe.crop, recipe.batch_size) == ("gopro/blur_gamma", 256, 2)
    assert recipe.steps == 900_000
    np.testing.assert_allclose(
        rates(recipe, [0, 299_999, 300_001, 899_999]), [5e-5, 5e-5, 5e-6, 5e-6], rtol=1e-5
    )


def test_mimo_unet_follows_the_paper():
    recipe = RECIPES["mimo_unet"]
    assert (recipe.dataset, recipe.crop, recipe.batch_size) == ("gopro/blur", 256, 4)
    per_epoch = 526  # 2103 pairs in batches of 4
    epochs = [0, 499, 501, 1001, 2999]
    np.testing.assert_allclose(
        rates(recipe, [e * per_epoch for e in epochs]),
        [1e-4, 1e-4, 0.5e-4, 0.25e-4, 1e-4 / 32],
        rtol=1e-5,
    )


def test_the_release_follows_the_authors_code():
    recipe = RECIPES["deepdeblur_release"]
    per_epoch = 131  # 2103 pairs in full batches of 16
    assert recipe.steps == 1000 * per_epoch
    epochs = [0, 499, 501, 751, 901]
    np.testing.assert_allclose(
        rates(recipe, [e * per_epoch for e in epochs]),
        [1e-4, 1e-4, 0.5e-4, 0.25e-4, 0.125e-4],
        rtol=1e-5,
    )


def test_the_torch_recipes_follow_the_code_behind_the_tables():
    recipe = RECIPES["deepdeblur_k2_torch"]
    assert recipe.steps * recipe.batch_size == RECIPES["deepdeblur_k2"].steps * 2
    np.testing.assert_allclose(rates(recipe, [0, 149_999, 150_001]), [5e-5, 5e-5, 5e-6], rtol=1e-5)
    assert recipe.adversarial.weight == pytest.approx(1.442695e-4)
    assert "flip_vertically" not in recipe.augmentations
    (score,) = recipe.published
    assert (score.psnr, score.protocol) == (29.23, "nah2017")
    net = models.build("deepdeblur", **{**recipe.hyperparameters, "filters": 4, "resblocks": 1})
    assert net.get_layer("pyramid").kind == recipe.label_pyramid == "torch7"


def test_mtwnet_follows_the_paper():
    recipe = RECIPES["mtwnet"]
    half = recipe.steps // 2
    np.testing.assert_allclose(
        rates(recipe, [0, half, recipe.steps]), [1e-4, 1e-4 * 0.5**0.3, 0], rtol=1e-4
    )


def test_restormer_follows_the_authors_code():
    recipe = RECIPES["restormer"]
    assert recipe.stages() == [
        (92_000, 128, 64),
        (64_000, 160, 40),
        (48_000, 192, 32),
        (36_000, 256, 16),
        (36_000, 320, 8),
        (24_000, 384, 8),
    ]
    np.testing.assert_allclose(
        rates(recipe, [0, 91_999, 196_000, 300_000]), [3e-4, 3e-4, 1.505e-4, 1e-6], rtol=1e-4
    )


def test_mprnet_and_nafnet_follow_the_authors_code():
    recipe = RECIPES["mprnet"]
    per_epoch = 132  # 2103 pairs in batches of 16
    assert recipe.steps == 3000 * per_epoch
    np.testing.assert_allclose(
        rates(recipe, [0, per_epoch, 3 * per_epoch, recipe.steps]),
        [0, 2e-4 / 3, 2e-4, 1e-6],
        rtol=1e-4,
    )
    np.testing.assert_allclose(
        rates(RECIPES["nafnet_width64"], [0, 200_000, 400_000]), [1e-3, 5e-4, 1e-7], rtol=1e-3
    )


def test_losses_and_weight_decay_are_those_of_the_authors_code():
    assert {RECIPES[f"nafnet_width{width}"].weight_decay for width in (32, 64)} == {1e-3}
    results = [np.full((1, 2, 2, 3), value, "float32") for value in (0.1, 0.2, 0.3, 0.5)]
    labels = pyramid.repeated(np.zeros((1, 2, 2, 3), "float32"), 4)
    loss = losses.LOSSES[RECIPES["dmphn_stack4"].loss](results, labels)
    np.testing.assert_allclose(float(loss), 0.01 + 0.04 + 0.09 + 0.25, rtol=1e-5)


def test_the_published_scores_of_deepdeblur_belong_to_adversarial_training():
    for name, recipe in RECIPES.items():
        if name.startswith("deepdeblur_k"):
            adversarial = "_adv" in name or "_torch" in name
            assert bool(recipe.published) == bool(recipe.adversarial) == adversarial
            assert recipe.dataset == ("gopro/blur" if "linear" in name else "gopro/blur_gamma")


def test_a_description_says_all_and_marks_what_is_not_stated():
    rows = dict(recipes.describe(RECIPES["mtwnet"]))
    assert rows["batch size"] == "16 (not stated: our choice)"
    assert rows["schedule"] == "0.0001, falling to 0 as (1 - step / steps)^0.3"
    assert rows["steps"] == "524,000"
    assert rows["hyperparameters"] == "two_way=True"
    assert rows["published"].startswith("30.56 dB, SSIM 0.933 on gopro")
    assert "not stated" not in rows["loss"]


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("deepdeblur_k3_adv", {"steps": 2, "batch_size": 1, "crop": 128}, []),
        ("deepdeblur_k3_adv", {"hyperparameters": {"scales": 3, "resblocks": 19}}, []),
        ("deepdeblur_k3_adv", {"hyperparameters": {"scales": 2}}, ["hyperparameters"]),
        ("deepdeblur_k3_adv", {"adversarial": None}, ["adversarial"]),
        ("mimo_unet", {"hyperparameters": {"filters": 32}, "loss_weight": 0.1}, []),
        ("mimo_unet", {"loss_weight": 0.0}, ["loss_weight"]),
        ("dmphn_stack4", {"hyperparameters": {"patches": [1, 2, 4], "stacks": 4}}, []),
        ("mtwnet", {"augmentations": ("x",), "dataset": "d"}, ["dataset", "augmentations"]),
    ],
)
def test_a_recipe_is_changed_by_what_it_means(name, changes, expected):
    changed = dataclasses.replace(RECIPES[name], **changes)
    assert recipes.departures(changed) == expected
    told = dict(recipes.describe(changed))["published"]
    assert (told == "none") == bool(expected)


def test_the_document_of_all_recipes_is_up_to_date():
    document = pathlib.Path(__file__).parents[1] / "docs" / "recipes.md"
    assert document.read_text() == recipes.markdown() + "\n"


def test_schedules_shrink_with_the_run():
    schedule = StepDecay(rate=1.0, factor=0.5, at=(0.5,)).build(10)
    assert [float(schedule(s)) for s in (4, 6)] == [1.0, 0.5]
    cosine = CosineDecay(rate=1.0, warmup=0.1).build(100)
    values = [float(cosine(s)) for s in range(101)]
    assert max(values) == pytest.approx(1.0) == values[10]
    assert values[5] == pytest.approx(0.5) and values[100] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("schedule", "expected", "words"),
    [
        (
            CosineDecay(rate=1.0, warmup=0, end=0.2),
            [1, 0.8828, 0.6, 0.3172, 0.2, 0.2],
            "1, a cosine to 0.2",
        ),
        (
            CosineDecay(rate=1.0, warmup=0.5, start=1.0, end=0.2),
            [1, 1, 1, 0.6, 0.2, 0.2],
            "1 in the first 50 %, then a cosine to 0.2",
        ),
        (
            PolynomialDecay(rate=1.0, power=1, hold=0.5, end=0.1),
            [1, 1, 1, 0.55, 0.1, 0.1],
            "1 in the first 50 %, then falling to 0.1 as the part of the rest that is left, to the "
            "power 1",
        ),
    ],
    ids=["cosine", "held, then cosine", "held, then linear"],
)
def test_schedules_by_hand(schedule, expected, words):
    built = schedule.build(120)
    values = [float(built(step)) for step in (0, 30, 60, 90, 120, 130)]
    np.testing.assert_allclose(values, expected, atol=1e-4)
    assert str(schedule) == words
