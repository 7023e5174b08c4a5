"""How much later one clock runs than another, how that drifts, and how sure it is.

Two signals on one regular grid are cut into segments. Each segment gives one cross-correlation
curve; a clock that is `offset` late at the middle of the recording and runs away by `drift` is the
straight line through the curves along which their sum is greatest. So a segment in which nothing
happens has no weight, and no segment needs a clear peak of its own.

- *Interval*: blocks of neighbouring segments are resampled, the line is fitted to each resample in
  full, and percentiles are widened by Student's t at the number of blocks.
- *Chance*: the same fit after the signals were moved against each other by far more than any
  offset that is looked for. A peak that does not stand well above these is not believed.

Clocks that were read at the same frames need no correlation: `compare_clocks` fits the line to
their differences.
"""

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import ndtri, stdtrit

RATE_HZ = 100.0
MAX_OFFSET_S, MAX_DRIFT = 1.5, 1e-3
SHORTEST_S = 20.0
"""Recordings below this have too few segments for an interval."""
STANDS_OUT = 4.0
"""Standard deviations by which a peak must exceed the mean peak of wrongly paired signals."""
LEVEL = 0.95

_SEGMENT_S, _N_SEGMENTS, _BLOCK = (2.0, 10.0), 24, 2  # at most so many segments
_DRIFT_STEP_S, _ADDS_UP_S = 0.010, 0.050  # at the ends of the recording
_N_RESAMPLES, _N_WRONG = 400, 60
_CELLS = 4_000_000  # numbers held at a time
_GAP = 1.5  # frames


@dataclass(frozen=True)
class Line:
    """A clock against another, or one for each resample of the recording."""

    offset_s: np.ndarray | float  # how late it is at the middle of the recording
    drift: np.ndarray | float  # seconds of lateness gained a second

    def at(self, from_middle_s: float) -> np.ndarray | float:
        """Return the lateness so many seconds after the middle of the recording."""
        return self.offset_s + self.drift * from_middle_s


@dataclass(frozen=True)
class ClockFit:
    """The best line of two clocks, and those of the resampled recording."""

    line: Line
    resampled: Line  # plain percentiles are the ends of the interval
    length_s: float
    n_segments: int


@dataclass(frozen=True)
class Lag(ClockFit):
    """How much later one signal comes than another."""

    correlation: float  # of the signals once the line is taken out
    stands_out: float  # standard deviations above the mean peak of wrongly paired signals
    exceeds_all: bool  # no wrong pairing has as high a peak
    curve: np.ndarray  # (2, n_lags): offsets in ms and correlation, the drift taken out

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


@dataclass(frozen=True)
class ClockLine(ClockFit):
    """How one clock runs away from another, both read at the same frames."""

    jitter_ms: float  # standard deviation around the line
    furthest_ms: float  # greatest difference of the clocks at any frame, with its sign
    gaps: tuple[int, int]  # steps of more than one and a half frames in each clock


def compare_clocks(late_s: np.ndarray, reference_s: np.ndarray, seed: int = 0) -> ClockLine:
    """Return how one clock runs away from another, both being 0 at the first frame.

    Positive where the first clock is ahead. Where the clocks agree to the last digit the interval
    has no width. Both have shape (n_frames,), of at least 48 frames.
    """
    late_s, reference_s = late_s - late_s[0], reference_s - reference_s[0]
    length_s = float(reference_s[-1])
    away_s = late_s - reference_s
    from_middle_s = reference_s - length_s / 2
    segment = np.arange(len(away_s)) * _N_SEGMENTS // len(away_s)
    terms = (np.ones(len(away_s)), from_middle_s, from_middle_s**2, away_s, from_middle_s * away_s)
    sums = np.stack([np.bincount(segment, term) for term in terms], axis=1)  # (n_segments, 5)
    whole = _least_squares(np.ones((1, _N_SEGMENTS)) @ sums)
    weights = _block_weights(_N_SEGMENTS, seed)
    line = Line(float(whole.offset_s[0]), float(whole.drift[0]))
    return ClockLine(
        line,
        _least_squares(weights @ sums),
        length_s,
        _N_SEGMENTS,
        1e3 * float(np.std(away_s - line.at(from_middle_s))),
        round(1e3 * float(away_s[np.abs(away_s).argmax()]), 6),
        (count_gaps(late_s), count_gaps(reference_s)),
    )


