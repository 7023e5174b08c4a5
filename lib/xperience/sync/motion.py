"""How fast the head turns, told three ways: by SLAM poses, by the gyroscope, by the picture."""

from collections.abc import Iterable
from itertools import islice

import cv2
import numpy as np

from xperience.recording import layout
from xperience.recording.recording import Episode
from xperience.sync.lags import forwards, on_grid

_SMALL_PX, _TILE_PX = (96, 64), 32
N_TILES = _SMALL_PX[0] * _SMALL_PX[1] // _TILE_PX**2
_LONGEST_GAP = 3.5
"""Frames, or inertial samples, over which a straight line may stand in for what is missing."""
_MOST_FRAMES, _FOLDS, _RIDGE = 30, 24, 1e-9
_OUTLIER, _CUT, _MEDIAN_OF_NORMAL = 4.0, 6.0, 0.6745
_LEAST_TEXTURE = 1.0
"""Grey levels of standard deviation below which a tile shows nothing to follow."""


def frame_stamps_ns(episode: Episode) -> np.ndarray | None:
    """Return the device time of each frame in ns, shape (n_frames,), or None if nothing tells it.

    Notes
    -----
    From the frame names or the video group; else from the inertial samples that the keyframes
    name.
    """
    if episode.stamps_ns is not None or not episode.streams["imu"].usable:
        return episode.stamps_ns
    samples = episode.read(layout.IMU_STAMPS)
    keys = episode.annotation.keyframes()
    fits = len(keys) == episode.n_frames and ((keys >= 0) & (keys < len(samples))).all()
    return samples[keys] if fits else None


def frame_times_s(episode: Episode) -> np.ndarray:
    """Return when each frame was taken, in seconds since the first, shape (n_frames,).

    Device time where there is one, else counted at the recording's frame rate.
    """
    stamps_ns = frame_stamps_ns(episode)
    if stamps_ns is None:
        return np.arange(episode.n_frames) / episode.fps
    return since_ns(stamps_ns, stamps_ns[0])


def since_ns(stamps_ns: np.ndarray, first_ns: float) -> np.ndarray:
    """Return seconds since an instant, shape (n,); whole stamps lose no digit."""
    return (stamps_ns - first_ns).astype(np.float64) / 1e9


