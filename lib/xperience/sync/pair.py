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

    def within(self, bound: float) -> bool:
        """Return whether the whole interval lies within so much of 0."""
        return -bound <= self.low and self.high <= bound

    def beyond(self, bound: float) -> bool:
        """Return whether the estimate is further from 0 than so much, and surely not 0."""
        return abs(self.value) > bound and not self.low <= 0 <= self.high


@dataclass(frozen=True)
class Misalignment:
    """How far two clocks are apart; positive where the first named comes later.

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
    def of(cls, line: Line, resampled: Line, length_s: float) -> "Misalignment":
        """Return the misalignment of a line and its resamples over a recording."""
        half_s = length_s / 2
        drift = _range(line.drift, resampled.drift, 1e6)
        return cls(
            _range(line.offset_s, resampled.offset_s, 1e3),
            drift if _is_told(drift) else None,
            _range(line.at(-half_s), resampled.at(-half_s), 1e3),
            _range(line.at(half_s), resampled.at(half_s), 1e3),
        )

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
        One frame: half of it is what "in step" allows.
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
        worst = max(self.misalignment.moments, key=lambda at: abs(at.value))
        steady = self.misalignment.offset_ms
        if abs(worst.value - steady.value) <= self.frame_ms / 2:
            by = f"{round(steady.value) + 0:+d} ms"
        else:
            first, _, last = self.misalignment.moments
            by = f"{first.value:+.0f} ms at the start, {last.value:+.0f} ms at the end"
        return f"{self.verdict} ({by})" if self.verdict is Verdict.IN_STEP else f"off by {by}"

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the curve, ready for JSON."""
        out = asdict(replace(self, curve=None))
        del out["curve"]
        return out | {"verdict": str(self.verdict), "headline": self.headline}


@dataclass(frozen=True)
class Names:
    """A pair before anything is known of it; see `ClockPair`."""

    name: str
    late: str
    reference: str
    frame_ms: float

    def cannot_tell(self, reason: str, **more: Any) -> ClockPair:
        """Return a pair of which nothing can be told."""
        own = asdict(self) | {"verdict": Verdict.CANNOT_TELL, "reason": reason}
        return ClockPair(**own, **more)

    def judged(self, misalignment: Misalignment, **more: Any) -> ClockPair:
        """Return a pair whose misalignment was measured, with the verdict that it calls for.

        Notes
        -----
        "Off": at the start, the middle or the end the offset is more than half a frame, and surely
        not 0; or some frame strays by more than a frame from what the line says. "In step": none of
        this, and all three intervals lie within one frame. Between the two, the interval is too
        wide to tell.
        """
        moments = misalignment.moments
        if any(moment.beyond(self.frame_ms / 2) for moment in moments):
            verdict, reason = Verdict.OFF, None
        elif all(moment.within(self.frame_ms) for moment in moments):
            verdict, reason = Verdict.IN_STEP, None
        else:
            widest = max(moments, key=lambda at: at.high - at.low)
            verdict = Verdict.CANNOT_TELL
            reason = (
                f"the interval, {widest.low:+.0f} to {widest.high:+.0f} ms, "
                f"holds 0 and more than one frame"
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
        found = Misalignment.of(lag.line, lag.resampled, lag.length_s)
        return self.judged(found, **more)
