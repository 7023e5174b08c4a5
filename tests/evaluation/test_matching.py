"""Boundary matching and ranks against plain loops, and what ties do."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as reference

from xperience.evaluation.metrics import MetricError, boundaries, cosine, cosine_ranks, ranks, score

quick = settings(max_examples=60, deadline=None)


def value(metric, evidence):
    return score(metric, evidence, as_published=True).value


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


def test_boundary_ties_go_to_the_earlier_and_each_boundary_is_used_once():
    evidence = boundaries([10, 20, 30, 40], [False, True, True, False], [15, 25])
    assert value("boundary_f1", evidence) == 1  # 20 takes 15, so that 25 is left to 30
    alone = boundaries([10, 20, 30, 40], [False, True, True, False], [25])
    assert alone.hits.tolist() == [0, 1, 0, 0]


def test_boundaries_outside_the_test_span_do_not_count():
    evidence = boundaries([10, 20, 30], [True, False, False], [9, 10, 30, 31])
    assert value("boundary_recall", evidence) == 0.5


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


def test_mrr_is_the_ranking_precision_of_scikit_learn():
    similarity = np.random.default_rng(4).normal(size=(12, 12))
    expected = reference.label_ranking_average_precision_score(np.eye(12), similarity)
    assert value("mrr", ranks(similarity)) == pytest.approx(expected)
