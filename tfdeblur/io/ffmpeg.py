"""Videos through FFmpeg: their headers and their frames, whatever their names or contents say.

Each file is opened by the reader for its format, and nothing else is opened for it.
"""

import contextlib
import dataclasses
import logging
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np

from tfdeblur.errors import InputError
from tfdeblur.io import images

VIDEO_SUFFIXES = (
    *(".3gp", ".avi", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv"),
)

# FFmpeg's readers of files, by a video's first bytes and, where these tell nothing, its suffix.
# Without a name FFmpeg would try all that it has, some of which open other files and addresses.
_CONTAINERS = (
    (re.compile(rb"....(ftyp|moov|mdat|free|skip|wide|pnot|uuid)", re.DOTALL), "mov"),
    (re.compile(rb"\x1aE\xdf\xa3"), "matroska"),
    (re.compile(rb"RIFF....AVI[ X\x19]", re.DOTALL), "avi"),
    (re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), "asf"),
    (re.compile(rb"\0*\0\0\x01\xba"), "mpeg"),
    (re.compile(rb"\0*\0\0\x01\xb3"), "mpegvideo"),
    (re.compile(rb"(?:....)?\x47.{187}(?:....)?\x47", re.DOTALL), "mpegts"),
    (re.compile(rb"FLV\x01"), "flv"),
    (re.compile(rb"OggS"), "ogg"),
)
# What has boxes as MP4, and no moving pictures: images, raw photographs and sound.
_NO_VIDEO = re.compile(rb"....ftyp(avi[fs]|crx |he[iv]|jp[2x] |M4[ABP] |mif1|msf1)", re.DOTALL)
_BY_SUFFIX = {  # of several for one reader, the most usual comes first
    ".mp4": "mov",
    ".mov": "mov",
    ".m4v": "mov",
    ".3gp": "mov",
    ".mkv": "matroska",
    ".webm": "matroska",
    ".avi": "avi",
    ".wmv": "asf",
    ".mpg": "mpeg",
    ".mpeg": "mpeg",
    ".ts": "mpegts",
    ".mts": "mpegts",
    ".m2ts": "mpegts",
}
_PLAYLIST = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*"
    rb"(#EXTM3U|ffconcat|file\s|\[(playlist|reference)|<\?xml|<MPD|<asx|<smil|v=0|rtsp:|https?:)",
    re.IGNORECASE,
)

# Transfer functions of high dynamic range (HLG and PQ), as FFmpeg calls them.
_HDR = ("arib-std-b67", "smpte2084")
# Raw frames, by the type of the arrays that they become.
RAW = {
    np.dtype(np.uint8): "rgb24",
    np.dtype(np.uint16): "rgb48le" if sys.byteorder == "little" else "rgb48be",
}
# By default the frames get a grey level too dark, and their colours come from the nearest pixel.
ACCURATELY = "accurate_rnd+full_chroma_int"


_STREAM = re.compile(r"^  Stream #0:(\d+)\S*: (\w+): (.*)$")
_TAG = re.compile(r"^ +([\w. -]+?) *: (.*)$")
_TRANSPARENT = re.compile(r"\b(yuva\d|rgba|bgra|argb|abgr|gbrap|ya8|ya16|pal8)")
_BITS = re.compile(r"\b[a-z]\w*?(9|10|12|14|16|32|48|64)(?:le|be)\b")  # yuv420p10le, rgb48le
_INTERLACED = re.compile(r"\((?:.*, )?(?:top|bottom)(?: coded)? first")


