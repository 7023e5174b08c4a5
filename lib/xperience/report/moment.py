"""One frame of an episode as every camera sees it, with depth, hands and body projected into it.

A frame's picture or a second of sound is taken out of a long file without decoding the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import av
import numpy as np

from xperience.errors import EpisodeError
from xperience.features.windows import STRIDE_FRAMES, WINDOW_FRAMES
from xperience.recording import layout
from xperience.recording.captions import is_labelled
from xperience.recording.geometry import (
    MANO_BONES,
    RIG,
    SMPLH_BODY_PARENTS,
    WORLD,
    CameraModel,
    Points,
    Transform,
)
from xperience.recording.recording import Recording
from xperience.storage import file_url

Value = TypeVar("Value")

DEPTH_CAMERA = layout.STEREO_CAMERAS[0]
"""The camera whose view the depth map is taken to be; the layout doesn't say."""

BODY_BONES = tuple((parent, joint) for joint, parent in enumerate(SMPLH_BODY_PARENTS) if joint)
_HANDS = {
    "left hand": ("hand_left", layout.HAND_LEFT),
    "right hand": ("hand_right", layout.HAND_RIGHT),
}
_RUN_UP_S = 0.25
"""How much earlier a sound decoder starts."""
_PIECES_A_BONE = 9
_MAX_DOTS = 360
_NEAREST_M = 0.05
_LIVELY_SHARE = 0.25


@dataclass(frozen=True)
class Shape:
    """A body or a hand: points of shape (n_joints, 3), and the pairs of joints that are bones."""

    joints: Points
    bones: tuple[tuple[int, int], ...]

    def lines(self) -> Points:
        """Return each bone as a run of points, xyz of shape (n_bones, n_points, 3).

        A straight bone is bent in a fisheye picture, hence more than its two ends.
        """
        a, b = (self.joints.xyz[list(ends)] for ends in zip(*self.bones, strict=True))
        along = np.linspace(0, 1, _PIECES_A_BONE)[:, None]
        return Points(a[:, None] * (1 - along) + b[:, None] * along, self.joints.frame)


@dataclass(frozen=True)
class View:
    """What one camera sees.

    ``problem`` says why there is no image, or why nothing is projected into it. Positions are
    pixels, NaN where the camera can't see.
    """

    camera: str
    image: np.ndarray | None  # uint8 (height, width, 3)
    problem: str = ""
    #: Of "body", "left hand" and "right hand", (n_bones, n_points, 2).
    lines_px: dict[str, np.ndarray] = field(default_factory=dict)
    #: Depth points, (n_dots, 2), and their depth in the depth map, (n_dots,).
    dots_px: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    dots_m: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def n_bones_seen(self) -> int:
        """Bones with a point inside the image."""
        if self.image is None:
            return 0
        size = (self.image.shape[1], self.image.shape[0])
        return sum(int(_inside(lines, size).any(axis=-1).sum()) for lines in self.lines_px.values())


@dataclass(frozen=True)
class Moment:
    """One frame of an episode; labels are empty where nothing is labelled."""

    frame: int
    time_s: float
    action: str
    subtask: str
    interaction: str
    objects: tuple[str, ...]
    views: list[View]  # one per camera, in the layout's order
    depth_m: np.ndarray | None  # (height, width), NaN where there is no depth
    depth_range_m: tuple[float, float]  # the recording's range for colours
    shapes: dict[str, Shape]  # "body", "left hand", "right hand" in world coordinates
    problems: dict[str, str]  # why "depth", "pose" or a shape isn't shown


