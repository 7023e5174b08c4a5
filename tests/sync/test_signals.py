"""What the audit reads: turns, pictures that move, onsets, stops of a limb, contacts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xperience.errors import EpisodeError
from xperience.standin.sound import ring
from xperience.standin.write import encode_sound
from xperience.sync.signals import (
    OnsetTrack,
    contact_onsets,
    event_signal,
    matched,
    on_grid,
    picture_px_s,
    regular_grid,
    stops,
    turning_rad_s,
)

FPS, RATE_HZ = 20.0, 48_000
TIME_S = np.arange(1200) / FPS


def test_resampling_leaves_gaps_and_ends_open():
    time_s = np.array([0.1, 0.2, 0.3, 0.9, 1.0, 0.95, 1.1])
    out = on_grid(time_s, time_s.copy(), np.array([0.05, 0.15, 0.6, 1.05, 1.2]), gap_s=0.25)
    np.testing.assert_allclose(out, [np.nan, 0.15, np.nan, 1.05, np.nan])
    assert np.isnan(on_grid(np.arange(5.0), np.full(5, np.nan), np.arange(4.0), 1.0)).all()


@settings(max_examples=20)
@given(st.floats(-3, 3), st.integers(0, 3))
def test_a_steady_turn_has_its_speed_whatever_the_signs(rad_s, seed):
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    half = rad_s * TIME_S[:40, None] / 2
    quat = np.hstack([np.cos(half), np.sin(half) * axis])
    quat *= rng.choice([-1.0, 1.0], (40, 1)) * rng.uniform(0.5, 2, (40, 1))
    np.testing.assert_allclose(turning_rad_s(quat, TIME_S[:40]), abs(rad_s), atol=1e-6)


def test_a_lost_pose_and_a_clock_that_stands_still_are_unknown():
    quat = np.tile([1.0, 0, 0, 0], (6, 1))
    quat[1], quat[3, 0] = 0, np.nan
    assert np.isnan(turning_rad_s(quat, np.array([0, 0.05, 0.1, 0.15, 0.2, 0.2]))).all()
    assert np.isfinite(turning_rad_s(quat[4:], np.array([0, 0.05]))).all()


def test_a_picture_that_slides_is_seen_to_slide_and_a_blank_one_is_not():
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 216, (40, 60)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    slides = [np.repeat(coarse[:128, 2 * n : 2 * n + 192, None], 3, axis=2) for n in range(20)]
    moved = picture_px_s(slides, TIME_S[:25])
    across, down = moved[:19].reshape(19, -1, 2).transpose(2, 0, 1)
    assert np.nanmedian(across) == pytest.approx(-20, abs=2)  # one small pixel a frame
    assert np.nanmedian(down) == pytest.approx(0, abs=2)
    assert np.isnan(moved[19:]).all()
    assert np.isnan(picture_px_s([np.full((48, 64, 3), 90, np.uint8)] * 5, TIME_S[:5])).all()


def motions(seed: int):
    rng = np.random.default_rng(seed)
    motion = rng.normal(size=(1200, 6))
    return rng, motion, motion @ rng.normal(size=(6, 4)) + rng.normal(0, 0.1, (1200, 4))


@pytest.mark.parametrize("late", [-7, 0, 5])
def test_a_late_picture_is_matched_at_its_own_delay(late):
    _, motion, moved = motions(0)
    seen, expected = matched(np.roll(moved, late, axis=0), motion)
    inner = slice(20, -20)
    fit = np.sum(np.roll(expected, late, axis=0)[inner] * seen[inner], axis=0)
    assert (fit / np.linalg.norm(seen[inner], axis=0) ** 2 > 0.9).all()


def test_neither_hands_nor_unknown_channels_bend_the_map_and_noise_is_not_predicted():
    rng, motion, moved = motions(1)
    hand = rng.random(1200) < 0.08
    blurred = moved + np.where(hand[:, None], rng.normal(0, 60, moved.shape), 0)
    (_, clean), (_, bent) = matched(moved, motion), matched(blurred, motion)
    same = [np.corrcoef(a, b)[0, 1] for a, b in zip(clean.T, bent.T, strict=True)]
    assert min(same) > 0.98
    seen, expected = matched(rng.normal(size=(1200, 4)), motion)
    assert abs(np.sum(seen * expected)) < 0.1 * np.linalg.norm(seen) * np.linalg.norm(expected)
    moved[:, 1] = np.nan
    seen, expected = matched(moved, motion)
    assert np.isnan(seen[:, 1]).all()
    assert np.isfinite(expected[:, 0]).all()


def heard(sound: np.ndarray, folder) -> OnsetTrack:
    (folder / "a.mp4").write_bytes(encode_sound(sound.astype(np.float32)))
    return OnsetTrack(folder / "a.mp4")


def test_onsets_are_heard_when_they_happen_also_between_chunks(tmp_path):
    times_s = np.array([1.234, 5.0, 19.998, 20.6, 24.05])
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.003, 26 * RATE_HZ)
    for time_s in times_s:
        first = round(time_s * RATE_HZ)
        sound[first : first + 2400] += 0.4 * np.exp(-np.arange(2400) / 300) * rng.normal(size=2400)
    track = heard(sound, tmp_path)
    assert 0.2 < track.peak <= 1.0
    found: list[float] = []
    for time_s in track.time_s[np.argsort(track.strength_db)[::-1]]:
        if all(abs(time_s - other) > 0.1 for other in found):
            found.append(time_s)
        if len(found) == len(times_s):
            break
    np.testing.assert_allclose(np.sort(found), times_s, atol=0.012)
    assert len(track.time_s) == pytest.approx(26 / 0.005, abs=8)


@pytest.mark.parametrize("name", ["clink", "knock", "click", "touch", "footstep"])
def test_onsets_are_heard_neither_early_nor_late(name, tmp_path):
    """A bias of all onsets is a bias of the offset that no interval can show."""
    rng = np.random.default_rng(1)
    times_s = np.arange(1, 21) / 2 + rng.uniform(0, 0.2, 20)
    out = rng.normal(0, 0.001, 12 * RATE_HZ)
    for time_s in times_s:
        first, sound = round(time_s * RATE_HZ), ring(rng, name)
        out[first : first + len(sound)] += sound
    track = heard(out, tmp_path)
    loud = np.maximum(track.strength_db - np.percentile(track.strength_db, 95), 0)
    after_s = track.time_s - times_s[:, None]  # (n_times, n)
    loud = np.where(np.abs(after_s) < 0.03, loud, 0)
    assert abs(np.mean((loud * after_s).sum(1) / loud.sum(1))) < 0.0015


def test_a_hiss_stands_out_nowhere_for_long(tmp_path):
    track = heard(np.random.default_rng(0).normal(0, 0.003, 10 * RATE_HZ), tmp_path)
    assert np.mean(track.standing_out(np.arange(0.5, 9.5, 0.01)) > 0) < 0.2


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


def test_turns_stop_in_between_and_neither_trembling_nor_gaps_do():
    found = stops(path([(1.0, 1.6, 0.3), (1.6, 2.2, -0.3)], 4.0), FPS) / FPS
    np.testing.assert_allclose(found, [1.6, 2.2], atol=0.5 / FPS)
    still = np.random.default_rng(1).normal(0, 0.002, (400, 3))
    assert len(stops(still, FPS)) == 0
    moving = still + path([(5.0, 5.8, 0.5)], 20.0)
    np.testing.assert_allclose(stops(moving, FPS) / FPS, [5.8], atol=2 / FPS)
    xyz = path([(1.0, 1.8, 0.4), (4.0, 4.8, 0.4)], 8.0)
    xyz[28:40] = np.nan
    np.testing.assert_allclose(stops(xyz, FPS) / FPS, [4.8], atol=0.5 / FPS)
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
