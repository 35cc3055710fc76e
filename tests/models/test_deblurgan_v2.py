import golden
import numpy as np
import pytest
import torch_writer

import tfdeblur
from tfdeblur import models, precision, restoration, weights
from tfdeblur.errors import InputError
from tfdeblur.weights import catalogue, torch_networks

BACKBONES = ("mobilenet", "inception")
SMALL = {"filters": 16, "fpn_filters": 32}


@pytest.fixture(scope="module", params=BACKBONES)
def reference(request):
    arrays = golden.arrays(f"deblurgan_v2_{request.param}")
    return request.param, arrays, golden.state_dict(arrays)


@pytest.fixture(scope="module")
def mobilenet():
    arrays = golden.arrays("deblurgan_v2_mobilenet")
    return arrays, golden.state_dict(arrays)


def small(backbone="mobilenet", **more):
    return models.build("deblurgan_v2", backbone=backbone, **SMALL, **more)


@pytest.fixture(scope="module")
def inception():
    """For tests that do not ask for its weights."""
    return small("inception")


@pytest.mark.slow
def test_outputs_equal_the_reference(reference):
    backbone, arrays, state = reference
    x = arrays["input"].astype("float32") / 255
    for picture_statistics, output in ((False, "output_1"), (True, "output_2")):
        net = small(backbone, picture_statistics=picture_statistics)
        weights.from_torch(net, state)
        (restored,) = net(x)
        assert restored.dtype == "float32"
        difference = np.abs(2 * np.asarray(restored) - 1 - arrays[output]).max()
        assert difference <= 3e-4, output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parameters"), [("gopro", 2_106_627), ("gopro_inception", 35_840_099)]
)
def test_parameter_count(name, parameters):
    published = catalogue.find("deblurgan_v2", name)
    net = models.build("deblurgan_v2", **published.hyperparameters)
    assert net.name == "deblurgan_v2"
    assert sum(np.prod(w.shape) for w in net.trainable_weights) == parameters


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"backbone": "resnet"}, "backbone='resnet'"),
        ({"filters": 3}, "filters=3"),
        ({"fpn_filters": 128}, "fpn_filters=128: give 256"),
        ({"picture_statistics": "no"}, "picture_statistics='no'"),
    ],
)
def test_bad_arguments_are_refused(hyperparameters, message):
    with pytest.raises(InputError, match=message):
        models.build("deblurgan_v2", **hyperparameters)


