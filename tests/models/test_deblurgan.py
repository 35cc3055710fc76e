import golden
import keras
import numpy as np
import pytest
import torch_writer

import tfdeblur
from tfdeblur import models, precision, weights
from tfdeblur.errors import InputError

SMALL = {"filters": 8, "blocks": 2}


@pytest.fixture(scope="module")
def arrays():
    return golden.arrays("deblurgan")


@pytest.fixture
def net(arrays):
    net = models.build("deblurgan", **SMALL)
    weights.from_torch(net, golden.state_dict(arrays))
    return net


def test_output_equals_the_reference(net, arrays):
    (output,) = net(arrays["input"].astype("float32") / 255)
    assert output.dtype == "float32"
    np.testing.assert_allclose(2 * np.asarray(output) - 1, arrays["output_1"], atol=1e-4)


def test_each_picture_has_statistics_of_its_own(net, arrays):
    picture = arrays["input"].astype("float32") / 255
    together = net(np.concatenate([picture, picture[:, ::-1] / 3]))[0]
    np.testing.assert_allclose(together[:1], net(picture)[0], atol=1e-5)


@pytest.mark.parametrize(("blocks", "parameters"), [(9, 11_378_179), (6, 7_837_699)])
def test_parameter_count(blocks, parameters):
    assert models.build("deblurgan", blocks=blocks).count_params() == parameters


def test_dropout_at_test_is_an_option(arrays):
    x = arrays["input"].astype("float32") / 255
    quiet, restless = (
        models.build("deblurgan", **SMALL, dropout_at_test=on) for on in (False, True)
    )
    for net in (quiet, restless):
        weights.from_torch(net, golden.state_dict(arrays))
    one, other = (quiet.predict_on_batch(x)[0] for _ in range(2))
    np.testing.assert_array_equal(one, other)
    one, other = (restless.predict_on_batch(x)[0] for _ in range(2))
    assert np.abs(one - other).max() > 0.01
    one, other = (quiet(x, training=True)[0] for _ in range(2))
    assert np.abs(np.asarray(one) - np.asarray(other)).max() > 0.01


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [({"filters": 0}, "filters=0"), ({"blocks": 1.5}, r"blocks=1\.5"), ({"depth": 3}, "depth")],
)
def test_bad_arguments_are_refused(hyperparameters, message):
    with pytest.raises(InputError, match=message):
        models.build("deblurgan", **hyperparameters)


def test_any_size_is_restored(net):
    for size in ((1, 1), (5, 3), (37, 53)):
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype="uint8")
        restored = tfdeblur.restore(net, image)
        assert restored.shape == image.shape and restored.dtype == np.uint8


def test_statistics_are_in_float32(net):
    with precision.policy("bfloat16"):
        layer = tfdeblur.layers.InstanceNormalization()
    x = 100 + np.random.default_rng(0).random((2, 32, 32, 4), "float32")
    y = keras.ops.cast(layer(keras.ops.cast(x, "bfloat16")), "float32")
    assert layer.compute_dtype == "bfloat16"
    rounded = np.asarray(keras.ops.cast(keras.ops.cast(x, "bfloat16"), "float32"), "float64")
    expected = rounded - rounded.mean((1, 2), keepdims=True)
    expected /= np.sqrt(rounded.var((1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(y, expected, atol=0.01)


def test_the_authors_files(arrays, tmp_path):
    """As DataParallel saved them, with statistics that are not used."""
    state = golden.state_dict(arrays)
    assert "model.2.running_mean" in state
    path = tmp_path / "latest_net_G.pth"
    torch_writer.write(path, {f"module.{k}": v for k, v in state.items()})
    opened, _ = weights.open_network("deblurgan", path)
    assert {k: opened.hyperparameters[k] for k in SMALL} == SMALL
    x = arrays["input"].astype("float32") / 255
    np.testing.assert_allclose(2 * opened(x)[0] - 1, arrays["output_1"], atol=1e-4)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: s.pop("model.19.bias"), r"1 missing: model\.19\.bias"),
        (lambda s: s.update({"model.3.running_std": np.ones(8)}), "1 unexpected: .*running_std"),
        (lambda s: s.pop("model.10.conv_block.6.weight"), r"missing: .*10\.conv_block\.6"),
    ],
)
def test_other_weights_are_refused(net, arrays, damage, message):
    state = golden.state_dict(arrays)
    damage(state)
    with pytest.raises(InputError, match=message) as error:
        weights.from_torch(net, state)
    assert "\n" not in str(error.value)


def test_weights_of_more_blocks_are_refused(arrays):
    with pytest.raises(InputError, match=r"missing: .*model\.12\.conv_block") as error:
        weights.from_torch(models.build("deblurgan", filters=8), golden.state_dict(arrays))
    assert "\n" not in str(error.value)
