"""Section 3: what heads gain, how networks learn, and forecast hands beside true ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatter, MaxNLocator

from xperience.evaluation.evaluate import SPEEDS
from xperience.evaluation.predictions import Prediction, Predictions, joint_errors
from xperience.evaluation.records import Record
from xperience.models.forecast import damped_velocity
from xperience.report.figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    Picture,
    empty_panel,
    new_figure,
    set_title,
    styled,
)
from xperience.report.heads import FLOOR, HEAD_NAMES, difference_of, gained, score_of
from xperience.report.quantities import counted, place_at
from xperience.report.tables import Rows, Verdict, capital, described, number, readable, verdict
from xperience.tasks.problem import Problem
from xperience.tasks.targets import past_hands
from xperience.tasks.task import Task

HEAD_LOOKS = {"linear": (ORANGE, "s"), "neural": (BLUE, "o"), "temporal": (PURPLE, "D"),
              "forecast": (GREEN, "^")}  # fmt: skip
FORECAST_LOOKS = {
    "zero_velocity": (BLACK, "zero velocity"),
    "constant_velocity": (MUTED, "constant velocity"),
    "damped_velocity": (RED, "damped velocity"),
    "linear": (ORANGE, "linear"),
    "neural": (BLUE, "neural"),
    "temporal": (PURPLE, "temporal"),
    "forecast": (GREEN, "forecast"),
}
TRUE_HAND = SKY
WRISTS = [0, 21]
SAMPLES = {"median": 0.5, "fast": 0.9, "fastest": 1.0}
"""Test samples that are drawn, by the quantile of how far the hands move."""
_FAR, _FURTHEST = 1.0, 2.5
"""Gains are drawn this far, in ways from floor to perfection; those over a rival that may be worse
than the floor as far as they reach, within limits."""
_MM = 1000
_ZONES = {"near": "within 0.5 s", "middle": "0.5 to 2 s", "far": "beyond 2 s"}
_NAIVE = "velocity"

Studied = Mapping[str, tuple[Sequence[Record], Mapping[str, Task]]]
"""Contract -> its rows and its tasks by name."""
Answered = Sequence[tuple[Problem, Mapping[str, Predictions]]]
"""Problems of one contract, each with the predictions of its heads."""


@styled
def draw_gains(studied: Studied, rival: str = FLOOR) -> Picture:
    """Return what heads gain over a rival, a row per task, a panel per contract.

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
    names = list(dict.fromkeys(name for _, tasks in studied.values() for name in tasks))
    canvas = new_figure(2.1 + 0.33 * len(names))
    over = "the best trivial baseline" if rival == FLOOR else "the linear head"
    subtitle = (
        f"Gain over {over}, as a share of the way from the best baseline to perfection. Filled: "
        "significantly better or worse; hollow: not. Bars: 95\N{NO-BREAK SPACE}% intervals. "
        "An arrow: further than is drawn."
    )
    set_title(canvas, title, subtitle)
    panels = canvas.subplots(1, len(studied), sharey=True, squeeze=False)[0]
    gains, far = [], _reach(studied, rival)
    for ax, (contract, (rows, tasks)) in zip(panels, studied.items(), strict=True):
        shown = {names.index(name): task for name, task in tasks.items()}
        gains += _gain_panel(ax, Rows(rows), shown, rival, far)
        ax.set(title=contract, xlabel="gain", xlim=(-far - 0.12, far + 0.12))
    panels[0].set(yticks=range(len(names)), ylim=(len(names) - 0.4, -0.6))
    panels[0].set_yticklabels([name.replace("_", " ") for name in names])
    handles = [
        Line2D([], [], color=colour, marker=marker, linewidth=1.6, markersize=4.5, label=head)
        for head, (colour, marker) in HEAD_LOOKS.items()
        if head != rival
    ]
    canvas.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=7.5)
    return Picture(canvas, title, f"{title}. {'; '.join(gains) or 'There is nothing to draw'}.")


def _gain_of(
    rows: Rows, task: Task, head: str, rival: str
) -> tuple[Record, tuple[float, float | None, float | None]] | None:
    """Return a head's difference from a rival, and the gain that it is, or None."""
    row, mine = difference_of(rows, task, head, rival), score_of(rows, task, head)
    if row is None or row.value is None or mine.floor is None or mine.skill is None:
        return None
    return row, gained(row, mine.floor, task)


