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
from xperience.report.figures.points import key
from xperience.report.figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    INK,
    MUTED,
    NARROW_IN,
    ORANGE,
    PAPER,
    PURPLE,
    RED,
    SKY,
    Picture,
    empty_panel,
    new_figure,
    nothing,
    set_title,
    styled,
)
from xperience.report.heads import FLOOR, HEAD_NAMES, difference_of, gained, score_of
from xperience.report.quantities import counted, place_at
from xperience.report.tables import (
    Rows,
    Verdict,
    any_tested,
    capital,
    described,
    listed,
    of_tested,
    readable,
    share,
    verdict,
)
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
_FAR, _FURTHEST = 1.0, 2.5
"""Gains are drawn this far, in ways from floor to perfection; those over a rival that may be worse
than the floor as far as they reach, within limits."""
_MM = 1000
_ZONES = {"near": "within 0.5 s", "middle": "0.5 to 2 s", "far": "beyond 2 s"}
_NAIVE = "velocity"
_UNFORECAST, _UNANSWERED = "No hands were forecast", "no head answered the hand task"

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
    counts = {contract: _won(*one, rival) for contract, one in studied.items()}
    title = _gains_title(counts, rival)
    tested = {one: studied[one] for one, of in counts.items() if any_tested(of)}
    if not tested:
        return nothing(title, "no head's difference from it was tested")
    names = _in_order(tested, rival)
    canvas = new_figure(2.3 + 0.3 * len(names), NARROW_IN)
    over = "the best trivial baseline" if rival == FLOOR else "the linear head"
    subtitle = (
        f"Gain over {over}: 1 is the way from the best baseline to perfection. Filled: "
        "significant; hollow: not. Bars: 95\N{NO-BREAK SPACE}% intervals. Arrow: beyond the panel."
    )
    set_title(canvas, title, subtitle)
    panels = canvas.subplots(1, len(tested), sharey=True, squeeze=False)[0]
    gains, far = [], _reach(tested, rival)
    for ax, (contract, (rows, tasks)) in zip(panels, tested.items(), strict=True):
        shown = {names.index(name): task for name, task in tasks.items()}
        gains += _gain_panel(ax, Rows(rows), shown, rival, far)
        ax.set(title=contract, xlabel="gain", xlim=(-far - 0.12, far + 0.12))
    panels[0].set(yticks=range(len(names)), ylim=(len(names) - 0.4, -0.6))
    panels[0].set_yticklabels([readable(name) for name in names])
    handles = [key(head, look) for head, look in HEAD_LOOKS.items() if head != rival]
    canvas.legend(handles=handles, loc="outside lower center", ncols=4)
    return Picture(canvas, title, f"{title}. {'; '.join(gains) or 'There is nothing to draw'}.")


def _won(rows: Sequence[Record], tasks: Mapping[str, Task], rival: str) -> dict[Verdict, int]:
    """Return in how many tasks some head is better than a rival, none is, and none was tested."""
    counts, rows = dict.fromkeys(Verdict, 0), Rows(rows)
    for task in tasks.values():
        told = {verdict(difference_of(rows, task, head, rival))[0]
                for head in HEAD_NAMES if head != rival}  # fmt: skip
        if told == {Verdict.NOT_TESTED}:
            counts[Verdict.NOT_TESTED] += 1
        else:
            counts[Verdict.BETTER if Verdict.BETTER in told else Verdict.NO_DIFFERENCE] += 1
    return counts


def _in_order(studied: Studied, rival: str) -> list[str]:
    """Return the tasks' names, the largest gain under the last contract first."""
    best = {name: float("-inf") for _, tasks in studied.values() for name in tasks}
    rows, tasks = list(studied.values())[-1]
    for name, task in tasks.items():
        found = [_gain_of(Rows(rows), task, head, rival) for head in HEAD_NAMES if head != rival]
        best[name] = max((one[1][0] for one in found if one), default=best[name])
    return sorted(best, key=best.get, reverse=True)


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


