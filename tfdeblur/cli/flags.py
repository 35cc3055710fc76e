"""How the commands start: their flags, --help, and libraries that import without a word."""

import contextlib
import os
import shutil
import sys
import tempfile

from absl import flags

from tfdeblur import errors


def start(module, define_flags, run):
    """Runs a command on the words in `sys.argv`, and exits.

    Flags are global, and those of the commands have names in common: so each command defines its
    own when it starts, not when its module is imported.

    Args:
        module: its module; the docstring is what --help shows.
        define_flags: function that defines its flags.
        run: `run(argv)`, see `errors.run`.
    """
    define_flags()
    # absl's --help tells about the script that was started; that is not this module.
    for flag in flags.FLAGS.get_flags_for_module(module.__name__):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    sys.modules["__main__"].__doc__ = module.__doc__
    errors.run(run)


@contextlib.contextmanager
def quiet_imports():
    """Turns stderr aside while libraries are imported; shows what came if an import fails.

    TensorFlow's C++ code writes lines there before any setting counts.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
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
