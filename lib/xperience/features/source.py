"""What every contract asks of a block first: are its streams there, and what is odd about them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xperience.features import windows
from xperience.features.blocks import BLOCKS_BY_NAME, N_VIDEO, Block, streams_needed
from xperience.features.depth import looks
from xperience.features.streams import FrameRows, StreamRows
from xperience.recording import layout
from xperience.recording.coverage import lost_rows, stream_state
from xperience.recording.plausible import DepthLimits, depth_faults
from xperience.recording.recording import Recording

_KEPT_PERCENT = 95

WindowSource = Callable[[np.ndarray], np.ndarray]
"""First frames of some windows, shape (n,) -> features, float32 (n, dim); NaN row = missing."""


@dataclass(frozen=True)
class BlockSource:
    """Where a block's windows come from."""

    compute: WindowSource | None  # None if the block is missing
    reason: str = ""  # why it is missing, or what is odd about it; empty if nothing is


def check_streams(block: Block, episode: Recording, contract: str) -> tuple[str, str]:
    """Return why a block is missing, and what is odd about it if it is not; empty if nothing is."""
    needed = streams_needed(block, contract)
    found = {name: stream_state(episode, name, contract) for name in needed}
    lost = [f"{name}: {odd}" for name, (usable, odd) in found.items() if not usable]
    notes = [odd for _, odd in found.values() if odd]
    for name in found:
        notes += map(str, episode.timing_faults(name, counted=contract == "published"))
    if "pose" in found and "T_c0_b" not in episode.calibration.numbers.get("cam01", {}):
        notes.append("calibration has no cam01/T_c0_b: poses are taken to be the camera's")
    return "; ".join(lost), "; ".join(notes)


def static_source(block: Block, episode: Recording, contract: str, odd: str) -> BlockSource:
    """Return where the values of a block come from that is the same in every window."""
    if block.name == "slam_point_cloud":
        points_m = episode.read(layout.POINT_CLOUD)
        if contract == "corrected":
            points_m = points_m[~lost_rows(episode, layout.POINT_CLOUD)]
        values = point_cloud_features(points_m)
    else:
        values = episode.calibration.vector
        if len(values) != block.dim:
            found = f"calibration holds {len(values)} numbers, expected {block.dim}"
            return BlockSource(None, found)
    if contract == "published":
        values = windows.clean(values)
    elif not np.isfinite(values).all():
        return BlockSource(None, odd)
    row = values.astype(np.float32)[None]
    return BlockSource(lambda starts: np.repeat(row, len(starts), axis=0), odd)


@np.errstate(over="ignore", invalid="ignore")  # values that float32 cannot square
def point_cloud_features(points_m: np.ndarray) -> np.ndarray:
    """Return 22 values, float32, of a point cloud, shape (n_points, 3).

    Of the points within the 95th percentile of distance to the median point: mean, std, min, max,
    p10, p50, p90, each of x, y, z; then log1p of their number. Rows that are not finite are left
    out; zeros without a point.
    """
    points_m = np.asarray(points_m, dtype=np.float32)
    points_m = points_m[np.isfinite(points_m).all(1)]
    if not len(points_m):
        return np.zeros(22, dtype=np.float32)
    distance_m = np.linalg.norm(points_m - np.median(points_m, axis=0), axis=1)
    kept = points_m[distance_m <= np.percentile(distance_m, _KEPT_PERCENT)]
    spread = (kept.mean(0), kept.std(0), kept.min(0), kept.max(0))
    levels = np.percentile(kept, (10, 50, 90), axis=0).reshape(-1)
    return np.concatenate([*spread, levels, [np.log1p(len(kept))]]).astype(np.float32)


def span(starts: np.ndarray) -> tuple[int, int]:
    """Return the frames [first, last) that windows cover, from their first frames."""
    return int(starts[0]), int(starts[-1]) + windows.WINDOW_FRAMES


def joined(*notes: str) -> str:
    """Return notes as one, those that are empty left out."""
    return "; ".join(filter(None, notes))


def damage_note(stored: FrameRows) -> str:
    """Return how many pictures of a video's rows the decoder made up; empty if it made up none."""
    n = int(np.nansum(stored[:, N_VIDEO]))
    return f"{n} of {stored.n_rows} pictures are damaged" if n else ""


def depth_note(episode: Recording, rows: StreamRows) -> str:
    """Return what is wrong with depth over all frames, from the rows kept of it."""
    looked = looks(FrameRows(rows.path)[:])
    looked = looked[~np.isnan(looked).any(axis=1)]
    limits = DepthLimits.of(episode.annotation)
    return "; ".join(map(str, depth_faults(episode.annotation, limits, looked)))


def inertial_windows(
    episode: Recording,
    starts: np.ndarray,
    keys: np.ndarray,
    read: Callable[[str, int, int], np.ndarray],
    stats: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return the statistics of the IMU samples between windows' first and last keyframes, (n, 42).

    ``keys`` are the samples of frames from the first window's first on, -1 where there is none;
    windows whose first or last frame has none are NaN. ``read`` gives samples [first, stop) of a
    path, and ``stats`` turns (1, n, 6) of both sensors into (1, 42).
    """
    paths = (layout.IMU_ACCEL, layout.IMU_GYRO)
    n_samples = min(map(episode.annotation.n_rows, paths))
    result = np.full((len(starts), BLOCKS_BY_NAME["imu_accel_gyro"].dim), np.nan, np.float32)
    inside = keys[(keys >= 0) & (keys < n_samples)]
    if not inside.size:
        return result
    base, end = int(inside.min()), int(inside.max()) + 1
    samples = np.concatenate([read(path, base, end) for path in paths], axis=1)  # (n, 6)
    for row, start in enumerate(starts - starts[0]):
        ends = keys[start : start + windows.WINDOW_FRAMES]
        if len(ends) == windows.WINDOW_FRAMES and 0 <= ends[0] <= ends[-1] < n_samples:
            between = samples[ends[0] - base : ends[-1] - base + 1]
            result[row] = stats(between[None])[0]
    return result
