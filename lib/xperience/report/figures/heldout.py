"""Held-out episodes: scores across recordings with their floors, the gap, labels in other words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from xperience.evaluation.evaluate import FLOOR
from xperience.evaluation.records import ABLATION, ACROSS, ONE_WORTH, POOLED, SCALING, Record
from xperience.report.figures.heads import HEAD_LOOKS
from xperience.report.figures.style import (
    BLUE,
    FAINT,
    INK,
    MUTED,
    ORANGE,
    Picture,
    empty_panel,
    new_figure,
    set_title,
    styled,
)
from xperience.report.heldout import (
    Sides,
    ablation_title,
    against_floor,
    find,
    findings,
    floor_title,
    gap_title,
    modalities_in,
    primary_of,
    scaling_title,
    sides_of,
    sizes_in,
    tasks_in,
    word_title,
)
from xperience.report.tables import Verdict, floor, readable, score, signed, verdict

ROW_IN = 0.27
SPREAD = 0.32
"""Of the heads of a task, lines of a row apart."""
WORDS = {
    "exact": "the text",
    "same_words": "its words",
    "same_verb_and_noun": "verb and noun",
    "same_noun": "the noun",
    "same_verb": "the verb",
    "same_meaning": "the meaning",
    "same_subtask": "its subtask",
}

IN_MM = FuncFormatter(lambda metres, _: f"{1000 * metres:g}")


@styled
def draw_across(rows: Sequence[Record], heads: Sequence[str] = ("linear", "neural")) -> Picture:
    """Return each task's scores on unseen recordings, with intervals and the best floor.

    Parameters
    ----------
    rows : sequence of Record
        Of the section on held-out episodes.
    heads : sequence of str
    """
    title = floor_title(rows, heads)
    found = [(task, _told(rows, task, heads)) for task in tasks_in(rows)]
    found = [(task, told) for task, told in found if told]
    shares = [one for one in found if _unit(one) == "1"]
    rest = [one for one in found if _unit(one) != "1"]
    canvas = new_figure(1.5 + 1.25 * ROW_IN * (len(shares) + len(rest) + 1.5))
    note = (
        "Markers: score with 95 % interval over recordings, filled where it is better than the "
        "best trivial baseline (bar). Without interval: asked of the test split alone."
    )
    set_title(canvas, title, note)
    if not found:
        empty_panel(canvas.subplots(), "no task was scored")
        return Picture(canvas, title, f"{title}. {note}")
    upper, lower = canvas.subplots(
        2, 1, height_ratios=(max(len(shares), 1), max(len(rest), 1)), squeeze=True
    )
    _scores(upper, shares, "shares: 1 is perfect")
    _scores(lower, rest, "in the score's own unit, less is better")
    names = [head for head in heads if any(head in told for _, told in found)]
    canvas.legend(handles=[_key(head) for head in names], loc="outside lower right", ncols=2)
    alt = "; ".join(
        f"{task}: {head} {_said(told[head].score)}" for task, told in found for head in told
    )
    return Picture(canvas, title, f"{title}. {alt}.")


@dataclass(frozen=True)
class _Drawn:
    """A head's score of a task, and whether it is better than the best trivial baseline."""

    score: Record
    is_better: bool


def _told(rows: Sequence[Record], task: str, heads: Sequence[str]) -> dict[str, _Drawn]:
    """Return each head's score over every recording if there is one, else on the test split."""
    found = {}
    for head in heads:
        tries = (find(rows, task, head, variant) for variant in (POOLED, ACROSS))
        row = next((one for one in tries if one is not None and one.value is not None), None)
        if row is not None:
            better = verdict(against_floor(rows, task, head))[0] is Verdict.BETTER
            found[head] = _Drawn(row, better)
    return found


def _unit(found: tuple[str, dict[str, _Drawn]]) -> str:
    return next(iter(found[1].values())).score.unit


def _key(head: str) -> Line2D:
    colour, marker = HEAD_LOOKS[head]
    return Line2D([], [], color=colour, marker=marker, linewidth=1.6, markersize=4.5, label=head)


def _said(row: Record) -> str:
    return f"{row.metric} {score(row)}, floor {floor(row)}"


def _scores(ax: Axes, found: Sequence[tuple[str, dict[str, _Drawn]]], label: str) -> None:
    """Draw one line per task: the floor as a bar, heads one below the other."""
    if not found:
        empty_panel(ax, "no task has such a score")
        return
    names = []
    for place, (task, told) in enumerate(found):
        steps = SPREAD * (np.arange(len(told)) - (len(told) - 1) / 2)
        first = next(iter(told.values())).score
        if first.floor is not None:
            ax.plot([first.floor] * 2, [place - 0.36, place + 0.36], color=MUTED, linewidth=3)
        for (head, one), step in zip(told.items(), steps, strict=True):
            _score(ax, place + step, head, one)
        names.append(f"{task} ({readable(first.metric)})")
    _tasks(ax, names)
    if {_unit(one) for one in found} == {"m"}:
        ax.xaxis.set_major_formatter(IN_MM)
        label = "mm, less is better"
    ax.set_xlabel(label)
    ax.margins(x=0.03)


