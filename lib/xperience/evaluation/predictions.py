"""`predict`: what heads predict for a problem's test samples, and the table it is kept in.

Predictions of a head are a sequence of `Prediction`, one per seed. Add an entry to ``HEADS`` to add
a head.
"""

import hashlib
import os
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial, wraps
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from scipy.special import logsumexp
from threadpoolctl import threadpool_limits

from xperience.errors import ParamsError, did_you_mean
from xperience.evaluation.metrics import cosine_ranks
from xperience.evaluation.records import UNSTABLE
from xperience.models import baselines, gram, linear, mlp, penalised, stacked
from xperience.models import forecast as forecasting
from xperience.models.conditioning import (
    InnerProducts,
    Inputs,
    conditioned,
    conditioned_together,
)
from xperience.models.goals import Fit, Goal, Validation
from xperience.models.temporal import Sequences, Steps, temporal
from xperience.storage import whole_file
from xperience.tasks.problem import Problem

FIRST_SEED, N_SEEDS = 7, 5
ROUNDING = f"{UNSTABLE}: its descent predicts otherwise in single precision than in double"
_VECTORS = ("regress", "retrieve")


@dataclass(frozen=True)
class Prediction:
    """What a head predicts for the test samples of a problem, from one seed.

    Parameters
    ----------
    predicted : list of labels, list of sets, or float array (n_test, n_values)
    confidence : float array, shape (n_test, n_labels), optional
        Probabilities of classes or labels.
    facts : dict of {name: value}, optional
        What the fit itself says, such as "train_final_loss".
    seed : int, optional
        None for heads that don't start at random.
    curve : sequence, optional
        Losses by epoch, for heads that are trained step by step.
    no_verdict : str, optional
        Why nothing follows from scores of these predictions.
    recorded : bool
        Whether they were published as they are, so that no other seed can be drawn.
    n_parameters : int, optional
        Numbers that were fitted.
    """

    predicted: Sequence[Any]
    confidence: np.ndarray | None = None
    facts: dict[str, float] | None = None
    seed: int | None = None
    curve: Any = None
    no_verdict: str | None = None
    recorded: bool = False
    n_parameters: int | None = None


Predictions = Sequence[Prediction]
"""A head's predictions, one per seed."""

Head = Callable[[Sequence[Problem], Sequence[int]], Iterator[tuple[int, Predictions]]]
"""(problems of one recording, seeds) -> place of each problem and its predictions, in any order."""


def predict(problem: Problem, head: str | Head = "linear", n_seeds: int = 1) -> Predictions:
    """Return what a head predicts for a problem's test samples.

    Parameters
    ----------
    problem : Problem
    head : str or Head
        A name in ``HEADS`` of the problem's contract, or a function.
    n_seeds : int
        Seeds of heads that start at random: 7, 8, …

    Returns
    -------
    sequence of Prediction
        One per seed; empty if the problem can't be asked.

    Raises
    ------
    ParamsError
        If there is no such head.
    """
    return predict_all([problem], head, n_seeds)[0]


def predict_all(
    problems: Sequence[Problem],
    head: str | Head = "linear",
    n_seeds: int = 1,
    workers: int | None = None,
) -> list[Predictions]:
    """Return what a head predicts for each of some problems; see `predict_heads`."""
    return [found[head] for found in predict_heads(problems, [head], n_seeds, workers)]


