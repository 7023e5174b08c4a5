"""The sound of an episode: each event of the plan, at its moment, over a quiet room."""

import math

import numpy as np

from xperience.standin.choreography import SoundEvent
from xperience.standin.settings import SOUND_RATE_HZ, StandinSettings

_RING = {  # decaying sines: rates in Hz, decay in s, loudness
    "clink": ((2350, 3720, 5180, 7040), 0.055, 0.42),
    "knock": ((310, 520, 1150), 0.030, 0.40),
    "click": ((1800, 4200), 0.008, 0.35),
    "touch": ((900, 1700), 0.012, 0.05),
    "footstep": ((70, 115, 180), 0.045, 0.12),
}
_NOISE = {  # filtered noise: band in Hz, loudness, bursts a second
    "pour": ((900, 5200), 0.085, 14.0),
    "powder": ((2500, 9000), 0.035, 25.0),
    "beans": ((1500, 8000), 0.16, 40.0),
    "grind": ((300, 3800), 0.11, 7.0),
    "rustle": ((2500, 11000), 0.045, 9.0),
    "slosh": ((350, 1500), 0.030, 1.5),
    "sip": ((1800, 6000), 0.045, 5.0),
}
_ROOM = 0.0016


def band(noise: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """Return noise with the loudness of a second-order Butterworth band, phases untouched.

    The transform of n samples goes by two factors of n, row by row: that is exact, and many times
    as fast and small as one transform where n has a large prime factor.
    """
    n_samples = len(noise)
    n_rows = next(d for d in range(math.isqrt(n_samples), 0, -1) if n_samples % d == 0)
    rows = np.fft.rfft(noise.reshape(n_rows, -1), axis=0)
    place = np.arange(rows.shape[1])
    for number, row in enumerate(rows):
        at = number + n_rows * place
        rate_hz = np.maximum(np.minimum(at, n_samples - at), 1) * (SOUND_RATE_HZ / n_samples)
        gain = 1 / np.sqrt((1 + (low_hz / rate_hz) ** 4) * (1 + (rate_hz / high_hz) ** 4))
        turn = np.exp(-2j * np.pi * number / n_samples * place)
        row[:] = np.fft.ifft(np.fft.fft(row * turn) * gain) * turn.conj()
    return np.fft.irfft(rows, n_rows, axis=0).reshape(-1)


def ring(rng: np.random.Generator, name: str) -> np.ndarray:
    """Return a struck thing's sound, shape (n,), which starts at its first sample."""
    rates_hz, decay_s, loudness = _RING[name]
    time_s = np.arange(int(8 * decay_s * SOUND_RATE_HZ)) / SOUND_RATE_HZ
    out = np.zeros_like(time_s)
    for number, rate_hz in enumerate(rates_hz):
        tune = rate_hz * rng.uniform(0.96, 1.04)
        fade = np.exp(-time_s / (decay_s / (1 + 0.4 * number)))
        out += np.sin(2 * np.pi * tune * time_s) * fade / (1 + 0.5 * number)
    burst = rng.normal(0, 1, len(time_s)) * np.exp(-time_s / 0.0015)
    return loudness * (out / len(rates_hz) * 1.6 + 0.25 * burst)


def rush(rng: np.random.Generator, name: str, length_s: float) -> np.ndarray:
    """Return a running or rubbing sound of a given length, shape (n,)."""
    band_hz, loudness, bursts_hz = _NOISE[name]
    n_samples = max(int(length_s * SOUND_RATE_HZ), 480)
    noise = band(rng.normal(0, 1, n_samples), *band_hz)
    knots = rng.uniform(0.55, 1.45, max(int(length_s * bursts_hz), 1) + 2)
    swell = np.interp(np.linspace(0, len(knots) - 1, n_samples), np.arange(len(knots)), knots)
    fade = np.minimum(np.arange(n_samples), np.arange(n_samples)[::-1]) / (0.012 * SOUND_RATE_HZ)
    return 2.2 * loudness * noise * swell * np.clip(fade, 0, 1)


def hum(length_s: float) -> np.ndarray:
    """Return a kettle that gets louder as it heats and falls still at the end, shape (n,)."""
    time_s = np.arange(max(int(length_s * SOUND_RATE_HZ), 1)) / SOUND_RATE_HZ
    tone = sum(np.sin(2 * np.pi * rate * time_s) / k for k, rate in enumerate((100, 200, 300), 1))
    grow = np.clip(time_s / 40, 0.15, 1) * np.clip((length_s - time_s) / 0.4, 0, 1)
    return 0.010 * tone * grow * np.clip(time_s / 0.5, 0, 1)


def soundtrack(events: list[SoundEvent], settings: StandinSettings) -> np.ndarray:
    """Return the sound of a whole episode, float32, shape (n_samples,), 48 kHz, in [-1, 1].

    It is exactly as long as the video; ``audio_offset_s`` of the settings delays everything. Each
    event draws its own noise, so that one event more changes no other.
    """
    n_samples = round(settings.duration_s * SOUND_RATE_HZ)
    rng = np.random.default_rng([settings.seed, 6])
    out = _ROOM * band(rng.normal(0, 2, n_samples), 0, 900)
    for number, event in enumerate(events):
        sound = _heard(event, np.random.default_rng([settings.seed, 7, number]))
        first = round((event.start_s + settings.audio_offset_s) * SOUND_RATE_HZ)
        piece, place = sound[max(-first, 0) :], out[max(first, 0) :]
        n_heard = min(len(piece), len(place))
        place[:n_heard] += piece[:n_heard]
    return (np.tanh(1.2 * out) / 1.2).astype(np.float32)


def _heard(event: SoundEvent, rng: np.random.Generator) -> np.ndarray:
    length_s = max(event.end_s - event.start_s, 0.01)
    if event.name in _RING:
        return ring(rng, event.name)
    return hum(length_s) if event.name == "hum" else rush(rng, event.name, length_s)


def sound_events(events: list[SoundEvent], fps: float, duration_s: float) -> list[dict]:
    """Return the true events in order of time, ready for JSON: name, time, end and frame."""
    inside = sorted((e for e in events if e.start_s < duration_s), key=lambda e: e.start_s)
    return [
        {
            "name": event.name,
            "time_s": round(event.start_s, 6),
            "end_s": round(min(event.end_s, duration_s), 6),
            "frame": int(event.start_s * fps + 1e-6),
        }
        for event in inside
    ]
