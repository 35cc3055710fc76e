"""Serves a web page on which photographs are restored.

tfdeblur demo [--model=runs/quickstart/model.keras]

This computer serves the page to itself, and the page fetches nothing from elsewhere. It offers the
networks under runs/, too. Ctrl-C ends it.
"""

import contextlib
import dataclasses
import html
import ipaddress
import os
import pathlib
import re
import shutil
import socket
import sys
import tempfile
import threading
import traceback
from urllib.parse import urlsplit

from absl import flags

from tfdeblur import classical, errors, files, restoration, weights
from tfdeblur import precision as precisions
from tfdeblur.cli import flags as shared
from tfdeblur.errors import InputError
from tfdeblur.io import comparisons, images, photos

FLAGS = flags.FLAGS

# Progress is told tile by tile, so a large photo is restored in several even where it would fit.
TILE = 1024
# Of a file, at most: 16-bit RGBA that is not compressed.
BYTES_PER_PIXEL = 8
KERNEL_SIDE = 256  # of the picture of a blur kernel, in pixels
HOUR, DAY = 3600, 24 * 3600
MAX_FILES = 10  # of a request
SLACK = 2**20  # bytes of a request besides its files
PREFIX = "tfdeblur_demo_"
MARKER = "tfdeblur_demo.lock"  # in a folder that is ours; locked while its demo runs

WELCOME = """# tfdeblur
Restores photographs blurred by motion. The computer that serves this page does all the work: your
photos go nowhere else, and are deleted from it within a day."""
CSS = ".gradio-container {max-width: 60rem !important; margin: auto}"


def start():
    """Runs the command line in `sys.argv`, and exits."""
    shared.start(sys.modules[__name__], _define_flags, _run)


def restore_photo(
    net,
    path,
    folder,
    max_megapixels,
    precision,
    progress=None,
    kernel_size=classical.DEFAULT_SIZE,
):
    """Restores a photo, and writes what the page shows of it.

    Args:
        net: as for `restoration.restore`, and so `precision` and `progress`; or a name of
            `classical.MODELS`.
        path: an image file, as for `photos.read`.
        folder: pathlib.Path, where the two pictures are written.
        max_megapixels: larger photos are refused before they are decoded.
        kernel_size: for a name, see `classical.restore`.

    Returns:
        The paths of two PNG files of the same size, upright: NAME_blurry.png, which any browser
        shows as it shows the other, and NAME_restored.png. Both keep what `photos` keeps. And a
        picture of the blur kernel, uint8 [h, w, 3], or None where none was estimated.

    Raises:
        InputError: the file is no image, or too large. The message names the file without its
            folder, which the visitor of the page does not know.
    """
    path = pathlib.Path(path)
    try:
        width, height = images.size(path)
        megapixels = width * height / 1e6
        if megapixels > max_megapixels:
            raise InputError(
                f"{path} has {megapixels:.3g} megapixels, and this page takes {max_megapixels:g} "
                "at most: make it smaller, or restore it on the command line, with tfdeblur."
            )
        blurry = photos.read(path)
        shown = None
        if net in classical.MODELS:
            prior = classical.MODELS[net]
            pixels, kernel = classical.restore(blurry.pixels, kernel_size, prior, progress)
            shown = comparisons.kernel_picture(kernel, KERNEL_SIDE)
        else:
            pixels = restoration.restore(
                net, blurry.pixels, tile=TILE, precision=precision, progress=progress
            )
    except InputError as error:
        raise InputError(str(error).replace(str(path), path.name)) from error
    stem = path.stem.lstrip(".") or "photo"  # Gradio serves no file whose name begins with a dot
    before, after = (folder / f"{stem}_{what}.png" for what in ("blurry", "restored"))
    photos.write(before, blurry)
    photos.write(after, dataclasses.replace(blurry, pixels=pixels))
    return before, after, shown


