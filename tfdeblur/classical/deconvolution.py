"""Deconvolution with a known kernel.

Total variation by half-quadratic splitting, as Wang et al., "A New Alternating Minimization
Algorithm for Total Variation Image Reconstruction" (2008); hyper-Laplacian priors after Krishnan
and Fergus, "Fast Image Deconvolution using Hyper-Laplacian Priors" (NIPS 2009).
"""

import math

import numpy as np
from scipy import fft, ndimage

from tfdeblur.classical import boundary, inputs, spectra
from tfdeblur.classical.latent import LatentImage
from tfdeblur.errors import InputError

METHODS = ("tv", "hyper_laplacian")
# (a, b) of the weight a * sigma^b, which restores best with noise of sigma: on 8-bit photographs of
# the Kodak set, blurred by made-up shakes, for sigma up to 0.04.
_WEIGHTS = {"tv": (1.0, 1.4), "hyper_laplacian": (1.4, 1.7)}
_LEAST_NOISE = 4e-3  # no kernel is exact, and few photos are linear in the light
_RINGING_WEIGHT = 5e-4
# Of made-up shakes of 8 photographs, estimated kernels restore by 0.23 dB better so than as they
# are, and true ones by 0.15 dB: it also undoes what total variation takes off contrasts.
ESTIMATED_SIGMA = 0.55


def deconvolve(
    image, kernel, method="tv", weight=None, ringing=0.0, kernel_sigma=0.0, workers=None
):
    """The sharp S of the blur y = S * k, where k is known: by `estimate_kernel`, or measured.

    For each channel, on its smooth periodic extension (`boundary`),

        S = argmin |S * k - y|^2 + weight sum (|dS/dx|^p + |dS/dy|^p),

    where p is 1 ("tv") or 1/2 ("hyper_laplacian"), by half-quadratic splitting.

    Args:
        image: uint8, uint16, or float in [0, 1]; [H, W] or RGB [H, W, 3], the blurry photograph.
        kernel: [h, w], odd sizes, not negative; it is divided by its sum.
        method: "tv" or "hyper_laplacian".
        weight: larger for smoother results: 1e-4 without noise, 1e-2 for much. None: by the noise
            that the image is estimated to have.
        ringing: from 0 to 1, how much is taken off of what a bilateral filter finds in the
            difference to a result of few edges (Pan 2014); 1 for an estimated kernel that rings.
        kernel_sigma: of the Gaussian, in pixels, that the kernel is smoothed by first: 0 for a
            known kernel, `ESTIMATED_SIGMA` for an estimated one, whose errors ring less then.
        workers: threads of the Fourier transforms, by default all cores.

    Returns:
        The type and shape of `image`, clipped to its range.

    Raises:
        InputError: the image has another type or shape, or NaN; the kernel has even sizes, is
            larger than the image, or no kernel; or an option is out of its range.
    """
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}: choose one of {', '.join(METHODS)}.")
    if weight is not None and not 0 < weight < math.inf:
        raise InputError(f"weight is {weight}: give a positive number, such as 0.003.")
    if not 0 <= ringing <= 1:
        raise InputError(f"ringing is {ringing}: give a number from 0 to 1.")
    if not 0 <= kernel_sigma < math.inf:
        raise InputError(f"kernel_sigma is {kernel_sigma}: give 0, or a number of pixels.")
    image = np.asarray(image)
    blurry = inputs.unit_image(image)
    height, width = blurry.shape[:2]
    if min(height, width) < 2:
        raise InputError(f"the image has {width}x{height} pixels: give at least 2x2.")
    kernel = inputs.unit_kernel(kernel, height, width)
    if kernel_sigma:
        kernel = ndimage.gaussian_filter(kernel, kernel_sigma, mode="constant")
        kernel /= kernel.sum()
    if weight is None:
        share, power = _WEIGHTS[method]
        weight = share * max(inputs.noise(blurry), _LEAST_NOISE) ** power
    margins = (kernel.shape[0] - 1, kernel.shape[1] - 1)
    sharp = np.empty_like(blurry)
    plain = np.empty_like(blurry) if ringing else None
    with spectra.threads(workers):
        for channel in range(blurry.shape[-1]):
            extended = boundary.extend_periodically(blurry[..., channel], margins)
            solved = _SPLITTINGS[method](extended, kernel, weight)
            sharp[..., channel] = solved[:height, :width]
            if ringing:
                solved = LatentImage(extended).solve(kernel, _RINGING_WEIGHT)
                plain[..., channel] = solved[:height, :width]
    if ringing:
        sharp -= np.float32(ringing) * _bilateral(sharp - plain)
    return inputs.like(sharp, image)


