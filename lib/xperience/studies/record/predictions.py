"""The published predictions of our problems: scores, floors, intervals, differences.

Where the record has the labels of all windows, a task is asked as in the suite and its rows are the
suite's. Where it has the truth of the test windows only, the task is asked of those, and only the
floors that need no training part are there.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from xperience.evaluation import metrics as scoring
from xperience.evaluation.evaluate import (
    FLOOR,
    FLOOR_DRAWS,
    FLOOR_SEED,
    Comparison,
    Scores,
    base_of,
    evaluate,
    measured,
    score_row,
)
from xperience.evaluation.predictions import (
    FIRST_SEED,
    Prediction,
    Predictions,
    copy_nearest,
    predict,
)
from xperience.evaluation.records import PRESENT_KNOWN, Record
from xperience.features.windows import WINDOW_FRAMES
from xperience.models import baselines
from xperience.studies.record.record import PublishedRecord, PublishedRecordError
from xperience.tasks.catalogue import ALL_FEATURE_ACTION, TASKS_BY_NAME
from xperience.tasks.problem import Blocks, Problem
from xperience.tasks.splits import Samples, Split, draw, split_samples, touched, touching
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
"""Published heads, and the one seed of those that start at random."""
ONCE_ROUNDED = "may be unstable: simulated recordings' pairs are, by the same descent"
"""Of the published linear head on pairs of windows: without its inputs nobody can run it again."""


# --- tasks whose truth is known throughout ----------------------------------------------------


@dataclass(frozen=True)
class Unpublished:
    """A table of windows without features: the record has none of most blocks."""

    n_windows: int

    def block(self, name: str) -> np.ndarray:
        """Return no columns, whatever the block."""
        del name
        return np.zeros((self.n_windows, 0), dtype=np.float32)


def labelled_problem(task: Task, truth: Truth) -> Problem:
    """Return a task as a problem of the real recording, without features."""
    blocks = Blocks(Unpublished(len(truth.starts)), {})
    samples = draw(task, truth, blocks.raw)
    split = split_samples(task.split, samples)
    labels = task.classes or tuple(dict.fromkeys(samples.values))
    return Problem(task, "published", truth, blocks, samples, split, labels)


def labelled_predictions(
    record: PublishedRecord, truth: Truth
) -> Iterator[tuple[Problem, dict[str, Predictions]]]:
    """Yield the tasks whose truth is known throughout, with the published predictions.

    A head whose predictions were not published has none.

    Raises
    ------
    PublishedRecordError
        If a file's samples or true labels are not those of our split.
    """
    for name in LABELLED:
        problem = labelled_problem(TASKS_BY_NAME[name], truth)
        files = {head: head for head in HEADS}
        if problem.task is ALL_FEATURE_ACTION:
            files = {"linear": "local"}
        found: dict[str, Predictions] = dict.fromkeys(files, ())
        for head, file in files.items():
            if record.has(file, name):
                predicted = _checked(record.table(file, name), problem, file)
                unsure = ONCE_ROUNDED if head == "linear" and problem.task.classes else None
                found[head] = [recorded(head, predicted, unsure)]
        yield problem, found


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


def of_test_part(
    task: Task, truth: Truth, windows: np.ndarray, values: Any, options: tuple[Any, ...] = ()
) -> Problem:
    """Return a task as a problem of test windows alone, with their true targets as values."""
    members = np.asarray(windows, dtype=np.int64)[:, None]
    frames, centers = touched(task, truth, members), truth.centers[members[:, 0]]
    split = Split(np.zeros(0, dtype=np.int64), np.arange(len(members)))
    samples, blocks = Samples(members, values, frames, centers), Blocks(Unpublished(0), {})
    return Problem(task, "published", truth, blocks, samples, split, options)


def tested_comparisons(
    record: PublishedRecord, task: Task, truth: Truth, base: Mapping[str, Any]
) -> list[Comparison]:
    """Return published heads and trivial baselines on the test part of a task, if there are any."""
    if task.kind in ("regress", "retrieve"):
        return _from_vectors(record, task, truth, base)
    tables = {head: record.table(head, task.name) for head in HEADS if record.has(head, task.name)}
    if not tables:
        return []
    sets = task.kind == "multilabel"
    column = "objects" if sets else "label"
    table = next(iter(tables.values()))
    values = [_read(cell, sets) for cell in table[f"true_{column}"]]
    options = tuple(dict.fromkeys(values))
    if sets:
        n_objects = int(record.report["tasks"][task.name]["num_objects"])
        options = _vocabulary(tables.values(), n_objects)
    problem = of_test_part(task, truth, table["window_index"].to_numpy(), values, options)
    heads = {
        head: [_read(cell, sets) for cell in found[f"predicted_{column}"]]
        for head, found in tables.items()
    }
    constant = {"majority": values} if not sets and len(set(values)) == 1 else {}
    return [_compared(problem, heads, constant, base)]


def _read(cell: str, sets: bool) -> Any:
    return tuple(filter(None, cell.split("|"))) if sets else cell


def _vocabulary(tables: Iterable[pd.DataFrame], n_objects: int) -> tuple[str, ...]:
    """Return every object that occurs, and a stand-in for each of the others that were trained."""
    cells = [cell for table in tables for side in ("true", "predicted")
             for cell in table[f"{side}_objects"]]  # fmt: skip
    named = sorted({name for cell in cells for name in _read(cell, True)})
    return (*named, *(f"(object {place})" for place in range(len(named), n_objects)))


def _from_vectors(
    record: PublishedRecord, task: Task, truth: Truth, base: Mapping
) -> list[Comparison]:
    found = {head: record.vectors(f"{head}_vectors", task.name) for head in HEADS
             if record.has(f"{head}_vectors", task.name)}  # fmt: skip
    if not found and task.kind == "regress":
        return []
    if found:
        first = next(iter(found.values()))
        windows, values = first["test_window_indices"], first["y_true"]
    else:  # guessing can be scored all the same: no two candidates are alike
        n_queries = int(record.report["tasks"][task.name]["num_queries"])
        windows = np.arange(len(truth.starts) - n_queries, len(truth.starts))
        values = np.eye(n_queries, dtype=np.float32)
    problem = of_test_part(task, truth, windows, values)
    heads = {head: one["y_pred"] for head, one in found.items()}
    whole = _compared(problem, heads, {}, base)
    if task.kind == "retrieve":
        ranked = next(iter(heads.values()), values)
        return [replace(whole, floors={"chance": chance(problem, ranked)})]
    return [whole, _with_present(whole, heads)] if task.name == HANDS else [whole]


def _compared(
    problem: Problem, heads: Mapping[str, Any], constant: Mapping[str, Any], base: Mapping
) -> Comparison:
    """Return a comparison of heads and of baselines that draw nothing.

    The published heads were trained on all windows before the first one.
    """
    heads, floors = (
        {name: Scores.of(problem, [recorded(name, said)]) for name, said in predicted.items()}
        for predicted in (heads, constant)
    )
    n_train = base.get("n_train", int(problem.samples.members[0, 0]))
    return Comparison(problem, heads, floors, base_of(problem, base) | {"n_train": n_train})


def chance(problem: Problem, predicted: np.ndarray) -> Scores:
    """Return random rankings of what a retrieval ranks; equal candidates tie."""
    truth = np.asarray(problem.test_targets)
    candidates = predicted if problem.task.query == "target" else truth
    rng = np.random.default_rng(FLOOR_SEED)
    draws = tuple(
        [scoring.ranks(baselines.chance_similarity(candidates, rng))] for _ in range(FLOOR_DRAWS)
    )
    return Scores(problem, draws)


def _with_present(whole: Comparison, predicted: Mapping[str, np.ndarray]) -> Comparison:
    """Return the comparison on windows whose present pose an earlier window's target holds."""
    problem = whole.problem
    shape = problem.task.value_shape
    future = np.asarray(problem.samples.values, dtype=np.float64).reshape(-1, *shape)
    last = problem.truth.ends[problem.samples.members[:, 0]]
    frames = last[:, None] + np.arange(1, shape[0] + 1)  # (n_test, n_ahead)
    known = dict(zip(frames.ravel().tolist(), future.reshape(-1, *shape[1:]), strict=True))
    keep = np.array([frame in known and frame - 1 in known for frame in last])
    present, before = (np.stack([known[frame - ago] for frame in last[keep]]) for ago in (0, 1))
    naive = {
        "zero_velocity": baselines.zero_velocity(present, shape[0]),
        "constant_velocity": baselines.constant_velocity(present, before, shape[0]),
    }
    part = of_test_part(
        problem.task, problem.truth, problem.samples.members[keep, 0], problem.samples.values[keep]
    )
    constant = {name: said.reshape(keep.sum(), -1) for name, said in naive.items()}
    base = {name: whole.base[name] for name in ("run", "section", "n_train")}
    heads = {head: said[keep] for head, said in predicted.items()}
    return _compared(part, heads, constant, base | {"variant": PRESENT_KNOWN})


