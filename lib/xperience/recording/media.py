"""Videos and their sound, streamed: nothing here holds more than a few frames.

Pixels are those of FFmpeg's own decoder, converted to 24-bit RGB with the bicubic flag, which is
what the published features were computed from, bit for bit.
"""

from bisect import bisect_left
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import av
import numpy as np

from xperience.errors import EpisodeError, unreadable
from xperience.recording.annotation import Fault
from xperience.storage import file_url

RATE_SLACK = 0.01
"""A file that runs faster or slower than the device by more has another rate, no drifting clock."""
LOUDEST = 4.0
"""12 dB above full scale: coders overshoot by less."""
FPS_LIMIT = 1000
"""A rate from here on is no frame rate but a broken clock."""
PIECE_SAMPLES = 16_384
"""Resampled sound comes in pieces of so many samples; smaller ones take longer to hand over."""
SOUND_SLACK_S = 0.005
"""Sound whose stamps stray by less than this runs on: coarse clocks round by a millisecond."""


@dataclass(frozen=True)
class VideoInfo:
    """What one video file holds, counted from its packets without decoding them."""

    width: int  # pixels
    height: int
    fps: Fraction  # mean frame rate, as the container says
    usual_fps: Fraction  # the same without gaps; 0 if unknown
    n_frames: int  # pictures in the file that are shown
    n_lost: int  # pictures that the header promises and the file doesn't hold
    audio_rate_hz: int | None  # of the first audio stream; None without one
    audio_channels: int
    audio_s: float  # length of the sound, from the packets


def probe(path: Path) -> VideoInfo:
    """Return what a video file holds.

    Raises
    ------
    EpisodeError
        If the file is empty, is no video, or its index was cut off.
    """
    with _opened(path) as container:
        video = _stream(container, "video", path)
        sound = _decodable(container.streams.audio)
        counts = _count_packets(container, path.stat().st_size)
        pictures = counts[video.index]
        return VideoInfo(
            video.width,
            video.height,
            _frame_rate(video),
            pictures.rate(video.time_base),
            pictures.shown,
            max(video.frames - pictures.n, 0),
            sound.rate if sound else None,
            sound.channels if sound else 0,
            float(counts[sound.index].length_s) if sound else 0.0,
        )


def _frame_rate(video: av.VideoStream) -> Fraction:
    """Return the mean rate; a nonsense one counts as absent."""
    for rate in (video.average_rate, video.guessed_rate, video.base_rate):
        if rate and 0 < rate < FPS_LIMIT:
            return Fraction(rate)
    return Fraction(0)


@dataclass
class _Counted:
    """Packets of a stream."""

    n: int = 0
    shown: int = 0
    length_s: Fraction = Fraction(0)
    stamps: list[int] = field(default_factory=list)  # of decoding; steps are those of the pictures

    def add(self, stamp: int | None, *, hidden: bool) -> None:
        self.n += 1
        self.shown += not hidden
        if stamp is not None:
            self.stamps.append(stamp)

    def rate(self, tick_s: Fraction) -> Fraction:
        """Return the usual rate, which a gap doesn't lower; 0 if unknown."""
        steps = np.diff(self.stamps)
        usual = np.median(steps) if len(steps) else 0
        steps = steps[np.abs(steps - usual) < usual / 2]
        return Fraction(len(steps), int(steps.sum())) / tick_s if len(steps) else Fraction(0)


def _count_packets(container: av.container.InputContainer, n_bytes: int) -> dict[int, _Counted]:
    """Return what is in the file of each stream.

    The container's index says where each packet lies; one that ends beyond the file was cut off.
    Only a file whose index doesn't list every packet is read through.
    """
    counts = {stream.index: _Counted() for stream in container.streams}
    streams = [*container.streams.video, *container.streams.audio]
    if all(s.frames and s.duration and len(s.index_entries) == s.frames for s in streams):
        for stream in streams:
            found = counts[stream.index]
            for entry in stream.index_entries:
                if entry.pos + entry.size <= n_bytes:
                    found.add(entry.timestamp, hidden=entry.is_discard)
            found.length_s = stream.duration * stream.time_base * Fraction(found.n, stream.frames)
        return counts
    for packet in _demuxed(container):
        found = counts[packet.stream_index]
        found.add(packet.dts, hidden=packet.is_discard)
        found.length_s += (packet.duration or 0) * packet.time_base
    return counts


