"""Trains a recipe: `python train.py` alone trains the small quickstart network on made-up scenes.

Ends with PSNR and SSIM on held-out images, and leaves model.keras, saved_model/ and report.md in
the --workdir.
"""

import dataclasses
import pathlib

from absl import flags

from tfdeblur import errors

FLAGS = flags.FLAGS
flags.DEFINE_string("recipe", "quickstart", "What to train: a key of tfdeblur.recipes.RECIPES.")
flags.DEFINE_string("dataset", None, "TFDS dataset instead of the recipe's.")
flags.DEFINE_string("data_dir", None, "Where TFDS keeps its datasets. None: its default.")
flags.DEFINE_string("blurry_dir", None, "Your own pairs instead of a dataset: blurry images.")
flags.DEFINE_string("sharp_dir", None, "Your own pairs: sharp images of the same names.")
flags.DEFINE_string("workdir", None, "Folder for all results. None: runs/<recipe>.")
flags.DEFINE_integer("steps", None, "Steps instead of the recipe's; its schedule shrinks along.", 1)
flags.DEFINE_integer("batch_size", None, "Crops per step instead of the recipe's.", 1)
flags.DEFINE_integer("crop", None, "Height and width of crops instead of the recipe's.", 16)
flags.DEFINE_integer("seed", 0, "Seed of initial weights, data order and augmentation.")
flags.DEFINE_string("precision", "auto", "auto, float32, bfloat16 or float16.")
flags.DEFINE_string("weights", None, "File of weights to start from: fine-tuning.")
flags.DEFINE_bool("resume", False, "Go on with the run in --workdir, if there is one.")
flags.DEFINE_bool("overwrite", False, "Delete the run in --workdir first.")


def main(argv):
    if len(argv) > 1:
        raise errors.InputError(
            f"unexpected argument {argv[1]!r}: flags are given as --flag=value."
        )
    # After the flags, so that a wrong one is answered at once.
    from tfdeblur import pipeline, precision, recipes, runs
    from tfdeblur.evaluation import protocols, reports

    recipe = recipes.choose(FLAGS.recipe)
    changes = {"steps": FLAGS.steps, "batch_size": FLAGS.batch_size, "crop": FLAGS.crop}
    changes |= {"dataset": FLAGS.dataset}
    recipe = dataclasses.replace(recipe, **{k: v for k, v in changes.items() if v is not None})
    workdir = FLAGS.workdir or f"runs/{recipe.name}"
    precision.resolve(FLAGS.precision)
    runs.check_workdir(workdir, FLAGS.resume, FLAGS.overwrite)
    train_pairs, test_pairs = pipeline.open_pairs(
        recipe, FLAGS.data_dir, FLAGS.blurry_dir, FLAGS.sharp_dir
    )
    summary = runs.train(
        recipe,
        train_pairs,
        test_pairs,
        workdir,
        seed=FLAGS.seed,
        precision_name=FLAGS.precision,
        resume=FLAGS.resume,
        overwrite=FLAGS.overwrite,
        initial_weights=FLAGS.weights,
    )
    print(f"\nheld-out: {test_pairs.name}, {summary['images']} images, blurry input and restored\n")
    print(reports.summary_table(summary, protocols.PROTOCOLS[protocols.DEFAULT].ssim))
    for name in ("model.keras", "saved_model/", "report.md"):
        if pathlib.Path(workdir, name).exists():
            print(f"{workdir}/{name}")


if __name__ == "__main__":
    errors.run(main)
