"""A training run in its folder: prepare, train with checkpoints and logs, save, measure, report."""

import csv
import dataclasses
import functools
import json
import math
import os
import pathlib
import shutil
import sys
import time

import keras
import numpy as np
import tensorflow as tf

from tfdeblur import evaluation, memory, models, pipeline, precision, restoration, weights
from tfdeblur.errors import InputError
from tfdeblur.evaluation import protocols, reports
from tfdeblur.export import save_saved_model
from tfdeblur.initialization import INITIALIZATIONS
from tfdeblur.trainers import MultiScaleTrainer, SkippingAdam

RECIPE = "recipe.json"
MOST_SKIPPED_IN_ROW = 20
SHOWN = 4  # validation images in TensorBoard


def train(
    recipe,
    train_pairs,
    test_pairs,
    workdir,
    *,
    seed=0,
    precision_name="auto",
    resume=False,
    overwrite=False,
    initial_weights=None,
):
    """Trains a recipe, and leaves in `workdir` all that came of it.

    `model.keras`, `saved_model/`, `recipe.json`, `metrics.csv` (of training), `metrics.json`
    (held-out scores), `report.md` with pictures, TensorBoard events, `checkpoints/`.

    On a CPU, in float32, a run that was killed and resumed ends with the same weights, bit for
    bit, as one that was not.

    Args:
        recipe: a `recipes.Recipe`.
        train_pairs, test_pairs: `pipeline.Pairs`.
        workdir: the folder.
        seed: of initial weights, data order and augmentation.
        precision_name: "auto", "float32", "bfloat16" or "float16".
        resume: go on from the newest checkpoint in `workdir`; starts a run where there is none.
        overwrite: delete the run in `workdir` first.
        initial_weights: file to start from (fine-tuning), see `weights.load`.

    Returns:
        The held-out scores: `evaluation.summarise`.

    Raises:
        InputError: `workdir` holds another run, or what the user gave does not work.
    """
    started = time.monotonic()
    precision_name = precision.resolve(precision_name)
    workdir = pathlib.Path(workdir)
    settings = {
        "recipe": dataclasses.asdict(recipe),
        "training data": train_pairs.name,
        "test data": test_pairs.name,
        "seed": seed,
        "precision": precision_name,
        "initial weights": initial_weights and str(initial_weights),
    }
    check_workdir(workdir, resume, overwrite)
    keras.utils.set_random_seed(seed)
    if precision.on_cpu():
        tf.config.experimental.enable_op_determinism()  # on a GPU it would cost too much
    with precision.policy(precision_name):
        trainer = _build(recipe, initial_weights)
    _check_memory(trainer.network, recipe)
    _prepare(workdir, settings, overwrite)
    checkpoints = Checkpoints(workdir / "checkpoints", trainer)
    step = checkpoints.restore() if resume else 0
    if step:
        print(f"resuming from step {step} of {recipe.steps}")
    try:
        _fit(trainer, recipe, train_pairs, test_pairs, workdir, seed, step, checkpoints, started)
        return _finish(trainer.network, recipe, test_pairs, workdir, settings)
    except tf.errors.InvalidArgumentError as error:
        raise _blame_data(error, train_pairs, test_pairs) from error
    finally:
        if not _holds_run(workdir):
            # Nothing to go on from: leave no half of a run behind.
            shutil.rmtree(workdir, ignore_errors=True)
        elif sys.exc_info()[0] is KeyboardInterrupt:
            print(f"\n--resume will go on from step {checkpoints.newest()[0]}", file=sys.stderr)


class Checkpoints(keras.callbacks.Callback):
    """Saves the whole state of a training after each epoch, atomically, and keeps the newest two.

    The state is the network's variables (with the seeds of its dropout) and the optimizer's.
    """

    def __init__(self, folder, trainer):
        super().__init__()
        self.folder = folder
        self.step = 0
        trainer.optimizer.build(trainer.network.trainable_variables)
        self.variables = [*trainer.network.variables, *trainer.optimizer.variables]

    def newest(self):
        """(step, file) of the newest checkpoint; (0, None) where there is none."""
        files = sorted(self.folder.glob("step_*.npz"))
        return (int(files[-1].stem.removeprefix("step_")), files[-1]) if files else (0, None)

    def restore(self):
        """Assigns the newest checkpoint, and returns its step."""
        self.step, path = self.newest()
        if path:
            with np.load(path) as state:
                for i, variable in enumerate(self.variables):
                    variable.assign(state[f"variable_{i}"])
        return self.step

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1

    def on_epoch_end(self, epoch, logs=None):
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"step_{self.step:09d}.npz"
        temporary = path.with_suffix(".tmp")
        state = {f"variable_{i}": np.asarray(v) for i, v in enumerate(self.variables)}
        with open(temporary, "wb") as file:
            np.savez(file, **state)
        os.replace(temporary, path)
        for old in sorted(self.folder.glob("step_*.npz"))[:-2]:
            old.unlink()


