"""The blur kernel of a photograph that shook as a whole, found from the photograph alone.

Xu, Zheng and Jia (CVPR 2013), and Pan et al. (CVPR 2014 and 2016): from coarse to fine, a sharp
picture of few edges and the kernel that blurs it are estimated in turn.
"""

import math

import numpy as np
from absl import logging
from scipy import fft, ndimage

from tfdeblur.classical import boundary, inputs, spectra
from tfdeblur.classical.latent import LatentImage
from tfdeblur.errors import InputError

PRIORS = ("l0", "dark_channel", "text")

_RATIO = math.sqrt(0.5)  # from one scale to the next
_COARSEST = 5
_LEAST_WEIGHT = 1e-4
_DECAY = 1.1
_STEPS = 300  # of projected gradients
# By so much the objective may be above that of no blur. Of 24 sharp photographs of the Kodak set
# 21 exceed it with kernels of 25x25, 15 with 13x13, all with 41x41; of 144 that were made to shake,
# one does.
_WORSE = 1.075


def estimate_kernel(
    image,
    size,
    prior="l0",
    progress=None,
    gamma=1.0,
    weight=4e-3,
    kernel_weight=0.5,
    iterations=5,
    workers=None,
):
    """The kernel k of the blur y = S * k, the same all over the image.

    At each scale, five times in turn:

        S = argmin |S * k - y|^2 + lambda (|grad S|_0 + P(S))
        k = argmin |grad' S * k - grad' y|^2 + gamma_k |k|^2 where k >= 0,

    where P is 0 (prior "l0", after Xu 2013), the L0 norm of the dark channel ("dark_channel",
    Pan 2016), or that of the intensities ("text", Pan 2014), and grad' leaves out a border of half
    a kernel in S, and what is far from the edges of S in y. The published code of Pan et al.
    thresholds grad S and clips a k that may be negative: the constraint alone gives kernels with
    less haze about the path. "l0" is the quickest by far.

    Where no blur at all explains the photograph better, by the objective of S, the kernel is a
    point, and a warning says so.

    Args:
        image: uint8, uint16, or float in [0, 1]; [H, W] or RGB [H, W, 3], the blurry photograph.
        size: width and height of the kernel in pixels, odd; somewhat larger than the blur, at
            most half the shorter side of the image.
        prior: "l0", "dark_channel" or "text".
        progress: called as `progress(share, kernel)` after every iteration: the share of the work
            done, above 0 to 1, and the kernel so far, float32, at the coarse scales smaller than
            [size, size].
        gamma: exponent that makes the pixels linear in the light: 1 as they are, 2.2 for
            photographs by a camera.
        weight: lambda at the start; it falls by 1.1 with every iteration, to 1e-4 at least.
        kernel_weight: gamma_k; larger for smoother kernels.
        iterations: of image and kernel at each scale.
        workers: threads of the Fourier transforms, by default all cores.

    Returns:
        float32 [size, size], not negative, with the sum 1; its centroid is in the middle. Convolve
        a sharp image with it for the blurry one.

    Raises:
        InputError: the image has another type or shape, is flat, or has NaN; the size is even or
            too large; or an option is out of its range.
    """
    if prior not in PRIORS:
        raise InputError(f"unknown prior {prior!r}: choose one of {', '.join(PRIORS)}.")
    for name, value in (("gamma", gamma), ("weight", weight), ("kernel_weight", kernel_weight)):
        if not 0 < value < math.inf:
            raise InputError(f"{name} is {value}: give a positive number.")
    if iterations < 1:
        raise InputError(f"iterations is {iterations}: give 1 or more, such as 5.")
    luma = inputs.grey(inputs.unit_image(image))
    inputs.check_photograph(luma, size)
    if gamma != 1:
        luma = np.clip(luma, 0, 1) ** np.float32(gamma)

    sizes = scale_sizes(size)
    pictures = [downscale(luma, _RATIO**index) for index in range(len(sizes))]
    first_weight = weight
    costs = np.array([picture.size for picture in pictures]) * iterations
    kernel, done = None, 0
    with spectra.threads(workers):
        for index in reversed(range(len(sizes))):
            kernel = resize(kernel, sizes[index]) if kernel is not None else start(sizes[index])
            picture = pictures[index]
            latent = LatentImage(
                boundary.extend_periodically(picture, (sizes[index] - 1, sizes[index] - 1))
            )
            blurry_edges = gradients(picture)
            for iteration in range(iterations):
                solved = latent.solve(kernel, weight, prior)
                solved = solved[: picture.shape[0], : picture.shape[1]]
                edges = inner_edges(solved, sizes[index])
                seen = blurry_edges * near_edges(edges, sizes[index])
                kernel = clean(_solve_kernel(edges, seen, sizes[index], kernel_weight))
                weight = max(weight / _DECAY, _LEAST_WEIGHT)
                if iteration == iterations - 1:
                    kernel = centre(kernel)
                    if index == 0 and _is_worse_than_none(latent, kernel, first_weight):
                        logging.warning(
                            "no blur of the whole photo explains it better than none: it is sharp, "
                            "or its blur is not the same all over."
                        )
                        kernel = delta(size)
                done += picture.size
                if progress is not None:
                    progress(float(done / costs.sum()), kernel.astype(np.float32))
    return kernel.astype(np.float32)


