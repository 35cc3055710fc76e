"""The networks, by name."""

import functools

from tfdeblur.errors import InputError
from tfdeblur.models.deepdeblur import DeepDeblur
from tfdeblur.models.discriminator import Discriminator
from tfdeblur.models.dmphn import DMPHN
from tfdeblur.models.maxim import MAXIM
from tfdeblur.models.mimo_unet import MIMOUNet
from tfdeblur.models.mtwnet import MTWNet
from tfdeblur.models.network import Network

NETWORKS = {
    "deepdeblur": DeepDeblur,
    "mimo_unet": MIMOUNet,
    "mimo_unet_plus": functools.partial(MIMOUNet, resblocks=20, dropout=0.1, name="mimo_unet_plus"),
    "mtwnet": MTWNet,
    "dmphn": DMPHN,
    "maxim": MAXIM,
    "discriminator": Discriminator,
}


def build(name, **hyperparameters):
    """A network with fresh weights, in the global dtype policy.

    Args:
        name: a key of `NETWORKS`.
        **hyperparameters: arguments of that network's constructor.

    Returns:
        A `keras.Model` from `[B, H, W, 3]` in [0, 1] to `[level 1, level 2, ...]`, finest first
        (the discriminator: from `[B, 256, 256, 3]` to logits `[B, 1]`).

    Raises:
        InputError: unknown name or hyperparameter.
    """
    if name not in NETWORKS:
        raise InputError(f"unknown model {name!r}: choose one of {', '.join(NETWORKS)}.")
    try:
        return NETWORKS[name](**hyperparameters)
    except TypeError as error:
        raise InputError(f"model {name!r}: {error}") from error


__all__ = [
    "DMPHN",
    "MAXIM",
    "NETWORKS",
    "DeepDeblur",
    "Discriminator",
    "MIMOUNet",
    "MTWNet",
    "Network",
    "build",
]
