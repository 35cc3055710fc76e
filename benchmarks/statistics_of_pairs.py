"""How blurry and sharp images differ: made-up pairs beside real ones.

python benchmarks/statistics_of_pairs.py reds/test_blur:reds/test_sharp moving_stills/photographs

Each argument is a dataset of pairs that is built, of which the test split counts, or a folder of
blurry images and, after a colon, that of their sharp ones. Prints a Markdown table: the values
below which 5 %, 50 % and 95 % of the pairs lie, all in luma of [0, 255].

The length of the blur is that of the kernel which, in squares of --side pixels, makes the sharp
image most like the blurry one (least squares, ridge): the square root of 12 times its largest
second moment, which is a line's own length. Squares without texture, or of which a kernel explains
less than half, do not count; a pair has the median of its squares.
"""

import itertools

import numpy as np
from absl import flags
from scipy import ndimage

from tfdeblur import errors, metrics
from tfdeblur.errors import InputError
from tfdeblur.evaluation import test_sets
from tfdeblur.io import photos

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "Where TFDS keeps its datasets. None: its default.")
flags.DEFINE_integer("at_most", 100, "Pairs of each argument, evenly chosen; 0: all.")
flags.DEFINE_integer("side", 64, "Of the squares that a kernel is fitted to, in pixels.", 16)

RIDGE = 1e-2  # of the mean power: what noise may have of it
TEXTURE = 8.0  # standard deviation of a square that has something to be blurred


def main(argv):
    if not argv[1:]:
        raise InputError("name folders, blurry:sharp, or datasets")
    columns = {name: statistics(name) for name in argv[1:]}
    print(f"| 5 %, 50 %, 95 % of the pairs | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    for row in next(iter(columns.values())):
        print(f"| {row} | {' | '.join(column[row] for column in columns.values())} |")


def statistics(name):
    """{what: "5 %, 50 %, 95 %"} of the pairs that an argument means."""
    measured = [measure(blurry, sharp) for blurry, sharp in read(name)]
    rows = {}
    for what in measured[0]:
        values = [x for x in (one[what] for one in measured) if np.isfinite(x)]
        digits = 2 if what == GRADIENT_RATIO else 1
        rows[what] = ", ".join(f"{x:.{digits}f}" for x in np.percentile(values, (5, 50, 95)))
    rows["pairs"] = str(len(measured))
    return rows


def read(name):
    if ":" in name:
        data = test_sets.from_folders(*name.split(":", 1))
    else:
        data = test_sets.from_tfds(name, data_dir=FLAGS.data_dir)
    step = max(1, data.count // FLAGS.at_most) if FLAGS.at_most else 1
    for _, blurry, sharp in itertools.islice(data.read(), 0, None, step):
        yield blurry, sharp


GRADIENT_RATIO = "mean gradient, blurry to sharp"


def measure(blurry, sharp):
    """{what: value} of a pair, uint8 [H, W, 3]."""
    light, dark = (photos.luma(image.astype(np.float32))[..., 0] for image in (sharp, blurry))
    gradients = [np.hypot(*np.gradient(image)).mean() for image in (light, dark)]
    return {
        "PSNR of the blurry image, dB": metrics.psnr(sharp, blurry, 255),
        "length of the blur, pixels": np.median(blur_lengths(dark, light) or [np.nan]),
        "mean gradient of the sharp image": gradients[0],
        GRADIENT_RATIO: gradients[1] / gradients[0],
        "contrast of the sharp image (deviation)": light.std(),
        "noise of the blurry image where it is flat": noise(dark, light),
        "blurry brighter than sharp": (dark - light).mean(),
    }


def noise(blurry, sharp):
    """Standard deviation of the finest detail in the flattest twentieth of the squares of 8."""
    height, width = (side - side % 8 for side in sharp.shape)
    detail = ndimage.convolve(blurry, np.outer([1, -2, 1], [1, -2, 1]) / 6)  # of white noise: 1
    squares = [
        image[:height, :width].reshape(height // 8, 8, width // 8, 8).std(axis=(1, 3)).ravel()
        for image in (sharp, detail)
    ]
    flattest = squares[0] <= np.quantile(squares[0], 0.05)
    return np.median(squares[1][flattest])


def blur_lengths(blurry, sharp):
    side = FLAGS.side
    corners = itertools.product(*(range(0, n - side + 1, side) for n in sharp.shape))
    lengths = []
    for top, left in corners:
        crop = np.s_[top : top + side, left : left + side]
        length = blur_length(blurry[crop], sharp[crop])
        if length is not None:
            lengths.append(length)
    return lengths


def blur_length(blurry, sharp):
    """Of one square; None where it tells nothing."""
    if sharp.std() < TEXTURE:
        return None
    window = np.outer(*[np.hanning(len(sharp))] * 2)
    before, after = (np.fft.fft2((x - x.mean()) * window) for x in (sharp, blurry))
    power, change = np.abs(before) ** 2, np.sum(np.abs(after - before) ** 2)
    if change < 1e-4 * power.sum():
        return 1.0
    kernel = np.fft.ifft2(after * before.conj() / (power + RIDGE * power.mean())).real
    kernel = np.fft.fftshift(kernel)
    kernel[kernel < 0.1 * kernel.max()] = 0  # the ripples of the fit
    parts, _ = ndimage.label(kernel, np.ones((3, 3)))
    kernel[parts != parts[np.unravel_index(kernel.argmax(), kernel.shape)]] = 0
    kernel /= kernel.sum()
    fitted = np.fft.fft2(np.fft.ifftshift(kernel)) * before
    if np.sum(np.abs(after - fitted) ** 2) > 0.5 * change:
        return None
    places = np.argwhere(kernel)
    moments = np.cov(places.T, aweights=kernel[tuple(places.T)], ddof=0)
    return float(np.sqrt(12 * np.linalg.eigvalsh(np.atleast_2d(moments)).max()))


if __name__ == "__main__":
    errors.run(main)
