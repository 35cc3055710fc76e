"""What the file of a photograph says of it: EXIF, XMP, colour profile and resolution.

Restored pixels are written upright, in RGB or greyscale, and differ from the camera's thumbnail.
So the orientation becomes 1, the thumbnail goes, and so does a colour profile of another colour
space. What XMP announces behind the picture, such as a video, is not written, nor announced. All
else stays as it is, where the format of the file does; what some formats alone can hold goes with
a change.
"""

import dataclasses
import io
import re
import struct
import zlib

from PIL import ExifTags, Image, PngImagePlugin, TiffTags

_HEADER = b"Exif\0\0"
_BASE = ExifTags.Base
# Of a TIFF file, whose EXIF stands among what describes the storage of its pixels.
_KEPT_TAGS = (
    _BASE.DocumentName,
    _BASE.ImageDescription,
    _BASE.Make,
    _BASE.Model,
    _BASE.Software,
    _BASE.DateTime,
    _BASE.Artist,
    _BASE.HostComputer,
    _BASE.Copyright,
    _BASE.PageName,
    _BASE.PageNumber,
    _BASE.Rating,
    _BASE.RatingPercent,
    *range(_BASE.XPTitle, _BASE.XPSubject + 1),  # Windows' title, comment, author, keywords
)
_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_TURNED = (5, 6, 7, 8)  # orientations that exchange width and height
_TIFF_XMP, _TIFF_IPTC, _TIFF_PHOTOSHOP, _TIFF_ICC = 700, 33723, 34377, 34675
# What describes the storage of the pixels, or is kept otherwise.
_TIFF_OTHERS = (
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281),
    *(282, 283, 284, 288, 289, 290, 291, 292, 293, 296, 317, 320, 322, 323, 324, 325, 326, 327),
    *(328, 330, 332, 334, 338, 339, 340, 341, 347, *range(512, 522), 529, 530, 531, 532, 559),
    *(_TIFF_XMP, _TIFF_IPTC, _TIFF_PHOTOSHOP, _TIFF_ICC),
    *(59932, 59933),  # Windows' room for changes
)
_TIFF_C2PA, _TIFF_LAYERS = 52545, 37724

# What a PNG file says of its colours, and in words.
_PNG_COLOURS = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI")
_PNG_SHAPE, _PNG_BACKGROUND, _PNG_C2PA = b"pHYs", b"bKGD", b"caBX"
_PNG_KEPT = (*_PNG_COLOURS, b"tEXt", b"zTXt", b"iTXt", b"tIME", _PNG_SHAPE, _PNG_BACKGROUND)
_PNG_NOT_BY_PILLOW = (b"mDCV", b"cLLI", _PNG_SHAPE)
# The picture itself, or what is kept otherwise.
_PNG_OTHERS = (
    *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"hIST", b"iCCP", b"eXIf"),
    *(b"acTL", b"fcTL", b"fdAT", b"iDOT"),
)
# Texts that stand for what is kept otherwise.
_PNG_TWICE = (
    b"XML:com.adobe.xmp\0",
    *(b"Raw profile type " + x for x in (b"exif", b"APP1", b"xmp")),
)
PNG_HEADER = 8 + 25  # signature, IHDR
_LONGEST = 2**24  # bytes of a chunk that is kept

_JPEG_COMMENT, _JPEG_PHOTOSHOP, _JPEG_BOXES = 0xFE, 0xED, 0xEB
_JPEG_SEGMENT = 65000  # bytes that one can hold, about
_PHOTOSHOP = b"Photoshop 3.0\0"
# Of Photoshop's resources: IPTC; and what is of the pixels as they were (thumbnails, paths) or is
# kept otherwise (profile, EXIF, XMP).
_RESOURCE_IPTC = 1028
_RESOURCES_DROPPED = (1033, 1036, 1039, 1058, 1059, 1060, *range(2000, 3000))

