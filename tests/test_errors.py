"""What is told to a terminal."""

import io
import os
import signal
import subprocess
import sys

import pytest
from absl import flags

from tfdeblur import errors


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a b\u00e9\u732b.png", "a b\u00e9\u732b.png"),
        ("\x1b]0;owned\x07.png", "\\x1b]0;owned\\x07.png"),
        ("a\nerror: b\r.png", "a\\nerror: b\\r.png"),
        ("\x9b2J", "\\x9b2J"),
        ("gpj.\u202egnp", "gpj.\\u202egnp"),
        (os.fsdecode(b"caf\xe9.png"), "caf\\xe9.png"),
    ],
)
def test_names_are_made_printable(name, shown):
    assert errors.printable(name) == shown
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    errors.say(name, file)
    file.seek(0)
    assert file.read() == shown.encode("ascii", "backslashreplace").decode() + "\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_stop_like_ctrl_c(number):
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(errors.Stopped) as stopped, errors.stopping_like_ctrl_c():
            os.kill(os.getpid(), number)
            signal.pause()
        assert stopped.value.number == number
        assert signal.getsignal(number) == signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN)  # as by nohup
        with errors.stopping_like_ctrl_c():
            os.kill(os.getpid(), number)
    finally:
        signal.signal(number, before)


DEAF = """
import os, signal, threading, time
from tfdeblur import errors, files
signal.signal(signal.SIGINT, signal.default_int_handler)
errors.PATIENCE = 0.2
def main(argv):
    with errors.ending_in_time(files.remove_unfinished), files.replacing("a.png") as half:
        half.write_bytes(b"half")
        # Not from here, where the interruption would be raised at once.
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        ending()
errors.run(main)
"""
SWALLOWING = """
def ending():
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
"""
FAILING = """
def ending():
    try:
        time.sleep(60)
    except BaseException:
        pass
    raise TypeError("of what came next")
"""


@pytest.mark.parametrize("ending", [SWALLOWING, FAILING], ids=["swallowed", "taken for another"])
def test_a_program_that_does_not_hear_ctrl_c_ends_all_the_same(ending, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ending + DEAF], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.strip() == "interrupted"
    assert not list(tmp_path.iterdir())


def test_a_program_that_ends_in_time_is_left_alone():
    with errors.ending_in_time(pytest.fail):
        pass
    with pytest.raises(KeyboardInterrupt), errors.ending_in_time(pytest.fail):
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(ValueError, match="not of a signal"), errors.ending_in_time(pytest.fail):
        raise ValueError("not of a signal")


def test_arguments_are_flags_on_the_command_line(capsys):
    flags.DEFINE_string("tile_of_a_test", None, "Tiles.")
    flags.DEFINE_bool("overwrite_of_a_test", False, "Overwriting.")
    errors.say_error(
        "`tile_of_a_test=8` is too small: give `overwrite_of_a_test=True`, another "
        "`tile_of_a_test`, or `not_a_flag=1`, in `train.py`."
    )
    assert capsys.readouterr().err == (
        "error: --tile_of_a_test=8 is too small: give --overwrite_of_a_test, another "
        "--tile_of_a_test, or `not_a_flag=1`, in `train.py`.\n"
    )


@pytest.mark.parametrize("words", [["--help"], ["weights", "list"]])
def test_who_stops_reading_gets_no_traceback(words):
    read, write = os.pipe()
    os.close(read)
    assert tfdeblur_to(write, words) == (128 + signal.SIGPIPE, "")
    os.close(write)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="it is Linux's")
@pytest.mark.parametrize("words", [["--help"], ["weights", "list"]])
def test_a_full_disk_behind_the_output_is_told(words):
    message = "error: no space is left for what is printed.\n"
    with open("/dev/full", "wb") as full:
        assert tfdeblur_to(full, words) == (1, message)


def test_who_has_closed_the_output_gets_status_0():
    words = "sys.stdout = None; errors.run(lambda argv: 0)"
    script = f"import sys; from tfdeblur import errors; {words}"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def tfdeblur_to(output, words):
    """The status of `tfdeblur WORDS` and what it says on stderr, as its user would see it."""
    environment = {name: x for name, x in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-m", "tfdeblur", *words]
    options = {"stdout": output, "stderr": subprocess.PIPE, "text": True, "env": environment}
    done = subprocess.run(command, **options)
    return done.returncode, done.stderr


def test_flags_are_refused_in_words(capsys):
    flags.DEFINE_bool("switch_of_a_test", False, "Switches.")
    with pytest.raises(SystemExit):
        errors._parse(["program", "--switch_of_a_test=yes"])
    assert capsys.readouterr().err == (
        "error: flag --switch_of_a_test=yes: Non-boolean argument to boolean flag (--help explains "
        "the flags)\n"
    )


def test_warnings_are_told_without_a_place_in_the_code_but_with_their_photo():
    script = """
from absl import logging
from tfdeblur import errors

def main(argv):
    with errors.about("a\\x1b.jpg"):
        logging.warning("one of %d", 2)
    logging.warning("all\\x1b")

errors.run(main)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr == "warning: a\\x1b.jpg: one of 2\nwarning: all\\x1b\n"
    assert done.returncode == 0
