"""Datasets as their authors publish them: folders and zip archives, read without extracting."""

import dataclasses
import functools
import hashlib
import os
import pathlib
import zipfile

from tfdeblur.errors import InputError, reason
from tfdeblur.io import images

_EIGHT_BIT = ("L", "P", "RGB", "RGBA")
_MAX_EXPANSION = 1032  # of deflated bytes
# What data sets consist of, and TensorFlow decodes as Pillow does.
_FORMATS = ("BMP", "DIB", "JPEG", "MPO", "PNG")


@dataclasses.dataclass(frozen=True)
class Folder:
    """The files below a folder."""

    path: pathlib.Path

    def names(self):
        """Paths of all files relative to the folder, "/" between their parts, sorted."""
        return sorted(
            pathlib.Path(root, name).relative_to(self.path).as_posix()
            for root, _, names in images.walk(self.path, follow_links=True)
            for name in names
        )

    def read(self, name):
        with images.open_regular(self.path / name) as file:
            return file.read(images.MAX_BYTES)


@dataclasses.dataclass(frozen=True)
class Zip:
    """The files of a zip archive. It is opened in each process anew, so that it can be pickled."""

    path: pathlib.Path

    def names(self):
        """Paths of all files in the archive, sorted.

        Raises:
            InputError: the archive is broken or incomplete, or names a file outside itself.
        """
        entries = (info.filename for info in _archive(self).infolist())
        names = sorted(name for name in entries if not name.endswith("/"))
        for name in names:
            parts = pathlib.PurePosixPath(name.replace("\\", "/")).parts
            if not parts or ".." in parts or parts[0] == "/" or ":" in parts[0]:
                raise InputError(
                    f"{self.path} holds {name!r}, which points outside the archive: do not trust "
                    "it, and get it from the authors again."
                )
        return names

    def read(self, name):
        archive = _archive(self)
        entry = archive.getinfo(name)
        if entry.file_size > images.MAX_BYTES:  # zipfile reads no more than the archive promises
            raise InputError(
                f"{self.path}/{name} has {entry.file_size:,} bytes, and {images.MAX_BYTES:,} are "
                "read at most: get the archive again."
            )
        # What it promises is reserved.
        length = os.stat(self.path).st_size
        if entry.compress_size > length or entry.file_size > _MAX_EXPANSION * length:
            raise InputError(
                f"{self.path} is damaged: {name} cannot be as large as it says. Get it again."
            )
        return archive.read(name)


def _archive(source):
    try:
        with images.open_regular(source.path, limit=2**63) as file:
            status = os.fstat(file.fileno())
        return _opened(source.path, status.st_mtime_ns, status.st_size)
    except InputError:
        raise
    # Also ValueError for names that are not UTF-8, NotImplementedError, struct.error, ..., and
    # MemoryError where the archive claims a directory of any size.
    except Exception as error:
        raise InputError(
            f"{source.path} is no complete zip archive ({reason(error)}): delete it, and get it "
            "again."
        ) from error


@functools.lru_cache(maxsize=64)
def _opened(path, *_):
    """Kept open as long as the file has not been replaced."""
    return zipfile.ZipFile(path)


@dataclasses.dataclass(frozen=True)
class File:
    """One file of a `Folder` or `Zip`."""

    source: Folder | Zip
    name: str

    def __str__(self):
        return f"{self.source.path}/{self.name}"

    def read(self):
        """Returns the bytes.

        Raises:
            InputError: the file cannot be read, or a zip archive is damaged there.
        """
        try:
            return self.source.read(self.name)
        except (InputError, MemoryError):
            raise
        # Broken archives are met with BadZipFile, zlib.error, EOFError, RuntimeError, ...
        except Exception as error:
            raise InputError(f"{self} cannot be read ({reason(error)}): get it again.") from error

    def read_image(self):
        """Reads an image file and checks that it is whole, 8 bits per channel.

        The checksums of a PNG file are verified, other formats are decoded.

        Returns:
            (bytes, (width, height)): the file as it is, and its size in pixels.

        Raises:
            InputError: it cannot be read, is truncated, is no image, or has other than 8 bits.
        """
        content = self.read()
        try:
            with images.opened(content, self, _FORMATS) as image:
                size, mode = image.size, image.mode
                image.verify() if image.format == "PNG" else image.load()
        except InputError as error:
            cause = error.__cause__ or error
            raise InputError(f"{self} is no whole image ({cause}): get it again.") from error
        if mode not in _EIGHT_BIT:
            raise InputError(f"{self} has {mode} pixels: 8 bits per channel are expected.")
        return content, size


def open_source(path):
    """A `Folder` or `Zip`, by what the path is."""
    path = pathlib.Path(path)
    return Folder(path) if path.is_dir() else Zip(path)


def find(source, pattern):
    """Finds files of a source by their paths, whatever folders lie above.

    Args:
        source: `Folder` or `Zip`.
        pattern: compiled regular expression for the end of the path, from the start of a folder's
            or the file's name on; its groups identify the file. The name of the folder or archive
            itself counts as the outermost folder's.

    Returns:
        dict from the groups, a tuple of strings, to `File`, in the order of the names.

    Raises:
        InputError: two files have the same groups; or see `Zip.names`.
    """
    found = {}
    for name in source.names():
        parts = [source.path.name.removesuffix(".zip"), *name.split("/")]
        if any(part.startswith((".", "__MACOSX")) for part in parts[1:]):
            continue  # what macOS adds to archives and folders
        tails = ("/".join(parts[i:]) for i in range(len(parts)))
        match = next(filter(None, map(pattern.fullmatch, tails)), None)
        if not match:
            continue
        if match.groups() in found:
            raise InputError(
                f"{found[match.groups()]} and {source.path}/{name} are both the same file of the "
                "dataset: remove one of the two copies."
            )
        found[match.groups()] = File(source, name)
    return found


def read_pair(blurry, sharp):
    """Reads two `File`s that belong together: the features "blurry" and "sharp", bytes.

    Raises:
        InputError: see `File.read_image`; or their sizes differ.
    """
    (blurry_bytes, blurry_size), (sharp_bytes, sharp_size) = blurry.read_image(), sharp.read_image()
    if blurry_size != sharp_size:
        raise InputError(
            "a pair differs in size: {} has {}x{} pixels, {} {}x{}: get them again.".format(
                blurry, *blurry_size, sharp, *sharp_size
            )
        )
    return {"blurry": blurry_bytes, "sharp": sharp_bytes}


def split(items, test_share):
    """Parts clips or photographs into those to train with and those to test with.

    A hash of its name decides on each, so that the same ones are parted in the same way everywhere.

    Args:
        items: list of what has a `name` and a `path`.
        test_share: share of them to test with, in [0, 1). It is rounded to whole ones, to at least
            one, and not to all; 0 is none.

    Returns:
        (train, test): two lists, in the order of `items`.

    Raises:
        InputError: there is a single one, to be parted.
    """
    if not test_share:
        return list(items), []
    if len(items) < 2:
        raise InputError(
            f"{items[0].path} is the only one, and it is either for training or for testing: add "
            "another one, or set test_share=0 to train with all."
        )
    count = min(max(1, round(test_share * len(items))), len(items) - 1)
    by_hash = sorted(items, key=lambda item: hashlib.sha256(item.name.encode()).digest())
    test = set(by_hash[:count])
    return [x for x in items if x not in test], [x for x in items if x in test]
