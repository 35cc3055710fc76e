"""What is computed on another backend of Keras, in a process of its own."""

import os
import pathlib
import subprocess
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent
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


def run_on(backend, code, *arguments, cwd=None, path=(), **environment):
    """What code prints, which has to end well.

    Args:
        backend: of Keras.
        code: of Python; it may import what lies in `path`, and these helpers.
        arguments, cwd, environment: of the process.
    """
    folders = [*path, HERE]
    # What runs a few times need not run fast: XLA's compiling is what takes long.
    environment |= {
        "KERAS_BACKEND": backend,
        "PYTHONPATH": os.pathsep.join(map(str, folders)),
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def outputs_on_jax(names, images, folder):
    """{name: all outputs} of the networks in `folder`/NAME.keras, of one batch."""
    np.save(folder / "images.npy", images)
    run_on("jax", SCRIPT, *names, cwd=folder)
    return {name: list(np.load(folder / f"{name}_outputs.npz").values()) for name in names}
