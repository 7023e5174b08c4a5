"""A claim's rows where they are and where a reader moved them, and what is said of them then."""

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from xperience.report.figures.style import (
    BLUE,
    GREEN,
    MUTED,
    RED,
    Picture,
    elide,
    empty_panel,
    new_figure,
    set_title,
    styled,
)
from xperience.report.takeaways.outcome import Outcome
from xperience.report.takeaways.wording import number, readable
from xperience.report.what_if import WhatIf
from xperience.scoring.records import Record

_COLOURS = {
    Outcome.SUPPORTED: GREEN,
    Outcome.NOT_SUPPORTED: MUTED,
    Outcome.CONTRADICTED: RED,
    Outcome.OPEN: BLUE,
}
_MOVED = {"marker": "o", "markersize": 4, "linewidth": 1.8}
_HERE = _MOVED | {"color": MUTED, "linewidth": 0.9, "markerfacecolor": "white"}
_LIFTS = (0.14, -0.14)
_MAX_ROWS, _NAME_CHARS = 12, 48


@styled
def draw_what_if(one: WhatIf) -> Picture:
    """Return the rows that decide a claim, as they are and moved, and the sentence that follows.

    Parameters
    ----------
    one : WhatIf

    Returns
    -------
    Picture
        Two lines a row: thin and hollow where the metric files have it, full where it was moved.
    """
    rows = list(zip(one.rows, one.moved, strict=True))[:_MAX_ROWS]
    figure = new_figure(2.0 + 0.25 * max(len(rows), 2))
    now = one.decided.judgement.outcome
    title = f"{str(one.outcome).capitalize()}" + (
        "" if one.outcome == now else f", where the metric files say: {now}"
    )
    left = len(one.rows) - len(rows)
    more = f"{left} more rows are moved alike." if left else ""
    sentence = one.sentence.replace("**", "")
    set_title(figure, title, f"{sentence} {more}")
    ax = figure.subplots()
    if rows:
        _draw_rows(ax, rows, _COLOURS[one.outcome])
    else:
        empty_panel(ax, "no row of this claim has an interval by which it could be moved", width=60)
    return Picture(figure, title, f"{title}. Claim: {one.decided.claim.text}. {sentence}")


def _draw_rows(ax: Axes, rows: list[tuple[Record, Record]], colour: str) -> None:
    for level, pair in enumerate(rows):
        for row, look, lift in zip(pair, (_HERE, _MOVED | {"color": colour}), _LIFTS, strict=True):
            if row.ci_low is not None:
                ends = [row.ci_low, row.ci_high]
                ax.plot(ends, [level + lift] * 2, **look | {"marker": ""}, zorder=1.5)
            ax.plot(row.value, level + lift, **look)
    ax.axvline(0, color=MUTED, linewidth=0.8, linestyle=(0, (4, 2)))
    ax.set_yticks(range(len(rows)), [elide(_name(row), _NAME_CHARS) for row, _ in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    units = {row.unit for row, _ in rows}
    measured = "each row in its own unit" if len(units) > 1 else rows[0][0].unit
    if measured == "m":  # sentences tell millimetres
        measured = "mm"
        ax.xaxis.set_major_formatter(lambda value, _: f"{1000 * value:g}")
    one = rows[0][1]
    moved = f"; moved: {number(one.value, one.unit)}" if len(rows) == 1 else ""
    what = readable(one.metric) if len({row.metric for row, _ in rows}) == 1 else "score"
    ax.set_xlabel(f"difference of {what}{'' if measured == '1' else f' ({measured})'}{moved}")
    named = (("in the metric files", _HERE), ("moved", _MOVED | {"color": colour}))
    handles = [Line2D([], [], **look, label=name) for name, look in named]
    ax.legend(handles=handles, ncols=2, loc="lower right", bbox_to_anchor=(1.0, 1.0))


def _name(row: Record) -> str:
    parts = [readable(row.task) if row.task else readable(row.metric)]
    parts += [readable(row.head)] if row.head else []
    return " ".join(parts) + (f" − {readable(row.against)}" if row.against else "")
