"""Predictions that others made of a run's test samples: checked, then scored as heads are.

The table is that of `xperience.evaluation.predictions.predictions_table`, as Parquet. `NEEDED` are
the columns that are read; besides ``contract`` (`corrected` where there is none), ``seed``,
``episode`` where recordings are several, ``start_frame`` to be checked, ``confidence`` where there
are two classes, and `VECTOR`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from xperience.errors import XperienceError, did_you_mean, unreadable
from xperience.evaluation.evaluate import (
    FLOOR,
    Comparison,
    base_of,
    measured,
    score_row,
    strongest,
)
from xperience.evaluation.predictions import BETWEEN, VECTOR, Prediction, Predictions
from xperience.evaluation.records import Record
from xperience.features.blocks import CONTRACTS
from xperience.tasks.catalogue import TASKS_BY_NAME
from xperience.tasks.problem import Problem

NEEDED = ("task", "head", "window", "truth", "predicted")
FORMAT = "docs/howto/submit.md"
_LABELLED = ("classify", "multilabel")


class SubmissionError(XperienceError):
    """A table of predictions that is not of the test samples."""


def _expect(holds: bool, place: str, found: str, expected: str, way_out: str) -> None:
    if not holds:
        raise SubmissionError(place, found, expected, way_out)


def read_submission(path: Path) -> pd.DataFrame:
    """Return a table of predictions whose columns, contracts and tasks are known.

    Raises
    ------
    SubmissionError
        If the file can't be read, lacks a column, is empty, or names an unknown contract or task.
    """
    place = path.name
    try:
        table = pd.read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        way_out = f"Write it as {FORMAT} says."
        raise SubmissionError(place, unreadable(error), "a Parquet file", way_out) from error
    for name in NEEDED:
        there = did_you_mean(name, map(str, table.columns))
        place_of = f"{place}: column {name!r}"
        _expect(name in table, place_of, "is absent", f"it, as in {FORMAT}", there)
    _expect(len(table) > 0, place, "holds no rows", "one row per sample", f"See {FORMAT}.")
    if "contract" not in table:
        table = table.assign(contract="corrected")
    whole = pd.api.types.is_integer_dtype(table["window"])
    found = f"holds {table['window'].dtype}"
    _expect(whole, f"{place}: column 'window'", found, "whole numbers", "Count windows from 0.")
    for name, known in (("contract", CONTRACTS), ("task", TASKS_BY_NAME)):
        for one in table[name].unique():
            place_of = f"{place}: column {name!r}"
            _expect(one in known, place_of, f"holds {one!r}", f"a {name}", did_you_mean(one, known))
    return table


def submitted(problem: Problem, rows: pd.DataFrame, place: str) -> dict[str, Predictions]:
    """Return what a table's rows predict of a problem's test samples, by head.

    Parameters
    ----------
    problem : Problem
    rows : table
        The problem's own: see `read_submission`. Labels that are no option are wrong.
    place : str
        The file's name, for what is wrong with it.

    Raises
    ------
    SubmissionError
        If a sample is absent, stands there twice or is not tested, if its truth differs from the
        recording's, or if a prediction is missing or has the wrong length.
    """
    seeds = rows["seed"] if "seed" in rows else pd.Series(None, rows.index, dtype=object)
    found: dict[str, list[Prediction]] = {}
    for (head, seed), own in rows.groupby(["head", seeds.rename("of")], dropna=False, sort=False):
        named = f"{place}: {problem.contract}, {problem.task.name}, {head}"
        if not pd.isna(seed):
            named += f", seed {seed:.0f}"
        ordered = _in_order(problem, own, named)
        found.setdefault(head, []).append(
            Prediction(
                _predicted(problem, ordered, named),
                _confidence(problem, ordered),
                seed=None if pd.isna(seed) else int(seed),
            )
        )
    return found


def _in_order(problem: Problem, rows: pd.DataFrame, place: str) -> pd.DataFrame:
    """Return one row per test sample, in their order, checked against the truth.

    Of a pair of windows and its false twin, the truth says which is meant.
    """
    task, tested = problem.task, pd.DataFrame(problem.tested)
    key = [name for name in ("episode", "window") if name in tested]
    if task.kind in _LABELLED:
        tested["truth"] = [_text(truth) for truth in problem.test_targets]
    if task.classes:
        key.append("truth")
    _expect(set(key) <= set(rows), place, "has no column 'episode'", "it", f"See {FORMAT}.")
    twice = rows[rows.duplicated(key)]
    _expect(
        twice.empty, place, f"holds {_first(twice, key)} twice", "each sample once", "Drop one."
    )
    both = tested.merge(rows, "outer", key, suffixes=("_tested", ""), indicator="_found")
    lost, more = (both[both["_found"] == one] for one in ("left_only", "right_only"))
    found = f"lacks {len(lost)} of {len(tested)} samples, such as {_first(lost, key)}"
    _expect(lost.empty, place, found, "all test samples", "Predict every one of them.")
    found = f"holds {len(more)} samples that are not tested, such as {_first(more, key)}"
    _expect(
        more.empty,
        place,
        found,
        "test samples only",
        "Leave them out, or name their split with --split.",
    )
    rows = tested[key].merge(both, "left", key)
    for name in {"truth", "start_frame"} - set(key):
        if f"{name}_tested" in rows:
            wrong = rows[rows[f"{name}_tested"].map(_names) != rows[name].map(_names)]
            found = f"has another {name.replace('_', ' ')} in {len(wrong)} samples, such as "
            found += _first(wrong, key)
            if len(wrong):
                found += f": {wrong[name].iloc[0]!r}"
            expected = f"the recording's: {wrong[f'{name}_tested'].iloc[0]!r}" if len(wrong) else ""
            way_out = "Predict the samples of this recording, contract and split."
            _expect(wrong.empty, place, found, expected, way_out)
    return rows


def _text(truth: Any) -> str:
    return truth if isinstance(truth, str) else BETWEEN.join(truth)


def _names(value: Any) -> Any:
    """Return a set's names without their order; anything else as it is."""
    return tuple(sorted(value.split(BETWEEN))) if isinstance(value, str) else value


