"""TFDS builders. Importing this package registers them, so that `tfds.load("dead_leaves")` finds them."""

from tfdeblur.datasets.dead_leaves import dead_leaves_dataset_builder

__all__ = ["dead_leaves_dataset_builder"]
