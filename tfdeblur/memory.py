"""Memory: what is free, what was used at the peak, and refusing what cannot fit.

A CPU process would otherwise die of it without a word.
"""

import contextlib
import pathlib
import resource

import keras

from tfdeblur.errors import InputError
from tfdeblur.precision import on_cpu

_STATUS, _RESET = "/proc/self/status", pathlib.Path("/proc/self/clear_refs")
# By a line's controllers in /proc/self/cgroup: the folder of all groups, the names of the files of
# limit and usage, and the field of memory.stat that tells what of the usage is cache. Of version 2,
# which has one hierarchy for all controllers, and of version 1.
_CONTROL_GROUPS = {
    "": ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    "memory": (
        "/sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
}


def check(needed, what, remedy):
    """Raises an InputError if `needed` bytes, a lower bound, are not free.

    On an accelerator nothing is checked: running out of its memory raises an exception.

    Args:
        what: says in the message what needs them.
        remedy: says what to do.
    """
    free = available()
    if on_cpu() and free is not None and needed > free:
        raise InputError(
            f"{what} needs more than {needed / 2**30:.1f} GiB of memory, "
            f"{free / 2**30:.1f} GiB are free: {remedy}"
        )


def bytes_per_value(network):
    """Of a network's feature maps, in the precision that it computes in."""
    return 4 if network.compute_dtype == "float32" else 2


def available():
    """Bytes that this process may still take; None where the system does not tell.

    The least of what the machine has, what `ulimit -v` leaves, and what the limits of the control
    groups leave that a container runs in.
    """
    meminfo, status = _kilobytes("/proc/meminfo"), _kilobytes(_STATUS)
    if "MemAvailable" not in meminfo:
        return None
    free = [meminfo["MemAvailable"], *_left_by_control_groups()]
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        free.append(limit - status["VmSize"])
    return max(min(free), 0)


def of_device():
    """Bytes free where the network computes, on a GPU or else as `available`; None: not known."""
    if on_cpu():
        return available()
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf
    from tensorflow.python.client import device_lib

    limits = [d.memory_limit for d in device_lib.list_local_devices() if d.device_type == "GPU"]
    with contextlib.suppress(*_NOT_TOLD):
        return limits[0] - tf.config.experimental.get_memory_info("GPU:0")["current"]
    return None


def whose():
    """Whose memory it is, in words."""
    return "the process" if on_cpu() else "the GPU"


def reset_peak():
    """Forgets the peak so far."""
    if _tensorflow_gpu():
        import tensorflow as tf

        with contextlib.suppress(*_NOT_TOLD):
            tf.config.experimental.reset_memory_stats("GPU:0")
    elif on_cpu():
        with contextlib.suppress(OSError):  # then the peak is that of the whole run
            _RESET.write_text("5")  # see proc(5)


def peak():
    """Bytes at the peak since `reset_peak`; None where the system does not tell."""
    if _tensorflow_gpu():
        import tensorflow as tf

        with contextlib.suppress(*_NOT_TOLD):
            return tf.config.experimental.get_memory_info("GPU:0")["peak"]
        return None
    return _kilobytes(_STATUS).get("VmHWM") if on_cpu() else None


# What TensorFlow raises for a device whose allocator keeps no statistics; and where there is none.
_NOT_TOLD = (ValueError, RuntimeError, NotImplementedError, IndexError)


def _tensorflow_gpu():
    return keras.backend.backend() == "tensorflow" and not on_cpu()


def _left_by_control_groups():
    """Bytes that each control group with a limit, of those that this process is in, leaves it."""
    left = []
    for line in _lines("/proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers not in _CONTROL_GROUPS:
            continue
        root, limit, usage, cache = _CONTROL_GROUPS[controllers]
        group = pathlib.Path(root, path.strip("/"))
        # Those above count too; a container may see the topmost alone.
        for folder in (group, *group.parents):
            if folder.is_relative_to(root) and (folder / limit).exists():
                left += _left_by(folder / limit, folder / usage, folder / "memory.stat", cache)
    return left


def _left_by(limit, usage, stat, cache):
    limit = limit.read_text().strip()
    if limit == "max":
        return []
    # Files that were read count as used, but make way.
    fields = dict(line.split() for line in _lines(stat))
    return [int(limit) - int(usage.read_text()) + int(fields.get(cache, 0))]


def _lines(path):
    path = pathlib.Path(path)
    return path.read_text().splitlines() if path.exists() else []


def _kilobytes(path):
    """The lines "key: value kB" of a file of /proc, in bytes."""
    fields = [line.split() for line in _lines(path) if line.endswith(" kB")]
    return {key.rstrip(":"): 1024 * int(value) for key, value, _ in fields}
