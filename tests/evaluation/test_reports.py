"""Tables, settings, pictures and the files of a report."""

import csv
import json
import math

import numpy as np
import pytest

from tfdeblur import evaluation, images
from tfdeblur.evaluation import PROTOCOLS, reports

PROTOCOL = PROTOCOLS["deepdeblur_pytorch"]


@pytest.fixture
def pairs():
    generator = np.random.default_rng(0)
    sharp = generator.integers(0, 256, (5, 12, 16, 3), np.uint8)
    return [(f"scene/{i}", image // (i + 2), image) for i, image in enumerate(sharp)]


def brighten(blurry):
    return np.clip(blurry / 255 * 3, 0, 1).astype(np.float32)


@pytest.fixture
def scores(pairs):
    return evaluation.evaluate(pairs, brighten, PROTOCOL)


def test_table():
    assert reports.table(["", "PSNR"], [["blurry", 9], ["b", "10.5"]]).splitlines() == [
        "|        | PSNR |",
        "|--------|-----:|",
        "| blurry |    9 |",
        "| b      | 10.5 |",
    ]


def test_summary_table_tells_a_loss():
    summary = {"psnr_blurry": 25.0, "psnr_restored": 24.5}
    summary |= {"ssim_blurry": 0.8, "ssim_restored": 0.81}
    summary |= {"ssim_volume_blurry": 0.9, "ssim_volume_restored": 0.9}
    both = reports.summary_table(summary, "gaussian")
    assert "SSIM (gaussian) | SSIM (volume)" in both
    assert "| gain         |     -0.50 |         +0.0100 |       +0.0000 |" in both
    assert reports.summary_table(summary, "volume").count("SSIM") == 1


def test_settings_line():
    assert reports.settings_line({"tile": "none", "limit": 3}) == "tile: none; limit: 3"


def test_versions():
    assert reports.versions().startswith("tfdeblur 0.")
    assert "keras 3." in reports.versions()


def test_examples_are_best_median_and_worst(pairs, scores):
    rows = reports.examples(scores, pairs, brighten)
    gains = sorted(scores, key=lambda score: -score.gain)
    names = [row.caption.split(",")[0] for row in rows]
    assert names == [
        f"best: {gains[0].name}",
        f"median: {gains[2].name}",
        f"worst: {gains[4].name}",
    ]
    assert len(reports.examples(scores[:1], pairs, brighten)) == 1
    assert len(reports.examples(scores[:2], pairs, brighten)) == 2


@pytest.mark.parametrize("size", [(1, 1), (12, 16), (400, 20), (720, 1280)])
def test_comparison(tmp_path, size):
    row = reports.Row("caption", *(np.full((*size, 3), grey, np.uint8) for grey in (40, 90, 140)))
    reports.comparison(tmp_path / "x.png", [row, row])
    picture = images.read(tmp_path / "x.png")
    assert picture.shape[0] < 800 and picture.shape[1] < 1500
    widths = [np.count_nonzero((picture == grey).all(-1).any(0)) for grey in (40, 90, 140)]
    assert min(widths) >= min(size[1], 480)


def test_report(tmp_path, pairs, scores):
    rows = reports.examples(scores, pairs, brighten)
    path = tmp_path / "new/report.md"
    reports.write_report(path, scores, PROTOCOL, {"precision": "float32"}, rows)
    text = path.read_text()
    summary = evaluation.summarise(scores)
    assert reports.summary_table(summary, "gaussian") in text
    assert "precision: float32" in text and PROTOCOL.source in text
    assert images.read(path.with_name("comparison.png")).any()
    with open(path.with_name("scores.csv"), newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["name"] for line in lines] == [score.name for score in scores]
    assert float(lines[0]["psnr_restored"]) == scores[0].psnr_restored
    written = json.loads(path.with_name("metrics.json").read_text())
    assert written == {**summary, "settings": {"precision": "float32"}}


def test_infinity_is_not_written_to_json(tmp_path, pairs):
    equal = [(name, sharp, sharp) for name, _, sharp in pairs]
    scores = evaluation.evaluate(equal, lambda image: image / 255, PROTOCOL)
    rows = reports.examples(scores, equal, lambda image: image / 255)
    reports.write_report(tmp_path / "report.md", scores, PROTOCOL, {}, rows)
    assert evaluation.summarise(scores)["psnr_restored"] == math.inf
    assert json.loads((tmp_path / "metrics.json").read_text())["psnr_restored"] is None
    assert "inf" in (tmp_path / "report.md").read_text()
