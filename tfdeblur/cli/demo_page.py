"""The page of the command `tfdeblur demo`, see `demo`."""

import contextlib
import dataclasses
import functools
import html
import os
import pathlib
import re
import shutil
import tempfile
import threading
import time
import traceback
from urllib.parse import quote

import numpy as np
from absl import flags
from PIL import Image

from tfdeblur import classical, errors, files, restoration, weights
from tfdeblur import precision as precisions
from tfdeblur.cli import demo_guard
from tfdeblur.errors import InputError
from tfdeblur.io import comparisons, images, photos, tiff
from tfdeblur.restoration import blending, harm
from tfdeblur.weights import catalogue

FLAGS = flags.FLAGS

# Progress is told tile by tile, so a large photo is restored in several even where it would fit.
TILE = 1024
# Of a file, at most: 16-bit RGBA that is not compressed.
BYTES_PER_PIXEL = 8
HOUR, DAY = 3600, 24 * 3600
PREFIX = "tfdeblur_demo_"
MARKER = "tfdeblur_demo.lock"  # in a folder that is ours; locked while its demo runs

WELCOME = """# tfdeblur
Restores photographs blurred by motion. The computer that serves this page does all the work: your
photos go nowhere else, and are deleted from it within a day."""
CSS = """
.gradio-container {max-width: 60rem !important; margin: auto; overflow-wrap: anywhere}
*:focus-visible {outline: 3px solid #1d4ed8 !important; outline-offset: 2px}
.compare {margin: 0 0 1.5rem; --split: 50%}
.compare div {position: relative}
.compare img {width: 100%; display: block}
.compare img + img {position: absolute; inset: 0; clip-path: inset(0 0 0 var(--split))}
.compare input {width: 100%; margin: 0.5rem 0 0}
.compare figcaption {display: flex; justify-content: space-between; gap: 1rem}
"""
# A slider of the browser's own: it can be reached and moved with the keyboard.
COMPARED = """<figure class="compare">
<div><img src="{before}" alt="{name}, blurry"><img src="{after}" alt="{name}, restored"></div>
<input type="range" min="0" max="100" value="50"
aria-label="{name}: blurry left of here, restored right"
oninput="this.parentNode.style.setProperty('--split', this.value + '%')">
<figcaption><span>Blurry</span><span>{name}</span><span>Restored</span></figcaption>
{kernel}</figure>"""
KERNEL = """<img src="{source}" alt="{name}, the blur kernel" style="width: {side}px">
"""
KERNEL_SIDE = 256  # of the picture of a blur kernel, in pixels
PREVIEW = 480  # pixels on a side, at most
PAINT = "#ff3b30"  # seen on most photos
PAINT_WIDTH = 40  # pixels of the preview


