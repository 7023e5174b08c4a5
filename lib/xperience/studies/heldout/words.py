"""Labels that people wrote: how right an answer is beyond its exact text.

In a collection of many annotators exact labels hardly repeat. The comparisons are those of
`xperience.qwen.wording`: equal words, verb, noun, verb and noun, meaning. An action is also
compared by what it is part of: is the subtask that it mostly belongs to in training the true one?
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from xperience.evaluation.intervals import (
    Segmentation,
    difference,
    difference_fields,
    interval,
    interval_fields,
)
from xperience.evaluation.predictions import Prediction
from xperience.evaluation.records import Record
from xperience.models import baselines
from xperience.qwen.baselines import FIELD_OF_TASK
from xperience.qwen.schema import OPTION_FIELDS
from xperience.qwen.scores import named, share
from xperience.qwen.wording import comparisons
from xperience.recording.captions import is_labelled
from xperience.studies.heldout.problem import LEARN, TEST, CohortProblem, RecordingSamples
from xperience.tasks.targets import AHEAD_FRAMES

FLOOR = "majority"
SAME_SUBTASK = "wording_same_subtask"

FRAMES: dict[str, Callable[[RecordingSamples], np.ndarray]] = {
    "timeline_action": lambda part: part.samples.centers,
    "next_action": lambda part: np.minimum(
        part.recording.truth.n_frames - 1,
        part.recording.truth.ends[part.samples.members[:, 0]] + AHEAD_FRAMES,
    ),
}
"""The frames whose subtask tells what an action is part of, a task about actions each."""


def word_rows(problem: CohortProblem, answer: Prediction, base: dict[str, Any]) -> Iterator[Record]:
    """Yield how right labels are under each comparison, beside the commonest training label.

    Only tasks whose classes are labels that people wrote give rows.
    """
    if FIELD_OF_TASK.get(problem.task.name) not in OPTION_FIELDS:
        return
    common = baselines.majority(problem.train_targets, 1)[0]
    true, said = list(dict.fromkeys(problem.test_targets)), list(dict.fromkeys(answer.predicted))
    options = list(dict.fromkeys([*said, common]))
    rows = np.array([true.index(label) for label in problem.test_targets])
    columns = np.array([options.index(label) for label in answer.predicted])
    for one in comparisons().values():
        if one.needs:
            yield Record(**base, **one.skipped)
            continue
        alike = one.compare(true, options)
        counted = ~np.isnan(alike[rows, 0])
        mine, floor = alike[rows, columns], alike[rows, options.index(common)]
        yield from _rows(mine, floor, counted, problem.sessions, base | named(one.metric))
    if problem.task.name in FRAMES:
        yield from _by_subtask(problem, answer.predicted, base)


def _by_subtask(
    problem: CohortProblem, said: Sequence[str], base: dict[str, Any]
) -> Iterator[Record]:
    """Yield how often an action belongs to the true subtask, and how often the commonest does."""
    part_of = _subtasks_of_actions([part for side in LEARN for part in problem.parts[side]])
    frames = FRAMES[problem.task.name]
    true = [part.recording.truth.subtask[f] for part in problem.parts[TEST] for f in frames(part)]
    common = part_of.get(baselines.majority(problem.train_targets, 1)[0])
    counted = np.array([is_labelled(label) for label in true])
    mine = np.array(
        [part_of.get(action) == label for action, label in zip(said, true, strict=True)]
    )
    floor = np.array([common == label for label in true])
    fields = base | {"metric": SAME_SUBTASK, "unit": "1", "higher_is_better": True}
    yield from _rows(mine, floor, counted, problem.sessions, fields)


def _subtasks_of_actions(parts: Sequence[RecordingSamples]) -> dict[str, str]:
    """Return the subtask that most frames of each action belong to."""
    counts: dict[str, Counter[str]] = {}
    for part in parts:
        truth = part.recording.truth
        for action, subtask in zip(truth.action, truth.subtask, strict=True):
            if is_labelled(subtask):
                counts.setdefault(action, Counter())[subtask] += 1
    return {action: found.most_common(1)[0][0] for action, found in counts.items()}


def _rows(
    mine: np.ndarray, floor: np.ndarray, counted: np.ndarray, sessions: np.ndarray, base: dict
) -> Iterator[Record]:
    if not counted.any():
        yield Record(**base, status="skipped", reason="no true label can be compared")
        return
    _, number = np.unique(sessions, return_inverse=True)
    sides = [share(np.nan_to_num(hits).astype(float), number, counted) for hits in (mine, floor)]
    n = int(number.max()) + 1
    drawn = Segmentation(groups=np.arange(n))
    found = interval(sides[0], n, drawn, (0.0, 1.0))
    value, low = (float(side(np.ones((1, n)))[0]) for side in sides)
    base |= {"n_effective": None}
    ends = interval_fields(found) | base
    yield Record(**ends, value=value, floor=low, floor_name=FLOOR)
    apart = difference_fields(difference(*sides, n, drawn, (0.0, 1.0))) | base
    yield Record(**apart, against=FLOOR, value=value - low)
