"""What a network gains on pairs, scene by scene, and what it does to sharp images.

python benchmarks/photographs.py reds/test_blur:reds/test_sharp reds/train_blur:reds/train_sharp

Each argument is a folder of blurry images and, after a colon, that of their sharp ones, with the
same names in both; the folders inside them are scenes. Prints a Markdown table: mean PSNR of the
blurry and the restored images of each scene, the gain, the smallest gain of one image, and the PSNR
of sharp images that are restored, against themselves.
"""

import collections
import time

import numpy as np
import tqdm
from absl import flags

from tfdeblur import errors, metrics, precision, restoration, weights
from tfdeblur.errors import InputError
from tfdeblur.io import images, pairing

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "runs/photographs/model.keras", "See `tfdeblur --help`.")
flags.DEFINE_string("weights", None, "See `tfdeblur --help`.")
flags.DEFINE_string("tile", "auto", "See `restore`: a number of pixels, or auto.")
flags.DEFINE_integer("at_most", 0, "Pairs of each scene; 0: all.")
MEASURES = ("psnr", "ssim")


def main(argv):
    if not argv[1:]:
        raise InputError("name folders: blurry:sharp")
    network, name = weights.open_network(FLAGS.model, FLAGS.weights)
    tile = int(FLAGS.tile) if FLAGS.tile.isdecimal() else FLAGS.tile
    chosen = precision.resolve("auto")

    def restore(image):
        return restoration.restore(network, image, tile=tile, precision=chosen)

    scenes = collections.defaultdict(list)
    begun = time.perf_counter()
    pairs = list(find(argv[1:]))
    for scene, pair in tqdm.tqdm(pairs, desc="measuring", unit="pair", disable=None):
        blurry, sharp = images.read(pair.blurry), images.read(pair.sharp)
        shown = {"blurry": blurry, "restored": restore(blurry), "sharp": restore(sharp)}
        scenes[scene].append(
            [getattr(metrics, m)(sharp, image, 255) for image in shown.values() for m in MEASURES]
        )
    print(table(scenes))
    took = time.perf_counter() - begun
    print(f"\n{name}, {network.count_params():,} parameters, {chosen}; {took:.0f} s in all.")


def find(arguments):
    """Yields (scene, pair) of the folders named."""
    for argument in arguments:
        blurry, colon, sharp = argument.rpartition(":")
        if not colon:
            raise InputError(f"{argument}: give blurry:sharp")
        found = collections.Counter()
        for pair in pairing.find_pairs(blurry, sharp):
            scene = f"{blurry} {pair.name.rpartition('/')[0]}".strip()
            found[scene] += 1
            if not FLAGS.at_most or found[scene] <= FLAGS.at_most:
                yield scene, pair


def table(scenes):
    rows = [
        "| scene | pairs | blurry (dB) | restored (dB) | gain (dB) | smallest gain (dB) "
        "| SSIM blurry | SSIM restored | sharp, restored (dB) |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    everything = [row for scene in scenes.values() for row in scene]
    for scene, values in [*scenes.items(), ("all", everything)]:
        values = np.array(values)
        before, ssim_before, after, ssim_after, sharp, _ = values.mean(axis=0)
        least = (values[:, 2] - values[:, 0]).min()
        rows.append(
            f"| {scene} | {len(values)} | {before:.2f} | {after:.2f} | {after - before:+.2f} "
            f"| {least:+.2f} | {ssim_before:.4f} | {ssim_after:.4f} | {sharp:.2f} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    errors.run(main)
