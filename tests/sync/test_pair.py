"""Offsets, intervals and verdicts: what may be said of so much, and of so little."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.sync.lags import Line
from xperience.sync.pair import Misalignment, Names, Range, Verdict

FRAME_MS, LENGTH_S = 50.0, 100.0


def moved(middle: Range, end: Range | None = None, drift: Range | None = None) -> Misalignment:
    """An offset in the middle; another one at the end, and its mirror at the start."""
    end = end or middle
    start = Range(2 * middle.value - end.value, middle.value - 99, middle.value + 99)
    return Misalignment(middle, drift, start if end is not middle else middle, end)


def judged(misalignment: Misalignment):
    return Names("a_b", "a", "b", FRAME_MS, FRAME_MS / 2).judged(misalignment)


@given(
    value=st.floats(-500, 500),
    down=st.floats(0, 100),
    up=st.floats(0, 100),
    by=st.floats(0, 100),
)
def test_another_source_of_error_widens_both_sides_as_squares_add_up(value, down, up, by):
    wide = Range(value, value - down, value + up).widened(by)
    assert wide.value == value
    assert value - wide.low == pytest.approx(np.hypot(down, by), abs=1e-5)
    assert wide.high - value == pytest.approx(np.hypot(up, by), abs=1e-5)


def drawn(rng: np.random.Generator, spread_ms: float, resolution_ms: float, told_ms: float):
    """A recording's line: an error of its stretches, and one that all its stretches share."""
    shared_ms = rng.uniform(-resolution_ms, resolution_ms)
    offset_s = (shared_ms + rng.normal(0, spread_ms)) / 1e3
    again_s = offset_s + rng.normal(0, spread_ms / 1e3, 400)
    line, resampled = Line(offset_s, 0.0), Line(again_s, np.zeros(400))
    return Misalignment.of(line, resampled, LENGTH_S, told_ms)


@pytest.mark.parametrize("spread_ms", [2.0, 10.0, 40.0])
def test_intervals_hold_the_truth_also_where_all_stretches_share_an_error(spread_ms):
    rng = np.random.default_rng(3)
    for told_ms in (0.0, 25.0):
        found = [drawn(rng, spread_ms, 25.0, told_ms).offset_ms for _ in range(300)]
        share = np.mean([at.low <= 0 <= at.high for at in found])
        if told_ms:
            assert share >= 0.9
        elif spread_ms < 5:
            assert share < 0.5  # what drawing stretches anew cannot show


def test_no_recording_is_long_enough_to_be_surer_than_its_method():
    never = Misalignment.of(Line(0.01, 0.0), Line(np.full(9, 0.01), np.zeros(9)), LENGTH_S, 25.0)
    assert (never.offset_ms.low, never.offset_ms.high) == (-15.0, 35.0)
    assert never.drift_ppm.high == pytest.approx(1e3 * np.sqrt(2) * 25 / LENGTH_S)
    assert judged(never).verdict is Verdict.IN_STEP
    assert judged(never).smallest_ms == 25.0


def test_off_names_the_offset_that_makes_it_so():
    end, drift = Range(31, 12, 48), Range(500, 100, 900)
    pair = judged(moved(Range(6, -8, 20), end, drift))
    assert pair.verdict is Verdict.OFF
    assert "+31 ms at the end" in pair.headline
    assert judged(moved(Range(80, 50, 110))).headline == "off by +80 ms"


def test_a_drift_that_is_not_known_puts_nothing_off():
    pair = judged(moved(Range(6, -8, 20), Range(31, 12, 48)))
    assert pair.verdict is Verdict.CANNOT_TELL
    assert "a longer recording tells more" in pair.reason


@given(value=st.floats(-200, 200), half=st.floats(0.1, 300))
def test_a_verdict_is_never_surer_than_its_interval(value, half):
    at = Range(value, value - half, value + half)
    verdict = judged(moved(at)).verdict
    if verdict is Verdict.OFF:
        assert abs(value) > FRAME_MS / 2
        assert not at.low <= 0 <= at.high
    if verdict is Verdict.IN_STEP:
        assert -FRAME_MS <= at.low <= at.high <= FRAME_MS
    if half > 2 * FRAME_MS + abs(value):
        assert verdict is Verdict.CANNOT_TELL
