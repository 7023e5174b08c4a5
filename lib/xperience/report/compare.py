"""Two runs side by side: paired where their predictions allow it, refused where data differ.

A score is built again from the predictions that both runs kept, so that the two can be compared
sample by sample.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xperience.errors import XperienceError, did_you_mean
from xperience.evaluation import metrics as scoring
from xperience.evaluation.intervals import (
    Interval,
    IntervalStatus,
    Segmentation,
    WeightedScore,
    difference,
)
from xperience.evaluation.metrics import (
    Detections,
    Labels,
    LabelSets,
    Metric,
    MetricError,
    Ranks,
    Vectors,
)
from xperience.evaluation.predictions import BETWEEN
from xperience.evaluation.records import Record
from xperience.features.windows import STRIDE_FRAMES, WINDOW_FRAMES
from xperience.project import provenance_path, results_folder
from xperience.report.lineage import rows_of_run, selector_of
from xperience.report.tables import verdict
from xperience.tasks.catalogue import ALL_FEATURE_ACTION, TASKS, tasks_of
from xperience.tasks.task import Task

_N_FILES = 6
_MAY_DIFFER = ("notebook", "parameters", "library", "python", "versions")
"""What may differ between two runs that are compared, and is listed."""
_SAMPLE = ("episode", "window", "start_frame", "truth")
"""What two runs must agree on, sample by sample."""
_TOLERANCE = 1e-6
"""Errors are kept as float32: a score built from them is no closer to the row than this."""
_MEANS = {
    "mpjpe": "error",
    "mae_sd": "error",
    "mae_mixed": "error",
    "mpjpe_last_frame": "last_error",
    "mse_m2": "squared_error",
    "mse_mixed": "squared_error",
}
"""Measures that are the mean of a kept column over samples."""
_SEVERAL_WINDOWS = 64
_NOT_OF_A_DIFFERENCE = {
    "value", "ci_low", "ci_high", "ci_reason", "spread", "floor", "floor_name", "skill", "ceiling",
    "n_effective", "no_verdict",
}  # fmt: skip

Kept = dict[tuple[str | None, str, str], dict[int | None, pd.DataFrame]]
"""A table a seed, in time order, by contract (None where a file has none), task and head."""


class CompareError(XperienceError):
    """Two runs that cannot be compared."""


class UnpairedError(Exception):
    """Why two rows can't be compared sample by sample; caught here and shown beside them."""


@dataclass(frozen=True)
class RowPair:
    """The same row of two runs; one of them may lack it."""

    first: Record | None
    second: Record | None
    difference: Record | None = None  #: On the same samples, with its interval or why none.
    why: str = ""  #: Why there is no difference; empty exactly if there is one.

    @property
    def either(self) -> Record:
        """One of the two rows, for its names."""
        row = self.first or self.second
        assert row is not None, "a pair has a row"
        return row

    @property
    def differ(self) -> bool:
        """Whether the two rows' values are not the same."""
        values = [row.value if row else None for row in (self.first, self.second)]
        return values[0] != values[1]

    @property
    def verdict(self) -> str:
        """What a paired difference allows to be said of the first run."""
        row = self.difference
        if row is None or row.value is None:
            return ""
        if row.value == 0 and not self.differ:
            return "equal"
        if row.higher_is_better is None and row.ci_low is not None:
            return "no significant difference" if row.ci_low <= 0 <= row.ci_high else "differs"
        return str(verdict(row)[0])


