"""The label-shift study in tables and sentences, every number taken from cases and rows."""

from collections.abc import Iterable, Sequence

import pandas as pd

from xperience.evaluation.records import Record
from xperience.report.quantities import percent
from xperience.report.shift_words import (
    HEAD_NAMES,
    SPLIT_NAMES,
    bracket,
    excludes_zero,
    one_row,
    scored,
)
from xperience.studies.rows import SEEN
from xperience.studies.shift.probes import UNSENSED
from xperience.studies.shift.rows import kind_of, split_of
from xperience.studies.shift.study import CHRONOLOGICAL, LINEAR, LOCAL, PURGED, SPLITS, SplitCase
from xperience.text import as_markdown

METRIC = "macro_f1"


def split_table(cases: Iterable[SplitCase], fps: float) -> pd.DataFrame:
    """Return one row a case: what its split puts where, what it leaks, what it never trains.

    Parameters
    ----------
    cases : iterable of SplitCase
    fps : float
        Frames per second.
    """
    rows = {}
    for case in cases:
        name = (case.task.name, case.contract, SPLIT_NAMES[case.split])
        if case.problem is None:
            rows[name] = {"train": "–", "note": case.outcomes[0].reason}
            continue
        split, places = case.problem.split, case.classes()
        tested = [place for place in places if len(place.test)]
        unseen = [place for place in tested if place.unseen]
        rows[name] = {
            "train": f"{len(split.train):,}",
            "test": f"{len(split.test):,}",
            "purged": f"{len(split.purged):,}",
            "test windows sharing frames": percent(case.leak.overlap_share),
            "of their frames": percent(case.leak.frame_share),
            "median distance (s)": f"{case.leak.gap_frames / fps:.1f}",
            "classes tested": str(len(tested)),
            "never trained": str(len(unseen)),
            "open set": percent(float(case.problem.unseen.mean())),
        }
    table = pd.DataFrame.from_dict(rows, orient="index").fillna("")
    table.index = pd.MultiIndex.from_tuples(table.index, names=["task", "contract", "split"])
    return table


def score_table(rows: Sequence[Record], task: str, metric: str = METRIC) -> pd.DataFrame:
    """Return a task's scores with their intervals: a row a head or floor, a column a split.

    Parameters
    ----------
    rows : sequence of Record
    task : str
    metric : str
    """
    own = [r for r in rows if r.task == task and r.metric == metric and not r.against]
    found: dict[str, dict[tuple[str, str], str]] = {}
    for contract, splits in SPLITS.items():
        for split in splits:
            column = (contract, SPLIT_NAMES[split])
            here = [row for row in own if row.contract == contract and row.variant == split]
            for row in here:
                found.setdefault(HEAD_NAMES[row.head], {})[column] = scored(row)
            bounds = next((row for row in here if row.value is not None), None)
            floor = "–" if bounds is None or bounds.floor is None else f"{bounds.floor:.2f}"
            top = "–" if bounds is None or bounds.ceiling is None else f"{bounds.ceiling:.2f}"
            found.setdefault("best trivial baseline", {})[column] = floor
            found.setdefault("ceiling", {})[column] = top
    table = pd.DataFrame.from_dict(found, orient="index").fillna("–")
    order = (*HEAD_NAMES.values(), "best trivial baseline", "ceiling")
    return table.reindex([name for name in order if name in table.index])


def seen_table(rows: Sequence[Record], metric: str = METRIC) -> pd.DataFrame:
    """Return scores over all test windows and over those of trained classes, under `corrected`.

    Parameters
    ----------
    rows : sequence of Record
    metric : str
    """
    found = []
    for row in rows:
        if row.metric != metric or row.against or kind_of(row) != SEEN:
            continue
        split = split_of(row)
        same = {"task": row.task, "contract": row.contract}
        whole = one_row(rows, metric=metric, head=row.head, variant=split, against=None, **same)
        share = one_row(rows, metric="open_set_share", variant=split, **same)
        found.append(
            {
                "task": row.task,
                "split": SPLIT_NAMES[split],
                "head": HEAD_NAMES[row.head],
                "all test windows": scored(whole),
                "ceiling": f"{whole.ceiling:.2f}",
                "seen classes": scored(row),
                "open set": percent(share.value),
                "why no score": row.reason if row.value is None else "",
            }
        )
    columns = ["task", "split", "head"]
    return pd.DataFrame(found).set_index(columns) if found else pd.DataFrame(columns=columns)


