"""Restores photographs and videos blurred by motion.

tfdeblur INPUT... [--output=restored/]

INPUT is an image or video file, a folder, which is searched recursively, or a pattern such as
"holiday/**/*.jpg". What is restored keeps its name, its format and its place below the folder, and
all else that the file holds: date, place, colour profile, transparency, 16 bits, sound. Inputs are
not overwritten, unless --overwrite is given and --output is their own folder.

Other commands: tfdeblur train, evaluate, export, weights, demo; each explains itself with --help.
`tfdeblur demo` serves a web page that does the same.
"""

# This is the command `tfdeblur`; deblur.py calls it too. What needs Keras is imported when the
# files have been checked: --help and mistakes are answered at once.

import contextlib
import dataclasses
import glob
import itertools
import os
import pathlib
import sys

import tqdm
from absl import flags

from tfdeblur import errors
from tfdeblur.cli import COMMANDS
from tfdeblur.cli.flags import quiet_imports
from tfdeblur.cli.flags import start as start_command
from tfdeblur.errors import InputError
from tfdeblur.io import footage, images, photos

FLAGS = flags.FLAGS

SUFFIXES = photos.SUFFIXES + footage.VIDEO_SUFFIXES
# Below the output folder, where --compare puts its pictures.
COMPARE = "compare"


@dataclasses.dataclass(frozen=True)
class Job:
    """One image or video to restore.

    Attributes:
        source, target: the files to read and to write.
        compared: where the picture of before and after goes; None for none.
        problem: why there is nothing to restore: the input does not exist, say.
    """

    source: pathlib.Path
    target: pathlib.Path
    compared: pathlib.Path | None = None
    problem: str = ""


def start():
    """Runs the command line in `sys.argv`, and exits."""
    start_command(sys.modules[__name__], _define_flags, _stoppable)


def plan(inputs, output, suffix="", kind="", overwrite=False, compare=False):
    """Decides what goes where, before anything is restored.

    Args:
        inputs: image and video files, folders (searched recursively; the output folder is left
            out), and patterns of `glob` ("**" for folders of any depth).
        output: a folder; or, for a single input file, the file to write if its suffix is one of
            `SUFFIXES`.
        suffix: appended to each file's stem: "_restored" makes a.jpg a_restored.jpg.
        kind: a format, such as "png": that of all restored images; or such as "mp4": that of all
            restored videos. The others, and all where it is "", keep theirs.
        overwrite: whether a file may be replaced by its own restored version.
        compare: whether pictures of before and after are wanted, below `output`/compare.

    Returns:
        list of Job, each source once. An input that does not exist, beside others that do, is a Job
        with a problem.

    Raises:
        InputError: no input exists; one is a reserved word, or would be overwritten; two
            inputs would go to one file; there is nothing to restore; or `output` or `kind` does
            not fit the inputs.
    """
    output = pathlib.Path(output)
    for word in COMMANDS:
        if word in inputs:
            raise InputError(
                f"`{word}` is a command of its own, `tfdeblur {word}`: a file or folder of this "
                f"name is ./{word}."
            )
    if not inputs:
        raise InputError("no input: name images, videos or folders, such as `tfdeblur photo.jpg`.")
    kind = kind and "." + kind.lower().removeprefix(".")
    if kind and kind not in SUFFIXES:
        raise InputError(f"--format={kind[1:]}: choose {_listed(SUFFIXES)}.")
    given, missing = [], []
    for pattern in inputs:
        try:
            given += _expanded(pattern)
        except InputError as error:
            missing.append(Job(pathlib.Path(pattern), output, problem=str(error)))
    if not given:
        raise InputError(missing[0].problem)
    to_file = output.suffix.lower() in SUFFIXES and not output.is_dir()
    if to_file and (len(inputs) > 1 or len(given) > 1 or given[0][0].is_dir()):
        raise InputError(f"--output={output} is one file, for one input file: name a folder.")
    if to_file and (suffix or kind):
        flag = f"--suffix={suffix}" if suffix else f"--format={kind[1:]}"
        raise InputError(f"{flag} is for folders, but --output={output} is a file.")
    if not to_file and output.exists() and not output.is_dir():
        raise InputError(f"--output={output} is a file: name a folder.")
    jobs = {}
    for path, root in given:
        for source in _sources(path, output):
            place = pathlib.Path(source.relative_to(root))
            place = place.with_name(place.stem + suffix + _suffix(source, kind))
            target = output if to_file else output / place
            folder = output.parent if to_file else output
            compared = folder / COMPARE / place.with_name(target.name + ".jpg") if compare else None
            jobs.setdefault(os.path.realpath(source), Job(source, target, compared))
    if not jobs:
        raise InputError(f"no image or video ({_listed(SUFFIXES)}) in {', '.join(inputs)}.")
    _refuse_collisions(jobs.values(), overwrite)
    return [*missing, *jobs.values()]


