"""MTWNet: the multi-scale two-way network of Cheng et al. 2021."""

import keras
from keras import ops
from keras.layers import Add, Concatenate, Conv2D, Conv2DTranspose

from tfdeblur.layers import BilinearDouble, LegacyBilinearDouble, res_block
from tfdeblur.models.network import Network, require_choice, require_counts, require_flags
from tfdeblur.pyramid import Pyramid

SCALES = 3
RESBLOCKS = 3  # per level of the encoder and of each decoder
# What makes an image smaller, a key of `pyramid.PYRAMIDS`, and what makes it larger.
RESIZING = {"bilinear": ("bilinear", BilinearDouble), "tf1": ("nearest", LegacyBilinearDouble)}


@keras.saving.register_keras_serializable("tfdeblur")
class MTWNet(Network):
    """The multi-scale two-way deblurring network of Cheng et al. 2021.

    Input: one blurry batch `[B, H, W, 3]` in [0, 1]; H and W are multiples of 16.
    Output: the latent images at full, half and quarter size, float32 in [0, 1] (not clipped),
    finest first; `branches` returns what each is the sum of as well.

    From the coarsest scale to the finest: the level of the blurry pyramid, concatenated to
    the upsampled result of the coarser scale (at the coarsest to itself), goes through one encoder
    and two decoders. The upper decoder adds the encoder's feature maps, the lower one has no skip
    connections and restores the rest from the bottleneck alone: I = I_up + I_down.

    Parameters of one scale, kernels 3x3, f = 32 filters (a convolution from m to n channels has
    9mn + n, a stack of three ResBlocks of n channels 6(9nn + n)):

    | layer                              | encoder   | each decoder |
    |------------------------------------|----------:|-------------:|
    | convolution 6 -> f, stride 1       |     1,760 |              |
    | 3 ResBlocks of f                   |    55,488 |       55,488 |
    | convolution f -> 2f, stride 2      |    18,496 |              |
    | 3 ResBlocks of 2f                  |   221,568 |      221,568 |
    | convolution 2f -> 4f, stride 2     |    73,856 |              |
    | 3 ResBlocks of 4f                  |   885,504 |      885,504 |
    | transposed convolution 4f -> 2f    |           |       73,792 |
    | transposed convolution 2f -> f     |           |       18,464 |
    | convolution f -> 3                 |           |          867 |
    | sum                                | 1,256,672 |    1,255,683 |

    So two-way 3,768,038 and one-way 2,512,355, whatever the number of scales; three times as many
    where scales do not share weights.

    Not stated in the paper, and so as in the scale-recurrent network that it builds on (SRN-Deblur:
    Tao et al. 2018 and its released TensorFlow code): the channels; ReLU after each convolution
    and transposed convolution outside the ResBlocks but the last; zero padding as TensorFlow's
    "same", in which these 3x3 kernels of stride 2 up and down are aligned; the upper decoder adds
    an encoder level's last features to a transposed convolution's output, after its ReLU; the
    finest decoder level ends with a convolution to the image; no gradient flows from a scale into
    the coarser one's result; the coarsest scale sees its blurry image twice. Nor is stated which of
    Xavier's two initialisations is meant (here the uniform one), which pixels bilinear resizing
    weighs (see `resizing`), and by which end the loss counts its weights alpha: by the superscripts
    of equation 1, alpha_3 would be that of the coarsest scale; here 5 is that of the finest, which
    is the network's result.

    Args:
        filters: channels at full size; the half and quarter sizes have 2 and 4 times as many.
        two_way: False leaves out the lower decoder, the paper's ablation.
        share_weights: one set of parameters for all scales, as in the paper.
        resizing: "bilinear" with pixels' centres aligned, or "tf1", what SRN's released code does:
            TensorFlow 1's bilinear resizing takes every second pixel to halve, and to double keeps
            the even samples and puts means between them. Labels should be resized alike, by the
            pyramids "bilinear" and "nearest".
    """

    def __init__(
        self, filters=32, two_way=True, share_weights=True, resizing="bilinear", name="mtwnet"
    ):
        require_counts(filters=filters)
        require_choice(RESIZING, resizing=resizing)
        require_flags(two_way=two_way, share_weights=share_weights)
        smaller, larger = RESIZING[resizing]
        image = keras.Input((None, None, 3), name="blurry")
        blurry = Pyramid(smaller, SCALES, name="pyramid")(image)
        if share_weights:
            scales = [_scale(filters, two_way, name="scale")] * SCALES
        else:
            scales = [_scale(filters, two_way, name=f"scale{k}") for k in (1, 2, 3)]
        link, latent = blurry[-1], []  # coarsest first, as they are made
        for k in range(SCALES, 0, -1):
            x = Concatenate(name=f"linked{k}")([blurry[k - 1], link])
            branches = scales[k - 1](x)
            # In float32: 8 bits of mantissa would round the image itself.
            add = Add(dtype="float32", name=f"latent{k}")
            latent.append(add([branches[way] for way in _ways(two_way)]))
            if k > 1:
                up = larger(dtype="float32", name=f"up{k}")
                link = up(ops.stop_gradient(latent[-1]))
        super().__init__(
            image,
            latent[::-1],
            stride=2 ** (SCALES - 1) * 4,
            inference_bytes_per_pixel=(64 + 30 * filters, 64 + 20 * filters),
            activation_channels=(36 if two_way else 24) * filters,  # of the finest scale
            hyperparameters={
                "filters": filters,
                "two_way": two_way,
                "share_weights": share_weights,
                "resizing": resizing,
            },
            name=name,
        )

    def branches(self, blurry):
        """The latent images and the branches that they are the sums of.

        Args:
            blurry: as for the network, `[B, H, W, 3]` in [0, 1].

        Returns:
            `{"latent": [I, ...], "up": [I_up, ...], "down": [I_down, ...]}`, float32, finest first;
            without "down" in a one-way network.
        """
        terms = [
            keras.tree.flatten(self.get_layer(f"latent{k}").input) for k in range(1, SCALES + 1)
        ]
        outputs = {"latent": self.outputs}
        for i, way in enumerate(_ways(self.hyperparameters["two_way"])):
            outputs[way] = [level[i] for level in terms]
        images = keras.Model(self.input, outputs)(blurry)
        return keras.tree.map_structure(lambda image: ops.cast(image, "float32"), images)


