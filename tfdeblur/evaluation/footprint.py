"""Peak memory: of the GPU where there is one, otherwise of this process (on Linux)."""

import contextlib
import pathlib

import keras

from tfdeblur.precision import on_cpu

_STATUS, _RESET = pathlib.Path("/proc/self/status"), pathlib.Path("/proc/self/clear_refs")


def what():
    """Whose memory it is, in words."""
    return "the process" if on_cpu() else "the GPU"


def reset():
    """Forgets the peak so far."""
    if _tensorflow_gpu():
        import tensorflow as tf

        tf.config.experimental.reset_memory_stats("GPU:0")
    elif on_cpu():
        with contextlib.suppress(OSError):  # then the peak is that of the whole run
            _RESET.write_text("5")  # see proc(5)


def peak():
    """Bytes at the peak since `reset`; None where the system does not tell."""
    if _tensorflow_gpu():
        import tensorflow as tf

        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    if on_cpu() and _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return None


def _tensorflow_gpu():
    return keras.backend.backend() == "tensorflow" and not on_cpu()
