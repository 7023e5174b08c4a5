"""Moments at which a body may be heard: a contact begins, a hand or a foot comes to rest."""

from dataclasses import dataclass

import numpy as np

from xperience.errors import EpisodeError
from xperience.recording import layout
from xperience.recording.geometry import LEFT_WRIST, RIGHT_WRIST, Points
from xperience.recording.recording import Episode

LEFT_ANKLE, RIGHT_ANKLE = 7, 8
LEAST_SPEED_M_S = 0.05
"""A slower movement is no movement: trackers tremble."""

_TREMBLE = 5.0  # times the speed of a joint at rest
_AT_REST_SHARE = 0.2  # of a movement's top speed
_TAIL_SHARE = 0.04
_KERNEL_S = 0.025  # half a frame at 20 Hz


@dataclass(frozen=True)
class BodyEvents:
    """When a body may be heard.

    Parameters
    ----------
    contacts, hands, feet : float array, shape (n,)
        Positions in frames, ascending, not whole: 1.5 lies midway between frames 1 and 2.
    """

    contacts: np.ndarray
    hands: np.ndarray
    feet: np.ndarray

    @property
    def all(self) -> np.ndarray:
        """All of them, ascending, shape (n,)."""
        return np.sort(np.concatenate([self.contacts, self.hands, self.feet]))

    def __str__(self) -> str:
        return (
            f"{len(self.contacts)} contact onsets, {len(self.hands)} stops of a hand, "
            f"{len(self.feet)} of a foot"
        )


def body_events(episode: Episode) -> BodyEvents:
    """Return the events of an episode's contacts, wrists and ankles; none where a stream is gone.

    Notes
    -----
    Wrists come from the body, or from the hands brought into world coordinates where there is no
    body; ankles from the body alone.
    """
    none = np.zeros(0)
    contacts = none
    if episode.streams["contacts"].usable:
        contacts = contact_onsets(episode.read(layout.CONTACTS))
    if episode.streams["body"].usable:
        points = _body_joints(episode)
        hands, feet = (
            np.sort(np.concatenate([stops(points[:, joint], episode.fps) for joint in pair]))
            for pair in ((0, 1), (2, 3))
        )
        return BodyEvents(contacts, hands, feet)
    sides = (("hand_left", layout.HAND_LEFT), ("hand_right", layout.HAND_RIGHT))
    found = [
        stops(_wrist(episode, path), episode.fps)
        for stream, path in sides
        if episode.streams[stream].usable and episode.streams["pose"].usable
    ]
    return BodyEvents(contacts, np.sort(np.concatenate([none, *found])), none)


def _body_joints(episode: Episode) -> np.ndarray:
    """Return wrists and ankles in world coordinates, shape (n, 4, 3); NaN where unknown."""
    joints = [LEFT_WRIST, RIGHT_WRIST, LEFT_ANKLE, RIGHT_ANKLE]
    rows = episode.streams["body"].n_rows
    blocks = (block for _, block in episode.annotation.blocks(layout.KEYPOINTS, rows))
    return np.concatenate([_known(block)[:, joints] for block in blocks])


def _wrist(episode: Episode, path: str) -> np.ndarray:
    """Return a hand's wrist in world coordinates, shape (n, 3)."""
    joints = _known(episode.read(path))
    pose = episode.camera_to_world(0, len(joints))
    n = min(len(joints), len(pose.translation))
    return pose[:n](Points(joints[:n, 0], pose.source)).xyz


def _known(joints: np.ndarray) -> np.ndarray:
    """Return joints with NaN in frames that are all zero, as trackers leave them."""
    joints = np.asarray(joints, dtype=np.float64)
    lost = ~np.any(np.nan_to_num(joints), axis=(1, 2))
    return np.where(lost[:, None, None], np.nan, joints)


def contact_onsets(contacts: np.ndarray) -> np.ndarray:
    """Return where contacts begin, in frames: midway from the last frame without to the first with.

    Parameters
    ----------
    contacts : float array, shape (n_frames, n_joints)
        Above 0 is contact. Joints that touch in the same frame count once.
    """
    touching = np.nan_to_num(contacts) > 0
    begins = (touching[1:] & ~touching[:-1]).any(axis=1)
    return np.flatnonzero(begins) + 0.5


