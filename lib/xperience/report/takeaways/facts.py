"""Predicates of fact: a count, two numbers that must agree, rows that must all have one value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from xperience.evaluation.records import Record
from xperience.report.tables import UNKNOWN, listed, number, readable, reason_of, share
from xperience.report.takeaways.evidence import FLOOR, Ask, Evidence, Found, Place
from xperience.report.takeaways.outcome import (
    NO,
    OPEN,
    YES,
    Judgement,
    known,
    shown,
)


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
        given = [evidence.find(place, self.given)] if self.given else []
        words = self._words(found.row)
        words |= {name: shown(one.row) for name, one in others.items()}
        rows = known((found, *others.values(), *given))
        lacking = [_lacking(one) for one in (*given, found, *others.values())]
        why = next(filter(None, lacking), "")
        if not why and given and not (given[0].row and given[0].row.value):
            why = f"{self.given} is zero"
        if why or found.row is None or found.row.value is None:
            return Judgement(OPEN, rows, words, why)
        value = found.row.value
        holds = value > self.bound if self.relation == "above" else value == self.bound
        return Judgement(YES if holds else NO, rows, words)

    def _words(self, row: Record | None) -> dict[str, str]:
        value = row.value if row is not None else None
        percent = share(value, self.bound) if 0 <= (value or 0) <= 1 else UNKNOWN
        told = number(value, row.unit if row is not None else "1")
        is_share = row is not None and row.unit == "1" and value is not None
        figures = (
            "" if value is None else percent if is_share else f"{readable(row.metric)}: {told}"
        )
        n_test = UNKNOWN if row is None or row.n_test is None else f"{row.n_test:,}"
        return {"value": told, "percent": percent, "n_test": n_test, "figures": figures}


def _lacking(found: Found) -> str:
    """Return why there is no number, or nothing."""
    if found.row is None:
        return found.why
    return reason_of(found.row) if found.row.value is None else ""


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
        rows = known(one for pair in found for one in pair)
        words, apart, lacking = {}, [], []
        for (ask, _), (mine, other) in zip(self.pairs, found, strict=True):
            words[str(ask.metric)] = shown(mine.row)
            if mine.row is None or other.row is None:
                lacking.append(mine.why or other.why)
            elif mine.row.value is None or other.row.value is None:
                lacking.append(reason_of(mine.row if mine.row.value is None else other.row))
            elif mine.row.unit != other.row.unit:
                lacking.append("the units differ")
            elif mine.row.value != other.row.value:
                apart.append(f"{readable(ask.metric)} {shown(mine.row)} is {shown(other.row)}")
        words["apart"] = listed(apart)
        told = [f"{words[str(ask.metric)]} {readable(ask.metric)}" for ask, _ in self.pairs]
        words["figures"] = "" if lacking else ", ".join(told)
        if apart:
            return Judgement(NO, rows, words)
        return Judgement(OPEN if lacking else YES, rows, words, "; ".join(lacking))


@dataclass(frozen=True)
class Every:
    """All rows of a metric must have one value; variants tell them apart.

    Parameters
    ----------
    section, metric : str
    value : float
    """

    section: str
    metric: str
    value: float

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
            return Judgement(OPEN, words=self._words([], [], []), why=why or absent)
        off = [row for row in rows if row.value is not None and row.value != self.value]
        lacking = [row for row in rows if row.value is None]
        kept = [row for row in rows if row.value == self.value]
        words = self._words(kept, off, lacking)
        why = "; ".join(f"{self._name(row)}: {reason_of(row)}" for row in lacking)
        outcome = NO if off else OPEN if lacking else YES
        return Judgement(outcome, tuple(rows), words, why if outcome is OPEN else "")

    def _name(self, row: Record) -> str:
        return readable(row.variant)

    def _words(
        self, kept: Sequence[Record], off: Sequence[Record], lacking: Sequence[Record]
    ) -> dict[str, str]:
        return {
            "kept": listed([self._name(row) for row in kept]),
            "off": listed([f"{self._name(row)} ({shown(row)})" for row in off]),
            "lacking": listed([self._name(row) for row in lacking]),
            "n": f"{len(kept) + len(off) + len(lacking):,}",
            "figures": f"{len(kept)} of {len(kept) + len(off) + len(lacking)}"
            if kept or off
            else "",
        }
