"""Files and folders: what goes where, what is refused, and that the rest goes on."""

import collections
import functools
import os
import pathlib
import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image

from tfdeblur.errors import InputError, NotFiniteError
from tfdeblur.io import images
from tfdeblur.io.photos import Photo
from tfdeblur.io.photos import read as read_photo
from tfdeblur.io.photos import write as write_photo
from tfdeblur.restoration import files


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
    with pytest.raises(InputError, match=r"`output=c\.png` is one file"):
        files.plan(["photos"], "c.png")
    with pytest.raises(InputError, match="`suffix=_x` is for folders"):
        files.plan(["photos/a.jpg"], "c.png", suffix="_x")


def test_an_input_given_twice_is_restored_once(photos):
    assert len(files.plan(["photos", "photos/trip", "photos/a.jpg"], "out")) == 2


def test_earlier_output_is_not_an_input(photos):
    images.write("photos/restored/a.jpg", np.zeros((6, 9, 3), np.uint8))
    assert len(files.plan(["photos"], "photos/restored")) == 2
    found = files.plan(["photos/**/*.jpg"], "photos/restored")
    assert targets(found) == [("photos/a.jpg", "photos/restored/a.jpg")]


def test_the_output_folder_as_an_input_gives_what_is_not_restored(photos):
    jobs = files.plan(["photos"], "out")
    done = files.Done("out", "so")
    assert files.restore_files(jobs, invert, done=done).restored == 2
    images.write("out/theirs.png", np.zeros((6, 9, 3), np.uint8))
    with pytest.raises(InputError, match=r"would overwrite the input out/theirs\.png"):
        files.plan(["photos", "out"], "out")
    os.unlink("out/theirs.png")
    again = files.plan(["photos", "out"], "out")
    assert targets(again) == targets(jobs)
    assert files.restore_files(again, invert, done=done).skipped == 2


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
    with pytest.raises(InputError, match=r"photos/note\.txt` is a file: name a folder"):
        files.plan(["photos"], "photos/note.txt")
    with pytest.raises(InputError, match="is empty: name a folder"):
        files.plan(["photos"], "")
    with pytest.raises(InputError, match="`suffix=/x` goes to the end of names"):
        files.plan(["photos"], "out", suffix="/x")
    with pytest.raises(InputError, match=r"\.jpgg is no format .* Did you mean \.jpg\?"):
        files.plan(["photos/a.jpg"], "x.jpgg")
    pathlib.Path("demo").mkdir()
    with pytest.raises(InputError, match=r"no image or video .* in \./demo"):
        files.plan(["./demo"], "out")


def test_formats(photos):
    pathlib.Path("photos/clip.avi").touch()
    assert [job.target.name for job in files.plan(["photos"], "out", format="PNG")] == [
        "a.png",
        "clip.avi",
        "b.png",
    ]
    assert [job.target.name for job in files.plan(["photos"], "out", format=".mp4")] == [
        "a.jpg",
        "clip.mp4",
        "b.png",
    ]
    with pytest.raises(InputError, match=r"`format=gif`: choose bmp, jpeg"):
        files.plan(["photos"], "out", format="gif")
    with pytest.raises(InputError, match="`format=png` is for folders"):
        files.plan(["photos/a.jpg"], "c.png", format="png")


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
    assert files.restore_files(files.plan(["photos"], "out"), invert).failed == 3
    errors = capsys.readouterr().err
    assert "photos/0_broken.png cannot be read" in errors
    assert "videos are read with" in errors or "photos/clip.mp4 cannot be read" in errors
    assert "out/a.jpg exists: give `overwrite=True`" in errors
    assert not images.read("out/a.jpg").any()
    restored = images.read("out/trip/b.png")
    np.testing.assert_array_equal(restored, 255 - images.read("photos/trip/b.png"))


