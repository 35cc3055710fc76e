import dataclasses

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tfdeblur.data import pipeline, png
from tfdeblur.data.pairs import from_folders, from_tfds
from tfdeblur.datasets.dead_leaves import dead_leaves_dataset_builder
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


@pytest.mark.slow
def test_batches_have_the_documented_form(folders):
    pairs = from_folders(*folders)
    (blurry, sharp), *_ = take(pipeline.batches(pairs, **settings()), 1)
    assert blurry.shape == sharp.shape == (4, 16, 16, 3)
    assert blurry.dtype == sharp.dtype == np.float32
    assert blurry.min() >= 0 and blurry.max() <= 1


def test_crops_stay_paired(folders):
    pairs = from_folders(*folders)
    augmentations = ("flip_horizontally", "flip_vertically", "rotate_by_90", "permute_channels")
    for blurry, sharp in take(pipeline.batches(pairs, **settings(augmentations=augmentations)), 5):
        np.testing.assert_allclose(sharp - blurry, 1 / 255, atol=1e-6)


def test_every_pair_comes_once_an_epoch_and_epochs_differ(folders):
    pairs = from_folders(*folders)
    batches = take(pipeline.batches(pairs, **settings(batch_size=6, augmentations=())), 4)
    orders = [tuple(np.floor(b.mean((1, 2, 3)) * 255 / 40).astype(int)) for b, _ in batches]
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert len(set(orders)) > 1


def test_sequences_come_equally_often_whatever_their_length(folders):
    pairs = dataclasses.replace(from_folders(*folders), sequences=lambda: list("aaaaab"))
    options = settings(batch_size=6, augmentations=(), sampling="sequences")
    batches = take(pipeline.batches(pairs, **options), 20)
    numbers = [np.floor(b.mean((1, 2, 3)) * 255 / 40).astype(int) for b, _ in batches]
    for epoch in numbers:
        assert (epoch == 5).sum() == 3  # "b" has one pair, which is half of all draws
        assert max(np.bincount(epoch)[:5]) == 1
    assert set(np.concatenate(numbers)) == set(range(6))
    (resumed,) = take(pipeline.batches(pairs, **options, start_step=7), 1)
    np.testing.assert_array_equal(resumed[0], batches[7][0])


def test_sequences_are_the_folders_of_files_and_have_to_be_known(folders):
    pairs = from_folders(*folders)
    np.testing.assert_array_equal(pairs.uses_per_epoch(), np.ones(6))
    unknown = dataclasses.replace(pairs, sequences=None)
    with pytest.raises(InputError, match="does not tell which pairs are of one sequence"):
        pipeline.batches(unknown, **settings(sampling="sequences"))


@pytest.mark.slow
@pytest.mark.parametrize("crops_per_image", [1, 5])
def test_batches_are_a_function_of_seed_and_step(folders, crops_per_image):
    pairs = from_folders(*folders)
    several = settings(crops_per_image=crops_per_image)
    whole = take(pipeline.batches(pairs, **several), 87)
    resumed = take(pipeline.batches(pairs, **several, start_step=84), 3)
    for batch, expected in zip(resumed, whole[84:], strict=True):
        np.testing.assert_array_equal(batch[0], expected[0])
        np.testing.assert_array_equal(batch[1], expected[1])
    other = take(pipeline.batches(pairs, **settings(seed=8)), 1)
    assert not np.array_equal(other[0][0], whole[0][0])


@pytest.mark.slow
def test_stages_follow_one_another_and_a_resume_sees_the_same(folders):
    pairs = from_folders(*folders)
    stages = [(3, 8, 6), (2, 12, 4), (2, 16, 2)]
    common = {"augmentations": ["flip_vertically"], "seed": 7}
    whole = take(pipeline.staged_batches(pairs, stages, **common), 8)  # the last is endless
    expected = [(6, 8, 8, 3)] * 3 + [(4, 12, 12, 3)] * 2 + [(2, 16, 16, 3)] * 3
    assert [blurry.shape for blurry, _ in whole] == expected
    alone = take(pipeline.batches(pairs, crop=12, batch_size=4, start_step=3, **common), 1)
    np.testing.assert_array_equal(whole[3][0], alone[0][0])
    for start in (3, 6):
        resumed = pipeline.staged_batches(pairs, stages, start_step=start, **common)
        for batch, other in zip(take(resumed, 8 - start), whole[start:], strict=True):
            np.testing.assert_array_equal(batch[0], other[0])
            np.testing.assert_array_equal(batch[1], other[1])


