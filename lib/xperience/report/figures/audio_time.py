"""The sound of an episode over its actions, and the moments at which hearing it decides."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from xperience.features.table import WindowTable
from xperience.report.figures.style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    MISSING_HATCH,
    MUTED,
    ORANGE,
    PAPER,
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
from xperience.report.retrieval import task_words
from xperience.report.timeline import Timeline
from xperience.studies.audio.moments import Moments, Spectrogram, level_db

_NAME_CHARS, _TITLE_CHARS = 22, 34
_GAP_IN, _PLOT_IN = 0.135, 6.0
_HZ_TICKS = (125, 500, 1000, 2000, 4000, 8000)
_SHOWN_DB = 60
_WON, _LOST = BLUE, ORANGE


@styled
def draw_sound(table: WindowTable, sound: Spectrogram | None, reason: str = "") -> Picture:
    """Return the spectrogram of an episode under its actions, and the loudness below.

    Parameters
    ----------
    table : WindowTable
        Its windows.
    sound : Spectrogram, optional
        None if there is none.
    reason : str
        Why there is none.
    """
    line = Timeline.of(table)
    title = _sound_title(line, sound)
    if sound is None:
        figure = new_figure(1.9)
        set_title(figure, title)
        empty_panel(figure.subplots(), reason, width=80)
        return Picture(figure, title, f"An empty panel. {title}. The reason: {reason}.")
    figure = new_figure(5.4)
    set_title(
        figure, title, "Actions above, pitch against time below them, loudness of each window."
    )
    heights = (0.3, 2.6, 1)
    actions, pitch, level = figure.subplots(3, 1, sharex=True, height_ratios=heights)
    _draw_actions(actions, line)
    _draw_pitch(figure, pitch, sound)
    _draw_level(level, line, sound.window_db)
    time_axis(level, line.n_frames, line.fps)
    return Picture(figure, title, _sound_alt(line, sound, title))


def action_levels(line: Timeline, window_db: np.ndarray) -> dict[str, float]:
    """Return the mean loudness of each action's windows, dB, the loudest first.

    Parameters
    ----------
    line : Timeline
    window_db : float array, shape (n_windows,)
        NaN where there is no sound.
    """
    power = 10 ** (window_db / 10)
    heard = ~np.isnan(power)
    found = {}
    for number, name in enumerate(line.actions):
        own = (line.action == number) & heard
        if own.any():
            found[name] = float(level_db(power[own].mean()))
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def _sound_title(line: Timeline, sound: Spectrogram | None) -> str:
    if sound is None:
        return "This recording has no sound"
    levels = action_levels(line, sound.window_db)
    if len(levels) < 2:
        return "The sound of the recording; fewer than two actions are named"
    loud, quiet = next(iter(levels)), list(levels)[-1]
    apart = levels[loud] - levels[quiet]
    names = [elide(name, _TITLE_CHARS) for name in (loud, quiet)]
    return f"“{names[0]}” is the loudest action, {apart:.0f} dB above “{names[1]}”"


def _draw_actions(ax: Axes, line: Timeline) -> None:
    for number in range(len(line.actions)):
        colour = (BLUE, SKY)[number % 2]
        spans = line.spans(line.action, number)
        ax.broken_barh(spans, (0, 1), facecolor=colour, edgecolor=PAPER, linewidth=0.5)
    for start_s, length_s in line.spans(line.action, -1):
        gap = {"facecolor": "#F1F2F3", "edgecolor": "#B8BDC2", "hatch": MISSING_HATCH, "lw": 0}
        ax.axvspan(start_s, start_s + length_s, **gap)
    for middle_s, name in _named(line):
        place = {"rotation": 90, "ha": "center", "va": "bottom", "fontsize": 7}
        ax.text(middle_s, 1.15, elide(name, _NAME_CHARS), **place)
    ax.set(yticks=[], ylim=(0, 1))
    ax.spines[:].set_visible(False)
    ax.tick_params(axis="x", length=0)


def _named(line: Timeline) -> list[tuple[float, str]]:
    """Return where names of actions go: the longest ones first, none on top of another."""
    length_s = line.n_frames / line.fps
    spans = [
        (long_s, start_s + long_s / 2, name)
        for number, name in enumerate(line.actions)
        for start_s, long_s in line.spans(line.action, number)
    ]
    placed: list[tuple[float, str]] = []
    apart_s = length_s * _GAP_IN / _PLOT_IN
    for _, middle_s, name in sorted(spans, reverse=True):
        if all(abs(middle_s - other) >= apart_s for other, _ in placed):
            placed.append((middle_s, name))
    return placed


def _draw_pitch(figure, ax: Axes, sound: Spectrogram) -> None:
    top_db = float(np.nanmax(sound.power_db))
    shown = np.ma.masked_invalid(sound.power_db)
    bands = np.arange(len(sound.mel_hz) + 1) - 0.5
    look = {"cmap": "magma", "vmin": top_db - _SHOWN_DB, "vmax": top_db, "rasterized": True}
    mesh = ax.pcolormesh(sound.edges_s, bands, shown, **look)
    ticks = [hz for hz in _HZ_TICKS if hz <= sound.mel_hz[-1]]
    places = np.interp(ticks, sound.mel_hz, np.arange(len(sound.mel_hz)))
    ax.set_yticks(places, [f"{hz / 1000:g}" for hz in ticks])
    ax.set_ylabel("pitch (kHz, mel scale)")
    bar = figure.colorbar(mesh, ax=ax, pad=0.01, aspect=18)
    bar.set_label("power (dB)")
    bar.outline.set_visible(False)


def _draw_level(ax: Axes, line: Timeline, window_db: np.ndarray) -> None:
    ax.plot(line.middle_s, window_db, color=BLACK, linewidth=0.8)
    if line.cut_s is not None:
        ax.axvline(line.cut_s, color=RED, linewidth=1.4, linestyle=(0, (4, 2)))
        place = {"transform": ax.get_xaxis_transform(), "va": "top", "color": RED, "fontsize": 8}
        ax.text(line.cut_s, 0.99, "  → test", **place)
    ax.set_ylabel("loudness (dB)")
    ax.grid(axis="y", color=FAINT, linewidth=0.6)


def _sound_alt(line: Timeline, sound: Spectrogram, title: str) -> str:
    levels = action_levels(line, sound.window_db)
    parts = [f"A spectrogram of {line.n_frames / line.fps:.0f} seconds under actions. {title}."]
    known = sound.window_db[~np.isnan(sound.window_db)]
    if len(known):
        parts.append(f"Windows are between {known.min():.0f} and {known.max():.0f} dB loud.")
    if len(levels) > 2:
        first = [f"{name} ({level:.0f} dB)" for name, level in list(levels.items())[:3]]
        parts.append(f"The loudest actions: {', '.join(first)}.")
    return " ".join(parts)


# --- when hearing decides ----------------------------------------------------------------------


@styled
def draw_when(
    table: WindowTable, moments: Sequence[Moments], window_db: np.ndarray | None
) -> Picture:
    """Return which test windows are won and lost by hearing, over time, with the loudness.

    Parameters
    ----------
    table : WindowTable
    moments : sequence of Moments
        Tasks in which sound matters most, a row each.
    window_db : float array, shape (n_windows,), optional
        Loudness of each window.
    """
    line = Timeline.of(table)
    title = _when_title(moments, window_db)
    if not moments:
        figure = new_figure(1.6)
        set_title(figure, title)
        why = "no task has an answer with sound and one without that differ"
        empty_panel(figure.subplots(), why, width=80)
        return Picture(figure, title, f"An empty panel. {title}: {why}.")
    figure = new_figure(2.6 + 0.85 * len(moments))
    small = "Test windows. Up, blue: right, or nearer, only with sound; down, orange: without it."
    set_title(
        figure, title, f"{small} Line: their running mean. Strip below the loudness: actions."
    )
    n = len(moments)
    axes = figure.subplots(n + 1, 1, sharex=True, height_ratios=[1.1] + [1] * n)
    _draw_test_level(axes[0], line, moments, window_db)
    for ax, one in zip(axes[1:], moments, strict=True):
        _draw_won(ax, line, one)
    time_axis(axes[-1], line.n_frames, line.fps)
    first = min(int(one.window.min()) for one in moments)
    axes[-1].set_xlim(line.middle_s[first] - line.stride_s, line.n_frames / line.fps)
    return Picture(figure, title, _when_alt(moments, window_db, title))


def _when_title(moments: Sequence[Moments], window_db: np.ndarray | None) -> str:
    if not moments:
        return "Hearing or not makes no difference to any answer"
    first = moments[0]
    won, lost = (first.won > 0).sum(), (first.won < 0).sum()
    said = (
        f"Sound decides {won + lost} of {len(first.won)} samples of {task_words(first.task)} "
        f"({won} won, {lost} lost)"
    )
    if window_db is None:
        return said
    found = first.loud_minus_quiet(window_db)
    if not found.excludes_zero:
        return f"{said}, not surely more where it is loud"
    return f"{said}, more to its gain where it is {'loud' if found.estimate > 0 else 'quiet'}"


def _draw_test_level(
    ax: Axes, line: Timeline, moments: Sequence[Moments], window_db: np.ndarray | None
) -> None:
    first = min(int(one.window.min()) for one in moments)
    if window_db is None:
        empty_panel(ax, "no sound", width=60)
        return
    shown = slice(first, None)
    ax.plot(line.middle_s[shown], window_db[shown], color=BLACK, linewidth=0.9)
    low, high = np.nanmin(window_db[shown]), np.nanmax(window_db[shown])
    for number in range(len(line.actions)):
        for start_s, long_s in line.spans(line.action, number):
            ax.axvspan(start_s, start_s + long_s, 0, 0.09, color=(BLUE, SKY)[number % 2], lw=0)
    ax.set(ylim=(low - 0.2 * (high - low) - 1, high + 1), ylabel="loudness (dB)")
    ax.grid(axis="y", color=FAINT, linewidth=0.6)


def _draw_won(ax: Axes, line: Timeline, one: Moments) -> None:
    time_s = line.middle_s[one.window]
    for sign, colour in ((1, _WON), (-1, _LOST)):
        hit = one.won == sign
        ax.bar(time_s[hit], sign, width=line.stride_s, color=colour, linewidth=0)
    wide = max(one.look.contest.contestants[one.look.variant].problem.min_block, 4)
    ax.plot(time_s, _running_mean(one.won, 2 * wide + 1), color=GREEN, linewidth=1.6)
    ax.axhline(0, color=BLACK, linewidth=0.7)
    mark = " — may be claimed" if one.look.claimed else ""
    ax.set_title(f"{task_words(one.task)}: net wins {one.net_wins:+.2f}{mark}")
    ax.set(ylim=(-1.1, 1.1), yticks=(-1, 0, 1), yticklabels=("lost", "", "won"))
    ax.tick_params(axis="y", length=0, labelcolor=MUTED)


def _running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Return centred means; at the ends over what there is."""
    kernel = np.ones(min(width, len(values)))
    total = np.convolve(values, kernel, mode="same")
    return total / np.convolve(np.ones(len(values)), kernel, mode="same")


def _when_alt(moments: Sequence[Moments], window_db: np.ndarray | None, title: str) -> str:
    parts = [f"Strips of wins and losses over the test part, a row for each task. {title}."]
    for one in moments:
        won, lost = float((one.won > 0).mean()), float((one.won < 0).mean())
        parts.append(f"{task_words(one.task)}: {won:.0%} of the windows won, {lost:.0%} lost.")
    if window_db is None:
        parts.append("Loudness is missing.")
    return " ".join(parts)
