"""The kernel by the L0 prior in straightforward NumPy: the yardstick of `classical.py`'s speed.

The image step of `tfdeblur.classical`, which takes most of the time, by complex transforms
(numpy.fft, float64), as its equations stand in the papers. The pyramid and the kernel step are
shared.
"""

import numpy as np

from tfdeblur.classical import boundary, inputs, kernels


def estimate_kernel(image, size, weight=4e-3, kernel_weight=0.5, iterations=5):
    """As `tfdeblur.classical.estimate_kernel` with the prior "l0", but takes every kernel."""
    luma = inputs.grey(inputs.unit_image(image))
    kernel = None
    sizes = kernels.scale_sizes(size)
    for index in reversed(range(len(sizes))):
        size = sizes[index]
        kernel = kernels.start(size) if kernel is None else kernels.resize(kernel, size)
        picture = kernels.downscale(luma, kernels._RATIO**index).astype(np.float64)
        blurry = boundary.extend_periodically(picture, (size - 1, size - 1))
        blurry_edges = kernels.gradients(picture)
        for _ in range(iterations):
            solved = latent(blurry, kernel, weight)[: picture.shape[0], : picture.shape[1]]
            edges = kernels.inner_edges(solved, size)
            seen = blurry_edges * kernels.near_edges(edges, size)
            kernel = kernels.clean(kernels._solve_kernel(edges, seen, size, kernel_weight))
            weight = max(weight / kernels._DECAY, kernels._LEAST_WEIGHT)
        kernel = kernels.centre(kernel)
    return kernel.astype(np.float32)


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


def to_spectrum(kernel, shape):
    padded = np.zeros(shape)
    padded[: kernel.shape[0], : kernel.shape[1]] = kernel
    return np.fft.fft2(np.roll(padded, [-(length // 2) for length in kernel.shape], (0, 1)))
