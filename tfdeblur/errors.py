"""What goes wrong because of what the user gave, told without a traceback."""

import functools
import logging
import sys

import absl.logging
from absl import app

OUT_OF_MEMORY = (
    "out of memory. Lower --batch_size when training, or restore in tiles with --tile=512."
)


class InputError(ValueError):
    """The user's files, flags or arguments are at fault.

    The message names the file, the key or the flag, and says what to do.
    """


def is_out_of_memory(error):
    """Whether an exception of Python, TensorFlow or JAX says that memory ran out."""
    return isinstance(error, MemoryError) or (
        type(error).__name__ in ("ResourceExhaustedError", "XlaRuntimeError", "JaxRuntimeError")
        and ("OOM" in str(error) or "RESOURCE_EXHAUSTED" in str(error) or "memory" in str(error))
        and "No space left" not in str(error)  # so TensorFlow calls a full disk too
    )


def run(main):
    """Runs a command's `main(argv)` under absl; the user's mistakes end in one line and status 1.

    Args:
        main: `main(argv)`; what it returns is the exit status, None meaning 0.
    """

    @functools.wraps(main)
    def guarded(argv):
        try:
            return main(argv)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            print(f"error: {OUT_OF_MEMORY}", file=sys.stderr)
            return 1

    absl.logging.set_verbosity(absl.logging.WARNING)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # deprecations inside libraries
    app.run(guarded)
