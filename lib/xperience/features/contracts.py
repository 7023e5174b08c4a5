"""Where a block's windows come from, under either contract.

First what both ask: are a block's streams there, and what is odd about them. Then ``published``:
its formulas as they are, quirks included. Then ``corrected``: one coordinate frame, and gaps that
stay gaps. There hands, body and camera are relative to the body (see
`xperience.features.posture`); a frame that a stream does not cover is NaN on its way here; a window
with too few frames left is null.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from xperience.features import windows
from xperience.features.blocks import BLOCKS_BY_NAME, N_TEXT, N_VIDEO, Block, streams_needed
from xperience.features.depth import as_corrected, as_published, looks
from xperience.features.posture import Postures, known_keyframes, known_rows
from xperience.features.streams import StreamRows
from xperience.recording import layout
from xperience.recording.clock import FrameClock
from xperience.recording.coverage import lost_rows, stream_state
from xperience.recording.geometry import PELVIS, Transform
from xperience.recording.plausible import DepthLimits, depth_faults
from xperience.recording.recording import Recording

_KEPT_PERCENT = 95
_NO_CONFIDENCE = "the values of the confidence are 0 throughout"
_SCAN_ROWS = 4096
_POSED = ("hand_left_joints", "hand_right_joints", "body_joints",
          "camera_translation", "camera_rotation_matrix")  # fmt: skip
_TOKEN = re.compile(r"[a-zA-Z0-9_]+")

WindowSource = Callable[[np.ndarray], np.ndarray]
"""First frames of some windows, shape (n,) -> features, float32 (n, dim); NaN row = missing."""


@dataclass(frozen=True)
class BlockSource:
    """Where a block's windows come from."""

    compute: WindowSource | None  # None if the block is missing
    reason: str = ""  # why it is missing, or what is odd about it; empty if nothing is


def check_streams(block: Block, episode: Recording, contract: str) -> tuple[str, str]:
    """Return why a block is missing, and what is odd about it if it is not; empty if nothing is."""
    needed = streams_needed(block, contract)
    found = {name: stream_state(episode, name, contract) for name in needed}
    lost = [f"{name}: {odd}" for name, (usable, odd) in found.items() if not usable]
    notes = [odd for _, odd in found.values() if odd]
    for name in found:
        notes += map(str, episode.timing_faults(name, counted=contract == "published"))
    if "pose" in found and "T_c0_b" not in episode.calibration.numbers.get("cam01", {}):
        notes.append("calibration has no cam01/T_c0_b: poses are taken to be the camera's")
    return "; ".join(lost), "; ".join(notes)


def static_source(block: Block, episode: Recording, contract: str, odd: str) -> BlockSource:
    """Return where the values of a block come from that is the same in every window."""
    if block.name == "slam_point_cloud":
        points_m = episode.read(layout.POINT_CLOUD)
        if contract == "corrected":
            points_m = points_m[~lost_rows(episode, layout.POINT_CLOUD)]
        values = point_cloud_features(points_m)
    else:
        values = episode.calibration.vector
        if len(values) != block.dim:
            found = f"calibration holds {len(values)} numbers, expected {block.dim}"
            return BlockSource(None, found)
    if contract == "published":
        values = windows.clean(values)
    elif not np.isfinite(values).all():
        return BlockSource(None, odd)
    row = values.astype(np.float32)[None]
    return BlockSource(lambda starts: np.repeat(row, len(starts), axis=0), odd)


@np.errstate(over="ignore", invalid="ignore")  # values that float32 cannot square
def point_cloud_features(points_m: np.ndarray) -> np.ndarray:
    """Return 22 values, float32, of a point cloud, shape (n_points, 3).

    Of the points within the 95th percentile of distance to the median point: mean, std, min, max,
    p10, p50, p90, each of x, y, z; then log1p of their number. Rows that are not finite are left
    out; zeros without a point.
    """
    points_m = np.asarray(points_m, dtype=np.float32)
    points_m = points_m[np.isfinite(points_m).all(1)]
    if not len(points_m):
        return np.zeros(22, dtype=np.float32)
    distance_m = np.linalg.norm(points_m - np.median(points_m, axis=0), axis=1)
    kept = points_m[distance_m <= np.percentile(distance_m, _KEPT_PERCENT)]
    spread = (kept.mean(0), kept.std(0), kept.min(0), kept.max(0))
    levels = np.percentile(kept, (10, 50, 90), axis=0).reshape(-1)
    return np.concatenate([*spread, levels, [np.log1p(len(kept))]]).astype(np.float32)


