"""What measured programs have in common with their measurer: times, on request.

On import the standard library alone: the measured programs live in environments of their own.
"""

import json
import os
import pathlib
import subprocess
import sys
import time


def start(python, program, *args, threads=None):
    """Starts a program that will `serve`, with Python's own path and the program's.

    Args:
        threads: how many it computes with; None: what its library chooses.
    """
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    environment = {
        **os.environ,
        **(dict.fromkeys(names, str(threads)) if threads else {}),
        # On a GPU, programs that wait leave its memory to the others.
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    return subprocess.Popen(
        [python, program, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def take_turns(programs, rounds):
    """The answers of programs that `serve`, one step each in turn while the others wait.

    Args:
        programs: `{name: process}`; they end.
        rounds: how many are timed, after one that is not.

    Returns:
        `{name: [answer, ...]}`, of the timed rounds.
    """
    answers = {name: [] for name in programs}
    for _ in range(1 + rounds):
        for name, program in programs.items():
            program.stdin.write("step\n")
            program.stdin.flush()
            line = program.stdout.readline()
            if not line:
                raise SystemExit(f"{' '.join(name)} ended; its message stands above.")
            answers[name].append(json.loads(line))
    for program in programs.values():
        program.stdin.close()
        program.wait()
    return {name: of_program[1:] for name, of_program in answers.items()}


def serve(step, memory, at_start, output=None):
    """Runs `step()` once for every line on standard input, and answers on standard output.

    Each answer is a line of JSON: `seconds` and `cpu_seconds`, summed over the cores, of this step;
    `bytes`, the peak of the memory until now, and `bytes_at_start`.

    Args:
        step: a function that returns when its results are on the host.
        memory: a function that gives the peak in bytes, `of_process` or an accelerator's.
        at_start: what it gave when libraries were imported, but nothing was built.
        output: file for the array that the first step returns; it is not counted in its time.
    """
    for _ in sys.stdin:
        start, cpu_start = time.perf_counter(), time.process_time()
        result = step()
        answer = {
            "seconds": time.perf_counter() - start,
            "cpu_seconds": time.process_time() - cpu_start,
            "bytes": memory(),
            "bytes_at_start": at_start,
        }
        if output:
            import numpy as np

            np.save(output, result)
            output = None
        print(json.dumps(answer), flush=True)


def of_process():
    """The most bytes of memory that this process has held, shared libraries included; Linux only.

    Not `ru_maxrss`, which a process inherits from the one that started it.
    """
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return 1024 * int(peak)


def of_accelerator():
    """The most bytes of its memory that Keras's backend has taken, TensorFlow or JAX."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return jax.devices()[0].memory_stats()["peak_bytes_in_use"]
    import tensorflow as tf

    return tf.config.experimental.get_memory_info("GPU:0")["peak"]