def _total_variation(blurry, kernel, weight):
    """min over S, w of |S * k - y|^2 + beta |grad S - w|^2 + weight |w|_1, beta growing."""

    def shrink(values, beta):
        threshold = np.float32(weight / (2 * beta))
        return values - np.clip(values, -threshold, threshold)

    betas = weight / 2 * 2.0 ** np.arange(math.ceil(math.log2(1000 / weight)))
    return _split(blurry, kernel, betas[betas <= 500], shrink)


def _hyper_laplacian(blurry, kernel, weight):
    """As `_total_variation`, for |w|^(1/2), with the eight betas of Krishnan and Fergus 2009."""

    def shrink(values, beta):
        return _half_threshold(values, weight / beta)

    return _split(blurry, kernel, weight / 2 * math.sqrt(8) ** np.arange(11), shrink)


def _half_threshold(values, weight):
    """argmin over w of (w - v)^2 + weight |w|^(1/2), for each value v.

    Xu et al., "L1/2 Regularization: A Thresholding Representation Theory and a Fast Solver"
    (2012): 0 below (54^(1/3) / 4) weight^(2/3), else 2/3 v (1 + cos(2/3 (pi - phi))) with
    cos phi = weight / 8 (|v| / 3)^(-3/2).
    """
    sizes = np.abs(values)
    large = sizes > 54 ** (1 / 3) / 4 * weight ** (2 / 3)
    shrunk = np.zeros_like(values)
    phi = np.arccos(np.float32(weight / 8) * (sizes[large] / 3) ** np.float32(-1.5))
    factor = 1 + np.cos(np.float32(2 / 3) * (np.float32(np.pi) - phi))
    shrunk[large] = np.float32(2 / 3) * values[large] * factor
    return shrunk


_SPLITTINGS = {"tv": _total_variation, "hyper_laplacian": _hyper_laplacian}


def _split(blurry, kernel, betas, shrink):
    """In turn for every beta: w = shrink(grad S), and

    S = F^-1[(conj(K) Y + beta conj(D) F w) / (|K|^2 + beta |D|^2)].
    """
    otf = spectra.transfer(kernel, blurry.shape)
    data = np.conj(otf) * fft.rfft2(blurry)
    power = otf.real**2 + otf.imag**2
    laplacian = spectra.laplacian(blurry.shape)
    image = blurry
    x, y, adjoint = (np.empty_like(blurry) for _ in range(3))
    for beta in betas:
        spectra.differences(image, x, y)
        spectra.adjoint_differences(shrink(x, beta), shrink(y, beta), adjoint)
        adjoint *= np.float32(beta)
        numerator = fft.rfft2(adjoint)
        numerator += data
        numerator /= power + np.float32(beta) * laplacian
        image = fft.irfft2(numerator, s=blurry.shape, overwrite_x=True)
    return image


def _bilateral(image, spatial=3.0, tonal=0.1, radius=9):
    """Bilateral filter of [H, W, C] by the distance of all channels (Tomasi and Manduchi 1998)."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((radius, radius), (radius, radius), (0, 0)), mode="edge")
    total = np.zeros_like(image)
    weights = np.zeros((height, width, 1), np.float32)
    for y in range(-radius, radius + 1):
        for x in range(-radius, radius + 1):
            moved = padded[radius + y :, radius + x :][:height, :width]
            squares = np.square(moved - image).sum(-1, keepdims=True)
            squares *= np.float32(-1 / (2 * tonal**2))
            squares -= np.float32((x * x + y * y) / (2 * spatial**2))
            weight = np.exp(squares, out=squares)
            weights += weight
            total += weight * moved
    return total / weights
