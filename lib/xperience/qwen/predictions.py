"""A file of predictions, read line by line, of which only what is scored is kept."""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xperience.errors import TextError, unreadable
from xperience.qwen.schema import (
    TEXT_FIELDS,
    UNKNOWN,
    AnswersError,
    Label,
    Options,
    Reading,
    Ternary,
    published_label,
    read_answer,
)
from xperience.text import parse_json, read_lines

LONGEST_LABEL = 300
"""Characters; a label beyond that is a runaway text, of which only a digest is kept."""


class Truth(BaseModel):
    """The true answer of a window; other keys are ignored.

    Its evidence window counts only where the line says how long the clip was.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    action: Label
    subtask: Label
    next_action: Label
    contact: Ternary
    transition: Ternary
    objects: list[str]
    evidence_window: Any = None


class _Line(BaseModel):
    """What a line must hold, and may hold, to be scored."""

    model_config = ConfigDict(frozen=True, strict=True)

    id: Label
    episode_id: Label
    raw_prediction: str
    true_json: Truth
    true_label_seen_in_train: int | bool | None = None
    predicted_label: str | None = None
    pred_json: dict[str, Any] | None = Field(default=None)
    clip_frames: int | None = Field(default=None, ge=1)
    window_frames: int | None = Field(default=None, ge=1)


Frames = tuple[int, int]
"""First and last frame, both included."""


@dataclass(frozen=True, slots=True)
class Grounding:
    """Where in a clip the true action goes on, and where it was said to.

    Parameters
    ----------
    n_frames : int
        Frames of the clip.
    window : (int, int)
        The frames that were asked about, which the prompt names.
    truth : (int, int)
    said : (int, int), optional
        None where nothing usable was said.
    """

    n_frames: int
    window: Frames
    truth: Frames
    said: Frames | None


@dataclass(frozen=True, slots=True)
class Item:
    """A window's truth and what was said of it.

    Parameters
    ----------
    episode : str
        Recording it comes from.
    truth, said : dict of {field: label}
        Fields of one label; fields that hold no text are absent from ``said``.
    true_objects, said_objects : frozenset of str
    strict, lenient : bool
        Validity by either rule.
    faults : tuple of str
        What keeps the answer from being strictly valid.
    published : str
        The action that the published evaluator took.
    seen : bool, optional
        Whether the true action occurs in training, if the file says so.
    agrees : bool, optional
        Whether the file's own parsing, if it has one, is what we read.
    grounding : Grounding, optional
        None where the file doesn't say how long the clip was, or nothing is known to go on.
    """

    episode: str
    truth: dict[str, str]
    said: dict[str, str]
    true_objects: frozenset[str]
    said_objects: frozenset[str]
    strict: bool
    lenient: bool
    faults: tuple[str, ...]
    published: str
    seen: bool | None
    agrees: bool | None
    grounding: Grounding | None = None


@dataclass(frozen=True)
class Predictions:
    """All windows of a file.

    Parameters
    ----------
    items : tuple of Item
        In the file's order.
    options : Options
    """

    items: Sequence[Item]
    options: Options

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def episodes(self) -> np.ndarray:
        """Number of each item's recording, int (n,), in order of appearance."""
        place = {name: i for i, name in enumerate(dict.fromkeys(i.episode for i in self.items))}
        return np.array([place[item.episode] for item in self.items], dtype=np.intp)

    @property
    def n_episodes(self) -> int:
        """Number of recordings."""
        return int(self.episodes.max()) + 1


def read_predictions(path: Path | str, options: Options) -> Predictions:
    """Read a file of predictions, one JSON object a line.

    Parameters
    ----------
    path : path
        Each line has ``id``, ``episode_id``, ``raw_prediction`` (all that the model wrote) and
        ``true_json``; ``predicted_label``, ``pred_json`` and ``true_label_seen_in_train`` are used
        where they are there. Read one line at a time; the texts themselves are not kept.
    options : Options

    Raises
    ------
    AnswersError
        If the file is missing, empty, cut off or not UTF-8, a line lacks something, or an id
        stands twice. The place is ``file:line``.
    """
    path = Path(path)
    items = tuple(_items(path, options))
    if not items:
        raise AnswersError(path.name, "holds no line", "one line a window", "Predict again.")
    return Predictions(items, options)


