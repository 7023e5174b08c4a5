"""What the field's own library hears in a window: level, log-mel, MFCC, spectral shape, onsets.

Every value is computed from the window's own samples: STFT frames lie wholly inside it, and no
level is taken relative to a maximum found elsewhere. So a window's features do not depend on what
comes after it, nor, but for rounding, on which windows are computed with it, and levels stay
comparable within and across recordings: dB are relative to a power of 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import librosa
import numpy as np
from threadpoolctl import threadpool_limits

from xperience.features.audio import RATE_HZ, by_batch, by_length, heard, sound_place
from xperience.features.windows import WINDOW_FRAMES
from xperience.recording import layout
from xperience.recording.media import SoundReader
from xperience.recording.recording import Recording

N_FFT, HOP, N_MELS, N_MFCC, N_CONTRAST = 1024, 320, 40, 13, 6
FLOOR_POWER = 1e-10
"""Power below this counts as silence, -100 dB."""

_STATISTICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda rows: rows.mean(axis=-1),
    "std": lambda rows: rows.std(axis=-1),
    "p10": lambda rows: np.percentile(rows, 10, axis=-1),
    "p90": lambda rows: np.percentile(rows, 90, axis=-1),
    "max": lambda rows: rows.max(axis=-1),
}
_ROWS = (
    *(f"logmel_{band:02d}_db" for band in range(N_MELS)),
    *(f"mfcc_{place:02d}" for place in range(N_MFCC)),
    "centroid_hz", "bandwidth_hz", "rolloff_hz", "flatness",
    *(f"contrast_{band}_db" for band in range(N_CONTRAST + 1)),
    "rms", "zero_crossings", "onset_strength_db",
)  # fmt: skip
SOUND_COLUMNS = tuple(f"{row}_{name}" for name in _STATISTICS for row in _ROWS)
"""Names of the values, in order: each row's statistics over the window, with the row's unit."""


def sound_windows(episode: Recording, starts: np.ndarray) -> np.ndarray:
    """Return the sound features, float32 (n_windows, n_columns), of windows by their first frames.

    In the order of ``SOUND_COLUMNS``; NaN for windows of whose time the file doesn't hold enough
    sound, or which have a hole within.

    Raises
    ------
    MissingStreamError
        If the episode has no sound.
    """
    sound_place(episode)
    segments = episode.sound(starts, starts + WINDOW_FRAMES)
    return by_batch(map(heard, segments), sound_features)


def sound_features(segments: list[np.ndarray]) -> np.ndarray:
    """Return the features, float32 (n_segments, n_columns), of pieces of 16 kHz mono sound.

    In the order of ``SOUND_COLUMNS``; NaN for a piece shorter than one STFT frame of 1,024 samples.
    """

    def compute(samples: np.ndarray) -> np.ndarray:
        rows = _rows(samples.astype(np.float32))
        return np.concatenate([of(rows) for of in _STATISTICS.values()], axis=1)

    whole = [piece if len(piece) >= N_FFT else piece[:0] for piece in segments]
    return by_length(whole, len(SOUND_COLUMNS), compute)


def _rows(samples: np.ndarray) -> np.ndarray:
    """Return what is measured in each STFT frame, shape (n, n_rows, n_stft_frames)."""
    where = {"n_fft": N_FFT, "hop_length": HOP}
    magnitude = np.abs(librosa.stft(samples, center=False, **where))  # (n, 513, n_stft_frames)
    mel = librosa.feature.melspectrogram(S=magnitude**2, sr=RATE_HZ, n_mels=N_MELS)
    logmel_db = level_db(mel)
    spectral = {"S": magnitude, "sr": RATE_HZ, **where}
    centroid_hz = librosa.feature.spectral_centroid(**spectral)
    frames = {"frame_length": N_FFT, "hop_length": HOP, "center": False}
    onset_db = librosa.onset.onset_strength(S=logmel_db, sr=RATE_HZ, center=False)
    bands = {"n_bands": N_CONTRAST, "fmin": 100.0, "sr": RATE_HZ, **where}
    # of one window at a time: it cuts at 80 dB below the greatest value of all it is given
    contrast_db = [librosa.feature.spectral_contrast(S=one, **bands) for one in magnitude]
    rows = [
        logmel_db,
        librosa.feature.mfcc(S=logmel_db, n_mfcc=N_MFCC),
        centroid_hz,
        librosa.feature.spectral_bandwidth(**spectral, centroid=centroid_hz),
        librosa.feature.spectral_rolloff(**spectral),
        librosa.feature.spectral_flatness(S=magnitude.astype(np.float64)),  # silence: all rounding
        np.stack(contrast_db),
        librosa.feature.rms(y=samples, **frames),
        librosa.feature.zero_crossing_rate(samples, **frames),
        onset_db[:, None],
    ]
    return np.concatenate(rows, axis=1)


def level_db(power: np.ndarray) -> np.ndarray:
    """Return power in dB relative to 1, no lower than silence; nothing is clipped from above.

    >>> level_db(np.array([1.0, 0.01, 0.0])).tolist()
    [0.0, -20.0, -100.0]
    """
    return librosa.power_to_db(power, ref=1.0, amin=FLOOR_POWER, top_db=None)


# --- to be looked at ---------------------------------------------------------------------------

_BANDS = 64
_MAX_COLUMNS, _LEAST_COLUMN_S = 1200, 0.064
"""A column is at least one STFT frame long; a figure has no use for more columns."""


@dataclass(frozen=True)
class Spectrogram:
    """The power of an episode's sound by pitch and time, in dB relative to 1; NaN after its end."""

    power_db: np.ndarray  # (n_mels, n_columns)
    edges_s: np.ndarray  # ends of the columns, seconds from the first frame
    mel_hz: np.ndarray  # centres of the bands
    window_db: np.ndarray  # loudness of each window


