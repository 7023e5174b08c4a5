"""How the Rerun viewer opens a recording: which views, where one stands, which way is up."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from xperience.features.posture import Postures

_SAMPLES = 200
_BESIDE_M, _BEHIND_M, _ABOVE_M, _AHEAD_M, _BELOW_M = 1.0, 0.9, 0.4, 0.35, 0.5
_FLOOR_GREY = (90, 90, 90, 120)


@dataclass(frozen=True)
class Contents:
    """What a Rerun file will hold: its layout stands before it, since a viewer decides at once.

    Parameters
    ----------
    absent : dict of {stream: reason}
        What won't be in it.
    cameras : list of str
        Whose video can be shown.
    is_heard : bool
        Whether the sound itself is there.
    predictions : DataFrame or None
        A row per task, head and window; those with an error have its unit.
    """

    absent: dict[str, str]
    cameras: list[str]
    is_heard: bool
    predictions: pd.DataFrame | None


def blueprint(rrb: Any, contents: Contents, postures: Postures) -> Any:
    """Return how the viewer opens: room, cameras, what is going on, and everything over time.

    Only what is there has a view: an empty one would look like a fault. ``rrb`` is the module
    ``rerun.blueprint``.
    """
    absent = contents.absent
    pictures = [rrb.Spatial2DView(origin=f"cameras/{one}", name=one) for one in contents.cameras]
    beside = [] if "depth" in absent else [rrb.Spatial2DView(origin="depth", name="depth")]
    beside += [] if "captions" in absent else [rrb.TextDocumentView(origin="now", name="now")]
    left = [_room(rrb, postures, absent)]
    left += [rrb.Horizontal(*beside)] if beside else []
    room = rrb.Vertical(*left, row_shares=[5, 3][: len(left)])
    above = rrb.Horizontal(room, rrb.Grid(*pictures, grid_columns=3), column_shares=[4, 5])
    panel = rrb.TimePanel(state="collapsed", timeline="time", play_state="paused")
    rows = rrb.Vertical(above if pictures else room, _over_time(rrb, contents), row_shares=[5, 2])
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


def _over_time(rrb: Any, contents: Contents) -> Any:
    """Return the views along time that have something to show, the labels first."""
    curves, absent = rrb.TimeSeriesView, contents.absent
    views = []
    if "captions" not in absent:
        views.append(rrb.StateTimelineView(origin="labels", name="labels"))
    if contents.predictions is not None:
        views += _predictions(rrb, contents.predictions)
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


def _predictions(rrb: Any, table: pd.DataFrame) -> list[Any]:
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
