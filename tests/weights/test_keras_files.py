"""Files that were made to do harm: each is refused in one line, and nothing in it is run."""

import json
import os
import shutil
import zipfile

import golden
import h5py
import numpy as np
import pytest

from tfdeblur import models, precision, weights
from tfdeblur.errors import InputError

NETWORK = golden.FOLDER / "before_subpackages" / "model.keras"


@pytest.fixture
def made(tmp_path):
    """A function that writes a `.keras` file with a changed config, changed arrays, new members."""

    def write(config=None, change=None, members=(), compression=zipfile.ZIP_STORED):
        path = tmp_path / "made.keras"
        with zipfile.ZipFile(NETWORK) as source:
            contents = {name: source.read(name) for name in source.namelist()}
        if config is not None:
            contents["config.json"] = config(json.loads(contents["config.json"]))
        if change:
            file = tmp_path / "model.weights.h5"
            file.write_bytes(contents["model.weights.h5"])
            with h5py.File(file, "a") as opened:
                change(opened)
            contents["model.weights.h5"] = file.read_bytes()
        with zipfile.ZipFile(path, "w", compression) as target:
            for name, content in {**contents, **dict(members)}.items():
                target.writestr(name, content)
        return path

    return write


def refused(path, match):
    with pytest.raises(InputError, match=match) as caught:
        weights.load_network(path)
    assert "\n" not in str(caught.value)


def test_what_was_not_changed_is_read(made):
    assert weights.load_network(made(compression=zipfile.ZIP_DEFLATED)).name == "deepdeblur"


def changed(**changes):
    return lambda config: json.dumps({**config, **changes})


@pytest.mark.parametrize(
    "config",
    [
        changed(class_name="Lambda", registered_name=None, module="keras.layers"),
        changed(class_name="system", registered_name="system", module="os"),
        changed(class_name="Network", registered_name="tfdeblur>Network"),
        changed(registered_name="tfdeblur>Other"),
    ],
)
def test_a_config_may_name_our_networks_alone(made, config):
    refused(made(config), "not a network of tfdeblur")


def test_hyperparameters_are_words_and_small_numbers(made):
    for value in ({"class_name": "Lambda"}, -1, 10**9, "x" * 1000, [[1] * 100], 1e300):
        refused(
            made(lambda c, v=value: json.dumps({**c, "config": {**c["config"], "filters": v}})),
            "hyperparameter 'filters'",
        )


def test_a_network_tells_how_it_was_trained(tmp_path):
    network = models.build("deepdeblur", scales=1, filters=4, resblocks=1)
    assert "origin" not in network.get_config()
    network.origin = {"recipe": "deepdeblur_k1", "dataset": "gopro/blur_gamma"}
    network.save(tmp_path / "net.keras")
    read = weights.load_network(tmp_path / "net.keras")
    assert read.origin == precision.cast(read, "float32").origin == network.origin
    fresh = models.build("deepdeblur", scales=1, filters=4, resblocks=1)
    weights.load(fresh, tmp_path / "net.keras")
    assert fresh.origin == network.origin
    network.save_weights(tmp_path / "net.weights.h5")
    weights.load(fresh, tmp_path / "net.weights.h5")
    assert fresh.origin == {}


@pytest.mark.parametrize("origin", [{"path": "x"}, {"recipe": 3}, {"recipe": "x" * 300}, [1]])
def test_an_origin_is_made_of_known_names(origin, made):
    def config(original):
        original["config"]["origin"] = origin
        return json.dumps(original)

    refused(made(config), "tells of an origin|is broken")


def test_a_network_larger_than_its_weights_is_not_built(made):
    for changes in ({"filters": 4096}, {"resblocks": 4000}):
        refused(
            made(lambda c, x=changes: json.dumps({**c, "config": {**c["config"], **x}})),
            "asks for an array .* that it does not hold",
        )


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"a": ' * 1000 + "1" + "}" * 1000, "{", "[1]", "\0\xff"]
)
def test_configs_that_are_none(made, content):
    refused(made(lambda _: content), "broken|nested|too large")


def test_other_members(made):
    refused(made(members={"evil.py": "print()"}), "holds other files")


def test_encrypted(made):
    path = made()
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\1\2")
    content[at + 8] |= 1
    path.write_bytes(content)
    refused(path, "is encrypted")


FIRST = "layers/conv2d_transpose/vars/0"


def external(file):
    del file[FIRST]
    file.create_dataset(FIRST, (5, 5, 3, 3), "f4", external=[("/etc/passwd", 0, 900)])


def external_link(file):
    del file[FIRST]
    file[FIRST] = h5py.ExternalLink("/tmp/other.h5", "/x")


def soft_link(file):
    file["layers/again"] = h5py.SoftLink("/layers")


def circle(file):
    file["layers/again"] = file["layers"]


def never_stored(file):
    file.create_dataset("layers/huge", (2**31,), "f4")


def compressed(file):
    file.create_dataset("layers/zeros", (2**20,), "f4", compression="gzip", data=np.zeros(2**20))


def virtual(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (4,))
    file.create_virtual_dataset("layers/virtual", layout)


@pytest.mark.parametrize(
    "change", [external, external_link, soft_link, circle, never_stored, compressed, virtual]
)
def test_arrays_lie_in_the_file_itself(made, change):
    refused(made(change=change), "outside of itself|links its|a group twice")


def test_arrays_of_another_type_are_not_cast(made):
    def change(file):
        value = file[FIRST][...].astype("f8")
        del file[FIRST]
        file[FIRST] = value

    refused(made(change=change), "asks for an array")


def test_not_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.keras")
    refused(tmp_path / "pipe.keras", "no regular file")
    (tmp_path / "text.keras").write_text("no network")
    refused(tmp_path / "text.keras", "is broken")


def test_weights_files_are_held_to_the_same(tmp_path):
    net = models.build("mimo_unet", filters=4, resblocks=1)
    net.save_weights(tmp_path / "a.weights.h5")
    shutil.copy(tmp_path / "a.weights.h5", tmp_path / "b.weights.h5")
    weights.load(net, tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "b.weights.h5", "a") as file:
        never_stored(file)
    with pytest.raises(InputError, match="outside of itself"):
        weights.load(net, tmp_path / "b.weights.h5")
