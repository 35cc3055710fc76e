import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from other_backend import outputs_on_jax, run_on
from small_networks import NAMES, SMALL, all_but_few_long, long_but_for, shared

import tfdeblur
from tfdeblur import models, precision
from tfdeblur.errors import InputError


def test_every_network_goes_through_these_tests():
    discriminators = {"discriminator", "patch_discriminator"}
    assert SMALL.keys() == models.NETWORKS.keys() - discriminators


def test_unknown_names_and_hyperparameters_are_refused():
    with pytest.raises(InputError, match=r"unknown model 'unet'.*mimo_unet"):
        models.build("unet")
    with pytest.raises(InputError, match=r"Did you mean mimo_unet_plus\?"):
        models.build("mimo_unet_pluss")
    with pytest.raises(InputError, match="depth"):
        models.build("mimo_unet", depth=3)


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("deepdeblur", "scales", 0),
        ("deepdeblur", "scales", 100),
        ("deepdeblur", "resblocks", -1),
        ("deepdeblur", "upsampling", "x"),
        ("deepdeblur", "upsampling", [1]),
        ("deepdeblur", "relu_after_sum", 1),
        ("mimo_unet", "filters", 0),
        ("mimo_unet", "dropout", 1),
        ("mimo_unet", "dropout", "a"),
        ("maxim", "filters", 3),
        ("maxim", "stages", 0),
        ("maxim", "groups", "2"),
        ("maxim", "bottleneck_blocks", True),
        ("mtwnet", "filters", 1.5),
        ("mtwnet", "two_way", "x"),
        ("mtwnet", "share_weights", 3),
        ("dmphn", "stacks", True),
        ("dmphn", "patches", (1, 3)),
        ("dmphn", "patches", 0),
        ("discriminator", "layout", "x"),
        ("srn", "variant", "x"),
        ("pss_nsc", "filters", 0),
        ("deblurgan", "blocks", 0),
        ("deblurgan", "dropout_at_test", "x"),
        ("deblurgan_v2", "backbone", "x"),
        ("nafnet", "encoder_blocks", ()),
        ("restormer", "heads", (1, 2)),
        ("mprnet", "blocks", 0),
        ("mt_rnn", "iterations", 0),
    ],
)
def test_bad_hyperparameters_are_named(name, argument, value):
    with pytest.raises(InputError, match=f"^{argument}="):
        models.build(name, **{argument: value})


@pytest.mark.parametrize("name", NAMES)
def test_keras_file_gives_the_same_pixels(name, tmp_path):
    net = shared(name)
    net.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).random((1, 64, 128, 3), "float32")
    assert type(loaded) is type(net) and loaded.stride == net.stride
    for output, expected in zip(loaded(x), net(x), strict=True):
        np.testing.assert_array_equal(output, expected)


@pytest.mark.slow
def test_keras_files_load_after_a_bare_import(tmp_path):
    x = np.random.default_rng(0).random((1, 64, 128, 3), "float32")
    np.save(tmp_path / "x.npy", x)
    net = models.build("nafnet", **SMALL["nafnet"])
    net.save(tmp_path / "model.keras")
    classes = {getattr(network, "func", network).__name__ for network in models.NETWORKS.values()}
    code = (
        "import sys, keras, numpy as np, tfdeblur\n"
        "for name in sys.argv[1:]:\n"
        "    assert keras.saving.get_registered_object(f'tfdeblur>{name}'), name\n"
        "net = keras.saving.load_model('model.keras')\n"
        "np.save('y.npy', net(np.load('x.npy'))[0])\n"
    )
    subprocess.run([sys.executable, "-c", code, *classes], cwd=tmp_path, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), net(x)[0])


