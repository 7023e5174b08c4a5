"""Similarity over time, and whether a retrieval finds the moment or only the place."""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xperience.evaluation.metrics import cosine
from xperience.report.figures.retrieval import (
    CONTRACT_COLOURS,
    Studies,
    all_there,
    best_study,
    having,
    quoted,
    reasons,
)
from xperience.report.figures.style import (
    FAINT,
    INK,
    MUTED,
    Picture,
    elide,
    empty_panel,
    new_figure,
    set_title,
    styled,
)
from xperience.report.retrieval import capital, finding, task_words
from xperience.studies.retrieval.looks import Contrast, contrast, standard_rows
from xperience.studies.retrieval.retrieval import RETRIEVALS, Ranking
from xperience.studies.retrieval.rows import AUC_CHANCE, Closely

_LIMIT, _TICKS, _MAX_NAMES = 2.5, 4, 24


@styled
def draw_similarity(studies: Studies) -> Picture:
    """Return similarity matrices of queries (rows) and candidates (columns), both over time.

    Parameters
    ----------
    studies : mapping of {contract: Closely}

    Returns
    -------
    Picture
        A row a retrieval and a column a contract; the last column is the true targets with
        themselves, what a perfect prediction would look like. Lines are changes of action.
    """
    figure = new_figure(5.3)
    title = _similarity_title(studies)
    small = f"Rows are queries. Lines: the action changes. Last: perfect answers. {quoted(studies)}"
    set_title(figure, title, small)
    names = list(studies)
    grid = figure.subplots(len(RETRIEVALS), len(names) + 1, squeeze=False)
    image = None
    for axes, task in zip(grid, RETRIEVALS, strict=True):
        for ax, name in zip(axes, names, strict=False):
            ax.set_title(f"{task_words(task)}, {name}")
            study = studies[name]
            if task in study.rankings:
                ranking = study.rankings[task]
                image = _draw_matrix(ax, ranking.similarity, ranking, study.fps)
            else:
                empty_panel(ax, study.why_not(task) or "no answer", width=24)
        drawn = _draw_truth(axes[-1], task, studies)
        image = image or drawn
    if image is not None:
        _add_bar(figure, image, grid)
    return Picture(figure, title, _similarity_alt(studies, title))


def _draw_truth(ax: Axes, task: str, studies: Studies) -> mpl.image.AxesImage | None:
    ax.set_title("truth with itself")
    study = best_study(studies, task)
    if study is None:
        empty_panel(ax, reasons(studies, task), width=24)
        return None
    ranking = study.rankings[task]
    return _draw_matrix(ax, cosine(ranking.targets, ranking.targets), ranking, study.fps)


def _draw_matrix(
    ax: Axes, similarity: np.ndarray, ranking: Ranking, fps: float
) -> mpl.image.AxesImage:
    look = {"cmap": "PuOr_r", "vmin": -_LIMIT, "vmax": _LIMIT, "interpolation": "nearest"}
    image = ax.imshow(standard_rows(similarity), **look)
    n = len(ranking)
    changes = [i for i in range(1, n) if ranking.actions[i] != ranking.actions[i - 1]]
    for place in changes:
        ax.axhline(place - 0.5, color=INK, linewidth=0.5, alpha=0.6)
        ax.axvline(place - 0.5, color=INK, linewidth=0.5, alpha=0.6)
    ticks = np.unique(np.linspace(0, n - 1, _TICKS).astype(int))
    times_s = ranking.centers[ticks] / fps
    names = [f"{int(time // 60)}:{int(time % 60):02d}" for time in times_s]
    ax.set_xticks(ticks, names)
    ax.set_yticks(ticks, names)
    ax.tick_params(labelsize=7.5, length=2)
    ax.spines[:].set_visible(False)
    return image


def _add_bar(figure: Figure, image: mpl.image.AxesImage, grid: np.ndarray) -> None:
    place = {"location": "bottom", "shrink": 0.5, "aspect": 40, "pad": 0.02}
    bar = figure.colorbar(image, ax=grid, extend="both", **place)
    bar.set_label("cosine, in standard deviations from the query's mean; times in min:s")
    bar.outline.set_visible(False)


def _similarity_title(studies: Studies) -> str:
    parts = []
    for task in reversed(RETRIEVALS):
        study = best_study(studies, task)
        if study is not None:
            found = contrast(study.rankings[task])
            rest = "" if found.action is None else f" (its action: {_signed(found.action)})"
            unit = "" if parts else " standard deviations"
            parts.append(f"by {_signed(found.own)}{unit} in {task_words(task)}{rest}")
    if not parts:
        return "No retrieval has an answer"
    return f"A query's own window stands out {', '.join(parts)}"


def _signed(value: float) -> str:
    return f"{value:.1f}".replace("-", "−")


def _similarity_alt(studies: Studies, title: str) -> str:
    parts = [f"Matrices of similarity over time, queries by candidates. {title}."]
    for task in RETRIEVALS:
        for name, study in having(studies, task).items():
            parts.append(_contrast_words(task, name, contrast(study.rankings[task])))
        if not having(studies, task):
            parts.append(f"{capital(task_words(task))} is missing: {reasons(studies, task)}.")
    return " ".join(parts)


