"""Where something begins to be heard: onset strength, streamed."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import librosa
import numpy as np

from xperience.recording.layout import AUDIO_RATE_HZ
from xperience.recording.media import read_sound
from xperience.sync.lags import on_grid

N_FFT, HOP, N_MELS = 256, 80, 24
"""Short spectra: 16 ms long, one every 5 ms, so that an onset's time is known to some ms."""
STEP_S = HOP / AUDIO_RATE_HZ
SILENT_PEAK = 1e-4
"""Sound that never gets louder, -80 dB, holds nothing to hear."""

_FLOOR_POWER = 1e-6
_BURSTS, _BURST_S, _QUIET, _LOUD = 40, 0.25, 0.001, 0.3  # to measure the lead; amplitudes
_CHUNK = 16_000 * 20  # samples at a time
_QUIET_SHARE = 95  # percentile: only what rises above most of the recording counts


class OnsetTrack:
    """Onset strength of a whole sound track.

    Parameters
    ----------
    path : Path
        A video with sound, read as a stream.

    Attributes
    ----------
    time_s, strength_db : float array, shape (n,)
        Every 5 ms of the file's time that has sound: mean rise of the mel bands, in dB. A sudden
        sound's rises lie about the instant at which it begins.
    peak : float
        Greatest amplitude, 0 to 1.
    """

    def __init__(self, path: Path):
        self.peak = 0.0
        time_s, strength_db = [np.zeros(0)], [np.zeros(0)]
        for place, samples in self._chunks(path):
            strength_db.append(_strengths(samples))
            rises_s = _rise_times_s(len(strength_db[-1]))
            time_s.append(place / AUDIO_RATE_HZ + attack_lead_s() + rises_s)
        self.time_s, self.strength_db = np.concatenate(time_s), np.concatenate(strength_db)

    def _chunks(self, path: Path) -> Iterator[tuple[int, np.ndarray]]:
        """Yield pieces of sound and their places.

        Neighbours share one spectrum, so that no rise is lost between them, but none across a hole.
        """
        held: list[np.ndarray] = []
        first = end = 0
        for place, part in read_sound(path, AUDIO_RATE_HZ):
            self.peak = max(self.peak, float(np.abs(part).max(initial=0.0)))
            if place != end:
                if held:
                    yield first, np.concatenate(held)
                held, first = [], place
            held.append(part)
            end = place + len(part)
            if end - first >= _CHUNK:
                samples = np.concatenate(held)
                yield first, samples
                n_spectra = (len(samples) - N_FFT) // HOP + 1
                held = [samples[(n_spectra - 1) * HOP :]]
                first = end - len(held[0])
        if held:
            yield first, np.concatenate(held)

    def standing_out(self, grid_s: np.ndarray) -> np.ndarray:
        """Return how far onsets stand above nearly all of the recording, on a grid, shape (n,).

        A running tap or a grinder rises and falls all the time; what is struck stands out.
        """
        above = np.maximum(self.strength_db - np.percentile(self.strength_db, _QUIET_SHARE), 0)
        smooth = (above[:-1] + above[1:]) / 2  # two steps make one of the grid
        middle_s = (self.time_s[:-1] + self.time_s[1:]) / 2
        return on_grid(middle_s, smooth, grid_s, 3 * HOP / AUDIO_RATE_HZ)


def _rise_times_s(n: int) -> np.ndarray:
    """Return the instants midway between the middles of neighbouring spectra, shape (n,)."""
    return (np.arange(n) * HOP + N_FFT / 2 + HOP / 2) / AUDIO_RATE_HZ


@cache
def attack_lead_s() -> float:
    """Return by how much the rises of a sudden sound come before it, in seconds.

    Notes
    -----
    Loudness in dB shoots up as soon as the very end of a spectrum's window reaches the sound, half
    a window before the window's middle does. So the rises lie early, by an amount that depends on
    the window alone and hardly on the sound. It is measured here, on bursts that begin at known
    samples at all places between two spectra.
    """
    rng = np.random.default_rng(0)
    n = round(_BURST_S * AUDIO_RATE_HZ)
    fade = np.exp(-np.arange(n // 2) / (0.1 * n))
    leads_s = []
    for number in range(_BURSTS):
        begin = n // 2 + number * HOP // _BURSTS
        samples = rng.normal(0, _QUIET, n)
        samples[begin:] += _LOUD * rng.normal(0, 1, n - begin) * fade[: n - begin]
        rise_db = _strengths(samples.astype(np.float32))
        from_begin_s = _rise_times_s(len(rise_db)) - begin / AUDIO_RATE_HZ
        near_db = np.where(np.abs(from_begin_s) < N_FFT / AUDIO_RATE_HZ, rise_db, 0.0)
        leads_s.append(-float(near_db @ from_begin_s / near_db.sum()))
    return float(np.mean(leads_s))


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
