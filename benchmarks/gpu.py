"""All that is to know of an accelerator, in one table and less than eight minutes.

python benchmarks/gpu.py > gpu.md
KERAS_BACKEND=jax python benchmarks/gpu.py > gpu.md     # or torch, where TensorFlow is missing
python benchmarks/gpu.py --peer_python=torch/bin/python --mimo_unet_code=MIMO-UNet > gpu.md

- Parity: how far outputs on this device are from arrays that the authors' code computed.
- Restoring a 1280x720 image with each network in bfloat16: milliseconds until the result is on the
  host, and which share of the device's peak the convolutions take in them.
- A training step of MIMO-UNet and of DeepDeblur, as their recipes have it.
- The same with the authors' PyTorch code, in bfloat16 and channels_last: see restore.py for the
  environment and the checkouts.

The peak is --peak_tflops, of the data sheet for dense bfloat16; without it, the best of a large
matrix product that is measured here before each network. A share above 100 % is marked: others kept
the device busy during all of these. When --seconds are over, what is left is said not to be
measured. Without an accelerator it measures the processor.
"""

import pathlib
import statistics
import subprocess
import tempfile
import time

import keras
import numpy as np
import stopwatch
from absl import flags
from keras import ops

from tfdeblur import errors, models, precision, weights
from tfdeblur.evaluation.reports import table, versions

FLAGS = flags.FLAGS
flags.DEFINE_list("networks", None, "Names, see tfdeblur.models; None: all that restore.")
flags.DEFINE_string("size", "1280x720", "Width and height.")
flags.DEFINE_float("seconds", 420, "After which nothing more is begun.", 1)
flags.DEFINE_integer("rounds", 10, "Timed images, after one that is not.", 1)
flags.DEFINE_float("peak_tflops", None, "Of the data sheet; None: of a matrix product here.")
flags.DEFINE_string("peer_python", None, "The Python of an environment with PyTorch.")
flags.DEFINE_string("deepdeblur_code", None, "A checkout of SeungjunNah/DeepDeblur-PyTorch.")
flags.DEFINE_string("mimo_unet_code", None, "A checkout of chosj95/MIMO-UNet.")
flags.DEFINE_string("dmphn_code", None, "A checkout of HongguangZhang/DMPHN-cvpr19-master.")

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE.parent / "tests" / "golden"
# Of the arrays that the authors' code computed, by file: name and hyperparameters.
PARITY = {
    "deepdeblur_k3": (
        "deepdeblur",
        {"scales": 3, "filters": 8, "resblocks": 2, "upsampling": "sub_pixel"},
        255,
    ),
    "mimo_unet": ("mimo_unet", {"filters": 32, "resblocks": 1}, 1),
}
# Loss, label pyramid, batch and crop of the recipes.
TRAINING = {
    "mimo_unet": ("mimo_unet", "bilinear", 4, 256),
    "deepdeblur": ("mse", "gaussian", 2, 256),
}
MATRIX = 8192  # rows and columns; on a CPU an eighth


def main(argv):
    del argv
    end = time.monotonic() + FLAGS.seconds
    width, height = map(int, FLAGS.size.split("x"))
    peaks = [FLAGS.peak_tflops or measured_peak()]
    rows = [*parity_rows(), *restoring_rows(height, width, peaks, end), *training_rows(end)]
    rows += peer_rows(height, width, end)
    of_what = "of the data sheet" if FLAGS.peak_tflops else "of a matrix product"
    print(f"{precision.machine()}; {versions()}; peak {max(peaks):.1f} TFLOP/s {of_what}\n")
    shown = [[*cells, *share(tflops, max(peaks))] for *cells, tflops in rows]
    print(table(["", "of what", "result", "TFLOP/s", "of peak"], shown))


def share(tflops, peak):
    """Cells: TFLOP/s, and which share of the peak that is; empty where it was not counted."""
    if tflops is None:
        return "", ""
    mark = " (the peak is too low)" if tflops > peak else ""
    return f"{tflops:.2f}", f"{tflops / peak:.0%}{mark}"


def seconds_of(step, rounds, choose=statistics.median):
    """Of all times the median; the first, which compiles, is none. `step` returns when done."""
    step()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return choose(seconds)


def measured_peak():
    """TFLOP/s of a product of two square matrices in bfloat16, at its fastest."""
    size = MATRIX // 8 if precision.on_cpu() else MATRIX
    a = ops.ones((size, size), "bfloat16")
    seconds = seconds_of(
        lambda: float(ops.cast(ops.matmul(a, a)[0, 0], "float32")), FLAGS.rounds, choose=min
    )
    return 2 * size**3 / seconds / 1e12


