"""How each published result was trained, as typed values.

`steps` and the points of the schedules follow the papers; a run of other length (`--steps`)
shrinks or stretches its schedule with it.
"""

import dataclasses
from collections.abc import Mapping

import keras

from tfdeblur.errors import InputError


@dataclasses.dataclass(frozen=True)
class StepDecay:
    """The rate is multiplied by `factor` at each of these fractions of the run."""

    rate: float
    factor: float
    at: tuple[float, ...]

    def build(self, steps):
        boundaries = [max(1, round(fraction * steps)) for fraction in self.at]
        rates = [self.rate * self.factor**i for i in range(len(boundaries) + 1)]
        return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)


@dataclasses.dataclass(frozen=True)
class CosineDecay:
    """The rate rises linearly over the first `warmup` of the run, then falls to 0 as a cosine."""

    rate: float
    warmup: float

    def build(self, steps):
        warmup = max(1, round(self.warmup * steps))
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0,
            decay_steps=max(1, steps - warmup),
            warmup_target=self.rate,
            warmup_steps=warmup,
        )


@dataclasses.dataclass(frozen=True)
class Published:
    """What the paper reports: dB, SSIM, and the protocol of `evaluation` that measured them."""

    psnr: float
    ssim: float
    protocol: str
    source: str


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        paper: its source, and what it leaves unsaid.
        network, hyperparameters: arguments of `models.build`.
        dataset, train_split, test_split: of TFDS; the name says which blur.
        crop: height and width of training crops in pixels.
        batch_size: crops per step.
        steps: optimizer steps in all.
        schedule: of Adam's learning rate.
        epsilon: of Adam (Keras's default is 1e-7).
        augmentations: keys of `augment.AUGMENTATIONS`, in order.
        loss: a key of `losses.LOSSES`.
        label_pyramid: a key of `pyramid.PYRAMIDS`.
        initialization: a key of `initialization.INITIALIZATIONS`.
        validate_every: steps between validations, which are also checkpoints.
        published: what it should reach on the test split; None where nothing is published.
    """

    name: str
    paper: str
    network: str
    hyperparameters: Mapping
    dataset: str
    crop: int
    batch_size: int
    steps: int
    schedule: StepDecay | CosineDecay
    augmentations: tuple[str, ...]
    loss: str
    label_pyramid: str
    validate_every: int
    published: Published | None
    epsilon: float = 1e-8
    initialization: str = "pytorch"
    train_split: str = "train"
    test_split: str = "test"


QUICKSTART = Recipe(
    name="quickstart",
    paper="none: a small MIMO-UNet for ten minutes on two cores, to see that everything works",
    network="mimo_unet",
    hyperparameters={"filters": 16, "resblocks": 1},
    dataset="dead_leaves/small",
    crop=64,
    batch_size=8,
    steps=2000,
    schedule=CosineDecay(rate=2e-3, warmup=0.05),
    augmentations=("flip_horizontally", "flip_vertically", "rotate_by_90", "permute_channels"),
    loss="mimo_unet",
    label_pyramid="bilinear",
    validate_every=250,
    published=None,
    initialization="near_identity",
)


def _deepdeblur(scales, psnr, ssim):
    return Recipe(
        name=f"deepdeblur_k{scales}",
        paper="Nah, Kim and Lee, CVPR 2017, section 3 (content loss alone)",
        network="deepdeblur",
        hyperparameters={"scales": scales},
        dataset="gopro/blur_gamma",
        crop=256,
        batch_size=2,
        steps=900_000,
        schedule=StepDecay(rate=5e-5, factor=0.1, at=(1 / 3,)),
        augmentations=(
            "flip_horizontally",
            "flip_vertically",
            "rotate_by_90",
            "permute_channels",
            "scale_saturation",
            "add_noise",
        ),
        loss="mse",
        label_pyramid="gaussian",
        validate_every=5000,
        published=Published(psnr, ssim, "nah2017", "Nah et al. 2017, table 2"),
    )


def _mimo_unet(network, psnr, ssim):
    # 3000 epochs of 2103 pairs in batches of 4; the rate is halved every 500 epochs.
    return Recipe(
        name=network,
        paper="Cho et al., ICCV 2021, section 4",
        network=network,
        hyperparameters={},
        dataset="gopro/blur",
        crop=256,
        batch_size=4,
        steps=3000 * 526,
        schedule=StepDecay(rate=1e-4, factor=0.5, at=(1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6)),
        augmentations=("flip_horizontally",),
        loss="mimo_unet",
        label_pyramid="bilinear",
        validate_every=5260,
        published=Published(psnr, ssim, "mimo_unet", "Cho et al. 2021, table 1"),
    )


RECIPES = {
    recipe.name: recipe
    for recipe in (
        QUICKSTART,
        _deepdeblur(1, 28.93, 0.9100),
        _deepdeblur(2, 29.23, 0.9162),
        _deepdeblur(3, 29.08, 0.9135),
        _mimo_unet("mimo_unet", 31.73, 0.951),
        _mimo_unet("mimo_unet_plus", 32.45, 0.957),
    )
}


def choose(name):
    """The recipe that the flag --recipe names.

    Raises:
        InputError: there is none of this name.
    """
    if name not in RECIPES:
        raise InputError(f"--recipe={name} is unknown: choose one of {', '.join(RECIPES)}.")
    return RECIPES[name]
