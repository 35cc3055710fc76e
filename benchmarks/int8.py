"""What 8-bit integers gain and cost: a network quantised by NNCF, in OpenVINO beside TensorFlow.

pip install openvino nncf
python benchmarks/int8.py reds/test_blur:reds/test_sharp --manual_dir=photos/ --model=photographs

The network becomes an ONNX file, and is quantised after training: all layers, by crops of blurry
photographs that `moving_stills/photographs_short` makes, two beside each other, whose ranges are
taken without their outliers. Each engine restores all pairs, then the engines take turns: seconds
and processor time of one image of --size, medians of --rounds.
"""

import functools
import pathlib
import statistics
import tempfile
import time

import nncf
import numpy as np
import openvino
from absl import flags
from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
from nncf.quantization.range_estimator import RangeEstimatorParametersSet

from tfdeblur import errors, export, metrics, precision, weights
from tfdeblur.cli import flags as shared
from tfdeblur.errors import InputError
from tfdeblur.evaluation import reports, test_sets

FLAGS = flags.FLAGS
shared.define_network()
flags.DEFINE_string("data_dir", None, "Of moving_stills/photographs_short, as for train.py.")
flags.DEFINE_string("manual_dir", None, "Likewise.")
flags.DEFINE_integer("crops", 100, "Of the photographs, by which ranges are found.", 2)
flags.DEFINE_string("size", "640x352", "Width and height of the image that is timed.")
flags.DEFINE_integer("rounds", 15, "Timed images of each engine, after one that is not.", 1)
flags.DEFINE_integer("threads", 2, "Of OpenVINO.", 1)


def main(argv):
    if not argv[1:]:
        raise InputError("name folders: blurry:sharp")
    network, name = weights.open_network(FLAGS.model, FLAGS.weights)
    pairs = [
        (blurry, sharp)
        for folders in argv[1:]
        for _, blurry, sharp in test_sets.from_folders(*folders.split(":", 1)).read()
    ]
    half = precision.cast(network, "bfloat16")
    core = openvino.Core()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "network.onnx")
        export.export(network, path, "onnx")
        plain, integers = core.read_model(path), quantised(core.read_model(path), crops())
        engines = {
            "TensorFlow, float32": network.restore_on_batch,
            "TensorFlow, bfloat16": half.restore_on_batch,
            "OpenVINO, bfloat16": compiled(core, plain),
            "OpenVINO, int8": compiled(core, integers),
        }
        scores = {
            engine: [quality(network, run, *pair) for pair in pairs]
            for engine, run in engines.items()
        }
    times = take_turns(engines)
    exact, rows = next(iter(scores.values())), []
    for engine, values in scores.items():
        lost = np.subtract(exact, values)
        seconds, processor = (statistics.median(x) for x in zip(*times[engine], strict=True))
        rows.append(
            [
                engine,
                f"{processor:.2f}",
                f"{seconds:.2f}",
                f"{lost.mean():.2f}",
                f"{lost.max():.2f}",
            ]
        )
    header = ["engine", "processor time (s)", "seconds", "lost (dB)", "worst image (dB)"]
    print(f"{name}: {len(pairs)} pairs, {np.mean(exact):.2f} dB in float32; {FLAGS.size}\n")
    print(reports.table(header, rows))


def crops():
    """float32 [1, H, 2 W, 3] in [0, 1]: what lies beside each other crosses the windows of TLC."""
    data = test_sets.from_tfds(
        "moving_stills/photographs_short", "train", FLAGS.data_dir, FLAGS.manual_dir
    )
    step = max(1, data.count // FLAGS.crops)
    images = [blurry for i, (_, blurry, _) in enumerate(data.read()) if i % step == 0]
    pairs = zip(images[::2], images[1::2], strict=False)
    return [np.concatenate(pair, 1)[None].astype("float32") / 255 for pair in pairs]


def quantised(model, images):
    model.reshape(images[0].shape)
    ranges = RangeEstimatorParametersSet.MEAN_NO_OUTLIERS_MINMAX
    integers = nncf.quantize(
        model,
        nncf.Dataset(images),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        advanced_parameters=AdvancedQuantizationParameters(
            activations_range_estimator_params=ranges
        ),
    )
    return integers


def compiled(core, model):
    """A function from images to restored ones."""
    options = {
        "INFERENCE_PRECISION_HINT": "bf16",
        "INFERENCE_NUM_THREADS": FLAGS.threads,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
    }

    @functools.cache
    def program(shape):
        # For each size: where sizes are left open, OpenVINO 2026.4 takes twice as long in integers.
        model.reshape(shape)
        return core.compile_model(model, "CPU", options)

    return lambda images: program(images.shape)(images)[0]


def quality(network, run, blurry, sharp):
    height, width = blurry.shape[:2]
    amount = [(0, -size % network.stride) for size in (height, width)]
    padded = np.pad(blurry.astype("float32") / 255, [*amount, (0, 0)])
    restored = np.rint(255 * np.clip(run(padded[None])[0, :height, :width], 0, 1))
    return metrics.psnr(sharp, restored.astype("uint8"), 255)


def take_turns(engines):
    width, height = map(int, FLAGS.size.split("x"))
    image = np.random.default_rng(0).random((1, height, width, 3), "float32")
    times = {engine: [] for engine in engines}
    for i in range(1 + FLAGS.rounds):
        for engine, run in engines.items():
            clock, processor = time.perf_counter(), time.process_time()
            run(image)
            taken = time.perf_counter() - clock, time.process_time() - processor
            if i:
                times[engine].append(taken)
    return times


if __name__ == "__main__":
    errors.run(main)