def parity_rows():
    for file, (name, hyperparameters, scale) in PARITY.items():
        with np.load(GOLDEN / f"{file}.npz") as loaded:
            arrays = dict(loaded)
        state = {k.removeprefix("param/"): v for k, v in arrays.items() if k.startswith("param/")}
        for chosen in ("float32", "bfloat16"):
            with precision.policy(chosen):
                net = models.build(name, **hyperparameters)
            weights.from_torch(net, state)
            restored = net.restore_on_batch(arrays["input"].astype("float32") / 255)
            error = np.abs(restored - arrays["output_1"] / scale)
            result = f"{error.max():.1e} at most, {error.mean():.1e} in the mean"
            yield [f"parity, {name}", chosen, result, None]


def restoring_rows(height, width, peaks, end):
    """A row for each network; appends to `peaks` what is measured between them."""
    blurry = np.random.default_rng(0).random((1, height, width, 3), "float32")
    for name in FLAGS.networks or [n for n in models.NETWORKS if "discriminator" not in n]:
        title = [f"restore {width}x{height}", f"{name}, bfloat16"]
        if time.monotonic() > end:
            yield [*title, "not measured: no time was left", None]
            continue
        if not FLAGS.peak_tflops:
            peaks.append(measured_peak())
        with precision.policy("bfloat16"):
            net = models.build(name)
        missing = [(0, 0), (0, -height % net.stride), (0, -width % net.stride), (0, 0)]
        padded = np.pad(blurry, missing, "reflect")
        try:
            seconds = seconds_of(lambda net=net, x=padded: net.restore_on_batch(x), FLAGS.rounds)
        except Exception as error:
            if not errors.is_out_of_memory(error):
                raise
            yield [*title, "does not fit into memory", None]
            continue
        yield [*title, f"{1000 * seconds:.1f} ms", rate(net, padded.shape, seconds)]


def rate(net, shape, seconds):
    """TFLOP/s of the convolutions; None where they are not counted."""
    if keras.backend.backend() != "tensorflow":
        return None
    from tfdeblur.evaluation import complexity

    return 2 * complexity.multiply_accumulates(net, *shape[1:3]) / seconds / 1e12


def training_rows(end):
    if keras.backend.backend() == "torch":
        return
    from tfdeblur.training import optimizers, trainers

    for name, (loss, pyramid, batch_size, crop) in TRAINING.items():
        if FLAGS.networks and name not in FLAGS.networks:
            continue
        title = ["training step", f"{name}, bfloat16, {batch_size} crops of {crop}"]
        if time.monotonic() > end:
            yield [*title, "not measured: no time was left", None]
            continue
        with precision.policy("bfloat16"):
            net = models.build(name)
            trainer = trainers.MultiScaleTrainer(net, loss, pyramid)
        trainer.compile(optimizers.SkippingAdam(1e-4, epsilon=1e-8), jit_compile=net.jit_compile)
        images = np.random.default_rng(0).random((2, batch_size, crop, crop, 3), "float32")
        seconds = seconds_of(
            lambda t=trainer, x=images: float(t.train_on_batch(*x, return_dict=True)["loss"]),
            FLAGS.rounds,
        )
        yield [*title, f"{1000 * seconds:.1f} ms", None]


def peer_rows(height, width, end):
    """The authors' PyTorch code, on the same device."""
    codes = {
        "deepdeblur": FLAGS.deepdeblur_code,
        "mimo_unet": FLAGS.mimo_unet_code,
        "mimo_unet_plus": FLAGS.mimo_unet_code,
        "dmphn": FLAGS.dmphn_code,
    }
    for name, code in codes.items():
        if not (FLAGS.peer_python and code) or time.monotonic() > end:
            continue
        with tempfile.TemporaryDirectory() as folder:
            save_pyramid(height, width, folder)
            program = [FLAGS.peer_python, HERE / "restore_theirs.py", name]
            options = [f"--folder={folder}", f"--code={code}"]
            subprocess.run([*program, "export", *options], check=True)
            programs = {(name,): stopwatch.start(*program, "bfloat16", *options)}
            (answers,) = stopwatch.take_turns(programs, FLAGS.rounds).values()
        seconds = statistics.median(answer["seconds"] for answer in answers)
        title = [f"restore {width}x{height}", f"{name}, bfloat16, the authors' PyTorch code"]
        yield [*title, f"{1000 * seconds:.1f} ms", None]


def save_pyramid(height, width, folder):
    """Random levels, as restore_theirs.py takes them; sizes are multiples of 16."""
    rng = np.random.default_rng(0)
    levels = {
        f"level{k + 1}": rng.random((1, height >> k, width >> k, 3), "float32") for k in range(3)
    }
    np.savez(pathlib.Path(folder, "blurry.npz"), **levels)


if __name__ == "__main__":
    errors.run(main)
