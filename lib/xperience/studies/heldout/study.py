"""Every task across recordings, and inside each test recording for comparison."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np

from xperience.cohort.roster import Entry, Roster
from xperience.errors import ParamsError, did_you_mean
from xperience.models.penalised import N_AXES
from xperience.studies.heads import FIRST_SEED
from xperience.studies.heldout.asked import Asked, ask, sets_of
from xperience.studies.heldout.axes import Space, fit_space, project
from xperience.studies.heldout.cohort import Cohort, open_cohort
from xperience.studies.heldout.heads import HEADS, Head
from xperience.studies.heldout.within import Gap, gap_of
from xperience.studies.problem import Answer
from xperience.tasks.catalogue import TASKS, tasks_of
from xperience.tasks.task import Task

CONTRACT = "corrected"
SECTION = "06_heldout_episodes"
OnProgress = Callable[[str, int, int], None]
HELD_BYTES = 2**29
"""Coordinates of all recordings that are held at a time, at most."""


@dataclass(frozen=True)
class Held:
    """What came of a task across recordings.

    Parameters
    ----------
    asked : Asked
        The task, posed to the cohort.
    answers : dict of {head: answers, one a seed}
    gap : Gap or str
        Heads within and across recordings on the same windows, or why there are none.
    status : {"ok", "skipped", "degenerate"}
    reason : str, optional
    """

    asked: Asked
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    gap: Gap | str = "the task cannot be asked"
    status: str = "ok"
    reason: str | None = None

    @property
    def task(self) -> Task:
        """The task."""
        return self.asked.task


def tables_in(folder: Path) -> Callable[[Entry], Path]:
    """Return where each recording's windows table of the corrected contract is."""
    return lambda entry: Path(folder) / f"{entry.episode}.{CONTRACT}.parquet"


def run_heldout(
    roster: Roster,
    windows: Path,
    *,
    heads: Iterable[str] = ("linear",),
    tasks: Sequence[Task] = TASKS,
    n_seeds: int = 1,
    on_progress: OnProgress | None = None,
) -> tuple[Cohort, Iterator[Held]]:
    """Answer every task across recordings: train, choose and test on different ones.

    Parameters
    ----------
    roster : Roster
    windows : Path
        Folder of the windows tables, ``<episode>.corrected.parquet``.
    heads : iterable of str
        Names in `xperience.studies.heldout.heads.HEADS`.
    tasks : sequence of Task
        Declarations; the corrected contract decides how they are asked.
    n_seeds : int
        Seeds of heads that start at random.
    on_progress : callable (stage, done, total), optional

    Returns
    -------
    Cohort
        Recordings that could be opened, and those that could not, with the reason.
    iterator of Held
        One a task, in order.

    Raises
    ------
    ParamsError
        If a head is unknown or a side has no recording that can be used.
    """
    heads = [_known(name) for name in heads]
    tell = on_progress or (lambda stage, done, total: None)
    cohort = open_cohort(
        roster, tables_in(windows), CONTRACT, lambda done, of: tell("labels", done, of)
    )
    return cohort, answer_cohort(cohort, heads, tasks, n_seeds, tell)


def answer_cohort(
    cohort: Cohort,
    heads: Iterable[str],
    tasks: Sequence[Task] = TASKS,
    n_seeds: int = 1,
    on_progress: OnProgress | None = None,
) -> Iterator[Held]:
    """Answer every task across the recordings of an open cohort; see `run_heldout`.

    An outcome holds all inputs and answers of its task: bring it down to rows and let it go.
    """
    tell = on_progress or (lambda stage, done, total: None)
    chosen = {name: HEADS[_known(name)] for name in heads}
    tasks = tasks_of(CONTRACT, tasks)
    space = fit_space(cohort.on("train"), sets_of(tasks), N_AXES)
    seeds = tuple(range(FIRST_SEED, FIRST_SEED + n_seeds))
    done = count(1)

    def answer(asked: Asked) -> Held:
        held = _answered(asked, chosen, seeds)
        tell("tasks", next(done), len(tasks))
        return held

    for some in rounds(tasks, sum(one.n_windows for one in cohort.recordings)):
        yield from map(answer, _posed(some, cohort, space, tell))  # a loop would hold what it made


def rounds(tasks: Sequence[Task], n_windows: int) -> list[list[Task]]:
    """Return tasks in rounds, in order: a round's coordinates are held at once.

    Parameters
    ----------
    tasks : sequence of Task
    n_windows : int
        Of all recordings. A round takes as many tasks as `HELD_BYTES` of coordinates allow, at
        least one and those that need no more than it: a few recordings are read once for all
        tasks, many once a round.
    """
    most = HELD_BYTES // (n_windows * N_AXES * np.dtype(np.float32).itemsize)  # sets of blocks
    found: list[list[Task]] = []
    for task in tasks:
        so_far = sets_of(found[-1]) if found else []
        if found and len(sets_of([*found[-1], task])) <= max(most, len(so_far)):
            found[-1].append(task)
        else:
            found.append([task])
    return found


def _posed(
    tasks: Sequence[Task], cohort: Cohort, space: Space, tell: OnProgress
) -> Iterator[Asked]:
    """Yield the tasks of a round, posed; its coordinates are gone when the next one begins."""
    recordings = cohort.recordings
    told = partial(tell, "features")
    projected = project(recordings, space, sets_of(tasks), told)
    return (ask(task, recordings, projected, space) for task in tasks)


def _answered(asked: Asked, heads: Mapping[str, Head], seeds: Sequence[int]) -> Held:
    """Return what came of a task."""
    why = asked.why_not()
    if why:
        return Held(asked, status=why[0], reason=why[1])
    answers = {name: head(asked, seeds) for name, head in heads.items()}
    return Held(asked, answers, gap_of(asked, answers))


def _known(name: str) -> str:
    if name not in HEADS:
        raise ParamsError("heads", f"holds {name!r}", "a known head", did_you_mean(name, HEADS))
    return name
