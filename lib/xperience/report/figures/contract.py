"""Section 1, the benchmark contract: what a recording holds, its windows, and one moment of it."""

import textwrap
from collections import Counter

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import Normal, Stroke
from scipy.linalg import eigh

from xperience.features.blocks import BLOCKS, Block
from xperience.features.table import TableInfo, WindowTable
from xperience.features.windows import WINDOW_FRAMES
from xperience.recording import layout
from xperience.recording.inspect import EpisodeReport, StreamReport
from xperience.recording.recording import Recording
from xperience.report.contract import SIGNALS, Sample, Timeline, frame_validity, read_samples
from xperience.report.figures.style import (
    BLUE,
    BODY,
    FAINT,
    GREEN,
    INK,
    LEFT_HAND,
    MISSING_HATCH,
    MODALITY_COLOURS,
    MUTED,
    ORANGE,
    PAPER,
    RED,
    RIGHT_HAND,
    SKY,
    Picture,
    elide,
    empty_panel,
    new_figure,
    set_title,
    styled,
    time_axis,
    wrap,
)
from xperience.report.moment import Moment, View, read_moment
from xperience.report.quantities import counted, percent
from xperience.sync.audit import ClockPair, SyncAudit, SyncVerdict
from xperience.tasks.splits import TRAIN_SHARE

_BINS = 400
_NONE, _SOME, _ALL, _STATIC = range(4)
_SHADES = ("#F1F2F3", ORANGE, BLUE, SKY)
_WORDS = ("no value", "some frames", "every frame", "does not change over time")


@styled
def draw_coverage(episode: Recording, report: EpisodeReport) -> Picture:
    """Return a strip a stream: where it has values, and where it has not.

    Parameters
    ----------
    episode : Recording
    report : EpisodeReport
        Of the same episode.
    """
    strips = np.array([_strip(episode, row) for row in report.streams])
    figure = new_figure(1.6 + 0.215 * len(strips))
    title = _coverage_title(report)
    set_title(figure, title, _coverage_subtitle(report))
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
    _coverage_legend(ax, strips)
    return Picture(figure, title, _coverage_alt(report, title))


def _strip(episode: Recording, row: StreamReport) -> np.ndarray:
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


def _coverage_title(report: EpisodeReport) -> str:
    whole = sum(row.status == "ok" and row.coverage >= 1 for row in report.streams)
    n = len(report.streams)
    if whole == n:
        return f"All {n} streams cover the whole episode"
    return f"{whole} of {counted(n, 'stream')} cover the whole episode"


def _coverage_subtitle(report: EpisodeReport) -> str:
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


def _coverage_legend(ax: Axes, strips: np.ndarray) -> None:
    kinds = [kind for kind in (_ALL, _SOME, _NONE, _STATIC) if (strips == kind).any()]
    handles = [
        Patch(facecolor=_SHADES[kind], edgecolor=MUTED, linewidth=0.4, label=_WORDS[kind])
        for kind in kinds
    ]
    spot = {"loc": "lower left", "bbox_to_anchor": (-0.01, 1.0), "ncols": 4, "columnspacing": 1.4}
    ax.legend(handles=handles, handlelength=1.2, **spot)


def _coverage_alt(report: EpisodeReport, title: str) -> str:
    parts = [f"One strip over time for each of {counted(len(report.streams), 'stream')}. {title}."]
    for row in report.streams:
        if row.status in ("missing", "broken"):
            parts.append(f"{row.stream} is {row.status}.")
        elif row.coverage < 1:
            parts.append(f"{row.stream} covers {percent(row.coverage)}.")
    return " ".join(parts)


_MAX_ROWS, _LABEL_CHARS = 28, 34
_TWO_COLOURS = (BLUE, ORANGE)


