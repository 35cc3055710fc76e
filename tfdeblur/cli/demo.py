"""Serves a web page on which photographs are restored.

tfdeblur demo [--model=runs/quickstart/model.keras]

This computer serves the page to itself, and the page fetches nothing from elsewhere. Ctrl-C ends
it.
"""

import contextlib
import dataclasses
import html
import os
import pathlib
import signal
import sys
import tempfile
import threading

from absl import flags

from tfdeblur import errors, restoration, weights
from tfdeblur import precision as precisions
from tfdeblur.cli.flags import start as start_command
from tfdeblur.errors import InputError
from tfdeblur.io import images, photos

FLAGS = flags.FLAGS

# Progress is told tile by tile, so a large photo is restored in several even where it would fit.
TILE = 1024
# Of a file, at most: 16-bit RGBA that is not compressed.
BYTES_PER_PIXEL = 8
HOUR, DAY = 3600, 24 * 3600

WELCOME = """# tfdeblur
Restores photographs blurred by motion. The computer that serves this page does all the work: your
photos go nowhere else, and are deleted from it within a day."""
CSS = ".gradio-container {max-width: 60rem !important; margin: auto}"


def start():
    """Runs the command line in `sys.argv`, and exits."""
    start_command(sys.modules[__name__], _define_flags, _run)


def restore_photo(net, path, folder, max_megapixels, precision, progress=None):
    """Restores a photo, and writes what the page shows of it.

    Args:
        net: as for `restoration.restore`, and so `precision` and `progress`.
        path: an image file, as for `photos.read`.
        folder: pathlib.Path, where the two pictures are written.
        max_megapixels: larger photos are refused before they are decoded.

    Returns:
        The paths of two PNG files of the same size, upright: NAME_blurry.png, which any browser
        shows as it shows the other, and NAME_restored.png. Both keep what `photos` keeps.

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
        pixels = restoration.restore(
            net, blurry.pixels, tile=TILE, precision=precision, progress=progress
        )
    except InputError as error:
        raise InputError(str(error).replace(str(path), path.name)) from error
    before, after = (folder / f"{path.stem}_{what}.png" for what in ("blurry", "restored"))
    photos.write(before, blurry)
    photos.write(after, dataclasses.replace(blurry, pixels=pixels))
    return before, after


def build_page(gradio, choices, restore):
    """Lays out the page.

    Args:
        gradio: the module.
        choices: names of networks; the first is chosen at first.
        restore: (path of a photo, choice, progress) -> ((before, after), download button).

    Returns:
        gradio.Blocks.
    """
    with gradio.Blocks(title="tfdeblur", analytics_enabled=False, delete_cache=(HOUR, DAY)) as page:
        gradio.Markdown(WELCOME)
        # Not gradio.Image, which would read the file itself, and otherwise than the command does.
        photo = gradio.File(label="Photo", height=160)
        network = gradio.Dropdown(choices, label="Network")
        button = gradio.Button("Restore", variant="primary", interactive=False)
        slider = gradio.ImageSlider(
            label="Blurry and restored", interactive=False, buttons=["fullscreen"], max_height=640
        )
        download = gradio.DownloadButton("Download", interactive=False)

        def forget(path):
            empty = gradio.DownloadButton(value=None, interactive=False)
            return gradio.Button(interactive=path is not None), None, empty

        photo.change(forget, photo, [button, slider, download], show_progress="hidden")
        # One restoration at a time: two would halve each other's speed, and double the memory.
        button.click(restore, [photo, network], [slider, download], concurrency_limit=1)
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


def _define_flags():
    flags.DEFINE_string(
        "model",
        None,
        "A .keras file, or a network's name (then with --weights). Default: the newest model.keras "
        "under runs/. The page offers the others there, too.",
    )
    flags.DEFINE_string(
        "weights",
        None,
        "Weights for the network that --model names: a file, or published ones by their name, such "
        "as gopro (`python -m tfdeblur.weights list`).",
    )
    flags.DEFINE_string("host", "127.0.0.1", "Who may visit: 0.0.0.0 is everyone on the network.")
    flags.DEFINE_integer("port", 7860, "The page's port.", lower_bound=1, upper_bound=65535)
    flags.DEFINE_float("max_megapixels", 50, "Refuse larger photos.", lower_bound=0)
    flags.DEFINE_string("precision", "auto", "float32, bfloat16, float16, or auto.")


def _run(argv):
    if argv[1:]:
        raise InputError(f"tfdeblur demo restores no {argv[1]}: drop photos on its page.")
    precision = precisions.resolve(FLAGS.precision)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else it would leave the folder
    with tempfile.TemporaryDirectory(prefix="tfdeblur_demo_") as folder:
        gradio = _import_gradio(folder)
        net, named = weights.open_network(FLAGS.model, FLAGS.weights)
        nets = {named: net}
        ended = threading.Event()

        def restore(path, choice, progress=gradio.Progress()):  # noqa: B008
            def tell(share):
                if ended.is_set():  # Python would wait for this thread
                    raise InputError("the demo has ended.")
                progress(share, desc=f"Restoring {pathlib.Path(path).name}")

            # Inside Gradio's own folder, which it alone empties: visitors fetch the files later.
            place = pathlib.Path(tempfile.mkdtemp(dir=folder))
            with _told_to_visitors(gradio):
                if choice not in nets:
                    nets[choice] = weights.load_network(choice)
                before, after = restore_photo(
                    nets[choice], path, place, FLAGS.max_megapixels, precision, tell
                )
            return (before, after), gradio.DownloadButton(value=after, interactive=True)

        page = build_page(gradio, _choices(named), restore)
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


def _choices(named):
    """The network on the command line, and those under runs/, the newest first."""
    found = pathlib.Path(weights.RUNS).glob("*/model.keras")
    newest_first = sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
    return list(dict.fromkeys([named, *map(str, newest_first)]))


@contextlib.contextmanager
def _told_to_visitors(gradio):
    """Shows errors on the page; the traceback of an unexpected one is in the terminal, too."""
    try:
        yield
    except Exception as error:
        if errors.is_out_of_memory(error):
            error = InputError("out of memory: make the photo smaller.")
        if not isinstance(error, InputError):
            raise
        # The page renders messages as HTML, and file names are the visitor's.
        raise gradio.Error(html.escape(str(error)), duration=None, print_exception=False) from error
