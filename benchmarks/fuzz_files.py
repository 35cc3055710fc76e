"""Reads thousands of broken files that hold weights, runs and scores, within limits.

python benchmarks/fuzz_files.py --count=5000
python benchmarks/fuzz_files.py --count=500 --kinds=keras,mat

Sound files of each kind are cut, overwritten and mixed, inside their archives too (with right
checksums). Each must be read, or be refused with an InputError in one line that names it. A process
of its own reads each kind: it may use --gigabytes more memory than it needs to start and --seconds
for a file, may start no program, open no connection and write no file but in its own folder. A
process that dies is replaced, and the file that did it is kept. The exit status is 1 if anything
but reading and refusing happened.
"""

import collections
import dataclasses
import functools
import io
import json
import multiprocessing
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import types
import warnings
import zipfile

import numpy as np
from absl import app, flags

FLAGS = flags.FLAGS
TINY = {"scales": 1, "filters": 2, "resblocks": 1}
TESTS = pathlib.Path(__file__).parents[1] / "tests" / "helpers"
FORBIDDEN = {"os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "socket.connect"}
SERVER = multiprocessing.get_context("forkserver")
NUMBERS = (0, 1, 127, 128, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1)

# ------------------------------------------------------------------------ kinds of files


class Kind:
    """Sound files of a kind, and what reads one of them."""

    suffix = ""
    may_do = ()  # of FORBIDDEN

    def __init__(self, folder):
        """Makes what reading needs, in a folder that the mutated files come into, too."""

    def samples(self):
        """List of contents."""

    def read(self, path):
        """Reads a file, or raises an InputError."""


class Keras(Kind):
    suffix = ".keras"

    def __init__(self, folder):
        from tfdeblur import models

        self.net, self.folder = models.build("deepdeblur", **TINY), folder

    def samples(self):
        self.net.save(self.folder / "whole.keras")
        return [(self.folder / "whole.keras").read_bytes()]

    def read(self, path):
        from tfdeblur import weights

        weights.load_network(path)


class H5(Keras):
    suffix = ".weights.h5"

    def samples(self):
        self.net.save_weights(self.folder / "whole.weights.h5")
        return [(self.folder / "whole.weights.h5").read_bytes()]

    def read(self, path):
        from tfdeblur import weights

        weights.load(self.net, path)


class Torch(Keras):
    """PyTorch's files: in zip archives."""

    suffix = ".pt"
    old_format = False

    def samples(self):
        sys.path.insert(0, str(TESTS))
        import torch_writer

        # As in the authors' release, of a network of one scale.
        shapes = {"body_models.0.body.0": (2, 3), "body_models.0.body.2": (3, 2)}
        shapes |= {f"body_models.0.body.1.body.{i}": (2, 2) for i in (0, 2)}
        state = {}
        for name, channels in shapes.items():
            state[f"{name}.weight"] = np.random.default_rng(0).random((*channels, 5, 5), "float32")
            state[f"{name}.bias"] = np.zeros(channels[0], "float32")
        made = []
        for protocol in (2, 4):
            torch_writer.write(self.folder / "whole.pt", state, self.old_format, protocol)
            made.append((self.folder / "whole.pt").read_bytes())
        return made

    def read(self, path):
        from tfdeblur import weights

        weights.import_network(path)


class OldTorch(Torch):
    """PyTorch's files before 1.6."""

    old_format = True


class Npz(Kind):
    """Checkpoints of a training."""

    suffix = ".npz"

    def __init__(self, folder):
        import keras

        from tfdeblur.training import checkpoints

        self.variables = [keras.Variable(np.zeros((3, 3)), "float32", name=x) for x in "abc"]
        trainer = types.SimpleNamespace(saved_variables=self.variables, optimizers=[])
        self.folder = folder / "checkpoints"
        self.make = functools.partial(checkpoints.Checkpoints, self.folder, trainer)

    def samples(self):
        buffer = io.BytesIO()
        arrays = {v.path: np.array(v) for v in self.variables}
        np.savez(buffer, **arrays)
        return [buffer.getvalue()]

    def read(self, path):
        self.folder.mkdir(exist_ok=True)
        os.replace(path, self.folder / "step_000000001.npz")
        self.make().restore()


class Mat(Kind):
    """Köhler's ground truth."""

    suffix = ".mat"

    def samples(self):
        import scipy.io

        frames = np.random.default_rng(0).integers(0, 256, (4, 4, 3, 2)).astype(np.uint8)
        made = []
        for compressed in (True, False):
            buffer = io.BytesIO()
            scipy.io.savemat(buffer, {"GroundTruth": frames}, do_compression=compressed)
            made.append(buffer.getvalue())
        return made

    def read(self, path):
        from tfdeblur.preparation import mat_files

        mat_files.read_frames(path.read_bytes(), path)


class Recipe(Kind):
    """What a training was, as --resume reads it."""

    suffix = ".json"

    def __init__(self, folder):
        self.settings = {"recipe": {"name": "quickstart", "steps": 100, "rates": [1e-4, 0.5]}}
        self.workdir = folder / "run"

    def samples(self):
        return [json.dumps({**self.settings, "versions": "tfdeblur 1"}, indent=2).encode()]

    def read(self, path):
        from tfdeblur.training import workdirs

        self.workdir.mkdir(exist_ok=True)
        (self.workdir / "model.keras").write_bytes(b"")
        os.replace(path, self.workdir / workdirs.RECIPE)
        workdirs.check(self.workdir, resume=True)
        workdirs.prepare(self.workdir, self.settings, overwrite=False)


class Scores(Kind):
    """scores.csv of an evaluation."""

    suffix = ".csv"

    def samples(self):
        from tfdeblur.evaluation import score_files

        header = ",".join(score_files._FIELDS)
        row = ",".join("x" if name in score_files._TEXTS else "1" for name in score_files._FIELDS)
        return [f"{header}\n{row}\n{row}\n".encode()]

    def read(self, path):
        from tfdeblur.evaluation import score_files

        score_files.read(path)


class Flax(Kind):
    """Checkpoints of MAXIM's authors."""

    suffix = ".npz"

    def samples(self):
        made = []
        for save in (np.savez, np.savez_compressed):
            buffer = io.BytesIO()
            save(buffer, **{f"opt/target/{name}/kernel": np.ones((3, 3, 4)) for name in "abc"})
            made.append(buffer.getvalue())
        return made

    def read(self, path):
        from tfdeblur.weights import flax_files

        for array in flax_files.read_arrays(path).values():
            np.asarray(array)


class TensorFlow1(Kind):
    """Checkpoints of SRN's and PSS-NSC's authors: the file of the numbers."""

    suffix = ".data-00000-of-00001"
    other = ".index"

    def __init__(self, folder):
        import tensorflow as tf

        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            tf.random.set_seed(0)
            for name in "abc":
                variable = tf.compat.v1.get_variable(f"g_net/{name}", (3, 3, 4), use_resource=False)
                session.run(variable.initializer)
            prefix = str(folder / "sound")
            tf.compat.v1.train.Saver().save(session, prefix, write_meta_graph=False)
        self.folder = folder

    def samples(self):
        return [(self.folder / f"sound{self.suffix}").read_bytes()]

    def read(self, path):
        from tfdeblur.weights import tf1_files

        prefix = path.with_name(path.name.removesuffix(self.suffix))
        beside = path.with_name(f"{prefix.name}{self.other}")
        beside.write_bytes((self.folder / f"sound{self.other}").read_bytes())
        try:
            tf1_files.read_variables(prefix)
        finally:
            beside.unlink()


class TensorFlow1Index(TensorFlow1):
    """Checkpoints of SRN's and PSS-NSC's authors: the file of the names."""

    suffix, other = TensorFlow1.other, TensorFlow1.suffix


class Zip(Kind):
    """A dataset's archive."""

    suffix = ".zip"

    def samples(self):
        from tfdeblur.io import images

        made, picture = [], images.encode_png(np.zeros((4, 4, 3), "uint8"))
        for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w", compression) as archive:
                for name in "abc":
                    archive.writestr(f"train/{name}.png", picture)
            made.append(buffer.getvalue())
        return made

    def read(self, path):
        from tfdeblur.preparation import archives

        for file in archives.find(archives.open_source(path), re.compile(r"([a-z])\.png")).values():
            file.read_image()


class Tar(Kind):
    """A dataset's archive that is unpacked."""

    suffix = ".tar"

    def samples(self):
        made = []
        for mode in ("w", "w:gz"):
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode=mode) as archive:
                for name in "abc":
                    entry = tarfile.TarInfo(f"train/{name}.png")
                    entry.size = 100
                    archive.addfile(entry, io.BytesIO(bytes(100)))
            made.append(buffer.getvalue())
        return made

    def read(self, path):
        from tfdeblur.preparation import builders

        unpacked = path.with_suffix("")
        try:
            builders._open(path).names()
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)


