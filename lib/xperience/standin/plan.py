"""The bookkeeping of a choreography: hands, what they hold, where the wearer stands and looks."""

from dataclasses import dataclass, field

import numpy as np

from xperience.standin.hands import grip_point, hand_rotation
from xperience.standin.kitchen import KITCHEN, TABLE_HEIGHT_M
from xperience.standin.motion import Track

POWER_CLOSURE, PINCH_CLOSURE, IDLE_CLOSURE = 0.85, 0.55, 0.25
_SIGN = {"left": -1.0, "right": 1.0}
_STAND_M = 0.10  # half the distance between the feet


@dataclass(frozen=True)
class Event:
    """A sound and the true time at which it happens, in seconds from the first frame."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Stream:
    """Something that runs from one thing's lip into another's mouth."""

    source: str
    into: str
    start_s: float
    end_s: float


@dataclass
class Hold:
    """A hand carries things from one instant to another.

    Parameters
    ----------
    names : tuple of str
        The thing taken and what stands on it.
    hand : {"left", "right"}
    start_s, end_s : float
    wrist : float array, shape (3,)
        Wrist at the start, world axes, metres.
    angles : float array, shape (3,)
        Hand angles at the start.
    before, after : dict of {str: float array, shape (3,)}
        Where the things stood and where they will stand.
    """

    names: tuple[str, ...]
    hand: str
    start_s: float
    end_s: float
    wrist: np.ndarray
    angles: np.ndarray
    before: dict[str, np.ndarray]
    after: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class Hand:
    """The plan of one hand."""

    side: str
    wrist: Track
    angles: Track
    closure: Track
    hold: Hold | None = None

    @property
    def sign(self) -> float:
        """Return +1 on the right, -1 on the left."""
        return _SIGN[self.side]

    def grasp_angles(self, power: bool) -> np.ndarray:
        """Return (yaw, pitch, roll) for taking something."""
        if power:
            return np.array([0.0, 0.0, self.sign * np.pi / 2])
        return np.array([self.sign * 0.25, -0.75, 0.0])


@dataclass
class Plan:
    """Everything that will happen, as tracks, holds, streams and events.

    Parameters
    ----------
    places : dict of {str: float array, shape (3,)}
        Where each thing stands, world axes, metres; the planner moves them on.
    hand_scale : float
        Size of the hands against average ones.
    """

    places: dict[str, np.ndarray]
    hand_scale: float
    events: list[Event] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    cranks: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start_places = {name: place.copy() for name, place in self.places.items()}
        self.homes = self.start_places
        self.support = {"kettle": "base", "dripper": "carafe"}
        self.base = Track(np.zeros(2))
        self.gaze = Track(np.array([0.0, 0.40, TABLE_HEIGHT_M + 0.05]))
        self.feet = {side: Track(np.array([_SIGN[side] * _STAND_M, 0.0, 0.0])) for side in _SIGN}
        self.hands = {
            side: Hand(
                side, Track(self.idle_wrist(side)), Track([0.0, -0.35, sign * 0.5]), Track([0.25])
            )
            for side, sign in _SIGN.items()
        }

    # -- places ------------------------------------------------------------------------------

    def idle_wrist(self, side: str) -> np.ndarray:
        """Return where a resting hand hovers, shape (3,)."""
        x, y = self.base.value
        return np.array([x + 0.20 * _SIGN[side], y + 0.13, TABLE_HEIGHT_M + 0.19])

    def point(self, name: str, which: str) -> np.ndarray:
        """Return a thing's grip, lip, mouth or seat in world axes, shape (3,), upright."""
        return self.places[name] + np.array(getattr(KITCHEN[name], which))

    def wrist_for(self, hand: Hand, grip: np.ndarray, angles: np.ndarray, power: bool):
        """Return where the wrist must be for the hand to hold the point ``grip``, shape (3,)."""
        closure = POWER_CLOSURE if power else PINCH_CLOSURE
        local = grip_point(power, closure, hand.side, self.hand_scale)
        return grip - hand_rotation(angles) @ local

    def carried(self, name: str) -> tuple[str, ...]:
        """Return a thing and whatever stands in or on it."""
        riders = [other for other, below in self.support.items() if below == name]
        return (name, *(n for rider in riders for n in self.carried(rider)))

    # -- the hands ---------------------------------------------------------------------------

    def travel(self, hand: Hand, span: tuple[float, float], wrist, angles=None) -> None:
        """Bring a wrist to a place over a span of time, in an arc if it is far."""
        far = float(np.linalg.norm(np.asarray(wrist) - hand.wrist.value))
        hand.wrist.to(*span, wrist)
        if angles is not None:
            hand.angles.to(*span, angles)
        if far > 0.15:
            bump, half = np.array([0.0, -0.25, 0.5]) * min(far * 0.3, 0.10), np.mean(span)
            hand.wrist.moves.append((span[0], half - span[0], bump))
            hand.wrist.moves.append((half, span[1] - half, -bump))

    def reach(self, hand: Hand, grip: np.ndarray, power: bool, span: tuple[float, float]) -> None:
        """Bring an open hand to a grip and close it; it holds at the span's end."""
        start, end = span
        angles = hand.grasp_angles(power)
        wrist = self.wrist_for(hand, grip, angles, power)
        back = np.array([hand.sign * 0.02, -0.06, 0.02]) if power else np.array([0, -0.02, 0.06])
        near = start + 0.65 * (end - start)
        self.travel(hand, (start, near), wrist + back, angles)
        hand.closure.to(start, near, 0.30)
        hand.wrist.to(near, end - 0.08 * (end - start), wrist)
        hand.closure.to(near, end, POWER_CLOSURE if power else PINCH_CLOSURE)

    def grasp(self, hand: Hand, name: str, time_s: float) -> None:
        """Let a hand that has reached a thing carry it from now on."""
        names = self.carried(name)
        before = {n: self.places[n].copy() for n in names}
        wrist, angles = hand.wrist.value.copy(), hand.angles.value.copy()
        hand.hold = Hold(names, hand.side, time_s, np.inf, wrist, angles, before)
        self.holds.append(hand.hold)

    def release(self, hand: Hand, time_s: float, place: np.ndarray) -> None:
        """Let go of what a hand carries, at a place."""
        hold = hand.hold
        shift = place - hold.before[hold.names[0]]
        hold.end_s = time_s
        hold.after = {name: hold.before[name] + shift for name in hold.names}
        self.places.update({name: spot.copy() for name, spot in hold.after.items()})
        hand.hold = None

    def carry(self, hand: Hand, span: tuple[float, float], place: np.ndarray) -> None:
        """Bring the held thing's origin to a place, upright."""
        hold = hand.hold
        wrist = hold.wrist + place - hold.before[hold.names[0]]
        self.travel(hand, span, wrist, hold.angles)

    def tilt(self, hand: Hand, span: tuple[float, float], lip: np.ndarray, turn) -> None:
        """Bring the held thing's lip to a point while its hand turns by (yaw, pitch, roll)."""
        hold, angles = hand.hold, hand.hold.angles + np.asarray(turn)
        rotation = hand_rotation(angles) @ hand_rotation(hold.angles).T
        origin = hold.before[hold.names[0]] - hold.wrist
        arm = rotation @ (origin + np.array(KITCHEN[hold.names[0]].lip))
        self.travel(hand, span, lip - arm, angles)

    def rest(self, hand: Hand, span: tuple[float, float]) -> None:
        """Let an empty hand go back to hovering before the wearer."""
        self.travel(hand, span, self.idle_wrist(hand.side), [0.0, -0.35, hand.sign * 0.5])
        hand.closure.to(*span, IDLE_CLOSURE)

    # -- the rest of the body ----------------------------------------------------------------

    def attend(self, start_s: float, length_s: float, focus: np.ndarray) -> None:
        """Look at a point and step in front of it."""
        quick = float(np.clip(0.4 * length_s, 0.45, 0.9))
        self.gaze.to(start_s, start_s + quick, focus)
        goal = np.array([np.clip(0.7 * focus[0], -0.3, 0.3), np.clip(focus[1] - 0.38, 0, 0.05)])
        if np.abs(goal - self.base.value).max() > 0.03:
            self._step(start_s, start_s + float(np.clip(0.5 * length_s, 0.8, 1.4)), goal)

    def _step(self, start_s: float, end_s: float, goal: np.ndarray) -> None:
        first = "right" if goal[0] > self.base.value[0] else "left"
        length = end_s - start_s
        self.base.to(start_s, end_s, goal)
        for side in (first, "left" if first == "right" else "right"):
            begin = start_s if side == first else start_s + 0.5 * length
            foot, landing = self.feet[side], begin + 0.5 * length
            foot.to(begin, landing, [goal[0] + _SIGN[side] * _STAND_M, goal[1], 0.0])
            lift, middle = np.array([0.0, 0.0, 0.05]), begin + 0.25 * length
            foot.moves.append((begin, 0.25 * length, lift))
            foot.moves.append((middle, 0.25 * length, -lift))
            self.events.append(Event("footstep", landing, landing + 0.12))
