"""Neural against linear heads in words and tables: what the rows allow to be said."""

from collections.abc import Mapping, Sequence

import pandas as pd

from xperience.evaluation.metrics import metric_named
from xperience.evaluation.records import Record
from xperience.report.tables import (
    Rows,
    Verdict,
    difference,
    floor,
    lacks_verdict,
    readable,
    score,
    verdict,
)
from xperience.tasks.task import Task

HEAD_NAMES = ("linear", "neural", "temporal", "forecast")
FLOOR = "floor"
"""Stands for the best trivial baseline of each task, whichever it is."""


def score_of(rows: Rows, task: Task, head: str) -> Record | None:
    """Return a head's primary score, the mean over its seeds, or None if it has no row."""
    return rows.one(task=task.name, head=head, metric=task.primary.name)


def difference_of(rows: Rows, task: Task, head: str, rival: str) -> Record | None:
    """Return the paired difference of a head's primary score from a rival's, or None.

    Parameters
    ----------
    rows : Rows
        Of one contract.
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
    return rows.one(task=task.name, head=head, metric=task.primary.name, against=rival)


def gained(row: Record, best_floor: float, task: Task) -> tuple[float, float | None, float | None]:
    """Return a difference and its ends as shares of the way from the best floor to perfection."""
    way = metric_named(task.primary.metric).perfect - best_floor
    ends = [None if end is None else end / way for end in (row.ci_low, row.ci_high)]
    if way < 0:
        ends.reverse()
    return row.value / way, ends[0], ends[1]


def heads_table(rows: Sequence[Record], tasks: Mapping[str, Task]) -> pd.DataFrame:
    """Return one row per task: each head's score with its interval, floor, and verdicts.

    Parameters
    ----------
    rows : sequence of Record
        Of one contract.
    tasks : mapping of {name: Task}
    """
    found = Rows(rows)
    return pd.DataFrame([_table_row(found, task) for task in tasks.values()]).fillna("")


def _table_row(rows: Rows, task: Task) -> dict[str, str]:
    heads = {name: score_of(rows, task, name) for name in HEAD_NAMES}
    heads = {name: row for name, row in heads.items() if row is not None}
    arrow = "↑" if task.primary.metric.higher_is_better else "↓"
    line = {"task": task.name, "metric": f"{readable(task.primary.name)} {arrow}"}
    line["best floor"] = floor(next(iter(heads.values()), None))
    line |= {name: score(row) for name, row in heads.items()}
    for rival in (FLOOR, "linear"):
        for name in heads:
            if name != rival:
                row = difference_of(rows, task, name, rival)
                line[f"{name} − {rival}"] = (row and lacks_verdict(row)) or str(verdict(row)[0])
    return line


_SAID = {
    Verdict.BETTER: "is **better** than {rival}",
    Verdict.WORSE: "is **worse** than {rival}",
    Verdict.NO_DIFFERENCE: "does not differ significantly from {rival}",
    Verdict.NOT_TESTED: "is not tested against {rival}",
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
    parts = []
    for rival in ("linear", FLOOR):
        row = difference_of(found, task, head, rival)
        name = f"the best floor ({mine.floor_name})" if rival == FLOOR else "the linear head"
        parts.append(f"{_SAID[verdict(row)[0]].format(rival=name)} ({difference(row)})")
    return (
        f"On {task.name} under `{mine.contract}` the {head} head ({readable(mine.metric)} "
        f"{score(mine)}) {parts[0]}, and {parts[1]}."
    )