def read_moment(episode: Recording, frame: int) -> Moment:
    """Return one frame of an episode; what is missing or broken in it is said, not raised.

    A frame, counted from 0, that the episode doesn't have is an EpisodeError.
    """
    if not 0 <= frame < episode.n_frames:
        raise EpisodeError(
            f"{episode.name}: frame {frame}",
            "is not in the episode",
            f"0 to {episode.n_frames - 1}",
            "Change `moment_frame`, or leave it null to have one chosen.",
        )
    problems: dict[str, str] = {}
    depth_m = _try(problems, "depth", lambda: _depth(episode, frame))
    rig_from_world = _try(problems, "pose", lambda: _rig_from_world(episode, frame))
    shapes = _shapes(episode, frame, problems)
    on_rig = _in_frame(shapes, RIG, rig_from_world)
    dots, dots_m = _depth_points(episode, depth_m)
    views = [_view(episode, camera, frame, on_rig, dots, dots_m) for camera in layout.CAMERAS]
    labels = episode.labels_of("corrected")
    kinds = (kind[frame] for kind in (labels.action, labels.subtask, labels.interaction))
    said = (label if is_labelled(label) else "" for label in kinds)
    low = episode.annotation.scalar(layout.DEPTH_MIN, layout.DEFAULT_DEPTH_MIN_M)
    high = episode.annotation.scalar(layout.DEPTH_MAX, layout.DEFAULT_DEPTH_MAX_M)
    depth_range_m = (low, high) if high > low else (low, low + 1.0)
    return Moment(
        frame,
        frame / episode.fps,
        *said,
        labels.objects[frame],
        views,
        depth_m,
        depth_range_m,
        _in_frame(shapes, WORLD, rig_from_world),
        problems,
    )


def _try(problems: dict[str, str], name: str, read: Callable[[], Value]) -> Value | None:
    try:
        return read()
    except EpisodeError as error:
        problems[name] = f"{error.place.rpartition('/')[2]} {error.found}"
        return None


def check_usable(episode: Recording, stream: str) -> None:
    """Refuse a stream that is not there or broken, naming its first fault."""
    state = episode.streams[stream]
    if not state.usable:
        fault = state.faults[0]
        raise EpisodeError(fault.place, fault.found, fault.expected, "Choose another recording.")


def _row(episode: Recording, path: str, stream: str, frame: int) -> np.ndarray:
    """Return a stream's row of one frame, or raise EpisodeError saying why there is none."""
    check_usable(episode, stream)
    rows = episode.read(path, frame, frame + 1)
    if not len(rows):
        raise EpisodeError(stream, f"ends before frame {frame}", "one row per frame", "")
    return rows[0]


def _depth(episode: Recording, frame: int) -> np.ndarray:
    depth_m = _row(episode, layout.DEPTH, "depth", frame).astype(np.float64)
    depth_m[~(np.isfinite(depth_m) & (depth_m > 0))] = np.nan
    if np.isnan(depth_m).all():
        raise EpisodeError("depth", f"holds no value at frame {frame}", "metres above 0", "")
    return depth_m


def _rig_from_world(episode: Recording, frame: int) -> Transform:
    state = episode.streams["pose"]
    if not state.usable:
        raise EpisodeError("pose", f"is {state.status}", "SLAM poses", "")
    poses = episode.camera_to_world(frame, frame + 1)
    if not len(poses.translation) or not np.isfinite(poses.rotation).all():
        raise EpisodeError("pose", f"is not known at frame {frame}", "a pose", "")
    pose = Transform(poses.rotation[0], poses.translation[0], poses.source, poses.target)
    return _rig_from_reference(episode) @ pose.inverse()


def _rig_from_reference(episode: Recording) -> Transform:
    return episode.calibration.reference_from_rig.inverse()


def _shapes(episode: Recording, frame: int, problems: dict[str, str]) -> dict[str, Shape]:
    """Return hands on the rig and the body in the world; say what is not there."""
    found: dict[str, Shape] = {}
    for name, (stream, path) in {"body": ("body", layout.KEYPOINTS), **_HANDS}.items():
        xyz = _try(problems, name, lambda p=path, s=stream: _row(episode, p, s, frame))
        if xyz is None:
            continue
        if not (np.isfinite(xyz).all() and np.any(xyz)):
            problems[name] = "not estimated at this frame"
        elif name == "body":
            body = Points(xyz[: len(SMPLH_BODY_PARENTS)].astype(np.float64), WORLD)
            found[name] = Shape(body, BODY_BONES)
        else:
            hand = Points(xyz.astype(np.float64), episode.reference_camera)
            found[name] = Shape(_rig_from_reference(episode)(hand), MANO_BONES)
    return found


def _in_frame(
    shapes: dict[str, Shape], frame: str, rig_from_world: Transform | None
) -> dict[str, Shape]:
    """Return shapes on the rig or in the world; without a pose only those that came from there."""
    found = {}
    for name, shape in shapes.items():
        if shape.joints.frame == frame:
            found[name] = shape
        elif rig_from_world is not None:
            move = rig_from_world if frame == RIG else rig_from_world.inverse()
            found[name] = Shape(move(shape.joints), shape.bones)
    return found


