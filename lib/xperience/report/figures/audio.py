"""What sound gains, task by task, and what the published mean over mixed units is made of."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from xperience.report.audio import OTHER, SOUND, Studies, account, by_finding
from xperience.report.figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    MUTED,
    ORANGE,
    PAPER,
    PURPLE,
    RED,
    SKY,
    Picture,
    empty_panel,
    new_figure,
    set_title,
    styled,
)
from xperience.report.quantities import counted, percent
from xperience.report.retrieval import task_words
from xperience.studies.audio.looks import Finding, Heard, Look
from xperience.studies.audio.mean import MixedMean

_LOOKS = {"published": (ORANGE, "s", -0.17), "corrected": (BLUE, "o", 0.17)}
_KIND_COLOURS = {"F1": SKY, "MRR": PURPLE, "MAE": RED}
_OUTWEIGHS = 1.5
"""Weight of a kind of score, as a multiple of its share of the tasks, that is worth a title."""
_FACTORS = np.geomspace(0.05, 20, 121)


@styled
def draw_audio_forest(studies: Studies) -> Picture:
    """Return net wins of sound, and of another account of it, a row a task.

    Parameters
    ----------
    studies : mapping of {contract: Heard}

    Returns
    -------
    Picture
        With 95 % intervals where there are any, and a ring around what may be claimed.
    """
    tasks = list(dict.fromkeys(task for study in studies.values() for task in study.contests))
    figure = new_figure(1.75 + 0.34 * (len(tasks) + 1))
    title = _forest_title(studies)
    small = (
        "Net wins: share of test windows answered better minus share answered worse. Bars: 95 % "
        "intervals; hollow: none can be given. A ring: the score's gain may be claimed."
    )
    set_title(figure, title, small)
    axes = figure.subplots(1, 2, sharey=True)
    others = " or ".join(account(contract) for contract in studies)
    names = ("with sound minus without", f"{others} instead")
    for ax, pair, name in zip(axes, (SOUND, OTHER), names, strict=True):
        ax.set_title(name)
        _draw_forest(ax, tasks, {name: study.looks[pair] for name, study in studies.items()})
    axes[0].set(yticks=range(len(tasks) + 1), ylim=(len(tasks) + 0.6, -0.6))
    axes[0].set_yticklabels([*(task_words(task) for task in tasks), "mean of the tasks"])
    _forest_legend(figure, studies)
    return Picture(figure, title, _forest_alt(studies, title))


def _forest_title(studies: Studies) -> str:
    known = {name: study for name, study in studies.items() if _n_asked(study)}
    if not known:
        return "Nothing can be asked about sound"
    said = {name: _claimed_words(study) for name, study in known.items()}
    if len(said) > 1 and len(set(said.values())) == 1:
        return f"Sound may be said to {next(iter(said.values()))}, under both contracts"
    return "Sound may be said to " + "; ".join(f"{what} ({name})" for name, what in said.items())


def _n_asked(study: Heard) -> int:
    return sum(look.effect is not None for look in study.looks[SOUND].values())


def _claimed_words(study: Heard) -> str:
    found = by_finding(study.looks[SOUND])
    better, worse = found[Finding.BETTER], found[Finding.WORSE]
    n = counted(_n_asked(study), "task")
    named = " and ".join(task_words(task) for task in better) if len(better) <= 2 else ""
    few = f"{len(better) or 'none'} of {n}"
    words = f"help in {named or few}"
    return words + (f" and hurt in {len(worse)}" if worse else "")


def _draw_forest(ax: Axes, tasks: Sequence[str], looks: Mapping[str, Mapping[str, Look]]) -> None:
    ax.axvline(0, color=BLACK, linewidth=0.9, zorder=1)
    ax.axhline(len(tasks) - 0.5, color=FAINT, linewidth=0.9)
    for contract, by_task in looks.items():
        colour, marker, shift = _LOOKS[contract]
        for place, task in enumerate(tasks):
            if task in by_task and by_task[task].effect is not None:
                _draw_look(ax, by_task[task], place + shift, (colour, marker))
        known = [look.effect.net_wins.estimate for look in by_task.values() if look.effect]
        if known:
            spot = (float(np.mean(known)), len(tasks) + shift)
            ax.scatter(*spot, color=colour, marker="D", s=30, zorder=3, linewidth=0)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.set(xlabel="net wins", xlim=(-1.02, 1.02))
    ax.tick_params(axis="y", length=0)


def _draw_look(ax: Axes, look: Look, at: float, style: tuple[str, str]) -> None:
    colour, marker = style
    found = look.effect.net_wins
    if found.low is not None:
        ax.plot([found.low, found.high], [at, at], color=colour, linewidth=2)
    face = PAPER if found.low is None else colour
    mark = {"facecolor": face, "edgecolor": colour, "linewidth": 1.2, "zorder": 3}
    ax.scatter(found.estimate, at, marker=marker, s=24, **mark)
    if look.claimed:
        ring = {"facecolor": "none", "edgecolor": BLACK, "linewidth": 1.3, "zorder": 4}
        ax.scatter(found.estimate, at, marker="o", s=120, **ring)


def _forest_legend(figure, studies: Studies) -> None:
    handles = [
        Line2D([], [], color=colour, marker=marker, linewidth=2, markersize=5, label=name)
        for name, (colour, marker, _) in _LOOKS.items()
        if name in studies
    ]
    ring = {"markerfacecolor": "none", "markeredgecolor": BLACK, "markersize": 9}
    handles.append(Line2D([], [], linestyle="", marker="o", label="may be claimed", **ring))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)


def _forest_alt(studies: Studies, title: str) -> str:
    parts = [f"Two panels of points with intervals, a row for each task. {title}."]
    for name, study in studies.items():
        known = {
            task: look.effect.net_wins.estimate
            for task, look in study.looks[SOUND].items()
            if look.effect is not None
        }
        if known:
            least, most = min(known, key=known.get), max(known, key=known.get)
            parts.append(
                f"Under {name} net wins of sound reach from {known[least]:+.2f} in "
                f"{task_words(least)} to {known[most]:+.2f} in {task_words(most)}; "
                f"their mean is {np.mean(list(known.values())):+.3f}."
            )
        else:
            reasons = dict.fromkeys(look.reason for look in study.looks[SOUND].values())
            parts.append(f"Under {name} there is nothing: {'; '.join(reasons)}.")
    return " ".join(parts)


# --- the mean over mixed units -----------------------------------------------------------------


@styled
def draw_mixed_mean(looks: Mapping[str, Look]) -> Picture:
    """Return what each task adds to the mean over mixed units, and what other units would make.

    Parameters
    ----------
    looks : mapping of {task: Look}
        Of one question.
    """
    mixed = MixedMean.of(looks)
    title = _mean_title(mixed)
    if not mixed.gains:
        figure = new_figure(1.6)
        set_title(figure, title)
        reason = "; ".join(dict.fromkeys(look.reason for look in looks.values()))
        empty_panel(figure.subplots(), reason, width=80)
        return Picture(figure, title, f"An empty panel. {title}. The reason: {reason}.")
    figure = new_figure(1.85 + 0.24 * max(len(mixed.gains), 8))
    set_title(
        figure,
        title,
        "Each gain is in its own unit. Right: the same gains, those of one kind rescaled.",
    )
    parts, line = figure.subplots(1, 2, width_ratios=(1.15, 1))
    _draw_parts(parts, mixed)
    _draw_rescaled(line, mixed)
    figure.legend(loc="outside lower center", ncols=len(mixed.n_tasks))
    return Picture(figure, title, _mean_alt(mixed, title))


def _mean_title(mixed: MixedMean) -> str:
    if not mixed.gains:
        return "No task has both answers, so there is no mean"
    if not any(mixed.gains.values()):
        return "Every gain is zero, in any unit"
    turns = any(mixed.turning_factor(kind) is not None for kind in mixed.n_tasks)
    tail = "another unit could turn its sign" if turns else "no unit turns its sign"
    return f"{_weight_words(mixed)}; {tail}"


def _weight_words(mixed: MixedMean) -> str:
    """Return whether one kind of score weighs more in the mean than its tasks are many."""
    kind, n = mixed.heaviest, len(mixed.gains)
    own, size = mixed.n_tasks[kind], mixed.size[kind]
    if size < _OUTWEIGHS * own / n:
        return "No kind of score outweighs the others in the mixed mean"
    who = f"{own} {kind} tasks of {n} make" if own > 1 else f"One {kind} task of {n} makes"
    return f"{who} up {percent(size)} of what the mixed mean sums"


def _draw_parts(ax: Axes, mixed: MixedMean) -> None:
    order = sorted(mixed.gains, key=lambda name: mixed.gains[name])
    n = len(order)
    for place, name in enumerate(order):
        colour = _colour(mixed.kinds[name])
        ax.barh(place, mixed.gains[name] / n, color=colour, height=0.7)
    ax.axvline(0, color=BLACK, linewidth=0.9)
    ax.axvline(mixed.mean, color=BLACK, linewidth=1.2, linestyle=(0, (3, 2)))
    ax.set(yticks=range(n), yticklabels=[task_words(name) for name in order])
    ax.set_xlabel("what the task adds to the mean (dashed)")
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=5)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)


def _colour(kind: str) -> str:
    return _KIND_COLOURS.get(kind, GREEN)


def _draw_rescaled(ax: Axes, mixed: MixedMean) -> None:
    for kind in mixed.n_tasks:
        means = [mixed.rescaled(kind, factor) for factor in _FACTORS]
        ax.plot(_FACTORS, means, color=_colour(kind), linewidth=1.9, label=f"{kind} tasks")
    for kind in mixed.n_tasks:
        factor = mixed.turning_factor(kind)
        if factor is not None and _FACTORS[0] <= factor <= _FACTORS[-1]:
            face = {"facecolor": PAPER, "edgecolor": _colour(kind), "linewidth": 1.4}
            ax.scatter(factor, 0, s=34, zorder=4, **face)
    ax.axhline(0, color=BLACK, linewidth=0.9)
    ax.axvline(1, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
    ax.set(xscale="log", xlabel="one kind of gain times this", ylabel="mean over mixed units")
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    most = 3 * max(abs(mixed.mean), *(abs(part) for part in mixed.part.values()))
    ax.set_ylim(-most or None, most or None)
    ax.grid(color=FAINT, linewidth=0.6)


def _mean_alt(mixed: MixedMean, title: str) -> str:
    said = [
        f"{kind}: {counted(n, 'task')}, {mixed.part[kind]:+.4f} of the mean, "
        f"{percent(mixed.size[kind])} of the size"
        for kind, n in mixed.n_tasks.items()
    ]
    turning = [
        f"{kind} times {factor:.2g}"
        for kind in mixed.n_tasks
        if (factor := mixed.turning_factor(kind)) is not None
    ]
    parts = [f"Bars of what each task adds to the mean, {mixed.mean:+.4f}. {title}."]
    parts.append(f"By kind: {'; '.join(said)}.")
    parts.append(f"The mean is zero at {', '.join(turning)}." if turning else "")
    return " ".join(part for part in parts if part)