def predict_heads(
    problems: Sequence[Problem],
    heads: Iterable[str | Head],
    n_seeds: int = N_SEEDS,
    workers: int | None = None,
    only: Mapping[str, Iterable[str]] | None = None,
) -> list[dict[str | Head, Predictions]]:
    """Return what several heads predict: for each problem {head: predictions}; see `predict`.

    Problems that share samples are answered together, since what they share is computed once:
    inner products of blocks, principal axes, equal fits. Such groups are answered side by side,
    each on one thread of PyTorch and BLAS: predictions don't depend on how many.

    Parameters
    ----------
    problems : sequence of Problem
    heads : iterable of str or Head
    n_seeds : int
    workers : int, optional
        Groups at a time; as many as this process has cores by default.
    only : mapping of {head: task names}, optional
        The tasks that a head is asked; it has no predictions for the others.

    Raises
    ------
    ParamsError
        If ``only`` names a task that no problem is of, or there is no such head.
    """
    heads = tuple(heads)
    tasks = {head: _known(names, problems) for head, names in (only or {}).items()}
    named = {contract: _named(heads, contract) for contract in {one.contract for one in problems}}
    found: list[dict[str | Head, Predictions]] = [dict.fromkeys(heads, ()) for _ in problems]
    with _pool(workers) as pool:
        groups = []
        for places in _groups(problems):
            group = [problems[place] for place in places]
            answers = pool.submit(_answered, group, named[group[0].contract], n_seeds, tasks)
            groups.append((places, answers))
        for places, answers in groups:
            for place, answer in zip(places, answers.result(), strict=True):
                found[place] = answer
    return found


AT_A_TIME = 4
"""Problems that `predict_each` predicts side by side, at most."""


def predict_each(
    problems: Iterable[Problem],
    heads: Iterable[str | Head],
    n_seeds: int = N_SEEDS,
    workers: int | None = None,
) -> Iterator[tuple[Problem, dict[str | Head, Predictions]]]:
    """Yield each problem with what several heads predict, in order; see `predict_heads`.

    For problems that are too large to be held all at once: each is predicted on its own, as many at
    a time as there are cores, `AT_A_TIME` at most. Two more are held, one that waits for its turn
    and the one that was yielded last. BLAS and PyTorch have one thread until all were yielded.
    """
    heads, waiting = tuple(heads), deque()
    workers = workers or min(_n_cores(), AT_A_TIME)
    with _pool(workers) as pool:
        for problem in problems:
            named = _named(heads, problem.contract)
            waiting.append((problem, pool.submit(_answered, [problem], named, n_seeds, {})))
            if len(waiting) > workers:
                yield _done(*waiting.popleft())
        while waiting:
            yield _done(*waiting.popleft())


def _done(problem: Problem, answers: Future) -> tuple[Problem, dict[str | Head, Predictions]]:
    return problem, answers.result()[0]


def _named(heads: Iterable[str | Head], contract: str) -> dict[str | Head, Head]:
    """Return heads of a contract by what they are asked for as."""
    return {one: head_named(one, contract) if isinstance(one, str) else one for one in heads}


def _answered(
    problems: Sequence[Problem],
    heads: Mapping[str | Head, Head],
    n_seeds: int,
    tasks: Mapping[str | Head, Iterable[str]],
) -> list[dict[str | Head, Predictions]]:
    """Return what heads predict for problems of one contract that share samples.

    A head among ``tasks`` is asked those tasks only.
    """
    found: list[dict[str | Head, Predictions]] = [dict.fromkeys(heads, ()) for _ in problems]
    seeds, memo = tuple(range(FIRST_SEED, FIRST_SEED + n_seeds)), {}
    shared = [replace(problem, memo=memo) for problem in problems]
    for head, answer in heads.items():
        wanted = tasks.get(head)
        asked = [
            place
            for place, one in enumerate(shared)
            if one.ok and (wanted is None or one.task.name in wanted)
        ]
        given = [shared[place] for place in asked]
        for place, predictions in answer(given, seeds) if given else ():
            found[asked[place]][head] = predictions
    return found


def _known(names: Iterable[str], problems: Sequence[Problem]) -> set[str]:
    """Return names of tasks, if there are such problems."""
    names, known = set(names), [problem.task.name for problem in problems]
    for name in sorted(names.difference(known)):
        raise ParamsError("only", f"asks for {name!r}", "a task's name", did_you_mean(name, known))
    return names


def _groups(problems: Sequence[Problem]) -> list[list[int]]:
    """Return the places of problems that share samples and can be asked, most work first."""
    groups: dict[Hashable, list[int]] = {}
    for place, problem in enumerate(problems):
        if problem.ok:
            key: tuple[Hashable, ...] = (id(problem), problem.contract)
            if problem.samples is not None:
                sides = (problem.samples.members, problem.split.train, problem.split.test)
                key = id(problem.blocks), problem.contract, *(side.tobytes() for side in sides)
            groups.setdefault(key, []).append(place)
    work = {
        key: sum(problems[place].n_train * problems[place].n_features for place in places)
        for key, places in groups.items()
    }
    return [groups[key] for key in sorted(groups, key=work.get, reverse=True)]


