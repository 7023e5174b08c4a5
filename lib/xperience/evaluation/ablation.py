"""Ablations: one task asked of several inputs, and how much better one input is than another.

The *gain* is the difference of two scores, turned so that more is better, with its paired
interval. It can't be averaged over tasks: an F1, an MRR and an error have nothing
to do with one another.

*Net wins* can: the share of test samples that the first predicts better, minus the share that the
second does. It lies in [-1, 1] and means the same for every task, whatever the metric's unit. A
difference of skill scores was put aside: skill is unbounded below, and one task whose heads err by
several standard deviations then makes the mean whatever it likes.

A gain is *significant* if its p-value, adjusted by Holm's method for the number of tasks, is at
most 5 %.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from xperience.evaluation.evaluate import (
    Scores,
    base_of,
    floors,
    measured,
    score_row,
)
from xperience.evaluation.intervals import (
    Interval,
    Segmentation,
    WeightedScore,
    difference,
    difference_fields,
    interval,
    interval_fields,
)
from xperience.evaluation.metrics import (
    MIXED,
    Boundaries,
    Detections,
    Labels,
    LabelSets,
    Positions,
    Ranks,
    RecordingVectors,
    Vectors,
)
from xperience.evaluation.predictions import Predictions
from xperience.evaluation.records import ALPHA, Record, holm
from xperience.tasks.measures import Measure
from xperience.tasks.problem import Problem

NET_WINS, MIXED_MEAN = "net_wins", "mean_gain_mixed_units"


@dataclass(frozen=True)
class Effect:
    """How much the first of two is better than the second, on the same samples."""

    gain: Interval  # difference of the scores in their own unit; above 0 the first is better
    net_wins: Interval  # share of samples that the first predicts better minus the second's


def effect(
    sides: tuple[WeightedScore, WeightedScore], margins: np.ndarray, how: Segmentation | None = None
) -> Effect:
    """Return the effect between two scores, more being better.

    Margins, float (n,), are above 0 for samples that the first predicts better, in time order.
    """
    how = how or Segmentation()
    better, n = np.sign(margins), len(margins)
    return Effect(
        gain=difference(*sides, n, how),
        net_wins=interval(lambda w: w @ better / w.sum(axis=1), n, how, (-1.0, 1.0)),
    )


def sample_losses(mine: Scores, one: Measure) -> np.ndarray:
    """Return how wrong each sample's prediction is, the mean over seeds, shape (n,).

    Notes
    -----
    Labels: 0 right, 1 wrong. Detections: how likely what is not so was held to be. Sets: 1 minus
    the F1 of the sample's own set. Vectors: mean absolute error (the summed squared one where no
    vector is kept). Positions: error in metres. Ranks: the mean rank over orders of tied
    candidates. Boundaries: false alarms and misses.
    """
    takes = one.metric.takes
    found = [next(item for item in draw if isinstance(item, takes)) for draw in mine.draws]
    return np.mean([_LOSSES[takes](evidence) for evidence in found], axis=0)


def _set_loss(evidence: LabelSets) -> np.ndarray:
    right = (evidence.truth & evidence.predicted).sum(axis=1)
    either = evidence.truth.sum(axis=1) + evidence.predicted.sum(axis=1)
    return 1 - np.divide(2 * right, either, out=np.ones(len(right)), where=either > 0)


_LOSSES: dict[type, Callable[[Any], np.ndarray]] = {
    Labels: lambda evidence: (evidence.truth != evidence.predicted).astype(float),
    Detections: lambda evidence: np.abs(evidence.truth - evidence.likelihood),
    LabelSets: _set_loss,
    Vectors: lambda evidence: (
        evidence.error if isinstance(evidence, RecordingVectors) else evidence.absolute_error
    ),
    Positions: lambda evidence: evidence.error_m.mean(axis=1),
    Ranks: lambda evidence: evidence.expected,
    Boundaries: lambda evidence: evidence.misses + evidence.false_alarms,
}


@dataclass(frozen=True)
class Ablation:
    """One task asked of several inputs, and the scores of one head's predictions from each."""

    head: str
    problems: Mapping[str, Problem]  # by variant
    scores: Mapping[str, Scores]  # of variants that have predictions

    bounded = True
    """Whether classes that were never trained bound the scores."""

    @property
    def primary(self) -> Measure:
        """The measure that the task is judged by."""
        return next(iter(self.problems.values())).task.primary

    @cached_property
    def floors(self) -> dict[str, Scores]:
        """Trivial baselines: the same for all variants, whose targets are the same."""
        return floors(next(iter(self.scores.values())).problem) if self.scores else {}

    def missing(self, *variants: str) -> Problem | None:
        """Return the first of some variants that has no predictions."""
        return next((self.problems[one] for one in variants if one not in self.scores), None)

    def margins(self, variant: str, against: str) -> np.ndarray:
        """Return by how much a variant predicts each test sample better, in time order, (n,)."""
        mine, other = (sample_losses(self.scores[one], self.primary) for one in (variant, against))
        return other - mine

    def effect(self, variant: str, against: str) -> Effect | None:
        """Return how much better a variant is than another; None without both predictions."""
        if self.missing(variant, against):
            return None
        sides = tuple(self.scores[one].weighted(self.primary) for one in (variant, against))
        sides = sides if self.primary.metric.higher_is_better else sides[::-1]
        return effect(sides, self.margins(variant, against), self.scores[variant].segmentation)


