"""Restores photographs blurred by motion.

tfdeblur INPUT... [--output=restored/]

INPUT is an image file or a folder, which is searched recursively. The restored images keep their
names, formats and places below the folder. Inputs are never overwritten.
"""

# This is the command `tfdeblur`; deblur.py calls it too.

import dataclasses
import pathlib
import sys

import tqdm
from absl import flags

from tfdeblur import errors, images, precision, restoration, weights
from tfdeblur.errors import InputError

FLAGS = flags.FLAGS

# Subcommands to come. A file or folder of such a name is given as ./demo.
RESERVED = ("demo",)
# Recognised only to be refused clearly.
VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")


@dataclasses.dataclass(frozen=True)
class Job:
    """One image to restore."""

    source: pathlib.Path
    target: pathlib.Path


def main():
    """Runs the command line in sys.argv, and exits."""
    # Defined here, not on import: flags are global, and a program that imports this module may
    # have its own --model.
    _define_flags()
    errors.run(_run)


def plan(inputs, output, suffix=""):
    """Decides which image goes where, before anything is restored.

    Args:
        inputs: image files and folders (searched recursively; the output folder is left out).
        output: a folder; or, for a single input file, the file to write if its suffix is one of
            `images.SUFFIXES`.
        suffix: appended to each file's stem: "_restored" makes a.jpg a_restored.jpg.

    Returns:
        list of Job, each source once. Videos among them are left to fail when they are read.

    Raises:
        InputError: an input does not exist, is a reserved word, or would be overwritten; two
            inputs would go to one file; there is no image; or `output` does not fit the inputs.
    """
    output = pathlib.Path(output)
    for word in RESERVED:
        if word in inputs:
            raise InputError(
                f"`tfdeblur {word}` is not available yet; a file or folder of this name is "
                f"./{word}."
            )
    if not inputs:
        raise InputError("no input: name image files or folders, such as `tfdeblur photo.jpg`.")
    to_file = output.suffix.lower() in images.SUFFIXES and not output.is_dir()
    if to_file and (len(inputs) > 1 or pathlib.Path(inputs[0]).is_dir()):
        raise InputError(f"--output={output} is one file, for one input file: name a folder.")
    if to_file and suffix:
        raise InputError(f"--suffix={suffix} is for folders, but --output={output} is a file.")
    if not to_file and output.exists() and not output.is_dir():
        raise InputError(f"--output={output} is a file: name a folder.")
    jobs = {}
    for given in map(pathlib.Path, inputs):
        root = given if given.is_dir() else given.parent
        for source in _sources(given, output):
            place = output / source.relative_to(root)
            target = output if to_file else place.with_name(place.stem + suffix + place.suffix)
            jobs.setdefault(source.resolve(), Job(source, target))
    if not jobs:
        raise InputError(f"no image ({', '.join(images.SUFFIXES)}) in {', '.join(inputs)}.")
    _refuse_collisions(jobs.values())
    return list(jobs.values())


def restore_files(jobs, restore, overwrite=False):
    """Restores image after image; one that fails is reported on stderr, and the rest go on.

    Args:
        jobs: of `plan`.
        restore: uint8 [H, W, 3] -> uint8 [H, W, 3].
        overwrite: replace targets that exist; otherwise they count as failures.

    Returns:
        int, how many failed.
    """
    failures = 0
    for job in tqdm.tqdm(jobs, desc="restoring", unit="image", disable=None):
        try:
            _restore_file(job, restore, overwrite)
        except Exception as error:
            if errors.is_out_of_memory(error):
                error = InputError(f"{job.source}: {errors.OUT_OF_MEMORY}")
            if not isinstance(error, InputError):
                raise
            tqdm.tqdm.write(f"error: {error}", file=sys.stderr)
            failures += 1
    return failures


def _define_flags():
    flags.DEFINE_string(
        "model",
        None,
        "A .keras file, or a network's name (then with --weights). Default: the newest model.keras "
        "under runs/.",
    )
    flags.DEFINE_string(
        "weights",
        None,
        "Weights for the network that --model names: a file, or published ones by their name, such "
        "as gopro (`python -m tfdeblur.weights list`).",
    )
    flags.DEFINE_string(
        "output", "restored", "Folder for the restored images; for a single file also a file name."
    )
    flags.DEFINE_string("suffix", "", "Appended to the names of restored images: _restored, say.")
    flags.DEFINE_bool("overwrite", False, "Replace restored images that exist already.")
    flags.DEFINE_integer(
        "tile", None, "Restore in square tiles of so many pixels, to save memory.", lower_bound=64
    )
    flags.DEFINE_bool(
        "self_ensemble", False, "Mean over four rotations: slightly better, four times slower."
    )
    flags.DEFINE_string("precision", "auto", "float32, bfloat16, float16, or auto.")
    # absl's --help tells about the script that was started; that is not this module.
    for flag in FLAGS.get_flags_for_module(__name__):
        FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    sys.modules["__main__"].__doc__ = __doc__


def _run(argv):
    jobs = plan(argv[1:], FLAGS.output, FLAGS.suffix)
    chosen_precision = precision.resolve(FLAGS.precision)
    net, description = weights.open_network(FLAGS.model, FLAGS.weights)
    print(f"Restoring with {description}.")

    def restore(image):
        return restoration.restore(
            net,
            image,
            tile=FLAGS.tile,
            self_ensemble=FLAGS.self_ensemble,
            precision=chosen_precision,
        )

    failures = restore_files(jobs, restore, FLAGS.overwrite)
    failed = f"; {failures} failed, see above" if failures else ""
    print(f"Restored {len(jobs) - failures} of {len(jobs)} images into {FLAGS.output}{failed}.")
    return 1 if failures else 0


def _sources(given, output):
    """The files below an input; not those that an earlier run restored into a folder inside it."""
    found = images.find_images([given], images.SUFFIXES + VIDEO_SUFFIXES)
    inside = given.resolve() in output.resolve().parents
    return [
        path for path in found if not (inside and path.resolve().is_relative_to(output.resolve()))
    ]


def _refuse_collisions(jobs):
    """No target may be an input, under whatever name, nor the target of two inputs."""
    inputs = {_identity(job.source): job.source for job in jobs}
    by_target = {}
    for job in jobs:
        if job.target.exists() and _identity(job.target) in inputs:
            raise InputError(
                f"--output would overwrite the input {inputs[_identity(job.target)]}: name another "
                "folder, or give --suffix=_restored."
            )
        other = by_target.setdefault(job.target, job)
        if other is not job:
            raise InputError(
                f"{other.source} and {job.source} would both go to {job.target}: restore them one "
                "after the other, with different --output."
            )


def _identity(path):
    status = path.stat()
    return status.st_dev, status.st_ino


def _restore_file(job, restore, overwrite):
    if job.source.suffix.lower() in VIDEO_SUFFIXES:
        raise InputError(
            f"{job.source}: videos are not supported yet. Save the frames as images, and restore "
            "their folder."
        )
    if job.target.suffix.lower() not in images.SUFFIXES:  # known before the work is done
        raise InputError(
            f"{job.source}: cannot write {job.target.suffix or 'a file without suffix'}; convert "
            "it to PNG first, or restore it alone with --output=NAME.png."
        )
    if job.target.exists() and not overwrite:
        raise InputError(f"{job.target} exists: give --overwrite to replace it.")
    alpha = images.read_alpha(job.source)
    images.write(job.target, restore(images.read(job.source)), alpha)
