"""Neural against linear heads: what each gains, how they learn."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from xperience.evaluation.records import Record
from xperience.report.figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    Picture,
    empty_panel,
    new_figure,
    set_title,
    styled,
)
from xperience.report.heads import (
    BETTER,
    FLOOR,
    HEAD_NAMES,
    WORSE,
    difference_of,
    gained,
    score_of,
    verdict,
)
from xperience.report.quantities import counted
from xperience.report.record_rows import Rows
from xperience.studies.problem import Outcome
from xperience.tasks.task import Task

HEAD_LOOKS = {"linear": (ORANGE, "s"), "neural": (BLUE, "o"), "temporal": (PURPLE, "D")}
_FAR = 1.0
"""Gains beyond the way from floor to perfection, downwards, are drawn at the edge."""

Studied = Mapping[str, tuple[Sequence[Record], Mapping[str, Task]]]
"""Contract -> its rows and its tasks by name."""


@styled
def draw_gains(studied: Studied, rival: str = FLOOR) -> Picture:
    """Return what heads gain over a rival, a row a task, a panel a contract.

    Parameters
    ----------
    studied : mapping of {contract: (rows, tasks by name)}
    rival : str
        `FLOOR` for each task's best trivial baseline, or "linear".

    Notes
    -----
    The axis has no unit: 0 is the rival's score, 1 the way from the best floor to perfection.
    """
    title = _gains_title(studied, rival)
    names = list(next(iter(studied.values()))[1])
    canvas = new_figure(2.1 + 0.33 * len(names))
    over = "the best trivial baseline" if rival == FLOOR else "the linear head"
    subtitle = (
        f"Gain over {over}, as a share of the way from the best baseline to perfection. Filled: "
        "the 95\N{NO-BREAK SPACE}% interval excludes 0; hollow: it doesn't, or there is none. "
        "An arrow: further down than is drawn."
    )
    set_title(canvas, title, subtitle)
    panels = canvas.subplots(1, len(studied), sharey=True, squeeze=False)[0]
    told = []
    for ax, (contract, (rows, tasks)) in zip(panels, studied.items(), strict=True):
        told += _gain_panel(ax, Rows(rows), tasks, rival)
        ax.set(title=contract, xlabel="gain", xlim=(-_FAR - 0.12, 1.05))
    panels[0].set(yticks=range(len(names)), ylim=(len(names) - 0.4, -0.6))
    panels[0].set_yticklabels([name.replace("_", " ") for name in names])
    handles = [
        Line2D([], [], color=colour, marker=marker, linewidth=1.6, markersize=4.5, label=head)
        for head, (colour, marker) in HEAD_LOOKS.items()
        if head != rival
    ]
    canvas.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=7.5)
    return Picture(canvas, title, f"{title}. {'; '.join(told) or 'There is nothing to draw'}.")


def _gain_panel(ax: Axes, rows: Rows, tasks: Mapping[str, Task], rival: str) -> list[str]:
    """Draw a contract's gains; return them in words."""
    told = []
    heads = [name for name in HEAD_NAMES if name != rival]
    for place, task in enumerate(tasks.values()):
        for shift, head in zip(np.linspace(-0.24, 0.24, len(heads)), heads, strict=True):
            row, mine = difference_of(rows, task, head, rival), score_of(rows, task, head)
            if row is None or row.value is None or mine.floor is None or mine.skill is None:
                continue
            gain = gained(row, mine.floor, task)
            _mark(ax, place + shift, gain, HEAD_LOOKS[head], verdict(row) in (BETTER, WORSE))
            told.append(f"{mine.contract} {task.name} {head} {gain[0]:+.2f} ({verdict(row)})")
    ax.axvline(0, color=INK, linewidth=0.9)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.tick_params(axis="y", length=0)
    return told


def _mark(ax: Axes, at: float, gain: tuple, look: tuple[str, str], sure: bool) -> None:
    value, low, high = gain
    colour, marker = look
    if low is not None:
        ax.plot(np.clip([low, high], -_FAR, 1), [at, at], color=colour, linewidth=1.6)
    face = {"color": colour} if sure else {"facecolor": "white", "edgecolor": colour}
    shape = marker if value >= -_FAR else "<"
    ax.scatter(max(value, -_FAR - 0.04), at, marker=shape, s=20, zorder=3, linewidth=1.1, **face)


