"""What happens between the steps of a training: its end, log, best network and progress."""

import csv
import time

import keras
import numpy as np
import tensorflow as tf
import tqdm
from keras import ops

from tfdeblur.errors import InputError
from tfdeblur.files import replacing
from tfdeblur.training.checkpoints import save_network

MOST_SKIPPED_IN_ROW = 20
SHOWN = 4  # pictures in TensorBoard


class StopAtLastStep(keras.callbacks.Callback):
    """Ends the run at its last step, and stops one that only skips steps."""

    def __init__(self, checkpoints, last):
        super().__init__()
        self.checkpoints = checkpoints
        self.last = last

    def on_train_batch_end(self, batch, logs=None):
        step = self.checkpoints.step
        # Not after each step: reading the count waits for the device. (On JAX it is only brought up
        # to date at the end of an epoch.)
        if step % MOST_SKIPPED_IN_ROW == 0 and self._skipped_in_row() >= MOST_SKIPPED_IN_ROW:
            raise InputError(
                f"{MOST_SKIPPED_IN_ROW} steps in a row had gradients that are not finite, the last "
                f"one step {step}. Try `precision=float32` or other data; "
                f"the newest checkpoint is of step {self.checkpoints.newest()[0]}."
            )
        if step >= self.last:
            self.model.stop_training = True

    def _skipped_in_row(self):
        counts = [int(ops.convert_to_numpy(o.skipped_in_row)) for o in self.model.optimizers]
        counts[-1] //= getattr(self.model, "updates", 1)  # a critic's, which may be several a step
        return max(counts)


class LogMetrics(keras.callbacks.Callback):
    """Writes metrics.csv, and TensorBoard's scalars and before/after crops, after each epoch.

    Args:
        workdir: pathlib.Path of the run; the rows that are logged there already, up to the step of
            `checkpoints`, are kept.
        checkpoints: `Checkpoints`, restored.
        blurry, sharp: images `[B, H, W, 3]` that TensorBoard shows, with the restored ones between.
        suffix: of the names of TensorBoard's files.
    """

    def __init__(self, workdir, checkpoints, blurry, sharp, suffix=".v2"):
        super().__init__()
        self.path = workdir / "metrics.csv"
        self.checkpoints = checkpoints
        self.blurry = blurry
        self.sharp = sharp
        # A run that was killed may have logged steps that come again now.
        self.rows = [r for r in read_metrics(self.path) if int(r["step"]) <= checkpoints.step]
        self.board = tf.summary.create_file_writer(
            str(workdir / "tensorboard"), filename_suffix=suffix
        )

    def on_epoch_end(self, epoch, logs=None):
        step = self.checkpoints.step
        skipped = [int(ops.convert_to_numpy(o.skipped)) for o in self.model.optimizers]
        scalars = {
            **logs,
            "learning_rate": float(ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "skipped_steps": max(skipped),
        }
        self.rows.append({"step": step, **scalars})
        with replacing(self.path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, self.rows[-1])
            writer.writeheader()
            writer.writerows(self.rows)
        with self.model.averaged_weights():
            restored = np.clip(self.model.network(self.blurry, training=False)[0], 0, 1)
        with self.board.as_default(step):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
            pictures = tf.concat([self.blurry, restored, self.sharp], axis=2)
            tf.summary.image("blurry, restored, sharp", pictures, max_outputs=SHOWN)
        self.board.flush()


def read_metrics(path):
    """The rows of a metrics.csv as dicts of strings; none where there is no such file."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


class SaveBest(keras.callbacks.Callback):
    """Saves the network whose validation PSNR is the highest so far, also before a resume.

    Args:
        path: of a .keras file.
        log: `LogMetrics` of the same run; to stand before this in the list of callbacks.
    """

    def __init__(self, path, log):
        super().__init__()
        self.path = path
        self.psnr = max((float(row["val_psnr"]) for row in log.rows), default=-np.inf)

    def on_epoch_end(self, epoch, logs=None):
        if logs["val_psnr"] > self.psnr:
            self.psnr = logs["val_psnr"]
            save_network(self.model, self.path)


class Progress(keras.callbacks.Callback):
    """Says how far the training is, how good, how fast, and how long it will take.

    A bar on a terminal, which is rewritten about every second, and a line after each epoch.

    Args:
        checkpoints: `Checkpoints`, which counts the steps.
        stages: of `Recipe.stages`.
        started: when the run began, by `time.monotonic`.
    """

    def __init__(self, checkpoints, stages, started):
        super().__init__()
        self.checkpoints = checkpoints
        self.last = sum(steps for steps, _, _ in stages)
        self.ends = np.cumsum([0, *(steps for steps, _, _ in stages)])
        self.crops = np.cumsum([0, *(steps * size for steps, _, size in stages)])
        self.started = started
        self.first = None  # (time, step) after the first step, which compiles
        self.bar = None

    def on_train_batch_end(self, batch, logs=None):
        step = self.checkpoints.step
        if self.bar is None:
            self.first = time.monotonic(), step
            print(f"first step after {self.first[0] - self.started:.1f} s", flush=True)
            self.bar = tqdm.tqdm(
                initial=step,
                total=self.last,
                desc="training",
                unit="step",
                mininterval=1,
                dynamic_ncols=True,
                disable=None,
            )
        # Only when it is rewritten: to know the values, one has to wait for the device.
        elif self.bar.update(step - self.bar.n):
            self.bar.set_postfix_str(_quality(logs))

    def on_epoch_end(self, epoch, logs=None):
        gain = logs["val_psnr"] - logs["val_psnr_blurry"]
        held_out = f"held out {logs['val_psnr']:.2f} dB ({gain:+.2f})"
        with tqdm.tqdm.external_write_mode():
            print(f"{self._line(logs)}, {held_out}", flush=True)
        if self.checkpoints.step >= self.last:
            self.bar.close()

    def _line(self, logs):
        step = self.checkpoints.step
        line = f"step {step:,} of {self.last:,}: {_quality(logs)}"
        begun, first = self.first
        if step == first:
            return line
        seconds = time.monotonic() - begun
        left = duration(seconds / (step - first) * (self.last - step))
        before, now = np.interp([first, step], self.ends, self.crops)
        rate = (now - before) / seconds
        return f"{line}, {rate:.1f} patches/s, {left} left"


def _quality(logs):
    loss, psnr, blurry = (float(np.mean(logs[x])) for x in ("loss", "psnr", "psnr_blurry"))
    return f"PSNR {psnr:.2f} dB (blurry {blurry:.2f}), loss {loss:.4f}"


def duration(seconds):
    """Seconds in words: "45 s", "12 min", "3.4 h", "2.1 days"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
