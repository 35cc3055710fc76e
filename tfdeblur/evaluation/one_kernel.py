"""The methods of one kernel, which need no weights, as rows beside the networks."""

import numpy as np

from tfdeblur import classical, errors

# The sides of the kernels, by trajectory, as published: of images 1 and 2, and of 3 and 4.
_KOHLER_FIRST = (41, 41, 41, 41, 41, 41, 41, 121, 125, 151, 75, 41)
_KOHLER_LAST = (41, 41, 31, 21, 41, 41, 41, 121, 101, 151, 75, 41)
KOHLER_SIZES = {
    f"{image:06d}/{trajectory:06d}": size
    for image, sizes in enumerate((_KOHLER_FIRST, _KOHLER_FIRST, _KOHLER_LAST, _KOHLER_LAST), 1)
    for trajectory, size in enumerate(sizes, 1)
}


class OneKernel:
    """Restores images as `scoring.score` wants it: blurry uint8 [H, W, 3] -> float32 in [0, 1].

    Args:
        model: a name of `classical.MODELS`.
        size: of the kernels, see `classical.restore`.
        sizes: {name of an image: its own size}.
    """

    def __init__(self, model, size=classical.DEFAULT_SIZE, sizes=None):
        self.model = model
        self.size = size
        self.sizes = sizes or {}

    def __call__(self, blurry, name=None):
        size = self.sizes.get(name, self.size)
        unit = blurry.astype(np.float32) / 255
        with errors.about(name):
            restored, _ = classical.restore(unit, size, classical.MODELS[self.model])
        return restored

    def __str__(self):
        own = "the published sizes of Köhler's images" if self.sizes else f"{self.size}x{self.size}"
        return f"{self.model} (kernel: {own})"
