"""How the commands start: flags that several have, --help, and libraries that import quietly."""

import contextlib
import errno
import functools
import gc
import math
import os
import shutil
import sys
import tempfile

from absl import flags

from tfdeblur import errors, files

# What is defined here belongs to the module of the command that asks for it.
flags.disclaim_key_flags()

PRECISIONS = ["auto", "float32", "bfloat16", "float16"]
SMALLEST_TILE = 64


def start(module, define_flags, run, patient=False):
    """Runs a command on the words in `sys.argv`, and exits.

    Flags are global, and those of the commands have names in common: so each command defines its
    own when it starts, not when its module is imported.

    Args:
        module: its module; the docstring is what --help shows.
        define_flags: function that defines its flags.
        run: `run(argv)`, see `errors.run`. Ctrl-C, SIGTERM and SIGHUP end it, with nothing half
            written left but downloads, which go on the next time.
        patient: whether it ends itself, whenever that is; otherwise in `errors.PATIENCE`.
    """
    define_flags()
    # absl's --help tells about the script that was started; that is not this module.
    for flag in flags.FLAGS.get_flags_for_module(module.__name__):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    sys.modules["__main__"].__doc__ = module.__doc__
    errors.run(functools.partial(_stoppable, run, patient))


def _stoppable(run, patient, argv):
    in_time = errors.ending_in_time(files.remove_unfinished)
    with errors.stopping_like_ctrl_c(), contextlib.nullcontext() if patient else in_time:
        try:
            return run(argv)
        except OSError as error:  # even asking whether there is such a file may be refused
            if error.filename is None or error.errno not in (errno.ENAMETOOLONG, errno.EACCES):
                raise
            raise errors.InputError(f"{error.filename}: {error.strerror}; name another.") from error


@contextlib.contextmanager
def quiet_imports():
    """Turns stderr aside while libraries are imported; shows what came if an import fails.

    TensorFlow's C++ code writes lines there before any setting counts. Meanwhile, and of what the
    libraries hold later on, no garbage is collected: a fifth of the imports' time went into that.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    collecting = gc.isenabled()
    gc.disable()
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except ImportError:
            aside.seek(0)
            with os.fdopen(os.dup(terminal), "wb") as shown:
                shutil.copyfileobj(aside, shown)
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            if collecting:
                gc.freeze()
                gc.enable()


def define_network(several=False):
    """--model and --weights, as `weights.open_network` takes them; `several`: lists of them.

    The names of `classical.MODELS` are no networks: each command treats them by itself.
    """
    define, default = (flags.DEFINE_list, []) if several else (flags.DEFINE_string, None)
    define(
        "model",
        default,
        "A .keras file, a network's name (then with --weights), or photographs, which lies in "
        f"this package{_SEVERAL * several}. Default: maxim, with its authors' weights gopro, which "
        "are fetched once.",
    )
    define("weights", default, f"Weights for {'each' if several else 'the'} --model: {_WEIGHTS}")


def define_kernel_size():
    """--kernel_size, see `classical.restore`."""
    flags.DEFINE_integer(
        "kernel_size",
        None,
        "Of --model=xu2013 or pan2016, which estimate one blur kernel for a photo that shook as a "
        "whole: its side in pixels, odd, somewhat larger than the blur. Default: 31.",
    )
    flags.register_validator(
        "kernel_size",
        lambda size: size is None or (size >= 3 and size % 2 == 1),
        "give an odd number of pixels, 3 or more.",
    )


def require_finite(*names):
    """Refuses nan and infinity, which the bounds of a flag let pass."""
    for name in names:
        flags.register_validator(
            name, lambda number: number is None or math.isfinite(number), "give a finite number."
        )


def define_weights(of):
    """--weights alone, of the network that is named elsewhere: `of` says where."""
    flags.DEFINE_string("weights", None, f"Weights for {of}: {_WEIGHTS}")


_SEVERAL = "; several separated by commas"
_WEIGHTS = "a file, or published ones by their name, such as gopro (`tfdeblur weights list`)."


def define_data(dataset):
    """--dataset, whose help is given, the folders of TFDS, and folders of pairs instead."""
    flags.DEFINE_string("dataset", None, dataset)
    flags.DEFINE_string("data_dir", None, "Where TFDS keeps its datasets. None: its default.")
    flags.DEFINE_string(
        "manual_dir", None, "Where archives are that you have already. None: TFDS's default."
    )
    flags.DEFINE_string("blurry_dir", None, "Your own pairs instead of a dataset: blurry images.")
    flags.DEFINE_string("sharp_dir", None, "Your own pairs: sharp images of the same names.")
    flags.DEFINE_string(
        "pairs",
        None,
        "Your own pairs, whose names differ: a file list.csv with lines blurry,sharp; or a "
        "template of both names below the folders, blur_{n}.png,gt_{n}.png.",
    )


def define_precision(default="auto"):
    """--precision, see `precision.resolve`."""
    flags.DEFINE_enum("precision", default, PRECISIONS, "What is computed in.")


def define_restoring(tile):
    """--tile, whose default is given, and --self_ensemble."""
    flags.DEFINE_string(
        "tile",
        tile,
        "Restore in tiles of so many pixels in height and width, to save memory. auto: as large as "
        "fits the memory that is free.",
    )
    flags.DEFINE_bool(
        "self_ensemble", False, "Mean over four rotations: slightly better, four times slower."
    )
    flags.register_validator(
        "tile",
        lambda tile: tile in (None, "auto") or (tile.isdecimal() and int(tile) >= SMALLEST_TILE),
        f"give a number of pixels, {SMALLEST_TILE} or more, or auto.",
    )


def tile():
    """The value of --tile, as `restoration.restore` takes it."""
    given = flags.FLAGS.tile
    return given if given in (None, "auto") else int(given)
