"""Blocks under the ``published`` contract: its formulas as they are, quirks included."""

from collections.abc import Callable, Iterator

import numpy as np

from xperience.features import windows
from xperience.features.blocks import Block
from xperience.features.depth import as_published
from xperience.features.source import (
    BlockSource,
    check_streams,
    damage_note,
    depth_note,
    inertial_windows,
    joined,
    span,
    static_source,
)
from xperience.features.streams import FrameRows, StreamRows
from xperience.features.text import text_rows
from xperience.recording import layout
from xperience.recording.recording import Recording

_NO_CONFIDENCE = "the values of the confidence are 0 throughout"


def published_source(
    episode: Recording, streams: dict[str, StreamRows], block: Block
) -> BlockSource:
    """Return how a block is computed from an episode and its long streams, or why it cannot be."""
    lost, odd = check_streams(block, episode, "published")
    if lost:
        return BlockSource(None, lost)
    if block.name in streams:
        rows = streams[block.name]
        if rows.path is None:
            return BlockSource(None, rows.problem)
        if block.name == "depth_confidence":
            zeros = "" if episode.annotation.holds(layout.CONFIDENCE) else _NO_CONFIDENCE
            odd = joined(odd, zeros, depth_note(episode, rows))
        return _from_stream(block, FrameRows(rows.path), episode.n_frames, odd)
    if not block.per_frame:
        return static_source(block, episode, "published", odd)
    if block.name == "imu_accel_gyro":

        def inertial(starts: np.ndarray) -> np.ndarray:
            keys = episode.annotation.keyframes(*span(starts))
            return inertial_windows(episode, starts, keys, episode.read, windows.stats)

        return BlockSource(inertial, odd)
    frames = _FRAMES[block.name]
    return BlockSource(
        lambda starts: _pooled(lambda a, b: frames(episode, a, b), starts, block), odd
    )


def _from_stream(block: Block, stored: FrameRows, n_frames: int, odd: str) -> BlockSource:
    counts = block.name.startswith("video_")
    # pictures are counted as they come, whatever was lost between them
    place = stored.read[:n_frames] if counts else np.arange(min(stored.n_rows, n_frames))

    def read(start: int, stop: int) -> np.ndarray:
        wanted = place[start:stop]
        if counts:
            wanted = place[np.minimum(np.arange(start, stop), len(place) - 1)]
        found = stored[wanted]
        if block.name == "depth_confidence":
            return as_published(found)
        return found[:, : block.per_frame]

    notes = [odd, damage_note(stored) if counts else ""]
    notes += _gaps(stored, len(place), n_frames, repeats=counts)
    return BlockSource(lambda starts: _pooled(read, starts, block), joined(*notes))


def _gaps(stored: FrameRows, n_rows: int, n_frames: int, *, repeats: bool) -> Iterator[str]:
    """Yield what a stream's rows lack: those of damaged frames and those beyond its end."""
    if damaged := stored.count_unread():
        yield f"{damaged} of {n_frames} frames cannot be read"
    if n_rows < n_frames:
        if repeats:
            yield f"frames end at {n_rows} of {n_frames}; the last one repeats"
        else:
            yield f"values end at frame {n_rows} of {n_frames}"


def _pooled(read: Callable[[int, int], np.ndarray], starts: np.ndarray, block: Block) -> np.ndarray:
    """Return the statistics of consecutive windows.

    NaN for those beyond the stream's end or with a frame that could not be read: a row of NaN in a
    stream that was computed apart. In the annotation's own arrays NaN is a value, 0 by contract.
    """
    with np.errstate(invalid="ignore"):  # inf minus inf is NaN, and that counts as 0
        frames = read(*span(starts))
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


def _hand(episode: Recording, path: str, start: int, stop: int) -> np.ndarray:
    joints, body = episode.read(path, start, stop), episode.read(layout.KEYPOINTS, start, stop)
    n = min(len(joints), len(body))
    return (joints[:n] - body[:n, :1]).reshape(n, -1)


def _body(episode: Recording, start: int, stop: int) -> np.ndarray:
    joints = episode.read(layout.KEYPOINTS, start, stop)
    return (joints - joints[:, :1]).reshape(len(joints), -1)


def _text(episode: Recording, start: int, stop: int) -> np.ndarray:
    return text_rows(episode.labels.objects[start:stop], episode.labels.interaction[start:stop])


_FRAMES: dict[str, Callable[[Recording, int, int], np.ndarray]] = {
    "hand_left_joints": lambda e, a, b: _hand(e, layout.HAND_LEFT, a, b),
    "hand_right_joints": lambda e, a, b: _hand(e, layout.HAND_RIGHT, a, b),
    "body_joints": _body,
    "body_contacts": lambda e, a, b: e.read(layout.CONTACTS, a, b),
    "camera_translation": lambda e, a, b: e.camera_to_world(a, b).translation,
    "camera_rotation_matrix": lambda e, a, b: e.camera_to_world(a, b).rotation.reshape(-1, 9),
    "caption_objects_interaction_text": _text,
}
