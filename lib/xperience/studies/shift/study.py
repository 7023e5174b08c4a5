"""Label shift: what a split of one recording asks for, what it leaks, what needs no sensing.

The same task is asked on several splits, and answered by the contract's linear head and by probes
that know less than it seems (`xperience.studies.shift.probes`). `published` is asked on its own two
splits and on the same two without shared frames, so that nothing but the split changes; `corrected`
always purges, and is asked on the purged ones only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np

from xperience.features.table import WindowTable
from xperience.features.windows import STRIDE_FRAMES, WINDOW_FRAMES
from xperience.studies.blocks import Blocks
from xperience.studies.heads import HEADS, Context
from xperience.studies.problem import Outcome, Problem
from xperience.studies.shift.probes import COPY, INPUTS, TIME, copy_nearest, only_time, with_inputs
from xperience.studies.suite import pose_all
from xperience.tasks.catalogue import TASKS_BY_NAME
from xperience.tasks.splits import Split, purge, touching
from xperience.tasks.task import Task

LOCAL, BLOCKS = "local", "local_blocks"
CHRONOLOGICAL, PURGED = "chronological", "chronological_purged"
SPLITS = {
    "published": (LOCAL, BLOCKS, CHRONOLOGICAL, PURGED),
    "corrected": (BLOCKS, PURGED),
}
"""Splits that each contract is asked on. `BLOCKS` and `PURGED` share no frame."""

ASKED = (
    (TASKS_BY_NAME["timeline_action"], tuple(INPUTS)),
    (TASKS_BY_NAME["timeline_subtask"], ("linear",)),
)
"""Tasks, and the inputs of the linear head on each: all kinds for one task tell enough."""

N_MEASURES = 2
"""Measures of a task that are scored: macro-F1 and accuracy."""

LINEAR, THINNED = "linear", "linear_thinned"
Asked = tuple[Task, tuple[str, ...]]
EMBARGOES_FRAMES = {
    LOCAL: (STRIDE_FRAMES - WINDOW_FRAMES, -10, -5, 0, 5, 10),
    BLOCKS: (STRIDE_FRAMES - WINDOW_FRAMES, 0, 20, 40, 80),
}
"""Fewest frames between training and test windows; below 0 they may share as many. The first
leaves every window where the split drew it."""
THINNING_SEED = 7


@dataclass(frozen=True)
class Leak:
    """How near the training part of a split lies to its test part.

    Parameters
    ----------
    overlap_share : float
        Share of test windows that share a frame with a training window.
    frame_share : float
        Mean share of a test window's frames that training windows hold too.
    gap_frames : float
        Median distance of a test window to the nearest training window, from centre to centre.
    """

    overlap_share: float
    frame_share: float
    gap_frames: float


@dataclass(frozen=True)
class ClassPlace:
    """Where a class lies in the recording and how a head does on it.

    Parameters
    ----------
    label : str
    train, test, purged : int array
        Centre frames of its windows in each part of the split, in time order.
    hit : bool array, shape (n_test,), optional
        Which test windows the head names rightly; None where it has no answer.
    """

    label: str
    train: np.ndarray
    test: np.ndarray
    purged: np.ndarray
    hit: np.ndarray | None = None

    @property
    def unseen(self) -> bool:
        """Whether it is tested without having been trained."""
        return len(self.test) > 0 and not len(self.train)

    @property
    def recall(self) -> float | None:
        """Share of its test windows that are named rightly; None without tests or answers."""
        return None if self.hit is None or not len(self.test) else float(self.hit.mean())


@dataclass(frozen=True)
class SplitCase:
    """A task under a contract on one split, and what heads and probes answered.

    Parameters
    ----------
    contract, split : str
    task : Task
    outcomes : tuple of Outcome
        One a head or probe, in the order of ``INPUTS`` and then the probes without inputs.
    problem : Problem, optional
        None where the task cannot be posed: the outcomes say why.
    """

    contract: str
    split: str
    task: Task
    outcomes: tuple[Outcome, ...]
    problem: Problem | None = None

    @property
    def by_head(self) -> dict[str, Outcome]:
        """Outcomes by the name of who answered."""
        return {one.head: one for one in self.outcomes}

    @cached_property
    def leak(self) -> Leak | None:
        """How near training and test windows lie; None without a problem."""
        return None if self.problem is None else leak_of(self.problem)

    def classes(self, head: str = LINEAR) -> list[ClassPlace]:
        """Return where each class lies, in order of first appearance.

        Parameters
        ----------
        head : str
            Whose answers count as hits.
        """
        if self.problem is None:
            return []
        samples, split = self.problem.samples, self.problem.split
        labels = np.array(list(samples.values), dtype=object)
        hits = self._hits(head, labels)
        order = np.argsort(samples.centers, kind="stable")

        def of(part: np.ndarray, label: str) -> np.ndarray:
            return order[np.isin(order, part) & (labels[order] == label)]

        found = []
        for label in dict.fromkeys(labels[order]):
            parts = [of(part, label) for part in (split.train, split.test, split.purged)]
            centers = [samples.centers[part] for part in parts]
            found.append(ClassPlace(label, *centers, None if hits is None else hits[parts[1]]))
        return found

    def _hits(self, head: str, labels: np.ndarray) -> np.ndarray | None:
        """Return which samples a head names rightly, bool (n_samples,); None without its answer."""
        outcome = self.by_head.get(head)
        if outcome is None or outcome.answer is None:
            return None
        test, hits = self.problem.split.test, np.zeros(len(labels), dtype=bool)
        hits[test] = np.array(list(outcome.answer.predicted), dtype=object) == labels[test]
        return hits


@dataclass(frozen=True)
class EmbargoPoint:
    """A local split whose training windows keep a distance from its test windows.

    Parameters
    ----------
    split : {"local", "local_blocks"}
    embargo_frames : int
    task : Task
    outcomes : tuple of Outcome
        Of the head, of the probes that only know the time, and, where windows were left out, of the
        head with as many training windows drawn at random (`THINNED`): what fewer of them cost.
    """

    split: str
    embargo_frames: int
    task: Task
    outcomes: tuple[Outcome, ...]


def run_shift(
    episode: Path | str, tables: Mapping[str, WindowTable], asked: Sequence[Asked] = ASKED
) -> list[SplitCase]:
    """Ask tasks on every split of their contract.

    Parameters
    ----------
    episode : path
    tables : mapping of {contract: WindowTable}
        The recording's windows under each contract that is asked.
    asked : sequence of (Task, names in ``INPUTS``)
        Tasks whose answer is one of the recording's own classes, and what the linear head sees.

    Returns
    -------
    list of SplitCase
        By contract, task and split; one for each, whatever happened.

    Raises
    ------
    ParamsError
        If a table and its contract or the recording disagree.
    EpisodeError
        If the recording cannot be read.
    """
    return [
        case
        for contract, table in tables.items()
        for case in _contract_cases(episode, table, contract, asked)
    ]


def _contract_cases(
    episode: Path | str, table: WindowTable, contract: str, asked: Sequence[Asked]
) -> list[SplitCase]:
    wanted = [(task, inputs, split) for task, inputs in asked for split in SPLITS[contract]]
    tasks = [_on_split(task, split.removesuffix("_purged")) for task, _, split in wanted]
    posed, blocks = pose_all(episode, table, contract, tasks)
    cases, waiting = [], []
    for one, (_, inputs, split) in zip(posed, wanted, strict=True):
        ready = _purged(one, contract, split)
        seen = [_named(with_inputs(ready, INPUTS[head], blocks), head) for head in inputs]
        waiting += seen
        problem = ready if isinstance(ready, Problem) else ready.problem
        cases.append((split, problem, len(seen), _timed(ready)))
    solved = iter(_solve(waiting, blocks, contract))
    return [
        SplitCase(contract, split, task, (*islice(solved, n), *timed), problem)
        for task, (split, problem, n, timed) in zip(tasks, cases, strict=True)
    ]


def _on_split(task: Task, split: str) -> Task:
    return replace(task, split=split, measures=task.measures[:N_MEASURES])


def _purged(one: Problem | Outcome, contract: str, split: str) -> Problem | Outcome:
    """Return a published problem without training windows that share frames, where asked for."""
    if isinstance(one, Outcome) or contract == "corrected" or split not in (BLOCKS, PURGED):
        return one
    return _with_split(one, purge(one.split, one.samples.frames))


def _with_split(problem: Problem, split: Split) -> Problem | Outcome:
    """Return the problem on another split, or why nothing can be learned from that one."""
    found = replace(problem, split=split)
    n_classes = len(set(found.train_targets))
    if n_classes >= problem.task.needs_classes:
        return found
    left = f"training windows left: {len(split.train)}, classes among them: {n_classes}"
    reason = f"{left}, at least {problem.task.needs_classes} are needed"
    return Outcome(problem.task, "", found, status="degenerate", reason=reason)


def _named(one: Problem | Outcome, head: str) -> Outcome:
    """Return a problem as an outcome that still waits for its answer."""
    if isinstance(one, Outcome):
        return replace(one, head=head)
    return Outcome(one.task, head, one)


def _solve(waiting: Sequence[Outcome], blocks: Blocks, contract: str) -> list[Outcome]:
    """Return outcomes with the answers of the contract's linear head."""
    open_ones = [i for i, one in enumerate(waiting) if one.status == "ok" and not one.answers]
    problems = [waiting[place].problem for place in open_ones]
    done = list(waiting)
    for place, answers in HEADS[contract][LINEAR](problems, Context(blocks)):
        at = open_ones[place]
        done[at] = replace(done[at], answers=tuple(answers))
    return done


