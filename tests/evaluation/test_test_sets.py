"""Reading what is evaluated on, from folders and from built datasets."""

import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfdeblur.data import opening
from tfdeblur.datasets.dead_leaves import dead_leaves_dataset_builder as dead_leaves
from tfdeblur.datasets.kohler import kohler_dataset_builder as kohler
from tfdeblur.datasets.lai import lai_dataset_builder as lai
from tfdeblur.errors import InputError
from tfdeblur.evaluation import test_sets
from tfdeblur.io import images

DATASETS = pathlib.Path(__file__).parents[2] / "datasets"


def build(folder, name, config):
    builder = tfds.builder(name, config=config, data_dir=folder)
    manual_dir = DATASETS / name / "dummy_data"
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
    )
    return test_sets.from_builder(builder)


@pytest.fixture
def folders(tmp_path):
    for i, image in enumerate(np.random.default_rng(0).integers(0, 256, (3, 6, 8, 3), np.uint8)):
        images.write(tmp_path / f"sharp/s/{i}.png", image)
        images.write(tmp_path / f"blurry/s/{i}.png", image // 2)
    return tmp_path / "blurry", tmp_path / "sharp"


def test_folders(folders):
    found = test_sets.from_folders(*folders)
    assert found.name == f"{folders[0]} against {folders[1]} (blur variant not known)"
    assert (found.count, found.reference, found.dataset) == (3, "sharp", None)
    assert "blur variant not known" in found.name
    assert [name for name, _, _ in found.read()] == ["s/0", "s/1", "s/2"]
    ((name, blurry, sharp),) = found.read(2)
    assert name == "s/2"
    np.testing.assert_array_equal(blurry, sharp // 2)


def test_a_changed_file_changes_the_version(folders):
    before = test_sets.from_folders(*folders).version
    assert test_sets.from_folders(*folders).version == before
    images.write(folders[0] / "s/0.png", np.zeros((6, 8, 3), np.uint8))
    assert test_sets.from_folders(*folders).version != before


def test_kohler_has_the_frames_of_each_movement(tmp_path):
    config = dataclasses.replace(
        kohler.Builder.BUILDER_CONFIGS[0], name="tiny", images=1, trajectories=3, frames=3
    )
    found = build(tmp_path, "kohler", config)
    assert (found.count, found.reference, found.dataset) == (3, "frames", "kohler/tiny")
    shapes = {name: (blurry.shape, frames.shape) for name, blurry, frames in found.read()}
    assert {name.split("/")[0] for name in shapes} == {"000001"}
    assert sorted(frames[0] for _, frames in shapes.values()) == [3, 4, 30]
    assert {shape for shape, _ in shapes.values()} == {(8, 12, 3)}


def test_lai_has_no_sharp_images(tmp_path):
    config = dataclasses.replace(lai.Builder.BUILDER_CONFIGS[0], name="tiny", images=3)
    found = build(tmp_path, "lai", config)
    assert (found.count, found.reference, found.dataset) == (3, "nothing", "lai/tiny")
    assert all(reference is None for _, _, reference in found.read())


def test_lai_has_pairs_too(tmp_path):
    config = dataclasses.replace(lai.Builder.BUILDER_CONFIGS[1], name="tiny", images=4)
    found = build(tmp_path, "lai", config)
    assert (found.reference, found.dataset) == ("sharp", "lai/tiny")
    every = list(found.read())
    assert all(blurry.shape == sharp.shape for _, blurry, sharp in every)
    assert len({name for name, _, _ in every}) == 4
    assert [name for name, _, _ in found.read(1)] == [name for name, _, _ in every[1:]]


def test_an_unknown_split(tmp_path):
    config = dataclasses.replace(lai.Builder.BUILDER_CONFIGS[0], name="tiny", images=3)
    build(tmp_path, "lai", config)
    builder = tfds.builder("lai", config=config, data_dir=tmp_path)
    with pytest.raises(InputError, match="`dataset=lai` has no split 'val'"):
        test_sets.from_builder(builder, "val")
    assert test_sets.from_builder(builder, "test[:2]").count == 2
    assert test_sets.from_builder(builder, "test[:2]").dataset is None


def test_the_config_of_a_name_without_one():
    for name, reference in {
        "kohler": "frames",
        "kohler/default": "frames",
        "lai": "nothing",
    }.items():
        builder = opening.find_builder(name)
        assert test_sets._compared(builder)[0] == reference


@pytest.fixture
def data_dir(tmp_path):
    """Of TFDS, with two small datasets of pairs."""
    for name, count in (("first", 3), ("second", 2)):
        config = dead_leaves.DeadLeavesConfig(
            name=name, train_pairs=1, test_pairs=count, image_size=48
        )
        builder = tfds.builder("dead_leaves", config=config, data_dir=tmp_path)
        builder.download_and_prepare()
    return tmp_path


@pytest.mark.slow
def test_a_union_is_one_dataset_after_the_other(data_dir):
    names = ("dead_leaves/first", "dead_leaves/second")
    alone = [test_sets.from_tfds(name, data_dir=data_dir) for name in names]
    both = test_sets.from_tfds("+".join(names), data_dir=data_dir)
    assert (both.count, both.reference, both.dataset) == (5, "sharp", None)
    every = list(both.read())
    expected = [example for data in alone for example in data.read()]
    assert len({name for name, _, _ in every}) == 5
    for (name, *pictures), (short, *same) in zip(every, expected, strict=True):
        assert name.startswith("dead_leaves/") and name.endswith(short)
        np.testing.assert_array_equal(pictures, same)
    assert [name for name, *_ in both.read(4)] == [every[4][0]]


def test_a_union_of_unlike_data_is_refused():
    parts = [
        test_sets.Data(name, "1", 1, reference, lambda skip=0: iter(()))
        for name, reference in (("a test", "sharp"), ("b test", "frames"))
    ]
    with pytest.raises(InputError, match="a test is compared with sharp, b test with frames"):
        test_sets._union(parts)


def test_pairs_of_a_list_are_named_by_it(tmp_path):
    for name in ("a.png", "b.png"):
        images.write(tmp_path / name, np.zeros((4, 5, 3), np.uint8))
    (tmp_path / "list.csv").write_text("blurry,sharp\na.png,b.png\n")
    found = test_sets.from_folders(None, None, str(tmp_path / "list.csv"))
    assert found.name == f"{tmp_path / 'list.csv'} (blur variant not known)"
