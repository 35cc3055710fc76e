"""Scores of single images, and their means."""

import dataclasses
import statistics
import time

import numpy as np
import tqdm

from tfdeblur import metrics
from tfdeblur.errors import InputError
from tfdeblur.restoration import quantise


@dataclasses.dataclass(frozen=True)
class Score:
    """PSNR (dB) and SSIM of a blurry image, and of its restoration, against the sharp one."""

    name: str
    psnr_blurry: float
    psnr_restored: float
    ssim_blurry: float  # of the protocol's kind
    ssim_restored: float
    ssim_volume_blurry: float  # always, beside the protocol's own
    ssim_volume_restored: float
    seconds: float  # restoring it took

    @property
    def gain(self):
        """dB by which restoring raised the PSNR."""
        # Without the test, two perfect images would give inf - inf.
        equal = self.psnr_restored == self.psnr_blurry
        return 0.0 if equal else self.psnr_restored - self.psnr_blurry


def evaluate(pairs, restore, protocol, total=None):
    """Restores blurry images and scores them against the sharp ones, one at a time.

    Args:
        pairs: iterable of (name, blurry uint8 [H, W, 3], sharp uint8 [H, W, 3]); only one is held.
        restore: blurry uint8 [H, W, 3] -> float32 [H, W, 3] in [0, 1].
        protocol: a `Protocol`.
        total: how many pairs there are, for the progress bar, or None.

    Returns:
        list of Score, in the order of `pairs`.

    Raises:
        InputError: an image is too small for the protocol's SSIM, or the two of a pair differ in
            size. The message names the image.
    """
    # disable=None: no bar where the output is not a terminal.
    bar = tqdm.tqdm(pairs, total=total, desc="evaluating", unit="image", disable=None)
    return [_score(name, blurry, sharp, restore, protocol) for name, blurry, sharp in bar]


def summarise(scores):
    """The mean scores.

    Args:
        scores: a list of Score.

    Returns:
        dict: "images" (how many), the means "psnr_blurry", "psnr_restored" (dB), "ssim_blurry",
        "ssim_restored" (of the protocol's kind), "ssim_volume_blurry", "ssim_volume_restored",
        and "seconds", the median time per image (the first one includes compilation).

    Raises:
        InputError: there are no scores.
    """
    if not scores:
        raise InputError("there is no image to evaluate: name a split or folder that has some.")
    means = {
        key: statistics.fmean(getattr(score, key) for score in scores)
        for key in (
            "psnr_blurry",
            "psnr_restored",
            "ssim_blurry",
            "ssim_restored",
            "ssim_volume_blurry",
            "ssim_volume_restored",
        )
    }
    seconds = statistics.median(score.seconds for score in scores)
    return {"images": len(scores), **means, "seconds": seconds}


def _score(name, blurry, sharp, restore, protocol):
    start = time.perf_counter()
    restored = restore(blurry)  # a NumPy array, so the computation has ended
    seconds = time.perf_counter() - start
    try:
        psnr_blurry, ssim_blurry, volume_blurry = _measure(sharp, blurry / 255, protocol)
        psnr_restored, ssim_restored, volume_restored = _measure(sharp, restored, protocol)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    return Score(
        name=name,
        psnr_blurry=psnr_blurry,
        psnr_restored=psnr_restored,
        ssim_blurry=ssim_blurry,
        ssim_restored=ssim_restored,
        ssim_volume_blurry=volume_blurry,
        ssim_volume_restored=volume_restored,
        seconds=seconds,
    )


def _measure(sharp, image, protocol):
    """PSNR, SSIM of the protocol's kind, and volume SSIM of a float image against a uint8 one."""
    if protocol.eight_bit:
        image, data_range = quantise(image), 255
    else:
        sharp, image, data_range = sharp / 255, np.clip(image, 0, 1), 1
    volume = metrics.ssim(sharp, image, data_range, kind="volume")
    same = protocol.ssim == "volume"
    ssim = volume if same else metrics.ssim(sharp, image, data_range, kind=protocol.ssim)
    return metrics.psnr(sharp, image, data_range), ssim, volume
