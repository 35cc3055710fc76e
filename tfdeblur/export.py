"""Trained networks for programs without tfdeblur or Keras: as SavedModel, LiteRT or ONNX.

The command `tfdeblur export` is `cli/export.py`.
"""

import contextlib
import importlib
import logging
import os
import pathlib
import warnings

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfdeblur import files, precision
from tfdeblur.errors import InputError, printable

__all__ = [
    "FORMATS",
    "check",
    "export",
    "save_saved_model",
]


def __dir__():
    return __all__


SUFFIXES = {"saved_model": "", "litert": ".tflite", "onnx": ".onnx"}
# What TensorFlow writes, and what it leaves when it is killed.
SAVED_MODEL = files.Kind(
    "saved_model",
    (
        r"saved_model\.pb",
        r"fingerprint\.pb",
        r"variables/variables\.index",
        r"variables/variables\.data-\d{5}-of-\d{5}",
        "assets/",
        "variables/",
    ),
    (r"saved_model\.pb\.tmp[0-9a-f]+", "variables/variables_temp/.+"),
)
TOLERANCE = 1e-4  # of the value range
# What a format needs beside TensorFlow, as Python imports it: all in the extra [export].
PACKAGES = {"saved_model": (), "litert": ("ai_edge_litert",), "onnx": ("tf2onnx", "onnxruntime")}


def export(net, target, format="saved_model", overwrite=False):
    """Writes a network in float32, if the written form gives the network's own results.

    All forms take any height and width from 1x1. For "saved_model" see `save_saved_model`. "litert"
    and "onnx" take `image`, float32 `[B, H, W, 3]` in [0, 1], and return `restored`, likewise:
    level 1 of the network, clipped.

    Args:
        net: a network of `tfdeblur.models`.
        target: a folder for "saved_model", else a file whose suffix is that of `SUFFIXES`.
        format: a key of `SUFFIXES`.
        overwrite: replace what an earlier call wrote there.

    Returns:
        float, the largest difference from the network's own output on an image of noise.

    Raises:
        InputError: `target` exists, cannot be written or has another format's suffix, the format is
            unknown, a package is missing, Keras does not run on TensorFlow, the format cannot hold
            the network, or the difference exceeds `TOLERANCE`.
    """
    target = pathlib.Path(target)
    check(target, format, overwrite)
    if net.outputs[0].shape[-1] != 3:
        raise InputError(
            f"{target} is not written: {net.name!r} restores no images. Keras's own export takes "
            "it: `net.export(target, input_signature=[...])`."
        )
    net = precision.cast(net, "float32")
    target.parent.mkdir(parents=True, exist_ok=True)
    write, run = FORMATS[format]
    with _replacing(target, format, net.name) as temporary:
        try:
            write(net, temporary)
            difference = _largest_difference(net, lambda images: run(temporary, images))
        except (InputError, OSError, MemoryError):
            raise
        except Exception as error:  # converters and runtimes raise all kinds
            raise InputError(
                f"{target} is not written: {format} cannot hold {net.name!r}, {_reason(error)}"
            ) from error
        if not difference <= TOLERANCE:
            raise InputError(
                f"{target} is not written: as {format}, {net.name!r} restores with differences of "
                f"up to {difference:.1g} of the value range. Try another `format`."
            )
    return difference


