"""Predictions of others: each fault has a name, and a whole table is scored as our heads are."""

import numpy as np
import pandas as pd
import pytest

from xperience.errors import XperienceError
from xperience.evaluation.evaluate import evaluate
from xperience.evaluation.predictions import predict_heads, predictions_table
from xperience.evaluation.submission import read_submission, submission_rows, submitted
from xperience.tasks.catalogue import TASKS_BY_NAME
from xperience.tasks.problem import problems_of

NAMES = ("timeline_action", "temporal_order", "object_relevance", "hand_trajectory_forecast")


@pytest.fixture(scope="module")
def answered(episode, table) -> list:
    tasks = [TASKS_BY_NAME[name] for name in NAMES]
    problems = problems_of(episode, table, "corrected", tasks)
    return list(zip(problems, predict_heads(problems, ["linear"]), strict=True))


@pytest.fixture(scope="module")
def whole(answered) -> pd.DataFrame:
    return predictions_table(answered, vectors=True)


def test_our_own_predictions_have_the_scores_that_they_have(answered, whole, tmp_path):
    shuffled = whole.sample(frac=1, random_state=1)
    shuffled.to_parquet(tmp_path / "p.parquet")
    read = read_submission(tmp_path / "p.parquet")
    base = {"run": "r", "section": "s"}
    for problem, predictions in answered:
        own = read[read["task"] == problem.task.name]
        rows = submission_rows(problem, own, {}, base, "p")
        found = {(row.metric, row.against): row for row in rows if row.head == "linear"}
        for row in evaluate(problem, predictions, "r", "s"):
            if row.head == "linear" and (row.metric, row.against) in found and not row.variant:
                mine = found.pop((row.metric, row.against))
                assert mine.value == pytest.approx(row.value, rel=1e-5)
                assert (mine.ci_low is None) == (row.ci_low is None)
        assert not found


def test_differences_are_from_the_floor_and_from_our_heads(answered, whole):
    problem, ours = answered[0]
    rows = whole[whole["task"] == problem.task.name].assign(head="other")
    rows.loc[rows.index[0], "predicted"] = "Never heard of"
    found = list(submission_rows(problem, rows, ours, {"run": "r", "section": "s"}, "p"))
    assert {row.head for row in found if row.variant != "floor"} == {"other"}
    found = [row for row in found if row.head == "other"]
    accuracy = {row.metric: row.value for row in found if row.against is None}["accuracy"]
    right = (rows["truth"] == rows["predicted"]).mean()
    assert accuracy == pytest.approx(right), "a label that is no option is wrong"
    primary = next(row for row in found if row.against is None)
    assert {row.against for row in found} == {None, primary.floor_name, "linear"}


def test_vectors_that_are_not_there_are_not_scored_by_what_a_file_says_of_itself(answered, whole):
    problem, _ = answered[-1]
    rows = whole[whole["task"] == problem.task.name].drop(columns="vector")
    (row,) = submission_rows(problem, rows, {}, {"run": "r", "section": "s"}, "p")
    assert (row.status, row.value) == ("skipped", None)
    assert "can't be checked" in row.reason


def changed(column, value):
    return lambda rows: rows.assign(**{column: [value, *rows[column].iloc[1:]]})


@pytest.mark.parametrize(
    ("name", "spoil", "fault"),
    [
        ("timeline_action", lambda rows: rows.iloc[1:], "lacks 1 of 51 samples, such as window"),
        ("timeline_action", lambda r: pd.concat([r, r.iloc[:1]]), r"holds window \d+ twice"),
        ("timeline_action", changed("window", 9999), "lacks 1 of 51"),
        ("timeline_action", changed("truth", "Rest"), "another truth in 1 samples.*'Rest', expect"),
        ("timeline_action", changed("start_frame", 3), "another start frame in 1 samples"),
        ("timeline_action", changed("predicted", None), "1 rows without 'predicted'"),
        ("timeline_action", lambda r: pd.concat([r, r.assign(window=r["window"] + 999)]),
         "holds 51 samples that are not tested"),
        ("temporal_order", changed("truth", "reversed"), "twice|lacks 1 of"),
        ("object_relevance", changed("truth", "a|b"), "another truth in 1"),
        ("hand_trajectory_forecast", changed("vector", np.ones(3)), r"vectors of \[3, 1260\]"),
        ("hand_trajectory_forecast", changed("vector", np.full(1260, np.nan)), "1260 numbers that"),
    ],
)  # fmt: skip
def test_a_table_that_is_not_of_the_samples_says_how(answered, whole, name, spoil, fault):
    problem = next(one for one, _ in answered if one.task.name == name)
    rows = whole[whole["task"] == name]
    with pytest.raises(XperienceError, match=fault):
        submitted(problem, spoil(rows), "p.parquet")


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda r: r.rename(columns={"predicted": "prediction"}), "Did you mean 'prediction'"),
        (lambda r: r.assign(task="timeline_acton"), "Did you mean 'timeline_action'"),
        (lambda r: r.assign(contract="correct"), "Did you mean 'corrected'"),
        (lambda r: r.assign(window="first"), "expected whole numbers"),
        (lambda r: r.iloc[:0], "holds no rows"),
    ],
)
def test_a_file_that_is_no_submission_says_why(whole, tmp_path, spoil, fault):
    path = tmp_path / "p.parquet"
    spoil(whole.drop(columns="vector")).to_parquet(path)
    with pytest.raises(XperienceError, match=fault):
        read_submission(path)
    path.write_text("no table")
    with pytest.raises(XperienceError, match="cannot be read"):
        read_submission(path)
