"""The command `tfdeblur`: restores photographs, unless its first word is another command."""

import importlib
import os
import sys

import tfdeblur
from tfdeblur import errors

# A file or folder of such a name is given as ./demo.
COMMANDS = {
    "train": "tfdeblur.cli.train",
    "evaluate": "tfdeblur.cli.evaluate",
    "export": "tfdeblur.cli.export",
    "weights": "tfdeblur.cli.weights",
    "demo": "tfdeblur.cli.demo",
    "batch": "tfdeblur.cli.batch",
}


def main():
    """Runs the command line in `sys.argv`, and exits."""
    if sys.stderr is None:  # closed: the next file that is opened would get its number
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.stderr = os.fdopen(2, "w")
    word = sys.argv[1] if len(sys.argv) > 1 else None
    if word == "--version":
        sys.argv = sys.argv[:1]
        errors.run(lambda argv: errors.say(f"tfdeblur {tfdeblur.__version__}"))
    sys.argv[1:] = ["--help" if x == "-h" else x for x in sys.argv[1:]]
    others = sys.argv[2:]
    only_flags = others and all(x.startswith("--") for x in others)
    if word not in COMMANDS and only_flags and (message := mistyped([word])):
        errors.say_error(message)  # before its flags are told to be unknown
        sys.exit(1)
    module = COMMANDS.get(word, "tfdeblur.cli.restore")
    if word in COMMANDS:
        sys.argv = [f"{sys.argv[0]} {word}", *sys.argv[2:]]
    if word not in COMMANDS or word == "batch":
        # A shell's pattern may give a file whose name looks like a flag.
        sys.argv[1:] = [f"./{x}" if _is_dashed_file(x) else x for x in sys.argv[1:]]
    try:
        from tfdeblur.cli.flags import quiet_imports

        with quiet_imports():
            command = importlib.import_module(module)
        command.start()
    except KeyboardInterrupt:  # while libraries are being imported
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def mistyped(words):
    """What to say of words that are no files, the first nearly a command's name; "" of others."""
    if not words or not all(x.isalpha() and not os.path.lexists(x) for x in words):
        return ""
    hint = errors.did_you_mean(words[0], COMMANDS)
    return hint and f"{words[0]} does not exist, and is no command.{hint}"


def _is_dashed_file(word):
    return word.startswith("-") and word != "-" and os.path.lexists(word)
