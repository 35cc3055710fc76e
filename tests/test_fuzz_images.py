"""Broken image files are read or refused with a reason: no crash, no hang, no flood of memory."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.skipif(
    not pathlib.Path("/proc/self/status").exists(), reason="memory is told by /proc"
)
@pytest.mark.slow
def test_broken_images():
    command = [sys.executable, str(ROOT / "benchmarks" / "fuzz_images.py"), "--count=400"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "400 of 400 files read or refused, 0 failures" in done.stdout
