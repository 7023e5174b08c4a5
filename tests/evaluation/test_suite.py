"""The suite against what the published pipeline computed on the small episode."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from xperience.errors import ParamsError
from xperience.evaluation.evaluate import evaluate
from xperience.evaluation.predictions import one_by_one, predict, predict_all, predict_heads
from xperience.evaluation.reconstruction import RAW, WHOLE, TargetColumns, group_rows, weight_rows
from xperience.features.blocks import BLOCKS
from xperience.features.extract import extract
from xperience.features.table import TableError, TableInfo, WindowRows, WindowTable, write_table
from xperience.recording.files import recording_digests
from xperience.tasks.catalogue import TASKS, TASKS_BY_NAME
from xperience.tasks.problem import Problem, problems_of

NAMES = list(TASKS_BY_NAME)
EXACT, SOLVED = 1e-6, 1e-5
"""Relative tolerance of scores: the same predictions, or float32 solves of a stiff system."""

VECTORS = ("hand_trajectory_forecast", "modality_reconstruction")
COUNTED = {"unseen_test_classes"}
HELD_ELSEWHERE = {"num_eval_windows", "num_queries", "num_windows", "num_samples",
                  "num_train_windows", "num_train_samples", "num_test_windows",
                  "num_test_samples", "forecast_frames"}  # fmt: skip


@pytest.fixture(scope="session")
def small(published) -> Path:
    return published.parent / "oracle" / "small"


def write_windows(path: Path, small: Path, lose: tuple[str, ...] = (), gap: str = "") -> Path:
    """Write the oracle's windows as a table, some blocks lost, or null in one window."""
    stored = np.load(small / "expected/windows.npz")
    blocks, first = {}, 0
    for block in BLOCKS:
        values = stored["X"][:, first : first + block.dim].copy()
        if block.name == gap:
            values[3] = np.nan
        blocks[block.name] = None if block.name in lose else values
        first += block.dim
    lost = dict.fromkeys(lose, "the stream is gone")
    info = TableInfo(
        "published", "episode", "", 400, 20.0, recording_digests(small / "episode"), lost, {}
    )
    n = len(stored["starts"])
    none = [(None, 0.0)] * n
    write_table(path, info, [WindowRows(np.arange(n), stored["starts"], none, none, blocks)])
    return path


@pytest.fixture(scope="session")
def table(small, tmp_path_factory) -> WindowTable:
    path = tmp_path_factory.mktemp("suite") / "windows.parquet"
    return WindowTable(write_windows(path, small))


@pytest.fixture(scope="session")
def problems(small, table) -> dict[str, Problem]:
    return {one.task.name: one for one in problems_of(small / "episode", table)}


@pytest.fixture(scope="session")
def predictions(problems) -> dict:
    """The linear head's prediction of each task."""
    found = predict_all(list(problems.values()))
    return {name: one for name, (one,) in zip(problems, found, strict=True)}


@pytest.fixture(scope="session")
def rows(problems, predictions) -> list:
    return [
        row
        for name, problem in problems.items()
        for row in evaluate(problem, {"linear": [predictions[name]]}, "small", "suite")
    ]


@pytest.fixture(scope="session")
def oracle(small) -> dict:
    expected = json.loads((small / "expected/task_metrics.json").read_text())["linear"]
    reference = (small / "expected/all_feature_action_metrics.json").read_text()
    return expected | {"all_feature_action": json.loads(reference)}


def scored(rows: list, name: str) -> dict:
    """Return the linear head's own scores on a task, by metric."""
    return {r.metric: r for r in rows if (r.task, r.head, r.against) == (name, "linear", None)}


