"""People's photographs: read and written with all that a restored one keeps.

That is 8 or 16 bits, transparency, greyscale, and `metadata`. Where only 8-bit RGB counts, as in
training and measuring, `images` is enough.
"""

import contextlib
import dataclasses
import pathlib

import numpy as np
from PIL import Image

from tfdeblur.errors import InputError
from tfdeblur.io import images, jxl, metadata, raw, tiff
from tfdeblur.io.metadata import Metadata

# What a folder is searched for, beside `raw.SUFFIXES`, and what `write` can write.
SUFFIXES = (*images.SUFFIXES, ".avif", ".jfif", ".jpe", ".jxl", ".pgm", *images.HEIF_SUFFIXES)
# Formats, named as Pillow does.
_WITH_ALPHA = ("AVIF", "HEIF", "JXL", "PNG", "TIFF", "WEBP")
_BITS = {"JXL": 16, "PNG": 16, "PPM": 16, "TIFF": 32}  # of a channel, where a format holds over 8
_WITH_QUALITY = ("AVIF", "HEIF", "JPEG", "WEBP")
_SAME = {"MPO": "JPEG", "DIB": "BMP"}  # which of them `write` writes for another one
_TIFF_ORIENTATION, _TIFF_EXTRA_SAMPLES = 274, 338
_PAGE_TYPES = ("bool", "int8", "uint8", "uint16")  # that Pillow reads of a TIFF file, to 8 bits
_HEAD = 2**16  # bytes in which a file says how it is encoded
_WRITTEN = ("AVIF", "BMP", "HEIF", "JPEG", "JXL", "PNG", "PPM", "TIFF", "WEBP")


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photograph, upright.

    Attributes:
        pixels: uint8 or uint16 [H, W, 3], RGB, or float32 in [0, 1]; may be a view that cannot be
            written to.
        alpha: of the same type [H, W], its maximum where opaque, or None.
        grey: whether the file is greyscale. The three channels of `pixels` are the same then.
        metadata: Metadata.
        format: as Pillow calls it, by what the file holds; "" where it was none.
        lossless: whether the file is lossless, in a format that can be either.
        lost: str, what the file held besides, for a message.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    grey: bool = False
    metadata: Metadata = dataclasses.field(default_factory=Metadata)
    format: str = ""
    lossless: bool = False
    lost: tuple = ()


def read(path):
    """Reads a photograph.

    PNG, PPM, PGM and TIFF files of 16 bits a channel keep them, and TIFF files of floating point
    theirs; all others become 8 bits, and RGB where they are neither RGB nor greyscale. Alpha is
    separated, not composited.

    Args:
        path: as for `images.read`.

    Returns:
        Photo.

    Raises:
        InputError: as `images.read`; or floating-point values are not in [0, 1].
    """
    if raw.is_raw(path):
        return _read_raw(path)
    if jxl.is_jxl(path):
        return _read_jxl(path)
    if tiff.is_deep(path):
        images.refuse_several(path, tiff.count(path))
        return _read_deep_tiff(path)
    with images.opened(path) as image:
        return _read_opened(image, path)


def read_pages(path):
    """Reads a TIFF file of several pages.

    Args:
        path: the file.

    Yields:
        Photo, one for each page, previews aside.

    Raises:
        InputError: as `read`.
    """
    for page, image, name in _each_page(path):
        with images.telling(name):
            photo = _read_opened(image, path) if image else _read_deep_page(page, name)
            photo = _without_layout(photo)
        yield photo


def size_of_pages(path):
    """(width, height) of the first of the pages that `read_pages` reads, as it is stored.

    Raises:
        InputError: `read_pages` would raise it for what the header of a page says, or for
            floating-point values.
    """
    sizes = []
    for page, image, name in _each_page(path):
        with images.telling(name):
            sizes.append(image.size if image else tiff.size(page, name))
    return sizes[0]


