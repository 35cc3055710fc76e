"""Trains a recipe: `tfdeblur train` alone trains the small quickstart network on made-up scenes.

Ends with PSNR and SSIM on held-out images, and leaves model.keras, saved_model/ and report.md in
the --workdir.
"""

import dataclasses
import json
import pathlib
import re
import sys

from absl import flags

from tfdeblur import errors
from tfdeblur.cli import flags as shared

FLAGS = flags.FLAGS

# Flags that change the recipe, in the attribute of the same name.
CHANGES = (
    "dataset",
    "steps",
    "batch_size",
    "crop",
    "crops_per_image",
    "clip_norm",
    "accumulate",
    "ema_momentum",
    "gradient_checkpointing",
    "augmentations",
    "loss_weight",
    "label_pyramid",
)


def start():
    """Runs the command line in `sys.argv`, and exits."""
    shared.start(sys.modules[__name__], _define_flags, _run, patient=True)  # it saves


def _run(argv):
    if len(argv) > 1:
        raise errors.InputError(
            f"unexpected argument {argv[1]!r}: flags are given as --flag=value."
        )
    # After the flags, so that a wrong one is answered at once.
    with shared.quiet_imports():
        import tensorflow  # noqa: F401
    from tfdeblur import precision, recipes
    from tfdeblur.data import cache
    from tfdeblur.data.pairs import open_pairs
    from tfdeblur.evaluation import protocols, reports
    from tfdeblur.training import build, runs, strategies, targets, workdirs

    recipe = change(recipes.choose(FLAGS.recipe))
    precision.resolve(FLAGS.precision)
    if FLAGS.manual_dir and not pathlib.Path(FLAGS.manual_dir).is_dir():
        raise errors.InputError(f"--manual_dir={FLAGS.manual_dir} is not a folder.")
    if FLAGS.dry_run:
        return show(recipe)
    strategy = strategies.choose(FLAGS.strategy, recipe.batch_size)
    workdir = FLAGS.workdir or f"runs/{recipe.name}"
    if strategies.is_chief(strategy):
        workdirs.check(workdir, FLAGS.resume, FLAGS.overwrite)
    else:
        errors.say(
            f"This is {strategies.place(strategy)}: it computes its part of every batch. Worker 1 "
            f"tells of the progress, and writes {workdir}."
        )
    build.build_network(recipe, FLAGS.weights)  # mistakes are told before data is fetched or made
    train_pairs, validation_pairs, test_pairs = open_pairs(
        recipe,
        FLAGS.data_dir,
        FLAGS.blurry_dir,
        FLAGS.sharp_dir,
        FLAGS.manual_dir,
        FLAGS.validation,
        FLAGS.pairs,
    )
    others, missing = targets.find_others(recipe, test_pairs, FLAGS.data_dir, FLAGS.manual_dir)
    for reason in missing:
        errors.say(f"The end will not be measured on all data of published scores: {reason}.")
    if FLAGS.cache:
        train_pairs = cache.open_cache(train_pairs, FLAGS.cache, recipe.crop)
    summary = runs.train(
        recipe,
        train_pairs,
        test_pairs,
        workdir,
        validation_pairs=validation_pairs,
        other_tests=others,
        not_tested=missing,
        seed=FLAGS.seed,
        precision_name=FLAGS.precision,
        strategy=strategy,
        resume=FLAGS.resume,
        overwrite=FLAGS.overwrite,
        initial_weights=FLAGS.weights,
        keep_checkpoints=FLAGS.keep_checkpoints,
    )
    if summary is None:  # of several workers, the chief alone measures
        errors.say(f"The training has ended; its results are in {workdir} of worker 1.")
        return
    print(f"\nheld-out: {test_pairs.name}, {summary['images']} images, blurry input and restored\n")
    print(reports.summary_table(summary, protocols.PROTOCOLS[protocols.DEFAULT].ssim))
    if summary["targets"]:
        print(f"\n{summary['targets']}\n")
    for name in ("model.keras", "best.keras", "saved_model/", "report.md"):
        if pathlib.Path(workdir, name).exists():
            print(f"{workdir}/{name}")
    print("\nA published network does better than a short training: tfdeblur photo.jpg")
    print(f"To restore with this one: tfdeblur photo.jpg --model={workdir}/model.keras")


def change(recipe):
    """The recipe as the flags change it."""
    changes = {name: FLAGS[name].value for name in CHANGES if FLAGS[name].value is not None}
    if {"crop", "batch_size"} & changes.keys():
        changes["progressive"] = None
    if "augmentations" in changes:
        changes["augmentations"] = tuple(changes["augmentations"])
    for part in ("adversarial", "perceptual"):
        weight = FLAGS[f"{part}_weight"].value
        if weight is not None:
            if getattr(recipe, part) is None:
                raise errors.InputError(
                    f"--{part}_weight={weight:g}: the recipe {recipe.name} has no {part} loss."
                )
            changes[part] = dataclasses.replace(getattr(recipe, part), weight=weight)
    given = _hyperparameters(FLAGS.hyperparameters)
    if given:
        changes["hyperparameters"] = {**recipe.hyperparameters, **given}
    return dataclasses.replace(recipe, **changes)


