"""Resamples that keep the dependence of a series, and how far that dependence reaches.

A resample is a row of weights: how often each sample was drawn. Why blocks are circular and how
long they are is told in `xperience.evaluation.uncertainty`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from arch.bootstrap import optimal_block_length

WeightedScore = Callable[[np.ndarray], np.ndarray]

LENGTH_FACTOR = 2.0
"""Longer than the length of least squared error, which is known to be short for intervals."""
WINDOW_OVERLAP = 4
"""Windows of 20 frames, 5 frames apart: the shortest block that holds a window's own frames."""
FEWEST = 32
"""Samples below which no dependence is estimated: the shortest block is taken."""
CHUNK = 256


@dataclass(frozen=True)
class Resampling:
    """How to resample.

    Parameters
    ----------
    n_resamples : int
        Resamples drawn.
    seed : int
        Seed of the draws; the same seed, length and number of samples give the same draws.
    level : float
        Share of intervals that should hold the truth.
    min_block : int
        Shortest block, in samples: window frames / stride, times the samples a window gives.
    block_length : int, optional
        Block length in samples, instead of one chosen from the data.
    groups : array, shape (n,), optional
        Recording of each sample: whole recordings are drawn instead of blocks.
    """

    n_resamples: int = 2000
    seed: int = 0
    level: float = 0.95
    min_block: int = WINDOW_OVERLAP
    block_length: int | None = None
    groups: np.ndarray | None = None


def influence(score_of: WeightedScore, n: int) -> np.ndarray:
    """Return what leaving out each sample does to a score, as a series over the samples.

    Parameters
    ----------
    score_of : function
        Weights, shape (n_rows, n), to values, shape (n_rows,).
    n : int
        Number of samples.

    Returns
    -------
    float array, shape (n,)
        (n - 1) · (score - score without the sample): for a mean, each sample's deviation. 0 where
        the score without the sample is undefined.
    """
    whole = float(score_of(np.ones((1, n)))[0])
    without = np.empty(n)
    for start in range(0, n, CHUNK):
        rows = np.arange(start, min(start + CHUNK, n))
        weights = np.ones((len(rows), n))
        weights[np.arange(len(rows)), rows] = 0
        without[rows] = score_of(weights)
    return (n - 1) * np.nan_to_num(whole - without)


def choose_block_length(series: np.ndarray, min_block: int = WINDOW_OVERLAP) -> int:
    """Return the block length that the dependence of a series calls for.

    Parameters
    ----------
    series : float array, shape (n,)
        One value a sample, in time order.
    min_block : int
        Shortest length to return.

    Returns
    -------
    int
        Samples, at most n.
    """
    series = np.asarray(series, dtype=float)
    if len(series) < FEWEST or np.ptp(series) == 0:
        return max(1, min(min_block, len(series)))
    with np.errstate(divide="ignore", invalid="ignore"):  # a series that is its mean at one end
        best = float(optimal_block_length(series)["circular"].iloc[0])
    best = math.ceil(LENGTH_FACTOR * best) if math.isfinite(best) else 1
    return max(1, min(max(min_block, best), len(series)))


def effective_sample_size(series: np.ndarray) -> float:
    """Return how many independent samples a dependent series is worth.

    Parameters
    ----------
    series : float array, shape (n,)
        One value a sample, in time order.

    Returns
    -------
    float
        n / integrated autocorrelation time, from 1 to n; n for a constant series.

    Notes
    -----
    The time is Geyer's (1992): correlations are summed in pairs of lags while a pair's sum is
    positive. It is estimated around the series' own mean, hence too short, and the size too great,
    where the dependence reaches across the whole recording.
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


def spells(series: np.ndarray) -> int:
    """Return in how many separate spells a series is above its mean, the ends joined."""
    above = series > series.mean()
    return int((above & ~np.roll(above, 1)).sum())


def block_weights(n: int, block_length: int, n_resamples: int, seed: int = 0) -> np.ndarray:
    """Return how often each sample is drawn in resamples made of circular blocks.

    Parameters
    ----------
    n : int
        Samples, in time order.
    block_length : int
        Samples a block; 1 draws independently.
    n_resamples : int
        Resamples.
    seed : int
        Seed of the draws.

    Returns
    -------
    float array, shape (n_resamples, n)
        Whole numbers; each row sums to n.

    Notes
    -----
    The draws are those of ``arch.bootstrap.CircularBlockBootstrap``, all resamples at once.
    """
    n_blocks = -(-n // block_length)
    starts = np.random.default_rng(seed).integers(n, size=(n_resamples, n_blocks, 1))
    drawn = (starts + np.arange(block_length)).reshape(n_resamples, -1)[:, :n] % n
    drawn += n * np.arange(n_resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=n * n_resamples)
    return counts.reshape(n_resamples, n).astype(float)


def group_weights(groups: np.ndarray, n_resamples: int, seed: int = 0) -> np.ndarray:
    """Return how often each sample is drawn in resamples made of whole recordings.

    Parameters
    ----------
    groups : array, shape (n,)
        Recording of each sample.
    n_resamples : int
        Resamples.
    seed : int
        Seed of the draws.

    Returns
    -------
    float array, shape (n_resamples, n)
        Whole numbers, the same for all samples of a recording.
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    even = np.full(len(names), 1 / len(names))
    drawn = np.random.default_rng(seed).multinomial(len(names), even, size=n_resamples)
    return drawn[:, group].astype(float)
