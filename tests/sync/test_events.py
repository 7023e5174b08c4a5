"""When a body comes to rest, and when contacts begin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.errors import EpisodeError
from xperience.sync.events import contact_onsets, event_signal, stops
from xperience.sync.lags import regular_grid

FPS = 20.0


def path(moves: list[tuple[float, float, float]], length_s: float, abrupt: bool = False):
    """A point that goes so far along x between two instants: smoothly, or until it hits."""
    time_s = np.arange(round(length_s * FPS)) / FPS
    x = np.zeros_like(time_s)
    for start_s, end_s, far_m in moves:
        u = np.clip((time_s - start_s) / (end_s - start_s), 0, 1)
        x += far_m * (u**2 if abrupt else u**3 * (10 - 15 * u + 6 * u**2))
    return np.stack([x, 0 * x, 0 * x], axis=1)


@given(
    start_s=st.floats(1.0, 1.05),
    lasts_s=st.floats(0.4, 1.2),
    far_m=st.floats(0.1, 0.6),
    abrupt=st.booleans(),
)
def test_a_stop_is_found_finer_than_frames(start_s, lasts_s, far_m, abrupt):
    found = stops(path([(start_s, start_s + lasts_s, far_m)], 4.0, abrupt), FPS) / FPS
    assert len(found) == 1
    # nothing in the frames tells when, within its frame, a hand hits
    assert found[0] == pytest.approx(start_s + lasts_s, abs=(1.0 if abrupt else 0.5) / FPS)


def test_a_hand_that_turns_back_stops_in_between():
    found = stops(path([(1.0, 1.6, 0.3), (1.6, 2.2, -0.3)], 4.0), FPS) / FPS
    np.testing.assert_allclose(found, [1.6, 2.2], atol=0.5 / FPS)


def test_trembling_is_no_movement():
    rng = np.random.default_rng(1)
    still = rng.normal(0, 0.002, (400, 3))
    assert len(stops(still, FPS)) == 0
    moving = still + path([(5.0, 5.8, 0.5)], 20.0)
    np.testing.assert_allclose(stops(moving, FPS) / FPS, [5.8], atol=2 / FPS)


def test_a_movement_into_a_gap_is_no_stop():
    xyz = path([(1.0, 1.8, 0.4), (4.0, 4.8, 0.4)], 8.0)
    xyz[28:40] = np.nan
    np.testing.assert_allclose(stops(xyz, FPS) / FPS, [4.8], atol=0.5 / FPS)


def test_nothing_known_gives_no_stop():
    assert len(stops(np.full((50, 3), np.nan), FPS)) == 0
    with pytest.raises(EpisodeError, match="rate above 0"):
        stops(np.zeros((50, 3)), 0.0)


def test_contacts_begin_between_two_frames_and_count_once():
    contacts = np.zeros((10, 3))
    contacts[4:6], contacts[8, 1], contacts[0:2, 2] = 1, 0.5, 1
    contacts[5, 0] = np.nan
    assert contact_onsets(contacts).tolist() == [3.5, 7.5]


@given(st.lists(st.floats(0.5, 9.0), min_size=1, max_size=6))
def test_each_event_is_a_bump_about_its_own_moment(times_s):
    grid_s = regular_grid(10.0)
    signal = event_signal(np.array(times_s), grid_s)
    single = event_signal(np.array([5.0]), grid_s)
    assert signal.sum() == pytest.approx(len(times_s) * single.sum(), rel=1e-3)
    assert (signal @ grid_s) / signal.sum() == pytest.approx(np.mean(times_s), abs=1e-3)
