"""Section 1 in words and tables: what a recording holds, frames that are true, clocks, windows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from xperience.errors import EpisodeError
from xperience.evaluation.records import Record
from xperience.features.blocks import BLOCKS, Block
from xperience.features.table import WindowTable
from xperience.features.windows import STRIDE_FRAMES, WINDOW_FRAMES
from xperience.recording import layout
from xperience.recording.captions import is_labelled
from xperience.recording.coverage import lost_rows
from xperience.recording.geometry import WORLD, Points, Transform
from xperience.recording.inspect import EpisodeReport, StreamReport
from xperience.recording.recording import Recording
from xperience.report.moment import check_usable, frame_at, sound_level
from xperience.sync.audit import ClockPair, Range, SyncAudit, SyncVerdict
from xperience.tasks.splits import TRAIN_SHARE

_TO_MIDDLE = (WINDOW_FRAMES - 1) // 2


@dataclass(frozen=True)
class Timeline:
    """Labels over the windows of an episode, numbered in order of first appearance."""

    n_frames: int
    fps: float
    middle_s: np.ndarray  # time of each window's centre frame, (n_windows,)
    action: np.ndarray  # number of its label, -1 for none, (n_windows,)
    subtask: np.ndarray
    actions: list[str]  # the labels by number
    subtasks: list[str]
    n_train: int  # labelled windows before the chronological cut
    cut_s: float | None  # between the last training and the first test window, if there are both

    @classmethod
    def of(cls, table: WindowTable) -> "Timeline":
        """Return the timeline of a windows table."""
        labels, info = table.labels, table.info
        action, actions = pd.factorize(labels["action"])
        subtask, subtasks = pd.factorize(labels["subtask"])
        middle_s = labels["center_frame"].to_numpy() / info.fps
        labelled_s = middle_s[action >= 0]
        n_train = round(TRAIN_SHARE * len(labelled_s))
        both = 0 < n_train < len(labelled_s)
        return cls(
            info.n_frames,
            info.fps,
            middle_s,
            action,
            subtask,
            list(actions),
            list(subtasks),
            n_train,
            float(labelled_s[n_train - 1 : n_train + 1].mean()) if both else None,
        )

    @property
    def stride_s(self) -> float:
        """Time from one window to the next."""
        return STRIDE_FRAMES / self.fps

    @property
    def labelled_share(self) -> float:
        """Share of windows whose action is labelled."""
        return float(np.mean(self.action >= 0))

    @property
    def late_actions(self) -> list[str]:
        """Actions that no training window shows."""
        labelled = self.action[self.action >= 0]
        seen = set(labelled[: self.n_train].tolist())
        return [label for number, label in enumerate(self.actions) if number not in seen]

    @property
    def step_of_action(self) -> list[int]:
        """Step that each action first appears in, by number; -1 where that is unlabelled."""
        first = [int(np.argmax(self.action == number)) for number in range(len(self.actions))]
        return [int(self.subtask[window]) for window in first]

    def spans(self, numbers: np.ndarray, number: int) -> list[tuple[float, float]]:
        """Return (start, length) in seconds of each contiguous segment of windows with a label."""
        edges = np.flatnonzero(np.diff(np.r_[0, (numbers == number).astype(np.int8), 0]))
        half_s = self.stride_s / 2
        return [
            (self.middle_s[a] - half_s, self.middle_s[b - 1] - self.middle_s[a] + 2 * half_s)
            for a, b in edges.reshape(-1, 2)
        ]

    def steps(self) -> pd.DataFrame:
        """Return one row per step: its number from 1, name, start, windows, actions within it."""
        rows = []
        for number, name in enumerate(self.subtasks):
            inside = self.subtask == number
            found = np.unique(self.action[inside & (self.action >= 0)])
            start_s = round(float(self.middle_s[inside][0]) - _TO_MIDDLE / self.fps, 1)
            names = "; ".join(self.actions[index] for index in found)
            rows.append((number + 1, name, start_s, int(inside.sum()), names))
        columns = ["step", "subtask", "start (s)", "windows", "actions"]
        return pd.DataFrame(rows, columns=columns).set_index("step")


def _row(
    own: Mapping[str, str], metric: str, unit: str, value: float | None, **more: Any
) -> Record:
    """Return a row; with a reason and no value it is a skipped one."""
    status = "ok" if value is not None else "skipped"
    return Record(**own, metric=metric, unit=unit, value=value, status=status, **more)


def contract_rows(
    run: str, section: str, table: WindowTable, report: EpisodeReport
) -> list[Record]:
    """Return what there is to count in an episode and its windows.

    Rows are counts of the episode, the share of windows with a label, ``coverage`` with the stream
    as ``variant``, ``dim`` and ``windows_with_values`` with the block as ``variant``. A stream or
    block that is not there is a skipped row with its reason. The report is that of
    `inspect_episode` on the same episode.
    """
    own = {"run": run, "section": section, "contract": table.info.contract}
    rows = _episode_rows(own, table)
    rows += [_stream_row(own, stream) for stream in report.streams]
    for block in BLOCKS:
        rows += _block_rows(own, block, table)
    return rows


def _episode_rows(own: Mapping[str, str], table: WindowTable) -> list[Record]:
    line, info = Timeline.of(table), table.info
    captions = info.missing_blocks.get("caption_objects_interaction_text")
    rows = [
        _row(own, "n_frames", "frames", info.n_frames),
        _row(own, "fps", "Hz", info.fps),
        _row(own, "duration", "s", info.n_frames / info.fps),
        _row(own, "n_windows", "windows", len(table)),
        _row(own, "feature_dim", "features", sum(block.dim for block in BLOCKS)),
        _row(own, "n_blocks", "blocks", len(BLOCKS)),
        _row(own, "n_blocks_missing", "blocks", len(info.missing_blocks)),
    ]
    if captions is not None:
        names = (("labelled_share", "1"), ("n_actions", "labels"), ("n_subtasks", "labels"))
        return rows + [_row(own, name, unit, None, reason=captions) for name, unit in names]
    steps = float(np.mean(line.subtask >= 0))
    return [
        *rows,
        _row(own, "labelled_share", "1", line.labelled_share, variant="action"),
        _row(own, "labelled_share", "1", steps, variant="subtask"),
        _row(own, "n_actions", "labels", len(line.actions)),
        _row(own, "n_subtasks", "labels", len(line.subtasks)),
        _row(own, "n_actions_only_after_cut", "labels", len(line.late_actions)),
    ]


def _stream_row(own: Mapping[str, str], stream: StreamReport) -> Record:
    why = {"variant": stream.stream, "reason": "; ".join(stream.faults) or None}
    if stream.status in ("missing", "broken"):
        return _row(own, "coverage", "1", None, **why | {"reason": why["reason"] or stream.status})
    return _row(own, "coverage", "1", stream.coverage, higher_is_better=True, **why)


def _block_rows(own: Mapping[str, str], block: Block, table: WindowTable) -> list[Record]:
    """Return a block's size, and the share of windows that have it."""
    missing = table.info.missing_blocks.get(block.name)
    why = {"variant": block.name, "reason": missing or table.info.partial_blocks.get(block.name)}
    if missing is not None:
        names = (("dim", "features"), ("windows_with_values", "1"))
        return [_row(own, name, unit, None, **why) for name, unit in names]
    share = float(np.mean(np.isfinite(table.block(block.name)).all(axis=1)))
    return [
        _row(own, "dim", "features", block.dim, **why),
        _row(own, "windows_with_values", "1", share, higher_is_better=True, **why),
    ]


