"""What the dataset builders share: where their files lie, and many cores or machines to work on."""

import collections
import concurrent.futures
import contextlib
import itertools
import pathlib
import re
import tarfile
import tempfile
from os import cpu_count

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import downloader

from tfdeblur.errors import InputError, reason
from tfdeblur.io import images
from tfdeblur.preparation import archives

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")


class ParallelBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A builder whose examples are independent of each other.

    It makes them on the threads of this machine or, if `beam_runner` or `beam_options` are set in
    its `tfds.download.DownloadConfig` (`tfds build --beam_pipeline_options=...`), on Apache Beam.
    The examples are the same, and only a few are in memory at a time.
    """

    _on_beam = False

    def _download_and_prepare(self, dl_manager, download_config):
        self._on_beam = bool(download_config.beam_runner or download_config.beam_options)
        super()._download_and_prepare(dl_manager, download_config)

    def examples(self, make, jobs, expand=None):
        """What `_generate_examples` returns: `make(job)` for each job, in any order.

        Args:
            make: function of a job; returns (key, example). Beam has to pickle it: a function of
                a module, or a `functools.partial` of one.
            jobs: iterable of what describes an example; small, and can be pickled.
            expand: function that turns one of `jobs` into an iterable of those that `make` takes,
                which may then be large; None where `jobs` are these already.
        """
        if not self._on_beam:
            if expand:
                jobs = itertools.chain.from_iterable(map(expand, jobs))
            return map_on_all_cores(make, jobs)
        import apache_beam as beam

        # Create gives all elements to one worker; Reshuffle spreads them.
        jobs = beam.Create(jobs) | beam.Reshuffle()
        if expand:
            jobs = jobs | beam.FlatMap(expand)
        return jobs | beam.Map(make)


def map_on_all_cores(function, arguments):
    """Like `map`, in the same order, with threads; at most two results per core are in memory.

    NumPy, Pillow and zlib release Python's lock while they work on large arrays. Processes would
    want a main guard in the script that loads the dataset, and a TensorFlow in each.
    """
    cores = cpu_count() or 1
    with concurrent.futures.ThreadPoolExecutor(cores) as pool:
        pending = collections.deque()
        try:
            for argument in arguments:
                pending.append(pool.submit(function, argument))
                if len(pending) == 2 * cores:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:  # after an error or Ctrl-C, start nothing more
            for future in pending:
                future.cancel()


def png():
    """The feature of an image of any size, kept as the PNG bytes that its authors published."""
    return tfds.features.Image(shape=(None, None, 3), dtype=np.uint8, encoding_format="png")


def find_manually(dl_manager, pattern, *names):
    """Finds files that the user has put in the manual directory.

    Looks in the folders and archives of these names there, one after the other, then in the manual
    directory itself, and stops where something matches. Tar archives are extracted.

    Args:
        dl_manager: of `_split_generators`; the builder has to set `MANUAL_DOWNLOAD_INSTRUCTIONS`.
        pattern: see `archives.find`.
        *names: of archives, without suffix, and of extracted folders.

    Returns:
        What `archives.find` returns; empty where nothing matches.

    Raises:
        InputError: as `archives.find`.
    """
    try:
        manual_dir = pathlib.Path(dl_manager.manual_dir)
    except AssertionError:  # there is none, or it is empty
        return {}
    paths = [manual_dir / (name + suffix) for name in names for suffix in ("", *_ARCHIVES)]
    for path in filter(lambda path: path.exists(), [*paths, manual_dir]):
        found = archives.find(_open(path), pattern)
        if found:
            return found
    return {}


def find_pairs(dl_manager, folder, *names):
    """Finds pairs that the user has put in the manual directory, in the layout of most copies.

    That is `folder/split/input/x.png` beside `folder/split/target/x.png`, as the authors of MPRNet
    repackaged several datasets. The split may also come first; without one it is the test split.
    The folders may also be called blur and sharp or gt, and the files blur_x.png and gt_x.png.

    Args:
        dl_manager: see `find_manually`.
        folder: the folder's name, a regular expression without groups.
        *names: see `find_manually`.

    Returns:
        dict from split, "train" or "test", to dict from name, "x", to (blurry, sharp) `File`s.

    Raises:
        InputError: an image has no partner; or as `archives.find`.
    """
    pattern = re.compile(
        rf"(?:(train|test)/)?{folder}/(?:(train|test)/)?(input|blur|target|sharp|gt)/(.+)\.png"
    )
    splits = collections.defaultdict(lambda: ({}, {}))
    for (above, below, kind, path), file in find_manually(dl_manager, pattern, *names).items():
        files = splits[above or below or "test"][kind in ("target", "sharp", "gt")]
        name = re.sub(r"(?<![^/_-])(?:blur|gt)_", "", path)
        if name in files:
            raise InputError(f"{files[name]} and {file} are both the same image: remove one.")
        files[name] = file
    return {split: _pair(*files) for split, files in splits.items()}


def _pair(blurry, sharp):
    select(sharp, blurry, f"the sharp images beside {next(iter(blurry.values()), None)}")
    select(blurry, sharp, f"the blurry images beside {next(iter(sharp.values()), None)}")
    return {name: (blurry[name], sharp[name]) for name in blurry}


def select(files, keys, name):
    """Picks the files that belong to a dataset.

    Args:
        files: dict from key, a string or a tuple of strings, to `File`.
        keys: iterable of those wanted; others in `files` are left out.
        name: of what these files are together, for the error.

    Returns:
        dict, in the order of `keys`.

    Raises:
        InputError: some are missing.
    """
    keys = list(keys)
    missing = [key if isinstance(key, str) else "/".join(key) for key in keys if key not in files]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise InputError(
            f"{name}: {', '.join(missing[:3])}{more} missing ({len(keys)} are expected). "
            "Get this part of the dataset again."
        )
    return {key: files[key] for key in keys}


def check_count(files, count, name):
    """Raises InputError if `files` are not as many as `name` has."""
    if len(files) != count:
        raise InputError(
            f"{name}: {len(files)} found, but {count} are expected. "
            "Get this part of the dataset again."
        )


def not_found(builder, dl_manager):
    """The error to raise where `find_manually` has found nothing of the dataset."""
    instructions = " ".join(builder.MANUAL_DOWNLOAD_INSTRUCTIONS.split())
    return InputError(f"{builder.name}: {_searched(dl_manager)} {instructions}")


def _searched(dl_manager):
    try:
        return f"Nothing of it is in {dl_manager.manual_dir}."
    except AssertionError as error:  # it is missing or empty
        return str(error).partition(" Create it")[0]


def manual_folder(builder, dl_manager):
    """The folder of this name below the one for files that the user has.

    Raises:
        InputError: that one is missing or empty.
    """
    try:
        return dl_manager.manual_dir / builder.name
    except AssertionError as error:
        raise not_found(builder, dl_manager) from error


def download(dl_manager, url, pattern):
    """Downloads a zip archive, once, and finds files in it.

    Args:
        dl_manager: of `_split_generators`.
        url: of the archive.
        pattern: see `archives.find`.

    Returns:
        What `archives.find` returns.

    Raises:
        InputError: the archive cannot be had, is broken, or holds none of the files.
    """
    try:
        with _few_retries():
            path = dl_manager.download(url)
    except (OSError, tfds.download.DownloadError) as error:
        raise InputError(
            f"{_searched(dl_manager)} {url} could not be downloaded ({reason(error)}): run it "
            "again, or put "
            f"{url.rpartition('/')[2]} into a folder and name that (--manual_dir=FOLDER; in Python "
            "tfds.load(..., download_and_prepare_kwargs={'download_config': "
            "tfds.download.DownloadConfig(manual_dir=FOLDER)}))."
        ) from error
    found = archives.find(archives.Zip(path), pattern)
    if not found:
        raise InputError(f"{path}, downloaded from {url}, holds none of its files: delete it.")
    return found


@contextlib.contextmanager
def _few_retries():
    """Without a network, TFDS would go on trying for four minutes."""
    before, downloader.MAX_RETRIES = downloader.MAX_RETRIES, 3
    try:
        yield
    finally:
        downloader.MAX_RETRIES = before


def _open(path):
    """A source; a tar archive, which cannot be read out of order, is extracted beside itself."""
    stem = path.name.removesuffix(".tgz").removesuffix(".gz").removesuffix(".tar")
    if stem == path.name or path.is_dir():
        return archives.open_source(path)
    folder = path.with_name(stem)
    try:
        with images.open_regular(path, limit=2**63) as file, tarfile.open(fileobj=file) as archive:
            # Below a folder that nobody else has: what lies beside the archive is the user's.
            incomplete = tempfile.TemporaryDirectory(
                dir=path.parent, prefix=f".{stem}-", suffix=".incomplete"
            )
            with incomplete as place:
                extracted = pathlib.Path(place, stem)
                archive.extractall(extracted, filter="data")
                extracted.rename(folder)
    except (InputError, MemoryError):
        raise
    # Broken archives are met with TarError, EOFError, zlib.error, ValueError, OSError, ...
    except Exception as error:
        raise InputError(
            f"{path} cannot be extracted ({reason(error)}): get it again, or extract it there "
            "yourself."
        ) from error
    return archives.open_source(folder)
