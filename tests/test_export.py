import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfdeblur
from tfdeblur import export, models, restoration


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(0)
    return models.build("deepdeblur", filters=4, resblocks=1)


@pytest.fixture(scope="module")
def folder(net, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "saved_model"
    export.save_saved_model(net, folder)
    return folder


@pytest.fixture(scope="module")
def served(folder):
    return tf.saved_model.load(str(folder))


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (37, 53), (16, 24)])
def test_any_size_of_both_types(size, net, served):
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype="uint8")
    restored = served.serve(images)
    assert restored.dtype == tf.uint8 and restored.shape == images.shape
    for one, expected in zip(restored, images, strict=True):
        difference = np.asarray(one).astype(int) - tfdeblur.restore(net, expected)
        assert np.abs(difference).max() <= 1  # a value at x.5 may round either way

    as_float = served.serve((images / 255).astype("float32"))
    assert as_float.dtype == tf.float32
    expected = restoration.restore_float(net, images[0])
    np.testing.assert_allclose(as_float[0], expected, atol=1e-5)


def test_default_signature_is_uint8(served):
    default = served.signatures["serving_default"]
    ((_, spec),) = default.structured_input_signature[1].items()
    assert spec.dtype == tf.uint8 and spec.shape.as_list() == [None, None, None, 3]


def test_loads_without_tfdeblur_and_keras(folder):
    code = (
        "import sys\n"
        "sys.modules['tfdeblur'] = sys.modules['keras'] = None  # importing them fails\n"
        "import tensorflow as tf\n"
        f"module = tf.saved_model.load({str(folder)!r})\n"
        "print(module.serve(tf.zeros([1, 7, 9, 3], tf.uint8)).shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(1, 7, 9, 3)"


def test_bfloat16_networks_are_exported_in_float32(tmp_path, net):
    half = tfdeblur.precision.cast(net, "bfloat16")
    export.save_saved_model(half, tmp_path / "saved_model")
    image = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), dtype="uint8")
    module = tf.saved_model.load(str(tmp_path / "saved_model"))
    restored = module.serve(image)
    np.testing.assert_array_equal(restored[0], tfdeblur.restore(net, image[0]))


def test_a_failed_export_leaves_the_old_one(tmp_path):
    old = tmp_path / "saved_model"
    old.mkdir()
    (old / "file").write_text("kept")
    with pytest.raises(OSError), export.replacing_folder(old) as temporary:
        temporary.mkdir()
        (temporary / "half").write_text("")
        raise OSError("disk full")
    assert [p.name for p in tmp_path.iterdir()] == ["saved_model"]
    assert (old / "file").read_text() == "kept"
