"""TIFF files of 16 bits and of floating point, and EXIF in TIFF files: what Pillow has not.

Pillow knows no colours of more than 8 bits, and tifffile writes no directories of EXIF.
"""

import contextlib
import io
import struct

import numpy as np
from PIL import Image, TiffImagePlugin

from tfdeblur.errors import InputError
from tfdeblur.io import images

_MOST_SAMPLES = 4  # of a pixel, on which the limit of size is reckoned
_XMP, _IPTC, _PHOTOSHOP = 700, 33723, 34377
_ASCII, _BYTES, _SHORT = "s", "B", "H"


def is_tiff(path):
    """By its first bytes. Raises an InputError where the file cannot be opened."""
    with images.open_regular(path) as file:
        return images.usual_suffix(file.read(4)) == ".tif"


def is_deep(path):
    """Whether a file is a TIFF file with a first page of which `is_deep_page` is true.

    Raises:
        InputError: the file cannot be opened.
    """
    if not is_tiff(path):
        return False
    with images.open_regular(path) as file:
        try:
            with _opened(file) as whole:
                return is_deep_page(whole.pages[0])
        except Exception:  # Pillow says better what is wrong with it
            return False


def is_deep_page(page):
    """Whether a page has 16 bits or floating point, RGB or greyscale."""
    deep = str(page.dtype) in ("uint16", "float16", "float32", "float64")
    return deep and page.photometric in (0, 1, 2)  # white, or black, is zero; RGB


@contextlib.contextmanager
def opened(path):
    """Opens a TIFF file, as tifffile does; tells all that goes wrong inside as InputError."""
    with images.open_regular(path) as file, images.telling(path), _opened(file) as whole:
        if not whole.pages:
            raise ValueError("it has no pages")
        yield whole


def pages(whole):
    """The pages of an `opened` file one by one, previews aside."""
    places = set()
    for page in whole.pages:
        if page.offset in places:  # a circle, which would never end
            return
        places.add(page.offset)
        if page.index == 0 or not page.is_reduced:
            yield page


def count(path):
    """How many pages a TIFF file has, previews aside. Raises an InputError where it is broken."""
    with opened(path) as whole:
        return sum(1 for _ in pages(whole))


def size(page, name):
    """(width, height) of a deep page, as it is stored; InputError as for `read`.

    Floating point is read for it: only the values say whether they can be restored.
    """
    if page.dtype == np.uint16:
        _refuse_large(page, name)
    else:
        read(page, name)
    return page.imagewidth, page.imagelength


def read(page, name):
    """Reads a page of a TIFF file, one that is deep.

    Args:
        page: the page, of an `opened` file.
        name: of it, for messages.

    Returns:
        uint16 or float32 [H, W, 1 to 4], as they are stored, alpha not multiplied into the
        colours; and a list of str, what else there was, for a message.

    Raises:
        InputError: the file is broken or too large, its compression needs another library, or its
            floating-point values are not in [0, 1].
    """
    import tifffile

    planes = _stored(page, name)
    if planes.ndim == 2:
        planes = planes[..., None]
    elif page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        planes = np.moveaxis(planes, 0, -1)
    colours = 3 if page.photometric == tifffile.PHOTOMETRIC.RGB else 1
    if planes.ndim != 3 or planes.shape[-1] < colours:
        raise InputError(f"{name} holds {planes.dtype} {planes.shape}: save it as 16-bit RGB.")
    if planes.dtype != np.uint16:
        planes = _in_range(planes, name)
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        peak = 65535 if planes.dtype == np.uint16 else np.float32(1)
        planes = np.concatenate([peak - planes[..., :1], planes[..., 1:]], axis=-1)
    kinds = (*page.extrasamples, *[0] * planes.shape[-1])[: planes.shape[-1] - colours]
    alpha = next((i for i, kind in enumerate(kinds) if kind in (1, 2)), None)
    lost = meaningless(len(kinds) - (alpha is not None))
    if alpha is None:
        return planes[..., :colours], lost
    opacity = planes[..., colours + alpha, None]
    planes = planes[..., :colours]
    if kinds[alpha] == tifffile.EXTRASAMPLE.ASSOCALPHA:
        planes = _unmultiplied(planes, opacity)
    return np.concatenate([planes, opacity], axis=-1), lost


@contextlib.contextmanager
def writing(path):
    """Writes a TIFF file page by page, compressed without loss.

    Args:
        path: the file.

    Yields:
        Function that writes the next page, of
            planes: uint8, uint16 or float32 [H, W, 1 to 4]; the last of 2 or 4 is alpha;
            values, directories: of EXIF, see `metadata.descriptive`;
            xmp, icc, photoshop, iptc: bytes; empty for none;
            dpi: horizontal and vertical resolution, or ().
    """
    import tifffile

    directories = []  # of each page

    def write(planes, **kept):
        directories.append(kept.pop("directories"))
        _write_page(file, planes, **kept)

    # Otherwise tifffile would describe the pages as it, or OME, does.
    with tifffile.TiffWriter(path, ome=False, shaped=False) as file:
        yield write
    if any(directories):
        _add_directories(path, directories)


