"""Every head's answer to every test sample, kept so that runs can be compared."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from xperience.evaluation.metrics import cosine_ranks
from xperience.storage import whole_file
from xperience.studies.problem import Answer, Outcome, Problem

COLUMNS = {
    "contract": pa.string(),
    "task": pa.string(),
    "head": pa.string(),
    "seed": pa.int32(),
    "window": pa.int32(),
    "start_frame": pa.int32(),
    "truth": pa.string(),
    "predicted": pa.string(),
    "confidence": pa.float32(),
    "error": pa.float32(),
    "last_error": pa.float32(),
    "squared_error": pa.float32(),
    "unit": pa.string(),
}
BETWEEN = "|"
"""What stands between the names of a set."""


def predictions_table(outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """Return one row a test sample, head and seed.

    Parameters
    ----------
    outcomes : iterable of Outcome
        Those without an answer give no rows.

    Returns
    -------
    table
        ``COLUMNS``. ``window`` is the sample's first window and ``start_frame`` its first frame.
        Classes and sets have ``truth`` and ``predicted`` (and the chosen class's probability);
        everything else has ``error`` and its unit: the mean joint error in metres, the mean
        absolute error, or the rank of the true candidate. ``last_error`` is that of the last frame
        of a forecast, ``squared_error`` the mean square over values, in the unit's square.
    """
    parts = [part for outcome in outcomes for part in _parts(outcome)]
    if not parts:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def write_predictions(path: Path | str, outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """Write the predictions as Parquet, whole or not at all, and return them.

    Parameters
    ----------
    path : path
    outcomes : iterable of Outcome
    """
    table = predictions_table(outcomes)
    with whole_file(path) as scratch:
        pq.write_table(pa.Table.from_pandas(table, pa.schema(COLUMNS), False), scratch)
    return table


def _parts(outcome: Outcome) -> Iterator[pd.DataFrame]:
    problem = outcome.problem
    for answer in outcome.answers:
        members = problem.samples.members[problem.split.test, 0]
        said = {
            "contract": problem.contract,
            "task": outcome.task.name,
            "head": outcome.head,
            "seed": answer.seed,
            "window": members,
            "start_frame": problem.truth.starts[members],
            "truth": None,
            "predicted": None,
            "confidence": None,
            "error": None,
            "last_error": None,
            "squared_error": None,
            "unit": None,
        }
        yield pd.DataFrame(said | _said(problem, answer))


def _said(problem: Problem, answer: Answer) -> dict[str, Any]:
    task, truth, predicted = problem.task, problem.test_targets, answer.predicted
    if task.kind == "classify":
        found = {"truth": truth, "predicted": predicted}
        sure = answer.confidence
        return found if sure is None else found | {"confidence": np.max(sure, axis=1)}
    if task.kind == "multilabel":
        sides = {"truth": truth, "predicted": predicted}
        return {name: [BETWEEN.join(one) for one in sets] for name, sets in sides.items()}
    if task.kind == "retrieve":
        ways = (predicted, truth) if task.query == "prediction" else (truth, predicted)
        ranks = cosine_ranks(*ways)
        return {"error": 1 + ranks.better + ranks.tied / 2, "unit": "rank"}
    squared = {"squared_error": np.square(truth - predicted).mean(axis=1)}
    if task.value_shape is not None:
        apart = joint_errors(problem, answer)
        return squared | {"error": apart.mean(axis=1), "last_error": apart[:, -1], "unit": "m"}
    unit = task.measures[1].metric.unit
    return squared | {"error": np.abs(truth - predicted).mean(axis=1), "unit": unit}


def joint_errors(problem: Problem, answer: Answer) -> np.ndarray:
    """Return the mean joint error of each test sample and frame ahead, metres, (n_test, n_frames).

    Parameters
    ----------
    problem : Problem
        Whose targets are joint positions.
    answer : Answer
    """
    shape = (-1, *problem.task.value_shape)
    apart = np.reshape(answer.predicted, shape) - np.reshape(problem.test_targets, shape)
    return np.linalg.norm(apart, axis=-1).mean(axis=-1)
