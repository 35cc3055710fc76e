"""Reads thousands of broken image files, within limits of memory and time.

python benchmarks/fuzz_images.py --count=20000

Files of all formats are cut, overwritten, mixed and given absurd sizes. Each must be read, or be
refused with an InputError that names it; what can be read is sometimes written again. A process of
its own does it: it may use --gigabytes more memory than it needs to start, and --seconds for a
file. The exit status is 1 if anything else happened.
"""

import collections
import io
import pathlib
import re
import resource
import signal
import struct
import sys
import tempfile
import time
import warnings
import zlib

import numpy as np
from absl import app, flags
from PIL import ExifTags, Image, features

from tfdeblur.errors import InputError
from tfdeblur.io import images, photos
from tfdeblur.io.metadata import Metadata
from tfdeblur.io.photos import Photo

FLAGS = flags.FLAGS
SIZES = (0, 1, 7, 255, 4000, 13000, 20000, 65535, 2**31 - 1, 2**32 - 1)
HEADER = 64  # bytes in which most formats describe themselves


def samples(folder):
    """{suffix of a file: list of contents}."""
    rng = np.random.default_rng(0)
    deep = rng.integers(0, 65536, (24, 40, 4)).astype(np.uint16)
    deep[4:20] = deep[4:5]  # something to compress
    pixels = (deep >> 8).astype(np.uint8)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.DateTime] = "2024:01:02 03:04:05"
    found = Metadata(exif.tobytes(), b'<x tiff:Orientation="6"/>', dpi=(300.0, 300.0))
    made = collections.defaultdict(list)

    def add(suffix, photo):
        photos.write(folder / f"x{suffix}", photo)
        made[suffix].append((folder / f"x{suffix}").read_bytes())

    suffixes = [".png", ".tif", ".jpg", ".webp", ".bmp", ".ppm"]
    suffixes += [".avif"] * features.check("avif") + [".heic"] * has_heif()
    for suffix in suffixes:
        add(suffix, Photo(pixels[..., :3], metadata=found))
        add(suffix, Photo(pixels[..., :3], pixels[..., 3]))
        add(suffix, Photo(pixels[..., :3], grey=True))
    for suffix in (".png", ".tif"):
        add(suffix, Photo(deep[..., :3], metadata=found))
        add(suffix, Photo(deep[..., :3], deep[..., 3]))
        add(suffix, Photo(deep[..., :3], grey=True))
    picture = Image.fromarray(pixels[..., :3])
    for suffix, mode, options in (
        (".gif", "P", {}),
        (".png", "P", {"transparency": 3}),
        (".png", "1", {}),
        (".png", "LA", {}),
        (".jpg", "CMYK", {}),
        (".jpg", "RGB", {"progressive": True}),
        (".tif", "RGB", {"compression": "tiff_lzw"}),
        (".tif", "RGB", {"compression": "jpeg"}),
        (".tif", "1", {"compression": "group4"}),
        (".tif", "CMYK", {}),
        (".webp", "RGB", {"lossless": True}),
        (".bmp", "P", {}),
        (".ppm", "1", {}),
    ):
        kind = Image.registered_extensions()[suffix]
        buffer = io.BytesIO()
        picture.convert(mode).save(buffer, format=kind, **options)
        made[suffix].append(buffer.getvalue())
    return made


def has_heif():
    try:
        images.register_heif("x.heic")
    except InputError:
        return False
    return True


# ------------------------------------------------------------------------ mutations


def cut(rng, content, _):
    return content[: rng.integers(len(content))]


def flip_bits(rng, content, _):
    content = bytearray(content)
    for at in rng.integers(len(content), size=rng.integers(1, 20)):
        content[at] ^= 1 << rng.integers(8)
    return content


def flip_bits_of_header(rng, content, _):
    return bytes(flip_bits(rng, content[:HEADER], _)) + content[HEADER:]


def overwrite(rng, content, _):
    start = rng.integers(len(content))
    length = min(rng.integers(1, 200), len(content) - start)
    return content[:start] + rng.bytes(length) + content[start + length :]


def insert(rng, content, _):
    start = rng.integers(len(content))
    return content[:start] + rng.bytes(rng.integers(1, 50)) + content[start:]


def mix(rng, content, other):
    return content[: rng.integers(len(content))] + other[rng.integers(len(other)) :]


def nothing(rng, content, _):
    """Under another suffix, that is."""
    return content


def resize(rng, content, _):
    """Gives a file another size, where its format has it."""
    width, height = (SIZES[i] for i in rng.integers(len(SIZES), size=2))
    content = bytearray(content)
    if content.startswith(b"\x89PNG"):
        struct.pack_into(">II", content, 16, width, height)
        struct.pack_into(">I", content, 29, zlib.crc32(content[12:29]))
    elif content.startswith(b"BM"):
        struct.pack_into("<II", content, 18, width, height)
    elif content.startswith(b"GIF"):
        struct.pack_into("<HH", content, 6, width & 0xFFFF, height & 0xFFFF)
    elif content.startswith(b"\xff\xd8"):
        for frame in re.finditer(rb"\xff[\xc0-\xc2]\0.\x08", content, re.DOTALL):
            struct.pack_into(">HH", content, frame.end(), height & 0xFFFF, width & 0xFFFF)
    elif content[:1] == b"P":
        content = re.sub(rb"\d+ \d+", f"{width} {height}".encode(), bytes(content), count=1)
    else:  # TIFF: numbers of 16 or 32 bits anywhere in a directory
        for tag, value in ((256, width), (257, height), (277, 9), (32997, width), (278, height)):
            at = content.find(struct.pack("<HH", tag, 4))
            if at >= 0:
                struct.pack_into("<I", content, at + 8, value)
    return content


