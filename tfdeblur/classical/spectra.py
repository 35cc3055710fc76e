"""Circular convolutions and differences, by real Fourier transforms in float32."""

import contextlib
import os

import numpy as np
from scipy import fft


@contextlib.contextmanager
def threads(workers=None):
    """Lets scipy.fft use `workers` threads, by default all cores."""
    with fft.set_workers(workers or os.cpu_count() or 1):
        yield


def transfer(kernel, shape):
    """The transfer function: rfft2 of the kernel [h, w] with its middle at the origin."""
    padded = np.zeros(shape, kernel.dtype)
    height, width = kernel.shape
    padded[:height, :width] = kernel
    return fft.rfft2(np.roll(padded, (-(height // 2), -(width // 2)), (0, 1)))


def laplacian(shape):
    """|Dx|^2 + |Dy|^2 for the forward differences, float32 [H, W // 2 + 1]."""
    waves_y = 2 - 2 * np.cos(2 * np.pi * np.arange(shape[0]) / shape[0])
    waves_x = 2 - 2 * np.cos(2 * np.pi * np.arange(shape[1] // 2 + 1) / shape[1])
    return (waves_y[:, None] + waves_x).astype(np.float32)


def differences(image, out_x, out_y):
    """Circular forward differences of [H, W] along x and y, into two arrays like it."""
    np.subtract(image[:, 1:], image[:, :-1], out=out_x[:, :-1])
    np.subtract(image[:, 0], image[:, -1], out=out_x[:, -1])
    np.subtract(image[1:], image[:-1], out=out_y[:-1])
    np.subtract(image[0], image[-1], out=out_y[-1])


def adjoint_differences(along_x, along_y, out):
    """Dx^T along_x + Dy^T along_y, into `out`; the spectrum of it is conj(Dx) H + conj(Dy) V."""
    np.subtract(along_x[:, :-1], along_x[:, 1:], out=out[:, 1:])
    np.subtract(along_x[:, -1], along_x[:, 0], out=out[:, 0])
    out -= along_y
    out[1:] += along_y[:-1]
    out[0] += along_y[-1]
