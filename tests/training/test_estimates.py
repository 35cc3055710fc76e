import dataclasses

import pytest

from tfdeblur.errors import InputError
from tfdeblur.recipes import RECIPES, Adversarial, Stage
from tfdeblur.training import estimates

SMALL = dataclasses.replace(
    RECIPES["deepdeblur_k1"],
    hyperparameters={"scales": 1, "filters": 4, "resblocks": 1},
    batch_size=4,
    crop=16,
    steps=1000,
)


def printed(recipe, capsys, **options):
    estimates.print_recipe(recipe, "float32", **options)
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    return {line[:24].strip(): line[25:] for line in lines}


def test_costs_of_a_small_network_by_hand(capsys):
    costs = printed(SMALL, capsys, training_pairs=2103)
    assert costs["schedule"] == "5e-05, times 0.1 at 33.3 % of the steps"
    assert costs["steps per epoch"] == "526 (2,103 pairs); 1.9 epochs in all"
    macs = 16 * 16 * 25 * (3 * 4 + 2 * 4 * 4 + 4 * 3)
    assert costs["MACs of a 16x16 crop"] == f"{macs / 1e9:.1f} G"
    assert costs["the whole run"].startswith(f"about {2 * 3 * macs * 4 * 1000:.1e} floating")
    assert "patches/s (timed steps of 4, float32, one device)" in costs["time on this machine"]


def test_the_discriminator_counts_twice(capsys):
    recipe = dataclasses.replace(
        SMALL, crop=256, batch_size=1, adversarial=Adversarial(discriminator={"filters": 8})
    )
    costs = printed(recipe, capsys)
    assert costs["steps per epoch"] == "unknown until gopro/blur_gamma is built"
    assert costs["discriminator"].endswith("G MACs, of a sharp and of a restored crop")


def test_costs_of_progressive_learning(capsys):
    recipe = dataclasses.replace(SMALL, progressive=(Stage(until=0.4, crop=8, batch_size=12),))
    costs = printed(recipe, capsys, training_pairs=2103)
    assert costs["progressive"] == "12 crops of 8 up to 40 %"
    assert costs["steps per epoch"] == "176 to 526 (2,103 pairs); 3.4 epochs in all"
    macs = 16 * 16 * 25 * (3 * 4 + 2 * 4 * 4 + 4 * 3)
    flops = 2 * 3 * macs * (400 * 12 / 4 + 600 * 4)
    assert costs["the whole run"].startswith(f"about {flops:.1e} floating")


def test_large_crops_are_timed_in_part(capsys, monkeypatch):
    macs = 3 * 16 * 16 * 25 * (3 * 4 + 2 * 4 * 4 + 4 * 3)
    monkeypatch.setattr(estimates, "TIMED_MACS", macs / 4)

    def seconds_per_step(trainer, crops, crop, timed):
        assert (crops, crop) == (1, 8)
        return 0.5

    monkeypatch.setattr(estimates.complexity, "seconds_per_step", seconds_per_step)
    shown = printed(SMALL, capsys)["time on this machine"]
    assert "at 0.50 patches/s (timed steps of 1 crop of 8x8, float32, one device)" in shown


def test_what_does_not_fit_is_not_timed(capsys, monkeypatch):
    monkeypatch.setattr("tfdeblur.memory.available", lambda: 1000)
    costs = printed(SMALL, capsys)
    assert costs["time on this machine"] == "unknown: a step does not fit into memory"


@pytest.mark.parametrize(
    ("dataset", "split", "count"),
    [
        ("gopro/blur", "train", 2103),
        ("gopro/blur", "train[:50%]", None),
        ("gopro/blur+realblur/j", "train", None),
        ("dead_leaves/small", "train", None),
    ],
)
def test_pairs_are_counted_without_building_anything(dataset, split, count, tmp_path):
    recipe = dataclasses.replace(SMALL, dataset=dataset, train_split=split)
    assert estimates.count_training_pairs(recipe, tmp_path / "data") == count
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("no_such_dataset", "no_such_dataset .* is unknown to TFDS"),
        ("lai", r"lai/real` has no pairs .*: choose lai/uniform or lai/nonuniform"),
        ("kohler/default", "kohler/default` has no pairs .*: choose another dataset"),
    ],
)
def test_datasets_that_cannot_be_trained_on_are_refused(dataset, message, tmp_path):
    with pytest.raises(InputError, match=message):
        estimates.count_training_pairs(dataclasses.replace(SMALL, dataset=dataset), tmp_path)
