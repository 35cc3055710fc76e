import golden
import numpy as np
import pytest

from tfdeblur import models, weights
from tfdeblur.errors import InputError


@pytest.fixture
def net():
    return models.build("mimo_unet", resblocks=1)


@pytest.fixture
def state():
    return golden.state_dict(golden.arrays("mimo_unet"))


def all_weights(net):
    return [np.array(w) for w in net.get_weights()]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: s.pop("Convs.0.main.0.bias"), "1 missing: Convs.0.main.0.bias"),
        (lambda s: s.update(extra=np.zeros(3)), "1 unexpected: extra"),
        (
            lambda s: s.update({"Convs.0.main.0.bias": np.zeros(7)}),
            r"1 misshaped: Convs.0.main.0.bias \(7,\), expected \(64,\)",
        ),
    ],
)
def test_wrong_state_dicts_are_refused_and_change_nothing(net, state, damage, message):
    before = all_weights(net)
    damage(state)
    with pytest.raises(InputError, match=message):
        weights.from_torch(net, state)
    for now, then in zip(all_weights(net), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_weights_of_another_network_are_refused(net):
    state = golden.state_dict(golden.arrays("deepdeblur_k3"))
    with pytest.raises(InputError, match=r"missing: .*unexpected: body_models"):
        weights.from_torch(net, state)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_load_round_trip(net, state, suffix, tmp_path):
    weights.from_torch(net, state)
    path = tmp_path / f"net{suffix}"
    net.save(path) if suffix == ".keras" else net.save_weights(path)
    other = models.build("mimo_unet", resblocks=1)
    weights.load(other, path)
    for now, then in zip(all_weights(other), all_weights(net), strict=True):
        np.testing.assert_array_equal(now, then)


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
    with pytest.raises(InputError, match=r"no trained model under runs/"):
        weights.open_network()
    with pytest.raises(InputError, match="random weights without --weights"):
        weights.open_network("mimo_unet")
    path = tmp_path / "runs" / "quickstart" / "model.keras"
    path.parent.mkdir(parents=True)
    net.save(path)
    found, source = weights.open_network()
    assert source == "runs/quickstart/model.keras"
    np.testing.assert_array_equal(found.get_weights()[0], net.get_weights()[0])


@pytest.mark.parametrize("nested", [True, False])
def test_pytorch_checkpoints(net, state, nested, tmp_path):
    torch = pytest.importorskip("torch")
    tensors = {name: torch.from_numpy(value) for name, value in state.items()}
    path = tmp_path / "MIMO-UNet.pkl"
    torch.save({"model": tensors, "epoch": 3} if nested else tensors, path)
    weights.load(net, path)
    kernel = np.asarray(net.get_layer("image3").kernel)
    np.testing.assert_array_equal(kernel[2, 0, 5, 1], state["ConvsOut.0.main.0.weight"][1, 5, 2, 0])


def test_checkpoints_that_would_run_code_are_refused(net, tmp_path):
    torch = pytest.importorskip("torch")

    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"model": Hostile()}, tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"net\.pt is not a readable PyTorch checkpoint"):
        weights.load(net, tmp_path / "net.pt")
    assert not (tmp_path / "ran").exists()
