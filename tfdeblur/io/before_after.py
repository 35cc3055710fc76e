"""A picture of an image before and after it was restored."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfdeblur.io import images

_SIDE = 960  # of each of the four pictures at most, in pixels
_CROP = 320  # of what is shown enlarged, in pixels of the image, where there are as many
_GAP, _LINE = 8, 26


def write(path, before, after):
    """Writes both whole images side by side, and below them, enlarged, where they differ most.

    Args:
        path: the file to write, see `images.write`.
        before, after: uint8 or uint16 [H, W, 3], of one size.
    """
    top, left = _most_changed(before, after)
    crop = (slice(top, top + _CROP), slice(left, left + _CROP))
    rows = [[_scaled(x) for x in (before, after)], [_scaled(x[crop]) for x in (before, after)]]
    width = max(row[0].width for row in rows)
    height = sum(row[0].height + _GAP for row in rows)
    canvas = Image.new("RGB", (2 * width + 3 * _GAP, _LINE + height), "white")
    draw = ImageDraw.Draw(canvas)
    for column, label in enumerate(("before", "after")):
        left = _GAP + column * (width + _GAP)
        draw.text((left, 4), label, fill="black", font=ImageFont.load_default(size=16))
        top = _LINE
        for row in rows:
            canvas.paste(row[column], (left, top))
            top += row[column].height + _GAP
    images.write(path, np.asarray(canvas))


def _scaled(pixels):
    """As large as fits: reduced by averaging, or enlarged by repeating pixels."""
    height, width, _ = pixels.shape
    step = -(-max(height, width) // (2 * _SIDE))
    pixels = np.ascontiguousarray(pixels[::step, ::step])  # large ones are not copied whole
    if pixels.dtype == np.uint16:
        pixels = images.to_eight_bits(pixels)
    scale = _SIDE / max(height, width)
    if scale >= 1:
        return Image.fromarray(pixels).resize(
            (width * int(scale), height * int(scale)), Image.Resampling.NEAREST
        )
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(pixels).resize(size, Image.Resampling.BOX)


def _most_changed(before, after):
    """(top, left) of the crop in which the two differ most, among some that overlap by half."""
    height, width, _ = before.shape
    tops = range(0, max(height - _CROP, 0) + 1, _CROP // 2)
    lefts = range(0, max(width - _CROP, 0) + 1, _CROP // 2)

    def change(place):
        part = tuple(slice(start, start + _CROP, 4) for start in place)
        return np.abs(before[part].astype(np.int32) - after[part]).sum()

    return max(((top, left) for top in tops for left in lefts), key=change)
