"""Predicates of comparison: a head against a rival, a score against a bound, all tasks counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from xperience.report.takeaways.evidence import FLOOR, HEADS, Ask, Evidence, Found, Place
from xperience.report.takeaways.outcome import (
    ALL_OUTCOMES,
    ALPHA,
    FAR,
    HALF,
    NEITHER,
    NO,
    OF_DIRECTION,
    OPEN,
    TURNED,
    YES,
    Judgement,
    Outcome,
    direction,
    known,
)
from xperience.report.takeaways.wording import (
    UNKNOWN,
    ends,
    listed,
    number,
    readable,
    signed,
    times,
)
from xperience.scoring.records import Record


@dataclass(frozen=True)
class Compares:
    """A head against a rival on the same samples.

    Parameters
    ----------
    ask : Ask
        The paired difference; `Ask.against` is the rival, or `FLOOR`.
    rival_variant : str, optional
        Variant of the rival's own score.
    turned : bool
        Whether the claim is that the head is worse than its rival.
    """

    ask: Ask
    rival_variant: str | None = None
    turned: bool = False

    outcomes = ALL_OUTCOMES

    @property
    def sections(self) -> frozenset[str]:
        """The metric files that it looks at."""
        return frozenset({self.ask.section})

    def judge(self, evidence: Evidence, place: Place) -> Judgement:
        """Return what the paired difference allows to be said."""
        difference = evidence.find(place, self.ask)
        mine = evidence.find(place, replace(self.ask, against=None))
        rival = self._rival(evidence, place, difference.row)
        words = _compared(mine.row, difference.row, rival.row)
        rows = known((mine, difference, rival))
        if difference.row is None:
            return Judgement(OPEN, rows, words, difference.why)
        found, why = direction(difference.row)
        outcome = OF_DIRECTION[found]
        return Judgement(TURNED[outcome] if self.turned else outcome, rows, words, why)

    def _rival(self, evidence: Evidence, place: Place, difference: Record | None) -> Found:
        if difference is None:
            return Found(None, "no difference")
        name, metric = difference.against, difference.metric
        own = replace(self.ask, head=name, metric=metric, against=None, variant=self.rival_variant)
        found = evidence.find(place, own)
        if found.row is None and name not in HEADS:
            variant = f"{self.ask.variant}/floor" if self.ask.variant else FLOOR
            tries = (replace(own, variant=one) for one in (FLOOR, variant))
            found = next((f for f in (evidence.find(place, a) for a in tries) if f.row), found)
        return found


def _compared(mine: Record | None, gap: Record | None, rival: Record | None) -> dict[str, str]:
    score = mine.value if mine is not None else None
    other = rival.value if rival is not None else None
    ratio = times(score, other)
    unit = next((row.unit for row in (mine, gap, rival) if row is not None), "1")
    metric = next((row.metric for row in (gap, mine) if row is not None), None)
    far = ratio is not None and not 1 / FAR < ratio < FAR
    far = far and gap is not None and direction(gap)[0] in ("better", "worse")
    both = score is not None and other is not None
    pair = f"{readable(metric)} {number(score, unit)} against {number(other, unit)}"
    return {
        "metric": readable(metric),
        "mine": number(score, unit),
        "other": number(other, unit),
        "seen": f" ({pair})" if both else "",
        "rival": readable(gap.against if gap is not None else None),
        "gap": signed(gap.value if gap is not None else None, unit),
        "ends": ends(gap),
        "degree": "far " if far else "",
        "times": UNKNOWN if ratio is None else f"{ratio:.1f}",
        "n_test": "–" if gap is None or gap.n_test is None else f"{gap.n_test:,}",
    }


@dataclass(frozen=True)
class Clears:
    """A score whose whole interval lies on one side of a bound that has no uncertainty of its own.

    Parameters
    ----------
    ask : Ask
        The score.
    bound : Ask, optional
        A printed number; without it the score's own floor, where that is a constant.
    """

    ask: Ask
    bound: Ask | None = None

    outcomes = ALL_OUTCOMES

    @property
    def sections(self) -> frozenset[str]:
        """The metric files that it looks at."""
        return frozenset({self.ask.section} | ({self.bound.section} if self.bound else set()))

    def judge(self, evidence: Evidence, place: Place) -> Judgement:
        """Return on which side of the bound the score's interval lies."""
        score = evidence.find(place, self.ask)
        bound = evidence.find(place, self.bound) if self.bound else Found(None)
        rows = known((score, bound))
        if score.row is None or (self.bound and bound.row is None):
            return Judgement(OPEN, rows, _cleared(score.row, None), score.why or bound.why)
        value = bound.row.value if bound.row is not None else score.row.floor
        if value is None:
            return Judgement(OPEN, rows, _cleared(score.row, None), "there is nothing to clear")
        if bound.row is not None and bound.row.unit != score.row.unit:
            return Judgement(OPEN, rows, _cleared(score.row, value), "the units differ")
        found, why = direction(_minus(score.row, value))
        return Judgement(OF_DIRECTION[found], rows, _cleared(score.row, value), why)


