"""What a training will cost, told before it begins: `train.py --dry_run`."""

import math

from tfdeblur import errors, precision, recipes
from tfdeblur.data import opening
from tfdeblur.data.pairs import open_pairs
from tfdeblur.evaluation import complexity
from tfdeblur.training import build
from tfdeblur.training.callbacks import duration
from tfdeblur.training.trainers import AdversarialTrainer

FORWARD_PASSES = 3  # in a training step: forward, backward to the features and to the weights
TIMED_MACS = 3e11  # in a timed step on a CPU, where more at once gains nothing


def print_recipe(recipe, precision_name="auto", training_pairs=None):
    """Prints all that a recipe says, and what its training costs on one device of this machine.

    Args:
        recipe: a `recipes.Recipe`.
        precision_name: see `precision.resolve`.
        training_pairs: how many there are; None: unknown.

    Raises:
        InputError: the recipe's crops do not fit its network.
    """
    precision_name = precision.resolve(precision_name)
    with precision.policy(precision_name):
        trainer = build.build_trainer(recipe)
    _print("recipe", recipe.name)
    for name, value in recipes.describe(recipe):
        _print(name, value)
    print()
    _print("steps per epoch", _steps_per_epoch(recipe, training_pairs))
    _print("parameters", f"{trainer.network.count_params():,}")
    macs = complexity.multiply_accumulates(trainer.network, recipe.crop, recipe.crop)
    _print(f"MACs of a {recipe.crop}x{recipe.crop} crop", f"{macs / 1e9:,.1f} G")
    if isinstance(trainer, AdversarialTrainer):
        judging = complexity.multiply_accumulates(trainer.discriminator, recipe.crop, recipe.crop)
        _print("discriminator", f"{judging / 1e9:,.1f} G MACs, of a sharp and of a restored crop")
        macs += 2 * judging * (recipe.adversarial.updates or 1)
    if trainer.features is not None:
        seeing = complexity.multiply_accumulates(trainer.features, recipe.crop, recipe.crop)
        _print("perceptual loss", f"{seeing / 1e9:,.1f} G MACs, of a sharp and of a restored crop")
        macs += 2 * seeing
    flops = 2 * FORWARD_PASSES * macs * _crops(recipe)
    _print("the whole run", f"about {flops:.1e} floating-point operations")
    needed = max(build.memory_of_step(trainer, size, crop) for _, crop, size in recipe.stages())
    _print("memory of a step", f"more than {needed / 2**20:,.0f} MiB in {precision_name}")
    _print("time on this machine", _time(trainer, recipe, precision_name, FORWARD_PASSES * macs))


def count_training_pairs(recipe, data_dir=None, blurry_dir=None, sharp_dir=None, pairs=None):
    """How many pairs a recipe trains on, without building its dataset; None where unknown.

    Raises:
        InputError: the dataset is unknown or has no pairs; or see `pairs.open_pairs`.
    """
    if blurry_dir or sharp_dir or pairs:
        return open_pairs(recipe, data_dir, blurry_dir, sharp_dir, pairs=pairs)[0].count
    counts = [_count(name, recipe.train_split, data_dir) for name in recipe.dataset.split("+")]
    return None if None in counts else sum(counts)


def _count(dataset, split, data_dir):
    builder = opening.find_builder(dataset, data_dir)
    opening.pair_keys(builder)
    if opening.is_built(builder):
        return opening.count_examples(builder, split)
    is_gopro = dataset.split("/")[0] == "gopro" and split == "train"
    return recipes.GOPRO_TRAINING_PAIRS if is_gopro else None


def _steps_per_epoch(recipe, training_pairs):
    if training_pairs is None:
        return f"unknown until {recipe.dataset} is built"
    crops = training_pairs * recipe.crops_per_image
    per_epoch = [math.ceil(crops / size) for _, _, size in recipe.stages()]
    shown = " to ".join(f"{steps:,}" for steps in sorted({per_epoch[0], per_epoch[-1]}))
    epochs = sum(steps / n for (steps, _, _), n in zip(recipe.stages(), per_epoch, strict=True))
    return f"{shown} ({training_pairs:,} pairs); {epochs:,.1f} epochs in all"


def _crops(recipe):
    """In the whole run; smaller ones, in earlier stages, count by their area."""
    return sum(steps * size * (crop / recipe.crop) ** 2 for steps, crop, size in recipe.stages())


def _time(trainer, recipe, precision_name, macs):
    """In words, from a few steps; `macs` are of one crop."""
    crops, crop = _timed_part(trainer, recipe, macs)
    try:
        build.check_memory(trainer, crops, recipe.crop)
        seconds = complexity.seconds_per_step(trainer, crops, crop, timed=2) / crops
    except Exception as error:
        if isinstance(error, errors.InputError) or errors.is_out_of_memory(error):
            return "unknown: a step does not fit into memory"
        raise
    seconds *= (recipe.crop / crop) ** 2
    size = "" if crop == recipe.crop else f" crop of {crop}x{crop}"
    return (
        f"{duration(seconds * _crops(recipe))}, at {1 / seconds:.2f} patches/s "
        f"(timed steps of {crops}{size}, {precision_name}, one device)"
    )


def _timed_part(trainer, recipe, macs):
    """How many crops of the recipe's batch make a timed step, and their side."""
    crops, crop = recipe.batch_size, recipe.crop
    if not precision.on_cpu():
        return crops, crop
    crops = min(crops, max(1, int(TIMED_MACS / macs)))
    if isinstance(trainer, AdversarialTrainer):  # its discriminator takes crops of one size
        return crops, crop
    while (
        macs * (crop / recipe.crop) ** 2 > TIMED_MACS and crop % (2 * trainer.network.stride) == 0
    ):
        crop //= 2
    return crops, crop


def _print(name, value):
    print(f"{name:24} {value}", flush=True)
