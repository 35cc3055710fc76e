"""Our networks under the names of their authors' PyTorch code.

Nothing is ever left at its initial value in silence: a missing, unexpected or misshaped weight is
an error that names it.
"""

import re

import keras
import numpy as np
from keras.layers import Conv2D, Conv2DTranspose, DepthwiseConv2D

from tfdeblur import layers, models
from tfdeblur.errors import InputError, printable

LISTED = 5  # keys that an error names


def recognise(state_dict):
    """The architecture that weights belong to, told by their names and shapes.

    Args:
        state_dict: `{name: ndarray}`, as for `from_torch`.

    Returns:
        A name for `models.build`, and the hyperparameters.

    Raises:
        InputError: they are of no network whose authors' names are known.
    """
    state_dict = _without_module(state_dict)
    for describe in _DESCRIBE.values():
        if described := describe(state_dict):
            return described
    raise InputError(
        f"these weights are of none of {', '.join(_DESCRIBE)}, in their authors' PyTorch code: "
        f"they begin with {', '.join(list(state_dict)[:3])}."
    )


def from_torch(net, state_dict):
    """Assigns the authors' PyTorch weights to a network of the same architecture.

    DeepDeblur's, MT-RNN's and the released discriminator's weights are scaled from the authors'
    [0, 255] to our [0, 1]: the networks are positively homogeneous in (input, biases), so biases
    are divided by 255; the discriminator has none, so its first kernel is multiplied by 255.

    What the authors' files hold besides, and their networks never use, may be there or not: see
    `_UNUSED`. A tensor that they hold under two names must be the same under both.

    Args:
        net: a network of `tfdeblur.models`.
        state_dict: `{name: ndarray}`, the authors' names, with or without "module." before all of
            them; DMPHN's, which lie in a file for each module, are joined under the stems of the
            files: `encoder_lv1.layer1.weight`.

    Raises:
        InputError: a key is missing, unexpected or of another shape, or weights that are one in
            the network differ; nothing is assigned then.
    """
    if type(net) not in _TORCH_LAYERS:
        raise InputError(f"no PyTorch weights are known for the network {net.name!r}.")
    expected = {}
    for name, layer in _TORCH_LAYERS[type(net)](net).items():
        expected.update(_variables(name, layer))
    state_dict = _without_module(state_dict)
    values = {
        key: _keras_layout(np.asarray(value), expected.get(key))
        for key, value in _used(net, expected, state_dict).items()
    }
    check_keys(net, expected, values)
    values = {key: value.astype("float32") for key, value in values.items()}
    scaled = _SCALE_TO_UNIT_RANGE.get(type(net), lambda net, values: values)(net, values)
    _check_shared(expected, scaled)
    for key, variable in expected.items():
        if not isinstance(variable, np.ndarray):
            variable.assign(scaled[key])
    net.origin = {}


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


def _describe_nafnet(state_dict):
    filters = _channels(state_dict, "intro.weight")
    if filters and "encoders.0.0.sca.1.weight" in state_dict:
        levels = _count(state_dict, r"encoders\.(\d+)\.")
        return "nafnet", {
            "filters": filters,
            "encoder_blocks": _counts(state_dict, "encoders", levels),
            "middle_blocks": _count(state_dict, r"middle_blks\.(\d+)\."),
            "decoder_blocks": _counts(state_dict, "decoders", levels),
        }


def _describe_restormer(state_dict):
    filters = _channels(state_dict, "patch_embed.proj.weight")
    if filters and "encoder_level1.0.attn.temperature" in state_dict:
        modules = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")
        return "restormer", {
            "filters": filters,
            "blocks": tuple(_count(state_dict, rf"{module}\.(\d+)\.") for module in modules),
            "refinement_blocks": _count(state_dict, r"refinement\.(\d+)\."),
            "heads": tuple(
                np.size(state_dict.get(f"{module}.0.attn.temperature")) for module in modules
            ),
            "bias_free": "encoder_level1.0.norm1.body.bias" not in state_dict,
        }


def _describe_mprnet(state_dict):
    filters = _channels(state_dict, "shallow_feat1.0.weight")
    lower = _channels(state_dict, "stage1_encoder.down12.down.1.weight")
    third = _channels(state_dict, "concat23.weight")
    if filters and lower and third:
        return "mprnet", {
            "filters": filters,
            "unet_filters": lower - filters,
            "orsnet_filters": third - filters,
            "blocks": _count(state_dict, r"stage3_orsnet\.orb1\.body\.(\d+)\.body\."),
        }


