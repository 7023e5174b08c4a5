"""From predictions to scores with intervals, floors and ceilings, by what a task declares."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from xperience.evaluation import metrics as scoring
from xperience.evaluation.metrics import Boundaries, Score
from xperience.evaluation.resampling import Interval, Resampling, Verdict, difference, interval
from xperience.models import baselines
from xperience.studies.problem import Answer, Problem
from xperience.tasks.measures import Measure
from xperience.tasks.targets import boundary_frames
from xperience.tasks.task import Task

FLOOR_SEED, FLOOR_DRAWS = 7, 25
N_RESAMPLES = 1000
_CHANCE = "chance"


@dataclass(frozen=True)
class Contestant:
    """Somebody's answers to a problem: a head's, one a seed, or a trivial baseline's.

    Parameters
    ----------
    name : str
    problem : Problem
    draws : tuple of list of evidence
        What measures are computed from, one list a seed or random draw.
    seeds : tuple of int or None
    """

    name: str
    problem: Problem
    draws: tuple[list[Any], ...]
    seeds: tuple[int | None, ...] = ()

    @property
    def _as_published(self) -> bool:
        return self.problem.contract == "published"

    def scores(self, one: Measure) -> list[Score]:
        """Return a measure's score of each draw."""
        return [
            scoring.score(one.metric, _fitting(one, found), as_published=self._as_published)
            for found in self.draws
        ]

    def score(self, one: Measure) -> Score:
        """Return a measure's mean score over draws; without a value where one has none."""
        found = self.scores(one)
        reasons = [score.reason for score in found if score.value is None]
        return Score(None, reasons[0]) if reasons else Score(_mean(s.value for s in found))

    def spread(self, one: Measure) -> float | None:
        """Return the standard deviation over seeds; None for fewer than two."""
        values = [score.value for score in self.scores(one)]
        if len(self.seeds) < 2 or any(value is None for value in values):
            return None
        return float(np.std(values, ddof=1))

    def weighted(self, one: Measure) -> Callable[[np.ndarray], np.ndarray]:
        """Return the mean score over draws as a function of sample weights."""
        each = [scoring.weighted(one.metric, _fitting(one, found)) for found in self.draws]
        return each[0] if len(each) == 1 else lambda w: np.mean([of(w) for of in each], axis=0)

    def n(self, one: Measure) -> int:
        """Return how many samples a measure is computed from."""
        return len(_fitting(one, self.draws[0]))

    def refusal(self, one: Measure) -> str | None:
        """Return why a measure of these samples would mean nothing."""
        return _fitting(one, self.draws[0]).refusal

    @cached_property
    def resampling(self) -> Resampling:
        """How the problem's samples are drawn again."""
        return Resampling(n_resamples=N_RESAMPLES, min_block=self.problem.min_block)

    def interval(self, one: Measure) -> Interval:
        """Return the interval of a measure's mean score over draws."""
        if refusal := self.refusal(one):
            n, level = self.n(one), self.resampling.level
            return Interval(None, None, None, level, n, None, 0, None, Verdict.UNDEFINED, refusal)
        return interval(self.weighted(one), self.n(one), self.resampling, one.metric.bounds)

    def minus(self, other: "Contestant", one: Measure) -> Interval:
        """Return the paired interval of this score minus another's on the same samples."""
        return difference(self.weighted(one), other.weighted(one), self.n(one), self.resampling)


def _fitting(one: Measure, found: list[Any]) -> Any:
    return next(item for item in found if isinstance(item, one.metric.takes))


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def contestant(
    name: str, problem: Problem, answers: Sequence[Answer], keep: np.ndarray | None = None
) -> Contestant:
    """Return a head's answers, ready to be scored.

    Parameters
    ----------
    name : str
    problem : Problem
    answers : sequence of Answer
    keep : bool array, shape (n_test,), optional
        Test samples that count.
    """
    draws = tuple(evidence(problem, answer.predicted, keep) for answer in answers)
    return Contestant(name, problem, draws, tuple(answer.seed for answer in answers))


