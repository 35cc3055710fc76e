"""A stand-in for GOPRO: its exact layout and counts, with small made-up frames.

`python tests/helpers/gopro_stand_in.py datasets/gopro/dummy_data` writes the builder's dummy data
anew.
"""

import functools
import io
import pathlib
import sys
import zipfile
import zlib

import numpy as np
from PIL import Image

from tfdeblur import blur
from tfdeblur.datasets.gopro import gopro_dataset_builder as gopro

SIZE = 16  # pixels, in height and width
# A few sequences for quick tests; those of the dummy data.
FEW = {"train": {"GOPR0372_07_00": 2, "GOPR0374_11_00": 2}, "test": {"GOPR0384_11_05": 2}}

# Numbers of the first pair, where they are not 1.
FIRST = {"GOPR0372_07_00": 47, "GOPR0384_11_05": 4001, "GOPR0385_11_01": 3011}
# Peculiarities of the archives (SeungjunNah/DeepDeblur_release, issues 65 and 66): sharp frames
# that differ by one grey level from the recorded ones, and sharp frames that show the first
# instead of the middle frame of their window, so that the first blurry image reaches back to
# frames that are not there.
ROUNDED = "GOPR0372_07_00"
SHIFTED = "GOPR0384_11_05"


def pairs(sequences=gopro.SEQUENCES):
    """Yields (name, PNG bytes) of GOPRO_Large."""
    for split, counts in sequences.items():
        for sequence, count in counts.items():
            m = frames_averaged(sequence)
            for i in range(count):
                middle = i * m + (0 if sequence == SHIFTED else m // 2)
                window = [frame(sequence, middle + k) for k in range(-(m // 2), m // 2 + 1)]
                blur_gamma, sharp = blur.synthesize(window)
                if sequence == ROUNDED:
                    sharp[::2] += 1
                blur_linear, _ = blur.synthesize(window, "linear")
                kinds = {"blur": blur_linear, "blur_gamma": blur_gamma, "sharp": sharp}
                for kind, image in kinds.items():
                    number = FIRST.get(sequence, 1) + i
                    yield f"{split}/{sequence}/{kind}/{number:06d}.png", png(image)


def raw_frames(sequences=gopro.SEQUENCES):
    """Yields (name, PNG bytes) of GOPRO_Large_all."""
    for split, counts in sequences.items():
        for sequence, count in counts.items():
            m = frames_averaged(sequence)
            for i in range(count * m):
                number = (FIRST.get(sequence, 1) - 1) * m + 1 + i
                yield f"{split}/{sequence}/{number:06d}.png", png(frame(sequence, i))


def write_zip(path, files, top=""):
    """Writes (name, bytes) pairs as an archive, below the folder `top` ("" or ending in "/")."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files:
            archive.writestr(top + name, content)
    return path


def write_folder(path, files, top=""):
    """Writes (name, bytes) pairs as files."""
    for name, content in files:
        file = pathlib.Path(path, top + name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return path


def frame(sequence, index):
    """uint8 [SIZE, SIZE, 3]: what a camera sees that pans over a landscape, a pixel a frame."""
    left = index + 10  # some frames from before the recording
    return _landscape(sequence)[:, left : left + SIZE]


def frames_averaged(sequence):
    return int(sequence.split("_")[1])


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@functools.lru_cache(maxsize=2)
def _landscape(sequence):
    width = 150 * 13 + SIZE + 20  # for the longest sequence
    rng = np.random.default_rng(zlib.crc32(sequence.encode()))
    coarse = rng.integers(40, 200, (SIZE // 4, width // 4, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, SIZE), Image.Resampling.BICUBIC))


if __name__ == "__main__":
    (folder,) = sys.argv[1:]
    write_folder(folder, pairs(FEW), "GOPRO_Large/")
    write_folder(folder, raw_frames(FEW), "GOPRO_Large_all/")
