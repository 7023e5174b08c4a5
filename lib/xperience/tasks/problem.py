"""A task asked of data: its samples, split, classes, inputs and what was purged or is missing.

A `Problem` is all that heads and `xperience.evaluation.evaluate` know of the data. `problems_of`
makes the problems of one recording. A problem that can't be asked is made too: its ``status`` is
"skipped" or "degenerate", and its ``reason`` says why.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from xperience.features.blocks import BLOCKS, BLOCKS_BY_NAME, check_contract
from xperience.features.table import WindowTable
from xperience.features.windows import WINDOW_FRAMES
from xperience.models import baselines, gram
from xperience.models.conditioning import Moments
from xperience.recording.recording import Recording
from xperience.tasks.catalogue import ALL_FEATURE_ACTION, TASKS, tasks_of
from xperience.tasks.splits import (
    Samples,
    Split,
    blocked_folds,
    draw,
    picked,
    purge,
    rolling_origin,
    split_samples,
)
from xperience.tasks.task import Piece, Task
from xperience.tasks.truth import Truth

REST = "rest"
"""In a variant's blocks: all that the task is given but one modality; see `with_modality`."""
VALIDATION_FOLD = 2
"""The fold that decides when a network stops."""
INNER_ORIGIN = (0.5, 2)
"""Of the rolling origin inside the training part: share that is only learned from, parts."""


class Blocks:
    """The feature blocks of a recording, read once each, with nulls as NaN or as zeros.

    Parameters
    ----------
    table : WindowTable
        Or anything with ``block(name)`` that returns float32 (n_windows, dim), NaN where null.
    missing : mapping of {block: reason}
        Blocks that hold nothing but nulls.
    """

    def __init__(self, table: Any, missing: Mapping[str, str]):
        self.missing = dict(missing)
        self._table = table
        self._raw: dict[str, np.ndarray] = {}
        self._filled: dict[str, np.ndarray] = {}
        self._lost: dict[str, np.ndarray] = {}
        self._reading = RLock()  # heads are trained side by side

    def add(self, name: str, values: np.ndarray, missing: str = "") -> None:
        """Add a block that isn't in the table, such as another feature of the sound.

        Parameters
        ----------
        name : str
            Under which inputs name it.
        values : float32 array, shape (n_windows, dim)
            NaN where it is null.
        missing : str, optional
            Why all of it is null, if it is.
        """
        self._raw[name] = values
        if missing:
            self.missing[name] = missing

    def raw(self, name: str) -> np.ndarray:
        """Return a block, float32 (n_windows, dim), NaN where it is null."""
        with self._reading:
            if name not in self._raw:
                self._raw[name] = self._table.block(name)
            return self._raw[name]

    def filled(self, name: str) -> np.ndarray:
        """Return a block with zeros in place of nulls, as the published contract wants it."""
        with self._reading:
            if name not in self._filled:
                values, lost = self.raw(name), self.lost(name)
                if lost.any():
                    values = values.copy()
                    values[lost] = 0
                self._filled[name] = values
            return self._filled[name]

    def lost(self, name: str) -> np.ndarray:
        """Return in which windows a block is null, wholly or in part, bool (n_windows,)."""
        with self._reading:
            if name not in self._lost:
                self._lost[name] = np.isnan(self.raw(name)).any(axis=1)
            return self._lost[name]

    def notes(self, names: Sequence[str], stand_in: str) -> list[str]:
        """Return what stands for missing values in some blocks, one text per block."""
        found = []
        for name in names:
            lost = self.lost(name)
            n_lost = int(lost.sum())
            if name in self.missing:
                found.append(f"{name} is {stand_in}: {self.missing[name]}")
            elif n_lost:
                found.append(f"{name} is {stand_in} in {n_lost} of {len(lost)} windows")
        return found