@styled
def draw_timeline(table: WindowTable) -> Picture:
    """Return the timeline of an episode: steps above, one row per action, unlabelled windows grey.

    Parameters
    ----------
    table : WindowTable

    Returns
    -------
    Picture
        With the chronological cut, and the actions that only come after it in another colour.
    """
    line = Timeline.of(table)
    if not line.actions:
        return _nothing_labelled(table)
    rows = min(len(line.actions), _MAX_ROWS)
    figure = new_figure(1.75 + 0.185 * rows)
    title = _timeline_title(line)
    set_title(figure, title, _timeline_subtitle(line))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1.3, rows + 1])
    _draw_steps(above, line)
    _draw_actions(below, line, rows)
    _draw_cut(above, below, line)
    time_axis(below, line.n_frames, line.fps)
    return Picture(figure, title, _timeline_alt(line, title))


def _timeline_title(line: Timeline) -> str:
    steps = f" in {counted(len(line.subtasks), 'step')}" if line.subtasks else ""
    share = percent(line.labelled_share)
    return f"{counted(len(line.actions), 'action')}{steps}; {share} of the windows carry a label"


def _timeline_subtitle(line: Timeline) -> str:
    colours = "Numbers name the steps, two colours tell neighbours apart."
    if line.cut_s is None:
        return colours
    late = len(line.late_actions)
    if not late:
        return f"{colours} Every action occurs before the cut."
    return f"{colours} Red: {counted(late, 'action')} only after the cut."


def _draw_steps(ax: Axes, line: Timeline) -> None:
    for number in range(len(line.subtasks)):
        spans = line.spans(line.subtask, number)
        colour = _TWO_COLOURS[number % 2]
        ax.broken_barh(spans, (0, 1), facecolor=colour, edgecolor=PAPER, linewidth=0.6)
        start_s, length_s = max(spans, key=lambda span: span[1])
        if length_s > 0.014 * len(str(number + 1)) * line.n_frames / line.fps:
            place = (start_s + length_s / 2, 0.46)
            white = {"ha": "center", "va": "center", "color": PAPER}
            ax.text(*place, str(number + 1), fontsize=8, fontweight="bold", **white)
    _draw_gaps(ax, line, line.subtask)
    ax.set(yticks=[0.5], yticklabels=["step"], ylim=(0, 1))
    _bare(ax)


def _draw_actions(ax: Axes, line: Timeline, rows: int) -> None:
    late = set(line.late_actions)
    steps = line.step_of_action
    for row in range(rows):
        colour = _TWO_COLOURS[max(steps[row], 0) % 2]
        ax.broken_barh(line.spans(line.action, row), (row - 0.37, 0.74), facecolor=colour)
        ax.axhline(row, color=FAINT, linewidth=0.6, zorder=0)
    _draw_gaps(ax, line, line.action)
    names = [_row_name(label, steps[row]) for row, label in enumerate(line.actions[:rows])]
    ax.set(yticks=range(rows), yticklabels=names, ylim=(rows - 0.4, -0.6))
    for tick, label in zip(ax.get_yticklabels(), line.actions, strict=False):
        tick.set_color(RED if label in late else tick.get_color())
    if len(line.actions) > rows:
        more = f"and {counted(len(line.actions) - rows, 'action')} more, not drawn"
        ax.text(1, 0, more, transform=ax.transAxes, ha="right", va="bottom", color=MUTED)
    _bare(ax)


def _row_name(label: str, step: int) -> str:
    return elide(label, _LABEL_CHARS) + (f"  {step + 1}" if step >= 0 else "")


def _draw_gaps(ax: Axes, line: Timeline, numbers: np.ndarray) -> None:
    for start_s, length_s in line.spans(numbers, -1):
        bounds = (start_s, start_s + length_s)
        ax.axvspan(*bounds, facecolor="#F1F2F3", edgecolor="#B8BDC2", hatch=MISSING_HATCH, lw=0)