def _describe_mt_rnn(state_dict):
    # Nothing in the weights tells the number of iterations.
    filters = _channels(state_dict, "conv1_1.0.weight")
    if filters and "conv2_c.0.weight" in state_dict:
        return "mt_rnn", {"filters": filters}


def _channels(state_dict, kernel):
    """The output channels of a convolution, None where it is missing."""
    shape = np.shape(state_dict.get(kernel))
    return shape[0] if len(shape) == 4 else None


def _count(state_dict, pattern):
    """How many numbers stand in the first group of a pattern, among all names."""
    return len({found[1] for name in state_dict if (found := re.match(pattern, name))})


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


def _counts(state_dict, module, levels):
    """How many blocks each level of a module has."""
    return tuple(_count(state_dict, rf"{module}\.{level}\.(\d+)\.") for level in range(levels))


def _without_module(state_dict):
    """The names without the "module." that PyTorch's data parallelism puts before them all."""
    if all(name.startswith("module.") for name in state_dict):
        return {name.removeprefix("module."): value for name, value in state_dict.items()}
    return state_dict


def _variables(name, layer):
    """The authors' name of each weight of a layer -> our variable.

    A name may also stand for a single variable, or for a constant of the network, an array.
    """
    match layer:
        case Conv2D() | Conv2DTranspose() | DepthwiseConv2D():
            variables = {"weight": layer.kernel, "bias": layer.bias}
        case layers.PixelNormalization():
            variables = {"weight": layer.scale, "bias": layer.bias}
        case layers.TrackedNormalization():
            variables = {"running_mean": layer.moving_mean, "running_var": layer.moving_variance}
            if layer.affine:
                variables |= {"weight": layer.gamma, "bias": layer.beta}
        case _:
            return {name: layer}
    return {f"{name}.{key}": value for key, value in variables.items() if value is not None}


def _keras_layout(value, variable):
    shape = value.shape if variable is None else tuple(variable.shape)
    if value.ndim == len(shape) == 4:
        # OIHW -> HWIO, and for transposed convolutions IOHW -> HWOI: the same permutation.
        value = value.transpose(2, 3, 1, 0)
        # A depthwise kernel is HWC1 here, and C1HW there.
        return value.transpose(0, 1, 3, 2) if shape[3] == 1 < value.shape[3] else value
    # Factors for each channel or head have more axes of length 1 there.
    longer = [[n for n in sizes if n > 1] for sizes in (value.shape, shape)]
    return value.reshape(shape) if longer[0] == longer[1] else value


def check_keys(net, expected, values):
    missing = sorted(expected.keys() - values.keys())
    unexpected = sorted(values.keys() - expected.keys())
    misshaped = [
        f"{key} {values[key].shape}, expected {tuple(variable.shape)} as Keras orders axes"
        for key, variable in expected.items()
        if key in values and values[key].shape != tuple(variable.shape)
    ]
    refuse(net, {"missing": missing, "unexpected": unexpected, "misshaped": misshaped})


def refuse(net, problems):
    """Raises an InputError if any list of the keys that are `{problem: keys}` has one."""
    if any(problems.values()):
        details = "; ".join(
            f"{len(keys)} {problem}: {printable(', '.join(keys[:LISTED]))}"
            f"{', ...' * (len(keys) > LISTED)}"
            for problem, keys in problems.items()
            if keys
        )
        raise InputError(f"these weights are not of {net.name!r} {net.hyperparameters}: {details}.")


def _check_shared(expected, values):
    """Names that stand for one variable, or for a constant, must agree about its value."""
    first = {}
    for key, variable in expected.items():
        constant = isinstance(variable, np.ndarray)
        name = key if constant else first.setdefault(id(variable), key)
        if not np.allclose(values[key], variable if constant else values[name], atol=1e-5):
            other = "what the network has" if constant else f"{name}, with which it is one weight"
            raise InputError(f"{key} differs from {other}: these weights are of another network.")


