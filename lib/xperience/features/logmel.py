"""588 log-mel values for the sound of a window: what `published` sets beside the 24 a frame.

Samples are counted, the n-th at n / rate; see `xperience.features.sound` for sound by its time.

The sound is read once, forwards, and no more of it is held than a few overlapping windows.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from threadpoolctl import threadpool_limits

from xperience.errors import MissingStreamError
from xperience.features.audio import by_length, zero_crossings
from xperience.features.windows import WINDOW_FRAMES
from xperience.recording import layout
from xperience.recording.media import SoundReader
from xperience.recording.recording import Recording

RATE_HZ = layout.AUDIO_RATE_HZ
N_FFT, HOP, N_MELS, LOWEST_HZ = 512, 160, 64, 40.0

_OVER_TIME = ("mean", "std", "min", "max", "p10", "p50", "p90", "step_mean", "step_std")
_OF_SAMPLES = (
    "rms", "mean_abs", "std_abs", "max_abs", "zero_crossings", "log1p_power",
    "mean_abs_third_1", "mean_abs_third_2", "mean_abs_third_3", "mean_abs_rise",
    "duration_s", "n_stft_frames",
)  # fmt: skip
LOGMEL_COLUMNS = (
    *(f"logmel_{band:02d}_{name}" for name in _OVER_TIME for band in range(N_MELS)),
    *(f"sound_{name}" for name in _OF_SAMPLES),
)
"""Names of the values, in order."""

_BATCH = 32


def sound_place(episode: Recording) -> tuple[Path, float]:
    """Return the file that holds an episode's sound, and the frame rate of its container.

    Raises
    ------
    MissingStreamError
        If there is no sound that can be decoded.
    """
    state = episode.streams["audio"]
    if not state.usable:
        fault, way_out = state.faults[0], "Go on without sound, or fetch the file again."
        raise MissingStreamError(fault.place, fault.found, fault.expected, way_out)
    camera = layout.AUDIO_CAMERA
    return episode.video_path(camera), float(episode.videos[camera].fps) or episode.fps


def window_bounds(starts: np.ndarray, fps: float) -> np.ndarray:
    """Return the first sample of windows that start at some frames and the one after the last.

    They are an int array, shape (n, 2).
    """
    frames = np.stack([starts, np.asarray(starts) + WINDOW_FRAMES], axis=1)
    return np.round(frames / fps * RATE_HZ).astype(np.int64)


def sound_segments(path: Path, bounds: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the 16 kHz mono samples of each window of a video's sound, counted as `published` does.

    ``bounds`` are those of `window_bounds`, which never decrease. A window is shorter, or empty,
    where the sound ends.
    """
    sound = SoundReader(path, RATE_HZ, counted=True)
    for start, stop in bounds:
        yield sound.until(start, stop)


def logmel_windows(episode: Recording, starts: np.ndarray) -> np.ndarray:
    """Return the log-mel features, float32 (n_windows, 588), of windows by their first frames.

    NaN for windows without a single sample.

    Raises
    ------
    MissingStreamError
        If the episode has no sound.
    """
    path, fps = sound_place(episode)
    bounds = window_bounds(starts, fps)
    rows = np.full((len(bounds), len(LOGMEL_COLUMNS)), np.nan, dtype=np.float32)
    segments = sound_segments(path, bounds)
    with threadpool_limits(1):  # products this small wait longer for a second thread than they take
        for first in range(0, len(bounds), _BATCH):
            batch = list(islice(segments, _BATCH))
            rows[first : first + len(batch)] = logmel_features(batch)
    return rows


def logmel_features(segments: list[np.ndarray]) -> np.ndarray:
    """Return the log-mel features of pieces of 16 kHz mono sound, float32 (n_segments, 588).

    In the order of ``LOGMEL_COLUMNS``; NaN for a piece without samples.
    """

    def compute(samples: np.ndarray) -> np.ndarray:
        logmel = _logmel(samples)
        return np.concatenate([_over_time(logmel), _of_samples(samples, logmel.shape[1])], axis=1)

    return by_length(segments, len(LOGMEL_COLUMNS), compute)


def _logmel(samples: np.ndarray) -> np.ndarray:
    """Return log1p of the mel powers, shape (n, n_stft_frames, 64)."""
    short = max(N_FFT - samples.shape[1], 0)
    padded = np.pad(samples, ((0, 0), (0, short)))
    frames = sliding_window_view(padded, N_FFT, axis=1)[:, ::HOP]  # (n, n_stft_frames, 512)
    spectrum = np.fft.rfft(frames * np.hanning(N_FFT), axis=-1)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    return np.log1p(power @ mel_filters().T)


@lru_cache(maxsize=1)
def mel_filters() -> np.ndarray:
    """Return the triangular filters on HTK's mel scale, shape (64, 257), each summing to 1.

    Corners lie on whole bins. A centre that falls on its left corner moves one bin up, and so does
    a right corner that falls on its centre, so that no filter is empty.
    """
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (LOWEST_HZ, RATE_HZ / 2))
    corners_hz = 700 * (10 ** (np.linspace(low, high, N_MELS + 2) / 2595) - 1)
    corner = np.floor((N_FFT + 1) * corners_hz / RATE_HZ)[:, None]  # (66, 1)
    left = corner[:-2]
    centre = np.maximum(corner[1:-1], left + 1)
    right = np.maximum(corner[2:], centre + 1)
    bins = np.arange(N_FFT // 2 + 1)
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    weights = np.clip(np.minimum(rising, falling), 0, None)
    return weights / weights.sum(axis=1, keepdims=True)


def _over_time(logmel: np.ndarray) -> np.ndarray:
    """Return the statistics of each band over time, shape (n, 9 * 64)."""
    steps = np.diff(logmel, axis=1) if logmel.shape[1] > 1 else np.zeros_like(logmel)
    tenths = np.percentile(logmel, [10, 50, 90], axis=1)  # (3, n, 64)
    parts = [logmel.mean(1), logmel.std(1), logmel.min(1), logmel.max(1), *tenths]
    return np.concatenate([*parts, steps.mean(1), steps.std(1)], axis=1)


def _of_samples(samples: np.ndarray, n_stft_frames: int) -> np.ndarray:
    """Return level, crossings, envelope and size of each piece, shape (n, 12)."""
    n, length = samples.shape
    size = np.abs(samples)
    power = np.square(samples).mean(1)
    thirds = [
        part.mean(1) if part.shape[1] else np.zeros(n) for part in np.array_split(size, 3, axis=1)
    ]
    columns = [np.sqrt(power), size.mean(1), size.std(1), size.max(1)]
    columns += [zero_crossings(samples), np.log1p(power)]
    columns += [*thirds, thirds[2] - thirds[0]]
    columns += [np.full(n, length / RATE_HZ), np.full(n, n_stft_frames)]
    return np.stack(columns, axis=1)
