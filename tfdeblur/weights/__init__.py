"""Weights: loading them, those that papers publish, and the authors' own checkpoints.

`catalogue.py` lists published weights. `torch_files.py`, `flax_files.py` and `tf1_files.py` read
the files of PyTorch, Flax and TensorFlow 1; `torch_networks.py`, `flax_networks.py` and
`tf1_networks.py` know what the authors call our layers.
"""

import functools
import pathlib
import sys

from tfdeblur import errors, models
from tfdeblur.errors import InputError, did_you_mean
from tfdeblur.weights import (
    catalogue,
    flax_files,
    flax_networks,
    keras_files,
    tf1_files,
    tf1_networks,
    torch_files,
    torch_networks,
)
from tfdeblur.weights.flax_networks import from_flax
from tfdeblur.weights.tf1_networks import from_tf1
from tfdeblur.weights.torch_networks import from_torch

__all__ = [
    "from_flax",
    "from_tf1",
    "from_torch",
    "import_network",
    "load",
    "load_network",
    "open_best",
    "open_network",
]


def __dir__():
    return __all__


RUNS = "runs"  # where train.py puts its workdirs
DEFAULT = "maxim", "gopro"  # the best openly licensed network that there are weights of
OWN = "photographs"  # the network that lies beside this file, see docs/photographs.md
OWN_FILE = pathlib.Path(__file__).with_name(f"{OWN}.keras")


def load(net, weights):
    """Loads weights into a network.

    Args:
        net: a network of `tfdeblur.models`.
        weights: a `.keras` or `.weights.h5` file; the authors' `.pt`, `.pth`, `.pkl`, `.h5`
            or `.npz` file, or a folder of them with a module in each; the http(s) address of such a
            file; the prefix of a TensorFlow 1 checkpoint's files, as
            checkpoints/deblur.model-523000; or the name of published weights, see
            `catalogue.CATALOGUE`. A file or folder of such a name is given as ./gopro.

    Raises:
        InputError: the file is missing, unreadable or holds another architecture's weights.
    """
    published = catalogue.find(net.name, weights)
    if published:
        _load_published(lambda: net, published)
        return
    path = _local(weights, net.name)
    if _of_authors(path):
        _load_authors(net, path)
    elif path.suffix == ".keras":
        _copy_weights(load_network(path), net, path)
    elif path.name.endswith(".weights.h5"):
        keras_files.load_h5(net, path)
    else:
        raise InputError(
            f"`weights={path}`: weights are .keras, .weights.h5, .pt, .pth, .pkl, .h5 or .npz "
            "files, or the prefix of a TensorFlow 1 checkpoint's."
        )


def load_network(path):
    """The network in a `.keras` file, in the global dtype policy.

    Raises:
        InputError: the file is missing, broken, or holds no network of tfdeblur.
    """
    return keras_files.read_network(_existing(path))


def import_network(path):
    """The network in its authors' files, with the hyperparameters that their shapes tell.

    Args:
        path: see `torch_files.read_state_dict`, `flax_files.read_arrays` and
            `tf1_files.read_variables`.

    Raises:
        InputError: the file is missing, unreadable, or of no architecture of tfdeblur.
    """
    path = _existing(path)
    arrays, recognise, assign = _read_authors(path)
    try:
        name, hyperparameters = recognise(arrays)
        net = models.build(name, **hyperparameters)
        assign(net, arrays)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    return net


def open_network(model=None, weights=None):
    """The network that `model` and `weights` of a command line mean.

    Args:
        model: a name of `models.NETWORKS`, a `.keras` file, the authors' file of a network, or
            `OWN`. None: that of `DEFAULT`.
        weights: as for `load`; a name needs them. Published weights and the authors' files
            decide about hyperparameters, too. None beside the model of `DEFAULT`: its.

    Returns:
        The network, and a line that says where it came from.

    Raises:
        InputError: nothing fits; the message lists the choices.
    """
    model = model or DEFAULT[0]
    if model == DEFAULT[0] and not weights:
        return _open_default()
    if model == OWN or str(model).endswith(".keras"):
        net = load_network(OWN_FILE if model == OWN else model)
        if weights:
            load(net, weights)
        return net, str(model)
    if model not in models.NETWORKS and _of_authors(pathlib.Path(model)):
        net = import_network(model)
        if weights:
            load(net, weights)
        return net, str(model)
    _check_name(model)
    if not weights:
        published = catalogue.names(model)
        or_published = f", or one of the published {', '.join(published)}" if published else ""
        raise InputError(
            f"`model={model}` has random weights without `weights=FILE`{or_published}: restoring "
            "with it would only spoil pictures."
        )
    return _open_named(model, weights), f"{model} with {weights}"


