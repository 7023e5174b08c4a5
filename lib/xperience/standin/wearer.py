"""The wearer: a kinematic body of rigid bones in SMPL-H order that follows a plan.

At any instant the trunk comes from smooth tracks (so that its accelerations exist); arms and legs
reach for the planned wrists and feet by inverse kinematics.
"""

from dataclasses import dataclass

import numpy as np

from xperience.standin.hands import R_FORWARD, SMPLH_FROM_MANO, hand_joints, hand_rotation
from xperience.standin.motion import Sway, axis_rotation, two_bones
from xperience.standin.plan import Plan

SPINE_M = (0.11, 0.135, 0.055, 0.21, 0.09)  # pelvis-spine1-spine2-spine3-neck-head
ARM_M, LEG_M = (0.275, 0.26), (0.40, 0.42)
PELVIS_M, ANKLE_M = 0.915, 0.075
RIG_IN_HEAD_M = np.array([0.0, 0.11, 0.10])
RIG_AXES = R_FORWARD  # rig axes in the head's: x ahead, y left, z up
SIDES = ("left", "right")


@dataclass(frozen=True)
class Trunk:
    """Pelvis to head at n instants: joints, shape (n, 3), and rotations, shape (n, 3, 3)."""

    pelvis: np.ndarray
    spine: tuple[np.ndarray, ...]
    chest_rotation: np.ndarray
    head_rotation: np.ndarray

    @property
    def head(self) -> np.ndarray:
        """Return the head joint, shape (n, 3)."""
        return self.spine[-1]


@dataclass(frozen=True)
class Wearer:
    """Someone who carries out a plan.

    Parameters
    ----------
    plan : Plan
    size : float
        Size of the body against an average one.
    body_sway, head_sway : Sway
        Small motions of the pelvis in metres and of the head in radians, three columns each.
    """

    plan: Plan
    size: float
    body_sway: Sway
    head_sway: Sway

    @classmethod
    def draw(cls, plan: Plan, size: float, rng: np.random.Generator) -> "Wearer":
        """Return a wearer whose habits come from a generator."""
        body = Sway.draw(rng, (0.006, 0.005, 0.003), (0.15, 0.6))
        head = Sway.draw(rng, (0.030, 0.025, 0.015), (0.2, 1.1))
        return cls(plan, size, body, head)

    def trunk(self, time_s: np.ndarray) -> Trunk:
        """Return pelvis to head at ascending instants, shape (n,)."""
        base, gaze = self.plan.base(time_s), self.plan.gaze(time_s)
        pelvis = np.column_stack([base, np.full(len(time_s), PELVIS_M * self.size)])
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
        for turn, length in zip(turns, SPINE_M, strict=True):
            joint = joint + turn[:, :, 2] * length * self.size
            spine.append(joint)
        return Trunk(pelvis, tuple(spine), turns[2], head)

    def rig(self, time_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the rig's position, shape (n, 3), and rotation to world, shape (n, 3, 3)."""
        trunk = self.trunk(time_s)
        position = trunk.head + trunk.head_rotation @ RIG_IN_HEAD_M
        return position, trunk.head_rotation @ RIG_AXES

    def hands(self, time_s: np.ndarray, wrists: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return each hand's joints in world axes, shape (n, 21, 3), from its actual wrist."""
        out = {}
        for side in SIDES:
            hand = self.plan.hands[side]
            joints = hand_joints(hand.closure(time_s)[:, 0], side, self.plan.hand_scale)
            rotation = hand_rotation(hand.angles(time_s))
            out[side] = np.einsum("nij,nkj->nki", rotation, joints) + wrists[side][:, None]
        return out

    def body(self, time_s: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the body's joints, shape (n, 52, 3), and each hand's, shape (n, 21, 3), world."""
        trunk = self.trunk(time_s)
        out = np.zeros((len(time_s), 52, 3))
        out[:, 0] = trunk.pelvis
        for joint, position in zip((3, 6, 9, 12, 15), trunk.spine, strict=True):
            out[:, joint] = position
        wrists = {}
        for number, side in enumerate(SIDES):
            self._leg(out, number, side, time_s)
            wrists[side] = self._arm(out, number, side, time_s, trunk.chest_rotation)
        hands = self.hands(time_s, wrists)
        for first, side in ((22, "left"), (37, "right")):
            out[:, first : first + 15] = hands[side][:, SMPLH_FROM_MANO]
        return out, hands

    def _leg(self, out: np.ndarray, number: int, side: str, time_s: np.ndarray) -> None:
        sign, size = (-1.0, 1.0)[number], self.size
        hip = out[:, 0] + np.array([0.065 * sign, 0.0, -0.085]) * size
        foot = self.plan.feet[side](time_s)
        goal = foot + np.array([0.0, -0.02, ANKLE_M * size])
        lengths = LEG_M[0] * size, LEG_M[1] * size
        knee, ankle = two_bones(hip, goal, lengths, np.array([0.1 * sign, 1.0, 0.0]))
        # the toes hang a little while the foot is in the air
        pitch = axis_rotation(0, -4.0 * foot[:, 2])
        toe = ankle + pitch @ (np.array([0.0, 0.13, -0.055]) * size)
        out[:, 1 + number], out[:, 4 + number] = hip, knee
        out[:, 7 + number], out[:, 10 + number] = ankle, toe

    def _arm(self, out, number: int, side: str, time_s, chest: np.ndarray) -> np.ndarray:
        sign, size = (-1.0, 1.0)[number], self.size
        collar = out[:, 9] + chest @ (np.array([0.075 * sign, -0.01, 0.115]) * size)
        shoulder = collar + chest @ (np.array([0.105 * sign, 0.0, 0.035]) * size)
        goal = self.plan.hands[side].wrist(time_s)
        lengths = ARM_M[0] * size, ARM_M[1] * size
        elbow, wrist = two_bones(shoulder, goal, lengths, np.array([0.75 * sign, -0.3, -0.6]))
        out[:, 13 + number], out[:, 16 + number] = collar, shoulder
        out[:, 18 + number], out[:, 20 + number] = elbow, wrist
        return wrist


_LEAN = (0.5, 0.8, 1.0, 1.1, 1.3)
