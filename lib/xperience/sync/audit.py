"""The audit of a recording's clocks: four pairs of streams, each with an offset and a verdict."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from xperience.errors import EpisodeError, ParamsError, did_you_mean
from xperience.progress import OnProgress, quiet
from xperience.recording import layout
from xperience.recording.recording import Recording
from xperience.sync import signals
from xperience.sync.lags import (
    LEVEL,
    MAX_DRIFT,
    MAX_OFFSET_S,
    SHORTEST_S,
    STANDS_OUT,
    ClockFit,
    compare_clocks,
    count_gaps,
    measure_lag,
)

_DIGITS = 6
"""Decimals kept of ms and ppm: beyond them the same recording differs from machine to machine."""
_LEAST_TURN_RAD_S = 0.02
"""A head whose fastest twentieth of the time is slower than this hardly turns."""
_FEWEST_EVENTS, _FEWEST_FRAMES = 8, 48
_BODY = ("body", "contacts", "hand_left", "hand_right")

_PAIRS = {  # late, reference, and the share of a frame's time that a pair cannot resolve
    "gyro_rotation": ("gyroscope", "SLAM rotation", 0.1),
    "flow_camera": ("picture's motion", "SLAM motion", 0.25),
    "sound_body": ("sound", "body's contacts and stops", 0.5),
    "container_device": ("video file's clock", "device clock", 0.0),
}
"""How a head moves between two frames is interpolated; how a picture moves is blurred by what moves
in it; a limb that is at rest in one frame and was not in the one before may have been heard
anywhere between, the sooner the more abruptly it stopped. Such errors are the same for all events
or moves of a recording, however long, so resampling its segments cannot show them.
"""
PAIRS = tuple(_PAIRS)


class SyncVerdict(StrEnum):
    """Whether two clocks agree."""

    SYNCHRONISED = "synchronised"
    OFF = "off"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Range:
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        value, low, high = (round(end, 1) + 0.0 for end in (self.value, self.low, self.high))
        return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"  # no minus before a zero

    @classmethod
    def of(cls, value: float, resampled: np.ndarray, scale: float) -> "Range":
        """Return an estimate, scaled, with percentiles of its resamples."""
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(resampled, [tail, 1 - tail])
        ends = (value, min(low, value), max(high, value))
        return cls(*(round(scale * float(end), _DIGITS) for end in ends))

    def widened(self, by: float) -> "Range":
        """Return the range with another, independent source of error, of so much on both sides."""
        low = self.value - np.hypot(self.value - self.low, by)
        high = self.value + np.hypot(self.high - self.value, by)
        return Range(self.value, *(round(float(end), _DIGITS) for end in (low, high)))

    @property
    def reach(self) -> float:
        """How far the further end of the interval is from the estimate."""
        return max(self.value - self.low, self.high - self.value)

    def within(self, bound: float) -> bool:
        """Return whether the whole interval lies within so much of 0."""
        return -bound <= self.low and self.high <= bound

    def beyond(self, bound: float) -> bool:
        """Return whether the estimate is further from 0 than so much; its interval excludes 0."""
        return abs(self.value) > bound and not self.low <= 0 <= self.high


@dataclass(frozen=True)
class Misalignment:
    """How far two clocks are apart; positive where the first named comes later.

    Intervals hold both what another choice of segments would give and what the method cannot
    resolve in any recording.
    """

    offset_ms: Range  # at the middle of the recording
    drift_ppm: Range | None  # microseconds gained a second; None where the recording is too short
    start_ms: Range
    end_ms: Range

    @classmethod
    def of(cls, fit: ClockFit, resolution_ms: float = 0.0) -> "Misalignment":
        """Return the misalignment of the best line and its resamples over a recording.

        The resolution is half the width that an interval keeps however long the recording is. It is
        an error apart from the resampled one, so their squares add up.
        """
        line, resampled, half_s = fit.line, fit.resampled, fit.length_s / 2
        start, middle, end = (
            Range.of(line.at(at_s), resampled.at(at_s), 1e3).widened(resolution_ms)
            for at_s in (-half_s, 0.0, half_s)
        )
        drift, most_ppm = Range.of(line.drift, resampled.drift, 1e6), 1e6 * MAX_DRIFT
        known = drift.high - drift.low < most_ppm and abs(drift.value) < 0.999 * most_ppm
        # the ends may be wrong by this much each, one without the other
        coarse_ppm = 1e3 * np.sqrt(2) * resolution_ms / fit.length_s
        return cls(middle, drift.widened(coarse_ppm) if known else None, start, end)

    @property
    def moments(self) -> tuple[Range, Range, Range]:
        """Offsets at the start, the middle and the end."""
        return self.start_ms, self.offset_ms, self.end_ms


@dataclass(frozen=True)
class ClockPair:
    """Two clocks of a recording and what was found of them."""

    name: str
    late: str  # a positive offset means that it comes later than the reference
    reference: str
    verdict: SyncVerdict
    frame_ms: float  # half of it is what clocks may be off by
    resolution_ms: float = 0.0  # part of every interval, however long the recording
    reason: str | None = None  # why nothing can be told
    misalignment: Misalignment | None = None
    evidence: str = ""  # what the estimate rests on, for readers
    correlation: float | None = None  # of the two signals where they fit best
    stands_out: float | None = None  # standard deviations above wrongly paired signals
    n_events: int | None = None  # events, or frames, compared; None for continuous signals
    furthest_ms: float | None = None  # greatest difference, where clocks were read frame by frame
    n_segments: int = 0
    curve: np.ndarray | None = None  # (2, n): offsets in ms and correlation, drift taken out

    @property
    def strays(self) -> bool:
        """Whether some frame is more than a frame away, and further than the line says."""
        if self.furthest_ms is None or self.misalignment is None:
            return False
        on_line = max(abs(at.value) for at in self.misalignment.moments)
        return abs(self.furthest_ms) > max(self.frame_ms, on_line + self.frame_ms / 2)

    @property
    def headline(self) -> str:
        """The verdict in one line."""
        if self.verdict is SyncVerdict.CANNOT_TELL or self.misalignment is None:
            return f"{self.verdict}: {self.reason}"
        if self.strays:
            return f"off by up to {self.furthest_ms:+.0f} ms"
        first, steady, last = self.misalignment.moments
        off = self.verdict is SyncVerdict.OFF
        moves = max(abs(end.value - steady.value) for end in (first, last)) > self.frame_ms / 2
        if moves or (off and not steady.beyond(self.frame_ms / 2)):
            by = f"{first.value:+.0f} ms at the start, {last.value:+.0f} ms at the end"
        else:
            by = f"{round(steady.value) + 0:+d} ± {steady.reach:.0f} ms"
        return f"off by {by}" if off else f"{self.verdict} ({by})"

    @property
    def smallest_ms(self) -> float | None:
        """The smallest steady offset that would have been called off; None where none is told."""
        if self.misalignment is None:
            return None
        return max(self.frame_ms / 2, self.misalignment.offset_ms.reach)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the curve, ready for JSON."""
        out = asdict(replace(self, curve=None))
        del out["curve"]
        told = {"verdict": str(self.verdict), "headline": self.headline}
        return out | told | {"smallest_ms": self.smallest_ms}

    def judged(self, misalignment: Misalignment) -> "ClockPair":
        """Return the pair with a measured misalignment and the verdict that it calls for.

        "Off": in the middle the offset is more than half a frame and its interval excludes 0, or so
        it is at the start or the end and the drift is known; or some frame strays by more than a
        frame from what the line says. "Synchronised": none of this, and all three intervals lie
        within one frame. Between the two, the interval is too wide to tell.
        """
        pair = replace(self, misalignment=misalignment)
        moments = misalignment.moments
        # without a known drift the ends are but the middle, moved by a drift that was guessed
        known = moments if misalignment.drift_ppm else (misalignment.offset_ms,)
        if pair.strays or any(moment.beyond(self.frame_ms / 2) for moment in known):
            return replace(pair, verdict=SyncVerdict.OFF)
        if all(moment.within(self.frame_ms) for moment in moments):
            return replace(pair, verdict=SyncVerdict.SYNCHRONISED)
        widest = max(moments, key=lambda at: at.high - at.low)
        reason = (
            f"the interval, {widest.low:+.0f} to {widest.high:+.0f} ms, is too wide: it reaches "
            f"beyond one frame ({self.frame_ms:.0f} ms); a longer recording tells more"
        )
        return replace(pair, verdict=SyncVerdict.CANNOT_TELL, reason=reason)


