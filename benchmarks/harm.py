"""How often `restoration.harm` is right: made-up failures, and results that are none.

python benchmarks/harm.py PHOTOS... [--pairs=reds_320x180/blurry,reds_320x180/sharp]

Half of the photographs are blurred by a straight motion of 17 pixels, the others stay. Each kind of
failure is put into a place of each, of 30 % of its height and width (ringing, and what says so:
everywhere). No failure are sharp photographs as the results of their blurry versions, and the sharp
images of pairs.
"""

import math

import numpy as np
from absl import app, flags
from PIL import Image

from tfdeblur import blur
from tfdeblur.io import images, pairing
from tfdeblur.restoration import harm

FLAGS = flags.FLAGS
flags.DEFINE_list("pairs", [], "Folders of blurry and of sharp images, in turns.")
flags.DEFINE_integer("side", 800, "Photographs are reduced to so many pixels.")
BLURS = (9, 17, 25, 41)
RANDOM = np.random.default_rng(0)


def mosaic(image, cell, amplitude):
    top, left, rows, columns = place(image)
    shape = (-(-rows // cell), -(-columns // cell), 3)
    cells = RANDOM.uniform(-amplitude, amplitude, shape).repeat(cell, 0).repeat(cell, 1)
    image[top : top + rows, left : left + columns] += cells[:rows, :columns]


def ripples(image, amplitude):
    top, left, rows, columns = place(image)
    y, x = np.mgrid[:rows, :columns]
    wave = amplitude * np.sin(2 * np.pi * (0.8 * x + 0.6 * y) / 8)
    image[top : top + rows, left : left + columns] += wave[..., None]


def exposure(image, factor):
    top, left, rows, columns = place(image)
    image[top : top + rows, left : left + columns] *= factor


def exposure_of_all(image, levels):
    image += levels


def ringing(image, length):
    """A deconvolution by a kernel that is not that of the image."""
    kernel = np.zeros(image.shape[:2])
    kernel[:length, :length] = motion(length, 0.7)
    kernel = np.fft.rfft2(np.roll(kernel, (-(length // 2),) * 2, (0, 1)))[..., None]
    inverse = kernel.conj() / (np.abs(kernel) ** 2 + 0.003)
    spectrum = np.fft.rfft2(image, axes=(0, 1)) * inverse
    image[:] = np.fft.irfft2(spectrum, image.shape[:2], axes=(0, 1))


FAILURES = {
    "colour mosaic, cells of 4 pixels, +-60 levels": (mosaic, 4, 60),
    "colour mosaic, cells of 16 pixels, +-40 levels": (mosaic, 16, 40),
    "colour mosaic, cells of 16 pixels, +-80 levels": (mosaic, 16, 80),
    "colour noise, +-80 levels": (mosaic, 1, 80),
    "ripples of 8 pixels, +-20 levels": (ripples, 20),
    "ripples of 8 pixels, +-40 levels": (ripples, 40),
    "ringing, by a wrong kernel of 15 pixels": (ringing, 15),
    "codes times 1.3": (exposure, 1.3),
    "codes times 1.6": (exposure, 1.6),
    "codes times 0.5": (exposure, 0.5),
    "all of it darker by 20 levels": (exposure_of_all, -20),
}


def place(image):
    rows, columns = (int(0.3 * side) for side in image.shape[:2])
    top, left = RANDOM.integers(0, len(image) - rows), RANDOM.integers(0, len(image[0]) - columns)
    return top, left, rows, columns


def motion(length, angle):
    kernel, middle = np.zeros((length, length)), length // 2
    for t in np.linspace(-middle, middle, 8 * length):
        row, column = (round(middle + t * f(angle)) for f in (math.sin, math.cos))
        kernel[row, column] += 1
    return kernel / kernel.sum()


def main(argv):
    photos = []
    for path in images.find_images(argv[1:]):
        photo = Image.fromarray(images.read(path))
        photo.thumbnail((FLAGS.side, FLAGS.side), Image.Resampling.LANCZOS)
        photos.append(np.asarray(photo))
    found = {}

    def tell(name, before, after):
        found.setdefault(name, []).append(harm.find(before, after) is not None)

    for number, photo in enumerate(photos):
        length = BLURS[number % len(BLURS)]
        blurry = blur.convolve(photo, motion(length, math.pi * RANDOM.random()))
        tell(f"none: sharp, of blur of {length} pixels", blurry, photo)
        before = blur.convolve(photo, motion(17, math.pi * RANDOM.random()))
        before = before if number % 2 else photo
        for name, (fail, *values) in FAILURES.items():
            failed = before.astype(float)
            fail(failed, *values)
            tell(name, before, np.clip(failed, 0, 255).astype(np.uint8))
    for folders in zip(FLAGS.pairs[::2], FLAGS.pairs[1::2], strict=True):
        for pair in pairing.find_pairs(*folders):
            tell("none: sharp, of real pairs", images.read(pair.blurry), images.read(pair.sharp))
    print("| what | harm is found in |\n|---|--:|")
    for name, answers in found.items():
        print(f"| {name} | {sum(answers)} of {len(answers)} |")


if __name__ == "__main__":
    app.run(main)
