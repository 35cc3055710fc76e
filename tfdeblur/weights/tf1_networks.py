"""Our networks under the names of their authors' TensorFlow 1 code.

Nothing is ever left at its initial value in silence: a missing, unexpected or misshaped variable
is an error that names it. Only what training leaves beside the weights is passed over.
"""

import numpy as np

from tfdeblur import models
from tfdeblur.errors import InputError
from tfdeblur.weights.torch_networks import check_keys

# Scalars of a training; the authors' step counter has TensorFlow's name for what has none.
_COUNTERS = ("beta1_power", "beta2_power", "global_step", "Variable")
_SLOTS = ("/Adam", "/Adam_1")  # the two moments that Adam keeps of each weight


def is_training_state(name, shapes):
    """Whether a variable is Adam's, or a counter of steps, and not the network's.

    Args:
        name: of the variable.
        shapes: `{name: shape}` of all variables.
    """
    if name in _COUNTERS:
        return shapes[name] == ()
    return any(
        name.endswith(slot) and shapes.get(name.removesuffix(slot)) == shapes[name]
        for slot in _SLOTS
    )


def recognise(variables):
    """The architecture that variables belong to, told by their names and shapes.

    Args:
        variables: `{name: ndarray}`, as for `from_tf1`.

    Returns:
        A name for `models.build`, and the hyperparameters.

    Raises:
        InputError: they are of no network whose authors' names are known.
    """
    for describe in (_describe_srn, _describe_pss_nsc):
        if described := describe(variables):
            return described
    raise InputError(
        "these weights are of neither SRN nor PSS-NSC, in their authors' TensorFlow code: they "
        f"begin with {', '.join(list(variables)[:3])}."
    )


def from_tf1(net, variables):
    """Assigns the authors' TensorFlow 1 weights to a network of the same architecture.

    Args:
        net: a network of `tfdeblur.models`.
        variables: `{name: ndarray}`, the authors' names: `g_net/enc1_1/weights`, ... Those of Adam
            and the counters of training's steps are passed over.

    Raises:
        InputError: a variable is missing, unexpected or of another shape; nothing is assigned then.
    """
    if type(net) not in _TF1_LAYERS:
        raise InputError(f"no TensorFlow 1 weights are known for the network {net.name!r}.")
    expected = {}
    for name, layer in _TF1_LAYERS[type(net)](net).items():
        expected[f"g_net/{name}/weights"] = layer.kernel
        expected[f"g_net/{name}/biases"] = layer.bias
    values = {name: np.asarray(value) for name, value in variables.items()}
    shapes = {name: value.shape for name, value in values.items()}
    # TensorFlow 1 lays kernels out as Keras does, those of transposed convolutions too.
    values = {name: x for name, x in values.items() if not is_training_state(name, shapes)}
    check_keys(net, expected, values)
    for name, variable in expected.items():
        variable.assign(values[name].astype("float32"))
    net.origin = {}


def _describe_srn(variables):
    shape = np.shape(variables.get("g_net/enc1_1/weights"))
    if len(shape) != 4 or "g_net/enc1_2/conv1/weights" not in variables:
        return None
    color = shape[2] == 6  # the blurry image and the coarser result
    lstm = any(name.startswith("g_net/convLSTM/") for name in variables)
    variant = "color" if color else "lstm" if lstm else "gray"
    return "srn", {"variant": variant, "filters": shape[3]}


def _describe_pss_nsc(variables):
    shape = np.shape(variables.get("g_net/enc1_1_0/weights"))
    return ("pss_nsc", {"filters": shape[3]}) if len(shape) == 4 else None


def _srn_layers(net):
    """The authors' name of each convolution -> our layer."""
    encoder, decoder, layers = net.get_layer("encoder"), net.get_layer("decoder"), {}
    for level in (1, 2, 3):
        layers[f"enc{level}_1"] = encoder.get_layer(f"conv{level}")
        if level > 1:
            layers[f"dec{level - 1}_4"] = decoder.get_layer(f"up{level}")
        for i in (1, 2, 3):
            for j in (1, 2):
                layers[f"enc{level}_{i + 1}/conv{j}"] = encoder.get_layer(f"res{level}_{i}_conv{j}")
                layers[f"dec{level}_{4 - i}/conv{j}"] = decoder.get_layer(f"res{level}_{i}_conv{j}")
    layers["dec1_0"] = decoder.get_layer("image")
    if net.hyperparameters["variant"] == "lstm":
        layers["convLSTM/LSTM_conv"] = net.get_layer("lstm").get_layer("gates")
    return layers


def _pss_nsc_layers(net):
    layers = {}
    for ours, theirs in (
        ("encoder1", "enc1_2"),
        ("encoder2", "enc2_2"),
        ("encoder3", "enc3_2"),
        ("decoder3", "dec3_2"),
        ("decoder2", "dec2_2"),
        ("decoder1", "dec1_2"),
    ):
        block = net.get_layer(f"{ours}_block")
        for i in (1, 2, 3, 4):
            layers[f"{theirs}/d{i}/conv1"] = block.get_layer(f"unit{i}_in")
            layers[f"{theirs}/d{i}/conv2"] = block.get_layer(f"unit{i}_out")
    for ours, theirs in (
        ("encoder1", "enc1_1"),
        ("encoder2", "enc2_1"),
        ("encoder3", "enc3_1"),
        ("decoder2", "dec2_3"),
        ("decoder1", "dec1_3"),
        ("image", "dec1_0"),
    ):
        for k in (1, 2, 3):  # the authors count scales from the coarsest, from 0
            layers[f"{theirs}_{3 - k}"] = net.get_layer(f"{ours}_scale{k}")
    return layers


_TF1_LAYERS = {models.SRN: _srn_layers, models.PSSNSC: _pss_nsc_layers}