@dataclass(frozen=True)
class MediaTimeline:
    """When a file shows its pictures and plays its sound, by its packets, in the file's own time.

    The recording begins at ``zero_s``. That is above 0 only in a file without an edit list whose
    times had to be moved up to make room for coding delays.
    """

    ticks: np.ndarray  # ascending times of shown pictures; n is the one that `read_pictures` counts
    tick_s: float
    n_hidden: int  # pictures in the file that its edit list hides
    sound_s: np.ndarray  # begin and end of each contiguous segment of sound, shape (n, 2)
    zero_s: float
    rotation_deg: int = 0  # by how much to turn pictures counterclockwise: 0, 90, 180 or 270

    @cached_property
    def picture_s(self) -> np.ndarray:
        """Seconds at which each shown picture begins, shape (n_pictures,)."""
        return self.ticks * self.tick_s


def read_timeline(path: Path) -> MediaTimeline:
    """Return when a file shows its pictures and plays its sound; one picture is decoded at most.

    A file that is cut off gives what comes before the cut.

    Raises
    ------
    EpisodeError
        If it cannot be opened or has no video stream.
    """
    with _opened(path) as container:
        video, sound = _stream(container, "video", path), _decodable(container.streams.audio)
        tick_s, sound_tick_s = float(video.time_base), float(sound.time_base) if sound else 0.0
        primed = sound is not None and sound.codec_context.name == "aac"
        shown, heard = [], []
        for packet in _demuxed(container, *filter(None, (video, sound))):
            stamp = packet.dts if packet.pts is None else packet.pts
            if stamp is not None:
                kept = shown if packet.stream_index == video.index else heard
                kept.append((stamp, packet.dts or 0, packet.duration or 0, packet.is_discard))
    with _opened(path) as container:
        frame = next(_decoded(container, container.streams.video[0], path), None)
        rotation_deg = 0 if frame is None else round(frame.rotation / 90) % 4 * 90
    pictures, samples = (np.array(rows, np.int64).reshape(-1, 4) for rows in (shown, heard))
    hidden = pictures[:, 3] == 1
    begins_s = []
    if len(pictures):
        begins_s.append(_begin_s(pictures, tick_s, primed=False))
    if len(samples):
        begins_s.append(_begin_s(samples, sound_tick_s, primed=primed))
    moved_up = begins_s and not hidden.any() and min(coded_s for _, coded_s in begins_s) == 0
    return MediaTimeline(
        np.sort(pictures[~hidden, 0]),
        tick_s,
        int(hidden.sum()),
        _sound_runs_s(samples, sound_tick_s),
        min(begin_s for begin_s, _ in begins_s) if moved_up else 0.0,
        rotation_deg,
    )


def _begin_s(packets: np.ndarray, tick_s: float, *, primed: bool) -> tuple[float, float]:
    """Return when a stream's content begins, and its first decoding time, in seconds.

    AAC begins with a packet of priming; a container that can't hide it plays it.
    """
    first = packets[1, 0] if primed and len(packets) > 1 else packets[:, 0].min()
    return float(first * tick_s), float(packets[0, 1] * tick_s)


def _sound_runs_s(packets: np.ndarray, tick_s: float) -> np.ndarray:
    """Return runs of sound without a hole, shape (n, 2), from (pts, dts, duration, hidden)."""
    packets = packets[packets[:, 3] == 0]
    usual = np.median(packets[:, 2]) if len(packets) else 0  # the last before a hole may claim it
    ends = packets[:, 0] + np.minimum(packets[:, 2], usual)
    spans_s = np.maximum(tick_s * np.stack([packets[:, 0], ends], axis=1), 0)
    spans_s = spans_s[spans_s[:, 1] > spans_s[:, 0]]
    apart = np.abs(spans_s[1:, 0] - spans_s[:-1, 1]) > SOUND_SLACK_S
    begins = np.flatnonzero(np.concatenate([np.ones(min(len(spans_s), 1), bool), apart]))
    ends = np.append(begins[1:], len(spans_s))[: len(begins)] - 1
    return np.stack([spans_s[begins, 0], spans_s[ends, 1]], axis=1)


