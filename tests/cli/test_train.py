"""The three commands in a row, as a newcomer runs them, on a few made-up pairs."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from tfdeblur.cli import evaluate, restore, train
from tfdeblur.recipes import RECIPES

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def folders(tmp_path):
    for kind in ("blurry", "sharp"):
        (tmp_path / kind).mkdir()
        for i in range(3):
            image = np.random.default_rng(i).integers(0, 256, (32, 40, 3), dtype="uint8")
            PIL.Image.fromarray(image).save(tmp_path / kind / f"{i}.png")
    return tmp_path


OWN_PAIRS = ("--blurry_dir=blurry", "--sharp_dir=sharp")


@pytest.mark.slow
def test_train_evaluate_deblur(folders, monkeypatch, run_command):
    monkeypatch.chdir(folders)
    recipe = RECIPES["quickstart"]
    smaller = dataclasses.replace(recipe, hyperparameters={"filters": 4, "resblocks": 1})
    monkeypatch.setitem(RECIPES, "quickstart", smaller)
    small = ("--steps=2", "--batch_size=2", "--crop=16")
    trained = run_command(train, *OWN_PAIRS, *small)
    assert trained.returncode == 0, trained.stderr
    assert "restored" in trained.stdout
    model = "--model=runs/quickstart/model.keras"
    last = trained.stdout.splitlines()[-1]
    assert last == f"To restore with this one: tfdeblur photo.jpg {model}"

    evaluated = run_command(evaluate, *OWN_PAIRS, model, "--report=report")
    assert evaluated.returncode == 0, evaluated.stderr
    assert "runs/quickstart/model.keras" in evaluated.stdout
    assert json.loads((folders / "report" / "metrics.json").read_text())["images"] == 3

    restored = run_command(restore, "blurry", model, "--output=out")
    assert restored.returncode == 0, restored.stderr
    assert PIL.Image.open(folders / "out" / "2.png").size == (40, 32)

    again = run_command(train, *OWN_PAIRS, *small)
    assert again.returncode == 1 and "--resume" in again.stderr


@pytest.mark.slow
def test_sigterm_saves_and_says_how_to_go_on(folders):
    options = ("--steps=100000", "--batch_size=2", "--crop=16", "--clip_norm=1", "--accumulate=2")
    options += ("--ema_momentum=0.9", "--gradient_checkpointing")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *OWN_PAIRS, *options],
        cwd=folders,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.startswith("first step"):
            break
    process.terminate()
    _, messages = process.communicate(timeout=300)
    assert process.returncode == 143, messages
    workdir = folders / "runs" / "quickstart"
    (checkpoint,) = (workdir / "checkpoints").iterdir()
    step = int(checkpoint.stem.removeprefix("step_"))
    assert f"--resume will go on from step {step}" in messages and "Traceback" not in messages
    recipe = json.loads((workdir / "recipe.json").read_text())["recipe"]
    changed = {"clip_norm": 1, "accumulate": 2, "ema_momentum": 0.9, "crop": 16, "steps": 100_000}
    changed["gradient_checkpointing"] = True
    assert {name: recipe[name] for name in changed} == changed


@pytest.mark.slow
def test_a_dry_run_shows_the_recipe_and_writes_nothing(folders, monkeypatch, run_command):
    monkeypatch.chdir(folders)
    before = sorted(folders.rglob("*"))
    small = ("--crop=16", "--batch_size=2", "--dry_run")
    done = run_command(train, *OWN_PAIRS, *small)
    assert done.returncode == 0, done.stderr
    printed = done.stdout
    assert "steps per epoch          1 (2 pairs)" in printed
    assert "time on this machine" in printed and "patches/s" in printed
    assert sorted(folders.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("scales=2,upsampling=bilinear", {"scales": 2, "upsampling": "bilinear"}),
        ("patches=[1,2,4],stacks=2", {"patches": [1, 2, 4], "stacks": 2}),
        ("filters=8,blocks=[1, 2],heads=[1,1]", {"filters": 8, "blocks": [1, 2], "heads": [1, 1]}),
        ("window=None,two_way=False", {"window": None, "two_way": False}),
    ],
)
def test_hyperparameters_may_be_lists(text, expected):
    assert train._hyperparameters(text) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--recipe=nothing",), "--recipe=nothing is unknown: choose one of quickstart"),
        (("--dataset=nothing",), "--blurry_dir and --sharp_dir"),
        # Before the dataset is made, which would take a minute.
        (("--data_dir=new", "--augmentations=flip"), "--augmentations=flip is unknown"),
        (("--data_dir=new", "--weights=a.keras"), "a.keras: no such file"),
        (("--data_dir=new", "--hyperparameters=filterz=1"), "Did you mean filters?"),
        (("--data_dir=new", "--hyperparameters=filters=4, filterz=1"), "Did you mean filters?"),
        (("--data_dir=new", "--hyperparameters=[1,2]"), "--hyperparameters=[1,2]: give NAME=VALUE"),
        (("--blurry_dir=blurry",), "--blurry_dir and --sharp_dir go together"),
        (("--blurry_dir=none", "--sharp_dir=sharp"), "--blurry_dir=none is not a folder"),
        (("--manual_dir=none", "--dry_run"), "--manual_dir=none is not a folder"),
        ((*OWN_PAIRS, "--precision=half"), "--precision=half"),
        (("--adversarial_weight=0.1",), "the recipe quickstart has no adversarial loss"),
        ((*OWN_PAIRS, "--crop=16", "--augmentations=flip"), "--augmentations=flip is unknown"),
        ((*OWN_PAIRS, "--strategy=multiworker"), "needs the variable TF_CONFIG"),
        (("--clip_norm=inf",), "--clip_norm=inf: give a finite number"),
        (("--ema_momentum=nan",), "--ema_momentum=nan: give a finite number"),
        (("surplus",), "'surplus'"),
    ],
)
def test_wrong_flags_end_in_one_line(folders, arguments, message, monkeypatch, run_command):
    monkeypatch.chdir(folders)
    done = run_command(train, *arguments)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error:") and message in line
    assert sorted(path.name for path in folders.iterdir()) == ["blurry", "sharp"]


def tree(folder):
    """{path: content} of all files, and of folders None."""
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("option", [(), ("--resume",), ("--overwrite",)])
def test_a_project_with_a_recipe_of_its_own_keeps_every_file(
    option, folders, monkeypatch, run_command
):
    project = folders / "project"
    for name in ("thesis.tex", ".git/HEAD", "deep/er/.x.tmp", ".incomplete-x", "model.keras"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("mine")
    (project / "recipe.json").write_text('{"recipe": {"name": "soup"}}')
    before = tree(folders)
    monkeypatch.chdir(folders)
    done = run_command(train, *OWN_PAIRS, "--workdir=project", "--steps=1", *option)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error:")
    assert "recipe.json is not of a training by tfdeblur" in line
    assert tree(folders) == before
