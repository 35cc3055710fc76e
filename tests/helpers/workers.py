"""Processes that train together: TensorFlow's devices are fixed when a process starts."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import tensorflow as tf

PATIENCE = 900  # seconds until all of them must have ended, beside other work too


def make_two_devices():
    """Halves this machine's processor, before TensorFlow has used it."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


def start(script, *arguments, **environment):
    """Runs a test file as a script that finds these helpers: a Popen, with all that it prints."""
    return subprocess.Popen(
        [sys.executable, script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parent), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


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
        outputs = [process.communicate(timeout=PATIENCE)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()  # one may be waiting for another that failed
    return [(process.returncode, out) for process, out in zip(processes, outputs, strict=True)]
