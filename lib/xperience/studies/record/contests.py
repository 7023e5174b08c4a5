"""The rows of published predictions: scores, intervals, differences, frames that splits share."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from xperience.evaluation import metrics as scoring
from xperience.evaluation.records import Record
from xperience.evaluation.uncertainty import Interval
from xperience.features.windows import WINDOW_FRAMES
from xperience.models import baselines
from xperience.studies.problem import Outcome, Problem
from xperience.studies.record.record import PublishedRecord
from xperience.studies.record.scores import Contest, contests, head_contestant, labelled_outcomes
from xperience.studies.rows import Labels, interval_fields, suite_rows
from xperience.studies.scores import Contestant, contestant, strongest
from xperience.tasks.catalogue import ALL_FEATURE_ACTION
from xperience.tasks.measures import Measure
from xperience.tasks.splits import touching
from xperience.tasks.truth import Truth


def score_rows(record: PublishedRecord, truth: Truth, labels: Labels) -> list[Record]:
    """Return the rows of every published prediction.

    Parameters
    ----------
    record : PublishedRecord
    truth : Truth
    labels : Labels
        Run, section, contract `published`.
    """
    outcomes = list(labelled_outcomes(record, truth))
    rows = suite_rows(outcomes, labels.run, labels.contract, labels.section)
    rows += local_rows(outcomes, labels)
    for one in contests(record, truth):
        if isinstance(one, Outcome):
            rows += suite_rows([one], labels.run, labels.contract, labels.section)
        else:
            rows += contest_rows(one, labels)
    return rows


def contest_rows(contest: Contest, labels: Labels) -> Iterator[Record]:
    """Yield a contest's rows: floors, then each head's scores and its primary differences.

    Parameters
    ----------
    contest : Contest
    labels : Labels
    """
    task = contest.problem.task
    for name, floor in contest.floors.items():
        base = _base(contest, labels, name) | {"variant": contest.floor_variant}
        for one in task.measures:
            yield _scored(floor, one, base)
    for name, head in contest.heads.items():
        base = _base(contest, labels, name)
        for one in task.measures:
            yield _scored(head, one, base, contest.floors)
        rivals = dict(contest.floors)
        if name != "linear" and "linear" in contest.heads:
            rivals["linear"] = contest.heads["linear"]
        for against, rival in rivals.items():
            yield difference_row(head, rival, task.primary, base | {"against": against})


def _base(contest: Contest, labels: Labels, name: str) -> dict[str, Any]:
    base = labels.of(contest.problem.task, name, contest.problem)
    return base | {"n_train": contest.n_train, "variant": contest.variant}


def _named(one: Measure) -> dict[str, Any]:
    metric = one.metric
    return {"metric": one.name, "unit": metric.unit, "higher_is_better": metric.higher_is_better}


def _scored(
    mine: Contestant,
    one: Measure,
    base: dict[str, Any],
    floors: Mapping[str, Contestant] | None = None,
) -> Record:
    said = mine.score(one)
    found = base | _named(one) | {"value": said.value, "status": said.status, "reason": said.reason}
    floor, name = strongest(one, dict(floors or {}))
    if floor is not None:
        found |= {"floor": floor.value, "floor_name": name}
        found["skill"] = scoring.skill(one.metric, said, floor).value
    if said.value is not None:
        found |= interval_fields(mine.interval(one))
    return Record(**found, seed=mine.seeds[0] if len(mine.seeds) == 1 else None)


def difference_row(mine: Contestant, rival: Contestant, one: Measure, base: dict) -> Record:
    """Return the row of a paired difference, mine minus the rival's, in the measure's own unit.

    Parameters
    ----------
    mine, rival : Contestant
        On the same samples.
    one : Measure
    base : dict
        Other fields of the row.
    """
    if refusal := mine.refusal(one):
        return Record(**base, **_named(one), value=None, status="degenerate", reason=refusal)
    found: Interval = mine.minus(rival, one)
    value = mine.score(one).value - rival.score(one).value
    return Record(**base, **_named(one), value=value, **interval_fields(found))


def local_rows(outcomes: list[Outcome], labels: Labels) -> Iterator[Record]:
    """Yield what the local split shares between its parts, and what copying the nearest scores.

    Parameters
    ----------
    outcomes : list of Outcome
        Those of other tasks are left alone.
    labels : Labels
    """
    for outcome in outcomes:
        if outcome.task is not ALL_FEATURE_ACTION or not outcome.answers:
            continue
        problem = outcome.problem
        base = labels.of(outcome.task, None, problem)
        for name, share in shared_frames(problem).items():
            yield Record(**base, metric=name, unit="1", value=share)
        heads = {outcome.head: contestant(outcome.head, problem, outcome.answers)}
        nearest = {"nearest_in_time": head_contestant("nearest_in_time", problem, copied(problem))}
        contest = Contest(problem, len(problem.split.train), heads, nearest, "against_neighbours")
        yield from contest_rows(contest, labels)


def shared_frames(problem: Problem) -> dict[str, float]:
    """Return how much of the test part's frames the training part has seen.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    dict
        The share of test windows that share a frame with a training window, and the mean share of
        a test window's frames that do.
    """
    frames, split = problem.samples.frames, problem.split
    hit = touching(frames[split.test], frames[split.train])
    starts = problem.truth.starts[problem.samples.members[:, 0]]
    seen = np.zeros(problem.truth.n_frames, dtype=bool)
    seen[starts[split.train][:, None] + np.arange(WINDOW_FRAMES)] = True
    inside = seen[starts[split.test][:, None] + np.arange(WINDOW_FRAMES)]  # (n_test, 20)
    return {
        "test_windows_sharing_frames": float(hit.mean()),
        "test_frames_trained_on": float(inside.mean()),
    }


def copied(problem: Problem) -> list[str]:
    """Return for each test sample the label of the training sample nearest in time."""
    centers, split = problem.samples.centers, problem.split
    nearest = baselines.nearest_in_time(centers[split.train], centers[split.test])
    known = problem.train_targets
    return [known[place] for place in nearest]
