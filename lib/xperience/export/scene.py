"""A recording as a Rerun file: views, skeletons, poses, depth, IMU, sound, labels, predictions.

Only what is there is logged and has a view: an empty view would look like a fault.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import cv2
import numpy as np
import pandas as pd

from xperience.errors import EpisodeError, reading
from xperience.export.common import ExportError, absent_streams, need
from xperience.export.remux import Sound, put_on_grid, shows_all, sound_as_it_is
from xperience.features.posture import Postures
from xperience.features.windows import STRIDE_FRAMES, WINDOW_FRAMES
from xperience.project import episode_name, own_name
from xperience.recording import layout
from xperience.recording.captions import FrameLabels, is_labelled
from xperience.recording.geometry import MANO_BONES, SMPLH_BONES, CameraModel
from xperience.recording.recording import Recording
from xperience.storage import whole_file
from xperience.text import as_markdown

APPLICATION = "xperience"
DEPTH_EVERY = 5
MAX_MAP_POINTS = 50_000
TIMELINE, FRAMES = "time", "frame"
NEEDED = ("task", "head", "seed", "start_frame", "truth", "predicted")
"""Columns of a table of predictions; it may have contract, episode, error and unit too."""
_FRUSTUM_M = 0.08
_MM = 1000
_FRAMES_AT_ONCE = 1024
_SILENCE = 1e-10
_SKELETONS = {"body": (1, SMPLH_BONES), "hand_left": (2, MANO_BONES), "hand_right": (3, MANO_BONES)}
_COLOURS = {1: (118, 118, 118), 2: (0, 114, 178), 3: (213, 94, 0)}
_AXIS_COLOURS = [(213, 94, 0), (0, 158, 115), (86, 180, 233)]
_HEAD_COLOURS = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66))
_MAP_COLOUR, _FISHEYE_COLOUR, _STEREO_COLOUR = (140, 140, 140), (86, 180, 233), (240, 228, 66)
_UP_NAMES = (("X_UP", "X_DOWN"), ("Y_UP", "Y_DOWN"), ("Z_UP", "Z_DOWN"))
_ALONG = 0.9
_SAMPLES = 200
"""Frames that tell where the wearer is and where the floor is."""
_BESIDE_M, _BEHIND_M, _ABOVE_M, _AHEAD_M, _BELOW_M = 1.0, 0.9, 0.4, 0.35, 0.5
"""Where the room is seen from, about the wearer's head."""
_FLOOR_GREY = (90, 90, 90, 120)
T = TypeVar("T")


def export_rerun(
    episode: Path | str,
    out: Path | str,
    *,
    predictions: Path | None = None,
    depth_every: int = DEPTH_EVERY,
) -> dict[str, str]:
    """Write a recording as a Rerun file (``.rrd``) with a blueprint, whole or not at all.

    Predictions are a run's ``predictions/<section>.parquet``, of which the first seed of each head
    is shown. Of depth, most of the file, one map in ``depth_every`` frames is kept. Returned are
    the streams that are not in the file, with the reason; the file says so itself, at ``notes``.

    If the recording can't be opened, that is an EpisodeError; if the extra is not installed, or the
    predictions are no such table, an ExportError.
    """
    rr = need("rerun")
    if depth_every < 1:
        raise ExportError("depth_every", f"is {depth_every}", "1 or more", "1 keeps every frame.")
    with Recording(episode) as opened, whole_file(out) as scratch, TemporaryDirectory() as recoded:
        predicted = None if predictions is None else _read_predictions(predictions, opened)
        name = own_name(opened.folder)  # the viewer puts recordings with one id together
        stream = rr.RecordingStream(
            APPLICATION, recording_id=f"{APPLICATION}-{name}", send_properties=False
        )
        stream.set_log_time_enabled(False)
        stream.set_log_tick_enabled(False)
        log = _Log(rr, stream, opened, absent_streams(opened))
        videos, sound = {}, _sound(log)
        for camera in (one for one in layout.CAMERAS if one not in log.absent):
            try:
                videos[camera] = _video(log, camera, Path(recoded))
            except (RuntimeError, ValueError) as error:
                log.absent[camera] = f"Rerun cannot read this video ({error})"
        postures = Postures.of(opened)
        views = _blueprint(log, postures, list(videos), predicted, is_heard=bool(sound))
        stream.save(scratch, default_blueprint=views)  # first: a viewer decides at once
        stream.send_recording_name(episode_name(episode))
        _log_world(log, postures)
        for camera in layout.CAMERAS:
            if camera in videos:
                asset, shown, shown_ns = videos[camera]
                log.still(f"cameras/{camera}", asset)
                columns, every = rr.VideoFrameReference.columns_nanos(shown_ns), log.frames
                there = np.isin(every, shown).astype(int)
                log.by_frame(f"cameras/{camera}", every, columns.partition(there))
            _log_camera(log, camera)
        for first in range(0, opened.n_frames, _FRAMES_AT_ONCE):
            frames = np.arange(first, min(first + _FRAMES_AT_ONCE, opened.n_frames))
            _log_postures(log, postures, frames)
        if "depth" not in log.absent:
            _log_depth(log, depth_every)
        if "imu" not in log.absent:
            _log_imu(log)
        if "audio" not in log.absent:
            _log_sound(log, sound)
        if "captions" not in log.absent:
            _log_labels(log)
        if predicted is not None:
            _log_predictions(log, predicted)
        _log_notes(log)
        stream.flush()
        stream.disconnect()
    return log.absent


