"""Kills a training run with SIGKILL at random moments, and compares it with one that was not.

python benchmarks/kill_and_resume.py --kills=20

A small network is trained on made-up pairs, on the CPU in float32, with a checkpoint after every
second step. Each process of the run is killed, at any moment from its start on, and another goes on
with --resume. In the end all weights, the log and the best network have to be the same, bit for
bit; otherwise the status is 1.
"""

import contextlib
import dataclasses
import os
import pathlib
import random
import signal
import tempfile
import time

import keras
import numpy as np
from absl import flags

from tfdeblur import errors, recipes
from tfdeblur.data.pairs import split_folders
from tfdeblur.files import INCOMPLETE
from tfdeblur.io import images
from tfdeblur.training import callbacks, runs

FLAGS = flags.FLAGS
flags.DEFINE_integer("kills", 20, "How many processes are killed.", 1)
flags.DEFINE_integer("seed", 0, "Seed of the moments.")

STEPS_PER_KILL = 30
RECIPE = dataclasses.replace(
    recipes.QUICKSTART,
    network="deepdeblur",
    hyperparameters={"scales": 1, "filters": 4, "resblocks": 1},
    crop=16,
    batch_size=2,
    progressive=(recipes.Stage(until=0.5, crop=8, batch_size=4),),
    weight_decay=1e-3,
    validate_every=2,
    ema_momentum=0.9,
    accumulate=3,
    clip_norm=1.0,
    loss="mse",
    label_pyramid="gaussian",
    initialization="as_built",
)


def main(argv):
    del argv
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    moments = random.Random(FLAGS.seed)
    with tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root)
        make_pairs(root)
        whole, killed = root / "whole", root / "killed"
        started = time.monotonic()
        process = start(root, whole)
        wait_for_checkpoint(whole, [])
        startup = time.monotonic() - started
        assert end(process) == 0, output(whole)
        print(f"uninterrupted: {time.monotonic() - started:.1f} s", flush=True)

        for number in range(1, FLAGS.kills + 1):
            before = saved(killed)
            process = start(root, killed)
            if moments.random() < 0.3:
                time.sleep(moments.uniform(0, startup))
            else:
                wait_for_checkpoint(killed, before)
                time.sleep(moments.uniform(0, 1))
            alive = os.waitpid(process, os.WNOHANG) == (0, 0)
            assert alive, f"it ended before all kills:\n{output(killed)}"
            os.kill(process, signal.SIGKILL)
            end(process)
            incomplete = [path.name for path in killed.rglob(f"{INCOMPLETE}*")]
            print(f"kill {number} left", *(saved(killed) + incomplete), flush=True)
        assert end(start(root, killed)) == 0, output(killed)
        return report(whole, killed)


def make_pairs(root):
    """Twelve images of smooth noise, blurred along their rows."""
    for i in range(12):
        sharp = np.random.default_rng(i).integers(0, 256, (8, 10, 3)).repeat(3, 0).repeat(3, 1)
        blurry = np.mean([np.roll(sharp, k, axis=1) for k in range(-2, 3)], axis=0)
        for kind, image in (("blurry", blurry), ("sharp", sharp)):
            (root / kind).mkdir(exist_ok=True)
            images.write(root / kind / f"{i:02}.png", image.astype("uint8"))


def start(root, workdir):
    """A process that trains; it inherits TensorFlow, which has done nothing yet, imported."""
    process = os.fork()
    if process:
        return process
    status = 1
    with open(output_path(workdir), "a") as file, contextlib.suppress(BaseException):
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            pairs = split_folders(root / "blurry", root / "sharp", smallest=16)
            recipe = dataclasses.replace(RECIPE, steps=STEPS_PER_KILL * FLAGS.kills)
            runs.train(recipe, *pairs, workdir, precision_name="float32", resume=True)
            status = 0
        except Exception as error:
            print(repr(error), flush=True)
    os._exit(status)


def end(process):
    """Waits for it, and returns its status."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def output_path(workdir):
    return workdir.with_suffix(".log")


def output(workdir):
    return output_path(workdir).read_text()


def saved(workdir):
    return sorted(path.stem for path in workdir.glob("checkpoints/step_*"))


def wait_for_checkpoint(workdir, before):
    while saved(workdir) == before:
        time.sleep(0.01)


def report(whole, killed):
    """Prints the comparison, and returns the status."""
    same = {
        name: all(
            np.array_equal(a, b)
            for a, b in zip(weights(whole / name), weights(killed / name), strict=True)
        )
        for name in ("model.keras", "best.keras")
    }
    rows = [callbacks.read_metrics(run / "metrics.csv") for run in (whole, killed)]
    same["metrics.csv"] = rows[0] == rows[1]
    for name, equal in same.items():
        print(f"{name}: {'the same' if equal else 'DIFFERENT'}")
    return 0 if all(same.values()) else 1


def weights(path):
    return keras.saving.load_model(path).get_weights()


if __name__ == "__main__":
    errors.run(main)
