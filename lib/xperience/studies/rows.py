"""The tidy rows of a suite: scores, intervals, floors, ceilings, and differences."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xperience.evaluation import metrics as scoring
from xperience.evaluation.metrics import Score
from xperience.evaluation.records import Record
from xperience.evaluation.resampling import Interval
from xperience.studies.descriptions import descriptions
from xperience.studies.problem import Outcome, Problem
from xperience.studies.scores import (
    Contestant,
    ceiling,
    contestant,
    floors,
    strongest,
)
from xperience.tasks.measures import Measure
from xperience.tasks.task import Task

SECTION = "suite"
FLOOR, SEEN = "floor", "seen_classes"
"""Variants of rows: a trivial baseline's own score; test samples of classes that were trained."""


@dataclass(frozen=True)
class Labels:
    """What every row of a suite is labelled with.

    Parameters
    ----------
    run, section, contract : str
    """

    run: str
    section: str
    contract: str

    def of(self, task: Task, head: str | None, problem: Problem | None = None) -> dict[str, Any]:
        """Return the fields that tell whose row it is, and of how many samples."""
        base = {"run": self.run, "section": self.section, "contract": self.contract}
        base |= {"task": task.name, "head": head}
        if problem is not None:
            base |= {"n_train": len(problem.split.train), "n_test": len(problem.split.test)}
        return base


def suite_rows(
    outcomes: Iterable[Outcome], run: str, contract: str = "published", section: str = SECTION
) -> list[Record]:
    """Return the tidy rows of outcomes.

    Parameters
    ----------
    outcomes : iterable of Outcome
    run : str
        Name of the run.
    contract : str
    section : str
        Notebook or command that scores.

    Returns
    -------
    list of Record
        For each task: its trivial baselines (variant "floor"), what the split did, and for each
        head every measure with its interval, the same on classes that were trained (variant
        "seen_classes"), its primary measure's paired difference from the best floor and from the
        linear head (``against``), and each seed on its own. At least one row a task and head,
        whatever happened.
    """
    labels = Labels(run, section, contract)
    by_task: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_task.setdefault(outcome.task.name, []).append(outcome)
    return [row for found in by_task.values() for row in _task_rows(found, labels)]


def _task_rows(outcomes: list[Outcome], labels: Labels) -> Iterator[Record]:
    problem, task = outcomes[0].problem, outcomes[0].task
    if problem is None or outcomes[0].status != "ok":
        for outcome in outcomes:
            yield from _without_score(outcome, labels)
        return
    arena = Arena.of(problem, outcomes)
    yield from _split_rows(problem, labels)
    for name, floor in arena.floors.items():
        base = labels.of(task, name, problem) | {"variant": FLOOR}
        for one in task.measures:
            yield scored(floor, one, base)
    for outcome in outcomes:
        yield from _head_rows(outcome, arena, labels)
    if problem.contract == "corrected" and task.kind == "classify" and problem.unseen.any():
        yield from _seen_rows(outcomes, labels)


@dataclass(frozen=True)
class Arena:
    """Everybody who answered a problem.

    Parameters
    ----------
    heads, floors : dict of {name: Contestant}
    """

    heads: Mapping[str, Contestant]
    floors: dict[str, Contestant]

    @classmethod
    def of(
        cls, problem: Problem, outcomes: list[Outcome], keep: np.ndarray | None = None
    ) -> "Arena":
        """Return the heads with an answer, and the trivial baselines."""
        heads = {
            outcome.head: contestant(outcome.head, problem, outcome.answers, keep)
            for outcome in outcomes
            if outcome.answers
        }
        return cls(heads, floors(problem, keep))

    def rivals(self, head: str, one: Measure) -> dict[str, Contestant]:
        """Return whom a head's primary score is compared with: best floor, linear head."""
        _, best = strongest(one, self.floors)
        found = {} if best is None else {best: self.floors[best]}
        if head != "linear" and "linear" in self.heads:
            found["linear"] = self.heads["linear"]
        return found


def _without_score(outcome: Outcome, labels: Labels) -> Iterator[Record]:
    base = labels.of(outcome.task, outcome.head, outcome.problem)
    for one in outcome.task.measures:
        yield Record(**base, **named(one), value=None, status=outcome.status, reason=outcome.reason)