@dataclasses.dataclass(frozen=True)
class Stream:
    """One of what a file holds side by side.

    Attributes:
        index: its number in the file.
        kind: "Video", "Audio", "Subtitle", "Data" or "Attachment".
        text: what FFmpeg says of it, from its codec on.
        tags: dict of str.
    """

    index: int
    kind: str
    text: str
    tags: dict

    @property
    def is_cover(self):
        return "(attached pic)" in self.text

    @property
    def is_transparent(self):
        return self.tags.get("alpha_mode") == "1" or bool(_TRANSPARENT.search(self.text))

    @property
    def is_interlaced(self):
        return bool(_INTERLACED.search(self.text))

    @property
    def bits(self):
        """Of each colour; 8 where there are fewer."""
        found = _BITS.search(self.text)
        bits = int(found[1]) if found else 8
        return 16 if bits in (48, 64) else bits  # which count those of all colours

    @property
    def pixel_shape(self):
        """(width, height) of a pixel, upright."""
        found = re.search(r"\bSAR (\d+):(\d+)", self.text)
        shape = tuple(map(int, found.groups())) if found else (1, 1)
        turned = re.search(r"rotation of (-?\d+)", self.tags.get("Display Matrix", ""))
        shape = shape[::-1] if turned and int(turned[1]) % 180 else shape
        return shape if all(shape) else (1, 1)

    @property
    def holds_chapters(self):
        return self.kind == "Data" and self.text.startswith("bin_data (text")


def contents(path):
    """What a video holds: its tags, a dict, and list of Stream.

    Raises:
        InputError: as `input_options`.
    """
    command = [executable(path), "-hide_banner", "-nostdin", *input_options(path)]
    told = subprocess.run(command, capture_output=True, start_new_session=True).stderr
    tags, streams = {}, []
    current = tags
    # Not `splitlines`: a text in it may hold other ends of lines.
    for line in told.decode(errors="replace").split("\n"):
        if found := _STREAM.match(line):
            current = {}
            streams.append(Stream(int(found[1]), found[2], found[3], current))
        elif line.startswith("  Chapters:"):
            current = {}  # of the chapters
        elif found := _TAG.match(line):
            current.setdefault(found[1], found[2])
    return tags, streams


def only_opened(indices, number=0):
    """Options for one more output, for which streams are opened and nothing is written.

    In some formats, such as MPEG-TS, FFmpeg counts time from the first of those streams that it
    opens. So what two runs read of a file fits together only if both open the same streams. After
    a packet of each it leaves them: what is broken further on is no fault of the other outputs.

    Args:
        indices: of the streams.
        number: of the input.
    """
    maps = [word for index in indices for word in ("-map", f"{number}:{index}")]
    return [*maps, "-c", "copy", "-t", "0", "-f", "null", "-"] if maps else []


def decode(path, size, options=(), dtype=np.uint8, beside=()):
    """Decodes a video, turned upright.

    Args:
        path: a video.
        size: (width, height), of `probe`.
        options: more of FFmpeg's options for its output.
        dtype: of the frames, uint8 or uint16.
        beside: indices of the streams that the frames are to fit in time, see `only_opened`.

    Yields:
        [H, W, 3], one frame after the other; they cannot be written to.

    Raises:
        InputError: FFmpeg met an error, after the frames before it.
    """
    width, height = size
    command = [executable(), "-v", "error", "-nostdin", "-xerror", *input_options(path)]
    command += ["-map", "0:V:0", *options, "-sws_flags", ACCURATELY]
    command += ["-pix_fmt", RAW[np.dtype(dtype)], "-f", "rawvideo", "-"]
    command += only_opened(beside)
    count, length = 0, 3 * width * height * np.dtype(dtype).itemsize
    # imageio-ffmpeg's own reader does not tell whether FFmpeg met an error. In a session of its
    # own, FFmpeg is not stopped by the Ctrl-C that is meant for this program.
    with (
        tempfile.TemporaryFile() as messages,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=messages, start_new_session=True
        ) as process,
    ):
        while len(content := process.stdout.read(length)) == length:
            yield np.frombuffer(content, dtype).reshape(height, width, 3)
            count += 1
        if process.wait():
            raise InputError(
                f"{path} is broken after {count} frames ({first_line(messages)}): get it again, or "
                "remove it."
            )