@contextmanager
def _pool(workers: int | None) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of threads that each have one thread of PyTorch and BLAS; a failure ends it.

    PyTorch and BLAS work outside Python's lock, so threads fill the cores, and none needs a copy of
    the features. Within a head a second thread would mostly wait: its products are small.
    """
    usual = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers or _n_cores(), "head", torch.set_num_threads, (1,))
    try:
        with threadpool_limits(limits=1):
            yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(usual)


def _n_cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def head_named(name: str, contract: str) -> Head:
    """Return a head of a contract.

    Raises
    ------
    ParamsError
        If there is none of that name.
    """
    known = HEADS[contract]
    if name not in known:
        raise ParamsError("heads", f"holds {name!r}", "a known head", did_you_mean(name, known))
    return known[name]


def one_by_one(answer: Callable[[Problem, Sequence[int]], Predictions]) -> Head:
    """Return a head that answers each problem on its own.

    Parameters
    ----------
    answer : callable (problem, seeds) -> predictions, one per seed
    """

    @wraps(answer)
    def head(
        problems: Sequence[Problem], seeds: Sequence[int]
    ) -> Iterator[tuple[int, Predictions]]:
        for place, problem in enumerate(problems):
            yield place, answer(problem, seeds)

    return head


def published_linear(
    problems: Sequence[Problem], seeds: Sequence[int] = ()
) -> Iterator[tuple[int, Predictions]]:
    """Predict with the published linear head: full-batch descent, or ridge regression."""
    del seeds  # nothing is drawn
    designs = [problem.design for problem in problems]
    for places, products in gram.products(designs, problems[0].blocks.filled):
        for place in places:
            found = _by_products(problems[place], products)
            yield place, [replace(found, n_parameters=_linear_size(problems[place]))]


def _by_products(problem: Problem, products: gram.Products) -> Prediction:
    task = problem.task
    if task.kind == "classify":
        descent = replace(linear.SOFTMAX, **task.settings)
        codes = problem.train_codes
        fitted = linear.softmax(products, codes, len(problem.labels), descent)
        facts = {
            "train_final_accuracy": float((fitted.train.argmax(axis=1) == codes).mean()),
            "train_final_loss": fitted.train_loss,
        }
        found = _classified(problem, fitted.test, facts)
        return replace(found, no_verdict=ROUNDING if fitted.unstable else None)
    if task.kind == "multilabel":
        descent = replace(linear.LOGISTIC, **task.settings)
        fitted = linear.logistic(products, problem.membership(problem.train_targets), descent)
        found = _chosen(problem, fitted.test, {"train_final_loss": fitted.train_loss})
        return replace(found, no_verdict=ROUNDING if fitted.unstable else None)
    return Prediction(linear.ridge(products, np.asarray(problem.train_targets), **task.settings))


def published_ridge(
    problems: Sequence[Problem], seeds: Sequence[int] = ()
) -> Iterator[tuple[int, Predictions]]:
    """Predict every kind of target with ridge regression, as the published audio study does.

    Classes and memberships are fitted as 0 and 1: the greatest value wins, and an object is
    predicted from 0.5 on. One factorisation serves equal inputs.
    """
    del seeds  # nothing is drawn
    designs = [problem.design for problem in problems]
    for places, products in gram.products(designs, problems[0].blocks.filled):
        hat = products.hat(linear.RIDGE_PENALTY)  # (n_test, n_train)
        for place in places:
            found = _by_ridge(problems[place], hat)
            yield place, [replace(found, n_parameters=_linear_size(problems[place]))]


def _linear_size(problem: Problem, n_inputs: int | None = None) -> int:
    """Return the weights and biases of a linear head, from all features by default."""
    n_outputs = len(problem.labels) or np.shape(problem.train_targets)[1]
    return (1 + (problem.n_features if n_inputs is None else n_inputs)) * n_outputs


def _by_ridge(problem: Problem, hat: np.ndarray) -> Prediction:
    if problem.task.kind == "classify":
        values = hat @ np.eye(len(problem.labels))[problem.train_codes]  # (n_test, n_classes)
        return Prediction([problem.labels[code] for code in values.argmax(axis=1)])
    if problem.task.kind == "multilabel":
        values = hat @ problem.membership(problem.train_targets).astype(float)
        return Prediction(problem.named(linear.chosen_sets(values)))
    return Prediction(hat @ np.asarray(problem.train_targets, dtype=float))


def corrected_linear(
    problems: Sequence[Problem], seeds: Sequence[int] = ()
) -> Iterator[tuple[int, Predictions]]:
    """Predict with linear heads whose penalty is chosen inside the training part.

    Problems with the same inputs and the same vectors to fit share the fit.
    """
    del seeds  # nothing is drawn
    fitted: dict[int, list[tuple[Problem, Prediction]]] = defaultdict(list)
    for place, (problem, inputs) in enumerate(zip(problems, _inputs(problems), strict=True)):
        same = fitted[id(inputs)] if problem.inputs is None else []
        shared = (made for other, made in same if _same_fit(problem, other))
        found = next(shared, None) or _penalised(problem, inputs)
        same.append((problem, found))
        yield place, [found]


def _inputs(problems: Sequence[Problem]) -> list[Inputs | InnerProducts]:
    """Return the conditioned inputs of problems that share samples; heads share them too."""
    memo = problems[0].memo
    keys = [_design_key(one) if one.inputs is None else None for one in problems]
    new = {key: one.design for key, one in zip(keys, problems, strict=True) if key}
    new = {key: design for key, design in new.items() if key not in memo}
    if new:
        for places, inputs in conditioned_together(list(new.values()), problems[0].blocks.raw):
            memo |= dict.fromkeys([list(new)[place] for place in places], inputs)
    return [memo[key] if key else one.inputs for key, one in zip(keys, problems, strict=True)]


def _design_key(problem: Problem) -> bytes:
    """Return what tells a problem's input and split from others of the same recording."""
    design, digest = problem.design, hashlib.blake2b()
    for part in design.parts:
        digest.update(repr(part.blocks).encode() + part.plus.tobytes())
        digest.update(b"" if part.minus is None else part.minus.tobytes())
    for array in (design.train, design.test):
        digest.update(len(array).to_bytes(8) + array.tobytes())
    return digest.digest()


