"""What a network computes on JAX, in a process of its own."""

import os
import subprocess
import sys

import numpy as np


def outputs_on_jax(net, images, folder):
    """The first output of a network, saved and loaded there, restoring `images`."""
    net.save(folder / "net.keras")
    np.save(folder / "images.npy", images)
    code = (
        "import keras, numpy as np, tfdeblur\n"
        "assert keras.backend.backend() == 'jax'\n"
        "net = keras.saving.load_model('net.keras', compile=False)\n"
        "np.save('outputs.npy', net.predict_on_batch(np.load('images.npy'))[0])\n"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        check=True,
    )
    return np.load(folder / "outputs.npy")
