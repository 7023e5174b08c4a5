"""The published figures, recomputed from the published predictions with our metrics."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from xperience.evaluation.metrics import (
    boundaries,
    cosine_ranks,
    label_sets,
    labels,
    positions,
    score,
    vectors,
)

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("XPERIENCE_SHARED", ROOT.parent / "shared"))
RECORD = SHARED / "published"

needs_record = pytest.mark.skipif(
    not RECORD.is_dir(), reason=f"no published record at {RECORD} (set XPERIENCE_SHARED)"
)

CLASS_FIGURES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced_accuracy",
    "weighted_f1": "weighted_f1",
    "macro_f1_present": "macro_f1",
}
CLASS_TASKS = [
    "timeline_action",
    "timeline_subtask",
    "transition_detection",
    "next_action",
    "contact_prediction",
]
HEADS = {"tasks": "episode_task_suite", "neural_tasks": "neural_mlp"}
OBJECTS = 34  # the vocabulary; 12 of its objects occur in no test window


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def column(table, name):
    return [row[name] for row in table]


def check(evidence, figures, names, rel=1e-12):
    for metric, published in names.items():
        found = score(metric, evidence, as_published=True).value
        assert found == pytest.approx(figures[published], rel=rel), metric


def check_classes(path, figures):
    table = rows(path)
    evidence = labels(column(table, "true_label"), column(table, "predicted_label"))
    check(evidence, figures, CLASS_FIGURES)


def check_pairs(path, metric, figures):
    table = rows(path)
    evidence = labels(column(table, "true"), column(table, "predicted"), positive="1")
    check(evidence, figures, {metric: "f1", "accuracy": "accuracy"})


def check_objects(path, figures, n_objects):
    table = rows(path)
    truth, predicted = (
        [set(filter(None, cell.split("|"))) for cell in column(table, f"{side}_objects")]
        for side in ("true", "predicted")
    )
    named = set().union(*truth, *predicted)
    unseen = [f"object {i} that occurs nowhere" for i in range(n_objects - len(named))]
    evidence = label_sets(truth, predicted, vocabulary=[*sorted(named), *unseen])
    names = {
        "micro_f1": "micro_f1",
        "macro_f1_vocabulary": "macro_f1",
        "exact_set_match": "exact_match",
    }
    check(evidence, figures, names)


def check_boundaries(path, frames, figures):
    table = rows(path)
    centers = np.array(column(table, "center_frame"), dtype=int)
    predicted = np.array(column(table, "predicted_label")) == "transition"
    names = {
        "boundary_f1": "boundary_f1",
        "boundary_precision": "boundary_precision",
        "boundary_recall": "boundary_recall",
        "boundary_timing_error": "mean_abs_timing_error_frames",
    }
    check(boundaries(centers, predicted, frames), figures, names)


@pytest.fixture(scope="module")
def report():
    path = RECORD / "episode_task_suite" / "summary_report.json"
    return json.loads(path.read_text(encoding="utf-8"))


@needs_record
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("task", CLASS_TASKS)
def test_class_figures(report, head, task):
    check_classes(RECORD / HEADS[head] / task / "predictions.csv", report[head][task])


@needs_record
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    ("task", "metric"), [("temporal_order", "f1_right"), ("misalignment_detection", "f1_aligned")]
)
def test_pair_figures(report, head, task, metric):
    check_pairs(RECORD / HEADS[head] / task / "predictions.csv", metric, report[head][task])


@needs_record
@pytest.mark.parametrize("head", HEADS)
def test_object_figures(report, head):
    path = RECORD / HEADS[head] / "object_relevance" / "predictions.csv"
    check_objects(path, report[head]["object_relevance"], OBJECTS)


@needs_record
@pytest.mark.parametrize("head", HEADS)
def test_boundary_figures(report, head):
    task = "transition_detection"
    frames = column(rows(RECORD / "episode_task_suite" / task / "true_boundaries.csv"), "frame")
    check_boundaries(
        RECORD / HEADS[head] / task / "predictions.csv",
        np.array(frames, dtype=int),
        report[head][task],
    )


@needs_record
def test_local_split_figures():
    folder = RECORD / "all_feature_action"
    figures = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    check_classes(folder / "predictions.csv", figures)


@needs_record
def test_neural_hand_figures(report):
    with np.load(RECORD / "neural_mlp" / "hand_trajectory_forecast" / "predictions.npz") as found:
        truth, predicted = found["y_true"], found["y_pred"]
    figures = report["neural_tasks"]["hand_trajectory_forecast"]
    names = {"mpjpe": "mpjpe", "mpjpe_last_frame": "final_frame_mpjpe"}
    shape = (-1, 10, 42, 3)
    check(positions(truth.reshape(shape), predicted.reshape(shape)), figures, names, rel=1e-6)
    check(vectors(truth, predicted), figures, {"mae_m": "mae", "r2": "r2"}, rel=1e-6)


@needs_record
def test_neural_grounding_figures_rank_predictions_for_each_true_text(report):
    with np.load(RECORD / "neural_mlp" / "caption_grounding" / "predictions.npz") as found:
        truth, predicted = found["y_true"], found["y_pred"]
    names = {
        "mrr_listed": "mrr",
        "median_rank_listed": "median_rank",
        "mean_rank_listed": "mean_rank",
        "top1_listed": "top1_accuracy",
        "top5_listed": "top5_accuracy",
        "top10_listed": "top10_accuracy",
        "mrr": "mrr",  # no two predictions are alike, so ties do not matter in this direction
    }
    figures = report["neural_tasks"]["caption_grounding"]
    check(cosine_ranks(truth, predicted), figures, names)
    assert cosine_ranks(predicted, truth).tied.max() > 0


@needs_record
def test_held_out_action_figures():
    folder = RECORD / "heldout_qwen3_omni"
    figures = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    options = json.loads((folder / "options.json").read_text(encoding="utf-8"))
    lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    answers = [json.loads(line) for line in lines]
    evidence = labels(
        [answer["true_label"] for answer in answers],
        [answer["predicted_label"] for answer in answers],
        options=options["action"] if isinstance(options, dict) else options,
    )
    check(evidence, figures, {"macro_f1_all": "action_macro_f1", "accuracy": "accuracy"})
