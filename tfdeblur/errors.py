"""What goes wrong because of what the user gave, told without a traceback."""

import contextlib
import contextvars
import difflib
import errno
import functools
import importlib.util
import logging
import os
import re
import signal
import socket
import sys
import threading
import unicodedata

import absl.logging
from absl import app, flags

_BACKENDS = "tensorflow", "jax", "torch"
PATIENCE = 5  # seconds that a stopped program has for its end
OUT_OF_MEMORY = (
    "out of memory. Lower `batch_size` when training, or restore in tiles with `tile=512`."
)


def did_you_mean(name, names):
    """ " Did you mean x?", with the name that is nearest to a mistyped one; "" if none is near."""
    near = difflib.get_close_matches(str(name), list(names), 1)
    return f" Did you mean {near[0]}?" if near else ""


class InputError(ValueError):
    """The user's files or arguments are at fault.

    The message names the file, the key or the argument, and says what to do. Arguments stand as
    `tile=64` in it; commands print them as their flags, see `say_error`.
    """


class NotFiniteError(InputError):
    """A network returned values that are not finite."""


class Stopped(KeyboardInterrupt):
    """A signal other than Ctrl-C that ends the program; `number` says which."""

    def __init__(self, number):
        super().__init__()
        self.number = number


def printable(text, keep=""):
    """A text as a terminal may get it: file names can hold what commands a terminal.

    Control characters, those that turn the direction of writing, and bytes that are no characters
    become escapes, such as \\x1b.

    Args:
        text: str, or what becomes one.
        keep: characters that stay, such as a newline of our own.
    """
    return "".join(
        char if char in keep or not unicodedata.category(char).startswith("C") else _escaped(char)
        for char in str(text)
    )


def reason(error):
    """What an exception says, in one line that is not long: libraries quote broken files."""
    return printable(" ".join(str(error).split())[:200]) or type(error).__name__


def _escaped(char):
    # A surrogate stands for a byte of a file name that is not UTF-8.
    if 0xDC80 <= ord(char) <= 0xDCFF:
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape", "backslashreplace").decode()


@contextlib.contextmanager
def about(name):
    """Warnings inside begin with the name of what they are about, an image say; None: no name."""
    token = _about.set(f"{printable(_called(str(name)))}: " if name else "")
    try:
        yield
    finally:
        _about.reset(token)


_about = contextvars.ContextVar("what warnings are about", default="")


@contextlib.contextmanager
def calling(names):
    """Messages inside call files by other names: a temporary file's own means nothing to a reader.

    Args:
        names: dict from paths to what stands in their place.
    """
    token = _names.set(tuple((str(path), name) for path, name in names.items()))
    try:
        yield
    finally:
        _names.reset(token)


_names = contextvars.ContextVar("what messages call files", default=())


def _called(text):
    for path, name in _names.get():
        text = text.replace(path, name)
    return text


class _WarningFormatter(logging.Formatter):
    def formatMessage(self, record):
        return f"warning: {_about.get()}{printable(_called(record.message))}"


def say(text, file=None):
    """Prints a line in the words of the command line: --tile=64 for `tile=64`.

    It may hold file names, see `printable`, in whatever encoding there is.
    """
    file = file or sys.stdout
    encoding = getattr(file, "encoding", None) or "utf-8"
    words = re.sub(_ARGUMENT, _flag, _called(str(text)))
    line = printable(words).encode(encoding, "backslashreplace").decode(encoding)
    print(line, file=file, flush=True)


def say_error(error):
    """Prints an error on stderr."""
    say(f"error: {error}", file=sys.stderr)


_ARGUMENT = r"`(\w+)(=[^`\n]*)?`"


def _flag(match):
    name, value = match.groups(default="")
    if name not in flags.FLAGS:
        return match[0]
    return f"--{name}{value * (value != '=True')}"


