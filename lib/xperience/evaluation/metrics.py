"""Every metric once: its unit, direction, range, and what it does about ties and empty classes.

Put truth and prediction side by side with `labels`, `detections`, `confidences`, `label_sets`,
`boundaries`, `vectors`, `positions` or `cosine_ranks`, then ask for scores by name::

    evidence = labels(true_actions, predicted_actions)
    score("macro_f1_present", evidence).value

A score that would mean nothing has no value but a reason. `METRICS` lists what there is.

Evidence is kept per sample: it answers "what would the counts be if sample i counted w_i times?"
for many weightings at once, which is what a bootstrap asks thousands of times.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_array, hstack

from xperience.errors import XperienceError, did_you_mean

Formula = Callable[[Any, np.ndarray], np.ndarray]
MIXED = "mixed"
"""Unit of errors pooled over values of several units: comparable on one target only."""
TIE = 1e-12
"""Cosines nearer than this are tied: equal vectors differ by rounding, distinct ones by more."""


class MetricError(XperienceError):
    """Arrays that cannot be scored."""


def expect(holds: bool, place: str, found: str, expected: str, way_out: str) -> None:
    """Raise a MetricError with these parts unless it holds."""
    if not holds:
        raise MetricError(place, found, expected, way_out)


def _same_length(truth: Sequence, predicted: Sequence, place: str) -> None:
    expect(
        len(truth) == len(predicted),
        place,
        f"hold {len(truth)} true and {len(predicted)} predicted samples",
        "as many of each",
        "Score the same samples on both sides.",
    )


def _numbers(place: str, n_axes: int, *arrays: np.ndarray) -> list[np.ndarray]:
    """Return arrays as float64, refusing other shapes and numbers that are not finite."""
    arrays = [np.asarray(array, dtype=float) for array in arrays]
    first, *rest = arrays
    expect(
        first.ndim == n_axes and all(array.shape == first.shape for array in rest),
        place,
        f"have shapes {', '.join(str(array.shape) for array in arrays)}",
        f"one shape of {n_axes} axes",
        "Bring truth and prediction to the same shape, samples first.",
    )
    faults = sum(int((~np.isfinite(array)).sum()) for array in arrays)
    way_out = "Find where they come from; a missing stream is left out, not filled."
    expect(faults == 0, place, f"hold {faults} values that are not finite", "none", way_out)
    return arrays


# --- evidence: truth and prediction side by side ----------------------------------------------


class _Counted:
    """Evidence whose scores follow from counts: right ones, true ones, predicted ones."""

    _contributions: csr_array | np.ndarray  # of each sample to them, (n, 3 * n_labels)

    def counts(self, weights: np.ndarray) -> list[np.ndarray]:
        """Return right, true and predicted counts of each label, (n_rows, n_labels) each."""
        return np.split(weights @ self._contributions, 3, axis=1)


@dataclass(frozen=True)
class Labels(_Counted):
    """One label a sample, true and predicted; build it with `labels`."""

    names: tuple[Hashable, ...]  # those that occur, in order of appearance, then other options
    truth: np.ndarray  # places in names, int (n,)
    predicted: np.ndarray
    positive: int | None = None  # place of the label whose F1 is asked for

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def refusal(self) -> str | None:
        """Why any score would mean nothing, if so: every constant prediction is right."""
        if len(set(self.truth.tolist())) == 1:
            return f"every true label is {self.names[self.truth[0]]!r}: one class tests nothing"
        return None

    @cached_property
    def _contributions(self) -> csr_array:
        n, n_occurring = len(self), max([*self.truth, *self.predicted], default=-1) + 1
        shape, rows, hit = (n, n_occurring), np.arange(n), self.truth == self.predicted
        truth, predicted = (
            csr_array((np.ones(n), (rows, codes)), shape) for codes in (self.truth, self.predicted)
        )
        right = csr_array((hit.astype(float), (rows, self.truth)), shape)
        return hstack([right, truth, predicted], format="csr")  # (n, 3 * n_occurring)


def labels(
    truth: Sequence[Hashable] | np.ndarray,
    predicted: Sequence[Hashable] | np.ndarray,
    *,
    options: Iterable[Hashable] = (),
    positive: Hashable | None = None,
) -> Labels:
    """Put true and predicted labels side by side.

    Parameters
    ----------
    truth, predicted : sequence of labels, length n
        Strings, numbers or booleans; a missing value is no label.
    options : iterable of labels, optional
        Labels that could have been chosen, whether or not they occur.
    positive : label, optional
        The label whose own F1 will be asked for.

    Raises
    ------
    MetricError
        If lengths differ, a label is missing, or ``positive`` is neither an option nor occurs.
    """
    # Not through numpy: beside strings it would turn a NaN into the label "nan".
    truth, predicted = (
        values.tolist() if hasattr(values, "tolist") else list(values)
        for values in (truth, predicted)
    )
    _same_length(truth, predicted, "labels")
    missing = sum(
        label is None or (isinstance(label, float) and math.isnan(label))
        for label in [*truth, *predicted]
    )
    expect(missing == 0, "labels", f"{missing} are missing (None or NaN)", "none", "Drop them.")
    place = {name: i for i, name in enumerate(dict.fromkeys([*truth, *predicted, *options]))}
    expect(
        positive is None or not truth or positive in place,
        "labels: positive",
        f"is {positive!r}, which occurs nowhere",
        f"one of {list(place)[:10]}",
        "Name it as the truth does, or list it in options.",
    )
    return Labels(
        names=tuple(place),
        truth=np.array([place[label] for label in truth], dtype=int),
        predicted=np.array([place[label] for label in predicted], dtype=int),
        positive=place.get(positive) if positive is not None else None,
    )


@dataclass(frozen=True)
class Detections:
    """Whether each sample is positive and how likely it was held to be; see `detections`."""

    truth: np.ndarray  # bool (n,)
    likelihood: np.ndarray  # float (n,), from 0 to 1

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def refusal(self) -> str | None:
        """Why any score would mean nothing, if so."""
        if self.truth.all() or not self.truth.any():
            return "every sample is of one class: there is no pair to put in order"
        return None


def detections(truth: Sequence[bool] | np.ndarray, likelihood: np.ndarray) -> Detections:
    """Put what is positive beside how likely each sample was held to be so, as many of each.

    A MetricError says if lengths differ or a likelihood is not finite.
    """
    (likelihood,) = _numbers("detections", 1, likelihood)
    _same_length(truth, likelihood, "detections")
    return Detections(np.asarray(truth, dtype=bool), likelihood)


@dataclass(frozen=True)
class Confidences:
    """How sure each sample's class was and what came of it; build it with `confidences`."""

    top: np.ndarray  # probability of the predicted class, float (n,)
    hits: np.ndarray  # 1 where that class is the true one
    squares: np.ndarray  # Brier score
    gap: np.ndarray  # confidence minus hit, with the sign that makes its bin's mean positive
    unseen: np.ndarray  # 1 where the true class was never trained
    kept: np.ndarray  # how much of it is among the most confident shares of `COVERAGES`, (n, 2)

    refusal = None

    def __len__(self) -> int:
        return len(self.top)


