"""Blocks under the ``published`` contract: its formulas as they are, quirks included."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from xperience.features import windows
from xperience.features.blocks import Block
from xperience.features.depth import as_published
from xperience.features.source import (
    Source,
    check_streams,
    damage_note,
    depth_note,
    inertial_windows,
    repeated,
    static_values,
)
from xperience.features.streams import FrameRows, StreamRows
from xperience.features.text import text_rows
from xperience.recording import layout
from xperience.recording.recording import Episode

_NO_CONFIDENCE = "the values of the confidence are 0 throughout"


@dataclass(frozen=True)
class Published:
    """Sources of the published blocks of an episode.

    Parameters
    ----------
    episode : Episode
    streams : dict of {block: StreamRows}
        Rows of the long streams.
    """

    episode: Episode
    streams: dict[str, StreamRows]

    def source(self, block: Block) -> Source:
        """Return how a block is computed, or why it cannot be."""
        lost, odd = check_streams(block, self.episode, "published")
        if lost:
            return Source(None, lost)
        if block.name in self.streams:
            rows = self.streams[block.name]
            if block.name == "depth_confidence" and rows.path:
                zeros = "" if self.episode.annotation.holds(layout.CONFIDENCE) else _NO_CONFIDENCE
                odd = "; ".join(filter(None, (odd, zeros, depth_note(self.episode, rows))))
            return _from_stream(block, rows, self.episode.n_frames, odd)
        if not block.per_frame:
            values = static_values(block, self.episode)
            if isinstance(values, str):
                return Source(None, values)
            return repeated(windows.clean(values), odd)
        if block.name == "imu_accel_gyro":
            return Source(lambda starts: _imu(self.episode, starts), odd)
        frames = _FRAMES[block.name]
        return Source(
            lambda starts: _pooled(lambda a, b: frames(self.episode, a, b), starts, block), odd
        )


def _from_stream(block: Block, rows: StreamRows, n_frames: int, odd: str) -> Source:
    if rows.path is None:
        return Source(None, rows.problem)
    stored, counts = FrameRows(rows.path), block.name.startswith("video_")
    # pictures are counted as they come, whatever was lost between them
    place = stored.read[:n_frames] if counts else np.arange(min(stored.n_rows, n_frames))
    notes = [
        odd,
        damage_note(stored) if counts else "",
        *_gaps(stored, len(place), n_frames, repeats=counts),
    ]

    def read(start: int, stop: int) -> np.ndarray:
        wanted = place[start:stop]
        if counts:
            wanted = place[np.minimum(np.arange(start, stop), len(place) - 1)]
        found = stored[wanted]
        if block.name == "depth_confidence":
            return as_published(found)
        return found[:, : block.per_frame]

    return Source(lambda starts: _pooled(read, starts, block), "; ".join(filter(None, notes)))


def _gaps(stored: FrameRows, n_rows: int, n_frames: int, *, repeats: bool) -> Iterator[str]:
    """Yield what a stream's rows lack: those of damaged frames and those beyond its end."""
    if damaged := stored.count_unread():
        yield f"{damaged} of {n_frames} frames cannot be read"
    if n_rows < n_frames:
        how = (
            "frames end at {} of {}; the last one repeats"
            if repeats
            else "values end at frame {} of {}"
        )
        yield how.format(n_rows, n_frames)


def _pooled(read: Callable[[int, int], np.ndarray], starts: np.ndarray, block: Block) -> np.ndarray:
    """Return the statistics of consecutive windows.

    NaN for those beyond the stream's end or with a frame that could not be read: a row of NaN in a
    stream that was computed apart. In the annotation's own arrays NaN is a value, 0 by contract.

    Parameters
    ----------
    read : callable (start, stop) -> array, shape (at most stop - start, n_columns)
    starts : int array, shape (n,)
        First frames, ``STRIDE_FRAMES`` apart.
    block : Block
    """
    first, last = int(starts[0]), int(starts[-1]) + windows.WINDOW_FRAMES
    with np.errstate(invalid="ignore"):  # inf minus inf is NaN, and that counts as 0
        frames = read(first, last)
    result = np.full((len(starts), block.dim), np.nan, dtype=np.float32)
    whole = len(windows.window_starts(len(frames)))
    if whole:
        parts = windows.cut(frames)  # (n_whole, 20, n_columns)
        if block.name == "camera_translation":
            with np.errstate(invalid="ignore"):
                parts = parts - parts[:, :1]
        result[:whole] = windows.stats(parts)
        if block.modality == "visual":
            unread = np.isnan(frames).all(axis=1, keepdims=True)  # (n_frames, 1)
            result[:whole][windows.cut(unread).any(axis=(1, 2))] = np.nan
    return result


def _hand(episode: Episode, path: str, start: int, stop: int) -> np.ndarray:
    joints, body = episode.read(path, start, stop), episode.read(layout.KEYPOINTS, start, stop)
    n = min(len(joints), len(body))
    return (joints[:n] - body[:n, :1]).reshape(n, -1)


def _body(episode: Episode, start: int, stop: int) -> np.ndarray:
    joints = episode.read(layout.KEYPOINTS, start, stop)
    return (joints - joints[:, :1]).reshape(len(joints), -1)


def _text(episode: Episode, start: int, stop: int) -> np.ndarray:
    return text_rows(episode.labels.objects[start:stop], episode.labels.interaction[start:stop])


_FRAMES: dict[str, Callable[[Episode, int, int], np.ndarray]] = {
    "hand_left_joints": lambda e, a, b: _hand(e, layout.HAND_LEFT, a, b),
    "hand_right_joints": lambda e, a, b: _hand(e, layout.HAND_RIGHT, a, b),
    "body_joints": _body,
    "body_contacts": lambda e, a, b: e.read(layout.CONTACTS, a, b),
    "camera_translation": lambda e, a, b: e.camera_to_world(a, b).translation,
    "camera_rotation_matrix": lambda e, a, b: e.camera_to_world(a, b).rotation.reshape(-1, 9),
    "caption_objects_interaction_text": _text,
}


def _imu(episode: Episode, starts: np.ndarray) -> np.ndarray:
    first, last = int(starts[0]), int(starts[-1]) + windows.WINDOW_FRAMES
    keys = episode.annotation.keyframes(first, last)
    return inertial_windows(episode, starts, keys, episode.read, windows.stats)
