"""What values of a recording can be: generous physical limits, each with its reason, as tables.

A value beyond its limit is no measurement. `xperience.recording.coverage` names the rows that hold
one; `corrected` features leave the same rows out.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from xperience.recording import layout
from xperience.recording.annotation import Annotation, Fault

FARTHEST_M = 10_000.0
"""From the world's origin: beyond what a person covers in one recording."""
REACH_M = 2.0
"""From the camera on the head to a fingertip: an arm's length is below 1 m."""
HAND_SPAN_M = (0.02, 1.0)
"""From the wrist to the farthest joint: a fist has 0.08 m, the largest hand 0.25 m."""
BODY_SPAN_M = (0.2, 2.5)
"""From the pelvis to the farthest joint: crouching 0.5 m, a tall person's raised hand 1.5 m."""
CAMERA_TO_BODY_M = 5.0
"""From the camera on the head to the pelvis: below 1.2 m; drift of the SLAM may add some."""
GREATEST_M_S = 20.0
"""Of camera or pelvis between frames: faster than any person, as fast as a car in town."""
SETTLE_ROWS = 20
"""Rows after which a new place is believed: no window of that length spans the jump to it."""
UNIT_LENGTH = (0.9, 1.1)
"""Of a quaternion: rounding and interpolation stay well within."""
ACCEL_M_S2, GYRO_RAD_S = 320.0, 35.0
"""The widest ranges of common sensors: 32 times gravity, and 2,000 degrees a second."""
STILL_RAD_S = 1e-3
"""A worn sensor turns faster than that at some time; a dead one does not."""
ABSURD = 100.0
"""Times a limit; beyond is garbage rather than another unit of angle or force."""
GRAVITY_M_S2 = (5.0, 15.0)
"""Median acceleration: a wearer is at rest or walks most of the time, and feels 9.81 m/s²."""
FAST_SHARE = 0.99
"""Share of samples that turn slower than the limit; else the unit is another one."""
IMU_RATE_HZ = (10.0, 20_000.0)
"""From the slowest trackers to the fastest sensors."""
KEYFRAME_OFF_S = 0.25
"""A frame's inertial sample may be so far from the frame: five frames."""
DRIFT = 2e-4
"""Of two clocks against each other: quartz keeps 1e-4 each."""
DEPTH_SLACK = 0.01
"""Share by which depths may pass the file's own limits: half precision rounds."""
FARTHEST_DEPTH_M = 200.0
"""Beyond what any wearable depth sensor sees, for files that state no limit."""
RIGID = 0.1
"""Largest deviation of a rotation's rows from unit vectors at right angles: 5 % of scale."""
FOCAL_PX = 1e5
"""Of any lens: a telescope's, over the finest pixels."""
STUCK_ROWS = 10
"""Equal samples in a row that a live inertial sensor does not give: it is noisy."""
CAMERA_OFFSET_M = 10.0
"""From the rig to one of its cameras: both are worn on one head."""

_LENGTHS = {"millimetres": 1e-3, "centimetres": 1e-2}
_TURNS = {"degrees per second": np.pi / 180}
_FORCES = {"multiples of gravity": 9.81}


@dataclass(frozen=True)
class Limit:
    """How large something about a row of a dataset can be."""

    path: str
    measure: str  # what is measured, for the message
    unit: str
    size: Callable[[np.ndarray], np.ndarray]  # rows (n, ...) to their measure (n,); NaN for none
    least: float
    most: float
    others: dict[str, float]  # units that the numbers may be in instead, times ``unit``
    share: float | None = None  # None limits each row; else the quantile of all rows

    @property
    def expected(self) -> str:
        """The limits, for the message."""
        return f"{self.least:g} to {self.most:g} {self.unit}".rstrip()

    def other_unit(self, typical: float) -> str:
        """Return ": in UNIT?" where a typical measure would fit in another unit, else ""."""
        if self.least <= typical <= self.most:
            return ""
        fits = [n for n, f in self.others.items() if self.least <= f * typical <= self.most]
        return f": in {fits[0]}?" if fits else ""


def _length(rows: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rows, axis=-1)


def _farthest(rows: np.ndarray) -> np.ndarray:
    return _length(rows).max(axis=1)


def _span(joints: np.ndarray) -> np.ndarray:
    """Return the distance of the farthest joint from the root: the wrist, or the pelvis."""
    return _farthest(joints - joints[:, :1])


def _least_like_half(rows: np.ndarray) -> np.ndarray:
    """Return the value of each row that is farthest from 0.5."""
    place = np.abs(rows - 0.5).argmax(axis=1)
    return rows[np.arange(len(rows)), place]