def _each_page(path):
    """(page as tifffile has it, None if it is deep or Pillow's image at that page, its name)."""
    with contextlib.ExitStack() as stack:
        image = None
        for page in tiff.pages(stack.enter_context(tiff.opened(path))):
            name = f"page {page.index + 1} of {path}"
            if tiff.is_deep_page(page):
                yield page, None, name
                continue
            with images.telling(name):
                # Here, for Pillow opens no file whose first page has floating point in colours.
                image = image or stack.enter_context(images.opened(path, several=True))
                _seek(image, page, name)
            yield page, image, name


def _seek(image, page, name):
    if page.dtype and str(page.dtype) not in _PAGE_TYPES:
        raise InputError(
            f"{name} holds {page.dtype} pixels, which cannot be read: convert it to 8 or 16 bits."
        )
    image.seek(page.index)
    if image.width * image.height > 2 * Image.MAX_IMAGE_PIXELS:  # Pillow asks the first
        raise InputError(f"{name} is too large to be opened safely.")


def _without_layout(photo):
    kept, lost = metadata.without_layout(photo.metadata)
    return dataclasses.replace(photo, metadata=kept, lost=(*photo.lost, *lost))


def _read_opened(image, path):
    with images.open_regular(path) as file:
        lost = list(_lost_in_pixels(image, file.read(_HEAD)))
        if _has_sixteen_bits(image):
            planes = _sixteen_bit_planes(image, path)
        else:
            planes = _eight_bit_planes(image, path)
        grey = planes.shape[-1] < 3
        if image.format == "TIFF":  # Pillow turns it upright
            kept, others = metadata.read_tiff(image.getexif(), grey)
            others += metadata.tags_lost(image.getexif())
        else:
            orientation = images.orientation(image)
            planes = _turned(planes, orientation)
            kept, others = metadata.read(image, file, orientation, grey)
        form = _SAME.get(image.format, image.format)
        return _photo(planes, kept, form, _is_lossless(image, file), [*lost, *others])


def _read_raw(path):
    planes = raw.read(path)
    with images.open_regular(path) as file:
        # Most raw files are TIFF files by their structure; the size there may be a preview's.
        kept, lost = metadata.read_tiff(tiff.tags(file), grey=False)
    return _photo(planes, dataclasses.replace(kept, icc=b"", dpi=()), "", lost=lost)


def _read_jxl(path):
    planes, exif, xmp = jxl.read(path)
    kept, lost = metadata.read_boxes(exif, xmp)
    lossless, is_srgb = jxl.encoding(path)
    if not is_srgb:
        lost.append("its colours, which are taken for those of sRGB")
    return _photo(planes, kept, "JXL", lossless, lost)


def _read_deep_tiff(path):
    with tiff.opened(path) as whole:
        return _read_deep_page(whole.pages[0], path)


def _read_deep_page(page, name):
    planes, lost = tiff.read(page, name)
    tags = tiff.page_tags(page)
    kept, others = metadata.read_tiff(tags, grey=planes.shape[-1] < 3)
    others += metadata.tags_lost(tags)
    planes = _turned(planes, tags.get(_TIFF_ORIENTATION, 1))
    return _photo(planes, kept, "TIFF", lost=[*lost, *others])


def _photo(planes, kept, form, lossless=False, lost=()):
    height, width, channels = planes.shape
    grey = channels < 3
    colours = planes[..., :1] if grey else planes[..., :3]
    return Photo(
        pixels=np.broadcast_to(colours, (height, width, 3)),
        alpha=planes[..., -1] if channels in (2, 4) else None,
        grey=grey,
        metadata=kept,
        format=form,
        lossless=lossless,
        lost=tuple(lost),
    )


def size(path):
    """(width, height) of a photograph by its header; floating-point values are read to be checked.

    Raises:
        InputError: `read` would raise it for what the header says, or for floating-point values.
    """
    for kind, is_kind in ((raw, raw.is_raw), (jxl, jxl.is_jxl)):
        if is_kind(path):
            return kind.size(path)
    if not tiff.is_deep(path):
        with images.opened(path) as image:
            if not _has_sixteen_bits(image):
                images.refuse_undefined_range(image, path)
            return images.upright_size(image)
    images.refuse_several(path, tiff.count(path))
    with tiff.opened(path) as whole:
        page = whole.pages[0]
        width, height = tiff.size(page, path)
        turned = tiff.page_tags(page).get(_TIFF_ORIENTATION, 1) in (5, 6, 7, 8)
    return (height, width) if turned else (width, height)


