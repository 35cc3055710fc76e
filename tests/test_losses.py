import json
import pathlib

import golden
import keras
import numpy as np
import pytest
import tensorflow as tf
from other_backend import run_on

from tfdeblur import losses
from tfdeblur.pyramid import bilinear_pyramid


@pytest.fixture
def mimo():
    return golden.arrays("mimo_loss")


def outputs(arrays):
    return [arrays[f"pred_{k}"] for k in (1, 2, 3)]


def test_mimo_unet_loss_equals_the_reference(mimo):
    labels = bilinear_pyramid(mimo["label"], 3)
    content = losses.multi_scale_l1(outputs(mimo), labels)
    frequency = losses.multi_scale_frequency(outputs(mimo), labels)
    total = losses.mimo_unet_loss(outputs(mimo), labels)
    np.testing.assert_allclose(content, mimo["content"].sum(), rtol=1e-5)
    np.testing.assert_allclose(frequency, mimo["frequency"].sum(), rtol=1e-5)
    np.testing.assert_allclose(total, mimo["total"], rtol=1e-5)


@pytest.mark.parametrize("name", losses.WEIGHTED)
def test_the_weight_of_a_loss_is_that_of_one_term(name, mimo):
    labels = bilinear_pyramid(mimo["label"], 3)
    one, two, three = (losses.LOSSES[name](outputs(mimo), labels, weight=w) for w in (1, 2, 3))
    np.testing.assert_allclose(three - two, two - one, rtol=1e-4)
    assert float(two - one) > 0


def test_each_level_of_the_frequency_loss(mimo):
    labels = bilinear_pyramid(mimo["label"], 3)
    for k, (output, label) in enumerate(zip(outputs(mimo), labels, strict=True)):
        loss = losses.multi_scale_frequency([output], [label])
        np.testing.assert_allclose(loss, mimo["frequency"][k], rtol=1e-5)


def test_multi_scale_mse_by_hand():
    outputs = [np.full((1, 2, 2, 3), 0.5), np.full((1, 1, 1, 3), 1.0)]
    labels = [np.zeros((1, 2, 2, 3)), np.zeros((1, 1, 1, 3))]
    # (1 / 2K) * (0.25 + 1) with K = 2
    np.testing.assert_allclose(losses.multi_scale_mse(outputs, labels), 1.25 / 4, rtol=1e-6)


def test_mtwnet_loss_by_hand():
    outputs = [np.full((2, size, size, 3), value) for size, value in ((4, 0.5), (2, 1.0), (1, 2.0))]
    labels = [np.zeros_like(image) for image in outputs]
    np.testing.assert_allclose(losses.mtwnet_loss(outputs, labels), 5 * 0.25 + 1 + 4, rtol=1e-6)


def test_srn_loss_by_hand():
    outputs = [np.full((2, size, size, 3), value) for size, value in ((4, 0.5), (2, 1.0), (1, 2.0))]
    labels = [np.zeros_like(image) for image in outputs]
    np.testing.assert_allclose(losses.srn_loss(outputs, labels), 0.25 + 1 + 4, rtol=1e-6)


RESTORATION = {
    "charbonnier": losses.charbonnier,
    "edge": losses.edge,
    "psnr_loss": losses.psnr_loss,
    "l1": losses.multi_scale_l1,
}


@pytest.fixture
def restoration():
    return golden.arrays("restoration_losses"), golden.values("restoration_losses")


@pytest.mark.parametrize("name", RESTORATION)
def test_restoration_losses_equal_the_reference(name, restoration):
    arrays, expected = restoration
    for k in (1, 2, 3):
        value = RESTORATION[name]([arrays[f"pred_{k}"]], [arrays["target"]])
        np.testing.assert_allclose(value, expected[name][k - 1], rtol=1e-5)
    equal = RESTORATION[name]([arrays["target"]], [arrays["target"]])
    np.testing.assert_allclose(equal, expected["equal_images"][name], rtol=1e-5)


@pytest.mark.parametrize("name", RESTORATION)
def test_gradients_of_restoration_losses_equal_the_reference(name, restoration):
    arrays, _ = restoration
    output = tf.constant(arrays["pred_2"])
    with tf.GradientTape() as tape:
        tape.watch(output)
        loss = RESTORATION[name]([output], [arrays["target"]])
    expected = arrays[f"grad_{name}_2"]
    np.testing.assert_allclose(
        tape.gradient(loss, output), expected, atol=1e-5 * np.abs(expected).max()
    )


def test_the_loss_of_mprnet_is_summed_over_its_stages(restoration):
    arrays, expected = restoration
    outputs, labels = [arrays[f"pred_{k}"] for k in (1, 2, 3)], [arrays["target"]] * 3
    loss = losses.mprnet_loss(outputs, labels)
    np.testing.assert_allclose(loss, expected["mprnet_total"], rtol=1e-5)


def test_the_loss_of_maxim_is_summed_over_stages_and_sizes(mimo):
    labels = bilinear_pyramid(mimo["label"], 3) * 2
    loss = losses.maxim_loss(outputs(mimo) * 2, labels)
    expected = 2 * (losses.charbonnier(outputs(mimo), labels[:3]) + 0.1 * mimo["frequency"].sum())
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4)])
def test_edges_of_images_of_any_size(size):
    output = np.random.default_rng(0).random((1, *size, 3), "float32")
    known = losses.edge([output], [0 * output])
    signature = [tf.TensorSpec((None, None, None, 3))]
    unknown = tf.function(lambda x: losses.edge([x], [0 * x]), input_signature=signature)(output)
    np.testing.assert_allclose(unknown, known, rtol=1e-6)


