"""How much later one signal comes than another, how that drifts, and how sure it is.

Two signals on one regular grid are cut into stretches. Each stretch gives one cross-correlation
curve; a clock that is `offset` late at the middle of the recording and runs away by `drift` is the
straight line through the curves along which their sum is greatest. So a stretch in which nothing
happens has no say, and no stretch needs a clear peak of its own.

- *Interval*: blocks of neighbouring stretches are drawn anew, the line is fitted to each resample
  in full, and percentiles are widened by Student's t at the number of blocks.
- *Chance*: the same fit after the signals were moved against each other by far more than any
  offset that is looked for. A peak that does not stand well above these is not believed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.stats import norm, t

from xperience.evaluation.resampling import block_weights

RATE_HZ = 100.0
MAX_OFFSET_S, MAX_DRIFT = 1.5, 1e-3
SHORTEST_S = 20.0
"""Recordings below this have too few stretches for an interval."""
STANDS_OUT = 4.0
"""Standard deviations by which a peak must exceed the mean peak of wrongly paired signals."""
LEVEL = 0.95

_STRETCH_S, _MOST_STRETCHES, _BLOCK = (2.0, 10.0), 24, 2
_DRIFT_STEP_S, _ADDS_UP_S = 0.010, 0.050  # at the ends of the recording
_N_RESAMPLES, _N_WRONG = 400, 60
_CELLS = 4_000_000  # numbers held at a time


@dataclass(frozen=True)
class Line:
    """A clock against another: late by ``offset_s`` in the middle, by more towards the end.

    Parameters
    ----------
    offset_s : float or array, shape (n_fits,)
        Lateness at the middle of the recording, in seconds.
    drift : float or array, shape (n_fits,)
        Seconds of lateness gained a second.
    """

    offset_s: np.ndarray | float
    drift: np.ndarray | float

    def at(self, from_middle_s: float) -> np.ndarray | float:
        """Return the lateness so many seconds after the middle of the recording."""
        return self.offset_s + self.drift * from_middle_s


@dataclass(frozen=True)
class Lag:
    """How much later one signal comes than another.

    Parameters
    ----------
    line : Line
        The best one.
    resampled : Line
        One a resample, widened so that plain percentiles are the ends of the interval.
    correlation : float
        Correlation of the signals once the line is taken out, -1 to 1.
    stands_out : float
        Standard deviations by which the peak exceeds the mean peak of wrongly paired signals.
    exceeds_all : bool
        Whether no wrong pairing has as high a peak.
    lags_s, curve : float array, shape (n_lags,)
        The cross-correlation with the drift taken out.
    n_stretches : int
        Stretches of the recording.
    length_s : float
        Length of both signals.
    """

    line: Line
    resampled: Line
    correlation: float
    stands_out: float
    exceeds_all: bool
    lags_s: np.ndarray
    curve: np.ndarray
    n_stretches: int
    length_s: float

    @property
    def believed(self) -> bool:
        """Whether the peak is no chance find."""
        return self.exceeds_all and self.stands_out >= STANDS_OUT

    @property
    def at_limit(self) -> bool:
        """Whether the best line lies where the search ends; a drift only if it adds up."""
        far = abs(self.line.offset_s) >= MAX_OFFSET_S - 1.5 / RATE_HZ
        fast = abs(self.line.drift) >= 0.999 * MAX_DRIFT
        return bool(far or (fast and MAX_DRIFT * self.length_s / 2 > _ADDS_UP_S))


def regular_grid(length_s: float) -> np.ndarray:
    """Return instants `1 / RATE_HZ` apart, from half a step to `length_s`, shape (n,)."""
    return (np.arange(int(length_s * RATE_HZ)) + 0.5) / RATE_HZ


def forwards(time_s: np.ndarray) -> np.ndarray:
    """Return which instants are later than all before them, bool array, shape (n,)."""
    latest = np.maximum.accumulate(time_s)
    return np.r_[True, time_s[1:] > latest[:-1]][: len(time_s)]


def on_grid(time_s: np.ndarray, values: np.ndarray, grid_s: np.ndarray, gap_s: float) -> np.ndarray:
    """Return a sampled quantity on another grid, by straight lines.

    Parameters
    ----------
    time_s, values : float array, shape (n,)
        Instants and what was measured; NaN where nothing was. A sample whose clock has run back
        is left out.
    grid_s : float array, shape (m,)
    gap_s : float
        No line is drawn between samples further apart than this.

    Returns
    -------
    float array, shape (m,)
        NaN in gaps, before the first sample and after the last.
    """
    good = np.isfinite(values) & np.isfinite(time_s)
    good[good] = forwards(time_s[good])
    time_s, values = time_s[good], values[good]
    if len(time_s) < 2:
        return np.full(len(grid_s), np.nan)
    out = np.interp(grid_s, time_s, values, left=np.nan, right=np.nan)
    after = np.clip(np.searchsorted(time_s, grid_s), 1, len(time_s) - 1)
    return np.where(time_s[after] - time_s[after - 1] > gap_s, np.nan, out)


def measure_lag(late: np.ndarray, reference: np.ndarray, seed: int = 0) -> Lag:
    """Return how much later one signal comes than another.

    Parameters
    ----------
    late, reference : float array, shape (n,) or (n, n_channels)
        At `RATE_HZ`, of at least `SHORTEST_S`; NaN where unknown. Both vary. Of several channels,
        each is compared with its own.
    seed : int
        Draws the resamples.

    Returns
    -------
    Lag
        Positive where what ``late`` and ``reference`` share comes later in ``late``.
    """
    late, scale_late = _centred(late)
    reference, scale_reference = _centred(reference)
    plan = _Plan.of(len(late) / RATE_HZ)
    curves = plan.curves(late, reference) / (scale_late * scale_reference)
    line, peak = plan.search(curves, np.ones((1, plan.n_stretches)))
    best = Line(float(line.offset_s[0]), float(line.drift[0]))
    weights = block_weights(plan.n_stretches, _BLOCK, _N_RESAMPLES, seed)
    resampled, _ = plan.search(curves, weights)
    wrong = np.array([_peak(plan, shifted, reference) for shifted in _wrongly(late)])
    wrong = wrong / (scale_late * scale_reference)
    spread = max(float(wrong.std(ddof=1)), 1e-12)
    return Lag(
        best,
        _widened(best, resampled, plan.n_stretches / _BLOCK),
        float(peak[0]),
        float((peak[0] - wrong.mean()) / spread),
        bool(peak[0] > wrong.max()),
        plan.lags_s,
        plan.along(curves, best.drift).sum(0),
        plan.n_stretches,
        len(late) / RATE_HZ,
    )


def _centred(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Return channels about their means, 0 where unknown, shape (n, d), and their joint length."""
    values = np.asarray(values, dtype=float)
    values = values.reshape(len(values), -1)
    known = np.isfinite(values)
    mean = np.where(known, values, 0).sum(0) / np.maximum(known.sum(0), 1)
    values = np.where(known, values - mean, 0.0)
    return values, max(float(np.linalg.norm(values)), 1e-300)


