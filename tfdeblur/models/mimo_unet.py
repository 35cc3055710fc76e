"""MIMO-UNet: the multi-input multi-output U-Net of Cho et al., ICCV 2021."""

import functools
import numbers

import keras
from keras.layers import Add, Concatenate, SpatialDropout2D

from tfdeblur.errors import InputError
from tfdeblur.layers import (
    NearestDouble,
    NearestHalf,
    asymmetric_feature_fusion,
    conv,
    feature_attention_module,
    res_block,
    shallow_convolutional_module,
    upconvolution,
)
from tfdeblur.models import fusing
from tfdeblur.models.network import Network, require_counts
from tfdeblur.pyramid import Pyramid


@keras.saving.register_keras_serializable("tfdeblur")
class MIMOUNet(Network):
    """MIMO-UNet and MIMO-UNet+ of Cho et al. 2021, figure 3.

    Input: one blurry batch `[B, H, W, 3]` in [0, 1]; H and W are multiples of 4.
    Output: the latent images at full, half and quarter size, float32 in [0, 1] (not clipped),
    finest first. Each is its level's blurry image plus what its decoder level predicts.

    Args:
        filters: channels at full size; the half and quarter sizes have 2 and 4 times as many.
        resblocks: ResBlocks per encoder and decoder level, 8 (MIMO-UNet) or 20 (MIMO-UNet+).
        dropout: share of the fused feature maps dropped in training, 0.1 in MIMO-UNet+.

    Source: https://arxiv.org/abs/2108.05054, section 3. Parameters: 6,807,171 and 16,107,651.
    """

    def __init__(self, filters=32, resblocks=8, dropout=0.0, name="mimo_unet"):
        require_counts(filters=filters, resblocks=resblocks)
        if not isinstance(dropout, numbers.Real) or not 0 <= dropout < 1:
            raise InputError(f"dropout={dropout!r}: give a share from 0 up, below 1.")
        hyperparameters = {"filters": filters, "resblocks": resblocks, "dropout": dropout}

        def res_blocks(x, name):
            for i in range(resblocks):
                x = res_block(x, 3, name=f"{name}_res{i + 1}")
            return x

        image = keras.Input((None, None, 3), name="blurry")
        blurry1, blurry2, blurry3 = Pyramid("nearest", 3, name="pyramid")(image)

        # One encoder, three inputs.
        x = conv(blurry1, filters, 3, activation="relu", name="encoder1_in")
        encoded1 = res_blocks(x, "encoder1")
        x = conv(encoded1, 2 * filters, 3, strides=2, activation="relu", name="encoder2_in")
        z = shallow_convolutional_module(blurry2, 2 * filters, "scm2")
        encoded2 = res_blocks(feature_attention_module(x, z, "fam2"), "encoder2")
        x = conv(encoded2, 4 * filters, 3, strides=2, activation="relu", name="encoder3_in")
        z = shallow_convolutional_module(blurry3, 4 * filters, "scm3")
        encoded3 = res_blocks(feature_attention_module(x, z, "fam3"), "encoder3")

        # Every encoder level reaches every decoder level.
        encoded3_up = NearestDouble(name="encoded3_up")(encoded3)
        fused1 = asymmetric_feature_fusion(
            [
                encoded1,
                NearestDouble(name="encoded2_up")(encoded2),
                NearestDouble(name="encoded3_up_up")(encoded3_up),
            ],
            filters,
            "aff1",
        )
        fused2 = asymmetric_feature_fusion(
            [NearestHalf(name="encoded1_down")(encoded1), encoded2, encoded3_up],
            2 * filters,
            "aff2",
        )
        if dropout:
            fused1 = SpatialDropout2D(dropout, name="dropout1")(fused1)
            fused2 = SpatialDropout2D(dropout, name="dropout2")(fused2)

        # One decoder, three outputs.
        x = res_blocks(encoded3, "decoder3")
        latent3 = _latent(x, blurry3, level=3)
        x = upconvolution(x, 2 * filters, 4, activation="relu", name="decoder3_up")
        x = Concatenate(name="decoder2_concat")([x, fused2])
        x = conv(x, 2 * filters, 1, activation="relu", name="decoder2_in")
        x = res_blocks(x, "decoder2")
        latent2 = _latent(x, blurry2, level=2)
        x = upconvolution(x, filters, 4, activation="relu", name="decoder2_up")
        x = Concatenate(name="decoder1_concat")([x, fused1])
        x = conv(x, filters, 1, activation="relu", name="decoder1_in")
        x = res_blocks(x, "decoder1")
        latent1 = _latent(x, blurry1, level=1)

        super().__init__(
            image,
            [latent1, latent2, latent3],
            stride=4,
            inference_bytes_per_pixel=(64 + 25 * filters, 64 + 20 * filters),  # by `computing`
            activation_channels=(8 + 4 * resblocks) * filters,
            hyperparameters=hyperparameters,
            name=name,
        )

    @functools.cached_property
    def _fused(self):
        return fusing.of_mimo_unet(self)

    def computing(self):
        # JAX's steps take the network's variables in an order that is the view's only by chance.
        return self._fused if keras.backend.backend() == "tensorflow" else self


def _latent(features, blurry, level):
    residual = conv(features, 3, 3, name=f"image{level}")
    # In float32: 8 bits of mantissa would round the image itself.
    return Add(dtype="float32", name=f"latent{level}")([residual, blurry])
