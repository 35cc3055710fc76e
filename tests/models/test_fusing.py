import gradients
import keras
import numpy as np
import pytest

from tfdeblur import models, precision


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
