"""Targets of the tasks: from frame-level truth to one value a sample.

Every function takes the truth and the windows of each sample, int array (n, n_members), and returns
a list of n values. None drops the sample.
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np

from xperience.features.windows import WINDOW_FRAMES, window_label
from xperience.models.baselines import constant_velocity, zero_velocity
from xperience.recording.captions import is_labelled
from xperience.recording.labels import split
from xperience.tasks.task import Target
from xperience.tasks.truth import Truth

TRANSITION_FRAMES = 10
AHEAD_FRAMES = 20
FORECAST_FRAMES = 10
N_HAND_JOINTS = 42
SHIFT_WINDOWS = 8


def window_labels(kind: str) -> Target:
    """Return a target: the window's "action" or "subtask", None where it has none."""

    def labels(truth: Truth, members: np.ndarray) -> list[str | None]:
        frames = getattr(truth, kind)
        return [window_label(frames[s : s + WINDOW_FRAMES])[0] for s in truth.starts[members[:, 0]]]

    return labels


def action_part(part: str) -> Target:
    """Return a target: the "verb" or "noun" of the window's action, as `recording.labels` finds it.

    Words count as they are written, without the lemmas of an extra: what is asked must not depend
    on what is installed.
    """

    def parts(truth: Truth, members: np.ndarray) -> list[str | None]:
        actions = window_labels("action")(truth, members)
        return [one and getattr(split(one, lambda word, kind: word), part) for one in actions]

    return parts


def boundary_frames(action: Sequence[str]) -> np.ndarray:
    """Return the frames whose action differs from that of the frame before, both labelled."""
    return np.array(
        [
            frame
            for frame in range(1, len(action))
            if action[frame] != action[frame - 1]
            and is_labelled(action[frame])
            and is_labelled(action[frame - 1])
        ],
        dtype=np.int64,
    )


def near_transition(truth: Truth, members: np.ndarray) -> list[str]:
    """Return "transition" where the action changes within 10 frames of the centre, or "steady"."""
    changes = boundary_frames(truth.action)
    centers = truth.centers[members[:, 0]]
    first = np.searchsorted(changes, centers - TRANSITION_FRAMES, side="left")
    last = np.searchsorted(changes, centers + TRANSITION_FRAMES, side="right")
    return ["transition" if found else "steady" for found in last > first]


def next_action(truth: Truth, members: np.ndarray) -> list[str | None]:
    """Return the action 20 frames after the window's end, or that of the last frame if sooner."""
    frames = np.minimum(truth.n_frames - 1, truth.ends[members[:, 0]] + AHEAD_FRAMES)
    return [truth.action[frame] if is_labelled(truth.action[frame]) else None for frame in frames]


def soon_changed(truth: Truth, members: np.ndarray) -> list[str | None]:
    """Return "change" where the action changes within 20 frames of the window's end, or "steady".

    None where the recording ends sooner, or where no change is seen and some frames say nothing.
    """
    changes = boundary_frames(truth.action)
    silent = np.array([not is_labelled(label) for label in truth.action])
    found: list[str | None] = []
    for end in truth.ends[members[:, 0]]:
        last = end + AHEAD_FRAMES
        if last < truth.n_frames and ((changes > end) & (changes <= last)).any():
            found.append("change")
        else:
            unknown = last >= truth.n_frames or silent[end : last + 1].any()
            found.append(None if unknown else "steady")
    return found


def present_action(truth: Truth, members: np.ndarray) -> list[str | None]:
    """Return the action of the window's last frame: what a label that persists would be."""
    actions = [truth.action[frame] for frame in truth.ends[members[:, 0]]]
    return [action if is_labelled(action) else None for action in actions]


