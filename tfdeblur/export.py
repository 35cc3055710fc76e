"""A trained network as a SavedModel, for programs without tfdeblur or Keras."""

import contextlib
import os
import pathlib
import shutil
import uuid

import tensorflow as tf

from tfdeblur import precision
from tfdeblur.restoration import pad_to_multiple


def save_saved_model(net, folder):
    """Writes a network as a TensorFlow SavedModel, in float32.

    After `module = tf.saved_model.load(folder)`, `module.serve(images)` takes `[B, H, W, 3]`, uint8
    or float32 in [0, 1], of any size, and returns the restored images in the same type and size.
    Of the signatures, `serving_default` takes uint8 and `serving_float32` float32.

    Args:
        net: a network of `tfdeblur.models`.
        folder: replaced as a whole where it exists.
    """
    module = _Serving(precision.cast(net, "float32"))
    signatures = {
        "serving_default": module.serve.get_concrete_function(_images(tf.uint8)),
        "serving_float32": module.serve.get_concrete_function(_images(tf.float32)),
    }
    with replacing_folder(folder) as temporary:
        tf.saved_model.save(module, str(temporary), signatures)


class _Serving(tf.Module):
    def __init__(self, net):
        super().__init__()
        self.net_variables = [variable.value for variable in net.variables]

        @tf.function
        def serve(images):
            size = tf.shape(images)
            is_uint8 = images.dtype == tf.uint8
            unit = tf.cast(images, tf.float32) / 255 if is_uint8 else images
            restored = net(pad_to_multiple(unit, net.stride), training=False)[0]
            restored = tf.clip_by_value(restored[:, : size[1], : size[2]], 0, 1)
            return tf.cast(tf.round(restored * 255), tf.uint8) if is_uint8 else restored

        self.serve = serve


def _images(dtype):
    return tf.TensorSpec([None, None, None, 3], dtype, "images")


@contextlib.contextmanager
def replacing_folder(folder):
    """Gives a temporary folder beside `folder`, which takes its place if nothing goes wrong."""
    folder = pathlib.Path(folder)
    temporary = folder.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
