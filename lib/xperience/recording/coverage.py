"""Which rows of a stream hold no measurement: nothing, zeros for "no estimate", or what can't be.

One function finds them; reports name them and `corrected` features leave them out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from xperience.errors import EpisodeError
from xperience.recording import layout, plausible
from xperience.recording.annotation import Fault
from xperience.recording.clock import runs_of
from xperience.recording.geometry import PELVIS
from xperience.recording.layout import STREAMS, Dataset, StreamLayout
from xperience.recording.plausible import LIMITS, Limit
from xperience.recording.recording import Recording

_SPANS_NAMED = 3
_PLACES_TRIED = 16
_BY_NAME = {stream.name: stream for stream in STREAMS}
_DATASETS = {dataset.path: dataset for stream in STREAMS for dataset in stream.datasets}
_STREAM_OF = {dataset.path: stream for stream in STREAMS for dataset in stream.datasets}
_SCANNED = set(_BY_NAME) - {"depth"}  # small enough to read twice
_NS = 1e9
_UNITS = {1e-3: "microseconds", 1e-6: "milliseconds", 1e-9: "seconds"}


@dataclass(frozen=True)
class RowFault:
    """Rows of a dataset that hold no measurement."""

    path: str
    found: str
    expected: str
    rows: np.ndarray  # bool (n_rows,); all False for what concerns no row
    empty: bool = False  # whether the rows say nothing, rather than something that can't be


@dataclass(frozen=True)
class Coverage:
    """How much of a stream says something."""

    share: float  # of the episode's frames (or of the stream's own rows) with values that can be
    filled: float  # the same with values of any kind
    faults: list[Fault]  # the rows without, by kind


def stream_coverage(episode: Recording, name: str) -> Coverage:
    """Return how much of a usable stream of small rows holds values; depth is not for this.

    Shares are of the episode's frames; of the IMU and the point cloud, of their own rows.
    """
    stream = _BY_NAME[name]
    try:
        told = findings(episode, name)
        kind = stream.datasets[0].rows
        bad = _union(episode, stream, kind, told)
        empty = _union(episode, stream, kind, [one for one in told if one.empty])
    except EpisodeError as error:
        return Coverage(0.0, 0.0, [Fault(name, error.place, error.found, error.expected)])
    place = episode.annotation.place
    faults = [Fault(name, f"{place}: {one.path}", one.found, one.expected) for one in told]
    n_rows = episode.n_frames if kind == "frame" else len(bad)
    share, filled = (float((~rows).sum() / n_rows) for rows in (bad, empty))
    if name == "imu" and lost_rows(episode, layout.IMU_KEYFRAMES).all():
        share = 0.0
    return Coverage(share, filled, faults)


def stream_state(episode: Recording, name: str, contract: str) -> tuple[bool, str]:
    """Return whether a stream says anything, and what is wrong with it, empty spans included.

    Under `published` a value that can't be says something too.
    """
    state = episode.streams[name]
    if name == "captions" and episode.labels_of(contract).is_blank:
        return False, "; ".join(map(str, state.faults)) or "captions say nothing of any frame"
    faults, share = list(state.faults), 1.0
    if state.usable and name in _SCANNED:
        coverage = stream_coverage(episode, name)
        faults = faults + coverage.faults
        share = coverage.share if contract == "corrected" else coverage.filled
    return state.usable and share > 0, "; ".join(map(str, faults))


def lost_rows(episode: Recording, path: str) -> np.ndarray:
    """Return which rows of a dataset of small rows hold no measurement, bool, shape (n_rows,).

    A row is lost if it is in any dataset of the stream that counts the same rows, as orientation
    and place of a pose do.
    """
    stream = _STREAM_OF[path]
    return _union(episode, stream, _DATASETS[path].rows, findings(episode, stream.name))


def _union(
    episode: Recording, stream: StreamLayout, kind: str, told: Iterable[RowFault]
) -> np.ndarray:
    """Return the rows that findings take from a stream's datasets that count rows of a kind."""
    together = {dataset.path for dataset in stream.datasets if dataset.rows == kind}
    n_rows = min(_n_rows(episode, path) for path in together)
    return _any((one for one in told if one.path in together), n_rows)


