"""24 values for the sound of a frame: level, crossings, shape of the spectrum, bands."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from xperience.features.blocks import N_AUDIO
from xperience.features.windows import MIN_KNOWN_SHARE
from xperience.recording.layout import AUDIO_RATE_HZ
from xperience.recording.media import SoundReader

_BANDS, _LOWEST_HZ, _ROLL_OFF, _SILENCE, _BATCH = 16, 50.0, 0.85, 1e-12, 256


def audio_rows(path: Path, bounds: np.ndarray, *, counted: bool) -> Iterator[np.ndarray]:
    """Yield the sound features of a video's frames, float32 (n_rows, 24), some rows at a time.

    Frames have samples [first, last) of ``bounds``. If those are counted, the n-th is the one at n
    / rate, and rows end where the sound ends. Else samples lie where the file's time says, and rows
    are NaN where it has none.
    """
    sound = SoundReader(path, AUDIO_RATE_HZ, counted=counted)
    for first in range(0, len(bounds), _BATCH):
        pieces = [sound.until(start, stop) for start, stop in bounds[first : first + _BATCH]]
        n_wanted = len(pieces)
        if counted:
            pieces = [piece for piece in pieces if len(piece)]
        else:
            pieces = [heard(piece) for piece in pieces]
        if pieces:
            yield segment_features(pieces)
        if len(pieces) < n_wanted:
            return


def frame_bounds(n_frames: int, fps: float, rate_hz: int = AUDIO_RATE_HZ) -> np.ndarray:
    """Return the first sample of each frame and of the one after, shape (n_frames + 1,)."""
    return np.round(np.arange(n_frames + 1) / fps * rate_hz).astype(np.int64)


def heard(samples: np.ndarray) -> np.ndarray:
    """Return a segment's sound, without what is missing at its ends.

    Nothing where a hole lies within, which must not be glued, or where too little is there.
    """
    there = np.flatnonzero(~np.isnan(samples))
    if len(there) < max(1, MIN_KNOWN_SHARE * len(samples)):
        return samples[:0]
    piece = samples[there[0] : there[-1] + 1]
    return piece if len(piece) == len(there) else samples[:0]


def segment_features(segments: list[np.ndarray]) -> np.ndarray:
    """Return the features of pieces of 16 kHz mono sound, float32 (n_segments, 24).

    Root mean square, mean absolute value, peak, share of zero crossings, log1p of the mean spectral
    power; centroid, bandwidth and 85 % roll-off as shares of the Nyquist frequency; 16 log-spaced
    bands from 50 Hz, scaled to unit length. NaN for a piece without samples.
    """
    return by_length(segments, N_AUDIO, _same_length)


def by_length(
    segments: list[np.ndarray], n_columns: int, compute: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return a row per piece of sound, NaN for none; those of one length are computed together.

    ``compute`` turns float64 samples (n, length) into (n, n_columns).
    """
    rows = np.full((len(segments), n_columns), np.nan, dtype=np.float32)
    lengths = np.array([len(segment) for segment in segments], dtype=np.int64)
    for length in np.unique(lengths[lengths > 0]):
        where = np.flatnonzero(lengths == length)
        rows[where] = compute(np.stack([segments[place] for place in where]).astype(np.float64))
    return rows


def zero_crossings(samples: np.ndarray) -> np.ndarray:
    """Return the share of steps over zero in each row of samples, (n, length); 0 without a step."""
    if samples.shape[1] < 2:
        return np.zeros(len(samples))
    return (np.diff(np.signbit(samples), axis=1) != 0).mean(1)


def _same_length(samples: np.ndarray) -> np.ndarray:
    length = samples.shape[1]
    power = np.abs(np.fft.rfft(samples * np.hanning(length), axis=1)) ** 2  # (n, n_bins)
    level = [
        np.sqrt((samples**2).mean(1)),
        np.abs(samples).mean(1),
        np.abs(samples).max(1),
        zero_crossings(samples),
        np.log1p(power.sum(1) / length),
    ]
    return np.concatenate([np.stack(level, axis=1), _spectral(power, length)], axis=1)


def _spectral(power: np.ndarray, length: int) -> np.ndarray:
    """Return centroid, bandwidth, roll-off and bands, shape (n, 19); zeros where it is silent."""
    frequency_hz, bands = _axis(length)
    nyquist_hz = AUDIO_RATE_HZ / 2
    total = power.sum(1, keepdims=True)
    share = power / np.maximum(total, _SILENCE)
    centroid = share @ frequency_hz
    offset = frequency_hz - centroid[:, None]
    bandwidth = np.sqrt((share * offset**2).sum(1))
    passed = np.cumsum(power, axis=1) >= _ROLL_OFF * total
    roll_off = frequency_hz[passed.argmax(1)]
    shape = np.stack([centroid, bandwidth, roll_off], axis=1) / nyquist_hz
    tone = np.log1p(power @ bands)  # (n, 16)
    size = np.linalg.norm(tone, axis=1, keepdims=True)
    tone = np.divide(tone, size, out=np.zeros_like(tone), where=size > 0)
    return np.where(total > _SILENCE, np.concatenate([shape, tone], axis=1), 0.0)


@lru_cache(maxsize=16)
def _axis(length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the bins' frequencies in Hz and the bands as a 0/1 matrix, shape (n_bins, 16)."""
    frequency_hz = np.fft.rfftfreq(length, 1 / AUDIO_RATE_HZ)
    edges_hz = np.geomspace(_LOWEST_HZ, AUDIO_RATE_HZ / 2, _BANDS + 1)
    band = np.searchsorted(edges_hz, frequency_hz, side="right") - 1
    return frequency_hz, (band[:, None] == np.arange(_BANDS)).astype(np.float64)
