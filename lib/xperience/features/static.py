"""Blocks that are the same in every window: the map and the calibration."""

import numpy as np

_KEPT_SHARE = 95


def point_cloud_features(points_m: np.ndarray) -> np.ndarray:
    """Return 22 values of a point cloud.

    Parameters
    ----------
    points_m : float array, shape (n_points, 3)
        Rows that are not finite are left out.

    Returns
    -------
    float32 array, shape (22,)
        Of the points within the 95th percentile of distance to the median point: mean, std, min,
        max, p10, p50, p90, each of x, y, z; then log1p of their number. Zeros without a point.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # values that float32 cannot square
        return _summary(np.asarray(points_m, dtype=np.float32))


def _summary(points_m: np.ndarray) -> np.ndarray:
    points_m = points_m[np.isfinite(points_m).all(1)]
    if not len(points_m):
        return np.zeros(22, dtype=np.float32)
    distance_m = np.linalg.norm(points_m - np.median(points_m, axis=0), axis=1)
    kept = points_m[distance_m <= np.percentile(distance_m, _KEPT_SHARE)]
    spread = (kept.mean(0), kept.std(0), kept.min(0), kept.max(0))
    levels = np.percentile(kept, (10, 50, 90), axis=0).reshape(-1)
    return np.concatenate([*spread, levels, [np.log1p(len(kept))]]).astype(np.float32)
