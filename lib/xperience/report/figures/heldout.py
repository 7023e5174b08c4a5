"""Held-out episodes: scores across recordings with their floors, the gap, labels in other words."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from xperience.evaluation.evaluate import FLOOR
from xperience.evaluation.records import ABLATION, ACROSS, ONE_WORTH, POOLED, SCALING, Record
from xperience.report.figures.heads import HEAD_LOOKS
from xperience.report.figures.points import draw_point, key, name_lines, scale_of
from xperience.report.figures.style import (
    BLACK,
    BLUE,
    FAINT,
    INK,
    MUTED,
    NARROW_IN,
    ORANGE,
    PAPER,
    Picture,
    new_figure,
    nothing,
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
from xperience.report.tables import (
    Verdict,
    difference,
    floor,
    number,
    readable,
    score,
    verdict,
)

ROW_IN = 0.27
WORDS = {
    "exact": "text",
    "same_words": "words",
    "same_verb_and_noun": "verb and noun",
    "same_noun": "noun",
    "same_verb": "verb",
    "same_meaning": "meaning",
    "same_subtask": "subtask",
}

IN_MM = FuncFormatter(lambda metres, _: f"{1000 * metres:g}")


def _panels(
    canvas: Figure, tasks: Iterable[str], unit: Callable[[str], str]
) -> list[tuple[Axes, list[str]]]:
    """Return an axes for the tasks of each unit, their lines named: R² and mm have their own."""
    groups: dict[str, list[str]] = {}
    for task in tasks:
        name = "R²" if primary_of(task) == "r2" else {"1": "score", "m": "mm"}.get(unit(task), "")
        groups.setdefault(name, []).append(task)
    order = sorted(groups, key=["score", "R²", "mm", ""].index)
    ratios = [max(len(groups[name]), 1.2) for name in order]
    axes = canvas.subplots(len(order), 1, squeeze=False, height_ratios=ratios)[:, 0]
    for ax, name in zip(axes, order, strict=True):
        name_lines(ax, [f"{readable(task)}\n{readable(primary_of(task))}" for task in groups[name]])
        ax.set_xlabel(f"{name}, less is better" if name == "mm" else name)
        ax.xaxis.set_major_locator(MaxNLocator(5))
    return [(ax, groups[name]) for ax, name in zip(axes, order, strict=True)]


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
    found = {task: _pooled(rows, task, heads) for task in tasks_in(rows)}
    found = {task: scores for task, scores in found.items() if scores}
    if not found:
        return nothing(title, "no task was scored")
    canvas = new_figure(2.3 + 0.4 * max(len(found), 2), NARROW_IN)
    note = (
        "95 % intervals over sessions. Filled: significantly better than the best trivial "
        "baseline (black)."
    )
    set_title(canvas, title, note)
    for ax, tasks in _panels(canvas, found, lambda task: found[task][0].unit):
        for place, task in enumerate(tasks):
            shifts = 0.32 * (np.arange(len(found[task])) - (len(found[task]) - 1) / 2)
            for shift, row in zip(shifts, found[task], strict=True):
                better = verdict(against_floor(rows, task, row.head))[0] is Verdict.BETTER
                draw_point(ax, row, place + shift, HEAD_LOOKS[row.head], filled=better)
            best = found[task][0]
            if best.floor is not None:
                span, look = [place - 0.36, place + 0.36], {"color": BLACK, "linewidth": 2.2}
                ax.plot([scale_of(best) * best.floor] * 2, span, solid_capstyle="butt", **look)
    drawn = [
        head for head in heads if any(head == row.head for each in found.values() for row in each)
    ]
    handles = [key(head, HEAD_LOOKS[head]) for head in drawn]
    handles.append(Line2D([], [], color=BLACK, linewidth=2.2, label="best trivial baseline"))
    canvas.legend(handles=handles, loc="outside lower center", ncols=3)
    alt = "; ".join(
        f"{readable(task)}: {row.head} {readable(row.metric)} {score(row)}, floor {floor(row)}"
        for task, each in found.items()
        for row in each
    )
    return Picture(canvas, title, f"{title}. {alt}.")


def _pooled(rows: Sequence[Record], task: str, heads: Sequence[str]) -> list[Record]:
    """Return each head's score over every recording if there is one, else on the test split."""
    tries = [[find(rows, task, head, variant) for variant in (POOLED, ACROSS)] for head in heads]
    known = [[row for row in each if row is not None and row.value is not None] for each in tries]
    return [each[0] for each in known if each]


