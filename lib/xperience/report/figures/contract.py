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

from xperience.features.blocks import BLOCKS, N_FEATURES, N_STATS
from xperience.features.table import WindowTable
from xperience.features.windows import WINDOW_FRAMES
from xperience.recording import layout
from xperience.recording.geometry import LEFT_WRIST, RIGHT_WRIST
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
    NARROW_IN,
    ORANGE,
    PAPER,
    RED,
    RIGHT_HAND,
    Picture,
    elide,
    empty_panel,
    new_figure,
    nothing,
    set_title,
    styled,
    time_axis,
    wrap,
)
from xperience.report.moment import Moment, View, read_moment
from xperience.report.quantities import counted, percent
from xperience.sync.audit import SyncAudit, SyncVerdict
from xperience.tasks.splits import TRAIN_SHARE

_NAMES = {
    "hand_left": "left hand",
    "hand_right": "right hand",
    "hand_left_joints": "left hand's joints",
    "hand_right_joints": "right hand's joints",
    "imu": "inertial unit",
    "imu_accel_gyro": "inertial unit",
    "audio": "sound",
    "point_cloud": "SLAM map",
    "slam_point_cloud": "SLAM map",
    "depth_confidence": "depth and confidence",
    "caption_objects_interaction_text": "annotators' words",
    "stereo_left": "left stereo camera",
    "stereo_right": "right stereo camera",
}


def named(name: str) -> str:
    """Return the name of a stream, a camera or a feature block for readers.

    >>> named("video_fisheye_cam0"), named("stereo_left"), named("body_joints")
    ('fisheye camera 0', 'left stereo camera', 'body joints')
    """
    if name.startswith("audio_"):
        return _NAMES["audio"]
    name = name.removeprefix("video_")
    return _NAMES.get(name, name.replace("fisheye_cam", "fisheye camera ").replace("_", " "))


_BINS = 400
_NONE, _SOME, _ALL = range(3)
_SHADES = ("#F1F2F3", ORANGE, BLUE)
_WORDS = ("no value", "some frames", "every frame")


@styled
def draw_coverage(episode: Recording, report: EpisodeReport) -> Picture:
    """Return a strip for each stream with gaps, and one for all that have none."""
    partial = [row for row in report.streams if row.status != "ok" or row.coverage < 1]
    n_whole = len(report.streams) - len(partial)
    strips = [_strip(episode, row) for row in partial]
    names = [named(row.stream) for row in partial]
    sides = [_covers(row) for row in partial]
    if n_whole:
        strips.append(np.full(_BINS, _ALL))
        names.append(f"{n_whole} other streams" if partial else counted(n_whole, "stream"))
        sides.append("100 %")
    figure = new_figure(1.75 + 0.24 * len(strips), NARROW_IN)
    title = _coverage_title(partial, len(report.streams))
    set_title(figure, title, _coverage_subtitle(report))
    ax = figure.subplots()
    extent = (0, episode.n_frames / episode.fps, len(strips) - 0.5, -0.5)
    look = {"cmap": mpl.colors.ListedColormap(_SHADES), "vmin": -0.5, "vmax": 2.5}
    ax.imshow(np.array(strips), aspect="auto", extent=extent, interpolation="nearest", **look)
    for row, text in enumerate(sides):
        ax.axhline(row - 0.5, color=PAPER, linewidth=3.5)
        place = {"transform": ax.get_yaxis_transform(), "va": "center", "clip_on": False}
        ax.text(1.012, row, text, color=INK if text.endswith("%") else RED, fontsize=8, **place)
    time_axis(ax, episode.n_frames, episode.fps)
    ax.set(yticks=range(len(strips)), yticklabels=names)
    ax.tick_params(axis="y", length=0)
    ax.spines[:].set_visible(False)
    handles = [
        Patch(facecolor=_SHADES[kind], edgecolor=MUTED, linewidth=0.4, label=_WORDS[kind])
        for kind in (_ALL, _SOME, _NONE)
    ]
    figure.legend(handles=handles, handlelength=1.2, loc="outside lower center", ncols=3)
    alt = [f"One strip over time for each stream with gaps. {title}."]
    alt += [f"{named(row.stream)}: {_covers(row)}." for row in partial]
    return Picture(figure, title, " ".join(alt))


