"""Linear heads of the corrected contract: the penalty is chosen inside the training part.

Candidates are judged by blocked cross-validation: each fold holds out contiguous segments, and what
touches their frames is left out of its fit (see `xperience.tasks.splits.blocked_folds`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax

from xperience.models.conditioning import TINY_STD, InnerProducts, Inputs, Moments
from xperience.models.gram import solve_positive
from xperience.models.linear import MAX_POSITIVE_WEIGHT

Folds = Sequence[tuple[np.ndarray, np.ndarray]]
"""(training samples to fit on, training samples held out) of each fold."""

PENALTIES = tuple(float(10.0**power) for power in range(-5, 2))
"""L2 penalties, as shares of the inputs' mean squared length."""

COARSE = {"maxiter": 200, "ftol": 1e-5, "gtol": 1e-4}
CLOSE = {"maxiter": 2000, "ftol": 1e-12, "gtol": 1e-7}
"""Where descents stop: those that only choose a penalty, and the one that predicts, whose end must
not hang on a processor's rounding."""

TINY_LENGTH = 1e-12
"""What counts as the mean squared length of inputs that don't vary."""

N_AXES = 128
"""Axes that classifiers use: they are refitted for every fold and penalty."""


@dataclass(frozen=True)
class Chosen:
    """Predictions, float64 (n_test, n_outputs), with the penalty that served held-out samples best.

    ``losses`` are the mean held-out losses of the ``PENALTIES`` that were tried, strongest first.
    """

    test: np.ndarray
    penalty: float
    losses: tuple[float, ...]


def ridge(inputs: Inputs | InnerProducts, targets: np.ndarray, folds: Folds) -> Chosen:
    """Return ridge predictions from targets (n_train, n_values), in the targets' own units.

    Errors are in deviations over all training samples while penalties are compared.
    """
    n = len(targets)
    if isinstance(inputs, Inputs):
        rows = np.concatenate([inputs.train, inputs.test]).astype(np.float64)
        inputs = InnerProducts(rows @ rows[:n].T) if n <= rows.shape[1] else rows
    moments = Moments.of(targets)
    known = moments(targets, np.inf).astype(np.float64)
    narrow = known  # of the same lengths and angles, so the same errors
    if known.shape[1] > n:
        narrow = np.linalg.qr(known.T, mode="r").T

    def held_out(fit: np.ndarray, held: np.ndarray) -> Iterator[float]:
        mean = narrow[fit].mean(axis=0)
        own, true = narrow[fit] - mean, narrow[held] - mean
        if np.abs(own).max(initial=0.0) < TINY_STD:  # rounding: the targets don't vary
            yield from repeat(np.nan, len(PENALTIES))
            return
        for one in _ridge_path(inputs, fit, held, own, PENALTIES[::-1]):
            yield float(np.square(one - true).sum() / (len(held) * known.shape[1]))

    whole = map(tuple, _paths(folds, held_out))  # a fold after the other, each held alone
    penalty, losses = _choose(zip(*whole, strict=True), n_worse=len(PENALTIES))
    sides = np.split(np.arange(len(inputs)), [n])
    (test,) = _ridge_path(inputs, *sides, known, (penalty,))
    return Chosen(moments.back(test), penalty, losses)


def _ridge_path(
    inputs: np.ndarray | InnerProducts,
    fit: np.ndarray,
    held: np.ndarray,
    known: np.ndarray,
    penalties: Sequence[float],
) -> Iterator[np.ndarray]:
    """Yield predictions of some samples, from centred targets, for each penalty.

    They are held-out rows times (products + penalty)⁻¹ times targets: products of samples or, given
    coordinates, of axes. The inverse is applied to whichever of the two is narrower.
    """
    if isinstance(inputs, InnerProducts):
        own, seen = (inputs.values[np.ix_(side, fit)] for side in (fit, held))
        mean = own.mean(axis=0)
        own, seen = own - mean, seen - mean
        products = own - own.mean(axis=1, keepdims=True)  # now of centred samples
        seen -= seen.mean(axis=1, keepdims=True)
    else:
        mean = inputs[fit].mean(axis=0)
        own, seen = inputs[fit] - mean, inputs[held] - mean
        products, known = own.T @ own, own.T @ known
    least = max(float(np.trace(products)), TINY_LENGTH * len(fit))
    for one in penalties:
        shrunk = products.copy()
        np.fill_diagonal(shrunk, products.diagonal() + one * least)
        if len(seen) < known.shape[1]:
            yield solve_positive(shrunk, seen.T).T @ known
        else:
            yield seen @ solve_positive(shrunk, known)