def span(starts: np.ndarray) -> tuple[int, int]:
    """Return the frames [first, last) that windows cover, from their first frames."""
    return int(starts[0]), int(starts[-1]) + windows.WINDOW_FRAMES


def joined(*notes: str) -> str:
    """Return notes as one, those that are empty left out."""
    return "; ".join(filter(None, notes))


def damage_note(stored: StreamRows) -> str:
    """Return how many pictures of a video's rows the decoder made up; empty if it made up none."""
    n = int(np.nansum(stored[:, N_VIDEO]))
    return f"{n} of {stored.n_rows} pictures are damaged" if n else ""


def depth_note(episode: Recording, rows: StreamRows) -> str:
    """Return what is wrong with depth over all frames, from the rows kept of it."""
    looked = looks(rows[:])
    looked = looked[~np.isnan(looked).any(axis=1)]
    limits = DepthLimits.of(episode.annotation)
    return "; ".join(map(str, depth_faults(episode.annotation, limits, looked)))


def inertial_windows(
    episode: Recording,
    starts: np.ndarray,
    keys: np.ndarray,
    read: Callable[[str, int, int], np.ndarray],
    stats: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return the statistics of the IMU samples between windows' first and last keyframes, (n, 42).

    ``keys`` are the samples of frames from the first window's first on, -1 where there is none;
    windows whose first or last frame has none are NaN. ``read`` gives samples [first, stop) of a
    path, and ``stats`` turns (1, n, 6) of both sensors into (1, 42).
    """
    paths = (layout.IMU_ACCEL, layout.IMU_GYRO)
    n_samples = min(map(episode.annotation.n_rows, paths))
    result = np.full((len(starts), BLOCKS_BY_NAME["imu_accel_gyro"].dim), np.nan, np.float32)
    inside = keys[(keys >= 0) & (keys < n_samples)]
    if not inside.size:
        return result
    base, end = int(inside.min()), int(inside.max()) + 1
    samples = np.concatenate([read(path, base, end) for path in paths], axis=1)  # (n, 6)
    for row, start in enumerate(starts - starts[0]):
        ends = keys[start : start + windows.WINDOW_FRAMES]
        if len(ends) == windows.WINDOW_FRAMES and 0 <= ends[0] <= ends[-1] < n_samples:
            between = samples[ends[0] - base : ends[-1] - base + 1]
            result[row] = stats(between[None])[0]
    return result


def text_rows(objects: Sequence[tuple[str, ...]], interaction: Sequence[str]) -> np.ndarray:
    """Return the hashed words of each frame, float32 (n_frames, 128)."""
    texts = [" ".join((*names, text)) for names, text in zip(objects, interaction, strict=True)]
    return np.stack([hashed_words(text) for text in texts]) if texts else np.zeros((0, N_TEXT))


@lru_cache(maxsize=4096)
def hashed_words(text: str) -> np.ndarray:
    """Return a text's words hashed into 128 signed buckets, float32, scaled to unit length.

    Words are letters, digits and underscores, lower-cased here; zero for a text without words.
    """
    vector = np.zeros(N_TEXT, dtype=np.float32)
    for token in _TOKEN.findall(text.lower()):
        digest = hashlib.blake2b(token.encode(), digest_size=8).digest()
        bucket = int.from_bytes(digest[:4], "little") % N_TEXT
        vector[bucket] += 1 if digest[4] & 1 else -1
    size = np.linalg.norm(vector)
    vector = vector / size if size > 0 else vector
    vector.setflags(write=False)
    return vector


# -- published -------------------------------------------------------------------------------------


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
        return _from_stream(block, rows, episode.n_frames, odd)
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


def _from_stream(block: Block, stored: StreamRows, n_frames: int, odd: str) -> BlockSource:
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
    notes += _ends(stored, len(place), n_frames, repeats=counts)
    return BlockSource(lambda starts: _pooled(read, starts, block), joined(*notes))


def _ends(stored: StreamRows, n_rows: int, n_frames: int, *, repeats: bool) -> Iterator[str]:
    """Yield what a stream's rows lack: those of damaged frames and those beyond its end."""
    if damaged := stored.n_rows - len(stored.read):
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


# -- corrected -------------------------------------------------------------------------------------


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
            odd = joined(odd, damage_note(self.streams[block.name]))
        odd = joined(odd, _gaps(known))
        return BlockSource(
            lambda starts: windows.stats_of_known(windows.cut(rows(*span(starts)))), odd
        )

    def _rows(self, block: Block) -> Rows:
        """Return what a block says of each frame."""
        if block.name in self.streams:
            stored = self.streams[block.name]
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


def _shown(stored: StreamRows, clock: FrameClock) -> Rows:
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
