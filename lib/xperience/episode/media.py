"""Videos and their sound, streamed: nothing here holds more than a few frames.

Pixels are those of FFmpeg's own decoder, converted to 24-bit RGB with the bicubic flag, which is
what the published features were computed from, bit for bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import av
import numpy as np

from xperience.episode.annotation import Fault
from xperience.errors import EpisodeError

FPS_LIMIT = 1000
"""A rate from here on is no frame rate but a broken clock."""

SOUND_SLACK_S = 0.005
"""Sound whose stamps stray by less than this runs on: coarse clocks round by a millisecond."""


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
        there = [e for e in stream.index_entries if e.pos + e.size <= n_bytes]
        length_s = stream.duration * stream.time_base * Fraction(len(there), stream.frames)
        shown = sum(not e.is_discard for e in there) if stream.type == "video" else len(there)
        counts[stream.index] = (shown, length_s)
    return counts


def _read_packets(container: av.container.InputContainer) -> dict[int, tuple[int, Fraction]]:
    """Return the same from the packets themselves, up to where they can be read."""
    counts = {stream.index: (0, Fraction(0)) for stream in container.streams}
    for packet in _demuxed(container):
        number, length_s = counts[packet.stream_index]
        step_s = (packet.duration or 0) * packet.time_base
        shown = not packet.is_discard or packet.stream.type != "video"
        counts[packet.stream_index] = (number + shown, length_s + step_s)
    return counts


@dataclass(frozen=True)
class Timeline:
    """When a file shows its pictures and plays its sound, by its packets, in the file's own time.

    Parameters
    ----------
    ticks : int array, shape (n_pictures,)
        Presentation time of each picture that is shown, ascending, in units of ``tick_s``; number n
        is the one that `read_pictures` yields as n.
    tick_s : float
    n_hidden : int
        Pictures in the file that its edit list hides.
    sound_s : float array, shape (n_runs, 2)
        Begin and end of each stretch of sound without a hole; none without sound.
    zero_s : float
        Where the recording begins in the file's time. Above 0 only in a file without an edit list
        whose times had to be moved up to make room for coding delays.
    """

    ticks: np.ndarray
    tick_s: float
    n_hidden: int
    sound_s: np.ndarray
    zero_s: float

    @cached_property
    def picture_s(self) -> np.ndarray:
        """Seconds at which each shown picture begins, shape (n_pictures,)."""
        return self.ticks * self.tick_s


def read_timeline(path: Path) -> Timeline:
    """Return when a file shows its pictures and plays its sound; packets are read, none decoded.

    A file that is cut off gives what comes before the cut.

    Raises
    ------
    EpisodeError
        If it cannot be opened or has no video stream.
    """
    with _opened(path) as container:
        if not _decodable(container.streams.video):
            raise _broken(path, "has no video stream that can be decoded", "one video stream")
        video = container.streams.video[0]
        sound = container.streams.audio[0] if _decodable(container.streams.audio) else None
        pictures, heard = [], []
        for packet in _demuxed(container, *filter(None, (video, sound))):
            stamp = packet.dts if packet.pts is None else packet.pts
            if stamp is not None:
                kept = pictures if packet.stream_index == video.index else heard
                kept.append((stamp, packet.dts or 0, packet.duration or 0, packet.is_discard))
    rows = np.array(pictures, dtype=np.int64).reshape(-1, 4)
    hidden = rows[:, 3] == 1
    tick_s = float(video.time_base)
    runs_s, first_s = np.zeros((0, 2)), []
    if heard:
        packets = np.array(heard, dtype=np.int64)
        runs_s = _sound_runs_s(packets, float(sound.time_base))
        first_s = _starts_s(
            packets, float(sound.time_base), primed=sound.codec_context.name == "aac"
        )
    if len(rows):
        first_s = [*first_s, *_starts_s(rows, tick_s, primed=False)]
    kept_delay = not hidden.any() and first_s and min(first_s[1::2]) == 0
    zero_s = min(first_s[::2]) if kept_delay else 0.0
    return Timeline(np.sort(rows[~hidden, 0]), tick_s, int(hidden.sum()), runs_s, zero_s)


def _starts_s(packets: np.ndarray, tick_s: float, *, primed: bool) -> tuple[float, float]:
    """Return when a stream's content begins, and the first decoding time, in seconds.

    AAC begins with a packet of priming; a container that can't hide it plays it.
    """
    first = packets[1, 0] if primed and len(packets) > 1 else packets[:, 0].min()
    return float(first * tick_s), float(packets[0, 1] * tick_s)


def _sound_runs_s(packets: np.ndarray, tick_s: float) -> np.ndarray:
    """Return stretches of sound without a hole, shape (n, 2), from (pts, dts, duration, hidden)."""
    packets = packets[packets[:, 3] == 0]
    usual = np.median(packets[:, 2]) if len(packets) else 0  # the last before a hole may claim it
    spans_s = tick_s * np.stack(
        [packets[:, 0], packets[:, 0] + np.minimum(packets[:, 2], usual)], 1
    )
    spans_s = np.maximum(spans_s, 0)
    spans_s = spans_s[spans_s[:, 1] > spans_s[:, 0]]
    apart = np.abs(spans_s[1:, 0] - spans_s[:-1, 1]) > SOUND_SLACK_S
    begins = np.flatnonzero(np.concatenate([np.ones(min(len(spans_s), 1), bool), apart]))
    ends = np.append(begins[1:], len(spans_s))[: len(begins)] - 1
    return np.stack([spans_s[begins, 0], spans_s[ends, 1]], axis=1)


def _demuxed(
    container: av.container.InputContainer, *streams: av.stream.Stream
) -> Iterator[av.Packet]:
    """Yield a file's packets, up to where they can be read."""
    try:
        yield from (packet for packet in container.demux(*streams) if packet.size)
    except (av.FFmpegError, EOFError):
        # a file cut off in the middle: what came before the cut is there
        return


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


