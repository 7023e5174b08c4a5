"""What a recording says frame by frame, as far as targets ask for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xperience.features.blocks import check_contract
from xperience.features.posture import HAND_PATHS, Postures, known_rows
from xperience.features.windows import WINDOW_FRAMES, clean
from xperience.recording import layout
from xperience.recording.coverage import stream_state
from xperience.recording.geometry import WORLD, Points, Transform
from xperience.recording.recording import Recording


@dataclass(frozen=True)
class Truth:
    """Frame-level truth of one recording and the windows laid over it."""

    n_frames: int
    starts: np.ndarray  # first frame of each window, int (n_windows,)
    action: Sequence[str] = ()
    subtask: Sequence[str] = ()
    objects: Sequence[tuple[str, ...]] = ()
    hands: np.ndarray | None = None
    """Under `published`, (n_frames, 42, 3): left then right joints minus the body's root, metres;
    the joints are in camera axes and the root in world axes. What is not finite is 0."""
    contacts: np.ndarray | None = None
    """Above 0 is contact, (n_frames, 21). Under `corrected` NaN where nothing is known, else 0."""
    missing: dict[str, str] = field(default_factory=dict)  # streams that can't be read, and why
    odd: dict[str, str] = field(default_factory=dict)
    """Streams that have gaps, and why: zeros under `published`, NaN under `corrected`."""
    world_hands: Points | None = None
    """Under `corrected`: left then right joints, metres in the world; NaN where no hand is."""
    to_body: Transform | None = None
    """Under `corrected`: the world to each frame's body frame; NaN where there is no body."""

    @property
    def ends(self) -> np.ndarray:
        """Last frame of each window, shape (n_windows,)."""
        return self.starts + WINDOW_FRAMES - 1

    @property
    def centers(self) -> np.ndarray:
        """Centre frame of each window, shape (n_windows,)."""
        return (self.starts + self.ends) // 2

    def hands_at(self, frames: np.ndarray, viewpoints: np.ndarray) -> np.ndarray:
        """Return where the hands are in some frames.

        Parameters
        ----------
        frames : int array, shape (n, n_times)
            Frames of each row.
        viewpoints : int array, shape (n,)
            Under `corrected` a row's positions are seen from the body in this frame, whatever
            frames they are of. Under `published` nothing depends on it.

        Returns
        -------
        float array, shape (n, n_times, 42, 3)
            Metres; NaN under `corrected` where a hand, or the body in the viewpoint, isn't there.
        """
        if self.to_body is None:
            return self.hands[frames]
        joints = Points(self.world_hands.xyz[frames], self.world_hands.frame)
        return self.to_body[viewpoints[:, None]](joints).xyz

    @classmethod
    def of(cls, episode: Recording, starts: np.ndarray, contract: str = "published") -> "Truth":
        """Read the truth of an episode for windows that start at some frames.

        Raises
        ------
        EpisodeError
            If a stream that looked usable cannot be read.
        ParamsError
            If there is no such contract.
        """
        read = _corrected if check_contract(contract) == "corrected" else _published
        labels = episode.labels_of(contract)
        return cls(
            n_frames=episode.n_frames,
            starts=np.asarray(starts, dtype=np.int64),
            action=labels.action,
            subtask=labels.subtask,
            objects=labels.objects,
            **read(episode),
        )


_STREAMS = ("hand_left", "hand_right", "body", "contacts", "captions")


def _published(episode: Recording) -> dict[str, Any]:
    """Return what is measured as published: gaps count as zeros."""
    states = {name: episode.streams[name] for name in _STREAMS}
    missing = {
        name: "; ".join(map(str, state.faults)) or state.status
        for name, state in states.items()
        if not state.usable
    }
    odd: dict[str, str] = {}
    found: dict[str, Any] = {"missing": missing, "odd": odd}
    if not missing.keys() & {"hand_left", "hand_right", "body"}:
        sides = ("hand_left", "hand_right")
        found["hands"] = _filled(_hands(episode), episode.n_frames, sides, odd)
    if "contacts" not in missing:
        rows = episode.read(layout.CONTACTS)
        found["contacts"] = _filled(rows, episode.n_frames, ("contacts",), odd)
    return found


def _corrected(episode: Recording) -> dict[str, Any]:
    """Return what is measured in one coordinate frame; gaps stay gaps.

    Hands are placed in the world by the camera's pose: without it they are missing.
    """
    states = {name: stream_state(episode, name, "corrected") for name in (*_STREAMS, "pose")}
    missing = {name: why or "says nothing" for name, (usable, why) in states.items() if not usable}
    if lost := missing.pop("pose", ""):
        missing |= {side: f"pose: {lost}" for side in HAND_PATHS if side not in missing}
    odd: dict[str, str] = {}
    found: dict[str, Any] = {"missing": missing, "odd": odd}
    n = episode.n_frames
    if not missing.keys() & {*HAND_PATHS, "body"}:
        postures = Postures.of(episode)
        hands = {side: postures.hand(side, 0, n).xyz for side in HAND_PATHS}
        found["world_hands"] = Points(np.concatenate(list(hands.values()), axis=1), WORLD)
        found["to_body"] = postures.to_body(0, n)
        for name, rows in (hands | {"body": found["to_body"].translation}).items():
            _note_gaps(name, rows, odd)
        if postures.up.odd:
            odd["body"] = "; ".join(filter(None, (postures.up.odd, odd.get("body", ""))))
    if "contacts" not in missing:
        found["contacts"] = known_rows(episode, layout.CONTACTS, 0, n)
        _note_gaps("contacts", found["contacts"], odd)
    return found


def _note_gaps(stream: str, rows: np.ndarray, odd: dict[str, str]) -> None:
    """Say in ``odd`` how many frames a stream lacks."""
    if lost := int(np.isnan(rows).reshape(len(rows), -1).any(axis=1).sum()):
        odd[stream] = f"{lost} of {len(rows)} frames have none; samples that need them are dropped"


def _hands(episode: Recording) -> np.ndarray:
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
