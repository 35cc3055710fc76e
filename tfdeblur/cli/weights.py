"""Published weights, and their authors' files as Keras files.

tfdeblur weights list                                      # the published weights, where they lie
tfdeblur weights convert MIMO-UNet.pkl mimo_unet.keras     # a file, or a folder of them
tfdeblur weights convert deblur.model-523000 srn.keras     # a TensorFlow 1 checkpoint
tfdeblur weights convert checkpoint.npz maxim.keras        # a Flax checkpoint
tfdeblur weights convert mprnet gopro_global mprnet.keras  # published ones, by their name
"""

import pathlib
import sys

from tfdeblur.cli import flags as shared
from tfdeblur.errors import InputError


def start():
    """Runs the command line in `sys.argv`, and exits."""
    shared.start(sys.modules[__name__], lambda: None, _run)


def _run(argv):
    match argv[1:]:
        case ["list"]:
            _list()
        case ["convert", *source, target] if len(source) in (1, 2):
            _convert(source, pathlib.Path(target))
        case _:
            raise InputError(
                "give `list`, `convert FILE OUT.keras`, or `convert NETWORK NAME OUT.keras`."
            )


# Keras is imported after the words, so that wrong ones are answered at once.


def _list():
    with shared.quiet_imports():
        from tfdeblur.weights import catalogue
    print("\n\n".join(map(str, catalogue.CATALOGUE)))


def _convert(source, target):
    if target.suffix != ".keras" or target.exists():
        raise InputError(f"{target}: name a new file ending in .keras.")
    with shared.quiet_imports():
        from tfdeblur import weights
        from tfdeblur.io import images
    if len(source) == 1:
        (file,) = source
        net = weights.import_network(file)
    else:
        net, file = weights.open_network(*source)
    with images.replacing(target) as temporary:
        net.save(temporary)
    print(f"{file} holds {net.name} {net.hyperparameters}. Wrote {target}.")
    print(f"To restore with it: tfdeblur photo.jpg --model={target}")
