"""SRN-DeblurNet: the scale-recurrent network of Tao et al., CVPR 2018."""

import keras
from keras import ops
from keras.layers import Add, Concatenate, Conv2D, Conv2DTranspose

from tfdeblur.errors import InputError
from tfdeblur.layers import BatchToPlanes, LegacyBilinearDouble, PlanesToBatch, res_block
from tfdeblur.models.network import Network
from tfdeblur.pyramid import Pyramid

SCALES = 3
RESBLOCKS = 3  # per level of the encoder and of the decoder
KERNEL_SIZE = 5
VARIANTS = ("lstm", "color", "gray")


@keras.saving.register_keras_serializable("tfdeblur")
class SRN(Network):
    """The scale-recurrent network of Tao et al. 2018, figure 3.

    Input: one blurry batch `[B, H, W, 3]` in [0, 1]; H and W are multiples of 16.
    Output: the latent images at full, half and quarter size, float32 in [0, 1] (not clipped),
    finest first.

    From the coarsest scale to the finest: the blurry image, concatenated to the upsampled result of
    the coarser scale (at the coarsest to itself), goes through one encoder and one decoder, whose
    weights all scales share; the decoder adds the encoder's feature maps. Between the two, a
    convolutional LSTM carries a state from scale to scale. Images work on [0, 1] as they are.

    As in the authors' code, which alone tells: no gradient flows from a scale into the coarser
    one's result, but it does into the LSTM's state; resizing is that of TensorFlow 1, so a smaller
    blurry image is every second or fourth pixel.

    Args:
        variant: "lstm", the paper's network: it is made for one channel, and restores R, G and B by
            themselves; "gray", the same without the LSTM; "color", without it, for three channels.
        filters: channels at full size; the half and quarter sizes have 2 and 4 times as many.

    Source: https://arxiv.org/abs/1802.01770, section 3, and the authors' released code. Parameters:
    8,056,609 (lstm), 6,881,251 (color), 6,876,449 (gray).
    """

    def __init__(self, variant="lstm", filters=32, name="srn"):
        if variant not in VARIANTS:
            raise InputError(f"variant={variant!r}: choose one of {', '.join(VARIANTS)}.")
        if type(filters) is not int or filters < 1:
            raise InputError(f"filters={filters!r}: give a whole number from 1.")
        channels = 3 if variant == "color" else 1
        image = keras.Input((None, None, 3), name="blurry")
        planes = 3 // channels  # that are images of their own
        x = PlanesToBatch(dtype="float32", name="planes")(image) if planes > 1 else image
        blurry = Pyramid("nearest", SCALES, name="pyramid")(x)
        encoder = _encoder(2 * channels, filters)
        decoder = _decoder(channels, filters)
        lstm = _lstm(4 * filters) if variant == "lstm" else None

        link, state, latent = blurry[-1], None, []  # coarsest first, as they are made
        for k in range(SCALES, 0, -1):
            x = Concatenate(name=f"linked{k}")([blurry[k - 1], link])
            encoded1, encoded2, x = encoder(x)
            if lstm:
                zeros = ops.zeros_like(x)
                x, cell = lstm([x, *(state or (zeros, zeros))])
                if k > 1:
                    state = [
                        LegacyBilinearDouble(name=f"{part}_up{k}")(y)
                        for part, y in (("hidden", x), ("cell", cell))
                    ]
            restored = decoder([x, encoded2, encoded1])
            if k > 1:
                up = LegacyBilinearDouble(dtype="float32", name=f"up{k}")
                link = up(ops.stop_gradient(restored))
            if planes > 1:
                restored = BatchToPlanes(dtype="float32", name=f"latent{k}")(restored)
            latent.append(restored)
        super().__init__(
            image,
            latent[::-1],
            stride=16,
            inference_bytes_per_pixel=(64 + 30 * filters * planes, 64 + 20 * filters * planes),
            activation_channels=24 * filters * planes,  # of the finest scale
            hyperparameters={"variant": variant, "filters": filters},
            name=name,
        )


# Keras's default initialisation is Xavier's (Glorot's) uniform distribution, with zero biases. Its
# "same" padding is TensorFlow 1's.


def _encoder(channels, filters):
    """A model: images `[B, H, W, channels]` -> features at full, half and quarter size."""
    image = keras.Input((None, None, channels))
    x, features = image, []
    for level in (1, 2, 3):
        x = Conv2D(
            filters * 2 ** (level - 1),
            KERNEL_SIZE,
            strides=1 if level == 1 else 2,
            padding="same",
            activation="relu",
            name=f"conv{level}",
            data_format="channels_last",
        )(x)
        x = _res_blocks(x, f"res{level}")
        features.append(x)
    return keras.Model(image, features, name="encoder")


def _decoder(channels, filters):
    """A model: features at quarter, half and full size -> the latent image."""
    features = [keras.Input((None, None, filters * n)) for n in (4, 2, 1)]
    x = _res_blocks(features[0], "res3")
    for level, skip in ((2, features[1]), (1, features[2])):
        up = {"padding": "same", "activation": "relu", "name": f"up{level + 1}"}
        x = Conv2DTranspose(skip.shape[-1], 4, 2, data_format="channels_last", **up)(x)
        x = Add(name=f"skip{level}")([x, skip])
        x = _res_blocks(x, f"res{level}")
    # In float32: 8 bits of mantissa would round the image itself.
    x = Conv2D(
        channels,
        KERNEL_SIZE,
        padding="same",
        dtype="float32",
        name="image",
        data_format="channels_last",
    )(x)
    return keras.Model(features, x, name="decoder")


def _res_blocks(x, name):
    for i in range(RESBLOCKS):
        x = res_block(x, KERNEL_SIZE, kernel_initializer="glorot_uniform", name=f"{name}_{i + 1}")
    return x


def _lstm(filters):
    """A model of one step: input, hidden and cell `[B, H, W, filters]` -> new hidden and cell.

    The forget gate's bias of 1 and the order of the gates are the released code's.
    """
    x, hidden, cell = (keras.Input((None, None, filters)) for _ in range(3))
    gates = Conv2D(
        4 * filters,
        3,
        padding="same",
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=1e-3),
        name="gates",
        data_format="channels_last",
    )(Concatenate(name="state")([x, hidden]))
    hidden_and_cell = LSTMUpdate(name="update")([gates, cell])
    return keras.Model([x, hidden, cell], hidden_and_cell, name="lstm")


@keras.saving.register_keras_serializable("tfdeblur")
class LSTMUpdate(keras.layers.Layer):
    """Gates `[B, H, W, 4C]` and cell `[B, H, W, C]` -> new hidden state and new cell."""

    def call(self, inputs):
        gates, cell = inputs
        i, j, f, o = ops.split(gates, 4, axis=-1)
        cell = cell * ops.sigmoid(f + 1.0) + ops.sigmoid(i) * ops.tanh(j)
        return [ops.tanh(cell) * ops.sigmoid(o), cell]

    def compute_output_shape(self, shapes):
        _, cell = shapes
        return [cell, cell]
