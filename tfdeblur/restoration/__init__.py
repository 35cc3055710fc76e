"""Restoring images with a network: whole, in tiles, in another precision; and whole folders."""

import importlib

__all__ = ["quantise", "restore", "restore_float"]


def __getattr__(name):
    # Keras takes seconds to import, and files.py, which plans and checks, does without it.
    if name in __all__:
        return getattr(importlib.import_module("tfdeblur.restoration.restoring"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
