"""Videos and their sound, streamed: nothing here holds more than a few frames.

Pixels are those of FFmpeg's own decoder, converted to 24-bit RGB with the bicubic flag, which is
what the published features were computed from, bit for bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from xperience.episode.annotation import Fault
from xperience.errors import EpisodeError, unreadable
from xperience.storage import file_url

FPS_LIMIT = 1000
"""A rate from here on is no frame rate but a broken clock."""


@dataclass(frozen=True)
class VideoInfo:
    """What one video file holds, counted from its packets without decoding them.

    Parameters
    ----------
    width, height : int
        Pixels.
    fps : Fraction
        Mean frame rate, as the container says.
    n_frames : int
        Video packets that are really in the file.
    n_declared : int
        Frames that the header promises; 0 if it says nothing.
    start_s : float
        Time of the first frame in the container.
    audio_rate_hz : int or None
        Sample rate of the first audio stream; None without one.
    audio_channels : int
    audio_s : float
        Length of the sound, from the packets.
    audio_start_s : float
        Time of the first sound in the container.
    """

    width: int
    height: int
    fps: Fraction
    n_frames: int
    n_declared: int
    start_s: float
    audio_rate_hz: int | None
    audio_channels: int
    audio_s: float
    audio_start_s: float


def probe(path: Path) -> VideoInfo:
    """Return what a video file holds.

    Raises
    ------
    EpisodeError
        If the file is empty, is no video, or its index was cut off.
    """
    with _opened(path) as container:
        if not _decodable(container.streams.video):
            raise _broken(path, "has no video stream that can be decoded", "one video stream")
        video = container.streams.video[0]
        sound = container.streams.audio[0] if _decodable(container.streams.audio) else None
        packets = _count_packets(container, path.stat().st_size)
        fps = _frame_rate(video)
        audio_s = float(packets[sound.index][1]) if sound else 0.0
        return VideoInfo(
            video.width,
            video.height,
            fps,
            packets[video.index][0],
            video.frames,
            _start_s(video),
            sound.rate if sound else None,
            sound.channels if sound else 0,
            audio_s,
            _start_s(sound) if sound else 0.0,
        )


def _decodable(streams: tuple[av.stream.Stream, ...]) -> bool:
    """Return whether there is a first stream, of a codec that FFmpeg knows."""
    return bool(streams) and streams[0].codec_context is not None


def _frame_rate(video: av.VideoStream) -> Fraction:
    """Return the mean rate; a nonsense one counts as absent."""
    for rate in (video.average_rate, video.guessed_rate, video.base_rate):
        if rate and 0 < rate < FPS_LIMIT:
            return Fraction(rate)
    return Fraction(0)


def _start_s(stream: av.stream.Stream) -> float:
    return float((stream.start_time or 0) * stream.time_base)


def _count_packets(
    container: av.container.InputContainer, n_bytes: int
) -> dict[int, tuple[int, Fraction]]:
    """Return {stream index: (packets that are in the file, their length in seconds)}.

    The container's index says where each packet lies; one that ends beyond the file was cut off.
    Only a file whose index doesn't list every packet is read through.
    """
    streams = [*container.streams.video, *container.streams.audio]
    if not all(s.frames and s.duration and len(s.index_entries) == s.frames for s in streams):
        return _read_packets(container)
    counts = {}
    for stream in streams:
        there = sum(entry.pos + entry.size <= n_bytes for entry in stream.index_entries)
        length_s = stream.duration * stream.time_base * Fraction(there, stream.frames)
        counts[stream.index] = (there, length_s)
    return counts


def _read_packets(container: av.container.InputContainer) -> dict[int, tuple[int, Fraction]]:
    """Return the same from the packets themselves, up to where they can be read."""
    counts = {stream.index: (0, Fraction(0)) for stream in container.streams}
    try:
        for packet in container.demux():
            if packet.size:
                number, length_s = counts[packet.stream_index]
                step_s = (packet.duration or 0) * packet.time_base
                counts[packet.stream_index] = (number + 1, length_s + step_s)
    except (av.FFmpegError, EOFError):
        # a file cut off in the middle: what came before the cut is there and counted
        return counts
    return counts


def media_faults(name: str, place: str, info: VideoInfo, n_frames: int, fps: float) -> list[Fault]:
    """Return what is odd about a video that can be opened.

    Parameters
    ----------
    name : str
        The camera.
    place : str
        The file, for readers.
    info : VideoInfo
    n_frames : int
        Frames of the episode.
    fps : float
        Rate of the episode's frames in Hz.
    """
    faults = []
    if info.n_declared > info.n_frames:
        found = f"holds {info.n_frames} of the {info.n_declared} frames that its header promises"
        faults.append(Fault(name, place, found, "a whole file"))
    if info.n_frames != n_frames:
        faults.append(Fault(name, place, f"has {info.n_frames} frames", f"{n_frames}"))
    if not info.fps:
        faults.append(Fault(name, place, "says no frame rate", f"about {fps:.3f} frames/s"))
    elif abs(float(info.fps) / fps - 1) > 0.01:
        found = f"runs at {float(info.fps):.3f} frames/s"
        faults.append(Fault(name, place, found, f"about {fps:.3f}"))
    return faults


def read_rgb(path: Path, *, threads: int = 1) -> Iterator[np.ndarray]:
    """Yield each frame as RGB.

    Parameters
    ----------
    path : Path
    threads : int
        Decoder threads; 0 lets FFmpeg choose.

    Yields
    ------
    uint8 array, shape (height, width, 3)
        A view of FFmpeg's own buffer: copy what you keep beyond the next frame.

    Notes
    -----
    A file that is cut off yields the frames before the cut; `probe` says how many there should be.
    Pixels are converted inside a filter graph, whose pool of frames makes that several times as
    fast as converting each frame into new memory.
    """
    with _opened(path) as container:
        if not _decodable(container.streams.video):
            raise _broken(path, "has no video stream that can be decoded", "one video stream")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO" if threads != 1 else "SLICE"
        stream.codec_context.thread_count = threads
        graph, shape = None, None
        for frame in _decoded(container, stream, path):
            if shape != (frame.width, frame.height, frame.format.name):
                shape = (frame.width, frame.height, frame.format.name)
                graph = _rgb_graph(frame, stream.time_base)
            graph.push(frame)
            yield _pixels(graph.pull())


def _rgb_graph(frame: av.VideoFrame, time_base: Fraction) -> av.filter.Graph:
    """Return a graph that turns frames like this one into 24-bit RGB."""
    graph = av.filter.Graph()
    graph.threads = 1
    steps = [
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=time_base
        ),
        graph.add("scale", "flags=bicubic"),
        graph.add("format", "rgb24"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*steps)
    graph.configure()
    return graph


def _pixels(frame: av.VideoFrame) -> np.ndarray:
    plane = frame.planes[0]
    lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height]
    return lines[:, : 3 * frame.width].reshape(frame.height, frame.width, 3)


def read_mono(path: Path, rate_hz: int) -> Iterator[np.ndarray]:
    """Yield the first audio stream as mono sound at a given rate.

    Parameters
    ----------
    path : Path
    rate_hz : int
        Rate to resample to.

    Yields
    ------
    float32 array, shape (n_samples,)
        A few hundred to a few thousand samples at a time, in [-1, 1].
    """
    with _opened(path) as container:
        if not _decodable(container.streams.audio):
            raise _broken(
                path, "has no audio stream that can be decoded", "sound in the video file"
            )
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="flt", layout="mono", rate=rate_hz)
        for frame in _decoded(container, stream, path):
            for part in resampler.resample(frame):
                yield part.to_ndarray().reshape(-1)
        for part in resampler.resample(None):
            yield part.to_ndarray().reshape(-1)


def _decoded(
    container: av.container.InputContainer, stream: av.stream.Stream, path: Path
) -> Iterator:
    try:
        yield from container.decode(stream)
    except OSError as error:  # no damage of the file: the disk or the network behind it failed
        raise _broken(path, unreadable(error), "a whole video") from error
    except (av.FFmpegError, EOFError):
        # the file is cut off or damaged here; what was decoded stands, `probe` names the fault
        return


def _opened(path: Path) -> av.container.InputContainer:
    if not path.is_file():
        found = "is not a file" if path.exists() else "is not there"
        raise _broken(path, found, "the camera's video")
    if path.stat().st_size == 0:
        raise _broken(path, "is empty", "an MP4 video")
    try:
        return av.open(file_url(path), metadata_errors="replace")
    except av.FFmpegError as error:
        raise _broken(path, f"cannot be opened ({error.strerror})", "a whole MP4 video") from error


def _broken(path: Path, found: str, expected: str) -> EpisodeError:
    return EpisodeError(
        f"{path.parent.name}/{path.name}",
        found,
        expected,
        "Fetch the file again, or go on without this camera.",
    )
