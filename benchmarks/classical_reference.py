"""The kernel by the L0 prior in straightforward NumPy: the yardstick of `classical.py`'s speed.

The equations of `tfdeblur.classical` one by one, by complex transforms of the whole picture
(numpy.fft, float64), as they stand in the papers. The pyramid, the choice of edges and the cleaning
of kernels, which take no time, are shared.
"""

import numpy as np

from tfdeblur.classical import boundary, inputs, kernels


def estimate_kernel(image, size, weight=4e-3, kernel_weight=2.0, iterations=5):
    """As `tfdeblur.classical.estimate_kernel` with the prior "l0"."""
    luma = inputs.grey(inputs.unit_image(image))
    kernel, threshold = None, None
    sizes = kernels.scale_sizes(size)
    for index in reversed(range(len(sizes))):
        size = sizes[index]
        kernel = kernels.start(size) if kernel is None else kernels.resize(kernel, size)
        picture = kernels.downscale(luma, kernels._RATIO**index).astype(np.float64)
        blurry = boundary.extend_periodically(picture, (size - 1, size - 1))
        blurry_edges = kernels.gradients(picture)
        for _ in range(iterations):
            solved = latent(blurry, kernel, weight)[: picture.shape[0], : picture.shape[1]]
            edges, threshold = kernels.strong_edges(solved, threshold, size)
            threshold /= kernels._DECAY
            kernel = kernels.clean(solve_kernel(edges, blurry_edges, size, kernel_weight))
            weight = max(weight / kernels._DECAY, kernels._LEAST_WEIGHT)
        kernel = kernels.centre(kernel)
    return kernels._finish(kernel).astype(np.float32)


def latent(blurry, kernel, weight):
    otf = to_spectrum(kernel, blurry.shape)
    along_x = to_spectrum(np.array([[1, -1, 0]]), blurry.shape)
    along_y = to_spectrum(np.array([[1], [-1], [0]]), blurry.shape)
    data = np.conj(otf) * np.fft.fft2(blurry)
    image = blurry
    beta = 2 * weight
    while beta < 1e5:
        h = np.roll(image, -1, 1) - image
        v = np.roll(image, -1, 0) - image
        small = h**2 + v**2 < weight / beta
        h[small] = 0
        v[small] = 0
        numerator = np.conj(along_x) * np.fft.fft2(h) + np.conj(along_y) * np.fft.fft2(v)
        denominator = np.abs(otf) ** 2 + beta * (np.abs(along_x) ** 2 + np.abs(along_y) ** 2)
        image = np.real(np.fft.ifft2((data + beta * numerator) / denominator))
        beta *= 2
    return image


def solve_kernel(edges, blurry_edges, size, kernel_weight):
    padding = ((0, 0), (0, size - 1), (0, size - 1))  # no wrap, as the library
    edges = np.fft.fft2(np.pad(edges, padding))
    blurry_edges = np.fft.fft2(np.pad(blurry_edges, padding))
    shape = edges.shape[1:]
    power = np.sum(np.abs(edges) ** 2, axis=0)
    target = from_spectrum(np.sum(np.conj(edges) * blurry_edges, axis=0), size)

    def normal(kernel):
        return from_spectrum(power * to_spectrum(kernel, shape), size) + kernel_weight * kernel

    kernel = np.full((size, size), 1 / size**2)
    residual = target - normal(kernel)
    direction, square = residual, np.sum(residual**2)
    for _ in range(20):
        if square < 1e-10:
            break
        image = normal(direction)
        step = square / np.sum(direction * image)
        kernel = kernel + step * direction
        residual = residual - step * image
        previous, square = square, np.sum(residual**2)
        direction = residual + square / previous * direction
    return kernel


def to_spectrum(kernel, shape):
    padded = np.zeros(shape)
    padded[: kernel.shape[0], : kernel.shape[1]] = kernel
    return np.fft.fft2(np.roll(padded, [-(length // 2) for length in kernel.shape], (0, 1)))


def from_spectrum(spectrum, size):
    image = np.real(np.fft.ifft2(spectrum))
    return np.roll(image, (size // 2, size // 2), (0, 1))[:size, :size]
