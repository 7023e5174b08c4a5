"""What is true and what heads say around one window, as strips of labels over time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from xperience.features.windows import WINDOW_FRAMES
from xperience.report.figures.style import (
    FAINT,
    GREEN,
    INK,
    PAPER,
    RED,
    Picture,
    elide,
    empty_panel,
    new_figure,
    set_title,
    styled,
)
from xperience.report.quantities import place_at
from xperience.studies.problem import Outcome

TRUE = "true"
_AROUND_FRAMES, _NAME_CHARS, _HIGH = 10 * WINDOW_FRAMES, 60, 0.42


@dataclass(frozen=True)
class Told:
    """Labels of tested windows in the order of a recording: the true ones and each head's.

    Parameters
    ----------
    strips : dict of {name: list of str}
        `TRUE` first; none if nothing was tested.
    start_frames : int array, shape (n_windows,)
    """

    strips: dict[str, list[str]]
    start_frames: np.ndarray

    @classmethod
    def of_table(cls, said: pd.DataFrame, task: str, episode: str) -> "Told":
        """Return what predictions of many recordings hold of a task and recording, first seeds."""
        here = said[(said["task"] == task) & (said["episode"] == episode)]
        here = here.drop_duplicates(["head", "start_frame"]).sort_values("start_frame")
        strips: dict[str, list[str]] = {}
        for head, own in here.groupby("head", sort=False):
            strips = {TRUE: list(own["truth"])} | strips | {str(head): list(own["predicted"])}
        return cls(strips, np.unique(here["start_frame"].to_numpy(dtype=np.int64)))

    @classmethod
    def of_outcomes(cls, outcomes: Sequence[Outcome], task: str) -> "Told":
        """Return what heads say of a task about classes, first seeds."""
        strips: dict[str, list[str]] = {}
        starts = np.zeros(0, dtype=np.int64)
        for one in outcomes:
            if one.task.name != task or one.answer is None:
                continue
            problem, order = one.problem, one.problem.by_time
            members = problem.samples.members[problem.split.test[order], 0]
            starts = problem.truth.starts[members]
            strips |= {} if strips else {TRUE: [problem.test_targets[k] for k in order]}
            strips[one.head] = [one.answer.predicted[k] for k in order]
        return cls(strips, starts)


@styled
def draw_told(told: Told, share: float) -> Picture:
    """Return labels around one window: a strip for the truth, one for each head.

    Parameters
    ----------
    told : Told
    share : float
        How far along the tested windows, 0 to 1.
    """
    figure = new_figure(1.3 + 0.5 * max(len(told.strips), 2))
    if not told.strips:
        title = "Nothing was answered here"
        set_title(figure, title)
        empty_panel(figure.subplots(), "there are no predictions of this task", width=60)
        return Picture(figure, title, title)
    place = place_at(share, len(told.start_frames))
    said = {name: str(labels[place]) for name, labels in told.strips.items()}
    title = _title(said)
    set_title(
        figure, title, "Green: as the truth has it; orange: otherwise. Black line: the window."
    )
    _draw_strips(figure.subplots(), told, place)
    alt = "; ".join(f"{name}: {label or 'nothing'}" for name, label in said.items())
    frame = f"At frame {told.start_frames[place]:,}"
    return Picture(figure, title, f"{title}. {frame}: {alt}.")


def _title(said: dict[str, str]) -> str:
    heads = {name: label for name, label in said.items() if name != TRUE}
    right = [name.replace("_", " ") for name, label in heads.items() if label == said[TRUE]]
    who = (
        "Both heads are"
        if len(right) == len(heads) > 1
        else f"{' and '.join(right) or 'no head'} is"
    )
    label = elide(said[TRUE], _NAME_CHARS)
    return f"{who[:1].upper()}{who[1:]} right here: {f'“{label}”' if label else 'nothing'}"


def _draw_strips(ax: Axes, told: Told, place: int) -> None:
    starts, true = told.start_frames, told.strips[TRUE]
    here = int(starts[place])
    shown = np.flatnonzero(np.abs(starts - here) <= _AROUND_FRAMES)
    lasts = np.minimum(np.diff(starts, append=starts[-1] + WINDOW_FRAMES), WINDOW_FRAMES)
    for level, (name, labels) in enumerate(told.strips.items()):
        for one in shown:
            colour = FAINT if name == TRUE else GREEN if labels[one] == true[one] else RED
            ax.broken_barh([(starts[one], lasts[one])], (level, _HIGH), color=colour, linewidth=0.4)
            if one == shown[0] or labels[one] != labels[one - 1]:
                ax.plot([starts[one]] * 2, [level, level + _HIGH], color=PAPER, linewidth=1)
        ax.plot([here] * 2, [level, level + _HIGH], color=INK, linewidth=1.6)  # not through words
        label = elide(str(labels[place]) or "nothing", _NAME_CHARS)
        ax.text(here, level - 0.08, label, fontsize=8, ha="center")
    names = [name.replace("_", " ") for name in told.strips]
    ax.set_yticks(np.arange(len(names)) + _HIGH / 2, names)
    ax.set(ylim=(len(names) - 0.4, -0.5), xlabel="frame")
    ax.set_xlim(here - _AROUND_FRAMES, here + _AROUND_FRAMES)
    ax.tick_params(axis="y", length=0)