def _draw_cut(above: Axes, below: Axes, line: Timeline) -> None:
    if line.cut_s is not None:
        for ax in (above, below):
            ax.axvline(line.cut_s, color=RED, linewidth=1.4, linestyle=(0, (4, 2)))
        place = {"va": "bottom", "color": RED, "fontsize": 8, "clip_on": False}
        train = f"train: first {percent(TRAIN_SHARE)} of the labelled windows  ←  "
        above.text(line.cut_s, 1.12, train, ha="right", **place)
        above.text(line.cut_s, 1.12, "  →  test", ha="left", **place)
    if (line.action < 0).any():
        handle = Patch(facecolor="#F1F2F3", edgecolor="#B8BDC2", hatch=MISSING_HATCH, lw=0)
        spot = {"loc": "upper right", "frameon": True, "framealpha": 0.9, "edgecolor": "none"}
        below.legend([handle], ["no label"], borderaxespad=0.2, **spot)


def _bare(ax: Axes) -> None:
    ax.tick_params(axis="y", length=0)
    ax.spines[["left", "top", "right"]].set_visible(False)
    if ax.get_subplotspec().rowspan.start == 0:
        ax.spines["bottom"].set_visible(False)
        ax.tick_params(axis="x", length=0)


def _nothing_labelled(table: WindowTable) -> Picture:
    figure = new_figure(1.9)
    title = f"No labels: none of the {counted(len(table), 'window')} has an action"
    set_title(figure, title)
    ax = figure.subplots()
    lost = {**table.info.missing_blocks, **table.info.partial_blocks}
    reason = lost.get("caption_objects_interaction_text", "the captions name no action")
    empty_panel(ax, reason, width=80)
    return Picture(figure, title, f"An empty panel. {title}. The reason: {reason}.")


def _timeline_alt(line: Timeline, title: str) -> str:
    length_s = line.n_frames / line.fps
    parts = [f"Timeline of {length_s:.0f} seconds with one row for each action. {title}."]
    first = line.actions[0]
    parts.append(f"The first action is “{first}”, the last to begin is “{line.actions[-1]}”.")
    if line.cut_s is not None:
        late = len(line.late_actions)
        parts.append(
            f"A dashed line at {line.cut_s:.0f} seconds parts training from test windows; "
            f"{late} of the {counted(len(line.actions), 'action')} lie wholly after it."
        )
    return " ".join(parts)


_N_DIRECTIONS, _MAX_WINDOWS, _SMALLEST_STD, _LIMIT = 3, 1500, 1e-6, 2.5


