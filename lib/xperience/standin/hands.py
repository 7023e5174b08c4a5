"""A hand of rigid bones in MANO's order: wrist, then thumb to little finger, root to tip.

Axes of a hand: x along the fingers, z out of its back, y to the thumb's side on a right hand; a
left hand is its mirror image in y.
"""

import numpy as np

from xperience.standin.motion import axis_rotation

_ROOTS = np.array(
    [
        [0.026, 0.0255, -0.012],
        [0.088, 0.024, 0.0],
        [0.095, 0.001, 0.002],
        [0.084, -0.019, 0.0],
        [0.074, -0.035, -0.003],
    ]
)
_ROOT_M = np.array([0.0385, 0.091, 0.095, 0.086, 0.082])
PALM_M = _ROOTS / np.linalg.norm(_ROOTS, axis=1, keepdims=True) * _ROOT_M[:, None]
PHALANX_M = np.array(
    [
        [0.031, 0.027, 0.035],
        [0.033, 0.022, 0.024],
        [0.032, 0.023, 0.025],
        [0.029, 0.025, 0.024],
        [0.021, 0.019, 0.017],
    ]
)
_SPREAD_RAD = np.array([0.0, 0.10, 0.01, -0.09, -0.20])
_BEND_RAD = np.deg2rad([[0, 0, 0], [62, 72, 45], [66, 76, 45], [70, 78, 45], [74, 78, 45]])
_POWER_GRIP = np.array([0.082, 0.0, -0.030])

R_FORWARD = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
"""Hand to world when the fingers point ahead (+y) and the palm down."""

SMPLH_FROM_MANO = (5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3)
"""MANO joint of each of a hand's 15 SMPL-H joints: index, middle, little, ring, thumb."""


def _thumb(closure: np.ndarray) -> np.ndarray:
    """Return the thumb's joints, shape (n, 3, 3) after its root, for closures, shape (n,)."""
    open_, shut = np.array([0.70, 0.68, -0.22]), np.array([0.80, -0.05, -0.60])
    bones = []
    for share, length in zip((0.35, 0.75, 1.0), PHALANX_M[0], strict=True):
        way = open_ + (shut - open_) * (closure * share)[:, None]
        bones.append(way / np.linalg.norm(way, axis=1, keepdims=True) * length)
    return np.cumsum(np.stack(bones, axis=1), axis=1)


def _finger(number: int, closure: np.ndarray) -> np.ndarray:
    """Return a finger's joints, shape (n, 3, 3) after its root, for closures, shape (n,)."""
    bend = np.cumsum(closure[:, None] * _BEND_RAD[number], axis=1)  # (n, 3)
    spread = _SPREAD_RAD[number] * (1 - closure)[:, None]
    way = np.stack(
        [np.cos(bend) * np.cos(spread), np.cos(bend) * np.sin(spread), -np.sin(bend)], axis=-1
    )
    return np.cumsum(way * PHALANX_M[number][:, None], axis=1)


def hand_joints(closure: np.ndarray, side: str, scale: float = 1.0) -> np.ndarray:
    """Return a hand's joints in its own axes.

    Parameters
    ----------
    closure : float array, shape (n,)
        0 is a flat hand, 1 a fist.
    side : {"left", "right"}
    scale : float
        Size against an average hand.

    Returns
    -------
    float array, shape (n, 21, 3)
        Metres, the wrist at the origin.
    """
    fingers = [_thumb(closure)] + [_finger(number, closure) for number in range(1, 5)]
    out = np.zeros((len(closure), 21, 3))
    for number, chain in enumerate(fingers):
        first = 1 + 4 * number
        out[:, first] = PALM_M[number]
        out[:, first + 1 : first + 4] = PALM_M[number] + chain
    if side == "left":
        out[..., 1] *= -1
    return out * scale


def grip_point(power: bool, closure: float, side: str, scale: float) -> np.ndarray:
    """Return where a hand holds things, in its own axes, shape (3,), metres."""
    if power:
        return _POWER_GRIP * scale
    joints = hand_joints(np.array([closure]), side, scale)[0]
    return (joints[4] + joints[8]) / 2


def hand_rotation(angles_rad: np.ndarray) -> np.ndarray:
    """Return hand-to-world rotations, shape (n, 3, 3), of (yaw, pitch, roll), shape (n, 3).

    Roll turns about the fingers, pitch lifts them, yaw turns about the vertical.
    """
    yaw, pitch, roll = np.moveaxis(np.asarray(angles_rad, dtype=np.float64), -1, 0)
    return axis_rotation(2, yaw) @ axis_rotation(0, pitch) @ axis_rotation(1, roll) @ R_FORWARD
