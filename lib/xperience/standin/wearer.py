"""The wearer: smooth motion, hands of rigid bones, and a kinematic body in SMPL-H order.

At any instant the trunk comes from smooth tracks (so that its accelerations exist); arms and legs
reach for the planned wrists and feet by inverse kinematics. Hands are in MANO's order: wrist, then
thumb to little finger, root to tip. Axes of a hand: x along the fingers, z out of its back, y to
the thumb's side on a right hand; a left hand is its mirror image in y.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from xperience.standin.choreography import Choreography


def min_jerk(u: np.ndarray) -> np.ndarray:
    """Return the minimum-jerk profile, C2 also at its ends; ``u`` is clipped to [0, 1]."""
    u = np.clip(u, 0.0, 1.0)
    return u**3 * (10 - 15 * u + 6 * u**2)


@dataclass
class Track:
    """One quantity over time, planned by waypoints and evaluated at any instants; C2."""

    value: np.ndarray  # (d,), where the track stands; `to` moves it on
    moves: list[tuple[float, float, np.ndarray]] = field(default_factory=list)
    waves: list[tuple[float, float, float, np.ndarray, np.ndarray]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.value = np.atleast_1d(np.asarray(self.value, dtype=np.float64))
        self.start = self.value.copy()

    def to(self, start_s: float, end_s: float, target: np.ndarray | float) -> None:
        """Add a transition to ``target``; transitions may overlap, they add up."""
        target = np.atleast_1d(np.asarray(target, dtype=np.float64))
        if not np.allclose(target, self.value, atol=1e-9):
            self.moves.append((start_s, max(end_s - start_s, 1e-3), target - self.value))
        self.value = target.copy()

    def wave(self, span_s: tuple[float, float], rate_hz: float, cosine, sine) -> None:
        """Add a faded oscillation with a cosine and a sine amplitude over a span of time."""
        amplitudes = (np.asarray(amplitude, dtype=np.float64) for amplitude in (cosine, sine))
        self.waves.append((*span_s, rate_hz, *amplitudes))

    def circle(self, span_s: tuple[float, float], rate_hz: float, radius_m: float) -> None:
        """Add level circles over a span of time."""
        self.wave(span_s, rate_hz, [radius_m, 0, 0], [0, radius_m, 0])

    def __call__(self, time_s: np.ndarray) -> np.ndarray:
        """Return the track's values, shape (n, d), at ascending instants, shape (n,)."""
        out = np.zeros((len(time_s), len(self.start)))
        done = np.zeros((len(time_s) + 1, len(self.start)))
        for start_s, length_s, change in self.moves:
            first, last = np.searchsorted(time_s, [start_s, start_s + length_s])
            part = min_jerk((time_s[first:last] - start_s) / length_s)
            out[first:last] += part[:, None] * change
            done[last] += change
        out += self.start + np.cumsum(done[:-1], axis=0)
        for start_s, end_s, rate_hz, cosine, sine in self.waves:
            first, last = np.searchsorted(time_s, [start_s, end_s])
            at_s = time_s[first:last]
            fade_s = max(min(0.5, (end_s - start_s) / 2), 1e-3)
            envelope = min_jerk((at_s - start_s) / fade_s) * min_jerk((end_s - at_s) / fade_s)
            phase = 2 * np.pi * rate_hz * (at_s - start_s)
            wave = np.cos(phase)[:, None] * cosine + np.sin(phase)[:, None] * sine
            out[first:last] += envelope[:, None] * wave
        return out  # (n, d)


@dataclass(frozen=True)
class Sway:
    """A never-ending small motion: a sum of slow sines; arrays of shape (d, k)."""

    amplitude: np.ndarray
    rate_hz: np.ndarray
    phase: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, sizes: tuple[float, ...], rates_hz: tuple) -> "Sway":
        """Return a sway of given size per column, at rates drawn between two."""
        shape = (len(sizes), 4)
        rate_hz = rng.uniform(*rates_hz, shape)
        amplitude = rng.uniform(0.4, 1.0, shape) * np.asarray(sizes)[:, None] / 2
        return cls(amplitude, rate_hz, rng.uniform(0, 2 * np.pi, shape))

    def __call__(self, time_s: np.ndarray) -> np.ndarray:
        """Return the displacement, shape (n, d)."""
        angle = 2 * np.pi * self.rate_hz * time_s[:, None, None] + self.phase
        return (self.amplitude * np.sin(angle)).sum(-1)  # (n, d)


def axis_rotation(axis: int, angle_rad: np.ndarray) -> np.ndarray:
    """Return rotations about axis 0, 1 or 2, shape (..., 3, 3), by angles, shape (...)."""
    angle_rad = np.asarray(angle_rad, dtype=np.float64)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out = np.zeros((*angle_rad.shape, 3, 3))
    out[..., axis, axis] = 1.0
    out[..., i, i] = out[..., j, j] = np.cos(angle_rad)
    out[..., i, j], out[..., j, i] = -np.sin(angle_rad), np.sin(angle_rad)
    return out


