import collections
import os
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from tfdeblur.datasets.high_speed_video.high_speed_video_dataset_builder_test import (
    panned,
    write_frames,
    write_video,
)
from tfdeblur.errors import InputError
from tfdeblur.preparation import archives, clips

LOSSLESS = {"codec": "ffv1", "pix_fmt_out": "bgr0"}


def clip_at(path, fps=240):
    return clips.Clip(path.name, path, fps)


def frames_of(path, **options):
    return np.stack(list(clips.read_frames(clip_at(path), **options)))


def windows_of(path, frames_averaged=(5,), **options):
    return list(clips.windows(clip_at(path), frames_averaged, **options))


def cuts_in(frames):
    return [i for i, (_, is_cut) in enumerate(clips.mark_cuts(frames)) if is_cut]


def truncate(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def ffmpeg(*arguments):
    executable = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    subprocess.run([executable, "-v", "error", *map(str, arguments)], check=True)


# ------------------------------------------------------------------------ finding


def test_videos_and_folders_of_frames_are_clips(tmp_path):
    write_frames(tmp_path / "day" / "a", panned(3))
    write_video(tmp_path / "day" / "B.MP4", panned(9), fps=120)
    write_frames(tmp_path / ".hidden", panned(3))
    (tmp_path / "day" / "notes.txt").write_text("windy")
    found = clips.find_clips(tmp_path, fps=240)
    assert [(clip.name, clip.fps) for clip in found] == [("day/B.MP4", 240), ("day/a", 240)]
    (tmp_path / "day" / "a").rename(tmp_path / ".hidden" / "a")
    assert [(clip.name, clip.fps) for clip in clips.find_clips(tmp_path)] == [("day/B.MP4", 120)]


def test_a_single_video_or_folder_of_frames_is_a_clip_named_after_itself(tmp_path):
    write_frames(tmp_path / "a", panned(3))
    write_video(tmp_path / "b.mp4", panned(9))
    assert [clip.name for clip in clips.find_clips(tmp_path / "a", fps=240)] == ["a"]
    assert [clip.name for clip in clips.find_clips(tmp_path / "b.mp4")] == ["b.mp4"]


def test_folders_without_a_clip_are_refused(tmp_path):
    with pytest.raises(InputError, match="missing does not exist"):
        clips.find_clips(tmp_path / "missing")
    (tmp_path / "notes.txt").write_text("no footage")
    with pytest.raises(InputError, match="holds no footage"):
        clips.find_clips(tmp_path)


def test_images_beside_videos_are_refused(tmp_path):
    write_frames(tmp_path, panned(1))
    write_video(tmp_path / "b.mp4", panned(9))
    with pytest.raises(InputError, match=r"both videos \(b\.mp4\) and images \(0\.png\)"):
        clips.find_clips(tmp_path)


def test_frame_rates_that_are_unknown_or_too_low_are_refused(tmp_path):
    write_frames(tmp_path / "frames", panned(3))
    with pytest.raises(InputError, match="no frame rate: set fps"):
        clips.find_clips(tmp_path / "frames")
    write_video(tmp_path / "slow.mp4", panned(9), fps=30)
    with pytest.raises(InputError, match=r"slow\.mp4 has 30 frames per second"):
        clips.find_clips(tmp_path / "slow.mp4")
    (clip,) = clips.find_clips(tmp_path / "slow.mp4", min_fps=30)
    assert clip.fps == 30
    (clip,) = clips.find_clips(tmp_path / "slow.mp4", fps=960)  # stored for slow playback
    assert clip.fps == 960


@pytest.mark.parametrize("content", [b"", b"not a video"])
def test_what_is_no_video_is_refused_before_anything_is_built(tmp_path, content):
    pytest.importorskip("imageio_ffmpeg")
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.mp4 cannot be read as a video"):
        clips.find_clips(tmp_path)


def test_hdr_is_refused(tmp_path):
    hlg = "transfer=arib-std-b67:colorprim=bt2020:colormatrix=bt2020nc"
    write_video(tmp_path / "a.mp4", panned(9), output_params=["-x264-params", hlg])
    with pytest.raises(InputError, match=r"a\.mp4 is HDR \(arib-std-b67\)"):
        clips.find_clips(tmp_path)


def test_without_imageio_ffmpeg_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.mp4").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match=r"pip install 'tfdeblur\[video\]'"):
        clips.find_clips(tmp_path)


# ------------------------------------------------------------------------ splitting


@pytest.mark.parametrize(
    ("count", "share", "expected"), [(20, 0.1, 2), (4, 0.1, 1), (2, 0.9, 1), (3, 0, 0), (1, 0, 0)]
)
def test_a_share_of_the_clips_is_for_testing(tmp_path, count, share, expected):
    ours = [clip_at(tmp_path / f"{i}.mp4") for i in range(count)]
    train, test = archives.split(ours, share)
    assert len(test) == expected
    assert sorted(train + test, key=ours.index) == ours
    assert {clip.name for clip in archives.split(ours[::-1], share)[1]} == {c.name for c in test}


def test_a_single_clip_is_not_split(tmp_path):
    with pytest.raises(InputError, match=r"a\.mp4 is the only one.* test_share=0"):
        archives.split([clip_at(tmp_path / "a.mp4")], 0.1)


# ------------------------------------------------------------------------ reading


def test_lossless_video_gives_the_frames_as_they_were(tmp_path):
    frames = panned(40)
    write_video(tmp_path / "a.mkv", frames, **LOSSLESS)
    np.testing.assert_array_equal(frames_of(tmp_path / "a.mkv"), frames)


def test_compressed_video_has_neither_a_tint_nor_another_brightness(tmp_path):
    frames = np.repeat(np.repeat(panned(10), 4, axis=1), 4, axis=2)
    write_video(tmp_path / "a.mp4", frames)
    error = frames_of(tmp_path / "a.mp4").astype(float) - frames
    assert np.abs(error).mean() < 5
    assert np.abs(error.mean(axis=(0, 1, 2))).max() < 0.5


def test_frames_are_read_in_the_order_of_their_numbers(tmp_path):
    frames = panned(12)
    write_frames(tmp_path / "a", frames)
    np.testing.assert_array_equal(frames_of(tmp_path / "a"), frames)


def test_frames_are_reduced_by_area_averaging(tmp_path):
    frames = panned(2, height=48, width=64)
    write_frames(tmp_path / "a", frames)
    means = frames.reshape(2, 24, 2, 32, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(frames_of(tmp_path / "a", height=24), means, atol=1)
    np.testing.assert_array_equal(frames_of(tmp_path / "a", height=48), frames)
    np.testing.assert_array_equal(frames_of(tmp_path / "a", height=100), frames)


def test_rotated_videos_are_turned_upright(tmp_path):
    write_video(tmp_path / "a.mp4", panned(9, height=48, width=64))
    rotated = tmp_path / "b.mp4"
    ffmpeg("-display_rotation", 90, "-i", tmp_path / "a.mp4", "-c", "copy", rotated)
    upright = np.rot90(frames_of(tmp_path / "a.mp4"), axes=(1, 2))
    assert upright.shape == (9, 64, 48, 3)
    assert np.abs(frames_of(rotated).astype(float) - upright).mean() < 3


def test_frames_of_varying_rate_are_neither_doubled_nor_lost(tmp_path):
    write_video(tmp_path / "a.mkv", panned(60), **LOSSLESS)
    six_of_ten = ("-vf", "select='lt(mod(n,10),6)'", "-fps_mode", "vfr", "-crf", 0)
    ffmpeg("-i", tmp_path / "a.mkv", *six_of_ten, tmp_path / "b.mp4")
    frames = frames_of(tmp_path / "b.mp4").astype(int)
    assert len(frames) == 36
    assert np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3)).min() > 5


