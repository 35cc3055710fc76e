"""Every network's values on another backend of Keras, beside TensorFlow's.

python benchmarks/backends.py --backend=jax
python -m venv torch && torch/bin/pip install torch "keras>=3.15,<3.16" absl-py pillow pytest
python benchmarks/backends.py --backend=torch --peer_python=torch/bin/python

Small networks with the same random weights restore the same picture, the other backend in a
process of its own: the largest difference of all outputs, as a share of the largest value, and the
largest difference of what `restore` gives of 8 bits. Ends with status 1 if one is above 1e-4, or
above 1.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from absl import flags

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers")]

FLAGS = flags.FLAGS
flags.DEFINE_enum("backend", "jax", ["jax", "torch"], "The other backend.")
flags.DEFINE_string("peer_python", sys.executable, "The Python of an environment that has it.")

SIDE = 128  # which is a multiple of all strides
LIMIT = 1e-4


def main(argv):
    del argv
    import small_networks

    worst = 0.0
    print("| network | outputs | largest difference | of 8 bits |\n|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        expected = {name: write(name, folder) for name in small_networks.SMALL}
        command = [FLAGS.peer_python, __file__, "measure", folder, *expected]
        environment = os.environ | {"KERAS_BACKEND": FLAGS.backend}
        subprocess.run(command, env=environment, check=True)
        for name, (outputs, restored) in expected.items():
            refused = pathlib.Path(folder, f"{name}_refused.txt")
            if refused.exists():
                print(f"| `{name}` | | {refused.read_text()} | |")
                continue
            with np.load(pathlib.Path(folder, f"{name}_outputs.npz")) as file:
                found = [file[f"arr_{i}"] for i in range(len(outputs))]
                grey_levels = np.abs(file["restored"].astype(int) - restored).max()
            difference = max(
                np.abs(a - b).max() / np.abs(b).max() for a, b in zip(found, outputs, strict=True)
            )
            worst = max(worst, difference / LIMIT, grey_levels / 1.5)
            print(f"| `{name}` | {len(outputs)} | {difference:.1e} | {grey_levels} |", flush=True)
    if worst > 1:
        sys.exit(1)


def write(name, folder):
    """Weights of a network into the folder, and what it gives here."""
    import small_networks

    net = small_networks.shared(name)
    rng = np.random.default_rng(0)
    # Of the size that they begin with; some begin at 0, which would hide what follows.
    weights = [w + rng.normal(0, 0.02, w.shape).astype("float32") for w in net.get_weights()]
    weights = [
        np.abs(w) if "variance" in v.path else w for v, w in zip(net.weights, weights, strict=True)
    ]
    np.savez(pathlib.Path(folder, f"{name}_weights.npz"), *weights)
    return computed(net, weights)


def computed(net, weights):
    """Its outputs of a picture, and what `restore` makes of one that its stride does not divide."""
    import tfdeblur

    net.set_weights(weights)
    picture = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), "uint8")
    outputs = [np.asarray(x) for x in net.predict_on_batch(picture[None].astype("float32") / 255)]
    return outputs, tfdeblur.restore(net, picture[:37, :53]).astype(int)


def measure(folder, *names):
    """In the other backend's process."""
    import small_networks

    from tfdeblur.errors import InputError

    for name in names:
        with np.load(pathlib.Path(folder, f"{name}_weights.npz")) as file:
            weights = [file[key] for key in file.files]
        try:
            net = small_networks.shared(name)
        except InputError as error:
            pathlib.Path(folder, f"{name}_refused.txt").write_text(str(error))
            continue
        outputs, restored = computed(net, weights)
        np.savez(pathlib.Path(folder, f"{name}_outputs.npz"), *outputs, restored=restored)


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(*sys.argv[2:])
    else:
        from tfdeblur import errors

        errors.run(main)