def write(path, photo, quality=95, form=None, like=None):
    """Writes a photograph.

    What the format cannot hold is left out: alpha, metadata, 16 bits become 8. Colour is not
    subsampled where the encoder can help it. A lossless photograph is written without loss, where
    the format is its own. The file appears whole or not at all, as by `images.write`.

    Args:
        path: the file; replaced where it exists.
        photo: Photo.
        quality: of JPEG, WebP, AVIF and HEIC, 1 to 100.
        form: the format, one of those in `Photo.format`; None: that which the suffix names, one of
            `SUFFIXES`. Where it is given, the suffix does not matter.
        like: a file whose access rights and time of change it gets, see `images.replacing`.

    Returns:
        str, what was left out, for a message; "" for nothing.

    Raises:
        InputError: unknown suffix, or the file cannot be written.
    """
    path = pathlib.Path(path)
    if form not in _WRITTEN:
        check_suffix(path)
        form = _format_of(path)
    planes = _of_bits(_planes(photo, form in _WITH_ALPHA), _BITS.get(form, 8))
    with images.replacing(path, like) as temporary:
        if form == "TIFF":
            _write_tiff(temporary, planes, photo.metadata)
        elif form == "JXL":
            quality = 100 if photo.lossless and photo.format == "JXL" else quality
            jxl.write(temporary, planes, quality, photo.metadata.exif, photo.metadata.xmp)
        elif planes.dtype == np.uint16:
            write_deep = {"PNG": _write_deep_png, "PPM": _write_deep_ppm}[form]
            write_deep(temporary, planes, photo.metadata)
        else:
            picture = Image.fromarray(planes[..., 0] if planes.shape[-1] == 1 else planes)
            del planes  # Pillow has its own copy
            options = metadata.options(photo.metadata, form)
            options |= _encoding(form, quality, photo.lossless and form == photo.format)
            picture.save(temporary, format=form, **options)
            if form == "PNG":
                metadata.complete_png(temporary, photo.metadata)
    return ", ".join(_left_out(photo, form))


@contextlib.contextmanager
def writing_pages(path):
    """Writes a TIFF file of several pages; yields a function that writes a Photo as the next."""
    with tiff.writing(path) as write_page:
        yield lambda photo: _write_page(write_page, _planes(photo, True), photo.metadata)


def _encoding(form, quality, lossless):
    """What Pillow is to be told of an encoder."""
    if lossless and form == "WEBP":
        return {"lossless": True, "exact": True}
    if lossless and form == "HEIF":
        return {"quality": -1, "chroma": 444, "matrix_coefficients": 0}
    options = {"quality": quality} if form in _WITH_QUALITY else {}
    if lossless and form == "AVIF":
        options["quality"] = 100  # Pillow has nothing better
    if form in ("AVIF", "JPEG"):
        options["subsampling"] = "4:4:4"
    if form == "HEIF":
        options["chroma"] = 444
    return options


def _left_out(photo, form):
    """What a format cannot hold of a photograph, in words."""
    bits = {"uint8": 8, "uint16": 16, "float32": 32}[str(photo.pixels.dtype)]
    if bits > _BITS.get(form, 8):
        yield "its floating-point values" if bits == 32 else "its 16 bits"
    if photo.alpha is not None and form not in _WITH_ALPHA:
        peak = 1 if bits == 32 else 2**bits - 1
        if photo.alpha.min() < peak:
            yield "its transparency"
    if photo.lossless and form == photo.format == "AVIF":
        yield "its lossless compression (values change by about 3 of 255)"
    yield from metadata.not_held(photo.metadata, form)


