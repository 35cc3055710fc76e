"""Raw photographs of cameras, developed as the camera's white balance says, to 16 bits."""

import contextlib
import pathlib

from PIL import Image

from tfdeblur.errors import InputError
from tfdeblur.io import images

SUFFIXES = (
    *(".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw"),
)
_HEAD = 16  # bytes that tell other formats
_TURNED = (5, 6)  # LibRaw's numbers of quarter turns


def is_raw(path):
    """By its suffix: most of these files are TIFF files, whose first image is a preview.

    A file that begins as those of other formats do is none, whatever its name.
    """
    if pathlib.Path(path).suffix.lower() not in SUFFIXES:
        return False
    with contextlib.suppress(InputError), images.open_regular(path) as file:
        return images.usual_suffix(file.read(_HEAD)) in ("", ".tif")
    return True  # what is wrong with it is told when it is read


def size(path):
    """(width, height), upright. Raises an InputError as `read`."""
    with _opened(path) as raw:
        width, height = raw.sizes.iwidth, raw.sizes.iheight
        return (height, width) if raw.sizes.flip in _TURNED else (width, height)


def read(path):
    """uint16 [H, W, 3], sRGB, upright, no brighter than the camera exposed it.

    Raises:
        InputError: the file is broken or too large, or rawpy is not installed.
    """
    with _opened(path) as raw:
        return raw.postprocess(output_bps=16, use_camera_wb=True, no_auto_bright=True)


@contextlib.contextmanager
def _opened(path):
    try:
        import rawpy
    except ImportError as error:
        raise InputError(
            f'{path}: raw photographs need rawpy: pip install "tfdeblur[photos]".'
        ) from error
    with (
        images.open_regular(path) as file,
        images.telling(path),
        rawpy.imread(file) as raw,
    ):
        pixels = raw.sizes.raw_width * raw.sizes.raw_height
        if pixels > 2 * Image.MAX_IMAGE_PIXELS:  # as Pillow's own limit
            raise InputError(f"{path} is too large to be opened safely: it has {pixels:,} pixels.")
        yield raw
