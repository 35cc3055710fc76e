import golden
import numpy as np
import pytest

from tfdeblur import models, weights


@pytest.mark.parametrize("name", ["mimo_unet", "mimo_unet_plus"])
def test_outputs_equal_the_reference(name):
    arrays = golden.arrays(name)
    net = models.build(name, resblocks=1)
    weights.from_torch(net, golden.state_dict(arrays))
    outputs = net(arrays["input"].astype("float32") / 255)
    assert len(outputs) == 3
    for k, output in enumerate(outputs, start=1):
        np.testing.assert_allclose(output, arrays[f"output_{k}"], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parameters"), [("mimo_unet", 6_807_171), ("mimo_unet_plus", 16_107_651)]
)
def test_parameter_count(name, parameters):
    assert models.build(name).count_params() == parameters


def test_every_level_has_its_size_at_any_multiple_of_the_stride():
    net = models.build("mimo_unet", filters=8, resblocks=1)
    for height, width in ((4, 8), (20, 12)):
        shapes = [tuple(x.shape) for x in net(np.zeros((2, height, width, 3)))]
        assert shapes == [(2, height // k, width // k, 3) for k in (1, 2, 4)]


def test_only_plus_drops_feature_maps():
    x = np.random.default_rng(0).random((1, 16, 16, 3), "float32")
    for name, dropped in (("mimo_unet", False), ("mimo_unet_plus", True)):
        net = models.build(name, filters=16, resblocks=1)
        first, second = (np.asarray(net(x, training=True)[0]) for _ in range(2))
        assert (np.abs(first - second).max() > 0) == dropped
