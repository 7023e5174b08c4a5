"""Every metric against an independent implementation, and what none of them may do."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as reference

from xperience.errors import XperienceError
from xperience.evaluation.metrics import (
    METRICS,
    MetricError,
    Score,
    aggregate,
    boundaries,
    label_sets,
    labels,
    positions,
    ranks,
    score,
    score_all,
    skill,
    vectors,
    weighted,
)

CLASSES = ["pour", "grind", "stir", "wait"]
one_label = st.sampled_from(CLASSES)
label_pairs = st.lists(st.tuples(one_label, one_label), min_size=1, max_size=40)
bits = st.integers(1, 4).flatmap(
    lambda k: st.integers(1, 20).flatmap(
        lambda n: st.tuples(hnp.arrays(bool, (n, k)), hnp.arrays(bool, (n, k)))
    )
)
numbers = st.floats(-100, 100, width=32)
matrices = st.tuples(st.integers(2, 12), st.integers(1, 5)).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(float, shape, elements=numbers), hnp.arrays(float, shape, elements=numbers)
    )
)
quick = settings(max_examples=60, deadline=None)


def value(metric, evidence):
    return score(metric, evidence, as_published=True).value


def from_sklearn(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


@quick
@given(label_pairs)
def test_label_metrics_match_scikit_learn(pairs):
    truth, predicted = zip(*pairs, strict=True)
    evidence = labels(truth, predicted, options=CLASSES, positive="pour")
    present = sorted(set(truth))

    def f1(**more):
        return from_sklearn(reference.f1_score, truth, predicted, zero_division=0, **more)

    assert value("accuracy", evidence) == pytest.approx(reference.accuracy_score(truth, predicted))
    assert value("balanced_accuracy", evidence) == pytest.approx(
        from_sklearn(reference.balanced_accuracy_score, truth, predicted)
    )
    assert value("weighted_f1", evidence) == pytest.approx(f1(average="weighted"))
    assert value("macro_f1_present", evidence) == pytest.approx(f1(average="macro", labels=present))
    assert value("macro_f1_union", evidence) == pytest.approx(f1(average="macro"))
    assert value("macro_f1_all", evidence) == pytest.approx(f1(average="macro", labels=CLASSES))
    if "pour" in {*truth, *predicted}:
        assert value("f1_right", evidence) == pytest.approx(f1(average=None, labels=["pour"])[0])
    else:
        assert value("f1_right", evidence) is None


@quick
@given(bits)
def test_set_metrics_match_scikit_learn(pair):
    truth, predicted = pair
    names = np.arange(truth.shape[1])
    evidence = label_sets(
        [names[row] for row in truth], [names[row] for row in predicted], vocabulary=names
    )

    def f1(**more):
        a, b = (np.hstack([m, np.zeros((len(m), 1), bool)]) for m in pair)  # always two columns
        return from_sklearn(reference.f1_score, a, b, zero_division=0, **more)

    named = np.flatnonzero((truth | predicted).any(axis=0))
    assert value("exact_set_match", evidence) == pytest.approx((truth == predicted).all(1).mean())
    assert value("macro_f1_vocabulary", evidence) == pytest.approx(
        f1(average="macro", labels=names)
    )
    if len(named):
        assert value("micro_f1", evidence) == pytest.approx(f1(average="micro"))
        assert value("macro_f1_named", evidence) == pytest.approx(f1(average="macro", labels=named))
    else:
        assert value("micro_f1", evidence) is value("macro_f1_named", evidence) is None


@quick
@given(matrices)
def test_vector_metrics_match_scikit_learn(pair):
    truth, predicted = pair
    evidence = vectors(truth, predicted)
    expected = reference.mean_absolute_error(truth, predicted)
    assert value("mae_m", evidence) == pytest.approx(expected)
    spread = np.square(truth - truth.mean(axis=0)).sum()
    if spread > 1e-6 * np.square(truth).sum():
        pooled = 1 - np.square(truth - predicted).sum() / spread
        assert value("r2", evidence) == pytest.approx(pooled, rel=1e-6)


def test_r2_of_one_column_is_that_of_scikit_learn():
    rng = np.random.default_rng(3)
    truth, predicted = rng.normal(size=(2, 30, 1))
    expected = reference.r2_score(truth, predicted)
    assert value("r2", vectors(truth, predicted)) == pytest.approx(expected)


def test_joint_error_is_the_mean_distance_and_that_of_the_last_frame():
    rng = np.random.default_rng(3)
    truth, predicted = rng.normal(size=(2, 6, 4, 5, 3))
    far = [
        [np.mean([math.dist(truth[i, f, j], predicted[i, f, j]) for j in range(5)])
         for f in range(4)]
        for i in range(6)
    ]  # fmt: skip
    evidence = positions(truth, predicted)
    assert value("mpjpe", evidence) == pytest.approx(np.mean(far))
    assert value("mpjpe_last_frame", evidence) == pytest.approx(np.mean(far, axis=0)[-1])


# --- every metric -----------------------------------------------------------------------------


def examples(n=12, seed=0):
    """One piece of evidence of each kind, as functions of an order of the samples."""
    rng = np.random.default_rng(seed)
    truth, predicted = rng.choice(CLASSES[:3], (2, n))
    sets = rng.random((2, n, 4)) < 0.4
    y, p = rng.normal(size=(2, n, 5))
    joints = rng.normal(size=(2, n, 4, 5, 3))
    similarity = rng.integers(0, 5, (n, n))
    ranked, bounded = ranks(similarity), boundaries(10 * np.arange(n), sets[0, :, 0], [31, 59, 88])

    def rows(kind, names, order):
        return type(kind)(**{**vars(kind), **{name: getattr(kind, name)[order] for name in names}})

    edges = ("hits", "false_alarms", "misses", "timing_error_frames")
    return {
        "Labels": lambda o: labels(truth[o], predicted[o], options=CLASSES, positive="pour"),
        "LabelSets": lambda o: label_sets(*([np.flatnonzero(r) for r in m[o]] for m in sets)),
        "Vectors": lambda o: vectors(y[o], p[o]),
        "Positions": lambda o: positions(joints[0][o], joints[1][o]),
        "Ranks": lambda o: rows(ranked, ("better", "tied", "earlier"), o),
        "Boundaries": lambda o: rows(bounded, edges, o),
    }


SCORED = [metric for metric in METRICS.values() if metric.takes]


@pytest.mark.parametrize("metric", SCORED, ids=lambda m: m.id)
def test_the_order_of_samples_does_not_matter(metric):
    made = examples()[metric.takes.__name__]
    shuffled = np.random.default_rng(1).permutation(12)
    before, after = score(metric, made(np.arange(12))), score(metric, made(shuffled))
    assert before.value is not None
    assert before.value == pytest.approx(after.value)
    assert metric.bounds[0] <= before.value <= metric.bounds[1]


@pytest.mark.parametrize("metric", SCORED, ids=lambda m: m.id)
def test_a_weight_of_two_is_the_sample_twice(metric):
    made = examples()[metric.takes.__name__]
    rng = np.random.default_rng(2)
    weights = rng.multinomial(12, np.full(12, 1 / 12), size=5)
    values = weighted(metric, made(np.arange(12)))(weights)
    for row, found in zip(weights, values, strict=True):
        drawn = np.repeat(np.arange(12), row)
        expected = weighted(metric, made(drawn))(np.ones((1, 12)))[0]
        assert found == pytest.approx(expected, nan_ok=True) or metric.id in {
            "macro_f1_all",  # the list of labels is that of the whole test, not of the resample
            "macro_f1_vocabulary",
        }


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda m: m.id)
def test_a_metric_is_declared_in_full(metric):
    assert metric.unit in {"1", "m", "sd", "frame", "rank", "mixed"}
    assert math.isfinite(metric.perfect)
    assert metric.rule.endswith(".")
    assert metric.undefined.endswith(".")
    assert (metric.formula is None) == (metric.takes is None)


def test_no_samples_is_no_score():
    for evidence in (labels([], []), vectors(np.empty((0, 2)), np.empty((0, 2)))):
        for found in score_all(evidence).values():
            assert found == Score(None, "no samples")
            assert found.status == "degenerate"


def test_one_class_is_no_score_unless_as_published():
    evidence = labels(["contact"] * 5, ["contact"] * 5)
    for metric, found in score_all(evidence).items():
        assert found.value is None, metric
        assert "one class tests nothing" in found.reason
    assert value("macro_f1_present", evidence) == 1


def test_no_variance_is_no_r2():
    evidence = vectors(np.ones((4, 2)), np.zeros((4, 2)))
    assert score("r2", evidence) == Score(None, "r2 is undefined: The truth does not vary.")


def test_one_candidate_and_equal_candidates_are_no_score():
    assert score("mrr", ranks([[1.0]])).value is None
    assert "same for every query" in score("mrr", ranks(np.ones((3, 3)))).reason


def test_options_that_do_not_occur_count_only_in_macro_f1_all():
    few, many = (labels(["a", "b"], ["a", "b"], options=o) for o in ((), "abcd"))
    assert value("macro_f1_union", few) == value("macro_f1_union", many) == 1
    assert (value("macro_f1_all", few), value("macro_f1_all", many)) == (1, 0.5)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: labels(["a"], []), "1 true and 0 predicted"),
        (lambda: labels(["a", None], ["a", "b"]), "1 are missing"),
        (lambda: labels(["a", float("nan")], ["a", "b"]), "1 are missing"),
        (lambda: labels(["a"], ["b"], positive="c"), "occurs nowhere"),
        (lambda: label_sets([{"a"}], []), "1 true and 0 predicted"),
        (lambda: vectors([[1.0]], [[math.nan]]), "not finite"),
        (lambda: vectors([[1.0]], [[1.0, 2.0]]), "shapes"),
        (lambda: positions(np.zeros((1, 1, 1, 2)), np.zeros((1, 1, 1, 2))), "2 values a joint"),
        (lambda: ranks(np.zeros((2, 1))), "does not name one of 1"),
        (lambda: score("accurcy", labels(["a"], ["a"])), "Did you mean 'accuracy'"),
        (lambda: score("mpjpe", labels(["a"], ["a"])), "was given Labels, expected Positions"),
        (lambda: score("skill", labels(["a"], ["a"])), "a Score and a floor"),
        (lambda: score("f1_right", labels(["a", "b"], ["a", "b"])), "is not set"),
    ],
)
def test_what_cannot_be_scored_says_so(make, fault):
    with pytest.raises(MetricError, match=fault):
        make()


# --- putting scores together ------------------------------------------------------------------


def test_a_mean_of_like_scores():
    assert aggregate([Score(0.2), Score(0.4)], ["macro_f1_present", "mrr"]).value == pytest.approx(
        0.3
    )


@pytest.mark.parametrize(
    "pair",
    [
        ("macro_f1_present", "mae_sd"),
        ("mae_m", "mae_sd"),
        ("macro_f1_present", "r2"),
        ("mrr", "mean_rank"),
        ("mae_mixed", "mae_mixed"),
    ],
)
def test_mixed_units_directions_or_ranges_are_refused(pair):
    with pytest.raises(XperienceError, match="mixes"):
        aggregate([Score(0.2), Score(0.4)], pair)


def test_a_missing_score_is_not_left_out_of_a_mean():
    found = aggregate([Score(0.2), Score(None, "one class")], ["accuracy", "accuracy"])
    assert found == Score(None, "1 of 2 are undefined: one class")
    assert aggregate([], []).reason == "no scores"


@pytest.mark.parametrize(
    ("metric", "at", "floor", "expected"),
    [
        ("accuracy", 0.6, 0.2, 0.5),
        ("mpjpe", 0.02, 0.04, 0.5),
        ("mpjpe", 0.08, 0.04, -1.0),
        ("mean_rank", 1.0, 11.0, 1.0),
        ("r2", 0.0, -1.0, 0.5),
    ],
)
def test_skill_points_up_whatever_the_direction(metric, at, floor, expected):
    assert skill(metric, Score(at), Score(floor)).value == pytest.approx(expected)


def test_skill_without_a_floor_or_with_a_perfect_one_is_undefined():
    assert "already perfect" in skill("accuracy", Score(1.0), Score(1.0)).reason
    assert "floor is undefined" in skill("accuracy", Score(1.0), Score(None, "none")).reason
