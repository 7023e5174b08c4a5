"""The outcomes of a claim, and the one rule of better and worse that all predicates keep to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from xperience.evaluation.records import Record
from xperience.report.takeaways.evidence import Evidence, Found, Place
from xperience.report.takeaways.wording import number, readable, reason_of

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
    why = _no_verdict(row)
    if why or row.value is None or row.ci_low is None or row.ci_high is None:
        return "untold", why
    if row.ci_low <= 0 <= row.ci_high:
        return "open", ""
    return ("better" if (row.ci_low > 0) == row.higher_is_better else "worse"), ""


def _no_verdict(row: Record) -> str:
    """Return why nothing can be said of a difference, or nothing."""
    if row.value is None:
        return reason_of(row)
    if row.unit == MIXED:
        return "its mean adds up scores of different units"
    if row.ci_low is None or row.ci_high is None:
        return reason_of(row)
    if row.higher_is_better is None:
        return f"{readable(row.metric)} has no better direction"
    holds = row.ci_low <= row.value <= row.ci_high
    return "" if holds else "its interval does not hold its value"


OF_DIRECTION = {"better": YES, "worse": NO, "open": NEITHER, "untold": OPEN}
TURNED = {YES: NO, NO: YES, NEITHER: NEITHER, OPEN: OPEN}


def known(rows: Iterable[Found]) -> tuple[Record, ...]:
    """Return the rows that were found."""
    return tuple(found.row for found in rows if found.row is not None)


def shown(row: Record | None) -> str:
    """Return a row's value for readers."""
    return number(row.value if row is not None else None, row.unit if row is not None else "1")
