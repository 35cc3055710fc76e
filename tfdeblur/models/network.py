"""What every restoring network has in common."""

import contextlib
import functools
import numbers
import os
import re
import sys
import threading

import keras

from tfdeblur.errors import InputError, say
from tfdeblur.layers import normalizing_in_one_pass
from tfdeblur.precision import on_cpu

# On JAX Keras gives the network's state away while it predicts: another thread would find none.
_one_at_a_time = threading.Lock()


class Network(keras.Model):
    """A functional Keras model that is rebuilt from its hyperparameters, not from a stored graph.

    So a `.keras` file holds hyperparameters and float32 weights, and the dtype policy in force
    when it is loaded decides the precision. Images are channels-last, whatever Keras's
    `image_data_format` says.

    It works wherever a Keras model does, with these two limits. `TimeDistributed` takes layers with
    one output: `keras.Model(net.inputs, net.outputs[0])`. Keras's old files, `.h5`, do not say of
    which library a class is: save `.keras`.

    Args:
        image, outputs: the functional model's input `[B, H, W, 3]` in [0, 1] and its outputs.
        stride: H and W must be multiples of it.
        inference_bytes_per_pixel: that restoring takes at its peak, as measured on a CPU: in
            float32, and in 16 bits.
        activation_channels: values per pixel that a training step holds until its backward pass,
            at least.
        hyperparameters: the arguments of the subclass's constructor, without its name.
        overlap: pixels that neighbouring tiles of an image must share, for their middle half to be
            restored as in the whole image.
        largest_tile: side of the tiles that `restore(tile="auto")` takes though memory would allow
            larger ones, because they restore better; None: they do not.
        padding: with what images of other sizes are continued at the bottom and right: "reflect",
            "zeros", or "grey", the middle of the range; as its authors do.
        least_padding: how many pixels of that there always are.
        of_whole_picture: whether each pixel depends on the whole picture: on its statistics, or on
            where it is cut, which padding and tiles change.
        smallest: height and width that it takes at least; None: the stride.

    Attributes:
        origin: what is known of where its weights come from, and is saved with it: {"weights":
            name}, published ones of `weights.catalogue`; {"recipe": name, "dataset": name} of a
            training; empty: nothing.
    """

    def __init__(
        self,
        image,
        outputs,
        *,
        stride,
        inference_bytes_per_pixel,
        activation_channels,
        hyperparameters,
        name,
        overlap=128,
        largest_tile=None,
        padding="reflect",
        least_padding=0,
        smallest=None,
        of_whole_picture=False,
    ):
        super().__init__(image, outputs, name=name)
        self.stride = stride
        self.overlap = overlap
        self.largest_tile = largest_tile
        self.padding = padding
        self.least_padding = least_padding
        self.smallest = smallest or stride
        self.of_whole_picture = of_whole_picture
        in_float32, in_16_bits = inference_bytes_per_pixel
        self.bytes_per_pixel = in_float32 if self.compute_dtype == "float32" else in_16_bits
        self.activation_channels = activation_channels
        # "auto" may choose XLA, which makes these networks several times slower on a CPU.
        self.jit_compile = not on_cpu() or keras.backend.backend() == "jax"
        self.hyperparameters = dict(hyperparameters)
        self.origin = {}
        self._is_list = isinstance(outputs, list)
        self.restoring_function = None

    def call(self, inputs, training=None, mask=None):
        outputs = super().call(inputs, training=training, mask=mask)
        # Keras unpacks a list of one output; a network of one level still returns a list.
        return [outputs] if self._is_list and len(self.outputs) == 1 else outputs

    def computing(self):
        """The model that trains and predicts: this one, or a view that does the same with less.

        Not a property: Keras would follow it when it saves this model.
        """
        return self

    def restoring(self):
        """The model that restores by TensorFlow on a CPU, likewise."""
        return self.computing()

    def predict_step(self, *args):  # JAX's has one more
        model = self.computing()
        return super().predict_step(*args) if model is self else model.predict_step(*args)

    def restore_on_batch(self, images):
        """The finest level of a batch, float32 `[B, H, W, 3]`, as a NumPy array.

        It is the first of what `predict_on_batch` gives. Under TensorFlow there is one trace for
        images of all sizes, where Keras makes three before it takes any size. XLA compiles each
        size in any case.
        """
        if keras.backend.backend() != "tensorflow" or self.jit_compile:
            with _one_at_a_time:
                return self.predict_on_batch(images)[0]
        if self.restoring_function is None:
            import tensorflow as tf

            cpu = on_cpu()
            model = self.restoring() if cpu else self.computing()

            @tf.function(input_signature=[tf.TensorSpec(self.inputs[0].shape, "float32")])
            def finest_level(batch):
                with normalizing_in_one_pass() if cpu else contextlib.nullcontext():
                    levels = model(batch, training=False)
                return levels[0] if isinstance(levels, list) else levels  # a view's only level

            # As it is, it would be saved with the model.
            self.restoring_function = functools.partial(finest_level)
        return self.restoring_function(images).numpy()

    def save(self, filepath, overwrite=None, zipped=None, **options):
        """As Keras's; where the path has no suffix, it is a folder for `export`.

        Args:
            filepath: a `.keras` file, or a folder. The ending of `mimo_v1.2` is no suffix.
            overwrite: replace what is there; None does so with files, not with folders.
            zipped: as Keras's.

        Raises:
            InputError: the file would be of Keras's old format, which cannot be loaded.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise InputError(f"{filepath}: networks are saved as .keras files: name one.")
        if re.fullmatch(r"(\.\d+)?", os.path.splitext(filepath)[1]):
            say(f"{filepath} becomes a SavedModel: Keras's own files end in .keras.", sys.stderr)
            return self.export(filepath, overwrite=bool(overwrite))
        return super().save(filepath, overwrite is not False, zipped, **options)

    def export(
        self,
        filepath,
        format="tf_saved_model",
        verbose=None,
        input_signature=None,
        overwrite=False,
        **more,
    ):
        """Writes the network for programs without Keras, as `tfdeblur.export` does.

        A SavedModel, LiteRT or ONNX file of it restores images of any size; `overwrite` replaces
        one. With a signature, with options of Keras's, or in another of its formats, as Keras's:
        then it returns the list of levels, of sizes that are multiples of the stride.
        """
        kind = {"tf_saved_model": "saved_model", "litert": "litert", "onnx": "onnx"}.get(format)
        if kind is None or input_signature is not None or more:
            return super().export(filepath, format, verbose, input_signature, **more)
        from tfdeblur import export  # which needs TensorFlow

        export.export(self, filepath, kind, overwrite)

    def get_config(self):
        origin = {"origin": dict(self.origin)} if self.origin else {}
        return {**self.hyperparameters, "name": self.name, **origin}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        origin = config.pop("origin", {})
        network = cls(**config)
        network.origin = origin
        return network

    @classmethod
    def explicit(cls, hyperparameters):
        """Hyperparameters with what the constructor puts in the place of None."""
        return hyperparameters


def require_counts(**arguments):
    """Raises an InputError, which names the argument, unless all are whole numbers from 1 up."""
    for name, value in arguments.items():
        if not _is_count(value):
            raise InputError(f"{name}={value!r}: give a whole number from 1 up.")


def require_choice(choices, **arguments):
    """Raises an InputError, which names the argument and the choices, unless it is one of them."""
    for name, value in arguments.items():
        if value not in list(choices):
            raise InputError(f"{name}={value!r}: choose one of {', '.join(sorted(choices))}.")


def require_flags(**arguments):
    """Likewise unless all are True or False."""
    for name, value in arguments.items():
        if not isinstance(value, bool):
            raise InputError(f"{name}={value!r}: give True or False.")


def require_window(window, stride):
    """Raises an InputError unless a window of statistics is None, or has a pixel at each level."""
    if window is not None:
        require_counts(window=window)
        if window < stride:
            raise InputError(f"window={window}: the lowest level needs {stride} pixels.")


def require_lists_of_counts(length, **arguments):
    """Likewise for lists or tuples of such numbers, of this length; None: of any but 0."""
    for name, value in arguments.items():
        fits = isinstance(value, list | tuple) and len(value) == (length or max(len(value), 1))
        if not fits or not all(map(_is_count, value)):
            count = length or "one or more"
            raise InputError(f"{name}={value!r}: give {count} whole numbers from 1 up.")


def _is_count(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= 1
