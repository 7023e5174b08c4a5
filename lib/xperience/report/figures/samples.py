"""Sample windows: a picture, the label and three signals in a row."""

import numpy as np
from matplotlib.axes import Axes

from xperience.features.table import WindowTable
from xperience.features.windows import WINDOW_FRAMES
from xperience.recording import layout
from xperience.recording.recording import Episode
from xperience.report.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    MUTED,
    ORANGE,
    Picture,
    empty_panel,
    new_figure,
    set_title,
    styled,
    wrap,
)
from xperience.report.quantities import counted
from xperience.report.samples import SIGNALS, Sample, read_samples

_WIDTHS = (1.15, 1.6, 1.25, 1.25, 1.25)
_COLOURS = dict(zip(SIGNALS, (BLUE, GREEN, ORANGE), strict=True))


@styled
def draw_samples(
    episode: Episode, table: WindowTable, n: int = 5, camera: str | None = None
) -> Picture:
    """Return windows evenly spread over an episode, one a row.

    Parameters
    ----------
    episode : Episode
    table : WindowTable
        Of the same episode.
    n : int
        How many.
    camera : str or None
        Whose pictures; the first usable one by default.
    """
    camera = camera or next(iter(episode.videos), layout.CAMERAS[0])
    samples = read_samples(episode, table, n, camera)
    figure = new_figure(1.0 + 0.93 * len(samples))
    title = _title(samples, table)
    window_s = WINDOW_FRAMES / table.info.fps
    subtitle = f"Each row is {WINDOW_FRAMES} frames, {window_s:.2g} s. Picture: {camera}, centre."
    set_title(figure, title, f"{subtitle} One scale a column.")
    grid = figure.subplots(len(samples), 5, width_ratios=_WIDTHS, squeeze=False)
    tops = {name: _top(samples, name) for name in SIGNALS}
    for axes, sample in zip(grid, samples, strict=True):
        _draw_image(axes[0], sample)
        _draw_label(axes[1], sample, table.info.fps)
        for ax, name in zip(axes[2:], SIGNALS, strict=True):
            _draw_signal(ax, sample, name, tops[name])
    for ax, (name, unit) in zip(grid[0][2:], SIGNALS.items(), strict=True):
        ax.set_title(f"{name}\n({unit})", loc="left", fontsize=8)
    for ax in grid[-1][2:]:
        first, last = ax.set_xticks([0, 1], ["0 s", f"{window_s:.2g} s"])
        first.label1.set_ha("left")
        last.label1.set_ha("right")
    return Picture(figure, title, _alt(samples, title))


def _title(samples: list[Sample], table: WindowTable) -> str:
    labels = {sample.action for sample in samples if sample.action}
    shown = f"{counted(len(samples), 'window')} of {len(table):,}"
    if not labels:
        return f"{shown}; none of them labelled"
    return f"{shown}, evenly spread, show {counted(len(labels), 'action')}"


def _top(samples: list[Sample], name: str) -> float:
    values = [sample.signals[name] for sample in samples if len(sample.signals[name])]
    top = float(np.nanmax(np.concatenate(values))) if values else 1.0
    return 1.08 * top if top > 0 else 1.0


def _draw_image(ax: Axes, sample: Sample) -> None:
    if sample.image is None:
        empty_panel(ax, sample.problems["image"], width=17, n_lines=4)
        return
    ax.imshow(sample.image)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def _draw_label(ax: Axes, sample: Sample, fps: float) -> None:
    ax.axis("off")
    minutes, seconds = divmod(sample.start_frame / fps, 60)
    head = f"window {sample.window:,} at {minutes:.0f}:{seconds:04.1f}"
    action = wrap(sample.action or "no label", 25, 2)
    look = {"transform": ax.transAxes, "va": "top", "fontsize": 8}
    ax.text(0, 1, head, color=MUTED, **look)
    weight = "bold" if sample.action else "normal"
    ax.text(0, 0.79, action, fontweight=weight, color=None if sample.action else MUTED, **look)
    lower = 0.79 - 0.21 * len(action.splitlines()) - 0.02
    ax.text(0, lower, wrap(sample.subtask or "", 27, 2), color=MUTED, **look)


def _draw_signal(ax: Axes, sample: Sample, name: str, top: float) -> None:
    values = sample.signals[name]
    ax.set(xlim=(0, 1), ylim=(0, top), xticks=[])
    if not len(values):
        empty_panel(ax, sample.problems[name], width=16, n_lines=4)
        return
    time = (np.arange(len(values)) + 0.5) / len(values)
    ax.fill_between(time, values, color=_COLOURS[name], alpha=0.22, linewidth=0)
    ax.plot(time, values, color=_COLOURS[name], linewidth=1.4)
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    ax.tick_params(axis="y", length=0, labelcolor=MUTED)
    ax.locator_params(axis="y", nbins=3)
    ax.spines["left"].set_visible(False)


def _alt(samples: list[Sample], title: str) -> str:
    parts = [f"A row for each window with a picture, its label and three small curves. {title}."]
    for sample in samples:
        fastest = sample.signals["hand speed"]
        speed = f", hands up to {np.nanmax(fastest):.2f} m/s" if len(fastest) else ""
        parts.append(f"Window {sample.window}: {sample.action or 'no label'}{speed}.")
    lost = {name: why for sample in samples for name, why in sample.problems.items()}
    parts += [f"Missing somewhere: {name}, {why}." for name, why in lost.items()]
    return " ".join(parts)