@dataclass
class _Log:
    """A Rerun recording that is being written, and what is not in it."""

    rr: Any
    stream: Any
    episode: Recording
    absent: dict[str, str]

    @property
    def frames(self) -> np.ndarray:
        """Every frame of the recording, int (n_frames,)."""
        return np.arange(self.episode.n_frames)

    def still(self, entity: str, *parts: Any) -> None:
        """Log what holds at all times."""
        self.rr.log(entity, *parts, static=True, recording=self.stream)

    def by_frame(self, entity: str, frames: np.ndarray, columns: Any) -> None:
        """Log one row per frame, on both timelines."""
        indexes = [
            self.rr.TimeColumn(TIMELINE, duration=self.episode.frame_times_s[frames]),
            self.rr.TimeColumn(FRAMES, sequence=frames),
        ]
        self.rr.send_columns(entity, indexes, columns, recording=self.stream)

    def by_time(self, entity: str, times_s: np.ndarray, columns: Any) -> None:
        """Log one row per moment that is no frame's."""
        index = self.rr.TimeColumn(TIMELINE, duration=times_s)
        self.rr.send_columns(entity, [index], columns, recording=self.stream)

    def states(self, entity: str, frames: np.ndarray, labels: Sequence[str | None]) -> None:
        """Log labels as states where they change; None ends the one before."""
        places = changes(labels)
        said = [labels[i] for i in places]
        columns = self.rr.StateChange.columns(state=[one for one in said if one is not None])
        there = np.array([one is not None for one in said], dtype=int)
        self.by_frame(entity, frames[places], columns.partition(there))


def changes(values: Sequence[Any]) -> np.ndarray:
    """Return the places where a series says something else than before, the first included."""
    return np.array([i for i, one in enumerate(values) if not i or one != values[i - 1]], dtype=int)


# How the viewer opens


