"""Blind deconvolution without training: one kernel for a photo that shook as a whole.

`estimate_kernel` finds the blur kernel of a photograph, `deconvolve` takes a known kernel out of
it. `extend_periodically` is the boundary treatment that both rest on.
"""

from tfdeblur.classical.boundary import extend_periodically
from tfdeblur.classical.deconvolution import METHODS, deconvolve
from tfdeblur.classical.kernels import PRIORS, estimate_kernel

__all__ = ["METHODS", "PRIORS", "deconvolve", "estimate_kernel", "extend_periodically"]


def __dir__():
    return __all__
