"""Methods of one kernel, measured beside networks."""

import csv
import dataclasses
import pathlib

import numpy as np
import pytest

from tfdeblur import classical
from tfdeblur.cli import evaluate as cli_evaluate
from tfdeblur.datasets.kohler import kohler_dataset_builder as kohler
from tfdeblur.evaluation import scoring
from tfdeblur.evaluation.one_kernel import KOHLER_SIZES, OneKernel
from tfdeblur.io import images

TINY = dataclasses.replace(
    kohler.Builder.BUILDER_CONFIGS[0], name="tiny", images=1, trajectories=2, frames=3
)


@pytest.fixture
def sizes(monkeypatch):
    """The kernel sizes that were asked for; no kernel is estimated."""
    asked = []

    def restore(image, size, prior):
        asked.append((size, prior))
        return image, None

    monkeypatch.setattr(classical, "restore", restore)
    return asked


def rows():
    with open("report/scores.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_sizes_as_published():
    assert len(KOHLER_SIZES) == 48
    assert KOHLER_SIZES["000001/000010"] == KOHLER_SIZES["000004/000010"] == 151
    assert (KOHLER_SIZES["000002/000003"], KOHLER_SIZES["000003/000003"]) == (41, 31)


def test_restores_as_scoring_wants(sizes):
    method = OneKernel("pan2016", 25, {"1/2": 41})
    blurry = np.full((4, 6, 3), 51, np.uint8)
    restored = scoring.restored_by(method, ("1/2", blurry, None))
    assert restored.dtype == np.float32 and restored.max() == pytest.approx(0.2)
    scoring.restored_by(method, ("1/3", blurry, None))
    assert sizes == [(41, "dark_channel"), (25, "dark_channel")]


@pytest.mark.slow
def test_rows_beside_each_other(tmp_path, monkeypatch, run_command):
    monkeypatch.chdir(tmp_path)
    for i, sharp in enumerate(np.random.default_rng(0).integers(0, 256, (2, 40, 48, 3), np.uint8)):
        images.write(f"sharp/{i}.png", sharp)
        images.write(f"blurry/{i}.png", sharp // 2 + np.roll(sharp, 1, 1) // 2)
    done = run_command(
        cli_evaluate,
        *("--blurry_dir=blurry", "--sharp_dir=sharp", "--model=xu2013,pan2016"),
        *("--kernel_size=5", "--protocol=all", "--report=report"),
    )
    assert done.returncode == 0, done.stderr
    assert "xu2013 (kernel: 5x5), pan2016 (kernel: 5x5)" in done.stdout
    found = rows()
    assert {row["method"] for row in found} == {
        *("blurry", "xu2013 (kernel: 5x5)", "pan2016 (kernel: 5x5)")
    }
    assert len({row["protocol"] for row in found}) > 3
    timed = [row for row in found if row["method"] != "blurry" and row["image"].startswith("1")]
    assert all(float(row["seconds"]) > 0 and int(row["memory"]) > 0 for row in timed)


@pytest.mark.parametrize("flags", [["--weights=gopro"], ["--tile=64"], ["--self_ensemble"]])
def test_flags_of_networks_are_refused(tmp_path, monkeypatch, run_command, flags):
    monkeypatch.chdir(tmp_path)
    for folder in ("blurry", "sharp"):
        images.write(f"{folder}/a.png", np.zeros((8, 8, 3), np.uint8))
    done = run_command(
        cli_evaluate, "--blurry_dir=blurry", "--sharp_dir=sharp", "--model=xu2013", *flags
    )
    assert done.returncode == 1 and "--model=xu2013 is no network" in done.stderr


@pytest.mark.slow
def test_kohler(tmp_path, monkeypatch, run_command):
    """A stand-in of the dataset: one photograph, two trajectories, three frames each."""
    monkeypatch.chdir(tmp_path)
    # TFDS keeps what it once made of BUILDER_CONFIGS: patching those would reach other tests.
    monkeypatch.setattr(kohler.Builder, "builder_configs", {"tiny": TINY})
    y, x = np.mgrid[:161, :165]
    sharp = np.uint8(50 + 60 * ((x // 13) % 2) + 90 * ((y // 11 + x // 25) % 2))
    sharp = np.stack([sharp, sharp, 255 - sharp], -1)
    for trajectory in (1, 2):
        frames = [np.roll(sharp, k * trajectory, 1) for k in range(3)]
        blurry = np.mean(frames, 0).round().astype(np.uint8)
        images.write(f"manual/Blurry1_{trajectory}.png", blurry)
        for number, frame in enumerate(frames, 1):
            folder = pathlib.Path("manual", "Image1", f"Kernel{trajectory}")
            images.write(folder / f"GroundTruth1_{trajectory}_{number}.png", frame)
    done = run_command(
        cli_evaluate,
        *("--dataset=kohler/tiny", "--model=xu2013", "--report=report"),
        *("--data_dir=data", "--manual_dir=manual"),
    )
    assert done.returncode == 0, done.stderr
    assert "xu2013 (kernel: the published sizes of Köhler's images)" in done.stdout
    found = rows()
    assert {(row["image"], row["method"]) for row in found} == {
        (f"000001/00000{trajectory}", method)
        for trajectory in (1, 2)
        for method in ("blurry", "restored")
    }
    report = pathlib.Path("report/report.md").read_text(encoding="utf-8")
    assert "Pan et al." in report and "As quoted by papers" in report