def _blueprint(
    log: _Log,
    postures: Postures,
    cameras: Sequence[str],
    predicted: pd.DataFrame | None,
    *,
    is_heard: bool,
) -> Any:
    """Return how the viewer opens: room, cameras, what is going on, and everything over time."""
    rrb, absent = need("rerun.blueprint"), log.absent
    pictures = [rrb.Spatial2DView(origin=f"cameras/{one}", name=one) for one in cameras]
    beside = [] if "depth" in absent else [rrb.Spatial2DView(origin="depth", name="depth")]
    beside += [] if "captions" in absent else [rrb.TextDocumentView(origin="now", name="now")]
    left = [_room(rrb, postures, absent)]
    left += [rrb.Horizontal(*beside)] if beside else []
    room = rrb.Vertical(*left, row_shares=[5, 3][: len(left)])
    above = rrb.Horizontal(room, rrb.Grid(*pictures, grid_columns=3), column_shares=[4, 5])
    panel = rrb.TimePanel(state="collapsed", timeline="time", play_state="paused")
    curves, views = rrb.TimeSeriesView, []
    if "captions" not in absent:
        views.append(rrb.StateTimelineView(origin="labels", name="labels"))
    if predicted is not None:
        views += _prediction_views(rrb, predicted)
    if "imu" not in absent:
        views.append(curves(origin="imu/accel", name="acceleration, m/s²"))
        views.append(curves(origin="imu/gyro", name="rotation, rad/s"))
    if is_heard:
        views.append(rrb.AudioView(origin="sound/heard", name="sound"))
    if "audio" not in absent:
        views.append(curves(origin="sound/level", name="loudness, dB"))
    if "captions" not in absent:
        views.append(rrb.TextLogView(origin="labels", name="objects and touch"))
    tabs = rrb.Tabs(*views, rrb.TextDocumentView(origin="notes", name="notes"), active_tab=0)
    rows = rrb.Vertical(above if pictures else room, tabs, row_shares=[5, 2])
    return rrb.Blueprint(rows, panel, collapse_panels=True)


def _room(rrb: Any, postures: Postures, absent: dict[str, str]) -> Any:
    """Return the room, seen from behind the wearer's right shoulder, standing on the floor.

    The floor is where the lowest joints are, most of the time. Without poses, or if nothing tells
    which way is up, the viewer chooses.
    """
    up, n = postures.up.direction, postures.episode.n_frames
    frames = np.unique(np.linspace(0, n - 1, min(n, _SAMPLES)).astype(int))
    poses = [] if "pose" in absent else [postures.camera(frame, frame + 1) for frame in frames]
    known = [pose for pose in poses if np.isfinite(pose.translation).all()]
    ahead = np.full(3, np.nan)
    if known:
        head = np.median([pose.translation[0] for pose in known], axis=0)
        look = np.mean([pose.rotation[0][:, 2] for pose in known], axis=0)
        ahead = look - (look @ up) * up  # along the ground
    if not np.isfinite([*up, *ahead]).all() or np.linalg.norm(ahead) < np.finfo(float).eps:
        return rrb.Spatial3DView(origin="world", name="world")
    ahead = ahead / np.linalg.norm(ahead)
    beside = np.cross(ahead, up)
    eye = rrb.EyeControls3D(
        kind=rrb.Eye3DKind.Orbital,
        position=head + _BESIDE_M * beside - _BEHIND_M * ahead + _ABOVE_M * up,
        look_target=head + _AHEAD_M * ahead - _BELOW_M * up,
        eye_up=up,
    )
    lowest = [np.nan]
    if "body" not in absent:
        lowest = [(postures.body(frame, frame + 1).xyz[0] @ up).min() for frame in frames]
    grid = None
    if np.isfinite(lowest).any():
        plane = (*up, float(np.nanmedian(lowest)))
        grid = rrb.LineGrid3D(visible=True, plane=plane, spacing=0.5, color=_FLOOR_GREY)
    return rrb.Spatial3DView(origin="world", name="world", eye_controls=eye, line_grid=grid)


def _prediction_views(rrb: Any, table: pd.DataFrame) -> list[Any]:
    """Return the views of predicted labels and of errors, apart for each contract.

    Errors have one view per task, since their units differ.
    """
    views = []
    table = table[table["predicted"].notna() | table["has_error"]]
    contracts = table.groupby("contract", sort=False)
    for contract, rows in contracts:
        more = f" ({contract})" if len(contracts) > 1 else ""
        if rows["predicted"].notna().any():
            said = f"predictions/said/{contract}"
            views.append(rrb.StateTimelineView(origin=said, name=f"predictions{more}"))
        curves = []
        for task, wrong in rows[rows["has_error"]].groupby("task", sort=False):
            title = ", ".join(filter(None, (task.replace("_", " "), wrong["unit"].iloc[0])))
            origin = f"predictions/error/{contract}/{task}"
            curves.append(rrb.TimeSeriesView(origin=origin, name=title))
        if curves:
            views.append(rrb.Horizontal(*curves, name=f"errors{more}"))
    return views