@styled
def draw_structure(table: WindowTable) -> Picture:
    """Return each block's first three principal components over time, one row per component.

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
    title = _structure_title(found)
    left_out = [block.name for block in BLOCKS if block not in found]
    set_title(figure, title, _structure_subtitle(left_out))
    ax = figure.subplots()
    if rows:
        _draw_rows(figure, ax, np.concatenate(rows), line)
    _name_blocks(ax, found, line)
    return Picture(figure, title, _structure_alt(found, left_out, title))


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


def _structure_title(found: dict[Block, tuple[np.ndarray, float]]) -> str:
    if not found:
        return "No block changes over time"
    shares = [share for _, share in found.values()]
    low, high = percent(min(shares)), percent(max(shares))
    return f"Three directions carry {low} to {high} of what a block varies"


def _structure_subtitle(left_out: list[str]) -> str:
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


def _structure_alt(
    found: dict[Block, tuple[np.ndarray, float]], left_out: list[str], title: str
) -> str:
    parts = [f"Heat map over time with three rows for each of {counted(len(found), 'block')}."]
    parts.append(f"{title}.")
    parts += [f"{block.name}: {percent(share)}." for block, (_, share) in found.items()]
    if left_out:
        parts.append(f"Left out, as they are static or missing: {', '.join(left_out)}.")
    return " ".join(parts)


@styled
def draw_blocks(table: WindowTable) -> Picture:
    """Return the blocks as bars, as long as they have features; missing ones are hatched.

    Parameters
    ----------
    table : WindowTable
    """
    info = table.info
    figure = new_figure(5.2)
    title = _blocks_title(info)
    set_title(figure, title, _blocks_subtitle(info))
    ax = figure.subplots()
    for row, block in enumerate(BLOCKS):
        _draw_bar(ax, row, block, info)
    ax.set(yticks=range(len(BLOCKS)), yticklabels=[block.name for block in BLOCKS])
    ax.set(ylim=(len(BLOCKS) - 0.4, -0.6), xlabel="features a window")
    ax.set_xlim(0, 1.3 * max(block.dim for block in BLOCKS))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines["left"].set_visible(False)
    _blocks_legend(ax, info)
    return Picture(figure, title, _blocks_alt(info, title))


def _blocks_title(info: TableInfo) -> str:
    total = f"{sum(block.dim for block in BLOCKS):,} features in {counted(len(BLOCKS), 'block')}"
    if not info.missing_blocks:
        return f"A window is {total}"
    there = sum(block.dim for block in BLOCKS if block.name not in info.missing_blocks)
    return f"{there:,} of {total} are there; {counted(len(info.missing_blocks), 'block')} missing"


def _blocks_subtitle(info: TableInfo) -> str:
    modalities = dict.fromkeys(MODALITY_COLOURS, 0)
    for block in BLOCKS:
        modalities[block.modality] += block.dim
    sums = ", ".join(f"{dim:,} {name}" for name, dim in modalities.items())
    return f"By modality: {sums}. Grey: values × statistics."


def _draw_bar(ax: Axes, row: int, block: Block, info: TableInfo) -> None:
    colour = MODALITY_COLOURS[block.modality]
    missing, partial = block.name in info.missing_blocks, block.name in info.partial_blocks
    look = {"facecolor": PAPER, "hatch": MISSING_HATCH} if missing else {"facecolor": colour}
    ax.barh(row, block.dim, height=0.72, edgecolor=colour, linewidth=0.8, **look)
    ways = f"{block.per_frame} × 7" if block.per_frame else "static"
    note = "  missing" if missing else "  partial" if partial else ""
    ax.text(block.dim + 12, row, f"{block.dim:,}", va="center", fontsize=8.5, color=INK)
    offset = 30 + 20 * len(f"{block.dim:,}")
    style = {"va": "center", "fontsize": 8, "color": MUTED}
    ax.text(block.dim + offset, row, f"{ways}{note}", **style)


def _blocks_legend(ax: Axes, info: TableInfo) -> None:
    handles = [Patch(facecolor=colour, label=name) for name, colour in MODALITY_COLOURS.items()]
    if info.missing_blocks:
        hatched = {"facecolor": PAPER, "edgecolor": MUTED, "hatch": MISSING_HATCH}
        handles.append(Patch(label="missing", **hatched))
    spot = {"loc": "lower left", "bbox_to_anchor": (-0.01, 0.995), "columnspacing": 1.4}
    ax.legend(handles=handles, ncols=len(handles), handlelength=1.2, **spot)


def _blocks_alt(info: TableInfo, title: str) -> str:
    ranked = sorted(BLOCKS, key=lambda block: -block.dim)
    parts = [
        f"Bar chart of the feature blocks. {title}.",
        f"The largest is {ranked[0].name} with {ranked[0].dim:,} features, "
        f"the smallest {ranked[-1].name} with {ranked[-1].dim}.",
    ]
    if info.missing_blocks:
        parts.append(f"Hatched as missing: {', '.join(info.missing_blocks)}.")
    return " ".join(parts)


_SAMPLES_WIDTHS = (1.15, 1.6, 1.25, 1.25, 1.25)
_SAMPLES_COLOURS = dict(zip(SIGNALS, (BLUE, GREEN, ORANGE), strict=True))


@styled
def draw_samples(
    episode: Recording, table: WindowTable, n: int = 5, camera: str | None = None
) -> Picture:
    """Return windows evenly spread over an episode, one a row.

    Parameters
    ----------
    episode : Recording
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
    title = _samples_title(samples, table)
    window_s = WINDOW_FRAMES / table.info.fps
    subtitle = f"Each row is {WINDOW_FRAMES} frames, {window_s:.2g} s. Picture: {camera}, centre."
    set_title(figure, title, f"{subtitle} One scale a column.")
    grid = figure.subplots(len(samples), 5, width_ratios=_SAMPLES_WIDTHS, squeeze=False)
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
    return Picture(figure, title, _samples_alt(samples, title))