def _n_rows(episode: Recording, path: str) -> int:
    n_rows = episode.annotation.n_rows(path)
    return min(n_rows, episode.n_frames) if _DATASETS[path].rows == "frame" else n_rows


@lru_cache(maxsize=64)
def findings(episode: Recording, name: str) -> tuple[RowFault, ...]:
    """Return what is wrong with the rows of a usable stream; kept while the episode is in use.

    Raises
    ------
    EpisodeError
        If rows cannot be read.
    """
    datasets = _BY_NAME[name].datasets
    # of the IMU the samples, not the indices
    scanned = [dataset for dataset in datasets if dataset.rows == datasets[0].rows]
    found = [one for dataset in scanned for one in _scan(episode, dataset)]
    more = {"pose": _of_pose, "body": _of_body, "imu": _of_imu, "point_cloud": _of_map}.get(name)
    return tuple(found + list(more(episode, found) if more else ()))


def _scan(episode: Recording, dataset: Dataset) -> Iterator[RowFault]:
    """Yield what is wrong with the rows of a dataset, each looked at by itself."""
    n_rows = _n_rows(episode, dataset.path)
    limits = [limit for limit in LIMITS if limit.path == dataset.path]
    empty = {what: np.zeros(n_rows, dtype=bool) for what in ("NaN", "infinite", "all-zero")}
    sizes = np.full((len(limits), n_rows), np.nan)
    for start, stored in episode.annotation.blocks(dataset.path, n_rows):
        part = slice(start, start + len(stored))
        rows = np.asarray(stored, dtype=np.float64)
        flat = rows.reshape(len(rows), -1)
        empty["NaN"][part] = np.isnan(flat).any(axis=1)
        empty["infinite"][part] = np.isinf(flat).any(axis=1)
        empty["all-zero"][part] = dataset.check_zero & (flat == 0).all(axis=1)
        known = ~(empty["NaN"] | empty["infinite"] | empty["all-zero"])[part]
        for size, limit in zip(sizes, limits, strict=True):
            with np.errstate(over="ignore"):
                size[part][known] = limit.size(rows[known])
    for what, bad in empty.items():
        if bad.any():
            yield RowFault(dataset.path, f"{_spans(bad)} {_are(bad)} {what}", "numbers", bad, True)
    for limit, size in zip(limits, sizes, strict=True):
        yield from _beyond(limit, size)


def _beyond(limit: Limit, size: np.ndarray) -> Iterator[RowFault]:
    """Yield the rows whose measure, shape (n_rows,), is beyond a limit."""
    known = size[~np.isnan(size)]
    if not len(known):
        return
    if limit.share is not None:
        known = known[known <= plausible.ABSURD * limit.most]  # lost by themselves, whatever unit
        typical = float(np.quantile(known, limit.share)) if len(known) else limit.most
        if not limit.least <= typical <= limit.most:
            found = f"has a {limit.measure} of {typical:.4g} {limit.unit}"
            every = np.ones(len(size), dtype=bool)
            yield RowFault(limit.path, found + limit.other_unit(typical), limit.expected, every)
        return
    with np.errstate(invalid="ignore"):
        high, bad = size > limit.most, (size > limit.most) | (size < limit.least)
    if bad.any():
        worst = f"up to {size[bad].max():.4g}" if high.any() else f"{size[bad].min():.4g}"
        found = f"{_spans(bad)}: {limit.measure} {worst} {limit.unit}".rstrip()
        hint = limit.other_unit(float(np.median(known)))
        yield RowFault(limit.path, found + hint, limit.expected, bad)


def _of_pose(episode: Recording, found: list[RowFault]) -> Iterator[RowFault]:
    """Yield that poses lead nowhere, or the frames to which the camera jumped."""
    lost = _any(found, _n_rows(episode, layout.TRANSLATION))
    if fault := episode.calibration.reference_fault:
        text = f"depends on calibration/cam01/T_c0_b, which {fault}"
        yield RowFault(layout.TRANSLATION, text, "a rigid motion", np.ones_like(lost))
        return
    yield from _jumps(episode, layout.TRANSLATION, _camera_m(episode, lost))


