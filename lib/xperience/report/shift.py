"""The label-shift section in tables and sentences, every number taken from its rows.

A row's variant says which split it is of ("local"), and what of it: "local/floor" is a trivial
baseline, "local/seen_classes" the test windows of trained classes, "local/class=NAME" one class,
"local/embargo=N" the split with N frames between training and test windows.
"""

from collections.abc import Sequence

import pandas as pd

from xperience.evaluation.records import Record
from xperience.report import tables
from xperience.report.tables import UNKNOWN, Rows
from xperience.text import as_markdown

SPLIT_NAMES = {
    "local": "local",
    "local_blocks": "local segments, purged",
    "chronological": "chronological",
    "chronological_purged": "chronological, purged",
}
HEAD_NAMES = {
    "linear": "linear head, the contract's inputs",
    "linear_with_text": "linear head, sensors and words",
    "linear_sensors_only": "linear head, sensors only",
    "linear_text_only": "linear head, words only",
    "time_only": "time alone, smooth vote",
    "copy_nearest": "time alone, nearest window's label",
    "linear_thinned": "linear head, as many windows at random",
}
UNSENSED = ("copy_nearest", "time_only", "linear_text_only")
"""Heads that use no camera, microphone, tracker or inertial unit."""
METRIC, RECALL = "macro_f1", "recall"


def parts_of(row: Record) -> tuple[str, str]:
    """Return the split that a row is of, and what of it: "" for the split as a whole."""
    split, _, kind = (row.variant or "").partition("/")
    return split, kind


def splits_of(rows: Sequence[Record]) -> list[tuple[str, str, str]]:
    """Return the (task, contract, split) of which there are rows, in their order."""
    found = ((row.task, row.contract, parts_of(row)[0]) for row in rows)
    return list(dict.fromkeys(found))


def tested_classes(
    rows: Sequence[Record], task: str, contract: str, split: str
) -> tuple[list[Record], list[Record]]:
    """Return the rows of the classes that a split tests, and those that it never trains."""
    tested = [
        row
        for row in rows
        if row.metric == RECALL
        and (row.task, row.contract, parts_of(row)[0]) == (task, contract, split)
    ]
    return tested, [row for row in tested if not row.n_train]


def split_table(rows: Sequence[Record], fps: float) -> pd.DataFrame:
    """Return one row per task and split: what goes where, what it leaks, what is never trained.

    Parameters
    ----------
    rows : sequence of Record
    fps : float
        Frames per second.
    """
    known, found = Rows(rows), {}
    for task, contract, split in splits_of(rows):
        own = {"task": task, "contract": contract, "variant": split}
        facts = {row.metric: row for row in known.all(**own, head=None)}
        place = (task, contract, SPLIT_NAMES[split])
        if "overlap_share" not in facts:
            found[place] = {"train": UNKNOWN, "note": known.all(**own)[0].reason}
            continue
        leak, gap = facts["overlap_share"], facts["median_gap"].value
        tested, unseen = tested_classes(rows, task, contract, split)
        found[place] = {
            "train": f"{leak.n_train:,}",
            "test": f"{leak.n_test:,}",
            "purged": tables.number(_value(facts, "purged_samples"), "window"),
            "test windows sharing frames": tables.share(leak.value),
            "of their frames": tables.share(facts["shared_frame_share"].value),
            "median distance (s)": UNKNOWN if gap is None else f"{gap / fps:.1f}",
            "classes tested": f"{len(tested)}",
            "never trained": f"{len(unseen)}",
            "open set": tables.share(_value(facts, "open_set_share")),
        }
    table = pd.DataFrame.from_dict(found, orient="index").fillna("")
    table.index = pd.MultiIndex.from_tuples(table.index, names=["task", "contract", "split"])
    return table


def _value(facts: dict[str, Record], metric: str) -> float | None:
    return facts[metric].value if metric in facts else None