def test_out_of_memory_is_told_of_its_image(photos, capsys):
    def fail(image, progress):
        raise MemoryError

    assert files.restore_files(files.plan(["photos"], "out"), fail).failed == 2
    assert "photos/a.jpg: out of memory" in capsys.readouterr().err


def test_out_of_memory_in_an_animation_does_not_blame_the_file(photos, capsys):
    class ResourceExhaustedError(Exception):  # TensorFlow's
        pass

    def fail(image, progress):
        raise ResourceExhaustedError("OOM when allocating tensor")

    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save("photos/c.gif", save_all=True, append_images=frames[1:])
    assert files.restore_files(files.plan(["photos/c.gif"], "out"), fail).failed == 1
    assert "photos/c.gif: out of memory" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.jpg", "c.gif"])
def test_what_comes_to_the_target_meanwhile_stays(photos, capsys, name):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save("photos/c.gif", save_all=True, append_images=frames[1:])

    def restore(image, progress):
        pathlib.Path("out").mkdir(exist_ok=True)
        pathlib.Path("out", name).write_bytes(b"theirs")
        return image

    assert files.restore_files(files.plan([f"photos/{name}"], "out"), restore).failed == 1
    assert f"out/{name} was put there meanwhile" in capsys.readouterr().err
    assert os.listdir("out") == [name] and pathlib.Path("out", name).read_bytes() == b"theirs"


def test_interrupted(photos, capsys):
    def stop(image, progress):
        if pathlib.Path("out/a.jpg").exists():
            raise KeyboardInterrupt
        return image

    with pytest.raises(KeyboardInterrupt):
        files.restore_files(files.plan(["photos"], "out"), stop)
    assert "1 of 2 files were restored before" in capsys.readouterr().err
    assert [path.as_posix() for path in pathlib.Path("out").rglob("*")] == ["out/a.jpg"]


def test_without_a_terminal_lines_tell_of_files_and_of_shares_of_them(photos, monkeypatch, capsys):
    monkeypatch.setattr(files, "_SECONDS_BETWEEN_LINES", -1)

    def in_parts(image, progress):
        progress(0.414)
        progress(1.0)
        return image

    files.restore_files(files.plan(["photos"], "out"), in_parts)
    assert capsys.readouterr().out.splitlines() == [
        "0 of 2 files are done.",
        "0 of 2 files are done, and 41% of the next.",
        "1 of 2 files are done.",
        "1 of 2 files are done.",
        "1 of 2 files are done, and 41% of the next.",
        "2 of 2 files are done.",
    ]
    monkeypatch.setattr(files, "_SECONDS_BETWEEN_LINES", 3600)
    files.restore_files(files.plan(["photos"], "out"), in_parts, overwrite=True)
    assert not capsys.readouterr().out


def test_inputs_are_replaced_only_when_told(photos):
    before = images.read("photos/trip/b.png")
    jobs = files.plan(["photos/trip"], "photos/trip", overwrite=True)
    assert files.restore_files(jobs, invert, overwrite=True).failed == 0
    np.testing.assert_array_equal(images.read("photos/trip/b.png"), 255 - before)
    images.write("photos/trip/b_x.png", before)  # which would replace another input
    with pytest.raises(InputError, match=r"would overwrite the input photos/trip/b_x\.png"):
        files.plan(["photos/trip"], "photos/trip", suffix="_x", overwrite=True)


def test_compare(photos):
    jobs = files.plan(["photos"], "out", compare=True)
    assert files.restore_files(jobs, invert).failed == 0
    assert images.size("out/compare/a.jpg")[0] > 2 * 9
    assert pathlib.Path("out/compare/trip/b.png.jpg").exists()
    (job,) = files.plan(["photos/a.jpg"], "out/c.png", compare=True)
    assert job.compared == pathlib.Path("out/compare/c.png.jpg")


def test_overwrite(photos):
    images.write("out/a.jpg", np.zeros((6, 9, 3), np.uint8))
    jobs = files.plan(["photos/a.jpg"], "out")
    assert files.restore_files(jobs, invert, overwrite=True).failed == 0
    assert images.read("out/a.jpg").any()


