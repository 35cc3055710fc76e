"""What a measured program has in common with its measurer (train_step.py): times, on request.

Standard library alone, since the measured programs live in environments of their own.
"""

import json
import pathlib
import sys
import time


def serve(step, memory, at_start):
    """Runs `step()` once for every line on standard input, and answers on standard output.

    Each answer is a line of JSON: `seconds` and `cpu_seconds`, summed over the cores, of this step;
    `bytes`, the peak of the memory until now, and `bytes_at_start`.

    Args:
        step: a function that returns when its results are on the host.
        memory: a function that gives the peak in bytes, `of_process` or an accelerator's.
        at_start: what it gave when libraries were imported, but nothing was built.
    """
    for _ in sys.stdin:
        start, cpu_start = time.perf_counter(), time.process_time()
        step()
        answer = {
            "seconds": time.perf_counter() - start,
            "cpu_seconds": time.process_time() - cpu_start,
            "bytes": memory(),
            "bytes_at_start": at_start,
        }
        print(json.dumps(answer), flush=True)


def of_process():
    """The most bytes of memory that this process has held, shared libraries included; Linux only.

    Not `ru_maxrss`, which a process inherits from the one that started it.
    """
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return 1024 * int(peak)
