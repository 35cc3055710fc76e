import dataclasses
import io
import pathlib
import tarfile

import pytest
import tensorflow_datasets as tfds

from tfdeblur.datasets.realblur import realblur_dataset_builder as realblur
from tfdeblur.errors import InputError

J, R = (
    dataclasses.replace(config, name=f"tiny_{config.name}", pairs={"train": 3, "test": 2})
    for config in realblur.Builder.BUILDER_CONFIGS
)


class RealBlurTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = realblur.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = (J, R)
    SPLITS = {"train": 3, "test": 2}  # noqa: RUF012
    EXAMPLE_DIR = pathlib.Path(__file__).parent / "dummy_data"


NAMES = {"train": {"scene001_1", "scene001_2", "scene002_10"}, "test": {"scene230_2", "scene230_7"}}


def published(files, config, name):
    """The contents of a pair's two files."""
    folder = realblur.FOLDERS[config.source]
    scene, number = name.split("_")
    return tuple(files[f"{folder}/{scene}/{kind}/{kind}_{number}.png"] for kind in ("blur", "gt"))


def check(splits, files, config):
    assert {split: {x["name"].decode() for x in splits[split]} for split in splits} == {
        split: NAMES[split] for split in splits
    }
    for examples in splits.values():
        for x in examples:
            assert (x["blurry"], x["sharp"]) == published(files, config, x["name"].decode())


def test_the_published_counts_are_expected():
    for config in realblur.Builder.BUILDER_CONFIGS:
        assert config.pairs == {"train": 3758, "test": 980}


@pytest.mark.parametrize("config", [J, R], ids=["J", "R"])
@pytest.mark.parametrize("top", ["", "RealBlur/", "downloads/RealBlur/"])
def test_the_published_folders(build, dummy_files, config, top):
    splits = build("realblur", config, {top + name: dummy_files[name] for name in dummy_files})
    check(splits, dummy_files, config)
    assert set(splits) == {"train", "test"}


def test_the_published_archive(build, dummy_files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in dummy_files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    check(build("realblur", R, {"RealBlur.tar.gz": buffer.getvalue()}), dummy_files, R)


@pytest.mark.parametrize(
    ("blurry", "sharp"),
    [
        ("RealBlur_J/test/input/{scene}_{n}", "RealBlur_J/test/target/{scene}_{n}"),
        ("test/RealBlur_J/input/{scene}_{n}", "test/RealBlur_J/target/{scene}_{n}"),
        ("RealBlur_J/input/{scene}_blur_{n}", "RealBlur_J/target/{scene}_gt_{n}"),
        ("Realblur_J/test/blur/{scene}_blur_{n}", "Realblur_J/test/sharp/{scene}_gt_{n}"),
    ],
)
def test_copies_of_the_test_split(build, dummy_files, blurry, sharp):
    files = {}
    for config in (R, J):
        for name in NAMES["test"]:
            scene, n = name.split("_")
            pair = published(dummy_files, config, name)
            for path, content in zip((blurry, sharp), pair, strict=True):
                path = path.replace("_J/", f"_{config.source}/")
                files[path.format(scene=scene, n=n) + ".png"] = content

    splits = build("realblur", J, files)
    assert set(splits) == {"test"}
    check(splits, dummy_files, J)


def test_a_copy_with_folders_of_scenes(build, dummy_files):
    files = {}
    for name in NAMES["test"]:
        scene, n = name.split("_")
        blurry, sharp = published(dummy_files, J, name)
        files[f"RealBlur_J/test/blur/{scene}/blur_{n}.png"] = blurry
        files[f"RealBlur_J/test/sharp/{scene}/gt_{n}.png"] = sharp
    (examples,) = build("realblur", J, files).values()
    assert {x["name"].decode() for x in examples} == {"scene230/2", "scene230/7"}


def test_one_source_is_not_taken_for_the_other(build, dummy_files):
    files = {name: dummy_files[name] for name in dummy_files if name.startswith("RealBlur-R")}
    with pytest.raises(InputError, match=r"Nothing of it is in .*manual\. Put RealBlur\.tar\.gz"):
        build("realblur", J, files)


def test_nothing_there(build):
    with pytest.raises(InputError, match=r"realblur: Manual directory .* RealBlur\.tar\.gz"):
        build("realblur", J, {})


def test_missing_lists_are_named(build, dummy_files):
    del dummy_files["RealBlur_J_test_list.txt"]
    with pytest.raises(InputError, match=r"not both of .*and RealBlur_J_test_list\.txt: put them"):
        build("realblur", J, dummy_files)


def test_a_missing_image_is_named(build, dummy_files):
    del dummy_files[f"{realblur.FOLDERS['J']}/scene230/gt/gt_7.png"]
    with pytest.raises(InputError, match=r"J_test_list\.txt: scene230/gt/gt_7\.png missing"):
        build("realblur", J, dummy_files)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[1:], "RealBlur-J/train: 2 found, but 3 are expected"),
        (lambda lines: [lines[0].split()[0], *lines[1:]], "lines other than 'gt blur'"),
    ],
)
def test_a_damaged_list_is_refused(build, dummy_files, change, message):
    name = "RealBlur_J_train_list.txt"
    lines = change(dummy_files[name].decode().splitlines())
    with pytest.raises(InputError, match=message):
        build("realblur", J, {**dummy_files, name: "\n".join(lines).encode()})


def test_a_damaged_image_is_named(build, dummy_files):
    name = f"{realblur.FOLDERS['J']}/scene001/blur/blur_2.png"
    dummy_files[name] = dummy_files[name][:-10]
    with pytest.raises(InputError, match=r"scene001/blur/blur_2\.png is no whole image"):
        build("realblur", J, dummy_files)


def test_a_pair_of_two_sizes_is_refused(build, dummy_files, larger):
    name = f"{realblur.FOLDERS['J']}/scene001/blur/blur_2.png"
    dummy_files[name] = larger(dummy_files[name])
    with pytest.raises(InputError, match=r"blur_2\.png has 13x8 pixels, .*gt_2\.png 12x8"):
        build("realblur", J, dummy_files)


if __name__ == "__main__":
    tfds.testing.test_main()
