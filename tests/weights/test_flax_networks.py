"""The authors' Flax weights, in dictionaries and in files."""

import contextlib
import dataclasses
import http.server
import pathlib
import pickle
import struct
import subprocess
import sys
import threading
import zipfile

import golden
import numpy as np
import pytest

from tfdeblur import models, weights
from tfdeblur.errors import InputError
from tfdeblur.weights import catalogue, flax_files, flax_networks

SHARED = pathlib.Path(__file__).parents[3] / "shared"
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    with pytest.raises(InputError, match=r"checkpoint\.npz`: these weights are not of 'maxim'"):
        weights.load(models.build("maxim", **{**SMALL, "stages": 1}), path)


@pytest.mark.slow
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


@pytest.fixture
def published(net, arrays, tmp_path, monkeypatch):
    """An entry of the catalogue that a local server has; the cache is tmp_path/cache."""
    (tmp_path / "served").mkdir()
    np.savez(tmp_path / "served" / "checkpoint.npz", **arrays)

    def handle(*arguments):
        http.server.SimpleHTTPRequestHandler(*arguments, directory=tmp_path / "served")

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handle) as server:
        entry = dataclasses.replace(
            catalogue.find("maxim", "gopro"),
            hyperparameters=SMALL,
            address=f"http://127.0.0.1:{server.server_port}",
            digest=flax_networks.digest(arrays),
        )
        monkeypatch.setattr(catalogue, "CATALOGUE", (entry,))
        monkeypatch.setenv("TFDEBLUR_CACHE", str(tmp_path / "cache"))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield entry
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_published_files_are_fetched_once(published, arrays, tmp_path, capsys):
    opened, source = weights.open_network("maxim", "gopro")
    assert source == "maxim with gopro" and opened.hyperparameters == SMALL
    told = capsys.readouterr().err
    assert "checkpoint.npz: 100%" in told and "warning" not in told
    kernel = arrays["opt/target/stage_0_input_conv_0/kernel"]
    np.testing.assert_array_equal(opened.get_layer("stage1_in1").kernel, kernel)
    (tmp_path / "served" / "checkpoint.npz").unlink()
    weights.open_network("maxim", "gopro")


@pytest.mark.slow
def test_they_are_the_default(published, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert weights.open_network()[1] == "maxim with gopro"
    other = dataclasses.replace(published, name="realblur_j", digest=None)
    monkeypatch.setattr(catalogue, "CATALOGUE", (published, other))
    assert weights.open_network(weights="realblur_j")[1] == "maxim with realblur_j"


def test_without_a_network_the_default_is_told_how_to_be_had(published, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    offline = dataclasses.replace(published, address="http://127.0.0.1:9")
    monkeypatch.setattr(catalogue, "CATALOGUE", (offline,))
    path = tmp_path / "cache" / "maxim" / "gopro" / "checkpoint.npz"
    with pytest.raises(InputError) as error:
        weights.open_network()
    told = f"http://127.0.0.1:9/checkpoint.npz cannot be fetched to {path.parent} "
    assert str(error.value).startswith(told)
    here = "Networks that are here already: `model=photographs`."
    assert str(error.value).endswith(f"put it at {path} (about 89 MB). {here}")

    trained = tmp_path / "runs" / "quickstart" / "model.keras"
    trained.parent.mkdir(parents=True)
    trained.touch()
    other = dataclasses.replace(published, name="reds")
    catalogue.fetch(other, check=lambda path: None)
    monkeypatch.setattr(catalogue, "CATALOGUE", (offline, other))
    here = "`model=photographs`; `model=runs/quickstart/model.keras`; `model=maxim` `weights=reds`"
    with pytest.raises(InputError, match=rf"Networks that are here already: {here}\.$"):
        weights.open_network()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda arrays: b"<!doctype html>", "it is a web page"),
        (lambda arrays: arrays.pop(BIAS), f"not of 'maxim'.*1 missing: {BIAS}"),
        (lambda arrays: arrays.update({BIAS: np.full(3, np.nan, "float32")}), "1 not finite"),
    ],
    ids=["page", "other weights", "NaN"],
)
def test_nothing_is_kept_of_other_files(published, net, arrays, tmp_path, damage, reason):
    page = damage(arrays)
    path = tmp_path / "served" / "checkpoint.npz"
    path.write_bytes(page) if isinstance(page, bytes) else np.savez(path, **arrays)
    message = rf"checkpoint\.npz did not give the weights .* nothing was kept: .*{reason}"
    with pytest.raises(InputError, match=message):
        weights.load(net, "gopro")
    assert not list((tmp_path / "cache" / "maxim" / "gopro").iterdir())


def test_files_in_the_cache_are_checked_by_content(published, net, arrays, tmp_path, capsys):
    path = tmp_path / "cache" / "maxim" / "gopro" / "checkpoint.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, **{**arrays, BIAS: arrays[BIAS] + 1})
    weights.load(net, "gopro")
    assert "does not hold the numbers that are known" in capsys.readouterr().err
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match=r"is a web page.*127\.0\.0\.1.*remove"):
        weights.load(net, "gopro")
    assert path.exists()


def test_the_digest_is_of_arrays_and_not_of_files(arrays):
    digest = flax_networks.digest(arrays)
    lost = "opt/target/stage_2_output_conv_1/bias"
    backwards = {name: np.asfortranarray(arrays[name]) for name in reversed(arrays)}
    assert digest == flax_networks.digest({**backwards, lost: np.ones(3), "opt/state/step": 7})
    assert digest != flax_networks.digest({**arrays, BIAS: arrays[BIAS] + 1})


def test_copies_without_heads_are_told(capsys):
    heads = [f"{head}{part}" for head in flax_networks._LOST for part in ("kernel", "bias")]
    flax_networks._warn_of_missing_heads({head: np.ones(3) for head in heads})
    assert not capsys.readouterr().err
    flax_networks._warn_of_missing_heads(
        {"other": np.ones(3), **{head: np.zeros(3) for head in heads}}
    )
    assert "heads at half and quarter size are zero" in capsys.readouterr().err


def test_the_recovered_weights_are_the_known_ones():
    """They are not ours to ship."""
    path = SHARED / "published" / "maxim_gopro" / "weights.npz"
    if not path.exists():
        pytest.skip(f"the authors' weights are missing: {path}")
    digest = flax_networks.digest(flax_files.read_arrays(path))
    assert digest == catalogue.find("maxim", "gopro").digest


def test_the_catalogue_tells_size_and_licence():
    told = str(catalogue.find("maxim", "gopro"))
    assert (
        "licence      Apache-2.0" in told and "1 file (about 89 MB), fetched on first use" in told
    )
