"""The networks, by name."""

import functools
import inspect

from tfdeblur.errors import InputError, did_you_mean
from tfdeblur.models.deblurgan import DeblurGAN
from tfdeblur.models.deblurgan_v2 import DeblurGANv2
from tfdeblur.models.deepdeblur import DeepDeblur
from tfdeblur.models.discriminator import Discriminator
from tfdeblur.models.dmphn import DMPHN
from tfdeblur.models.maxim import MAXIM
from tfdeblur.models.mimo_unet import MIMOUNet
from tfdeblur.models.mprnet import MPRNet
from tfdeblur.models.mt_rnn import MTRNN
from tfdeblur.models.mtwnet import MTWNet
from tfdeblur.models.nafnet import NAFNet
from tfdeblur.models.network import Network
from tfdeblur.models.patch_discriminator import PatchDiscriminator
from tfdeblur.models.pss_nsc import PSSNSC
from tfdeblur.models.restormer import Restormer
from tfdeblur.models.srn import SRN

NETWORKS = {
    "deepdeblur": DeepDeblur,
    "mimo_unet": MIMOUNet,
    "mimo_unet_plus": functools.partial(MIMOUNet, resblocks=20, dropout=0.1, name="mimo_unet_plus"),
    "mtwnet": MTWNet,
    "dmphn": DMPHN,
    "deblurgan": DeblurGAN,
    "deblurgan_v2": DeblurGANv2,
    "nafnet": NAFNet,
    "restormer": Restormer,
    "mprnet": MPRNet,
    "mt_rnn": MTRNN,
    "maxim": MAXIM,
    "discriminator": Discriminator,
    "patch_discriminator": PatchDiscriminator,
    "srn": SRN,
    "pss_nsc": PSSNSC,
}


def build(name, /, **given):
    """A network with fresh weights, in the global dtype policy.

    Args:
        name: a key of `NETWORKS`.
        **given: hyperparameters, the arguments of that network's constructor.

    Returns:
        A `keras.Model` from `[B, H, W, 3]` in [0, 1] to `[level 1, level 2, ...]`, finest first
        (the discriminators: to logits `[B, 1]`, or a list of logits `[B, h, w, 1]`).

    Raises:
        InputError: unknown name or hyperparameter.
    """
    check_name(name)
    known = hyperparameters(name)
    if unknown := [argument for argument in given if argument not in known]:
        raise InputError(
            f"`hyperparameters={unknown[0]}`: {name} has {', '.join(known)}."
            + did_you_mean(unknown[0], known)
        )
    try:
        return NETWORKS[name](**given)
    except TypeError as error:
        raise InputError(f"model {name!r}: {error}") from error


def check_name(name):
    """Raises an InputError where no network has this name."""
    if name not in NETWORKS:
        raise InputError(
            f"unknown model {name!r}: choose one of {', '.join(NETWORKS)}."
            + did_you_mean(name, NETWORKS)
        )


def hyperparameters(name, **given):
    """All hyperparameters of the network that `build(name, **given)` makes, without making it.

    Those that the constructor chooses where they are None have the values that it chooses.
    """
    network = NETWORKS[name]
    fixed = getattr(network, "keywords", {})  # of a functools.partial
    network = getattr(network, "func", network)
    parameters = inspect.signature(network.__init__).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.name not in ("self", "name")}
    every = {**defaults, **fixed, **given}
    return network.explicit({key: _listed(every[key]) for key in defaults})


def _listed(value):
    """Tuples as the lists that they become in a file."""
    return [_listed(x) for x in value] if isinstance(value, list | tuple) else value


__all__ = [
    "DMPHN",
    "MAXIM",
    "MTRNN",
    "NETWORKS",
    "PSSNSC",
    "SRN",
    "DeblurGAN",
    "DeblurGANv2",
    "DeepDeblur",
    "Discriminator",
    "MIMOUNet",
    "MPRNet",
    "MTWNet",
    "NAFNet",
    "Network",
    "PatchDiscriminator",
    "Restormer",
    "build",
    "hyperparameters",
]


def __dir__():
    return __all__
