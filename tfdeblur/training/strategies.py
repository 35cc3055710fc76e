"""Which devices and machines train together, by TensorFlow's `tf.distribute`."""

import json
import os

import keras
import tensorflow as tf

from tfdeblur.errors import InputError

STRATEGIES = ("auto", "mirrored", "multiworker")
# Processes that compute; other kinds ("evaluator", "ps") take no part.
_WORKERS = ("chief", "worker")


def choose(name, batch_size):
    """The strategy that the flag --strategy names; to be asked before other work of TensorFlow.

    "mirrored" is all GPUs of this machine (or, without any, its several logical CPU devices);
    "multiworker" the machines that TF_CONFIG lists, see docs/distributed_training.md; it waits for
    all of them. "auto" is "multiworker" where TF_CONFIG lists several, else "mirrored" where
    several GPUs can share a batch equally, else one device.

    Args:
        name: one of `STRATEGIES`.
        batch_size: crops per step, of all devices together.

    Returns:
        `tf.distribute.Strategy`.

    Raises:
        InputError: an unknown name, a strategy that is impossible here, a broken TF_CONFIG, or a
            batch that its devices cannot share equally.
    """
    if name not in STRATEGIES:
        raise InputError(f"`strategy={name}`: choose one of {', '.join(STRATEGIES)}.")
    if keras.backend.backend() != "tensorflow":
        if name != "auto":
            raise InputError(f"`strategy={name}` needs KERAS_BACKEND=tensorflow.")
        return tf.distribute.get_strategy()
    workers = _workers()
    if name == "multiworker" and not workers:
        raise InputError(
            "`strategy=multiworker` needs the variable TF_CONFIG, which lists the workers: see "
            "docs/distributed_training.md."
        )
    if name == "multiworker" or (name == "auto" and workers > 1):
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        strategy = _on_this_machine(name, batch_size)
    check_batch(strategy, batch_size)
    return strategy


def check_batch(strategy, batch_size):
    """Raises an InputError where the devices cannot share a batch equally."""
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise InputError(
            f"`batch_size={batch_size}` cannot be shared equally by {replicas} devices: choose a "
            "multiple, or fewer devices (CUDA_VISIBLE_DEVICES, TF_CONFIG)."
        )


def is_chief(strategy):
    """Whether this process writes the results: the only one, or the first of several workers."""
    if not _is_multiworker(strategy):
        return True
    resolver = strategy.cluster_resolver
    cluster = resolver.cluster_spec().as_dict()
    first = next(kind for kind in _WORKERS if kind in cluster)
    return (resolver.task_type, resolver.task_id) == (first, 0)


def place(strategy):
    """Which of several workers this process is, in words: "worker 2 of 3"."""
    resolver = strategy.cluster_resolver
    cluster = resolver.cluster_spec().as_dict()
    before = len(cluster.get("chief", ())) if resolver.task_type == "worker" else 0
    return f"worker {before + resolver.task_id + 1} of {_count(cluster)}"


def threads():
    """How many threads compute on this machine's CPU, on which the last digits depend."""
    if keras.backend.backend() == "tensorflow":
        chosen = tf.config.threading.get_intra_op_parallelism_threads()
        chosen = chosen or os.environ.get("TF_NUM_INTRAOP_THREADS", "")
        if str(chosen).isdecimal() and int(chosen):
            return int(chosen)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def own_part(strategy, batch_size):
    """How many crops of a batch this process gets."""
    if not _is_multiworker(strategy):
        return batch_size
    return batch_size // _count(strategy.cluster_resolver.cluster_spec().as_dict())


def mean_over_workers(strategy, value):
    """The mean of a number over all workers, which all have to ask for it: they wait for it."""
    if not _is_multiworker(strategy):
        return float(value)
    values = strategy.run(tf.constant, args=(float(value),))
    return float(strategy.reduce("MEAN", values, axis=None))


def wait_for_all(strategy):
    """Waits until all workers ask for it."""
    mean_over_workers(strategy, 0)


def distribute(strategy, batches):
    """Training batches for a strategy; each worker reads only its part of them.

    Args:
        strategy: `tf.distribute.Strategy`.
        batches: function of a shard, (index, count), see `pipeline.batches`, that returns a dataset
            of this worker's parts of the batches.

    Returns:
        Dataset for `fit`.
    """

    def for_worker(context):
        data = batches((context.input_pipeline_id, context.num_input_pipelines))
        devices = context.num_replicas_in_sync // context.num_input_pipelines
        if devices == 1:
            return data
        # Not `rebatch`: the size of batches may change along the run.
        return data.map(lambda *batch: [tf.stack(tf.split(x, devices)) for x in batch]).unbatch()

    return strategy.distribute_datasets_from_function(for_worker)


def repeat_on_all(strategy, data):
    """Validation data for a strategy: each device gets all of it, and so computes the same means.

    Sharing it would leave some devices without an image where the numbers do not fit.
    """

    def for_worker(context):
        devices = context.num_replicas_in_sync // context.num_input_pipelines
        if devices == 1:
            return data
        return data.flat_map(lambda *batch: tf.data.Dataset.from_tensors(batch).repeat(devices))

    return strategy.distribute_datasets_from_function(for_worker)


def _is_multiworker(strategy):
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def _count(cluster):
    return sum(len(cluster.get(kind, ())) for kind in _WORKERS)


def _workers():
    """How many workers TF_CONFIG lists; 0 where it is not set."""
    text = os.environ.get("TF_CONFIG")
    if not text:
        return 0
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        cluster[task["type"]][task["index"]]  # this one is in the list
        return _count(cluster)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise InputError(
            f"the variable TF_CONFIG is broken ({type(error).__name__}: {error}): it is JSON such "
            'as {"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", '
            '"index": 0}}.'
        ) from error


def _on_this_machine(name, batch_size):
    gpus = tf.config.list_logical_devices("GPU")
    devices = gpus or tf.config.list_logical_devices("CPU")
    if name == "mirrored":
        if len(devices) < 2:
            raise InputError(
                f"`strategy=mirrored` finds one device, {devices[0].name}: leave the flag out."
            )
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if len(gpus) > 1 and batch_size % len(gpus) == 0:
        return tf.distribute.MirroredStrategy([device.name for device in gpus])
    if len(gpus) > 1:
        print(f"one of {len(gpus)} GPUs is used: a batch of {batch_size} is no multiple of them")
    return tf.distribute.get_strategy()
