"""Published weights, and their authors' files as Keras files.

tfdeblur weights list                                      # the published weights
tfdeblur weights convert MIMO-UNet.pkl mimo_unet.keras     # a file, or a folder of them
tfdeblur weights convert deblur.model-523000 srn.keras     # a TensorFlow 1 checkpoint
tfdeblur weights convert checkpoint.npz maxim.keras        # a Flax checkpoint
"""

import pathlib
import sys

from tfdeblur import weights
from tfdeblur.cli.flags import start as start_command
from tfdeblur.errors import InputError
from tfdeblur.weights import catalogue


def start():
    """Runs the command line in `sys.argv`, and exits."""
    start_command(sys.modules[__name__], lambda: None, _run)


def _run(argv):
    match argv[1:]:
        case ["list"]:
            print("\n\n".join(map(str, catalogue.CATALOGUE)))
        case ["convert", source, target]:
            _convert(source, pathlib.Path(target))
        case _:
            raise InputError("give `list`, or `convert FILE OUT.keras`.")


def _convert(source, target):
    if target.suffix != ".keras" or target.exists():
        raise InputError(f"{target}: name a new file ending in .keras.")
    net = weights.import_network(source)
    net.save(target)
    print(f"{source} holds {net.name} {net.hyperparameters}. Wrote {target}.")


if __name__ == "__main__":
    start()