_GAPS = {
    Verdict.BETTER: ("significantly better", BLUE, "o"),
    Verdict.WORSE: ("significantly worse", ORANGE, "s"),
    Verdict.NO_DIFFERENCE: ("no significant difference", MUTED, "D"),
    Verdict.NOT_TESTED: ("not tested", MUTED, "x"),
}


@styled
def draw_gap(rows: Sequence[Record], head: str = "linear") -> Picture:
    """Return the generalisation gap of each task: its score across recordings minus within them.

    Parameters
    ----------
    rows : sequence of Record
        Of the section on held-out episodes.
    head : str
        That was trained across recordings; within them it is the linear one.
    """
    title = gap_title(rows, head)
    found = {task: sides_of(rows, task, head) for task in tasks_in(rows)}
    found = {
        task: sides for task, sides in found.items() if sides.gap and sides.gap.value is not None
    }
    if not found:
        return nothing(title, "no task has scores within and across recordings")
    canvas = new_figure(2.5 + 0.37 * max(len(found), 2), NARROW_IN)
    note = (
        "Scores on the ends of recordings, trained on other recordings minus trained on their own "
        "beginnings; 95 % intervals over sessions. Right: from own to others."
    )
    set_title(canvas, title, note)
    said = {task: verdict(sides.gap)[0] for task, sides in found.items()}
    for ax, tasks in _panels(canvas, found, lambda task: found[task].gap.unit):
        for place, task in enumerate(tasks):
            _, *look = _GAPS[said[task]]
            draw_point(ax, found[task].gap, place, tuple(look))
            where = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": 8}
            ax.text(1.02, place, _from_to(found[task]), **where)
        ax.axvline(0, color=INK, linewidth=0.9)
        ax.set_xlabel(f"change in {ax.get_xlabel()}")
    present = [look for one, look in _GAPS.items() if one in said.values()]
    handles = [key(name, tuple(look)) for name, *look in present]
    canvas.legend(handles=handles, loc="outside lower center", ncols=2)
    alt = "; ".join(f"{readable(task)} {difference(sides.gap)}" for task, sides in found.items())
    return Picture(canvas, title, f"{title}. Gaps, across minus within: {alt}.")


def _from_to(sides: Sides) -> str:
    pair = (sides.within, sides.across)
    return " → ".join("–" if row is None else number(row.value, row.unit) for row in pair)


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
    if not tasks:
        reasons = "; ".join(dict.fromkeys(table["reason"].dropna())) or "no label was compared"
        return nothing(title, reasons)
    canvas = new_figure(3.0, NARROW_IN)
    set_title(canvas, title, "Share of test windows whose label is right in this respect.")
    ways = [way for way in WORDS if way in set(known["comparison"])]
    panels = canvas.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    for ax, (task, own) in zip(panels, known.groupby("task", sort=False), strict=True):
        places = [ways.index(way) for way in own["comparison"]]
        ax.barh(places, own["value"], color=BLUE, height=0.6)
        marks = {"marker": "|", "markersize": 13, "markeredgewidth": 2.2, "linestyle": "none"}
        ax.plot(own["floor"], places, color=BLACK, **marks)
        ax.set_title(readable(task))
        ax.set(xlim=(0, 1), xticks=(0, 0.5, 1), xticklabels=("0", "50 %", "100 %"))
    for ax in panels:  # they share their lines
        name_lines(ax, [WORDS[way] for way in ways])
    handles = [
        Line2D([], [], color=BLUE, linewidth=6, label="linear head"),
        Line2D([], [], color=BLACK, linestyle="", marker="|", markersize=9, markeredgewidth=2.2,
               label="most frequent label"),
    ]  # fmt: skip
    canvas.legend(handles=handles, loc="outside lower center", ncols=2)
    rows = known[["task", "comparison", "value"]].itertuples(index=False)
    alt = "; ".join(f"{readable(task)}, {WORDS[way]}: {value:.2f}" for task, way, value in rows)
    return Picture(canvas, title, f"{title}. {alt}.")


