import dataclasses
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import types

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from holding import held_by_another

from tfdeblur import metrics, models, restoration, weights
from tfdeblur.data.pairs import split_folders
from tfdeblur.errors import InputError, Stopped
from tfdeblur.evaluation import evaluate, protocols, summarise
from tfdeblur.published import Published
from tfdeblur.recipes import RECIPES, Adversarial, CosineDecay, Stage
from tfdeblur.training import build, callbacks, checkpoints, runs, strategies

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RECIPE = dataclasses.replace(
    RECIPES["quickstart"],
    network="deepdeblur",
    hyperparameters={"scales": 2, "filters": 4, "resblocks": 1},
    crop=16,
    batch_size=2,
    progressive=(Stage(until=0.8, crop=8, batch_size=4),),
    steps=5,
    validate_every=2,
    schedule=CosineDecay(rate=1e-3, warmup=0.2),
    loss="mse",
    label_pyramid="gaussian",
    initialization="as_built",
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Twelve pairs: images of smooth noise, blurred along their rows."""
    root = tmp_path_factory.mktemp("pairs")
    for kind in ("blurry", "sharp"):
        (root / kind).mkdir()
    for i in range(12):
        rng = np.random.default_rng(i)
        sharp = np.kron(rng.integers(0, 256, (8, 10, 3)), np.ones((3, 3, 1))).astype("uint8")
        blurry = np.mean([np.roll(sharp, k, axis=1) for k in range(-2, 3)], axis=0)
        PIL.Image.fromarray(sharp).save(root / "sharp" / f"{i:02}.png")
        PIL.Image.fromarray(blurry.astype("uint8")).save(root / "blurry" / f"{i:02}.png")
    return root / "blurry", root / "sharp"


@pytest.fixture(scope="module")
def pairs(folders):
    return split_folders(*folders, smallest=16)


@pytest.fixture(scope="module")
def whole(pairs, tmp_path_factory):
    """A run that nothing interrupted."""
    workdir = tmp_path_factory.mktemp("run") / "whole"
    return workdir, runs.train(RECIPE, *pairs, workdir, precision_name="float32")


@pytest.mark.slow
def test_a_run_ends_with_its_own_target(pairs, tmp_path, monkeypatch):
    published = Published("gopro", 30.0, 0.9, "nah2017", "a paper")
    recipe = dataclasses.replace(RECIPE, dataset="gopro/blur", published=(published,))
    monkeypatch.setitem(RECIPES, recipe.name, recipe)
    train, test = (
        dataclasses.replace(part, dataset="gopro/blur", split=split)
        for part, split in zip(pairs, ("train", "test"), strict=True)
    )
    short = dataclasses.replace(recipe, steps=1, progressive=None)
    summary = runs.train(short, train, test, tmp_path / "run", validation_pairs=train)
    report = (tmp_path / "run" / "report.md").read_text()
    assert summary["targets"] in report and "gopro/blur, nah2017 | PSNR (dB) |" in report
    assert f"best.keras chosen on: {train.name}, the middle of up to 32 images" in report
    network = weights.load_network(tmp_path / "run" / "model.keras")
    assert network.origin == {"recipe": "quickstart", "dataset": "gopro/blur"}
    numbers = json.loads((tmp_path / "run" / "metrics.json").read_text())
    (row,) = [row for row in numbers["results"] if row["published_psnr"]]
    assert (row["method"], row["protocol"]) == ("restored", "nah2017")


def final_weights(workdir):
    return keras.saving.load_model(workdir / "model.keras").get_weights()


@pytest.mark.parametrize(("more", "said"), [(0, False), (1, True)])
def test_a_resume_with_other_threads_says_so(more, said, capsys):
    saved = types.SimpleNamespace(restore=lambda: 3, threads=strategies.threads() + more)
    runs._restore(saved, True, 5, tf.distribute.get_strategy())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "resuming from step 3 of 5"
    assert any(f"trained with {saved.threads} threads" in line for line in lines[1:]) == said


def test_two_trainings_in_one_workdir_are_refused(pairs, tmp_path):
    with (
        held_by_another(tmp_path / "run") as other,
        pytest.raises(InputError, match=f"in use by another tfdeblur .*{other.pid}"),
    ):
        runs.train(RECIPE, *pairs, tmp_path / "run", precision_name="float32")
    assert not (tmp_path / "run").exists()


def test_the_last_tenth_is_held_out(pairs):
    train, test = pairs
    assert (train.count, test.count) == (11, 1)
    assert [name for name, _, _ in test.numpy_pairs()] == ["11"]


def test_pairs_for_validation_lie_between(tmp_path):
    for kind in ("blurry", "sharp"):
        (tmp_path / kind).mkdir()
        for i in range(60):
            PIL.Image.new("RGB", (8, 8)).save(tmp_path / kind / f"{i:02}.png")
    train, between, test = split_folders(tmp_path / "blurry", tmp_path / "sharp", validation=True)
    assert (train.count, test.count) == (53, 6)
    assert [name for name, _, _ in between.numpy_pairs()] == ["53"]


@pytest.mark.slow
def test_a_run_leaves_everything(whole):
    workdir, summary = whole
    for name in ("model.keras", "best.keras", "saved_model", "recipe.json", "comparison.png"):
        assert (workdir / name).exists()
    report = (workdir / "report.md").read_text()
    assert 'src="curves.png"' in (workdir / "report.html").read_text()
    assert "(curves.png)" in report and "| 5 " in report and "self-ensemble: no" in report
    assert PIL.Image.open(workdir / "curves.png").size == (1000, 350)
    assert list((workdir / "tensorboard").glob("events*"))
    rows = callbacks.read_metrics(workdir / "metrics.csv")
    assert [int(row["step"]) for row in rows] == [2, 4, 5]
    assert all(np.isfinite(float(row["val_psnr"])) for row in rows)
    metrics = json.loads((workdir / "metrics.json").read_text())
    for key in ("psnr_blurry", "psnr_restored", "ssim_blurry", "ssim_restored"):
        assert metrics[key] == pytest.approx(summary[key])
    assert not list(workdir.rglob(".*"))


@pytest.mark.slow
def test_the_scores_are_those_of_the_saved_model(whole, pairs):
    workdir, summary = whole
    net = keras.saving.load_model(workdir / "model.keras")
    scores = evaluate(
        pairs[1].numpy_pairs(),
        lambda image: restoration.restore_float(net, image),
        protocols.PROTOCOLS[protocols.DEFAULT],
    )
    assert summarise(scores)["psnr_restored"] == pytest.approx(summary["psnr_restored"], abs=1e-4)


VALIDATION = ("val_loss", "val_psnr", "val_psnr_blurry")


def assert_same_run(workdir, expected):
    for name in ("model.keras", "best.keras"):
        weights = [keras.saving.load_model(run / name).get_weights() for run in (workdir, expected)]
        for value, other in zip(*weights, strict=True):
            np.testing.assert_array_equal(value, other)
    rows = [callbacks.read_metrics(run / "metrics.csv") for run in (workdir, expected)]
    assert [row["step"] for row in rows[0]] == [row["step"] for row in rows[1]]
    for row, other in zip(*rows, strict=True):
        assert [row[x] for x in VALIDATION] == [other[x] for x in VALIDATION]


@pytest.mark.slow
def test_killed_runs_resume_to_the_same_weights():
    """SIGKILL to real processes, at random moments; `--kills=20` does it more often."""
    script = pathlib.Path(__file__).parents[2] / "benchmarks" / "kill_and_resume.py"
    command = [sys.executable, str(script), "--kills=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "model.keras: the same" in done.stdout and "metrics.csv: the same" in done.stdout


@pytest.fixture
def signal_at(monkeypatch):
    """Sends this process a signal after a step."""

    def arrange(number, at):
        before = callbacks.StopAtLastStep.on_train_batch_end

        def after_step(self, batch, logs=None):
            before(self, batch, logs)
            if self.checkpoints.step == at:
                os.kill(os.getpid(), number)

        monkeypatch.setattr(callbacks.StopAtLastStep, "on_train_batch_end", after_step)

    return arrange


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "error", "at"),
    [(signal.SIGHUP, Stopped, 3), (signal.SIGINT, KeyboardInterrupt, 4)],
    ids=["SIGHUP inside an epoch", "Ctrl-C at the end of an epoch"],
)
def test_a_stopped_run_is_saved(number, error, at, signal_at, whole, pairs, tmp_path, capsys):
    workdir = tmp_path / "run"
    ignored = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as under `nohup`
    handlers = [signal.getsignal(n) for n in ENDING]
    signal_at(number, at)
    with pytest.raises(error) as stopped:
        runs.train(RECIPE, *pairs, workdir, precision_name="float32")
    assert type(stopped.value) is error and getattr(stopped.value, "number", number) == number
    assert f"`resume=True` will go on from step {at}" in capsys.readouterr().err
    assert [signal.getsignal(n) for n in ENDING] == handlers
    signal.signal(signal.SIGHUP, ignored)

    runs.train(RECIPE, *pairs, workdir, precision_name="float32", resume=True)
    assert f"resuming from step {at}" in capsys.readouterr().out
    assert_same_run(workdir, whole[0])


@pytest.mark.slow
def test_a_full_disk_leaves_the_checkpoint_before(signal_at, whole, pairs, tmp_path):
    """A limit on the size of files stands for it."""
    workdir = tmp_path / "run"
    signal_at(signal.SIGTERM, 3)
    with pytest.raises(Stopped):
        runs.train(RECIPE, *pairs, workdir, precision_name="float32")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(InputError, match=r"disk of `workdir=.* full.*`resume.* from step 3"):
            runs.train(RECIPE, *pairs, workdir, precision_name="float32", resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    left = sorted(path.name for path in (workdir / "checkpoints").iterdir())
    assert left == ["step_000000002.npz", "step_000000003.npz"]
    runs.train(RECIPE, *pairs, workdir, precision_name="float32", resume=True)
    assert_same_run(workdir, whole[0])


def test_gradient_checkpointing_needs_less_memory():
    recipe = dataclasses.replace(RECIPE, gradient_checkpointing=True)
    needed = [
        build.memory_of_step(build.build_trainer(r), r.batch_size, r.crop) for r in (recipe, RECIPE)
    ]
    assert needed[0] < needed[1]


@pytest.mark.slow
def test_moving_averages_clipping_and_accumulation(pairs, tmp_path):
    """The averages are saved and measured; a checkpoint has the weights themselves."""
    recipe = dataclasses.replace(RECIPE, ema_momentum=0.9, clip_norm=0.1, accumulate=2)
    workdir = tmp_path / "run"
    runs.train(recipe, *pairs, workdir, precision_name="float32", keep_checkpoints=3)
    assert len(list(workdir.glob("checkpoints/step_*.npz"))) == 3
    trainer = build.build_trainer(recipe)
    assert trainer.optimizer.global_clipnorm == 0.1
    assert trainer.optimizer.gradient_accumulation_steps == 2
    checkpoints.Checkpoints(workdir / "checkpoints", trainer).restore()
    weights = trainer.network.get_weights()
    with trainer.averaged_weights():
        averages = trainer.network.get_weights()
    saved = final_weights(workdir)
    assert all(np.array_equal(a, b) for a, b in zip(saved, averages, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(saved, weights, strict=True))


@pytest.mark.slow
def test_the_self_ensemble_of_a_recipe_is_measured(whole, pairs, tmp_path):
    """A finished run needs but its measurement again."""
    workdir = shutil.copytree(whole[0], tmp_path / "run")
    marker = json.loads((workdir / "recipe.json").read_text())
    marker["recipe"]["self_ensemble"] = True
    (workdir / "recipe.json").write_text(json.dumps(marker))
    recipe = dataclasses.replace(RECIPE, self_ensemble=True)
    summary = runs.train(recipe, *pairs, workdir, precision_name="float32", resume=True)
    net = keras.saving.load_model(workdir / "model.keras")
    _, blurry, sharp = next(pairs[1].numpy_pairs())
    restored = restoration.restore(net, blurry, self_ensemble=True)
    assert summary["psnr_restored"] == pytest.approx(metrics.psnr(sharp, restored, 255), abs=1e-4)
    assert "self-ensemble: mean over four rotations" in (workdir / "report.md").read_text()


def test_adversarial_crops_must_be_those_of_the_discriminator(pairs, tmp_path):
    recipe = dataclasses.replace(RECIPE, adversarial=Adversarial())
    with pytest.raises(InputError, match=r"`crop=16`: the discriminator .* judges 256x256"):
        runs.train(recipe, *pairs, tmp_path / "run")


@pytest.mark.slow
def test_a_workdir_with_a_run_is_refused(whole, pairs):
    with pytest.raises(InputError, match=r"holds a run already: `resume=True` .* `overwrite=True`"):
        runs.train(RECIPE, *pairs, whole[0])


@pytest.mark.slow
def test_another_recipes_run_is_not_resumed(whole, pairs):
    other = dataclasses.replace(RECIPE, batch_size=3, name="other")
    with pytest.raises(InputError, match=r"holds a run of `recipe=quickstart`.*`overwrite=True`"):
        runs.train(other, *pairs, whole[0], precision_name="float32", resume=True)


@pytest.mark.slow
def test_a_run_that_only_skips_steps_stops(pairs, tmp_path):
    """Broken initial weights make every gradient NaN."""
    net = models.build(RECIPE.network, **RECIPE.hyperparameters)
    net.set_weights([np.full_like(w, np.nan) for w in net.get_weights()])
    net.save(tmp_path / "broken.keras")
    recipe = dataclasses.replace(RECIPE, steps=50, validate_every=50)
    with pytest.raises(InputError, match=r"20 steps in a row .* not finite, the last one step 20"):
        runs.train(recipe, *pairs, tmp_path / "run", initial_weights=tmp_path / "broken.keras")


@pytest.mark.slow
def test_fine_tuning_starts_from_the_weights(whole, pairs, tmp_path):
    recipe = dataclasses.replace(
        RECIPE,
        steps=1,
        schedule=CosineDecay(rate=0.0, warmup=0.1),
    )
    start = whole[0] / "model.keras"
    runs.train(recipe, *pairs, tmp_path / "tuned", precision_name="float32", initial_weights=start)
    for tuned, expected in zip(
        final_weights(tmp_path / "tuned"), final_weights(whole[0]), strict=True
    ):
        np.testing.assert_array_equal(tuned, expected)


@pytest.mark.slow
def test_a_truncated_image_is_named(folders, tmp_path):
    for folder in folders:
        shutil.copytree(folder, tmp_path / folder.name)
    broken = tmp_path / "blurry" / "03.png"
    broken.write_bytes(broken.read_bytes()[:300])
    pairs = split_folders(tmp_path / "blurry", tmp_path / "sharp", smallest=16)
    recipe = dataclasses.replace(RECIPE, steps=20, validate_every=20)
    with pytest.raises(InputError, match=r"03\.png is broken \(.*\): replace or remove it"):
        runs.train(recipe, *pairs, tmp_path / "run", precision_name="float32")
    assert os.listdir(tmp_path / "run" / "checkpoints")


@pytest.mark.slow
def test_crops_that_are_larger_than_an_image_name_it(folders, tmp_path):
    pairs = split_folders(*folders)  # images of 30x24 pixels
    recipe = dataclasses.replace(RECIPE, crop=32, progressive=())
    with pytest.raises(InputError, match=r"00\.png is 30x24 pixels, smaller than .* 32x32: choose"):
        runs.train(recipe, *pairs, tmp_path / "run", precision_name="float32")


@pytest.mark.slow
def test_data_that_vanish_leave_a_checkpoint(folders, tmp_path, monkeypatch):
    for folder in folders:
        shutil.copytree(folder, tmp_path / folder.name)
    own = tmp_path / "blurry", tmp_path / "sharp"
    pairs = split_folders(*own, smallest=16)
    before = callbacks.StopAtLastStep.on_train_batch_end

    def after_step(self, batch, logs=None):
        before(self, batch, logs)
        if self.checkpoints.step == 3:
            for path in (tmp_path / "blurry").iterdir():
                path.unlink()

    recipe = dataclasses.replace(RECIPE, steps=200, validate_every=200)
    with monkeypatch.context() as patch:
        patch.setattr(callbacks.StopAtLastStep, "on_train_batch_end", after_step)
        with pytest.raises(
            InputError, match=r"\d\d\.png is broken \(.*`resume=True` goes on"
        ) as gone:
            runs.train(recipe, *pairs, tmp_path / "run", precision_name="float32")
    (saved,) = (tmp_path / "run" / "checkpoints").iterdir()
    step = int(saved.stem.removeprefix("step_"))
    assert step >= 3 and f"from step {step}." in str(gone.value)


@pytest.mark.slow
def test_another_batch_size_is_not_resumed(whole, pairs):
    other = dataclasses.replace(RECIPE, batch_size=3)
    with pytest.raises(InputError, match=r"different are: batch_size \(2, now 3\)"):
        runs.train(other, *pairs, whole[0], precision_name="float32", resume=True)


@pytest.mark.slow
def test_wrong_input_does_not_cost_the_old_run(whole, pairs, tmp_path):
    workdir = shutil.copytree(whole[0], tmp_path / "old")
    (tmp_path / "broken.keras").write_bytes(b"no network")
    for changes, arguments in (
        ({"crop": 17}, {}),
        ({}, {"initial_weights": tmp_path / "broken.keras"}),
    ):
        recipe = dataclasses.replace(RECIPE, **changes)
        with pytest.raises(InputError):
            runs.train(recipe, *pairs, workdir, overwrite=True, **arguments)
    assert (workdir / "model.keras").exists()


def test_batches_that_cannot_fit_are_refused(pairs, tmp_path):
    with pytest.raises(InputError, match=r"needs more than .* `batch_size`"):
        runs.train(dataclasses.replace(RECIPE, batch_size=10**9), *pairs, tmp_path / "run")


def test_crops_must_fit_the_network(pairs, tmp_path):
    with pytest.raises(InputError, match="`crop=17` must be a multiple of 2"):
        runs.train(dataclasses.replace(RECIPE, crop=17), *pairs, tmp_path / "run")
