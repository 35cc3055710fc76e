"""Aligning a restored image with a sharp one, for benchmarks whose pairs are not registered."""

import functools

import numpy as np

from tfdeblur.errors import InputError


def match_intensity(reference, image):
    """Scales an image by the one factor that brings it nearest to the reference.

    Köhler et al. 2012 and, after them, RealBlur (Rim et al. 2020): z * (sum xz / sum z^2).

    Args:
        reference, image: float [H, W, 3].

    Returns:
        float [H, W, 3].
    """
    energy = np.sum(image * image)
    return image * (np.sum(reference * image) / energy) if energy else image


def find_shift(reference, image):
    """By how many whole pixels an image has to be moved: the peak of the cross-correlation.

    The correlation is cyclic, so that shifts range from minus a half of the size to a half.

    Args:
        reference, image: float [H, W].

    Returns:
        (down, right), int.
    """
    from scipy import fft

    spectrum = fft.rfft2(reference) * fft.rfft2(image).conj()
    correlation = fft.irfft2(spectrum, reference.shape)
    peak = np.unravel_index(np.argmax(correlation), correlation.shape)
    return tuple(
        int(at) if at < size // 2 else int(at) - size
        for at, size in zip(peak, correlation.shape, strict=True)
    )


def move(image, shift):
    """Moves an image [H, W] by (down, right) whole pixels; zeros come in."""
    moved = np.zeros_like(image)
    sides = list(zip(shift, image.shape, strict=True))
    target = tuple(slice(max(by, 0), size + min(by, 0)) for by, size in sides)
    source = tuple(slice(max(-by, 0), size + min(-by, 0)) for by, size in sides)
    moved[target] = image[source]
    return moved


def align_by_homography(reference, image):
    """Warps an image onto the reference, by OpenCV's ECC algorithm, as RealBlur's evaluation does.

    Evangelidis and Psarakis 2008; 100 iterations on grey images smoothed by a 5x5 Gaussian.

    Args:
        reference, image: float32 [H, W, 3] in [0, 1].

    Returns:
        (the warped image, reflected where it has no content; a mask, 1 where it has content),
        both float32 [H, W, 3].

    Raises:
        InputError: OpenCV is not installed, or the algorithm does not converge.
    """
    cv2 = opencv()
    size = reference.shape[1::-1]
    grey = [cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (reference, image)]
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 0)
    start = np.eye(3, dtype=np.float32)
    try:
        _, homography = cv2.findTransformECC(
            *grey, start, cv2.MOTION_HOMOGRAPHY, criteria, inputMask=None, gaussFiltSize=5
        )
    except cv2.error as error:
        raise InputError(
            f"OpenCV finds no homography onto the sharp image ({error.err}): choose another "
            "`protocol` than realblur."
        ) from error
    warp = functools.partial(cv2.warpPerspective, M=homography, dsize=size)
    inverse = cv2.WARP_INVERSE_MAP
    warped = warp(image, flags=cv2.INTER_CUBIC + inverse, borderMode=cv2.BORDER_REFLECT)
    mask = warp(
        np.ones_like(image), flags=cv2.INTER_NEAREST + inverse, borderMode=cv2.BORDER_CONSTANT
    )
    return warped, mask


def opencv():
    """The module cv2; an InputError where it is not installed."""
    try:
        import cv2
    except ImportError as error:
        raise InputError(
            'the protocol realblur needs OpenCV: pip install -e ".[realblur]", or choose another '
            "`protocol`."
        ) from error
    return cv2
