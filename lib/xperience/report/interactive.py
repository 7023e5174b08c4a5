"""Pictures that a reader can move through: controls in an open notebook, one still elsewhere."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from IPython.display import display
from ipywidgets import HTML, Dropdown, Layout, SelectionSlider, VBox

from xperience.project import STILL
from xperience.report.figures.style import Picture, picture_data, show

WIDGET = "application/vnd.jupyter.widget-view+json"
_WIDE = Layout(width="min(46rem, 100%)")
_LABEL = {"description_width": "7rem"}


@dataclass(frozen=True)
class Choice:
    """What a reader may set: a place on a slider, or one of a few names."""

    options: Mapping[str, Any]  #: What the reader sees, and what the drawing function gets.
    first: Any = None  #: The value that the still picture shows; the first option if absent.
    names: bool = False  #: Whether it is a list of names rather than a slider.

    def __post_init__(self) -> None:
        if not self.options:
            raise ValueError("a choice needs at least one option")
        if self.first is not None and self.first not in self.options.values():
            raise ValueError(f"{self.first!r} is not among the options: {list(self.options)}")

    @classmethod
    def among(cls, names: Sequence[str], first: str | None = None) -> "Choice":
        """Return a choice of one name."""
        return cls({name.replace("_", " "): name for name in names}, first, names=True)

    @classmethod
    def along(cls, n_steps: int = 100) -> "Choice":
        """Return a slider from the beginning to the end of something; the middle comes first."""
        return cls({f"{step / n_steps:.0%}": step / n_steps for step in range(n_steps + 1)}, 0.5)

    @property
    def start(self) -> Any:
        """The value before anything is moved."""
        return next(iter(self.options.values())) if self.first is None else self.first

    def control(self, label: str) -> Dropdown | SelectionSlider:
        """Return the control; arrow keys move it."""
        kind = Dropdown if self.names else SelectionSlider
        look = {} if self.names else {"continuous_update": False}
        return kind(
            options=list(self.options.items()),
            value=self.start,
            description=label.replace("_", " "),
            style=_LABEL,
            layout=_WIDE,
            **look,
        )


def moments(starts: Sequence[int], fps: float) -> dict[str, int]:
    """Return options of a slider over windows: their place by the time at which each begins.

    >>> moments([0, 30], 20.0)
    {'0:00.00': 0, '0:01.50': 1}
    """
    found = {}
    for place, start in enumerate(starts):
        minutes, seconds = divmod(start / fps, 60)
        found[f"{int(minutes)}:{seconds:05.2f}"] = place
    return found


def explore(
    draw: Callable[..., Picture], choices: Mapping[str, Choice], path: Path | str | None = None
) -> None:
    """Show one picture of many, with controls over the others where someone can move them.

    In runs that nobody watches only the still is shown. Elsewhere the controls stand before it, so
    that pages of an open notebook, which can't move anything, have a picture too.

    Parameters
    ----------
    draw : callable
        Returns the picture of the chosen values, which it gets by name.
    choices : mapping of {name: Choice}
        What a reader may set, in order.
    path : path, optional
        Where the still's PNG goes.
    """
    still = draw(**{name: choice.start for name, choice in choices.items()})
    if os.environ.get(STILL):
        show(still, path)
        return
    view = {"version_major": 2, "version_minor": 0, "model_id": panel(draw, choices).model_id}
    display({WIDGET: view, **picture_data(still, path)}, raw=True)


def panel(draw: Callable[..., Picture], choices: Mapping[str, Choice]) -> VBox:
    """Return controls with the picture of what is chosen below them, updated at each move."""
    controls = {name: choice.control(name) for name, choice in choices.items()}
    drawn = HTML()

    def redraw(_: Any = None) -> None:
        picture = draw(**{name: control.value for name, control in controls.items()})
        drawn.value = picture_data(picture, passing=True)["text/html"]

    for control in controls.values():
        control.observe(redraw, names="value")
    redraw()
    return VBox([*controls.values(), drawn])
