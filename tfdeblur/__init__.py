"""tfdeblur restores photographs blurred by motion, with coarse-to-fine networks in Keras 3.

>>> net, _ = tfdeblur.weights.open_network("runs/quickstart/model.keras")
>>> sharp = tfdeblur.restore(net, blurry)  # uint8 [H, W, 3] -> uint8 [H, W, 3]
"""

import os

# TensorFlow's notes to its developers would stand between what a command prints; what goes wrong
# still raises.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tfdeblur import blur, layers, metrics, models, pyramid, weights
from tfdeblur.restoration import restore

__all__ = ["blur", "layers", "metrics", "models", "pyramid", "restore", "weights"]
__version__ = "0.1.0"