def test_broken_videos_are_refused(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, panned(120), output_params=["-movflags", "faststart", "-g", "10"])
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(300) + content[middle + 300 :])
    with pytest.raises(InputError, match=r"a\.mp4 is broken after \d+ frames"):
        frames_of(path)
    path.write_bytes(content[: int(0.8 * len(content))])
    with pytest.raises(InputError, match=r"a\.mp4 is broken after \d+ frames"):
        frames_of(path)


def test_videos_that_end_early_are_refused(tmp_path):
    write_video(tmp_path / "a.mkv", panned(60), **LOSSLESS)
    truncate(tmp_path / "a.mkv", 0.6)
    with pytest.raises(InputError, match=r"a\.mkv has \d+ frames, but .* should have 60"):
        frames_of(tmp_path / "a.mkv")


def test_frames_that_do_not_belong_together_are_refused(tmp_path):
    write_frames(tmp_path / "sizes", panned(3))
    PIL.Image.new("RGB", (8, 6)).save(tmp_path / "sizes" / "3.png")
    with pytest.raises(InputError, match=r"sizes/3\.png has 8x6 pixels, 0\.png 64x48"):
        frames_of(tmp_path / "sizes")
    write_frames(tmp_path / "formats", panned(3))
    PIL.Image.new("RGB", (64, 48)).save(tmp_path / "formats" / "1.jpg")
    with pytest.raises(InputError, match=r"0\.png and 1\.jpg have different formats"):
        frames_of(tmp_path / "formats")