def _timed(one: Problem | Outcome) -> list[Outcome]:
    """Return what the probes say that know nothing but when a window is."""
    if isinstance(one, Outcome):
        return [replace(one, head=head) for head in (TIME, COPY)]
    bare = replace(one, notes=())
    said = {TIME: only_time(one), COPY: copy_nearest(one)}
    return [Outcome(one.task, head, bare, (answer,)) for head, answer in said.items()]


def run_embargo(
    episode: Path | str, table: WindowTable, task: Task = ASKED[0][0]
) -> list[EmbargoPoint]:
    """Ask a task on local splits whose training windows lie ever farther from the test windows.

    Parameters
    ----------
    episode : path
    table : WindowTable
        Under `published`.
    task : Task

    Returns
    -------
    list of EmbargoPoint
        By split and distance, one for each of `EMBARGOES_FRAMES`.

    Raises
    ------
    ParamsError
        If table and recording disagree.
    EpisodeError
        If the recording cannot be read.
    """
    tasks = [
        replace(_on_split(task, split), measures=task.measures[:1]) for split in (LOCAL, BLOCKS)
    ]
    posed, blocks = pose_all(episode, table, "published", tasks)
    points = [
        _waiting_point(split, frames, one)
        for split, one in zip((LOCAL, BLOCKS), posed, strict=True)
        for frames in EMBARGOES_FRAMES[split]
    ]
    waiting = [one for point in points for one in point.outcomes]
    solved = iter(_solve(waiting, blocks, "published"))
    return [replace(point, outcomes=tuple(islice(solved, len(point.outcomes)))) for point in points]


