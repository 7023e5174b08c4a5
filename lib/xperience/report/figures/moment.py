"""One moment in all six views, the depth map and the world."""

import textwrap

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke

from xperience.recording import layout
from xperience.recording.recording import Episode
from xperience.report.figures.style import (
    BODY,
    INK,
    LEFT_HAND,
    MUTED,
    PAPER,
    RIGHT_HAND,
    Picture,
    elide,
    empty_panel,
    new_figure,
    set_title,
    styled,
    wrap,
)
from xperience.report.moment import Moment, View, read_moment

_COLOURS = {"body": BODY, "left hand": LEFT_HAND, "right hand": RIGHT_HAND}
_WIDTHS = {"body": 2.0, "left hand": 1.3, "right hand": 1.3}
_DEPTH_MAP = "viridis_r"


@styled
def draw_moment(episode: Episode, frame: int) -> Picture:
    """Return one frame in six views with what is known of it projected into them.

    Parameters
    ----------
    episode : Episode
    frame : int
        From 0.

    Returns
    -------
    Picture
        A view that is missing, or can't be projected into, says why.

    Raises
    ------
    EpisodeError
        If the episode has no such frame.
    """
    moment = read_moment(episode, frame)
    figure = new_figure(6.75)
    title, subtitle = _title(moment), _subtitle(moment)
    set_title(figure, title, subtitle)
    axes = figure.subplots(3, 3).ravel()
    near_m, far_m = moment.depth_range_m
    norm = mpl.colors.Normalize(near_m, _far_m(moment, far_m))
    for ax, view in zip(axes, moment.views, strict=False):
        _draw_view(ax, view, norm)
    _draw_depth(figure, axes[6], moment, norm)
    _draw_world(axes[7], moment)
    _draw_legend(axes[8], moment)
    return Picture(figure, title, _alt(moment, title, subtitle))


def _far_m(moment: Moment, far_m: float) -> float:
    """Return where the depth colours end: not far beyond what is there."""
    if moment.depth_m is None:
        return far_m
    return max(min(far_m, 1.1 * float(np.nanpercentile(moment.depth_m, 98))), 0.1)


def _title(moment: Moment) -> str:
    seen = sum(view.image is not None for view in moment.views)
    if not seen:
        return "One moment that no camera shows"
    views = "all six views" if seen == len(layout.CAMERAS) else f"{seen} of six views"
    drawn = [view for view in moment.views if view.n_bones_seen]
    who = [name for name in _COLOURS if any(name in view.lines_px for view in drawn)]
    if not who:
        return f"One moment in {views}, with no skeleton to project"
    if {"left hand", "right hand"} <= set(who):
        who = [*who[:-2], "both hands"]
    return f"One moment in {views}: {' and '.join(who)} projected into {len(drawn)} of them"


def _subtitle(moment: Moment) -> str:
    minutes, seconds = divmod(moment.time_s, 60)
    when = f"Frame {moment.frame:,} at {minutes:.0f}:{seconds:04.1f}"
    what = f"“{moment.action}”" if moment.action else "without an action label"
    step = f" in “{moment.subtask}”" if moment.subtask else ""
    return f"{when}: {what}{step}."


def _draw_view(ax: Axes, view: View, norm: mpl.colors.Normalize) -> None:
    ax.set_title(view.camera)
    if view.image is None:
        empty_panel(ax, view.problem)
        ax.set_box_aspect(0.75)
        return
    height, width = view.image.shape[:2]
    ax.imshow(view.image, extent=(0, width, height, 0))
    ax.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
    ax.spines[:].set_visible(False)
    if view.problem:
        _note(ax, f"nothing projected: {view.problem}")
    look = {"s": 6, "c": view.dots_m, "cmap": _DEPTH_MAP, "norm": norm, "linewidths": 0}
    ax.scatter(*view.dots_px.T, alpha=0.85, **look)
    for name, lines_px in view.lines_px.items():
        _draw_bones(ax, lines_px, name)


def _draw_bones(ax: Axes, lines: np.ndarray, name: str) -> None:
    whole = lines[np.isfinite(lines).all(axis=(1, 2))]
    width = _WIDTHS[name]
    edge = [Stroke(linewidth=width + 1.3, foreground=INK, alpha=0.75), Normal()]
    look = {"colors": _COLOURS[name], "linewidths": width, "path_effects": edge}
    ax.add_collection(LineCollection(list(whole), capstyle="round", **look), autolim=False)


def _note(ax: Axes, text: str) -> None:
    box = {"facecolor": PAPER, "alpha": 0.88, "edgecolor": "none", "pad": 2}
    place = {"transform": ax.transAxes, "ha": "left", "va": "bottom", "bbox": box}
    ax.text(0.02, 0.03, wrap(text, 34, 3), fontsize=8, **place)


