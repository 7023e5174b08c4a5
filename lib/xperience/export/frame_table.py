"""One row a frame: what a wearer is like, and what the hands do next."""

from itertools import pairwise

import numpy as np

from xperience.features.posture import Postures
from xperience.recording import layout
from xperience.recording.captions import is_labelled
from xperience.recording.geometry import MANO_PARENTS, SMPLH_PARENTS, Points
from xperience.recording.recording import Episode

HANDS = ("hand_left", "hand_right")
STATE_NEEDS = ("body", "pose", *HANDS)
"""Streams without which there is no state and no action."""
_AXES = "xyz"
_ROWS = 1024


def state_names() -> list[str]:
    """Return what each value of the state is: joints of body and hands in the body frame, m."""
    joints = {"body": len(SMPLH_PARENTS)} | dict.fromkeys(HANDS, len(MANO_PARENTS))
    return [f"{part}_{j}_{a}" for part, n in joints.items() for j in range(n) for a in _AXES]


def action_names() -> list[str]:
    """Return what each value of the action is: the hands of the next frame, m."""
    n = len(MANO_PARENTS)
    return [f"next_{hand}_{j}_{a}" for hand in HANDS for j in range(n) for a in _AXES]


def states_and_actions(episode: Episode) -> tuple[np.ndarray, np.ndarray]:
    """Return each frame's posture and the hands of the next one, as seen from this frame's body.

    Parameters
    ----------
    episode : Episode
        With the streams of ``STATE_NEEDS``.

    Returns
    -------
    state : float32 array, shape (n_frames, 282)
        Body, left hand, right hand in the body frame, metres.
    action : float32 array, shape (n_frames, 126)
        Both hands of the next frame in the body frame of this one; no frame follows the last.

    Notes
    -----
    A joint that isn't known in a frame is NaN there.
    """
    postures, n = Postures.of(episode), episode.n_frames
    states, actions = [], []
    for start in range(0, n, _ROWS):
        stop = min(start + _ROWS, n)
        to_body = postures.to_body(start, stop)
        body = to_body(postures.body(start, stop)).xyz
        hands = [to_body(postures.hand(side, start, stop)).xyz for side in HANDS]
        states.append(_flat([body, *hands]))
        actions.append(_flat([to_body(_next(postures, side, start, stop)).xyz for side in HANDS]))
    return np.concatenate(states), np.concatenate(actions)


def _next(postures: Postures, side: str, start: int, stop: int) -> Points:
    """Return a hand one frame later, in the world; NaN after the last frame."""
    last = min(stop + 1, postures.episode.n_frames)
    found = postures.hand(side, start + 1, last) if start + 1 < last else None
    shape = (stop - start, layout.N_HAND_JOINTS, 3)
    xyz = np.full(shape, np.nan)
    if found is not None:
        xyz[: len(found.xyz)] = found.xyz
        return Points(xyz, found.frame)
    return Points(xyz, postures.hand(side, start, stop).frame)


def _flat(parts: list[np.ndarray]) -> np.ndarray:
    rows = [part.reshape(len(part), -1) for part in parts]
    return np.concatenate(rows, axis=1).astype(np.float32)


def known_parts(state: np.ndarray) -> np.ndarray:
    """Return whether body, left and right hand are known in each frame, bool (n_frames, 3)."""
    n_body, n_hand = 3 * layout.N_BODY_JOINTS, 3 * layout.N_HAND_JOINTS
    ends = np.cumsum([0, n_body, n_hand, n_hand])
    sides = [state[:, a:b] for a, b in pairwise(ends)]
    return np.stack([np.isfinite(side).all(axis=1) for side in sides], axis=1)


def imu_at_frames(episode: Episode) -> np.ndarray:
    """Return the IMU sample of each frame, float32 (n_frames, 6): acceleration, then rotation.

    NaN where a frame has no sample, or one that is not a number.
    """
    keys = episode.annotation.keyframes()[: episode.n_frames]
    samples = np.concatenate([episode.read(layout.IMU_ACCEL), episode.read(layout.IMU_GYRO)], 1)
    rows = np.full((episode.n_frames, 6), np.nan, dtype=np.float32)
    inside = np.flatnonzero((keys >= 0) & (keys < len(samples)))
    rows[inside] = samples[keys[inside]]
    rows[~np.isfinite(rows).all(axis=1)] = np.nan
    return rows


def device_times_s(episode: Episode) -> np.ndarray:
    """Return when each frame was really taken, float32 (n_frames, 1), seconds after the first."""
    return episode.frame_times_s.astype(np.float32)[:, None]


def texts(episode: Episode, unknown: str = "(no caption)") -> list[str]:
    """Return what the wearer does in each frame: the action, else the subtask, else the whole.

    A label that says nothing, such as ``N/A``, counts as none.
    """
    said = episode.labels_of("corrected")
    whole = said.main_task or unknown
    pairs = zip(said.action, said.subtask, strict=True)
    return [next(filter(is_labelled, pair), whole) for pair in pairs]
