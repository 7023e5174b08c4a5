"""What is in an episode, stream by stream: shape, rate, span, coverage, faults."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from xperience.errors import EpisodeError
from xperience.progress import OnProgress, quiet
from xperience.recording import layout, plausible
from xperience.recording.captions import is_labelled
from xperience.recording.clock import LEAST_HEARD, FrameClock, runs_of
from xperience.recording.coverage import lost_rows, stream_coverage
from xperience.recording.recording import Recording
from xperience.text import visible

_DEPTH_SAMPLES = 32


@dataclass
class StreamReport:
    """One row of the table; ``shape`` is empty if the stream cannot be read."""

    stream: str
    status: str  # "ok", "partial", "broken" or "missing"
    shape: list[int] = field(default_factory=list)  # rows (sound: samples) first
    dtype: str = ""
    unit: str = ""
    rate_hz: float | None = None  # rows a second; None for what has no clock
    span_s: float | None = None  # from the first row to the last
    coverage: float = 0.0  # share of the episode for which the stream says something
    faults: list[str] = field(default_factory=list)
    start_s: float | None = None  # of the first picture, or of the sound, after the first frame's
    gaps: list[list[int]] = field(default_factory=list)  # first and last frame without, of each
    n_hidden: int = 0  # pictures that the edit list hides; ``shape`` counts those shown
    n_surplus: int = 0  # pictures shown that are no frame's
    rotation_deg: int = 0  # by how much pictures are to be turned, counterclockwise


@dataclass
class EpisodeReport:
    """What `inspect_episode` found."""

    episode: str  # name of the folder
    usable: bool  # whether the pipeline can run on it
    n_frames: int = 0
    fps: float | None = None
    main_task: str = ""
    streams: list[StreamReport] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # why it is not usable; empty if it is

    def to_json(self) -> str:
        """Return the report as JSON text."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False, allow_nan=False)

    def to_text(self) -> str:
        """Return the report as a table of fixed width, the faults below it."""
        if not self.usable:
            return "\n".join([f"{visible(self.episode)}: not usable", *map(visible, self.faults)])
        head = f"{visible(self.episode)}: {self.n_frames} frames at {self.fps:.4f} frames/s"
        titles = ("stream", "status", "shape", "rate/Hz", "start/s", "span/s", "covered")
        rows = [titles, *map(_cells, self.streams)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        faults = [
            f"- {visible(fault, one_line=False)}"
            for stream in self.streams
            for fault in stream.faults
        ]
        task = [f"main task: {visible(self.main_task)}"] if self.main_task else []
        return "\n".join([head, *task, "", *lines, *(["", "faults:", *faults] if faults else [])])


def _cells(row: StreamReport) -> tuple[str, ...]:
    def number(value: float | None, digits: int) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    shape = "x".join(map(str, row.shape))
    covered = f"{100 * row.coverage:.1f} %" if row.status not in ("missing", "broken") else ""
    numbers = (number(row.rate_hz, 3), number(row.start_s, 3), number(row.span_s, 2))
    return row.stream, row.status, shape, *numbers, covered


def inspect_episode(folder: Path | str, on_progress: OnProgress | None = None) -> EpisodeReport:
    """Return what an episode folder holds; never raises for what it finds there.

    Not usable if there is no annotation to work from. Progress tells the step "streams".
    """
    tell, streams = on_progress or quiet, []
    try:
        # what is implausible is named; computing with it is no news
        with Recording(folder) as episode, np.errstate(over="ignore", invalid="ignore"):
            tell("streams", 0, len(episode.streams))
            for name in episode.streams:
                streams.append(_report(episode, name))
                tell("streams", len(streams), len(episode.streams))
            return EpisodeReport(
                episode.name,
                True,
                episode.n_frames,
                round(episode.fps, 6),
                episode.labels_of("corrected").main_task,
                streams,
            )
    except EpisodeError as error:
        return EpisodeReport(Path(folder).resolve().name, False, faults=[str(error)])


def _report(episode: Recording, name: str) -> StreamReport:
    state = episode.streams[name]
    row = StreamReport(name, state.status, faults=[str(fault) for fault in state.faults])
    if state.usable:
        if name in layout.CAMERAS:
            _video(episode, row)
        elif name == "audio":
            _audio(episode, row)
        elif name == "captions":
            labelled = [is_labelled(action) for action in episode.labels_of("corrected").action]
            row.shape, row.unit, row.dtype = [episode.n_frames], "label", "str"
            row.rate_hz, row.span_s = episode.fps, episode.n_frames / episode.fps
            row.coverage = float(np.mean(labelled))
        elif name == "calibration":
            values = episode.calibration.vector
            row.shape, row.dtype, row.unit = [len(values)], "float64", "mixed"
            row.coverage = float(np.isfinite(values).mean())
        else:
            _arrays(episode, row)
    return row


def _arrays(episode: Recording, row: StreamReport) -> None:
    stream = next(stream for stream in layout.STREAMS if stream.name == row.stream)
    main = stream.datasets[1] if row.stream == "imu" else stream.datasets[0]
    node = episode.annotation.dataset(main.path)
    row.shape, row.dtype, row.unit = list(node.shape), str(node.dtype), main.unit
    if main.rows == "frame":
        row.rate_hz = episode.fps
        row.span_s = episode.annotation.n_rows(main.path) / episode.fps
    if row.stream == "depth":
        _depth(episode, row)
        return
    found = stream_coverage(episode, row.stream)
    row.coverage = found.share
    if found.faults:
        row.status = "partial" if found.share else "broken"
        row.faults += map(str, found.faults)
    if row.stream == "imu" and found.share:
        lost = lost_rows(episode, layout.IMU_STAMPS)
        stamps_ns = episode.read(layout.IMU_STAMPS)[: len(lost)][~lost].astype(np.float64)
        if len(stamps_ns) > 1 and stamps_ns[-1] > stamps_ns[0]:
            row.span_s = (stamps_ns[-1] - stamps_ns[0]) / 1e9
            row.rate_hz = (len(stamps_ns) - 1) / row.span_s


def _depth(episode: Recording, row: StreamReport) -> None:
    """Look at a few frames only: depth is the bulk of a recording."""
    n_rows = min(episode.n_frames, episode.streams["depth"].n_rows)
    sampled = np.unique(np.linspace(0, n_rows - 1, _DEPTH_SAMPLES).astype(int))
    annotation, seen, damaged = episode.annotation, [], []
    limits = plausible.DepthLimits.of(annotation)
    for frame in sampled:
        try:
            seen.append(plausible.look_at_depth(*annotation.depth(frame, frame + 1), limits))
        except EpisodeError as error:
            damaged.append(str(error))
    looks = np.concatenate([np.zeros((0, plausible.LOOK_COLUMNS)), *seen])
    held = plausible.held_maps(looks)
    row.coverage = n_rows / episode.n_frames * float(held.sum()) / len(sampled)
    if damaged:
        row.faults.append(f"{len(damaged)} of {len(sampled)} frames looked at: {damaged[0]}")
    row.faults += map(str, plausible.depth_faults(annotation, limits, looks))
    if row.faults:
        row.status = "partial" if row.coverage else "broken"


def _video(episode: Recording, row: StreamReport) -> None:
    info, clock = episode.videos[row.stream], episode.clock(row.stream)
    shown_s = clock.timeline.picture_s
    rate = float(info.usual_fps or info.fps) or None
    row.shape, row.dtype, row.unit = [len(shown_s), info.height, info.width, 3], "uint8", "RGB"
    row.rate_hz, row.span_s = rate, info.n_frames / rate if rate else None
    row.n_hidden, row.n_surplus = clock.timeline.n_hidden, clock.n_surplus
    row.rotation_deg = clock.timeline.rotation_deg
    _timed(episode, row, clock, shown_s, clock.pictures >= 0)


def _audio(episode: Recording, row: StreamReport) -> None:
    info, clock = episode.videos[layout.AUDIO_CAMERA], episode.clock(layout.AUDIO_CAMERA)
    runs_s = clock.timeline.sound_s
    length_s = float((runs_s[:, 1] - runs_s[:, 0]).sum())
    row.shape = [round(length_s * info.audio_rate_hz), info.audio_channels]
    row.dtype, row.unit = "float32", "amplitude"
    row.rate_hz, row.span_s = float(info.audio_rate_hz), length_s
    _timed(episode, row, clock, runs_s[:, 0], clock.heard)


def _timed(
    episode: Recording,
    row: StreamReport,
    clock: FrameClock,
    begins_s: np.ndarray,
    there: np.ndarray,
) -> None:
    """Say when a stream of a file begins, and which frames it covers, a share each."""
    if len(begins_s):
        row.start_s = round(float(begins_s[0] - clock.begin_s[0]), 6) + 0.0
    row.coverage = float(np.mean(there))
    row.gaps = [list(ends) for ends in runs_of(there < LEAST_HEARD)]
    faults = episode.timing_faults(row.stream, counted=True)
    row.faults += map(str, faults)
    if row.gaps or row.n_surplus:
        row.status = "partial"
