import golden
import keras
import numpy as np
import pytest
import tensorflow as tf

import tfdeblur
from tfdeblur import layers, models, weights
from tfdeblur.errors import InputError
from tfdeblur.layers import LocalMean, LocalProduct
from tfdeblur.weights import torch_networks

SMALL = {"filters": 8, "encoder_blocks": (1, 1, 1, 2)}
TINY = {"filters": 2, "encoder_blocks": (1, 1), "decoder_blocks": (1, 1)}


@pytest.fixture(scope="module")
def arrays():
    return golden.arrays("nafnet")


@pytest.fixture(scope="module")
def net(arrays):
    net = models.build("nafnet", **SMALL)
    weights.from_torch(net, golden.state_dict(arrays))
    return net


def test_outputs_equal_the_reference(net, arrays):
    height, width = arrays["input"].shape[1:3]
    padded = np.zeros((1, -(-height // 16) * 16, -(-width // 16) * 16, 3), "float32")
    padded[:, :height, :width] = arrays["input"] / np.float32(255)
    (output,) = net(padded)
    np.testing.assert_allclose(output[:, :height, :width], arrays["output_1"], atol=1e-4)


@pytest.mark.slow
def test_restoring_pads_as_the_authors_do(net, arrays):
    restored = tfdeblur.restore(net, arrays["input"][0])
    expected = np.clip(arrays["output_1"][0], 0, 1)
    assert np.abs(restored / 255 - expected).max() <= 0.5 / 255 + 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(("filters", "parameters"), [(32, 17_111_907), (64, 67_888_835)])
def test_parameter_count(filters, parameters):
    assert models.build("nafnet", filters=filters).count_params() == parameters


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"filters": 0}, "filters=0"),
        ({"filters": [8]}, r"filters=\[8\]"),
        ({"middle_blocks": -1}, "middle_blocks=-1"),
        ({"encoder_blocks": ()}, r"encoder_blocks=\(\)"),
        ({"encoder_blocks": 4}, "encoder_blocks=4"),
        ({"encoder_blocks": (1, 0, 1, 1)}, r"encoder_blocks=\(1, 0, 1, 1\)"),
        ({"decoder_blocks": (1, 1, 1)}, r"decoder_blocks=\(1, 1, 1\): give 4 "),
        ({"window": 15}, "window=15"),
        ({"window": "all"}, "window='all'"),
    ],
)
def test_impossible_hyperparameters_are_refused(hyperparameters, message):
    with pytest.raises(InputError, match=message):
        models.build("nafnet", **hyperparameters)


def test_any_size_is_restored():
    net = models.build("nafnet", **TINY, window=8)
    for size in ((5, 3), (37, 53), (1, 1)):
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype="uint8")
        restored = tfdeblur.restore(net, image)
        assert restored.shape == image.shape and restored.dtype == np.uint8


@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_are_recognised(arrays, prefix):
    state = {prefix + name: value for name, value in golden.state_dict(arrays).items()}
    name, hyperparameters = torch_networks.recognise(state)
    assert name == "nafnet"
    expected = {"middle_blocks": 1, "decoder_blocks": (1, 1, 1, 1)}
    assert hyperparameters == SMALL | expected
    weights.from_torch(models.build(name, **hyperparameters), state)


@pytest.mark.slow
def test_weights_of_a_sibling_are_refused_in_one_line(arrays):
    net = models.build("nafnet", filters=8, encoder_blocks=(2, 2, 4, 8), middle_blocks=12)
    with pytest.raises(InputError, match=r"not of 'nafnet'.* missing: encoders\.0\.1") as raised:
        weights.from_torch(net, golden.state_dict(arrays))
    assert "\n" not in str(raised.value)