@pytest.mark.parametrize("name", NAMES)
def test_every_score_is_the_oracles(name, rows, oracle):
    found = scored(rows, name)
    for metric, value in oracle[name].items():
        if isinstance(value, str) or metric in HELD_ELSEWHERE:
            continue
        expected = len(value) if metric in COUNTED else value
        tolerance = SOLVED if name in VECTORS or metric.endswith("loss") else EXACT
        assert found[metric].value == pytest.approx(expected, rel=tolerance, abs=1e-12), metric
        assert found[metric].status == "ok"


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_the_oracles(name, rows, oracle):
    counts = {(row.n_train, row.n_test) for row in rows if row.task == name}
    expected = oracle[name]
    if name == "all_feature_action":
        total, test = expected["num_windows"], expected["num_eval_windows"]
        assert counts == {(total - test, test)}
    else:
        kind = "samples" if "num_train_samples" in expected else "windows"
        assert counts == {(expected[f"num_train_{kind}"], expected[f"num_test_{kind}"])}


@pytest.mark.parametrize("name", [t.name for t in TASKS if t.kind == "classify" and not t.classes])
def test_predicted_labels_are_the_oracles(name, problems, predictions, small):
    stored = pd.read_csv(small / f"expected/{name}_predictions.csv", keep_default_na=False)
    problem, one = problems[name], predictions[name]
    assert one.predicted == stored["predicted_label"].tolist()
    assert problem.test_targets == stored["true_label"].tolist()
    np.testing.assert_allclose(one.confidence.max(axis=1), stored["confidence"], atol=1e-3)
    windows = problem.samples.members[problem.split.test, 0]
    assert windows.tolist() == stored["window_index"].tolist()


@pytest.mark.parametrize("name", [t.name for t in TASKS if t.classes])
def test_predicted_pairs_are_the_oracles(name, problems, predictions, small):
    stored = pd.read_csv(small / f"expected/{name}_predictions.csv")
    problem, one = problems[name], predictions[name]
    positive = [label == problem.task.positive for label in one.predicted]
    assert positive == stored["predicted"].astype(bool).tolist()
    assert problem.split.test.tolist() == stored["sample_index"].tolist()
    np.testing.assert_allclose(one.confidence[:, 1], stored["prob_positive"], atol=2e-3)


def test_predicted_objects_are_the_oracles(predictions, small):
    stored = pd.read_csv(small / "expected/object_relevance_predictions.csv")
    one = predictions["object_relevance"]
    assert ["|".join(names) for names in one.predicted] == list(stored["predicted_objects"])


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_whole(name, rows):
    task = TASKS_BY_NAME[name]
    found = list(scored(rows, name).values())
    assert found[0].metric == task.primary.name
    for row, measure in zip(found, task.measures, strict=False):
        assert (row.metric, row.unit) == (measure.name, measure.metric.unit)
        assert row.higher_is_better == measure.metric.higher_is_better
        assert row.floor is not None
        assert row.section == "suite"


def test_ceilings_come_from_unseen_classes(rows, problems):
    found = scored(rows, "timeline_action")
    one = problems["timeline_action"]
    seen = set(one.train_targets)
    share = np.mean([label in seen for label in one.test_targets])
    assert found["accuracy"].ceiling == pytest.approx(share)
    assert found["macro_f1"].value <= found["macro_f1"].ceiling


def test_the_columns_of_a_reconstruction_add_up_to_the_whole(problems, predictions, rows):
    name = "modality_reconstruction"
    columns, base = TargetColumns.of(problems[name], RAW), {"run": "r", "section": "s"}
    base |= {"contract": "published", "task": name}
    values = columns.predicted(predictions[name])
    by_group = {
        row.variant: row.value
        for row in group_rows(columns, values, "motion and audio", base)
        if row.against is None
    }
    assert by_group[f"{WHOLE} from motion and audio"] == pytest.approx(
        scored(rows, name)["r2"].value
    )
    shares = {row.variant: row.value for row in weight_rows(columns, base)}
    blocks = [shares[f"{block}, in {RAW}"] for block in problems[name].task.target_blocks]
    assert sum(blocks) == pytest.approx(1)


def rows_of(small: Path, table: WindowTable | Path, task) -> list:
    """Return the linear head's rows of a task."""
    table = table if isinstance(table, WindowTable) else WindowTable(table)
    (problem,) = problems_of(small / "episode", table, tasks=[task])
    rows = evaluate(problem, {"linear": predict(problem)}, "small", "suite")
    return [row for row in rows if row.head == "linear" and row.against is None]


