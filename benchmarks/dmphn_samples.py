"""How near our DMPHN with the authors' weights comes to the pictures that they published.

python benchmarks/dmphn_samples.py --weights=gopro --blurry_dir=test_samples/ \
    --restored_dir=test_results/DMPHN_1_2_4_8_test_res/

The folders are those of https://github.com/HongguangZhang/DMPHN-cvpr19-master, or parts of them
with the same names in both. Prints the mean absolute difference of each picture, and writes them
beside each other: theirs, ours, and the difference.
"""

import numpy as np
import tqdm
from absl import flags
from PIL import Image

from tfdeblur import errors, restoration, weights
from tfdeblur.io import images, pairing

FLAGS = flags.FLAGS
flags.DEFINE_string("weights", "gopro", "The authors' weights, see `weights.load`.")
flags.DEFINE_string("blurry_dir", None, "The blurry pictures.", required=True)
flags.DEFINE_string("restored_dir", None, "Those that the authors restored.", required=True)
flags.DEFINE_string("output", "dmphn_samples.png", "The picture to write.")

GAIN = 64  # a difference of 1 grey level is shown as 64, one of 4 as white


def main(argv):
    del argv
    net, _ = weights.open_network("dmphn", FLAGS.weights)
    rows = []
    pairs = pairing.find_pairs(FLAGS.blurry_dir, FLAGS.restored_dir)
    for pair in tqdm.tqdm(pairs, desc="restoring", unit="image", disable=None):
        theirs = images.read(pair.sharp)
        restored = restoration.restore_float(net, images.read(pair.blurry), precision="float32")
        ours = np.floor(255 * restored).astype("uint8")  # the authors truncated, too
        difference = np.abs(ours.astype(int) - theirs)
        tqdm.tqdm.write(
            f"{pair.name}: mean absolute difference {difference.mean():.3f} grey levels, "
            f"at most {difference.max()}; {(difference == 0).mean():.1%} of the values are equal"
        )
        amplified = np.clip(GAIN * difference, 0, 255).astype("uint8")
        row = Image.fromarray(np.hstack([theirs, ours, amplified]))
        rows.append(np.asarray(row.reduce(2)))
    images.write(FLAGS.output, np.vstack(rows))
    print(f"Wrote {FLAGS.output}: theirs, ours, {GAIN} times the difference.")


if __name__ == "__main__":
    errors.run(main)