def _strip(episode: Recording, row: StreamReport) -> np.ndarray:
    """Return none, some or all for each bin of time, int array, shape (_BINS,)."""
    if row.status in ("missing", "broken"):
        return np.full(_BINS, _NONE)
    valid = frame_validity(episode, row.stream)
    if valid is None:  # it does not change over time
        return np.full(_BINS, _ALL)
    edges = np.linspace(0, len(valid), _BINS + 1)
    first, last = np.floor(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int)
    total = np.r_[0, np.cumsum(valid)]
    good = total[last] - total[first]
    return np.where(good == last - first, _ALL, np.where(good == 0, _NONE, _SOME))


def _covers(row: StreamReport) -> str:
    lost = row.status in ("missing", "broken")
    return row.status if lost or row.coverage >= 1 else percent(row.coverage)


def _coverage_title(partial: list[StreamReport], n: int) -> str:
    if not partial:
        return f"All {n} streams cover the whole episode"
    least = min(partial, key=lambda row: row.coverage)
    rest = f"{named(least.stream)}: {_covers(least)}"
    return f"{n - len(partial)} of {counted(n, 'stream')} cover the whole episode; {rest}"


def _coverage_subtitle(report: EpisodeReport) -> str:
    states = Counter(row.status for row in report.streams if row.status != "ok")
    faults = sum(len(row.faults) for row in report.streams)
    if not faults:
        return "No fault was found. Depth is looked at in a few frames only."
    counts = ", ".join(f"{number} {status}" for status, number in sorted(states.items()))
    return f"{counts}; {counted(faults, 'fault')} named in the table below."


_MAX_ROWS, _LABEL_CHARS = 28, 27
_TWO_COLOURS = (BLUE, ORANGE)
_GAP = {"facecolor": "#F1F2F3", "edgecolor": "#B8BDC2", "hatch": MISSING_HATCH, "lw": 0}


@styled
def draw_timeline(table: WindowTable) -> Picture:
    """Return the timeline of an episode: steps above, one row per action, unlabelled windows grey.

    Actions that only come after the chronological cut have another colour.
    """
    line = Timeline.of(table)
    if not line.actions:
        return _nothing_labelled(table)
    rows = min(len(line.actions), _MAX_ROWS)
    figure = new_figure(2.0 + 0.185 * rows, NARROW_IN)
    n, late = len(line.actions), len(line.late_actions)
    title = f"{counted(n, 'action')}: too few labels to cut training from test windows"
    if line.cut_s is not None:
        title = f"{late or 'None'} of {counted(n, 'action')} can only be tested, never trained"
    steps = f"{counted(len(line.subtasks), 'step')}, numbered and in two colours; "
    text = f"{steps if line.subtasks else ''}{percent(line.labelled_share)} of the windows have a "
    text += "label."
    if line.cut_s is not None:
        text += f" Training ends where {percent(TRAIN_SHARE)} of those have passed; red: after it."
    set_title(figure, title, text)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1.3, rows + 1])
    _draw_steps(above, line)
    _draw_actions(below, line, rows)
    if line.cut_s is not None:
        for ax in (above, below):
            ax.axvline(line.cut_s, color=RED, linewidth=1.4, linestyle=(0, (4, 2)))
        place = {"va": "bottom", "color": RED, "fontsize": 8, "clip_on": False}
        above.text(line.cut_s, 1.12, "← training  ", ha="right", **place)
        above.text(line.cut_s, 1.12, "  test →", ha="left", **place)
    if (line.action < 0).any():
        spot = {"loc": "upper right", "frameon": True, "framealpha": 0.9, "edgecolor": "none"}
        below.legend([Patch(**_GAP)], ["no label"], borderaxespad=0.2, **spot)
    time_axis(below, line.n_frames, line.fps)
    return Picture(figure, title, _timeline_alt(line, title))