def can_stay(path):
    """Whether `write` can write the format of a file of a single image, by what it holds.

    Raises:
        InputError: the file cannot be read, as far as its header tells.
    """
    if raw.is_raw(path):
        return False
    if jxl.is_jxl(path) or tiff.is_deep(path):
        return True
    with images.opened(path) as image:
        return _SAME.get(image.format, image.format) in _WRITTEN


def suffix_of(form):
    """The usual suffix of a format that Pillow names so; ".png" for one that `write` has not."""
    form = _SAME.get(form, form)
    usual = {"JPEG": ".jpg", "TIFF": ".tif", "HEIF": ".heic"}
    return usual.get(form, f".{form.lower()}") if form in _WRITTEN else ".png"


def check_suffix(path):
    """Raises an InputError where `write` cannot write a file of this name."""
    path = pathlib.Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"cannot write {path}: name a file ending in {', '.join(SUFFIXES)}.")
    if path.suffix.lower() in images.HEIF_SUFFIXES:
        images.register_heif(path)
    if path.suffix.lower() == ".jxl":
        jxl.check(path)


def _format_of(path):
    suffix = path.suffix.lower()
    return "JXL" if suffix == ".jxl" else Image.registered_extensions()[suffix]


# ------------------------------------------------------------------------ reading


def _has_sixteen_bits(image):
    if image.format == "PNG":
        return "16" in str(image.tile[0].args)
    if image.format == "PPM" and image.mode == "RGB":
        return image.tile[0].codec_name == "ppm" and image.tile[0].args[1] > 255
    return images.is_sixteen_bit(image)


def _lost_in_pixels(image, head):
    """What reading changes of the pixels, in words."""
    if image.mode in ("CMYK", "LAB", "YCbCr", "HSV") and image.format in ("TIFF", "JPEG", "MPO"):
        yield f"its {image.mode} colours, which become RGB of 8 bits"
    if image.format == "TIFF":
        extra = image.tag_v2.get(_TIFF_EXTRA_SAMPLES, ())
        yield from tiff.meaningless(len(extra) - (bool(extra) and images.has_alpha(image)))
    bits = image.info.get("bit_depth", 8) if image.format == "HEIF" else 8
    if image.format == "PPM" and image.mode == "RGB" and image.tile[0].codec_name == "ppm_plain":
        bits = 16 if image.tile[0].args[1] > 255 else 8
    if image.format == "AVIF" and (start := head.find(b"av1C")) > 0:
        flags = head[start + 6]  # of the AV1 codec's configuration record
        bits = 8 + 2 * (flags >> 6 & 1) + 2 * (flags >> 5 & 1)
    if isinstance(bits, int) and bits > 8:
        yield f"its {bits} bits, which become 8"


def _is_lossless(image, file):
    """Whether a WebP, AVIF or HEIC file, which can be either, was made without loss."""
    file.seek(0)
    head = file.read(_HEAD)
    if image.format == "WEBP":
        return b"VP8L" in (head[12:16], *metadata.webp_chunks(file))
    if image.format not in ("AVIF", "HEIF"):
        return False
    # RGB, not converted to YUV, is what encoders take for it, and nothing else does.
    start = head.find(b"nclx")
    return start > 0 and head[start + 8 : start + 10] == b"\0\0"


def _eight_bit_planes(image, path):
    images.refuse_undefined_range(image, path)
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if images.has_alpha(image):
        mode += "A"
    if image.format == "PNG" and "transparency" in image.info:
        # Pillow spreads greys of 2 and 4 bits over 8, and leaves the transparent one as it was.
        image.info["transparency"] *= {"L;2": 85, "L;4": 17}.get(image.tile[0].args, 1)
    image.load()
    if image.mode != mode:
        image = image.convert("RGBA" if image.mode == "La" else mode).convert(mode)
    planes = np.asarray(image)
    return planes if planes.ndim == 3 else planes[..., None]


