import io
import os
import subprocess
import sys

import imageio.v3 as imageio
import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import SMALL, all_but_few_long

import tfdeblur
from tfdeblur import export, files, models, restoration
from tfdeblur.cli import export as cli
from tfdeblur.errors import InputError

NETWORKS = {
    "deepdeblur": {"scales": 2, "filters": 4, "resblocks": 1},
    "deepdeblur, sub_pixel": {"scales": 2, "filters": 4, "resblocks": 1, "upsampling": "sub_pixel"},
    "mimo_unet_plus": {"filters": 4, "resblocks": 1},
    "mtwnet": {"filters": 2, "two_way": False},
    "dmphn": {"filters": 2, "patches": (1, 2)},
    "srn": {"filters": 2},
    # Windows are smaller than the pictures.
    "nafnet": SMALL["nafnet"] | {"window": 16},
    "mprnet": SMALL["mprnet"] | {"window": 16},
    "restormer": SMALL["restormer"] | {"window": 16},
    **{name: SMALL[name] for name in ("mt_rnn", "pss_nsc", "deblurgan", "deblurgan_v2", "maxim")},
}
FEW = ("deepdeblur", "deepdeblur, sub_pixel", "mimo_unet_plus")
LIMITS = {"maxim": 3e-5, "deblurgan_v2": 1e-4}  # norms divide what is nearly 0 at fresh weights
RUNTIMES = {"litert": "ai_edge_litert", "onnx": "onnxruntime"}


def build(name):
    keras.utils.set_random_seed(0)
    return models.build(name.partition(",")[0], **NETWORKS[name])


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_default_signature_is_uint8(served):
    default = served.signatures["serving_default"]
    ((_, spec),) = default.structured_input_signature[1].items()
    assert spec.dtype == tf.uint8 and spec.shape.as_list() == [None, None, None, 3]


@pytest.mark.slow
def test_loads_without_tfdeblur_and_keras(folder):
    code = (
        "import sys\n"
        "sys.modules['tfdeblur'] = sys.modules['keras'] = None  # importing them fails\n"
        "import tensorflow as tf\n"
        f"module = tf.saved_model.load({str(folder)!r})\n"
        "print(module.serve(tf.zeros([1, 7, 9, 3], tf.uint8)).shape)\n"
        "png = tf.io.encode_png(tf.zeros([7, 9, 3], tf.uint8))\n"
        "print(module.serve_encoded(png[None])['restored_bytes'].shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["(1, 7, 9, 3)", "(1,)"]


@pytest.mark.slow
def test_bfloat16_networks_are_exported_in_float32(tmp_path, net):
    half = tfdeblur.precision.cast(net, "bfloat16")
    export.save_saved_model(half, tmp_path / "saved_model")
    image = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), dtype="uint8")
    module = tf.saved_model.load(str(tmp_path / "saved_model"))
    restored = module.serve(image)
    np.testing.assert_array_equal(restored[0], tfdeblur.restore(net, image[0]))


def test_files_of_different_sizes_and_formats_in_one_batch(served):
    rng = np.random.default_rng(0)
    colour, grey, alpha = (
        rng.integers(0, 256, shape, dtype="uint8") for shape in ((5, 3, 3), (9, 16), (4, 4, 4))
    )
    jpeg = imageio.imwrite("<bytes>", np.full((8, 8, 3), 100, "uint8"), extension=".jpg")
    files = [imageio.imwrite("<bytes>", x, extension=".png") for x in (colour, grey, alpha)]
    restored = served.serve_encoded(tf.constant([*files, jpeg]))["restored_bytes"].numpy()
    decoded = [imageio.imread(io.BytesIO(png)) for png in restored]
    expected = [colour, np.repeat(grey[..., None], 3, axis=2), alpha[..., :3]]
    for one, image in zip(decoded, expected, strict=False):
        np.testing.assert_array_equal(one, served.serve(image[None])[0])
    assert decoded[3].shape == (8, 8, 3)


def test_broken_files_are_errors(served):
    png = imageio.imwrite("<bytes>", np.zeros((8, 8, 3), "uint8"), extension=".png")
    for broken, message in ((b"", "image"), (b"hello", "image file format"), (png[:-30], "PNG")):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            served.serve_encoded(tf.constant([broken]))


@pytest.mark.slow
@pytest.mark.parametrize("name", all_but_few_long(NETWORKS, FEW))
@pytest.mark.parametrize("kind", RUNTIMES)
def test_every_network_in_the_runtime_of_each_format(name, kind, tmp_path):
    pytest.importorskip(RUNTIMES[kind])
    path = tmp_path / f"net{export.SUFFIXES[kind]}"
    # It runs the file with two images of 37x53.
    net = build(name)
    limit = LIMITS.get(name, 1e-5)
    assert export.export(net, path, kind) <= limit
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    # Another size than the one that was checked.
    image = np.random.default_rng(1).integers(0, 256, (3, 5, 3), dtype="uint8")
    _, run = export.FORMATS[kind]
    restored = run(path, (image[None] / 255).astype("float32"))
    assert restored.dtype == np.float32 and restored.shape == (1, 3, 5, 3)
    np.testing.assert_allclose(restored[0], restoration.restore_float(net, image), atol=limit)


