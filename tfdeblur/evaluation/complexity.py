"""What a network costs: multiply-accumulates and seconds."""

import math
import statistics
import time

import tensorflow as tf


def multiply_accumulates(network, height, width):
    """Counts the multiply-accumulates (MACs) of all convolutions and matrix products for an image.

    A multiply-accumulate is two floating-point operations. A training step costs about three times
    as much as restoring does: forward, and backward to features and to weights.

    Args:
        network: of `tfdeblur.models`, on Keras's TensorFlow backend.
        height, width: of the image in pixels, multiples of the network's stride.

    Returns:
        int.
    """
    image = tf.TensorSpec((1, height, width, 3), tf.float32)
    graph = tf.function(lambda x: network(x, training=False)).get_concrete_function(image).graph
    return sum(map(_macs, graph.get_operations()))


def _macs(operation):
    shapes = [tensor.shape for tensor in operation.inputs]
    match operation.type:
        case "Conv2D":
            return math.prod(operation.outputs[0].shape) * math.prod(shapes[1][:3])
        case "DepthwiseConv2dNative":
            return math.prod(operation.outputs[0].shape) * math.prod(shapes[1][:2])
        case "Conv2DBackpropInput":  # a transposed convolution, of sizes, a kernel and features
            return math.prod(shapes[2]) * math.prod(shapes[1][:3])
        case "MatMul" | "BatchMatMulV2":
            flag = "transpose_a" if operation.type == "MatMul" else "adj_x"
            summed = shapes[0][-2 if operation.get_attr(flag) else -1]
            return math.prod(operation.outputs[0].shape) * summed
    return 0


def seconds_per_step(trainer, batch_size, crop, timed=3):
    """Times training steps on random images; their first, which compiles, is not counted.

    Args:
        trainer: of `tfdeblur.training.trainers`, compiled; its weights change.
        batch_size, crop: of the steps.
        timed: how many steps; the median is taken.
    """
    images = tf.random.stateless_uniform((batch_size, crop, crop, 3), seed=(0, 0))
    seconds = []
    for _ in range(1 + timed):
        start = time.perf_counter()
        trainer.train_on_batch(images, images)  # returns numbers: it waits for the device
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])
