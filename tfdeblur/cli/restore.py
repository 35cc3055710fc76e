"""Restores photographs and videos blurred by motion.

tfdeblur INPUT... [--output=restored/]

INPUT is an image or video file, a folder, which is searched recursively, or a pattern such as
"holiday/**/*.jpg". What is restored keeps its name, its format and its place below the folder, and
all else that the file holds: date, place, colour profile, transparency, 16 bits, sound; a line says
what is lost. Inputs are not overwritten, unless --overwrite is given and --output is their own
folder. What an earlier run has restored in the same way is skipped. `tfdeblur - < a.jpg > b.jpg`
takes an image from standard input, and writes the restored one to standard output.

Other commands: tfdeblur train, evaluate, export, weights, demo, batch; each explains itself with
--help. `tfdeblur demo` serves a web page that does the same, `tfdeblur batch` does it on Beam.
"""

# This is the command `tfdeblur`; deblur.py calls it too. What needs Keras is imported when the
# files have been checked: --help and mistakes are answered at once.

import collections
import contextlib
import hashlib
import os
import pathlib
import sys
import tempfile
import types

import numpy as np
from absl import flags

from tfdeblur import errors
from tfdeblur import files as ours
from tfdeblur.cli import COMMANDS, mistyped
from tfdeblur.cli import flags as shared
from tfdeblur.errors import InputError
from tfdeblur.io import images, photos
from tfdeblur.restoration import blending, files

FLAGS = flags.FLAGS
# Flags with another value of which a file is not taken for restored already.
_DECISIVE = (
    *("model", "weights", "tile", "self_ensemble", "precision", "quality"),
    *("strength", "mask", "fallback", "kernel_size"),
)
# What `weights` calls the network in this package, and where it has it.
OWN = "photographs"
OWN_FILE = pathlib.Path(__file__).parents[1] / "weights" / f"{OWN}.keras"
# What names files, of which standard input and output need none.
_OF_FILES = ("output", "suffix", "overwrite", "compare", "follow_links", "dry_run")
# What says nothing to a method without a network, and what stands there unsaid.
_OF_NETWORKS = {"weights": None, "self_ensemble": False, "precision": "auto", "device": None}


def start():
    """Runs the command line in `sys.argv`, and exits."""
    shared.start(sys.modules[__name__], define_flags, _run)


def define_flags():
    """Defines the flags of the command."""
    shared.define_network()
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
        "compare", False, f"Also write pictures of before and after, into OUTPUT/{files.COMPARE}/."
    )
    flags.DEFINE_float(
        "strength",
        1,
        "How much of the restored image: between 0 and 1 it is blended with the input, in linear "
        "light.",
        lower_bound=0,
        upper_bound=1,
    )
    shared.require_finite("strength")
    flags.DEFINE_string(
        "mask",
        None,
        "An image, upright and of the inputs' size: white is restored, black stays as it is.",
    )
    flags.DEFINE_bool(
        "fallback",
        False,
        "Keep the input where the restored image seems to be worse: patterns or colours that were "
        "not there, another brightness.",
    )
    flags.DEFINE_bool(
        "fast",
        False,
        f"The same as --model={OWN}: a small network that lies in this package, and needs a "
        "tenth of the time or less.",
    )
    flags.DEFINE_bool("follow_links", False, "Search also folders that links point to.")
    flags.DEFINE_bool(
        "dry_run",
        False,
        "Only show what would be restored, and what would fail, by names and headers.",
    )
    shared.define_restoring(tile="auto")
    shared.define_kernel_size()
    shared.define_precision()
    flags.DEFINE_string(
        "device", None, "cpu, gpu, gpu:1, ...: where to compute. Default: a GPU where there is one."
    )


def _run(argv):
    inputs = argv[1:]
    choose_fast()
    if "-" in inputs:
        return _pipe(inputs)
    jobs = plan(inputs)
    done = done_before(jobs)
    if FLAGS.dry_run:
        return show(jobs, done)
    outcome = _restore(jobs, done)
    skipped = f"; skipped {outcome.skipped} already done" if outcome.skipped else ""
    skipped += " (--overwrite redoes them)" if outcome.skipped else ""
    failed = f"; {outcome.failed} failed, see above" if outcome.failed else ""
    done = f"Restored {outcome.restored} of {len(jobs)} files into {FLAGS.output}"
    errors.say(f"{done}{skipped}{failed}.")
    return 1 if outcome.failed else 0


