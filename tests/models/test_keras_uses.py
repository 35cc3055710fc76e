"""A network does what a Keras model does, in every way that Keras calls one."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import SMALL, all_but_few_long, shared

import tfdeblur
from tfdeblur import models, pyramid
from tfdeblur.errors import InputError

IMAGES = np.random.default_rng(0).random((3, 16, 16, 3), "float32")


@pytest.fixture
def net():
    keras.utils.set_random_seed(0)
    return models.build("mimo_unet", filters=4, resblocks=1)


def assert_close(outputs, expected):
    for output, array in zip(outputs, expected, strict=True):
        # Untrained networks return values far beyond an image's.
        np.testing.assert_allclose(output, array, atol=1e-5 * max(1, np.abs(array).max()))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"steps_per_execution": 2}, marks=pytest.mark.long),
        {"run_eagerly": True},
    ],
)
def test_fit_evaluate_and_predict(net, options):
    labels = [np.asarray(level) / 2 for level in net(IMAGES)]
    net.compile("sgd", loss=["mse"] * 3, **options)
    before = net.evaluate(IMAGES, labels, batch_size=1, verbose=0)[0]
    net.fit(IMAGES, labels, batch_size=1, verbose=0)
    assert net.evaluate(IMAGES, labels, batch_size=1, verbose=0)[0] < before
    assert np.isfinite(net.train_on_batch(IMAGES, labels)).all()
    assert np.isfinite(net.test_on_batch(IMAGES, labels)).all()
    expected = net(IMAGES)
    assert_close(net.predict(IMAGES, batch_size=2, verbose=0), expected)
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, labels[0])).batch(2)
    assert_close(net.predict(dataset, verbose=0), expected)
    assert_close([net.restore_on_batch(IMAGES)], expected[:1])


@pytest.mark.slow
@pytest.mark.parametrize("name", all_but_few_long(SMALL, ("nafnet", "mimo_unet_plus")))
def test_predict(name):
    net = shared(name)
    images = np.random.default_rng(0).random((1, 64, 64, 3), "float32")
    expected = [np.asarray(level) for level in net(images, training=False)]
    assert_close(net.predict(images, verbose=0), expected)
    assert_close(net.predict_on_batch(images), expected)
    assert_close([net.restore_on_batch(images)], expected[:1])


@pytest.mark.slow
def test_inside_a_larger_model(net, tmp_path):
    image = keras.Input((None, None, 3))
    larger = keras.Model(image, keras.layers.Rescaling(255.0)(net(image)[0]))
    larger.save(tmp_path / "larger.keras")
    loaded = keras.saving.load_model(tmp_path / "larger.keras")
    for model in (larger, loaded):
        np.testing.assert_allclose(
            model.predict(IMAGES, verbose=0), 255 * net(IMAGES)[0], atol=1e-3
        )


@pytest.mark.parametrize("name", all_but_few_long(SMALL, ("mt_rnn", "dmphn", "deblurgan_v2")))
def test_clones(name):
    net = shared(name)
    clone = keras.models.clone_model(net)
    assert [x.shape for x in clone.weights] == [x.shape for x in net.weights]


def test_the_finest_level_of_each_frame(net):
    frames = keras.Input((3, 16, 16, 3))
    finest = keras.Model(net.inputs, net.outputs[0])
    model = keras.Model(frames, keras.layers.TimeDistributed(finest)(frames))
    assert_close([model.predict(IMAGES[None], verbose=0)[0]], net(IMAGES)[:1])


def test_old_files_are_refused(net, tmp_path):
    with pytest.raises(InputError, match=r"model.h5: .*\.keras"):
        net.save(tmp_path / "model.h5")


@pytest.mark.slow
def test_exports_are_replaced_where_asked(net, tmp_path):
    folder = tmp_path / "mimo_v1.2"  # whose ending is no suffix
    net.save(folder)
    with pytest.raises(InputError, match=r"mimo_v1\.2 exists: .* `overwrite=True`"):
        net.save(folder)
    net.save(folder, overwrite=True)
    net.export(folder, overwrite=True)
    served = tf.saved_model.load(str(folder))
    assert served.serve(np.zeros((1, 5, 7, 3), "uint8")).shape == (1, 5, 7, 3)


@pytest.mark.parametrize("name", ["discriminator", "patch_discriminator"])
def test_what_restores_no_images_is_not_exported(name, tmp_path):
    judge = models.build(name, filters=4)
    with pytest.raises(InputError, match=f"{name}' restores no images.*input_signature"):
        judge.export(tmp_path / "judge")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize("name", all_but_few_long(SMALL, ("deepdeblur", "mimo_unet", "nafnet")))
def test_channels_are_last_whatever_keras_json_says(name, channels_first):
    images = np.random.default_rng(0).random((1, 64, 64, 3), "float32")
    net = models.build(name, **SMALL[name])
    keras.config.set_image_data_format("channels_last")
    net.set_weights(shared(name).get_weights())
    keras.config.set_image_data_format("channels_first")
    levels = [np.asarray(level) for level in net(images)]
    keras.config.set_image_data_format("channels_last")
    for level, expected in zip(levels, shared(name)(images), strict=True):
        np.testing.assert_array_equal(level, expected)


@pytest.mark.slow
def test_photos_are_restored_whatever_keras_json_says(channels_first):
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), "uint8")
    net = models.build("mimo_unet", filters=4, resblocks=1)
    restored = tfdeblur.restore(net, image)
    keras.config.set_image_data_format("channels_last")
    other = models.build("mimo_unet", filters=4, resblocks=1)
    other.set_weights(net.get_weights())
    np.testing.assert_array_equal(restored, tfdeblur.restore(other, image))


def test_pyramids_are_channels_last(channels_first):
    found = pyramid.PYRAMIDS["gaussian"](IMAGES, 2)
    keras.config.set_image_data_format("channels_last")
    assert_close(found, pyramid.PYRAMIDS["gaussian"](IMAGES, 2))
