import dataclasses
import pathlib

import pytest
import tensorflow_datasets as tfds

from tfdeblur.datasets.lai import lai_dataset_builder as lai
from tfdeblur.errors import InputError

DUMMY_DATA = pathlib.Path(__file__).parent / "dummy_data"
REAL, UNIFORM, NONUNIFORM = (
    dataclasses.replace(config, name=f"tiny_{config.name}", images=images)
    for config, images in zip(lai.Builder.BUILDER_CONFIGS, (3, 4, 4), strict=True)
)


class RealTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = lai.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = (REAL,)
    SPLITS = {"test": 3}  # noqa: RUF012
    EXAMPLE_DIR = DUMMY_DATA


class SyntheticTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = lai.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = (UNIFORM, NONUNIFORM)
    SPLITS = {"test": 4}  # noqa: RUF012
    EXAMPLE_DIR = DUMMY_DATA


def test_the_published_counts_are_expected():
    for config in lai.Builder.BUILDER_CONFIGS:
        assert (config.name, config.images) == (config.blur, 100)


def test_real_photographs_have_no_ground_truth(build, dummy_files):
    (examples,) = build("lai", REAL, dummy_files).values()
    assert {x["name"].decode(): x["blurry"] for x in examples} == {
        name: dummy_files[f"real_dataset/{name}.jpg"] for name in ("Pantheon", "boat1", "text10")
    }
    assert tfds.builder("lai/real").info.supervised_keys is None


@pytest.mark.parametrize(
    ("config", "blur"),
    [(UNIFORM, "uniform/{}_kernel_{:02d}"), (NONUNIFORM, "nonuniform/{}_gyro_{:02d}")],
)
@pytest.mark.parametrize("top", ["", "cvpr16_deblur_study_synthetic_dataset/"])
def test_each_blurry_image_has_its_sharp_one(build, dummy_files, config, blur, top):
    (examples,) = build("lai", config, {top + k: dummy_files[k] for k in dummy_files}).values()

    keys = {(x["name"].decode(), int(x["kernel"])) for x in examples}
    assert keys == {(name, kernel) for name in ("manmade_01", "text_05") for kernel in (1, 2)}
    for x in examples:
        name = x["name"].decode()
        blurry = f"synthetic_dataset/{blur.format(name, x['kernel'])}.png"
        assert x["blurry"] == dummy_files[blurry]
        assert x["sharp"] == dummy_files[f"synthetic_dataset/ground_truth/{name}.png"]
    assert tfds.builder("lai/uniform").info.supervised_keys == ("blurry", "sharp")


@pytest.mark.parametrize("config", [REAL, UNIFORM], ids=["real", "uniform"])
def test_nothing_there(build, config):
    with pytest.raises(InputError, match=r"lai: Manual directory .*Put the real and the synthetic"):
        build("lai", config, {})
    with pytest.raises(InputError, match=r"lai: Nothing of it is in .*manual\. Put the real"):
        build("lai", config, {"real/1.jpg": b""})


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("uniform/text_05_kernel_02", r"Lai's uniform images: text_05/02 missing"),
        ("ground_truth/text_05", r"Lai's ground_truth images: text_05 missing"),
        ("uniform/text_05", r"Lai's uniform images: 2 found, but 4 are expected"),
    ],
)
def test_missing_synthetic_images_are_named(build, dummy_files, lost, message):
    lost = f"synthetic_dataset/{lost}"
    files = {k: dummy_files[k] for k in dummy_files if not k.startswith(lost)}
    assert len(files) < len(dummy_files)
    with pytest.raises(InputError, match=message):
        build("lai", UNIFORM, files)


def test_missing_photographs_are_counted(build, dummy_files):
    del dummy_files["real_dataset/boat1.jpg"]
    with pytest.raises(InputError, match="Lai's real photographs: 2 found, but 3 are expected"):
        build("lai", REAL, dummy_files)


@pytest.mark.parametrize(
    ("config", "name"),
    [(REAL, "real_dataset/boat1.jpg"), (UNIFORM, "synthetic_dataset/ground_truth/text_05.png")],
)
def test_a_damaged_file_is_named(build, dummy_files, config, name):
    dummy_files[name] = dummy_files[name][:-30]
    with pytest.raises(InputError, match=f"{name} is no whole image"):
        build("lai", config, dummy_files)


def test_a_pair_of_two_sizes_is_refused(build, dummy_files, larger):
    name = "synthetic_dataset/ground_truth/text_05.png"
    dummy_files[name] = larger(dummy_files[name])
    with pytest.raises(InputError, match=r"kernel_01\.png has 12x8 pixels, .*text_05\.png 13x8"):
        build("lai", UNIFORM, dummy_files)


if __name__ == "__main__":
    tfds.testing.test_main()