def _items(path: Path, options: Options) -> Iterator[Item]:
    first_at: dict[str, int] = {}
    try:
        for number, raw in read_lines(path):
            if raw.strip():
                line = _line(f"{path.name}:{number}", raw)
                _once(f"{path.name}:{number}", line.id, number, first_at)
                yield _item(line, options)
    except TextError as error:
        raise AnswersError(
            f"{path.name}:{error.line}", str(error), "text in UTF-8", "Write it as UTF-8."
        ) from error
    except OSError as error:
        raise AnswersError(
            path.name, unreadable(error), "a file of predictions",
            "Name another file.",
        ) from error  # fmt: skip


def _line(place: str, raw: str) -> _Line:
    try:
        value = parse_json(raw)
    except TextError as error:
        cut = "is no JSON" if raw.endswith("\n") else "is cut off"
        raise AnswersError(
            place, f"{cut} ({error})", "one JSON object a line",
            "Let the predictions be finished, or drop the line.",
        ) from error  # fmt: skip
    try:
        return _Line.model_validate(value)
    except ValidationError as error:
        one = error.errors(include_url=False)[0]
        where = ".".join(map(str, one["loc"])) or "the line"
        raise AnswersError(
            f"{place}: {where}", f"is wrong ({one['msg']})",
            "id, episode_id, raw_prediction and true_json with its labels",
            "See docs/howto/answers.md for a line that is whole.",
        ) from error  # fmt: skip


def _once(place: str, name: str, number: int, first_at: dict[str, int]) -> None:
    if name in first_at:
        raise AnswersError(
            place,
            f"has the id {name!r} of line {first_at[name]}",
            "each window once",
            "Keep one of the lines: two runs may have been appended to one file.",
        )
    first_at[name] = number


def _item(line: _Line, options: Options) -> Item:
    reading = read_answer(line.raw_prediction, options)
    label = published_label(line.raw_prediction, reading, options)
    truth = {name: sys.intern(getattr(line.true_json, name)) for name in TEXT_FIELDS}
    seen = line.true_label_seen_in_train
    return Item(
        episode=sys.intern(line.episode_id),
        truth=truth,
        said={name: _short(text) for name, text in reading.labels.items()},
        true_objects=frozenset(line.true_json.objects),
        said_objects=reading.objects,
        strict=reading.strict,
        lenient=reading.lenient,
        faults=reading.faults,
        published=_short(label),
        seen=None if seen is None else bool(seen),
        agrees=_agrees(line, reading.value, label),
        grounding=_grounding(line, reading),
    )


def _grounding(line: _Line, reading: Reading) -> Grounding | None:
    """Return what can be scored of the evidence window; an unknown action goes on nowhere."""
    if line.clip_frames is None or line.true_json.action == UNKNOWN:
        return None
    true = Reading({"evidence_window": line.true_json.evidence_window}, ()).evidence
    if true is None:
        return None
    last = line.clip_frames - 1
    asked = (max(0, last + 1 - (line.window_frames or 1)), last)
    return Grounding(line.clip_frames, asked, true, reading.evidence)


def _agrees(line: _Line, value: dict[str, Any], label: str) -> bool | None:
    """Return whether the file's own parsing is ours; None if it has none."""
    checks = []
    if line.predicted_label is not None:
        checks.append(line.predicted_label == label)
    if line.pred_json is not None:
        checks.append(line.pred_json == value)
    return all(checks) if checks else None


def _short(label: str) -> str:
    if len(label) <= LONGEST_LABEL:
        return sys.intern(label)
    return "sha256:" + hashlib.sha256(label.encode()).hexdigest()