# Other inputs, and fewer recordings

_MARKS = {Verdict.BETTER: " ▲", Verdict.WORSE: " ▼"}
_MOST_CHANGE = 0.2
"""Where the colours of what leaving a modality out changes end."""
_COLUMNS = 3


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
    if not tasks:
        return nothing(title, "no inputs were ablated")
    canvas = new_figure(2.5 + 2 * ROW_IN * max(len(tasks), 2), NARROW_IN)
    note = (
        "Skill: 0 is the best trivial baseline, 1 is perfect. ▲ ▼ significantly better or worse, "
        "above than with all modalities, below than that baseline. Empty: not given."
    )
    set_title(canvas, title, note)
    alone = [whole, *(f"{ABLATION}only={name}" for name in names)]
    without = [f"{ABLATION}without={name}" for name in names]
    change = _skills(rows, tasks, without) - _skills(rows, tasks, [whole])
    above, below = canvas.subplots(2, 1)
    _heat(above, change, [findings(rows, v, whole) for v in without], tasks, _MOST_CHANGE)
    _heat(below, _skills(rows, tasks, alone), [findings(rows, v, FLOOR) for v in alone], tasks)
    above.set(xticks=range(len(names)), xticklabels=names, title="change of skill without it")
    below.set(xticks=range(len(alone)), xticklabels=["all", *names], title="skill with it alone")
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
        style = {"color": "white" if abs(value) > 0.55 * most else INK}
        ax.text(x, y, f"{value:.2f}{mark}", ha="center", va="center", **style)
    ax.set(yticks=range(len(tasks)), yticklabels=[readable(task) for task in tasks])
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
    n_lines = -(-len(tasks) // _COLUMNS)
    if not tasks:
        return nothing(title, "no task was learnt from fewer recordings")
    canvas = new_figure(1.5 + 1.5 * n_lines, NARROW_IN)
    note = (
        "Scores by the number of training recordings, 95 % intervals over sessions. Dotted: the "
        "best trivial baseline. ↓: less is better."
    )
    set_title(canvas, title, note)
    panels = canvas.subplots(n_lines, _COLUMNS, squeeze=False).ravel()
    told = []
    for ax, task in zip(panels, tasks, strict=False):
        whole, parts = (
            {n: row for n in sizes if (row := find(rows, task, "linear", f"{SCALING}{n}{ending}"))}
            for ending in ("", ONE_WORTH)
        )
        _curve(ax, {1: whole[1]} | parts, ORANGE, PAPER, 1.07)
        _curve(ax, whole, BLUE, BLUE)
        _sizes(ax, task, whole[1], sizes)
        told += [f"{readable(task)}, {n} recordings: {score(r)}" for n, r in whole.items()]
    for ax in panels[len(tasks) :]:
        ax.set_axis_off()
    looks = {"all their windows": (BLUE, BLUE), "as many windows as one has": (ORANGE, PAPER)}
    handles = [Line2D([], [], color=colour, marker="o", markerfacecolor=face, label=label)
               for label, (colour, face) in looks.items()]  # fmt: skip
    canvas.legend(handles=handles, loc="outside lower center", ncols=2)
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
