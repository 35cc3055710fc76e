"""Files that appear whole or not at all, and folders of which we know what we wrote.

Nothing is ever deleted but what we wrote. A folder that we fill holds `MARKER`, which says so: the
kind of folder, its name, and the list of the files. They are removed one by one, a folder only once
it is empty; where anything else lies in it, nothing is removed, and the error names it.
"""

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import sys
import tempfile
import uuid

from tfdeblur.errors import InputError, say

INCOMPLETE = ".incomplete-"  # begins the names of files and folders that are being written
MARKER = "tfdeblur.json"
_unfinished = set()  # paths of files, and of folders, that go if the program is ended
_LARGEST = 2**26  # bytes of JSON that are read
_SHOWN = 3  # names in an error
_LOCK = r"(?:.*/)?\.tfdeblur-[0-9a-f]{32}\.lock"  # paths of what `locked` may leave
_LONG = 200  # bytes of a name


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of folder that we fill.

    Attributes:
        name: what errors call it: "run".
        patterns: regular expressions of the paths below the folder that are ever written there.
        leftovers: likewise of files that a kill may leave half written.
    """

    name: str
    patterns: tuple[str, ...]
    leftovers: tuple[str, ...] = ()

    def writes(self, path):
        return any(re.fullmatch(pattern, path) for pattern in self.patterns)

    def leaves(self, path):
        return any(re.fullmatch(pattern, path) for pattern in (*self.leftovers, _LOCK))


class Owned:
    """What we wrote in a folder, as its `MARKER` lists it.

    Args:
        folder: pathlib.Path.
        kind: `Kind`.
        name: of the run, the network or whatever the folder is of.
        paths: set of str, of files relative to the folder.
        id: tells this folder's files apart, where another program names them: a file whose name has
            it between dots is ours, if the kind writes such files.

    Attributes:
        legacy: it was recognised, since it is older than markers are.
    """

    def __init__(self, folder, kind, name, paths=(), id=None):
        self.folder = pathlib.Path(folder)
        self.kind = kind
        self.name = name
        self.paths = set(paths)
        self.id = id or uuid.uuid4().hex
        self.legacy = False

    @classmethod
    def open(cls, folder, kind):
        """That of a folder; None where there is no marker.

        Raises:
            InputError: the marker is broken, foreign, or of another kind.
        """
        marker = pathlib.Path(folder, MARKER)
        if not os.path.lexists(marker):
            return None
        content = read_json(marker, f"move what you need out of {folder}, or name another folder")
        paths = content.get("files")
        if content.get("written by") != "tfdeblur" or not isinstance(paths, list):
            raise InputError(f"{marker} was not written by tfdeblur: name another folder.")
        if content.get("kind") != kind.name:
            raise InputError(
                f"{folder} holds a {content.get('kind')!r} of tfdeblur, no {kind.name}: name "
                "another folder."
            )
        name, id = content.get("name"), content.get("id")
        good = isinstance(name, str) and isinstance(id, str) and re.fullmatch("[0-9a-f]{32}", id)
        for path in paths:
            if not good or not isinstance(path, str) or not _below(path) or not kind.writes(path):
                raise InputError(
                    f"{marker} lists what no {kind.name} has ({path!r}): name another folder."
                )
        return cls(folder, kind, name, paths, id)

    @classmethod
    def recognise(cls, folder, kind, name):
        """For a folder known to be ours that has no list: the files that its kind writes."""
        owned = cls(folder, kind, name)
        owned.legacy = True
        owned.paths = {path for path in _entries(owned.folder)[0] if kind.writes(path)}
        return owned

    def write(self):
        """Writes the marker."""
        content = {
            "written by": "tfdeblur",
            "kind": self.kind.name,
            "name": self.name,
            "id": self.id,
            "files": sorted(self.paths),
        }
        write_text(self.folder / MARKER, json.dumps(content, indent=2) + "\n")

    def has(self, path):
        """Whether we wrote the file at this path below the folder."""
        return path in self.paths or (f".{self.id}." in path and self.kind.writes(path))

    def check_claim(self, *paths):
        """Raises an InputError where a file that we did not write lies at one of the paths."""
        for path in paths:
            if not _below(path) or not self.kind.writes(path):
                raise InputError(f"{path!r} is no place in {self.folder} for a {self.kind.name}.")
        place = self.folder
        taken = [path for path in paths if os.path.lexists(place / path) and not self.has(path)]
        if taken:
            raise InputError(
                f"{place} holds {list_names(taken)}, which tfdeblur did not write and would "
                "replace: move it, or name another folder."
            )

    def claim(self, *paths):
        """To be asked before files are written: from now on they are ours.

        Raises:
            InputError: see `check_claim`.
        """
        self.check_claim(*paths)
        if not self.paths.issuperset(paths):
            self.paths.update(paths)
            self.write()

    def remove(self, *paths):
        """Removes files of ours, and takes them from the list."""
        for path in paths:
            if self.has(path):
                _unlink(self.folder / path)
        if not self.paths.isdisjoint(paths):
            self.paths.difference_update(paths)
            self.write()

    def remove_leftovers(self):
        """Removes files that a kill left half written, where the kind leaves them."""
        paths, _, folders = _entries(self.folder)
        left = [path for path in paths if self.kind.leaves(path)]
        for path in left:
            _unlink(self.folder / path)
        parents = {p.as_posix() for path in left for p in pathlib.PurePosixPath(path).parents}
        parents.update(path for path in folders if self.kind.leaves(path + "/"))
        for path in sorted(parents - {"."}, key=len, reverse=True):
            with contextlib.suppress(OSError):
                (self.folder / path).rmdir()

    def others(self, apart=()):
        """The paths of what lies in the folder and is not ours, sorted; folders end in a slash.

        Args:
            apart: names in the folder that are not looked at.
        """
        files, links, folders = _entries(self.folder, apart)
        known = {MARKER, *(path for path in files if self.has(path) or self.kind.leaves(path))}
        # Also those of the kind that are empty.
        parents = {p.as_posix() for path in known for p in pathlib.PurePosixPath(path).parents}
        empty = {f for f in folders if not any(x.startswith(f + "/") for x in (*files, *links))}
        written = {f for f in empty if self.kind.writes(f + "/") or self.kind.leaves(f + "/")}
        foreign = [f + "/" for f in empty - parents - written]
        return sorted([*(path for path in files if path not in known), *links, *foreign])

    def check_removable(self, apart=()):
        """Raises an InputError where anything but our own files lies in the folder.

        Likewise where the folder is a place that is never removed, see `protected`.
        """
        others = self.others(apart)
        if others:
            raise InputError(
                f"{self.folder} holds {list_names(others)}, which tfdeblur did not write: nothing "
                "is removed; move it away, or name another folder."
            )
        reason = protected(self.folder)
        if reason:
            raise InputError(f"{self.folder} {reason}: nothing is removed; name another folder.")

    def delete(self, last=()):
        """Removes our files, one by one, and the folders that are empty then.

        Args:
            last: paths that are removed after all others; the marker goes at the very end.

        Raises:
            InputError: see `check_removable`.
        """
        self.check_removable()
        files, _, folders = _entries(self.folder)
        for path in sorted(files, key=lambda path: (path == MARKER, path in last)):
            if path == MARKER or self.has(path) or self.kind.leaves(path):
                _unlink(self.folder / path)
        _remove_empty(self.folder, folders)


def protected(folder):
    """Why a folder is never removed: "is a git checkout", say; None for an ordinary one.

    Git checkouts, homes, roots, mount points, and what has one of them below it.
    """
    folder = pathlib.Path(folder).resolve()
    home = pathlib.Path(os.path.expanduser("~")).resolve()
    if folder == folder.parent:
        return "is the root of a disk"
    if folder == home or folder in home.parents:
        return "is your home folder, or above it"
    if os.path.ismount(folder):
        return "is a mount point"
    for place, folders, names in os.walk(folder):
        if ".git" in folders or ".git" in names:
            return f"is a git checkout, or has one below it ({place})"
        for name in folders:
            if os.path.ismount(os.path.join(place, name)):
                return f"has a mount point below it ({os.path.join(place, name)})"
    return None


@contextlib.contextmanager
def replacing(path):
    """Yields a temporary path in the same folder, whose file replaces `path` if all goes well.

    The new file is on the disk before it has the name, so that neither a kill nor a power cut
    leaves half of one. If anything goes wrong, `path` is as it was.
    """
    path = pathlib.Path(path)
    temporary = _temporary(path)
    with unfinished(temporary):
        try:
            yield temporary
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def unfinished(path):
    """Inside, `remove_unfinished` removes this file or folder, which is ours as a whole."""
    _unfinished.add(path)
    try:
        yield path
    finally:
        _unfinished.discard(path)


def remove_unfinished():
    """Removes what is half written, for a program that cannot end otherwise."""
    for path in list(_unfinished):
        with contextlib.suppress(OSError):
            if os.path.isdir(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)


def write_text(path, text):
    """Writes a text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def replacing_folder(folder, kind, name):
    """Yields a new folder beside `folder`, which takes its place if nothing goes wrong.

    It gets a marker that lists what is in it then. One that a kill has left is removed by the next
    call.

    Args:
        folder: where it exists, it is of `kind` too, and holds nothing else.
        kind, name: see `Owned`.

    Raises:
        InputError: see `check_replaceable` and `locked`.
    """
    folder = pathlib.Path(folder)
    check_replaceable(folder, kind)
    with locked(folder):
        remove_leftover_folders(folder, kind)
        with new_folder(folder) as temporary:
            Owned(temporary, kind, name).write()
            yield temporary
            Owned.recognise(temporary, kind, name).write()
            old = check_replaceable(folder, kind)  # again: this may have taken minutes
            if old is None:
                os.replace(temporary, folder)
                return
            aside = _temporary(folder)
            os.rename(folder, aside)
            try:
                os.replace(temporary, folder)
            except BaseException:
                os.rename(aside, folder)
                raise
            old.folder = aside
            old.delete()


