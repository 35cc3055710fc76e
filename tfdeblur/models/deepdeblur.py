"""DeepDeblur: the multi-scale network of Nah, Kim and Lee, CVPR 2017."""

import keras

from tfdeblur.errors import InputError
from tfdeblur.layers import (
    BilinearDouble,
    conv,
    res_block,
    sub_pixel_upconvolution,
    upconvolution,
)
from tfdeblur.models.network import Network, require_choice, require_counts, require_flags
from tfdeblur.pyramid import Pyramid

CONVOLUTIONS = 120  # in all scales together, whatever their number (section 3.1)
KERNEL_SIZE = 5
UPSAMPLING = {
    "transposed": upconvolution,
    "sub_pixel": sub_pixel_upconvolution,
    "bilinear": lambda x, filters, kernel_size, name: BilinearDouble(name=name)(x),
}


@keras.saving.register_keras_serializable("tfdeblur")
class DeepDeblur(Network):
    """The multi-scale network of Nah et al. 2017, figure 4.

    Input: one blurry batch `[B, H, W, 3]` in [0, 1]; H and W are multiples of 2^(scales-1).
    Output: the latent images `[L1, ..., LK]`, float32 in [0, 1] (not clipped), finest first.

    From the coarsest scale to the finest: the level of the blurry Gaussian pyramid, concatenated
    to the upsampled result of the coarser scale, goes through a stack of ResBlocks without
    skip from the input. Inside, images are zero-centred by subtracting 0.5.

    Args:
        scales: the number of levels K, from 1 to 3 in the paper.
        filters: channels of every hidden layer.
        resblocks: ResBlocks per scale; None: as many as make 120 convolutions in all
            (59, 29 and 19 for K = 1, 2 and 3).
        upsampling: the link between scales, "transposed" (the paper's upconvolution), "sub_pixel"
            (convolution and pixel shuffle, both of the authors' releases), or "bilinear" (nothing
            that is learned: what section 3.1 argues against).
        pyramid: of the blurry image, "gaussian", or "torch7" as in the code behind the paper's
            tables.
        relu_after_sum: whether ResBlocks end with a ReLU, as in figure 3(a).

    Source: https://arxiv.org/abs/1612.02177, section 3.1. Parameters at K = 3: 11,719,953
    (transposed), 11,721,321 (sub_pixel).
    """

    def __init__(
        self,
        scales=3,
        filters=64,
        resblocks=None,
        upsampling="transposed",
        pyramid="gaussian",
        relu_after_sum=False,
        name="deepdeblur",
    ):
        require_counts(scales=scales, filters=filters)
        if resblocks is not None:
            require_counts(resblocks=resblocks)
        require_choice(UPSAMPLING, upsampling=upsampling)
        require_choice(("gaussian", "torch7"), pyramid=pyramid)
        require_flags(relu_after_sum=relu_after_sum)
        hyperparameters = {
            "scales": scales,
            "filters": filters,
            "resblocks": resblocks,
            "upsampling": upsampling,
            "pyramid": pyramid,
            "relu_after_sum": relu_after_sum,
        }
        resblocks = self.explicit(hyperparameters)["resblocks"]
        if resblocks < 1:
            raise InputError(f"scales={scales}: {CONVOLUTIONS} convolutions are too few.")

        image = keras.Input((None, None, 3), name="blurry")
        blurry = Pyramid(pyramid, scales, name="pyramid")(image)
        restored, latent = None, []  # coarsest first, as they are made
        for k in range(scales, 0, -1):
            x = _shift(blurry[k - 1], -0.5, name=f"centred{k}")
            if k < scales:
                link = UPSAMPLING[upsampling](restored, 3, KERNEL_SIZE, name=f"up{k + 1}")
                x = keras.layers.Concatenate(name=f"linked{k}")([x, link])
            scale = _scale(x.shape[-1], filters, resblocks, relu_after_sum, name=f"scale{k}")
            restored = scale(x)
            latent.append(_shift(restored, 0.5, name=f"latent{k}"))
        super().__init__(
            image,
            latent[::-1],
            stride=2 ** (scales - 1),
            inference_bytes_per_pixel=(64 + 14 * filters, 64 + 7 * filters),
            activation_channels=2 * resblocks * filters,
            hyperparameters=hyperparameters,
            name=name,
        )

    @classmethod
    def explicit(cls, hyperparameters):
        if hyperparameters["resblocks"] is not None:
            return hyperparameters
        return {
            **hyperparameters,
            "resblocks": (CONVOLUTIONS // hyperparameters["scales"] - 2) // 2,
        }


def _scale(channels, filters, resblocks, relu_after_sum, name):
    """One scale: convolution, ResBlocks, convolution; zero-centred images in and out."""
    image = keras.Input((None, None, channels))
    x = conv(image, filters, KERNEL_SIZE, name="conv_in")
    for i in range(resblocks):
        x = res_block(x, KERNEL_SIZE, name=f"res{i + 1}", relu_after_sum=relu_after_sum)
    return keras.Model(image, conv(x, 3, KERNEL_SIZE, name="conv_out"), name=name)


def _shift(image, offset, name):
    return keras.layers.Rescaling(1.0, offset, dtype="float32", name=name)(image)