def two_bones(
    root: np.ndarray, target: np.ndarray, lengths_m: tuple[float, float], pole: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle and end joint, shape (n, 3), of a limb that reaches from root to target.

    Out of reach, its two rigid bones are fully stretched; the middle joint bends to the pole.
    """
    upper, lower = lengths_m
    way = target - root
    distance = np.linalg.norm(way, axis=-1, keepdims=True)
    unit = way / np.maximum(distance, 1e-9)
    reach = np.clip(distance, abs(upper - lower) + 1e-3, 0.9995 * (upper + lower))
    side = pole - (pole * unit).sum(-1, keepdims=True) * unit
    side = side / np.maximum(np.linalg.norm(side, axis=-1, keepdims=True), 1e-9)
    along = (upper**2 + reach**2 - lower**2) / (2 * reach)
    out = np.sqrt(np.maximum(upper**2 - along**2, 0))
    return root + along * unit + out * side, root + reach * unit


# -- hands -------------------------------------------------------------------------------------

_ROOT_WAYS = np.array(
    [
        [0.026, 0.0255, -0.012],
        [0.088, 0.024, 0.0],
        [0.095, 0.001, 0.002],
        [0.084, -0.019, 0.0],
        [0.074, -0.035, -0.003],
    ]
)
_ROOT_M = np.array([0.0385, 0.091, 0.095, 0.086, 0.082])
_PALM_M = _ROOT_WAYS / np.linalg.norm(_ROOT_WAYS, axis=1, keepdims=True) * _ROOT_M[:, None]
_PHALANX_M = np.array(
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
_POWER_GRIP_M = np.array([0.082, 0.0, -0.030])
_FORWARD = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
"""Hand to world when the fingers point ahead (+y) and the palm down; rig to head likewise."""

_SMPLH_FROM_MANO = (5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3)
"""MANO joint of each of a hand's 15 SMPL-H joints: index, middle, little, ring, thumb."""


def _thumb(closure: np.ndarray) -> np.ndarray:
    """Return the thumb's joints, shape (n, 3, 3) after its root, for closures, shape (n,)."""
    open_, shut = np.array([0.70, 0.68, -0.22]), np.array([0.80, -0.05, -0.60])
    bones = []
    for share, length in zip((0.35, 0.75, 1.0), _PHALANX_M[0], strict=True):
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
    return np.cumsum(way * _PHALANX_M[number][:, None], axis=1)


def hand_joints(closure: np.ndarray, side: str, scale: float) -> np.ndarray:
    """Return a hand's joints in its own axes, shape (n, 21, 3), metres, the wrist at the origin.

    Closure, shape (n,), is 0 for a flat hand and 1 for a fist; ``scale`` is the hand's size against
    an average one.
    """
    fingers = [_thumb(closure)] + [_finger(number, closure) for number in range(1, 5)]
    out = np.zeros((len(closure), 21, 3))
    for number, chain in enumerate(fingers):
        first = 1 + 4 * number
        out[:, first] = _PALM_M[number]
        out[:, first + 1 : first + 4] = _PALM_M[number] + chain
    if side == "left":
        out[..., 1] *= -1
    return out * scale


def grip_point(power: bool, closure: float, side: str, scale: float) -> np.ndarray:
    """Return where a hand holds things, in its own axes, shape (3,), metres."""
    if power:
        return _POWER_GRIP_M * scale
    joints = hand_joints(np.array([closure]), side, scale)[0]
    return (joints[4] + joints[8]) / 2


def hand_rotation(angles_rad: np.ndarray) -> np.ndarray:
    """Return hand-to-world rotations, shape (n, 3, 3), of (yaw, pitch, roll), shape (n, 3).

    Roll turns about the fingers, pitch lifts them, yaw turns about the vertical.
    """
    yaw, pitch, roll = np.moveaxis(np.asarray(angles_rad, dtype=np.float64), -1, 0)
    return axis_rotation(2, yaw) @ axis_rotation(0, pitch) @ axis_rotation(1, roll) @ _FORWARD


# -- body --------------------------------------------------------------------------------------

SIDES = ("left", "right")

_SPINE_M = (0.11, 0.135, 0.055, 0.21, 0.09)  # pelvis-spine1-spine2-spine3-neck-head
_LEAN = (0.5, 0.8, 1.0, 1.1, 1.3)
_ARM_M, _LEG_M = (0.275, 0.26), (0.40, 0.42)
_PELVIS_M, _ANKLE_M = 0.915, 0.075
_RIG_IN_HEAD_M = np.array([0.0, 0.11, 0.10])


@dataclass(frozen=True)
class Trunk:
    """Pelvis to head at n instants: joints, shape (n, 3), and rotations, shape (n, 3, 3)."""

    pelvis: np.ndarray
    spine: list[np.ndarray]
    chest_rotation: np.ndarray
    head_rotation: np.ndarray


@dataclass(frozen=True)
class Wearer:
    """Someone who carries out a choreography."""

    plan: "Choreography"
    size: float  # of the body, against an average one
    body_sway: Sway  # of the pelvis, metres
    head_sway: Sway  # radians

    @classmethod
    def draw(cls, plan: "Choreography", size: float, rng: np.random.Generator) -> "Wearer":
        """Return a wearer whose habits come from a generator."""
        body = Sway.draw(rng, (0.006, 0.005, 0.003), (0.15, 0.6))
        head = Sway.draw(rng, (0.030, 0.025, 0.015), (0.2, 1.1))
        return cls(plan, size, body, head)

    def trunk(self, time_s: np.ndarray) -> Trunk:
        """Return pelvis to head at ascending instants, shape (n,)."""
        base, gaze = self.plan.base(time_s), self.plan.gaze(time_s)
        pelvis = np.column_stack([base, np.full(len(time_s), _PELVIS_M * self.size)])
        pelvis = pelvis + self.body_sway(time_s)
        eye = np.column_stack([base[:, 0], base[:, 1] + 0.17, np.full(len(time_s), 1.55)])
        way = gaze - eye
        yaw = np.arctan2(-way[:, 0], way[:, 1])
        pitch = np.arctan2(way[:, 2], np.hypot(way[:, 0], way[:, 1]))
        lean = 0.26 + 0.35 * (gaze[:, 1] - 0.38)
        turns = [axis_rotation(2, 0.25 * yaw) @ axis_rotation(0, -k * lean) for k in _LEAN]
        nod = np.stack([0.62 * pitch, 0.85 * yaw, np.zeros_like(yaw)], -1) + self.head_sway(time_s)
        head = axis_rotation(2, nod[:, 1]) @ axis_rotation(0, nod[:, 0])
        head = head @ axis_rotation(1, nod[:, 2])
        spine, joint = [], pelvis
        for turn, length in zip(turns, _SPINE_M, strict=True):
            joint = joint + turn[:, :, 2] * length * self.size
            spine.append(joint)
        return Trunk(pelvis, spine, turns[2], head)

    def rig(self, time_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the rig's position, shape (n, 3), and rotation to world, shape (n, 3, 3)."""
        trunk = self.trunk(time_s)
        position = trunk.spine[-1] + trunk.head_rotation @ _RIG_IN_HEAD_M
        return position, trunk.head_rotation @ _FORWARD

    def body(self, time_s: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the body's joints, shape (n, 52, 3), and each hand's, shape (n, 21, 3), world."""
        trunk = self.trunk(time_s)
        out = np.zeros((len(time_s), 52, 3))
        out[:, 0] = trunk.pelvis
        for joint, position in zip((3, 6, 9, 12, 15), trunk.spine, strict=True):
            out[:, joint] = position
        hands = {}
        for number, side in enumerate(SIDES):
            self._leg(out, number, time_s)
            self._arm(out, number, time_s, trunk.chest_rotation)
            hand = self.plan.hands[side]
            joints = hand_joints(hand.closure(time_s)[:, 0], side, self.plan.hand_scale)
            rotation = hand_rotation(hand.angles(time_s))
            wrist = out[:, 20 + number]
            hands[side] = np.einsum("nij,nkj->nki", rotation, joints) + wrist[:, None]
            first = 22 + 15 * number
            out[:, first : first + 15] = hands[side][:, _SMPLH_FROM_MANO]
        return out, hands

    def _leg(self, out: np.ndarray, number: int, time_s: np.ndarray) -> None:
        sign, size = (-1.0, 1.0)[number], self.size
        hip = out[:, 0] + np.array([0.065 * sign, 0.0, -0.085]) * size
        foot = self.plan.feet[SIDES[number]](time_s)
        goal = foot + np.array([0.0, -0.02, _ANKLE_M * size])
        lengths = _LEG_M[0] * size, _LEG_M[1] * size
        knee, ankle = two_bones(hip, goal, lengths, np.array([0.1 * sign, 1.0, 0.0]))
        # the toes hang a little while the foot is in the air
        pitch = axis_rotation(0, -4.0 * foot[:, 2])
        toe = ankle + pitch @ (np.array([0.0, 0.13, -0.055]) * size)
        for joint, position in zip((1, 4, 7, 10), (hip, knee, ankle, toe), strict=True):
            out[:, joint + number] = position

    def _arm(self, out: np.ndarray, number: int, time_s: np.ndarray, chest: np.ndarray) -> None:
        sign, size = (-1.0, 1.0)[number], self.size
        collar = out[:, 9] + chest @ (np.array([0.075 * sign, -0.01, 0.115]) * size)
        shoulder = collar + chest @ (np.array([0.105 * sign, 0.0, 0.035]) * size)
        goal = self.plan.hands[SIDES[number]].wrist(time_s)
        lengths = _ARM_M[0] * size, _ARM_M[1] * size
        elbow, wrist = two_bones(shoulder, goal, lengths, np.array([0.75 * sign, -0.3, -0.6]))
        for joint, position in zip((13, 16, 18, 20), (collar, shoulder, elbow, wrist), strict=True):
            out[:, joint + number] = position
