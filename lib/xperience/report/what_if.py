"""What a rule would say if its rows said something else: the evidence moved, the sentence anew."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from xperience.report.takeaways.catalogue import TAKEAWAYS
from xperience.report.takeaways.claims import Decided, decide, say
from xperience.report.takeaways.evidence import SECTIONS, Evidence
from xperience.report.takeaways.outcome import Outcome
from xperience.scoring.records import Record

_STEP = 0.25


@dataclass(frozen=True)
class WhatIf:
    """A claim as it is, and as it would be with its rows moved.

    Parameters
    ----------
    decided : Decided
        As the metric files have it.
    rows, moved : list of Record
        The rows that were moved, before and after.
    outcome : Outcome
        With the moved rows.
    sentence : str
        With the moved rows.
    """

    decided: Decided
    rows: list[Record]
    moved: list[Record]
    outcome: Outcome
    sentence: str


def all_decided(evidence: Evidence) -> list[Decided]:
    """Return every claim in every place, decided."""
    return [one for takeaway in TAKEAWAYS for one in decide(takeaway, evidence)]


def movable(decided: Decided) -> list[Record]:
    """Return the rows of a claim that can be moved: differences with a value, else scores."""
    known = [row for row in decided.judgement.rows if row.value is not None]
    return [row for row in known if row.against is not None] or known


def what_if(evidence: Evidence, decided: Decided, steps: float) -> WhatIf:
    """Return what a claim's rule would say if its rows were moved.

    Parameters
    ----------
    evidence : Evidence
    decided : Decided
        A claim of that evidence.
    steps : float
        How far: in half widths of a row's interval, in quarters of its own size where it has none.
        Shares stay between 0 and 1, counts and errors above 0.
    """
    rows = movable(decided)
    moved = [_moved(row, steps) for row in rows]
    changed = _with(evidence, rows, moved)
    judgement = decided.rule.test.judge(changed, decided.rule.place)
    sentence = say(decided.claim, decided.rule, judgement)
    return WhatIf(decided, rows, moved, judgement.outcome, sentence)


def _moved(row: Record, steps: float) -> Record:
    sure = row.ci_low is not None and row.ci_high is not None
    by = steps * ((row.ci_high - row.ci_low) / 2 if sure else _STEP * (abs(row.value) or 1.0))
    value = row.value + by
    if row.against is None:
        value = max(value, 0.0) if row.value >= 0 else value
        value = min(value, 1.0) if row.unit == "1" and 0 <= row.value <= 1 else value
    ends = {"ci_low": row.ci_low + by, "ci_high": row.ci_high + by} if sure else {}
    return row.model_copy(update={"value": value, **ends})


def _with(evidence: Evidence, rows: Sequence[Record], moved: Sequence[Record]) -> Evidence:
    """Return evidence in which some rows are others."""
    instead = {id(old): new for old, new in zip(rows, moved, strict=True)}
    given = {}
    for column, sections in SECTIONS.items():
        for section in sections:
            found, why = evidence.rows(column, section)
            if why:
                continue
            given[column, section] = tuple(instead.get(id(row), row) for row in found)
    return replace(evidence, given=given)
