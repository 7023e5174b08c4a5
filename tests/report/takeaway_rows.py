"""Rows from which a rule must come to a given outcome, made from the rule's own declaration."""

from collections.abc import Iterable
from dataclasses import replace
from functools import singledispatch

import pytest

from xperience.evaluation.records import Record
from xperience.report.claims import (
    FLOOR,
    MIXED,
    NEITHER,
    NO,
    OPEN,
    SECTIONS,
    TAKEAWAYS,
    YES,
    Aligned,
    Ask,
    Claim,
    Clears,
    Compares,
    Every,
    Fact,
    Largest,
    Matches,
    Outcome,
    Parts,
    Place,
    Rule,
    Same,
    Settles,
    Signs,
    Tally,
)
from xperience.report.takeaways import HEADS, Evidence, judge, say

RUN, COHORT = "tried", "tried-cohort"
BASELINE = "majority"
Entry = tuple[Claim, Place, Rule]
RULES: list[Entry] = [
    (claim, place, rule)
    for takeaway in TAKEAWAYS
    for claim in takeaway.claims
    for place, rule in claim.rules.items()
]
TURNED = {YES: NO, NO: YES, NEITHER: NEITHER, OPEN: OPEN}
ENDS = {YES: (0.1, 0.3), NO: (-0.3, -0.1), NEITHER: (-0.1, 0.2)}


def name_of(entry: Entry) -> str:
    claim, place, _ = entry
    return f"{claim.name}-{place.column}-{place.contract}"


def evidence_of(place: Place, rows: Iterable[Record]) -> Evidence:
    """Return evidence in which every file is there, holding just these rows."""
    given: dict[tuple[str, str], list[Record]] = {
        (column, section): [] for column, sections in SECTIONS.items() for section in sections
    }
    for row in rows:
        given[place.column, row.section].append(row)
    frozen = {key: tuple(found) for key, found in given.items()}
    return Evidence(RUN, COHORT, frozen)


def all_supported() -> Evidence:
    """Return evidence that supports every claim everywhere."""
    rows = {}
    for _, place, rule in RULES:
        for row in rows_for(rule.test, place, Outcome.SUPPORTED):
            rows.setdefault((place.column, row.section, row.key), row)
    given = {
        (column, section): tuple(
            row for (c, s, _), row in rows.items() if (c, s) == (column, section)
        )
        for column, sections in SECTIONS.items()
        for section in sections
    }
    return Evidence(RUN, COHORT, given)


def row(place: Place, ask: Ask, **more: object) -> Record:
    """Return a row that answers an ask."""
    named = {"task": ask.task, "head": ask.head, "variant": ask.variant, "against": ask.against}
    known = {"run": RUN, "contract": place.contract, "section": ask.section}
    metric = ask.metric or "macro_f1"
    better = metric != "mpjpe"
    base = {**known, **named, "metric": metric, "higher_is_better": better}
    return Record.model_validate({**base, **more})


def difference(place: Place, ask: Ask, outcome: Outcome, **more: object) -> Record:
    """Return a paired difference with an interval as an outcome needs it, or without one."""
    made = row(place, ask, value=0.0, **more)
    if outcome is OPEN:
        return made.model_copy(update={"value": 0.2, "ci_reason": "too_few_blocks: too few"})
    low, high = ENDS[outcome]
    if made.higher_is_better is False:
        low, high = -high, -low
    return made.model_copy(update={"value": (low + high) / 2, "ci_low": low, "ci_high": high})


@singledispatch
def rows_for(test: object, place: Place, outcome: Outcome) -> list[Record]:
    """Return rows from which a test must come to an outcome."""
    raise TypeError(f"no rows are known for {type(test).__name__}")


@rows_for.register
def _(test: Aligned, place: Place, outcome: Outcome) -> list[Record]:
    score = row(place, test.ask, value=0.5, floor=0.3, floor_name="chance")
    if outcome is OPEN:
        return [score, row(place, test.p, status="skipped", reason="it was not tried")]
    return [score, row(place, test.p, value=0.01 if outcome is YES else 0.4)]


@rows_for.register(Compares)
@rows_for.register(Matches)
def _(test: Compares | Matches, place: Place, outcome: Outcome) -> list[Record]:
    """Return the head's score, the difference, and the rival's score, which belong together."""
    mine, gap = _compared(test.ask, place, TURNED[outcome] if test.turned else outcome)
    variant = test.rival_variant if gap.against in HEADS else FLOOR
    own = {"head": gap.against, "against": None, "variant": variant, "value": 0.5 - gap.value}
    ends = {"ci_low": None, "ci_high": None, "ci_reason": None}
    return [mine, gap, gap.model_copy(update=own | ends)]


def _compared(ask: Ask, place: Place, outcome: Outcome) -> tuple[Record, Record]:
    floor = {"floor": 0.3, "floor_name": BASELINE}
    mine = row(place, replace(ask, against=None), value=0.5, **floor)
    against = BASELINE if ask.against == FLOOR else ask.against
    return mine, difference(place, replace(ask, against=against), outcome)


@rows_for.register
def _(test: Clears, place: Place, outcome: Outcome) -> list[Record]:
    found = difference(place, test.ask, TURNED[outcome] if test.turned else outcome)
    constant = None if test.bound or test.zero else test.constant
    bound = {} if constant is None else {"floor": constant, "floor_name": "chance"}
    level = 1.0 if test.bound else constant or 0.0
    moved = {
        name: None if getattr(found, name) is None else getattr(found, name) + level
        for name in ("value", "ci_low", "ci_high")
    }
    score = found.model_copy(update={**moved, **bound})
    return [score] if test.bound is None else [score, row(place, test.bound, value=1.0)]


