"""Image files: reading, writing and finding them.

Written through imageio. Read through Pillow itself: files are hostile until their format, size and
number of pages are known, which imageio tells once it has decoded pixels.
"""

import contextlib
import io
import os
import pathlib
import re
import stat
import warnings

import numpy as np
from PIL import ExifTags, Image, ImageOps

from tfdeblur import files
from tfdeblur.errors import InputError

# What a folder is searched for, and what `write` can write.
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
HEIF_SUFFIXES = (".heic", ".heif", ".hif")  # read and written where pillow-heif is installed

# 4:4:4: the default would halve the colour resolution that a network has just restored.
_SAVE_OPTIONS = {
    ".jpeg": {"quality": 95, "subsampling": "4:4:4"},
    ".jpg": {"quality": 95, "subsampling": "4:4:4"},
    ".webp": {"quality": 95},
}
_TURNED_ORIENTATIONS = (5, 6, 7, 8)  # those that exchange width and height

# What Pillow may read, as it calls them. It knows many more, one of which is PostScript: that is
# a program, which Pillow has Ghostscript run.
FORMATS = (
    "AVIF",
    "BMP",
    "DIB",
    "GIF",
    "HEIF",
    "JPEG",
    "JPEG2000",
    "MPO",
    "PNG",
    "PPM",
    "TIFF",
    "WEBP",
)
# A file's first bytes: what it is, for a message.
_NO_PIXELS = (
    (b"%!PS", "PostScript"),
    (b"\x04%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"%PDF", "a PDF document"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML document, such as an SVG drawing"),
    (b"<!DOCTYPE", "a document"),
)
# An image's first bytes, and the suffix of such files.
_IMAGES = (
    (re.compile(rb"\xff\xd8\xff"), ".jpg"),
    (re.compile(rb"\x89PNG"), ".png"),
    (re.compile(rb"GIF8"), ".gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), ".webp"),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), ".tif"),
    (re.compile(rb"BM....\0{4}", re.DOTALL), ".bmp"),
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), ".avif"),
    (re.compile(rb"....ftyp(hei[cxms]|hev[cx]|mif1|msf1)", re.DOTALL), ".heic"),
    (re.compile(rb"\xff\x0a|\0{3}\x0cJXL "), ".jxl"),
)
_HEAD = 4096  # bytes in which a video shows that it is one
_TIFF_SUBFILE = 254  # its lowest bit says that a page is a reduced version of another one
_TIFF_SUB_IFDS, _DNG_VERSION = 330, 50706
_MANY = 100  # pages, among which previews are looked for
# No file of an image, nor of a data set, is larger: Pillow refuses more than 179 million pixels.
MAX_BYTES = 2**31


def read(path):
    """Reads an image file as 8-bit RGB.

    The EXIF orientation is applied. Greyscale, 1-bit, palette and CMYK images become RGB, 16 bits
    become 8. Alpha is dropped, not composited: the colours are those in the file. `photos.read`
    drops nothing.

    Args:
        path: a file in one of `FORMATS`, with a single image; its suffix does not matter.

    Returns:
        uint8 [H, W, 3].

    Raises:
        InputError: the file is missing, empty, broken, no image, an animation, too large to be
            safe (Pillow's limit of about 179 million pixels), or has no defined 8-bit range
            (32-bit integer or floating-point pixels).
    """
    with opened(path) as image:
        upright = ImageOps.exif_transpose(image)
        if is_sixteen_bit(image):
            grey = to_eight_bits(np.asarray(upright))
            return np.repeat(grey[..., None], 3, axis=-1)
        refuse_undefined_range(image, path)
        if has_alpha(upright):
            upright = upright.convert("RGBA")  # drops alpha below; a palette needs this detour
        return np.array(upright.convert("RGB"))


def size(path):
    """Reads (width, height) of an image from its header, EXIF orientation applied.

    Raises:
        InputError: as `read`, as far as the header tells.
    """
    with opened(path) as image:
        return upright_size(image)


def upright_size(image):
    """(width, height) of an open Pillow image, EXIF orientation applied."""
    width, height = image.size
    # Pillow reports TIFF files upright by itself.
    turned = image.format != "TIFF" and orientation(image) in _TURNED_ORIENTATIONS
    return (height, width) if turned else (width, height)


