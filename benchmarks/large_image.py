"""Restores a large image, and prints what it took: tiles, seconds, and memory at its peak.

python benchmarks/large_image.py                                  # 108 megapixels, memory as it is
python benchmarks/large_image.py --memory=4 --size=4000x3000      # --tile=auto within so many GiB

The network has random weights, and the image is noise: neither changes what restoring takes. The
peak is of the whole process, libraries, image and result included.
"""

import math
import time

import numpy as np
import stopwatch
from absl import flags

from tfdeblur import errors, memory, models, precision, restoration

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "mimo_unet", "A name, see tfdeblur.models.")
flags.DEFINE_string("size", "12000x9000", "Width and height of the image.")
flags.DEFINE_string("precision", "auto", "float32, bfloat16, float16, or auto.")
flags.DEFINE_float("memory", math.inf, "GiB that the process may take in all, at most.")


def main(argv):
    del argv
    chosen = precision.resolve(FLAGS.precision)
    with precision.policy(chosen):
        net = models.build(FLAGS.model)
    width, height = map(int, FLAGS.size.split("x"))
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype="uint8")
    unlimited = memory.available
    memory.available = lambda: min(unlimited(), FLAGS.memory * 2**30 - stopwatch.of_process())
    calls, start = [], time.perf_counter()

    def progress(share):
        calls.append(share)
        seconds = time.perf_counter() - start
        print(f"\r{share:.1%} after {seconds:.0f} s", end="", flush=True)

    restoration.restore(net, image, tile="auto", progress=progress)
    seconds = time.perf_counter() - start
    print(
        f"\r{FLAGS.model} in {chosen}, {FLAGS.size} pixels: {len(calls)} tiles, {seconds:.0f} s, "
        f"peak {stopwatch.of_process() / 2**30:.2f} GiB"
    )


if __name__ == "__main__":
    errors.run(main)
