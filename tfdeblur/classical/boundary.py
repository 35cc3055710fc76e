"""The extension of an image to a period of a smooth periodic image.

Liu and Jia, "Reducing Boundary Artifacts in Image Deconvolution" (ICIP 2008). The discrete Fourier
transform takes an image for one period of a periodic one. A photograph's left and right border do
not match, and this step would ring through everything that divides spectra.
"""

import numpy as np
from scipy import fft

from tfdeblur.errors import InputError


def extend_periodically(image, margins):
    """Extends an image at its lower and right end so that it repeats without a step.

    The extended sizes are the next ones of small prime factors that are at least H + margins[0]
    and W + margins[1]. The new rows lie between the last row and, across the wrap, the first;
    they solve Laplace's equation

        u(y - 1, x) + u(y + 1, x) + u(y, x - 1) + u(y, x + 1) - 4 u(y, x) = 0

    with the known rows as boundary and straight lines between their ends at the two sides. The new
    columns likewise; the corner is bounded by the new rows and columns. Each of the three pieces
    is solved exactly by the discrete sine transform.

    Args:
        image: float32 or float64 [H, W], or [H, W, C] for channels by themselves; H, W at least 2.
        margins: (rows, columns) to add at least, not negative; for a kernel of size k take k - 1.

    Returns:
        [H', W'] or [H', W', C] of the same type; `[:H, :W]` is the image, unchanged.

    Raises:
        InputError: the image is no float image of at least 2x2 pixels, or a margin is negative.
    """
    image = np.asarray(image)
    if image.ndim not in (2, 3) or image.dtype not in (np.float32, np.float64):
        raise InputError(
            f"expected a float image [H, W] or [H, W, C], got {image.dtype} {image.shape}: "
            "divide 8-bit codes by 255 first."
        )
    if min(image.shape[:2]) < 2 or min(margins) < 0:
        raise InputError(
            f"cannot extend {image.shape[1]}x{image.shape[0]} pixels by margins of {margins}: "
            "give 2x2 pixels or more, and margins of 0 or more."
        )
    if image.ndim == 3:
        channels = [extend_periodically(channel, margins) for channel in np.moveaxis(image, -1, 0)]
        return np.stack(channels, axis=-1)
    height, width = image.shape
    rows = fft.next_fast_len(height + margins[0])
    columns = fft.next_fast_len(width + margins[1], real=True)
    extended = np.zeros((rows, columns), image.dtype)
    extended[:height, :width] = image
    if rows > height:
        extended[height:, :width] = _bridge(image[-1], image[0], rows - height)
    if columns > width:
        extended[:height, width:] = _bridge(image[:, -1], image[:, 0], columns - width).T
    if rows > height and columns > width:
        # The corner, with a frame of its neighbours; across the wrap they are those of index 0.
        y = np.arange(height - 1, rows + 1) % rows
        x = np.arange(width - 1, columns + 1) % columns
        extended[height:, width:] = _solve_laplace(extended[np.ix_(y, x)])[1:-1, 1:-1]
    return extended


def _bridge(first, last, count):
    """`count` rows that lead from the row `first` to the row `last`."""
    share = np.arange(count + 2, dtype=first.dtype)[:, None] / (count + 1)
    framed = (1 - share) * first + share * last
    return _solve_laplace(framed)[1:-1]


def _solve_laplace(framed):
    """The harmonic image with the border of `framed` [H, W]; what lies within is ignored."""
    inner = np.s_[1:-1, 1:-1]
    height, width = framed[inner].shape
    if min(height, width) < 1:
        return framed
    source = np.zeros((height, width), framed.dtype)
    source[0] += framed[0, 1:-1]
    source[-1] += framed[-1, 1:-1]
    source[:, 0] += framed[1:-1, 0]
    source[:, -1] += framed[1:-1, -1]
    waves_y = 2 - 2 * np.cos(np.pi * np.arange(1, height + 1) / (height + 1))
    waves_x = 2 - 2 * np.cos(np.pi * np.arange(1, width + 1) / (width + 1))
    eigenvalues = (waves_y[:, None] + waves_x).astype(framed.dtype)
    solved = framed.copy()
    solved[inner] = fft.idstn(fft.dstn(source, type=1) / eigenvalues, type=1)
    return solved
