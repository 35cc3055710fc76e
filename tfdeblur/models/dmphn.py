"""DMPHN: the deep multi-patch hierarchical network of Zhang et al., CVPR 2019, and its stacks."""

import keras
from keras.layers import Add, Rescaling

from tfdeblur.errors import InputError
from tfdeblur.layers import JoinHalves, SplitInHalf, conv, res_block, upconvolution
from tfdeblur.models.network import Network, require_counts


@keras.saving.register_keras_serializable("tfdeblur")
class DMPHN(Network):
    """The multi-patch hierarchical network of Zhang et al. 2019.

    Input: one blurry batch `[B, H, W, 3]` in [0, 1]; H and W are multiples of `stride`, which is
    16 for 1-2-4-8 and 8 for 1-2-4.
    Output: the latent image, float32 in [0, 1] (not clipped), in a list; a stack's list has the
    results of all its networks, the last one first, all at full size.

    Level 1 sees the whole image, level 2 its top and bottom halves, level 3 their left and right
    halves, level 4 the top and bottom halves of those. From the finest patches upward, each level
    encodes its patches, to which it adds what the level below decoded for them; adds the features
    of the level below; joins the features of neighbouring patches in pairs; and decodes them. Level
    1 decodes the latent image. Inside, images are zero-centred by subtracting 0.5.

    A stack runs that network several times, with weights of its own each time: the next one
    restores the result of the one before and adds the one before's features to its own, level by
    level. The authors stack 1-2-4, and train on the mean squared errors of all results.

    Args:
        patches: the number of patches at each level, (1, 2, 4) or (1, 2, 4, 8) in the paper's
            best networks.
        stacks: how often the network is repeated, 1 to 4 in the paper.
        filters: channels at full size; the half and quarter sizes have 2 and 4 times as many.

    Source: https://arxiv.org/abs/1904.03468, section 3, and the authors' released code, which
    alone says how the stacks are linked and where weights begin. Parameters: 7,232,524 (1-2-4-8),
    5,424,393 (1-2-4), 10,848,786, 16,273,179 and 21,697,572 (stacks of two, three and four).
    """

    def __init__(self, patches=(1, 2, 4, 8), stacks=1, filters=32, name="dmphn"):
        levels = len(patches) if isinstance(patches, list | tuple) else 0
        if not levels or tuple(patches) != tuple(2**i for i in range(levels)):
            raise InputError(f"patches={patches!r}: give the first powers of 2, as (1, 2, 4, 8).")
        require_counts(stacks=stacks, filters=filters)
        image = keras.Input((None, None, 3), name="blurry")
        restored = Rescaling(1.0, -0.5, dtype="float32", name="centred")(image)
        results, features = [], {}
        for s in range(1, stacks + 1):
            suffix = f"_s{s}" if stacks > 1 else ""
            first = results[0] if results else None
            restored, features = _hierarchy(restored, first, features, levels, filters, suffix)
            results.append(restored)
        super().__init__(
            image,
            [
                Rescaling(1.0, 0.5, dtype="float32", name=f"latent_s{s}")(results[s - 1])
                for s in range(stacks, 0, -1)
            ],
            stride=4 * 2 ** (levels // 2),
            inference_bytes_per_pixel=(64 + 21 * filters, 64 + 18 * filters),
            activation_channels=17 * filters * levels * stacks,
            of_whole_picture=True,
            hyperparameters={"patches": list(patches), "stacks": stacks, "filters": filters},
            name=name,
        )


def _hierarchy(image, first, previous, levels, filters, suffix):
    """One network of a stack, on zero-centred images.

    Args:
        image: what it restores.
        first: the result of the stack's first network, None inside the first.
        previous: the features of each level of the network before, by level; empty at first.

    Returns:
        The restored image, and its features by level.
    """
    images = [image]
    for level in range(2, levels + 1):
        split = SplitInHalf(_axis(level), dtype="float32", name=f"patches_lv{level}{suffix}")
        images.append(split(images[-1]))

    residual, features = None, {}
    for level in range(levels, 0, -1):
        name = f"{suffix}_lv{level}"
        x = images[level - 1]
        if residual is not None:
            x = Add(dtype="float32", name=f"corrected{name}")([x, residual])
        x = _encoder(filters, name=f"encoder{name}")(x)
        if level < levels:
            x = Add(name=f"below{name}")([x, features[level + 1]])
        if level > 1:
            x = JoinHalves(_axis(level), name=f"joined{name}")(x)
        if level in previous:
            x = Add(name=f"previous{name}")([x, previous[level]])
        features[level] = x
        residual = _decoder(filters, name=f"decoder{name}")(x)
        if level == 2 and first is not None:
            residual = Add(dtype="float32", name=f"first{name}")([residual, first])
    return residual, features


def _axis(level):
    """Along which a level's patches are the halves of the level above: rows, columns, rows."""
    return 1 if level % 2 == 0 else 2


def _encoder(filters, name):
    image = keras.Input((None, None, 3))
    x = conv(image, filters, 3, name="conv1", **_CONV)
    x = _res_blocks(x, "res1")
    x = conv(x, 2 * filters, 3, strides=2, name="conv2", **_CONV)
    x = _res_blocks(x, "res2")
    x = conv(x, 4 * filters, 3, strides=2, name="conv3", **_CONV)
    return keras.Model(image, _res_blocks(x, "res3"), name=name)


def _decoder(filters, name):
    features = keras.Input((None, None, 4 * filters))
    x = _res_blocks(features, "res3")
    x = upconvolution(x, 2 * filters, 4, name="up3", **_UPCONVOLUTION)
    x = _res_blocks(x, "res2")
    x = upconvolution(x, filters, 4, name="up2", **_UPCONVOLUTION)
    x = _res_blocks(x, "res1")
    return keras.Model(features, conv(x, 3, 3, name="image", **_CONV), name=name)


def _res_blocks(x, name):
    for i in (1, 2):
        x = res_block(x, 3, name=f"{name}_{i}", **_CONV)
    return x


def _normal(output_axis):
    """Normal with standard deviation (0.5 / n)^1/2, n = kernel area x output channels."""

    @keras.saving.register_keras_serializable("tfdeblur", f"dmphn_normal_{output_axis}")
    def initialize(shape, dtype=None):
        n = shape[0] * shape[1] * shape[output_axis]
        return keras.random.normal(shape, stddev=(0.5 / n) ** 0.5, dtype=dtype)

    return initialize


_CONV = {"kernel_initializer": _normal(output_axis=3)}
_UPCONVOLUTION = {"kernel_initializer": _normal(output_axis=2)}
