"""One strict answer beside the truth: what was asked, what was said, field by field."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from xperience.qwen.grounding import overlap
from xperience.qwen.schema import KEYS, TEXT_FIELDS, UNKNOWN, Options, Reading
from xperience.studies.heldout.strict import Answer
from xperience.text import as_block, as_markdown

HIT, MISS = "hit", "miss"
NO_OPTION, NOT_COUNTED = "miss: the true one is no option", "not counted: nobody knows"


def asked_words(answer: Answer, options: Options) -> str:
    """Return what was asked about a clip and what was said, as Markdown.

    Parameters
    ----------
    answer : Answer
    options : Options
        Labels that may be said; they are counted, not listed.
    """
    record, span = answer.record, answer.record.window
    counts = {field: options.allowed(field) for field in KEYS}
    limited = (f"{len(names)} for {field}" for field, names in counts.items() if names is not None)
    return "\n\n".join(
        [
            f"Clip of {as_markdown(record.episode)}, about its frames {span.start_frame} to "
            f"{span.end_frame}. Options: {', '.join(limited).replace('_', ' ')}.",
            "\n".join(f"> {as_markdown(line)}" for line in record.user.splitlines()),
            f"{answer.author.replace('_', ' ')} said, {_validity(answer.reading)}:",
            as_block(answer.raw),
        ]
    )


def _validity(reading: Reading) -> str:
    if reading.strict:
        return "a valid answer"
    return f"no valid answer ({', '.join(reading.faults)}), so that every field is a miss"


def field_table(answer: Answer, options: Options) -> pd.DataFrame:
    """Return one row a field of an answer: the truth, what was said, a hit or a miss.

    Parameters
    ----------
    answer : Answer
    options : Options
        A label that is none of them can't be hit.

    Returns
    -------
    table
        ``field``, ``truth``, ``said`` and ``counts as``. What is not valid is wrong in every field,
        as it is where validity counts. Sets of objects and stretches of frames may be partly right.
    """
    truth, said = answer.record.truth, answer.reading.value
    return pd.DataFrame(
        {
            "field": field.replace("_", " "),
            "truth": _shown(truth[field]),
            "said": _shown(said[field]) if field in said else "–",
            "counts as": result,
        }
        for field, result in _results(answer.reading, truth, options)
    )


def _results(
    reading: Reading, truth: Mapping[str, Any], options: Options
) -> Iterator[tuple[str, str]]:
    for field in KEYS:
        if field in TEXT_FIELDS and truth[field] == UNKNOWN:
            yield field, NOT_COUNTED
        elif not reading.strict:
            yield field, MISS
        elif field in TEXT_FIELDS:
            yield field, _label(reading.labels[field], truth[field], options.allowed(field))
        else:
            yield field, _part(field, reading, truth)


def _label(said: str, true: str, options: frozenset[str] | None) -> str:
    if said == true:
        return HIT
    return MISS if options is None or true in options else NO_OPTION


def _part(field: str, reading: Reading, truth: Mapping[str, Any]) -> str:
    if field == "objects":
        return _objects(frozenset(truth[field]), reading.objects)
    return _stretch(reading, Reading({field: truth[field]}, ()))


def _objects(true: frozenset[str], said: frozenset[str]) -> str:
    if true == said:
        return HIT
    right = len(true & said)
    if not right:
        return MISS
    return f"{right} hit, {len(true - said)} left out, {len(said - true)} wrong"


def _stretch(said: Reading, true: Reading) -> str:
    if true.evidence is None or said.evidence is None:
        return MISS
    share = overlap(said.evidence, true.evidence)
    return {0.0: MISS, 1.0: HIT}.get(share, f"{share:.2f} of the frames in either are in both")


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return " to ".join(map(str, value.values()))
    return str(value)