def test_crops_lie_everywhere(folders):
    pairs = from_folders(*folders)
    _, image, _ = next(pairs.numpy_pairs())
    seen = set()
    corners = tf.random.stateless_uniform([800, 2], (0, 0))
    crops = pairs.examples.take(1).map(lambda *example: pairs.crops(example, corners, 16))
    for blurry, sharp in crops.unbatch().as_numpy_iterator():
        (place,) = [
            (y, x)
            for y in range(5)
            for x in range(15)
            if np.array_equal(blurry, image[y : y + 16, x : x + 16])
        ]
        np.testing.assert_array_equal(sharp, blurry + 1)
        seen.add(place)
    assert len(seen) == 5 * 15


@pytest.mark.parametrize("fast", [False, True])
def test_images_decoded_wholly_or_partly_give_the_same_batches(folders, fast, monkeypatch):
    if fast and not png.AVAILABLE:
        pytest.skip("the extra [fast] is not installed")
    pairs = from_folders(*folders)
    monkeypatch.setattr(png, "AVAILABLE", fast)
    (got, _), *_ = take(pipeline.batches(pairs, **settings()), 1)
    monkeypatch.setattr(png, "AVAILABLE", False)
    (expected, _), *_ = take(pipeline.batches(pairs, **settings()), 1)
    np.testing.assert_array_equal(got, expected)


def image_numbers(batch):
    return np.floor(batch[0].mean((1, 2, 3)) * 255 / 40).astype(int)


def test_several_crops_of_an_image_are_spread_over_batches(folders, monkeypatch):
    monkeypatch.setattr(pipeline, "MIXED_IMAGES", 6)  # the whole epoch
    pairs = from_folders(*folders)
    several = settings(batch_size=3, augmentations=(), crops_per_image=4)
    batches = take(pipeline.batches(pairs, **several), 8)
    numbers = [image_numbers(batch) for batch in batches]
    assert all(len(set(batch)) == 3 for batch in numbers)
    np.testing.assert_array_equal(np.bincount(np.concatenate(numbers)), [4] * 6)
    assert len({tuple(sorted(batch)) for batch in numbers}) > 2  # not the same three each time
    crops = np.concatenate([blurry for blurry, _ in batches])
    assert len(np.unique(crops.reshape(24, -1), axis=0)) > 12


@pytest.mark.slow
@pytest.mark.parametrize("crops_per_image", [1, 3])
@pytest.mark.parametrize("start_step", [0, 71])
def test_workers_share_the_batches_of_one(folders, crops_per_image, start_step):
    pairs = from_folders(*folders)
    common = settings(crops_per_image=crops_per_image, start_step=start_step)
    alone = take(pipeline.batches(pairs, **common), 5)
    workers = [take(pipeline.batches(pairs, **common, shard=(i, 2)), 5) for i in range(2)]
    for whole, *parts in zip(alone, *workers, strict=True):
        for image in range(2):
            joined = np.concatenate([part[image] for part in parts])
            np.testing.assert_array_equal(joined, whole[image])


def test_workers_that_cannot_share_a_batch_are_refused(folders):
    with pytest.raises(InputError, match=r"`batch_size=4`.*3 workers"):
        pipeline.batches(from_folders(*folders), **settings(), shard=(0, 3))


