"""PSS-NSC: parameter selective sharing and nested skip connections, Gao et al., CVPR 2019."""

import keras
from keras import ops
from keras.layers import Add, Concatenate, Conv2D, Conv2DTranspose

from tfdeblur.errors import InputError
from tfdeblur.layers import BatchToPlanes, LegacyBilinearDouble, PlanesToBatch
from tfdeblur.models.network import Network
from tfdeblur.pyramid import Pyramid

SCALES = 3
UNITS = 4  # of a dense block


@keras.saving.register_keras_serializable("tfdeblur")
class PSSNSC(Network):
    """The network with parameter selective sharing and nested skips of Gao et al. 2019.

    Input: one blurry batch `[B, H, W, 3]` in [0, 1]; H and W are multiples of 16.
    Output: the latent images at full, half and quarter size, float32 in [0, 1] (not clipped),
    finest first. R, G and B are restored by themselves: the network is made for one channel.

    From the coarsest scale to the finest: the blurry image, concatenated to the upsampled result of
    the coarser scale (at the coarsest to itself), goes through an encoder and a decoder, and is
    added to what they give. Convolutions that change the number of channels are each scale's own;
    the dense blocks between them are shared by all scales, and each is applied twice. In a dense
    block, every unit of two convolutions sees the sum of the block's input and of all units before.

    As in SRN-DeblurNet (see `models.SRN`), no gradient flows from a scale into the coarser one's
    result, and resizing is that of TensorFlow 1.

    Args:
        filters: channels at full size; the half and quarter sizes have 2 and 4 times as many.

    Source: Gao et al., Dynamic Scene Deblurring with Parameter Selective Sharing and Nested Skip
    Connections, CVPR 2019, section 3. Parameters: 3,871,715, as in the weights that the authors
    released; the 2.84 million that are quoted elsewhere fit neither.
    """

    def __init__(self, filters=32, name="pss_nsc"):
        if type(filters) is not int or filters < 1:
            raise InputError(f"filters={filters!r}: give a whole number from 1.")
        widths = {level: filters * 2 ** (level - 1) for level in (1, 2, 3)}
        stddevs = {"encoder": {1: 0.05, 2: 0.03, 3: 0.02}, "decoder": {1: 0.01, 2: 0.01, 3: 0.02}}
        blocks = {
            f"{part}{level}": _dense_block(widths[level], stddev, name=f"{part}{level}_block")
            for part, by_level in stddevs.items()
            for level, stddev in by_level.items()
        }

        def twice(x, name):
            return blocks[name](blocks[name](x))

        image = keras.Input((None, None, 3), name="blurry")
        planes = PlanesToBatch(dtype="float32", name="planes")(image)
        blurry = Pyramid("nearest", SCALES, name="pyramid")(planes)
        link, latent = blurry[-1], []  # coarsest first, as they are made
        for k in range(SCALES, 0, -1):
            x, encoded = Concatenate(name=f"linked{k}")([blurry[k - 1], link]), {}
            for level, width in widths.items():
                x = Conv2D(
                    width,
                    3,
                    strides=1 if level == 1 else 2,
                    activation="relu",
                    name=f"encoder{level}_scale{k}",
                    data_format="channels_last",
                    **_start(stddevs["encoder"][level]),
                )(x)
                x = encoded[level] = twice(x, f"encoder{level}")
            x = twice(x, "decoder3")
            for level in (2, 1):
                x = Conv2DTranspose(
                    widths[level],
                    4,
                    strides=2,
                    activation="relu",
                    name=f"decoder{level}_scale{k}",
                    data_format="channels_last",
                    **_start({2: 0.02, 1: 0.01}[level]),
                )(x)
                x = Add(name=f"skip{level}_scale{k}")([x, encoded[level]])
                x = twice(x, f"decoder{level}")
            x = Conv2D(1, 3, name=f"image_scale{k}", data_format="channels_last", **_start(0.01))(x)
            # In float32: 8 bits of mantissa would round the image itself.
            x = Add(dtype="float32", name=f"restored{k}")([x, blurry[k - 1]])
            if k > 1:
                up = LegacyBilinearDouble(dtype="float32", name=f"up{k}")
                link = up(ops.stop_gradient(x))
            latent.append(BatchToPlanes(dtype="float32", name=f"latent{k}")(x))
        super().__init__(
            image,
            latent[::-1],
            stride=16,
            inference_bytes_per_pixel=(64 + 3 * 30 * filters, 64 + 3 * 20 * filters),
            activation_channels=3 * 58 * filters,  # of the finest scale
            hyperparameters={"filters": filters},
            name=name,
        )


def _dense_block(filters, stddev, name):
    features = keras.Input((None, None, filters))
    x = features
    for i in range(1, UNITS + 1):
        y = Conv2D(
            filters,
            3,
            activation="relu",
            name=f"unit{i}_in",
            data_format="channels_last",
            **_start(stddev),
        )(x)
        y = Conv2D(filters, 3, name=f"unit{i}_out", data_format="channels_last", **_start(stddev))(
            y
        )
        x = Add(name=f"sum{i}")([x, y])
    return keras.Model(features, x, name=name)


def _start(stddev):
    """TensorFlow 1's padding, and a truncated normal distribution; biases begin at zero."""
    # A new object for each kernel: one gives all kernels of a shape the same values.
    normal = keras.initializers.TruncatedNormal(stddev=stddev)
    return {"padding": "same", "kernel_initializer": normal}
