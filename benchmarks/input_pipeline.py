"""Training patches per second of our input pipeline and of the authors' PyTorch loaders.

python benchmarks/input_pipeline.py --gopro_dir=GOPRO_Large --torch_python=venv/bin/python \
    --deepdeblur=DeepDeblur-PyTorch --mimo_unet=MIMO-UNet

The checkouts run as they are, with their own datasets, augmentations and DataLoader, with as many
workers as there are cores; the Python needs torch, torchvision, imageio and scikit-image 0.19
(later ones lack an argument that DeepDeblur-PyTorch's pyramid passes). Without --torch_python only
ours is measured. All read the same files and are measured in turn, several times; the median is
printed, because absolute speeds of a shared machine drift and their ratio much less.
"""

import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time
import zlib

import numpy as np
import tensorflow as tf
from absl import flags

from tfdeblur import errors, recipes
from tfdeblur.data import cache, pipeline, png
from tfdeblur.data.augment import AUGMENTATIONS
from tfdeblur.data.pairs import from_folders
from tfdeblur.evaluation import reports
from tfdeblur.io import images, pairing

FLAGS = flags.FLAGS
flags.DEFINE_string("gopro_dir", None, "A GOPRO_Large folder, or give the next two.")
flags.DEFINE_string("blurry_dir", None, "Blurry PNG files.")
flags.DEFINE_string("sharp_dir", None, "Their sharp partners.")
flags.DEFINE_string("torch_python", None, "A Python that has PyTorch.")
flags.DEFINE_string("deepdeblur", None, "A checkout of SeungjunNah/DeepDeblur-PyTorch.")
flags.DEFINE_string("mimo_unet", None, "A checkout of chosj95/MIMO-UNet.")
flags.DEFINE_integer("batch_size", 16, "Patches per batch, of all loaders.")
flags.DEFINE_integer("batches", 8, "Timed batches of each loader; 4 times as many of ours.", 1)
flags.DEFINE_integer("repeats", 3, "Measurements of each loader, in turn.", 1)

CROP = 256
CORES = os.cpu_count()
DEEPDEBLUR = recipes.RECIPES["deepdeblur_k3"].augmentations
MIMO_UNET = recipes.RECIPES["mimo_unet"].augmentations

# Run in --torch_python, each prints the seconds of its timed batches.
_TIMING = """
batches = iter(loader)
for _ in range(2):
    next(batches)
start = time.perf_counter()
for _ in range(settings["batches"]):
    next(batches)
print(time.perf_counter() - start)
os._exit(0)  # workers are still busy
"""
_DEEPDEBLUR_LOADER = f"""
import json, os, sys, time, types
settings = json.loads(sys.argv[1])
sys.argv = sys.argv[:1]
sys.path.insert(0, os.path.join(settings["checkout"], "src"))
from data import Data
loader = Data(types.SimpleNamespace(
    do_train=True, do_validate=False, do_test=False, demo=False, distributed=False,
    data_root=settings["folder"], data_train="GOPRO_Large", data_val="", data_test="",
    patch_size={CROP}, augment=True, rgb_range=255, n_scales=3,
    gaussian_pyramid=settings["pyramid"], n_GPUs=1,
    batch_size=settings["batch_size"], num_workers=settings["workers"],
)).get_loader()["train"]
{_TIMING}"""
_MIMO_UNET_LOADER = f"""
import json, os, sys, time
settings = json.loads(sys.argv[1])
sys.path.insert(0, settings["checkout"])
from data import train_dataloader
loader = train_dataloader(
    os.path.join(settings["folder"], "GOPRO"), settings["batch_size"], settings["workers"]
)
{_TIMING}"""


