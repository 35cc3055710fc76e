"""How each published result was trained, as typed values; `docs/recipes.md` shows them all.

`steps` and the points of the schedules follow the papers; a run of other length (`--steps`)
shrinks or stretches its schedule with it.
"""

import dataclasses
import inspect
import math
from collections.abc import Mapping

import keras

from tfdeblur import losses, models
from tfdeblur.errors import InputError, did_you_mean
from tfdeblur.published import Published

__all__ = [
    "RECIPES",
    "Adversarial",
    "CosineDecay",
    "Perceptual",
    "PolynomialDecay",
    "Recipe",
    "Stage",
    "StepDecay",
    "choose",
    "describe",
]


def __dir__():
    return __all__


GOPRO_TRAINING_PAIRS = 2103


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

    def __str__(self):
        points = ", ".join(f"{100 * fraction:.3g}" for fraction in self.at)
        return f"{self.rate:g}, times {self.factor:g} at {points} % of the steps"


@dataclasses.dataclass(frozen=True)
class PolynomialDecay:
    """The rate falls as (1 - step / steps) to the `power`, or does so after `hold` of them.

    It falls to `end`; None is 0.
    """

    rate: float
    power: float
    hold: float | None = None
    end: float | None = None

    def build(self, steps):
        held = round((self.hold or 0) * steps)
        falling = keras.optimizers.schedules.PolynomialDecay(
            self.rate, max(1, steps - held), self.end or 0.0, self.power
        )
        return _Held(falling, held) if held else falling

    def __str__(self):
        if self.hold is None:
            return (
                f"{self.rate:g}, falling to {self.end or 0:g} as (1 - step / steps)^{self.power:g}"
            )
        return (
            f"{self.rate:g} in the first {100 * self.hold:.3g} %, then falling to "
            f"{self.end or 0:g} as the part of "
            f"the rest that is left, to the power {self.power:g}"
        )