def softmax_regression(
    inputs: Inputs | InnerProducts, codes: np.ndarray, n_classes: int, folds: Folds
) -> Chosen:
    """Return class probabilities of a softmax regression in which classes weigh the same.

    A held-out class that a fold's fit lacks is left out of that fold's loss.
    """
    truth = np.eye(n_classes)[codes]  # (n_train, n_classes)

    def terms(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> tuple:
        shifted = scores - scores.max(axis=0)
        shares = np.exp(shifted)
        total = shares.sum(axis=0)
        loss = np.vdot(weights, np.log(total)) - np.vdot(weights * truth, shifted)
        return loss, weights * (shares / total - truth)

    def weigh(truth: np.ndarray) -> np.ndarray:
        counts = truth.sum(axis=0)
        weights = truth @ (1 / np.maximum(counts, 1))
        return (weights / weights.mean())[:, None]

    def judge(scores: np.ndarray, held: np.ndarray, seen: np.ndarray) -> float:
        known = seen[held.argmax(axis=1)]
        logs = log_softmax(np.where(seen, scores, -np.inf)[known][:, seen], axis=1)
        kept = held[known][:, seen]
        return float(-(kept * logs).sum(axis=1).mean()) if known.any() else np.nan

    return _classifier(inputs, truth, folds, _Loss(terms, weigh, judge, softmax))


def logistic_regressions(
    inputs: Inputs | InnerProducts, members: np.ndarray, folds: Folds
) -> Chosen:
    """Return label probabilities, a logistic regression each, from sets (n_train, n_labels).

    A label's positives weigh clip(negatives / positives, 1, 20), as under `published`.
    """

    def terms(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> tuple:
        loss = np.logaddexp(0, scores) - truth * scores
        return (weights * loss).sum(), weights * (expit(scores) - truth)

    def weigh(truth: np.ndarray) -> np.ndarray:
        positive = truth.sum(axis=0)
        gain = (len(truth) - positive) / np.maximum(positive, 1)
        return np.where(truth > 0, np.clip(gain, 1, MAX_POSITIVE_WEIGHT), 1.0)

    def judge(scores: np.ndarray, held: np.ndarray, seen: np.ndarray) -> float:
        loss = np.logaddexp(0, scores) - held * scores
        return float(loss[:, seen].mean()) if seen.any() else np.nan

    truth = np.asarray(members, dtype=float)
    loss = _Loss(terms, weigh, judge, lambda scores, axis: expit(scores))
    return _classifier(inputs, truth, folds, loss)


class _Loss(NamedTuple):
    """A classifier's loss."""

    terms: Callable  # (scores, truth, weights), outputs first -> (sum, gradient in scores)
    weigh: Callable  # (truth) -> weights, shape (n, n_outputs) or (n, 1)
    judge: Callable  # (scores, held-out truth, outputs seen in the fit) -> mean loss or NaN
    probabilities: Callable  # (scores, axis) -> probabilities


def _classifier(
    inputs: Inputs | InnerProducts, truth: np.ndarray, folds: Folds, loss: _Loss
) -> Chosen:
    inputs = inputs.first(N_AXES)

    def held_out(fit: np.ndarray, held: np.ndarray) -> Iterator[float]:
        sides, seen = inputs.rows(fit, held), truth[fit].any(axis=0)
        for scores in _descend_path(sides, truth[fit], loss, PENALTIES[::-1]):
            yield loss.judge(scores, truth[held], seen)

    penalty, losses = _choose(zip(*_paths(folds, held_out), strict=True))
    (scores,) = _descend_path(inputs, truth, loss, (penalty,), CLOSE)
    return Chosen(loss.probabilities(scores, axis=1), penalty, losses)


def _paths(
    folds: Folds, held_out: Callable[[np.ndarray, np.ndarray], Iterator[float]]
) -> list[Iterator[float]]:
    """Return the held-out losses of each fold, from the strongest penalty on."""
    return [held_out(fit, held) for fit, held in folds if len(fit) and len(held)]


def _choose(
    steps: Iterable[tuple[float, ...]], n_worse: int = 1
) -> tuple[float, tuple[float, ...]]:
    """Return the penalty of least held-out loss, and the losses of those tried, strongest first.

    ``steps`` are the folds' losses of each penalty. Once ``n_worse`` weaker ones do worse than the
    best, the rest, which take classifiers longest to fit, are not tried.
    """
    losses, best = [], 0
    for step in steps:
        found = [loss for loss in step if np.isfinite(loss)]
        if not found:
            break
        losses.append(float(np.mean(found)))
        best = int(np.argmin(losses))
        if len(losses) - 1 - best >= n_worse:
            break
    return PENALTIES[::-1][best], tuple(losses)


def _descend_path(
    inputs: Inputs,
    truth: np.ndarray,
    loss: _Loss,
    penalties: Sequence[float],
    stop: Mapping[str, float] = COARSE,
) -> Iterator[np.ndarray]:
    """Yield scores of the test part for each penalty, from strong to weak.

    Each fit starts where the one before ended.
    """
    mean = inputs.train.mean(axis=0, dtype=np.float64)
    train, test = inputs.train - mean, inputs.test - mean
    scale, weights = np.sqrt(_scale(train)), loss.weigh(truth).T.copy()
    train = np.column_stack([train / scale, np.ones(len(train))])  # 1 for the bias
    columns, truth = train.T.copy(), truth.T.copy()
    shape = len(truth), len(columns)  # outputs first: sums over a few outputs are then fast
    start = np.zeros(shape)
    for penalty in penalties:

        def value(flat: np.ndarray, penalty: float = penalty) -> tuple[float, np.ndarray]:
            w = flat.reshape(shape)
            total, slope = loss.terms(w @ columns, truth, weights)
            gradient = slope @ train / len(train)
            gradient[:, :-1] += penalty * w[:, :-1]
            norm = np.vdot(w[:, :-1], w[:, :-1])
            return total / len(train) + penalty / 2 * norm, gradient.ravel()

        found = minimize(value, start.ravel(), jac=True, method="L-BFGS-B", options=dict(stop))
        start = found.x.reshape(shape)
        yield test / scale @ start[:, :-1].T + start[:, -1]


def _scale(train: np.ndarray) -> float:
    """Return the mean squared length of centred inputs, the unit of penalties."""
    return max(float(np.square(train, dtype=np.float64).sum(axis=1).mean()), TINY_LENGTH)
