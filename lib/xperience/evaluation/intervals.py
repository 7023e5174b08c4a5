"""How sure a score is, when neighbouring windows overlap and resemble each other.

One method for every score and every difference, so that an interval and a p-value never disagree:

- Samples form contiguous *segments* of the recording, or are those of a whole recording where there
  are several. Segments are long enough to be nearly independent: `LENGTH` times the time over which
  what a sample does to the score correlates, at least `min_length` samples, at most `MOST` of them.
- The score's error is the *jackknife*'s over segments: how much leaving one out moves the score.
  It works for means, medians and F1 alike, and the interval stands around the score, where
  resamples that lose classes sit beside it.
- *Student's t* with one degree of freedom less than segments: few segments make wide intervals
  instead of none (Ibragimov and Müller, Journal of Business & Economic Statistics 28, 2010).

How often intervals hold the truth, and how often a difference is found that is none, was
simulated for 100 to 400 samples whose neighbours are correlated 0.5 to 0.95: docs/reading.md has
the figures, tests/evaluation/test_intervals.py the simulation.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

WeightedScore = Callable[[np.ndarray], np.ndarray]
"""Weights, shape (n_rows, n), to values, shape (n_rows,), NaN where undefined."""

WINDOW_OVERLAP = 4
"""Windows of 20 frames, 5 frames apart: the shortest segment that holds a window's own frames."""
LENGTH = 3.0
"""Length of a segment, in integrated autocorrelation times."""
LEAST, MOST = 5, 16
"""Segments that a recording is cut into: fewer have no power, more are less independent."""
FEWEST = 3
"""Segments or recordings below which nothing is said."""
LEVEL = 0.95
"""Share of intervals that should hold the truth."""
CHUNK = 256


@dataclass(frozen=True)
class Segmentation:
    """What counts as one piece of evidence.

    The shortest segment has window frames / stride samples, times the samples a window gives.
    """

    min_length: int = WINDOW_OVERLAP
    groups: np.ndarray | None = None  # recording (or session) of each sample: one segment each


class IntervalStatus(StrEnum):
    """Whether an interval stands."""

    OK = "ok"
    TOO_FEW_SEGMENTS = "too_few_segments"
    NO_VARIATION = "no_variation"
    UNDEFINED = "undefined"


@dataclass(frozen=True)
class Interval:
    """An interval for a score or a difference, or the reason why there is none."""

    estimate: float | None  # the score on the samples as they are
    low: float | None = None  # None unless the status is ok
    high: float | None = None
    p: float | None = None  # two-sided, of the estimate being 0
    n_effective: float | None = None  # independent samples, or recordings, that they are worth
    n_segments: int = 0
    status: IntervalStatus = IntervalStatus.OK
    reason: str | None = None  # why the interval doesn't stand

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is significant: there is an interval and it excludes 0."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def interval(
    score_of: WeightedScore,
    n: int,
    segmentation: Segmentation | None = None,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Interval:
    """Return the interval of a score over dependent samples.

    Parameters
    ----------
    score_of : function
        The score as a function of sample weights: see `xperience.evaluation.metrics.weighted`.
    n : int
        Number of samples, in time order.
    segmentation : Segmentation, optional
        Shortest segment, or recordings.
    bounds : pair of float
        Possible values of the score; the ends stay inside.

    Returns
    -------
    Interval
        Without ends where samples are too few, or all score the same and the score is unbounded.
    """
    how = segmentation or Segmentation()
    estimate = float(score_of(np.ones((1, n)))[0]) if n else math.nan
    if math.isnan(estimate):
        reason = "no samples" if not n else "the score is undefined"
        return Interval(None, status=IntervalStatus.UNDEFINED, reason=reason)
    segment, n_effective, unit = _segments_of(score_of, n, how)
    q = int(segment.max()) + 1
    if q < FEWEST:
        reason = f"{q} {unit}, at least {FEWEST} are needed"
        status = IntervalStatus.TOO_FEW_SEGMENTS
        return Interval(estimate, None, None, None, n_effective, q, status, reason)
    error = _jackknife_error(score_of, segment)
    if not error > 1e-9 * max(1.0, abs(estimate)):
        return _constant(estimate, q, bounds)
    half = float(stdtrit(q - 1, (1 + LEVEL) / 2)) * error
    return Interval(
        estimate,
        float(np.clip(estimate - half, *bounds)),
        float(np.clip(estimate + half, *bounds)),
        2 * float(stdtr(q - 1, -abs(estimate) / error)),
        n_effective,
        q,
    )


