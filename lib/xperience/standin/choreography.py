"""From a script to a choreography: what each move of a timeline file means for hands and things.

Everything that will happen is planned as smooth tracks of hands, feet and gaze, as holds of things,
and as the sounds that go with them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from xperience.standin.kitchen import KITCHEN, TABLE_HEIGHT_M
from xperience.standin.script import Move, Script
from xperience.standin.wearer import Track, grip_point, hand_rotation

POUR_HEIGHT_M = 0.085
CRANK_M, CRANK_HEIGHT_M, CRANK_HZ = 0.055, 0.185, 0.9
POWER_CLOSURE, PINCH_CLOSURE, IDLE_CLOSURE = 0.85, 0.55, 0.25

_SIGN = {"left": -1.0, "right": 1.0}
_STAND_M = 0.10  # half the distance between the feet
_TILT_RAD = {"kettle": 0.55, "tin": 1.75}
_UP = np.array([0.0, 0.0, 1.0])

Interval = tuple[float, float]


@dataclass(frozen=True)
class SoundEvent:
    """A sound and the true time at which it happens, in seconds from the first frame."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Pouring:
    """Something runs from one thing's lip into another's mouth."""

    source: str
    into: str
    start_s: float
    end_s: float


@dataclass
class Hold:
    """A hand carries things from one instant to another."""

    names: tuple[str, ...]  # the thing taken and what stands on it
    hand: str
    start_s: float
    end_s: float
    wrist: np.ndarray  # (3,), at the start, world axes
    angles: np.ndarray  # (3,), at the start: yaw, pitch, roll
    before: dict[str, np.ndarray]  # where the things stood
    after: dict[str, np.ndarray] = field(default_factory=dict)  # and where they will stand


@dataclass
class Hand:
    """The plan of one hand; ``sign`` is +1 on the right, -1 on the left."""

    side: str
    sign: float
    wrist: Track
    angles: Track
    closure: Track
    hold: Hold | None = None

    def grasp_angles(self, power: bool) -> np.ndarray:
        """Return (yaw, pitch, roll) for taking something."""
        if power:
            return np.array([0.0, 0.0, self.sign * np.pi / 2])
        return np.array([self.sign * 0.25, -0.75, 0.0])


