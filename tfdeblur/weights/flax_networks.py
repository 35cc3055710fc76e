"""Our networks under the names of their authors' Flax code.

Nothing is ever left at its initial value in silence: a missing, unexpected, misshaped or impossible
weight is an error that names it.
"""

import hashlib
import re
import sys

import keras
import numpy as np

from tfdeblur import errors, models
from tfdeblur.errors import InputError
from tfdeblur.models.maxim import LEVELS
from tfdeblur.weights.torch_networks import refuse

WEIGHTS = "opt/target/"  # what comes before a weight's name in the authors' checkpoints
# The heads of MAXIM-3S at half and quarter size. The authors' graph of the restored image alone is
# without them, and copies of the weights that were made of it have zeros there.
_LOST = tuple(f"{WEIGHTS}stage_2_output_conv_{k}/" for k in (1, 2))


def recognise(arrays):
    """The architecture that weights belong to, told by their names and shapes.

    Args:
        arrays: `{name: array}`, as for `from_flax`; of the arrays, only the shapes are looked at.

    Returns:
        A name for `models.build`, and the hyperparameters.

    Raises:
        InputError: they are not of MAXIM.
    """
    kernel = arrays.get(f"{WEIGHTS}stage_0_input_conv_0/kernel")
    hyperparameters = {
        "filters": kernel.shape[-1] if kernel is not None and len(kernel.shape) == 4 else 0,
        "stages": _count(arrays, r"stage_(\d+)_input_conv_0/"),
        "groups": _count(arrays, r"stage_0_encoder_block_0/SplitHeadMultiAxisGmlpLayer_(\d+)/"),
        "bottleneck_blocks": _count(arrays, r"stage_0_global_block_(\d+)/"),
    }
    if not all(hyperparameters.values()):
        raise InputError(
            "these weights are not of MAXIM, in its authors' Flax code: they begin with "
            f"{', '.join(list(arrays)[:3]) or 'nothing'}."
        )
    # Checked before a network of this size is built: MAXIM has 6,000 f^2 weights a stage at f = 32.
    needed = 1000 * hyperparameters["filters"] ** 2 * hyperparameters["stages"]
    held = sum(int(np.prod(array.shape, dtype=object)) for array in arrays.values())
    if held < needed:
        raise InputError(
            f"these weights name MAXIM {hyperparameters}, but are only {held} numbers: get them "
            "from their authors again."
        )
    return "maxim", hyperparameters


def from_flax(net, arrays):
    """Assigns the authors' Flax weights to a network of the same architecture.

    Args:
        net: a network of `tfdeblur.models`.
        arrays: `{name: array}` of floating-point numbers, by the names in the authors'
            `checkpoint.npz`: `opt/target/stage_0_input_conv_0/kernel`. The optimizer's own,
            `opt/state/...`, are left aside.

    Raises:
        InputError: a key is missing or unexpected, or its array is of another shape, no array of
            floating-point numbers, or not finite; nothing is assigned then.
    """
    if type(net) not in _FLAX_LAYERS:
        raise InputError(f"no Flax weights are known for the network {net.name!r}.")
    arrays = {key: value for key, value in arrays.items() if not key.startswith("opt/state/")}
    expected = {}
    for name, layer in _FLAX_LAYERS[type(net)](net).items():
        for theirs, variable in _variables(layer).items():
            expected[f"{WEIGHTS}{name}/{theirs}"] = variable
    misshaped, untyped = [], []
    for key in sorted(expected.keys() & arrays.keys()):
        shape, dtype = _flax_shape(key, expected[key]), arrays[key].dtype
        if tuple(arrays[key].shape) != shape:
            misshaped.append(f"{key} {tuple(arrays[key].shape)}, expected {shape}")
        if not np.issubdtype(dtype, np.floating):
            untyped.append(f"{key} ({dtype})")
    refuse(
        net,
        {
            "missing": sorted(expected.keys() - arrays.keys()),
            "unexpected": sorted(arrays.keys() - expected.keys()),
            "misshaped": misshaped,
            "without floating-point numbers": untyped,
        },
    )
    with np.errstate(over="ignore"):  # float64 beyond float32 is not finite either
        values = {key: np.asarray(arrays[key]).astype("float32") for key in expected}
    refuse(net, {"not finite": sorted(k for k, v in values.items() if not np.isfinite(v).all())})
    for key, variable in expected.items():
        variable.assign(_keras_layout(key, values[key], variable))
    net.origin = {}
    _warn_of_missing_heads(values)


