"""The evidence of a takeaway at a glance: outcomes by place, and each score beside its bounds."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from xperience.report.figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    INK,
    MUTED,
    RED,
    Picture,
    counted,
    empty_panel,
    new_figure,
    set_title,
    styled,
    wrap,
)
from xperience.report.takeaways.judge import Outcome
from xperience.report.takeaways.render import MARKS, column_names
from xperience.report.takeaways.wording import number, readable
from xperience.scoring.records import Record

COLOURS = {
    Outcome.SUPPORTED: GREEN,
    Outcome.NOT_SUPPORTED: MUTED,
    Outcome.CONTRADICTED: RED,
    Outcome.OPEN: "#C6CACE",
}
ROW_IN, GLANCE_IN = 0.55, 0.24
MAX_ROWS = 9


@styled
def draw_glance(content: Mapping[str, Any]) -> Picture:
    """Return the outcome of every claim in every place.

    Parameters
    ----------
    content : mapping
        Assembled takeaways.
    """
    names = column_names(content)
    claims = [claim for one in content["takeaways"] for claim in one["claims"]]
    places = list(dict.fromkeys((one["column"], one["contract"]) for one in claims))
    places.sort(key=lambda place: (list(names).index(place[0]), place[1] != "published"))
    texts = list(dict.fromkeys(one["text"] for one in claims))
    told = sum(one["outcome"] == Outcome.SUPPORTED for one in claims)
    title = f"{told} of {counted(len(claims), 'verdict')} support the claim"
    canvas = new_figure(1.5 + GLANCE_IN * len(texts))
    legend = ", ".join(f"{MARKS[outcome]} {outcome}" for outcome in Outcome)
    set_title(canvas, title, f"Each mark is one rule's verdict: {legend}.")
    ax = canvas.subplots()
    for one in claims:
        x, y = places.index((one["column"], one["contract"])), texts.index(one["text"])
        outcome = Outcome(one["outcome"])
        look = {"color": COLOURS[outcome], "ha": "center", "va": "center", "fontsize": 11}
        ax.text(x, y, MARKS[outcome], **look)
    labels = [f"{names[column]}\n{contract}" for column, contract in places]
    ax.set(xticks=range(len(places)), xticklabels=labels, xlim=(-0.5, len(places) - 0.5))
    ax.set(yticks=range(len(texts)), yticklabels=[wrap(text, 62, 1) for text in texts])
    ax.set_ylim(len(texts) - 0.4, -0.6)
    ax.tick_params(axis="both", labelsize=7)
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
        From `xperience.report.takeaways.render.column_names`.
    """
    found = _shown(takeaway, names)
    hidden = len(found) - MAX_ROWS
    title = f"{takeaway['title']}: the scores that claims rest on"
    more = f" The first {MAX_ROWS} of {len(found)}." if hidden > 0 else ""
    note = "Dot: value with its interval. Bar: floor, or zero. Dashes: ceiling."
    found = found[:MAX_ROWS]
    canvas = new_figure(1.0 + ROW_IN * max(len(found), 2))
    set_title(canvas, title, note + more)
    if not found:
        empty_panel(canvas.subplots(), "no claim of it rests on a score that is there")
        return Picture(canvas, title, f"{title}. None is there.")
    axes = canvas.subplots(len(found), 1, squeeze=False)[:, 0]
    for ax, (label, outcome, row) in zip(axes, found, strict=True):
        _bullet(ax, label, outcome, row)
    alt = "; ".join(f"{label.replace(chr(10), ', ')}: {_said(row)}" for label, _, row in found)
    return Picture(canvas, title, f"{title}. {alt}.")


def _shown(
    takeaway: Mapping[str, Any], names: Mapping[str, str]
) -> list[tuple[str, Outcome, Record]]:
    """Return label, outcome and row of each claim that a head's score decides."""
    found: dict[str, tuple[str, Outcome, Record]] = {}
    for claim in takeaway["claims"]:
        rows = [Record.model_validate(fields) for fields in claim["rows"]]
        scores = [row for row in rows if row.value is not None and row.unit != "mixed"]
        differences = [row for row in scores if row.against is not None]
        chosen = differences if len(differences) > 1 else (scores if len(scores) < 4 else [])
        for row in (differences or scores)[: len(chosen) or 1]:
            what = f"{readable(row.task)} {readable(row.metric)}".strip()
            minus = f" − {readable(row.against)}" if row.against else ""
            where = f"{names[claim['column']]}, {row.contract}"
            label = f"{what}{minus}\n{readable(row.head)} {where}".strip()
            found.setdefault(label, (label, Outcome(claim["outcome"]), row))
    return list(found.values())


def _bullet(ax: Axes, label: str, outcome: Outcome, row: Record) -> None:
    colour = BLUE if outcome is not Outcome.OPEN else MUTED
    bar = 0.0 if row.against else row.floor
    if bar is not None:
        ax.axvline(bar, color=BLACK, linewidth=2, ymin=0.15, ymax=0.85)
    if row.ceiling is not None:
        ax.axvline(row.ceiling, color=RED, linewidth=1, linestyle="--")
    if row.ci_low is not None and row.ci_high is not None:
        ax.plot([row.ci_low, row.ci_high], [0, 0], color=colour, linewidth=2)
    ax.scatter([row.value], [0], color=colour, s=30, zorder=3)
    ax.set(yticks=[0], ylim=(-1, 1))
    ax.set_yticklabels(["\n".join(wrap(line, 56, 1) for line in label.split("\n"))], fontsize=7)
    ax.tick_params(axis="x", labelsize=6.5, pad=1)
    ax.spines["left"].set_visible(False)
    ax.margins(x=0.12)
    ax.text(1.01, 0.5, number(row.value, row.unit), transform=ax.transAxes, fontsize=7, color=INK,
            va="center")  # fmt: skip


def _said(row: Record) -> str:
    ends = "" if row.ci_low is None else f" [{row.ci_low:.3f}, {row.ci_high:.3f}]"
    floor = "" if row.floor is None else f", floor {row.floor:.3f}"
    return f"{number(row.value, row.unit)}{ends}{floor}"


def worth_drawing(takeaway: Mapping[str, Any], names: Mapping[str, str]) -> bool:
    """Return whether a takeaway has scores to draw."""
    return len(_shown(takeaway, names)) > 1