def _same_fit(one: Problem, other: Problem) -> bool:
    """Return whether two problems with the same inputs want the same fit and forecast."""
    if {one.task.kind, other.task.kind} - set(_VECTORS):
        return False
    if one.task.anchor or other.task.anchor:  # forecasts start from what the task says
        return False
    sides = [problem.samples.frames[problem.split.train] for problem in (one, other)]
    return np.array_equal(*sides) and np.array_equal(one.to_fit, other.to_fit)


def _penalised(problem: Problem, inputs: Inputs | InnerProducts) -> Prediction:
    found = _fitted(problem, inputs)
    if problem.task.kind not in _VECTORS:
        n_inputs = inputs.first(penalised.N_AXES).train.shape[1]
    elif isinstance(inputs, InnerProducts):
        n_inputs = inputs.n_train  # a weight for each sample
    else:
        n_inputs = inputs.train.shape[1]
    return replace(found, n_parameters=_linear_size(problem, n_inputs))


def _fitted(problem: Problem, inputs: Inputs | InnerProducts) -> Prediction:
    if problem.task.kind == "classify":
        n_classes, codes = len(problem.labels), problem.train_codes
        fit = penalised.softmax_regression(inputs, codes, n_classes, problem.folds)
        return _classified(problem, fit.test, {"penalty": fit.penalty})
    if problem.task.kind == "multilabel":
        members = problem.membership(problem.train_targets)
        fit = penalised.logistic_regressions(inputs, members, problem.folds)
        return _chosen(problem, fit.test, {"penalty": fit.penalty})
    fit = penalised.ridge(inputs, problem.to_fit, problem.folds)
    return Prediction(problem.forecast(fit.test), facts={"penalty": fit.penalty})


Train = Callable[[Problem, Goal, Sequence[int]], Sequence[Fit]]


