"""Which parts of depth and video motion and sound tell, and what weighs how much in one R²."""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from xperience.features.blocks import BLOCKS_BY_NAME
from xperience.report.figures.retrieval import Studies
from xperience.report.figures.style import (
    BLACK,
    BLUE,
    FAINT,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    Picture,
    empty_panel,
    new_figure,
    set_title,
    styled,
)
from xperience.report.quantities import counted, percent
from xperience.report.retrieval import capital
from xperience.studies.retrieval.reconstruction import (
    FLOORS,
    UNITS,
    WHOLE,
    GroupScore,
    Reconstruction,
)
from xperience.studies.retrieval.retrieval import SOURCES

_LOOKS = dict(zip(SOURCES, ((BLUE, "o"), (ORANGE, "^"), (BLACK, "D")), strict=True))
_FLOOR_MARKS = dict(zip(FLOORS, ("|", "x"), strict=True))
_FLOOR_WORDS = dict(zip(FLOORS, ("training mean", "nearest in time"), strict=True))
_LOW, _HIGH = -2.0, 0.85
_UNIT_COLOURS = dict(zip(UNITS, (ORANGE, BLUE), strict=True))


@styled
def draw_rebuilt(studies: Studies) -> Picture:
    """Return R² by block and by statistic, a panel a contract, with intervals and floors.

    Parameters
    ----------
    studies : mapping of {contract: Closely}

    Returns
    -------
    Picture
        Full marks beat the best floor with the whole interval of the difference.
    """
    figure = new_figure(5.6)
    title = _rebuilt_title(studies)
    small = f"Full marks beat the better floor for sure. ◂: below {_LOW:g}. Lines: intervals."
    set_title(figure, title, small)
    axes = figure.subplots(1, len(studies), sharey=True, squeeze=False)[0]
    for ax, (contract, study) in zip(axes, studies.items(), strict=True):
        ax.set_title(f"{contract}, {study.rebuilt.unit}", fontweight="bold")
        if study.rebuilt.scores:
            _draw_scores(ax, study.rebuilt)
        else:
            empty_panel(ax, "; ".join(dict.fromkeys(study.rebuilt.missing.values())))
    _name_rows(axes[0], next((s.rebuilt.groups for s in studies.values() if s.rebuilt.groups), []))
    place = {"loc": "outside lower center", "ncols": 5, "columnspacing": 1.2, "handlelength": 1}
    figure.legend(handles=_rebuilt_handles(), **place)
    return Picture(figure, title, _rebuilt_alt(studies, title))


def _draw_scores(ax: Axes, rebuilt: Reconstruction) -> None:
    for row, group in enumerate(rebuilt.groups):
        for number, (source, scores) in enumerate(rebuilt.scores.items()):
            _draw_score(ax, row + 0.2 * (number - 1), scores[group], _LOOKS[source])
        floors = next(iter(rebuilt.scores.values()))[group].floors
        for name, value in floors.items():
            look = {"marker": _FLOOR_MARKS[name], "color": MUTED, "markersize": 6}
            if value >= _LOW:
                ax.plot([value], [row], linestyle="none", zorder=1, **look)
    ax.axvline(0, color=MUTED, linewidth=0.8)
    ax.set(xlim=(_LOW - 0.08, _HIGH), xlabel="R² on test windows")
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    for place in (0.5, sum(g in (WHOLE, *BLOCKS_BY_NAME) for g in rebuilt.groups) - 0.5):
        ax.axhline(place, color=MUTED, linewidth=0.6)
    ax.tick_params(axis="y", length=0)


def _draw_score(ax: Axes, row: float, one: GroupScore, look: tuple[str, str]) -> None:
    if one.r2.value is None:
        return
    colour, marker = look
    place = max(one.r2.value, _LOW)
    marker = marker if one.r2.value >= _LOW else mpl.markers.CARETLEFTBASE
    face = colour if one.beats_floor else PAPER
    if one.interval is not None and one.interval.low is not None:
        ends = np.clip([one.interval.low, one.interval.high], _LOW, _HIGH)
        ax.plot(ends, [row, row], color=colour, linewidth=1, alpha=0.75)
    style = {"marker": marker, "markersize": 4.6, "color": colour, "markerfacecolor": face}
    ax.plot([place], [row], linestyle="none", **style)


def _name_rows(ax: Axes, groups: list[str]) -> None:
    names = [group.removeprefix("video_").replace("_", " ") for group in groups]
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)


def _rebuilt_handles() -> list[Line2D]:
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="none", label=f"from {source}")
        for source, (colour, marker) in _LOOKS.items()
    ]
    look = {"color": MUTED, "linestyle": "none"}
    words = _FLOOR_WORDS.items()
    return handles + [
        Line2D([], [], marker=_FLOOR_MARKS[k], label=name, **look) for k, name in words
    ]


def winners(rebuilt: Reconstruction, source: str) -> list[str]:
    """Return the blocks and statistics that an input tells for sure better than any floor."""
    scores = rebuilt.scores.get(source, {})
    return [group for group, one in scores.items() if group != WHOLE and one.beats_floor]


