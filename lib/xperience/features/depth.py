"""140 values a depth frame: statistics and small pictures of depth and of its confidence.

Rows are kept for both contracts: as published, as corrected, and what `look_at_depth` says.
"""

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache

import cv2
import numpy as np

from xperience.errors import EpisodeError
from xperience.features.blocks import N_DEPTH
from xperience.recording import layout
from xperience.recording.annotation import Annotation
from xperience.recording.plausible import (
    HALF_INFINITY,
    LOOK_COLUMNS,
    DepthLimits,
    cut_maps,
    look_at_depth,
    lost_maps,
)

_SMALL, _BATCH_BYTES = 8, 16 * 2**20
_LEAST_SURE = 8 + _SMALL**2 + 2
"""Column of the minimum of the confidence."""
N_KEPT = 2 * N_DEPTH + LOOK_COLUMNS
_LEVELS = (0.1, 0.5, 0.9)
_POSITIVE_HALVES = np.arange(1, HALF_INFINITY, dtype=np.uint16).view(np.float16).astype(np.float64)


def depth_rows(annotation: Annotation, n_frames: int) -> Iterator[np.ndarray]:
    """Yield the features of the first depth frames, float32 (n_rows, N_KEPT), some at a time.

    NaN where a frame cannot be read, as in a file with a damaged part. See `as_published`,
    `as_corrected` and `looks`.

    Raises
    ------
    EpisodeError
        If no frame can be read.
    """
    cv2.setNumThreads(1)
    limits = DepthLimits.of(annotation)
    node = annotation.dataset(layout.DEPTH)
    step = max(1, _BATCH_BYTES // max(1, 4 * int(np.prod(node.shape[-2:]))))
    n_read, problem = 0, None
    for start in range(0, n_frames, step):
        stop = min(start + step, n_frames)
        try:
            rows = _read_rows(annotation, start, stop, limits)
        except EpisodeError as error:
            problem = error
            rows = np.full((stop - start, N_KEPT), np.nan, dtype=np.float32)
            for frame in range(start, stop):
                with suppress(EpisodeError):
                    rows[frame - start] = _read_rows(annotation, frame, frame + 1, limits)[0]
        n_read += np.count_nonzero(~np.isnan(rows).all(1))
        yield rows
    if problem and not n_read:
        raise problem


def _read_rows(annotation: Annotation, start: int, stop: int, limits: DepthLimits) -> np.ndarray:
    near_m = annotation.scalar(layout.DEPTH_MIN, layout.DEFAULT_DEPTH_MIN_M)
    far_m = annotation.scalar(layout.DEPTH_MAX, layout.DEFAULT_DEPTH_MAX_M)
    return kept_rows(*annotation.depth(start, stop), (near_m, far_m), limits)


def kept_rows(
    depth: np.ndarray,
    confidence: np.ndarray | None,
    range_m: tuple[float, float],
    limits: DepthLimits,
) -> np.ndarray:
    """Return what is kept of depth frames, float32 (n, N_KEPT); see `frame_features`."""
    looked = look_at_depth(depth, confidence, limits)
    published = frame_features(depth, confidence, range_m)
    corrected, lost = published.copy(), lost_maps(looked)
    again = ~lost & (cut_maps(looked) | (limits.metres != 1))
    if again.any():
        depth_m = limits.masked(limits.in_metres(depth[again]))
        corrected[again] = frame_features(depth_m, confidence[again], range_m)
    corrected[lost] = np.nan
    published[:, _LEAST_SURE] = 0
    return np.concatenate([published, corrected, looked], axis=1)


def frame_features(
    depth_m: np.ndarray, confidence: np.ndarray | None, range_m: tuple[float, float]
) -> np.ndarray:
    """Return the features, float32 (n, 140), of depth frames, shape (n, height, width).

    Mean, std, min, max, p10, p50, p90 of the valid depths and their share (8); the normalised
    depth, 8x8 (64); mean, std, min and max of the confidence (4), the minimum over the valid depths
    and 0 without one or where the maps differ in size; the confidence, 8x8 (64). Depths are valid
    where finite and above 0, and ``range_m`` normalises to 0 and 1; confidence is 0 to 255, or 0 to
    1, and none counts as 0.
    """
    if confidence is None:
        confidence = np.zeros((len(depth_m), 1, 1), dtype=np.uint8)
    pairs = zip(depth_m, confidence, strict=True)
    with np.errstate(over="ignore", invalid="ignore"):  # values that float32 cannot hold
        return np.stack([_one_frame(depth, sure, range_m) for depth, sure in pairs])


def as_published(rows: np.ndarray) -> np.ndarray:
    """Return the published features of rows from `depth_rows`; the least confidence is 0 there."""
    return rows[:, :N_DEPTH]


def as_corrected(rows: np.ndarray) -> np.ndarray:
    """Return the corrected features of rows from `depth_rows`.

    Depths outside the file's own limits are none; NaN where a frame lacks depth or confidence.
    """
    return rows[:, N_DEPTH : 2 * N_DEPTH]


def looks(rows: np.ndarray) -> np.ndarray:
    """Return what `look_at_depth` says, (n, LOOK_COLUMNS), of rows from `depth_rows`."""
    return rows[:, 2 * N_DEPTH :]


def _one_frame(
    depth_m: np.ndarray, confidence: np.ndarray, range_m: tuple[float, float]
) -> np.ndarray:
    if depth_m.dtype == np.float16:
        bits = depth_m.view(np.uint16)
        valid = (bits > 0) & (bits < HALF_INFINITY)
        bits = bits.astype(np.intp)
        statistics = _half_statistics(bits.reshape(-1))
        unit = _unit_of_half(*range_m).take(bits)
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
    least = 0.0  # and where nothing is valid
    if confidence.shape == valid.shape:
        least = cv2.minMaxLoc(confidence, valid.view(np.uint8))[0]
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
    counts = np.bincount(bits)[1:HALF_INFINITY]
    present = np.flatnonzero(counts > 0)
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
