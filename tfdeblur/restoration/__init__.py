"""Restoring images with a network: whole, in tiles, in another precision."""

from tfdeblur.restoration.restoring import quantise, restore, restore_float

__all__ = ["quantise", "restore", "restore_float"]
