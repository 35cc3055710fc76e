"""What the classical methods recover from made-up camera shake, and how fast they are.

python benchmarks/classical.py --photos=PATH

The photographs of the Kodak set, each blurred by three seeded camera-shake kernels, with noise of
0.01. Restored twice by the same final step: with the estimated kernel, and with the true one; both
are shifted by up to five pixels, in quarters, to where they fit the sharp image best.
Then the seconds for 800x800 pixels and a 51-pixel kernel, against `classical_reference.py`; and
with --pairs, what one kernel does to frames of video, whose blur is not the same everywhere.
"""

import logging
import os
import pathlib
import sys
import time

import numpy as np
from absl import flags
from PIL import Image
from scipy import ndimage, signal

sys.path.insert(0, os.path.dirname(__file__))
import classical_reference

from tfdeblur import classical, errors

FLAGS = flags.FLAGS
flags.DEFINE_string("photos", None, "A folder with the Kodak photographs as 01.png to 24.png.")
flags.DEFINE_string("pairs", None, "A folder with test_blur/, test_sharp/, ... of REDS.")
flags.DEFINE_list("numbers", [f"{i + 1:02}" for i in range(24)], "Which photographs.")
flags.DEFINE_list("seeds", ["0", "1", "2"], "Of the kernels.")
flags.DEFINE_list("priors", ["l0"], "Which priors.")
flags.DEFINE_enum("method", "tv", classical.METHODS, "The final step.")
flags.DEFINE_integer("speed_size", 800, "Pixels of the side for the speed, 0 for no timing.")
flags.DEFINE_integer("speed_kernel", 51, "Kernel size for the speed.")

CROP, SIZE, NOISE = 255, 25, 0.01
_SHIFT, _BORDER = 5, 15


def shake(seed, size=SIZE):
    """A camera-shake kernel: the trace of a random walk with inertia, float32 [size, size]."""
    rng = np.random.default_rng(seed)
    velocity = np.cumsum(rng.normal(size=(400, 2)), axis=0)
    velocity = ndimage.gaussian_filter1d(velocity, 12, axis=0)
    path = np.cumsum(velocity - velocity.mean(0) + rng.normal(size=2) * 4, axis=0)
    path -= (path.max(0) + path.min(0)) / 2
    path *= 0.38 * size / np.abs(path).max()
    kernel = np.zeros((size, size))
    lower = np.floor(path).astype(int)
    for y in (0, 1):  # each moment lights four pixels
        for x in (0, 1):
            share = np.prod(1 - np.abs(path - lower - (y, x)), axis=1)
            places = lower + size // 2 + (y, x)
            np.add.at(kernel, (places[:, 0], places[:, 1]), share)
    return (kernel / kernel.sum()).astype(np.float32)


def blur(sharp, kernel, seed):
    """The blurry float32 image [H - h + 1, W - w + 1, C], with noise, quantised to 8 bit."""
    blurry = signal.fftconvolve(sharp, kernel[..., None].astype(np.float64), "valid", axes=(0, 1))
    blurry += np.random.default_rng(seed).normal(0, NOISE, blurry.shape)
    return np.rint(255 * np.clip(blurry, 0, 1)).astype(np.uint8)


def error(restored, sharp):
    """The least mean squared error over shifts of up to 5 pixels, in quarters, inside a border."""
    restored = restored / 255.0
    inner = np.s_[_BORDER:-_BORDER, _BORDER:-_BORDER]
    target = sharp[inner]

    def at(y, x):
        moved = ndimage.shift(restored, (y, x, 0), order=1) if y % 1 or x % 1 else None
        if moved is None:
            moved = np.roll(restored, (int(y), int(x)), (0, 1))
        return float(np.mean(np.square(moved[inner] - target)))

    whole = np.arange(-_SHIFT, _SHIFT + 1)
    y, x = min(((y, x) for y in whole for x in whole), key=lambda place: at(*place))
    parts = np.arange(-3, 4) / 4
    return min(at(y + dy, x + dx) for dy in parts for dx in parts)


def deconvolved(blurry, kernel, method="tv"):
    """The final step, as `classical.restore` does it."""
    return classical.deconvolve(blurry, kernel, method, kernel_sigma=classical.ESTIMATED_SIGMA)


def similarity(kernel, true):
    """The largest normalised cross-correlation."""
    products = signal.correlate(kernel, true)
    return float(products.max() / np.linalg.norm(kernel) / np.linalg.norm(true))


def psnr(mean_square):
    return -10 * np.log10(mean_square)


def main(argv):
    del argv
    logging.disable(logging.WARNING)
    if not FLAGS.photos:
        raise errors.InputError("give the folder of the Kodak photographs by --photos.")
    for prior in FLAGS.priors:
        made_up_shakes(prior)
    if FLAGS.speed_size:
        speed()
    if FLAGS.pairs:
        varying_blur()


