"""Files and folders: what goes where, what is refused, and that the rest goes on."""

import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from tfdeblur.errors import InputError
from tfdeblur.io import images
from tfdeblur.io.photos import Photo
from tfdeblur.io.photos import read as read_photo
from tfdeblur.io.photos import write as write_photo
from tfdeblur.restoration import files


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """The current folder, with photos/a.jpg, photos/trip/b.png and photos/note.txt."""
    monkeypatch.chdir(tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    images.write("photos/a.jpg", image)
    images.write("photos/trip/b.png", image)
    pathlib.Path("photos/note.txt").write_text("no image")
    return pathlib.Path("photos")


def invert(image, progress):
    if progress:
        progress(1.0)
    return np.iinfo(image.dtype).max - image


def targets(jobs):
    return [(job.source.as_posix(), job.target.as_posix()) for job in jobs]


def test_folder_structure_is_kept(photos):
    assert targets(files.plan(["photos"], "out")) == [
        ("photos/a.jpg", "out/a.jpg"),
        ("photos/trip/b.png", "out/trip/b.png"),
    ]


def test_files_go_straight_into_the_output_folder(photos):
    inputs = ["photos/trip/b.png", "photos/a.jpg"]
    assert targets(files.plan(inputs, "out")) == [
        ("photos/trip/b.png", "out/b.png"),
        ("photos/a.jpg", "out/a.jpg"),
    ]


def test_single_file_to_single_file(photos):
    jobs = files.plan(["photos/a.jpg"], "sharp/c.png")
    assert targets(jobs) == [("photos/a.jpg", "sharp/c.png")]
    with pytest.raises(InputError, match=r"--output=c\.png is one file"):
        files.plan(["photos"], "c.png")
    with pytest.raises(InputError, match="--suffix=_x is for folders"):
        files.plan(["photos/a.jpg"], "c.png", suffix="_x")


def test_an_input_given_twice_is_restored_once(photos):
    assert len(files.plan(["photos", "photos/trip", "photos/a.jpg"], "out")) == 2


def test_earlier_output_is_not_an_input(photos):
    images.write("photos/restored/a.jpg", np.zeros((6, 9, 3), np.uint8))
    assert len(files.plan(["photos"], "photos/restored")) == 2


def test_inputs_are_never_overwritten(photos):
    for inputs, output in ((["photos"], "photos"), (["photos/a.jpg"], "photos/../photos/a.jpg")):
        with pytest.raises(InputError, match=r"would overwrite the input photos/a\.jpg"):
            files.plan(inputs, output)
    os.symlink("photos", "link")
    with pytest.raises(InputError, match="would overwrite"):
        files.plan(["photos"], "link")


def test_suffix_makes_room_beside_the_input(photos):
    jobs = files.plan(["photos/a.jpg"], "photos", suffix="_sharp")
    assert targets(jobs) == [("photos/a.jpg", "photos/a_sharp.jpg")]


def test_two_inputs_for_one_output(photos):
    images.write("other/a.jpg", np.zeros((6, 9, 3), np.uint8))
    with pytest.raises(InputError, match=r"photos/a\.jpg and other/a\.jpg would both go to out"):
        files.plan(["photos", "other"], "out")


def test_what_is_refused_at_once(photos):
    with pytest.raises(InputError, match="no input"):
        files.plan([], "out")
    with pytest.raises(InputError, match=r"nowhere\.png does not exist"):
        files.plan(["nowhere.png"], "out")
    with pytest.raises(InputError, match=r"photos/note\.txt is a file: name a folder"):
        files.plan(["photos"], "photos/note.txt")
    pathlib.Path("demo").mkdir()
    with pytest.raises(InputError, match=r"no image or video .* in \./demo"):
        files.plan(["./demo"], "out")


def test_formats(photos):
    pathlib.Path("photos/clip.avi").touch()
    assert [job.target.name for job in files.plan(["photos"], "out", kind="PNG")] == [
        "a.png",
        "clip.avi",
        "b.png",
    ]
    assert [job.target.name for job in files.plan(["photos"], "out", kind=".mp4")] == [
        "a.jpg",
        "clip.mp4",
        "b.png",
    ]
    with pytest.raises(InputError, match=r"--format=gif: choose bmp, jpeg"):
        files.plan(["photos"], "out", kind="gif")
    with pytest.raises(InputError, match="--format=png is for folders"):
        files.plan(["photos/a.jpg"], "c.png", kind="png")


def test_patterns_keep_places_below_their_fixed_part(photos):
    assert targets(files.plan(["photos/**/*.png", "photos/*.jpg"], "out")) == [
        ("photos/trip/b.png", "out/trip/b.png"),
        ("photos/a.jpg", "out/a.jpg"),
    ]
    with pytest.raises(InputError, match=r"photos/\*\.tif matches no file"):
        files.plan(["photos/*.tif"], "out")


def test_brackets_in_a_name_are_no_pattern(photos):
    pathlib.Path("photos/a.jpg").rename("photos/[a].jpg")
    assert targets(files.plan(["photos/[a].jpg"], "out")) == [("photos/[a].jpg", "out/[a].jpg")]


def test_files_that_fail_do_not_stop_the_rest(photos, capsys):
    pathlib.Path("photos/0_broken.png").write_bytes(b"\x89PNG")
    pathlib.Path("photos/clip.mp4").touch()
    images.write("out/a.jpg", np.zeros((6, 9, 3), np.uint8))
    assert files.restore_files(files.plan(["photos"], "out"), invert) == 3
    errors = capsys.readouterr().err
    assert "photos/0_broken.png cannot be read" in errors
    assert "videos are read with" in errors or "photos/clip.mp4 cannot be read" in errors
    assert "out/a.jpg exists: give --overwrite" in errors
    assert not images.read("out/a.jpg").any()
    restored = images.read("out/trip/b.png")
    np.testing.assert_array_equal(restored, 255 - images.read("photos/trip/b.png"))


def test_out_of_memory_is_told_of_its_image(photos, capsys):
    def fail(image, progress):
        raise MemoryError

    assert files.restore_files(files.plan(["photos"], "out"), fail) == 2
    assert "photos/a.jpg: out of memory" in capsys.readouterr().err


def test_interrupted(photos, capsys):
    def stop(image, progress):
        if pathlib.Path("out/a.jpg").exists():
            raise KeyboardInterrupt
        return image

    with pytest.raises(KeyboardInterrupt):
        files.restore_files(files.plan(["photos"], "out"), stop)
    assert "1 of 2 files were restored before" in capsys.readouterr().err
    assert [path.as_posix() for path in pathlib.Path("out").rglob("*")] == ["out/a.jpg"]


def test_inputs_are_replaced_only_when_told(photos):
    before = images.read("photos/trip/b.png")
    jobs = files.plan(["photos/trip"], "photos/trip", overwrite=True)
    assert files.restore_files(jobs, invert, overwrite=True) == 0
    np.testing.assert_array_equal(images.read("photos/trip/b.png"), 255 - before)
    images.write("photos/trip/b_x.png", before)  # which would replace another input
    with pytest.raises(InputError, match=r"would overwrite the input photos/trip/b_x\.png"):
        files.plan(["photos/trip"], "photos/trip", suffix="_x", overwrite=True)


def test_compare(photos):
    jobs = files.plan(["photos"], "out", compare=True)
    assert files.restore_files(jobs, invert) == 0
    assert images.size("out/compare/a.jpg.jpg")[0] > 2 * 9
    assert pathlib.Path("out/compare/trip/b.png.jpg").exists()
    (job,) = files.plan(["photos/a.jpg"], "out/c.png", compare=True)
    assert job.compared == pathlib.Path("out/compare/c.png.jpg")


def test_overwrite(photos):
    images.write("out/a.jpg", np.zeros((6, 9, 3), np.uint8))
    jobs = files.plan(["photos/a.jpg"], "out")
    assert files.restore_files(jobs, invert, overwrite=True) == 0
    assert images.read("out/a.jpg").any()


def test_format_that_cannot_be_written_is_told_before_the_work(photos, capsys):
    Image.new("L", (4, 4)).save("x.gif")
    assert files.restore_files(files.plan(["x.gif"], "out"), invert) == 1
    assert "cannot write .gif; give --format=png" in capsys.readouterr().err
    assert files.restore_files(files.plan(["x.gif"], "x.png"), invert) == 0


def test_what_a_photo_holds_is_kept(photos):
    deep = np.random.default_rng(0).integers(0, 65536, (4, 5, 3), np.uint16)
    photo = Photo(deep, deep[..., 0])
    write_photo("logo.png", photo)
    assert files.restore_files(files.plan(["logo.png"], "out"), invert) == 0
    restored = read_photo("out/logo.png")
    np.testing.assert_array_equal(restored.pixels, 65535 - deep)
    np.testing.assert_array_equal(restored.alpha, deep[..., 0])


def test_what_concerns_one_file_does_not_end_the_others(photos, capsys):
    os.symlink("nowhere", photos / "dangling.jpg")
    os.symlink("loop.png", photos / "loop.png")
    os.symlink(".", photos / "x")
    os.mkfifo(photos / "pipe.png")
    jobs = files.plan(["photos", "missing.png", "*.none"], "out")
    assert files.restore_files(jobs, invert) == 5
    said = capsys.readouterr().err
    for message in (
        "missing.png does not exist",
        "*.none matches no file",
        "photos/dangling.jpg is a link to nowhere, which does not exist",
        "photos/loop.png cannot be read",
        "photos/pipe.png cannot be read (it is a pipe or a device",
    ):
        assert f"error: {message}" in said
    assert sorted(path.name for path in pathlib.Path("out").rglob("*.*")) == ["a.jpg", "b.png"]


def test_file_names_do_not_command_the_terminal(photos, capsys):
    (photos / "\x1b]0;owned\x07.png").write_bytes(b"none")
    (photos / os.fsdecode(b"caf\xe9.png")).write_bytes(b"none")
    assert files.restore_files(files.plan(["photos"], "out"), invert) == 2
    said = capsys.readouterr().err
    assert r"photos/\x1b]0;owned\x07.png cannot be read" in said and "\x1b]" not in said
    assert r"photos/caf\xe9.png cannot be read" in said


def test_a_link_to_nowhere_is_not_replaced(photos):
    pathlib.Path("out").mkdir()
    os.symlink("nowhere", "out/a.jpg")
    assert files.restore_files(files.plan(["photos/a.jpg"], "out"), invert) == 1
    assert os.readlink("out/a.jpg") == "nowhere"
