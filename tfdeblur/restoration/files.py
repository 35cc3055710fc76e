"""Restoring files and folders: what goes where, what is refused, and that the rest goes on.

Nothing here imports Keras, so that mistakes are answered at once.
"""

import collections
import contextlib
import copy
import dataclasses
import filecmp
import glob
import hashlib
import itertools
import os
import pathlib
import sys
import time

import numpy as np
import tqdm

from tfdeblur import errors
from tfdeblur.errors import InputError, NotFiniteError, did_you_mean
from tfdeblur.io import animations, ffmpeg, images, photos, raw
from tfdeblur.restoration import harm

SUFFIXES = photos.SUFFIXES + ffmpeg.VIDEO_SUFFIXES
# Of other images and videos, which a search counts and leaves out.
_OTHERS = (
    *(".3fr", ".avifs", ".bpg", ".crw", ".dds", ".dib", ".exr", ".hdr", ".heics", ".ico", ".iiq"),
    *(".insp", ".j2k", ".jp2", ".jpf", ".jps", ".jpx", ".kdc", ".mpo", ".mrw", ".pbm", ".pcx"),
    *(".pnm", ".psb", ".psd", ".raw", ".rwl", ".svg", ".tga", ".thm", ".x3f"),
    *(".3g2", ".asf", ".divx", ".dv", ".f4v", ".flv", ".insv", ".lrv", ".m2p", ".m2v", ".mpe"),
    *(".mxf", ".ogm", ".ogv", ".vob"),
)
# Where network drives and cameras keep what they made of the photographs.
_THUMBNAILS = ("@eaDir", ".@__thumb", "#recycle", "@Recycle", "$RECYCLE.BIN")
_DEVELOPED = ".tif"  # what is made of raw photographs, unless another format is wanted
_SECONDS_BETWEEN_LINES = 30  # of progress, where there is no terminal
_COARSEST = 2 * 10**9  # nanoseconds, to which FAT rounds times
_LONGEST_NAME = 255  # bytes, on most disks
_HEAD = 16  # bytes that tell images
_TRANSPORT_STREAM = b"G"  # begins a video called .ts; others of this name are programs
# Below the output folder, where --compare puts its pictures.
COMPARE = "compare"
DONE = ".tfdeblur_done"  # in the output folder
LINKED_FOLDERS = "linked folders"  # as `left_out` counts them


@dataclasses.dataclass(frozen=True)
class Job:
    """One image or video to restore.

    Attributes:
        source, target: the files to read and to write.
        compared: where the picture of before and after goes, of several images that of the first;
            None for none.
        problem: why there is nothing to restore: the input does not exist, say.
        converted: whether a format was asked for, which the target's suffix names.
    """

    source: pathlib.Path
    target: pathlib.Path
    compared: pathlib.Path | None = None
    problem: str = ""
    converted: bool = False


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How many files were restored, had been before, and failed."""

    restored: int
    skipped: int
    failed: int


class Done:
    """What earlier runs have restored into a folder, and how: the lines of a hidden file in it.

    Args:
        folder: where the files are written.
        how: what decides about the result, the network say: any words.
        stand_in: how it is where something else stands in, whose results may be replaced; or None.
    """

    def __init__(self, folder, how, stand_in=None):
        self.folder = pathlib.Path(folder)
        self.how = _short(how)
        self.stand_in = stand_in and _short(stand_in)
        self.standing_in = False
        self.found = {}
        with contextlib.suppress(InputError), images.open_regular(self.folder / DONE) as file:
            for line in file.read().decode(errors="replace").splitlines():
                how, _, name = line.partition(" ")
                self.found[name] = how

    def by_stand_in(self):
        """The same for a run in which what stands in does the work."""
        other = copy.copy(self)
        other.how, other.standing_in = self.stand_in, True
        return other

    def lists(self, target):
        return self._name(target) in self.found

    def knows(self, target):
        how, _, _ = self.found.get(self._name(target), "").partition(":")
        return how == self.how

    def may_replace(self, target):
        """Whether something stood in when the target was restored, and nobody has changed it."""
        how, _, digest = self.found.get(self._name(target), "").partition(":")
        return bool(digest) and how == self.stand_in and digest == _digest(target)

    def add(self, target):
        """Without a word where it cannot be written: then the file is restored once more."""
        how = f"{self.how}:{_digest(target)}" if self.standing_in else self.how
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        with contextlib.suppress(OSError):
            number = os.open(self.folder / DONE, flags, 0o666)
            with open(number, "a", encoding="utf-8") as file:
                file.write(f"{how} {self._name(target)}\n")
        self.found[self._name(target)] = how

    def _name(self, target):
        return ascii(os.path.relpath(target, self.folder))  # in one line, whatever it is


def _short(how):
    return hashlib.sha256(how.encode()).hexdigest()[:16]


def _digest(path):
    """Of a file's content; "" where it cannot be read."""
    with contextlib.suppress(OSError, ValueError), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return ""


