"""Forecast hands: where they went, where heads saw them go, and by how much they missed."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatter

from xperience.recording.geometry import MANO_BONES
from xperience.report.figures.heads import FORECAST_LOOKS, TRUE_HAND
from xperience.report.figures.style import (
    FAINT,
    Picture,
    empty_panel,
    new_figure,
    set_title,
    styled,
)
from xperience.studies.predictions import joint_errors
from xperience.studies.problem import Answer, Outcome, Problem

N_JOINTS = 21
_CM = 100
MOMENTS = {"median": 0.5, "fast": 0.9, "fastest": 1.0}
"""Moments that are drawn: test samples at these quantiles of how far the hands move."""
_DRAWN = tuple(name for name in FORECAST_LOOKS if name != "constant_velocity")
_VIEWS = {"from the side": (0, 2), "from above": (0, 1)}


def forecasts(outcomes: Sequence[Outcome]) -> tuple[Problem, dict[str, list[Answer]]] | None:
    """Return the hand task's problem and everybody's answers to it, naive ones included.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Of one contract; None is returned if no head answered the hand task.
    """
    found = [one for one in outcomes if one.task.value_shape is not None and one.answers]
    if not found:
        return None
    problem = found[0].problem
    members = problem.samples.members[problem.split.test]
    naive = {
        name: [Answer(np.asarray(predict(problem.truth, members)))]
        for name, predict in problem.task.naive.items()
    }
    return problem, naive | {one.head: list(one.answers) for one in found}


@styled
def draw_horizon(by_contract: Mapping[str, Sequence[Outcome]]) -> Picture:
    """Return the mean joint error by frames ahead, a panel a contract.

    Parameters
    ----------
    by_contract : mapping of {contract: outcomes}
    """
    errors = {name: _errors(outcomes) for name, outcomes in by_contract.items()}
    title = _horizon_title(errors)
    canvas = new_figure(2.9)
    set_title(canvas, title, "Mean error of 42 hand joints by frames ahead, means over seeds.")
    panels = canvas.subplots(1, len(errors), squeeze=False, sharey=True)[0]
    for ax, (contract, found) in zip(panels, errors.items(), strict=True):
        ax.set_title(contract)
        if not found:
            empty_panel(ax, "no head answered the hand task")
            continue
        for name, by_frame in found.items():
            colour, label = FORECAST_LOOKS.get(name, (TRUE_HAND, name))
            naive = name.endswith("velocity")
            dash = (0, (4, 1.5)) if naive else "-"
            frames = np.arange(1, len(by_frame) + 1)
            ax.plot(frames, _CM * by_frame, color=colour, linestyle=dash, label=label)
        ax.set(xlabel="frames ahead", ylabel="error (cm)", yscale="log")
        ax.yaxis.set_major_formatter(LogFormatter())
        ax.yaxis.set_minor_formatter(LogFormatter())
        ax.grid(color=FAINT, linewidth=0.6)
        ax.legend(fontsize=7)
    said = [f"{contract}, {name}: {_CM * by_frame.mean():.1f} cm" for contract, found in
            errors.items() for name, by_frame in found.items()]  # fmt: skip
    return Picture(canvas, title, f"{title}. Means over the horizon: {'; '.join(said)}.")


def _errors(outcomes: Sequence[Outcome]) -> dict[str, np.ndarray]:
    """Return everybody's mean error by frame ahead, metres, (n_frames,)."""
    found = forecasts(outcomes)
    if found is None:
        return {}
    problem, answers = found
    return {
        name: np.mean([joint_errors(problem, one).mean(axis=0) for one in given], axis=0)
        for name, given in answers.items()
    }


