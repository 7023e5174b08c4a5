"""Scores as the published pipeline names them, each tied to the metric that computes it."""

from dataclasses import dataclass

from xperience.evaluation.metrics import Metric, metric_named


@dataclass(frozen=True)
class Measure:
    """A metric of a task, under the name that its rows carry."""

    name: str
    metric: Metric


def measure(name: str, metric: str = "") -> Measure:
    """Return a measure of a known metric: the one of the same name by default.

    Raises
    ------
    MetricError
        If there is no such metric.
    """
    return Measure(name, metric_named(metric or name))


LABELS = (
    measure("macro_f1", "macro_f1_present"),
    measure("accuracy"),
    measure("balanced_accuracy"),
    measure("weighted_f1"),
)
BALANCED = (measure("balanced_accuracy"), measure("auroc"))
"""Of two classes: half of what there is to know is 0.5 in both, whatever the classes' shares."""
LIKELIHOODS = (*reversed(BALANCED), measure("macro_f1", "macro_f1_present"), measure("accuracy"))
"""Of a class that is rare, so that even a head that sees it coming seldom names it."""
CONFIDENCE = (
    measure("open_set_auroc"),
    measure("calibration_error"),
    measure("brier_score"),
    measure("selective_accuracy_50"),
    measure("selective_accuracy_80"),
)
"""Of classes under `corrected`, from heads that say how probable each is."""
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
