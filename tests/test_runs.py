import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import PIL.Image
import pytest

from tfdeblur import models, pipeline, restoration, runs
from tfdeblur.errors import InputError
from tfdeblur.evaluation import evaluate, protocols, summarise
from tfdeblur.recipes import RECIPES, CosineDecay

# Dropout is in it, so that its seed is part of what a resume has to bring back.
RECIPE = dataclasses.replace(
    RECIPES["quickstart"],
    network="mimo_unet_plus",
    hyperparameters={"filters": 8, "resblocks": 1},
    crop=16,
    batch_size=2,
    steps=5,
    validate_every=2,
    schedule=CosineDecay(rate=1e-3, warmup=0.2),
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
    return pipeline.split_folders(*folders, smallest=16)


@pytest.fixture(scope="module")
def whole(pairs, tmp_path_factory):
    """A run that nothing interrupted."""
    workdir = tmp_path_factory.mktemp("run") / "whole"
    return workdir, runs.train(RECIPE, *pairs, workdir, precision_name="float32")


def final_weights(workdir):
    return keras.saving.load_model(workdir / "model.keras").get_weights()


def test_the_last_tenth_is_held_out(pairs):
    train, test = pairs
    assert (train.count, test.count) == (11, 1)
    assert [name for name, _, _ in test.numpy_pairs()] == ["11"]


def test_a_run_leaves_everything(whole):
    workdir, summary = whole
    for name in ("model.keras", "saved_model", "recipe.json", "report.md", "comparison.png"):
        assert (workdir / name).exists()
    assert list((workdir / "tensorboard").glob("events*"))
    rows = runs.read_metrics(workdir / "metrics.csv")
    assert [int(row["step"]) for row in rows] == [2, 4, 5]
    assert all(np.isfinite(float(row["val_psnr"])) for row in rows)
    metrics = json.loads((workdir / "metrics.json").read_text())
    for key in ("psnr_blurry", "psnr_restored", "ssim_blurry", "ssim_restored"):
        assert metrics[key] == pytest.approx(summary[key])
    assert not list(workdir.glob("*.tmp"))


def test_the_scores_are_those_of_the_saved_model(whole, pairs):
    workdir, summary = whole
    net = keras.saving.load_model(workdir / "model.keras")
    scores = evaluate(
        pairs[1].numpy_pairs(),
        lambda image: restoration.restore_float(net, image),
        protocols.PROTOCOLS[protocols.DEFAULT],
    )
    assert summarise(scores)["psnr_restored"] == pytest.approx(summary["psnr_restored"], abs=1e-4)


def test_a_killed_run_resumes_to_the_same_weights(whole, folders, tmp_path):
    """SIGKILL to a real process after its first checkpoint; then --resume, bit for bit."""
    workdir = tmp_path / "killed"
    code = (
        "from test_runs import RECIPE; from tfdeblur import pipeline, runs\n"
        f"pairs = pipeline.split_folders({str(folders[0])!r}, {str(folders[1])!r}, smallest=16)\n"
        f"runs.train(RECIPE, *pairs, {str(workdir)!r}, precision_name='float32', resume=True)\n"
    )
    command = [sys.executable, "-c", code]
    here = os.path.dirname(__file__)
    process = subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while not list(workdir.glob("checkpoints/*.npz")):
        assert process.poll() is None, process.stdout.read().decode()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (workdir / "model.keras").exists()

    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "resuming from step" in done.stdout
    for resumed, expected in zip(final_weights(workdir), final_weights(whole[0]), strict=True):
        np.testing.assert_array_equal(resumed, expected)
    rows = runs.read_metrics(workdir / "metrics.csv")
    assert [int(row["step"]) for row in rows] == [2, 4, 5]


def test_a_workdir_with_a_run_is_refused(whole, pairs):
    with pytest.raises(InputError, match=r"holds a run already: --resume .* --overwrite"):
        runs.train(RECIPE, *pairs, whole[0])


def test_another_recipes_run_is_not_resumed(whole, pairs):
    other = dataclasses.replace(RECIPE, batch_size=3, name="other")
    with pytest.raises(InputError, match=r"holds a run of --recipe=quickstart.*--overwrite"):
        runs.train(other, *pairs, whole[0], precision_name="float32", resume=True)


def test_a_run_that_only_skips_steps_stops(pairs, tmp_path):
    """Broken initial weights make every gradient NaN."""
    net = models.build(RECIPE.network, **RECIPE.hyperparameters)
    net.set_weights([np.full_like(w, np.nan) for w in net.get_weights()])
    net.save(tmp_path / "broken.keras")
    recipe = dataclasses.replace(RECIPE, steps=50, validate_every=50)
    with pytest.raises(InputError, match=r"20 steps in a row .* not finite, the last one step 20"):
        runs.train(recipe, *pairs, tmp_path / "run", initial_weights=tmp_path / "broken.keras")


def test_fine_tuning_starts_from_the_weights(whole, pairs, tmp_path):
    recipe = dataclasses.replace(
        RECIPE,
        steps=1,
        schedule=CosineDecay(rate=0.0, warmup=0.1),
        hyperparameters={"filters": 8, "resblocks": 1},
    )
    start = whole[0] / "model.keras"
    runs.train(recipe, *pairs, tmp_path / "tuned", precision_name="float32", initial_weights=start)
    for tuned, expected in zip(
        final_weights(tmp_path / "tuned"), final_weights(whole[0]), strict=True
    ):
        np.testing.assert_array_equal(tuned, expected)


def test_a_truncated_image_is_named(folders, tmp_path):
    for folder in folders:
        shutil.copytree(folder, tmp_path / folder.name)
    broken = tmp_path / "blurry" / "03.png"
    broken.write_bytes(broken.read_bytes()[:300])
    pairs = pipeline.split_folders(tmp_path / "blurry", tmp_path / "sharp", smallest=16)
    with pytest.raises(InputError, match=r"03\.png is broken \(.*\): replace or remove it"):
        runs.train(RECIPE, *pairs, tmp_path / "run", precision_name="float32")
    assert not (tmp_path / "run").exists()


def test_another_batch_size_is_not_resumed(whole, pairs):
    other = dataclasses.replace(RECIPE, batch_size=3)
    with pytest.raises(InputError, match=r"different are: batch_size \(2, now 3\)"):
        runs.train(other, *pairs, whole[0], precision_name="float32", resume=True)


def test_wrong_input_does_not_cost_the_old_run(whole, pairs, tmp_path):
    workdir = shutil.copytree(whole[0], tmp_path / "old")
    (tmp_path / "broken.keras").write_bytes(b"no network")
    for changes, arguments in (
        ({"crop": 18}, {}),
        ({}, {"initial_weights": tmp_path / "broken.keras"}),
    ):
        recipe = dataclasses.replace(RECIPE, **changes)
        with pytest.raises(InputError):
            runs.train(recipe, *pairs, workdir, overwrite=True, **arguments)
    assert (workdir / "model.keras").exists()


def test_folders_that_are_no_run_are_left_alone(pairs, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="holds files that are no run"):
        runs.train(RECIPE, *pairs, tmp_path, overwrite=True)
    with pytest.raises(InputError, match=r"--workdir=.*file cannot be made a folder"):
        runs.check_workdir(tmp_path / "file")
    assert (tmp_path / "thesis.tex").exists()


def test_batches_that_cannot_fit_are_refused(pairs, tmp_path):
    with pytest.raises(InputError, match=r"needs more than .* --batch_size"):
        runs.train(dataclasses.replace(RECIPE, batch_size=10**9), *pairs, tmp_path / "run")


def test_crops_must_fit_the_network(pairs, tmp_path):
    with pytest.raises(InputError, match="--crop=18 must be a multiple of 4"):
        runs.train(dataclasses.replace(RECIPE, crop=18), *pairs, tmp_path / "run")