def _samples_title(samples: list[Sample], table: WindowTable) -> str:
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
    ax.fill_between(time, values, color=_SAMPLES_COLOURS[name], alpha=0.22, linewidth=0)
    ax.plot(time, values, color=_SAMPLES_COLOURS[name], linewidth=1.4)
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    ax.tick_params(axis="y", length=0, labelcolor=MUTED)
    ax.locator_params(axis="y", nbins=3)
    ax.spines["left"].set_visible(False)


def _samples_alt(samples: list[Sample], title: str) -> str:
    parts = [f"A row for each window with a picture, its label and three small curves. {title}."]
    for sample in samples:
        fastest = sample.signals["hand speed"]
        speed = f", hands up to {np.nanmax(fastest):.2f} m/s" if len(fastest) else ""
        parts.append(f"Window {sample.window}: {sample.action or 'no label'}{speed}.")
    lost = {name: why for sample in samples for name, why in sample.problems.items()}
    parts += [f"Missing somewhere: {name}, {why}." for name, why in lost.items()]
    return " ".join(parts)


_SYNC_COLOURS = {
    SyncVerdict.SYNCHRONISED: GREEN,
    SyncVerdict.OFF: RED,
    SyncVerdict.CANNOT_TELL: MUTED,
}
_NUMBERS = ("no", "one", "two", "three", "all four")


@styled
def draw_sync(audit: SyncAudit) -> Picture:
    """Return one row per pair of clocks: where they fit best, and how far they are apart over time.

    Parameters
    ----------
    audit : SyncAudit
        From `audit_episode`.
    """
    figure = new_figure(1.0 + 1.45 * len(audit.pairs))
    title = _sync_title(audit)
    half_ms = audit.frame_ms / 2
    subtitle = (
        "Left: correlation at each offset, drift taken out. Right: offset over the recording with "
        f"its 95 % interval; grey is what one may be off by, half a frame ({half_ms:.0f} ms)."
    )
    set_title(figure, title, subtitle)
    grid = figure.subplots(len(audit.pairs), 2, width_ratios=(1.0, 1.25), squeeze=False)
    for (left, right), pair in zip(grid, audit.pairs, strict=True):
        left.set_title(f"{pair.late} – {pair.reference}", fontweight="bold")
        headline = pair.headline if pair.misalignment else str(pair.verdict)
        right.set_title(wrap(headline, 58, 2), color=_SYNC_COLOURS[pair.verdict])
        _draw_curve(left, pair)
        _draw_offset(right, pair, audit.length_s)
    _label_lowest(grid[:, 0], "offset (ms)")
    _label_lowest(grid[:, 1], "time in the recording (min:s)")
    return Picture(figure, title, _sync_alt(audit, title))


def _label_lowest(column: np.ndarray, label: str) -> None:
    """Put the label below the lowest of a column's axes that has a scale."""
    scaled = [ax for ax in column if len(ax.get_xticks())]
    for ax in scaled:
        ax.set_xlabel(label if ax is scaled[-1] else "")


def _sync_title(audit: SyncAudit) -> str:
    found = {verdict: [p for p in audit.pairs if p.verdict is verdict] for verdict in SyncVerdict}
    n_good, unknown = len(found[SyncVerdict.SYNCHRONISED]), len(found[SyncVerdict.CANNOT_TELL])
    parts = [f"{_NUMBERS[n_good].capitalize()} pair{'s' * (n_good > 1)} of streams synchronised"]
    if off := found[SyncVerdict.OFF]:
        parts.append(f"{', '.join(f'the {pair.late}' for pair in off)} off")
    if unknown:
        parts.append(f"{_NUMBERS[unknown]} undecided")
    return "; ".join(parts)