def check(job, overwrite=False):
    """Tells what is wrong with a job, as far as names and headers say.

    Returns:
        str, what is to be restored: "1280x720 pixels".

    Raises:
        InputError: the target exists and `overwrite` is not given, its format cannot be written or
            is of the other kind, or the source cannot be read.
    """
    if job.problem:
        raise InputError(job.problem)
    if os.path.lexists(job.target) and not overwrite:
        raise InputError(f"{job.target} exists: give --overwrite to replace it.")
    if _is_video(job.source):
        if not _is_video(job.target):
            raise InputError(f"{job.source} is a video: name one, not {job.target}.")
        from tfdeblur.io import videos

        count, (width, height) = videos.frame_count(job.source)
        return f"{count} frames of {width}x{height} pixels"
    if job.target.suffix.lower() not in photos.SUFFIXES:
        raise InputError(
            f"{job.source}: cannot write {job.target.suffix or 'a file without suffix'}; give "
            "--format=png, say."
        )
    photos.check_suffix(job.target)
    width, height = images.size(job.source)
    return f"{width}x{height} pixels"


def restore_files(jobs, restore, overwrite=False, quality=95):
    """Restores file after file; one that fails is reported on stderr, and the rest go on.

    Args:
        jobs: of `plan`.
        restore: function of an image, uint8 or uint16 [H, W, 3], and of a function that it calls
            with the share done, or None; returns the restored image, of the same type and shape.
        overwrite: replace targets that exist; otherwise they count as failures.
        quality: of JPEG, WebP, AVIF and HEIC.

    Returns:
        int, how many failed.

    Raises:
        KeyboardInterrupt: as it was raised, when it has been said how many were done.
    """
    failures = 0
    # Shares of files: one large file has progress, too.
    layout = "{l_bar}{bar}| {n:.1f}/{total} files [{elapsed}<{remaining}]"
    with tqdm.tqdm(total=len(jobs), disable=None, bar_format=layout) as bar:
        for done, job in enumerate(jobs):
            bar.set_description(errors.printable(job.source.name))
            try:
                check(job, overwrite)
                _restore_file(job, restore, quality, lambda share, n=done: _advance(bar, n + share))
            except KeyboardInterrupt:
                bar.close()
                print(
                    f"\n{done - failures} of {len(jobs)} files were restored before.",
                    file=sys.stderr,
                )
                raise
            except Exception as error:
                if errors.is_out_of_memory(error):
                    error = InputError(f"{job.source}: {errors.OUT_OF_MEMORY}")
                if not isinstance(error, InputError):
                    raise
                with tqdm.tqdm.external_write_mode(file=sys.stderr):
                    errors.say(f"error: {error}", file=sys.stderr)
                failures += 1
            _advance(bar, done + 1)
    return failures


def _define_flags():
    flags.DEFINE_string(
        "model",
        None,
        "A .keras file, or a network's name (then with --weights). Default: maxim, with its "
        "authors' weights gopro, which are fetched once.",
    )
    flags.DEFINE_string(
        "weights",
        None,
        "Weights for the network that --model names: a file, or published ones by their name, such "
        "as gopro (`python -m tfdeblur.weights list`).",
    )
    flags.DEFINE_string(
        "output", "restored", "Folder for what is restored; for a single file also a file name."
    )
    flags.DEFINE_string("suffix", "", "Appended to the names of restored files: _restored, say.")
    flags.DEFINE_string(
        "format",
        "",
        "Format of restored images (png, jpg, ...), or of restored videos (mp4, ...). Default: "
        "that of each input.",
    )
    flags.DEFINE_integer(
        "quality", 95, "Of JPEG, WebP, AVIF and HEIC.", lower_bound=1, upper_bound=100
    )
    flags.DEFINE_bool(
        "overwrite",
        False,
        "Replace restored files that exist already; and the inputs themselves, where --output is "
        "their own folder.",
    )
    flags.DEFINE_bool(
        "compare", False, f"Also write pictures of before and after, into OUTPUT/{COMPARE}/."
    )
    flags.DEFINE_bool("dry_run", False, "Only show what would be restored, and what would fail.")
    flags.DEFINE_string(
        "tile",
        "auto",
        "Restore in tiles of so many pixels in height and width, to save memory. auto: as large as "
        "fits the memory that is free.",
    )
    flags.DEFINE_bool(
        "self_ensemble", False, "Mean over four rotations: slightly better, four times slower."
    )
    flags.DEFINE_enum(
        "precision", "auto", ["auto", "float32", "bfloat16", "float16"], "What is computed in."
    )
    flags.DEFINE_string(
        "device", None, "cpu, gpu, gpu:1, ...: where to compute. Default: a GPU where there is one."
    )
    flags.register_validator(
        "tile",
        lambda tile: tile == "auto" or (tile.isdecimal() and int(tile) >= 64),
        "give a number of pixels, 64 or more, or auto.",
    )


def _stoppable(argv):
    with errors.stopping_like_ctrl_c():
        return _run(argv)


