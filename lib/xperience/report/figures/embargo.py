"""What distance between training and test windows costs."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from xperience.evaluation.records import Record
from xperience.report.figures.shift import MARKS
from xperience.report.figures.style import (
    FAINT,
    INK,
    MUTED,
    PAPER,
    Picture,
    empty_panel,
    new_figure,
    set_title,
    styled,
)
from xperience.report.shift_words import HEAD_NAMES, bracket, excludes_zero
from xperience.studies.shift.probes import COPY, TIME
from xperience.studies.shift.rows import embargo_of, split_of
from xperience.studies.shift.study import BLOCKS, LINEAR, LOCAL, THINNED

_PANELS = {LOCAL: "test windows drawn singly", BLOCKS: "test windows in whole stretches"}
_LOOKS = {
    LINEAR: {"color": MARKS[LINEAR][0], "marker": MARKS[LINEAR][1]},
    THINNED: {"color": MUTED, "marker": "x", "linestyle": "--"},
    TIME: {"color": MARKS[TIME][0], "marker": MARKS[TIME][1]},
    COPY: {"color": MARKS[COPY][0], "marker": MARKS[COPY][1]},
}


@styled
def draw_embargo(rows: Sequence[Record]) -> Picture:
    """Return scores by the distance that training windows keep from test windows.

    Parameters
    ----------
    rows : sequence of Record
        From `xperience.studies.shift.rows.embargo_rows`.
    """
    title = _title(rows)
    figure = new_figure(4.6)
    set_title(figure, title, _subtitle(rows))
    axes = figure.subplots(1, len(_PANELS), sharey=True)
    for (split, name), ax in zip(_PANELS.items(), axes, strict=True):
        mine = [row for row in rows if split_of(row) == split and not row.against]
        _draw_panel(ax, [row for row in mine if row.value is not None], mine)
        ax.set_title(name, pad=16)
        ax.set_xlabel("frames between training and test windows\n(below 0: frames shared)")
    axes[0].set_ylabel("macro-F1, published features")
    named = {
        label: handle
        for ax in axes
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    if named:
        spot = {"loc": "outside lower center", "ncols": 2, "columnspacing": 1.6}
        figure.legend(named.values(), named.keys(), **spot)
    return Picture(figure, title, _alt(rows, title))


def _draw_panel(ax: Axes, scored: list[Record], every: list[Record]) -> None:
    if not scored:
        why = next((row.reason for row in every if row.reason), "no point was asked for")
        empty_panel(ax, why)
        return
    for head, look in _LOOKS.items():
        mine = sorted((row for row in scored if row.head == head), key=embargo_of)
        x = [embargo_of(row) for row in mine]
        style = {"markersize": 5, "markeredgecolor": look["color"], "linewidth": 1.4}
        if look["marker"] != "x":
            style["markeredgecolor"] = PAPER
        ax.plot(x, [row.value for row in mine], label=HEAD_NAMES[head], **look, **style)
        for at, row in zip(x, mine, strict=True):
            if row.ci_low is not None and head in (LINEAR, THINNED):
                ax.plot([at, at], [row.ci_low, row.ci_high], color=look["color"], linewidth=0.9)
    _draw_frame(ax, scored)


def _draw_frame(ax: Axes, scored: list[Record]) -> None:
    """Draw the ceiling, the line where no frame is shared any more, and windows left to train."""
    mine = sorted((row for row in scored if row.head == LINEAR), key=embargo_of)
    x = [embargo_of(row) for row in mine]
    ceilings = [row.ceiling for row in mine]
    if None not in ceilings:
        label = "ceiling: classes still trained"
        ax.plot(x, ceilings, color=INK, linewidth=1, linestyle=":", label=label)
    ax.axvline(0, color=FAINT, linewidth=1.2, zorder=0)
    top = {"transform": ax.get_xaxis_transform(), "ha": "center", "va": "bottom", "fontsize": 7.5}
    for at, row in zip(x, mine, strict=True):
        ax.text(at, 1.01, f"{row.n_train}", color=MUTED, **top)
    ax.set_ylim(0, 1.04)
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)


def _farthest(rows: Sequence[Record]) -> Record | None:
    """Return the paired cost of distance at the farthest point of the stretches (or singles)."""
    found = [row for row in rows if row.against == THINNED]
    for split in (BLOCKS, LOCAL):
        mine = sorted((row for row in found if split_of(row) == split), key=embargo_of)
        if mine:
            return mine[-1]
    return None


def _title(rows: Sequence[Record]) -> str:
    if not any(row.value is not None for row in rows):
        return "No distance can be scored"
    far = _farthest(rows)
    if far is None:
        return "No distance beyond the split itself can be scored"
    cost = f"{abs(far.value):.2f}{'' if far.ci_low is None else _turned(far)}"
    if far.value < 0 and excludes_zero(far):
        return f"Distance costs {cost} macro-F1 beyond what fewer training windows cost"
    if far.value > 0 and excludes_zero(far):
        return f"Windows farther away teach more than as many at random: {cost} macro-F1"
    return "No cost of distance is shown beyond that of fewer training windows"


def _turned(far: Record) -> str:
    low, high = (far.ci_low, far.ci_high) if far.value > 0 else (-far.ci_high, -far.ci_low)
    return f" [{low:.2f}, {high:.2f}]"


def _subtitle(rows: Sequence[Record]) -> str:
    counts = "Grey numbers: training windows left. Bars: 95 % intervals, where there is one."
    far = _farthest(rows)
    if far is None:
        return counts
    frames = embargo_of(far)
    apart = f"{frames} frames apart" if frames >= 0 else f"sharing {-frames} frames at most"
    return f"The title is about {_PANELS[split_of(far)]}, {apart}. {counts}"


def _alt(rows: Sequence[Record], title: str) -> str:
    parts = [f"Line plot of scores by the distance of training from test windows. {title}."]
    for row in rows:
        if row.value is not None and not row.against and row.head in (LINEAR, TIME):
            parts.append(
                f"{_PANELS[split_of(row)]}, {embargo_of(row)} frames: {HEAD_NAMES[row.head]} "
                f"{row.value:.2f}{bracket(row)}."
            )
    return " ".join(parts)
