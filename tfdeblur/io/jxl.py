"""JPEG XL files (ISO/IEC 18181), which Pillow has not: pixels by imagecodecs, and their boxes."""

import struct

from PIL import Image

from tfdeblur.errors import InputError
from tfdeblur.io import images

_CODESTREAM = b"\xff\x0a"
_CONTAINER = struct.pack(">I4s4s", 12, b"JXL ", b"\r\n\x87\n")
_FILE_TYPE = struct.pack(">I4s4sI4s", 20, b"ftyp", b"jxl ", 0, b"jxl ")
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height
_HEADER = 64  # bytes of a codestream in which its size stands
_TURNED = (5, 6, 7, 8)
# Kinds of colours, whites, primaries and curves, as JPEG XL numbers them.
_RGB, _GREY, _D65, _BT709, _SRGB_CURVE = 0, 1, 1, 1, 13


def is_jxl(path):
    """By its first bytes. Raises an InputError where the file cannot be opened."""
    with images.open_regular(path) as file:
        head = file.read(len(_CONTAINER))
    return head.startswith(_CODESTREAM) or head == _CONTAINER


def size(path):
    """(width, height), upright. Raises an InputError as `read`."""
    return _size(path, _content(path))


def encoding(path):
    """(whether the pixels are stored without loss, whether their colours are sRGB's for sure).

    Raises an InputError as `read`.
    """
    return _header(path, _content(path))[1:]


def read(path):
    """Reads a file, upright.

    Returns:
        uint8, uint16 or float32 [H, W, 1 to 4]; and the bytes of its EXIF, with its header, and of
        its XMP, empty for none.

    Raises:
        InputError: the file is broken, too large or an animation, or imagecodecs is not installed.
    """
    content = _content(path)
    width, height = _size(path, content)
    if width * height > 2 * Image.MAX_IMAGE_PIXELS:  # as Pillow's own limit
        raise InputError(f"{path} is too large to be opened safely: {width}x{height} pixels.")
    with images.telling(path):
        planes = _codec(path).jpegxl_decode(content)
    planes = planes[..., None] if planes.ndim == 2 else planes
    if planes.ndim != 3 or planes.shape[:2] != (height, width):
        raise InputError(f"{path} holds several images: save the wanted one as a file of its own.")
    boxes = {kind: body for kind, body in _boxes(content) if kind in (b"Exif", b"xml ")}
    exif = boxes.get(b"Exif", b"")[4:]  # behind the place where it begins
    return planes, exif and b"Exif\0\0" + exif, boxes.get(b"xml ", b"")


def write(path, planes, quality, exif=b"", xmp=b""):
    """Writes a file.

    Args:
        path: the file.
        planes: uint8 or uint16 [H, W, 1 to 4].
        quality: 1 to 100, which is lossless.
        exif, xmp: as `read` gives them.
    """
    planes = planes[..., 0] if planes.shape[-1] == 1 else planes
    # As libjxl's own tool takes JPEG's quality.
    how = {"lossless": True} if quality == 100 else {"distance": 0.1 + 0.09 * (100 - quality)}
    content = _codec(path).jpegxl_encode(planes, **how)
    if content.startswith(_CODESTREAM):
        content = _CONTAINER + _FILE_TYPE + _box(b"jxlc", content)
    with open(path, "wb") as file:
        file.write(content)
        if exif:
            file.write(_box(b"Exif", bytes(4) + exif.removeprefix(b"Exif\0\0")))
        if xmp:
            file.write(_box(b"xml ", xmp))


def check(path):
    """Raises an InputError where imagecodecs is not installed."""
    _codec(path)


def _codec(path):
    try:
        import imagecodecs
    except ImportError as error:
        raise InputError(
            f'{path}: JPEG XL needs imagecodecs: pip install "tfdeblur[photos]".'
        ) from error
    return imagecodecs


def _content(path):
    with images.open_regular(path) as file:
        return file.read()


def _box(kind, content):
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _boxes(content):
    """(kind, content) of the boxes of a container."""
    place = 0
    while content.startswith(_CONTAINER) and place + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        start = place + 8
        if length == 1 and place + 16 <= len(content):
            (length,) = struct.unpack_from(">Q", content, start)
            start += 8
        end = place + length if length else len(content)
        if end <= place:
            return
        yield kind, content[start:end]
        place = end