class Image(Kind):
    """Photographs; fuzz_images.py knows more of them."""

    suffix = ".png"

    def samples(self):
        from PIL import Image as pillow

        made = []
        pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), "uint8")
        for form in ("PNG", "JPEG", "TIFF", "WEBP", "BMP"):
            buffer = io.BytesIO()
            pillow.fromarray(pixels).save(buffer, form)
            made.append(buffer.getvalue())
        return made

    def read(self, path):
        from tfdeblur.io import photos

        photos.read(path)


class Video(Kind):
    """Videos, of which FFmpeg reads the header."""

    suffix = ".mp4"
    may_do = ("subprocess.Popen",)

    def __init__(self, folder):
        self.folder = folder

    def samples(self):
        from tfdeblur.io import ffmpeg

        path = self.folder / "sound.mp4"
        options = "-v error -f lavfi -i testsrc=size=32x32:rate=5:duration=1 -pix_fmt yuv420p"
        subprocess.run([ffmpeg.executable(), *options.split(), str(path)], check=True)
        return [path.read_bytes()]

    def read(self, path):
        from tfdeblur.io import ffmpeg

        ffmpeg.probe(path)


KINDS = {
    "keras": Keras,
    "h5": H5,
    "pt": Torch,
    "pt_old": OldTorch,
    "npz": Npz,
    "mat": Mat,
    "recipe": Recipe,
    "scores": Scores,
    "flax": Flax,
    "tf1": TensorFlow1,
    "tf1_index": TensorFlow1Index,
    "zip": Zip,
    "tar": Tar,
    "image": Image,
    "video": Video,
}

