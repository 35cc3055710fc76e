"""Model files that once crashed, ran code or took gigabytes: one line each, in little memory."""

import pathlib
import resource
import subprocess
import sys

import pytest

HOSTILE = pathlib.Path(__file__).parent / "cases" / "hostile"
SCRIPT = """
import resource, sys, tfdeblur
from tfdeblur import models, weights
from tfdeblur.errors import InputError
net = models.build("mimo_unet", filters=4, resblocks=1)
for path in sys.argv[1:]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    whole = weights.load_network if path.endswith(".keras") else weights.import_network
    for door in (whole, lambda path: weights.load(net, path)):
        try:
            door(path)
            print("read", path)
        except InputError as error:
            lines = len(str(error).splitlines())
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
            print("refused in", lines, "line,", "less" if grown < 200 else "more", "than 200 MiB")
"""


@pytest.mark.slow
def test_models_are_refused_through_every_door(tmp_path):
    paths = sorted([*HOSTILE.glob("*.keras"), *HOSTILE.glob("*.pth")])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *paths],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (120, 120)),
    )
    assert done.returncode == 0, done.stderr
    expected = ["refused in 1 line, less than 200 MiB"] * 2 * len(paths)
    assert done.stdout.splitlines() == expected
    assert not list(tmp_path.iterdir())
