"""NAFNet: the nonlinear activation free network of Chen et al., ECCV 2022."""

import keras
from keras.layers import Add

from tfdeblur.layers import (
    GatedHalves,
    LocalMean,
    LocalProduct,
    PixelNormalization,
    PixelShuffle,
    conv,
    depthwise_conv,
)
from tfdeblur.models import fusing
from tfdeblur.models.network import Network, require_counts, require_lists_of_counts, require_window


@keras.saving.register_keras_serializable("tfdeblur")
class NAFNet(Network):
    """NAFNet of Chen et al. 2022: a U-Net of blocks without any activation function.

    Input: one blurry batch `[B, H, W, 3]` in [0, 1]; H and W are multiples of `stride`, which is
    16 for four levels.
    Output: the latent image, float32 in [0, 1] (not clipped), in a list: the blurry image plus
    what the decoder predicts.

    Its channel attention weighs channels by their means. Trained on crops, it meets other means in
    whole images; so these are restored with means over a window around each pixel (TLC, Chu et al.
    2022, "NAFNetLocal"), which changes nothing up to the window's size. Training takes the means
    of its crops.

    Args:
        filters: channels at full size, 32 or 64 in the paper; each level has twice as many.
        encoder_blocks, decoder_blocks: blocks of each level, from full size down and back up.
        middle_blocks: blocks at the bottom.
        window: side of the square of pixels, at full size, whose means count for each pixel; None:
            means over the whole image.

    Source: https://arxiv.org/abs/2204.04676, figures 2 and 3, for the window
    https://arxiv.org/abs/2112.04491, and the authors' released code (MIT), which pads with zeros.
    Parameters: 17,111,907 (32 filters) and 67,888,835 (64).
    """

    def __init__(
        self,
        filters=32,
        encoder_blocks=(1, 1, 1, 28),
        middle_blocks=1,
        decoder_blocks=(1, 1, 1, 1),
        window=384,
        name="nafnet",
    ):
        require_counts(filters=filters, middle_blocks=middle_blocks)
        require_lists_of_counts(None, encoder_blocks=encoder_blocks)
        levels = len(encoder_blocks)
        require_lists_of_counts(levels, decoder_blocks=decoder_blocks)
        require_window(window, 2**levels)

        def blocks(x, count, level, name):
            for i in range(count):
                local = None if window is None else window // 2**level
                x = _block(x, local, name=f"{name}_block{i + 1}")
            return x

        image = keras.Input((None, None, 3), name="blurry")
        x = conv(image, filters, 3, name="intro")
        encoded = []
        for level, count in enumerate(encoder_blocks):
            x = blocks(x, count, level, f"encoder{level + 1}")
            encoded.append(x)
            x = conv(x, 2 * x.shape[-1], 2, strides=2, pad=0, name=f"encoder{level + 1}_down")
        x = blocks(x, middle_blocks, levels, "middle")
        for level, count in zip(reversed(range(levels)), decoder_blocks, strict=True):
            x = conv(x, 2 * x.shape[-1], 1, use_bias=False, name=f"decoder{level + 1}_up")
            x = PixelShuffle(name=f"decoder{level + 1}_shuffle")(x)
            x = Add(name=f"decoder{level + 1}_skip")([x, encoded[level]])
            x = blocks(x, count, level, f"decoder{level + 1}")
        x = conv(x, 3, 3, name="ending")

        super().__init__(
            image,
            # In float32: 8 bits of mantissa would round the image itself.
            [Add(dtype="float32", name="latent")([x, image])],
            stride=2**levels,
            inference_bytes_per_pixel=(64 + 36 * filters, 64 + 28 * filters),
            activation_channels=11 * filters * (encoder_blocks[0] + decoder_blocks[-1]),
            padding="zeros",
            of_whole_picture=True,
            hyperparameters={
                "filters": filters,
                "encoder_blocks": list(encoder_blocks),
                "middle_blocks": middle_blocks,
                "decoder_blocks": list(decoder_blocks),
                "window": window,
            },
            name=name,
        )

    def restoring(self):
        return fusing.of_nafnet(self)


def _block(x, window, name):
    """NAFNet's block, figure 3(d): spatial mixing, then channels, each added to its input."""
    filters = x.shape[-1]
    y = PixelNormalization(name=f"{name}_norm1")(x)
    y = conv(y, 2 * filters, 1, name=f"{name}_conv1")
    y = depthwise_conv(y, 3, name=f"{name}_conv2")
    y = GatedHalves(name=f"{name}_gate1")(y)
    y = _simplified_channel_attention(y, window, name=f"{name}_sca")
    y = conv(y, filters, 1, name=f"{name}_conv3")
    x = Add(name=f"{name}_sum1")([x, ScaledChannels(name=f"{name}_beta")(y)])

    y = PixelNormalization(name=f"{name}_norm2")(x)
    y = conv(y, 2 * filters, 1, name=f"{name}_conv4")
    y = GatedHalves(name=f"{name}_gate2")(y)
    y = conv(y, filters, 1, name=f"{name}_conv5")
    return Add(name=f"{name}_sum2")([x, ScaledChannels(name=f"{name}_gamma")(y)])


def _simplified_channel_attention(x, window, name):
    """SCA: each channel times a linear function of the means of all, equation 7."""
    means = LocalMean(window, dtype="float32", name=f"{name}_mean")(x)
    # Before the means are spread over the pixels: a 1x1 convolution is the same there, for less.
    factors = conv(means, x.shape[-1], 1, name=f"{name}_conv")
    return LocalProduct(name=name)([x, factors])


@keras.saving.register_keras_serializable("tfdeblur")
class ScaledChannels(keras.layers.Layer):
    """Each channel times a factor that is learned, and begins at 0."""

    def build(self, shape):
        self.scale = self.add_weight(name="scale", shape=shape[-1:], initializer="zeros")

    def call(self, x):
        return x * self.scale

    def compute_output_shape(self, shape):
        return shape
