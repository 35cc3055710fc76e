"""The networks, as small as they can be: hyperparameters by name."""

import functools

import keras
import pytest

from tfdeblur import models

SMALL = {
    "deepdeblur": {"filters": 4, "resblocks": 1},
    "mimo_unet": {"filters": 8, "resblocks": 1},
    "mimo_unet_plus": {"filters": 8, "resblocks": 1},
    "mtwnet": {"filters": 4},
    "nafnet": {"filters": 4, "encoder_blocks": (1,), "decoder_blocks": (1,)},
    "restormer": {
        "filters": 4,
        "blocks": (1, 1, 1, 1),
        "refinement_blocks": 1,
        "heads": (1, 2, 2, 2),
    },
    "mprnet": {"filters": 4, "unet_filters": 4, "orsnet_filters": 4, "blocks": 1},
    "mt_rnn": {"filters": 4, "iterations": 2},
    "dmphn": {"filters": 4, "patches": (1, 2)},
    "srn": {"filters": 4},
    "pss_nsc": {"filters": 2},
    "deblurgan": {"filters": 4, "blocks": 2},
    "deblurgan_v2": {"filters": 4, "fpn_filters": 8},
    "maxim": {"filters": 4, "stages": 1, "groups": 1, "bottleneck_blocks": 1},
}

# Tracing these takes long at any size.
_MARKS = {
    "maxim": pytest.mark.long,
    **dict.fromkeys(
        ("mprnet", "pss_nsc", "deblurgan_v2", "dmphn", "mtwnet", "srn", "mt_rnn", "restormer"),
        pytest.mark.slow,
    ),
}
# For `pytest.mark.parametrize`.
NAMES = [pytest.param(name, marks=_MARKS.get(name, ())) for name in SMALL]


def long_but_for(*names):
    """NAMES, for what takes long to trace and is shown by the quick ones and these."""
    marks = _MARKS | dict.fromkeys(_MARKS.keys() - names, pytest.mark.long)
    return [pytest.param(name, marks=marks.get(name, ())) for name in SMALL]


def all_but_few_long(values, few):
    """For `pytest.mark.parametrize`: where few of the values show what the others confirm."""
    return [pytest.param(x, marks=() if x in few else pytest.mark.long) for x in values]


@functools.cache
def shared(name):
    """One of them, for all tests that leave it as it is: building takes long."""
    keras.utils.set_random_seed(0)
    return models.build(name, **SMALL[name])