def _horizon_title(errors: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    parts = []
    for contract, found in errors.items():
        still, heads = found.get("zero_velocity"), {}
        if still is not None:
            heads = {n: e for n, e in found.items() if not n.endswith("velocity")}
        if heads:
            best = min(heads, key=lambda name: heads[name].mean())
            ratio = heads[best].mean() / still.mean()
            parts.append(f"{ratio:.1f} times that of hands that keep still under {contract}")
    return f"The best head's error is {', '.join(parts)}" if parts else "No hands were forecast"


@styled
def draw_hands(outcomes: Sequence[Outcome]) -> Picture:
    """Return true and forecast hands at the horizon's end, a column a moment, two views each.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Of the corrected contract: positions in metres, x forward, y left, z up.
    """
    found = forecasts(outcomes)
    if found is None:
        canvas = new_figure(1.6)
        title = "No hands were forecast"
        set_title(canvas, title)
        empty_panel(canvas.subplots(), "no head answered the hand task")
        return Picture(canvas, title, title)
    problem, answers = found
    places, moved = moments(problem, answers)
    title = _hands_title(problem, answers, places)
    canvas = new_figure(5.0)
    set_title(canvas, title, "The hands half a second after the window, seen from the body, "
              "centimetres. Moments: the median, the 90th and the highest of how far the hands "
              "move within the horizon.")  # fmt: skip
    panels = canvas.subplots(len(_VIEWS), len(places), squeeze=False)
    for column, (name, place) in enumerate(places.items()):
        for ax, (view, axes) in zip(panels[:, column], _VIEWS.items(), strict=True):
            draw_skeletons(ax, problem, answers, place, axes)
            ax.set_xlabel("forward (cm)" if ax in panels[-1] else "")
            if column == 0:
                ax.set_ylabel(f"{view}\n{'up' if axes[1] == 2 else 'left'} (cm)")
        panels[0, column].set_title(f"{name}: {_CM * moved[place]:.1f} cm", fontsize=8)
    handles = [Line2D([], [], color=TRUE_HAND, linewidth=2, label="true")]
    named = [FORECAST_LOOKS[name] for name in answers if name in _DRAWN]
    handles += [Line2D([], [], color=colour, label=label) for colour, label in named]
    canvas.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=7.5)
    return Picture(canvas, title, f"{title}. {_hands_alt(problem, answers, places)}")


def moments(
    problem: Problem, answers: Mapping[str, list[Answer]]
) -> tuple[dict[str, int], np.ndarray]:
    """Return test samples to draw, by name, and how far the hands move after each window, metres.

    Parameters
    ----------
    problem : Problem
    answers : mapping of {name: answers}
        With "zero_velocity", whose error is how far the hands move.
    """
    moved = joint_errors(problem, answers["zero_velocity"][0]).mean(axis=1)
    order = np.argsort(moved, kind="stable")
    places = {name: int(order[round(share * (len(order) - 1))]) for name, share in MOMENTS.items()}
    return places, moved


def draw_skeletons(
    ax: Axes, problem: Problem, answers: Mapping[str, list[Answer]], place: int, axes: tuple
) -> None:
    """Draw true and forecast hands of a test sample at the horizon's end, in centimetres.

    Parameters
    ----------
    ax : Axes
    problem : Problem
    answers : mapping of {name: answers}
        The first seed's is drawn.
    place : int
        Of the sample in the test part.
    axes : (int, int)
        Which coordinates go right and up.
    """
    shape = problem.task.value_shape
    drawn = {
        name: np.reshape(given[0].predicted[place], shape)[-1]
        for name, given in answers.items()
        if name in _DRAWN
    }
    for name, joints in drawn.items():
        _skeleton(ax, joints, axes, FORECAST_LOOKS[name][0], 0.9)
    _skeleton(ax, np.reshape(problem.test_targets[place], shape)[-1], axes, TRUE_HAND, 1.8)
    ax.set_aspect("equal", adjustable="datalim")
    ax.tick_params(labelsize=6.5)


def _skeleton(ax: Axes, joints: np.ndarray, axes: tuple, colour: str, width: float) -> None:
    """Draw both hands as one line that is interrupted between bones: one is drawn fast."""
    gap = np.full((1, 2), np.nan)
    bones = [
        np.concatenate([_CM * hand[list(bone)][:, axes], gap])
        for hand in (joints[:N_JOINTS], joints[N_JOINTS:])
        for bone in MANO_BONES
    ]
    ax.plot(*np.concatenate(bones).T, color=colour, linewidth=width, solid_capstyle="round")


def _hands_title(problem: Problem, answers: Mapping, places: Mapping[str, int]) -> str:
    heads = [name for name in answers if not name.endswith("velocity")]
    still = joint_errors(problem, answers["zero_velocity"][0]).mean(axis=1)
    won = [
        name
        for name, place in places.items()
        if min(joint_errors(problem, answers[head][0])[place].mean() for head in heads)
        < still[place]
    ]
    return (
        f"In {len(won) or 'none'} of {len(places)} moments drawn some head is nearer to the hands "
        f"than where they were"
    )


def _hands_alt(problem: Problem, answers: Mapping, places: Mapping[str, int]) -> str:
    parts = []
    for moment, place in places.items():
        said = [f"{name} {_CM * joint_errors(problem, given[0])[place].mean():.1f} cm"
                for name, given in answers.items()]  # fmt: skip
        parts.append(f"{moment}: {', '.join(said)}")
    return "Mean joint errors: " + "; ".join(parts) + "."
