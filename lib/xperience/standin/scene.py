"""The scene of an episode: every solid in every frame, and the distances between them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xperience.recording.geometry import MANO_BONES, RIG, Transform
from xperience.standin.choreography import (
    CRANK_HEIGHT_M,
    CRANK_M,
    Choreography,
    Pouring,
    choreograph,
)
from xperience.standin.kitchen import BOX, CAPSULE, FILLS, FURNITURE, KITCHEN, METAL, PLAIN, homes
from xperience.standin.script import load_script
from xperience.standin.settings import StandinSettings
from xperience.standin.wearer import SIDES, Wearer, hand_rotation

_POURED = {  # colour and radius of what runs out of a thing
    "carafe": ((0.22, 0.11, 0.05), 0.006),
    "tin": ((0.27, 0.15, 0.08), 0.010),
    None: ((0.62, 0.82, 0.98), 0.006),
}
_FINGER_M = (0.0095, 0.0085, 0.0085, 0.0082, 0.0075)
_NEAR_M = 0.05


@dataclass(frozen=True)
class Solids:
    """Solids and where they are."""

    owner: list[str]  # n of: "table", a thing's name, "left_hand", "sleeve", "stream", …
    kind: np.ndarray  # (n,)
    looks: np.ndarray  # (n, 7): RGB in 0..1 of the outside and of the opening, then the texture
    geometry: np.ndarray  # (n_frames, n, 8): axis ends a, b and the radii there; 0 hides it


@dataclass(frozen=True)
class Scene:
    """A whole episode before any sensor has looked at it; world axes, metres."""

    plan: Choreography
    wearer: Wearer
    time_s: np.ndarray  # (n_frames,), true time of each frame
    rig: Transform  # world to rig, one a frame
    body: np.ndarray  # (n_frames, 52, 3)
    hands: dict[str, np.ndarray]  # left and right, (n_frames, 21, 3)
    things: dict[str, tuple[np.ndarray, np.ndarray]]  # origin (n_frames, 3), rotation to world
    solids: Solids


def build_scene(settings: StandinSettings) -> Scene:
    """Return the scene that settings ask for, whose script must be usable."""
    script = load_script(settings.script)
    rng = np.random.default_rng([settings.seed, 1])
    size = 1.005 + settings.variety * rng.uniform(-0.02, 0.02)
    hand_scale = 1.0 + settings.variety * rng.uniform(-0.05, 0.05)
    places = homes(rng, settings.variety)
    plan = choreograph(script, settings.frames, places, hand_scale, settings.fps)
    wearer = Wearer.draw(plan, size, rng)
    time_s = np.arange(settings.frames) / settings.fps
    position, rotation = wearer.rig(time_s)
    rig = Transform(rotation, position, RIG, "world").inverse()
    body, hands = wearer.body(time_s)
    things = _things(plan, time_s, hands)
    solids = _Assembly(plan, time_s, things, rng).solids(body, hands)
    return Scene(plan, wearer, time_s, rig, body, hands, things, solids)


def _things(plan: Choreography, time_s: np.ndarray, hands: dict[str, np.ndarray]) -> dict:
    """Return origin and rotation of each thing over time, from who holds it when."""
    n_frames = len(time_s)
    poses = {
        name: (np.tile(place, (n_frames, 1)), np.tile(np.eye(3), (n_frames, 1, 1)))
        for name, place in plan.homes.items()
    }
    rotations = {side: hand_rotation(plan.hands[side].angles(time_s)) for side in SIDES}
    for hold in plan.holds:
        first, last = np.searchsorted(time_s, [hold.start_s, hold.end_s])
        turn = rotations[hold.hand][first:last] @ hand_rotation(hold.angles).T
        wrist = hands[hold.hand][first:last, 0]
        for name in hold.names:
            origin, rotation = poses[name]
            origin[first:last] = wrist + turn @ (hold.before[name] - hold.wrist)
            rotation[first:last] = turn
            if hold.after:
                origin[last:] = hold.after[name]
    return poses


class _Assembly:
    """Collects solids one by one."""

    def __init__(
        self, plan: Choreography, time_s: np.ndarray, things: dict, rng: np.random.Generator
    ):
        self.plan, self.time_s, self.things = plan, time_s, things
        self.rows: list[tuple] = []
        self.sleeve = tuple(rng.uniform(0.15, 0.55, 3))
        self.skin = tuple(np.array([0.80, 0.58, 0.46]) * rng.uniform(0.6, 1.15))

    def add(self, owner: str, kind: int, ends: tuple, radii: Any, looks: tuple) -> None:
        """Add a solid; ends and radii are constant or hold one row per frame."""
        geometry = np.empty((len(self.time_s), 8), dtype=np.float32)
        geometry[:, :3], geometry[:, 3:6] = ends
        geometry[:, 6:] = radii
        self.rows.append((owner, kind, looks, geometry))

    def rod(self, owner: str, ends: tuple, radii: Any, colour: tuple, texture: int = PLAIN) -> None:
        """Add a capsule of one colour."""
        self.add(owner, CAPSULE, ends, radii, (*colour, *colour, texture))

    def solids(self, body: np.ndarray, hands: dict[str, np.ndarray]) -> Solids:
        """Return everything in one table."""
        for solid in FURNITURE:
            owner = "table" if solid is FURNITURE[0] else "furniture"
            self.add(owner, solid.kind, (solid.a, solid.b), solid.radius_m, solid.looks)
        for name in KITCHEN:
            self._thing(name)
        self._crank(hands)
        for pouring in self.plan.pourings:
            self._poured(pouring)
        self._body(body)
        for side in SIDES:
            self._hand(side, hands[side])
        owner, kind, looks, geometry = zip(*self.rows, strict=True)
        looks = np.array(looks, dtype=np.float32)
        return Solids(list(owner), np.array(kind), looks, np.stack(geometry, axis=1))

    def _thing(self, name: str) -> None:
        origin, rotation = self.things[name]
        for solid in KITCHEN[name].solids:
            ends = tuple(
                origin + rotation @ np.array(end, dtype=float) for end in (solid.a, solid.b)
            )
            radii = np.tile(solid.radius_m, (len(self.time_s), 1))
            if filled_by := FILLS.get((name, solid.b[2])):
                radii[: self._filled(filled_by)] = 0
            self.add(name, solid.kind, ends, radii, solid.looks)

    def _filled(self, into: str) -> int:
        """Return the frame from which a liquid can be seen in a thing."""
        liquids = [p for p in self.plan.pourings if p.into == into and p.source != "tin"]
        seen_s = min((pouring.start_s + 1.0 for pouring in liquids), default=np.inf)
        return int(np.searchsorted(self.time_s, seen_s))

    def _crank(self, hands: dict[str, np.ndarray]) -> None:
        top = self.plan.homes["grinder"] + np.array([0, 0, CRANK_HEIGHT_M - 0.02])
        angle = np.zeros(len(self.time_s))
        grip = hands["right"][:, [4, 8]].mean(1) - top
        for start_s, end_s in self.plan.cranks:
            first, last = np.searchsorted(self.time_s, [start_s + 0.4, end_s - 0.4])
            if last > first:
                angle[first:last] = np.arctan2(grip[first:last, 1], grip[first:last, 0])
                angle[last:] = angle[last - 1]
        knob = top + np.column_stack([np.cos(angle), np.sin(angle), 0 * angle]) * CRANK_M
        up = np.array([0.0, 0.0, 0.024])
        self.rod("grinder", (top, knob), 0.006, (0.7, 0.72, 0.75), METAL)
        self.rod("grinder", (knob, knob + up), 0.011, (0.25, 0.14, 0.07))

    def _poured(self, pouring: Pouring) -> None:
        colour, radius = _POURED.get(pouring.source, _POURED[None])
        origin, rotation = self.things[pouring.source]
        lip = origin + rotation @ np.array(KITCHEN[pouring.source].lip)
        foot = self.things[pouring.into][0] + np.array(KITCHEN[pouring.into].mouth)
        foot = np.column_stack([lip[:, 0] * 0.6 + foot[:, 0] * 0.4, lip[:, 1], foot[:, 2] - 0.02])
        runs = (self.time_s >= pouring.start_s) & (self.time_s < pouring.end_s)
        self.rod("stream", (lip, foot), np.where(runs, radius, 0.0)[:, None], colour)

    def _body(self, body: np.ndarray) -> None:
        trousers = (0.20, 0.24, 0.34)
        chest = body[:, 6] * 0.4 + body[:, 9] * 0.6 - np.array([0, 0.02, 0])
        self.rod("torso", (body[:, 0], chest), 0.11, self.sleeve)
        for side in (0, 1):
            hip, knee, ankle, toe, shoulder, elbow, wrist = (
                body[:, joint + side] for joint in (1, 4, 7, 10, 16, 18, 20)
            )
            cuff = elbow + 0.62 * (wrist - elbow)
            self.rod("leg", (hip, knee), 0.075, trousers)
            self.rod("leg", (knee, ankle), 0.055, trousers)
            self.rod("shoe", (ankle, toe), 0.045 * 0.8, (0.1, 0.1, 0.1))
            self.rod("sleeve", (shoulder, elbow), 0.045, self.sleeve)
            self.rod("sleeve", (elbow, cuff), 0.040, self.sleeve)
            self.rod("arm", (cuff, wrist), 0.027, self.skin)

    def _hand(self, side: str, joints: np.ndarray) -> None:
        dark = tuple(0.86 * c for c in self.skin)
        for number, (parent, joint) in enumerate(MANO_BONES):
            finger = number // 4
            radius = 0.0145 if parent == 0 else _FINGER_M[finger]
            colour = self.skin if finger % 2 else dark
            self.rod(f"{side}_hand", (joints[:, parent], joints[:, joint]), radius, colour)


def distance(points: np.ndarray, kind: int, geometry: np.ndarray) -> np.ndarray:
    """Return how far points are from one solid's surface in metres, negative inside.

    Points have shape (n_frames, k, 3), the solid's geometry (n_frames, 8). Infinite where the solid
    is hidden. A cone's slant is taken as steep.
    """
    a, b = geometry[:, None, :3], geometry[:, None, 3:6]
    if kind == BOX:
        q = np.abs(points - (a + b) / 2) - (b - a) / 2
        outside = np.linalg.norm(np.maximum(q, 0), axis=-1)
        return outside + np.minimum(q.max(-1), 0)
    axis = b - a
    length = np.maximum(np.linalg.norm(axis, axis=-1), 1e-9)  # (n_frames, 1)
    along = ((points - a) * axis).sum(-1) / length
    share = np.clip(along / length, 0, 1)
    radius = geometry[:, 6:7] + share * (geometry[:, 7:8] - geometry[:, 6:7])
    if kind == CAPSULE:
        near = np.linalg.norm(points - a - share[..., None] * axis, axis=-1) - radius
    else:
        away = points - a - (along / length)[..., None] * axis
        side = np.linalg.norm(away, axis=-1) - radius
        end = np.abs(along - length / 2) - length / 2
        near = np.hypot(np.maximum(side, 0), np.maximum(end, 0))
        near += np.minimum(np.maximum(side, end), 0)
    return np.where(geometry[:, 6:].max(1)[:, None] > 0, near, np.inf)


def nearest(scene: Scene, points: np.ndarray, owners: Iterable[str]) -> np.ndarray:
    """Return the distance of points, shape (n_frames, k, 3), to the nearest solid of some owners.

    Solids more than 5 cm away are passed over; infinite where none is nearer.
    """
    best = np.full(points.shape[:2], np.inf)
    owners, middle = set(owners), points.mean(1)
    spread = np.linalg.norm(points - middle[:, None], axis=-1).max(1)
    for number, owner in enumerate(scene.solids.owner):
        if owner not in owners:
            continue
        geometry = scene.solids.geometry[:, number].astype(np.float64)
        half = np.linalg.norm(geometry[:, 3:6] - geometry[:, :3], axis=-1) / 2
        away = np.linalg.norm(middle - (geometry[:, :3] + geometry[:, 3:6]) / 2, axis=-1)
        close = away < spread + half + geometry[:, 6:].max(1) + _NEAR_M
        found = distance(points[close], scene.solids.kind[number], geometry[close])
        best[close] = np.minimum(best[close], found)
    return best
