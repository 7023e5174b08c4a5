"""Held-out episodes: scores across recordings with their floors, the gap, labels in other words."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from xperience.report.figures.style import (
    BLUE,
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
    find,
    floor_title,
    gap_title,
    primary_of,
    tasks_in,
    word_title,
)
from xperience.scoring.records import Record
from xperience.studies.heldout.rotation import ROTATED, ROTATED_GAP
from xperience.studies.heldout.rows import ACROSS
from xperience.studies.heldout.within import WITHIN

ROW_IN = 0.27
WORDS = {
    "exact": "the text",
    "same_words": "its words",
    "same_verb_and_noun": "verb and noun",
    "same_noun": "the noun",
    "same_verb": "the verb",
    "same_meaning": "the meaning",
}


@styled
def draw_across(rows: Sequence[Record], head: str = "linear") -> Picture:
    """Return each task's score on unseen recordings, with its interval and its best floor.

    Parameters
    ----------
    rows : sequence of Record
        Of the section on held-out episodes.
    head : str
    """
    title = floor_title(rows, head)
    found = [(task, _told(rows, task, head)) for task in tasks_in(rows)]
    shares = [(task, row) for task, row in found if row is not None and row.unit == "1"]
    rest = [(task, row) for task, row in found if row is not None and row.unit != "1"]
    canvas = new_figure(1.3 + ROW_IN * (len(shares) + len(rest) + 1.5))
    note = "Dots: score with 95 % interval over recordings. Bars: best trivial baseline."
    set_title(canvas, title, note)
    if not found:
        empty_panel(canvas.subplots(), "no task was scored")
        return Picture(canvas, title, f"{title}. {note}")
    upper, lower = canvas.subplots(
        2, 1, height_ratios=(max(len(shares), 1), max(len(rest), 1)), squeeze=True
    )
    _scores(upper, shares, "shares: 1 is perfect")
    _scores(lower, rest, "in the score's own unit")
    alt = "; ".join(f"{task}: {_said(row)}" for task, row in shares + rest)
    return Picture(canvas, title, f"{title}. {alt}.")


def _told(rows: Sequence[Record], task: str, head: str) -> Record | None:
    """Return the score over every recording if there is one, else that of the test side."""
    for variant in (ROTATED, ACROSS):
        row = find(rows, task, head, variant)
        if row is not None and row.value is not None:
            return row
    return None


def _said(row: Record) -> str:
    ends = "" if row.ci_low is None else f" [{row.ci_low:.3f}, {row.ci_high:.3f}]"
    floor = "" if row.floor is None else f", floor {row.floor:.3f} ({row.floor_name})"
    return f"{row.metric} {row.value:.3f}{ends}{floor}"


def _scores(ax: Axes, found: Sequence[tuple[str, Record]], label: str) -> None:
    if not found:
        empty_panel(ax, "no task has such a score")
        return
    for place, (_, row) in enumerate(found):
        if row.floor is not None:
            ax.plot([row.floor] * 2, [place - 0.32, place + 0.32], color=MUTED, linewidth=3)
        if row.ci_low is not None:
            ax.plot([row.ci_low, row.ci_high], [place, place], color=BLUE, linewidth=1.6)
        ax.scatter(row.value, place, color=BLUE, s=26, zorder=3)
    _tasks(ax, [f"{task} ({row.metric})" for task, row in found])
    ax.set_xlabel(label)
    ax.margins(x=0.03)


def _tasks(ax: Axes, labels: Sequence[str]) -> None:
    names = [label.replace("_", " ") for label in labels]
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.6))
    ax.grid(axis="x", color="#E4E6E8", linewidth=0.6)
    ax.set_axisbelow(True)


@styled
def draw_gap(rows: Sequence[Record], head: str = "linear") -> Picture:
    """Return the generalisation gap of each task: across minus within, better to the right.

    Parameters
    ----------
    rows : sequence of Record
        Of the section on held-out episodes.
    head : str

    Notes
    -----
    Tasks have different units: every gap is drawn in units of its own interval's half width, and
    the number beside it is in the score's own unit.
    """
    title = gap_title(rows, head)
    found = [(task, find(rows, task, head, ROTATED_GAP, WITHIN)) for task in tasks_in(rows)]
    known = [(task, row) for task, row in found if row is not None and row.value is not None]
    canvas = new_figure(1.35 + ROW_IN * max(len(known), 3))
    note = (
        "Difference of the same windows' scores, 95 % interval over recordings; to the right, "
        "heads trained on other recordings are better. Each in units of its own interval's width."
    )
    set_title(canvas, title, note)
    ax = canvas.subplots()
    if not known:
        empty_panel(ax, "no gap has an interval: too few recordings, or no rotation of the sides")
        return Picture(canvas, title, f"{title}. {note}")
    for place, (_, row) in enumerate(known):
        _gap(ax, place, row)
    ax.axvline(0, color=INK, linewidth=0.8)
    _tasks(ax, [f"{task} ({primary_of(task)})" for task, _ in known])
    ax.set_xticks([])
    ax.set_xlabel("across worse  ←  0  →  across better")
    alt = "; ".join(f"{task}: {_change(row)}" for task, row in known)
    return Picture(canvas, title, f"{title}. Gaps, across minus within: {alt}.")


def _gap(ax: Axes, place: int, row: Record) -> None:
    sign = 1 if row.higher_is_better else -1
    value = sign * (row.value or 0.0)
    if row.ci_low is None or row.ci_high is None:
        ax.scatter(np.sign(value), place, facecolor="white", edgecolor=MUTED, s=26, zorder=3)
        colour, reach = MUTED, 1.0
    else:
        width = (row.ci_high - row.ci_low) / 2 or 1.0
        low, high = sorted((sign * row.ci_low / width, sign * row.ci_high / width))
        colour = MUTED if low <= 0 <= high else BLUE if value > 0 else ORANGE
        ax.plot([low, high], [place, place], color=colour, linewidth=1.8)
        ax.scatter(value / width, place, color=colour, s=26, zorder=3)
        reach = max(high, 0)
    ax.annotate(
        _change(row), (reach, place), (6, 0), textcoords="offset points", va="center",
        fontsize=7.5, color=colour,
    )  # fmt: skip
    ax.margins(x=0.16)


def _change(row: Record) -> str:
    unit = "" if row.unit == "1" else f" {row.unit}"
    return f"{row.value:+.3f}{unit}"


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
    canvas = new_figure(2.9)
    note = "Share of test windows. Lines: the commonest training label, said every time."
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
        Line2D([], [], color=INK, linewidth=2, label="commonest label"),
    ]
    panels[-1].legend(handles=handles, loc="upper left")
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