def _draw_steps(ax: Axes, line: Timeline) -> None:
    for number in range(len(line.subtasks)):
        spans = line.spans(line.subtask, number)
        colour = _TWO_COLOURS[number % 2]
        ax.broken_barh(spans, (0, 1), facecolor=colour, edgecolor=PAPER, linewidth=0.6)
        start_s, length_s = max(spans, key=lambda span: span[1])
        if length_s > 0.018 * len(str(number + 1)) * line.n_frames / line.fps:
            place = (start_s + length_s / 2, 0.46)
            white = {"ha": "center", "va": "center", "color": PAPER}
            ax.text(*place, str(number + 1), fontsize=8, fontweight="bold", **white)
    _draw_gaps(ax, line, line.subtask)
    ax.set(yticks=[0.5], yticklabels=["step"], ylim=(0, 1))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _draw_actions(ax: Axes, line: Timeline, rows: int) -> None:
    steps, names = line.step_of_action, []
    for row, label in enumerate(line.actions[:rows]):
        colour = _TWO_COLOURS[max(steps[row], 0) % 2]
        ax.broken_barh(line.spans(line.action, row), (row - 0.37, 0.74), facecolor=colour)
        ax.axhline(row, color=FAINT, linewidth=0.6, zorder=0)
        number = f"  {steps[row] + 1}" if steps[row] >= 0 else ""
        names.append(elide(label, _LABEL_CHARS) + number)
    _draw_gaps(ax, line, line.action)
    ax.set(yticks=range(rows), yticklabels=names, ylim=(rows - 0.4, -0.6))
    late = set(line.late_actions)
    for tick, label in zip(ax.get_yticklabels(), line.actions, strict=False):
        tick.set_color(RED if label in late else tick.get_color())
    if len(line.actions) > rows:
        more = f"and {counted(len(line.actions) - rows, 'action')} more, not drawn"
        ax.text(1, 0, more, transform=ax.transAxes, ha="right", va="bottom", color=MUTED)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def _draw_gaps(ax: Axes, line: Timeline, numbers: np.ndarray) -> None:
    for start_s, length_s in line.spans(numbers, -1):
        ax.axvspan(start_s, start_s + length_s, **_GAP)


def _nothing_labelled(table: WindowTable) -> Picture:
    title = f"No labels: none of the {counted(len(table), 'window')} has an action"
    lost = {**table.info.missing_blocks, **table.info.partial_blocks}
    reason = lost.get("caption_objects_interaction_text", "the captions name no action")
    return nothing(title, reason)


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


@styled
def draw_blocks(table: WindowTable) -> Picture:
    """Return the blocks as bars, as long as they have features; missing ones are hatched."""
    info = table.info
    figure = new_figure(5.0, NARROW_IN)
    dims = Counter()
    for block in BLOCKS:
        dims[block.modality] += block.dim
    title = (
        f"Of a window's {N_FEATURES:,} features {percent(dims['visual'] / N_FEATURES)} come from "
        f"cameras and depth, {percent(dims['audio'] / N_FEATURES)} from sound"
    )
    if lost := [block for block in BLOCKS if block.name in info.missing_blocks]:
        there = N_FEATURES - sum(block.dim for block in lost)
        title = f"{there:,} of a window's {N_FEATURES:,} features are there: "
        title += f"{len(lost)} of {len(BLOCKS)} blocks missing"
    text = (
        f"{len(BLOCKS)} blocks. Features: values in a frame × {N_STATS} statistics over the window."
    )
    set_title(figure, title, text)
    ax = figure.subplots()
    for row, block in enumerate(BLOCKS):
        colour, missing = MODALITY_COLOURS[block.modality], block in lost
        look = {"facecolor": PAPER, "hatch": MISSING_HATCH} if missing else {"facecolor": colour}
        ax.barh(row, block.dim, height=0.72, edgecolor=colour, linewidth=0.8, **look)
        ways = f" = {block.per_frame} × {N_STATS}" if block.per_frame else ", static"
        note = ", missing" if missing else ", partial" if block.name in info.partial_blocks else ""
        ax.text(block.dim + 12, row, f"{block.dim:,}{ways}{note}", va="center", fontsize=8)
    ax.set(yticks=range(len(BLOCKS)), yticklabels=[named(block.name) for block in BLOCKS])
    ax.set(ylim=(len(BLOCKS) - 0.4, -0.6), xlabel="features of a window")
    ax.set_xlim(0, 1.45 * max(block.dim for block in BLOCKS))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    handles = [Patch(facecolor=colour, label=name) for name, colour in MODALITY_COLOURS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, handlelength=1.2)
    ranked = sorted(BLOCKS, key=lambda block: -block.dim)
    alt = [
        f"Bar chart of the feature blocks. {title}.",
        f"The largest is {named(ranked[0].name)} with {ranked[0].dim:,} features, "
        f"the smallest {named(ranked[-1].name)} with {ranked[-1].dim}.",
    ]
    if lost:
        alt.append(f"Hatched as missing: {', '.join(named(block.name) for block in lost)}.")
    return Picture(figure, title, " ".join(alt))


_SIGNAL_COLOURS = dict(zip(SIGNALS, (BLUE, GREEN, ORANGE), strict=True))


