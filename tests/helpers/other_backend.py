"""What networks compute on JAX, in a process of its own."""

import os
import subprocess
import sys

import numpy as np

SCRIPT = """
import sys, keras, numpy as np, tfdeblur
assert keras.backend.backend() == "jax"
x = np.load("images.npy")
for i, name in enumerate(sys.argv[1:]):
    net = keras.saving.load_model(f"{name}.keras", compile=False)
    np.savez(f"{name}_outputs.npz", *net.predict_on_batch(x))
    if not i:  # a size that the stride does not divide
        assert tfdeblur.restore(net, np.zeros((5, 7, 3), "uint8")).shape == (5, 7, 3)
"""


def outputs_on_jax(names, images, folder):
    """{name: all outputs} of the networks in `folder`/NAME.keras, of one batch."""
    np.save(folder / "images.npy", images)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *names],
        cwd=folder,
        # What runs once need not run fast: compiling is what takes long.
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {name: list(np.load(folder / f"{name}_outputs.npz").values()) for name in names}