# ------------------------------------------------------------------------ mutations


def mutate(rng, content, other):
    """A file's content, changed; inside an archive in half of the cases."""
    if content[:2] == b"PK" and rng.random() < 0.6:
        return mutate_member(rng, content, other)
    change = MUTATIONS[rng.integers(len(MUTATIONS))]
    return bytes(change(rng, content, other)) if content else content


def mutate_member(rng, content, other):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    name = list(members)[rng.integers(len(members))]
    odd = rng.random()
    if odd < 0.05:
        del members[name]
    elif odd < 0.1:
        members["../outside.txt"] = b"x"
    elif odd < 0.8 and members[name][:1] == b"{":
        members[name] = mutate_json(rng, members[name])
    else:
        members[name] = mutate(rng, members[name], other)
    buffer = io.BytesIO()
    compression = zipfile.ZIP_DEFLATED if rng.random() < 0.1 else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return buffer.getvalue()


def mutate_json(rng, content):
    """Another value in place of one of those in it."""
    values = (None, True, -1, 0, 7, 4096, 2**40, 1e308, 0.5, "", "os", [], [1] * 9, {}, {"a": {}})
    tree = json.loads(content)
    spots = []

    def walk(node):
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            spots.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(tree)
    node, key = spots[rng.integers(len(spots))]
    node[key] = values[rng.integers(len(values))]
    if rng.random() < 0.2:
        del node[key]
    return json.dumps(tree).encode()


