"""The dataset builders: `import tfdeblur.datasets` registers them, for `tfds.load` to find."""

from tfdeblur.datasets.dead_leaves import dead_leaves_dataset_builder
from tfdeblur.datasets.gopro import gopro_dataset_builder
from tfdeblur.datasets.hide import hide_dataset_builder
from tfdeblur.datasets.high_speed_video import high_speed_video_dataset_builder
from tfdeblur.datasets.kohler import kohler_dataset_builder
from tfdeblur.datasets.lai import lai_dataset_builder
from tfdeblur.datasets.moving_stills import moving_stills_dataset_builder
from tfdeblur.datasets.realblur import realblur_dataset_builder
from tfdeblur.datasets.reds import reds_dataset_builder

__all__ = [
    "dead_leaves_dataset_builder",
    "gopro_dataset_builder",
    "hide_dataset_builder",
    "high_speed_video_dataset_builder",
    "kohler_dataset_builder",
    "lai_dataset_builder",
    "moving_stills_dataset_builder",
    "realblur_dataset_builder",
    "reds_dataset_builder",
]