@styled
def draw_samples(
    episode: Recording, table: WindowTable, n: int = 5, camera: str | None = None
) -> Picture:
    """Return n labelled windows evenly spread over an episode, one per row.

    Pictures are those of the first usable camera, unless one is named.
    """
    camera = camera or next(iter(episode.videos), layout.CAMERAS[0])
    samples = read_samples(episode, table, n, camera)
    figure = new_figure(1.3 + 0.8 * len(samples), NARROW_IN)
    title = _samples_title(samples)
    window_s = WINDOW_FRAMES / table.info.fps
    text = f"{len(samples)} of {counted(len(table), 'window')} of {window_s:.2g} s, evenly spread "
    text += f"over those with a label. Picture: {named(camera)}. One scale per column."
    set_title(figure, title, text)
    grid = figure.subplots(len(samples), 5, width_ratios=(1, 1.4, 1, 1, 1), squeeze=False)
    tops = {name: 1.08 * max(_peak(one, name) for one in samples) or 1.0 for name in SIGNALS}
    for axes, sample in zip(grid, samples, strict=True):
        _draw_image(axes[0], sample)
        _draw_label(axes[1], sample, table.info.fps)
        for ax, name in zip(axes[2:], SIGNALS, strict=True):
            _draw_signal(ax, sample, name, tops[name])
    for ax, (name, unit) in zip(grid[0][2:], SIGNALS.items(), strict=True):
        ax.set_title(f"{name}\n({unit})", loc="left", fontsize=8)
    return Picture(figure, title, _samples_alt(samples, title))


def _peak(sample: Sample, name: str) -> float:
    values = sample.signals[name]
    return float(np.nanmax(values)) if len(values) else 0.0


def _samples_title(samples: list[Sample]) -> str:
    parts = []
    for name, most in {
        "hand speed": "hands move fastest",
        "sound level": "sound is loudest",
    }.items():
        best = max(samples, key=lambda sample: _peak(sample, name))
        if best.action and _peak(best, name):
            parts.append(f"{most} in “{elide(best.action, 28)}”")
    shown = counted(len(samples), "window")
    return f"Of {shown} {', '.join(parts)}" if parts else f"{shown} without label or signal"


def _draw_image(ax: Axes, sample: Sample) -> None:
    if sample.image is None:
        empty_panel(ax, sample.problems["image"], width=14, n_lines=4)
        return
    ax.imshow(sample.image)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def _draw_label(ax: Axes, sample: Sample, fps: float) -> None:
    ax.axis("off")
    minutes, seconds = divmod(sample.start_frame / fps, 60)
    action = wrap(sample.action or "no label", 20, 3)
    look = {"transform": ax.transAxes, "va": "top", "fontsize": 8}
    ax.text(0, 1, f"at {minutes:.0f}:{seconds:04.1f}", color=MUTED, **look)
    weight = "bold" if sample.action else "normal"
    ax.text(0, 0.76, action, fontweight=weight, color=None if sample.action else MUTED, **look)


def _draw_signal(ax: Axes, sample: Sample, name: str, top: float) -> None:
    values = sample.signals[name]
    ax.set(xlim=(0, 1), ylim=(0, top), xticks=[])
    if not len(values):
        empty_panel(ax, sample.problems[name], width=14, n_lines=4)
        return
    time = (np.arange(len(values)) + 0.5) / len(values)
    ax.fill_between(time, values, color=_SIGNAL_COLOURS[name], alpha=0.22, linewidth=0)
    ax.plot(time, values, color=_SIGNAL_COLOURS[name], linewidth=1.4)
    ax.grid(axis="y", color=FAINT, linewidth=0.6)
    ax.tick_params(axis="y", length=0, labelcolor=MUTED)
    ax.locator_params(axis="y", nbins=2)
    ax.spines["left"].set_visible(False)


def _samples_alt(samples: list[Sample], title: str) -> str:
    parts = [f"A row for each window with a picture, its label and three small curves. {title}."]
    for sample in samples:
        speed = _peak(sample, "hand speed")
        moves = f", hands up to {speed:.2f} m/s" if speed else ""
        parts.append(f"Window {sample.window}: {sample.action or 'no label'}{moves}.")
    lost = {name: why for sample in samples for name, why in sample.problems.items()}
    parts += [f"Missing somewhere: {name}, {why}." for name, why in lost.items()]
    return " ".join(parts)


_SYNC_COLOURS = {
    SyncVerdict.SYNCHRONISED: GREEN,
    SyncVerdict.OFF: RED,
    SyncVerdict.CANNOT_TELL: MUTED,
}