@dataclass(frozen=True)
class RunComparison:
    """What two runs say of the same data; a difference is the first's score minus the second's."""

    first: str
    second: str
    pairs: tuple[RowPair, ...]  #: Per-seed rows are left out where their mean is there.
    #: Parameters, library, versions and notebooks of a section that are not the same.
    other: dict[str, dict[str, tuple[Any, Any]]]
    left_out: dict[str, str]  #: Sections that can't be compared, and why.

    def records(self) -> list[Record]:
        """Return tidy rows: paired differences; else both rows, and a skipped row that says why."""
        found = []
        for pair in self.pairs:
            if pair.difference is not None:
                found.append(pair.difference)
                continue
            for run, row in ((self.first, pair.first), (self.second, pair.second)):
                found += [row.model_copy(update={"run": run})] if row else []
            if pair.either.against is None:
                names = pair.either.model_dump(exclude=_NOT_OF_A_DIFFERENCE)
                names |= {"run": self.first, "against": self.second}
                found.append(Record(**names | {"status": "skipped", "reason": pair.why}))
        return found

    def to_json(self) -> str:
        """Return the comparison as JSON text."""
        found = {
            "first": self.first,
            "second": self.second,
            "other": self.other,
            "left_out": self.left_out,
            "rows": [row.model_dump(mode="json") for row in self.records()],
        }
        return json.dumps(found, indent=1, ensure_ascii=False)

    def to_text(self) -> str:
        """Return the comparison as lines for readers."""
        lines = [f"{self.first} minus {self.second}, on the same data"]
        lines += [f"  {section}: other {', '.join(names)}" for section, names in self.other.items()]
        lines += [f"  {section} is left out: {why}" for section, why in self.left_out.items()]
        whole = [pair for pair in self.pairs if pair.difference is not None]
        lines += [
            "",
            f"{len(whole)} rows compared sample by sample, each interval on its own (95 %):",
        ]
        lines += [_paired_line(pair) for pair in whole if pair.verdict != "equal"]
        lines.append(f"  {sum(pair.verdict == 'equal' for pair in whole)} are equal")
        rest = [pair for pair in self.pairs if pair.difference is None]
        lines += ["", f"{len(rest)} rows side by side, without a verdict:"]
        for pair in rest:
            if pair.differ:
                values = " | ".join(map(_shown, (pair.first, pair.second)))
                lines.append(f"  {selector_of(pair.either)}: {values} ({pair.why})")
        lines.append(f"  {sum(not pair.differ for pair in rest)} have the same value")
        return "\n".join(lines)


def _paired_line(pair: RowPair) -> str:
    row = pair.difference
    assert row is not None, "only paired rows are shown here"
    if row.value is None:
        return f"  {selector_of(pair.either)}: {row.reason}"
    ends = f"[{row.ci_low:+.4g}, {row.ci_high:+.4g}]" if row.ci_low is not None else row.ci_reason
    return f"  {selector_of(pair.either)}: {row.value:+.4g} {ends} {pair.verdict}"


def _shown(row: Record | None) -> str:
    if row is None:
        return "no row"
    return row.status if row.value is None else f"{row.value:.4g}"


def compare_runs(first: str, second: str, *, task: str | None = None) -> RunComparison:
    """Return what two runs say of the same data, row by row, or only of one task.

    Raises
    ------
    CompareError
        If the runs' data are not the same, a section follows other contracts, a section's
        provenance is missing, no section is in both, or the task is in neither.
    SelectorError
        If a run left no metrics.
    """
    if first == second:
        way_out = "Name another run; its folder lies in artifacts/."
        raise CompareError("RUN_A RUN_B", f"are both {first!r}", "two runs", way_out)
    runs, every = (first, second), [rows_of_run(run) for run in (first, second)]
    rows = [[row for row in side if task in (None, row.task)] for side in every]
    if task is not None and not any(rows):
        known = {row.task for side in every for row in side if row.task}
        raise CompareError("--task", f"is {task!r}", "a task", did_you_mean(task, known))
    sections = [{row.section for row in side} for side in rows]
    left_out = {
        section: f"only {first if section in sections[0] else second} has it"
        for section in sorted(sections[0] ^ sections[1])
    }
    pairs: list[RowPair] = []
    other: dict[str, dict[str, tuple[Any, Any]]] = {}
    for section in sorted(sections[0] & sections[1]):
        origins = [_provenance(run, section) for run in runs]
        data = origins[0].get("data", {})
        if data and all("/metrics/" in name for name in data):
            left_out[section] = "it is told from the other sections' metrics"
            continue
        mine = [[row for row in side if row.section == section] for side in rows]
        _expect_alike(f"{first} and {second}: {section}", origins, mine)
        flat = [_flat({name: one.get(name) for name in _MAY_DIFFER}) for one in origins]
        differ = sorted(
            name for name in {*flat[0], *flat[1]} if flat[0].get(name) != flat[1].get(name)
        )
        other |= {section: {n: (flat[0].get(n), flat[1].get(n)) for n in differ}} if differ else {}
        pairs += _pairs(runs, section, mine)
    if not pairs:
        found = f"share no section ({'; '.join(f'{k}: {v}' for k, v in left_out.items())})"
        way_out = "Run the same notebooks for both."
        raise CompareError(f"{first} and {second}", found, "one in both", way_out)
    return RunComparison(first, second, tuple(pairs), other, left_out)


def _provenance(run: str, section: str) -> Mapping[str, Any]:
    path = provenance_path(results_folder(run) / "metrics" / f"{section}.json")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        fault = "" if isinstance(found, dict) else "is no JSON object"
    except (OSError, ValueError) as error:
        fault = f"cannot be read ({type(error).__name__})"
    if fault:
        way_out = (
            f"Run `make reproduce RUN={run}`: without it nobody can tell which data these are."
        )
        place = f"artifacts/{run}/metrics/{path.name}"
        raise CompareError(place, fault, "a provenance file", way_out)
    return found


