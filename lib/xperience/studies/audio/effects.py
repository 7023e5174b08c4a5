"""How much one set of answers is better than another: in the score's unit, and in none.

The *gain* is the difference of two scores, turned so that more is better, with its paired
block-bootstrap interval. It cannot be averaged over tasks: an F1, an MRR and an error have nothing
to do with one another.

*Net wins* can: the share of test samples that the first answers better, minus the share that the
second does. It lies in [-1, 1] and means the same for every task, whatever the metric's unit; ties,
all of them where a task has one class, count for neither side; and no task can outweigh the others.
A difference of skill scores was put aside as the common scale: skill is unbounded below,
the published ridge heads err by several training deviations, and one such task then makes the mean
whatever it likes, which is just what is wrong with the mean over mixed units.

A *claim* about one of twelve tasks is one of twelve looks, so it needs a p-value that is right far
out in the tails, where Holm's correction reads it (0.4 %). There block bootstraps are not: with the
intervals' own corrections for dependence, inverted, 12 true nulls of 200 to 350 dependent samples
gave a false claim in 7 to 17 % of simulated studies instead of 5 %. So p comes from a t-test over
the means of `N_BATCHES` long stretches of the recording, which pays for few independent stretches
by its fat tails (5 to 9 % in the same simulation at 348 samples, correlation of neighbours 0 to
0.9), and a claim needs the bootstrap interval to exclude 0 as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import ttest_1samp
from statsmodels.stats.multitest import multipletests

from xperience.evaluation.evidence import Boundaries, Labels, LabelSets
from xperience.evaluation.resampling import Resampling, WeightedScore, influence
from xperience.evaluation.uncertainty import Interval, difference, interval
from xperience.evaluation.vectors import Positions, Ranks, Vectors
from xperience.studies.scores import Contestant
from xperience.tasks.measures import Measure

N_BATCHES = 8
"""Stretches that p-values rest on: fewer cost power, more are no longer independent."""

LEVEL = 0.05
"""Greatest chance of any false claim among the looks that are corrected together."""


@dataclass(frozen=True)
class Effect:
    """How much the first of two is better than the second, on the same samples.

    Parameters
    ----------
    gain : Interval
        Difference of the scores in their own unit; above 0 the first is better.
    net_wins : Interval
        Share of samples that the first answers better minus the share that the second does.
    p : float, optional
        Two-sided, not adjusted; None where the gain has no interval.
    """

    gain: Interval
    net_wins: Interval
    p: float | None


def effect(first: np.ndarray, second: np.ndarray, resampling: Resampling | None = None) -> Effect:
    """Return the effect between two scores that are means of per-sample contributions.

    Parameters
    ----------
    first, second : float array, shape (n,)
        What each sample contributes, more being better, in time order.
    resampling : Resampling, optional
    """

    def mean_of(values: np.ndarray) -> WeightedScore:
        return lambda w: w @ values / w.sum(axis=1)

    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    return _effect((mean_of(first), mean_of(second)), first - second, resampling)


def effect_between(
    first: Contestant, second: Contestant, one: Measure, resampling: Resampling | None = None
) -> Effect:
    """Return the effect between two contestants' answers to the same problem.

    Parameters
    ----------
    first, second : Contestant
    one : Measure
        What the gain is a difference of; its direction is taken into account.
    resampling : Resampling, optional
        By default blocks no shorter than the problem's samples overlap.
    """
    sides = (first.weighted(one), second.weighted(one))
    sides = sides if one.metric.higher_is_better else sides[::-1]
    margins = sample_losses(second, one) - sample_losses(first, one)
    return _effect(sides, margins, resampling or first.resampling)


def _effect(
    sides: tuple[WeightedScore, WeightedScore], margins: np.ndarray, how: Resampling | None
) -> Effect:
    how = how or Resampling()
    better, n = np.sign(margins), len(margins)
    return Effect(
        gain=(gain := difference(*sides, n, how)),
        net_wins=interval(lambda w: w @ better / w.sum(axis=1), n, how, (-1.0, 1.0)),
        p=_p_value(lambda w: sides[0](w) - sides[1](w), gain, how),
    )


def sample_losses(one: Contestant, measure: Measure) -> np.ndarray:
    """Return how wrong each sample's answer is, the mean over draws, shape (n,).

    Parameters
    ----------
    one : Contestant
    measure : Measure
        Its metric says which evidence counts.

    Notes
    -----
    Labels: 0 right, 1 wrong. Sets: 1 minus the F1 of the sample's own set. Vectors: mean absolute
    error. Positions: error in metres. Ranks: the mean rank over orders of tied candidates.
    Boundaries: false alarms and misses.
    """
    takes = measure.metric.takes
    found = [next(item for item in draw if isinstance(item, takes)) for draw in one.draws]
    return np.mean([_LOSSES[takes](evidence) for evidence in found], axis=0)


def _set_loss(evidence: LabelSets) -> np.ndarray:
    right = (evidence.truth & evidence.predicted).sum(axis=1)
    either = evidence.truth.sum(axis=1) + evidence.predicted.sum(axis=1)
    return 1 - np.divide(2 * right, either, out=np.ones(len(right)), where=either > 0)


_LOSSES: dict[type, Callable[[Any], np.ndarray]] = {
    Labels: lambda evidence: (evidence.truth != evidence.predicted).astype(float),
    LabelSets: _set_loss,
    Vectors: lambda evidence: evidence.absolute_error,
    Positions: lambda evidence: evidence.error_m.mean(axis=1),
    Ranks: lambda evidence: evidence.expected,
    Boundaries: lambda evidence: evidence.misses + evidence.false_alarms,
}


def _p_value(score_of: WeightedScore, found: Interval, how: Resampling) -> float | None:
    """Return the p-value of a score being 0, from batches of its per-sample contributions."""
    if found.low is None:
        return None
    series = found.estimate + influence(score_of, found.n_samples)
    if how.groups is not None:
        _, batch = np.unique(np.asarray(how.groups), return_inverse=True)
    else:
        batch = np.arange(len(series)) * N_BATCHES // len(series)
    means = np.bincount(batch, weights=series) / np.bincount(batch)
    return float(ttest_1samp(means, 0.0).pvalue)


def adjusted(p_values: Sequence[float | None]) -> list[float | None]:
    """Return Holm's adjusted p-values of several looks; None stays None.

    Parameters
    ----------
    p_values : sequence of float or None
        A look that could not be judged is still a look: it counts as p = 1.

    Notes
    -----
    Claiming what stays at or below 5 % makes any false claim at most 5 % likely, however the looks
    depend on each other (S. Holm, Scandinavian Journal of Statistics 6, 1979).
    """
    if not p_values:
        return []
    filled = [1.0 if p is None else p for p in p_values]
    found = multipletests(filled, method="holm")[1]
    return [None if p is None else float(q) for p, q in zip(p_values, found, strict=True)]


def claims(effects: Sequence[Effect]) -> list[bool]:
    """Return which effects may be claimed, looking at all of them.

    Parameters
    ----------
    effects : sequence of Effect
        Every look that was taken, whatever it showed.

    Returns
    -------
    list of bool
        Whether the adjusted p-value is at most 5 % and the gain's interval excludes 0.
    """
    found = adjusted([one.p for one in effects])
    return [
        p is not None and p <= LEVEL and one.gain.excludes_zero
        for p, one in zip(found, effects, strict=True)
    ]
