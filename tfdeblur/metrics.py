"""PSNR, SSIM and multi-scale SSIM of NumPy images, as the papers' evaluations compute them."""

import math

import numpy as np

from tfdeblur.errors import InputError

__all__ = [
    "ms_ssim",
    "psnr",
    "ssim",
]


def __dir__():
    return __all__


# Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity".
_K1, _K2 = 0.01, 0.03
_SIGMA, _RADIUS = 1.5, 5
_WINDOW = 2 * _RADIUS + 1

# Wang, Simoncelli and Bovik 2003, "Multi-scale structural similarity", from fine to coarse.
_LEVEL_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# The analysis low-pass filter of the biorthogonal 9/7 wavelet, from its middle to one end.
_LOW_PASS = (
    0.85269867900889,
    0.37740285561283,
    -0.11062440441844,
    -0.02384946501956,
    0.03782845550726,
)


def psnr(reference, restored, data_range):
    """Peak signal-to-noise ratio.

    Args:
        reference: [H, W, 3], float or uint8, the sharp image.
        restored: like `reference`.
        data_range: the largest possible value: 255 for 8 bit, 1 for [0, 1].

    Returns:
        float, in dB; infinity for equal images.

    Raises:
        InputError: the shapes differ or are not [H, W, 3], or `data_range` is not positive.

    >>> image = np.zeros((4, 4, 3), "uint8")
    >>> round(psnr(image, image + 1, 255), 2)
    48.13
    """
    reference, restored = _checked(reference, restored, data_range)
    mean_square = float(np.mean(np.square(reference - restored)))
    return math.inf if mean_square == 0 else 10 * math.log10(data_range**2 / mean_square)


def ssim(reference, restored, data_range, kind="gaussian"):
    """Structural similarity (Wang et al. 2004): Gaussian window of sigma 1.5, K1 0.01, K2 0.03.

    The two kinds differ by some hundredths, which is more than most papers differ by:

    - "gaussian": an 11x11 window over each channel by itself, where it fits into the image; the
      mean over channels. Equals scikit-image's `structural_similarity(gaussian_weights=True,
      sigma=1.5, use_sample_covariance=False)`.
    - "volume": an 11x11x11 window over height, width and channels, with replicated borders on
      all three; the mean over all pixels. What MATLAB's `ssim` does with an RGB image, and after
      it the evaluation of MIMO-UNet, MPRNet, NAFNet and SRN.

    Args:
        reference: [H, W, 3], float or uint8, the sharp image.
        restored: like `reference`.
        data_range: the largest possible value: 255 for 8 bit, 1 for [0, 1].
        kind: "gaussian" or "volume".

    Returns:
        float; 1 for equal images.

    Raises:
        InputError: the shapes differ or are not [H, W, 3], `data_range` is not positive, `kind`
            is unknown, or the image is smaller than the 11x11 window ("gaussian" only).
    """
    reference, restored = _checked(reference, restored, data_range)
    if kind == "volume":
        return float(_similarity(reference, restored, data_range, sigma=_SIGMA).mean())
    if kind != "gaussian":
        raise InputError(f'unknown SSIM kind {kind!r}: choose "gaussian" or "volume".')
    if min(reference.shape[:2]) < _WINDOW:
        raise InputError(
            f"the image has {reference.shape[1]}x{reference.shape[0]} pixels, less than the "
            f'{_WINDOW}x{_WINDOW} window of the Gaussian SSIM: use larger images, or kind="volume".'
        )
    similarity = _similarity(reference, restored, data_range, sigma=(_SIGMA, _SIGMA, 0))
    return float(similarity[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS].mean())


