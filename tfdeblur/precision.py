"""The floating-point type that a network computes in: chosen when it is loaded, never stored."""

import contextlib
import os
import pathlib
import platform
import re

import keras

from tfdeblur.errors import InputError

__all__ = [
    "cast",
    "machine",
    "policy",
    "resolve",
]


def __dir__():
    return __all__


POLICIES = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}


def resolve(precision):
    """ "auto" -> "bfloat16" where the hardware computes in it, else "float32".

    Raises:
        InputError: neither "auto" nor a key of `POLICIES`.
    """
    if precision == "auto":
        return "bfloat16" if _has_bfloat16() else "float32"
    if precision not in POLICIES:
        raise InputError(f"`precision={precision}`: choose auto, {', '.join(POLICIES)}.")
    return precision


@contextlib.contextmanager
def policy(precision):
    """Networks built or loaded inside compute in this precision; their weights stay float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(POLICIES[resolve(precision)])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def cast(net, precision):
    """A copy of a network of `tfdeblur.models` that computes in another precision."""
    with policy(precision):
        copy = type(net).from_config(net.get_config())
    copy.set_weights(net.get_weights())
    return copy


def _has_bfloat16():
    if on_cpu():
        return _cpu_has_bfloat16()
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        capability = [tf.config.experimental.get_device_details(g) for g in gpus]
        return all(c.get("compute_capability", (0, 0))[0] >= 8 for c in capability)
    return True  # JAX runs elsewhere than on a CPU: Ampere or newer GPUs, and TPUs, have it.


def on_cpu():
    """Whether the backend has no accelerator to compute on."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.default_backend() == "cpu"
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return not tf.config.list_physical_devices("GPU")
    if keras.backend.backend() == "torch":
        import torch

        return not torch.cuda.is_available()
    return True


def machine():
    """What computes, in words: the name of the accelerator, or the processor and its cores."""
    if not on_cpu() and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "a GPU")
    if not on_cpu() and keras.backend.backend() == "torch":
        import torch

        return torch.cuda.get_device_name()
    if not on_cpu():
        import jax

        return jax.devices()[0].device_kind
    named = re.search(r"^model name\s*: (.+)", _cpuinfo(), re.MULTILINE)
    return f"{os.cpu_count()} cores of {named[1] if named else platform.machine()}"


def _cpu_has_bfloat16():
    return bool(re.search(r"\b(amx_bf16|avx512_bf16)\b", _cpuinfo()))


def _cpuinfo():
    path = pathlib.Path("/proc/cpuinfo")  # of Linux
    return path.read_text() if path.exists() else ""