def choose_fast():
    """Lets --fast stand for the --model that it means."""
    if FLAGS.fast:
        if FLAGS.model or FLAGS.weights:
            raise InputError(f"--fast is --model={OWN}: give it without --model and --weights.")
        FLAGS.model = OWN


def plan(inputs):
    """`files.plan` by the flags; says what is left out."""
    _refuse_commands(inputs)
    left_out = collections.Counter()
    try:
        return files.plan(
            inputs,
            FLAGS.output,
            FLAGS.suffix,
            FLAGS.format,
            FLAGS.overwrite,
            FLAGS.compare,
            FLAGS.follow_links,
            left_out,
        )
    finally:  # also where there is nothing else
        if any(left_out.values()):
            kinds = ", ".join(f"{count} {kind}" for kind, count in left_out.items() if count)
            advice = " --follow_links searches linked folders." * bool(
                left_out[files.LINKED_FOLDERS]
            )
            errors.say(f"Left out: {kinds}.{advice}")


def folder(jobs):
    """Where files are written: --output may be one."""
    output = pathlib.Path(FLAGS.output)
    return output.parent if jobs[-1].target == output else output


def done_before(jobs):
    """`files.Done` of what earlier runs restored as the flags say."""
    stand_in = how(model=OWN) if _is_default() else None
    return files.Done(folder(jobs), how(), stand_in)


def _is_default():
    return not FLAGS.model and not FLAGS.weights


def how(model=None):
    """What decides about the pixels, in words: files by their content.

    Args:
        model: in place of --model; None: as it says.
    """
    words = []
    for name in _DECISIVE:
        value = model if model and name == "model" else FLAGS[name].value
        if name == "model" and value == OWN:
            value = str(OWN_FILE)
        if isinstance(value, str) and os.path.isfile(value):
            with images.open_regular(value, limit=2**40) as file:
                value = hashlib.file_digest(file, "sha256").hexdigest()
        words.append(f"{name}={value}")
    return " ".join(words)


def settings():
    """What decides how files are restored: the flags of these names, for other processes."""
    values = {name: FLAGS[name].value for name in (*_DECISIVE, "device", "overwrite")}
    return types.SimpleNamespace(**values | {"tile": shared.tile()})


def open_restorer(given, substitute=True):
    """Opens what `settings` name: a network, or a method of one kernel for a whole image.

    Args:
        given: of `settings`.
        substitute: whether another network may stand in for a default that cannot be had.

    Returns:
        function of an image and of `progress`, see `files.restore_files`; a line that says where
        it came from; and a function that returns the blur kernel of the last image, or None.
    """
    from tfdeblur import classical

    mask = blending.as_mask(given.mask) if given.mask else None
    if given.model in classical.MODELS:
        return _open_classical(given, mask)
    if given.kernel_size:
        raise InputError(f"`kernel_size` is of --model={' or '.join(classical.MODELS)}.")
    with shared.quiet_imports():
        from tfdeblur import precision, restoration, weights

    with _device(given.device), precision.policy(given.precision):
        opened = weights.open_best if substitute else weights.open_network
        net, description = opened(given.model, given.weights)

    def restore(image, progress):
        with _device(given.device):
            return restoration.restore(
                net,
                image,
                tile=given.tile,
                self_ensemble=given.self_ensemble,
                progress=progress,
                strength=given.strength,
                mask=mask,
            )

    return restore, description, None


def _open_classical(given, mask):
    from tfdeblur import classical

    if given.tile not in (None, "auto"):
        raise InputError(
            f"`tile={given.tile}` is for networks: {given.model} has one kernel for the whole."
        )
    for name, default in _OF_NETWORKS.items():
        if getattr(given, name) != default:
            raise InputError(f"`{name}` is for networks: {given.model} is none. Leave it out.")
    size = given.kernel_size or classical.DEFAULT_SIZE
    kernel = None

    def restore(image, progress):
        nonlocal kernel
        blending.check(image, given.strength, mask)
        restored, kernel = classical.restore(image, size, classical.MODELS[given.model], progress)
        return blending.blend(image, restored, given.strength, mask)

    description = f"{given.model}: one kernel of {size}x{size} pixels for all of it"
    return restore, description, lambda: kernel


