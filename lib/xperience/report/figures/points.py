"""Rows as points with intervals, one line each, their names at the left."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from xperience.evaluation.records import Record
from xperience.report.figures.style import FAINT, PAPER

_SIZE, _WIDTH = 5.2, 1.9


def scale_of(row: Record) -> float:
    """Return what a row's values are multiplied with: metres are shown as millimetres."""
    return 1000.0 if row.unit == "m" else 1.0


def draw_point(
    ax: Axes, row: Record, place: float, look: tuple[str, str], *, filled: bool | None = None
) -> None:
    """Draw a row's value, and its interval if it has one.

    Parameters
    ----------
    ax : Axes
    row : Record
        With a value; metres are drawn as millimetres.
    place : float
        Height of its line.
    look : (colour, marker)
    filled : bool, optional
        Whether the marker is full; without, it is where there is an interval.
    """
    colour, marker = look
    known, scale = row.ci_low is not None and row.ci_high is not None, scale_of(row)
    if known:
        ends = [scale * row.ci_low, scale * row.ci_high]
        ax.plot(ends, [place, place], color=colour, linewidth=_WIDTH, solid_capstyle="butt")
    face = colour if (known if filled is None else filled) else PAPER
    edge = {"markerfacecolor": face, "markeredgecolor": colour, "markeredgewidth": 1.3}
    ax.plot(scale * row.value, place, marker=marker, markersize=_SIZE, zorder=3, **edge)


def key(label: str, look: tuple[str, str]) -> Line2D:
    """Return what stands for such points in a legend."""
    return Line2D([], [], color=look[0], marker=look[1], markersize=_SIZE, linewidth=_WIDTH,
                  label=label)  # fmt: skip


def name_lines(ax: Axes, names: Sequence[str]) -> None:
    """Name the lines of a panel, the first on top."""
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.45, -0.55))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
