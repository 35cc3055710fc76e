"""Packs a trained network for shipping: weights of 16 bits, in a smaller `.keras` file.

python benchmarks/pack_network.py runs/photographs_small/model.keras photographs.keras

Weights are rounded to 10 bits of mantissa, as float16 has, and stay float32, with all its
exponents; so any tfdeblur reads the file, and zip packs the bits that are 0 now.
"""

import pathlib
import tempfile
import zipfile

import numpy as np

from tfdeblur import errors, files, weights

DROPPED = 23 - 10  # bits of the mantissa


def main(argv):
    if len(argv) != 3:
        raise errors.InputError("give the .keras file to pack, and the one to write.")
    source, target = map(pathlib.Path, argv[1:])
    net = weights.load_network(source)
    net.set_weights([rounded(np.asarray(value, "float32")) for value in net.get_weights()])
    with tempfile.TemporaryDirectory() as folder, files.replacing(target) as temporary:
        saved = pathlib.Path(folder) / "model.keras"
        net.save(saved)
        with (
            zipfile.ZipFile(saved) as archive,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed,
        ):
            for entry in archive.infolist():
                packed.writestr(entry.filename, archive.read(entry))
    print(f"{target}: {net.count_params():,} parameters, {target.stat().st_size / 1e6:.2f} MB")


def rounded(array):
    """The nearest float32 of so few bits; halves go up."""
    bits = array.view(np.uint32)
    return ((bits + (1 << (DROPPED - 1))) >> DROPPED << DROPPED).view(np.float32)


if __name__ == "__main__":
    errors.run(main)