def ablations(
    head: str,
    problems: Mapping[tuple[str, str], Problem],
    predictions: Sequence[Predictions],
) -> dict[str, Ablation]:
    """Return the ablation of each task, from problems by (task, variant).

    Predictions are of each problem, in the same order: those of `predict_all`. Rows carry ``head``.
    """
    found: dict[str, Ablation] = {}
    for ((task, variant), problem), predicted in zip(problems.items(), predictions, strict=True):
        one = found.setdefault(task, Ablation(head, {}, {}))
        one.problems[variant] = problem
        if predicted:
            one.scores[variant] = Scores.of(problem, predicted)
    return found


def variant_rows(
    found: Iterable[Ablation], base: Mapping[str, Any], every: bool = True
) -> list[Record]:
    """Return the rows of every task and variant: interval, best floor and skill, or the reason.

    ``base`` holds run and section. With ``every`` other measures than the primary one are told too,
    and the number of features.
    """
    return [row for one in found for row in _variant_rows(one, base, every)]


def _variant_rows(one: Ablation, base: Mapping[str, Any], every: bool) -> Iterator[Record]:
    for variant, problem in one.problems.items():
        own = base_of(problem, base) | {"head": one.head, "variant": variant}
        measures = problem.measures if every else (one.primary,)
        if variant not in one.scores:
            own |= {"status": problem.status, "reason": problem.reason}
            yield from (Record(**own, **measured(measure)) for measure in measures)
            continue
        notes = "; ".join(filter(None, (*problem.notes, problem.reason))) or None
        for measure in measures:
            noted = own | {"reason": notes}
            yield score_row(one.scores[variant], measure, noted, one.floors, one.bounded)
        if every:
            width = float(problem.n_features)
            yield Record(**own, metric="feature_dim", unit="feature", value=width)


def comparison_rows(
    found: Iterable[Ablation], pair: tuple[str, str], base: Mapping[str, Any]
) -> list[Record]:
    """Return the rows of a pair (variant, against), in each task and over them all.

    For each task the gain in the primary measure (``<measure>_gain``, above 0 is better), with p
    corrected over all tasks, and net wins; then over the tasks the number of significant gains and
    mean net wins. Under `published` also the two figures of the note: the number of gains above 0,
    whatever their size, and ``mean_gain_mixed_units``, which adds F1, MRR and errors and is
    comparable with nothing else. ``base`` holds run and section.
    """
    found = list(found)
    effects = [one.effect(*pair) for one in found]
    named = {"variant": pair[0], "against": pair[1], "higher_is_better": True}
    rows = []
    for one, effect_of in zip(found, effects, strict=True):
        own = base_of(one.problems[pair[0]], base) | named | {"head": one.head}
        rows += _effect_rows(one, effect_of, own)
    rows = holm(rows)
    first = found[0].problems[pair[0]]
    own = dict(base) | named | {"contract": first.contract, "head": found[0].head}
    lost = [one.problems[pair[0]].task.name for one in found if one.missing(*pair)]
    n_claimed = sum(row.value > 0 and row.p_holm <= ALPHA for row in rows if row.p is not None)
    return rows + list(_summary_rows(effects, n_claimed, lost, own))


def _effect_rows(one: Ablation, found: Effect | None, own: Mapping[str, Any]) -> Iterator[Record]:
    metric = {"metric": f"{one.primary.name}_gain", "unit": one.primary.metric.unit}
    if found is None:
        lost = one.missing(own["variant"], own["against"])
        yield Record(**own, **metric, status=lost.status, reason=lost.reason)
        return
    yield Record(**own, **metric, value=found.gain.estimate, **difference_fields(found.gain))
    wins = found.net_wins
    yield Record(**own, metric=NET_WINS, unit="1", value=wins.estimate, **interval_fields(wins))


def _summary_rows(
    effects: Sequence[Effect | None], n_claimed: int, lost: Sequence[str], own: dict[str, Any]
) -> Iterator[Record]:
    """Yield what sums tasks up; no values if a task is missing, for that would sum up others."""
    units = {"tasks_with_claimed_gain": "task", f"mean_{NET_WINS}": "1"}
    if own["contract"] == "published":
        units = {MIXED_MEAN: MIXED, "tasks_with_gain": "task"} | units
    if lost:
        reason = f"{len(lost)} of {len(effects)} tasks cannot be compared: {', '.join(lost)}"
        for metric, unit in units.items():
            yield Record(**own, metric=metric, unit=unit, status="skipped", reason=reason)
        return
    gains = np.array([one.gain.estimate for one in effects])
    values = {
        MIXED_MEAN: gains.mean(),
        "tasks_with_gain": (gains > 0).sum(),
        "tasks_with_claimed_gain": n_claimed,
        f"mean_{NET_WINS}": np.mean([one.net_wins.estimate for one in effects]),
    }
    for metric, unit in units.items():
        yield Record(**own, metric=metric, unit=unit, value=float(values[metric]))
