"""140 values a depth frame: statistics and small pictures of depth and of its confidence."""

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache

import cv2
import numpy as np

from xperience.episode import layout
from xperience.episode.annotation import Annotation
from xperience.errors import EpisodeError
from xperience.features.blocks import N_DEPTH

_SMALL, _BATCH_BYTES = 8, 16 * 2**20
_VALID_SHARE, _LEAST_SURE = 7, 8 + _SMALL**2 + 2
"""Columns of the share of valid depths and of the minimum of the confidence."""
_LEVELS = (0.1, 0.5, 0.9)
_HALF_INFINITY = 0x7C00
_POSITIVE_HALVES = np.arange(1, _HALF_INFINITY, dtype=np.uint16).view(np.float16).astype(np.float64)


def depth_rows(annotation: Annotation, n_frames: int) -> Iterator[np.ndarray]:
    """Yield the features of the depth frames, some rows at a time.

    Parameters
    ----------
    annotation : Annotation
        With a usable depth stream.
    n_frames : int
        At most so many frames are read.

    Yields
    ------
    float32 array, shape (n_rows, 140)
        NaN where a frame cannot be read, as in a file with a damaged part.

    Raises
    ------
    EpisodeError
        If no frame can be read.
    """
    cv2.setNumThreads(1)
    near_m = annotation.scalar(layout.DEPTH_MIN, layout.DEFAULT_DEPTH_MIN_M)
    far_m = annotation.scalar(layout.DEPTH_MAX, layout.DEFAULT_DEPTH_MAX_M)
    node = annotation.dataset(layout.DEPTH)
    step = max(1, _BATCH_BYTES // max(1, 4 * int(np.prod(node.shape[-2:]))))
    n_read, problem = 0, None
    for start in range(0, n_frames, step):
        stop = min(start + step, n_frames)
        try:
            rows = _read_rows(annotation, start, stop, (near_m, far_m))
        except EpisodeError as error:
            problem = error
            rows = _readable_rows(annotation, start, stop, (near_m, far_m))
        n_read += np.count_nonzero(~np.isnan(rows).all(1))
        yield rows
    if problem and not n_read:
        raise problem


def _read_rows(
    annotation: Annotation, start: int, stop: int, range_m: tuple[float, float]
) -> np.ndarray:
    depth_m = annotation.read(layout.DEPTH, start, stop)
    confidence = annotation.read(layout.CONFIDENCE, start, stop)
    return frame_features(depth_m, confidence, range_m)


def _readable_rows(
    annotation: Annotation, start: int, stop: int, range_m: tuple[float, float]
) -> np.ndarray:
    """Return the features frame by frame, NaN for those that cannot be read."""
    rows = np.full((stop - start, N_DEPTH), np.nan, dtype=np.float32)
    for frame in range(start, stop):
        with suppress(EpisodeError):
            rows[frame - start] = _read_rows(annotation, frame, frame + 1, range_m)[0]
    return rows


def frame_features(
    depth_m: np.ndarray, confidence: np.ndarray, range_m: tuple[float, float]
) -> np.ndarray:
    """Return the features of depth frames.

    Parameters
    ----------
    depth_m : float array, shape (n, height, width)
        Metres; valid where finite and above 0.
    confidence : array, shape (n, height, width)
        0 to 255, or 0 to 1.
    range_m : (float, float)
        Depths that normalise to 0 and 1.

    Returns
    -------
    float32 array, shape (n, 140)
        Mean, std, min, max, p10, p50, p90 of the valid depths and their share (8); the normalised
        depth, 8x8 (64); mean, std, min and max of the confidence (4), the minimum over the valid
        depths and 0 without one; the confidence, 8x8 (64).
    """
    rows = [
        _one_frame(depth, sure, range_m) for depth, sure in zip(depth_m, confidence, strict=True)
    ]
    return np.stack(rows)


def as_published(rows: np.ndarray) -> np.ndarray:
    """Return rows whose minimum of the confidence is 0: the published one is taken together with 0.

    Parameters
    ----------
    rows : float32 array, shape (n, 140)
        From `depth_rows`.
    """
    rows = rows.copy()
    rows[~np.isnan(rows[:, _LEAST_SURE]), _LEAST_SURE] = 0
    return rows


def as_corrected(rows: np.ndarray) -> np.ndarray:
    """Return rows that are NaN where the frame holds no valid depth.

    Parameters
    ----------
    rows : float32 array, shape (n, 140)
        From `depth_rows`.
    """
    return np.where(rows[:, [_VALID_SHARE]] > 0, rows, np.float32(np.nan))


def _one_frame(
    depth_m: np.ndarray, confidence: np.ndarray, range_m: tuple[float, float]
) -> np.ndarray:
    if depth_m.dtype == np.float16:
        bits = depth_m.view(np.uint16).astype(np.intp)
        statistics = _half_statistics(bits.reshape(-1))
        unit = _unit_of_half(*range_m).take(bits)
        valid = (bits > 0) & (bits < _HALF_INFINITY)
    else:
        statistics = _statistics(depth_m.reshape(-1))
        unit = _unit(depth_m, *range_m)
        with np.errstate(invalid="ignore"):
            valid = (depth_m > 0) & (depth_m < np.inf)
    if confidence.dtype != np.uint8:
        confidence = np.nan_to_num(confidence.astype(np.float32))
    mean, std = (float(value[0, 0]) for value in cv2.meanStdDev(confidence))
    highest = float(confidence.max())
    scale = np.float32(1 / 255 if highest > 1 else 1)
    least = cv2.minMaxLoc(confidence, valid.view(np.uint8))[0]  # 0 where nothing is valid
    sure = np.array([mean, std, least, highest], dtype=np.float32) * scale
    return np.concatenate(
        [statistics, _small(unit), sure, _small(confidence.astype(np.float32)) * scale]
    )


def _unit(depth_m: np.ndarray, near_m: float, far_m: float) -> np.ndarray:
    """Return depths normalised to [0, 1], float32; what is not finite counts as 0 m."""
    depth_m = np.nan_to_num(depth_m.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    unit = (depth_m - np.float32(near_m)) / np.float32(max(far_m - near_m, 1e-6))
    return np.clip(unit, 0, 1, out=unit)


@lru_cache(maxsize=8)
def _unit_of_half(near_m: float, far_m: float) -> np.ndarray:
    """Return `_unit` of each of the 65,536 half-precision numbers, in the order of their bits."""
    return _unit(np.arange(2**16, dtype=np.uint16).view(np.float16), near_m, far_m)


def _statistics(depth_m: np.ndarray) -> np.ndarray:
    """Return mean, std, min, max, p10, p50, p90 and the share of the valid depths."""
    with np.errstate(invalid="ignore"):
        valid = depth_m[(depth_m > 0) & (depth_m < np.inf)].astype(np.float32)
    if not valid.size:
        return np.zeros(8, dtype=np.float32)
    lower, upper, weight = _ranks(valid.size)
    ordered = np.partition(valid, sorted({*lower, *upper}))
    levels = ordered[lower] + (ordered[upper] - ordered[lower]) * weight
    spread = (valid.mean(), valid.std(), valid.min(), valid.max())
    return np.array([*spread, *levels, valid.size / depth_m.size], dtype=np.float32)


def _half_statistics(bits: np.ndarray) -> np.ndarray:
    """Return the same of half-precision depths, given as their bits, from counts of each value.

    Positive halves have the order of their bits, and a depth map holds a few thousand different
    ones: counting them takes a quarter of the time of sorting.
    """
    counts = np.bincount(bits, minlength=_HALF_INFINITY)[1:_HALF_INFINITY]
    present = np.flatnonzero(counts)
    if not present.size:
        return np.zeros(8, dtype=np.float32)
    values, counts = _POSITIVE_HALVES[present], counts[present]
    up_to = np.cumsum(counts)
    n = int(up_to[-1])
    mean = counts @ values / n
    std = np.sqrt(counts @ (values - mean) ** 2 / n)
    lower, upper, weight = _ranks(n)
    low, high = (values[np.searchsorted(up_to, rank, side="right")] for rank in (lower, upper))
    levels = low + (high - low) * weight
    row = [mean, std, values[0], values[-1], *levels, n / bits.size]
    return np.array(row, dtype=np.float32)


def _ranks(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ranks below and above each percentile of n sorted values, and where between."""
    place = np.array(_LEVELS) * (n - 1)
    lower = place.astype(np.intp)
    return lower, np.minimum(lower + 1, n - 1), place - lower


def _small(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA).reshape(-1)
