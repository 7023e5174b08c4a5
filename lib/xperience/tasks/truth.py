"""What a recording says frame by frame, as far as targets ask for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from xperience.episode import layout
from xperience.episode.episode import Episode
from xperience.features.windows import WINDOW_FRAMES, clean


@dataclass(frozen=True)
class Truth:
    """Frame-level truth of one recording and the windows laid over it.

    Parameters
    ----------
    n_frames : int
    starts : int array, shape (n_windows,)
        First frame of each window.
    action, subtask : sequence of str, length n_frames
    objects : sequence of tuple of str, length n_frames
    hands : float32 array, shape (n_frames, 42, 3), optional
        Left then right joints minus the body's root, metres. As published, the joints are in camera
        axes and the root in world axes. What is not finite is 0.
    contacts : array, shape (n_frames, 21), optional
        Above 0 is contact.
    missing : dict of {stream: reason}
        Streams that cannot be read.
    odd : dict of {stream: reason}
        Streams that were read, with gaps filled by zeros.
    """

    n_frames: int
    starts: np.ndarray
    action: Sequence[str] = ()
    subtask: Sequence[str] = ()
    objects: Sequence[tuple[str, ...]] = ()
    hands: np.ndarray | None = None
    contacts: np.ndarray | None = None
    missing: dict[str, str] = field(default_factory=dict)
    odd: dict[str, str] = field(default_factory=dict)

    @property
    def ends(self) -> np.ndarray:
        """Last frame of each window, shape (n_windows,)."""
        return self.starts + WINDOW_FRAMES - 1

    @property
    def centers(self) -> np.ndarray:
        """Centre frame of each window, shape (n_windows,)."""
        return (self.starts + self.ends) // 2

    @classmethod
    def of(cls, episode: Episode, starts: np.ndarray) -> "Truth":
        """Read the truth of an episode.

        Parameters
        ----------
        episode : Episode
        starts : int array, shape (n_windows,)
            First frame of each window.

        Raises
        ------
        EpisodeError
            If a stream that looked usable cannot be read.
        """
        states = {name: episode.streams[name] for name in _STREAMS}
        missing = {
            name: "; ".join(map(str, state.faults)) or state.status
            for name, state in states.items()
            if not state.usable
        }
        odd: dict[str, str] = {}
        hands = contacts = None
        if not missing.keys() & {"hand_left", "hand_right", "body"}:
            hands = _filled(_hands(episode), episode.n_frames, ("hand_left", "hand_right"), odd)
        if "contacts" not in missing:
            rows = episode.read(layout.CONTACTS)
            contacts = _filled(rows, episode.n_frames, ("contacts",), odd)
        labels = episode.labels
        return cls(
            n_frames=episode.n_frames,
            starts=np.asarray(starts, dtype=np.int64),
            action=labels.action,
            subtask=labels.subtask,
            objects=labels.objects,
            hands=hands,
            contacts=contacts,
            missing=missing,
            odd=odd,
        )


_STREAMS = ("hand_left", "hand_right", "body", "contacts", "captions")


def _hands(episode: Episode) -> np.ndarray:
    """Return joints of both hands minus the body's root, (n, 42, 3)."""
    left, right, body = (
        episode.read(path) for path in (layout.HAND_LEFT, layout.HAND_RIGHT, layout.KEYPOINTS)
    )
    n = min(len(left), len(right), len(body))
    return np.concatenate([left[:n], right[:n]], axis=1) - body[:n, :1]


def _filled(
    rows: np.ndarray, n_frames: int, streams: tuple[str, ...], odd: dict[str, str]
) -> np.ndarray:
    """Return float32 rows, one a frame, zeros where there is no number; say so in ``odd``."""
    n = min(len(rows), n_frames)
    result = np.zeros((n_frames, *rows.shape[1:]), dtype=np.float32)
    result[:n] = clean(rows[:n])
    lost = n_frames - n + int((~np.isfinite(rows[:n])).reshape(n, -1).any(axis=1).sum())
    if lost:
        odd |= dict.fromkeys(streams, f"{lost} frames without numbers count as zeros")
    return result