def stream_table(report: EpisodeReport) -> pd.DataFrame:
    """Return one row per stream for readers: its state, shape, rate, span and coverage."""
    rows = [
        {
            "stream": stream.stream,
            "status": stream.status,
            "shape": " × ".join(f"{size:,}" for size in stream.shape),
            "unit": stream.unit,
            "rate (Hz)": "" if stream.rate_hz is None else f"{stream.rate_hz:,.6g}",
            "span (s)": "" if stream.span_s is None else f"{stream.span_s:,.2f}",
            "coverage": f"{100 * stream.coverage:.1f} %" if stream.shape else "",
        }
        for stream in report.streams
    ]
    return pd.DataFrame(rows).set_index("stream")


def fault_table(report: EpisodeReport) -> pd.DataFrame:
    """Return one row per fault: the stream and what is odd about it."""
    rows = [(stream.stream, fault) for stream in report.streams for fault in stream.faults]
    return pd.DataFrame(rows, columns=["stream", "fault"]).set_index("stream")


SIGNALS = {"hand speed": "m/s", "turn rate": "rad/s", "sound level": "full scale"}


@dataclass(frozen=True)
class Sample:
    """One window."""

    window: int
    start_frame: int
    action: str | None
    subtask: str | None
    image: np.ndarray | None  # the centre frame, uint8 (height, width, 3)
    signals: dict[str, np.ndarray]  # evenly spread over the window, by names in `SIGNALS`
    problems: dict[str, str]  # why the "image" or a signal isn't there


