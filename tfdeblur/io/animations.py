"""Files of several images: animated GIF, WebP and PNG, and TIFF of several pages."""

import dataclasses
import os
import pathlib

import numpy as np
from PIL import Image

from tfdeblur.errors import InputError
from tfdeblur.io import images, jxl, metadata, photos, raw, tiff

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
_GIF_EXTENSIONS = {
    b"!\xff\x0bXMP DataXMP": "its XMP",
    b"!\xff\x0bICCRGBG1012": "its colour profile",
}


def find(source, target):
    """How many images a file holds, and their size, where `restore` is what restores it.

    Args:
        source: a file that is no video.
        target: the file to write.

    Returns:
        (count, (width, height)); or None, for a single image that `photos` can write.

    Raises:
        InputError: it cannot be read, its images cannot be restored together, or the target is of
            another format.
    """
    if raw.is_raw(source) or jxl.is_jxl(source):
        return None
    if tiff.is_deep(source):
        count, kind, size = tiff.count(source), "TIFF", None
    else:
        with images.opened(source, several=True) as image:
            count, kind, size = images.count_frames(image), image.format, image.size
    suffix = pathlib.Path(target).suffix.lower()
    same = suffix in _KINDS.get(kind, ())
    if count == 1 and not (same and kind == "GIF"):
        return None
    if kind not in _KINDS:
        images.refuse_several(source, count)
    if not same:
        raise InputError(
            f"{source} holds {count} images: name a file of its own format, not {suffix}, or save "
            "the wanted one as a file of its own."
        )
    if kind == "TIFF":
        return count, photos.size_of_pages(source)
    if count * size[0] * size[1] > _MOST_PIXELS:
        raise InputError(f"{source} is too large: {count} images of {size[0]}x{size[1]} pixels.")
    return count, size


def read_first(path):
    """The first image of a file of which `find` tells: uint8, uint16 or float32 [H, W, 3]."""
    if tiff.is_tiff(path):
        return next(photos.read_pages(path)).pixels
    with images.opened(path, several=True) as image:
        return np.asarray(image.convert("RGBA"))[..., :3]


def restore(source, target, restore_frame, quality=95, progress=None, shown=None):
    """Restores image after image; times, loops, transparency, comments and metadata are kept.

    Each page of a TIFF file keeps what a photograph does, see `photos`.

    Args:
        source: a file of which `find` tells.
        target: the file to write, of the same format; it appears whole or not at all.
        restore_frame: uint8 [H, W, 3], and of TIFF also uint16 and float32 -> the same.
        quality: of WebP.
        progress: function that is called with the share done, in [0, 1]; or None.
        shown: function that is called with the first image and its restored version; or None.

    Returns:
        list of str, what is left out, for a message.

    Raises:
        InputError: the source is broken or an animation of more than 8 bits, or the target cannot
            be written.
    """
    restore_frame = _showing(restore_frame, shown)
    if tiff.is_tiff(source):
        return _restore_pages(source, target, restore_frame, progress)
    there = os.path.lexists(target)
    with images.opened(source, several=True) as image:
        kind, found, lost = image.format, *_metadata(image, source)
        kept = _kept(image) | metadata.options(found, kind)
        lost += _lost(image, source)
        frames, durations, comments = [], [], {}
        grey = kind == "PNG"
        for index in range(image.n_frames):
            image.seek(index)
            grey = grey and image.mode in ("1", "L", "LA")
            frames.append(_restored(image, source, restore_frame))
            durations.append(image.info.get("duration", 0))
            comments |= dict.fromkeys(filter(None, [image.info.get("comment")]))
            if progress:
                progress((index + 1) / image.n_frames)
    if grey:
        mode = "LA" if any(frame.mode == "RGBA" for frame in frames) else "L"
        frames = [frame.convert(mode) for frame in frames]
    if kept.get("default_image"):  # which stands before the animation
        durations = durations[1:]
    options = {
        "GIF": {"duration": durations, "disposal": 2, "comment": b"\n".join(comments)},
        "PNG": {"duration": durations, "disposal": 0, "blend": 0},
        "WEBP": {"duration": durations, "exact": True, **_webp_options(source, quality)},
    }[kind]
    if not there:
        images.refuse_new(target)
    with images.replacing(target, like=source) as temporary:
        frames[0].save(
            temporary, format=kind, save_all=True, append_images=frames[1:], **options, **kept
        )
        if kind == "PNG":
            metadata.complete_png(temporary, found)
    return lost


def _showing(restore_frame, shown):
    """The same function, but its first argument and result are shown."""
    left = [shown] if shown else []

    def restore(image):
        restored = restore_frame(image)
        if left:
            left.pop()(image, restored)
        return restored

    return restore


def _restore_pages(source, target, restore_frame, progress):
    count, lost = tiff.count(source), {}
    with (
        images.replacing(target, like=source) as temporary,
        photos.writing_pages(temporary) as write_page,
    ):
        for index, page in enumerate(photos.read_pages(source)):
            write_page(dataclasses.replace(page, pixels=restore_frame(page.pixels)))
            lost |= dict.fromkeys(page.lost)
            if progress:
                progress((index + 1) / count)
    return list(lost)


def _kept(image):
    """What is told beside metadata of the whole animation, as Pillow's `save` takes it."""
    names = {"loop", "default_image"} | ({"background"} if image.format == "WEBP" else set())
    return {name: image.info[name] for name in names & image.info.keys()}


def _metadata(image, source):
    """Metadata, the orientation as it is stored; and a list of str, what is not among it."""
    chunks, lost = (), []
    if image.format == "PNG":
        with images.open_regular(source) as file:
            chunks, lost = metadata.read_chunks(file, bits=8)
    found = metadata.Metadata(
        exif=image.info.get("exif", b""),
        xmp=image.info.get("xmp", b""),
        icc=image.info.get("icc_profile", b""),
        dpi=metadata.resolution(image.info.get("dpi", ())),
        chunks=chunks,
    )
    return found, lost


def _lost(image, source):
    """What is not kept, in words."""
    if image.format == "GIF":
        yield "colours beyond 256 in an image"
        with images.open_regular(source) as file:
            head = file.read(_HEAD)
        for start, name in _GIF_EXTENSIONS.items():
            if start in head:
                yield name
    if image.format == "PNG" and "16" in str(image.tile[0].args):
        yield "its 16 bits, which become 8"


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
