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
from tfdeblur.cli import flags as shared
from tfdeblur.errors import InputError
from tfdeblur.io import images, pairing

FLAGS = flags.FLAGS
shared.define_network()
shared.define_restoring(tile="auto")
shared.define_precision()
FLAGS.set_default("model", "runs/photographs/model.keras")
flags.DEFINE_integer("at_most", 0, "Pairs of each scene; 0: all.")


def main(argv):
    if not argv[1:]:
        raise InputError("name folders: blurry:sharp")
    network, name = weights.open_network(FLAGS.model, FLAGS.weights)
    chosen = precision.resolve(FLAGS.precision)

    def restore(image):
        return restoration.restore(
            network,
            image,
            tile=shared.tile(),
            self_ensemble=FLAGS.self_ensemble,
            precision=chosen,
        )

    scenes = collections.defaultdict(list)
    begun = time.perf_counter()
    pairs = list(find(argv[1:]))
    for scene, pair in tqdm.tqdm(pairs, desc="measuring", unit="pair", disable=None):
        blurry, sharp = images.read(pair.blurry), images.read(pair.sharp)
        values = [
            measure(sharp, image, 255)
            for image in (blurry, restore(blurry))
            for measure in (metrics.psnr, metrics.ssim)
        ]
        scenes[scene].append([*values, metrics.psnr(sharp, restore(sharp), 255)])
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
        before, ssim_before, after, ssim_after, sharp = values.mean(axis=0)
        least = (values[:, 2] - values[:, 0]).min()
        rows.append(
            f"| {scene} | {len(values)} | {before:.2f} | {after:.2f} | {after - before:+.2f} "
            f"| {least:+.2f} | {ssim_before:.4f} | {ssim_after:.4f} | {sharp:.2f} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    errors.run(main)