def test_shuffled_blocks_are_bounded_in_bytes(folders, monkeypatch):
    pairs = from_folders(*folders)
    monkeypatch.setattr(pipeline, "SHUFFLED_BYTES", 2 * pairs.encoded_bytes)
    one_epoch = settings(batch_size=6, augmentations=())
    numbers = [image_numbers(b) for b in take(pipeline.batches(pairs, **one_epoch), 8)]
    for epoch in numbers:
        assert [set(block) for block in epoch.reshape(3, 2)] == [{0, 1}, {2, 3}, {4, 5}]
    assert len({tuple(epoch) for epoch in numbers}) > 1


def test_pairs_of_two_sizes_and_small_images_stop_the_training(folders):
    pairs = from_folders(*folders)
    with pytest.raises(tf.errors.InvalidArgumentError, match="smaller than the crop"):
        take(pipeline.batches(pairs, **settings(crop=24)), 1)
    PIL.Image.new("RGB", (30, 21)).save(folders[1] / "3.png")  # after the pairs were found
    with pytest.raises(tf.errors.InvalidArgumentError, match="differs in size"):
        take(pipeline.batches(pairs, **settings()), 2)


def test_a_file_that_is_cut_off_stops_the_training(folders):
    pairs = from_folders(*folders)
    content = (folders[0] / "3.png").read_bytes()
    (folders[0] / "3.png").write_bytes(content[:-20])
    with pytest.raises(tf.errors.InvalidArgumentError):
        take(pipeline.batches(pairs, **settings()), 2)


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
    pairs = from_folders(*folders)
    name, blurry, sharp = list(pairs.numpy_pairs())[6]
    assert name == "6" and blurry.shape == sharp.shape == (20, 30, 3)
    tolerance = 95 if mode == "1" else 2  # one bit can only say black or white
    assert abs(float(blurry.mean()) - 160) <= tolerance


def test_images_smaller_than_the_crop_are_named(folders):
    PIL.Image.new("RGB", (1, 1)).save(folders[0] / "tiny.png")
    PIL.Image.new("RGB", (1, 1)).save(folders[1] / "tiny.png")
    with pytest.raises(InputError, match=r"tiny.png is 1x1 pixels.*16x16"):
        from_folders(*folders, smallest=16)


def test_center_crops(folders):
    pairs = from_folders(*folders)
    batches = take(pipeline.center_crops(pairs, crop=8, batch_size=4, limit=5), 9)
    assert [len(b) for b, _ in batches] == [4, 1]
    expected = np.asarray(PIL.Image.open(folders[0] / "0.png"))[6:14, 11:19]
    np.testing.assert_allclose(batches[0][0][0] * 255, expected, atol=1e-4)


def test_unknown_datasets_are_refused():
    with pytest.raises(InputError, match=r"nothing .* is unknown.*dead_leaves"):
        from_tfds("nothing", "train")
    with pytest.raises(
        InputError, match=r"gopro/blue .* unknown.*gopro/blur_gamma.*Did you mean gopro/blur\?"
    ):
        from_tfds("gopro/blue", "train")


@pytest.mark.slow
def test_a_union_takes_evenly_from_its_datasets(tmp_path):
    for name, size, count in (("large", 64, 6), ("small", 48, 3)):
        config = dead_leaves_dataset_builder.DeadLeavesConfig(
            name=f"{name}_images", train_pairs=count, test_pairs=1, image_size=size
        )
        tfds.builder("dead_leaves", config=config, data_dir=tmp_path).download_and_prepare()
    name = "dead_leaves/large_images+dead_leaves/small_images"
    pairs = from_tfds(name, "train", data_dir=tmp_path)
    assert pairs.count == 9
    assert "large_images" in pairs.name and "small_images" in pairs.name
    sizes = [len(blurry) for _, blurry, _ in pairs.numpy_pairs()]
    assert sizes == [64, 48, 64, 64, 48, 64, 64, 48, 64]
    assert pipeline.center_crops(pairs, crop=8, batch_size=4, limit=99).cardinality() == 3


def test_files_that_the_user_has_to_get_are_asked_for(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(InputError, match=r"Nothing of it is in .*mine.*HIDE_dataset\.zip"):
        from_tfds("hide", "test", tmp_path / "data", manual_dir=tmp_path / "mine")
