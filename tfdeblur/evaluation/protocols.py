"""How each paper's authors computed PSNR and SSIM: what is rounded, aligned, and which SSIM.

The same restored images score up to some hundredths of SSIM apart under these protocols, so a
number is worth comparing only with numbers of the same one. Each is a function, as in `metrics`, of
what is compared with, uint8, and of a restored image, float32 [H, W, 3] in [0, 1]; it returns a
`Quality`.
"""

import concurrent.futures
import dataclasses
import functools
import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfdeblur import metrics
from tfdeblur.errors import InputError, did_you_mean
from tfdeblur.evaluation import alignment
from tfdeblur.restoration import quantise

REALBLUR_LEAST = 11  # pixels that the window of SSIM takes
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


class Quality(NamedTuple):
    """What a protocol measures; None where it does not."""

    psnr: float | None = None  # dB
    ssim: float | None = None  # of the protocol's kind
    ssim_volume: float | None = None


def eight_bit_gaussian(sharp, restored):
    """DeepDeblur-PyTorch's metrics: clipped, rounded to 8 bits, SSIM of each channel."""
    return _compare(sharp, quantise(restored), 255, "gaussian")


def eight_bit_volume(sharp, restored):
    """MATLAB's `psnr` and `ssim` of 8-bit RGB images, which `ssim` takes for volumes."""
    return _compare(sharp, quantise(restored), 255, "volume")


def float_volume(sharp, restored):
    """MIMO-UNet's evaluation: the output is clipped, but not rounded."""
    return _compare(sharp / 255, np.clip(restored, 0, 1), 1, "volume")


def realblur(sharp, restored):
    """RealBlur's evaluation_RealBlur_ecc.py: intensity, then homography; scores where both exist.

    Rim et al. 2020, of images stored with 8 bits.
    """
    from skimage.metrics import structural_similarity

    if sharp.shape != restored.shape or min(sharp.shape[:2]) < REALBLUR_LEAST:
        raise InputError(
            f"got images {sharp.shape}, {restored.shape}: RealBlur's evaluation compares two of "
            f"one size, of {REALBLUR_LEAST} pixels at least in height and width."
        )
    sharp = sharp.astype(np.float32) / 255
    image = alignment.match_intensity(sharp, quantise(restored).astype(np.float32) / 255)
    aligned, mask = alignment.align_by_homography(sharp, image)
    aligned, sharp = aligned * mask, sharp * mask
    squared_error = np.sum(np.square(sharp - aligned), dtype=np.float64) / np.sum(mask)
    _, similarity = structural_similarity(
        sharp,
        aligned,
        data_range=1.0,
        channel_axis=-1,
        gaussian_weights=True,
        use_sample_covariance=False,
        full=True,
    )
    inside = (slice(5, -5), slice(5, -5))  # where the window fits
    ssim = (similarity * mask)[inside].sum(axis=(0, 1)) / mask[inside].sum(axis=(0, 1))
    psnr = np.inf if squared_error == 0 else -10 * np.log10(squared_error)
    return Quality(float(psnr), float(ssim.mean()))


def kohler(frames, restored):
    """Köhler et al. 2012, eval_image.m: the best over the sharp frames of the movement.

    They are [N, H, W, 3]; PSNR and multi-scale SSIM each take their own best frame.
    """
    return Quality(*np.max(kohler_by_frame(frames, restored), axis=0).tolist())


