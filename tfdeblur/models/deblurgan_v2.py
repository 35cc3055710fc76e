"""DeblurGAN-v2: the generator of Kupyn et al., ICCV 2019."""

import functools

import keras
from keras import ops
from keras.layers import Activation, Add, Concatenate, ReLU, Rescaling

from tfdeblur.errors import InputError
from tfdeblur.layers import NearestDouble, ReflectionPadding, TrackedNormalization, conv
from tfdeblur.models.inception_resnet_v2 import inception_resnet_v2
from tfdeblur.models.mobilenet_v2 import mobilenet_v2
from tfdeblur.models.network import Network, require_choice, require_flags

BACKBONES = {"mobilenet": mobilenet_v2, "inception": inception_resnet_v2}
# What brings the features of Inception-ResNet-v2 back to the sizes of a pyramid.
BORDERS = {"mobilenet": [(0, 0)] * 5, "inception": [(0, 1), (1, 1), (1, 2), (1, 1), (1, 1)]}
# Inception-ResNet-v2's smallest features must be large enough to be reflected.
SMALLEST = {"mobilenet": 32, "inception": 128}


@keras.saving.register_keras_serializable("tfdeblur")
class DeblurGANv2(Network):
    """The generator of Kupyn et al. 2019, figure 2: a feature pyramid over a backbone.

    Input: one blurry batch `[B, H, W, 3]` in [0, 1]; H and W are multiples of 32, and at least 128
    with Inception-ResNet-v2.
    Output: the latent image, float32 in [0, 1], in a list: the blurry image plus what the network
    predicts, clipped.

    Inside, images lie in [-1, 1]. The backbone's features at 5 sizes, each brought to the same
    channels, are added from the smallest up; four of them are restored to a quarter of the image's
    size and joined; two upsamplings lead to the image, over the features at half size.

    In training, the backbone's batch normalization takes the statistics of the batch, all other
    normalization those of each picture. The authors restore with the network in that mode, on
    purpose, one picture at a time.

    Args:
        backbone: "mobilenet" (MobileNetV2) or "inception" (Inception-ResNet-v2).
        filters: channels of the restored features: in the published networks 64 with MobileNetV2,
            128 with Inception-ResNet-v2.
        fpn_filters: channels of the pyramid, twice `filters`.
        picture_statistics: whether restoring normalizes, in the backbone too, by the statistics of
            the picture, as the authors' program does; a tile is then not restored quite as it is in
            the whole image. Otherwise by those which were tracked in training.

    Source: https://arxiv.org/abs/1908.03826, section 3.1, and the authors' released code.
    Parameters of the published ones: 2,106,627 (mobilenet) and 35,840,099 (inception); the authors'
    3,312,707 and 60,929,291 count those of backbone layers that nothing uses. Their backbones began
    as classifiers of ImageNet; here they begin at random.
    """

    def __init__(
        self,
        backbone="mobilenet",
        filters=128,
        fpn_filters=256,
        picture_statistics=True,
        name="deblurgan_v2",
    ):
        if keras.backend.backend() == "torch":
            raise InputError(
                "deblurgan_v2 has layers of names with points, as its authors', which Keras cannot "
                "hold on PyTorch: choose KERAS_BACKEND=tensorflow or jax."
            )
        require_choice(BACKBONES, backbone=backbone)
        if not isinstance(filters, int) or filters < 2 or filters % 2:
            raise InputError(f"filters={filters!r}: give an even whole number.")
        if fpn_filters != 2 * filters:
            raise InputError(
                f"fpn_filters={fpn_filters!r}: give {2 * filters}, twice the filters, since "
                "features of both are added."
            )
        require_flags(picture_statistics=picture_statistics)
        normalization = functools.partial(
            TrackedNormalization, picture_statistics=picture_statistics
        )

        def normalized_conv(x, filters, name):
            x = conv(x, filters, 3, name=f"{name}.0")
            x = normalization("picture", affine=False, name=f"{name}.1")(x)
            return ReLU(name=f"{name}.relu")(x)

        image = keras.Input((None, None, 3), name="blurry")
        blurry = Rescaling(2.0, -1.0, dtype="float32", name="centred")(image)
        batch_normalization = functools.partial(normalization, "batch", affine=True)
        taps = BACKBONES[backbone](blurry, batch_normalization)
        lateral = []
        for i, (features, border) in enumerate(zip(taps, BORDERS[backbone], strict=True)):
            channels = fpn_filters if i else filters
            x = conv(features, channels, 1, use_bias=False, name=f"lateral{i}")
            if any(border):
                x = ReflectionPadding(*border, name=f"lateral{i}.pad")(x)
            lateral.append(x)

        pyramid = [lateral[4]]
        for i, level in ((1, 3), (2, 2), (3, 1)):
            x = NearestDouble(name=f"td{i}.up")(pyramid[-1])
            x = Add(name=f"td{i}.sum")([lateral[level], x])
            pyramid.append(normalized_conv(x, fpn_filters, name=f"td{i}"))

        heads = []  # from the smallest up
        for level, x in zip((4, 3, 2, 1), pyramid, strict=True):
            for i in range(2):
                block = f"head{level}.block{i}"
                x = conv(x, filters, 3, activation="relu", use_bias=False, name=block)
            for i in range(1, level):
                x = NearestDouble(name=f"head{level}.up{i}")(x)
            heads.append(x)
        x = normalized_conv(Concatenate(name="heads")(heads), filters, name="smooth")
        x = NearestDouble(name="smooth.up")(x)
        x = Add(name="smooth.sum")([x, lateral[0]])
        x = normalized_conv(x, filters // 2, name="smooth2")
        x = NearestDouble(name="smooth2.up")(x)
        x = conv(x, 3, 3, name="final")
        # In float32: 8 bits of mantissa would round the image itself.
        x = Activation("tanh", dtype="float32", name="residual")(x)
        x = ops.clip(Add(dtype="float32", name="restored")([blurry, x]), -1, 1)
        super().__init__(
            image,
            [Rescaling(0.5, 0.5, dtype="float32", name="latent")(x)],
            stride=32,
            smallest=SMALLEST[backbone],
            padding="grey",
            least_padding=1,
            of_whole_picture=picture_statistics,
            inference_bytes_per_pixel=(64 + 8 * filters, 64 + 8 * filters),
            activation_channels=4 * filters,
            hyperparameters={
                "backbone": backbone,
                "filters": filters,
                "fpn_filters": fpn_filters,
                "picture_statistics": picture_statistics,
            },
            name=name,
        )
