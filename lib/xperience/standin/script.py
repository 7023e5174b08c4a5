"""The script of a simulated episode: a typed timeline file, and its spans in frames."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from xperience.errors import ParamsError, TextError, did_you_mean, unreadable
from xperience.text import read_text

UNLABELLED = "N/A"

THINGS = (
    "base",
    "carafe",
    "cup",
    "dripper",
    "filter",
    "grinder",
    "jar",
    "jug",
    "kettle",
    "saucer",
    "scoop",
    "tin",
)
"""What stands in the kitchen."""

MOVES = (
    "crank",
    "fold",
    "nudge",
    "pour",
    "press",
    "put",
    "scoop",
    "sip",
    "take",
    "tap",
    "wait",
    "whirl",
)
"""What the wearer can do."""

FIXED = frozenset({"base", "grinder", "jar", "saucer"})
"""Things that stay where they are."""

_NEEDS_TARGET = {"pour": ("into",), "scoop": ("source", "into")}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Move(_Strict):
    """One thing that a hand does; ``part`` is its share of the action's time."""

    move: str
    object: str
    hand: Literal["left", "right"] = "right"
    part: float = Field(1.0, gt=0)
    at: str | None = None
    into: str | None = None
    source: str | None = Field(None, alias="from")
    circle_m: float = Field(0.0, ge=0, le=0.05)

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.move not in MOVES:
            raise ValueError(f"no move {self.move!r}. {did_you_mean(self.move, MOVES)}")
        for thing in (self.object, self.at, self.into, self.source):
            if thing is not None and thing not in THINGS:
                raise ValueError(f"no thing {thing!r}. {did_you_mean(thing, THINGS)}")
        missing = [key for key in _NEEDS_TARGET.get(self.move, ()) if getattr(self, key) is None]
        if missing:
            raise ValueError(f"{self.move} needs {' and '.join(missing)}")
        if self.object in FIXED and self.move in {"take", "put", "pour", "scoop", "sip", "whirl"}:
            raise ValueError(f"{self.object} is fixed and cannot be moved by {self.move!r}")
        return self


class Action(_Strict):
    """A labelled stretch of time."""

    label: str = Field(min_length=1)
    description: str
    share: float = Field(gt=0)
    objects: list[str] = []
    interaction: str = ""
    moves: Annotated[list[Move], Field(min_length=1)]


class Step(_Strict):
    """Actions that belong together."""

    name: str = Field(min_length=1)
    actions: Annotated[list[Action], Field(min_length=1)]


class Gap(_Strict):
    """A stretch that nobody labelled; ``gap`` is its share of the recording."""

    gap: float = Field(gt=0)


def _kind(item: Any) -> str:
    gap = "gap" in item if isinstance(item, dict) else isinstance(item, Gap)
    return "gap" if gap else "step"


_Item = Annotated[
    Annotated[Step, Tag("step")] | Annotated[Gap, Tag("gap")],
    Discriminator(_kind),
]


@dataclass(frozen=True)
class Span:
    """Frames ``start`` to ``end``, both included, of an action, or of a gap (no action)."""

    start: int
    end: int
    step: str
    action: Action | None


class Script(_Strict):
    """What happens in an episode, in order."""

    main_task: str
    steps: Annotated[list[_Item], Field(min_length=1)]

    def spans(self, n_frames: int) -> list[Span]:
        """Return the actions and gaps in frames, without holes, in proportion to their shares.

        Parameters
        ----------
        n_frames : int
            Spans that would get no frame are left out.
        """
        items: list[tuple[float, str, Action | None]] = []
        for step in self.steps:
            if isinstance(step, Gap):
                items.append((step.gap, UNLABELLED, None))
            else:
                items += [(action.share, step.name, action) for action in step.actions]
        total, spent, spans = sum(share for share, _, _ in items), 0.0, []
        for share, name, action in items:
            start, spent = round(n_frames * spent / total), spent + share
            end = round(n_frames * spent / total) - 1
            if end >= start:
                spans.append(Span(start, end, name, action))
        return spans


def load_script(path: Path) -> Script:
    """Return the script in a timeline file.

    Raises
    ------
    ParamsError
        If there is no such file, it is not YAML, or it names what the simulator does not know.
    """
    try:
        values = yaml.safe_load(read_text(path))
        return Script.model_validate(values)
    except (OSError, TextError) as error:
        raise ParamsError(
            str(path), unreadable(error), "a timeline file", "Name an existing file as script."
        ) from error
    except yaml.YAMLError as error:
        raise ParamsError(
            str(path), f"is not YAML ({error})", "a timeline", "Mend its syntax."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = "/".join(str(part) for part in first["loc"] if not str(part)[:1].isupper())
        raise ParamsError(
            f"{path}: {place}", first["msg"], "a timeline", "See params/timeline.yaml."
        ) from error


def captions(script: Script, names: list[str]) -> dict[str, Any]:
    """Return the caption document of an episode.

    Parameters
    ----------
    script : Script
    names : list of str, length n_frames
        Image names, by which the captions refer to frames.

    Returns
    -------
    dict
        ``config`` and ``segments``; a gap is a segment with one action that is labelled N/A, so
        that no neighbour's label spreads into it.
    """
    groups: list[list[Span]] = []
    for span in script.spans(len(names)):
        if groups and span.action and groups[-1][0].action and groups[-1][0].step == span.step:
            groups[-1].append(span)
        else:
            groups.append([span])
    segments = [_segment(number, spans, names) for number, spans in enumerate(groups)]
    return {"config": {"Main Task": script.main_task}, "segments": segments}


def _segment(number: int, spans: list[Span], names: list[str]) -> dict[str, Any]:
    acted = [span for span in spans if span.action]
    return {
        "segment_id": number,
        "Sub Task": spans[0].step,
        "start_frame": names[spans[0].start],
        "end_frame": names[spans[-1].end],
        "Current Action": [
            {
                "label": span.action.label if span.action else UNLABELLED,
                "description": span.action.description if span.action else UNLABELLED,
                "start_frame_name": names[span.start],
                "end_frame_name": names[span.end],
            }
            for span in spans
        ],
        "objects": {names[span.start]: list(span.action.objects) for span in acted},
        "interaction": {names[span.start]: span.action.interaction for span in acted},
    }
