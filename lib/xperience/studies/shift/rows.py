"""The tidy rows of the label-shift study; a row's variant says which split it is of.

"local" is the split itself; "local/floor" a trivial baseline on it; "local/seen_classes" the test
windows of trained classes only; "local/class=NAME" one class; "local/embargo=N" a point of the
embargo curve.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from xperience.evaluation.metrics import skill
from xperience.evaluation.records import Record, finite_or_none
from xperience.studies.problem import Outcome
from xperience.studies.rows import Labels, interval_fields, suite_rows
from xperience.studies.scores import ceiling, contestant, floors, strongest
from xperience.studies.shift.study import (
    CHRONOLOGICAL,
    LINEAR,
    PURGED,
    THINNED,
    EmbargoPoint,
    SplitCase,
)
from xperience.tasks.task import Task

CLASS, EMBARGO = "class=", "embargo="
SPLIT_FACTS = ("purged_samples", "open_set_share")


def split_of(row: Record) -> str:
    """Return the split that a row is of."""
    return (row.variant or "").partition("/")[0]


def kind_of(row: Record) -> str:
    """Return what a row's variant says beyond its split: "" for the split as a whole."""
    return (row.variant or "").partition("/")[2]


def embargo_of(row: Record) -> int:
    """Return the distance of a row of the embargo curve, frames."""
    return int(kind_of(row).removeprefix(EMBARGO))


def shift_rows(cases: Iterable[SplitCase], run: str, section: str) -> list[Record]:
    """Return the rows of all cases.

    Parameters
    ----------
    cases : iterable of SplitCase
    run, section : str

    Returns
    -------
    list of Record
        For each case every measure of every head and probe with interval, floor, skill, ceiling
        and paired differences; what the split leaks; the recall of each tested class; and for each
        task what purging the chronological split changes.
    """
    cases = list(cases)
    found = [row for case in cases for row in _case_rows(case, run, section)]
    return found + [row for pair in _purges(cases) for row in _purge_rows(*pair, run, section)]


def _case_rows(case: SplitCase, run: str, section: str) -> Iterator[Record]:
    names = {one.name for one in case.task.measures} | set(SPLIT_FACTS)
    for row in suite_rows(case.outcomes, run, case.contract, section):
        if row.metric in names:
            yield _placed(row, case.split)
    if case.problem is not None:
        base = Labels(run, section, case.contract).of(case.task, None, case.problem)
        yield from _leak_rows(case, base)
        yield from _class_rows(case, base)


def _placed(row: Record, split: str) -> Record:
    """Return a row of the suite with its split in front of its variant."""
    return row.model_copy(update={"variant": "/".join(filter(None, (split, row.variant)))})


def _leak_rows(case: SplitCase, base: dict[str, Any]) -> Iterator[Record]:
    leak, base = case.leak, base | {"variant": case.split}
    yield Record(**base, metric="overlap_share", higher_is_better=False, value=leak.overlap_share)
    yield Record(
        **base, metric="shared_frame_share", higher_is_better=False, value=leak.frame_share
    )
    gap = finite_or_none(leak.gap_frames)
    said = {"value": gap} if gap is not None else {"status": "skipped", "reason": "no neighbours"}
    yield Record(**base, metric="median_gap", unit="frame", **said)


def _class_rows(case: SplitCase, base: dict[str, Any]) -> Iterator[Record]:
    for place in case.classes():
        if place.recall is not None:
            counts = {"n_train": len(place.train), "n_test": len(place.test)}
            named = {"head": LINEAR, "variant": f"{case.split}/{CLASS}{place.label}"}
            score = {"metric": "recall", "higher_is_better": True, "value": place.recall}
            yield Record(**(base | counts | named), **score)


def _purges(cases: Sequence[SplitCase]) -> Iterator[tuple[SplitCase, SplitCase]]:
    """Yield each purged chronological case with its counterpart, where both have a problem."""
    by_key = {(case.contract, case.task.name, case.split): case for case in cases}
    for (contract, task, split), case in by_key.items():
        other = by_key.get((contract, task, CHRONOLOGICAL))
        if split == PURGED and other and other.problem and case.problem:
            yield case, other


def _purge_rows(purged: SplitCase, whole: SplitCase, run: str, section: str) -> Iterator[Record]:
    """Yield what the linear head loses or gains by the purge, on the same test windows."""
    names = Labels(run, section, purged.contract)
    variant = {"variant": PURGED, "against": f"{LINEAR} on {CHRONOLOGICAL}"}
    yield from _difference(purged.by_head[LINEAR], whole.by_head[LINEAR], names, variant)


def _difference(
    first: Outcome, second: Outcome, names: Labels, fields: dict[str, str]
) -> Iterator[Record]:
    """Yield the paired difference of two answers to the same test windows, if both are there."""
    if first.answer is None or second.answer is None:
        return
    one = first.task.primary
    mine, other = (contestant(side.head, side.problem, side.answers) for side in (first, second))
    scores = [side.score(one).value for side in (mine, other)]
    if None not in scores:
        yield Record(
            **names.of(first.task, first.head, first.problem),
            **fields,
            **_measured(first.task),
            value=scores[0] - scores[1],
            **interval_fields(mine.minus(other, one)),
        )


def embargo_rows(points: Iterable[EmbargoPoint], run: str, section: str) -> list[Record]:
    """Return the rows of the embargo curve.

    Parameters
    ----------
    points : iterable of EmbargoPoint
    run, section : str

    Returns
    -------
    list of Record
        The primary measure of each point, and what the head loses to the one with as many training
        windows drawn at random.
    """
    return [
        row.model_copy(update={"variant": f"{point.split}/{EMBARGO}{point.embargo_frames}"})
        for point in points
        for row in _point_rows(point, run, section)
    ]


def _point_rows(point: EmbargoPoint, run: str, section: str) -> Iterator[Record]:
    names = Labels(run, section, "published")
    by_head = {one.head: one for one in point.outcomes}
    control = by_head.pop(THINNED, None)  # it has a training part of its own
    for outcomes in (list(by_head.values()), [control] if control else []):
        yield from _primary_rows(outcomes, names)
    if control:
        yield from _difference(by_head[LINEAR], control, names, {"against": THINNED})


def _primary_rows(outcomes: Sequence[Outcome], names: Labels) -> Iterator[Record]:
    """Yield the primary score of each answer to one problem, with interval, floor and ceiling."""
    answered = [one for one in outcomes if one.answer is not None]
    if answered:
        problem, measure = answered[0].problem, answered[0].task.primary
        floor, floor_name = strongest(measure, floors(problem))
    for one in outcomes:
        fields = names.of(one.task, one.head, one.problem) | _measured(one.task)
        if one.answer is None:
            yield Record(**fields, value=None, status=one.status, reason=one.reason)
            continue
        mine = contestant(one.head, one.problem, one.answers)
        said = mine.score(measure)
        fields |= {"value": said.value, "status": said.status, "reason": said.reason}
        if floor is not None:
            fields |= {"floor": floor.value, "floor_name": floor_name}
            fields["skill"] = skill(measure.metric, said, floor).value
        if said.value is not None:
            fields |= interval_fields(mine.interval(measure))
        yield Record(**fields, ceiling=ceiling(problem, measure))


def _measured(task: Task) -> dict[str, Any]:
    """Return the fields that say what the primary measure is."""
    one = task.primary
    return {
        "metric": one.name,
        "unit": one.metric.unit,
        "higher_is_better": one.metric.higher_is_better,
    }
