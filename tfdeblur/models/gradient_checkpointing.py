"""Gradient checkpointing (Chen et al. 2016): training in less memory, for more computation."""

import functools

import keras

from tfdeblur.errors import InputError
from tfdeblur.models import fusing


def checkpointed(network):
    """A view of a network whose ResBlocks keep their input alone until the backward pass.

    The map between a ResBlock's two convolutions is computed a second time there: one convolution
    more for each block, about a sixth of a training step, which holds about half of the feature
    maps meanwhile. Values and gradients are those of the network itself.

    Args:
        network: of `tfdeblur.models`; the view has its layers, and so its weights.

    Returns:
        keras.Model with the network's inputs and outputs; it is for training, not for saving.

    Raises:
        InputError: the network has no such block.
    """
    if not _has_res_blocks(network):
        raise InputError(
            f"`gradient_checkpointing`: {network.name} has no block of two convolutions and a sum, "
            "whose feature maps could be computed again: choose a smaller `batch_size` or `crop`."
        )
    return _view(network)


def _view(network):
    blocks = _res_blocks(network)
    inside = {f"{name}_conv{i}" for name in blocks for i in (1, 2)}

    @functools.cache  # What the network uses several times stays one layer.
    def counterpart(layer):
        if layer.name in blocks:
            convolutions = [network.get_layer(f"{layer.name}_conv{i}") for i in (1, 2)]
            return _CheckpointedResBlock(layer, *convolutions)
        return _view(layer) if isinstance(layer, keras.Model) else layer

    def call(layer, inputs, **options):
        if layer.name in inside:
            return inputs  # The block's input passes on to the block's sum.
        if layer.name in blocks:
            inputs, _ = inputs
        return counterpart(layer)(inputs, **options)

    return fusing.view(network, call)


def _has_res_blocks(network):
    parts = [layer for layer in network.layers if isinstance(layer, keras.Model)]
    return bool(_res_blocks(network)) or any(map(_has_res_blocks, parts))


def _res_blocks(network):
    """Names of the sums of blocks as `layers.res_block` makes them, however they are activated."""
    layers = {layer.name: layer for layer in network.layers}
    return {name for name in layers if _is_res_block(*_parts(layers, name))}


def _parts(layers, name):
    return layers[name], layers.get(f"{name}_conv1"), layers.get(f"{name}_conv2")


def _is_res_block(add, conv1, conv2):
    # Others of the same names have attention, normalisation or padding between the two.
    return (
        bool(conv1 and conv2)
        and conv2.input is conv1.output
        and isinstance(add, keras.layers.Add)
        and [id(x) for x in add.input] == [id(conv1.input), id(conv2.output)]
    )


class _CheckpointedResBlock(keras.layers.Layer):
    def __init__(self, add, conv1, conv2):
        super().__init__(name=add.name)
        self.add, self.conv1, self.conv2 = add, conv1, conv2

    def call(self, x):
        return keras.remat(lambda x: self.add([x, self.conv2(self.conv1(x))]))(x)

    def compute_output_shape(self, shape):
        return shape