def test_format_that_cannot_be_written_is_told_before_the_work(photos, capsys):
    Image.new("L", (4, 4)).save("x.jp2")
    assert files.restore_files(files.plan(["x.jp2"], "out"), invert).failed == 1
    assert "cannot write .jp2; name a file that ends in .png, or" in capsys.readouterr().err
    assert files.restore_files(files.plan(["x.jp2"], "x.png"), invert).failed == 0


def test_what_a_photo_holds_is_kept(photos):
    deep = np.random.default_rng(0).integers(0, 65536, (4, 5, 3), np.uint16)
    photo = Photo(deep, deep[..., 0])
    write_photo("logo.png", photo)
    assert files.restore_files(files.plan(["logo.png"], "out"), invert).failed == 0
    restored = read_photo("out/logo.png")
    np.testing.assert_array_equal(restored.pixels, 65535 - deep)
    np.testing.assert_array_equal(restored.alpha, deep[..., 0])


def test_what_concerns_one_file_does_not_end_the_others(photos, capsys):
    os.symlink("nowhere", photos / "dangling.jpg")
    os.symlink("loop.png", photos / "loop.png")
    os.symlink(".", photos / "x")
    os.mkfifo(photos / "pipe.png")
    jobs = files.plan(["photos", "missing.png", "*.none"], "out")
    assert files.restore_files(jobs, invert).failed == 5
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
    assert files.restore_files(files.plan(["photos"], "out"), invert).failed == 2
    said = capsys.readouterr().err
    assert r"photos/\x1b]0;owned\x07.png cannot be read" in said and "\x1b]" not in said
    assert r"photos/caf\xe9.png cannot be read" in said


def test_a_link_to_nowhere_is_not_replaced(photos):
    pathlib.Path("out").mkdir()
    os.symlink("nowhere", "out/a.jpg")
    assert files.restore_files(files.plan(["photos/a.jpg"], "out"), invert).failed == 1
    assert os.readlink("out/a.jpg") == "nowhere"


def test_compare_with_long_names(photos):
    for name in ("a" * 251 + ".png", "ü" * 124 + "b.webp"):
        images.write(f"photos/{name}", np.zeros((6, 9, 3), np.uint8))
    jobs = files.plan(["photos"], "out", compare=True)
    assert files.restore_files(jobs, invert) == files.Outcome(4, 0, 0)
    assert sum(path.is_file() for path in pathlib.Path("out/compare").rglob("*")) == 4


def test_what_is_done_is_skipped(photos, capsys):
    jobs = files.plan(["photos"], "out")
    assert files.restore_files(jobs[:1], invert) == files.Outcome(1, 0, 0)
    assert files.restore_files(jobs, invert) == files.Outcome(1, 1, 0)
    assert files.restore_files(jobs, invert) == files.Outcome(0, 2, 0)
    assert files.restore_files(jobs, invert, overwrite=True) == files.Outcome(2, 0, 0)
    images.write("photos/a.jpg", np.zeros((6, 9, 3), np.uint8))  # another picture meanwhile
    assert files.restore_files(jobs, invert) == files.Outcome(0, 1, 1)
    assert "out/a.jpg exists: give `overwrite=True`" in capsys.readouterr().err


def test_a_copy_is_not_taken_for_done(photos):
    jobs = files.plan(["photos/a.jpg"], "out")
    os.mkdir("out")
    shutil.copy2("photos/a.jpg", "out/a.jpg")
    assert files.restore_files(jobs, invert) == files.Outcome(1, 0, 0)
    assert files.restore_files(jobs, invert) == files.Outcome(0, 1, 0)