def _gains_title(counts: Mapping[str, Mapping[Verdict, int]], rival: str) -> str:
    parts = [
        f"in {of[Verdict.BETTER] or 'none'} of {of_tested(of)} under {contract}"
        for contract, of in counts.items()
        if any_tested(of)
    ]
    untested = [contract for contract, of in counts.items() if not any_tested(of)]
    who, over = ("A head", "trivial baselines") if rival == FLOOR else (
        "A network", "the linear head")  # fmt: skip
    if not parts:
        return f"Whether {who.lower()} is better than {over} is not tested"
    parts += [f"not tested under {listed(untested)}"] if untested else []
    return f"{who} is significantly better than {over} {'; '.join(parts)}"


@styled
def draw_curves(answered: Answered) -> Picture:
    """Return losses by epoch, a panel per head, a thin line per task and seed.

    Heads that aren't trained step by step are passed over.
    """
    shown: dict[str, list] = {}
    for _, heads in answered:
        for head, predictions in heads.items():
            if curves := [one.curve for one in predictions if one.curve and _judged(one.curve)]:
                shown.setdefault(head, []).extend(curves)
    turns = {head: [_turn(curve) + 1 for curve in curves] for head, curves in shown.items()}
    title = _curves_title(turns)
    if not shown:
        return nothing(title, "no head was trained step by step on held-out segments")
    canvas = new_figure(3.2, NARROW_IN)
    text = "Loss as a multiple of that of the first epoch, a line per task and seed. Coloured: "
    set_title(canvas, title, f"{text}held-out segments, with the chosen epoch; dotted: training.")
    panels = canvas.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for ax, (head, curves) in zip(panels, shown.items(), strict=True):
        colour = HEAD_LOOKS[head][0]
        for curve in curves:
            epochs, turn = [point.epoch for point in curve], _turn(curve)
            train, held = (np.array([getattr(point, name) for point in curve])
                           for name in ("train_loss", "validation_loss"))  # fmt: skip
            ax.plot(epochs, train / train[0], ":", color=MUTED, linewidth=0.6, alpha=0.35)
            ax.plot(epochs, held / held[0], color=colour, linewidth=0.7, alpha=0.5)
            ax.scatter(epochs[turn], held[turn] / held[0], color=colour, s=8, zorder=3)
        middle = counted(int(np.median(turns[head])), "epoch")
        ax.set(title=f"{head}: {middle} (median)", xlabel="epoch", yscale="log")
        _plain_log(ax)
        ax.grid(axis="y", color=FAINT, linewidth=0.6)
    panels[0].set_ylabel("loss / first loss")
    runs = "; ".join(f"{head}: {counted(len(curves), 'run')}" for head, curves in shown.items())
    return Picture(canvas, title, f"{title}. {runs}")


def _judged(curve: Sequence) -> bool:
    return all(point.validation_loss is not None for point in curve)


def _turn(curve: Sequence) -> int:
    return int(np.argmin([point.validation_loss for point in curve]))


