import keras
import pytest

from tfdeblur import models
from tfdeblur.evaluation import complexity
from tfdeblur.training.optimizers import SkippingAdam
from tfdeblur.training.trainers import MultiScaleTrainer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "hyperparameters", "giga"),
    [
        ("mimo_unet", {}, 63.7),
        pytest.param("mimo_unet_plus", {}, 150.7, marks=pytest.mark.long),
        ("deepdeblur", {"scales": 3}, 335.9),
        pytest.param("srn", {"variant": "color"}, 83.5, marks=pytest.mark.long),
        ("srn", {"variant": "lstm"}, 3 * 89.4),
        pytest.param("pss_nsc", {}, 3 * 78.4, marks=pytest.mark.long),
    ],
)
def test_the_published_networks_cost_what_their_authors_counted(name, hyperparameters, giga):
    network = models.build(name, **hyperparameters)
    assert complexity.multiply_accumulates(network, 256, 256) / 1e9 == pytest.approx(giga, abs=0.16)


def test_a_convolution_and_a_transposed_one_by_hand():
    image = keras.Input((None, None, 3))
    half = keras.layers.Conv2D(5, 3, strides=2, padding="same")(image)
    network = keras.Model(image, keras.layers.Conv2DTranspose(2, 4, 2, padding="same")(half))
    by_hand = 4 * 6 * 5 * (3 * 3 * 3) + 4 * 6 * 5 * (4 * 4 * 2)
    assert complexity.multiply_accumulates(network, 8, 12) == by_hand


def test_depthwise_convolutions_and_products_by_hand():
    image = keras.Input((None, None, 3))
    x = keras.layers.DepthwiseConv2D(5, padding="same", depth_multiplier=2)(image)
    x = keras.ops.reshape(x, (-1, 8 * 12, 6))
    across = keras.ops.matmul(keras.ops.transpose(x, (0, 2, 1)), x)
    network = keras.Model(image, keras.layers.Dense(7)(across))
    by_hand = 8 * 12 * 6 * 25 + 6 * 6 * (8 * 12) + 6 * 7 * 6
    assert complexity.multiply_accumulates(network, 8, 12) == by_hand


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "giga"),
    [("restormer", 154.8), pytest.param("maxim", 149.8, marks=pytest.mark.long)],
)
def test_attention_and_mixing_count(name, giga):
    macs = complexity.multiply_accumulates(models.build(name), 256, 256)
    assert macs / 1e9 == pytest.approx(giga, abs=0.1)


@pytest.mark.slow
def test_steps_are_timed():
    trainer = MultiScaleTrainer(models.build("mimo_unet", filters=4, resblocks=1), "l1", "bilinear")
    trainer.compile(SkippingAdam(1e-4))
    assert complexity.seconds_per_step(trainer, batch_size=1, crop=16) > 0
    assert int(trainer.optimizer.iterations) == 4
