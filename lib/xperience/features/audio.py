"""24 values for the sound of a frame: level, crossings, shape of the spectrum, bands."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from xperience.episode.layout import AUDIO_RATE_HZ
from xperience.episode.media import read_mono
from xperience.features.blocks import N_AUDIO

_BANDS, _LOWEST_HZ, _ROLL_OFF, _SILENCE, _BATCH = 16, 50.0, 0.85, 1e-12, 256


def audio_rows(path: Path, n_frames: int, fps: float) -> Iterator[np.ndarray]:
    """Yield the sound features of a video's frames, some rows at a time.

    Parameters
    ----------
    path : Path
        A video with an audio stream.
    n_frames : int
    fps : float
        Frames per second of the container.

    Yields
    ------
    float32 array, shape (n_rows, 24)
        Rows end where the sound ends.
    """
    bounds = frame_bounds(n_frames, fps)
    sound = SoundStream(path)
    for first in range(0, n_frames, _BATCH):
        last = min(first + _BATCH, n_frames)
        samples = sound.until(bounds[first], bounds[last])
        starts, stops = bounds[first:last] - bounds[first], bounds[first + 1 : last + 1]
        pieces = [
            samples[start:stop]
            for start, stop in zip(starts, stops - bounds[first], strict=True)
            if start < len(samples)
        ]
        if pieces:
            yield segment_features(pieces)
        if len(pieces) < last - first:
            return


def frame_bounds(n_frames: int, fps: float, rate_hz: int = AUDIO_RATE_HZ) -> np.ndarray:
    """Return the first sample of each frame and of the one after, shape (n_frames + 1,)."""
    return np.round(np.arange(n_frames + 1) / fps * rate_hz).astype(np.int64)


class SoundStream:
    """A video's sound at 16 kHz, mono, that is read forwards only.

    Parameters
    ----------
    path : Path
        A video with an audio stream.
    """

    def __init__(self, path: Path):
        self._parts = read_mono(path, AUDIO_RATE_HZ)
        self._held = np.zeros(0, dtype=np.float32)
        self._position = 0

    def until(self, start: int, stop: int) -> np.ndarray:
        """Return samples [start, stop), fewer at the end; what came before is forgotten.

        No start may lie before an earlier one's.
        """
        parts, length = [self._held], len(self._held)
        while self._position + length < stop and (part := next(self._parts, None)) is not None:
            parts.append(part)
            length += len(part)
        samples = np.concatenate(parts)[max(start - self._position, 0) :]
        self._position, self._held = max(start, self._position), samples
        return samples[: stop - start]


def segment_features(segments: list[np.ndarray]) -> np.ndarray:
    """Return the features of pieces of sound.

    Parameters
    ----------
    segments : list of float32 array
        16 kHz mono samples; pieces of one length are computed together.

    Returns
    -------
    float32 array, shape (n_segments, 24)
        Root mean square, mean absolute value, peak, share of zero crossings, log1p of the mean
        spectral power; centroid, bandwidth and 85 % roll-off as shares of the Nyquist frequency;
        16 log-spaced bands from 50 Hz, scaled to unit length.
    """
    rows = np.zeros((len(segments), N_AUDIO), dtype=np.float32)
    lengths = np.array([len(segment) for segment in segments])
    for length in np.unique(lengths[lengths > 0]):
        where = np.flatnonzero(lengths == length)
        rows[where] = _same_length(np.stack([segments[index] for index in where]))
    return rows


def _same_length(samples: np.ndarray) -> np.ndarray:
    samples = samples.astype(np.float64)  # (n, length)
    length = samples.shape[1]
    crossings = np.zeros(len(samples))
    if length > 1:
        crossings = (np.diff(np.signbit(samples), axis=1) != 0).mean(1)
    power = np.abs(np.fft.rfft(samples * np.hanning(length), axis=1)) ** 2  # (n, n_bins)
    level = [
        np.sqrt((samples**2).mean(1)),
        np.abs(samples).mean(1),
        np.abs(samples).max(1),
        crossings,
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
