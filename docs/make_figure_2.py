"""Figure 2 of Nah et al. 2017: an image blurred by one kernel, and by the mean of frames.

python docs/make_figure_2.py OUT.png                     # frames of dead leaves in motion
python docs/make_figure_2.py OUT.png FRAMES_FOLDER       # of a high-speed video: an odd number
"""

import sys

import numpy as np

from tfdeblur import blur
from tfdeblur.io import comparisons, images
from tfdeblur.preparation import dead_leaves, scenes


def main(path, folder=None):
    frames = read(folder) if folder else dead_leaves.render_frames(seed=1)
    averaged, sharp = blur.synthesize(frames)
    times = scenes.frame_times(len(frames))
    largest = min(sharp.shape[:2])
    kernel = scenes.random_kernel(np.random.default_rng(0), times, largest, largest)
    shown = {
        "sharp": sharp,
        "one kernel": blur.convolve(sharp, kernel),
        "mean of frames": averaged,
    }
    comparisons.compare_methods(path, [("", shown)])


def read(folder):
    return [images.read(path) for path in images.find_images([folder])]


if __name__ == "__main__":
    main(*sys.argv[1:])