def _draw_curve(ax: Axes, pair: ClockPair) -> None:
    """Draw correlation against offset, or say what was compared instead."""
    if pair.curve is None:
        empty_panel(ax, pair.evidence or "not compared", width=44)
        return
    offset_ms, height = pair.curve
    ax.axvline(0, color=FAINT, linewidth=1, zorder=0)
    ax.plot(offset_ms, height, color=BLUE, linewidth=1.1)
    if pair.misalignment:
        at_ms = pair.misalignment.offset_ms.value
        ax.plot(at_ms, np.interp(at_ms, offset_ms, height), "o", color=ORANGE, markersize=4.5)
    ax.set(xlim=(offset_ms[0], offset_ms[-1]), ylabel="correlation")


def _draw_offset(ax: Axes, pair: ClockPair, length_s: float) -> None:
    """Draw the offset and its interval from the start to the end of the recording."""
    found, colour = pair.misalignment, _SYNC_COLOURS[pair.verdict]
    if found is None:
        empty_panel(ax, pair.reason or "", width=52)
        return
    time_s = np.array([0, length_s / 2, length_s])
    low, value, high = (
        [getattr(at, name) for at in found.moments] for name in ("low", "value", "high")
    )
    half_ms = pair.frame_ms / 2
    ax.axhspan(-half_ms, half_ms, color=FAINT, linewidth=0, zorder=0)
    ax.fill_between(time_s, low, high, color=colour, alpha=0.3, linewidth=0)
    ax.plot(time_s, value, color=colour, linewidth=1.4)
    reach_ms = max(pair.frame_ms, 1.1 * np.abs([low, high]).max())
    ax.set(ylim=(-reach_ms, reach_ms), ylabel="offset (ms)")
    time_axis(ax, round(length_s), 1.0)


def _sync_alt(audit: SyncAudit, title: str) -> str:
    parts = [f"Two panels for each of {len(audit.pairs)} pairs of clocks. {title}."]
    for pair in audit.pairs:
        text = f"{pair.late} against {pair.reference}: {pair.headline}"
        if pair.misalignment:
            text += f", middle {pair.misalignment.offset_ms} ms"
        parts.append(f"{text}.")
    return " ".join(parts)


_MOMENT_COLOURS = {"body": BODY, "left hand": LEFT_HAND, "right hand": RIGHT_HAND}
_MOMENT_WIDTHS = {"body": 2.0, "left hand": 1.3, "right hand": 1.3}
_DEPTH_MAP = "viridis_r"


@styled
def draw_moment(episode: Recording, frame: int) -> Picture:
    """Return one frame in six views with what is known of it projected into them.

    Parameters
    ----------
    episode : Recording
    frame : int
        From 0.

    Returns
    -------
    Picture
        A view that is missing, or can't be projected into, says why.

    Raises
    ------
    EpisodeError
        If the episode has no such frame.
    """
    moment = read_moment(episode, frame)
    figure = new_figure(6.75)
    title, subtitle = _moment_title(moment), _moment_subtitle(moment)
    set_title(figure, title, subtitle)
    axes = figure.subplots(3, 3).ravel()
    near_m, far_m = moment.depth_range_m
    norm = mpl.colors.Normalize(near_m, _far_m(moment, far_m))
    for ax, view in zip(axes, moment.views, strict=False):
        _draw_view(ax, view, norm)
    _draw_depth(figure, axes[6], moment, norm)
    _draw_world(axes[7], moment)
    _draw_legend(axes[8], moment)
    return Picture(figure, title, _moment_alt(moment, title, subtitle))


def _far_m(moment: Moment, far_m: float) -> float:
    """Return where the depth colours end: not far beyond what is there."""
    if moment.depth_m is None:
        return far_m
    return max(min(far_m, 1.1 * float(np.nanpercentile(moment.depth_m, 98))), 0.1)