def stops(xyz_m: np.ndarray, fps: float) -> np.ndarray:
    """Return when a point comes to rest after a movement, finer than frames.

    Parameters
    ----------
    xyz_m : float array, shape (n_frames, 3)
        Positions in metres, axes that don't move; NaN where unknown.
    fps : float
        Frames per second.

    Returns
    -------
    float array, shape (n,)
        Positions in frames, ascending.

    Raises
    ------
    EpisodeError
        If the frame rate is not above 0.

    Notes
    -----
    People bring their limbs to rest smoothly, with the least jerk: at a share u of the time, speed
    is 16 u² (1 - u)² of its top. So √(1 - √(speed / top)) rises along a straight line that is 1 at
    the end of the movement, and the line tells the end from the frames before it. A hand that hits
    something stops at once: then the line is steep, and ends between two frames.
    """
    if not fps > 0:
        raise EpisodeError("stops", f"fps is {fps}", "a rate above 0", "Give frames per second.")
    speed = np.linalg.norm(np.diff(xyz_m, axis=0), axis=1) * fps  # (n_frames - 1,)
    known = np.isfinite(speed)
    if known.sum() < 3:
        return np.zeros(0)
    least = max(LEAST_SPEED_M_S, _TREMBLE * float(np.percentile(speed[known], 10)))
    ends = [_end(speed, top, low) for top, low in _movements(speed, least)]
    return np.array(ends, dtype=float)


def _movements(speed: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Return (last peak, rest after it) of each movement that is fast enough and really ends."""
    rises = np.r_[True, speed[1:] >= speed[:-1]]  # of a plateau, the last counts
    falls = np.r_[speed[1:] < speed[:-1], True]
    peaks = np.flatnonzero(rises & falls & (speed > least))
    lows = np.flatnonzero(
        np.r_[False, speed[1:] < speed[:-1]] & np.r_[speed[1:] >= speed[:-1], False]
    )
    unknown = np.maximum.accumulate(np.where(np.isfinite(speed), -1, np.arange(len(speed))))
    found, last = [], -1
    for low in lows:
        first = max(last, int(unknown[low]))  # what came before a gap is another movement
        own = peaks[np.searchsorted(peaks, first, "right") : np.searchsorted(peaks, low)]
        if len(own) and speed[low] <= _AT_REST_SHARE * speed[own].max():
            found.append((int(own[-1]), int(low)))
            last = low
    return found


def _end(speed: np.ndarray, top: int, low: int) -> float:
    """Return when the movement ends, in frames, from the line that its last frames lie on."""
    steps = np.arange(top, low + 1)
    steps = steps[speed[steps] > _TAIL_SHARE * speed[top]][-3:]
    middle = steps + 0.5  # speed i lies between frames i and i + 1
    line = np.sqrt(np.clip(1 - np.sqrt(speed[steps] / speed[top]), 0, 1))
    if len(steps) < 2:
        return min(middle[-1] + 0.5, low + 0.5)
    slope, start = np.polyfit(middle, line, 1)
    return float(np.clip((1 - start) / max(slope, 1e-9), middle[-1], low + 0.5))


def event_signal(time_s: np.ndarray, grid_s: np.ndarray) -> np.ndarray:
    """Return a signal on a regular grid with one bump an event, half a frame wide, shape (n,)."""
    step_s = grid_s[1] - grid_s[0]
    reach = int(np.ceil(4 * _KERNEL_S / step_s))
    out = np.zeros(len(grid_s) + 2 * reach)
    place = (np.asarray(time_s) - grid_s[0]) / step_s
    place = place[(place >= 0) & (place <= len(grid_s) - 1)]
    around = np.arange(-reach, reach + 1)
    nearest = np.rint(place).astype(int)
    bumps = np.exp(-0.5 * ((around + (nearest - place)[:, None]) * step_s / _KERNEL_S) ** 2)
    np.add.at(out, nearest[:, None] + around + reach, bumps)
    return out[reach : reach + len(grid_s)]