def _hyperparameters(text):
    """{name: value} of "filters=16,upsampling=bilinear,blocks=[1,2],window=none"."""
    outside_brackets = r",(?![^\[]*\])"
    return dict(map(_hyperparameter, re.split(outside_brackets, text))) if text else {}


def _hyperparameter(text):
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals:
        raise errors.InputError(f"--hyperparameters={text}: give NAME=VALUE.")
    try:
        return name, json.loads("null" if value.lower() == "none" else value.lower())
    except ValueError:
        return name, value


def show(recipe):
    from tfdeblur.training import estimates

    pairs = estimates.count_training_pairs(
        recipe, FLAGS.data_dir, FLAGS.blurry_dir, FLAGS.sharp_dir, FLAGS.pairs
    )
    if FLAGS.blurry_dir or FLAGS.pairs or FLAGS.weights:  # another training than the published one
        recipe = dataclasses.replace(recipe, published=())
    estimates.print_recipe(recipe, FLAGS.precision, pairs)


def _define_flags():
    flags.DEFINE_string("recipe", "quickstart", "What to train: a key of tfdeblur.recipes.RECIPES.")
    shared.define_data(dataset="TFDS dataset instead of the recipe's.")
    flags.DEFINE_string("workdir", None, "Folder for all results. None: runs/<recipe>.")
    flags.DEFINE_integer(
        "steps", None, "Steps instead of the recipe's; its schedule shrinks along.", 1
    )
    flags.DEFINE_integer(
        "batch_size", None, "Crops per step instead of the recipe's, from the first step on.", 1
    )
    flags.DEFINE_integer(
        "crop",
        None,
        "Height and width of crops instead of the recipe's, from the first step on.",
        16,
    )
    flags.DEFINE_integer(
        "crops_per_image", None, "Crops per decoded image and epoch instead of the recipe's.", 1
    )
    flags.DEFINE_string(
        "cache",
        None,
        "Decode training images once: ram keeps them in memory; a folder gets patches of twice the "
        "crop's size, which later runs use again.",
    )
    flags.DEFINE_list(
        "augmentations", None, "Keys of tfdeblur.data.augment.AUGMENTATIONS, in order; empty: none."
    )
    flags.DEFINE_float(
        "loss_weight", None, "Of the term of the loss that has one, as the lambda.", 0
    )
    flags.DEFINE_float("adversarial_weight", None, "Of the adversarial loss.", 0)
    flags.DEFINE_float("perceptual_weight", None, "Of the perceptual loss.", 0)
    flags.DEFINE_string("label_pyramid", None, "A key of tfdeblur.pyramid.PYRAMIDS.")
    flags.DEFINE_string(
        "hyperparameters",
        "",
        "Of the network, beside the recipe's: upsampling=bilinear,scales=2; lists in brackets, "
        "patches=[1,2,4],stacks=2; window=none.",
    )
    flags.DEFINE_float("clip_norm", None, "Global norm that gradients are clipped to.", 1e-12)
    flags.DEFINE_integer("accumulate", None, "Batches whose mean gradient makes one update.", 1)
    flags.DEFINE_float(
        "ema_momentum",
        None,
        "Of moving averages of the weights, such as 0.999, which are then measured and saved.",
        0,
        0.9999999,
    )
    weights = (f"{part}_weight" for part in ("loss", "adversarial", "perceptual"))
    shared.require_finite(*weights, "clip_norm", "ema_momentum")
    flags.DEFINE_bool(
        "gradient_checkpointing",
        None,
        "Compute feature maps inside ResBlocks again for the gradients, instead of keeping them.",
    )
    flags.DEFINE_integer("seed", 0, "Seed of initial weights, data order and augmentation.")
    shared.define_precision()
    flags.DEFINE_string(
        "strategy",
        "auto",
        "auto, mirrored (several GPUs) or multiworker (several machines): see "
        "docs/distributed_training.md.",
    )
    flags.DEFINE_enum(
        "validation",
        "train",
        ["train", "test"],
        "What best.keras is chosen on: 2 % of the training pairs, set apart (single ones, of "
        "sequences that are trained on), or test, as most authors did.",
    )
    flags.DEFINE_string("weights", None, "File of weights to start from: fine-tuning.")
    flags.DEFINE_bool("resume", False, "Go on with the run in --workdir, if there is one.")
    flags.DEFINE_bool(
        "overwrite", False, "Delete the run in --workdir first; refused if other files lie in it."
    )
    flags.DEFINE_integer("keep_checkpoints", 2, "How many of the newest checkpoints are kept.", 1)
    flags.DEFINE_bool(
        "dry_run", False, "Show the recipe and what it costs on this machine; writes nothing."
    )
