"""MAXIM: the multi-axis MLP of Tu et al., CVPR 2022."""

import functools

import keras
import numpy as np
from keras import ops
from keras.layers import (
    Add,
    Concatenate,
    GlobalAveragePooling2D,
    LeakyReLU,
    Multiply,
)

from tfdeblur import layers
from tfdeblur.errors import InputError
from tfdeblur.models import fusing
from tfdeblur.models.network import Network, require_counts

LEVELS = 3  # full, half and quarter size; the bottleneck is at 1/8
WINDOWS = {1: 16, 2: 16, 3: 8, "bottleneck": 8}  # the side of blocks, and of the grid, in tokens
CHANNEL_REDUCTION = 4  # of the channel attention
LEAKY_SLOPE = 0.2
EPSILON = 1e-6  # of the layer normalisations


@keras.saving.register_keras_serializable("tfdeblur")
def lecun_normal(shape, dtype=None):
    """Flax's default initialisation, which the authors kept, beside zero biases.

    Drawn by NumPy's generator, which `keras.utils.set_random_seed` seeds as well: JAX would compile
    Keras's own anew for every shape, of which there are some 150.
    """
    values = np.random.standard_normal(shape)
    while (outside := np.abs(values) > 2).any():
        values[outside] = np.random.standard_normal(np.count_nonzero(outside))
    deviation = 0.8796 * np.sqrt(np.prod(shape[:-1]))  # 0.8796: that of a normal cut at 2
    return ops.convert_to_tensor(values / deviation, dtype=dtype or "float32")


@keras.saving.register_keras_serializable("tfdeblur")
def gelu(x):
    """The approximate GELU, which Flax means by that name: 0.5 x (1 + tanh(...)), here a sigmoid.

    Keras's own takes more operations, of which each is a pass over all of the memory on a CPU.
    """
    factor = 2 * (2 / np.pi) ** 0.5
    return x * ops.sigmoid(x * (factor + 0.044715 * factor * ops.square(x)))


def nested(block):
    """A function from feature maps to others, `block(x, ..., name)`, as a model in the network.

    Keras walks a model's layers recursively, and this network's are more than Python allows. Models
    of one `kind` differ by their weights alone, see fusing.py.
    """

    @functools.wraps(block)
    def call(x, *arguments, name):
        inputs = keras.tree.map_structure(lambda x: keras.Input(x.shape[1:], dtype=x.dtype), x)
        model = keras.Model(inputs, block(inputs, *arguments, name=name), name=name)
        model.kind = block.__name__, arguments
        return model(x)

    return call


conv = functools.partial(layers.conv, kernel_initializer=lecun_normal)
upconvolution = functools.partial(layers.upconvolution, kernel_initializer=lecun_normal)