def _rebuilt_title(studies: Studies) -> str:
    known = {name: study.rebuilt for name, study in studies.items() if study.rebuilt.scores}
    if not known:
        return "Nothing was reconstructed"
    n = max(len(rebuilt.groups) for rebuilt in known.values()) - 1
    counts = {
        source: {name: len(winners(one, source)) for name, one in known.items()}
        for source in SOURCES
        if all(source in rebuilt.scores for rebuilt in known.values())
    }
    parts, told = [], True
    for source, found in list(counts.items())[:2]:
        words = (f"{number} ({name})" if told else f"{number}" for name, number in found.items())
        parts.append(f"{source} on {' and '.join(words)}")
        told = False
    return f"Surely above every floor, of {n} blocks and statistics: {', '.join(parts)}"


def _rebuilt_alt(studies: Studies, title: str) -> str:
    parts = [f"Dots for R² by block and by statistic. {title}."]
    for contract, study in studies.items():
        rebuilt = study.rebuilt
        for source, scores in rebuilt.scores.items():
            whole, won = scores[WHOLE].r2.value, winners(rebuilt, source)
            told = "none" if whole is None else f"{whole:.2f}"
            best = f"; better than any floor: {', '.join(won)}" if won else ""
            parts.append(f"{contract}, from {source}: R² {told} over all columns{best}.")
        parts += [f"{contract}, from {name}: {why}." for name, why in rebuilt.missing.items()]
    return " ".join(parts)


# --- weights ----------------------------------------------------------------------------------


@styled
def draw_weights(studies: Studies) -> Picture:
    """Return what share of an R² each block and statistic makes up, in raw and in scaled units.

    Parameters
    ----------
    studies : mapping of {contract: Closely}
        The first with a reconstruction is drawn.
    """
    figure = new_figure(3.5)
    rebuilt = next((s.rebuilt for s in studies.values() if s.rebuilt.spread_shares), None)
    title = "Nothing was reconstructed" if rebuilt is None else _weights_title(rebuilt)
    small = "A group's weight is its share of all that the test columns vary."
    set_title(figure, title, small)
    if rebuilt is None:
        why = [reason for study in studies.values() for reason in study.rebuilt.missing.values()]
        empty_panel(figure.subplots(), "; ".join(dict.fromkeys(why)), width=80)
        return Picture(figure, title, f"An empty panel. {title}: {'; '.join(why)}.")
    axes = figure.subplots(1, 2)
    for ax, (name, groups) in zip(axes, _kinds(rebuilt).items(), strict=True):
        ax.set_title(name, fontweight="bold")
        _draw_weights(ax, rebuilt, groups)
    handles = [Patch(color=colour, label=unit) for unit, colour in _UNIT_COLOURS.items()]
    handles.append(Line2D([], [], color=INK, marker="|", linestyle="none", label="columns"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, handlelength=1.2)
    return Picture(figure, title, _weights_alt(rebuilt, title))


def _kinds(rebuilt: Reconstruction) -> dict[str, list[str]]:
    blocks = [group for group in rebuilt.groups if group in BLOCKS_BY_NAME]
    rest = [group for group in rebuilt.groups if group not in (*blocks, WHOLE)]
    return {"by block": blocks, "by statistic": rest}


def _draw_weights(ax: Axes, rebuilt: Reconstruction, groups: list[str]) -> None:
    places = np.arange(len(groups))
    for number, (unit, shares) in enumerate(rebuilt.spread_shares.items()):
        values = [shares[group] for group in groups]
        offset = 0.19 * (2 * number - 1)
        ax.barh(places + offset, values, height=0.36, color=_UNIT_COLOURS[unit])
    columns = [rebuilt.column_shares[group] for group in groups]
    ax.plot(columns, places, color=INK, marker="|", markersize=13, linestyle="none")
    _name_rows(ax, groups)
    ax.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0, symbol=" %"))
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)


def _heaviest(rebuilt: Reconstruction) -> str:
    """Return the block whose weight in raw units is farthest above its share of the columns."""
    raw, columns = rebuilt.spread_shares[UNITS[0]], rebuilt.column_shares
    return max(_kinds(rebuilt)["by block"], key=lambda block: raw[block] - columns[block])


def _weights_title(rebuilt: Reconstruction) -> str:
    block = _heaviest(rebuilt)
    raw, scaled = (rebuilt.spread_shares[unit][block] for unit in UNITS)
    name, columns = capital(block.replace("_", " ")), percent(rebuilt.column_shares[block])
    return (
        f"{name} holds {columns} of the columns; in raw units it makes up {percent(raw)} of "
        f"the R², scaled {percent(scaled)}"
    )


def _weights_alt(rebuilt: Reconstruction, title: str) -> str:
    n = len(rebuilt.groups) - 1
    parts = [f"Pairs of bars for {counted(n, 'group')} of columns. {title}."]
    for group in rebuilt.groups:
        if group != WHOLE:
            raw, scaled = (percent(rebuilt.spread_shares[unit][group]) for unit in UNITS)
            parts.append(f"{group}: {raw} raw, {scaled} scaled.")
    return " ".join(parts)
