"""Scores from counts per recording, so that recordings can be drawn again however many windows.

Windows of a recording resemble each other; what is independent is the recording. A resample weighs
recordings, so counts are summed in each of them once and memory does not grow with the windows.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from xperience.evaluation import metrics as scoring
from xperience.evaluation.metrics import Metric, Score
from xperience.evaluation.uncertainty import Interval, Resampling, difference, interval

WeightedScore = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Tally:
    """Right, true and claimed counts of labels in each recording; build it with `tally`.

    Parameters
    ----------
    right, true, claimed : sparse array, shape (n_episodes, n_occurring)
    names : range
        One place a label that could have been chosen or occurs.
    """

    right: csr_array
    true: csr_array
    claimed: csr_array
    names: range

    def counts(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return right, true and claimed counts under weights, each (n_rows, n_occurring)."""
        return weights @ self.right, weights @ self.true, weights @ self.claimed

    def score_of(self, metric: str) -> WeightedScore:
        """Return a metric of labels or sets as a function of weights, (n_rows, n_episodes)."""
        formula = scoring.METRICS[metric].formula
        return lambda weights: formula(self, weights)


def tally(
    truth: Sequence[Iterable[Hashable]],
    said: Sequence[Iterable[Hashable]],
    episodes: np.ndarray,
    options: Iterable[Hashable] = (),
) -> Tally:
    """Count labels recording by recording.

    Parameters
    ----------
    truth, said : sequence of sets of labels, length n
        One label a sample, or none where nothing usable was said, or any number of names.
    episodes : int array, shape (n,)
        Number of each sample's recording.
    options : iterable of labels, optional
        Labels that could have been chosen, whether or not they occur.
    """
    place = {name: i for i, name in enumerate(dict.fromkeys(n for s in (*truth, *said) for n in s))}
    shape = (int(episodes.max()) + 1, len(place))
    both = [set(true) & set(claimed) for true, claimed in zip(truth, said, strict=True)]
    parts = [_summed(sets, episodes, place, shape) for sets in (both, truth, said)]
    return Tally(*parts, names=range(len(place.keys() | set(options))))


def _summed(
    sets: Sequence[Iterable[Hashable]],
    episodes: np.ndarray,
    place: dict[Hashable, int],
    shape: tuple[int, int],
) -> csr_array:
    rows, columns = [], []
    for episode, names in zip(episodes.tolist(), sets, strict=True):
        found = [place[name] for name in names]
        rows += [episode] * len(found)
        columns += found
    return csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)  # sums what meets


def share(
    hits: np.ndarray, episodes: np.ndarray, counted: np.ndarray | None = None
) -> WeightedScore:
    """Return the mean of per-sample values as a function of weights of recordings.

    Parameters
    ----------
    hits : float array, shape (n,)
        Usually 0 or 1.
    episodes : int array, shape (n,)
        Number of each sample's recording.
    counted : bool array, shape (n,), optional
        Samples that count.

    Returns
    -------
    function
        Weights, shape (n_rows, n_episodes), to means, shape (n_rows,), NaN where nothing counts.
    """
    keep = np.ones(len(hits), dtype=bool) if counted is None else counted
    n_episodes = int(episodes.max()) + 1
    total = np.bincount(episodes[keep], weights=hits[keep], minlength=n_episodes)
    number = np.bincount(episodes[keep], minlength=n_episodes).astype(float)

    def mean(weights: np.ndarray) -> np.ndarray:
        above, below = weights @ total, weights @ number
        return np.divide(above, below, out=np.full(len(weights), np.nan), where=below > 0)

    return mean


def average(each: Sequence[WeightedScore]) -> WeightedScore:
    """Return the mean of several scores as a function of weights."""
    return lambda weights: np.mean([score_of(weights) for score_of in each], axis=0)


@dataclass(frozen=True)
class Measured:
    """A score with its trivial baselines, all on the same recordings.

    Parameters
    ----------
    metric : Metric
    score_of : function
        Weights of recordings, shape (n_rows, n_episodes), to values.
    n_episodes, n_samples : int
    floors : dict of {name: function}
        Trivial baselines' scores.
    ceiling : float, optional
        What an answer that says all that may be said would score.
    """

    metric: Metric
    score_of: WeightedScore
    n_episodes: int
    n_samples: int
    floors: dict[str, WeightedScore] = field(default_factory=dict)
    ceiling: float | None = None

    @cached_property
    def score(self) -> Score:
        """The score, or why there is none."""
        return self.value(self.score_of)

    def value(self, score_of: WeightedScore) -> Score:
        """Return a score on the recordings as they are."""
        if not self.n_samples:
            return Score(None, "no samples")
        value = float(score_of(np.ones((1, self.n_episodes)))[0])
        if np.isnan(value):
            return Score(None, f"{self.metric.id} is undefined: {self.metric.undefined}")
        return Score(value)

    @cached_property
    def floor(self) -> tuple[str | None, Score]:
        """Name and score of the strongest trivial baseline; of equal ones the first."""
        values = {name: self.value(score_of) for name, score_of in self.floors.items()}
        known = {name: score.value for name, score in values.items() if score.value is not None}
        if not known:
            return None, Score(None, "no trivial baseline")
        best = (max if self.metric.higher_is_better else min)(known, key=known.__getitem__)
        return best, values[best]

    @property
    def _resampling(self) -> Resampling:
        return Resampling(groups=np.arange(self.n_episodes))

    @cached_property
    def interval(self) -> Interval:
        """The interval by resampling recordings."""
        return interval(self.score_of, self.n_episodes, self._resampling, self.metric.bounds)

    def minus(self, floor: str) -> Interval:
        """Return the paired interval of this score minus a trivial baseline's."""
        return difference(self.score_of, self.floors[floor], self.n_episodes, self._resampling)
