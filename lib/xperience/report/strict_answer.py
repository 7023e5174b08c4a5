"""One strict answer beside the truth: what was asked, what was said, field by field."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from xperience.qwen.schema import (
    KEYS,
    TEXT_FIELDS,
    UNKNOWN,
    AnswerReading,
    Options,
    evidence_of,
)
from xperience.qwen.scores import overlap
from xperience.qwen.supervised import ClipAnswer
from xperience.text import as_block, as_markdown

HIT, MISS = "hit", "miss"
NO_OPTION, NOT_COUNTED = "miss: the true one is no option", "not counted: nobody knows"


def asked_words(answer: ClipAnswer, options: Options) -> str:
    """Return what was asked about a clip and what was said, as Markdown; labels are counted."""
    record, span, reading = answer.record, answer.record.window, answer.reading
    counts = {field: options.allowed(field) for field in KEYS}
    limited = (f"{len(names)} for {field}" for field, names in counts.items() if names is not None)
    validity = "a valid answer"
    if not reading.strict:
        faults = ", ".join(reading.faults)
        validity = f"no valid answer ({faults}), so that every field is a miss"
    return "\n\n".join(
        [
            f"Clip of {as_markdown(record.episode)}, about its frames {span.start_frame} to "
            f"{span.end_frame}. Options: {', '.join(limited).replace('_', ' ')}.",
            "\n".join(f"> {as_markdown(line)}" for line in record.user.splitlines()),
            f"{answer.author.replace('_', ' ')} said, {validity}:",
            as_block(answer.raw),
        ]
    )


def field_table(answer: ClipAnswer, options: Options) -> pd.DataFrame:
    """Return one row per field of an answer: ``field``, ``truth``, ``said`` and ``counts as``.

    What is not valid is wrong in every field, as it is where validity counts. A label that is no
    option can't be hit. Sets of objects and segments of frames may be partly right.
    """
    truth, said = answer.record.truth, answer.reading.value
    return pd.DataFrame(
        {
            "field": field.replace("_", " "),
            "truth": _shown(truth[field]),
            "said": _shown(said[field]) if field in said else "–",
            "counts as": _result(field, answer.reading, truth, options),
        }
        for field in KEYS
    )


def _result(field: str, said: AnswerReading, truth: Mapping[str, Any], options: Options) -> str:
    if field in TEXT_FIELDS and truth[field] == UNKNOWN:
        return NOT_COUNTED
    if not said.strict:
        return MISS
    if field in TEXT_FIELDS:
        allowed = options.allowed(field)
        possible = MISS if allowed is None or truth[field] in allowed else NO_OPTION
        return HIT if said.labels[field] == truth[field] else possible
    if field == "objects":
        true, named = frozenset(truth[field]), said.objects
        right, left_out, wrong = len(true & named), len(true - named), len(named - true)
        partly = f"{right} hit, {left_out} left out, {wrong} wrong" if right else MISS
        return HIT if true == named else partly
    spans = said.evidence, evidence_of(truth)
    if None in spans:
        return MISS
    share = float(overlap(*map(np.array, spans)))
    return {0.0: MISS, 1.0: HIT}.get(share, f"{share:.2f} of the frames in either are in both")


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return " to ".join(map(str, value.values()))
    return str(value)
