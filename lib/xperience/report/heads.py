"""Neural against linear heads in words and tables: what an interval allows to be said."""

from collections.abc import Iterable, Sequence

import pandas as pd

from xperience.evaluation.metrics import metric_named
from xperience.evaluation.records import Record
from xperience.report.record_rows import Rows
from xperience.studies.problem import Outcome
from xperience.tasks.task import Task

BETTER, WORSE, OPEN, FEW, NONE = "better", "worse", "can't tell", "too few blocks", "no score"
HEAD_NAMES = ("linear", "neural", "temporal")
FLOOR = "floor"
"""Stands for the best trivial baseline of each task, whichever it is."""


def primaries(outcomes: Iterable[Outcome]) -> dict[str, Task]:
    """Return each task by name, in order, as its contract asks it."""
    return {outcome.task.name: outcome.task for outcome in outcomes}


def score_of(rows: Rows, task: Task, head: str) -> Record | None:
    """Return a head's primary score (over its seeds), or None if it has no row."""
    found = rows.all(task=task.name, head=head, metric=task.primary.name)
    return next((row for row in found if row.floor_name or row.value is None), None)


def difference_of(rows: Rows, task: Task, head: str, rival: str) -> Record | None:
    """Return the paired difference of a head's primary score from a rival's, or None.

    Parameters
    ----------
    rows : Rows
    task : Task
    head : str
    rival : str
        A head, or `FLOOR`.
    """
    if rival == FLOOR:
        mine = score_of(rows, task, head)
        rival = mine.floor_name if mine is not None else None
    if rival is None:
        return None
    found = rows.all(task=task.name, head=head, metric=task.primary.name, against=rival)
    return next(iter(found), None)


def verdict(row: Record | None) -> str:
    """Return what a paired difference allows to be said of its head."""
    if row is None or row.value is None:
        return NONE
    if row.ci_low is None:
        return FEW if "too_few" in (row.ci_reason or "") else OPEN
    if row.ci_low <= 0 <= row.ci_high:
        return OPEN
    return BETTER if (row.ci_low > 0) == bool(row.higher_is_better) else WORSE


def gained(row: Record, floor: float, task: Task) -> tuple[float, float | None, float | None]:
    """Return a difference and its ends as shares of the way from the floor to perfection.

    Parameters
    ----------
    row : Record
        A paired difference in the task's own unit.
    floor : float
        The best trivial baseline's score.
    task : Task
    """
    way = metric_named(task.primary.metric).perfect - floor
    ends = [None if end is None else end / way for end in (row.ci_low, row.ci_high)]
    if way < 0:
        ends.reverse()
    return row.value / way, ends[0], ends[1]


def heads_table(rows: Sequence[Record], tasks: dict[str, Task]) -> pd.DataFrame:
    """Return a line a task: each head's score with its interval, floor, ceiling, verdicts.

    Parameters
    ----------
    rows : sequence of Record
        Of one contract.
    tasks : dict of {name: Task}
    """
    found = Rows(rows)
    return pd.DataFrame([_line(found, task) for task in tasks.values()]).fillna("")


def _line(rows: Rows, task: Task) -> dict[str, str]:
    heads = {name: score_of(rows, task, name) for name in HEAD_NAMES}
    first = next((row for row in heads.values() if row is not None), None)
    floor = "" if first is None or first.floor is None else f"{first.floor:.3g} {first.floor_name}"
    line = {"task": task.name, "metric": _metric(task), "best floor": floor}
    line |= {name: _score(row) for name, row in heads.items() if row is not None}
    for name in HEAD_NAMES:
        if heads[name] is not None:
            line[f"{name} − floor"] = verdict(difference_of(rows, task, name, FLOOR))
    for name in HEAD_NAMES[1:]:
        if heads[name] is not None:
            line[f"{name} − linear"] = verdict(difference_of(rows, task, name, "linear"))
    return line


def _metric(task: Task) -> str:
    metric = task.primary.metric
    unit = "" if metric.unit == "1" else f" ({metric.unit})"
    return f"{task.primary.name}{unit} {'↑' if metric.higher_is_better else '↓'}"


def _score(row: Record) -> str:
    if row.value is None:
        return f"{row.status}: {row.reason}"
    spread = f" ± {row.spread:.2g}" if row.spread is not None else ""
    ends = "" if row.ci_low is None else f" [{row.ci_low:.3g}, {row.ci_high:.3g}]"
    return f"{row.value:.3g}{spread}{ends}"


_SAID = {
    BETTER: "is **better** than {rival}",
    WORSE: "is **worse** than {rival}",
    OPEN: "can't be told apart from {rival}",
    FEW: "differs from {rival} by an amount that too few independent stretches can judge",
    NONE: "has no score to compare with {rival}",
}


def claim_text(rows: Sequence[Record], task: Task, head: str = "neural") -> str:
    """Return what the rows allow to be said of a head on a task, against linear head and floor.

    Parameters
    ----------
    rows : sequence of Record
        Of one contract.
    task : Task
    head : str
    """
    found = Rows(rows)
    mine = score_of(found, task, head)
    if mine is None or mine.value is None:
        return f"The {head} head has no score on {task.name}."
    unit = "" if task.primary.metric.unit == "1" else f" {task.primary.metric.unit}"
    parts = [f"On {task.name} under `{mine.contract}` the {head} head "
             f"({task.primary.name} {mine.value:.3g}{unit})"]  # fmt: skip
    for rival in ("linear", FLOOR):
        row = difference_of(found, task, head, rival)
        name = "the linear head" if rival == "linear" else f"the best floor ({mine.floor_name})"
        said = _SAID[verdict(row)].format(rival=name)
        parts.append(f"{said}{_by(row, unit)}")
    return f"{parts[0]} {parts[1]}, and {parts[2]}."


def _by(row: Record | None, unit: str) -> str:
    if row is None or row.value is None:
        return ""
    ends = "" if row.ci_low is None else f", interval {row.ci_low:+.3g} to {row.ci_high:+.3g}"
    return f" ({row.value:+.3g}{unit}{ends})"
