"""Fetching a file once: with a progress bar, whole or not at all, in as many attempts as it takes.

What has arrived of a file lies beside it, under a name that tells which version of the file the
server meant: the next attempt goes on there, if the server's file is still that one.
"""

import errno
import hashlib
import os
import pathlib
import shutil
import sys

import tqdm

from tfdeblur import files
from tfdeblur.errors import InputError, say
from tfdeblur.files import INCOMPLETE

LARGEST = 2**31  # bytes of a file
SILENCE = 30  # seconds without a byte that break off
CHUNK = 2**18
# The end of a sentence that begins with the file.
WEB_PAGE = "is a web page: open its address in a browser and download the file itself."


def download(url, path, check, facts=""):
    """Downloads a file. It has its name once it is whole and has passed the check.

    Args:
        url: http(s) address.
        path: of the file; what stands there is replaced. Its folder is made.
        check: function of the path of what has arrived; an InputError that it raises is passed on,
            and nothing is kept.
        facts: what errors tell about the file besides its address: its size, say.

    Raises:
        InputError: it cannot be had or written, or is too large.
    """
    import requests  # here, for commands to start at once

    path, partial = pathlib.Path(path), None
    by_hand = f"or download it by other means and put it at {path}{facts}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _asked(url) as answer:
            partial = path.with_name(f"{INCOMPLETE}{_version(answer)}-{path.name}")
            with partial.open("ab") as file:
                if not files.lock(file):
                    say(f"Another tfdeblur fetches {path.name}: waiting for it.", sys.stderr)
                    files.lock(file, waiting=True)
                brought = files.is_still(file.fileno(), path)  # by another process, meanwhile
                if files.is_still(file.fileno(), partial):
                    _complete(file, answer, path.name)
                    check(partial)
                    os.replace(partial, path)
                    brought = True
    except _BrokenOff as error:
        raise InputError(
            f"{url} broke off after {error}: the same command goes on there, {by_hand}."
        ) from error
    except requests.RequestException as error:
        raise InputError(
            f"{url} cannot be fetched to {path.parent} ({type(error).__name__}): try again when "
            f"there is a network, {by_hand}."
        ) from error
    except InputError:
        partial.unlink()
        raise
    except OSError as error:
        if partial and error.errno == errno.ENOSPC:
            partial.unlink(missing_ok=True)
        raise InputError(
            f"{url} cannot be written to {path.parent} ({error.strerror or error}): make room, or "
            "name another folder by the environment variable TFDEBLUR_CACHE."
        ) from error
    if not brought:  # another process has removed what it fetched: it did not pass its check
        download(url, path, check, facts)


def is_web_page(start):
    """Whether the bytes that a file begins with are HTML: so proxies answer, and Google Drive."""
    return start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


class _BrokenOff(Exception):
    """How much has arrived, in words."""


def _asked(url, **headers):
    import requests

    # Lengths are of what arrives, so nothing may be compressed on the way.
    headers = {"Accept-Encoding": "identity", **headers}
    answer = requests.get(url, headers=headers, stream=True, timeout=SILENCE)
    answer.raise_for_status()
    return answer


def _validator(answer):
    return answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""


def _version(answer):
    return hashlib.sha256(_validator(answer).encode()).hexdigest()[:8]


def _complete(file, answer, name):
    """Appends to a file what is missing of it, or begins anew."""
    length = answer.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    done = os.fstat(file.fileno()).st_size
    if done and done == total and _validator(answer):
        return  # stopped before it got its name
    if 0 < done < (total or 0) and _validator(answer):
        answer.close()
        answer = _asked(answer.url, Range=f"bytes={done}-", **{"If-Range": _validator(answer)})
    if not answer.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
        file.truncate(0)
        done = 0
    if total and shutil.disk_usage(os.path.dirname(file.name)).free < total - done:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with answer:
        _append(file, answer, done, total, name)
    os.fsync(file.fileno())


def _append(file, answer, done, total, name):
    import requests

    layout = {"unit": "B", "unit_scale": True, "ncols": 79, "desc": name}
    with tqdm.tqdm(initial=done, total=total, **layout) as bar:
        try:
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
                done += len(chunk)
                if done > LARGEST:
                    raise InputError(f"{answer.url} is larger than any weights: nothing was kept.")
        except requests.RequestException as error:
            raise _BrokenOff(_amount(done, total)) from error
        file.flush()
    if total and done != total:
        raise _BrokenOff(_amount(done, total))


def _amount(done, total):
    whole = f" of {total / 1e6:.1f}" if total else ""
    return f"{done / 1e6:.1f}{whole} MB"