def spectrogram(episode: Recording, starts: np.ndarray) -> Spectrogram:
    """Return an episode's sound, in as many columns as a figure can show, and that of its windows.

    Raises
    ------
    MissingStreamError
        If the episode has no sound.
    """
    path, _ = sound_place(episode)
    clock = episode.clock(layout.AUDIO_CAMERA)
    length_s = float(clock.end_s[-1] - clock.begin_s[0])
    n_columns = int(np.clip(length_s // _LEAST_COLUMN_S, 1, _MAX_COLUMNS))
    edges_s = np.linspace(0, length_s, n_columns + 1)
    edges = np.round((clock.begin_s[0] + edges_s) * RATE_HZ).astype(np.int64)
    pieces = [*pairwise(edges), *clock.samples(starts, starts + WINDOW_FRAMES, RATE_HZ)]
    filters = librosa.filters.mel(sr=RATE_HZ, n_fft=N_FFT, n_mels=_BANDS)
    power, square = np.empty((_BANDS, n_columns)), np.empty(len(starts))
    reader = SoundReader(path, RATE_HZ)
    with threadpool_limits(1):
        for place in np.argsort([first for first, _ in pieces], kind="stable"):  # read but once
            samples = heard(reader.until(*pieces[place]))
            if place < n_columns:
                power[:, place] = _mel_power(samples, filters)
            else:
                loud = np.square(samples, dtype=float).mean() if len(samples) else np.nan
                square[place - n_columns] = loud
    mel_hz = librosa.mel_frequencies(n_mels=_BANDS + 2, fmax=RATE_HZ / 2)[1:-1]
    return Spectrogram(level_db(power), edges_s, mel_hz, level_db(square))


def _mel_power(samples: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Return the mean power of each band, shape (n_mels,); NaN without samples."""
    if not len(samples):
        return np.full(len(filters), np.nan)
    padded = np.pad(samples, (0, max(N_FFT - len(samples), 0)))
    spectrum = librosa.stft(padded, n_fft=N_FFT, hop_length=N_FFT // 2, center=False)
    return filters @ np.square(np.abs(spectrum)).mean(axis=1)