def plan(
    inputs,
    output,
    suffix="",
    format="",
    overwrite=False,
    compare=False,
    follow_links=False,
    left_out=None,
):
    """Decides what goes where, before anything is restored.

    Args:
        inputs: image and video files, folders (searched recursively; the output folder is left
            out), and patterns of `glob` ("**" for folders of any depth).
        output: a folder; or, for a single input file, the file to write if its suffix is one of
            `SUFFIXES`.
        suffix: appended to each file's stem: "_restored" makes a.jpg a_restored.jpg.
        format: such as "png": that of all restored images; or such as "mp4": that of all
            restored videos. The others, and all where it is "", keep theirs.
        overwrite: whether a file may be replaced by its own restored version.
        compare: whether pictures of before and after are wanted, below `output`/compare.
        follow_links: whether folders that links point to are searched too.
        left_out: collections.Counter that gets how many of each kind searches leave out, or None.

    Returns:
        list of Job, each source once. An input that does not exist, beside others that do, is a Job
        with a problem.

    Raises:
        InputError: no input exists; one would be overwritten; two would go to one file; there is
            nothing to restore; or `output` or `format` does not fit the inputs.
    """
    if not inputs:
        raise InputError("no input: name images, videos or folders, such as `tfdeblur photo.jpg`.")
    if not all(map(str, inputs)):  # to pathlib it would be the current folder
        raise InputError("an input is empty, as of a shell's variable that is not set: name files.")
    if not str(output):
        raise InputError("`output=` is empty: name a folder; . is the one that you are in.")
    if pathlib.PurePath(suffix).name != suffix:
        raise InputError(f"`suffix={suffix}` goes to the end of names: it cannot hold a folder.")
    output = pathlib.Path(output)
    kind = format and "." + format.lower().removeprefix(".")
    if kind and kind not in SUFFIXES:
        raise InputError(f"`format={kind[1:]}`: choose {_listed(SUFFIXES)}.")
    given, missing = [], []
    for pattern in inputs:
        try:
            given += _expanded(pattern)
        except InputError as error:
            missing.append(Job(pathlib.Path(pattern), output, problem=str(error)))
    if not given:
        raise InputError(missing[0].problem)
    formats = SUFFIXES + animations.SUFFIXES
    to_file = output.suffix.lower() in formats and not output.is_dir()
    if to_file and (len(inputs) > 1 or len(given) > 1 or given[0][0].is_dir()):
        raise InputError(f"`output={output}` is one file, for one input file: name a folder.")
    if to_file and (suffix or kind):
        named = f"`suffix={suffix}`" if suffix else f"`format={kind[1:]}`"
        raise InputError(f"{named} is for folders, but `output={output}` is a file.")
    if not to_file and output.exists() and not output.is_dir():
        raise InputError(f"`output={output}` is a file: name a folder.")
    unknown = output.suffix.lower() not in ("", *formats) and not output.exists()
    if unknown and (hint := did_you_mean(output.suffix, SUFFIXES)):
        raise InputError(
            f"`output={output}`: {output.suffix} is no format that can be written.{hint} If a "
            "folder is meant, make it first."
        )
    jobs = {}
    left_out = collections.Counter() if left_out is None else left_out
    for path, root in given:
        for source in _sources(path, root, output, follow_links, left_out):
            place = pathlib.Path(source.relative_to(root))
            ending = _suffix(source, kind)
            place = place.with_name(place.stem + suffix + ending)
            target = output if to_file else output / place
            folder = output.parent if to_file else output
            compared = folder / COMPARE / _compared(place, target) if compare else None
            job = Job(source, target, compared, converted=bool(kind) and ending == kind)
            jobs.setdefault(os.path.realpath(source), job)
    if not jobs:
        raise InputError(f"no image or video ({_listed(SUFFIXES)}) in {', '.join(inputs)}.")
    _refuse_collisions(jobs.values(), overwrite)
    return [*missing, *jobs.values()]


