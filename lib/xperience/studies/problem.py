"""A task on one recording, what a head answers, and what came of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xperience.features.windows import WINDOW_FRAMES
from xperience.tasks.splits import Samples, Split
from xperience.tasks.task import Task
from xperience.tasks.truth import Truth


@dataclass(frozen=True)
class Problem:
    """A task on one recording, split and ready to be answered.

    Parameters
    ----------
    task : Task
    truth : Truth
    samples : Samples
    split : Split
    labels : tuple
        Classes in the order of their codes, or the vocabulary of sets; empty for vectors.
    notes : tuple of str
        What had to be filled in.
    contract : str
    """

    task: Task
    truth: Truth
    samples: Samples
    split: Split
    labels: tuple[Any, ...]
    notes: tuple[str, ...] = ()
    contract: str = "published"

    @property
    def train_targets(self) -> Sequence[Any]:
        """Targets to train on."""
        return self.samples.pick(self.split.train)

    @property
    def test_targets(self) -> Sequence[Any]:
        """Targets to score against."""
        return self.samples.pick(self.split.test)

    @property
    def train_codes(self) -> np.ndarray:
        """Class of each training sample, int array (n_train,)."""
        code = {label: place for place, label in enumerate(self.labels)}
        return np.array([code[label] for label in self.train_targets], dtype=np.int64)

    @property
    def unseen(self) -> np.ndarray:
        """Which test samples have a class that no training sample has, bool array (n_test,)."""
        known = set(self.train_targets)
        return np.array([label not in known for label in self.test_targets], dtype=bool)

    @property
    def min_block(self) -> int:
        """Shortest block of test samples that holds all that share a sample's own frames."""
        members = self.samples.members
        starts = self.truth.starts[members]
        extent = int((starts.max(axis=1) - starts.min(axis=1)).max(initial=0)) + WINDOW_FRAMES
        if self.task.target_span is not None:
            ends = self.task.target_span.frames(starts[:, 0], self.truth.n_frames)[:, 1]
            extent = max(extent, int((ends - starts.min(axis=1)).max(initial=0)) + 1)
        centers = self.samples.centers
        span = int(centers.max() - centers.min()) if len(centers) else 0
        return max(1, math.ceil(extent * (len(centers) - 1) / span)) if span else 1

    @property
    def by_time(self) -> np.ndarray:
        """Places of the test part's samples in the order of the recording, int array (n_test,)."""
        return np.argsort(self.samples.centers[self.split.test], kind="stable")

    @property
    def to_fit(self) -> np.ndarray:
        """What is fitted: targets minus where the forecast starts, if it starts somewhere."""
        return np.asarray(self.train_targets, dtype=np.float64) - self._start(self.split.train)

    def forecast(self, fitted: np.ndarray) -> np.ndarray:
        """Return predictions of the test targets from what was fitted, (n_test, n_values)."""
        return fitted + self._start(self.split.test)

    def _start(self, places: np.ndarray) -> np.ndarray | float:
        if self.task.anchor is None:
            return 0.0
        members = self.samples.members[places]
        return np.asarray(self.task.naive[self.task.anchor](self.truth, members), dtype=float)

    def membership(self, sets: Sequence[Sequence[Any]]) -> np.ndarray:
        """Return which labels are in each set, bool (n, n_labels)."""
        rows = [[label in members for label in self.labels] for members in sets]
        return np.array(rows, dtype=bool).reshape(len(sets), len(self.labels))

    def named(self, membership: np.ndarray) -> list[tuple[Any, ...]]:
        """Return sets of labels from bool (n, n_labels)."""
        return [tuple(self.labels[place] for place in np.flatnonzero(row)) for row in membership]


@dataclass(frozen=True)
class Answer:
    """What a head says of a problem's test samples.

    Parameters
    ----------
    predicted : list of labels, list of sets, or float array (n_test, n_values)
    confidence : float array, shape (n_test, n_labels), optional
        Probabilities of classes or labels.
    facts : dict of {name: value}
        What the fit itself says, such as "train_final_loss".
    seed : int, optional
    curve : table, optional
        Losses by epoch, for heads that are trained step by step.
    """

    predicted: Sequence[Any]
    confidence: np.ndarray | None = None
    facts: dict[str, float] | None = None
    seed: int | None = None
    curve: Any = None


@dataclass(frozen=True)
class Outcome:
    """A task's problem with a head's answer, or the reason why there is none.

    Parameters
    ----------
    task : Task
    head : str
    problem : Problem, optional
    answers : tuple of Answer
        One a seed.
    status : {"ok", "skipped", "degenerate"}
    reason : str, optional
    """

    task: Task
    head: str
    problem: Problem | None = None
    answers: tuple[Answer, ...] = ()
    status: str = "ok"
    reason: str | None = None

    @property
    def answer(self) -> Answer | None:
        """The first seed's answer."""
        return self.answers[0] if self.answers else None