@keras.saving.register_keras_serializable("tfdeblur")
class MAXIM(Network):
    """MAXIM of Tu et al. 2022, figure 2: a chain of U-Nets of multi-axis MLPs.

    Input: one blurry batch `[B, H, W, 3]` in [0, 1]; H and W are multiples of 64.
    Output: the latent images of the last stage at full, half and quarter size, then those of the
    stage before, and so on to the first; float32 in [0, 1] (not clipped). Each is its level's
    blurry image plus what its decoder level predicts.

    Every stage is a U-Net of three levels and a bottleneck. Each level's features mix globally, on
    a fixed grid over the whole map, and locally, in blocks of a fixed size. Bridges between encoder
    and decoder, and what a stage hands to the next, pass through cross-gating blocks.

    Args:
        filters: channels at full size, 4 or more; the half and quarter sizes have 2 and 4 times as
            many.
        stages: U-Nets in the chain: 1, 2 or 3 in the paper's MAXIM-1S, -2S and -3S.
        groups: pairs of a multi-axis gMLP and a channel attention block, in each encoder or decoder
            level and in each block of the bottleneck.
        bottleneck_blocks: of each stage.

    Source: https://arxiv.org/abs/2201.02973, section 3, figures 2 and 3, and, where these leave a
    choice, https://github.com/google-research/maxim. Parameters: 6,139,561 with one stage,
    14,176,178 with two, 22,212,795 with three.
    """

    def __init__(self, filters=32, stages=3, groups=2, bottleneck_blocks=2, name="maxim"):
        require_counts(
            filters=filters, stages=stages, groups=groups, bottleneck_blocks=bottleneck_blocks
        )
        if filters < CHANNEL_REDUCTION:
            raise InputError(f"filters={filters}: give {CHANNEL_REDUCTION} or more.")
        levels = range(1, LEVELS + 1)
        channels = {level: 2 ** (level - 1) * filters for level in levels}

        image = keras.Input((None, None, 3), name="blurry")
        blurry = {k: NearestReduction(2 ** (k - 1), name=f"blurry{k}")(image) for k in levels}

        outputs = []
        sam = previous = None  # what the stage before hands on, level by level
        for stage in range(1, stages + 1):
            prefix = f"stage{stage}"

            features = {}
            for k in levels:
                features[k] = conv(blurry[k], channels[k], 3, name=f"{prefix}_in{k}")
                if sam:
                    features[k], _ = cross_gating(
                        [features[k], sam[k]], channels[k], WINDOWS[k], name=f"{prefix}_fuse{k}"
                    )

            # Encoder: from the full size down.
            bridges, x = {}, features[1]
            for k in levels:
                name_k = f"{prefix}_encoder{k}"
                x = _concat([x, features[k]], f"{name_k}_concat")
                x = _level(x, channels[k], WINDOWS[k], groups, name=name_k)
                if previous:
                    x, _ = cross_gating(
                        [x, previous[k]], channels[k], WINDOWS[k], name=f"{name_k}_previous"
                    )
                bridges[k] = x
                x = conv(x, channels[k], 4, strides=2, pad=1, name=f"{name_k}_down")

            for i in range(1, bottleneck_blocks + 1):
                x = _bottleneck_block(x, groups, name=f"{prefix}_bottleneck{i}")

            # Cross gating: every level's bridge, with what is known of the whole image.
            skips, context = {}, x
            for k in reversed(levels):
                name_k = f"{prefix}_skip{k}"
                signal = _gathered(bridges, levels, k, channels[k], name_k)
                context = upconvolution(context, channels[k], 2, name=f"{name_k}_up")
                skips[k], context = cross_gating(
                    [signal, context], channels[k], WINDOWS[k], name=name_k
                )

            # Decoder: up to the full size.
            decoded = {}
            for k in reversed(levels):
                name_k = f"{prefix}_decoder{k}"
                signal = _gathered(skips, reversed(levels), k, channels[k], name_k)
                x = upconvolution(x, channels[k], 2, name=f"{name_k}_up")
                x = _concat([x, signal], f"{name_k}_concat")
                x = decoded[k] = _level(x, channels[k], WINDOWS[k], groups, name=name_k)

            latent = {}
            if stage < stages:
                sam = {}
                for k in levels:
                    sam[k], latent[k] = supervised_attention_module(
                        decoded[k], blurry[k], f"{prefix}_sam{k}"
                    )
                previous = {
                    k: Add(name=f"{prefix}_features{k}")([bridges[k], decoded[k]]) for k in levels
                }
            else:
                latent = {k: _latent(decoded[k], blurry[k], f"{prefix}_image{k}") for k in levels}
            outputs = [*latent.values(), *outputs]

        super().__init__(
            image,
            outputs,
            stride=64,
            inference_bytes_per_pixel=(64 + 136 * filters, 64 + 85 * filters),
            activation_channels=100 * filters * stages,
            # It mixes pixels over its whole input, which was 256x256 in training: tiles of 384
            # restore better than 576x576 at once, and than tiles of 256 (`benchmarks/tiles.py`).
            largest_tile=384,
            overlap=64,
            of_whole_picture=True,
            hyperparameters={
                "filters": filters,
                "stages": stages,
                "groups": groups,
                "bottleneck_blocks": bottleneck_blocks,
            },
            name=name,
        )

    def restoring(self):
        return fusing.with_shared_blocks(self)


def multi_axis_gmlp(x, window, name):
    """Multi-axis gated MLP block: one half of the channels mixes on the grid, one in blocks.

    Source: figure 3, left. The gated MLP is that of Liu et al. 2021 ("Pay attention to MLPs").
    """
    channels = x.shape[-1]
    y = _norm(x, f"{name}_norm")
    on_grid, in_blocks = _dense_gelu(y, 2 * channels, f"{name}_in", parts=2)
    on_grid = _gated_mlp(on_grid, window, "grid", f"{name}_grid")
    in_blocks = _gated_mlp(in_blocks, window, "block", f"{name}_block")
    y = _concat([on_grid, in_blocks], f"{name}_concat")
    return Add(name=name)([_dense(y, channels, f"{name}_out"), x])


