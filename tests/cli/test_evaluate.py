"""evaluate.py as a user starts it."""

import csv
import functools
import json
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tfdeblur import metrics, models
from tfdeblur.cli import evaluate as cli_evaluate
from tfdeblur.cli import evaluating
from tfdeblur.evaluation import paper_tables, protocols, test_sets
from tfdeblur.io import images
from tfdeblur.published import Published

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = ("--blurry_dir=blurry", "--sharp_dir=sharp")
UNBUILT = ("--dataset=dead_leaves/small", "--data_dir=new")


def command(*flags):
    return [sys.executable, str(ROOT / "evaluate.py"), *flags]


@pytest.fixture
def evaluate(run_command):
    return functools.partial(run_command, cli_evaluate)


def make_pairs(count, shape=(13, 17, 3)):
    for i, sharp in enumerate(np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)):
        images.write(f"sharp/s/{i:03d}.png", sharp)
        images.write(f"blurry/s/{i:03d}.png", sharp // 2)


def rows(path="report/scores.csv"):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with two networks."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        models.build("mimo_unet", filters=4, resblocks=1).save(f"{name}.keras")


def test_the_flags_name_every_protocol_and_table():
    assert tuple(protocols.PROTOCOLS) == cli_evaluate.PROTOCOLS
    assert cli_evaluate.PROTOCOLS[0] == protocols.DEFAULT
    assert cli_evaluate.TABLES == paper_tables.DATASETS


@pytest.mark.slow
def test_one_network(folder, evaluate):
    make_pairs(3)
    done = evaluate(
        "--model=a.keras", *FOLDERS, "--protocol=mimo_unet", "--limit=2", "--report=report"
    )
    assert done.returncode == 0, done.stderr
    assert "Evaluating a.keras on 2 images of blurry against sharp" in done.stdout
    assert "SSIM (volume)" in done.stdout and "| gain" in done.stdout
    for setting in ("rounding: clipped, not rounded", "precision: float32", "self-ensemble: no"):
        assert setting in done.stdout
    summary = json.loads(pathlib.Path("report/metrics.json").read_text())
    expected = [
        metrics.psnr(images.read(f"sharp/s/00{i}.png"), images.read(f"blurry/s/00{i}.png"), 255)
        for i in range(2)
    ]
    assert summary["images"] == 2
    assert summary["psnr_blurry"] == pytest.approx(np.mean(expected))
    assert summary.keys() >= {"psnr_restored", "ssim_blurry", "ssim_restored"}
    network = models.build("mimo_unet", filters=4, resblocks=1)
    (result,) = [one for one in summary["results"] if one["method"] == "restored"]
    assert result["parameters"] == network.count_params() and result["macs"] > 1e6
    assert result["seconds"] > 0
    names = {path.name for path in pathlib.Path("report").iterdir()}
    assert names == {
        *("report.md", "report.html", "comparison.png", "tfdeblur.json"),
        *("scores.csv", "metrics.json", "evaluation.json"),
    }


@pytest.mark.slow
def test_an_interrupted_evaluation_goes_on(folder, evaluate):
    """SIGINT to a real process after its first images; then the same command again."""
    make_pairs(150)
    flags = ("--model=a.keras,b.keras", *FOLDERS, "--protocol=nah2017", "--report=report")
    process = subprocess.Popen(
        command(*flags),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell may have started this one with Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    path = pathlib.Path("report/scores.csv")
    while not path.exists() or path.read_bytes().count(b"\n") < 10:
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130
    assert b"The same command goes on after what report/scores.csv holds" in stderr
    before = rows()
    assert 9 <= len(before) < 450

    done = evaluate(*flags)
    assert done.returncode == 0, done.stderr
    assert f"{len(before) // 3} of them are in report/scores.csv already" in done.stdout
    after = rows()
    whole = len(before) - len(before) % 3
    assert after[:whole] == before[:whole]
    assert [(row["image"], row["method"]) for row in after] == [
        (f"s/{i:03d}", method) for i in range(150) for method in ("blurry", "a.keras", "b.keras")
    ]
    assert "gain of b.keras" in pathlib.Path("report/report.md").read_text()

    models.build("mimo_unet", filters=4, resblocks=1).save("b.keras")
    changed = evaluate(*flags, "--limit=2")
    assert "already" not in changed.stdout and len(rows()) == 6


@pytest.mark.slow
def test_photos_without_sharp_images_and_several_networks(folder, evaluate):
    make_pairs(2, (40, 48, 3))
    flags = ("--blurry_dir=blurry", "--model=a.keras,b.keras", "--report=report")
    done = evaluate(*flags, "--compare_at=8,4,16")
    assert done.returncode == 0, done.stderr
    text = pathlib.Path("report/report.md").read_text()
    assert "2 images without ground truth" in text and "comparison/s/001.png)" in text
    page = images.read("report/comparison/s/001.png")
    assert page.shape[1] > 3 * 256 and page.shape[0] > 40 + 256


@pytest.mark.slow
def test_several_methods_and_the_two_ways_are_shown_at_one_place(folder, evaluate):
    make_pairs(2, (13, 47, 3))  # no multiples of 16; the square touches the border
    models.build("mtwnet", filters=4).save("two.keras")
    flags = ("--model=a.keras,two.keras", *FOLDERS, "--report=report", "--compare_at=35,1,12")
    done = evaluate(*flags)
    assert done.returncode == 0, done.stderr
    text = pathlib.Path("report/report.md").read_text()
    assert "(methods.png)" in text and "(two_way.png)" in text
    assert images.read("report/methods.png").shape[1] > 4 * 256
    assert images.read("report/two_way.png").shape[1] > 4 * 256
    outside = evaluate(*flags[:-1], "--compare_at=40,0,16")
    assert "--compare_at=40,0,16 does not lie in" in outside.stderr.splitlines()[-1]


def test_a_square_outside_the_images_is_told_before_one_is_scored(folder, evaluate):
    make_pairs(2)
    flags = ("--model=a.keras", *FOLDERS, "--report=report", "--compare_at=10,0,8")
    outside = evaluate(*flags)
    assert outside.returncode == 1
    assert outside.stderr.splitlines()[-1].startswith("error: --compare_at=10,0,8 does not lie in")
    assert not pathlib.Path("report/report.md").exists() and rows() == []


def test_the_blurry_images_alone(folder, evaluate):
    make_pairs(2)
    done = evaluate("--blurry_baseline", *FOLDERS, "--protocol=nah2017")
    assert done.returncode == 0, done.stderr
    assert "Evaluating the blurry images alone on 2 images" in done.stdout
    assert "| blurry input |" in done.stdout and "restored" not in done.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give either --dataset, or both --blurry_dir and --sharp_dir"),
        ([*FOLDERS, "--compare_at=1,2", "--report=r"], "--compare_at=1,2: give x,y,size"),
        (["--dataset=no_such_dataset"], "no_such_dataset"),
        # Before the dataset is made, which would take a minute.
        ([*UNBUILT, "--model=mimo_unit"], "Did you mean mimo_unet?"),
        ([*UNBUILT, "--model=dmphn"], "dmphn has random weights without --weights=FILE"),
        ([*UNBUILT, "--protocol=nah"], "--protocol=nah is unknown"),
        ([*FOLDERS, "--protocol=kohler"], "but this data has one sharp image each"),
        ([*FOLDERS, "--model=dmphn,dmphn", "--weights=x"], "--weights=x names 1, --model 2"),
        # What would say nothing.
        ([*FOLDERS, "--split=test"], "--split is for --dataset: leave it out"),
        ([*FOLDERS, "--model=photographs", "--kernel_size=5"], "is of --model=xu2013 or pan2016"),
        ([*FOLDERS, "--blurry_baseline", "--tile=64"], "alone: leave out --tile. A network"),
        (["--table=gopro", "--blurry_baseline"], "whole test splits: leave out --blurry_baseline"),
        (["--table=gopro", "--compare_at=1,2,3"], "whole test splits: leave out --compare_at"),
        (["--table=gopro", "--weights=x"], "--weights=x beside --table: name their --model"),
    ],
)
def test_mistakes_end_in_one_line(tmp_path, monkeypatch, flags, message, evaluate):
    monkeypatch.chdir(tmp_path)
    make_pairs(1)
    done = evaluate(*flags)
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not pathlib.Path("new").exists()


