"""The dataset builders: `import tfdeblur.datasets` registers them, for `tfds.load` to find."""

from tfdeblur.datasets.dead_leaves import dead_leaves_dataset_builder

__all__ = ["dead_leaves_dataset_builder"]
