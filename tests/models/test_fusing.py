import io
import zipfile

import gradients
import h5py
import keras
import numpy as np
import pytest
from small_networks import SMALL

from tfdeblur import models, precision
from tfdeblur.models import fusing


@pytest.fixture(params=["float32", "bfloat16"])
def net(request):
    keras.utils.set_random_seed(0)
    with precision.policy(request.param):
        return models.build("mimo_unet_plus", filters=8, resblocks=1)


def outputs(net, images):
    return [np.asarray(keras.ops.cast(x, "float32")) for x in net(images, training=False)]


@pytest.mark.parametrize("size", [(4, 4), (36, 20)])
def test_restoring_gives_what_the_network_gives(net, size):
    images = np.random.default_rng(0).random((2, *size, 3), "float32")
    tolerance = 1e-5 if net.compute_dtype == "float32" else 1e-2
    for restored, expected in zip(net.predict_on_batch(images), outputs(net, images), strict=True):
        np.testing.assert_allclose(restored, expected, atol=tolerance)


@pytest.mark.slow
def test_training_follows_the_network_s_gradients(net):
    images = np.random.default_rng(0).random((1, 16, 16, 3), "float32")
    view = net.computing()
    assert view is not net
    variables = net.trainable_variables
    all_ours, all_theirs = (gradients.function_of(m, variables, images)() for m in (view, net))
    tolerance = 1e-5 if net.compute_dtype == "float32" else 0.03
    for ours, expected in zip(all_ours, all_theirs, strict=True):
        np.testing.assert_allclose(ours, expected, atol=tolerance * np.abs(expected).max())


@pytest.mark.slow
def test_new_weights_are_seen(net):
    images = np.random.default_rng(0).random((1, 16, 16, 3), "float32")
    net.predict_on_batch(images)
    net.set_weights([weight / 2 for weight in net.get_weights()])
    np.testing.assert_allclose(net.predict_on_batch(images)[0], outputs(net, images)[0], atol=1e-2)


@pytest.mark.slow
def test_files_are_the_same_as_without(net, tmp_path):
    net.predict_on_batch(np.zeros((1, 4, 4, 3), "float32"))
    net.save(tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    assert len(loaded.layers) == len(net.layers)
    for weight, expected in zip(loaded.get_weights(), net.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


def randomised(net):
    """Weights that leave none of its parts out, as scales of 0 do."""
    rng = np.random.default_rng(0)
    net.set_weights([rng.normal(0, 0.2, weight.shape) for weight in net.get_weights()])
    return net


VIEWED = [
    ("nafnet", 48),
    ("restormer", 32),
    ("mprnet", 32),
    pytest.param("maxim", 128, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "side"), VIEWED)
def test_restoring_by_a_view_gives_what_the_network_gives(name, side):
    net = randomised(models.build(name, **SMALL[name]))
    assert net.restoring() is not net
    net.layers[-2].trainable = False  # the view needs what is frozen, too
    next((x for x in net.layers if isinstance(x, keras.Model)), net).trainable = False
    images = np.random.default_rng(0).random((2, side, side, 3), "float32")
    for scale in (1, 0.9):  # other weights are seen
        net.set_weights([scale * weight for weight in net.get_weights()])
        expected = np.asarray(net(images, training=False)[0])
        assert np.abs(expected - images).max() > 0.01
        restored = net.restore_on_batch(images)
        np.testing.assert_allclose(restored, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(("name", "side"), VIEWED)
def test_restoring_by_a_view_in_bfloat16(name, side):
    with precision.policy("bfloat16"):
        net = randomised(models.build(name, **SMALL[name]))
    images = np.random.default_rng(0).random((1, side, side, 3), "float32")
    expected = np.asarray(precision.cast(net, "float32")(images)[0])
    restored = net.restore_on_batch(images)
    assert np.abs(restored - expected).mean() < 0.02 * np.abs(expected - images).mean()


@pytest.mark.parametrize(("name", "side"), VIEWED)
def test_nothing_of_a_view_is_saved(name, side, tmp_path):
    net = models.build(name, **SMALL[name])
    net.save(tmp_path / "before.keras")
    net.restore_on_batch(np.zeros((1, side, side, 3), "float32"))
    net.save(tmp_path / "after.keras")
    before, after = (groups_of(tmp_path / f"{x}.keras") for x in ("before", "after"))
    assert before == after


def groups_of(path):
    names = []
    weights = zipfile.ZipFile(path).read("model.weights.h5")
    with h5py.File(io.BytesIO(weights)) as file:
        file.visit(names.append)
    return names


@pytest.mark.parametrize(
    ("name", "more", "blocks", "kinds"),
    [
        ("nafnet", {"encoder_blocks": (3,)}, 40, 12),
        ("restormer", {"blocks": (1, 1, 1, 3)}, 30, 9),
        ("mprnet", {}, 68, 13),
        pytest.param("maxim", {"stages": 2}, 26, 13, marks=pytest.mark.slow),
    ],
)
def test_blocks_of_one_kind_share_a_function(name, more, blocks, kinds):
    net = models.build(name, **SMALL[name] | more)
    shared = [x for x in net.restoring().layers if isinstance(x, fusing._SharedBlock)]
    assert (len(shared), len({id(block.function) for block in shared})) == (blocks, kinds)
