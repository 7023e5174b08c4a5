"""Classes over time on one split: where each is trained, where it is tested and named rightly."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from xperience.features.table import TableInfo
from xperience.features.windows import STRIDE_FRAMES
from xperience.report.figures.style import (
    BLUE,
    FAINT,
    INK,
    MUTED,
    ORANGE,
    RED,
    SKY,
    Picture,
    elide,
    empty_panel,
    new_figure,
    set_title,
    styled,
    time_axis,
)
from xperience.report.quantities import percent
from xperience.report.shift_words import SPLIT_NAMES
from xperience.studies.shift.study import LINEAR, ClassPlace, SplitCase

_MAX_ROWS, _LABEL_CHARS = 28, 30
_PURGED, _UNANSWERED = "#B8BDC2", "#5F6368"


@styled
def draw_class_times(case: SplitCase, info: TableInfo) -> Picture:
    """Return one row a class over time: training windows, test windows, and which were named.

    Parameters
    ----------
    case : SplitCase
    info : TableInfo
    """
    places = case.classes()
    if not places:
        return _nothing(case)
    shown = places[:_MAX_ROWS]
    figure = new_figure(1.95 + 0.2 * len(shown))
    title = _title(case, places)
    set_title(figure, title, _subtitle(case, len(places) - len(shown)))
    ax = figure.subplots()
    for row, place in enumerate(shown):
        _draw_class(ax, row, place, info.fps)
    ax.set(yticks=range(len(shown)), yticklabels=[elide(p.label, _LABEL_CHARS) for p in shown])
    for tick, place in zip(ax.get_yticklabels(), shown, strict=True):
        tick.set_color(RED if place.unseen else INK)
    ax.set_ylim(len(shown) - 0.4, -0.7)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    time_axis(ax, info.n_frames, info.fps)
    _name_columns(ax)
    _legend(ax, case)
    return Picture(figure, title, _alt(case, places, title))


def _draw_class(ax: Axes, row: int, place: ClassPlace, fps: float) -> None:
    ax.axhline(row, color=FAINT, linewidth=0.6, zorder=0)
    hit = np.zeros(len(place.test), dtype=bool) if place.hit is None else place.hit
    parts = (
        (place.purged, 0.3, _PURGED),
        (place.train, 0.3, SKY),
        (place.test[~hit], 0.74, _UNANSWERED if place.hit is None else ORANGE),
        (place.test[hit], 0.74, BLUE),
    )
    for centers, height, colour in parts:
        place_y = (row - height / 2, height)
        ax.broken_barh(_spans(centers, fps), place_y, linewidth=0, facecolor=colour)
    recall = "" if place.recall is None else f"{place.recall:.2f}"
    at = {"transform": ax.get_yaxis_transform(), "va": "center", "ha": "right", "fontsize": 8}
    texts = (f"{len(place.train)}", f"{len(place.test)}", recall)
    for x, text in zip(_COLUMNS, texts, strict=True):
        colour = RED if place.unseen and x == _COLUMNS[0] else MUTED
        ax.text(x, row, text, color=colour, clip_on=False, **at)


_COLUMNS = (1.055, 1.11, 1.18)


def _spans(centers: np.ndarray, fps: float) -> list[tuple[float, float]]:
    """Return (start, length) in seconds of each stretch of neighbouring windows."""
    if not len(centers):
        return []
    runs = np.split(centers, np.flatnonzero(np.diff(centers) > STRIDE_FRAMES) + 1)
    half = STRIDE_FRAMES / 2
    return [((run[0] - half) / fps, (run[-1] - run[0] + 2 * half) / fps) for run in runs]


def _name_columns(ax: Axes) -> None:
    at = {"transform": ax.transAxes, "ha": "right", "va": "bottom", "fontsize": 8, "color": MUTED}
    for x, text in zip(_COLUMNS, ("train", "test", "recall"), strict=True):
        ax.text(x, 1.0, text, clip_on=False, **at)


def _legend(ax: Axes, case: SplitCase) -> None:
    names = {SKY: "trains", BLUE: "test, named rightly", ORANGE: "test, named otherwise"}
    if case.by_head[LINEAR].answer is None:
        names = {SKY: "trains", _UNANSWERED: "test, no answer"}
    if len(case.problem.split.purged):
        names[_PURGED] = "purged"
    handles = [Patch(facecolor=colour, label=name) for colour, name in names.items()]
    spot = {"loc": "lower left", "bbox_to_anchor": (-0.02, 1.015)}
    ax.legend(handles=handles, ncols=4, handlelength=1.2, columnspacing=1.2, **spot)


def _title(case: SplitCase, places: Sequence[ClassPlace]) -> str:
    tested = [place for place in places if len(place.test)]
    unseen = [place for place in tested if place.unseen]
    n_test = sum(len(place.test) for place in tested)
    name = f"{SPLIT_NAMES[case.split].capitalize()}"
    if unseen:
        share = percent(sum(len(place.test) for place in unseen) / n_test)
        return (
            f"{name}: {len(unseen)} of {len(tested)} tested classes never trained, "
            f"{share} of the test windows"
        )
    if any(place.hit is None for place in tested):
        return f"{name}: every tested class was trained, but nobody answered"
    share = percent(sum(int(place.hit.sum()) for place in tested) / n_test)
    return f"{name}: every tested class was trained; {share} of the test windows are named rightly"


def _subtitle(case: SplitCase, n_more: int) -> str:
    text = f"{case.task.name}, {case.contract}, linear head on all features. Red: never trained."
    return f"{text} Classes not drawn: {n_more}." if n_more > 0 else text


def _alt(case: SplitCase, places: Sequence[ClassPlace], title: str) -> str:
    parts = [f"Timeline with one row a class and its windows by what they are for. {title}."]
    for place in places:
        if len(place.test):
            trained = (
                f"{len(place.train)} training windows" if len(place.train) else "never trained"
            )
            recall = "no answer" if place.recall is None else f"recall {percent(place.recall)}"
            parts.append(f"{place.label}: {trained}, {recall}.")
    return " ".join(parts)


def _nothing(case: SplitCase) -> Picture:
    reason = next((one.reason for one in case.outcomes if one.reason), "no window has a class")
    title = f"{SPLIT_NAMES[case.split].capitalize()}: no class can be placed"
    figure = new_figure(1.9)
    set_title(figure, title)
    empty_panel(figure.subplots(), reason, width=80)
    return Picture(figure, title, f"An empty panel. {title}. The reason: {reason}.")
