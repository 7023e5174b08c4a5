"""The same tasks inside each test recording: what a head scores that has seen its beginning.

A head is trained on the beginning of every test recording and tested on its end (chronological,
purged). Heads that were trained across recordings are scored on the same windows, so that the
difference, the generalisation gap, is paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xperience.studies.heads import Context, corrected_linear
from xperience.studies.heldout.asked import TEST, Asked, Part, joined
from xperience.studies.heldout.contest import Entrant, Truths, entrant, merged, truths_of
from xperience.studies.posing import pose
from xperience.studies.problem import Answer, Problem
from xperience.studies.scores import evidence, picked

WITHIN = "within"


@dataclass(frozen=True)
class Gap:
    """Heads trained within and across recordings, on the ends of the test recordings.

    Parameters
    ----------
    within : Entrant
    across : dict of {head: Entrant}
        On the same windows.
    n_train : int
        Samples that heads within were trained on, over all recordings.
    """

    within: Entrant
    across: dict[str, Entrant]
    n_train: int


@dataclass(frozen=True)
class _Split:
    """One test recording, split in time and answered by a head that saw its beginning."""

    problem: Problem
    said: Sequence[Any]
    places: np.ndarray


def gap_of(asked: Asked, heads: Mapping[str, Sequence[Answer]]) -> Gap | str:
    """Return heads within and across recordings on the same windows, or why there are none.

    Parameters
    ----------
    asked : Asked
    heads : mapping of {head: answers}
        Answers to every test sample, trained across recordings.
    """
    if asked.task.kind == "regress" and asked.task.target_blocks:
        return "each score is in deviations of what its head was trained on: no common unit"
    splits, reasons, first = [], [], 0
    for part in asked.parts[TEST]:
        found = _split(asked, part)
        if isinstance(found, _Split):
            splits.append(replace(found, places=first + found.places))
        else:
            reasons.append(f"{part.recording.entry.episode}: {found}")
        first += len(part)
    if not splits:
        return "; ".join(reasons) or "no test recording can be split in time"
    at = np.concatenate([split.places for split in splits])
    kept = truths_of(asked).keep(at)
    across = {
        name: entrant(name, kept, [_kept(answer, at) for answer in answers])
        for name, answers in heads.items()
    }
    n_train = sum(len(split.problem.split.train) for split in splits)
    return Gap(_within(kept, splits), across, n_train)


def _split(asked: Asked, part: Part) -> _Split | str:
    blocks = part.recording.blocks()
    problem = pose(asked.task, part.recording.truth, blocks, "corrected")
    if not isinstance(problem, Problem):
        return problem.reason or "it cannot be asked"
    ((_, (answer,)),) = corrected_linear([problem], Context(blocks))
    order = problem.by_time
    at = {tuple(row): place for place, row in enumerate(part.samples.members.tolist())}
    tested = map(tuple, problem.samples.members[problem.split.test][order].tolist())
    found = [(now, at[row]) for now, row in enumerate(tested) if row in at]
    if not found:
        return "none of the windows of its end was asked about"
    kept, places = np.array(found, dtype=np.int64).T
    return _Split(problem, picked(answer.predicted, order[kept]), places)


def _within(kept: Truths, splits: Sequence[_Split]) -> Entrant:
    """Return the heads within as one contestant, on the samples that are kept."""
    if kept.task.kind == "retrieve":  # each recording's targets have a scale of their own
        each = [evidence(split.problem, _in_order(split))[0] for split in splits]
        return Entrant(WITHIN, kept, ([merged(each)],), (None,))
    labels = tuple(dict.fromkeys(label for split in splits for label in split.problem.labels))
    own = replace(kept, labels=labels or kept.labels)
    return entrant(WITHIN, own, [Answer(joined([split.said for split in splits]))])


def _in_order(split: _Split) -> np.ndarray:
    """Return what was said in the order of the problem's own test samples, all of them.

    No candidate of a retrieval is left out.
    """
    found = np.empty_like(split.said)
    found[split.problem.by_time] = split.said
    return found


def _kept(answer: Answer, places: np.ndarray) -> Answer:
    return Answer(picked(answer.predicted, places), seed=answer.seed)
