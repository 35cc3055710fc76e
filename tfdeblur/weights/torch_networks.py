"""Our networks under the names of their authors' PyTorch code.

Nothing is ever left at its initial value in silence: a missing, unexpected or misshaped weight is
an error that names it.
"""

import re

import keras
import numpy as np

from tfdeblur import models
from tfdeblur.errors import InputError
from tfdeblur.layers import TrackedNormalization


def recognise(state_dict):
    """The architecture that weights belong to, told by their names and shapes.

    Args:
        state_dict: `{name: ndarray}`, as for `from_torch`.

    Returns:
        A name for `models.build`, and the hyperparameters.

    Raises:
        InputError: they are of no network whose authors' names are known.
    """
    state_dict = _without_prefix(state_dict)
    for describe in (
        _describe_deepdeblur,
        _describe_mimo_unet,
        _describe_dmphn,
        _describe_deblurgan,
        _describe_deblurgan_v2,
    ):
        if described := describe(state_dict):
            return described
    raise InputError(
        "these weights are of none of DeepDeblur, MIMO-UNet, DMPHN, DeblurGAN and DeblurGAN-v2, "
        f"in their authors' PyTorch code: they begin with {', '.join(list(state_dict)[:3])}."
    )


def from_torch(net, state_dict):
    """Assigns the authors' PyTorch weights to a network of the same architecture.

    DeepDeblur's and the released discriminator's weights are scaled from the authors' [0, 255]
    to our [0, 1]: the networks are positively homogeneous in (input, biases), so biases are
    divided by 255; the discriminator has no biases, so its first kernel is multiplied by 255.

    What the authors' files hold besides, and their networks never use, may be there or not: see
    `_UNUSED`. A tensor that they hold under two names must be the same under both.

    Args:
        net: a network of `tfdeblur.models`.
        state_dict: `{name: ndarray}`, the authors' names, with or without "module." before all of
            them; DMPHN's, which lie in a file for each module, are joined under the stems of the
            files: `encoder_lv1.layer1.weight`.

    Raises:
        InputError: a key is missing, unexpected or of another shape; nothing is assigned then.
    """
    if type(net) not in _TORCH_LAYERS:
        raise InputError(f"no PyTorch weights are known for the network {net.name!r}.")
    expected, depthwise = {}, set()
    for name, layer in _TORCH_LAYERS[type(net)](net).items():
        expected |= {f"{name}.{key}": variable for key, variable in _variables(layer).items()}
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            depthwise.add(f"{name}.weight")
    state_dict = _used(net, expected, _without_prefix(state_dict))
    values = {key: _keras_layout(np.asarray(value)) for key, value in state_dict.items()}
    for key in depthwise & values.keys():
        values[key] = np.swapaxes(values[key], -1, -2)
    check_keys(net, expected, values)
    values = {key: value.astype("float32") for key, value in values.items()}
    scaled = _SCALE_TO_UNIT_RANGE.get(type(net), lambda net, values: values)(net, values)
    for key, variable in expected.items():
        variable.assign(scaled[key])


def _describe_deepdeblur(state_dict):
    filters = _channels(state_dict, "body_models.0.body.1.body.0.weight")
    if filters:
        link = state_dict.get("conv_end_models.1.uppath.0.weight")
        transposed = np.shape(link)[:1] == (3,)  # sub-pixel convolutions make 12 channels
        return "deepdeblur", {
            "scales": _count(state_dict, r"body_models\.(\d+)\."),
            "filters": filters,
            "resblocks": _count(state_dict, r"body_models\.0\.body\.(\d+)\.body\."),
            "upsampling": "transposed" if transposed else "sub_pixel",
        }


def _describe_mimo_unet(state_dict):
    filters = _channels(state_dict, "Encoder.0.layers.0.main.0.main.0.weight")
    if filters:
        resblocks = _count(state_dict, r"Encoder\.0\.layers\.(\d+)\.")
        name = "mimo_unet_plus" if resblocks == 20 else "mimo_unet"
        return name, {"filters": filters, "resblocks": resblocks}


def _describe_dmphn(state_dict):
    stacks = _count(state_dict, r"encoder_s(\d+)_lv")
    first = "encoder_s1_lv1" if stacks else "encoder_lv1"
    filters = _channels(state_dict, f"{first}.layer2.0.weight")
    if filters:
        levels = _count(state_dict, r"encoder(?:_s\d+)?_lv(\d+)\.")
        patches = tuple(2**level for level in range(levels))
        return "dmphn", {"patches": patches, "stacks": stacks or 1, "filters": filters}


def _describe_deblurgan(state_dict):
    filters = _channels(state_dict, "model.1.weight")
    blocks = _count(state_dict, r"model\.(\d+)\.conv_block\.")
    if filters and blocks:
        return "deblurgan", {"filters": filters, "blocks": blocks}


def _describe_deblurgan_v2(state_dict):
    shape = np.shape(state_dict.get("head1.block0.weight"))
    for backbone, stem in (("mobilenet", "features.0.0"), ("inception", "inception.conv2d_1a")):
        if len(shape) == 4 and any(name.startswith(f"fpn.{stem}.") for name in state_dict):
            filters, fpn_filters = shape[:2]
            return "deblurgan_v2", {
                "backbone": backbone,
                "filters": filters,
                "fpn_filters": fpn_filters,
            }