def _score(ax: Axes, height: float, head: str, drawn: _Drawn) -> None:
    colour, marker = HEAD_LOOKS[head]
    row = drawn.score
    if row.ci_low is not None:
        ax.plot([row.ci_low, row.ci_high], [height, height], color=colour, linewidth=1.6)
    face = colour if drawn.is_better else "white"
    ax.scatter(row.value, height, marker=marker, s=24, zorder=3, facecolor=face, edgecolor=colour)


def _tasks(ax: Axes, labels: Sequence[str]) -> None:
    names = [label.replace("_", " ") for label in labels]
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.6))
    ax.grid(axis="x", color="#E4E6E8", linewidth=0.6)
    ax.set_axisbelow(True)


@styled
def draw_gap(rows: Sequence[Record], head: str = "linear") -> Picture:
    """Return each task's scores within and across recordings, and the generalisation gap.

    Parameters
    ----------
    rows : sequence of Record
        Of the section on held-out episodes.
    head : str
        That was trained across recordings; within them it is the linear one.
    """
    title = gap_title(rows, head)
    found = [(task, sides_of(rows, task, head)) for task in tasks_in(rows)]
    known = [one for one in found if one[1].gap is not None and one[1].gap.value is not None]
    shares = [one for one in known if one[1].gap.unit == "1"]
    rest = [one for one in known if one[1].gap.unit != "1"]
    canvas = new_figure(1.6 + ROW_IN * (max(len(shares), 2) + max(len(rest), 1) + 1))
    note = (
        "The same windows: the ends of recordings, by a head that learnt from their beginnings "
        "(open) or from other recordings only (filled). Bars: 95 % interval over recordings."
    )
    set_title(canvas, title, note)
    if not known:
        empty_panel(canvas.subplots(), "no task has scores within and across recordings")
        return Picture(canvas, title, f"{title}. {note}")
    ratios = (max(len(shares), 2), max(len(rest), 1))
    panels = canvas.subplots(2, 2, height_ratios=ratios, width_ratios=(1.25, 1), squeeze=False)
    for pair, some, unit in zip(panels, (shares, rest), ("share", ""), strict=True):
        _beside(pair, some, unit)
    panels[0, 0].set_title("score", loc="left")
    panels[0, 1].set_title("across minus within", loc="left")
    alt = "; ".join(f"{task}: {_change(sides.gap)}" for task, sides in known)
    return Picture(canvas, title, f"{title}. Gaps, across minus within: {alt}.")


def _beside(pair: Sequence[Axes], found: Sequence[tuple[str, Sides]], unit: str) -> None:
    """Draw scores to the left and gaps to the right, one line per task."""
    if not found:
        for ax in pair:
            empty_panel(ax, "no task has such a score")
        return
    scores, gaps = pair
    for place, (_, sides) in enumerate(found):
        _two(scores, place, sides)
        if sides.gap is not None:
            _gap(gaps, place, sides.gap)
    gaps.axvline(0, color=INK, linewidth=0.8)
    _tasks(scores, [f"{task} ({readable(primary_of(task))})" for task, _ in found])
    _tasks(gaps, [""] * len(found))
    for ax in pair:
        ax.xaxis.set_major_locator(MaxNLocator(4))
    label = unit or ", ".join(dict.fromkeys(sides.gap.unit for _, sides in found if sides.gap))
    if label == "m":
        label = "mm"
        for ax in pair:
            ax.xaxis.set_major_formatter(IN_MM)
    scores.set_xlabel(label)
    gaps.set_xlabel(f"{label} (here less is better)" if _less(found) else label)


def _less(found: Sequence[tuple[str, Sides]]) -> bool:
    return all(sides.gap is not None and not sides.gap.higher_is_better for _, sides in found)


def _two(ax: Axes, place: int, sides: Sides) -> None:
    values = [None if row is None else row.value for row in (sides.within, sides.across)]
    if None not in values:
        ax.plot(values, [place, place], color=MUTED, linewidth=1.2, zorder=1)
    if values[0] is not None:
        ax.scatter(values[0], place, facecolor="white", edgecolor=INK, s=30, zorder=2)
    if values[1] is not None:
        ax.scatter(values[1], place, color=_colour(sides.gap), s=30, zorder=3)