class Choreography:
    """Everything that will happen, as tracks, holds, pourings and sounds.

    At the start each thing stands at its home, world axes, shape (3,); hands are ``hand_scale``
    times as large as average ones.
    """

    def __init__(self, homes: dict[str, np.ndarray], hand_scale: float):
        self.homes, self.hand_scale = homes, hand_scale
        self.places = {name: place.copy() for name, place in homes.items()}
        self.events: list[SoundEvent] = []
        self.pourings: list[Pouring] = []
        self.holds: list[Hold] = []
        self.cranks: list[Interval] = []
        self.support = {"kettle": "base", "dripper": "carafe"}
        self.base = Track(np.zeros(2))
        self.gaze = Track(np.array([0.0, 0.40, TABLE_HEIGHT_M + 0.05]))
        self.feet = {side: Track([sign * _STAND_M, 0.0, 0.0]) for side, sign in _SIGN.items()}
        self.hands = {}
        for side, sign in _SIGN.items():
            wrist, angles = Track(self.idle_wrist(side)), Track([0.0, -0.35, sign * 0.5])
            self.hands[side] = Hand(side, sign, wrist, angles, Track([IDLE_CLOSURE]))

    def sound(self, name: str, start_s: float, end_s: float) -> None:
        """Add a sound."""
        self.events.append(SoundEvent(name, start_s, end_s))

    def end_hum(self, time_s: float) -> None:
        """Let the kettle fall still if it hums."""
        for number, event in enumerate(self.events):
            if event.name == "hum" and event.end_s == np.inf:
                self.events[number] = SoundEvent("hum", event.start_s, max(time_s, event.start_s))

    def idle_wrist(self, side: str) -> np.ndarray:
        """Return where a resting hand hovers, shape (3,)."""
        x, y = self.base.value
        return np.array([x + 0.20 * _SIGN[side], y + 0.13, TABLE_HEIGHT_M + 0.19])

    def point(self, name: str, which: str) -> np.ndarray:
        """Return a thing's grip, lip, mouth or seat in world axes, shape (3,), upright."""
        return self.places[name] + np.array(getattr(KITCHEN[name], which))

    def wrist_for(self, hand: Hand, grip: np.ndarray, power: bool) -> np.ndarray:
        """Return where the wrist must be for the hand to hold the point ``grip``, shape (3,)."""
        closure = POWER_CLOSURE if power else PINCH_CLOSURE
        local = grip_point(power, closure, hand.side, self.hand_scale)
        return grip - hand_rotation(hand.grasp_angles(power)) @ local

    def travel(self, hand: Hand, span: Interval, wrist, angles=None) -> None:
        """Bring a wrist to a place over a span of time, in an arc if it is far."""
        far = float(np.linalg.norm(np.asarray(wrist) - hand.wrist.value))
        hand.wrist.to(*span, wrist)
        if angles is not None:
            hand.angles.to(*span, angles)
        if far > 0.15:
            bump, half = np.array([0.0, -0.25, 0.5]) * min(far * 0.3, 0.10), np.mean(span)
            hand.wrist.moves.append((span[0], half - span[0], bump))
            hand.wrist.moves.append((half, span[1] - half, -bump))

    def reach(self, hand: Hand, grip: np.ndarray, power: bool, span: Interval) -> None:
        """Bring an open hand to a grip and close it; it holds at the span's end."""
        start, end = span
        wrist = self.wrist_for(hand, grip, power)
        back = np.array([hand.sign * 0.02, -0.06, 0.02]) if power else np.array([0, -0.02, 0.06])
        near = start + 0.65 * (end - start)
        self.travel(hand, (start, near), wrist + back, hand.grasp_angles(power))
        hand.closure.to(start, near, 0.30)
        hand.wrist.to(near, end - 0.08 * (end - start), wrist)
        hand.closure.to(near, end, POWER_CLOSURE if power else PINCH_CLOSURE)

    def grasp(self, hand: Hand, name: str, time_s: float) -> None:
        """Let a hand that has reached a thing carry it, and what stands on it, from now on."""
        names = self._with_riders(name)
        before = {n: self.places[n].copy() for n in names}
        wrist, angles = hand.wrist.value.copy(), hand.angles.value.copy()
        hand.hold = Hold(names, hand.side, time_s, np.inf, wrist, angles, before)
        self.holds.append(hand.hold)

    def _with_riders(self, name: str) -> tuple[str, ...]:
        riders = [other for other, below in self.support.items() if below == name]
        return (name, *(n for rider in riders for n in self._with_riders(rider)))

    def release(self, hand: Hand, time_s: float, place: np.ndarray) -> None:
        """Let go of what a hand carries, at a place."""
        hold, hand.hold = hand.hold, None
        shift = place - hold.before[hold.names[0]]
        hold.end_s = time_s
        hold.after = {name: hold.before[name] + shift for name in hold.names}
        self.places.update({name: spot.copy() for name, spot in hold.after.items()})

    def carry(self, hand: Hand, span: Interval, place: np.ndarray) -> None:
        """Bring the held thing's origin to a place, upright."""
        hold = hand.hold
        wrist = hold.wrist + place - hold.before[hold.names[0]]
        self.travel(hand, span, wrist, hold.angles)

    def tilt(self, hand: Hand, span: Interval, lip: np.ndarray, turn) -> None:
        """Bring the held thing's lip to a point while its hand turns by (yaw, pitch, roll)."""
        hold, angles = hand.hold, hand.hold.angles + np.asarray(turn)
        rotation = hand_rotation(angles) @ hand_rotation(hold.angles).T
        origin = hold.before[hold.names[0]] - hold.wrist
        arm = rotation @ (origin + np.array(KITCHEN[hold.names[0]].lip))
        self.travel(hand, span, lip - arm, angles)

    def rest(self, hand: Hand, span: Interval) -> None:
        """Let an empty hand go back to hovering before the wearer."""
        self.travel(hand, span, self.idle_wrist(hand.side), [0.0, -0.35, hand.sign * 0.5])
        hand.closure.to(*span, IDLE_CLOSURE)

    def attend(self, start_s: float, length_s: float, focus: np.ndarray) -> None:
        """Look at a point and step in front of it."""
        quick = float(np.clip(0.4 * length_s, 0.45, 0.9))
        self.gaze.to(start_s, start_s + quick, focus)
        goal = np.array([np.clip(0.7 * focus[0], -0.3, 0.3), np.clip(focus[1] - 0.38, 0, 0.05)])
        if np.abs(goal - self.base.value).max() > 0.03:
            self._step(start_s, start_s + float(np.clip(0.5 * length_s, 0.8, 1.4)), goal)

    def _step(self, start_s: float, end_s: float, goal: np.ndarray) -> None:
        length = end_s - start_s
        order = ("right", "left") if goal[0] > self.base.value[0] else ("left", "right")
        self.base.to(start_s, end_s, goal)
        for side, begin in zip(order, (start_s, start_s + 0.5 * length), strict=True):
            foot, landing = self.feet[side], begin + 0.5 * length
            foot.to(begin, landing, [goal[0] + _SIGN[side] * _STAND_M, goal[1], 0.0])
            lift, middle = np.array([0.0, 0.0, 0.05]), begin + 0.25 * length
            foot.moves.append((begin, 0.25 * length, lift))
            foot.moves.append((middle, 0.25 * length, -lift))
            self.sound("footstep", landing, landing + 0.12)


