"""A task's samples, their splits, and the purge that keeps the frames of the parts apart."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from xperience.errors import ParamsError, did_you_mean
from xperience.tasks.task import SPLITS, Span, Task
from xperience.tasks.truth import Truth

TRAIN_SHARE = 0.7
LOCAL_TEST_SHARE = 0.25
LOCAL_SEED = 7


BlockSource = Callable[[str], np.ndarray]
"""Name of a feature block -> float32 array (n_windows, dim); a NaN row is a missing window."""


@dataclass(frozen=True)
class Samples:
    """The samples of a task that have a target."""

    members: np.ndarray  # windows of each, int (n, n_members)
    values: Sequence[Any]  # targets: labels, tuples of names, or vectors (n, n_values)
    frames: np.ndarray  # that features and target touch, first and last, int (n, n_spans, 2)
    centers: np.ndarray  # centre frame of each sample's first window, int (n,)

    def __len__(self) -> int:
        return len(self.members)

    @cached_property
    def exact(self) -> Sequence[Any]:
        """Targets, vectors in float64: what scores are computed from."""
        wide = isinstance(self.values, np.ndarray)
        return self.values.astype(np.float64, copy=False) if wide else self.values

    def pick(self, places: np.ndarray) -> Sequence[Any]:
        """Return the targets of some samples."""
        return picked(self.values, places)


def picked(values: Any, places: np.ndarray) -> Sequence[Any]:
    """Return some values, in the order of their places, int (n,), of a list or an array.

    Those that follow one another in an array are not copied.
    """
    if isinstance(values, list | tuple):
        return [values[place] for place in places]
    first, n = (places[0] if len(places) else 0), len(places)
    fits = isinstance(values, np.ndarray) and 0 <= first <= len(values) - n
    if fits and np.array_equal(places, np.arange(first, first + n)):
        return values[first : first + n]
    return values[places]


def draw(task: Task, truth: Truth, block: BlockSource) -> Samples:
    """Return a task's samples; those without a target are left out.

    Only blocks that are themselves the target are read.
    """
    members = task.members(len(truth.starts))
    if task.target_blocks:
        windows = np.concatenate([block(name) for name in task.target_blocks], axis=1)
        values = windows[members[:, 0]]
        keep = np.flatnonzero(~np.isnan(values).any(axis=1))
        values = values[keep]
    else:
        found = task.target(truth, members)
        keep = np.array([i for i, value in enumerate(found) if value is not None], dtype=np.int64)
        values = [found[place] for place in keep]
        if task.kind in ("regress", "retrieve") and values:
            values = np.stack(values)
    members = members[keep]
    return Samples(members, values, touched(task, truth, members), truth.centers[members[:, 0]])


def touched(task: Task, truth: Truth, members: np.ndarray) -> np.ndarray:
    """Return the frames that samples touch, as declared: int array (n, n_spans, 2), ends included.

    ``members`` are the windows of each sample, int array (n, n_members).
    """
    used = {piece.member for piece in task.pieces}
    used |= {piece.minus for piece in task.pieces if piece.minus is not None}
    starts = truth.starts
    spans = [task.feature_span.frames(starts[members[:, k]], truth.n_frames) for k in sorted(used)]
    if task.recent is not None:
        recent = Span("end", 1 - task.recent_frames, "end")
        spans.append(recent.frames(starts[members[:, 0]], truth.n_frames))
    if task.target_span is not None:
        spans.append(task.target_span.frames(starts[members[:, 0]], truth.n_frames))
    return np.stack(spans, axis=1)


@dataclass(frozen=True)
class Split:
    """Which samples train and which test, and which were purged: they touch test frames."""

    train: np.ndarray
    test: np.ndarray
    purged: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


def chronological(n_samples: int) -> Split:
    """Return the first 70 % of samples to train, the rest to test."""
    cut = round(TRAIN_SHARE * n_samples)
    return Split(np.arange(cut), np.arange(cut, n_samples))


def local(labels: Sequence[Hashable], seed: int = LOCAL_SEED) -> Split:
    """Return a quarter of each class, drawn at random, to test.

    Classes are drawn in order of first appearance; one with a single sample trains only.
    Neighbours of test samples train: see `purge`.
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
    """Return a quarter of each class to test, as one contiguous segment at a random place.

    ``centers`` say where samples lie in time. A class with one sample trains only. At the segment's
    ends neighbours still share frames: see `purge`.
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
    """Return folds (to fit on, held out) that each hold out several contiguous segments.

    No sample to fit on touches a frame of those held out; ``frames`` (n, n_spans, 2) are what each
    sample touches. The segments of a fold are spread over the recording: one alone would often hold
    out all there is of a class.
    """
    order = np.argsort(frames.reshape(len(frames), -1).max(axis=1), kind="stable")
    segments = np.array_split(order, n_folds * n_blocks)
    folds = []
    for fold in range(n_folds):
        held = np.sort(np.concatenate(segments[fold::n_folds]))
        split = purge(Split(np.setdiff1d(order, held), held), frames)
        folds.append((split.train, split.test))
    return folds


def rolling_origin(frames: np.ndarray, first_share: float, n_parts: int) -> list[Split]:
    """Return purged splits in which later parts test and all before them trains.

    Parameters
    ----------
    frames : int array, shape (n, n_spans, 2)
        What samples touch; they stand in the order of time.
    first_share : float
        Share of the samples that is never tested.
    n_parts : int
        Equal parts that the rest is tested in.
    """
    edges = [round(share * len(frames)) for share in np.linspace(first_share, 1, n_parts + 1)]
    splits = [Split(np.arange(start), np.arange(start, stop)) for start, stop in pairwise(edges)]
    return [purge(split, frames) for split in splits]


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
    """Return which samples touch a frame that any of the others touches, bool array (n,).

    Parameters
    ----------
    frames, others : int array, shape (n, n_spans, 2), (m, n_spans, 2)
        First and last frame of each segment, ends included.
    embargo_frames : int
        Frames that must lie between them as well; below 0, as many may overlap.
    """
    spans = others.reshape(-1, 2)
    spans = spans[np.argsort(spans[:, 0])]
    latest = np.maximum.accumulate(spans[:, 1])
    latest = np.concatenate([[np.iinfo(np.int64).min], latest])  # last frame of the first k spans
    near = np.searchsorted(spans[:, 0], frames[..., 1] + embargo_frames, side="right")
    return (latest[near] >= frames[..., 0] - embargo_frames).any(axis=1)


def purge(split: Split, frames: np.ndarray, embargo_frames: int = 0) -> Split:
    """Return the split without the training samples that touch a frame of the test part.

    ``frames`` (n, n_spans, 2) are what each sample touches: see `touched`; for ``embargo_frames``
    see `touching`.
    """
    hit = touching(frames[split.train], frames[split.test], embargo_frames)
    purged = np.concatenate([split.purged, split.train[hit]])
    return replace(split, train=split.train[~hit], purged=purged)
