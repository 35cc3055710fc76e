"""How far each network's exports are from the network itself, in every format.

python benchmarks/exports.py nafnet restormer --formats=litert,onnx

Networks as small as the tests build them, with fresh weights: their graphs are those of large ones,
with fewer channels and blocks. Prints a Markdown table of the largest differences, in units of the
value range, on two images of 37x53; or the line by which a format refuses a network. Without names
it takes all.
"""

import pathlib
import sys
import tempfile

import keras
from absl import flags

from tfdeblur import errors, export, models

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests" / "helpers"))

from small_networks import SMALL

FLAGS = flags.FLAGS
flags.DEFINE_list("formats", list(export.SUFFIXES), "Of `tfdeblur export`.")


def main(argv):
    print(f"| network | {' | '.join(FLAGS.formats)} |")
    print("|---|" + "--:|" * len(FLAGS.formats), flush=True)
    for name in argv[1:] or SMALL:
        keras.utils.set_random_seed(0)
        net = models.build(name, **SMALL[name])
        print(f"| `{name}` | {' | '.join(difference(net, x) for x in FLAGS.formats)} |", flush=True)


def difference(net, format):
    with tempfile.TemporaryDirectory() as folder:
        target = pathlib.Path(folder, f"net{export.SUFFIXES[format]}")
        try:
            return f"{export.export(net, target, format):.1e}"
        except errors.InputError as error:
            return str(error)


if __name__ == "__main__":
    errors.run(main)
