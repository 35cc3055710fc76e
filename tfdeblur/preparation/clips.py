"""High-speed footage: clips, cut into windows of successive frames to be averaged to a blur.

A clip is a video, or a folder with its frames as image files. It is decoded once, from the first
frame to the last, and as it is used: however long it is, few of its frames are in memory.
"""

import dataclasses
import itertools
import os
import pathlib
import re

import numpy as np
from absl import logging
from PIL import Image

from tfdeblur.errors import InputError
from tfdeblur.io import images
from tfdeblur.io.ffmpeg import VIDEO_SUFFIXES, decode, probe

# A cut is a step between frames larger than this, and than this many times its neighbours; see
# `mark_cuts`.
CUT = 0.3
CUT_RATIO = 2.0

# A video has at least this share of the frames that its duration promises: sound may be longer than
# the picture. And FFmpeg rounds the duration to hundredths of a second.
_COMPLETE = 0.9
_ROUNDING = 0.01


@dataclasses.dataclass(frozen=True)
class Clip:
    """A video or a folder of frames.

    Attributes:
        name: path below the folder that was searched, "/" between its parts.
        path: of the file or folder.
        fps: frames per second at which it was captured.
    """

    name: str
    path: pathlib.Path
    fps: float


@dataclasses.dataclass(frozen=True)
class Window:
    """Successive frames of a clip.

    Attributes:
        clip: Clip.
        middle: index of the middle frame in the clip, from 0 on.
        frames: list of uint8 [H, W, 3], odd in number.
    """

    clip: Clip
    middle: int
    frames: list


def find_clips(path, fps=None, min_fps=100.0):
    """Finds the clips in a folder, and reads the frame rates of the videos among them.

    Args:
        path: a video; or a folder, searched recursively for videos and for folders of images, each
            of which is a clip. Hidden files are left out; files that are neither are left out with
            a warning.
        fps: the rate at which all clips were captured; None for what the videos say of themselves.
        min_fps: lower rates are refused: in the mean of frames so far apart, things that move are
            seen several times over instead of blurred.

    Returns:
        list of Clip, sorted by path.

    Raises:
        InputError: the path does not exist or holds no clip; a video cannot be opened or is HDR; a
            folder mixes videos and images; a frame rate is unknown or too low.
    """
    path = pathlib.Path(path).expanduser().absolute()
    if not path.exists():
        raise InputError(f"{path} does not exist: name a video, or a folder with footage.")
    found = [path] if path.is_file() else _search(path)
    if not found:
        raise InputError(
            f"{path} holds no footage: put in videos ({', '.join(VIDEO_SUFFIXES)}), or folders "
            f"with the frames of a clip each ({', '.join(images.SUFFIXES)})."
        )
    return [
        Clip(
            name=clip.name if clip == path else clip.relative_to(path).as_posix(),
            path=clip,
            fps=_checked_rate(clip, fps or _stored_rate(clip), min_fps),
        )
        for clip in found
    ]


def windows(clip, frames_averaged, stride=None, min_motion=0.0, height=None):
    """Cuts a clip into windows. None of them reaches over a cut (see `mark_cuts`).

    Args:
        clip: Clip.
        frames_averaged: numbers of frames, one of which is drawn for each window. The draws depend
            on the clip's name alone.
        stride: frames from the start of a window to the start of the next one; None: each starts
            where the last one ended.
        min_motion: windows with less `motion` are dropped.
        height: see `read_frames`.

    Yields:
        Window.

    Raises:
        InputError: the clip has fewer frames than the largest of `frames_averaged`; or see
            `read_frames`.
    """
    found = kept = 0
    for window in _all_windows(clip, frames_averaged, stride, height):
        found += 1
        if motion(window.frames) >= min_motion:
            kept += 1
            yield window
    if not kept:
        logging.warning(
            "%s gives no example: its frames make %d windows, none of which has a motion of %g.",
            clip.path,
            found,
            min_motion,
        )


