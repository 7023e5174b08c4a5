"""Blocks under the ``corrected`` contract: one coordinate frame, and gaps that stay gaps.

Hands, body and camera are relative to the body (see `xperience.features.posture`). A frame that a
stream does not cover is NaN on its way here; a window with too few frames left is null.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xperience.features import windows
from xperience.features.blocks import N_VIDEO, Block
from xperience.features.depth import as_corrected
from xperience.features.posture import Postures, known_keyframes, known_rows
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
from xperience.recording.clock import FrameClock
from xperience.recording.geometry import PELVIS, Transform
from xperience.recording.recording import Recording

_SCAN_ROWS = 4096
_POSED = ("hand_left_joints", "hand_right_joints", "body_joints",
          "camera_translation", "camera_rotation_matrix")  # fmt: skip

Rows = Callable[[int, int], np.ndarray]
"""Frames [start, stop) -> values, shape (stop - start, n_columns); NaN where a frame has none."""


@dataclass(frozen=True)
class Corrected:
    """Sources of the corrected blocks of an episode."""

    episode: Recording
    streams: dict[str, StreamRows]  # rows of the long streams, by block

    @cached_property
    def postures(self) -> Postures:
        """Where hands, body and camera are, and which way is up."""
        return Postures.of(self.episode)

    def source(self, block: Block) -> BlockSource:
        """Return how a block is computed, or why it cannot be."""
        lost, odd = check_streams(block, self.episode, "corrected")
        if lost:
            return BlockSource(None, lost)
        if not block.per_frame:
            return static_source(block, self.episode, "corrected", odd)
        if block.name in _POSED:
            odd = joined(odd, self._odd_posture)
        if block.name == "imu_accel_gyro":
            return self._imu(odd)
        if block.name.startswith("camera_"):
            return self._camera(block, odd)
        return self._framewise(block, odd)

    @cached_property
    def _odd_posture(self) -> str:
        """What is strange about the body's coordinate frame; empty if nothing is."""

        def lost(start: int, stop: int) -> np.ndarray:
            root = self.postures.body(start, stop).xyz[:, PELVIS]
            return _finite(root) & ~_finite(self.postures.to_body(start, stop).translation)

        n_lost = int(self._scan(lost).sum())
        note = f"the hips show no heading in {n_lost} frames" if n_lost else ""
        return joined(self.postures.up.odd, note)

    def _framewise(self, block: Block, odd: str) -> BlockSource:
        """Return a block whose frames are computed one by one."""
        if block.name in self.streams and self.streams[block.name].path is None:
            return BlockSource(None, self.streams[block.name].problem)
        rows = self._rows(block)
        known = self._scan(lambda a, b: _finite(rows(a, b)))
        if block.name == "depth_confidence":
            odd = joined(odd, depth_note(self.episode, self.streams[block.name]))
        if not known.any():
            return BlockSource(None, odd or "no frame has values")
        if block.name.startswith("video_"):
            odd = joined(odd, damage_note(FrameRows(self.streams[block.name].path)))
        odd = joined(odd, _gaps(known))
        return BlockSource(
            lambda starts: windows.stats_of_known(windows.cut(rows(*span(starts)))), odd
        )

    def _rows(self, block: Block) -> Rows:
        """Return what a block says of each frame."""
        if block.name in self.streams:
            stored = FrameRows(self.streams[block.name].path)
            if block.name.startswith("video_"):
                return _shown(stored, self.episode.clock(block.name.removeprefix("video_")))

            def rows(start: int, stop: int) -> np.ndarray:
                found = stored[start:stop]
                result = np.full((stop - start, block.per_frame), np.nan, dtype=np.float32)
                result[: len(found)] = (
                    as_corrected(found) if block.name == "depth_confidence" else found
                )
                return result

            return rows
        if block.name == "body_contacts":
            return lambda start, stop: known_rows(self.episode, layout.CONTACTS, start, stop)
        if block.name == "caption_objects_interaction_text":
            said = self.episode.labels_of("corrected")
            return lambda start, stop: text_rows(
                said.objects[start:stop], said.interaction[start:stop]
            )
        name = block.name.removesuffix("_joints")

        def joints(start: int, stop: int) -> np.ndarray:
            body = self.postures.body(start, stop)
            points = body if name == "body" else self.postures.hand(name, start, stop)
            return self.postures.to_body(start, stop)(points).xyz.reshape(stop - start, -1)

        return joints

    def _camera(self, block: Block, odd: str) -> BlockSource:
        """Return the camera's motion as seen from the body in the window's first known frame."""

        def known(start: int, stop: int) -> np.ndarray:
            camera, to_body = self.postures.camera(start, stop), self.postures.to_body(start, stop)
            return _finite(camera.translation) & _finite(to_body.translation)

        def compute(starts: np.ndarray) -> np.ndarray:
            first, last = span(starts)
            camera, to_body = self.postures.camera(first, last), self.postures.to_body(first, last)
            seen = _seen_from_first(camera, to_body, starts - first)
            if block.name == "camera_translation":
                return windows.stats_of_known(seen.translation)
            return windows.stats_of_known(seen.rotation.reshape(*seen.rotation.shape[:2], 9))

        return BlockSource(compute, joined(odd, _gaps(self._scan(known))))

    def _imu(self, odd: str) -> BlockSource:
        def samples(path: str, start: int, stop: int) -> np.ndarray:
            return known_rows(self.episode, path, start, stop)

        def compute(starts: np.ndarray) -> np.ndarray:
            keys = known_keyframes(self.episode, *span(starts))
            return inertial_windows(self.episode, starts, keys, samples, windows.stats_of_known)

        starts = windows.window_starts(self.episode.n_frames)
        chunks = [starts[i : i + _SCAN_ROWS] for i in range(0, len(starts), _SCAN_ROWS)]
        nulls = sum(int(np.isnan(compute(chunk)[:, 0]).sum()) for chunk in chunks)
        return BlockSource(compute, joined(odd, _counted(nulls, 0, len(starts))))

    def _scan(self, test: Callable[[int, int], np.ndarray]) -> np.ndarray:
        """Return what a test says of each frame of the recording, bool (n_frames,)."""
        n_frames = self.episode.n_frames
        starts = range(0, n_frames, _SCAN_ROWS)
        return np.concatenate([test(a, min(a + _SCAN_ROWS, n_frames)) for a in starts])