def _moment_title(moment: Moment) -> str:
    seen = sum(view.image is not None for view in moment.views)
    if not seen:
        return "One moment that no camera shows"
    views = "all six views" if seen == len(layout.CAMERAS) else f"{seen} of six views"
    drawn = [view for view in moment.views if view.n_bones_seen]
    who = [name for name in _MOMENT_COLOURS if any(name in view.lines_px for view in drawn)]
    if not who:
        return f"One moment in {views}, with no skeleton to project"
    if {"left hand", "right hand"} <= set(who):
        who = [*who[:-2], "both hands"]
    return f"One moment in {views}: {' and '.join(who)} projected into {len(drawn)} of them"


def _moment_subtitle(moment: Moment) -> str:
    minutes, seconds = divmod(moment.time_s, 60)
    when = f"Frame {moment.frame:,} at {minutes:.0f}:{seconds:04.1f}"
    what = f"“{moment.action}”" if moment.action else "without an action label"
    step = f" in “{moment.subtask}”" if moment.subtask else ""
    return f"{when}: {what}{step}."


def _draw_view(ax: Axes, view: View, norm: mpl.colors.Normalize) -> None:
    ax.set_title(view.camera)
    if view.image is None:
        empty_panel(ax, view.problem)
        ax.set_box_aspect(0.75)
        return
    height, width = view.image.shape[:2]
    ax.imshow(view.image, extent=(0, width, height, 0))
    ax.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
    ax.spines[:].set_visible(False)
    if view.problem:
        _note(ax, f"nothing projected: {view.problem}")
    look = {"s": 6, "c": view.dots_m, "cmap": _DEPTH_MAP, "norm": norm, "linewidths": 0}
    ax.scatter(*view.dots_px.T, alpha=0.85, **look)
    for name, lines_px in view.lines_px.items():
        _draw_bones(ax, lines_px, name)


def _draw_bones(ax: Axes, lines: np.ndarray, name: str) -> None:
    whole = lines[np.isfinite(lines).all(axis=(1, 2))]
    width = _MOMENT_WIDTHS[name]
    edge = [Stroke(linewidth=width + 1.3, foreground=INK, alpha=0.75), Normal()]
    look = {"colors": _MOMENT_COLOURS[name], "linewidths": width, "path_effects": edge}
    ax.add_collection(LineCollection(list(whole), capstyle="round", **look), autolim=False)


def _note(ax: Axes, text: str) -> None:
    box = {"facecolor": PAPER, "alpha": 0.88, "edgecolor": "none", "pad": 2}
    place = {"transform": ax.transAxes, "ha": "left", "va": "bottom", "bbox": box}
    ax.text(0.02, 0.03, wrap(text, 34, 3), fontsize=8, **place)


def _draw_depth(figure: Figure, ax: Axes, moment: Moment, norm: mpl.colors.Normalize) -> None:
    ax.set_title("depth map (m)")
    if moment.depth_m is None:
        empty_panel(ax, moment.problems.get("depth", "no depth"))
        ax.set_box_aspect(0.75)
        return
    cmap = mpl.colormaps[_DEPTH_MAP].with_extremes(bad="#E4E6E8")
    picture = ax.imshow(moment.depth_m, cmap=cmap, norm=norm, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    bar = figure.colorbar(picture, ax=ax, location="bottom", aspect=28, pad=0.02, shrink=0.95)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=2)


