import io
import os
import pathlib
import pickle
import re
import zipfile

import numpy as np
import pytest
from PIL import Image

from tfdeblur.errors import InputError
from tfdeblur.io.images import encode_png
from tfdeblur.preparation import archives

FRAMES = re.compile(r"(train|test)/(\w+)/(\d+)\.png")


def noise(height=20, width=30, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def write_files(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("top", ["", "GOPRO_Large/", "a/b.c/"])
@pytest.mark.parametrize("write", [write_files, write_zip])
def test_files_are_found_below_any_folders_and_keep_their_bytes(tmp_path, top, write):
    content = encode_png(noise())
    files = {
        f"{top}train/a/2.png": content,
        f"{top}train/a/1.png": b"1",
        f"{top}train/a/notes.txt": b"",
        f"__MACOSX/{top}train/a/._1.png": b"",
        f"{top}.hidden/train/a/1.png": b"",
    }
    found = archives.find(archives.open_source(write(tmp_path / "data.zip", files)), FRAMES)

    assert list(found) == [("train", "a", "1"), ("train", "a", "2")]
    file = pickle.loads(pickle.dumps(found["train", "a", "2"]))  # as Beam sends it
    assert file.read() == content
    assert file.read_image() == (content, (30, 20))


@pytest.mark.parametrize("write", [write_files, write_zip])
def test_the_name_of_the_folder_or_archive_counts_too(tmp_path, write):
    name = "train" if write is write_files else "train.zip"
    source = archives.open_source(write(tmp_path / name, {"a/1.png": b""}))
    assert list(archives.find(source, FRAMES)) == [("train", "a", "1")]


def test_two_copies_of_a_file_are_refused(tmp_path):
    files = {"one/train/a/1.png": b"1", "two/train/a/1.png": b"2"}
    with pytest.raises(InputError, match="both the same file"):
        archives.find(archives.Folder(write_files(tmp_path, files)), FRAMES)


@pytest.mark.parametrize("name", ["../train/a/1.png", "x/../../1.png", "/etc/1.png", "..\\1.png"])
def test_an_archive_that_names_files_outside_itself_is_refused(tmp_path, name):
    path = write_zip(tmp_path / "hostile.zip", {"train/a/1.png": b"", name: b""})
    with pytest.raises(InputError, match=r"hostile\.zip.*outside"):
        archives.find(archives.Zip(path), FRAMES)


def test_an_incomplete_archive_is_refused(tmp_path):
    path = write_zip(tmp_path / "data.zip", {"train/a/1.png": bytes(5000)})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"data\.zip is no complete zip archive"):
        archives.find(archives.Zip(path), FRAMES)


def test_an_archive_that_has_been_replaced_is_read_anew(tmp_path):
    path = tmp_path / "data.zip"
    for content in (b"first", b"second one"):
        found = archives.find(archives.Zip(write_zip(path, {"train/a/1.png": content})), FRAMES)
        assert found["train", "a", "1"].read() == content


def test_damage_inside_an_archive_is_found_when_the_file_is_read(tmp_path):
    content = encode_png(noise())
    path = write_zip(tmp_path / "data.zip", {"train/a/1.png": content})
    damaged = bytearray(path.read_bytes())
    damaged[len(content) // 2] ^= 255
    path.write_bytes(damaged)
    found = archives.find(archives.Zip(path), FRAMES)
    with pytest.raises(InputError, match=r"data\.zip/train/a/1\.png cannot be read"):
        found["train", "a", "1"].read()


def jpeg(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize("encode", [encode_png, jpeg])
@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b[:-12], lambda b: b""])
def test_truncated_images_are_refused(tmp_path, encode, damage):
    content = damage(encode(noise(64, 64)))
    file = archives.File(archives.Folder(write_files(tmp_path, {"a/1.png": content})), "a/1.png")
    with pytest.raises(InputError, match=r"a/1\.png is no whole image"):
        file.read_image()


def test_sixteen_bits_are_refused(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "1.png")
    with pytest.raises(InputError, match="8 bits per channel"):
        archives.File(archives.Folder(tmp_path), "1.png").read_image()


def test_a_pair_of_different_sizes_is_refused(tmp_path):
    files = {"blurry.png": encode_png(noise(4, 6)), "sharp.png": encode_png(noise(6, 4))}
    folder = archives.Folder(write_files(tmp_path, files))
    blurry, sharp = (archives.File(folder, name) for name in files)
    assert archives.read_pair(blurry, blurry) == {
        "blurry": files["blurry.png"],
        "sharp": files["blurry.png"],
    }
    with pytest.raises(InputError, match=r"6x4.*4x6"):
        archives.read_pair(blurry, sharp)


# ------------------------------------------------------------------------ hostile files

HOSTILE = pathlib.Path(__file__).parents[1] / "cases" / "hostile"


def test_a_member_named_like_the_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"hostile\.zip holds '\.', which points outside"):
        archives.Zip(write_zip(tmp_path / "hostile.zip", {".": b""})).names()


def test_a_name_that_is_not_utf_8_is_refused(tmp_path):
    path = write_zip(tmp_path / "hostile.zip", {"traün/1.png": b""})
    path.write_bytes(path.read_bytes().replace("ü".encode(), b"\xff\xff"))
    with pytest.raises(InputError, match=r"hostile\.zip is no complete zip archive"):
        archives.Zip(path).names()


@pytest.mark.parametrize("path", sorted(HOSTILE.glob("*.zip")), ids=lambda path: path.name)
def test_mutated_archives_end_in_one_line(path):
    try:
        for name in archives.Zip(path).names():
            archives.File(archives.Zip(path), name).read_image()
    except InputError as error:
        assert path.name in str(error) and "\n" not in str(error)


def test_links_in_circles_end(tmp_path):
    write_files(tmp_path, {"train/a/1.png": b"1"})
    for name in ("x", "y", "train/z"):
        os.symlink(".", tmp_path / name)
    assert archives.Folder(tmp_path).names() == ["train/a/1.png"]


def test_pipes_and_devices_are_refused(tmp_path):
    os.mkfifo(tmp_path / "1.png")
    os.symlink("/dev/zero", tmp_path / "2.png")
    for name in ("1.png", "2.png"):
        with pytest.raises(InputError, match="pipe or a device"):
            archives.File(archives.Folder(tmp_path), name).read()
    os.mkfifo(tmp_path / "data.zip")
    with pytest.raises(InputError, match="pipe or a device"):
        archives.Zip(tmp_path / "data.zip").names()


def test_an_archive_that_promises_too_much_is_not_unpacked(tmp_path):
    path = write_zip(tmp_path / "data.zip", {"1.png": b"x"})
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\1\2")
    content[at + 24 : at + 28] = (2**32 - 2).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(InputError, match="has 4,294,967,294 bytes"):
        archives.File(archives.Zip(path), "1.png").read()
    content[at + 24 : at + 28] = (2**30).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"1\.png cannot be as large as it says"):
        archives.File(archives.Zip(path), "1.png").read()


def test_animations_and_drawings_in_data_sets_are_refused(tmp_path):
    frames = [Image.fromarray(noise(seed=seed)) for seed in (0, 1)]
    frames[0].save(tmp_path / "1.png", format="GIF", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "2.png", save_all=True, append_images=frames[1:])
    (tmp_path / "3.png").write_bytes((HOSTILE / "eps_named.png").read_bytes())
    for name in ("1.png", "2.png", "3.png"):
        with pytest.raises(InputError, match=rf"{name} is no whole image"):
            archives.File(archives.Folder(tmp_path), name).read_image()
