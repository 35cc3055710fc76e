"""How a network's weights begin, where a recipe departs from the PyTorch default of `layers`."""

import re

import keras
from keras import ops

RESIDUAL_GAIN = 0.3


def near_identity(network):
    """Starts MIMO-UNet as the identity, with features that are as strong in every layer.

    The convolutions that predict an image are zero, so that each latent image begins as its blurry
    one; the second convolution of each ResBlock is He's normal distribution (He et al. 2015)
    times 0.3, so that features do not grow from block to block; all others are He's. In short runs
    this learns several times faster than PyTorch's default, whose features fade from layer to
    layer.

    Args:
        network: a MIMO-UNet of `tfdeblur.models`; its weights are replaced.
    """
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Conv2DTranspose):
            layer.kernel.assign(_he_normal(layer.kernel.shape, _gain(layer.name)))
            layer.bias.assign(ops.zeros(layer.bias.shape))


def _gain(name):
    if re.fullmatch(r"image\d", name):
        return 0.0
    return RESIDUAL_GAIN if re.fullmatch(r".*_res\d+_conv2", name) else 1.0


def _he_normal(shape, gain):
    return gain * keras.initializers.HeNormal()(shape)


def identity(network):
    """Starts NAFNet as the identity: the convolution that predicts what is added is zero.

    Args:
        network: a NAFNet of `tfdeblur.models`; weights of its last convolution are replaced.
    """
    ending = network.get_layer("ending")
    ending.set_weights([0 * weight for weight in ending.get_weights()])


INITIALIZATIONS = {
    "as_built": lambda network: None,  # as the layers of the network say
    "near_identity": near_identity,
    "identity": identity,
}
