import keras
import numpy as np
import pytest

import tfdeblur
from tfdeblur import models, restoration
from tfdeblur.errors import InputError


class Identity(models.Network):
    """Returns its input, and remembers the sizes that it saw."""

    def __init__(self, stride=4):
        image = keras.Input((None, None, 3))
        level = keras.layers.Identity()(image)
        super().__init__(
            image,
            [level],
            stride=stride,
            live_maps=3,
            trained_maps=3,
            hyperparameters={"stride": stride},
            name="identity",
        )


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype="uint8")


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(0)
    return models.build("mimo_unet", filters=8, resblocks=1)


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (2, 9), (16, 16), (37, 53)])
def test_any_size_comes_back(size, net):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype="uint8")
    restored = tfdeblur.restore(net, image)
    assert restored.shape == image.shape and restored.dtype == np.uint8
    np.testing.assert_array_equal(tfdeblur.restore(Identity(), image), image)


def test_padding_reflects_at_the_bottom_and_right():
    row = np.array([1.0, 2, 3])
    padded = restoration.pad_to_multiple(row.reshape(1, 1, 3, 1), 8)
    np.testing.assert_array_equal(padded[0, 0, :, 0], [1, 2, 3, 2, 1, 2, 3, 2])
    np.testing.assert_array_equal(padded[0, 7, :, 0], padded[0, 0, :, 0])


@pytest.mark.parametrize("tile", [16, 20, 64])
def test_tiles_of_a_local_function_equal_the_whole(image, tile):
    whole = restoration.restore_float(Identity(), image)
    tiled = restoration.restore_float(Identity(), image, tile=tile, overlap=8)
    np.testing.assert_allclose(tiled, whole, atol=1e-6)


def test_self_ensemble_is_the_mean_over_rotations(image, net):
    image = image // 2 + 64  # away from 0 and 255, where results are clipped
    ensemble = restoration.restore_float(net, image, self_ensemble=True)
    unit = [np.ascontiguousarray(np.rot90(image, k)) for k in range(4)]
    single = [np.rot90(restoration.restore_float(net, x), -k) for k, x in enumerate(unit)]
    np.testing.assert_allclose(ensemble, np.mean(single, axis=0), atol=1e-5)
    turned = restoration.restore_float(net, unit[1], self_ensemble=True)
    np.testing.assert_allclose(np.rot90(turned, -1), ensemble, atol=1e-5)


def test_precision_follows_the_weights(image, net):
    before = tfdeblur.restore(net, image, precision="bfloat16")
    assert np.abs(before.astype(int) - tfdeblur.restore(net, image)).max() <= 2
    changed = models.build("mimo_unet", filters=8, resblocks=1)
    tfdeblur.restore(changed, image, precision="bfloat16")
    changed.set_weights(net.get_weights())
    np.testing.assert_array_equal(tfdeblur.restore(changed, image, precision="bfloat16"), before)


def test_quantise_rounds_and_clips():
    values = np.array([-0.1, 0.0, 0.4 / 255, 0.6 / 255, 1.0, 1.2])
    np.testing.assert_array_equal(restoration.quantise(values), [0, 0, 0, 1, 255, 255])


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4, 3), "float32"),
        np.zeros((4, 4), "uint8"),
        np.zeros((4, 4, 4), "uint8"),
        np.zeros((0, 4, 3), "uint8"),
    ],
)
def test_other_arrays_are_refused(wrong):
    with pytest.raises(InputError, match="uint8 image"):
        tfdeblur.restore(Identity(), wrong)


def test_tiles_smaller_than_their_overlap_are_refused(image):
    with pytest.raises(InputError, match="--tile=8"):
        tfdeblur.restore(Identity(), image, tile=8, overlap=8)


def test_broken_weights_are_told(image):
    broken = models.build("mimo_unet", filters=8, resblocks=1)
    broken.set_weights([np.full_like(w, np.nan) for w in broken.get_weights()])
    with pytest.raises(InputError, match="not finite"):
        tfdeblur.restore(broken, image)
