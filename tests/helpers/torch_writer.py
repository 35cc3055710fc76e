"""PyTorch checkpoints, written without PyTorch; unsound ones too."""

import collections
import dataclasses
import io
import pickle
import sys
import types
import zipfile
from unittest import mock

import numpy as np

KINDS = {"f8": "Double", "f4": "Float", "f2": "Half", "i8": "Long"}


@dataclasses.dataclass
class Storage:
    """A run of numbers, and how many of them the file claims to hold."""

    key: str
    kind: str
    count: int
    content: bytes


@dataclasses.dataclass
class Tensor:
    storage: Storage
    offset: int
    shape: tuple
    strides: tuple


def tensor(array, key):
    array = np.ascontiguousarray(array)
    kind = f"{KINDS[array.dtype.str[1:]]}Storage"
    storage = Storage(key, kind, array.size, array.tobytes())
    return Tensor(storage, 0, array.shape, tuple(s // array.itemsize for s in array.strides))


def write(path, state_dict, old_format=False, protocol=2, under=None):
    """Writes a file as `torch.save` does.

    Args:
        state_dict: `{name: ndarray or Tensor}`.
        old_format: as before PyTorch 1.6.
        protocol: of pickle.
        under: the key of a dictionary to put the state dict in.
    """
    tree = collections.OrderedDict(
        (name, value if isinstance(value, Tensor) else tensor(value, str(i)))
        for i, (name, value) in enumerate(state_dict.items())
    )
    storages = list({value.storage.key: value.storage for value in tree.values()}.values())
    content = dumps({under: tree, "epoch": 3} if under else tree, protocol)
    write_pickle(path, content, storages, old_format)


def write_pickle(path, content, storages=(), old_format=False):
    """Writes any pickle in a checkpoint's file format."""
    if old_format:
        header = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
        keys = pickle.dumps([storage.key for storage in storages], 2)
        numbers = [storage.count.to_bytes(8, "little") + storage.content for storage in storages]
        path.write_bytes(
            b"".join([*(pickle.dumps(part, 2) for part in header), content, keys, *numbers])
        )
        return
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", content)
        for storage in storages:
            archive.writestr(f"net/data/{storage.key}", storage.content)


def dumps(tree, protocol=2):
    """The pickle of an object with Tensors in it, under PyTorch's names."""
    file = io.BytesIO()
    with mock.patch.dict(sys.modules, {"torch": _torch, "torch._utils": _torch._utils}):
        _Pickler(file, protocol).dump(tree)
    return file.getvalue()


class _Pickler(pickle.Pickler):
    def persistent_id(self, value):
        if isinstance(value, Storage):
            return "storage", getattr(_torch, value.kind), value.key, "cuda:0", value.count

    def reducer_override(self, value):
        if not isinstance(value, Tensor):
            return NotImplemented
        arguments = (value.storage, value.offset, value.shape, value.strides)
        return _torch._utils._rebuild_tensor_v2, (*arguments, False, collections.OrderedDict())


def _stand_in(module, name):
    """A class that pickles by its name."""
    setattr(module, name, type(name, (), {"__module__": module.__name__}))


_torch = types.ModuleType("torch")
_torch._utils = types.ModuleType("torch._utils")
_stand_in(_torch._utils, "_rebuild_tensor_v2")
for _kind in KINDS.values():
    _stand_in(_torch, f"{_kind}Storage")