def _of_body(episode: Recording, found: list[RowFault]) -> Iterator[RowFault]:
    """Yield the frames to which the body jumped, or at which it is away from the camera."""
    n_rows = _n_rows(episode, layout.KEYPOINTS)
    blocks = episode.annotation.blocks(layout.KEYPOINTS, n_rows)
    pelvis_m = np.concatenate([rows[:, PELVIS] for _, rows in blocks]).astype(np.float64)
    pelvis_m[_any(found, n_rows)] = np.nan
    yield from _jumps(episode, layout.KEYPOINTS, pelvis_m)
    if episode.streams["pose"].usable and stream_coverage(episode, "pose").share:
        camera_m = _camera_m(episode, lost_rows(episode, layout.TRANSLATION))[:n_rows]
        apart_m = np.full(n_rows, np.nan)
        n = min(len(camera_m), n_rows)
        apart_m[:n] = np.linalg.norm(camera_m - pelvis_m[:n], axis=1)
        yield from _beyond(plausible.CAMERA_TO_BODY, apart_m)


def _of_map(episode: Recording, _: list[RowFault]) -> Iterator[RowFault]:
    """Yield that the map lies where no camera could have seen it."""
    if not (episode.streams["pose"].usable and stream_coverage(episode, "pose").share):
        return
    camera_m = _camera_m(episode, lost_rows(episode, layout.TRANSLATION))
    camera_m = camera_m[~np.isnan(camera_m).any(axis=1)]
    places_m = camera_m[np.linspace(0, len(camera_m) - 1, _PLACES_TRIED).astype(int)]
    points_m = episode.read(layout.POINT_CLOUD)
    away_m = np.min([np.linalg.norm(points_m - place_m, axis=1) for place_m in places_m], axis=0)
    yield from _beyond(plausible.CAMERA_TO_MAP, np.where(np.isfinite(away_m), away_m, np.nan))


def _any(found: Iterable[RowFault], n_rows: int) -> np.ndarray:
    bad = np.zeros(n_rows, dtype=bool)
    for one in found:
        bad[: len(one.rows)] |= one.rows[:n_rows]
    return bad


def _camera_m(episode: Recording, lost: np.ndarray) -> np.ndarray:
    """Return where the camera is in the world, (n, 3) metres, NaN where its pose is lost."""
    place_m = episode.camera_to_world(0, len(lost)).translation
    return np.where(lost[: len(place_m), None], np.nan, place_m)


def _jumps(episode: Recording, path: str, place_m: np.ndarray) -> Iterator[RowFault]:
    times_s = episode.frame_times_s[: len(place_m)]
    bad = plausible.unreachable(place_m, times_s, plausible.GREATEST_M_S)
    if bad.any():
        found = f"{_spans(bad)} {_are(bad)} a jump away from the row before"
        yield RowFault(path, found, f"at most {plausible.GREATEST_M_S:g} m/s", bad)


def _of_imu(episode: Recording, _: list[RowFault]) -> Iterator[RowFault]:
    """Yield samples that a sensor repeated, what is wrong with their times, and with keyframes."""
    for path in (layout.IMU_ACCEL, layout.IMU_GYRO):
        bad = plausible.stuck(episode.read(path))
        if bad.any():
            yield RowFault(path, f"{_spans(bad)} are all the same", "a live sensor's noise", bad)
    stamps = episode.read(layout.IMU_STAMPS)
    if stamps.dtype.kind in "iu":
        stamps = stamps.astype(np.int64)  # differences of unsigned numbers would wrap
    bad = plausible.out_of_order(stamps)
    if bad.any():
        yield RowFault(
            layout.IMU_STAMPS, f"{_spans(bad)} repeat or go back", "times that grow", bad
        )
    unknown = bad | ~np.isfinite(stamps.astype(np.float64))
    yield from _sample_rate(stamps[~unknown])
    keys = episode.annotation.keyframes(0, episode.n_frames)
    inside = (keys >= 0) & (keys < len(stamps))
    frames = np.flatnonzero(inside)
    frames = frames[~unknown[keys[frames]]]
    if len(frames) > 1:
        for one in _against_frames(episode, stamps[keys[frames]], frames, len(stamps), len(keys)):
            if one.path == layout.IMU_KEYFRAMES:
                inside &= ~one.rows
            yield one
    wrong = np.zeros(len(keys), dtype=bool)
    wrong[inside] = plausible.out_of_order(keys[inside])
    if wrong.any():
        text = f"{_spans(wrong)} repeat or go back"
        yield RowFault(layout.IMU_KEYFRAMES, text, "indices that grow", wrong)


