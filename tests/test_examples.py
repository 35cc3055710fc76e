"""The examples of serving: they know nothing of tfdeblur but the SavedModel that it wrote."""

import base64
import http.client
import http.server
import importlib.util
import io
import json
import pathlib
import socket
import struct
import threading
import time

import imageio.v3 as imageio
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfdeblur import export, models

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


client = load("client")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    keras.utils.set_random_seed(0)
    net = models.build("deepdeblur", scales=1, filters=4, resblocks=1)
    folder = tmp_path_factory.mktemp("export") / "1"
    export.save_saved_model(net, folder)
    return str(folder)


def running(server):
    """Yields a server's address while a thread serves."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def address(folder):
    yield from running(load("server").Server(("localhost", 0), folder, 100_000, max_pixels=4000))


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(0).integers(0, 256, (21, 34, 3), dtype="uint8")


def encoded(image, extension=".png"):
    return imageio.imwrite("<bytes>", image, extension=extension)


def check_restored(path, photo, folder):
    module = tf.saved_model.load(folder)
    expected = module.serve(photo[None])[0]
    assert path.read_bytes().startswith(b"\x89PNG")
    np.testing.assert_array_equal(imageio.imread(path), expected)


def test_client_and_server(address, photo, folder, tmp_path):
    (tmp_path / "photo.png").write_bytes(encoded(photo))
    client.main(f"{address}/restore", tmp_path / "photo.png", tmp_path / "restored.png")
    check_restored(tmp_path / "restored.png", photo, folder)
    restored = client.restore(f"{address}/restore", encoded(photo, ".jpg"))
    assert imageio.imread(io.BytesIO(restored)).shape == photo.shape


def post(address, body, path="/restore", **headers):
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    connection.putrequest("POST", path)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders(body)
    response = connection.getresponse()
    return response.status, response.read().decode(errors="replace")


def huge_header():
    """A small PNG file that claims 60000x60000 pixels."""
    png = encoded(np.zeros((1, 1, 3), "uint8"))
    return png[:16] + (60000).to_bytes(4, "big") * 2 + png[24:]


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (415, b""),
        (415, b"hello"),
        (415, b"GIF89a"),
        (400, encoded(np.zeros((8, 8, 3), "uint8"))[:-30]),
        (400, encoded(np.zeros((8, 8, 3), "uint8"), ".jpg")[:40]),
        (413, encoded(np.zeros((100, 41, 3), "uint8"))),
        (413, huge_header()),
        (413, b"x" * 100_001),
    ],
    ids=["empty", "text", "GIF", "cut PNG", "cut JPEG", "pixels", "claimed pixels", "bytes"],
)
def test_the_server_survives_what_it_refuses(status, data, address, photo):
    answered, message = post(address, data, Content_Length=str(len(data)))
    assert answered == status, message
    assert message.endswith("\n") and "Traceback" not in message
    png = encoded(photo)
    answered, _ = post(address, png, Content_Length=str(len(png)))
    assert answered == 200


def test_requests_that_are_none(address):
    assert post(address, b"")[0] == 411
    assert post(address, b"", Content_Length="-1")[0] == 411
    assert post(address, b"x", "/elsewhere", Content_Length="1")[0] == 404


def test_the_client_tells_what_went_wrong(address, tmp_path):
    (tmp_path / "photo.png").write_text("no image")
    with pytest.raises(SystemExit, match="error 415: neither a PNG nor a JPEG file"):
        client.main(f"{address}/restore", tmp_path / "photo.png", tmp_path / "restored.png")
    with pytest.raises(SystemExit, match=r"error: .*missing\.png"):
        client.main(f"{address}/restore", tmp_path / "missing.png", tmp_path / "restored.png")
    assert not (tmp_path / "restored.png").exists()


class TensorFlowServing(http.server.BaseHTTPRequestHandler):
    """As its REST documentation says: the row format with one named input and one named output.

    A value {"b64": ...} is a binary string; an output whose name ends in _bytes becomes one.
    """

    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        signature = self.server.module.signatures[question["signature_name"]]
        ((name, spec),) = signature.structured_input_signature[1].items()
        rows = [base64.b64decode(row["b64"]) for row in question["instances"]]
        assert spec.dtype == tf.string and spec.shape.as_list() == [None]
        ((name, values),) = signature(**{name: tf.constant(rows)}).items()
        assert name.endswith("_bytes") and len(values) == len(rows)
        answers = [{"b64": base64.b64encode(value).decode()} for value in values.numpy()]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"predictions": answers}).encode())


@pytest.fixture
def serving(folder):
    server = http.server.HTTPServer(("localhost", 0), TensorFlowServing)
    server.module = tf.saved_model.load(folder)
    yield from running(server)


def test_client_and_tensorflow_serving(serving, photo, folder, tmp_path):
    (tmp_path / "photo.png").write_bytes(encoded(photo))
    url = f"{serving}/v1/models/tfdeblur:predict"
    client.main(url, tmp_path / "photo.png", tmp_path / "restored.png")
    check_restored(tmp_path / "restored.png", photo, folder)


@pytest.mark.parametrize("length", ["9" * 30, "9" * 5000])
def test_an_absurd_length_is_refused(address, photo, length):
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as client:
        client.sendall(f"POST /restore HTTP/1.1\r\nContent-Length: {length}\r\n\r\nx".encode())
        client.shutdown(socket.SHUT_WR)
        assert b" 413 " in client.recv(100)


def test_a_length_that_is_no_number(address):
    for length in ("²", "1_0", "+1", "0x1"):
        assert post(address, b"x", Content_Length=length.encode())[0] == 411


def test_clients_that_go_away_and_half_uploads(folder, photo, capfd):
    server = load("server").Server(
        ("localhost", 0), folder, 100_000, 4000, max_uploads=2, max_seconds=3
    )
    for address in running(server):
        place = ("localhost", server.server_port)
        png = encoded(photo)
        gone = socket.create_connection(place)
        gone.sendall(b"POST /restore HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(png) + png)
        # Closed with a reset, not with a farewell.
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.close()
        time.sleep(1)
        halves = [socket.create_connection(place, timeout=60) for _ in range(2)]
        for half in halves:
            half.sendall(b"POST /restore HTTP/1.1\r\nContent-Length: 5000\r\n\r\nhalf")
        time.sleep(1)
        assert post(address, png, Content_Length=str(len(png)))[0] == 503
        for half in halves:
            assert b" 408 " in half.recv(100)
            half.close()
        assert post(address, png, Content_Length=str(len(png)))[0] == 200
    assert "Traceback" not in capfd.readouterr().err