def is_plain(path):
    """Whether any other decoder of PNG and JPEG gives what `read` gives; tells by the header.

    That is: 8-bit RGB or greyscale, neither alpha nor an EXIF orientation to apply.

    Raises:
        InputError: as `read`, as far as the header tells.
    """
    with opened(path) as image:
        return (
            image.format in ("JPEG", "PNG")
            and image.mode in ("L", "RGB")
            and not has_alpha(image)
            and orientation(image) == 1
        )


def write(path, image):
    """Writes an image file, in the format that its suffix names (one of `SUFFIXES`).

    JPEG is written with quality 95 and 4:4:4 colour, WebP with quality 95. The file appears whole
    or not at all: it is written beside its place and renamed. Its folder is made where missing.

    Args:
        path: the file; replaced where it exists.
        image: uint8 [H, W, 3], RGB.

    Raises:
        InputError: unknown suffix, or the file cannot be written.
        ValueError: the array has another shape or type.
    """
    import imageio.v3 as imageio  # here, for commands to start at once

    path = pathlib.Path(path)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(f"expected uint8 [H, W, 3], got {image.dtype} {image.shape}")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"cannot write {path}: name a file ending in {', '.join(SUFFIXES)}.")
    with replacing(path) as temporary:
        options = _SAVE_OPTIONS.get(suffix, {})
        imageio.imwrite(temporary, image, extension=suffix, plugin="pillow", **options)


