import pathlib

import golden
import imageio.v3 as iio
import numpy as np
import pytest

import tfdeblur
from tfdeblur import layers, models, restoration, weights
from tfdeblur.errors import InputError

PUBLISHED = pathlib.Path(__file__).parents[3] / "shared" / "published"
NETWORKS = {
    "dmphn_1_2_4_8": {},
    "dmphn_1_2_4": {"patches": (1, 2, 4)},
    "sdnet3": {"patches": (1, 2, 4), "stacks": 3},  # the authors' name of the stack of three
}


def seeded_weights(arrays, levels, stacks):
    """The weights that the authors' network had: drawn in this order, under their names."""
    prefix, random = "shape/", np.random.RandomState(0)
    state = {}
    for s in range(1, stacks + 1):
        for level in range(1, levels + 1):
            for key in [key.removeprefix(prefix) for key in arrays if key.startswith(prefix)]:
                shape = arrays[prefix + key]
                module, name = key.split(".", 1)
                stem = f"{module}_s{s}_lv{level}" if stacks > 1 else f"{module}_lv{level}"
                scale = 0.5 * np.prod(shape[1:]) ** -0.5
                state[f"{stem}.{name}"] = scale * random.standard_normal(shape)
    return state


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_equal_the_reference(name):
    arrays = golden.arrays("dmphn_seeded")
    net = models.build("dmphn", **NETWORKS[name])
    levels = len(net.hyperparameters["patches"])
    state = seeded_weights(arrays, levels, net.hyperparameters["stacks"])
    weights.from_torch(net, state)
    outputs = net(arrays["input"].astype("float32") / 255)
    assert len(outputs) == net.hyperparameters["stacks"]
    assert all(output.shape == outputs[0].shape for output in outputs)
    np.testing.assert_allclose(outputs[0], arrays[f"output_{name}"], atol=1e-4)


@pytest.fixture(scope="module")
def published():
    """The network with the authors' weights, which are not ours to ship."""
    folder = PUBLISHED / "dmphn_1_2_4_8"
    if not folder.is_dir():
        pytest.skip(f"the authors' weights are missing: {folder}")
    net = models.build("dmphn")
    weights.load(net, folder)
    return net


def test_published_weights_give_the_outputs_of_the_authors_network(published):
    arrays = golden.arrays("dmphn_1_2_4_8")
    output = published(arrays["input"].astype("float32") / 255)[0]
    np.testing.assert_allclose(output, arrays["output_1"], atol=1e-4)


@pytest.mark.slow
def test_published_weights_give_the_authors_picture(published):
    # One of three: benchmarks/dmphn_samples.py does all.
    samples = PUBLISHED / "dmphn_samples"
    blurry = iio.imread(samples / "blurry" / "000002.png")
    theirs = iio.imread(samples / "restored_1_2_4_8" / "000002.png")
    restored = restoration.restore_float(published, blurry)
    ours = np.floor(255 * restored)  # the authors' code truncated too
    assert np.abs(ours - theirs).mean() <= 0.25


@pytest.mark.slow
@pytest.mark.parametrize(
    ("patches", "stacks", "parameters"),
    [
        ((1, 2, 4, 8), 1, 7_232_524),
        ((1, 2, 4), 1, 5_424_393),
        ((1, 2, 4), 2, 10_848_786),
        ((1, 2, 4), 4, 21_697_572),
    ],
)
def test_parameter_count(patches, stacks, parameters):
    assert models.build("dmphn", patches=patches, stacks=stacks).count_params() == parameters


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"patches": (1, 2, 3)}, r"patches=\(1, 2, 3\)"),
        ({"patches": ()}, r"patches=\(\)"),
        ({"stacks": 0}, "stacks=0"),
    ],
)
def test_impossible_hierarchies_are_refused(hyperparameters, message):
    with pytest.raises(InputError, match=message):
        models.build("dmphn", **hyperparameters)


@pytest.mark.parametrize("axis", [1, 2])
def test_halves_are_split_and_joined(axis):
    images = np.random.default_rng(0).random((3, 4, 6, 2), "float32")
    halves = layers.SplitInHalf(axis)(images)
    np.testing.assert_array_equal(halves[:3], np.split(images, 2, axis)[0])
    np.testing.assert_array_equal(halves[3:], np.split(images, 2, axis)[1])
    np.testing.assert_array_equal(layers.JoinHalves(axis)(halves), images)


@pytest.mark.parametrize("patches", [(1,), (1, 2), (1, 2, 4), (1, 2, 4, 8)])
def test_the_stride_suffices(patches):
    net = models.build("dmphn", patches=patches, filters=2)
    images = np.zeros((2, net.stride, 3 * net.stride, 3), "float32")
    (latent,) = net(images)
    assert latent.shape == images.shape


@pytest.mark.slow
def test_any_size_is_restored():
    net = models.build("dmphn", filters=2)
    for size in ((5, 3), (37, 53), (1, 1)):
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype="uint8")
        restored = tfdeblur.restore(net, image)
        assert restored.shape == image.shape and restored.dtype == np.uint8


def test_weights_begin_as_in_the_authors_code():
    net = models.build("dmphn", patches=(1,))
    encoder, decoder = net.get_layer("encoder_lv1"), net.get_layer("decoder_lv1")
    first = np.asarray(encoder.get_layer("res2_1_conv1").kernel)
    second = np.asarray(encoder.get_layer("res2_1_conv2").kernel)
    up = np.asarray(decoder.get_layer("up3").kernel)
    for kernel, n in ((first, 9 * 64), (second, 9 * 64), (up, 16 * 64)):
        assert abs(kernel.std() / (0.5 / n) ** 0.5 - 1) < 0.02
    assert np.abs(first - second).max() > 0
    assert all(not np.any(w) for w in net.weights if w.name == "bias")