def check(job, overwrite=False, done=None):
    """Tells what is wrong with a job, as far as names and headers say.

    Args:
        job: of `plan`.
        overwrite: whether a target that exists may be replaced.
        done: `Done`, which knows what may be replaced anyhow; or None.

    Returns:
        str, what is to be restored: "1280x720 pixels".

    Raises:
        InputError: the target exists and `overwrite` is not given, cannot be written, its format
            cannot be written or is of the other kind, or the source cannot be read.
    """
    if job.problem:
        raise InputError(job.problem)
    if os.path.lexists(job.target):
        if not overwrite and not _is_copy(job) and not (done and done.may_replace(job.target)):
            how = ", restored by another network or with other options" * _same_time(job)
            raise InputError(f"{job.target} exists{how}: give `overwrite=True` to replace it.")
        ours = done and done.lists(job.target) and _same_time(job)
        if not (ours and _is_read_only(job.source)):  # from which it has that
            _refuse_read_only(job.target)
    _refuse_compared(job, overwrite, done)
    for path in filter(None, (job.target, job.compared)):
        _refuse_unwritable(path)
    if _is_video(job.source):
        if not _is_video(job.target):
            raise InputError(f"{job.source} is a video: name one, not {job.target}.")
        from tfdeblur.io import videos

        count, (width, height) = videos.frame_count(job.source)
        return f"{count} frames of {width}x{height} pixels"
    several = animations.find(job.source, job.target)
    if several:
        count, (width, height) = several
        return f"{count} images of {width}x{height} pixels"
    if job.target.suffix.lower() in photos.SUFFIXES:
        photos.check_suffix(job.target)
    elif not (_has_same_suffix(job) and photos.can_stay(job.source)):  # under a wrong name, say
        raise InputError(
            f"{job.source}: cannot write {job.target.suffix or 'a file without suffix'}; name a "
            "file that ends in .png, or give `format=png`."
        )
    width, height = photos.size(job.source)
    return f"{width}x{height} pixels"


def _refuse_compared(job, overwrite, done):
    """A picture of before and after replaces nothing but such a picture."""
    there = job.compared and os.path.lexists(job.compared)
    if there and not overwrite and not (done and done.lists(job.compared)):
        raise InputError(f"{job.compared} exists: give `overwrite=True` to replace it.")


def is_done(job, done=None):
    """Whether an earlier run wrote the target, and the source is as it was then.

    What is restored has the time of change of its source, and not its content.

    Args:
        job: of `plan`.
        done: `Done`, which knows how it was restored; None: that does not matter.
    """
    apart = _COARSEST if done and done.lists(job.target) else 0
    if job.problem or not _same_time(job, apart) or _is_copy(job):
        return False
    return done is None or done.knows(job.target)


def _same_time(job, apart=0):
    try:
        before, after = os.stat(job.source), os.stat(job.target)
    except (OSError, ValueError):
        return False
    close = abs(before.st_mtime_ns - after.st_mtime_ns) <= apart
    return close and not os.path.samestat(before, after)


def _has_same_suffix(job):
    return job.source.suffix.lower() == job.target.suffix.lower()


def _is_in_place(job):
    return _identity(job.source) == _identity(job.target)


def _is_copy(job):
    """Whether the target is another file with the source's content: nothing is lost with it."""
    try:
        if os.path.islink(job.target) or os.path.samefile(job.source, job.target):
            return False
        filecmp.clear_cache()  # it goes by size and time, and what is restored keeps the time
        return filecmp.cmp(job.source, job.target, shallow=False)
    except (OSError, ValueError):
        return False


