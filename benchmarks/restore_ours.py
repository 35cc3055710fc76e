"""Restoring with tfdeblur; started by restore.py. Runs on Keras's TensorFlow and JAX backends.

With --convolutions it makes the network's commonest convolutions instead, alone and in a chain: how
fast this machine can be.
"""

import argparse
import pathlib

import keras
import numpy as np
import stopwatch

from tfdeblur import models, precision, weights

# Kernel size and features of those convolutions, and by how much their maps are smaller than the
# image.
CONVOLUTIONS = {
    "deepdeblur": [(5, 64, 1)],
    "mimo_unet": [(3, 32, 1), (3, 64, 2), (3, 128, 4)],
    "mimo_unet_plus": [(3, 32, 1), (3, 64, 2), (3, 128, 4)],
    "dmphn": [(3, 32, 1), (3, 64, 2), (3, 128, 4)],
    "maxim": [(3, 32, 1), (3, 64, 2), (3, 128, 4)],
    "nafnet": [(3, 32, 1), (3, 64, 2), (3, 128, 4)],
    "restormer": [(3, 48, 1), (3, 96, 2), (3, 192, 4)],
    "mprnet": [(3, 96, 1), (3, 144, 2), (3, 192, 4)],
    "srn": [(5, 32, 1), (5, 64, 2), (5, 128, 4)],
}
REPEATS = 10  # of each convolution
HYPERPARAMETERS = {  # as the authors' code is
    "deepdeblur": {"upsampling": "sub_pixel"},
    "restormer": {"window": None},
    "mprnet": {"window": None},
}
WEIGHTS = {"maxim": weights.from_flax, "srn": weights.from_tf1}  # the others' are PyTorch's


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network", choices=CONVOLUTIONS)
    parser.add_argument("precision", choices=precision.POLICIES)
    parser.add_argument("--convolutions", action="store_true")
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    args = parser.parse_args()
    memory = stopwatch.of_process if precision.on_cpu() else stopwatch.of_accelerator
    at_start = memory()
    blurry = np.load(args.folder / "blurry.npz")["level1"]
    with precision.policy(args.precision):
        if args.convolutions:
            step = convolutions(args.network, *blurry.shape[1:3])
            stopwatch.serve(step, memory, at_start)
            return
        net = models.build(args.network, **HYPERPARAMETERS.get(args.network, {}))
    weights_file = args.folder / "weights.npz"
    if weights_file.exists():
        assign = WEIGHTS.get(args.network, weights.from_torch)
        with np.load(weights_file) as arrays:
            assign(net, dict(arrays))
    output = args.folder / f"ours_{args.precision}.npy"
    stopwatch.serve(lambda: net.restore_on_batch(blurry), memory, at_start, output)


def convolutions(name, height, width):
    """A function that makes all of them."""
    chains = []
    for size, features, shrink in CONVOLUTIONS[name]:
        # Little comes from the host and goes back to it: a map to begin with, a row in the end.
        image = keras.Input((height // shrink, width // shrink, 1))
        x = keras.layers.Conv2D(features, 1)(image)
        for _ in range(REPEATS):
            x = keras.layers.Conv2D(features, size, padding="same", activation="relu")(x)
        chain = keras.Model(image, x[:, 0])
        chain.compile(jit_compile=not precision.on_cpu())
        chains.append((chain, np.ones((1, *image.shape[1:]), "float32")))
    return lambda: [chain.predict_on_batch(image) for chain, image in chains]


def multiply_accumulates(name, height, width):
    """Of `convolutions`."""
    return sum(
        REPEATS * (height // shrink) * (width // shrink) * (size * features) ** 2
        for size, features, shrink in CONVOLUTIONS[name]
    )


if __name__ == "__main__":
    main()
