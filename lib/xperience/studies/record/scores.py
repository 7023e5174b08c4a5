"""The published predictions as answers to our problems: scores, floors, intervals, differences.

Where the record has the labels of all windows, a task is posed as in the suite and its rows are the
suite's. Where it has the truth of the test windows only, the task is posed on those, and only the
floors that need no training part are there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from xperience.evaluation import metrics as scoring
from xperience.models import baselines
from xperience.studies.heads import FIRST_SEED
from xperience.studies.problem import Answer, Outcome, Problem
from xperience.studies.record.record import PublishedRecord, PublishedRecordError
from xperience.studies.rows import FLOOR
from xperience.studies.scores import FLOOR_DRAWS, FLOOR_SEED, Contestant, contestant
from xperience.tasks.catalogue import ALL_FEATURE_ACTION, TASKS_BY_NAME
from xperience.tasks.samples import Samples, draw, touched
from xperience.tasks.splits import Split, split_samples
from xperience.tasks.task import Task
from xperience.tasks.truth import Truth

LABELLED = (
    "timeline_action",
    "timeline_subtask",
    "transition_detection",
    "next_action",
    "temporal_order",
    "misalignment_detection",
    "all_feature_action",
)
"""Tasks whose truth the record gives for all windows."""

HANDS = "hand_trajectory_forecast"
TEST_ONLY = ("contact_prediction", "object_relevance", HANDS, "caption_grounding",
             "cross_modal_retrieval", "modality_reconstruction")  # fmt: skip
"""Tasks whose truth it gives for test windows at most."""

HEADS = {"linear": None, "neural": FIRST_SEED}
"""Published heads, and the seed of those that start at random."""

PRESENT_KNOWN = "present_known"
"""Variant: test windows at whose end the hands are known, from targets of the one before."""


# --- tasks whose truth is known throughout ----------------------------------------------------


def pose_labelled(task: Task, truth: Truth) -> Problem:
    """Return a task as a problem of the real recording, without features.

    Parameters
    ----------
    task : Task
    truth : Truth
    """
    samples = draw(task, truth, _no_block)
    split = split_samples(task.split, samples)
    labels = task.classes or tuple(dict.fromkeys(samples.values))
    return Problem(task, truth, samples, split, labels)


def _no_block(name: str) -> np.ndarray:
    raise PublishedRecordError(
        f"feature block {name}", "is not published", "labels only", "Pose such a task on its test."
    )


def labelled_outcomes(record: PublishedRecord, truth: Truth) -> Iterator[Outcome]:
    """Yield the published answers to the tasks whose truth is known throughout.

    Parameters
    ----------
    record : PublishedRecord
    truth : Truth

    Raises
    ------
    PublishedRecordError
        If a file's samples or true labels are not those of our split.
    """
    for name in LABELLED:
        problem = pose_labelled(TASKS_BY_NAME[name], truth)
        for head, seed in HEADS.items():
            local = problem.task is ALL_FEATURE_ACTION
            if local and head != "linear":
                continue
            file = "local" if local else head
            if not record.has(file, name):
                reason = "its predictions are not in the published record"
                yield Outcome(problem.task, head, problem, status="skipped", reason=reason)
                continue
            predicted = _checked(record.table(file, name), problem, file)
            yield Outcome(problem.task, head, problem, (Answer(predicted, seed=seed),))


def _checked(table: pd.DataFrame, problem: Problem, file: str) -> list[str]:
    """Return the predicted labels of a file whose samples and truth are the problem's."""
    tested, names = problem.split.test, problem.task.classes
    if names:
        place, truth, said = (
            table[key].to_numpy() for key in ("sample_index", "true", "predicted")
        )
        expected = tested
        truth, said = [names[one] for one in truth], [names[one] for one in said]
    else:
        # Not by window_index: the local split's file numbers labelled windows only.
        columns = ("start_frame", "true_label", "predicted_label")
        place, truth, said = (table[key].to_numpy() for key in columns)
        expected = problem.truth.starts[problem.samples.members[tested, 0]]
        truth, said = truth.tolist(), said.tolist()
    if not np.array_equal(place, expected) or truth != list(problem.test_targets):
        raise PublishedRecordError(
            f"published record: {file} predictions of {problem.task.name}",
            "are not those of the contract's test samples",
            "the same samples and true labels, in the same order",
            "Fetch the files again.",
        )
    return said


