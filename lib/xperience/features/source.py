"""What every contract asks of a block first: are its streams there, and what is odd about them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xperience.features import windows
from xperience.features.blocks import BLOCKS_BY_NAME, N_VIDEO, Block, streams_needed
from xperience.features.depth import looks
from xperience.features.static import point_cloud_features
from xperience.features.streams import FrameRows, StreamRows
from xperience.recording import layout
from xperience.recording.coverage import stream_state
from xperience.recording.plausible import DepthLimits, depth_faults
from xperience.recording.recording import Episode

WindowSource = Callable[[np.ndarray], np.ndarray]
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

    compute: WindowSource | None
    reason: str = ""


def check_streams(block: Block, episode: Episode, contract: str) -> tuple[str, str]:
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


def static_values(block: Block, episode: Episode) -> np.ndarray | str:
    """Return the values of a block that is the same in every window, or why there are none."""
    if block.name != "calibration":
        return point_cloud_features(episode.read(layout.POINT_CLOUD))
    values = episode.calibration.vector
    if len(values) != block.dim:
        return f"calibration holds {len(values)} numbers, expected {block.dim}"
    return values


def repeated(values: np.ndarray, reason: str) -> Source:
    """Return a source of the same values, shape (dim,), in every window."""
    return Source(lambda starts: np.repeat(values[None], len(starts), axis=0), reason)


def damage_note(stored: FrameRows) -> str:
    """Return how many pictures of a video's rows the decoder made up; empty if it made up none."""
    n = int(np.nansum(stored[:, N_VIDEO]))
    return f"{n} of {stored.n_rows} pictures are damaged" if n else ""


def depth_note(episode: Episode, rows: StreamRows) -> str:
    """Return what is wrong with depth over all frames, from the rows kept of it."""
    looked = looks(FrameRows(rows.path)[:])
    looked = looked[~np.isnan(looked).any(axis=1)]
    limits = DepthLimits.of(episode.annotation)
    return "; ".join(map(str, depth_faults(episode.annotation, limits, looked)))


def inertial_windows(
    episode: Episode,
    starts: np.ndarray,
    keys: np.ndarray,
    read: Callable[[str, int, int], np.ndarray],
    stats: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return the statistics of the IMU samples between windows' first and last keyframes.

    Parameters
    ----------
    episode : Episode
    starts : int array, shape (n_windows,)
        First frames.
    keys : int array
        Sample of each frame from the first window's first on; -1 where there is none.
    read : callable (path, first, stop) -> array, shape (stop - first, 3)
    stats : callable
        Samples, (1, n, 6), to their statistics, (1, 42).

    Returns
    -------
    float32 array, shape (n_windows, 42)
        NaN for windows whose first or last frame has no sample.
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
