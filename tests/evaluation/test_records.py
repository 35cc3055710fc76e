"""Scores on disk: what is kept when an evaluation starts again."""

import json
import math

import numpy as np
import pytest

from tfdeblur import models
from tfdeblur.errors import InputError
from tfdeblur.evaluation import score_files
from tfdeblur.evaluation.scoring import Score

IDENTITY = {"network": "a", "protocol": "srn"}
SCORES = [
    Score(image, method, "srn", psnr, 0.1 + 0.2, None, seconds, memory)
    for image in ("s/1", "s/2", "with, comma")
    for method, psnr, seconds, memory in (
        ("blurry", 25.125, None, None),
        ("restored", math.inf, 1 / 3, 2**33),
    )
]


@pytest.fixture
def folder(tmp_path):
    """Records of three images, two scores each."""
    record = score_files.Records(tmp_path / "new/report", IDENTITY, 2)
    assert record.scores == []
    for i in (0, 2, 4):
        record.add(SCORES[i : i + 2])
    return tmp_path / "new/report"


def kept(folder, identity=IDENTITY):
    return score_files.Records(folder, identity, 2).scores


def test_all_is_kept_exactly(folder):
    assert kept(folder) == SCORES
    assert kept(folder) == SCORES


def test_another_evaluation_starts_anew(folder):
    assert kept(folder, {**IDENTITY, "protocol": "nah2017"}) == []
    assert kept(folder) == []


@pytest.mark.parametrize("lost", [1, 20, 40, 75])
def test_an_image_that_was_cut_off_is_dropped(folder, lost):
    path = folder / "scores.csv"
    path.write_bytes(path.read_bytes()[:-lost])
    assert kept(folder) == SCORES[:4]
    record = score_files.Records(folder, IDENTITY, 2)
    record.add(SCORES[4:])
    assert kept(folder) == SCORES


def test_a_kill_before_the_first_image(folder):
    (folder / "scores.csv").unlink()
    assert kept(folder) == []


def test_a_damaged_file_is_named(folder):
    (folder / "scores.csv").write_text("image,psnr\nx,high\n")
    with pytest.raises(InputError, match=r"scores\.csv is damaged: delete it"):
        kept(folder)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"`report=.*cannot be written"):
        score_files.Records(tmp_path / "file" / "report", IDENTITY, 2)


def test_the_folder_of_a_training_is_refused(tmp_path):
    score_files.write(tmp_path / "scores.csv", SCORES)
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(InputError, match="holds a training: name another folder"):
        score_files.Records(tmp_path, IDENTITY, 2)
    assert score_files.read(tmp_path / "scores.csv") == SCORES


def test_digest_tells_weights_apart():
    net = models.build("mimo_unet", filters=4, resblocks=1)
    before = score_files.digest(net)
    assert score_files.digest(net) == before
    net.set_weights([np.zeros_like(w) for w in net.get_weights()])
    assert score_files.digest(net) != before


@pytest.mark.parametrize("name", ["report.md", "metrics.json", "scores.csv", "evaluation.json"])
def test_files_of_others_are_not_replaced(name, tmp_path):
    for mine in (name, "thesis.tex", ".git"):
        (tmp_path / mine).write_text("mine")
    with pytest.raises(InputError, match="name another folder"):
        score_files.Records(tmp_path, IDENTITY, 2)
    assert {path.name for path in tmp_path.iterdir()} == {name, "thesis.tex", ".git"}
    assert {path.read_text() for path in tmp_path.iterdir()} == {"mine"}


def test_pictures_of_others_are_not_replaced(folder):
    owned = score_files.Records(folder, IDENTITY, 2).owned
    (folder / "comparison").mkdir()
    (folder / "comparison" / "a.png").write_text("mine")
    with pytest.raises(InputError, match=r"'comparison/a\.png', which tfdeblur did not write"):
        owned.claim("comparison/a.png")
    owned.claim("comparison/b.png")
    with pytest.raises(InputError, match="no place"):
        owned.claim("comparison/../../b.png")


def test_a_report_of_an_earlier_version_goes_on(folder):
    identity = {**IDENTITY, "versions": "tfdeblur 0.1.0"}
    (folder / "tfdeblur.json").unlink()
    (folder / "evaluation.json").write_text(json.dumps(identity, indent=2) + "\n")
    assert kept(folder, identity) == SCORES
