"""The closer look at retrieval against plain references and rankings counted by hand."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xperience.evaluation.metrics import ranks
from xperience.evaluation.resampling import Resampling
from xperience.studies.retrieval.looks import contrast, examples, near, place_and_moment
from xperience.studies.retrieval.retrieval import Ranking, shifted

STEP = 5


def ranking(similarity, actions=None, targets=None, resampling=None):
    """Return a ranking of windows a step apart, all targets different unless given."""
    n = len(similarity)
    return Ranking(
        "cross_modal_retrieval",
        "corrected",
        np.asarray(similarity, dtype=float),
        np.arange(n),
        9 + STEP * np.arange(n),
        np.arange(n)[:, None] if targets is None else np.asarray(targets)[:, None],
        tuple([None] * n if actions is None else actions),
        resampling or Resampling(n_resamples=200),
    )


similarities = st.integers(2, 9).flatmap(
    lambda n: st.lists(
        st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75]), min_size=n, max_size=n),
        min_size=n,
        max_size=n,
    )
)


# --- near in time -----------------------------------------------------------------------------


def first_hits(similarity, hits):
    """Return the mean rank of each query's first hit, and how often it is first, over all orders.

    Candidates of equal similarity are put in every order.
    """
    found = []
    for values, hit in zip(similarity, hits, strict=True):
        best = values[hit].max()
        above, tied = (values > best).sum(), np.flatnonzero(values == best)
        orders = [[hit[i] for i in order].index(True) for order in permutations(tied)]
        firsts = [above == 0 and place == 0 for place in orders]
        found.append((above + 1 + np.mean(orders), np.mean(firsts)))
    return np.array(found).T


@given(similarities.filter(lambda rows: len(rows) <= 7), st.sampled_from([0, 5, 10]))
@settings(max_examples=40)
def test_ranks_at_a_tolerance_are_means_over_all_orders_of_ties(rows, tolerance):
    one = ranking(rows)
    found = near(one, tolerance)
    rank, first = first_hits(one.similarity, one.distance_frames <= tolerance)
    np.testing.assert_allclose(found.rank, rank)
    np.testing.assert_allclose(found.first, first)


@given(similarities)
@settings(max_examples=40)
def test_without_tolerance_the_rank_is_the_windows_own(rows):
    one = ranking(rows)
    np.testing.assert_allclose(near(one, 0).rank, one.ranks.expected)
    np.testing.assert_allclose(near(one, 0).first, one.ranks.expected_top(1))


@given(similarities)
@settings(max_examples=40)
def test_a_wider_tolerance_never_ranks_later(rows):
    one = ranking(rows)
    by_tolerance = [near(one, frames).rank for frames in (0, 5, 10, 20)]
    assert (np.diff(by_tolerance, axis=0) <= 1e-9).all()


def test_chance_at_a_tolerance_is_what_random_orders_give():
    n, tolerance = 40, 10
    rng = np.random.default_rng(7)
    drawn = [near(ranking(rng.random((n, n))), tolerance) for _ in range(200)]
    expected = drawn[0]
    assert expected.chance_first == pytest.approx(
        np.mean([one.first.mean() for one in drawn]), abs=0.01
    )
    pooled = np.median(np.concatenate([one.rank for one in drawn]))
    assert expected.chance_median_rank == pytest.approx(pooled, abs=1)


# --- equal targets ----------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3), min_size=2, max_size=8), st.integers(0, 1000))
def test_no_ranking_beats_the_ceiling_of_equal_targets(groups, seed):
    by_group = np.random.default_rng(seed).random((4, len(groups)))
    one = ranking(by_group[groups], targets=groups)
    assert one.ranks.expected_reciprocal.mean() <= one.mrr_ceiling + 1e-12
    depths = np.arange(1, len(groups) + 1)
    assert (one.curve(depths) <= one.curve_ceiling(depths) + 1e-12).all()


def test_the_ceiling_is_reached_by_whoever_knows_the_group():
    groups = np.array([0, 0, 0, 1, 2, 2])
    listed = (groups[:, None] == groups) - 0.01 * np.arange(6)
    one = ranking(listed, targets=groups)
    assert one.n_distinct == 3
    assert one.ranks.expected_reciprocal.mean() == pytest.approx(one.mrr_ceiling)
    depths = np.arange(1, 7)
    np.testing.assert_allclose(one.curve(depths), one.curve_ceiling(depths))


# --- chance that keeps time -------------------------------------------------------------------


@given(similarities.filter(lambda rows: len(rows) == 9))
@settings(max_examples=15)
def test_shifts_are_ranks_of_another_window(rows):
    one = ranking(np.kron(rows, np.ones((2, 2))) + 1e-3 * np.arange(18))
    depths = np.array([1, 3, 9])
    found = shifted(one, depths)
    shifts = range(4, 15)  # nearer ones share frames
    assert len(found.mrr) == len(shifts)
    for row, shift in enumerate(shifts):
        plain = ranks(one.similarity, (np.arange(18) + shift) % 18)
        assert found.mrr[row] == pytest.approx(plain.expected_reciprocal.mean())
        np.testing.assert_allclose(
            found.curves[row], [plain.expected_top(k).mean() for k in depths]
        )


def smooth_series(rng, n, n_values=3, width=15):
    """Return values that stay alike for a while, (n, n_values)."""
    noise = rng.normal(size=(n + width, n_values))
    return np.stack([noise[i : i + width].mean(axis=0) for i in range(n)])


def test_unrelated_streams_that_move_slowly_are_rarely_called_related():
    rng = np.random.default_rng(7)
    called = []
    for _ in range(60):
        queries, candidates = (smooth_series(rng, 90) for _ in range(2))
        one = ranking(queries @ candidates.T)
        mrr = one.ranks.expected_reciprocal.mean()
        called.append(shifted(one, np.array([1])).p_value(mrr) <= 0.05)
    assert np.mean(called) <= 0.12


def test_streams_that_belong_together_beat_every_shift():
    values = smooth_series(np.random.default_rng(7), 90)
    one = ranking(-np.linalg.norm(values[:, None] - values, axis=2))
    found = shifted(one, np.array([1, 10]))
    assert found.p_value(one.ranks.expected_reciprocal.mean()) == found.least_p
    assert (one.curve(found.depths) > found.band()[1]).all()


def test_too_few_windows_have_no_shift():
    assert shifted(ranking(np.eye(4)), np.array([1])) is None


# --- the place and the moment -----------------------------------------------------------------


def test_shares_beaten_are_those_counted_by_hand():
    rng = np.random.default_rng(7)
    actions = ["a"] * 9 + [None] + ["b"] * 12 + ["a"] * 6
    one = ranking(rng.integers(0, 5, (28, 28)) / 4, actions)
    found = place_and_moment(one)
    for query, action in enumerate(actions):
        shares = {}
        for same in (True, False):
            others = [
                one.similarity[query, other]
                for other, name in enumerate(actions)
                if None not in (name, action) and (name == action) is same
                and abs(other - query) * STEP >= 20
            ]  # fmt: skip
            own = one.similarity[query, query]
            beaten = [1.0 * (value < own) + 0.5 * (value == own) for value in others]
            shares[same] = np.mean(beaten) if beaten else np.nan
        np.testing.assert_allclose(
            [found.within[query], found.across[query]], [shares[True], shares[False]]
        )


def test_knowing_the_place_is_not_knowing_the_moment():
    actions = ["pour"] * 30 + ["stir"] * 30
    place = np.array([a == "stir" for a in actions])
    only_place = ranking((place[:, None] == place) * 1.0, actions)
    found = place_and_moment(only_place)
    assert (found.across == 1).all()
    assert (found.within == 0.5).all()
    assert found.p_within == 1


def test_knowing_the_moment_is_told_within_an_action():
    actions = ["pour"] * 30 + ["stir"] * 30
    away = np.abs(np.arange(60)[:, None] - np.arange(60))
    found = place_and_moment(ranking(-(away % 30), actions))  # the same moment of either action
    assert (found.within == 1).all()
    assert found.across.mean() < 1
    assert found.p_within < 0.01


def test_without_labels_there_is_neither():
    found = place_and_moment(ranking(np.eye(12)))
    assert np.isnan(found.within).all()
    assert found.names == ()
    assert found.p_within is None


def test_contrast_tells_a_diagonal_from_blocks():
    actions = ["pour"] * 20 + ["stir"] * 20
    place = np.repeat([0, 1], 20)
    blocks = contrast(ranking((place[:, None] == place) * 1.0, actions))
    assert blocks.own == pytest.approx(blocks.action)
    assert blocks.own == pytest.approx(1)
    assert blocks.elsewhere == pytest.approx(-1)
    diagonal = contrast(ranking(np.eye(40), actions))
    assert diagonal.own > 5
    assert diagonal.action == pytest.approx(diagonal.elsewhere)
    assert contrast(ranking(np.eye(40))).action is None


# --- examples ---------------------------------------------------------------------------------


def test_examples_are_the_middle_queries_of_their_kind():
    similarity = np.full((12, 12), 0.0)
    answers = {0: (0, 0.9), 1: (1, 0.7), 2: (2, 0.8), 3: (4, 0.6), 4: (11, 0.5), 5: (11, 0.4)}
    for query, (answered, cosine) in answers.items():
        similarity[query, answered] = cosine
    for query in range(6, 12):
        similarity[query, 0] = 0.1 * query
    found = examples(ranking(similarity), near_frames=5, n_answers=2)
    assert {kind: one.query for kind, one in found.items()} == {
        "hit": 2,
        "near miss": 3,
        "failure": 8,
    }
    assert found["hit"].n_alike == 3
    assert found["failure"].n_alike == 8
    assert found["near miss"].answers.tolist() == [4, 0]
    assert found["near miss"].rank == pytest.approx(7)
    assert examples(ranking(np.eye(5)), 5)["failure"] is None
