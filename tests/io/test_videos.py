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


def test_of_pictures_shorter_than_their_sound_the_last_is_shown(tmp_path):
    raw = tmp_path / "raw.mkv"
    write_video(raw, large(4), fps=25, **LOSSLESS)
    source = tmp_path / "a.mp4"
    run_ffmpeg("-i", raw, "-f", "lavfi", "-i", "sine=duration=2", "-pix_fmt", "yuv420p", source)
    shown = []
    videos.restore(
        source, tmp_path / "b.mp4", lambda x: 255 - x, shown=lambda *pair: shown.append(pair)
    )
    ((before, after),) = shown
    np.testing.assert_array_equal(after, 255 - before)


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt470bg", "bt2020nc", None])
def test_colours(tmp_path, matrix):
    labels = ("-colorspace", matrix, "-vf", f"scale=out_color_matrix={matrix}") if matrix else ()
    red = np.full((3, 32, 48, 3), (200, 50, 30), np.uint8)
    source = clip(tmp_path / "a.mp4", red, *labels)
    videos.restore(source, tmp_path / "b.mp4", lambda frame: frame)
    assert_close(frames_of(tmp_path / "b.mp4"), frames_of(source), mean=1.1)
    assert (matrix or "yuv420p") in ffmpeg.probe(tmp_path / "b.mp4")["pix_fmt"]


@pytest.mark.parametrize("labels", [("smpte432", "bt709"), ("bt709", "iec61966-2-1")])
def test_labels_of_colours(tmp_path, labels):
    primaries, transfer = labels
    filters = f"setparams=colorspace=bt709:color_primaries={primaries}:color_trc={transfer}"
    source = clip(tmp_path / "a.mp4", large(3), "-vf", filters)
    videos.restore(source, tmp_path / "b.mp4", lambda frame: frame)
    assert "/".join(("bt709", *labels)) in ffmpeg.probe(tmp_path / "b.mp4")["pix_fmt"]


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


def flash_and_tone(path, video_delay, sound_delay, *options):
    """A video that turns white 0.4 s after its first frame, and 0.4 s of silence before a tone."""
    picture = "color=black:s=64x48:r=25:d=0.8,drawbox=c=white:t=fill:enable='gte(t,0.4)'"
    sound = "sine=r=48000:d=0.8,volume=8,volume=0:enable='lt(t,0.4)'"
    run_ffmpeg(
        *("-itsoffset", video_delay, "-f", "lavfi", "-i", picture),
        *("-itsoffset", sound_delay, "-f", "lavfi", "-i", sound),
        *("-pix_fmt", "yuv420p", *options, path),
    )
    return path


def flash_after_tone(path, tmp_path):
    """By how many seconds the flash comes after the tone, as a player shows them."""
    run_ffmpeg(
        *("-i", path, "-fps_mode", "cfr", "-vf", "scale=8:8", "-pix_fmt", "gray"),
        *("-f", "rawvideo", tmp_path / "frames", "-af", "aresample=async=1:first_pts=0"),
        *("-ac", 1, "-ar", 48000, "-f", "s16le", tmp_path / "sound"),
    )
    frames = np.fromfile(tmp_path / "frames", np.uint8).reshape(-1, 64).mean(axis=1)
    sound = np.fromfile(tmp_path / "sound", np.int16)
    return np.argmax(frames > 128) / 25 - np.argmax(sound > 1000) / 48000


@pytest.mark.parametrize("delays", [(0.52, 0), (0, 0.52)])
@pytest.mark.parametrize(
    ("before", "after"),
    [("ts", "ts"), ("mpg", "mpg"), ("ts", "mkv"), ("mkv", "ts"), ("mp4", "avi")],
)
def test_sound_stays_in_step(tmp_path, before, after, delays):
    codec = ("-c:v", "mpeg2video") if before == "mpg" else ()
    source = flash_and_tone(tmp_path / f"a.{before}", *delays, *codec)
    videos.restore(source, tmp_path / f"b.{after}", lambda frame: frame)
    step, kept = (flash_after_tone(path, tmp_path) for path in (source, tmp_path / f"b.{after}"))
    assert abs(step - (delays[0] - delays[1])) < 0.04
    assert abs(kept - step) < 0.04


