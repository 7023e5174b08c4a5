"""The task suite: every task of a recording under a contract, answered by heads, as tidy rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from xperience.episode.episode import Episode
from xperience.errors import ParamsError, did_you_mean
from xperience.features.blocks import check_contract
from xperience.features.table import WindowTable
from xperience.heads import gram, linear
from xperience.scoring.metrics import Score
from xperience.scoring.records import Record
from xperience.studies.descriptions import descriptions
from xperience.studies.problem import Answer, Outcome, Problem
from xperience.studies.scores import ceiling, evidence, floors, scores, strongest
from xperience.tasks.catalogue import ALL_FEATURE_ACTION, TASKS
from xperience.tasks.samples import draw
from xperience.tasks.splits import split_samples
from xperience.tasks.task import Task
from xperience.tasks.truth import Truth

SECTION = "suite"


class Blocks:
    """The feature blocks of a windows table, read once each, with nulls as NaN or as zeros.

    Parameters
    ----------
    table : WindowTable
    """

    def __init__(self, table: WindowTable):
        self.missing = table.info.missing_blocks
        self._table = table
        self._known: dict[str, np.ndarray] = {}
        self._gaps: dict[str, int] = {}

    def raw(self, name: str) -> np.ndarray:
        """Return a block, float32 (n_windows, dim), NaN where it is null."""
        return self._table.block(name)

    def filled(self, name: str) -> np.ndarray:
        """Return a block with zeros in place of nulls, as the published contract wants it."""
        if name not in self._known:
            values = self.raw(name)
            lost = np.isnan(values).any(axis=1)
            values[lost] = 0
            self._known[name], self._gaps[name] = values, int(lost.sum())
        return self._known[name]

    def notes(self, task: Task) -> list[str]:
        """Return what zeros stand for in a task's input, one text a block."""
        found = []
        for name in task.input_blocks:
            n_windows = len(self.filled(name))
            if name in self.missing:
                found.append(f"{name} is zeros: {self.missing[name]}")
            elif self._gaps[name]:
                found.append(f"{name} is zeros in {self._gaps[name]} of {n_windows} windows")
        return found


Head = Callable[[Sequence[Problem], Blocks], Iterator[tuple[int, Answer]]]
"""Yields the place of each problem and its answer, in any order."""


def design(problem: Problem) -> gram.Design:
    """Return a problem's inputs for heads that work with inner products."""
    members = problem.samples.members
    parts = tuple(
        gram.Part(
            piece.blocks,
            members[:, piece.member],
            None if piece.minus is None else members[:, piece.minus],
        )
        for piece in problem.task.pieces
    )
    return gram.Design(parts, problem.split.train, problem.split.test)


def linear_head(problems: Sequence[Problem], blocks: Blocks) -> Iterator[tuple[int, Answer]]:
    """Answer problems with the linear head of their kind; those that share rows share products."""
    designs = [design(problem) for problem in problems]
    for places, products in gram.products(designs, blocks.filled):
        for place in places:
            yield place, answer_linear(problems[place], products)


def answer_linear(problem: Problem, products: gram.Products) -> Answer:
    """Return the answer of the linear head of a problem's kind."""
    task = problem.task
    if task.kind == "classify":
        descent = replace(linear.SOFTMAX, **task.settings)
        codes = problem.train_codes
        fitted = linear.softmax(products, codes, len(problem.labels), descent)
        facts = {
            "train_final_accuracy": float((fitted.train.argmax(axis=1) == codes).mean()),
            "train_final_loss": fitted.train_loss,
        }
        predicted = [problem.labels[code] for code in fitted.test.argmax(axis=1)]
        return Answer(predicted, fitted.test, facts, descent.seed)
    if task.kind == "multilabel":
        descent = replace(linear.LOGISTIC, **task.settings)
        fitted = linear.logistic(products, problem.membership(problem.train_targets), descent)
        chosen = linear.chosen_sets(fitted.test)
        facts = {"train_final_loss": fitted.train_loss}
        return Answer(problem.named(chosen), fitted.test, facts, descent.seed)
    return Answer(linear.ridge(products, np.asarray(problem.train_targets), **task.settings))


HEADS: dict[str, Head] = {"linear": linear_head}
"""Heads by the name that rows carry."""


def pose(task: Task, truth: Truth, blocks: Blocks) -> Problem | Outcome:
    """Return a task as a problem of this recording, or why it cannot be posed.

    Parameters
    ----------
    task : Task
    truth : Truth
    blocks : Blocks
    """
    why = _unavailable(task, truth, blocks)
    if why:
        return Outcome(task, "", status="skipped", reason=why)
    samples = draw(task, truth, blocks.raw)
    split = split_samples(task.split, samples) if len(samples) else None
    if split is None or not len(split.train) or not len(split.test):
        reason = f"{len(samples)} windows with a target: too few to train and test"
        return Outcome(task, "", status="skipped", reason=reason)
    problem = Problem(task, truth, samples, split, _labels(task, samples.values))
    problem = replace(problem, notes=tuple(_notes(task, truth, blocks)))
    why = task.degenerate(samples.values)
    return Outcome(task, "", problem, status="degenerate", reason=why) if why else problem


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