def test_access_rights_and_times_are_kept(photos):
    os.chmod("photos/a.jpg", 0o640)
    os.utime("photos/a.jpg", ns=(10**18, 10**18))
    before = os.stat("photos/a.jpg")
    for output in ("out", "photos"):
        files.restore_files(
            files.plan(["photos/a.jpg"], output, overwrite=True), invert, overwrite=True
        )
        after = os.stat(f"{output}/a.jpg")
        assert after.st_mode == before.st_mode and after.st_mtime_ns == before.st_mtime_ns
    assert after.st_ino != before.st_ino and (after.st_uid, after.st_gid) == (
        before.st_uid,
        before.st_gid,
    )


def test_a_disk_of_coarse_times_is_no_reason_to_restore_again(photos):
    jobs = files.plan(["photos/a.jpg"], "out")
    done = files.Done("out", "so")
    files.restore_files(jobs, invert, done=done)
    time = os.stat("photos/a.jpg").st_mtime_ns
    os.utime("out/a.jpg", ns=(time, time - time % 10**9))
    assert files.restore_files(jobs, invert, done=done).skipped == 1
    os.utime("photos/a.jpg", ns=(time, time + 10**10))  # taken anew
    assert files.restore_files(jobs, invert, done=done).failed == 1


def test_tags_of_file_managers_are_kept(photos):
    try:
        os.setxattr("photos/a.jpg", "user.baloo.rating", b"8")
    except (AttributeError, OSError):
        pytest.skip("this system or disk has no extended attributes")
    jobs = files.plan(["photos/a.jpg"], "photos", overwrite=True)
    files.restore_files(jobs, invert, overwrite=True)
    assert os.getxattr("photos/a.jpg", "user.baloo.rating") == b"8"


def test_a_private_photograph_is_private_while_it_is_written(photos):
    os.chmod("photos/a.jpg", 0o600)
    with images.replacing("out/a.jpg", like="photos/a.jpg") as temporary:
        assert os.stat(temporary).st_mode & 0o777 == 0o600
        temporary.write_bytes(b"")
    assert os.stat("out/a.jpg").st_mode & 0o777 == 0o600


def test_read_only_files_are_not_replaced(photos, capsys):
    os.chmod("photos/a.jpg", 0o444)
    content = pathlib.Path("photos/a.jpg").read_bytes()
    jobs = files.plan(["photos/a.jpg"], "photos", overwrite=True)
    assert files.restore_files(jobs, invert, overwrite=True).failed == 1
    assert "photos/a.jpg is read-only" in capsys.readouterr().err
    assert pathlib.Path("photos/a.jpg").read_bytes() == content


def test_what_was_restored_of_a_read_only_file_may_be_restored_again(photos):
    os.chmod("photos/a.jpg", 0o444)
    pathlib.Path("out").mkdir()
    jobs = files.plan(["photos/a.jpg"], "out", overwrite=True)
    for how in ("so", "otherwise"):
        done = files.Done("out", how)
        assert files.restore_files(jobs, invert, overwrite=True, done=done).restored == 1
    os.chmod("photos/a.jpg", 0o644)  # so it was the user who made the result read-only
    assert files.restore_files(jobs, invert, overwrite=True, done=done).failed == 1


def test_a_folder_that_cannot_be_written_into_is_told_before_the_work(photos, capsys, monkeypatch):
    pathlib.Path("file").touch()
    cases = [("file/out", "file is no folder")]
    monkeypatch.setattr(os, "access", lambda path, mode: pathlib.Path(path).name != "locked")
    pathlib.Path("locked").mkdir()
    cases.append(("locked/new", "cannot write into locked: permission denied"))
    for output, message in cases:
        (job,) = files.plan(["photos/a.jpg"], output)
        with pytest.raises(InputError, match=message):
            files.check(job)
        assert files.restore_files([job], restore=None).failed == 1
        assert message in capsys.readouterr().err