# --- tasks whose truth is known in the test part only -----------------------------------------


@dataclass(frozen=True)
class Contest:
    """Published heads and trivial baselines on the same test samples.

    Parameters
    ----------
    problem : Problem
        Its training part is empty.
    n_train : int
        Samples that the published heads were trained on.
    heads, floors : dict of {name: Contestant}
    variant : str, optional
        Which of the test samples, if not all.
    floor_variant : str
        Variant of the baselines' own rows.
    """

    problem: Problem
    n_train: int
    heads: Mapping[str, Contestant]
    floors: Mapping[str, Contestant] = field(default_factory=dict)
    variant: str | None = None
    floor_variant: str = FLOOR


def tested_only(
    task: Task, truth: Truth, windows: np.ndarray, values: Any, options: tuple[Any, ...]
) -> Problem:
    """Return a task as a problem of test windows alone.

    Parameters
    ----------
    task : Task
    truth : Truth
    windows : int array, shape (n_test,)
    values : list or float array (n_test, n_values)
        True targets.
    options : tuple
        Classes or vocabulary.
    """
    members = np.asarray(windows, dtype=np.int64)[:, None]
    frames, centers = touched(task, truth, members), truth.centers[members[:, 0]]
    split = Split(np.zeros(0, dtype=np.int64), np.arange(len(members)))
    return Problem(task, truth, Samples(members, values, frames, centers), split, options)


def contests(record: PublishedRecord, truth: Truth) -> Iterator[Contest | Outcome]:
    """Yield the tasks whose truth is known in the test part: a contest, or why there is none.

    Parameters
    ----------
    record : PublishedRecord
    truth : Truth
    """
    for name in TEST_ONLY:
        task = TASKS_BY_NAME[name]
        for_task = _from_vectors if task.kind in ("regress", "retrieve") else _from_labels
        found = for_task(record, task, truth)
        yield from found
        answered = {head for one in found if isinstance(one, Contest) for head in one.heads}
        reason = "its predictions are not in the published record"
        for head in HEADS:
            if head not in answered:
                yield Outcome(task, head, status="skipped", reason=reason)


def _from_labels(record: PublishedRecord, task: Task, truth: Truth) -> list[Contest]:
    tables = {head: record.table(head, task.name) for head in HEADS if record.has(head, task.name)}
    if not tables:
        return []
    table = next(iter(tables.values()))
    sets = task.kind == "multilabel"
    true, said = (
        ("true_objects", "predicted_objects") if sets else ("true_label", "predicted_label")
    )
    values = [_read(cell, sets) for cell in table[true]]
    windows = table["window_index"].to_numpy()
    problem = tested_only(task, truth, windows, values, tuple(dict.fromkeys(values)))
    if sets:
        n_objects = int(record.report["tasks"][task.name]["num_objects"])
        problem = replace(problem, labels=_vocabulary(tables.values(), n_objects))
    heads = {
        head: head_contestant(head, problem, [_read(cell, sets) for cell in found[said]])
        for head, found in tables.items()
    }
    floors = {}
    if not sets and len(set(values)) == 1:
        floors["majority"] = head_contestant("majority", problem, values)
    return [Contest(problem, int(windows[0]), heads, floors)]


def _read(cell: str, sets: bool) -> Any:
    return tuple(filter(None, cell.split("|"))) if sets else cell


def _vocabulary(tables: Any, n_objects: int) -> tuple[str, ...]:
    """Return every object that occurs, and a stand-in for each of the others that were trained."""
    cells = [cell for table in tables for side in ("true", "predicted")
             for cell in table[f"{side}_objects"]]  # fmt: skip
    named = sorted({name for cell in cells for name in _read(cell, True)})
    return (*named, *(f"(object {place})" for place in range(len(named), n_objects)))


