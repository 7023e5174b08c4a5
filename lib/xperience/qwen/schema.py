"""The answer in one typed place, and the two rules by which a text counts as one.

*Strict*: ``json.loads`` takes the whole text, it has exactly the declared fields with their types,
none of them twice, and every label is an option. *Lenient*, the rule of the published evaluator: an
object with all seven keys can be found in the text. What is strictly valid is leniently valid,
never the reverse.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xperience.errors import XperienceError, reading
from xperience.text import read_json

UNKNOWN = "unknown"
MAX_OBJECTS = 8
OPTION_FIELDS = ("action", "subtask", "next_action")
"""Fields that hold one label out of the options."""
TEXT_FIELDS = ("action", "subtask", "next_action", "contact", "transition")
"""Fields that hold one label."""

NOT_JSON, WRONG_KEYS, WRONG_VALUE, TOO_MANY_OBJECTS, NOT_AN_OPTION = FAULTS = (
    "not_json", "wrong_keys", "wrong_value", "too_many_objects", "not_an_option",
)  # fmt: skip

LISTS = ("action", "subtask", "objects")
"""Fields that have options of their own."""

Label = Annotated[str, Field(min_length=1)]
Ternary = Literal["yes", "no", "unknown"]


class AnswersError(XperienceError):
    """Answers, options, records or a model that cannot be used."""


class FrameRange(BaseModel):
    """First and last frame, both included."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    start_frame: int = Field(ge=0)
    end_frame: int = Field(ge=0)


class StrictAnswer(BaseModel):
    """What a model says of a window. The options are not known here: see `json_schema`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    action: Label
    subtask: Label
    objects: list[Label] = Field(max_length=MAX_OBJECTS)
    contact: Ternary  # whether a body part touches something
    transition: Ternary  # whether the action changes
    next_action: Label
    evidence_window: FrameRange  # what it rests on, counted in the clip shown


KEYS = tuple(StrictAnswer.model_fields)
EVIDENCE_KEYS = tuple(FrameRange.model_fields)


def answer_text(answer: dict[str, Any]) -> str:
    """Return an answer as text: the one way in which ours are written.

    It is JSON on one line: fields as declared, a space after each comma and colon, letters as they
    are. The answer may hold what a model may not say, such as a label that is no option or more
    than eight objects; with a field too many or too few it is an AnswersError.
    """
    if answer.keys() != set(KEYS):
        raise AnswersError(
            "answer", f"has the fields {', '.join(answer) or 'none'}", ", ".join(KEYS),
            "Build it with all fields of an answer and no other.",
        )  # fmt: skip
    evidence = {name: answer["evidence_window"][name] for name in EVIDENCE_KEYS}
    ordered = {name: answer[name] for name in KEYS} | {"evidence_window": evidence}
    return json.dumps(ordered, ensure_ascii=False)


@dataclass(frozen=True)
class Options:
    """The labels that may be chosen, in the file's order; None where any text may be said."""

    action: tuple[str, ...]  # of the next action too
    subtask: tuple[str, ...] | None = None
    objects: tuple[str, ...] | None = None

    def allowed(self, field: str) -> frozenset[str] | None:
        """Return what a field may say, "unknown" included; None where any text may stand."""
        return self._allowed.get(field)

    @cached_property
    def _allowed(self) -> dict[str, frozenset[str]]:
        named = {"action": self.action, "next_action": self.action, "subtask": self.subtask}
        found = {name: frozenset([*some, UNKNOWN]) for name, some in named.items() if some}
        return found | ({"objects": frozenset(self.objects)} if self.objects is not None else {})

    @cached_property
    def folded(self) -> dict[str, str]:
        """Actions by their lower-case form, in the file's order; the first of equal ones."""
        found: dict[str, str] = {}
        for name in self.action:
            found.setdefault(name.lower(), name)
        return found

    def as_json(self) -> dict[str, list[str]]:
        """Return the options as `read_options` reads them."""
        lists = {name: getattr(self, name) for name in LISTS}
        return {name: list(labels) for name, labels in lists.items() if labels is not None}


def read_options(path: Path | str) -> Options:
    """Read the options of a benchmark.

    The file is JSON: a list of actions, or an object with the lists "action" and, where they are
    closed, "subtask" and "objects". If it is missing or holds anything else, an empty list or a
    label twice, that is an AnswersError.
    """
    path = Path(path)
    with reading(path.name, "a JSON list of labels", AnswersError):
        value = read_json(path)
    lists = {"action": value} if isinstance(value, list) else value
    if not isinstance(lists, dict) or "action" not in lists or not lists.keys() <= {*LISTS}:
        is_object = isinstance(lists, dict)
        raise AnswersError(
            path.name,
            f"holds {f'the keys {sorted(lists)[:8]}' if is_object else type(lists).__name__}",
            "a list of actions, or an object with action and perhaps subtask and objects",
            "List the labels that a model may choose from.",
        )
    for field, labels in lists.items():
        place = f"{path.name}: {field}"
        whole = isinstance(labels, list) and labels
        if not whole or not all(isinstance(x, str) and x for x in labels):
            raise AnswersError(
                place, "is no list of labels", "at least one text, none empty",
                "Write the labels as a JSON list.",
            )  # fmt: skip
        if twice := len(labels) - len(set(labels)):
            raise AnswersError(
                place, f"names {twice} labels again", "each once", "Drop the copies."
            )
    return Options(**{name: tuple(labels) for name, labels in lists.items()})