def networks(
    problems: Sequence[Problem], seeds: Sequence[int], train: Train
) -> Iterator[tuple[int, Predictions]]:
    """Predict with networks; one training serves problems that are the same to a network.

    Ranking the true vectors and rebuilding them are two questions to the same forecast.
    """
    alike: dict[Hashable, list[int]] = {}
    for place, problem in enumerate(problems):
        alike.setdefault(_training_key(problem), []).append(place)
    for places in alike.values():
        fits = train(problems[places[0]], _goal(problems[places[0]]), seeds)
        for place in places:
            yield place, [_by_network(problems[place], fit) for fit in fits]


def _published_mlp(problem: Problem, goal: Goal, seeds: Sequence[int]) -> Sequence[Fit]:
    """Train the published network: layer norm, two hidden layers, a fixed number of epochs."""
    return mlp.published_mlp(problem.design, problem.blocks.filled, goal, seeds)


def _dense(problem: Problem, goal: Goal, seeds: Sequence[int]) -> Sequence[Fit]:
    """Train a small network on principal axes, stopped by held-out segments of time."""
    (inputs,) = _inputs([problem])
    validation = Validation(*problem.validation)
    return stacked.dense(inputs.first(penalised.N_AXES), goal, validation, seeds)


def _temporal(problem: Problem, goal: Goal, seeds: Sequence[int]) -> Sequence[Fit]:
    """Train a recurrent network that reads the windows before the sample's own."""
    return temporal(_sequences(problem), goal, Validation(*problem.validation), seeds)


def _training_key(problem: Problem) -> Hashable:
    goal = _goal(problem)
    digest = hashlib.blake2b(np.ascontiguousarray(goal.values).tobytes())
    if problem.inputs is not None:
        return id(problem.inputs), goal.kind, goal.n_outputs, digest.digest()
    digest.update(_design_key(problem) + problem.samples.frames.tobytes())
    history = problem.task.remembers, problem.task.history
    return history, goal.kind, goal.n_outputs, digest.digest()


def _goal(problem: Problem) -> Goal:
    """Return what a network shall predict."""
    if problem.task.kind == "classify":
        return Goal("classify", problem.train_codes, len(problem.labels))
    if problem.task.kind == "multilabel":
        members = problem.membership(problem.train_targets)
        return Goal("multilabel", members, len(problem.labels))
    values = problem.to_fit.astype(np.float32)
    return Goal("vectors", values, values.shape[1])


def _by_network(problem: Problem, fit: Fit) -> Prediction:
    facts = {"epochs": float(fit.epochs)}
    if fit.curve:
        facts["train_final_loss"] = float(fit.curve[-1].train_loss)
    if problem.task.kind == "classify":
        found = _classified(problem, fit.test, facts)
    elif problem.task.kind == "multilabel":
        found = _chosen(problem, fit.test, facts)
    else:
        found = Prediction(problem.forecast(fit.test.astype(np.float64)), facts=facts)
    own = {"seed": fit.seed, "curve": fit.curve, "n_parameters": fit.n_parameters}
    return replace(found, **own)


def _classified(problem: Problem, probabilities: np.ndarray, facts: dict[str, float]) -> Prediction:
    """Return the likeliest class of each test sample."""
    predicted = [problem.labels[code] for code in probabilities.argmax(axis=1)]
    return Prediction(predicted, probabilities, facts)


def _chosen(problem: Problem, probabilities: np.ndarray, facts: dict[str, float]) -> Prediction:
    """Return the labels that are likely enough for each test sample."""
    return Prediction(problem.named(linear.chosen_sets(probabilities)), probabilities, facts)


def _sequences(problem: Problem) -> Sequences:
    """Return a problem's samples as short histories of windows, oldest first.

    A pair whose order is asked for is its own two steps; any other sample's steps are the windows
    that lead up to it, the two sides of a pair each with their own.
    """
    task, members = problem.task, problem.samples.members
    if not task.remembers and members.shape[1] > 1:
        steps = {problem.input_pieces[0].blocks: members}
    else:
        ago = np.arange(task.history - 1, -1, -1)
        steps = {
            piece.blocks: np.maximum(members[:, piece.member, None] - ago, -1)
            for piece in problem.input_pieces
            if piece.minus is None
        }
    parts = tuple(Steps(_windows(problem, names, at), at) for names, at in steps.items())
    return Sequences(parts, problem.split.train, problem.split.test)


