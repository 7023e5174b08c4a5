"""`evaluate`: from a problem and its predictions to rows: intervals, floors, ceilings, differences.

This is the one place that scores and compares. A `Comparison` holds a problem's heads and trivial
baselines, scored on the same test samples; `evaluate` writes it out as rows. Samples stand in time
order, so that neighbours form segments; in a problem of several recordings (it has ``groups``)
sessions are segments, and ranks are taken within each recording.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from xperience.evaluation import metrics as scoring
from xperience.evaluation.intervals import (
    Interval,
    IntervalStatus,
    Segmentation,
    difference,
    difference_fields,
    interval,
    interval_fields,
)
from xperience.evaluation.metrics import Boundaries, Detections, Ranks, Score
from xperience.evaluation.predictions import Prediction, Predictions
from xperience.evaluation.records import DISAGREE, FLOOR, MIN_SEEDS, Record
from xperience.features.windows import WINDOW_FRAMES
from xperience.models import baselines
from xperience.models.forecast import damped_velocity
from xperience.tasks.measures import CONFIDENCE, Measure, measure
from xperience.tasks.problem import Problem
from xperience.tasks.splits import picked
from xperience.tasks.targets import boundary_frames

SEEN, AT_CHANGES = "seen_classes", "at_changes"
"""Variants of rows: test samples of classes that were trained, and those whose label is another
than the window's, where the label that persists is always wrong."""
CHANGES = {
    "timeline_action": "action",
    "timeline_subtask": "subtask",
    "all_feature_action": "action",
}
"""Tasks whose accuracy is told by the distance from where these labels change."""
ZONES, BEYOND = {"near": 10, "middle": 40}, "far"
"""Frames (half a second, two seconds) that a window's centre is away at most; and all farther."""
SPEEDS, SPEED_STEPS = ("slow", "middle", "fast"), 3
"""Thirds of the samples by how fast joints move at present, over so many frame steps."""
FLOOR_SEED, FLOOR_DRAWS = 7, 25


@dataclass(frozen=True)
class Scores:
    """The scores of one head, over its seeds, or of a trivial baseline, over its random draws.

    Parameters
    ----------
    problem : Problem
    draws : tuple of list of evidence
        What measures are computed from, one list per seed or draw; see `evidence`.
    seeds : tuple of int or None
    no_verdict : str, optional
        Why nothing follows from these scores.
    recorded : bool
        Whether predictions were published as they are: they have a seed, but no other can be drawn.
    """

    problem: Problem
    draws: tuple[list[Any], ...]
    seeds: tuple[int | None, ...] = ()
    no_verdict: str | None = None
    recorded: bool = False
    _each: dict[Measure, list[Score]] = field(default_factory=dict, init=False, compare=False)

    @classmethod
    def of(
        cls, problem: Problem, predictions: Predictions, keep: np.ndarray | None = None
    ) -> "Scores":
        """Return the scores of a head's predictions.

        Parameters
        ----------
        problem : Problem
        predictions : sequence of Prediction
        keep : bool array, shape (n_test,), optional
            Test samples that count.
        """
        draws = tuple(evidence(problem, one.predicted, keep, one.confidence) for one in predictions)
        why = next((one.no_verdict for one in predictions if one.no_verdict), None)
        recorded = any(one.recorded for one in predictions)
        return cls(problem, draws, tuple(one.seed for one in predictions), why, recorded)

    def each(self, one: Measure) -> list[Score]:
        """Return a measure's score of each seed or draw."""
        if one not in self._each:
            given = [_fitting(one, items) for items in self.draws]
            asked = {"as_published": self.problem.contract == "published"}
            self._each[one] = [scoring.score(one.metric, item, **asked) for item in given]
        return self._each[one]

    def score(self, one: Measure) -> Score:
        """Return a measure's mean score over seeds; without a value where one has none."""
        found = self.each(one)
        reasons = [score.reason for score in found if score.value is None]
        if reasons:
            return Score(None, reasons[0])
        return Score(float(np.mean([score.value for score in found])))

    @property
    def n_seeds(self) -> int | None:
        """How many seeds a network was trained from; None for anything else."""
        n = sum(seed is not None for seed in self.seeds)
        return n if n and not self.recorded else None

    def by_seed(self, one: Measure) -> dict[int | None, float]:
        """Return a network's score of each seed that has one; nothing for anything else."""
        if self.n_seeds is None:
            return {}
        each = zip(self.seeds, self.each(one), strict=True)
        return {seed: score.value for seed, score in each if score.value is not None}

    def weighted(self, one: Measure) -> Callable[[np.ndarray], np.ndarray]:
        """Return the mean score over seeds as a function of sample weights."""
        each = [scoring.weighted(one.metric, _fitting(one, items)) for items in self.draws]
        return each[0] if len(each) == 1 else lambda w: np.mean([of(w) for of in each], axis=0)

    def n(self, one: Measure) -> int:
        """Return how many samples a measure is computed from."""
        return len(_fitting(one, self.draws[0]))

    def takes(self, one: Measure) -> bool:
        """Return whether there is what a measure is computed from."""
        return any(isinstance(item, one.metric.takes) for item in self.draws[0])

    def refusal(self, one: Measure) -> str | None:
        """Return why a measure of these samples would mean nothing."""
        return _fitting(one, self.draws[0]).refusal

    @cached_property
    def segmentation(self) -> Segmentation:
        """Which test samples count as one piece of evidence."""
        if self.problem.sessions is not None:
            return Segmentation(groups=self.problem.sessions)
        return Segmentation(min_length=self.problem.min_segment)

    def interval(self, one: Measure) -> Interval:
        """Return the interval of a measure's mean score over seeds."""
        if refusal := self.refusal(one):
            status = IntervalStatus.UNDEFINED
            return Interval(None, status=status, reason=refusal)
        return interval(self.weighted(one), self.n(one), self.segmentation, one.metric.bounds)

    def minus(self, other: "Scores", one: Measure) -> Interval:
        """Return the paired interval of this score minus another's on the same samples."""
        sides = self.weighted(one), other.weighted(one)
        return difference(*sides, self.n(one), self.segmentation, one.metric.bounds)

    def by_group(self, one: Measure) -> list[float | None]:
        """Return the score of every recording on its own, None where it has none."""
        groups = self.problem.groups
        values = self.weighted(one)((np.unique(groups)[:, None] == groups[None]).astype(float))
        return [None if np.isnan(value) else float(value) for value in values]


