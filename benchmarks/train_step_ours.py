"""tfdeblur's training step; started by train_step.py. Runs on Keras's TensorFlow and JAX backends.

The network "convolution" is the largest one of DeepDeblur, 5x5 from 64 to 64 features, alone: how
fast this machine can be. Its step makes `CONVOLUTIONS` of them, in a chain, forward.
"""

import argparse

import keras
import numpy as np
import stopwatch
from keras import ops

from tfdeblur import models, precision
from tfdeblur.training import optimizers, trainers

LOSSES = {"deepdeblur": ("mse", "gaussian")}
CONVOLUTIONS = 20


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network")
    parser.add_argument("precision", choices=precision.POLICIES)
    parser.add_argument("--batch_size", type=int, required=True)
    parser.add_argument("--crop", type=int, required=True)
    parser.add_argument("--gradient_checkpointing", action="store_true")
    args = parser.parse_args()
    memory = stopwatch.of_process if precision.on_cpu() else stopwatch.of_accelerator
    at_start = memory()
    shape = (args.batch_size, args.crop, args.crop)
    with precision.policy(args.precision):
        if args.network == "convolution":
            step = convolutions(shape)
        else:
            step = training_step(args.network, shape, args.gradient_checkpointing)
    stopwatch.serve(step, memory, at_start)


def training_step(name, shape, gradient_checkpointing):
    net = models.build(name)
    loss, pyramid = LOSSES.get(name, ("mimo_unet", "bilinear"))
    trainer = trainers.MultiScaleTrainer(net, loss, pyramid, gradient_checkpointing)
    trainer.compile(optimizers.SkippingAdam(1e-4, epsilon=1e-8), jit_compile=net.jit_compile)
    blurry, sharp = np.random.default_rng(0).random((2, *shape, 3), "float32")

    def step():
        loss = trainer.train_on_batch(blurry, sharp)
        # On the host: all before it is done.
        return loss, ops.convert_to_numpy(net.trainable_variables[-1])

    return step


def convolutions(shape):
    image = keras.Input((*shape[1:], 64))
    layer = keras.layers.Conv2D(64, 5, padding="same")
    x = image
    for _ in range(CONVOLUTIONS):
        x = layer(x)
    chain = keras.Model(image, x[:, 0])
    chain.compile(jit_compile=not precision.on_cpu())
    features = np.random.default_rng(0).random((*shape, 64), "float32")
    return lambda: chain.predict_on_batch(features)


if __name__ == "__main__":
    main()
