"""What people hand over as an image: files, PIL images, arrays with or without colour and alpha."""

import os

import numpy as np
from PIL import Image

from tfdeblur.errors import InputError
from tfdeblur.io import photos

_PIL_MODES = ("L", "LA", "RGB", "RGBA", "I;16", "I;16B", "F")
# Of the others, those that another conversion than that to RGB keeps.
_CONVERSIONS = {
    "1": 'image.convert("L")',
    "I": 'np.asarray(image).astype("uint16") where its values are 0 to 65535',
    "La": 'image.convert("LA")',
    "PA": 'image.convert("RGBA")',
    "RGBa": 'image.convert("RGBA")',
}
_PIL_INFO = ("dpi", "exif", "icc_profile", "xmp")


def as_pixels(image):
    """Takes an image apart.

    Args:
        image: uint8 or uint16 `[H, W, 3]` or floating point in [0, 1]; also grey, `[H, W]` or
            `[H, W, 1]`, or with alpha, `[H, W, 2 or 4]`; a PIL image of mode L, LA, RGB, RGBA,
            I;16 or F; or the path of a photograph, which stands for its array, upright.

    Returns:
        uint8, uint16 or float32 `[H, W, 3]`, to be restored; and a function which makes an image of
        the kind that was given of such restored ones. Alpha stays as it is.

    Raises:
        InputError: it is none of these; the message says how to convert it.
    """
    if isinstance(image, Image.Image):
        return _of_pil(image)
    if isinstance(image, str | os.PathLike):
        photo = photos.read(image)
        planes = [photo.pixels[..., :1] if photo.grey else photo.pixels]
        planes += [] if photo.alpha is None else [photo.alpha[..., None]]
        image = np.concatenate(planes, axis=-1)
        image = image[..., 0] if image.shape[-1] == 1 else image
    return _of_array(np.asarray(image))


def _of_pil(image):
    if image.mode not in _PIL_MODES:
        has_alpha = "transparency" in image.info
        usual = f'image.convert("{"RGBA" if has_alpha else "RGB"}")'
        raise InputError(
            f"restore takes PIL images of mode {', '.join(_PIL_MODES)}, not {image.mode}: "
            f"convert it, {_CONVERSIONS.get(image.mode, usual)}."
        )
    if "transparency" in image.info:
        raise InputError(
            "the PIL image has a transparent colour, which is another one once it is restored: "
            f'convert it, image.convert("{"LA" if image.mode == "L" else "RGBA"}").'
        )
    pixels, back = _of_array(np.asarray(image))

    def back_to_pil(restored):
        result = Image.fromarray(back(restored))
        result.info |= {name: image.info[name] for name in _PIL_INFO if name in image.info}
        return result

    return pixels, back_to_pil


def _of_array(image):
    shape, dtype = image.shape, image.dtype
    image = image.astype(dtype.newbyteorder("="), copy=False)
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
            'it, image.astype("uint8") where its values are at most 255, "uint16" up to 65535.'
        )
    if np.isnan(planes).any():
        raise InputError("restore takes floating point in [0, 1], and some of this is no number.")
    low, high = planes.min(), planes.max()
    if not (low >= 0 and high <= 1):
        raise InputError(
            f"restore takes floating point in [0, 1], and this is {low:g} to {high:g}: divide it "
            "by its white, np.asarray(image) / 255 say."
        )
    return planes.astype(np.float32)
