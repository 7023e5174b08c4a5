"""The sound of an episode, what it adds to each task, and when it helps."""

from collections.abc import Iterable, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from xperience.evaluation.ablation import NET_WINS
from xperience.evaluation.records import Record
from xperience.features.sound import Spectrogram, level_db
from xperience.features.table import WindowTable
from xperience.report.audio import FEATURES, Wins, beside, gains
from xperience.report.contract import Timeline
from xperience.report.figures.points import draw_point, key, name_lines
from xperience.report.figures.style import (
    BLACK,
    BLUE,
    FAINT,
    NARROW_IN,
    ORANGE,
    RED,
    Picture,
    elide,
    empty_panel,
    new_figure,
    nothing,
    set_title,
    styled,
    time_axis,
)
from xperience.report.tables import (
    Rows,
    Verdict,
    any_tested,
    listed,
    of_tested,
    readable,
    reason_of,
    share,
    signed,
    verdict,
    verdicts,
)
from xperience.tasks.audio import WITH_SOUND

_LOOKS = {"published": (ORANGE, "s"), "corrected": (BLUE, "o")}
_NAME_CHARS, _TITLE_CHARS, _MAX_ACTIONS = 24, 34, 24
_HZ_TICKS = (125, 500, 1000, 2000, 4000, 8000)
_SHOWN_DB = 60


@styled
def draw_audio_forest(rows: Iterable[Record]) -> Picture:
    """Return net wins of the predictions with sound over those without, a row per task."""
    rows = Rows(rows)
    found = {one: gains(rows, WITH_SOUND, one) for one in FEATURES}
    found = {contract: each for contract, each in found.items() if each}
    title = _forest_title(found)
    if not found:
        return nothing(title, "no task has scores with and without sound")
    tasks = list(dict.fromkeys(row.task for each in found.values() for row in each))
    figure = new_figure(2.0 + 0.34 * max(len(tasks), 2), NARROW_IN)
    small = (
        "Net wins of sound: share of test windows predicted better with it minus share predicted "
        "worse, 95 % intervals. Filled: the task's score differs significantly."
    )
    set_title(figure, title, small)
    ax, alt = figure.subplots(), [f"Points with intervals, a row for each task. {title}."]
    for shift, (contract, each) in zip((-0.16, 0.16), found.items(), strict=False):
        said = []
        for gain in each:
            wins, name = beside(rows, gain, NET_WINS), readable(gain.task)
            if wins is None or wins.value is None:
                said.append(f"{name} {reason_of(gain)}")
                continue
            sure = verdict(gain)[0] in (Verdict.BETTER, Verdict.WORSE)
            draw_point(ax, wins, tasks.index(gain.task) + shift, _LOOKS[contract], filled=sure)
            said.append(f"{name} {signed(wins.value)}")
        alt.append(f"Net wins of sound, {contract}: {', '.join(said)}.")
    ax.axvline(0, color=BLACK, linewidth=0.9, zorder=1)
    name_lines(ax, list(map(readable, tasks)))
    ax.set(xlabel="net wins", xlim=(-1.02, 1.02))
    handles = [key(contract, _LOOKS[contract]) for contract in found]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return Picture(figure, title, " ".join(alt))


def _forest_title(found: dict[str, list[Record]]) -> str:
    said = {}
    for contract, each in found.items():
        counts = verdicts(each)
        better = [readable(one.task) for one in each if verdict(one)[0] is Verdict.BETTER]
        named = f"{len(better)} ({listed(better)})" if 1 <= len(better) <= 2 else len(better)
        worse = counts[Verdict.WORSE] or "none"
        if any_tested(counts):
            said[contract] = (
                f"improves {named or 'none'} and worsens {worse} of {of_tested(counts)}"
            )
    untested = [contract for contract in found if contract not in said]
    if not said:
        return "Whether audio improves any task is not tested"
    if len(said) > 1 and len(set(said.values())) == 1:
        parts = [f"{next(iter(said.values()))} under both contracts"]
    else:
        parts = [f"{what} under {contract}" for contract, what in said.items()]
    parts += [f"not tested under {contract}" for contract in untested]
    return f"Audio significantly {'; '.join(parts)}"


# --- the sound itself --------------------------------------------------------------------------