# Room, skeletons and cameras


def _log_world(log: _Log, postures: Postures) -> None:
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
        if name not in log.absent:
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


def _log_postures(log: _Log, postures: Postures, frames: np.ndarray) -> None:
    """Log poses, and joints of body and hands in the world; what wasn't measured is empty."""
    span = frames[0], frames[-1] + 1
    if "pose" not in log.absent:
        pose = postures.camera(*span)
        known = np.isfinite(pose.translation).all(axis=1)
        columns = log.rr.Transform3D.columns(
            translation=pose.translation[known], mat3x3=pose.rotation[known]
        )
        log.by_frame("world/reference_camera", frames, columns.partition(known.astype(int)))
    for name in _SKELETONS:
        if name not in log.absent:
            joints = postures.body(*span) if name == "body" else postures.hand(name, *span)
            known = np.isfinite(joints.xyz).all(axis=(1, 2))
            columns = log.rr.Points3D.columns(positions=joints.xyz[known].reshape(-1, 3))
            log.by_frame(f"world/{name}", frames, columns.partition(known * joints.xyz.shape[1]))


def _log_camera(log: _Log, camera: str) -> None:
    """Log where a camera sits on the rig, and what it sees, as the edges of its view."""
    calibration = log.episode.calibration
    place, model = calibration.camera_from_rig(camera), calibration.model(camera)
    if place is None or model is None:
        log.absent[f"{camera} frustum"] = "the calibration doesn't say where or how it looks"
        return
    pose = calibration.reference_from_rig @ place.inverse()
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


# Videos, sound and sensors


def _video(log: _Log, camera: str, recoded: Path) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return a video as Rerun reads it, the frames that have a picture, and its time in it, ns.

    It is as it is, or re-encoded if it holds pictures that are not to be seen: Rerun knows neither
    edit lists nor rotation.
    """
    episode, clock = log.episode, log.episode.clock(camera)
    asset = log.rr.AssetVideo(path=episode.video_path(camera))
    shown_ns = asset.read_frame_timestamps_nanos()
    if len(shown_ns) == len(clock.timeline.ticks) and shows_all(episode, camera):
        frames = np.flatnonzero(clock.pictures >= 0)
        return asset, frames, shown_ns[clock.pictures[frames]]
    path = recoded / f"{camera}-recoded.mp4"  # no camera's own name: the folder is no recording
    _, there, _ = put_on_grid(episode, camera, path, round(episode.fps), episode.n_frames)
    frames, asset = np.flatnonzero(there), log.rr.AssetVideo(path=path)
    return asset, frames, asset.read_frame_timestamps_nanos()[frames]


def _sound(log: _Log) -> list[Sound]:
    """Return the sound as it is, in pieces; note if it can't go into the file."""
    if "audio" in log.absent:
        return []
    camera = layout.AUDIO_CAMERA
    sound = sound_as_it_is(log.episode.video_path(camera), log.episode.clock(camera).timeline)
    if not sound:
        log.absent["sound to hear"] = "it isn't AAC, which alone goes into a file as it is"
    return sound


def _log_sound(log: _Log, sound: list[Sound]) -> None:
    """Log the sound to be heard, and its level in each frame, dB relative to full scale."""
    clock = log.episode.clock(layout.AUDIO_CAMERA)
    if sound:
        starts_s = np.array([piece.start_s for piece in sound])
        at_frame = np.clip(np.searchsorted(clock.begin_s, starts_s, "right") - 1, 0, None)
        times_s = log.episode.frame_times_s[at_frame] + starts_s - clock.begin_s[at_frame]
        heard = log.rr.AssetAudio.columns(
            blob=[piece.data for piece in sound], media_type=["audio/mp4"] * len(sound)
        )
        log.by_time("sound/heard", times_s, heard)
    sounds = log.episode.sound(log.frames, log.frames + 1)
    levels = np.array([_level_db(one) for one in sounds])
    log.still("sound/level", log.rr.SeriesLines(names=["level, dB"]))
    there = np.isfinite(levels)
    columns = log.rr.Scalars.columns(scalars=levels[there])
    log.by_frame("sound/level", log.frames, columns.partition(there.astype(int)))


