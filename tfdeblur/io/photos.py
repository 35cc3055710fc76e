"""People's photographs: read and written with all that a restored one keeps.

That is 8 or 16 bits, transparency, greyscale, and `metadata`. Where only 8-bit RGB counts, as in
training and measuring, `images` is enough.
"""

import dataclasses
import io
import pathlib
import struct

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

from tfdeblur.errors import InputError
from tfdeblur.io import images, metadata
from tfdeblur.io.metadata import Metadata

# What a folder is searched for, and what `write` can write.
SUFFIXES = (*images.SUFFIXES, ".avif", *images.HEIF_SUFFIXES)
_WITH_ALPHA = (".avif", ".png", ".tif", ".tiff", ".webp", *images.HEIF_SUFFIXES)
_WITH_QUALITY = (".avif", ".jpeg", ".jpg", ".webp", *images.HEIF_SUFFIXES)
_SEGMENT = 65000  # bytes of EXIF or XMP that a JPEG file can hold, about

_TIFF_BITS, _TIFF_ORIENTATION, _TIFF_XMP = 258, 274, 700


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photograph, upright.

    Attributes:
        pixels: uint8 or uint16 [H, W, 3], RGB; may be a view that cannot be written to.
        alpha: of the same type [H, W], its maximum where opaque, or None.
        grey: whether the file is greyscale. The three channels of `pixels` are the same then.
        metadata: Metadata.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    grey: bool = False
    metadata: Metadata = dataclasses.field(default_factory=Metadata)


def read(path):
    """Reads a photograph.

    PNG and TIFF files of 16 bits a channel keep them; all others become 8 bits, and RGB where they
    are neither RGB nor greyscale. Alpha is separated, not composited.

    Args:
        path: as for `images.read`.

    Returns:
        Photo.

    Raises:
        InputError: as `images.read`.
    """
    with images.opened(path) as image:
        if _has_sixteen_bits(image):
            planes = _sixteen_bit_planes(image, path)
            orientation = _orientation(image)
        else:
            planes = _eight_bit_planes(image, path)
            # Pillow turns TIFF files, and no others.
            orientation = 1 if image.format == "TIFF" else _orientation(image)
        grey = planes.shape[-1] < 3
        kept = metadata.read(image, orientation, grey)
    planes = _turned(planes, orientation)
    height, width, channels = planes.shape
    colours = planes[..., :1] if grey else planes[..., :3]
    return Photo(
        pixels=np.broadcast_to(colours, (height, width, 3)),
        alpha=planes[..., -1] if channels in (2, 4) else None,
        grey=grey,
        metadata=kept,
    )


def write(path, photo, quality=95):
    """Writes a photograph, in the format that its suffix names (one of `SUFFIXES`).

    What the format cannot hold is left out: alpha, metadata, 16 bits become 8. Colour is not
    subsampled. The file appears whole or not at all, as by `images.write`.

    Args:
        path: the file; replaced where it exists.
        photo: Photo.
        quality: of JPEG, WebP, AVIF and HEIC, 1 to 100.

    Raises:
        InputError: unknown suffix, or the file cannot be written.
    """
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    check_suffix(path)
    planes = _planes(photo, suffix in _WITH_ALPHA)
    with images.replacing(path) as temporary:
        if suffix in (".tif", ".tiff"):
            _write_tiff(temporary, planes, photo.metadata)
            return
        if planes.dtype == np.uint16 and suffix == ".png":
            _write_deep_png(temporary, planes, photo.metadata)
            return
        if planes.dtype == np.uint16:
            planes = images.to_eight_bits(planes)
        picture = Image.fromarray(planes[..., 0] if planes.shape[-1] == 1 else planes)
        del planes  # Pillow has its own copy
        options = _metadata_options(suffix, photo.metadata)
        if suffix in _WITH_QUALITY:
            options["quality"] = quality
        if suffix in (".jpeg", ".jpg", ".avif"):
            options["subsampling"] = "4:4:4"
        if suffix in images.HEIF_SUFFIXES:
            options["chroma"] = 444
        picture.save(temporary, format=Image.registered_extensions()[suffix], **options)


def check_suffix(path):
    """Raises an InputError where `write` cannot write a file of this name."""
    path = pathlib.Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"cannot write {path}: name a file ending in {', '.join(SUFFIXES)}.")
    if path.suffix.lower() in images.HEIF_SUFFIXES:
        images.register_heif(path)


# ------------------------------------------------------------------------ reading


def _has_sixteen_bits(image):
    if image.format == "TIFF":
        bits = set(image.tag_v2.get(_TIFF_BITS, (1,)))
        return bits == {16} and image.mode in ("I;16", "I;16B", "RGB", "RGBA", "RGBX", "LA")
    if image.format == "PNG":
        return "16" in str(image.tile[0].args)
    return images.is_sixteen_bit(image)


def _orientation(image):
    return (
        image.tag_v2.get(_TIFF_ORIENTATION, 1)
        if image.format == "TIFF"
        else images.orientation(image)
    )


def _eight_bit_planes(image, path):
    images.refuse_undefined_range(image, path)
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if images.has_alpha(image):
        mode += "A"
    image.load()
    if image.mode != mode:
        image = image.convert("RGBA" if image.mode == "La" else mode).convert(mode)
    planes = np.asarray(image)
    return planes if planes.ndim == 3 else planes[..., None]


