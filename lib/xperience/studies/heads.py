"""How each kind of head answers problems, by contract. Add an entry to ``HEADS`` to add a head."""

import hashlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xperience.models import gram, linear, mlp, penalised, stacked
from xperience.models.conditioning import Inputs, conditioned
from xperience.models.goals import Fit, Goal, Validation
from xperience.models.temporal import Sequences, Steps, temporal
from xperience.studies.blocks import Blocks
from xperience.studies.posing import design
from xperience.studies.problem import Answer, Problem
from xperience.tasks.splits import Split, blocked_folds

FIRST_SEED = 7
VALIDATION_FOLD = 2


@dataclass(frozen=True)
class Context:
    """What heads share in one go through the tasks.

    Parameters
    ----------
    blocks : Blocks
    seeds : tuple of int
        Heads that start at random answer once a seed.
    """

    blocks: Blocks
    seeds: tuple[int, ...] = (FIRST_SEED,)


Head = Callable[[Sequence[Problem], Context], Iterator[tuple[int, Sequence[Answer]]]]
"""Yields the place of each problem and its answers, one a seed, in any order."""


def published_linear(
    problems: Sequence[Problem], context: Context
) -> Iterator[tuple[int, Sequence[Answer]]]:
    """Answer problems with the linear head of their kind; those that share rows share products."""
    designs = [design(problem) for problem in problems]
    for places, products in gram.products(designs, context.blocks.filled):
        for place in places:
            yield place, [answer_linear(problems[place], products)]


def answer_linear(problem: Problem, products: gram.Products) -> Answer:
    """Return the answer of the published linear head of a problem's kind."""
    task = problem.task
    if task.kind == "classify":
        descent = replace(linear.SOFTMAX, **task.settings)
        codes = problem.train_codes
        fitted = linear.softmax(products, codes, len(problem.labels), descent)
        facts = {
            "train_final_accuracy": float((fitted.train.argmax(axis=1) == codes).mean()),
            "train_final_loss": fitted.train_loss,
        }
        return classified(problem, fitted.test, facts)
    if task.kind == "multilabel":
        descent = replace(linear.LOGISTIC, **task.settings)
        fitted = linear.logistic(products, problem.membership(problem.train_targets), descent)
        return chosen(problem, fitted.test, {"train_final_loss": fitted.train_loss})
    return Answer(linear.ridge(products, np.asarray(problem.train_targets), **task.settings))


def classified(problem: Problem, probabilities: np.ndarray, facts: dict[str, float]) -> Answer:
    """Return the likeliest class of each test sample."""
    predicted = [problem.labels[code] for code in probabilities.argmax(axis=1)]
    return Answer(predicted, probabilities, facts)


def chosen(problem: Problem, probabilities: np.ndarray, facts: dict[str, float]) -> Answer:
    """Return the labels that are likely enough for each test sample."""
    return Answer(problem.named(linear.chosen_sets(probabilities)), probabilities, facts)


def corrected_linear(
    problems: Sequence[Problem], context: Context
) -> Iterator[tuple[int, Sequence[Answer]]]:
    """Answer problems with linear heads whose penalty is chosen inside the training part."""
    for place, problem in enumerate(problems):
        inputs = conditioned(design(problem), context.blocks.raw)
        yield place, [answer_penalised(problem, inputs)]


def answer_penalised(problem: Problem, inputs: Inputs) -> Answer:
    """Return the answer of the corrected linear head of a problem's kind."""
    folds = blocked_folds(problem.samples.frames[problem.split.train])
    task = problem.task
    if task.kind == "classify":
        n_classes = len(problem.labels)
        fit = penalised.softmax_regression(inputs, problem.train_codes, n_classes, folds)
        return classified(problem, fit.test, {"penalty": fit.penalty})
    if task.kind == "multilabel":
        members = problem.membership(problem.train_targets)
        fit = penalised.logistic_regressions(inputs, members, folds)
        return chosen(problem, fit.test, {"penalty": fit.penalty})
    fit = penalised.ridge(inputs, problem.to_fit, folds)
    return Answer(problem.forecast(fit.test), facts={"penalty": fit.penalty})


def published_neural(
    problems: Sequence[Problem], context: Context
) -> Iterator[tuple[int, Sequence[Answer]]]:
    """Answer problems with the published network."""
    for places in _alike(problems):
        problem = problems[places[0]]
        goal = _goal(problem)
        fits = mlp.published_mlp(design(problem), context.blocks.filled, goal, context.seeds)
        yield from _answers(problems, places, fits)


def corrected_neural(
    problems: Sequence[Problem], context: Context
) -> Iterator[tuple[int, Sequence[Answer]]]:
    """Answer problems with a small network on principal axes, stopped by held-out stretches."""
    for places in _alike(problems):
        problem = problems[places[0]]
        inputs = conditioned(design(problem), context.blocks.raw).first(penalised.N_AXES)
        goal = _goal(problem)
        fits = stacked.dense(inputs, goal, _validation(problem), context.seeds)
        yield from _answers(problems, places, fits)


