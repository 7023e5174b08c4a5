"""Splits of a task's samples, and the purge that keeps their frames apart."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from xperience.errors import ParamsError, XperienceError, did_you_mean
from xperience.tasks.samples import Samples
from xperience.tasks.task import SPLITS

TRAIN_SHARE = 0.7
LOCAL_TEST_SHARE = 0.25
LOCAL_SEED = 7


class LeakError(XperienceError):
    """Training and test samples that touch the same frames."""


@dataclass(frozen=True)
class Split:
    """Which samples train and which test.

    Parameters
    ----------
    train, test : int array
        Places of samples.
    purged : int array
        Samples that were taken out of the training part because they touch test frames.
    """

    train: np.ndarray
    test: np.ndarray
    purged: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


def chronological(n_samples: int) -> Split:
    """Return the first 70 % of samples to train, the rest to test."""
    cut = round(TRAIN_SHARE * n_samples)
    return Split(np.arange(cut), np.arange(cut, n_samples))


def local(labels: Sequence[Hashable], seed: int = LOCAL_SEED) -> Split:
    """Return a quarter of each class, drawn at random, to test.

    Parameters
    ----------
    labels : sequence of hashable, length n
        Classes are numbered by first appearance and drawn in that order.
    seed : int

    Notes
    -----
    A class with one sample trains only. Neighbours of test samples train: see `purge`.
    """
    rng = np.random.default_rng(seed)
    number = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    codes = np.array([number[label] for label in labels], dtype=np.int64)
    train: list[int] = []
    test: list[int] = []
    for code in range(len(number)):
        places = np.flatnonzero(codes == code)
        rng.shuffle(places)
        n_test = int(np.clip(round(LOCAL_TEST_SHARE * len(places)), 1, len(places) - 1))
        n_test = n_test if len(places) > 1 else 0
        test.extend(places[:n_test])
        train.extend(places[n_test:])
    sides = np.array(train, dtype=np.int64), np.array(test, dtype=np.int64)
    for side in sides:
        rng.shuffle(side)
    return Split(*sides)


def local_blocks(labels: Sequence[Hashable], centers: np.ndarray, seed: int = LOCAL_SEED) -> Split:
    """Return a quarter of each class to test, as one stretch of neighbours at a random place.

    Parameters
    ----------
    labels : sequence of hashable, length n
    centers : int array, shape (n,)
        Where each sample lies in time.
    seed : int

    Notes
    -----
    A class with one sample trains only. At the stretch's ends neighbours still share frames:
    see `purge`.
    """
    rng = np.random.default_rng(seed)
    tested = np.zeros(len(labels), dtype=bool)
    for label in dict.fromkeys(labels):
        places = np.flatnonzero([other == label for other in labels])
        places = places[np.argsort(centers[places], kind="stable")]
        n_test = min(max(round(LOCAL_TEST_SHARE * len(places)), 1), len(places) - 1)
        first = int(rng.integers(0, len(places) - n_test + 1))
        tested[places[first : first + n_test]] = True
    return Split(np.flatnonzero(~tested), np.flatnonzero(tested))


def blocked_folds(
    frames: np.ndarray, n_folds: int = 5, n_blocks: int = 3
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return folds of samples that each hold out several stretches of time.

    Parameters
    ----------
    frames : int array, shape (n, n_spans, 2)
        What each sample's features and target touch.
    n_folds : int
    n_blocks : int
        Stretches a fold holds out, spread over the recording: one alone would often hold out all
        there is of a class.

    Returns
    -------
    list of (int array, int array)
        Samples to fit on, none of which touches a frame of the samples held out; and those.
    """
    order = np.argsort(frames.reshape(len(frames), -1).max(axis=1), kind="stable")
    stretches = np.array_split(order, n_folds * n_blocks)
    folds = []
    for fold in range(n_folds):
        held = np.sort(np.concatenate(stretches[fold::n_folds]))
        split = purge(Split(np.setdiff1d(order, held), held), frames)
        folds.append((split.train, split.test))
    return folds


def split_samples(name: str, samples: Samples) -> Split:
    """Return the named split of a task's samples.

    Raises
    ------
    ParamsError
        If there is no split of that name.
    """
    if name not in SPLITS:
        raise ParamsError(
            "split", f"is {name!r}", "the name of a split", did_you_mean(name, SPLITS)
        )
    if name == "chronological":
        return chronological(len(samples))
    labels = list(samples.values)
    return local(labels) if name == "local" else local_blocks(labels, samples.centers)


def touching(frames: np.ndarray, others: np.ndarray, embargo_frames: int = 0) -> np.ndarray:
    """Return which samples touch a frame that any of the others touches.

    Parameters
    ----------
    frames : int array, shape (n, n_spans, 2)
        First and last frame of each segment, ends included.
    others : int array, shape (m, n_spans, 2)
    embargo_frames : int
        Frames that must lie between them as well; below 0, as many may overlap.

    Returns
    -------
    bool array, shape (n,)
    """
    spans = others.reshape(-1, 2)
    spans = spans[np.argsort(spans[:, 0])]
    latest = np.maximum.accumulate(spans[:, 1])
    latest = np.concatenate([[np.iinfo(np.int64).min], latest])  # last frame of the first k spans
    near = np.searchsorted(spans[:, 0], frames[..., 1] + embargo_frames, side="right")
    return (latest[near] >= frames[..., 0] - embargo_frames).any(axis=1)


def purge(split: Split, frames: np.ndarray, embargo_frames: int = 0) -> Split:
    """Return the split without the training samples that touch a frame of the test part.

    Parameters
    ----------
    split : Split
    frames : int array, shape (n_samples, n_spans, 2)
        What each sample's features and target touch; see `xperience.tasks.samples.touched`.
    embargo_frames : int
        Frames that must lie between the two parts as well; below 0, as many may overlap.
    """
    hit = touching(frames[split.train], frames[split.test], embargo_frames)
    purged = np.concatenate([split.purged, split.train[hit]])
    return replace(split, train=split.train[~hit], purged=purged)


def check_apart(split: Split, frames: np.ndarray, place: str = "split") -> None:
    """Raise if a training sample touches a frame that a test sample touches.

    Raises
    ------
    LeakError
        With the number of such samples.
    """
    n_hit = int(touching(frames[split.train], frames[split.test]).sum())
    if n_hit:
        raise LeakError(
            place,
            f"{n_hit} of {len(split.train)} training samples touch frames of the test part",
            "none",
            "Purge the split: `purge(split, samples.frames)`.",
        )