def _write_page(file, planes, *, values, xmp, icc, dpi, photoshop, iptc):
    channels = planes.shape[-1]
    extra = [_extra_tag(tag, value) for tag, value in values.items()]
    for tag, content in ((_XMP, xmp), (_IPTC, iptc), (_PHOTOSHOP, photoshop)):
        if content:
            extra.append(_extra_tag(tag, content))
    file.write(
        planes[..., 0] if channels == 1 else planes,
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        compression="zlib",
        # Of floating point, the predictor needs another library.
        predictor=planes.dtype != np.float32,
        rowsperstrip=64,
        iccprofile=icc or None,
        resolution=dpi or None,
        resolutionunit="inch" if dpi else None,
        metadata=None,
        software=False,
        extratags=extra,
    )


def _extra_tag(tag, value):
    """As tifffile wants it: text, bytes, or numbers of 16 bits."""
    if isinstance(value, str):
        return tag, _ASCII, 0, value.encode(), True
    if isinstance(value, bytes):
        return tag, _BYTES, len(value), value, True
    return tag, _SHORT, len(value) if isinstance(value, tuple) else 1, value, True


def meaningless(channels):
    """How many channels of a file are neither colours nor alpha, in words: list of str."""
    return [f"{channels} channel{'s' * (channels > 1)} without a meaning"] if channels else []


def tags(file):
    """The tags of an open TIFF file, as Pillow's Exif; empty where they are broken."""
    return _loaded(Image.Exif(), file)


def page_tags(page):
    """Likewise those of a page; the file is to stay open while they are used."""
    found = Image.Exif()
    found.endian, found.bigtiff = page.parent.byteorder, page.parent.is_bigtiff
    return _loaded(found, page.parent.filehandle, page.offset)


def _loaded(found, file, place=None):
    try:
        found.load_from_fp(file, place)
        dict(found)
    except Exception:  # broken ones raise what they like
        return Image.Exif()
    return found


def _opened(file):
    import tifffile

    return tifffile.TiffFile(file, name="x")  # it would ask the file, which is open by a number


def _stored(page, name):
    _refuse_large(page, name)
    try:
        return page.asarray()
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        raise InputError(
            f"{name} is compressed in a way ({page.compression.name}) that needs another "
            "library: pip install imagecodecs, or save it with ZIP compression or none."
        ) from error


def _refuse_large(page, name):
    pixels = page.imagewidth * page.imagelength
    # Pillow's own limit is twice as many.
    if pixels * page.samplesperpixel > 2 * _MOST_SAMPLES * Image.MAX_IMAGE_PIXELS:
        raise InputError(f"{name} is too large to be opened safely: it has {pixels:,} pixels.")


def _in_range(planes, name):
    low, high = planes.min(), planes.max()
    if not (low >= 0 and high <= 1):
        raise InputError(
            f"{name} holds floating-point values from {low:g} to {high:g}, and those from 0 to 1 "
            "can be restored: scale them, or convert it to 16 bits."
        )
    return planes.astype(np.float32, copy=False)


def _unmultiplied(planes, opacity):
    """Colours of premultiplied ones; where nothing is to be seen, as they are stored."""
    peak = 65535 if planes.dtype == np.uint16 else 1
    result = np.empty_like(planes)
    for row in range(0, len(planes), 256):  # little is in floating point at once
        rows = slice(row, row + 256)
        alpha = opacity[rows].astype(np.float64)
        colours = planes[rows] * np.divide(peak, alpha, out=np.ones_like(alpha), where=alpha > 0)
        colours = np.minimum(colours, peak)
        result[rows] = np.rint(colours) if peak > 1 else colours
    return result


def _add_directories(path, directories):
    """Adds EXIF's directories to the pages of a TIFF file, which tifffile does not write.

    They go behind the rest, and after them a new directory of the page, with the entries of the old
    one.

    Args:
        path: the file.
        directories: {tag: {tag: value}} of each page.
    """
    with open(path, "r+b") as file:
        header = file.read(8)
        order = {b"II": "<", b"MM": ">"}[header[:2]]
        pointer = 4  # where it stands where a page's directory is
        for added in directories:
            place = _number_at(file, pointer, order)
            if added:
                place = _extended(file, place, added, header, order)
                file.seek(pointer)
                file.write(struct.pack(order + "I", place))
            pointer = place + 2 + 12 * _number_at(file, place, order, "H")


def _extended(file, place, directories, header, order):
    """Writes a page's directory anew, with further ones, at the end: its place there."""
    count = _number_at(file, place, order, "H")
    entries = [file.read(12) for _ in range(count)]
    following = file.read(4)
    for tag, values in directories.items():
        directory = TiffImagePlugin.ImageFileDirectory_v2(header, group=tag)
        for key, value in values.items():
            directory[key] = value
        end = _even_end(file)
        file.write(directory.tobytes(end))
        entries.append(struct.pack(order + "HHII", tag, 4, 1, end))
    entries.sort(key=lambda entry: struct.unpack_from(order + "H", entry))
    end = _even_end(file)
    file.write(struct.pack(order + "H", len(entries)) + b"".join(entries) + following)
    return end


def _number_at(file, place, order, kind="I"):
    file.seek(place)
    return struct.unpack(order + kind, file.read(struct.calcsize(order + kind)))[0]


def _even_end(file):
    end = file.seek(0, io.SEEK_END)
    return file.seek(end + end % 2)