def run():
    """Opens the network, and serves the page until Ctrl-C."""
    precision = precisions.resolve(FLAGS.precision)
    with visitors_folder() as folder:
        gradio = _import_gradio(folder)
        if FLAGS.model in classical.MODELS:
            net = named = FLAGS.model
        else:
            net, named = weights.open_best(FLAGS.model, FLAGS.weights)
        errors.say(f"Restoring with {named}, or what is chosen on the page.")
        openers = _openers(net, named)
        nets = {}
        ended, cancelled = threading.Event(), set()  # of visits
        threading.Thread(target=_keep_for_a_day, args=(folder, ended), daemon=True).start()

        def choose(paths):
            place = pathlib.Path(tempfile.mkdtemp(dir=folder))
            fine, previews = [], []
            for path in paths:
                try:
                    check_photo(path, FLAGS.max_megapixels)
                    previews.append((preview_photo(path, place), pathlib.Path(path).name))
                    fine.append(path)
                except InputError as error:
                    gradio.Warning(html.escape(str(error)), duration=None)
            return fine, previews

        def cancel(request: gradio.Request):
            cancelled.add(request.session_hash)

        def restore(
            paths,
            choice,
            strength,
            size,
            drawing,
            request: gradio.Request,
            progress=gradio.Progress(),  # noqa: B008
        ):
            visit = request.session_hash
            cancelled.discard(visit)

            def tell(number, share):
                if ended.is_set():  # Python would wait for this thread
                    raise InputError("the demo has ended.")
                if visit in cancelled:
                    raise InputError("cancelled.")
                done = f"{number + 1} of {len(paths)}, " * (len(paths) > 1)
                progress(share, desc=f"Restoring {done}{pathlib.Path(paths[number]).name}")

            # Inside Gradio's own folder: visitors fetch the files later.
            place = pathlib.Path(tempfile.mkdtemp(dir=folder))
            figures, results = [], []
            with _told_to_visitors(gradio):
                if choice not in nets:
                    nets[choice] = openers[choice]()
                for number, path in enumerate(paths):
                    before, after, kernel = restore_photo(
                        nets[choice],
                        path,
                        pathlib.Path(tempfile.mkdtemp(dir=place)),  # two may have one name
                        FLAGS.max_megapixels,
                        precision,
                        functools.partial(tell, number),
                        strength,
                        lambda text: gradio.Warning(html.escape(text), duration=None),
                        int(size),
                        painted_places(drawing) if len(paths) == 1 else None,
                    )
                    figures.append(compared(before, after, kernel))
                    results.append(str(after))
                    yield "".join(figures), gradio.File(value=results, visible=True)

        page = build_page(gradio, list(openers), choose, restore, cancel)
        max_file_size = int(FLAGS.max_megapixels * 1e6 * BYTES_PER_PIXEL)
        try:
            serve(gradio, page, FLAGS.host, FLAGS.port, max_file_size)
        finally:
            ended.set()


def check_photo(path, max_megapixels):
    """Raises an InputError where a file is no photo, or too large, as far as its header tells.

    The message names the file without its folder, which the visitor of the page does not know.
    """
    with _named_alone(path):
        width, height = _stored_size(path)
        megapixels = width * height / 1e6
        if megapixels > max_megapixels:
            raise InputError(
                f"{path} has {megapixels:.3g} megapixels, and this page takes {max_megapixels:g} "
                "at most: make it smaller, or restore it on the command line, with tfdeblur."
            )


def _stored_size(path):
    """(width, height) in the header of a photo: `photos.size` would read floating-point values."""
    if not tiff.is_deep(path):
        return photos.size(path)
    with tiff.opened(path) as whole:
        return whole.pages[0].imagewidth, whole.pages[0].imagelength


