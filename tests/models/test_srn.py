import pathlib

import golden
import keras
import numpy as np
import pytest
import tensorflow as tf

import tfdeblur
from tfdeblur import layers, models, weights
from tfdeblur.errors import InputError

AUTHORS = pathlib.Path(__file__).parents[3] / "shared" / "golden"
NETWORKS = {
    "srn_color": ("srn", {"variant": "color"}),
    "srn_lstm": ("srn", {"variant": "lstm"}),
    "pss_nsc": ("pss_nsc", {}),
}
SMALL = [
    ("srn", {"variant": "lstm", "filters": 2}),
    ("srn", {"variant": "color", "filters": 2}),
    ("srn", {"variant": "gray", "filters": 2}),
    ("pss_nsc", {"filters": 2}),
]


def assert_outputs(net, arrays):
    outputs = net(arrays["input"].astype("float32") / 255)
    assert len(outputs) == 3
    for k, output in enumerate(outputs, start=1):
        np.testing.assert_allclose(output, arrays[f"output_{k}"], atol=1e-4)


@pytest.mark.parametrize("reference", NETWORKS)
def test_outputs_equal_the_reference(reference):
    """One in TensorFlow's own operations and float64, which itself equals the authors' arrays."""
    arrays = golden.arrays(f"{reference}_seeded")
    name, hyperparameters = NETWORKS[reference]
    net = models.build(name, **hyperparameters)
    weights.from_tf1(net, golden.seeded_variables(arrays))
    assert_outputs(net, arrays)


@pytest.mark.slow
@pytest.mark.parametrize("reference", NETWORKS)
def test_outputs_equal_those_of_the_authors_code(reference):
    """With all weights, which are too large to keep here."""
    path = AUTHORS / f"{reference}.npz"
    if not path.exists():
        pytest.skip(f"the authors' arrays are missing: {path}")
    arrays = dict(np.load(path))
    name, hyperparameters = NETWORKS[reference]
    net = models.build(name, **hyperparameters)
    weights.from_tf1(net, golden.state_dict(arrays))
    assert_outputs(net, arrays)


@pytest.mark.parametrize(
    ("name", "hyperparameters", "parameters"),
    [
        ("srn", {}, 8_056_609),
        ("srn", {"variant": "color"}, 6_881_251),
        ("srn", {"variant": "gray"}, 6_876_449),
        ("pss_nsc", {}, 3_871_715),
    ],
)
def test_parameter_count(name, hyperparameters, parameters):
    assert models.build(name, **hyperparameters).count_params() == parameters


@pytest.mark.parametrize(
    ("name", "hyperparameters", "message"),
    [
        ("srn", {"variant": "grey"}, "variant='grey': choose one of lstm, color, gray"),
        ("srn", {"filters": 0}, "filters=0"),
        ("pss_nsc", {"filters": 1.5}, r"filters=1\.5"),
    ],
)
def test_bad_hyperparameters_are_refused(name, hyperparameters, message):
    with pytest.raises(InputError, match=message):
        models.build(name, **hyperparameters)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "hyperparameters"), SMALL)
def test_any_size_is_restored(name, hyperparameters):
    net = models.build(name, **hyperparameters)
    for size in ((5, 3), (37, 53), (1, 1)):
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype="uint8")
        restored = tfdeblur.restore(net, image)
        assert restored.shape == image.shape and restored.dtype == np.uint8


@pytest.mark.slow
@pytest.mark.parametrize(("name", "hyperparameters"), SMALL)
def test_every_level_has_its_size(name, hyperparameters):
    net = models.build(name, **hyperparameters)
    shapes = [tuple(image.shape) for image in net(np.zeros((2, 16, 48, 3), "float32"))]
    assert shapes == [(2, 16 // k, 48 // k, 3) for k in (1, 2, 4)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "hyperparameters"), [SMALL[0], SMALL[2], SMALL[3]])
def test_colours_are_restored_by_themselves(name, hyperparameters):
    net = models.build(name, **hyperparameters)
    image = np.random.default_rng(0).random((2, 16, 32, 3), "float32")
    for output, turned in zip(net(image), net(image[..., ::-1]), strict=True):
        np.testing.assert_allclose(output, np.asarray(turned)[..., ::-1], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "hyperparameters"), SMALL)
def test_keras_file_gives_the_same_pixels(name, hyperparameters, tmp_path):
    net = models.build(name, **hyperparameters)
    net.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.hyperparameters == net.hyperparameters
    x = np.random.default_rng(0).random((1, 16, 32, 3), "float32")
    for output, expected in zip(loaded(x), net(x), strict=True):
        np.testing.assert_array_equal(output, expected)


@pytest.mark.parametrize("size", [(4, 6), (1, 1), (3, 5)])
def test_doubling_is_tensorflow_1_s(size):
    x = np.random.default_rng(0).random((2, *size, 3), "float32")
    expected = tf.compat.v1.image.resize_bilinear(x, [2 * n for n in size])
    np.testing.assert_allclose(layers.LegacyBilinearDouble()(x), expected, atol=1e-6)


def test_planes_become_images_and_back():
    x = np.random.default_rng(0).random((2, 4, 6, 3), "float32")
    planes = layers.PlanesToBatch()(x)
    np.testing.assert_array_equal(planes[4, ..., 0], x[1, ..., 1])
    np.testing.assert_array_equal(layers.BatchToPlanes()(planes), x)


@pytest.mark.parametrize(("name", "hyperparameters"), SMALL)
def test_images_carry_no_gradient_to_coarser_scales_but_the_lstm_does(name, hyperparameters):
    net = models.build(name, **hyperparameters)
    x = np.random.default_rng(0).random((1, 16, 16, 3), "float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(net(x)[0] - 0.5))
    gradients = tape.gradient(loss, net.trainable_variables)
    if name == "pss_nsc":
        pairs = zip(net.trainable_variables, gradients, strict=True)
        reached = {v.path.split("/")[-2] for v, gradient in pairs if gradient is not None}
        assert "image_scale1" in reached
        assert not {"image_scale2", "image_scale3", "encoder1_scale3"} & reached
    else:
        assert all(gradient is not None for gradient in gradients)


def test_weights_begin_as_in_the_authors_code():
    net = models.build("pss_nsc")
    block = net.get_layer("encoder3_block")
    first = np.asarray(block.get_layer("unit1_in").kernel)
    second = np.asarray(block.get_layer("unit1_out").kernel)
    for kernel in (first, second):
        assert np.abs(kernel).max() <= 0.04
        assert abs(kernel.std() / (0.88 * 0.02) - 1) < 0.02  # cut off at two deviations
    assert np.abs(first - second).max() > 0
    gates = np.asarray(models.build("srn").get_layer("lstm").get_layer("gates").kernel)
    assert np.abs(gates).max() <= 0.002
