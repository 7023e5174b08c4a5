"""The sound of an episode, what it adds to each task, the mean over mixed units, when it helps."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xperience.evaluation.ablation import NET_WINS
from xperience.evaluation.records import Record
from xperience.features.sound import Spectrogram, level_db
from xperience.features.table import WindowTable
from xperience.report.audio import FEATURES, Wins, beside, gains, kind_of, kinds_of
from xperience.report.contract import Timeline
from xperience.report.figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    MISSING_HATCH,
    MUTED,
    ORANGE,
    PAPER,
    PURPLE,
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
from xperience.report.tables import Rows, Verdict, listed, readable, share, signed, verdict
from xperience.tasks.audio import OTHER_SOUND, WITH_SOUND

_MARKS = {"published": (ORANGE, "s", -0.17), "corrected": (BLUE, "o", 0.17)}
_KIND_COLOURS = {"F1": SKY, "MRR": PURPLE, "MAE": RED}
_OUTWEIGHS = 1.5
"""Weight of a kind of score, as a multiple of its share of the tasks, that is worth a title."""
_FACTORS = np.geomspace(0.05, 20, 121)
_NAME_CHARS, _TITLE_CHARS = 22, 34
_GAP_IN, _PLOT_IN = 0.135, 6.0
_HZ_TICKS = (125, 500, 1000, 2000, 4000, 8000)
_SHOWN_DB = 60


@styled
def draw_audio_forest(rows: Iterable[Record]) -> Picture:
    """Return net wins of sound, and of its alternative features, a row per task.

    95 % intervals where there are any, and a ring around significant gains of the task's score.
    """
    rows = Rows(rows)
    contracts = [one for one in FEATURES if gains(rows, WITH_SOUND, one)]
    found = (row.task for one in contracts for row in gains(rows, WITH_SOUND, one))
    tasks = list(dict.fromkeys(found))
    figure = new_figure(1.75 + 0.34 * (len(tasks) + 1))
    title = _forest_title(rows, contracts)
    small = (
        "Net wins: share of test windows predicted better minus share predicted worse. Bars: 95 % "
        "intervals; hollow: none can be given. A ring: the scores differ significantly."
    )
    set_title(figure, title, small)
    axes = figure.subplots(1, 2, sharey=True)
    others = " or ".join(FEATURES[one] for one in contracts)
    names = ("with sound minus without", f"{others} instead")
    for ax, pair, name in zip(axes, (WITH_SOUND, OTHER_SOUND), names, strict=True):
        ax.set_title(name)
        for contract in contracts:
            _draw_net_wins(ax, rows, gains(rows, pair, contract), contract, tasks)
        ax.axvline(0, color=BLACK, linewidth=0.9, zorder=1)
        ax.axhline(len(tasks) - 0.5, color=FAINT, linewidth=0.9)
        ax.grid(axis="x", color=FAINT, linewidth=0.6)
        ax.set(xlabel="net wins", xlim=(-1.02, 1.02))
        ax.tick_params(axis="y", length=0)
    axes[0].set(yticks=range(len(tasks) + 1), ylim=(len(tasks) + 0.6, -0.6))
    axes[0].set_yticklabels([*map(readable, tasks), "mean of the tasks"])
    handles = [
        Line2D([], [], color=colour, marker=marker, linewidth=2, markersize=5, label=contract)
        for contract, (colour, marker, _) in _MARKS.items()
        if contract in contracts
    ]
    ring = {"markerfacecolor": "none", "markeredgecolor": BLACK, "markersize": 9}
    handles.append(Line2D([], [], linestyle="", marker="o", label="significant difference", **ring))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return Picture(figure, title, _forest_alt(rows, contracts, title))


def _forest_title(rows: Rows, contracts: Sequence[str]) -> str:
    said = {}
    for contract in contracts:
        found = [one for one in gains(rows, WITH_SOUND, contract) if one.value is not None]
        verdicts = {one.task: verdict(one)[0] for one in found}
        better = [readable(task) for task, one in verdicts.items() if one is Verdict.BETTER]
        worse = list(verdicts.values()).count(Verdict.WORSE)
        if found:
            named = listed(better) if len(better) <= 2 else f"{len(better)} of {len(found)} tasks"
            said[contract] = f"improves {named if better else 'no task'} significantly"
            said[contract] += f" and worsens {worse}" if worse else ""
    if not said:
        return "Nothing can be compared: there is no sound"
    if len(said) > 1 and len(set(said.values())) == 1:
        return f"Audio {next(iter(said.values()))}, under both contracts"
    return "Audio " + "; ".join(f"{what} ({contract})" for contract, what in said.items())


def _draw_net_wins(
    ax: Axes, rows: Rows, found: Sequence[Record], contract: str, tasks: Sequence[str]
) -> None:
    colour, marker, shift = _MARKS[contract]
    values = []
    for gain in found:
        wins, at = beside(rows, gain, NET_WINS), tasks.index(gain.task) + shift
        if wins is None:
            continue
        values.append(wins.value)
        bounded = wins.ci_low is not None
        if bounded:
            ax.plot([wins.ci_low, wins.ci_high], [at, at], color=colour, linewidth=2)
        face = {"facecolor": colour if bounded else PAPER, "edgecolor": colour, "linewidth": 1.2}
        ax.scatter(wins.value, at, marker=marker, s=24, zorder=3, **face)
        if verdict(gain)[0] in (Verdict.BETTER, Verdict.WORSE):
            ring = {"facecolor": "none", "edgecolor": BLACK, "linewidth": 1.3, "zorder": 4}
            ax.scatter(wins.value, at, marker="o", s=120, **ring)
    if values:
        spot = {"color": colour, "marker": "D", "s": 30, "zorder": 3, "linewidth": 0}
        ax.scatter(np.mean(values), len(tasks) + shift, **spot)


def _forest_alt(rows: Rows, contracts: Sequence[str], title: str) -> str:
    parts = [f"Two panels of points with intervals, a row for each task. {title}."]
    for contract in contracts:
        found = gains(rows, WITH_SOUND, contract)
        wins = [beside(rows, gain, NET_WINS) or gain for gain in found]
        said = [
            f"{readable(one.task)} {one.reason if one.value is None else signed(one.value)}"
            for one in wins
        ]
        parts.append(f"Net wins of sound, {contract}: {', '.join(said)}.")
    return " ".join(parts)


# --- the mean over mixed units -----------------------------------------------------------------


@styled
def draw_mixed_mean(rows: Iterable[Record]) -> Picture:
    """Return what each task adds to the published mean, and what other units would make of it."""
    found = [one for one in gains(rows, WITH_SOUND, "published") if one.value is not None]
    kinds = kinds_of(found)
    title = _mean_title(kinds, len(found))
    figure = new_figure(1.85 + 0.24 * max(len(found), 8))
    small = "Each gain is in its own unit. Right: the same gains, those of one kind rescaled."
    set_title(figure, title, small)
    parts, line = figure.subplots(1, 2, width_ratios=(1.15, 1))
    _draw_parts(parts, found)
    _draw_rescaled(line, kinds)
    if len(kinds):
        figure.legend(loc="outside lower center", ncols=len(kinds))
    said = [
        f"{kind}: {one['tasks']:.0f} tasks, {signed(one['part'])} of the mean, "
        f"{share(one['size'])} of the size"
        for kind, one in kinds.iterrows()
    ]
    alt = f"Bars of what each task adds to the mean, {signed(kinds['part'].sum())}. {title}."
    return Picture(figure, title, f"{alt} By kind: {'; '.join(said)}.")


def _mean_title(kinds: pd.DataFrame, n: int) -> str:
    if not n:
        return "No task can be compared, so there is no mean"
    if not kinds["size"].any():
        return "Every gain is zero, in any unit"
    turns = kinds["turning"].notna().any()
    tail = "another unit could turn its sign" if turns else "no unit turns its sign"
    kind = (kinds["size"] / kinds["tasks"]).idxmax()
    own, size = kinds.loc[kind, "tasks"], kinds.loc[kind, "size"]
    if size < _OUTWEIGHS * own / n:
        return f"No kind of score outweighs the others in the mixed mean; {tail}"
    who = f"{own:.0f} {kind} tasks of {n} make" if own > 1 else f"One {kind} task of {n} makes"
    return f"{who} up {share(size)} of what the mixed mean sums; {tail}"


def _draw_parts(ax: Axes, found: Sequence[Record]) -> None:
    found = sorted(found, key=lambda one: one.value)
    parts = [one.value / len(found) for one in found]
    colours = [_KIND_COLOURS[kind_of(one)] for one in found]
    ax.barh(range(len(found)), parts, color=colours, height=0.7)
    ax.axvline(0, color=BLACK, linewidth=0.9)
    ax.axvline(sum(parts), color=BLACK, linewidth=1.2, linestyle=(0, (3, 2)))
    ax.set(yticks=range(len(found)), yticklabels=[readable(one.task) for one in found])
    ax.set_xlabel("what the task adds to the mean (dashed)")
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=5)
    ax.grid(axis="x", color=FAINT, linewidth=0.6)


def _draw_rescaled(ax: Axes, kinds: pd.DataFrame) -> None:
    mean = kinds["part"].sum()
    for kind, one in kinds.iterrows():
        colour, means = _KIND_COLOURS[kind], mean + (_FACTORS - 1) * one["part"]
        ax.plot(_FACTORS, means, color=colour, linewidth=1.9, label=f"{kind} tasks")
        if _FACTORS[0] <= one["turning"] <= _FACTORS[-1]:
            face = {"facecolor": PAPER, "edgecolor": colour, "linewidth": 1.4}
            ax.scatter(one["turning"], 0, s=34, zorder=4, **face)
    ax.axhline(0, color=BLACK, linewidth=0.9)
    ax.axvline(1, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
    ax.set(xscale="log", xlabel="one kind of gain times this", ylabel="mean over mixed units")
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    most = 3 * max(abs(mean), kinds["part"].abs().max() if len(kinds) else 0)
    ax.set_ylim(-most or None, most or None)
    ax.grid(color=FAINT, linewidth=0.6)


# --- the sound itself --------------------------------------------------------------------------


@styled
def draw_sound(table: WindowTable, sound: Spectrogram | None, reason: str = "") -> Picture:
    """Return the spectrogram of an episode under its actions, and the loudness below.

    Parameters
    ----------
    table : WindowTable
        Its windows.
    sound : Spectrogram, optional
    reason : str
        Why there is none.
    """
    if sound is None:
        return _nothing("This recording has no sound", reason)
    line = Timeline.of(table)
    levels = action_levels(line, sound.window_db)
    title = "The sound of the recording; fewer than two actions are named"
    if len(levels) > 1:
        loud, *_, quiet = levels
        names = [elide(name, _TITLE_CHARS) for name in (loud, quiet)]
        apart = levels[loud] - levels[quiet]
        title = f"“{names[0]}” is the loudest action, {apart:.0f} dB above “{names[1]}”"
    figure = new_figure(5.4)
    small = "Actions above, pitch against time below them, loudness of each window."
    set_title(figure, title, small)
    heights = (0.3, 2.6, 1)
    actions, pitch, level = figure.subplots(3, 1, sharex=True, height_ratios=heights)
    _draw_actions(actions, line)
    _draw_pitch(figure, pitch, sound)
    level.plot(line.middle_s, sound.window_db, color=BLACK, linewidth=0.8)
    if line.cut_s is not None:
        level.axvline(line.cut_s, color=RED, linewidth=1.4, linestyle=(0, (4, 2)))
        place = {"transform": level.get_xaxis_transform(), "va": "top", "color": RED, "fontsize": 8}
        level.text(line.cut_s, 0.99, "  → test", **place)
    level.set_ylabel("loudness (dB)")
    level.grid(axis="y", color=FAINT, linewidth=0.6)
    time_axis(level, line.n_frames, line.fps)
    loudest = ", ".join(f"{name} ({db:.0f} dB)" for name, db in list(levels.items())[:3])
    length_s = line.n_frames / line.fps
    alt = f"A spectrogram of {length_s:.0f} seconds under actions. {title}."
    return Picture(figure, title, f"{alt} The loudest actions: {loudest}." if loudest else alt)


def _nothing(title: str, reason: str) -> Picture:
    figure = new_figure(1.9)
    set_title(figure, title)
    empty_panel(figure.subplots(), reason, width=80)
    return Picture(figure, title, f"An empty panel. {title}. The reason: {reason}.")


def action_levels(line: Timeline, window_db: np.ndarray) -> dict[str, float]:
    """Return the mean loudness of each action's windows, dB, the loudest first.

    Parameters
    ----------
    line : Timeline
    window_db : float array, shape (n_windows,)
        NaN where there is no sound.
    """
    power = 10 ** (window_db / 10)
    found = {}
    for number, name in enumerate(line.actions):
        own = (line.action == number) & ~np.isnan(power)
        if own.any():
            found[name] = float(level_db(power[own].mean()))
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def _draw_actions(ax: Axes, line: Timeline) -> None:
    spans = []
    for number, name in enumerate(line.actions):
        own, colour = line.spans(line.action, number), (BLUE, SKY)[number % 2]
        ax.broken_barh(own, (0, 1), facecolor=colour, edgecolor=PAPER, linewidth=0.5)
        spans += [(long_s, start_s + long_s / 2, name) for start_s, long_s in own]
    for start_s, length_s in line.spans(line.action, -1):
        gap = {"facecolor": "#F1F2F3", "edgecolor": "#B8BDC2", "hatch": MISSING_HATCH, "lw": 0}
        ax.axvspan(start_s, start_s + length_s, **gap)
    placed: list[float] = []
    apart_s = line.n_frames / line.fps * _GAP_IN / _PLOT_IN
    for _, middle_s, name in sorted(spans, reverse=True):  # long ones first, none on another
        if all(abs(middle_s - other) >= apart_s for other in placed):
            placed.append(middle_s)
            place = {"rotation": 90, "ha": "center", "va": "bottom", "fontsize": 7}
            ax.text(middle_s, 1.15, elide(name, _NAME_CHARS), **place)
    ax.set(yticks=[], ylim=(0, 1))
    ax.spines[:].set_visible(False)
    ax.tick_params(axis="x", length=0)


def _draw_pitch(figure: Figure, ax: Axes, sound: Spectrogram) -> None:
    top_db = float(np.nanmax(sound.power_db))
    bands = np.arange(len(sound.mel_hz) + 1) - 0.5
    look = {"cmap": "magma", "vmin": top_db - _SHOWN_DB, "vmax": top_db, "rasterized": True}
    mesh = ax.pcolormesh(sound.edges_s, bands, np.ma.masked_invalid(sound.power_db), **look)
    ticks = [hz for hz in _HZ_TICKS if hz <= sound.mel_hz[-1]]
    places = np.interp(ticks, sound.mel_hz, np.arange(len(sound.mel_hz)))
    ax.set_yticks(places, [f"{hz / 1000:g}" for hz in ticks])
    ax.set_ylabel("pitch (kHz, mel scale)")
    bar = figure.colorbar(mesh, ax=ax, pad=0.01, aspect=18)
    bar.set_label("power (dB)")
    bar.outline.set_visible(False)


# --- when sound decides ------------------------------------------------------------------------


@styled
def draw_when(table: WindowTable, wins: Sequence[Wins], window_db: np.ndarray | None) -> Picture:
    """Return which test windows are won and lost by sound, over time, with the loudness.

    Parameters
    ----------
    table : WindowTable
    wins : sequence of Wins
        Tasks in which sound matters most, a row each.
    window_db : float array, shape (n_windows,), optional
        Loudness of each window.
    """
    if not wins:
        reason = "no task has predictions with sound and without that differ"
        return _nothing("Sound makes no difference to any prediction", reason)
    line, title = Timeline.of(table), _when_title(wins[0], window_db)
    figure, n = new_figure(2.6 + 0.85 * len(wins)), len(wins)
    small = (
        "Test windows. Up, blue: right, or nearer, only with sound; down, orange: without it. "
        "Line: their running mean. Strip below the loudness: actions."
    )
    set_title(figure, title, small)
    axes = figure.subplots(n + 1, 1, sharex=True, height_ratios=[1.1] + [1] * n)
    first = min(int(one.window.min()) for one in wins)
    _draw_test_level(axes[0], line, first, window_db)
    for ax, one in zip(axes[1:], wins, strict=True):
        _draw_won(ax, line, one)
    time_axis(axes[-1], line.n_frames, line.fps)
    axes[-1].set_xlim(line.middle_s[first] - line.stride_s, line.n_frames / line.fps)
    parts = [f"Strips of wins and losses over the test part, a row for each task. {title}."]
    for one in wins:
        won, lost = (share((one.won == sign).mean()) for sign in (1, -1))
        parts.append(f"{readable(one.task)}: {won} of the windows won, {lost} lost.")
    return Picture(figure, title, " ".join(parts))


def _when_title(first: Wins, window_db: np.ndarray | None) -> str:
    won, lost = (first.won > 0).sum(), (first.won < 0).sum()
    said = (
        f"Sound decides {won + lost} of {len(first.won)} samples of {readable(first.task)} "
        f"({won} won, {lost} lost)"
    )
    if window_db is None:
        return said
    found = first.loud_minus_quiet(window_db)
    if not found.excludes_zero:
        return f"{said}, not significantly more where it is loud"
    return f"{said}, more to its gain where it is {'loud' if found.estimate > 0 else 'quiet'}"


def _draw_test_level(ax: Axes, line: Timeline, first: int, window_db: np.ndarray | None) -> None:
    if window_db is None:
        empty_panel(ax, "no sound", width=60)
        return
    shown_db = window_db[first:]
    ax.plot(line.middle_s[first:], shown_db, color=BLACK, linewidth=0.9)
    low, high = np.nanmin(shown_db), np.nanmax(shown_db)
    for number in range(len(line.actions)):
        for start_s, long_s in line.spans(line.action, number):
            ax.axvspan(start_s, start_s + long_s, 0, 0.09, color=(BLUE, SKY)[number % 2], lw=0)
    ax.set(ylim=(low - 0.2 * (high - low) - 1, high + 1), ylabel="loudness (dB)")
    ax.grid(axis="y", color=FAINT, linewidth=0.6)


def _draw_won(ax: Axes, line: Timeline, one: Wins) -> None:
    time_s = line.middle_s[one.window]
    for sign, colour in ((1, BLUE), (-1, ORANGE)):
        hit = one.won == sign
        ax.bar(time_s[hit], sign, width=line.stride_s, color=colour, linewidth=0)
    width = min(2 * max(one.segmentation.min_length, 4) + 1, len(one.won))
    kernel = np.ones(width)
    around = np.convolve(np.ones(len(one.won)), kernel, mode="same")  # fewer at the ends
    mean = np.convolve(one.won, kernel, mode="same") / around
    ax.plot(time_s, mean, color=GREEN, linewidth=1.6)
    ax.axhline(0, color=BLACK, linewidth=0.7)
    mark = ", a significant difference" if one.significant else ""
    ax.set_title(f"{readable(one.task)}: net wins {one.net:+.2f}{mark}")
    ax.set(ylim=(-1.1, 1.1), yticks=(-1, 0, 1), yticklabels=("lost", "", "won"))
    ax.tick_params(axis="y", length=0, labelcolor=MUTED)