def digest(arrays):
    """The SHA-256 of a checkpoint's arrays: names, shapes, and float32 values, in order of names.

    Without those in `_LOST`, which not all copies have. Files that hold the same arrays differ in
    dates, order and compression; this does not.
    """
    sha256 = hashlib.sha256()
    for name in sorted(arrays):
        if name.startswith(WEIGHTS) and not name.startswith(_LOST):
            value = np.asarray(arrays[name]).astype("<f4")
            sha256.update(f"{name} {value.shape}\n".encode() + value.tobytes())
    return sha256.hexdigest()


def _warn_of_missing_heads(values):
    heads = [value for name, value in values.items() if name.startswith(_LOST)]
    if heads and not any(map(np.any, heads)):
        errors.say(
            "warning: in this copy of the weights the last stage's heads at half and quarter size "
            "are zero. The restored image does not depend on them, but training on from here with "
            "all scales would.",
            file=sys.stderr,
        )


def _count(arrays, pattern):
    """How many numbers stand in the first group of a pattern, among all names."""
    pattern = re.compile(re.escape(WEIGHTS) + pattern)
    return len({found[1] for name in arrays if (found := pattern.match(name))})


def _variables(layer):
    """The authors' name of each of a layer's weights -> our variable."""
    if hasattr(layer, "scale"):
        return {"scale": layer.scale, "bias": layer.bias}
    return {"kernel": layer.kernel, "bias": layer.bias}


# Their dense layers over channels are convolutions of ours.
_DENSE = re.compile(r".*/(Dense_\d+|(in|out)_project(_[xy])?)/kernel")


def _flax_shape(key, variable):
    shape = tuple(variable.shape)
    if _is_transposed(key):
        return (*shape[:2], shape[3], shape[2])
    return shape[2:] if len(shape) == 4 and _DENSE.fullmatch(key) else shape


def _keras_layout(key, value, variable):
    if _is_transposed(key):
        # Flax's transposed convolutions run backwards over their kernels, which are HWIO; Keras's
        # do not, and theirs are HWOI.
        return value[::-1, ::-1].transpose(0, 1, 3, 2)
    return value.reshape(variable.shape)


def _is_transposed(key):
    return key.endswith("ConvTranspose_0/kernel")


def _maxim_layers(net):
    """The authors' name of each layer with weights -> our layer."""
    groups = net.hyperparameters["groups"]
    stages = net.hyperparameters["stages"]
    names = {}
    for s in range(stages):
        theirs, ours = f"stage_{s}", f"stage{s + 1}"
        for k in range(LEVELS):
            names[f"{theirs}_input_conv_{k}"] = f"{ours}_in{k + 1}"
            encoder, our_encoder = f"{theirs}_encoder_block_{k}", f"{ours}_encoder{k + 1}"
            names |= _level(encoder, our_encoder, groups)
            names[f"{encoder}/Conv_1"] = f"{our_encoder}_down"
            if s:
                names |= _cross_gating(f"{theirs}_input_fuse_sam_{k}", f"{ours}_fuse{k + 1}")
                names |= _cross_gating(f"{encoder}/cross_gating_block", f"{our_encoder}_previous")
            skip, our_skip = f"{theirs}_cross_gating_block_{k}", f"{ours}_skip{k + 1}"
            names[f"{skip}/ConvTranspose_0"] = f"{our_skip}_up"
            names |= _cross_gating(skip, our_skip)
            decoder, our_decoder = f"{theirs}_decoder_block_{k}", f"{ours}_decoder{k + 1}"
            names[f"{decoder}/ConvTranspose_0"] = f"{our_decoder}_up"
            names |= _level(f"{decoder}/UNetEncoderBlock_0", our_decoder, groups)
            if s < stages - 1:
                sam, our_sam = f"{theirs}_supervised_attention_module_{k}", f"{ours}_sam{k + 1}"
                names[f"{sam}/Conv_0"] = f"{our_sam}_conv"
                names[f"{sam}/Conv_1"] = f"{our_sam}_image"
                names[f"{sam}/Conv_2"] = f"{our_sam}_mask"
            else:
                names[f"{theirs}_output_conv_{k}"] = f"{ours}_image{k + 1}"
        for i in range(net.hyperparameters["bottleneck_blocks"]):
            block, our_block = f"{theirs}_global_block_{i}", f"{ours}_bottleneck{i + 1}"
            names[f"{block}/input_proj"] = f"{our_block}_in"
            for j in range(groups):
                gmlp = f"{block}/SplitHeadMultiAxisGmlpLayer_{j}"
                names |= _gmlp(gmlp, f"{our_block}_gmlp{j + 1}")
                attention = f"{block}/channel_attention_block_1_{j}"
                rdcab = f"{our_block}_rdcab{j + 1}"
                names |= _attention_block(attention, rdcab)
                for n in range(2):
                    names[f"{attention}/channel_mixing/Dense_{n}"] = f"{rdcab}_dense{n + 1}"
        # Numbered as they are called.
        calls = [f"skip{k}_from{j}" for k in (3, 2, 1) for j in (1, 2, 3)]
        calls += [f"decoder{k}_from{j}" for k in (3, 2, 1) for j in (3, 2, 1)]
        for i, call in enumerate(calls):
            names[f"UpSampleRatio_{s * len(calls) + i}/Conv_0"] = f"{ours}_{call}"
    layers = _flattened(net)
    return {theirs: layers[ours] for theirs, ours in names.items()}