def _curves_title(turns: Mapping[str, list[int]]) -> str:
    every = [turn for each in turns.values() for turn in each]
    if not every:
        return "No learning curve was judged on held-out segments"
    n_first = every.count(1)
    middle = counted(int(np.median(every)), "epoch")
    span = f"median; {min(every)} to {max(every)} in {counted(len(every), 'run')}"
    return (
        f"Held-out loss is least after {middle} ({span}); in {n_first or 'none'} the first epoch "
        "is the best"
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


@styled
def draw_horizon(answered: Mapping[str, Answered]) -> Picture:
    """Return the mean joint error by frames ahead, a panel per contract."""
    errors = {contract: _errors(found) for contract, found in answered.items()}
    title = _horizon_title(errors)
    if not any(errors.values()):
        return nothing(title, _UNANSWERED)
    canvas = new_figure(3.5, NARROW_IN)
    set_title(canvas, title, "Mean error of 42 hand joints by frames ahead, means over seeds.")
    panels = canvas.subplots(1, len(errors), squeeze=False, sharey=True)[0]
    for ax, (contract, found) in zip(panels, errors.items(), strict=True):
        ax.set_title(contract)
        if not found:
            empty_panel(ax, _UNANSWERED)
            continue
        _error_lines(ax, found)
        ax.set(xlabel="frames ahead", yscale="log")
        _plain_log(ax)
    panels[0].set_ylabel("error (mm)")
    names = dict.fromkeys(name for found in errors.values() for name in found)
    canvas.legend(handles=[_line_of(name) for name in names], loc="outside lower center", ncols=4)
    means = [
        f"{contract}, {_shown(name)}: {_MM * by_frame.mean():.1f} mm"
        for contract, found in errors.items()
        for name, by_frame in found.items()
    ]
    return Picture(canvas, title, f"{title}. Means over the horizon: {'; '.join(means)}.")


def _plain_log(ax: Axes) -> None:
    """Write the numbers of a logarithmic axis as they are, not as powers."""
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.yaxis.set_minor_formatter(LogFormatter())


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
        frames, line = np.arange(1, len(by_frame) + 1), _line_of(name)
        ax.plot(frames, _MM * by_frame, color=line.get_color(), ls=line.get_linestyle(),
                marker=line.get_marker(), markersize=3, markevery=3)  # fmt: skip
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.grid(color=FAINT, linewidth=0.6)


def _shown(name: str) -> str:
    return FORECAST_LOOKS.get(name, ("", name.replace("_", " ")))[1]


def _horizon_title(errors: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    parts = []
    for contract, found in errors.items():
        heads = {name: e.mean() for name, e in found.items() if not name.endswith(_NAIVE)}
        if heads and "zero_velocity" in found:
            ratio = min(heads.values()) / found["zero_velocity"].mean()
            parts.append(f"{ratio:.1f} times zero velocity's under {contract}")
    return f"The best head's error is {', '.join(parts)}" if parts else _UNFORECAST


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
    errors = {name: {row.head: row for row in each
                     if row.head in FORECAST_LOOKS and row.value is not None}
              for name, each in found.items()}  # fmt: skip
    errors = {name: each for name, each in errors.items() if each}
    title = _speed_title(errors)
    if not errors:
        return nothing(title, _UNANSWERED)
    canvas = new_figure(3.7, NARROW_IN)
    small = "Mean error of hand joints on thirds of the test samples, by the hands' present speed; "
    set_title(canvas, title, f"{small}95 % intervals.")
    ax = canvas.subplots()
    heads = [head for head in FORECAST_LOOKS if any(head in each for each in errors.values())]
    least = min(row.value for each in errors.values() for row in each.values())
    for place, each in enumerate(errors.values()):
        for shift, head in zip(np.linspace(-0.3, 0.3, len(heads)), heads, strict=True):
            if head in each:
                row, (colour, _) = each[head], FORECAST_LOOKS[head]
                if row.ci_low is not None:
                    ends = [_MM * max(row.ci_low, least / 2), _MM * row.ci_high]
                    ax.plot([place + shift] * 2, ends, color=colour, linewidth=1.6)
                marker, face = _mark_of(head)
                ax.plot(place + shift, _MM * row.value, color=colour, marker=marker, mfc=face)
    ax.set(xticks=range(len(errors)), xticklabels=errors, yscale="log", ylabel="error (mm)")
    ax.set_ylim(bottom=_MM * least / 2)
    _plain_log(ax)
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    handles = [_line_of(head) for head in heads]
    for handle, head in zip(handles, heads, strict=True):
        handle.set(linestyle="", marker=_mark_of(head)[0], markerfacecolor=_mark_of(head)[1])
    canvas.legend(handles=handles, loc="outside lower center", ncols=4)
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
        return "The forecast head has no error by speed"
    parts = (f"{mine:.1f} mm (zero velocity {still:.1f}) for {name} hands"
             for name, (mine, still) in sides.items() if name != "middle")  # fmt: skip
    return f"Forecast head's error: {', '.join(parts)}"


def _forecast_legend(canvas: Canvas, predictions: Mapping[str, Predictions]) -> None:
    handles = [Line2D([], [], color=MUTED, marker=".", ls=":", label="before"),
               Line2D([], [], color=TRUE_HAND, linewidth=2.4, label="true")]  # fmt: skip
    handles += [_line_of(name) for name in predictions]
    canvas.legend(handles=handles, loc="outside lower center", ncols=3)


def _line_of(name: str) -> Line2D:
    colour, label = FORECAST_LOOKS.get(name, (MUTED, _shown(name)))
    marker = HEAD_LOOKS[name][1] if name in HEAD_LOOKS else ""
    look = {"color": colour, "linestyle": _dash(name), "marker": marker}
    return Line2D([], [], markersize=4, label=label, **look)


def _mark_of(name: str) -> tuple[str, str]:
    """Return the shape and face of a forecast's mark: hollow where nothing is learned."""
    return ("o", PAPER) if name.endswith(_NAIVE) else (HEAD_LOOKS[name][1], HEAD_LOOKS[name][0])


def _dash(name: str) -> Any:
    return (0, (4, 1.5)) if name.endswith(_NAIVE) else "-"


def _in_words(errors: Mapping[str, float]) -> str:
    return ", ".join(f"{_shown(name)} {_MM * error:.0f} mm" for name, error in errors.items())


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
    ax.locator_params(nbins=5)


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
        return nothing(_UNFORECAST, _UNANSWERED)
    problem, predictions = found
    here = int(problem.by_time[place_at(share, problem.n_test)])
    errors = _errors(answered, here)
    title = _hand_window_title(errors)
    figure = new_figure(3.9, NARROW_IN)
    small = f"Contract {problem.contract}. Left: path of the wrist that moves more, of several "
    set_title(figure, title, f"{small}seeds the first. Right: mean error of 42 joints.")
    wrist, over = figure.subplots(1, 2)
    _draw_wrist(wrist, problem, predictions, here)
    _error_lines(over, errors)
    over.set(xlabel="frames ahead", ylabel="error (mm)", ylim=(0, None))
    _forecast_legend(figure, predictions)
    means = _in_words({name: one.mean() for name, one in errors.items()})
    return Picture(figure, title, f"{title}. Mean errors over the horizon: {means}.")


def _hand_window_title(errors: Mapping[str, np.ndarray]) -> str:
    means = {name: one.mean() for name, one in errors.items()}
    naive = {name: mean for name, mean in means.items() if name.endswith(_NAIVE)}
    heads = {name: mean for name, mean in means.items() if name not in naive}
    best = min(heads, key=heads.get)
    title = f"Best head here ({_shown(best)}): {_MM * heads[best]:.0f} mm off"
    if not naive:
        return title
    rival = min(naive, key=naive.get)
    how = "less" if heads[best] < naive[rival] else "not less"
    return f"{title}, {how} than {_shown(rival)} ({_MM * naive[rival]:.0f} mm)"


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
    if not tasks:
        return nothing("No task has accuracies by the time from a change", "no task was asked")
    canvas, drawn = new_figure(3.3, NARROW_IN), []
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
            ax.text(at, 1.06, f"{n}", ha="center", fontsize=8, color=MUTED)
        ax.set(title=capital(readable(task)), xlim=(-0.5, 2.5), ylim=(-0.03, 1.14))
        ax.set_xticks(range(len(_ZONES)), _ZONES.values())
        ax.grid(axis="y", color=FAINT, linewidth=0.6)
    panels[0].set_ylabel("accuracy")
    title = _changes_title(drawn, tasks[0])
    text = "Accuracy by the time from a window's centre to the nearest change of its label. Grey: "
    text += "test windows. Bars: 95\N{NO-BREAK SPACE}% intervals. The title is of the linear head."
    set_title(canvas, title, text)
    heads = dict.fromkeys(row.head for row in drawn)
    handles = [key(head, look) for head, look in HEAD_LOOKS.items() if head in heads]
    canvas.legend(handles=handles, loc="outside lower center", ncols=3)
    return Picture(canvas, title, f"Dot plot. {title}. {described(drawn)}")


def _changes_title(rows: Sequence[Record], task: str) -> str:
    """Return what the linear head's accuracy does from the nearest to the farthest zone."""
    own = {row.variant: row for row in rows if (row.task, row.head) == (task, "linear")}
    zones = [zone for zone in _ZONES if f"boundary={zone}" in own]
    if len(zones) < 2:
        return "No accuracy can be told by the time from a change"
    near, far = (own[f"boundary={zone}"] for zone in (zones[0], zones[-1]))
    told = f"{share(near.value)} correct {_ZONES[zones[0]]} from a change, "
    told += f"{share(far.value)} {_ZONES[zones[-1]]}"
    if near.ci_low is not None and far.ci_low is not None:
        apart = near.ci_high < far.ci_low or far.ci_high < near.ci_low
        told += f"; the intervals {'lie apart' if apart else 'overlap'}"
    return f"{capital(readable(task))}: {told}"
