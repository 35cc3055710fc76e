"""Scores of single images, and their means."""

import concurrent.futures
import dataclasses
import os
import statistics
import time

import numpy as np
import tqdm

from tfdeblur import memory
from tfdeblur.errors import InputError
from tfdeblur.evaluation.one_kernel import OneKernel
from tfdeblur.evaluation.protocols import Quality

BLURRY, RESTORED = "blurry", "restored"  # methods: the input itself, and the usual network


@dataclasses.dataclass(frozen=True)
class Score:
    """What one protocol says of one image, as one method left it; None where it says nothing."""

    image: str
    method: str  # BLURRY or the name of a network
    protocol: str
    psnr: float | None  # dB
    ssim: float | None  # of the protocol's kind
    ssim_volume: float | None
    seconds: float | None  # restoring took; None where it compiled, too
    memory: int | None  # bytes at its peak meanwhile


def evaluate(pairs, restore, protocol, total=None):
    """Restores blurry images with one network and scores them by one protocol.

    Args:
        pairs: as the examples of `score`.
        restore: blurry uint8 [H, W, 3] -> float32 [H, W, 3] in [0, 1].
        protocol: a `Protocol`.
        total: how many pairs there are, for the progress bar, or None.

    Returns:
        list of Score, of the methods BLURRY and RESTORED for each image, in the order of `pairs`.

    Raises:
        InputError: see `score`.
    """
    scored = score(pairs, {RESTORED: restore}, [protocol])
    return [one for scores in progress(scored, total) for one in scores]


def progress(scored, total, done=0):
    """The same iterable with a progress bar, where the output is a terminal."""
    return tqdm.tqdm(
        scored, total=total, initial=done, desc="evaluating", unit="image", disable=None
    )


def score(examples, networks, protocols, on_restored=None):
    """Restores blurry images with several networks and scores them by several protocols.

    One image is in memory at a time. Nothing else runs while one is restored, so that the seconds
    mean something; then the measures of all methods are taken on threads.

    Args:
        examples: iterable of (name, blurry uint8 [H, W, 3], what the protocols compare with).
        networks: {name: restore}, as for `evaluate`.
        protocols: list of Protocol.
        on_restored: function of an example and {name: float32 [H, W, 3]}, called for each.

    Yields:
        list of Score for each example, in order: of the blurry image, then of each network, by
        each protocol.

    Raises:
        InputError: an image is too small for a protocol, does not fit its sharp one, or cannot be
            aligned with it. The message names the image.
    """
    shapes = set()  # a network compiles for each shape
    measures = dict.fromkeys(protocol.measure for protocol in protocols)  # several share one
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for example in examples:
            name, blurry, reference = example
            restored = {BLURRY: blurry.astype(np.float32) / 255}
            costs = {BLURRY: (None, None)}
            for method, restore in networks.items():
                restored[method], seconds, peak = _restore(restore, example)
                costs[method] = (seconds if blurry.shape in shapes else None, peak)
            shapes.add(blurry.shape)
            if on_restored:
                on_restored(example, {method: restored[method] for method in networks})
            futures = {
                (method, measure): pool.submit(_measure, measure, reference, image)
                for method, image in restored.items()
                for measure in measures
            }
            try:
                qualities = {key: future.result() for key, future in futures.items()}
            except InputError as error:
                raise InputError(f"{name}: {error}") from error
            yield [
                Score(name, method, p.name, *qualities[method, p.measure], *costs[method])
                for method in restored
                for p in protocols
            ]


def summarise(scores):
    """The mean scores.

    Args:
        scores: a list of Score, of one protocol.

    Returns:
        dict: "images" (how many); for each method, as for BLURRY, the means "psnr_blurry" (dB),
        "ssim_blurry" (of the protocol's kind) and "ssim_volume_blurry", None where nothing was
        measured; and "seconds", the median time that restoring an image took, None where all
        compiled, too.

    Raises:
        InputError: there are no scores.
    """
    if not scores:
        raise InputError("there is no image to evaluate: name a split or folder that has some.")
    methods = dict.fromkeys(one.method for one in scores)
    means = {
        f"{key}_{method}": mean(getattr(one, key) for one in scores if one.method == method)
        for key in ("psnr", "ssim", "ssim_volume")
        for method in methods
    }
    seconds = median(one.seconds for one in scores)
    return {"images": len({one.image for one in scores}), **means, "seconds": seconds}


def mean(values):
    """The mean of those that are not None, or None."""
    values = [value for value in values if value is not None]
    return statistics.fmean(values) if values else None


def median(values):
    """The median of those that are not None, or None."""
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def restored_by(restore, example):
    """What a network's `restore` makes of an example; of one kernel's, by the size for its name."""
    name, blurry, _ = example
    return restore(blurry, name) if isinstance(restore, OneKernel) else restore(blurry)


def _restore(restore, example):
    """The restored image, the seconds that it took, and the bytes of memory at their peak."""
    memory.reset_peak()
    start = time.perf_counter()
    restored = restored_by(restore, example)  # a NumPy array, so the computation has ended
    return restored, time.perf_counter() - start, memory.peak()


def _measure(measure, reference, image):
    return measure(reference, image) if measure else Quality()
