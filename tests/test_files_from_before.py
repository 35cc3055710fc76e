"""Files that were written before the modules moved into sub-packages still load."""

import dataclasses
import shutil

import golden
import keras
import numpy as np
import pytest

import tfdeblur
from tfdeblur.recipes import RECIPES, CosineDecay
from tfdeblur.training import build, checkpoints

FOLDER = golden.FOLDER / "before_subpackages"


@pytest.mark.parametrize("load", [keras.saving.load_model, tfdeblur.weights.load_network])
def test_a_keras_file_from_before_gives_the_same_pictures(load):
    expected = dict(np.load(FOLDER / "output.npz"))
    net = load(FOLDER / "model.keras")
    np.testing.assert_allclose(net(expected["input"])[0], expected["level1"], atol=1e-5)


def test_a_checkpoint_from_before_is_resumed(tmp_path):
    shutil.copy(FOLDER / "step_000000004.npz", tmp_path)
    recipe = dataclasses.replace(
        RECIPES["quickstart"],
        network="deepdeblur",
        hyperparameters={"scales": 2, "filters": 4, "resblocks": 1},
        crop=16,
        steps=5,
        schedule=CosineDecay(rate=1e-3, warmup=0.2),
        loss="mse",
        label_pyramid="gaussian",
        initialization="as_built",
    )
    trainer = build.build_trainer(recipe)
    assert checkpoints.Checkpoints(tmp_path, trainer).restore() == 4
    with np.load(FOLDER / "step_000000004.npz") as saved:
        assert len(saved.files) == len(trainer.saved_variables)
        for i, variable in enumerate(trainer.saved_variables):
            np.testing.assert_array_equal(variable, saved[f"variable_{i}"])