def _draw_world(ax: Axes, moment: Moment) -> None:
    """Draw the skeletons from the side of the wearer that shows them best, world coordinates."""
    ax.set_title("skeletons in world coordinates")
    if not moment.shapes:
        empty_panel(ax, _why_no_skeleton(moment))
        ax.set_box_aspect(0.75)
        return
    joints = np.concatenate([shape.joints.xyz for shape in moment.shapes.values()])
    across, up = _best_side(joints)
    for name, shape in moment.shapes.items():
        flat = shape.lines().xyz[..., [across, up]]
        _draw_bones(ax, flat, name)
    low, high = joints.min(0)[[across, up]], joints.max(0)[[across, up]]
    half = max((high - low) * (0.375, 0.5)) * 1.12
    both, middle = np.array([-half, half]), (low + high) / 2
    ax.set(xlim=middle[0] + both / 0.75, ylim=middle[1] + both)
    ax.set_aspect("equal")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    _draw_scale(ax, (middle[0] - 0.95 * half / 0.75, middle[1] - 0.85 * half, half), "xyz"[up])


def _draw_scale(ax: Axes, corner: tuple[float, float, float], up: str) -> None:
    """Draw a ruler of half a metre along both axes of a panel of that half height."""
    x, y, half = corner
    ax.plot([x, x, x + 0.5], [y + 0.5, y, y], color=MUTED, linewidth=1.2)
    ax.text(x + 0.25, y - 0.04 * half, "0.5 m", ha="center", va="top", fontsize=8, color=MUTED)
    ax.text(x, y + 0.5 + 0.04 * half, up, ha="center", va="bottom", fontsize=8, color=MUTED)


def _best_side(joints: np.ndarray) -> tuple[int, int]:
    """Return the axes to draw: the vertical one is that along which a body is longest."""
    extent = np.ptp(joints, axis=0)
    up = int(np.argmax(extent))
    across = max((axis for axis in range(3) if axis != up), key=lambda axis: extent[axis])
    return across, up


def _why_no_skeleton(moment: Moment) -> str:
    problems = moment.problems
    kinds = ("pose", "body", "left hand", "right hand")
    return "; ".join(f"{kind}: {problems[kind]}" for kind in kinds if kind in problems)


def _draw_legend(ax: Axes, moment: Moment) -> None:
    ax.axis("off")
    edge = [Stroke(linewidth=3.6, foreground=INK, alpha=0.75), Normal()]
    handles = [
        Line2D([], [], color=colour, linewidth=2.2, path_effects=edge, label=name)
        for name, colour in _MOMENT_COLOURS.items()
        if name in moment.shapes
    ]
    if any(len(view.dots_px) for view in moment.views):
        dot = {"marker": "o", "markersize": 4, "linestyle": "", "color": "#21918C"}
        handles.append(Line2D([], [], label="depth points, by distance", **dot))
    if handles:
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(-0.02, 1.06))
    lines = []
    if moment.objects:
        lines.append(("named objects", ", ".join(moment.objects)))
    if moment.interaction:
        lines.append(("interaction", moment.interaction))
    lost = [name for name in (*_MOMENT_COLOURS, "pose") if name in moment.problems]
    lines += [(f"no {name}", moment.problems[name]) for name in lost]
    top = 0.98 - 0.105 * len(handles)
    look = {"fontsize": 8, "va": "top", "transform": ax.transAxes}
    for head, body in lines[:3]:
        text = textwrap.fill(elide(body, 90), 34)
        ax.text(0.0, top, head, color=MUTED, **look)
        ax.text(0.0, top - 0.09, text, **look)
        top -= 0.13 + 0.09 * len(text.splitlines())


def _moment_alt(moment: Moment, title: str, subtitle: str) -> str:
    parts = [f"Six camera views, a depth map and a drawing of the skeletons. {title}. {subtitle}"]
    for view in moment.views:
        if view.image is None:
            parts.append(f"{view.camera} is empty: {view.problem}.")
        elif view.problem:
            parts.append(f"Nothing is projected into {view.camera}: {view.problem}.")
    if moment.depth_m is None:
        parts.append(f"There is no depth map: {moment.problems.get('depth', '')}.")
    else:
        low, high = np.nanmin(moment.depth_m), np.nanmax(moment.depth_m)
        parts.append(f"Depth lies between {low:.2f} and {high:.2f} metres.")
    return " ".join(parts)
