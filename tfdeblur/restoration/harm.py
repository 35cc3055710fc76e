"""Whether restoring did harm: places where the result cannot be what was blurred.

Networks that meet what they were not trained on (dark, noisy or unusual pictures) may answer with
mosaics of colours, with ripples, or with another brightness. Blur moves light by some tens of
pixels and no further. So windows that are wider than that tell three things: the mean of the light
hardly changes; and where the blurry image has next to no contrast, in brightness or in colour, the
restored one has not much. The more contrast there is, the more of each is allowed; but not of the
mean of all the light.
"""

import dataclasses

import numpy as np
from PIL import Image

from tfdeblur.restoration import blending

_BLOCK = 16  # pixels on a side, of which statistics are taken
# Windows of the restored image and of the blurry one, from all of which light may have come: blocks
# on a side.
_NEAR, _FAR = 3, 5
_MARGIN = 2  # blocks around harm, where the input is kept, too
_SURROUNDING = 0.6  # of what is harm, where it borders on it
_LEAST = 4  # windows; fewer say little
_ROWS = 16 * _BLOCK  # that are in floating point at once
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

# Harm is more than a base, in codes of [0, 1], and a share of the contrast around it. With these no
# sharp image of 60 real pairs is taken for harm to its blurry one.
_SHIFT = 12 / 255, 0.5
_PATTERN = 12 / 255, 3.0
_COLOUR = 10 / 255, 2.5


@dataclasses.dataclass(frozen=True)
class Harm:
    """Where, and in what way, a restored image seems worse than its input.

    Attributes:
        kinds: in words.
        places: bool [h, w], of blocks of `_BLOCK` pixels.
    """

    kinds: tuple
    places: np.ndarray

    @property
    def share(self):
        """Of the picture, in [0, 1]."""
        return float(self.places.mean())

    def undo(self, before, after):
        """The restored image with the input in these places; see `find` for both."""
        from scipy import ndimage

        side = 2 * _MARGIN + 1
        kept = ndimage.maximum_filter(self.places, size=side, mode="constant")
        rows, columns = (_BLOCK * side for side in kept.shape)
        mask = Image.fromarray(kept.astype(np.float32))
        mask = np.asarray(mask.resize((columns, rows), Image.Resampling.BILINEAR))
        height, width, _ = before.shape
        return blending.blend(after, before, mask=np.clip(mask[:height, :width], 0, 1))


def find(before, after):
    """Compares a restored image with its input.

    Args:
        before, after: uint8, uint16, or float32 in [0, 1], [H, W, 3], both of one type.

    Returns:
        Harm, or None where nothing speaks for it.
    """
    means, deviations = _statistics(before, _FAR)
    restored_means, restored_deviations = _statistics(after, _NEAR)
    contrast, colour = deviations
    restored_contrast, restored_colour = restored_deviations
    change = restored_means - means
    shift = np.abs(change).max(axis=-1) / _allowed(_SHIFT, contrast)
    # Of all the light contrast explains nothing; in 60 real pairs it is half of this at most.
    shift_of_all = np.abs(change.mean(axis=(0, 1))).max() / _SHIFT[0]
    excess = {
        "light that changed": np.maximum(shift, shift_of_all),
        "patterns that were not there": restored_contrast / _allowed(_PATTERN, contrast),
        "colours that were not there": restored_colour / _allowed(_COLOUR, colour),
    }
    found = {kind: x for kind, x in excess.items() if (x > 1).sum() >= _LEAST}
    if not found:
        return None
    return Harm(tuple(found), np.logical_or.reduce([_with_surroundings(x) for x in found.values()]))


def _allowed(limit, contrast):
    base, share = limit
    return base + share * contrast


def _with_surroundings(excess):
    """Where there is harm, its less certain surroundings count, too."""
    from scipy import ndimage

    return ndimage.binary_propagation(excess > 1, mask=excess > _SURROUNDING)


def _statistics(image, far):
    """Of each block's neighbourhood, in codes of [0, 1].

    Returns:
        The mean light [h, w, 3], of `_NEAR` blocks on a side; and, of `far`, the standard
        deviations of brightness and of the differences of colours, each [h, w].
    """
    means, squares, light = (
        _windows(x, n) for x, n in zip(_blocks(image), (far, far, _NEAR), strict=True)
    )
    deviations = np.sqrt(np.maximum(squares - means**2, 0))
    return np.maximum(light, 0) ** (1 / blending.GAMMA), (
        deviations[..., 0],
        deviations[..., 1:].max(axis=-1),
    )


def _windows(blocks, side):
    from scipy import ndimage

    return ndimage.uniform_filter(blocks, size=(side, side, 1), mode="nearest")


def _blocks(image):
    """Means of blocks [h, w, 3]: of brightness and colours, of their squares, and of light."""
    parts = []
    for top in range(0, len(image), _ROWS):
        codes = blending.to_unit(image[top : top + _ROWS])
        brightness = codes @ _LUMA
        features = np.stack(
            [brightness, codes[..., 0] - codes[..., 1], codes[..., 2] - codes[..., 1]], axis=-1
        )
        light = codes**blending.GAMMA
        parts.append([_block_means(x) for x in (features, features**2, light)])
    return [np.concatenate(rows) for rows in zip(*parts, strict=True)]


def _block_means(values):
    """[H, W, C] -> [h, w, C]; the blocks at the right and at the bottom may be smaller."""
    for axis in (0, 1):
        starts = np.arange(0, values.shape[axis], _BLOCK)
        counts = np.diff([*starts, values.shape[axis]]).reshape((-1, 1, 1))
        values = np.add.reduceat(values, starts, axis) / np.swapaxes(counts, 0, axis)
    return values