def _draw_depth(figure: Figure, ax: Axes, moment: Moment, norm: mpl.colors.Normalize) -> None:
    ax.set_title("depth map (m)")
    if moment.depth_m is None:
        empty_panel(ax, moment.problems.get("depth", "no depth"))
        ax.set_box_aspect(0.75)
        return
    cmap = mpl.colormaps[_DEPTH_MAP].with_extremes(bad="#E4E6E8")
    picture = ax.imshow(moment.depth_m, cmap=cmap, norm=norm, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    bar = figure.colorbar(picture, ax=ax, location="bottom", aspect=28, pad=0.02, shrink=0.95)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=2)


def _draw_world(ax: Axes, moment: Moment) -> None:
    """Draw the skeletons from the side of the wearer that shows them best, world coordinates."""
    ax.set_title("skeletons in world coordinates")
    if not moment.shapes:
        empty_panel(ax, _why_no_skeleton(moment))
        ax.set_box_aspect(0.75)
        return
    joints = np.concatenate([shape.joints.xyz for shape in moment.shapes.values()])
    across, up = _best_side(joints)
    for name, shape in moment.shapes.items():
        flat = shape.lines().xyz[..., [across, up]]
        _draw_bones(ax, flat, name)
    low, high = joints.min(0)[[across, up]], joints.max(0)[[across, up]]
    half = max((high - low) * (0.375, 0.5)) * 1.12
    both, middle = np.array([-half, half]), (low + high) / 2
    ax.set(xlim=middle[0] + both / 0.75, ylim=middle[1] + both)
    ax.set_aspect("equal")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    _draw_scale(ax, (middle[0] - 0.95 * half / 0.75, middle[1] - 0.85 * half, half), "xyz"[up])


def _draw_scale(ax: Axes, corner: tuple[float, float, float], up: str) -> None:
    """Draw a ruler of half a metre along both axes of a panel of that half height."""
    x, y, half = corner
    ax.plot([x, x, x + 0.5], [y + 0.5, y, y], color=MUTED, linewidth=1.2)
    ax.text(x + 0.25, y - 0.04 * half, "0.5 m", ha="center", va="top", fontsize=8, color=MUTED)
    ax.text(x, y + 0.5 + 0.04 * half, up, ha="center", va="bottom", fontsize=8, color=MUTED)


def _best_side(joints: np.ndarray) -> tuple[int, int]:
    """Return the axes to draw: the vertical one is that along which a body is longest."""
    extent = np.ptp(joints, axis=0)
    up = int(np.argmax(extent))
    across = max((axis for axis in range(3) if axis != up), key=lambda axis: extent[axis])
    return across, up


def _why_no_skeleton(moment: Moment) -> str:
    problems = moment.problems
    kinds = ("pose", "body", "left hand", "right hand")
    return "; ".join(f"{kind}: {problems[kind]}" for kind in kinds if kind in problems)


def _draw_legend(ax: Axes, moment: Moment) -> None:
    ax.axis("off")
    edge = [Stroke(linewidth=3.6, foreground=INK, alpha=0.75), Normal()]
    handles = [
        Line2D([], [], color=colour, linewidth=2.2, path_effects=edge, label=name)
        for name, colour in _COLOURS.items()
        if name in moment.shapes
    ]
    if any(len(view.dots_px) for view in moment.views):
        dot = {"marker": "o", "markersize": 4, "linestyle": "", "color": "#21918C"}
        handles.append(Line2D([], [], label="depth points, by distance", **dot))
    if handles:
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(-0.02, 1.06))
    lines = []
    if moment.objects:
        lines.append(("named objects", ", ".join(moment.objects)))
    if moment.interaction:
        lines.append(("interaction", moment.interaction))
    lost = [name for name in (*_COLOURS, "pose") if name in moment.problems]
    lines += [(f"no {name}", moment.problems[name]) for name in lost]
    top = 0.98 - 0.105 * len(handles)
    look = {"fontsize": 8, "va": "top", "transform": ax.transAxes}
    for head, body in lines[:3]:
        text = textwrap.fill(elide(body, 90), 34)
        ax.text(0.0, top, head, color=MUTED, **look)
        ax.text(0.0, top - 0.09, text, **look)
        top -= 0.13 + 0.09 * len(text.splitlines())


def _alt(moment: Moment, title: str, subtitle: str) -> str:
    parts = [f"Six camera views, a depth map and a drawing of the skeletons. {title}. {subtitle}"]
    for view in moment.views:
        if view.image is None:
            parts.append(f"{view.camera} is empty: {view.problem}.")
        elif view.problem:
            parts.append(f"Nothing is projected into {view.camera}: {view.problem}.")
    if moment.depth_m is None:
        parts.append(f"There is no depth map: {moment.problems.get('depth', '')}.")
    else:
        low, high = np.nanmin(moment.depth_m), np.nanmax(moment.depth_m)
        parts.append(f"Depth lies between {low:.2f} and {high:.2f} metres.")
    return " ".join(parts)
