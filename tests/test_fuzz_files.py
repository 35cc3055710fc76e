"""Broken files of weights and scores are read or refused: no crash, no hang, no flood of memory."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
import fuzz_files  # noqa: E402


@pytest.mark.slow
@pytest.mark.skipif(
    not pathlib.Path("/proc/self/status").exists(), reason="memory is told by /proc"
)
def test_broken_files():
    program = str(ROOT / "benchmarks" / "fuzz_files.py")
    command = [sys.executable, program, "--count=30"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert f"30 files of each of {len(fuzz_files.KINDS)} kinds, 0 failures" in done.stdout
    costs = re.findall(r"slowest ([\d.]+) s .* memory \+(\d+) MiB", done.stdout)
    assert len(costs) == len(fuzz_files.KINDS)
    assert all(float(seconds) < 2 and int(mebibytes) < 200 for seconds, mebibytes in costs)
