"""Videos through FFmpeg: hostile names and contents."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tfdeblur.datasets.high_speed_video.high_speed_video_dataset_builder_test import (
    panned,
    write_video,
)
from tfdeblur.errors import InputError
from tfdeblur.io import ffmpeg, images

LOSSLESS = {"codec": "ffv1", "pix_fmt_out": "bgr0"}


def playlist(kind, target):
    return {
        "ffconcat": f"ffconcat version 1.0\nfile '{target}'\n",
        "concat without a title": f"file '{target}'\n",
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        "dash": "<?xml version='1.0'?><MPD/>",
    }[kind]


@pytest.mark.parametrize("kind", ["ffconcat", "concat without a title", "m3u8", "sdp", "dash"])
@pytest.mark.parametrize("suffix", [".mp4", ".mpg", ".mkv"])
def test_playlists_are_refused_before_ffmpeg_sees_them(tmp_path, monkeypatch, kind, suffix):
    pytest.importorskip("imageio_ffmpeg")
    ffmpeg.executable()  # which looks once whether it runs
    monkeypatch.setattr("subprocess.Popen", None)
    path = tmp_path / f"a{suffix}"
    path.write_text(playlist(kind, tmp_path / "other.mp4"))
    with pytest.raises(InputError, match=rf"a\{suffix} cannot be read as a video: it is a list"):
        ffmpeg.probe(path)
    with pytest.raises(InputError, match="it is a list"):
        next(ffmpeg.decode(path, (64, 48)))


def test_a_playlist_in_disguise_is_not_followed(tmp_path):
    write_video(tmp_path / "other.mp4", panned(9))
    (tmp_path / "a.mp4").write_text("\0\n" + playlist("ffconcat", "other.mp4"))
    with pytest.raises(InputError, match=r"a\.mp4 cannot be read as a video"):
        ffmpeg.probe(tmp_path / "a.mp4")


@pytest.mark.parametrize("name", ["12-30:15.mp4", "concat:a|b.mp4", "-i.mp4", "http:x.mkv"])
def test_names_are_paths_whatever_ffmpeg_would_take_them_for(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    frames = panned(9)
    write_video(tmp_path / "a.mkv", frames, **LOSSLESS)
    os.rename("a.mkv", name)  # which content tells
    np.testing.assert_array_equal(list(ffmpeg.decode(name, ffmpeg.probe(name)["size"])), frames)


def test_pipes_and_devices_are_no_videos(tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    os.mkfifo(tmp_path / "a.mp4")
    os.symlink("/dev/zero", tmp_path / "b.mp4")
    for name in ("a.mp4", "b.mp4"):
        with pytest.raises(InputError, match="pipe or a device"):
            ffmpeg.probe(tmp_path / name)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".webp", ".tif", ".bmp", ".avif"])
def test_images_named_as_videos(tmp_path, suffix):
    pytest.importorskip("imageio_ffmpeg")
    Image.new("RGB", (8, 8)).save(tmp_path / f"a{suffix}")
    os.rename(tmp_path / f"a{suffix}", tmp_path / "a.mp4")
    with pytest.raises(InputError, match=rf"a\.mp4 .*: it is an image\. .* end in \{suffix}\."):
        ffmpeg.probe(tmp_path / "a.mp4")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts", ".mpg", ".wmv"])
def test_videos_named_as_images(tmp_path, suffix):
    codec = {"codec": "mpeg2video"} if suffix in (".mpg", ".wmv") else {}
    write_video(tmp_path / f"a{suffix}", panned(3), fps=25, **codec)
    os.rename(tmp_path / f"a{suffix}", tmp_path / "a.jpg")
    with pytest.raises(InputError, match=rf"a\.jpg .*: it is a video\. .* ends in \{suffix}\."):
        images.read(tmp_path / "a.jpg")


@pytest.mark.parametrize("brand", [b"crx ", b"jp2 ", b"M4A ", b"avis", b"hevc", b"msf1"])
def test_other_files_with_boxes_are_no_videos(tmp_path, brand):
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftyp" + brand + bytes(50))
    with pytest.raises(InputError) as refused:
        images.read(tmp_path / "a.jpg")
    assert "video" not in str(refused.value)


@pytest.mark.parametrize(
    ("pixels", "bits"),
    [
        *(("yuv420p", 8), ("yuvj420p", 8), ("rgb565le", 8), ("bgr0", 8), ("yuv420p9le", 9)),
        *(("yuv420p10le", 10), ("p010le", 10), ("x2rgb10le", 10), ("gbrap12be", 12)),
        *(("yuva444p12le", 12), ("xyz12le", 12), ("gray14le", 14), ("ya16le", 16)),
        *(("rgb48le", 16), ("rgba64be", 16), ("gbrpf32le", 32)),
    ],
)
def test_bits(pixels, bits):
    text = f"ffv1 (FFV1 / 0x31564646), {pixels}(tv, bt709, progressive), 64x48, 16 fps"
    assert ffmpeg.Stream(0, "Video", text, {}).bits == bits


SCRIPT = """
import sys, tfdeblur
import apache_beam as beam
from tfdeblur.io import ffmpeg, images
options = ["--direct_num_workers=2", "--direct_running_mode=multi_threading"]
with beam.Pipeline(options=beam.options.pipeline_options.PipelineOptions(options)) as pipeline:
    pipeline | beam.Create(range(4)) | beam.Map(lambda x: x)
for _ in range(100):
    ffmpeg.probe(sys.argv[1])
"""


@pytest.mark.slow
def test_videos_are_read_beside_beam(tmp_path):
    """Where gRPC hears of forks, 1 in 25 fails."""
    pytest.importorskip("apache_beam")
    write_video(tmp_path / "a.mp4", panned(5), fps=240)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "a.mp4")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
