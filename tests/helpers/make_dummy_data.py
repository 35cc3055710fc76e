"""Writes datasets/*/dummy_data of REDS, RealBlur, HIDE, Köhler and Lai anew.

Tiny made-up images in archives with the layout and the names of the published ones; GOPRO's come
from gopro_stand_in.py. Run `python tests/helpers/make_dummy_data.py`.
"""

import io
import pathlib
import zipfile
import zlib

import numpy as np
from PIL import Image

DATASETS = pathlib.Path(__file__).parents[2] / "datasets"


def reds():
    for split, sequences in (("train", 2), ("val", 1)):
        for kind in ("sharp", "blur", "blur_comp", "blur_jpeg"):
            suffix = "jpg" if kind == "blur_jpeg" else "png"
            folder = f"{split}/{split}_{kind}"
            names = [f"{folder}/{s:03d}/{n:08d}.{suffix}" for s in range(sequences) for n in (0, 1)]
            write("reds", f"{split}_{kind}", {name: image(name) for name in names})


def realblur():
    files = {}
    scenes = {
        "train": {"scene001": (1, 2), "scene002": (10,)},
        "test": {"scene230": (2, 7)},
    }
    for source, stages in (("J", ""), ("R", "_BM3D")):
        root = f"RealBlur-{source}{stages}_ECC_IMCORR_centroid_itensity_ref"
        for split, numbers in scenes.items():
            pairs = [
                [f"{root}/{scene}/{kind}/{kind}_{n}.png" for kind in ("gt", "blur")]
                for scene in numbers
                for n in numbers[scene]
            ]
            files |= {name: image(name) for pair in pairs for name in pair}
            lines = "\n".join(" ".join(pair) + " " for pair in pairs)
            files[f"RealBlur_{source}_{split}_list.txt"] = lines.encode()
    write("realblur", "RealBlur", files)


def hide():
    files = {"train": ["a", "b", "c"], "test/test-close-ups": ["d"], "test/test-long-shot": ["e"]}
    blurry = [f"HIDE_dataset/{folder}/{name}.png" for folder in files for name in files[folder]]
    sharp = [f"HIDE_dataset/GT/{name}.png" for names in files.values() for name in names]
    write("hide", "HIDE_dataset", {name: image(name) for name in blurry + sharp})


def kohler():
    blurry = [f"Blurry1_{trajectory}.png" for trajectory in (1, 2, 3)]
    write("kohler", "BlurryImages", {name: image(name) for name in blurry})
    frames = {1: range(1, 4), 2: range(1, 5), 3: [*range(1, 30), 31]}  # frame 30 is missing
    names = [f"Image1/Kernel{k}/GroundTruth1_{k}_{n}.png" for k in frames for n in frames[k]]
    write("kohler", "GroundTruth_pngs_Image1", {name: image(name) for name in names})


def lai():
    photographs = [f"real_dataset/{name}.jpg" for name in ("Pantheon", "boat1", "text10")]
    write("lai", "cvpr16_deblur_study_real_dataset", {name: image(name) for name in photographs})
    blurs = {"uniform": "kernel", "nonuniform": "gyro"}
    scenes = ("manmade_01", "text_05")
    names = [f"{b}/{s}_{blurs[b]}_{k:02d}.png" for b in blurs for s in scenes for k in (1, 2)]
    names += [f"ground_truth/{scene}.png" for scene in scenes]
    files = {f"synthetic_dataset/{name}": image(name) for name in names}
    write("lai", "cvpr16_deblur_study_synthetic_dataset", files)


def image(name, size=(12, 8)):
    """The bytes of an image file; other names give other pixels."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    coarse = Image.fromarray(rng.integers(0, 256, (2, 3, 3), np.uint8))
    buffer = io.BytesIO()
    kind = "JPEG" if name.endswith(".jpg") else "PNG"
    coarse.resize(size, Image.Resampling.BICUBIC).save(buffer, kind)
    return buffer.getvalue()


def write(dataset, archive, files):
    folder = DATASETS / dataset / "dummy_data"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{archive}.zip", "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in files.items():
            target.writestr(zipfile.ZipInfo(name), content)  # the same date each time


if __name__ == "__main__":
    for make in (reds, realblur, hide, kohler, lai):
        make()