COVERAGES = (0.5, 0.8)
"""Shares of samples, the most confident ones, whose accuracy is asked for."""
N_BINS = 10


def confidences(truth: np.ndarray, probabilities: np.ndarray) -> Confidences:
    """Put true classes beside the probabilities of those that were trained.

    The calibration error's bins hold equally many samples, equal confidences in one bin. Bins, the
    signs of their gaps and the most confident samples are those of all samples, whatever samples
    weigh: without some of them, each score is a weighted mean still.

    Parameters
    ----------
    truth : int array, shape (n,)
        Column of the true class, -1 where it was never trained.
    probabilities : float array, shape (n, n_classes)
        Their largest is the predicted class, the first of equal ones.

    Raises
    ------
    MetricError
        If lengths differ or a number is not finite.
    """
    (probabilities,), truth = _numbers("confidences", 2, probabilities), np.asarray(truth, int)
    _same_length(truth, probabilities, "confidences")
    top, unseen = probabilities.max(axis=1, initial=0), truth < 0
    hits = (probabilities.argmax(axis=1) == truth).astype(float)
    own = np.where(unseen, 0, probabilities[np.arange(len(truth)), truth])
    squares = np.square(probabilities).sum(axis=1) - 2 * own + 1
    edges = np.quantile(top, np.linspace(0, 1, N_BINS + 1)[1:-1]) if len(top) else []
    bins = np.searchsorted(edges, top)
    over = np.bincount(bins, weights=top - hits, minlength=N_BINS)
    gap = (top - hits) * np.where(over < 0, -1, 1)[bins]
    _, place, tied = np.unique(-top, return_inverse=True, return_counts=True)
    surer = np.cumsum(tied) - tied
    room = len(top) * np.array(COVERAGES) - surer[place, None]
    kept = np.clip(room / tied[place, None], 0, 1)  # equal confidences share what is left
    return Confidences(top, hits, squares, gap, unseen.astype(float), kept)