def choreograph(
    script: Script, n_frames: int, homes: dict[str, np.ndarray], hand_scale: float, fps: float
) -> Choreography:
    """Return the choreography of a whole episode; see `Choreography` for homes and scale."""
    plan = Choreography(homes, hand_scale)
    for span in script.spans(n_frames):
        start_s, end_s = span.start / fps, (span.end + 1) / fps
        if span.action is None:
            for hand in plan.hands.values():
                if hand.hold is None:
                    plan.rest(hand, (start_s, end_s))
            continue
        moves = span.action.moves
        parts = _parts((start_s, end_s), *(move.part for move in moves))
        for move, part in zip(moves, parts, strict=True):
            _perform(plan, move, part)
    plan.end_hum(n_frames / fps)
    return plan


def _perform(plan: Choreography, move: Move, span: Interval) -> None:
    hand = plan.hands[move.hand]
    other = plan.hands["left" if move.hand == "right" else "right"]
    if move.move == "put" and move.at is None:
        focus = plan.homes[move.object]
    else:
        focus = plan.places[move.into or move.at or move.object]
    plan.attend(span[0], span[1] - span[0], focus + 0.06 * _UP)
    if other.hold is None and move.move not in {"fold", "crank"}:
        plan.rest(other, _capped(span, 1.0))
    DOES[move.move](plan, hand, move, span)


def _parts(span: Interval, *shares: float) -> list[Interval]:
    """Return consecutive spans in proportion to shares."""
    edges = span[0] + (span[1] - span[0]) * np.cumsum([0.0, *shares]) / sum(shares)
    return [(float(a), float(b)) for a, b in pairwise(edges)]


def _capped(span: Interval, length_s: float) -> Interval:
    """Return the span, cut to at most a length: nobody reaches in slow motion."""
    return span[0], min(span[1], span[0] + length_s)


def _holding(plan: Choreography, hand: Hand, name: str, span: Interval) -> Interval:
    """Make sure that a hand holds a thing; return what is left of the span."""
    for each in plan.hands.values():
        if each.hold and (each is hand) != (name in each.hold.names):
            clear, span = _parts(span, 1, 3)
            _put_down(plan, each, plan.homes[each.hold.names[0]], clear)
    if hand.hold is None:
        reach, lift, span = _parts(span, 3, 2, 7)
        _take_up(plan, hand, name, reach, lift)
    return span


def _take_up(plan: Choreography, hand: Hand, name: str, reach: Interval, lift: Interval) -> None:
    reach = _capped(reach, 1.6)
    plan.reach(hand, plan.point(name, "grip"), KITCHEN[name].power, reach)
    plan.grasp(hand, name, reach[1])
    plan.support.pop(name, None)
    plan.sound("touch", reach[1], reach[1] + 0.05)
    if name == "kettle":
        plan.end_hum(reach[1])
    lift = _capped((reach[1], lift[1]), 1.2)
    plan.carry(hand, lift, plan.places[name] + np.array([0.0, -0.03, 0.10]))


