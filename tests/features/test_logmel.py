"""Log-mel features: what the published study computed, and what follows from their definition."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.errors import MissingStreamError
from xperience.features.logmel import (
    LOGMEL_COLUMNS,
    RATE_HZ,
    logmel_features,
    logmel_windows,
    mel_filters,
    sound_place,
    sound_segments,
    window_bounds,
)
from xperience.features.windows import window_starts
from xperience.recording.media import read_mono
from xperience.recording.recording import Episode

BAND_MEANS = slice(0, 64)


def column(rows: np.ndarray, name: str) -> np.ndarray:
    return rows[:, LOGMEL_COLUMNS.index(name)]


def test_every_value_is_the_published_one(oracle: Path) -> None:
    with np.load(oracle / "expected" / "logmel_windows.npz") as stored:
        want = stored["features"]
    with Episode(oracle / "episode") as episode:
        got = logmel_windows(episode, window_starts(episode.n_frames))
    assert got.dtype == want.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_streamed_segments_are_slices_of_the_sound(whole_tiny: Path) -> None:
    with Episode(whole_tiny) as episode:
        path, fps = sound_place(episode)
        bounds = window_bounds(window_starts(episode.n_frames), fps)
    whole = np.concatenate(list(read_mono(path, RATE_HZ)))
    beyond = np.array([[len(whole) - 700, len(whole) + 900], [len(whole) + 1, len(whole) + 50]])
    bounds = np.concatenate([bounds, beyond])
    for (start, stop), segment in zip(bounds, sound_segments(path, bounds), strict=True):
        np.testing.assert_array_equal(segment, whole[start:stop])
    assert len(segment) == 0


def test_an_episode_without_sound_says_so(tiny: Path) -> None:
    (tiny / "fisheye_cam0.mp4").unlink()
    with Episode(tiny) as episode, pytest.raises(MissingStreamError, match="cannot give sound"):
        logmel_windows(episode, np.array([0]))


def test_filters_are_triangles_that_sum_to_one() -> None:
    weights = mel_filters()
    assert weights.shape == (64, 257)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    centres = weights.argmax(axis=1)
    assert (np.diff(centres) >= 0).all()
    for row, centre in zip(weights, centres, strict=True):
        assert (np.diff(row[: centre + 1]) >= 0).all()
        assert (np.diff(row[centre:]) <= 0).all()


@pytest.mark.parametrize("tone_hz", [250.0, 1000.0, 4000.0])
def test_a_tone_is_loudest_in_its_own_band(tone_hz: float) -> None:
    samples = 0.3 * np.sin(2 * np.pi * tone_hz * np.arange(RATE_HZ) / RATE_HZ)
    rows = logmel_features([samples])
    loudest = mel_filters()[rows[0, BAND_MEANS].argmax()]
    assert loudest[round(tone_hz * 512 / RATE_HZ)] > 0
    assert column(rows, "sound_rms")[0] == pytest.approx(0.3 / np.sqrt(2), rel=1e-3)
    crossings = column(rows, "sound_zero_crossings")[0]
    assert crossings == pytest.approx(2 * tone_hz / RATE_HZ, rel=0.02)
    assert column(rows, "logmel_10_step_std")[0] < 0.01


@given(st.lists(st.sampled_from([1, 100, 511, 512, 700, 2000]), min_size=1, max_size=5))
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
