"""The discriminators of patches of DeblurGAN and DeblurGAN-v2, Kupyn et al. 2018 and 2019."""

import keras
from keras.layers import LeakyReLU, Rescaling, ZeroPadding2D

from tfdeblur.layers import InstanceNormalization, conv
from tfdeblur.models.deblurgan import normal
from tfdeblur.models.network import Network, require_counts, require_lists_of_counts


@keras.saving.register_keras_serializable("tfdeblur")
class PatchDiscriminator(Network):
    """Judges for each patch of an image whether it is sharp or restored; one or more judges.

    Input: images `[B, H, W, 3]` in [0, 1].
    Output: a list of logits `[B, h, w, 1]`, float32, one of each judge; positive for sharp.

    A judge is a chain of 4x4 convolutions, `depth` of stride 2 and two of stride 1, with instance
    normalization between and LeakyReLU of slope 0.2. Depth 3 sees patches of 70x70 pixels, depth 5
    all that a crop of 256x256 has.

    Args:
        depths: of each judge.
        filters: channels of the first convolution; the next have 2, 4 and then 8 times as many.

    Source: the authors' released code. DeblurGAN has one judge of depth 3; DeblurGAN-v2 (section
    3.3, double-scale) one of depth 3 and one of depth 5. Weights begin as DeblurGAN's, normal with
    deviation 0.02; the released code of DeblurGAN-v2 leaves PyTorch's default.
    """

    def __init__(self, depths=(3,), filters=64, name="patch_discriminator"):
        require_counts(filters=filters)
        require_lists_of_counts(None, depths=depths)
        image = keras.Input((None, None, 3), name="image")
        centred = Rescaling(2.0, -1.0, dtype="float32", name="centred")(image)
        logits = [_judge(centred, depth, filters, f"depth{depth}") for depth in depths]
        super().__init__(
            image,
            logits,
            stride=1,
            inference_bytes_per_pixel=(16 * filters, 8 * filters),
            activation_channels=2 * filters * len(depths),
            hyperparameters={"depths": depths, "filters": filters},
            name=name,
        )


def _judge(x, depth, filters, name):
    def convolution(x, channels, strides, name):
        # As the authors do: a pixel more than "same".
        x = ZeroPadding2D(2, data_format="channels_last", name=f"{name}_pad")(x)
        return conv(x, channels, 4, strides, pad=0, kernel_initializer=normal, name=name)

    for i in range(depth + 1):
        channels = filters * min(2**i, 8)
        x = convolution(x, channels, 2 if i < depth else 1, name=f"{name}_conv{i}")
        if i:
            x = InstanceNormalization(name=f"{name}_conv{i}_norm")(x)
        x = LeakyReLU(0.2, name=f"{name}_conv{i}_relu")(x)
    x = convolution(x, 1, 1, name=f"{name}_last")
    return keras.layers.Activation("linear", dtype="float32", name=name)(x)
