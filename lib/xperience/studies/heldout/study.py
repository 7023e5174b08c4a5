"""Every task across recordings, and inside each test recording for comparison."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xperience.cohort.roster import Entry, Roster
from xperience.errors import ParamsError, did_you_mean
from xperience.heads.penalised import N_AXES
from xperience.studies.heads import FIRST_SEED
from xperience.studies.heldout.asked import Asked, ask, sets_of
from xperience.studies.heldout.axes import fit_space, project
from xperience.studies.heldout.cohort import Cohort, open_cohort
from xperience.studies.heldout.heads import HEADS
from xperience.studies.heldout.within import Gap, gap_of
from xperience.studies.problem import Answer
from xperience.tasks.catalogue import TASKS, tasks_of
from xperience.tasks.task import Task

CONTRACT = "corrected"
SECTION = "06_heldout_episodes"
OnProgress = Callable[[str, int, int], None]


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
    """Answer every task across the recordings of an open cohort; see `run_heldout`."""
    tell = on_progress or (lambda stage, done, total: None)
    chosen = {name: HEADS[_known(name)] for name in heads}
    tasks = tasks_of(CONTRACT, tasks)
    space = fit_space(cohort.on("train"), sets_of(tasks), N_AXES)
    projected = project(cohort.recordings, space, lambda done, of: tell("features", done, of))
    seeds = tuple(range(FIRST_SEED, FIRST_SEED + n_seeds))
    for number, task in enumerate(tasks, 1):
        asked = ask(task, cohort.recordings, projected, space)
        why = asked.why_not()
        if why:
            yield Held(asked, status=why[0], reason=why[1])
        else:
            answers = {name: head(asked, seeds) for name, head in chosen.items()}
            yield Held(asked, answers, gap_of(asked, answers))
        tell("tasks", number, len(tasks))


def _known(name: str) -> str:
    if name not in HEADS:
        raise ParamsError("heads", f"holds {name!r}", "a known head", did_you_mean(name, HEADS))
    return name
