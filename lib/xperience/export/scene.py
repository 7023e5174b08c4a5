"""A recording as a Rerun file: views, skeletons, poses, depth, IMU, sound, labels, predictions."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import pandas as pd

from xperience.errors import EpisodeError
from xperience.export.clock import absent_streams, imu_times_s
from xperience.export.extras import ExportError, need
from xperience.export.log import Log
from xperience.export.predicted import (
    error_units,
    log_predictions,
    read_predictions,
    said_contracts,
)
from xperience.export.remux import Sound, put_on_grid, shows_all, sound_as_it_is
from xperience.export.said import log_labels, log_notes
from xperience.export.views import Contents, blueprint
from xperience.features.posture import Postures
from xperience.project import episode_name, own_name
from xperience.recording import layout
from xperience.recording.geometry import MANO_BONES, SMPLH_BONES, CameraModel
from xperience.recording.recording import Episode
from xperience.storage import whole_file

APPLICATION = "xperience"
DEPTH_EVERY = 5
MAX_MAP_POINTS = 50_000
_FRUSTUM_M = 0.08
_MM = 1000
_FRAMES_AT_ONCE = 1024
_SILENCE = 1e-10
_SKELETONS = {"body": (1, SMPLH_BONES), "hand_left": (2, MANO_BONES), "hand_right": (3, MANO_BONES)}
_COLOURS = {1: (118, 118, 118), 2: (0, 114, 178), 3: (213, 94, 0)}
_AXIS_COLOURS = [(213, 94, 0), (0, 158, 115), (86, 180, 233)]
_MAP_COLOUR, _FISHEYE_COLOUR, _STEREO_COLOUR = (140, 140, 140), (86, 180, 233), (240, 228, 66)
_UP_NAMES = (("X_UP", "X_DOWN"), ("Y_UP", "Y_DOWN"), ("Z_UP", "Z_DOWN"))
_ALONG = 0.9


def export_rerun(
    episode: Path | str,
    out: Path | str,
    *,
    predictions: Path | None = None,
    depth_every: int = DEPTH_EVERY,
) -> dict[str, str]:
    """Write a recording as a Rerun file with a blueprint, whole or not at all.

    Parameters
    ----------
    episode : path
    out : path
        The ``.rrd`` file.
    predictions : path, optional
        Of heads, see `xperience.evaluation.predictions`; the first seed of each is shown.
    depth_every : int
        Every how many frames a depth map is kept: they are most of the file.

    Returns
    -------
    dict of {stream: reason}
        Streams that are not in the file. The file says so itself, at ``notes``.

    Raises
    ------
    EpisodeError
        If the recording can't be opened.
    ExportError
        If the extra is not installed, or the predictions are no such table.
    """
    rr = need("rerun")
    if depth_every < 1:
        raise ExportError("depth_every", f"is {depth_every}", "1 or more", "1 keeps every frame.")
    with Episode(episode) as opened, whole_file(out) as scratch, TemporaryDirectory() as recoded:
        said = None if predictions is None else read_predictions(predictions, opened)
        log = Log(rr, _stream(rr, opened), opened.frame_times_s, absent_streams(opened))
        sources, postures = _sources(log, opened, Path(recoded)), Postures.of(opened)
        contents = _contents(log, sources, said)
        layout_of_views = blueprint(need("rerun.blueprint"), contents, postures)
        log.stream.save(scratch, default_blueprint=layout_of_views)
        log.stream.send_recording_name(episode_name(episode))
        _log_all(log, postures, sources, depth_every)
        if said is not None:
            log_predictions(log, said)
        log_notes(log, opened)
        log.stream.flush()
        log.stream.disconnect()
    return log.absent


def _stream(rr: Any, episode: Episode) -> Any:
    name = own_name(episode.folder)  # the viewer puts recordings with one id together
    stream = rr.RecordingStream(
        APPLICATION, recording_id=f"{APPLICATION}-{name}", send_properties=False
    )
    stream.set_log_time_enabled(False)
    stream.set_log_tick_enabled(False)
    return stream


@dataclass(frozen=True)
class _Video:
    """A video that Rerun can read: frames with a picture, and when in the video it is, ns."""

    asset: Any
    frames: np.ndarray
    shown_ns: np.ndarray


@dataclass(frozen=True)
class _Sources:
    """Videos by camera, and the sound as it is, in pieces."""

    videos: dict[str, _Video]
    sound: list[Sound]


def _sources(log: Log, episode: Episode, recoded: Path) -> _Sources:
    """Look which videos and whether the sound can go into the file; note what can't."""
    videos, sound = {}, []
    for camera in layout.CAMERAS:
        if camera not in log.absent:
            try:
                videos[camera] = _video(log, episode, camera, recoded)
            except (RuntimeError, ValueError) as error:
                log.absent[camera] = f"Rerun cannot read this video ({error})"
    if "audio" not in log.absent:
        camera = layout.AUDIO_CAMERA
        sound = sound_as_it_is(episode.video_path(camera), episode.clock(camera).timeline)
        if not sound:
            log.absent["sound to hear"] = "it isn't AAC, which alone goes into a file as it is"
    return _Sources(videos, sound)