def values_and_gradients(loss, arrays):
    import jax

    label = arrays["target"]
    return jax.value_and_grad(lambda output: loss([output], [label]))(arrays["pred_2"])


def assert_all_are_the_same_on_jax():
    assert keras.backend.backend() == "jax"
    arrays, expected = golden.arrays("restoration_losses"), golden.values("restoration_losses")
    for name, loss in RESTORATION.items():
        value, gradient = values_and_gradients(loss, arrays)
        np.testing.assert_allclose(value, expected[name][1], rtol=1e-5)
        array = arrays[f"grad_{name}_2"]
        np.testing.assert_allclose(gradient, array, atol=1e-5 * np.abs(array).max())
    print(
        json.dumps({k: float(values_and_gradients(v, arrays)[0]) for k, v in losses.LOSSES.items()})
    )


@pytest.mark.slow
def test_losses_are_the_same_on_jax(restoration):
    pytest.importorskip("jax")
    name = assert_all_are_the_same_on_jax.__name__
    code = f"import test_losses as t; t.{name}()"
    printed = run_on("jax", code, path=[pathlib.Path(__file__).parent])
    arrays, _ = restoration
    on_jax = json.loads(printed)
    assert set(on_jax) == set(losses.LOSSES)
    for name, loss in losses.LOSSES.items():
        value = loss([arrays["pred_2"]], [arrays["target"]])
        np.testing.assert_allclose(on_jax[name], value, rtol=1e-5)


def test_half_precision_outputs_are_compared_in_float32():
    outputs = [np.full((1, 4, 4, 3), 1.0, "float16")]
    labels = [np.full((1, 4, 4, 3), 1.0 - 1e-5, "float32")]
    np.testing.assert_allclose(losses.multi_scale_l1(outputs, labels), 1e-5, rtol=1e-2)
    assert np.asarray(losses.mimo_unet_loss(outputs, labels)).dtype == np.float32


def logits(*probabilities):
    p = np.array(probabilities)[:, None]
    return np.log(p / (1 - p)).astype("float32")


def test_adversarial_losses_by_hand():
    real, fake = logits(0.75), logits(0.25, 0.5)
    expected = {
        "minimax": (np.log(0.75) + np.log(0.5)) / 2,
        "non_saturating": -(np.log(0.25) + np.log(0.5)) / 2,
    }
    for name, value in expected.items():
        generator_loss, _ = losses.ADVERSARIAL_LOSSES[name]
        np.testing.assert_allclose(generator_loss(real, fake), value, rtol=1e-5)
    np.testing.assert_allclose(
        losses.discriminator_loss(real, fake), -np.log(0.75) - expected["minimax"], rtol=1e-5
    )


@pytest.mark.parametrize(("name", "slope"), [("minimax", -0.01), ("non_saturating", -0.99)])
def test_slope_where_the_discriminator_is_sure(name, slope):
    fake, step = logits(0.01), 1e-2
    loss, _ = losses.ADVERSARIAL_LOSSES[name]
    measured = (float(loss(fake, fake + step)) - float(loss(fake, fake - step))) / (2 * step)
    assert measured == pytest.approx(slope, rel=0.01)


def test_adversarial_losses_of_extreme_logits_in_half_precision_are_exact():
    sure = np.full((1, 1), 1000, "float16")
    assert float(losses.discriminator_loss(sure, -sure)) == 0
    assert float(losses.discriminator_loss(-sure, sure)) == 2000
    assert float(losses.minimax_loss(sure, sure)) == -1000
    assert float(losses.non_saturating_loss(sure, -sure)) == 1000


def test_relativistic_and_wasserstein_losses_by_hand():
    real, fake = np.array([[2.0], [4.0]]), np.array([[1.0], [-1.0]])  # means 3 and 0
    generator_loss, judge_loss = losses.ADVERSARIAL_LOSSES["relativistic"]
    assert float(judge_loss(real, fake)) == ((1 + 9) + ((1 - 3 + 1) ** 2 + (-1 - 3 + 1) ** 2)) / 2
    assert float(generator_loss(real, fake)) == (((-3) ** 2 + (-5) ** 2) + (9 + 25)) / 2
    generator_loss, judge_loss = losses.ADVERSARIAL_LOSSES["wasserstein"]
    assert (float(generator_loss(real, fake)), float(judge_loss(real, fake))) == (0, -3)


def test_perceptual_loss_compares_features():
    image, label = np.full((1, 4, 4, 3), 0.5, "float16"), np.zeros((1, 4, 4, 3), "float16")
    assert float(losses.perceptual_loss(lambda x: 2 * x, image, label)) == 1


def test_missing_levels_are_refused():
    with pytest.raises(ValueError, match="2 outputs do not match 1 labels"):
        losses.multi_scale_l1([np.zeros((1, 2, 2, 3))] * 2, [np.zeros((1, 2, 2, 3))])
