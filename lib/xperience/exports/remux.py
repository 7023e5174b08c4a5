"""Videos on an even clock, their pictures copied as they are, and what their colours are like."""

from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np

from xperience.exports.extras import ExportError
from xperience.storage import file_url

_TICKS = 512
"""Ticks of the clock a picture: room for decoding times between pictures."""
_MAX_KEY_PICTURES = 100


def copy_on_grid(source: Path, out: Path, fps: int, n_pictures: int) -> dict[str, Any]:
    """Copy a video's pictures without its sound, picture i at exactly i / fps seconds.

    Nothing is decoded: pixels stay what they are. Pictures after the first ``n_pictures`` of the
    decoding order that would be shown later are kept too, since others may be told from them.

    Parameters
    ----------
    source, out : Path
        MP4 files.
    fps : int
        Pictures a second of the copy.
    n_pictures : int
        Pictures that must be in it.

    Returns
    -------
    dict
        LeRobot's description of the video.

    Raises
    ------
    ExportError
        If the video holds fewer pictures.
    """
    with av.open(file_url(source)) as read, av.open(file_url(out), "w", format="mp4") as write:
        stream = read.streams.video[0]
        packets = [packet for packet in read.demux(stream) if packet.size]
        _expect_pictures(source, len(packets), n_pictures)
        shown = np.argsort(np.argsort([packet.pts for packet in packets], kind="stable"))
        ahead = int(max(0, (np.arange(len(packets)) - shown).max()))
        copy = write.add_stream_from_template(stream)
        copy.time_base = Fraction(1, fps * _TICKS)
        for place, packet in enumerate(packets):
            packet.time_base = copy.time_base
            packet.pts = int(shown[place]) * _TICKS
            packet.dts = (place - ahead) * _TICKS
            packet.duration = _TICKS
            packet.stream = copy
            write.mux(packet)
        return {
            "video.height": stream.height,
            "video.width": stream.width,
            "video.codec": stream.codec_context.codec.canonical_name,
            "video.pix_fmt": stream.codec_context.pix_fmt,
            "video.is_depth_map": False,
            "video.fps": fps,
            "video.channels": 3,
            "has_audio": False,
        }


def _expect_pictures(source: Path, n: int, n_pictures: int) -> None:
    if n < n_pictures:
        place, found = f"{source.parent.name}/{source.name}", f"holds {n} pictures"
        raise ExportError(place, found, f"{n_pictures}", "Leave this camera out.")


@dataclass(frozen=True)
class Sound:
    """A video's sound, as a file of its own.

    Parameters
    ----------
    data : bytes
        MPEG-4 audio.
    start_s : float
        When it begins, seconds after the video's first picture.
    """

    data: bytes
    start_s: float


def sound_as_it_is(video: Path) -> Sound | None:
    """Return a video's AAC sound without decoding it; None if it has another codec.

    Parameters
    ----------
    video : Path
        With sound.
    """
    out = BytesIO()
    with av.open(file_url(video)) as read:
        stream, pictures = read.streams.audio[0], read.streams.video[0]
        if stream.codec_context.codec.canonical_name != "aac":
            return None
        with av.open(out, "w", format="mp4") as write:
            copy = write.add_stream_from_template(stream)
            for packet in read.demux(stream):
                if packet.size:
                    packet.stream = copy
                    write.mux(packet)
        begins = [(one.start_time or 0) * one.time_base for one in (stream, pictures)]
    return Sound(out.getvalue(), float(begins[0] - begins[1]))


def colours(video: Path) -> np.ndarray:
    """Return the pixels of some key pictures, float32 (n_pictures, height, width, 3) in [0, 1].

    Key pictures alone are decoded, evenly over the video, at most 100 of them.
    """
    with av.open(file_url(video)) as container:
        stream = container.streams.video[0]
        stream.codec_context.skip_frame = "NONKEY"
        n_keys = sum(packet.is_keyframe for packet in container.demux(stream) if packet.size)
        every = max(1, -(-n_keys // _MAX_KEY_PICTURES))
        container.seek(0)
        frames = (frame for i, frame in enumerate(container.decode(stream)) if i % every == 0)
        return np.stack([frame.to_ndarray(format="rgb24") for frame in frames]) / np.float32(255)
