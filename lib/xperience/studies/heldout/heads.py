"""Heads across recordings: settings chosen on validation recordings, then fitted on both sides."""

from collections.abc import Callable, Sequence

import numpy as np

from xperience.models import penalised, stacked
from xperience.models.goals import Fit, Goal, Validation
from xperience.models.linear import chosen_sets
from xperience.studies.heldout.asked import TEST, Asked
from xperience.studies.heldout.axes import Folded
from xperience.studies.problem import Answer

Head = Callable[[Asked, Sequence[int]], list[Answer]]


def linear(asked: Asked, seeds: Sequence[int] = ()) -> list[Answer]:
    """Answer a task with the corrected linear head of its kind."""
    del seeds  # nothing is drawn
    inputs, folds = asked.inputs, asked.folds
    if asked.task.kind == "classify":
        fit = penalised.softmax_regression(inputs, _codes(asked), len(asked.labels), folds)
        return [_classes(asked, fit.test, {"penalty": fit.penalty})]
    if asked.task.kind == "multilabel":
        fit = penalised.logistic_regressions(inputs, _members(asked), folds)
        return [_sets(asked, fit.test, {"penalty": fit.penalty})]
    fit = penalised.ridge(inputs, _to_fit(asked), folds)
    return [Answer(_vectors(asked, fit.test), facts={"penalty": fit.penalty})]


def dense(asked: Asked, seeds: Sequence[int]) -> list[Answer]:
    """Answer a task with the corrected dense network, stopped by validation recordings."""
    ((fit, held),) = asked.folds
    goal = _goal(asked)
    fits = stacked.dense(asked.inputs, goal, Validation(fit, held), seeds)
    return [_network(asked, one) for one in fits]


HEADS: dict[str, Head] = {"linear": linear, "neural": dense}
"""Heads across recordings, by the name that rows carry."""


def _goal(asked: Asked) -> Goal:
    if asked.task.kind == "classify":
        return Goal("classify", _codes(asked), len(asked.labels))
    if asked.task.kind == "multilabel":
        return Goal("multilabel", _members(asked), len(asked.labels))
    values = _to_fit(asked).astype(np.float32)
    return Goal("vectors", values, values.shape[1])


def _network(asked: Asked, fit: Fit) -> Answer:
    facts = {"epochs": float(fit.epochs)}
    if asked.task.kind == "classify":
        answer = _classes(asked, fit.test, facts)
    elif asked.task.kind == "multilabel":
        answer = _sets(asked, fit.test, facts)
    else:
        answer = Answer(_vectors(asked, fit.test.astype(np.float64)), facts=facts)
    return Answer(answer.predicted, answer.confidence, facts, fit.seed, fit.curve)


def _codes(asked: Asked) -> np.ndarray:
    code = {label: place for place, label in enumerate(asked.labels)}
    return np.array([code[label] for label in asked.learnt], dtype=np.int64)


def _members(asked: Asked) -> np.ndarray:
    rows = [[label in names for label in asked.labels] for names in map(set, asked.learnt)]
    return np.array(rows, dtype=bool)


def _classes(asked: Asked, probabilities: np.ndarray, facts: dict[str, float]) -> Answer:
    said = [asked.labels[code] for code in probabilities.argmax(axis=1)]
    return Answer(said, probabilities, facts)


def _sets(asked: Asked, probabilities: np.ndarray, facts: dict[str, float]) -> Answer:
    chosen = chosen_sets(probabilities)
    said = [tuple(asked.labels[i] for i in np.flatnonzero(row)) for row in chosen]
    return Answer(said, probabilities, facts)


def _to_fit(asked: Asked) -> np.ndarray:
    """Return what vectors are fitted: targets minus where the forecast starts."""
    values = np.asarray(asked.learnt, dtype=np.float64)
    if asked.task.anchor is None:
        return values
    sides = [asked.naive(asked.task.anchor, side) for side in ("train", "val")]
    return values - np.concatenate([np.asarray(side, dtype=np.float64) for side in sides])


def _vectors(asked: Asked, fitted: np.ndarray) -> np.ndarray | Folded:
    """Return predictions in the units that truth is scored in."""
    if asked.task.target_blocks:
        return Folded(fitted, asked.space.axes[asked.task.target_blocks])
    if asked.task.anchor is None:
        return fitted
    return fitted + np.asarray(asked.naive(asked.task.anchor, TEST), dtype=np.float64)