@nested
def cross_gating(inputs, channels, window, name):
    """Cross-gating block: two inputs, each gated by the other.

    Args:
        inputs: x and y, feature maps of one size.
        channels: of the results.

    Returns:
        What becomes of x, in which y has a share, and what becomes of y.

    Source: figure 2(c).
    """
    x, y = inputs
    x0 = conv(x, channels, 1, name=f"{name}_x")
    y0 = conv(y, channels, 1, name=f"{name}_y")
    x = _dense_gelu(_norm(x0, f"{name}_x_norm"), channels, f"{name}_x_in")
    y = _dense_gelu(_norm(y0, f"{name}_y_norm"), channels, f"{name}_y_in")
    gate_x = _spatial_gating_weights(x, window, f"{name}_x_gate")
    gate_y = _spatial_gating_weights(y, window, f"{name}_y_gate")
    y = Multiply(name=f"{name}_y_gated")([y, gate_x])
    y = Add(name=f"{name}_y_sum")([_dense(y, channels, f"{name}_y_out"), y0])
    x = Multiply(name=f"{name}_x_gated")([x, gate_y])
    x = Add(name=f"{name}_x_sum")([_dense(x, channels, f"{name}_x_out"), y, x0])
    return x, y


def residual_channel_attention_block(x, name):
    """RCAB: two convolutions and channel attention, plus the input."""
    y = _norm(x, f"{name}_norm")
    y = conv(y, x.shape[-1], 3, name=f"{name}_conv1")
    y = LeakyReLU(LEAKY_SLOPE, name=f"{name}_relu")(y)
    y = conv(y, x.shape[-1], 3, name=f"{name}_conv2")
    return Add(name=name)([_channel_attention(y, f"{name}_attention"), x])


def residual_dense_channel_attention_block(x, name):
    """RDCAB: an MLP over the channels and channel attention, plus the input."""
    y = _norm(x, f"{name}_norm")
    y = _dense_gelu(y, x.shape[-1], f"{name}_dense1")
    y = _dense(y, x.shape[-1], f"{name}_dense2")
    return Add(name=name)([_channel_attention(y, f"{name}_attention"), x])


def supervised_attention_module(x, blurry, name):
    """SAM: a level's latent image, and its features, emphasised where that image tells to.

    Source: Zamir et al. 2021 (MPRNet), figure 4.
    """
    latent = _latent(x, blurry, f"{name}_image")
    y = conv(x, x.shape[-1], 3, name=f"{name}_conv")
    mask = conv(latent, x.shape[-1], 3, activation="sigmoid", name=f"{name}_mask")
    return Add(name=name)([Multiply(name=f"{name}_product")([y, mask]), x]), latent


