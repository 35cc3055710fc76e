"""Restormer: the restoration transformer of Zamir et al., CVPR 2022."""

import keras
from keras import ops
from keras.layers import Add, Concatenate

from tfdeblur.errors import InputError
from tfdeblur.layers import (
    GatedHalves,
    PixelNormalization,
    PixelShuffle,
    PixelUnshuffle,
    conv,
    depthwise_conv,
)
from tfdeblur.models import fusing
from tfdeblur.models.network import (
    Network,
    require_counts,
    require_flags,
    require_lists_of_counts,
    require_window,
)

LEVELS = 4
EXPANSION = 2.66  # of the channels inside the feed-forward network


@keras.saving.register_keras_serializable("tfdeblur")
class Restormer(Network):
    """Restormer of Zamir et al. 2022: a U-Net of transformer blocks.

    Input: one blurry batch `[B, H, W, 3]` in [0, 1]; H and W are multiples of 8.
    Output: the latent image, float32 in [0, 1] (not clipped), in a list: the blurry image plus
    what the refinement predicts.

    Attention is between channels, not pixels, so that its cost grows with the image as that of
    convolutions does. No convolution has a bias.

    Trained on crops, it meets other products of channels in whole images; so these are restored
    with attention inside windows that overlap (TLC, Chu et al. 2022, "Restormer-Local"), which
    changes nothing up to the window's size. Training attends to its crops.

    Args:
        filters: channels at full size; each of the three levels below has twice as many.
        blocks: transformer blocks of the encoder's three levels and of the lowest level; the
            decoder has as many as the encoder.
        refinement_blocks: at full size, after the decoder.
        heads: of the attention, at the four levels.
        bias_free: normalisation that only divides by the standard deviation, as in the authors'
            networks that remove Gaussian noise; those that deblur have it subtract the mean and
            add a bias.
        window: side of the square windows of attention, in pixels at full size; None: attention
            over the whole image, as the paper has it.

    Source: https://arxiv.org/abs/2111.09881, figure 2 and section 3; for the window
    https://arxiv.org/abs/2112.04491. Parameters: 26,126,644, bias free 26,111,668.
    """

    def __init__(
        self,
        filters=48,
        blocks=(4, 6, 6, 8),
        refinement_blocks=4,
        heads=(1, 2, 4, 8),
        bias_free=False,
        window=384,
        name="restormer",
    ):
        require_counts(filters=filters, refinement_blocks=refinement_blocks)
        require_lists_of_counts(LEVELS, blocks=blocks, heads=heads)
        if any(filters * 2**level % heads[level] for level in range(LEVELS)):
            raise InputError(
                f"heads={heads!r}: each level's must divide its channels, "
                f"{[filters * 2**level for level in range(LEVELS)]}."
            )
        if filters % 2:
            raise InputError(f"filters={filters}: going down halves them, give an even number.")
        require_flags(bias_free=bias_free)
        require_window(window, 2 ** (LEVELS - 1))

        def transformer_blocks(x, count, level, name):
            attention = {"heads": heads[level], "window": window and window // 2**level}
            for i in range(count):
                x = _transformer_block(x, attention, bias_free, name=f"{name}_block{i + 1}")
            return x

        image = keras.Input((None, None, 3), name="blurry")
        x = _conv3(image, filters, name="embedding")
        encoded = []
        for level in range(LEVELS - 1):
            x = transformer_blocks(x, blocks[level], level, f"encoder{level + 1}")
            encoded.append(x)
            x = _conv3(x, x.shape[-1] // 2, name=f"encoder{level + 1}_down")
            x = PixelUnshuffle(name=f"encoder{level + 1}_unshuffle")(x)
        x = transformer_blocks(x, blocks[-1], LEVELS - 1, "latent")
        for level in reversed(range(LEVELS - 1)):
            x = _conv3(x, 2 * x.shape[-1], name=f"decoder{level + 1}_up")
            x = PixelShuffle(name=f"decoder{level + 1}_shuffle")(x)
            x = Concatenate(name=f"decoder{level + 1}_skip")([x, encoded[level]])
            if level:  # at full size all channels are kept
                x = _conv1(x, x.shape[-1] // 2, name=f"decoder{level + 1}_reduced")
            x = transformer_blocks(x, blocks[level], level, f"decoder{level + 1}")
        x = transformer_blocks(x, refinement_blocks, 0, "refinement")
        x = _conv3(x, 3, name="output")

        super().__init__(
            image,
            # In float32: 8 bits of mantissa would round the image itself.
            [Add(dtype="float32", name="latent_image")([x, image])],
            stride=2 ** (LEVELS - 1),
            inference_bytes_per_pixel=(64 + 168 * filters, 64 + 140 * filters),
            activation_channels=20 * filters * (blocks[0] + refinement_blocks),
            of_whole_picture=True,
            hyperparameters={
                "filters": filters,
                "blocks": list(blocks),
                "refinement_blocks": refinement_blocks,
                "heads": list(heads),
                "bias_free": bias_free,
                "window": window,
            },
            name=name,
        )

    def restoring(self):
        return fusing.with_shared_blocks(self)


def _transformer_block(x, attention, bias_free, name):
    """Attention between channels, then a gated feed-forward network, each added to its input."""
    norm = {"epsilon": 1e-5, "centred": not bias_free}
    y = PixelNormalization(**norm, name=f"{name}_norm1")(x)
    x = Add(name=f"{name}_sum1")([x, _mdta(y, attention, name=f"{name}_attention")])
    y = PixelNormalization(**norm, name=f"{name}_norm2")(x)
    return Add(name=f"{name}_sum2")([x, _gdfn(y, name=f"{name}_feed")])


def _mdta(x, attention, name):
    """MDTA: multi-Dconv head transposed attention, figure 2(a)."""
    filters = x.shape[-1]
    y = _conv1(x, 3 * filters, name=f"{name}_qkv")
    y = depthwise_conv(y, 3, use_bias=False, name=f"{name}_depthwise")
    y = TransposedAttention(**attention, name=name)(y)
    return _conv1(y, filters, name=f"{name}_out")


def _gdfn(x, name):
    """GDFN: gated-Dconv feed-forward network, figure 2(b)."""
    filters = x.shape[-1]
    y = _conv1(x, 2 * int(EXPANSION * filters), name=f"{name}_in")
    y = depthwise_conv(y, 3, use_bias=False, name=f"{name}_depthwise")
    y = GatedHalves("gelu", name=f"{name}_gate")(y)
    return _conv1(y, filters, name=f"{name}_out")


def _conv1(x, filters, name):
    return conv(x, filters, 1, use_bias=False, name=name)


def _conv3(x, filters, name):
    return conv(x, filters, 3, use_bias=False, name=name)


@keras.saving.register_keras_serializable("tfdeblur")
class TransposedAttention(keras.layers.Layer):
    """Attention between the channels of each head: `[B, H, W, 3C]` -> `[B, H, W, C]`.

    A third each of the channels are queries, keys and values. Two channels attend to each other by
    the cosine between their queries and keys over all pixels, times the head's temperature, which
    is learned.

    Where a side is longer than the window, outside of training, all pixels are those of a window,
    of which as few as possible lie evenly over the side, and what overlapping windows give is
    averaged.
    """

    def __init__(self, heads, window=None, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads
        self.window = window
        self.kind = heads, window  # see fusing.py

    def build(self, shape):
        self.temperature = self.add_weight(
            name="temperature", shape=(self.heads,), initializer="ones", autocast=False
        )

    def call(self, x, training=False):
        if training or self.window is None:
            return self._attend(x)
        _, height, width, channels = ops.shape(x)
        rows, columns = (_Windows(size, self.window) for size in (height, width))
        # One axis after the other: formats of exports know 5 axes at most.
        x = ops.reshape(rows.cut(x, axis=1), (-1, rows.side, width, channels))
        x = ops.transpose(columns.cut(x, axis=2), (0, 2, 1, 3, 4))
        x = self._attend(ops.reshape(x, (-1, rows.side, columns.side, channels)))
        channels //= 3
        x = ops.reshape(x, (-1, columns.count, rows.side, columns.side, channels))
        x = ops.transpose(x, (0, 2, 1, 3, 4))
        x = columns.join(ops.reshape(x, (-1, rows.side, columns.length, channels)), axis=2)
        return rows.join(ops.reshape(x, (-1, rows.length, width, channels)), axis=1)

    def _attend(self, x):
        _, height, width, channels = ops.shape(x)
        x = ops.reshape(x, (-1, height * width, 3, self.heads, channels // 3 // self.heads))
        queries, keys, values = (ops.transpose(x[:, :, i], (0, 2, 1, 3)) for i in range(3))
        # In float32: the sums run over all pixels.
        queries, keys = ops.cast(queries, "float32"), ops.cast(keys, "float32")
        products = ops.matmul(ops.transpose(queries, (0, 1, 3, 2)), keys)
        # The norms divide the products, which are few, instead of queries and keys.
        lengths = [_lengths(queries)[..., :, None], _lengths(keys)[..., None, :]]
        cosines = products / (lengths[0] * lengths[1])
        attention = ops.softmax(cosines * self.temperature[:, None, None], axis=-1)
        attention = ops.cast(attention, self.compute_dtype)
        x = ops.matmul(values, ops.transpose(attention, (0, 1, 3, 2)))
        return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, height, width, channels // 3))

    def compute_output_shape(self, shape):
        return (*shape[:-1], shape[-1] // 3)

    def get_config(self):
        return {**super().get_config(), "heads": self.heads, "window": self.window}


def _lengths(x):
    """Of each channel over all pixels, `[B, heads, pixels, C]` -> `[B, heads, C]`; never 0."""
    # The authors' bound of 1e-12 would give 0 / 0 in the gradient of a root at 0.
    return ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis=2), 1e-24))


class _Windows:
    """Windows of at most `side` pixels that lie evenly over an axis of `size` pixels."""

    MOST = 3  # of which a pixel is part

    def __init__(self, size, side):
        # Sizes known in advance stay Python's: JAX takes no others for shapes.
        known = isinstance(size, int)
        smaller, larger = (min, max) if known else (ops.minimum, ops.maximum)
        self.side = smaller(size, side)
        rest = size - self.side
        steps = larger(_divided_up(size, self.side) - 1, 1)
        step = larger(_divided_up(rest, steps), 1)
        self.count = _divided_up(rest, step) + 1
        self.length = self.count * self.side
        self.starts = ops.minimum(ops.arange(self.count, dtype="int32") * step, rest)
        self.pixels = ops.arange(size, dtype="int32")

    def cut(self, x, axis):
        """Puts an axis of windows before the axis of the pixels: `size` -> `count, side`."""
        index = self.starts[:, None] + ops.arange(self.side, dtype="int32")
        return ops.take(x, index, axis=axis)

    def join(self, x, axis):
        """Averages over the windows that a pixel lies in: `count * side` -> `size`."""
        last = ops.sum(ops.cast(self.starts <= self.pixels[:, None], "int32"), axis=1) - 1
        total, parts = 0, 0
        for k in range(self.MOST):
            window = ops.maximum(last - k, 0)
            place = self.pixels - ops.take(self.starts, window, axis=0)
            inside = ops.cast((last >= k) & (place < self.side), x.dtype)
            index = window * self.side + ops.minimum(place, self.side - 1)
            shape = [-1 if i == axis else 1 for i in range(len(x.shape))]
            total += ops.take(x, index, axis=axis) * ops.reshape(inside, shape)
            parts += inside
        return total / ops.reshape(parts, shape)


def _divided_up(a, b):
    """a / b, rounded up: without negative numbers, which ONNX rounds towards 0."""
    return (a + b - 1) // b
