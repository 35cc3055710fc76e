import math

import golden
import numpy as np
import pytest
from keras import ops

import tfdeblur
from tfdeblur import layers, models, weights
from tfdeblur.errors import InputError
from tfdeblur.models.restormer import _Windows
from tfdeblur.weights import torch_networks

SMALL = {"filters": 8, "blocks": (1, 2, 1, 2), "refinement_blocks": 1}
TINY = {"filters": 2, "blocks": (1, 1, 1, 1), "refinement_blocks": 1, "heads": (1, 1, 2, 2)}
VARIANTS = {"restormer": False, "restormer_biasfree": True}


@pytest.mark.parametrize("variant", VARIANTS)
def test_outputs_equal_the_reference(variant):
    arrays = golden.arrays(variant)
    net = models.build("restormer", **SMALL, bias_free=VARIANTS[variant])
    weights.from_torch(net, golden.state_dict(arrays))
    (output,) = net(arrays["input"].astype("float32") / 255)
    np.testing.assert_allclose(output, arrays["output_1"], atol=2e-4)


def test_attention_in_windows_equals_the_reference():
    arrays = golden.arrays("restormer")
    net = models.build("restormer", **SMALL, window=40)
    weights.from_torch(net, golden.state_dict(arrays))
    x = arrays["input"].astype("float32") / 255
    (output,) = net(x)
    np.testing.assert_allclose(output, golden.arrays("tlc")["restormer_window40"], atol=2e-4)
    assert np.abs(output - arrays["output_1"]).max() > 1e-3
    # Training attends to the crop.
    (output,) = net(x, training=True)
    np.testing.assert_allclose(output, arrays["output_1"], atol=2e-4)


def test_gelu_is_the_exact_one():
    x = np.linspace(-6, 6, 97, dtype="float32")
    expected = [v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in x.tolist()]
    np.testing.assert_allclose(layers.gelu(x), expected, atol=1e-6)
    in_16_bits = layers.gelu(ops.cast(x, "bfloat16"))
    assert in_16_bits.dtype == "bfloat16"
    # 1 and erf do not cancel: all but a few of the 8 bits stay.
    np.testing.assert_allclose(ops.cast(in_16_bits, "float32"), expected, rtol=0.05, atol=1e-6)


@pytest.mark.parametrize("size", [1, 7, 8, 9, 15, 16, 17, 23, 24, 25, 40, 79])
def test_windows_lie_evenly_over_an_axis(size):
    windows = _Windows(size, 8)
    starts = [int(start) for start in windows.starts]
    assert len(starts) == -(-size // 8) == windows.count
    assert starts[0] == 0 and starts[-1] == size - windows.side
    x = np.random.default_rng(0).random((2, size, 3), "float32")
    cut = ops.reshape(windows.cut(x, axis=1), (2, -1, 3))
    np.testing.assert_allclose(windows.join(cut, axis=1), x, atol=1e-6)
    # Each window's part counts as much as any other's.
    parts = np.repeat(np.arange(windows.count, dtype="float32"), windows.side)
    inside = [[k for k, a in enumerate(starts) if a <= i < a + windows.side] for i in range(size)]
    np.testing.assert_allclose(windows.join(parts[None], axis=1)[0], list(map(np.mean, inside)))


@pytest.mark.slow
@pytest.mark.parametrize(("bias_free", "parameters"), [(False, 26_126_644), (True, 26_111_668)])
def test_parameter_count(bias_free, parameters):
    assert models.build("restormer", bias_free=bias_free).count_params() == parameters


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"filters": 0}, "filters=0"),
        ({"filters": 3, "heads": (1, 1, 1, 1)}, "filters=3"),
        ({"refinement_blocks": -1}, "refinement_blocks=-1"),
        ({"blocks": (4, 6, 6)}, r"blocks=\(4, 6, 6\): give 4 "),
        ({"blocks": (4, 6, 0, 8)}, r"blocks=\(4, 6, 0, 8\)"),
        ({"heads": 1}, "heads=1"),
        ({"heads": (1, 5, 4, 8)}, r"heads=\(1, 5, 4, 8\)"),
        ({"bias_free": "yes"}, "bias_free='yes'"),
        ({"window": 1.5}, "window=1.5"),
        ({"window": 4}, "window=4: the lowest level needs 8"),
    ],
)
def test_impossible_hyperparameters_are_refused(hyperparameters, message):
    with pytest.raises(InputError, match=message):
        models.build("restormer", **hyperparameters)


def test_any_size_is_restored():
    net = models.build("restormer", **TINY)
    for size in ((5, 3), (37, 53), (1, 1)):
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype="uint8")
        restored = tfdeblur.restore(net, image)
        assert restored.shape == image.shape and restored.dtype == np.uint8


def test_one_colour_has_a_finite_result():
    image = np.zeros((8, 8, 3), "uint8")
    assert tfdeblur.restore(models.build("restormer", **TINY), image).shape == image.shape


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_are_recognised(variant):
    state = golden.state_dict(golden.arrays(variant))
    assert torch_networks.recognise({f"module.{name}": value for name, value in state.items()}) == (
        "restormer",
        SMALL | {"heads": (1, 2, 4, 8), "bias_free": VARIANTS[variant]},
    )


def test_weights_of_a_sibling_are_refused_in_one_line():
    state = golden.state_dict(golden.arrays("restormer_biasfree"))
    net = models.build("restormer", **SMALL)
    with pytest.raises(
        InputError, match=r"not of 'restormer'.* missing: .*norm1\.body\.b"
    ) as raised:
        weights.from_torch(net, state)
    assert "\n" not in str(raised.value)


def test_pixels_are_unshuffled_as_they_were_shuffled():
    x = np.random.default_rng(0).random((2, 3, 5, 8), "float32")
    shuffled = layers.PixelShuffle()(x)
    np.testing.assert_array_equal(layers.PixelUnshuffle()(shuffled), x)