def tlc(x, window):
    """The mean over a window around each pixel, as the authors' code has it: the reference."""
    height, width = x.shape[1:3]
    a, b = min(height, window), min(width, window)
    means = np.lib.stride_tricks.sliding_window_view(x, (a, b), axis=(1, 2)).mean(axis=(-2, -1))
    margins = [(n - m, (n - m + 1)) for n, m in zip(x.shape[1:3], means.shape[1:3], strict=True)]
    sides = [(low // 2, high // 2) for low, high in margins]
    return np.pad(means, [(0, 0), *sides, (0, 0)], mode="edge")


@pytest.mark.parametrize("size", [(12, 20), (11, 9), (6, 30), (5, 4), (8, 8), (9, 8)])
def test_local_means(size):
    x = np.random.default_rng(0).random((2, *size, 3), "float32")
    means = LocalMean(8)(x)
    product = LocalProduct()([np.ones_like(x), means])
    np.testing.assert_allclose(product, tlc(x, 8), atol=1e-6)


@pytest.mark.slow
def test_the_window_matters_beyond_its_size_alone(arrays):
    state = golden.state_dict(arrays)
    x = np.random.default_rng(0).random((1, 64, 96, 3), "float32") ** np.linspace(1, 9, 96)[:, None]
    outputs = {}
    for window in (None, 96, 32):
        net = models.build("nafnet", **SMALL, window=window)
        weights.from_torch(net, state)
        outputs[window] = np.asarray(net(x)[0])
    np.testing.assert_allclose(outputs[96], outputs[None], atol=1e-5)
    assert np.abs(outputs[32] - outputs[None]).max() > 1e-3
    np.testing.assert_allclose(net(x, training=True)[0], outputs[None], atol=1e-5)


def test_blocks_begin_as_the_identity():
    net = models.build("nafnet", **TINY)
    scales = [w for w in net.weights if "beta" in w.path or "gamma" in w.path]
    assert len(scales) == 2 * 5 and not any(np.any(w) for w in scales)


def test_normalisation_is_computed_in_float32():
    x = 100 + np.random.default_rng(0).random((1, 2, 2, 16), "float32")
    x = x.astype("bfloat16").astype("float32")
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    normalised = layers.PixelNormalization(dtype="mixed_bfloat16")(x)
    assert normalised.dtype == "bfloat16"
    np.testing.assert_allclose(np.asarray(normalised).astype("float32"), expected, atol=0.01)


@pytest.mark.parametrize(
    ("policy", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 0.02), ("mixed_float16", 3e-3)]
)
def test_normalisation_in_one_pass(policy, tolerance, monkeypatch):
    x = np.random.default_rng(0).normal(3, 1e-3, (2, 5, 7, 16)).astype("float32")
    layer = layers.PixelNormalization(1e-5, dtype=policy)
    layer.build(x.shape)
    layer.scale.assign(np.linspace(0.5, 2, 16))
    layer.bias.assign(np.linspace(-1, 1, 16))
    x = np.asarray(keras.ops.cast(x, layer.compute_dtype)).astype("float32")
    expected = np.asarray(layer(x)).astype("float32")
    monkeypatch.setattr(layers, "_has_onednn", lambda: True)
    with layers.normalizing_in_one_pass():
        trace = tf.function(layer).get_concrete_function(tf.TensorSpec((None, None, None, 16)))
    np.testing.assert_allclose(np.asarray(trace(x)).astype("float32"), expected, atol=tolerance)


@pytest.mark.skipif(not layers._has_onednn(), reason="TensorFlow has no oneDNN here")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_tensorflow_knows_the_normalisation_in_one_pass(dtype):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        layer = layers.PixelNormalization(dtype=dtype)
        x = tf.compat.v1.placeholder(dtype, (None, None, None, 16))
        layer.build(x.shape)
        with layers.normalizing_in_one_pass():
            y = layer.call(x)
        session.run(tf.compat.v1.global_variables_initializer())
        options = tf.compat.v1.RunOptions(output_partition_graphs=True)
        ran = tf.compat.v1.RunMetadata()
        session.run(y, {x: np.zeros((1, 4, 4, 16), dtype)}, options=options, run_metadata=ran)
    operations = {node.op for graph in ran.partition_graphs for node in graph.node}
    assert "_MklLayerNorm" in operations and "Mean" not in operations