def json_schema(options: Options) -> dict[str, Any]:
    """Return the JSON Schema of an answer (draft 2020-12), for generation and for checks.

    A JSON value fits it exactly if it is strictly valid; only there do numbers such as 1.0, which
    the draft calls integers, and broken surrogate pairs count as faults.
    """
    schema = StrictAnswer.model_json_schema()
    for field in OPTION_FIELDS:
        listed = options.subtask if field == "subtask" else options.action
        if listed:  # in the file's order, so that a grammar made from it is the same each time
            names = list(dict.fromkeys([*listed, UNKNOWN]))
            schema["properties"][field] = {"type": "string", "enum": names}
    if options.objects is not None:
        schema["properties"]["objects"]["items"] = {"type": "string", "enum": list(options.objects)}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _texts(value: Any) -> Iterable[str]:
    """Return the labels in a field, whatever was written there."""
    many = value if isinstance(value, list) else [value]
    return (one for one in many if isinstance(one, str))


@dataclass(frozen=True)
class AnswerReading:
    """What a text says, by both rules."""

    value: dict[str, Any]  # the object that the lenient rule finds; empty if there is none
    faults: tuple[str, ...]  # what keeps the text from being a strict answer, in order of `FAULTS`

    @property
    def strict(self) -> bool:
        """Whether the whole text is an answer as declared."""
        return not self.faults

    @property
    def lenient(self) -> bool:
        """Whether an object with all seven keys was found."""
        return all(key in self.value for key in KEYS)

    @property
    def labels(self) -> dict[str, str]:
        """The fields of one label that hold a text, well-formed or not an option though it be."""
        return {k: _clean(self.value[k]) for k in TEXT_FIELDS if isinstance(self.value.get(k), str)}

    @property
    def evidence(self) -> tuple[int, int] | None:
        """First and last frame of the evidence window; None where none is written as declared."""
        return evidence_of(self.value)

    @property
    def objects(self) -> frozenset[str]:
        """The names of objects, none if there is no list of them."""
        named = self.value.get("objects")
        return frozenset(map(_clean, _texts(named))) if isinstance(named, list) else frozenset()


def evidence_of(answer: dict[str, Any]) -> tuple[int, int] | None:
    """Return first and last frame of an answer's evidence window; None without a proper one."""
    try:
        found = FrameRange.model_validate(answer.get("evidence_window"))
    except ValidationError:
        return None
    return found.start_frame, found.end_frame


def read_answer(text: str, options: Options) -> AnswerReading:
    """Read all that a model wrote by both rules; no text makes it fail."""
    found = set()

    def fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            found.add(WRONG_KEYS)
        return value

    try:
        whole = json.loads(text, object_pairs_hook=fields)
    except (ValueError, RecursionError):
        return AnswerReading(_inner_object(text), (NOT_JSON,))
    kinds = dict.fromkeys(("missing", "extra_forbidden", "model_type"), WRONG_KEYS)
    kinds["too_long"] = TOO_MANY_OBJECTS
    try:
        StrictAnswer.model_validate(whole)
    except ValidationError as error:
        found |= {kinds.get(one["type"], WRONG_VALUE) for one in error.errors(include_url=False)}
    value = whole if isinstance(whole, dict) else {}
    for field in KEYS:
        allowed = options.allowed(field)
        if allowed is not None and not allowed.issuperset(_texts(value.get(field))):
            found.add(NOT_AN_OPTION)
    return AnswerReading(value, tuple(fault for fault in FAULTS if fault in found))


def _inner_object(text: str) -> dict[str, Any]:
    """Return the object between the first and the last brace, fences or not; else none."""
    try:
        value = json.loads(text[text.find("{") : text.rfind("}") + 1])
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def published_label(text: str, reading: AnswerReading, options: Options) -> str:
    """Return the action that the published evaluator took from a text and its reading.

    It is the option that equals the answer's action but for case, else the first in the file's
    order that occurs anywhere in it, else the action as it stands. Where no object was found, or it
    names no action, the whole text stands for the action.

    Found from the published predictions: all 448 labels follow. "Unfold paper lantern" so becomes
    "Fold paper lantern", and a text that broke off while listing objects may become an action that
    is mentioned there.
    """
    said = reading.labels.get("action", _clean(text)).strip()
    low = said.lower()
    if low in options.folded:
        return options.folded[low]
    return next((name for folded, name in options.folded.items() if folded in low), said)


def _clean(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON can spell but no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