def recorded(name: str, predicted: Any, no_verdict: str | None = None) -> Prediction:
    """Return the published predictions of a head or baseline."""
    return Prediction(predicted, seed=HEADS.get(name), no_verdict=no_verdict, recorded=True)


# --- rows -------------------------------------------------------------------------------------


def score_rows(record: PublishedRecord, truth: Truth, run: str, section: str) -> list[Record]:
    """Return the rows of every published prediction."""
    rows, base = [], {"run": run, "section": section}
    for problem, predictions in labelled_predictions(record, truth):
        answered = {head: one for head, one in predictions.items() if one}
        rows += evaluate(problem, answered, run, section) if answered else []
        rows += _unpublished(problem.task, predictions.keys() - answered.keys(), base)
        if problem.task is ALL_FEATURE_ACTION and answered:
            rows += local_rows(problem, answered["linear"], base)
    for name in TEST_ONLY:
        task = TASKS_BY_NAME[name]
        found = tested_comparisons(record, task, truth, base)
        rows += [row for one in found for row in comparison_rows(one)]
        rows += _unpublished(
            task, HEADS.keys() - {head for one in found for head in one.heads}, base
        )
    return rows


def _unpublished(task: Task, heads: Iterable[str], base: Mapping) -> Iterator[Record]:
    """Yield the rows of heads without published predictions."""
    said = {"contract": "published", "task": task.name, "status": "skipped"}
    said |= {"reason": "its predictions are not in the published record"}
    for head in sorted(heads):
        for one in task.measures:
            yield Record(**base, **said, head=head, **measured(one), value=None)


