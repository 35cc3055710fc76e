"""Videos: every frame restored, sound and timing kept, whole files or none."""

import fractions
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tfdeblur.datasets.high_speed_video.high_speed_video_dataset_builder_test import (
    panned,
    write_video,
)
from tfdeblur.errors import InputError
from tfdeblur.io import ffmpeg, videos

LOSSLESS = {"codec": "ffv1", "pix_fmt_out": "bgr0"}


@pytest.fixture(autouse=True)
def needs_ffmpeg():
    pytest.importorskip("imageio_ffmpeg")


def run_ffmpeg(*arguments):
    command = [ffmpeg.executable(), "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True)


def frames_of(path):
    return np.stack(list(ffmpeg.decode(path, ffmpeg.probe(path)["size"])))


def sound_of(path):
    command = [ffmpeg.executable(), "-v", "error", "-i", str(path)]
    command += ["-map", "0:a", "-c", "copy", "-f", "data", "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def clip(path, frames, *options, fps=25, sound=True):
    """A video with a tone, written by FFmpeg from lossless frames."""
    raw = path.with_name("raw.mkv")
    write_video(raw, frames, fps=fps, **LOSSLESS)
    tone = ("-f", "lavfi", "-i", f"sine=duration={len(frames) / fps}") if sound else ()
    run_ffmpeg("-i", raw, *tone, "-pix_fmt", "yuv420p", *options, path)
    return path


def large(count):
    """Enlarged, so that neither compression nor coarser colour changes much."""
    return np.repeat(np.repeat(panned(count), 4, axis=1), 4, axis=2)


def assert_close(frames, expected, mean=3):
    error = np.asarray(frames).astype(float) - expected
    assert np.abs(error).mean() < mean
    assert np.abs(error.mean(axis=(0, 1, 2))).max() < 0.7  # no tint, nor another brightness


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi", ".webm", ".mpg", ".wmv"])
def test_frames_and_sound(tmp_path, suffix):
    source = clip(tmp_path / f"a{suffix}", large(12), "-b:v", "4M")
    shares, shown = [], []
    videos.restore(
        source,
        tmp_path / f"out{suffix}",
        lambda frame: 255 - frame,
        shares.append,
        lambda *pair: shown.append(pair),
    )
    assert_close(frames_of(tmp_path / f"out{suffix}"), 255 - frames_of(source), mean=5)
    if suffix not in (".mpg", ".wmv"):  # which divide it otherwise
        assert sound_of(tmp_path / f"out{suffix}") == sound_of(source)
    assert len(shares) == len(frames_of(source)) and sorted(shares) == shares and shares[-1] > 0.9
    ((before, after),) = shown
    np.testing.assert_array_equal(after, 255 - before)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"a{suffix}", f"out{suffix}", "raw.mkv"]


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt470bg", "bt2020nc", None])
def test_colours(tmp_path, matrix):
    labels = ("-colorspace", matrix, "-vf", f"scale=out_color_matrix={matrix}") if matrix else ()
    red = np.full((3, 32, 48, 3), (200, 50, 30), np.uint8)
    source = clip(tmp_path / "a.mp4", red, *labels)
    videos.restore(source, tmp_path / "b.mp4", lambda frame: frame)
    assert_close(frames_of(tmp_path / "b.mp4"), frames_of(source), mean=1.1)
    assert (matrix or "yuv420p") in ffmpeg.probe(tmp_path / "b.mp4")["pix_fmt"]


def test_another_format(tmp_path):
    source = clip(tmp_path / "a.avi", large(5), "-c:a", "pcm_s16le")
    videos.restore(source, tmp_path / "b.mp4", lambda frame: frame)
    assert_close(frames_of(tmp_path / "b.mp4"), frames_of(source))
    assert sound_of(tmp_path / "b.mp4")


def test_without_sound_and_with_an_odd_size(tmp_path):
    source = clip(
        tmp_path / "a.mkv", large(3)[:, :101, :77], "-c:v", "ffv1", "-pix_fmt", "bgr0", sound=False
    )
    videos.restore(source, tmp_path / "b.mp4", lambda frame: frame)
    assert_close(frames_of(tmp_path / "b.mp4"), frames_of(source), mean=4)


def test_rotated_videos_are_turned_upright(tmp_path):
    clip(tmp_path / "a.mp4", large(3))
    run_ffmpeg("-display_rotation", 90, "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "b.mp4")
    videos.restore(tmp_path / "b.mp4", tmp_path / "c.mp4", lambda frame: frame)
    assert_close(frames_of(tmp_path / "c.mp4"), frames_of(tmp_path / "b.mp4"))


def test_a_rate_that_varies_becomes_constant_and_keeps_the_time(tmp_path):
    source = clip(tmp_path / "a.mp4", large(40), "-vf", "select='lt(mod(n,10),6)'")
    calls = []
    videos.restore(source, tmp_path / "b.mp4", lambda frame: calls.append(1) or frame)
    header, before = ffmpeg.probe(tmp_path / "b.mp4"), ffmpeg.probe(source)
    assert abs(header["duration"] - before["duration"]) < 0.1
    assert len(calls) <= 24 <= len(frames_of(tmp_path / "b.mp4"))


@pytest.mark.parametrize(
    ("told", "rate"),
    [(23.98, "24000/1001"), (29.97, "30000/1001"), (25, "25"), (14.5, "29/2")],
)
def test_rates(told, rate):
    assert videos._rate("x", told) == fractions.Fraction(rate)


def test_a_constant_rate_keeps_its_frames(tmp_path):
    source = clip(tmp_path / "a.mp4", large(60), "-r", "30000/1001", fps=29.97)
    videos.restore(source, tmp_path / "b.mp4", lambda frame: frame)
    assert len(frames_of(tmp_path / "b.mp4")) == len(frames_of(source))
    assert ffmpeg.probe(tmp_path / "b.mp4")["fps"] == 29.97


def test_broken_videos_leave_no_file(tmp_path):
    source = clip(tmp_path / "a.mp4", large(30), "-movflags", "faststart", "-g", "5")
    content = source.read_bytes()
    source.write_bytes(content[: int(0.6 * len(content))])
    with pytest.raises(InputError, match=r"a\.mp4 is broken after \d+ frames"):
        videos.restore(source, tmp_path / "b.mp4", lambda frame: frame)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "raw.mkv"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError])
def test_interrupted_videos_leave_no_file(tmp_path, error):
    source = clip(tmp_path / "a.mp4", large(10))
    calls = []

    def stop(frame):
        calls.append(frame)
        if len(calls) == 5:
            raise error("stop")
        return frame

    with pytest.raises(error):
        videos.restore(source, tmp_path / "b.mp4", stop)
    assert not (tmp_path / "b.mp4").exists()
    assert len(list(tmp_path.iterdir())) == 2


def test_what_cannot_be_written(tmp_path):
    source = clip(tmp_path / "a.mp4", large(3), "-c:a", "aac")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write .*file/b\.mp4"):
        videos.restore(source, tmp_path / "file" / "b.mp4", lambda frame: frame)


def test_names_with_a_colon(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = clip(tmp_path / "a.mp4", large(3))
    source.rename("12-30:15.mp4")
    videos.restore(Path("12-30:15.mp4"), Path("pipe:1/concat:b.mp4"), lambda frame: frame)
    assert_close(frames_of("pipe:1/concat:b.mp4"), frames_of("12-30:15.mp4"))
    assert sound_of(tmp_path / "pipe:1" / "concat:b.mp4")