def score_table(rows: Sequence[Record], task: str) -> pd.DataFrame:
    """Return a task's scores with their intervals: a row per head or bound, a column per split."""
    known, found = Rows(rows), {}
    for contract, split in (one[1:] for one in splits_of(rows) if one[0] == task):
        own = known.all(task=task, contract=contract, metric=METRIC, variant=split)
        column = {HEAD_NAMES[row.head]: tables.score(row) for row in own}
        bounds = max(own, key=lambda row: row.value is not None)
        column["best trivial baseline"] = tables.floor(bounds)
        column["ceiling: trained classes"] = tables.number(bounds.ceiling)
        found[contract, SPLIT_NAMES[split]] = column
    return pd.DataFrame(found).fillna(UNKNOWN)


def seen_table(rows: Sequence[Record]) -> pd.DataFrame:
    """Return scores on all test windows beside those on trained classes, under `corrected`."""
    known, found = Rows(rows), []
    for row in rows:
        split, kind = parts_of(row)
        if row.metric != METRIC or kind != "seen_classes":
            continue
        own = {"task": row.task, "contract": row.contract, "variant": split}
        whole = known.one(**own, metric=METRIC, head=row.head)
        open_set = known.one(**own, metric="open_set_share")
        found.append(
            {
                "task": row.task,
                "split": SPLIT_NAMES[split],
                "head": HEAD_NAMES[row.head],
                "all test windows": tables.score(whole),
                "ceiling": tables.number(whole and whole.ceiling),
                "seen classes": tables.score(row),
                "open set": tables.share(open_set and open_set.value),
            }
        )
    index = ["task", "split", "head"]
    return pd.DataFrame(found).set_index(index) if found else pd.DataFrame(columns=index)


def unsensed_text(rows: Sequence[Record], task: str) -> str:
    """Return a list: how far each split gets without sensing anything, and the head beside it."""
    known, lines = Rows(rows), []
    for contract, split in (one[1:] for one in splits_of(rows) if one[0] == task):
        own = {"task": task, "contract": contract, "metric": METRIC, "variant": split}
        head = known.one(**own, head="linear")
        probes = [known.one(**own, head=name) for name in UNSENSED]
        probes = [row for row in probes if row is not None and row.value is not None]
        place = f"*{SPLIT_NAMES[split]}*, `{contract}`"
        if head is None or head.value is None or not probes:
            why = (head and head.reason) or "no probe"
            lines.append(f"- {place}: no score ({as_markdown(why)}).")
            continue
        best = max(probes, key=lambda row: row.value)
        gap = known.one(**own, head=best.head, against="linear")
        lines.append(
            f"- {place}: {HEAD_NAMES[best.head]} **{tables.number(best.value)}**, "
            f"{HEAD_NAMES['linear']} {tables.number(head.value)}; "
            f"difference {tables.difference(gap)}."
        )
    return "\n".join(lines)


def purge_text(rows: Sequence[Record]) -> str:
    """Return a list: what purging the chronological split takes away, and what that changes."""
    known, lines = Rows(rows), []
    for row in rows:
        if row.against != "linear on chronological":
            continue
        purged = known.one(
            task=row.task, contract=row.contract, variant=row.variant, metric="purged_samples"
        )
        if row.value is None or purged is None or purged.value is None:
            why = as_markdown(row.reason or "nothing was purged")
            lines.append(f"- `{row.task}`: no comparison ({why}).")
            continue
        lines.append(
            f"- `{row.task}`: the purge takes {purged.value:,.0f} of "
            f"{row.n_train + purged.value:,.0f} training windows; the linear head's macro-F1 "
            f"changes by {tables.difference(row)}."
        )
    return "\n".join(lines)


def shift_text(rows: Sequence[Record]) -> str:
    """Return what the chronological split tests that its training part never shows."""
    known, lines = Rows(rows), []
    for task, contract, split in splits_of(rows):
        tested, unseen = tested_classes(rows, task, contract, split)
        if split != "chronological" or not tested:
            continue
        own = {"task": task, "contract": contract, "variant": split}
        open_set = known.scored(**own, metric="open_set_share")
        accuracy = None if open_set is None else 1 - open_set.value
        lines.append(
            f"- `{task}`: {len(unseen)} of {len(tested)} tested classes have no training window. "
            f"The best that a closed set of classes allows is an accuracy of "
            f"{tables.share(accuracy)} and a macro-F1 of "
            f"{tables.number(1 - len(unseen) / len(tested))}."
        )
    return "\n".join(lines) or "No chronological split can be made of this recording's labels."
