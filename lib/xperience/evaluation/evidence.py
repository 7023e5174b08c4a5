"""Truth and prediction side by side, kept per sample so that samples can be weighted.

Each kind of evidence is built once from plain arrays and then scored by any metric that takes its
kind. It answers "what would the counts be if sample i counted w_i times?" for many weightings at
once, which is what a bootstrap asks thousands of times.
"""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xperience.errors import XperienceError


class MetricError(XperienceError):
    """Arrays that cannot be scored, or scores that cannot be put together."""


def expect(holds: bool, place: str, found: str, expected: str, way_out: str) -> None:
    """Raise a MetricError with these parts unless it holds."""
    if not holds:
        raise MetricError(place, found, expected, way_out)


def same_length(truth: Sequence, predicted: Sequence, place: str) -> None:
    """Refuse true and predicted samples of different number."""
    expect(
        len(truth) == len(predicted),
        place,
        f"hold {len(truth)} true and {len(predicted)} predicted samples",
        "as many of each",
        "Score the same samples on both sides.",
    )


def numbers(place: str, n_axes: int, *arrays: np.ndarray) -> list[np.ndarray]:
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


@dataclass(frozen=True)
class Labels:
    """One label a sample, true and predicted; build it with `labels`.

    Parameters
    ----------
    names : tuple
        Every label: those that occur, in order of appearance, then the other options.
    truth, predicted : int array, shape (n,)
        Places in ``names``.
    positive : int, optional
        Place of the label whose F1 is asked for.
    """

    names: tuple[Hashable, ...]
    truth: np.ndarray
    predicted: np.ndarray
    positive: int | None = None

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def refusal(self) -> str | None:
        """Why any score would mean nothing, if so: every constant answer is right."""
        if len(set(self.truth.tolist())) == 1:
            return f"every true label is {self.names[self.truth[0]]!r}: one class tests nothing"
        return None

    @cached_property
    def _contributions(self) -> np.ndarray:
        one_hot = np.eye(max([*self.truth, *self.predicted], default=-1) + 1)
        truth, predicted = one_hot[self.truth], one_hot[self.predicted]
        return np.hstack([truth * predicted, truth, predicted])  # (n, 3 * n_occurring)

    def counts(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return right, true and predicted counts of labels that occur, (n_rows, n_occurring)."""
        right, true, claimed = np.split(weights @ self._contributions, 3, axis=1)
        return right, true, claimed


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

    Returns
    -------
    Labels
        To be given to `xperience.evaluation.metrics.score`.

    Raises
    ------
    MetricError
        If lengths differ, a label is missing, or ``positive`` is neither an option nor occurs.
    """
    truth, predicted = _plain(truth), _plain(predicted)
    same_length(truth, predicted, "labels")
    missing = sum(_is_missing(label) for label in [*truth, *predicted])
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


def _plain(values: Sequence[Hashable] | np.ndarray) -> list[Hashable]:
    # Not through numpy: beside strings it would turn a NaN into the label "nan".
    return values.tolist() if hasattr(values, "tolist") else list(values)


def _is_missing(label: Hashable) -> bool:
    return label is None or (isinstance(label, float) and math.isnan(label))


@dataclass(frozen=True)
class LabelSets:
    """A set of labels for each sample, true and predicted; build it with `label_sets`.

    Parameters
    ----------
    truth, predicted : bool array, shape (n, n_labels)
        Which labels are in each sample's set.
    """

    truth: np.ndarray
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

    def counts(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return right, true and predicted counts of each label, each (n_rows, n_labels)."""
        right = self.truth & self.predicted
        return (
            weights @ right.astype(float),
            weights @ self.truth.astype(float),
            weights @ self.predicted.astype(float),
        )

    @cached_property
    def exact(self) -> np.ndarray:
        """Whether each whole set is right, shape (n,)."""
        return (self.truth == self.predicted).all(axis=1).astype(float)


def label_sets(
    truth: Sequence[Iterable[Hashable]],
    predicted: Sequence[Iterable[Hashable]],
    *,
    vocabulary: Iterable[Hashable] = (),
) -> LabelSets:
    """Put true and predicted sets side by side; a label named twice counts once.

    Parameters
    ----------
    truth, predicted : sequence of iterables of labels, length n
        Each sample's set; it may be empty.
    vocabulary : iterable of labels, optional
        Labels that could have been chosen, whether or not they occur.

    Raises
    ------
    MetricError
        If lengths differ.
    """
    truth, predicted = [set(s) for s in truth], [set(s) for s in predicted]
    same_length(truth, predicted, "label sets")
    names = list(dict.fromkeys(vocabulary)) + sorted(
        set().union(*truth, *predicted) - set(vocabulary), key=repr
    )
    return LabelSets(_membership(truth, names), _membership(predicted, names))


def _membership(sets: list[set], names: list) -> np.ndarray:
    rows = [[name in members for name in names] for members in sets]
    return np.array(rows, dtype=bool).reshape(len(sets), len(names))


@dataclass(frozen=True)
class Boundaries:
    """Hits and errors of predicted boundaries, window by window; build it with `boundaries`.

    Parameters
    ----------
    hits, false_alarms : float array, shape (n,)
        1 where a window's prediction matched a true boundary, or matched none.
    misses : float array, shape (n,)
        Unmatched true boundaries, each at the window whose centre is nearest.
    timing_error_frames : float array, shape (n,)
        Distance of a hit from its boundary, 0 elsewhere.
    """

    hits: np.ndarray
    false_alarms: np.ndarray
    misses: np.ndarray
    timing_error_frames: np.ndarray

    def __len__(self) -> int:
        return len(self.hits)

    @property
    def refusal(self) -> str | None:
        """Why any score would mean nothing, if so."""
        if not (self.hits + self.misses).any():
            return "no true boundary lies between the first and the last window centre"
        return None


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
    same_length(centers, predicted, "boundaries")
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
