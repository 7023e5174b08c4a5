"""What rows allow to be said of a claim: typed predicates, each with its possible outcomes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal, Protocol

from xperience.report.figures.style import percent
from xperience.report.takeaways.evidence import FLOOR, HEADS, Ask, Evidence, Found, Place
from xperience.report.takeaways.wording import (
    UNKNOWN,
    ends,
    listed,
    number,
    readable,
    reason_of,
    signed,
    times,
)
from xperience.scoring.records import Record

MIXED = "mixed"
"""Unit of numbers that add up scores of different units: nothing follows from them."""
HALF = 0.5
FAR = 2.0
"""A score counts as far from another's if it is this many times as large, or as small."""
ALPHA = 0.05
"""Largest corrected p of a look that may be claimed."""


class Outcome(StrEnum):
    """What became of a claim."""

    SUPPORTED = "supported"
    NOT_SUPPORTED = "not supported"
    CONTRADICTED = "contradicted"
    OPEN = "can't tell"


YES, NEITHER, NO, OPEN = Outcome
ALL_OUTCOMES = frozenset(Outcome)


@dataclass(frozen=True)
class Judgement:
    """An outcome with the rows that it rests on.

    Parameters
    ----------
    outcome : Outcome
    rows : tuple of Record
        The score that is shown first.
    words : mapping of {placeholder: text}
        What sentences are filled with.
    why : str
        Why it can't be told; empty otherwise.
    """

    outcome: Outcome
    rows: tuple[Record, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    why: str = ""


class Test(Protocol):
    """A predicate over rows."""

    @property
    def outcomes(self) -> frozenset[Outcome]:
        """The outcomes that it can have."""

    @property
    def sections(self) -> frozenset[str]:
        """The metric files that it looks at."""

    def judge(self, evidence: Evidence, place: Place) -> Judgement:
        """Return what the rows of a place allow to be said."""


def direction(row: Record) -> tuple[Literal["better", "worse", "open", "untold"], str]:
    """Return what a paired difference allows to be said of its head, and why if nothing.

    Better and worse need an interval without zero.
    """
    if row.value is None:
        return "untold", reason_of(row)
    if row.unit == MIXED:
        return "untold", "it adds up scores of different units"
    if row.ci_low is None or row.ci_high is None:
        return "untold", reason_of(row)
    if row.higher_is_better is None:
        return "untold", f"{readable(row.metric)} has no better direction"
    if row.ci_low <= 0 <= row.ci_high:
        return "open", ""
    return ("better" if (row.ci_low > 0) == row.higher_is_better else "worse"), ""


_OF_DIRECTION = {"better": YES, "worse": NO, "open": NEITHER, "untold": OPEN}
_TURNED = {YES: NO, NO: YES, NEITHER: NEITHER, OPEN: OPEN}


def _known(rows: Iterable[Found]) -> tuple[Record, ...]:
    return tuple(found.row for found in rows if found.row is not None)


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
        rows = _known((mine, difference, rival))
        if difference.row is None:
            return Judgement(OPEN, rows, words, difference.why)
        found, why = direction(difference.row)
        outcome = _OF_DIRECTION[found]
        return Judgement(_TURNED[outcome] if self.turned else outcome, rows, words, why)

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
        rows = _known((score, bound))
        if score.row is None or (self.bound and bound.row is None):
            return Judgement(OPEN, rows, _cleared(score.row, None), score.why or bound.why)
        value = bound.row.value if bound.row is not None else score.row.floor
        if value is None:
            return Judgement(OPEN, rows, _cleared(score.row, None), "there is nothing to clear")
        if bound.row is not None and bound.row.unit != score.row.unit:
            return Judgement(OPEN, rows, _cleared(score.row, value), "the units differ")
        found, why = direction(_minus(score.row, value))
        return Judgement(_OF_DIRECTION[found], rows, _cleared(score.row, value), why)


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
class Fact:
    """A count or share of the recording itself, with nothing drawn at random in it.

    Parameters
    ----------
    ask : Ask
    relation : {"equals", "above"}
    bound : float
    given : Ask, optional
        A count that must be above zero for the fact to mean anything.
    also : mapping of {placeholder: Ask}
        Rows that the sentence shows besides.
    """

    ask: Ask
    relation: Literal["equals", "above"]
    bound: float
    given: Ask | None = None
    also: Mapping[str, Ask] = field(default_factory=dict)

    outcomes = frozenset({YES, NO, OPEN})

    @property
    def sections(self) -> frozenset[str]:
        """The metric files that it looks at."""
        return frozenset({self.ask.section})

    def judge(self, evidence: Evidence, place: Place) -> Judgement:
        """Return whether the fact holds."""
        found = evidence.find(place, self.ask)
        others = {name: evidence.find(place, ask) for name, ask in self.also.items()}
        given = evidence.find(place, self.given) if self.given else None
        words = _told(found.row) | {name: _shown(one.row) for name, one in others.items()}
        rows = _known((found, *others.values(), *([given] if given else [])))
        if given is not None and not (given.row and given.row.value):
            return Judgement(OPEN, rows, words, given.why or f"{self.given} is zero")
        if found.row is None or found.row.value is None:
            why = found.why or reason_of(found.row)
            return Judgement(OPEN, rows, words, why)
        value = found.row.value
        holds = value > self.bound if self.relation == "above" else value == self.bound
        return Judgement(YES if holds else NO, rows, words)


def _told(row: Record | None) -> dict[str, str]:
    value = row.value if row is not None else None
    ceiling = row.ceiling if row is not None else None
    return {
        "value": number(value, row.unit if row is not None else "1"),
        "percent": UNKNOWN if value is None else percent(value),
        "ceiling": number(ceiling, "1"),
    }


def _shown(row: Record | None) -> str:
    return number(row.value if row is not None else None, row.unit if row is not None else "1")


@dataclass(frozen=True)
class Same:
    """Two rows that must hold the very same number.

    Parameters
    ----------
    pairs : tuple of (Ask, Ask)
    """

    pairs: tuple[tuple[Ask, Ask], ...]

    outcomes = frozenset({YES, NO, OPEN})

    @property
    def sections(self) -> frozenset[str]:
        """The metric files that it looks at."""
        return frozenset(ask.section for pair in self.pairs for ask in pair)

    def judge(self, evidence: Evidence, place: Place) -> Judgement:
        """Return whether all pairs agree."""
        found = [tuple(evidence.find(place, ask) for ask in pair) for pair in self.pairs]
        rows = _known(one for pair in found for one in pair)
        words, apart, lacking = {}, [], []
        for (ask, _), (mine, other) in zip(self.pairs, found, strict=True):
            words[str(ask.metric)] = _shown(mine.row)
            if mine.row is None or other.row is None:
                lacking.append(mine.why or other.why)
            elif mine.row.value is None or other.row.value is None:
                lacking.append(reason_of(mine.row if mine.row.value is None else other.row))
            elif mine.row.value != other.row.value:
                apart.append(f"{readable(ask.metric)} {_shown(mine.row)} is {_shown(other.row)}")
        words["apart"] = listed(apart)
        if apart:
            return Judgement(NO, rows, words)
        return Judgement(OPEN if lacking else YES, rows, words, "; ".join(lacking))


@dataclass(frozen=True)
class Every:
    """All rows of a metric must have one value.

    Parameters
    ----------
    section, metric : str
    value : float
    label : {"variant", "head"}
        What tells the rows apart for readers.
    """

    section: str
    metric: str
    value: float
    label: Literal["variant", "head"] = "variant"

    outcomes = frozenset({YES, NO, OPEN})

    @property
    def sections(self) -> frozenset[str]:
        """The metric files that it looks at."""
        return frozenset({self.section})

    def judge(self, evidence: Evidence, place: Place) -> Judgement:
        """Return whether every row has the value."""
        rows, why = evidence.rows(place.column, self.section)
        rows = [
            row
            for row in rows
            if (row.contract, row.metric) == (place.contract, self.metric)
            and row.against is None
            and FLOOR not in (row.variant or "")
        ]
        if not rows:
            absent = f"{self.metric} under {place.contract} is not in {self.section}.json"
            return Judgement(OPEN, why=why or absent, words=self._words([], [], []))
        off = [row for row in rows if row.value is not None and row.value != self.value]
        lacking = [row for row in rows if row.value is None]
        kept = [row for row in rows if row.value == self.value]
        words = self._words(kept, off, lacking)
        why = "; ".join(f"{self._name(row)}: {reason_of(row)}" for row in lacking)
        outcome = NO if off else OPEN if lacking else YES
        return Judgement(outcome, tuple(rows), words, why if outcome is OPEN else "")

    def _name(self, row: Record) -> str:
        return readable(getattr(row, self.label))

    def _words(
        self, kept: Sequence[Record], off: Sequence[Record], lacking: Sequence[Record]
    ) -> dict[str, str]:
        return {
            "kept": listed([self._name(row) for row in kept]),
            "off": listed([f"{self._name(row)} ({_shown(row)})" for row in off]),
            "lacking": listed([self._name(row) for row in lacking]),
            "n": f"{len(kept) + len(off) + len(lacking):,}",
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
            rows += _known([found])
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
