"""A task on one recording, what a head answers, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xperience.tasks.samples import Samples
from xperience.tasks.splits import Split
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
    """

    task: Task
    truth: Truth
    samples: Samples
    split: Split
    labels: tuple[Any, ...]
    notes: tuple[str, ...] = ()

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
    """

    predicted: Sequence[Any]
    confidence: np.ndarray | None = None
    facts: dict[str, float] | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Outcome:
    """A task's problem with a head's answer, or the reason why there is none.

    Parameters
    ----------
    task : Task
    head : str
    problem : Problem, optional
    answer : Answer, optional
    status : {"ok", "skipped", "degenerate"}
    reason : str, optional
    """

    task: Task
    head: str
    problem: Problem | None = None
    answer: Answer | None = None
    status: str = "ok"
    reason: str | None = None
