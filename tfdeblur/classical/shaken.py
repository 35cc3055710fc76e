"""A photograph that shook as a whole: its kernel is estimated, then taken out of it."""

import numpy as np

from tfdeblur.classical.deconvolution import ESTIMATED_SIGMA, deconvolve
from tfdeblur.classical.kernels import estimate_kernel

# What the commands call the priors of `estimate_kernel`: whose they are.
MODELS = {"xu2013": "l0", "pan2016": "dark_channel"}
DEFAULT_SIZE = 31  # of kernels, in pixels
_SIDE = 800  # of the part that the kernel is estimated from, or so many kernels
_KERNELS = 4
_SHARE = 0.9  # of the work, that is the kernel's


def restore(image, size=DEFAULT_SIZE, prior="l0", progress=None):
    """Estimates the kernel from the middle of a photograph, and deconvolves the whole with it.

    The middle is of at most 800x800 pixels, or four kernels, where that is more: the blur of a
    camera that did not turn is the same everywhere, and the time grows with the pixels.

    Args:
        image, size, prior: as for `estimate_kernel`.
        progress: called with the share done, above 0 to 1, after each step of each scale; or None.

    Returns:
        (the restored image, of the type and shape of `image`; the kernel, float32 [size, size]).
        Where the kernel is a point the image is as it was.

    Raises:
        InputError: see `estimate_kernel`.
    """
    image = np.asarray(image)

    def tell(share, kernel):
        if progress is not None:
            progress(_SHARE * share)

    kernel = estimate_kernel(_middle(image, max(_SIDE, _KERNELS * size)), size, prior, tell)
    if kernel.max() == 1:  # no blur
        restored = image.copy()
    else:
        restored = deconvolve(image, kernel, kernel_sigma=ESTIMATED_SIGMA)
    if progress is not None:
        progress(1.0)
    return restored, kernel


def _middle(image, side):
    top, left = (max(length - side, 0) // 2 for length in image.shape[:2])
    return image[top : top + side, left : left + side]
