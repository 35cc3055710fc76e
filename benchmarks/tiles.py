"""What restoring in tiles costs in quality, over photographs that are set in motion.

python benchmarks/tiles.py PHOTOS --model=maxim --weights=gopro --tiles=256,384 --overlaps=64,128

PHOTOS is a folder of sharp photographs. The table has the mean PSNR over them, and how far each way
to lay tiles is from the picture that is restored at once.
"""

import numpy as np
from absl import flags

from tfdeblur import errors, metrics, precision, restoration, weights
from tfdeblur.io import images
from tfdeblur.preparation import moving_stills

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "As for deblur.py.")
flags.DEFINE_string("weights", None, "As for deblur.py.")
flags.DEFINE_string("precision", "auto", "float32, bfloat16, float16, or auto.")
flags.DEFINE_integer("photos", 4, "How many photographs are used, evenly spread over their names.")
flags.DEFINE_integer("size", 704, "Height and width of the pictures, in pixels.")
flags.DEFINE_float("speed", 300, "Of the image, in pixels per second.")
flags.DEFINE_list("tiles", ["256", "384", "512"], "Pixels of a tile.")
flags.DEFINE_list("overlaps", ["64", "128"], "Pixels that tiles share.")


def main(argv):
    if len(argv) != 2:
        raise errors.InputError("give PHOTOS, a folder.")
    pairs = make_pairs(argv[1])
    with precision.policy(precision.resolve(FLAGS.precision)):
        net, name = weights.open_network(FLAGS.model, FLAGS.weights)
    whole = [restoration.restore(net, blurry) for blurry, _ in pairs]
    print(f"{name}: {len(pairs)} pictures of {FLAGS.size}x{FLAGS.size}\n")
    print("| tile | overlap | PSNR (dB) | from the whole (dB) | differs by (grey levels) |")
    print("|---|---:|---:|---:|---:|")
    blurry = mean_psnr(pairs, [blurry for blurry, _ in pairs])
    best = mean_psnr(pairs, whole)
    print(f"| blurry | | {blurry:.2f} | | |\n| none | | {best:.2f} | | |", flush=True)
    for tile in map(int, FLAGS.tiles):
        for overlap in map(int, FLAGS.overlaps):
            if 2 * overlap > tile or tile >= FLAGS.size:
                continue
            tiled = [restoration.restore(net, x, tile=tile, overlap=overlap) for x, _ in pairs]
            psnr = mean_psnr(pairs, tiled)
            gap = np.abs(np.subtract(tiled, whole, dtype="float32")).mean()
            print(
                f"| {tile} | {overlap} | {psnr:.2f} | {psnr - best:+.2f} | {gap:.2f} |", flush=True
            )


def make_pairs(folder):
    """[(blurry, sharp)], uint8 [size, size, 3]."""
    photos = [photo.path for photo in moving_stills.find_photos(folder, 1)]
    photos = [path for path in photos if min(images.size(path)) >= 1.15 * FLAGS.size]
    if not photos:
        raise errors.InputError(f"{folder} has no photograph that is large enough for --size.")
    chosen = photos[:: max(len(photos) // FLAGS.photos, 1)][: FLAGS.photos]
    options = moving_stills.Options(size=FLAGS.size, speed=FLAGS.speed, downscale=(1, 1))
    pairs = []
    for seed, path in enumerate(chosen):
        other = images.read(photos[seed - 1])
        pairs.append(moving_stills.render_pair(images.read(path), other, seed, options)[:2])
    return pairs


def mean_psnr(pairs, restored):
    """Over the pictures, of their PSNR to the sharp ones."""
    return np.mean(
        [metrics.psnr(sharp, image, 255) for (_, sharp), image in zip(pairs, restored, strict=True)]
    )


if __name__ == "__main__":
    errors.run(main)