# What announces a video, or a map of gain or depth, behind the picture or in a second packet.
_ANNOUNCED = (
    rb"(?:[\w.-]+:(?:MotionPhoto|MicroVideo|HasExtendedXMP)[\w.-]*"
    rb"|(?:hdrgm|HDRGainMap|GDepth|GImage|GAudio):[\w.-]+)"
)
_ANNOUNCING = (
    # From the first of several blanks alone: from each of them it would look at all that follow.
    re.compile(rb"(?<!\s)\s+" + _ANNOUNCED + rb"""\s*=\s*(?:"[^"]*"|'[^']*')"""),
    re.compile(rb"<(" + _ANNOUNCED + rb"|G?Container:Directory)(?:\s[^<>]*)?(?<!/)>"),
)
_MOST_BOXES = 10_000  # or chunks, that are looked at
_WEBP_C2PA, _BOX_C2PA = b"C2PA", bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_C2PA = "its Content Credentials (C2PA), which are signed for the pixels as they were"
_MOST_NAMES = 8  # of what is told
_SIZES = ((_BASE.ImageWidth, _BASE.ImageLength), (_BASE.ExifImageWidth, _BASE.ExifImageHeight))


@dataclasses.dataclass(frozen=True)
class Metadata:
    """What is kept. Empty where the file has none.

    Attributes:
        exif: with its header "Exif"; orientation 1, no thumbnail.
        xmp: a packet of XML; orientation 1.
        icc: the colour profile of the pixels.
        dpi: horizontal and vertical resolution, in pixels per inch.
        photoshop: of a JPEG or TIFF file: Photoshop's resources, among which IPTC.
        comments: of a JPEG file: tuple of bytes.
        chunks: of a PNG file: tuple of (kind, content), those of `_PNG_KEPT`.
    """

    exif: bytes = b""
    xmp: bytes = b""
    icc: bytes = b""
    dpi: tuple = ()
    photoshop: bytes = b""
    comments: tuple = ()
    chunks: tuple = ()


def read(image, file, orientation, grey):
    """Reads the metadata of an image.

    Args:
        image: an open Pillow image, loaded: a PNG file may have metadata after its pixels.
        file: the same, open as a binary file.
        orientation: the EXIF orientation that was undone, 1 to 8.
        grey: whether the pixels that are kept are greyscale, not RGB.

    Returns:
        Metadata, and a list of str, what is left out: what is broken, say.
    """
    exif = image.info.get("exif") or b""
    found = Metadata(
        exif=_upright(exif, orientation),
        xmp=_xmp(image.info.get("xmp") or image.info.get("XML:com.adobe.xmp", b"")),
        icc=image.info.get("icc_profile") or b"",
        dpi=resolution(image.info.get("dpi", ())),
    )
    lost = ["its EXIF, which is broken"] if exif.strip(_HEADER) and not found.exif else []
    if image.format == "PNG":
        chunks, unkept = read_chunks(file)
        lost += unkept
        found = dataclasses.replace(found, chunks=chunks)
    elif image.format in ("JPEG", "MPO"):
        segments = list(_jpeg_segments(file))
        comments = tuple(body for kind, body in segments if kind == _JPEG_COMMENT)
        parts = [body for kind, body in segments if kind == _JPEG_PHOTOSHOP]
        resources = b"".join(x.removeprefix(_PHOTOSHOP) for x in parts if x.startswith(_PHOTOSHOP))
        photoshop = _resources(resources)
        found = dataclasses.replace(found, comments=comments, photoshop=photoshop)
        boxes = b"".join(body for kind, body in segments if kind == _JPEG_BOXES)
        lost += [_C2PA] if b"c2pa" in boxes else []
    elif image.format == "WEBP":
        lost += [_C2PA] if _WEBP_C2PA in webp_chunks(file) else []
    elif image.format in ("AVIF", "HEIF"):
        lost += [_C2PA] if _has_c2pa_box(file) else []
    found, unfitting = _fitting(found, grey)
    return found, [*lost, *unfitting]


def read_tiff(tags, grey):
    """Likewise from the tags of a TIFF file, as `Image.Exif`."""
    kept = _kept(tags)
    photoshop = _resources(_bytes(tags.get(_TIFF_PHOTOSHOP)))
    iptc = _bytes(tags.get(_TIFF_IPTC))
    if iptc and not iptc_of(photoshop):
        photoshop += _resource(_RESOURCE_IPTC, iptc)
    found = Metadata(
        exif=kept.tobytes() if len(kept) else b"",
        xmp=_xmp(_bytes(tags.get(_TIFF_XMP))),
        icc=_bytes(tags.get(_TIFF_ICC)),
        dpi=_tiff_resolution(tags),
        photoshop=photoshop,
    )
    return _fitting(found, grey)