def _notes(task: Task, truth: Truth, blocks: Blocks) -> list[str]:
    odd = [f"{name}: {truth.odd[name]}" for name in task.target_streams if name in truth.odd]
    return blocks.notes(task) + odd


def _labels(task: Task, values: Sequence[Any]) -> tuple[Any, ...]:
    """Return classes or the vocabulary, in order of first appearance unless the task says."""
    if task.kind == "classify":
        return task.classes or tuple(dict.fromkeys(values))
    if task.kind == "multilabel":
        return tuple(dict.fromkeys(name for names in values for name in names))
    return ()


def run_suite(
    episode: Path | str,
    table: WindowTable,
    *,
    contract: str = "published",
    heads: Iterable[str] = ("linear",),
    tasks: Sequence[Task] = (*TASKS, ALL_FEATURE_ACTION),
) -> Iterator[Outcome]:
    """Answer every task of a recording with every head.

    Parameters
    ----------
    episode : path
        The recording, for its labels and targets.
    table : WindowTable
        Its windows.
    contract : str
    heads : iterable of str
        Names in ``HEADS``.
    tasks : sequence of Task

    Yields
    ------
    Outcome
        One a task and head, in the order of ``tasks`` for each head.

    Raises
    ------
    ParamsError
        If the contract or a head is unknown, or table and contract or recording disagree.
    EpisodeError
        If the recording cannot be read.
    """
    heads = [_head(name) for name in heads]
    with Episode(episode) as opened:
        _check(opened, table, check_contract(contract))
        truth = Truth.of(opened, table.labels["start_frame"].to_numpy())
    blocks = Blocks(table)
    posed = [pose(task, truth, blocks) for task in tasks]
    problems = [one for one in posed if isinstance(one, Problem)]
    for head in heads:
        answers = dict(HEADS[head](problems, blocks))
        place = iter(range(len(problems)))
        for one in posed:
            if isinstance(one, Outcome):
                yield replace(one, head=head)
            else:
                yield Outcome(one.task, head, one, answers[next(place)])


def _head(name: str) -> str:
    if name not in HEADS:
        raise ParamsError("heads", f"holds {name!r}", "a known head", did_you_mean(name, HEADS))
    return name


def _check(episode: Episode, table: WindowTable, contract: str) -> None:
    info = table.info
    if info.contract != contract or info.n_frames != episode.n_frames:
        raise ParamsError(
            str(table.path),
            f"holds windows of {info.n_frames} frames under {info.contract!r}",
            f"the {episode.n_frames} frames of {episode.name} under {contract!r}",
            "Give the table that `xperience features` made of this recording.",
        )


def suite_rows(outcomes: Iterable[Outcome], run: str, contract: str = "published") -> list[Record]:
    """Return the tidy rows of outcomes: every measure, then what else the fit and counts say.

    Parameters
    ----------
    outcomes : iterable of Outcome
    run : str
        Name of the run.
    contract : str

    Returns
    -------
    list of Record
        At least one a task and head, whatever happened.
    """
    known: dict[str, dict[str, dict[str, Score]]] = {}
    rows: list[Record] = []
    for outcome in outcomes:
        base = {"run": run, "section": SECTION, "contract": contract}
        base |= {"task": outcome.task.name, "head": outcome.head}
        if outcome.problem is not None:
            base |= {
                "n_train": len(outcome.problem.split.train),
                "n_test": len(outcome.problem.split.test),
            }
            if outcome.task.name not in known:
                known[outcome.task.name] = floors(outcome.problem)
        rows += _measured(outcome, base, known.get(outcome.task.name, {}))
        if outcome.answer is not None:
            rows += [Record(**base, **fact) for fact in descriptions(outcome)]
    return rows


def _measured(
    outcome: Outcome, base: dict[str, Any], found: dict[str, dict[str, Score]]
) -> list[Record]:
    """Return a row a measure of the task."""
    rows = []
    answer, problem = outcome.answer, outcome.problem
    scored = scores(problem, evidence(problem, answer.predicted)) if answer else {}
    for one in outcome.task.measures:
        floor, floor_name = strongest(one, found)
        said = scored[one.name] if answer else Score(None, outcome.reason)
        missing = outcome.status if outcome.status != "ok" else "degenerate"
        rows.append(
            Record(
                **base,
                metric=one.name,
                unit=one.metric.unit,
                higher_is_better=one.metric.higher_is_better,
                value=said.value,
                floor=floor,
                floor_name=floor_name,
                ceiling=None if problem is None else ceiling(problem, one),
                seed=answer.seed if answer else None,
                status="ok" if said.value is not None else missing,
                reason=said.reason or "; ".join(problem.notes) or None,
            )
        )
    return rows