def _video(log: Log, episode: Episode, camera: str, recoded: Path) -> _Video:
    """Return a video as it is, or coded anew if it holds pictures that are not to be seen.

    Rerun knows neither edit lists nor rotation.
    """
    clock = episode.clock(camera)
    asset = log.rr.AssetVideo(path=episode.video_path(camera))
    shown_ns = asset.read_frame_timestamps_nanos()
    if len(shown_ns) == len(clock.timeline.ticks) and shows_all(episode, camera):
        frames = np.flatnonzero(clock.pictures >= 0)
        return _Video(asset, frames, shown_ns[clock.pictures[frames]])
    path = recoded / f"{camera}.mp4"
    _, there, _ = put_on_grid(episode, camera, path, round(episode.fps), episode.n_frames)
    frames, asset = np.flatnonzero(there), log.rr.AssetVideo(path=path)
    return _Video(asset, frames, asset.read_frame_timestamps_nanos()[frames])


def _contents(log: Log, sources: _Sources, said: pd.DataFrame | None) -> Contents:
    contracts = [] if said is None else said_contracts(said)
    units = {} if said is None else error_units(said)
    return Contents(dict(log.absent), list(sources.videos), bool(sources.sound), contracts, units)


def _log_all(log: Log, postures: Postures, sources: _Sources, depth_every: int) -> None:
    episode = postures.episode
    _log_world(log, postures)
    for camera in layout.CAMERAS:
        if camera in sources.videos:
            _log_video(log, camera, sources.videos[camera])
        _log_camera(log, episode, camera)
    for first in range(0, episode.n_frames, _FRAMES_AT_ONCE):
        frames = np.arange(first, min(first + _FRAMES_AT_ONCE, episode.n_frames))
        _log_poses(log, postures, frames)
        _log_skeletons(log, postures, frames)
    _log_depth(log, episode, depth_every)
    _log_imu(log, episode)
    _log_sound(log, episode, sources.sound)
    log_labels(log, episode)


def _log_world(log: Log, postures: Postures) -> None:
    """Log which way is up, the skeletons' bones and the map."""
    for share, names in zip(postures.up.direction, _UP_NAMES, strict=True):
        if abs(share) > _ALONG:
            name = f"RIGHT_HAND_{names[int(share < 0)]}"
            log.still("world", getattr(log.rr.ViewCoordinates, name))
    classes = [
        log.rr.ClassDescription(
            info=log.rr.AnnotationInfo(id=number, label=name, color=_COLOURS[number]),
            keypoint_connections=list(bones),
        )
        for name, (number, bones) in _SKELETONS.items()
    ]
    log.still("/", log.rr.AnnotationContext(classes))
    for name, (number, bones) in _SKELETONS.items():
        if name in log.absent:
            continue
        joints = np.arange(len(bones) + 1)
        kept = log.rr.Points3D.from_fields(
            class_ids=np.full(len(joints), number),
            keypoint_ids=joints,
            radii=0.01,
            show_labels=False,
        )
        log.still(f"world/{name}", kept)
    if "point_cloud" not in log.absent:
        points = postures.episode.read(layout.POINT_CLOUD)
        points = points[:: -(-len(points) // MAX_MAP_POINTS)]
        points = points[np.isfinite(points).all(axis=1)]
        log.still("world/map", log.rr.Points3D(points, radii=0.004, colors=_MAP_COLOUR))


def _log_video(log: Log, camera: str, video: _Video) -> None:
    """Log a camera's video, and which of its pictures each frame shows; nothing where none."""
    entity, every = f"cameras/{camera}", np.arange(len(log.times_s))
    log.still(entity, video.asset)
    columns = log.rr.VideoFrameReference.columns_nanos(video.shown_ns)
    there = np.isin(every, video.frames).astype(int)
    log.by_frame(entity, every, columns.partition(there))


def _log_camera(log: Log, episode: Episode, camera: str) -> None:
    """Log where a camera sits on the rig, and what it sees, as the edges of its view."""
    place = episode.calibration.camera_from_rig(camera)
    model = episode.calibration.model(camera)
    if place is None or model is None:
        log.absent[f"{camera} frustum"] = "the calibration doesn't say where or how it looks"
        return
    pose = episode.calibration.reference_from_rig @ place.inverse()
    entity = f"world/reference_camera/{camera}"
    log.still(entity, log.rr.Transform3D(translation=pose.translation, mat3x3=pose.rotation))
    colour = _STEREO_COLOUR if camera in layout.STEREO_CAMERAS else _FISHEYE_COLOUR
    lines = log.rr.LineStrips3D(_frustum(model), radii=0.0015, colors=colour)
    log.still(f"{entity}/frustum", lines)


def _frustum(model: CameraModel) -> list[np.ndarray]:
    """Return the edge of the image on a sphere around the camera, and lines from its corners."""
    width, height = model.size_px
    side = np.linspace(0, 1, 9)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height], [0, 0]], float)
    edge = [a + (b - a) * side[:, None] for a, b in pairwise(corners)]
    rays = model.rays(np.concatenate(edge)) * _FRUSTUM_M  # (36, 3)
    tips = model.rays(corners[:4]) * _FRUSTUM_M
    strips = [rays, *(np.stack([np.zeros(3), tip]) for tip in tips)]
    return [strip for strip in strips if np.isfinite(strip).all()]


