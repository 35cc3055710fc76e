"""Blind deconvolution without training: one kernel for a photo that shook as a whole.

`restore` does all of it: `estimate_kernel` finds the blur kernel of a photograph, `deconvolve`
takes a known kernel out of it. `extend_periodically` is the boundary treatment that both rest on.
"""

from tfdeblur.classical.boundary import extend_periodically
from tfdeblur.classical.deconvolution import ESTIMATED_SIGMA, METHODS, deconvolve
from tfdeblur.classical.kernels import PRIORS, estimate_kernel
from tfdeblur.classical.shaken import DEFAULT_SIZE, MODELS, restore

__all__ = [
    "DEFAULT_SIZE",
    "ESTIMATED_SIGMA",
    "METHODS",
    "MODELS",
    "PRIORS",
    "deconvolve",
    "estimate_kernel",
    "extend_periodically",
    "restore",
]


def __dir__():
    return __all__
