"""A training run in its folder: prepare, train with checkpoints and logs, save, measure, report."""

import contextlib
import dataclasses
import errno
import functools
import itertools
import math
import pathlib
import sys
import time

import keras
import tensorflow as tf

from tfdeblur import errors, evaluation, files, precision, restoration
from tfdeblur.data import pipeline
from tfdeblur.errors import InputError
from tfdeblur.evaluation import reports, scoring, test_sets
from tfdeblur.export import save_saved_model
from tfdeblur.training import build, callbacks, checkpoints, curves, strategies, targets, workdirs
from tfdeblur.weights import catalogue
from tfdeblur.weights.vgg19 import load_vgg19

VALIDATION_CROPS = 32  # after each epoch


def train(
    recipe,
    train_pairs,
    test_pairs,
    workdir,
    *,
    validation_pairs=None,
    other_tests=(),
    not_tested=(),
    seed=0,
    precision_name="auto",
    strategy=None,
    resume=False,
    overwrite=False,
    initial_weights=None,
    keep_checkpoints=2,
):
    """Trains a recipe, and leaves in `workdir` all that came of it.

    `model.keras`, `best.keras` (of the highest PSNR in validation), `saved_model/`, `recipe.json`,
    `metrics.csv` (of training), `metrics.json` (held-out scores), `report.md` with pictures,
    TensorBoard events, `checkpoints/`.

    On a CPU, in float32, a run that was killed and resumed ends with the same weights, bit for
    bit, as one that was not, if the same versions compute with the same number of threads (cores):
    sums depend on how they are shared. Checkpoints keep that number, and a resume under another
    says so.

    Args:
        recipe: a `recipes.Recipe`.
        train_pairs, test_pairs: `pairs.Pairs`.
        validation_pairs: by which the best network is chosen; None: the test pairs.
        other_tests, not_tested: of `targets.find_others`: what else the network is measured on in
            the end, and what the report says of the rest.
        workdir: the folder; several workers have to see the same.
        seed: of initial weights, data order and augmentation.
        precision_name: "auto", "float32", "bfloat16" or "float16".
        strategy: of `strategies.choose`; None for one device.
        resume: go on from the newest checkpoint in `workdir`; starts a run where there is none.
        overwrite: delete the run in `workdir` first, if nothing else is there.
        initial_weights: file to start from (fine-tuning), see `weights.load`.
        keep_checkpoints: how many of the newest.

    Returns:
        The held-out scores by the usual protocol, `evaluation.summarise`, and as "targets" the text
        of `targets.section`; None for a worker that is not the chief, which
        alone measures and writes.

    Raises:
        InputError: `workdir` holds another run, the disk is full, another worker ended, or what the
            user gave does not work.
        KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP, after a checkpoint was saved.
    """
    started = time.monotonic()
    workdir = pathlib.Path(workdir)
    strategy = strategy or tf.distribute.get_strategy()
    validation_pairs = validation_pairs or test_pairs
    is_chief = strategies.is_chief(strategy)
    precision_name = precision.resolve(precision_name)
    if is_chief:
        workdirs.check(workdir, resume, overwrite)
    for _, _, batch_size in recipe.stages():
        strategies.check_batch(strategy, batch_size)
    keras.utils.set_random_seed(seed)
    if precision.on_cpu():
        tf.config.experimental.enable_op_determinism()  # on a GPU it would cost too much
    with precision.policy(precision_name), strategy.scope():
        trainer = build.build_trainer(recipe, initial_weights)
    reason = targets.why_none(recipe, train_pairs, initial_weights)
    if reason and recipe.published and is_chief:
        errors.say(targets.none_belongs(reason))
    stated = dataclasses.replace(recipe, published=() if reason else recipe.published)
    settings = {
        "recipe": dataclasses.asdict(stated, dict_factory=_stated),
        "training data": train_pairs.name,
        "test data": test_pairs.name,
        # None, too, in what was written before there was a choice.
        "validation data": validation_pairs.name if validation_pairs is not test_pairs else None,
        "seed": seed,
        "precision": precision_name,
        "initial weights": initial_weights and str(initial_weights),
    }
    trainer.network.origin = {
        "recipe": "" if reason else recipe.name,
        "dataset": train_pairs.dataset or "pairs of the user",
    }
    published = catalogue.published_of(trainer.network, recipe.self_ensemble)
    tests = [
        (data, targets.protocols_for(data, published))
        for data in (test_sets.from_pairs(test_pairs), *other_tests)
    ]
    for _, crop, batch_size in recipe.stages():
        build.check_memory(trainer, strategies.own_part(strategy, batch_size), crop)
    if trainer.features is not None:
        load_vgg19(trainer.features)
    saved = checkpoints.Checkpoints(
        workdir / "checkpoints", trainer, keep_checkpoints, write=is_chief
    )
    held = files.locked(workdir) if is_chief else contextlib.nullcontext()
    all_pairs = train_pairs, validation_pairs, test_pairs
    crop = max(crop for _, crop, _ in recipe.stages())
    with held, _failures_explained(workdir, saved, strategy, all_pairs, crop):
        if is_chief:
            saved.owned = workdirs.prepare(workdir, settings, overwrite)
        _restore(saved, resume, recipe.steps, strategy)
        if saved.step < recipe.steps:
            calls = _callbacks(recipe, validation_pairs, workdir, saved, started)
            _fit(trainer, recipe, train_pairs, validation_pairs, seed, strategy, saved, calls)
        scores = None
        if is_chief:
            scores = _finish(trainer, recipe, tests, not_tested, reason, workdir, settings)
        strategies.wait_for_all(strategy)  # the others must not miss one that has ended
    return scores