@styled
def draw_sound(table: WindowTable, sound: Spectrogram | None, reason: str = "") -> Picture:
    """Return the spectrogram of an episode, and below it when its actions are and how loud.

    Parameters
    ----------
    table : WindowTable
        Its windows.
    sound : Spectrogram, optional
    reason : str
        Why there is none.
    """
    if sound is None:
        return nothing("This recording has no sound", reason)
    line = Timeline.of(table)
    levels = action_levels(line, sound.window_db)
    title = "The sound of the recording; fewer than two actions have a level"
    if len(levels) > 1:
        loud, *_, quiet = levels
        names = [elide(name, _TITLE_CHARS) for name in (loud, quiet)]
        apart = levels[loud] - levels[quiet]
        title = f"“{names[0]}” is the loudest action, {apart:.0f} dB above “{names[1]}”"
    shown = [name for name in line.actions if name in list(levels)[:_MAX_ACTIONS]]
    figure = new_figure(3.4 + 0.19 * len(shown), NARROW_IN)
    small = "Above: pitch over time, bright is loud. Below: actions, dark is loud; mean level."
    set_title(figure, title, small)
    ratios = (2.0, max(0.19 * len(shown), 0.3))
    pitch, actions = figure.subplots(2, 1, sharex=True, height_ratios=ratios)
    _draw_pitch(pitch, sound)
    _draw_actions(actions, line, {name: levels[name] for name in shown})
    if line.cut_s is not None:
        for ax in (pitch, actions):
            ax.axvline(line.cut_s, color=RED, linewidth=1.4, linestyle=(0, (4, 2)))
        place = {"transform": pitch.get_xaxis_transform(), "va": "bottom", "color": RED}
        pitch.text(line.cut_s, 1.01, "test part →", fontsize=8, **place)
    time_axis(actions, line.n_frames, line.fps)
    loudest = ", ".join(f"{name} ({db:.0f} dB)" for name, db in list(levels.items())[:3])
    length_s = line.n_frames / line.fps
    alt = f"A spectrogram of {length_s:.0f} seconds above actions. {title}."
    return Picture(figure, title, f"{alt} The loudest actions: {loudest}." if loudest else alt)


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


def _draw_actions(ax: Axes, line: Timeline, levels: dict[str, float]) -> None:
    """Draw a line for each action, dark where it is loud, its level beside it."""
    scale = mpl.colors.Normalize(
        min(levels.values(), default=0) - 8, max(levels.values(), default=0)
    )
    for place, (name, db) in enumerate(levels.items()):
        spans = line.spans(line.action, line.actions.index(name))
        ax.broken_barh(spans, (place - 0.4, 0.8), facecolor=mpl.colormaps["Blues"](scale(db)))
        where = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": 7.5}
        ax.text(1.01, place, f"{db:.0f} dB", **where)
    name_lines(ax, [elide(name, _NAME_CHARS) for name in levels])
    ax.tick_params(axis="y", labelsize=7.5)


def _draw_pitch(ax: Axes, sound: Spectrogram) -> None:
    top_db = float(np.nanmax(sound.power_db))
    bands = np.arange(len(sound.mel_hz) + 1) - 0.5
    look = {"cmap": "magma", "vmin": top_db - _SHOWN_DB, "vmax": top_db, "rasterized": True}
    ax.pcolormesh(sound.edges_s, bands, np.ma.masked_invalid(sound.power_db), **look)
    ticks = [hz for hz in _HZ_TICKS if hz <= sound.mel_hz[-1]]
    places = np.interp(ticks, sound.mel_hz, np.arange(len(sound.mel_hz)))
    ax.set_yticks(places, [f"{hz / 1000:g}" for hz in ticks])
    ax.set_ylabel("pitch (kHz)")


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
        return nothing("No window is known to be won or lost by sound", reason)
    line, title = Timeline.of(table), _when_title(wins[0], window_db)
    figure, n = new_figure(2.3 + 0.7 * len(wins), NARROW_IN), len(wins)
    small = "Test windows. Up, dark: predicted better with sound; down, light: better without it."
    set_title(figure, title, small)
    axes = figure.subplots(n + 1, 1, sharex=True)
    first = min(int(one.window.min()) for one in wins)
    if window_db is None:
        empty_panel(axes[0], "no sound", width=60)
    else:
        axes[0].plot(line.middle_s[first:], window_db[first:], color=BLACK, linewidth=0.9)
        axes[0].set_title("loudness (dB)")
        axes[0].grid(axis="y", color=FAINT, linewidth=0.6)
    parts = [f"Strips of wins and losses over the test part, a row for each task. {title}."]
    for ax, one in zip(axes[1:], wins, strict=True):
        for sign, colour in ((1, BLUE), (-1, ORANGE)):
            hit = line.middle_s[one.window[one.won == sign]]
            ax.bar(hit, sign, width=line.stride_s, color=colour, linewidth=0)
        ax.axhline(0, color=BLACK, linewidth=0.7)
        mark = ", significant" if one.significant else ""
        ax.set_title(f"{readable(one.task)}: net wins {signed(one.net)}{mark}")
        ax.set(ylim=(-1.1, 1.1), yticks=(-1, 1), yticklabels=("lost", "won"))
        ax.tick_params(axis="y", length=0)
        won, lost = (share((one.won == sign).mean()) for sign in (1, -1))
        parts.append(f"{readable(one.task)}: {won} of the windows won, {lost} lost.")
    time_axis(axes[-1], line.n_frames, line.fps)
    axes[-1].set_xlim(line.middle_s[first] - line.stride_s, line.n_frames / line.fps)
    return Picture(figure, title, " ".join(parts))


def _when_title(first: Wins, window_db: np.ndarray | None) -> str:
    won, lost = (first.won > 0).sum(), (first.won < 0).sum()
    said = (
        f"Sound decides {won + lost} of {len(first.won)} windows of {readable(first.task)} "
        f"({won} won, {lost} lost)"
    )
    if window_db is None:
        return said
    found = first.loud_minus_quiet(window_db)
    if found.low is None:
        return f"{said}; loud against quiet windows is not tested"
    if not found.excludes_zero:
        return f"{said}, not significantly more where it is loud"
    return f"{said}, more to its gain where it is {'loud' if found.estimate > 0 else 'quiet'}"
