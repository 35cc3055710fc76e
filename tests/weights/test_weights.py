import os
import subprocess
import sys

import golden
import numpy as np
import pytest
import torch_writer

from tfdeblur import models, weights
from tfdeblur.cli.weights import _run as weights_command
from tfdeblur.errors import InputError


@pytest.fixture
def net():
    return models.build("mimo_unet", resblocks=1)


@pytest.fixture
def state():
    return golden.state_dict(golden.arrays("mimo_unet"))


def all_weights(net):
    return [np.array(w) for w in net.get_weights()]


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_load_round_trip(net, state, suffix, tmp_path):
    weights.from_torch(net, state)
    path = tmp_path / f"net{suffix}"
    net.save(path) if suffix == ".keras" else net.save_weights(path)
    other = models.build("mimo_unet", resblocks=1)
    weights.load(other, path)
    for now, then in zip(all_weights(other), all_weights(net), strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_files_of_another_architecture_are_refused(net, suffix, tmp_path):
    path = tmp_path / f"net{suffix}"
    net.save(path) if suffix == ".keras" else net.save_weights(path)
    for other in (models.build("mimo_unet", resblocks=2), models.build("mimo_unet", filters=16)):
        with pytest.raises(InputError, match=str(path)):
            weights.load(other, path)


def test_broken_and_missing_files_are_refused(net, tmp_path):
    for name in ("net.keras", "net.weights.h5"):
        (tmp_path / name).write_bytes(b"not a network")
        with pytest.raises(InputError, match=name):
            weights.load(net, tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        weights.load(net, tmp_path / "none.keras")
    (tmp_path / "net.txt").write_text("")
    with pytest.raises(InputError, match=r"weights are \.keras"):
        weights.load(net, tmp_path / "net.txt")


def test_open_network(net, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="random weights without `weights=FILE`: restoring"):
        weights.open_network("mtwnet")
    with pytest.raises(InputError, match="or one of the published gopro: restoring"):
        weights.open_network("mimo_unet")
    path = tmp_path / "runs" / "quickstart" / "model.keras"
    path.parent.mkdir(parents=True)
    net.save(path)
    found, source = weights.open_network("runs/quickstart/model.keras")
    assert source == "runs/quickstart/model.keras"
    np.testing.assert_array_equal(found.get_weights()[0], net.get_weights()[0])


def test_the_authors_file_of_a_network_is_a_model(state, tmp_path):
    path = tmp_path / "MIMO-UNet.pkl"
    torch_writer.write(path, state)
    found, source = weights.open_network(str(path))
    assert (found.name, source) == ("mimo_unet", str(path))
    with pytest.raises(InputError, match=r"none\.pkl: no such file"):
        weights.open_network(str(tmp_path / "none.pkl"))
    with pytest.raises(InputError, match=r"`model=mimo_unett` .* Did you mean mimo_unet\?"):
        weights.open_network("mimo_unett")


def test_trained_models_are_listed_the_newest_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert weights.trained_models() == []
    for name, age in (("a", 1), ("b", 3), ("c", 2)):
        path = tmp_path / "runs" / name / "model.keras"
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (age, age))
    assert [path.parts[1] for path in weights.trained_models()] == ["b", "c", "a"]


@pytest.mark.parametrize("old_format", [False, True])
@pytest.mark.parametrize("suffix", [".pt", ".pkl", ".pth"])
def test_pytorch_files(net, state, suffix, old_format, tmp_path):
    path = tmp_path / f"MIMO-UNet{suffix}"
    torch_writer.write(path, state, old_format, under="model")
    weights.load(net, path)
    kernel = np.asarray(net.get_layer("image3").kernel)
    np.testing.assert_array_equal(kernel[2, 0, 5, 1], state["ConvsOut.0.main.0.weight"][1, 5, 2, 0])


def test_pytorch_files_decide_about_hyperparameters(net, state, tmp_path):
    weights.from_torch(net, state)
    path = tmp_path / "net.pkl"
    torch_writer.write(path, state)
    opened, source = weights.open_network("mimo_unet", path)
    assert opened.hyperparameters["resblocks"] == 1
    assert source == f"mimo_unet with {path}"
    for now, then in zip(all_weights(opened), all_weights(net), strict=True):
        np.testing.assert_array_equal(now, then)


def test_pytorch_files_of_another_architecture_are_refused(net, tmp_path):
    path = tmp_path / "net.pt"
    torch_writer.write(path, golden.state_dict(golden.arrays("deepdeblur_k3")), under="G")
    with pytest.raises(InputError, match=r"net\.pt`: these weights are not of 'mimo_unet'"):
        weights.load(net, path)
    with pytest.raises(InputError, match=r"net\.pt` are of deepdeblur: give `model=deepdeblur`"):
        weights.open_network("mimo_unet", path)
    torch_writer.write(path, {"conv1.weight": np.ones((2, 3, 5, 5))})
    with pytest.raises(InputError, match=r"net\.pt: these weights are of none of DeepDeblur"):
        weights.open_network("mimo_unet", path)


def test_conversion(net, state, tmp_path, capsys):
    weights.from_torch(net, state)
    source, target = tmp_path / "MIMO-UNet.pkl", tmp_path / "net.keras"
    torch_writer.write(source, state, old_format=True, under="model")
    command = ["weights", "convert", str(source), str(target)]
    weights_command(command)
    assert f"{source} holds mimo_unet {{'filters': 32, 'resblocks': 1" in capsys.readouterr().out
    converted = weights.load_network(target)
    for now, then in zip(all_weights(converted), all_weights(net), strict=True):
        np.testing.assert_array_equal(now, then)
    with pytest.raises(InputError, match=r"net\.keras: name a new file ending in \.keras"):
        weights_command(command)
    with pytest.raises(InputError, match=r"`convert FILE OUT\.keras`, or `convert NETWORK"):
        weights_command(["weights", "convert"])


def test_a_conversion_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    net = models.build("mimo_unet", filters=4, resblocks=1)
    monkeypatch.setattr(weights, "import_network", lambda file: net)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"^cannot write .*file/net\.keras"):
        weights_command(["weights", "convert", "a.pkl", f"{tmp_path}/file/net.keras"])
    weights_command(["weights", "convert", "a.pkl", f"{tmp_path}/new/net.keras"])
    assert weights.load_network(tmp_path / "new" / "net.keras").name == net.name

    def stopped(path):
        path.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(net, "save", stopped)
    with pytest.raises(KeyboardInterrupt):
        weights_command(["weights", "convert", "a.pkl", f"{tmp_path}/new/b.keras"])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["net.keras"]


@pytest.mark.slow
def test_command():
    command = [sys.executable, "-m", "tfdeblur.weights", "list"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert "--model=dmphn --weights=gopro\n    trained on   gopro/blur\n" in done.stdout
