"""The features of a window's sound beyond the 24 a frame: log-mel, and the field's own library."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xperience.errors import MissingStreamError
from xperience.features.audio import (
    LOGMEL_COLUMNS,
    RATE_HZ,
    logmel_features,
    logmel_windows,
    mel_filters,
    sound_place,
    sound_segments,
    window_bounds,
)
from xperience.features.sound import SOUND_COLUMNS, sound_features, sound_windows
from xperience.features.windows import window_starts
from xperience.recording.media import read_sound
from xperience.recording.recording import Recording

TIME_S = np.arange(RATE_HZ) / RATE_HZ


def column(rows: np.ndarray, name: str) -> np.ndarray:
    return rows[:, LOGMEL_COLUMNS.index(name)]


def test_segments_are_slices_of_the_sound_and_windows_hear_no_other(whole_tiny: Path) -> None:
    with Recording(whole_tiny) as episode:
        starts = window_starts(episode.n_frames)
        path, fps = sound_place(episode)
        rows = sound_windows(episode, starts)
    bounds = window_bounds(starts, fps)
    whole = np.concatenate([part for _, part in read_sound(path, RATE_HZ, counted=True)])
    beyond = np.array([[len(whole) - 700, len(whole) + 900], [len(whole) + 1, len(whole) + 50]])
    bounds = np.concatenate([bounds, beyond])
    segments = list(sound_segments(path, bounds))
    for (start, stop), segment in zip(bounds, segments, strict=True):
        np.testing.assert_array_equal(segment, whole[start:stop])
    assert len(segments[-1]) == 0
    assert rows.shape == (len(starts), len(SOUND_COLUMNS))
    for row, segment in zip(rows, segments, strict=False):
        np.testing.assert_allclose(row, sound_features([segment])[0], rtol=1e-5, atol=1e-5)


def test_silence_beside_a_loud_window_is_silence() -> None:
    loud = np.random.default_rng(2).normal(0, 0.3, RATE_HZ)
    quiet, tone = np.zeros(RATE_HZ), 1e-3 * np.sin(2 * np.pi * 440 * TIME_S)
    together = sound_features([loud, quiet, tone])
    alone = np.concatenate([sound_features([one]) for one in (loud, quiet, tone)])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)


def test_an_episode_without_sound_says_so(tiny: Path) -> None:
    (tiny / "fisheye_cam0.mp4").unlink()
    with Recording(tiny) as episode:
        for windows_of in (logmel_windows, sound_windows):
            with pytest.raises(MissingStreamError, match="cannot give sound"):
                windows_of(episode, np.array([0]))


@given(st.lists(st.sampled_from([1, 100, 511, 512, 2000]), min_size=1, max_size=4))
@settings(max_examples=25)
def test_pieces_do_not_depend_on_their_company(lengths: list[int]) -> None:
    rng = np.random.default_rng(sum(lengths))
    pieces = [rng.normal(0, 0.1, length) for length in lengths]
    together = logmel_features(pieces)
    alone = np.concatenate([logmel_features([piece]) for piece in pieces])
    np.testing.assert_allclose(together, alone, rtol=1e-6, atol=1e-7)
    assert np.isfinite(together).all()
    seconds = np.array(lengths) / RATE_HZ
    np.testing.assert_allclose(column(together, "sound_duration_s"), seconds, rtol=1e-6)


def test_a_short_piece_is_padded_and_no_piece_is_missing() -> None:
    piece = np.random.default_rng(0).normal(0, 0.1, 300)
    padded = np.concatenate([piece, np.zeros(212)])
    short, whole, none = logmel_features([piece, padded, np.zeros(0)])
    np.testing.assert_allclose(short[: 9 * 64], whole[: 9 * 64], rtol=1e-6)
    assert np.isnan(none).all()


def named(samples: np.ndarray) -> dict[str, float]:
    return dict(zip(SOUND_COLUMNS, sound_features([samples])[0], strict=True))


@pytest.mark.parametrize("tone_hz", [500.0, 2000.0])
def test_a_tone_lies_where_it_sounds(tone_hz: float) -> None:
    tone = 0.2 * np.sin(2 * np.pi * tone_hz * TIME_S)
    found = named(tone)
    assert found["centroid_hz_mean"] == pytest.approx(tone_hz, abs=20)
    assert found["rolloff_hz_mean"] == pytest.approx(tone_hz, abs=40)
    assert found["rms_mean"] == pytest.approx(0.2 / np.sqrt(2), rel=0.02)
    assert found["zero_crossings_mean"] == pytest.approx(2 * tone_hz / RATE_HZ, rel=0.05)
    assert found["flatness_mean"] < 1e-3
    rows = logmel_features([tone])
    loudest = mel_filters()[rows[0, :64].argmax()]
    assert loudest[round(tone_hz * 512 / RATE_HZ)] > 0
    assert column(rows, "sound_rms")[0] == pytest.approx(0.2 / np.sqrt(2), rel=1e-3)


def test_noise_is_flat_and_louder_shifts_levels_in_db_only() -> None:
    samples = np.random.default_rng(1).normal(0, 0.01, RATE_HZ)
    soft, loud = named(samples), named(10 * samples)
    assert soft["flatness_mean"] > 0.4
    assert soft["bandwidth_hz_mean"] > 2000
    for name in SOUND_COLUMNS:
        if name.startswith("logmel") and not name.endswith("std"):
            assert loud[name] - soft[name] == pytest.approx(20, abs=0.01)
    for name in ("centroid_hz_mean", "flatness_std", "mfcc_05_mean", "onset_strength_db_max"):
        assert loud[name] == pytest.approx(soft[name], rel=1e-3, abs=1e-3)


def test_a_click_is_an_onset_silence_is_finite_and_too_little_is_missing() -> None:
    hum = 0.01 * np.sin(2 * np.pi * 200 * TIME_S)
    click = hum.copy()
    click[8000:8040] += 0.5
    assert named(click)["onset_strength_db_max"] > 5 * named(hum)["onset_strength_db_max"]
    silent = named(np.zeros(RATE_HZ))
    assert len(silent) == 335
    assert all(np.isfinite(value) for value in silent.values())
    assert silent["logmel_00_db_mean"] == pytest.approx(-100, abs=1e-3)
    assert np.isnan(sound_features([np.zeros(1023)])).all()
