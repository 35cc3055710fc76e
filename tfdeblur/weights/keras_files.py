"""Our own reader of `.keras` and `.weights.h5` files: with limits, and nothing in them is ever run.

A `.keras` file may name any class of Keras, and its weights any file of this computer; and a few
kilobytes may ask for gigabytes. So Keras never sees the file: its `config.json` may name one of our
networks and that network's hyperparameters, nothing else; and its arrays are the ones which that
network has, stored whole inside the file.
"""

import collections
import contextlib
import inspect
import io
import json
import math
import pathlib
import stat
import tempfile
import threading
import zipfile

import h5py
import keras
import numpy as np

from tfdeblur import models
from tfdeblur.errors import InputError

MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
MAX_JSON = 2**16  # bytes
MAX_JSON_DEPTH = 32
MAX_OBJECTS = 50_000  # groups and arrays of an HDF5 file
MAX_GROUP_DEPTH = 32
MAX_HYPERPARAMETER = 4096
ORIGIN = ("weights", "recipe", "dataset")  # see `models.network.Network`
_BUILDING = threading.Lock()


class _Refusal(Exception):
    """Why a file is not read, as the rest of a sentence that begins with its path."""


def read_network(path):
    """The network in a `.keras` file, in the global dtype policy.

    Raises:
        InputError: the file is missing or broken, or holds anything but a network of tfdeblur.
    """
    with _refusals_explained(path):
        _check_regular(path)
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path.stat().st_size)
            network, hyperparameters, origin = _described(archive.read(members["config.json"]))
            weights = archive.read(members["model.weights.h5"])
        shapes = _shapes(io.BytesIO(weights))
        with _no_more_variables_than(shapes):
            net = network(**hyperparameters)
        _compare(shapes, net)
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "model.weights.h5")
            file.write_bytes(weights)
            net.load_weights(file)
    net.origin = origin
    return net


def load_h5(net, path):
    """Loads a `.weights.h5` file into a network.

    Raises:
        InputError: the file is broken, or holds other arrays than the network has.
    """
    with _refusals_explained(path):
        _check_regular(path)
        _compare(_shapes(path), net)
        net.load_weights(path)
    net.origin = {}


@contextlib.contextmanager
def _refusals_explained(path):
    try:
        yield
    except _Refusal as error:
        raise InputError(f"{path} {error}") from error
    except MemoryError:
        raise
    except OSError as error:
        reason = error.strerror or "it is damaged"
        raise InputError(f"{path} cannot be read: {reason}.") from error
    except Exception as error:  # a damaged archive or HDF5 file may raise anything
        raise InputError(
            f"{path} is broken, or no file of this version of tfdeblur: train or fetch it again "
            f"({type(error).__name__})."
        ) from error


def _check_regular(path):
    if not stat.S_ISREG(path.stat().st_mode):
        raise _Refusal("is no regular file: name a .keras or .weights.h5 file.")


def _members(archive, size):
    """The three members that Keras writes, by name."""
    entries = archive.infolist()
    if sorted(entry.filename for entry in entries) != sorted(MEMBERS):
        raise _Refusal(f"is no .keras file of a network: it holds other files than {MEMBERS}.")
    for entry in entries:
        if entry.flag_bits & 1:
            raise _Refusal("is encrypted: save the network again.")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _Refusal("is compressed in a way that Keras does not use: save it again.")
        # Weights hardly shrink: what expands beyond this was made to.
        limit = 4 * size + MAX_JSON if entry.filename.endswith(".h5") else MAX_JSON
        if entry.file_size > limit:
            raise _Refusal(f"is broken: its {entry.filename} is too large.")
    return {entry.filename: entry for entry in entries}


