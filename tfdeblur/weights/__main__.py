"""Published weights, and the authors' PyTorch and Flax files as Keras files.

python -m tfdeblur.weights list                                      # the published weights
python -m tfdeblur.weights convert MIMO-UNet.pkl mimo_unet.keras     # a file, or a folder of them
python -m tfdeblur.weights convert checkpoint.npz maxim.keras        # of Flax
"""

import pathlib

from tfdeblur import errors, weights
from tfdeblur.errors import InputError
from tfdeblur.weights import catalogue


def main(argv):
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
    errors.run(main)
