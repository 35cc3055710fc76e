"""The blocks that the papers' figures name: ResBlock, upconvolution, SCM, FAM, AFF, CA, SAM.

Each is a function from a feature map `[B, H, W, C]` to another, to build functional models with;
its convolutions are named `{name}_...`. Convolutions pad by half their kernel on every side, as the
authors' PyTorch code does (Keras's "same" pads a stride-2 convolution on one side only), and start
from PyTorch's default distribution, U(-b, b) with b = fan_in^-1/2, as most of that code did.

Where a network began otherwise, `kernel_initializer` says how, and biases begin at zero. It is a
name or a function: a Keras initializer object would give all kernels of one shape the same values.
"""

import contextlib
import contextvars
import math

import keras
from keras import ops

__all__ = [
    "BatchToPlanes",
    "BilinearDouble",
    "GatedHalves",
    "InstanceNormalization",
    "JoinHalves",
    "LegacyBilinearDouble",
    "NearestDouble",
    "NearestHalf",
    "PixelNormalization",
    "PixelShuffle",
    "PixelUnshuffle",
    "PlanesToBatch",
    "ReflectionPadding",
    "RestlessDropout",
    "SplitInHalf",
    "TrackedNormalization",
    "asymmetric_feature_fusion",
    "channel_attention",
    "conv",
    "depthwise_conv",
    "feature_attention_module",
    "res_block",
    "shallow_convolutional_module",
    "sub_pixel_upconvolution",
    "supervised_attention_module",
    "upconvolution",
]


def __dir__():
    return __all__


def conv(
    x,
    filters,
    kernel_size,
    strides=1,
    activation=None,
    use_bias=True,
    pad=None,
    kernel_initializer=None,
    name=None,
):
    """Convolution with `pad` zeros on every side (None: half the kernel).

    Args:
        x: features `[B, H, W, C]`.
        filters: channels of the result.
        kernel_size: side of the kernel, in pixels.
        strides: 1, or 2 for half the size.
        activation: a name that Keras knows; None: none.
        use_bias: whether a bias is added.
        pad: zeros on every side.
        kernel_initializer: see the top of this module; None: PyTorch's.
        name: of the layer.

    Returns:
        `[B, H/strides, W/strides, filters]`, where the kernel is odd and pad None.
    """
    pad = kernel_size // 2 if pad is None else pad
    if pad and strides > 1:
        x = keras.layers.ZeroPadding2D(pad, name=f"{name}_pad", data_format="channels_last")(x)
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        strides,
        padding="same" if pad and strides == 1 else "valid",
        activation=activation,
        use_bias=use_bias,
        name=name,
        data_format="channels_last",
        **_initializers(kernel_initializer, fan_in=kernel_size**2 * x.shape[-1]),
    )(x)


def depthwise_conv(x, kernel_size, use_bias=True, name=None):
    """Convolution of each channel by itself, with zeros on every side.

    Args:
        x: features `[B, H, W, C]`.
        kernel_size: side of the kernel, odd, in pixels.
        use_bias: whether a bias is added.
        name: of the layer.

    Returns:
        `[B, H, W, C]`.
    """
    return keras.layers.DepthwiseConv2D(
        kernel_size,
        padding="same",
        use_bias=use_bias,
        name=name,
        data_format="channels_last",
        **_depthwise_initializers(fan_in=kernel_size**2),
    )(x)


def upconvolution(x, filters, kernel_size, activation=None, kernel_initializer=None, name=None):
    """Transposed convolution of stride 2: twice the height and width.

    Args:
        x: features `[B, H, W, C]`.
        filters: channels of the result.
        kernel_size: side of the kernel, in pixels.
        activation: a name that Keras knows; None: none.
        kernel_initializer: see the top of this module; None: PyTorch's.
        name: of the layer.

    Returns:
        `[B, 2H, 2W, filters]`.
    """
    return keras.layers.Conv2DTranspose(
        filters,
        kernel_size,
        strides=2,
        padding="same",
        activation=activation,
        name=name,
        # PyTorch counts the fan-in of a transposed convolution by its output channels.
        data_format="channels_last",
        **_initializers(kernel_initializer, fan_in=kernel_size**2 * filters),
    )(x)


