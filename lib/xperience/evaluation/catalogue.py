"""The registry of metrics: what each measures, and its one formula.

A formula takes evidence and weights, shape (n_rows, n), and returns values, shape (n_rows,), with
NaN where it is undefined. `xperience.evaluation.metrics` turns that into scores with reasons.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xperience.evaluation.evidence import Boundaries, Labels, LabelSets, expect
from xperience.evaluation.vectors import Positions, Ranks, Vectors

Formula = Callable[[Any, np.ndarray], np.ndarray]
MIXED = "mixed"
"""Unit of errors pooled over values of several units: comparable on one target only."""


@dataclass(frozen=True)
class Metric:
    """What a score measures.

    Parameters
    ----------
    id : str
        Its name in records.
    unit : str
        "1" for pure numbers, "m", "frame", "rank", "sd" (train standard deviations), or "mixed".
    higher_is_better : bool
        Direction.
    bounds : pair of float
        Least and greatest possible value.
    takes : type, optional
        Kind of evidence it is computed from.
    rule : str
        How it is computed, and what ties and absent classes do.
    undefined : str
        When there is no value, beyond a test without samples or one that tests nothing.
    formula : function, optional
        (evidence, weights (n_rows, n)) to values (n_rows,), NaN where undefined.
    """

    id: str
    unit: str
    higher_is_better: bool
    bounds: tuple[float, float]
    takes: type | None
    rule: str
    undefined: str
    formula: Formula | None = None

    @property
    def perfect(self) -> float:
        """The best possible value."""
        return self.bounds[1] if self.higher_is_better else self.bounds[0]


# --- formulas: evidence, weights (n_rows, n) -> (n_rows,) -------------------------------------


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    above, below = np.broadcast_arrays(np.asarray(above, float), np.asarray(below, float))
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0)


def _mean_of(per_sample: Callable[[Any], np.ndarray]) -> Formula:
    return lambda evidence, w: _ratio(w @ per_sample(evidence), w.sum(axis=1))


def _mean_over(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    return _ratio(np.where(counted, values, 0).sum(axis=1), counted.sum(axis=1))


def _accuracy(evidence: Labels, w: np.ndarray) -> np.ndarray:
    right, true, _ = evidence.counts(w)
    return _ratio(right.sum(axis=1), true.sum(axis=1))


def _balanced_accuracy(evidence: Labels, w: np.ndarray) -> np.ndarray:
    right, true, _ = evidence.counts(w)
    return _mean_over(_ratio(right, true), true > 0)


def _f1(right: np.ndarray, true: np.ndarray, claimed: np.ndarray) -> np.ndarray:
    return _ratio(2 * right, true + claimed)


def _weighted_f1(evidence: Labels, w: np.ndarray) -> np.ndarray:
    right, true, claimed = evidence.counts(w)
    f1 = np.nan_to_num(_f1(right, true, claimed))
    return _ratio((true * f1).sum(axis=1), true.sum(axis=1))


def _macro_f1_present(evidence: Labels, w: np.ndarray) -> np.ndarray:
    counts = evidence.counts(w)
    return _mean_over(_f1(*counts), counts[1] > 0)


def _macro_f1_union(evidence: Labels | LabelSets, w: np.ndarray) -> np.ndarray:
    f1 = _f1(*evidence.counts(w))
    return _mean_over(f1, ~np.isnan(f1))


def _macro_f1_all(evidence: Labels, w: np.ndarray) -> np.ndarray:
    return _ratio(np.nansum(_f1(*evidence.counts(w)), axis=1), len(evidence.names))


def _macro_f1_vocabulary(evidence: LabelSets, w: np.ndarray) -> np.ndarray:
    return _ratio(np.nansum(_f1(*evidence.counts(w)), axis=1), evidence.truth.shape[1])


def _f1_positive(evidence: Labels, w: np.ndarray) -> np.ndarray:
    way_out = "Give positive= when you put the labels side by side."
    expect(evidence.positive is not None, "labels: positive", "is not set", "a label", way_out)
    f1 = _f1(*evidence.counts(w))
    known = evidence.positive < f1.shape[1]
    return f1[:, evidence.positive] if known else np.full(len(w), np.nan)


def _micro_f1(evidence: LabelSets, w: np.ndarray) -> np.ndarray:
    return _f1(*(count.sum(axis=1) for count in evidence.counts(w)))


def _boundary_f1(evidence: Boundaries, w: np.ndarray) -> np.ndarray:
    hits = w @ evidence.hits
    return _f1(hits, hits + w @ evidence.misses, hits + w @ evidence.false_alarms)


def _boundary_precision(evidence: Boundaries, w: np.ndarray) -> np.ndarray:
    return _ratio(w @ evidence.hits, w @ (evidence.hits + evidence.false_alarms))


def _boundary_recall(evidence: Boundaries, w: np.ndarray) -> np.ndarray:
    return _ratio(w @ evidence.hits, w @ (evidence.hits + evidence.misses))


def _boundary_timing(evidence: Boundaries, w: np.ndarray) -> np.ndarray:
    return _ratio(w @ evidence.timing_error_frames, w @ evidence.hits)


def _r2(evidence: Vectors, w: np.ndarray) -> np.ndarray:
    return 1 - _ratio(w @ evidence.squared_error, evidence.spread(w))


def _median_of(per_sample: Callable[[Any], np.ndarray]) -> Formula:
    def weighted_median(evidence: Any, w: np.ndarray) -> np.ndarray:
        values = per_sample(evidence)
        order = np.argsort(values, kind="stable")
        reached = np.cumsum(w[:, order], axis=1)  # (n_rows, n)
        half = reached[:, -1:] / 2
        low = values[order][(reached >= half).argmax(axis=1)]
        high = values[order][(reached > half).argmax(axis=1)]
        return (low + high) / 2

    return weighted_median


# --- the registry -----------------------------------------------------------------------------

SHARE, BELOW_ONE, POSITIVE = (0.0, 1.0), (-math.inf, 1.0), (0.0, math.inf)
NEVER = "Never."


def _shares(takes: type, rows: Sequence[tuple[str, str, str, Formula]]) -> list[Metric]:
    return [Metric(id, "1", True, SHARE, takes, rule, none, f) for id, rule, none, f in rows]


def _label_metrics() -> list[Metric]:
    neither = "The class is in neither truth nor prediction."
    return _shares(
        Labels,
        [
            ("accuracy", "Share of right labels.", NEVER, _accuracy),
            (
                "balanced_accuracy",
                "Mean recall of the classes present in the truth.",
                NEVER,
                _balanced_accuracy,
            ),
            ("weighted_f1", "Mean F1 of classes, weighted by true counts.", NEVER, _weighted_f1),
            (
                "macro_f1_present",
                "Mean F1 of the classes present in the truth (the published task suite).",
                NEVER,
                _macro_f1_present,
            ),
            (
                "macro_f1_union",
                "Mean F1 of the classes in truth or prediction (the published audio study).",
                NEVER,
                _macro_f1_union,
            ),
            (
                "macro_f1_all",
                "Mean F1 of all options and of every other label that occurs, 0 for those absent "
                "(the published evaluator of held-out answers).",
                NEVER,
                _macro_f1_all,
            ),
            ("f1_right", "F1 of the class of pairs in the right order.", neither, _f1_positive),
            ("f1_aligned", "F1 of the class of aligned pairs.", neither, _f1_positive),
        ],
    )


def _set_metrics() -> list[Metric]:
    return _shares(
        LabelSets,
        [
            ("micro_f1", "F1 of memberships pooled over samples and labels.", NEVER, _micro_f1),
            (
                "macro_f1_vocabulary",
                "Mean F1 over the vocabulary, 0 for labels in no set (the published task suite).",
                NEVER,
                _macro_f1_vocabulary,
            ),
            ("macro_f1_named", "Mean F1 of labels in any set.", NEVER, _macro_f1_union),
            (
                "exact_set_match",
                "Share of samples whose whole set is right.",
                NEVER,
                _mean_of(lambda evidence: evidence.exact),
            ),
        ],
    )


def _boundary_metrics() -> list[Metric]:
    shares = _shares(
        Boundaries,
        [
            (
                "boundary_f1",
                "F1 of predicted transitions, matched in time order to the nearest unused true "
                "boundary within the tolerance; the earlier of two equally near.",
                "No boundary is true or predicted.",
                _boundary_f1,
            ),
            (
                "boundary_precision",
                "Share of predicted transitions that match.",
                "None is predicted.",
                _boundary_precision,
            ),
            (
                "boundary_recall",
                "Share of true boundaries that are matched.",
                "None is true.",
                _boundary_recall,
            ),
        ],
    )
    rule, none = "Mean distance of matched boundaries.", "None is matched."
    timing = ("boundary_timing_error", "frame", False, POSITIVE, Boundaries, rule, none)
    return [*shares, Metric(*timing, _boundary_timing)]


def _vector_metrics() -> list[Metric]:
    error = _mean_of(lambda evidence: evidence.absolute_error)
    rule = "Mean absolute error over samples and values, {}."
    units = {"m": "in metres", "sd": "in train standard deviations", MIXED: "each in its own unit"}
    mae = [
        Metric(f"mae_{unit}", unit, False, POSITIVE, Vectors, rule.format(said), NEVER, error)
        for unit, said in units.items()
    ]
    last = _mean_of(lambda evidence: evidence.error_m[:, -1])
    whole = _mean_of(lambda evidence: evidence.error_m.mean(axis=1))
    far = "Mean Euclidean error over samples, frames and joints."
    end = "Mean Euclidean error over samples and joints in the last frame."
    pooled = "1 - summed squared error / summed squared distance from the test's column means."
    return [
        *mae,
        Metric("r2", "1", True, BELOW_ONE, Vectors, pooled, "The truth does not vary.", _r2),
        Metric("mpjpe", "m", False, POSITIVE, Positions, far, NEVER, whole),
        Metric("mpjpe_last_frame", "m", False, POSITIVE, Positions, end, NEVER, last),
    ]


def _top(k: int, listed: bool) -> Callable[[Ranks], np.ndarray]:
    if listed:
        return lambda evidence: (evidence.listed <= k).astype(float)
    return lambda evidence: evidence.expected_top(k)


def _rank_metrics(suffix: str, ties: str, listed: bool) -> list[Metric]:
    def rank(evidence: Ranks) -> np.ndarray:
        return evidence.listed if listed else evidence.expected

    def reciprocal(evidence: Ranks) -> np.ndarray:
        return 1 / evidence.listed if listed else evidence.expected_reciprocal

    rows = [("mrr", f"Mean of 1 / rank; {ties}.", NEVER, _mean_of(reciprocal))] + [
        (f"top{k}", f"Share of ranks of {k} or better; {ties}.", NEVER, _mean_of(_top(k, listed)))
        for k in (1, 5, 10)
    ]
    shares = _shares(Ranks, [(id + suffix, *rest) for id, *rest in rows])
    places = [
        Metric(f"{id}{suffix}", "rank", False, (1.0, math.inf), Ranks, f"{rule}; {ties}.", NEVER, f)
        for id, rule, f in (
            ("median_rank", "Median rank, the mean of two middle ones", _median_of(rank)),
            ("mean_rank", "Mean rank", _mean_of(rank)),
        )
    ]
    return shares + places


def _registry() -> dict[str, Metric]:
    ties, listed = "ties give the mean over their orders", "ties stand in the order listed"
    described = "(value - floor) / (perfect - floor): 0 is the trivial baseline, 1 is perfect."
    skilled = Metric(
        "skill", "1", True, BELOW_ONE, None, described, "The baseline is perfect or undefined."
    )
    every = [
        *_label_metrics(),
        *_set_metrics(),
        *_boundary_metrics(),
        *_vector_metrics(),
        *_rank_metrics("", ties, listed=False),
        *_rank_metrics("_listed", listed, listed=True),
        skilled,
    ]
    named = {metric.id: metric for metric in every}
    assert len(named) == len(every), "two metrics share an id"
    return named


METRICS: dict[str, Metric] = _registry()
