"""From a declared task and a recording to its samples: windows, targets, frames touched."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xperience.tasks.task import Task
from xperience.tasks.truth import Truth

BlockSource = Callable[[str], np.ndarray]
"""Name of a feature block -> float32 array (n_windows, dim); a NaN row is a missing window."""


@dataclass(frozen=True)
class Samples:
    """The samples of a task that have a target.

    Parameters
    ----------
    members : int array, shape (n, n_members)
        Windows of each sample.
    values : list or float32 array (n, n_values)
        Targets: labels, tuples of names, or vectors.
    frames : int array, shape (n, n_spans, 2)
        Frames that features and target touch: first and last of each stretch.
    centers : int array, shape (n,)
        Centre frame of each sample's first window.
    """

    members: np.ndarray
    values: Sequence[Any]
    frames: np.ndarray
    centers: np.ndarray

    def __len__(self) -> int:
        return len(self.members)

    def pick(self, places: np.ndarray) -> Sequence[Any]:
        """Return the targets of some samples."""
        if isinstance(self.values, np.ndarray):
            return self.values[places]
        return [self.values[place] for place in places]


def draw(task: Task, truth: Truth, block: BlockSource) -> Samples:
    """Return a task's samples; those without a target are left out.

    Parameters
    ----------
    task : Task
    truth : Truth
    block : callable
        Asked only for the blocks that are themselves the target.

    Raises
    ------
    EpisodeError
        If a target block cannot be read.
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

    Parameters
    ----------
    task : Task
    truth : Truth
    members : int array, shape (n, n_members)
    """
    used = sorted({piece.member for piece in task.pieces}
                  | {piece.minus for piece in task.pieces if piece.minus is not None})  # fmt: skip
    starts = truth.starts
    spans = [task.feature_span.frames(starts[members[:, k]], truth.n_frames) for k in used]
    if task.target_span is not None:
        spans.append(task.target_span.frames(starts[members[:, 0]], truth.n_frames))
    return np.stack(spans, axis=1)
