"""Labels that people wrote: how right an answer is beyond its exact text.

In a collection of many annotators exact labels hardly repeat. The comparisons are those of
`xperience.answers.wording`: equal words, verb, noun, verb and noun, meaning.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from xperience.answers.tallies import share
from xperience.answers.wording import comparisons
from xperience.heads import baselines
from xperience.scoring.records import Record
from xperience.scoring.uncertainty import Resampling, difference, interval
from xperience.studies.heldout.asked import Asked
from xperience.studies.heldout.contest import Truths
from xperience.studies.problem import Answer
from xperience.studies.rows import interval_fields
from xperience.studies.scores import N_RESAMPLES

FLOOR = "majority"


def word_rows(
    asked: Asked, truths: Truths, answer: Answer, base: dict[str, Any]
) -> Iterator[Record]:
    """Yield how right labels are under each comparison, beside the commonest training label.

    Parameters
    ----------
    asked : Asked
        Whose classes are labels that people wrote; other tasks give no rows.
    truths : Truths
    answer : Answer
    base : dict
        Fields of the rows.
    """
    if asked.task.kind != "classify" or asked.task.classes or asked.task.positive:
        return
    common = baselines.majority(asked.learnt, 1)[0]
    true, said = list(dict.fromkeys(truths.values)), list(dict.fromkeys(answer.predicted))
    options = list(dict.fromkeys([*said, common]))
    rows = np.array([true.index(label) for label in truths.values])
    columns = np.array([options.index(label) for label in answer.predicted])
    for one in comparisons().values():
        named = {
            "metric": one.metric.id,
            "unit": one.metric.unit,
            "higher_is_better": one.metric.higher_is_better,
        }
        if one.needs:
            reason = f"not installed: {one.needs}; `make extras` brings it"
            yield Record(**base, **named, status="skipped", reason=reason)
            continue
        alike = one.compare(true, options)
        counted = ~np.isnan(alike[rows, 0])
        mine, floor = alike[rows, columns], alike[rows, options.index(common)]
        yield from _rows(mine, floor, counted, truths.episodes, base | named)


def _rows(
    mine: np.ndarray, floor: np.ndarray, counted: np.ndarray, episodes: np.ndarray, base: dict
) -> Iterator[Record]:
    if not counted.any():
        yield Record(**base, status="skipped", reason="no true label can be compared")
        return
    _, number = np.unique(episodes, return_inverse=True)
    sides = [share(np.nan_to_num(hits).astype(float), number, counted) for hits in (mine, floor)]
    n = int(number.max()) + 1
    drawn = Resampling(n_resamples=N_RESAMPLES, groups=np.arange(n))
    found = interval(sides[0], n, drawn, (0.0, 1.0))
    value, low = (float(side(np.ones((1, n)))[0]) for side in sides)
    yield Record(
        **base, value=value, floor=low, floor_name=FLOOR, **interval_fields(found) | {
            "n_effective": None
        },
    )  # fmt: skip
    apart = interval_fields(difference(*sides, n, drawn)) | {"n_effective": None}
    yield Record(**base, against=FLOOR, value=value - low, **apart)