def _level_db(samples: np.ndarray) -> float:
    """Return the level of a frame's sound; NaN where less than half of it is there."""
    known = samples[np.isfinite(samples)].astype(np.float64)
    if not len(known) or 2 * len(known) < len(samples):
        return float("nan")
    return float(10 * np.log10(np.mean(known**2) + _SILENCE))


def _log_depth(log: _Log, every: int) -> None:
    """Log depth maps as 16-bit PNG in millimetres; what is not measured is 0, Rerun's "no depth".

    A frame that can't be read is left out and counted.
    """
    episode, frames, pictures, lost = log.episode, [], [], 0
    for frame in range(0, episode.n_frames, every):
        try:
            depth_m = np.asarray(episode.read(layout.DEPTH, frame, frame + 1)[0], dtype=np.float32)
        except (EpisodeError, IndexError):
            lost += 1
            continue
        known = np.isfinite(depth_m) & (depth_m > 0)
        depth_mm = np.clip(np.where(known, depth_m, 0) * _MM, 0, np.iinfo(np.uint16).max)
        pictures.append(cv2.imencode(".png", np.round(depth_mm).astype(np.uint16))[1].tobytes())
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


def _log_imu(log: _Log) -> None:
    times_s = imu_times_s(log.episode)
    for name, path in (("accel", layout.IMU_ACCEL), ("gyro", layout.IMU_GYRO)):
        values = np.asarray(log.episode.read(path), dtype=np.float64)[: len(times_s)]
        known = np.isfinite(values).all(axis=1)
        lines = log.rr.SeriesLines(names=["x", "y", "z"], colors=_AXIS_COLOURS)
        log.still(f"imu/{name}", lines)
        columns = log.rr.Scalars.columns(scalars=values[known])
        log.by_time(f"imu/{name}", times_s[: len(values)][known], columns)


def imu_times_s(episode: Recording) -> np.ndarray:
    """Return when each IMU sample was taken, seconds after the first frame, float64 (n_samples,).

    Samples are tied to frames by ``imu/keyframe_indices``: the sample of a frame happens with it,
    and the device clock of the IMU tells the time between, whatever its zero is.
    """
    stamps_s = episode.read(layout.IMU_STAMPS).astype(np.int64) / 1e9
    keys = episode.annotation.keyframes()
    times_s = episode.frame_times_s[: len(keys)]
    known = (keys[: len(times_s)] >= 0) & (keys[: len(times_s)] < len(stamps_s))
    if not known.any():
        return stamps_s - stamps_s[0]
    offsets_s = times_s[known] - stamps_s[keys[: len(times_s)][known]]
    return stamps_s + float(np.median(offsets_s))


# Labels and notes


def _log_labels(log: _Log) -> None:
    """Log action and subtask where they change, and what is said of objects as text.

    A label that says nothing, such as ``N/A``, ends the one before it. What is going on is a page
    that changes with the cursor.
    """
    said, every = log.episode.labels_of("corrected"), log.frames
    for name in ("action", "subtask"):
        labels = [label if is_labelled(label) else None for label in getattr(said, name)]
        log.states(f"labels/{name}", every, labels)
    objects = [", ".join(names) for names in said.objects]
    for name, texts in (("objects", objects), ("interaction", said.interaction)):
        frames = np.array([i for i in changes(texts) if is_labelled(texts[i])], dtype=int)
        if len(frames):
            columns = log.rr.TextLog.columns(text=[texts[i] for i in frames])
            log.by_frame(f"labels/{name}", frames, columns)
    pages = [_page(said, frame) for frame in every]
    frames = changes(pages)
    kind = ["text/markdown"] * len(frames)
    columns = log.rr.TextDocument.columns(text=[pages[i] for i in frames], media_type=kind)
    log.by_frame("now", frames, columns)


def _page(said: FrameLabels, frame: int) -> str:
    """Return what is said of a frame, as Markdown."""
    action, subtask = said.action[frame], said.subtask[frame]
    lines = [f"### {_plain(action) if is_labelled(action) else 'no action is labelled'}"]
    lines += [f"*{_plain(subtask)}*"] if is_labelled(subtask) else []
    lines += map(_plain, filter(is_labelled, (said.description[frame], said.interaction[frame])))
    objects = _plain(", ".join(said.objects[frame]))
    lines += [f"**Objects:** {objects}"] if objects else []
    return "\n\n".join(lines)