# ------------------------------------------------------------------------ windows


def test_windows_follow_each_other(tmp_path):
    frames = panned(60)
    write_frames(tmp_path / "a", frames)
    windows = windows_of(tmp_path / "a", (3, 5, 9))
    assert {len(window.frames) for window in windows} == {3, 5, 9}
    end = 0
    for window in windows:
        first = window.middle - len(window.frames) // 2
        assert first == end
        end = first + len(window.frames)
        np.testing.assert_array_equal(window.frames, frames[first:end])
    assert 60 - end < 9


@pytest.mark.parametrize("stride", [1, 3, 5, 8])
def test_windows_start_a_stride_apart(tmp_path, stride):
    frames = panned(30)
    write_frames(tmp_path / "a", frames)
    windows = windows_of(tmp_path / "a", (5,), stride=stride)
    assert [window.middle for window in windows] == list(range(2, 28, stride))
    for window in windows:
        expected = frames[window.middle - 2 : window.middle + 3]
        np.testing.assert_array_equal(window.frames, expected)


def test_numbers_of_frames_depend_on_the_name_alone(tmp_path):
    counts = collections.defaultdict(list)
    for folder in ("first/a", "second/a", "first/b"):
        write_frames(tmp_path / folder, panned(80, height=8, width=8))
        for window in windows_of(tmp_path / folder, (3, 5, 7)):
            counts[folder].append(len(window.frames))
    assert counts["first/a"] == counts["second/a"] != counts["first/b"]


def test_no_window_reaches_over_a_cut(tmp_path):
    frames = np.concatenate([panned(17, seed=1), panned(13, seed=2)])
    write_frames(tmp_path / "a", frames)
    windows = windows_of(tmp_path / "a", (5,))
    assert [window.middle for window in windows] == [2, 7, 12, 19, 24]


def test_static_windows_are_dropped(tmp_path):
    frames = panned(20)
    frames[5:15] = frames[5]
    write_frames(tmp_path / "a", frames)
    assert [w.middle for w in windows_of(tmp_path / "a", (5,), min_motion=2)] == [2, 17]
    assert [w.middle for w in windows_of(tmp_path / "a", (5,))] == [2, 7, 12, 17]