def read_samples(episode: Recording, table: WindowTable, n: int, camera: str) -> list[Sample]:
    """Return at most n windows evenly spread over the labelled ones, with pictures of a camera.

    Without any label they are spread over all windows.
    """
    labels = table.labels[table.labels["action"].notna()]
    labels = labels if len(labels) else table.labels
    n = min(n, len(labels))
    chosen = np.unique(np.linspace(0, len(labels) - 1, n + 2)[1:-1].round().astype(int))
    return [_sample(episode, row, camera) for row in labels.iloc[chosen].itertuples()]


def _sample(episode: Recording, row: Any, camera: str) -> Sample:
    problems: dict[str, str] = {}
    first, last = int(row.start_frame), int(row.end_frame) + 1
    image = None
    try:
        check_usable(episode, camera)
        image = frame_at(episode, camera, int(row.center_frame))
    except EpisodeError as error:
        problems["image"] = f"{camera} {error.found}"
    signals = {}
    for name, read in zip(SIGNALS, (_hand_speed, _turn_rate, _sound), strict=True):
        try:
            signals[name] = read(episode, first, last)
        except EpisodeError as error:
            signals[name] = np.zeros(0)
            problems[name] = error.found
    labels = (None if not isinstance(x, str) else x for x in (row.action, row.subtask))
    return Sample(int(row.window), first, *labels, image, signals, problems)


def _hand_speed(episode: Recording, first: int, last: int) -> np.ndarray:
    """Return the speed of the faster hand in m/s between frames, world coordinates."""
    check_usable(episode, "pose")
    hands = {"hand_left": layout.HAND_LEFT, "hand_right": layout.HAND_RIGHT}
    usable = [path for stream, path in hands.items() if episode.streams[stream].usable]
    if not usable:
        check_usable(episode, "hand_left")
    speeds = [_one_hand(episode, path, first, last) for path in usable]
    speed = np.fmax.reduce([np.resize(part, last - first - 1) for part in speeds])
    return _some(speed, "hands")


def _one_hand(episode: Recording, path: str, first: int, last: int) -> np.ndarray:
    joints = episode.read(path, first, last).astype(np.float64)
    joints[~np.any(joints != 0, axis=(1, 2))] = np.nan
    to_world = episode.camera_to_world(first, last)
    n = min(len(joints), len(to_world.translation))
    moved = Transform(
        to_world.rotation[:n], to_world.translation[:n], episode.reference_camera, WORLD
    )
    world = moved(Points(joints[:n].mean(axis=1), episode.reference_camera))
    speed = np.full(last - first - 1, np.nan)
    steps = np.linalg.norm(np.diff(world.xyz, axis=0), axis=-1) * episode.fps
    speed[: len(steps)] = steps
    return speed


def _turn_rate(episode: Recording, first: int, last: int) -> np.ndarray:
    """Return how fast the head turns, from the gyroscope's samples in the window, rad/s."""
    check_usable(episode, "imu")
    keys = episode.read(layout.IMU_KEYFRAMES, first, last).astype(np.int64)
    if len(keys) < WINDOW_FRAMES or not 0 <= keys[0] <= keys[-1]:
        raise EpisodeError("imu", "has no samples for this window", "keyframe indices", "")
    gyro = episode.read(layout.IMU_GYRO, int(keys[0]), int(keys[-1]) + 1).astype(np.float64)
    return _some(np.linalg.norm(gyro, axis=1), "imu")


def _sound(episode: Recording, first: int, last: int) -> np.ndarray:
    check_usable(episode, "audio")
    return _some(sound_level(episode, first, last), "audio")


def _some(values: np.ndarray, what: str) -> np.ndarray:
    if not np.isfinite(values).any():
        raise EpisodeError(what, "has no value in this window", "numbers", "")
    return values


_MOMENTS = {"start_ms": "clock_offset_start", "end_ms": "clock_offset_end"}


def sync_rows(own: Mapping[str, str], audit: SyncAudit) -> list[Record]:
    """Return an audit's rows with their own run, section and contract, a pair as ``variant``.

    Returns
    -------
    list of Record
        ``clocks_in_step`` (1 or 0), ``clock_offset`` in ms at the middle of the recording and at
        its ends, and ``clock_drift`` in ppm, with intervals. Where the audit cannot tell, the row
        is skipped and says why; no offset is made up.
    """
    return [row for pair in audit.pairs for row in _pair_rows(own, pair)]