def media_faults(name: str, place: str, info: VideoInfo, n_frames: int, fps: float) -> list[Fault]:
    """Return what is odd about the number and rate of a camera's pictures."""
    faults = []
    if info.n_lost:
        n_promised = info.n_frames + info.n_lost
        found = f"holds {info.n_frames} of the {n_promised} frames that its header promises"
        faults.append(Fault(name, place, found, "a whole file"))
    if info.n_frames != n_frames:
        faults.append(Fault(name, place, f"has {info.n_frames} frames", f"{n_frames}"))
    return faults + rate_faults(name, place, info, fps)


def rate_faults(name: str, place: str, info: VideoInfo, fps: float) -> list[Fault]:
    """Return what is odd about a video's frame rate, by which its sound is cut too."""
    rate = float(info.usual_fps or info.fps)
    if not rate:
        return [Fault(name, place, "says no frame rate", f"about {fps:.3f} frames/s")]
    if abs(rate / fps - 1) > RATE_SLACK:
        return [Fault(name, place, f"runs at {rate:.3f} frames/s", f"about {fps:.3f}")]
    return []


def read_pictures(
    path: Path,
    timeline: MediaTimeline | None,
    *,
    threads: int = 1,
    wanted: Container[int] | None = None,
) -> Iterator[tuple[int, np.ndarray, bool]]:
    """Yield each shown picture: its number on the file's timeline, RGB, whether it is damaged.

    Without a timeline pictures are counted. Numbers ascend; a picture that the decoder gives up is
    passed over, and a file that is cut off yields those before the cut. RGB, uint8 (height, width,
    3), is a view of FFmpeg's own buffer: copy what you keep beyond the next. A picture is damaged
    if the decoder made up a part of it, or of one since the last key picture, which it rests on. 0
    threads let FFmpeg choose. ``wanted`` are the numbers to yield, all if absent; the others are
    decoded, since pictures rest on each other, but not converted.

    Pixels are converted inside a filter graph, whose pool of frames makes that several times as
    fast as converting each frame into new memory.
    """
    number = -1
    with _opened(path) as container:
        stream = _stream(container, "video", path)
        stream.thread_type = "AUTO" if threads != 1 else "SLICE"
        stream.codec_context.thread_count = threads
        graph, shape, is_damaged = None, None, False
        ticks = None if timeline is None else timeline.ticks.tolist()
        for frame in _decoded(container, stream, path):
            is_damaged = frame.is_corrupt or (is_damaged and not frame.key_frame)
            if shape != (frame.width, frame.height, frame.format.name):
                shape = (frame.width, frame.height, frame.format.name)
                graph = _rgb_graph(frame, stream.time_base)
            number += 1
            if ticks is not None and frame.pts is not None:
                number = max(number, bisect_left(ticks, frame.pts))
            if wanted is None or number in wanted:
                graph.push(frame)
                yield number, _pixels(graph.pull()), is_damaged


def read_rgb(path: Path) -> Iterator[np.ndarray]:
    """Yield each shown picture as RGB; see `read_pictures`."""
    yield from (rgb for _, rgb, _ in read_pictures(path, None))


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


