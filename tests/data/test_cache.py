import errno

import numpy as np
import PIL.Image
import pytest

from tfdeblur import memory
from tfdeblur.data import cache, pipeline
from tfdeblur.data.pairs import from_folders
from tfdeblur.errors import InputError

SIZES = [(40, 70), (32, 32), (20, 90), (50, 33)]  # height, width


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for kind in ("blurry", "sharp"):
        (tmp_path / kind).mkdir()
        for i, size in enumerate(SIZES):
            image = rng.integers(0, 256, (*size, 3), "uint8")
            PIL.Image.fromarray(image).save(tmp_path / kind / f"{i}.png")
    return tmp_path / "blurry", tmp_path / "sharp"


@pytest.fixture
def pairs(folders):
    return from_folders(*folders)


def batches(pairs, **changes):
    settings = {"crop": 16, "batch_size": 4, "augmentations": ("add_noise",), "seed": 7, **changes}
    return [tuple(map(np.asarray, batch)) for batch in pipeline.batches(pairs, **settings).take(4)]


@pytest.mark.slow
@pytest.mark.parametrize("crops_per_image", [1, 3])
def test_images_in_memory_change_no_batch(pairs, crops_per_image):
    cached = batches(cache.keep_in_memory(pairs), crops_per_image=crops_per_image)
    for got, expected in zip(cached, batches(pairs, crops_per_image=crops_per_image), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_images_that_do_not_fit_in_memory_are_refused(pairs, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 50_000)
    with pytest.raises(InputError, match=r"`cache=ram` needs about .* for the 4 decoded pairs"):
        cache.keep_in_memory(pairs)


def test_patches_cover_every_pixel_and_overlap(pairs, tmp_path):
    patches = cache.cut_patches(pairs, tmp_path / "patches", 32)
    assert patches.count == len(patches.images) == (2 * 3) + 1 + 4 + (2 * 2)
    images = iter(patches.images)
    for _, *pair in pairs.numpy_pairs():
        pair = np.stack(pair)
        covered = np.zeros(pair.shape[1:3], int)
        while not covered.all():
            patch = next(images)
            assert patch.shape[1:3] == tuple(np.minimum(pair.shape[1:3], 32))
            windows = np.lib.stride_tricks.sliding_window_view(pair, patch.shape)
            ((top, left),) = np.argwhere((windows == patch).all((-4, -3, -2, -1)))[:, 1:3]
            covered[top : top + patch.shape[1], left : left + patch.shape[2]] += 1
    assert next(images, None) is None


def test_patches_are_cut_once_and_give_the_same_batches_again(pairs, tmp_path):
    first = batches(cache.cut_patches(pairs, tmp_path / "patches", 32))
    written = (tmp_path / "patches" / cache.MANIFEST).stat().st_mtime_ns
    second = batches(cache.cut_patches(pairs, tmp_path / "patches", 32))
    assert (tmp_path / "patches" / cache.MANIFEST).stat().st_mtime_ns == written
    for got, expected in zip(second, first, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert first[0][0].shape == (4, 16, 16, 3)


def test_patches_are_split_into_shards(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "SHARD_BYTES", 10_000)
    split = cache.cut_patches(pairs, tmp_path / "split", 32)
    assert len(list((tmp_path / "split").glob("*.bin"))) > 1
    monkeypatch.undo()
    single = cache.cut_patches(pairs, tmp_path / "single", 32)
    for patch, expected in zip(split.images, single.images, strict=True):
        np.testing.assert_array_equal(patch, expected)


def test_patches_of_other_images_or_another_size_are_refused(pairs, folders, tmp_path):
    cache.cut_patches(pairs, tmp_path / "patches", 32)
    with pytest.raises(InputError, match=r"`cache=.*patches.*side: 32, now 48.*delete it"):
        cache.cut_patches(pairs, tmp_path / "patches", 48)
    PIL.Image.new("RGB", (70, 40)).save(folders[0] / "0.png")
    with pytest.raises(InputError, match=r"`cache=.*patches.*version"):
        cache.cut_patches(from_folders(*folders), tmp_path / "patches", 32)


def test_a_folder_with_other_files_is_left_alone(pairs, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="mine` holds no patches"):
        cache.cut_patches(pairs, tmp_path / "mine", 32)
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_an_interrupted_build_leaves_nothing(pairs, tmp_path, monkeypatch, error):
    def interrupted(image, side):
        yield image[:, :side, :side]
        raise error

    monkeypatch.setattr(cache, "_patches", interrupted)
    with pytest.raises((KeyboardInterrupt, InputError), match=r"(No space left|^$)"):
        cache.cut_patches(pairs, tmp_path / "patches", 32)
    assert not list(tmp_path.glob("*patches*"))
    monkeypatch.undo()
    assert cache.cut_patches(pairs, tmp_path / "patches", 32).count == 15


def test_a_folder_without_its_manifest_is_not_taken_for_complete(pairs, tmp_path):
    cache.cut_patches(pairs, tmp_path / "patches", 32)
    (tmp_path / "patches" / cache.MANIFEST).unlink()
    with pytest.raises(InputError, match="holds no patches"):
        cache.cut_patches(pairs, tmp_path / "patches", 32)


@pytest.mark.parametrize("where", ["ram", "patches"])
def test_a_broken_image_is_named(pairs, folders, tmp_path, where):
    content = (folders[0] / "2.png").read_bytes()
    (folders[0] / "2.png").write_bytes(content[:500])
    where = where if where == cache.IN_MEMORY else tmp_path / where
    with pytest.raises(InputError, match=r"^2 of .*blurry.* is broken"):
        cache.open_cache(pairs, where, 16)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"a": 1}', '{"shards": ["../x"], "patches": []}'],
)
def test_a_damaged_or_foreign_manifest_is_an_error(content, pairs, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "patches.json").write_text(content)
    with pytest.raises(InputError, match=r"`cache=.*mine"):
        cache.cut_patches(pairs, tmp_path / "mine", 32)
    assert (tmp_path / "mine" / "patches.json").read_text() == content


def test_patches_that_were_cut_off_are_an_error(pairs, tmp_path):
    cache.cut_patches(pairs, tmp_path / "patches", 32)
    (shard,) = (tmp_path / "patches").glob("*.bin")
    shard.write_bytes(shard.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"is damaged .*too short"):
        cache.cut_patches(pairs, tmp_path / "patches", 32)