def test_too_few_frames_are_refused(tmp_path):
    write_frames(tmp_path / "a", panned(6))
    with pytest.raises(InputError, match="a has 6 frames, and 7 are to be averaged"):
        windows_of(tmp_path / "a", (3, 7))


def test_frames_are_decoded_only_when_their_window_is_wanted(tmp_path):
    write_frames(tmp_path / "a", panned(20))
    (tmp_path / "a" / "12.png").write_bytes(b"broken")
    windows = clips.windows(clip_at(tmp_path / "a"), (5,))
    assert [next(windows).middle, next(windows).middle] == [2, 7]
    with pytest.raises(InputError, match=r"12\.png"):
        next(windows)


# ------------------------------------------------------------------------ motion and cuts


@pytest.fixture
def scene():
    """A picture with details of all sizes, wide enough to pan over: uint8 [240, 1280, 3]."""
    rng = np.random.default_rng(0)
    total = np.zeros((240, 1280, 3))
    for size in (4, 16, 80):
        coarse = rng.normal(0, size**0.5, (240 // size, 1280 // size, 3))
        total += np.repeat(np.repeat(coarse, size, axis=0), size, axis=1)
    return np.clip(128 + 7 * total, 0, 255).astype(np.uint8)


def pan(scene, speed, count=12, start=0):
    return [scene[:, start + speed * i :][:, :320] for i in range(count)]


def test_motion_tells_a_pan_from_noise(scene):
    rng = np.random.default_rng(1)
    still = pan(scene, 0, count=9)
    noisy = [np.clip(f + rng.normal(0, 8, f.shape), 0, 255).astype(np.uint8) for f in still]
    one_pixel = [*still[:4], *[scene[:, 1:321]] * 5]
    assert clips.motion(still) == 0
    assert clips.motion(noisy) < 1.5
    assert clips.motion(one_pixel) > 2
    assert clips.motion(pan(scene, 2)) > clips.motion(pan(scene, 1))


def test_motion_sees_a_shake_that_returns_but_not_a_lamp_that_flickers(scene):
    shaken = [scene[:, x : x + 320] for x in (0, 1, 2, 3, 2, 1, 0)]
    assert clips.motion(shaken) > 2
    darker = scene[:, :320].astype(float) / 2
    flickering = [np.rint(darker * gain).astype(np.uint8) for gain in (1, 1.1, 1.2, 1.1, 1)]
    assert clips.motion(flickering) < 1


@pytest.mark.parametrize("speed", [0, 1, 4, 16])
def test_cuts_are_found_in_pans_of_any_speed(scene, speed):
    frames = pan(scene, speed) + pan(scene[::-1], speed, start=500)
    assert cuts_in(frames) == [12]
    assert cuts_in(frames + frames[:3]) == [12, 24]


@pytest.mark.parametrize("speed", [4, 16, 32, 64])
def test_pans_are_not_cuts(scene, speed):
    assert cuts_in(pan(scene, speed, count=15)) == []
    assert cuts_in(pan(scene, 0) + pan(scene, min(speed, 16))) == []  # a jerk


def test_flashes_are_not_cuts(scene):
    still = pan(scene, 0)
    flash = np.clip(still[0] * 2.0 + 40, 0, 255).astype(np.uint8)
    white = np.full_like(flash, 255)
    for bright in (flash, white):
        assert cuts_in([*still, bright, *still]) == []


def test_black_frames_are_no_cuts_but_what_follows_them_is(scene):
    black = [np.zeros((240, 320, 3), np.uint8)] * 4
    assert cuts_in(black) == []
    assert cuts_in(black + pan(scene, 2)) == [4]


def test_links_in_circles_end(tmp_path):
    write_frames(tmp_path / "clip", panned(3))
    os.symlink(".", tmp_path / "x")
    os.symlink("..", tmp_path / "clip" / "y")
    assert [clip.name for clip in clips.find_clips(tmp_path, fps=240)] == ["clip"]