def probe(path):
    """Reads a video's header.

    Returns:
        A dict, see `imageio_ffmpeg.read_frames`: "size" is that of the upright frames.

    Raises:
        InputError: the file is no video, or an HDR one; imageio-ffmpeg is not installed.
    """
    executable(path)
    import imageio_ffmpeg

    *options, _, address = input_options(path)
    reader = imageio_ffmpeg.read_frames(
        address, input_params=options, output_params=["-map", "0:V:0"]
    )
    try:
        with _silenced("imageio_ffmpeg"):  # which warns that a frame turned upright has turned
            header = next(reader)
    except Exception as error:  # of several kinds, by where the reading of FFmpeg's output ended
        last = str(error).strip().splitlines()[-1:]
        raise InputError(
            f"{path} cannot be read as a video ({''.join(last)}): get it again, or remove it."
        ) from error
    finally:
        reader.close()
    hdr = next((name for name in _HDR if name in header["pix_fmt"]), None)
    if hdr:
        raise InputError(
            f"{path} is HDR ({hdr}), whose light is coded otherwise than this library assumes: "
            "convert it to SDR, or switch HDR off in the camera."
        )
    return header


@contextlib.contextmanager
def _silenced(library):
    """Inside, a library logs nothing."""
    logger = logging.getLogger(library)

    def refuse(record):
        return False

    logger.addFilter(refuse)
    try:
        yield
    finally:
        logger.removeFilter(refuse)


def input_options(path):
    """FFmpeg's options to read a file, and nothing else, whatever its name or content says.

    Raises:
        InputError: the file is a playlist of others, or an image, cannot be opened, or is no
            regular file.
    """
    with images.open_regular(path, limit=2**63) as file:
        head = file.read(4096)
    if suffix := images.usual_suffix(head):
        raise InputError(
            f"{path} cannot be read as a video: it is an image. Rename it to end in {suffix}."
        )
    kind = _reader(head)
    if not kind and _PLAYLIST.match(head):
        raise InputError(
            f"{path} cannot be read as a video: it is a list that names other files. Give those, "
            "or remove it."
        )
    kind = kind or _BY_SUFFIX.get(pathlib.Path(path).suffix.lower())
    if not kind or not head:
        reason = "unknown format" if head else "the file is empty"
        raise InputError(
            f"{path} cannot be read as a video ({reason}): get it again, or remove it."
        )
    return ["-protocol_whitelist", "file,pipe", "-f", kind, "-i", address(path)]


def usual_suffix(head):
    """Of videos that begin with these bytes, such as ".mp4"; "" where they are none's."""
    kind = "" if _NO_VIDEO.match(head) else _reader(head)
    # Matroska holds what has no suffix of its own here.
    return next((suffix for suffix in _BY_SUFFIX if _BY_SUFFIX[suffix] == kind), kind and ".mkv")


def _reader(head):
    """FFmpeg's reader of a file by its first bytes; "" where they tell nothing."""
    return next((kind for start, kind in _CONTAINERS if start.match(head)), "")


def address(path):
    """A path as FFmpeg takes it for a file: 12:30.mp4 would be of a protocol called 12."""
    return f"file:{path}"


def executable(path=None):
    """The path of FFmpeg; an InputError that names the extra where imageio-ffmpeg is missing.

    Args:
        path: of the video that is to be read, for the error.
    """
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise InputError(
            f"{path or 'a video'}: videos are read with imageio-ffmpeg: pip install "
            "'tfdeblur[video]', or give folders of frames."
        ) from error
    return imageio_ffmpeg.get_ffmpeg_exe()


def first_line(messages):
    """FFmpeg's first message without the name of its part, such as "[h264 @ 0x55d3146da1c0]".

    Args:
        messages: the open file to which FFmpeg wrote them.
    """
    messages.seek(0)
    lines = messages.read().decode(errors="replace").strip().splitlines() or ["no reason given"]
    return re.sub(r"^\[.*?\] ", "", lines[0])