@dataclass(frozen=True)
class LabelSets(_Counted):
    """A set of labels for each sample, true and predicted; build it with `label_sets`."""

    truth: np.ndarray  # which labels are in each sample's set, bool (n, n_labels)
    predicted: np.ndarray

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def refusal(self) -> str | None:
        """Why any score would mean nothing, if so."""
        if not self.truth.any():
            return "every true set is empty"
        if (self.truth == self.truth[0]).all():
            return "every true set is the same: one answer tests nothing"
        return None

    @cached_property
    def _contributions(self) -> csr_array:
        sides = (self.truth & self.predicted, self.truth, self.predicted)
        return hstack([csr_array(one.astype(float)) for one in sides], format="csr")

    @property
    def names(self) -> range:
        """Labels that could have been chosen, by number."""
        return range(self.truth.shape[1])


def label_sets(
    truth: Sequence[Iterable[Hashable]],
    predicted: Sequence[Iterable[Hashable]],
    *,
    vocabulary: Iterable[Hashable] = (),
) -> LabelSets:
    """Put true and predicted sets side by side, as many of each; a set may be empty.

    A label named twice counts once. ``vocabulary`` are labels that could have been chosen, whether
    or not they occur.
    """
    truth, predicted = [set(s) for s in truth], [set(s) for s in predicted]
    _same_length(truth, predicted, "label sets")
    names = list(dict.fromkeys(vocabulary)) + sorted(
        set().union(*truth, *predicted) - set(vocabulary), key=repr
    )

    def membership(sets: list[set]) -> np.ndarray:
        rows = [[name in members for name in names] for members in sets]
        return np.array(rows, dtype=bool).reshape(len(sets), len(names))

    return LabelSets(membership(truth), membership(predicted))


@dataclass(frozen=True)
class Boundaries(_Counted):
    """Hits and errors of predicted boundaries, float (n,) each; build it with `boundaries`."""

    hits: np.ndarray  # 1 where a window's prediction matched a true boundary
    false_alarms: np.ndarray  # 1 where it matched none
    misses: np.ndarray  # unmatched true boundaries, each at the window whose centre is nearest
    timing_error_frames: np.ndarray  # distance of a hit from its boundary, 0 elsewhere

    def __len__(self) -> int:
        return len(self.hits)

    @property
    def refusal(self) -> str | None:
        """Why any score would mean nothing, if so."""
        if not (self.hits + self.misses).any():
            return "no true boundary lies between the first and the last window centre"
        return None

    @cached_property
    def _contributions(self) -> np.ndarray:
        sides = (self.hits, self.hits + self.misses, self.hits + self.false_alarms)
        return np.stack(sides, axis=1)


def boundaries(
    center_frames: np.ndarray,
    predicted: np.ndarray,
    boundary_frames: np.ndarray,
    *,
    tolerance_frames: float = 10,
) -> Boundaries:
    """Match predicted transitions to true boundaries as the contract says.

    In time order, each predicted transition takes the nearest unused true boundary within the
    tolerance, of two equally near the earlier. True boundaries before the first or after the last
    window centre do not count.

    Parameters
    ----------
    center_frames : array, shape (n,)
        Centre of each test window, increasing.
    predicted : bool array, shape (n,)
        Whether a transition is predicted there.
    boundary_frames : array, shape (n_boundaries,)
        Frames of the true boundaries.
    tolerance_frames : float
        Farthest that a match may be, included.

    Raises
    ------
    MetricError
        If lengths differ or centres do not increase.
    """
    centers, predicted = np.asarray(center_frames, float), np.asarray(predicted, bool)
    _same_length(centers, predicted, "boundaries")
    expect(
        bool((np.diff(centers) > 0).all()),
        "boundaries: center_frames",
        "do not increase",
        "windows of one recording in time order",
        "Sort them, and score each recording apart.",
    )
    frames = np.unique(np.asarray(boundary_frames, float))
    first, last = (centers[0], centers[-1]) if len(centers) else (np.inf, -np.inf)
    open_frames = frames[(frames >= first) & (frames <= last)].tolist()
    hits, misses, errors = np.zeros((3, len(centers)))
    for i in np.flatnonzero(predicted):
        nearest = min(open_frames, key=lambda f: abs(f - centers[i]), default=np.inf)
        if abs(nearest - centers[i]) <= tolerance_frames:
            open_frames.remove(nearest)
            hits[i], errors[i] = 1, abs(nearest - centers[i])
    for frame in open_frames:
        misses[np.abs(centers - frame).argmin()] += 1
    return Boundaries(hits, predicted - hits, misses, errors)


