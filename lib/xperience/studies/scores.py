"""From predictions to scores, floors and ceilings, by what a task's declaration asks for."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xperience.heads import baselines
from xperience.scoring import metrics as scoring
from xperience.scoring.evidence import Boundaries
from xperience.scoring.metrics import Score
from xperience.studies.problem import Problem
from xperience.tasks.measures import Measure
from xperience.tasks.targets import boundary_frames

FLOOR_SEED, FLOOR_DRAWS = 7, 25
_CHANCE = "chance"


def evidence(problem: Problem, predicted: Sequence[Any]) -> list[Any]:
    """Return what a task's measures are computed from: truth and prediction side by side.

    Parameters
    ----------
    problem : Problem
    predicted : list of labels, list of sets, or float array (n_test, n_values)
    """
    task, truth = problem.task, problem.test_targets
    if task.kind == "classify":
        found = [scoring.labels(truth, predicted, options=problem.labels, positive=_known(problem))]
        if any(one.metric.takes is Boundaries for one in task.measures):
            found.append(_boundaries(problem, predicted))
        return found
    if task.kind == "multilabel":
        return [scoring.label_sets(truth, predicted, vocabulary=problem.labels)]
    if task.kind == "retrieve":
        ways = (predicted, truth) if task.query == "prediction" else (truth, predicted)
        return [scoring.cosine_ranks(*ways)]
    found = [scoring.vectors(truth, predicted)]
    if task.value_shape is not None:
        shape = (-1, *task.value_shape)
        found.append(scoring.positions(truth.reshape(shape), predicted.reshape(shape)))
    return found


def _known(problem: Problem) -> Any:
    """Return the task's positive class, if it is one of this recording's."""
    return problem.task.positive if problem.task.positive in problem.labels else None


def _boundaries(problem: Problem, predicted: Sequence[Any]) -> Boundaries:
    return scoring.boundaries(
        problem.samples.centers[problem.split.test],
        np.array([label == problem.task.positive for label in predicted], dtype=bool),
        boundary_frames(problem.truth.action),
    )


def scores(problem: Problem, found: list[Any]) -> dict[str, Score]:
    """Return the score of each of a task's measures, by its name, as the published suite scored."""
    return {one.name: _score(one, found) for one in problem.task.measures}


def _score(one: Measure, found: list[Any]) -> Score:
    fitting = next(item for item in found if isinstance(item, one.metric.takes))
    return scoring.score(one.metric, fitting, as_published=True)


def floors(problem: Problem) -> dict[str, dict[str, Score]]:
    """Return the scores of every trivial baseline: {baseline: {measure: score}}.

    Random ones are means over draws.
    """
    rng = np.random.default_rng(FLOOR_SEED)
    result = {
        name: scores(problem, evidence(problem, predicted))
        for name, predicted in _answers(problem).items()
    }
    task = problem.task
    if task.kind == "classify":
        n_test = len(problem.split.test)
        draws = (
            evidence(problem, baselines.stratified(problem.train_targets, n_test, rng))
            for _ in range(FLOOR_DRAWS)
        )
        result["stratified_random"] = _mean(scores(problem, found) for found in draws)
    if task.kind == "retrieve":
        candidates = np.asarray(problem.test_targets)
        draws = (baselines.chance_similarity(candidates, rng) for _ in range(FLOOR_DRAWS))
        result[_CHANCE] = _mean(scores(problem, [scoring.ranks(draw)]) for draw in draws)
    return result


def _mean(runs: Any) -> dict[str, Score]:
    """Return the mean of scores over runs; without a value where a run has none."""
    runs = list(runs)
    return {
        name: Score(float(np.mean([run[name].value for run in runs])))
        if all(run[name].value is not None for run in runs)
        else next(run[name] for run in runs if run[name].value is None)
        for name in runs[0]
    }


def _answers(problem: Problem) -> dict[str, Sequence[Any]]:
    """Return the predictions of every baseline that is not random."""
    task, train, n_test = problem.task, problem.train_targets, len(problem.split.test)
    if task.kind == "classify":
        found = {"majority": baselines.majority(train, n_test)}
        if task.positive in problem.labels:
            found[f"always_{task.positive}"] = [task.positive] * n_test
    elif task.kind == "multilabel":
        found = {"prior": problem.named(baselines.prior_sets(problem.membership(train), n_test))}
    else:
        centers = problem.samples.centers
        nearest = baselines.nearest_in_time(
            centers[problem.split.train], centers[problem.split.test]
        )
        found = {"nearest_in_time": np.asarray(train)[nearest].astype(np.float64)}
        if task.kind == "regress":
            found["train_mean"] = baselines.train_mean(train, n_test)
    members = problem.samples.members[problem.split.test]
    naive = {name: predict(problem.truth, members) for name, predict in task.naive.items()}
    return found | {name: _whole(problem, answer) for name, answer in naive.items()}


def _whole(problem: Problem, answer: Sequence[Any]) -> Sequence[Any]:
    """Fill the gaps of a naive forecast with the majority class."""
    if problem.task.kind != "classify":
        return answer
    common = baselines.majority(problem.train_targets, 1)[0]
    return [common if label is None else label for label in answer]


def strongest(
    one: Measure, found: dict[str, dict[str, Score]]
) -> tuple[float, str] | tuple[None, None]:
    """Return the best baseline's score on a measure, and its name; the first of equal ones."""
    known = {name: run[one.name].value for name, run in found.items()}
    known = {name: value for name, value in known.items() if value is not None}
    if not known:
        return None, None
    best = (max if one.metric.higher_is_better else min)(known, key=known.get)
    return known[best], best


def ceiling(problem: Problem, one: Measure) -> float | None:
    """Return the best that a closed set of classes allows on a measure; None if not known.

    Notes
    -----
    A class that no training sample has is never predicted: it bounds accuracy and weighted F1 by
    the share of samples, macro-F1 and balanced accuracy by the share of classes.
    """
    if problem.task.kind != "classify":
        return None
    bound = baselines.closed_set_ceiling(problem.train_targets, problem.test_targets)
    by_name = {
        "accuracy": bound.samples,
        "weighted_f1": bound.samples,
        "balanced_accuracy": bound.classes,
        "macro_f1_present": bound.classes,
    }
    return by_name.get(one.metric.id)
