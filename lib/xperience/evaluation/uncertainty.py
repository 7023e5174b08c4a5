"""How sure a score is, when neighbouring windows overlap and resemble each other.

Blocks of neighbouring samples are drawn instead of single ones, so that a resample keeps the
dependence that the recording has. How it is done, and why:

- *Circular* blocks (the last sample is followed by the first): plain moving blocks draw the ends of
  a recording less often than its middle, so their mean resample is not the recording. Random
  lengths (the stationary bootstrap) gain nothing where the length is chosen from the data.
- The *length* is `LENGTH_FACTOR` times the estimate of Politis, White and Patton for circular
  blocks (``arch``), taken on the metric's own series: what leaving each sample out does to the
  score. That works for any metric and for differences. It is never below ``min_block``: windows of
  20 frames every 5 frames share frames with 3 neighbours on either side.
- *Percentile* ends, widened around the score by the fixed-b factor of Kiefer and Vogelsang (2005)
  and by Student's t at the effective sample size: both pay for dependence estimated from few
  blocks. In simulation (350 samples in spells, correlation of neighbours 0.5 to 0.9; means and
  macro-F1) these intervals cover 92 to 95 %, bare percentiles 83 to 92 %, independent resampling
  34 to 74 %; basic ends cover no better than percentiles, and leave the possible range.
- *No interval* where it could not be trusted: fewer than `MIN_BLOCKS` blocks, or a series that
  rises above its mean in fewer than `MIN_SPELLS` separate spells.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from scipy.stats import norm, t

from xperience.evaluation.metrics import Metric, metric_named, score, weighted
from xperience.evaluation.resampling import (
    Resampling,
    WeightedScore,
    block_weights,
    choose_block_length,
    effective_sample_size,
    group_weights,
    influence,
    spells,
)

__all__ = ["Interval", "Resampling", "Verdict", "difference", "interval", "interval_of"]

MIN_BLOCKS = 6
MIN_SPELLS = 8
MAX_UNDEFINED = 0.05
"""Greatest share of resamples in which the metric may be undefined (they are left out)."""


class Verdict(StrEnum):
    """Whether an interval stands."""

    OK = "ok"
    TOO_FEW_BLOCKS = "too_few_blocks"
    NO_VARIATION = "no_variation"
    UNDEFINED = "undefined"


@dataclass(frozen=True)
class Interval:
    """An interval for a score or a difference, or the reason why there is none.

    Parameters
    ----------
    estimate : float, optional
        The score on the samples as they are.
    low, high : float, optional
        Ends; None unless the verdict is ok.
    level : float
        Share of such intervals that should hold the truth.
    n_samples : int
        Samples scored.
    n_effective : float, optional
        Independent samples that they are worth.
    n_blocks : int
        Blocks, or recordings, that fit into the samples.
    block_length : int, optional
        Samples a block; None where recordings were drawn.
    verdict : Verdict
        Whether the interval stands.
    reason : str, optional
        Why it does not.
    """

    estimate: float | None
    low: float | None
    high: float | None
    level: float
    n_samples: int
    n_effective: float | None
    n_blocks: int
    block_length: int | None
    verdict: Verdict
    reason: str | None = None

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference may be claimed: there is an interval and 0 is outside."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


@dataclass(frozen=True)
class _Plan:
    """What is drawn, how much of it there is, and how far percentiles must be widened."""

    n_blocks: int
    block_length: int | None
    n_effective: float
    widening: float
    weights: Callable[[], np.ndarray]
    unit: str


def interval(
    score_of: WeightedScore,
    n: int,
    resampling: Resampling | None = None,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Interval:
    """Return the interval of a score over dependent samples.

    Parameters
    ----------
    score_of : function
        Weights, shape (n_rows, n), to values, shape (n_rows,), NaN where undefined: see
        `xperience.evaluation.metrics.weighted`.
    n : int
        Number of samples, in time order.
    resampling : Resampling, optional
        Draws, seed, level, shortest block, recordings.
    bounds : pair of float
        Possible values of the score; the ends stay inside.

    Returns
    -------
    Interval
        With a verdict; without ends unless that is ok.
    """
    resampling = resampling or Resampling()
    estimate = float(score_of(np.ones((1, n)))[0]) if n else math.nan
    if math.isnan(estimate):
        reason = "no samples" if not n else "the score is undefined"
        return _withheld(resampling, n, Verdict.UNDEFINED, reason)
    series = influence(score_of, n)
    if np.ptp(series) <= 1e-12 * n * max(1.0, abs(estimate)):
        series = np.zeros(n)
    plan = _plan_groups(series, resampling) if resampling.groups is not None else _plan_blocks(
        series, resampling
    )  # fmt: skip
    verdict, reason = _judge(series, plan)
    low, high = None, None
    if verdict is Verdict.OK:
        values = score_of(plan.weights())
        undefined = float(np.isnan(values).mean())
        if undefined > MAX_UNDEFINED:
            verdict = Verdict.UNDEFINED
            reason = f"the score is undefined in {undefined:.0%} of the resamples"
        else:
            low, high = _ends(values[~np.isnan(values)], estimate, plan, resampling, bounds)
    return Interval(
        estimate, low, high, resampling.level, n, plan.n_effective, plan.n_blocks,
        plan.block_length, verdict, reason,
    )  # fmt: skip


def difference(
    first: WeightedScore, second: WeightedScore, n: int, resampling: Resampling | None = None
) -> Interval:
    """Return the interval of first minus second, both scored on the same resamples.

    Parameters
    ----------
    first, second : function
        Two scores of the same n samples, in the same order; see `interval`.
    n : int
        Number of samples, in time order.
    resampling : Resampling, optional
        Draws, seed, level, shortest block, recordings.
    """
    return interval(lambda weights: first(weights) - second(weights), n, resampling)


def interval_of(
    metric: str | Metric, evidence: Any, resampling: Resampling | None = None
) -> Interval:
    """Return the interval of a named metric, withheld where the score itself is.

    Parameters
    ----------
    metric : str or Metric
        A name in `xperience.evaluation.metrics.METRICS`.
    evidence : Labels, LabelSets, Boundaries, Vectors, Positions or Ranks
        Samples in time order.
    resampling : Resampling, optional
        Draws, seed, level, shortest block, recordings.
    """
    metric = metric_named(metric)
    undefined = score(metric, evidence).reason
    if undefined:
        return _withheld(resampling or Resampling(), len(evidence), Verdict.UNDEFINED, undefined)
    return interval(weighted(metric, evidence), len(evidence), resampling, metric.bounds)


def _withheld(resampling: Resampling, n: int, verdict: Verdict, reason: str) -> Interval:
    return Interval(None, None, None, resampling.level, n, None, 0, None, verdict, reason)


def _plan_blocks(series: np.ndarray, how: Resampling) -> _Plan:
    n, length = len(series), how.block_length or choose_block_length(series, how.min_block)
    n_effective = effective_sample_size(series)
    dependent = length > 1
    return _Plan(
        n_blocks=n // length,
        block_length=length,
        n_effective=n_effective,
        widening=fixed_b(length / n) * _student(how.level, n_effective) if dependent else 1.0,
        weights=lambda: block_weights(n, length, how.n_resamples, how.seed),
        unit=f"blocks of {length} samples",
    )


def fixed_b(share: float) -> float:
    """Return how much wider an interval must be if blocks are this share of the samples.

    Parameters
    ----------
    share : float
        Block length / number of samples, 0 to 1.

    Returns
    -------
    float
        At least 1: the 95 % point for Bartlett weights (Kiefer and Vogelsang 2005) over 1.96.
    """
    share = min(1.0, share)
    return (1.96 + 2.9694 * share + 0.4160 * share**2 - 0.5324 * share**3) / 1.96


def _student(level: float, n_independent: float) -> float:
    tail = (1 + level) / 2
    return float(t.ppf(tail, n_independent - 1) / norm.ppf(tail)) if n_independent > 2 else 1.0


def _plan_groups(series: np.ndarray, how: Resampling) -> _Plan:
    _, group = np.unique(np.asarray(how.groups), return_inverse=True)
    n, n_groups = len(series), int(group.max()) + 1
    alone, together = (series**2).sum(), (np.bincount(group, weights=series) ** 2).sum()
    return _Plan(
        n_blocks=n_groups,
        block_length=None,
        n_effective=float(np.clip(n * alone / together, 1, n)) if together else float(n),
        widening=_student(how.level, n_groups),
        weights=lambda: group_weights(group, how.n_resamples, how.seed),
        unit="recordings",
    )


def _judge(series: np.ndarray, plan: _Plan) -> tuple[Verdict, str | None]:
    if not series.any():
        reason = "every sample scores the same: a width of zero would not be certainty"
        return Verdict.NO_VARIATION, reason
    if plan.n_blocks < MIN_BLOCKS:
        reason = f"{plan.n_blocks} {plan.unit}, at least {MIN_BLOCKS} are needed"
        return Verdict.TOO_FEW_BLOCKS, reason
    if plan.block_length is not None and (n_spells := spells(series)) < MIN_SPELLS:
        noun = "spell" if n_spells == 1 else "spells"
        reason = (
            f"the score rests on {n_spells} separate {noun} of samples, "
            f"at least {MIN_SPELLS} are needed"
        )
        return Verdict.TOO_FEW_BLOCKS, reason
    return Verdict.OK, None


def _ends(
    values: np.ndarray,
    estimate: float,
    plan: _Plan,
    how: Resampling,
    bounds: tuple[float, float],
) -> tuple[float, float]:
    tail = (1 - how.level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    low = min(low, estimate - (estimate - low) * plan.widening)
    high = max(high, estimate + (high - estimate) * plan.widening)
    return float(np.clip(low, *bounds)), float(np.clip(high, *bounds))