def _restore(jobs, done=None):
    from tfdeblur import classical

    restore, kernel = _never, (_never if FLAGS.model in classical.MODELS else None)
    if any(_can_be_restored(job, done) for job in jobs):  # else no network need be opened
        restore, description, kernel = open_restorer(settings())
        if done and done.stand_in and description == OWN:
            done = done.by_stand_in()
        chosen = ", the default: --model names another" * (_is_default() and description != OWN)
        errors.say(f"Restoring with {description}{chosen}.")
    return files.restore_files(
        jobs, restore, FLAGS.overwrite, FLAGS.quality, FLAGS.fallback, done, kernel
    )


def _can_be_restored(job, done):
    if not FLAGS.overwrite and files.is_done(job, done):
        return False
    try:
        return bool(files.check(job, FLAGS.overwrite, done))
    except (InputError, MemoryError):
        return False


def _never(*_):
    raise InputError("it could not be read a moment ago: start the command again.")


def _pipe(inputs):
    """From standard input to standard output, where nothing else may go meanwhile."""
    if inputs != ["-"]:
        raise InputError("- is standard input, and stands alone: name the others in another run.")
    for name in _OF_FILES:
        if FLAGS[name].present:
            raise InputError(f"- is standard input, and output: leave out --{name}.")
    if sys.stdin is None or sys.stdout is None:
        raise InputError("- needs standard input and standard output, one of which is closed.")
    if sys.stdout.isatty():
        raise InputError("- writes an image to standard output: send it to a file, > b.jpg.")
    content = sys.stdin.buffer.read(images.MAX_BYTES)
    suffix = images.usual_suffix(content)
    if not suffix:  # so it is told what it is instead
        with images.opened(content, name="standard input") as image:
            suffix = photos.suffix_of(image.format)
    output = sys.stdout.buffer
    with (
        tempfile.TemporaryDirectory() as folder,
        ours.unfinished(folder),
        contextlib.redirect_stdout(sys.stderr),
    ):
        source = pathlib.Path(folder, f"standard_input{suffix}")
        source.write_bytes(content)
        (job,) = files.plan([source], pathlib.Path(folder, "restored"), format=FLAGS.format)
        read, written = "standard input", "standard output"
        with errors.calling({source: read, job.target: written, source.name: read}):
            outcome = _restore([job])
        if outcome.restored:
            output.write(job.target.read_bytes())
            output.flush()
    return 1 if outcome.failed else 0


def _refuse_commands(inputs):
    for word in COMMANDS:
        if word in inputs:
            raise InputError(
                f"`{word}` is a command of its own, `tfdeblur {word}`: a file or folder of this "
                f"name is ./{word}."
            )
    # Beside an input that exists, or a pattern, it is a file that is missing.
    if message := mistyped(inputs):
        raise InputError(message)


def show(jobs, done):
    """Says what would be restored, and what would fail; returns the exit status."""
    failures = skipped = 0
    mask = blending.as_mask(FLAGS.mask) if FLAGS.mask else None
    for job in jobs:
        if not FLAGS.overwrite and files.is_done(job, done):
            skipped += 1
            continue
        try:
            what = files.check(job, FLAGS.overwrite, done)
            _check_mask(mask, job.source)
            errors.say(f"{job.source} -> {job.target} ({what})")
        except InputError as error:
            errors.say_error(error)
            failures += 1
    done = f"; {skipped} are done already" if skipped else ""
    failed = f"; {failures} would fail, see above" if failures else ""
    print(f"Would restore {len(jobs) - failures - skipped} of {len(jobs)} files{done}{failed}.")
    return 1 if failures else 0


def _check_mask(mask, source):
    if mask is None:
        return
    try:
        width, height = photos.size(source)
    except InputError:  # a video: its size is told when it is restored
        return
    try:
        blending.check(np.empty((height, width, 0)), FLAGS.strength, mask)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def _device(name):
    """The scope in which networks are made and run on a device; None leaves it to the backend."""
    if name is None:
        return contextlib.nullcontext()
    import keras

    kind, _, index = name.lower().partition(":")
    wanted = f"{kind}:{index or 0}"
    present = [*keras.distribution.list_devices("cpu")[:1], *keras.distribution.list_devices("gpu")]
    if wanted not in present:
        raise InputError(f"--device={name}: this computer has {', '.join(present)}.")
    return keras.device(wanted)
