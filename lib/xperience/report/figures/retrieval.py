"""Ranks of the true window: against chance, and at a tolerance in time."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from xperience.report.figures.style import (
    BLACK,
    BLUE,
    FAINT,
    MUTED,
    ORANGE,
    Picture,
    empty_panel,
    new_figure,
    set_title,
    styled,
)
from xperience.report.quantities import percent
from xperience.report.retrieval import above_chance, capital, task_words
from xperience.studies.retrieval.looks import Near, near
from xperience.studies.retrieval.retrieval import RETRIEVALS, TOLERANCES_FRAMES
from xperience.studies.retrieval.rows import Closely

CONTRACT_COLOURS = {"published": ORANGE, "corrected": BLUE}
CONTRACT_DASHES = {"published": (0, (5, 1.5)), "corrected": "-"}
Studies = Mapping[str, Closely]


@styled
def draw_ranks(studies: Studies) -> Picture:
    """Return how often the true window is among the first k candidates, a panel a task.

    Parameters
    ----------
    studies : mapping of {contract: Closely}

    Returns
    -------
    Picture
        Curves of the contracts, chance as a dashed line, 95 % of pairings shifted in time as bands,
        and the best that equal true vectors allow as a dotted line.
    """
    figure = new_figure(3.75)
    title = _rank_title(studies)
    small = "Bands: 95 % of pairings shifted in time, which keep the runs that time makes."
    set_title(figure, title, small)
    axes = figure.subplots(1, len(RETRIEVALS), sharey=all_there(studies))
    for ax, task in zip(axes, RETRIEVALS, strict=True):
        _draw_curves(ax, task, studies)
    axes[0].set_ylabel("queries answered by then")
    return Picture(figure, title, _rank_alt(studies, title))


def having(studies: Studies, task: str) -> dict[str, Closely]:
    """Return the contracts under which a retrieval has an answer."""
    return {name: study for name, study in studies.items() if task in study.rankings}


def all_there(studies: Studies) -> bool:
    """Return whether every retrieval has an answer, so that panels can share an axis.

    A panel that only says why it is empty has no ticks, and would take its neighbours' away.
    """
    return all(having(studies, task) for task in RETRIEVALS)


def reasons(studies: Studies, task: str) -> str:
    """Return why a task has no answer, one reason a contract unless they are the same."""
    found = [study.why_not(task) for study in studies.values()]
    return "; ".join(dict.fromkeys(why for why in found if why)) or "not asked"


def best_study(studies: Studies, task: str) -> Closely | None:
    """Return the study whose numbers titles quote: the corrected one where there is one."""
    found = having(studies, task)
    return found.get("corrected", next(iter(found.values()), None))


def quoted(studies: Studies) -> str:
    """Return under which contract the title's numbers are."""
    found = {one.contract for task in RETRIEVALS if (one := best_study(studies, task))}
    return f"Title: {' and '.join(sorted(found))}." if found and len(studies) > 1 else ""


def _rank_title(studies: Studies) -> str:
    parts, said = [], ""
    for task in reversed(RETRIEVALS):
        found = having(studies, task)
        if not found:
            continue
        verdict = _rank_verdict(found, task)
        places = " and ".join(f"{_median_rank(study, task):g}" for study in found.values())
        n = max(len(study.rankings[task]) for study in found.values())
        words = (
            f"{task_words(task)} likewise" if verdict == said else f"{task_words(task)} {verdict}"
        )
        parts.append(f"{words} ({'' if parts else 'median rank '}{places} of {n})")
        said = verdict
    return capital(", ".join(parts)) if parts else "No retrieval has an answer"


def _rank_verdict(found: Studies, task: str) -> str:
    told = {name: above_chance(study, task) for name, study in found.items()}
    won = [name for name, above in told.items() if above]
    if all(above is None for above in told.values()):
        return "can't be told from chance on this few windows"
    if not won:
        return "doesn't surely beat chance"
    return "beats chance" + ("" if len(won) == len(told) else f" under {won[0]} only")


def _median_rank(study: Closely, task: str) -> float:
    return float(np.median(study.rankings[task].ranks.expected))


def _draw_curves(ax: Axes, task: str, studies: Studies) -> None:
    ax.set_title(capital(task_words(task)), fontweight="bold")
    found = having(studies, task)
    if not found:
        empty_panel(ax, reasons(studies, task))
        return
    n = max(len(study.rankings[task]) for study in found.values())
    for name, study in found.items():
        _draw_curve(ax, name, study, task)
    _draw_limits(ax, next(iter(found.values())), task)
    ax.set(xscale="log", xlim=(1, n), ylim=(0, 1.5), xlabel="first k candidates")
    ax.set_yticks(np.linspace(0, 1, 6))
    ticks = [k for k in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000) if k <= n]
    ax.set_xticks(ticks, [str(k) for k in ticks])
    ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    ax.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0, symbol=" %"))
    ax.grid(color=FAINT, linewidth=0.6)
    ax.legend(loc="upper left", handlelength=2.2)


def _draw_curve(ax: Axes, name: str, study: Closely, task: str) -> None:
    ranking, chance, depths = study.rankings[task], study.chances[task], study.depths[task]
    colour = CONTRACT_COLOURS[name]
    if chance is not None:
        ax.fill_between(depths, *chance.band(), color=colour, alpha=0.16, linewidth=0)
    mrr = ranking.ranks.expected_reciprocal.mean()
    label = f"{name}: mean reciprocal rank {mrr:.3f}"
    look = {"color": colour, "linestyle": CONTRACT_DASHES[name], "linewidth": 1.9}
    ax.plot(depths, ranking.curve(depths), label=label, **look)


