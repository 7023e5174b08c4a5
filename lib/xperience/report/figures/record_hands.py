"""The published hands: how far forecasts go wrong, and what is gained on doing nothing."""

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from xperience.evaluation.evaluate import FLOOR
from xperience.evaluation.records import Record
from xperience.report.figures.record_scores import draw_difference
from xperience.report.figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    INK,
    MUTED,
    PURPLE,
    RED,
    SKY,
    Picture,
    empty_panel,
    new_figure,
    set_title,
    styled,
)
from xperience.report.record_rows import Rows, winners, words
from xperience.studies.record.hands import STITCHED, WALK, ZERO
from xperience.studies.record.predictions import HANDS, PRESENT_KNOWN

_FORECASTS = {
    ZERO: BLACK,
    "constant_velocity": MUTED,
    "damped_velocity": RED,
    "ridge_shared": GREEN,
    "ridge_joint": SKY,
    "temporal": PURPLE,
}
_MM = 1000


@styled
def draw_hand_forecasts(rows: Iterable[Record]) -> Picture:
    """Return errors of forecasts of the real hands, and their differences from doing nothing.

    Parameters
    ----------
    rows : iterable of Record
        Of the published predictions and of the stitched trajectory.
    """
    rows = Rows(rows)
    title = _forecast_title(rows)
    canvas = new_figure(5.3)
    set_title(
        canvas, title, "Joint position errors in mm; camera axes minus world root, as published."
    )
    top, bottom = canvas.subfigures(2, 1, height_ratios=(1.15, 1))
    published, ahead = top.subplots(1, 2, width_ratios=(1, 1.25))
    _published_windows(published, rows)
    _by_frame(ahead, rows)
    _gains(bottom, rows)
    return Picture(canvas, title, f"{title}. {_forecast_alt(rows)}")


def _forecast_title(rows: Rows) -> str:
    found = _from_zero(rows, WALK) or _from_zero(rows, None)
    if not found:
        return "No real trajectory to forecast"
    won = sorted(winners(found), key=lambda row: row.value)
    if not won:
        return "Nothing tried forecasts the real hands better than doing nothing"
    names = " and ".join(words(row.head) for row in won)
    beats = f"Only {names} beats" if len(won) == 1 else f"{names.capitalize()} beat"
    walked = "Walked forward, " if won[0].variant == WALK else ""
    said = f"{beats} hands that rest: {-_MM * won[0].value:.1f} mm less error"
    return walked + (said[0].lower() + said[1:] if walked else said)


def _from_zero(rows: Rows, variant: str | None) -> list[Record]:
    found = rows.all(task=STITCHED, metric="mpjpe", against=ZERO, variant=variant)
    return [row for row in found if row.value is not None]


def _published_windows(ax: Axes, rows: Rows) -> None:
    found = [
        rows.one(task=HANDS, head=ZERO, variant=FLOOR, metric="mpjpe"),
        rows.one(task=HANDS, head="constant_velocity", variant=FLOOR, metric="mpjpe"),
        rows.one(task=HANDS, head="neural", variant=PRESENT_KNOWN, metric="mpjpe"),
    ]
    found = [row for row in found if row is not None]
    ax.set_title("published test windows")
    if not found:
        empty_panel(ax, "no published hands")
        return
    for place, row in enumerate(found):
        colour = _FORECASTS.get(row.head, BLUE)
        if row.ci_low is not None:
            ends = [_MM * row.ci_low, _MM * row.ci_high]
            ax.plot(ends, [place, place], color=colour, linewidth=2.2)
        ax.scatter(_MM * row.value, place, color=colour, s=32, zorder=3, linewidth=0)
    labels = [words(row.head) if row.head != "neural" else "published\nneural" for row in found]
    ax.set(yticks=range(len(found)), yticklabels=[label.replace(" ", "\n") for label in labels])
    ax.set(xlim=(0, None), xlabel="error (mm)", ylim=(len(found) - 0.5, -0.5))
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.tick_params(axis="y", length=0)


def _by_frame(ax: Axes, rows: Rows) -> None:
    ax.set_title("stitched trajectory, one split")
    ends = []
    for name, colour in _FORECASTS.items():
        found = [
            row
            for row in rows
            if (row.task, row.head, row.against) == (STITCHED, name, None)
            and (row.variant or "").startswith("frame_")
            and row.value is not None
        ]
        if found:
            errors = [_MM * row.value for row in sorted(found, key=lambda row: row.variant)]
            style = "--" if name in (ZERO, "constant_velocity") else "-"
            look = {"color": colour, "linewidth": 1.5, "label": words(name)}
            ax.plot(np.arange(1, len(errors) + 1), errors, style, **look)
            ends.append(errors[-1])
    if not ends:
        empty_panel(ax, "no trajectory")
        return
    order = np.argsort([-error for error in ends])  # as the lines end, from the top
    lines = ax.get_lines()
    ax.legend(handles=[lines[place] for place in order], loc="upper left", handlelength=1.6)
    ax.set(xlabel="frames ahead", ylabel="error (mm)", ylim=(0, None))


def _gains(canvas: Canvas, rows: Rows) -> None:
    panels = canvas.subplots(1, 2, sharey=True, sharex=True)
    names = [name for name in _FORECASTS if name not in (ZERO, "constant_velocity")]
    texts = {WALK: "walked forward", None: "one chronological split"}
    for ax, (variant, text) in zip(panels, texts.items(), strict=True):
        found = {row.head: row for row in _from_zero(rows, variant)}
        n_test = next((f", {row.n_test:,} samples" for row in found.values()), "")
        ax.set_title(text + n_test)
        ax.axvline(0, color=BLACK, linewidth=0.9)
        for place, name in enumerate(names):
            if name in found:
                draw_difference(ax, place, found[name], _FORECASTS[name], _MM)
            else:
                ax.text(0.98, place, "not walked", transform=ax.get_yaxis_transform(), color=MUTED,
                        ha="right", va="center", fontsize=8)  # fmt: skip
        ax.set_xlabel("error minus that of zero velocity (mm)", color=INK)
        ax.grid(axis="x", color=FAINT, linewidth=0.6)
        ax.tick_params(axis="y", length=0)
    panels[0].set(yticks=range(len(names)), yticklabels=[words(name) for name in names])
    panels[0].set_ylim(len(names) - 0.5, -0.5)


def _forecast_alt(rows: Rows) -> str:
    parts = []
    for variant, text in ((WALK, "Walked forward"), (None, "On one split")):
        said = [f"{words(row.head)} {_MM * row.value:+.1f} mm" for row in _from_zero(rows, variant)]
        if said:
            parts.append(f"{text}, compared with zero velocity: {', '.join(said)}.")
    return " ".join(parts) or "There is nothing to draw: the published hands are absent."
