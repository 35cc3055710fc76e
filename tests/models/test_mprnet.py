import golden
import numpy as np
import pytest

import tfdeblur
from tfdeblur import models, weights
from tfdeblur.errors import InputError
from tfdeblur.weights import torch_networks

SMALL = {"filters": 16, "unet_filters": 8, "orsnet_filters": 4, "blocks": 2}
TINY = {"filters": 4, "unet_filters": 2, "orsnet_filters": 2, "blocks": 1}


@pytest.fixture
def state():
    return golden.state_dict(golden.arrays("mprnet"))


def test_outputs_equal_the_reference(state):
    arrays = golden.arrays("mprnet")
    net = models.build("mprnet", **SMALL)
    weights.from_torch(net, state)
    outputs = net(arrays["input"].astype("float32") / 255)
    assert len(outputs) == 3
    for k, output in enumerate(outputs, start=1):
        np.testing.assert_allclose(output, arrays[f"output_{k}"], atol=1e-4)


@pytest.mark.slow
def test_means_over_windows_equal_the_reference(state):
    arrays = golden.arrays("mprnet")
    net = models.build("mprnet", **SMALL, window=32)
    weights.from_torch(net, state)
    output, *_ = net(arrays["input"].astype("float32") / 255)
    np.testing.assert_allclose(output, golden.arrays("tlc")["mprnet_window32"], atol=1e-5)
    assert np.abs(output - arrays["output_1"]).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hyperparameters", "parameters"),
    [
        ({}, 20_127_073),
        ({"filters": 40, "unet_filters": 40, "orsnet_filters": 32}, 6_376_449),
    ],
)
def test_parameter_count(hyperparameters, parameters):
    assert models.build("mprnet", **hyperparameters).count_params() == parameters


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"filters": 0}, "filters=0"),
        ({"filters": 3}, "filters=3"),
        ({"unet_filters": -1}, "unet_filters=-1"),
        ({"orsnet_filters": 1.5}, r"orsnet_filters=1\.5"),
        ({"blocks": "8"}, "blocks='8'"),
        ({"window": 0}, "window=0"),
        ({"window": 7}, "window=7: the lowest level needs 8"),
    ],
)
def test_impossible_hyperparameters_are_refused(hyperparameters, message):
    with pytest.raises(InputError, match=message):
        models.build("mprnet", **hyperparameters)


@pytest.mark.slow
def test_any_size_is_restored():
    net = models.build("mprnet", **TINY)
    for size in ((5, 3), (37, 53), (1, 1)):
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype="uint8")
        restored = tfdeblur.restore(net, image)
        assert restored.shape == image.shape and restored.dtype == np.uint8


@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_are_recognised(state, prefix):
    state = {prefix + name: value for name, value in state.items()}
    assert torch_networks.recognise(state) == ("mprnet", SMALL)


def test_weights_of_a_sibling_are_refused_in_one_line(state):
    net = models.build("mprnet", **SMALL | {"orsnet_filters": 8})
    with pytest.raises(InputError, match=r"not of 'mprnet'.* misshaped: concat23") as raised:
        weights.from_torch(net, state)
    assert "\n" not in str(raised.value)


def test_slopes_that_differ_are_refused(state):
    name = "stage2_decoder.skip_attn1.body.1.weight"
    with pytest.raises(InputError, match=rf"{name} differs from shallow_feat1\.1\.body\.1\."):
        weights.from_torch(models.build("mprnet", **SMALL), state | {name: np.array([0.5])})