def _quaternion_length(rows: np.ndarray) -> np.ndarray:
    length = _length(rows)
    return np.where(length > 0, length, np.nan)  # zero says that there is no estimate


_PLACE = "distance from the world's origin"
_HANDS = (layout.HAND_LEFT, layout.HAND_RIGHT)
LIMITS = (
    Limit(layout.QUATERNION, "length", "", _quaternion_length, *UNIT_LENGTH, {}),
    Limit(layout.TRANSLATION, _PLACE, "m", _length, 0, FARTHEST_M, _LENGTHS),
    Limit(layout.POINT_CLOUD, _PLACE, "m", _length, 0, FARTHEST_M, _LENGTHS),
    *(
        limit
        for path in _HANDS
        for limit in (
            Limit(path, "distance from the camera", "m", _farthest, 0, REACH_M, _LENGTHS),
            Limit(path, "span of the hand", "m", _span, *HAND_SPAN_M, _LENGTHS),
        )
    ),
    Limit(layout.KEYPOINTS, _PLACE, "m", _farthest, 0, FARTHEST_M, _LENGTHS),
    Limit(layout.KEYPOINTS, "span of the body", "m", _span, *BODY_SPAN_M, _LENGTHS),
    Limit(layout.CONTACTS, "contact", "", _least_like_half, 0, 1, {}),
    Limit(layout.IMU_ACCEL, "acceleration", "m/s²", _length, 0, ACCEL_M_S2, {}),
    Limit(layout.IMU_ACCEL, "median acceleration", "m/s²", _length, *GRAVITY_M_S2, _FORCES, 0.5),
    Limit(layout.IMU_GYRO, "rate of turn", "rad/s", _length, 0, GYRO_RAD_S, {}),
    Limit(layout.IMU_GYRO, "rate of turn in the fastest 1 % of samples", "rad/s", _length,
          STILL_RAD_S, GYRO_RAD_S, _TURNS, FAST_SHARE),
)  # fmt: skip
CAMERA_TO_MAP = Limit(
    layout.POINT_CLOUD, "median distance from where the camera was", "m", _length,
    0, FARTHEST_DEPTH_M, _LENGTHS, 0.5,
)  # fmt: skip
CAMERA_TO_BODY = Limit(
    layout.KEYPOINTS, "distance from pelvis to camera", "m", _length, 0, CAMERA_TO_BODY_M, _LENGTHS
)


def stuck(samples: np.ndarray) -> np.ndarray:
    """Return which samples, shape (n, k), are of `STUCK_ROWS` or more equal ones in a row."""
    n, same = STUCK_ROWS - 1, (samples[1:] == samples[:-1]).all(axis=1)
    bad = np.zeros(len(samples), dtype=bool)
    if len(same) >= n:
        for start in np.flatnonzero(sliding_window_view(same, n).all(axis=1)):
            bad[start : start + STUCK_ROWS] = True
    return bad


def out_of_order(values: np.ndarray) -> np.ndarray:
    """Return the fewest values whose removal leaves strictly growing ones, bool, shape (n,).

    One wrong value costs itself, whether it is too early or too late. Values that are not numbers
    are passed over.
    """
    known = np.flatnonzero(np.isfinite(values.astype(np.float64)))
    bad = np.zeros(len(values), dtype=bool)
    if (values[known][1:] > values[known][:-1]).all():
        return bad
    ends, at, before = [], [], {}  # the smallest end of a growing run of each length
    for row, value in zip(known.tolist(), values[known].tolist(), strict=True):
        length = bisect_left(ends, value)
        if value in ends[length : length + 1]:
            continue  # of equal ones the first is kept
        ends[length : length + 1] = [value]
        at[length : length + 1] = [row]
        before[row] = at[length - 1] if length else None
    bad[known] = True
    row = at[-1]
    while row is not None:
        bad[row] = False
        row = before[row]
    return bad


def unreachable(places: np.ndarray, times_s: np.ndarray, speed: float) -> np.ndarray:
    """Return which rows cannot be reached in time from the last one believed, bool, shape (n,).

    Rows of ``places``, shape (n, n_axes), that hold NaN are passed over. An excursion is lost until
    it returns; a place that lasts longer than `SETTLE_ROWS` is believed anew from there on.
    """
    bad = np.zeros(len(places), dtype=bool)
    rows = np.flatnonzero(np.isfinite(places).all(axis=1))
    allowed = speed * np.diff(times_s[rows])
    if (_length(np.diff(places[rows], axis=0)) <= allowed).all():
        return bad
    last = rows[0]
    for row, step in zip(rows[1:], allowed, strict=True):
        if row - last > SETTLE_ROWS or np.linalg.norm(places[row] - places[last]) <= step:
            last = row
        else:
            bad[row] = True
    return bad