def _log_poses(log: Log, postures: Postures, frames: np.ndarray) -> None:
    if "pose" in log.absent:
        return
    pose = postures.camera(frames[0], frames[-1] + 1)
    known = np.isfinite(pose.translation).all(axis=1)
    columns = log.rr.Transform3D.columns(
        translation=pose.translation[known], mat3x3=pose.rotation[known]
    )
    log.by_frame("world/reference_camera", frames, columns.partition(known.astype(int)))


def _log_skeletons(log: Log, postures: Postures, frames: np.ndarray) -> None:
    """Log joints of body and hands in the world; frames without a measurement are empty."""
    for name in _SKELETONS:
        if name in log.absent:
            continue
        span = frames[0], frames[-1] + 1
        joints = postures.body(*span) if name == "body" else postures.hand(name, *span)
        known = np.isfinite(joints.xyz).all(axis=(1, 2))
        lengths = known * joints.xyz.shape[1]
        columns = log.rr.Points3D.columns(positions=joints.xyz[known].reshape(-1, 3))
        log.by_frame(f"world/{name}", frames, columns.partition(lengths))


def _log_depth(log: Log, episode: Episode, every: int) -> None:
    """Log depth maps as 16-bit PNG in millimetres; what is not measured is 0, Rerun's "no depth".

    A frame that can't be read is left out and counted.
    """
    if "depth" in log.absent:
        return
    frames, pictures, lost = [], [], 0
    for frame in range(0, episode.n_frames, every):
        try:
            pictures.append(_png_mm(episode.read(layout.DEPTH, frame, frame + 1)[0]))
        except (EpisodeError, IndexError):
            lost += 1
            continue
        frames.append(frame)
    if lost:
        log.absent["depth"] = f"{lost} of {lost + len(frames)} maps cannot be read"
    if not frames:
        return
    far_m = episode.annotation.scalar(layout.DEPTH_MAX, layout.DEFAULT_DEPTH_MAX_M)
    about = log.rr.EncodedDepthImage.from_fields(
        meter=_MM, media_type="image/png", depth_range=(0, far_m * _MM)
    )
    log.still("depth", about)
    columns = log.rr.EncodedDepthImage.columns(blob=pictures)
    log.by_frame("depth", np.array(frames), columns)


def _png_mm(depth_m: np.ndarray) -> bytes:
    depth_m = np.asarray(depth_m, dtype=np.float32)
    known = np.isfinite(depth_m) & (depth_m > 0)
    depth_mm = np.clip(np.where(known, depth_m, 0) * _MM, 0, np.iinfo(np.uint16).max)
    return cv2.imencode(".png", np.round(depth_mm).astype(np.uint16))[1].tobytes()


def _log_imu(log: Log, episode: Episode) -> None:
    if "imu" in log.absent:
        return
    times_s = imu_times_s(episode)
    for name, path in (("accel", layout.IMU_ACCEL), ("gyro", layout.IMU_GYRO)):
        values = np.asarray(episode.read(path), dtype=np.float64)[: len(times_s)]
        known = np.isfinite(values).all(axis=1)
        lines = log.rr.SeriesLines(names=["x", "y", "z"], colors=_AXIS_COLOURS)
        log.still(f"imu/{name}", lines)
        columns = log.rr.Scalars.columns(scalars=values[known])
        log.by_time(f"imu/{name}", times_s[: len(values)][known], columns)


def _log_sound(log: Log, episode: Episode, sound: list[Sound]) -> None:
    """Log the sound to be heard, and its level in each frame, dB relative to full scale."""
    if "audio" in log.absent:
        return
    clock = episode.clock(layout.AUDIO_CAMERA)
    if sound:
        starts_s = np.array([piece.start_s for piece in sound])
        at_frame = np.clip(np.searchsorted(clock.begin_s, starts_s, "right") - 1, 0, None)
        times_s = log.times_s[at_frame] + starts_s - clock.begin_s[at_frame]
        heard = log.rr.AssetAudio.columns(
            blob=[piece.data for piece in sound], media_type=["audio/mp4"] * len(sound)
        )
        log.by_time("sound/heard", times_s, heard)
    frames = np.arange(episode.n_frames)
    levels = np.array([_level_db(one) for one in episode.sound(frames, frames + 1)])
    log.still("sound/level", log.rr.SeriesLines(names=["level, dB"]))
    there = np.isfinite(levels)
    columns = log.rr.Scalars.columns(scalars=levels[there])
    log.by_frame("sound/level", frames, columns.partition(there.astype(int)))


def _level_db(samples: np.ndarray) -> float:
    """Return the level of a frame's sound; NaN where less than half of it is there."""
    known = samples[np.isfinite(samples)].astype(np.float64)
    if not len(known) or 2 * len(known) < len(samples):
        return float("nan")
    return float(10 * np.log10(np.mean(known**2) + _SILENCE))
