import dataclasses
import json
import os
import pathlib
import signal
import sys
import types

import numpy as np
import pytest
import workers

from tfdeblur import errors
from tfdeblur.data.pairs import split_folders
from tfdeblur.errors import InputError
from tfdeblur.io import images
from tfdeblur.recipes import QUICKSTART, Adversarial, Stage
from tfdeblur.training import callbacks, checkpoints, runs, strategies

CONTENT = dataclasses.replace(
    QUICKSTART,
    network="deepdeblur",
    hyperparameters={"scales": 1, "filters": 4, "resblocks": 1},
    crop=32,
    batch_size=4,
    steps=4,
    validate_every=2,
    progressive=(Stage(until=0.5, crop=16, batch_size=8),),
    accumulate=2,
    clip_norm=0.1,
    ema_momentum=0.5,
    loss="mse",
    label_pyramid="gaussian",
    initialization="as_built",
)
ADVERSARIAL = dataclasses.replace(
    CONTENT,
    crop=256,
    batch_size=2,
    progressive=None,
    adversarial=Adversarial(weight=0.1, discriminator={"filters": 4}),
)
RUNS = {"content": CONTENT, "adversarial": ADVERSARIAL}


def train_all(strategy, root, results, names=tuple(RUNS)):
    pairs = split_folders(root / "blurry", root / "sharp", smallest=256)
    for name in names:
        recipe = RUNS[name]
        options = {"precision_name": "float32", "strategy": strategy, "resume": True}
        runs.train(recipe, *pairs, results / name, **options)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with five pairs, of which one is held out."""
    root = tmp_path_factory.mktemp("strategies")
    for i in range(5):
        noise = np.random.default_rng(i).integers(0, 256, (65, 66, 3), dtype="uint8")
        sharp = noise.repeat(4, axis=0).repeat(4, axis=1)
        for kind, image in (("sharp", sharp), ("blurry", sharp // 2 + np.roll(sharp, 3, 1) // 2)):
            (root / kind).mkdir(exist_ok=True)
            images.write(root / kind / f"{i}.png", image)
    return root


@pytest.fixture(scope="module")
def on_one_device(root):
    train_all(None, root, root / "one")
    return root / "one"


def main(argv):
    """A process of its own: TensorFlow's devices are fixed when it starts."""
    kind, root, results = argv[0], *map(pathlib.Path, argv[1:])
    if kind == "mirrored":
        workers.make_two_devices()
    strategy = strategies.choose("mirrored" if kind == "mirrored" else "auto", batch_size=2)
    assert strategy.num_replicas_in_sync == 2
    if kind != "mirrored":
        index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
        assert strategies.place(strategy) == f"worker {index + 1} of 2"
    if kind == "dies":

        def die(self, batch, logs=None):
            self.step += 1
            if self.step == 3:
                os.kill(os.getpid(), signal.SIGKILL)

        checkpoints.Checkpoints.on_train_batch_end = die
    # What a critic needs of several machines, test_trainers.py shows.
    train_all(strategy, root, results, ["adversarial" if kind == "mirrored" else "content"])


def assert_same_runs(results, expected):
    for folder in results.iterdir():
        states = [Saved(run / folder.name) for run in (results, expected)]
        assert [s.step for s in states] == [4, 4]
        for value, other in zip(*(s.values for s in states), strict=True):
            np.testing.assert_allclose(value, other, atol=1e-5)
        for row, other in zip(*(s.rows for s in states), strict=True):
            assert row == pytest.approx(other, rel=1e-3)


class Saved:
    """What a run has left."""

    def __init__(self, workdir):
        self.step, path = checkpoints.Checkpoints(workdir / "checkpoints", None).newest()
        with np.load(path) as state:
            self.values = list(state.values())
        rows = callbacks.read_metrics(workdir / "metrics.csv")
        self.rows = [{key: float(value) for key, value in row.items()} for row in rows]


@pytest.mark.slow
def test_two_devices_train_as_one(on_one_device, root):
    process = workers.start(__file__, "mirrored", root, root / "mirrored")
    ((status, output),) = workers.end([process])
    assert status == 0, output
    assert "ran out of data" not in output
    assert [folder.name for folder in (root / "mirrored").iterdir()] == ["adversarial"]
    assert_same_runs(root / "mirrored", on_one_device)


@pytest.mark.slow
def test_two_machines_train_as_one_though_one_dies_and_returns(on_one_device, root):
    results = root / "machines"
    machines = [(kind, root, results) for kind in ("lives", "dies")]
    chief, other = workers.end(workers.start_cluster(__file__, *machines))
    assert other[0] == -signal.SIGKILL
    assert chief[0] == 1 and "error: another worker has ended" in chief[1], chief[1]
    assert "start all workers again with `resume=True`, which goes on from step 2." in chief[1]

    machines = [("lives", root, results)] * 2
    for status, output in workers.end(workers.start_cluster(__file__, *machines)):
        assert status == 0, output
        assert "resuming from step 2 of 4" in output
        assert "ran out of data" not in output
    # The row of the epoch in which the worker died is the mean since the resume, as always.
    assert_same_runs(results, on_one_device)


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("several", "", "`strategy=several`: choose one of auto, mirrored, multiworker"),
        ("multiworker", "", "needs the variable TF_CONFIG"),
        ("mirrored", "", "`strategy=mirrored` finds one device"),
        ("auto", "{", "TF_CONFIG is broken"),
        (
            "auto",
            '{"cluster": {"worker": ["a:1", "b:1"]}}',
            "TF_CONFIG is broken .KeyError: 'task'",
        ),
        (
            "multiworker",
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
            "TF_CONFIG is broken .IndexError",
        ),
    ],
)
def test_impossible_strategies(name, config, message, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(InputError, match=message):
        strategies.choose(name, batch_size=2)


@pytest.mark.parametrize(
    "config", ["", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}']
)
def test_one_device_alone(config, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    strategy = strategies.choose("auto", batch_size=3)
    assert strategy.num_replicas_in_sync == 1
    assert strategies.is_chief(strategy)
    assert strategies.mean_over_workers(strategy, 7) == 7


def test_a_batch_must_be_shared_equally():
    with pytest.raises(InputError, match="`batch_size=3` cannot be shared equally by 2 devices"):
        strategies.check_batch(types.SimpleNamespace(num_replicas_in_sync=2), 3)


if __name__ == "__main__":
    sys.argv, arguments = sys.argv[:1], sys.argv[1:]
    errors.run(lambda _: main(arguments))
