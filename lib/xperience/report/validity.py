"""Which frames of an episode each stream says something about."""

import numpy as np

from xperience.errors import EpisodeError
from xperience.recording import layout
from xperience.recording.captions import is_labelled
from xperience.recording.coverage import lost_rows
from xperience.recording.layout import STREAMS
from xperience.recording.recording import Episode

_DEPTH_SAMPLES = 60
_STREAMS = {stream.name: stream for stream in STREAMS}


def frame_validity(episode: Episode, stream: str) -> np.ndarray | None:
    """Return whether a stream has a value at each frame.

    Parameters
    ----------
    episode : Episode
    stream : str
        A name in ``episode.streams``.

    Returns
    -------
    bool array, shape (n_frames,), or None
        None for what does not change over time, such as the map. Depth is looked at in a few
        frames only, and each speaks for its neighbours.

    Notes
    -----
    A row that holds no measurement has no value; see `xperience.recording.coverage`.
    """
    if stream in ("point_cloud", "calibration"):
        return None
    nothing = np.zeros(episode.n_frames, dtype=bool)
    if not episode.streams[stream].usable:
        return nothing
    if stream in layout.CAMERAS:
        return episode.clock(stream).pictures >= 0
    try:
        return _OWN_WAYS[stream](episode) if stream in _OWN_WAYS else _rows(episode, stream)
    except EpisodeError:
        return nothing


def _captions(episode: Episode) -> np.ndarray:
    said = episode.labels_of("corrected")
    return np.array([is_labelled(label) for label in said.action], dtype=bool)


def _audio(episode: Episode) -> np.ndarray:
    return episode.clock(layout.AUDIO_CAMERA).heard > 0


def _rows(episode: Episode, stream: str) -> np.ndarray:
    lost = lost_rows(episode, _STREAMS[stream].datasets[0].path)
    valid = np.zeros(episode.n_frames, dtype=bool)
    valid[: len(lost)] = ~lost
    return valid


def _imu(episode: Episode) -> np.ndarray:
    """Return whether each frame's own inertial sample is there."""
    lost = lost_rows(episode, layout.IMU_ACCEL)
    keys = episode.annotation.keyframes(0, episode.n_frames)
    usable = ~lost_rows(episode, layout.IMU_KEYFRAMES) & (keys >= 0) & (keys < len(lost))
    valid = np.zeros(episode.n_frames, dtype=bool)
    inside = np.flatnonzero(usable)
    valid[inside] = ~lost[keys[inside]]
    return valid


def _depth(episode: Episode) -> np.ndarray:
    n = episode.n_frames
    n_rows = min(n, episode.streams["depth"].n_rows)
    looked_at = np.unique(np.linspace(0, n_rows - 1, _DEPTH_SAMPLES).astype(int))
    good = np.array([_has_depth(episode, int(frame)) for frame in looked_at])
    nearest = np.abs(np.arange(n)[:, None] - looked_at).argmin(axis=1)
    return good[nearest] & (np.arange(n) < n_rows)


def _has_depth(episode: Episode, frame: int) -> bool:
    try:
        depth_m = episode.read(layout.DEPTH, frame, frame + 1)
    except EpisodeError:
        return False
    return bool(np.any(np.isfinite(depth_m) & (depth_m > 0)))


_OWN_WAYS = {"captions": _captions, "audio": _audio, "depth": _depth, "imu": _imu}
