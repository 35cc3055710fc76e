"""The discriminator of DeepDeblur's adversarial loss, Nah, Kim and Lee, CVPR 2017."""

import keras

from tfdeblur.layers import conv
from tfdeblur.models.network import Network, require_choice, require_counts

# (channels as a multiple of filters / 2, kernel size, stride) of each convolution.
TABLE_1 = (
    (1, 5, 2),
    (2, 5, 1),
    (2, 5, 2),
    (4, 5, 1),
    (4, 5, 4),
    (8, 5, 1),
    (8, 5, 4),
    (16, 5, 1),
    (16, 4, 4),
)
LAYOUTS = {"paper": TABLE_1, "release": ((1, 5, 1), *TABLE_1)}


@keras.saving.register_keras_serializable("tfdeblur")
class Discriminator(Network):
    """Judges whether an image is sharp or restored (Nah et al. 2017, table 1).

    Input: images `[B, 256, 256, 3]` in [0, 1].
    Output: logits `[B, 1]`, float32; positive for sharp.

    Convolutions without bias and without normalisation, LeakyReLU of slope 0.2, down to 1x1.

    Args:
        filters: channels of the third convolution; the last one has 8 times as many.
        layout: "paper" (table 1, nine convolutions) or "release" (the authors' PyTorch code, ten).
    """

    def __init__(self, filters=64, layout="paper", name="discriminator"):
        require_counts(filters=filters)
        require_choice(LAYOUTS, layout=layout)
        image = keras.Input((256, 256, 3), name="image")
        x = image
        for i, (multiple, kernel_size, strides) in enumerate(LAYOUTS[layout], start=1):
            x = conv(
                x,
                multiple * filters // 2,
                kernel_size,
                strides,
                use_bias=False,
                pad=2 if kernel_size == 5 else 0,
                name=f"conv{i}",
            )
            x = keras.layers.LeakyReLU(0.2, name=f"conv{i}_relu")(x)
        x = conv(x, 1, 1, use_bias=False, name="logit")
        logits = keras.layers.Flatten(dtype="float32", name="logits", data_format="channels_last")(
            x
        )
        super().__init__(
            image,
            logits,
            stride=256,
            inference_bytes_per_pixel=(8 * filters, 4 * filters),
            activation_channels=filters,
            hyperparameters={"filters": filters, "layout": layout},
            name=name,
        )
