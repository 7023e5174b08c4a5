"""Every metric once: its unit, direction, range, and what it does about ties and empty classes.

Put truth and prediction side by side with `labels`, `label_sets`, `boundaries`, `vectors`,
`positions` or `cosine_ranks`, then ask for scores by name::

    evidence = labels(true_actions, predicted_actions)
    score("macro_f1_present", evidence).value

A score that would mean nothing has no value but a reason. `METRICS` lists what there is.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from xperience.errors import did_you_mean
from xperience.evaluation.catalogue import METRICS, MIXED, Metric
from xperience.evaluation.evidence import MetricError, boundaries, expect, label_sets, labels
from xperience.evaluation.vectors import cosine, cosine_ranks, positions, ranks, vectors

__all__ = [
    "METRICS",
    "Metric",
    "MetricError",
    "Score",
    "aggregate",
    "boundaries",
    "cosine",
    "cosine_ranks",
    "label_sets",
    "labels",
    "metric_named",
    "positions",
    "ranks",
    "score",
    "score_all",
    "skill",
    "vectors",
    "weighted",
]


@dataclass(frozen=True)
class Score:
    """A metric's value, or the reason why there is none.

    Parameters
    ----------
    value : float, optional
        Finite; None exactly when there is a reason.
    reason : str, optional
        Why a score would mean nothing.
    """

    value: float | None
    reason: str | None = None

    def __post_init__(self):
        assert (self.value is None) == bool(self.reason), "a value or a reason"
        assert self.value is None or math.isfinite(self.value), "a finite value"

    @property
    def status(self) -> Literal["ok", "degenerate"]:
        """What a record says of it."""
        return "degenerate" if self.value is None else "ok"


def metric_named(metric: str | Metric) -> Metric:
    """Return a metric by its id; a metric is returned as it is.

    Raises
    ------
    MetricError
        If there is none of that name.
    """
    if isinstance(metric, Metric):
        return metric
    expect(metric in METRICS, f"metric {metric!r}", "is unknown", "a name in METRICS",
           did_you_mean(metric, METRICS))  # fmt: skip
    return METRICS[metric]


def weighted(metric: str | Metric, evidence: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Return the metric as a function of sample weights, for resampling.

    Parameters
    ----------
    metric : str or Metric
        What to compute.
    evidence : Labels, LabelSets, Boundaries, Vectors, Positions or Ranks
        The kind that the metric takes.

    Returns
    -------
    function
        Weights, shape (n_rows, n), to values, shape (n_rows,), NaN where undefined. A sample of
        weight 2 counts as two; the candidates of a retrieval stay as they are.

    Raises
    ------
    MetricError
        If the metric is unknown or takes another kind of evidence.
    """
    metric = metric_named(metric)
    formula = metric.formula
    takes = metric.takes.__name__ if metric.takes else "a Score and a floor"
    expect(
        formula is not None and isinstance(evidence, metric.takes or ()),
        f"metric {metric.id!r}",
        f"was given {type(evidence).__name__}",
        takes,
        "Choose a metric for this kind of target, or skill() for a skill score.",
    )
    return lambda weights: formula(evidence, np.asarray(weights, dtype=float))


def score(metric: str | Metric, evidence: Any, *, as_published: bool = False) -> Score:
    """Return one score of a prediction.

    Parameters
    ----------
    metric : str or Metric
        What to compute.
    evidence : Labels, LabelSets, Boundaries, Vectors, Positions or Ranks
        The kind that the metric takes.
    as_published : bool
        Score even a test that tests nothing (one class, one candidate), as the published suite did.

    Returns
    -------
    Score
        Without a value, but with a reason, where one would mean nothing.

    Raises
    ------
    MetricError
        If the metric is unknown or takes another kind of evidence.
    """
    metric, value_of = metric_named(metric), weighted(metric, evidence)
    if len(evidence) == 0:
        return Score(None, "no samples")
    if evidence.refusal and not as_published:
        return Score(None, evidence.refusal)
    value = float(value_of(np.ones((1, len(evidence))))[0])
    if math.isnan(value):
        return Score(None, f"{metric.id} is undefined: {metric.undefined}")
    return Score(value)


def score_all(evidence: Any, *, as_published: bool = False) -> dict[str, Score]:
    """Return every score that this kind of evidence allows, by metric id.

    The F1 of a named class is left to `score`, because its id must name the class.
    """
    named = {"f1_right", "f1_aligned"}
    fitting = [m for m in METRICS.values() if m.takes and isinstance(evidence, m.takes)]
    return {
        m.id: score(m, evidence, as_published=as_published) for m in fitting if m.id not in named
    }


def skill(metric: str | Metric, value: Score, floor: Score) -> Score:
    """Return how far a score goes from a trivial baseline towards perfection.

    Parameters
    ----------
    metric : str or Metric
        What both scores measure.
    value, floor : Score
        The prediction's score and the trivial baseline's, on the same samples.

    Returns
    -------
    Score
        0 as the baseline, 1 perfect, below 0 worse than the baseline, whatever the direction.
    """
    perfect = metric_named(metric).perfect
    for name, one in (("score", value), ("floor", floor)):
        if one.value is None:
            return Score(None, f"the {name} is undefined: {one.reason}")
    if floor.value == perfect:
        return Score(None, "the trivial baseline is already perfect")
    return Score((value.value - floor.value) / (perfect - floor.value))


def aggregate(scores: Sequence[Score], metrics: Sequence[str | Metric]) -> Score:
    """Return the mean of scores that may be averaged.

    Parameters
    ----------
    scores : sequence of Score, length n
        One a task, seed or recording.
    metrics : sequence of str or Metric, length n
        What each measures.

    Returns
    -------
    Score
        Without a value if any score has none: leaving it out would change what is averaged.

    Raises
    ------
    MetricError
        If units, directions or ranges differ, or the unit is itself mixed.
    """
    expect(len(scores) == len(metrics), "aggregate", f"got {len(scores)} scores and {len(metrics)} "
           "metrics", "one metric a score", "Name each score's metric.")  # fmt: skip
    metrics = [metric_named(metric) for metric in metrics]
    kinds = {(m.unit, m.higher_is_better, m.bounds): m.id for m in metrics}
    expect(
        len(kinds) < 2 and (len(scores) < 2 or all(m.unit != MIXED for m in metrics)),
        "aggregate",
        "mixes " + ", ".join(f"{id} ({_described(*kind)})" for kind, id in kinds.items()),
        "one unit, direction and range",
        "Average each kind apart, or turn every score into a skill score first.",
    )
    reasons = [one.reason for one in scores if one.value is None]
    if reasons or not scores:
        reason = f"{len(reasons)} of {len(scores)} are undefined: {reasons[0]}" if reasons else ""
        return Score(None, reason or "no scores")
    return Score(float(np.mean([one.value for one in scores])))


def _described(unit: str, higher_is_better: bool, bounds: tuple[float, float]) -> str:
    better = "higher" if higher_is_better else "lower"
    return f"unit {unit}, {better} is better, {bounds[0]:g} to {bounds[1]:g}"
