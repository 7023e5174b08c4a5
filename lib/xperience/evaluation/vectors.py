"""Predicted vectors beside true ones: their errors, and where the true one ranks.

The vector half of `xperience.evaluation.evidence`: kept per sample so that samples can be weighted.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xperience.evaluation.evidence import expect, numbers

TIE = 1e-12
"""Cosines nearer than this are tied: equal vectors differ by rounding, distinct ones by more."""


@dataclass(frozen=True)
class Vectors:
    """A vector for each sample, true and predicted; build it with `vectors`.

    Parameters
    ----------
    truth, predicted : float array, shape (n, n_values)
        In the target's unit.
    """

    truth: np.ndarray
    predicted: np.ndarray

    refusal = None

    def __len__(self) -> int:
        return len(self.truth)

    @cached_property
    def absolute_error(self) -> np.ndarray:
        """Mean absolute error of each sample, shape (n,)."""
        return np.abs(self.truth - self.predicted).mean(axis=1)

    @cached_property
    def squared_error(self) -> np.ndarray:
        """Summed squared error of each sample, shape (n,)."""
        return np.square(self.truth - self.predicted).sum(axis=1)

    @cached_property
    def _products(self) -> np.ndarray:
        centred = self.truth - self.truth.mean(axis=0)
        return centred @ centred.T  # (n, n)

    def spread(self, weights: np.ndarray) -> np.ndarray:
        """Return the summed squared distance from the weighted column means, shape (n_rows,)."""
        own = weights @ self._products.diagonal()
        mean = np.einsum("ri,ri->r", weights @ self._products, weights) / weights.sum(axis=1)
        tiny = 1e-12 * own
        return np.where(own - mean > tiny, own - mean, 0.0)


def vectors(truth: np.ndarray, predicted: np.ndarray) -> Vectors:
    """Put true and predicted vectors side by side.

    Parameters
    ----------
    truth, predicted : float array, shape (n, n_values)
        In the target's unit.

    Raises
    ------
    MetricError
        If shapes differ or a number is not finite.
    """
    truth, predicted = numbers("vectors", 2, truth, predicted)
    return Vectors(truth, predicted)


@dataclass(frozen=True)
class Positions:
    """Joint position errors; build it with `positions`.

    Parameters
    ----------
    error_m : float array, shape (n, n_frames)
        Euclidean error in metres, averaged over joints.
    """

    error_m: np.ndarray

    refusal = None

    def __len__(self) -> int:
        return len(self.error_m)


def positions(truth_m: np.ndarray, predicted_m: np.ndarray) -> Positions:
    """Put true and predicted joint positions side by side.

    Parameters
    ----------
    truth_m, predicted_m : float array, shape (n, n_frames, n_joints, 3)
        Metres, both in the same coordinate frame.

    Raises
    ------
    MetricError
        If shapes differ, the last axis is not xyz, or a number is not finite.
    """
    truth_m, predicted_m = numbers("positions", 4, truth_m, predicted_m)
    found, way_out = f"have {truth_m.shape[-1]} values a joint", "Reshape to (..., joints, 3)."
    expect(truth_m.shape[-1] == 3, "positions", found, "3 (x, y, z)", way_out)
    return Positions(np.linalg.norm(truth_m - predicted_m, axis=-1).mean(axis=-1))


@dataclass(frozen=True)
class Ranks:
    """Where each query's true candidate stands; build it with `ranks` or `cosine_ranks`.

    Parameters
    ----------
    better, tied : int array, shape (n,)
        Candidates that score above the true one, and others that score the same.
    earlier : int array, shape (n,)
        Those of ``tied`` that are listed before the true one.
    n_candidates : int
        Candidates in all.
    """

    better: np.ndarray
    tied: np.ndarray
    earlier: np.ndarray
    n_candidates: int

    def __len__(self) -> int:
        return len(self.better)

    @property
    def refusal(self) -> str | None:
        """Why any score would mean nothing, if so."""
        if self.n_candidates < 2:
            return "one candidate: it always ranks first"
        if (self.tied == self.n_candidates - 1).all():
            return "all candidates score the same for every query"
        return None

    @property
    def expected(self) -> np.ndarray:
        """Mean rank over all orders of the tied candidates, shape (n,)."""
        return self.better + 1 + self.tied / 2

    @property
    def listed(self) -> np.ndarray:
        """Rank with ties in the order in which candidates are listed, shape (n,)."""
        return self.better + 1 + self.earlier

    @cached_property
    def expected_reciprocal(self) -> np.ndarray:
        """Mean of 1 / rank over all orders of the tied candidates, shape (n,)."""
        harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, self.n_candidates + 1))])
        last = self.better + self.tied + 1
        return (harmonic[last] - harmonic[self.better]) / (self.tied + 1)

    def expected_top(self, k: int) -> np.ndarray:
        """Return the share of all orders that put the true one in the first k, shape (n,)."""
        return np.clip((k - self.better) / (self.tied + 1), 0, 1)


def ranks(similarity: np.ndarray, target: np.ndarray | None = None) -> Ranks:
    """Return where each query's true candidate stands, the most similar first.

    Parameters
    ----------
    similarity : float array, shape (n_queries, n_candidates)
        Values nearer than ``TIE`` are ties.
    target : int array, shape (n_queries,), optional
        Each query's true candidate; candidate i for query i if left out.

    Raises
    ------
    MetricError
        If a similarity is not finite or a query has no target.
    """
    (similarity,) = numbers("similarity", 2, similarity)
    n_queries, n_candidates = similarity.shape
    target = np.arange(n_queries) if target is None else np.asarray(target)
    expect(
        target.shape == (n_queries,) and bool(((target >= 0) & (target < n_candidates)).all()),
        "ranks: target",
        f"does not name one of {n_candidates} candidates for each of {n_queries} queries",
        "a candidate's place for every query",
        "Leave it out only where candidate i is query i's own.",
    )
    own = np.take_along_axis(similarity, target[:, None], axis=1) if n_queries else similarity
    same = np.abs(similarity - own) <= TIE
    earlier = same & (np.arange(n_candidates) < target[:, None])
    better = (similarity > own) & ~same
    return Ranks(better.sum(axis=1), same.sum(axis=1) - 1, earlier.sum(axis=1), n_candidates)


def cosine(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return the cosine of each query with each candidate; that of a zero vector is 0.

    Parameters
    ----------
    queries, candidates : float array, shape (n_queries, n_values), (n_candidates, n_values)
        Computed in float64.

    Returns
    -------
    float array, shape (n_queries, n_candidates)
        From -1 to 1.
    """
    (queries,) = numbers("queries", 2, queries)
    (candidates,) = numbers("candidates", 2, candidates)
    return _unit(queries) @ _unit(candidates).T


def _unit(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)


def cosine_ranks(queries: np.ndarray, candidates: np.ndarray) -> Ranks:
    """Return where candidate i stands for query i, by descending cosine."""
    return ranks(cosine(queries, candidates))