def test_the_papers_tables_are_printed_without_data_or_weights(
    folder, monkeypatch, tmp_path, evaluate
):
    monkeypatch.setenv("TFDEBLUR_CACHE", str(tmp_path / "empty"))
    done = evaluate("--table=gopro", f"--data_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("| MPRNet")]
    assert [cell.strip() for cell in line.split("|")[-4:-1]] == ["gopro/blur, mprnet", "", ""]
    assert "evaluate --dataset=gopro/blur builds one" in done.stderr


def test_what_is_measured_for_a_table_is_the_mean_by_the_protocol_of_its_row(folder):
    make_pairs(2)
    source = test_sets.from_folders("blurry", "sharp")
    own = Published("gopro/blur", 30.0, 0.9, "mimo_unet", "a paper")
    measured = evaluating.measure(source, "mimo_unet", {"a": (lambda x: x / 255 + 0.1, own)})
    names = [f"s/00{i}.png" for i in range(2)]
    expected = [
        metrics.psnr(
            images.read(f"sharp/{name}") / 255,
            np.clip(images.read(f"blurry/{name}") / 255 + 0.1, 0, 1),
            1,
        )
        for name in names
    ]
    assert measured[own][0] == pytest.approx(np.mean(expected), abs=1e-3)


def test_a_table_takes_no_data_of_ones_own(folder, evaluate):
    done = evaluate("--table=gopro", *FOLDERS)
    assert done.returncode == 1
    assert "--table=gopro measures what its rows say" in done.stderr
    assert "leave out --blurry_dir" in done.stderr


def test_a_protocol_that_does_not_fit_is_told_before_anything_is_built(folder, evaluate):
    flags = ["--data_dir=nowhere", "--blurry_baseline", "--protocol=srn"]
    done = evaluate("--dataset=lai", *flags)
    assert done.returncode == 1
    assert (
        "this data has no sharp images: choose --protocol=lai or --dataset=lai/uni" in done.stderr
    )
    assert "Downloading" not in done.stdout and not pathlib.Path("nowhere").exists()