def restore_files(
    jobs, restore, overwrite=False, quality=95, fallback=False, done=None, kernel=None
):
    """Restores file after file; one that fails is reported on stderr, and the rest go on.

    What an earlier run has done, see `is_done`, is skipped, unless `overwrite` is given.

    Args:
        jobs: of `plan`.
        restore: function of an image, uint8 or uint16 [H, W, 3], and of a function that it calls
            with the share done, or None; returns the restored image, of the same type and shape.
        overwrite: replace targets that exist; otherwise they count as failures.
        quality: of JPEG, WebP, AVIF and HEIC.
        fallback: keep the input where restoring seems to have done harm, see `harm.find`, or gave
            values that are not finite. Otherwise harm is only said.
        done: see `is_done`; it gets what is restored.
        kernel: function that returns the blur kernel, [h, w], by which `restore` has restored the
            last image, for pictures of before and after; or None.

    Returns:
        Outcome.

    Raises:
        KeyboardInterrupt: as it was raised, when it has been said how many were done.
    """
    failures = skipped = 0
    # Shares of files: one large file has progress, too.
    layout = "{l_bar}{bar}| {n:.1f}/{total} files [{elapsed}<{remaining}]"
    with tqdm.tqdm(total=len(jobs), disable=None, bar_format=layout) as bar:
        progress = _Progress(bar)
        for count, job in enumerate(jobs):
            progress.advance(count)
            bar.set_description(errors.printable(job.source.name))
            try:
                if not overwrite and is_done(job, done):
                    if kernel is None:  # which would be missing in the picture
                        _compare_afterwards(job, done)
                    skipped += 1
                    continue
                restore_file(
                    job,
                    restore,
                    overwrite,
                    quality,
                    fallback,
                    done,
                    lambda share, n=count: progress.advance(n + share),
                    kernel,
                )
            except KeyboardInterrupt:
                bar.close()
                restored = count - failures - skipped
                print(f"\n{restored} of {len(jobs)} files were restored before.", file=sys.stderr)
                raise
            except Exception as error:
                error = explained(job, error)
                with tqdm.tqdm.external_write_mode(file=sys.stderr):
                    errors.say_error(error)
                failures += 1
        bar.update(len(jobs) - bar.n)
    return Outcome(len(jobs) - failures - skipped, skipped, failures)


def restore_file(
    job,
    restore,
    overwrite=False,
    quality=95,
    fallback=False,
    done=None,
    progress=None,
    kernel=None,
):
    """Restores one file; arguments as for `restore_files`, `progress` as for `restore`.

    Raises:
        InputError: see `check`; or it cannot be read, restored or written.
    """
    check(job, overwrite, done)
    harmless = _Harmless(restore, fallback)
    with errors.about(job.source):
        _restore_file(job, harmless, quality, progress, kernel)
    harmless.tell(job.target)
    if done and not _is_in_place(job):
        for path in filter(None, (job.target, job.compared)):
            done.add(path)


def explained(job, error):
    """The InputError that tells of a file's failure; other errors are raised: they are ours."""
    if errors.is_out_of_memory(error):
        return InputError(f"{job.source}: {errors.OUT_OF_MEMORY}")
    if not isinstance(error, InputError):
        raise error
    return error


def _expanded(pattern):
    """(path, the folder below which its place is kept) of each file or folder that is meant."""
    path = pathlib.Path(pattern)
    if os.path.lexists(path):  # a link to nowhere, too: it fails alone
        return [(path, path if path.is_dir() else path.parent)]
    if not glob.has_magic(pattern):
        raise InputError(f"{pattern} does not exist: name an image, a video or a folder.")
    found = sorted(glob.glob(pattern, recursive=True))
    if not found:
        raise InputError(f"{pattern} matches no file.")
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), path.parts)
    root = pathlib.Path(*fixed)
    return [(pathlib.Path(name), root) for name in found]


def _sources(given, root, output, follow_links, left_out):
    """The files below an input; not those that an earlier run restored into a folder inside it.

    The output folder may also be the input, of a shell's `*` say: then what is listed in it is not.
    """
    found = _search(given, follow_links, left_out) if given.is_dir() else [given]
    # Unlike Path.resolve, realpath does not stop at links in circles.
    whole, written = (pathlib.Path(os.path.realpath(path)) for path in (root, output))
    if whole == written and given.is_dir():
        done = Done(output, "")
        return [path for path in found if not done.lists(output / path.relative_to(given))]
    inside = whole in written.parents
    return [
        path
        for path in found
        if not (inside and written in pathlib.Path(os.path.realpath(path)).parents)
    ]