class _Held(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that begins after so many steps, and before has its first rate."""

    def __init__(self, schedule, held):
        self.schedule = schedule
        self.held = held

    def __call__(self, step):
        return self.schedule(keras.ops.maximum(step - self.held, 0))

    def get_config(self):
        return {"schedule": self.schedule, "held": self.held}


@dataclasses.dataclass(frozen=True)
class CosineDecay:
    """The rate rises linearly over the first `warmup` of the run, then falls as a cosine.

    It rises from `start` to `rate`, and falls to `end`; None: 0. A `start` that is the `rate` holds
    it.
    """

    rate: float
    warmup: float
    start: float | None = None
    end: float | None = None

    def build(self, steps):
        alpha = (self.end or 0.0) / self.rate if self.rate else 0.0
        if not self.warmup:
            return keras.optimizers.schedules.CosineDecay(self.rate, steps, alpha)
        warmup = max(1, round(self.warmup * steps))
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=self.start or 0.0,
            decay_steps=max(1, steps - warmup),
            alpha=alpha,
            warmup_target=self.rate,
            warmup_steps=warmup,
        )

    def __str__(self):
        first = f"in the first {100 * self.warmup:.3g} %, then "
        if not self.warmup:
            first = f"{self.rate:g}, "
        elif self.start == self.rate:
            first = f"{self.rate:g} {first}"
        else:
            first = f"up to {self.rate:g} {first}"
        return f"{first}a cosine to {self.end or 0:g}"


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of a run with crops and batches of its own: progressive learning.

    Attributes:
        until: the fraction of the run's steps at which it ends.
        crop, batch_size: as those of `Recipe`.
    """

    until: float
    crop: int
    batch_size: int

    def __str__(self):
        return f"{self.batch_size} crops of {self.crop} up to {100 * self.until:.3g} %"


@dataclasses.dataclass(frozen=True)
class Adversarial:
    """The adversarial part of a training, see `trainers.AdversarialTrainer`.

    Attributes:
        weight: of the adversarial loss beside the content loss.
        loss: a key of `losses.ADVERSARIAL_LOSSES`.
        discriminator: hyperparameters of `judge`.
        judge: name of the discriminator for `models.build`; None: "discriminator".
        updates: of the discriminator in each step, before the generator's; None: one, at the same
            time. See `trainers.CriticFirstTrainer`, likewise of
        gradient_penalty: its weight; None: 0.
        discriminator_weight: of the discriminator's own loss; None: 1.
    """

    weight: float = 1e-4
    loss: str = "minimax"
    discriminator: Mapping = dataclasses.field(default_factory=dict)
    judge: str | None = None
    updates: int | None = None
    gradient_penalty: float | None = None
    discriminator_weight: float | None = None

    def __str__(self):
        judge = self.judge or "discriminator"
        text = f"{self.weight:g} x {self.loss} loss; {judge} {_plain(self.discriminator)}"
        if self.updates:
            text += f"; updates of it in each step, first: {self.updates}"
        if self.gradient_penalty:
            text += f"; gradient penalty {self.gradient_penalty:g}"
        if self.discriminator_weight:
            text += f"; its own loss times {self.discriminator_weight:g}"
        return text


@dataclasses.dataclass(frozen=True)
class Perceptual:
    """The mean squared error between features of VGG-19 (conv3_3, before its ReLU).

    Attributes:
        weight: of it, beside the other losses.
        mean, deviation: by which images in [0, 1] are normalized first, for red, green and blue.
    """

    weight: float
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def __str__(self):
        return (
            f"{self.weight:g} x MSE of VGG-19's conv3_3, of images minus {_plain(self.mean)} over "
            f"{_plain(self.deviation)}"
        )


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One training run. An attribute that is None changes nothing.

    Attributes:
        paper: its source.
        network, hyperparameters: arguments of `models.build`.
        dataset, train_split, test_split: of TFDS; the name says which blur, "a+b" is the union.
        crop: height and width of training crops in pixels.
        sampling: "sequences" draws each sequence of a dataset equally often, however many pairs it
            has; None: each pair once in an epoch.
        crops_per_image: crops that are taken of an image each time it is decoded.
        batch_size: crops per step.
        progressive: what comes before `crop`, the largest, and `batch_size` along the run.
        steps: optimizer steps in all.
        schedule: of Adam's learning rate.
        epsilon: of Adam (Keras's default is 1e-7).
        betas: of Adam; None: 0.9 and 0.999.
        weight_decay: by which, times the rate, each step shrinks all weights (AdamW); None: not.
        clip_norm: to which global norm gradients are clipped; None for no clipping.
        accumulate: batches whose mean gradient makes one update of the weights; `steps` and
            `schedule` count batches.
        ema_momentum: of the moving averages of the weights, which are then what is measured and
            saved for use; None for none.
        gradient_checkpointing: whether feature maps inside ResBlocks are computed again for the
            gradients instead of kept; see `models.gradient_checkpointing`.
        augmentations: keys of `augment.AUGMENTATIONS`, in order, after a random crop.
        loss: a key of `losses.LOSSES`.
        loss_weight: the `weight` of those that have one; None: the paper's.
        label_pyramid: a key of `pyramid.PYRAMIDS`.
        adversarial, perceptual: what is added to the loss; None for nothing.
        initialization: a key of `initialization.INITIALIZATIONS`.
        validate_every: steps between validations, which are also checkpoints.
        self_ensemble: whether restoring takes the mean over four rotations.
        published: what it should reach; empty where nothing is published.
        not_stated: attributes that neither paper nor released code tells, so that they are our
            choice.
        remarks: where paper and released code differ, and the like.
    """

    name: str
    paper: str
    network: str
    hyperparameters: Mapping
    dataset: str
    crop: int
    batch_size: int
    steps: int
    schedule: StepDecay | PolynomialDecay | CosineDecay
    augmentations: tuple[str, ...]
    loss: str
    label_pyramid: str
    validate_every: int
    published: tuple[Published, ...] = ()
    adversarial: Adversarial | None = None
    perceptual: Perceptual | None = None
    progressive: tuple[Stage, ...] | None = None
    crops_per_image: int = 1
    epsilon: float = 1e-8
    betas: tuple[float, float] | None = None
    weight_decay: float | None = None
    clip_norm: float | None = None
    accumulate: int = 1
    ema_momentum: float | None = None
    gradient_checkpointing: bool = False
    initialization: str = "as_built"
    self_ensemble: bool = False
    train_split: str = "train"
    test_split: str = "test"
    not_stated: tuple[str, ...] = ()
    remarks: str = ""
    loss_weight: float | None = None
    sampling: str | None = None

    @property
    def test_dataset(self):
        """Of the datasets that it trains on the one that published scores are of, if they are."""
        for one in self.published:
            if variant(one.dataset, self.dataset) in self.dataset.split("+"):
                return variant(one.dataset, self.dataset)
        return self.dataset

    def stages(self):
        """(number of steps, crop, batch size) of each part of the run, in order."""
        earlier = [
            (round(s.until * self.steps), s.crop, s.batch_size) for s in self.progressive or ()
        ]
        ends = [*earlier, (self.steps, self.crop, self.batch_size)]
        starts = [0, *(end for end, *_ in earlier)]
        return [(end - start, *rest) for start, (end, *rest) in zip(starts, ends, strict=True)]


def _gopro_steps(epochs, batch_size, keep_remainder=True):
    """Steps of so many epochs of GOPRO; an epoch's last, smaller batch is one or is dropped."""
    return epochs * ((GOPRO_TRAINING_PAIRS + (batch_size - 1) * keep_remainder) // batch_size)


_FLIPS_AND_ROTATIONS = ("flip_horizontally", "flip_vertically", "rotate_by_90")
_TURNS_AND_COLOURS = (*_FLIPS_AND_ROTATIONS, "permute_channels")

QUICKSTART = Recipe(
    name="quickstart",
    paper="none: a small MIMO-UNet for some minutes on two cores, to see that everything works",
    network="mimo_unet",
    hyperparameters={"filters": 16, "resblocks": 1},
    dataset="dead_leaves/small",
    crop=64,
    batch_size=8,
    steps=2000,
    schedule=CosineDecay(rate=2e-3, warmup=0.05),
    augmentations=_TURNS_AND_COLOURS,
    loss="mimo_unet",
    label_pyramid="bilinear",
    validate_every=250,
    initialization="near_identity",
)

PHOTOGRAPHS = Recipe(
    name="photographs",
    paper="none: a half-deep MIMO-UNet from photographs of your own, for hours on two cores",
    network="mimo_unet",
    hyperparameters={"filters": 32, "resblocks": 4},
    dataset="moving_stills/large+dead_leaves/small",
    crop=96,
    batch_size=8,
    steps=4500,
    schedule=CosineDecay(rate=1e-3, warmup=0.05),
    augmentations=_TURNS_AND_COLOURS,
    loss="mimo_unet",
    label_pyramid="bilinear",
    validate_every=500,
    initialization="near_identity",
    ema_momentum=0.999,
)

PHOTOGRAPHS_SMALL = Recipe(
    name="photographs_small",
    paper="none: the small NAFNet that ships with this package, see docs/photographs.md",
    network="nafnet",
    hyperparameters={
        "filters": 24,
        "encoder_blocks": (1, 1, 1, 4),
        "middle_blocks": 1,
        "decoder_blocks": (1, 1, 1, 1),
        "window": 192,
    },
    dataset="moving_stills/photographs_short+moving_stills/photographs",
    progressive=(
        Stage(until=0.34, crop=96, batch_size=4),
        Stage(until=0.91, crop=128, batch_size=4),
    ),
    crop=192,
    batch_size=4,
    steps=44_000,
    schedule=CosineDecay(rate=2e-3, warmup=0.05, end=1e-6),
    augmentations=_TURNS_AND_COLOURS,
    loss="mimo_unet",
    label_pyramid="repeated",
    validate_every=500,
    initialization="identity",
    ema_momentum=0.999,
)

_NAH_AUGMENTATIONS = (
    "flip_horizontally",
    "flip_vertically",
    "rotate_by_90",
    "permute_channels",
    "scale_saturation",
    "add_noise",
)
# By K: PSNR, SSIM and seconds (on a Titan X) on GOPRO; then PSNR and SSIM on the images of Koehler
# et al., trained with linear blur.
_NAH_RESULTS = {
    1: ((28.93, 0.9100, 7.21), (25.74, 0.8042)),
    2: ((29.23, 0.9162, 4.33), (26.02, 0.8116)),
    3: ((29.08, 0.9135, 3.09), (26.48, 0.8079)),
}


def _deepdeblur(scales, adversarial, linear):
    return Recipe(
        name=f"deepdeblur_k{scales}{'_adv' * adversarial}{'_linear' * linear}",
        paper="Nah, Kim and Lee, CVPR 2017, section 3",
        network="deepdeblur",
        hyperparameters={"scales": scales},
        dataset="gopro/blur" if linear else "gopro/blur_gamma",
        crop=256,
        batch_size=2,
        steps=900_000,
        schedule=StepDecay(rate=5e-5, factor=0.1, at=(1 / 3,)),
        augmentations=_NAH_AUGMENTATIONS,
        loss="mse",
        label_pyramid="gaussian",
        adversarial=Adversarial() if adversarial else None,
        validate_every=5000,
        published=_nah_published(scales, linear) if adversarial else (),
        not_stated=("initialization",),
        remarks=(
            "The published scores belong to the training with the adversarial loss. The released "
            "Torch code divides the rate after 150 of 450 epochs, which is the same."
        ),
    )


_TORCH_WEIGHT = 1e-4 / math.log(2)  # its cross-entropy counts bits


def _deepdeblur_torch(scales):
    return dataclasses.replace(
        _deepdeblur(scales, adversarial=True, linear=False),
        name=f"deepdeblur_k{scales}_torch",
        paper="Nah, Kim and Lee, CVPR 2017, as the authors' Torch code trains (DeepDeblur_release)",
        hyperparameters={"scales": scales, "upsampling": "sub_pixel", "pyramid": "torch7"},
        batch_size=4,
        steps=450_000,
        augmentations=(
            "sharp_as_input",
            "flip_horizontally",
            "rotate_by_90",
            "permute_channels",
            "scale_saturation_rarely",
            "add_noise",
        ),
        sampling="sequences",
        loss="srn",
        label_pyramid="torch7",
        adversarial=Adversarial(
            weight=_TORCH_WEIGHT,
            loss="non_saturating",
            discriminator={"layout": "release"},
            discriminator_weight=_TORCH_WEIGHT,
        ),
        not_stated=(),
        remarks=(
            "Where text and code differ, this is the code. Links: the text has upconvolutions, "
            "the code convolutions to 12 channels and pixel shuffling. Pyramid: the text says "
            "Gaussian, the code smooths by 3x3 pixels and takes the even ones. Content loss: the "
            "text divides by 2K, the code adds the levels' mean squared errors, which is the loss "
            "srn. Generator: the text minimises log(1 - D), the code -log D. Weight: the text "
            "says 1e-4, the code divides by ln 2, and takes it for the discriminator, too. "
            "Discriminator: the text's table has 9 convolutions before the last, the code 10. "
            "Batch: the text says 2 for 900,000 steps, the code's default is 4 for 450 epochs of "
            "1,000 steps, the same number of crops. Augmentation: the text flips both ways and "
            "changes the saturation always, the code flips horizontally, changes the saturation "
            "of 1 crop in 10, and in 1 of 10 the sharp image is the input. Frames: the code draws "
            "a sequence, then a frame of it. In the code the sequences of a batch differ, and "
            "crops begin at multiples of 2^(K-1) pixels: not so here."
        ),
    )


def _nah_published(scales, linear):
    (psnr, ssim, seconds), on_kohler = _NAH_RESULTS[scales]
    if linear:
        return (Published("kohler", *on_kohler, "kohler", "Nah et al. 2017, table 3"),)
    return (Published("gopro", psnr, ssim, "nah2017", "Nah et al. 2017, table 2", seconds=seconds),)


DEEPDEBLUR_RELEASE = Recipe(
    name="deepdeblur_release",
    paper="Nah et al. 2017, as trained by the authors' DeepDeblur-PyTorch",
    network="deepdeblur",
    hyperparameters={"scales": 3, "upsampling": "sub_pixel"},
    dataset="gopro/blur_gamma",
    crop=256,
    batch_size=16,
    steps=_gopro_steps(1000, 16, keep_remainder=False),
    schedule=StepDecay(rate=1e-4, factor=0.5, at=(0.5, 0.75, 0.9)),
    augmentations=_NAH_AUGMENTATIONS,
    loss="l1",
    label_pyramid="gaussian",
    validate_every=1310,
    published=(
        Published("gopro", 30.40, 0.9018, "deepdeblur_pytorch", "README of DeepDeblur-PyTorch"),
    ),
)


def _mimo_unet(name, network, psnr, ssim, seconds, remeasured, self_ensemble=False):
    return Recipe(
        name=name,
        paper="Cho et al., ICCV 2021, section 4",
        network=network,
        hyperparameters={},
        dataset="gopro/blur",
        crop=256,
        batch_size=4,
        steps=_gopro_steps(3000, 4),
        schedule=StepDecay(rate=1e-4, factor=0.5, at=(1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6)),
        augmentations=("flip_horizontally",),
        loss="mimo_unet",
        label_pyramid="bilinear",
        validate_every=5260,
        self_ensemble=self_ensemble,
        published=(
            Published(
                "gopro",
                psnr,
                ssim,
                "mimo_unet",
                "Cho et al. 2021, table 1 (seconds: the paper's, whose clock did not wait for the "
                "GPU; the authors' correction, on an RTX 3090)",
                seconds=seconds,
                remeasured=remeasured,
            ),
        ),
    )


def _mimo_unet_realblur(name, psnr, ssim, self_ensemble=False):
    on_gopro = _mimo_unet(name, "mimo_unet_plus", psnr, ssim, None, None, self_ensemble)
    return dataclasses.replace(
        on_gopro,
        dataset="gopro/blur+realblur/j",
        published=(Published("realblur/j", psnr, ssim, "realblur", "Cho et al. 2021, table 2"),),
        not_stated=("crop", "batch_size", "steps", "schedule", "augmentations"),
        remarks=(
            "The authors trained from scratch on GOPRO and RealBlur-J together (issues 4 and 10 of "
            "their repository). All else is as for GOPRO, steps included."
        ),
    )


def _mtwnet(name, two_way, psnr, ssim, on_kohler=()):
    return Recipe(
        name=name,
        paper="Cheng et al. 2021, the multi-scale two-way network",
        network="mtwnet",
        hyperparameters={"two_way": two_way},
        dataset="gopro/blur",
        crop=256,
        batch_size=16,
        steps=_gopro_steps(4000, 16, keep_remainder=False),
        schedule=PolynomialDecay(rate=1e-4, power=0.3),
        augmentations=(),
        loss="mtwnet",
        label_pyramid="bilinear",
        validate_every=5240,
        published=(
            Published("gopro", psnr, ssim, "srn", "Cheng et al. 2021", protocol_stated=False),
            *on_kohler,
        ),
        not_stated=("dataset", "batch_size", "augmentations"),
        remarks=(
            "Of the two blurs, SRN-Deblur, on which it builds, took the linear one; its batch is "
            "16. The protocol is taken to be that of SRN-Deblur too. Resizing is bilinear with "
            "pixels' centres aligned, since the paper says no more than bilinear, and does not "
            "say that it took SRN's code, whose TensorFlow 1 resizes otherwise: "
            "--hyperparameters=resizing=tf1 with --label_pyramid=nearest is that."
        ),
    )


def _dmphn(name, hyperparameters, epochs, psnr, ssim, augmentations=(), remarks=""):
    return Recipe(
        name=name,
        paper="Zhang et al., CVPR 2019, as trained by the authors' code",
        network="dmphn",
        hyperparameters=hyperparameters,
        dataset="gopro/blur",
        crop=256,
        batch_size=6,
        steps=_gopro_steps(epochs, 6),
        schedule=StepDecay(
            rate=1e-4, factor=0.1, at=tuple(epoch / epochs for epoch in range(1000, epochs, 1000))
        ),
        augmentations=augmentations,
        loss="srn",
        label_pyramid="repeated",
        validate_every=3510,
        published=(
            Published("gopro", psnr, ssim, "srn", "Zhang et al. 2019", protocol_stated=False),
        ),
        remarks=(
            "Epochs are the default of the released code, the batch that of its README; its loss "
            "is the sum of the mean squared errors of all results, which the loss srn is. The "
            "protocol behind the scores is not stated either: SRN-Deblur's is the one that most "
            f"used then.{remarks}"
        ),
    )


_PLANES = (
    "The network restores R, G and B by themselves. The authors train it on grey crops; here these "
    "have three equal channels, so that a step's gradient is theirs, for three times the work."
)


def _srn(variant, published, augmentations=(), remarks=""):
    return Recipe(
        name=f"srn_{variant}",
        paper="Tao et al., CVPR 2018, as trained by the authors' code",
        network="srn",
        hyperparameters={"variant": variant},
        dataset="gopro/blur",
        crop=256,
        batch_size=16,
        steps=_gopro_steps(4000, 16, keep_remainder=False),
        schedule=PolynomialDecay(rate=1e-4, power=0.3),
        augmentations=augmentations,
        loss="srn",
        label_pyramid="nearest",
        validate_every=5240,
        published=published,
        remarks=" ".join(
            [
                remarks,
                "The paper's rate falls to 1e-6 in 2000 epochs, and it clips gradients of the LSTM "
                "at norm 3, which the released code does not.",
            ]
        ).strip(),
    )


PSS_NSC = Recipe(
    name="pss_nsc",
    paper="Gao et al., CVPR 2019, as trained by the authors' code",
    network="pss_nsc",
    hyperparameters={},
    dataset="gopro/blur",
    crop=256,
    batch_size=16,
    steps=1_048_000,
    schedule=PolynomialDecay(rate=1e-4, power=0.3),
    augmentations=("to_luminance",),
    loss="srn",
    label_pyramid="nearest",
    validate_every=5240,
    published=(Published("gopro", 30.92, 0.942, "srn", "Gao et al. 2019", protocol_stated=False),),
    remarks=(
        f"{_PLANES} Weights begin from truncated normal distributions; the initialization in the "
        "released code gives values that are not finite. The protocol is taken to be that of "
        "SRN-Deblur, on which the code builds."
    ),
)


MPRNET = Recipe(
    name="mprnet",
    paper="Zamir et al., CVPR 2021, as trained by the authors' code",
    network="mprnet",
    hyperparameters={"window": None},  # the scores are those of statistics of whole images
    dataset="gopro/blur",
    crop=256,
    batch_size=16,
    steps=_gopro_steps(3000, 16),
    schedule=CosineDecay(rate=2e-4, warmup=3 / 3000, end=1e-6),
    augmentations=("blend_with_grey", *_FLIPS_AND_ROTATIONS),
    loss="mprnet",
    label_pyramid="repeated",
    validate_every=20 * 132,
    published=(
        Published("gopro", 32.66, 0.959, "mprnet", "Zamir et al. 2021, table 3"),
        Published("hide", 30.96, 0.939, "mprnet", "Zamir et al. 2021, table 3"),
        Published("realblur/r", 35.99, 0.952, "realblur", "Zamir et al. 2021, table 4"),
        Published("realblur/j", 28.70, 0.873, "realblur", "Zamir et al. 2021, table 4"),
    ),
    remarks=(
        "The rate changes with every step, the authors' with every epoch. They leave a crop as it "
        "is twice as often as they flip or turn it in each of the other seven ways. Users saw the "
        "loss jump to infinity; --clip_norm=0.01 is said to help."
    ),
)


_TILES_OF_AUTHORS = (
    "The authors crop tiles of 512x512 pixels, cut every 256 from the images, so pixels near the "
    "border of an image are rarer with them."
)


def _nafnet(filters, batch_size, steps, psnr, ssim):
    return Recipe(
        name=f"nafnet_width{filters}",
        paper="Chen et al., ECCV 2022, as trained by the authors' code",
        network="nafnet",
        hyperparameters={"filters": filters},
        dataset="gopro/blur",
        crop=256,
        batch_size=batch_size,
        steps=steps,
        schedule=CosineDecay(rate=1e-3, warmup=0, end=1e-7),
        betas=(0.9, 0.9),
        weight_decay=1e-3,
        clip_norm=0.01,
        augmentations=_FLIPS_AND_ROTATIONS,
        loss="psnr",
        label_pyramid="repeated",
        validate_every=5000,
        published=(Published("gopro", psnr, ssim, "nafnet", "README of NAFNet"),),
        remarks=(
            f"{_TILES_OF_AUTHORS} Published scores are those with local statistics. The weight "
            "decay is the released code's; its first version had none for width 32."
        ),
    )


RESTORMER = Recipe(
    name="restormer",
    paper="Zamir et al., CVPR 2022, as trained by the authors' code",
    network="restormer",
    hyperparameters={"window": None},  # the scores are those of statistics of whole images
    dataset="gopro/blur",
    crop=384,
    batch_size=8,
    progressive=(
        Stage(until=92 / 300, crop=128, batch_size=64),
        Stage(until=156 / 300, crop=160, batch_size=40),
        Stage(until=204 / 300, crop=192, batch_size=32),
        Stage(until=240 / 300, crop=256, batch_size=16),
        Stage(until=276 / 300, crop=320, batch_size=8),
    ),
    steps=300_000,
    schedule=CosineDecay(rate=3e-4, warmup=92 / 300, start=3e-4, end=1e-6),
    weight_decay=1e-4,
    clip_norm=0.01,
    augmentations=_FLIPS_AND_ROTATIONS,
    loss="l1",
    label_pyramid="repeated",
    validate_every=4000,
    published=(
        Published("gopro", 32.92, 0.961, "mprnet", "Zamir et al. 2022, table 2"),
        Published("hide", 31.22, 0.942, "mprnet", "Zamir et al. 2022, table 2"),
        Published("realblur/r", 36.19, 0.957, "realblur", "Zamir et al. 2022, table 2"),
        Published("realblur/j", 28.96, 0.879, "realblur", "Zamir et al. 2022, table 2"),
    ),
    remarks=_TILES_OF_AUTHORS,
)


def _maxim(name, dataset, published, not_stated=()):
    return Recipe(
        name=name,
        paper="Tu et al., CVPR 2022, section 4.1; no code of the training is released",
        network="maxim",
        hyperparameters={},
        dataset=dataset,
        crop=256,
        batch_size=16,
        steps=400_000,
        schedule=CosineDecay(rate=2e-4, warmup=0, end=1e-7),
        augmentations=_FLIPS_AND_ROTATIONS,
        loss="maxim",
        label_pyramid="maxim",
        validate_every=4000,
        published=published,
        not_stated=(*not_stated, "batch_size", "steps", "label_pyramid", "epsilon"),
        remarks=(
            "MixUp, which the paper also names, is left out. Nor is it stated how the Fourier "
            "transform is scaled: the mean over real and imaginary parts is that of MIMO-UNet, "
            "from which the paper takes this loss. Labels are the pixels that the network's own "
            "smaller inputs are made of."
        ),
    )


MT_RNN = Recipe(
    name="mt_rnn",
    paper="Park et al., ECCV 2020; no code of the training is released",
    network="mt_rnn",
    hyperparameters={},
    dataset="gopro/blur",
    crop=256,
    batch_size=16,
    steps=_gopro_steps(3000, 16),
    schedule=CosineDecay(rate=1e-4, warmup=0),
    augmentations=_FLIPS_AND_ROTATIONS,
    loss="l1",
    label_pyramid="repeated",
    validate_every=20 * 132,
    published=(
        Published("gopro", 31.15, 0.945, None, "Park et al. 2020"),
        Published("hide", 29.15, 0.918, None, "Park et al. 2020"),
    ),
    not_stated=(
        "dataset",
        "crop",
        "batch_size",
        "steps",
        "schedule",
        "augmentations",
        "loss",
        "label_pyramid",
        "initialization",
    ),
    remarks=(
        "No reproduction: the authors teach each iteration to give the mean of fewer frames of a "
        "video than the one before (incremental temporal training). Here every iteration aims at "
        "the sharp image."
    ),
)


DEBLURGAN = Recipe(
    name="deblurgan",
    paper="Kupyn et al., CVPR 2018, as trained by the authors' code",
    network="deblurgan",
    hyperparameters={},
    dataset="gopro/blur",
    crop=256,
    batch_size=1,
    steps=_gopro_steps(300, 1),
    schedule=PolynomialDecay(rate=1e-4, power=1, hold=0.5),
    betas=(0.5, 0.999),
    augmentations=("flip_horizontally",),
    loss="none",
    perceptual=Perceptual(weight=100, mean=(0.5, 0.5, 0.5), deviation=(0.5, 0.5, 0.5)),
    adversarial=Adversarial(
        weight=1,
        loss="wasserstein",
        judge="patch_discriminator",
        discriminator={"depths": (3,)},
        updates=5,
        gradient_penalty=10,
    ),
    label_pyramid="repeated",
    validate_every=2103,
    published=(Published("gopro", 27.2, 0.954, None, "Kupyn et al. 2018, Wild"),),
    not_stated=("dataset",),
    remarks=(
        "The score is of the paper's Wild, trained on GOPRO alone, its SSIM as a user of the code "
        "quotes the paper; Comb, trained on GOPRO and on sharp images blurred along random "
        "trajectories, has 28.70 dB, 0.958. Both were measured with dropout on; their SSIM is of "
        "another kind than the others'. The authors crop from 1000 images of GOPRO at half size, "
        "640x360; here from all 2103 at full size."
    ),
)


def _deblurgan_v2(backbone, filters, psnr, ssim):
    return Recipe(
        name=f"deblurgan_v2_{backbone}",
        paper="Kupyn et al., ICCV 2019, section 4",
        network="deblurgan_v2",
        hyperparameters={"backbone": backbone, "filters": filters, "fpn_filters": 2 * filters},
        dataset="gopro/blur",
        crop=256,
        batch_size=1,
        steps=_gopro_steps(300, 1),
        schedule=PolynomialDecay(rate=1e-4, power=1, hold=0.5, end=1e-7),
        augmentations=_FLIPS_AND_ROTATIONS,
        loss="mse",
        perceptual=Perceptual(
            weight=0.006, mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225)
        ),
        adversarial=Adversarial(
            weight=0.01,
            loss="relativistic",
            judge="patch_discriminator",
            discriminator={"depths": (3, 5)},
            updates=1,
        ),
        label_pyramid="repeated",
        validate_every=2103,
        published=(Published("gopro", psnr, ssim, None, "Kupyn et al. 2019"),),
        not_stated=("dataset",),
        remarks=(
            "The loss mse is half the mean squared error, which is the paper's 0.5; the released "
            "code takes it of images normalized as for VGG-19, 19.6 times ours. The authors train "
            "on about 10,000 pairs, each second frame of GOPRO and DVD and every tenth of NFS, of "
            "which 300 epochs are about 3,000,000 steps; ours are 300 of GOPRO alone. They begin "
            "with a backbone that was trained on ImageNet and is frozen in the first 3 epochs; "
            "here it begins at random. The released code augments by one of flip, shift with "
            "scaling and rotation, transposition and distortion, and also degrades the blurry "
            "input; its configuration has WGAN-GP with weight 0.001, and 200 epochs of 1,000 "
            "crops, 50 of them at 1e-4."
        ),
    )


RECIPES = {
    recipe.name: recipe
    for recipe in (
        QUICKSTART,
        PHOTOGRAPHS,
        PHOTOGRAPHS_SMALL,
        *(
            _deepdeblur(scales, adversarial, linear)
            for adversarial in (False, True)
            for linear in (False, True)
            for scales in (1, 2, 3)
        ),
        *(_deepdeblur_torch(scales) for scales in (1, 2, 3)),
        DEEPDEBLUR_RELEASE,
        _mimo_unet("mimo_unet", "mimo_unet", 31.73, 0.951, 0.008, 0.130),
        _mimo_unet("mimo_unet_plus", "mimo_unet_plus", 32.45, 0.957, 0.017, 0.282),
        _mimo_unet(
            "mimo_unet_plus_plus", "mimo_unet_plus", 32.68, 0.959, 0.040, 1.115, self_ensemble=True
        ),
        _mimo_unet_realblur("mimo_unet_plus_realblur", 31.92, 0.919),
        _mimo_unet_realblur("mimo_unet_plus_plus_realblur", 32.05, 0.921, self_ensemble=True),
        _mtwnet(
            "mtwnet",
            True,
            30.56,
            0.933,
            (Published("kohler", 26.80, 0.840, "kohler", "Cheng et al. 2021"),),
        ),
        _mtwnet("mtwnet_one_way", False, 30.18, 0.926),
        _dmphn("dmphn_1_2_4_8", {"patches": (1, 2, 4, 8)}, 4000, 30.25, None),
        _dmphn(
            "dmphn_stack4",
            {"patches": (1, 2, 4), "stacks": 4},
            3000,
            31.20,
            0.945,
            augmentations=("rotate_by_90", "blend_with_grey"),
            remarks=(
                " The code turns every crop by 90, 180 or 270 degrees and changes the saturation "
                "of each; here one in four is not turned, and two in three keep their colours."
            ),
        ),
        _srn(
            "lstm",
            (Published("gopro", 30.26, 0.9342, "srn", "Tao et al. 2018"),),
            augmentations=("to_luminance",),
            remarks=_PLANES,
        ),
        _srn("color", (Published("gopro", 30.25, None, "srn", "about; measured by a user"),)),
        PSS_NSC,
        MPRNET,
        _nafnet(32, 32, 200_000, 32.87, 0.9606),
        _nafnet(64, 64, 400_000, 33.71, 0.9668),
        RESTORMER,
        _maxim(
            "maxim_gopro",
            "gopro/blur",
            (
                Published("gopro", 32.86, 0.961, None, "Tu et al. 2022"),
                Published("hide", 32.83, 0.956, None, "Tu et al. 2022"),
            ),
            not_stated=("dataset",),
        ),
        _maxim(
            "maxim_realblur",
            "realblur/j",
            (Published("realblur/j", 32.84, 0.935, None, "Tu et al. 2022"),),
        ),
        MT_RNN,
        DEBLURGAN,
        _deblurgan_v2("mobilenet", 64, 28.17, 0.925),
        _deblurgan_v2("inception", 128, 29.55, 0.934),
    )
}


def describe(recipe):
    """What a recipe says, as (name, value) pairs of strings; marks what is not stated.

    What is published of it is left out where the recipe was changed, see `departures`.
    """
    recipe = dataclasses.replace(recipe, published=() if departures(recipe) else recipe.published)
    rows = []
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        if field.name in ("name", "not_stated") or value in (None, ""):
            continue
        unsure = " (not stated: our choice)" if field.name in recipe.not_stated else ""
        rows.append((field.name.replace("_", " "), _plain(value) + unsure))
    return rows


def _plain(value):
    """A value of a recipe in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{k}={v}" for k, v in value.items()) or "default"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,}" if type(value) is int else str(value)


def choose(name):
    """The recipe that the flag --recipe names.

    Raises:
        InputError: there is none of this name.
    """
    if name not in RECIPES:
        raise InputError(
            f"`recipe={name}` is unknown: choose one of {', '.join(RECIPES)}."
            + did_you_mean(name, RECIPES)
        )
    return RECIPES[name]


def published():
    """What all recipes should reach: list of `Published`, on the blur that each was trained for."""
    return [one for recipe in RECIPES.values() for one in published_of(recipe)]


def published_of(recipe):
    """What a recipe should reach: list of `Published`, on the blur that it is trained for."""
    return [
        dataclasses.replace(one, network=recipe.name, dataset=variant(one.dataset, recipe.dataset))
        for one in recipe.published
    ]


def departures(recipe):
    """In which attributes training so is another training than the recipe with this name.

    A run may be shorter, take its steps in other portions, clip gradients or average weights: what
    is published of the recipe is still what it should reach. Data, network and loss are to be the
    recipe's; a default that is spelled out is none other.

    Returns:
        list of str; empty, too, where `RECIPES` has none of this name.
    """
    given, original = _spelled_out(recipe), _spelled_out(RECIPES.get(recipe.name, recipe))
    return [
        field.name
        for field in dataclasses.fields(recipe)
        if field.name not in _PORTIONS
        and getattr(given, field.name) != getattr(original, field.name)
    ]


def _spelled_out(recipe):
    """A recipe with what its network and its loss take where it gives nothing."""
    parameters = inspect.signature(losses.LOSSES[recipe.loss]).parameters
    weight = parameters["weight"].default if "weight" in parameters else None
    return dataclasses.replace(
        recipe,
        hyperparameters=models.hyperparameters(recipe.network, **recipe.hyperparameters),
        loss_weight=weight if recipe.loss_weight is None else recipe.loss_weight,
    )


_PORTIONS = (
    "steps",
    "crop",
    "batch_size",
    "progressive",
    "crops_per_image",
    "accumulate",
    "validate_every",
    "gradient_checkpointing",
    "clip_norm",
    "ema_momentum",
)


def variant(tested, trained):
    """ "gopro" and "gopro/blur+realblur/j" -> "gopro/blur": the blur of the training.

    The parts of `trained` may also follow each other: "gopro/blur_gamma, then reds/blur".
    """
    parts = trained.replace(", then ", "+").split("+")
    return next((name for name in parts if name.startswith(f"{tested}/")), tested)


def markdown():
    """All recipes as a Markdown document: `python -m tfdeblur.recipes > docs/recipes.md`."""
    lines = [
        "# Recipes",
        "",
        "Generated by `python -m tfdeblur.recipes > docs/recipes.md`. Train one with",
        "`tfdeblur train --recipe=NAME`; `--dry_run` shows it with its costs on your machine.",
        "",
        "Unless `--validation=test`, 2 % of the training pairs are set apart to choose best.keras",
        "by: of GOPRO's 2,103, 42. They are single frames, of sequences that are trained on.",
    ]
    for recipe in RECIPES.values():
        lines += ["", f"## {recipe.name}", "", "| | |", "|---|---|"]
        lines += [f"| {name} | {value} |" for name, value in describe(recipe)]
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown())