def _size(path, content):
    return _header(path, content)[0]


def _header(path, content):
    """(width, height), upright; whether pixels are stored without loss; whether it is in sRGB."""
    parts = {b"jxlc": 0, b"jxlp": 4}  # which begins with its number
    head, was_jpeg = None, False
    for kind, body in [(b"jxlc", content)] if content[:2] == _CODESTREAM else _boxes(content):
        was_jpeg = was_jpeg or kind == b"jbrd"
        if head is None and kind in parts and body[parts[kind] :][:2] == _CODESTREAM:
            head = body[parts[kind] + 2 :][:_HEADER]
    if head is None:
        raise InputError(f"{path} cannot be read as an image (no JPEG XL): replace or remove it.")
    bits = _Bits(head)
    width, height = _stored_size(bits)
    orientation, is_xyb, has_srgb = _stored_metadata(bits)
    size = (height, width) if orientation in _TURNED else (width, height)
    # Only lossy encoders turn colours into XYB; a JPEG file packed anew keeps its own.
    return size, not is_xyb and not was_jpeg, has_srgb


class _Bits:
    """The header of a codestream, whose bits come from the lowest on; zeros behind its end."""

    def __init__(self, content):
        self.left = int.from_bytes(content, "little")

    def take(self, count=1):
        value, self.left = self.left & ((1 << count) - 1), self.left >> count
        return value

    def choose(self, *kinds):
        """A number of one of four kinds, each (least, bits)."""
        least, count = kinds[self.take(2)]
        return least + self.take(count)


def _stored_size(bits):
    def side(small):
        if small:
            return 8 * (bits.take(5) + 1)
        return bits.choose((1, 9), (1, 13), (1, 18), (1, 30))

    small = bits.take()
    height = side(small)
    ratio = bits.take(3)
    if ratio:
        one, other = _RATIOS[ratio - 1]
        return height * one // other, height
    return side(small), height


def _stored_metadata(bits):
    """(orientation, whether pixels are XYB, whether for sRGB), as far as told before a preview."""
    orientation = 1
    if bits.take():  # all as usual
        return orientation, True, True
    if bits.take():  # further fields
        orientation = bits.take(3) + 1
        if bits.take():  # the size at which it is meant to be shown
            _stored_size(bits)
        if bits.take() or bits.take():  # a preview, or an animation
            return orientation, False, False
    _pass_depth(bits)
    bits.take()  # whether 16 bits suffice in between
    for _ in range(bits.choose((0, 0), (1, 0), (2, 4), (1, 12))):
        _pass_channel(bits)
    return orientation, bool(bits.take()), _is_srgb(bits)


def _is_srgb(bits):
    """Whether colours, or greys, are those of sRGB: its white, primaries and curve."""
    if bits.take():  # as usual
        return True
    if bits.take():  # by a profile of its own
        return False
    kind = _enumerated(bits)
    if kind not in (_RGB, _GREY) or _enumerated(bits) != _D65:
        return False
    if kind == _RGB and _enumerated(bits) != _BT709:
        return False
    return not bits.take() and _enumerated(bits) == _SRGB_CURVE  # else by an exponent


def _enumerated(bits):
    return bits.choose((0, 0), (1, 0), (2, 4), (18, 6))


def _pass_depth(bits):
    if bits.take():  # floating point
        bits.choose((32, 0), (16, 0), (24, 0), (1, 6))
        bits.take(4)
    else:
        bits.choose((8, 0), (10, 0), (12, 0), (1, 6))


def _pass_channel(bits):
    """Of those beside the colours."""
    if bits.take():  # alpha of 8 bits
        return
    kind = _enumerated(bits)
    _pass_depth(bits)
    bits.choose((0, 0), (3, 0), (4, 0), (1, 3))  # how much smaller it is
    bits.take(8 * bits.choose((0, 0), (0, 4), (16, 5), (48, 10)))  # its name
    if kind == 0:  # alpha: multiplied into the colours?
        bits.take()
    elif kind == 2:  # an ink: its colour
        bits.take(4 * 16)
    elif kind == 5:  # a colour filter's
        bits.choose((1, 0), (0, 2), (3, 4), (19, 8))