def _channels(state_dict, kernel):
    """The output channels of a convolution, None where it is missing."""
    shape = np.shape(state_dict.get(kernel))
    return shape[0] if len(shape) == 4 else None


def _count(state_dict, pattern):
    """How many numbers stand in the first group of a pattern, among all names."""
    return len({found[1] for name in state_dict if (found := re.match(pattern, name))})


def _without_prefix(state_dict):
    """Without the "module." that PyTorch's DataParallel puts before all names."""
    if not all(name.startswith("module.") for name in state_dict):
        return state_dict
    return {name.removeprefix("module."): value for name, value in state_dict.items()}


def _variables(layer):
    """What PyTorch calls the variables of a layer -> them."""
    if isinstance(layer, TrackedNormalization):
        variables = {"running_mean": layer.moving_mean, "running_var": layer.moving_variance}
        return variables | ({"weight": layer.gamma, "bias": layer.beta} if layer.affine else {})
    return {"weight": layer.kernel} | ({"bias": layer.bias} if layer.use_bias else {})


def _used(net, expected, state_dict):
    """The state dict without names that only repeat others, and without what is never used."""
    unused = re.compile(_UNUSED.get(type(net), "(?!)"))
    used = {}
    for name, value in state_dict.items():
        original = _original(net, name)
        if original != name and original in expected:
            if original in state_dict and not np.array_equal(value, state_dict[original]):
                raise InputError(
                    f"these weights are damaged: {name} is not {original}, which it repeats."
                )
        elif not unused.fullmatch(original):
            used[name] = value
    return used


def _original(net, name):
    """The name that another name of the same tensor repeats; most repeat none."""
    repetitions = _REPEATED.get(type(net), {}).get(net.hyperparameters.get("backbone"), {})
    for repeated, original in repetitions.items():
        if name.startswith(repeated):
            return original + name.removeprefix(repeated)
    return name


def _keras_layout(value):
    # OIHW -> HWIO, and for transposed convolutions IOHW -> HWOI: the same permutation.
    return value.transpose(2, 3, 1, 0) if value.ndim == 4 else value


def check_keys(net, expected, values):
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


def _deblurgan_layers(net):
    blocks = net.hyperparameters["blocks"]
    names = {1: "in", 4: "down1", 7: "down2"}
    names |= {10 + blocks: "up1", 13 + blocks: "up2", 17 + blocks: "out"}
    for i in range(blocks):
        names |= {f"{10 + i}.conv_block.{1 + 5 * j}": f"res{i + 1}_conv{j + 1}" for j in range(2)}
    return {f"model.{theirs}": net.get_layer(ours) for theirs, ours in names.items()}


def _deblurgan_v2_layers(net):
    backbone = {"mobilenet": "fpn", "inception": "fpn.inception"}[net.hyperparameters["backbone"]]
    layers = {}
    for layer in net.layers:
        if layer.weights:
            pyramid = layer.name.startswith(("lateral", "td"))
            own = layer.name.startswith(("head", "smooth", "final"))
            layers[f"{'fpn.' if pyramid else '' if own else backbone + '.'}{layer.name}"] = layer
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
    models.DeblurGAN: _deblurgan_layers,
    models.DeblurGANv2: _deblurgan_v2_layers,
}
_STATISTICS = r"(running_mean|running_var|num_batches_tracked)"
# Names in the authors' files that their networks never use.
_UNUSED = {
    # Always normalized by the picture's own statistics.
    models.DeblurGAN: rf"model\.(\d+|\d+\.conv_block\.[27])\.{_STATISTICS}",
    # How many batches were seen, and the ends of the backbones, up to their classifiers.
    models.DeblurGANv2: r".+\.num_batches_tracked"
    rf"|fpn\.features\.1[678]\.(conv\.)?\d\.(weight|bias|{_STATISTICS})"
    r"|fpn\.inception\.(repeat_2\.\d|block8|conv2d_7b|last_linear)\..+",
}
# By backbone: beginnings of names in the authors' files that repeat tensors -> the original's.
_REPEATED = {
    models.DeblurGANv2: {
        "mobilenet": {
            f"fpn.enc{size}.{i}.": f"fpn.features.{first + i}."
            for size, (first, end) in enumerate(((0, 2), (2, 4), (4, 7), (7, 11), (11, 16)))
            for i in range(end - first)
        },
        "inception": {
            f"fpn.enc{part}.": f"fpn.inception.{stage}."
            for part, stage in (
                ("0", "conv2d_1a"),
                ("1.0", "conv2d_2a"),
                ("1.1", "conv2d_2b"),
                ("2.0", "conv2d_3b"),
                ("2.1", "conv2d_4a"),
                ("3.0", "mixed_5b"),
                ("3.1", "repeat"),
                ("3.2", "mixed_6a"),
                ("4.0", "repeat_1"),
                ("4.1", "mixed_7a"),
            )
        },
    },
}
_SCALE_TO_UNIT_RANGE = {
    models.DeepDeblur: _deepdeblur_to_unit_range,
    models.Discriminator: _discriminator_to_unit_range,
}