def rigid_fault(matrix: np.ndarray) -> str:
    """Return why numbers, flat or not, are no rigid motion in homogeneous form, "" if they are."""
    if matrix.size != 16:
        return f"has {matrix.size} numbers"
    matrix = matrix.reshape(4, 4)
    if not np.isfinite(matrix).all():
        return "holds numbers that are not finite"
    turn, shift_m = matrix[:3, :3], float(np.linalg.norm(matrix[:3, 3]))
    off = float(np.abs(turn @ turn.T - np.eye(3)).max())
    if off > RIGID or np.linalg.det(turn) < 0 or np.abs(matrix[3] - (0, 0, 0, 1)).max() > RIGID:
        return "is no rotation and shift"
    if shift_m > CAMERA_OFFSET_M:
        return f"shifts by {shift_m:.4g} m, more than {CAMERA_OFFSET_M:g} m"
    return ""


@dataclass(frozen=True)
class DepthLimits:
    """What a recording's depth can be by its own words."""

    near_m: float  # the file's own limits where it states any, with `DEPTH_SLACK`
    far_m: float
    metres: float  # metres of 1: ``depth/scale`` where depth is stored as whole numbers, else 1
    faults: tuple[Fault, ...]  # what is wrong with that

    @classmethod
    def of(cls, annotation: Annotation) -> "DepthLimits":
        """Return the limits of an annotation with depth."""
        kind = annotation.dataset(layout.DEPTH).dtype
        near_m = annotation.scalar(layout.DEPTH_MIN, 0.0)
        far_m = annotation.scalar(layout.DEPTH_MAX, FARTHEST_DEPTH_M)
        scale = annotation.scalar(layout.DEPTH_SCALE, 1.0)
        odd = [
            (path, "is no single finite number", "metres")
            for path in (layout.DEPTH_MIN, layout.DEPTH_MAX, layout.DEPTH_SCALE)
            if path in annotation.file and np.isnan(annotation.scalar(path, np.nan))
        ]
        if scale <= 0:
            odd.append((layout.DEPTH_SCALE, f"is {scale:g}", "the metres of 1, above 0"))
        if not 0 <= near_m < far_m:
            found = f"is {far_m:g} and depth_min {near_m:g}"
            odd.append((layout.DEPTH_MAX, found, "0 <= min < max"))
            near_m, far_m = 0.0, FARTHEST_DEPTH_M
        metres = scale if kind.kind in "iu" and 0 < scale < 1 else 1.0
        if metres != 1:
            found = f"holds {kind} of {metres:g} m by {layout.DEPTH_SCALE}"
            expected = "metres; `corrected` converts, `published` takes the numbers as they are"
            odd.append((layout.DEPTH, found, expected))
        place, slack = annotation.place, 1 + DEPTH_SLACK
        faults = tuple(Fault("depth", f"{place}: {path}", *words) for path, *words in odd)
        return cls(near_m / slack, far_m * slack, metres, faults)

    def in_metres(self, depth: np.ndarray) -> np.ndarray:
        """Return depth maps in metres; unchanged if they are."""
        return depth if self.metres == 1 else depth.astype(np.float32) * np.float32(self.metres)

    def masked(self, depth_m: np.ndarray) -> np.ndarray:
        """Return depth maps with 0, which is no depth, outside the limits."""
        with np.errstate(invalid="ignore"):
            return np.where((depth_m >= self.near_m) & (depth_m <= self.far_m), depth_m, 0)


DEPTH_CHECKS = (
    (layout.DEPTH, "valid pixels are beyond depth_max", "at most {far:.4g} m"),
    (layout.DEPTH, "valid pixels are nearer than depth_min", "at least {near:.4g} m"),
    (layout.DEPTH, "pixels are negative", "0 or more"),
    (layout.DEPTH, "maps are the same throughout", "depths that differ"),
    (layout.CONFIDENCE, "pixels are not numbers from 0 to 255", "0 to 255"),
    (layout.CONFIDENCE, "maps lack a confidence of their size", ""),
)
"""Path, what is wrong after "N % of the", what is expected; "" where opening names it already."""
_BEYOND, _NEARER, _NEGATIVE, _FLAT, _UNSURE, _NO_CONFIDENCE, _HELD, _MEDIAN = range(8)
_WHOLE = [_FLAT, _UNSURE, _NO_CONFIDENCE]
"""Checks by which a frame with any is lost as a whole; by the others only its pixels are."""
LOOK_COLUMNS = 8
HALF_INFINITY = 0x7C00
"""Bits of infinity in half precision: those of finite numbers above 0 are less, in their order."""


