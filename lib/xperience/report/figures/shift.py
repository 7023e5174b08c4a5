"""Splits side by side: which windows they put where, and what heads and probes score on them."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from xperience.evaluation.records import Record
from xperience.features.table import TableInfo
from xperience.features.windows import STRIDE_FRAMES
from xperience.report.figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    RED,
    SKY,
    Picture,
    elide,
    empty_panel,
    new_figure,
    set_title,
    styled,
    time_axis,
)
from xperience.report.quantities import percent
from xperience.report.shift_words import HEAD_NAMES, SPLIT_NAMES, bracket, one_row
from xperience.studies.shift.probes import COPY, SENSORS_ONLY, TEXT_ONLY, TIME
from xperience.studies.shift.study import CHRONOLOGICAL, LINEAR, LOCAL, PURGED, SPLITS, SplitCase

MARKS = {
    LINEAR: (BLUE, "o"),
    SENSORS_ONLY: (SKY, "s"),
    TEXT_ONLY: (GREEN, "D"),
    TIME: (ORANGE, "^"),
    COPY: (RED, "v"),
}
"""Colour and shape of each head and probe, the same in every figure of the study."""

_NOWHERE, _TRAIN, _TEST, _PURGED = range(4)
_SHADES = (PAPER, SKY, BLACK, "#C6CACE")
_HEAD_IN, _GAP_IN = 0.135, 0.17


@styled
def draw_splits(cases: Sequence[SplitCase], info: TableInfo) -> Picture:
    """Return a strip a split: where its training, test and purged windows lie.

    Parameters
    ----------
    cases : sequence of SplitCase
        Of one task and contract.
    info : TableInfo
    """
    there = [case for case in cases if case.problem is not None]
    if not there:
        return _nothing(cases, "No split: the task cannot be asked")
    figure = new_figure(1.75 + 0.34 * len(there))
    title = _splits_title(there)
    set_title(
        figure, title, "Right: share of test windows that share a frame with a training window."
    )
    ax = figure.subplots()
    bins = -(-info.n_frames // STRIDE_FRAMES)
    strips = np.array([_strip(case, bins) for case in there])
    cmap = mpl.colors.ListedColormap(_SHADES)
    extent = (0, bins * STRIDE_FRAMES / info.fps, len(there) - 0.5, -0.5)
    look = {"cmap": cmap, "vmin": -0.5, "vmax": 3.5, "interpolation": "nearest"}
    ax.imshow(strips, aspect="auto", extent=extent, **look)
    for row, case in enumerate(there):
        ax.axhline(row - 0.5, color=PAPER, linewidth=7)
        place = {"transform": ax.get_yaxis_transform(), "va": "center", "clip_on": False}
        ax.text(1.01, row, percent(case.leak.overlap_share), fontsize=8.5, **place)
    ax.set(yticks=range(len(there)), yticklabels=[SPLIT_NAMES[case.split] for case in there])
    ax.tick_params(axis="y", length=0)
    ax.spines[:].set_visible(False)
    time_axis(ax, info.n_frames, info.fps)
    names = zip(_SHADES[1:], ("training window", "test window", "purged"), strict=True)
    handles = [Patch(facecolor=colour, label=name) for colour, name in names]
    ax.legend(handles=handles, ncols=3, loc="lower left", bbox_to_anchor=(-0.01, 0.98))
    return Picture(figure, title, _splits_alt(there, title))


def _strip(case: SplitCase, bins: int) -> np.ndarray:
    """Return where the windows of each part lie, int array (bins,)."""
    split, codes = case.problem.split, np.full(bins, _NOWHERE)
    places = case.problem.samples.centers // STRIDE_FRAMES
    for part, code in ((split.purged, _PURGED), (split.train, _TRAIN), (split.test, _TEST)):
        codes[places[part]] = code
    return codes


def _splits_title(cases: Sequence[SplitCase]) -> str:
    case = next((one for one in cases if one.split == LOCAL), cases[0])
    name, leak = SPLIT_NAMES[case.split], case.leak
    if not leak.overlap_share:
        return f"No test window of the {name} split shares a frame with a training window"
    return (
        f"{percent(leak.overlap_share)} of the {name} split's test windows share frames with "
        f"training windows: {percent(leak.frame_share)} of their frames"
    )


def _splits_alt(cases: Sequence[SplitCase], title: str) -> str:
    parts = [f"Strips over time, one a split, with training, test and purged windows. {title}."]
    for case in cases:
        split = case.problem.split
        parts.append(
            f"{SPLIT_NAMES[case.split]}: {len(split.train):,} training, {len(split.test):,} test, "
            f"{len(split.purged):,} purged windows; "
            f"{percent(case.leak.overlap_share)} of the test windows share frames."
        )
    return " ".join(parts)


def _nothing(cases: Sequence[SplitCase], title: str) -> Picture:
    reasons = [one.reason for case in cases for one in case.outcomes if one.reason]
    reason = reasons[0] if reasons else "no task was asked"
    figure = new_figure(1.9)
    set_title(figure, title)
    empty_panel(figure.subplots(), reason, width=80)
    return Picture(figure, title, f"An empty panel. {title}. The reason: {reason}.")


@styled
def draw_split_scores(rows: Sequence[Record], metric: str = "macro_f1") -> Picture:
    """Return what heads and probes score on each split: a row of panels a task, one a contract.

    Parameters
    ----------
    rows : sequence of Record
        From `xperience.studies.shift.rows.shift_rows`.
    metric : str
    """
    own = [row for row in rows if row.metric == metric and row.head in MARKS and not row.against]
    tasks = list(dict.fromkeys(row.task for row in own))
    heads = {task: [h for h in MARKS if one_row(own, task=task, head=h)] for task in tasks}
    heights = [_panel_in(heads[task]) for task in tasks]
    figure = new_figure(1.9 + sum(heights))
    title = _scores_title(own, tasks[0])
    set_title(figure, title, _scores_subtitle(own))
    grid = figure.subplots(
        len(tasks), len(SPLITS), sharex=True, squeeze=False, height_ratios=heights
    )
    for task, axes in zip(tasks, grid, strict=True):
        for contract, ax in zip(SPLITS, axes, strict=True):
            mine = [row for row in own if (row.task, row.contract) == (task, contract)]
            _draw_panel(ax, mine, contract, heads[task])
            ax.set_title(f"{task}, {contract}")
        axes[1].set_yticklabels([])
    for ax in grid[-1]:
        ax.set_xlabel("macro-F1" if metric == "macro_f1" else metric)
    _score_legend(figure)
    return Picture(figure, title, _scores_alt(own, title))


def _panel_in(heads: list[str]) -> float:
    return len(SPLITS["published"]) * (len(heads) * _HEAD_IN + _GAP_IN) + 0.35


def _draw_panel(ax: Axes, rows: list[Record], contract: str, heads: list[str]) -> None:
    splits = SPLITS["published"]
    for place, split in enumerate(splits):
        if place:
            ax.axhline(place - 0.5, color=FAINT, linewidth=0.8)
        if split not in SPLITS[contract]:
            _note(ax, place, "not asked: this contract always purges")
            continue
        found = [one_row(rows, variant=split, head=head) for head in heads]
        values = [row for row in found if row is not None and row.value is not None]
        if not values:
            why = next((row.reason for row in found if row is not None and row.reason), "no row")
            _note(ax, place, f"no score: {why}")
        offsets = np.linspace(-0.34, 0.34, len(heads)) if len(heads) > 1 else [0.0]
        for head, offset in zip(heads, offsets, strict=True):
            row = one_row(values, head=head)
            if row is not None:
                _draw_score(ax, row, place + offset)
        _draw_bounds(ax, values, place)
    ax.set(ylim=(len(splits) - 0.5, -0.5), xlim=(-0.02, 1.03))
    ax.set(yticks=range(len(splits)), yticklabels=[SPLIT_NAMES[split] for split in splits])
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines["left"].set_visible(False)


def _draw_score(ax: Axes, row: Record, y: float) -> None:
    colour, shape = MARKS[row.head]
    if row.ci_low is not None:
        ax.plot([row.ci_low, row.ci_high], [y, y], color=colour, linewidth=1.4, zorder=2)
    look = {"color": colour, "markersize": 5, "markeredgecolor": PAPER, "markeredgewidth": 0.5}
    ax.plot([row.value], [y], marker=shape, zorder=3, **look)


def _draw_bounds(ax: Axes, rows: list[Record], place: int) -> None:
    """Mark the best trivial baseline and the ceiling that unseen classes impose."""
    for name, look in (("floor", {"color": MUTED, "linestyle": ":"}), ("ceiling", {"color": INK})):
        values = [getattr(row, name) for row in rows if getattr(row, name) is not None]
        if values:
            ax.plot([values[0]] * 2, [place - 0.45, place + 0.45], linewidth=1.2, zorder=1, **look)


def _note(ax: Axes, place: int, text: str) -> None:
    style = {"va": "center", "ha": "left", "fontsize": 7.5, "color": MUTED}
    ax.text(0.02, place, elide(text, 44), **style)


def _score_legend(figure: mpl.figure.Figure) -> None:
    look = {"linestyle": "", "markersize": 5}
    handles = [
        Line2D([], [], color=colour, marker=shape, label=HEAD_NAMES[head], **look)
        for head, (colour, shape) in MARKS.items()
    ]
    handles += [
        Line2D([], [], color=MUTED, linestyle=":", label="best trivial baseline"),
        Line2D([], [], color=INK, label="ceiling: classes that were trained"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, columnspacing=1.6)


def _scores_title(rows: Sequence[Record], task: str) -> str:
    base = {"task": task, "contract": "published"}
    found = [
        one_row(rows, variant=split, head=head, **base)
        for split, head in ((LOCAL, LINEAR), (CHRONOLOGICAL, LINEAR), (LOCAL, COPY))
    ]
    local, late, copied = (row.value if row is not None else None for row in found)
    if local is None or late is None or copied is None:
        return "Not every split of this recording can be scored"
    change = f"falls from {local:.2f} to {late:.2f}"
    if round(late, 2) >= round(local, 2):
        change = f"rises from {local:.2f} to {late:.2f}"
    if round(late, 2) == round(local, 2):
        change = f"stays at {local:.2f}"
    only = "only " if round(copied, 2) < round(local, 2) else "as much as "
    return (
        f"From the local to the chronological split the score {change}; "
        f"on the local one a neighbour's label alone scores {only}{copied:.2f}"
    )


def _scores_subtitle(rows: Sequence[Record]) -> str:
    own = [row for row in rows if row.value is not None and "/" not in (row.variant or "")]
    lacking = sum(row.ci_low is None for row in own)
    bars = "Title: timeline_action, published, linear head. Bars: 95 % block-bootstrap intervals."
    if not lacking:
        return bars
    return f"{bars} {lacking} of {len(own)} scores have none: the rows say why."


def _scores_alt(rows: Sequence[Record], title: str) -> str:
    parts = [f"Dot plot of scores by split, task and contract. {title}."]
    for row in rows:
        if row.value is not None and row.variant in (LOCAL, PURGED) and row.head in (LINEAR, COPY):
            parts.append(
                f"{row.task}, {row.contract}, {SPLIT_NAMES[row.variant]}: {HEAD_NAMES[row.head]} "
                f"{row.value:.2f}{bracket(row)}."
            )
    return " ".join(parts)