def test_a_comparison_is_made_of_what_is_done_already(photos):
    done = files.Done("out", "so")
    files.restore_files(files.plan(["photos"], "out"), invert, done=done)
    compared = files.plan(["photos"], "out", compare=True)
    for _ in range(2):
        assert files.restore_files(compared, None, done=done) == files.Outcome(0, 2, 0)
    files.restore_files(files.plan(["photos"], "whole", compare=True), invert)
    for name in ("a.jpg", "trip/b.png.jpg"):
        made, expected = (images.read(f"{x}/compare/{name}") for x in ("out", "whole"))
        np.testing.assert_allclose(made.astype(int), expected.astype(int), atol=40)  # two JPEGs
    # One that shows an older result is made anew, the others stay.
    older = pathlib.Path("out/compare/a.jpg").read_bytes()
    pathlib.Path("out/compare/trip/b.png.jpg").write_bytes(b"ours")
    again = files.plan(["photos/a.jpg"], "out")
    files.restore_files(again, lambda x, progress: x // 2, overwrite=True, done=done)
    files.restore_files(compared, None, done=files.Done("out", "so"))
    assert pathlib.Path("out/compare/a.jpg").read_bytes() != older
    assert pathlib.Path("out/compare/trip/b.png.jpg").read_bytes() == b"ours"


def test_a_comparison_replaces_no_picture_of_the_user_s(photos, capsys):
    theirs = pathlib.Path("out/compare/a.jpg")
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    jobs = files.plan(["photos/a.jpg"], "out", compare=True)
    done = files.Done("out", "so")
    assert files.restore_files(jobs, invert, done=done).failed == 1
    files.restore_files(files.plan(["photos/a.jpg"], "out"), invert, done=done)
    os.utime(theirs, (0, 0))
    shutil.copy2("out/a.jpg", "out/newer.jpg")
    os.replace("out/newer.jpg", "out/a.jpg")  # made after that picture
    assert files.restore_files(jobs, invert, done=done).failed == 1
    assert capsys.readouterr().err.count("out/compare/a.jpg exists: give `overwrite=True`") == 2
    assert theirs.read_bytes() == b"theirs"
    assert files.restore_files(jobs, invert, overwrite=True, done=done).restored == 1
    assert files.restore_files(jobs, invert, overwrite=True, done=done).restored == 1
    assert theirs.read_bytes() != b"theirs" and done.lists(theirs)


def test_a_picture_of_floating_point(photos):
    tifffile.imwrite("photos/f.tif", np.full((5, 6, 3), 0.5, np.float32), photometric="rgb")
    jobs = files.plan(["photos/f.tif"], "out", compare=True)
    assert files.restore_files(jobs, lambda x, progress: x).restored == 1
    assert abs(images.read("out/compare/f.tif.jpg")[-20, 20].astype(int) - 128).max() < 6


def test_what_a_stand_in_restored_is_replaced(photos, capsys):
    pathlib.Path("out").mkdir()
    jobs = files.plan(["photos"], "out")
    best = functools.partial(files.Done, "out", "best", stand_in="small")
    files.restore_files(jobs, lambda x, progress: x // 2, done=best().by_stand_in())
    assert files.Done("out", "small").knows("out/a.jpg")
    times = os.stat("out/a.jpg")
    pathlib.Path("out/a.jpg").write_bytes(b"changed by somebody")
    os.utime("out/a.jpg", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert files.restore_files(jobs, invert, done=best()) == files.Outcome(1, 0, 1)
    assert "out/a.jpg exists" in capsys.readouterr().err
    assert (images.read("out/trip/b.png") == 255 - images.read("photos/trip/b.png")).all()
    assert files.restore_files(jobs, invert, done=best()) == files.Outcome(0, 1, 1)


def test_what_was_wanted_of_the_stand_in_is_not_replaced(photos):
    pathlib.Path("out").mkdir()
    jobs = files.plan(["photos"], "out")
    files.restore_files(jobs, lambda x, progress: x // 2, done=files.Done("out", "small"))
    done = files.Done("out", "best", stand_in="small")
    assert files.restore_files(jobs, invert, done=done).failed == 2


def test_the_target_of_a_link_is_restored(photos):
    os.rename("photos/a.jpg", "kept.jpg")
    os.symlink("../kept.jpg", "photos/a.jpg")
    before = read_photo("kept.jpg").pixels
    jobs = files.plan(["photos/a.jpg"], "photos", overwrite=True)
    assert files.restore_files(jobs, invert, overwrite=True).restored == 1
    assert os.path.islink("photos/a.jpg") and not os.path.islink("kept.jpg")
    np.testing.assert_allclose(read_photo("kept.jpg").pixels, 255 - before.astype(int), atol=60)


def test_hard_links_are_told(photos, capsys):
    os.link("photos/a.jpg", "other.jpg")
    jobs = files.plan(["photos/a.jpg"], "photos", overwrite=True)
    files.restore_files(jobs, invert, overwrite=True)
    assert "1 other names (hard links), which keep the old version" in capsys.readouterr().err


def test_what_is_left_out_is_told(photos, capsys):
    Image.fromarray(np.zeros((4, 4, 4), np.uint8)).save("photos/logo.png")
    jobs = files.plan(["photos/logo.png"], "out", format="jpg")
    assert files.restore_files(jobs, lambda x, progress: x).restored == 1
    err = capsys.readouterr().err
    assert "note: out/logo.jpg leaves out of logo.png: its transparency." in err


def test_a_file_stays_what_its_content_says(photos, capsys):
    pixels = np.arange(64, dtype=np.uint8).reshape(4, 4, 4)
    Image.fromarray(pixels).save("photos/logo.jpg", format="PNG")
    files.restore_files(files.plan(["photos/logo.jpg"], "out"), lambda x, progress: x)
    np.testing.assert_array_equal(Image.open("out/logo.jpg"), pixels)
    assert "note" not in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".gif", ".apng", ".dng"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_file_of_a_wrong_name_is_restored(photos, suffix, kind):
    Image.new("RGB", (9, 6)).save(f"photos/x{suffix}", format=kind)
    jobs = files.plan(["photos"], "out")
    assert files.check(jobs[-1]) == "9x6 pixels"
    assert files.restore_files(jobs, invert) == files.Outcome(3, 0, 0)
    with Image.open(f"out/x{suffix}") as image:
        assert image.format == kind and image.getpixel((0, 0)) == (255, 255, 255)
    assert files.restore_files(files.plan([f"photos/x{suffix}"], "out/x.png"), invert).restored == 1


def test_what_a_search_leaves_out_is_counted(photos):
    for name in ("photos/x.jp2", "photos/y.JP2", "photos/z.tga", "photos/.hidden.png"):
        pathlib.Path(name).write_bytes(b"x")
    pathlib.Path("photos/Makefile").write_text("all:")
    shutil.copy("photos/a.jpg", "photos/IMG_0001")
    os.makedirs("photos/@eaDir")
    images.write("photos/@eaDir/a.jpg", np.zeros((4, 4, 3), np.uint8))
    os.makedirs("elsewhere")
    images.write("elsewhere/far.png", np.zeros((4, 4, 3), np.uint8))
    os.symlink("../elsewhere", "photos/linked")
    left_out = collections.Counter()
    jobs = files.plan(["photos"], "out", left_out=left_out)
    assert [job.source.name for job in jobs] == ["a.jpg", "b.png"]
    assert +left_out == {
        ".jp2 files": 2,
        ".tga files": 1,
        "hidden files": 1,
        "images without a suffix": 1,
        "folders of thumbnails and waste": 1,
        "linked folders": 1,
    }
    jobs = files.plan(["photos"], "out", follow_links=True)
    assert ("photos/linked/far.png", "out/linked/far.png") in targets(jobs)


def test_other_names_of_what_can_be_read(photos):
    for name in ("x.jfif", "x.jpe", "x.pgm"):
        write_photo(f"photos/{name}", Photo(np.full((4, 4, 3), 9, np.uint8), grey=True))
    pathlib.Path("photos/x.ts").write_bytes(b"G" + bytes(400))
    pathlib.Path("photos/program.ts").write_text("let x = 1")
    names = [job.source.name for job in files.plan(["photos"], "out")]
    assert names == ["a.jpg", "b.png", "x.jfif", "x.jpe", "x.pgm", "x.ts"]


def test_of_a_file_and_its_link_the_file_is_restored(photos):
    os.symlink("a.jpg", "photos/0.jpg")
    assert targets(files.plan(["photos"], "out"))[0] == ("photos/a.jpg", "out/a.jpg")
    assert len(files.plan(["photos"], "out")) == 2


def test_floats_and_integers_of_32_bits_are_told_beforehand(photos):
    tifffile.imwrite("photos/x.tif", np.full((4, 4), 2.0, np.float32))
    tifffile.imwrite("photos/y.tif", np.zeros((4, 4), np.int32))
    for name in ("x", "y"):
        (job,) = files.plan([f"photos/{name}.tif"], "out")
        with pytest.raises(InputError, match=rf"{name}\.tif"):
            files.check(job)


def test_harm_is_told_and_undone(photos, capsys):
    flat = np.full((128, 128, 3), 99, np.uint8)
    images.write("flat.png", flat)

    def spoil(image, progress):
        spoilt = image.copy()
        spoilt[16:80, 16:80, 0] = 200
        return spoilt

    jobs = files.plan(["flat.png"], "out")
    assert files.restore_files(jobs, spoil) == files.Outcome(1, 0, 0)
    said = capsys.readouterr().err
    assert "note: out/flat.png may be worse than its input: " in said
    assert "% of it show light that changed" in said and "`fallback` keeps the input there" in said
    assert (images.read("out/flat.png") != flat).any()
    files.restore_files(jobs, spoil, overwrite=True, fallback=True)
    assert "the input was kept there" in capsys.readouterr().err
    np.testing.assert_array_equal(images.read("out/flat.png"), flat)


def test_values_that_are_not_finite(photos, capsys):
    def fail(image, progress):
        raise NotFiniteError("the network 'x' returned values that are not finite")

    jobs = files.plan(["photos/trip"], "out")
    assert files.restore_files(jobs, fail).failed == 1
    assert files.restore_files(jobs, fail, fallback=True).failed == 0
    assert "100.0% of it show values that are not finite; the input" in capsys.readouterr().err
    np.testing.assert_array_equal(images.read("out/b.png"), images.read("photos/trip/b.png"))


def test_what_was_restored_in_another_way_is_not_skipped(photos, capsys):
    jobs = files.plan(["photos"], "out")
    assert files.restore_files(jobs[:1], invert, done=files.Done("out", "a")).restored == 1
    again = files.Done("out", "a")
    assert files.is_done(jobs[0], again) and not files.is_done(jobs[1], again)
    other = files.Done("out", "b")
    assert files.restore_files(jobs, invert, done=other) == files.Outcome(1, 0, 1)
    said = (
        "out/a.jpg exists, restored by another network or with other options: give `overwrite=True`"
    )
    assert said in capsys.readouterr().err
    assert files.restore_files(jobs, invert, True, done=other) == files.Outcome(2, 0, 0)
    assert files.restore_files(jobs, invert, done=files.Done("out", "b")).skipped == 2


def test_what_is_restored_in_place_leaves_no_file(photos):
    jobs = files.plan(["photos"], "photos", overwrite=True)
    files.restore_files(jobs, invert, overwrite=True, done=files.Done("photos", "a"))
    assert not pathlib.Path("photos", files.DONE).exists()


def test_a_link_is_not_followed_for_what_is_done(photos):
    pathlib.Path("out").mkdir()
    os.symlink("../photos/note.txt", f"out/{files.DONE}")
    jobs = files.plan(["photos"], "out")
    files.restore_files(jobs, invert, done=files.Done("out", "a"))
    assert pathlib.Path("photos/note.txt").read_text() == "no image"
