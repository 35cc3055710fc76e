"""Arrays computed by the authors' reference implementations on random weights and images."""

import pathlib

import numpy as np

FOLDER = pathlib.Path(__file__).parent / "golden"


def arrays(name):
    return dict(np.load(FOLDER / f"{name}.npz"))


def state_dict(arrays):
    """The authors' weights among golden arrays, by their PyTorch names."""
    prefix = "param/"
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