@styled
def draw_sync(audit: SyncAudit) -> Picture:
    """Return the offset of each pair of clocks with its interval; below, how well signals fit."""
    curves = [pair for pair in audit.pairs if pair.curve is not None]
    figure = new_figure(4.3 if curves else 3.0, NARROW_IN)
    title = _sync_title(audit)
    text = (
        "Above: offset at the start, middle and end of the recording with 95 % intervals; grey: "
        f"half a frame ({audit.frame_ms / 2:.0f} ms) either way."
    )
    if curves:
        text += " Below: correlation of the two signals at each offset."
    set_title(figure, title, text)
    heights = (2.2, 1) if curves else (1,)
    grid = figure.add_gridspec(len(heights), max(len(curves), 1), height_ratios=heights)
    _draw_offsets(figure.add_subplot(grid[0, :]), audit)
    for place, pair in enumerate(curves):
        ax = figure.add_subplot(grid[1, place])
        offset_ms, height = pair.curve
        ax.axvline(0, color=FAINT, linewidth=1, zorder=0)
        ax.plot(offset_ms, height, color=BLUE, linewidth=1.1)
        if pair.misalignment:
            at_ms = pair.misalignment.offset_ms.value
            ax.plot(at_ms, np.interp(at_ms, offset_ms, height), "o", color=ORANGE, markersize=4.5)
        ax.set(xlim=(offset_ms[0], offset_ms[-1]), xlabel="offset (ms)", title=pair.late)
        ax.locator_params(nbins=3)
    alt = [f"Offsets of {len(audit.pairs)} pairs of clocks with intervals. {title}."]
    for pair in audit.pairs:
        middle = f", middle {pair.misalignment.offset_ms} ms" if pair.misalignment else ""
        alt.append(f"{pair.late} against {pair.reference}: {pair.headline}{middle}.")
    return Picture(figure, title, " ".join(alt))


def _sync_title(audit: SyncAudit) -> str:
    found = {verdict: [p for p in audit.pairs if p.verdict is verdict] for verdict in SyncVerdict}
    n_good, unknown = len(found[SyncVerdict.SYNCHRONISED]), len(found[SyncVerdict.CANNOT_TELL])
    parts = [f"{n_good} of {counted(len(audit.pairs), 'pair')} of streams synchronised"]
    if off := found[SyncVerdict.OFF]:
        parts.append(f"{', '.join(f'the {pair.late}' for pair in off)} off")
    if unknown:
        parts.append(f"{unknown} undecided")
    return "; ".join(parts)


def _draw_offsets(ax: Axes, audit: SyncAudit) -> None:
    """Draw a row per pair: what was found, and its offset at three moments where it is known."""
    half_ms, reach_ms = audit.frame_ms / 2, audit.frame_ms
    ax.axvspan(-half_ms, half_ms, color=FAINT, linewidth=0, zorder=0)
    for row, pair in enumerate(audit.pairs):
        text = elide(f"{pair.late} – {pair.reference}: {pair.headline}", 84)
        place = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": 8}
        ax.text(0, row - 0.55, text, **place)
        if pair.misalignment is None:
            continue
        colour = _SYNC_COLOURS[pair.verdict]
        for y, at in zip(
            (row - 0.25, row - 0.05, row + 0.15), pair.misalignment.moments, strict=True
        ):
            ax.plot([at.low, at.high], [y, y], color=colour, linewidth=1.6)
            ax.plot(at.value, y, "o", color=colour, markersize=3.5)
            reach_ms = max(reach_ms, 1.1 * abs(at.low), 1.1 * abs(at.high))
    ax.set(yticks=[], ylim=(len(audit.pairs) - 0.5, -0.8), xlim=(-reach_ms, reach_ms))
    ax.set_xlabel("offset (ms)")
    ax.spines["left"].set_visible(False)


_MOMENT_COLOURS = {"body": BODY, "left hand": LEFT_HAND, "right hand": RIGHT_HAND}
_MOMENT_WIDTHS = {"body": 2.0, "left hand": 1.3, "right hand": 1.3}
_DEPTH_MAP = "viridis_r"