def check_replaceable(folder, kind):
    """The `Owned` of a folder that may be replaced; None where there is none, or it is empty.

    Raises:
        InputError: it is no folder, not of `kind`, or holds anything else.
    """
    folder = pathlib.Path(folder)
    if not os.path.lexists(folder):
        return None
    if folder.is_symlink() or not folder.is_dir():
        raise InputError(f"{folder} exists and is no {kind.name}: name another place.")
    owned = Owned.open(folder, kind)
    if owned is None:
        if any(folder.iterdir()):
            raise InputError(
                f"{folder} exists and is no {kind.name} that tfdeblur is known to have written: "
                "name another place, or remove it yourself."
            )
        return None
    owned.check_removable()
    return owned


@contextlib.contextmanager
def new_folder(target):
    """Yields a new, empty folder beside `target`, which is removed in the end if it is there.

    A kill leaves it: its name begins with `INCOMPLETE` and ends in that of `target`.
    """
    temporary = _temporary(pathlib.Path(target))
    temporary.mkdir(parents=True)
    try:
        with unfinished(temporary):
            yield temporary
    finally:  # also after Ctrl-C; all that is in it came from the block
        if temporary.is_dir():
            files, links, folders = _entries(temporary)
            for path in (*files, *links):
                _unlink(temporary / path)
            _remove_empty(temporary, folders)