def sub_pixel_upconvolution(x, filters, kernel_size, name=None):
    """Convolution to 4 x filters, then pixel shuffle: twice the height and width.

    Args:
        x: features `[B, H, W, C]`.
        filters: channels of the result.
        kernel_size: side of the kernel, odd, in pixels.
        name: of the convolution, and with _shuffle of what follows.

    Returns:
        `[B, 2H, 2W, filters]`.
    """
    return PixelShuffle(name=f"{name}_shuffle")(conv(x, 4 * filters, kernel_size, name=name))


def res_block(x, kernel_size, kernel_initializer=None, name=None, relu_after_sum=False):
    """ResBlock: convolution, ReLU, convolution, plus the input; no activation after the sum.

    Source: Nah et al. 2017, figure 3(b); Cho et al. 2021. With `relu_after_sum`, that of figure
    3(a), without batch normalisation.

    Args:
        x: features `[B, H, W, C]`.
        kernel_size: side of both kernels, odd, in pixels.
        kernel_initializer: see the top of this module; None: PyTorch's.
        name: of the sum, and what names of layers begin with.
        relu_after_sum: whether a ReLU follows the sum.

    Returns:
        `[B, H, W, C]`.
    """
    start = {"kernel_initializer": kernel_initializer}
    y = conv(x, x.shape[-1], kernel_size, activation="relu", name=f"{name}_conv1", **start)
    y = conv(y, x.shape[-1], kernel_size, name=f"{name}_conv2", **start)
    x = keras.layers.Add(name=name)([x, y])
    return keras.layers.ReLU(name=f"{name}_relu")(x) if relu_after_sum else x