class Steps(keras.callbacks.Callback):
    """Ends the run at its last step, reports the first, and stops a run that only skips steps."""

    def __init__(self, checkpoints, last, started):
        super().__init__()
        self.checkpoints = checkpoints
        self.last = last
        self.started = started

    def on_train_batch_end(self, batch, logs=None):
        if self.started is not None:
            print(f"first step after {time.monotonic() - self.started:.1f} s")
            self.started = None
        # On JAX the optimizer's counts are only brought up to date at the end of an epoch.
        if _skipped(self.model)[1] >= MOST_SKIPPED_IN_ROW:
            raise InputError(
                f"{MOST_SKIPPED_IN_ROW} steps in a row had gradients that are not finite, the last "
                f"one step {self.checkpoints.step}. Try --precision=float32 or other data; "
                f"the newest checkpoint is of step {self.checkpoints.newest()[0]}."
            )
        if self.checkpoints.step >= self.last:
            self.model.stop_training = True


class Log(keras.callbacks.Callback):
    """Writes metrics.csv and TensorBoard's scalars and before/after images after each epoch."""

    def __init__(self, workdir, checkpoints, validation):
        super().__init__()
        self.path = workdir / "metrics.csv"
        self.checkpoints = checkpoints
        self.blurry, self.sharp = (x[:SHOWN] for x in next(iter(validation)))
        # A run that was killed may have logged steps that come again now.
        self.rows = [r for r in read_metrics(self.path) if int(r["step"]) <= checkpoints.step]
        self.board = tf.summary.create_file_writer(str(workdir / "tensorboard"))

    def on_epoch_end(self, epoch, logs=None):
        step = self.checkpoints.step
        scalars = {
            **logs,
            "learning_rate": float(self.model.optimizer.learning_rate),
            "skipped_steps": _skipped(self.model)[0],
        }
        self.rows.append({"step": step, **scalars})
        temporary = self.path.with_suffix(".tmp")
        with open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, self.rows[-1])
            writer.writeheader()
            writer.writerows(self.rows)
        os.replace(temporary, self.path)  # a resume reads it, also after a kill while it is written
        restored = np.clip(self.model.network(self.blurry, training=False)[0], 0, 1)
        with self.board.as_default(step):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
            pictures = tf.concat([self.blurry, restored, self.sharp], axis=2)
            tf.summary.image("blurry, restored, sharp", pictures, max_outputs=SHOWN)
        self.board.flush()


