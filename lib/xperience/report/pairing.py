"""Scores built again from kept predictions, so that two runs can be compared sample by sample."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from xperience.evaluation import metrics as scoring
from xperience.evaluation.catalogue import Metric
from xperience.evaluation.evidence import Labels, LabelSets, MetricError
from xperience.evaluation.predictions import BETWEEN
from xperience.evaluation.records import Record
from xperience.evaluation.resampling import Resampling, WeightedScore
from xperience.evaluation.uncertainty import Interval, difference
from xperience.evaluation.vectors import Ranks, Vectors
from xperience.features.windows import STRIDE_FRAMES, WINDOW_FRAMES
from xperience.tasks.catalogue import ALL_FEATURE_ACTION, TASKS, tasks_of
from xperience.tasks.task import Task

SAMPLE = ("episode", "window", "start_frame", "truth")
"""What two runs must agree on, sample by sample."""
N_RESAMPLES = 1000
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


class UnpairedError(Exception):
    """Why two rows can't be compared sample by sample; caught here and shown beside them."""


@dataclass(frozen=True)
class Answers:
    """What a head said of the test samples of a task, in time order, one table a seed.

    Parameters
    ----------
    draws : dict of {seed or None: table}
    """

    draws: Mapping[int | None, pd.DataFrame]

    def asked(self, seed: int | None) -> list[pd.DataFrame]:
        """Return the tables that a row was scored from: one seed's, or all."""
        if seed is not None and seed not in self.draws:
            raise UnpairedError(f"no predictions of seed {seed} were kept")
        return list(self.draws.values()) if seed is None else [self.draws[seed]]


Kept = dict[tuple[str | None, str, str], Answers]
"""Answers by contract (None where the file names none), task and head."""


def read_answers(path: Path) -> Kept:
    """Return the predictions that a section kept; empty if it kept none.

    Parameters
    ----------
    path : Path
        See `xperience.evaluation.predictions`; a column "episode" tells recordings apart.
    """
    if not path.is_file():
        return {}
    table = pd.read_parquet(path)
    if "contract" not in table:
        table = table.assign(contract=None)
    found: Kept = {}
    for (contract, task, head), rows in table.groupby(["contract", "task", "head"], dropna=False):
        key = (None if pd.isna(contract) else str(contract), str(task), str(head))
        found[key] = Answers(dict(_draws(rows)))
    return found


def _draws(rows: pd.DataFrame) -> Iterator[tuple[int | None, pd.DataFrame]]:
    order = [name for name in ("episode", "start_frame") if name in rows]
    for seed, one in rows.groupby("seed", dropna=False):
        by_time = one.sort_values(order, kind="stable").reset_index(drop=True)
        yield (None if pd.isna(seed) else int(seed)), by_time


def paired(first: Record, second: Record, kept: tuple[Kept, Kept]) -> Interval:
    """Return the interval of the first row's score minus the second's, on the same samples.

    Parameters
    ----------
    first, second : Record
        The same measure of the same head and task, of two runs.
    kept : pair of Kept
        Predictions of both runs.

    Raises
    ------
    UnpairedError
        If predictions are missing, were made of other samples, or do not give the rows' scores.
    """
    if first.against is not None:
        raise UnpairedError("it is a difference already")
    if first.value is None or second.value is None:
        raise UnpairedError("one of them has no score")
    metric = _metric(first)
    sides = [
        _side(row, answers, metric) for row, answers in zip((first, second), kept, strict=True)
    ]
    _expect_same_samples(sides[0].samples, sides[1].samples)
    n = len(sides[0].samples)
    return difference(sides[0].score, sides[1].score, n, _resampling(first, sides[0].samples))


@dataclass(frozen=True)
class _Side:
    samples: pd.DataFrame
    score: WeightedScore


