"""What a recipe is refused for before data is fetched or made."""

import dataclasses

import numpy as np
import pytest
from small_networks import SMALL

from tfdeblur.errors import InputError
from tfdeblur.recipes import RECIPES
from tfdeblur.training import build


def small(name, **changes):
    recipe = RECIPES[name]
    return dataclasses.replace(recipe, hyperparameters=SMALL[recipe.network], **changes)


@pytest.mark.parametrize(
    ("name", "pyramid", "message"),
    [
        ("mimo_unet", "repeated", "mimo_unet returns: choose of gaussian, torch7"),
        ("mprnet", "bilinear", "mprnet returns: choose of repeated"),
        ("nafnet_width32", "maxim", "nafnet returns: choose of gaussian"),
    ],
)
def test_labels_of_other_sizes_are_refused(name, pyramid, message):
    with pytest.raises(
        InputError, match=rf"`label_pyramid={pyramid}` has images of other sizes than {message}"
    ):
        build.build_network(small(name, label_pyramid=pyramid))


@pytest.mark.slow
@pytest.mark.parametrize("network", sorted({x.network for x in RECIPES.values()}))
def test_the_labels_of_each_recipe_fit_its_network(network):
    for name, recipe in RECIPES.items():
        if recipe.network == network:
            build.build_network(small(name))


def test_a_critic_s_rate_falls_as_the_generator_s():
    trainer = build.build_trainer(small("deblurgan", crop=64, steps=20))
    generator, critic = trainer.optimizers
    for step in range(21):
        generator.iterations.assign(step)
        critic.iterations.assign(5 * step)
        expected = float(generator.learning_rate)
        np.testing.assert_allclose(float(critic.learning_rate), expected, atol=1e-11)
    assert expected == 0


def test_a_critic_that_is_updated_often_accumulates_nothing():
    with pytest.raises(InputError, match="`accumulate=2`: `recipe=deblurgan` updates its critic 5"):
        build.build_trainer(small("deblurgan", crop=64, accumulate=2))