def _sixteen_bit_planes(image, path):
    """uint16 [H, W, 1 to 4], as it lies in the file."""
    if image.format == "TIFF":
        return _deep_tiff(path)
    image.load()
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16, copy=False)[..., None]
    # Pillow reads colours as 8 bits only.
    import tensorflow as tf

    with images.open_regular(path) as file:
        content = file.read(images.MAX_BYTES)
    channels = 4 if "transparency" in image.info else 0
    return tf.io.decode_png(content, channels, tf.uint16).numpy()


def _deep_tiff(path):
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            planes = page.asarray()
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        raise InputError(
            f"{path} is compressed in a way ({page.compression.name}) that needs another library: "
            "pip install imagecodecs, or save it with ZIP compression or none."
        ) from error
    if planes.ndim == 2:
        planes = planes[..., None]
    elif page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        planes = np.moveaxis(planes, 0, -1)
    if planes.ndim != 3 or planes.dtype != np.uint16:
        raise InputError(f"{path} holds {planes.dtype} {planes.shape}: save it as 16-bit RGB.")
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        planes = ~planes
    colours = 3 if page.photometric == tifffile.PHOTOMETRIC.RGB else 1
    return planes[..., : colours + (tifffile.EXTRASAMPLE.UNASSALPHA in page.extrasamples)]


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
    planes = _luma(photo.pixels) if photo.grey else photo.pixels
    if photo.alpha is not None and with_alpha:
        planes = np.concatenate([planes, photo.alpha[..., None]], axis=-1)
    return np.ascontiguousarray(planes)


def _luma(pixels):
    """The grey of ITU-R BT.601, in integers: [H, W, 1]."""
    grey = np.full(pixels.shape[:2], 1 << 15, np.uint32)
    for channel, weight in enumerate((19595, 38470, 7471)):  # of 2^16
        grey += pixels[..., channel] * np.uint32(weight)
    grey >>= 16
    return grey.astype(pixels.dtype)[..., None]


def _metadata_options(suffix, found):
    """What Pillow is to write besides the pixels."""
    options = {"exif": found.exif, "xmp": found.xmp, "icc_profile": found.icc, "dpi": found.dpi}
    if suffix in (".jpeg", ".jpg"):
        options |= {name: None for name in ("exif", "xmp") if len(options[name]) > _SEGMENT}
    if suffix == ".png" and found.xmp:
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", found.xmp.decode(errors="replace"))
    return {name: value for name, value in options.items() if value}


def _write_deep_png(path, planes, found):
    import tensorflow as tf

    content = tf.io.encode_png(planes, compression=3).numpy()
    header = 8 + 25  # signature, IHDR
    with open(path, "wb") as file:
        file.write(content[:header])
        file.writelines(_png_metadata(found))
        file.write(memoryview(content)[header:])


def _png_metadata(found):
    """The chunks of metadata, taken from a picture of one pixel."""
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, format="PNG", **_metadata_options(".png", found))
    content = buffer.getvalue()
    start = 8
    while start < len(content):
        length, kind = struct.unpack_from(">I4s", content, start)
        if kind not in (b"IHDR", b"IDAT", b"IEND"):
            yield content[start : start + 12 + length]
        start += 12 + length


def _write_tiff(path, planes, found):
    import tifffile

    if planes.shape[-1] == 2 and planes.dtype == np.uint16:
        planes = planes[..., [0, 0, 0, 1]]  # Pillow, and so `read`, refuses grey with alpha
    channels = planes.shape[-1]
    texts, directories = metadata.descriptive(found.exif)
    extra = [(tag, "s", 0, text.encode(), True) for tag, text in texts.items()]
    if found.xmp:
        extra.append((_TIFF_XMP, "B", len(found.xmp), found.xmp, True))
    tifffile.imwrite(
        path,
        planes[..., 0] if channels == 1 else planes,
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        compression="zlib",
        predictor=True,
        rowsperstrip=64,
        iccprofile=found.icc or None,
        resolution=found.dpi or None,
        resolutionunit="inch" if found.dpi else None,
        metadata=None,
        software=False,
        extratags=extra,
    )
    _add_directories(path, directories)


def _add_directories(path, directories):
    """Adds EXIF's directories to a TIFF file, which tifffile does not write: {tag: {tag: value}}.

    They go behind the rest, and after them a new main directory, with the entries of the old one.
    """
    with open(path, "r+b") as file:
        header = file.read(8)
        order = {b"II": "<", b"MM": ">"}[header[:2]]
        file.seek(struct.unpack_from(order + "I", header, 4)[0])
        (count,) = struct.unpack(order + "H", file.read(2))
        entries = [file.read(12) for _ in range(count)]
        for tag, values in directories.items():
            directory = TiffImagePlugin.ImageFileDirectory_v2(header, group=tag)
            for key, value in values.items():
                directory[key] = value
            place = _even_end(file)
            file.write(directory.tobytes(place))
            entries.append(struct.pack(order + "HHII", tag, 4, 1, place))
        entries.sort(key=lambda entry: struct.unpack_from(order + "H", entry))
        place = _even_end(file)
        file.write(struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4))
        file.seek(4)
        file.write(struct.pack(order + "I", place))


def _even_end(file):
    end = file.seek(0, io.SEEK_END)
    return file.seek(end + end % 2)
