"""From a declared task to a problem of one recording: samples, split, labels, what is missing."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xperience.models import gram
from xperience.models.conditioning import Moments
from xperience.studies.blocks import Blocks
from xperience.studies.problem import Outcome, Problem
from xperience.tasks.splits import Samples, Split, draw, purge, split_samples
from xperience.tasks.task import Task
from xperience.tasks.truth import Truth


def pose(
    task: Task, truth: Truth, blocks: Blocks, contract: str = "published"
) -> Problem | Outcome:
    """Return a task as a problem of this recording, or why it cannot be posed.

    Parameters
    ----------
    task : Task
        As the contract asks it: see `xperience.tasks.catalogue.tasks_of`.
    truth : Truth
    blocks : Blocks
    contract : {"published", "corrected"}
        Under `corrected` training samples that touch test frames are purged, classes come from the
        training part only, and a target made of feature blocks is z-scored on it.
    """
    why = _unavailable(task, truth, blocks)
    if why:
        return Outcome(task, "", status="skipped", reason=why)
    samples = draw(task, truth, blocks.raw)
    split = split_samples(task.split, samples) if len(samples) else None
    strict = contract == "corrected"
    if split is not None and strict:
        split = purge(split, samples.frames)
    if split is None or not len(split.train) or not len(split.test):
        reason = f"{len(samples)} windows with a target: too few to train and test"
        return Outcome(task, "", status="skipped", reason=reason)
    if strict and task.target_blocks:
        samples = _scaled(samples, split)
    known = samples.pick(split.train) if strict else samples.values
    problem = Problem(task, truth, samples, split, _labels(task, known), contract=contract)
    problem = replace(problem, notes=tuple(_notes(task, truth, blocks, strict)))
    why = task.degenerate(samples.values) or (strict and _untrainable(task, known))
    return Outcome(task, "", problem, status="degenerate", reason=why) if why else problem


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


def _scaled(samples: Samples, split: Split) -> Samples:
    """Return samples whose targets are in training deviations; columns that don't vary go."""
    moments = Moments.of(samples.pick(split.train))
    return replace(samples, values=moments(samples.values, np.inf))


def _untrainable(task: Task, known: Sequence[Any]) -> str | None:
    if task.kind == "classify" and len(set(known)) < task.needs_classes:
        return f"one class only in the training part: every sample is {known[0]!r}"
    if task.kind == "multilabel" and not any(known):
        return "no label is in any training set"
    return None


def _notes(task: Task, truth: Truth, blocks: Blocks, strict: bool) -> list[str]:
    odd = [f"{name}: {truth.odd[name]}" for name in task.target_streams if name in truth.odd]
    return blocks.notes(task, "its training mean" if strict else "zeros") + odd


def _labels(task: Task, values: Sequence[Any]) -> tuple[Any, ...]:
    """Return classes or the vocabulary, in order of first appearance unless the task says."""
    if task.kind == "classify":
        return task.classes or tuple(dict.fromkeys(values))
    if task.kind == "multilabel":
        return tuple(dict.fromkeys(name for names in values for name in names))
    return ()
