"""How the feature blocks change over time: their main directions as a heat map."""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.linalg import eigh

from xperience.features.blocks import BLOCKS, Block
from xperience.features.table import WindowTable
from xperience.report.figures.style import (
    INK,
    MODALITY_COLOURS,
    MUTED,
    PAPER,
    RED,
    Picture,
    new_figure,
    set_title,
    styled,
    time_axis,
)
from xperience.report.quantities import counted, percent
from xperience.report.timeline import Timeline

_N_DIRECTIONS, _MAX_WINDOWS, _SMALLEST_STD, _LIMIT = 3, 1500, 1e-6, 2.5


@styled
def draw_structure(table: WindowTable) -> Picture:
    """Return each block's first three principal components over time, one row a component.

    Parameters
    ----------
    table : WindowTable

    Notes
    -----
    Columns are z-scored, near-constant ones left out; missing and static blocks have no rows. Of a
    long episode, evenly spread windows are drawn.
    """
    chosen = np.unique(np.linspace(0, len(table) - 1, min(len(table), _MAX_WINDOWS)).astype(int))
    found = {block: _directions(table.block(block.name)[chosen]) for block in BLOCKS}
    found = {block: pair for block, pair in found.items() if pair is not None}
    line = Timeline.of(table)
    rows = [pair[0] for pair in found.values()]
    figure = new_figure(max(1.5 + 0.093 * sum(map(len, rows)), 3.2))
    title = _title(found)
    left_out = [block.name for block in BLOCKS if block not in found]
    set_title(figure, title, _subtitle(left_out))
    ax = figure.subplots()
    if rows:
        _draw_rows(figure, ax, np.concatenate(rows), line)
    _name_blocks(ax, found, line)
    return Picture(figure, title, _alt(found, left_out, title))


def _directions(values: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Return the main directions of a block over time and their share of its variance.

    Returns
    -------
    float array, shape (at most 3, n_windows)
        Each scaled to unit variance, its sign chosen so that the largest value is positive; NaN
        for windows that the block doesn't cover.
    float
        Share of the z-scored block's variance that they carry.
    """
    there = np.isfinite(values).all(axis=1)
    if there.sum() < _N_DIRECTIONS + 1:
        return None
    x = values[there].astype(np.float64)
    std = x.std(axis=0)
    x = (x - x.mean(axis=0))[:, std > _SMALLEST_STD] / std[std > _SMALLEST_STD]
    if not x.shape[1]:
        return None
    scores, share = _components(x)
    largest = np.take_along_axis(scores, np.abs(scores).argmax(1)[:, None], axis=1)
    result = np.full((len(scores), len(values)), np.nan)
    result[:, there] = scores * np.sign(largest)
    return result, share


def _components(x: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the first principal components of centred columns, unit variance, (n, n_windows).

    The smaller of the two Gram matrices is enough, and only its largest eigenvalues are computed.
    """
    tall = len(x) > x.shape[1]
    gram = x.T @ x if tall else x @ x.T
    last = [max(len(gram) - _N_DIRECTIONS, 0), len(gram) - 1]
    values, vectors = eigh(gram, subset_by_index=last)
    kept = np.flatnonzero(values > 1e-9 * values[-1])[::-1]
    scores = (x @ vectors if tall else vectors)[:, kept].T  # (n, n_windows)
    share = float(values[kept].sum() / np.trace(gram))
    return scores / scores.std(axis=1, keepdims=True), min(share, 1.0)


def _title(found: dict[Block, tuple[np.ndarray, float]]) -> str:
    if not found:
        return "No block changes over time"
    shares = [share for _, share in found.values()]
    low, high = percent(min(shares)), percent(max(shares))
    return f"Three directions carry {low} to {high} of what a block varies"


def _subtitle(left_out: list[str]) -> str:
    text = "First three principal components of each z-scored block. Red ticks: the action changes."
    return f"{text} Without rows: {', '.join(left_out)}." if left_out else text


def _draw_rows(figure: Figure, ax: Axes, rows: np.ndarray, line: Timeline) -> None:
    extent = (0, line.n_frames / line.fps, len(rows), 0)
    limits = {"vmin": -_LIMIT, "vmax": _LIMIT, "interpolation": "nearest"}
    cmap = mpl.colormaps["PuOr"].with_extremes(bad="#E4E6E8")
    picture = ax.imshow(rows, cmap=cmap, aspect="auto", extent=extent, **limits)
    place = {"location": "bottom", "shrink": 0.5, "aspect": 40, "pad": 0.02, "anchor": (1.0, 1.0)}
    bar = figure.colorbar(picture, ax=ax, **place)
    bar.set_label("standard deviations from the mean")
    bar.outline.set_visible(False)
    top = {"transform": ax.get_xaxis_transform(), "clip_on": False, "color": RED, "linewidth": 1.2}
    for moment_s in line.changes_s():
        ax.plot([moment_s, moment_s], [1.004, 1.024], **top)


def _name_blocks(ax: Axes, found: dict[Block, tuple[np.ndarray, float]], line: Timeline) -> None:
    top, middles = 0, []
    for rows, share in found.values():
        middle = top + len(rows) / 2
        middles.append(middle)
        place = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": 8}
        ax.text(1.012, middle, percent(share), color=MUTED, clip_on=False, **place)
        top += len(rows)
        ax.axhline(top, color=PAPER, linewidth=2)
    head = {"transform": ax.transAxes, "color": MUTED, "fontsize": 8, "va": "bottom"}
    ax.text(1.012, 1.004, "variance", clip_on=False, **head)
    ax.set_yticks(middles, [block.name for block in found])
    for tick, block in zip(ax.get_yticklabels(), found, strict=True):
        tick.set_color(MODALITY_COLOURS[block.modality] if block.modality != "visual" else INK)
    ax.tick_params(axis="y", length=0)
    ax.spines[:].set_visible(False)
    time_axis(ax, line.n_frames, line.fps)


def _alt(found: dict[Block, tuple[np.ndarray, float]], left_out: list[str], title: str) -> str:
    parts = [f"Heat map over time with three rows for each of {counted(len(found), 'block')}."]
    parts.append(f"{title}.")
    parts += [f"{block.name}: {percent(share)}." for block, (_, share) in found.items()]
    if left_out:
        parts.append(f"Left out, as they are static or missing: {', '.join(left_out)}.")
    return " ".join(parts)
