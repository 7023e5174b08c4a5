"""Answers without a language model, in the same format: what any model has to beat."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xperience.errors import did_you_mean
from xperience.features.windows import STRIDE_FRAMES
from xperience.models.baselines import best_constant_set
from xperience.qwen.clips import NO, YES
from xperience.qwen.schema import (
    KEYS,
    MAX_OBJECTS,
    TEXT_FIELDS,
    UNKNOWN,
    AnswersError,
    Options,
    answer_text,
    evidence_of,
)
from xperience.qwen.scores import best_length, ending
from xperience.qwen.supervised import Supervised, as_target

if TYPE_CHECKING:
    import pandas as pd

Said = Iterator[tuple[Supervised, str]]
"""Each record with the text that is said of it."""
Guesses = Mapping[tuple[str, int], Mapping[str, Any]]
"""What heads say of windows: fields of an answer by episode and first frame of the window."""

TERNARY = {
    "contact": YES, "no_contact": NO, "transition": YES, "steady": NO,
    YES: YES, NO: NO, UNKNOWN: UNKNOWN,
}  # fmt: skip
"""How heads name the classes of contact and transition."""
FIELD_OF_TASK = {
    "timeline_action": "action",
    "timeline_subtask": "subtask",
    "next_action": "next_action",
    "object_relevance": "objects",
    "contact_prediction": "contact",
    "transition_detection": "transition",
}
"""The field of an answer that a task of the benchmark asks for."""
NAMES_APART = "|"
"""Between the names of a set in a table of predictions."""


def majority_json(train: Sequence[Supervised], asked: Iterable[Supervised]) -> Said:
    """Yield one and the same answer to everything: what training answers most often say.

    The most frequent target of each field ("unknown" only if nothing else is said; of equally
    frequent ones the first in the alphabet), the set of objects with the best micro-F1 in training,
    and as many last frames of the clip as fit the evidence windows in training best.
    """
    constant: dict[str, Any] = {}
    for name in TEXT_FIELDS:
        counts = Counter(one.taught[name] for one in train if one.taught[name] != UNKNOWN)
        constant[name] = min(counts, key=lambda x: (-counts[x], x), default=UNKNOWN)
    named = [one.taught["objects"] for one in train]
    often = Counter(name for names in named for name in names)
    best = best_constant_set(list(map(frozenset, named))) if often else ()
    constant["objects"] = sorted(best, key=lambda name: (-often[name], name))[:MAX_OBJECTS]
    known = [one for one in train if one.truth["action"] != UNKNOWN] or train
    true = np.array([evidence_of(one.truth) for one in known])
    length = best_length(np.array([one.media.n_frames for one in known]), true, ending)
    for record in asked:
        first, last = ending(record.media.n_frames, length)
        evidence = {"start_frame": int(first), "end_frame": int(last)}
        yield record, answer_text(constant | {"evidence_window": evidence})


def linear_json(guesses: Guesses, asked: Iterable[Supervised], options: Options) -> Said:
    """Yield what heads on window features say, as answers; what is no option becomes "unknown".

    Guesses are of all windows of the episodes that are asked about, for the evidence window is the
    run of windows up to the one in question that are given the same action; without the windows
    before, it is that window.

    If no head has spoken of a record's window, or a class of contact or transition is none that
    heads have, that is an AnswersError.
    """
    for record in asked:
        start = record.window.start_frame
        guess = guesses.get((record.episode, start))
        if guess is None:
            raise AnswersError(
                record.id, "has no prediction of a head", f"one for the window at frame {start}",
                "Predict with features of the same recordings as were exported.",
            )  # fmt: skip
        said = dict.fromkeys(KEYS, UNKNOWN) | {"objects": []} | guess
        for field in ("contact", "transition"):
            if said[field] not in TERNARY:
                raise AnswersError(
                    f"{record.id}: {field}", f"is {said[field]!r}", f"one of {', '.join(TERNARY)}",
                    "Name the class as heads do.",
                )  # fmt: skip
            said[field] = TERNARY[said[field]]
        said["evidence_window"] = _evidence(record, guesses)
        yield record, answer_text(as_target(said, options))


def _evidence(record: Supervised, guesses: Guesses) -> dict[str, int]:
    """Return the frames of the clip's video from where the guessed action is guessed without end.

    A window that starts before the clip isn't asked: it saw what the clip doesn't show.
    """
    clip, media, first = record.clip, record.media, record.window.start_frame
    action = guesses[record.episode, first].get("action")
    while first - STRIDE_FRAMES >= clip.start_frame:
        before = guesses.get((record.episode, first - STRIDE_FRAMES))
        if before is None or before.get("action") != action:
            break
        first -= STRIDE_FRAMES
    source_fps = (clip.end_frame + 1 - clip.start_frame) / media.seconds
    last, shown_s = media.n_frames - 1, (clip.end_frame - first) / source_fps
    return {"start_frame": max(0, last - int(shown_s * media.fps)), "end_frame": last}


def oracle_json(asked: Iterable[Supervised]) -> Said:
    """Yield the true answers, as far as options allow: the ceiling of any model."""
    return ((record, record.target) for record in asked)


def guesses_of(
    table: "pd.DataFrame", head: str = "linear", place: str = "predictions"
) -> dict[tuple[str, int], dict[str, Any]]:
    """Return what a head said, window by window.

    The table has one row per window and task: ``episode``, ``task``, ``head``, ``seed``,
    ``start_frame`` and ``predicted``, in which the names of a set are joined by "|". Of several
    seeds the first counts; tasks that no answer asks for are passed over. A column that is absent,
    or a head of which the table holds nothing, is an AnswersError that names the place.
    """
    wanted = {"episode", "task", "head", "seed", "start_frame", "predicted"}
    if not wanted <= set(table.columns):
        raise AnswersError(
            place, f"has no column {', '.join(sorted(wanted - set(table.columns)))}",
            f"the columns {', '.join(sorted(wanted))}", "Write the predictions again.",
        )  # fmt: skip
    mine = table[(table["head"] == head) & table["task"].isin(FIELD_OF_TASK)]
    if mine.empty:
        heads = sorted(set(table["head"]))
        raise AnswersError(place, f"holds nothing of {head!r}", "a head", did_you_mean(head, heads))
    mine = mine.sort_values("seed", kind="stable", na_position="first")
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for row in mine.drop_duplicates(["episode", "task", "start_frame"]).itertuples():
        field, said = FIELD_OF_TASK[row.task], row.predicted or UNKNOWN
        if field == "objects":
            said = list(dict.fromkeys(filter(None, row.predicted.split(NAMES_APART))))
        found.setdefault((row.episode, int(row.start_frame)), {})[field] = said
    return found
