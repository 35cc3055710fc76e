"""Arrays computed by the authors' reference implementations on random weights and images."""

import json
import pathlib
import zlib

import numpy as np

FOLDER = pathlib.Path(__file__).parents[1] / "golden"


def arrays(name):
    return dict(np.load(FOLDER / f"{name}.npz"))


def values(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def state_dict(arrays):
    """The authors' weights among golden arrays, by name: stored, or drawn as `recipe` says."""
    prefix = "param/"
    state = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    for name, (shape, step, mean) in json.loads(str(arrays.get("recipe", "{}"))).items():
        seed = zlib.crc32(f"{arrays['recipe_seed']}/{name}".encode())
        state[name] = mean + step * np.random.RandomState(seed).randint(-6, 7, size=shape)
    return state


def seeded_variables(arrays):
    """TensorFlow 1 variables too large to keep, drawn anew: `step/NAME` is [*shape, step]."""
    prefix, variables = "step/", {}
    for key in [key for key in arrays if key.startswith(prefix)]:
        name, (*shape, step) = key.removeprefix(prefix), arrays[key]
        random = np.random.RandomState(zlib.crc32(name.encode()))
        variables[name] = step * random.randint(-7, 8, [int(n) for n in shape])
    return variables
