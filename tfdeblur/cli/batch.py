"""Restores photographs and videos with many processes, or many machines, on Apache Beam.

tfdeblur batch INPUT... --output=restored/ [--runner=FlinkRunner --beam_option=name=value]

INPUT, and what becomes of it, are those of `tfdeblur`, but for rounding. Each process opens the
network once, and takes one file after the other, so that its memory does not grow with their
number. Files that fail are listed at the end; the same command again skips what is done, of which
--compare makes no picture any more. The folders have to be on a disk that all machines share.
Without --runner this computer does the work, with --workers processes.
"""

import contextlib
import os
import pathlib
import sys
import tempfile

from absl import flags

from tfdeblur import errors
from tfdeblur import files as ours
from tfdeblur.cli import flags as shared
from tfdeblur.cli import restore
from tfdeblur.errors import InputError
from tfdeblur.restoration import files

FLAGS = flags.FLAGS
FAILED = ".tfdeblur_failed_"  # begins a folder in the output: what Beam writes of failures


def start():
    """Runs the command line in `sys.argv`, and exits."""
    # Beam, when it is stopped, may wait for ever for its workers; they end once it has.
    shared.start(sys.modules[__name__], _define_flags, _run)


def _define_flags():
    restore.define_flags()
    for flag in FLAGS.get_flags_for_module(restore.__name__):  # --help shows them, too
        FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    flags.DEFINE_string("runner", "DirectRunner", "Of Beam: FlinkRunner, SparkRunner, ...")
    flags.DEFINE_integer("workers", 2, "Processes of the direct runner.", lower_bound=1)
    flags.DEFINE_multi_string(
        "beam_option", [], "An option of the runner, name=value; may be repeated."
    )


def _run(argv):
    restore.choose_fast()
    jobs = restore.plan(argv[1:])
    done = restore.done_before(jobs)
    if FLAGS.dry_run:
        return restore.show(jobs, done)
    left = [job for job in jobs if FLAGS.overwrite or not files.is_done(job, done)]
    # Else every worker tells of its channels on stderr.
    options = [f"--runner={FLAGS.runner}", "--default_sdk_harness_log_level=ERROR"]
    options += [f"--{option}" for option in FLAGS.beam_option]
    if FLAGS.runner == "DirectRunner":
        mode = "multi_processing" if FLAGS.workers > 1 else "in_memory"
        options += [f"--direct_num_workers={FLAGS.workers}", f"--direct_running_mode={mode}"]
    failures = run(left, restore.settings(), done, options)
    for failure in failures:
        errors.say(f"error: {failure}", file=sys.stderr)
    skipped = f"; skipped {len(jobs) - len(left)} already done" * (len(left) < len(jobs))
    failed = f"; {len(failures)} failed, see above" if failures else ""
    restored = len(left) - len(failures)
    errors.say(f"Restored {restored} of {len(jobs)} files into {FLAGS.output}{skipped}{failed}.")
    return 1 if failures else 0


def run(jobs, settings, done, options):
    """Restores files on Beam, and waits for it.

    Args:
        jobs: of `files.plan`.
        settings: of `restore.settings`.
        done: `files.Done`.
        options: Beam's, as on its command lines.

    Returns:
        list of str, the reasons of the files that failed.

    Raises:
        InputError: Beam is not installed, or knows no such runner or option; or the output folder
            cannot be written.
    """
    if not jobs:
        return []
    try:
        with shared.quiet_imports():
            import apache_beam as beam
            from apache_beam.ml.inference import base
            from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise InputError(
            'tfdeblur batch needs Apache Beam: pip install "tfdeblur[beam]".'
        ) from error
    handler = _handler(base.ModelHandler)(settings, done)
    try:
        pipeline = beam.Pipeline(options=PipelineOptions(options))
    except ValueError as error:
        raise InputError(f"Beam refuses {' '.join(options)}: {errors.reason(error)}.") from error
    try:
        done.folder.mkdir(parents=True, exist_ok=True)
        # There all machines can write; nobody else's file is in the way.
        reasons = tempfile.TemporaryDirectory(prefix=FAILED, dir=done.folder)
    except OSError as error:
        raise InputError(
            f"cannot write into {done.folder} ({error.strerror}): name another folder with "
            "`output`."
        ) from error
    with reasons as folder, ours.unfinished(folder):
        listed = pathlib.Path(folder, "reasons")
        with _libraries_first(), pipeline:
            _ = (
                pipeline
                | beam.Create(jobs)
                | beam.Reshuffle()
                | base.RunInference(handler)
                | beam.Filter(bool)
                | beam.Map(lambda reason: " ".join(errors.printable(reason).split()))
                | beam.io.WriteToText(str(listed), num_shards=1, shard_name_template="")
            )
        return listed.read_text(encoding="utf-8").splitlines()


@contextlib.contextmanager
def _libraries_first():
    """Inside, Python programs that are started do not look for libraries in this folder.

    Beam starts its workers as `python -m`: proto.py, say, would stand for a library, and Beam wait
    for ever for workers that do not start.
    """
    name = "PYTHONSAFEPATH"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def _handler(base):
    """A class of Beam's: only this command imports Beam."""

    class Files(base):
        """Takes jobs, and gives why each failed, or ""."""

        def __init__(self, settings, done):
            super().__init__()
            self.settings = settings
            self.done = done

        def load_model(self):
            # All machines restore with the same network, or fail.
            function, *_ = restore.open_restorer(self.settings, substitute=False)
            return lambda job: _failure(job, function, self.settings, self.done)

        def run_inference(self, batch, model, inference_args=None):
            return map(model, batch)

        def batch_elements_kwargs(self):
            return {"min_batch_size": 1, "max_batch_size": 1}

    return Files


def _failure(job, function, settings, done):
    try:
        files.restore_file(
            job, function, settings.overwrite, settings.quality, settings.fallback, done
        )
    except Exception as error:
        return str(files.explained(job, error))
    return ""
