"""The sound of an episode over time, and the moments at which hearing it made a difference."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import librosa
import numpy as np
from threadpoolctl import threadpool_limits

from xperience.evaluation.uncertainty import Interval, interval
from xperience.features.audio import heard
from xperience.features.logmel import RATE_HZ, sound_place
from xperience.features.windows import WINDOW_FRAMES
from xperience.recording import layout
from xperience.recording.media import SoundReader
from xperience.recording.recording import Episode
from xperience.studies.audio.effects import sample_losses
from xperience.studies.audio.looks import Finding, Look, Looks

N_FFT, N_MELS = 1024, 64
MAX_COLUMNS, LEAST_COLUMN_S = 1200, 0.064
"""A column is at least one STFT frame long; a figure has no use for more columns."""
SILENCE_DB = -100.0


def level_db(power: np.ndarray) -> np.ndarray:
    """Return mean squares of samples in [-1, 1] as dB, no lower than silence.

    >>> level_db(np.array([1.0, 0.01, 0.0])).tolist()
    [0.0, -20.0, -100.0]
    """
    return 10 * np.log10(np.maximum(power, 10 ** (SILENCE_DB / 10)))


@dataclass(frozen=True)
class Spectrogram:
    """The power of an episode's sound by pitch and time.

    Parameters
    ----------
    power_db : float array, shape (n_mels, n_columns)
        dB relative to a power of 1; NaN where the sound has ended.
    edges_s : float array, shape (n_columns + 1,)
        Ends of the columns, seconds from the first video frame.
    mel_hz : float array, shape (n_mels,)
        Centres of the bands.
    window_db : float array, shape (n_windows,)
        Loudness of each window; NaN where the sound has ended.
    """

    power_db: np.ndarray
    edges_s: np.ndarray
    mel_hz: np.ndarray
    window_db: np.ndarray


def spectrogram(episode: Episode, starts: np.ndarray) -> Spectrogram:
    """Return the sound of an episode, in as many columns as a figure can show.

    Parameters
    ----------
    episode : Episode
    starts : int array, shape (n_windows,)
        First frames of the windows whose loudness is wanted, ascending.

    Raises
    ------
    MissingStreamError
        If the episode has no sound.
    """
    path, _ = sound_place(episode)
    clock = episode.clock(layout.AUDIO_CAMERA)
    length_s = float(clock.end_s[-1] - clock.begin_s[0])
    n_columns = int(np.clip(length_s // LEAST_COLUMN_S, 1, MAX_COLUMNS))
    edges_s = np.linspace(0, length_s, n_columns + 1)
    edges = np.round((clock.begin_s[0] + edges_s) * RATE_HZ).astype(np.int64)
    filters = librosa.filters.mel(sr=RATE_HZ, n_fft=N_FFT, n_mels=N_MELS)
    reader = SoundReader(path, RATE_HZ)
    columns = (heard(reader.until(first, after)) for first, after in pairwise(edges))
    with threadpool_limits(1):  # products this small wait longer for a second thread
        power = np.stack([_mel_power(samples, filters) for samples in columns], axis=1)
    windows = map(heard, episode.sound(starts, starts + WINDOW_FRAMES))
    return Spectrogram(
        power_db=level_db(power),
        edges_s=edges_s,
        mel_hz=librosa.mel_frequencies(n_mels=N_MELS + 2, fmax=RATE_HZ / 2)[1:-1],
        window_db=level_db(np.array(list(_mean_squares(windows)))),
    )


def _mel_power(samples: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Return the mean power of each band, shape (n_mels,); NaN without samples."""
    if not len(samples):
        return np.full(len(filters), np.nan)
    padded = np.pad(samples, (0, max(N_FFT - len(samples), 0)))
    spectrum = librosa.stft(padded, n_fft=N_FFT, hop_length=N_FFT // 2, center=False)
    return filters @ np.square(np.abs(spectrum)).mean(axis=1)


def _mean_squares(pieces: Iterator[np.ndarray]) -> Iterator[float]:
    for samples in pieces:
        yield float(np.square(samples, dtype=np.float64).mean()) if len(samples) else np.nan


@dataclass(frozen=True)
class Moments:
    """A task's test samples in the order of the recording: who answers each of them better.

    Parameters
    ----------
    look : Look
    window : int array, shape (n,)
        First window of each sample.
    won : int array, shape (n,)
        1 where the variant answers better, -1 where the other does, 0 where neither.
    """

    look: Look
    window: np.ndarray
    won: np.ndarray

    @classmethod
    def of(cls, look: Look) -> "Moments":
        """Return the moments of a look that has answers."""
        sides = (look.contest.contestants[name] for name in (look.variant, look.against))
        mine, other = (sample_losses(side, look.contest.primary) for side in sides)
        problem = look.contest.contestants[look.variant].problem
        tested = problem.split.test[problem.by_time]
        return cls(look, problem.samples.members[tested, 0], np.sign(other - mine).astype(int))

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.look.contest.outcomes[self.look.variant].task.name

    @cached_property
    def net_wins(self) -> float:
        """Share of samples won minus share lost."""
        return float(self.won.mean())

    def louder(self, window_db: np.ndarray) -> np.ndarray:
        """Return which samples are the louder half, bool (n,).

        Those at the median count as quiet, unless that leaves no loud ones.
        """
        own_db = np.nan_to_num(window_db[self.window], nan=SILENCE_DB)
        above = own_db > np.median(own_db)
        return above if above.any() else own_db >= np.median(own_db)

    def loud_minus_quiet(self, window_db: np.ndarray) -> Interval:
        """Return how many more net wins the louder half of the samples has than the quieter.

        Parameters
        ----------
        window_db : float array, shape (n_windows,)
            Loudness of each window.
        """
        loud = self.louder(window_db)
        how = self.look.contest.contestants[self.look.variant].resampling

        def score(weights: np.ndarray) -> np.ndarray:
            return _weighted_mean(weights * loud, self.won) - _weighted_mean(
                weights * ~loud, self.won
            )

        return interval(score, len(self.won), how, (-2.0, 2.0))


def _weighted_mean(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return weighted means, shape (n_rows,); NaN where nothing weighs."""
    total = weights.sum(axis=1)
    return np.divide(weights @ values, total, out=np.full(len(total), np.nan), where=total > 0)


def telling(looks: Looks, n: int) -> list[Moments]:
    """Return the moments of the tasks in which sound matters most, the most first.

    Parameters
    ----------
    looks : dict of {task: Look}
    n : int
        Tasks at most. Claimed ones come first, then those with the greatest net wins or losses;
        a task in which both sides answer all samples alike is none of them.
    """
    known = [Moments.of(look) for look in looks.values() if look.effect is not None]
    decided = [one for one in known if one.won.any()]
    sure = (Finding.BETTER, Finding.WORSE)
    return sorted(decided, key=lambda one: (one.look.finding not in sure, -abs(one.net_wins)))[:n]
