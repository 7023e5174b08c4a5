"""Which part of an episode each stream covers."""

from collections import Counter

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from xperience.recording.inspect import EpisodeReport, StreamReport
from xperience.recording.recording import Episode
from xperience.report.figures.style import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    RED,
    SKY,
    Picture,
    new_figure,
    set_title,
    styled,
    time_axis,
)
from xperience.report.quantities import counted, percent
from xperience.report.validity import frame_validity

_BINS = 400
_NONE, _SOME, _ALL, _STATIC = range(4)
_SHADES = ("#F1F2F3", ORANGE, BLUE, SKY)
_WORDS = ("no value", "some frames", "every frame", "does not change over time")


@styled
def draw_coverage(episode: Episode, report: EpisodeReport) -> Picture:
    """Return a strip a stream: where it has values, and where it has not.

    Parameters
    ----------
    episode : Episode
    report : EpisodeReport
        Of the same episode.
    """
    strips = np.array([_strip(episode, row) for row in report.streams])
    figure = new_figure(1.6 + 0.215 * len(strips))
    title = _title(report)
    set_title(figure, title, _subtitle(report))
    ax = figure.subplots()
    cmap = mpl.colors.ListedColormap(_SHADES)
    length_s = episode.n_frames / episode.fps
    extent = (0, length_s, len(strips) - 0.5, -0.5)
    look = {"cmap": cmap, "vmin": -0.5, "vmax": 3.5, "interpolation": "nearest"}
    ax.imshow(strips, aspect="auto", extent=extent, **look)
    for row in range(1, len(strips)):
        ax.axhline(row - 0.5, color=PAPER, linewidth=3.5)
    time_axis(ax, episode.n_frames, episode.fps)
    ax.set(yticks=range(len(strips)), yticklabels=[row.stream for row in report.streams])
    ax.tick_params(axis="y", length=0)
    ax.spines[:].set_visible(False)
    _annotate(ax, report, length_s)
    _legend(ax, strips)
    return Picture(figure, title, _alt(report, title))


def _strip(episode: Episode, row: StreamReport) -> np.ndarray:
    """Return none, some or all for each bin of time, int array, shape (_BINS,)."""
    if row.status in ("missing", "broken"):
        return np.full(_BINS, _NONE)
    valid = frame_validity(episode, row.stream)
    if valid is None:
        return np.full(_BINS, _STATIC)
    edges = np.linspace(0, len(valid), _BINS + 1)
    first, last = np.floor(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int)
    total = np.r_[0, np.cumsum(valid)]
    good = total[last] - total[first]
    return np.where(good == last - first, _ALL, np.where(good == 0, _NONE, _SOME))


def _title(report: EpisodeReport) -> str:
    whole = sum(row.status == "ok" and row.coverage >= 1 for row in report.streams)
    n = len(report.streams)
    if whole == n:
        return f"All {n} streams cover the whole episode"
    return f"{whole} of {counted(n, 'stream')} cover the whole episode"


def _subtitle(report: EpisodeReport) -> str:
    states = Counter(row.status for row in report.streams if row.status != "ok")
    faults = sum(len(row.faults) for row in report.streams)
    if not faults:
        return "No fault was found. Depth is looked at in a few frames only."
    counts = ", ".join(f"{number} {status}" for status, number in sorted(states.items()))
    return f"{counts}; {counted(faults, 'fault')} named in the table below."


def _annotate(ax: Axes, report: EpisodeReport, length_s: float) -> None:
    for number, row in enumerate(report.streams):
        lost = row.status in ("missing", "broken")
        text = row.status if lost else percent(row.coverage)
        note = "" if lost or row.status == "ok" else f"  {row.status}"
        colour = RED if lost else INK if row.status == "ok" else "#8A5A00"
        place = {"va": "center", "clip_on": False, "fontsize": 8}
        ax.text(1.012 * length_s, number, text + note, color=colour, **place)


def _legend(ax: Axes, strips: np.ndarray) -> None:
    kinds = [kind for kind in (_ALL, _SOME, _NONE, _STATIC) if (strips == kind).any()]
    handles = [
        Patch(facecolor=_SHADES[kind], edgecolor=MUTED, linewidth=0.4, label=_WORDS[kind])
        for kind in kinds
    ]
    spot = {"loc": "lower left", "bbox_to_anchor": (-0.01, 1.0), "ncols": 4, "columnspacing": 1.4}
    ax.legend(handles=handles, handlelength=1.2, **spot)


def _alt(report: EpisodeReport, title: str) -> str:
    parts = [f"One strip over time for each of {counted(len(report.streams), 'stream')}. {title}."]
    for row in report.streams:
        if row.status in ("missing", "broken"):
            parts.append(f"{row.stream} is {row.status}.")
        elif row.coverage < 1:
            parts.append(f"{row.stream} covers {percent(row.coverage)}.")
    return " ".join(parts)
