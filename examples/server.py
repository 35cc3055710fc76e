"""Restores photographs over HTTP: TensorFlow, the standard library, and an exported SavedModel.

tfdeblur export runs/quickstart/model.keras served/1
python examples/server.py served/1 --port=8000
curl --data-binary @photo.jpg http://localhost:8000/restore > restored.png

POST /restore takes a PNG or JPEG file as the body and answers with a PNG file; GET /health answers
once the model is loaded. Mistakes are answered with a 4xx status and a line of text. For a trusted
network: there is no encryption, and nobody is asked who they are.
"""

import argparse
import contextlib
import http.server
import re
import struct
import threading
import time

import tensorflow as tf

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
CHUNK = 65536  # bytes


class Refused(Exception):
    """A request that is answered with `status` and a message."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Server(http.server.ThreadingHTTPServer):
    """Serves an exported network.

    Args:
        address: (host, port); port 0 takes a free one, see `server_port`.
        saved_model: the folder that `tfdeblur.export` wrote.
        max_bytes: of a request's body.
        max_pixels: of an image: the memory that restoring takes grows with them.
        max_uploads: requests whose body is in memory at once; more are told to come again.
        max_seconds: that a client may take to send a request's body.
    """

    daemon_threads = True

    def __init__(
        self,
        address,
        saved_model,
        max_bytes=20_000_000,
        max_pixels=4_000_000,
        max_uploads=16,
        max_seconds=60,
    ):
        self.module = tf.saved_model.load(saved_model)
        self.max_bytes = max_bytes
        self.max_pixels = max_pixels
        self.max_seconds = max_seconds
        self.uploads = threading.BoundedSemaphore(max_uploads)
        self.one_at_a_time = threading.Lock()
        super().__init__(address, Handler)

    def restore(self, data):
        """The bytes of a PNG or JPEG file -> those of a PNG file; `Refused` where they are none."""
        try:
            height, width = _size(data)
            if height * width > self.max_pixels:
                raise Refused(413, f"{width}x{height} is more than {self.max_pixels} pixels")
            with self.one_at_a_time:
                return self.module.serve_encoded(tf.constant([data]))["restored_bytes"][0].numpy()
        except tf.errors.InvalidArgumentError as error:
            raise Refused(400, "the image is broken") from error


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one connection."""

    timeout = 60  # seconds without a byte

    def handle(self):
        # A client that goes away while it sends or is answered is nobody's mistake.
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle()

    def finish(self):
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().finish()

    def do_GET(self):
        if self.path == "/health":
            self._answer(200, "text/plain", b"ok\n")
        else:
            self._answer(404, "text/plain", b"GET /health or POST /restore\n")

    def do_POST(self):
        try:
            if not self.server.uploads.acquire(blocking=False):
                self._drain(self._length())
                raise Refused(503, "too many requests at once: try again in a minute")
            try:
                data = self._body()
                if self.path != "/restore":
                    raise Refused(404, "POST /restore")
                answer = self.server.restore(data)
            finally:
                self.server.uploads.release()
            self._answer(200, "image/png", answer)
        except Refused as error:
            self._answer(error.status, "text/plain", f"{error}\n".encode())

    def _length(self):
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]+", length):
            raise Refused(411, "the header Content-Length is missing")
        # Python refuses to convert thousands of digits.
        return int(length) if len(length) < 18 else 10**18

    def _body(self):
        length = self._length()
        if length > self.server.max_bytes:
            self._drain(length)
            raise Refused(413, f"the file is larger than {self.server.max_bytes} bytes")
        data = b"".join(self._chunks(length))
        if len(data) < length:
            raise Refused(400, "the body is shorter than Content-Length")
        return data

    def _drain(self, length):
        """Reads, and does not keep: a client that is still sending does not hear the answer."""
        self.close_connection = True
        for _ in self._chunks(min(length, 4 * self.server.max_bytes)):
            pass

    def _chunks(self, length):
        """What a client sends, within a time: one that sends byte by byte must not stay forever."""
        end = time.monotonic() + self.server.max_seconds
        while length > 0:
            left = end - time.monotonic()
            if left <= 0:
                raise Refused(408, "the body took too long")
            self.connection.settimeout(left)
            try:
                chunk = self.rfile.read1(min(length, CHUNK))
            except TimeoutError as error:
                raise Refused(408, "the body took too long") from error
            if not chunk:
                break
            length -= len(chunk)
            yield chunk
        self.connection.settimeout(self.timeout)

    def _answer(self, status, content_type, body):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _size(data):
    """(height, width) by the file's header, so that a small file cannot ask for much memory."""
    if data.startswith(PNG) and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return height, width
    if data.startswith(JPEG):
        height, width, _ = tf.io.extract_jpeg_shape(data).numpy().tolist()
        return height, width
    raise Refused(415, "neither a PNG nor a JPEG file")


def main():
    """Serves until it is interrupted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("saved_model", help="the folder that tfdeblur.export wrote")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--max_bytes", type=int, default=20_000_000, help="of a file")
    parser.add_argument("--max_pixels", type=int, default=4_000_000, help="of an image")
    flags = parser.parse_args()
    address = (flags.host, flags.port)
    with Server(address, flags.saved_model, flags.max_bytes, flags.max_pixels) as server:
        print(f"http://{flags.host}:{server.server_port}/restore", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