def _pair_rows(own: Mapping[str, str], pair: ClockPair) -> list[Record]:
    told = pair.verdict is not SyncVerdict.CANNOT_TELL
    more = {"variant": pair.name, "reason": pair.headline}
    value = float(pair.verdict is SyncVerdict.SYNCHRONISED) if told else None
    rows = [_row(own, "clocks_in_step", "1", value, higher_is_better=True, **more)]
    found = pair.misalignment
    names = ("clock_offset", *_MOMENTS.values())
    if found is None:
        rows += [_row(own, name, "ms", None, **more) for name in names]
        return [*rows, _row(own, "clock_drift", "ppm", None, **more)]
    ranges = (found.offset_ms, *(getattr(found, moment) for moment in _MOMENTS))
    rows += [_range_row(own, name, at, more) for name, at in zip(names, ranges, strict=True)]
    if found.drift_ppm is None:
        short = more | {"reason": "the recording is too short to tell a drift"}
        return [*rows, _row(own, "clock_drift", "ppm", None, **short)]
    return [*rows, _range_row(own, "clock_drift", found.drift_ppm, more, unit="ppm")]


def _range_row(
    own: Mapping[str, str], name: str, found: Range, more: dict[str, str], unit: str = "ms"
) -> Record:
    ends = {"ci_low": found.low, "ci_high": found.high}
    return _row(own, name, unit, found.value, **ends, **more)


def sync_table(audit: SyncAudit) -> pd.DataFrame:
    """Return one row per pair of clocks for readers: verdict, offset and drift with intervals.

    "Blind below" is the smallest steady offset that would have been called off.
    """
    return pd.DataFrame([_cells(pair) for pair in audit.pairs]).set_index("clocks")


def _cells(pair: ClockPair) -> dict[str, str]:
    found = pair.misalignment
    return {
        "clocks": f"{pair.late} – {pair.reference}",
        "verdict": pair.headline,
        "offset (ms)": str(found.offset_ms) if found else "",
        "blind below (ms)": f"{pair.smallest_ms:.0f}" if found else "",
        "drift (ppm)": str(found.drift_ppm) if found and found.drift_ppm else "",
        "rests on": pair.evidence,
    }


_N_DEPTH_FRAMES = 60


def frame_validity(episode: Recording, stream: str) -> np.ndarray | None:
    """Return whether a stream has a value at each frame, bool array (n_frames,).

    It is None for what does not change over time, such as the map. A row that holds no measurement
    has no value; see `xperience.recording.coverage`. Depth is looked at in a few frames only, and
    each speaks for its neighbours.
    """
    if stream in ("point_cloud", "calibration"):
        return None
    valid = np.zeros(episode.n_frames, dtype=bool)
    if episode.streams[stream].usable:
        try:
            found = _seen(episode, stream)
        except EpisodeError:
            return valid
        valid[: len(found)] = found
    return valid


def _seen(episode: Recording, stream: str) -> np.ndarray:
    if stream in layout.CAMERAS:
        return episode.clock(stream).pictures >= 0
    match stream:
        case "captions":
            labels = episode.labels_of("corrected").action
            found = np.array([is_labelled(label) for label in labels], dtype=bool)
        case "audio":
            found = episode.clock(layout.AUDIO_CAMERA).heard > 0
        case "depth":
            found = _depth(episode)
        case "imu":  # each frame's own inertial sample
            lost = lost_rows(episode, layout.IMU_ACCEL)
            keys = episode.annotation.keyframes(0, episode.n_frames)
            found = ~lost_rows(episode, layout.IMU_KEYFRAMES) & (keys >= 0) & (keys < len(lost))
            found[found] = ~lost[keys[found]]
        case _:
            (first,) = (one.datasets[0].path for one in layout.STREAMS if one.name == stream)
            found = ~lost_rows(episode, first)
    return found


def _depth(episode: Recording) -> np.ndarray:
    n = episode.n_frames
    n_rows = min(n, episode.streams["depth"].n_rows)
    looked_at = np.unique(np.linspace(0, n_rows - 1, _N_DEPTH_FRAMES).astype(int))
    good = np.zeros(len(looked_at), dtype=bool)
    for place, frame in enumerate(looked_at.tolist()):
        try:
            depth_m = episode.read(layout.DEPTH, frame, frame + 1)
        except EpisodeError:
            continue
        good[place] = np.any(np.isfinite(depth_m) & (depth_m > 0))
    nearest = np.abs(np.arange(n)[:, None] - looked_at).argmin(axis=1)
    return good[nearest] & (np.arange(n) < n_rows)
