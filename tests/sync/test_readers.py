"""What the audit reads: turns, pictures that move, onsets, the clock of a file."""

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.recording.media import read_rgb, read_timeline
from xperience.standin.sound import ring
from xperience.standin.write import encode_sound
from xperience.sync.container import compare_clocks
from xperience.sync.motion import matched, picture_px_s, turning_rad_s
from xperience.sync.sound import OnsetTrack

RATE_HZ = 48_000
TIME_S = np.arange(1200) / 20


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
    known = np.isfinite(turning_rad_s(quat, np.array([0, 0.05, 0.1, 0.15, 0.2, 0.2])))
    assert known.tolist() == [False] * 5
    assert np.isfinite(turning_rad_s(quat[4:], np.array([0, 0.05]))).all()


def write_video(path: Path, pictures, times: list[int] | None = None) -> Path:
    """Write pictures at 20 a second, or at given twentieths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"crf": "12"})
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number if times is None else times[number]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_picture_that_slides_is_seen_to_slide(tmp_path):
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 216, (40, 60)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    pictures = [
        np.repeat(coarse[:128, 2 * n : 2 * n + 192, None], 3, axis=2).copy() for n in range(20)
    ]
    moved = picture_px_s(read_rgb(write_video(tmp_path / "a.mp4", pictures)), TIME_S[:25])
    across, down = moved[:19].reshape(19, -1, 2).transpose(2, 0, 1)
    assert np.nanmedian(across) == pytest.approx(-20, abs=2)  # one small pixel a frame
    assert np.nanmedian(down) == pytest.approx(0, abs=2)
    assert np.isnan(moved[19:]).all()


def test_a_blank_picture_shows_nothing_to_follow(tmp_path):
    blank = [np.full((48, 64, 3), 90, np.uint8)] * 5
    assert np.isnan(
        picture_px_s(read_rgb(write_video(tmp_path / "a.mp4", blank)), TIME_S[:5])
    ).all()


def motions(seed: int = 0):
    rng = np.random.default_rng(seed)
    motion = rng.normal(size=(1200, 6))
    return rng, motion, motion @ rng.normal(size=(6, 4)) + rng.normal(0, 0.1, (1200, 4))


@pytest.mark.parametrize("late", [-7, 0, 5])
def test_a_late_picture_is_matched_at_its_own_delay(late):
    _, motion, moved = motions()
    seen, expected = matched(np.roll(moved, late, axis=0), motion)
    inner = slice(20, -20)
    fit = np.sum(np.roll(expected, late, axis=0)[inner] * seen[inner], axis=0)
    assert (fit / np.linalg.norm(seen[inner], axis=0) ** 2 > 0.9).all()


def test_hands_before_the_camera_do_not_bend_the_map():
    rng, motion, moved = motions(1)
    hand = rng.random(1200) < 0.08
    blurred = moved + np.where(hand[:, None], rng.normal(0, 60, moved.shape), 0)
    _, clean = matched(moved, motion)
    _, bent = matched(blurred, motion)
    same = [np.corrcoef(a, b)[0, 1] for a, b in zip(clean.T, bent.T, strict=True)]
    assert min(same) > 0.98


def test_what_has_nothing_to_do_with_the_camera_is_not_predicted():
    rng, motion, _ = motions(2)
    seen, expected = matched(rng.normal(size=(1200, 4)), motion)
    assert abs(np.sum(seen * expected)) < 0.1 * np.linalg.norm(seen) * np.linalg.norm(expected)


def test_a_channel_that_is_never_known_stays_unknown():
    _, motion, moved = motions(3)
    moved[:, 1] = np.nan
    seen, expected = matched(moved, motion)
    assert np.isnan(seen[:, 1]).all()
    assert np.isfinite(expected[:, 0]).all()


def clicks(times_s, length_s: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    out = rng.normal(0, 0.003, round(length_s * RATE_HZ))
    fade = np.exp(-np.arange(2400) / 300)
    for time_s in times_s:
        first = round(time_s * RATE_HZ)
        out[first : first + 2400] += 0.4 * fade * rng.normal(size=2400)
    return out.astype(np.float32)


def test_onsets_are_heard_when_they_happen_also_between_chunks(tmp_path):
    times_s = np.array([1.234, 5.0, 19.998, 20.6, 24.05, 39.99])
    (tmp_path / "a.mp4").write_bytes(encode_sound(clicks(times_s, 42.0)))
    track = OnsetTrack(tmp_path / "a.mp4")
    assert 0.2 < track.peak <= 1.0
    loudest = track.time_s[np.argsort(track.strength_db)[::-1]]
    found = []
    for time_s in loudest:
        if all(abs(time_s - other) > 0.1 for other in found):
            found.append(time_s)
        if len(found) == len(times_s):
            break
    np.testing.assert_allclose(np.sort(found), times_s, atol=0.012)
    assert len(track.time_s) == pytest.approx(42.0 / 0.005, abs=8)


STRUCK = ("clink", "knock", "click", "touch", "footstep")


@pytest.mark.parametrize("name", STRUCK)
def test_onsets_are_heard_neither_early_nor_late(name, tmp_path):
    """A bias of all onsets is a bias of the offset that no interval can show."""
    rng = np.random.default_rng(1)
    times_s = np.arange(1, 21) / 2 + rng.uniform(0, 0.2, 20)
    out = rng.normal(0, 0.001, 12 * RATE_HZ)
    for time_s in times_s:
        first, sound = round(time_s * RATE_HZ), ring(rng, name)
        out[first : first + len(sound)] += sound
    (tmp_path / "a.mp4").write_bytes(encode_sound(out.astype(np.float32)))
    track = OnsetTrack(tmp_path / "a.mp4")
    loud = np.maximum(track.strength_db - np.percentile(track.strength_db, 95), 0)
    after_s = track.time_s - times_s[:, None]  # (n_times, n)
    loud = np.where(np.abs(after_s) < 0.03, loud, 0)
    assert abs(np.mean((loud * after_s).sum(1) / loud.sum(1))) < 0.0015


def test_a_hiss_stands_out_nowhere_for_long(tmp_path):
    (tmp_path / "a.mp4").write_bytes(encode_sound(clicks([], 10.0)))
    out = OnsetTrack(tmp_path / "a.mp4").standing_out(np.arange(0.5, 9.5, 0.01))
    assert np.mean(out > 0) < 0.2


def test_frame_times_come_in_order_of_showing(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (48, 64, 3)).astype(np.uint8) for _ in range(30)]
    times = [n + (n >= 10) * 4 for n in range(30)]
    shown_s = read_timeline(write_video(tmp_path / "a.mp4", pictures, times)).picture_s
    np.testing.assert_allclose(shown_s - shown_s[0], np.array(times) / 20, atol=1e-6)


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
