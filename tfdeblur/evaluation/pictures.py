"""Pictures of restored images: beside the blurry and the sharp ones, enlarged where it matters."""

import dataclasses
import pathlib

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfdeblur.io import images
from tfdeblur.restoration import quantise

_SIDE = 256  # of an enlarged crop, in pixels of the picture
_CROP = 96  # of what it shows, in pixels of the image, where there are as many
_GAP, _LINE = 6, 22
ERROR_GAIN = 4


@dataclasses.dataclass(frozen=True)
class Row:
    """One image of a comparison: three uint8 [H, W, 3] of one size."""

    caption: str
    blurry: np.ndarray
    restored: np.ndarray
    sharp: np.ndarray


def comparison(path, rows):
    """Writes a picture of whole blurry images, and crops: blurry, restored, sharp, error.

    Each crop lies where the blurry image is furthest from the sharp one, framed in the whole image,
    and is enlarged by pixel repetition. The error is `ERROR_GAIN` times |restored - sharp|.

    Args:
        path: an image file, see `tfdeblur.io.images.write`.
        rows: a list of Row, not empty.
    """
    labels = ("blurry", "blurry", "restored", "sharp", f"error x{ERROR_GAIN}")
    _write(path, labels, [(row.caption, _panels(row)) for row in rows])


def page_file(name):
    """Where, below the folder of a report, `write_page` puts the picture of an image."""
    return f"comparison/{name}.png"


def write_page(folder, example, restored):
    """Writes a blurry image and its restored versions beside each other, at full resolution.

    Args:
        folder: of the report.
        example, restored: see `scoring.score`.
    """
    name, blurry, _ = example
    shown = {"blurry": blurry, **{method: quantise(image) for method, image in restored.items()}}
    pictures = [Image.fromarray(image) for image in shown.values()]
    _write(pathlib.Path(folder, page_file(name)), tuple(shown), [("", pictures)])


def _panels(row):
    top, left, side = _worst_crop(row.blurry, row.sharp)
    crop = (slice(top, top + side), slice(left, left + side))
    error = np.abs(row.restored[crop].astype(int) - row.sharp[crop])
    crops = [row.blurry[crop], row.restored[crop], row.sharp[crop]]
    crops.append(np.clip(ERROR_GAIN * error, 0, 255).astype(np.uint8))
    return [_framed(row.blurry, top, left, side), *map(_enlarged, crops)]


def _worst_crop(blurry, sharp):
    """(top, left, side) of the square with the greatest squared error."""
    height, width, _ = blurry.shape
    side = min(height, width, _CROP)
    error = np.square(blurry.astype(float) - sharp).sum(axis=-1)
    total = np.pad(error.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    top, left = np.unravel_index(np.argmax(sums), sums.shape)
    return int(top), int(left), side


def _framed(image, top, left, side):
    """The whole image, as high as the crops, with a frame around the crop."""
    height, width, _ = image.shape
    scale = _SIDE / height
    picture = Image.fromarray(image).resize((max(1, round(width * scale)), _SIDE))
    corners = [round(scale * x) for x in (left, top, left + side, top + side)]
    ImageDraw.Draw(picture).rectangle(corners, outline="red", width=2)
    return picture


def _enlarged(crop):
    return Image.fromarray(crop).resize((_SIDE, _SIDE), Image.Resampling.NEAREST)


def _write(path, labels, rows):
    """A grid: a line of labels, then rows of (caption, pictures)."""
    font = ImageFont.load_default(size=14)
    widths = [max(shown[column].width for _, shown in rows) for column in range(len(labels))]
    # Room for the text, whatever the pictures' size.
    widths = [max(w, int(font.getlength(t))) for w, t in zip(widths, labels, strict=True)]
    captions = max(int(font.getlength(caption)) for caption, _ in rows) + 2 * _GAP
    width = max(_GAP + sum(w + _GAP for w in widths), captions)
    height = _LINE + sum(_LINE * bool(text) + shown[0].height + _GAP for text, shown in rows)
    canvas = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(canvas)
    lefts = [_GAP + sum(widths[:column]) + column * _GAP for column in range(len(labels))]
    for left, label in zip(lefts, labels, strict=True):
        draw.text((left, 3), label, fill="black", font=font)
    top = _LINE
    for caption, shown in rows:
        if caption:
            draw.text((_GAP, top + 2), caption, fill="black", font=font)
            top += _LINE
        for left, picture in zip(lefts, shown, strict=True):
            canvas.paste(picture, (left, top))
        top += shown[0].height + _GAP
    images.write(path, np.asarray(canvas))