def difference(
    first: WeightedScore,
    second: WeightedScore,
    n: int,
    segmentation: Segmentation | None = None,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Interval:
    """Return the interval of first minus second, both scored on the same samples.

    See `interval`; the two are scores of the same n samples, in the same order; ``bounds`` are the
    possible values of either.
    """
    span = bounds[1] - bounds[0]
    both = (-span, span)
    return interval(lambda weights: first(weights) - second(weights), n, segmentation, both)


def interval_fields(found: Interval) -> dict[str, Any]:
    """Return an interval as fields of a row: its ends, or why there are none."""
    fields = {"n_effective": found.n_effective}
    if found.low is None or found.high is None:
        return fields | {"ci_reason": f"{found.status}: {found.reason}"}
    return fields | {"ci_low": found.low, "ci_high": found.high}


def difference_fields(found: Interval) -> dict[str, Any]:
    """Return the interval of a difference as fields of a row, with its p."""
    return interval_fields(found) | {"p": found.p}


def _segments_of(
    score_of: WeightedScore, n: int, how: Segmentation
) -> tuple[np.ndarray, float, str]:
    """Return each sample's segment, int (n,), how many samples count, what a segment is called."""
    if how.groups is not None:
        names, segment = np.unique(np.asarray(how.groups), return_inverse=True)
        return segment, float(len(names)), "recordings or sessions"
    most = min(MOST, n // how.min_length)
    size = effective_sample_size(influence(score_of, n))
    q = max(1, min(most, max(LEAST, int(size / LENGTH))))
    return np.arange(n) * q // n, size, f"segments of {how.min_length} samples"


def _jackknife_error(score_of: WeightedScore, segment: np.ndarray) -> float:
    """Return the standard error of a score, from leaving out each segment; NaN if none can be."""
    without = score_of((segment != np.arange(segment.max() + 1)[:, None]).astype(float))
    without = without[~np.isnan(without)]
    q = len(without)
    return float(without.std() * math.sqrt(q - 1)) if q > 1 else math.nan


def _constant(value: float, q: int, bounds: tuple[float, float]) -> Interval:
    """Return what q segments that all score the same allow to be said.

    Of a score at a bound, such as all right: a share of segments that was never seen in q of them
    is below the exact binomial bound, and could score anything. A difference in all segments has
    the sign test's p.
    """
    p = 1.0 if value == 0 else 2.0 ** (1 - q)
    span = bounds[1] - bounds[0]
    if not math.isfinite(span) or value not in bounds:
        reason = "every sample scores the same: a width of zero would not be certainty"
        status = IntervalStatus.NO_VARIATION
        return Interval(value, p=p, n_segments=q, status=status, reason=reason)
    half = span * (1 - ((1 - LEVEL) / 2) ** (1 / q))
    low, high = max(bounds[0], value - half), min(bounds[1], value + half)
    return Interval(value, low, high, p, n_segments=q)


# --- the dependence of a series: one value a sample, in time order ----------------------------


def influence(score_of: WeightedScore, n: int) -> np.ndarray:
    """Return what leaving out each of n samples does to a score, as a series over the samples.

    (n - 1) · (score - score without the sample): for a mean, each sample's deviation. 0 where the
    score without the sample is undefined.
    """
    whole = float(score_of(np.ones((1, n)))[0])
    without = np.empty(n)
    for start in range(0, n, CHUNK):
        rows = np.arange(start, min(start + CHUNK, n))
        weights = np.ones((len(rows), n))
        weights[np.arange(len(rows)), rows] = 0
        without[rows] = score_of(weights)
    return (n - 1) * np.nan_to_num(whole - without)


def effective_sample_size(series: np.ndarray) -> float:
    """Return how many independent samples a dependent series of n is worth, from 1 to n.

    Notes
    -----
    It is n / integrated autocorrelation time. The time is Geyer's (1992): correlations are summed
    in pairs of lags while a pair's sum is positive. It is estimated around the series' own mean,
    hence too short, and the size too great, where the dependence reaches across the whole
    recording.
    """
    series = np.asarray(series, dtype=float)
    n = len(series)
    if n < 2 or np.ptp(series) == 0:
        return float(n)
    deviation = series - series.mean()
    spectrum = np.abs(np.fft.rfft(deviation, 2 * n)) ** 2
    correlation = np.fft.irfft(spectrum)[:n]
    correlation = correlation / correlation[0]  # (n,) lags
    pairs = correlation[: n - n % 2].reshape(-1, 2).sum(axis=1)
    stop = int((pairs <= 0).argmax()) if (pairs <= 0).any() else len(pairs)
    time = max(1.0, 2 * float(pairs[:stop].sum()) - 1)
    return max(1.0, n / time)