def with_right_checksums(content):
    """A PNG file whose chunks are not refused by their checksums alone."""
    content, at = bytearray(content), 8
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        if at + 12 + length > len(content):
            break
        checksum = zlib.crc32(content[at + 4 : at + 8 + length])
        struct.pack_into(">I", content, at + 8 + length, checksum)
        at += 12 + length
    return content


MUTATIONS = (
    cut,
    flip_bits,
    flip_bits,
    flip_bits_of_header,
    flip_bits_of_header,
    overwrite,
    insert,
    mix,
    nothing,
    resize,
    resize,
)


# ------------------------------------------------------------------------ reading


def attempt(path, rng):
    """Returns "read" or "refused"; raises what should not happen."""
    try:
        photo = photos.read(path)
    except InputError as error:
        if str(path) not in str(error) or len(str(error)) < len(str(path)) + 15:
            raise AssertionError(f"{path} is not named, or no reason given: {error}") from error
        return "refused"
    height, width, channels = photo.pixels.shape
    if photo.pixels.dtype not in (np.uint8, np.uint16) or channels != 3 or not height * width:
        raise AssertionError(f"{path} gave {photo.pixels.dtype} {photo.pixels.shape}")
    if max(height, width) < 1000 and rng.random() < 0.3:
        suffix = choice(rng, (".png", ".tif", ".jpg", ".webp"))
        images.read(path)
        images.size(path)
        photos.write(path.with_name(f"out{suffix}"), photo)
        again = photos.read(path.with_name(f"out{suffix}"))
        if again.pixels.shape != photo.pixels.shape:
            raise AssertionError(f"{path} became {again.pixels.shape} as {suffix}")
    return "read"


def fuzz(folder, count, seed, gigabytes, seconds):
    warnings.simplefilter("ignore")  # Pillow's, about metadata
    made = samples(folder)
    for suffix, contents in made.items():  # what decoding needs is loaded before it is limited
        for content in contents:
            (folder / f"whole{suffix}").write_bytes(content)
            photos.read(folder / f"whole{suffix}")
    limit = memory("VmSize") + int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    started = memory("VmHWM")
    results, slowest, failures = collections.Counter(), (0, ""), 0
    suffixes = list(made)
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        suffix = suffixes[index % len(suffixes)]
        content, other = (
            made[s][rng.integers(len(made[s]))] for s in (suffix, rng.choice(suffixes))
        )
        mutation = choice(rng, MUTATIONS)
        named = choice(rng, suffixes) if mutation is nothing or rng.random() < 0.1 else suffix
        path = folder / f"{index}_{mutation.__name__}{named}"
        content = mutation(rng, content, other)
        if content[:4] == b"\x89PNG" and rng.random() < 0.7:
            content = with_right_checksums(content)
        path.write_bytes(content)
        print(path.name, file=sys.stderr)  # the last one, if it ends the process
        began = time.perf_counter()
        signal.alarm(seconds)
        try:
            results[suffix, attempt(path, rng)] += 1
        except Exception as error:
            failures += 1
            kept = pathlib.Path(tempfile.gettempdir(), path.name)
            kept.write_bytes(path.read_bytes())
            print(f"FAILED {kept}: {type(error).__name__}: {error}")
        signal.alarm(0)
        slowest = max(slowest, (time.perf_counter() - began, path.name))
        path.unlink()
    for suffix in suffixes:
        read, refused = (results[suffix, what] for what in ("read", "refused"))
        print(f"{suffix:5} read {read:5}  refused {refused:5}")
    peak = (memory("VmHWM") - started) / 2**20
    print(
        f"slowest {slowest[0]:.2f} s ({slowest[1]}); memory {peak:.0f} MiB above that at the start"
    )
    print(f"{sum(results.values())} of {count} files read or refused, {failures} failures")
    return 1 if failures else 0


def choice(rng, items):
    return items[rng.integers(len(items))]


def memory(name):
    """Of this process, in bytes: "VmSize", "VmHWM"."""
    status = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{name}:\s+(\d+)", status)[1])


def main(_):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        return fuzz(folder, FLAGS.count, FLAGS.seed, FLAGS.gigabytes, FLAGS.seconds)


if __name__ == "__main__":
    flags.DEFINE_integer("count", 2000, "Files.")
    flags.DEFINE_integer("seed", 0, "Of the mutations.")
    flags.DEFINE_float("gigabytes", 2.5, "Of address space above that at the start.")
    flags.DEFINE_integer("seconds", 60, "For each file.")
    app.run(main)
