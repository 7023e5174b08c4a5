"""The record that declares a task: what is asked, from what, about what, and how it is judged."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from xperience.errors import ParamsError, did_you_mean
from xperience.features.blocks import BLOCKS_BY_NAME, CONTRACTS
from xperience.features.windows import WINDOW_FRAMES
from xperience.tasks.measures import Measure
from xperience.tasks.truth import Truth

Kind = Literal["classify", "multilabel", "regress", "retrieve"]
HEADS = {"classify": "softmax", "multilabel": "logistic", "regress": "ridge", "retrieve": "ridge"}
"""Family of the linear head for each kind of target."""

SPLITS = ("chronological", "local", "local_blocks")

Target = Callable[[Truth, np.ndarray], Sequence[Any]]
"""(truth, members (n, n_members)) -> one value a sample; None drops the sample."""


@dataclass(frozen=True)
class Span:
    """Frames relative to a window, both ends included: the window itself by default.

    From ``first`` frames after (or, if negative, before) ``since`` to ``last`` frames after
    ``until``, each of which is "start", "center" or "end", the window's last frame.
    """

    since: str = "start"
    first: int = 0
    until: str = "end"
    last: int = 0

    def frames(self, starts: np.ndarray, n_frames: int) -> np.ndarray:
        """Return the first and last frame for windows that start there, int array (n, 2).

        Frames beyond the recording are clipped to it.
        """
        starts = np.asarray(starts)
        end = starts + WINDOW_FRAMES - 1
        anchors = {"start": starts, "center": (starts + end) // 2, "end": end}
        ends = np.stack([anchors[self.since] + self.first, anchors[self.until] + self.last], -1)
        return np.clip(ends, 0, n_frames - 1)


WINDOW = Span()


@dataclass(frozen=True)
class Piece:
    """One part of a sample's input."""

    blocks: tuple[str, ...]  # in the order of the windows table
    member: int = 0  # which of the sample's windows they are taken from
    minus: int | None = None  # which of its windows is subtracted


@dataclass(frozen=True)
class Task:
    """One task of the benchmark.

    Raises
    ------
    ParamsError
        If a block, the kind or the split is unknown, or the target is declared twice or not at all.
    """

    name: str  # also in rows, tables and files
    question: str
    kind: Kind  # what is predicted; it fixes the family of heads, see `HEADS`
    pieces: tuple[Piece, ...]  # the input
    measures: tuple[Measure, ...]  # the first is the primary one
    source: str  # where the target comes from
    target: Target | None = None
    target_blocks: tuple[str, ...] = ()
    """In place of ``target``: feature blocks of the sample's first window, as a vector."""
    target_streams: tuple[str, ...] = ()  # of the recording, that ``target`` reads
    target_span: Span | None = WINDOW
    """Frames that the target reads, relative to the sample's first window; None if none."""
    feature_span: Span = WINDOW  # frames that the features of each of the sample's windows read
    members: Callable[[int], np.ndarray] = field(default=lambda n: np.arange(n)[:, None])
    """n_windows to the windows of each sample, int array (n_samples, n_members)."""
    classes: tuple[str, ...] = ()  # by their codes; in order of appearance if empty
    positive: str | None = None  # the class whose F1 is asked for
    value_shape: tuple[int, ...] | None = None  # of joint positions: (frames, joints, 3)
    query: Literal["prediction", "target"] = "prediction"
    """What is compared with candidates of the other kind in a retrieval."""
    split: str = "chronological"  # see `xperience.tasks.splits`
    needs_classes: int = 2
    """Fewest classes (or labels of sets) among the samples for a score to mean anything."""
    naive: Mapping[str, Target] = field(default_factory=dict)
    """Forecasts from what the window shows, scored as floors."""
    anchor: str | None = None
    """The naive forecast that heads of `corrected` start from: they predict what to add to it."""
    recent: Callable[[Truth, np.ndarray, int], np.ndarray] | None = None
    """(truth, members, n_frames) to what is forecast, in the last frames of the sample's first
    window, the last one first, (n, n_frames, ...): for heads and baselines made for it."""
    recent_frames: int = 0  # how many those are; the purge counts them as touched
    remembers: bool = True
    """Whether windows before the sample's own may be read; not if they would give it away."""
    history: int = 1  # windows that a temporal head reads, the sample's own included
    settings: Mapping[str, Any] = field(default_factory=dict)  # that differ from the family's
    contracts: tuple[str, ...] = CONTRACTS  # that ask the task

    def __post_init__(self):
        pieces = [name for piece in self.pieces for name in piece.blocks]
        for name in [*pieces, *self.target_blocks]:
            _known(name, BLOCKS_BY_NAME, f"task {self.name!r}: block")
        _known(self.split, SPLITS, f"task {self.name!r}: split")
        _known(self.kind, HEADS, f"task {self.name!r}: kind")
        if self.anchor is not None:
            _known(self.anchor, self.naive, f"task {self.name!r}: anchor")
        if not self.measures or (self.target is None) == (not self.target_blocks):
            raise ParamsError(
                f"task {self.name!r}",
                "lacks a measure, or has no target or two",
                "a primary measure, and either target or target_blocks",
                "Complete its entry in the catalogue.",
            )

    @property
    def primary(self) -> Measure:
        """The measure that the task is judged by."""
        return self.measures[0]

    @property
    def head(self) -> str:
        """Family of its linear head."""
        return HEADS[self.kind]

    @property
    def n_features(self) -> int:
        """Length of the input."""
        return sum(BLOCKS_BY_NAME[name].dim for piece in self.pieces for name in piece.blocks)

    @property
    def input_blocks(self) -> tuple[str, ...]:
        """Blocks that the input takes in, in the table's order."""
        named = {name for piece in self.pieces for name in piece.blocks}
        return tuple(name for name in BLOCKS_BY_NAME if name in named)

    def given(self, blocks: Collection[str]) -> tuple[Piece, ...]:
        """Return the input without any other blocks than some: a piece may be left with none."""
        kept = (tuple(name for name in one.blocks if name in blocks) for one in self.pieces)
        return tuple(
            replace(one, blocks=names) for one, names in zip(self.pieces, kept, strict=True)
        )

    def degenerate(self, values: Sequence[Any]) -> str | None:
        """Return why no score of samples with these targets would mean anything, or None."""
        if self.kind == "classify":
            found = list(dict.fromkeys(values))
            if len(found) < self.needs_classes:
                return f"one class only: every sample is {found[0]!r}" if found else "no samples"
        if self.kind == "multilabel" and len({name for one in values for name in one}) < 1:
            return "no label is in any set"
        return None


def _known(name: str, names: Any, place: str) -> None:
    if name not in names:
        raise ParamsError(place, f"is {name!r}", "a known name", did_you_mean(name, names))


def registry(tasks: Sequence[Task]) -> dict[str, Task]:
    """Return tasks by name.

    Raises
    ------
    ParamsError
        If two share a name.
    """
    named = {task.name: task for task in tasks}
    for task in tasks:
        if named[task.name] is not task:
            raise ParamsError(
                f"task {task.name!r}", "is declared twice", "unique names", "Rename one of them."
            )
    return named
