"""The audio study: what each task loses without sound, and gains by another account of it.

Under `published` every task is answered by the ridge head, and asked as the published study asked:
windows without a label form a class of their own, vectors are z-scored on the training part and
errors stay in those units, predictions are the queries of every retrieval. Under `corrected` tasks
are asked as in the suite, and any of the suite's heads answers.

A variant is the same problem with other blocks, so inner products of blocks are shared between
variants and tasks: see `xperience.models.gram` and `xperience.models.conditioning`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from xperience.errors import MissingStreamError
from xperience.features.blocks import check_contract
from xperience.features.table import WindowTable
from xperience.models import gram, linear
from xperience.models.conditioning import Inputs, conditioned_together
from xperience.recording.recording import Episode
from xperience.studies.audio.variants import (
    LIBROSA,
    LOGMEL,
    SOUNDS,
    VARIANTS,
    Sound,
    SoundTable,
    VariantTask,
    variant_task,
)
from xperience.studies.blocks import Blocks
from xperience.studies.heads import HEADS, Context, Head, answer_penalised
from xperience.studies.posing import design
from xperience.studies.problem import Answer, Outcome, Problem
from xperience.studies.suite import pose_all
from xperience.tasks import measures
from xperience.tasks.catalogue import AUDIO, TASKS
from xperience.tasks.task import Target, Task

UNLABELLED = "N/A"
_VECTORS = ("regress", "retrieve")
MEASURES = {
    "classify": (
        measures.measure("macro_f1", "macro_f1_union"),
        measures.measure("accuracy"),
        measures.measure("balanced_accuracy"),
    ),
    "multilabel": measures.SETS,
    "regress": (measures.measure("mae", "mae_sd"), measures.measure("r2")),
    "retrieve": measures.RANKS,
}
"""What the published study scores, by kind of task; the first is the primary measure."""


def published_ridge(
    problems: Sequence[Problem], context: Context
) -> Iterator[tuple[int, Sequence[Answer]]]:
    """Answer every kind of problem with ridge regression; one factorisation serves equal inputs.

    Classes and memberships are fitted as 0 and 1: the greatest value wins, and an object is
    predicted from 0.5 on. Vectors are fitted as they stand, z-scored already.
    """
    designs = [design(problem) for problem in problems]
    for places, products in gram.products(designs, context.blocks.filled):
        hat = products.hat(linear.RIDGE_PENALTY)  # (n_test, n_train)
        for place in places:
            yield place, [_ridge_answer(problems[place], hat)]


def _ridge_answer(problem: Problem, hat: np.ndarray) -> Answer:
    if problem.task.kind == "classify":
        values = hat @ np.eye(len(problem.labels))[problem.train_codes]  # (n_test, n_classes)
        return Answer([problem.labels[code] for code in values.argmax(axis=1)])
    if problem.task.kind == "multilabel":
        values = hat @ problem.membership(problem.train_targets).astype(float)
        return Answer(problem.named(linear.chosen_sets(values)))
    return Answer(hat @ np.asarray(problem.train_targets, dtype=float))


def shared_linear(
    problems: Sequence[Problem], context: Context
) -> Iterator[tuple[int, Sequence[Answer]]]:
    """Answer as the suite's corrected linear head does, making once what problems share.

    Problems with the same samples share the products of their blocks; those with the same input
    and the same vectors to fit share the fit.
    """
    designs = [design(problem) for problem in problems]
    for places, inputs in conditioned_together(designs, context.blocks.raw):
        fitted: list[tuple[Problem, Answer]] = []
        for place in places:
            yield place, [_answer_once(problems[place], inputs, fitted)]


def _answer_once(problem: Problem, inputs: Inputs, fitted: list[tuple[Problem, Answer]]) -> Answer:
    """Return an answer; of those already ``fitted`` to these inputs if one fits this problem."""
    if problem.task.kind not in _VECTORS:
        return answer_penalised(problem, inputs)
    for other, answer in fitted:
        if _same_fit(problem, other):
            return answer
    fitted.append((problem, answer_penalised(problem, inputs)))
    return fitted[-1][1]


def _same_fit(one: Problem, other: Problem) -> bool:
    """Return whether two problems with the same inputs want the same fit and forecast."""
    if one.task.anchor or other.task.anchor:  # forecasts start from what the task says
        return False
    sides = [problem.samples.frames[problem.split.train] for problem in (one, other)]
    return np.array_equal(*sides) and np.array_equal(one.to_fit, other.to_fit)


def asked_as_published(task: Task) -> Task:
    """Return a task as the published audio study asked it."""
    changes: dict[str, Any] = {"measures": MEASURES[task.kind], "query": "prediction"}
    if task.kind == "classify":
        changes["target"] = _labelled(task.target)
        changes["naive"] = {name: _labelled(naive) for name, naive in task.naive.items()}
    return replace(task, value_shape=None, **changes)


def _labelled(target: Target) -> Target:
    """Return a target under which windows without a label have one: that they have none."""
    return lambda truth, members: [label or UNLABELLED for label in target(truth, members)]


def _scored_in_deviations(problem: Problem) -> Problem:
    """Return a problem whose vectors, and naive forecasts of them, are z-scored on training."""
    if problem.task.kind not in _VECTORS:
        return problem
    mean, std = gram.column_moments(np.asarray(problem.train_targets, dtype=np.float32))

    def scaled(forecast: Target) -> Target:
        return lambda truth, members: (np.asarray(forecast(truth, members)) - mean) / std

    naive = {name: scaled(forecast) for name, forecast in problem.task.naive.items()}
    samples = replace(problem.samples, values=(problem.samples.values - mean) / std)
    return replace(problem, samples=samples, task=replace(problem.task, naive=naive))


def _as_it_is(one: Any) -> Any:
    return one


@dataclass(frozen=True)
class Setting:
    """How a contract runs the study.

    Parameters
    ----------
    head : str
        Name of the head that answers unless told otherwise.
    heads : dict of {name: Head}
    raw : Sound
        The other account of sound.
    stand_in : str
        What takes the place of missing values in the inputs.
    asked : callable (task) -> task
    scaled : callable (problem) -> problem
    scores_degenerate : bool
        Whether a test that tests nothing is scored, as the published pipeline did.
    """

    head: str
    heads: Mapping[str, Head]
    raw: Sound
    stand_in: str
    asked: Callable[[Task], Task] = _as_it_is
    scaled: Callable[[Problem], Problem] = _as_it_is
    scores_degenerate: bool = False


SETTINGS = {
    "published": Setting(
        head="ridge",
        heads={"ridge": published_ridge},
        raw=LOGMEL,
        stand_in="zeros",
        asked=asked_as_published,
        scaled=_scored_in_deviations,
        scores_degenerate=True,
    ),
    "corrected": Setting(
        head="linear",
        heads=HEADS["corrected"] | {"linear": shared_linear},
        raw=LIBROSA,
        stand_in="its training mean",
    ),
}


def run_audio(
    episode: Path | str,
    table: WindowTable,
    *,
    contract: str = "published",
    head: tuple[str, Head] | None = None,
    tasks: Sequence[Task] = TASKS,
    variants: Sequence[str] = VARIANTS,
) -> Iterator[Outcome]:
    """Answer every task of a recording with every variant of its input.

    Parameters
    ----------
    episode : path
        The recording, for its labels, targets and sound.
    table : WindowTable
        Its windows, under the same contract.
    contract : {"published", "corrected"}
    head : (name, Head), optional
        Who answers; the contract's own by default.
    tasks : sequence of Task
        Declarations; the contract decides how they are asked.
    variants : sequence of str
        Some of ``VARIANTS``.

    Yields
    ------
    Outcome
        One a variant of a task, in the order of ``tasks``; its task is a `VariantTask`. A variant
        that needs sound which is missing is skipped with the reason.

    Raises
    ------
    ParamsError
        If contract or variant is unknown.
    TableError
        If the table is of another contract or recording, or of an older state of it.
    EpisodeError
        If the recording cannot be read.
    """
    setting = SETTINGS[check_contract(contract)]
    name, answer = head or (setting.head, setting.heads[setting.head])
    asked = [setting.asked(task) for task in tasks]
    posed, _ = pose_all(episode, table, contract, asked)
    blocks = blocks_with_sound(episode, table, setting.raw)
    found = [
        replace(_variant(one, variant, blocks, setting), head=name)
        for one in (_posed(one, setting) for one in posed)
        for variant in variants
    ]
    problems = [one.problem for one in found if one.problem]
    answers = dict(answer(problems, Context(blocks)))
    place = iter(range(len(problems)))
    for one in found:
        yield replace(one, answers=tuple(answers[next(place)])) if one.problem else one


def blocks_with_sound(episode: Path | str, table: WindowTable, raw: Sound) -> Blocks:
    """Return a table's blocks and another account of the recording's sound.

    Parameters
    ----------
    episode : path
    table : WindowTable
    raw : Sound
        All NaN, and named missing, if the recording has no sound.
    """
    missing = dict(table.info.missing_blocks)
    try:
        with Episode(episode) as opened:
            values = raw.compute(opened, table.labels["start_frame"].to_numpy())
    except MissingStreamError as error:
        values = np.full((len(table), len(raw.columns)), np.nan, dtype=np.float32)
        missing[raw.name] = f"{error.place}: {error.found}"
    return Blocks(SoundTable(table, {raw.name: values}), missing)


def _posed(one: Problem | Outcome, setting: Setting) -> Problem | Outcome:
    """Return a problem ready for its variants; a degenerate one too if the contract scores it."""
    if isinstance(one, Outcome):
        if one.problem is None or not setting.scores_degenerate:
            return one
        one = replace(one.problem, notes=(*one.problem.notes, one.reason))
    return setting.scaled(one)


def _variant(one: Problem | Outcome, variant: str, blocks: Blocks, setting: Setting) -> Outcome:
    """Return a variant of a task: with its problem, or with the reason why there is none."""
    task = variant_task(one.task, variant, setting.raw)
    if isinstance(one, Outcome):
        return replace(one, task=task, problem=None)
    if why := _lacking(task, blocks):
        return Outcome(task, "", status="skipped", reason=why)
    left_out = tuple(f"{name} is " for name in one.task.input_blocks)
    kept = [note for note in one.notes if not note.startswith(left_out)]
    notes = (*blocks.notes(task, setting.stand_in), *kept)
    return Outcome(task, "", replace(one, task=task, notes=notes))


def _lacking(task: VariantTask, blocks: Blocks) -> str:
    """Return why a variant's input would not be what its name says; empty if nothing is."""
    lost = [name for name in task.input_blocks if name in blocks.missing]
    silent = [name for name in lost if name in (*AUDIO, *SOUNDS)]
    if silent:
        return "no sound: " + "; ".join(f"{name}: {blocks.missing[name]}" for name in silent)
    if len(lost) == len(task.input_blocks):
        return "no input: " + "; ".join(sorted({blocks.missing[name] for name in lost}))
    return ""