def remove_leftover_folders(target, kind):
    """Removes what a kill left of `replacing_folder`: marked as ours, with our files alone."""
    for folder in target.parent.glob(f"{INCOMPLETE}*"):
        if re.fullmatch(incomplete(re.escape(target.name)), folder.name) and folder.is_dir():
            with contextlib.suppress(InputError):
                if not folder.is_symlink() and Owned.open(folder, kind):
                    Owned.recognise(folder, kind, "").delete()


def incomplete(pattern):
    """The regular expression of the temporary names of files whose names match `pattern`."""
    return rf"\{INCOMPLETE}(?:[0-9a-f]{{8}}-)?{pattern}"  # earlier versions had no number


@contextlib.contextmanager
def locked(path, waiting=False):
    """Holds a file or folder, whether it exists or not, against other processes.

    The lock ends with the process, however that ends: it is one of the system, on a hidden file
    beside the path, where other machines and containers meet it too.

    Args:
        path: what this process is going to write.
        waiting: whether to wait for another one that holds it, and say so, or to refuse.

    Raises:
        InputError: another process holds it.
    """
    if os.name != "posix":
        yield
        return
    while True:
        with _existing_parent(path), _opened_lock(path) as (file, place):
            if not lock(file):
                holder = os.pread(file, _LONG, 0).decode("utf-8", "replace")
                if not waiting:
                    raise InputError(
                        f"{path} is in use by another tfdeblur ({holder}): wait until that has "
                        "ended, or name another place."
                    )
                say(f"Another tfdeblur ({holder}) makes {path}: waiting for it.", sys.stderr)
                lock(file, waiting=True)
            if not is_still(file, place):
                continue  # its holder has just removed it
            os.ftruncate(file, 0)
            os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
            try:
                with unfinished(place):
                    yield
            finally:
                with contextlib.suppress(OSError):  # its folder may have been removed
                    os.unlink(place)
            return


