"""Every metric against an independent implementation, what none may do, and what ties do."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from xperience.evaluation.metrics import (
    METRICS,
    MetricError,
    Score,
    boundaries,
    confidences,
    cosine,
    cosine_ranks,
    detections,
    label_sets,
    labels,
    positions,
    ranks,
    score,
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
shares = st.integers(2, 4).flatmap(  # probabilities of few values, so that many are equal
    lambda k: st.lists(
        st.tuples(
            st.lists(st.integers(1, 3), min_size=k, max_size=k).map(lambda v: np.array(v) / sum(v)),
            st.integers(-1, k - 1),
        ),
        min_size=1,
        max_size=30,
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
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=40))
def test_auroc_is_that_of_scikit_learn_whatever_the_scale_and_turns_with_the_classes(pairs):
    truth, level = (np.array(side) for side in zip(*pairs, strict=True))
    likely = level / 8
    if len(set(truth.tolist())) < 2:
        assert "one class" in score("auroc", detections(truth, likely)).reason
        return
    found = value("auroc", detections(truth, likely))
    assert found == pytest.approx(reference.roc_auc_score(truth, likely))
    assert found == pytest.approx(value("auroc", detections(truth, np.exp(3 * likely) - 7)))
    assert found == pytest.approx(1 - value("auroc", detections(~truth, likely)))
    assert found == pytest.approx(1 - value("auroc", detections(truth, 1 - likely)))
    hard = likely > 0.5
    alike = labels(truth.tolist(), hard.tolist())
    assert value("auroc", detections(truth, hard)) == pytest.approx(
        value("balanced_accuracy", alike)
    )
    constant = detections(truth, np.full(len(truth), 0.3))
    assert value("auroc", constant) == pytest.approx(0.5)


@quick
@given(shares)
def test_confidence_metrics_match_scikit_learn_and_plain_loops(drawn):
    rows, truth = zip(*drawn, strict=True)
    rows, truth = np.array(rows), np.array(truth)
    evidence = confidences(truth, rows)
    top, hits, unseen = rows.max(axis=1), rows.argmax(axis=1) == truth, truth < 0
    told = np.hstack([rows, np.zeros((len(rows), 1))])  # an untrained class has no probability
    classes, own = np.arange(told.shape[1]), truth % told.shape[1]
    expected = from_sklearn(
        reference.brier_score_loss, own, told, labels=classes, scale_by_half=False
    )
    assert value("brier_score", evidence) == pytest.approx(expected)
    both = 0 < unseen.sum() < len(unseen)
    expected = pytest.approx(reference.roc_auc_score(~unseen, top)) if both else None
    assert value("open_set_auroc", evidence) == expected

    edges = np.quantile(top, np.linspace(0, 1, 11)[1:-1])
    bins = [np.flatnonzero(np.searchsorted(edges, top) == one) for one in range(10)]
    n = [len(one) for one in bins if len(one)]
    right, said = calibration_curve(hits, top, n_bins=10, strategy="quantile")
    expected = np.average(np.abs(right - said), weights=n)
    assert value("calibration_error", evidence) == pytest.approx(expected, abs=1e-9)

    for coverage in (0.5, 0.8):
        room, kept = coverage * len(top), []
        for level in sorted(set(top), reverse=True):  # equal ones share what is left
            taken = min(room, (top == level).sum())
            kept.append((taken, hits[top == level].mean()))
            room -= taken
        weights, right = zip(*kept, strict=True)
        found = value(f"selective_accuracy_{100 * coverage:.0f}", evidence)
        assert found == pytest.approx(np.average(right, weights=weights))


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

    mass = rng.random((n, 3))
    sure = confidences(rng.integers(-1, 3, n), mass / mass.sum(axis=1, keepdims=True))
    edges = ("hits", "false_alarms", "misses", "timing_error_frames")
    return {
        "Labels": lambda o: labels(truth[o], predicted[o], options=CLASSES, positive="pour"),
        "Detections": lambda o: detections(truth[o] == "pour", np.round(p[o, 0])),
        "LabelSets": lambda o: label_sets(*([np.flatnonzero(r) for r in m[o]] for m in sets)),
        "Vectors": lambda o: vectors(y[o], p[o]),
        "Positions": lambda o: positions(joints[0][o], joints[1][o]),
        "Ranks": lambda o: rows(ranked, ("better", "tied", "earlier"), o),
        "Boundaries": lambda o: rows(bounded, edges, o),
        "Confidences": lambda o: rows(sure, vars(sure), o),
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
    assert metric.unit in {"1", "m", "m²", "sd", "frame", "rank", "mixed"}
    assert math.isfinite(metric.perfect)
    assert metric.rule.endswith(".")
    assert metric.undefined.endswith(".")
    assert (metric.formula is None) == (metric.takes is None)


@pytest.mark.parametrize(
    ("metric", "evidence", "reason"),
    [
        ("accuracy", labels([], []), "no samples"),
        ("mae_m", vectors(np.empty((0, 2)), np.empty((0, 2))), "no samples"),
        ("accuracy", labels("aaa", "aaa"), "every true label is 'a': one class tests nothing"),
        ("micro_f1", label_sets([{"a"}, {"a"}], [{"a"}, set()]), "one answer tests nothing"),
        ("micro_f1", label_sets([set()], [{"a"}]), "every true set is empty"),
        ("boundary_f1", boundaries([1, 2], [True, False], [9]), "no true boundary"),
        ("r2", vectors(np.ones((4, 2)), np.zeros((4, 2))), "The truth does not vary."),
        ("mrr", ranks([[1.0]]), "one candidate"),
        ("open_set_auroc", confidences([0], [[1.0]]), "Every tested class was trained, or none"),
        ("mrr", ranks(np.ones((3, 3))), "same for every query"),
    ],
)
def test_what_would_mean_nothing_has_a_reason_in_place_of_a_value(metric, evidence, reason):
    found = score(metric, evidence)
    assert (found.value, found.status) == (None, "degenerate")
    assert reason in found.reason


def test_one_class_is_scored_as_published():
    assert value("macro_f1_present", labels(["contact"] * 5, ["contact"] * 5)) == 1


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
        (lambda: confidences([0], [[0.5, math.nan]]), "not finite"),
        (lambda: confidences([0, 1], [[1.0]]), "2 true and 1 predicted"),
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


# --- boundaries -------------------------------------------------------------------------------


def plain_boundary_counts(centers, predicted, frames, tolerance):
    inside = [f for f in sorted(set(frames)) if centers[0] <= f <= centers[-1]]
    used, errors = [], []
    for center, is_predicted in zip(centers, predicted, strict=True):
        best = None
        for f in inside:
            near = is_predicted and f not in used and abs(f - center) <= tolerance
            if near and (best is None or abs(f - center) < abs(best - center)):
                best = f
        if best is not None:
            used.append(best)
            errors.append(abs(best - center))
    return len(used), len(inside), sum(predicted), errors


@quick
@given(
    st.lists(st.booleans(), min_size=1, max_size=40),
    st.lists(st.integers(0, 230), max_size=12),
    st.sampled_from([0, 3, 10, 25]),
)
def test_boundary_f1_matches_a_plain_loop(predicted, frames, tolerance):
    centers = 9 + 5 * np.arange(len(predicted))
    evidence = boundaries(centers, predicted, frames, tolerance_frames=tolerance)
    hits, n_true, n_predicted, errors = plain_boundary_counts(centers, predicted, frames, tolerance)
    expected = 2 * hits / (n_true + n_predicted) if n_true + n_predicted else None
    assert value("boundary_f1", evidence) == pytest.approx(expected)
    assert value("boundary_recall", evidence) == (pytest.approx(hits / n_true) if n_true else None)
    timing = pytest.approx(np.mean(errors)) if errors else None
    assert value("boundary_timing_error", evidence) == timing


def test_windows_out_of_time_order_are_refused():
    with pytest.raises(MetricError, match="do not increase"):
        boundaries([10, 5], [True, False], [7])


# --- ranks ------------------------------------------------------------------------------------


@quick
@given(hnp.arrays(float, st.integers(2, 6).map(lambda n: (n, n)), elements=st.integers(0, 3)))
def test_ranks_with_ties_match_all_orders_counted_one_by_one(similarity):
    evidence = ranks(similarity)
    for i, row in enumerate(similarity):
        better, tied = int((row > row[i]).sum()), int((row == row[i]).sum()) - 1
        places = range(better + 1, better + tied + 2)
        assert evidence.expected[i] == pytest.approx(np.mean(places))
        assert evidence.expected_reciprocal[i] == pytest.approx(np.mean([1 / r for r in places]))
        assert evidence.expected_top(2)[i] == pytest.approx(np.mean([r <= 2 for r in places]))
        listed = sorted(range(len(row)), key=lambda j: -row[j]).index(i) + 1
        assert evidence.listed[i] == listed
    assert value("median_rank_listed", evidence) == np.median(evidence.listed)
    assert value("mrr_listed", evidence) == pytest.approx(np.mean(1 / evidence.listed))


@quick
@given(hnp.arrays(float, (7, 7), elements=st.integers(0, 3)), st.permutations(range(7)))
def test_tie_aware_ranks_forget_the_order_of_candidates(similarity, order):
    order = np.array(order)
    before, after = ranks(similarity), ranks(similarity[:, order], np.argsort(order))
    assert (before.expected == after.expected).all()
    assert (before.expected_reciprocal == after.expected_reciprocal).all()


def test_equal_candidates_tie_in_spite_of_rounding():
    rng = np.random.default_rng(5)
    candidates = np.repeat(rng.normal(size=(4, 300)), 9, axis=0)
    evidence = cosine_ranks(rng.normal(size=(36, 300)), candidates)
    assert (evidence.tied == 8).all()


def test_a_zero_vector_has_cosine_zero_with_everything():
    found = cosine([[0, 0], [1, 1]], [[2, 0], [0, 0]])
    assert found == pytest.approx(np.array([[0, 0], [math.sqrt(0.5), 0]]))