def read_sound(
    path: Path, rate_hz: int, *, counted: bool = False
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first audio stream as mono sound, each piece with the place of its first sample.

    Places are counted at ``rate_hz`` from the file's time 0; if ``counted``, the n-th sample is
    taken for the one at n / rate, whatever the file says. Pieces follow each other without a break
    where the sound does; nothing is made up for a hole, nor is sound before it drawn into sound
    after it. They are float32, in [-1, 1] but for a coder's overshoot; NaN where the file holds
    what no sound can be.
    """
    with _opened(path) as container:
        stream = _stream(container, "audio", path)
        resampler, place, due_s = None, 0, 0.0
        for frame in _decoded(container, stream, path):
            at_s = due_s
            if not counted and frame.pts is not None:
                at_s = float(frame.pts * frame.time_base)
            if resampler is None or abs(at_s - due_s) > SOUND_SLACK_S:
                for part in _resampled(resampler, None):
                    yield place, part
                    place += len(part)
                resampler = av.AudioResampler(
                    format="flt", layout="mono", rate=rate_hz, frame_size=PIECE_SAMPLES
                )
                place, due_s = round(at_s * rate_hz), at_s
            due_s += frame.samples / frame.sample_rate
            for part in _resampled(resampler, frame):
                yield place, part
                place += len(part)
        for part in _resampled(resampler, None):
            yield place, part
            place += len(part)


def read_mono(path: Path, rate_hz: int) -> Iterator[np.ndarray]:
    """Yield the first audio stream as mono sound, counted; see `read_sound`."""
    yield from (part for _, part in read_sound(path, rate_hz, counted=True))


def _resampled(
    resampler: av.AudioResampler | None, frame: av.AudioFrame | None
) -> Iterator[np.ndarray]:
    """Yield samples, NaN where there is none or it is louder than any sound is stored."""
    for part in resampler.resample(frame) if resampler else ():
        samples = part.to_ndarray().reshape(-1)
        yield np.where(np.abs(samples) <= LOUDEST, samples, np.float32(np.nan))


class SoundReader:
    """Mono sound that is read forwards only, by place; see `read_sound`.

    Samples that the file doesn't have are NaN, unless they are counted.
    """

    def __init__(self, path: Path, rate_hz: int, *, counted: bool = False):
        self._parts = read_sound(path, rate_hz, counted=counted)
        self._counted = counted
        self._held = np.zeros(0, dtype=np.float32)
        self._position = 0
        self._next: tuple[int, np.ndarray] | None = None

    def until(self, start: int, stop: int) -> np.ndarray:
        """Return samples [start, stop), float32; what came before is forgotten.

        No start may lie before an earlier one's. Counted sound is shorter at its end.
        """
        self._held = self._held[max(start - self._position, 0) :]
        self._position = max(start, self._position)
        parts, end = [self._held], self._position + len(self._held)
        while end < stop:
            self._next = self._next or next(self._parts, None)
            if self._next is None or self._next[0] >= stop:
                break
            place, part = self._next
            self._next = None
            parts += [_nothing(place - end), part[max(end - place, 0) :]]
            end += len(parts[-2]) + len(parts[-1])
        self._held = np.concatenate(parts)
        if self._counted:
            return self._held[: stop - start]
        there = self._held[: max(stop - self._position, 0)]
        before = _nothing(min(self._position, stop) - start)
        return np.concatenate([before, there, _nothing(stop - start - len(before) - len(there))])


def _nothing(n: int) -> np.ndarray:
    return np.full(max(n, 0), np.nan, dtype=np.float32)


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


def _decodable(streams: tuple[av.stream.Stream, ...]) -> av.stream.Stream | None:
    """Return the first stream, None if there is none or FFmpeg doesn't know its codec."""
    return streams[0] if streams and streams[0].codec_context is not None else None


def _stream(
    container: av.container.InputContainer, kind: str, path: Path
) -> av.VideoStream | av.AudioStream:
    found = _decodable(getattr(container.streams, kind))
    if found is None:
        expected = "one video stream" if kind == "video" else "sound in the video file"
        raise _broken(path, f"has no {kind} stream that can be decoded", expected)
    return found


def _demuxed(
    container: av.container.InputContainer, *streams: av.stream.Stream
) -> Iterator[av.Packet]:
    """Yield a file's packets, up to where they can be read."""
    try:
        yield from (packet for packet in container.demux(*streams) if packet.size)
    except (av.FFmpegError, EOFError):
        # a file cut off in the middle: what came before the cut is there
        return


def _decoded(
    container: av.container.InputContainer, stream: av.stream.Stream, path: Path
) -> Iterator[av.VideoFrame | av.AudioFrame]:
    try:
        yield from container.decode(stream)
    except OSError as error:  # no damage of the file: the disk or the network behind it failed
        raise _broken(path, unreadable(error), "a whole video") from error
    except (av.FFmpegError, EOFError):
        # the file is cut off or damaged here; what was decoded stands, `probe` names the fault
        return


def _broken(path: Path, found: str, expected: str) -> EpisodeError:
    way_out = "Fetch the file again, or go on without this camera."
    return EpisodeError(f"{path.parent.name}/{path.name}", found, expected, way_out)
