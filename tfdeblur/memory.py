"""Refusing what cannot fit into memory, before a CPU process dies of it without a word."""

import pathlib
import resource

from tfdeblur.errors import InputError
from tfdeblur.precision import on_cpu


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
    """Bytes that this process may still take; None where the system does not tell."""
    meminfo, status = _kilobytes("/proc/meminfo"), _kilobytes("/proc/self/status")
    if "MemAvailable" not in meminfo:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    unlimited = limit == resource.RLIM_INFINITY
    rest = meminfo["MemAvailable"] if unlimited else limit - status["VmSize"]
    return min(meminfo["MemAvailable"], rest)


def _kilobytes(path):
    """The lines "key: value kB" of a file of /proc, in bytes."""
    path = pathlib.Path(path)
    lines = path.read_text().splitlines() if path.exists() else []
    fields = [line.split() for line in lines if line.endswith(" kB")]
    return {key.rstrip(":"): 1024 * int(value) for key, value, _ in fields}
