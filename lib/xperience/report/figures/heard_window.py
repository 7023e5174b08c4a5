"""One window's sound, and which tasks answer it better or worse for hearing it."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from xperience.features.table import WindowTable
from xperience.features.windows import WINDOW_FRAMES
from xperience.report.figures.style import (
    BLUE,
    MUTED,
    ORANGE,
    Picture,
    empty_panel,
    new_figure,
    set_title,
    styled,
)
from xperience.report.quantities import counted
from xperience.report.retrieval import task_words
from xperience.studies.audio.looks import Look
from xperience.studies.audio.moments import Moments, Spectrogram

_AROUND_S, _SHOWN_DB = 5.0, 60
_WORDS = {1: "better with sound", -1: "worse with sound", 0: "no difference"}
_COLOURS = {1: BLUE, -1: ORANGE, 0: MUTED}
_N_COLUMNS = 3


def all_moments(looks: Mapping[str, Look]) -> list[Moments]:
    """Return what hearing changed in every task that has answers with and without sound.

    Parameters
    ----------
    looks : mapping of {task: Look}
    """
    return [Moments.of(look) for look in looks.values() if look.effect is not None]


def windows_heard(moments: Sequence[Moments]) -> np.ndarray:
    """Return the windows that at least one task tests, ascending, int array."""
    found = [one.window for one in moments]
    return np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=int)


@styled
def draw_heard_window(
    table: WindowTable, sound: Spectrogram | None, moments: Sequence[Moments], window: int
) -> Picture:
    """Return the sound around a window, and what each task makes of hearing it.

    Parameters
    ----------
    table : WindowTable
    sound : Spectrogram, optional
        None if there is none.
    moments : sequence of Moments
        One a task.
    window : int
        Place in the table.
    """
    figure = new_figure(3.6)
    here = {one.task: int(one.won[one.window == window][0]) for one in moments
            if (one.window == window).any()}  # fmt: skip
    better, worse = ([name for name, won in here.items() if won == way] for way in (1, -1))
    title = (
        f"With sound this window is answered better in {len(better) or 'none'} of "
        f"{counted(len(here), 'task')}, worse in {len(worse) or 'none'}"
    )
    set_title(figure, title, "Single windows differ by chance too; what may be claimed stands in "
              "the tables.")  # fmt: skip
    pitch, tasks = figure.subplots(2, 1, height_ratios=(1.5, 1))
    start_s = float(table.labels["start_frame"].iloc[window]) / table.info.fps
    _draw_pitch(pitch, sound, start_s, WINDOW_FRAMES / table.info.fps)
    _draw_tasks(tasks, here)
    said = "; ".join(f"{task_words(name)}: {_WORDS[won]}" for name, won in here.items())
    return Picture(figure, title, f"{title}. {said}.")


def _draw_pitch(ax: Axes, sound: Spectrogram | None, start_s: float, long_s: float) -> None:
    if sound is None:
        empty_panel(ax, "this recording has no sound", width=80)
        return
    near = (sound.edges_s >= start_s - _AROUND_S) & (sound.edges_s <= start_s + _AROUND_S)
    first, last = np.flatnonzero(near)[[0, -1]]
    top_db = float(np.nanmax(sound.power_db))
    look = {"cmap": "magma", "vmin": top_db - _SHOWN_DB, "vmax": top_db, "rasterized": True}
    bands = np.arange(len(sound.mel_hz) + 1) - 0.5
    shown = np.ma.masked_invalid(sound.power_db[:, first:last])
    ax.pcolormesh(sound.edges_s[first : last + 1], bands, shown, **look)
    ax.axvline(start_s, color="white", linewidth=1)
    ax.axvline(start_s + long_s, color="white", linewidth=1)
    ax.set(yticks=[], ylabel="pitch (mel)", xlabel="seconds; white: the window")


def _draw_tasks(ax: Axes, here: Mapping[str, int]) -> None:
    ax.axis("off")
    n_rows = -(-max(len(here), 1) // _N_COLUMNS)
    for number, (name, won) in enumerate(here.items()):
        column, row = divmod(number, n_rows)
        place = {"transform": ax.transAxes, "fontsize": 8, "va": "top", "color": _COLOURS[won]}
        mark = {1: "▲", -1: "▼", 0: "·"}[won]
        ax.text(column / _N_COLUMNS, 1 - row / n_rows, f"{mark} {task_words(name)}", **place)