def _first(rows: pd.DataFrame, key: list[str]) -> str:
    return ", ".join(f"{name} {rows[name].iloc[0]}" for name in key) if len(rows) else ""


def _predicted(problem: Problem, rows: pd.DataFrame, place: str) -> Any:
    kind = problem.task.kind
    column = "predicted" if kind in _LABELLED else VECTOR
    none = int(rows[column].isna().sum())
    way_out = "Predict every sample."
    _expect(not none, place, f"has {none} rows without {column!r}", "none", way_out)
    if kind == "classify":
        return rows[column].tolist()
    if kind == "multilabel":
        return [tuple(text.split(BETWEEN)) if text else () for text in rows[column]]
    width = np.shape(problem.test_targets)[1]
    lengths = sorted({len(one) for one in rows[column]})
    found = f"has vectors of {lengths} numbers"
    _expect(lengths == [width], place, found, f"{width}", "Predict whole targets.")
    vectors = np.stack(rows[column]).astype(np.float64)
    bad = int((~np.isfinite(vectors)).sum())
    _expect(not bad, place, f"has {bad} numbers that are not finite", "none", way_out)
    return vectors


def _confidence(problem: Problem, rows: pd.DataFrame) -> np.ndarray | None:
    """Return the probabilities of two classes, from that of the one predicted, if a table has it.

    Of more classes it leaves the others' open.
    """
    known = problem.task.kind == "classify" and len(problem.labels) == 2 and "confidence" in rows
    if not known or not rows["confidence"].between(0, 1).all():
        return None
    if not rows["predicted"].isin(problem.labels).all():
        return None
    first, sure = rows["predicted"] == problem.labels[0], rows["confidence"]
    likely = np.where(first, sure, 1 - sure)
    return np.stack([likely, 1 - likely], axis=1)


def submission_rows(
    problem: Problem,
    rows: pd.DataFrame,
    ours: Mapping[str, Predictions],
    base: Mapping[str, Any],
    place: str,
) -> Iterator[Record]:
    """Yield trivial baselines, then submitted heads: measures, differences from floor and ours.

    For rows and place see `submitted`. Our heads' predictions are of the same problem; one of a
    submitted head's name is left out. ``base`` holds at least run and section.
    """
    if problem.ok and problem.task.kind not in _LABELLED and VECTOR not in rows:
        reason = f"has no column {VECTOR!r}; errors in the file can't be checked"
        problem = replace(problem, status="skipped", reason=reason)
    if not problem.ok:
        said = base_of(problem, base) | {"status": problem.status, "reason": problem.reason}
        for head in dict.fromkeys(rows["head"]):
            yield Record(**said, head=head, **measured(problem.task.primary), value=None)
        return
    theirs = submitted(problem, rows, place)
    rivals = {name: one for name, one in ours.items() if name not in theirs}
    compared = Comparison.of(problem, rivals | theirs, base)
    primary = problem.task.primary
    variant = "/".join(filter(None, (base.get("variant"), FLOOR)))
    for name, floor in compared.floors.items():
        yield score_row(floor, primary, compared.base | {"head": name, "variant": variant})
    for head in theirs:
        for one in problem.measures:
            yield compared.row(head, one)
        best = strongest(primary, compared.floors)[1]
        for rival in filter(None, (best, *rivals)):
            yield compared.difference(head, rival, primary)
