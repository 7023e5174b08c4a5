"""The sound of a frame in 24 values, and that of a window in 588 log-mel values.

Frames: level, crossings, shape of the spectrum, bands. Windows: what `published` sets beside them;
there samples are counted, the n-th at n / rate (see `xperience.features.sound` for sound by its
time). The sound is read once, forwards, and no more of it is held than a few overlapping windows.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from threadpoolctl import threadpool_limits

from xperience.errors import MissingStreamError
from xperience.features.blocks import N_AUDIO
from xperience.features.windows import MIN_KNOWN_SHARE, WINDOW_FRAMES
from xperience.recording import layout
from xperience.recording.media import SoundReader
from xperience.recording.recording import Recording

RATE_HZ = layout.AUDIO_RATE_HZ
_BANDS, _LOWEST_HZ, _ROLL_OFF, _SILENCE, _BATCH = 16, 50.0, 0.85, 1e-12, 256
_BATCH_WINDOWS = 32


def audio_rows(path: Path, bounds: np.ndarray, *, counted: bool) -> Iterator[np.ndarray]:
    """Yield the sound features of a video's frames, float32 (n_rows, 24), some rows at a time.

    Frames have samples [first, last) of ``bounds``. If those are counted, the n-th is the one at n
    / rate, and rows end where the sound ends. Else samples lie where the file's time says, and rows
    are NaN where it has none.
    """
    sound = SoundReader(path, RATE_HZ, counted=counted)
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


def frame_bounds(n_frames: int, fps: float) -> np.ndarray:
    """Return the first sample of each frame and of the one after, shape (n_frames + 1,)."""
    return np.round(np.arange(n_frames + 1) / fps * RATE_HZ).astype(np.int64)


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


def by_batch(
    segments: Iterator[np.ndarray], compute: Callable[[list[np.ndarray]], np.ndarray]
) -> np.ndarray:
    """Return what is computed of pieces of sound, (n_segments, n_columns), some at a time."""
    parts = [compute([])]
    with threadpool_limits(1):  # products this small wait longer for a second thread than they take
        while batch := list(islice(segments, _BATCH_WINDOWS)):
            parts.append(compute(batch))
    return np.concatenate(parts)


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
    nyquist_hz = RATE_HZ / 2
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
    frequency_hz = np.fft.rfftfreq(length, 1 / RATE_HZ)
    edges_hz = np.geomspace(_LOWEST_HZ, RATE_HZ / 2, _BANDS + 1)
    band = np.searchsorted(edges_hz, frequency_hz, side="right") - 1
    return frequency_hz, (band[:, None] == np.arange(_BANDS)).astype(np.float64)


# -- windows: log-mel -------------------------------------------------------------------------

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
    segments = sound_segments(path, window_bounds(starts, fps))
    return by_batch(segments, logmel_features)


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
