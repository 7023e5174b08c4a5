"""Offset and drift of two clocks, intervals that hold what they promise, and verdicts."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from xperience.sync.audit import ClockPair, Misalignment, Range, SyncVerdict
from xperience.sync.lags import (
    MAX_DRIFT,
    MAX_OFFSET_S,
    RATE_HZ,
    ClockFit,
    Line,
    compare_clocks,
    measure_lag,
)
from xperience.sync.signals import regular_grid

FRAME_MS = 50.0


def smooth(rng: np.random.Generator, n: int) -> np.ndarray:
    values = gaussian_filter1d(rng.normal(size=n), 8.0)
    return values / values.std()


def two_signals(seed, length_s, offset_s=0.0, drift=0.0, noise=0.3):
    """Two noisy views of one signal; the first is late by a known line."""
    rng = np.random.default_rng(seed)
    grid_s = regular_grid(length_s)
    n_more = 1000
    source = smooth(rng, len(grid_s) + 2 * n_more)
    source_s = (np.arange(len(source)) - n_more + 0.5) / RATE_HZ
    late_s = grid_s - offset_s - drift * (grid_s - length_s / 2)
    late = np.interp(late_s, source_s, source) + noise * smooth(rng, len(grid_s))
    reference = np.interp(grid_s, source_s, source) + noise * smooth(rng, len(grid_s))
    return late, reference


@settings(max_examples=2)
@given(seed=st.integers(0, 1000), offset_s=st.floats(-1.2, 1.2), drift=st.floats(-4e-4, 4e-4))
@example(seed=2, offset_s=-0.05, drift=-2e-4)
def test_offset_and_drift_are_found_from_start_to_end(seed, offset_s, drift):
    late, reference = two_signals(seed, 60.0, offset_s, drift)
    lag, back = measure_lag(late, reference), measure_lag(reference, late)
    assert lag.believed
    assert not lag.at_limit
    assert lag.line.offset_s == pytest.approx(-back.line.offset_s, abs=0.005)
    for from_middle_s in (-30.0, 0.0, 30.0):
        error_s = lag.line.at(from_middle_s) - offset_s - drift * from_middle_s
        assert 1e3 * abs(error_s) < FRAME_MS / 2


def test_neither_scale_nor_level_nor_what_is_unknown_matters():
    late, reference = two_signals(3, 60.0, 0.2)
    plain, scaled = measure_lag(late, reference), measure_lag(7 * late + 3, reference - 40)
    assert scaled.line.offset_s == pytest.approx(plain.line.offset_s, abs=1e-9)
    assert scaled.correlation == pytest.approx(plain.correlation)
    assert plain.correlation == pytest.approx(1 / (1 + 0.3**2), abs=0.1)
    blind = np.full_like(late, np.nan)
    both = measure_lag(np.stack([late, blind], axis=1), np.stack([reference, blind], axis=1))
    assert both.line.offset_s == pytest.approx(plain.line.offset_s)
    late[2000:4000] = np.nan
    assert measure_lag(late, reference).line.offset_s == pytest.approx(0.2, abs=0.01)


def test_what_lies_beyond_the_search_is_seen_as_such():
    far = measure_lag(*two_signals(6, 60.0, MAX_OFFSET_S + 0.06))
    assert far.at_limit or not far.believed
    assert measure_lag(*two_signals(6, 120.0, 0.0, 1.3 * MAX_DRIFT, noise=0.1)).at_limit


def test_unrelated_signals_are_not_believed():
    for seed in range(5):
        (late, _), (_, other) = two_signals(seed, 40.0), two_signals(seed + 500, 40.0)
        assert not measure_lag(late, other).believed


def test_a_short_recording_tells_an_offset_but_no_drift_and_the_seed_its_interval():
    pair = two_signals(7, 25.0, 0.1, noise=1.0)
    first, again, other = (Misalignment.of(measure_lag(*pair, seed)) for seed in (0, 0, 1))
    assert first.drift_ppm is None
    assert abs(first.offset_ms.value - 100) < 50
    assert first == again
    assert first.offset_ms != other.offset_ms
    assert first.offset_ms.value == other.offset_ms.value


def coverage(n: int, length_s: float, noise: float) -> tuple[float, float, float]:
    """Share of intervals that hold the truth, in the middle and at the end; mean half width."""
    held = []
    for seed in range(n):
        rng = np.random.default_rng([seed, 9])
        offset_s, drift = rng.uniform(-0.5, 0.5), rng.uniform(-3e-4, 3e-4)
        found = Misalignment.of(measure_lag(*two_signals(seed, length_s, offset_s, drift, noise)))
        middle, end = found.offset_ms, found.end_ms
        truth_ms = 1e3 * offset_s, 1e3 * (offset_s + drift * length_s / 2)
        inside = (m.low <= t <= m.high for m, t in zip((middle, end), truth_ms, strict=True))
        held.append([*inside, (middle.high - middle.low) / 2])
    return tuple(np.mean(held, axis=0))


def test_intervals_hold_the_truth_in_a_few_recordings():
    middle, end, half_ms = coverage(10, 40.0, 0.7)
    assert min(middle, end) >= 8 / 10
    assert half_ms < FRAME_MS  # and not by being endless


@pytest.mark.slow
@pytest.mark.parametrize(("length_s", "noise"), [(30.0, 0.5), (60.0, 1.0)])
def test_about_95_percent_of_intervals_hold_the_truth(length_s, noise):
    middle, end, _ = coverage(50, length_s, noise)
    assert 0.90 <= middle <= 0.995
    assert 0.88 <= end <= 0.995


TIME_S = np.arange(1200) / 20


@given(st.floats(-900, 900), st.floats(0, 2))
def test_a_clock_that_runs_fast_is_measured(ppm, jitter_ms):
    rng = np.random.default_rng(0)
    late_s = 5 + TIME_S * (1 + 1e-6 * ppm) + rng.normal(0, 1e-3 * jitter_ms, len(TIME_S))
    found = compare_clocks(late_s, TIME_S + 61_000)
    first_ms = 1e3 * (late_s[0] - 5)
    assert 1e6 * found.line.drift == pytest.approx(ppm, abs=0.1 + 15 * jitter_ms)
    middle_ms = 1e-3 * ppm * TIME_S[-1] / 2 - first_ms
    assert 1e3 * found.line.offset_s == pytest.approx(middle_ms, abs=0.1 + 0.3 * jitter_ms)
    assert found.jitter_ms == pytest.approx(jitter_ms, rel=0.15, abs=1e-6)
    assert found.gaps == (0, 0)


def test_gaps_of_either_clock_are_counted():
    late_s = TIME_S + (np.arange(1200) >= 600) * 0.2
    found = compare_clocks(late_s, TIME_S + (np.arange(1200) >= 300) * 0.1)
    assert found.gaps == (1, 1)
    assert abs(found.furthest_ms) == pytest.approx(100)


def judged(middle: Range, end: Range | None = None, drift: Range | None = None) -> ClockPair:
    """A pair with an offset in the middle; another one at the end, and its mirror at the start."""
    start = middle
    if end:
        value = 2 * middle.value - end.value
        start = Range(value, middle.value - 99, middle.value + 99)
    pair = ClockPair("a_b", "a", "b", SyncVerdict.CANNOT_TELL, FRAME_MS, FRAME_MS / 2)
    return pair.judged(Misalignment(middle, drift, start, end or middle))


@pytest.mark.parametrize("spread_ms", [2.0, 10.0, 40.0])
def test_intervals_hold_the_truth_also_where_all_segments_share_an_error(spread_ms):
    rng = np.random.default_rng(3)
    for resolution_ms in (0.0, 25.0):
        held = []
        for _ in range(300):
            shared_ms = rng.uniform(-25, 25)
            offset_s = (shared_ms + rng.normal(0, spread_ms)) / 1e3
            resampled = Line(offset_s + rng.normal(0, spread_ms / 1e3, 400), np.zeros(400))
            fit = ClockFit(Line(offset_s, 0.0), resampled, 100.0, 24)
            at = Misalignment.of(fit, resolution_ms).offset_ms
            held.append(at.low <= 0 <= at.high)
        if resolution_ms:
            assert np.mean(held) >= 0.9
        elif spread_ms < 5:
            assert np.mean(held) < 0.5  # what resampling segments cannot show


def test_no_recording_is_long_enough_to_exceed_the_resolution_of_its_method():
    fit = ClockFit(Line(0.01, 0.0), Line(np.full(9, 0.01), np.zeros(9)), 100.0, 24)
    never = Misalignment.of(fit, 25.0)
    assert (never.offset_ms.low, never.offset_ms.high) == (-15.0, 35.0)
    assert never.drift_ppm.high == pytest.approx(1e3 * np.sqrt(2) * 25 / 100)
    pair = judged(never.offset_ms)
    assert pair.headline == "synchronised (+10 ± 25 ms)"
    assert pair.smallest_ms == 25.0


def test_off_names_the_offset_that_makes_it_so_unless_the_drift_is_unknown():
    assert judged(Range(80, 50, 110)).headline == "off by +80 ± 30 ms"
    middle, end = Range(6, -8, 20), Range(31, 12, 48)
    pair = judged(middle, end, Range(500, 100, 900))
    assert pair.verdict is SyncVerdict.OFF
    assert "+31 ms at the end" in pair.headline
    pair = judged(middle, end)
    assert pair.verdict is SyncVerdict.CANNOT_TELL
    assert "a longer recording tells more" in pair.reason


@given(value=st.floats(-200, 200), half=st.floats(0.1, 300))
def test_a_verdict_claims_no_more_than_its_interval(value, half):
    at = Range(value, value - half, value + half)
    verdict = judged(at).verdict
    if verdict is SyncVerdict.OFF:
        assert abs(value) > FRAME_MS / 2
        assert not at.low <= 0 <= at.high
    if verdict is SyncVerdict.SYNCHRONISED:
        assert -FRAME_MS <= at.low <= at.high <= FRAME_MS
    if half > 2 * FRAME_MS + abs(value):
        assert verdict is SyncVerdict.CANNOT_TELL
