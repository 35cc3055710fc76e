"""Published weights, fetched from a server of our own."""

import dataclasses
import hashlib
import http.server
import pathlib
import shutil
import threading

import golden
import numpy as np
import pytest
import torch_writer

from tfdeblur import models, weights
from tfdeblur.cli.weights import _run as weights_command
from tfdeblur.errors import InputError
from tfdeblur.evaluation.protocols import PROTOCOLS
from tfdeblur.weights import catalogue

PUBLISHED = pathlib.Path(__file__).parents[3] / "shared" / "published"
TINY = {"patches": (1, 2), "filters": 2}


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        if self.path in self.server.cut_off:
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"the beginning")
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    """Serves tmp_path/served; `requests` holds the paths that were asked for."""
    (tmp_path / "served").mkdir()

    def handle(*arguments):
        Handler(*arguments, directory=tmp_path / "served")

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handle) as server:
        server.requests, server.cut_off = [], set()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def entry(server, tmp_path, monkeypatch):
    """A small DMPHN in the catalogue, at the server; the cache is tmp_path/cache."""
    served = tmp_path / "served"
    shapes = {k: v for k, v in golden.arrays("dmphn_seeded").items() if k.startswith("shape/")}
    random = np.random.default_rng(0)
    for module in ("encoder", "decoder"):
        for level in (1, 2):
            state = {
                key.split(".", 1)[1]: random.random([n * 2 // 32 or n for n in shape], "float32")
                for key, shape in shapes.items()
                if key.startswith(f"shape/{module}.")
            }
            torch_writer.write(served / f"{module}_lv{level}.pkl", state, old_format=True)
    entry = dataclasses.replace(
        catalogue.CATALOGUE[0],
        hyperparameters=TINY,
        address=f"http://127.0.0.1:{server.server_port}",
        files={
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in served.iterdir()
        },
    )
    monkeypatch.setattr(catalogue, "CATALOGUE", (entry, *catalogue.CATALOGUE[1:]))
    monkeypatch.setenv("TFDEBLUR_CACHE", str(tmp_path / "cache"))
    return entry


def test_published_weights_are_fetched_once(entry, server, tmp_path, capsys):
    net, source = weights.open_network("dmphn", "gopro")
    assert source == "dmphn with gopro"
    assert sorted(server.requests) == sorted(f"/{file}" for file in entry.files)
    assert "100%" in capsys.readouterr().err  # the progress bar
    by_hand = weights.import_network(tmp_path / "served")
    for got, expected in zip(net.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)

    server.requests.clear()
    other = models.build("dmphn", **TINY)
    weights.load(other, "gopro")
    assert not server.requests
    np.testing.assert_array_equal(other.get_weights()[0], net.get_weights()[0])


def test_published_weights_of_another_architecture_are_refused(entry):
    with pytest.raises(InputError, match=r"not of 'dmphn'.*missing: .*_lv3"):
        weights.load(models.build("dmphn", patches=(1, 2, 4), filters=2), "gopro")


def test_a_damaged_cache_is_repaired(entry, server):
    files = catalogue.fetch(entry)
    files[0].write_bytes(b"damaged")
    server.requests.clear()
    catalogue.fetch(entry)
    assert server.requests == [f"/{files[0].name}"]
    assert files[0].read_bytes() != b"damaged"


def test_files_with_another_content_are_refused(entry, tmp_path):
    (tmp_path / "served" / "encoder_lv1.pkl").write_bytes(b"<html>log in first</html>")
    sha256 = entry.files["encoder_lv1.pkl"]
    with pytest.raises(InputError, match=rf"encoder_lv1\.pkl is not.* published.*{sha256}"):
        catalogue.fetch(entry)
    assert not list((tmp_path / "cache").rglob("encoder_lv1.pkl"))


def test_downloads_that_break_off_leave_nothing(entry, server, tmp_path):
    server.cut_off.add("/encoder_lv1.pkl")
    with pytest.raises(InputError, match=r"encoder_lv1\.pkl broke off after"):
        catalogue.fetch(entry)
    assert not list((tmp_path / "cache").rglob("encoder_lv1.pkl"))


def test_files_may_be_put_into_the_cache_by_hand(entry, tmp_path):
    offline = dataclasses.replace(entry, address="http://127.0.0.1:9/weights")
    folder = tmp_path / "cache" / "dmphn" / "gopro"
    with pytest.raises(InputError) as error:
        catalogue.fetch(offline)
    file = next(iter(entry.files))
    assert f"http://127.0.0.1:9/weights/{file} cannot be fetched to {folder}" in str(error.value)
    assert f"put it at {folder / file} (sha256 {entry.files[file]})" in str(error.value)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(tmp_path / "served" / "decoder_lv2.pkl", folder)
    with pytest.raises(InputError) as error:
        catalogue.fetch(offline)
    missing = ", ".join(name for name in entry.files if name != "decoder_lv2.pkl")
    assert f"Of the 4 files of dmphn with gopro, 3 are missing in {folder}: {missing};" in str(
        error.value
    )
    shutil.copytree(tmp_path / "served", folder, dirs_exist_ok=True)
    assert [path.name for path in catalogue.fetch(offline)] == list(entry.files)


def test_weights_for_browsers_only_have_their_place_and_their_name(tmp_path, monkeypatch, capsys):
    entry = dataclasses.replace(
        catalogue.find("mimo_unet", "gopro"), hyperparameters={"resblocks": 1}
    )
    monkeypatch.setattr(catalogue, "CATALOGUE", (entry,))
    monkeypatch.setenv("TFDEBLUR_CACHE", str(tmp_path))
    path = tmp_path / "mimo_unet" / "gopro" / "model.pkl"
    assert str(path) in str(entry) and catalogue.cached() == []
    with pytest.raises(InputError, match=rf"download from {entry.address} .*put it at {path}"):
        weights.open_network("mimo_unet", "gopro")

    path.parent.mkdir(parents=True)
    torch_writer.write(path, golden.state_dict(golden.arrays("mimo_unet")))
    assert catalogue.cached() == [entry]
    weights_command(["weights", "convert", "mimo_unet", "gopro", str(tmp_path / "net.keras")])
    assert capsys.readouterr().out.startswith("mimo_unet with gopro holds mimo_unet {'filters'")
    assert weights.load_network(tmp_path / "net.keras").origin == {"weights": "gopro"}

    torch_writer.write(path, {"conv.weight": np.ones((1, 1, 3, 3))})
    with pytest.raises(InputError, match=rf"If this is not what {entry.address} offers, put that"):
        weights.open_network("mimo_unet", "gopro")


def test_unknown_names_are_told_where_to_look(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InputError, match=r"goproo: no such file.* of dmphn \(gopro, .* Did you mean gopro\?"
    ):
        weights.open_network("dmphn", "goproo")


def test_weights_at_an_address(entry, server, tmp_path):
    net = models.build("dmphn", **TINY)
    net.save(tmp_path / "served" / "net.keras")
    other = models.build("dmphn", **TINY)
    weights.load(other, f"{entry.address}/net.keras")
    for got, expected in zip(other.get_weights(), net.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)
    with pytest.raises(InputError, match=r"none\.keras cannot be fetched .*HTTPError"):
        weights.load(other, f"{entry.address}/none.keras")
    with pytest.raises(InputError, match=r"^http://\[ is no address"):
        weights.load(other, "http://[")


def test_a_web_page_is_not_kept_in_the_place_of_weights(entry, tmp_path):
    file = tmp_path / "served" / "net.keras"
    file.write_bytes(b"\xef\xbb\xbf\n<html>log in first</html>")
    with pytest.raises(InputError, match=rf"{entry.address}/net\.keras is a web page"):
        catalogue.fetch_url(f"{entry.address}/net.keras")
    assert not list((tmp_path / "cache" / "urls").iterdir())
    file.write_bytes(b"weights")
    path = catalogue.fetch_url(f"{entry.address}/net.keras")
    path.write_bytes(b"<html>")  # kept by an earlier version
    assert catalogue.fetch_url(f"{entry.address}/net.keras").read_bytes() == b"weights"


def test_entries_are_complete():
    names = {(entry.network, entry.name) for entry in catalogue.CATALOGUE}
    assert len(names) == len(catalogue.CATALOGUE)
    for entry in catalogue.CATALOGUE:
        assert entry.network in models.NETWORKS
        assert {x.protocol for x in entry.published} <= {None, *PROTOCOLS}
        assert entry.address.startswith("https://")
        assert all(len(bytes.fromhex(sha256)) == 32 for sha256 in entry.files.values() if sha256)


@pytest.mark.parametrize("entry", [x for x in catalogue.CATALOGUE if x.network == "dmphn"])
def test_entries_list_the_modules_of_their_network(entry):
    levels, stacks = len(entry.hyperparameters["patches"]), entry.hyperparameters.get("stacks")
    suffixes = [f"_s{s}" for s in range(1, stacks + 1)] if stacks else [""]
    assert set(entry.files) == {
        f"{module}{suffix}_lv{level}.pkl"
        for module in ("encoder", "decoder")
        for suffix in suffixes
        for level in range(1, levels + 1)
    }


def test_the_authors_files(tmp_path, monkeypatch):
    """They are not ours to ship."""
    if not PUBLISHED.is_dir():
        pytest.skip(f"the authors' weights are missing: {PUBLISHED}")
    sums = [line.split() for line in (PUBLISHED / "SHA256SUMS").read_text().splitlines()]
    entry = catalogue.find("dmphn", "gopro")
    assert entry.files == {file: sha256 for sha256, file in sums}
    monkeypatch.setenv("TFDEBLUR_CACHE", str(tmp_path))
    (tmp_path / "dmphn").mkdir()
    (tmp_path / "dmphn" / "gopro").symlink_to(PUBLISHED / "dmphn_1_2_4_8")
    net, _ = weights.open_network("dmphn", "gopro")
    assert net.hyperparameters["patches"] == [1, 2, 4, 8]


def test_two_entries_of_the_same_files_share_them():
    of_windows, whole = (
        catalogue.find("restormer", "gopro"),
        catalogue.find("restormer", "gopro_global"),
    )
    assert catalogue.paths(of_windows) == catalogue.paths(whole)
    files = [path for entry in catalogue.CATALOGUE for path in catalogue.paths(entry)]
    assert len(files) == len(set(files)) + 2  # and MPRNet's two
