"""What the audit says of two clocks: offset, drift, what they rest on, and a verdict."""

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from xperience.sync.lags import LEVEL, MAX_DRIFT, MAX_OFFSET_S, STANDS_OUT, Lag, Line

_DIGITS = 6
"""Decimals kept of ms and ppm: beyond them the same recording differs from machine to machine."""


class Verdict(StrEnum):
    """Whether two clocks agree."""

    IN_STEP = "in step"
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

    def widened(self, by: float) -> "Range":
        """Return the range with another, independent source of error, of so much on both sides."""
        low = self.value - np.hypot(self.value - self.low, by)
        high = self.value + np.hypot(self.high - self.value, by)
        return Range(self.value, *(round(float(end), _DIGITS) for end in (low, high)))

    def within(self, bound: float) -> bool:
        """Return whether the whole interval lies within so much of 0."""
        return -bound <= self.low and self.high <= bound

    def beyond(self, bound: float) -> bool:
        """Return whether the estimate is further from 0 than so much, and surely not 0."""
        return abs(self.value) > bound and not self.low <= 0 <= self.high


@dataclass(frozen=True)
class Misalignment:
    """How far two clocks are apart; positive where the first named comes later.

    Intervals hold both what another choice of stretches would give and what the method cannot
    resolve in any recording.

    Parameters
    ----------
    offset_ms : Range
        At the middle of the recording.
    drift_ppm : Range, optional
        Microseconds gained a second; None where the recording is too short to tell.
    start_ms, end_ms : Range
        Offset at the ends of the recording.
    """

    offset_ms: Range
    drift_ppm: Range | None
    start_ms: Range
    end_ms: Range

    @classmethod
    def of(
        cls, line: Line, resampled: Line, length_s: float, resolution_ms: float = 0.0
    ) -> "Misalignment":
        """Return the misalignment of a line and its resamples over a recording.

        Parameters
        ----------
        line, resampled : Line
            The best one, and one a resample.
        length_s : float
        resolution_ms : float
            Half the width that an interval keeps however long the recording is. It is an error
            apart from the drawn one, so their squares add up.
        """
        half_s = length_s / 2
        drift = _range(line.drift, resampled.drift, 1e6)
        # the ends may be wrong by this much each, one without the other
        coarse_ppm = 1e3 * np.sqrt(2) * resolution_ms / length_s
        moments = [
            _range(line.at(at_s), resampled.at(at_s), 1e3).widened(resolution_ms)
            for at_s in (0.0, -half_s, half_s)
        ]
        told = drift.widened(coarse_ppm) if _is_told(drift) else None
        return cls(moments[0], told, *moments[1:])

    @property
    def moments(self) -> tuple[Range, Range, Range]:
        """Offsets at the start, the middle and the end."""
        return self.start_ms, self.offset_ms, self.end_ms


def _is_told(drift_ppm: Range) -> bool:
    """Return whether a drift is more than where the search began and ended."""
    most_ppm = 1e6 * MAX_DRIFT
    return drift_ppm.high - drift_ppm.low < most_ppm and abs(drift_ppm.value) < 0.999 * most_ppm


def _range(value: float, resampled: np.ndarray, scale: float) -> Range:
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    ends = (value, min(low, value), max(high, value))
    return Range(*(round(scale * float(end), _DIGITS) for end in ends))


@dataclass(frozen=True)
class Curve:
    """Correlation at each offset, the drift taken out: offsets in ms, shape (n,), and values."""

    offset_ms: np.ndarray
    correlation: np.ndarray