def _is_worse_than_none(latent, kernel, weight):
    without = latent.objective(delta(len(kernel)), weight)
    return latent.objective(kernel, weight) > _WORSE * without


def delta(size):
    """The kernel of no blur."""
    kernel = np.zeros((size, size))
    kernel[size // 2, size // 2] = 1
    return kernel


def scale_sizes(size):
    """Odd kernel sizes from fine to coarse: about sqrt(1/2) from one to the next."""
    count = max(math.floor(math.log(_COARSEST / size) / math.log(_RATIO)) + 1, 1)
    sizes = [math.ceil(size * _RATIO**index - 1e-9) for index in range(count)]
    return [size + 1 - size % 2 for size in sizes]


def downscale(image, factor):
    """The image [H, W], smoothed by sigma 1 / (2 factor) and sampled bilinearly; factor <= 1."""
    if factor == 1:
        return image
    sigma = 1 / (2 * factor)
    radius = math.ceil(2 * sigma)
    smooth = ndimage.gaussian_filter(image, sigma, mode="nearest", radius=radius)
    smooth = smooth[radius:-radius, radius:-radius]  # where the border does not count
    for axis in (0, 1):
        last = smooth.shape[axis] - 1
        places = np.minimum(np.arange(int(last * factor) + 1) / factor, last)
        lower = np.minimum(places.astype(int), last - 1)
        share = (places - lower).astype(np.float32)
        share = share[:, None] if axis == 0 else share
        smooth = (1 - share) * smooth.take(lower, axis) + share * smooth.take(lower + 1, axis)
    return smooth


def start(size):
    """The first kernel: a half at the middle, and one at its left."""
    kernel = np.zeros((size, size))
    kernel[size // 2, size // 2 - 1 : size // 2 + 1] = 0.5
    return kernel


def resize(kernel, size):
    """The kernel at the next finer scale: bicubic (Keys 1981), then cut or filled to `size`."""
    count = math.ceil(len(kernel) / _RATIO)
    places = (np.arange(count) + 0.5) * _RATIO - 0.5
    base = np.floor(places).astype(int)
    weights = np.zeros((count, len(kernel)))
    for tap in range(-1, 3):
        away = np.abs(places - base - tap)
        near = (1.5 * away - 2.5) * away**2 + 1
        far = ((-0.5 * away + 2.5) * away - 4) * away + 2
        nearest = np.clip(base + tap, 0, len(kernel) - 1)
        np.add.at(weights, (np.arange(count), nearest), np.where(away <= 1, near, far))
    kernel = np.maximum(weights @ kernel @ weights.T, 0)
    kernel = _fit_rows(_fit_rows(kernel, size).T, size).T
    return kernel / kernel.sum()


def gradients(image):
    """Forward differences along x and y, [2, H - 1, W - 1]."""
    return np.stack([image[:-1, 1:] - image[:-1, :-1], image[1:, :-1] - image[:-1, :-1]])


def inner_edges(image, size):
    """The gradients of a sharp picture; 0 in a border of half a kernel, whose blur is cut off."""
    edges = gradients(image)
    border = size // 2
    kept = np.zeros_like(edges)
    inner = np.s_[:, border:-border, border:-border]
    kept[inner] = edges[inner]
    return kept


def near_edges(edges, size):
    """bool [H, W]: where `edges` [2, H, W] are near; 5 % of a window of a quarter of a kernel.

    Elsewhere, the blurry picture has texture and noise, which the picture of few edges cannot
    explain: they would go into the kernel.
    """
    window = max(size // 4 | 1, 3)
    share = ndimage.uniform_filter(np.any(edges, axis=0).astype(np.float32), window)
    return share > 0.05


def clean(kernel):
    """Without what is below 2 % of its peak, and without the pieces lighter than 10 % of it all."""
    peak = kernel.max()
    if not peak > 0:  # no edges
        return delta(len(kernel))
    kernel = np.where(kernel < 0.02 * peak, 0, kernel)
    kernel /= kernel.sum()
    labels, count = ndimage.label(kernel, np.ones((3, 3)))
    sums = ndimage.sum_labels(kernel, labels, np.arange(count + 1))
    sums[0] = 0
    kept = sums >= min(0.1, sums.max())
    kernel = np.where(kept[labels], kernel, 0)
    return kernel / kernel.sum()


def centre(kernel):
    """Moved by whole pixels, so that its centroid lies in the middle."""
    middle = len(kernel) // 2
    shift = [round(middle - place) for place in ndimage.center_of_mass(kernel)]
    moved = ndimage.shift(kernel, shift, order=0)
    return moved / moved.sum()


def _solve_kernel(edges, blurry_edges, size, kernel_weight):
    """k = argmin |edges * k - blurry_edges|^2 + kernel_weight |k|^2 on [size, size], k >= 0.

    Accelerated projected gradients (Beck and Teboulle 2009) from a flat start. The normal equations
    need only correlations at lags below `size`: the spectra of the pictures are taken once, not at
    every step.
    """
    height, width = edges.shape[1:]
    shape = (
        fft.next_fast_len(height + size - 1),
        fft.next_fast_len(width + size - 1, real=True),
    )
    spectrum = fft.rfft2(edges, shape)
    blurry = fft.rfft2(blurry_edges, shape)
    power = (spectrum.real**2 + spectrum.imag**2).sum(0)
    lags = np.arange(1 - size, size)
    autocorrelation = fft.irfft2(power, s=shape)[np.ix_(lags, lags)].astype(np.float64)
    correlation = fft.irfft2((np.conj(spectrum) * blurry).sum(0), s=shape)
    lags = np.arange(size) - size // 2
    target = correlation[np.ix_(lags, lags)].astype(np.float64)

    period = fft.next_fast_len(2 * size - 1, real=True)
    symbol = fft.rfft2(np.roll(_padded(autocorrelation, period), (1 - size, 1 - size), (0, 1)))
    steepest = np.abs(symbol).max() + kernel_weight  # bounds the normal equations' eigenvalues

    kernel = ahead = np.full((size, size), 1 / size**2)
    momentum = 1.0
    for _ in range(_STEPS):
        product = fft.irfft2(symbol * fft.rfft2(ahead, (period, period)), s=(period, period))
        gradient = product[:size, :size] + kernel_weight * ahead - target
        previous, kernel = kernel, np.maximum(ahead - gradient / steepest, 0)
        before, momentum = momentum, (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = kernel + (before - 1) / momentum * (kernel - previous)
    return kernel


def _padded(array, period):
    padded = np.zeros((period, period))
    padded[: array.shape[0], : array.shape[1]] = array
    return padded


def _fit_rows(kernel, count):
    """Rows dropped or added at the lighter end."""
    while len(kernel) > count:
        kernel = kernel[1:] if kernel[0].sum() < kernel[-1].sum() else kernel[:-1]
    while len(kernel) < count:
        row = np.zeros((1, kernel.shape[1]))
        ends = (row, kernel) if kernel[0].sum() < kernel[-1].sum() else (kernel, row)
        kernel = np.concatenate(ends)
    return kernel