def evidence(
    problem: Problem, predicted: Sequence[Any], keep: np.ndarray | None = None
) -> list[Any]:
    """Return what a task's measures are computed from: truth and prediction, in time order.

    Parameters
    ----------
    problem : Problem
    predicted : list of labels, list of sets, or float array (n_test, n_values)
    keep : bool array, shape (n_test,), optional
        Test samples that count.
    """
    task, order = problem.task, problem.by_time
    order = order if keep is None else order[keep[order]]
    truth, predicted = picked(problem.test_targets, order), picked(predicted, order)
    if task.kind == "classify":
        found = [scoring.labels(truth, predicted, options=problem.labels, positive=_known(problem))]
        if any(one.metric.takes is Boundaries for one in task.measures):
            found.append(_boundaries(problem, predicted, order))
        return found
    if task.kind == "multilabel":
        more = (name for names in truth for name in names)
        vocabulary = tuple(dict.fromkeys([*problem.labels, *more]))
        return [scoring.label_sets(truth, predicted, vocabulary=vocabulary)]
    if task.kind == "retrieve":
        ways = (predicted, truth) if task.query == "prediction" else (truth, predicted)
        return [scoring.cosine_ranks(*ways)]
    found = [scoring.vectors(truth, predicted)]
    if task.value_shape is not None:
        shape = (-1, *task.value_shape)
        found.append(scoring.positions(truth.reshape(shape), predicted.reshape(shape)))
    return found


def picked(values: Any, places: np.ndarray) -> Sequence[Any]:
    """Return some values, in the order of their places.

    Parameters
    ----------
    values : list, tuple, or anything that takes an array of places
    places : int array
    """
    if isinstance(values, list | tuple):
        return [values[place] for place in places]
    return values[places]


def _known(problem: Problem) -> Any:
    """Return the task's positive class, if it is one of this recording's."""
    return problem.task.positive if problem.task.positive in problem.labels else None


def _boundaries(problem: Problem, predicted: Sequence[Any], order: np.ndarray) -> Boundaries:
    return scoring.boundaries(
        problem.samples.centers[problem.split.test][order],
        np.array([label == problem.task.positive for label in predicted], dtype=bool),
        boundary_frames(problem.truth.action),
    )


def floors(problem: Problem, keep: np.ndarray | None = None) -> dict[str, Contestant]:
    """Return every trivial baseline by name; random ones are drawn `FLOOR_DRAWS` times.

    Parameters
    ----------
    problem : Problem
    keep : bool array, shape (n_test,), optional
        Test samples that count.
    """
    rng = np.random.default_rng(FLOOR_SEED)
    draws = {
        name: (evidence(problem, predicted, keep),) for name, predicted in _answers(problem).items()
    }
    task = problem.task
    if task.kind == "classify":
        n_test = len(problem.split.test)
        draws["stratified_random"] = tuple(
            evidence(problem, baselines.stratified(problem.train_targets, n_test, rng), keep)
            for _ in range(FLOOR_DRAWS)
        )
    if task.kind == "retrieve":
        candidates = np.asarray(problem.test_targets)[problem.by_time]
        draws[_CHANCE] = tuple(
            [scoring.ranks(baselines.chance_similarity(candidates, rng))]
            for _ in range(FLOOR_DRAWS)
        )
    return {name: Contestant(name, problem, found) for name, found in draws.items()}


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
    return found | {name: filled(task, train, answer) for name, answer in naive.items()}


def filled(task: Task, learnt: Sequence[Any], forecast: Sequence[Any]) -> Sequence[Any]:
    """Return a naive forecast as an answer, its gaps filled with the majority class.

    Parameters
    ----------
    task : Task
    learnt : sequence
        Targets that could be learnt from.
    forecast : sequence
        Labels, None for those it can't tell, or vectors.
    """
    if task.kind != "classify":
        return np.asarray(forecast)
    common = baselines.majority(learnt, 1)[0]
    return [common if label is None else label for label in forecast]


def strongest(one: Measure, found: dict[str, Contestant]) -> tuple[Score, str] | tuple[None, None]:
    """Return the best baseline's score on a measure, and its name; the first of equal ones."""
    scores = {name: baseline.score(one) for name, baseline in found.items()}
    known = {name: score.value for name, score in scores.items() if score.value is not None}
    if not known:
        return None, None
    best = (max if one.metric.higher_is_better else min)(known, key=known.get)
    return scores[best], best


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
