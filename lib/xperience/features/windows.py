"""Windows over frames: where they lie, their label, and the seven statistics of a window."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from xperience.recording.captions import is_labelled

WINDOW_FRAMES, STRIDE_FRAMES = 20, 5
MIN_SHARE = 0.6
MIN_KNOWN_SHARE = 0.8
"""Share of a window's rows (16 of 20 frames) that must be there under `corrected`."""


def window_starts(n_frames: int) -> np.ndarray:
    """Return the first frame of each whole window, int array, shape (n_windows,)."""
    return np.arange(0, n_frames - WINDOW_FRAMES + 1, STRIDE_FRAMES)


def window_label(labels: Sequence[str]) -> tuple[str | None, float]:
    """Return the label of a window and its share, from the labels of its frames.

    It is the most frequent one among the labelled frames (the one seen first on a tie), or None if
    its share is below 0.6.
    """
    counts = Counter(label for label in labels if is_labelled(label))
    if not counts:
        return None, 0.0
    label, number = counts.most_common(1)[0]
    share = number / counts.total()
    return (label if share >= MIN_SHARE else None), share


def stats(frames: np.ndarray) -> np.ndarray:
    """Return the seven statistics of each column of a window, float32 (..., 7 * n_columns).

    Mean, std (ddof 0), min, max, last minus first, mean and std of the first differences of frames,
    shape (..., n_frames, n_columns), each over all columns in turn; what is not finite counts as 0.
    """
    frames = clean(frames)
    with np.errstate(over="ignore", invalid="ignore"):  # values that float32 cannot square
        return _seven(frames, np.diff(frames, axis=-2))


def _seven(frames: np.ndarray, steps: np.ndarray) -> np.ndarray:
    parts = (
        frames.mean(-2),
        frames.std(-2),
        frames.min(-2),
        frames.max(-2),
        frames[..., -1, :] - frames[..., 0, :],
        steps.mean(-2) if steps.shape[-2] else np.zeros_like(frames[..., 0, :]),
        steps.std(-2) if steps.shape[-2] else np.zeros_like(frames[..., 0, :]),
    )
    return np.concatenate(parts, axis=-1)  # (..., 7 * n_columns)


def stats_of_known(parts: np.ndarray) -> np.ndarray:
    """Return the seven statistics of windows over the rows that are there, as `stats` does.

    A row with a value that is not finite is not there. NaN for windows, shape (n_windows, n_rows,
    n_columns), with less than `MIN_KNOWN_SHARE` of their rows. First differences are those of
    neighbours that are both there, so that a gap is not a jump.
    """
    with np.errstate(over="ignore"):
        parts = np.asarray(parts, dtype=np.float32)
    n_windows, n_rows, n_columns = parts.shape
    known = np.isfinite(parts).all(axis=2)  # (n_windows, n_rows)
    whole = known.all(axis=1) & (n_rows > 0)
    result = np.full((n_windows, 7 * n_columns), np.nan, dtype=np.float32)
    result[whole] = stats(parts[whole])
    for window in np.flatnonzero(enough(known) & ~whole):
        rows, there = parts[window], known[window]
        both = there[1:] & there[:-1]
        result[window] = _seven(rows[there], rows[1:][both] - rows[:-1][both])
    return result


def enough(known: np.ndarray) -> np.ndarray:
    """Return which windows have enough of their rows, bool (n,), from which are there (n, rows)."""
    n_rows = known.shape[1]
    return known.sum(axis=1) >= max(1, math.ceil(MIN_KNOWN_SHARE * n_rows))


def clean(values: np.ndarray) -> np.ndarray:
    """Return float32 values, with 0 for what is not finite (a rule of the published contract)."""
    with np.errstate(over="ignore"):
        values = np.asarray(values, dtype=np.float32)
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def cut(frames: np.ndarray) -> np.ndarray:
    """Return the windows, a view (n, 20, n_columns), of frames from the first window's start on."""
    windows = sliding_window_view(frames, WINDOW_FRAMES, axis=0)[::STRIDE_FRAMES]
    return windows.swapaxes(1, 2)