@dataclass(frozen=True)
class SyncAudit:
    """What was found of an episode's clocks."""

    episode: str  # name of the folder
    length_s: float  # from the first frame to the last
    frame_ms: float
    pairs: tuple[ClockPair, ...]

    def __getitem__(self, name: str) -> ClockPair:
        """Return the pair of a name."""
        return next(pair for pair in self.pairs if pair.name == name)

    def to_json(self) -> str:
        """Return the audit as JSON text."""
        whole = {"episode": self.episode, "length_s": self.length_s, "frame_ms": self.frame_ms}
        whole["pairs"] = [pair.to_dict() for pair in self.pairs]
        return json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False)

    def to_text(self) -> str:
        """Return a few lines a pair for readers."""
        lines = [f"{self.episode}: {self.length_s:.1f} s, one frame is {self.frame_ms:.1f} ms"]
        for pair in self.pairs:
            lines += ["", f"{pair.late} against {pair.reference}: {pair.headline}"]
            if found := pair.misalignment:
                lines.append(f"  offset {found.offset_ms} ms in the middle of the recording")
                drift = f"{found.drift_ppm} ppm" if found.drift_ppm else "not known: too short"
                lines.append(f"  drift {drift}")
                lines.append(f"  from {found.start_ms} ms at the start to {found.end_ms} ms")
                lines.append(
                    f"  a steady offset below {pair.smallest_ms:.0f} ms would go unnoticed"
                )
            if pair.evidence:
                lines.append(f"  rests on {pair.evidence}")
        return "\n".join(lines)