def _fitting(one: Measure, items: list[Any]) -> Any:
    return next(item for item in items if isinstance(item, one.metric.takes))


def evidence(
    problem: Problem,
    predicted: Sequence[Any],
    keep: np.ndarray | None = None,
    confidence: np.ndarray | None = None,
) -> list[Any]:
    """Return what a problem's measures are computed from: truth and prediction, in time order.

    Parameters
    ----------
    problem : Problem
    predicted : list of labels, list of sets, or float array (n_test, n_values)
    keep : bool array, shape (n_test,), optional
        Test samples that count.
    confidence : float array, shape (n_test, n_labels), optional
        Probabilities of classes; without any, what is predicted has all of it. How well they are
        calibrated is told under `corrected`, where there is one recording.
    """
    task, order = problem.task, problem.by_time
    order = order if keep is None else order[keep[order]]
    truth, predicted = picked(problem.test_targets, order), picked(predicted, order)
    if task.kind == "classify":
        positive = task.positive if task.positive in problem.labels else None
        found = [scoring.labels(truth, predicted, options=problem.labels, positive=positive)]
        if any(one.metric.takes is Boundaries for one in problem.measures):
            found.append(_boundaries(problem, predicted, order))
        if positive and any(one.metric.takes is Detections for one in problem.measures):
            likely = np.array([label == positive for label in predicted], dtype=float)
            if confidence is not None:
                likely = confidence[order, problem.labels.index(positive)]
            found.append(scoring.detections([label == positive for label in truth], likely))
        if confidence is not None and problem.strict and problem.groups is None:
            column = {label: place for place, label in enumerate(problem.labels)}
            places = np.array([column.get(label, -1) for label in truth], dtype=int)
            found.append(scoring.confidences(places, confidence[order]))
        return found
    if task.kind == "multilabel":
        more = (name for names in truth for name in names)
        vocabulary = tuple(dict.fromkeys([*problem.labels, *more]))
        return [scoring.label_sets(truth, predicted, vocabulary=vocabulary)]
    if task.kind == "retrieve":
        ways = (predicted, truth) if task.query == "prediction" else (truth, predicted)
        return [_ranked(problem, lambda at: scoring.cosine_ranks(*(way[at] for way in ways)))]
    found = [scoring.vectors(truth, predicted)]
    if task.value_shape is not None:
        shape = (-1, *task.value_shape)
        found.append(scoring.positions(np.reshape(truth, shape), np.reshape(predicted, shape)))
    return found


