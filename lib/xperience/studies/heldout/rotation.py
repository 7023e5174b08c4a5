"""Every recording tested once: sides rotate through the sessions, and what they say is pooled.

A handful of test recordings has no interval. Rotating the sides gives every recording its turn, so
that there are as many independent recordings to draw from as the roster has. Each turn is trained
and chosen on other sessions than it is tested on. All heads of a turn share its axes and inputs.

Of a turn only what its primary measure is computed from is kept, not what was said.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xperience.cohort.roster import SIDES, Entry, Roster, make_roster
from xperience.errors import ParamsError
from xperience.evaluation import metrics as scoring
from xperience.evaluation.evidence import LabelSets
from xperience.evaluation.records import Record
from xperience.evaluation.vectors import Positions, Ranks
from xperience.studies.heldout.cohort import Cohort
from xperience.studies.heldout.contest import (
    Entrant,
    Truths,
    entrant,
    floors_of,
    merged,
    rivals_of,
    truths_of,
)
from xperience.studies.heldout.study import CONTRACT, SECTION, Held, OnProgress, answer_cohort
from xperience.studies.heldout.within import WITHIN, Gap
from xperience.studies.rows import difference_row, named, scored
from xperience.tasks.catalogue import TASKS, TASKS_BY_NAME
from xperience.tasks.task import Task

ROTATED, ROTATED_GAP = "rotated", "rotated_gap"
"""Variants: pooled over turns, and the difference from heads within recordings."""
ROTATED_WITHIN, ROTATED_ENDS = "rotated_within", "rotated_ends"
"""Variants: the two sides of that difference, on the ends of all recordings."""


def turns(roster: Roster, n_turns: int) -> list[Roster]:
    """Return rosters in which every session is tested once, and validated on once.

    Parameters
    ----------
    roster : Roster
        Its own sides are forgotten.
    n_turns : int
        At least 3. Sessions are dealt to turns in the roster's order, the fullest last.

    Raises
    ------
    ParamsError
        If there are fewer sessions than turns.
    """
    sessions = list(dict.fromkeys(entry.session for entry in roster))
    if not 3 <= n_turns <= len(sessions):
        raise ParamsError(
            "n_turns", f"is {n_turns}", f"3 to {len(sessions)}, the sessions there are",
            "Take fewer turns, or a larger cohort.",
        )  # fmt: skip
    turn = {session: place % n_turns for place, session in enumerate(sessions)}

    def side(entry: Entry, now: int) -> str:
        ahead = (turn[entry.session] - now) % n_turns
        return {0: SIDES[2], 1: SIDES[1]}.get(ahead, SIDES[0])

    return [
        make_roster((e.model_copy(update={"side": side(e, now)}) for e in roster), roster.root)
        for now in range(n_turns)
    ]


@dataclass(frozen=True)
class Turn:
    """One task in one turn, brought down to what its primary measure is computed from.

    Parameters
    ----------
    truths : Truths
        Without the values of vectors.
    heads, floors : dict of {name: Entrant}
    gap : Gap, optional
    sampled : tuple of str
        What a row says of windows that were passed over.
    """

    truths: Truths
    heads: dict[str, Entrant]
    floors: dict[str, Entrant]
    gap: Gap | None
    sampled: tuple[str, ...] = ()


def turn_of(held: Held) -> Turn | str:
    """Return what is kept of a task in one turn, or why it was not asked."""
    if held.status != "ok":
        return held.reason or held.status
    truths = truths_of(held.asked)
    heads = {name: entrant(name, truths, answers) for name, answers in held.answers.items()}
    sides = (heads, floors_of(held.asked, truths))
    kept, gap = _bare(truths), _light_gap(held.gap)
    return Turn(kept, *(_all_light(side, kept) for side in sides), gap, held.asked.sampled)


def _bare(truths: Truths) -> Truths:
    """Return test samples without vectors, which are wide and needed no more."""
    return replace(truths, values=()) if isinstance(truths.values, np.ndarray) else truths


def _all_light(found: Mapping[str, Entrant], truths: Truths) -> dict[str, Entrant]:
    return {name: _light(one, truths) for name, one in found.items()}


def _light(one: Entrant, truths: Truths) -> Entrant:
    """Return a contestant with nothing but the primary measure's evidence."""
    draws = tuple([_primary(truths.task, items)] for items in one.draws)
    return replace(one, problem=truths, draws=draws)


def _light_gap(gap: Gap | str) -> Gap | None:
    if not isinstance(gap, Gap):
        return None
    within = _light(gap.within, _bare(gap.within.problem))
    across = {name: _light(one, _bare(one.problem)) for name, one in gap.across.items()}
    return Gap(within, across, gap.n_train)


def _primary(task: Task, items: Sequence[Any]) -> Any:
    """Return what the primary measure is computed from."""
    return next(item for item in items if isinstance(item, task.primary.metric.takes))


def run_turns(
    cohort: Cohort,
    roster: Roster,
    n_turns: int,
    *,
    heads: Iterable[str] = ("linear",),
    tasks: Sequence[Task] = TASKS,
    on_progress: OnProgress | None = None,
) -> dict[str, list[Turn | str]]:
    """Answer every task with rotating sides, so that every recording is tested once.

    Parameters
    ----------
    cohort : Cohort
        The roster's recordings, open.
    roster : Roster
        Its own sides are forgotten.
    n_turns : int
        At least 3, and no more than there are sessions.
    heads : iterable of str
        Those that start at random answer with one seed.
    tasks : sequence of Task
    on_progress : callable (stage, done, total), optional

    Returns
    -------
    dict of {task: one Turn, or why there is none, a turn}
        Nothing for tasks whose turns have no common unit: they are not asked.

    Raises
    ------
    ParamsError
        See `turns`, or if a head is unknown.
    """
    found: dict[str, list[Turn | str]] = {task.name: [] for task in tasks}
    heads = list(heads)
    poolable = [task for task in tasks if not _not_poolable(task)]
    for number, turn in enumerate(turns(roster, n_turns), 1):
        for held in answer_cohort(cohort.on_sides_of(turn), heads, poolable):
            found[held.task.name].append(turn_of(held))
        if on_progress:
            on_progress("turns", number, n_turns)
    return found


