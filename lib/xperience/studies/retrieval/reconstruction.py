"""What motion and sound tell of depth and video: R² by block, by statistic, and by unit.

One R² over thousands of columns is a weighted mean of the columns' own, and the weights are how
much each varies. In raw units a column of metres outweighs a column of colours by its size alone;
in training deviations every column weighs about the same. So the two contracts' numbers differ for
two reasons, the unit and the fit, and both are told apart here by scoring both fits in both units.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from xperience.evaluation.metrics import Score, score, vectors, weighted
from xperience.evaluation.resampling import Interval, Resampling, difference, interval
from xperience.features.blocks import BLOCKS_BY_NAME
from xperience.features.table import WindowTable
from xperience.models import baselines
from xperience.models.conditioning import Moments
from xperience.studies.problem import Outcome, Problem
from xperience.studies.scores import N_RESAMPLES

STATS = ("mean", "std", "min", "max", "last - first", "mean step", "std of steps")
"""The seven statistics of a window, in the order of its columns."""

UNITS = ("raw units", "training deviations")
WHOLE = "all columns"
FLOORS = ("train_mean", "nearest_in_time")


@dataclass(frozen=True)
class GroupScore:
    """R² of some columns, pooled.

    Parameters
    ----------
    r2 : Score
        1 is perfect, 0 the mean of the test windows.
    floors : dict of {name: float}
        R² of predictions that need no input.
    interval : Interval, optional
        Of ``r2``.
    gain : Interval, optional
        Of ``r2`` minus the best floor's, on the same resamples.
    """

    r2: Score
    floors: dict[str, float]
    interval: Interval | None = None
    gain: Interval | None = None

    @property
    def floor(self) -> tuple[str, float] | tuple[None, None]:
        """The best floor and its R²."""
        return max(self.floors.items(), key=lambda item: item[1]) if self.floors else (None, None)

    @property
    def beats_floor(self) -> bool:
        """Whether the gain over the best floor is above 0, its whole interval too."""
        return self.gain is not None and self.gain.low is not None and self.gain.low > 0


@dataclass(frozen=True)
class Reconstruction:
    """What came of predicting the visual columns of the test windows under one contract.

    Parameters
    ----------
    contract : str
    unit : str
        The contract's own, one of ``UNITS``.
    scores : dict of {input: dict of {group: GroupScore}}
        In the contract's own unit.
    in_unit : dict of {unit: dict of {input or floor: float or None}}
        R² of all columns, of the same predictions, in either unit.
    spread_shares : dict of {unit: dict of {group: float}}
        A group's share of what all test columns vary, which is its weight in their R².
    column_shares : dict of {group: float}
        A group's share of the columns.
    missing : dict of {input: reason}
        Inputs that could not be tried.
    n_train, n_test : int
    """

    contract: str
    unit: str
    scores: dict[str, dict[str, GroupScore]]
    in_unit: dict[str, dict[str, float | None]]
    spread_shares: dict[str, dict[str, float]]
    column_shares: dict[str, float]
    missing: dict[str, str]
    n_train: int = 0
    n_test: int = 0

    @property
    def groups(self) -> list[str]:
        """Blocks and statistics that have scores, all columns first."""
        return list(self.column_shares)


def reconstruct(
    outcomes: Mapping[str, Outcome], table: WindowTable, contract: str
) -> Reconstruction:
    """Return how well each input tells each block and statistic of depth and video.

    Parameters
    ----------
    outcomes : mapping of {input: Outcome}
        Answers to one task whose target are visual blocks, each from another input.
    table : WindowTable
        The windows they were answered on.
    contract : {"published", "corrected"}

    Notes
    -----
    Columns that hardly vary in training are left out, as under `corrected`: divided by their
    deviation, noise of any size would come of them.
    """
    unit = UNITS[contract == "corrected"]
    missing = {name: one.reason or one.status for name, one in outcomes.items() if not one.answers}
    answered = {name: one for name, one in outcomes.items() if one.answers}
    if not answered:
        return Reconstruction(contract, unit, {}, {}, {}, {}, missing)
    problem = next(iter(answered.values())).problem
    target = _Target.of(problem, table)
    groups, own = target.groups(), target.in_unit(unit)
    views = {name: own if name == unit else target.in_unit(name) for name in UNITS}
    predicted = {name: target.answered(one) for name, one in answered.items()}
    return Reconstruction(
        contract,
        unit,
        {
            name: {group: own.score(values, mask) for group, mask in groups.items()}
            for name, values in predicted.items()
        },
        {name: view.whole(predicted) for name, view in views.items()},
        {name: view.shares(groups) for name, view in views.items()},
        {group: float(mask.mean()) for group, mask in groups.items()},
        missing,
        len(problem.split.train),
        len(problem.split.test),
    )


@dataclass(frozen=True)
class _Target:
    """The visual columns that vary in training, raw units, of a problem's samples.

    Parameters
    ----------
    problem : Problem
    values : float array, shape (n_samples, n_columns)
    moments : Moments
        Of the training part, of all columns.
    block, stat : str array, shape (n_columns,)
    """

    problem: Problem
    values: np.ndarray
    moments: Moments
    block: np.ndarray
    stat: np.ndarray

    @classmethod
    def of(cls, problem: Problem, table: WindowTable) -> "_Target":
        names = problem.task.target_blocks
        raw = np.concatenate([table.block(name) for name in names], axis=1)
        raw = raw[problem.samples.members[:, 0]].astype(np.float64)
        moments = Moments.of(raw[problem.split.train])
        block = np.repeat(names, [BLOCKS_BY_NAME[name].dim for name in names])
        stat = np.concatenate([np.repeat(STATS, BLOCKS_BY_NAME[name].per_frame) for name in names])
        keep = moments.keep
        return cls(problem, raw[:, keep], moments, block[keep], stat[keep])

    def groups(self) -> dict[str, np.ndarray]:
        """Return masks over columns: all of them, each block, each statistic."""
        found = {WHOLE: np.ones(len(self.block), dtype=bool)}
        found |= {name: self.block == name for name in dict.fromkeys(self.block.tolist())}
        return found | {name: self.stat == name for name in STATS if (self.stat == name).any()}

    @property
    def _scale(self) -> tuple[np.ndarray, np.ndarray]:
        keep = self.moments.keep
        return self.moments.mean[keep], self.moments.std[keep]

    def answered(self, outcome: Outcome) -> np.ndarray:
        """Return a head's predictions in raw units, float64 (n_test, n_columns)."""
        said = np.asarray(outcome.answer.predicted, dtype=np.float64)
        if self.problem.contract == "published":
            return said[:, self.moments.keep]
        mean, std = self._scale  # heads of the corrected contract answer in deviations
        return mean + std * said

    def in_unit(self, unit: str) -> "_View":
        """Return the test windows' columns in a unit."""
        problem, (mean, std) = self.problem, self._scale
        if unit == UNITS[0]:
            mean, std = np.zeros_like(mean), np.ones_like(std)
        train, test = problem.split.train, problem.split.test[problem.by_time]
        nearest = baselines.nearest_in_time(
            problem.samples.centers[train], problem.samples.centers[test]
        )
        scaled = (self.values - mean) / std
        floors = (baselines.train_mean(scaled[train], len(test)), scaled[train][nearest])
        again = Resampling(n_resamples=N_RESAMPLES, min_block=problem.min_block)
        named = dict(zip(FLOORS, floors, strict=True))
        return _View(scaled[test], named, lambda said: (said[problem.by_time] - mean) / std, again)


