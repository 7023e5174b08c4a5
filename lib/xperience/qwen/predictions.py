"""A file of predictions, read line by line, of which only what is scored is kept."""

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
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
    AnswerReading,
    AnswersError,
    Label,
    Options,
    Ternary,
    evidence_of,
    published_label,
    read_answer,
)
from xperience.qwen.supervised import first_fault
from xperience.text import parse_json, read_lines

LONGEST_LABEL = 300
"""Characters; a label beyond that is a runaway text, of which only a digest is kept."""
LAST_FRAME = 2**40
"""Frame numbers beyond it count as this one: no clip is as long, and arrays hold it."""
Frames = tuple[int, int]
"""First and last frame, both included."""
NO_FRAMES: Frames = (0, -1)


class _TrueLabels(BaseModel):
    """The true answer of a window; other keys are ignored."""

    model_config = ConfigDict(frozen=True, strict=True)

    action: Label
    subtask: Label
    next_action: Label
    contact: Ternary
    transition: Ternary
    objects: list[str]
    evidence_window: Any = None  # counts only where the line says how long the clip was


class _Line(BaseModel):
    """What a line must hold, and may hold, to be scored."""

    model_config = ConfigDict(frozen=True, strict=True)

    id: Label
    episode_id: Label
    raw_prediction: str
    true_json: _TrueLabels
    true_label_seen_in_train: int | bool | None = None
    predicted_label: str | None = None
    pred_json: dict[str, Any] | None = None
    clip_frames: int | None = Field(default=None, ge=1)
    window_frames: int | None = Field(default=None, ge=1)


@dataclass(frozen=True, slots=True)
class EvidenceSpans:
    """Where in a clip the true action goes on, and where it was said to."""

    n_frames: int  # of the clip
    window: Frames  # the frames that were asked about, which the prompt names
    truth: Frames
    said: Frames  # NO_FRAMES where nothing usable was said


@dataclass(frozen=True, slots=True)
class AnsweredWindow:
    """A window's truth and what was said of it."""

    episode: str
    truth: dict[str, str]  # fields of one label
    said: dict[str, str]  # the same; fields that hold no text are absent
    true_objects: frozenset[str]
    said_objects: frozenset[str]
    lenient: bool
    faults: tuple[str, ...]  # what keeps the answer from being strictly valid
    published: str  # the action that the published evaluator took
    seen: bool | None  # whether the true action occurs in training, if the file says so
    agrees: bool | None  # whether the file's own parsing, if it has one, is what we read
    evidence: EvidenceSpans | None = None
    """None where the file doesn't say how long the clip was, or nothing is known to go on."""

    @property
    def strict(self) -> bool:
        """Whether the whole text is an answer as declared."""
        return not self.faults

    def names(self, field: str) -> frozenset[str]:
        """Return the true objects, or the one true label of a field."""
        return self.true_objects if field == "objects" else frozenset({self.truth[field]})

    def said_names(self, field: str) -> frozenset[str]:
        """Return what was said of it: objects, one label or nothing."""
        said = self.said_objects if field == "objects" else {self.said.get(field)} - {None}
        return frozenset(said)


@dataclass(frozen=True)
class AnswerFile:
    """All windows of a file, in its order."""

    items: Sequence[AnsweredWindow]
    options: Options

    @cached_property
    def episodes(self) -> np.ndarray:
        """Number of each item's recording, int (n,), in order of appearance."""
        place = {name: i for i, name in enumerate(dict.fromkeys(i.episode for i in self.items))}
        return np.array([place[item.episode] for item in self.items], dtype=np.intp)

    def where(
        self, holds: Callable[[AnsweredWindow], bool]
    ) -> tuple[list[AnsweredWindow], np.ndarray]:
        """Return the items for which it holds, and the number of each one's recording."""
        keep = [place for place, item in enumerate(self.items) if holds(item)]
        _, episodes = np.unique(self.episodes[keep], return_inverse=True)
        return [self.items[place] for place in keep], episodes


