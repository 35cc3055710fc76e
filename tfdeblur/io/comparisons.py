"""Pictures of images before and after they were restored, enlarged where it matters."""

import dataclasses
import pathlib

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfdeblur.errors import InputError
from tfdeblur.io import images

# Of a comparison with sharp images: the side of an enlarged crop, in pixels of the picture, and of
# what it shows, in pixels of the image, where there are as many.
_SIDE, _CROP = 256, 96
_GAP, _LINE = 6, 22
ERROR_GAIN = 4
# Of before and after: the side of each of the four pictures at most, and of what is enlarged.
_SHOWN_SIDE, _CHANGED = 960, 320
_WIDE_GAP, _HIGH_LINE = 8, 26
_KERNEL_SIDE = 200


def before_and_after(path, before, after, kernel=None):
    """Writes both whole images side by side, and below them, enlarged, where they differ most.

    Args:
        path: the file to write, see `images.write`.
        before, after: uint8, uint16 or floating point in [0, 1] [H, W, 3], of one size.
        kernel: [h, w], the blur kernel by which the image was restored, shown in its corner; or
            None.
    """
    top, left = _most_changed(before, after)
    crop = (slice(top, top + _CHANGED), slice(left, left + _CHANGED))
    rows = [[_fitted(x) for x in (before, after)], [_fitted(x[crop]) for x in (before, after)]]
    width = max(row[0].width for row in rows)
    height = sum(row[0].height + _WIDE_GAP for row in rows)
    canvas = Image.new("RGB", (2 * width + 3 * _WIDE_GAP, _HIGH_LINE + height), "white")
    draw = ImageDraw.Draw(canvas)
    for column, label in enumerate(("before", "after")):
        left = _WIDE_GAP + column * (width + _WIDE_GAP)
        draw.text((left, 4), label, fill="black", font=ImageFont.load_default(size=16))
        top = _HIGH_LINE
        for row in rows:
            canvas.paste(row[column], (left, top))
            top += row[column].height + _WIDE_GAP
    if kernel is not None:
        shown = Image.fromarray(kernel_picture(kernel, _KERNEL_SIDE))
        canvas.paste(shown, (_WIDE_GAP + width - shown.width, _HIGH_LINE))
    images.write(path, np.asarray(canvas))


def kernel_picture(kernel, side):
    """A kernel [h, w] as a picture, uint8 [H, W, 3]: its largest value white, framed in grey.

    Pixels are repeated, for `side` pixels at most where the kernel has fewer.
    """
    grey = np.rint(255 * (kernel / kernel.max())).astype(np.uint8)
    repeats = max(side // max(kernel.shape), 1)
    grey = np.pad(grey.repeat(repeats, 0).repeat(repeats, 1), 2, constant_values=128)
    return np.repeat(grey[..., None], 3, -1)


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


def compare_methods(path, shown, place=None):
    """Writes whole blurry images, and beside each one square of all its versions, enlarged.

    Args:
        path: an image file, see `tfdeblur.io.images.write`.
        shown: list of (caption, {label: uint8 [H, W, 3]}), not empty, with the same labels: the
            blurry image first; what is called "sharp" is no method.
        place: (left, top, side) of the square, in pixels; None: where the methods differ most.

    Raises:
        InputError: the square does not lie in an image.
    """
    labels = tuple(shown[0][1])
    rows = []
    for caption, versions in shown:
        square = find_square(versions, place, caption)
        whole = _framed(versions[labels[0]], *square)
        rows.append((caption, [whole, *_cut(versions, square)]))
    _write(path, (labels[0], *labels), rows)


def find_square(versions, place, name):
    """(top, left, side) of the square of an image's versions that `compare_methods` enlarges."""
    blurry = next(iter(versions.values()))
    height, width, _ = blurry.shape
    if place is None:
        methods = [image for label, image in versions.items() if label != "sharp"]
        compared = methods[1:] if len(methods) > 2 else methods
        return _square_of_most(np.var(np.asarray(compared, np.float32), axis=0).sum(axis=-1))
    left, top, side = place
    if min(left, top) < 0 or side < 1 or left + side > width or top + side > height:
        raise InputError(
            f"`compare_at={left},{top},{side}` does not lie in {name}, which has {width}x{height} "
            "pixels: give the left, the top and the side of a square in it."
        )
    return top, left, side


def page_file(name):
    """Where, below the folder of a report, `write_page` puts the picture of an image."""
    return f"comparison/{name.removesuffix('.png')}.png"


def write_page(folder, name, versions, place=None):
    """Writes versions of an image beside each other, at full resolution, and a square enlarged.

    Args:
        folder: of the report.
        name: of the image.
        versions, place: as for `compare_methods`.
    """
    pictures = [Image.fromarray(image) for image in versions.values()]
    square = find_square(versions, place, name)
    top, left, side = square
    enlarged = f"{side}x{side} pixels from {left}, {top}"
    rows = [("", pictures), (enlarged, _cut(versions, square))]
    _write(pathlib.Path(folder, page_file(name)), tuple(versions), rows)


def _cut(versions, square):
    top, left, side = square
    crops = [image[top : top + side, left : left + side] for image in versions.values()]
    return [_enlarged(crop) for crop in crops]


def _fitted(pixels):
    """As large as fits: reduced by averaging, or enlarged by repeating pixels."""
    height, width, _ = pixels.shape
    step = -(-max(height, width) // (2 * _SHOWN_SIDE))
    pixels = np.ascontiguousarray(pixels[::step, ::step])  # large ones are not copied whole
    if pixels.dtype == np.uint16:
        pixels = images.to_eight_bits(pixels)
    elif pixels.dtype != np.uint8:  # floating point, in [0, 1]
        pixels = np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8)
    scale = _SHOWN_SIDE / max(height, width)
    if scale >= 1:
        return Image.fromarray(pixels).resize(
            (width * int(scale), height * int(scale)), Image.Resampling.NEAREST
        )
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(pixels).resize(size, Image.Resampling.BOX)


def _most_changed(before, after):
    """(top, left) of the crop in which the two differ most, among some that overlap by half."""
    height, width, _ = before.shape
    tops, lefts = (
        [*range(0, last, _CHANGED // 2), last]
        for last in (max(height - _CHANGED, 0), max(width - _CHANGED, 0))
    )

    def change(place):
        part = tuple(slice(start, start + _CHANGED, 4) for start in place)
        return np.abs(before[part].astype(np.float32) - after[part]).sum(dtype=np.float64)

    return max(((top, left) for top in tops for left in lefts), key=change)


def _panels(row):
    top, left, side = _worst_crop(row.blurry, row.sharp)
    crop = (slice(top, top + side), slice(left, left + side))
    error = np.abs(row.restored[crop].astype(int) - row.sharp[crop])
    crops = [row.blurry[crop], row.restored[crop], row.sharp[crop]]
    crops.append(np.clip(ERROR_GAIN * error, 0, 255).astype(np.uint8))
    return [_framed(row.blurry, top, left, side), *map(_enlarged, crops)]


def _worst_crop(blurry, sharp):
    """(top, left, side) of the square with the greatest squared error."""
    return _square_of_most(np.square(blurry.astype(float) - sharp).sum(axis=-1))


def _square_of_most(error):
    """(top, left, side) of the square with the greatest sum of [H, W]."""
    height, width = error.shape
    side = min(height, width, _CROP)
    error = error.astype(np.float64)
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
