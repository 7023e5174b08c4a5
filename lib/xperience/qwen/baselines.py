"""Answers without a language model, in the same format: what any model has to beat."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xperience.errors import did_you_mean, unreadable
from xperience.features.windows import STRIDE_FRAMES
from xperience.qwen.clips import NO, YES
from xperience.qwen.schema import (
    MAX_OBJECTS,
    TEXT_FIELDS,
    UNKNOWN,
    AnswersError,
    Options,
    answer_text,
)
from xperience.qwen.scores import best_constant_set, overlap
from xperience.qwen.supervised import Supervised, as_target

if TYPE_CHECKING:
    import pandas as pd

Said = Iterator[tuple[Supervised, str]]
"""Each record with the text that is said of it."""

TERNARY = {
    True: YES, False: NO, "contact": YES, "no_contact": NO, "transition": YES, "steady": NO,
    YES: YES, NO: NO, UNKNOWN: UNKNOWN, None: UNKNOWN,
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


@dataclass(frozen=True)
class WindowGuess:
    """What heads say of a window; None where no head was asked or it has no answer."""

    episode: str  # its name in the roster
    start_frame: int  # of the window
    action: str | None = None
    subtask: str | None = None
    next_action: str | None = None
    objects: tuple[str, ...] = ()
    contact: bool | str | None = None  # a truth value, or a name in TERNARY
    transition: bool | str | None = None


def majority_json(train: Iterable[Supervised], asked: Iterable[Supervised]) -> Said:
    """Yield one and the same answer to everything: what training answers most often say.

    The most frequent target of each field ("unknown" only if nothing else is said; of equally
    frequent ones the first in the alphabet), the set of objects with the best micro-F1 in training,
    and as many last frames of the clip as fit the evidence windows in training best.

    Raises
    ------
    AnswersError
        If there is no training record.
    """
    known = list(train)
    if not known:
        raise AnswersError(
            "records", "hold none of the training side", "at least one",
            "Export the training side too.",
        )  # fmt: skip
    targets = [record.taught for record in known]
    constant: dict[str, Any] = {}
    for name in TEXT_FIELDS:
        counts = Counter(target[name] for target in targets if target[name] != UNKNOWN)
        constant[name] = min(counts, key=lambda x: (-counts[x], x), default=UNKNOWN)
    constant["objects"] = _usual_objects([target["objects"] for target in targets])
    length = _usual_length(known)
    for record in asked:
        last = record.media.n_frames - 1
        evidence = {"start_frame": max(0, last + 1 - length), "end_frame": last}
        yield record, answer_text(constant | {"evidence_window": evidence})


def _usual_objects(named: Sequence[Sequence[str]]) -> list[str]:
    if not any(named):
        return []
    counts = Counter(name for names in named for name in names)
    best = best_constant_set(list(map(frozenset, named)))
    return sorted(best, key=lambda name: (-counts[name], name))[:MAX_OBJECTS]


def _usual_length(records: Sequence[Supervised]) -> int:
    """Return how many last frames of a clip fit the true evidence windows best."""
    known = [one for one in records if one.truth["action"] != UNKNOWN] or records
    true = [tuple(one.truth["evidence_window"].values()) for one in known]
    last = [one.media.n_frames - 1 for one in known]
    lengths = range(1, max(last) + 2)
    fits = [
        np.mean([overlap((max(0, end + 1 - n), end), t) for end, t in zip(last, true, strict=True)])
        for n in lengths
    ]
    return lengths[int(np.argmax(fits))]


def linear_json(
    guesses: Iterable[WindowGuess], asked: Iterable[Supervised], options: Options
) -> Said:
    """Yield what heads on window features say, as answers; what is no option becomes "unknown".

    Guesses are of all windows of the episodes that are asked about, for the evidence window is the
    run of windows up to the one in question that are given the same action; without the windows
    before, it is that window.

    Raises
    ------
    AnswersError
        If no head has spoken of a record's window, or a class of contact or transition is none that
        heads have.
    """
    by_window = {(guess.episode, guess.start_frame): guess for guess in guesses}
    for record in asked:
        start = record.window.start_frame
        guess = by_window.get((record.episode, start))
        if guess is None:
            raise AnswersError(
                record.id, "has no prediction of a head", f"one for the window at frame {start}",
                "Predict with features of the same recordings as were exported.",
            )  # fmt: skip
        said = {
            "action": guess.action or UNKNOWN,
            "subtask": guess.subtask or UNKNOWN,
            "objects": list(dict.fromkeys(guess.objects)),
            "contact": _ternary(record.id, "contact", guess.contact),
            "transition": _ternary(record.id, "transition", guess.transition),
            "next_action": guess.next_action or UNKNOWN,
            "evidence_window": _evidence(record, by_window),
        }
        yield record, answer_text(as_target(said, options))


def _ternary(place: str, field: str, value: bool | str | None) -> str:
    if value not in TERNARY:
        known = ", ".join(map(str, TERNARY))
        raise AnswersError(
            f"{place}: {field}", f"is {value!r}", f"one of {known}", "Name the class as heads do."
        )
    return TERNARY[value]


def _evidence(
    record: Supervised, by_window: Mapping[tuple[str, int], WindowGuess]
) -> dict[str, int]:
    """Return the frames of the clip's video from where the guessed action is guessed without end.

    A window that starts before the clip isn't asked: it saw what the clip doesn't show.
    """
    clip, media, first = record.clip, record.media, record.window.start_frame
    action = by_window[record.episode, first].action
    while first - STRIDE_FRAMES >= clip.start_frame:
        before = by_window.get((record.episode, first - STRIDE_FRAMES))
        if before is None or before.action != action:
            break
        first -= STRIDE_FRAMES
    source_fps = (clip.end_frame + 1 - clip.start_frame) / media.seconds
    last, shown_s = media.n_frames - 1, (clip.end_frame - first) / source_fps
    return {"start_frame": max(0, last - int(shown_s * media.fps)), "end_frame": last}


def oracle_json(asked: Iterable[Supervised]) -> Said:
    """Yield the true answers, as far as options allow: the ceiling of any model."""
    for record in asked:
        yield record, record.target


def read_guesses(path: Path | str, head: str = "linear") -> list[WindowGuess]:
    """Read what a head said of windows, from a Parquet table; see `guesses_of`.

    Raises
    ------
    AnswersError
        If the table cannot be read, or holds nothing of the head.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415 - only where heads' tables are read

    try:
        table = pq.read_table(path).to_pandas()
    except (OSError, ValueError) as error:
        raise AnswersError(
            Path(path).name, unreadable(error), "a Parquet table of predictions",
            "Name the predictions of heads across recordings.",
        ) from error  # fmt: skip
    return guesses_of(table, head, Path(path).name)


def guesses_of(
    table: "pd.DataFrame", head: str = "linear", place: str = "predictions"
) -> list[WindowGuess]:
    """Return what a head said, window by window.

    The table has one row per window and task: ``episode``, ``task``, ``head``, ``seed``,
    ``start_frame`` and ``predicted``, in which the names of a set are joined by "|". Of several
    seeds the first counts; tasks that no answer asks for are passed over. Errors name the place.

    Raises
    ------
    AnswersError
        If a column is absent, or the table holds nothing of the head.
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
    first = mine.drop_duplicates(["episode", "task", "start_frame"])
    found: dict[tuple[str, int], dict[str, str | tuple[str, ...]]] = {}
    for row in first.itertuples():
        field = FIELD_OF_TASK[row.task]
        said = tuple(filter(None, row.predicted.split(NAMES_APART)))
        window = found.setdefault((row.episode, int(row.start_frame)), {})
        window[field] = said if field == "objects" else row.predicted
    return [WindowGuess(*window, **said) for window, said in found.items()]