def count_gaps(clock_s: np.ndarray) -> int:
    """Return how many steps of a clock are longer than one and a half of its usual ones."""
    steps_s = np.diff(clock_s)
    return int(np.sum(steps_s / np.median(steps_s) > _GAP))


def _least_squares(sums: np.ndarray) -> Line:
    """Return the line from sums of 1, x, x², y and xy, shape (n_fits, 5)."""
    n, x, xx, y, xy = sums.T
    drift = (n * xy - x * y) / (n * xx - x**2)
    return Line((y - drift * x) / n, drift)


def measure_lag(late: np.ndarray, reference: np.ndarray, seed: int = 0) -> Lag:
    """Return how much later what two signals share comes in ``late`` than in ``reference``.

    Both are float (n,) or (n, n_channels), at `RATE_HZ`, of at least `SHORTEST_S`, and vary; NaN
    where unknown. Of several channels, each is compared with its own. The seed draws the resamples.
    """
    late, scale_late = _centred(late)
    reference, scale_reference = _centred(reference)
    scale, length_s = scale_late * scale_reference, len(late) / RATE_HZ
    search = _LineSearch(length_s)
    curves = search.curves(late, reference) / scale
    line, (peak,) = search.best(curves, np.ones((1, search.n_segments)))
    best = Line(float(line.offset_s[0]), float(line.drift[0]))
    weights = _block_weights(search.n_segments, seed)
    resampled, _ = search.best(curves, weights)
    # few blocks call for resamples further from the best line
    tail, n_blocks = (1 - LEVEL) / 2, search.n_segments / _BLOCK
    factor = stdtrit(n_blocks - 1, tail) / ndtri(tail) * np.sqrt(n_blocks / (n_blocks - 1))
    drift = best.drift + factor * (resampled.drift - best.drift)
    offset_s = best.offset_s + factor * (resampled.offset_s - best.offset_s)
    widened = Line(offset_s, np.clip(drift, -MAX_DRIFT, MAX_DRIFT))
    far = round(2 * MAX_OFFSET_S * RATE_HZ)
    wrong = np.zeros(_N_WRONG)
    for number, by in enumerate(np.linspace(far, len(late) - far, _N_WRONG).astype(int)):
        shifted = search.curves(np.roll(late, by, axis=0), reference)
        wrong[number] = search.best(shifted, np.ones((1, search.n_segments)))[1][0]
    wrong = wrong / scale
    return Lag(
        best,
        widened,
        length_s,
        search.n_segments,
        float(peak),
        float((peak - wrong.mean()) / max(float(wrong.std(ddof=1)), 1e-12)),
        bool(peak > wrong.max()),
        np.stack([1e3 * search.lags_s, search.along(curves, best.drift).sum(0)]),
    )


