import keras
import numpy as np
import pytest
import tensorflow as tf

import tfdeblur
from tfdeblur import models
from tfdeblur.pyramid import bilinear_pyramid

LEVELS = (1, 2, 4)


@pytest.fixture(scope="module")
def net():
    return models.build("mtwnet", filters=4)


@pytest.fixture(scope="module")
def blurry():
    return np.random.default_rng(0).random((2, 16, 32, 3), "float32")


@pytest.mark.parametrize(
    ("hyperparameters", "parameters"),
    [
        ({}, 1_256_672 + 2 * 1_255_683),
        ({"two_way": False}, 1_256_672 + 1_255_683),
        ({"share_weights": False}, 3 * (1_256_672 + 2 * 1_255_683)),
        ({"two_way": False, "share_weights": False}, 3 * (1_256_672 + 1_255_683)),
    ],
)
def test_parameter_count(hyperparameters, parameters):
    assert models.build("mtwnet", **hyperparameters).count_params() == parameters


def test_resizing_as_in_tensorflow_1(blurry):
    net = models.build("mtwnet", filters=4, resizing="tf1")
    pyramid = keras.Model(net.inputs, net.get_layer("pyramid").output)(blurry)
    np.testing.assert_array_equal(pyramid[1], blurry[:, ::2, ::2])
    up = keras.Model(net.inputs, [net.get_layer("latent2").output, net.get_layer("up2").output])
    latent, link = map(np.asarray, up(blurry))
    np.testing.assert_array_equal(link[:, ::2, ::2], latent)
    middle = (latent[:, :, :-1] + latent[:, :, 1:]) / 2
    np.testing.assert_allclose(link[:, ::2, 1:-1:2], middle, atol=1e-6)


@pytest.mark.slow
def test_every_level_has_its_size(net, blurry):
    shapes = [tuple(image.shape) for image in net(blurry)]
    assert shapes == [(2, 16 // k, 32 // k, 3) for k in LEVELS]


def test_each_scale_sees_its_blurry_image_and_the_coarser_result(net, blurry):
    scale, expected = net.get_layer("scale"), []
    pyramid = bilinear_pyramid(blurry, 3)
    link = pyramid[2]
    for image in pyramid[::-1]:
        branches = scale(np.concatenate([image, link], axis=-1))
        expected.insert(0, branches["up"] + branches["down"])
        link = tf.image.resize(expected[0], 2 * np.array(expected[0].shape[1:3]))
    for latent, by_hand in zip(net(blurry), expected, strict=True):
        np.testing.assert_allclose(latent, by_hand, rtol=1e-5, atol=1e-5)


def test_latent_images_are_the_sums_of_both_branches(net, blurry):
    images = net.branches(blurry)
    assert set(images) == {"latent", "up", "down"}
    for k, latent in enumerate(net(blurry)):
        np.testing.assert_allclose(images["latent"][k], latent, atol=1e-6)
        np.testing.assert_allclose(images["up"][k] + images["down"][k], latent, atol=1e-6)
    coarsest = bilinear_pyramid(blurry, 3)[2]
    branches = net.get_layer("scale")(np.concatenate([coarsest, coarsest], axis=-1))
    for way in ("up", "down"):
        np.testing.assert_allclose(images[way][2], branches[way], atol=1e-6)


def test_branches_are_float32_in_mixed_precision(net, blurry):
    half = tfdeblur.precision.cast(net, "bfloat16")
    images = keras.tree.flatten(half.branches(blurry))
    assert len(images) == 9 and all(image.dtype == "float32" for image in images)


def test_one_way_has_the_upper_branch_alone(blurry):
    net = models.build("mtwnet", filters=4, two_way=False)
    images = net.branches(blurry)
    assert set(images) == {"latent", "up"}
    for up, latent in zip(images["up"], net(blurry), strict=True):
        np.testing.assert_allclose(up, latent, atol=1e-6)


class WithoutSkip(keras.layers.Layer):
    def call(self, inputs):
        decoded, _ = inputs
        return decoded


def test_cutting_the_skips_changes_the_upper_branch_alone(net):
    scale = net.get_layer("scale")

    def cut(layer):
        if layer.name.endswith("_skip"):
            return WithoutSkip()
        return type(layer).from_config(layer.get_config())

    without = keras.models.clone_model(scale, clone_function=cut)
    without.set_weights(scale.get_weights())
    x = np.random.default_rng(0).random((1, 16, 16, 6), "float32")
    np.testing.assert_array_equal(without(x)["down"], scale(x)["down"])
    assert np.abs(without(x)["up"] - scale(x)["up"]).max() > 1e-3


def gradients(net, blurry, level):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(net(blurry)[level] - 0.5))
    return tape.gradient(loss, net.trainable_variables)


@pytest.mark.parametrize("level", range(3))
def test_the_loss_of_every_scale_reaches_all_shared_weights(level, net, blurry):
    kernels = [g for g in gradients(net, blurry, level) if len(g.shape) == 4]
    assert len(kernels) == 63  # 21 of the encoder and 21 of each decoder
    assert all(np.abs(g).max() > 0 for g in kernels)


@pytest.mark.slow
def test_the_loss_of_a_scale_reaches_its_own_weights_alone_where_they_are_not_shared(blurry):
    net = models.build("mtwnet", filters=4, share_weights=False)
    scale_of = {id(v): k for k in (1, 2, 3) for v in net.get_layer(f"scale{k}").variables}
    for level in range(3):
        pairs = zip(net.trainable_variables, gradients(net, blurry, level), strict=True)
        reached = [scale_of[id(v)] for v, gradient in pairs if gradient is not None]
        assert reached == [level + 1] * len(net.get_layer("scale1").variables)


def test_weights_begin_as_xavier_has_it():
    net = models.build("mtwnet")
    scale = net.get_layer("scale")
    first = np.asarray(scale.get_layer("encoder2_res1_conv1").kernel)
    second = np.asarray(scale.get_layer("encoder2_res1_conv2").kernel)
    up = np.asarray(scale.get_layer("down3_up").kernel)
    for kernel, channels in ((first, 64 + 64), (second, 64 + 64), (up, 128 + 64)):
        bound = (6 / (9 * channels)) ** 0.5
        assert 0.99 * bound < np.abs(kernel).max() <= bound
        assert abs(kernel.std() / (bound / 3**0.5) - 1) < 0.02
    assert np.abs(first - second).max() > 0
    assert all(not np.any(w) for w in scale.weights if w.name == "bias")


@pytest.mark.slow
def test_any_size_is_restored(net):
    for size in ((5, 3), (37, 53), (1, 1)):
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype="uint8")
        restored = tfdeblur.restore(net, image)
        assert restored.shape == image.shape and restored.dtype == np.uint8