def _stated(items):
    """A dict without what is None: so attributes that came later do not part older runs from it."""
    return {name: value for name, value in items if value is not None}


@contextlib.contextmanager
def _failures_explained(workdir, saved, strategy, all_pairs, crop):
    """Errors of TensorFlow and of the disk become an InputError; says what resuming does."""
    full = f"the disk of `workdir={workdir}` is full: make room, then go on with `resume=True`"
    try:
        yield
    except KeyboardInterrupt:
        print(file=sys.stderr)  # below the progress line
        errors.say(f"`resume=True` will go on from step {saved.newest()[0]}", file=sys.stderr)
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise InputError(f"{full} from step {saved.newest()[0]} ({error}).") from error
        raise
    except tf.errors.ResourceExhaustedError as error:
        if "No space left" in error.message:
            raise InputError(f"{full} from step {saved.newest()[0]}.") from error
        raise
    except _UNREADABLE as error:
        with contextlib.suppress(InputError, OSError):
            if saved.step > saved.newest()[0]:
                saved.save()
        raise _blame_data(error, saved.newest()[0], all_pairs, crop) from error
    except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            raise InputError(
                "another worker has ended or cannot be reached: see its output, then start all "
                f"workers again with `resume=True`, which goes on from step {saved.newest()[0]}."
            ) from error
        raise
    finally:
        if saved.owned:  # else the folder is not yet this run's
            with contextlib.suppress(InputError, OSError):
                workdirs.discard(workdir)


def _restore(saved, resume, last, strategy):
    """Goes on from the newest checkpoint, which all workers have to see."""
    strategies.wait_for_all(strategy)  # the chief has prepared the folder
    step = saved.restore() if resume else 0
    if strategies.mean_over_workers(strategy, step) != step:
        raise InputError(
            f"this worker would go on from step {step}, others from another one: `workdir` must be "
            "the same folder for all workers, on a disk that they share."
        )
    if step:
        print(f"resuming from step {step} of {last}")
        now = strategies.threads()
        if saved.threads not in (None, now) and precision.on_cpu():
            print(
                f"it was trained with {saved.threads} threads, now there are {now}: the last "
                "digits will differ from those of a run that was not stopped"
            )


def _callbacks(recipe, validation_pairs, workdir, saved, started):
    """What happens after each step and epoch, in this order."""
    steps = callbacks.StopAtLastStep(saved, recipe.steps)
    if not saved.write:
        return [saved, steps]
    shown = pipeline.center_crops(
        validation_pairs, crop=recipe.crop, batch_size=callbacks.SHOWN, limit=callbacks.SHOWN
    )
    # Logged before it is saved: what is logged twice is dropped, what is not, is lost.
    log = callbacks.LogMetrics(workdir, saved, *next(iter(shown)), f".{saved.owned.id}.v2")
    best = callbacks.SaveBest(workdir / "best.keras", log)
    progress = callbacks.Progress(saved, recipe.stages(), started)
    return [log, best, saved, steps, progress]


def _fit(trainer, recipe, train_pairs, validation_pairs, seed, strategy, saved, calls):
    def batches(shard):
        return pipeline.staged_batches(
            train_pairs,
            recipe.stages(),
            augmentations=recipe.augmentations,
            seed=seed,
            start_step=saved.step,
            crops_per_image=recipe.crops_per_image,
            sampling=recipe.sampling,
            shard=shard,
        )

    validation = pipeline.center_crops(
        validation_pairs, crop=recipe.crop, batch_size=recipe.batch_size, limit=VALIDATION_CROPS
    )
    every = min(recipe.validate_every, recipe.steps)
    with checkpoints.SaveWhenStopped(saved, every, recipe.steps, strategy) as stop:
        while saved.step < recipe.steps:
            epoch, done = divmod(saved.step, every)
            trainer.fit(
                strategies.distribute(strategy, batches),
                # An epoch that was interrupted is ended first: those of a `fit` are equally long.
                initial_epoch=epoch,
                epochs=epoch + 1 if done else math.ceil(recipe.steps / every),
                steps_per_epoch=every - done,
                shuffle=False,  # the pipeline has done so
                # Of data without an end, so that Keras does not warn that it came to one.
                validation_data=strategies.repeat_on_all(strategy, validation.repeat()),
                validation_steps=int(validation.cardinality()),
                callbacks=[*calls, stop],
                verbose=0,
            )


