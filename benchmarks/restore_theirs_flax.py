"""Restoring with the authors' public Flax code; started by restore.py.

It needs JAX, Flax, einops and NumPy, but not tfdeblur.
"""

import argparse
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import stopwatch

PREFIX = "opt/target/"  # of the weights' names in the authors' checkpoints


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network", choices=["maxim"])
    parser.add_argument("setting", choices=["float32", "bfloat16"])
    parser.add_argument("--code", required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    args = parser.parse_args()
    at_start = stopwatch.of_process()

    sys.path.insert(0, args.code)
    from maxim.models.maxim import Model

    model = Model(variant="S-3", num_outputs=3, use_bias=True, num_supervision_scales=3)
    # As shipped is float32; their best is bfloat16, in parameters and images.
    parameters = jax.tree.map(
        lambda x: jnp.asarray(x, args.setting), read_parameters(args.folder / "weights.npz")
    )
    image = np.load(args.folder / "blurry.npz")["level1"].astype(args.setting)
    # Their results are of all stages, and of all sizes with the full one last.
    restore = jax.jit(lambda parameters, x: model.apply({"params": parameters}, x)[-1][-1])

    def step():
        return np.asarray(restore(parameters, image).astype("float32"))

    output = args.folder / f"theirs_{args.setting}.npy"
    stopwatch.serve(step, stopwatch.of_process, at_start, output)


def read_parameters(path):
    """The nested dictionaries that Flax takes."""
    tree = {}
    with np.load(path) as arrays:
        for name in arrays:
            if name.startswith(PREFIX):
                *modules, leaf = name.removeprefix(PREFIX).split("/")
                branch = tree
                for module in modules:
                    branch = branch.setdefault(module, {})
                branch[leaf] = arrays[name]
    return tree


if __name__ == "__main__":
    main()