@contextlib.contextmanager
def _existing_parent(path):
    """Inside, its folder exists, where it can be made; it goes again if it is still empty then."""
    if "://" in str(path):  # in a cloud's storage, as datasets may be
        yield
        return
    folder = pathlib.Path(os.path.realpath(path)).parent
    missing = [place for place in (folder, *folder.parents) if not os.path.exists(place)]
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            for place in missing:
                place.rmdir()


@contextlib.contextmanager
def _opened_lock(path):
    """(number of an open file, its path): for locks on `path`.

    Where the folder cannot be written it lies among the temporary files of this user.
    """
    path = pathlib.Path(os.path.realpath(path))
    name = f"tfdeblur-{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.lock"
    options = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    place = path.with_name(f".{name}")
    try:
        file = os.open(place, options)
        with contextlib.suppress(OSError):  # another user's
            os.fchmod(file, 0o666)  # other users' processes are to meet it
    except OSError as error:
        if os.path.lexists(place):
            raise InputError(
                f"{path} is in use, or was: {place} cannot be opened ({error.strerror}). Wait "
                "until its owner's tfdeblur has ended, or remove it."
            ) from error
        place = os.path.join(tempfile.gettempdir(), f"{os.getuid()}-{name}")
        file = os.open(place, options, 0o600)
    try:
        yield file, place
    finally:
        os.close(file)


def lock(file, waiting=False):
    """Whether this process now holds the system's lock on an open file.

    Always on Windows, and on disks that know no locks.

    It ends with the file, or with the process, however that ends.

    Args:
        file: an open file, or its number.
        waiting: whether to wait until no other process holds it.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if waiting else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise
    return True


def is_still(file, path):
    """Whether an open file, or that of a number, still has the name that it was opened by."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.stat(file), os.stat(path))
    return False


def read_json(path, remedy):
    """The dict in a JSON file.

    Args:
        path: of the file.
        remedy: what to do where it is broken, for the error.

    Raises:
        InputError: it cannot be read, or is no JSON object.
    """
    try:
        if not os.path.isfile(path):
            raise ValueError("it is no file")
        if os.path.getsize(path) > _LARGEST:
            raise ValueError("it is too large")
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        if not isinstance(content, dict):
            raise ValueError("it is no JSON object")
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise InputError(f"{path} is broken ({reason}): {remedy}.") from error
    return content


def _temporary(path):
    # A file system that takes a long name has no room for more in it.
    name = path.name if len(os.fsencode(path.name)) <= _LONG else path.suffix
    return path.with_name(f"{INCOMPLETE}{uuid.uuid4().hex[:8]}-{name}")


def list_names(names):
    """The first of many names in words, as `repr` writes them: none can control a terminal."""
    names = sorted(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more


def _below(path):
    """Whether a relative path, as we write it, stays below the folder."""
    pure = pathlib.PurePosixPath(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts


def _entries(folder, apart=()):
    """Paths below a folder: regular files, links and devices, folders; links are not followed."""
    files, others, folders = [], [], []

    def look(place, prefix):
        with os.scandir(place) as found:
            for entry in found:
                path = prefix + entry.name
                if path in apart:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                    look(entry.path, path + "/")
                else:
                    (files if entry.is_file(follow_symlinks=False) else others).append(path)

    if os.path.isdir(folder):
        look(folder, "")
    return files, others, folders


def _unlink(path):
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def _remove_empty(folder, paths):
    for path in sorted(paths, key=len, reverse=True):
        with contextlib.suppress(OSError):
            (folder / path).rmdir()
    with contextlib.suppress(OSError):  # something has come since, or it is a link
        folder.rmdir()
