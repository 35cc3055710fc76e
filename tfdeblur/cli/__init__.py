"""The command `tfdeblur`: restores photographs, unless its first word is another command."""

import importlib
import sys

from tfdeblur.cli.flags import quiet_imports

# A file or folder of such a name is given as ./demo.
COMMANDS = {
    "train": "tfdeblur.cli.train",
    "evaluate": "tfdeblur.cli.evaluate",
    "export": "tfdeblur.export",
    "weights": "tfdeblur.weights.__main__",
    "demo": "tfdeblur.cli.demo",
}


def main():
    """Runs the command line in `sys.argv`, and exits."""
    word = sys.argv[1] if len(sys.argv) > 1 else None
    module = COMMANDS.get(word, "tfdeblur.cli.restore")
    if word in COMMANDS:
        sys.argv = [f"{sys.argv[0]} {word}", *sys.argv[2:]]
    try:
        with quiet_imports():
            command = importlib.import_module(module)
        command.start()
    except KeyboardInterrupt:  # while libraries are being imported
        print("interrupted", file=sys.stderr)
        sys.exit(130)
