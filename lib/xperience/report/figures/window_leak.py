"""One test window with the training windows around it: what it has in common with them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from xperience.features.windows import WINDOW_FRAMES
from xperience.report.figures.style import (
    BLUE,
    GREEN,
    MUTED,
    ORANGE,
    RED,
    SKY,
    Picture,
    elide,
    empty_panel,
    new_figure,
    set_title,
    styled,
)
from xperience.report.quantities import counted, place_at
from xperience.report.shift_words import HEAD_NAMES
from xperience.studies.shift.study import SplitCase

_AROUND_FRAMES = 3 * WINDOW_FRAMES
_ROWS = {"this test window": ORANGE, "training": BLUE, "other tests": SKY, "purged": MUTED}
_NAME_CHARS = 44


@styled
def draw_window_leak(case: SplitCase, share: float, fps: float) -> Picture:
    """Return a test window among the windows near it, and what heads and probes say of it.

    Parameters
    ----------
    case : SplitCase
    share : float
        How far along the test windows, 0 to 1.
    fps : float
        Frames a second.

    Returns
    -------
    Picture
        Windows as bars over time, what is shared shaded; answers below, green where right.
    """
    figure = new_figure(3.5)
    if case.problem is None or not len(case.problem.split.test):
        title = "This split asks nothing here"
        set_title(figure, title)
        empty_panel(figure.subplots(), case.outcomes[0].reason if case.outcomes else title)
        return Picture(figure, title, title)
    problem = case.problem
    here = int(problem.by_time[place_at(share, len(problem.by_time))])
    shared, near = _shared_frames(case, here)
    title = _title(near, shared, fps)
    set_title(figure, title, "Above: windows by the frames that they hold. Below: who says what.")
    bars, answers = figure.subplots(2, 1, height_ratios=(1.5, 1))
    _draw_bars(bars, case, here, shared)
    told = _answers(case, here)
    _draw_answers(answers, problem.test_targets[here], told)
    alt = "; ".join(f"{who}: {said}" for who, said, _ in told)
    return Picture(figure, title, f"{title}. True: {problem.test_targets[here]}. {alt}.")


def _starts(case: SplitCase, part: np.ndarray) -> np.ndarray:
    samples = case.problem.samples
    return case.problem.truth.starts[samples.members[part, 0]]


def _shared_frames(case: SplitCase, here: int) -> tuple[np.ndarray, int]:
    """Return which frames of a test window training windows hold too, and the nearest of those.

    Returns
    -------
    shared : bool array, shape (WINDOW_FRAMES,)
    near : int
        Frames to the nearest training window, from start to start.
    """
    start = int(_starts(case, case.problem.split.test)[here])
    apart = _starts(case, case.problem.split.train) - start
    frames = np.arange(WINDOW_FRAMES)
    held = (frames >= apart[:, None]) & (frames < apart[:, None] + WINDOW_FRAMES)
    return held.any(axis=0), int(np.abs(apart).min())


def _title(near: int, shared: np.ndarray, fps: float) -> str:
    if not shared.any():
        return f"No frame is shared: the nearest training window begins {near / fps:.2f} s away"
    return (
        f"{int(shared.sum())} of the window's {counted(WINDOW_FRAMES, 'frame')} are in training "
        f"windows too; the nearest of those begins {near / fps:.2f} s away"
    )


def _draw_bars(ax: Axes, case: SplitCase, here: int, shared: np.ndarray) -> None:
    split = case.problem.split
    start = int(_starts(case, split.test)[here])
    others = np.delete(split.test, here)
    parts = {"training": split.train, "other tests": others, "purged": split.purged}
    rows = {"this test window": np.array([start])}
    rows |= {name: _starts(case, part) for name, part in parts.items()}
    for level, (name, starts) in enumerate(rows.items()):
        near = np.sort(starts[np.abs(starts - start) <= _AROUND_FRAMES]) - start
        for number, left in enumerate(near):
            place = (level + 0.17 * (number % 4), 0.15)
            ax.broken_barh([(left, WINDOW_FRAMES)], place, facecolor=_ROWS[name])
    for frame in np.flatnonzero(shared):
        ax.axvspan(frame, frame + 1, color=RED, alpha=0.12, linewidth=0)
    ax.set_yticks(np.arange(len(rows)) + 0.33, list(rows))
    ax.set(ylim=(len(rows), -0.2), xlabel="frames from the start of the test window")
    ax.set_xlim(-_AROUND_FRAMES, _AROUND_FRAMES + WINDOW_FRAMES)
    ax.tick_params(axis="y", length=0)


def _answers(case: SplitCase, here: int) -> list[tuple[str, str, bool]]:
    """Return who says what of a test sample, and whether it is right."""
    true = case.problem.test_targets[here]
    return [
        (HEAD_NAMES.get(one.head, one.head), str(said), said == true)
        for one in case.outcomes
        if one.answer is not None
        for said in (one.answer.predicted[here],)
    ]


def _draw_answers(ax: Axes, true: str, told: Sequence[tuple[str, str, bool]]) -> None:
    ax.axis("off")
    lines = [("true", true, True), *told]
    for number, (who, said, right) in enumerate(lines):
        place = {"transform": ax.transAxes, "fontsize": 8, "va": "top"}
        y = 1 - number / max(len(lines), 5)
        ax.text(0, y, who, color=MUTED, **place)
        mark = "" if not number else "✓ " if right else "✗ "
        colour = None if not number else GREEN if right else RED
        ax.text(0.4, y, mark + elide(said, _NAME_CHARS), color=colour, **place)