def _draw_limits(ax: Axes, study: Closely, task: str) -> None:
    ranking, depths = study.rankings[task], study.depths[task]
    n, n_distinct = len(ranking), ranking.n_distinct
    ax.plot(depths, depths / n, color=MUTED, linestyle=(0, (2, 2)), linewidth=1.1, label="chance")
    if n_distinct < n:
        label = f"limit: {n_distinct} distinct targets of {n}"
        ceiling = ranking.curve_ceiling(depths)
        ax.plot(depths, ceiling, color=BLACK, linestyle=":", linewidth=1.1, label=label)


def _rank_alt(studies: Studies, title: str) -> str:
    parts = [f"Two panels of rising curves over the number of candidates looked at. {title}."]
    for task in RETRIEVALS:
        for name, study in having(studies, task).items():
            ranking = study.rankings[task]
            tens = float(ranking.ranks.expected_top(10).mean())
            parts.append(
                f"{capital(task_words(task))}, {name}: the true window is among the first ten for "
                f"{percent(tens)} of {len(ranking)} queries; {ranking.n_distinct} targets differ."
            )
        if not having(studies, task):
            parts.append(f"{capital(task_words(task))} is missing: {reasons(studies, task)}.")
    return " ".join(parts)


# --- tolerance in time ------------------------------------------------------------------------


@styled
def draw_tolerance(studies: Studies) -> Picture:
    """Return hits and ranks if windows near the true one count too, a column a task.

    Parameters
    ----------
    studies : mapping of {contract: Closely}
    """
    figure = new_figure(4.6)
    title = _distance_title(studies)
    small = "Neighbouring windows share frames. Below: where the first such window ranks."
    small = f"{small} {quoted(studies)}"
    set_title(figure, title, small)
    shared = "row" if all_there(studies) else False
    grid = figure.subplots(2, len(RETRIEVALS), sharex="col", sharey=shared)
    for (above, below), task in zip(grid.T, RETRIEVALS, strict=True):
        above.set_title(capital(task_words(task)), fontweight="bold")
        _draw_tolerance(above, below, task, studies)
        above.set_ylim(0, None)
    grid[0, 0].set_ylabel("first answers that near")
    grid[1, 0].set_ylabel("median rank of the\nfirst window that near")
    return Picture(figure, title, _distance_alt(studies, title))


def _away_s(study: Closely, task: str) -> tuple[float, float]:
    """Return the median time from the first answer to the truth, and that of random answers."""
    ranking = study.rankings[task]
    rows = np.arange(len(ranking))
    away = float(np.median(ranking.distance_frames[rows, ranking.answers]))
    return away / study.fps, float(np.median(ranking.distance_frames)) / study.fps


def _distance_title(studies: Studies) -> str:
    parts, chance = [], []
    for task in reversed(RETRIEVALS):
        study = best_study(studies, task)
        if study is not None:
            own_s, random_s = _away_s(study, task)
            parts.append(f"{own_s:.1f} s{'' if parts else ' or more away'} in {task_words(task)}")
            chance.append(random_s)
    if not parts:
        return "No retrieval has an answer"
    at_random = f"random ones {np.mean(chance):.1f} s"
    return f"Half of the first answers lie {', '.join(parts)}; {at_random}"


def _draw_tolerance(above: Axes, below: Axes, task: str, studies: Studies) -> None:
    found = having(studies, task)
    if not found:
        for ax in (above, below):
            empty_panel(ax, reasons(studies, task))
        return
    places = np.arange(len(TOLERANCES_FRAMES))
    for number, (name, study) in enumerate(found.items()):
        nears = [near(study.rankings[task], frames) for frames in TOLERANCES_FRAMES]
        look = {"color": CONTRACT_COLOURS[name], "linestyle": CONTRACT_DASHES[name], "label": name}
        look |= {"marker": "os"[number % 2], "markersize": 4, "linewidth": 1.6}
        above.plot(places, [one.first.mean() for one in nears], **look)
        below.plot(places, [np.median(one.rank) for one in nears], **look)
    fps = next(iter(found.values())).fps
    names = [f"{frames}\n{frames / fps:.3g} s" for frames in TOLERANCES_FRAMES]
    below.set_xticks(places, names)
    below.set(yscale="log", xlabel="tolerance: frames between centres, seconds")
    below.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    below.yaxis.set_minor_locator(mpl.ticker.NullLocator())
    below.yaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:g}"))
    above.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0, symbol=" %"))
    _draw_chance(above, below, nears)
    above.legend(loc="upper left")
    for ax in (above, below):
        ax.grid(color=FAINT, linewidth=0.6)


def _draw_chance(above: Axes, below: Axes, nears: list[Near]) -> None:
    look = {"color": MUTED, "linestyle": (0, (2, 2)), "linewidth": 1.1, "label": "chance"}
    above.plot(range(len(nears)), [one.chance_first for one in nears], **look)
    below.plot(range(len(nears)), [one.chance_median_rank for one in nears], **look)


def _distance_alt(studies: Studies, title: str) -> str:
    parts = [f"Two columns of curves over a tolerance in time. {title}."]
    for task in RETRIEVALS:
        for name, study in having(studies, task).items():
            first, last = (near(study.rankings[task], k) for k in TOLERANCES_FRAMES[::3][:2])
            parts.append(
                f"{capital(task_words(task))}, {name}: {percent(first.first.mean())} of first "
                f"answers are exact, {percent(last.first.mean())} are within "
                f"{last.tolerance_frames} frames; chance gives {percent(last.chance_first)}."
            )
        if not having(studies, task):
            parts.append(f"{capital(task_words(task))} is missing: {reasons(studies, task)}.")
    return " ".join(parts)
