"""Restoring by halves, or in places: what was restored, blended with what was given."""

import numbers
import os

import numpy as np

from tfdeblur.errors import InputError
from tfdeblur.io import photos

GAMMA = 2.2  # of the camera, as in `tfdeblur.blur`
_ROWS = 256  # that are in floating point at once


def blend(before, after, strength=1, mask=None):
    """Blends an image with its restored version, in linear light: as a double exposure would.

    Args:
        before, after: uint8, uint16, or float32 in [0, 1], [H, W, 3], both of one type.
        strength: the share of `after`, in [0, 1].
        mask: 1 where `after` is wanted, 0 where `before` stays, and between, in [0, 1]: float32
            [H, W], see `as_mask`; or None for 1 everywhere.

    Returns:
        Of the same type and shape; equal to `after`, or to `before`, where one stands alone.

    Raises:
        InputError: see `check`.
    """
    check(before, strength, mask)
    if strength == 1 and mask is None:
        return after
    blended = np.empty_like(before)
    for top in range(0, len(before), _ROWS):
        rows = slice(top, top + _ROWS)
        shares = np.float32(strength)
        if mask is not None:
            shares = shares * mask[rows][..., None]
        blended[rows] = _blended(before[rows], after[rows], shares)
    return blended


def check(image, strength, mask):
    """Raises an InputError where the strength is not in [0, 1], or the mask does not fit."""
    if not (isinstance(strength, numbers.Real) and 0 <= strength <= 1):
        raise InputError(f"`strength={strength}`: give a number from 0 to 1.")
    if mask is not None and mask.shape != image.shape[:2]:
        size, wanted = ("x".join(map(str, x[::-1])) for x in (mask.shape, image.shape[:2]))
        raise InputError(
            f"`mask` is of {size} pixels, and the image, upright, of {wanted}: give one of that "
            "size."
        )


def as_mask(mask):
    """A mask of what people hand over: white (255 of uint8) or True is to be restored, black stays.

    Args:
        mask: an array [H, W] of bool, uint8, uint16, or floating point in [0, 1]; or the path of an
            image, in which what is transparent is to stay, too.

    Returns:
        float32 [H, W] in [0, 1].

    Raises:
        InputError: as `photos.read`, or the array is none of these.
    """
    if isinstance(mask, str | os.PathLike):
        photo = photos.read(mask)
        shares = to_unit(photos.luma(photo.pixels)[..., 0])
        return shares if photo.alpha is None else shares * to_unit(photo.alpha)
    mask = np.asarray(mask)
    if mask.dtype in (np.uint8, np.uint16):
        if mask.size and mask.max() == 1:
            raise InputError(
                f"`mask` is of {mask.dtype}, and 1 at most, nearly black: give `mask > 0`, if 1 is "
                "to be restored."
            )
        return to_unit(mask)
    if mask.ndim != 2 or not mask.size or not (mask.min() >= 0 and mask.max() <= 1):
        raise InputError("`mask`: give [H, W] of uint8, bool, or floating point in [0, 1].")
    return mask.astype(np.float32)


def _blended(before, after, shares):
    light = [to_unit(image) ** GAMMA for image in (before, after)]
    codes = ((1 - shares) * light[0] + shares * light[1]) ** (1 / GAMMA)
    if before.dtype != np.float32:
        peak = np.iinfo(before.dtype).max
        codes = np.rint(codes * np.float32(peak))
    codes = np.where(shares == 0, before, np.where(shares == 1, after, codes))
    return codes.astype(before.dtype)


def to_unit(image):
    """Any type of an image -> float32 in [0, 1]."""
    if image.dtype == np.float32:
        return image
    return image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