def _from_vectors(record: PublishedRecord, task: Task, truth: Truth) -> list[Contest]:
    found = {head: record.vectors(f"{head}_vectors", task.name) for head in HEADS
             if record.has(f"{head}_vectors", task.name)}  # fmt: skip
    if not found:
        return _chance_alone(record, task, truth) if task.kind == "retrieve" else []
    stored = next(iter(found.values()))
    windows, values = stored["test_window_indices"], stored["y_true"]
    problem = tested_only(task, truth, windows, values, ())
    heads = {head: head_contestant(head, problem, one["y_pred"]) for head, one in found.items()}
    if task.kind == "retrieve":
        floors = {"chance": chance(problem, stored["y_pred"])}
        return [Contest(problem, int(windows[0]), heads, floors)]
    whole = Contest(problem, int(windows[0]), heads)
    if task.name != HANDS:
        return [whole]
    return [whole, _with_present(whole, {head: one["y_pred"] for head, one in found.items()})]


def chance(problem: Problem, predicted: np.ndarray) -> Contestant:
    """Return random rankings of what is ranked; equal candidates tie.

    Parameters
    ----------
    problem : Problem
        Of a retrieval task.
    predicted : float array, shape (n_test, n_values)
    """
    truth = np.asarray(problem.test_targets)
    candidates = predicted if problem.task.query == "target" else truth
    rng = np.random.default_rng(FLOOR_SEED)
    draws = tuple(
        [scoring.ranks(baselines.chance_similarity(candidates, rng))] for _ in range(FLOOR_DRAWS)
    )
    return Contestant("chance", problem, draws)


def _chance_alone(record: PublishedRecord, task: Task, truth: Truth) -> list[Contest]:
    """Return what guessing scores where nothing was published to score, no two candidates alike."""
    n_queries = int(record.report["tasks"][task.name]["num_queries"])
    windows = np.arange(len(truth.starts) - n_queries, len(truth.starts))
    apart = np.eye(n_queries, dtype=np.float32)
    problem = tested_only(task, truth, windows, apart, ())
    return [Contest(problem, int(windows[0]), {}, {"chance": chance(problem, apart)})]


def _with_present(whole: Contest, predicted: Mapping[str, np.ndarray]) -> Contest:
    """Return the contest on windows whose present pose an earlier window's target holds."""
    problem = whole.problem
    shape = problem.task.value_shape
    future = np.asarray(problem.samples.values, dtype=np.float64).reshape(-1, *shape)
    last = problem.truth.ends[problem.samples.members[:, 0]]
    frames = last[:, None] + np.arange(1, shape[0] + 1)  # (n_test, n_ahead)
    known = dict(zip(frames.ravel().tolist(), future.reshape(-1, *shape[1:]), strict=True))
    keep = np.array([frame in known and frame - 1 in known for frame in last])
    present = np.stack([known[frame] for frame in last[keep]])
    before = np.stack([known[frame - 1] for frame in last[keep]])
    naive = {
        "zero_velocity": baselines.zero_velocity(present, shape[0]),
        "constant_velocity": baselines.constant_velocity(present, before, shape[0]),
    }
    part = tested_only(problem.task, problem.truth, problem.samples.members[keep, 0],
                       problem.samples.values[keep], ())  # fmt: skip
    heads = {head: head_contestant(head, part, said[keep]) for head, said in predicted.items()}
    floors = {name: head_contestant(name, part, said.reshape(keep.sum(), -1))
              for name, said in naive.items()}  # fmt: skip
    return Contest(part, whole.n_train, heads, floors, PRESENT_KNOWN)


def head_contestant(name: str, problem: Problem, predicted: Any) -> Contestant:
    """Return a published head's or a baseline's answer, ready to be scored."""
    return contestant(name, problem, [Answer(predicted, seed=HEADS.get(name))])