def named(one: Measure) -> dict[str, Any]:
    """Return a measure's name, unit and direction as fields of a row."""
    metric = one.metric
    return {
        "metric": one.name,
        "unit": metric.unit,
        "higher_is_better": metric.higher_is_better,
    }


def _split_rows(problem: Problem, labels: Labels) -> Iterator[Record]:
    """Yield what the split did: samples purged, test samples of classes never trained."""
    base = labels.of(problem.task, None, problem)
    n_purged = len(problem.split.purged)
    yield Record(**base, metric="purged_samples", unit="sample", value=n_purged)
    if problem.task.kind == "classify" and not problem.task.classes:
        share = float(problem.unseen.mean())
        yield Record(**base, metric="open_set_share", unit="1", higher_is_better=False, value=share)


def _head_rows(outcome: Outcome, arena: Arena, labels: Labels) -> Iterator[Record]:
    problem, task = outcome.problem, outcome.task
    base = labels.of(task, outcome.head, problem)
    mine = arena.heads[outcome.head]
    noted = {"reason": "; ".join(problem.notes) or None}
    for one in task.measures:
        yield scored(mine, one, base | noted, arena.floors)
        if len(mine.seeds) > 1:
            yield from _seed_rows(mine, one, base)
    for name, rival in arena.rivals(outcome.head, task.primary).items():
        yield difference_row(mine, rival, task.primary, base | {"against": name})
    for fact in descriptions(outcome):
        yield Record(**base, **fact)


def _seen_rows(outcomes: list[Outcome], labels: Labels) -> Iterator[Record]:
    problem, task = outcomes[0].problem, outcomes[0].task
    keep = ~problem.unseen
    if not keep.any():
        return
    arena = Arena.of(problem, outcomes, keep)
    for name, mine in arena.heads.items():
        base = labels.of(task, name, problem) | {"variant": SEEN, "n_test": int(keep.sum())}
        for one in task.measures:
            if isinstance(mine.draws[0][0], one.metric.takes):
                yield scored(mine, one, base, arena.floors, bounded=False)


def scored(
    mine: Contestant,
    one: Measure,
    base: dict[str, Any],
    baselines: dict[str, Contestant] | None = None,
    bounded: bool = True,
) -> Record:
    """Return the row of a measure: mean over seeds, interval, floor, skill, ceiling."""
    said = mine.score(one)
    found = base | named(one) | {"value": said.value, "status": said.status}
    found["reason"] = said.reason or base.get("reason")
    floor, floor_name = strongest(one, baselines or {})
    if floor is not None:
        found |= {"floor": floor.value, "floor_name": floor_name}
        found["skill"] = scoring.skill(one.metric, said, floor).value
    if baselines and bounded:
        found["ceiling"] = ceiling(mine.problem, one)
    if said.value is not None:
        found |= interval_fields(mine.interval(one)) | {"spread": mine.spread(one)}
    if len(mine.seeds) == 1:
        found["seed"] = mine.seeds[0]
    return Record(**found)


def interval_fields(found: Interval) -> dict[str, Any]:
    """Return an interval as fields of a row: its ends, or why there are none."""
    fields = {"n_effective": found.n_effective}
    if found.low is None or found.high is None:
        return fields | {"ci_reason": f"{found.verdict}: {found.reason}"}
    return fields | {"ci_low": found.low, "ci_high": found.high}


def _seed_rows(mine: Contestant, one: Measure, base: dict[str, Any]) -> Iterator[Record]:
    for seed, said in zip(mine.seeds, mine.scores(one), strict=True):
        yield Record(**base, **named(one), **_value(said), seed=seed)


def _value(said: Score) -> dict[str, Any]:
    return {"value": said.value, "status": said.status, "reason": said.reason}


def difference_row(
    mine: Contestant, rival: Contestant, one: Measure, base: dict[str, Any]
) -> Record:
    """Return the row of a paired difference in the measure's own unit."""
    scores = [side.score(one) for side in (mine, rival)]
    refusal = mine.refusal(one) or next((s.reason for s in scores if s.value is None), None)
    if refusal:
        return Record(**base, **named(one), value=None, status="degenerate", reason=refusal)
    found = mine.minus(rival, one)
    return Record(
        **base, **named(one), value=scores[0].value - scores[1].value, **interval_fields(found)
    )