def _reason(error):
    """The line of a message that says what is wrong: the last of TensorFlow's "in user code"."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return printable(lines[-1 if lines[0].startswith("in user code") else 0].strip())


def check(target, format, overwrite=False):
    """Raises the InputErrors of `export` that can be known before a network is loaded."""
    target = pathlib.Path(target)
    if format not in SUFFIXES:
        raise InputError(f"`format={format}`: choose one of {', '.join(SUFFIXES)}.")
    if keras.backend.backend() != "tensorflow":
        raise InputError("exporting needs TensorFlow: unset KERAS_BACKEND.")
    expected = SUFFIXES[format]
    if target.suffix != expected and {target.suffix, expected} & {".tflite", ".onnx"}:
        fitting = {suffix: name for name, suffix in SUFFIXES.items() if suffix}.get(target.suffix)
        advice = f"give `format={fitting}`" if fitting else f"name a file ending in {expected}"
        raise InputError(f"{target} does not fit `format={format}`: {advice}.")
    if target.exists() and not overwrite:
        raise InputError(f"{target} exists: name another place, or give `overwrite=True`.")
    there = next(place for place in target.absolute().parents if os.path.lexists(place))
    if not os.path.isdir(there) or not os.access(there, os.W_OK | os.X_OK):
        raise InputError(
            f"{target} cannot be written: {there} is no folder that you may write to; name another "
            "place."
        )
    # What `overwrite` deletes was exported, not someone's folder of photographs.
    if format == "saved_model":
        exported = files.check_replaceable(target, SAVED_MODEL) is not None
    else:
        exported = target.is_file()
    if target.exists() and not exported:
        raise InputError(f"{target} exists and is no {format}: name another place.")
    for package in PACKAGES[format]:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise InputError(
                f'`format={format}` needs {package}: pip install "tfdeblur[export]".'
            ) from error


def save_saved_model(net, folder):
    """Writes a network as a TensorFlow SavedModel, in float32.

    After `module = tf.saved_model.load(folder)`, `module.serve(images)` takes `[B, H, W, 3]`, uint8
    or float32 in [0, 1], of any size, and returns the restored images in the same type and size;
    `module.serve_encoded(image_bytes)` takes PNG or JPEG files, a string tensor `[B]`, and returns
    PNG files likewise. The images of a batch of files may differ in size; their orientation tags
    are not followed, and transparency is dropped.

    Of the signatures, `serving_default` takes uint8, `serving_float32` float32, and
    `serving_encoded` `image_bytes`, returning `restored_bytes`.

    Args:
        net: a network of `tfdeblur.models`.
        folder: replaced as a whole where it exists and an earlier call wrote it.

    Raises:
        InputError: the folder holds anything else.
    """
    with files.replacing_folder(folder, SAVED_MODEL, net.name) as temporary:
        _write_saved_model(precision.cast(net, "float32"), temporary)


def _replacing(target, format, name):
    if format == "saved_model":
        return files.replacing_folder(target, SAVED_MODEL, name)
    return files.replacing(target)


def pad_to_multiple(images, multiple, smallest=1, least=0, padding="reflect"):
    """Pads `[B, H, W, C]` at the bottom and right, by reflection, to multiples of `multiple`.

    To `smallest` pixels, and by `least` pixels, at least; with mid-grey if `padding` is "grey".

    Unlike a library's reflect padding it takes images smaller than the padding, down to 1x1,
    and sizes that are only known at run time.
    """
    for axis in (1, 2):
        size = ops.shape(images)[axis]
        # No negative operand: ONNX rounds a quotient towards zero, Python downwards.
        padded = (size + least + multiple - 1) // multiple * multiple
        padded = ops.maximum(padded, smallest) if smallest > multiple else padded
        period = ops.maximum(2 * (size - 1), 1)
        index = ops.arange(padded, dtype="int32")
        inside = ops.reshape(index < size, (-1, 1, 1) if axis == 1 else (-1, 1))
        index = index % period
        images = ops.take(images, ops.minimum(index, period - index), axis=axis)
        if padding != "reflect":
            images = ops.where(inside, images, {"grey": 0.5, "zeros": 0.0}[padding])
    return images


def _restore(net, images):
    """float32 `[B, H, W, 3]` in [0, 1] of any size -> the same, level 1, clipped."""
    size = ops.shape(images)
    padded = pad_to_multiple(images, net.stride, net.smallest, net.least_padding, net.padding)
    restored = net(padded, training=False)[0]
    return ops.clip(restored[:, : size[1], : size[2]], 0, 1)


class _Serving(tf.Module):
    def __init__(self, net):
        super().__init__()
        self.net_variables = [variable.value for variable in net.variables]

        @tf.function
        def serve(images):
            if images.dtype != tf.uint8:
                return _restore(net, images)
            restored = _restore(net, tf.cast(images, tf.float32) / 255)
            return tf.cast(tf.round(restored * 255), tf.uint8)

        def serve_one(data):
            # Of an animation the first frame.
            image = tf.io.decode_image(data, channels=3, expand_animations=False)
            image = tf.ensure_shape(image, [None, None, 3])
            return tf.io.encode_png(serve(image[None])[0])

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
        def serve_encoded(image_bytes):
            # One after the other: their memory would add up.
            restored = tf.map_fn(
                serve_one, image_bytes, parallel_iterations=1, fn_output_signature=tf.string
            )
            return {"restored_bytes": restored}

        self.serve = serve
        self.serve_encoded = serve_encoded


def _images(dtype):
    return tf.TensorSpec([None, None, None, 3], dtype, "images")


def _write_saved_model(net, folder):
    module = _Serving(net)
    signatures = {
        "serving_default": module.serve.get_concrete_function(_images(tf.uint8)),
        "serving_float32": module.serve.get_concrete_function(_images(tf.float32)),
        # TensorFlow Serving takes and gives names in _bytes as base64.
        "serving_encoded": module.serve_encoded.get_concrete_function(),
    }
    tf.saved_model.save(module, str(folder), signatures)


class _Restoring(keras.Model):
    """A network of one input and one output for Keras's exporters, which name both."""

    def __init__(self, net):
        super().__init__(dtype="float32", name="restoring")
        self.net = net

    def call(self, image):
        return {"restored": _restore(self.net, image)}


def _write_by_keras(net, path, format):
    model = _Restoring(net)
    model(np.zeros([1, 1, 1, 3], "float32"))
    signature = [keras.InputSpec("float32", [None, None, None, 3], name="image")]
    with _quiet():
        model.export(path, format=format, verbose=False, input_signature=signature)


@contextlib.contextmanager
def _quiet():
    """Without what tf2onnx tells of optimisations that it gives up; they change no result."""
    logger = logging.getLogger("tf2onnx")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # from Keras's repairs to tf2onnx
            yield
    finally:
        logger.setLevel(before)


def _write_litert(net, path):
    _write_by_keras(net, path, "litert")


def _write_onnx(net, path):
    _write_by_keras(net, path, "onnx")


def _run_saved_model(folder, images):
    module = tf.saved_model.load(str(folder))  # its variables live as long as it does
    return module.serve(images).numpy()


def _run_litert(path, images):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    (image,), (restored,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(image["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(image["index"], images)
    interpreter.invoke()
    return interpreter.get_tensor(restored["index"])


def _run_onnx(path, images):
    import onnxruntime

    (restored,) = onnxruntime.InferenceSession(path).run(["restored"], {"image": images})
    return restored


# How each format is written, and run in the runtime that it is for.
FORMATS = {
    "saved_model": (_write_saved_model, _run_saved_model),
    "litert": (_write_litert, _run_litert),
    "onnx": (_write_onnx, _run_onnx),
}


def _largest_difference(net, run):
    # Sizes that are no multiples of any stride.
    images = np.random.default_rng(0).random((2, 37, 53, 3), "float32")
    return float(np.abs(run(images) - np.asarray(_restore(net, images))).max())


if __name__ == "__main__":
    from tfdeblur.cli import export as command

    command.start()