@pytest.mark.slow
def test_any_size_is_restored_as_by_the_authors(mobilenet):
    """Continued in mid-grey to the next multiple of 32, always by one pixel or more."""
    net = small()
    weights.from_torch(net, mobilenet[1])
    for height, width in ((1, 1), (37, 53), (32, 64)):
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype="uint8")
        padded = np.full((1, (height // 32 + 1) * 32, (width // 32 + 1) * 32, 3), 0.5, "float32")
        padded[0, :height, :width] = image / 255
        expected = np.asarray(net(padded)[0])[0, :height, :width]
        restored = restoration.restore_float(net, image)
        np.testing.assert_allclose(restored, expected, atol=1e-4)
        assert tfdeblur.restore(net, image).shape == image.shape


@pytest.mark.slow
def test_small_pictures_and_tiles_with_the_large_backbone(inception):
    image = np.random.default_rng(0).integers(0, 256, (5, 3, 3), dtype="uint8")
    assert tfdeblur.restore(inception, image).shape == image.shape
    with pytest.raises(InputError, match=r"`tile=64` .*at least 128"):
        tfdeblur.restore(inception, np.zeros((200, 200, 3), "uint8"), tile=64)


@pytest.mark.slow
@pytest.mark.parametrize("picture_statistics", [False, True])
def test_keras_files_and_bfloat16(mobilenet, picture_statistics, tmp_path):
    arrays, state = mobilenet
    net = small(picture_statistics=picture_statistics)
    weights.from_torch(net, state)
    x = arrays["input"].astype("float32") / 255
    expected = np.asarray(net(x)[0])
    net.save(tmp_path / "net.keras")
    loaded = weights.load_network(tmp_path / "net.keras")
    assert loaded.hyperparameters == net.hyperparameters
    np.testing.assert_array_equal(loaded(x)[0], expected)
    half = precision.cast(net, "bfloat16")(x)[0]
    assert half.dtype == "float32"
    assert np.abs(np.asarray(half) - expected).mean() < 0.02


def test_training_follows_the_statistics(mobilenet):
    arrays, state = mobilenet
    net = small(picture_statistics=False)
    weights.from_torch(net, state)
    layer = net.get_layer("features.0.1")
    x = arrays["input"].astype("float32") / 255
    inputs = np.asarray(net.get_layer("features.0.0")(net.get_layer("features.0.0.pad")(2 * x - 1)))
    mean, variance = (np.array(w) for w in (layer.moving_mean, layer.moving_variance))
    net(x, training=True)
    expected = 0.9 * variance + 0.1 * inputs.var((0, 1, 2), ddof=1)
    np.testing.assert_allclose(layer.moving_variance, expected, rtol=1e-4)
    expected = 0.9 * mean + 0.1 * inputs.mean((0, 1, 2))
    np.testing.assert_allclose(layer.moving_mean, expected, atol=1e-5)


def test_the_authors_files(mobilenet, tmp_path):
    """A PyTorch file called .h5, as DataParallel saved it, with what is not used."""
    arrays, state = mobilenet
    path = tmp_path / "fpn_mobilenet.h5"
    torch_writer.write(path, {f"module.{k}": v for k, v in state.items()}, under="model")
    opened, _ = weights.open_network("deblurgan_v2", path)
    assert opened.hyperparameters == {
        "backbone": "mobilenet",
        **SMALL,
        "picture_statistics": True,
    }
    x = arrays["input"].astype("float32") / 255
    np.testing.assert_allclose(2 * opened(x)[0] - 1, arrays["output_2"], atol=3e-4)


@pytest.mark.slow
def test_unused_weights_of_the_large_backbone(reference, inception):
    backbone, _, state = reference
    assert torch_networks.recognise(state) == ("deblurgan_v2", {"backbone": backbone, **SMALL})
    if backbone == "inception":
        kernel = "conv2d_2a.conv.weight"
        state = state | {
            "fpn.inception.repeat_2.8.branch1.2.conv.weight": np.ones(1),
            "fpn.inception.block8.conv2d.bias": np.ones(1),
            "fpn.inception.conv2d_7b.bn.running_var": np.ones(1),
            "fpn.inception.last_linear.weight": np.ones((2, 2)),
            "fpn.enc1.0.conv.weight": state[f"fpn.inception.{kernel}"],
        }
        weights.from_torch(inception, state)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: s.pop("fpn.features.3.conv.4.running_mean"), "1 missing: .*running_mean"),
        (lambda s: s.update({"fpn.td1.1.weight": np.ones(32)}), r"1 unexpected: fpn\.td1\.1"),
        (lambda s: s.update({"fpn.features.19.0.weight": np.ones(3)}), "1 unexpected"),
        (
            lambda s: s.update({"fpn.enc0.1.conv.0.weight": np.ones((32, 1, 3, 3))}),
            r"fpn\.enc0\.1\.conv\.0\.weight is not fpn\.features\.1\.conv\.0\.weight",
        ),
    ],
)
def test_damaged_weights_are_refused(mobilenet, damage, message):
    state = dict(mobilenet[1])
    damage(state)
    with pytest.raises(InputError, match=message):
        weights.from_torch(small(), state)


@pytest.mark.slow
def test_weights_of_the_other_backbone_are_refused_in_one_line(mobilenet, inception):
    with pytest.raises(InputError, match=r"not of 'deblurgan_v2'.*missing.*unexpected") as error:
        weights.from_torch(inception, mobilenet[1])
    assert "\n" not in str(error.value) and len(str(error.value)) < 1500