def look_at_depth(
    depth: np.ndarray, confidence: np.ndarray | None, limits: DepthLimits
) -> np.ndarray:
    """Return how each depth map, (n, height, width) as stored, fares: float32 (n, LOOK_COLUMNS).

    That is the share that fails each of `DEPTH_CHECKS`, the share of pixels that hold a depth
    within the limits, and the median depth in metres of maps that pass them, else 0.
    """
    looks = np.zeros((len(depth), LOOK_COLUMNS), dtype=np.float32)
    for row, one in zip(looks, limits.in_metres(depth), strict=True):
        if one.dtype == np.float16 and _all_within(one, limits):
            row[_HELD] = np.count_nonzero(one.view(np.uint16)) / one.size
            continue
        with np.errstate(over="ignore"):
            depth_m = one.astype(np.float32).reshape(-1)
        valid = (depth_m > 0) & (depth_m < np.inf)
        n_valid = np.count_nonzero(valid)
        row[_NEGATIVE] = np.count_nonzero(depth_m < 0) / depth_m.size
        if n_valid:
            beyond = np.count_nonzero(valid & (depth_m > limits.far_m))
            nearer = np.count_nonzero(valid & (depth_m < limits.near_m))
            same = np.count_nonzero(valid & (depth_m == depth_m[valid.argmax()]))
            row[_BEYOND], row[_NEARER] = beyond / n_valid, nearer / n_valid
            row[_FLAT] = same == n_valid > 1
            row[_HELD] = (n_valid - beyond - nearer) / depth_m.size
            row[_MEDIAN] = np.median(depth_m[valid]) if beyond else 0
    if confidence is None or confidence.shape != depth.shape:
        looks[:, _NO_CONFIDENCE] = 1
    if confidence is not None and confidence.dtype != np.uint8:
        fine = (confidence >= 0) & (confidence <= 255)  # NaN is not
        looks[:, _UNSURE] = 1 - fine.reshape(len(fine), -1).mean(axis=1)
    return looks


def _all_within(depth_m: np.ndarray, limits: DepthLimits) -> bool:
    """Return whether depths, some 0, are within limits and differ: by their bits, which is fast."""
    bits = depth_m.view(np.uint16)
    least, most = int((bits - np.uint16(1)).min()) + 1, int(bits.max())  # 0 wraps: passed over
    if not least < most < HALF_INFINITY:
        return False
    nearest_m, farthest_m = np.array([least, most], np.uint16).view(np.float16).astype(np.float32)
    return bool(nearest_m >= limits.near_m and farthest_m <= limits.far_m)


def held_maps(looks: np.ndarray) -> np.ndarray:
    """Return which frames hold a depth that can be, bool (n,), from what `look_at_depth` gave."""
    return (looks[:, _HELD] > 0) & ~(looks[:, _FLAT] > 0)


def lost_maps(looks: np.ndarray) -> np.ndarray:
    """Return which frames lack such a depth or its confidence, bool (n,)."""
    return ~held_maps(looks) | (looks[:, _WHOLE] > 0).any(axis=1)


def cut_maps(looks: np.ndarray) -> np.ndarray:
    """Return which frames lose pixels beyond the limits, bool (n,)."""
    return (looks[:, [_BEYOND, _NEARER]] > 0).any(axis=1)


def depth_faults(annotation: Annotation, limits: DepthLimits, looks: np.ndarray) -> list[Fault]:
    """Return what is wrong with depth by what `look_at_depth` gave of some frames."""
    faults = list(limits.faults)
    empty = ~(looks[:, [_BEYOND, _NEARER, _NEGATIVE, _HELD]] > 0).any(axis=1)
    if empty.any():
        found = f"{empty.sum()} of {len(looks)} maps looked at hold no valid depth"
        place = f"{annotation.place}: {layout.DEPTH}"
        faults.append(Fault("depth", place, found, "finite depths above 0"))
    bounds = {"near": limits.near_m * (1 + DEPTH_SLACK), "far": limits.far_m / (1 + DEPTH_SLACK)}
    for column, (path, wrong, limit) in enumerate(DEPTH_CHECKS):
        share = looks[:, column]
        failing = np.flatnonzero(share > 0)
        if not len(failing) or not limit:
            continue
        found = (
            f"{100 * share.mean():.3g} % of the {wrong}, "
            f"in {len(failing)} of {len(share)} maps looked at"
        )
        expected = limit.format(**bounds)
        median_m = float(np.median(looks[failing, _MEDIAN]))
        if column == _BEYOND and limits.near_m <= median_m / 1000 <= limits.far_m:
            found += f" (median {median_m:.4g}: in millimetres?)"
            expected += "; save metres, or whole numbers and the metres of 1 as depth/scale"
        faults.append(Fault("depth", f"{annotation.place}: {path}", found, expected))
    return faults