def test_lost_inputs_are_zeros_and_said_to_be(small, tmp_path):
    path = write_windows(tmp_path / "w.parquet", small, lose=("audio_fisheye_cam0_aac",))
    rows = rows_of(small, path, TASKS_BY_NAME["cross_modal_retrieval"])
    assert rows[0].status == "ok"
    assert "audio_fisheye_cam0_aac is zeros: the stream is gone" in rows[0].reason


def test_a_window_without_target_is_dropped_and_one_without_input_is_zeros(small, tmp_path):
    path = write_windows(tmp_path / "w.parquet", small, gap="depth_confidence")
    rebuilt = rows_of(small, path, TASKS_BY_NAME["modality_reconstruction"])
    assert rebuilt[0].n_train + rebuilt[0].n_test == 76
    contact = rows_of(small, path, TASKS_BY_NAME["contact_prediction"])
    assert contact[0].reason == "depth_confidence is zeros in 1 of 77 windows"


def test_a_task_without_target_is_skipped_with_the_reason(small, tmp_path):
    path = write_windows(tmp_path / "w.parquet", small, lose=("video_stereo_left",))
    rows = rows_of(small, path, TASKS_BY_NAME["cross_modal_retrieval"])
    assert {row.status for row in rows} == {"skipped"}
    assert {row.value for row in rows} == {None}
    assert rows[0].reason == "no target (video_stereo_left: the stream is gone)"


def test_one_class_is_degenerate(small, table):
    always = dataclasses.replace(
        TASKS_BY_NAME["contact_prediction"],
        name="always_contact",
        target=lambda truth, members: ["contact"] * len(members),
    )
    rows = rows_of(small, table, always)
    assert {row.status for row in rows} == {"degenerate"}
    assert rows[0].reason == "one class only: every sample is 'contact'"
    assert (rows[0].n_train, rows[0].n_test) == (54, 23)


def test_wrong_calls_say_so(small, table, problems):
    with pytest.raises(ParamsError, match="Did you mean 'linear'"):
        predict(problems["timeline_action"], "linar")
    with pytest.raises(ParamsError, match="contract"):
        problems_of(small / "episode", table, "publisht")


def test_predictions_are_the_same_bytes_on_any_number_of_workers(problems):
    names = ("timeline_action", "modality_reconstruction")
    asked, usual = [problems[name] for name in names], torch.get_num_threads()
    alone, together = (predict_heads(asked, ["linear", "neural"], 1, n) for n in (1, 3))
    assert torch.get_num_threads() == usual
    for one, other in zip(alone, together, strict=True):
        for head, (mine,) in one.items():
            (theirs,) = other[head]
            np.testing.assert_array_equal(mine.predicted, theirs.predicted)
            np.testing.assert_array_equal(mine.confidence, theirs.confidence)
            assert (mine.curve, mine.facts) == (theirs.curve, theirs.facts)


def test_what_fails_in_a_worker_fails_as_it_is(problems):
    def broken(problem, seeds):
        raise TableError("windows", f"lack {problem.task.name}", "all", "Extract them again.")

    with pytest.raises(TableError, match="lack contact_prediction"):
        predict_all([problems["contact_prediction"]], one_by_one(broken))


@pytest.mark.slow
def test_our_own_features_lead_to_the_oracles_predictions(small, predictions, tmp_path):
    """From the recording to predictions; a sample may tip where a difference is all rounding."""
    path = tmp_path / "windows.parquet"
    extract(small / "episode", path, workers=1)
    problems = problems_of(small / "episode", WindowTable(path))
    for problem, (mine,) in zip(problems, predict_all(problems), strict=True):
        theirs = predictions[problem.task.name].predicted
        if isinstance(theirs, np.ndarray):
            np.testing.assert_allclose(mine.predicted, theirs, rtol=1e-3, atol=1e-3)
        else:
            pairs = zip(mine.predicted, theirs, strict=True)
            assert sum(one != other for one, other in pairs) <= 1, problem.task.name
