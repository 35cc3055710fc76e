"""MT-RNN: the multi-temporal recurrent network of Park et al., ECCV 2020."""

import keras
from keras import ops
from keras.layers import Add, Concatenate

from tfdeblur.layers import conv, upconvolution
from tfdeblur.models.network import Network, require_counts

MEAN = (0.4488, 0.4371, 0.4040)  # of R, G and B, which the network sees subtracted


@keras.saving.register_keras_serializable("tfdeblur")
class MTRNN(Network):
    """MT-RNN of Park et al. 2020: one small network that removes a part of the blur at a time.

    Input: one blurry batch `[B, H, W, 3]` in [0, 1]; H and W are multiples of 4.
    Output: the latent images of all iterations, the last one first, all at full size, float32 in
    [0, 1] (not clipped). Each is the blurry image, not the estimate, plus what its iteration
    predicts.

    Each iteration sees the blurry image and the estimate so far, and takes over two feature maps of
    the iteration before: those at the end of its decoder at half and at quarter size. The first one
    has the blurry image for an estimate, and its own encoder's features in their place.

    Convolutions that change the size end in a LeakyReLU of slope 0.1; the first one, and those that
    fuse two feature maps, are linear.

    Args:
        iterations: how often the network is repeated, with the same weights; 6 in the paper.
        filters: channels at full size; the half and quarter sizes have 2 and 4 times as many.

    Source: https://arxiv.org/abs/1911.07410, section 4, and the released weights, which alone say
    what the first iteration takes over. Parameters: 2,635,523.
    """

    def __init__(self, iterations=6, filters=32, name="mt_rnn"):
        require_counts(iterations=iterations, filters=filters)
        image = keras.Input((None, None, 3), name="blurry")
        blurry = MeanSubtracted(MEAN, dtype="float32", name="centred")(image)
        encoder1, encoder2, decoder = _encoder1(filters), _encoder2(filters), _decoder(filters)

        estimate, feature1, feature2 = blurry, None, None
        latents = []
        for i in range(1, iterations + 1):
            skip1, x = encoder1([blurry, estimate])
            skip2, x = encoder2([x, x if feature1 is None else feature1])
            residual, feature1, feature2 = decoder(
                [x, x if feature2 is None else feature2, skip2, skip1]
            )
            # In float32: 8 bits of mantissa would round the image itself.
            estimate = Add(dtype="float32", name=f"estimate{i}")([residual, blurry])
            latents.append(Add(dtype="float32", name=f"latent{i}")([residual, image]))

        super().__init__(
            image,
            latents[::-1],
            stride=4,
            inference_bytes_per_pixel=(
                64 + 24 * filters + 24 * iterations,
                64 + 20 * filters + 24 * iterations,
            ),
            activation_channels=24 * filters * iterations,
            hyperparameters={"iterations": iterations, "filters": filters},
            name=name,
        )


def _encoder1(filters):
    """Full size: the blurry image and the estimate -> features, and those at half size."""
    inputs = [keras.Input((None, None, 3)) for _ in range(2)]
    x = conv(Concatenate(name="concat")(inputs), filters, 3, name="conv1_1")
    skip = _res_blocks(x, (f"conv1_{i}" for i in (2, 3, 4)))
    x = conv(skip, 2 * filters, 3, strides=2, activation=_leaky_relu, name="conv2_1")
    return keras.Model(inputs, [skip, x], name="encoder1")


def _encoder2(filters):
    """Half size: features and those of the iteration before -> fused, and at quarter size."""
    inputs = [keras.Input((None, None, 2 * filters)) for _ in range(2)]
    x = _fused(inputs, name="conv2_c")
    skip = _res_blocks(x, (f"conv2_{i}" for i in (2, 3, 4)))
    x = conv(skip, 4 * filters, 3, strides=2, activation=_leaky_relu, name="conv3_1")
    return keras.Model(inputs, [skip, x], name="encoder2")


def _decoder(filters):
    """Quarter size and up -> the residual image, and the features for the next iteration."""
    x, previous = (keras.Input((None, None, 4 * filters)) for _ in range(2))
    skip2 = keras.Input((None, None, 2 * filters))
    skip1 = keras.Input((None, None, filters))
    inputs = [x, previous, skip2, skip1]
    x = _fused([x, previous], name="conv3_c")
    x = _res_blocks(x, (f"conv3_{i}" for i in (2, 3, 4)))
    feature2 = _res_blocks(x, (f"conv4_{i}" for i in (1, 2, 3)))
    x = upconvolution(feature2, 2 * filters, 4, activation=_leaky_relu, name="conv5_1")
    x = _fused([x, skip2], name="conv5_c")
    feature1 = _res_blocks(x, (f"conv5_{i}" for i in (2, 3, 4)))
    x = upconvolution(feature1, filters, 4, activation=_leaky_relu, name="conv6_1")
    x = _fused([x, skip1], name="conv6_c")
    x = _res_blocks(x, (f"conv6_{i}" for i in (2, 3, 4)))
    residual = conv(x, 3, 3, name="img_prd")
    return keras.Model(inputs, [residual, feature1, feature2], name="decoder")


def _fused(features, name):
    """Two feature maps of one size in one, by a 1x1 convolution."""
    x = Concatenate(name=f"{name}_concat")(features)
    return conv(x, features[0].shape[-1], 1, name=name)


@keras.saving.register_keras_serializable("tfdeblur", "mt_rnn_leaky_relu")
def _leaky_relu(x):
    return ops.leaky_relu(x, 0.1)


def _res_blocks(x, names):
    for name in names:
        y = conv(x, x.shape[-1], 3, activation=_leaky_relu, name=f"{name}_conv1")
        y = conv(y, x.shape[-1], 3, name=f"{name}_conv2")
        x = Add(name=name)([x, y])
    return x


@keras.saving.register_keras_serializable("tfdeblur")
class MeanSubtracted(keras.layers.Layer):
    """Images less a fixed colour."""

    def __init__(self, mean, **kwargs):
        super().__init__(**kwargs)
        self.mean = tuple(mean)

    def call(self, x):
        return x - ops.convert_to_tensor(self.mean, x.dtype)

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {**super().get_config(), "mean": self.mean}
