"""Whether rows that are told together belong together: their numbers, and the seeds behind them."""

import math

from xperience.evaluation.records import Record
from xperience.report.takeaways.evidence import Ask, Evidence, Place

_TOLERANCE = 1e-6
"""Scores of neural heads are float32."""


def unlike(mine: Record | None, gap: Record | None, rival: Record | None) -> str:
    """Return why a difference is not that of the two scores which are told with it, or nothing.

    Parameters
    ----------
    mine, gap, rival : Record, optional
        A head's score, the paired difference, and the rival's score; nothing is said without them.
    """
    if mine is None or gap is None or rival is None:
        return ""
    if len({row.unit for row in (mine, gap, rival)}) > 1:
        return "the units differ"
    if len({row.higher_is_better for row in (mine, gap, rival)}) > 1:
        return "its rows do not agree on which way is better"
    if mine.value is None or gap.value is None or rival.value is None:
        return "one of its scores has no value"
    apart = mine.value - rival.value
    scale = _TOLERANCE * max(1.0, abs(mine.value), abs(rival.value))
    if not math.isclose(apart, gap.value, rel_tol=_TOLERANCE, abs_tol=scale):
        return "the difference is not that of the two scores"
    return ""


def divided(evidence: Evidence, place: Place, score: Record, gap: Record | None = None) -> str:
    """Return that a head's seeds are not all on one side, or nothing.

    An interval draws samples again, not seeds: a mean over seeds may be clear of zero although a
    head that is trained once more would say the opposite.

    Parameters
    ----------
    evidence : Evidence
    place : Place
    score : Record
        A score, or the difference of one from a rival that is the same for every seed.
    gap : Record, optional
        How far a score lies from what it is held against, if that is no row of the files.
    """
    gap = gap or score
    own = Ask(score.section, score.metric, score.task, score.head, score.variant)
    mean = evidence.find(place, own).row
    if mean is None or mean.value is None or gap.value is None:
        return ""
    seeds = [row for row in evidence.seeds(place, mean) if row.value is not None]
    sides = [gap.value + row.value - mean.value for row in seeds]
    agree = sum(side / gap.value > _TOLERANCE for side in sides) if gap.value else 0
    if agree == len(sides):
        return ""
    return f"its seeds disagree, {agree} of {len(sides)} are on the side of their mean"
