"""DeblurGAN: the generator of Kupyn et al., CVPR 2018."""

import keras
from keras import ops
from keras.layers import Activation, Add, Cropping2D, Dropout, ReLU, Rescaling

from tfdeblur.layers import InstanceNormalization, ReflectionPadding, RestlessDropout, conv
from tfdeblur.models.network import Network, require_counts, require_flags

DROPOUT = 0.5


@keras.saving.register_keras_serializable("tfdeblur")
class DeblurGAN(Network):
    """The generator of Kupyn et al. 2018, figure 3.

    Input: one blurry batch `[B, H, W, 3]` in [0, 1]; H and W are multiples of 4, and at least 8.
    Output: the latent image, float32 in [0, 1], in a list: the blurry image plus what the network
    predicts, clipped.

    Inside, images lie in [-1, 1]. A convolution, two of stride 2, residual blocks at a quarter of
    the size, two transposed convolutions, a convolution. Instance normalization, by the statistics
    of the picture itself, follows all but the last, so a tile is not restored quite as it is in the
    whole image.

    Args:
        filters: channels at full size; the half and quarter sizes have 2 and 4 times as many.
        blocks: residual blocks at the quarter size.
        dropout_at_test: whether dropout, of half of what is inside a residual block, stays on
            when restoring. It did in the authors' test program, so that what they published is
            random.

    Source: https://arxiv.org/abs/1711.07064, section 3, and the authors' code at commit dd9e940,
    the network of the published weights; their later code has one convolution to a block.
    Parameters: 11,378,179 (6 blocks: 7,837,699).
    """

    def __init__(self, filters=64, blocks=9, dropout_at_test=False, name="deblurgan"):
        require_counts(filters=filters, blocks=blocks)
        require_flags(dropout_at_test=dropout_at_test)
        image = keras.Input((None, None, 3), name="blurry")
        blurry = Rescaling(2.0, -1.0, dtype="float32", name="centred")(image)
        x = _reflected_conv(blurry, filters, 7, name="in")
        x = _normalized(x, name="in")
        for i in (1, 2):
            x = conv(x, 2**i * filters, 3, strides=2, name=f"down{i}", **_START)
            x = _normalized(x, name=f"down{i}")
        dropout = RestlessDropout if dropout_at_test else Dropout
        for i in range(1, blocks + 1):
            y = _reflected_conv(x, 4 * filters, 3, name=f"res{i}_conv1")
            y = _normalized(y, name=f"res{i}_conv1")
            y = dropout(DROPOUT, name=f"res{i}_dropout")(y)
            y = _reflected_conv(y, 4 * filters, 3, name=f"res{i}_conv2")
            y = InstanceNormalization(name=f"res{i}_conv2_norm")(y)
            x = Add(name=f"res{i}")([x, y])
        for i in (1, 2):
            x = _upconvolution(x, 4 * filters // 2**i, name=f"up{i}")
            x = _normalized(x, name=f"up{i}")
        x = _reflected_conv(x, 3, 7, name="out")
        # In float32: 8 bits of mantissa would round the image itself.
        x = Activation("tanh", dtype="float32", name="residual")(x)
        x = ops.clip(Add(dtype="float32", name="restored")([blurry, x]), -1, 1)
        super().__init__(
            image,
            [Rescaling(0.5, 0.5, dtype="float32", name="latent")(x)],
            stride=4,
            smallest=8,
            of_whole_picture=True,
            inference_bytes_per_pixel=(64 + 20 * filters, 64 + 16 * filters),
            activation_channels=(13 + blocks) * filters,
            hyperparameters={
                "filters": filters,
                "blocks": blocks,
                "dropout_at_test": dropout_at_test,
            },
            name=name,
        )


def _reflected_conv(x, filters, kernel_size, name):
    x = ReflectionPadding(kernel_size // 2, name=f"{name}_pad")(x)
    return conv(x, filters, kernel_size, pad=0, name=name, **_START)


def _normalized(x, name):
    x = InstanceNormalization(name=f"{name}_norm")(x)
    return ReLU(name=f"{name}_relu")(x)


def _upconvolution(x, filters, name):
    """Transposed 3x3 convolution of stride 2, aligned as the authors': Keras's "same" is not."""
    x = keras.layers.Conv2DTranspose(
        filters, 3, strides=2, name=name, data_format="channels_last", **_START
    )(x)
    return Cropping2D(((1, 0), (1, 0)), name=f"{name}_crop", data_format="channels_last")(x)


@keras.saving.register_keras_serializable("tfdeblur")
def normal(shape, dtype=None):
    """As the authors' weights began."""
    return keras.random.normal(shape, stddev=0.02, dtype=dtype)


_START = {"kernel_initializer": normal}