@dataclass(frozen=True)
class Vectors:
    """A vector for each sample, true and predicted; build it with `vectors`."""

    truth: np.ndarray  # in the target's unit, (n, n_values)
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


@dataclass(frozen=True)
class RecordingVectors(Vectors):
    """Vectors of several recordings, brought down to what their R² is computed from.

    Exact where all samples of a recording weigh the same; build it with `of`.
    """

    truth: np.ndarray  # mean of each recording, (n_recordings, n_values)
    predicted: np.ndarray  # whose errors were taken: no row is kept
    recording: np.ndarray  # of each sample, int (n,)
    square: np.ndarray  # squared length of each true vector, (n,)
    error: np.ndarray  # summed squared error of each sample, (n,)

    def __len__(self) -> int:
        return len(self.recording)

    @property
    def squared_error(self) -> np.ndarray:
        """Summed squared error of each sample, shape (n,)."""
        return self.error

    @classmethod
    def of(cls, found: Vectors, recording: np.ndarray, columns: np.ndarray) -> "RecordingVectors":
        """Return vectors without their samples' columns.

        ``columns`` (bool) says which of all there are the vectors hold; the others count as 0.
        """
        _, recording = np.unique(recording, return_inverse=True)
        means = np.zeros((recording.max() + 1, len(columns)))
        for one, mean in enumerate(means):
            mean[columns] = found.truth[recording == one].mean(axis=0)
        square = np.square(found.truth).sum(axis=1)
        return cls(means, found.predicted[:0], recording, square, found.squared_error)

    @classmethod
    def merged(cls, each: Sequence["RecordingVectors"]) -> "RecordingVectors":
        """Return those of other recordings one after the other."""
        first = np.cumsum([0, *(len(one.truth) for one in each)])
        recording = [one.recording + place for one, place in zip(each, first, strict=False)]
        means, square, error = (
            np.concatenate([getattr(one, name) for one in each])
            for name in ("truth", "square", "error")
        )
        return cls(means, each[0].predicted, np.concatenate(recording), square, error)

    def spread(self, weights: np.ndarray) -> np.ndarray:
        """Return the summed squared distance from the weighted column means, shape (n_rows,)."""
        each = weights @ np.eye(len(self.truth))[self.recording]  # (n_rows, n_recordings)
        mean = np.square(each @ self.truth).sum(axis=1) / weights.sum(axis=1)
        return np.maximum(weights @ self.square - mean, 0.0)


def vectors(truth: np.ndarray, predicted: np.ndarray) -> Vectors:
    """Put true and predicted vectors, each (n, n_values), side by side.

    A MetricError says if shapes differ or a number is not finite.
    """
    return Vectors(*_numbers("vectors", 2, truth, predicted))


@dataclass(frozen=True)
class Positions:
    """Joint position errors; build it with `positions`."""

    error_m: np.ndarray  # Euclidean error in metres, averaged over joints, (n, n_frames)

    refusal = None

    def __len__(self) -> int:
        return len(self.error_m)


def positions(truth_m: np.ndarray, predicted_m: np.ndarray) -> Positions:
    """Put true and predicted joint positions, (n, n_frames, n_joints, 3), side by side.

    Both are in metres and in the same coordinate frame. A MetricError says if shapes differ, the
    last axis is not xyz, or a number is not finite.
    """
    truth_m, predicted_m = _numbers("positions", 4, truth_m, predicted_m)
    found, way_out = f"have {truth_m.shape[-1]} values a joint", "Reshape to (..., joints, 3)."
    expect(truth_m.shape[-1] == 3, "positions", found, "3 (x, y, z)", way_out)
    return Positions(np.linalg.norm(truth_m - predicted_m, axis=-1).mean(axis=-1))


