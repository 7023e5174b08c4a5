"""From a script to a plan: what each move of a timeline file means for hands, things and sounds."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from xperience.standin.kitchen import KITCHEN, TABLE_HEIGHT_M
from xperience.standin.plan import Event, Hand, Plan, Stream
from xperience.standin.script import Move, Script
from xperience.standin.settings import FPS

POUR_HEIGHT_M = 0.085
CRANK_M, CRANK_HEIGHT_M, CRANK_HZ = 0.055, 0.185, 0.9
_TILT_RAD = {"kettle": 0.55, "jug": 1.15, "carafe": 1.15, "tin": 1.75}
_UP = np.array([0.0, 0.0, 1.0])


def _parts(span: tuple[float, float], *shares: float) -> list[tuple[float, float]]:
    """Return consecutive spans in proportion to shares."""
    edges = span[0] + (span[1] - span[0]) * np.cumsum([0.0, *shares]) / sum(shares)
    return [(float(a), float(b)) for a, b in pairwise(edges)]


def _capped(span: tuple[float, float], length_s: float) -> tuple[float, float]:
    """Return the span, cut to at most a length: nobody reaches in slow motion."""
    return span[0], min(span[1], span[0] + length_s)


def choreograph(
    script: Script, n_frames: int, places: dict, hand_scale: float, fps: float = FPS
) -> Plan:
    """Return the plan of a whole episode.

    Parameters
    ----------
    script : Script
    n_frames : int
    places : dict of {str: float array, shape (3,)}
        Where each thing stands at the start, world axes, metres.
    hand_scale : float
    fps : float, optional
        Frames a second.
    """
    plan = Plan(places, hand_scale)
    for span in script.spans(n_frames):
        start_s, end_s = span.start / fps, (span.end + 1) / fps
        if span.action is None:
            for hand in plan.hands.values():
                if hand.hold is None:
                    plan.rest(hand, (start_s, end_s))
            continue
        moves = span.action.moves
        for move, part in zip(
            moves, _parts((start_s, end_s), *(m.part for m in moves)), strict=True
        ):
            _perform(plan, move, part)
    _end_hum(plan, n_frames / fps)
    return plan


def _perform(plan: Plan, move: Move, span: tuple[float, float]) -> None:
    hand = plan.hands[move.hand]
    other = plan.hands["left" if move.hand == "right" else "right"]
    target = move.into or move.at or move.object
    if move.move == "put" and move.at is None:
        focus = plan.homes[move.object]
    else:
        focus = plan.places[target]
    plan.attend(span[0], span[1] - span[0], focus + 0.06 * _UP)
    if other.hold is None and move.move not in {"fold", "crank"}:
        plan.rest(other, (span[0], min(span[1], span[0] + 1.0)))
    DOES[move.move](plan, hand, move, span)


def _holding(plan: Plan, hand: Hand, name: str, span: tuple[float, float]) -> tuple[float, float]:
    """Make sure that a hand holds a thing; return what is left of the span."""
    for each in plan.hands.values():
        if each.hold and (each is hand) != (name in each.hold.names):
            clear, span = _parts(span, 1, 3)
            _put_down(plan, each, plan.homes[each.hold.names[0]], clear)
    if hand.hold is None:
        reach, lift, span = _parts(span, 3, 2, 7)
        _take_up(plan, hand, name, reach, lift)
    return span


def _take_up(plan: Plan, hand: Hand, name: str, reach: tuple, lift: tuple) -> None:
    reach = (reach[0], min(reach[1], reach[0] + 1.6))
    plan.reach(hand, plan.point(name, "grip"), KITCHEN[name].power, reach)
    plan.grasp(hand, name, reach[1])
    plan.support.pop(name, None)
    plan.events.append(Event("touch", reach[1], reach[1] + 0.05))
    if name == "kettle":
        _end_hum(plan, reach[1])
    lift = (reach[1], min(lift[1], reach[1] + 1.2))
    plan.carry(hand, lift, plan.places[name] + np.array([0.0, -0.03, 0.10]))


def _put_down(plan: Plan, hand: Hand, place: np.ndarray, span: tuple[float, float]) -> None:
    over, lower, open_, back = _parts(span, 5, 3, 1, 3)
    over = _capped(over, 1.6)
    lower = _capped((over[1], lower[1]), 1.0)
    open_ = _capped((lower[1], open_[1]), 0.3)
    back = _capped((open_[1], back[1]), 1.5)
    name = hand.hold.names[0]
    plan.carry(hand, over, place + 0.05 * _UP)
    plan.carry(hand, lower, place)
    plan.release(hand, lower[1], place)
    plan.events.append(Event("clink", lower[1], lower[1] + 0.35))
    hand.closure.to(*open_, 0.3)
    away = np.array([hand.sign * 0.03, -0.09, 0.03])
    if not KITCHEN[name].power:
        away = np.array([0.0, -0.04, 0.08])
    hand.wrist.to(open_[0], back[0] + 0.3 * (back[1] - back[0]), hand.wrist.value + away)
    plan.rest(hand, (back[0] + 0.2 * (back[1] - back[0]), back[1]))


def _take(plan: Plan, hand: Hand, move: Move, span: tuple[float, float]) -> None:
    busy = [each for each in plan.hands.values() if each.hold]
    if hand in busy and move.object in hand.hold.names:
        return
    if hand in busy or any(move.object in each.hold.names for each in busy):
        _holding(plan, hand, move.object, span)
    else:
        _take_up(plan, hand, move.object, *_parts(span, 3, 2))


def _put(plan: Plan, hand: Hand, move: Move, span: tuple[float, float]) -> None:
    span = _holding(plan, hand, move.object, span)
    if move.at is None:
        place = plan.homes[move.object]
        below = {"kettle": "base"}.get(move.object)
    else:
        place, below = plan.point(move.at, "seat"), move.at
    _put_down(plan, hand, place, span)
    if below:
        plan.support[move.object] = below


def _pour(plan: Plan, hand: Hand, move: Move, span: tuple[float, float]) -> None:
    span = _holding(plan, hand, move.object, span)
    tilt = _TILT_RAD.get(move.object, 1.15)
    turn = np.array([0.0, 0.0, -hand.sign * tilt])
    mouth = plan.point(move.into, "mouth")
    hover, tip, run, back = _parts(span, 22, 14, 54, 14)
    hover = _capped(hover, 1.7)
    tip = _capped((hover[1], tip[1]), 1.2)
    run, back = (tip[1], run[1]), _capped(back, 1.5)
    plan.tilt(hand, hover, mouth + np.array([hand.sign * 0.02, 0, 0.13]), turn * 0.15)
    plan.tilt(hand, tip, mouth + POUR_HEIGHT_M * _UP, turn)
    if move.circle_m:
        radius = np.array([move.circle_m, 0, 0]), np.array([0, move.circle_m, 0])
        hand.wrist.wave(run, 0.45, *radius)
    plan.tilt(hand, back, mouth + np.array([hand.sign * 0.05, -0.01, 0.14]), turn * 0.0)
    start, end = tip[0] + 0.75 * (tip[1] - tip[0]), back[0] + 0.25 * (back[1] - back[0])
    plan.streams.append(Stream(move.object, move.into, start, end))
    plan.events.append(Event("powder" if move.object == "tin" else "pour", start, end))


def _press(plan: Plan, hand: Hand, move: Move, span: tuple[float, float]) -> None:
    go, down, up, back = _parts(span, 4, 1, 1, 4)
    point, angles = plan.point(move.object, "grip"), hand.grasp_angles(False)
    wrist = plan.wrist_for(hand, point, angles, False)
    plan.travel(hand, go, wrist + 0.03 * _UP, angles)
    hand.closure.to(*go, 0.55)
    hand.wrist.to(*down, wrist)
    plan.events.append(Event("click", down[1], down[1] + 0.04))
    if move.object == "base":
        plan.events.append(Event("hum", down[1] + 0.3, np.inf))
    hand.wrist.to(*up, wrist + 0.03 * _UP)
    plan.rest(hand, back)


def _tap(plan: Plan, hand: Hand, move: Move, span: tuple[float, float]) -> None:
    go, knocks, back = _parts(span, 3, 4, 3)
    top = plan.point(move.object, "mouth") + np.array([0.035, 0.0, 0.0])
    angles = hand.grasp_angles(False)
    wrist = plan.wrist_for(hand, top, angles, False)
    plan.travel(hand, go, wrist + 0.04 * _UP, angles)
    hand.closure.to(*go, 0.55)
    for knock in _parts(knocks, *[1] * max(1, int((knocks[1] - knocks[0]) / 0.5))):
        down, up = _parts(knock, 1, 1)
        hand.wrist.to(*down, wrist)
        hand.wrist.to(*up, wrist + 0.04 * _UP)
        plan.events.append(Event("knock", down[1], down[1] + 0.12))
    plan.rest(hand, back)


def _crank(plan: Plan, hand: Hand, move: Move, span: tuple[float, float]) -> None:
    go, turns, back = _parts(span, 2, 10, 2)
    go = (go[0], min(go[1], go[0] + 2.0))
    turns = (go[1], max(turns[1], back[1] - 2.0))
    other = plan.hands["left" if hand.side == "right" else "right"]
    origin = plan.places[move.object]
    if other.hold is None:
        side = origin + np.array([other.sign * 0.052, -0.01, 0.06])
        plan.reach(other, side, True, go)
        plan.rest(other, (turns[1], back[1]))
    plan.reach(hand, origin + CRANK_HEIGHT_M * _UP, False, go)
    radius = np.array([CRANK_M, 0, 0]), np.array([0, CRANK_M, 0])
    hand.wrist.wave(turns, CRANK_HZ, *radius)
    plan.cranks.append(turns)
    plan.events.append(Event("grind", turns[0] + 0.25, turns[1] - 0.25))
    plan.rest(hand, (turns[1], back[1]))


def _nudge(plan: Plan, hand: Hand, move: Move, span: tuple[float, float]) -> None:
    go, shake, back = _parts(span, 3, 4, 3)
    thing = KITCHEN[move.object]
    plan.reach(hand, plan.point(move.object, "grip"), thing.power, go)
    plan.grasp(hand, move.object, go[1])
    hand.wrist.wave(shake, 2.2, np.array([0.006, 0, 0]), np.array([0, 0.003, 0]))
    plan.events.append(Event("rustle", *shake))
    plan.release(hand, shake[1], plan.places[move.object].copy())
    plan.rest(hand, back)


def _fold(plan: Plan, hand: Hand, move: Move, span: tuple[float, float]) -> None:
    go, work, back = _parts(span, 3, 5, 2)
    for each in plan.hands.values():
        if each.hold is not None:
            continue
        point = plan.places[move.object] + np.array([each.sign * 0.047, -0.01, 0.060])
        plan.reach(each, point, False, go)
        each.wrist.wave(work, 1.1, np.zeros(3), np.array([each.sign * 0.012, 0, 0.004]))
        plan.rest(each, back)
    plan.events.append(Event("rustle", *work))


def _scoop(plan: Plan, hand: Hand, move: Move, span: tuple[float, float]) -> None:
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
        plan.events.append(Event("beans", tip[1] - 0.3 * (tip[1] - tip[0]), back[1]))
        plan.tilt(hand, back, into + 0.06 * _UP, turn * 0)


def _sip(plan: Plan, hand: Hand, move: Move, span: tuple[float, float]) -> None:
    span = _holding(plan, hand, move.object, span)
    up, drink, down = _parts(span, 4, 3, 3)
    x, y = plan.base.value
    lips = np.array([x, y + 0.24, 1.40])
    plan.tilt(hand, up, lips, [0.0, 0.35, 0.0])
    plan.events.append(Event("sip", *drink))
    plan.carry(hand, down, np.array([x, y + 0.30, TABLE_HEIGHT_M + 0.18]))


def _whirl(plan: Plan, hand: Hand, move: Move, span: tuple[float, float]) -> None:
    span = _holding(plan, hand, move.object, span)
    up, turns = _parts(span, 1, 5)
    up = (up[0], min(up[1], up[0] + 1.5))
    plan.carry(hand, up, plan.homes[move.object] + np.array([0.0, -0.04, 0.11]))
    radius = np.array([0.024, 0, 0]), np.array([0, 0.024, 0])
    hand.wrist.wave((up[1], turns[1]), 1.5, *radius)
    plan.events.append(Event("slosh", up[1] + 0.2, turns[1] - 0.2))


def _wait(plan: Plan, hand: Hand, move: Move, span: tuple[float, float]) -> None:
    if hand.hold is None:
        plan.rest(hand, (span[0], min(span[1], span[0] + 1.0)))


def _end_hum(plan: Plan, time_s: float) -> None:
    for number, event in enumerate(plan.events):
        if event.name == "hum" and event.end_s == np.inf:
            plan.events[number] = Event("hum", event.start_s, max(time_s, event.start_s))


DOES: dict[str, Callable[[Plan, Hand, Move, tuple[float, float]], None]] = {
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