def trained_models():
    """All `runs/<recipe>/model.keras`, the newest first."""
    found = pathlib.Path(RUNS).glob("*/model.keras")
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def open_best(model=None, weights=None):
    """Like `open_network`, but opens `OWN`, and says so, where the default cannot be had."""
    try:
        return open_network(model, weights)
    except InputError as error:
        if model or weights:
            raise
        errors.say(
            f"note: {OWN}, which is smaller and not as good, restores in the place of the default "
            f"network, {DEFAULT[0]}: {error}"
        )
        return open_network(OWN)


def _check_name(model):
    """Raises an InputError where no network that restores has this name."""
    names = [OWN, *(name for name in models.NETWORKS if "discriminator" not in name)]
    if model not in names:
        raise InputError(
            f"`model={model}` is no .keras file, and no network's name: those are "
            f"{', '.join(names)}." + did_you_mean(model, names)
        )


def _open_default():
    try:
        return open_network(*DEFAULT)
    except InputError as error:
        here = [OWN, *map(str, trained_models())]
        here = [f"`model={name}`" for name in here]
        cached = [(x.network, x.name) for x in catalogue.cached()]
        here += [f"`model={x}` `weights={name}`" for x, name in cached if (x, name) != DEFAULT]
        raise InputError(f"{error} Networks that are here already: {'; '.join(here)}.") from error


def _open_named(name, weights):
    published = catalogue.find(name, weights)
    if published:
        # Built when the files are there: that takes long, and a failure is told before.
        build = functools.cache(lambda: models.build(name, **published.hyperparameters))
        _load_published(build, published)
        return build()
    path = _local(weights, name)
    if _of_authors(path):
        net = import_network(path)
        if net.name != name:
            raise InputError(f"`weights={weights}` are of {net.name}: give `model={net.name}`.")
        return net
    net = models.build(name)
    load(net, path)
    return net


def _local(weights, network):
    """The path of weights of a network, which may lie at an address."""
    if str(weights).startswith(("http://", "https://")):
        return catalogue.fetch_url(weights)
    names = catalogue.names(network)
    listed = ", ".join(names) or "there are none"
    or_else = f", and none of the published weights of {network} ({listed})."
    return _existing(weights, or_else + did_you_mean(weights, names))


def _existing(path, or_else="; name one that there is."):
    path = pathlib.Path(path)
    if not path.exists() and not tf1_files.is_checkpoint(path):
        raise InputError(f"{path}: no such file{or_else}")
    return path


def _of_authors(path):
    return (
        path.suffix == flax_files.SUFFIX
        or tf1_files.is_checkpoint(path)
        or torch_files.is_checkpoint(path)
    )


def _read_authors(path):
    """The arrays in the authors' files, and the functions that recognise and assign them."""
    if path.suffix == flax_files.SUFFIX and not path.is_dir():
        return flax_files.read_arrays(path), flax_networks.recognise, from_flax
    if tf1_files.is_checkpoint(path):
        return tf1_files.read_variables(path), tf1_networks.recognise, from_tf1
    return torch_files.read_state_dict(path), torch_networks.recognise, from_torch


def _load_authors(net, path):
    arrays, _, assign = _read_authors(path)
    try:
        assign(net, arrays)
    except InputError as error:
        raise InputError(f"`weights={path}`: {error}") from error


def _load_published(build, published):
    """Loads published weights into the network that `build` returns, always the same."""
    files = catalogue.fetch(published, check=lambda path: _load_authors(build(), path))
    net = build()
    if len(files) > 1 and not tf1_files.is_checkpoint(files[0]):
        from_torch(net, torch_files.read_modules(files))
        net.origin = {"weights": published.name}
        return
    try:
        _load_authors(net, files[0])
    except InputError as error:
        # Without a checksum, this is the only check.
        remedy = "put that in its place" if published.by_hand else "remove it: it is fetched again"
        raise InputError(
            f"{error} If this is not what {published.address} offers, {remedy}."
        ) from error
    net.origin = {"weights": published.name}
    known = published.digest
    if known and flax_networks.digest(flax_files.read_arrays(files[0])) != known:
        errors.say(
            f"warning: {files[0]} fits {net.name}, but does not hold the numbers that are known as "
            f"its weights {published.name}: what is documented of them may not be true of these.",
            file=sys.stderr,
        )


def _copy_weights(source, target, path):
    ours, theirs = target.weights, source.weights
    if [(w.name, w.shape) for w in ours] != [(w.name, w.shape) for w in theirs]:
        raise InputError(
            f"`weights={path}` holds {source.name!r} {source.hyperparameters}, "
            f"not {target.name!r} {target.hyperparameters}: name weights of the same architecture."
        )
    target.set_weights(source.get_weights())
    target.origin = source.origin