def _gains_title(studied: Studied, rival: str) -> str:
    parts = []
    for contract, (rows, tasks) in studied.items():
        found = Rows(rows)
        heads = [name for name in HEAD_NAMES if name != rival]
        said = {
            task.name: {verdict(difference_of(found, task, head, rival)) for head in heads}
            for task in tasks.values()
        }
        won = sum(BETTER in verdicts for verdicts in said.values())
        parts.append(f"{won or 'none'} of {counted(len(said), 'task')} under {contract}")
    over = "its best trivial baseline" if rival == FLOOR else "the linear head"
    who = "A head" if rival == FLOOR else "A network"
    return f"{who} surely beats {over} in {', '.join(parts)}"


@styled
def draw_curves(outcomes: Iterable[Outcome]) -> Picture:
    """Return training and held-out losses by epoch, a panel a task, a thin line a seed.

    Parameters
    ----------
    outcomes : iterable of Outcome
        Of heads that are trained step by step; others are passed over.
    """
    shown: dict[str, dict[str, list]] = {}
    for outcome in outcomes:
        curves = [answer.curve for answer in outcome.answers if answer.curve]
        if curves:
            shown.setdefault(outcome.task.name, {})[outcome.head] = curves
    title = _curves_title(shown)
    n_rows = max(1, -(-len(shown) // 4))
    canvas = new_figure(1.3 + 1.25 * n_rows)
    set_title(canvas, title, "Loss by epoch, each panel on its own scale: held-out stretches "
              "(solid) and training (dotted). A line a seed; the mark is the epoch that was "
              "chosen.")  # fmt: skip
    panels = canvas.subplots(n_rows, 4, squeeze=False).ravel()
    for ax, (name, heads) in zip(panels, shown.items(), strict=False):
        for head, curves in heads.items():
            _curve_lines(ax, curves, HEAD_LOOKS[head][0])
        ax.set_title(name.replace("_", " "), fontsize=7)
        ax.tick_params(labelsize=6.5)
    for ax in panels[len(shown) :]:
        ax.set_axis_off()
    if not shown:
        empty_panel(panels[0], "no head was trained step by step")
    handles = [
        Line2D([], [], color=HEAD_LOOKS[head][0], label=head)
        for head in dict.fromkeys(head for heads in shown.values() for head in heads)
    ]
    if handles:
        canvas.legend(handles=handles, loc="lower right", ncols=2, fontsize=7.5)
    return Picture(canvas, title, f"{title}. {_curves_alt(shown)}")


def _curve_lines(ax: Axes, curves: Sequence, colour: str) -> None:
    for curve in curves:
        epochs = [point.epoch for point in curve]
        ax.plot(epochs, [p.train_loss for p in curve], ":", color=colour, lw=0.7, alpha=0.6)
        held = [point.validation_loss for point in curve]
        if all(loss is not None for loss in held):
            ax.plot(epochs, held, color=colour, linewidth=0.8, alpha=0.8)
            best = int(np.argmin(held))
            ax.scatter(epochs[best], held[best], color=colour, s=9, zorder=3, linewidth=0)


def _bottoms(shown: Mapping[str, Mapping[str, list]]) -> list[tuple[int, int]]:
    """Return (epoch of least held-out loss, epochs run) of every curve that was judged."""
    found = []
    for curve in (
        curve for heads in shown.values() for curves in heads.values() for curve in curves
    ):
        held = [point.validation_loss for point in curve]
        if held and all(loss is not None for loss in held):
            found.append((int(np.argmin(held)) + 1, len(held)))
    return found


def _curves_title(shown: Mapping[str, Mapping[str, list]]) -> str:
    bottoms = _bottoms(shown)
    if not bottoms:
        return "No learning curve was judged on held-out stretches"
    middle = int(np.median([best for best, _ in bottoms]))
    early = sum(best < n for best, n in bottoms)
    return (
        f"At the median held-out loss is least after {counted(middle, 'epoch')}; "
        f"{early} of {counted(len(bottoms), 'curve')} rise after their least"
    )


def _curves_alt(shown: Mapping[str, Mapping[str, list]]) -> str:
    return "; ".join(
        f"{name}, {head}: {counted(len(curves), 'seed')}"
        for name, heads in shown.items()
        for head, curves in heads.items()
    )


FORECAST_LOOKS = {
    "zero_velocity": (BLACK, "zero velocity"),
    "constant_velocity": (MUTED, "constant velocity"),
    "linear": (ORANGE, "linear"),
    "neural": (BLUE, "neural"),
    "temporal": (PURPLE, "temporal"),
}
TRUE_HAND = GREEN
