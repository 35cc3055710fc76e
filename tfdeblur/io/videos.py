"""Videos: restored frame by frame, with their sound, in memory that does not grow with length."""

import contextlib
import datetime
import fractions
import io
import re
import struct
import subprocess
import tempfile

import numpy as np

from tfdeblur.errors import InputError
from tfdeblur.io import ffmpeg, images

# How each kind of file is written: FFmpeg's name of the format, and its options.
_H264 = ("-c:v", "libx264", "-crf", "17", "-preset", "medium")
_VP9 = ("-c:v", "libvpx-vp9", "-crf", "20", "-b:v", "0", "-row-mt", "1")
_MP4_FLAGS = ("-movflags", "+faststart")
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

_DEEP_CODECS = ("libx264", "libvpx-vp9")  # which take 10 bits, and colours that are not halved
_WITH_SUBTITLES = ("3gp", "matroska", "mov", "mp4", "mpegts", "webm")
_WITH_COVERS = ("mov", "mp4")
# FFmpeg writes them itself; as tags they would stand there twice.
_OWN_TAGS = ("major_brand", "minor_version", "compatible_brands", "encoder")
_EPOCH = datetime.datetime(1904, 1, 1, tzinfo=datetime.UTC)  # of MP4 files

_MATRICES = ("bt709", "smpte170m", "bt470bg", "bt2020nc")


def restore(source, target, restore_frame, progress=None, shown=None):
    """Restores a video.

    The frames are turned upright, deinterlaced, and follow each other at a constant rate: where
    the rate of the source varies, some are repeated or left out, so that the sound still fits. A
    frame that repeats the one before is restored once. Where the source has more than 8 bits, and
    the target can hold them, 10 are kept. The shape of pixels, chapters and tags are kept. Sound,
    subtitles and covers are copied; where the format changes, sound is encoded anew, and the others
    are left out.

    Args:
        source: a video, see `ffmpeg.probe`.
        target: the file to write, whose suffix is one of `ffmpeg.VIDEO_SUFFIXES`; it appears
            whole or not at all.
        restore_frame: uint8 or uint16 [H, W, 3] -> the same.
        progress: function that is called with the share done, in [0, 1], after each frame; or None.
        shown: function that is called with the frame in the middle, or the last one if there are
            fewer, and its restored version; or None.

    Returns:
        list of str, what is left out, for a message.

    Raises:
        InputError: the source is broken, or the target cannot be written.
    """
    header = ffmpeg.probe(source)
    tags, streams = ffmpeg.contents(source)
    picture = next((x for x in streams if x.kind == "Video" and not x.is_cover), None)
    if picture is None:
        raise InputError(f"{source} has no frames: get it again, or remove it.")
    rate = _rate(source, header["fps"])
    count = max(1, round(header["duration"] * rate))
    deep = picture.bits > 8 and _codec(target) in _DEEP_CODECS
    options = ("-vf", "bwdif=mode=send_frame") if picture.is_interlaced else ()
    options += ("-fps_mode", "cfr", "-r", str(rate))
    dtype = np.uint16 if deep else np.uint8
    copied = [x for x in streams if x is not picture and _is_copied(x, source, target)]
    beside = [x.index for x in copied]
    frames = ffmpeg.decode(source, header["size"], options, dtype, beside)
    last = restored = None
    with (
        contextlib.closing(frames),
        images.replacing(target, like=source) as temporary,
    ):
        command = _encoding(source, target, temporary, header, rate, picture, copied, tags, deep)
        with _piped(command, target) as encode:
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
            if shown and index < count // 2:  # its sound is longer
                shown(last, restored)
        if _needs_time(target, tags):
            _write_creation_time(temporary, tags["creation_time"])
    return list(_left_out(picture, streams, copied, deep))


def _codec(target):
    options = _FORMATS[target.suffix.lower()]
    return options[options.index("-c:v") + 1]


def _is_copied(stream, source, target):
    kind = _FORMATS[target.suffix.lower()][0]
    same = source.suffix.lower() == target.suffix.lower()
    if stream.kind == "Audio":
        return True
    if stream.kind == "Subtitle":
        return same and kind in _WITH_SUBTITLES
    return stream.is_cover and same and kind in _WITH_COVERS


def _left_out(picture, streams, copied, deep):
    """In words."""
    if picture.is_transparent:
        yield "its transparency"
    if picture.is_interlaced:
        yield "its interlacing (each frame is made whole)"
    kept = 10 if deep else 8
    if picture.bits > kept:
        yield f"bits beyond {kept}"
    names = {"Video": "video stream", "Subtitle": "subtitle", "Attachment": "attachment"}
    left = [x for x in streams if x not in (picture, *copied) and not x.holds_chapters]
    kinds = ["cover" if x.is_cover else names.get(x.kind, "data stream") for x in left]
    for kind in sorted(set(kinds)):
        yield f"{kinds.count(kind)} {kind}{'s' * (kinds.count(kind) > 1)}"


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


