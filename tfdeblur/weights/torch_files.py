"""PyTorch checkpoints, read without PyTorch and without running anything that is in them.

A checkpoint is a pickle, and unpickling calls whatever functions a file names. These files may name
only what tensors and the dictionaries around them are made of, which get stand-ins of ours; every
other name is refused. Both formats of `torch.save` are read: the zip archive of PyTorch 1.6 and
later, and the stream of pickles before it.
"""

import functools
import io
import math
import pathlib
import pickle
import pickletools
import stat
import typing
import zipfile

import ml_dtypes
import numpy as np

from tfdeblur.errors import InputError
from tfdeblur.weights import downloads

SUFFIXES = (".pt", ".pth", ".pkl", ".h5")  # .h5: DeblurGAN-v2's, which are no HDF5
# Under which the programs of MIMO-UNet, DeepDeblur, NAFNet and Restormer, and MPRNet keep weights.
WEIGHT_KEYS = ("model", "G", "params", "state_dict")

# The first three pickles of the older format.
_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_VERSION = 1001

MAX_OPERATIONS = 3_000_000  # of a pickle; a tensor takes some thirty
MAX_BYTES = 2**32

_DTYPES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


def is_checkpoint(path):
    """Whether a path is, by its suffix, a file that `read_state_dict` reads, or a folder."""
    is_keras = path.name.endswith(".weights.h5")
    return path.is_dir() or (path.suffix in SUFFIXES and not is_keras)


def read_state_dict(path):
    """The weights in a checkpoint, or in a folder of checkpoints with one module in each.

    Args:
        path: a file that `torch.save` wrote: a state dict, or one inside a dictionary under one of
            `WEIGHT_KEYS`. Or a folder of them.

    Returns:
        `{name: ndarray}`, read-only and in the file's dtype; of a folder, see `read_modules`.

    Raises:
        InputError: the file is damaged, holds something else, or names a function that weights do
            not need. Nothing that a file names is ever run.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
        if not files:
            raise InputError(f"{path} holds no checkpoints ({', '.join(SUFFIXES)}).")
        return read_modules(files)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            raise InputError(f"{path} is no regular file, or far too large for weights.")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        return _read(content)
    except _Refusal as error:
        raise InputError(f"{path} {error}") from error
    except Exception as error:  # a damaged pickle or archive may raise anything
        raise InputError(
            f"{path} is damaged, or no PyTorch checkpoint: get it from its authors again "
            f"({type(error).__name__}: {error})."
        ) from error


def read_modules(files):
    """The weights of several files, a module in each, under `STEM.NAME`.

    Raises:
        InputError: see `read_state_dict`.
    """
    return {
        f"{file.stem}.{name}": value
        for file in files
        for name, value in read_state_dict(file).items()
    }


class _Refusal(Exception):
    """Why a file is not read, as the rest of a sentence that begins with its path."""


class _Storage(typing.NamedTuple):
    """A run of numbers in the file."""

    key: str
    kind: str  # of _DTYPES
    count: int


class _Tensor(typing.NamedTuple):
    """A view of a storage; offset and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


class _Dict(dict):
    """In place of `OrderedDict` and `Counter`. Attributes, which hold no weights, are dropped."""

    __slots__ = ()

    def __init__(self, pairs=()):
        pairs = list(pairs.items() if isinstance(pairs, dict) else pairs)
        for key, _ in pairs:
            _check_key(key)
        super().__init__(pairs)

    def __setstate__(self, state):
        pass


def _check_key(key):
    """Only words and numbers: hashing nested tuples can overflow the stack, or never end."""
    if not isinstance(key, (str, bytes, int, float, type(None))):
        raise _Refusal(f"has a {type(key).__name__} as a key, which weights do not need.")


# Python's own implementation, since the other one cannot be asked for keys before it hashes them.
class _Unpickler(pickle._Unpickler):
    dispatch: typing.ClassVar = dict(pickle._Unpickler.dispatch)

    def load_setitem(self):
        _check_key(self.stack[-2])
        super().load_setitem()

    def load_setitems(self):
        for key in self.stack[::2]:
            _check_key(key)
        super().load_setitems()

    def load_dict(self):
        for key in self.stack[::2]:
            _check_key(key)
        super().load_dict()

    def load_set(self):
        raise _Refusal("holds a set, which weights do not need.")

    dispatch.update(
        {
            pickle.SETITEM[0]: load_setitem,
            pickle.SETITEMS[0]: load_setitems,
            pickle.DICT[0]: load_dict,
            pickle.EMPTY_SET[0]: load_set,
            pickle.FROZENSET[0]: load_set,
        }
    )

    def __init__(self, file):
        super().__init__(file, encoding="latin-1")  # Python 2 wrote bytes
        self.storages = {}

    def find_class(self, module, name):
        # Everything that a pickle can call comes from here.
        if module == "torch" and name in _DTYPES:
            return name
        stand_ins = {
            "collections.OrderedDict": _Dict,
            "collections.Counter": _Dict,
            "torch.Size": tuple,
            "torch._utils._rebuild_tensor": self._tensor,
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch._utils._rebuild_parameter": self._parameter,
        }
        if f"{module}.{name}" not in stand_ins:
            raise _Refusal(
                f"names {module}.{name}, which weights do not need; nothing was run. If you trust "
                "the file, load it with PyTorch and save its state_dict() alone."
            )
        return stand_ins[f"{module}.{name}"]

    def persistent_load(self, pid):
        tag, kind, key, _, count, *view = pid
        if not all(isinstance(word, str) for word in (tag, kind, key)) or type(count) is not int:
            raise _Refusal("is damaged: it describes its tensors by other things than words.")
        storage = _Storage(key, kind, count)
        if tag != "storage" or kind not in _DTYPES or view not in ([], [None]):
            raise _Refusal(f"holds a {tag} of a kind that is not supported ({kind}).")
        if self.storages.setdefault(key, storage) != storage:
            raise _Refusal("is damaged: it contradicts itself about the size of its tensors.")
        return storage

    def _tensor(self, storage, offset, shape, strides, *_):
        return _Tensor(storage, offset, shape, strides)

    def _parameter(self, tensor, *_):
        return tensor