def _sixteen_bit_planes(image, path):
    """uint16 [H, W, 1 to 4], as it lies in the file."""
    if image.format == "PPM" and image.mode == "RGB":
        return _deep_ppm_planes(image, path)
    image.load()
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.uint16, copy=False)
        if "transparency" not in image.info:
            return grey[..., None]
        opaque = grey != image.info["transparency"]
        return np.stack([grey, np.where(opaque, 65535, 0).astype(np.uint16)], axis=-1)
    # Pillow reads colours as 8 bits only.
    import tensorflow as tf

    with images.open_regular(path) as file:
        content = file.read(images.MAX_BYTES)
    channels = 4 if "transparency" in image.info else 0
    return tf.io.decode_png(content, channels, tf.uint16).numpy()


def _deep_ppm_planes(image, path):
    """uint16 [H, W, 3] of the whole range, whichever value the file calls white."""
    width, height = image.size
    white = image.tile[0].args[1]
    with images.open_regular(path) as file:
        file.seek(image.tile[0].offset)
        values = np.frombuffer(file.read(6 * width * height), ">u2").reshape(height, width, 3)
    if white == 65535:
        return values.astype(np.uint16)
    return _rounded(np.minimum(values, white) / np.float32(white), 65535)


def _turned(planes, orientation):
    """Undoes an EXIF orientation; the result is a view."""
    if orientation in (5, 6, 7, 8):
        planes = planes.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        planes = planes[:, ::-1]
    if orientation in (3, 4, 7, 8):
        planes = planes[::-1]
    return planes


# ------------------------------------------------------------------------ writing


def _planes(photo, with_alpha):
    """[H, W, 1 to 4], contiguous."""
    planes = luma(photo.pixels) if photo.grey else photo.pixels
    if photo.alpha is not None and with_alpha:
        planes = np.concatenate([planes, photo.alpha[..., None]], axis=-1)
    return np.ascontiguousarray(planes)


def luma(pixels):
    """The grey of ITU-R BT.601, in integers where they are: [H, W, 1]."""
    if pixels.dtype == np.float32:
        red, green, blue = np.split(pixels, 3, axis=-1)
        # In this way the grey of equal channels is theirs to the last bit.
        return red + np.float32(0.587) * (green - red) + np.float32(0.114) * (blue - red)
    grey = np.full(pixels.shape[:2], 1 << 15, np.uint32)
    for channel, weight in enumerate((19595, 38470, 7471)):  # of 2^16
        grey += pixels[..., channel] * np.uint32(weight)
    grey >>= 16
    return grey.astype(pixels.dtype)[..., None]


def _of_bits(planes, bits):
    """The same of at most so many bits."""
    if planes.dtype == np.float32 and bits < 32:
        return _rounded(planes, 2**bits - 1)
    if planes.dtype == np.uint16 and bits < 16:
        return images.to_eight_bits(planes)
    return planes


def _rounded(planes, peak):
    return np.rint(planes * np.float32(peak)).astype(np.uint16 if peak > 255 else np.uint8)


def _write_deep_png(path, planes, found):
    import tensorflow as tf

    content = tf.io.encode_png(planes, compression=3).numpy()
    with open(path, "wb") as file:
        file.write(content[: metadata.PNG_HEADER])
        file.writelines(metadata.png_chunks(found))
        file.write(memoryview(content)[metadata.PNG_HEADER :])


def _write_deep_ppm(path, planes, found):
    """What is found beside the pixels has no place there."""
    height, width, channels = planes.shape
    with open(path, "wb") as file:
        file.write(b"P%d\n%d %d\n65535\n" % (5 if channels == 1 else 6, width, height))
        file.write(planes.astype(">u2").tobytes())


def _write_tiff(path, planes, found):
    with tiff.writing(path) as write_page:
        _write_page(write_page, planes, found)


def _write_page(write_page, planes, found):
    values, directories = metadata.descriptive(found.exif)
    write_page(
        planes,
        values=values,
        directories=directories,
        xmp=found.xmp,
        icc=found.icc,
        dpi=found.dpi,
        photoshop=found.photoshop,
        iptc=metadata.iptc_of(found.photoshop),
    )