def without_layout(found):
    """What is kept of a page without a description of the stack that it was one of.

    It tells of shapes, types and colours, which may be others once the pages are restored.

    Returns:
        Metadata, and a list of str, in words what went.
    """
    tags = Image.Exif()
    tags.load(found.exif)
    if not _is_layout(tags.get(_BASE.ImageDescription)):
        return found, []
    kept = _kept(tags)
    del kept[_BASE.ImageDescription]
    exif = kept.tobytes() if len(kept) else b""
    return dataclasses.replace(found, exif=exif), ["its description of the stack's layout"]


def _is_layout(description):
    """Whether ImageJ, tifffile or a program that knows OME wrote it."""
    text = description.strip() if isinstance(description, str) else ""
    return text.startswith(("ImageJ=", '{"shape": ')) or text.endswith("OME>")


def tags_lost(tags):
    """In words, which tags of a TIFF file are not kept: list of str."""
    lost = sorted({*tags} - {*_KEPT_TAGS, *_DIRECTORIES, *_TIFF_OTHERS})
    words = {_TIFF_C2PA: _C2PA, _TIFF_LAYERS: "its layers"}
    named = [(tag, TiffTags.lookup(tag).name) for tag in lost if tag not in words]
    names = [str(tag) if name == "unknown" else name for tag, name in named]
    return [words[tag] for tag in lost if tag in words] + _listed("TIFF tag", names)


def _listed(kind, names):
    more = [f"{len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else []
    shown = ", ".join([*names[:_MOST_NAMES], *more])
    return [f"its {kind}{'s' * (len(names) > 1)} {shown}"] if names else []


def _tiff_resolution(tags):
    scale = {2: 1, 3: 2.54}.get(tags.get(_BASE.ResolutionUnit))
    found = [tags.get(tag) for tag in (_BASE.XResolution, _BASE.YResolution)]
    if scale is None or not all(found):
        return ()
    return resolution(float(value) * scale for value in found)


def resolution(dpi):
    """Pixels per inch, as all formats can hold them; () where they mean nothing."""
    dpi = tuple(map(float, dpi))
    return dpi if all(0 < value < 2**16 for value in dpi) else ()  # not a number is neither


def _bytes(value):
    return value if isinstance(value, bytes) else b""


def _fitting(found, grey):
    """What fits the pixels and stands alone, and in words what does not."""
    lost = []
    profile = found.icc if found.icc[16:20] == (b"GRAY" if grey else b"RGB ") else b""
    if found.icc and not profile:
        lost.append("its colour profile, which is of another colour space")
    xmp = _without_announcements(found.xmp)
    if xmp != found.xmp:
        lost.append("the video, or map of gain or depth, that is kept with it")
    return dataclasses.replace(found, icc=profile, xmp=xmp), lost


def read_boxes(exif, xmp):
    """Likewise from what stands beside pixels that are upright already: `Metadata`."""
    return _fitting(Metadata(exif=_upright(exif, 1), xmp=_xmp(xmp)), grey=False)


def read_chunks(file, bits=16):
    """Likewise the chunks of an open PNG file, as binary.

    Args:
        file: the file.
        bits: those of a channel that are kept at most.

    Returns:
        The chunks of `Metadata`; and a list of str, in words, what else there was.
    """
    kept, lost, told, has_background = [], {}, [], False
    for kind, content in _png_chunks(file):
        if kind == b"IHDR":
            # A background of a palette, or of other bits, is none of what is written.
            has_background = content[8:9] in (b"\x08", b"\x10") and content[8] <= bits
            has_background = has_background and content[9:10] != b"\x03"
        elif kind == _PNG_C2PA:
            told = [_C2PA]
        elif content is None or (kind == _PNG_BACKGROUND and not has_background):
            lost[kind.decode(errors="replace")] = None
        elif kind == _PNG_SHAPE and content[8:] != b"\0":
            continue  # a resolution, which is kept as such
        elif not content.startswith(_PNG_TWICE):
            kept.append((kind, content))
    kept.sort(key=lambda chunk: chunk[0])  # whichever program wrote them; texts as they come
    return tuple(kept), told + _listed("PNG chunk", list(lost))


def not_held(found, kind):
    """In words, what a format, named as Pillow does, cannot hold: list of str."""
    plain = kind in ("BMP", "PPM")
    long = kind == "JPEG"
    colours = sorted({chunk.decode() for chunk, _ in found.chunks if chunk in _PNG_COLOURS})
    kinds = {chunk for chunk, _ in found.chunks}
    texts = any(chunk.endswith(b"Xt") or chunk == b"tIME" for chunk, _ in found.chunks)
    return [
        name
        for name, lost in (
            ("its EXIF", found.exif and (plain or (long and len(found.exif) > _JPEG_SEGMENT))),
            ("its XMP", found.xmp and (plain or (long and len(found.xmp) > _JPEG_SEGMENT))),
            ("its colour profile", found.icc and (plain or kind == "JXL")),
            ("its IPTC", iptc_of(found.photoshop) and kind not in ("JPEG", "TIFF")),
            ("its comment", found.comments and kind != "JPEG"),
            (f"what it says of its colours ({', '.join(colours)})", colours and kind != "PNG"),
            ("its texts", texts and kind != "PNG"),
            ("the shape of its pixels (pHYs)", _PNG_SHAPE in kinds and kind != "PNG"),
            ("its background (bKGD)", _PNG_BACKGROUND in kinds and kind != "PNG"),
        )
        if lost
    ]


def options(found, kind):
    """What Pillow is to write into a file of a format besides the pixels."""
    wanted = {"exif": found.exif, "xmp": found.xmp, "icc_profile": found.icc, "dpi": found.dpi}
    if kind == "JPEG":
        long = (name for name in ("exif", "xmp") if len(wanted[name]) > _JPEG_SEGMENT)
        wanted |= dict.fromkeys(long)
        wanted["extra"] = b"".join(_jpeg_parts(found))
    if kind == "PNG" and (found.xmp or found.chunks):
        wanted["pnginfo"] = PngImagePlugin.PngInfo()
        for chunk, content in found.chunks:
            wanted["pnginfo"].add(chunk, content)
        if found.xmp:
            wanted["pnginfo"].add_itxt("XML:com.adobe.xmp", found.xmp.decode(errors="replace"))
    return {name: value for name, value in wanted.items() if value}


def complete_png(path, found):
    """Adds those chunks to a PNG file which Pillow does not write."""
    chunks = b"".join(_chunks_not_by_pillow(found))
    if not chunks:
        return
    with open(path, "r+b") as file:
        content = file.read()
        file.seek(PNG_HEADER)
        file.write(chunks + content[PNG_HEADER:])


def _chunks_not_by_pillow(found):
    for kind, content in found.chunks:
        if kind in _PNG_NOT_BY_PILLOW:
            check = zlib.crc32(kind + content)
            yield struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def png_chunks(found):
    """The chunks of a PNG file that hold metadata, most taken from a picture of one pixel."""
    yield from _chunks_not_by_pillow(found)
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, format="PNG", **options(found, "PNG"))
    content = buffer.getvalue()
    start = 8
    while start < len(content):
        length, kind = struct.unpack_from(">I4s", content, start)
        if kind not in (b"IHDR", b"IDAT", b"IEND"):
            yield content[start : start + 12 + length]
        start += 12 + length