def read_pictures(
    path: Path, timeline: Timeline, *, threads: int = 1
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each shown picture with its number on the file's timeline.

    Parameters
    ----------
    path : Path
    timeline : Timeline
        Of that file.
    threads : int
        Decoder threads; 0 lets FFmpeg choose.

    Yields
    ------
    int
        Ascending; a picture that the decoder gives up is passed over.
    uint8 array, shape (height, width, 3)
        RGB; a view of FFmpeg's own buffer, as of `read_rgb`.
    """
    number = -1
    for tick, rgb in _rgb_frames(path, threads):
        number += 1
        if tick is not None:
            number = max(number, int(np.searchsorted(timeline.ticks, tick)))
        yield number, rgb


def read_rgb(path: Path, *, threads: int = 1) -> Iterator[np.ndarray]:
    """Yield each shown picture as RGB.

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
    yield from (rgb for _, rgb in _rgb_frames(path, threads))


def _rgb_frames(path: Path, threads: int) -> Iterator[tuple[int | None, np.ndarray]]:
    """Yield each shown picture's presentation tick and pixels."""
    with _opened(path) as container:
        if not _decodable(container.streams.video):
            raise _broken(path, "has no video stream that can be decoded", "one video stream")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO" if threads != 1 else "SLICE"
        stream.codec_context.thread_count = threads
        graph, shape = None, None
        for frame in _decoded(container, stream):
            if shape != (frame.width, frame.height, frame.format.name):
                shape = (frame.width, frame.height, frame.format.name)
                graph = _rgb_graph(frame, stream.time_base)
            graph.push(frame)
            yield frame.pts, _pixels(graph.pull())


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
        for frame in _decoded(container, stream):
            for part in resampler.resample(frame):
                yield part.to_ndarray().reshape(-1)
        for part in resampler.resample(None):
            yield part.to_ndarray().reshape(-1)


def read_sound(path: Path, rate_hz: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first audio stream as mono sound, each piece with its place in the file's time.

    Parameters
    ----------
    path : Path
    rate_hz : int
        Rate to resample to.

    Yields
    ------
    int
        Place of the piece's first sample, counted at ``rate_hz`` from the file's time 0. Pieces
        follow each other without a break where the sound does; nothing is made up for a hole, nor
        is sound before it drawn into sound after it.
    float32 array, shape (n_samples,)
        In [-1, 1].
    """
    with _opened(path) as container:
        if not _decodable(container.streams.audio):
            raise _broken(
                path, "has no audio stream that can be decoded", "sound in the video file"
            )
        resampler, place, due_s = None, 0, 0.0
        for frame in _decoded(container, container.streams.audio[0]):
            at_s = due_s if frame.pts is None else float(frame.pts * frame.time_base)
            if resampler is None or abs(at_s - due_s) > SOUND_SLACK_S:
                for part in _resampled(resampler, None):
                    yield place, part
                    place += len(part)
                resampler = av.AudioResampler(format="flt", layout="mono", rate=rate_hz)
                place, due_s = round(at_s * rate_hz), at_s
            due_s += frame.samples / frame.sample_rate
            for part in _resampled(resampler, frame):
                yield place, part
                place += len(part)
        for part in _resampled(resampler, None):
            yield place, part
            place += len(part)


def _resampled(
    resampler: av.AudioResampler | None, frame: av.AudioFrame | None
) -> Iterator[np.ndarray]:
    if resampler is not None:
        yield from (part.to_ndarray().reshape(-1) for part in resampler.resample(frame))


class SoundReader:
    """Mono sound that is read forwards only, by place.

    Parameters
    ----------
    path : Path
        A video with an audio stream.
    rate_hz : int
    counted : bool
        Take the n-th sample for the one at n / rate, whatever the file says. Else places are those
        of the file's time, and samples that it doesn't have are NaN.
    """

    def __init__(self, path: Path, rate_hz: int, *, counted: bool = False):
        self._parts = _counted(read_mono(path, rate_hz)) if counted else read_sound(path, rate_hz)
        self._counted = counted
        self._held = np.zeros(0, dtype=np.float32)
        self._position = 0

    def until(self, start: int, stop: int) -> np.ndarray:
        """Return samples [start, stop), float32; what came before is forgotten.

        No start may lie before an earlier one's. Counted sound is shorter at its end.
        """
        parts, end = [self._held], self._position + len(self._held)
        while end < stop and (piece := next(self._parts, None)) is not None:
            place, part = piece
            if place > end:
                parts.append(np.full(place - end, np.nan, dtype=np.float32))
            parts.append(part[max(end - place, 0) :])
            end = max(end, place + len(part))
        samples = np.concatenate(parts)
        if not self._counted and end < stop:
            samples = np.append(samples, np.full(stop - end, np.nan, dtype=np.float32))
        if start < self._position:
            samples = np.append(np.full(self._position - start, np.nan, dtype=np.float32), samples)
            return samples[: stop - start]
        samples = samples[start - self._position :]
        self._position, self._held = start, samples
        return samples[: stop - start]


def _counted(parts: Iterator[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
    place = 0
    for part in parts:
        yield place, part
        place += len(part)


def _decoded(container: av.container.InputContainer, stream: av.stream.Stream) -> Iterator:
    try:
        yield from container.decode(stream)
    except (av.FFmpegError, EOFError):
        # the file is cut off or damaged here; what was decoded stands, `probe` names the fault
        return


def _opened(path: Path) -> av.container.InputContainer:
    if not path.is_file():
        raise _broken(path, "is not there", "the camera's video")
    if path.stat().st_size == 0:
        raise _broken(path, "is empty", "an MP4 video")
    try:
        return av.open(str(path), metadata_errors="replace")
    except av.FFmpegError as error:
        raise _broken(path, f"cannot be opened ({error.strerror})", "a whole MP4 video") from error


def _broken(path: Path, found: str, expected: str) -> EpisodeError:
    return EpisodeError(
        f"{path.parent.name}/{path.name}",
        found,
        expected,
        "Fetch the file again, or go on without this camera.",
    )
