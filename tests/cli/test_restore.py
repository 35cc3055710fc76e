"""The command `tfdeblur`, as a user starts it."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import tfdeblur
from tfdeblur import models, weights
from tfdeblur.cli import restore as cli
from tfdeblur.errors import InputError
from tfdeblur.io import images

ROOT = pathlib.Path(__file__).parents[2]
PUBLISHED = ROOT.parent / "shared" / "published" / "dmphn_1_2_4_8"


def deblur(*arguments):
    command = [sys.executable, str(ROOT / "deblur.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_dry_run(photos):
    pathlib.Path("photos/broken.png").touch()
    done = deblur("photos", "--dry_run", "--format=webp")
    assert done.returncode == 1
    assert "photos/trip/b.png -> restored/trip/b.webp (9x6 pixels)" in done.stdout
    assert "Would restore 2 of 3 files; 1 would fail" in done.stdout
    assert "broken.png cannot be read" in done.stderr
    assert not pathlib.Path("restored").exists()


def test_what_is_left_out_is_told_also_where_nothing_else_is(photos, run_command):
    pathlib.Path("other").mkdir()
    pathlib.Path("other/a.jp2").touch()
    done = run_command(cli, "other", "--fast")
    assert "no image or video" in done.stderr and "Left out: 1 .jp2 files." in done.stdout


def test_a_wrong_flag(photos):
    done = deblur("photos", "--tile=12")
    assert done.returncode == 1
    assert "give a number of pixels, 64 or more, or auto" in done.stderr


def test_command(photos, run_command):
    """A network, a folder with a broken file, a tiny image."""
    models.build("mimo_unet", filters=4, resblocks=1).save("net.keras")
    images.write("photos/pixel.bmp", np.zeros((1, 1, 3), np.uint8))
    pathlib.Path("photos/broken.png").touch()
    done = run_command(cli, "photos", "--model=net.keras", "--device=cpu")
    assert done.returncode == 1
    assert "Restoring with net.keras" in done.stdout
    assert "Restored 3 of 4 files into restored; 1 failed" in done.stdout
    assert "broken.png cannot be read as an image (the file is empty)" in done.stderr
    assert "Traceback" not in done.stderr
    for name in ("a.jpg", "trip/b.png", "pixel.bmp"):
        assert images.size(f"restored/{name}") == images.size(f"photos/{name}")


@pytest.mark.slow
def test_strength_and_mask(photos, run_command):
    models.build("mimo_unet", filters=4, resblocks=1).save("net.keras")
    mask = np.zeros((6, 9, 3), np.uint8)
    mask[:3] = 255
    images.write("mask.png", mask)
    flags = ("photos/trip/b.png", "--model=net.keras", "--device=cpu", "--precision=float32")
    done = run_command(cli, *flags, "--mask=mask.png", "--output=masked.png")
    assert done.returncode == 0, done.stderr
    done = run_command(cli, *flags, "photos/a.jpg", "--strength=0")
    assert done.returncode == 0, done.stderr
    before, after = (images.read(x) for x in ("photos/trip/b.png", "masked.png"))
    assert (before != after)[:3].any() and (before == after)[3:].all()
    np.testing.assert_array_equal(images.read("restored/b.png"), before)


def test_one_kernel_for_the_whole(photos, run_command):
    y, x = np.mgrid[:60, :80]
    stripes = np.uint8(60 + 130 * ((x // 9 + y // 7) % 2))
    shaken = np.mean([np.roll(stripes, step, 1) for step in range(4)], 0)
    images.write("shaken/a.png", np.stack(3 * [np.uint8(shaken)], -1))
    images.write("shaken/sharp.png", np.stack(3 * [stripes], -1))
    done = run_command(cli, "shaken", "photos", "--model=xu2013", "--kernel_size=7", "--compare")
    assert done.returncode == 1
    assert "Restoring with xu2013: one kernel of 7x7 pixels for all of it." in done.stdout
    assert "Restored 2 of 4 files" in done.stdout
    np.testing.assert_array_equal(
        images.read("restored/sharp.png"), images.read("shaken/sharp.png")
    )
    assert "photos/a.jpg: a kernel of 7x7 is too large for 9x6 pixels" in done.stderr
    assert (images.read("restored/a.png") != images.read("shaken/a.png")).any()
    shown = images.read("restored/compare/a.png.jpg")
    assert shown[40:220, 770:960].mean() < 70 < shown[40:220, 500:700].mean()  # mostly black


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--model=pan2016", "--tile=64"], "--tile=64 is for networks: pan2016 has one kernel"),
        (["--model=xu2013", "--self_ensemble"], "--self_ensemble is for networks"),
        (["--model=xu2013", "--weights=gopro"], "--weights is for networks"),
        (["--kernel_size=9"], "--kernel_size is of --model=xu2013 or pan2016"),
    ],
)
def test_flags_that_do_not_fit_one_kernel(photos, run_command, flags, message):
    done = run_command(cli, "photos", *flags)
    assert done.returncode == 1 and message in done.stderr
    assert not pathlib.Path("restored").exists()


def test_without_the_default_the_network_in_the_package_restores(photos, monkeypatch, run_command):
    monkeypatch.setenv("TFDEBLUR_CACHE", "cache")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    done = run_command(cli, "photos")
    assert done.returncode == 0
    address = "https://storage.googleapis.com/gresearch/maxim/ckpt/Deblurring/GoPro/checkpoint.npz"
    assert f"{address} cannot be fetched" in done.stdout
    assert "note: photographs, which is smaller and not as good, restores" in done.stdout
    assert "Restoring with photographs.\n" in done.stdout  # it is not the default
    assert "Restored 2 of 2 files" in done.stdout
    # Nothing is restored twice, but by the default, once it can be had.
    for flags in ([], ["--fast"]):
        done = run_command(cli, "photos", *flags)
        assert "Restored 0 of 2 files into restored; skipped 2" in done.stdout
    assert "Would restore 2 of 2 files." in run_command(cli, "photos", "--dry_run").stdout


def test_a_mistyped_command_is_no_photo(photos, run_command):
    done = run_command(cli, "evalute")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: evalute does not exist, and is no command. Did you mean evaluate?\n"
    )
    done = run_command(cli, "evalute", "photos/a.jpg", "--fast")
    assert done.returncode == 1 and "Restored 1 of 2 files" in done.stdout


def test_no_network_is_opened_where_all_is_done(photos, run_command, monkeypatch):
    models.build("mimo_unet", filters=4, resblocks=1).save("net.keras")
    flags = ("photos", "--model=net.keras")
    assert run_command(cli, *flags).returncode == 0
    monkeypatch.setattr(cli, "open_restorer", lambda given: pytest.fail("opened"))
    assert "Restored 0 of 2 files into restored; skipped 2" in run_command(cli, *flags).stdout
    # Nor where all of it will fail.
    done = run_command(cli, "photos", "--fast")
    assert done.returncode == 1 and done.stderr.count("restored by another network") == 2


def test_fast_is_the_network_in_the_package(photos, run_command):
    assert (cli.OWN, cli.OWN_FILE) == (weights.OWN, weights.OWN_FILE)
    done = run_command(cli, "photos/a.jpg", "--fast")
    assert done.returncode == 0 and "Restoring with photographs." in done.stdout
    done = run_command(cli, "photos/a.jpg", "--fast", "--model=dmphn")
    assert done.returncode == 1 and "--fast is --model=photographs" in done.stderr


def test_another_network_in_the_package_is_another(photos, run_command, monkeypatch, tmp_path):
    flags = ("photos/a.jpg", "--fast")
    assert "Restored 1 of 1" in run_command(cli, *flags).stdout
    assert "skipped 1 already done" in run_command(cli, *flags).stdout
    monkeypatch.setattr(cli, "OWN_FILE", tmp_path / "photographs.keras")
    cli.OWN_FILE.write_bytes(weights.OWN_FILE.read_bytes() + b"newer")
    assert "restored by another network" in run_command(cli, *flags).stderr


@pytest.mark.parametrize(("flag", "suffix"), [("output", ""), ("model", ".keras")])
def test_a_name_that_the_system_refuses_ends_in_one_line(photos, run_command, flag, suffix):
    name = "a" * 300 + suffix
    done = run_command(cli, "photos/a.jpg", f"--{flag}={name}")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"error: {name}: File name too long; name another."


def test_a_device_that_is_not_there(photos):
    with pytest.raises(InputError, match=r"--device=gpu:9: this computer has cpu:0"):
        cli._device("gpu:9")


@pytest.mark.slow
def test_command_with_published_weights(photos):
    if not PUBLISHED.is_dir():
        pytest.skip(f"the authors' weights are missing: {PUBLISHED}")
    pathlib.Path("cache/dmphn").mkdir(parents=True)
    pathlib.Path("cache/dmphn/gopro").symlink_to(PUBLISHED)
    flags = ["photos/trip/b.png", "--model=dmphn", "--weights=gopro"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "deblur.py"), *flags],
        env={**os.environ, "TFDEBLUR_CACHE": "cache"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Restoring with dmphn with gopro." in done.stdout
    assert images.size("restored/b.png") == images.size("photos/trip/b.png")


def test_words_that_are_commands_are_no_files(photos):
    with pytest.raises(InputError, match=r"`demo` is a command of its own.*\./demo"):
        cli._refuse_commands(["photos", "demo"])


def command(*arguments, **options):
    words = [sys.executable, "-m", "tfdeblur", *arguments]
    return subprocess.run(words, capture_output=True, **options)


def test_version_and_help(photos):
    assert command("--version").stdout.decode() == f"tfdeblur {tfdeblur.__version__}\n"
    assert b"INPUT is an image" in command("-h").stdout


def test_file_names_that_begin_with_a_dash(photos):
    os.rename("photos/a.jpg", "-a.jpg")
    done = command("-a.jpg", "--dry_run")
    assert done.returncode == 0, done.stderr
    assert b"-a.jpg -> restored/-a.jpg" in done.stdout


def test_an_empty_word_is_not_the_current_folder(photos, run_command):
    done = run_command(cli, "", "photos", "--output=.", "--overwrite", "--dry_run")
    assert done.returncode == 1 and "an input is empty" in done.stderr and not done.stdout


def test_dry_run_looks_at_the_mask_and_at_names(photos, run_command):
    images.write("mask.png", np.zeros((6, 8, 3), np.uint8))
    done = run_command(cli, "photos/a.jpg", "--mask=mask.png", "--dry_run")
    assert done.returncode == 1 and "a.jpg: --mask is of 8x6 pixels" in done.stderr
    done = run_command(cli, "photos/a.jpg", "--mask=none.png", "--dry_run")
    assert done.returncode == 1 and "none.png does not exist" in done.stderr
    done = run_command(cli, "photos/a.jpg", f"--suffix={251 * 'x'}", "--dry_run")
    assert done.returncode == 1 and "255 bytes" in done.stderr


def test_what_is_closed_or_full(photos):
    script = """
        tfdeblur --version >/dev/full
        tfdeblur --version | true
        tfdeblur photos --dry_run 2>&- | cat
        tfdeblur - <&- | cat
    """
    script = script.replace("tfdeblur", f"{sys.executable} -m tfdeblur")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.stdout.endswith("Would restore 2 of 2 files.\n")
    assert done.stderr.splitlines() == [
        "error: no space is left for what is printed.",
        "error: - needs standard input and standard output, one of which is closed.",
    ]


@pytest.mark.slow
def test_from_standard_input_to_standard_output(photos):
    models.build("mimo_unet", filters=4, resblocks=1).save("net.keras")
    content = pathlib.Path("photos/trip/b.png").read_bytes()
    done = command("-", "--model=net.keras", "--format=webp", input=content)
    assert done.returncode == 0, done.stderr
    pathlib.Path("x.webp").write_bytes(done.stdout)
    assert images.size("x.webp") == (9, 6)
    assert b"Restoring with net.keras" in done.stderr
    assert not pathlib.Path("restored").exists()


@pytest.mark.slow
def test_an_animation_from_standard_input(photos):
    models.build("mimo_unet", filters=4, resblocks=1).save("net.keras")
    frames = [Image.new("RGB", (9, 6), colour) for colour in ("red", "blue")]
    frames[0].save("x.gif", save_all=True, append_images=frames[1:], duration=90)
    done = command("-", "--model=net.keras", input=pathlib.Path("x.gif").read_bytes())
    assert done.returncode == 0, done.stderr
    pathlib.Path("y.gif").write_bytes(done.stdout)
    with Image.open("y.gif") as restored:
        assert restored.n_frames == 2 and restored.size == (9, 6)


@pytest.mark.slow
def test_notes_on_standard_input_name_no_temporary_file(photos):
    models.build("mimo_unet", filters=4, resblocks=1).save("net.keras")
    Image.new("RGBA", (9, 6)).save("clear.png")
    content = pathlib.Path("clear.png").read_bytes()
    done = command("-", "--model=net.keras", "--format=jpg", input=content)
    assert done.returncode == 0 and b"standard_input" not in done.stderr
    assert b"standard output leaves out of standard input: " in done.stderr


def test_what_standard_input_is_not(photos):
    done = command("-", input=b"no image")
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith(b"error: standard input cannot be read as an image")
    done = command("-", "--compare", "--output=x.png", input=b"")
    assert done.returncode == 1 and b"leave out --output" in done.stderr
    done = command("-", "photos", input=b"")
    assert done.returncode == 1 and b"- is standard input, and stands alone" in done.stderr