def _windows(problem: Problem, names: tuple[str, ...], at: np.ndarray) -> np.ndarray:
    """Return every window on the axes of those that training samples read, (n_windows, n_axes)."""
    n_windows = len(problem.blocks.raw(names[0]))
    train = np.unique(at[problem.split.train])
    train = train[train >= 0]
    key = names, train.tobytes()
    if key not in problem.memo:
        rest = np.setdiff1d(np.arange(n_windows), train)
        whole = gram.Design((gram.Part(names, np.arange(n_windows)),), train, rest)
        inputs = conditioned(whole, problem.blocks.raw).first(penalised.N_AXES)
        values = np.empty((n_windows, inputs.train.shape[1]), np.float32)
        values[train], values[rest] = inputs.train, inputs.test
        problem.memo[key] = values
    return problem.memo[key]


@one_by_one
def forecast(problem: Problem, _: Sequence[int]) -> Predictions:
    """Predict where joints go from how they moved last; nothing for a task that shows no joints.

    The forecaster is chosen inside the training part: see `xperience.models.forecast`.
    """
    if problem.task.recent is None:
        return ()
    chosen: list[str] = []

    def forecaster(*given: Any) -> np.ndarray:
        found, name = forecasting.forecast(*given, problem.later_folds)
        chosen.append(name)
        return found

    predicted = problem.onward(forecaster)
    facts = {f"chose_{name}": float(name in chosen) for name in forecasting.FORECASTERS}
    return [Prediction(predicted, facts=facts)]


TIME_SCALE_FRAMES = 40
"""Deviation of the normal curve by which a vote of `only_time` fades: two window lengths."""


@one_by_one
def copy_nearest(problem: Problem, _: Sequence[int]) -> Predictions:
    """Predict the target of the training sample nearest in time: a probe that reads no feature.

    Its score is what a split gives away by letting neighbours stand for each other.
    """
    nearest = problem.split.train[baselines.nearest_in_time(*problem.centers)]
    return [Prediction(problem.samples.pick(nearest))]


@one_by_one
def only_time(problem: Problem, _: Sequence[int]) -> Predictions:
    """Predict the class that training samples vote for: a probe that reads no feature.

    A sample d frames away votes with weight exp(-(d / scale)² / 2). Weights are summed in
    logarithms, so far from all training samples the nearest one decides.
    """
    train, test = problem.centers
    codes = problem.train_codes
    known = np.unique(codes)
    votes = -0.5 * np.square((test[:, None] - train[None]) / TIME_SCALE_FRAMES)
    scores = np.stack([logsumexp(votes[:, codes == one], axis=1) for one in known], axis=1)
    return [Prediction([problem.labels[known[at]] for at in scores.argmax(axis=1)])]


HEADS: dict[str, dict[str, Head]] = {
    "published": {
        "linear": published_linear,
        "neural": partial(networks, train=_published_mlp),
    },
    "corrected": {
        "linear": corrected_linear,
        "neural": partial(networks, train=_dense),
        "temporal": partial(networks, train=_temporal),
        "forecast": forecast,
    },
}
"""Heads of each contract, by the name that rows carry."""

AUDIO_HEADS: dict[str, tuple[str, Head]] = {
    "published": ("ridge", published_ridge),
    "corrected": ("linear", corrected_linear),
}
"""The one head that predicts all of the audio study, by contract, and its name."""


def audio_head(
    problems: Sequence[Problem], seeds: Sequence[int]
) -> Iterator[tuple[int, Predictions]]:
    """Predict with the audio study's head for the problems' contract."""
    _, head = AUDIO_HEADS[problems[0].contract]
    return head(problems, seeds)


