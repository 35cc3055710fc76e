"""Weights: loading them, and importing the authors' PyTorch checkpoints.

Nothing is ever left at its initial value in silence: a missing, unexpected or misshaped
weight is an error that names it.
"""

import pathlib
import zipfile

import h5py
import keras
import numpy as np

from tfdeblur import models
from tfdeblur.errors import InputError

RUNS = "runs"  # where train.py puts its workdirs


def from_torch(net, state_dict):
    """Assigns the authors' PyTorch weights to a network of the same architecture.

    DeepDeblur's and the released discriminator's weights are scaled from the authors' [0, 255]
    to our [0, 1]: the networks are positively homogeneous in (input, biases), so biases are
    divided by 255; the discriminator has no biases, so its first kernel is multiplied by 255.

    Args:
        net: a network of `tfdeblur.models`.
        state_dict: `{name: ndarray}`, the authors' names; DMPHN's, which lie in a file for each
            module, are joined under the stems of the files: `encoder_lv1.layer1.weight`.

    Raises:
        InputError: a key is missing, unexpected or of another shape; nothing is assigned then.
    """
    if type(net) not in _TORCH_LAYERS:
        raise InputError(f"no PyTorch weights are known for the network {net.name!r}.")
    convolutions = _TORCH_LAYERS[type(net)](net)
    expected = {}
    for name, layer in convolutions.items():
        expected[f"{name}.weight"] = layer.kernel
        if layer.use_bias:
            expected[f"{name}.bias"] = layer.bias
    values = {key: _from_torch_layout(np.asarray(value)) for key, value in state_dict.items()}
    _check_keys(net, expected, values)
    scaled = _SCALE_TO_UNIT_RANGE.get(type(net), lambda net, values: values)(net, values)
    for key, variable in expected.items():
        variable.assign(scaled[key])


def load(net, path):
    """Loads weights into a network.

    Args:
        net: a network of `tfdeblur.models`.
        path: a `.keras` or `.weights.h5` file, or the authors' `.pt`, `.pth` or `.pkl`
            (which need PyTorch: `pip install -e ".[convert]"`).

    Raises:
        InputError: the file is missing, unreadable or holds another architecture's weights.
    """
    path = _existing(path)
    if path.suffix in (".pt", ".pth", ".pkl"):
        from_torch(net, _read_torch(path))
    elif path.suffix == ".keras":
        _copy_weights(load_network(path), net, path)
    elif path.name.endswith(".weights.h5"):
        _load_h5(net, path)
    else:
        raise InputError(
            f"--weights={path}: weights are .keras, .weights.h5, .pt, .pth or .pkl files."
        )


def load_network(path):
    """The network in a `.keras` file, in the global dtype policy.

    Raises:
        InputError: the file is missing, broken, or holds no network of tfdeblur.
    """
    path = _existing(path)
    try:
        net = keras.saving.load_model(path, compile=False)
    except (ValueError, OSError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is broken, or no .keras file of this version of tfdeblur: train or fetch it "
            f"again ({type(error).__name__})."
        ) from error
    if not isinstance(net, models.Network):
        raise InputError(f"{path} holds a {type(net).__name__}, not a network of tfdeblur.")
    return net


def open_network(model=None, weights=None):
    """The network that a command line's --model and --weights mean.

    Args:
        model: a name of `models.NETWORKS`, a `.keras` file, or None: the newest
            `runs/<recipe>/model.keras`.
        weights: a file for `load`; a name needs one.

    Returns:
        The network, and a line that says where it came from.

    Raises:
        InputError: nothing fits; the message lists the choices.
    """
    model = model or newest_model()
    if str(model).endswith(".keras"):
        net, source = load_network(model), str(model)
    else:
        net, source = models.build(model), f"{model} with {weights}"
        if not weights:
            raise InputError(
                f"--model={model} has random weights without --weights=FILE: restoring with it "
                "would only spoil pictures."
            )
    if weights:
        load(net, weights)
    return net, source