def _gap(ax: Axes, place: int, row: Record) -> None:
    colour = _colour(row)
    if row.ci_low is not None and row.ci_high is not None:
        ax.plot([row.ci_low, row.ci_high], [place, place], color=colour, linewidth=1.8)
    ax.scatter(row.value, place, color=colour, s=26, zorder=3)
    ax.text(  # beside the panel, where no line crosses it
        1.02, place, _change(row), transform=ax.get_yaxis_transform(), va="center",
        fontsize=7.5, color=colour,
    )  # fmt: skip
    ax.margins(x=0.08)


def _colour(row: Record | None) -> str:
    return {Verdict.BETTER: BLUE, Verdict.WORSE: ORANGE}.get(verdict(row)[0], MUTED)


def _change(row: Record | None) -> str:
    return "unknown" if row is None else signed(row.value, row.unit)


@styled
def draw_words(table: pd.DataFrame) -> Picture:
    """Return how right labels are, from their text to their meaning.

    Parameters
    ----------
    table : table
        See `xperience.report.heldout.word_scores`.
    """
    title = word_title(table)
    known = table[table["comparison"].isin(WORDS)].dropna(subset=["value"])
    tasks = list(dict.fromkeys(known["task"]))
    canvas = new_figure(3.1)
    note = "Share of test windows, on the test split alone."
    set_title(canvas, title, note)
    if not tasks:
        reasons = "; ".join(dict.fromkeys(table["reason"].dropna())) or "no label was compared"
        empty_panel(canvas.subplots(), reasons)
        return Picture(canvas, title, f"{title}. {reasons}")
    panels = canvas.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    for ax, task in zip(panels, tasks, strict=True):
        _words(ax, known[known["task"] == task], task)
    panels[0].set_ylabel("share that is right")
    handles = [
        Line2D([], [], color=BLUE, linewidth=6, label="head"),
        Line2D([], [], color=INK, linewidth=2, label="most frequent label"),
    ]
    canvas.legend(handles=handles, loc="outside lower right", ncols=2)
    rows = known[["task", "comparison", "value"]].itertuples(index=False)
    alt = "; ".join(f"{task}, {WORDS[way]}: {value:.2f}" for task, way, value in rows)
    return Picture(canvas, title, f"{title}. {alt}.")


def _words(ax: Axes, known: pd.DataFrame, task: str) -> None:
    ways = [way for way in WORDS if way in set(known["comparison"])]
    by_way = known.set_index("comparison")
    for place, way in enumerate(ways):
        row = by_way.loc[way]
        ax.bar(place, row["value"], color=BLUE, width=0.62)
        ax.plot([place - 0.36, place + 0.36], [row["floor"]] * 2, color=INK, linewidth=2)
    ax.set_xticks(range(len(ways)), [WORDS[way] for way in ways], rotation=50, ha="right")
    ax.set_title(task.replace("_", " "))
    ax.set_ylim(0, 1)


# Other inputs, and fewer recordings

_MARKS = {Verdict.BETTER: " ▲", Verdict.WORSE: " ▼"}
_MOST_CHANGE = 0.2
"""Where the colours of what leaving a modality out changes end."""
_COLUMNS = 4


@styled
def draw_ablation(rows: Sequence[Record]) -> Picture:
    """Return each modality alone and left out, a row per task.

    Parameters
    ----------
    rows : sequence of Record
        Of the section on held-out episodes.
    """
    title, names = ablation_title(rows), modalities_in(rows)
    whole = f"{ABLATION}all"
    tasks = list(dict.fromkeys(row.task for row in rows if row.variant == whole and row.task))
    canvas = new_figure(1.9 + ROW_IN * len(tasks))
    note = (
        "Skill: 0 is the best trivial baseline, 1 is perfect. ▲ significantly better, ▼ worse: "
        "left than that baseline, right than with everything (intervals over sessions, Holm over "
        "tasks). Empty: the task is not given this modality, or compares it with another."
    )
    set_title(canvas, title, note)
    if not tasks:
        empty_panel(canvas.subplots(), "no task was asked with other inputs")
        return Picture(canvas, title, f"{title}. {note}")
    alone = [whole, *(f"{ABLATION}only={name}" for name in names)]
    without = [f"{ABLATION}without={name}" for name in names]
    change = _skills(rows, tasks, without) - _skills(rows, tasks, [whole])
    left, right = canvas.subplots(1, 2, sharey=True, width_ratios=(len(alone), len(without)))
    _heat(left, _skills(rows, tasks, alone), [findings(rows, v, FLOOR) for v in alone], tasks)
    _heat(right, change, [findings(rows, v, whole) for v in without], tasks, _MOST_CHANGE)
    left.set(xticks=range(len(alone)), xticklabels=["all", *names], title="skill with this alone")
    left.set(yticks=range(len(tasks)), yticklabels=[readable(task) for task in tasks])
    right.set(xticks=range(len(names)), xticklabels=names, title="change of skill without it")
    alt = "; ".join(
        f"{readable(tasks[y])} without {names[x]} {change[y, x]:+.2f}"
        for y, x in np.argwhere(np.isfinite(change))
    )
    return Picture(canvas, title, f"{title}. Change of skill: {alt}.")