def test_sound_that_breaks_off_does_not_break_the_frames(tmp_path):
    source = flash_and_tone(tmp_path / "a.ts", 0, 0)
    content = source.read_bytes()
    packets = [bytearray(content[at : at + 188]) for at in range(0, len(content), 188)]
    sound = [packet for packet in packets if packet[1:3] == b"\x01\x01"]  # not begun in it
    sound[len(sound) // 2][1:3] = b"\x1f\xff"  # a packet without meaning
    source.write_bytes(b"".join(packets))
    videos.restore(source, tmp_path / "b.ts", lambda frame: frame)
    assert len(frames_of(tmp_path / "b.ts")) == len(frames_of(source)) == 20


def test_rotated_videos_are_turned_upright(tmp_path, caplog):
    clip(tmp_path / "a.mp4", large(3))
    run_ffmpeg("-display_rotation", 90, "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "b.mp4")
    videos.restore(tmp_path / "b.mp4", tmp_path / "c.mp4", lambda frame: frame)
    assert_close(frames_of(tmp_path / "c.mp4"), frames_of(tmp_path / "b.mp4"))
    assert not caplog.records


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


def picture_of(path):
    return next(x for x in ffmpeg.contents(path)[1] if x.kind == "Video")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mpg", ".webm", ".avi"])
def test_the_shape_of_pixels_is_kept(tmp_path, suffix):
    source = clip(tmp_path / f"a{suffix}", large(3), "-vf", "scale=96:72,setsar=4/3")
    assert videos.restore(source, tmp_path / f"b{suffix}", lambda frame: frame) == []
    assert picture_of(tmp_path / f"b{suffix}").pixel_shape == (4, 3)


def test_turned_pixels(tmp_path):
    clip(tmp_path / "a.mp4", large(3), "-vf", "setsar=4/3")
    run_ffmpeg("-display_rotation", 90, "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "b.mp4")
    videos.restore(tmp_path / "b.mp4", tmp_path / "c.mp4", lambda frame: frame)
    assert picture_of(tmp_path / "c.mp4").pixel_shape == (3, 4)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".mpg"])
def test_more_than_eight_bits(tmp_path, suffix):
    codec = ("-c:v", "libvpx-vp9") if suffix == ".webm" else ("-c:v", "libx264")
    inside = ".mkv" if suffix == ".mpg" else suffix
    source = clip(tmp_path / f"a{inside}", large(3), *codec, "-pix_fmt", "yuv420p10le")
    types = []
    target = tmp_path / f"b{suffix}"
    lost = videos.restore(source, target, lambda frame: types.append(frame.dtype) or frame)
    deep = suffix != ".mpg"
    assert picture_of(target).bits == (10 if deep else 8)
    assert set(types) == {np.dtype(np.uint16 if deep else np.uint8)}
    assert lost == ([] if deep else ["bits beyond 8"])
    assert_close(frames_of(target), frames_of(source))


@pytest.mark.parametrize("suffix", [".mkv", ".mpg"])
def test_more_than_ten_bits(tmp_path, suffix):
    options = ("-c:v", "ffv1", "-pix_fmt", "yuv444p16le")
    source = clip(tmp_path / "a.mkv", large(3), *options, sound=False)
    lost = videos.restore(source, tmp_path / f"b{suffix}", lambda frame: frame)
    assert lost == ["bits beyond 10" if suffix == ".mkv" else "bits beyond 8"]
    assert_close(frames_of(tmp_path / f"b{suffix}"), frames_of(source), mean=5)


def test_tags_chapters_subtitles_and_covers(tmp_path):
    (tmp_path / "chapters").write_text(
        ";FFMETADATA1\ntitle=Trip\n[CHAPTER]\nTIMEBASE=1/10\nSTART=0\nEND=4\ntitle=First\n"
    )
    (tmp_path / "words.srt").write_text("1\n00:00:00,000 --> 00:00:00,400\nHello\n")
    run_ffmpeg("-f", "lavfi", "-i", "color=s=32x24:d=0.1", "-frames:v", 1, tmp_path / "c.jpg")
    clip(tmp_path / "a.mkv", large(12))
    source = tmp_path / "b.mp4"
    inputs = [
        x for name in ("a.mkv", "chapters", "words.srt", "c.jpg") for x in ("-i", tmp_path / name)
    ]
    run_ffmpeg(
        *inputs,
        *("-map", 0, "-map", 2, "-map", 3, "-map_metadata", 1, "-c", "copy", "-c:s", "mov_text"),
        *("-disposition:v:1", "attached_pic", "-metadata", "creation_time=2026-01-02T03:04:05Z"),
        *("-metadata:s:a:0", "language=fra", "-c:v:0", "libx264", "-pix_fmt", "yuv420p", source),
    )
    assert videos.restore(source, tmp_path / "c.mp4", lambda frame: frame) == []
    tags, streams = ffmpeg.contents(tmp_path / "c.mp4")
    assert tags["title"] == "Trip" and tags["creation_time"] == "2026-01-02T03:04:05.000000Z"
    assert [x.kind for x in streams if not x.is_cover][:3] == ["Video", "Audio", "Subtitle"]
    assert sum(x.is_cover for x in streams) == 1
    told = subprocess.run(
        [ffmpeg.executable(), "-i", tmp_path / "c.mp4"], capture_output=True, text=True
    ).stderr
    assert "Chapter #0:0: start 0.000000, end 0.400000" in told and "(fra)" in told
    lost = videos.restore(source, tmp_path / "c.avi", lambda frame: frame)
    assert lost[:1] == ["1 cover"] and "1 subtitle" in lost


def test_tags_of_phones(tmp_path):
    source = clip(
        *(tmp_path / "a.mov", large(3), "-metadata", "creation_time=2026-01-02T03:04:05Z"),
        *("-metadata", "com.apple.quicktime.make=Apple", "-movflags", "use_metadata_tags"),
    )
    videos.restore(source, tmp_path / "b.mov", lambda frame: frame)
    tags, _ = ffmpeg.contents(tmp_path / "b.mov")
    assert tags["com.apple.quicktime.make"] == "Apple"
    assert tags["creation_time"] == "2026-01-02T03:04:05.000000Z"
    assert tags["major_brand"].strip() == "qt"


def test_interlaced_frames_are_made_whole(tmp_path):
    options = ("-vf", "tinterlace=interleave_top,setfield=tff", "-flags", "+ilme+ildct")
    source = clip(tmp_path / "a.mp4", large(12), *options, "-x264-params", "tff=1")
    assert picture_of(source).is_interlaced
    lost = videos.restore(source, tmp_path / "b.mp4", lambda frame: frame)
    assert "interlacing" in lost[0]
    assert not picture_of(tmp_path / "b.mp4").is_interlaced
    assert len(frames_of(tmp_path / "b.mp4")) == len(frames_of(source))


def test_transparency_is_told(tmp_path):
    options = ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p")
    source = clip(tmp_path / "a.webm", large(3), *options, sound=False)
    assert videos.restore(source, tmp_path / "b.webm", lambda frame: frame) == ["its transparency"]
    assert not picture_of(tmp_path / "b.webm").is_transparent


def test_names_with_a_colon(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = clip(tmp_path / "a.mp4", large(3))
    source.rename("12-30:15.mp4")
    videos.restore(Path("12-30:15.mp4"), Path("pipe:1/concat:b.mp4"), lambda frame: frame)
    assert_close(frames_of("pipe:1/concat:b.mp4"), frames_of("12-30:15.mp4"))
    assert sound_of(tmp_path / "pipe:1" / "concat:b.mp4")
