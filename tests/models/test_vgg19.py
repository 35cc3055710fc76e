import numpy as np
import pytest

from tfdeblur.errors import InputError
from tfdeblur.models.vgg19 import vgg19_conv3_3
from tfdeblur.weights import vgg19


@pytest.fixture
def state_dict():
    """Torchvision's names and layouts; later layers, which are not needed, are one tensor here."""
    random = np.random.default_rng(0)
    channels = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128)}
    channels |= {10: (128, 256), 12: (256, 256), 14: (256, 256)}
    state = {"classifier.6.bias": np.zeros(1000, "float32")}
    for number, (inputs, outputs) in channels.items():
        shape = (outputs, inputs, 3, 3)
        state[f"features.{number}.weight"] = random.normal(0, 0.05, shape).astype("float32")
        state[f"features.{number}.bias"] = random.normal(0, 0.05, outputs).astype("float32")
    return state


def test_the_weights_take_their_places(state_dict):
    model = vgg19_conv3_3(mean=(0.5, 0.5, 0.5), deviation=(0.5, 0.25, 0.5))
    vgg19.from_torchvision(model, state_dict)
    image = np.full((1, 8, 8, 3), 0.75, "float32")
    assert model(image).shape == (1, 2, 2, 256)
    assert not model.trainable_weights
    assert model.count_params() == 1_735_488
    first = np.asarray(model.get_layer("features.0").kernel)
    np.testing.assert_array_equal(first[2, 1, 0], state_dict["features.0.weight"][:, 0, 2, 1])
    np.testing.assert_allclose(model.get_layer("normalized")(image)[0, 0, 0], [0.5, 1, 0.5])


def test_other_weights_are_refused_and_nothing_is_assigned(state_dict):
    model = vgg19_conv3_3(mean=(0.5,) * 3, deviation=(0.5,) * 3)
    before = model.get_weights()
    state_dict["features.14.bias"] = state_dict["features.14.bias"][1:]
    with pytest.raises(InputError, match=r"no features\.14\.bias of finite \(256,\)"):
        vgg19.from_torchvision(model, state_dict)
    for value, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, expected)