def _search(folder, follow_links, left_out):
    """Images and videos, sorted, links behind the rest: of a file and its link, the file counts."""

    def unreadable(error):
        left_out["folders that cannot be read"] += 1

    found = []
    for root, folders, names in images.walk(folder, follow_links, unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        left_out["folders of thumbnails and waste"] += sum(x in _THUMBNAILS for x in folders)
        folders[:] = [name for name in folders if name not in _THUMBNAILS]
        if not follow_links:
            links = [name for name in folders if os.path.islink(os.path.join(root, name))]
            left_out[LINKED_FOLDERS] += len(links)
        for name in names:
            path = pathlib.Path(root, name)
            suffix = path.suffix.lower()
            if suffix == ".ts" and not _is_transport_stream(path):
                continue
            if name.startswith("."):
                left_out["hidden files"] += suffix in SUFFIXES
                continue
            if suffix in SUFFIXES + animations.SUFFIXES + raw.SUFFIXES:
                found.append(path)
            elif suffix in _OTHERS:
                left_out[f"{suffix} files"] += 1
            elif not suffix:
                left_out["images without a suffix"] += _is_image(path)
    return sorted(found, key=lambda path: (path.is_symlink(), path))


def _is_transport_stream(path):
    try:
        with images.open_regular(path, limit=2**63) as file:
            return file.read(1) == _TRANSPORT_STREAM
    except InputError:
        return True  # what is wrong with it is told in its turn


def _is_image(path):
    with contextlib.suppress(InputError), images.open_regular(path) as file:
        return images.usual_suffix(file.read(_HEAD)) != ""
    return False


def _compared(place, target):
    """The place of a picture of both: of a.png a.png.jpg, of a.jpg a.jpg."""
    if target.suffix.lower() in (".jpg", ".jpeg"):
        return place.with_name(target.name)
    end = target.suffix + ".jpg"
    stem = target.stem
    while len(os.fsencode(stem + end)) > _LONGEST_NAME:
        stem = stem[:-1]
    return place.with_name(stem + end)


def _suffix(source, kind):
    if raw.is_raw(source):  # beside which the camera has often put a.jpg
        image_kind = kind if kind in photos.SUFFIXES else _DEVELOPED
        return source.suffix + image_kind
    same_sort = _is_video(source) == (kind in ffmpeg.VIDEO_SUFFIXES)
    return kind if kind and same_sort else source.suffix


def _is_video(path):
    return path.suffix.lower() in ffmpeg.VIDEO_SUFFIXES


def _listed(names):
    return ", ".join(name.removeprefix(".") for name in names)


def _refuse_collisions(jobs, overwrite):
    """No file is written that is an input, under whatever name, or that another job writes."""
    inputs = {_identity(job.source): job.source for job in jobs}
    written = {}
    for job in jobs:
        for target in filter(None, (job.target, job.compared)):
            identity = _identity(target)
            other = identity and inputs.get(identity)
            if other and not (overwrite and other == job.source and target == job.target):
                raise InputError(
                    f"`output` would overwrite the input {other}: name another folder, or give "
                    "`suffix=_restored`; `overwrite=True` replaces inputs by what is restored."
                )
            if target in written:
                raise InputError(
                    f"{written[target].source} and {job.source} would both go to {target}: restore "
                    "them one after the other, with different `output`."
                )
            written[target] = job


def _identity(path):
    """None where there is no file, or none that can be reached."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


class _Progress:
    """How far the files are: a bar, or lines now and then where there is no terminal for one."""

    def __init__(self, bar):
        self.bar = bar
        self.told = time.monotonic()

    def advance(self, position):
        """position: how many files are done, and the share of the next one: 3.4."""
        self.bar.update(position - self.bar.n)
        if self.bar.disable and time.monotonic() - self.told > _SECONDS_BETWEEN_LINES:
            self.told = time.monotonic()
            done, share = divmod(position, 1)
            begun = f", and {share:.0%} of the next" if share else ""
            errors.say(f"{done:.0f} of {self.bar.total} files are done{begun}.")


def _restore_file(job, restore, quality, progress, kernel):
    """Restores one file, and says what of it is not kept."""

    def show(before, after):
        from tfdeblur.io import comparisons

        if job.compared:
            comparisons.before_and_after(job.compared, before, after, kernel and kernel())

    others = _other_names(job.target)
    if _is_video(job.source):
        from tfdeblur.io import videos

        lost = videos.restore(job.source, job.target, lambda x: restore(x, None), progress, show)
    elif animations.find(job.source, job.target):
        lost = animations.restore(
            job.source, job.target, lambda x: restore(x, None), quality, progress, show
        )
    else:
        photo = photos.read(job.source)
        there = os.path.lexists(job.target)
        try:
            restored = dataclasses.replace(photo, pixels=restore(photo.pixels, progress))
        except InputError as error:
            raise InputError(f"{job.source}: {error}") from error
        # A file's content says what it is, and so what it stays, unless a format was asked for.
        form = photo.format if _has_same_suffix(job) and not job.converted else None
        if not there:  # restoring may have taken minutes
            images.refuse_new(job.target)
        left = photos.write(job.target, restored, quality, form=form, like=job.source)
        show(photo.pixels, restored.pixels)
        lost = [*photo.lost, *filter(None, [left])]
    if lost:
        _note(f"{job.target} leaves out of {job.source.name}: {', '.join(lost)}.")
    if others:
        _note(f"{job.target} had {others} other names (hard links), which keep the old version.")


def _compare_afterwards(job, done):
    """The picture of before and after of an image that an earlier run has restored without it."""
    if not job.compared or _is_newer(job.compared, job.target) or _is_video(job.source):
        return
    _refuse_compared(job, False, done)
    from tfdeblur.io import comparisons

    several = animations.find(job.source, job.target)
    read = animations.read_first if several else lambda path: photos.read(path).pixels
    before, after = map(read, (job.source, job.target))
    if (before.dtype, after.dtype) == (np.uint16, np.uint8):
        before = images.to_eight_bits(before)
    if before.shape == after.shape:
        comparisons.before_and_after(job.compared, before, after)
        if done:
            done.add(job.compared)


def _is_newer(picture, restored):
    """Whether a picture of before and after was made since, going by what `utime` cannot change."""
    try:
        return os.lstat(picture).st_ctime_ns >= os.stat(restored).st_ctime_ns
    except OSError:
        return False


class _Harmless:
    """`restore`, but what it does to an image is measured, and undone where that is wanted."""

    def __init__(self, restore, fallback):
        self.restore = restore
        self.fallback = fallback
        self.images = 0
        self.shares = []  # of the images where harm was found
        self.kinds = {}

    def __call__(self, image, progress):
        self.images += 1
        try:
            restored = self.restore(image, progress)
        except NotFiniteError:
            if not self.fallback:
                raise
            self._note(1, ["values that are not finite"])
            return image
        except Exception as error:
            # Readers and writers, inside which it may run, would blame the file.
            if errors.is_out_of_memory(error):
                raise MemoryError from error
            raise
        found = harm.find(image, restored)
        if not found:
            return restored
        self._note(found.share, found.kinds)
        return found.undo(image, restored) if self.fallback else restored

    def _note(self, share, kinds):
        self.shares.append(share)
        self.kinds |= dict.fromkeys(kinds)

    def tell(self, name):
        if not self.shares:
            return
        frames = f"in {len(self.shares)} of {self.images} frames, " if self.images > 1 else ""
        done = "the input was kept there" if self.fallback else "`fallback` keeps the input there"
        _note(
            f"{name} may be worse than its input: {frames}{max(self.shares):.1%} of it show "
            f"{', '.join(self.kinds)}; {done}."
        )


def _note(text):
    with tqdm.tqdm.external_write_mode(file=sys.stderr):
        errors.say(f"note: {text}", file=sys.stderr)


def _other_names(path):
    try:
        return os.stat(path).st_nlink - 1
    except OSError:
        return 0


def _is_read_only(path):
    try:
        return not os.stat(path).st_mode & 0o222
    except OSError:  # reading or writing will tell
        return False


def _refuse_read_only(path):
    if _is_read_only(path):
        raise InputError(f"{path} is read-only: make it writable first, if it is to go.")


def _refuse_unwritable(path):
    """No file can be written there: its folder is none, or refuses, or its name is too long."""
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise InputError(
            f"{path.name} is longer than a name of {_LONGEST_NAME} bytes: shorten `suffix`, or "
            "rename the input."
        )
    # As `images.replacing`, which leaves links in their place.
    folder = pathlib.Path(os.path.realpath(path) if os.path.islink(path) else path).parent
    there = folder
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not os.path.isdir(there):
        raise InputError(f"cannot write into {folder}: {there} is no folder that can be reached.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(
            f"cannot write into {there}: permission denied; name another folder with `output`."
        )
