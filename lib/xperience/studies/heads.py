"""How each kind of head answers problems, by contract. Add an entry to ``HEADS`` to add a head."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xperience.heads import gram, linear, penalised
from xperience.heads.conditioning import Inputs, conditioned
from xperience.studies.blocks import Blocks
from xperience.studies.posing import design
from xperience.studies.problem import Answer, Problem
from xperience.tasks.splits import blocked_folds

FIRST_SEED = 7


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


HEADS: dict[str, dict[str, Head]] = {
    "published": {"linear": published_linear},
    "corrected": {"linear": corrected_linear},
}
"""Heads of each contract, by the name that rows carry."""