def _described(content):
    """The class of a network, its hyperparameters and its origin, that a `config.json` names."""
    depth = 0
    for byte in content:
        depth += (byte in b"[{") - (byte in b"]}")
        if depth > MAX_JSON_DEPTH:
            raise _Refusal("is broken: its config.json is nested too deeply.")
    config = json.loads(content)
    classes = {
        cls.__name__: cls
        for cls in vars(models).values()
        if inspect.isclass(cls) and issubclass(cls, models.Network) and cls is not models.Network
    }
    name = config["class_name"]
    if name not in classes or config["registered_name"] != f"tfdeblur>{name}":
        raise _Refusal(
            f"holds a {str(name)[:80]}, not a network of tfdeblur ({', '.join(classes)}); nothing "
            "in it was run."
        )
    hyperparameters = config["config"]
    origin = hyperparameters.pop("origin", {})
    if not origin.keys() <= set(ORIGIN) or not all(map(_is_name, origin.values())):
        raise _Refusal("tells of an origin that no network of tfdeblur has.")
    allowed = inspect.signature(classes[name].__init__).parameters
    for key, value in hyperparameters.items():
        if key not in allowed or not _is_plain(value):
            raise _Refusal(f"has the hyperparameter {key[:80]!r}, which {name} cannot have.")
    return classes[name], hyperparameters, origin


def _is_name(value):
    return isinstance(value, str) and len(value) <= 200


def _is_plain(value):
    """Whether a hyperparameter is a word, or small numbers."""
    if isinstance(value, list):
        return len(value) <= 16 and all(_is_plain(item) for item in value)
    if isinstance(value, str):
        return len(value) <= 80
    if value is None or isinstance(value, bool):
        return True
    return isinstance(value, (int, float)) and 0 <= value <= MAX_HYPERPARAMETER


def _shapes(file):
    """How often each (shape, dtype) is among the arrays that an HDF5 file holds in itself."""
    shapes, seen = collections.Counter(), set()

    def visit(group, depth):
        if depth > MAX_GROUP_DEPTH:
            raise _Refusal("is broken: its groups are nested too deeply.")
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise _Refusal(f"links its {name[:80]!r} to another place: save the weights again.")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen or len(seen) > MAX_OBJECTS:
                raise _Refusal("is broken: it holds a group twice, or too many of them.")
            seen.add(address)
            if isinstance(item, h5py.Group):
                visit(item, depth + 1)
            else:
                shapes[_checked(item)] += 1

    with h5py.File(file, "r") as opened:
        visit(opened, 0)
    # The state of dropout's random numbers, which is no weight.
    return collections.Counter({key: n for key, n in shapes.items() if key != ((2,), "uint32")})


def _checked(item):
    """The (shape, dtype) of an array, which lies as it is inside the file."""
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiu":
        raise _Refusal("holds something else than arrays of numbers.")
    layout = item.id.get_create_plist()
    if (
        layout.get_layout() not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT)
        or layout.get_external_count()
        or layout.get_nfilters()
        or item.id.get_storage_size() != math.prod(item.shape) * item.dtype.itemsize
    ):
        raise _Refusal(
            "keeps arrays outside of itself, compressed, or not at all: save the weights by "
            "`net.save` or `net.save_weights`."
        )
    return item.shape, item.dtype.name


def _compare(shapes, net):
    """Keras matches layers by their order, and passes over what a smaller file lacks."""
    wanted = collections.Counter(
        (tuple(weight.shape), np.dtype(weight.dtype).name) for weight in net.weights
    )
    if shapes != wanted:
        key = next(iter((shapes - wanted) or (wanted - shapes)))
        raise _Refusal(
            f"does not fit {net.name!r} {net.hyperparameters}: it holds {shapes[key]} arrays "
            f"{list(key[0])} of {key[1]}, the network has {wanted[key]}."
        )


@contextlib.contextmanager
def _no_more_variables_than(shapes):
    """Stops the building of a network as soon as it would have more than the file holds."""
    left = collections.Counter(shapes)
    add_weight = keras.layers.Layer.add_weight

    def checked(self, shape=None, *arguments, **options):
        key = tuple(shape or ())
        if not left[key, "float32"]:
            raise _Refusal(
                f"is broken: its config.json asks for an array {list(key)} that it does not hold."
            )
        left[key, "float32"] -= 1
        return add_weight(self, shape, *arguments, **options)

    with _BUILDING:
        keras.layers.Layer.add_weight = checked
        try:
            yield
        finally:
            keras.layers.Layer.add_weight = add_weight
