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

from xperience.errors import TextError, XperienceError, unreadable
from xperience.text import read_json

UNKNOWN = "unknown"
MAX_OBJECTS = 8
TEXT_FIELDS = ("action", "subtask", "next_action", "contact", "transition")
"""Fields that hold one label."""

NOT_JSON, WRONG_KEYS, WRONG_VALUE, TOO_MANY_OBJECTS, NOT_AN_OPTION = (
    "not_json", "wrong_keys", "wrong_value", "too_many_objects", "not_an_option",
)  # fmt: skip
FAULTS = (NOT_JSON, WRONG_KEYS, WRONG_VALUE, TOO_MANY_OBJECTS, NOT_AN_OPTION)

Label = Annotated[str, Field(min_length=1)]
Ternary = Literal["yes", "no", "unknown"]


class AnswersError(XperienceError):
    """A file of answers or options that cannot be evaluated."""


class EvidenceWindow(BaseModel):
    """The frames that an answer rests on, counted in whatever the model was shown.

    Parameters
    ----------
    start_frame, end_frame : int
        First and last frame, both included, 0 or more.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    start_frame: int = Field(ge=0)
    end_frame: int = Field(ge=0)


class Answer(BaseModel):
    """What a model says of a window. Options are not known here: see `json_schema`.

    Parameters
    ----------
    action, subtask, next_action : str
        An option, or "unknown".
    objects : list of str
        At most eight names.
    contact, transition : {"yes", "no", "unknown"}
        Whether a body part touches something, whether the action changes.
    evidence_window : EvidenceWindow
        Scored only where the prediction says how long the clip was: prompts have been seen to
        print it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    action: Label
    subtask: Label
    objects: list[Label] = Field(max_length=MAX_OBJECTS)
    contact: Ternary
    transition: Ternary
    next_action: Label
    evidence_window: EvidenceWindow


KEYS = tuple(Answer.model_fields)


def answer_text(answer: Answer | dict[str, Any]) -> str:
    """Return an answer as text: the one way in which ours are written.

    Parameters
    ----------
    answer : Answer or dict
        A dict has exactly the fields of one; it may hold what a model may not say, such as a label
        that is no option or more than eight objects.

    Returns
    -------
    str
        JSON on one line: fields as declared, a space after each comma and colon, letters as they
        are. Equal answers give equal texts.

    Raises
    ------
    AnswersError
        If a dict lacks a field or has another one.
    """
    value = answer.model_dump() if isinstance(answer, Answer) else answer
    if value.keys() != set(KEYS):
        raise AnswersError(
            "answer", f"has the fields {', '.join(value) or 'none'}", ", ".join(KEYS),
            "Build it with all fields of an answer and no other.",
        )  # fmt: skip
    evidence = {name: value["evidence_window"][name] for name in EvidenceWindow.model_fields}
    ordered = {name: value[name] for name in KEYS} | {"evidence_window": evidence}
    return json.dumps(ordered, ensure_ascii=False)


@dataclass(frozen=True)
class Options:
    """The labels that may be chosen.

    Parameters
    ----------
    action : tuple of str
        For ``action`` and ``next_action``, in the file's order.
    subtask, objects : tuple of str, optional
        None where any text may be said.
    """

    action: tuple[str, ...]
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
    def folded(self) -> tuple[tuple[str, str], ...]:
        """Each action in lower case, beside itself, in the file's order."""
        return tuple((name.lower(), name) for name in self.action)

    @cached_property
    def by_folded(self) -> dict[str, str]:
        """Actions by their lower-case form, the first of equal ones."""
        return dict(reversed(self.folded))


def read_options(path: Path | str) -> Options:
    """Read the options of a benchmark.

    Parameters
    ----------
    path : path
        JSON: a list of actions, or an object with the lists "action" and, where they are closed,
        "subtask" and "objects".

    Raises
    ------
    AnswersError
        If the file is missing or holds anything else, an empty list or a label twice.
    """
    path = Path(path)
    try:
        value = read_json(path)
    except (OSError, TextError) as error:
        raise AnswersError(
            path.name, unreadable(error), "a JSON list of labels", "Name another file."
        ) from error
    lists = {"action": value} if isinstance(value, list) else value
    known = {"action", "subtask", "objects"}
    if not isinstance(lists, dict) or "action" not in lists or not set(lists) <= known:
        raise AnswersError(
            path.name,
            f"holds {_kind(lists)}",
            "a list of actions, or an object with action and perhaps subtask and objects",
            "List the labels that a model may choose from.",
        )
    return Options(**{name: _labels(path.name, name, some) for name, some in lists.items()})


def _kind(value: Any) -> str:
    return f"the keys {sorted(value)[:8]}" if isinstance(value, dict) else type(value).__name__


def _labels(place: str, field: str, value: Any) -> tuple[str, ...]:
    whole = isinstance(value, list) and value and all(isinstance(s, str) and s for s in value)
    if not whole:
        raise AnswersError(
            f"{place}: {field}", "is no list of labels", "at least one text, none empty",
            "Write the labels as a JSON list.",
        )  # fmt: skip
    twice = len(value) - len(set(value))
    if twice:
        raise AnswersError(
            f"{place}: {field}", f"names {twice} labels again", "each once", "Drop the copies."
        )
    return tuple(value)


