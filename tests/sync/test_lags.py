"""Offset and drift of two signals, with intervals that hold what they promise."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from xperience.sync.lags import (
    MAX_DRIFT,
    MAX_OFFSET_S,
    RATE_HZ,
    measure_lag,
    on_grid,
    regular_grid,
)
from xperience.sync.pair import Misalignment

FRAME_S = 0.05


def smooth(rng: np.random.Generator, n: int, width: float = 8.0) -> np.ndarray:
    values = gaussian_filter1d(rng.normal(size=n), width)
    return values / values.std()


def signals(seed, length_s, offset_s=0.0, drift=0.0, noise=0.3):
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


def misalignment(lag):
    return Misalignment.of(lag.line, lag.resampled, lag.length_s)


@settings(max_examples=6)
@given(
    seed=st.integers(0, 1000),
    offset_s=st.floats(-1.2, 1.2),
    drift=st.floats(-4e-4, 4e-4),
)
@example(seed=1, offset_s=0.5, drift=2e-4)
@example(seed=2, offset_s=-0.05, drift=-2e-4)
def test_offset_and_drift_are_found_from_start_to_end(seed, offset_s, drift):
    lag = measure_lag(*signals(seed, 80.0, offset_s, drift))
    assert lag.believed
    assert not lag.at_limit
    for from_middle_s in (-40.0, 0.0, 40.0):
        error_s = lag.line.at(from_middle_s) - offset_s - drift * from_middle_s
        assert abs(error_s) < FRAME_S / 2


@settings(max_examples=4)
@given(seed=st.integers(0, 1000), offset_s=st.floats(-0.5, 0.5))
def test_changing_places_changes_the_sign(seed, offset_s):
    late, reference = signals(seed, 60.0, offset_s)
    there, back = measure_lag(late, reference), measure_lag(reference, late)
    assert there.line.offset_s == pytest.approx(-back.line.offset_s, abs=0.005)


def test_neither_scale_nor_level_matters():
    late, reference = signals(3, 60.0, 0.2)
    plain, other = measure_lag(late, reference), measure_lag(7 * late + 3, reference - 40)
    assert other.line.offset_s == pytest.approx(plain.line.offset_s, abs=1e-9)
    assert other.correlation == pytest.approx(plain.correlation)
    assert plain.correlation == pytest.approx(1 / (1 + 0.3**2), abs=0.1)


def test_gaps_carry_no_weight():
    late, reference = signals(4, 90.0, 0.2)
    late[2000:4000] = np.nan
    assert measure_lag(late, reference).line.offset_s == pytest.approx(0.2, abs=0.01)


def test_a_channel_of_which_nothing_is_known_changes_nothing():
    late, reference = signals(5, 60.0, -0.3)
    blind = np.full_like(late, np.nan)
    both = measure_lag(np.stack([late, blind], axis=1), np.stack([reference, blind], axis=1))
    assert both.line.offset_s == pytest.approx(measure_lag(late, reference).line.offset_s)


def test_an_offset_beyond_the_search_is_not_reported_as_one_within():
    lag = measure_lag(*signals(6, 120.0, MAX_OFFSET_S + 0.06))
    assert lag.at_limit or not lag.believed


def test_a_drift_beyond_the_search_is_seen_as_such():
    lag = measure_lag(*signals(6, 120.0, 0.0, 1.3 * MAX_DRIFT, noise=0.1))
    assert lag.at_limit


def test_a_short_recording_tells_no_drift_but_an_offset():
    found = misalignment(measure_lag(*signals(7, 25.0, 0.1, noise=1.0)))
    assert found.drift_ppm is None
    assert abs(found.offset_ms.value - 100) < 50


def test_unrelated_signals_are_not_believed():
    for seed in range(8):
        late, _ = signals(seed, 60.0)
        _, other = signals(seed + 500, 60.0)
        assert not measure_lag(late, other).believed


def test_the_same_seed_gives_the_same_interval_and_another_one_another():
    pair = signals(8, 60.0, noise=1.0)
    first, again, other = (misalignment(measure_lag(*pair, seed)) for seed in (0, 0, 1))
    assert first == again
    assert first.offset_ms != other.offset_ms
    assert first.offset_ms.value == other.offset_ms.value


def coverage(n: int, length_s: float, noise: float) -> tuple[float, float, float]:
    """Share of intervals that hold the truth: middle, end, and of independent Gaussian ones."""
    held = []
    for seed in range(n):
        rng = np.random.default_rng([seed, 9])
        offset_s, drift = rng.uniform(-0.5, 0.5), rng.uniform(-3e-4, 3e-4)
        found = misalignment(measure_lag(*signals(seed, length_s, offset_s, drift, noise)))
        truths_ms = 1e3 * offset_s, 1e3 * (offset_s + drift * length_s / 2)
        moments = found.offset_ms, found.end_ms
        held.append([m.low <= truth <= m.high for m, truth in zip(moments, truths_ms, strict=True)])
        half = (found.offset_ms.high - found.offset_ms.low) / 2
        held[-1].append(half)
    return tuple(np.mean(held, axis=0))


def test_intervals_hold_the_truth_in_a_few_recordings():
    middle, end, half_ms = coverage(20, 40.0, 0.7)
    assert min(middle, end) >= 16 / 20
    assert half_ms < 1e3 * FRAME_S  # and not by being endless


@pytest.mark.slow
@pytest.mark.parametrize(("length_s", "noise"), [(30.0, 0.5), (60.0, 1.0), (240.0, 0.5)])
def test_about_95_percent_of_intervals_hold_the_truth(length_s, noise):
    middle, end, _ = coverage(150, length_s, noise)
    assert 0.90 <= middle <= 0.995
    assert 0.88 <= end <= 0.995


def test_resampling_leaves_gaps_and_ends_open():
    time_s = np.array([0.1, 0.2, 0.3, 0.9, 1.0, 0.95, 1.1])
    out = on_grid(time_s, time_s.copy(), np.array([0.05, 0.15, 0.6, 1.05, 1.2]), gap_s=0.25)
    np.testing.assert_allclose(out, [np.nan, 0.15, np.nan, 1.05, np.nan])


def test_resampling_nothing_gives_nothing():
    out = on_grid(np.arange(5.0), np.full(5, np.nan), np.arange(4.0), 1.0)
    assert np.isnan(out).all()