@dataclass(frozen=True)
class Ranks:
    """Where each query's true candidate stands; build it with `ranks` or `cosine_ranks`."""

    better: np.ndarray  # candidates that score above the true one, int (n,)
    tied: np.ndarray  # others that score the same
    earlier: np.ndarray  # those of them that are listed before the true one
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
    (similarity,) = _numbers("similarity", 2, similarity)
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
    """Return the cosine of each query with each candidate, (n_queries, n_candidates).

    That of a zero vector is 0.
    """

    def unit(place: str, rows: np.ndarray) -> np.ndarray:
        (rows,) = _numbers(place, 2, rows)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)

    return unit("queries", queries) @ unit("candidates", candidates).T


def cosine_ranks(queries: np.ndarray, candidates: np.ndarray) -> Ranks:
    """Return where candidate i stands for query i, by descending cosine."""
    return ranks(cosine(queries, candidates))


# --- formulas: evidence, weights (n_rows, n) -> (n_rows,), NaN where undefined ----------------


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    above, below = np.broadcast_arrays(np.asarray(above, float), np.asarray(below, float))
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0)


def _mean_of(per_sample: Callable[[Any], np.ndarray]) -> Formula:
    return lambda evidence, w: _ratio(w @ per_sample(evidence), w.sum(axis=1))


def _recall(right: np.ndarray, true: np.ndarray, claimed: np.ndarray) -> np.ndarray:
    del claimed
    return _ratio(right, true)


def _precision(right: np.ndarray, true: np.ndarray, claimed: np.ndarray) -> np.ndarray:
    del true
    return _ratio(right, claimed)


def _f1(right: np.ndarray, true: np.ndarray, claimed: np.ndarray) -> np.ndarray:
    return _ratio(2 * right, true + claimed)


def _pooled(of_counts: Callable[..., np.ndarray]) -> Formula:
    """Return a formula of counts that are summed over labels."""
    return lambda evidence, w: of_counts(*(count.sum(axis=1) for count in evidence.counts(w)))


def _mean_over_defined(of_counts: Callable[..., np.ndarray]) -> Formula:
    """Return the mean over labels for which a formula of counts is defined."""

    def mean(evidence: _Counted, w: np.ndarray) -> np.ndarray:
        values = of_counts(*evidence.counts(w))
        return _ratio(np.nansum(values, axis=1), (~np.isnan(values)).sum(axis=1))

    return mean


def _of_positive(of_counts: Callable[..., np.ndarray]) -> Formula:
    """Return a formula of the positive label's own counts."""

    def value(evidence: Labels, w: np.ndarray) -> np.ndarray:
        place, way_out = evidence.positive, "Give positive= when you put the labels side by side."
        expect(place is not None, "labels: positive", "is not set", "a label", way_out)
        counts = evidence.counts(w)
        known = place < counts[0].shape[1]
        return of_counts(*(c[:, place] for c in counts)) if known else np.full(len(w), np.nan)

    return value