def build_page(gradio, choices, restore):
    """Lays out the page.

    Args:
        gradio: the module.
        choices: names of networks; the first is chosen at first.
        restore: (path of a photo, choice, kernel size, progress) -> ((before, after), download
            button, picture of the kernel).

    Returns:
        gradio.Blocks.
    """
    with gradio.Blocks(title="tfdeblur", analytics_enabled=False, delete_cache=(HOUR, DAY)) as page:
        gradio.Markdown(WELCOME)
        # Not gradio.Image, which would read the file itself, and otherwise than the command does.
        photo = gradio.File(label="Photo", height=160)
        network = gradio.Dropdown(choices, label="Network")
        size = gradio.Slider(
            3,
            151,
            value=classical.DEFAULT_SIZE,
            step=2,
            label=f"Kernel size in pixels, of {' and '.join(classical.MODELS)}",
        )
        button = gradio.Button("Restore", variant="primary", interactive=False)
        slider = gradio.ImageSlider(
            label="Blurry and restored", interactive=False, buttons=["fullscreen"], max_height=640
        )
        download = gradio.DownloadButton("Download", interactive=False)
        kernel = gradio.Image(
            label="Blur kernel", interactive=False, visible=False, width=KERNEL_SIDE, buttons=[]
        )

        def forget(path):
            empty = gradio.DownloadButton(value=None, interactive=False)
            hidden = gradio.Image(value=None, visible=False)
            return gradio.Button(interactive=path is not None), None, empty, hidden

        photo.change(forget, photo, [button, slider, download, kernel], show_progress="hidden")
        # One restoration at a time: two would halve each other's speed, and double the memory.
        given, shown = [photo, network, size], [slider, download, kernel]
        button.click(restore, given, shown, concurrency_limit=1)
    return page


def serve(gradio, page, host, port, max_file_size):
    """Serves a page until Ctrl-C.

    Args:
        gradio: the module.
        page: of `build_page`.
        host: the address to listen at: 127.0.0.1 is for this computer alone.
        port: likewise.
        max_file_size: of what a visitor uploads, in bytes.

    Raises:
        InputError: the port is taken, or the host is not this computer's.
    """
    theme = gradio.themes.Default(
        primary_hue="blue",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            share=False,
            ssr_mode=False,
            quiet=True,
            show_error=True,
            prevent_thread_lock=True,
            enable_monitoring=False,
            footer_links=[],
            max_file_size=max_file_size,
            # It serves what lies there anyway, but takes .photo.jpg only where it is told so.
            allowed_paths=[path for path in [os.environ.get("GRADIO_TEMP_DIR")] if path],
            app_kwargs={"middleware": [(Guard, (), {"host": host, "max_bytes": max_file_size})]},
            theme=theme,
            css=CSS,
        )
    except OSError as error:
        raise InputError(
            f"nothing can be served at --host={host} --port={port}: if another program holds the "
            "port, give another one."
        ) from error
    print(f"Open {address} in a browser. Ctrl-C ends the demo.", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
    page.close(verbose=False)


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
        sent = next((value for key, value in headers if key == b"content-length"), "0")
        if len(hosts) != 1 or not self.knows(hosts[0]):
            await _refuse(scope, send, 403, "this page is not served under that name")
        elif any(urlsplit(origin).netloc.lower() != hosts[0].lower() for origin in origins):
            await _refuse(scope, send, 403, "requests of other pages are refused")
        elif not re.fullmatch("[0-9]{1,18}", sent) or int(sent) > self.max_bytes:
            await _refuse(scope, send, 413, "the files are too large")
        elif scope["type"] == "websocket":
            await self.app(scope, receive, send)
        else:
            await self._bounded(scope, receive, send, dict(headers).get(b"content-type", ""))

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
        found = re.search(r'boundary="?([^";]+)', content_type)
        boundary = found and b"--" + found[1].encode("latin-1")
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


async def _refuse(scope, send, status, message):
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": message.encode()})


@contextlib.contextmanager
def visitors_folder():
    """A folder for what visitors send, removed at the end; those of demos that were killed, too.

    Only folders with our marker, which belong to the same user and whose demo does not run any
    more, are removed: a running one holds a lock on the marker, which ends with its process.
    """
    _remove_leftovers()
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder,
        open(os.path.join(folder, MARKER), "w") as marker,
    ):
        with contextlib.suppress(OSError):  # a disk without locks
            files.lock(marker)
        marker.write(os.path.basename(folder))
        marker.flush()
        yield folder