def iptc_of(photoshop):
    """The IPTC record in Photoshop's resources; b"" if there is none."""
    return next((x for number, x, _ in _each_resource(photoshop) if number == _RESOURCE_IPTC), b"")


def descriptive(exif):
    """Of the bytes of EXIF, what describes the photograph, not the file.

    Returns:
        {tag: text, bytes, or numbers of 16 bits} and {tag of a directory: {tag: value}}, of
        Pillow's types.
    """
    tags = Image.Exif()
    if exif:
        tags.load(exif)
    return _descriptive(tags)


def _kept(tags):
    kept = Image.Exif()
    for described in _descriptive(tags):
        kept.update(described)
    return kept


def _descriptive(tags):
    kept = {tag: _as_read(tags[tag]) for tag in _KEPT_TAGS if _is_plain(tags.get(tag))}
    directories = {
        tag: {key: _as_read(value) for key, value in tags.get_ifd(tag).items()}
        for tag in _DIRECTORIES
        if tag in tags
    }
    return kept, directories


class _Text(str):
    """Text of a tag, whose bytes Pillow reads as Latin-1, but would write as ASCII."""

    __slots__ = ()

    def encode(self, *_):
        return super().encode("latin-1", "replace")


def _as_read(value):
    return _Text(value) if isinstance(value, str) else value


def _is_plain(value):
    """Whether it is text, bytes, or one or several numbers of 16 bits."""
    numbers = value if isinstance(value, tuple) else (value,)
    return isinstance(value, str | bytes) or all(
        isinstance(number, int) and 0 <= number < 2**16 for number in numbers
    )