def _deepdeblur_layers(net):
    """The authors' name of each convolution -> our layer."""
    found = {}
    for k in range(net.hyperparameters["scales"]):
        scale, body = net.get_layer(f"scale{k + 1}"), f"body_models.{k}.body"
        blocks = sum(isinstance(layer, keras.layers.Add) for layer in scale.layers)
        found[f"{body}.0"] = scale.get_layer("conv_in")
        for i in range(1, blocks + 1):
            found[f"{body}.{i}.body.0"] = scale.get_layer(f"res{i}_conv1")
            found[f"{body}.{i}.body.2"] = scale.get_layer(f"res{i}_conv2")
        found[f"{body}.{blocks + 1}"] = scale.get_layer("conv_out")
        if k:
            found[f"conv_end_models.{k}.uppath.0"] = net.get_layer(f"up{k + 1}")
    return found


def _discriminator_layers(net):
    convolutions = [x for x in net.layers if isinstance(x, keras.layers.Conv2D)]
    found = {f"conv_layers.{i}": layer for i, layer in enumerate(convolutions[:-1])}
    return {**found, "dense": convolutions[-1]}


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
    found = {}
    for model in net.layers:
        if isinstance(model, keras.Model):  # named as the authors' files: encoder_lv1, ...
            for theirs, ours in _DMPHN_NAMES[model.name.split("_")[0]].items():
                found[f"{model.name}.{theirs}"] = model.get_layer(ours)
    return found


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


def _nafnet_layers(net):
    levels = len(net.hyperparameters["encoder_blocks"])
    names = {"intro": "intro", "ending": "ending"}
    blocks = {"middle_blks": ("middle", net.hyperparameters["middle_blocks"])}
    for i in range(levels):
        names[f"downs.{i}"] = f"encoder{i + 1}_down"
        names[f"ups.{i}.0"] = f"decoder{levels - i}_up"
        for coder, level in (("encoder", i + 1), ("decoder", levels - i)):
            count = net.hyperparameters[f"{coder}_blocks"][i]
            blocks[f"{coder}s.{i}"] = f"{coder}{level}", count
    found = {}
    for theirs, (ours, count) in blocks.items():
        for i in range(count):
            for part in ("norm1", "conv1", "conv2", "conv3", "norm2", "conv4", "conv5"):
                names[f"{theirs}.{i}.{part}"] = f"{ours}_block{i + 1}_{part}"
            names[f"{theirs}.{i}.sca.1"] = f"{ours}_block{i + 1}_sca_conv"
            for part in ("beta", "gamma"):
                layer = net.get_layer(f"{ours}_block{i + 1}_{part}")
                found[f"{theirs}.{i}.{part}"] = layer.scale
    return found | {theirs: net.get_layer(ours) for theirs, ours in names.items()}


def _restormer_layers(net):
    blocks = {
        "latent": ("latent", net.hyperparameters["blocks"][3]),
        "refinement": ("refinement", net.hyperparameters["refinement_blocks"]),
    }
    names = {"patch_embed.proj": "embedding", "output": "output"}
    for level in (1, 2, 3):
        names[f"down{level}_{level + 1}.body.0"] = f"encoder{level}_down"
        names[f"up{level + 1}_{level}.body.0"] = f"decoder{level}_up"
        if level > 1:
            names[f"reduce_chan_level{level}"] = f"decoder{level}_reduced"
        for coder in ("encoder", "decoder"):
            count = net.hyperparameters["blocks"][level - 1]
            blocks[f"{coder}_level{level}"] = f"{coder}{level}", count
    found = {}
    for theirs, (ours, count) in blocks.items():
        for i in range(count):
            for their_part, our_part in _RESTORMER_BLOCK.items():
                names[f"{theirs}.{i}.{their_part}"] = f"{ours}_block{i + 1}_{our_part}"
            attention = net.get_layer(f"{ours}_block{i + 1}_attention")
            found[f"{theirs}.{i}.attn.temperature"] = attention.temperature
    return found | {theirs: net.get_layer(ours) for theirs, ours in names.items()}


_RESTORMER_BLOCK = {
    "norm1.body": "norm1",
    "attn.qkv": "attention_qkv",
    "attn.qkv_dwconv": "attention_depthwise",
    "attn.project_out": "attention_out",
    "norm2.body": "norm2",
    "ffn.project_in": "feed_in",
    "ffn.dwconv": "feed_depthwise",
    "ffn.project_out": "feed_out",
}