def _shown(stored: FrameRows, clock: FrameClock) -> Rows:
    """Return the rows of the pictures that frames show, NaN for none or a damaged one."""
    pictures = np.where(clock.pictures < stored.n_rows, clock.pictures, -1)

    def rows(start: int, stop: int) -> np.ndarray:
        wanted = pictures[start:stop]
        found = stored[wanted]
        found[(wanted < 0) | (found[:, N_VIDEO] > 0)] = np.nan
        return found[:, :N_VIDEO]

    return rows


def _finite(rows: np.ndarray) -> np.ndarray:
    return np.isfinite(rows).all(axis=1)


def _seen_from_first(camera: Transform, to_body: Transform, starts: np.ndarray) -> Transform:
    """Return the camera's poses in each window as seen from the body in its first known frame.

    Of poses of camera (to world) and world (to body), windows begin at ``starts``. The result has
    shape (n_windows, 20), translations from that of the first known frame; NaN where a frame lacks
    the camera or the body.
    """
    place = starts[:, None] + np.arange(windows.WINDOW_FRAMES)  # (n_windows, 20)
    known = (_finite(camera.translation) & _finite(to_body.translation))[place]
    every = np.arange(len(starts))
    first = known.argmax(axis=1)
    seen = to_body[place[every, first], None] @ camera[place]
    shift = seen.translation - seen.translation[every, first][:, None]
    return Transform(
        np.where(known[..., None, None], seen.rotation, np.nan),
        np.where(known[..., None], shift, np.nan),
        seen.source,
        seen.target,
    )


def _gaps(known: np.ndarray) -> str:
    """Return what the frames that are there mean for windows; empty if all are."""
    parts = windows.cut(known[:, None])[..., 0]  # (n_windows, 20)
    enough = windows.enough(parts)
    return _counted(int((~enough).sum()), int((enough & ~parts.all(axis=1)).sum()), len(parts))


def _counted(n_null: int, n_thinned: int, n_windows: int) -> str:
    least = int(windows.MIN_KNOWN_SHARE * windows.WINDOW_FRAMES)
    thin = f"{least} to {windows.WINDOW_FRAMES - 1} of their {windows.WINDOW_FRAMES} frames"
    return joined(
        f"{n_null} of {n_windows} windows are null" if n_null else "",
        f"{n_thinned} of {n_windows} windows rest on {thin}" if n_thinned else "",
    )
