"""Floors and ceilings: what needs no model, and what no model can exceed."""

from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

SET_SHARE = 0.5


def majority(train: Sequence[Hashable], n_test: int) -> list[Hashable]:
    """Return the most frequent training label n_test times; the one seen first on a tie."""
    return [Counter(train).most_common(1)[0][0]] * n_test


def stratified(train: Sequence[Hashable], n_test: int, rng: np.random.Generator) -> list[Hashable]:
    """Return labels drawn at the frequencies of the training part."""
    return [train[place] for place in rng.integers(0, len(train), n_test)]


def prior_sets(train: np.ndarray, n_test: int) -> np.ndarray:
    """Return the labels in at least half of the training sets, for every test sample.

    Bool (n_train, n_labels) to (n_test, n_labels). Where no label is that frequent, the most
    frequent one.
    """
    share = np.asarray(train, dtype=float).mean(axis=0)
    chosen = share >= SET_SHARE
    if not chosen.any():
        chosen[share.argmax()] = True
    return np.repeat(chosen[None], n_test, axis=0)


def best_constant_set(sets: Sequence[Collection[str]]) -> frozenset[str]:
    """Return the set that, said every time, has the greatest micro-F1; some set is not empty.

    It holds the most frequent names, as many as pay: a name's hits depend on its frequency alone,
    so the best set of each size holds the most frequent ones.
    """
    ranked = Counter(name for names in sets for name in names).most_common()
    hits = np.cumsum([count for _, count in ranked])
    sizes = np.arange(1, len(ranked) + 1)
    best = int((2 * hits / (hits[-1] + sizes * len(sets))).argmax())
    return frozenset(name for name, _ in ranked[: best + 1])


def train_mean(train: np.ndarray, n_test: int) -> np.ndarray:
    """Return the mean training target, float64 (n_test, n_values)."""
    return np.repeat(np.asarray(train, dtype=np.float64).mean(axis=0)[None], n_test, axis=0)


def zero_velocity(present: np.ndarray, n_frames: int) -> np.ndarray:
    """Return positions that stay where they are in the last frame seen, (n, n_frames, ...).

    ``present`` is (n, ...), in metres.
    """
    return np.repeat(present[:, None], n_frames, axis=1)


def constant_velocity(present: np.ndarray, before: np.ndarray, n_frames: int) -> np.ndarray:
    """Return positions that go on as in the last frame step, (n, n_frames, ...).

    ``present`` and ``before``, (n, ...) in metres, are of the last two frames seen.
    """
    steps = np.arange(1, n_frames + 1).reshape(1, -1, *[1] * (present.ndim - 1))
    return present[:, None] + steps * (present - before)[:, None]


def nearest_in_time(train_frames: np.ndarray, test_frames: np.ndarray) -> np.ndarray:
    """Return the training sample nearest to each test sample, int (n_test,).

    Both arrays say where samples lie, in frames; of two equally near, the earlier is taken.
    """
    order = np.argsort(train_frames, kind="stable")
    known = np.asarray(train_frames)[order]
    after = np.searchsorted(known, test_frames).clip(0, len(known) - 1)
    before = (after - 1).clip(0)
    far = np.abs(known[after] - test_frames) < np.abs(known[before] - test_frames)
    return order[np.where(far, after, before)]


def chance_similarity(candidates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return random similarities (n_queries, n_candidates) that tie where candidates are equal.

    No query can tell equal candidates apart, whatever it is.
    """
    group = np.unique(candidates, axis=0, return_inverse=True)[1].reshape(-1)
    return rng.random((len(candidates), group.max(initial=-1) + 1))[:, group]


@dataclass(frozen=True)
class Ceiling:
    """The best a closed-set classifier can score where some test classes were never trained.

    Parameters
    ----------
    samples : float
        Share of test samples whose class is in the training part: bounds accuracy and weighted F1.
    classes : float
        Share of the classes of the test truth that are: bounds macro-F1 and balanced accuracy.
    unseen : tuple
        The other classes, sorted.
    """

    samples: float
    classes: float
    unseen: tuple[Hashable, ...]


def closed_set_ceiling(train: Sequence[Hashable], test: Sequence[Hashable]) -> Ceiling:
    """Return what classes that only the test part has put out of reach."""
    seen, present = set(train), set(test)
    unseen = tuple(sorted(present - seen))
    hits = sum(label in seen for label in test)
    return Ceiling(
        samples=hits / len(test) if len(test) else 1.0,
        classes=1 - len(unseen) / len(present) if present else 1.0,
        unseen=unseen,
    )
