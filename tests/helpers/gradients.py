"""Gradients of a network, to compare a view of it with."""

import keras
import tensorflow as tf


def function_of(model, variables, x):
    """A compiled function that computes the gradients of a loss over all outputs for `x`."""

    def gradients():
        with tf.GradientTape() as tape:
            loss = sum(tf.reduce_mean(tf.square(y)) for y in keras.tree.flatten(model(x)))
        return tape.gradient(loss, [v.value for v in variables])

    return tf.function(gradients).get_concrete_function()
