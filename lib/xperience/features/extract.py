"""From an episode to its windows table, under the ``published`` contract."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xperience.episode import layout
from xperience.episode.coverage import stream_coverage
from xperience.episode.episode import Episode
from xperience.errors import EpisodeError
from xperience.features import windows
from xperience.features.blocks import BLOCKS, BLOCKS_BY_NAME, Block, check_contract
from xperience.features.static import point_cloud_features
from xperience.features.streams import (
    FrameRows,
    StreamRows,
    run_jobs,
    source_digests,
    stream_jobs,
)
from xperience.features.table import TableInfo, WindowRows, write_table
from xperience.features.text import text_rows
from xperience.progress import OnProgress

_CHUNK_WINDOWS = 128
_SCANNED = {stream.name for stream in layout.STREAMS} - {"depth"}  # small enough to read twice

BlockSource = Callable[[np.ndarray], np.ndarray]
"""First frames of some windows, shape (n,) -> features, float32 (n, dim); NaN row = missing."""


@dataclass(frozen=True)
class Source:
    """Where a block's windows come from.

    Parameters
    ----------
    compute : callable or None
        None if the block is missing.
    reason : str
        Why it is missing, or what is odd about it; empty if nothing is.
    """

    compute: BlockSource | None
    reason: str = ""


def extract(
    folder: Path | str,
    out: Path | str,
    *,
    contract: str = "published",
    cache: Path | None = None,
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> TableInfo:
    """Turn an episode into a Parquet table with one row a window and one column a block.

    Parameters
    ----------
    folder : path
        The episode; it is only read.
    out : path
        The table; it is replaced only by a whole new one.
    contract : str
        Version of the feature contract.
    cache : Path or None
        Folder of finished streams; ``cache`` beside the table by default.
    workers : int or None
        Processes; one a core by default.
    on_progress : callable (step, done, total) or None

    Returns
    -------
    TableInfo
        What the table says of itself.

    Raises
    ------
    EpisodeError
        If the episode cannot be opened or is shorter than one window.
    ParamsError
        If there is no such contract.
    """
    check_contract(contract)
    out = Path(out)
    cache = Path(cache) if cache else out.parent / "cache"
    with Episode(folder) as episode:
        starts = windows.window_starts(episode.n_frames)
        if not len(starts):
            raise EpisodeError(
                episode.annotation.place,
                f"has {episode.n_frames} frames",
                f"at least one window of {windows.WINDOW_FRAMES}",
                "Use a longer recording.",
            )
        digests = source_digests(episode, on_progress)
        streams = run_jobs(stream_jobs(episode, digests), cache, workers, on_progress)
        sources = {block.name: _source(block, episode, streams) for block in BLOCKS}
        info = TableInfo(
            contract=contract,
            episode=episode.name,
            main_task=episode.labels.main_task,
            n_frames=episode.n_frames,
            fps=episode.fps,
            sources=digests,
            missing_blocks={k: s.reason for k, s in sources.items() if s.compute is None},
            partial_blocks={k: s.reason for k, s in sources.items() if s.compute and s.reason},
        )
        return write_table(out, info, _chunks(episode, starts, sources, on_progress))


def _chunks(
    episode: Episode,
    starts: np.ndarray,
    sources: dict[str, Source],
    on_progress: OnProgress | None,
) -> Iterator[WindowRows]:
    """Yield the rows of some windows at a time."""
    for first in range(0, len(starts), _CHUNK_WINDOWS):
        chunk = starts[first : first + _CHUNK_WINDOWS]
        blocks = {
            name: source.compute and source.compute(chunk) for name, source in sources.items()
        }
        yield WindowRows(
            window=np.arange(first, first + len(chunk)),
            start_frame=chunk,
            action=[_label(episode.labels.action, start) for start in chunk],
            subtask=[_label(episode.labels.subtask, start) for start in chunk],
            blocks=blocks,
        )
        if on_progress:
            on_progress("windows", first + len(chunk), len(starts))


def _label(labels: list[str], start: int) -> tuple[str | None, float]:
    return windows.window_label(labels[start : start + windows.WINDOW_FRAMES])


def _source(block: Block, episode: Episode, streams: dict[str, StreamRows]) -> Source:
    """Return how a block is computed, or why it cannot be."""
    found = {name: _state(episode, name) for name in block.streams}
    lost = [f"{name}: {odd}" for name, (usable, odd) in found.items() if not usable]
    if lost:
        return Source(None, "; ".join(lost))
    odd = "; ".join(odd for _, odd in found.values() if odd)
    if block.name in streams:
        return _from_stream(block, streams[block.name], episode.n_frames, odd)
    if not block.per_frame:
        return _static(block, episode, odd)
    if block.name == "imu_accel_gyro":
        return Source(lambda starts: _imu(episode, starts), odd)
    frames = _FRAMES[block.name]
    return Source(lambda starts: _pooled(lambda a, b: frames(episode, a, b), starts, block), odd)


def _state(episode: Episode, name: str) -> tuple[bool, str]:
    """Return whether a stream says anything, and what is wrong with it, empty spans included."""
    state = episode.streams[name]
    faults, share = list(state.faults), 1.0
    if state.usable and name in _SCANNED:
        coverage = stream_coverage(episode.annotation, name)
        faults, share = faults + coverage.faults, coverage.share
    return state.usable and share > 0, "; ".join(map(str, faults))


def _from_stream(block: Block, rows: StreamRows, n_frames: int, odd: str) -> Source:
    if rows.path is None:
        return Source(None, rows.problem)
    stored = FrameRows(rows.path)
    repeats = block.name.startswith("video_") and stored.n_rows < n_frames
    notes = [odd, *_gaps(stored, n_frames, repeats)]

    def read(start: int, stop: int) -> np.ndarray:
        found = stored[start:stop]
        if repeats and stop > stored.n_rows:
            last = stored[stored.n_rows - 1 : stored.n_rows]
            found = np.concatenate([found, np.repeat(last, stop - start - len(found), axis=0)])
        return found

    return Source(lambda starts: _pooled(read, starts, block), "; ".join(filter(None, notes)))


def _gaps(stored: FrameRows, n_frames: int, repeats: bool) -> Iterator[str]:
    """Yield what a stream's rows lack: those of damaged frames and those beyond its end."""
    if damaged := stored.count_unread():
        yield f"{damaged} of {n_frames} frames cannot be read"
    if repeats:
        yield f"frames end at {stored.n_rows} of {n_frames}; the last one repeats"
    elif stored.n_rows < n_frames:
        yield f"values end at frame {stored.n_rows} of {n_frames}"


