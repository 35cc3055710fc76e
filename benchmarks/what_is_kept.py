"""Restores a folder with a network that changes nothing, and compares the files with their inputs.

python benchmarks/what_is_kept.py FOLDER --model=identity.keras

Of each file: format, pixels, alpha, depth and metadata; of animations also times; of videos also
streams, tags and the shape of pixels. Lossy formats may differ by --psnr. A difference must be told
by the command in a line that names the file. The exit status is 1 if one is not.
"""

import dataclasses
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from absl import app, flags

from tfdeblur.io import animations, ffmpeg, images, photos, tiff

FLAGS = flags.FLAGS
INFO = ("comment", "default_image", "duration", "exif", "icc_profile", "loop", "text", "xmp")
LOSSY = ("AVIF", "HEIF", "JPEG", "WEBP")


def main(argv):
    folder = pathlib.Path(argv[1])
    with tempfile.TemporaryDirectory() as place:
        output = pathlib.Path(place, "out")
        command = [sys.executable, "-m", "tfdeblur", str(folder), f"--output={output}"]
        command += [f"--model={FLAGS.model}", "--precision=float32"]
        done = subprocess.run(command, capture_output=True, text=True)
        print(done.stdout + done.stderr)
        silent = [
            path for path in sorted(folder.rglob("*")) if not told(path, folder, output, done)
        ]
    print(f"{len(silent)} files differ without a word.")
    return 1 if silent else 0


def told(path, folder, output, done):
    """Whether a file is kept, is none that is restored, or a line says what is not."""
    target = output / path.relative_to(folder)
    if path.is_dir() or not target.exists():
        named = path.name in done.stderr or path.suffix.lower() in done.stdout
        print(f"{path.name}: {'a folder' if path.is_dir() else 'not restored'}")
        known = path.suffix.lower() in photos.SUFFIXES + ffmpeg.VIDEO_SUFFIXES
        return path.is_dir() or named or not known
    if path.suffix.lower() in ffmpeg.VIDEO_SUFFIXES:
        found = list(differences_of_videos(path, target))
    elif animations.find(path, target):
        found = list(differences_of_animations(path, target))
    else:
        found = list(differences_of_photos(photos.read(path), photos.read(target)))
    found += [] if kept_status(path, target) else ["access rights or time"]
    line = f"leaves out of {path.name}:"
    print(f"{path.name}: {', '.join(found) or 'kept'}{' (told)' if line in done.stderr else ''}")
    return not found or line in done.stderr


def differences_of_animations(before, after):
    if tiff.is_tiff(before):
        for pages in zip(photos.read_pages(before), photos.read_pages(after), strict=True):
            yield from differences_of_photos(*pages)
        return
    with (
        images.opened(before, several=True) as one,
        images.opened(after, several=True) as other,
    ):
        if one.n_frames != other.n_frames:
            yield f"images: {one.n_frames} -> {other.n_frames}"
            return
        for index in range(one.n_frames):
            planes = []
            for image in (one, other):
                image.seek(index)
                planes.append(np.asarray(image.convert("RGBA")))
            yield from (name for name in INFO if one.info.get(name) != other.info.get(name))
            if psnr(*planes) < FLAGS.psnr:
                yield f"image {index} ({psnr(*planes):.1f} dB)"


def differences_of_photos(before, after):
    for name in ("format", "grey", "lossless"):
        if getattr(before, name) != getattr(after, name):
            yield f"{name}: {getattr(before, name)} -> {getattr(after, name)}"
    for field in dataclasses.fields(before.metadata):
        if getattr(before.metadata, field.name) != getattr(after.metadata, field.name):
            yield field.name
    lossy = before.format in LOSSY and not before.lossless
    for name in ("pixels", "alpha"):
        first, second = getattr(before, name), getattr(after, name)
        if (first is None) != (second is None) or (
            first is not None and first.dtype != second.dtype
        ):
            yield f"{name} of another kind"
        elif first is not None and (psnr(first, second) < (FLAGS.psnr if lossy else np.inf)):
            yield f"{name} ({psnr(first, second):.1f} dB)"
    yield from before.lost


def differences_of_videos(path, target):
    (tags, streams), (tags_after, streams_after) = map(ffmpeg.contents, (path, target))
    for name in tags.keys() - {"Duration", "encoder"}:
        if tags[name] != tags_after.get(name):
            yield f"{name}: {tags[name]} -> {tags_after.get(name)}"
    if [x.kind for x in streams] != [x.kind for x in streams_after]:
        yield "streams"
    for before, after in zip(streams, streams_after, strict=False):
        for name in ("is_cover", "is_transparent", "bits", "pixel_shape"):
            if getattr(before, name) != getattr(after, name):
                yield f"{name}: {getattr(before, name)} -> {getattr(after, name)}"
    frames = [np.stack(list(ffmpeg.decode(x, ffmpeg.probe(x)["size"]))) for x in (path, target)]
    if frames[0].shape != frames[1].shape:
        yield f"frames: {frames[0].shape} -> {frames[1].shape}"
    elif psnr(*frames) < FLAGS.psnr_of_videos:
        yield f"frames ({psnr(*frames):.1f} dB)"


def psnr(before, after):
    peak = 1 if before.dtype == np.float32 else np.iinfo(before.dtype).max
    error = np.mean((before.astype(np.float64) - after) ** 2)
    return np.inf if error == 0 else 10 * np.log10(peak**2 / error)


def kept_status(path, target):
    before, after = path.stat(), target.stat()
    return (before.st_mode, before.st_mtime_ns) == (after.st_mode, after.st_mtime_ns)


if __name__ == "__main__":
    flags.DEFINE_string("model", None, "A .keras file whose network gives back its input.")
    flags.DEFINE_float("psnr", 33, "That lossy images must reach, in dB.")
    flags.DEFINE_float("psnr_of_videos", 28, "That videos must reach, in dB.")
    flags.mark_flag_as_required("model")
    app.run(main)