def ms_ssim(reference, restored, data_range):
    """Multi-scale SSIM of grey images, as Köhler et al.'s evaluation computes it (MeTriX MuX).

    Five levels; from one to the next a low-pass filter, and every other pixel. Contrast and
    structure are averaged over each level, luminance over the coarsest; all means, raised to the
    weights of their levels, are multiplied (Wang, Simoncelli and Bovik 2003, equation (7)).

    Args:
        reference: [H, W], float or uint8, the sharp image.
        restored: like `reference`.
        data_range: the largest possible value: 255 for 8 bit, 1 for [0, 1].

    Returns:
        float; 1 for equal images, 0 where the structures of a level are opposite in the mean.

    Raises:
        InputError: the shapes differ, are not [H, W], or too small: 161 pixels are the least; or
            `data_range` is not positive.
    """
    _require_range(data_range)
    x, y = np.asarray(reference, np.float64), np.asarray(restored, np.float64)
    if x.ndim != 2 or x.shape != y.shape:
        raise InputError(f"expected two images [H, W] of one size, got {x.shape}, {y.shape}.")
    least = (_WINDOW - 1) * 2 ** (len(_LEVEL_WEIGHTS) - 1) + 1
    if min(x.shape) < least:
        raise InputError(
            f"the image has {x.shape[1]}x{x.shape[0]} pixels, but multi-scale SSIM needs {least} "
            "at least in width and height."
        )
    product = 1.0
    for level, weight in enumerate(_LEVEL_WEIGHTS):
        if level:
            x, y = _halved(x), _halved(y)
        luminance, contrast, structure = _components(x, y, data_range)
        product *= (contrast * max(structure, 0)) ** weight
    return product * luminance**weight


def _halved(image):
    """The next level of `ms_ssim`."""
    from scipy import ndimage

    taps = np.array([*_LOW_PASS[:0:-1], *_LOW_PASS])
    for axis in (0, 1):
        image = ndimage.correlate1d(image, taps / taps.sum(), axis, mode="reflect")
    return image[::2, ::2]


def _components(x, y, data_range):
    """Means of luminance, contrast and structure, where the window fits into the images [H, W]."""
    inside = (slice(_RADIUS, -_RADIUS),) * 2

    def local_mean(values):
        return _local_mean(values, _SIGMA)[inside]

    mean_x, mean_y = local_mean(x), local_mean(y)
    # Rounding can make the variance of a flat area negative.
    variance_x = np.maximum(local_mean(x * x) - mean_x**2, 0)
    variance_y = np.maximum(local_mean(y * y) - mean_y**2, 0)
    covariance = local_mean(x * y) - mean_x * mean_y
    deviations = np.sqrt(variance_x * variance_y)
    c1, c2 = _constants(data_range)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    contrast = (2 * deviations + c2) / (variance_x + variance_y + c2)
    structure = (covariance + c2 / 2) / (deviations + c2 / 2)
    return luminance.mean(), contrast.mean(), structure.mean()


def _similarity(x, y, data_range, sigma):
    """The map of local similarities [H, W, 3]; `sigma` is for the three axes."""
    mean_x, mean_y = _local_mean(x, sigma), _local_mean(y, sigma)
    variances = _local_mean(x * x + y * y, sigma) - mean_x**2 - mean_y**2
    covariance = _local_mean(x * y, sigma) - mean_x * mean_y
    c1, c2 = _constants(data_range)
    return ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (variances + c2)
    )


def _local_mean(values, sigma):
    from scipy import ndimage  # here, because `import tfdeblur` must stay light

    return ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=_RADIUS / _SIGMA)


def _constants(data_range):
    """What keeps the quotients finite: C1 and C2."""
    return (_K1 * data_range) ** 2, (_K2 * data_range) ** 2


def _checked(reference, restored, data_range):
    """Both images as float64, whose squares do not overflow or cancel."""
    reference, restored = np.asarray(reference), np.asarray(restored)
    if reference.ndim != 3 or reference.shape[-1] != 3 or reference.shape != restored.shape:
        raise InputError(
            f"expected two images [H, W, 3] of one size, got {reference.shape}, {restored.shape}."
        )
    _require_range(data_range)
    return reference.astype(np.float64), restored.astype(np.float64)


def _require_range(data_range):
    if not data_range > 0:
        raise InputError(f"data_range is {data_range}: give 255 for 8 bit, 1 for [0, 1].")