def cut(rng, content, _):
    return content[: rng.integers(len(content))]


def flip(rng, content, _):
    content = bytearray(content)
    for at in rng.integers(len(content), size=rng.integers(1, 10)):
        content[at] ^= 1 << rng.integers(8)
    return content


def number(rng, content, _):
    """An absurd number of 4 or 8 bytes somewhere, in the beginning more often."""
    content = bytearray(content)
    limit = min(len(content), 512) if rng.random() < 0.4 else len(content)
    at = rng.integers(limit)
    size = 4 * int(rng.integers(1, 3))
    content[at : at + size] = NUMBERS[rng.integers(len(NUMBERS))].to_bytes(size, "little")
    return content


def overwrite(rng, content, _):
    start = rng.integers(len(content))
    length = min(rng.integers(1, 64), len(content) - start)
    return content[:start] + rng.bytes(length) + content[start + length :]


def insert(rng, content, _):
    start = rng.integers(len(content))
    return content[:start] + rng.bytes(rng.integers(1, 50)) + content[start:]


def repeat(rng, content, _):
    start, end = sorted(rng.integers(len(content), size=2))
    return content[:end] + content[start:end] + content[end:]


def mix(rng, content, other):
    return content[: rng.integers(len(content))] + other[rng.integers(len(other)) :]


MUTATIONS = (cut, flip, flip, flip, number, number, number, overwrite, insert, repeat, mix)

# ------------------------------------------------------------------------ the process that reads


def read_all(kind, folder, start, limits):
    """Reads files of a kind, and tells of each on a line of standard output: a JSON list.

    Args:
        limits: a `Limits`.
    """
    from tfdeblur.errors import InputError

    warnings.simplefilter("ignore")
    door = KINDS[kind](folder)
    samples = door.samples()
    for content in samples:  # what reading needs is loaded before it is limited
        path = folder / f"whole{door.suffix}"
        path.write_bytes(content)
        door.read(path)
    limit = memory("VmSize") + int(limits.gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    sys.addaudithook(watch(folder, FORBIDDEN - set(door.may_do)))
    before = memory("VmHWM")
    for index in range(start, limits.count):
        rng = np.random.default_rng([limits.seed, list(KINDS).index(kind), index])
        content, other = (samples[rng.integers(len(samples))] for _ in range(2))
        path = folder / f"{index}{door.suffix}"
        changed = mutate(rng, content, other)
        path.write_bytes(changed)
        say("begin", index)
        signal.alarm(limits.seconds)
        began, seen, what, message = time.process_time(), list(SEEN), "read", ""
        try:
            door.read(path)
        except InputError as error:
            what, message = "refused", str(error)
            if not message.isprintable() or str(folder) not in message:
                what = "FAILED"
        except Exception as error:
            what, message = "FAILED", f"{type(error).__name__}: {error}"
        signal.alarm(0)
        if len(SEEN) > len(seen):
            what, message = "FAILED", f"did {SEEN[-1]}"
        if what == "FAILED":
            path.write_bytes(changed)
        say(what, index, time.process_time() - began, message[:300])
        if what != "FAILED":
            path.unlink(missing_ok=True)
    say("end", limits.count, (memory("VmHWM") - before) / 2**20)


SEEN = []  # what should not have happened


def watch(folder, forbidden):
    """An audit hook that notes programs, connections, and files written elsewhere."""
    allowed = (str(folder), tempfile.gettempdir(), "/dev/null")

    def hook(event, arguments):
        if event in forbidden:
            SEEN.append(event)
        elif event == "open" and isinstance(arguments[0], str):
            flags_ = arguments[2] or 0
            writes = isinstance(flags_, int) and flags_ & (os.O_WRONLY | os.O_RDWR)
            if writes and not os.path.abspath(arguments[0]).startswith(allowed):
                SEEN.append(f"open {arguments[0]}")

    return hook


def say(*what):
    print(json.dumps(what), flush=True)


def memory(name):
    """Of this process, in bytes: "VmSize", "VmHWM"."""
    status = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{name}:\s+(\d+)", status)[1])


# ------------------------------------------------------------------------ the process that watches


@dataclasses.dataclass(frozen=True)
class Limits:
    """How many files are read, drawn how, within what; see the flags."""

    count: int
    seed: int
    gigabytes: float
    seconds: int


def child(kind, folder, start, limits):
    """The process that reads: it leaves what it prints in the folder's files "out" and "err"."""
    os.chdir(folder)
    tempfile.tempdir = str(folder)
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / name, os.O_WRONLY), stream)
    read_all(kind, folder, start, limits)