def _boundaries(problem: Problem, predicted: Sequence[Any], order: np.ndarray) -> Boundaries:
    return scoring.boundaries(
        problem.centers[1][order],
        np.array([label == problem.task.positive for label in predicted], dtype=bool),
        boundary_frames(problem.truth.action),
    )


def _ranked(problem: Problem, rank: Callable[[Any], Ranks]) -> Ranks:
    """Return the ranks of all samples, each among the windows of its own recording."""
    if problem.groups is None:
        return rank(slice(None))
    groups = problem.groups
    return merged([rank(np.flatnonzero(groups == one)) for one in np.unique(groups)])


def merged(each: Sequence[Ranks]) -> Ranks:
    """Return the ranks of several recordings one after the other."""
    columns = (
        np.concatenate([getattr(one, name) for one in each])
        for name in ("better", "tied", "earlier")
    )
    return Ranks(*columns, n_candidates=max(one.n_candidates for one in each))


def floors(problem: Problem, keep: np.ndarray | None = None) -> dict[str, Scores]:
    """Return every trivial baseline by name; random ones are drawn `FLOOR_DRAWS` times.

    Parameters
    ----------
    problem : Problem
    keep : bool array, shape (n_test,), optional
        Test samples that count.
    """
    rng = np.random.default_rng(FLOOR_SEED)
    trivial = _trivial_predictions(problem)
    draws = {name: (evidence(problem, predicted, keep),) for name, predicted in trivial.items()}
    if problem.task.kind == "classify":
        shares = np.bincount(problem.train_codes, minlength=len(problem.labels)) / problem.n_train
        sure = np.broadcast_to(shares, (problem.n_test, len(shares)))
        draws["majority"] = (evidence(problem, trivial["majority"], keep, sure),)
        drawn = (
            baselines.stratified(problem.train_targets, problem.n_test, rng)
            for _ in range(FLOOR_DRAWS)
        )
        draws["stratified_random"] = tuple(evidence(problem, one, keep) for one in drawn)
    if problem.task.kind == "retrieve":
        draws["chance"] = tuple(_by_chance(problem, rng))
    return {name: Scores(problem, found) for name, found in draws.items()}


def _trivial_predictions(problem: Problem) -> dict[str, Sequence[Any]]:
    """Return the predictions of every baseline that is not random."""
    task, train, n_test = problem.task, problem.train_targets, problem.n_test
    if task.kind == "classify":
        found = {"majority": baselines.majority(train, n_test)}
        if task.positive in problem.labels:
            found[f"always_{task.positive}"] = [task.positive] * n_test
    elif task.kind == "multilabel":
        if problem.strict:
            best = baselines.best_constant_set(train)
            found = {"best_constant_set": [tuple(n for n in problem.labels if n in best)] * n_test}
        else:
            usual = baselines.prior_sets(problem.membership(train), n_test)
            found = {"prior": problem.named(usual)}
    else:
        found = {}
        if problem.groups is None:
            nearest = baselines.nearest_in_time(*problem.centers)
            found["nearest_in_time"] = np.asarray(train)[nearest].astype(np.float64)
        if task.kind == "regress":
            found["train_mean"] = problem.train_mean()
    for name in task.naive:
        found[name] = as_predicted(problem, problem.naive(name))
    if task.recent is not None:
        found["damped_velocity"] = problem.onward(damped_velocity)
    return found


def as_predicted(problem: Problem, forecast: Sequence[Any]) -> Sequence[Any]:
    """Return a naive forecast as predictions; labels that it can't tell are the majority class."""
    if problem.task.kind != "classify":
        return np.asarray(forecast)
    common = baselines.majority(problem.train_targets, 1)[0]
    return [common if label is None else label for label in forecast]


def _by_chance(problem: Problem, rng: np.random.Generator) -> Iterator[list[Ranks]]:
    """Yield ranks at random, one per draw; equal candidates have equal similarity."""
    candidates = picked(np.asarray(problem.test_targets), problem.by_time)
    groups = np.zeros(len(candidates), int) if problem.groups is None else problem.groups
    alike = np.empty((len(candidates), 1), dtype=np.int64)
    for one in np.unique(groups):  # wide vectors are compared once, not once a draw
        own = groups == one
        alike[own, 0] = np.unique(candidates[own], axis=0, return_inverse=True)[1].ravel()
    for _ in range(FLOOR_DRAWS):
        yield [
            _ranked(problem, lambda at: scoring.ranks(baselines.chance_similarity(alike[at], rng)))
        ]