def _pooled(read: Callable[[int, int], np.ndarray], starts: np.ndarray, block: Block) -> np.ndarray:
    """Return the statistics of consecutive windows.

    NaN for those beyond the stream's end or with a frame that could not be read: a row of NaN in a
    stream that was computed apart. In the annotation's own arrays NaN is a value, 0 by contract.

    Parameters
    ----------
    read : callable (start, stop) -> array, shape (at most stop - start, n_columns)
    starts : int array, shape (n,)
        First frames, ``STRIDE_FRAMES`` apart.
    block : Block
    """
    first, last = int(starts[0]), int(starts[-1]) + windows.WINDOW_FRAMES
    with np.errstate(invalid="ignore"):  # inf minus inf is NaN, and that counts as 0
        frames = read(first, last)
    result = np.full((len(starts), block.dim), np.nan, dtype=np.float32)
    whole = len(windows.window_starts(len(frames)))
    if whole:
        parts = windows.cut(frames)  # (n_whole, 20, n_columns)
        if block.name == "camera_translation":
            with np.errstate(invalid="ignore"):
                parts = parts - parts[:, :1]
        result[:whole] = windows.stats(parts)
        if block.modality == "visual":
            unread = np.isnan(frames).all(axis=1, keepdims=True)  # (n_frames, 1)
            result[:whole][windows.cut(unread).any(axis=(1, 2))] = np.nan
    return result


def _hand(episode: Episode, path: str, start: int, stop: int) -> np.ndarray:
    joints, body = episode.read(path, start, stop), episode.read(layout.KEYPOINTS, start, stop)
    n = min(len(joints), len(body))
    return (joints[:n] - body[:n, :1]).reshape(n, -1)


def _body(episode: Episode, start: int, stop: int) -> np.ndarray:
    joints = episode.read(layout.KEYPOINTS, start, stop)
    return (joints - joints[:, :1]).reshape(len(joints), -1)


def _text(episode: Episode, start: int, stop: int) -> np.ndarray:
    return text_rows(episode.labels.objects[start:stop], episode.labels.interaction[start:stop])


_FRAMES: dict[str, Callable[[Episode, int, int], np.ndarray]] = {
    "hand_left_joints": lambda e, a, b: _hand(e, layout.HAND_LEFT, a, b),
    "hand_right_joints": lambda e, a, b: _hand(e, layout.HAND_RIGHT, a, b),
    "body_joints": _body,
    "body_contacts": lambda e, a, b: e.read(layout.CONTACTS, a, b),
    "camera_translation": lambda e, a, b: e.camera_to_world(a, b).translation,
    "camera_rotation_matrix": lambda e, a, b: e.camera_to_world(a, b).rotation.reshape(-1, 9),
    "caption_objects_interaction_text": _text,
}


def _imu(episode: Episode, starts: np.ndarray) -> np.ndarray:
    """Return the statistics of the IMU samples between a window's first and last keyframe."""
    first, last = int(starts[0]), int(starts[-1]) + windows.WINDOW_FRAMES
    keys = episode.annotation.keyframes(first, last)
    n_samples = min(map(episode.annotation.n_rows, (layout.IMU_ACCEL, layout.IMU_GYRO)))
    result = np.full((len(starts), BLOCKS_BY_NAME["imu_accel_gyro"].dim), np.nan, np.float32)
    inside = keys[(keys >= 0) & (keys < n_samples)]
    if not inside.size:
        return result
    base = int(inside.min())
    accel = episode.read(layout.IMU_ACCEL, base, int(inside.max()) + 1)
    gyro = episode.read(layout.IMU_GYRO, base, int(inside.max()) + 1)
    samples = np.concatenate([accel, gyro], axis=1)  # (n, 6)
    for row, start in enumerate(starts - first):
        ends = keys[start : start + windows.WINDOW_FRAMES]
        if len(ends) == windows.WINDOW_FRAMES and 0 <= ends[0] <= ends[-1] < n_samples:
            result[row] = windows.stats(samples[ends[0] - base : ends[-1] - base + 1])
    return result


def _static(block: Block, episode: Episode, odd: str) -> Source:
    """Return a block that is the same in every window."""
    if block.name == "calibration":
        values = episode.calibration.vector
        if len(values) != block.dim:
            found = f"calibration holds {len(values)} numbers, expected {block.dim}"
            return Source(None, found)
    else:
        values = point_cloud_features(episode.read(layout.POINT_CLOUD))
    values = windows.clean(values)
    return Source(lambda starts: np.repeat(values[None], len(starts), axis=0), odd)