def _remove_leftovers():
    if os.name != "posix":
        return
    for folder in pathlib.Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        path = folder / MARKER
        with contextlib.suppress(OSError, ValueError):
            status = folder.lstat()
            if folder.is_symlink() or path.is_symlink() or status.st_uid != os.getuid():
                continue
            with images.open_regular(path, limit=1000) as marker:
                if marker.read() == folder.name.encode() and files.lock(marker):
                    shutil.rmtree(folder, ignore_errors=True)


def _define_flags():
    shared.define_network()
    flags.DEFINE_string("host", "127.0.0.1", "Who may visit: 0.0.0.0 is everyone on the network.")
    flags.DEFINE_integer("port", 7860, "The page's port.", lower_bound=1, upper_bound=65535)
    flags.DEFINE_float("max_megapixels", 50, "Refuse larger photos.", lower_bound=0)
    shared.define_precision()


def _run(argv):
    if argv[1:]:
        raise InputError(f"tfdeblur demo restores no {argv[1]}: drop photos on its page.")
    precision = precisions.resolve(FLAGS.precision)
    # The visitors' folder goes when a signal ends the demo, too.
    with errors.stopping_like_ctrl_c(), visitors_folder() as folder:
        gradio = _import_gradio(folder)
        if FLAGS.model in classical.MODELS:
            net = named = FLAGS.model
        else:
            net, named = weights.open_network(FLAGS.model, FLAGS.weights)
        errors.say(f"Restoring with {named}, or what is chosen on the page.")
        shown = _shown([named, *map(str, weights.trained_models()), *classical.MODELS])
        nets = {named: net, **{name: name for name in classical.MODELS}}
        ended = threading.Event()

        def restore(path, choice, size, progress=gradio.Progress()):  # noqa: B008
            def tell(share):
                if ended.is_set():  # Python would wait for this thread
                    raise InputError("the demo has ended.")
                progress(share, desc=f"Restoring {pathlib.Path(path).name}")

            # Inside Gradio's own folder, which it alone empties: visitors fetch the files later.
            place = pathlib.Path(tempfile.mkdtemp(dir=folder))
            with _told_to_visitors(gradio):
                source = shown[choice]
                if source not in nets:
                    nets[source] = weights.load_network(source)
                before, after, kernel = restore_photo(
                    nets[source], path, place, FLAGS.max_megapixels, precision, tell, int(size)
                )
            shown_kernel = gradio.Image(value=kernel, visible=kernel is not None)
            return (
                (before, after),
                gradio.DownloadButton(value=after, interactive=True),
                shown_kernel,
            )

        page = build_page(gradio, list(shown), restore)
        max_file_size = int(FLAGS.max_megapixels * 1e6 * BYTES_PER_PIXEL)
        try:
            serve(gradio, page, FLAGS.host, FLAGS.port, max_file_size)
        finally:
            ended.set()


def _import_gradio(folder):
    """Gradio, which keeps its files in this folder, and records and sends nothing."""
    os.environ["GRADIO_TEMP_DIR"] = folder
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_RUN_HISTORY"] = "False"
    # Gradio asks its own server whether it runs. A proxy could not answer.
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    os.environ["no_proxy"] = f"{known},localhost,{FLAGS.host}"
    try:
        import gradio
    except ImportError as error:
        raise InputError('tfdeblur demo needs Gradio: pip install "tfdeblur[demo]".') from error
    return gradio


def _shown(choices):
    """{what the page calls a network: its file or name}: folders elsewhere are no visitor's matter.

    Those under runs/ keep their names there.
    """
    shown = {}
    for choice in dict.fromkeys(choices):
        path = pathlib.Path(choice)
        ours = not path.is_absolute() and path.parts[:1] == (weights.RUNS,)
        name = choice if ours or len(path.parts) < 2 else path.name
        number = 1
        while name in shown:
            number += 1
            name = f"{path.name} ({number})"
        shown[name] = choice
    return shown


@contextlib.contextmanager
def _told_to_visitors(gradio):
    """Shows errors on the page; the traceback of an unexpected one is in the terminal, too."""
    try:
        yield
    except Exception as error:
        if errors.is_out_of_memory(error):
            error = InputError("out of memory: make the photo smaller.")
        if not isinstance(error, InputError):
            traceback.print_exc()
            error = InputError("something unexpected went wrong: the demo's terminal says more.")
        # The page renders messages as HTML, and file names are the visitor's.
        raise gradio.Error(html.escape(str(error)), duration=None, print_exception=False) from error
