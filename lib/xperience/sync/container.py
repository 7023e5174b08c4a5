"""The clock of a video file against the device's own: rates, gaps and jitter."""

from dataclasses import dataclass

import numpy as np

from xperience.evaluation.resampling import block_weights
from xperience.sync.lags import Line

_STRETCHES, _BLOCK, _N_RESAMPLES = 24, 2, 400
_GAP = 1.5  # frames


@dataclass(frozen=True)
class ClockLine:
    """A clock against another, both read at the same frames.

    Parameters
    ----------
    line, resampled : Line
        Least squares through the differences, and the same for each resample of stretches.
    jitter_ms : float
        Standard deviation around the line.
    furthest_ms : float
        The greatest difference of the clocks at any frame, with its sign.
    gaps : (int, int)
        Steps of more than one and a half frames in the first and in the second clock.
    length_s : float
    n_frames, n_stretches : int
    """

    line: Line
    resampled: Line
    jitter_ms: float
    furthest_ms: float
    gaps: tuple[int, int]
    length_s: float
    n_frames: int
    n_stretches: int


def compare_clocks(late_s: np.ndarray, reference_s: np.ndarray, seed: int = 0) -> ClockLine:
    """Return how one clock runs away from another, both being 0 at the first frame.

    Parameters
    ----------
    late_s, reference_s : float array, shape (n_frames,)
        Times of the same frames in seconds; at least 48 of them.
    seed : int
        Draws the resamples.

    Returns
    -------
    ClockLine
        Positive where the first clock is ahead. Where the clocks agree to the last digit the
        interval has no width.
    """
    late_s, reference_s = late_s - late_s[0], reference_s - reference_s[0]
    length_s = float(reference_s[-1])
    away_s = late_s - reference_s
    from_middle_s = reference_s - length_s / 2
    stretch = np.arange(len(away_s)) * _STRETCHES // len(away_s)
    terms = (np.ones(len(away_s)), from_middle_s, from_middle_s**2, away_s, from_middle_s * away_s)
    sums = np.stack([np.bincount(stretch, term) for term in terms], axis=1)  # (_STRETCHES, 5)
    whole, drawn = (
        _fit(weights @ sums)
        for weights in (
            np.ones((1, _STRETCHES)),
            block_weights(_STRETCHES, _BLOCK, _N_RESAMPLES, seed),
        )
    )
    line = Line(float(whole.offset_s[0]), float(whole.drift[0]))
    jitter_s = float(np.std(away_s - line.at(from_middle_s)))
    gaps = (count_gaps(late_s), count_gaps(reference_s))
    furthest_ms = round(1e3 * float(away_s[np.abs(away_s).argmax()]), 6)
    more = (gaps, length_s, len(away_s), _STRETCHES)
    return ClockLine(line, drawn, 1e3 * jitter_s, furthest_ms, *more)


def count_gaps(clock_s: np.ndarray) -> int:
    """Return how many steps of a clock are longer than one and a half of its usual ones."""
    steps_s = np.diff(clock_s)
    return int(np.sum(steps_s / np.median(steps_s) > _GAP))


def _fit(sums: np.ndarray) -> Line:
    """Return the least-squares line from sums of 1, x, x², y and xy, shape (n_fits, 5)."""
    n, x, xx, y, xy = sums.T
    spread = n * xx - x**2
    drift = (n * xy - x * y) / spread
    return Line((y - drift * x) / n, drift)