def test_a_form_that_restores_otherwise_is_not_written(tmp_path, net, monkeypatch):
    wrong = {"onnx": (lambda net, path: path.write_text(""), lambda path, images: images)}
    monkeypatch.setattr(export, "FORMATS", wrong)
    with pytest.raises(InputError, match="is not written: as onnx, 'deepdeblur' restores with"):
        export.export(net, tmp_path / "net.onnx", "onnx")
    assert not list(tmp_path.iterdir())


def test_a_network_that_a_format_cannot_hold_is_refused_in_one_line(tmp_path, net, monkeypatch):
    def refuse(path, images):
        raise RuntimeError("INVALID_GRAPH: no operator Erfc\nin node 7")

    monkeypatch.setattr(
        export, "FORMATS", {"onnx": (lambda net, path: path.write_text(""), refuse)}
    )
    with pytest.raises(InputError, match="onnx cannot hold 'deepdeblur', INVALID_GRAPH") as raised:
        export.export(net, tmp_path / "net.onnx", "onnx")
    assert "\n" not in str(raised.value) and "node 7" not in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "kind", "overwrite", "message"),
    [
        ("new", "tflite", False, "`format=tflite`: choose one of saved_model, litert, onnx"),
        ("new.onnx", "saved_model", False, "give `format=onnx`"),
        ("new.onnx", "litert", False, "give `format=onnx`"),
        ("new", "onnx", False, "name a file ending in .onnx"),
        ("photos", "saved_model", False, "give `overwrite=True`"),
        ("photos", "saved_model", True, "is no saved_model: name another place"),
        ("file/new", "saved_model", False, "cannot be written: .*file is no folder"),
        ("file/a/new.onnx", "onnx", False, "cannot be written: .*file is no folder"),
    ],
)
def test_targets_that_are_refused(name, kind, overwrite, message, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=message):
        export.check(tmp_path / name, kind, overwrite)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "photos"]


def test_a_missing_package_is_an_error_that_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r'pip install "tfdeblur\[export\]"'):
        export.check(tmp_path / "net.onnx", "onnx")


@pytest.mark.slow
def test_command(tmp_path, net, run_command):
    net.save(tmp_path / "net.keras")
    target = tmp_path / "served" / "1"
    done = run_command(cli, tmp_path / "net.keras", target)
    assert done.returncode == 0, done.stderr
    assert f"Wrote {target}: {tmp_path / 'net.keras'}, which it equals within" in done.stdout
    assert sorted(file.name for file in (tmp_path / "served").iterdir()) == ["1"]
    done = run_command(cli, tmp_path / "net.keras", target)
    assert done.returncode == 1 and f"error: {target} exists" in done.stderr


def write(folder, content):
    with files.replacing_folder(folder, export.SAVED_MODEL, "net") as temporary:
        (temporary / "saved_model.pb").write_text(content)
        (temporary / "assets").mkdir()
        if content == "half":
            raise OSError("disk full")


def test_a_failed_export_leaves_the_old_one(tmp_path):
    old = tmp_path / "saved_model"
    write(old, "kept")
    with pytest.raises(OSError):
        write(old, "half")
    assert [p.name for p in tmp_path.iterdir()] == ["saved_model"]
    assert (old / "saved_model.pb").read_text() == "kept"
    write(old, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["saved_model"]
    assert (old / "saved_model.pb").read_text() == "new"


def test_what_a_kill_left_goes_with_the_next_export(tmp_path):
    left, mine = (tmp_path / f".incomplete-{i}{i}{i}{i}aaaa-saved_model" for i in range(2))
    write(left, "of a kill")
    mine.mkdir()
    (mine / "saved_model.pb").write_text("mine")
    write(tmp_path / "saved_model", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [mine.name, "saved_model"]
    assert (mine / "saved_model.pb").read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["thesis.tex", "assets/words.txt", ".git/HEAD", "variables/.x.tmp"]
)
@pytest.mark.parametrize("listed", [False, True])
def test_a_folder_with_other_files_is_not_replaced(name, listed, tmp_path):
    """Neither beside an export of ours, nor in a SavedModel that another program wrote."""
    folder = tmp_path / "served"
    write(folder, "ours")
    if not listed:
        (folder / "tfdeblur.json").unlink()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("mine")
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    with pytest.raises(InputError, match="name another"):
        export.check(folder, "saved_model", overwrite=True)
    with pytest.raises(InputError, match="name another"):
        write(folder, "new")
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_padding_is_by_reflection():
    row = np.array([1, 2, 3], "float32")
    padded = export.pad_to_multiple(row.reshape(1, 1, 3, 1), 8)
    np.testing.assert_array_equal(padded[0, 0, :, 0], [1, 2, 3, 2, 1, 2, 3, 2])


@pytest.mark.slow
def test_keras_own_names_write_the_same(net, tmp_path, capsys):
    net.export(tmp_path / "exported")
    assert not capsys.readouterr().err
    net.save(tmp_path / "saved")
    assert "saved becomes a SavedModel" in capsys.readouterr().err
    images = np.random.default_rng(0).integers(0, 256, (1, 37, 53, 3), dtype="uint8")
    served = tf.saved_model.load(str(tmp_path / "saved"))
    restored = served.serve(images)[0].numpy().astype(int)
    assert np.abs(restored - tfdeblur.restore(net, images[0])).max() <= 1
    contents = [sorted(os.listdir(tmp_path / name)) for name in ("exported", "saved")]
    assert contents[0] == contents[1]
    with pytest.raises(InputError, match="exists"):
        net.export(tmp_path / "exported")
