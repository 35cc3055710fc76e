import golden
import numpy as np
import pytest

import tfdeblur
from tfdeblur import models, weights
from tfdeblur.errors import InputError
from tfdeblur.weights import torch_networks


@pytest.fixture(scope="module")
def arrays():
    return golden.arrays("mtrnn")


@pytest.fixture(scope="module")
def state(arrays):
    return golden.state_dict(arrays)


@pytest.fixture(scope="module")
def net(state):
    net = models.build("mt_rnn")
    weights.from_torch(net, state)
    return net


def test_outputs_equal_the_reference(net, arrays):
    outputs = net(arrays["input"].astype("float32") / 255)
    assert len(outputs) == 6
    for k, output in enumerate(outputs, start=1):
        np.testing.assert_allclose(output, arrays[f"output_{k}"] / 255, atol=1e-4)


def test_the_first_iteration_hands_over_the_reference_features(net, arrays):
    blurry = net.get_layer("centred")(arrays["input"].astype("float32") / 255)
    skip1, x = net.get_layer("encoder1")([blurry, blurry])
    skip2, y = net.get_layer("encoder2")([x, x])
    _, *features = net.get_layer("decoder")([y, y, skip2, skip1])
    for k, feature in enumerate(features, start=1):
        expected = arrays[f"feature_{k}"]
        np.testing.assert_allclose(255 * feature, expected, atol=1e-4 * np.abs(expected).max())


def test_parameter_count(net):
    assert net.count_params() == 2_635_523
    assert models.build("mt_rnn", iterations=2).count_params() == 2_635_523


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"iterations": 0}, "iterations=0"),
        ({"iterations": 2.5}, r"iterations=2\.5"),
        ({"filters": -32}, "filters=-32"),
    ],
)
def test_impossible_hyperparameters_are_refused(hyperparameters, message):
    with pytest.raises(InputError, match=message):
        models.build("mt_rnn", **hyperparameters)


def test_any_size_is_restored():
    net = models.build("mt_rnn", filters=2, iterations=2)
    for size in ((5, 3), (37, 53), (1, 1)):
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype="uint8")
        restored = tfdeblur.restore(net, image)
        assert restored.shape == image.shape and restored.dtype == np.uint8


@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_are_recognised(state, prefix):
    state = {prefix + name: value for name, value in state.items()}
    assert torch_networks.recognise(state) == ("mt_rnn", {"filters": 32})


def test_weights_of_a_sibling_are_refused_in_one_line(state):
    net = models.build("mt_rnn", filters=16)
    with pytest.raises(InputError, match=r"not of 'mt_rnn'.* misshaped: conv1_1") as raised:
        weights.from_torch(net, state)
    assert "\n" not in str(raised.value)


def test_another_mean_is_refused(net, state):
    other = {"sub_mean.bias": np.float32([-127.5, -127.5, -127.5])}
    with pytest.raises(InputError, match=r"sub_mean\.bias differs from what the network has"):
        weights.from_torch(net, state | other)
