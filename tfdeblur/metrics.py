"""PSNR and SSIM of NumPy images, as the papers' evaluation programs compute them."""

import math

import numpy as np

from tfdeblur.errors import InputError

# Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity".
_K1, _K2 = 0.01, 0.03
_SIGMA, _RADIUS = 1.5, 5
_WINDOW = 2 * _RADIUS + 1


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


def _similarity(x, y, data_range, sigma):
    """The map of local similarities [H, W, 3]; `sigma` is for the three axes."""
    from scipy import ndimage  # here, because `import tfdeblur` must stay light

    def local_mean(values):
        return ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=_RADIUS / _SIGMA)

    mean_x, mean_y = local_mean(x), local_mean(y)
    variances = local_mean(x * x + y * y) - mean_x**2 - mean_y**2
    covariance = local_mean(x * y) - mean_x * mean_y
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    return ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (variances + c2)
    )


def _checked(reference, restored, data_range):
    """Both images as float64, whose squares do not overflow or cancel."""
    reference, restored = np.asarray(reference), np.asarray(restored)
    if reference.ndim != 3 or reference.shape[-1] != 3 or reference.shape != restored.shape:
        raise InputError(
            f"expected two images [H, W, 3] of one size, got {reference.shape}, {restored.shape}."
        )
    if not data_range > 0:
        raise InputError(f"data_range is {data_range}: give 255 for 8 bit, 1 for [0, 1].")
    return reference.astype(np.float64), restored.astype(np.float64)
