"""When frames and samples of a recording happen, and which streams it has."""

import numpy as np

from xperience.episode import layout
from xperience.episode.episode import Episode


def frame_times_s(episode: Episode) -> np.ndarray:
    """Return when each frame was taken, seconds after the first, float64 (n_frames,).

    By the device clock where the recording has one that runs forwards, else by its frame rate.
    """
    stamps_ns = episode.stamps_ns
    if stamps_ns is not None and (np.diff(stamps_ns) > 0).all():
        return (stamps_ns - stamps_ns[0]) / 1e9
    return np.arange(episode.n_frames) / episode.fps


def imu_times_s(episode: Episode) -> np.ndarray:
    """Return when each IMU sample was taken, seconds after the first frame, float64 (n_samples,).

    Samples are tied to frames by ``imu/keyframe_indices``: the sample of a frame happens with it,
    and the device clock of the IMU tells the time between, whatever its zero is.
    """
    stamps_s = episode.read(layout.IMU_STAMPS).astype(np.int64) / 1e9
    keys = episode.annotation.keyframes()
    times_s = frame_times_s(episode)[: len(keys)]
    known = (keys[: len(times_s)] >= 0) & (keys[: len(times_s)] < len(stamps_s))
    if not known.any():
        return stamps_s - stamps_s[0]
    offsets_s = times_s[known] - stamps_s[keys[: len(times_s)][known]]
    return stamps_s + float(np.median(offsets_s))


def absent_streams(episode: Episode) -> dict[str, str]:
    """Return why each stream that can't be used can't be, by its name."""
    return {
        name: "; ".join(map(str, state.faults)) or state.status
        for name, state in episode.streams.items()
        if not state.usable
    }