def _flattened(model):
    """A model's layers and those of the models in it, by name."""
    layers = {}
    for layer in model.layers:
        layers |= _flattened(layer) if isinstance(layer, keras.Model) else {layer.name: layer}
    return layers


def _level(theirs, ours, groups):
    names = {f"{theirs}/Conv_0": f"{ours}_in"}
    for i in range(groups):
        names |= _gmlp(f"{theirs}/SplitHeadMultiAxisGmlpLayer_{i}", f"{ours}_gmlp{i + 1}")
        attention, our_attention = f"{theirs}/channel_attention_block_1{i}", f"{ours}_rcab{i + 1}"
        names |= _attention_block(attention, our_attention)
        for j in (1, 2):
            names[f"{attention}/conv{j}"] = f"{our_attention}_conv{j}"
    return names


def _gmlp(theirs, ours):
    names = {
        f"{theirs}/LayerNorm_in": f"{ours}_norm",
        f"{theirs}/in_project": f"{ours}_in",
        f"{theirs}/out_project": f"{ours}_out",
    }
    for axis in ("Grid", "Block"):
        half, our_half = f"{theirs}/{axis}GmlpLayer", f"{ours}_{axis.lower()}"
        names[f"{half}/LayerNorm"] = f"{our_half}_norm"
        names[f"{half}/in_project"] = f"{our_half}_in"
        names[f"{half}/{axis}GatingUnit/intermediate_layernorm"] = f"{our_half}_gate_norm"
        names[f"{half}/{axis}GatingUnit/Dense_0"] = f"{our_half}_gate"
        names[f"{half}/out_project"] = f"{our_half}_out"
    return names


def _attention_block(theirs, ours):
    return {
        f"{theirs}/LayerNorm": f"{ours}_norm",
        f"{theirs}/channel_attention/Conv_0": f"{ours}_attention_conv1",
        f"{theirs}/channel_attention/Conv_1": f"{ours}_attention_conv2",
    }


def _cross_gating(theirs, ours):
    names = {f"{theirs}/Conv_0": f"{ours}_x", f"{theirs}/Conv_1": f"{ours}_y"}
    for way in "xy":
        gate, our_gate = f"{theirs}/SplitHeadMultiAxisGating_{way}", f"{ours}_{way}_gate"
        names |= {
            f"{theirs}/LayerNorm_{way}": f"{ours}_{way}_norm",
            f"{theirs}/in_project_{way}": f"{ours}_{way}_in",
            f"{theirs}/out_project_{way}": f"{ours}_{way}_out",
            f"{gate}/LayerNorm_in": f"{our_gate}_norm",
            f"{gate}/in_project": f"{our_gate}_in",
            f"{gate}/Dense_0": f"{our_gate}_grid",
            f"{gate}/Dense_1": f"{our_gate}_block",
            f"{gate}/out_project": f"{our_gate}_out",
        }
    return names


_FLAX_LAYERS = {models.MAXIM: _maxim_layers}
