"""Videos: restored frame by frame, with their sound, in memory that does not grow with length."""

import contextlib
import fractions
import re
import subprocess
import tempfile

import numpy as np

from tfdeblur.errors import InputError
from tfdeblur.io import ffmpeg, images

# How each kind of file is written: FFmpeg's name of the format, and its options.
_H264 = ("-c:v", "libx264", "-crf", "17", "-preset", "medium")
_VP9 = ("-c:v", "libvpx-vp9", "-crf", "20", "-b:v", "0", "-row-mt", "1")
_MP4_FLAGS = ("-movflags", "+faststart+use_metadata_tags")
_FORMATS = {
    ".3gp": ("3gp", *_H264),
    ".avi": ("avi", *_H264, "-bf", "0"),  # whose frames have no times, so none in another order
    ".m2ts": ("mpegts", *_H264, "-mpegts_m2ts_mode", "1"),
    ".m4v": ("mp4", *_H264, *_MP4_FLAGS),
    ".mkv": ("matroska", *_H264),
    ".mov": ("mov", *_H264, *_MP4_FLAGS),
    ".mp4": ("mp4", *_H264, *_MP4_FLAGS),
    ".mpeg": ("mpeg", "-c:v", "mpeg2video", "-q:v", "2"),
    ".mpg": ("mpeg", "-c:v", "mpeg2video", "-q:v", "2"),
    ".mts": ("mpegts", *_H264, "-mpegts_m2ts_mode", "1"),
    ".ts": ("mpegts", *_H264),
    ".webm": ("webm", *_VP9),
    ".wmv": ("asf", "-c:v", "wmv2", "-q:v", "2"),
}

_MATRICES = ("bt709", "smpte170m", "bt470bg", "bt2020nc")


def restore(source, target, restore_frame, progress=None, shown=None):
    """Restores a video.

    The frames are 8 bits a channel, turned upright, and follow each other at a constant rate: where
    the rate of the source varies, some are repeated or left out, so that the sound still fits. A
    frame that repeats the one before is restored once. Sound is copied; where the format changes,
    it is encoded anew. Subtitles are left out.

    Args:
        source: a video, see `ffmpeg.probe`.
        target: the file to write, whose suffix is one of `ffmpeg.VIDEO_SUFFIXES`; it appears
            whole or not at all.
        restore_frame: uint8 [H, W, 3] -> the same.
        progress: function that is called with the share done, in [0, 1], after each frame; or None.
        shown: function that is called with the frame in the middle and its restored version; or
            None.

    Raises:
        InputError: the source is broken, or the target cannot be written.
    """
    header = ffmpeg.probe(source)
    rate = _rate(source, header["fps"])
    count = max(1, round(header["duration"] * rate))
    frames = ffmpeg.decode(source, header["size"], ("-fps_mode", "cfr", "-r", str(rate)))
    last = restored = None
    with (
        contextlib.closing(frames),
        images.replacing(target, like=source) as temporary,
        _encoder(source, target, temporary, header, rate) as encode,
    ):
        for index, frame in enumerate(frames):
            if last is None or not np.array_equal(frame, last):
                last, restored = frame, restore_frame(frame)
            encode(np.ascontiguousarray(restored))
            if shown and index == count // 2:
                shown(frame, restored)
            if progress:
                progress(min(1, (index + 1) / count))
        if last is None:
            raise InputError(f"{source} has no frames: get it again, or remove it.")


def frame_count(path):
    """How many frames a video has, about, and their (width, height), by its header.

    Raises:
        InputError: as `ffmpeg.probe`.
    """
    header = ffmpeg.probe(path)
    return max(1, round(header["duration"] * _rate(path, header["fps"]))), header["size"]


def _rate(path, fps):
    """FFmpeg tells two decimals: 23.98 means 24000/1001, as television has it."""
    if not fps:
        raise InputError(f"{path} does not say its frame rate: convert it to MP4 first.")
    television = fractions.Fraction(1000 * round(fps * 1.001), 1001)
    return television if abs(fps - television) < 0.006 else fractions.Fraction(str(fps))


@contextlib.contextmanager
def _encoder(source, target, temporary, header, rate):
    """Gives a function that takes the frames one after the other."""
    kind, *options = _FORMATS[target.suffix.lower()]
    width, height = header["size"]
    command = [ffmpeg.executable(), "-v", "error", "-nostdin", "-y"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(rate)]
    command += ["-i", "-", *ffmpeg.input_options(source), "-map", "0:v", "-map", "1:a?"]
    command += ["-map_metadata", "1", *options, *_colours(header)]
    # Half the colour resolution is what players expect; it needs even sizes.
    command += ["-pix_fmt", "yuv444p" if width % 2 or height % 2 else "yuv420p"]
    if source.suffix.lower() == target.suffix.lower():
        command += ["-c:a", "copy"]
    command += ["-f", kind, ffmpeg.address(temporary)]
    with (
        tempfile.TemporaryFile() as messages,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=messages, start_new_session=True
        ) as process,
    ):
        try:
            with contextlib.suppress(BrokenPipeError):  # FFmpeg ended, and its status says more
                yield process.stdin.write
                process.stdin.close()
            if process.wait():
                raise InputError(f"cannot write {target}: {ffmpeg.first_line(messages)}.")
        finally:
            process.kill()
            with contextlib.suppress(BrokenPipeError):  # of what was not written yet
                process.stdin.close()


def _colours(header):
    """How RGB becomes YUV: as the source's YUV became RGB, and labelled as there."""
    found = re.search(r"\((?:tv|pc), ([\w/]+)", header["pix_fmt"])
    labels = found[1].split("/") if found else ["unknown"]
    matrix, primaries, transfer = labels if len(labels) == 3 else labels[:1] * 3
    conversion = f"scale=flags={ffmpeg.ACCURATELY}+bicubic:out_range=tv"
    if matrix not in _MATRICES:
        return ["-vf", conversion]
    labelled = ["-colorspace", matrix, "-color_primaries", primaries, "-color_trc", transfer]
    return ["-vf", f"{conversion}:out_color_matrix={matrix}", "-color_range", "tv", *labelled]
