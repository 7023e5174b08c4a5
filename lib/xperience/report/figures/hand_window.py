"""One window's hand forecast: true hands, what heads and naive forecasts say, and the errors."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from xperience.report.figures.hands import draw_skeletons, forecasts
from xperience.report.figures.heads import FORECAST_LOOKS, TRUE_HAND
from xperience.report.figures.style import (
    FAINT,
    Picture,
    empty_panel,
    new_figure,
    set_title,
    styled,
)
from xperience.report.quantities import place_at
from xperience.studies.predictions import joint_errors
from xperience.studies.problem import Answer, Outcome

_MM = 1000
_NAIVE = "velocity"
_VIEWS = {"from the side": (0, 2), "from above": (0, 1)}


@styled
def draw_hand_window(outcomes: Sequence[Outcome], share: float) -> Picture:
    """Return the hands after one test window as they were and as they were foreseen.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Of the corrected contract: positions in metres, x forward, y left, z up.
    share : float
        How far along the test windows, 0 to 1.
    """
    found = forecasts(outcomes)
    figure = new_figure(3.3)
    if found is None:
        title = "No hands were forecast"
        set_title(figure, title)
        empty_panel(figure.subplots(), "no head answered the hand task")
        return Picture(figure, title, title)
    problem, answers = found
    here = int(problem.by_time[place_at(share, len(problem.by_time))])
    errors = {name: _error(problem, given, here) for name, given in answers.items()}
    title = _title(errors)
    small = "Hands at the horizon's end, seen from the body. Several seeds: hands of the first."
    set_title(figure, title, f"{small} Right: mean errors.")
    *views, over = figure.subplots(1, len(_VIEWS) + 1)
    for ax, (view, axes) in zip(views, _VIEWS.items(), strict=True):
        draw_skeletons(ax, problem, answers, here, axes)
        ax.set(title=view, xlabel="forward (cm)", ylabel="up (cm)" if axes[1] == 2 else "left (cm)")
    _draw_errors(over, errors)
    handles, names = over.get_legend_handles_labels()
    true = over.plot([], [], color=TRUE_HAND, linewidth=2)
    spot = {"loc": "outside lower center", "ncols": 6, "fontsize": 7.5}
    figure.legend([*true, *handles], ["true", *names], **spot)
    said = ", ".join(f"{_name(who)} {_MM * one.mean():.0f} mm" for who, one in errors.items())
    return Picture(figure, title, f"{title}. Mean errors over the horizon: {said}.")


def _error(problem, given: Sequence[Answer], here: int) -> np.ndarray:
    """Return the mean joint error of a sample by frame ahead, metres, (n_frames,)."""
    return np.mean([joint_errors(problem, one)[here] for one in given], axis=0)


def _name(who: str) -> str:
    return FORECAST_LOOKS[who][1] if who in FORECAST_LOOKS else who.replace("_", " ")


def _title(errors: dict[str, np.ndarray]) -> str:
    means = {name: one.mean() for name, one in errors.items()}
    naive = {name: mean for name, mean in means.items() if name.endswith(_NAIVE)}
    heads = {name: mean for name, mean in means.items() if name not in naive}
    best, rival = min(heads, key=heads.get), min(naive, key=naive.get)
    how = "less" if heads[best] < naive[rival] else "more"
    return (
        f"Best head here ({_name(best)}): {_MM * heads[best]:.0f} mm off, {how} than "
        f"{_name(rival)} ({_MM * naive[rival]:.0f} mm)"
    )


def _draw_errors(ax: Axes, errors: dict[str, np.ndarray]) -> None:
    for name, one in errors.items():
        colour = FORECAST_LOOKS.get(name, (TRUE_HAND, name))[0]
        dash = (0, (4, 1.5)) if name.endswith(_NAIVE) else "-"
        frames = np.arange(1, len(one) + 1)
        ax.plot(frames, _MM * one, color=colour, linestyle=dash, label=_name(name))
    ax.set(title="error (mm)", xlabel="frames ahead", ylim=(0, None))
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.grid(color=FAINT, linewidth=0.6)