# What TensorFlow raises of training data that are broken, or that were there when it began.
_UNREADABLE = (
    tf.errors.InvalidArgumentError,
    tf.errors.DataLossError,
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
)


def _blame_data(error, step, all_pairs, crop):
    """What to raise when TensorFlow failed: it names no file, so look for a broken one."""
    on = f", then `resume=True` goes on from step {step}" if step else ""
    try:
        for pairs in all_pairs:
            for name, *pair in pairs.encoded:
                for image in pair:
                    if why := _unusable(pairs, image, crop if pairs is all_pairs[0] else 1):
                        source = image.numpy()
                        where = source.decode() if len(source) < 4096 else name.numpy().decode()
                        return InputError(f"{where} {why.replace(f'{where}; ', '')}{on}.")
    except _UNREADABLE as gone:  # the dataset's own files
        return InputError(f"the training data cannot be read ({_reason(gone)}): restore them{on}.")
    return error


def _unusable(pairs, image, smallest):
    """Why an encoded image cannot be trained on, and what to do; None where it can."""
    try:
        height, width, _ = pairs.read(image).shape
    except _UNREADABLE as broken:
        return f"is broken ({_reason(broken)}): replace or remove it"
    if min(height, width) < smallest:
        return (
            f"is {width}x{height} pixels, smaller than the training crop of {smallest}x{smallest}: "
            "choose a smaller `crop`"
        )
    return None


def _reason(error):
    return errors.reason(error.message.rpartition("}}")[2].partition("[Op")[0])


def _finish(trainer, recipe, tests, not_tested, reason, workdir, settings):
    """Saves the network, measures it on the tests, and writes the report."""
    network = checkpoints.save_network(trainer, workdir / "model.keras")
    if keras.backend.backend() == "tensorflow":
        save_saved_model(network, workdir / "saved_model")
    else:
        print("no saved_model/: only Keras's TensorFlow backend can write it")

    restore = functools.partial(
        restoration.restore_float, network, self_ensemble=recipe.self_ensemble
    )
    published = catalogue.published_of(network, recipe.self_ensemble)
    facts = {
        scoring.RESTORED: reports.NetworkFacts(network.count_params(), None, published),
    }
    measured = [(data.dataset, list(_scores(data, restore, chosen))) for data, chosen in tests]
    rows = [
        (dataset, row)
        for dataset, scores in measured
        for row in reports.results(scores, facts, dataset)
    ]
    against_published = targets.section(rows, not_tested, reason if recipe.published else "")
    (held_out, chosen), (_, scores) = tests[0], measured[0]
    log = callbacks.read_metrics(workdir / "metrics.csv")
    validation = settings["validation data"] or held_out.name
    reports.write_report(
        workdir / "report.md",
        scores,
        chosen[0],
        {
            "recipe": recipe.name,
            "training data": settings["training data"],
            "best.keras chosen on": f"{validation}, the middle of up to {VALIDATION_CROPS} images",
            "training precision": settings["precision"],
            "data": held_out.name,
            "protocol": ", ".join(protocol.name for protocol in chosen),
            "rounding": " / ".join(dict.fromkeys(protocol.rounding for protocol in chosen)),
            "SSIM": " / ".join(dict.fromkeys(protocol.ssim for protocol in chosen)),
            "precision": "float32",
            "tile": "none",
            "self-ensemble": "mean over four rotations" if recipe.self_ensemble else "no",
            "versions": reports.versions(),
            "machine": precision.machine(),
        },
        reports.examples(_by(chosen[0], scores), held_out.read(), restore),
        facts,
        held_out.dataset,
        sections=[
            *([against_published] if against_published else []),
            *([curves.section(workdir, log)] if log else []),
        ],
    )
    return {**evaluation.summarise(_by(chosen[0], scores)), "targets": against_published}


def _scores(data, restore, chosen):
    scored = scoring.score(data.read(), {scoring.RESTORED: restore}, chosen)
    return itertools.chain.from_iterable(scoring.progress(scored, data.count))


def _by(protocol, scores):
    return [one for one in scores if one.protocol == protocol.name]
