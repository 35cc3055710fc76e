"""The state of a training on disk, so that one that was stopped goes on as if it had not been."""

import contextlib
import os
import signal
import threading
import zipfile

import keras
import numpy as np
from keras import ops

from tfdeblur import precision
from tfdeblur.errors import InputError
from tfdeblur.training import strategies

INCOMPLETE = ".incomplete-"  # begins the names of files that are being written


class Checkpoints(keras.callbacks.Callback):
    """Saves the whole state of a training after each epoch, and keeps the newest few.

    The state is the trainer's `saved_variables`: weights, seeds of dropout, optimizers. A file
    appears whole or not at all, and an old one goes only after the new one has come.

    Args:
        folder: pathlib.Path.
        trainer: of `tfdeblur.training.trainers`, compiled.
        keep: how many of the newest checkpoints.
        write: False for a worker that leaves saving to the chief.

    Attributes:
        step: training steps that have been made.
    """

    def __init__(self, folder, trainer, keep=2, write=True):
        super().__init__()
        self.folder = folder
        self.trainer = trainer
        self.keep = keep
        self.write = write
        self.step = 0

    def newest(self):
        """(step, file) of the newest checkpoint; (0, None) where there is none."""
        files = sorted(self.folder.glob("step_*.npz"))
        return (int(files[-1].stem.removeprefix("step_")), files[-1]) if files else (0, None)

    def restore(self):
        """Assigns the newest checkpoint, and returns its step; 0 where there is none.

        Raises:
            InputError: it is broken, as no kill can have left it, but a failing disk may.
        """
        self.step, path = self.newest()
        if path is None:
            return 0
        try:
            with np.load(path) as state:
                for i, variable in enumerate(self.trainer.saved_variables):
                    variable.assign(state[f"variable_{i}"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{path} is broken ({error}): delete it, and --resume goes on from the checkpoint "
                "before it, if there is one."
            ) from error
        return self.step

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1

    def on_epoch_end(self, epoch, logs=None):
        self.save()

    def save(self):
        """Writes the state after the present step; on an OSError, those before it are intact."""
        if not self.write:
            return
        if keras.backend.backend() == "jax":
            self.trainer.jax_state_sync()  # which happens at the end of epochs alone
        self.folder.mkdir(exist_ok=True)
        state = {
            f"variable_{i}": ops.convert_to_numpy(variable)
            for i, variable in enumerate(self.trainer.saved_variables)
        }
        with replacing(self.folder / f"step_{self.step:09d}.npz") as temporary:
            np.savez(temporary, **state)
        for old in sorted(self.folder.glob("step_*.npz"))[: -self.keep]:
            old.unlink()


class SaveWhenStopped(keras.callbacks.Callback):
    """Ctrl-C and SIGTERM end the training after the present step, with a checkpoint.

    `with` it, a training ends with KeyboardInterrupt, or with SystemExit and the status 143. A
    second signal has its usual effect at once. All workers end after the same step, if one of them
    receives a signal. To be the last of the callbacks, so that an epoch that is complete is closed
    as usual.

    Args:
        checkpoints: `Checkpoints`.
        every: steps per epoch.
        last: step of the run.
        strategy: `tf.distribute.Strategy`.
    """

    def __init__(self, checkpoints, every, last, strategy):
        super().__init__()
        self.checkpoints = checkpoints
        self.every = every
        self.last = last
        self.strategy = strategy
        self.received = None
        self.stopping = False
        self.handlers = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.handlers[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_):
        while self.handlers:
            signal.signal(*self.handlers.popitem())

    def on_train_batch_end(self, batch, logs=None):
        received = self.received is not None
        self.stopping = strategies.mean_over_workers(self.strategy, received) > 0
        step = self.checkpoints.step
        epoch_ends = step % self.every == 0 or step >= self.last
        if self.stopping and not epoch_ends:
            self.checkpoints.save()
            strategies.wait_for_all(self.strategy)
            self._stop()

    def on_epoch_end(self, epoch, logs=None):
        if self.stopping:
            self._stop()

    def _receive(self, number, frame):
        self.received = number
        self.__exit__()

    def _stop(self):
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + signal.SIGTERM)


@contextlib.contextmanager
def replacing(path):
    """Yields a temporary path in the same folder, whose file replaces `path` if all goes well.

    The new file is on the disk before it has the name, so that neither a kill nor a power cut
    leaves half of one. If anything goes wrong, `path` is as it was.
    """
    temporary = path.with_name(INCOMPLETE + path.name)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def save_network(trainer, path):
    """Writes a trainer's network as it should be used: in float32, with its averaged weights.

    Returns:
        The network, a copy.
    """
    with trainer.averaged_weights():
        network = precision.cast(trainer.network, "float32")
    with replacing(path) as temporary:
        network.save(temporary)
    return network
