"""Scores as the published pipeline names them, each tied to the metric that computes it.

Most are metrics of `xperience.evaluation`. Precision, recall and squared errors are the pipeline's
own: they are reported under its contract for comparison, and defined here.
"""

import math
from dataclasses import dataclass

import numpy as np

from xperience.evaluation.evidence import Labels, LabelSets
from xperience.evaluation.metrics import METRICS, Metric, metric_named
from xperience.evaluation.vectors import Vectors


@dataclass(frozen=True)
class Measure:
    """A score of a task, under the name that its rows carry.

    Parameters
    ----------
    name : str
        Name in rows.
    metric : Metric
        Unit, direction, rule and formula.
    """

    name: str
    metric: Metric


def measure(name: str, metric: str = "") -> Measure:
    """Return a measure of a known metric: the one of the same name by default.

    Raises
    ------
    MetricError
        If there is no such metric.
    """
    return Measure(name, _OWN.get(metric) or metric_named(metric or name))


def _share(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)


def _positive_precision(evidence: Labels, w: np.ndarray) -> np.ndarray:
    return _share(*_of_positive(evidence, w, claimed=True))


def _positive_recall(evidence: Labels, w: np.ndarray) -> np.ndarray:
    return _share(*_of_positive(evidence, w, claimed=False))


def _of_positive(evidence: Labels, w: np.ndarray, claimed: bool) -> tuple[np.ndarray, np.ndarray]:
    truth = evidence.truth == evidence.positive
    predicted = evidence.predicted == evidence.positive
    return w @ (truth & predicted).astype(float), w @ (predicted if claimed else truth).astype(
        float
    )


def _set_precision(evidence: LabelSets, w: np.ndarray) -> np.ndarray:
    right, _, claimed = (count.sum(axis=1) for count in evidence.counts(w))
    return _share(right, claimed)


def _set_recall(evidence: LabelSets, w: np.ndarray) -> np.ndarray:
    right, true, _ = (count.sum(axis=1) for count in evidence.counts(w))
    return _share(right, true)


def _squared_error(evidence: Vectors, w: np.ndarray) -> np.ndarray:
    return _share(w @ evidence.squared_error / evidence.truth.shape[1], w.sum(axis=1))


def _own() -> dict[str, Metric]:
    unclaimed, untrue = "None is predicted.", "None is true."
    rows = [
        ("positive_precision", Labels, "Share of positive answers that are right.", unclaimed),
        ("positive_recall", Labels, "Share of positive pairs that are found.", untrue),
        ("set_precision", LabelSets, "Share of predicted memberships that are true.", unclaimed),
        ("set_recall", LabelSets, "Share of true memberships that are predicted.", untrue),
    ]
    formulas = (_positive_precision, _positive_recall, _set_precision, _set_recall)
    own = [
        Metric(name, "1", True, (0.0, 1.0), takes, rule, undefined, formula)
        for (name, takes, rule, undefined), formula in zip(rows, formulas, strict=True)
    ]
    rule = "Mean squared error over samples and values."
    own += [
        Metric(name, unit, False, (0.0, math.inf), Vectors, rule, "Never.", _squared_error)
        for name, unit in (("mse_m2", "m²"), ("mse_mixed", METRICS["mae_mixed"].unit))
    ]
    return {metric.id: metric for metric in own}


_OWN = _own()

LABELS = (
    measure("macro_f1", "macro_f1_present"),
    measure("accuracy"),
    measure("balanced_accuracy"),
    measure("weighted_f1"),
)
BOUNDARIES = (
    measure("boundary_f1"),
    measure("boundary_precision"),
    measure("boundary_recall"),
    measure("mean_abs_timing_error_frames", "boundary_timing_error"),
)
SETS = (
    measure("micro_f1"),
    measure("macro_f1", "macro_f1_vocabulary"),
    measure("exact_match", "exact_set_match"),
    measure("precision", "set_precision"),
    measure("recall", "set_recall"),
)
HANDS = (
    measure("mpjpe"),
    measure("final_frame_mpjpe", "mpjpe_last_frame"),
    measure("mae", "mae_m"),
    measure("mse", "mse_m2"),
    measure("r2"),
)
RANKS = (
    measure("mrr", "mrr_listed"),
    measure("median_rank", "median_rank_listed"),
    measure("mean_rank", "mean_rank_listed"),
    measure("top1_accuracy", "top1_listed"),
    measure("top5_accuracy", "top5_listed"),
    measure("top10_accuracy", "top10_listed"),
)
VECTORS = (measure("r2"), measure("mae", "mae_mixed"), measure("mse", "mse_mixed"))

TIED_RANKS = (
    measure("mrr"),
    measure("median_rank"),
    measure("mean_rank"),
    measure("top1_accuracy", "top1"),
    measure("top5_accuracy", "top5"),
    measure("top10_accuracy", "top10"),
)
"""Equal candidates share their ranks, instead of standing in the order of the recording."""

SCALED_VECTORS = (measure("r2"), measure("mae", "mae_sd"))
"""Of values in training standard deviations, so that no unit outweighs another."""


def pair_measures(f1: str) -> tuple[Measure, ...]:
    """Return the measures of a pair task whose primary one is a named class's F1."""
    return (
        measure("f1", f1),
        measure("accuracy"),
        measure("precision", "positive_precision"),
        measure("recall", "positive_recall"),
    )