@contextlib.contextmanager
def replacing(path, like=None):
    """`files.replacing` for what people ask for: its folder is made, failures are an InputError.

    Where `path` is a link, the file that it points to is replaced, and the link stays.

    Args:
        path: the file.
        like: a file whose access rights and time of change it gets, and its owner, where `path` was
            that file and the system allows it; None for new ones.

    Raises:
        InputError: the folder cannot be made, or the block raised something else than MemoryError.
    """
    path = pathlib.Path(os.path.realpath(path) if os.path.islink(path) else path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        status = None if like is None else os.stat(like)
        in_place = like is not None and path.exists() and os.path.samefile(path, like)
        there = os.path.lexists(path)
        with files.replacing(path) as temporary:
            if status is not None:  # nobody else sees it before it has the rights of its source
                os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            yield temporary
            if status is not None:
                _keep_tags(like, temporary)  # before it may become read-only
                _liken(temporary, status, in_place)
            if not there:
                refuse_new(path)
    except (InputError, MemoryError):
        raise
    # Pillow raises ValueError or struct.error for sizes that a format cannot hold.
    except Exception as error:
        raise InputError(f"cannot write {path}: {_reason(error)}.") from error


def refuse_new(path):
    """Raises an InputError where there is a file now: somebody else has put it there meanwhile."""
    if os.path.lexists(path):
        raise InputError(f"{path} was put there meanwhile: move it, or name another place.")


def _liken(path, status, with_owner):
    if with_owner and hasattr(os, "chown"):
        with contextlib.suppress(OSError):
            os.chown(path, status.st_uid, status.st_gid)
    os.chmod(path, stat.S_IMODE(status.st_mode) & 0o777)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _keep_tags(source, target):
    """Extended attributes that are the user's: ratings and tags of file managers, say."""
    with contextlib.suppress(OSError, AttributeError):  # not all systems and disks have them
        for name in os.listxattr(source):
            if name.startswith("user."):
                os.setxattr(target, name, os.getxattr(source, name))


def to_eight_bits(values):
    """uint16 -> uint8, rounded to nearest: 65535 = 255 * 257. Makes no copies in floating point."""
    values = np.minimum(values, 65535 - 128)
    values += 128
    values //= 257
    return values.astype(np.uint8)


def encode_png(image):
    """The bytes of a PNG file of a uint8 [H, W, 3] image."""
    import imageio.v3 as imageio

    # A little larger than at Pillow's level 6, in a third of the time.
    return imageio.imwrite("<bytes>", image, extension=".png", plugin="pillow", compress_level=3)


def find_images(paths, suffixes=SUFFIXES):
    """Lists image files.

    Args:
        paths: files, taken as they are, and folders, searched recursively for `suffixes`
            (upper case too; hidden files and folders are left out).
        suffixes: lower-case suffixes, with the dot.

    Returns:
        list of pathlib.Path, each file once: in the order of `paths`, sorted within a folder.

    Raises:
        InputError: a path does not exist.
    """
    found = {}
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            found.update(dict.fromkeys(_walk(path, suffixes)))
        elif os.path.lexists(path):
            found[path] = None
        else:
            raise InputError(f"{path} does not exist: name an image file or a folder.")
    return list(found)


@contextlib.contextmanager
def opened(source, name=None, formats=FORMATS, several=False):
    """Opens an image lazily, and tells all that Pillow raises inside the block as InputError.

    This is the only place where an image is opened. What a file is, its content says, not its
    suffix; what is not one of a few formats of pixels is refused before Pillow's code sees it.

    Args:
        source: a path, or the bytes of a file.
        name: of the bytes, for messages.
        formats: of `FORMATS`, those that are meant.
        several: whether the file may hold several images.
    """
    path = None if isinstance(source, bytes) else source
    name = path if name is None else name
    with contextlib.ExitStack() as stack:
        stack.enter_context(telling(name))
        file = io.BytesIO(source) if path is None else stack.enter_context(open_regular(path))
        suffix = pathlib.Path(str(name)).suffix.lower()
        image = stack.enter_context(_identified(file, name, suffix, formats))
        if image.format == "TIFF" and _is_preview_of_raw(image):
            raise InputError(
                f"{name}: a raw photograph, of which only a preview can be read so: give it the "
                "suffix of its kind, such as .dng or .nef."
            )
        if not several:
            refuse_several(name, count_frames(image))
        yield image


@contextlib.contextmanager
def telling(name):
    """Tells all that a decoder raises inside the block as an InputError about the file `name`."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"{name} is too large to be opened safely: {error}") from error
    # Pillow's decoders meet broken files with OSError, SyntaxError, struct.error, EOFError, ...
    except Exception as error:
        raise InputError(
            f"{name} cannot be read as an image ({_reason(error)}): replace or remove it."
        ) from error


def refuse_several(name, count):
    """Raises an InputError where a file holds more than one image."""
    if count > 1:
        raise InputError(f"{name} holds {count} images: save the wanted one as a file of its own.")


def count_frames(image):
    """How many pictures a file holds, previews aside."""
    # A multi-picture JPEG (MPO) of a camera holds the photograph first, then previews.
    if image.format == "MPO":
        return 1
    frames = getattr(image, "n_frames", 1)
    if frames == 1 or image.format != "TIFF":
        return frames
    previews = 0
    for index in range(1, min(frames, _MANY)):
        image.seek(index)
        previews += image.tag_v2.get(_TIFF_SUBFILE, 0) & 1
    image.seek(0)
    return frames - previews


def usual_suffix(head):
    """Of images that begin with these bytes, such as ".jpg"; "" where they are none's."""
    return next((suffix for start, suffix in _IMAGES if start.match(head)), "")


def _is_preview_of_raw(image):
    """Whether the first image of a TIFF file is what cameras put before a raw photograph."""
    tags = image.tag_v2
    is_reduced = tags.get(_TIFF_SUBFILE, 0) & 1
    return is_reduced and (_TIFF_SUB_IFDS in tags or _DNG_VERSION in tags)


def _identified(file, name, suffix, formats):
    head = file.read(_HEAD)
    if not head:
        raise ValueError("the file is empty")
    kind = next((kind for start, kind in _NO_PIXELS if head.lstrip().startswith(start)), None)
    if kind:
        raise ValueError(f"it is {kind}, not pixels; export it as PNG first")
    # AVIF may call itself mif1 first.
    if usual_suffix(head) == ".heic" and b"avif" not in head[8:32]:
        register_heif(name)
    elif suffix in HEIF_SUFFIXES:
        with contextlib.suppress(InputError):
            register_heif(name)
    file.seek(0)
    Image.init()
    with warnings.catch_warnings():
        # Pillow warns of half the size that it refuses.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            return Image.open(file, formats=[known for known in formats if known in Image.OPEN])
        except Image.UnidentifiedImageError:
            _refuse_video(head, name)
            if head[:2] in (b"II", b"MM") and "TIFF" in formats:
                _refuse_tiff(file, name)
            raise


def _refuse_video(head, name):
    from tfdeblur.io import ffmpeg  # which needs this module

    suffix = "" if usual_suffix(head) else ffmpeg.usual_suffix(head)
    if suffix:
        raise InputError(
            f"{name} cannot be read as an image: it is a video. Give it as a file that ends in "
            f"{suffix}."
        )


def _refuse_tiff(file, name):
    """Raises an InputError which says what pixels a TIFF file holds, where that can be told."""
    import tifffile  # here, for commands to start at once

    try:
        file.seek(0)
        with tifffile.TiffFile(file, name="x") as whole:
            page = whole.pages[0]
            kind = page.dtype or f"{page.bitspersample}-bit"
            kind = f"{kind} pixels ({page.samplesperpixel} channels, {page.photometric.name})"
    except Exception:  # it is broken, or none at all
        return
    raise InputError(
        f"{name} holds {kind}, which cannot be read: convert it to RGB or greyscale of 8 or 16 "
        "bits."
    )


def open_regular(path, limit=MAX_BYTES):
    """Opens a file to be read: a regular one, neither a pipe nor a device, which may never end.

    Args:
        path: the file, or a link to it.
        limit: larger files are refused.

    Returns:
        The open binary file.

    Raises:
        InputError: it cannot be opened, or is none.
    """
    try:
        # Opening a pipe would wait for its other end.
        flags = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        number = os.open(path, os.O_RDONLY | flags)
    except (OSError, ValueError) as error:
        raise InputError(_unopened(path, error)) from error
    file = None
    try:
        status = os.fstat(number)
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{path} cannot be read (it is a folder): replace or remove it.")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(
                f"{path} cannot be read (it is a pipe or a device, no file): replace or remove it."
            )
        if status.st_size > limit:
            raise InputError(
                f"{path} has {status.st_size:,} bytes, and {limit:,} are read at most: replace or "
                "remove it."
            )
        file = os.fdopen(number, "rb")
        return file
    finally:
        if file is None:
            os.close(number)