def _plain(text: str) -> str:
    return as_markdown(text, html=False)


def _log_notes(log: _Log) -> None:
    """Log which recording it is, and what of it is not in the file."""
    task = log.episode.labels_of("corrected").main_task
    lines = [f"# {_plain(log.episode.name)}", "", _plain(task), ""]
    lines += [f"- not here: **{name}**: {_plain(reason)}" for name, reason in log.absent.items()]
    document = log.rr.TextDocument("\n".join(lines), media_type="text/markdown")
    log.still("notes", document)


# Predictions


def _read_predictions(path: Path, episode: Recording) -> pd.DataFrame:
    """Return what heads predicted of this recording, of a cohort's table its rows alone."""
    place, way_out = Path(path).name, "Give artifacts/<run>/predictions/<section>.parquet."
    with reading(place, "a Parquet table", ExportError, way_out):
        table = pd.read_parquet(path)
    lost = [name for name in NEEDED if name not in table]
    if lost:
        raise ExportError(place, f"has no column {lost[0]!r}", "a table of predictions", way_out)
    if "episode" in table:
        table = table[table["episode"] == episode.name]
    inside = table["start_frame"] + WINDOW_FRAMES <= episode.n_frames
    if not len(table) or not inside.all():
        found = "says nothing of" if not len(table) else "names frames beyond the end of"
        raise ExportError(place, f"{found} {episode.name}", "predictions of it", way_out)
    has_error = table["predicted"].isna() & table.get("error", pd.Series(index=table.index)).notna()
    contract, unit = table.get("contract", "corrected"), table.get("unit", "")
    return table.assign(contract=contract, has_error=has_error, unit=unit).fillna({"unit": ""})


def _log_predictions(log: _Log, table: pd.DataFrame) -> None:
    """Log what heads predict of each window at its centre: labels as states, the rest as errors."""

    def once(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.sort_values("start_frame", kind="stable").drop_duplicates("start_frame")

    def log_labels(rows: pd.DataFrame, name: str, column: str) -> None:
        if rows[column].notna().any():
            labels = [text or "(none)" for text in rows[column]]
            frames, labels = _until(rows["start_frame"].to_numpy(), labels, None)
            log.states(f"predictions/said/{name}", frames, labels)

    colours = dict(zip(sorted(table["head"].unique()), cycle(_HEAD_COLOURS), strict=False))
    for (contract, task), rows in table.groupby(["contract", "task"], sort=False):
        for head, of_head in rows.groupby("head", sort=False):
            seed, name = of_head["seed"], f"{contract}/{task}/{head}"
            first = once(of_head[seed.isna() | (seed == seed.min())])
            log_labels(first, name, "predicted")
            if first["has_error"].any():
                entity, errors = f"predictions/error/{name}", first["error"].to_numpy(np.float64)
                frames, errors = _until(first["start_frame"].to_numpy(), errors, float("nan"))
                log.still(entity, log.rr.SeriesLines(names=[head], colors=[colours[head]]))
                columns = log.rr.Scalars.columns(scalars=np.array(errors))
                log.by_frame(entity, frames, columns)
        log_labels(once(rows), f"{contract}/{task}/truth", "truth")


def _until(start: np.ndarray, values: Sequence[T], end: T) -> tuple[np.ndarray, list[T]]:
    """Return the centres of windows and their values, ended where the next window isn't there.

    Without an ``end``, one stride after the last window before a gap and after the last of all, the
    viewer would go on with the last value through what nobody predicted.
    """
    frames, found = [], []
    for place, first in enumerate(start):
        frames.append((first + first + WINDOW_FRAMES - 1) // 2)
        found.append(values[place])
        if place + 1 == len(start) or start[place + 1] > first + STRIDE_FRAMES:
            frames.append(frames[-1] + STRIDE_FRAMES)
            found.append(end)
    return np.array(frames), found
