"""Downloads from a server of our own, which breaks off, changes its file or has another one."""

import errno
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading

import pytest

from tfdeblur.errors import InputError
from tfdeblur.weights import downloads

CONTENT = bytes(range(256)) * 4000


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with `content`, from where a Range begins if its If-Range is the `version`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server, first = self.server, 0
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if found and server.ranges and self.headers["If-Range"] == server.version:
            first = int(found[1])
        rest = server.content[first:]
        server.sent.append(len(rest))
        self.send_response(206 if first else 200)
        if first:
            size = len(server.content)
            self.send_header("Content-Range", f"bytes {first}-{size - 1}/{size}")
        if server.version:
            self.send_header("ETag", server.version)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: server.breaks_after])
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.url = f"http://127.0.0.1:{server.server_port}/weights.npz"
        server.content, server.version, server.ranges = CONTENT, '"1"', True
        server.breaks_after, server.sent = None, []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def anything(path):
    pass


def refused(*arguments):
    with pytest.raises(InputError) as error:
        downloads.download(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_file_is_fetched_and_its_progress_shown(server, tmp_path, capsys):
    path = tmp_path / "cache" / "weights.npz"
    downloads.download(server.url, path, lambda path: path.read_bytes() == CONTENT)
    assert path.read_bytes() == CONTENT
    assert os.listdir(path.parent) == [path.name]
    assert re.search(r"weights\.npz: 100%.*1\.02M/1\.02M", capsys.readouterr().err)


def test_what_breaks_off_is_gone_on_with(server, tmp_path):
    path = tmp_path / "weights.npz"
    server.breaks_after = 600_000
    message = refused(server.url, path, anything, " (about 1 MB)")
    assert re.match(
        rf"{server.url} broke off after 0\.\d of 1\.0 MB: the same command goes on there, or "
        rf"download it by other means and put it at {path} \(about 1 MB\)\.",
        message,
    )
    assert not path.exists()
    server.breaks_after = None
    downloads.download(server.url, path, anything)
    assert path.read_bytes() == CONTENT
    assert server.sent[-1] < len(CONTENT)  # only the rest
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    "change", [{"ranges": False}, {"version": '"2"'}, {"version": ""}], ids=lambda x: next(iter(x))
)
def test_what_cannot_be_gone_on_with_begins_anew(server, tmp_path, change):
    path = tmp_path / "weights.npz"
    if change == {"version": ""}:
        server.version = ""
    server.breaks_after = 600_000
    refused(server.url, path, anything)
    server.breaks_after = None
    server.content = CONTENT[::-1]
    for name, value in change.items():
        setattr(server, name, value)
    downloads.download(server.url, path, anything)
    assert path.read_bytes() == CONTENT[::-1]


def test_what_arrived_before_a_kill_is_not_fetched_twice(server, tmp_path):
    path = tmp_path / "weights.npz"
    server.breaks_after = len(CONTENT) - 1
    refused(server.url, path, anything)
    (partial,) = tmp_path.iterdir()
    partial.write_bytes(CONTENT)
    server.breaks_after = 0
    downloads.download(server.url, path, anything)
    assert path.read_bytes() == CONTENT


def test_nothing_is_kept_of_what_does_not_pass_the_check(server, tmp_path):
    def check(path):
        raise InputError(f"{path.suffix} is wrong")

    path = tmp_path / "weights.npz"
    path.write_bytes(b"before")
    assert refused(server.url, path, check) == ".npz is wrong"
    assert path.read_bytes() == b"before" and os.listdir(tmp_path) == [path.name]


def test_no_network(tmp_path):
    path = tmp_path / "weights.npz"
    message = refused("http://127.0.0.1:9/weights.npz", path, anything, " (about 1 MB)")
    assert "cannot be fetched" in message and "ConnectionError" in message
    assert f"put it at {path} (about 1 MB)." in message


def test_more_than_any_weights_is_not_kept(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "LARGEST", 1000)
    assert "larger than any weights" in refused(server.url, tmp_path / "weights.npz", anything)
    assert not os.listdir(tmp_path)


def test_folders_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").write_text("")
    message = refused(server.url, tmp_path / "file" / "weights.npz", anything)
    assert "cannot be written" in message and "TFDEBLUR_CACHE" in message


def test_a_full_disk_is_told_before_anything_is_fetched(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert os.strerror(errno.ENOSPC) in refused(server.url, tmp_path / "a" / "w.npz", anything)
    assert not os.listdir(tmp_path / "a")


@pytest.mark.parametrize("passes", [True, False])
def test_what_another_process_did_meanwhile(server, tmp_path, monkeypatch, passes):
    path = tmp_path / "weights.npz"
    path.write_bytes(b"damaged")

    def lock(file, waiting=False):
        """The other one held it until it had fetched the file, which passed its check or not."""
        monkeypatch.setattr(downloads.files, "lock", lambda file: True)
        (partial,) = tmp_path.glob(".incomplete-*")
        partial.write_bytes(CONTENT)
        partial.replace(path) if passes else partial.unlink()
        return True

    monkeypatch.setattr(downloads.files, "lock", lock)
    downloads.download(server.url, path, anything)
    assert path.read_bytes() == CONTENT
    assert len(server.sent) == (1 if passes else 2)


@pytest.mark.slow
def test_two_processes_fetch_a_file_once(server, tmp_path):
    script = (
        "import sys\nfrom tfdeblur.weights import downloads\n"
        "downloads.download(*sys.argv[1:], lambda path: __import__('time').sleep(0.5))"
    )
    command = [sys.executable, "-c", script, server.url, str(tmp_path / "weights.npz")]
    running = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    assert (tmp_path / "weights.npz").read_bytes() == CONTENT
    assert os.listdir(tmp_path) == ["weights.npz"]