def corrected_temporal(
    problems: Sequence[Problem], context: Context
) -> Iterator[tuple[int, Sequence[Answer]]]:
    """Answer problems with a recurrent network that reads the windows before the sample's own."""
    for places in _alike(problems):
        problem = problems[places[0]]
        goal = _goal(problem)
        sequences = _sequences(problem, context.blocks)
        fits = temporal(sequences, goal, _validation(problem), context.seeds)
        yield from _answers(problems, places, fits)


def _alike(problems: Sequence[Problem]) -> list[list[int]]:
    """Return the places of problems that a network cannot tell apart: one training serves them.

    Ranking the true vectors and rebuilding them are two questions to the same forecast.
    """
    same: dict[Hashable, list[int]] = {}
    for place, problem in enumerate(problems):
        goal, asked = _goal(problem), design(problem)
        parts = tuple(
            (part.blocks, part.plus.tobytes(), None if part.minus is None else part.minus.tobytes())
            for part in asked.parts
        )
        history = problem.task.remembers, problem.task.history
        sides = asked.train.tobytes(), asked.test.tobytes(), problem.samples.frames.tobytes()
        values = hashlib.blake2b(np.ascontiguousarray(goal.values).tobytes()).digest()
        key = parts, history, sides, goal.kind, goal.n_outputs, values
        same.setdefault(key, []).append(place)
    return list(same.values())


def _answers(
    problems: Sequence[Problem], places: Sequence[int], fits: Sequence[Fit]
) -> Iterator[tuple[int, Sequence[Answer]]]:
    """Yield what the same fits say to each of some problems."""
    for place in places:
        yield place, [_answer(problems[place], fit) for fit in fits]


def _goal(problem: Problem) -> Goal:
    """Return what a network shall predict."""
    if problem.task.kind == "classify":
        return Goal("classify", problem.train_codes, len(problem.labels))
    if problem.task.kind == "multilabel":
        members = problem.membership(problem.train_targets)
        return Goal("multilabel", members, len(problem.labels))
    values = problem.to_fit.astype(np.float32)
    return Goal("vectors", values, values.shape[1])


def _validation(problem: Problem) -> Validation:
    """Return stretches of the training part, spread over it, that decide when to stop."""
    fit, held = blocked_folds(problem.samples.frames[problem.split.train])[VALIDATION_FOLD]
    return Validation(fit, held)


def _answer(problem: Problem, fit: Fit) -> Answer:
    """Return a fitted network's answer."""
    facts = {"epochs": float(fit.epochs)}
    if fit.curve:
        facts["train_final_loss"] = float(fit.curve[-1].train_loss)
    if problem.task.kind == "classify":
        answer = classified(problem, fit.test, facts)
    elif problem.task.kind == "multilabel":
        answer = chosen(problem, fit.test, facts)
    else:
        answer = Answer(problem.forecast(fit.test.astype(np.float64)), facts=facts)
    return replace(answer, seed=fit.seed, curve=fit.curve)


def _sequences(problem: Problem, blocks: Blocks) -> Sequences:
    """Return a problem's samples as short histories of windows, oldest first.

    A pair whose order is asked for is its own two steps; any other sample's steps are the windows
    that lead up to it, the two sides of a pair each with their own.
    """
    task, members = problem.task, problem.samples.members
    if not task.remembers and members.shape[1] > 1:
        steps = {task.pieces[0].blocks: members}
    else:
        ago = np.arange(task.history - 1, -1, -1)
        steps = {
            piece.blocks: np.maximum(members[:, piece.member, None] - ago, -1)
            for piece in task.pieces
            if piece.minus is None
        }
    parts = tuple(
        Steps(_windows(names, at, problem.split, blocks), at) for names, at in steps.items()
    )
    return Sequences(parts, problem.split.train, problem.split.test)


def _windows(names: tuple[str, ...], at: np.ndarray, split: Split, blocks: Blocks) -> np.ndarray:
    """Return every window on the axes of those that training samples read, (n_windows, n_axes)."""
    n_windows = len(blocks.raw(names[0]))
    train = np.unique(at[split.train])
    train = train[train >= 0]
    rest = np.setdiff1d(np.arange(n_windows), train)
    whole = gram.Design((gram.Part(names, np.arange(n_windows)),), train, rest)
    inputs = conditioned(whole, blocks.raw).first(penalised.N_AXES)
    values = np.empty((n_windows, inputs.train.shape[1]), np.float32)
    values[train], values[rest] = inputs.train, inputs.test
    return values


HEADS: dict[str, dict[str, Head]] = {
    "published": {"linear": published_linear, "neural": published_neural},
    "corrected": {
        "linear": corrected_linear,
        "neural": corrected_neural,
        "temporal": corrected_temporal,
    },
}
"""Heads of each contract, by the name that rows carry."""
