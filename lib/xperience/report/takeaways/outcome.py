"""The outcomes of a claim, and the one rule of better and worse that all predicates keep to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from xperience.evaluation.records import Record
from xperience.report.tables import Verdict, number, verdict
from xperience.report.takeaways.evidence import Evidence, Found, Place

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
    """Return what a paired difference allows to be said of its head, and why if nothing."""
    found, why = verdict(row)
    return _WORDS[found], why


_WORDS = {
    Verdict.BETTER: "better",
    Verdict.WORSE: "worse",
    Verdict.NO_DIFFERENCE: "open",
    Verdict.NOT_TESTED: "untold",
}
OF_DIRECTION = {"better": YES, "worse": NO, "open": NEITHER, "untold": OPEN}
TURNED = {YES: NO, NO: YES, NEITHER: NEITHER, OPEN: OPEN}


def known(rows: Iterable[Found]) -> tuple[Record, ...]:
    """Return the rows that were found."""
    return tuple(found.row for found in rows if found.row is not None)


def shown(row: Record | None) -> str:
    """Return a row's value for readers."""
    return number(row.value if row is not None else None, row.unit if row is not None else "1")
