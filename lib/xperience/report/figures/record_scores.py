"""The published scores: beside their floors and ceilings, and neural minus linear."""

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from xperience.evaluation.records import Record
from xperience.report.figures.style import (
    BLACK,
    BLUE,
    FAINT,
    ORANGE,
    RED,
    Picture,
    empty_panel,
    new_figure,
    set_title,
    styled,
)
from xperience.report.quantities import counted
from xperience.report.record_rows import PRIMARY, Rows, words

_HEADS = {"linear": (ORANGE, "s"), "neural": (BLUE, "o")}
_METRICS = {"macro_f1": "macro-F1", "micro_f1": "micro-F1", "f1": "F1", "mrr": "MRR"}


@styled
def draw_scores(rows: Iterable[Record]) -> Picture:
    """Return every published score with its interval, its best floor and its ceiling.

    Parameters
    ----------
    rows : iterable of Record
        Of the published predictions.
    """
    rows = Rows(rows)
    found = [(task, _published_heads(rows, task)) for task in PRIMARY]
    found = [(task, heads) for task, heads in found if heads]
    title = _scores_title(rows, [row for _, heads in found for row in heads])
    canvas = new_figure(1.5 + 0.46 * max(len(found), 3))
    set_title(
        canvas, title, "Primary metric of each task, 95 % intervals where they can be trusted."
    )
    ax = canvas.subplots()
    if not found:
        empty_panel(ax, "no published score could be recomputed")
        return Picture(canvas, title, f"{title}. There is nothing to draw: the record is absent.")
    for place, (_, heads) in enumerate(found):
        _task_scores(ax, place, heads)
    labels = [f"{words(task)}\n{_METRICS[PRIMARY[task]]}" for task, _ in found]
    ax.set(yticks=range(len(found)), yticklabels=labels, xlim=(-0.02, 1.03), xlabel="score")
    ax.set_ylim(len(found) - 0.5, -0.6)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.tick_params(axis="y", length=0)
    _scores_legend(ax)
    said = [f"{words(row.task)}, {row.head}: {row.value:.3f}, floor {_or_none(row.floor)}"
            for _, heads in found for row in heads]  # fmt: skip
    return Picture(canvas, title, f"{title}. {'; '.join(said)}.")


def _or_none(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _published_heads(rows: Rows, task: str) -> list[Record]:
    found = [rows.one(contract="published", task=task, head=head, metric=PRIMARY[task])
             for head in _HEADS]  # fmt: skip
    return [row for row in found if row is not None]


def _scores_title(rows: Rows, heads: Sequence[Record]) -> str:
    if not heads:
        return "No published score could be recomputed"
    judged = [(row, _against_floor(rows, row)) for row in heads if row.floor is not None]
    above = [pair for pair in judged if pair[0].value > pair[0].floor]
    claimed = [found for _, found in above if found is not None and (found.ci_low or -1) > 0]
    return (
        f"{len(above)} of {counted(len(judged), 'published score')} lie above their best floor, "
        f"{len(claimed) or 'none'} of them with a gain whose interval excludes 0"
    )


def _against_floor(rows: Rows, row: Record) -> Record | None:
    return rows.one(
        contract="published",
        task=row.task,
        head=row.head,
        metric=row.metric,
        against=row.floor_name,
    )


def _task_scores(ax: Axes, place: int, heads: Sequence[Record]) -> None:
    for shift, row in zip((-0.16, 0.16), heads, strict=False):
        colour, marker = _HEADS[row.head]
        at = place + shift
        if row.ci_low is not None:
            ax.plot([row.ci_low, row.ci_high], [at, at], color=colour, linewidth=2.2)
        ax.scatter(row.value, at, color=colour, marker=marker, s=30, zorder=3, linewidth=0)
    span = [place - 0.34, place + 0.34]
    floors = [row.floor for row in heads if row.floor is not None]
    ceilings = [row.ceiling for row in heads if row.ceiling is not None and row.ceiling < 1]
    if floors:
        ax.plot([max(floors)] * 2, span, color=BLACK, linewidth=1.8)
    if ceilings:
        ax.plot([ceilings[0]] * 2, span, color=RED, linewidth=1.4, linestyle=(0, (1.5, 1.2)))


def _scores_legend(ax: Axes) -> None:
    handles = [
        Line2D([], [], color=colour, marker=marker, linewidth=2.2, markersize=5, label=head)
        for head, (colour, marker) in _HEADS.items()
    ]
    handles += [
        Line2D([], [], color=BLACK, linewidth=1.8, label="best trivial floor"),
        Line2D([], [], color=RED, linewidth=1.4, linestyle=(0, (1.5, 1.2)),
               label="ceiling: classes never trained"),
    ]  # fmt: skip
    ax.legend(handles=handles, ncols=4, loc="lower left", bbox_to_anchor=(-0.02, 1.0))


@styled
def draw_differences(rows: Iterable[Record]) -> Picture:
    """Return the published neural scores minus the linear ones, paired, with intervals.

    Parameters
    ----------
    rows : iterable of Record
        Of the published predictions.
    """
    rows = Rows(rows)
    found = [
        row
        for task, metric in PRIMARY.items()
        if (row := rows.one(task=task, head="neural", metric=metric, against="linear"))
    ]
    title = _differences_title(found)
    canvas = new_figure(1.35 + 0.34 * max(len(found), 3))
    set_title(canvas, title, "Paired on the same test samples; hollow: no interval can be trusted.")
    ax = canvas.subplots()
    if not found:
        empty_panel(ax, "no pair of published predictions")
        return Picture(canvas, title, f"{title}. There is nothing to draw: predictions are absent.")
    ax.axvline(0, color=BLACK, linewidth=0.9)
    for place, row in enumerate(found):
        draw_difference(ax, place, row, BLUE)
    labels = [f"{words(row.task)}, {_METRICS[row.metric]}" for row in found]
    ax.set(yticks=range(len(found)), yticklabels=labels, xlabel="neural minus linear")
    ax.set_ylim(len(found) - 0.5, -0.5)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.tick_params(axis="y", length=0)
    said = "; ".join(f"{words(row.task)} {row.value:+.3f}" for row in found)
    return Picture(canvas, title, f"{title}. Differences: {said}.")


def _differences_title(found: Sequence[Record]) -> str:
    if not found:
        return "No difference between published heads can be computed"
    judged = [row for row in found if row.ci_low is not None]
    up, down = sum(row.ci_low > 0 for row in judged), sum(row.ci_high < 0 for row in judged)
    lost = f"loses in {down}" if down else "loses in none"
    return f"Neural beats linear in {up or 'none'} of {counted(len(found), 'task')} and {lost}"


def draw_difference(ax: Axes, place: float, row: Record, colour: str, scale: float = 1.0) -> None:
    """Draw a difference with its interval on a line of its own; hollow where there is none."""
    known = row.ci_low is not None
    if known:
        ends = [scale * row.ci_low, scale * row.ci_high]
        ax.plot(ends, [place, place], color=colour, linewidth=2.2)
    face = colour if known else "white"
    look = {"facecolor": face, "edgecolor": colour, "s": 32, "zorder": 3, "linewidth": 1.2}
    ax.scatter(scale * row.value, place, **look)