def _run(argv):
    jobs = plan(argv[1:], FLAGS.output, FLAGS.suffix, FLAGS.format, FLAGS.overwrite, FLAGS.compare)
    if FLAGS.dry_run:
        return _show(jobs)
    with quiet_imports():
        from tfdeblur import precision, restoration, weights

    with _device(FLAGS.device):
        with precision.policy(FLAGS.precision):
            net, description = weights.open_network(FLAGS.model, FLAGS.weights)
        chosen = "" if FLAGS.model or FLAGS.weights else ", the default: --model names another"
        errors.say(f"Restoring with {description}{chosen}.")

        def restore(image, progress):
            return restoration.restore(
                net,
                image,
                tile=FLAGS.tile if FLAGS.tile == "auto" else int(FLAGS.tile),
                self_ensemble=FLAGS.self_ensemble,
                progress=progress,
            )

        failures = restore_files(jobs, restore, FLAGS.overwrite, FLAGS.quality)
    failed = f"; {failures} failed, see above" if failures else ""
    errors.say(f"Restored {len(jobs) - failures} of {len(jobs)} files into {FLAGS.output}{failed}.")
    return 1 if failures else 0


def _show(jobs):
    failures = 0
    for job in jobs:
        try:
            errors.say(f"{job.source} -> {job.target} ({check(job, FLAGS.overwrite)})")
        except InputError as error:
            errors.say(f"error: {error}", file=sys.stderr)
            failures += 1
    failed = f"; {failures} would fail, see above" if failures else ""
    print(f"Would restore {len(jobs) - failures} of {len(jobs)} files{failed}.")
    return 1 if failures else 0


def _device(name):
    """The scope in which networks are made and run on a device; None leaves it to the backend."""
    if name is None:
        return contextlib.nullcontext()
    import keras

    kind, _, index = name.lower().partition(":")
    wanted = f"{kind}:{index or 0}"
    present = [*keras.distribution.list_devices("cpu")[:1], *keras.distribution.list_devices("gpu")]
    if wanted not in present:
        raise InputError(f"--device={name}: this computer has {_listed(present)}.")
    return keras.device(wanted)


def _expanded(pattern):
    """(path, the folder below which its place is kept) of each file or folder that is meant."""
    path = pathlib.Path(pattern)
    if os.path.lexists(path):  # a link to nowhere, too: it fails alone
        return [(path, path if path.is_dir() else path.parent)]
    if not glob.has_magic(pattern):
        raise InputError(f"{pattern} does not exist: name an image, a video or a folder.")
    found = sorted(glob.glob(pattern, recursive=True))
    if not found:
        raise InputError(f"{pattern} matches no file.")
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), path.parts)
    root = pathlib.Path(*fixed)
    return [(pathlib.Path(name), root) for name in found]


def _sources(given, output):
    """The files below an input; not those that an earlier run restored into a folder inside it."""
    found = images.find_images([given], SUFFIXES)
    # Unlike Path.resolve, realpath does not stop at links in circles.
    whole, written = (pathlib.Path(os.path.realpath(path)) for path in (given, output))
    inside = whole in written.parents
    return [
        path
        for path in found
        if not (inside and pathlib.Path(os.path.realpath(path)).is_relative_to(written))
    ]


def _suffix(source, kind):
    same_sort = _is_video(source) == (kind in footage.VIDEO_SUFFIXES)
    return kind if kind and same_sort else source.suffix


def _is_video(path):
    return path.suffix.lower() in footage.VIDEO_SUFFIXES


def _listed(names):
    return ", ".join(name.removeprefix(".") for name in names)


def _refuse_collisions(jobs, overwrite):
    """No file is written that is an input, under whatever name, or that another job writes."""
    inputs = {_identity(job.source): job.source for job in jobs}
    written = {}
    for job in jobs:
        for target in filter(None, (job.target, job.compared)):
            identity = _identity(target)
            other = identity and inputs.get(identity)
            if other and not (overwrite and other == job.source and target == job.target):
                raise InputError(
                    f"--output would overwrite the input {other}: name another folder, or give "
                    "--suffix=_restored; --overwrite replaces inputs by their restored versions."
                )
            if target in written:
                raise InputError(
                    f"{written[target].source} and {job.source} would both go to {target}: restore "
                    "them one after the other, with different --output."
                )
            written[target] = job


def _identity(path):
    """None where there is no file, or none that can be reached."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _advance(bar, position):
    bar.update(position - bar.n)


def _restore_file(job, restore, quality, progress):
    def show(before, after):
        from tfdeblur.io import before_after

        if job.compared:
            before_after.write(job.compared, before, after)

    if _is_video(job.source):
        from tfdeblur.io import videos

        videos.restore(job.source, job.target, lambda x: restore(x, None), progress, show)
        return
    photo = photos.read(job.source)
    restored = dataclasses.replace(photo, pixels=restore(photo.pixels, progress))
    photos.write(job.target, restored, quality)
    show(photo.pixels, restored.pixels)
