"""Reconstruction by feature block, by statistic and by unit.

One R² over thousands of columns is a weighted mean of the columns' own, and the weights are how
much each varies. In raw units a column of metres outweighs a column of colours by its size alone;
in units of training SD every column weighs about the same. So the two contracts' numbers differ for
two reasons, the unit and the fit, and scoring both fits in both units separates the two.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xperience.evaluation.evaluate import Comparison, Scores, measured
from xperience.evaluation.metrics import score, vectors
from xperience.evaluation.predictions import Prediction
from xperience.evaluation.records import Record
from xperience.features.blocks import BLOCKS_BY_NAME
from xperience.models import baselines
from xperience.models.conditioning import Moments
from xperience.tasks.measures import measure
from xperience.tasks.problem import Problem

R2 = measure("r2")
STATS = ("mean", "std", "min", "max", "last - first", "mean step", "std of steps")
"""The seven statistics of a window, in the order of its columns."""
RAW, SCALED = UNITS = ("raw units", "training SD")
WHOLE = "all columns"


@dataclass(frozen=True)
class TargetColumns:
    """The columns that a reconstruction predicts, of the test samples in time order, in a unit.

    Columns that hardly vary in training are left out: divided by their deviation, noise of any size
    would come of them.
    """

    problem: Problem
    unit: str  # one of `UNITS`
    truth: np.ndarray  # float64 (n_test, n_columns)
    floors: dict[str, np.ndarray]  # predictions of trivial baselines, of the same shape
    moments: Moments  # of the training part, raw units, all columns
    block: np.ndarray  # that each column is of
    stat: np.ndarray  # likewise

    @classmethod
    def of(cls, problem: Problem, unit: str) -> "TargetColumns":
        """Return the columns of a problem whose target are feature blocks."""
        names, split = problem.task.target_blocks, problem.split
        raw = np.concatenate([problem.blocks.raw(name) for name in names], axis=1)
        raw = raw[problem.samples.members[:, 0]].astype(np.float64)
        moments = Moments.of(raw[split.train])
        block = np.repeat(names, [BLOCKS_BY_NAME[name].dim for name in names])
        stat = np.concatenate([np.repeat(STATS, BLOCKS_BY_NAME[name].per_frame) for name in names])
        values = _in_unit(raw, moments, unit)
        train, test = values[split.train], values[split.test[problem.by_time]]
        centers = problem.centers
        nearest = baselines.nearest_in_time(centers[0], centers[1][problem.by_time])
        mean = baselines.train_mean(train, len(test))
        floors = {"train_mean": mean, "nearest_in_time": train[nearest]}
        return cls(problem, unit, test, floors, moments, block[moments.keep], stat[moments.keep])

    @property
    def groups(self) -> dict[str, np.ndarray]:
        """Masks over columns: all of them, each block, each statistic."""
        found = {WHOLE: np.ones(len(self.block), dtype=bool)}
        found |= {name: self.block == name for name in dict.fromkeys(self.block.tolist())}
        return found | {name: self.stat == name for name in STATS if (self.stat == name).any()}

    def predicted(self, one: Prediction) -> np.ndarray:
        """Return a head's prediction of these columns; `corrected` ones are in deviations."""
        values = np.asarray(one.predicted, dtype=np.float64)[self.problem.by_time]
        raw = self.moments.back(values) if self.problem.strict else values
        return _in_unit(raw, self.moments, self.unit)

    def compared(
        self, predicted: np.ndarray, mask: np.ndarray, base: Mapping[str, Any]
    ) -> Comparison:
        """Return the comparison of a prediction with the floors, on some of the columns."""
        truth = self.truth[:, mask]
        scores = {
            name: Scores(self.problem, ([vectors(truth, values[:, mask])],), (None,))
            for name, values in {"linear": predicted, **self.floors}.items()
        }
        return Comparison(self.problem, {"linear": scores.pop("linear")}, scores, dict(base))


def _in_unit(raw: np.ndarray, moments: Moments, unit: str) -> np.ndarray:
    """Return the columns that vary in training, in a unit."""
    kept = raw[:, moments.keep]
    if unit == RAW:
        return kept
    return (kept - moments.mean[moments.keep]) / moments.std[moments.keep]


def group_rows(
    columns: TargetColumns, predicted: np.ndarray, source: str, base: Mapping[str, Any]
) -> Iterator[Record]:
    """Yield R² of each group of columns, and its paired difference from the better floor."""
    for group, mask in columns.groups.items():
        compared = columns.compared(predicted, mask, {**base, "variant": f"{group} from {source}"})
        yield compared.row("linear", R2)
        for rival in compared.rivals("linear", R2):
            yield compared.difference("linear", rival, R2)


def unit_rows(
    columns: TargetColumns, predicted: Mapping[str, np.ndarray], base: Mapping[str, Any]
) -> Iterator[Record]:
    """Yield R² of all columns in one unit, of what each input predicts and of each floor."""
    said = {("linear", f"from {source}"): values for source, values in predicted.items()}
    said |= {(name, "floor"): values for name, values in columns.floors.items()}
    for (head, kind), values in said.items():
        found = score("r2", vectors(columns.truth, values))
        own = {"head": head, "variant": f"{kind}, in {columns.unit}", "value": found.value}
        yield Record(**{**base, **measured(R2), **own}, status=found.status, reason=found.reason)


def weight_rows(columns: TargetColumns, base: Mapping[str, Any]) -> Iterator[Record]:
    """Yield each group's share of all that the columns vary, which is its weight in their R².

    In raw units each group's share of the columns as well.
    """
    spread = np.square(columns.truth - columns.truth.mean(axis=0)).sum(axis=0)
    total = max(float(spread.sum()), np.finfo(float).tiny)
    for group, mask in columns.groups.items():
        own = {"metric": "spread_share", "variant": f"{group}, in {columns.unit}"}
        yield Record(**{**base, **own}, value=float(spread[mask].sum()) / total)
        if columns.unit == RAW:
            own = {"metric": "column_share", "variant": group}
            yield Record(**{**base, **own}, value=float(mask.mean()))
