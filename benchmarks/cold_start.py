"""Seconds before the first pixel: import, building or loading a network, and its first image.

python benchmarks/cold_start.py --models=mimo_unet,deepdeblur
python benchmarks/cold_start.py --models=runs/quickstart/model.keras

Each measurement is a fresh process; medians are printed. The first image is of 64x64 pixels, so
that its time is that of tracing; the next ones are of other sizes.
"""

import json
import statistics
import subprocess
import sys

from absl import flags

from tfdeblur import errors
from tfdeblur.evaluation import reports

FLAGS = flags.FLAGS
flags.DEFINE_list("models", ["mimo_unet", "deepdeblur"], "Names, or .keras files.")
flags.DEFINE_string("precision", "auto", "float32, bfloat16, float16, or auto.")
flags.DEFINE_integer("runs", 5, "Processes of each.", 1)

_MEASURED = """
import json, sys, time
times = {}
def lap(name, start=[time.perf_counter()]):
    now = time.perf_counter()
    times[name], start[0] = now - start[0], now
import keras
lap("import keras")
import numpy as np
import tfdeblur
from tfdeblur import precision, weights
lap("import tfdeblur")
name, chosen = sys.argv[1:]
with precision.policy(chosen):
    net = weights.load_network(name) if name.endswith(".keras") else tfdeblur.models.build(name)
lap("network")
tfdeblur.restore(net, np.zeros((64, 64, 3), "uint8"))
lap("first image")
for size in (32, 48, 80, 96):
    tfdeblur.restore(net, np.zeros((size, 64, 3), "uint8"))
lap("four more")
print(json.dumps(times))
"""


def main(argv):
    del argv
    rows = []
    for name in FLAGS.models:
        times = [measure(name) for _ in range(FLAGS.runs)]
        medians = {key: statistics.median(one[key] for one in times) for key in times[0]}
        first = sum(medians.values()) - medians["four more"]
        rows.append([name, *(f"{value:.2f}" for value in medians.values()), f"{first:.2f}"])
    print(f"{reports.versions()}; seconds, medians of {FLAGS.runs} processes\n")
    print(reports.table(["network", *medians, "until the first pixel"], rows))


def measure(name):
    """{part: seconds} of one fresh process."""
    command = [sys.executable, "-c", _MEASURED, name, FLAGS.precision]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    errors.run(main)