def strongest(one: Measure, found: Mapping[str, Scores]) -> tuple[Score, str] | tuple[None, None]:
    """Return the best baseline's score on a measure, and its name; the first of equal ones."""
    scores = {name: baseline.score(one) for name, baseline in found.items() if baseline.takes(one)}
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


@dataclass(frozen=True)
class Comparison:
    """A problem's heads and trivial baselines, scored on the same test samples.

    Parameters
    ----------
    problem : Problem
    heads, floors : dict of {name: Scores}
    base : dict
        Fields that every row has: run, section, and so on.
    """

    problem: Problem
    heads: dict[str, Scores]
    floors: dict[str, Scores]
    base: dict[str, Any]

    @classmethod
    def of(
        cls,
        problem: Problem,
        predictions: Mapping[str, Predictions],
        base: Mapping[str, Any],
        keep: np.ndarray | None = None,
    ) -> "Comparison":
        """Return the comparison of a problem's heads.

        Parameters
        ----------
        problem : Problem
        predictions : mapping of {head: predictions}
        base : mapping
            Fields that every row has: at least run and section.
        keep : bool array, shape (n_test,), optional
            Test samples that count.
        """
        scores = {name: Scores.of(problem, one, keep) for name, one in predictions.items() if one}
        return cls(problem, scores, floors(problem, keep), base_of(problem, base))

    def row(self, head: str, one: Measure, bounded: bool = True, **fields: Any) -> Record:
        """Return the row of a head's measure: mean over seeds, interval, floor, skill, ceiling.

        Parameters
        ----------
        head : str
        one : Measure
        bounded : bool
            Whether classes that were never trained bound the score.
        fields
            Fields of the row that differ from those of every row.
        """
        own = self.base | {"head": head} | fields
        return score_row(self.heads[head], one, own, self.floors, bounded)

    def difference(self, head: str, rival: str, one: Measure, **fields: Any) -> Record:
        """Return the row of a head's paired difference from another head or from a baseline."""
        other = self.heads.get(rival) or self.floors[rival]
        own = self.base | {"head": head, "against": rival} | fields
        return difference_row(self.heads[head], other, one, own)

    def rivals(self, head: str, one: Measure) -> list[str]:
        """Return what a head's score is compared with.

        The best baseline, the one that forecasts start from, and the linear head. A head that was
        given more ("neural+BLOCK") is compared with itself without it, too.
        """
        trivial = (strongest(one, self.floors)[1], self.problem.task.anchor)
        found = [name for name in dict.fromkeys(trivial) if name in self.floors and name != head]
        others = dict.fromkeys(("linear", *re.split("[+→]", head)[:1]))
        return found + [name for name in others if name in self.heads and name != head]