def _side(row: Record, kept: Kept, metric: Metric) -> _Side:
    answers = kept.get((row.contract, str(row.task), str(row.head)))
    answers = answers or kept.get((None, str(row.task), str(row.head)))
    if answers is None:
        raise UnpairedError("no predictions were kept")
    tables = answers.asked(row.seed)
    for other in tables[1:]:
        _expect_same_samples(tables[0], other)
    each = [_weighted(_task(row), metric, table) for table in tables]
    score: WeightedScore = lambda w: np.mean([of(w) for of in each], axis=0)  # noqa: E731
    built = float(score(np.ones((1, len(tables[0]))))[0])
    if not math.isclose(built, row.value, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
        raise UnpairedError("the kept predictions don't give this score")
    return _Side(tables[0], score)


def _expect_same_samples(first: pd.DataFrame, second: pd.DataFrame) -> None:
    names = [name for name in SAMPLE if name in first and name in second]
    if len(first) != len(second) or not first[names].equals(second[names]):
        raise UnpairedError("the samples or their truth are not the same")


def _task(row: Record) -> Task:
    named = {task.name: task for task in tasks_of(row.contract, (*TASKS, ALL_FEATURE_ACTION))}
    if row.task not in named:
        raise UnpairedError("it is not the score of a task")
    return named[row.task]


def _metric(row: Record) -> Metric:
    measures = {one.name: one.metric for one in _task(row).measures}
    if row.metric not in measures:
        raise UnpairedError("it is not a measure of the task")
    return measures[row.metric]


def _weighted(task: Task, metric: Metric, table: pd.DataFrame) -> WeightedScore:
    """Return a metric as a function of sample weights, from kept predictions."""
    try:
        if metric.takes is Labels:
            options = (task.positive,) if task.positive else ()
            sides = table["truth"].tolist(), table["predicted"].tolist()
            found = scoring.labels(*sides, options=options, positive=task.positive)
            return scoring.weighted(metric, found)
        if metric.takes is LabelSets:
            return scoring.weighted(metric, scoring.label_sets(*map(_sets, _said(table))))
    except MetricError as error:
        raise UnpairedError(f"{error.place} {error.found}") from error
    values = table["error"].to_numpy(dtype=np.float64)
    if metric.takes is Ranks and (values % 1 == 0).all():
        return scoring.weighted(metric, _untied(values.astype(np.int64)))
    if metric.takes is Vectors and metric.id == "r2":
        raise UnpairedError("its scale is the truth's spread, which predictions don't keep")
    return _mean_of(metric, table)


def _mean_of(metric: Metric, table: pd.DataFrame) -> WeightedScore:
    """Return the mean of a kept column as a function of sample weights."""
    kept = table.get(_MEANS.get(metric.id, ""))
    values = None if kept is None else kept.to_numpy(dtype=np.float64)
    if values is None or np.isnan(values).any():
        raise UnpairedError("predictions keep too little to build this measure")
    return lambda weights: weights @ values / weights.sum(axis=1)


def _untied(ranks: np.ndarray) -> Ranks:
    """Return whole ranks as evidence; were they means over ties, the row's score would differ."""
    none = np.zeros_like(ranks)
    return Ranks(ranks - 1, none, none, int(max(len(ranks), ranks.max())))


def _said(table: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    return table["truth"], table["predicted"]


def _sets(texts: pd.Series) -> list[list[str]]:
    return [text.split(BETWEEN) if text else [] for text in texts]


def _resampling(row: Record, samples: pd.DataFrame) -> Resampling:
    """Return how samples are drawn again: whole recordings where there are several, else blocks."""
    if "episode" in samples and len(samples["episode"].unique()) > 1:
        return Resampling(N_RESAMPLES, groups=samples["episode"].to_numpy())
    starts = samples["start_frame"].to_numpy()
    span = int(np.ptp(starts)) if len(starts) else 0
    extent = _extent_frames(_task(row))
    block = math.ceil(extent * (len(starts) - 1) / span) if span else 1
    return Resampling(N_RESAMPLES, min_block=max(1, block))


def _extent_frames(task: Task) -> int:
    """Return how many frames a sample's windows and its target cover together."""
    members = task.members(_SEVERAL_WINDOWS)
    apart = int((members.max(axis=1) - members.min(axis=1)).max(initial=0)) * STRIDE_FRAMES
    extent = apart + WINDOW_FRAMES
    if task.target_span is not None:
        last = task.target_span.frames(np.zeros(1, dtype=int), 10**6)[0, 1]
        extent = max(extent, int(last) + 1)
    return extent