def json_schema(options: Options) -> dict[str, Any]:
    """Return the JSON Schema of an answer, for constrained generation and for checks.

    Parameters
    ----------
    options : Options

    Returns
    -------
    dict
        Draft 2020-12. A JSON value fits it exactly if `faults_of` finds none; only there do numbers
        such as 1.0, which the draft calls integers, and broken surrogate pairs count as faults.
    """
    schema = Answer.model_json_schema()
    for field in ("action", "subtask", "next_action"):
        if options.allowed(field) is not None:
            # In the file's order, so that a grammar made from the schema is the same each time.
            listed = options.subtask if field == "subtask" else options.action
            names = list(dict.fromkeys([*(listed or ()), UNKNOWN]))
            schema["properties"][field] = {"type": "string", "enum": names}
    if options.objects is not None:
        schema["properties"]["objects"]["items"] = {"type": "string", "enum": list(options.objects)}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def faults_of(value: Any, options: Options) -> tuple[str, ...]:
    """Return what is wrong with a parsed answer, names from `FAULTS` in that order.

    Parameters
    ----------
    value : JSON value
    options : Options

    Returns
    -------
    tuple of str
        Empty if the answer is strictly valid.
    """
    found = set()
    try:
        Answer.model_validate(value)
    except ValidationError as error:
        found = {_fault(one["type"]) for one in error.errors(include_url=False)}
    if isinstance(value, dict) and not all(_chosen(value, field, options) for field in KEYS):
        found.add(NOT_AN_OPTION)
    return tuple(fault for fault in FAULTS if fault in found)


def _fault(kind: str) -> str:
    if kind in ("missing", "extra_forbidden", "model_type"):
        return WRONG_KEYS
    return TOO_MANY_OBJECTS if kind == "too_long" else WRONG_VALUE


def _chosen(value: dict[str, Any], field: str, options: Options) -> bool:
    allowed, said = options.allowed(field), value.get(field)
    if allowed is None:
        return True
    return set(_texts(said)) <= allowed


def _texts(value: Any) -> Iterable[str]:
    """Return the labels in a field, whatever was written there."""
    many = value if isinstance(value, list) else [value]
    return (one for one in many if isinstance(one, str))


@dataclass(frozen=True)
class Reading:
    """What a text says, by both rules.

    Parameters
    ----------
    value : dict
        The object found in the text by the lenient rule; empty if there is none.
    faults : tuple of str
        What keeps the text from being a strict answer.
    """

    value: dict[str, Any]
    faults: tuple[str, ...]

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
        try:
            found = EvidenceWindow.model_validate(self.value.get("evidence_window"))
        except ValidationError:
            return None
        return found.start_frame, found.end_frame

    @property
    def objects(self) -> frozenset[str]:
        """The names of objects, none if there is no list of them."""
        named = self.value.get("objects")
        return frozenset(map(_clean, _texts(named))) if isinstance(named, list) else frozenset()


def read_answer(text: str, options: Options) -> Reading:
    """Read a model's text by both rules; no text makes it fail.

    Parameters
    ----------
    text : str
        All that the model wrote.
    options : Options
    """
    is_doubled = False

    def fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal is_doubled
        found = dict(pairs)
        is_doubled |= len(found) < len(pairs)
        return found

    try:
        whole = json.loads(text, object_pairs_hook=fields)
    except (ValueError, RecursionError):
        return Reading(_found_object(text), (NOT_JSON,))
    found = {*faults_of(whole, options), *([WRONG_KEYS] if is_doubled else [])}
    faults = tuple(fault for fault in FAULTS if fault in found)
    return Reading(whole if isinstance(whole, dict) else {}, faults)


def _found_object(text: str) -> dict[str, Any]:
    """Return the object between the first and the last brace, fences or not; else none."""
    first, last = text.find("{"), text.rfind("}")
    try:
        value = json.loads(text[first : last + 1]) if 0 <= first < last else None
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def published_label(text: str, reading: Reading, options: Options) -> str:
    """Return the action that the published evaluator took from a text.

    Parameters
    ----------
    text : str
        All that the model wrote.
    reading : Reading
        The same, read.
    options : Options

    Returns
    -------
    str
        The option that equals the answer's action but for case, else the first in the file's order
        that occurs anywhere in it, else the action as it stands. Where no object was found, or it
        names no action, the whole text stands for the action.

    Notes
    -----
    Found from the published predictions: all 448 labels follow. "Unfold paper lantern" so becomes
    "Fold paper lantern", and a text that broke off while listing objects may become an action that
    is mentioned there.
    """
    said = reading.labels.get("action", _clean(text)).strip()
    low = said.lower()
    if low in options.by_folded:
        return options.by_folded[low]
    return next((name for folded, name in options.folded if folded in low), said)


def _clean(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON can spell but no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
