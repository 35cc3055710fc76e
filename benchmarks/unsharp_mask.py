"""What the best unsharp mask gains on a dataset's test split: the least a network must beat.

python benchmarks/unsharp_mask.py --dataset=dead_leaves/small

Tries every pair of radius and strength on the whole split and prints the best mean PSNR, an
advantage that no network has: it is chosen on the images that it is scored on.
"""

import numpy as np
from absl import flags
from scipy.ndimage import gaussian_filter

from tfdeblur import errors, metrics, restoration
from tfdeblur.data.pairs import from_tfds

FLAGS = flags.FLAGS
flags.DEFINE_string("dataset", "dead_leaves/small", "A TFDS dataset of pairs.")
flags.DEFINE_string("split", "test", "Its split.")
flags.DEFINE_string("data_dir", None, "Where TFDS keeps its datasets.")

RADII = (0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0)  # sigma in pixels
STRENGTHS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5)


def main(argv):
    del argv
    pairs = from_tfds(FLAGS.dataset, FLAGS.split, FLAGS.data_dir)
    blurry_scores, scores = [], {(r, s): [] for r in RADII for s in STRENGTHS}
    for _, blurry, sharp in pairs.numpy_pairs():
        blurry_scores.append(metrics.psnr(sharp, blurry, 255))
        unit = blurry / 255
        for radius in RADII:
            detail = unit - gaussian_filter(unit, (radius, radius, 0))
            for strength in STRENGTHS:
                masked = restoration.quantise(unit + strength * detail)
                scores[radius, strength].append(metrics.psnr(sharp, masked, 255))
    (radius, strength), best = max(scores.items(), key=lambda item: np.mean(item[1]))
    gain = np.mean(best) - np.mean(blurry_scores)
    print(
        f"{pairs.name}: blurry {np.mean(blurry_scores):.2f} dB; best unsharp mask "
        f"(sigma {radius}, strength {strength}) {np.mean(best):.2f} dB, gain {gain:+.2f} dB"
    )


if __name__ == "__main__":
    errors.run(main)
