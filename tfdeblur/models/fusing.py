"""MIMO-UNet's feature fusion without the widest maps: less memory and time."""

import keras
from keras import ops

from tfdeblur.layers import NearestDouble


def fused(network):
    """A view of a MIMO-UNet which neither resamples nor concatenates the features that AFFs fuse.

    A 1x1 convolution of a concatenation is the sum of one convolution for each part, and commutes
    with nearest upsampling. So each encoder level is convolved at its own size, and its few
    features are upsampled instead of its many. Values are those of the network but for rounding.

    Args:
        network: `tfdeblur.models.MIMOUNet`; the view has its layers, and so its weights.

    Returns:
        keras.Model with the network's inputs and outputs; it is for computing, not for saving.
    """
    upsampled = {"encoded2_up", "encoded3_up", "encoded3_up_up"}
    fusions = {
        "aff1": _ConvolutionOfLevels(network.get_layer("aff1_conv1"), doubled=(True, True)),
        "aff2": _ConvolutionOfLevels(network.get_layer("aff2_conv1"), doubled=(False, True)),
    }
    levels = {}

    def call(layer, inputs, **options):
        aff, _, part = layer.name.partition("_")
        if layer.name in upsampled:
            return inputs
        if aff in fusions and part == "concat":
            levels[aff] = list(inputs)
            return inputs[0]
        if aff in fusions and part == "conv1":
            return fusions[aff](levels[aff])
        return layer(inputs, **options)

    graph = keras.Model(network.inputs, network.outputs)  # of a compiled model Keras clones more
    return keras.models.clone_model(graph, clone_function=lambda x: x, call_function=call)


class _ConvolutionOfLevels(keras.layers.Layer):
    """A 1x1 convolution of feature maps, each of the size of the one before it or half of it.

    Args:
        convolution: the `Conv2D` of all maps' channels in a row, whose weights it takes.
        doubled: for each map but the first, whether it has half of the size.
    """

    def __init__(self, convolution, doubled):
        super().__init__(dtype=convolution.dtype_policy, name=f"{convolution.name}_of_levels")
        self.convolution = convolution
        self.doubled = doubled
        self.double = NearestDouble(dtype=convolution.dtype_policy)

    def call(self, levels):
        kernel = ops.cast(self.convolution.kernel, self.compute_dtype)
        total, last = None, kernel.shape[2]
        for features, doubled in zip(levels[::-1], (*self.doubled[::-1], False), strict=True):
            first = last - features.shape[-1]
            x = ops.conv(features, kernel[:, :, first:last], data_format="channels_last")
            total = x if total is None else x + total
            total = self.double(total) if doubled else total
            last = first
        bias = ops.cast(self.convolution.bias, self.compute_dtype)
        return self.convolution.activation(total + bias)

    def compute_output_shape(self, shapes):
        return (*shapes[0][:-1], self.convolution.filters)