def _wrongly(late: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the signal moved around by more than any offset that is looked for."""
    far = round(2 * MAX_OFFSET_S * RATE_HZ)
    for shift in np.linspace(far, len(late) - far, _N_WRONG).astype(int):
        yield np.roll(late, shift, axis=0)


def _peak(plan: "_Plan", late: np.ndarray, reference: np.ndarray) -> float:
    _, peak = plan.search(plan.curves(late, reference), np.ones((1, plan.n_stretches)))
    return float(peak[0])


def _widened(best: Line, resampled: Line, n_blocks: float) -> Line:
    """Return resamples further from the best line, as few blocks call for."""
    tail = (1 - LEVEL) / 2
    factor = t.isf(tail, n_blocks - 1) / norm.isf(tail) * np.sqrt(n_blocks / (n_blocks - 1))
    return Line(
        best.offset_s + factor * (resampled.offset_s - best.offset_s),
        np.clip(best.drift + factor * (resampled.drift - best.drift), -MAX_DRIFT, MAX_DRIFT),
    )


@dataclass(frozen=True)
class _Plan:
    """How signals of one length are cut and which lines are tried."""

    n_stretches: int
    stretch: int  # samples
    reach: int  # samples of the greatest offset
    drifts: np.ndarray

    @classmethod
    def of(cls, length_s: float) -> "_Plan":
        stretch_s = float(np.clip(length_s / _MOST_STRETCHES, *_STRETCH_S))
        n_stretches = max(int(length_s / stretch_s), 1)
        stretch = int(length_s * RATE_HZ) // n_stretches
        end_s = MAX_DRIFT * length_s / 2
        sides = max(2, int(np.ceil(end_s / _DRIFT_STEP_S)))
        drifts = np.linspace(-MAX_DRIFT, MAX_DRIFT, 2 * sides + 1)
        return cls(n_stretches, stretch, round(MAX_OFFSET_S * RATE_HZ), drifts)

    @property
    def middles_s(self) -> np.ndarray:
        """Middles of the stretches, counted from the middle of the recording."""
        return (np.arange(self.n_stretches) - (self.n_stretches - 1) / 2) * self.stretch / RATE_HZ

    @property
    def margin(self) -> int:
        """Samples by which curves reach further than the offsets that are tried."""
        return int(np.ceil(MAX_DRIFT * np.abs(self.middles_s).max() * RATE_HZ)) + 2

    @property
    def lags_s(self) -> np.ndarray:
        """The offsets that are tried, shape (n_lags,)."""
        return np.arange(-self.reach, self.reach + 1) / RATE_HZ

    def curves(self, late: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Return the cross-correlation of each stretch, summed over the channels of (n, d) signals.

        Returns
        -------
        float array, shape (n_stretches, n_lags + margins)
        """
        side, n = self.reach + self.margin, self.n_stretches * self.stretch
        tail = max(n + side - len(late), 0)
        padded = np.pad(late[: n + side], ((side, tail), (0, 0))).T  # (d, n + 2 * side)
        long = self.stretch + 2 * side
        windows = np.lib.stride_tricks.sliding_window_view(padded, long, axis=1)
        size = next_fast_len(long, real=True)
        wide = rfft(windows[:, :: self.stretch], size, axis=2)  # (d, n_stretches, n_bins)
        pieces = reference[:n].T.reshape(-1, self.n_stretches, self.stretch)
        product = (wide * rfft(pieces, size, axis=2).conj()).sum(0)
        return irfft(product, size, axis=1)[:, : 2 * side + 1]

    def along(self, curves: np.ndarray, drift: float) -> np.ndarray:
        """Return the curves with a drift taken out, shape (n_stretches, n_lags)."""
        shift = drift * self.middles_s * RATE_HZ + self.margin
        whole = np.floor(shift).astype(int)
        part = (shift - whole)[:, None]
        lags = whole[:, None] + np.arange(2 * self.reach + 1)
        low = np.take_along_axis(curves, lags, axis=1)
        high = np.take_along_axis(curves, lags + 1, axis=1)
        return (1 - part) * low + part * high

    def search(self, curves: np.ndarray, weights: np.ndarray) -> tuple[Line, np.ndarray]:
        """Return the best line and its height for each row of weights.

        Parameters
        ----------
        curves : float array, shape (n_stretches, n_lags + margins)
        weights : float array, shape (n_fits, n_stretches)
        """
        tried = np.stack([self.along(curves, drift) for drift in self.drifts])
        cells = len(self.drifts) * (2 * self.reach + 1)
        step = max(1, _CELLS // cells)
        found = [
            _highest(np.einsum("bk,dkl->bdl", weights[first : first + step], tried, optimize=True))
            for first in range(0, len(weights), step)
        ]
        drift, lag, height = (np.concatenate(part) for part in zip(*found, strict=True))
        spacing = self.drifts[1] - self.drifts[0]
        line = Line((lag - self.reach) / RATE_HZ, self.drifts[0] + spacing * drift)
        return line, height


def _highest(heights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return drift and lag, in cells, of the highest point of each map, and its height.

    Parameters
    ----------
    heights : float array, shape (n_maps, n_drifts, n_lags)
    """
    n_maps, n_drifts, n_lags = heights.shape
    top = heights.reshape(n_maps, -1).argmax(1)
    row, column = np.unravel_index(top, (n_drifts, n_lags))
    around = np.arange(-1, 2)
    rows = np.clip(row, 1, n_drifts - 2)[:, None, None] + around[:, None]
    columns = np.clip(column, 1, n_lags - 2)[:, None, None] + around
    cells = heights[np.arange(n_maps)[:, None, None], rows, columns]  # (n_maps, 3, 3)
    inside = row == rows[:, 1, 0], column == columns[:, 0, 1]
    down, across = _summit(cells, *inside)
    height = heights.reshape(n_maps, -1)[np.arange(n_maps), top]
    return row + down, column + across, height


def _summit(
    cells: np.ndarray, inside_d: np.ndarray, inside_l: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return where a surface through 3x3 cells is highest, from the middle one, in cells.

    At the first and the last drift only the offset is refined, along that drift's own curve; at the
    first and the last offset nothing is.
    """
    down, across = _paraboloid(cells)
    own = np.where(inside_d, 1, np.where(cells[:, 0, 1] > cells[:, 2, 1], 0, 2))
    before, middle, after = np.moveaxis(cells[np.arange(len(cells)), own], 1, 0)
    bend = before - 2 * middle + after
    alone = (before - after) / 2 / np.where(bend < 0, bend, -np.inf)
    across = np.where(inside_d, across, np.clip(alone, -1, 1))
    return np.where(inside_d & inside_l, down, 0.0), np.where(inside_l, across, 0.0)


def _paraboloid(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where a paraboloid through 3x3 cells is highest, from the middle one, in cells."""
    middle = cells[:, 1, 1]
    slope_d, slope_l = (cells[:, 2, 1] - cells[:, 0, 1]) / 2, (cells[:, 1, 2] - cells[:, 1, 0]) / 2
    bend_d = cells[:, 2, 1] - 2 * middle + cells[:, 0, 1]
    bend_l = cells[:, 1, 2] - 2 * middle + cells[:, 1, 0]
    twist = (cells[:, 2, 2] - cells[:, 2, 0] - cells[:, 0, 2] + cells[:, 0, 0]) / 4
    area = bend_d * bend_l - twist**2
    peaked = (area > 0) & (bend_l < 0)
    safe = np.where(peaked, area, 1.0)
    down = np.where(peaked, (twist * slope_l - bend_l * slope_d) / safe, 0.0)
    across = np.where(peaked, (twist * slope_d - bend_d * slope_l) / safe, 0.0)
    return np.clip(down, -1, 1), np.clip(across, -1, 1)