def _centred(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Return channels about their means, 0 where unknown, shape (n, d), and their joint length."""
    values = np.asarray(values, dtype=float)
    values = values.reshape(len(values), -1)
    known = np.isfinite(values)
    mean = np.where(known, values, 0).sum(0) / np.maximum(known.sum(0), 1)
    values = np.where(known, values - mean, 0.0)
    return values, max(float(np.linalg.norm(values)), 1e-300)


def _block_weights(n: int, seed: int) -> np.ndarray:
    """Return how often each segment is drawn in circular blocks, float (n_resamples, n)."""
    n_blocks = -(-n // _BLOCK)
    starts = np.random.default_rng(seed).integers(n, size=(_N_RESAMPLES, n_blocks, 1))
    drawn = (starts + np.arange(_BLOCK)).reshape(_N_RESAMPLES, -1)[:, :n] % n
    drawn += n * np.arange(_N_RESAMPLES)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=n * _N_RESAMPLES)
    return counts.reshape(_N_RESAMPLES, n).astype(float)


class _LineSearch:
    """How signals of one length are cut, and the search for their best line."""

    def __init__(self, length_s: float):
        segment_s = float(np.clip(length_s / _N_SEGMENTS, *_SEGMENT_S))
        self.n_segments = max(int(length_s / segment_s), 1)
        self.segment = int(length_s * RATE_HZ) // self.n_segments  # samples
        self.reach = round(MAX_OFFSET_S * RATE_HZ)  # samples
        self.lags_s = np.arange(-self.reach, self.reach + 1) / RATE_HZ
        sides = max(2, int(np.ceil(MAX_DRIFT * length_s / 2 / _DRIFT_STEP_S)))
        self.drifts = np.linspace(-MAX_DRIFT, MAX_DRIFT, 2 * sides + 1)
        places = np.arange(self.n_segments) - (self.n_segments - 1) / 2
        self.middles_s = places * self.segment / RATE_HZ  # from the middle of the recording
        # samples by which curves reach further than the offsets that are tried
        self.margin = int(np.ceil(MAX_DRIFT * np.abs(self.middles_s).max() * RATE_HZ)) + 2

    def curves(self, late: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Return each segment's cross-correlation, summed over the channels of (n, d) signals.

        Its shape is (n_segments, n_lags + margins).
        """
        side, n = self.reach + self.margin, self.n_segments * self.segment
        tail = max(n + side - len(late), 0)
        padded = np.pad(late[: n + side], ((side, tail), (0, 0))).T  # (d, n + 2 * side)
        long = self.segment + 2 * side
        windows = np.lib.stride_tricks.sliding_window_view(padded, long, axis=1)
        size = next_fast_len(long, real=True)
        wide = rfft(windows[:, :: self.segment], size, axis=2)  # (d, n_segments, n_bins)
        pieces = reference[:n].T.reshape(-1, self.n_segments, self.segment)
        product = (wide * rfft(pieces, size, axis=2).conj()).sum(0)
        return irfft(product, size, axis=1)[:, : 2 * side + 1]

    def along(self, curves: np.ndarray, drift: float) -> np.ndarray:
        """Return the curves with a drift taken out, shape (n_segments, n_lags)."""
        shift = drift * self.middles_s * RATE_HZ + self.margin
        whole = np.floor(shift).astype(int)
        part = (shift - whole)[:, None]
        lags = whole[:, None] + np.arange(2 * self.reach + 1)
        low = np.take_along_axis(curves, lags, axis=1)
        high = np.take_along_axis(curves, lags + 1, axis=1)
        return (1 - part) * low + part * high

    def best(self, curves: np.ndarray, weights: np.ndarray) -> tuple[Line, np.ndarray]:
        """Return the best line and its height for each row of weights, (n_fits, n_segments)."""
        tried = np.stack([self.along(curves, drift) for drift in self.drifts])
        step = max(1, _CELLS // (len(self.drifts) * len(self.lags_s)))
        found = [
            _highest(np.einsum("bk,dkl->bdl", weights[first : first + step], tried, optimize=True))
            for first in range(0, len(weights), step)
        ]
        drift, lag, height = (np.concatenate(part) for part in zip(*found, strict=True))
        spacing = self.drifts[1] - self.drifts[0]
        return Line((lag - self.reach) / RATE_HZ, self.drifts[0] + spacing * drift), height


def _highest(heights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return drift and lag, in cells, of the highest point of each map, and its height.

    Maps have shape (n_maps, n_drifts, n_lags). A paraboloid through the 3x3 cells about the highest
    refines its place. At the first and the last drift only the offset is refined, along that
    drift's own curve; at the first and the last offset nothing is.
    """
    n_maps, n_drifts, n_lags = heights.shape
    maps = np.arange(n_maps)
    top = heights.reshape(n_maps, -1).argmax(1)
    row, column = np.unravel_index(top, (n_drifts, n_lags))
    around = np.arange(-1, 2)
    rows = np.clip(row, 1, n_drifts - 2)[:, None, None] + around[:, None]
    columns = np.clip(column, 1, n_lags - 2)[:, None, None] + around
    cells = heights[maps[:, None, None], rows, columns]  # (n_maps, 3, 3)
    inside_d, inside_l = row == rows[:, 1, 0], column == columns[:, 0, 1]
    down, across = _paraboloid(cells)
    own = np.where(inside_d, 1, np.where(cells[:, 0, 1] > cells[:, 2, 1], 0, 2))
    before, middle, after = np.moveaxis(cells[maps, own], 1, 0)
    bend = before - 2 * middle + after
    alone = np.clip((before - after) / 2 / np.where(bend < 0, bend, -np.inf), -1, 1)
    down = np.where(inside_d & inside_l, down, 0.0)
    across = np.where(inside_l, np.where(inside_d, across, alone), 0.0)
    return row + down, column + across, heights.reshape(n_maps, -1)[maps, top]


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