COLUMNS = {
    "contract": pa.string(),
    "task": pa.string(),
    "head": pa.string(),
    "seed": pa.int32(),
    "window": pa.int32(),
    "start_frame": pa.int32(),
    "truth": pa.string(),
    "predicted": pa.string(),
    "confidence": pa.float32(),
    "error": pa.float32(),
    "last_error": pa.float32(),
    "squared_error": pa.float32(),
    "unit": pa.string(),
}
VECTOR = "vector"
"""Column of predicted vectors, lists of float32; without it a table holds their errors only."""
BETWEEN = "|"
"""What stands between the names of a set."""

Answered = Iterable[tuple[Problem, Mapping[str, Predictions]]]
"""Problems, each with the predictions of its heads by name."""


def predictions_table(answered: Answered, vectors: bool = False) -> pd.DataFrame:
    """Return one row per test sample, head and seed.

    Parameters
    ----------
    answered : iterable of (Problem, {head: predictions})
    vectors : bool
        Whether what is predicted of vectors is kept too, in the column `VECTOR`.

    Returns
    -------
    table
        ``COLUMNS``. ``window`` is the sample's first window and ``start_frame`` its first frame.
        Classes and sets have ``truth`` and ``predicted`` (and the chosen class's probability);
        everything else has ``error`` and its unit: the mean joint error in metres, the mean
        absolute error, or the rank of the true candidate. ``last_error`` is that of the last frame
        of a forecast, ``squared_error`` the mean square over values, in the unit's square.
    """
    parts = [
        _rows(problem, head, one, vectors)
        for problem, heads in answered
        for head, predictions in heads.items()
        for one in predictions
    ]
    columns = [*COLUMNS, VECTOR] if vectors else list(COLUMNS)
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts, ignore_index=True)[columns]


def write_predictions(path: Path | str, answered: Answered, vectors: bool = False) -> pd.DataFrame:
    """Write the predictions as Parquet, whole or not at all, and return them."""
    table = predictions_table(answered, vectors)
    schema = pa.schema(COLUMNS | ({VECTOR: pa.list_(pa.float32())} if vectors else {}))
    with whole_file(path) as scratch:
        pq.write_table(pa.Table.from_pandas(table, schema, False), scratch)
    return table


def _rows(problem: Problem, head: str, one: Prediction, vectors: bool) -> pd.DataFrame:
    of = {"contract": problem.contract, "task": problem.task.name, "head": head, "seed": one.seed}
    said = dict.fromkeys(COLUMNS) | of | problem.tested | _said(problem, one)
    if vectors:
        wide = problem.task.kind in _VECTORS
        said[VECTOR] = list(np.asarray(one.predicted, np.float32)) if wide else None
    return pd.DataFrame(said)


def _said(problem: Problem, one: Prediction) -> dict[str, Any]:
    task, truth, predicted = problem.task, problem.test_targets, one.predicted
    if task.kind == "classify":
        found = {"truth": truth, "predicted": predicted}
        if one.confidence is None:
            return found
        return found | {"confidence": np.max(one.confidence, axis=1)}
    if task.kind == "multilabel":
        sides = {"truth": truth, "predicted": predicted}
        return {name: [BETWEEN.join(names) for names in sets] for name, sets in sides.items()}
    if task.kind == "retrieve":
        ways = (predicted, truth) if task.query == "prediction" else (truth, predicted)
        ranks = cosine_ranks(*ways)
        return {"error": 1 + ranks.better + ranks.tied / 2, "unit": "rank"}
    squared = {"squared_error": np.square(truth - predicted).mean(axis=1)}
    if task.value_shape is not None:
        apart = joint_errors(problem, one)
        return squared | {"error": apart.mean(axis=1), "last_error": apart[:, -1], "unit": "m"}
    unit = task.measures[1].metric.unit
    return squared | {"error": np.abs(truth - predicted).mean(axis=1), "unit": unit}


def joint_errors(problem: Problem, one: Prediction) -> np.ndarray:
    """Return the mean joint error of each test sample and frame ahead, metres, (n_test, n_frames).

    Parameters
    ----------
    problem : Problem
        Whose targets are joint positions.
    one : Prediction
    """
    shape = (-1, *problem.task.value_shape)
    apart = np.reshape(one.predicted, shape) - np.reshape(problem.test_targets, shape)
    return np.linalg.norm(apart, axis=-1).mean(axis=-1)
