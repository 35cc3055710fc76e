"""What a run is measured against in the end."""

import dataclasses
import types

import pytest

from tfdeblur import recipes
from tfdeblur.evaluation import test_sets
from tfdeblur.published import Published
from tfdeblur.training import targets

LINEAR = recipes.RECIPES["deepdeblur_k3_adv_linear"]
REALBLUR = recipes.RECIPES["mimo_unet_plus_realblur"]


def pairs(dataset):
    return types.SimpleNamespace(dataset=dataset, name="NAME")


def data(dataset, reference="sharp"):
    return test_sets.Data("", "", 1, reference, None, dataset)


def test_the_test_data_are_those_that_scores_belong_to():
    assert REALBLUR.test_dataset == "realblur/j"
    assert LINEAR.test_dataset == "gopro/blur"
    assert recipes.RECIPES["deepdeblur_k3_adv"].test_dataset == "gopro/blur_gamma"
    assert recipes.QUICKSTART.test_dataset == "dead_leaves/small"


def test_a_test_set_that_is_not_there_is_told(tmp_path):
    found, missing = targets.find_others(LINEAR, pairs("gopro/blur"), tmp_path, tmp_path)
    assert found == [] and len(missing) == 1
    assert missing[0].startswith("kohler cannot be opened (")
    found, missing = targets.find_others(recipes.MPRNET, pairs("gopro/blur"), tmp_path, tmp_path)
    assert found == [] and missing == [
        f"{name} is not built" for name in ("hide", "realblur/r", "realblur/j")
    ]


def test_the_images_of_koehler_judge_the_training_on_linear_blur(tmp_path, monkeypatch):
    opened = data("kohler", "frames")
    monkeypatch.setattr(test_sets, "from_tfds", lambda *_: opened)
    assert targets.find_others(LINEAR, pairs("gopro/blur"), tmp_path) == ([opened], [])
    published = recipes.published_of(LINEAR)
    assert [p.name for p in targets.protocols_for(opened, published)] == ["kohler"]
    chosen = targets.protocols_for(data("gopro/blur"), published)
    assert [p.name for p in chosen] == ["deepdeblur_pytorch"]


@pytest.mark.parametrize(
    ("recipe", "dataset"),
    [
        (LINEAR, None),
        (LINEAR, "dead_leaves/small"),
        (dataclasses.replace(LINEAR, loss="l1"), "gopro/blur"),
    ],
)
def test_other_trainings_have_no_target(recipe, dataset, tmp_path):
    assert targets.find_others(recipe, pairs(dataset), tmp_path) == ([], [])


def test_why_no_published_score_belongs_to_a_run():
    assert targets.why_none(LINEAR, pairs("gopro/blur")) == ""
    assert targets.why_none(LINEAR, pairs("gopro/blur"), "a.pt") == "it began with the weights a.pt"
    assert targets.why_none(LINEAR, pairs(None)) == "it was trained on NAME, not on gopro/blur"
    named = dataclasses.replace(LINEAR, name="other")
    assert targets.why_none(named, pairs("gopro/blur")) == "no paper has the recipe other"
    changed = dataclasses.replace(LINEAR, hyperparameters={"scales": 2})
    reason = targets.why_none(changed, pairs("gopro/blur"))
    assert reason == "it departs from the recipe deepdeblur_k3_adv_linear in hyperparameters"
    assert targets.section([], [], reason).endswith(
        "\n\nNo published number belongs to this run, because it departs from the recipe "
        "deepdeblur_k3_adv_linear in hyperparameters."
    )


def test_measured_published_and_their_difference():
    row = {"protocol": "nah2017", "psnr": 29.0, "ssim": 0.9, "published_psnr": 29.08}
    row |= {"published_ssim": 0.9135, "published_source": "a paper"}
    unknown = {**row, "protocol": "srn", "published_psnr": None, "published_ssim": None}
    lines = targets.section([("gopro/blur", row), ("gopro/blur", unknown)], ["x"]).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line]
    assert cells[0] == ["", "", "measured", "published", "difference"]
    assert cells[2:] == [
        ["gopro/blur, nah2017", "PSNR (dB)", "29.00", "29.08", "-0.08"],
        ["gopro/blur, nah2017", "SSIM", "0.9000", "0.9135", "-0.0135"],
    ]
    assert "Published: a paper." in lines and "Not measured: x." in lines
    assert targets.section([("gopro/blur", unknown)], []) == ""


def test_the_usual_protocol_comes_first_and_each_once():
    published = [
        Published("gopro/blur", 30.0, 0.9, name, "")
        for name in ("nah2017", "deepdeblur_pytorch", None)
    ]
    chosen = targets.protocols_for(data("gopro/blur"), published)
    assert [p.name for p in chosen] == ["deepdeblur_pytorch", "nah2017"]