def _unopened(path, error):
    if isinstance(error, FileNotFoundError):
        if os.path.islink(path):
            return f"{path} is a link to {os.readlink(path)}, which does not exist: remove it."
        return f"{path} does not exist."
    return f"{path} cannot be read ({_reason(error)}): replace or remove it."


def walk(folder, follow_links=False, onerror=None):
    """Like `os.walk`, but each folder comes once, however the links lie.

    Folders reached by links come last, so that the place of a folder is not that of a link to it.

    Args:
        folder: where to begin.
        follow_links: whether folders that links point to are searched too.
        onerror: function that is called with an OSError for each folder that cannot be read; None:
            they are left out.

    Yields:
        (root, folders, names): the caller may remove folders from the list, which are left out.
    """
    seen, links = set(), [folder]
    while links:
        for root, folders, names in os.walk(links.pop(0), onerror=onerror):
            try:
                status = os.stat(root)
            except OSError:  # it has gone meanwhile
                folders.clear()
                continue
            if (status.st_dev, status.st_ino) in seen:
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            folders.sort()
            yield root, folders, names
            if follow_links:
                links += filter(os.path.islink, (os.path.join(root, name) for name in folders))


def register_heif(path):
    """Lets Pillow open and save HEIC; an InputError that names the library where it is missing."""
    try:
        import pillow_heif
    except ImportError as error:
        raise InputError(
            f"{path}: HEIC needs another library: pip install pillow-heif, or the extra "
            "'tfdeblur[photos]'."
        ) from error
    pillow_heif.register_heif_opener()


def _reason(error):
    """An exception in words, without the file name that the message around it gives already."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "unknown format"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def is_sixteen_bit(image):
    """Whether a Pillow image is greyscale of 16 bits; in colour it always has 8."""
    # Pillow's "I" is a 32-bit mode, which PGM, and PNG before Pillow 11, use for 16 bits.
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))


def refuse_undefined_range(image, path):
    """Raises an InputError for pixels of 32 bits."""
    if image.mode in ("I", "F"):
        raise InputError(
            f"{path} holds {image.mode!r} pixels (32 bits), whose range is not defined: convert it "
            "to 8 or 16 bits."
        )


def orientation(image):
    """The EXIF orientation of a Pillow image, 1 to 8, which Pillow also finds in XMP."""
    # In a PNG file without EXIF before its pixels, getexif would decode all pixels to look for it.
    if {"exif", "xmp", "XML:com.adobe.xmp"} & image.info.keys():
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    return 1


def has_alpha(image):
    """Whether a Pillow image has an alpha channel or a transparent colour."""
    return image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info


def _walk(folder, suffixes):
    files = []
    for root, folders, names in walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [
            pathlib.Path(root, name)
            for name in names
            if not name.startswith(".") and name.lower().endswith(suffixes)
        ]
    return sorted(files)
