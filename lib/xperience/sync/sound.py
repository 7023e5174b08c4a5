"""Where something begins to be heard: onset strength, streamed."""

from collections.abc import Iterator
from pathlib import Path

import librosa
import numpy as np

from xperience.episode.layout import AUDIO_RATE_HZ
from xperience.episode.media import read_mono
from xperience.sync.lags import on_grid

N_FFT, HOP, N_MELS = 256, 80, 24
"""Short spectra: 16 ms long, one every 5 ms, so that an onset's time is known to some ms."""
STEP_S = HOP / AUDIO_RATE_HZ
SILENT_PEAK = 1e-4
"""Sound that never gets louder, -80 dB, holds nothing to hear."""

_FLOOR_POWER = 1e-6
_CHUNK = 16_000 * 20  # samples at a time
_QUIET_SHARE = 95  # percentile: only what rises above most of the recording counts


class OnsetTrack:
    """Onset strength of a whole sound track.

    Parameters
    ----------
    path : Path
        A video with sound, read as a stream.
    start_s : float
        Time of the first sample in the container.

    Attributes
    ----------
    time_s, strength_db : float array, shape (n,)
        Every 5 ms: mean rise of the mel bands, in dB.
    peak : float
        Greatest amplitude, 0 to 1.
    """

    def __init__(self, path: Path, start_s: float):
        self.peak = 0.0
        strength = [*map(_strengths, self._chunks(path))]
        self.strength_db = np.concatenate([np.zeros(0), *strength])
        # a rise belongs between the middles of two spectra
        middle = N_FFT / 2 + HOP / 2
        self.time_s = start_s + (np.arange(len(self.strength_db)) * HOP + middle) / AUDIO_RATE_HZ

    def _chunks(self, path: Path) -> Iterator[np.ndarray]:
        """Yield pieces of sound that share one spectrum, so that no rise is lost between them."""
        held: list[np.ndarray] = []
        length = 0
        for part in read_mono(path, AUDIO_RATE_HZ):
            self.peak = max(self.peak, float(np.abs(part).max(initial=0.0)))
            held.append(part)
            length += len(part)
            if length >= _CHUNK:
                samples = np.concatenate(held)
                yield samples
                n_spectra = (length - N_FFT) // HOP + 1
                held = [samples[(n_spectra - 1) * HOP :]]
                length = len(held[0])
        yield np.concatenate([np.zeros(0, np.float32), *held])

    def standing_out(self, grid_s: np.ndarray) -> np.ndarray:
        """Return how far onsets stand above nearly all of the recording, on a grid, shape (n,).

        A running tap or a grinder rises and falls all the time; what is struck stands out.
        """
        above = np.maximum(self.strength_db - np.percentile(self.strength_db, _QUIET_SHARE), 0)
        smooth = (above[:-1] + above[1:]) / 2  # two steps make one of the grid
        middle_s = (self.time_s[:-1] + self.time_s[1:]) / 2
        return on_grid(middle_s, smooth, grid_s, 3 * HOP / AUDIO_RATE_HZ)


def _strengths(samples: np.ndarray) -> np.ndarray:
    """Return the onset strength of a piece of sound, one value a step between its spectra."""
    if len(samples) < N_FFT + HOP:
        return np.zeros(0)
    mel = librosa.feature.melspectrogram(
        y=samples, sr=AUDIO_RATE_HZ, n_fft=N_FFT, hop_length=HOP, n_mels=N_MELS, center=False
    )
    level_db = librosa.power_to_db(mel, ref=1.0, amin=_FLOOR_POWER, top_db=None)
    rise = librosa.onset.onset_strength(S=level_db, sr=AUDIO_RATE_HZ, center=False)
    return rise[1:]  # the first has nothing before it
