"""Actions and steps over time, one bar a stretch of windows."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from xperience.features.table import WindowTable
from xperience.report.figures.style import (
    BLUE,
    FAINT,
    MISSING_HATCH,
    MUTED,
    ORANGE,
    PAPER,
    RED,
    Picture,
    elide,
    empty_panel,
    new_figure,
    set_title,
    styled,
    time_axis,
)
from xperience.report.quantities import counted, percent
from xperience.report.timeline import TRAIN_SHARE, Timeline

_MAX_ROWS, _LABEL_CHARS = 28, 34
_TWO_COLOURS = (BLUE, ORANGE)


@styled
def draw_timeline(table: WindowTable) -> Picture:
    """Return the timeline of an episode: steps above, one row an action, unlabelled windows grey.

    Parameters
    ----------
    table : WindowTable

    Returns
    -------
    Picture
        With the chronological cut, and the actions that only come after it in another colour.
    """
    line = Timeline.of(table)
    if not line.actions:
        return _nothing_labelled(table)
    rows = min(len(line.actions), _MAX_ROWS)
    figure = new_figure(1.75 + 0.185 * rows)
    title = _title(line)
    set_title(figure, title, _subtitle(line))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1.3, rows + 1])
    _draw_steps(above, line)
    _draw_actions(below, line, rows)
    _draw_cut(above, below, line)
    time_axis(below, line.n_frames, line.fps)
    return Picture(figure, title, _alt(line, title))


def _title(line: Timeline) -> str:
    steps = f" in {counted(len(line.subtasks), 'step')}" if line.subtasks else ""
    share = percent(line.labelled_share)
    return f"{counted(len(line.actions), 'action')}{steps}; {share} of the windows carry a label"


def _subtitle(line: Timeline) -> str:
    colours = "Numbers name the steps, two colours tell neighbours apart."
    if line.cut_s is None:
        return colours
    late = len(line.late_actions)
    if not late:
        return f"{colours} Every action occurs before the cut."
    return f"{colours} Red: {counted(late, 'action')} only after the cut."


def _draw_steps(ax: Axes, line: Timeline) -> None:
    for number in range(len(line.subtasks)):
        spans = line.spans(line.subtask, number)
        colour = _TWO_COLOURS[number % 2]
        ax.broken_barh(spans, (0, 1), facecolor=colour, edgecolor=PAPER, linewidth=0.6)
        start_s, length_s = max(spans, key=lambda span: span[1])
        if length_s > 0.014 * len(str(number + 1)) * line.n_frames / line.fps:
            place = (start_s + length_s / 2, 0.46)
            white = {"ha": "center", "va": "center", "color": PAPER}
            ax.text(*place, str(number + 1), fontsize=8, fontweight="bold", **white)
    _draw_gaps(ax, line, line.subtask)
    ax.set(yticks=[0.5], yticklabels=["step"], ylim=(0, 1))
    _bare(ax)


def _draw_actions(ax: Axes, line: Timeline, rows: int) -> None:
    late = set(line.late_actions)
    steps = line.step_of_action
    for row in range(rows):
        colour = _TWO_COLOURS[max(steps[row], 0) % 2]
        ax.broken_barh(line.spans(line.action, row), (row - 0.37, 0.74), facecolor=colour)
        ax.axhline(row, color=FAINT, linewidth=0.6, zorder=0)
    _draw_gaps(ax, line, line.action)
    names = [_row_name(label, steps[row]) for row, label in enumerate(line.actions[:rows])]
    ax.set(yticks=range(rows), yticklabels=names, ylim=(rows - 0.4, -0.6))
    for tick, label in zip(ax.get_yticklabels(), line.actions, strict=False):
        tick.set_color(RED if label in late else tick.get_color())
    if len(line.actions) > rows:
        more = f"and {counted(len(line.actions) - rows, 'action')} more, not drawn"
        ax.text(1, 0, more, transform=ax.transAxes, ha="right", va="bottom", color=MUTED)
    _bare(ax)


def _row_name(label: str, step: int) -> str:
    return elide(label, _LABEL_CHARS) + (f"  {step + 1}" if step >= 0 else "")


def _draw_gaps(ax: Axes, line: Timeline, numbers: np.ndarray) -> None:
    for start_s, length_s in line.spans(numbers, -1):
        bounds = (start_s, start_s + length_s)
        ax.axvspan(*bounds, facecolor="#F1F2F3", edgecolor="#B8BDC2", hatch=MISSING_HATCH, lw=0)


def _draw_cut(above: Axes, below: Axes, line: Timeline) -> None:
    if line.cut_s is not None:
        for ax in (above, below):
            ax.axvline(line.cut_s, color=RED, linewidth=1.4, linestyle=(0, (4, 2)))
        place = {"va": "bottom", "color": RED, "fontsize": 8, "clip_on": False}
        train = f"train: first {percent(TRAIN_SHARE)} of the labelled windows  ←  "
        above.text(line.cut_s, 1.12, train, ha="right", **place)
        above.text(line.cut_s, 1.12, "  →  test", ha="left", **place)
    if (line.action < 0).any():
        handle = Patch(facecolor="#F1F2F3", edgecolor="#B8BDC2", hatch=MISSING_HATCH, lw=0)
        spot = {"loc": "upper right", "frameon": True, "framealpha": 0.9, "edgecolor": "none"}
        below.legend([handle], ["no label"], borderaxespad=0.2, **spot)


def _bare(ax: Axes) -> None:
    ax.tick_params(axis="y", length=0)
    ax.spines[["left", "top", "right"]].set_visible(False)
    if ax.get_subplotspec().rowspan.start == 0:
        ax.spines["bottom"].set_visible(False)
        ax.tick_params(axis="x", length=0)


def _nothing_labelled(table: WindowTable) -> Picture:
    figure = new_figure(1.9)
    title = f"No labels: none of the {counted(len(table), 'window')} has an action"
    set_title(figure, title)
    ax = figure.subplots()
    lost = {**table.info.missing_blocks, **table.info.partial_blocks}
    reason = lost.get("caption_objects_interaction_text", "the captions name no action")
    empty_panel(ax, reason, width=80)
    return Picture(figure, title, f"An empty panel. {title}. The reason: {reason}.")


def _alt(line: Timeline, title: str) -> str:
    length_s = line.n_frames / line.fps
    parts = [f"Timeline of {length_s:.0f} seconds with one row for each action. {title}."]
    first = line.actions[0]
    parts.append(f"The first action is “{first}”, the last to begin is “{line.actions[-1]}”.")
    if line.cut_s is not None:
        late = len(line.late_actions)
        parts.append(
            f"A dashed line at {line.cut_s:.0f} seconds parts training from test windows; "
            f"{late} of the {counted(len(line.actions), 'action')} lie wholly after it."
        )
    return " ".join(parts)