def turning_rad_s(quat_wxyz: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Return the angular speed between neighbouring poses.

    Parameters
    ----------
    quat_wxyz : float array, shape (n, 4)
    time_s : float array, shape (n,)

    Returns
    -------
    float array, shape (n - 1,)
        Radians per second; NaN beside a pose that is not there, or where time stands still.
    """
    quat = np.asarray(quat_wxyz, dtype=np.float64)
    norm = np.linalg.norm(quat, axis=1, keepdims=True)
    known = np.isfinite(norm) & (norm > 0)
    quat = np.where(known, quat, np.nan) / np.where(known, norm, np.nan)
    chord = np.linalg.norm(np.diff(quat, axis=0), axis=1)
    other = np.linalg.norm(quat[1:] + quat[:-1], axis=1)  # q and -q are the same rotation
    angle = 4 * np.arcsin(np.minimum(chord, other) / 2)
    return angle / _steps_s(time_s)


def gyro_rad_s(episode: Episode, first_ns: float, grid_s: np.ndarray, span_s: float) -> np.ndarray:
    """Return the gyroscope's angular speed, each value the mean turn of one frame's time.

    Parameters
    ----------
    episode : Episode
    first_ns : float
        Device time of the first frame.
    grid_s : float array, shape (n,)
        Instants since the first frame, by the inertial stamps.
    span_s : float
        Time to average over: one frame, as poses do.

    Returns
    -------
    float array, shape (n,)
        Radians per second; NaN where there are no samples.
    """
    rows = min(episode.annotation.n_rows(path) for path in (layout.IMU_STAMPS, layout.IMU_GYRO))
    time_s = since_ns(episode.read(layout.IMU_STAMPS, 0, rows), first_ns)
    rate = episode.read(layout.IMU_GYRO, 0, rows).astype(np.float64)
    good = np.isfinite(time_s) & np.isfinite(rate).all(1)
    good[good] = forwards(time_s[good])
    time_s, rate = time_s[good], rate[good]
    if len(time_s) < 2:
        return np.full(len(grid_s), np.nan)
    steps_s = np.diff(time_s)
    turned = np.vstack([np.zeros(3), np.cumsum((rate[1:] + rate[:-1]) / 2 * steps_s[:, None], 0)])
    gap_s = max(_LONGEST_GAP * float(np.median(steps_s)), span_s)
    ends = [
        np.stack([on_grid(time_s, axis, grid_s + side, gap_s) for axis in turned.T], axis=1)
        for side in (-span_s / 2, span_s / 2)
    ]
    return np.linalg.norm(ends[1] - ends[0], axis=1) / span_s


def camera_motion(episode: Episode, time_s: np.ndarray) -> np.ndarray:
    """Return how the reference camera turns and moves between frames, along its own axes.

    Parameters
    ----------
    episode : Episode
    time_s : float array, shape (n_frames,)

    Returns
    -------
    float array, shape (n - 1, 6)
        Rotation in rad/s, then translation in m/s; NaN beside a pose that is not there.
    """
    pose = episode.camera_to_world(0, len(time_s))
    n = min(len(pose.translation), len(time_s))
    back = np.swapaxes(pose.rotation[: n - 1], 1, 2)
    turn = back @ pose.rotation[1:n]  # (n - 1, 3, 3)
    skew = turn - np.swapaxes(turn, 1, 2)
    turned = np.stack([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]], axis=1) / 2
    moved = np.einsum("nij,nj->ni", back, np.diff(pose.translation[:n], axis=0))
    return np.hstack([turned, moved]) / _steps_s(time_s[:n])[:, None]


def matched(moved: np.ndarray, motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the picture's motion and what the camera's own motion predicts of it, in one unit.

    Parameters
    ----------
    moved : float array, shape (n, n_channels)
        Motion of parts of the picture; NaN where unknown.
    motion : float array, shape (n, 6)
        Motion of the camera, at the same frames by the recording's own count.

    Returns
    -------
    moved, predicted : float array, shape (n, n_channels)
        In standard deviations of what the prediction leaves over, so that the parts that follow the
        camera count most; cut off at a few of them, so that a few fast turns don't outvote the
        rest. NaN where unknown.

    Notes
    -----
    How a camera sits on the rig, its lens and how far the scene is away are not asked for: a linear
    map is fitted, at whichever whole number of frames between the two it fits best. Each half of
    the stretches is predicted by the map of the other half, so that signals which have nothing to
    do with each other still don't look alike.
    """
    n = min(len(moved), len(motion))
    moved, motion = moved[:n], motion[:n]
    most = min(_MOST_FRAMES, n // 4)
    shifts = range(-most, most + 1)
    best = max(shifts, key=lambda by: _fit(*_shifted(moved, motion, by))[1])
    clean = moved
    for _ in range(2):  # hands pass through the picture: the second fit leaves them out
        predicted = _predicted(clean, motion, best)
        left = np.full(moved.shape, np.nan)
        _shifted(left, left, best)[0][:] = np.subtract(*_shifted(moved, predicted, best))
        spread = _spread(left)
        clean = np.where(np.abs(left) > _OUTLIER * spread, np.nan, moved)
    unit = np.where(spread > 0, spread, np.inf)
    return np.clip(moved / unit, -_CUT, _CUT), np.clip(predicted / unit, -_CUT, _CUT)


def _predicted(moved: np.ndarray, motion: np.ndarray, shift: int) -> np.ndarray:
    """Return each half of the stretches as the map of the other half predicts it."""
    fold = np.arange(len(moved)) * _FOLDS // len(moved) % 2
    out = np.full(moved.shape, np.nan)
    for own in (0, 1):
        others = np.where((fold != own)[:, None], moved, np.nan)
        out[fold == own] = motion[fold == own] @ _fit(*_shifted(others, motion, shift))[0]
    return out


def _spread(left: np.ndarray) -> np.ndarray:
    """Return each channel's usual distance from 0, as a standard deviation; 0 where all unknown."""
    known = np.isfinite(left)
    return np.array(
        [
            np.median(np.abs(channel[own])) / _MEDIAN_OF_NORMAL if own.any() else 0.0
            for channel, own in zip(left.T, known.T, strict=True)
        ]
    )


def _shifted(late: np.ndarray, early: np.ndarray, by: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that belong together if one comes so many rows after the other."""
    if by < 0:
        return late[:by], early[-by:]
    return late[by:], early[: len(early) - by]


def _fit(moved: np.ndarray, motion: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the map from motion to picture, shape (6, n_channels), and how well it fits, 0 to 1.

    What is unknown is left out of the picture, channel by channel; so maps are solved one by one.
    """
    there = np.isfinite(motion).all(1)
    motion = np.where(there[:, None], motion, 0)
    known = np.isfinite(moved) & there[:, None]
    moved = np.where(known, moved, 0)
    gram = np.einsum("nc,ni,nj->cij", known.astype(float), motion, motion, optimize=True)
    size = np.maximum(np.trace(gram, axis1=1, axis2=2), 1e-12)[:, None, None]
    gram = gram + _RIDGE * size * np.eye(motion.shape[1])
    chart = np.linalg.solve(gram, (moved.T @ motion)[:, :, None])[:, :, 0].T
    left = ((moved - known * (motion @ chart)) ** 2).sum(0)
    whole = (moved**2).sum(0)
    return chart, float(np.mean(1 - left / np.maximum(whole, 1e-12)))


def _steps_s(time_s: np.ndarray) -> np.ndarray:
    """Return the time between frames, NaN where it stands still or runs back."""
    step_s = np.diff(time_s)
    return np.where(step_s > 0, step_s, np.nan)


def picture_px_s(pictures: Iterable[np.ndarray | None], time_s: np.ndarray) -> np.ndarray:
    """Return how parts of the picture move, from phase correlation of small grey frames.

    Parameters
    ----------
    pictures : iterable of uint8 array, shape (height, width, 3), or None
        RGB, one a frame, streamed; None where a frame has none.
    time_s : float array, shape (n_frames,)
        Time of each frame; no more frames are read.

    Returns
    -------
    float array, shape (n_frames - 1, 12)
        Pixels of a picture of 96 x 64 per second, to the right and downwards, for 3 x 2 tiles; NaN
        beside a frame without a picture, where time stands still and where a tile shows nothing to
        follow.
    """
    cv2.setNumThreads(1)
    window = cv2.createHanningWindow((_TILE_PX, _TILE_PX), cv2.CV_32F)
    moved_px = np.full((len(time_s) - 1, N_TILES, 2), np.nan)
    before: list[np.ndarray | None] = [None] * N_TILES
    for number, rgb in enumerate(islice(pictures, len(time_s))):
        now = [None] * N_TILES if rgb is None else _tiles(rgb)
        for tile, (old, new) in enumerate(zip(before, now, strict=True)):
            if old is not None and new is not None:
                shift = np.array(cv2.phaseCorrelate(old, new, window)[0])
                if np.abs(shift).max() <= _TILE_PX / 4:  # further is no shift but a failure
                    moved_px[number - 1, tile] = shift
        before = now
    return moved_px.reshape(-1, 2 * N_TILES) / _steps_s(time_s)[:, None]


def _tiles(rgb: np.ndarray) -> list[np.ndarray | None]:
    """Return the tiles of a small grey copy; None where one shows nothing to follow."""
    small = cv2.resize(rgb, _SMALL_PX, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    cut = grey.reshape(_SMALL_PX[1] // _TILE_PX, _TILE_PX, -1, _TILE_PX).swapaxes(1, 2)
    tiles = np.ascontiguousarray(cut).reshape(N_TILES, _TILE_PX, _TILE_PX)
    return [tile if tile.std() >= _LEAST_TEXTURE else None for tile in tiles]


def between_frames(time_s: np.ndarray, values: np.ndarray, grid_s: np.ndarray) -> np.ndarray:
    """Return what was measured between neighbouring frames on a regular grid.

    Parameters
    ----------
    time_s : float array, shape (n_frames,)
    values : float array, shape (n, n_channels)
        Of the first n steps from frame to frame.
    grid_s : float array, shape (m,)

    Returns
    -------
    float array, shape (m, n_channels)
    """
    middle_s = (time_s[1:] + time_s[:-1])[: len(values)] / 2
    gap_s = _LONGEST_GAP * float(np.median(np.diff(time_s)))
    return np.stack([on_grid(middle_s, channel, grid_s, gap_s) for channel in values.T], axis=1)