def _put_down(plan: Choreography, hand: Hand, place: np.ndarray, span: Interval) -> None:
    over, lower, open_, back = _parts(span, 5, 3, 1, 3)
    over = _capped(over, 1.6)
    lower = _capped((over[1], lower[1]), 1.0)
    open_ = _capped((lower[1], open_[1]), 0.3)
    back = _capped((open_[1], back[1]), 1.5)
    power = KITCHEN[hand.hold.names[0]].power
    plan.carry(hand, over, place + 0.05 * _UP)
    plan.carry(hand, lower, place)
    plan.release(hand, lower[1], place)
    plan.sound("clink", lower[1], lower[1] + 0.35)
    hand.closure.to(*open_, 0.3)
    away = np.array([hand.sign * 0.03, -0.09, 0.03] if power else [0.0, -0.04, 0.08])
    hand.wrist.to(open_[0], back[0] + 0.3 * (back[1] - back[0]), hand.wrist.value + away)
    plan.rest(hand, (back[0] + 0.2 * (back[1] - back[0]), back[1]))


def _take(plan: Choreography, hand: Hand, move: Move, span: Interval) -> None:
    held = hand.hold.names if hand.hold else ()
    if move.object in held:
        return
    if held or any(move.object in each.hold.names for each in plan.hands.values() if each.hold):
        _holding(plan, hand, move.object, span)
    else:
        _take_up(plan, hand, move.object, *_parts(span, 3, 2))


def _put(plan: Choreography, hand: Hand, move: Move, span: Interval) -> None:
    span = _holding(plan, hand, move.object, span)
    if move.at is None:
        place = plan.homes[move.object]
        below = "base" if move.object == "kettle" else None
    else:
        place, below = plan.point(move.at, "seat"), move.at
    _put_down(plan, hand, place, span)
    if below:
        plan.support[move.object] = below


def _pour(plan: Choreography, hand: Hand, move: Move, span: Interval) -> None:
    span = _holding(plan, hand, move.object, span)
    turn = np.array([0.0, 0.0, -hand.sign * _TILT_RAD.get(move.object, 1.15)])
    mouth = plan.point(move.into, "mouth")
    hover, tip, run, back = _parts(span, 22, 14, 54, 14)
    hover = _capped(hover, 1.7)
    tip = _capped((hover[1], tip[1]), 1.2)
    run, back = (tip[1], run[1]), _capped(back, 1.5)
    plan.tilt(hand, hover, mouth + np.array([hand.sign * 0.02, 0, 0.13]), turn * 0.15)
    plan.tilt(hand, tip, mouth + POUR_HEIGHT_M * _UP, turn)
    if move.circle_m:
        hand.wrist.circle(run, 0.45, move.circle_m)
    plan.tilt(hand, back, mouth + np.array([hand.sign * 0.05, -0.01, 0.14]), turn * 0.0)
    start, end = tip[0] + 0.75 * (tip[1] - tip[0]), back[0] + 0.25 * (back[1] - back[0])
    plan.pourings.append(Pouring(move.object, move.into, start, end))
    plan.sound("powder" if move.object == "tin" else "pour", start, end)


def _press(plan: Choreography, hand: Hand, move: Move, span: Interval) -> None:
    go, down, up, back = _parts(span, 4, 1, 1, 4)
    wrist = plan.wrist_for(hand, plan.point(move.object, "grip"), False)
    plan.travel(hand, go, wrist + 0.03 * _UP, hand.grasp_angles(False))
    hand.closure.to(*go, 0.55)
    hand.wrist.to(*down, wrist)
    plan.sound("click", down[1], down[1] + 0.04)
    if move.object == "base":
        plan.sound("hum", down[1] + 0.3, np.inf)
    hand.wrist.to(*up, wrist + 0.03 * _UP)
    plan.rest(hand, back)


def _tap(plan: Choreography, hand: Hand, move: Move, span: Interval) -> None:
    go, knocks, back = _parts(span, 3, 4, 3)
    top = plan.point(move.object, "mouth") + np.array([0.035, 0.0, 0.0])
    wrist = plan.wrist_for(hand, top, False)
    plan.travel(hand, go, wrist + 0.04 * _UP, hand.grasp_angles(False))
    hand.closure.to(*go, 0.55)
    for knock in _parts(knocks, *[1] * max(1, int((knocks[1] - knocks[0]) / 0.5))):
        down, up = _parts(knock, 1, 1)
        hand.wrist.to(*down, wrist)
        hand.wrist.to(*up, wrist + 0.04 * _UP)
        plan.sound("knock", down[1], down[1] + 0.12)
    plan.rest(hand, back)