def unsensed_text(rows: Sequence[Record], task: str) -> str:
    """Return a list: how far each split gets without sensing anything, and the head beside it."""
    lines = []
    for contract, splits in SPLITS.items():
        for split in splits:
            base = {"task": task, "contract": contract, "metric": METRIC, "variant": split}
            mine = one_row(rows, head=LINEAR, against=None, **base)
            probes = [one_row(rows, head=head, against=None, **base) for head in UNSENSED]
            probes = [row for row in probes if row is not None and row.value is not None]
            if mine is None or mine.value is None or not probes:
                lines.append(f"- {_where(split, contract)}: {_why(mine)}.")
                continue
            best = max(probes, key=lambda row: row.value)
            gap = one_row(rows, head=best.head, against=LINEAR, **base)
            lines.append(
                f"- {_where(split, contract)}: {HEAD_NAMES[best.head]} **{best.value:.2f}**, "
                f"{HEAD_NAMES[LINEAR]} {mine.value:.2f}; difference {_difference(gap)}."
            )
    return "\n".join(lines)


def _where(split: str, contract: str) -> str:
    return f"*{SPLIT_NAMES[split]}*, `{contract}`"


def _why(row: Record | None) -> str:
    return f"no score ({as_markdown(row.reason)})" if row is not None and row.reason else "no score"


def _difference(row: Record | None) -> str:
    """Return a paired difference and what may be claimed of it."""
    if row is None or row.value is None:
        return "not known"
    said = f"{round(row.value, 2) + 0.0:+.2f}{bracket(row)}"
    if row.ci_low is None:
        return f"{said}, without an interval ({as_markdown(row.ci_reason.partition(': ')[2])})"
    return f"{said}, {'which excludes 0' if excludes_zero(row) else 'which includes 0: no claim'}"


def purge_text(rows: Sequence[Record], cases: Sequence[SplitCase]) -> str:
    """Return a list: what purging the chronological split takes away, and what that changes."""
    lines = []
    for case in cases:
        if case.split != PURGED or case.contract != "published":
            continue
        row = one_row(
            rows, task=case.task.name, variant=PURGED, against=f"{LINEAR} on {CHRONOLOGICAL}"
        )
        if case.problem is None or row is None:
            lines.append(f"- `{case.task.name}`: no comparison ({_first_reason(case)}).")
            continue
        n, total = len(case.problem.split.purged), len(case.problem.split.train)
        lines.append(
            f"- `{case.task.name}`: the purge takes {n} of {n + total:,} training windows; the "
            f"linear head's macro-F1 changes by {_difference(row)}."
        )
    return "\n".join(lines)


def _first_reason(case: SplitCase) -> str:
    return as_markdown(next((one.reason for one in case.outcomes if one.reason), "no answer"))


def shift_text(cases: Sequence[SplitCase]) -> str:
    """Return what the chronological split asks for that its training part never shows."""
    found = [case for case in cases if case.split == CHRONOLOGICAL and case.problem is not None]
    if not found:
        return "No chronological split can be made of this recording's labels."
    parts = []
    for case in found:
        tested = [place for place in case.classes() if len(place.test)]
        n_unseen = sum(place.unseen for place in tested)
        seen = 1 - float(case.problem.unseen.mean())
        parts.append(
            f"- `{case.task.name}`: {n_unseen} of {len(tested)} tested classes have no training "
            f"window. The best that a closed set of classes allows is an accuracy of "
            f"{percent(seen)} and a macro-F1 of {1 - n_unseen / len(tested):.2f}."
        )
    return "\n".join(parts)


def leak_text(cases: Sequence[SplitCase]) -> str:
    """Return how many test windows of the published splits lie in the training part's frames."""
    lines = []
    for case in cases:
        if case.contract == "published" and case.split in (LOCAL, CHRONOLOGICAL) and case.problem:
            n = round(case.leak.overlap_share * len(case.problem.split.test))
            lines.append(
                f"- `{case.task.name}`, *{SPLIT_NAMES[case.split]}*: {n:,} of "
                f"{len(case.problem.split.test):,} test windows share frames with a training "
                f"window, {percent(case.leak.frame_share)} of all their frames."
            )
    return "\n".join(lines) or "No split can be made of this recording's labels."