def main(argv):
    del argv
    files = find_files()
    print(
        f"{reports.versions()}; {CORES} cores; {len(files)} pairs; {CROP}x{CROP} patches in "
        f"batches of {FLAGS.batch_size}; median of {FLAGS.repeats}\n"
    )
    print_costs(files)
    with tempfile.TemporaryDirectory() as folder:
        pairs = lay_out(files, pathlib.Path(folder))
        loaders = {**their_loaders(folder), **our_loaders(pairs, folder)}
        rates = {name: [] for name in loaders}
        for _ in range(FLAGS.repeats):
            for name, measure in loaders.items():
                rates[name].append(measure())
    medians = {name: statistics.median(values) for name, values in rates.items()}
    columns = ["loader", "augmentation", "patches/s", "lowest to highest", "times the first"]
    first, *_ = medians.values()
    rows = [
        [
            *name,
            f"{rate:.1f}",
            f"{min(rates[name]):.1f} to {max(rates[name]):.1f}",
            f"{rate / first:.1f}",
        ]
        for name, rate in medians.items()
    ]
    print(reports.table(columns, rows))


def find_files():
    """List of `pairing.Pair`."""
    if not FLAGS.gopro_dir:
        return pairing.find_pairs(FLAGS.blurry_dir, FLAGS.sharp_dir)
    blurry = sorted(pathlib.Path(FLAGS.gopro_dir, "train").glob("*/blur_gamma/*.png"))
    if not blurry:
        raise errors.InputError(f"--gopro_dir={FLAGS.gopro_dir} has no train/*/blur_gamma/*.png.")
    return [
        pairing.Pair(
            f"{path.parts[-3]}_{path.stem}",
            path,
            path.parents[1] / "sharp" / path.name,
            images.size(path),
        )
        for path in blurry
    ]


def lay_out(files, folder):
    """Links the files as each loader wants them; a few files are used many times.

    So no epoch ends while a loader is timed: PyTorch starts its workers anew for each.
    """
    count = max(len(files), FLAGS.batch_size * (FLAGS.batches + 2 + 2 * CORES))
    for i in range(count):
        pair = files[i % len(files)]
        for kind, path in (("blur", pair.blurry), ("sharp", pair.sharp)):
            deepdeblur_kind = "blur_gamma" if kind == "blur" else kind
            for link in (
                folder / "GOPRO_Large/train/sequence" / deepdeblur_kind / f"{i:06d}.png",
                folder / "GOPRO/train" / kind / f"{i:06d}.png",
            ):
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.resolve())
    return from_folders(folder / "GOPRO/train/blur", folder / "GOPRO/train/sharp", CROP)