def _auroc(evidence: Detections, w: np.ndarray) -> np.ndarray:
    order = np.argsort(evidence.likelihood, kind="stable")
    levels = np.flatnonzero(np.diff(evidence.likelihood[order], prepend=-math.inf))
    positive, negative = (
        np.add.reduceat((w * side)[:, order], levels, axis=1)  # (n_rows, n_levels)
        for side in (evidence.truth, ~evidence.truth)
    )
    outranked = negative.cumsum(axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return _ratio((positive * outranked).sum(axis=1), pairs)


def _weighted_f1(evidence: Labels, w: np.ndarray) -> np.ndarray:
    right, true, claimed = evidence.counts(w)
    f1 = np.nan_to_num(_f1(right, true, claimed))
    return _ratio((true * f1).sum(axis=1), true.sum(axis=1))


def _macro_f1_present(evidence: Labels, w: np.ndarray) -> np.ndarray:
    right, true, claimed = evidence.counts(w)
    f1 = np.where(true > 0, _f1(right, true, claimed), 0)
    return _ratio(f1.sum(axis=1), (true > 0).sum(axis=1))


def _macro_f1_all(evidence: Labels | LabelSets, w: np.ndarray) -> np.ndarray:
    return _ratio(np.nansum(_f1(*evidence.counts(w)), axis=1), len(evidence.names))


def _open_set_auroc(evidence: Confidences, w: np.ndarray) -> np.ndarray:
    lost, top = evidence.unseen > 0, evidence.top
    surer = np.heaviside(top[~lost][:, None] - top[lost], 0.5)  # (n_seen, n_unseen)
    seen, unseen = w[:, ~lost], w[:, lost]
    return _ratio(((seen @ surer) * unseen).sum(axis=1), seen.sum(axis=1) * unseen.sum(axis=1))


def _selective_accuracy(place: int) -> Formula:
    def accuracy(evidence: Confidences, w: np.ndarray) -> np.ndarray:
        kept = evidence.kept[:, place]
        return _ratio(w @ (kept * evidence.hits), w @ kept)

    return accuracy


def _r2(evidence: Vectors, w: np.ndarray) -> np.ndarray:
    return 1 - _ratio(w @ evidence.squared_error, evidence.spread(w))


def _median_of(per_sample: Callable[[Any], np.ndarray]) -> Formula:
    def weighted_median(evidence: Any, w: np.ndarray) -> np.ndarray:
        values = per_sample(evidence)
        order = np.argsort(values, kind="stable")
        reached = np.cumsum(w[:, order], axis=1)  # (n_rows, n)
        half = reached[:, -1:] / 2
        low = values[order][(reached >= half).argmax(axis=1)]
        high = values[order][(reached > half).argmax(axis=1)]
        return (low + high) / 2

    return weighted_median


# --- the registry -----------------------------------------------------------------------------

SHARE, BELOW_ONE, POSITIVE = (0.0, 1.0), (-math.inf, 1.0), (0.0, math.inf)
NEVER = "Never."


@dataclass(frozen=True)
class Metric:
    """What a score measures."""

    id: str  # its name in records
    takes: type | None  # kind of evidence it is computed from
    rule: str  # how it is computed, and what ties and absent classes do
    formula: Formula | None
    undefined: str = NEVER  # when there is no value, beyond a test that tests nothing
    unit: str = (
        "1"  # "1" (a pure number), "m", "m²", "frame", "rank", "sd" (of training) or "mixed"
    )
    higher_is_better: bool = True
    bounds: tuple[float, float] = SHARE

    @property
    def perfect(self) -> float:
        """The best possible value."""
        return self.bounds[1] if self.higher_is_better else self.bounds[0]


def _error(
    id: str, unit: str, takes: type, rule: str, formula: Formula, undefined: str = NEVER
) -> Metric:
    return Metric(id, takes, rule, formula, undefined, unit, False, POSITIVE)


def _rank_metrics(suffix: str, ties: str, listed: bool) -> list[Metric]:
    def rank(evidence: Ranks) -> np.ndarray:
        return evidence.listed if listed else evidence.expected

    def reciprocal(evidence: Ranks) -> np.ndarray:
        return 1 / evidence.listed if listed else evidence.expected_reciprocal

    def top(k: int) -> Formula:
        if listed:
            return _mean_of(lambda evidence: (evidence.listed <= k).astype(float))
        return _mean_of(lambda evidence: evidence.expected_top(k))

    median, mean = "Median rank, the mean of two middle ones", "Mean rank"
    shape = {"unit": "rank", "higher_is_better": False, "bounds": (1.0, math.inf)}
    return [
        Metric("mrr" + suffix, Ranks, f"Mean of 1 / rank; {ties}.", _mean_of(reciprocal)),
        *(
            Metric(f"top{k}{suffix}", Ranks, f"Share of ranks of {k} or better; {ties}.", top(k))
            for k in (1, 5, 10)
        ),
        Metric(f"median_rank{suffix}", Ranks, f"{median}; {ties}.", _median_of(rank), **shape),
        Metric(f"mean_rank{suffix}", Ranks, f"{mean}; {ties}.", _mean_of(rank), **shape),
    ]


_NEITHER = "The class is in neither truth nor prediction."
_MATCHED = (
    "F1 of predicted transitions, matched in time order to the nearest unused true boundary "
    "within the tolerance; the earlier of two equally near."
)
_MAE = "Mean absolute error over samples and values, {}."
_MSE = "Mean squared error over samples and values."
_POOLED = "1 - summed squared error / summed squared distance from the test's column means."
_SKILL = "(value - floor) / (perfect - floor): 0 is the trivial baseline, 1 is perfect."
_absolute = _mean_of(lambda evidence: evidence.absolute_error)
_squared = _mean_of(lambda evidence: evidence.squared_error / evidence.truth.shape[1])

_EVERY = (
    Metric("accuracy", Labels, "Share of right labels.", _pooled(_recall)),
    Metric(
        "balanced_accuracy",
        Labels,
        "Mean recall of the classes present in the truth.",
        _mean_over_defined(_recall),
    ),
    Metric(
        "auroc",
        Detections,
        "Share of pairs of a positive and another sample that likelihoods put in the right order; "
        "an equal pair counts half.",
        _auroc,
        "All samples are of one class.",
    ),
    Metric("weighted_f1", Labels, "Mean F1 of classes, weighted by true counts.", _weighted_f1),
    Metric(
        "macro_f1_present",
        Labels,
        "Mean F1 of the classes present in the truth (the published task suite).",
        _macro_f1_present,
    ),
    Metric(
        "macro_f1_union",
        Labels,
        "Mean F1 of the classes in truth or prediction (the published audio study).",
        _mean_over_defined(_f1),
    ),
    Metric(
        "macro_f1_all",
        Labels,
        "Mean F1 of all options and of every other label that occurs, 0 for those absent "
        "(the published evaluator of held-out answers).",
        _macro_f1_all,
    ),
    Metric("f1_right", Labels, "F1 of pairs in the right order.", _of_positive(_f1), _NEITHER),
    Metric("f1_aligned", Labels, "F1 of aligned pairs.", _of_positive(_f1), _NEITHER),
    Metric(
        "positive_precision",
        Labels,
        "Share of positive predictions that are right.",
        _of_positive(_precision),
        "None is predicted.",
    ),
    Metric(
        "positive_recall",
        Labels,
        "Share of positive pairs that are found.",
        _of_positive(_recall),
        "None is true.",
    ),
    Metric(
        "open_set_auroc",
        Confidences,
        "Share of pairs of a sample of a trained and one of an untrained class in which the "
        "predicted class of the first is the more probable; equal ones count half.",
        _open_set_auroc,
        "Every tested class was trained, or none.",
    ),
    Metric(
        "calibration_error",
        Confidences,
        f"Mean distance of confidence from accuracy in {N_BINS} bins of equally many samples "
        "(ECE); equal confidences are in one bin.",
        _mean_of(lambda evidence: evidence.gap),
        higher_is_better=False,
    ),
    Metric(
        "brier_score",
        Confidences,
        "Mean squared distance of the classes' probabilities from the truth, an untrained class "
        "having none.",
        _mean_of(lambda evidence: evidence.squares),
        higher_is_better=False,
        bounds=(0.0, 2.0),
    ),
    *(
        Metric(
            f"selective_accuracy_{coverage:.0%}".rstrip("%"),
            Confidences,
            f"Accuracy of the {coverage:.0%} of samples with the highest confidence; equal ones "
            "share what is left.",
            _selective_accuracy(place),
            "None of them counts.",
        )
        for place, coverage in enumerate(COVERAGES)
    ),
    Metric(
        "micro_f1", LabelSets, "F1 of memberships pooled over samples and labels.", _pooled(_f1)
    ),
    Metric(
        "macro_f1_vocabulary",
        LabelSets,
        "Mean F1 over the vocabulary, 0 for labels in no set (the published task suite).",
        _macro_f1_all,
    ),
    Metric("macro_f1_named", LabelSets, "Mean F1 of labels in any set.", _mean_over_defined(_f1)),
    Metric(
        "exact_set_match",
        LabelSets,
        "Share of samples whose whole set is right.",
        _mean_of(lambda evidence: (evidence.truth == evidence.predicted).all(axis=1)),
    ),
    Metric(
        "set_precision",
        LabelSets,
        "Share of predicted memberships that are true.",
        _pooled(_precision),
        "None is predicted.",
    ),
    Metric(
        "set_recall",
        LabelSets,
        "Share of true memberships that are predicted.",
        _pooled(_recall),
        "None is true.",
    ),
    Metric("boundary_f1", Boundaries, _MATCHED, _pooled(_f1), "No boundary is true or predicted."),
    Metric(
        "boundary_precision",
        Boundaries,
        "Share of predicted transitions that match.",
        _pooled(_precision),
        "None is predicted.",
    ),
    Metric(
        "boundary_recall",
        Boundaries,
        "Share of true boundaries that are matched.",
        _pooled(_recall),
        "None is true.",
    ),
    _error(
        "boundary_timing_error",
        "frame",
        Boundaries,
        "Mean distance of matched boundaries.",
        lambda evidence, w: _ratio(w @ evidence.timing_error_frames, w @ evidence.hits),
        "None is matched.",
    ),
    _error("mae_m", "m", Vectors, _MAE.format("in metres"), _absolute),
    _error("mae_sd", "sd", Vectors, _MAE.format("in units of training SD"), _absolute),
    _error("mae_mixed", MIXED, Vectors, _MAE.format("each in its own unit"), _absolute),
    _error("mse_m2", "m²", Vectors, _MSE, _squared),
    _error("mse_mixed", MIXED, Vectors, _MSE, _squared),
    Metric("r2", Vectors, _POOLED, _r2, "The truth does not vary.", bounds=BELOW_ONE),
    _error(
        "mpjpe",
        "m",
        Positions,
        "Mean Euclidean error over samples, frames and joints.",
        _mean_of(lambda evidence: evidence.error_m.mean(axis=1)),
    ),
    _error(
        "mpjpe_last_frame",
        "m",
        Positions,
        "Mean Euclidean error over samples and joints in the last frame.",
        _mean_of(lambda evidence: evidence.error_m[:, -1]),
    ),
    *_rank_metrics("", "ties give the mean over their orders", listed=False),
    *_rank_metrics("_listed", "ties stand in the order listed", listed=True),
    Metric("skill", None, _SKILL, None, "The baseline is perfect or undefined.", bounds=BELOW_ONE),
)

METRICS: dict[str, Metric] = {metric.id: metric for metric in _EVERY}
assert len(METRICS) == len(_EVERY), "two metrics share an id"


# --- scores -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Score:
    """A metric's value, which is finite, or the reason why it would mean nothing."""

    value: float | None
    reason: str | None = None

    def __post_init__(self):
        assert (self.value is None) == bool(self.reason), "a value or a reason"
        assert self.value is None or math.isfinite(self.value), "a finite value"

    @property
    def status(self) -> Literal["ok", "degenerate"]:
        """What a record says of it."""
        return "degenerate" if self.value is None else "ok"


def metric_named(metric: str | Metric) -> Metric:
    """Return a metric by its id, or a MetricError; a metric is returned as it is."""
    if isinstance(metric, Metric):
        return metric
    way_out = did_you_mean(metric, METRICS)
    expect(metric in METRICS, f"metric {metric!r}", "is unknown", "a name in METRICS", way_out)
    return METRICS[metric]


def weighted(metric: str | Metric, evidence: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Return the metric as a function of sample weights, for intervals.

    The function takes weights (n_rows, n) and returns values (n_rows,), NaN where undefined. A
    sample of weight 2 counts as two; the candidates of a retrieval stay as they are.

    Raises
    ------
    MetricError
        If the metric is unknown or takes another kind of evidence.
    """
    metric = metric_named(metric)
    formula = metric.formula
    expect(
        formula is not None and isinstance(evidence, metric.takes or ()),
        f"metric {metric.id!r}",
        f"was given {type(evidence).__name__}",
        metric.takes.__name__ if metric.takes else "a Score and a floor",
        "Choose a metric for this kind of target, or skill() for a skill score.",
    )
    return lambda weights: formula(evidence, np.asarray(weights, dtype=float))


def score(metric: str | Metric, evidence: Any, *, as_published: bool = False) -> Score:
    """Return one score of a prediction; see `weighted` for errors.

    With ``as_published`` even a test that tests nothing (one class, one candidate) has a value, as
    the published suite gave it. Else a score that would mean nothing has a reason instead.
    """
    metric, value_of = metric_named(metric), weighted(metric, evidence)
    if len(evidence) == 0:
        return Score(None, "no samples")
    if evidence.refusal and not as_published:
        return Score(None, evidence.refusal)
    value = float(value_of(np.ones((1, len(evidence))))[0])
    if math.isnan(value):
        return Score(None, f"{metric.id} is undefined: {metric.undefined}")
    return Score(value)


def skill(metric: str | Metric, value: Score, floor: Score) -> Score:
    """Return how far a score goes from a trivial baseline on the same samples towards perfection.

    0 is as good as the baseline, 1 perfect, below 0 worse than it, whatever the direction.
    """
    perfect = metric_named(metric).perfect
    for name, one in (("score", value), ("floor", floor)):
        if one.value is None:
            return Score(None, f"the {name} is undefined: {one.reason}")
    if floor.value == perfect:
        return Score(None, "the trivial baseline is already perfect")
    return Score((value.value - floor.value) / (perfect - floor.value))