def newest_model():
    """The newest `runs/<recipe>/model.keras`; an InputError that says how to make one if none."""
    found = sorted(pathlib.Path(RUNS).glob("*/model.keras"), key=lambda p: p.stat().st_mtime)
    if not found:
        raise InputError(
            f"no trained model under {RUNS}/: train one with `python train.py`, or name one with "
            "--model=FILE.keras, or with --model=NAME --weights=FILE "
            f"(names: {', '.join(models.NETWORKS)})."
        )
    return found[-1]


def _existing(path):
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give --weights or --model the path of one.")
    return path


def _copy_weights(source, target, path):
    ours, theirs = target.weights, source.weights
    if [(w.name, w.shape) for w in ours] != [(w.name, w.shape) for w in theirs]:
        raise InputError(
            f"--weights={path} holds {source.name!r} {source.hyperparameters}, "
            f"not {target.name!r} {target.hyperparameters}: name weights of the same architecture."
        )
    target.set_weights(source.get_weights())


def _load_h5(net, path):
    try:
        # Keras matches layers by their order and passes over what a smaller file lacks.
        stored = _count_arrays(path)
        if stored != len(net.weights):
            raise ValueError(f"it holds {stored} arrays, the network {len(net.weights)}")
        net.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        raise InputError(
            f"--weights={path} does not fit {net.name!r} {net.hyperparameters}: {error}"
        ) from error


def _count_arrays(path):
    arrays = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: arrays.append(item) if hasattr(item, "shape") else None)
        return len(arrays)


def _read_torch(path):
    try:
        import torch
    except ImportError as error:
        raise InputError(
            f'{path} is a PyTorch checkpoint: pip install -e ".[convert]" to read it, '
            "or convert it to .keras where PyTorch is installed."
        ) from error
    try:
        # Never arbitrary unpickling: a checkpoint from the net may run code.
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{path} is not a readable PyTorch checkpoint: {error}") from error
    for key in ("model", "G"):  # MIMO-UNet's and DeepDeblur's training code nest the weights
        checkpoint = checkpoint.get(key, checkpoint)
    return {name: tensor.numpy() for name, tensor in checkpoint.items()}


def _from_torch_layout(value):
    # OIHW -> HWIO, and for transposed convolutions IOHW -> HWOI: the same permutation.
    value = value.astype("float32")
    return value.transpose(2, 3, 1, 0) if value.ndim == 4 else value


def _check_keys(net, expected, values):
    missing = sorted(expected.keys() - values.keys())
    unexpected = sorted(values.keys() - expected.keys())
    misshaped = [
        f"{key} {values[key].shape}, expected {tuple(variable.shape)}"
        for key, variable in expected.items()
        if key in values and values[key].shape != tuple(variable.shape)
    ]
    problems = {"missing": missing, "unexpected": unexpected, "misshaped": misshaped}
    if any(problems.values()):
        details = "; ".join(
            f"{len(keys)} {problem}: {', '.join(keys[:5])}{', ...' if len(keys) > 5 else ''}"
            for problem, keys in problems.items()
            if keys
        )
        raise InputError(
            f"these weights are not of {net.name!r} {net.hyperparameters} "
            f"(shapes as Keras orders them): {details}."
        )


def _deepdeblur_layers(net):
    """The authors' name of each convolution -> our layer."""
    layers = {}
    for k in range(net.hyperparameters["scales"]):
        scale, body = net.get_layer(f"scale{k + 1}"), f"body_models.{k}.body"
        blocks = sum(isinstance(layer, keras.layers.Add) for layer in scale.layers)
        layers[f"{body}.0"] = scale.get_layer("conv_in")
        for i in range(1, blocks + 1):
            layers[f"{body}.{i}.body.0"] = scale.get_layer(f"res{i}_conv1")
            layers[f"{body}.{i}.body.2"] = scale.get_layer(f"res{i}_conv2")
        layers[f"{body}.{blocks + 1}"] = scale.get_layer("conv_out")
        if k:
            layers[f"conv_end_models.{k}.uppath.0"] = net.get_layer(f"up{k + 1}")
    return layers