def turn_rows(found: Mapping[str, Sequence[Turn | str]], run: str) -> list[Record]:
    """Return the rows of every task, pooled over turns."""
    base = {"run": run, "section": SECTION, "contract": CONTRACT}
    return [
        row
        for name, turned in found.items()
        for row in rotated_rows(TASKS_BY_NAME[name], turned, base | {"task": name})
    ]


def rotated_rows(task: Task, found: Sequence[Turn | str], base: dict[str, Any]) -> Iterator[Record]:
    """Yield a task's rows pooled over turns: heads, differences, the gap.

    Parameters
    ----------
    task : Task
    found : sequence of Turn or str
    base : dict
        Fields of the rows.
    """
    asked = [one for one in found if isinstance(one, Turn)]
    reasons = "; ".join(dict.fromkeys(one for one in found if isinstance(one, str)))
    why = _not_poolable(task) or (not asked and reasons)
    if why:
        yield Record(**base, **named(task.primary), variant=ROTATED, status="skipped", reason=why)
        return
    noted = _noted(asked, f"{len(found) - len(asked)} turns are missing: {reasons}" * bool(reasons))
    floors = _pooled(task, [(one.truths, one.floors) for one in asked])
    heads = _pooled(task, [(one.truths, one.heads) for one in asked])
    for name, mine in heads.items():
        own = base | {"head": name, "variant": ROTATED, "n_test": len(mine.problem)} | noted
        yield scored(mine, task.primary, own, floors, bounded=False)
        for rival, other in rivals_of(name, task.primary, floors, heads).items():
            yield difference_row(mine, other, task.primary, own | {"against": rival})
    yield from _gap_rows(task, [one.gap for one in asked if one.gap], base)


def _noted(asked: Sequence[Turn], missing: str) -> dict[str, str]:
    """Return what rows say of turns that are missing and of windows that were passed over."""
    sampled = dict.fromkeys(note for turn in asked for note in turn.sampled)
    reason = "; ".join(filter(None, (missing, *sampled)))
    return {"reason": reason} if reason else {}


def _not_poolable(task: Task) -> str:
    blocks = task.kind == "regress" and task.target_blocks
    return "each turn scores in its own training deviations: no common unit" if blocks else ""


def _gap_rows(task: Task, gaps: Sequence[Gap], base: dict[str, Any]) -> Iterator[Record]:
    if not gaps:
        return
    sides = [(gap.within.problem, {WITHIN: gap.within, **gap.across}) for gap in gaps]
    pooled = _pooled(task, sides)
    within = pooled.pop(WITHIN)
    ends = base | {"n_test": len(within.problem)}
    mine = ends | {"head": "linear", "variant": ROTATED_WITHIN}
    yield scored(within, task.primary, mine, bounded=False)
    for name, across in pooled.items():
        own = ends | {"head": name}
        yield scored(across, task.primary, own | {"variant": ROTATED_ENDS}, bounded=False)
        gap = own | {"variant": ROTATED_GAP, "against": WITHIN}
        yield difference_row(across, within, task.primary, gap)


def _pooled(
    task: Task, turns_of: Sequence[tuple[Truths, dict[str, Entrant]]]
) -> dict[str, Entrant]:
    """Return contestants over all turns; one that is not in every turn is left out."""
    names = [n for n in turns_of[0][1] if all(n in found for _, found in turns_of)]
    truths = _all_truths([truths for truths, _ in turns_of])
    pooled = {}
    for name in names:
        each = [found[name] for _, found in turns_of]
        n_draws = min(len(one.draws) for one in each)
        draws = tuple([_merged(task, [one.draws[draw] for one in each])] for draw in range(n_draws))
        pooled[name] = Entrant(name, truths, draws, each[0].seeds)
    return pooled


def _all_truths(each: Sequence[Truths]) -> Truths:
    episodes, first = [], 0
    for one in each:
        _, number = np.unique(one.episodes, return_inverse=True)
        episodes.append(first + number)
        first += int(number.max()) + 1
    labels = tuple(dict.fromkeys(label for one in each for label in one.labels))
    return replace(each[0], values=(), episodes=np.concatenate(episodes), labels=labels)


def _merged(task: Task, drawn: Sequence[list[Any]]) -> Any:
    """Return the evidence of all turns, for the primary measure, as one."""
    each = [_primary(task, items) for items in drawn]
    if isinstance(each[0], Ranks):
        return merged(each)
    if isinstance(each[0], Positions):
        return Positions(np.concatenate([one.error_m for one in each]))
    if isinstance(each[0], LabelSets):  # micro-F1 counts memberships, whatever they are called
        width = max(one.truth.shape[1] for one in each)
        sides = ([_wide(getattr(one, name), width) for one in each] for name in _SIDES)
        return LabelSets(*(np.concatenate(side) for side in sides))
    sides = ([one.names[code] for one in each for code in getattr(one, name)] for name in _SIDES)
    known = {one.names[one.positive] for one in each if one.positive is not None}
    options = dict.fromkeys(name for one in each for name in one.names)
    return scoring.labels(*sides, options=tuple(options), positive=next(iter(known), None))


_SIDES = ("truth", "predicted")


def _wide(members: np.ndarray, width: int) -> np.ndarray:
    return np.pad(members, ((0, 0), (0, width - members.shape[1])))
