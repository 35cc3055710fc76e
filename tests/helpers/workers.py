"""Processes that train together: TensorFlow's devices are fixed when a process first uses them."""

import json
import multiprocessing
import os
import pathlib
import runpy
import socket
import sys
import tempfile

import tensorflow as tf

PATIENCE = 900  # seconds until all of them must have ended, beside other work too
# Forks of a process that has imported what takes long, and has used none of it.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tfdeblur.training.runs"])


def make_two_devices():
    """Halves this machine's processor, before TensorFlow has used it."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


def start(script, *arguments, **environment):
    """Runs a test file as a script that finds these helpers: what `end` waits for."""
    environment = {**os.environ, **environment}  # the server has that of its own start
    number, output = tempfile.mkstemp()
    os.close(number)
    words = [script, *map(str, arguments)]
    process = _SERVER.Process(target=_run, args=(words, environment, output))
    process.start()
    return process, pathlib.Path(output)


def _run(words, environment, output):
    file = os.open(output, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.environ.update(environment)
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    sys.argv = words
    runpy.run_path(words[0], run_name="__main__")


def start_cluster(script, *arguments):
    """Starts the machines of one cluster, each with arguments of its own."""
    sockets = [socket.create_server(("localhost", 0)) for _ in arguments]
    cluster = {"worker": [f"localhost:{s.getsockname()[1]}" for s in sockets]}
    for s in sockets:
        s.close()  # their ports are free, for the workers
    processes = []
    for index, values in enumerate(arguments):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        processes.append(start(script, *values, TF_CONFIG=json.dumps(task)))
    return processes


def end(processes):
    """Their (status, output)."""
    try:
        for process, _ in processes:
            process.join(PATIENCE)
            assert process.exitcode is not None, f"{process.name} hangs"
    finally:
        for process, _ in processes:
            process.kill()  # one may be waiting for another that failed
            process.join()
        outputs = [output.read_text(errors="replace") for _, output in processes]
        for _, output in processes:
            output.unlink()
    return [(process.exitcode, out) for (process, _), out in zip(processes, outputs, strict=True)]