def kohler_by_frame(frames, restored):
    """PSNR and multi-scale SSIM of the luma after alignment with each frame: list of pairs."""
    image = quantise(restored).astype(np.float64)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(functools.partial(_compare_shifted, image), frames))


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A way to judge a restored image.

    Attributes:
        name: of the flag --protocol.
        measure: the function, or None where there is nothing to compare with.
        rounding: what happens to the restored image before, in words.
        ssim: which SSIM, in words.
        source: who measured so.
        reference: what the image is compared with: "sharp", "frames", or "nothing".
    """

    name: str
    measure: Callable | None
    rounding: str
    ssim: str
    source: str
    reference: str = "sharp"


_EIGHT_BITS = "clipped and rounded to 8 bits"

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "deepdeblur_pytorch",
            eight_bit_gaussian,
            rounding=_EIGHT_BITS,
            ssim="gaussian",
            source="Nah et al. 2017, the authors' later PyTorch release",
        ),
        Protocol(
            "nah2017",
            eight_bit_volume,
            rounding=_EIGHT_BITS,
            ssim="volume",
            source="Nah et al. 2017, CVPR: MATLAB's psnr and ssim on 8-bit RGB",
        ),
        Protocol(
            "mimo_unet",
            float_volume,
            rounding="clipped, not rounded",
            ssim="volume",
            source="Cho et al. 2021, ICCV: the authors' evaluation in floating point",
        ),
        Protocol(
            "mprnet",
            eight_bit_volume,
            rounding=_EIGHT_BITS,
            ssim="volume",
            source="Zamir et al. 2021, CVPR: MATLAB evaluation of the written images",
        ),
        Protocol(
            "nafnet",
            eight_bit_volume,
            rounding=_EIGHT_BITS,
            ssim="volume",
            source="Chen et al. 2022, ECCV: MATLAB's ssim rewritten in PyTorch",
        ),
        Protocol(
            "srn",
            eight_bit_volume,
            rounding=_EIGHT_BITS,
            ssim="volume",
            source="Tao et al. 2018, CVPR: MATLAB evaluation of the written images",
        ),
        Protocol(
            "realblur",
            realblur,
            rounding=f"{_EIGHT_BITS}; then intensity and homography matched",
            ssim="gaussian, masked",
            source="Rim et al. 2020, ECCV: evaluation_RealBlur_ecc.py",
        ),
        Protocol(
            "kohler",
            kohler,
            rounding=f"{_EIGHT_BITS}; then intensity and shift matched, luma",
            ssim="multi-scale",
            source="Köhler et al. 2012, ECCV: eval_image.m, the best frame of the trajectory",
            reference="frames",
        ),
        Protocol(
            "lai",
            None,
            rounding=_EIGHT_BITS,
            ssim="none",
            source="Lai et al. 2016, CVPR: real photographs without ground truth, for the eye",
            reference="nothing",
        ),
    )
}
DEFAULT = "deepdeblur_pytorch"
_DEFAULTS = {"sharp": DEFAULT, "frames": "kohler", "nothing": "lai"}


def choose(name):
    """The protocol of this name.

    Raises:
        InputError: there is none.
    """
    if name not in PROTOCOLS:
        raise InputError(
            f"`protocol={name}` is unknown: choose one of {', '.join(PROTOCOLS)}, or all."
            + did_you_mean(name, PROTOCOLS)
        )
    return PROTOCOLS[name]


def choose_for(reference, name=None, others=()):
    """The protocols that the flag --protocol means for data with such a reference.

    Args:
        reference: "sharp", "frames" or "nothing", see `Protocol`.
        name: of one protocol; "all" for those that apply; None for the usual one.
        others: (dataset, its reference) of data that may be meant instead.

    Returns:
        list of Protocol, the usual one first.

    Raises:
        InputError: the name is unknown or does not apply, or OpenCV is missing.
    """
    applicable = [p for p in PROTOCOLS.values() if p.reference == reference]
    chosen = applicable if name == "all" else [choose(name or _DEFAULTS[reference])]
    for protocol in chosen:
        if protocol not in applicable:
            fitting = [f"`dataset={x}`" for x, kind in others if kind == protocol.reference]
            choices = [f"`protocol={p.name}`" for p in applicable] + fitting
            raise InputError(
                f"`protocol={name}` compares with {_IN_WORDS[protocol.reference]}, but this data "
                f"has {_IN_WORDS[reference]}: choose {' or '.join(choices)}."
            )
        if protocol.name == "realblur":
            alignment.opencv()
    return chosen


_IN_WORDS = {
    "sharp": "one sharp image each",
    "frames": "the sharp frames of a camera's movement",
    "nothing": "no sharp images",
}


def _compare(sharp, restored, data_range, kind):
    volume = metrics.ssim(sharp, restored, data_range, kind="volume")
    ssim = volume if kind == "volume" else metrics.ssim(sharp, restored, data_range, kind=kind)
    return Quality(metrics.psnr(sharp, restored, data_range), ssim, volume)


def _compare_shifted(image, frame):
    frame = frame.astype(np.float64)
    image = alignment.match_intensity(frame, image)
    shift = alignment.find_shift(frame.mean(axis=-1), image.mean(axis=-1))
    luma = alignment.move(image @ _LUMA, shift)
    frame_luma = (frame @ _LUMA) * alignment.move(np.ones_like(luma), shift)
    squared_error = np.mean(np.square(frame_luma - luma))
    psnr = np.inf if squared_error == 0 else 10 * np.log10(255**2 / squared_error)
    return float(psnr), metrics.ms_ssim(frame_luma, luma, 255)
