"""Images per second of the metrics alone, beside scikit-image and NAFNet's volume SSIM.

python benchmarks/evaluation.py --torch_python=venv/bin/python --nafnet=NAFNet

NAFNet's function is loaded from a checkout of megvii-research/NAFNet and runs as it is, on the
processor where that Python's PyTorch sees no GPU; that Python also needs opencv-python-headless
and scikit-image. Without --torch_python it is left out. All measure the same two images in turn,
several times; medians are printed, because absolute speeds of a shared machine drift and their
ratio much less. The values that they return are printed, too.
"""

import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import numpy as np
from absl import flags
from skimage.metrics import structural_similarity

from tfdeblur import errors, metrics
from tfdeblur.evaluation import reports

FLAGS = flags.FLAGS
flags.DEFINE_string("torch_python", None, "A Python that has PyTorch.")
flags.DEFINE_string("nafnet", None, "A checkout of megvii-research/NAFNet.")
flags.DEFINE_string("size", "1280x720", "Width and height of the images.")
flags.DEFINE_integer("repeats", 5, "Measurements of each, in turn.", 1)

# Answers each line of its input with seconds and value. `metric_util` of NAFNet imports the whole
# of its package; the volume SSIM of an image with channels last uses none of it.
_NAFNET = """
import importlib.util, sys, time, types
import numpy as np, torch
for name in ("basicsr", "basicsr.metrics", "basicsr.metrics.metric_util"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["basicsr.metrics.metric_util"].reorder_image = lambda image, input_order: image
sys.modules["basicsr.metrics.metric_util"].to_y_channel = None
if not torch.cuda.is_available():
    torch.Tensor.cuda = torch.nn.Module.cuda = lambda self: self
path, images = sys.argv[1:]
spec = importlib.util.spec_from_file_location("psnr_ssim", path)
psnr_ssim = importlib.util.module_from_spec(spec)
spec.loader.exec_module(psnr_ssim)
sharp, restored = np.load(images)
for _ in sys.stdin:
    start = time.perf_counter()
    value = psnr_ssim.calculate_ssim(sharp, restored, crop_border=0)
    print(time.perf_counter() - start, value, flush=True)
"""


def main(argv):
    del argv
    width, height = map(int, FLAGS.size.split("x"))
    generator = np.random.default_rng(0)
    sharp = generator.integers(0, 256, (height, width, 3), np.uint8)
    restored = np.clip(sharp + generator.normal(0, 9, sharp.shape), 0, 255).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        functions = {
            ("PSNR", "tfdeblur"): timed(metrics.psnr, sharp, restored, 255),
            ("SSIM (gaussian)", "scikit-image"): timed(skimage_ssim, sharp, restored),
            ("SSIM (gaussian)", "tfdeblur"): timed(metrics.ssim, sharp, restored, 255),
            ("SSIM (volume)", "NAFNet"): nafnet(sharp, restored, pathlib.Path(folder, "pair.npy")),
            ("SSIM (volume)", "tfdeblur"): timed(metrics.ssim, sharp, restored, 255, "volume"),
        }
        functions = {name: function for name, function in functions.items() if function}
        print(
            f"{reports.versions()}; {os.cpu_count()} cores; {FLAGS.size}; median of "
            f"{FLAGS.repeats}\n"
        )
        print(reports.table(*measure(functions)))


def measure(functions):
    """The header and the rows of the table; functions return (seconds, value)."""
    results = {name: [] for name in functions}
    for _ in range(1 + FLAGS.repeats):  # the first is not counted
        for name, function in functions.items():
            results[name].append(function())
    seconds = {n: statistics.median(s for s, _ in results[n][1:]) for n in results}
    header = ["metric", "by", "images/s", "lowest to highest", "times the reference", "value"]
    rows, reference = [], {}
    for (metric, by), median in seconds.items():
        rates = [1 / s for s, _ in results[metric, by][1:]]
        ratio = reference.setdefault(metric, median) / median
        rows.append(
            [
                metric,
                by,
                f"{1 / median:.2f}",
                f"{min(rates):.2f} to {max(rates):.2f}",
                f"{ratio:.1f}",
                f"{results[metric, by][0][1]:.7f}",
            ]
        )
    return header, rows


def timed(function, *arguments):
    """The function without arguments, which returns (seconds, value)."""

    def run():
        start = time.perf_counter()
        value = function(*arguments)
        return time.perf_counter() - start, value

    return run


def skimage_ssim(sharp, restored):
    return structural_similarity(
        sharp,
        restored,
        data_range=255,
        channel_axis=-1,
        gaussian_weights=True,
        use_sample_covariance=False,
    )


def nafnet(sharp, restored, path):
    """Like `timed`, in a process of --torch_python; None where that is not given."""
    if not (FLAGS.torch_python and FLAGS.nafnet):
        return None
    module = pathlib.Path(FLAGS.nafnet, "basicsr/metrics/psnr_ssim.py")
    if not module.exists():
        raise errors.InputError(f"--nafnet={FLAGS.nafnet} has no basicsr/metrics/psnr_ssim.py.")
    np.save(path, [sharp, restored])
    process = subprocess.Popen(
        [FLAGS.torch_python, "-c", _NAFNET, str(module), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def run():
        print(file=process.stdin, flush=True)
        answer = process.stdout.readline()
        if not answer:
            raise errors.InputError("NAFNet's code failed, see above: check --torch_python.")
        seconds, value = map(float, answer.split())
        return seconds, value

    return run


if __name__ == "__main__":
    errors.run(main)
