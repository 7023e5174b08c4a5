"""How the Rerun viewer opens a recording: which views, where one stands, which way is up."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from xperience.episode import layout
from xperience.exports.log import Log
from xperience.features.posture import Postures

_SAMPLES = 200
_BESIDE_M, _BEHIND_M, _ABOVE_M, _AHEAD_M, _BELOW_M = 1.0, 0.9, 0.4, 0.35, 0.5
_FLOOR_GREY = (90, 90, 90, 120)


@dataclass(frozen=True)
class Stand:
    """Where one stands in the room when the viewer opens.

    Parameters
    ----------
    eye, target : float array, shape (3,)
        Where one stands and looks, metres in the world.
    up : float array, shape (3,)
        Unit vector.
    floor_m : float
        How far along `up` the floor lies; NaN if nothing tells.
    """

    eye: np.ndarray
    target: np.ndarray
    up: np.ndarray
    floor_m: float

    @classmethod
    def of(cls, postures: Postures, absent: dict[str, str]) -> "Stand | None":
        """Return a place behind the right shoulder from which one sees the wearer's hands.

        The floor is where the lowest joints are, most of the time. None if the recording has no
        poses or nothing tells which way is up.
        """
        up = postures.up.direction
        if "pose" in absent or not np.isfinite(up).all():
            return None
        head, ahead = _head(postures, up)
        if not np.isfinite([*head, *ahead]).all() or np.linalg.norm(ahead) < np.finfo(float).eps:
            return None
        ahead = ahead / np.linalg.norm(ahead)
        beside = np.cross(ahead, up)
        eye = head + _BESIDE_M * beside - _BEHIND_M * ahead + _ABOVE_M * up
        target = head + _AHEAD_M * ahead - _BELOW_M * up
        floor_m = float("nan") if "body" in absent else _floor_m(postures, up)
        return cls(eye, target, up, floor_m)


def _sampled(postures: Postures) -> np.ndarray:
    n = postures.episode.n_frames
    return np.unique(np.linspace(0, n - 1, min(n, _SAMPLES)).astype(int))


def _head(postures: Postures, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the median place of the camera and where it looks along the ground, NaN if unknown."""
    places, looks = [], []
    for frame in _sampled(postures):
        pose = postures.camera(frame, frame + 1)
        places.append(pose.translation[0])
        looks.append(pose.rotation[0][:, 2])
    known = np.isfinite(places).all(axis=1)
    if not known.any():
        return np.full(3, np.nan), np.full(3, np.nan)
    ahead = np.array(looks)[known].mean(axis=0)
    return np.median(np.array(places)[known], axis=0), ahead - (ahead @ up) * up


def _floor_m(postures: Postures, up: np.ndarray) -> float:
    lowest = [(postures.body(i, i + 1).xyz[0] @ up).min() for i in _sampled(postures)]
    lowest = np.array(lowest)[np.isfinite(lowest)]
    return float(np.median(lowest)) if len(lowest) else float("nan")


def blueprint(rrb: Any, log: Log, postures: Postures) -> Any:
    """Return how the viewer opens: room, cameras, what is going on, and everything over time.

    Only what was logged has a view: an empty one would look like a fault.

    Parameters
    ----------
    rrb : module
        ``rerun.blueprint``.
    log : Log
        With everything logged.
    postures : Postures
    """
    cameras = [name for name in layout.CAMERAS if f"cameras/{name}" in log.entities]
    pictures = [rrb.Spatial2DView(origin=f"cameras/{name}", name=name) for name in cameras]
    beside = [
        view
        for name, view in (
            ("depth", rrb.Spatial2DView(origin="depth", name="depth")),
            ("now", rrb.TextDocumentView(origin="now", name="now")),
        )
        if name in log.entities
    ]
    left = [_room(rrb, Stand.of(postures, log.absent))]
    left += [rrb.Horizontal(*beside)] if beside else []
    room = rrb.Vertical(*left, row_shares=[5, 3][: len(left)])
    above = rrb.Horizontal(room, rrb.Grid(*pictures, grid_columns=3), column_shares=[4, 5])
    panel = rrb.TimePanel(state="collapsed", timeline="time", play_state="paused")
    rows = rrb.Vertical(above if pictures else room, _over_time(rrb, log), row_shares=[5, 2])
    return rrb.Blueprint(rows, panel, collapse_panels=True)


def _room(rrb: Any, stand: Stand | None) -> Any:
    if stand is None:
        return rrb.Spatial3DView(origin="world", name="world")
    eye = rrb.EyeControls3D(
        kind=rrb.Eye3DKind.Orbital, position=stand.eye, look_target=stand.target, eye_up=stand.up
    )
    grid = None
    if np.isfinite(stand.floor_m):
        plane = (*stand.up, stand.floor_m)
        grid = rrb.LineGrid3D(visible=True, plane=plane, spacing=0.5, color=_FLOOR_GREY)
    return rrb.Spatial3DView(origin="world", name="world", eye_controls=eye, line_grid=grid)


def _over_time(rrb: Any, log: Log) -> Any:
    """Return the views along time that have something to show, the labels first."""
    curves = rrb.TimeSeriesView
    before = (("labels/action", rrb.StateTimelineView(origin="labels", name="labels")),)
    after = (
        ("imu/accel", curves(origin="imu/accel", name="acceleration, m/s²")),
        ("imu/gyro", curves(origin="imu/gyro", name="rotation, rad/s")),
        ("sound/heard", rrb.AudioView(origin="sound/heard", name="sound")),
        ("sound/level", curves(origin="sound/level", name="loudness, dB")),
        ("labels/objects", rrb.TextLogView(origin="labels", name="objects and touch")),
        ("notes", rrb.TextDocumentView(origin="notes", name="notes")),
    )
    views = (*before, *_predictions(rrb, log), *after)
    return rrb.Tabs(*(view for entity, view in views if log.holds(entity)), active_tab=0)


def _predictions(rrb: Any, log: Log) -> list[tuple[str, Any]]:
    """Return the views of what heads said and of their errors, apart for each contract."""
    parts = [entity.split("/") for entity in sorted(log.entities)]
    contracts = list(dict.fromkeys(part[2] for part in parts if part[0] == "predictions"))
    views = []
    for contract in contracts:
        more = f" ({contract})" if len(contracts) > 1 else ""
        said, wrong = f"predictions/said/{contract}", f"predictions/error/{contract}"
        views.append((said, rrb.StateTimelineView(origin=said, name=f"predictions{more}")))
        views.append((wrong, _errors(rrb, log, wrong, f"errors{more}")))
    return views


def _errors(rrb: Any, log: Log, above: str, name: str) -> Any:
    """Return the curves of errors, one view a task, since their units differ."""
    views = []
    for entity, unit in log.units.items():
        if entity.startswith(f"{above}/"):
            task = entity.rpartition("/")[2].replace("_", " ")
            title = ", ".join(filter(None, (task, unit)))
            views.append(rrb.TimeSeriesView(origin=entity, name=title))
    return rrb.Horizontal(*views, name=name)