def _discriminator_layers(net):
    convolutions = [x for x in net.layers if isinstance(x, keras.layers.Conv2D)]
    layers = {f"conv_layers.{i}": layer for i, layer in enumerate(convolutions[:-1])}
    return {**layers, "dense": convolutions[-1]}


def _mimo_unet_layers(net):
    names = {
        "feat_extract.0": "encoder1_in",
        "feat_extract.1": "encoder2_in",
        "feat_extract.2": "encoder3_in",
        "feat_extract.3": "decoder3_up",
        "feat_extract.4": "decoder2_up",
        "feat_extract.5": "image1",
        "Convs.0": "decoder2_in",
        "Convs.1": "decoder1_in",
        "ConvsOut.0": "image3",
        "ConvsOut.1": "image2",
        "FAM1.merge": "fam3_conv",
        "FAM2.merge": "fam2_conv",
    }
    for i in range(2):
        names[f"AFFs.{i}.conv.0"] = f"aff{i + 1}_conv1"
        names[f"AFFs.{i}.conv.1"] = f"aff{i + 1}_conv2"
    for theirs, ours in (("SCM1", "scm3"), ("SCM2", "scm2")):
        names[f"{theirs}.conv"] = f"{ours}_out"
        for i in range(4):
            names[f"{theirs}.main.{i}"] = f"{ours}_conv{i + 1}"
    for level in range(3):
        for i in range(net.hyperparameters["resblocks"]):
            for j in range(2):
                names[f"Encoder.{level}.layers.{i}.main.{j}"] = (
                    f"encoder{level + 1}_res{i + 1}_conv{j + 1}"
                )
                names[f"Decoder.{level}.layers.{i}.main.{j}"] = (
                    f"decoder{3 - level}_res{i + 1}_conv{j + 1}"
                )
    return {f"{theirs}.main.0": net.get_layer(ours) for theirs, ours in names.items()}


def _dmphn_layers(net):
    layers = {}
    for model in net.layers:
        if isinstance(model, keras.Model):  # named as the authors' files: encoder_lv1, ...
            for theirs, ours in _DMPHN_NAMES[model.name.split("_")[0]].items():
                layers[f"{model.name}.{theirs}"] = model.get_layer(ours)
    return layers


def _dmphn_res_blocks(first_layers):
    """Two consecutive ResBlocks at each of three sizes, by the number of the first one's layer."""
    return {
        f"layer{first + i}.{2 * j}": f"res{size}_{i + 1}_conv{j + 1}"
        for size, first in first_layers.items()
        for i in range(2)
        for j in range(2)
    }


_DMPHN_NAMES = {
    "encoder": {
        "layer1": "conv1",
        "layer5": "conv2",
        "layer9": "conv3",
        **_dmphn_res_blocks({1: 2, 2: 6, 3: 10}),
    },
    "decoder": {
        "layer16": "up3",
        "layer20": "up2",
        "layer24": "image",
        **_dmphn_res_blocks({3: 13, 2: 17, 1: 21}),
    },
}


def _deepdeblur_to_unit_range(net, values):
    return {k: v / 255 if k.endswith(".bias") else v for k, v in values.items()}


def _discriminator_to_unit_range(net, values):
    # Only the released one was ever trained on [0, 255]; table 1's layout has no weights to import.
    first = "conv_layers.0.weight"
    return {**values, first: values[first] * 255}


_TORCH_LAYERS = {
    models.DeepDeblur: _deepdeblur_layers,
    models.Discriminator: _discriminator_layers,
    models.MIMOUNet: _mimo_unet_layers,
    models.DMPHN: _dmphn_layers,
}
_SCALE_TO_UNIT_RANGE = {
    models.DeepDeblur: _deepdeblur_to_unit_range,
    models.Discriminator: _discriminator_to_unit_range,
}