def audit_episode(
    folder: Path | str,
    pairs: Sequence[str] = PAIRS,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> SyncAudit:
    """Return whether the streams of a recording are synchronised; no label is needed.

    The episode is only read; videos and sound are streamed. Only the ``pairs`` named are looked at;
    the seed draws the resamples behind the intervals. A pair that cannot be judged (a stream is
    missing, silent or motionless, the recording is too short, the signals unlike each other) says
    so and why, and holds no offset.

    If there is no usable annotation, that is an EpisodeError; if there is no pair of a name, a
    ParamsError.
    """
    if unknown := [name for name in pairs if name not in PAIRS]:
        hint = did_you_mean(unknown[0], PAIRS)
        raise ParamsError("pairs", f"holds {unknown[0]!r}", "names of pairs of clocks", hint)
    # what is implausible is for `inspect` to name; computing with it is no news
    with Recording(folder) as episode, np.errstate(over="ignore", invalid="ignore"):
        judge, tell = _Judge(episode, seed), on_progress or quiet
        found: list[ClockPair] = []
        for name in pairs:
            tell("pairs of clocks", len(found), len(pairs))
            found.append(judge.pair(name))
        tell("pairs of clocks", len(found), len(pairs))
        length_s = float(judge.time_s[-1] - judge.time_s[0])
        return SyncAudit(episode.name, length_s, judge.frame_ms, tuple(found))


class _CannotTellError(Exception):
    """Why a pair cannot be judged; never leaves this module."""


class _Judge:
    """Judges each pair of an episode, by the method of the pair's name."""

    def __init__(self, episode: Recording, seed: int):
        self.episode, self.seed = episode, seed
        self.time_s = signals.frame_times_s(episode)
        self.frame_ms = 1e3 / episode.fps

    def pair(self, name: str) -> ClockPair:
        """Return what is found of a pair."""
        late, reference, share = _PAIRS[name]
        unknown = SyncVerdict.CANNOT_TELL
        pair = ClockPair(name, late, reference, unknown, self.frame_ms, self.frame_ms * share)
        try:
            return getattr(self, name)(pair)
        except _CannotTellError as error:
            return replace(pair, reason=str(error))
        except EpisodeError as error:
            return replace(pair, reason=f"{error.place} {error.found}")

    def gyro_rotation(self, pair: ClockPair) -> ClockPair:
        """Compare angular speeds of the gyroscope with those of the poses."""
        turning = self._turning()
        self._need("imu")
        grid_s = self._grid_s(self.time_s)
        reference = signals.between_frames(self.time_s, turning[:, None], grid_s)
        stamps_ns = signals.frame_stamps_ns(self.episode)
        if stamps_ns is None:
            raise _CannotTellError(
                "neither frame names nor keyframes tie inertial samples to frames"
            )
        span_s = float(np.median(np.diff(self.time_s)))
        late = signals.gyro_rad_s(self.episode, stamps_ns[0], grid_s, span_s)
        _check_moving("the gyroscope", late)
        # roots: a few fast turns of the head should not outvote all the rest
        signal, other = np.sqrt(late), np.sqrt(reference[:, 0])
        return self._correlated(pair, signal, other, "of angular speeds")

    def flow_camera(self, pair: ClockPair) -> ClockPair:
        """Compare how a picture moves with what the camera's own motion predicts."""
        self._turning()
        grid_s = self._grid_s(self.time_s)
        camera = self._camera()
        frames = np.arange(len(self.time_s))
        moved = signals.picture_px_s(self.episode.pictures(camera, frames), self.time_s)
        if np.isfinite(moved).any(1).sum() < _FEWEST_FRAMES or not np.nanmax(np.abs(moved)) > 0:
            raise _CannotTellError(f"the picture of {camera} shows nothing that moves")
        both = signals.matched(moved, signals.camera_motion(self.episode, self.time_s))
        late, reference = (signals.between_frames(self.time_s, each, grid_s) for each in both)
        what = f"of the motion of {camera}'s picture with what the camera's own motion predicts"
        return self._correlated(pair, late, reference, what)

    def sound_body(self, pair: ClockPair) -> ClockPair:
        """Compare onsets in the sound with contacts that begin and limbs that come to rest."""
        episode = self.episode
        self._need("audio")
        if not any(episode.streams[name].usable for name in _BODY):
            raise _CannotTellError("neither body nor contacts nor hands can be read")
        begin_s = episode.clock(layout.AUDIO_CAMERA).begin_s
        grid_s = self._grid_s(begin_s - begin_s[0])
        onsets = signals.OnsetTrack(episode.video_path(layout.AUDIO_CAMERA))
        heard_s = len(onsets.strength_db) * signals.STEP_S
        if heard_s < SHORTEST_S:
            raise _CannotTellError(
                f"there are {heard_s:.1f} s of sound, at least {SHORTEST_S:.0f} s are needed"
            )
        if onsets.peak < signals.SILENT_PEAK:
            raise _CannotTellError("the sound is silent")
        events = signals.body_events(episode)
        places = np.sort(np.concatenate(list(events.values())))
        places = places[places <= len(begin_s) - 1]
        n_events = len(places)
        if n_events < _FEWEST_EVENTS:
            raise _CannotTellError(f"the body gives {n_events} events, {_FEWEST_EVENTS} are needed")
        event_s = np.interp(places, np.arange(len(begin_s)), begin_s)
        heard = onsets.standing_out(grid_s + begin_s[0])
        if not np.nanmax(heard, initial=0.0) > 0:
            raise _CannotTellError("nothing in the sound has an onset")
        bumps = signals.event_signal(event_s - begin_s[0], grid_s)
        counts = ", ".join(f"{len(found)} {kind}" for kind, found in events.items())
        pair = replace(pair, n_events=n_events)
        return self._correlated(pair, heard, bumps, f"of onsets with {counts}")

    def container_device(self, pair: ClockPair) -> ClockPair:
        """Compare the times of a video file's frames with the device's."""
        camera = self._camera()
        if self.episode.stamps_ns is None:
            raise _CannotTellError("frame names hold no device times")
        clock = self.episode.clock(camera)
        seen = np.flatnonzero(clock.pictures >= 0)
        seen = seen[seen < len(self.time_s)]
        n = len(seen)
        if n < _FEWEST_FRAMES:
            raise _CannotTellError(f"{camera} has {n} frames, {_FEWEST_FRAMES} are needed")
        if not self.time_s[seen[-1]] > self.time_s[seen[0]]:
            raise _CannotTellError("device times do not grow")
        shown_s = clock.timeline.picture_s[clock.pictures[seen]]
        found = compare_clocks(shown_s, self.time_s[seen], self.seed)
        evidence = (
            f"{n:,} frames of {camera}, jitter {found.jitter_ms:.2f} ms, "
            f"gaps in the file {found.gaps[0]}, on the device {count_gaps(self.time_s)}"
        )
        n_shown = len(clock.timeline.ticks)
        if n_shown != len(self.time_s):
            evidence += f"; the file has {n_shown:,} frames, the recording {len(self.time_s):,}"
        pair = replace(pair, evidence=evidence, n_events=n, n_segments=found.n_segments)
        pair = replace(pair, furthest_ms=found.furthest_ms)
        return pair.judged(Misalignment.of(found))

    def _need(self, stream: str) -> None:
        state = self.episode.streams[stream]
        if not state.usable:
            raise _CannotTellError(f"{stream} is {state.status} ({state.faults[0].found})")

    def _grid_s(self, time_s: np.ndarray) -> np.ndarray:
        """Return the instants at which signals of these frames are compared."""
        length_s = float(time_s[-1]) if len(time_s) else 0.0
        if not length_s >= SHORTEST_S:
            raise _CannotTellError(
                f"the recording lasts {length_s:.1f} s, at least {SHORTEST_S:.0f} s are needed"
            )
        return signals.regular_grid(length_s)

    def _turning(self) -> np.ndarray:
        """Return the angular speed between neighbouring poses, shape (n - 1,)."""
        self._need("pose")
        quat = self.episode.read(layout.QUATERNION)
        n = min(len(quat), len(self.time_s))
        speed = signals.turning_rad_s(quat[:n], self.time_s[:n])
        _check_moving("the head", speed)
        return speed

    def _camera(self) -> str:
        for name in layout.CAMERAS:
            if self.episode.streams[name].usable:
                return name
        raise _CannotTellError("no camera's video can be read")

    def _correlated(
        self, pair: ClockPair, late: np.ndarray, reference: np.ndarray, what: str
    ) -> ClockPair:
        lag = measure_lag(late, reference, self.seed)
        evidence = (
            f"a correlation of {lag.correlation:.2f} {what}, {lag.stands_out:.1f} standard "
            f"deviations above chance, in {lag.n_segments} segments"
        )
        measured = {name: getattr(lag, name) for name in ("correlation", "stands_out", "curve")}
        pair = replace(pair, evidence=evidence, n_segments=lag.n_segments, **measured)
        if not lag.believed:
            reason = (
                f"the best correlation, {lag.correlation:.2f}, stands out {lag.stands_out:.1f} "
                f"standard deviations from wrongly paired signals; {STANDS_OUT:.0f} are needed"
            )
            return replace(pair, reason=reason)
        if lag.at_limit:
            reason = (
                f"they fit best where the search ends: {lag.line.offset_s:+.2f} s apart "
                f"(of {MAX_OFFSET_S:g}), drift {1e6 * lag.line.drift:+.0f} ppm "
                f"(of {1e6 * MAX_DRIFT:.0f})"
            )
            return replace(pair, reason=reason)
        return pair.judged(Misalignment.of(lag, pair.resolution_ms))


def _check_moving(who: str, speed: np.ndarray) -> None:
    """Stop, with the reason, where angular speeds hold no motion."""
    known = np.isfinite(speed)
    if not known.any():
        raise _CannotTellError(f"no motion of {who} is known")
    fast = float(np.percentile(speed[known], 95))
    if fast < _LEAST_TURN_RAD_S:
        raise _CannotTellError(f"{who} hardly turns: {np.rad2deg(fast):.2f} degrees/s at most")
