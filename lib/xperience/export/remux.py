"""Videos on an even clock, their pictures copied as they are, and what their colours are like."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np

from xperience.qwen.media import write_mp4
from xperience.recording.media import MediaTimeline
from xperience.recording.recording import Recording
from xperience.storage import file_url

_TICKS = 512
"""Ticks of the clock a picture: room for decoding times between pictures."""
_MAX_PICTURES = 100
CRF = 10
"""Quality of pictures that are re-encoded: hardly distinguishable from the recording's."""


def put_on_grid(
    episode: Recording, camera: str, out: Path, fps: int, n_frames: int
) -> tuple[dict[str, Any], np.ndarray, bool]:
    """Write a camera's pictures without its sound, that of frame i at exactly i / fps seconds.

    The MP4 file ``out`` covers the first ``n_frames`` of the recording. Where the camera's file
    holds one picture per frame and nothing else before them, they are copied as they are. Otherwise
    they are decoded and encoded again, and a frame without a picture is black.

    Returned are LeRobot's description of the video, which frames have a picture, bool (n_frames,),
    and whether pictures are copies, bit for bit.
    """
    pictures = episode.clock(camera).pictures[:n_frames]
    is_plain = shows_all(episode, camera) and bool((pictures == np.arange(n_frames)).all())
    if is_plain:
        _copy(episode.video_path(camera), out, fps)
        there = np.ones(n_frames, dtype=bool)
    else:
        there = _re_encode(episode, camera, out, fps, n_frames)
    with av.open(file_url(out)) as container:
        stream = container.streams.video[0]
        described = {
            "video.height": stream.height,
            "video.width": stream.width,
            "video.codec": stream.codec_context.codec.canonical_name,
            "video.pix_fmt": stream.codec_context.pix_fmt,
            "video.is_depth_map": False,
            "video.fps": fps,
            "video.channels": 3,
            "has_audio": False,
        }
    return described, there, is_plain


def shows_all(episode: Recording, camera: str) -> bool:
    """Return whether a file hides no picture by its edit list, nor turns them."""
    timeline = episode.clock(camera).timeline
    return not timeline.n_hidden and not timeline.rotation_deg


def size_px(episode: Recording, camera: str) -> tuple[int, int]:
    """Return width and height of a camera's pictures as they are seen."""
    info, is_upright = episode.videos[camera], not episode.clock(camera).timeline.rotation_deg % 180
    return (info.width, info.height) if is_upright else (info.height, info.width)


def _copy(source: Path, out: Path, fps: int) -> None:
    """Copy all packets, in the order they are shown in: others may be told from the last ones."""
    with av.open(file_url(source)) as read, av.open(file_url(out), "w", format="mp4") as write:
        stream = read.streams.video[0]
        packets = [packet for packet in read.demux(stream) if packet.size]
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


def _re_encode(episode: Recording, camera: str, out: Path, fps: int, n_frames: int) -> np.ndarray:
    """Write pictures and black where there are none; return which frames have one."""
    there = np.zeros(n_frames, dtype=bool)

    def filled() -> Iterator[np.ndarray]:
        width, height = size_px(episode, camera)
        black = np.zeros((height, width, 3), np.uint8)
        for frame, rgb in enumerate(episode.pictures(camera, np.arange(n_frames))):
            there[frame] = rgb is not None
            yield black if rgb is None else rgb

    write_mp4(out, filled(), fps, CRF, key_every=fps)
    return there


@dataclass(frozen=True)
class Sound:
    """An unbroken piece of a video's sound as MPEG-4 audio, and when it begins in the video."""

    data: bytes
    start_s: float


def sound_as_it_is(video: Path, timeline: MediaTimeline) -> list[Sound]:
    """Return a video's AAC sound without decoding it, one piece from gap to gap.

    It is empty if the sound has another codec.
    """
    with av.open(file_url(video)) as read:
        stream = read.streams.audio[0]
        if stream.codec_context.codec.canonical_name != "aac":
            return []
        packets = [packet for packet in read.demux(stream) if packet.size]
        runs = np.round(timeline.sound_s / float(stream.time_base)).astype(int)
        return [_piece(stream, packets, start, stop) for start, stop in runs.tolist()]


def _piece(stream: av.AudioStream, packets: list[av.Packet], start: int, stop: int) -> Sound:
    """Return the packets of [start, stop) ticks as a file that begins with them.

    The packet before them, which primes the decoder, stands before zero and isn't heard.
    """
    usual = int(np.median([packet.duration for packet in packets]))
    out = BytesIO()
    with av.open(out, "w", format="mp4") as write:
        copy = write.add_stream_from_template(stream)
        for packet in packets:
            if start - 1.5 * usual < packet.pts < stop:
                packet.pts, packet.dts, packet.stream = packet.pts - start, packet.dts - start, copy
                write.mux(packet)
    return Sound(out.getvalue(), float(start * stream.time_base))


def colours(video: Path, fps: int, has_picture: np.ndarray, *, keys_only: bool) -> np.ndarray:
    """Return the pixels of some pictures, float32 (n_pictures, height, width, 3) in [0, 1].

    Of the frames of `put_on_grid` that have a picture, at most 100 are taken, evenly; with
    ``keys_only`` of those that are coded without others, which is fast.
    """

    def frame_of(timed: av.Packet | av.VideoFrame) -> int:
        return round(timed.pts * timed.time_base * fps)

    with av.open(file_url(video)) as container:
        stream = container.streams.video[0]
        if keys_only:
            stream.codec_context.skip_frame = "NONKEY"
        packets = [one for one in container.demux(stream) if one.size]
        frames = {frame_of(one) for one in packets if one.is_keyframe or not keys_only}
        frames = sorted(frames & set(np.flatnonzero(has_picture).tolist()))
        chosen = set(frames[:: max(1, -(-len(frames) // _MAX_PICTURES))])
        container.seek(0)
        decoded = (one for one in container.decode(stream) if frame_of(one) in chosen)
        return np.stack([one.to_ndarray(format="rgb24") for one in decoded]) / np.float32(255)