def read_metrics(path):
    """The rows of a metrics.csv as dicts of strings; none where there is no such file."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def check_workdir(workdir, resume=False, overwrite=False):
    """Raises an InputError where `workdir` holds a run that may neither be resumed nor deleted.

    Likewise where no folder can be made there, or where other files are that --overwrite would
    delete.
    """
    workdir = pathlib.Path(workdir)
    try:
        existed = workdir.exists()
        workdir.mkdir(parents=True, exist_ok=True)
        files = list(workdir.iterdir())
        if not existed:
            workdir.rmdir()  # the rest of the input may be wrong
    except OSError as error:
        raise InputError(
            f"--workdir={workdir} cannot be made a folder ({error.strerror}): name another."
        ) from error
    if files and not (workdir / RECIPE).exists():
        raise InputError(f"--workdir={workdir} holds files that are no run: name another folder.")
    if _holds_run(workdir) and not (resume or overwrite):
        raise InputError(
            f"--workdir={workdir} holds a run already: --resume goes on with it, --overwrite "
            "deletes it, or choose another --workdir."
        )


def _holds_run(workdir):
    """Whether there is a recipe, and a checkpoint or a network to go on from."""
    made = (*workdir.glob("checkpoints/*.npz"), *workdir.glob("model.keras"))
    return (workdir / RECIPE).exists() and bool(made)


def _prepare(workdir, settings, overwrite):
    marker = workdir / RECIPE
    if _holds_run(workdir) and not overwrite:
        _check_same_run(json.loads(marker.read_text()), settings, workdir)
    else:
        # A run to overwrite, what one without a checkpoint left, or nothing.
        shutil.rmtree(workdir, ignore_errors=True)
    workdir.mkdir(parents=True, exist_ok=True)
    marker.write_text(json.dumps({**settings, "versions": reports.versions()}, indent=2) + "\n")


def _check_same_run(before, now, workdir):
    now = json.loads(json.dumps(now))  # tuples are lists there
    if before["recipe"]["name"] != now["recipe"]["name"]:
        raise InputError(
            f"--workdir={workdir} holds a run of --recipe={before['recipe']['name']}, which "
            f"--recipe={now['recipe']['name']} cannot go on with: choose another --workdir, or "
            "--overwrite."
        )
    differences = [
        f"{key} ({before['recipe'].get(key)!r}, now {value!r})"
        for key, value in now["recipe"].items()
        if before["recipe"].get(key) != value
    ] + [
        f"{key} ({before.get(key)!r}, now {value!r})"
        for key, value in now.items()
        if key != "recipe" and before.get(key) != value
    ]
    if differences:
        raise InputError(
            f"--workdir={workdir} holds another run, which --resume cannot go on with; "
            f"different are: {', '.join(differences)}. Choose another --workdir, or --overwrite."
        )


def _check_memory(network, recipe):
    values = recipe.batch_size * recipe.crop**2 * network.trained_maps
    memory.check(
        values * memory.bytes_per_value(network),
        f"a training step of {recipe.batch_size} crops of {recipe.crop}x{recipe.crop}",
        "choose a smaller --batch_size or --crop.",
    )


def _build(recipe, initial_weights):
    network = models.build(recipe.network, **recipe.hyperparameters)
    if recipe.crop % network.stride:
        raise InputError(f"--crop={recipe.crop} must be a multiple of {network.stride}.")
    INITIALIZATIONS[recipe.initialization](network)
    if initial_weights:
        weights.load(network, initial_weights)
    trainer = MultiScaleTrainer(network, recipe.loss, recipe.label_pyramid)
    trainer.compile(
        optimizer=SkippingAdam(recipe.schedule.build(recipe.steps), epsilon=recipe.epsilon),
        jit_compile=network.jit_compile,
    )
    return trainer


def _fit(trainer, recipe, train_pairs, test_pairs, workdir, seed, step, checkpoints, started):
    if step >= recipe.steps:
        return
    data = pipeline.batches(
        train_pairs,
        crop=recipe.crop,
        batch_size=recipe.batch_size,
        augmentations=recipe.augmentations,
        seed=seed,
        start_step=step,
    )
    validation = pipeline.middle_crops(
        test_pairs, crop=recipe.crop, batch_size=recipe.batch_size, limit=32
    )
    trainer.fit(
        data,
        initial_epoch=step // recipe.validate_every,
        epochs=math.ceil(recipe.steps / recipe.validate_every),
        steps_per_epoch=min(recipe.validate_every, recipe.steps),
        shuffle=False,  # the pipeline has done so
        validation_data=validation,
        callbacks=[
            # Logged before it is saved: what is logged twice is dropped, what is not, is lost.
            Log(workdir, checkpoints, validation),
            checkpoints,
            Steps(checkpoints, recipe.steps, started),
        ],
        verbose=1 if sys.stdout.isatty() else 2,
    )


def _skipped(trainer):
    """(all, in a row) steps that were skipped for gradients that are not finite."""
    optimizer = getattr(trainer.optimizer, "inner_optimizer", trainer.optimizer)
    return int(optimizer.skipped), int(optimizer.skipped_in_row)


def _blame_data(error, *all_pairs):
    """What to raise when TensorFlow failed: it names no file, so look for a broken one."""
    for pairs in all_pairs:
        for name, *pair in pairs.encoded:
            for image in pair:
                try:
                    pairs.read(image)
                except tf.errors.InvalidArgumentError as broken:
                    source = image.numpy()
                    where = source.decode() if len(source) < 4096 else name.numpy().decode()
                    reason = broken.message.rpartition("}}")[2].partition("[Op")[0].strip()
                    return InputError(f"{where} is broken ({reason}): replace or remove it.")
    return error


def _finish(network, recipe, test_pairs, workdir, settings):
    network = precision.cast(network, "float32")
    temporary = workdir / ".model.keras"
    network.save(temporary)
    os.replace(temporary, workdir / "model.keras")
    if keras.backend.backend() == "tensorflow":
        save_saved_model(network, workdir / "saved_model")
    else:
        print("no saved_model/: only Keras's TensorFlow backend can write it")

    protocol = protocols.choose(protocols.DEFAULT)
    restore = functools.partial(restoration.restore_float, network)
    scores = evaluation.evaluate(
        test_pairs.numpy_pairs(), restore, protocol, total=test_pairs.count
    )
    reports.write_report(
        workdir / "report.md",
        scores,
        protocol,
        {
            "recipe": recipe.name,
            "training data": settings["training data"],
            "training precision": settings["precision"],
            "data": settings["test data"],
            "protocol": protocol.name,
            "rounding": protocol.rounding,
            "SSIM": protocol.ssim,
            "precision": "float32",
            "tile": "none",
            "self-ensemble": "no",
            "versions": reports.versions(),
        },
        reports.examples(scores, test_pairs.numpy_pairs(), restore),
    )
    with open(workdir / "report.md", "a") as report:
        report.write(f"\n## Training\n\n{_training_table(workdir)}\n")
    return evaluation.summarise(scores)


def _training_table(workdir):
    """Every row of metrics.csv, or about 20 of them in a long run, as Markdown."""
    rows = read_metrics(workdir / "metrics.csv")
    columns = ["step", "loss", "psnr", "val_psnr_blurry", "val_psnr"]
    chosen = rows[:: -(-len(rows) // 20)] if rows else []
    cells = [
        [row["step"], *(f"{float(row[c]):.4g}" for c in columns[1:])]
        for row in (*chosen, *(rows[-1:] if rows and rows[-1] not in chosen else ()))
    ]
    return reports.table(columns, cells)
