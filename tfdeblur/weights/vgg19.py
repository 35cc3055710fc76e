"""The weights of VGG-19, trained on ImageNet, that perceptual losses compare pictures by."""

import numpy as np

from tfdeblur.errors import InputError
from tfdeblur.weights import catalogue, torch_files

# Torchvision's, which the authors of DeblurGAN take: features of other weights have another scale.
ADDRESS = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
SHA256_BEGINS = "dcbb9e9d"


def load_vgg19(model):
    """Assigns them to a model of `models.vgg19.vgg19_conv3_3`; 548 MB, fetched on first use.

    Raises:
        InputError: the file cannot be had, or is another.
    """
    path = catalogue.fetch_url(ADDRESS)
    digest = catalogue.sha256(path)
    if not digest.startswith(SHA256_BEGINS):
        raise InputError(
            f"{path} is not what {ADDRESS} offers (its sha256 begins with {digest[:8]}): remove "
            "it, it is fetched again then."
        )
    from_torchvision(model, torch_files.read_state_dict(path))


def from_torchvision(model, state_dict):
    """Assigns `{name: ndarray}`, torchvision's names; those of later layers are left out.

    Raises:
        InputError: a weight is missing or of another shape; nothing is assigned then.
    """
    values = []
    for variable in model.weights:
        layer, kind = variable.path.split("/")[-2:]
        key = f"{layer}.{'weight' if kind == 'kernel' else 'bias'}"
        value = state_dict.get(key, np.empty(0))
        value = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value
        if value.shape != tuple(variable.shape) or not np.isfinite(value).all():
            raise InputError(f"VGG-19's weights have no {key} of finite {tuple(variable.shape)}.")
        values.append(value)
    model.set_weights(values)
