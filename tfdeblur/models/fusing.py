"""Views of networks that compute the same with fewer maps, and so in less memory and time.

A view is a keras.Model with the network's inputs, outputs, layers and so its weights, of which some
are computed together; it is for computing, not for saving. Values are those of the network but for
rounding.
"""

import keras
from keras import ops

from tfdeblur.layers import NearestDouble


def of_mimo_unet(network):
    """A view of a MIMO-UNet which neither resamples nor concatenates the features that AFFs fuse.

    A 1x1 convolution of a concatenation is the sum of one convolution for each part, and commutes
    with nearest upsampling. So each encoder level is convolved at its own size, and its few
    features are upsampled instead of its many.
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

    return view(network, call)


def of_nafnet(network):
    """A view of a NAFNet which cuts no map in halves, and scales none.

    Each half of a gate is a convolution of its own, of the half of the filters; and what scales the
    channels of a convolution scales its filters instead.
    """
    convolution = network.get_layer
    share = _sharing()

    def call(layer, inputs, **options):
        block, _, part = layer.name.rpartition("_")
        if part in ("conv1", "conv2", "conv3", "conv4", "conv5"):
            return inputs
        if part == "gate1":
            convolutions = convolution(f"{block}_conv1"), convolution(f"{block}_conv2")
            return share(_GatedConvolution(*convolutions), inputs)
        if part == "gate2":
            return share(_GatedConvolution(convolution(f"{block}_conv4")), inputs)
        if part == "beta":
            return share(_ScaledConvolution(convolution(f"{block}_conv3"), layer), inputs)
        if part == "gamma":
            return share(_ScaledConvolution(convolution(f"{block}_conv5"), layer), inputs)
        return share(layer, inputs, **options)

    return view(network, call)


def with_shared_blocks(network):
    """A view of a network for TensorFlow, which looks at each kind of its blocks once.

    Blocks are nested models and layers that have a `kind`: those of one kind differ by their
    weights alone. Each kind becomes a function of weights and features, that is traced and
    optimised by itself, instead of as often as it occurs: the first image comes in a third to two
    thirds of the time, and takes less memory (docs/benchmarks.md).
    """
    return view(network, _sharing())


def _sharing():
    functions = {}

    def call(layer, inputs, **options):
        if not hasattr(layer, "kind"):
            return layer(inputs, **options)
        features = keras.tree.map_structure(lambda x: (x.shape, x.dtype), inputs)
        kind = f"{type(layer).__name__} {layer.kind} {layer.dtype_policy.name} of {features}"
        if kind not in functions:
            functions[kind] = _function_of(layer)
        return _SharedBlock(layer, functions[kind])(inputs)

    return call


def _function_of(block):
    import tensorflow as tf

    def compute(weights, features):
        with keras.StatelessScope(state_mapping=list(zip(block.weights, weights, strict=True))):
            return block(features)

    return tf.function(compute, autograph=False, experimental_attributes={"_noinline": True})


class _SharedBlock(keras.layers.Layer):
    """A block, as a function of its weights."""

    def __init__(self, block, function):
        # The block casts its weights itself, once for all of its kind.
        super().__init__(autocast=False, name=f"{block.name}_shared")
        self.block = block
        self.function = function

    def call(self, features):
        import tensorflow as tf

        # As tensors: of variables, what is known of their shapes is lost on the way.
        weights = [tf.convert_to_tensor(x.value) for x in self.block.weights]
        return self.function(weights, features)

    def compute_output_shape(self, shapes):
        return self.block.compute_output_shape(shapes)


def view(network, call):
    """A network whose layers are called by `call(layer, inputs, **options)`, as they are or not."""
    graph = keras.Model(network.inputs, network.outputs)  # of a compiled model Keras clones more
    return keras.models.clone_model(graph, clone_function=lambda x: x, call_function=call)


class _GatedConvolution(keras.layers.Layer):
    """Half the maps of a 1x1 convolution, and of a depthwise one after it, times the other half."""

    def __init__(self, convolution, depthwise=None):
        super().__init__(dtype=convolution.dtype_policy, name=f"{convolution.name}_gated")
        self.convolution = convolution
        self.depthwise = depthwise
        self.kind = f"{convolution.filters}, depthwise: {depthwise is not None}"
        self.built = True

    def call(self, x):
        half = self.convolution.filters // 2
        return self._maps(x, slice(0, half)) * self._maps(x, slice(half, 2 * half))

    def _maps(self, x, part):
        x = _convolved(x, self.convolution.kernel[..., part], self.convolution.bias[part])
        if self.depthwise is not None:
            kernel = ops.cast(self.depthwise.kernel[:, :, part], x.dtype)
            options = {"padding": "same", "data_format": "channels_last"}
            x = ops.depthwise_conv(x, kernel, **options)
            x = x + ops.cast(self.depthwise.bias[part], x.dtype)
        return x

    def compute_output_shape(self, shape):
        return (*shape[:-1], self.convolution.filters // 2)


class _ScaledConvolution(keras.layers.Layer):
    """A 1x1 convolution, each channel times its factor of `scaled`."""

    def __init__(self, convolution, scaled):
        super().__init__(dtype=convolution.dtype_policy, name=f"{convolution.name}_scaled")
        self.convolution = convolution
        self.scaled = scaled
        self.kind = convolution.filters
        self.built = True

    def call(self, x):
        factors = ops.convert_to_tensor(self.scaled.scale)
        return _convolved(x, self.convolution.kernel * factors, self.convolution.bias * factors)

    def compute_output_shape(self, shape):
        return (*shape[:-1], self.convolution.filters)


def _convolved(x, kernel, bias):
    x = ops.conv(x, ops.cast(kernel, x.dtype), data_format="channels_last")
    return x + ops.cast(bias, x.dtype)


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
