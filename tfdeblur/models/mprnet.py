"""MPRNet: the multi-stage progressive restoration network of Zamir et al., CVPR 2021."""

import functools

import keras
from keras.layers import Add, AveragePooling2D, Concatenate, PReLU

from tfdeblur.errors import InputError
from tfdeblur.layers import (
    BilinearDouble,
    JoinHalves,
    SplitInHalf,
    channel_attention,
    conv,
    supervised_attention_module,
)
from tfdeblur.models import fusing
from tfdeblur.models.network import Network, require_counts, require_window

ROWS, COLUMNS = 1, 2  # axes, along which images and features are halves of larger ones
QUARTER, HALF, WHOLE = (2, 2), (2, 1), (1, 1)  # by how much they are smaller than the image
ORBS = 3


@keras.saving.register_keras_serializable("tfdeblur")
class MPRNet(Network):
    """MPRNet of Zamir et al. 2021, figure 2: three stages that restore ever larger patches.

    Input: one blurry batch `[B, H, W, 3]` in [0, 1]; H and W are multiples of 8.
    Output: the latent images of the third, second and first stage, in this order, all at full
    size, float32 in [0, 1] (not clipped). Each is the blurry image plus what its stage predicts.

    Stage 1 sees the image's quarters, stage 2 its top and bottom halves, stage 3 the whole. The
    first two are U-Nets, whose encoder's features are joined to those of patches twice as large
    before they are decoded; the third works at full size throughout. Each stage hands its features,
    refined by what it restored, to the next one. No convolution has a bias, and all PReLUs share
    their one slope.

    Its channel attention weighs channels by their means. Trained on crops, it meets other means in
    whole images; so these are restored with means over a window around each pixel (TLC, Chu et al.
    2022, "MPRNet-Local"), which changes nothing up to the window's size. Training takes the means
    of its crops.

    Args:
        filters: channels of the U-Nets at full size, and of the stages' first features.
        unet_filters: that each lower level of a U-Net has more.
        orsnet_filters: that the third stage has more.
        blocks: channel attention blocks of each part of the third stage.
        window: side of the square of pixels, of the whole image at full size, whose means count for
            each pixel; None: means over the whole image, as the paper has it.

    Source: https://arxiv.org/abs/2102.02808, section 3, for the window
    https://arxiv.org/abs/2112.04491; that convolutions have no bias, that PReLUs share their slope,
    how levels are resized, and that the window of quarters and halves is a quarter and a half, as
    the released weights and code have it. Parameters: 20,127,073; with 40, 40 and 32 filters
    6,376,449.
    """

    def __init__(
        self,
        filters=96,
        unet_filters=48,
        orsnet_filters=32,
        blocks=8,
        window=384,
        name="mprnet",
    ):
        hyperparameters = {
            "filters": filters,
            "unet_filters": unet_filters,
            "orsnet_filters": orsnet_filters,
            "blocks": blocks,
        }
        require_counts(**hyperparameters)
        hyperparameters["window"] = window
        if filters < 4:
            raise InputError(f"filters={filters}: channel attention needs 4 at least.")
        require_window(window, 8)
        widths = [filters + level * unet_filters for level in range(3)]
        prelu = PReLU(
            alpha_initializer=keras.initializers.Constant(0.25), shared_axes=(1, 2, 3), name="prelu"
        )

        def cabs(x, count, name, part=WHOLE, level=1):
            local = window and [max(window // (sides * 2 ** (level - 1)), 1) for sides in part]
            for i in range(count):
                x = _channel_attention_block(x, prelu, local, f"{name}_cab{i + 1}")
            return x

        of_quarter, of_half = (functools.partial(cabs, part=part) for part in (QUARTER, HALF))

        def shallow(x, cabs, name):
            return cabs(_conv3(x, filters, f"{name}_conv"), 1, name)

        image = keras.Input((None, None, 3), name="blurry")
        halves = SplitInHalf(ROWS, dtype="float32", name="halves")(image)
        quarters = SplitInHalf(COLUMNS, dtype="float32", name="quarters")(halves)

        # Stage 1: quarters are encoded, halves decoded.
        x = shallow(quarters, of_quarter, "stage1_shallow")
        encoded = _encoder(x, widths, of_quarter, None, "stage1_encoder")
        encoded1 = _joined(encoded, COLUMNS, "stage1")
        decoded1 = _decoder(encoded1, of_half, "stage1_decoder")
        refined, latent = _sam(decoded1[0], halves, "stage1_sam")
        latent1 = JoinHalves(ROWS, dtype="float32", name="latent_stage1")(latent)

        # Stage 2: halves are encoded, the whole decoded.
        x = Concatenate(name="stage2_concat")([shallow(halves, of_half, "stage2_shallow"), refined])
        x = _conv3(x, filters, "stage2_in")
        encoded = _encoder(x, widths, of_half, (encoded1, decoded1), "stage2_encoder")
        encoded2 = _joined(encoded, ROWS, "stage2")
        decoded2 = _decoder(encoded2, cabs, "stage2_decoder")
        refined, latent2 = _sam(decoded2[0], image, "stage2_sam")

        # Stage 3: the whole, at full size.
        x = Concatenate(name="stage3_concat")([shallow(image, cabs, "stage3_shallow"), refined])
        x = _conv3(x, filters + orsnet_filters, "stage3_in")
        x = _original_resolution_subnetwork(x, encoded2, decoded2, cabs, blocks)
        # In float32: 8 bits of mantissa would round the image itself.
        latent3 = Add(dtype="float32", name="latent_stage3")([_conv3(x, 3, "stage3_out"), image])

        super().__init__(
            image,
            [latent3, latent2, latent1],
            stride=8,
            inference_bytes_per_pixel=(64 + 86 * filters, 64 + 80 * filters),
            activation_channels=3 * 5 * blocks * (filters + orsnet_filters),
            of_whole_picture=True,
            hyperparameters=hyperparameters,
            name=name,
        )

    def restoring(self):
        return fusing.with_shared_blocks(self)


def _encoder(x, widths, cabs, previous, name):
    """A U-Net's way down, finest level first.

    Args:
        x: features at full size.
        widths: channels of each level.
        previous: features of the same levels from the encoder and the decoder of the stage before,
            which are added to each level's (CSFF, figure 3(c)); or None.
    """
    encoded = []
    for level, filters in enumerate(widths, start=1):
        if level > 1:
            x = AveragePooling2D(2, name=f"{name}{level - 1}_half", data_format="channels_last")(x)
            x = _conv1(x, filters, f"{name}{level - 1}_down")
        x = cabs(x, 2, f"{name}{level}", level=level)
        if previous:
            fused = [
                _conv1(features[level - 1], filters, f"{name}{level}_csff_{part}")
                for part, features in zip(("encoded", "decoded"), previous, strict=True)
            ]
            x = Add(name=f"{name}{level}_csff")([x, *fused])
        encoded.append(x)
    return encoded


def _joined(encoded, axis, name):
    """The features of neighbouring patches as those of one patch, at each level."""
    return [JoinHalves(axis, name=f"{name}_joined{level}")(x) for level, x in enumerate(encoded, 1)]


def _decoder(encoded, cabs, name):
    """A U-Net's way up, finest level first."""
    x = cabs(encoded[2], 2, f"{name}3", level=3)
    decoded = [x]
    for level in (2, 1):
        skip = encoded[level - 1]
        x = _doubled(x, skip.shape[-1], f"{name}{level + 1}_up")
        skip = cabs(skip, 1, f"{name}{level}_skip", level=level)
        x = Add(name=f"{name}{level}_sum")([x, skip])
        x = cabs(x, 2, f"{name}{level}", level=level)
        decoded.insert(0, x)
    return decoded


def _original_resolution_subnetwork(x, encoded, decoded, cabs, blocks):
    """ORSNet, figure 3(b): blocks at full size, to which stage 2's levels are added in turn."""
    filters = x.shape[-1]
    for level in range(1, ORBS + 1):
        name = f"stage3_orb{level}"
        y = _conv3(cabs(x, blocks, name), filters, f"{name}_conv")
        x = Add(name=name)([y, x])
        added = []
        for part, features in (("encoded", encoded), ("decoded", decoded)):
            y = features[level - 1]
            for finer in reversed(range(1, level)):
                width = features[finer - 1].shape[-1]
                y = _doubled(y, width, f"stage3_{part}{level}_up{finer}")
            added.append(_conv1(y, filters, f"stage3_{part}{level}"))
        x = Add(name=f"{name}_sum")([x, *added])
    return x


def _channel_attention_block(x, prelu, window, name):
    """CAB, in figure 3(b)."""
    y = prelu(_conv3(x, x.shape[-1], f"{name}_conv1"))
    y = _conv3(y, x.shape[-1], f"{name}_conv2")
    options = {"use_bias": False, "window": window, "name": f"{name}_attention"}
    y = channel_attention(y, x.shape[-1] // 4, **options)
    return Add(name=name)([y, x])


def _sam(x, image, name):
    return supervised_attention_module(x, image, kernel_size=1, use_bias=False, name=name)


def _doubled(x, filters, name):
    # The authors resize before the 1x1 convolution. They commute, and this order costs a quarter.
    return BilinearDouble(name=f"{name}_double")(_conv1(x, filters, name))


def _conv1(x, filters, name):
    return conv(x, filters, 1, use_bias=False, name=name)


def _conv3(x, filters, name):
    return conv(x, filters, 3, use_bias=False, name=name)