@dataclass(frozen=True)
class Problem:
    """A task on some data, split and ready for heads, or the reason why it can't be."""

    task: Task
    contract: str
    truth: Truth
    blocks: Blocks
    samples: Samples | None = None  # None if the problem was skipped before any was drawn
    split: Split | None = None
    labels: tuple[Any, ...] = ()  # classes in the order of their codes, or the vocabulary of sets
    pieces: tuple[Piece, ...] | None = None  # inputs in place of the task's own: see `with_inputs`
    status: str = "ok"  # or "skipped" or "degenerate"
    reason: str | None = None  # why the problem can't be made, or would mean nothing
    memo: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)  # of heads

    groups = None
    """Recording of each test sample, int array (n_test,): ranks are taken within one. None for a
    problem of one recording."""
    sessions = None
    """Session of each test sample, int array (n_test,): intervals leave out one at a time, since
    recordings of one session share wearer and place. None for a problem of one recording."""
    inputs = None
    """Samples in few coordinates (`xperience.models.conditioning.Inputs`), where those of several
    recordings are made beforehand."""

    @property
    def ok(self) -> bool:
        """Whether heads can answer it."""
        return self.status == "ok"

    @property
    def strict(self) -> bool:
        """Whether the corrected contract's rules hold."""
        return self.contract == "corrected"

    @property
    def measures(self) -> tuple:
        """Measures that are scored, the primary one first."""
        return self.task.measures

    @property
    def train_targets(self) -> Sequence[Any]:
        """Targets to train on."""
        return self.samples.pick(self.split.train)

    @property
    def test_targets(self) -> Sequence[Any]:
        """Targets to score against."""
        return picked(self.samples.exact, self.split.test)

    @property
    def n_train(self) -> int:
        """Training samples."""
        return len(self.split.train)

    @property
    def n_test(self) -> int:
        """Test samples."""
        return len(self.split.test)

    @property
    def counts(self) -> dict[str, int]:
        """Samples on each side of the split, as fields of a row; none before any is drawn."""
        if self.samples is None:
            return {}
        return {"n_train": self.n_train, "n_test": self.n_test}

    @property
    def tested(self) -> dict[str, np.ndarray]:
        """Where test samples are, as columns: their first window and its first frame."""
        windows = self.samples.members[self.split.test, 0]
        return {"window": windows, "start_frame": self.truth.starts[windows]}

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
    def changing(self) -> np.ndarray:
        """Which test samples differ from what the window shows, bool array (n_test,).

        None does where the task has no forecast by persistence.
        """
        if "persistence" not in self.task.naive:
            return np.zeros(self.n_test, dtype=bool)
        sides = zip(self.test_targets, self.naive("persistence"), strict=True)
        return np.array([now not in (None, ahead) for ahead, now in sides], dtype=bool)

    @property
    def input_pieces(self) -> tuple[Piece, ...]:
        """The input: the task's own, or what was put in its place."""
        return self.task.pieces if self.pieces is None else self.pieces

    @property
    def input_blocks(self) -> tuple[str, ...]:
        """Feature blocks that the input takes in."""
        if self.pieces is None:
            return self.task.input_blocks
        return tuple(dict.fromkeys(name for piece in self.pieces for name in piece.blocks))

    @property
    def n_features(self) -> int:
        """Length of the input."""
        names = [name for piece in self.input_pieces for name in piece.blocks]
        known = BLOCKS_BY_NAME
        return sum(
            known[name].dim if name in known else self.blocks.raw(name).shape[1] for name in names
        )

    @property
    def design(self) -> gram.Design:
        """The input for heads that work with inner products."""
        members = self.samples.members
        parts = tuple(
            gram.Part(
                piece.blocks,
                members[:, piece.member],
                None if piece.minus is None else members[:, piece.minus],
            )
            for piece in self.input_pieces
        )
        return gram.Design(parts, self.split.train, self.split.test)

    @cached_property
    def folds(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Folds of training samples (to fit on, held out) by which settings are chosen."""
        return blocked_folds(self.samples.frames[self.split.train])

    @property
    def later_folds(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Folds of training samples (to fit on, held out) that hold out what comes later."""
        splits = rolling_origin(self.samples.frames[self.split.train], *INNER_ORIGIN)
        return [(one.train, one.test) for one in splits if len(one.train) and len(one.test)]

    @property
    def validation(self) -> tuple[np.ndarray, np.ndarray]:
        """The fold that decides when a network stops."""
        return self.folds[VALIDATION_FOLD % len(self.folds)]

    @property
    def notes(self) -> tuple[str, ...]:
        """What had to be filled in: gaps of the input and of the target."""
        stand_in = "its training mean" if self.strict else "zeros"
        odd = self.truth.odd
        lost = [f"{name}: {odd[name]}" for name in self.task.target_streams if name in odd]
        return (*self.blocks.notes(self.input_blocks, stand_in), *lost)

    @property
    def min_segment(self) -> int:
        """Shortest segment of test samples that holds all that share a sample's own frames."""
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
    def centers(self) -> tuple[np.ndarray, np.ndarray]:
        """Centre frames of training and test samples."""
        return self.samples.centers[self.split.train], self.samples.centers[self.split.test]

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
        return np.asarray(self.naive(self.task.anchor, places), dtype=float)

    def naive(self, name: str, places: np.ndarray | None = None) -> Sequence[Any]:
        """Return one of the task's naive forecasts, of the test samples by default."""
        places = self.split.test if places is None else places
        return self.task.naive[name](self.truth, self.samples.members[places])

    @cached_property
    def motion(self) -> tuple[np.ndarray, np.ndarray]:
        """How joints that are forecast moved from frame to frame, of training and test samples.

        Float arrays (n, n_steps, n_joints, 3), metres, the last step first.
        """
        sides = self.split.train, self.split.test
        return tuple(self._steps(self.truth, self.samples.members[side]) for side in sides)

    def _steps(self, truth: Truth, members: np.ndarray) -> np.ndarray:
        recent = self.task.recent(truth, members, self.task.recent_frames)
        return recent[:, :-1] - recent[:, 1:]

    def onward(self, forecaster: Callable[..., np.ndarray], *given: Any) -> np.ndarray:
        """Return predictions of the test targets by a forecaster of `xperience.models.forecast`."""
        steps, asked = self.motion
        ahead = self.to_fit.reshape(-1, *self.task.value_shape)
        return self.forecast(forecaster(steps, ahead, asked, *given).reshape(len(asked), -1))

    def train_mean(self) -> np.ndarray:
        """Return the mean training target, for every test sample, float64 (n_test, n_values)."""
        return baselines.train_mean(self.train_targets, self.n_test)

    def membership(self, sets: Sequence[Sequence[Any]]) -> np.ndarray:
        """Return which labels are in each set, bool (n, n_labels)."""
        rows = [[label in members for label in self.labels] for members in sets]
        return np.array(rows, dtype=bool).reshape(len(sets), len(self.labels))

    def named(self, membership: np.ndarray) -> list[tuple[Any, ...]]:
        """Return sets of labels from bool (n, n_labels)."""
        return [tuple(self.labels[place] for place in np.flatnonzero(row)) for row in membership]

    def with_inputs(self, *names: str) -> "Problem":
        """Return the same problem with certain feature blocks, or none, as its only input.

        The samples, split and target stay, so that predictions can be compared sample by sample.
        """
        return self.with_pieces((Piece(names),))

    def with_pieces(self, pieces: tuple[Piece, ...]) -> "Problem":
        """Return the same problem with another input; skipped if nothing of it is there."""
        found = replace(self, pieces=pieces)
        names = found.input_blocks
        if self.ok and names and all(name in self.blocks.missing for name in names):
            reasons = sorted({self.blocks.missing[name] for name in names})
            return replace(found, status="skipped", reason="no input: " + "; ".join(reasons))
        return found

    def with_blocks(self, names: Collection[str]) -> "Problem":
        """Return the same problem with no other feature blocks than some among its inputs.

        Skipped if it is given nothing of what is left out, and if nothing is left of a part of its
        input: where two parts are compared, one alone says nothing.
        """
        pieces = self.task.given(names)
        found, missing, reason = replace(self, pieces=pieces), self.blocks.missing, None
        if pieces == self.task.pieces and not {block.name for block in BLOCKS} <= set(names):
            reason = "the task is given nothing of what is left out"
        elif any(set(piece.blocks) <= set(missing) for piece in pieces):
            reason = "nothing is left of the task's input, or of one of its parts"
        return replace(found, status="skipped", reason=reason) if self.ok and reason else found

    def with_split(self, split: Split) -> "Problem":
        """Return the problem on another split of its samples, if something can be learned there.

        Classes stay those of the problem.
        """
        found = replace(self, split=split)
        if not self.ok or self.task.kind != "classify":
            return found
        n_classes, least = len(set(found.train_targets)), self.task.needs_classes
        if n_classes >= least:
            return found
        left = f"training windows left: {len(split.train)}, classes among them: {n_classes}"
        return replace(found, status="degenerate", reason=f"{left}, at least {least} are needed")

    def purged(self, embargo_frames: int = 0) -> "Problem":
        """Return the problem without training samples that touch frames of the test part.

        Parameters
        ----------
        embargo_frames : int
            Frames that must lie between as well; below 0, as many may overlap.
        """
        if self.split is None:
            return self
        return self.with_split(purge(self.split, self.samples.frames, embargo_frames))


def with_modality(problem: Problem, blocks: Sequence[str], modality: str) -> Problem:
    """Return the same problem with other blocks of a modality: a variant of an ablation.

    ``blocks`` take the place of the problem's own ones of that modality, beside ``REST`` unless
    they are the only input. The problem is skipped if one of them is missing, or if the task isn't
    given that modality: its input would not be what was asked for. Where a task compares two
    windows a and b and nothing else is left, its input is [a, b, b − a], whatever its own was.
    """
    named, missing = tuple(name for name in blocks if name != REST), problem.blocks.missing
    if not problem.ok:
        return problem
    if lost := [f"{name}: {missing[name]}" for name in named if name in missing]:
        return replace(problem, status="skipped", reason=f"no input: {'; '.join(lost)}")
    own = problem.task.pieces
    pieces = in_place(own, named, modality)
    if pieces == own and named and not set(named) & {*problem.task.input_blocks}:
        return replace(problem, status="skipped", reason=f"the task is given no {modality} block")
    if REST in blocks:
        return problem.with_pieces(tuple(piece for piece in pieces if piece.blocks))
    if all(piece.member == 0 for piece in own):
        return problem.with_inputs(*named)
    return problem.with_pieces((Piece(named), Piece(named, 1), Piece(named, 1, minus=0)))


def in_place(pieces: Sequence[Piece], blocks: tuple[str, ...], modality: str) -> tuple[Piece, ...]:
    """Return an input with other blocks of a modality in the place of those that it has."""
    own = {block.name for block in BLOCKS if block.modality == modality}

    def changed(piece: Piece) -> Piece:
        places = [place for place, name in enumerate(piece.blocks) if name in own]
        if not places:
            return piece
        rest = tuple(name for name in piece.blocks if name not in own)
        return replace(piece, blocks=(*rest[: places[0]], *blocks, *rest[places[0] :]))

    return tuple(map(changed, pieces))


def with_target(problem: Problem, block: str) -> Problem:
    """Return the problem with another feature block as its target, such as captions' meaning.

    The samples and split stay; it is skipped if a sample lacks the block.
    """
    values = problem.blocks.raw(block)[problem.samples.members[:, 0]]
    if n_lost := int(np.isnan(values).any(axis=1).sum()):
        reason = f"no target: {n_lost} of {len(values)} samples lack {block}"
        return replace(problem, status="skipped", reason=reason)
    if problem.strict:
        values = Moments.of(values[problem.split.train])(values, np.inf)
    task = replace(problem.task, target_blocks=(block,))
    return replace(problem, task=task, samples=replace(problem.samples, values=values))


def problems_of(
    episode: Path | str,
    table: WindowTable,
    contract: str = "published",
    tasks: Sequence[Task] = (*TASKS, ALL_FEATURE_ACTION),
) -> list[Problem]:
    """Return every task as a problem of a recording.

    Parameters
    ----------
    episode : path
        The recording, for its labels and targets.
    table : WindowTable
        Its windows, under the same contract.
    tasks : sequence of Task
        Declarations; the contract decides how they are asked.

    Raises
    ------
    ParamsError
        If the contract is unknown.
    TableError
        If the table is of another contract or recording, or of an older state of it.
    EpisodeError
        If the recording cannot be read.
    """
    table.check_made_from(episode, check_contract(contract))
    with Recording(episode) as opened:
        truth = Truth.of(opened, table.labels["start_frame"].to_numpy(), contract)
    blocks = Blocks(table, table.info.missing_blocks)
    return [build(task, truth, blocks, contract) for task in tasks_of(contract, tasks)]


def build(task: Task, truth: Truth, blocks: Blocks, contract: str = "published") -> Problem:
    """Return a task, as the contract asks it, as a problem of one recording.

    Under `corrected` training samples that touch test frames are purged, classes come from the
    training part only, and a target made of feature blocks is z-scored on it.
    """
    problem = Problem(task, contract, truth, blocks)
    if why := _unavailable(task, truth, blocks):
        return replace(problem, status="skipped", reason=why)
    samples = draw(task, truth, blocks.raw)
    split = split_samples(task.split, samples) if len(samples) else None
    if split is not None and problem.strict:
        split = purge(split, samples.frames)
    if split is None or not len(split.train) or not len(split.test):
        reason = f"{len(samples)} windows with a target: too few to train and test"
        return replace(problem, status="skipped", reason=reason)
    if problem.strict and task.target_blocks:
        moments = Moments.of(samples.pick(split.train))
        samples = replace(samples, values=moments(samples.values, np.inf))
    known = samples.pick(split.train) if problem.strict else samples.values
    problem = replace(problem, samples=samples, split=split, labels=labels_of(task, known))
    why = task.degenerate(samples.values) or (problem.strict and _untrainable(task, known))
    return replace(problem, status="degenerate", reason=why) if why else problem


def _unavailable(task: Task, truth: Truth, blocks: Blocks) -> str:
    lost = [
        f"{name}: {truth.missing[name]}" for name in task.target_streams if name in truth.missing
    ]
    lost += [f"{n}: {blocks.missing[n]}" for n in task.target_blocks if n in blocks.missing]
    if lost:
        return f"no target ({'; '.join(lost)})"
    if all(name in blocks.missing for name in task.input_blocks):
        return "no input: " + "; ".join(sorted(set(blocks.missing.values())))
    return ""


def _untrainable(task: Task, known: Sequence[Any]) -> str | None:
    if task.kind == "classify" and len(set(known)) < task.needs_classes:
        return f"one class only in the training part: every sample is {known[0]!r}"
    if task.kind == "multilabel" and not any(known):
        return "no label is in any training set"
    return None


def labels_of(task: Task, values: Sequence[Any]) -> tuple[Any, ...]:
    """Return classes or the vocabulary, in order of first appearance unless the task says."""
    if task.kind == "classify":
        return task.classes or tuple(dict.fromkeys(values))
    if task.kind == "multilabel":
        return tuple(dict.fromkeys(name for names in values for name in names))
    return ()
