import golden
import numpy as np
import pytest

from tfdeblur import models, weights
from tfdeblur.errors import InputError
from tfdeblur.weights import torch_networks

DMPHN = "encoder_lv{0}.layer2.0.weight", "decoder_lv{0}.layer13.0.weight"
STACK = "encoder_s{1}_lv{0}.layer2.0.weight", "decoder_s{1}_lv{0}.layer13.0.weight"


@pytest.fixture
def net():
    return models.build("mimo_unet", resblocks=1)


@pytest.fixture
def state():
    return golden.state_dict(golden.arrays("mimo_unet"))


def all_weights(net):
    return [np.array(w) for w in net.get_weights()]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: s.pop("Convs.0.main.0.bias"), "1 missing: Convs.0.main.0.bias"),
        (lambda s: s.update(extra=np.zeros(3)), "1 unexpected: extra"),
        (
            lambda s: s.update({"Convs.0.main.0.bias": np.zeros(7)}),
            r"1 misshaped: Convs.0.main.0.bias \(7,\), expected \(64,\)",
        ),
    ],
)
def test_wrong_state_dicts_are_refused_and_change_nothing(net, state, damage, message):
    before = all_weights(net)
    damage(state)
    with pytest.raises(InputError, match=message):
        weights.from_torch(net, state)
    for now, then in zip(all_weights(net), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_weights_of_another_network_are_refused(net):
    state = golden.state_dict(golden.arrays("deepdeblur_k3"))
    with pytest.raises(InputError, match=r"missing: .*unexpected: body_models"):
        weights.from_torch(net, state)


@pytest.mark.parametrize(
    ("reference", "name", "hyperparameters"),
    [
        *(
            (
                f"deepdeblur_k{scales}",
                "deepdeblur",
                {"scales": scales, "filters": 8, "resblocks": 2, "upsampling": "sub_pixel"},
            )
            for scales in (1, 2, 3)
        ),
        ("mimo_unet", "mimo_unet", {"filters": 32, "resblocks": 1}),
        ("deblurgan", "deblurgan", {"filters": 8, "blocks": 2}),
    ],
)
def test_architectures_are_recognised(reference, name, hyperparameters):
    state = golden.state_dict(golden.arrays(reference))
    assert torch_networks.recognise(state) == (name, hyperparameters)
    weights.from_torch(models.build(name, **hyperparameters), state)


def shaped(*names, shape):
    return dict.fromkeys(names, np.empty(shape))


@pytest.mark.parametrize(
    ("state", "name", "hyperparameters"),
    [
        (
            shaped("conv_end_models.1.uppath.0.weight", shape=(3, 3, 5, 5))
            | shaped(
                *(f"body_models.{k}.body.{i}.body.0.weight" for k in range(2) for i in range(1, 5)),
                shape=(6, 6, 5, 5),
            ),
            "deepdeblur",
            {"scales": 2, "filters": 6, "resblocks": 4, "upsampling": "transposed"},
        ),
        (
            shaped(
                *(f"Encoder.0.layers.{i}.main.0.main.0.weight" for i in range(20)),
                shape=(8, 8, 3, 3),
            ),
            "mimo_unet_plus",
            {"filters": 8, "resblocks": 20},
        ),
        (
            shaped(
                *(name.format(level) for name in DMPHN for level in (1, 2, 3, 4)), shape=[2] * 4
            ),
            "dmphn",
            {"patches": (1, 2, 4, 8), "stacks": 1, "filters": 2},
        ),
        (
            shaped(
                *(name.format(level, s) for name in STACK for level in (1, 2, 3) for s in (1, 2)),
                shape=[2] * 4,
            ),
            "dmphn",
            {"patches": (1, 2, 4), "stacks": 2, "filters": 2},
        ),
    ],
)
def test_hyperparameters_are_told_by_names_and_shapes(state, name, hyperparameters):
    assert torch_networks.recognise(state) == (name, hyperparameters)


@pytest.mark.parametrize(
    "state", [{}, {"features.0.weight": np.ones(3)}, shaped(DMPHN[0].format(1), shape=3)]
)
def test_other_weights_are_not_recognised(state):
    with pytest.raises(InputError, match="none of DeepDeblur, MIMO-UNet, DMPHN"):
        torch_networks.recognise(state)
