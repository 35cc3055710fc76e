import dataclasses
import pathlib

import pytest
import tensorflow_datasets as tfds

from tfdeblur.datasets.hide import hide_dataset_builder as hide
from tfdeblur.errors import InputError

DEFAULT = hide.Builder.BUILDER_CONFIGS[0]
TINY = dataclasses.replace(DEFAULT, name="tiny", pairs={"train": 3, "test": 2})


class HideTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = hide.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = (TINY,)
    SPLITS = {"train": 3, "test": 2}  # noqa: RUF012
    EXAMPLE_DIR = pathlib.Path(__file__).parent / "dummy_data"


def test_the_published_counts_are_expected():
    assert DEFAULT.pairs == {"train": 6397, "test": 2025}


@pytest.mark.parametrize("top", ["", "downloads/"])
def test_the_published_folders(build, dummy_files, top):
    splits = build("hide", TINY, {top + name: dummy_files[name] for name in dummy_files})

    folders = {"a": "train", "b": "train", "c": "train"}
    folders |= {"d": "test/test-close-ups", "e": "test/test-long-shot"}
    assert {x["name"].decode() for x in splits["train"]} == {"a", "b", "c"}
    assert {x["name"].decode() for x in splits["test"]} == {"d", "e"}
    for example in splits["train"] + splits["test"]:
        name = example["name"].decode()
        assert example["blurry"] == dummy_files[f"HIDE_dataset/{folders[name]}/{name}.png"]
        assert example["sharp"] == dummy_files[f"HIDE_dataset/GT/{name}.png"]


@pytest.mark.parametrize(
    ("blurry", "sharp"),
    [
        ("HIDE/test/input", "HIDE/test/target"),
        ("HIDE/input", "HIDE/target"),
        ("test/HIDE/input", "test/HIDE/target"),
        ("HIDE/test/blur", "HIDE/test/sharp"),
        ("HIDE/test/blur", "HIDE/test/gt"),
    ],
)
def test_copies_of_the_test_split(build, dummy_files, blurry, sharp):
    close_up = dummy_files["HIDE_dataset/test/test-close-ups/d.png"]
    files = copy_of_test(dummy_files, blurry, sharp)
    splits = build("hide", TINY, files)

    assert {split: len(splits[split]) for split in splits} == {"test": 2}
    example = next(x for x in splits["test"] if x["name"] == b"d")
    assert (example["blurry"], example["sharp"]) == (close_up, dummy_files["HIDE_dataset/GT/d.png"])


def copy_of_test(files, blurry, sharp):
    return {
        f"{blurry}/d.png": files["HIDE_dataset/test/test-close-ups/d.png"],
        f"{blurry}/e.png": files["HIDE_dataset/test/test-long-shot/e.png"],
        f"{sharp}/d.png": files["HIDE_dataset/GT/d.png"],
        f"{sharp}/e.png": files["HIDE_dataset/GT/e.png"],
    }


def test_nothing_there(build, tmp_path):
    with pytest.raises(InputError, match=r"hide: Manual directory .*manual does not .*HA_deblur"):
        build("hide", TINY, {})
    with pytest.raises(InputError, match=r"Nothing of it is in .*manual\. Put HIDE_dataset\.zip"):
        build("hide", TINY, {"GOPRO/test/input/1.png": b"", "GOPRO/test/target/1.png": b""})


def test_a_missing_sharp_image_is_named(build, dummy_files):
    del dummy_files["HIDE_dataset/GT/b.png"]
    with pytest.raises(InputError, match="HIDE's GT for train: b missing"):
        build("hide", TINY, dummy_files)


def test_a_missing_blurry_image_is_counted(build, dummy_files):
    del dummy_files["HIDE_dataset/train/b.png"]
    with pytest.raises(InputError, match="HIDE/train: 2 found, but 3 are expected"):
        build("hide", TINY, dummy_files)


@pytest.mark.parametrize(
    ("lost", "message"), [("target/d", "sharp .*HIDE/input/d"), ("input/e", "blurry .*target/d")]
)
def test_a_partner_missing_from_a_copy_is_named(build, dummy_files, lost, message):
    files = copy_of_test(dummy_files, "HIDE/input", "HIDE/target")
    del files[f"HIDE/{lost}.png"]
    with pytest.raises(InputError, match=rf"the {message}\.png: {lost[-1]} missing"):
        build("hide", TINY, files)


def test_two_copies_of_the_same_image_are_refused(build, dummy_files):
    files = copy_of_test(dummy_files, "HIDE/input", "HIDE/target")
    with pytest.raises(InputError, match="are both the same image"):
        build("hide", TINY, {**files, "HIDE/test/input/d.png": b""})


def test_a_damaged_file_is_named(build, dummy_files):
    dummy_files["HIDE_dataset/GT/e.png"] = dummy_files["HIDE_dataset/GT/e.png"][:-10]
    with pytest.raises(InputError, match=r"GT/e\.png is no whole image"):
        build("hide", TINY, dummy_files)


def test_a_pair_of_two_sizes_is_refused(build, dummy_files, larger):
    dummy_files["HIDE_dataset/GT/e.png"] = larger(dummy_files["HIDE_dataset/GT/e.png"])
    with pytest.raises(InputError, match=r"e\.png has 12x8 pixels, .*GT/e\.png 13x8"):
        build("hide", TINY, dummy_files)


if __name__ == "__main__":
    tfds.testing.test_main()
