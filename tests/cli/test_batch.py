"""Restoring on Apache Beam gives what the plain command gives."""

import os
import pathlib
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest

from tfdeblur import models
from tfdeblur.cli import batch
from tfdeblur.cli import restore as plain
from tfdeblur.errors import InputError
from tfdeblur.io import images
from tfdeblur.restoration import files

pytest.importorskip("apache_beam", reason="the extra [beam] is not installed")
SETTINGS = types.SimpleNamespace(
    model="net.keras",
    weights=None,
    device="cpu",
    precision="float32",
    tile=None,
    self_ensemble=False,
    strength=1,
    mask=None,
    overwrite=False,
    quality=95,
    fallback=False,
    kernel_size=None,
)
IN_MEMORY = ["--runner=DirectRunner", "--direct_running_mode=in_memory"]


@pytest.fixture
def net(photos):
    models.build("mimo_unet", filters=4, resblocks=1).save("net.keras")
    pathlib.Path("photos/broken.png").touch()


@pytest.mark.slow
def test_the_same_bytes_and_what_fails(net):
    jobs = files.plan(["photos"], "out")
    (failure,) = batch.run(jobs, SETTINGS, files.Done("out", "how"), IN_MEMORY)
    assert failure.startswith("photos/broken.png cannot be read as an image (the file is empty)")
    restore, *_ = plain.open_restorer(SETTINGS)
    assert files.restore_files(files.plan(["photos"], "plain"), restore).failed == 1
    for name in ("a.jpg", "trip/b.png"):
        assert pathlib.Path("out", name).read_bytes() == pathlib.Path("plain", name).read_bytes()
    assert (images.read("out/trip/b.png") != images.read("photos/trip/b.png")).any()
    done = files.Done("out", "how")
    assert [job.source.name for job in jobs if not files.is_done(job, done)] == ["broken.png"]
    left = sorted(path.name for path in pathlib.Path("out").iterdir())
    assert left == [files.DONE, "a.jpg", "trip"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    done = files.Done(tmp_path / "file" / "out", "how")
    with pytest.raises(InputError, match=r"^cannot write into .*file/out \(Not a directory\)"):
        batch.run([files.Job("a.png", "b.png")], SETTINGS, done, IN_MEMORY)


@pytest.mark.slow
def test_ctrl_c_to_the_command_alone_ends_it(photos):
    command = [
        sys.executable,
        "-m",
        "tfdeblur",
        "batch",
        "photos",
        "--output=out",
        "--model=xu2013",
    ]
    process = subprocess.Popen(
        command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    )
    while not list(pathlib.Path().glob(f"out/{batch.FAILED}*")):
        assert process.poll() is None
        time.sleep(0.1)
    time.sleep(2)  # the workers have started
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not list(pathlib.Path().glob(f"out/{batch.FAILED}*"))


@pytest.mark.slow
def test_command_with_two_processes(net, run_command):
    for i in range(4):
        images.write(f"photos/{i}.png", np.full((8, 9, 3), 60 + 40 * i, np.uint8))
    flags = ["photos", "--output=out", "--model=net.keras", "--device=cpu"]
    # What lies in the current folder is no library of the workers'.
    pathlib.Path("proto.py").write_text("raise SystemExit")
    command = [sys.executable, "-P", "-m", "tfdeblur", "batch", *flags, "--workers=2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "Restored 6 of 7 files into out; 1 failed, see above." in done.stdout
    assert "error: photos/broken.png cannot be read" in done.stderr
    assert "INFO:apache_beam" not in done.stderr
    restore, *_ = plain.open_restorer(SETTINGS)
    assert files.restore_files(files.plan(["photos"], "plain"), restore).failed == 1
    assert images.size("out/a.jpg") == images.size("plain/a.jpg")
    for path in pathlib.Path("plain").rglob("*.png"):
        out = images.read(pathlib.Path("out", path.relative_to("plain")))
        # Another process may sum in another order, and round a half the other way.
        np.testing.assert_allclose(images.read(path).astype(int), out.astype(int), atol=1)
    done = run_command(batch, *flags, "--workers=1")
    assert "Restored 0 of 7 files into out; skipped 6 already done; 1 failed" in done.stdout
    assert "PYTHONSAFEPATH" not in os.environ  # what else is started here is not Beam's