def _read(content):
    if content[:2] == b"PK":
        tree, find_bytes = _read_zip(content)
    elif downloads.is_web_page(content[:512]):
        raise _Refusal(downloads.WEB_PAGE)
    else:
        tree, find_bytes = _read_stream(content)
    find_bytes = functools.cache(find_bytes)  # tensors may share a storage
    return {
        name: _array(tensor, find_bytes(tensor.storage)) for name, tensor in _weights(tree).items()
    }


def _read_zip(content):
    """What was saved, with `_Tensor`s in it, and a function from a `_Storage` to its bytes."""
    archive = zipfile.ZipFile(io.BytesIO(content))
    # All lie in one folder, which is named after the file that was written.
    entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}

    def read(name):
        if entries[name].compress_type != zipfile.ZIP_STORED:
            raise _Refusal(f"is no PyTorch checkpoint: its {name} is compressed.")
        return archive.read(entries[name])

    if "data.pkl" not in entries:
        raise _Refusal("is a zip archive, but no PyTorch checkpoint: unpack it and name a file.")
    if "byteorder" in entries and read("byteorder") != b"little":
        raise _Refusal("was written on a big-endian machine, which is not supported.")
    tree, _ = _unpickle(io.BytesIO(read("data.pkl")))
    return tree, lambda storage: read(f"data/{storage.key}")


def _read_stream(content):
    """As `_read_zip`, for the older format: five pickles, then the storages with their counts."""
    file = io.BytesIO(content)
    header = [_unpickle(file)[0] for _ in range(2)]
    if header != [_MAGIC_NUMBER, _VERSION]:
        raise _Refusal("is no PyTorch checkpoint.")
    machine, _ = _unpickle(file)
    if not machine["little_endian"]:
        raise _Refusal("was written on a big-endian machine, which is not supported.")
    tree, storages = _unpickle(file)
    keys, _ = _unpickle(file)
    found = {}
    for key in keys:
        storage = storages[key]
        count = int.from_bytes(file.read(8), "little")
        if count != storage.count:
            raise _Refusal("is damaged: it contradicts itself about the size of its tensors.")
        found[key] = file.read(count * np.dtype(_DTYPES[storage.kind]).itemsize)
    return tree, lambda storage: found[storage.key]


def _unpickle(file):
    """The next object in a file, and the storages that it mentions by their keys."""
    start = file.tell()
    memo = []
    for operations, (opcode, value, _) in enumerate(pickletools.genops(file)):
        if operations > MAX_OPERATIONS:
            raise _Refusal("holds far more than the weights of a network.")
        if "PUT" in opcode.name:
            memo.append(value)
    length = file.tell() - start
    if max(memo, default=0) > length:  # Python would reserve memory for as many objects
        raise _Refusal("is damaged: it numbers more objects than it holds.")
    file.seek(start)
    unpickler = _Unpickler(io.BytesIO(file.read(length)))
    return unpickler.load(), unpickler.storages


def _weights(tree):
    """The state dict in what was saved: {name: _Tensor}."""
    for key in WEIGHT_KEYS:
        if isinstance(tree, dict) and isinstance(tree.get(key), dict):
            tree = tree[key]
    if not isinstance(tree, dict) or not tree:
        raise _Refusal("holds no weights: save a network's state_dict().")
    for name, value in tree.items():
        if not isinstance(name, str) or not isinstance(value, _Tensor):
            raise _Refusal(f"holds no weights, but {name!r}: save a network's state_dict().")
    return tree


def _array(tensor, content):
    (_, kind, count), offset, shape, strides = tensor
    numbers = np.frombuffer(content, _DTYPES[kind])
    if any(type(n) is not int or n < 0 for n in (offset, *shape, *strides)):
        raise _Refusal("is damaged: a tensor has an impossible shape.")
    size = math.prod(shape)
    if not size:
        return np.empty(shape, numbers.dtype)
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    # More elements than the storage has would be views of the same ones, in any number.
    if len(numbers) != count or last >= count or size > count:
        raise _Refusal("is damaged: a tensor reaches beyond the numbers that the file holds.")
    steps = [stride * numbers.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps, writeable=False)
