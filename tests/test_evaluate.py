"""evaluate.py as a user starts it."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tfdeblur import images, metrics, models

ROOT = pathlib.Path(__file__).parents[1]


def evaluate(*flags):
    command = [sys.executable, str(ROOT / "evaluate.py"), *flags]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    """The current folder, with net.keras and three pairs in blurry/ and sharp/."""
    monkeypatch.chdir(tmp_path)
    models.build("mimo_unet", filters=4, resblocks=1).save("net.keras")
    for i, sharp in enumerate(np.random.default_rng(0).integers(0, 256, (3, 13, 17, 3), np.uint8)):
        images.write(f"sharp/s/{i}.png", sharp)
        images.write(f"blurry/s/{i}.png", sharp // 2)


def test_folders_and_report(pairs):
    done = evaluate(
        "--model=net.keras",
        "--blurry_dir=blurry",
        "--sharp_dir=sharp",
        "--protocol=mimo_unet",
        "--limit=2",
        "--report=report",
    )
    assert done.returncode == 0, done.stderr
    assert "Evaluating net.keras on 2 pairs of blurry against sharp" in done.stdout
    assert "SSIM (volume)" in done.stdout
    for setting in ("rounding: clipped, not rounded", "precision: float32", "self-ensemble: no"):
        assert setting in done.stdout
    summary = json.loads(pathlib.Path("report/metrics.json").read_text())
    expected = [
        metrics.psnr(images.read(f"sharp/s/{i}.png"), images.read(f"blurry/s/{i}.png"), 255)
        for i in range(2)
    ]
    assert summary["images"] == 2
    assert summary["psnr_blurry"] == pytest.approx(np.mean(expected))
    assert summary.keys() >= {"psnr_restored", "ssim_blurry", "ssim_restored"}
    names = {path.name for path in pathlib.Path("report").iterdir()}
    assert names == {"report.md", "scores.csv", "metrics.json", "comparison.png"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give either --dataset, or both --blurry_dir and --sharp_dir"),
        (["--dataset=dead_leaves", "--blurry_dir=x"], "give either --dataset"),
        (["--dataset=dead_leaves", "--protocol=x"], "--protocol=x is unknown: choose one of"),
        (["--dataset=no_such_dataset"], "no_such_dataset"),
    ],
)
def test_mistakes_end_in_one_line(tmp_path, monkeypatch, flags, message):
    monkeypatch.chdir(tmp_path)
    done = evaluate(*flags)
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