@keras.saving.register_keras_serializable("tfdeblur")
class TokenDense(keras.layers.Layer):
    """A dense layer across places instead of channels: `[B, H, W, C]` -> `[B, H, W, C]`.

    "block" cuts the map into blocks of `window` x `window` pixels and mixes each block's pixels.
    "grid" lays a grid of `window` x `window` cells over the whole map and mixes the pixels that
    have the same place in their cells: the further apart the larger the map is.

    H and W are multiples of `window`. The kernel is `[window^2, window^2]`, from and to. `plus` is
    a number that is added to the result.
    """

    def __init__(self, axis, window, bias_initializer="zeros", plus=0, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis
        self.window = window
        self.bias_initializer = bias_initializer
        self.plus = plus

    def build(self, shape):
        tokens = self.window**2
        self.kernel = self.add_weight((tokens, tokens), lecun_normal, name="kernel")
        self.bias = self.add_weight((tokens,), self.bias_initializer, name="bias")

    def call(self, x):
        _, height, width, channels = ops.shape(x)
        tokens, side = self.window**2, self.window
        rows, columns = height // side, width // side
        if self.axis == "grid":
            cut, apart = (side, rows, side, columns), (side, side, rows, columns)
            mixed = (tokens, rows * columns * channels)
        else:
            cut, apart = (rows, side, columns, side), (rows, columns, side, side)
            mixed = (rows * columns, tokens, channels)
        x = ops.transpose(ops.reshape(x, (-1, *cut, channels)), (0, 1, 3, 2, 4, 5))
        x = ops.matmul(ops.transpose(self.kernel), ops.reshape(x, (-1, *mixed)))
        x = x + ops.expand_dims(self.bias + self.plus, -1)
        x = ops.transpose(ops.reshape(x, (-1, *apart, channels)), (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, height, width, channels))

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {
            **super().get_config(),
            "axis": self.axis,
            "window": self.window,
            "bias_initializer": self.bias_initializer,
            "plus": self.plus,
        }


@keras.saving.register_keras_serializable("tfdeblur")
class NearestReduction(keras.layers.Layer):
    """Images `[B, H, W, C]` -> `[B, H/f, W/f, C]`: of each f x f pixels the one after the middle.

    So JAX resizes, by which the authors made their pyramid. Float32, as all images are.
    """

    def __init__(self, factor, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.factor = factor

    def call(self, x):
        return x[:, self.factor // 2 :: self.factor, self.factor // 2 :: self.factor, :]

    def compute_output_shape(self, shape):
        return _scaled(shape, 1, self.factor)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable("tfdeblur")
class BilinearEnlargement(keras.layers.Layer):
    """`[B, H, W, C]` -> `[B, fH, fW, C]`, f even; pixel centres aligned, borders repeated."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        # Each pixel's f x f new ones, from its neighbourhood of 3 x 3.
        _, height, width, channels = ops.shape(x)
        factor = self.factor
        distances = (np.arange(factor) + 0.5) / factor - 0.5 - np.arange(-1, 2)[:, None]
        taps = np.maximum(1 - np.abs(distances), 0)
        kernel = np.einsum("ia,jb->ijab", taps, taps).reshape(3, 3, 1, factor**2)
        kernel = ops.convert_to_tensor(np.tile(kernel, (1, 1, channels, 1)), self.compute_dtype)
        x = ops.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], "symmetric")
        x = ops.depthwise_conv(x, kernel, data_format="channels_last")
        x = ops.reshape(x, (-1, height, width, channels, factor, factor))
        x = ops.transpose(x, (0, 1, 4, 2, 5, 3))
        return ops.reshape(x, (-1, factor * height, factor * width, channels))

    def compute_output_shape(self, shape):
        return _scaled(shape, self.factor, 1)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable("tfdeblur")
class BilinearReduction(keras.layers.Layer):
    """`[B, fH, fW, C]` -> `[B, H, W, C]`, f even: antialiased, as JAX resizes.

    The weights are a triangle over 2f pixels; at the borders those inside the map are scaled to a
    sum of 1. H and W are at least 2.
    """

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        _, height, width, channels = ops.shape(x)
        factor, half = self.factor, self.factor // 2
        distances = np.abs(np.arange(2 * factor) + 0.5 - factor) / factor
        taps = (1 - distances) / np.sum(1 - distances)
        at_border = 1 / (1 - np.sum(taps[:half]))
        kernel = np.tile(np.outer(taps, taps)[..., None, None], (1, 1, channels, 1))
        x = ops.pad(x, [(0, 0), (half, half), (half, half), (0, 0)])
        kernel = ops.convert_to_tensor(kernel, self.compute_dtype)
        x = ops.depthwise_conv(x, kernel, factor, data_format="channels_last")
        rows, columns = (
            ops.pad(ops.ones((size // factor - 2,), x.dtype), [(1, 1)], constant_values=at_border)
            for size in (height, width)
        )
        return x * (rows[:, None, None] * columns[:, None])

    def compute_output_shape(self, shape):
        return _scaled(shape, 1, self.factor)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@nested
def _level(x, channels, window, groups, name):
    """The body of an encoder or decoder level."""
    x = shortcut = conv(x, channels, 1, name=f"{name}_in")
    for i in range(1, groups + 1):
        x = multi_axis_gmlp(x, window, f"{name}_gmlp{i}")
        x = residual_channel_attention_block(x, f"{name}_rcab{i}")
    return Add(name=f"{name}_out")([x, shortcut])


@nested
def _bottleneck_block(x, groups, name):
    x = shortcut = conv(x, x.shape[-1], 1, name=f"{name}_in")
    for i in range(1, groups + 1):
        x = multi_axis_gmlp(x, WINDOWS["bottleneck"], f"{name}_gmlp{i}")
        x = residual_dense_channel_attention_block(x, f"{name}_rdcab{i}")
    return Add(name=f"{name}_out")([x, shortcut])


def _gathered(features, levels, level, channels, name):
    """The features of all levels at the size of one, concatenated in the order of `levels`."""
    gathered = []
    for source in levels:
        x, name_k = features[source], f"{name}_from{source}"
        factor = 2 ** abs(source - level)
        # The authors' 1x1 convolution follows the resizing. The two commute, as weights of bilinear
        # interpolation have the sum 1: so it computes at the smaller of the sizes.
        if source < level:
            x = BilinearReduction(factor, name=f"{name_k}_resized")(x)
        x = conv(x, channels, 1, name=name_k)
        if source > level:
            x = BilinearEnlargement(factor, name=f"{name_k}_resized")(x)
        gathered.append(x)
    return _concat(gathered, f"{name}_signal")


def _gated_mlp(x, window, axis, name):
    """A gated MLP with its spatial gating unit across the grid or the blocks."""
    channels = x.shape[-1]
    u, v = _dense_gelu(_norm(x, f"{name}_norm"), 2 * channels, f"{name}_in", parts=2)
    v = TokenDense(axis, window, plus=1, name=f"{name}_gate")(_norm(v, f"{name}_gate_norm"))
    y = _dense(u * v, channels, f"{name}_out")
    return Add(name=f"{name}_sum")([y, x])


def _spatial_gating_weights(x, window, name):
    channels = x.shape[-1]
    y = _norm(x, f"{name}_norm")
    on_grid, in_blocks = _dense_gelu(y, 2 * channels, f"{name}_in", parts=2)
    on_grid = TokenDense("grid", window, "ones", name=f"{name}_grid")(on_grid)
    in_blocks = TokenDense("block", window, "ones", name=f"{name}_block")(in_blocks)
    y = _concat([on_grid, in_blocks], f"{name}_concat")
    return _dense(y, channels, f"{name}_out")


def _channel_attention(x, name):
    channels = x.shape[-1]
    y = GlobalAveragePooling2D(
        keepdims=True, dtype="float32", name=f"{name}_mean", data_format="channels_last"
    )(x)
    y = conv(y, channels // CHANNEL_REDUCTION, 1, activation="relu", name=f"{name}_conv1")
    y = conv(y, channels, 1, activation="sigmoid", name=f"{name}_conv2")
    return Multiply(name=name)([x, y])


def _latent(features, blurry, name):
    residual = conv(features, 3, 3, name=name)
    # In float32: 8 bits of mantissa would round the image itself.
    return Add(dtype="float32", name=f"{name}_latent")([residual, blurry])


def _norm(x, name):
    return layers.PixelNormalization(EPSILON, name=name)(x)


@keras.saving.register_keras_serializable("tfdeblur")
class Conv2D(keras.layers.Conv2D):
    """A 1x1 convolution with `gelu`: on a CPU TensorFlow computes both in one pass over the memory.

    It does so of a product, a bias and GELU by just these operations, in a third of the time of a
    convolution and `gelu`. In training, whose gradients need what lies between, it is the latter.

    Named as Keras's: files of weights name layers by their classes.

    Args:
        parts: into how many maps of as many channels the result is cut: a list, unless it is 1.
            Each is a product of its own, as cutting is a pass over the memory, too.
    """

    def __init__(self, *args, parts=1, **kwargs):
        super().__init__(*args, **kwargs)
        self.parts = parts

    def call(self, x, training=False):
        if training or keras.backend.backend() != "tensorflow":
            maps = ops.split(super().call(x), self.parts, axis=-1)
        else:
            kernels = ops.split(self.kernel[0, 0], self.parts, axis=-1)
            maps = list(
                map(self._product, self.parts * [x], kernels, ops.split(self.bias, self.parts))
            )
        return maps if self.parts > 1 else maps[0]

    def _product(self, x, kernel, bias):
        import tensorflow as tf

        kernel, bias = (ops.cast(y, x.dtype) for y in (kernel, bias))
        product = tf.matmul(tf.reshape(x, (-1, x.shape[-1])), kernel)
        y = tf.nn.gelu(tf.nn.bias_add(product, bias), approximate=True)
        return tf.reshape(y, tf.concat([tf.shape(x)[:-1], [self.filters // self.parts]], 0))

    def compute_output_shape(self, shape):
        part = (*shape[:-1], self.filters // self.parts)
        return self.parts * [part] if self.parts > 1 else part

    def get_config(self):
        return {**super().get_config(), "parts": self.parts}


def _dense(x, units, name):
    """A dense layer over the channels, as the convolution that it is.

    Keras's Dense makes some 20 operations of it in TensorFlow, where sizes are known at run time.
    """
    return conv(x, units, 1, name=name)


def _dense_gelu(x, units, name, parts=1):
    """A dense layer with `gelu`: a map, or its channels as a list of maps, see `Conv2D`."""
    layer = Conv2D(
        units,
        1,
        parts=parts,
        activation=gelu,
        kernel_initializer=lecun_normal,
        data_format="channels_last",
        name=name,
    )
    return layer(x)


def _concat(features, name):
    return Concatenate(name=name)(features)


def _scaled(shape, up, down):
    batch, height, width, channels = shape
    sizes = [None if size is None else size * up // down for size in (height, width)]
    return (batch, *sizes, channels)
