"""How the Rerun viewer opens a recording: which views, where one stands, which way is up."""

from dataclasses import dataclass
from typing import Any

import numpy as np

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


@dataclass(frozen=True)
class Contents:
    """What a Rerun file will hold: its layout stands before it, since a viewer decides at once.

    Parameters
    ----------
    absent : dict of {stream: reason}
    cameras : list of str
        Whose video can be shown.
    is_heard : bool
        Whether the sound itself is there.
    said : list of str
        Contracts under which heads named labels.
    units : dict of {(contract, task): unit}
        What has errors, and what they are measured in.
    """

    absent: dict[str, str]
    cameras: list[str]
    is_heard: bool
    said: list[str]
    units: dict[tuple[str, str], str]


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


def blueprint(rrb: Any, contents: Contents, postures: Postures) -> Any:
    """Return how the viewer opens: room, cameras, what is going on, and everything over time.

    Only what is there has a view: an empty one would look like a fault.

    Parameters
    ----------
    rrb : module
        ``rerun.blueprint``.
    contents : Contents
    postures : Postures
    """
    absent = contents.absent
    pictures = [rrb.Spatial2DView(origin=f"cameras/{one}", name=one) for one in contents.cameras]
    beside = [] if "depth" in absent else [rrb.Spatial2DView(origin="depth", name="depth")]
    beside += [] if "captions" in absent else [rrb.TextDocumentView(origin="now", name="now")]
    left = [_room(rrb, Stand.of(postures, absent))]
    left += [rrb.Horizontal(*beside)] if beside else []
    room = rrb.Vertical(*left, row_shares=[5, 3][: len(left)])
    above = rrb.Horizontal(room, rrb.Grid(*pictures, grid_columns=3), column_shares=[4, 5])
    panel = rrb.TimePanel(state="collapsed", timeline="time", play_state="paused")
    rows = rrb.Vertical(above if pictures else room, _over_time(rrb, contents), row_shares=[5, 2])
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


def _over_time(rrb: Any, contents: Contents) -> Any:
    """Return the views along time that have something to show, the labels first."""
    curves, absent = rrb.TimeSeriesView, contents.absent
    views = []
    if "captions" not in absent:
        views.append(rrb.StateTimelineView(origin="labels", name="labels"))
    views += _predictions(rrb, contents)
    if "imu" not in absent:
        views.append(curves(origin="imu/accel", name="acceleration, m/s²"))
        views.append(curves(origin="imu/gyro", name="rotation, rad/s"))
    if contents.is_heard:
        views.append(rrb.AudioView(origin="sound/heard", name="sound"))
    if "audio" not in absent:
        views.append(curves(origin="sound/level", name="loudness, dB"))
    if "captions" not in absent:
        views.append(rrb.TextLogView(origin="labels", name="objects and touch"))
    return rrb.Tabs(*views, rrb.TextDocumentView(origin="notes", name="notes"), active_tab=0)


def _predictions(rrb: Any, contents: Contents) -> list[Any]:
    """Return the views of what heads said and of their errors, apart for each contract."""
    wrong = [contract for contract, _ in contents.units]
    contracts = list(dict.fromkeys([*contents.said, *wrong]))
    views = []
    for contract in contracts:
        more = f" ({contract})" if len(contracts) > 1 else ""
        if contract in contents.said:
            said = f"predictions/said/{contract}"
            views.append(rrb.StateTimelineView(origin=said, name=f"predictions{more}"))
        if contract in wrong:
            views.append(_errors(rrb, contents, contract, f"errors{more}"))
    return views


def _errors(rrb: Any, contents: Contents, contract: str, name: str) -> Any:
    """Return the curves of errors, one view a task, since their units differ."""
    views = []
    for (under, task), unit in contents.units.items():
        if under == contract:
            title = ", ".join(filter(None, (task.replace("_", " "), unit)))
            origin = f"predictions/error/{contract}/{task}"
            views.append(rrb.TimeSeriesView(origin=origin, name=title))
    return rrb.Horizontal(*views, name=name)