@dataclass(frozen=True)
class _View:
    """The test windows' columns in one unit, in the order of the recording.

    Parameters
    ----------
    truth : float array, shape (n_test, n_columns)
    floors : dict of {name: float array (n_test, n_columns)}
    scaled : callable
        From predictions in raw units, test windows as split, to this view's.
    resampling : Resampling
    """

    truth: np.ndarray
    floors: dict[str, np.ndarray]
    scaled: Callable[[np.ndarray], np.ndarray]
    resampling: Resampling

    def score(self, predicted: np.ndarray, mask: np.ndarray) -> GroupScore:
        """Return the score of some columns, with intervals."""
        own = vectors(self.truth[:, mask], self.scaled(predicted)[:, mask])
        r2 = score("r2", own)
        if r2.value is None:
            return GroupScore(r2, {})
        others = {name: vectors(own.truth, made[:, mask]) for name, made in self.floors.items()}
        found = GroupScore(r2, {name: score("r2", one).value for name, one in others.items()})
        mine, n, bounds = weighted("r2", own), len(own), (-np.inf, 1.0)
        best = weighted("r2", others[found.floor[0]])
        return replace(
            found,
            interval=interval(mine, n, self.resampling, bounds),
            gain=difference(mine, best, n, self.resampling),
        )

    def whole(self, predicted: Mapping[str, np.ndarray]) -> dict[str, float | None]:
        """Return R² of all columns for each input and each floor."""
        known = {name: self.scaled(values) for name, values in predicted.items()} | self.floors
        return {name: score("r2", vectors(self.truth, one)).value for name, one in known.items()}

    def shares(self, groups: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Return each group's share of the squared distance of all columns from their mean."""
        spread = np.square(self.truth - self.truth.mean(axis=0)).sum(axis=0)
        total = max(float(spread.sum()), np.finfo(float).tiny)
        return {name: float(spread[mask].sum()) / total for name, mask in groups.items()}
