import numpy as np
import pytest

from tfdeblur import augment, initialization, losses, models, pyramid
from tfdeblur.evaluation import protocols
from tfdeblur.recipes import RECIPES, CosineDecay, StepDecay


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_name_in_a_recipe_exists(recipe):
    assert recipe.network in models.NETWORKS
    assert set(recipe.augmentations) <= set(augment.AUGMENTATIONS)
    assert recipe.loss in losses.LOSSES
    assert recipe.label_pyramid in pyramid.PYRAMIDS
    assert recipe.initialization in initialization.INITIALIZATIONS
    assert recipe.epsilon == 1e-8
    if recipe.published:
        assert recipe.published.protocol in protocols.PROTOCOLS


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


def test_schedules_shrink_with_the_run():
    schedule = StepDecay(rate=1.0, factor=0.5, at=(0.5,)).build(10)
    assert [float(schedule(s)) for s in (4, 6)] == [1.0, 0.5]
    cosine = CosineDecay(rate=1.0, warmup=0.1).build(100)
    values = [float(cosine(s)) for s in range(101)]
    assert max(values) == pytest.approx(1.0) == values[10]
    assert values[5] == pytest.approx(0.5) and values[100] == pytest.approx(0, abs=1e-6)