def shallow_convolutional_module(image, filters, name):
    """SCM: features `[B, H, W, filters]` of a downsampled image `[B, H, W, 3]`.

    Source: Cho et al. 2021, section 3.1 (multi-input single encoder).

    Args:
        image: `[B, H, W, 3]`.
        filters: channels of the result, a multiple of 4.
        name: what names of layers begin with.
    """
    x = conv(image, filters // 4, 3, activation="relu", name=f"{name}_conv1")
    x = conv(x, filters // 2, 1, activation="relu", name=f"{name}_conv2")
    x = conv(x, filters // 2, 3, activation="relu", name=f"{name}_conv3")
    x = conv(x, filters - 3, 1, activation="relu", name=f"{name}_conv4")
    x = keras.layers.Concatenate(name=f"{name}_concat")([image, x])
    return conv(x, filters, 1, name=f"{name}_out")


def feature_attention_module(x, z, name):
    """FAM: the encoder's features x, emphasised or suppressed by the SCM's features z.

    Source: Cho et al. 2021, section 3.1 (multi-input single encoder).

    Args:
        x, z: features `[B, H, W, C]` of one shape.
        name: of the sum, and what names of layers begin with.

    Returns:
        `[B, H, W, C]`.
    """
    attended = keras.layers.Multiply(name=f"{name}_product")([x, z])
    attended = conv(attended, x.shape[-1], 3, name=f"{name}_conv")
    return keras.layers.Add(name=name)([x, attended])


def asymmetric_feature_fusion(features, filters, name):
    """AFF: the encoder levels' features, already of one size, fused for one decoder level.

    Source: Cho et al. 2021, section 3.3.

    Args:
        features: a list of `[B, H, W, C_i]`.
        filters: channels of the result.
        name: what names of layers begin with.

    Returns:
        `[B, H, W, filters]`.
    """
    x = keras.layers.Concatenate(name=f"{name}_concat")(features)
    x = conv(x, filters, 1, activation="relu", name=f"{name}_conv1")
    return conv(x, filters, 3, name=f"{name}_conv2")


def channel_attention(x, filters, use_bias=True, window=None, name=None):
    """CA: each channel times a factor in (0, 1) that the means of all channels tell.

    The means are those of the whole image; where a window is given, outside of training, those of
    a window of (height, width) around each pixel, see `LocalMean`.

    Source: Zhang et al. 2018 (RCAN), figure 3; `filters` are those of the bottleneck.

    Args:
        x: features `[B, H, W, C]`.
        filters: channels of the bottleneck between two 1x1 convolutions.
        use_bias: whether these have biases.
        window: None, or (height, width) in pixels.
        name: of the product, and what names of layers begin with.

    Returns:
        `[B, H, W, C]`.
    """
    # In float32: 16 bits do not hold a sum of many pixels.
    means = LocalMean(window, dtype="float32", name=f"{name}_mean")(x)
    y = conv(means, filters, 1, activation="relu", use_bias=use_bias, name=f"{name}_conv1")
    factors = conv(y, x.shape[-1], 1, activation="sigmoid", use_bias=use_bias, name=f"{name}_conv2")
    return LocalProduct(name=name)([x, factors])


def supervised_attention_module(x, image, kernel_size, use_bias=True, name=None):
    """SAM: what features x `[B, H, W, C]` restore of an image, and x refined by what they did.

    Source: Zamir et al. 2021 (MPRNet), figure 4.

    Args:
        x: features `[B, H, W, C]`.
        image: `[B, H, W, 3]`, what the restored image is a correction of.
        kernel_size: side of the three kernels, odd, in pixels.
        use_bias: whether biases are added.
        name: of the refined features, and what names of layers begin with.

    Returns:
        The features for the next stage, and this stage's image in float32.
    """
    options = {"kernel_size": kernel_size, "use_bias": use_bias}
    restored = conv(x, 3, name=f"{name}_conv2", **options)
    restored = keras.layers.Add(dtype="float32", name=f"{name}_image")([restored, image])
    attention = conv(restored, x.shape[-1], activation="sigmoid", name=f"{name}_conv3", **options)
    y = conv(x, x.shape[-1], name=f"{name}_conv1", **options)
    y = keras.layers.Multiply(name=f"{name}_product")([y, attention])
    return keras.layers.Add(name=name)([y, x]), restored


@keras.saving.register_keras_serializable("tfdeblur")
class LocalMean(keras.layers.Layer):
    """Means over all windows inside `[B, H, W, C]`: `[B, H - window + 1, W - window + 1, C]`.

    A side that is shorter than the window has one mean; so have both sides in training, and where
    the window is None. TLC, the local statistics of Chu et al. 2022, multiplies these means, or
    what follows from them, with the features by `LocalProduct`.

    Args:
        window: its side, or (height, width), in pixels.

    Source: https://arxiv.org/abs/2112.04491, section 3.
    """

    def __init__(self, window, **kwargs):
        super().__init__(**kwargs)
        self.window = window
        self.kind = window  # see fusing.py

    def call(self, x, training=False):
        if training or self.window is None:
            return ops.mean(x, axis=(1, 2), keepdims=True)
        for axis, side in zip((1, 2), self._sides(), strict=True):
            x = self._mean_along(axis, x, side)
        return x

    def _sides(self):
        return 2 * [self.window] if isinstance(self.window, int) else self.window

    @staticmethod
    def _mean_along(axis, x, side):
        size = ops.shape(x)[axis]
        # Sizes known in advance stay Python's: JAX takes no others for shapes.
        window = (min if isinstance(size, int) else ops.minimum)(size, side)

        def pixels(start, stop):
            return x[(slice(None),) * axis + (slice(start, stop),)]

        first = ops.mean(pixels(0, window), axis=axis, keepdims=True)
        # From one window to the next a pixel comes in, and one goes: few sums where few windows.
        change = (pixels(window, size) - pixels(0, size - window)) / ops.cast(window, x.dtype)
        return ops.concatenate([first, first + ops.cumsum(change, axis=axis)], axis=axis)

    def compute_output_shape(self, shape):
        batch, height, width, channels = shape
        if self.window is None:
            return (batch, 1, 1, channels)
        sizes = [
            size and max(size - side, 0) + 1
            for size, side in zip((height, width), self._sides(), strict=True)
        ]
        return (batch, *sizes, channels)

    def get_config(self):
        return {**super().get_config(), "window": self.window}


@keras.saving.register_keras_serializable("tfdeblur")
class LocalProduct(keras.layers.Layer):
    """Features `[B, H, W, C]` times factors for their middle, repeated out to the borders."""

    kind = "product"

    def call(self, inputs):
        x, factors = inputs
        for axis in (1, 2):
            size, inner = ops.shape(x)[axis], ops.shape(factors)[axis]
            if isinstance(inner, int) and inner == 1:
                continue  # the product repeats it by itself, and has the faster gradient
            index = ops.arange(size, dtype="int32") - (size - inner) // 2
            index = ops.maximum(ops.minimum(index, inner - 1), 0)
            factors = ops.take(factors, index, axis=axis)
        return x * factors

    def compute_output_shape(self, shapes):
        return shapes[0]


# Whether a graph is being traced that TensorFlow will run on a CPU, to restore and nothing else.
_in_one_pass = contextvars.ContextVar("normalize in one pass", default=False)


@contextlib.contextmanager
def normalizing_in_one_pass():
    """Graphs traced inside normalize pixels by what TensorFlow replaces by oneDNN's own function.

    It passes over the memory once instead of seven times, but TensorFlow knows it in one form
    alone, which takes longer where it is not replaced, and which export formats do not know.
    """
    token = _in_one_pass.set(_has_onednn())
    try:
        yield
    finally:
        _in_one_pass.reset(token)


def _has_onednn():
    try:
        from tensorflow.python.util._pywrap_util_port import IsMklEnabled
    except ImportError:  # nothing public tells, and versions may move it
        return False
    return IsMklEnabled()


@keras.saving.register_keras_serializable("tfdeblur")
class PixelNormalization(keras.layers.Layer):
    """Layer normalisation over the channels of each pixel, computed in float32.

    Args:
        epsilon: added to the variance, which is the biased one.
        centred: subtract the mean, and add a bias. Otherwise the pixel is only divided by its
            standard deviation (Restormer's "BiasFree").
    """

    def __init__(self, epsilon=1e-6, centred=True, **kwargs):
        super().__init__(**kwargs)
        self.epsilon, self.centred = epsilon, centred
        self.kind = epsilon, centred

    def build(self, shape):
        options = {"shape": shape[-1:], "autocast": False}
        self.scale = self.add_weight(name="scale", initializer="ones", **options)
        self.bias = None
        if self.centred:
            self.bias = self.add_weight(name="bias", initializer="zeros", **options)

    def call(self, x):
        # TensorFlow leaves that form as it is in float16.
        if _in_one_pass.get() and self.centred and self.compute_dtype != "float16":
            return self._normalize_in_one_pass(x)
        x = ops.cast(x, "float32")
        centred = x - ops.mean(x, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
        inverse = ops.rsqrt(variance + self.epsilon)
        x = (centred if self.centred else x) * inverse * self.scale
        if self.centred:
            x = x + self.bias
        return ops.cast(x, self.compute_dtype)

    def _normalize_in_one_pass(self, x):
        import tensorflow as tf

        channels, shape = x.shape[-1], tf.shape(x)
        pixels = tf.reshape(x, (1, -1, channels))
        count = tf.shape(pixels)[1]
        # Batch normalization of each pixel by itself, as if its channels were its pixels.
        normalized = tf.raw_ops.FusedBatchNormV3(
            x=tf.reshape(pixels, (1, count, channels, 1)),
            scale=tf.fill([count], 1.0),
            offset=tf.fill([count], 0.0),
            mean=[],
            variance=[],
            epsilon=self.epsilon,
            data_format="NCHW",
        ).y
        scale, bias = (tf.cast(variable, x.dtype) for variable in (self.scale, self.bias))
        return tf.reshape(tf.reshape(normalized, (1, -1, channels)) * scale + bias, shape)

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon, "centred": self.centred}


def gelu(x):
    """The exact GELU, `x (1 + erf(x / sqrt 2)) / 2`, computed in float32: 1 and erf may cancel.

    Keras's own is by the complement of erf on TensorFlow, which ONNX does not know; LiteRT, which
    knows neither, knows this form of the whole, with these operations in this order.
    """
    wide = ops.cast(x, "float32")
    return ops.cast((0.5 * wide) * (1 + ops.erf(wide * 0.5**0.5)), x.dtype)


@keras.saving.register_keras_serializable("tfdeblur")
class GatedHalves(keras.layers.Layer):
    """`[B, H, W, 2C]` -> `[B, H, W, C]`: the first half of the channels times the second.

    Args:
        activation: of the first half, "gelu"; None is NAFNet's SimpleGate.
    """

    def __init__(self, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.activation = activation

    def call(self, x):
        first, second = ops.split(x, 2, axis=-1)
        return (gelu(first) if self.activation == "gelu" else first) * second

    def compute_output_shape(self, shape):
        return (*shape[:-1], shape[-1] // 2)

    def get_config(self):
        return {**super().get_config(), "activation": self.activation}


@keras.saving.register_keras_serializable("tfdeblur")
class NearestDouble(keras.layers.Layer):
    """`[B, H, W, C]` -> `[B, 2H, 2W, C]`: each pixel four times.

    LiteRT cannot run what its converter makes of Keras's own UpSampling2D, and of all that follows
    it, where sizes are known only at run time.
    """

    def call(self, x):
        _, height, width, channels = ops.shape(x)
        x = ops.reshape(ops.concatenate([x, x], axis=3), (-1, height, 2 * width, channels))
        return ops.reshape(ops.concatenate([x, x], axis=2), (-1, 2 * height, 2 * width, channels))

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, *(size and 2 * size for size in (height, width)), channels)


@keras.saving.register_keras_serializable("tfdeblur")
class PixelShuffle(keras.layers.Layer):
    """`[B, H, W, 4C]` -> `[B, 2H, 2W, C]`, in PyTorch's channel order.

    Channel c*4 + 2a + b goes to pixel (2y + a, 2x + b) of channel c (TensorFlow's
    `depth_to_space` orders channels as (2a + b)*C + c).

    >>> x = ops.reshape(ops.arange(4.0), (1, 1, 1, 4))
    >>> ops.convert_to_numpy(PixelShuffle()(x))[0, :, :, 0].tolist()
    [[0.0, 1.0], [2.0, 3.0]]
    """

    def call(self, x):
        _, height, width, channels = ops.shape(x)
        x = ops.reshape(x, (-1, height, width, channels // 4, 2, 2))
        x = ops.transpose(x, (0, 1, 4, 2, 5, 3))
        return ops.reshape(x, (-1, 2 * height, 2 * width, channels // 4))

    def compute_output_shape(self, shape):
        batch, height, width, channels = shape
        double = [None if size is None else 2 * size for size in (height, width)]
        return (batch, *double, channels // 4)


@keras.saving.register_keras_serializable("tfdeblur")
class PixelUnshuffle(keras.layers.Layer):
    """The inverse of `PixelShuffle`: `[B, 2H, 2W, C]` -> `[B, H, W, 4C]`."""

    def call(self, x):
        _, height, width, channels = ops.shape(x)
        x = ops.reshape(x, (-1, height // 2, 2, width // 2, 2, channels))
        x = ops.transpose(x, (0, 1, 3, 5, 2, 4))
        return ops.reshape(x, (-1, height // 2, width // 2, 4 * channels))

    def compute_output_shape(self, shape):
        batch, height, width, channels = shape
        half = [None if size is None else size // 2 for size in (height, width)]
        return (batch, *half, 4 * channels)


@keras.saving.register_keras_serializable("tfdeblur")
class NearestHalf(keras.layers.Layer):
    """`[B, 2H, 2W, C]` -> `[B, H, W, C]`: the even pixels of the even rows."""

    def call(self, x):
        return x[:, ::2, ::2, :]

    def compute_output_shape(self, shape):
        batch, height, width, channels = shape
        half = [None if size is None else (size + 1) // 2 for size in (height, width)]
        return (batch, *half, channels)


@keras.saving.register_keras_serializable("tfdeblur")
class BilinearDouble(keras.layers.Layer):
    """`[B, H, W, C]` -> `[B, 2H, 2W, C]` by bilinear interpolation, borders repeated.

    Keras's own resizing refuses sizes that are only known at run time.
    """

    def call(self, x):
        for axis in (1, 2):
            size = ops.shape(x)[axis]
            index = ops.arange(2 * size, dtype="int32")
            near = index // 2
            far = ops.maximum(ops.minimum(near + 2 * (index % 2) - 1, size - 1), 0)
            x = 0.75 * ops.take(x, near, axis=axis) + 0.25 * ops.take(x, far, axis=axis)
        return x

    def compute_output_shape(self, shape):
        batch, height, width, channels = shape
        double = [None if size is None else 2 * size for size in (height, width)]
        return (batch, *double, channels)


@keras.saving.register_keras_serializable("tfdeblur")
class LegacyBilinearDouble(keras.layers.Layer):
    """`[B, H, W, C]` -> `[B, 2H, 2W, C]`, bilinearly as TensorFlow 1 did by default.

    Neither corners nor pixels' centres are aligned: even samples are the input's, odd ones the mean
    of their two neighbours, and the last one repeats the border. (The same resizing makes an image
    smaller by taking every second or fourth sample, as `pyramid.nearest_pyramid` does.)
    """

    def call(self, x):
        _, height, width, channels = ops.shape(x)
        between = 0.5 * (x + ops.concatenate([x[:, :, 1:], x[:, :, -1:]], axis=2))
        x = ops.concatenate([x, between], axis=3)
        x = ops.reshape(x, (-1, height, 2 * width, channels))
        between = 0.5 * (x + ops.concatenate([x[:, 1:], x[:, -1:]], axis=1))
        x = ops.concatenate([x, between], axis=2)
        return ops.reshape(x, (-1, 2 * height, 2 * width, channels))

    def compute_output_shape(self, shape):
        batch, height, width, channels = shape
        double = [None if size is None else 2 * size for size in (height, width)]
        return (batch, *double, channels)


@keras.saving.register_keras_serializable("tfdeblur")
class PlanesToBatch(keras.layers.Layer):
    """`[B, H, W, 3]` -> `[3B, H, W, 1]`: R, G and B of each image as images of their own."""

    def call(self, x):
        _, height, width, _ = ops.shape(x)
        return ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (-1, height, width, 1))

    def compute_output_shape(self, shape):
        return (None if shape[0] is None else 3 * shape[0], *shape[1:3], 1)


@keras.saving.register_keras_serializable("tfdeblur")
class BatchToPlanes(keras.layers.Layer):
    """The inverse of `PlanesToBatch`: `[3B, H, W, 1]` -> `[B, H, W, 3]`."""

    def call(self, x):
        _, height, width, _ = ops.shape(x)
        return ops.transpose(ops.reshape(x, (-1, 3, height, width)), (0, 2, 3, 1))

    def compute_output_shape(self, shape):
        return (None if shape[0] is None else shape[0] // 3, *shape[1:3], 3)


@keras.saving.register_keras_serializable("tfdeblur")
class SplitInHalf(keras.layers.Layer):
    """Images in two: `[B, H, W, C]` -> `[2B, H/2, W, C]` (axis 1) or `[2B, H, W/2, C]` (axis 2).

    All top (left) halves come first, then all bottom (right) halves.

    Args:
        axis: 1, top and bottom, or 2, left and right.
    """

    def __init__(self, axis, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, x):
        return ops.concatenate(ops.split(x, 2, axis=self.axis), axis=0)

    def compute_output_shape(self, shape):
        shape = [None if shape[0] is None else 2 * shape[0], *shape[1:]]
        shape[self.axis] = None if shape[self.axis] is None else shape[self.axis] // 2
        return tuple(shape)

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}


@keras.saving.register_keras_serializable("tfdeblur")
class JoinHalves(keras.layers.Layer):
    """The inverse of `SplitInHalf`: `[2B, H, W, C]` -> `[B, 2H, W, C]` or `[B, H, 2W, C]`.

    Args:
        axis: 1, top and bottom, or 2, left and right.
    """

    def __init__(self, axis, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, x):
        return ops.concatenate(ops.split(x, 2, axis=0), axis=self.axis)

    def compute_output_shape(self, shape):
        shape = [None if shape[0] is None else shape[0] // 2, *shape[1:]]
        shape[self.axis] = None if shape[self.axis] is None else 2 * shape[self.axis]
        return tuple(shape)

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}


@keras.saving.register_keras_serializable("tfdeblur")
class ReflectionPadding(keras.layers.Layer):
    """Pads height and width by reflection, the border pixel not repeated.

    Args:
        before, after: pixels at the top and left, and at the bottom and right; fewer than there
            are.
    """

    def __init__(self, before, after=None, **kwargs):
        super().__init__(**kwargs)
        self.before = before
        self.after = before if after is None else after

    def call(self, x):
        sides = (self.before, self.after)
        return ops.pad(x, ((0, 0), sides, sides, (0, 0)), mode="reflect")

    def compute_output_shape(self, shape):
        batch, *sizes, channels = shape
        more = self.before + self.after
        return (batch, *(size and size + more for size in sizes), channels)

    def get_config(self):
        return {**super().get_config(), "before": self.before, "after": self.after}


@keras.saving.register_keras_serializable("tfdeblur")
class InstanceNormalization(keras.layers.Layer):
    """Each channel of each picture to mean 0 and variance 1; nothing to learn. In float32.

    Args:
        epsilon: added to the variance, which is the biased one.

    Source: Ulyanov et al. 2016, https://arxiv.org/abs/1607.08022.
    """

    def __init__(self, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def call(self, x):
        full = ops.cast(x, "float32")
        mean, variance = _moments(full, (1, 2))
        return ops.cast((full - mean) * ops.rsqrt(variance + self.epsilon), self.compute_dtype)

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.saving.register_keras_serializable("tfdeblur")
class TrackedNormalization(InstanceNormalization):
    """Batch or instance normalization with moving statistics, as PyTorch keeps them. In float32.

    In training the statistics are those of the batch, or of each picture of it, and the moving ones
    follow by a tenth of the difference.

    Args:
        over: "batch" or "picture", what shares a mean and a variance in training.
        affine: whether each channel has a trained scale and offset.
        picture_statistics: whether, when not training, each picture is normalized by its own
            statistics instead of the moving ones.
        epsilon: added to the variance, which is the biased one.
    """

    def __init__(self, over, affine, picture_statistics, epsilon=1e-5, **kwargs):
        super().__init__(epsilon, **kwargs)
        self.over = over
        self.affine = affine
        self.picture_statistics = picture_statistics

    def build(self, shape):
        def add(name, initializer, trainable):
            return self.add_weight(
                name=name,
                shape=shape[-1:],
                initializer=initializer,
                trainable=trainable,
                autocast=False,
                aggregation=None if trainable else "mean",
            )

        if self.affine:
            self.gamma = add("gamma", "ones", True)
            self.beta = add("beta", "zeros", True)
        self.moving_mean = add("moving_mean", "zeros", False)
        self.moving_variance = add("moving_variance", "ones", False)

    def call(self, x, training=None):
        full = ops.cast(x, "float32")
        if training:
            axes = (0, 1, 2) if self.over == "batch" else (1, 2)
            mean, variance = _moments(full, axes)
            self._track(mean, variance, ops.cast(_count(ops.shape(full), axes), "float32"))
        elif self.picture_statistics:
            mean, variance = _moments(full, (1, 2))
        else:
            mean, variance = self.moving_mean, self.moving_variance
        scale = ops.rsqrt(variance + self.epsilon)
        if self.affine:
            normalized = (full - mean) * (scale * self.gamma) + self.beta
        else:
            normalized = (full - mean) * scale
        return ops.cast(normalized, self.compute_dtype)

    def _track(self, mean, variance, count):
        variance = variance * (count / ops.maximum(count - 1, 1))  # PyTorch's is unbiased
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            value = ops.stop_gradient(ops.mean(value, axis=(0, 1, 2)))
            moving.assign(0.9 * moving + 0.1 * value)

    def get_config(self):
        return {
            **super().get_config(),
            "over": self.over,
            "affine": self.affine,
            "picture_statistics": self.picture_statistics,
        }


@keras.saving.register_keras_serializable("tfdeblur")
class RestlessDropout(keras.layers.Dropout):
    """Dropout that goes on when not training."""

    def call(self, inputs, training=None):
        return super().call(inputs, training=True)


def _moments(x, axes):
    mean = _mean(x, axes)
    return mean, _mean(ops.square(x - mean), axes)


def _mean(x, axes):
    # By rows first: LiteRT adds one number after the other, and of many the last ones lose digits.
    return ops.mean(ops.mean(x, axis=2, keepdims=True), axis=axes, keepdims=True)


def _count(shape, axes):
    return math.prod(shape[axis] for axis in axes)


def _initializers(kernel_initializer, fan_in):
    if kernel_initializer is not None:
        return {"kernel_initializer": kernel_initializer}
    bound = fan_in**-0.5
    return {
        "kernel_initializer": keras.initializers.RandomUniform(-bound, bound),
        "bias_initializer": keras.initializers.RandomUniform(-bound, bound),
    }


def _depthwise_initializers(fan_in):
    options = _initializers(None, fan_in)
    return {
        "depthwise_initializer": options["kernel_initializer"],
        "bias_initializer": options["bias_initializer"],
    }
