"""The first layers of VGG-19 (Simonyan and Zisserman 2015), for perceptual losses."""

import keras
from keras.layers import MaxPooling2D, Normalization, ReLU

from tfdeblur.layers import conv

# (name in torchvision's `features`, channels) of each convolution; "M" is a pooling.
LAYERS = ((0, 64), (2, 64), "M", (5, 128), (7, 128), "M", (10, 256), (12, 256), (14, 256))
# Channels of all feature maps, counted at the image's size.
ACTIVATION_CHANNELS = 2 * 64 + 2 * 128 // 4 + 3 * 256 // 16


def vgg19_conv3_3(mean, deviation):
    """A frozen model from images `[B, H, W, 3]` in [0, 1] to what conv3_3 gives, before its ReLU.

    Args:
        mean, deviation: three numbers each, by which the images are normalized first.

    Returns:
        `keras.Model` with random weights, see `weights.load_vgg19`; features
        `[B, H / 4, W / 4, 256]`, float32.
    """
    image = keras.Input((None, None, 3), name="image")
    variance = [value**2 for value in deviation]
    x = Normalization(mean=mean, variance=variance, dtype="float32", name="normalized")(image)
    for i, layer in enumerate(LAYERS):
        if layer == "M":
            x = MaxPooling2D(data_format="channels_last", name=f"pool{i}")(x)
            continue
        number, channels = layer
        x = conv(x, channels, 3, name=f"features.{number}")
        if layer is not LAYERS[-1]:
            x = ReLU(name=f"relu{number}")(x)
    x = keras.layers.Activation("linear", dtype="float32", name="conv3_3")(x)
    model = keras.Model(image, x, name="vgg19_conv3_3")
    model.trainable = False
    return model
