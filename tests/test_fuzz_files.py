"""Broken files of weights and scores are read or refused: no crash, no hang, no flood of memory."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
import fuzz_files  # noqa: E402

KINDS = list(fuzz_files.KINDS)
GROUPS = [KINDS[i::3] for i in range(3)]  # each in a process of its own, which takes long to start


@pytest.mark.slow
@pytest.mark.skipif(
    not pathlib.Path("/proc/self/status").exists(), reason="memory is told by /proc"
)
@pytest.mark.parametrize("kinds", GROUPS, ids=" ".join)
def test_broken_files(kinds):
    program = str(ROOT / "benchmarks" / "fuzz_files.py")
    command = [sys.executable, program, "--count=30", f"--kinds={','.join(kinds)}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert f"30 files of each of {len(kinds)} kinds, 0 failures" in done.stdout
    seconds, mebibytes = re.search(
        r"slowest ([\d.]+) s .* memory \+(\d+) MiB", done.stdout
    ).groups()
    assert float(seconds) < 2 and int(mebibytes) < 200
