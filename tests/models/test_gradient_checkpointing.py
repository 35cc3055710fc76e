import gradients
import keras
import numpy as np
import pytest
from small_networks import shared

from tfdeblur import models, precision
from tfdeblur.errors import InputError
from tfdeblur.models.gradient_checkpointing import checkpointed

SMALL = {
    "deepdeblur": {"filters": 4, "resblocks": 2},
    "mimo_unet": {"filters": 8, "resblocks": 2},
    "mtwnet": {"filters": 4},
    "dmphn": {"filters": 4, "patches": (1, 2), "stacks": 2},
    "mt_rnn": {"filters": 4},
    "srn": {"filters": 4},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "compute", "tolerance"),
    [
        ("deepdeblur", "float32", 1e-5),
        ("deepdeblur", "bfloat16", 0.03),
        ("mimo_unet", "float32", 1e-5),
        *(
            pytest.param(name, "float32", 1e-5, marks=pytest.mark.long)
            for name in ("mtwnet", "dmphn", "mt_rnn", "srn")
        ),
    ],
)
def test_outputs_and_gradients_are_the_network_s(name, compute, tolerance):
    with precision.policy(compute):
        net = models.build(name, **SMALL[name])
    view = checkpointed(net)
    x = np.random.default_rng(0).random((1, 32, 32, 3), "float32")
    for output, expected in zip(keras.tree.flatten(view(x)), net(x), strict=True):
        np.testing.assert_array_equal(output, expected)
    steps = [gradients.function_of(model, net.trainable_variables, x) for model in (view, net)]
    all_ours, all_theirs = (step() for step in steps)
    for ours, theirs in zip(all_ours, all_theirs, strict=True):
        # Gradients of weights that are used several times are summed in another order.
        np.testing.assert_allclose(ours, theirs, atol=tolerance * np.abs(theirs).max())
    # Feature maps inside of blocks are computed twice.
    blocks = sum(name.endswith("_conv2") for name in _layer_names(net))
    assert _convolutions(steps[0]) >= _convolutions(steps[1]) + blocks > blocks


@pytest.mark.parametrize("name", ["mprnet", "maxim", "deblurgan", "nafnet", "pss_nsc"])
def test_networks_of_other_blocks_are_refused(name):
    with pytest.raises(InputError, match=f"`gradient_checkpointing`: {name} has no block"):
        checkpointed(shared(name))


def _convolutions(function):
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    return sum(node.op == "Conv2D" for node in nodes)


def _layer_names(model):
    for layer in model.layers:
        yield layer.name
        if isinstance(layer, keras.Model):
            yield from _layer_names(layer)