def fuzz(kind, limits):
    """Prints a line about a kind; returns the number of failures."""
    count = limits.count
    results, slowest, peak, at, deaths = collections.Counter(), (0, -1), 0, 0, 0
    with tempfile.TemporaryDirectory(prefix="fuzz_") as folder:
        folder = pathlib.Path(folder)
        stray = folder.parent / "outside.txt"  # where a member of an archive points
        was_there = stray.exists()
        while at < count:
            for name in ("out", "err"):
                (folder / name).write_text("")
            process = SERVER.Process(target=child, args=(kind, folder, at, limits))
            process.start()
            process.join()
            out, err = ((folder / name).read_text(errors="replace") for name in ("out", "err"))
            for line in out.splitlines():
                if not line.startswith('["'):
                    continue
                what, index, *rest = json.loads(line)
                at = index + (what != "begin") if what != "end" else count
                if what == "end":
                    peak = max(peak, rest[0])
                elif what != "begin":
                    results[what] += 1
                    slowest = max(slowest, (rest[0], index))
                if what == "FAILED":
                    print(f"FAILED {keep(folder, index)}: {rest[1]}")
            if at < count:  # it died
                results["FAILED"] += 1
                deaths += 1
                last = err.strip()[-300:]
                print(f"FAILED {keep(folder, at)}: exit status {process.exitcode} {last}")
                at += 1
                if deaths > 20:
                    print(f"{kind}: given up")
                    break
        if stray.exists() and not was_there:
            results["FAILED"] += 1
            print(f"FAILED: {stray} was written")
    print(
        f"{kind:7} read {results['read']:5}  refused {results['refused']:5}  "
        f"failed {results['FAILED']:3}  slowest {slowest[0]:.2f} s (file {slowest[1]})  "
        f"memory +{peak:.0f} MiB"
    )
    return results["FAILED"] + count - min(at, count)


def keep(folder, index):
    """A copy of a file that failed, outside the folder that goes."""
    found = sorted(pathlib.Path(folder).glob(f"{index}.*"))
    if not found:
        return f"file {index}"
    kept = pathlib.Path(tempfile.gettempdir(), f"fuzz_failed_{found[0].name}")
    kept.write_bytes(found[0].read_bytes())
    return kept


def main(_):
    os.environ["OMP_NUM_THREADS"] = "1"
    # The readers are forks of a process that has imported what takes long.
    SERVER.set_forkserver_preload(["tfdeblur.models", "tfdeblur.weights", "scipy.io"])
    limits = Limits(FLAGS.count, FLAGS.seed, FLAGS.gigabytes, FLAGS.seconds)
    failures = sum(fuzz(kind, limits) for kind in FLAGS.kinds)
    print(f"{FLAGS.count} files of each of {len(FLAGS.kinds)} kinds, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    flags.DEFINE_integer("count", 500, "Files of each kind.")
    flags.DEFINE_list("kinds", list(KINDS), f"Of {', '.join(KINDS)}.")
    flags.DEFINE_integer("seed", 0, "Of the mutations.")
    flags.DEFINE_float("gigabytes", 1.0, "Of address space above that at the start.")
    flags.DEFINE_integer("seconds", 10, "For each file.")
    app.run(main)