def their_loaders(folder):
    """{(loader, augmentation): function that returns patches per second}."""

    def measure(code, checkout, **settings):
        settings |= {
            "checkout": os.path.abspath(checkout),
            "folder": folder,
            "batches": FLAGS.batches,
            "batch_size": FLAGS.batch_size,
            "workers": CORES,
        }
        done = subprocess.run(
            [FLAGS.torch_python, "-c", code, json.dumps(settings)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise errors.InputError(
                f"{checkout} does not run in --torch_python={FLAGS.torch_python}: "
                f"{done.stderr.strip().splitlines()[-1]}"
            )
        return FLAGS.batches * FLAGS.batch_size / float(done.stdout.split()[-1])

    loaders = {}
    if FLAGS.torch_python and FLAGS.deepdeblur:
        for pyramid, text in ((False, "DeepDeblur's"), (True, "DeepDeblur's, then its pyramid")):
            loaders["DeepDeblur-PyTorch", text] = lambda pyramid=pyramid: measure(
                _DEEPDEBLUR_LOADER, FLAGS.deepdeblur, pyramid=pyramid
            )
    if FLAGS.torch_python and FLAGS.mimo_unet:
        loaders["MIMO-UNet", "MIMO-UNet's"] = lambda: measure(_MIMO_UNET_LOADER, FLAGS.mimo_unet)
    return loaders


def our_loaders(pairs, folder):
    """Likewise."""

    def measure(pairs, augmentations, crops_per_image=1):
        batches = iter(  # a new one each time, so that none works on while others are timed
            pipeline.batches(
                pairs,
                crop=CROP,
                batch_size=FLAGS.batch_size,
                augmentations=augmentations,
                seed=0,
                crops_per_image=crops_per_image,
            )
        )
        # Mixed crops come in groups: few of those timed may be ready when the clock starts.
        group = pipeline.MIXED_IMAGES * crops_per_image // FLAGS.batch_size
        warm_up = 2 * group if crops_per_image > 1 else 4 * CORES
        timed = max(4 * FLAGS.batches, 2 * warm_up)
        for _ in range(warm_up):
            next(batches)
        start = time.perf_counter()
        for _ in range(timed):
            next(batches)
        return timed * FLAGS.batch_size / (time.perf_counter() - start)

    in_memory = cache.keep_in_memory(pairs)
    patches = cache.cut_patches(pairs, pathlib.Path(folder, "patches"), 2 * CROP)
    return {
        ("tfdeblur", "DeepDeblur's"): lambda: measure(pairs, DEEPDEBLUR),
        ("tfdeblur --crops_per_image=8", "DeepDeblur's"): lambda: measure(pairs, DEEPDEBLUR, 8),
        ("tfdeblur --cache=ram", "DeepDeblur's"): lambda: measure(in_memory, DEEPDEBLUR),
        ("tfdeblur --cache=FOLDER", "DeepDeblur's"): lambda: measure(patches, DEEPDEBLUR),
        ("tfdeblur", "MIMO-UNet's"): lambda: measure(pairs, MIMO_UNET),
    }


def print_costs(files):
    """Processor time of the steps of a training patch, and so where the limit is."""
    paths = [path for pair in files[:4] for path in (pair.blurry, pair.sharp)]
    contents = [path.read_bytes() for path in paths]
    rows = [
        ["decoding an image: Pillow", cost(images.read, paths)],
        ["decoding an image: tf.io.decode_png", cost(tf.io.decode_png, contents)],
    ]
    if png.AVAILABLE:
        height, width = png.size(contents[0])
        top = (height - CROP) // 2  # on average a crop's rows end where the middle one's do
        needed = (top + CROP) * (1 + 3 * width)
        corners = [(top, (width - CROP) // 2)]
        streams = [png.compressed(content) for content in contents]
        rows += [
            ["inflating an image: zlib", cost(zlib.decompress, streams)],
            [
                "inflating an image: isal",
                cost(lambda x: png.inflate(x, height * needed // (top + CROP)), streams),
            ],
            ["inflating the rows of a crop: isal", cost(lambda x: png.inflate(x, needed), streams)],
            [
                "a crop of an image: tfdeblur.data.png",
                cost(lambda x: png.crops(x, corners, CROP), contents),
            ],
        ]
    for names, title in ((DEEPDEBLUR, "DeepDeblur's"), (MIMO_UNET, "MIMO-UNet's")):
        rows.append([f"augmenting a pair of crops: {title}", augmentation_cost(names)])
    print(reports.table(["step", "ms on one core"], [[x, f"{ms:.1f}"] for x, ms in rows]), "\n")


def cost(function, arguments):
    """Milliseconds of processor time per call: the least of several runs through `arguments`."""
    times = []
    for _ in range(5):
        start = time.process_time()
        for argument in arguments:
            function(argument)
        times.append(time.process_time() - start)
    return 1000 * min(times) / len(arguments)


def augmentation_cost(names):
    noise = np.random.default_rng(0).random((2, CROP, CROP, 3), "float32")
    smooth = tf.nn.avg_pool2d(noise, 9, 1, "SAME")

    @tf.function
    def augment(number):
        blurry, sharp = tf.unstack(smooth)
        for i, name in enumerate(names):
            blurry, sharp = AUGMENTATIONS[name](blurry, sharp, tf.stack([number, i]))
        return blurry, sharp

    return cost(augment, tf.unstack(tf.range(50)))


if __name__ == "__main__":
    errors.run(main)