def _all_windows(clip, frames_averaged, stride, height):
    rng = np.random.default_rng(list(clip.name.encode()))
    count = int(rng.choice(frames_averaged))
    start, held = 0, []  # of the window being filled: its first frame's index, its frames
    length = 0
    for index, (frame, is_cut) in enumerate(mark_cuts(read_frames(clip, height))):
        length += 1
        if is_cut:
            start, held = index, []
        if index < start:
            continue
        held.append(frame)
        while len(held) >= count:
            yield Window(clip, start + count // 2, held[:count])
            step = stride or count
            start, held = start + step, held[step:]
            count = int(rng.choice(frames_averaged))
    if length < max(frames_averaged):
        raise InputError(
            f"{clip.path} has {length} frames, and {max(frames_averaged)} are to be averaged: "
            "remove it, or lower frames_averaged."
        )


def read_frames(clip, height=None):
    """Decodes a clip.

    The frames of a video are those in the file, none doubled or left out for a constant frame rate,
    and turned upright. The frames of a folder are in the order of the numbers in their names (9
    before 10).

    Args:
        clip: Clip.
        height: larger frames are reduced to this height by area averaging; None leaves the size.

    Yields:
        uint8 [H, W, 3], all of the same size.

    Raises:
        InputError: a file is broken or incomplete; the images in a folder differ in size or
            format; imageio-ffmpeg, which reads videos, is not installed.
    """
    frames = _read_folder(clip.path) if clip.path.is_dir() else _read_video(clip.path)
    return (_reduced(frame, height) for frame in frames)


def motion(frames):
    """How much moves, in grey levels.

    The frames are made grey, equally bright (lamps flicker), and reduced to an eighth, which
    averages noise away. Then the standard deviation over time is taken, pixel by pixel, and its
    99th percentile: a hundredth of the picture changes by as much or more. A pan by one pixel of a
    picture full of detail makes 2 or more, sensor noise alone less than 1.5.

    Args:
        frames: list of uint8 [H, W, 3].

    Returns:
        float, 0 or more.
    """
    small = [Image.fromarray(frame).convert("L").reduce(8) for frame in frames]
    small = np.stack([np.asarray(frame, np.float32) for frame in small])
    brightness = np.maximum(small.mean(axis=(1, 2), keepdims=True), 1)
    return float(np.percentile((small * (brightness.mean() / brightness)).std(axis=0), 99))


def mark_cuts(frames):
    """Finds hard cuts between successive frames.

    The step from a frame to the next is one minus the SSIM's contrast-structure term (Wang et al.
    2004), taken once over thumbnails of 16x16 pixels: 0 for the same picture, about 1 for two that
    have nothing in common. A cut is a step larger than `CUT`, and than `CUT_RATIO` times the steps
    right before and after it. So neither a fast pan is one, whose steps are alike, nor a flash of
    one frame, which is two steps in a row.

    Args:
        frames: iterable of uint8 [H, W, 3].

    Yields:
        (frame, is_cut): each frame, and whether it is the first one after a cut. One frame more
        than those is read ahead.
    """
    before = 0.0
    steps = itertools.chain(_with_steps(frames), [(None, 0.0)])
    for (frame, step), (_, after) in itertools.pairwise(steps):
        yield frame, step > max(CUT, CUT_RATIO * before, CUT_RATIO * after)
        before = step


def _with_steps(frames):
    last = None
    for frame in frames:
        small = Image.fromarray(frame).resize((16, 16), Image.Resampling.BOX)
        small = np.asarray(small, np.float64)
        yield frame, 0.0 if last is None else 1 - _contrast_structure(last, small)
        last = small


def _contrast_structure(a, b):
    c2 = (0.03 * 255) ** 2
    covariance = ((a - a.mean()) * (b - b.mean())).mean()
    return (2 * covariance + c2) / (a.var() + b.var() + c2)


def _reduced(frame, height):
    if height is None or len(frame) <= height:
        return frame
    width = round(frame.shape[1] * height / len(frame))
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BOX))


# ------------------------------------------------------------------------ files


def _search(folder):
    found, others = [], []
    for root, folders, names in images.walk(folder, follow_links=True):
        folders[:] = filter(_is_shown, folders)
        names = sorted(filter(_is_shown, names))
        videos = [name for name in names if name.lower().endswith(VIDEO_SUFFIXES)]
        frames = [name for name in names if name.lower().endswith(images.SUFFIXES)]
        if videos and frames:
            raise InputError(
                f"{root} holds both videos ({videos[0]}) and images ({frames[0]}): move the "
                "frames of a clip into a folder of their own, and other images away."
            )
        found += [pathlib.Path(root, name) for name in videos] + [pathlib.Path(root)] * bool(frames)
        others += [
            os.path.join(root, name)
            for name in names
            if not name.lower().endswith(VIDEO_SUFFIXES + images.SUFFIXES)
        ]
    if others:
        logging.warning("left out what is no footage: %d files, such as %s", len(others), others[0])
    return sorted(found)


def _is_shown(name):
    return not name.startswith(".")


def _stored_rate(path):
    if path.is_dir():
        raise InputError(f"{path} is a folder of frames, which have no frame rate: set fps.")
    rate = probe(path)["fps"]
    if not rate:
        raise InputError(f"{path} does not say its frame rate: set fps.")
    return rate


def _checked_rate(path, fps, min_fps):
    if fps < min_fps:
        raise InputError(
            f"{path} has {fps:g} frames per second, and the mean of frames so far apart shows "
            f"copies of what moves, not blur. If it was captured faster, and is stored for slow "
            f"playback, set fps; else remove it, or lower min_fps={min_fps:g} if nothing in it "
            "moves by more than a few pixels from frame to frame."
        )
    return fps


def _read_folder(folder):
    names = filter(_is_shown, os.listdir(folder))
    names = [name for name in names if name.lower().endswith(images.SUFFIXES)]
    first, *_ = paths = [folder / name for name in sorted(names, key=_by_numbers)]
    size = None
    for path in paths:
        if path.suffix.lower() != first.suffix.lower():
            raise InputError(
                f"{first} and {path.name} have different formats, so that their order is not "
                "certain: leave the frames of one clip in a folder."
            )
        frame = images.read(path)
        size = size or frame.shape
        if frame.shape != size:
            raise InputError(
                f"{path} has {frame.shape[1]}x{frame.shape[0]} pixels, {first.name} "
                f"{size[1]}x{size[0]}: leave the frames of one clip in a folder."
            )
        yield frame


def _by_numbers(name):
    parts = re.split(r"(\d+)", name)
    parts[1::2] = map(int, parts[1::2])
    return parts


def _read_video(path):
    header = probe(path)
    count = 0
    for frame in decode(path, header["size"], ("-fps_mode", "passthrough")):
        yield frame
        count += 1
    expected = header["duration"] * header["fps"]
    if count < _COMPLETE * (expected - _ROUNDING * header["fps"]):
        raise InputError(
            f"{path} has {count} frames, but {header['duration']:g} s at {header['fps']:g} frames "
            f"per second should have {expected:.0f}: it is incomplete, or its frame rate varies. "
            "Get it again, or remove it."
        )
