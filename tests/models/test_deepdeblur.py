import golden
import keras
import numpy as np
import pytest

from tfdeblur import layers, models, weights


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_outputs_equal_the_reference(scales):
    arrays = golden.arrays(f"deepdeblur_k{scales}")
    net = models.build("deepdeblur", scales=scales, filters=8, resblocks=2, upsampling="sub_pixel")
    weights.from_torch(net, golden.state_dict(arrays))
    outputs = net(arrays["input"].astype("float32") / 255)
    assert len(outputs) == scales
    for k, output in enumerate(outputs, start=1):
        np.testing.assert_allclose(output, arrays[f"output_{k}"] / 255, atol=1e-4)


@pytest.mark.parametrize(
    ("hyperparameters", "parameters"),
    [
        ({}, 11_719_953),
        ({"upsampling": "sub_pixel"}, 11_721_321),
    ],
)
def test_parameter_count(hyperparameters, parameters):
    assert models.build("deepdeblur", **hyperparameters).count_params() == parameters


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_120_convolutions_in_all(scales):
    net = models.build("deepdeblur", scales=scales, filters=4)
    subnets = [layer for layer in net.layers if isinstance(layer, keras.Model)]
    convolutions = [x for n in subnets for x in n.layers if isinstance(x, keras.layers.Conv2D)]
    assert len(subnets) == scales
    assert len(convolutions) == 120


def test_sub_pixel_link_without_bias_equals_a_transposed_convolution():
    """The default link against the golden-tested one: 10x10 with the same reach (section 4)."""
    image = keras.Input((None, None, 3))
    sub_pixel = keras.Model(image, layers.sub_pixel_upconvolution(image, 3, 5, name="up"))
    transposed = keras.Model(image, layers.upconvolution(image, 3, 10, name="up"))
    kernel = np.random.default_rng(0).normal(size=(5, 5, 3, 12)).astype("float32")
    sub_pixel.get_layer("up").kernel.assign(kernel)
    sub_pixel.get_layer("up").bias.assign(np.zeros(12))

    # Output pixel 2y + a takes input row y - 2 + i with weight kernel[i]; a transposed
    # convolution that starts 4 pixels early takes input row y' with weight[2y + a - 2y' + 4].
    equal = np.zeros((10, 10, 3, 3), "float32")  # [row, column, output, input]
    for i in range(5):
        for j in range(5):
            for a in range(2):
                for b in range(2):
                    for c in range(3):
                        channel = c * 4 + 2 * a + b
                        equal[2 * (4 - i) + a, 2 * (4 - j) + b, c] = kernel[i, j, :, channel]
    transposed.get_layer("up").kernel.assign(equal)
    transposed.get_layer("up").bias.assign(np.zeros(3))

    x = np.random.default_rng(1).normal(size=(2, 7, 5, 3)).astype("float32")
    np.testing.assert_allclose(transposed(x), sub_pixel(x), atol=1e-4)


def test_every_level_has_its_size_at_any_multiple_of_the_stride():
    net = models.build("deepdeblur", filters=4, resblocks=1)
    for height, width in ((4, 8), (20, 12)):
        shapes = [tuple(x.shape) for x in net(np.zeros((2, height, width, 3)))]
        assert shapes == [(2, height // k, width // k, 3) for k in (1, 2, 4)]


def test_ablations_of_the_paper():
    plain = models.build("deepdeblur", scales=2, filters=4, resblocks=1, upsampling="bilinear")
    learned = models.build("deepdeblur", scales=2, filters=4, resblocks=1)
    assert learned.count_params() - plain.count_params() == 5 * 5 * 3 * 3 + 3
    image = keras.Input((None, None, 2))
    block = keras.Model(image, layers.res_block(image, 3, name="b", relu_after_sum=True))
    before = keras.Model(image, layers.res_block(image, 3, name="b"))
    before.set_weights(block.get_weights())
    x = np.random.default_rng(0).normal(size=(1, 5, 6, 2)).astype("float32")
    np.testing.assert_allclose(block(x), np.maximum(before(x), 0), atol=1e-6)
    relu = models.build("deepdeblur", scales=1, filters=4, resblocks=1, relu_after_sum=True)
    assert relu.get_layer("scale1").get_layer("res1_relu")


def test_unknown_upsampling_is_refused():
    with pytest.raises(ValueError, match="bicubic"):
        models.build("deepdeblur", upsampling="bicubic")