def _sample_rate(stamps: np.ndarray) -> Iterator[RowFault]:
    """Yield that the samples' rate is one that no sensor has."""
    if len(stamps) < 2:
        return
    rate_hz = float(_NS / np.median(np.diff(stamps).astype(np.float64)))
    least, most = plausible.IMU_RATE_HZ
    if not least <= rate_hz <= most:
        fits = [unit for factor, unit in _UNITS.items() if least <= rate_hz * factor <= most]
        hint = f": in {fits[0]}?" if fits else ""
        none = np.zeros(len(stamps), dtype=bool)
        found = f"make a rate of {rate_hz:.4g} Hz{hint}"
        yield RowFault(layout.IMU_STAMPS, found, f"nanoseconds, {least:g} to {most:g} Hz", none)


def _against_frames(
    episode: Recording, sampled: np.ndarray, frames: np.ndarray, n_samples: int, n_keys: int
) -> Iterator[RowFault]:
    """Yield how the IMU's clock differs from the frames', and which frames' samples are far off.

    ``sampled`` holds the times of the samples that keyframes name, ``frames`` their frames.
    """
    clocks = [stamps[frames] for stamps in episode.device_clocks_ns]
    clocks = [stamps for stamps in clocks if (stamps[1:] > stamps[:-1]).all()]
    if not clocks:
        return
    offsets_s = [(sampled - stamps).astype(np.float64) / _NS for stamps in clocks]
    nearest = int(np.argmin([abs(float(np.median(one))) for one in offsets_s]))
    off_s, stamps = offsets_s[nearest], clocks[nearest]
    half = len(frames) // 2
    spans = [(one[half:] - one[:-half]).astype(np.float64) for one in (sampled, stamps)]
    ratio = float(np.median(spans[0] / spans[1]))
    if ratio <= 0:
        return  # keyframes that stand still or run backwards say nothing of the clock
    found = ""
    power = 10.0 ** (3 * round(np.log10(ratio) / 3))
    if power != 1 and 0.9 < ratio / power < 1.1:
        unit = next((u for f, u in _UNITS.items() if np.isclose(f, power)), "")
        hint = f": in {unit}?" if unit else ""
        found = f"run {ratio:.4g} times as fast as the frames' clock{hint}"
        off_s = (sampled / power - stamps).astype(np.float64) / _NS
    else:
        drift_s = (ratio - 1) * float(stamps[-1] - stamps[0]) / _NS
        frame_s = 1 / episode.fps
        if abs(ratio - 1) > plausible.DRIFT and abs(drift_s) > frame_s:
            found = f"drift from the frames' clock by {drift_s:.3g} s over the recording"
        elif abs(apart_s := float(np.median(off_s))) > frame_s:
            found = f"are {apart_s:+.6g} s from the frames' clock throughout: another zero"
    if found:
        none = np.zeros(n_samples, dtype=bool)
        yield RowFault(layout.IMU_STAMPS, found, "nanoseconds of the frames' clock", none)
    rows = np.arange(len(frames), dtype=np.float64)
    jumps = plausible.unreachable(off_s[:, None], rows, plausible.KEYFRAME_OFF_S)
    if jumps.any():
        bad = np.zeros(n_keys, dtype=bool)
        bad[frames[jumps]] = True
        found = f"{_spans(bad)} name samples of another time than the frame's"
        limit = f"samples within {plausible.KEYFRAME_OFF_S:g} s"
        yield RowFault(layout.IMU_KEYFRAMES, found, limit, bad)


def _are(bad: np.ndarray) -> str:
    return "are" if bad.sum() > 1 else "is"


def _spans(bad: np.ndarray) -> str:
    """Return "rows 10-19, 40 and 2 more spans (14 rows)" for a bool array, "all 60 rows" if so."""
    if bad.all() and len(bad) > 1:
        return f"all {len(bad)} rows"
    spans = runs_of(bad)
    named = [f"{a}" if a == b else f"{a}-{b}" for a, b in spans[:_SPANS_NAMED]]
    more = len(spans) - len(named)
    counted = f" and {more} more spans ({bad.sum()} rows)" if more else ""
    return f"rows {', '.join(named)}{counted}"
