"""The script of a simulated episode: a typed timeline file, its spans in frames, its words."""

from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from xperience.errors import ParamsError, did_you_mean
from xperience.standin.kitchen import FIXED, KITCHEN
from xperience.text import read_yaml

UNLABELLED = "N/A"
WORDS = "words.yaml"

_HOLDS = {"put", "pour", "scoop", "sip", "take", "whirl"}
_MOVES = sorted(_HOLDS | {"crank", "fold", "nudge", "press", "tap", "wait"})
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
        if self.move not in _MOVES:
            raise ValueError(f"no move {self.move!r}. {did_you_mean(self.move, _MOVES)}")
        for thing in (self.object, self.at, self.into, self.source):
            if thing is not None and thing not in KITCHEN:
                raise ValueError(f"no thing {thing!r}. {did_you_mean(thing, sorted(KITCHEN))}")
        missing = [key for key in _NEEDS_TARGET.get(self.move, ()) if getattr(self, key) is None]
        if missing:
            raise ValueError(f"{self.move} needs {' and '.join(missing)}")
        if self.object in FIXED and self.move in _HOLDS:
            raise ValueError(f"{self.object} is fixed and cannot be moved by {self.move!r}")
        return self


class Action(_Strict):
    """A labelled segment of the recording."""

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


class Unlabelled(_Strict):
    """A segment that nobody labelled; ``gap`` is its share of the recording."""

    gap: float = Field(gt=0)


def _kind(item: Any) -> str:
    gap = "gap" in item if isinstance(item, dict) else isinstance(item, Unlabelled)
    return "gap" if gap else "step"


_Item = Annotated[
    Annotated[Step, Tag("step")] | Annotated[Unlabelled, Tag("gap")],
    Discriminator(_kind),
]


@dataclass(frozen=True)
class FrameSpan:
    """Frames ``start`` to ``end``, both included, of an action, or of a gap (no action)."""

    start: int
    end: int
    step: str
    action: Action | None


class Script(_Strict):
    """What happens in an episode, in order."""

    main_task: str
    steps: Annotated[list[_Item], Field(min_length=1)]

    def spans(self, n_frames: int) -> list[FrameSpan]:
        """Return the actions and gaps in frames, without holes, in proportion to their shares.

        Spans that would get no frame are left out.
        """
        items: list[tuple[float, str, Action | None]] = []
        for step in self.steps:
            if isinstance(step, Unlabelled):
                items.append((step.gap, UNLABELLED, None))
            else:
                items += [(action.share, step.name, action) for action in step.actions]
        total, spent, spans = sum(share for share, _, _ in items), 0.0, []
        for share, name, action in items:
            start, spent = round(n_frames * spent / total), spent + share
            end = round(n_frames * spent / total) - 1
            if end >= start:
                spans.append(FrameSpan(start, end, name, action))
        return spans

    def document(self) -> dict[str, Any]:
        """Return the script as a timeline file holds it."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def load_script(path: Path) -> Script:
    """Return the script in a timeline file.

    If there is no such file, it is not YAML, or it names what the simulator does not know, that is
    a ParamsError.
    """
    try:
        return Script.model_validate(read_yaml(path, str(path)))
    except ValidationError as error:
        first = error.errors()[0]
        place = "/".join(str(part) for part in first["loc"] if not str(part)[:1].isupper())
        raise ParamsError(
            f"{path}: {place}", first["msg"], "a timeline", "See params/timeline.yaml."
        ) from error


def captions(script: Script, names: list[str]) -> dict[str, Any]:
    """Return the caption document of an episode whose frames have the given image names.

    A gap is a segment with one action that is labelled N/A, so that no neighbour's label spreads
    into it.
    """
    groups: list[list[FrameSpan]] = []
    for span in script.spans(len(names)):
        if groups and span.action and groups[-1][0].action and groups[-1][0].step == span.step:
            groups[-1].append(span)
        else:
            groups.append([span])
    segments = [_segment(number, spans, names) for number, spans in enumerate(groups)]
    return {"config": {"Main Task": script.main_task}, "segments": segments}


def _segment(number: int, spans: list[FrameSpan], names: list[str]) -> dict[str, Any]:
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


def activities(folder: Path) -> list[Path]:
    """Return the activity files of a folder, by name.

    If there is none, that is a ParamsError.
    """
    found = sorted(path for path in Path(folder).glob("*.yaml") if path.name != WORDS)
    if not found:
        raise ParamsError(
            str(folder), "holds no activity", "timeline files", "Name another folder."
        )
    return found


def read_words(folder: Path) -> dict[str, list[str]]:
    """Return the words that annotators choose from, by the name in braces.

    If ``words.yaml`` is missing or is not a list of words for each name, that is a ParamsError.
    """
    path = Path(folder) / WORDS
    words = read_yaml(path, str(path))
    whole = isinstance(words, dict) and all(
        isinstance(some, list) and some and all(isinstance(word, str) and word for word in some)
        for some in words.values()
    )
    if not whole:
        raise ParamsError(
            str(path), "holds something else", "name: [word, …] lines", "Give each name its words."
        )
    return words


def choose_words(words: dict[str, list[str]], rng: np.random.Generator) -> dict[str, str]:
    """Return one annotator's word for each name."""
    return {name: some[int(rng.integers(len(some)))] for name, some in words.items()}


def worded(activity: Path, words: dict[str, str]) -> Script:
    """Return an activity, whose texts may hold names in braces, as one annotator words it.

    If the file cannot be used or has a name without words, that is a ParamsError.
    """
    return Script.model_validate(_with_words(load_script(activity).document(), words, activity))


def _with_words(value: Any, words: dict[str, str], place: Path) -> Any:
    """Return a document with every text's names replaced; a sentence starts with a capital."""
    if isinstance(value, dict):
        return {key: _with_words(one, words, place) for key, one in value.items()}
    if isinstance(value, list):
        return [_with_words(one, words, place) for one in value]
    if not isinstance(value, str) or "{" not in value:
        return value
    for _, name, _, _ in Formatter().parse(value):
        if name is not None and name not in words:
            hint = did_you_mean(name, words)
            raise ParamsError(f"{place}: {value!r}", f"names {name!r}", "a name with words", hint)
    text = value.format(**words)
    is_one_name = value.startswith("{") and value.endswith("}") and value.count("{") == 1
    return text if is_one_name else text[:1].upper() + text[1:]