def _minus(row: Record, bound: float) -> Record:
    moved = {
        name: None if getattr(row, name) is None else getattr(row, name) - bound
        for name in ("value", "ci_low", "ci_high")
    }
    return row.model_copy(update=moved)


def _cleared(row: Record | None, bound: float | None) -> dict[str, str]:
    unit, score = ("1", None) if row is None else (row.unit, row.value)
    ratio = times(score, bound)
    far = ratio is not None and not 1 / FAR < ratio < FAR
    return {
        "metric": readable(row.metric if row is not None else None),
        "mine": number(score, unit),
        "other": number(bound, unit),
        "ends": ends(row, with_sign=False),
        "degree": "far " if far else "",
        "times": UNKNOWN if ratio is None else f"{ratio:.1f}",
    }


@dataclass(frozen=True)
class Tally:
    """One comparison on every task, counted; a task that lacks it counts as asked and untold.

    Parameters
    ----------
    asks : tuple of Ask
        The paired differences.
    guard : str, optional
        Metric that holds each look's p, corrected for the number of looks.
    """

    asks: tuple[Ask, ...]
    guard: str | None = None

    outcomes = ALL_OUTCOMES

    @property
    def sections(self) -> frozenset[str]:
        """The metric files that it looks at."""
        return frozenset(ask.section for ask in self.asks)

    def judge(self, evidence: Evidence, place: Place) -> Judgement:
        """Return what most tasks say.

        Supported if the head is better on at least half of the tasks asked and worse on none,
        contradicted the other way round, can't tell if no task has an interval.
        """
        sides: dict[str, list[str]] = {"better": [], "worse": [], "open": [], "untold": []}
        reasons: dict[str, None] = {}
        rows = []
        for ask in self.asks:
            found = evidence.find(place, ask)
            side, why = self._side(evidence, place, ask, found)
            sides[side].append(readable(ask.task))
            rows += known([found])
            if side == "untold":
                reasons[why] = None
        words = _tallied(sides, len(self.asks))
        outcome = _majority(len(sides["better"]), len(sides["worse"]), len(self.asks))
        if not any(sides[name] for name in ("better", "worse", "open")):
            return Judgement(OPEN, tuple(rows), words, _first_few(list(reasons)))
        return Judgement(outcome, tuple(rows), words)

    def _side(self, evidence: Evidence, place: Place, ask: Ask, found: Found) -> tuple[str, str]:
        if found.row is None:
            return "untold", found.why
        side, why = direction(found.row)
        if side in ("better", "worse") and self.guard:
            p = evidence.find(place, replace(ask, metric=self.guard)).row
            if p is None or p.value is None:
                return "untold", "its chance among so many looks is not known"
            side = side if p.value <= ALPHA else "open"
        return side, why


def _first_few(reasons: Sequence[str], n_shown: int = 2) -> str:
    rest = len(reasons) - n_shown
    more = [f"and {rest} more such reasons"] if rest > 0 else []
    return "; ".join([*reasons[:n_shown], *more])


def _tallied(sides: Mapping[str, Sequence[str]], n_asked: int) -> dict[str, str]:
    words = {
        name: f"{len(tasks)} of {n_asked} tasks ({listed(tasks)})" if tasks else "no task"
        for name, tasks in sides.items()
    }
    return words | {f"n_{name}": f"{len(tasks)}" for name, tasks in sides.items()}


def _majority(n_better: int, n_worse: int, n_asked: int) -> Outcome:
    if n_better and not n_worse and n_better >= HALF * n_asked:
        return YES
    if n_worse and not n_better and n_worse >= HALF * n_asked:
        return NO
    return NEITHER
