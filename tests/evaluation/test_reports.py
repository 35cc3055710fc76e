"""Tables, settings, pictures and the files of a report."""

import csv
import json
import math

import numpy as np
import pytest

from tfdeblur import evaluation, published, restoration
from tfdeblur.evaluation import PROTOCOLS, reports, scoring
from tfdeblur.io import comparisons, images

PROTOCOL = PROTOCOLS["deepdeblur_pytorch"]


@pytest.fixture
def pairs():
    generator = np.random.default_rng(0)
    sharp = generator.integers(0, 256, (5, 12, 16, 3), np.uint8)
    return [(f"scene{i % 2}/{i}", image // (i + 2), image) for i, image in enumerate(sharp)]


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


def test_results_table_leaves_out_what_is_unknown(scores):
    text = reports.results_table(reports.results(scores, {}))
    header, _, blurry, restored = text.splitlines()
    titles = [title.strip() for title in header.strip("|").split("|")]
    assert titles[:6] == ["", "protocol", "PSNR (dB)", "SSIM", "kind", "SSIM (volume)"]
    assert "parameters" not in titles and "published PSNR" not in titles
    summary = evaluation.summarise(scores)
    assert blurry.startswith("| blurry input") and f"{summary['psnr_blurry']:.2f}" in blurry
    assert restored.startswith("| restored") and f"{summary['psnr_restored']:.2f}" in restored


def test_published_scores_stand_beside_measured_ones(pairs):
    same = published.Published(
        "gopro/blur", 30.0, 0.9, "nah2017", "a paper", seconds=4.33, remeasured=0.5
    )
    networks = {"restored": reports.NetworkFacts(1_234_567, 63_700_000_000, [same])}
    (scored,) = scoring.score(
        pairs[:1], {"restored": brighten}, [PROTOCOLS["nah2017"], PROTOCOLS["mimo_unet"]]
    )
    rows = reports.results(scored, networks, "gopro/blur")
    assert [row["published_psnr"] for row in rows] == [None, None, 30.0, None]
    text = reports.results_table(rows)
    assert f"30.00 ({rows[2]['psnr'] - 30:+.2f})" in text
    assert f"0.9000 ({rows[2]['ssim'] - 0.9:+.4f})" in text
    assert "1,234,567" in text and "63.7 G" in text and "4.33, 0.5 |" in text
    other = reports.results(scored, networks, "gopro/blur_gamma")
    assert [row["published_psnr"] for row in other] == [None] * 4


def test_sequences(scores):
    header, _, first, second = reports.sequences_table(scores).splitlines()
    assert "gain of restored (dB)" in header
    cells = [cell.strip() for cell in second.strip("|").split("|")]
    of_second = [one for one in scores if one.image.startswith("scene1/")]
    means = [
        np.mean([one.psnr for one in of_second if one.method == method])
        for method in ("blurry", "restored")
    ]
    assert cells[:4] == ["scene1", "2", *(f"{x:.2f}" for x in means)]
    assert cells[4] == f"{means[1] - means[0]:+.2f}"
    assert first.startswith("| scene0") and "3" in first


def test_distribution(scores):
    lines = reports.distribution_table(scores).splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[0] for row in cells] == ["blurry input", "restored", "gain of restored"]
    psnr = sorted(one.psnr for one in scores if one.method == "blurry")
    assert cells[0][1:] == [f"{x:.2f}" for x in psnr]


def test_examples_are_best_median_and_worst(pairs, scores):
    rows = reports.examples(scores, pairs, brighten)
    psnr = {(one.image, one.method): one.psnr for one in scores}
    names = sorted(
        (name for name, _, _ in pairs),
        key=lambda name: psnr[name, "blurry"] - psnr[name, "restored"],
    )
    expected = [f"best: {names[0]}", f"median: {names[2]}", f"worst: {names[4]}"]
    assert [row.caption.split(",")[0] for row in rows] == expected
    by_name = {name: (blurry, sharp) for name, blurry, sharp in pairs}
    np.testing.assert_array_equal(rows[0].blurry, by_name[names[0]][0])
    np.testing.assert_array_equal(rows[0].sharp, by_name[names[0]][1])
    assert len(reports.examples(scores[:2], pairs, brighten)) == 1
    assert len(reports.examples(scores[:4], pairs, brighten)) == 2


def test_examples_with_frames_show_the_best_frame():
    frames = np.random.default_rng(0).integers(0, 256, (3, 161, 161, 3), np.uint8)
    examples = [("1/2", frames[1], frames)]
    scores = evaluation.evaluate(examples, lambda x: x / np.float32(255), PROTOCOLS["kohler"])
    (row,) = reports.examples(scores, examples, lambda x: x / np.float32(255))
    np.testing.assert_array_equal(row.sharp, frames[1])


def test_report(tmp_path, pairs, scores):
    rows = reports.examples(scores, pairs, brighten)
    path = tmp_path / "new/report.md"
    reports.write_report(path, scores, PROTOCOL, {"precision": "float32"}, rows)
    text = path.read_text()
    summary = evaluation.summarise(scores)
    assert reports.summary_table(summary, "gaussian") in text
    assert reports.results_table(reports.results(scores, {})) in text
    assert reports.sequences_table(scores) in text
    assert "precision: float32" in text and PROTOCOL.source in text
    assert "Others on this data" not in text
    assert images.read(path.with_name("comparison.png")).any()
    with open(path.with_name("scores.csv"), newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["image"] for line in lines] == [one.image for one in scores]
    assert float(lines[0]["psnr"]) == scores[0].psnr
    written = json.loads(path.with_name("metrics.json").read_text())
    assert written.pop("results") == reports.results(scores, {})
    assert written == {**summary, "settings": {"precision": "float32"}}


def test_html_has_what_markdown_has(tmp_path, pairs, scores):
    rows = reports.examples(scores, pairs, brighten)
    reports.write_report(tmp_path / "report.md", scores, PROTOCOL, {"a": "<b>"}, rows)
    page = (tmp_path / "report.html").read_text()
    assert page.count("<table>") == 4
    assert 'src="comparison.png"' in page and "<title>Evaluation on 5 images" in page
    assert f"{evaluation.summarise(scores)['psnr_restored']:.2f}</td>" in page


def test_quoted_scores_of_others(tmp_path, scores):
    reports.write_report(tmp_path / "report.md", scores, PROTOCOL, {}, [], dataset="kohler")
    text = (tmp_path / "report.md").read_text()
    assert "Others on this data" in text and "DeblurGAN-v2" in text and "MT-RNN" not in text


def test_sections_of_others_come_last(tmp_path, scores):
    sections = ["## Training", "![curves](curves.png)"]
    reports.write_report(tmp_path / "report.md", scores, PROTOCOL, {}, [], sections=sections)
    assert (tmp_path / "report.md").read_text().endswith("\n\n".join(sections) + "\n")
    page = (tmp_path / "report.html").read_text()
    assert page.index("<h1>") < page.index("<h2>Training</h2>") and page.endswith("</html>\n")
    assert 'src="curves.png"' in page


def test_infinity_is_not_written_to_json(tmp_path, pairs):
    equal = [(name, sharp, sharp) for name, _, sharp in pairs]
    scores = evaluation.evaluate(equal, lambda image: image / np.float32(255), PROTOCOL)
    reports.write_report(tmp_path / "report.md", scores, PROTOCOL, {}, [])
    assert evaluation.summarise(scores)["psnr_restored"] == math.inf
    assert json.loads((tmp_path / "metrics.json").read_text())["psnr_restored"] is None
    text = (tmp_path / "report.md").read_text()
    assert "inf" in text and "nan" not in text


def test_comparisons_without_scores(tmp_path, pairs):
    examples = [(name, blurry, None) for name, blurry, _ in pairs[:2]]

    def write(example, restored):
        name, blurry, _ = example
        versions = {method: restoration.quantise(image) for method, image in restored.items()}
        comparisons.write_page(tmp_path, name, {"blurry": blurry, **versions})

    protocols = [PROTOCOLS["lai"]]
    scored = scoring.score(examples, {"a": brighten, "b": brighten}, protocols, write)
    scores = [one for group in scored for one in group]
    reports.write_comparisons(tmp_path / "report.md", scores, {"tile": "none"}, {})
    text = (tmp_path / "report.md").read_text()
    assert "PSNR (dB)" in text and "tile: none" in text
    for name, blurry, _ in examples:
        assert f"](comparison/{name}.png)" in text
        picture = images.read(tmp_path / f"comparison/{name}.png")
        assert (picture[22:34, 6:22] == blurry).all()