def read_predictions(path: Path | str, options: Options) -> AnswerFile:
    """Read a file of predictions, one JSON object per line.

    Each line has ``id``, ``episode_id``, ``raw_prediction`` (all that the model wrote) and
    ``true_json``; ``predicted_label``, ``pred_json`` and ``true_label_seen_in_train`` are used
    where they are there. One line is read at a time; the texts themselves are not kept. If the file
    is missing, empty, cut off or not UTF-8, a line lacks something, or an id stands twice, that is
    an AnswersError at ``file:line``.
    """
    path = Path(path)
    try:
        items = tuple(_items(path, options))
    except TextError as error:
        raise AnswersError(
            f"{path.name}:{error.line}", str(error), "text in UTF-8", "Write it as UTF-8."
        ) from error
    except OSError as error:
        raise AnswersError(
            path.name, unreadable(error), "a file of predictions", "Name another file."
        ) from error
    if not items:
        raise AnswersError(path.name, "holds no line", "one line per window", "Predict again.")
    return AnswerFile(items, options)


def _items(path: Path, options: Options) -> Iterator[AnsweredWindow]:
    first_at: dict[str, int] = {}
    for number, raw in read_lines(path):
        if not raw.strip():
            continue
        line = _line(f"{path.name}:{number}", raw)
        if line.id in first_at:
            raise AnswersError(
                f"{path.name}:{number}", f"has the id {line.id!r} of line {first_at[line.id]}",
                "each window once",
                "Keep one of the lines: two runs may have been appended to one file.",
            )  # fmt: skip
        first_at[line.id] = number
        yield _item(line, options)


def _line(place: str, raw: str) -> _Line:
    try:
        return _Line.model_validate(parse_json(raw))
    except TextError as error:
        cut = "is no JSON" if raw.endswith("\n") else "is cut off"
        raise AnswersError(
            place, f"{cut} ({error})", "one JSON object per line",
            "Let the predictions be finished, or drop the line.",
        ) from error  # fmt: skip
    except ValidationError as error:
        where, found = first_fault(error)
        raise AnswersError(
            f"{place}: {where}", found,
            "id, episode_id, raw_prediction and true_json with its labels",
            "See docs/howto/answers.md for a line that is whole.",
        ) from error  # fmt: skip


def _item(line: _Line, options: Options) -> AnsweredWindow:
    reading = read_answer(line.raw_prediction, options)
    label = published_label(line.raw_prediction, reading, options)
    seen = line.true_label_seen_in_train
    own = []  # whether the file's own parsing is ours
    if line.predicted_label is not None:
        own.append(line.predicted_label == label)
    if line.pred_json is not None:
        own.append(line.pred_json == reading.value)
    return AnsweredWindow(
        episode=sys.intern(line.episode_id),
        truth={name: sys.intern(getattr(line.true_json, name)) for name in TEXT_FIELDS},
        said={name: _short(text) for name, text in reading.labels.items()},
        true_objects=frozenset(line.true_json.objects),
        said_objects=reading.objects,
        lenient=reading.lenient,
        faults=reading.faults,
        published=_short(label),
        seen=None if seen is None else bool(seen),
        agrees=all(own) if own else None,
        evidence=_evidence(line, reading),
    )


def _evidence(line: _Line, reading: AnswerReading) -> EvidenceSpans | None:
    """Return what can be scored of the evidence window; an unknown action goes on nowhere."""
    true = evidence_of({"evidence_window": line.true_json.evidence_window})
    if line.clip_frames is None or line.true_json.action == UNKNOWN or true is None:
        return None
    spans = [
        (min(first, LAST_FRAME), min(last, LAST_FRAME))
        for first, last in (true, reading.evidence or NO_FRAMES)
    ]
    asked = (max(0, line.clip_frames - (line.window_frames or 1)), line.clip_frames - 1)
    return EvidenceSpans(line.clip_frames, asked, *spans)


def _short(label: str) -> str:
    if len(label) <= LONGEST_LABEL:
        return sys.intern(label)
    return "sha256:" + hashlib.sha256(label.encode()).hexdigest()
