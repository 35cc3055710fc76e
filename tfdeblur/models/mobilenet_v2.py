"""MobileNetV2 of Sandler et al., CVPR 2018, as far as DeblurGAN-v2 looks into it."""

import keras
from keras.layers import Add, DepthwiseConv2D, ReLU, ZeroPadding2D

# (expansion, channels, blocks, stride of the first block) of each stage: the paper's table 2, less
# the last block of 160 channels and all after it.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 2, 2))
# After the blocks of these numbers the features of each size are complete.
TAPS = (1, 3, 6, 10, 15)


def mobilenet_v2(x, normalization):
    """Features of an image, at a half to a thirty-second of its size.

    Layers have the names of the public PyTorch code. All convolutions pad by half their kernel on
    every side, and have no bias.

    Args:
        x: `[B, H, W, 3]`, H and W multiples of 32.
        normalization: function that makes a normalization layer, from its name and epsilon.

    Returns:
        list of 5 feature maps, of 16, 24, 32, 64 and 160 channels, the largest first.

    Source: https://arxiv.org/abs/1801.04381, section 4.
    """

    def normalized(x, name, activation=True):
        x = normalization(name=name, epsilon=1e-5)(x)
        return ReLU(6, name=f"{name}.relu6")(x) if activation else x

    def conv(x, filters, kernel_size, strides, name):
        if kernel_size > 1:
            x = ZeroPadding2D(kernel_size // 2, name=f"{name}.pad", data_format="channels_last")(x)
        return keras.layers.Conv2D(
            filters,
            kernel_size,
            strides,
            use_bias=False,
            kernel_initializer=_start,
            name=name,
            data_format="channels_last",
        )(x)

    def depthwise(x, strides, name):
        x = ZeroPadding2D(1, name=f"{name}.pad", data_format="channels_last")(x)
        return DepthwiseConv2D(
            3,
            strides,
            use_bias=False,
            depthwise_initializer=_start,
            name=name,
            data_format="channels_last",
        )(x)

    def block(x, expansion, channels, strides, name):
        y, layer = x, 0
        if expansion > 1:
            y = conv(y, expansion * x.shape[-1], 1, 1, name=f"{name}.conv.0")
            y, layer = normalized(y, name=f"{name}.conv.1"), 3
        y = depthwise(y, strides, name=f"{name}.conv.{layer}")
        y = normalized(y, name=f"{name}.conv.{layer + 1}")
        y = conv(y, channels, 1, 1, name=f"{name}.conv.{layer + 3}")
        y = normalized(y, name=f"{name}.conv.{layer + 4}", activation=False)
        return Add(name=name)([x, y]) if strides == 1 and x.shape[-1] == channels else y

    x = normalized(conv(x, 32, 3, 2, name="features.0.0"), name="features.0.1")
    taps, number = [], 0
    for expansion, channels, blocks, strides in STAGES:
        for i in range(blocks):
            number += 1
            x = block(x, expansion, channels, 1 if i else strides, name=f"features.{number}")
            if number in TAPS:
                taps.append(x)
    return taps


@keras.saving.register_keras_serializable("tfdeblur", "mobilenet_v2_start")
def _start(shape, dtype=None):
    """Normal, variance 2 / (kernel area x output channels): the public PyTorch code's."""
    outputs = shape[3] if shape[3] > 1 else shape[2]  # a depthwise kernel ends in 1
    deviation = (2 / (shape[0] * shape[1] * outputs)) ** 0.5
    return keras.random.normal(shape, stddev=deviation, dtype=dtype)
