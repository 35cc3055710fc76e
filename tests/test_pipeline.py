import numpy as np
import PIL.Image
import pytest

from tfdeblur import pipeline
from tfdeblur.errors import InputError

ALL = ("flip_horizontally", "flip_vertically", "rotate_by_90", "permute_channels", "add_noise")


@pytest.fixture
def folders(tmp_path):
    """Six pairs; every pixel of pair i is about 40 i, sharp images are 1 lighter."""
    for kind, offset in (("blurry", 0), ("sharp", 1)):
        (tmp_path / kind).mkdir()
        for i in range(6):
            rng = np.random.default_rng(i)
            image = rng.integers(40 * i, 40 * i + 10, (20, 30, 3)) + offset
            PIL.Image.fromarray(image.astype("uint8")).save(tmp_path / kind / f"{i}.png")
    return tmp_path / "blurry", tmp_path / "sharp"


def take(dataset, count):
    return [tuple(map(np.asarray, batch)) for batch in dataset.take(count)]


def settings(**changes):
    return {"crop": 16, "batch_size": 4, "augmentations": ALL, "seed": 7, **changes}


def test_batches_have_the_documented_form(folders):
    pairs = pipeline.from_folders(*folders)
    (blurry, sharp), *_ = take(pipeline.batches(pairs, **settings()), 1)
    assert blurry.shape == sharp.shape == (4, 16, 16, 3)
    assert blurry.dtype == sharp.dtype == np.float32
    assert blurry.min() >= 0 and blurry.max() <= 1


def test_crops_stay_paired(folders):
    pairs = pipeline.from_folders(*folders)
    augmentations = ("flip_horizontally", "flip_vertically", "rotate_by_90", "permute_channels")
    for blurry, sharp in take(pipeline.batches(pairs, **settings(augmentations=augmentations)), 5):
        np.testing.assert_allclose(sharp - blurry, 1 / 255, atol=1e-6)


def test_every_pair_comes_once_an_epoch_and_epochs_differ(folders):
    pairs = pipeline.from_folders(*folders)
    batches = take(pipeline.batches(pairs, **settings(batch_size=6, augmentations=())), 4)
    orders = [tuple(np.floor(b.mean((1, 2, 3)) * 255 / 40).astype(int)) for b, _ in batches]
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert len(set(orders)) > 1


def test_batches_are_a_function_of_seed_and_step(folders):
    pairs = pipeline.from_folders(*folders)
    whole = take(pipeline.batches(pairs, **settings()), 7)
    resumed = take(pipeline.batches(pairs, **settings(), start_step=4), 3)
    for batch, expected in zip(resumed, whole[4:], strict=True):
        np.testing.assert_array_equal(batch[0], expected[0])
        np.testing.assert_array_equal(batch[1], expected[1])
    other = take(pipeline.batches(pairs, **settings(seed=8)), 1)
    assert not np.array_equal(other[0][0], whole[0][0])


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "I;16", "1"])
def test_folders_take_images_of_every_mode(folders, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    pixels = np.full((20, 30), 160, "uint8")
    image = PIL.Image.fromarray(pixels)
    if mode == "I;16":
        image = PIL.Image.fromarray(pixels.astype("uint16") * 257)
    elif mode != "L":
        image = image.convert("RGB").convert(mode)
    image.save(folders[0] / f"6.{suffix}")
    PIL.Image.fromarray(np.full((20, 30, 3), 160, "uint8")).save(folders[1] / "6.png")
    pairs = pipeline.from_folders(*folders)
    name, blurry, sharp = list(pairs.numpy_pairs())[6]
    assert name == "6" and blurry.shape == sharp.shape == (20, 30, 3)
    tolerance = 95 if mode == "1" else 2  # one bit can only say black or white
    assert abs(float(blurry.mean()) - 160) <= tolerance


def test_images_smaller_than_the_crop_are_named(folders):
    PIL.Image.new("RGB", (1, 1)).save(folders[0] / "tiny.png")
    PIL.Image.new("RGB", (1, 1)).save(folders[1] / "tiny.png")
    with pytest.raises(InputError, match=r"tiny.png is 1x1 pixels.*16x16"):
        pipeline.from_folders(*folders, smallest=16)


def test_middle_crops(folders):
    pairs = pipeline.from_folders(*folders)
    batches = take(pipeline.middle_crops(pairs, crop=8, batch_size=4, limit=5), 9)
    assert [len(b) for b, _ in batches] == [4, 1]
    expected = np.asarray(PIL.Image.open(folders[0] / "0.png"))[6:14, 11:19]
    np.testing.assert_allclose(batches[0][0][0] * 255, expected, atol=1e-4)


def test_unknown_datasets_are_refused():
    with pytest.raises(InputError, match=r"nothing .* is unknown.*dead_leaves"):
        pipeline.from_tfds("nothing", "train")