def _contrast_words(task: str, contract: str, found: Contrast) -> str:
    known = {"own window": found.own, "same action": found.action, "elsewhere": found.elsewhere}
    told = ", ".join(f"{name} {value:.2f}" for name, value in known.items() if value is not None)
    return f"{capital(task_words(task))}, {contract}, in standard deviations: {told}."


# --- the place and the moment -----------------------------------------------------------------


@styled
def draw_place_and_moment(studies: Studies) -> Picture:
    """Return what the true window beats within its action and across actions, a row an action.

    Parameters
    ----------
    studies : mapping of {contract: Closely}
    """
    names = list(
        dict.fromkeys(n for s in studies.values() for p in s.splits.values() for n in p.names)
    )
    names = names[:_MAX_NAMES]
    figure = new_figure(2.6 + 0.33 * (len(names) + 1))
    title = _place_title(studies)
    small = "Candidates that share frames with the true window don't count. Lines: intervals."
    small = f"{small} {quoted(studies)}"
    set_title(figure, title, small)
    rows = ["all actions", *(elide(name, 26) for name in names)]
    axes = figure.subplots(1, len(RETRIEVALS), sharey=all_there(studies))
    for ax, task in zip(axes, RETRIEVALS, strict=True):
        ax.set_title(capital(task_words(task)), fontweight="bold")
        if having(studies, task):
            _draw_actions(ax, task, studies, names)
            ax.set_yticks(range(len(rows)), rows)
            ax.set_ylim(len(rows) - 0.5, -0.5)
        else:
            empty_panel(ax, reasons(studies, task))
    handles = _handles(studies)
    place = {"loc": "outside lower center", "ncols": len(handles), "columnspacing": 1.4}
    figure.legend(handles=handles, handlelength=1.2, **place)
    return Picture(figure, title, _place_alt(studies, title))


def _draw_actions(ax: Axes, task: str, studies: Studies, names: list[str]) -> None:
    found = having(studies, task)
    for number, (contract, study) in enumerate(found.items()):
        offset = 0.17 * (2 * number - len(found) + 1)
        ranking, split = study.rankings[task], study.splits[task]
        for values, marker in ((split.within, "o"), (split.across, "s")):
            colour = CONTRACT_COLOURS[contract]
            look = {"marker": marker, "markersize": 5, "linestyle": "none", "color": colour}
            look |= {"markerfacecolor": colour if marker == "o" else "white"}
            whole = ranking.mean(values)
            if whole.low is not None:
                ends = [whole.low, whole.high]
                ax.plot(ends, [offset, offset], color=colour, linewidth=1.1, alpha=0.8)
            places, means = _by_action(ranking, values, names)
            if whole.estimate is not None:
                places, means = [0, *places], [whole.estimate, *means]
            ax.plot(means, np.array(places) + offset, **look)
    ax.axvline(AUC_CHANCE, color=MUTED, linestyle=(0, (2, 2)), linewidth=1)
    ax.axhline(0.5, color=MUTED, linewidth=0.6)
    ax.set(xlim=(-0.02, 1.02), xlabel="share of those candidates below the true one")
    ax.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0, symbol=" %"))
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.tick_params(axis="y", length=0)


def _by_action(
    ranking: Ranking, values: np.ndarray, names: list[str]
) -> tuple[list[int], list[float]]:
    """Return the rows of the actions that have a mean, and their means."""
    places, means = [], []
    for row, name in enumerate(names, 1):
        mine = values[np.array([action == name for action in ranking.actions])]
        if np.isfinite(mine).any():
            places.append(row)
            means.append(float(np.nanmean(mine)))
    return places, means


def _handles(studies: Studies) -> list[Line2D]:
    kinds = {"within the action (the moment)": INK, "across actions (the place)": "white"}
    look = {"marker": "o", "linestyle": "none", "color": INK}
    handles = [
        Line2D([], [], label=name, markerfacecolor=face, **(look | {"marker": mark}))
        for (name, face), mark in zip(kinds.items(), "os", strict=True)
    ]
    handles += [Line2D([], [], color=CONTRACT_COLOURS[name], lw=3, label=name) for name in studies]
    return handles


def found_words(study: Closely, task: str) -> str:
    """Return what a retrieval finds, in words."""
    split = study.splits[task]
    return finding(study.rankings[task], split.within, split.across)


def _place_title(studies: Studies) -> str:
    parts, said = [], ""
    for task in reversed(RETRIEVALS):
        study = best_study(studies, task)
        if study is not None:
            words = found_words(study, task)
            same = words == said
            parts.append(f"{task_words(task)} {'likewise' if same else f'finds {words}'}")
            said = words
    return capital("; ".join(parts)) if parts else "No retrieval has an answer"


def _place_alt(studies: Studies, title: str) -> str:
    parts = [f"Dots on a line from none to all candidates, one row an action. {title}."]
    for task in RETRIEVALS:
        for name, study in having(studies, task).items():
            ranking, split = study.rankings[task], study.splits[task]
            within, across = (ranking.mean(values) for values in (split.within, split.across))
            told = " and ".join(
                f"{one.estimate:.0%} {kind}"
                for one, kind in ((within, "within its action"), (across, "across actions"))
                if one.estimate is not None
            )
            words = f"the true window beats {told}" if told else "no action has enough windows"
            parts.append(f"{capital(task_words(task))}, {name}: {words}.")
        if not having(studies, task):
            parts.append(f"{capital(task_words(task))} is missing: {reasons(studies, task)}.")
    return " ".join(parts)