@styled
def draw_moment(episode: Recording, frame: int) -> Picture:
    """Return one frame, counted from 0, in six views with what is known of it projected into them.

    A view that is missing, or can't be projected into, says why. A frame that the episode doesn't
    have is an EpisodeError.
    """
    moment = read_moment(episode, frame)
    figure = new_figure(5.7, NARROW_IN)
    title, subtitle = _moment_title(moment), _moment_subtitle(moment)
    set_title(figure, title, subtitle)
    axes = figure.subplots(3, 3).ravel()
    near_m, far_m = moment.depth_range_m
    if moment.depth_m is not None:  # colours end not far beyond what is there
        far_m = max(min(far_m, 1.1 * float(np.nanpercentile(moment.depth_m, 98))), 0.1)
    norm = mpl.colors.Normalize(near_m, far_m)
    for ax, view in zip(axes, moment.views, strict=False):
        _draw_view(ax, view, norm)
    _draw_depth(figure, axes[6], moment, norm)
    _draw_world(axes[7], moment)
    _draw_legend(axes[8], moment)
    return Picture(figure, title, _moment_alt(moment, title, subtitle))


def _moment_title(moment: Moment) -> str:
    seen = [view for view in moment.views if view.image is not None]
    if not seen:
        return "One moment that no camera shows"
    drawn = [view for view in seen if view.n_bones_seen]
    who = [name for name in _MOMENT_COLOURS if any(name in view.lines_px for view in drawn)]
    if not who:
        return f"One moment in {counted(len(seen), 'view')}, with no skeleton to project"
    if {"left hand", "right hand"} <= set(who):
        who = [*who[:-2], "both hands"]
    views = "all six views" if len(drawn) == len(layout.CAMERAS) else f"{len(drawn)} of six views"
    return f"{' and '.join(who).capitalize()} are found in {views} of one moment"


def _moment_subtitle(moment: Moment) -> str:
    minutes, seconds = divmod(moment.time_s, 60)
    what = f"“{moment.action}”" if moment.action else "without an action label"
    text = f"Frame {moment.frame:,} at {minutes:.0f}:{seconds:04.1f}: {what}."
    shapes = moment.shapes
    wrists = {"left hand": LEFT_WRIST, "right hand": RIGHT_WRIST}
    if "body" in shapes and (hands := set(wrists) & set(shapes)):
        body = shapes["body"].joints.xyz
        gap_m = max(np.linalg.norm(shapes[one].joints.xyz[0] - body[wrists[one]]) for one in hands)
        text += f" Hands begin at most {1000 * gap_m:.1f} mm from the body's wrists."
    return text


def _draw_view(ax: Axes, view: View, norm: mpl.colors.Normalize) -> None:
    ax.set_title(named(view.camera), fontsize=8)
    if view.image is None:
        empty_panel(ax, view.problem)
        ax.set_box_aspect(0.75)
        return
    height, width = view.image.shape[:2]
    ax.imshow(view.image, extent=(0, width, height, 0))
    ax.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
    ax.spines[:].set_visible(False)
    if view.problem:
        box = {"facecolor": PAPER, "alpha": 0.88, "edgecolor": "none", "pad": 2}
        text = wrap(f"nothing projected: {view.problem}", 26, 4)
        ax.text(0.02, 0.03, text, transform=ax.transAxes, va="bottom", fontsize=8, bbox=box)
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


def _draw_depth(figure: Figure, ax: Axes, moment: Moment, norm: mpl.colors.Normalize) -> None:
    ax.set_title("depth (m)", fontsize=8)
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
    ax.set_title("in world coordinates", fontsize=8)
    if not moment.shapes:
        kinds = [kind for kind in ("pose", *_MOMENT_COLOURS) if kind in moment.problems]
        empty_panel(ax, "; ".join(f"{kind}: {moment.problems[kind]}" for kind in kinds))
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
    top = 0.95 - 0.13 * len(handles)
    look = {"fontsize": 8, "va": "top", "transform": ax.transAxes}
    for head, body in lines[:3]:
        text = textwrap.fill(elide(body, 90), 30)
        ax.text(0.0, top, head, color=MUTED, **look)
        ax.text(0.0, top - 0.11, text, **look)
        top -= 0.15 + 0.11 * len(text.splitlines())


def _moment_alt(moment: Moment, title: str, subtitle: str) -> str:
    parts = [f"Six camera views, a depth map and a drawing of the skeletons. {title}. {subtitle}"]
    for view in moment.views:
        if view.image is None:
            parts.append(f"{named(view.camera)} is empty: {view.problem}.")
        elif view.problem:
            parts.append(f"Nothing is projected into {named(view.camera)}: {view.problem}.")
    if moment.depth_m is None:
        parts.append(f"There is no depth map: {moment.problems.get('depth', '')}.")
    else:
        low, high = np.nanmin(moment.depth_m), np.nanmax(moment.depth_m)
        parts.append(f"Depth lies between {low:.2f} and {high:.2f} metres.")
    return " ".join(parts)