@contextlib.contextmanager
def ending_in_time(clean_up):
    """Inside, the program ends at most `PATIENCE` seconds after Ctrl-C, SIGTERM or SIGHUP.

    Python answers a signal between two of its own steps, and one step of a network may take
    minutes; Keras may also take the exception for an error of its own, and go on. So a thread waits
    for signals, too.

    Args:
        clean_up: function that removes what is half written, called where the program did not end
            by itself.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, told = socket.socketpair()
    told.setblocking(False)
    ended, stopped = threading.Event(), []

    def watch():
        while number := heard.recv(1):
            if number[0] not in _ENDING:
                continue
            stopped.append(number[0])
            if not ended.wait(PATIENCE):
                clean_up()
                print(f"\n{_farewell(number[0])}", file=sys.stderr, flush=True)
                os._exit(128 + number[0])

    before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        try:
            yield
        finally:
            ended.set()
            signal.set_wakeup_fd(before)
            told.close()
            watcher.join()  # it has heard all that came
            heard.close()
    except Exception as error:
        if stopped:  # what went wrong did so because of it
            raise KeyboardInterrupt from error
        raise


_ENDING = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]


def _farewell(number):
    number = signal.Signals(number)
    return "interrupted" if number == signal.SIGINT else f"stopped by {number.name}"


@contextlib.contextmanager
def stopping_like_ctrl_c():
    """Inside, SIGTERM and SIGHUP raise `Stopped`, so that what Ctrl-C cleans up is cleaned up.

    A signal that the program was started to ignore, as `nohup` does, stays so.
    """
    before = {}

    def stop(number, frame):
        for other in before:  # the clean-up is not to be interrupted
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number)

    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_out_of_memory(error):
    """Whether an exception of Python, TensorFlow or JAX says that memory ran out."""
    return isinstance(error, MemoryError) or (
        type(error).__name__ in ("ResourceExhaustedError", "XlaRuntimeError", "JaxRuntimeError")
        and ("OOM" in str(error) or "RESOURCE_EXHAUSTED" in str(error) or "memory" in str(error))
        and "No space left" not in str(error)  # so TensorFlow calls a full disk too
    )


def run(main):
    """Runs a command's `main(argv)` under absl; the user's mistakes end in one line and status 1.

    Args:
        main: `main(argv)`; what it returns is the exit status, None meaning 0.
    """

    @functools.wraps(main)
    def guarded(argv):
        try:
            _check_backend()
            status = main(argv)
            _flush()  # here what cannot be written is told, at Python's end it is not
            return status
        except InputError as error:
            say_error(error)
            return 1
        except BrokenPipeError:
            return _without_reader()
        except Stopped as stopped:
            print(_farewell(stopped.number), file=sys.stderr)
            return 128 + stopped.number
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except Exception as error:
            if getattr(error, "errno", None) == errno.ENOSPC:
                return _without_space(error)
            if not is_out_of_memory(error):
                raise
            say_error(OUT_OF_MEMORY)
            return 1

    absl.logging.set_verbosity(absl.logging.WARNING)
    absl.logging.get_absl_handler().setFormatter(_WarningFormatter())
    for library in ("tensorflow", "urllib3"):  # deprecations inside libraries, failures to come
        logging.getLogger(library).setLevel(logging.ERROR)
    app.run(guarded, flags_parser=_parse)


def _check_backend():
    """Keras's own words for a backend that is not there are a traceback."""
    backend = os.environ.get("KERAS_BACKEND")
    if not backend:
        return
    if backend not in _BACKENDS:
        raise InputError(f"KERAS_BACKEND={backend}: name {', '.join(_BACKENDS)}.")
    if importlib.util.find_spec(backend) is None:
        raise InputError(
            f"KERAS_BACKEND={backend}, which is not installed: pip install {backend}, or leave "
            "the variable out."
        )


def _parse(argv):
    try:
        try:
            return flags.FLAGS(argv)
        except SystemExit:  # --help was answered, which absl takes for a failure
            _flush()
            sys.exit(0)
    except BrokenPipeError:
        sys.exit(_without_reader())
    except OSError as error:
        sys.exit(_without_space(error))
    except flags.Error as error:
        text = re.sub(r"\('(.*)', '.*'\)", r"\1", " ".join(str(error).split()))
        say(f"error: {text} (--help explains the flags)", file=sys.stderr)
        sys.exit(1)


def _flush():
    if sys.stdout:  # which may have been closed when the program started
        sys.stdout.flush()


def _without_reader():
    """The status of a program whose output nobody reads any more, as `| head` does."""
    _give_up_output()
    return 128 + getattr(signal, "SIGPIPE", 13)


def _without_space(error):
    say_error(f"no space is left for {error.filename or 'what is printed'}.")
    _give_up_output()
    return 1


def _give_up_output():
    """What is still to be printed would fail once more when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