def comparison_rows(compared: Comparison, floor_variant: str = FLOOR) -> Iterator[Record]:
    """Yield floors, then each head's scores and its primary differences."""
    task = compared.problem.task
    for name, floor in compared.floors.items():
        base = compared.base | {"head": name, "variant": floor_variant}
        for one in task.measures:
            yield score_row(floor, one, base, bounded=False)
    for head in compared.heads:
        for one in task.measures:
            yield compared.row(head, one, bounded=False)
        rivals = list(compared.floors)
        if head != "linear" and "linear" in compared.heads:
            rivals.append("linear")
        for rival in rivals:
            yield compared.difference(head, rival, task.primary)


def local_rows(problem: Problem, predictions: Predictions, base: Mapping) -> Iterator[Record]:
    """Yield what the local split shares between its parts, and what copying the nearest scores."""
    for name, share in shared_frames(problem).items():
        yield Record(**base_of(problem, base), metric=name, unit="1", value=share)
    own = {**base, "n_train": problem.n_train, "variant": "against_neighbours"}
    (one,) = predictions
    nearest = Scores.of(problem, predict(problem, copy_nearest))
    compared = _compared(problem, {"linear": one.predicted}, {}, own)
    yield from comparison_rows(replace(compared, floors={"nearest_in_time": nearest}))


def shared_frames(problem: Problem) -> dict[str, float]:
    """Return how much of the test part's frames the training part has seen.

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
