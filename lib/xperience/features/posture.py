"""Hands, body and camera of a recording in one world, and the body's own coordinate frame.

The recording gives hands in camera axes, the body in world axes, and a world whose axes differ from
one recording to the next. Here all are brought to the world by the camera's pose, and seen from the
body: pelvis at the origin, x forward, y left, z up. A frame without a measurement is NaN.
"""

from dataclasses import dataclass

import numpy as np

from xperience.recording import layout
from xperience.recording.coverage import lost_rows, stream_state
from xperience.recording.geometry import HEAD, PELVIS, RIG, WORLD, Points, Transform, body_frames
from xperience.recording.recording import Recording

HAND_PATHS = {"hand_left": layout.HAND_LEFT, "hand_right": layout.HAND_RIGHT}

_SCAN_ROWS = 4096
_GREATEST_TILT_DEG = 45


def known_rows(episode: Recording, path: str, start: int, stop: int) -> np.ndarray:
    """Return rows [start, stop) of a dataset of small rows, float64 (stop - start, ...).

    NaN throughout where the recording measured nothing; see `lost_rows`, and beyond the end.
    """
    kept = ~lost_rows(episode, path)[start:stop]
    rows = episode.read(path, start, stop)[: len(kept)]
    result = np.full((stop - start, *rows.shape[1:]), np.nan)
    result[: len(rows)][kept] = rows[kept]
    return result


def known_keyframes(episode: Recording, start: int, stop: int) -> np.ndarray:
    """Return the IMU sample of each frame, int64 (at most stop - start,); -1 where none is sure."""
    keys = episode.annotation.keyframes(start, stop)
    lost = lost_rows(episode, layout.IMU_KEYFRAMES)[start:stop]
    return np.where(lost, -1, keys[: len(lost)])


@dataclass(frozen=True)
class Up:
    """Which way is up in a recording's world."""

    direction: np.ndarray  # unit vector (3,) along world axes; NaN if nothing tells, as no body
    origin: str  # what showed it: "gravity", "trunk" or ""
    odd: str = ""  # what is strange about it; empty if nothing is


def find_up(episode: Recording) -> Up:
    """Return which way is up, from the recording itself: no axis of its world is taken on trust.

    At rest an accelerometer measures what holds it up. Turned into the world by the camera's pose
    and averaged over the recording, that is gravity, reversed. It is believed where it lies within
    45 degrees of the mean direction from pelvis to head; a sensor mounted along other axes than
    the calibration says does not. Else that direction is taken: people lean, so it is some degrees
    off, but the same for the whole recording. Both are means of unit vectors: a jolt or a wrong
    frame counts as much as any other, and turning the world turns the result.
    """
    states = {name: stream_state(episode, name, "corrected") for name in ("imu", "pose", "body")}
    gravity, trunk = _mean_directions(episode, {name for name in states if states[name][0]})
    faulty = [name for name in ("imu", "pose") if states[name][1]]
    doubt = f"up is measured with faults of {' and '.join(faulty)}" if faulty else ""
    if np.isnan(trunk).any():
        return Up(gravity, "") if np.isnan(gravity).any() else Up(gravity, "gravity", doubt)
    if np.isnan(gravity).any():
        return Up(trunk, "trunk", "up is the mean direction from pelvis to head: no gravity")
    tilt_deg = float(np.degrees(np.arccos(np.clip(gravity @ trunk, -1, 1))))
    if tilt_deg <= _GREATEST_TILT_DEG:
        return Up(gravity, "gravity", doubt)
    odd = f"measured gravity is {tilt_deg:.0f} deg off"
    return Up(trunk, "trunk", f"up is the mean direction from pelvis to head: {odd}")


def _mean_directions(episode: Recording, usable: set[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean directions against gravity and from pelvis to head, NaN where unknown."""
    totals = np.zeros((2, 3))
    for start in range(0, episode.n_frames, _SCAN_ROWS):
        stop = min(start + _SCAN_ROWS, episode.n_frames)
        if {"imu", "pose"} <= usable:
            totals[0] += _sum_of_directions(_support(episode, start, stop))
        if "body" in usable:
            joints = known_rows(episode, layout.KEYPOINTS, start, stop)
            totals[1] += _sum_of_directions(joints[:, HEAD] - joints[:, PELVIS])
    length = np.linalg.norm(totals, axis=1, keepdims=True)
    gravity, trunk = totals / np.where(length > 0, length, np.nan)
    return gravity, trunk


def _sum_of_directions(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    known = np.isfinite(length[:, 0]) & (length[:, 0] > 0)
    return (vectors[known] / length[known]).sum(axis=0)


def _support(episode: Recording, start: int, stop: int) -> np.ndarray:
    """Return the acceleration measured at each frame's IMU sample, along world axes, (n, 3)."""
    keys = known_keyframes(episode, start, stop)
    n_samples = episode.annotation.n_rows(layout.IMU_ACCEL)
    felt = np.full((stop - start, 3), np.nan)
    inside = (keys >= 0) & (keys < n_samples)
    if inside.any():
        base, last = int(keys[inside].min()), int(keys[inside].max())
        samples = known_rows(episode, layout.IMU_ACCEL, base, last + 1)
        felt[: len(keys)][inside] = samples[keys[inside] - base]
    to_world = _camera_to_world(episode, start, stop) @ episode.calibration.reference_from_rig
    return to_world(Points(felt, RIG)) - to_world(Points(np.zeros_like(felt), RIG))


def _camera_to_world(episode: Recording, start: int, stop: int) -> Transform:
    """Return the camera's pose in each frame, NaN where it isn't known, (stop - start) of them."""
    pose = episode.camera_to_world(start, stop)
    known = np.ones(len(pose.translation), dtype=bool)
    if episode.streams["pose"].usable:
        known = ~lost_rows(episode, layout.TRANSLATION)[start:stop]
    rotation, translation = (
        np.full((stop - start, 3, 3), np.nan),
        np.full((stop - start, 3), np.nan),
    )
    where = np.flatnonzero(known)
    rotation[where], translation[where] = pose.rotation[where], pose.translation[where]
    return Transform(rotation, translation, pose.source, pose.target)


@dataclass(frozen=True)
class Postures:
    """Where hands, body and camera of an open recording are, read some frames at a time."""

    episode: Recording
    up: Up

    @classmethod
    def of(cls, episode: Recording) -> "Postures":
        """Return the postures of an episode, after finding which way is up."""
        return cls(episode, find_up(episode))

    def body(self, start: int, stop: int) -> Points:
        """Return the SMPL-H joints, (n, 52, 3) metres in the world; NaN where there is no body."""
        return Points(known_rows(self.episode, layout.KEYPOINTS, start, stop), WORLD)

    def hand(self, side: str, start: int, stop: int) -> Points:
        """Return the joints of "hand_left" or "hand_right", (n, 21, 3) metres in the world.

        NaN where there is no hand or no pose of the camera that saw it.
        """
        joints = known_rows(self.episode, HAND_PATHS[side], start, stop)
        camera = self.camera(start, stop)
        return camera(Points(joints, self.episode.reference_camera))

    def camera(self, start: int, stop: int) -> Transform:
        """Return the pose of the reference camera, camera to world, (n,) poses; NaN where lost."""
        return _camera_to_world(self.episode, start, stop)

    def to_body(self, start: int, stop: int) -> Transform:
        """Return the way from the world into each frame's body frame, (n,); NaN without a body."""
        return body_frames(self.body(start, stop), self.up.direction)