def _depth_points(
    episode: Recording, depth_m: np.ndarray | None
) -> tuple[Points | None, np.ndarray]:
    """Return depth pixels, thinned out, as points on the rig, and their depths."""
    model = episode.calibration.model(DEPTH_CAMERA)
    place = episode.calibration.camera_from_rig(DEPTH_CAMERA)
    if depth_m is None or model is None or place is None:
        return None, np.zeros(0)
    height, width = depth_m.shape
    step = max(1, round(np.sqrt(height * width / _MAX_DOTS)))
    v, u = (axis.ravel() for axis in np.mgrid[step // 2 : height : step, step // 2 : width : step])
    z = depth_m[v, u]
    rays = model.scaled((width, height)).rays(np.stack([u + 0.5, v + 0.5], axis=-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        xyz = rays / rays[:, 2:] * z[:, None]
    kept = np.isfinite(xyz).all(axis=1) & (z > _NEAREST_M)
    return place.inverse()(Points(xyz[kept], DEPTH_CAMERA)), z[kept]


def _view(
    episode: Recording,
    camera: str,
    frame: int,
    shapes: dict[str, Shape],
    dots: Points | None,
    dots_m: np.ndarray,
) -> View:
    try:
        check_usable(episode, camera)
        image = frame_at(episode, camera, frame)
    except EpisodeError as error:
        return View(camera, None, f"{Path(error.place).name} {error.found}")
    model, place = episode.calibration.model(camera), episode.calibration.camera_from_rig(camera)
    if model is None or place is None:
        return View(camera, image, f"no {'pose' if model else 'camera model'} in the calibration")
    model = model.scaled((image.shape[1], image.shape[0]))
    lines_px = {name: _project(model, place, shape.lines()) for name, shape in shapes.items()}
    if dots is None:
        return View(camera, image, "", lines_px)
    return View(camera, image, "", lines_px, _project(model, place, dots), dots_m)


def _project(model: CameraModel, camera_from_rig: Transform, points: Points) -> np.ndarray:
    """Return pixel positions of rig points; NaN for what lies behind the camera or on its lens."""
    flat = Points(points.xyz.reshape(-1, 3), points.frame)
    xyz = camera_from_rig(flat).xyz
    uv = model.project(xyz)
    if model.xi == 0:
        uv[xyz[:, 2] < _NEAREST_M] = np.nan
    return uv.reshape(*points.xyz.shape[:-1], 2)


def _inside(uv: np.ndarray, size_px: tuple[int, int]) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return ((uv >= 0) & (uv < size_px)).all(axis=-1)


def busiest_frame(episode: Recording) -> int:
    """Return the frame with most going on, to be shown where none is asked for.

    Of the quarter of windows in which the hands move most, it is the centre of the one whose hand
    joints most cameras see; the middle of the episode if there are no hands.
    """
    centres = np.arange(WINDOW_FRAMES // 2, episode.n_frames - WINDOW_FRAMES // 2, STRIDE_FRAMES)
    if not len(centres):
        return episode.n_frames // 2
    moved_m, seen = np.zeros(len(centres)), np.zeros(len(centres))
    for stream, path in _HANDS.values():
        try:
            check_usable(episode, stream)
            xyz = episode.read(path, 0, episode.n_frames).astype(np.float64)
        except EpisodeError:
            continue
        at = centres[centres + WINDOW_FRAMES // 2 < len(xyz)]
        moved_m[: len(at)] += _way_m(xyz, at)
        seen[: len(at)] += _n_seen(episode, xyz[at])
    if not seen.any():
        return episode.n_frames // 2
    lively = moved_m >= np.quantile(moved_m, 1 - _LIVELY_SHARE)
    score = np.where(lively, seen, -1.0)
    best = np.flatnonzero(score == score.max())
    return int(centres[best[np.argmax(moved_m[best])]])


def _way_m(xyz: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return how far a hand gets within each window, metres; 0 where it is not estimated."""
    middle = xyz.mean(axis=1)
    shifts = np.linspace(-WINDOW_FRAMES // 2, WINDOW_FRAMES // 2, 5).astype(int)
    spread = middle[centres + shifts[:, None]]  # (5, n, 3)
    way_m = np.linalg.norm(np.diff(spread, axis=0), axis=-1).sum(axis=0)
    there = np.isfinite(spread).all((0, 2)) & np.any(spread != 0, axis=2).all(0)
    return np.where(there, way_m, 0.0)


def _n_seen(episode: Recording, xyz: np.ndarray) -> np.ndarray:
    """Return in how many views each hand joint is, summed over joints, shape (n,)."""
    hand = Points(xyz.reshape(-1, 3), episode.reference_camera)
    on_rig = _rig_from_reference(episode)(hand)
    assert on_rig.frame == RIG
    total = np.zeros(xyz.shape[:2])
    for camera in episode.videos:
        model, place = (
            episode.calibration.model(camera),
            episode.calibration.camera_from_rig(camera),
        )
        if model is not None and place is not None:
            seen = _inside(_project(model, place, on_rig), model.size_px)
            total += seen.reshape(total.shape)
    return total.sum(axis=1) * np.any(xyz != 0, axis=(1, 2))


def frame_at(episode: Recording, camera: str, frame: int) -> np.ndarray:
    """Return a frame's picture, RGB, uint8 array (height, width, 3).

    It is as stored, which is what calibrations refer to, however players are asked to turn it. The
    decoder jumps to the key picture before it and goes on from there.

    Raises
    ------
    EpisodeError
        If the file can't be opened, shows no picture at that time, or is damaged there.
    """
    path, clock = episode.video_path(camera), episode.clock(camera)
    number = clock.pictures[frame]
    if number < 0:
        raise _unreadable(path, f"shows no picture at frame {frame}")
    tick = int(clock.timeline.ticks[number])
    try:
        with av.open(file_url(path), metadata_errors="replace") as container:
            stream = container.streams.video[0]
            container.seek(tick, stream=stream, backward=True)
            for picture in container.decode(stream):
                if picture.pts is not None and picture.pts >= tick:
                    return picture.to_ndarray(format="rgb24")
    except av.FFmpegError as error:
        raise _unreadable(path, f"cannot be decoded at frame {frame}") from error
    raise _unreadable(path, f"ends before frame {frame} can be decoded")


def sound_level(episode: Recording, start: int, stop: int) -> np.ndarray:
    """Return the loudness of frames [start, stop), float array (stop - start,).

    It is the root mean square of the first channel's samples, full scale is 1; NaN where the file
    holds no sound for that time.

    Raises
    ------
    EpisodeError
        If there is no sound or it can't be decoded there.
    """
    path, clock = episode.video_path(layout.AUDIO_CAMERA), episode.clock(layout.AUDIO_CAMERA)
    frames = np.arange(start, stop)
    try:
        with av.open(file_url(path), metadata_errors="replace") as container:
            if not container.streams.audio:
                raise _unreadable(path, "has no audio stream")
            stream = container.streams.audio[0]
            bounds = clock.samples(frames, frames + 1, stream.rate)
            first = int(bounds[0, 0])
            samples = np.full(int(bounds[-1, 1]) - first, np.nan)
            early_s = first / stream.rate - _RUN_UP_S
            container.seek(int(early_s / stream.time_base), stream=stream, backward=True)
            resampler = av.AudioResampler(format="fltp")
            for heard in container.decode(stream):
                place = round(float(heard.pts * stream.time_base) * stream.rate) - first
                if place >= len(samples):
                    break
                for part in resampler.resample(heard):
                    values = part.to_ndarray()[0]
                    a, b = max(place, 0), min(place + len(values), len(samples))
                    if a < b:
                        samples[a:b] = values[a - place : b - place]
                    place += len(values)
    except av.FFmpegError as error:
        raise _unreadable(path, f"has sound that cannot be decoded at frame {start}") from error
    return np.array([np.sqrt(np.mean(samples[a:b] ** 2)) for a, b in bounds - first])


def _unreadable(path: Path, found: str) -> EpisodeError:
    return EpisodeError(
        f"{path.parent.name}/{path.name}",
        found,
        "a whole video",
        "Fetch the file again, or go on without this stream.",
    )