def _skills(rows: Sequence[Record], tasks: Sequence[str], variants: Sequence[str]) -> np.ndarray:
    """Return skills, float (n_tasks, n_variants), NaN where there is none."""
    found = [[find(rows, task, "linear", variant) for variant in variants] for task in tasks]
    return np.array([[one and one.skill for one in line] for line in found], dtype=float)


def _heat(
    ax: Axes,
    values: np.ndarray,
    said: Sequence[Mapping[str, Verdict]],
    tasks: Sequence[str],
    most: float = 1.0,
) -> None:
    """Draw a matrix of numbers with what is significant, orange below zero and purple above."""
    ax.imshow(values, cmap="PuOr", vmin=-most, vmax=most, aspect="auto")
    for y, x in np.argwhere(np.isfinite(values)):
        value = round(values[y, x], 2) + 0.0  # no "-0.00"
        mark = _MARKS.get(said[x].get(tasks[y]), "")
        style = {"fontsize": 7, "color": "white" if abs(value) > 0.7 * most else INK}
        ax.text(x, y, f"{value:.2f}{mark}", ha="center", va="center", **style)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


@styled
def draw_scaling(rows: Sequence[Record]) -> Picture:
    """Return each task's score by the number of recordings that were learnt from.

    Parameters
    ----------
    rows : sequence of Record
        Of the section on held-out episodes.
    """
    title, sizes = scaling_title(rows), sizes_in(rows)
    tasks = [one for one in tasks_in(rows) if find(rows, one, "linear", f"{SCALING}1")]
    n_lines = -(-max(len(tasks), 1) // _COLUMNS)
    canvas = new_figure(1.3 + 1.55 * n_lines)
    note = (
        "The same held-out recordings are tested. Bars: 95 % interval over sessions. Open: as "
        "many training windows as one recording has, spread over more recordings. Dotted: the "
        "best trivial baseline. ↓: less is better."
    )
    set_title(canvas, title, note)
    if not tasks:
        empty_panel(canvas.subplots(), "no task was asked of fewer recordings")
        return Picture(canvas, title, f"{title}. {note}")
    panels = canvas.subplots(n_lines, _COLUMNS, squeeze=False).ravel()
    told = []
    for ax, task in zip(panels, tasks, strict=False):
        whole, parts = (
            {n: row for n in sizes if (row := find(rows, task, "linear", f"{SCALING}{n}{ending}"))}
            for ending in ("", ONE_WORTH)
        )
        _curve(ax, {1: whole[1]} | parts, ORANGE, "white", 1.07)
        _curve(ax, whole, BLUE, BLUE)
        _sizes(ax, task, whole[1], sizes)
        told += [f"{readable(task)}, {n} recordings: {score(r)}" for n, r in whole.items()]
    for ax in panels[len(tasks) :]:
        ax.set_axis_off()
    canvas.supxlabel("recordings that were learnt from", fontsize=8.5)
    return Picture(canvas, title, f"{title}. {'; '.join(told)}.")


def _curve(
    ax: Axes, rows: Mapping[int, Record], colour: str, face: str, shift: float = 1.0
) -> None:
    """Draw scores with intervals, by the number of recordings, a factor to the side."""
    known = {n * shift: row for n, row in rows.items() if row.value is not None}
    values = [row.value for row in known.values()]
    ax.plot([*known], values, color=colour, marker="o", markersize=3.5, markerfacecolor=face)
    for place, row in known.items():
        if row.ci_low is not None:
            ax.plot([place] * 2, [row.ci_low, row.ci_high], color=colour, linewidth=0.9)


def _sizes(ax: Axes, task: str, row: Record, sizes: Sequence[int]) -> None:
    """Name a panel and its axes, and draw the floor that stands beside a row."""
    if row.floor is not None:
        ax.axhline(row.floor, color=MUTED, linewidth=1, linestyle=":")
    unit = {"1": "", "m": ", mm"}.get(row.unit, f", {row.unit}")
    less = "" if row.higher_is_better else " ↓"
    ax.set_title(f"{readable(task)}\n{readable(row.metric)}{unit}{less}", fontsize=7.5)
    ax.set_xscale("log")
    ax.set_xticks(sizes, sizes)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_locator(MaxNLocator(4))
    if row.unit == "m":
        ax.yaxis.set_major_formatter(IN_MM)
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
