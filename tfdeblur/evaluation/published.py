"""Published scores, to stand beside measured ones.

A score says something only together with its dataset, the variant of the blur, and the protocol; so
each is compared with measured ones of the same three, or not at all.
"""

import dataclasses

from tfdeblur import models
from tfdeblur.recipes import RECIPES


@dataclasses.dataclass(frozen=True)
class Published:
    """What a paper reports of a network.

    Attributes:
        network: as papers call it.
        dataset: of TFDS, with the variant of the blur, or without where none is stated.
        protocol: a key of `protocols.PROTOCOLS`; None where none is stated.
        psnr: dB.
        ssim: None where none is reported; likewise the rest.
        seconds: for an image of 1280x720.
        parameters: in millions.
        source: where it stands.
    """

    network: str
    dataset: str
    protocol: str | None
    psnr: float
    ssim: float | None
    seconds: float | None = None
    parameters: float | None = None
    source: str = ""


_MIMO = "Cho et al. 2021, table 1 (seconds: measured there, or else reported)"
_TWO_WAY = "Cheng et al. 2021, the multi-scale two-way network"

# As quoted by others, who state no protocol. Of the networks that tfdeblur has, see `RECIPES`.
QUOTED = (
    Published("DeepDeblur", "gopro", None, 29.23, 0.916, 4.33, 11.7, _MIMO),
    Published("SRN", "gopro", None, 30.26, 0.934, 0.342, 6.8, _MIMO),
    Published("PSS-NSC", "gopro", None, 30.92, 0.942, 0.985, 2.84, _MIMO),
    Published("DMPHN, stack of 4", "gopro", None, 31.20, 0.945, 1.061, 21.7, _MIMO),
    Published("SAPHN with offsets", "gopro", None, 31.85, 0.948, 0.34, None, _MIMO),
    Published("SAPHN without offsets", "gopro", None, 32.02, 0.953, 0.77, None, _MIMO),
    Published("MT-RNN", "gopro", None, 31.15, 0.945, 0.063, 2.6, _MIMO),
    Published("RADN", "gopro", None, 31.76, 0.953, 0.038, None, _MIMO),
    Published("SVDN", "gopro", None, 29.81, 0.937, 0.01, None, _MIMO),
    Published("MPRNet", "gopro", None, 32.66, 0.959, 0.162, 20.1, _MIMO),
    Published("DeblurGAN-v2", "realblur/j", None, 29.69, 0.870, source="Cho et al. 2021, table 2"),
    Published("SRN", "realblur/j", None, 31.38, 0.909, source="Cho et al. 2021, table 2"),
    Published("MPRNet", "realblur/j", None, 31.76, 0.922, source="Cho et al. 2021, table 2"),
    Published("DeepDeblur", "gopro", None, 29.08, 0.914, source=_TWO_WAY),
    Published("SRN", "gopro", None, 30.10, 0.924, source=_TWO_WAY),
    Published("DeblurGAN", "gopro", None, 28.70, 0.958, source=_TWO_WAY),
    Published("DeblurGAN-v2", "gopro", None, 28.17, 0.925, source=_TWO_WAY),
    Published("Xu et al.", "kohler", None, 29.96, 0.876, source=_TWO_WAY),
    Published("Pan et al.", "kohler", None, 30.20, 0.888, source=_TWO_WAY),
    Published("DeepDeblur", "kohler", None, 26.48, 0.807, source=_TWO_WAY),
    Published("SRN", "kohler", None, 26.75, 0.837, source=_TWO_WAY),
    Published("DeblurGAN", "kohler", None, 26.10, 0.816, source=_TWO_WAY),
    Published("DeblurGAN-v2", "kohler", None, 26.36, 0.820, source=_TWO_WAY),
    Published("two-way network", "kohler", None, 26.80, 0.840, source=_TWO_WAY),
    Published("NAFNet", "gopro", None, 33.69, None, source="Chen et al. 2022"),
    Published("AdaRevD", "gopro", None, 34.60, None, source="Mao et al. 2024"),
)


def of_network(network, self_ensemble):
    """What is published of a network: list of `Published`, from its recipes.

    Args:
        network: of `tfdeblur.models`.
        self_ensemble: whether its results are means over four rotations.
    """
    recipes = [
        recipe
        for recipe in RECIPES.values()
        if recipe.published
        and (recipe.network, recipe.self_ensemble) == (network.name, self_ensemble)
        and models.build(recipe.network, **recipe.hyperparameters).hyperparameters
        == network.hyperparameters
    ]
    return [
        Published(
            network=recipe.name,
            dataset=_variant(one.dataset, recipe.dataset),
            protocol=one.protocol,
            psnr=one.psnr,
            ssim=one.ssim,
            source=one.source,
        )
        for recipe in recipes
        for one in recipe.published
    ]


def find(published, dataset, protocol):
    """The one of a list that was measured on this dataset by this protocol; None if there is none.

    Where several trainings of one network were published, the best.
    """
    same = [one for one in published if (one.dataset, one.protocol) == (dataset, protocol)]
    return max(same, key=lambda one: one.psnr, default=None)


def on_dataset(dataset):
    """`QUOTED` scores on a dataset, whatever the variant of its blur; none where it is None."""
    return [one for one in QUOTED if f"{dataset}/".startswith(f"{one.dataset}/")]


def _variant(tested, trained):
    """ "gopro" and "gopro/blur+realblur/j" -> "gopro/blur": the blur of the training."""
    return next((name for name in trained.split("+") if name.startswith(f"{tested}/")), tested)
