"""The image step of blind deconvolution: a sharp picture of few edges that explains the blurry one.

Xu, Zheng and Jia, "Unnatural L0 Sparse Representation for Natural Image Deblurring" (CVPR 2013);
Pan et al., "Deblurring Text Images via L0-Regularized Intensity and Gradient Prior" (CVPR 2014);
Pan et al., "Blind Image Deblurring Using Dark Channel Prior" (CVPR 2016).
"""

import numpy as np
from scipy import fft, ndimage

from tfdeblur.classical import spectra

PATCH = 35
_LARGEST_GRADIENT_BETA = 1e5
_LARGEST_PIXEL_BETA = 8.0
_FLAT = 1e-6  # squares of differences that the splitting leaves where there are none


class LatentImage:
    """Solves for the latent image of one blurry picture, again for every kernel.

    Args:
        blurry: float32 [H, W] in [0, 1], one period of a smooth periodic picture.
    """

    def __init__(self, blurry):
        self._blurry = blurry
        self._spectrum = fft.rfft2(blurry)
        self._laplacian = spectra.laplacian(blurry.shape)
        self._x, self._y, self._squares, self._scratch = (np.empty_like(blurry) for _ in range(4))

    def solve(self, kernel, weight, prior="l0"):
        """The S that minimises |S * k - y|^2 + weight (|grad S|_0 + P(S)), by splitting.

        P is 0 ("l0"), |D(S)|_0 of the dark channel D ("dark_channel", Pan 2016), or |S|_0
        ("text", Pan 2014).

        Args:
            kernel: float32 [h, w] that sums to 1.
            weight: lambda, positive.
            prior: "l0", "dark_channel" or "text".

        Returns:
            float32 [H, W].
        """
        otf = spectra.transfer(kernel, self._blurry.shape)
        data = np.conj(otf) * self._spectrum
        power = otf.real**2 + otf.imag**2
        if prior == "l0":
            return self._sparse_gradients(self._blurry, data, power, weight)
        image = self._blurry
        beta = 2 * weight if prior == "text" else weight / _otsu(image)
        sparse = _sparse_pixels if prior == "text" else _sparse_dark_channel
        while beta < _LARGEST_PIXEL_BETA:
            pixels = fft.rfft2(sparse(image, weight / beta))
            pixels *= np.float32(beta)
            pixels += data
            image = self._sparse_gradients(image, pixels, power + np.float32(beta), weight)
            beta *= 2
        return image

    def objective(self, kernel, weight):
        """|S * k - y|^2 + weight |grad S|_0 at the S of `solve`: how well a kernel explains y."""
        image = self.solve(kernel, weight)
        spectrum = fft.rfft2(image) * spectra.transfer(kernel, image.shape)
        residual = fft.irfft2(spectrum, s=image.shape) - self._blurry
        spectra.differences(image, self._x, self._y)
        edges = np.count_nonzero(self._x**2 + self._y**2 > _FLAT)
        return float(np.sum(residual**2)) + weight * edges

    def _sparse_gradients(self, image, data, power, weight):
        """Half-quadratic splitting of the L0 norm of the gradients.

        For beta = 2 lambda, doubling while it is below 1e5: the differences h, v of S become 0
        where h^2 + v^2 < lambda / beta, and

            S = F^-1[(data + beta (conj(Dx) F h + conj(Dy) F v)) / (power + beta |D|^2)].
        """
        x, y, squares, scratch = self._x, self._y, self._squares, self._scratch
        denominator = np.empty_like(power)
        beta = 2 * weight
        while beta < _LARGEST_GRADIENT_BETA:
            spectra.differences(image, x, y)
            np.multiply(x, x, out=squares)
            np.multiply(y, y, out=scratch)
            squares += scratch
            np.multiply(self._laplacian, np.float32(beta), out=denominator)
            denominator += power
            kept = squares >= weight / beta
            if kept.any():
                x *= kept
                y *= kept
                spectra.adjoint_differences(x, y, scratch)
                scratch *= np.float32(beta)
                numerator = fft.rfft2(scratch)
                numerator += data
                numerator /= denominator
            else:
                numerator = data / denominator
            image = fft.irfft2(numerator, s=image.shape, overwrite_x=True)
            beta *= 2
        return image


def _sparse_pixels(image, threshold):
    """S, but 0 where S^2 < threshold."""
    return np.where(image * image < threshold, np.float32(0), image)


def _sparse_dark_channel(image, threshold):
    """S, but 0 at the darkest pixels of patches where their square is below `threshold`.

    A pixel is the darkest of some patch if and only if it equals the largest minimum of the
    patches that it lies in. A border of half a patch is kept.
    """
    darkest = ndimage.minimum_filter(image, PATCH, mode="nearest")
    zero = ndimage.maximum_filter(darkest, PATCH, mode="nearest") == image
    zero &= image * image < threshold
    edge = PATCH // 2
    sparse = image.copy()
    inside = np.s_[edge:-edge, edge:-edge]
    sparse[inside][zero[inside]] = 0
    return sparse


def _otsu(image):
    """Otsu's threshold of S^2 in [0, 1], by 256 bins (Otsu 1979)."""
    counts, edges = np.histogram(np.square(np.clip(image, 0, 1)), 256, (0, 1))
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    means = sums / np.maximum(below, 1) - (sums[-1] - sums) / np.maximum(above, 1)
    return max(middles[np.argmax(below * above * means**2)], 1e-3)