def _expect_alike(
    place: str, origins: list[Mapping[str, Any]], rows: Iterable[list[Record]]
) -> None:
    """Refuse sections that rest on other data or follow other contracts."""
    data = [one.get("data", {}) for one in origins]
    if sorted(data[0].values()) != sorted(data[1].values()):
        lone = [
            name
            for side, others in zip(data, data[::-1], strict=True)
            for name, digest in side.items()
            if digest not in others.values()
        ]
        more = f" and {len(lone) - _N_FILES} more" if len(lone) > _N_FILES else ""
        raise CompareError(
            place,
            f"rest on other data: {', '.join(lone[:_N_FILES])}{more}",
            "the same content on both sides",
            "Run both on the same windows tables, made by the same features.",
        )
    contracts = [", ".join(sorted({row.contract for row in side})) for side in rows]
    if contracts[0] != contracts[1]:
        raise CompareError(
            place,
            f"follow the contracts {' and '.join(contracts)}",
            "the same contracts",
            "Scores of two contracts are answers to two questions: run both under the same.",
        )


def _flat(found: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{name}.")
        else:
            flat[before + name] = value
    return flat


def _pairs(
    runs: tuple[str, str], section: str, rows: Iterable[Iterable[Record]]
) -> Iterator[RowPair]:
    mine, theirs = (_by_key(side) for side in rows)
    kept = [
        read_predictions(results_folder(run) / "predictions" / f"{section}.parquet") for run in runs
    ]
    for key in dict.fromkeys([*mine, *theirs]):
        one, other = mine.get(key), theirs.get(key)
        if one is None or other is None:
            run = runs[1] if one is None else runs[0]
            yield RowPair(one, other, None, f"only {run} has this row")
            continue
        try:
            found = _paired(one, other, kept)
        except UnpairedError as reason:
            yield RowPair(one, other, None, f"not compared sample by sample: {reason}")
        else:
            yield RowPair(one, other, _difference(one, other, found, runs))


def _by_key(rows: Iterable[Record]) -> dict[tuple[Any, ...], Record]:
    """Return rows by what tells them apart but the run; a mean stands for its seeds."""
    found = {row.key[1:]: row for row in rows}
    return {
        key: row for key, row in found.items() if key[-1] is None or (*key[:-1], None) not in found
    }


def _difference(one: Record, other: Record, found: Interval, runs: tuple[str, str]) -> Record:
    names = {"section", "contract", "task", "head", "variant", "metric", "unit", "seed"}
    names |= {"higher_is_better", "n_train", "n_test", "n_seeds"}
    values = one.model_dump(include=names)
    values |= {"run": runs[0], "against": runs[1], "n_effective": found.n_effective, "p": found.p}
    values["no_verdict"] = one.no_verdict or other.no_verdict
    if found.estimate is None:
        return Record(**values, status="degenerate", reason=found.reason or "no score")
    if found.status is IntervalStatus.OK:
        values |= {"ci_low": found.low, "ci_high": found.high}
    else:
        values["ci_reason"] = f"{found.status}: {found.reason}"
    return Record(**values, value=found.estimate)


def read_predictions(path: Path) -> Kept:
    """Return the predictions that a section kept; empty if it kept none.

    A column "episode" tells recordings apart; for the others see `evaluation.predictions.COLUMNS`.
    """
    if not path.is_file():
        return {}
    table = pd.read_parquet(path)
    if "contract" not in table:
        table = table.assign(contract=None)
    order = [name for name in ("episode", "start_frame") if name in table]
    found: Kept = {}
    names = ["contract", "task", "head", "seed"]
    for (contract, task, head, seed), rows in table.groupby(names, dropna=False):
        key = (None if pd.isna(contract) else str(contract), str(task), str(head))
        by_time = rows.sort_values(order, kind="stable").reset_index(drop=True)
        found.setdefault(key, {})[None if pd.isna(seed) else int(seed)] = by_time
    return found


def _paired(first: Record, second: Record, kept: list[Kept]) -> Interval:
    """Return the interval of the first row's score minus the second's, on the same samples.

    Raises
    ------
    UnpairedError
        If predictions are missing, were made of other samples, or do not give the rows' scores.
    """
    if first.against is not None:
        raise UnpairedError("it is a difference already")
    if first.value is None or second.value is None:
        raise UnpairedError("one of them has no score")
    tasks = {task.name: task for task in tasks_of(first.contract, (*TASKS, ALL_FEATURE_ACTION))}
    task = tasks.get(str(first.task))
    if task is None:
        raise UnpairedError("it is not the score of a task")
    metric = {one.name: one.metric for one in task.measures}.get(first.metric)
    if metric is None:
        raise UnpairedError("it is not a measure of the task")
    (samples, one), (others, other) = (
        _score_again(row, predictions, task, metric)
        for row, predictions in zip((first, second), kept, strict=True)
    )
    _expect_same_samples(samples, others)
    return difference(one, other, len(samples), _segmentation(task, samples), metric.bounds)


def _score_again(
    row: Record, kept: Kept, task: Task, metric: Metric
) -> tuple[pd.DataFrame, WeightedScore]:
    """Return the samples of a row and its score as a function of their weights."""
    seeds = kept.get((row.contract, task.name, str(row.head)))
    seeds = seeds or kept.get((None, task.name, str(row.head)))
    if seeds is None:
        raise UnpairedError("no predictions were kept")
    if row.seed is not None and row.seed not in seeds:
        raise UnpairedError(f"no predictions of seed {row.seed} were kept")
    tables = list(seeds.values()) if row.seed is None else [seeds[row.seed]]
    for other in tables[1:]:
        _expect_same_samples(tables[0], other)
    each = [_weighted(task, metric, table) for table in tables]

    def score(weights: np.ndarray) -> np.ndarray:
        return np.mean([of(weights) for of in each], axis=0)

    built = float(score(np.ones((1, len(tables[0]))))[0])
    if not math.isclose(built, row.value, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
        raise UnpairedError("the kept predictions don't give this score")
    return tables[0], score


def _expect_same_samples(first: pd.DataFrame, second: pd.DataFrame) -> None:
    names = [name for name in _SAMPLE if name in first and name in second]
    if len(first) != len(second) or not first[names].equals(second[names]):
        raise UnpairedError("the samples or their truth are not the same")


def _weighted(task: Task, metric: Metric, table: pd.DataFrame) -> WeightedScore:
    """Return a metric as a function of sample weights, from kept predictions."""
    sides = table["truth"].tolist(), table["predicted"].tolist()
    try:
        if metric.takes is Labels:
            options = (task.positive,) if task.positive else ()
            found = scoring.labels(*sides, options=options, positive=task.positive)
            return scoring.weighted(metric, found)
        if metric.takes is Detections:  # of two classes: the other one has the rest
            claimed, sure = (table["predicted"] == task.positive), table["confidence"].fillna(1.0)
            likely = np.where(claimed, sure, 1 - sure)
            return scoring.weighted(
                metric, scoring.detections(table["truth"] == task.positive, likely)
            )
        if metric.takes is LabelSets:
            sets = ([text.split(BETWEEN) if text else [] for text in side] for side in sides)
            return scoring.weighted(metric, scoring.label_sets(*sets))
    except MetricError as error:
        raise UnpairedError(f"{error.place} {error.found}") from error
    errors = table["error"].to_numpy(dtype=np.float64)
    if metric.takes is Ranks and (errors % 1 == 0).all():
        ranks, none = errors.astype(np.int64), np.zeros(len(errors), np.int64)
        n_candidates = int(max(len(ranks), ranks.max()))  # means over ties would not be whole
        return scoring.weighted(metric, Ranks(ranks - 1, none, none, n_candidates))
    if metric.takes is Vectors and metric.id == "r2":
        raise UnpairedError("its scale is the truth's spread, which predictions don't keep")
    kept = table.get(_MEANS.get(metric.id, ""))
    values = None if kept is None else kept.to_numpy(dtype=np.float64)
    if values is None or np.isnan(values).any():
        raise UnpairedError("predictions keep too little to build this measure")
    return lambda weights: weights @ values / weights.sum(axis=1)


def _segmentation(task: Task, samples: pd.DataFrame) -> Segmentation:
    """Return one piece of evidence: a recording where there are several, else a segment.

    A segment covers at least the frames of one sample's windows and its target together.
    """
    if "episode" in samples and len(samples["episode"].unique()) > 1:
        return Segmentation(groups=samples["episode"].to_numpy())
    members = task.members(_SEVERAL_WINDOWS)
    apart = int((members.max(axis=1) - members.min(axis=1)).max(initial=0)) * STRIDE_FRAMES
    extent = apart + WINDOW_FRAMES
    if task.target_span is not None:
        last = task.target_span.frames(np.zeros(1, dtype=int), 10**6)[0, 1]
        extent = max(extent, int(last) + 1)
    starts = samples["start_frame"].to_numpy()
    span = int(np.ptp(starts)) if len(starts) else 0
    block = math.ceil(extent * (len(starts) - 1) / span) if span else 1
    return Segmentation(min_length=max(1, block))