def _reach(studied: Studied, rival: str) -> float:
    """Return how far gains are drawn: all of them, if none is too far."""
    if rival == FLOOR:
        return _FAR
    found = [_gain_of(Rows(rows), task, head, rival) for rows, tasks in studied.values()
             for task in tasks.values() for head in HEAD_NAMES]  # fmt: skip
    ends = [abs(end) for one in found if one for end in one[1] if end is not None]
    return min(max([_FAR, *ends]), _FURTHEST)


def _gain_panel(
    ax: Axes, rows: Rows, tasks: Mapping[int, Task], rival: str, far: float
) -> list[str]:
    """Draw a contract's gains, each task at its place; return them in words."""
    gains = []
    heads = [name for name in HEAD_NAMES if name != rival]
    for place, task in tasks.items():
        for shift, head in zip(np.linspace(-0.24, 0.24, len(heads)), heads, strict=True):
            if (one := _gain_of(rows, task, head, rival)) is None:
                continue
            (row, gain), (found, _) = one, verdict(one[0])
            filled = found in (Verdict.BETTER, Verdict.WORSE)
            _mark(ax, place + shift, gain, HEAD_LOOKS[head], filled, far)
            gains.append(f"{row.contract} {task.name} {head} {gain[0]:+.2f} ({found})")
    ax.axvline(0, color=INK, linewidth=0.9)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.tick_params(axis="y", length=0)
    return gains


def _mark(
    ax: Axes, at: float, gain: tuple, look: tuple[str, str], filled: bool, far: float
) -> None:
    value, low, high = gain
    colour, marker = look
    if low is not None:
        ax.plot(np.clip([low, high], -far, far), [at, at], color=colour, linewidth=1.6)
    face = {"color": colour} if filled else {"facecolor": "white", "edgecolor": colour}
    shape = "<" if value < -far else ">" if value > far else marker
    edge = far + 0.04
    ax.scatter(np.clip(value, -edge, edge), at, marker=shape, s=20, zorder=3, linewidth=1.1, **face)


def _gains_title(studied: Studied, rival: str) -> str:
    parts, untested = [], []
    for contract, (rows, tasks) in studied.items():
        found = Rows(rows)
        heads = [name for name in HEAD_NAMES if name != rival]
        rows_of = {name: [difference_of(found, task, head, rival) for head in heads]
                   for name, task in tasks.items()}  # fmt: skip
        told = [verdict(row)[0] for each in rows_of.values() for row in each if row is not None]
        if told and set(told) == {Verdict.NOT_TESTED}:
            untested.append(contract)
            continue
        won = sum(any(verdict(row)[0] is Verdict.BETTER for row in each)
                  for each in rows_of.values())  # fmt: skip
        parts.append(f"{won or 'none'} of {counted(len(tasks), 'task')} under {contract}")
    over = "its best trivial baseline" if rival == FLOOR else "the linear head"
    who = "A head" if rival == FLOOR else "A network"
    rest = f"not tested under {' and '.join(untested)}" if untested else ""
    if not parts:
        return f"Whether {who.lower()} is better than {over} is {rest}"
    return f"{who} is significantly better than {over} in {', '.join(filter(None, [*parts, rest]))}"


