"""What a rule would say if its rows said something else: the evidence moved, the sentence anew."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from xperience.report.takeaways.catalogue import TAKEAWAYS
from xperience.report.takeaways.claims import Decided, decide, say
from xperience.report.takeaways.evidence import SECTIONS, Evidence
from xperience.report.takeaways.outcome import Outcome
from xperience.scoring.records import Record


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
    """Return the rows of a claim that can be moved: paired differences with an interval.

    Shares, counts and verdicts have no interval to move by, and not every number between.
    """
    return [row for row in decided.judgement.rows if row.against is not None and _is_sure(row)]


def what_if(evidence: Evidence, decided: Decided, steps: float) -> WhatIf:
    """Return what a claim's rule would say if its rows were moved.

    The head's own scores move with their differences; what they are compared with stays.

    Parameters
    ----------
    evidence : Evidence
    decided : Decided
        A claim of that evidence.
    steps : float
        How far: in half widths of a difference's interval.
    """
    rows = movable(decided)
    by = {_scored(row): steps * (row.ci_high - row.ci_low) / 2 for row in rows}
    scores = [row for row in decided.judgement.rows if row.against is None and _scored(row) in by]
    moved = [_moved(row, by[_scored(row)]) for row in (*rows, *scores)]
    changed = _with(evidence, (*rows, *scores), moved)
    judgement = decided.rule.test.judge(changed, decided.rule.place)
    sentence = say(decided.claim, decided.rule, judgement)
    return WhatIf(decided, rows, moved[: len(rows)], judgement.outcome, sentence)


def _is_sure(row: Record) -> bool:
    return row.value is not None and row.ci_low is not None and row.ci_high is not None


def _scored(row: Record) -> tuple[str | None, ...]:
    """Return what a difference and the head's own score have in common."""
    return (row.section, row.contract, row.task, row.head, row.variant, row.metric)


def _moved(row: Record, by: float) -> Record:
    ends = {"ci_low": row.ci_low + by, "ci_high": row.ci_high + by} if _is_sure(row) else {}
    value = {} if row.value is None else {"value": row.value + by}
    return row.model_copy(update=value | ends)


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
