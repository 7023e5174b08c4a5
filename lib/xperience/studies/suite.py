"""The task suite: every task of a recording under a contract, answered by heads."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from xperience.errors import ParamsError, did_you_mean
from xperience.features.blocks import check_contract
from xperience.features.table import WindowTable
from xperience.recording.recording import Episode
from xperience.studies.blocks import Blocks
from xperience.studies.heads import FIRST_SEED, HEADS, Context
from xperience.studies.posing import pose
from xperience.studies.problem import Outcome, Problem
from xperience.tasks.catalogue import ALL_FEATURE_ACTION, TASKS, tasks_of
from xperience.tasks.task import Task
from xperience.tasks.truth import Truth

N_SEEDS = 5


def run_suite(
    episode: Path | str,
    table: WindowTable,
    *,
    contract: str = "published",
    heads: Iterable[str] = ("linear",),
    tasks: Sequence[Task] = (*TASKS, ALL_FEATURE_ACTION),
    n_seeds: int = N_SEEDS,
) -> Iterator[Outcome]:
    """Answer every task of a recording with every head.

    Parameters
    ----------
    episode : path
        The recording, for its labels and targets.
    table : WindowTable
        Its windows, under the same contract.
    contract : {"published", "corrected"}
    heads : iterable of str
        Names in ``HEADS[contract]``.
    tasks : sequence of Task
        Declarations; the contract decides how they are asked.
    n_seeds : int
        Seeds of heads that start at random: 7, 8, …

    Yields
    ------
    Outcome
        One a task and head, in the order of ``tasks`` for each head.

    Raises
    ------
    ParamsError
        If the contract or a head is unknown.
    TableError
        If the table is of another contract or recording, or of an older state of it.
    EpisodeError
        If the recording cannot be read.
    """
    known = HEADS[check_contract(contract)]
    heads = [_head(name, known) for name in heads]
    posed, blocks = pose_all(episode, table, contract, tasks)
    problems = [one for one in posed if isinstance(one, Problem)]
    context = Context(blocks, tuple(range(FIRST_SEED, FIRST_SEED + n_seeds)))
    for head in heads:
        answers = dict(known[head](problems, context))
        place = iter(range(len(problems)))
        for one in posed:
            if isinstance(one, Outcome):
                yield replace(one, head=head)
            else:
                yield Outcome(one.task, head, one, tuple(answers[next(place)]))


def pose_all(
    episode: Path | str,
    table: WindowTable,
    contract: str,
    tasks: Sequence[Task] = (*TASKS, ALL_FEATURE_ACTION),
) -> tuple[list[Problem | Outcome], Blocks]:
    """Return every task as a problem of a recording (or why not), and the recording's blocks.

    Parameters
    ----------
    episode : path
    table : WindowTable
    contract : {"published", "corrected"}
    tasks : sequence of Task

    Raises
    ------
    TableError
        If the table is of another contract or recording, or of an older state of it.
    EpisodeError
        If the recording cannot be read.
    """
    table.check_made_from(episode, check_contract(contract))
    with Episode(episode) as opened:
        starts = table.labels["start_frame"].to_numpy()
        truth = Truth.of(opened, starts, contract)
    blocks = Blocks(table, table.info.missing_blocks)
    posed = [pose(task, truth, blocks, contract) for task in tasks_of(contract, tasks)]
    return posed, blocks


def _head(name: str, known: Iterable[str]) -> str:
    if name not in known:
        raise ParamsError("heads", f"holds {name!r}", "a known head", did_you_mean(name, known))
    return name