@dataclass(frozen=True)
class ClockPair:
    """Two clocks of a recording and what was found of them.

    Parameters
    ----------
    name : str
        The pair, for rows and tables.
    late, reference : str
        A positive offset means that ``late`` comes later than ``reference``.
    verdict : Verdict
    frame_ms : float
        One frame: half of it is what clocks may be off by.
    resolution_ms : float
        What the method cannot resolve, however long the recording; part of every interval.
    reason : str, optional
        Why nothing can be told.
    misalignment : Misalignment, optional
        None where nothing could be measured.
    evidence : str
        What the estimate rests on, for readers.
    correlation : float, optional
        Of the two signals where they fit best.
    stands_out : float, optional
        Standard deviations by which that exceeds wrongly paired signals.
    n_events : int, optional
        Events, or frames, that were compared; None for continuous signals.
    furthest_ms : float, optional
        The greatest difference at any frame, where clocks were read frame by frame.
    n_stretches : int
        Stretches of the recording behind the interval.
    curve : Curve, optional
    """

    name: str
    late: str
    reference: str
    verdict: Verdict
    frame_ms: float
    resolution_ms: float = 0.0
    reason: str | None = None
    misalignment: Misalignment | None = None
    evidence: str = ""
    correlation: float | None = None
    stands_out: float | None = None
    n_events: int | None = None
    furthest_ms: float | None = None
    n_stretches: int = 0
    curve: Curve | None = None

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
        if self.verdict is Verdict.CANNOT_TELL or self.misalignment is None:
            return f"{self.verdict}: {self.reason}"
        if self.strays:
            return f"off by up to {self.furthest_ms:+.0f} ms"
        first, steady, last = self.misalignment.moments
        off = self.verdict is Verdict.OFF
        moves = max(abs(end.value - steady.value) for end in (first, last)) > self.frame_ms / 2
        if moves or (off and not steady.beyond(self.frame_ms / 2)):
            by = f"{first.value:+.0f} ms at the start, {last.value:+.0f} ms at the end"
        else:
            by = f"{round(steady.value) + 0:+d} ms"
        return f"off by {by}" if off else f"{self.verdict} ({by})"

    @property
    def smallest_ms(self) -> float | None:
        """The smallest steady offset that would have been called off; None where none is told."""
        if self.misalignment is None:
            return None
        steady = self.misalignment.offset_ms
        return max(self.frame_ms / 2, steady.value - steady.low, steady.high - steady.value)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the curve, ready for JSON."""
        out = asdict(replace(self, curve=None))
        del out["curve"]
        told = {"verdict": str(self.verdict), "headline": self.headline}
        return out | told | {"smallest_ms": self.smallest_ms}


@dataclass(frozen=True)
class Names:
    """A pair before anything is known of it; see `ClockPair`."""

    name: str
    late: str
    reference: str
    frame_ms: float
    resolution_ms: float = 0.0

    def cannot_tell(self, reason: str, **more: Any) -> ClockPair:
        """Return a pair of which nothing can be told."""
        own = asdict(self) | {"verdict": Verdict.CANNOT_TELL, "reason": reason}
        return ClockPair(**own, **more)

    def judged(self, misalignment: Misalignment, **more: Any) -> ClockPair:
        """Return a pair whose misalignment was measured, with the verdict that it calls for.

        Notes
        -----
        "Off": in the middle the offset is more than half a frame, and surely not 0, or so it is at
        the start or the end and a drift can be told; or some frame strays by more than a frame from
        what the line says. "In step": none of this, and all three intervals lie within one frame.
        Between the two, the interval is too wide to tell.
        """
        moments = misalignment.moments
        # without a known drift the ends are but the middle, moved by a drift that was guessed
        sure = moments if misalignment.drift_ppm else (misalignment.offset_ms,)
        if any(moment.beyond(self.frame_ms / 2) for moment in sure):
            verdict, reason = Verdict.OFF, None
        elif all(moment.within(self.frame_ms) for moment in moments):
            verdict, reason = Verdict.IN_STEP, None
        else:
            widest = max(moments, key=lambda at: at.high - at.low)
            verdict = Verdict.CANNOT_TELL
            reason = (
                f"the interval, {widest.low:+.0f} to {widest.high:+.0f} ms, reaches beyond "
                f"one frame ({self.frame_ms:.0f} ms), but not surely; a longer recording tells more"
            )
        own = asdict(self) | {"verdict": verdict, "reason": reason, "misalignment": misalignment}
        pair = ClockPair(**own, **more)
        return replace(pair, verdict=Verdict.OFF, reason=None) if pair.strays else pair

    def of_lag(self, lag: Lag, evidence: str, n_events: int | None = None) -> ClockPair:
        """Return the pair whose signals were correlated."""
        more = {
            "evidence": evidence,
            "correlation": lag.correlation,
            "stands_out": lag.stands_out,
            "n_events": n_events,
            "n_stretches": lag.n_stretches,
            "curve": Curve(1e3 * lag.lags_s, lag.curve),
        }
        if not lag.believed:
            reason = (
                f"the best correlation, {lag.correlation:.2f}, stands out {lag.stands_out:.1f} "
                f"standard deviations from wrongly paired signals; {STANDS_OUT:.0f} are needed"
            )
            return self.cannot_tell(reason, **more)
        if lag.at_limit:
            reason = (
                f"they fit best where the search ends: {lag.line.offset_s:+.2f} s apart "
                f"(of {MAX_OFFSET_S:g}), drift {1e6 * lag.line.drift:+.0f} ppm "
                f"(of {1e6 * MAX_DRIFT:.0f})"
            )
            return self.cannot_tell(reason, **more)
        found = Misalignment.of(lag.line, lag.resampled, lag.length_s, self.resolution_ms)
        return self.judged(found, **more)