@styled
def draw_curves(answered: Answered) -> Picture:
    """Return training and held-out losses by epoch, a panel per task, a thin line per seed.

    Parameters
    ----------
    answered : sequence of (Problem, {head: predictions})
        Heads that aren't trained step by step are passed over.
    """
    shown: dict[str, dict[str, list]] = {}
    for problem, heads in answered:
        for head, predictions in heads.items():
            if curves := [one.curve for one in predictions if one.curve]:
                shown.setdefault(problem.task.name, {})[head] = curves
    title = _curves_title(shown)
    n_rows = max(1, -(-len(shown) // 4))
    canvas = new_figure(1.3 + 1.25 * n_rows)
    set_title(canvas, title, "Loss by epoch, each panel on its own scale: held-out segments of "
              "time (solid) and training (dotted). One line per seed; the mark is the epoch that "
              "was chosen.")  # fmt: skip
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
    named = dict.fromkeys(head for heads in shown.values() for head in heads)
    handles = [Line2D([], [], color=HEAD_LOOKS[head][0], label=head) for head in named]
    if handles:
        canvas.legend(handles=handles, loc="lower right", ncols=2, fontsize=7.5)
    seeds = "; ".join(
        f"{name}, {head}: {counted(len(curves), 'seed')}"
        for name, heads in shown.items()
        for head, curves in heads.items()
    )
    return Picture(canvas, title, f"{title}. {seeds}")


def _curve_lines(ax: Axes, curves: Sequence, colour: str) -> None:
    for curve in curves:
        epochs = [point.epoch for point in curve]
        ax.plot(epochs, [p.train_loss for p in curve], ":", color=colour, lw=0.7, alpha=0.6)
        held = [point.validation_loss for point in curve]
        if all(loss is not None for loss in held):
            ax.plot(epochs, held, color=colour, linewidth=0.8, alpha=0.8)
            best = int(np.argmin(held))
            ax.scatter(epochs[best], held[best], color=colour, s=9, zorder=3, linewidth=0)


def _curves_title(shown: Mapping[str, Mapping[str, list]]) -> str:
    minima = []  # (epoch of least held-out loss, epochs run)
    for curve in (one for heads in shown.values() for curves in heads.values() for one in curves):
        held = [point.validation_loss for point in curve]
        if held and all(loss is not None for loss in held):
            minima.append((int(np.argmin(held)) + 1, len(held)))
    if not minima:
        return "No learning curve was judged on held-out segments"
    middle = int(np.median([best for best, _ in minima]))
    n_rising = sum(best < n for best, n in minima)
    return (
        f"Held-out loss is least after {counted(middle, 'epoch')} (median); then "
        f"{n_rising} of {counted(len(minima), 'curve')} rise"
    )


def forecasts(answered: Answered) -> tuple[Problem, dict[str, Predictions]] | None:
    """Return the hand task's problem and all predictions of it, naive ones included.

    Parameters
    ----------
    answered : sequence of (Problem, {head: predictions})
        Of one contract; None is returned if no head forecast hands.
    """
    for problem, heads in answered:
        if problem.task.value_shape is not None and any(heads.values()):
            naive = {n: [Prediction(np.asarray(problem.naive(n)))] for n in problem.task.naive}
            if problem.task.recent is not None:
                naive["damped_velocity"] = [Prediction(problem.onward(damped_velocity))]
            return problem, naive | {head: one for head, one in heads.items() if one}
    return None


def _without_forecast(height_in: float) -> Picture:
    title = "No hands were forecast"
    canvas = new_figure(height_in)
    set_title(canvas, title)
    empty_panel(canvas.subplots(), "no head answered the hand task")
    return Picture(canvas, title, title)


@styled
def draw_horizon(answered: Mapping[str, Answered]) -> Picture:
    """Return the mean joint error by frames ahead, a panel per contract."""
    errors = {contract: _errors(found) for contract, found in answered.items()}
    title = _horizon_title(errors)
    canvas = new_figure(2.9)
    set_title(canvas, title, "Mean error of 42 hand joints by frames ahead, means over seeds.")
    panels = canvas.subplots(1, len(errors), squeeze=False, sharey=True)[0]
    for ax, (contract, found) in zip(panels, errors.items(), strict=True):
        ax.set_title(contract)
        if not found:
            empty_panel(ax, "no head answered the hand task")
            continue
        _error_lines(ax, found)
        ax.set(xlabel="frames ahead", ylabel="error (mm)", yscale="log")
        ax.yaxis.set_major_formatter(LogFormatter())
        ax.yaxis.set_minor_formatter(LogFormatter())
        ax.legend(fontsize=7)
    means = [
        f"{contract}, {_shown(name)}: {_MM * by_frame.mean():.1f} mm"
        for contract, found in errors.items()
        for name, by_frame in found.items()
    ]
    return Picture(canvas, title, f"{title}. Means over the horizon: {'; '.join(means)}.")


def _errors(answered: Answered, place: int | None = None) -> dict[str, np.ndarray]:
    """Return mean errors by frame ahead, metres, (n_frames,): of all samples or of one."""
    found = forecasts(answered)
    if found is None:
        return {}
    problem, predictions = found
    chosen = slice(None) if place is None else slice(place, place + 1)
    return {
        name: np.mean([joint_errors(problem, one)[chosen].mean(axis=0) for one in each], axis=0)
        for name, each in predictions.items()
    }


def _error_lines(ax: Axes, errors: Mapping[str, np.ndarray]) -> None:
    for name, by_frame in errors.items():
        frames = np.arange(1, len(by_frame) + 1)
        colour = FORECAST_LOOKS.get(name, (TRUE_HAND, name))[0]
        ax.plot(frames, _MM * by_frame, color=colour, linestyle=_dash(name), label=_shown(name))
    ax.grid(color=FAINT, linewidth=0.6)


def _shown(name: str) -> str:
    return FORECAST_LOOKS.get(name, ("", name.replace("_", " ")))[1]


def _horizon_title(errors: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    parts = []
    for contract, found in errors.items():
        heads = {name: e.mean() for name, e in found.items() if not name.endswith(_NAIVE)}
        if heads and "zero_velocity" in found:
            ratio = min(heads.values()) / found["zero_velocity"].mean()
            parts.append(f"{ratio:.1f} times that of zero velocity under {contract}")
    return f"The best head's error is {', '.join(parts)}" if parts else "No hands were forecast"


@styled
def draw_by_speed(rows: Sequence[Record], task: str) -> Picture:
    """Return the mean joint error on thirds of the test samples, by how fast hands move.

    Parameters
    ----------
    rows : sequence of Record
        Of one contract.
    task : str
        Whose rows have variants ``speed=slow`` and so on.
    """
    found = {
        name: Rows(rows).all(task=task, metric="mpjpe", variant=f"speed={name}", against=None)
        for name in SPEEDS
    }
    errors = {name: {row.head: row for row in each if row.head in FORECAST_LOOKS}
              for name, each in found.items()}  # fmt: skip
    errors = {name: each for name, each in errors.items() if each}
    title = _speed_title(errors)
    canvas = new_figure(3.2)
    small = "Mean joint error on thirds of the test samples, by hand speed at present; 95 % "
    set_title(canvas, title, f"{small}intervals.")
    ax = canvas.subplots()
    if not errors:
        empty_panel(ax, "no head answered the hand task")
        return Picture(canvas, title, title)
    heads = [head for head in FORECAST_LOOKS if any(head in each for each in errors.values())]
    least = min(row.value for each in errors.values() for row in each.values())
    for place, each in enumerate(errors.values()):
        for shift, head in zip(np.linspace(-0.3, 0.3, len(heads)), heads, strict=True):
            if head in each:
                row, colour = each[head], FORECAST_LOOKS[head][0]
                if row.ci_low is not None:
                    ends = [_MM * max(row.ci_low, least / 2), _MM * row.ci_high]
                    ax.plot([place + shift] * 2, ends, color=colour, linewidth=1.6)
                ax.scatter(place + shift, _MM * row.value, color=colour, s=22, zorder=3)
    ax.set(xticks=range(len(errors)), xticklabels=errors, yscale="log", ylabel="error (mm)")
    ax.set_ylim(bottom=_MM * least / 2)
    ax.yaxis.set_major_formatter(LogFormatter())
    ax.yaxis.set_minor_formatter(LogFormatter())
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    looks = [FORECAST_LOOKS[head] for head in heads]
    handles = [Line2D([], [], color=colour, marker="o", ls="", markersize=4.5, label=label)
               for colour, label in looks]  # fmt: skip
    canvas.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=7.5)
    said = [f"{name}: {_in_words({head: row.value for head, row in each.items()})}"
            for name, each in errors.items()]  # fmt: skip
    return Picture(canvas, title, f"{title}. {'; '.join(said)}.")


def _speed_title(errors: Mapping[str, Mapping[str, Record]]) -> str:
    sides = {
        name: [_MM * each[head].value for head in ("forecast", "zero_velocity")]
        for name, each in errors.items()
        if {"zero_velocity", "forecast"} <= set(each)
    }
    if not sides:
        return "No forecast by speed"
    parts = (f"{mine:.1f} mm, zero velocity's {still:.1f}, where hands are {name}"
             for name, (mine, still) in sides.items() if name != "middle")  # fmt: skip
    return f"The forecast head's error is {'; '.join(parts)}"


@styled
def draw_hands(answered: Answered) -> Picture:
    """Return the path of a wrist and the errors over time, a column per sample.

    Parameters
    ----------
    answered : sequence of (Problem, {head: predictions})
        Of the corrected contract: positions in metres, x forward, y left, z up.
    """
    found = forecasts(answered)
    if found is None:
        return _without_forecast(1.6)
    problem, predictions = found
    moved = joint_errors(problem, predictions["zero_velocity"][0]).mean(axis=1)
    order = np.argsort(moved, kind="stable")
    places = {name: int(order[place_at(share, len(order))]) for name, share in SAMPLES.items()}
    errors = {name: _errors(answered, place) for name, place in places.items()}
    means = {name: {who: one.mean() for who, one in each.items()} for name, each in errors.items()}
    title = _hands_title(means)
    canvas = new_figure(5.2)
    set_title(canvas, title, "Above: path of the wrist that moves more, seen from the body. Below: "
              "mean error of 42 joints. Samples: the median, the 90th percentile and the highest "
              "of how far the hands move within the horizon.")  # fmt: skip
    panels = canvas.subplots(2, len(places), squeeze=False)
    for column, (name, place) in enumerate(places.items()):
        _draw_wrist(panels[0, column], problem, predictions, place)
        panels[0, column].set_title(f"{name}: {_MM * moved[place]:.0f} mm", fontsize=8)
        _error_lines(panels[1, column], errors[name])
        panels[1, column].set(xlabel="frames ahead", ylim=(0, None))
    panels[1, 0].set_ylabel("error (mm)")
    _forecast_legend(canvas, predictions)
    parts = [f"{name}: {_in_words(by_head)}" for name, by_head in means.items()]
    return Picture(canvas, title, f"{title}. Mean joint errors: {'; '.join(parts)}.")


def _forecast_legend(canvas: Canvas, predictions: Mapping[str, Predictions]) -> None:
    handles = [Line2D([], [], color=MUTED, marker=".", ls=":", label="before"),
               Line2D([], [], color=TRUE_HAND, linewidth=2.4, label="true")]  # fmt: skip
    handles += [_line_of(name) for name in predictions]
    canvas.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=7.5)


def _line_of(name: str) -> Line2D:
    colour, label = FORECAST_LOOKS.get(name, (MUTED, _shown(name)))
    return Line2D([], [], color=colour, linestyle=_dash(name), label=label)


def _dash(name: str) -> Any:
    return (0, (4, 1.5)) if name.endswith(_NAIVE) else "-"


def _in_words(errors: Mapping[str, float]) -> str:
    return ", ".join(f"{_shown(name)} {_MM * error:.0f} mm" for name, error in errors.items())


def _hands_title(errors: Mapping[str, Mapping[str, float]]) -> str:
    n_won = sum(
        min(error for head, error in by_head.items() if not head.endswith(_NAIVE))
        < by_head["zero_velocity"]
        for by_head in errors.values()
    )
    return f"Some head is nearer than zero velocity in {n_won} of {len(errors)} samples drawn"


def _draw_wrist(
    ax: Axes, problem: Problem, predictions: Mapping[str, Predictions], place: int
) -> None:
    """Draw the wrist that moves more, in the plane that shows most of it; the first seeds'."""
    shape = problem.task.value_shape
    member = problem.samples.members[problem.split.test[[place]]]
    before = past_hands(problem.truth, member, shape[0] + 1)[0, ::-1, WRISTS]  # joints first
    true = np.reshape(problem.test_targets[place], shape)[:, WRISTS]
    hand = int(np.linalg.norm(true[-1] - before[:, -1], axis=-1).argmax())
    before, true = before[hand], true[:, hand]
    across, up = sorted(np.ptp(np.concatenate([before, true]), axis=0).argsort()[1:])
    present = before[-1:]

    def path(points: np.ndarray, **look: Any) -> None:
        ax.plot(_MM * points[:, across], _MM * points[:, up], **look)

    path(before, color=MUTED, marker=".", markersize=3, linestyle=":")
    path(np.concatenate([present, true]), color=TRUE_HAND, linewidth=2.4)
    for name, each in predictions.items():
        ahead = np.reshape(each[0].predicted[place], shape)[:, WRISTS[hand]]
        path(np.concatenate([present, ahead]), color=FORECAST_LOOKS[name][0],
             linestyle=_dash(name), linewidth=1.1)  # fmt: skip
    path(present, color=BLACK, marker="o", markersize=4)
    ways = ("forward (mm)", "left (mm)", "up (mm)")
    ax.set(xlabel=ways[across], ylabel=ways[up])
    ax.set_aspect("equal", adjustable="datalim")
    ax.tick_params(labelsize=6.5)


@styled
def draw_hand_window(answered: Answered, share: float) -> Picture:
    """Return the path of a wrist after one test window, true and forecast, and the errors.

    Parameters
    ----------
    answered : sequence of (Problem, {head: predictions})
        Of one contract.
    share : float
        How far along the test windows, 0 to 1.
    """
    found = forecasts(answered)
    if found is None:
        return _without_forecast(3.3)
    problem, predictions = found
    here = int(problem.by_time[place_at(share, problem.n_test)])
    errors = _errors(answered, here)
    title = _hand_window_title(errors)
    figure = new_figure(3.5)
    small = "Left: path of the wrist that moves more, of several seeds the first."
    set_title(figure, title, f"{small} Right: mean error of 42 joints.")
    wrist, over = figure.subplots(1, 2)
    _draw_wrist(wrist, problem, predictions, here)
    _error_lines(over, errors)
    over.set(xlabel="frames ahead", ylabel="error (mm)", ylim=(0, None))
    over.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    _forecast_legend(figure, predictions)
    means = _in_words({name: one.mean() for name, one in errors.items()})
    return Picture(figure, title, f"{title}. Mean errors over the horizon: {means}.")


def _hand_window_title(errors: Mapping[str, np.ndarray]) -> str:
    means = {name: one.mean() for name, one in errors.items()}
    naive = {name: mean for name, mean in means.items() if name.endswith(_NAIVE)}
    heads = {name: mean for name, mean in means.items() if name not in naive}
    best, rival = min(heads, key=heads.get), min(naive, key=naive.get)
    how = "less" if heads[best] < naive[rival] else "more"
    return (
        f"Best head here ({_shown(best)}): {_MM * heads[best]:.0f} mm off, {how} than "
        f"{_shown(rival)} ({_MM * naive[rival]:.0f} mm)"
    )


@styled
def draw_near_changes(rows: Sequence[Record], tasks: Sequence[str]) -> Picture:
    """Return each head's accuracy by how far windows lie from a change of their label.

    Parameters
    ----------
    rows : sequence of Record
        Of one contract, with variants "boundary=near", "middle" and "far".
    tasks : sequence of str
        Those to draw, a panel each.
    """
    canvas, drawn = new_figure(3.1), []
    panels = canvas.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    for ax, task in zip(panels, tasks, strict=True):
        for at, zone in enumerate(_ZONES):
            found = [r for r in rows if (r.task, r.variant) == (task, f"boundary={zone}")]
            for shift, row in zip(np.linspace(-0.22, 0.22, len(found)), found, strict=True):
                if row.value is None:
                    continue
                colour, marker = HEAD_LOOKS.get(row.head, (MUTED, "^"))
                if row.ci_low is not None:
                    ax.plot([at + shift] * 2, [row.ci_low, row.ci_high], color=colour, lw=1.6)
                ax.scatter(at + shift, row.value, color=colour, marker=marker, s=22, zorder=3)
                drawn.append(row)
            n = next((row.n_test for row in found), 0)
            ax.text(at, 1.06, f"{n}", ha="center", fontsize=7.5, color=MUTED)
        ax.set(
            title=readable(task), xticks=range(len(_ZONES)), xlim=(-0.5, 2.5), ylim=(-0.03, 1.14)
        )
        ax.set_xticklabels(_ZONES.values())
        ax.grid(axis="y", color=FAINT, linewidth=0.6)
    panels[0].set_ylabel("accuracy")
    title = _changes_title(drawn, tasks[0])
    text = "Accuracy by the distance of a window's centre from the nearest change of its label. "
    text += "Grey: test windows. Bars: 95\N{NO-BREAK SPACE}% intervals, where there is one."
    set_title(canvas, title, text)
    heads = dict.fromkeys(row.head for row in drawn)
    handles = [
        Line2D([], [], color=colour, marker=marker, linewidth=1.6, markersize=4.5, label=head)
        for head, (colour, marker) in HEAD_LOOKS.items()
        if head in heads
    ]
    canvas.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=7.5)
    return Picture(canvas, title, f"Dot plot. {title}. {described(drawn)}")


def _changes_title(rows: Sequence[Record], task: str) -> str:
    """Return what the linear head's accuracy does from far away to near a change."""
    found = {row.variant: row for row in rows if (row.task, row.head) == (task, "linear")}
    zones = [zone for zone in _ZONES if f"boundary={zone}" in found]
    if len(zones) < 2:
        return "No accuracy can be told by the distance from a change"
    told = [
        f"{number(found[f'boundary={zone}'].value)} {_ZONES[zone]}"
        for zone in (zones[0], zones[-1])
    ]
    return f"{capital(readable(task))}, linear head: accuracy {told[0]} from a change, {told[1]}"