def _encoding(source, target, temporary, header, rate, picture, copied, tags, deep):
    """FFmpeg's command that takes frames and writes the video."""
    kind, *options = _FORMATS[target.suffix.lower()]
    width, height = header["size"]
    raw = ffmpeg.RAW[np.dtype(np.uint16 if deep else np.uint8)]
    command = [ffmpeg.executable(), "-v", "error", "-nostdin", "-y"]
    command += ["-f", "rawvideo", "-pix_fmt", raw, "-s", f"{width}x{height}", "-r", str(rate)]
    command += ["-i", "-", *ffmpeg.input_options(source), "-map", "0:v"]
    for stream in copied:
        command += ["-map", f"1:{stream.index}"]
    command += ["-map_metadata", "1"]
    for number, stream in enumerate((picture, *copied)):
        command += [f"-map_metadata:s:{number}", f"1:s:{stream.index}"]
    command += ["-map_chapters", "1", "-metadata:s:v:0", "alpha_mode="]
    for tag in _OWN_TAGS:
        command += ["-metadata", f"{tag}="]
    command += options
    if _needs_time(target, tags):
        command += ["-movflags", "+faststart+use_metadata_tags", "-metadata", "creation_time="]
    command += _colours(header, "{}/{}".format(*picture.pixel_shape))
    command += ["-pix_fmt:v:0", _pixel_format(target, picture, (width, height), deep)]
    for number, _ in enumerate((x for x in copied if x.is_cover), start=1):
        command += [f"-c:v:{number}", "copy", f"-disposition:v:{number}", "attached_pic"]
    if source.suffix.lower() == target.suffix.lower():
        command += ["-c:a", "copy", "-c:s", "copy"]
    elif kind == "avi":  # whose sound has no times: where it sets in late, silence goes before it
        command += ["-af", "aresample=async=1:first_pts=0"]
    command += ["-f", kind, ffmpeg.address(temporary)]
    return command + ffmpeg.only_opened([x.index for x in (picture, *copied)], number=1)


def _pixel_format(target, picture, size, deep):
    """Colours at half the resolution are what players expect, unless the source has more."""
    colours = re.search(r"\byuva?j?(4\d\d)p", picture.text)
    colours = colours[1] if colours and _codec(target) in _DEEP_CODECS else "420"
    if size[0] % 2 or size[1] % 2:
        colours = "444"  # the others need even sizes
    colours = colours if colours in ("420", "422", "444") else "420"
    return f"yuv{colours}p10le" if deep else f"yuv{colours}p"


def _needs_time(target, tags):
    """Whether the tags are of the kind that phones write, for which FFmpeg writes all as such.

    Then the time would stand there twice, and where it belongs not at all.
    """
    if not any(tag.startswith("com.") for tag in tags) or "creation_time" not in tags:
        return False
    return _FORMATS[target.suffix.lower()][0] in ("mov", "mp4")


def _write_creation_time(path, time):
    """Writes a time, as FFmpeg tells it, into the header of an MP4 file."""
    try:
        told = datetime.datetime.fromisoformat(time.split(";")[0].replace("Z", "+00:00"))
        seconds = int((told - _EPOCH).total_seconds())
    except (TypeError, ValueError):
        return
    with open(path, "r+b") as file:
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"moov":
                continue  # into it; its first box is the one
            if kind == b"mvhd":
                version = file.read(4)[0]
                file.write(struct.pack(">Q" if version else ">I", seconds))
                return
            if length < 8:
                return
            file.seek(length - 8, io.SEEK_CUR)


@contextlib.contextmanager
def _piped(command, target):
    """Runs FFmpeg, and gives a function that takes the frames one after the other."""
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


def _colours(header, shape):
    """How RGB becomes YUV: as the source's YUV became RGB, and labelled as there.

    shape: of the pixels, width/height.
    """
    found = re.search(r"\((?:tv|pc), ([\w/-]+)", header["pix_fmt"])
    labels = found[1].split("/") if found else ["unknown"]
    matrix, primaries, transfer = labels if len(labels) == 3 else labels[:1] * 3
    conversion = f"scale=flags={ffmpeg.ACCURATELY}+bicubic:out_range=tv"
    if matrix not in _MATRICES:
        return ["-filter:v:0", f"{conversion},setsar={shape}"]
    labelled = ["-colorspace", matrix, "-color_primaries", primaries, "-color_trc", transfer]
    # Encoders take the labels of their frames before those of options.
    labels = f"setparams=color_primaries={primaries}:color_trc={transfer}"
    filters = f"{conversion}:out_color_matrix={matrix},{labels},setsar={shape}"
    return ["-filter:v:0", filters, "-color_range", "tv", *labelled]