def _ways(two_way):
    return ("up", "down") if two_way else ("up",)


def _scale(filters, two_way, name):
    """A model: image and coarser result `[B, H, W, 6]` -> {"up": I_up, "down": I_down}."""
    image = keras.Input((None, None, 6))
    encoded1 = _encoder_level(image, filters, 1, "encoder1")
    encoded2 = _encoder_level(encoded1, 2 * filters, 2, "encoder2")
    bottleneck = _encoder_level(encoded2, 4 * filters, 2, "encoder3")
    branches = {"up": _decoder(bottleneck, {1: encoded1, 2: encoded2}, "up")}
    if two_way:
        branches["down"] = _decoder(bottleneck, {}, "down")
    return keras.Model(image, branches, name=name)


# Keras's default initialisation is Xavier's (Glorot's) uniform distribution, with zero biases.


def _encoder_level(x, filters, strides, name):
    x = Conv2D(
        filters,
        3,
        strides,
        padding="same",
        activation="relu",
        name=f"{name}_in",
        data_format="channels_last",
    )(x)
    return _res_blocks(x, name)


def _decoder(x, skips, name):
    filters = x.shape[-1]
    for level in (2, 1):
        x = _res_blocks(x, f"{name}{level + 1}")
        filters //= 2
        up = {"padding": "same", "activation": "relu", "name": f"{name}{level + 1}_up"}
        x = Conv2DTranspose(filters, 3, 2, data_format="channels_last", **up)(x)
        if level in skips:
            x = Add(name=f"{name}{level}_skip")([x, skips[level]])
    x = _res_blocks(x, f"{name}1")
    return Conv2D(3, 3, padding="same", name=f"{name}_image", data_format="channels_last")(x)


def _res_blocks(x, name):
    for i in range(RESBLOCKS):
        x = res_block(x, 3, kernel_initializer="glorot_uniform", name=f"{name}_res{i + 1}")
    return x