def _crank(plan: Choreography, hand: Hand, move: Move, span: Interval) -> None:
    go, turns, back = _parts(span, 2, 10, 2)
    go = _capped(go, 2.0)
    turns = (go[1], max(turns[1], back[1] - 2.0))
    other = plan.hands["left" if hand.side == "right" else "right"]
    origin = plan.places[move.object]
    if other.hold is None:
        plan.reach(other, origin + np.array([other.sign * 0.052, -0.01, 0.06]), True, go)
        plan.rest(other, (turns[1], back[1]))
    plan.reach(hand, origin + CRANK_HEIGHT_M * _UP, False, go)
    hand.wrist.circle(turns, CRANK_HZ, CRANK_M)
    plan.cranks.append(turns)
    plan.sound("grind", turns[0] + 0.25, turns[1] - 0.25)
    plan.rest(hand, (turns[1], back[1]))


def _nudge(plan: Choreography, hand: Hand, move: Move, span: Interval) -> None:
    go, shake, back = _parts(span, 3, 4, 3)
    plan.reach(hand, plan.point(move.object, "grip"), KITCHEN[move.object].power, go)
    plan.grasp(hand, move.object, go[1])
    hand.wrist.wave(shake, 2.2, [0.006, 0, 0], [0, 0.003, 0])
    plan.sound("rustle", *shake)
    plan.release(hand, shake[1], plan.places[move.object].copy())
    plan.rest(hand, back)


def _fold(plan: Choreography, hand: Hand, move: Move, span: Interval) -> None:
    go, work, back = _parts(span, 3, 5, 2)
    for each in plan.hands.values():
        if each.hold is None:
            point = plan.places[move.object] + np.array([each.sign * 0.047, -0.01, 0.060])
            plan.reach(each, point, False, go)
            each.wrist.wave(work, 1.1, [0, 0, 0], [each.sign * 0.012, 0, 0.004])
            plan.rest(each, back)
    plan.sound("rustle", *work)


def _scoop(plan: Choreography, hand: Hand, move: Move, span: Interval) -> None:
    span = _holding(plan, hand, move.object, span)
    source, into = plan.point(move.source, "mouth"), plan.point(move.into, "mouth")
    turn = np.array([0.0, 0.0, hand.sign * 0.9])
    for cycle in _parts(span, *[1] * max(1, round((span[1] - span[0]) / 3.0))):
        over, dip, lift, go, tip, back = _parts(cycle, 5, 3, 3, 5, 3, 2)
        plan.tilt(hand, over, source + 0.05 * _UP, turn * 0)
        plan.tilt(hand, dip, source - 0.02 * _UP, turn * 0.2)
        plan.tilt(hand, lift, source + 0.06 * _UP, turn * 0)
        plan.tilt(hand, go, into + 0.05 * _UP, turn * 0)
        plan.tilt(hand, tip, into + 0.03 * _UP, turn)
        plan.sound("beans", tip[1] - 0.3 * (tip[1] - tip[0]), back[1])
        plan.tilt(hand, back, into + 0.06 * _UP, turn * 0)


def _sip(plan: Choreography, hand: Hand, move: Move, span: Interval) -> None:
    span = _holding(plan, hand, move.object, span)
    up, drink, down = _parts(span, 4, 3, 3)
    x, y = plan.base.value
    plan.tilt(hand, up, np.array([x, y + 0.24, 1.40]), [0.0, 0.35, 0.0])
    plan.sound("sip", *drink)
    plan.carry(hand, down, np.array([x, y + 0.30, TABLE_HEIGHT_M + 0.18]))


def _whirl(plan: Choreography, hand: Hand, move: Move, span: Interval) -> None:
    span = _holding(plan, hand, move.object, span)
    up, turns = _parts(span, 1, 5)
    up = _capped(up, 1.5)
    plan.carry(hand, up, plan.homes[move.object] + np.array([0.0, -0.04, 0.11]))
    hand.wrist.circle((up[1], turns[1]), 1.5, 0.024)
    plan.sound("slosh", up[1] + 0.2, turns[1] - 0.2)


def _wait(plan: Choreography, hand: Hand, move: Move, span: Interval) -> None:
    if hand.hold is None:
        plan.rest(hand, _capped(span, 1.0))


DOES: dict[str, Callable[[Choreography, Hand, Move, Interval], None]] = {
    "crank": _crank,
    "fold": _fold,
    "nudge": _nudge,
    "pour": _pour,
    "press": _press,
    "put": _put,
    "scoop": _scoop,
    "sip": _sip,
    "take": _take,
    "tap": _tap,
    "wait": _wait,
    "whirl": _whirl,
}