def _mprnet_layers(net):
    names = {"concat12": "stage2_in", "concat23": "stage3_in", "tail": "stage3_out"}
    cabs = {}
    for stage in (1, 2, 3):
        names[f"shallow_feat{stage}.0"] = f"stage{stage}_shallow_conv"
        cabs[f"shallow_feat{stage}.1"] = f"stage{stage}_shallow_cab1"
    for stage in (1, 2):
        for i in (1, 2, 3):
            names[f"sam{stage}{stage + 1}.conv{i}"] = f"stage{stage}_sam_conv{i}"
            for coder in ("encoder", "decoder"):
                for j in range(2):
                    cabs[f"stage{stage}_{coder}.{coder}_level{i}.{j}"] = (
                        f"stage{stage}_{coder}{i}_cab{j + 1}"
                    )
        for i in (1, 2):
            encoder, decoder = f"stage{stage}_encoder", f"stage{stage}_decoder"
            names[f"{encoder}.down{i}{i + 1}.down.1"] = f"{encoder}{i}_down"
            names[f"{decoder}.up{i + 1}{i}.up.1"] = f"{decoder}{i + 1}_up"
            cabs[f"{decoder}.skip_attn{i}"] = f"{decoder}{i}_skip_cab1"
    for i in (1, 2, 3):
        for theirs, ours in (("enc", "encoded"), ("dec", "decoded")):
            names[f"stage2_encoder.csff_{theirs}{i}"] = f"stage2_encoder{i}_csff_{ours}"
            names[f"stage3_orsnet.conv_{theirs}{i}"] = f"stage3_{ours}{i}"
        blocks = net.hyperparameters["blocks"]
        names[f"stage3_orsnet.orb{i}.body.{blocks}"] = f"stage3_orb{i}_conv"
        for j in range(blocks):
            cabs[f"stage3_orsnet.orb{i}.body.{j}"] = f"stage3_orb{i}_cab{j + 1}"
    for theirs, ours in (("enc", "encoded"), ("dec", "decoded")):
        names[f"stage3_orsnet.up_{theirs}1.up.1"] = f"stage3_{ours}2_up1"
        names[f"stage3_orsnet.up_{theirs}2.0.up.1"] = f"stage3_{ours}3_up2"
        names[f"stage3_orsnet.up_{theirs}2.1.up.1"] = f"stage3_{ours}3_up1"
    slopes = {}
    for theirs, ours in cabs.items():
        names[f"{theirs}.body.0"] = f"{ours}_conv1"
        names[f"{theirs}.body.2"] = f"{ours}_conv2"
        names[f"{theirs}.CA.conv_du.0"] = f"{ours}_attention_conv1"
        names[f"{theirs}.CA.conv_du.2"] = f"{ours}_attention_conv2"
        slopes[f"{theirs}.body.1.weight"] = net.get_layer("prelu").alpha
    return slopes | {theirs: net.get_layer(ours) for theirs, ours in names.items()}


def _mt_rnn_layers(net):
    found = {}
    for model in (net.get_layer(name) for name in ("encoder1", "encoder2", "decoder")):
        for layer in model.layers:
            if isinstance(layer, Conv2D | Conv2DTranspose):
                block, _, number = layer.name.partition("_conv")
                theirs = f"{block}.stem.{2 * int(number) - 2}" if number else f"{block}.0"
                found[theirs] = layer
    # The mean colour, which the authors subtract and add by fixed 1x1 convolutions.
    for name, sign in (("sub_mean", -1), ("add_mean", 1)):
        found[f"{name}.weight"] = np.eye(3, dtype="float32")[None, None]
        found[f"{name}.bias"] = sign * np.float32(net.get_layer("centred").mean)
    return found


def _biases_to_unit_range(net, values):
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
    models.NAFNet: _nafnet_layers,
    models.Restormer: _restormer_layers,
    models.MPRNet: _mprnet_layers,
    models.MTRNN: _mt_rnn_layers,
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
    models.DeepDeblur: _biases_to_unit_range,
    models.Discriminator: _discriminator_to_unit_range,
    models.MTRNN: _biases_to_unit_range,
}
_DESCRIBE = {
    "DeepDeblur": _describe_deepdeblur,
    "MIMO-UNet": _describe_mimo_unet,
    "DMPHN": _describe_dmphn,
    "DeblurGAN": _describe_deblurgan,
    "DeblurGAN-v2": _describe_deblurgan_v2,
    "NAFNet": _describe_nafnet,
    "Restormer": _describe_restormer,
    "MPRNet": _describe_mprnet,
    "MT-RNN": _describe_mt_rnn,
}
