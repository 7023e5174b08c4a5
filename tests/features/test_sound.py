"""The alternate account of sound: known signals, and nothing from outside the window."""

from pathlib import Path

import numpy as np
import pytest

from xperience.features.logmel import RATE_HZ, sound_place, sound_segments, window_bounds
from xperience.features.sound import SOUND_COLUMNS, sound_features, sound_windows
from xperience.features.windows import window_starts
from xperience.recording.recording import Episode

TIME_S = np.arange(RATE_HZ) / RATE_HZ


def named(samples: np.ndarray) -> dict[str, float]:
    return dict(zip(SOUND_COLUMNS, sound_features(samples), strict=True))


def test_columns_are_named_once() -> None:
    assert len(set(SOUND_COLUMNS)) == len(SOUND_COLUMNS) == 335


@pytest.mark.parametrize("tone_hz", [500.0, 2000.0])
def test_a_tone_lies_where_it_sounds(tone_hz: float) -> None:
    found = named(0.2 * np.sin(2 * np.pi * tone_hz * TIME_S))
    assert found["centroid_hz_mean"] == pytest.approx(tone_hz, abs=20)
    assert found["rolloff_hz_mean"] == pytest.approx(tone_hz, abs=40)
    assert found["rms_mean"] == pytest.approx(0.2 / np.sqrt(2), rel=0.02)
    assert found["zero_crossings_mean"] == pytest.approx(2 * tone_hz / RATE_HZ, rel=0.05)
    assert found["flatness_mean"] < 1e-3


def test_noise_is_flat_and_broad() -> None:
    found = named(np.random.default_rng(0).normal(0, 0.1, RATE_HZ))
    assert found["flatness_mean"] > 0.4
    assert found["bandwidth_hz_mean"] > 2000


def test_louder_shifts_levels_in_db_and_leaves_the_shape() -> None:
    samples = np.random.default_rng(1).normal(0, 0.01, RATE_HZ)
    soft, loud = named(samples), named(10 * samples)
    for name in SOUND_COLUMNS:
        if name.startswith("logmel") and not name.endswith("std"):
            assert loud[name] - soft[name] == pytest.approx(20, abs=0.01)
    for name in ("centroid_hz_mean", "flatness_std", "mfcc_05_mean", "onset_strength_db_max"):
        assert loud[name] == pytest.approx(soft[name], rel=1e-3, abs=1e-3)


def test_a_click_is_an_onset() -> None:
    hum = 0.01 * np.sin(2 * np.pi * 200 * TIME_S)
    click = hum.copy()
    click[8000:8040] += 0.5
    assert named(click)["onset_strength_db_max"] > 5 * named(hum)["onset_strength_db_max"]


def test_silence_is_finite_and_too_little_is_missing() -> None:
    found = named(np.zeros(RATE_HZ))
    assert all(np.isfinite(value) for value in found.values())
    assert found["logmel_00_db_mean"] == pytest.approx(-100, abs=1e-3)
    assert np.isnan(sound_features(np.zeros(1023))).all()


def test_windows_of_an_episode_hear_their_own_samples_only(whole_tiny: Path) -> None:
    with Episode(whole_tiny) as episode:
        starts = window_starts(episode.n_frames)
        rows = sound_windows(episode, starts)
        path, fps = sound_place(episode)
    segments = sound_segments(path, window_bounds(starts, fps))
    assert rows.shape == (len(starts), len(SOUND_COLUMNS))
    for row, segment in zip(rows, segments, strict=True):
        np.testing.assert_array_equal(row, sound_features(segment.copy()))
