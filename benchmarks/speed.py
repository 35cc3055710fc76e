"""Training and restoring speed of each network, in float32 and bfloat16, on this machine.

python benchmarks/speed.py                       # every network at its published size
python benchmarks/speed.py --models=mimo_unet --train_batch=1 --crop=128 --size=640x360

The precisions are measured in turn within one run, and the median is printed: absolute times of a
shared machine drift, their ratio much less. Results are brought to the host before the clock
stops. A training step is forward, loss, backward and Adam, on one batch of the recipe's crops.
"""

import platform
import statistics
import time

import keras
import numpy as np
from absl import flags

from tfdeblur import errors, models, precision, trainers
from tfdeblur.evaluation import reports

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "models", ["deepdeblur", "mimo_unet", "mimo_unet_plus"], "Names, see tfdeblur.models."
)
flags.DEFINE_list("precisions", ["float32", "bfloat16"], "Precisions to measure in turn.")
flags.DEFINE_string("size", "1280x720", "Width and height of the image to restore.")
flags.DEFINE_integer("crop", 256, "Height and width of training crops.")
flags.DEFINE_integer("train_batch", 2, "Crops per training step; 0 measures restoring alone.")
flags.DEFINE_integer("runs", 3, "Timed runs of each, after one that is not timed.", 1)

LOSSES = {"deepdeblur": ("mse", "gaussian")}


def main(argv):
    del argv
    width, height = map(int, FLAGS.size.split("x"))
    print(f"{reports.versions()}; {processor()}; median of {FLAGS.runs} runs\n")
    columns = [
        "network",
        "precision",
        f"training, {FLAGS.crop}x{FLAGS.crop} patches/s",
        f"restoring, s per {FLAGS.size} image",
    ]
    for name in FLAGS.models:
        restoring = {p: restoring_step(name, p, height, width) for p in FLAGS.precisions}
        seconds = medians(restoring)
        del restoring
        patches = {}
        if FLAGS.train_batch:
            training = {p: training_step(name, p) for p in FLAGS.precisions}
            patches = {p: FLAGS.train_batch / s for p, s in medians(training).items()}
        rows = [
            [name, p, f"{patches[p]:.2f}" if patches else "-", f"{seconds[p]:.2f}"]
            for p in FLAGS.precisions
        ]
        print(reports.table(columns, rows), "\n", flush=True)  # the next may take long


def restoring_step(name, precision_name, height, width):
    with precision.policy(precision_name):
        net = models.build(name)
    image = np.random.default_rng(0).random((1, height, width, 3), "float32")
    return lambda: net.predict_on_batch(image)  # NumPy arrays


def training_step(name, precision_name):
    with precision.policy(precision_name):
        net = models.build(name)
        trainer = trainers.MultiScaleTrainer(net, *LOSSES.get(name, ("mimo_unet", "bilinear")))
        trainer.compile(
            optimizer=trainers.SkippingAdam(1e-4, epsilon=1e-8), jit_compile=net.jit_compile
        )
    shape = (FLAGS.train_batch, FLAGS.crop, FLAGS.crop, 3)
    batch = np.random.default_rng(0).random(shape, "float32")
    return lambda: trainer.train_on_batch(batch, batch)  # returns the loss as a Python number


def medians(functions):
    """Seconds of each function, called in turn."""
    for function in functions.values():
        function()
    seconds = {name: [] for name in functions}
    for _ in range(FLAGS.runs):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def processor():
    if not precision.on_cpu():
        return f"{keras.backend.backend()} on an accelerator"
    try:
        with open("/proc/cpuinfo") as file:
            lines = [line for line in file if line.startswith("model name")]
        return f"{len(lines)} cores of {lines[0].split(':')[1].strip()}"
    except (OSError, IndexError):
        return platform.processor()


if __name__ == "__main__":
    errors.run(main)
