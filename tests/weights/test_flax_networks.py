"""The authors' Flax weights, in dictionaries and in files."""

import contextlib
import pickle
import struct
import subprocess
import sys
import zipfile

import golden
import numpy as np
import pytest

from tfdeblur import models, weights
from tfdeblur.errors import InputError
from tfdeblur.weights import catalogue, flax_files, flax_networks

SMALL = {"filters": 8, "stages": 2, "groups": 1, "bottleneck_blocks": 1}
BIAS = "opt/target/stage_1_output_conv_2/bias"
KERNEL = "opt/target/stage_0_cross_gating_block_1/in_project_x/kernel"


@pytest.fixture(scope="module")
def net():
    return models.build("maxim", **SMALL)


@pytest.fixture
def arrays():
    weights = golden.state_dict(golden.arrays("maxim_small"))
    return {f"opt/target/{name}": value.astype("float32") for name, value in weights.items()}


def test_architectures_are_recognised(arrays):
    assert flax_networks.recognise(arrays) == ("maxim", SMALL)


def test_other_weights_are_not_recognised(arrays):
    with pytest.raises(InputError, match=r"not of MAXIM.*begin with conv\.weight"):
        flax_networks.recognise({"conv.weight": np.zeros(3)})
    arrays["opt/target/stage_0_input_conv_0/kernel"] = np.zeros((1, 1, 1, 100_000), "float32")
    with pytest.raises(InputError, match=r"only \d+ numbers"):
        flax_networks.recognise(arrays)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (BIAS, None, f"1 missing: {BIAS}"),
        ("opt/target/more/bias", np.zeros(3), "1 unexpected: opt/target/more/bias"),
        ("step", np.zeros(3), "1 unexpected: step"),
        (KERNEL, np.zeros((16, 8), "float32"), rf"1 misshaped: {KERNEL} \(16, 8\), .*\(16, 16\)"),
        (KERNEL, np.zeros((1, 1, 16, 16), "float32"), f"1 misshaped: {KERNEL}"),
        (BIAS, np.zeros(3, "int32"), rf"1 without floating-point numbers: {BIAS} \(int32\)"),
        (BIAS, np.array([0, np.nan, 0], "float32"), f"1 not finite: {BIAS}"),
        (BIAS, np.array([0, 1e300, 0]), f"1 not finite: {BIAS}"),
    ],
)
def test_anything_but_the_networks_weights_is_refused(net, arrays, key, value, message):
    before = net.get_weights()
    arrays.pop(key, None)
    if value is not None:
        arrays[key] = value
    with pytest.raises(InputError, match=message):
        weights.from_flax(net, arrays)
    for got, expected in zip(net.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_the_optimizers_own_are_left_aside(net, arrays):
    weights.from_flax(net, {**arrays, "opt/state/step": np.int32(7)})


def test_networks_without_flax_weights_are_told(arrays):
    with pytest.raises(InputError, match="no Flax weights are known"):
        weights.from_flax(models.build("mimo_unet", filters=8, resblocks=1), arrays)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_files(net, arrays, tmp_path, save):
    path = tmp_path / "checkpoint.npz"
    save(path, **{**arrays, KERNEL: np.asfortranarray(arrays[KERNEL])})
    for name, array in flax_files.read_arrays(path).items():
        np.testing.assert_array_equal(np.asarray(array), arrays[name])
    weights.load(net, path)
    opened, source = weights.open_network("maxim", path)
    assert source == f"maxim with {path}" and opened.hyperparameters == SMALL
    for got, expected in zip(opened.get_weights(), net.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)
    with pytest.raises(InputError, match=r"checkpoint\.npz: these weights are not of 'maxim'"):
        weights.load(models.build("maxim", **{**SMALL, "stages": 1}), path)


def test_the_command_converts(net, arrays, tmp_path):
    np.savez(tmp_path / "checkpoint.npz", **arrays)
    command = [sys.executable, "-m", "tfdeblur.weights", "convert", "checkpoint.npz", "maxim.keras"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("checkpoint.npz holds maxim {'filters': 8, 'stages': 2")
    weights.from_flax(net, arrays)
    converted = weights.load_network(tmp_path / "maxim.keras")
    for got, expected in zip(converted.get_weights(), net.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


def _refused(path):
    with pytest.raises(InputError) as error:
        {name: np.asarray(array) for name, array in flax_files.read_arrays(path).items()}
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)
    return str(error.value)


def test_wrong_files_are_refused_in_one_line(tmp_path):
    path = tmp_path / "checkpoint.npz"
    assert "damaged" in _refused(path)  # missing
    for content in (b"", b"PK\3\4", b"\x80\4K\1.", bytes(1000)):
        path.write_bytes(content)
        assert "is damaged, or no .npz file" in _refused(path)
    path.write_bytes(b"\n <!doctype html><title>Sign in</title>")
    assert "is a web page" in _refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "no file of NumPy arrays: it holds 'readme.txt'" in _refused(path)


def test_damaged_files_are_refused_in_one_line(tmp_path):
    path = tmp_path / "checkpoint.npz"
    np.savez(path, a=np.arange(500, dtype="float32"), b=np.ones((30, 4), "float32"))
    content = path.read_bytes()
    random = np.random.default_rng(0)
    for length in random.integers(0, len(content) - 1, 20):
        path.write_bytes(content[:length])
        _refused(path)
    damaged = bytearray(content)
    damaged[content.index(struct.pack("<f", 400.0))] ^= 1
    path.write_bytes(damaged)
    assert "CRC" in _refused(path)
    for position in random.integers(0, len(content), 200):
        damaged = bytearray(content)
        damaged[position] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        with contextlib.suppress(InputError):  # a date, say, may be anything
            {name: np.asarray(array) for name, array in flax_files.read_arrays(path).items()}


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('unpickled')",)


def test_pickles_are_refused_unread(tmp_path):
    path = tmp_path / "checkpoint.npz"
    trap = np.empty(1, object)
    trap[0] = Trap()
    np.savez(path, a=trap)
    assert "a.npy, which is no array of numbers; nothing was run" in _refused(path)
    path.write_bytes(pickle.dumps(Trap()))
    _refused(path)


def _header(shape, size=None):
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (size or 0) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (_header("(10**12,)"), "damaged"),
        (_header("(1000000000000,)"), "not as long as its shape says"),
        (_header("(-1,)"), "impossible shape"),
        (_header("(3,)", 20_000), "damaged"),
        (b"\x93NUMPY\3\0" + b"\0" * 20, "version"),
        (b"no array", "damaged"),
    ],
)
def test_headers_that_lie_take_no_memory(tmp_path, header, message):
    path = tmp_path / "checkpoint.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", header + bytes(12))
    assert message in _refused(path)


def test_files_larger_than_any_network_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.npz"
    np.savez_compressed(path, a=np.zeros(600), b=np.zeros(600))
    monkeypatch.setattr(flax_files, "MOST_NUMBERS", 1000)
    assert "more numbers than any network" in _refused(path)
    monkeypatch.setattr(flax_files, "MOST_ARRAYS", 1)
    assert "holds 2 files" in _refused(path)


def test_published_files_are_checked_by_content(net, arrays, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDEBLUR_CACHE", str(tmp_path))
    path = tmp_path / "maxim" / "gopro" / "checkpoint.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, **arrays)
    weights.load(net, "gopro")
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match=r"is a web page.*storage\.googleapis\.com.*remove"):
        weights.load(net, "gopro")
    assert "licence      Apache-2.0" in str(catalogue.find("maxim", "gopro"))