def _waiting_point(split: str, embargo_frames: int, one: Problem | Outcome) -> EmbargoPoint:
    """Return a point whose probes have answered and whose heads wait for theirs."""
    far = _kept_apart(one, embargo_frames)
    outcomes = [_named(far, LINEAR), *_timed(far)]
    if isinstance(far, Problem) and len(far.split.purged):
        outcomes.append(_named(_thinned(one, len(far.split.train)), THINNED))
    return EmbargoPoint(split, embargo_frames, one.task, tuple(outcomes))


def _kept_apart(one: Problem | Outcome, embargo_frames: int) -> Problem | Outcome:
    if isinstance(one, Outcome):
        return one
    keep = frames_between(one) >= embargo_frames
    train, purged = one.split.train[keep], one.split.train[~keep]
    return _with_split(one, Split(train, one.split.test, purged))


def _thinned(problem: Problem, n_train: int) -> Problem | Outcome:
    """Return the problem with some of its training windows, drawn at random."""
    rng = np.random.default_rng(THINNING_SEED)
    order = rng.permutation(len(problem.split.train))
    kept, gone = np.sort(order[:n_train]), np.sort(order[n_train:])
    train = problem.split.train
    return _with_split(problem, Split(train[kept], problem.split.test, train[gone]))


def frames_between(problem: Problem) -> np.ndarray:
    """Return how many frames lie between each training window and the nearest test window.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    int array, shape (n_train,)
        Below 0 is the number of frames that they share.
    """
    starts = problem.truth.starts[problem.samples.members[:, 0]]
    return nearest(starts[problem.split.train], starts[problem.split.test]) - WINDOW_FRAMES


def nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the distance of each point to the nearest of the others, int array (n,)."""
    known = np.sort(others)
    after = np.searchsorted(known, points).clip(0, len(known) - 1)
    before = (after - 1).clip(0)
    return np.minimum(np.abs(known[after] - points), np.abs(known[before] - points))


def leak_of(problem: Problem) -> Leak:
    """Return how near the training part of a problem's split lies to its test part.

    Parameters
    ----------
    problem : Problem
        With training and test samples of one window each. Only the windows' own frames count,
        under either contract.
    """
    starts = problem.truth.starts[problem.samples.members[:, 0]]
    train, test = starts[problem.split.train], starts[problem.split.test]
    if not len(train) or not len(test):
        return Leak(0.0, 0.0, float("nan"))
    spans = np.stack([starts, starts + WINDOW_FRAMES - 1], axis=-1)[:, None]
    touched = touching(spans[problem.split.test], spans[problem.split.train])
    held = np.zeros(int(starts.max()) + WINDOW_FRAMES, dtype=bool)
    held[(train[:, None] + np.arange(WINDOW_FRAMES)).ravel()] = True
    shared = held[test[:, None] + np.arange(WINDOW_FRAMES)]  # (n_test, WINDOW_FRAMES)
    return Leak(float(touched.mean()), float(shared.mean()), float(np.median(nearest(test, train))))