def _upright(exif, orientation):
    """Changes the bytes in their places: what a camera's maker noted may refer to places."""
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


def _xmp(xmp):
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    return re.sub(rb"""(tiff:Orientation(?:=["']|>))[0-9]""", rb"\g<1>1", xmp)


def _without_announcements(xmp):
    attribute, element = _ANNOUNCING
    kept, start = [], 0
    while match := element.search(xmp, start):
        closing = b"</" + match[1] + b">"
        end = xmp.find(closing, match.end())
        if end < 0:
            break
        kept.append(xmp[start : match.start()])
        start = end + len(closing)
    return attribute.sub(b"", b"".join([*kept, xmp[start:]]))


def _png_chunks(file):
    """(kind, content) of the header and of what is not of the pixels; None of what is not kept."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if length > _LONGEST or kind not in (b"IHDR", *_PNG_KEPT):
            file.seek(length + 4, io.SEEK_CUR)
            if kind not in _PNG_OTHERS:
                yield kind, None
            continue
        content = file.read(length)
        file.seek(4, io.SEEK_CUR)  # its checksum
        if len(content) == length:
            yield kind, content


def webp_chunks(file):
    """The kinds of the chunks of an open WebP file."""
    file.seek(12)
    for _ in range(_MOST_BOXES):
        if len(head := file.read(8)) < 8:
            return
        kind, length = struct.unpack("<4sI", head)
        yield kind
        file.seek(length + length % 2, io.SEEK_CUR)


def _has_c2pa_box(file):
    """Whether one of the outer boxes of an AVIF or HEIC file is that of Content Credentials."""
    file.seek(0)
    for _ in range(_MOST_BOXES):
        if len(head := file.read(32)) < 8:
            return False
        length, kind = struct.unpack_from(">I4s", head)
        start = 8
        if length == 1 and len(head) >= 16:  # which is too large for 32 bits
            (length,), start = struct.unpack_from(">Q", head, 8), 16
        if kind == b"uuid" and head[start : start + 16] == _BOX_C2PA:
            return True
        if length < start:  # 0 is the rest of the file
            return False
        file.seek(length - len(head), io.SEEK_CUR)
    return False


def _jpeg_segments(file):
    """(kind, content) of comments, of what Photoshop wrote and of boxes, before the pixels."""
    file.seek(2)
    fill = 0
    while len(head := file.read(4)) == 4:
        first, kind, length = struct.unpack(">BBH", head)
        if first == kind == 0xFF and fill < _MOST_BOXES:  # any number of them may come before
            file.seek(-3, io.SEEK_CUR)
            fill += 1
            continue
        if first != 0xFF or kind in (0xD9, 0xDA) or length < 2:
            return
        if kind in (_JPEG_COMMENT, _JPEG_PHOTOSHOP, _JPEG_BOXES):
            yield kind, file.read(length - 2)
        else:
            file.seek(length - 2, io.SEEK_CUR)


def _jpeg_parts(found):
    """Segments, as they lie in the file."""
    for comment in found.comments:
        yield struct.pack(">BBH", 0xFF, _JPEG_COMMENT, 2 + len(comment)) + comment
    for start in range(0, len(found.photoshop), _JPEG_SEGMENT):
        part = _PHOTOSHOP + found.photoshop[start : start + _JPEG_SEGMENT]
        yield struct.pack(">BBH", 0xFF, _JPEG_PHOTOSHOP, 2 + len(part)) + part


def _resources(content):
    """Photoshop's resources without those that do not fit what was restored."""
    return b"".join(
        whole for number, _, whole in _each_resource(content) if number not in _RESOURCES_DROPPED
    )


def _each_resource(content):
    """(number, what it holds, as it lies in the file), as far as they are in order."""
    start = 0
    while content[start : start + 4] == b"8BIM" and len(content) >= start + 12:
        (number,) = struct.unpack_from(">H", content, start + 4)
        size = start + 6 + (content[start + 6] + 2) // 2 * 2  # behind its name
        if len(content) < size + 4:
            return
        first = size + 4
        last = first + struct.unpack_from(">I", content, size)[0]
        if len(content) < last:
            return
        end = last + (last - first) % 2
        yield number, content[first:last], content[start:end]
        start = end


def _resource(number, content):
    size = struct.pack(">I", len(content))
    return b"8BIM" + struct.pack(">H", number) + b"\0\0" + size + content + bytes(len(content) % 2)
