"""What the file of a photograph says of it: EXIF, XMP, colour profile and resolution.

Restored pixels are written upright, in RGB or greyscale, and differ from the camera's thumbnail.
So the orientation becomes 1, the thumbnail goes, and so does a colour profile of another colour
space. All else stays as it is.
"""

import dataclasses
import re
import struct

from PIL import ExifTags, Image

_HEADER = b"Exif\0\0"
_BASE = ExifTags.Base
# Of a TIFF file, whose EXIF stands among what describes the storage of its pixels.
_TEXTS = (
    _BASE.ImageDescription,
    _BASE.Make,
    _BASE.Model,
    _BASE.Software,
    _BASE.DateTime,
    _BASE.Artist,
    _BASE.Copyright,
)
_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_TURNED = (5, 6, 7, 8)  # orientations that exchange width and height
_SIZES = ((_BASE.ImageWidth, _BASE.ImageLength), (_BASE.ExifImageWidth, _BASE.ExifImageHeight))


@dataclasses.dataclass(frozen=True)
class Metadata:
    """What is kept. Empty where the file has none.

    Attributes:
        exif: with its header "Exif"; orientation 1, no thumbnail.
        xmp: a packet of XML; orientation 1.
        icc: the colour profile of the pixels.
        dpi: horizontal and vertical resolution, in pixels per inch.
    """

    exif: bytes = b""
    xmp: bytes = b""
    icc: bytes = b""
    dpi: tuple = ()


def read(image, orientation, grey):
    """Reads the metadata of an image.

    Args:
        image: an open Pillow image, loaded: a PNG file may have metadata after its pixels.
        orientation: the EXIF orientation that was undone, 1 to 8.
        grey: whether the pixels that are kept are greyscale, not RGB.

    Returns:
        Metadata; what is broken is left out.
    """
    return Metadata(
        exif=_exif_of_tiff(image) if image.format == "TIFF" else _upright(image, orientation),
        xmp=_xmp(image),
        icc=_profile(image, grey),
        dpi=tuple(map(float, image.info.get("dpi", ()))),
    )


def descriptive(exif):
    """Of the bytes of EXIF, what describes the photograph, not the file.

    Returns:
        {tag: text} and {tag of a directory: {tag: value}}, of Pillow's types.
    """
    tags = Image.Exif()
    if exif:
        tags.load(exif)
    return _descriptive(tags)


def _descriptive(tags):
    texts = {tag: tags[tag] for tag in _TEXTS if isinstance(tags.get(tag), str)}
    directories = {tag: tags.get_ifd(tag) for tag in _DIRECTORIES if tag in tags}
    return texts, directories


def _exif_of_tiff(image):
    kept = Image.Exif()
    for tags in _descriptive(image.getexif()):
        kept.update(tags)
    return kept.tobytes() if len(kept) else b""


def _upright(image, orientation):
    """Changes the bytes in their places: what a camera's maker noted may refer to places."""
    exif = image.info.get("exif") or b""
    content = bytearray(exif.removeprefix(_HEADER))
    try:
        order = {b"II": "<", b"MM": ">"}[bytes(content[:2])]
        (start,) = struct.unpack_from(order + "I", content, 4)
        main, end = _entries(content, order, start)
        struct.pack_into(order + "I", content, end, 0)  # where the thumbnail would be
        if _BASE.Orientation in main:
            one = (3, 1, 1, 0)  # its type, 16 bits; its count; its value, padded
            struct.pack_into(order + "HIHH", content, main[_BASE.Orientation] + 2, *one)
        details = {}
        if ExifTags.IFD.Exif in main:
            (start,) = struct.unpack_from(order + "I", content, main[ExifTags.IFD.Exif] + 8)
            details, _ = _entries(content, order, start)
    except (KeyError, struct.error):
        return b""
    if orientation in _TURNED:
        for entries, (width, height) in zip((main, details), _SIZES, strict=True):
            if width in entries and height in entries:
                _exchange(content, entries[width], entries[height])
    return _HEADER + bytes(content)


def _entries(content, order, start):
    """A directory's entries, {tag: place}, and the place after them."""
    (count,) = struct.unpack_from(order + "H", content, start)
    end = start + 2 + 12 * count
    places = range(start + 2, end, 12)
    return {struct.unpack_from(order + "H", content, at)[0]: at for at in places}, end


def _exchange(content, one, other):
    first, second = slice(one + 2, one + 12), slice(other + 2, other + 12)
    content[first], content[second] = content[second], content[first]


def _xmp(image):
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp", b"")
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    return re.sub(rb"""(tiff:Orientation(?:=["']|>))[0-9]""", rb"\g<1>1", xmp)


def _profile(image, grey):
    profile = image.info.get("icc_profile") or b""
    return profile if profile[16:20] == (b"GRAY" if grey else b"RGB ") else b""