# Those whose modules restore photos of any size themselves are long.
@pytest.mark.parametrize("name", long_but_for())
def test_any_photo_is_restored(name):
    net = shared(name)
    for shape in ((37, 53, 3), (1, 3, 3)):
        photo = np.random.default_rng(0).integers(0, 256, shape, "uint8")
        restored = tfdeblur.restore(net, photo)
        assert restored.shape == shape and restored.dtype == np.uint8


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_learns(name):
    keras.utils.set_random_seed(0)
    net, rng = models.build(name, **SMALL[name]), np.random.default_rng(0)
    begun, weights = net.get_weights(), net.trainable_weights
    resting = {weight.path for weight in weights}
    # Weights that begin at 0 hide what they multiply; what one ReLU or sigmoid holds back from
    # some weights need not with others, of other signs.
    for scale in 6 * (0.1, 0.02):
        if not resting:
            break
        net.set_weights([rng.choice([-1, 1]) * w + rng.normal(0, scale, w.shape) for w in begun])
        x = rng.random((1, 64, 64, 3), "float32")
        with tf.GradientTape() as tape:
            loss = sum(ops.mean(ops.square(output - 0.5)) for output in net(x, training=True))
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        for weight, gradient in zip(weights, gradients, strict=True):
            if gradient is not None and np.any(gradient):
                resting.discard(weight.path)
    assert not resting


@pytest.mark.parametrize("name", long_but_for("mprnet", "srn"))
def test_bfloat16_stays_close_and_returns_float32(name):
    net = shared(name)
    x = np.random.default_rng(0).random((1, 64, 128, 3), "float32")
    half = precision.cast(net, "bfloat16")
    assert half.compute_dtype == "bfloat16"
    assert all(w.dtype == "float32" for w in half.weights)
    for output, expected in zip(half(x), net(x), strict=True):
        assert output.dtype == "float32"
        difference = np.abs(np.asarray(output) - np.asarray(expected))
        # Normalized by the statistics of 8 values, single ones of its maps differ more.
        difference = difference.mean() if name == "deblurgan_v2" else difference.max()
        assert difference <= 0.03 * np.abs(expected).max()


def test_precision_is_chosen_at_loading_time(tmp_path):
    with precision.policy("bfloat16"):
        models.build("mimo_unet", **SMALL["mimo_unet"]).save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").compute_dtype == "float32"


FEW = ["deepdeblur", "mimo_unet", "nafnet"]
OTHERS = [name for name in SMALL if name not in (*FEW, "maxim")]  # which has a test of its own


@pytest.mark.slow
@pytest.mark.parametrize("names", all_but_few_long([FEW, OTHERS], [FEW]), ids=" ".join)
def test_networks_give_the_same_pixels_on_jax(names, tmp_path):
    pytest.importorskip("jax")
    nets = {name: models.build(name, **SMALL[name]) for name in names}
    # Weights that begin at 0 would hide what they multiply.
    random = np.random.default_rng(0)
    for name, net in nets.items():
        net.set_weights([w + random.normal(0, 0.02, w.shape) for w in net.get_weights()])
        net.save(tmp_path / f"{name}.keras")
    x = random.random((1, 64, 128, 3), "float32")
    outputs = outputs_on_jax(list(nets), x, tmp_path)
    for name, net in nets.items():
        expected = net.predict_on_batch(x)
        assert len(outputs[name]) == len(expected)
        for output, array in zip(outputs[name], expected, strict=True):
            # Statistics of the picture divide by small numbers.
            limit = 3e-5 if name == "deblurgan_v2" else 1e-5
            limit *= max(1, np.abs(array).max())
            np.testing.assert_allclose(output, array, atol=limit, err_msg=name)


THREADS = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from tfdeblur import models

net = models.build("mimo_unet", filters=4, resblocks=1)
image = np.random.default_rng(0).random((1, 16, 16, 3), "float32")
with ThreadPoolExecutor(4) as pool:
    restored = list(pool.map(lambda _: net.restore_on_batch(image), range(40)))
assert all((x == restored[0]).all() for x in restored)
"""


@pytest.mark.slow
def test_threads_may_share_a_network_on_jax():
    pytest.importorskip("jax")
    run_on("jax", THREADS)
