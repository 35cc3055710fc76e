"""What a recipe is refused for before data is fetched or made."""

import dataclasses

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
