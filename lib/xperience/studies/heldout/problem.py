"""A task on a whole cohort: samples of each recording, their targets and their inputs.

Neighbouring windows share three quarters of their frames. Of a few recordings every window counts;
of many, a sample of windows says as much, and it is what keeps memory and time within bounds that
the number of recordings doesn't move. Of test recordings, windows are sampled only where vectors
are predicted, which are wide. Labels are told of every window, and candidates of a retrieval are
never thinned out: to be found among fewer windows is another, easier question.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from xperience.evaluation.metrics import Boundaries
from xperience.models.conditioning import Inputs
from xperience.models.penalised import N_AXES
from xperience.studies.heldout.axes import Folded, Projected, Space
from xperience.studies.heldout.cohort import CONTRACT, CohortRecording
from xperience.tasks.measures import Measure
from xperience.tasks.problem import Blocks, Problem, labels_of
from xperience.tasks.splits import Samples, draw, picked, touched
from xperience.tasks.task import Piece, Task

LEARN, TEST = ("train", "val"), "test"
MAX_LEARNT, MAX_TESTED = 2**15, 2**12
"""Samples that are learnt from, and whose vectors are tested, at most.

Beyond, one of every so many windows is taken. At least one is: there may be a few samples more.
"""


@dataclass(frozen=True)
class RecordingSamples:
    """One recording's samples of a task; block targets are coordinates on the target's axes."""

    recording: CohortRecording
    projected: Projected
    samples: Samples

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True)
class CohortProblem(Problem):
    """A task on several recordings: heads learn from some, and are tested on others.

    Settings are chosen on the validation recordings, then heads are fitted on both. Without any,
    they are chosen on the last quarter of the training samples. Samples stand recording by
    recording; intervals leave out whole sessions, ranks are taken within one.
    """

    space: Space | None = None
    parts: dict[str, list[RecordingSamples]] = field(default_factory=dict)  # by split
    left_out: dict[str, str] = field(default_factory=dict)  # recordings without a sample, and why
    steps: dict[str, int] = field(default_factory=dict)  # by split: one of so many windows
    kept: np.ndarray | None = None  # places of the test samples that count; None is all

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Measures that make sense for a handful of windows of many recordings."""
        return tuple(one for one in self.task.measures if one.metric.takes is not Boundaries)

    @cached_property
    def train_targets(self) -> list[Any] | np.ndarray:
        """Targets of training, then of validation recordings."""
        return joined([part.samples.values for side in LEARN for part in self.parts[side]])

    @cached_property
    def test_targets(self) -> list[Any] | np.ndarray:
        """Targets of the test samples that count, in the units that they are scored in."""
        parts, blocks = self.parts[TEST], self.task.target_blocks
        if blocks:
            found = [self.space.scores(p.recording, blocks)[p.samples.members[:, 0]] for p in parts]
            values: Any = np.concatenate(found)
            if self.task.kind == "regress":  # what is ranked is so recording by recording
                values = values.astype(np.float64)
        else:
            values = joined([part.samples.values for part in parts])
        return values if self.kept is None else picked(values, self.kept)

    @cached_property
    def groups(self) -> np.ndarray:
        """Number of each test sample's recording, int array (n_test,)."""
        sizes = [len(part) for part in self.parts[TEST]]
        numbers = np.repeat(np.arange(len(sizes)), sizes)
        return numbers if self.kept is None else numbers[self.kept]

    @cached_property
    def sessions(self) -> np.ndarray:
        """Number of each test sample's session, int array (n_test,)."""
        names = [part.recording.entry.session for part in self.parts[TEST]]
        numbers = np.unique(names, return_inverse=True)[1]
        return numbers[self.groups]

    @property
    def tested(self) -> dict[str, np.ndarray]:
        """Where test samples are, as columns: recording, first window and its first frame."""
        parts = self.parts[TEST]
        members = [part.samples.members[:, 0] for part in parts]
        starts = (p.recording.truth.starts[m] for p, m in zip(parts, members, strict=True))
        episodes = [part.recording.entry.episode for part in parts]
        return {
            "episode": np.repeat(np.array(episodes, dtype=object), [len(part) for part in parts]),
            "window": np.concatenate(members),
            "start_frame": np.concatenate(list(starts)),
        }

    @property
    def n_train(self) -> int:
        """Samples of training and validation recordings."""
        return len(self.train_targets)

    @property
    def n_fit(self) -> int:
        """Samples of training recordings; those of validation recordings come after them."""
        return sum(map(len, self.parts["train"]))

    @property
    def n_test(self) -> int:
        """Test samples that count."""
        return len(self.groups)

    @property
    def counts(self) -> dict[str, int]:
        """Samples of each split, as fields of a row; none if the task is skipped."""
        return {"n_train": self.n_train, "n_test": self.n_test} if self.ok else {}

    @property
    def by_time(self) -> np.ndarray:
        """Places of the test samples: they stand in order, recording by recording."""
        return np.arange(self.n_test)

    @property
    def folds(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The one fold by which settings are chosen: fit on training, judge on validation."""
        whole = np.arange(self.n_train)
        n_fit = self.n_fit if self.parts["val"] else self.n_fit - self.n_fit // 4
        return [(whole[:n_fit], whole[n_fit:])]

    @cached_property
    def inputs(self) -> Inputs:
        """Samples to learn from, training first, and test samples, in coordinates."""
        pieces = []
        for piece in self.input_pieces:  # each as long in training as every other
            fit, test = self._rows(LEARN, piece), self._rows((TEST,), piece)
            size = np.sqrt(np.square(fit[: self.n_fit]).sum(axis=1).mean()) or np.float32(1)
            fit /= size  # in place: of many recordings they are large
            test /= size
            pieces.append((fit, test))
        if len(pieces) == 1:
            return Inputs(*pieces[0])
        return Inputs(*(np.concatenate(some, axis=1) for some in zip(*pieces, strict=True)))

    def _rows(self, sides: Sequence[str], piece: Piece) -> np.ndarray:
        n_axes = N_AXES // len(self.input_pieces)
        found = [np.zeros((0, min(n_axes, self.space.axes[piece.blocks].n_axes)), np.float32)]
        for part in (part for side in sides for part in self.parts[side]):
            windows = part.projected.coordinates[piece.blocks][:, :n_axes]
            members = part.samples.members
            rows = windows[members[:, piece.member]]
            found.append(rows if piece.minus is None else rows - windows[members[:, piece.minus]])
        return np.concatenate(found)

    def naive(self, name: str, sides: Sequence[str] = (TEST,)) -> list[Any] | np.ndarray:
        """Return a naive forecast of every sample of some splits."""
        say = self.task.naive[name]
        parts = [part for side in sides for part in self.parts[side]]
        return joined([say(part.recording.truth, part.samples.members) for part in parts])

    @property
    def later_folds(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The one fold: what is judged by lies in other recordings."""
        return self.folds

    @cached_property
    def motion(self) -> tuple[np.ndarray, np.ndarray]:
        """How joints that are forecast moved, of learning and of test samples."""
        return tuple(
            np.concatenate([self._steps(part.recording.truth, part.samples.members)
                            for side in sides for part in self.parts[side]])
            for sides in (LEARN, (TEST,))
        )  # fmt: skip

    @property
    def to_fit(self) -> np.ndarray:
        """What is fitted: targets minus where the forecast starts, if it starts somewhere."""
        values = np.asarray(self.train_targets, dtype=np.float64)
        if self.task.anchor is None:
            return values
        return values - np.asarray(self.naive(self.task.anchor, LEARN), dtype=np.float64)

    def forecast(self, fitted: np.ndarray) -> np.ndarray | Folded:
        """Return predictions in the units that targets are scored in."""
        if self.task.target_blocks:
            return Folded(fitted, self.space.axes[self.task.target_blocks])
        if self.task.anchor is None:
            return fitted
        return fitted + np.asarray(self.naive(self.task.anchor), dtype=np.float64)

    def train_mean(self) -> np.ndarray:
        """Return the mean training target for every test sample; that of z-scores is zero."""
        if not self.task.target_blocks:
            return super().train_mean()
        return np.broadcast_to(np.zeros(self.test_targets.shape[1]), self.test_targets.shape)

    def keep(self, places: np.ndarray) -> "CohortProblem":
        """Return the problem with some of its test samples, in their order."""
        return replace(self, kept=places)

    @property
    def notes(self) -> tuple[str, ...]:
        """What had to be filled in or left out."""
        names, absent = self.input_blocks, self.space.absent
        gone = [f"{name} is left out: {absent[name]}" for name in names if name in absent]
        parts = [part for side in (*LEARN, TEST) for part in self.parts[side]]
        for name in names:
            n_lost = sum(not part.projected.known[name].any() for part in parts)
            if n_lost and name not in absent:
                gone.append(f"{name} is its training mean in {n_lost} of {len(parts)} recordings")
        lost = (f"{name} is left out: {why}" for name, why in self.left_out.items())
        return (*gone, *self.sampled, *lost)

    @property
    def sampled(self) -> tuple[str, ...]:
        """What a row says of windows that were left out."""
        return tuple(
            f"one of {step} windows of {side} recordings is taken"
            for side, step in self.steps.items()
            if step > 1
        )


def cohort_problem(
    task: Task,
    recordings: Sequence[CohortRecording],
    projected: Sequence[Projected],
    space: Space,
    step: int = 1,
) -> CohortProblem:
    """Return a task of the contract `corrected` as a problem of a cohort.

    Of every ``step`` windows of training and validation recordings one is learnt from at most.
    """
    parts: dict[str, list[RecordingSamples]] = {side: [] for side in (*LEARN, TEST)}
    left_out, steps = {}, _steps(task, recordings, step)
    for recording, own in zip(recordings, projected, strict=True):
        side, why = recording.entry.side, _unavailable(task, recording, own)
        samples = None if why else _samples(task, recording, own, steps[side])
        if samples is None or not len(samples):
            left_out[recording.entry.episode] = why or "no window has a target"
            continue
        parts[side].append(RecordingSamples(recording, own, samples))
    made = {"space": space, "parts": parts, "left_out": left_out, "steps": steps}
    problem = CohortProblem(task, CONTRACT, None, Blocks(None, space.absent), **made)
    needed = {one.entry.side for one in recordings} | {"train", TEST}
    for side in (*LEARN, TEST):
        if side in needed and not sum(map(len, parts[side])):
            reasons = "; ".join(dict.fromkeys(left_out.values())) or "no sample"
            reason = f"no {side} recording gives a sample: {reasons}"
            return replace(problem, status="skipped", reason=reason)
    if why := task.degenerate(problem.train_targets):
        return replace(problem, status="degenerate", reason=why)
    return replace(problem, labels=labels_of(task, problem.train_targets))


def _steps(task: Task, recordings: Sequence[CohortRecording], least: int) -> dict[str, int]:
    """Return of every how many windows samples are taken, for each side."""

    def step(sides: Sequence[str], most: int) -> int:
        found = [len(task.members(one.n_windows)) for one in recordings if one.entry.side in sides]
        return max(1, -(-sum(found) // most))

    tested = step((TEST,), MAX_TESTED) if task.kind == "regress" else 1
    return dict.fromkeys(LEARN, max(least, step(LEARN, MAX_LEARNT))) | {TEST: tested}


def _unavailable(task: Task, recording: CohortRecording, own: Projected) -> str:
    missing = recording.truth.missing
    lost = [f"{name}: {missing[name]}" for name in task.target_streams if name in missing]
    lost += [f"no {name}" for name in task.target_blocks if not own.known[name].any()]
    if all(not own.known[name].any() for name in task.input_blocks):
        lost.append("no input")
    return "; ".join(lost)


def _samples(task: Task, recording: CohortRecording, own: Projected, step: int) -> Samples:
    """Return a recording's samples whose earliest window is one of every so many.

    Samples of the same windows stay together: they may be each other's counterpart.
    """
    truth = recording.truth
    if not task.target_blocks:
        samples = draw(task, truth, recording.table.block)
        places = np.flatnonzero(samples.members.min(axis=1) % step == 0)
        members, values = samples.members[places], samples.pick(places)
    else:
        members = task.members(len(truth.starts))
        there = np.all([own.known[name] for name in task.target_blocks], axis=0)
        members = members[there[members[:, 0]] & (members.min(axis=1) % step == 0)]
        values = own.coordinates[task.target_blocks][members[:, 0]]
    return Samples(members, values, touched(task, truth, members), truth.centers[members[:, 0]])


def sets_of(tasks: Sequence[Task]) -> list[tuple[str, ...]]:
    """Return every set of blocks that tasks read or predict."""
    read = [piece.blocks for task in tasks for piece in task.pieces]
    return list(dict.fromkeys([*read, *(t.target_blocks for t in tasks if t.target_blocks)]))


def joined(parts: Sequence[Any]) -> list[Any] | np.ndarray:
    """Return the values of several recordings one after the other."""
    if parts and all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    return [value for part in parts for value in part]