def made_up_shakes(prior):
    print(f"{prior}: photo kernel  blurry  restored  true kernel  error ratio  similarity  seconds")
    rows = []
    for photo in FLAGS.numbers:
        for seed in map(int, FLAGS.seeds):
            true = shake(seed)
            sharp, blurry = case(photo, seed, FLAGS.photos)
            before = time.perf_counter()
            kernel = classical.estimate_kernel(blurry, SIZE, prior)
            seconds = time.perf_counter() - before
            restored, best = (
                error(deconvolved(blurry, each, FLAGS.method), sharp) for each in (kernel, true)
            )
            row = (
                *(psnr(value) for value in (error(blurry, sharp), restored, best)),
                restored / best,
                similarity(kernel, true),
                seconds,
            )
            rows.append(row)
            print(f"{prior}: {photo:>5} {seed:6} {_numbers(row)}", flush=True)
    rows = np.array(rows)
    print(f"{prior}: mean         {_numbers(rows.mean(0))}")
    print(
        f"{prior}: error ratio <= 2 in {np.sum(rows[:, 3] <= 2)} of {len(rows)}, "
        f"largest {rows[:, 3].max():.2f}; smallest similarity {rows[:, 4].min():.3f}; "
        f"gain {np.mean(rows[:, 1] - rows[:, 0]):+.2f} dB",
        flush=True,
    )


def case(photo, seed, folder):
    """(sharp float [H, W, 3], blurry uint8 [H, W, 3]) from the middle of a photograph."""
    picture = np.asarray(Image.open(pathlib.Path(folder) / f"{photo}.png").convert("RGB"))
    side = CROP + SIZE - 1
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    wide = picture[top : top + side, left : left + side] / 255
    edge = SIZE // 2
    return wide[edge:-edge, edge:-edge], blur(wide, shake(seed), seed)


def varying_blur(size=21):
    """Two frames of each scene."""
    print(f"frames of REDS, {size}x{size}: blurry  restored  shifted to fit: blurry  restored")
    rows = []
    for scene in sorted(pathlib.Path(FLAGS.pairs).glob("*_blur/*")):
        for path in sorted(scene.iterdir())[:10:5]:
            other = path.parts[-3].replace("_blur", "_sharp")
            sharp = np.asarray(Image.open(path.parents[2] / other / path.parts[-2] / path.name))
            blurry = np.asarray(Image.open(path))
            restored, _ = classical.restore(blurry, size)
            row = [np.mean(np.square((x - sharp / 1.0) / 255)) for x in (blurry, restored)]
            row += [error(x, sharp / 255) for x in (blurry, restored)]
            rows.append([psnr(value) for value in row])
            print(path.parts[-2], path.stem, *(f"{value:6.2f}" for value in rows[-1]), flush=True)
    means = np.mean(rows, 0)
    print(f"mean of {len(rows)}:", *(f"{value:.2f}" for value in means))


def speed():
    """Seconds of the kernel by both versions, alternately, the better of two runs each."""
    size = FLAGS.speed_kernel
    side = FLAGS.speed_size + size - 1
    path = pathlib.Path(FLAGS.photos) / f"{FLAGS.numbers[0]}.png"
    picture = Image.open(path).convert("L")
    factor = max(side / min(picture.size), 1)
    picture = picture.resize([round(length * factor) for length in picture.size], Image.BICUBIC)
    wide = np.asarray(picture)[:side, :side, None] / 255
    blurry = blur(wide, shake(0, size), 0)[..., 0]
    versions = {
        "reference": lambda: classical_reference.estimate_kernel(blurry, size),
        "one thread": lambda: classical.estimate_kernel(blurry, size, workers=1),
        "all cores": lambda: classical.estimate_kernel(blurry, size),
    }
    seconds, kernels = {name: [] for name in versions}, {}
    for _ in range(2):
        for name, run in versions.items():
            before = time.perf_counter()
            kernels[name] = run()
            seconds[name].append(time.perf_counter() - before)
    for name, times in seconds.items():
        print(
            f"{name}: {min(times):.1f} s, {min(seconds['reference']) / min(times):.2f} times as "
            f"fast; similarity to the reference's kernel "
            f"{similarity(kernels[name], kernels['reference']):.4f}"
        )


def _numbers(row):
    blurry, restored, best, ratio, alike, seconds = row
    return f"{blurry:7.2f} {restored:9.2f} {best:12.2f} {ratio:12.2f} {alike:11.3f} {seconds:8.1f}"


if __name__ == "__main__":
    errors.run(main)
