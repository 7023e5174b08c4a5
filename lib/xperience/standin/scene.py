"""The scene of an episode: every solid in every frame, and the distances and contacts in it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xperience.recording.geometry import MANO_BONES
from xperience.standin.choreography import CRANK_HEIGHT_M, CRANK_M, choreograph
from xperience.standin.hands import hand_rotation
from xperience.standin.kitchen import (
    BOX,
    CAPSULE,
    FILLS,
    FURNITURE,
    KITCHEN,
    METAL,
    PLAIN,
    Solid,
    homes,
)
from xperience.standin.plan import Plan, Stream
from xperience.standin.script import load_script
from xperience.standin.settings import StandinSettings
from xperience.standin.wearer import SIDES, Wearer

STREAM_COLOURS = {
    "carafe": ((0.22, 0.11, 0.05), 0.006),
    "tin": ((0.27, 0.15, 0.08), 0.010),
    None: ((0.62, 0.82, 0.98), 0.006),
}
_FINGER_M = {0: 0.0095, 1: 0.0085, 2: 0.0085, 3: 0.0082, 4: 0.0075}
_NEAR_M = 0.05
_TORSO, _LEGS, _SHOES = 0.11, 0.075, 0.045


@dataclass
class Solids:
    """Solids and where they are.

    Parameters
    ----------
    owner : list of str, length n
        "table", a thing's name, "left_hand", "sleeve", "stream", …
    kind, texture : int array, shape (n,)
    colour, inner : float32 array, shape (n, 3)
        RGB in 0..1, of the outside and of the opening.
    geometry : float32 array, shape (n_frames, n, 8)
        Axis ends a and b and the radii at them, world axes, metres; radii 0 hide what is no box.
    """

    owner: list[str]
    kind: np.ndarray
    texture: np.ndarray
    colour: np.ndarray
    inner: np.ndarray
    geometry: np.ndarray


@dataclass(frozen=True)
class Scene:
    """A whole episode before any sensor has looked at it.

    Parameters
    ----------
    plan : Plan
    wearer : Wearer
    time_s : float array, shape (n_frames,)
        True time of each frame.
    body : float array, shape (n_frames, 52, 3)
    hands : dict of {"left", "right": float array, shape (n_frames, 21, 3)}
        World axes, metres.
    things : dict of {str: (float array (n_frames, 3), float array (n_frames, 3, 3))}
        Origin and rotation to world of each thing.
    solids : Solids
    """

    plan: Plan
    wearer: Wearer
    time_s: np.ndarray
    body: np.ndarray
    hands: dict[str, np.ndarray]
    things: dict[str, tuple[np.ndarray, np.ndarray]]
    solids: Solids

    def of_thing(self, name: str, point: tuple[float, float, float]) -> np.ndarray:
        """Return a point of a thing in world axes, shape (n_frames, 3)."""
        origin, rotation = self.things[name]
        return origin + rotation @ np.asarray(point)


def build_scene(settings: StandinSettings) -> Scene:
    """Return the scene that settings ask for.

    Raises
    ------
    ParamsError
        If the script cannot be used.
    """
    script = load_script(settings.script)
    rng = np.random.default_rng([settings.seed, 1])
    size = 1.005 + settings.variety * rng.uniform(-0.02, 0.02)
    hand_scale = 1.0 + settings.variety * rng.uniform(-0.05, 0.05)
    places = homes(rng, settings.variety)
    plan = choreograph(script, settings.frames, places, hand_scale, settings.fps)
    wearer = Wearer.draw(plan, size, rng)
    time_s = np.arange(settings.frames) / settings.fps
    body, hands = wearer.body(time_s)
    things = _things(plan, time_s, hands)
    solids = _Assembly(plan, time_s, things, rng).solids(body, hands)
    return Scene(plan, wearer, time_s, body, hands, things, solids)


def _things(plan: Plan, time_s: np.ndarray, hands: dict[str, np.ndarray]) -> dict:
    """Return origin and rotation of each thing over time, from who holds it when."""
    n_frames = len(time_s)
    poses = {
        name: (np.tile(place, (n_frames, 1)), np.tile(np.eye(3), (n_frames, 1, 1)))
        for name, place in plan.start_places.items()
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

    def __init__(self, plan: Plan, time_s: np.ndarray, things: dict, rng: np.random.Generator):
        self.plan, self.time_s, self.things = plan, time_s, things
        self.rows: list[tuple] = []
        self.sleeve = tuple(rng.uniform(0.15, 0.55, 3))
        self.skin = tuple(np.array([0.80, 0.58, 0.46]) * rng.uniform(0.6, 1.15))

    def add(self, owner: str, kind: int, ends: tuple, radii: Any, paint: tuple) -> None:
        """Add a solid; ends and radii are constant or hold one row a frame."""
        geometry = np.empty((len(self.time_s), 8), dtype=np.float32)
        geometry[:, :3], geometry[:, 3:6] = ends
        geometry[:, 6:] = radii
        colour, inner, texture = paint
        self.rows.append((owner, kind, texture, colour, inner or colour, geometry))

    def solids(self, body: np.ndarray, hands: dict[str, np.ndarray]) -> Solids:
        """Return everything in one table."""
        for solid in FURNITURE:
            owner = "table" if solid is FURNITURE[0] else "furniture"
            self.add(owner, solid.kind, (solid.a, solid.b), solid.radius_m, _paint(solid))
        for name in KITCHEN:
            self._thing(name)
        self._crank(hands)
        for stream in self.plan.streams:
            self._stream(stream)
        self._body(body)
        for side in SIDES:
            self._hand(side, hands[side])
        owner, kind, texture, colour, inner, geometry = zip(*self.rows, strict=True)
        return Solids(
            list(owner),
            np.array(kind),
            np.array(texture),
            np.array(colour, dtype=np.float32),
            np.array(inner, dtype=np.float32),
            np.stack(geometry, axis=1),  # (n_frames, n, 8)
        )

    def _thing(self, name: str) -> None:
        origin, rotation = self.things[name]
        for solid in KITCHEN[name].solids:
            ends = tuple(
                origin + rotation @ np.array(end, dtype=float) for end in (solid.a, solid.b)
            )
            radii = np.tile(solid.radius_m, (len(self.time_s), 1))
            filled_by = FILLS.get((name, solid.b[2]))
            if filled_by:
                radii[: self._filled(filled_by)] = 0
            self.add(name, solid.kind, ends, radii, _paint(solid))

    def _filled(self, into: str) -> int:
        times = [s.start_s + 1.0 for s in self.plan.streams if s.into == into and s.source != "tin"]
        return int(np.searchsorted(self.time_s, min(times, default=np.inf)))

    def _crank(self, hands: dict[str, np.ndarray]) -> None:
        top = self.plan.start_places["grinder"] + np.array([0, 0, CRANK_HEIGHT_M - 0.02])
        angle = np.zeros(len(self.time_s))
        grip = hands["right"][:, [4, 8]].mean(1) - top
        for start_s, end_s in self.plan.cranks:
            first, last = np.searchsorted(self.time_s, [start_s + 0.4, end_s - 0.4])
            if last > first:
                angle[first:last] = np.arctan2(grip[first:last, 1], grip[first:last, 0])
                angle[last:] = angle[last - 1]
        knob = top + np.column_stack([np.cos(angle), np.sin(angle), 0 * angle]) * CRANK_M
        up = np.array([0.0, 0.0, 0.024])
        self.add("grinder", CAPSULE, (top, knob), 0.006, _plain(0.7, 0.72, 0.75, METAL))
        self.add("grinder", CAPSULE, (knob, knob + up), 0.011, _plain(0.25, 0.14, 0.07))

    def _stream(self, stream: Stream) -> None:
        colour, radius = STREAM_COLOURS.get(stream.source, STREAM_COLOURS[None])
        origin, rotation = self.things[stream.source]
        lip = origin + rotation @ np.array(KITCHEN[stream.source].lip)
        foot = self.things[stream.into][0] + np.array(KITCHEN[stream.into].mouth)
        foot = np.column_stack([lip[:, 0] * 0.6 + foot[:, 0] * 0.4, lip[:, 1], foot[:, 2] - 0.02])
        runs = (self.time_s >= stream.start_s) & (self.time_s < stream.end_s)
        radii = np.where(runs, radius, 0.0)[:, None]
        self.add("stream", CAPSULE, (lip, foot), radii, _plain(*colour))

    def _body(self, body: np.ndarray) -> None:
        trousers, shirt = _plain(0.20, 0.24, 0.34), _plain(*self.sleeve)
        chest = body[:, 6] * 0.4 + body[:, 9] * 0.6 - np.array([0, 0.02, 0])
        self.add("torso", CAPSULE, (body[:, 0], chest), _TORSO, shirt)
        for k in (0, 1):
            self.add("leg", CAPSULE, (body[:, 1 + k], body[:, 4 + k]), _LEGS, trousers)
            self.add("leg", CAPSULE, (body[:, 4 + k], body[:, 7 + k]), 0.055, trousers)
            self.add(
                "shoe",
                CAPSULE,
                (body[:, 7 + k], body[:, 10 + k]),
                _SHOES * 0.8,
                _plain(0.1, 0.1, 0.1),
            )
            self.add("sleeve", CAPSULE, (body[:, 16 + k], body[:, 18 + k]), 0.045, shirt)
            elbow, wrist = body[:, 18 + k], body[:, 20 + k]
            cuff = elbow + 0.62 * (wrist - elbow)
            self.add("sleeve", CAPSULE, (elbow, cuff), 0.040, shirt)
            self.add("arm", CAPSULE, (cuff, wrist), 0.027, _plain(*self.skin))

    def _hand(self, side: str, joints: np.ndarray) -> None:
        dark = tuple(0.86 * c for c in self.skin)
        for number, (parent, joint) in enumerate(MANO_BONES):
            finger = number // 4
            ends = joints[:, parent], joints[:, joint]
            radius = 0.0145 if parent == 0 else _FINGER_M[finger]
            colour = self.skin if finger % 2 else dark
            self.add(f"{side}_hand", CAPSULE, ends, radius, _plain(*colour))


def _paint(solid: Solid) -> tuple:
    return solid.colour, solid.inner, solid.texture


def _plain(red: float, green: float, blue: float, texture: int = PLAIN) -> tuple:
    return (red, green, blue), None, texture


def distance(points: np.ndarray, kind: int, geometry: np.ndarray) -> np.ndarray:
    """Return how far points are from one solid's surface, negative inside.

    Parameters
    ----------
    points : float array, shape (n_frames, k, 3)
    kind : int
    geometry : float array, shape (n_frames, 8)

    Returns
    -------
    float array, shape (n_frames, k)
        Metres; infinite where the solid is hidden. A cone's slant is taken as steep.
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
        kind = scene.solids.kind[number]
        geometry = scene.solids.geometry[:, number].astype(np.float64)
        half = np.linalg.norm(geometry[:, 3:6] - geometry[:, :3], axis=-1) / 2
        away = np.linalg.norm(middle - (geometry[:, :3] + geometry[:, 3:6]) / 2, axis=-1)
        close = away < spread + half + geometry[:, 6:].max(1) + _NEAR_M
        found = distance(points[close], kind, geometry[close])
        best[close] = np.minimum(best[close], found)
    return best
