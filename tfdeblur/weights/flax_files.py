"""The authors' Flax checkpoints, `checkpoint.npz`: zip archives of NumPy arrays.

Reading one runs nothing that is in it: arrays of Python objects, which are pickles, are refused.
Opening reads headers only, so shapes can be compared with a network's before any memory is taken.
"""

import contextlib
import math
import pathlib
import tokenize
import zipfile
import zlib

import numpy as np
from numpy.lib import format as npy

from tfdeblur.errors import InputError, reason
from tfdeblur.weights import downloads

SUFFIX = ".npz"
MOST_ARRAYS = 50_000
MOST_NUMBERS = 2**28  # in all arrays; MAXIM-3S has 2.2e7
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class StoredArray:
    """An array in a file: its `shape` and `dtype`; `np.asarray` reads it.

    Raises:
        InputError: reading it finds that the file is damaged.
    """

    def __init__(self, archive, entry):
        self._archive = archive
        self._entry = entry
        with archive.open(entry) as stream:
            self.shape, self._fortran_order, self.dtype = _read_header(stream)
            self._start = stream.tell()
        if self.dtype.hasobject or self.dtype.names or self.dtype.subdtype:
            raise _Refusal(
                f"holds {entry.filename}, which is no array of numbers; nothing was run."
            )
        if any(size < 0 for size in self.shape) or len(self.shape) > 8:
            raise _Refusal(f"is damaged: {entry.filename} has an impossible shape.")
        self.size = math.prod(self.shape)
        if self._start + self.size * self.dtype.itemsize != entry.file_size:
            raise _Refusal(f"is damaged: {entry.filename} is not as long as its shape says.")

    def __array__(self, dtype=None, copy=None):
        archive = self._archive
        with _told_in_one_line(archive.filename), archive.open(self._entry) as stream:
            stream.read(self._start)
            content = stream.read(self.size * self.dtype.itemsize)
            if stream.read(1) or len(content) != self.size * self.dtype.itemsize:
                raise _Refusal(f"is damaged: {self._entry.filename} has another length.")
        order = "F" if self._fortran_order else "C"
        array = np.frombuffer(content, self.dtype).reshape(self.shape, order=order)
        return array if dtype is None else array.astype(dtype)


def read_arrays(path):
    """The arrays in a checkpoint, of which only the headers are read yet.

    Args:
        path: an `.npz` file, as `numpy.savez` writes it.

    Returns:
        `{name: StoredArray}`, the names as in `opt/target/stage_0_input_conv_0/kernel`. The file
        stays open while one of them is in use.

    Raises:
        InputError: the file is missing, damaged or no such file, holds other than numbers, or more
            than any network of tfdeblur takes.
    """
    path = pathlib.Path(path)
    with _told_in_one_line(path):
        with path.open("rb") as file:
            start = file.read(512)
        if downloads.is_web_page(start):
            raise _Refusal(downloads.WEB_PAGE)
        arrays, numbers = {}, 0
        archive = zipfile.ZipFile(path)
        entries = archive.infolist()
        if len(entries) > MOST_ARRAYS:
            raise _Refusal(f"holds {len(entries)} files: no network of tfdeblur has as many.")
        for entry in entries:
            name = entry.filename.removesuffix(".npy")
            if name == entry.filename:
                raise _Refusal(f"is no file of NumPy arrays: it holds {entry.filename!r}.")
            if name in arrays:
                raise _Refusal(f"is damaged: it holds {entry.filename!r} twice.")
            if entry.compress_type not in _COMPRESSIONS or entry.flag_bits & 1:
                raise _Refusal(f"is no file that numpy.savez wrote: see {entry.filename!r}.")
            arrays[name] = StoredArray(archive, entry)
            numbers += arrays[name].size
            if numbers > MOST_NUMBERS:
                raise _Refusal("holds more numbers than any network of tfdeblur has.")
        return arrays


class _Refusal(Exception):
    """Why a file is not read, as the rest of a sentence that begins with its path."""


@contextlib.contextmanager
def _told_in_one_line(path):
    try:
        yield
    except _Refusal as error:
        raise InputError(f"{path} {error}") from error
    except (
        # What a damaged archive or header raises; NumPy parses the header as Python.
        SyntaxError,
        tokenize.TokenError,
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        TypeError,
        KeyError,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
        OverflowError,
    ) as error:
        raise InputError(
            f"{path} is damaged, or no .npz file: get it from its authors again "
            f"({type(error).__name__}: {reason(error)})."
        ) from error


def _read_header(stream):
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(stream)
    if version not in readers:
        raise _Refusal(
            f"holds arrays in version {version} of NumPy's format, which no weights are."
        )
    return readers[version](stream, max_header_size=10_000)
