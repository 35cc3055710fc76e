"""What people hand over as an image: files, PIL images, arrays with or without colour and alpha."""

import os

import numpy as np
from PIL import Image

from tfdeblur.errors import InputError
from tfdeblur.io import photos

_PIL_MODES = ("L", "LA", "RGB", "RGBA")


def as_pixels(image):
    """Takes an image apart.

    Args:
        image: uint8 or uint16 `[H, W, 3]` or floating point in [0, 1]; also grey, `[H, W]` or
            `[H, W, 1]`, or with alpha, `[H, W, 2 or 4]`; a PIL image of mode L, LA, RGB or RGBA; or
            the path of a photograph, which stands for its array, upright.

    Returns:
        uint8, uint16 or float32 `[H, W, 3]`, to be restored; and a function which makes an image of
        the kind that was given of such restored ones. Alpha stays as it is.

    Raises:
        InputError: it is none of these; the message says how to convert it.
    """
    if isinstance(image, Image.Image):
        if image.mode not in _PIL_MODES:
            raise InputError(
                f"restore takes PIL images of mode {', '.join(_PIL_MODES)}, not {image.mode}: "
                'convert it, image.convert("RGB").'
            )
        pixels, back = as_pixels(np.asarray(image))
        return pixels, lambda restored: Image.fromarray(back(restored))
    if isinstance(image, str | os.PathLike):
        photo = photos.read(image)
        planes = [photo.pixels[..., :1] if photo.grey else photo.pixels]
        planes += [] if photo.alpha is None else [photo.alpha[..., None]]
        image = np.concatenate(planes, axis=-1)
        image = image[..., 0] if image.shape[-1] == 1 else image
    return _of_array(np.asarray(image))


def _of_array(image):
    shape, dtype = image.shape, image.dtype
    planes = image[..., None] if image.ndim == 2 else image
    if planes.ndim != 3 or planes.shape[-1] not in (1, 2, 3, 4) or not planes.size:
        raise InputError(
            f"restore takes one image [H, W, 3], not {list(shape)}: give the images of a batch one "
            "by one, channels last."
        )
    planes = _in_range(planes)
    colours = 3 if planes.shape[-1] > 2 else 1
    alpha = image.reshape(planes.shape)[..., colours:]

    def back(restored):
        restored = restored if colours == 3 else photos.luma(restored)
        restored = restored.astype(dtype, copy=False)
        if alpha.size:
            restored = np.concatenate([restored, alpha], axis=-1)
        return restored.reshape(shape)

    pixels = planes[..., :colours]
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3)), back


def _in_range(planes):
    if planes.dtype in (np.uint8, np.uint16):
        return planes
    if not np.issubdtype(planes.dtype, np.floating):
        raise InputError(
            f"restore takes uint8, uint16 or floating point in [0, 1], not {planes.dtype}: convert "
            'it, image.astype("uint8") say.'
        )
    low, high = planes.min(), planes.max()
    if not (low >= 0 and high <= 1):
        raise InputError(
            f"restore takes floating point in [0, 1], and this is {low:g} to {high:g}: divide it "
            "by its white, image / 255 say."
        )
    return planes.astype(np.float32)
