"""Files of several images: animated GIF, WebP and PNG, and TIFF of several pages."""

import dataclasses
import pathlib

import numpy as np
from PIL import Image

from tfdeblur.errors import InputError
from tfdeblur.io import images, jxl, photos, raw, tiff

SUFFIXES = (".apng", ".gif")  # of such files alone
_KINDS = {
    "GIF": (".gif",),
    "PNG": (".png", ".apng"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")  # which 8 bits hold
_MOST_PIXELS = 2 * Image.MAX_IMAGE_PIXELS  # of all frames, which are in memory together
_HEAD = 2**16  # bytes in which a file says how it is encoded


def find(source, target):
    """How many images a file holds, and their size, where `restore` is what restores it.

    Args:
        source: a file that is no video.
        target: the file to write.

    Returns:
        (count, (width, height)); or None, for a single image that `photos` can write.

    Raises:
        InputError: it cannot be read, or the target is of another format.
    """
    if raw.is_raw(source) or jxl.is_jxl(source):
        return None
    if tiff.is_deep(source):
        count, kind, size = len(tiff.pages(source)), "TIFF", None
    else:
        with images.opened(source, several=True) as image:
            count, kind, size = images.count_frames(image), image.format, image.size
    suffix = pathlib.Path(target).suffix.lower()
    same = suffix in _KINDS.get(kind, ())
    if count == 1 and not (same and kind == "GIF"):
        return None
    if not same:
        raise InputError(
            f"{source} holds {count} images: name a file of its own format, not {suffix}, or save "
            "the wanted one as a file of its own."
        )
    size = size or tiff.size(source)
    if kind != "TIFF" and count * size[0] * size[1] > _MOST_PIXELS:
        raise InputError(f"{source} is too large: {count} images of {size[0]}x{size[1]} pixels.")
    return count, size


def restore(source, target, restore_frame, quality=95, progress=None):
    """Restores image after image; times, loops, transparency, EXIF and profile are kept.

    Each page of a TIFF file keeps what a photograph does, see `photos`.

    Args:
        source: a file of which `find` tells.
        target: the file to write, of the same format; it appears whole or not at all.
        restore_frame: uint8 [H, W, 3], and of TIFF also uint16 and float32 -> the same.
        quality: of WebP.
        progress: function that is called with the share done, in [0, 1]; or None.

    Returns:
        list of str, what is left out, for a message.

    Raises:
        InputError: the source is broken or an animation of more than 8 bits, or the target cannot
            be written.
    """
    if tiff.is_tiff(source):
        return _restore_pages(source, target, restore_frame, progress)
    with images.opened(source, several=True) as image:
        kind, kept = image.format, _kept(image)
        frames, durations = [], []
        for index in range(image.n_frames):
            image.seek(index)
            frames.append(_restored(image, source, restore_frame))
            durations.append(image.info.get("duration", 0))
            if progress:
                progress((index + 1) / image.n_frames)
    options = {
        "GIF": {"duration": durations, "disposal": 2},
        "PNG": {"duration": durations, "disposal": 0, "blend": 0},
        "WEBP": {"duration": durations, "exact": True, **_webp_options(source, quality)},
    }[kind]
    with images.replacing(target, like=source) as temporary:
        frames[0].save(
            temporary, format=kind, save_all=True, append_images=frames[1:], **options, **kept
        )
    return ["colours beyond 256 in an image"] if kind == "GIF" else []


def _restore_pages(source, target, restore_frame, progress):
    count, lost = len(tiff.pages(source)), {}
    with images.replacing(target, like=source) as temporary:
        for index, page in enumerate(photos.read_pages(source)):
            restored = dataclasses.replace(page, pixels=restore_frame(page.pixels))
            photos.append_page(temporary, restored, first=index == 0)
            lost |= dict.fromkeys(page.lost)
            if progress:
                progress((index + 1) / count)
    return list(lost)


def _kept(image):
    names = {"loop", "exif", "icc_profile", "background", "default_image", "dpi", "xmp"}
    kept = {name: image.info[name] for name in names & image.info.keys()}
    if image.format != "WEBP":
        kept.pop("background", None)
    return kept


def _restored(image, source, restore_frame):
    if image.mode not in _MODES:
        raise InputError(
            f"{source} holds images of {image.mode}: save them as files of their own, of 8 bits."
        )
    planes = np.asarray(image.convert("RGBA"))
    restored = restore_frame(np.ascontiguousarray(planes[..., :3]))
    if (planes[..., 3] == 255).all():
        return Image.fromarray(restored)
    return Image.fromarray(np.dstack([restored, planes[..., 3]]))


def _webp_options(source, quality):
    with images.open_regular(source) as file:
        lossless = b"VP8L" in file.read(_HEAD)
    return {"lossless": True} if lossless else {"quality": quality}