def future_hands(truth: Truth, members: np.ndarray) -> list[np.ndarray | None]:
    """Return the hands in the 10 frames after the window, float32 (1260,): frames, joints, xyz.

    Metres. Under `corrected` as seen from the body in the window's last frame, the same for all 10;
    None where a hand is lost in one of them or in the window's last two, which forecasts start
    from, or where the body is lost in its last.
    """
    ends = truth.ends[members[:, 0]]
    reach = ends[:, None] + np.arange(-1, FORECAST_FRAMES + 1)  # (n, 12)
    inside = reach[:, -1] < truth.n_frames
    hands = truth.hands_at(np.minimum(reach, truth.n_frames - 1), ends).astype(np.float32)
    there = inside & np.isfinite(hands).all(axis=(1, 2, 3))
    return [row[2:].reshape(-1) if kept else None for row, kept in zip(hands, there, strict=True)]


def resting_hands(truth: Truth, members: np.ndarray) -> np.ndarray:
    """Return the forecast of hands that stay where they are at the window's end, (n, 1260)."""
    ends = truth.ends[members[:, 0]]
    present = truth.hands_at(ends[:, None], ends)[:, 0]
    return zero_velocity(present, FORECAST_FRAMES).reshape(len(members), -1)


def coasting_hands(truth: Truth, members: np.ndarray) -> np.ndarray:
    """Return the forecast of hands that go on as in the window's last frame step, (n, 1260)."""
    ends = truth.ends[members[:, 0]]
    before, present = np.moveaxis(truth.hands_at(ends[:, None] + [-1, 0], ends), 1, 0)
    return constant_velocity(present, before, FORECAST_FRAMES).reshape(len(members), -1)


def past_hands(truth: Truth, members: np.ndarray, n_frames: int) -> np.ndarray:
    """Return the hands in the window's last frames, the last one first, (n, n_frames, 42, 3).

    Seen as `future_hands` are. Where a hand is lost it stands where it is found again.
    """
    ends = truth.ends[members[:, 0]]
    hands = truth.hands_at(np.maximum(ends[:, None] - np.arange(n_frames), 0), ends)
    for ago in range(1, n_frames):
        lost = np.isnan(hands[:, ago])
        hands[:, ago][lost] = hands[:, ago - 1][lost]
    return hands


def any_contact(truth: Truth, members: np.ndarray) -> list[str | None]:
    """Return "contact" where any body part touches something during the window.

    Under `corrected` None where nobody knows: no frame shows a contact and some show nothing.
    """
    frames = truth.starts[members[:, 0], None] + np.arange(WINDOW_FRAMES)  # (n, 20)
    touching = (truth.contacts > 0).any(axis=1)[frames].any(axis=1)
    unknown = np.isnan(truth.contacts).any(axis=1)[frames].any(axis=1)
    return np.where(touching, "contact", np.where(unknown, None, "no_contact")).tolist()


def named_objects(truth: Truth, members: np.ndarray) -> list[tuple[str, ...]]:
    """Return the objects that any frame of the window names, in order of appearance."""
    windows = (truth.objects[s : s + WINDOW_FRAMES] for s in truth.starts[members[:, 0]])
    return [tuple(dict.fromkeys(chain.from_iterable(frames))) for frames in windows]


def paired(true: str, false: str) -> Target:
    """Return a target of pairs that come in turns: a true one, then its false twin."""

    def turns(_: Truth, members: np.ndarray) -> list[str]:
        return [true if place % 2 == 0 else false for place in range(len(members))]

    return turns


def adjacent_windows(n_windows: int) -> np.ndarray:
    """Return (i, i + 1) then (i + 1, i) for each i, int array (2 · (n_windows − 1), 2)."""
    first = np.arange(n_windows - 1)
    return _in_turns(np.stack([first, first + 1], 1), np.stack([first + 1, first], 1))


def shifted_windows(n_windows: int) -> np.ndarray:
    """Return (i, i) then (i, i + 8) for each i, int array (2 · (n_windows − 8), 2)."""
    first = np.arange(max(n_windows - SHIFT_WINDOWS, 0))
    return _in_turns(np.stack([first, first], 1), np.stack([first, first + SHIFT_WINDOWS], 1))


def _in_turns(even: np.ndarray, odd: np.ndarray) -> np.ndarray:
    return np.stack([even, odd], axis=1).reshape(-1, even.shape[1])
