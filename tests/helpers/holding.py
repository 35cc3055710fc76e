"""Another process that holds a lock of `tfdeblur.files`."""

import contextlib
import subprocess
import sys

HOLD = """
import sys
from tfdeblur import files
with files.locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def held_by_another(path):
    """Inside, another process holds the path until its standard input is closed: a Popen."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            holder.kill()
