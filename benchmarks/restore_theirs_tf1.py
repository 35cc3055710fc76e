"""Restoring with SRN's public TensorFlow 1 code, in TensorFlow 2; started by restore.py.

It needs TensorFlow and NumPy, but not tfdeblur. What left TensorFlow since, TF-Slim and the
integer division of Python 2, stands here.
"""

import argparse
import contextlib
import pathlib
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import stopwatch
import tensorflow
from tensorflow.core.protobuf import rewriter_config_pb2

tf = tensorflow.compat.v1
tf.disable_eager_execution()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network", choices=["srn"])
    parser.add_argument("setting", choices=("export", "float32", "bfloat16"))
    parser.add_argument("--code", required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    args = parser.parse_args()
    at_start = stopwatch.of_process()

    image = np.load(args.folder / "blurry.npz")["level1"]
    planes = image.transpose(3, 1, 2, 0)  # as their test has it: each colour is an image
    inputs = tf.placeholder(tf.float32, planes.shape)
    restored = make_network(args.code)(inputs)[-1]
    session = tf.Session(config=configuration(args.setting))
    names = {variable.op.name: variable for variable in tf.global_variables()}
    weights = args.folder / "weights.npz"
    if args.setting == "export":
        tf.set_random_seed(0)
        session.run(tf.global_variables_initializer())
        np.savez(weights, **session.run(names))
        return
    with np.load(weights) as arrays:
        for name, variable in names.items():
            variable.load(arrays[name], session)

    def step():
        return session.run(restored, {inputs: planes}).transpose(3, 1, 2, 0)

    stopwatch.serve(
        step, stopwatch.of_process, at_start, args.folder / f"theirs_{args.setting}.npy"
    )


def configuration(setting):
    config = tf.ConfigProto()
    if setting == "bfloat16":
        options = config.graph_options.rewrite_options
        options.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.ON
    return config


def make_network(code):
    """Their `generator`, a function of an image."""
    stand_in("scipy", misc=stand_in("scipy.misc"))
    slim = stand_in(
        "tensorflow.contrib.slim",
        arg_scope=arg_scope,
        conv2d=conv2d,
        conv2d_transpose=conv2d_transpose,
    )
    layers = SimpleNamespace(xavier_initializer=lambda uniform: tf.glorot_uniform_initializer())
    contrib = stand_in("tensorflow.contrib", slim=slim, layers=layers)
    module = stand_in("tensorflow", contrib=contrib, zeros=zeros)
    module.__getattr__ = lambda name: getattr(tf, name)
    sys.path.insert(0, code)
    from models.model import DEBLUR

    network = DEBLUR.__new__(DEBLUR)  # its `__init__` reads lists of files
    network.args = SimpleNamespace(model="lstm")
    network.n_levels, network.scale, network.chns, network.batch_size = 3, 0.5, 1, 3
    return network.generator


def stand_in(name, **attributes):
    module = sys.modules[name] = ModuleType(name)
    vars(module).update(attributes)
    return module


def zeros(shape):
    return tf.zeros([int(length) for length in shape])


# Of TF-Slim, what they use: settings for all calls inside a block, and two layers.
_defaults = [{}]


@contextlib.contextmanager
def arg_scope(layers, scope=None, **settings):
    _defaults.append(_defaults[-1] | settings)
    yield
    _defaults.pop()


def conv2d(x, filters, size, scope, stride=1, **settings):
    return _layer(
        scope,
        [*size, x.shape[-1], filters],
        filters,
        lambda kernel: tf.nn.conv2d(x, kernel, strides=stride, padding="SAME"),
        settings,
    )


def conv2d_transpose(x, filters, size, scope, stride, **settings):
    batch, height, width, channels = x.shape.as_list()
    shape = [batch, stride * height, stride * width, filters]
    return _layer(
        scope,
        [*size, filters, channels],
        filters,
        lambda kernel: tf.nn.conv2d_transpose(x, kernel, shape, strides=stride, padding="SAME"),
        settings,
    )


def _layer(scope, shape, filters, convolve, settings):
    settings = _defaults[-1] | settings
    with tf.variable_scope(scope):
        kernel = tf.get_variable("weights", shape, initializer=settings["weights_initializer"])
        bias = tf.get_variable("biases", [filters], initializer=settings["biases_initializer"])
    y = convolve(kernel) + bias
    return settings["activation_fn"](y) if settings["activation_fn"] else y


if __name__ == "__main__":
    main()
