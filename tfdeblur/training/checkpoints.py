"""The state of a training on disk, so that one that was stopped goes on as if it had not been."""

import collections
import re
import signal
import sys
import threading
import zipfile

import keras
import numpy as np
from keras import ops

from tfdeblur import precision
from tfdeblur.errors import InputError, Stopped, reason
from tfdeblur.files import replacing
from tfdeblur.training import strategies

NAME = re.compile(r"step_(\d{9})\.npz")
SEEDS = re.compile(r"seed_generator(_\d+)?")
THREADS = "threads"  # in a checkpoint: how many computed it


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
        owned: `files.Owned` of the run, which lists the checkpoints; None for a folder of its own.
        threads: how many computed the checkpoint that was restored; None where it does not say.
    """

    def __init__(self, folder, trainer, keep=2, write=True):
        super().__init__()
        self.folder = folder
        self.trainer = trainer
        self.keep = keep
        self.write = write
        self.step = 0
        self.owned = None
        self.threads = None
        self.broken = set()

    def newest(self):
        """(step, file) of the newest checkpoint; (0, None) where there is none.

        Those that `restore` has found broken do not count.
        """
        files = self._files()
        return files[-1] if files else (0, None)

    def _files(self):
        """(step, file) of those that are not known to be broken, the newest last."""
        found = sorted(self.folder.glob("step_*.npz"))
        matches = [(NAME.fullmatch(path.name), path) for path in found if path not in self.broken]
        return [(int(match[1]), path) for match, path in matches if match]

    def restore(self):
        """Assigns the newest checkpoint, and returns its step; 0 where there is none.

        One that is broken, as no kill can have left it, but a failing disk may, is left out, and
        said so: then it is the one before it.

        Raises:
            InputError: all are broken.
        """
        variables = _named(self.trainer)
        reasons = []
        while True:
            self.step, path = self.newest()
            if path is None:
                break
            try:
                values, self.threads = _read(path, variables)
            # NumPy and zipfile meet broken files with ValueError, BadZipFile, zlib.error, ...
            except Exception as error:
                reasons.append(f"{path} is broken ({reason(error)})")
                self.broken.add(path)
                continue
            for broken in reasons:
                print(f"{broken}: going on from the checkpoint before it", file=sys.stderr)
            for variable, value in zip(variables.values(), values, strict=True):
                variable.assign(value)
            return self.step
        if reasons:
            raise InputError(
                f"{reasons[0]}, and no checkpoint before it is whole: `overwrite=True` begins the "
                "run again, or name another `workdir`."
            )
        return 0

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
            name: ops.convert_to_numpy(variable) for name, variable in _named(self.trainer).items()
        }
        state[THREADS] = np.int64(strategies.threads())
        path = self.folder / f"step_{self.step:09d}.npz"
        if self.owned:
            self.owned.claim(self._listed(path))
        with replacing(path) as temporary:
            np.savez(temporary, **state)
        self.broken.discard(path)
        for _, old in self._files()[: -self.keep]:
            if self.owned:
                self.owned.remove(self._listed(old))
            else:
                old.unlink()

    def _listed(self, path):
        return path.relative_to(self.owned.folder).as_posix()


def _named(trainer):
    """{name: variable} of all that a checkpoint holds, by the variables' paths.

    Keras numbers optimizers and seeds as they are made, so theirs are named by what they are for,
    and counted here as those of sub-networks that have the same layers.
    """
    roles = {optimizer.name: f"optimizer{i}" for i, optimizer in enumerate(trainer.optimizers)}
    named, seen = {}, collections.Counter()
    for variable in trainer.saved_variables:
        owner, slash, rest = variable.path.partition("/")
        owner = roles.get(owner, SEEDS.sub("seed_generator", owner))
        path = f"{owner}{slash}{rest}"
        seen[path] += 1
        named[f"{path}#{seen[path]}" if seen[path] > 1 else path] = variable
    return named


def _read(path, variables):
    """(values, threads) of a checkpoint, which has to hold these variables and nothing else."""
    expected = variables
    if not path.is_file() or path.is_symlink():
        raise ValueError("it is no file")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = {member.filename.removesuffix(".npy") for member in members}
        if "variable_0" in names:  # as they were named once, by their places
            expected = {f"variable_{i}": v for i, v in enumerate(variables.values())}
        if names - {THREADS} != expected.keys() or len(names) != len(members):
            others = sorted(names - {THREADS} ^ expected.keys())
            others = f": {', '.join(others[:3])}" if others else ""
            raise ValueError(f"it holds other arrays than this training has{others}")
        values = [
            _read_array(archive, name, tuple(variable.shape), str(variable.dtype))
            for name, variable in expected.items()
        ]
        threads = int(_read_array(archive, THREADS, (), "int64")) if THREADS in names else None
    return values, threads


def _read_array(archive, name, shape, dtype):
    """An array as `np.savez` writes it, of which nothing is read before its header fits."""
    member = archive.getinfo(f"{name}.npy")
    size = np.prod(shape, dtype=int) * np.dtype(dtype).itemsize
    if member.compress_type != zipfile.ZIP_STORED or not 0 < member.file_size - size < 2**12:
        raise ValueError(f"{name} has not the size of {dtype} {list(shape)}")
    with archive.open(member) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{name} is no array")
        found = np.lib.format.read_array_header_1_0(file)
        if found[0] != shape or found[2] != np.dtype(dtype):
            raise ValueError(f"{name} is {found[2]} {list(found[0])}, not {dtype} {list(shape)}")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


class SaveWhenStopped(keras.callbacks.Callback):
    """Ctrl-C, SIGTERM and SIGHUP end the training after the present step, with a checkpoint.

    `with` it, a training ends with KeyboardInterrupt, or `errors.Stopped`. A signal that the
    program was started to ignore, as `nohup` does, stays so. A second one has its usual effect at
    once. All workers end after the same step, if one of them receives a signal. To be the last of
    the callbacks, so that an epoch that is complete is closed as usual.

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
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)  # Windows has no SIGHUP
                if number is not None and signal.getsignal(number) != signal.SIG_IGN:
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
        raise Stopped(self.received or signal.SIGTERM)  # None: another worker received one


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
