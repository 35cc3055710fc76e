"""Each recipe of the comparison tables, tiny: its network, losses and optimizer learn two pairs."""

import dataclasses

import keras
import numpy as np
import pytest
from small_networks import all_but_few_long

from tfdeblur import precision
from tfdeblur.recipes import RECIPES, CosineDecay
from tfdeblur.training.build import build_trainer

# By recipe: hyperparameters, crop, and steps.
TINY = {
    "mprnet": ({"filters": 4, "unet_filters": 4, "orsnet_filters": 4, "blocks": 1}, 32, 15),
    "nafnet_width32": ({"filters": 4, "encoder_blocks": (1, 1), "decoder_blocks": (1, 1)}, 32, 15),
    "restormer": (
        {"filters": 4, "blocks": (1, 1, 1, 1), "refinement_blocks": 1, "heads": (1, 2, 2, 2)},
        32,
        15,
    ),
    "maxim_gopro": ({"filters": 4, "stages": 1, "groups": 1, "bottleneck_blocks": 1}, 64, 15),
    "mt_rnn": ({"filters": 4, "iterations": 2}, 32, 15),
    "srn_color": ({"filters": 4, "variant": "color"}, 32, 15),
    "pss_nsc": ({"filters": 2}, 32, 15),
    "deblurgan": ({"filters": 4, "blocks": 1}, 32, 15),
    "deblurgan_v2_mobilenet": ({"filters": 4, "fpn_filters": 8}, 64, 15),
}


@pytest.fixture(scope="module")
def pairs():
    noise = np.random.default_rng(0).random((2, 16, 16, 3), "float32")
    sharp = noise.repeat(4, axis=1).repeat(4, axis=2)
    return np.mean([np.roll(sharp, k, axis=2) for k in range(-1, 2)], axis=0), sharp


@pytest.mark.slow
@pytest.mark.parametrize("name", all_but_few_long(TINY, ("nafnet_width32", "mt_rnn", "deblurgan")))
def test_two_pairs_are_learnt(name, pairs):
    hyperparameters, crop, steps = TINY[name]
    recipe = dataclasses.replace(
        RECIPES[name],
        hyperparameters=hyperparameters,
        crop=crop,
        batch_size=2,
        steps=steps,
        progressive=None,
        adversarial=None,  # what a critic asks for need not be the sharp image
        schedule=CosineDecay(rate=4e-3, warmup=0, end=1e-3),
    )
    keras.utils.set_random_seed(0)
    with precision.policy("float32"):
        trainer = build_trainer(recipe)
    blurry, sharp = (images[:, :crop, :crop] for images in pairs)
    logs = trainer.fit(blurry, sharp, batch_size=2, epochs=steps, verbose=0).history
    assert np.isfinite(logs["loss"]).all() and int(trainer.optimizer.skipped) == 0
    print(name, logs["loss"][0], logs["loss"][-1], logs["psnr"][0], logs["psnr"][-1])
    assert logs["loss"][-1] < logs["loss"][0] - 0.1 * abs(logs["loss"][0])
