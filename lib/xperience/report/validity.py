"""Which frames of an episode each stream says something about."""

import numpy as np

from xperience.errors import EpisodeError
from xperience.recording import layout
from xperience.recording.captions import is_labelled
from xperience.recording.coverage import lost_rows
from xperience.recording.recording import Episode

_N_DEPTH_FRAMES = 60


def frame_validity(episode: Episode, stream: str) -> np.ndarray | None:
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


def _seen(episode: Episode, stream: str) -> np.ndarray:
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


def _depth(episode: Episode) -> np.ndarray:
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
