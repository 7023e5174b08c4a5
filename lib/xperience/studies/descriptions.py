"""Counts and shares that the published suite reports beside its scores: they have no direction."""

from typing import Any

import numpy as np

from xperience.evaluation.metrics import Boundaries
from xperience.models import baselines
from xperience.studies.problem import Outcome, Problem
from xperience.studies.scores import evidence


def descriptions(outcome: Outcome) -> list[dict[str, Any]]:
    """Return what describes an outcome, as fields of rows: metric, unit, direction, value, seed.

    Parameters
    ----------
    outcome : Outcome
        With an answer.
    """
    problem, answer, task = outcome.problem, outcome.answer, outcome.task
    facts = {"feature_dim": ("feature", task.n_features)}
    if task.kind == "classify" and task.classes:
        facts |= _pair_counts(problem.test_targets, answer.predicted, task.positive)
    elif task.kind == "classify":
        facts |= _class_facts(problem)
    elif task.kind == "multilabel":
        facts["num_objects"] = ("label", len(problem.labels))
    else:
        facts["target_dim"] = ("value", np.shape(problem.samples.values)[1])
    for found in evidence(problem, answer.predicted) if task.kind == "classify" else []:
        if isinstance(found, Boundaries):
            facts |= _boundary_counts(found)
    directions = {"train_final_accuracy": ("1", True), "train_final_loss": ("nat", False)}
    rows = [_row(name, unit, None, value, None) for name, (unit, value) in facts.items()]
    return rows + [
        _row(name, *directions.get(name, ("1", None)), value, answer.seed)
        for name, value in (answer.facts or {}).items()
    ]


def _row(
    name: str, unit: str, higher_is_better: bool | None, value: float, seed: int | None
) -> dict[str, Any]:
    return {
        "metric": name,
        "unit": unit,
        "higher_is_better": higher_is_better,
        "value": float(value),
        "seed": seed,
    }


def _class_facts(problem: Problem) -> dict[str, tuple[str, float]]:
    train, test = problem.train_targets, problem.test_targets
    common = baselines.majority(train, 1)[0]
    unseen = baselines.closed_set_ceiling(train, test).unseen
    return {
        "num_classes": ("class", len(problem.labels)),
        "unseen_test_classes": ("class", len(unseen)),
        "majority_baseline_accuracy": ("1", np.mean([label == common for label in test])),
    }


def _pair_counts(truth: Any, predicted: Any, positive: Any) -> dict[str, tuple[str, float]]:
    true = np.array([label == positive for label in truth])
    said = np.array([label == positive for label in predicted])
    counts = {"tp": true & said, "tn": ~true & ~said, "fp": ~true & said, "fn": true & ~said}
    shares = {"positive_rate_true": true, "positive_rate_pred": said}
    return {name: ("sample", hits.sum()) for name, hits in counts.items()} | {
        name: ("1", hits.mean()) for name, hits in shares.items()
    }


def _boundary_counts(found: Boundaries) -> dict[str, tuple[str, float]]:
    hits = found.hits.sum()
    return {
        "matched_boundaries": ("boundary", hits),
        "true_boundaries": ("boundary", hits + found.misses.sum()),
        "predicted_boundaries": ("boundary", hits + found.false_alarms.sum()),
    }
