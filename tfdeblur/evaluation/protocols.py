"""How each paper's authors computed PSNR and SSIM: what is rounded, and which SSIM is meant.

The same restored images score up to some hundredths of SSIM apart under these protocols, so a
number is worth comparing only with numbers of the same one.
"""

import dataclasses

from tfdeblur.errors import InputError


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A way to compare a restored image with the sharp one."""

    name: str
    eight_bit: bool  # round the restored image to 8 bits before it is measured?
    ssim: str  # "gaussian" or "volume", see `tfdeblur.metrics.ssim`
    source: str

    @property
    def rounding(self):
        """The rounding in words, for reports."""
        return "clipped and rounded to 8 bits" if self.eight_bit else "clipped, not rounded"


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="deepdeblur_pytorch",
            eight_bit=True,
            ssim="gaussian",
            source="Nah et al. 2017, the authors' later PyTorch release",
        ),
        Protocol(
            name="nah2017",
            eight_bit=True,
            ssim="volume",
            source="Nah et al. 2017, CVPR: MATLAB's psnr and ssim on 8-bit RGB",
        ),
        Protocol(
            name="mimo_unet",
            eight_bit=False,
            ssim="volume",
            source="Cho et al. 2021, ICCV: the authors' evaluation in floating point",
        ),
        Protocol(
            name="mprnet",
            eight_bit=True,
            ssim="volume",
            source="Zamir et al. 2021, CVPR: MATLAB evaluation of the written images",
        ),
        Protocol(
            name="nafnet",
            eight_bit=True,
            ssim="volume",
            source="Chen et al. 2022, ECCV: MATLAB's ssim rewritten in PyTorch",
        ),
        Protocol(
            name="srn",
            eight_bit=True,
            ssim="volume",
            source="Tao et al. 2018, CVPR: MATLAB evaluation of the written images",
        ),
    )
}
DEFAULT = "deepdeblur_pytorch"


def choose(name):
    """The protocol that the flag --protocol names.

    Raises:
        InputError: there is none of this name.
    """
    if name not in PROTOCOLS:
        raise InputError(f"--protocol={name} is unknown: choose one of {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]
