import numpy as np

from tfdeblur import models
from tfdeblur.models import initialization
from tfdeblur.pyramid import nearest_pyramid


def test_near_identity_starts_as_the_identity_at_every_level():
    net = models.build("mimo_unet", filters=8, resblocks=1)
    initialization.near_identity(net)
    blurry = np.random.default_rng(0).random((2, 16, 16, 3), "float32")
    for latent, expected in zip(net(blurry), nearest_pyramid(blurry, 3), strict=True):
        np.testing.assert_array_equal(latent, expected)


def test_identity_starts_nafnet_as_the_identity():
    net = models.build("nafnet", filters=4, encoder_blocks=(1,), decoder_blocks=(1,))
    initialization.identity(net)
    blurry = np.random.default_rng(0).random((2, 16, 16, 3), "float32")
    np.testing.assert_array_equal(net(blurry)[0], blurry)


def test_near_identity_keeps_features_as_strong_in_deep_networks():
    net = models.build("mimo_unet", filters=8, resblocks=12)
    initialization.near_identity(net)
    kernels = {layer.name: np.asarray(layer.kernel) for layer in net.layers if layer.weights}
    he = (2 / (9 * 8)) ** 0.5
    assert abs(kernels["encoder1_res5_conv1"].std() / he - 1) < 0.2
    assert abs(kernels["encoder1_res5_conv2"].std() / (0.3 * he) - 1) < 0.2
    assert all(not np.asarray(x.bias).any() for x in net.layers if x.weights)
