"""The evidence of a takeaway at a glance: outcomes by place, and each score beside its bounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from xperience.evaluation.records import Record
from xperience.report.claims import Outcome, Place
from xperience.report.figures.style import (
    BLACK,
    FAINT,
    GREEN,
    INK,
    MUTED,
    RED,
    Picture,
    empty_panel,
    new_figure,
    set_title,
    styled,
    wrap,
)
from xperience.report.quantities import counted
from xperience.report.tables import ends, number, readable, signed
from xperience.report.takeaways import MARKS, column_names, places_of

COLOURS = {
    Outcome.SUPPORTED: GREEN,
    Outcome.NO_DIFFERENCE: MUTED,
    Outcome.MIXED: MUTED,
    Outcome.CONTRADICTED: RED,
    Outcome.NOT_TESTED: "#C6CACE",
}
_COLOUR_NAMES = {
    Outcome.SUPPORTED: "green:",
    Outcome.CONTRADICTED: "red:",
    Outcome.NO_DIFFERENCE: "dark grey:",
    Outcome.MIXED: "dark grey:",
    Outcome.NOT_TESTED: "light grey:",
}
ROW_IN, GLANCE_IN = 0.56, 0.27
MAX_ROWS = 14
_SCALES = {"1": 1.0, "m": 1000.0}
"""Units that are drawn, and what their values are multiplied with: metres as millimetres."""


@styled
def draw_glance(content: Mapping[str, Any]) -> Picture:
    """Return the outcome of every claim of assembled takeaways in every place."""
    names = column_names(content)
    claims = [claim for one in content["takeaways"] for claim in one["claims"]]
    places = places_of(content)
    texts = list(dict.fromkeys(one["text"] for one in claims))
    told = sum(one["outcome"] == Outcome.SUPPORTED for one in claims)
    title = f"{told} of {counted(len(claims), 'verdict')} support the claim"
    canvas = new_figure(1.5 + GLANCE_IN * len(texts))
    legend = ", ".join(f"{MARKS[outcome]} {outcome}" for outcome in Outcome)
    set_title(canvas, title, f"Each mark is one rule's verdict: {legend}.")
    ax = canvas.subplots()
    for one in claims:
        x, y = places.index(Place(one["column"], one["contract"])), texts.index(one["text"])
        outcome = Outcome(one["outcome"])
        look = {"color": COLOURS[outcome], "ha": "center", "va": "center", "fontsize": 11}
        ax.text(x, y, MARKS[outcome], **look)
    labels = [f"{wrap(names[one.column], 10, 2)}\n{one.contract}" for one in places]
    ax.set(xticks=range(len(places)), xticklabels=labels, xlim=(-0.5, len(places) - 0.5))
    ax.set(yticks=range(len(texts)), yticklabels=[wrap(text, 58, 2) for text in texts])
    ax.set_ylim(len(texts) - 0.4, -0.6)
    ax.tick_params(axis="both", labelsize=6.5)
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    ax.xaxis.tick_top()
    alt = "; ".join(
        f"{one['text']} ({names[one['column']]}, {one['contract']}): {one['outcome']}"
        for one in claims
    )
    return Picture(canvas, title, f"{title}. {alt}.")


@styled
def draw_evidence(takeaway: Mapping[str, Any], names: Mapping[str, str]) -> Picture:
    """Return a takeaway's scores: value with its interval, floor and ceiling, each on its own axis.

    Parameters
    ----------
    takeaway : mapping
        One of the assembled takeaways.
    names : mapping of {column: name}
        From `xperience.report.takeaways.column_names`.
    """
    found = _shown(takeaway, names)
    told = sum(claim["outcome"] == Outcome.SUPPORTED for claim in takeaway["claims"])
    title = f"{takeaway['title']}: {told} of {counted(len(takeaway['claims']), 'verdict')} support"
    more = f" The first {MAX_ROWS} of {len(found)}." if len(found) > MAX_ROWS else ""
    legend = ", ".join(f"{name} {outcome}" for outcome, name in _COLOUR_NAMES.items())
    note = f"Dot: value with its interval ({legend}). Bar: its bound, or zero. Dashes: ceiling."
    found = found[:MAX_ROWS]
    canvas = new_figure(1.1 + ROW_IN * max(len(found), 2))
    set_title(canvas, title, note + more)
    if not found:
        empty_panel(canvas.subplots(), "no claim of it rests on a score that is there")
        return Picture(canvas, title, f"{title}. No score is there.")
    axes = canvas.subplots(len(found), 1, squeeze=False)[:, 0]
    for ax, shown in zip(axes, found, strict=True):
        _bullet(ax, shown)
    alt = "; ".join(f"{' '.join(shown.label.split())}: {_said(shown)}" for shown in found)
    return Picture(canvas, title, f"{title}. {alt}.")


@dataclass(frozen=True)
class _Shown:
    """A score with its bound and the verdict that it decides."""

    label: str
    outcome: Outcome
    row: Record
    bound: float | None


def _shown(takeaway: Mapping[str, Any], names: Mapping[str, str]) -> list[_Shown]:
    """Return the score that decides each claim; counts over tasks only if there is nothing else."""
    single, counted_ = [], []
    for claim in takeaway["claims"]:
        rows = [Record.model_validate(fields) for fields in claim["rows"]]
        rows = [row for row in rows if row.value is not None and row.unit != "mixed"]
        differences = [row for row in rows if row.against is not None]
        chosen = differences or rows[:1]
        kept = single if len(chosen) == 1 else counted_
        printed = next((row.value for row in rows[1:] if row.unit == rows[0].unit), None)
        kept += [_labelled(row, claim, names, printed) for row in chosen if row.unit in _SCALES]
    return single or counted_


def _labelled(
    row: Record, claim: Mapping[str, Any], names: Mapping[str, str], printed: float | None
) -> _Shown:
    what = " ".join(filter(None, (readable(row.task), readable(row.metric))))
    minus = f" − {readable(row.against)}" if row.against else ""
    whose = f"{names[claim['column']]}, {row.contract}"
    label = f"{wrap(what + minus, 54, 2)}\n{' '.join(filter(None, (readable(row.head), whose)))}"
    bound = 0.0 if row.against else row.floor if row.floor is not None else printed
    return _Shown(label, Outcome(claim["outcome"]), row, bound)


def _bullet(ax: Axes, shown: _Shown) -> None:
    row, scale = shown.row, _SCALES[shown.row.unit]
    colour = COLOURS[shown.outcome]
    if shown.bound is not None:
        ax.axvline(scale * shown.bound, color=BLACK, linewidth=2, ymin=0.15, ymax=0.85)
    if row.ceiling is not None:
        ax.axvline(scale * row.ceiling, color=RED, linewidth=1, linestyle="--")
    if row.ci_low is not None and row.ci_high is not None:
        ax.plot([scale * row.ci_low, scale * row.ci_high], [0, 0], color=colour, linewidth=2.4)
    ax.scatter([scale * row.value], [0], color=colour, s=34, zorder=3)
    ax.set(yticks=[0], ylim=(-1, 1))
    ax.set_yticklabels([shown.label], fontsize=7)
    ax.tick_params(axis="x", labelsize=6.5, pad=1)
    ax.spines["left"].set_visible(False)
    ax.margins(x=0.12)
    if row.unit == "1" and row.against is None:
        ax.set_xlim(-0.03, 1.03)
    text = signed(row.value, row.unit) if row.against else number(row.value, row.unit)
    place = {"transform": ax.transAxes, "fontsize": 7, "color": INK, "va": "center"}
    ax.text(1.01, 0.5, text, **place)


def _said(shown: _Shown) -> str:
    row = shown.row
    bound = "" if shown.bound is None else f", bound {number(shown.bound, row.unit)}"
    found = f"{number(row.value, row.unit)} {ends(row, with_sign=row.against is not None)}".strip()
    return f"{found}{bound}, {shown.outcome}"