def preview_photo(path, folder):
    """The path of a small PNG file of a photo, which any browser shows; InputError as above."""
    with _named_alone(path):
        pixels = photos.read(path).pixels
        step = -(-max(pixels.shape) // PREVIEW)
        small = photos.Photo(pixels[::step, ::step])
        target = pathlib.Path(folder, f"{_stem(path)}_preview.png")
        photos.write(target, small)
    return target


def restore_photo(
    net,
    path,
    folder,
    max_megapixels,
    precision,
    progress=None,
    strength=1,
    warn=None,
    kernel_size=classical.DEFAULT_SIZE,
    painted=None,
):
    """Restores a photo, and writes what the page shows of it.

    Args:
        net: as for `restoration.restore`, and so `precision`, `progress` and `strength`; or a name
            of `classical.MODELS`.
        path: an image file, as for `photos.read`.
        folder: pathlib.Path, where the pictures are written.
        max_megapixels: larger photos are refused before they are decoded.
        warn: function that is called with a text where restoring may have done harm; or None.
        kernel_size: for a name, see `classical.restore`.
        painted: bool array of any size, stretched over the photo: where alone it is restored; None
            or nothing: everywhere.

    Returns:
        The paths of two PNG files of the same size, upright: NAME_blurry.png, which any browser
        shows as it shows the other, and NAME_restored.png. Both keep what `photos` keeps. And of
        the picture of the blur kernel, NAME_kernel.png; None where none was estimated.

    Raises:
        InputError: see `check_photo`.
    """
    check_photo(path, max_megapixels)
    with _named_alone(path):
        blurry = photos.read(path)
        mask, kernel = _mask(painted, blurry.pixels), None
        if net in classical.MODELS:
            prior = classical.MODELS[net]
            pixels, kernel = classical.restore(blurry.pixels, kernel_size, prior, progress)
            pixels = blending.blend(blurry.pixels, pixels, strength, mask)
        else:
            pixels = restoration.restore(
                net,
                blurry.pixels,
                tile=TILE,
                precision=precision,
                progress=progress,
                strength=strength,
                mask=mask,
            )
    found = harm.find(blurry.pixels, pixels)
    if found and warn:
        warn(
            f"{pathlib.Path(path).name} may be worse than before: {found.share:.1%} of it show "
            f"{', '.join(found.kinds)}. Compare the two, or take less strength."
        )
    before, after = (folder / f"{_stem(path)}_{what}.png" for what in ("blurry", "restored"))
    photos.write(before, blurry)
    photos.write(after, dataclasses.replace(blurry, pixels=pixels))
    if kernel is None:
        return before, after, None
    shown = folder / f"{_stem(path)}_kernel.png"
    images.write(shown, comparisons.kernel_picture(kernel, KERNEL_SIDE))
    return before, after, shown


def painted_places(drawing):
    """bool [H, W] of what a visitor painted, or None, from the value of `gradio.ImageMask`."""
    layers = (drawing or {}).get("layers") or []
    painted = [np.asarray(layer)[..., -1] > 0 for layer in layers if np.ndim(layer) == 3]
    return np.any(painted, axis=0) if painted else None


def _mask(painted, pixels):
    """float32 [H, W] of a photo, soft at its borders; None for everywhere."""
    if painted is None or not painted.any():
        return None
    height, width = pixels.shape[:2]
    mask = Image.fromarray(painted.astype(np.uint8) * np.uint8(255))
    return blending.as_mask(np.asarray(mask.resize((width, height), Image.Resampling.BILINEAR)))


def _stem(path):
    return pathlib.Path(path).stem.lstrip(".") or "photo"  # Gradio serves no name with a dot first


@contextlib.contextmanager
def _named_alone(path):
    try:
        yield
    except InputError as error:
        name = pathlib.Path(path).name
        raise InputError(str(error).replace(str(path), name)) from error


def compared(before, after, kernel=None):
    """The HTML of two pictures, one over the other, and of the slider between them."""
    name = after.name.removesuffix("_restored.png")
    # Gradio fills in what stands in braces.
    name = re.sub(r"[${}]", lambda match: f"&#{ord(match[0])};", html.escape(name))
    shown = kernel and KERNEL.format(source=_address(kernel), name=name, side=KERNEL_SIDE)
    return COMPARED.format(
        before=_address(before), after=_address(after), name=name, kernel=shown or ""
    )


def _address(path):
    return f"gradio_api/file={quote(str(path))}"


def build_page(gradio, choices, choose, restore, cancel):
    """Lays out the page.

    Args:
        gradio: the module.
        choices: names of networks; the first is chosen at first.
        choose: (paths of files) -> (those that are photos, previews).
        restore: (paths of photos, choice, strength, kernel size, what was painted) -> yields (HTML,
            paths of restored photos).
        cancel: ends what `restore` does for the same visitor.

    Returns:
        gradio.Blocks.
    """
    with gradio.Blocks(title="tfdeblur", analytics_enabled=False) as page:
        gradio.Markdown(WELCOME)
        # Not gradio.Image, which would read the file itself, and otherwise than the command does.
        photo = gradio.File(label="Photos", height=160, file_count="multiple")
        preview = gradio.Gallery(
            label="Preview", columns=4, height=200, visible=False, buttons=[], interactive=False
        )
        network = gradio.Dropdown(choices, label="Network")
        strength = gradio.Slider(
            0, 1, 1, step=0.05, label="Strength", info="Less than 1 keeps so much of the photo."
        )
        size = gradio.Slider(
            3,
            151,
            classical.DEFAULT_SIZE,
            step=2,
            label="Kernel size",
            info=f"Of {' and '.join(classical.MODELS)}: pixels on a side, more than the blur has.",
        )
        # Of one photo alone: what is painted on it means nothing on another.
        drawing = gradio.ImageMask(
            label="Paint where to restore; nothing painted: everywhere",
            sources=[],
            transforms=[],
            buttons=[],
            brush=gradio.Brush(PAINT_WIDTH, colors=[PAINT], color_mode="fixed"),
            visible=False,
        )
        with gradio.Row():
            button = gradio.Button("Restore", variant="primary", interactive=False)
            stop = gradio.Button("Cancel")
        result = gradio.HTML()
        download = gradio.File(
            label="Download", file_count="multiple", interactive=False, visible=False
        )

        def look(paths):
            fine, previews = choose(paths or [])
            return (
                gradio.skip() if fine == (paths or []) else fine or None,
                gradio.Gallery(value=previews, visible=len(previews) > 1),
                gradio.ImageMask(
                    value=str(previews[0][0]) if len(previews) == 1 else None,
                    visible=len(previews) == 1,
                ),
                gradio.Button(interactive=bool(fine)),
                "",
                gradio.File(value=None, visible=False),
            )

        photo.change(
            look,
            photo,
            [photo, preview, drawing, button, result, download],
            show_progress="hidden",
        )
        # One restoration at a time: two would halve each other's speed, and double the memory.
        button.click(
            restore,
            [photo, network, strength, size, drawing],
            [result, download],
            concurrency_limit=1,
            api_name="restore",
        )
        stop.click(cancel, api_name=False)
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
            app_kwargs={
                "middleware": [(demo_guard.Guard, (), {"host": host, "max_bytes": max_file_size})]
            },
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


def _keep_for_a_day(folder, ended):
    """Removes what grows old in a demo's folder, until the demo has ended."""
    while not ended.wait(HOUR):
        remove_old(folder, DAY - HOUR)


def remove_old(folder, seconds):
    """Removes the files in a demo's folder that have lain there so long, the marker apart.

    Gradio would delete those alone that pass through its components; the pictures of a comparison
    are named in HTML.
    """
    marker = os.path.join(folder, MARKER)
    for place, _, names in os.walk(folder):
        for path in (os.path.join(place, name) for name in names):
            with contextlib.suppress(OSError):  # gone meanwhile
                if path != marker and time.time() - os.lstat(path).st_ctime > seconds:
                    os.unlink(path)


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
                if marker.read() == folder.name.encode() and _is_free(path):
                    shutil.rmtree(folder, ignore_errors=True)


def _is_free(path):
    """Whether no demo holds the lock on a marker; never on a disk without locks.

    There `files.lock` grants every one, also a second one on the same file.
    """
    with images.open_regular(path) as first, images.open_regular(path) as second:
        return files.lock(first) and not files.lock(second)


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


def _openers(net, named):
    """{what the page calls a network: function that gives it}; the published ones are fetched."""
    shown = _shown([named, *map(str, weights.trained_models())])
    openers = {
        name: functools.partial(weights.load_network, source) for name, source in shown.items()
    }
    openers[next(iter(openers))] = lambda: net
    openers.setdefault(weights.OWN, lambda: weights.open_network(weights.OWN)[0])
    for name in classical.MODELS:
        openers.setdefault(name, functools.partial(str, name))
    here = catalogue.cached()
    for entry in catalogue.CATALOGUE:
        name = f"{entry.network} with {entry.name}"
        if (not entry.by_hand or entry in here) and name not in openers:
            openers[name] = functools.partial(_open_published, entry)
    return openers


def _open_published(entry):
    return weights.open_network(entry.network, entry.name)[0]


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
