"""Inception-ResNet-v2 of Szegedy et al., AAAI 2017, as far as DeblurGAN-v2 looks into it."""

import keras
from keras.layers import AveragePooling2D, Concatenate, MaxPooling2D, ReLU


def inception_resnet_v2(x, normalization):
    """Features of an image, at a half to a thirty-second of its size, less borders.

    Layers have the names of the public PyTorch code.

    Args:
        x: `[B, H, W, 3]`, H and W at least 75.
        normalization: function that makes a normalization layer, from its name and epsilon.

    Returns:
        list of 5 feature maps, of 32, 64, 192, 1088 and 2080 channels, the largest first. From
        H = 32 n they are 16 n - 1, 8 n - 2, 4 n - 3, 2 n - 2 and n - 2 pixels high.

    Source: https://arxiv.org/abs/1602.07261, figures 3, 7, 16, 17 and 18 with the numbers of
    the authors' TensorFlow code, in which the stem has no branches and blocks are scaled by 0.17
    and 0.10.
    """

    def conv(x, filters, kernel_size, name, strides=1, padding="same"):
        x = keras.layers.Conv2D(
            filters,
            kernel_size,
            strides,
            padding=padding,
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"{name}.conv",
            data_format="channels_last",
        )(x)
        return ReLU(name=f"{name}.relu")(normalization(name=f"{name}.bn", epsilon=1e-3)(x))

    def chain(x, name, *layers):
        for i, layer in enumerate(layers):
            x = conv(x, *layer[:2], name=f"{name}.{i}", **dict(layer[2:]))
        return x

    def added(x, branches, scale, name):
        y = Concatenate(name=f"{name}.concat")(branches)
        y = keras.layers.Conv2D(x.shape[-1], 1, name=f"{name}.conv2d", data_format="channels_last")(
            y
        )
        return ReLU(name=f"{name}.relu")(x + scale * y)

    def block35(x, name):
        branches = [
            conv(x, 32, 1, name=f"{name}.branch0"),
            chain(x, f"{name}.branch1", (32, 1), (32, 3)),
            chain(x, f"{name}.branch2", (32, 1), (48, 3), (64, 3)),
        ]
        return added(x, branches, 0.17, name)

    def block17(x, name):
        branches = [
            conv(x, 192, 1, name=f"{name}.branch0"),
            chain(x, f"{name}.branch1", (128, 1), (160, (1, 7)), (192, (7, 1))),
        ]
        return added(x, branches, 0.10, name)

    def mixed_5b(x, name):
        mean = AveragePooling2D(
            3, 1, padding="same", name=f"{name}.branch3.0", data_format="channels_last"
        )(x)
        branches = [
            conv(x, 96, 1, name=f"{name}.branch0"),
            chain(x, f"{name}.branch1", (48, 1), (64, 5)),
            chain(x, f"{name}.branch2", (64, 1), (96, 3), (96, 3)),
            conv(mean, 64, 1, name=f"{name}.branch3.1"),
        ]
        return Concatenate(name=name)(branches)

    def mixed_6a(x, name):
        branches = [
            conv(x, 384, 3, name=f"{name}.branch0", **dict(_HALVING)),
            chain(x, f"{name}.branch1", (256, 1), (256, 3), (384, 3, *_HALVING)),
            _pool(x, name=f"{name}.branch2"),
        ]
        return Concatenate(name=name)(branches)

    def mixed_7a(x, name):
        branches = [
            chain(x, f"{name}.branch0", (256, 1), (384, 3, *_HALVING)),
            chain(x, f"{name}.branch1", (256, 1), (288, 3, *_HALVING)),
            chain(x, f"{name}.branch2", (256, 1), (288, 3), (320, 3, *_HALVING)),
            _pool(x, name=f"{name}.branch3"),
        ]
        return Concatenate(name=name)(branches)

    tap0 = conv(x, 32, 3, name="conv2d_1a", **dict(_HALVING))
    x = conv(tap0, 32, 3, name="conv2d_2a", padding="valid")
    x = conv(x, 64, 3, name="conv2d_2b")
    tap1 = _pool(x, name="maxpool_3a")
    x = conv(tap1, 80, 1, name="conv2d_3b")
    x = conv(x, 192, 3, name="conv2d_4a", padding="valid")
    tap2 = _pool(x, name="maxpool_5a")
    x = mixed_5b(tap2, name="mixed_5b")
    for i in range(10):
        x = block35(x, name=f"repeat.{i}")
    tap3 = x = mixed_6a(x, name="mixed_6a")
    for i in range(20):
        x = block17(x, name=f"repeat_1.{i}")
    return [tap0, tap1, tap2, tap3, mixed_7a(x, name="mixed_7a")]


_HALVING = (("strides", 2), ("padding", "valid"))


def _pool(x, name):
    return MaxPooling2D(3, 2, name=name, data_format="channels_last")(x)
