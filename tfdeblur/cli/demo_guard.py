"""Which requests the page of `tfdeblur demo` answers."""

import ipaddress
import re
import socket
from urllib.parse import urlsplit

MAX_FILES = 10  # of a request
SLACK = 2**20  # bytes of a request besides its files


class Guard:
    """ASGI middleware: answers only who means this page, and bounds what a request may hold.

    A page from elsewhere, open in the visitor's browser, can send requests here: they name its
    Origin. It can also point its own name at this computer (DNS rebinding): they name its Host. An
    address in numbers cannot be turned like that, so it is taken as Host, and so are this
    computer's names.

    Args:
        app: the ASGI application.
        host: where the page is served.
        max_bytes: of the files of a request, together.
    """

    def __init__(self, app, host, max_bytes):
        self.app = app
        name = socket.gethostname().lower()
        self.names = {"localhost", host.lower(), name, f"{name}.local"}
        self.max_bytes = max_bytes + SLACK

    async def __call__(self, scope, receive, send):
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = [(key.lower(), value.decode("latin-1")) for key, value in scope["headers"]]
        hosts = [value for key, value in headers if key == b"host"]
        origins = [value for key, value in headers if key == b"origin"]
        sent, content_type = (
            next((value for key, value in headers if key == name), default)
            for name, default in ((b"content-length", "0"), (b"content-type", ""))
        )
        if len(hosts) != 1 or not self.knows(hosts[0]):
            await _refuse(scope, send, 403, "this page is not served under that name")
        elif any(_place(origin) != hosts[0].lower() for origin in origins):
            await _refuse(scope, send, 403, "requests of other pages are refused")
        elif not re.fullmatch("[0-9]{1,18}", sent) or int(sent) > self.max_bytes:
            await _refuse(scope, send, 413, "the files are too large")
        elif scope["type"] == "websocket":
            await self.app(scope, receive, send)
        else:
            await self._bounded(scope, receive, send, content_type)

    def knows(self, host):
        """Whether the page may be called so: "127.0.0.1:7860"."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self.names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    async def _bounded(self, scope, receive, send, content_type):
        """Hands on what comes in until it is too much; the visitor then seems to have left."""
        boundary = _boundary(content_type)
        size = parts = 0
        tail = b""
        refused = started = False

        async def counted():
            nonlocal size, parts, tail, refused
            message = await receive()
            if message["type"] != "http.request":
                return message
            body = message.get("body", b"")
            size += len(body)
            if boundary:
                parts += (tail + body).count(boundary)
                tail = (tail + body)[1 - len(boundary) :]
            # The last boundary ends the last part.
            if size > self.max_bytes or parts > MAX_FILES + 1:
                refused = True
                if not started:
                    await _refuse(scope, send, 413, f"more than {MAX_FILES} files, or too large")
                return {"type": "http.disconnect"}
            return message

        async def answered(message):
            nonlocal started
            if not refused:
                started = True
                await send(message)

        try:
            await self.app(scope, counted, answered)
        except Exception:
            if not refused:
                raise


def _place(origin):
    """Of "http://127.0.0.1:7860" what stands in Host; None of what is no address."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _boundary(content_type):
    """What stands between the parts of a request, as Gradio's own parser finds it; or None."""
    from python_multipart.multipart import parse_options_header  # comes with Gradio

    boundary = parse_options_header(content_type)[1].get(b"boundary")
    return None if boundary is None else b"--" + boundary


async def _refuse(scope, send, status, message):
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": message.encode()})