@rows_for.register
def _(test: Signs, place: Place, outcome: Outcome) -> list[Record]:
    if outcome is OPEN:
        return [row(place, test.ask, status="skipped", reason="it was not tried")]
    return [row(place, test.ask, value={YES: test.n, NO: 0.0, NEITHER: test.n / 2}[outcome])]


@rows_for.register
def _(test: Parts, place: Place, outcome: Outcome) -> list[Record]:
    first, second, *others = test.asks
    each = {YES: (YES, NO), NEITHER: (YES, YES), OPEN: (YES, OPEN)}[outcome]
    rows = [difference(place, ask, one) for ask, one in zip((first, second), each, strict=True)]
    return rows + [difference(place, ask, NEITHER) for ask in others]


@rows_for.register
def _(test: Largest, place: Place, outcome: Outcome) -> list[Record]:
    first, *others = (row(place, ask, value=0.2) for ask in test.asks)
    if outcome is OPEN:
        return [row(place, test.asks[0], status="skipped", reason="it was not tried"), *others]
    return [first.model_copy(update={"value": 0.3 if outcome is YES else 0.1}), *others]


@rows_for.register
def _(test: Fact, place: Place, outcome: Outcome) -> list[Record]:
    shown = [row(place, Ask(test.ask.section, name), value=4.0) for name in test.also]
    if outcome is OPEN:
        asked = row(place, test.ask, status="skipped", reason="it was not tried")
    else:
        step = {YES: 0.0, NO: 1.0} if test.relation == "equals" else {YES: 0.25, NO: -0.25}
        asked = row(place, test.ask, value=test.bound + step[outcome])
    return [asked, *shown]


@rows_for.register
def _(test: Same, place: Place, outcome: Outcome) -> list[Record]:
    rows = []
    for mine in test.asks:
        other = replace(mine, variant=test.variant)
        rows.append(row(place, mine, value=3.0))
        if outcome is OPEN:
            rows.append(row(place, other, status="skipped", reason="it was not printed"))
        else:
            rows.append(row(place, other, value=3.0 if outcome is YES else 4.0))
    return rows


@rows_for.register
def _(test: Settles, place: Place, outcome: Outcome) -> list[Record]:
    rows = [row(place, ask, value=0.5) for ask in test.asks]
    if outcome is OPEN:
        return rows[1:]
    why = "unstable: it predicts otherwise in other units"
    return [rows[0].model_copy(update={"no_verdict": why if outcome is NO else None}), *rows[1:]]


@rows_for.register
def _(test: Every, place: Place, outcome: Outcome) -> list[Record]:
    asks = [replace(test.ask, variant=name) for name in ("one", "other")]
    if outcome is OPEN:
        asked = [row(place, asks[0], status="skipped", reason="it was not tried")]
    else:
        asked = [row(place, asks[0], value=test.value - (outcome is NO))]
    return [*asked, row(place, asks[1], value=test.value)]


@rows_for.register
def _(test: Tally, place: Place, outcome: Outcome) -> list[Record]:
    rows = []
    for number, ask in enumerate(test.asks):
        one = outcome if outcome is not MIXED else NEITHER if number else YES
        rows += _compared(ask, place, one) if ask.against else [difference(place, ask, one)]
    return rows


def decisive(test: object, rows: Iterable[Record]) -> list[Record]:
    """Return the rows of which each alone must be able to change what is said."""
    rows = list(rows)
    if isinstance(test, Tally):
        return [one for one in rows if one.ci_low is not None]
    if isinstance(test, Parts):
        return rows[:2]
    return rows[:1] if isinstance(test, Largest) else rows


def past_the_threshold(one: Record) -> Record:
    """Return a row on the other side of whatever it decides."""
    if one.ci_low is not None and one.ci_high is not None and one.value is not None:
        bound = one.floor if one.floor is not None else (1.0 if one.value > 0.5 else 0.0)
        flipped = {
            "value": 2 * bound - one.value,
            "ci_low": 2 * bound - one.ci_high,
            "ci_high": 2 * bound - one.ci_low,
        }
        return one.model_copy(update=flipped)
    return one.model_copy(update={"value": -5.0, "no_verdict": "unstable: it is on another side"})


def of(*kinds):
    """Return the rules of some kinds, for tests that walk all of them."""
    found = [entry for entry in RULES if isinstance(entry[2].test, kinds)]
    assert found
    return pytest.mark.parametrize("entry", found, ids=name_of)


def judged(entry, rows):
    _, place, rule = entry
    return judge(rule.test, evidence_of(place, rows), place)


def said(entry, rows):
    claim, _, rule = entry
    return say(claim, rule, judged(entry, rows))


def rows_of(entry, outcome=YES):
    return rows_for(entry[2].test, entry[1], outcome)


def told(rows):
    """Return the rows that carry an interval."""
    found = [row for row in rows if row.ci_low is not None]
    assert found
    return found


def changed(rows, picked, **fields):
    return [row.model_copy(update=fields) if row in picked else row for row in rows]


def named(name, column="run"):
    return next(e for e in RULES if e[0].name == name and e[1].column == column)