def base_of(problem: Problem, base: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that tell which problem a row is of, and of how many samples."""
    found = {"contract": problem.contract, "task": problem.task.name}
    return dict(base) | found | problem.counts


def measured(one: Measure) -> dict[str, Any]:
    """Return a measure's name, unit and direction as fields of a row."""
    metric = one.metric
    return {
        "metric": one.name,
        "unit": metric.unit,
        "higher_is_better": metric.higher_is_better,
    }


def score_row(
    mine: Scores,
    one: Measure,
    base: Mapping[str, Any],
    baselines: Mapping[str, Scores] | None = None,
    bounded: bool = True,
) -> Record:
    """Return the row of a measure.

    Parameters
    ----------
    mine : Scores
    one : Measure
    base : mapping
        Fields of the row: run, section, contract, task, head, …
    baselines : mapping of {name: Scores}, optional
        The strongest is the floor.
    bounded : bool
        Whether classes that were never trained bound the score.
    """
    score = mine.score(one)
    found = dict(base) | measured(one) | {"value": score.value, "status": score.status}
    found["reason"] = score.reason or base.get("reason")
    floor, floor_name = strongest(one, baselines or {})
    if floor is not None:
        found |= {"floor": floor.value, "floor_name": floor_name}
        found["skill"] = scoring.skill(one.metric, score, floor).value
    if baselines and bounded:
        found["ceiling"] = ceiling(mine.problem, one)
    found |= {"n_seeds": mine.n_seeds, "no_verdict": mine.no_verdict or too_few_seeds(mine.n_seeds)}
    if score.value is not None:
        spread = deviation(mine.by_seed(one).values())
        found |= interval_fields(mine.interval(one)) | {"spread": spread}
    if len(mine.seeds) == 1:
        found["seed"] = mine.seeds[0]
    return Record(**found)


def deviation(values: Collection[float]) -> float | None:
    """Return the standard deviation over seeds; None for fewer than two."""
    return float(np.std(list(values), ddof=1)) if len(values) > 1 else None


def too_few_seeds(n_seeds: int | None) -> str | None:
    """Return why nothing follows from a network of so many seeds, or None."""
    if n_seeds is None or n_seeds >= MIN_SEEDS:
        return None
    return f"{n_seeds} seed{'s' if n_seeds > 1 else ''}; {MIN_SEEDS} needed"


def difference_row(mine: Scores, rival: Scores, one: Measure, base: Mapping[str, Any]) -> Record:
    """Return the row of a paired difference in the measure's own unit.

    Parameters
    ----------
    mine, rival : Scores
        Of the same test samples.
    one : Measure
    base : mapping
        Fields of the row, ``against`` among them.
    """
    scores = [side.score(one) for side in (mine, rival)]
    refusal = mine.refusal(one) or next((s.reason for s in scores if s.value is None), None)
    found = dict(base) | measured(one)
    if refusal:
        return Record(**(found | {"value": None, "status": "degenerate", "reason": refusal}))
    value, bounds = scores[0].value - scores[1].value, mine.minus(rival, one)
    sides = [side.by_seed(one) for side in (mine, rival)]
    seeds = [seed for seed in sides[0] if seed in sides[1]] or [*sides[0], *sides[1]]
    gaps = [sides[0].get(seed, scores[0].value) - sides[1].get(seed, scores[1].value)
            for seed in seeds]  # fmt: skip
    found |= {"n_seeds": len(gaps) or None, "spread": deviation(gaps)}
    found["no_verdict"] = (
        mine.no_verdict
        or rival.no_verdict
        or too_few_seeds(found["n_seeds"])
        or disagreement(gaps, value, bounds)
    )
    return Record(**found, value=value, **difference_fields(bounds))


def disagreement(gaps: Sequence[float], value: float, bounds: Interval) -> str | None:
    """Return how a network's seeds disagree on a difference that excludes 0, or None.

    An interval is about other test samples, not other seeds: a mean may be clear of 0 although a
    network that is trained once more would say the opposite.
    """
    agree = sum(gap * value > 0 for gap in gaps)
    if not bounds.excludes_zero or agree == len(gaps):
        return None
    return f"{DISAGREE}: {agree} of {len(gaps)} are on the side of their mean"


def evaluate(
    problem: Problem,
    predictions: Mapping[str, Predictions],
    run: str,
    section: str,
    variant: str | None = None,
    given: Mapping[str, Problem] | None = None,
) -> list[Record]:
    """Return the rows of a problem's heads.

    Parameters
    ----------
    problem : Problem
    predictions : mapping of {head: predictions}
        See `xperience.evaluation.predictions.predict`.
    run : str
    section : str
        Notebook or command that scores.
    variant : str, optional
        Which samples or inputs the rows are of; it stands before a row's own variant.
    given : mapping of {head: Problem}, optional
        What heads were given in place of the problem itself: the same samples with other inputs.

    Returns
    -------
    list of Record
        The trivial baselines (variant "floor"), what the split did, and for each head every measure
        with its interval and spread over seeds, the primary one of each seed too, the same on
        classes that were trained (variant "seen_classes") and where a label that would persist
        changes (variant "at_changes"), and the primary measure's paired difference from the best
        floor and from the linear head (``against``). Under `corrected` also what classes'
        probabilities are worth, and accuracy by how far windows lie from a change of the label
        (variants "boundary=near", "middle", "far"). At least one row per head, whatever happened.
    """
    base = {"run": run, "section": section}
    given = dict.fromkeys(predictions, problem) | dict(given or {})
    rows = list(_rows(problem, predictions, base, given) if problem.ok else ())
    for head in predictions:
        if not given[head].ok:
            rows += _without_score(given[head], head, base)
    if variant is None:
        return rows
    return [
        row.model_copy(update={"variant": "/".join(filter(None, (variant, row.variant)))})
        for row in rows
    ]


def _without_score(problem: Problem, head: str, base: Mapping[str, Any]) -> Iterator[Record]:
    found = base_of(problem, base) | {"status": problem.status, "reason": problem.reason}
    for one in problem.measures:
        yield Record(**found, head=head, **measured(one), value=None)


def _rows(
    problem: Problem,
    predictions: Mapping[str, Predictions],
    base: Mapping[str, Any],
    given: Mapping[str, Problem],
) -> Iterator[Record]:
    compared = Comparison.of(problem, predictions, base)
    primary = problem.task.primary
    yield from split_rows(problem, base)
    for name, floor in compared.floors.items():
        for one in problem.measures:
            yield score_row(floor, one, compared.base | {"head": name, "variant": FLOOR})
    for head in compared.heads:
        notes = "; ".join(given[head].notes) or None
        for one in problem.measures:
            yield compared.row(head, one, reason=notes)
        sure = CONFIDENCE[1:] if problem.task.classes else CONFIDENCE  # those have no open set
        for one in filter(compared.heads[head].takes, sure):
            yield compared.row(head, one, bounded=False)
        if len(predictions[head]) > 1:
            yield from _seed_rows(compared, head)
        for rival in compared.rivals(head, primary):
            yield compared.difference(head, rival, primary)
        for fact in descriptions(given[head], predictions[head]):
            yield Record(**compared.base, head=head, **fact)
    if problem.strict and problem.task.kind == "classify":
        for variant, keep in {SEEN: ~problem.unseen, AT_CHANGES: problem.changing}.items():
            if keep.any() and not keep.all():
                yield from _part_rows(problem, predictions, base, keep, variant)
    if problem.strict and problem.task.name in CHANGES:
        yield from _distance_rows(problem, predictions, base)
    yield from _speed_rows(problem, predictions, base)


def _seed_rows(compared: Comparison, head: str) -> Iterator[Record]:
    """Yield the primary score of each seed."""
    mine, primary = compared.heads[head], compared.problem.task.primary
    of_head = {"head": head, "n_seeds": 1, "spread": deviation(mine.by_seed(primary).values())}
    for seed, score in zip(mine.seeds, mine.each(primary), strict=True):
        said = {"value": score.value, "status": score.status, "reason": score.reason}
        yield Record(**compared.base, **of_head, **measured(primary), **said, seed=seed)


def split_rows(problem: Problem, base: Mapping[str, Any]) -> Iterator[Record]:
    """Yield what the split did: samples purged, test samples of classes never trained."""
    found = base_of(problem, base)
    yield Record(**found, metric="purged_samples", unit="sample", value=len(problem.split.purged))
    if problem.task.kind == "classify" and not problem.task.classes:
        share = float(problem.unseen.mean())
        yield Record(
            **found, metric="open_set_share", unit="1", higher_is_better=False, value=share
        )
    if problem.strict and (changing := problem.changing).any():
        share, own = float(problem.unseen[changing].mean()), {"n_test": int(changing.sum())}
        own |= {"metric": "open_set_share", "variant": AT_CHANGES, "higher_is_better": False}
        yield Record(**(found | own), value=share)


def leak_rows(problem: Problem, base: Mapping[str, Any]) -> Iterator[Record]:
    """Yield how near training windows lie to test windows: frames in common, and the distance.

    Only the windows' own frames count, whatever their features or targets touch.
    """
    found = base_of(problem, base)
    train, test = problem.centers
    window = np.arange(WINDOW_FRAMES)
    held = np.zeros(max(train.max(initial=0), test.max(initial=0)) + WINDOW_FRAMES, dtype=bool)
    held[train[:, None] + window] = True
    shared = held[test[:, None] + window]  # (n_test, WINDOW_FRAMES)
    shares = {"overlap_share": shared.any(axis=1).mean(), "shared_frame_share": shared.mean()}
    for name, value in shares.items():
        yield Record(**found, metric=name, higher_is_better=False, value=float(value))
    if len(train):
        gaps = np.abs(test - train[baselines.nearest_in_time(train, test)])
        yield Record(**found, metric="median_gap", unit="frame", value=float(np.median(gaps)))
    else:
        why = {"status": "skipped", "reason": "no training window is left"}
        yield Record(**found, metric="median_gap", unit="frame", **why)


def class_rows(
    problem: Problem, head: str, predictions: Predictions, base: Mapping[str, Any]
) -> Iterator[Record]:
    """Yield a head's recall of each tested class, in the order of the recording."""
    found = base_of(problem, base) | {"head": head, "metric": "recall", "higher_is_better": True}
    truth, trained = np.array(problem.test_targets, dtype=object), Counter(problem.train_targets)
    for label in dict.fromkeys(truth[problem.by_time]):
        tested = np.flatnonzero(truth == label)
        said = {"value": None, "status": problem.status, "reason": problem.reason}
        if predictions:
            hits = [predictions[0].predicted[place] == label for place in tested]
            said = {"value": float(np.mean(hits))}
        counts = {"n_train": trained[label], "n_test": len(tested)}
        variant = "/".join(filter(None, (base.get("variant"), f"class={label}")))
        yield Record(**(found | said | counts | {"variant": variant}))


def paired_row(
    mine: tuple[Problem, Predictions], rival: tuple[Problem, Predictions], base: Mapping[str, Any]
) -> Record:
    """Return the row of a primary score's paired difference between two problems' predictions.

    Parameters
    ----------
    mine, rival : (Problem, predictions)
        The same test samples, with other training samples or other inputs.
    base : mapping
        Fields of the row: run, section, head, against and so on.
    """
    problem, own = mine[0], base_of(mine[0], base)
    for asked, predictions in (mine, rival):
        if not predictions:
            own |= measured(problem.task.primary)
            return Record(**own, value=None, status=asked.status, reason=asked.reason)
    return difference_row(Scores.of(*mine), Scores.of(*rival), problem.task.primary, own)


def _part_rows(
    problem: Problem,
    predictions: Mapping[str, Predictions],
    base: Mapping[str, Any],
    keep: np.ndarray,
    variant: str,
) -> Iterator[Record]:
    """Yield scores on a part of the test samples, beside the best floor there."""
    compared = Comparison.of(problem, predictions, base, keep)
    for head, mine in compared.heads.items():
        for one in filter(mine.takes, problem.measures):
            yield compared.row(head, one, bounded=False, variant=variant, n_test=int(keep.sum()))


def _distance_rows(
    problem: Problem, predictions: Mapping[str, Predictions], base: Mapping[str, Any]
) -> Iterator[Record]:
    """Yield each head's accuracy by how far windows lie from the nearest change of the label.

    Classes differ from zone to zone, so macro-F1 would too.
    """
    changes = boundary_frames(getattr(problem.truth, CHANGES[problem.task.name]))
    away = np.abs(problem.centers[1][:, None] - changes.astype(float)).min(axis=1, initial=np.inf)
    zone = np.searchsorted(list(ZONES.values()), away)
    for place, name in enumerate((*ZONES, BEYOND)):
        keep = zone == place
        compared = Comparison.of(problem, predictions, base, keep)
        for head in compared.heads:
            own = {"variant": f"boundary={name}", "n_test": int(keep.sum())}
            yield compared.row(head, measure("accuracy"), bounded=False, **own)


def _speed_rows(
    problem: Problem, predictions: Mapping[str, Predictions], base: Mapping[str, Any]
) -> Iterator[Record]:
    """Yield the primary score, of baselines too, on each third of samples by present speed.

    Of a task that shows how joints move, in one recording; nothing of any other.
    """
    if problem.task.recent is None or problem.groups is not None:
        return
    speed = np.linalg.norm(problem.motion[1][:, :SPEED_STEPS].mean(axis=1), axis=-1).mean(axis=-1)
    third = speed.argsort(kind="stable").argsort(kind="stable") * len(SPEEDS) // len(speed)
    primary = problem.task.primary
    for place, name in enumerate(SPEEDS):
        kept = {"variant": f"speed={name}", "n_test": int((third == place).sum())}
        if not kept["n_test"]:
            continue
        compared = Comparison.of(problem, predictions, base, third == place)
        for who, scores in (compared.floors | compared.heads).items():
            yield score_row(scores, primary, compared.base | {"head": who} | kept, compared.floors)
        for head in compared.heads:
            yield compared.difference(head, problem.task.anchor, primary, **kept)


def descriptions(problem: Problem, predictions: Predictions) -> Iterator[dict[str, Any]]:
    """Yield the counts and shares that the published suite reports beside its scores.

    Parameters
    ----------
    problem : Problem
    predictions : sequence of Prediction
        Of one head; values are the first seed's, spreads over all of them.

    Yields
    ------
    dict
        Fields of a row: metric, unit, direction, value, seed and so on.
    """
    first, task = predictions[0], problem.task
    facts = {"feature_dim": ("feature", problem.n_features)}
    if task.kind == "classify" and not task.classes:
        facts |= _class_facts(problem)
    elif task.kind == "multilabel":
        facts["num_objects"] = ("label", len(problem.labels))
    elif task.kind != "classify":
        facts["target_dim"] = ("value", np.shape(problem.samples.values)[1])
    for name, (unit, value) in facts.items():
        yield {"metric": name, "unit": unit, "value": float(value)}
    mine = {"no_verdict": first.no_verdict}
    if first.seed is not None and not first.recorded:
        mine["n_seeds"] = 1
    counts = [_counts(problem, one) for one in predictions]
    for name, (unit, value) in counts[0].items():
        spread = deviation([float(one[name][1]) for one in counts])
        yield mine | {"metric": name, "unit": unit, "value": float(value), "spread": spread}
    directions = {"train_final_accuracy": ("1", True), "train_final_loss": ("nat", False)}
    for name, value in (first.facts or {}).items():
        unit, higher_is_better = directions.get(name, ("1", None))
        spread = deviation([float(one.facts[name]) for one in predictions])
        fields = {"metric": name, "unit": unit, "higher_is_better": higher_is_better}
        yield mine | fields | {"value": float(value), "seed": first.seed, "spread": spread}


def size_rows(
    answered: Iterable[tuple[Problem, Mapping[str, Predictions]]], base: Mapping[str, Any]
) -> Iterator[Record]:
    """Yield how many numbers each head fits from one seed, over all tasks.

    Parameters
    ----------
    answered : iterable of (Problem, {head: predictions})
        Of one contract.
    base : mapping
        Fields of every row: at least run, section and contract.
    """
    found: dict[str, list[Predictions]] = {}
    for _, predictions in answered:
        for head, each in predictions.items():
            found.setdefault(head, []).extend([each] if each else [])
    for head, tasks in found.items():
        sizes = [each[0].n_parameters for each in tasks]
        said = {"value": None, "status": "skipped", "reason": "the head doesn't tell"}
        if None not in sizes:
            said = {"value": float(sum(sizes))}
        yield Record(**base, head=head, metric="n_parameters", unit="parameter", **said)


def _counts(problem: Problem, one: Prediction) -> dict[str, tuple[str, float]]:
    """Return the counts of what was predicted, as {name: (unit, count)}."""
    if problem.task.kind != "classify":
        return {}
    counts = _pair_counts(problem, one) if problem.task.classes else {}
    for found in evidence(problem, one.predicted):
        if isinstance(found, Boundaries):
            counts |= _boundary_counts(found)
    return counts


def _class_facts(problem: Problem) -> dict[str, tuple[str, float]]:
    train, test = problem.train_targets, problem.test_targets
    common = baselines.majority(train, 1)[0]
    unseen = baselines.closed_set_ceiling(train, test).unseen
    return {
        "num_classes": ("class", len(problem.labels)),
        "unseen_test_classes": ("class", len(unseen)),
        "majority_baseline_accuracy": ("1", np.mean([label == common for label in test])),
    }


def _pair_counts(problem: Problem, one: Prediction) -> dict[str, tuple[str, float]]:
    positive = problem.task.positive
    true = np.array([label == positive for label in problem.test_targets])
    said = np.array([label == positive for label in one.predicted])
    counts = {"tp": true & said, "tn": ~true & ~said, "fp": ~true & said, "fn": true & ~said}
    shares = {"positive_rate_true": true, "positive_rate_pred": said}
    return {name: ("sample", hits.sum()) for name, hits in counts.items()} | {
        name: ("1", hits.mean()) for name, hits in shares.items()
    }


def _boundary_counts(found: Boundaries) -> dict[str, tuple[str, float]]:
    hits = found.hits.sum()
    return {
        "matched_boundaries": ("boundary", hits),
        "true_boundaries": ("boundary", hits + found.misses.sum()),
        "predicted_boundaries": ("boundary", hits + found.false_alarms.sum()),
    }
