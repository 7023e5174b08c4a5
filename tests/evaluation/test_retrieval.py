"""Retrieval analysis against plain references and rankings counted by hand, and its figures."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xperience.evaluation.intervals import Segmentation
from xperience.evaluation.metrics import ranks
from xperience.evaluation.retrieval import (
    BETWEEN,
    WITHIN,
    Ranking,
    action_rows,
    chance_rows,
    chance_within_tolerance,
    circular_shifts,
    curve,
    queries_by_kind,
    shift_p,
    similarity_rows,
    tolerance_rows,
    within_and_between,
    within_tolerance,
)
from xperience.report.figures.retrieval import (
    draw_actions,
    draw_distances,
    draw_ranks,
    draw_similarity,
)

STEP = 5
BASE = {"run": "r", "section": "s", "contract": "corrected", "task": "cross_modal_retrieval"}
BASE |= {"head": "linear"}


def ranking(similarity, actions=None, targets=None, segmentation=None):
    """Return a ranking of windows a step apart, all targets different unless given."""
    n = len(similarity)
    return Ranking(
        "cross_modal_retrieval",
        "corrected",
        np.asarray(similarity, dtype=float),
        9 + STEP * np.arange(n),
        np.arange(n)[:, None] if targets is None else np.asarray(targets)[:, None],
        tuple([None] * n if actions is None else actions),
        segmentation or Segmentation(),
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
    expected = first_hits(one.similarity, one.distance_frames <= tolerance)
    np.testing.assert_allclose(within_tolerance(one, tolerance), expected)


@given(similarities)
@settings(max_examples=40)
def test_a_wider_tolerance_never_ranks_later(rows):
    one = ranking(rows)
    by_tolerance = [within_tolerance(one, frames)[0] for frames in (0, 5, 10, 20)]
    assert (np.diff(by_tolerance, axis=0) <= 1e-9).all()


def test_chance_at_a_tolerance_is_what_random_orders_give():
    n, tolerance = 40, 10
    rng = np.random.default_rng(7)
    one = ranking(rng.random((n, n)))
    drawn = [within_tolerance(ranking(rng.random((n, n))), tolerance) for _ in range(200)]
    chance_rank, chance_first = chance_within_tolerance(one, tolerance)
    assert chance_first == pytest.approx(np.mean([first.mean() for _, first in drawn]), abs=0.01)
    pooled = np.median(np.concatenate([rank for rank, _ in drawn]))
    assert chance_rank == pytest.approx(pooled, abs=1)


# --- equal targets ----------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3), min_size=2, max_size=8), st.integers(0, 1000))
def test_no_ranking_beats_the_ceiling_of_equal_targets(groups, seed):
    by_group = np.random.default_rng(seed).random((4, len(groups)))
    one = ranking(by_group[groups], targets=groups)
    assert one.ranks.expected_reciprocal.mean() <= one.mrr_ceiling + 1e-12
    depths = np.arange(1, len(groups) + 1)
    assert (curve(one.ranks, depths) <= one.curve_ceiling(depths) + 1e-12).all()


def test_the_ceiling_is_reached_by_whoever_knows_the_group():
    groups = np.array([0, 0, 0, 1, 2, 2])
    listed = (groups[:, None] == groups) - 0.01 * np.arange(6)
    one = ranking(listed, targets=groups)
    assert one.n_distinct == 3
    assert one.ranks.expected_reciprocal.mean() == pytest.approx(one.mrr_ceiling)
    depths = np.arange(1, 7)
    np.testing.assert_allclose(curve(one.ranks, depths), one.curve_ceiling(depths))


# --- chance that keeps time -------------------------------------------------------------------


@given(similarities.filter(lambda rows: len(rows) == 9))
@settings(max_examples=15)
def test_shifts_are_ranks_of_another_window(rows):
    one = ranking(np.kron(rows, np.ones((2, 2))) + 1e-3 * np.arange(18))
    found = circular_shifts(one)
    shifts = range(4, 15)  # nearer ones share frames
    assert len(found.better) == len(shifts)
    for row, shift in enumerate(shifts):
        plain = ranks(one.similarity, (np.arange(18) + shift) % 18)
        np.testing.assert_allclose(found.expected_reciprocal[row], plain.expected_reciprocal)


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
        called.append(shift_p(one, circular_shifts(one)) <= 0.05)
    assert np.mean(called) <= 0.12


def test_streams_that_belong_together_beat_every_shift():
    values = smooth_series(np.random.default_rng(7), 90)
    one = ranking(-np.linalg.norm(values[:, None] - values, axis=2))
    found = circular_shifts(one)
    assert shift_p(one, found) == pytest.approx(1 / (1 + len(found.better)))
    depths = np.array([1, 10])
    assert (curve(one.ranks, depths) > curve(found, depths).max(axis=0)).all()


def test_too_few_windows_have_no_shift():
    one = ranking(np.eye(4))
    assert circular_shifts(one) is None
    skipped = [row for row in chance_rows(one, None, BASE) if row.status == "skipped"]
    assert "every shift leaves the pair with common frames" in skipped[0].reason


# --- within and between actions ---------------------------------------------------------------


def test_shares_beaten_are_those_counted_by_hand():
    rng = np.random.default_rng(7)
    actions = ["a"] * 9 + [None] + ["b"] * 12 + ["a"] * 6
    one = ranking(rng.integers(0, 5, (28, 28)) / 4, actions)
    within, between, _ = within_and_between(one)
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
        expected = [shares[True], shares[False]]
        np.testing.assert_allclose([within[query], between[query]], expected)


def test_between_action_retrieval_is_not_within_action_retrieval():
    actions = ["pour"] * 30 + ["stir"] * 30
    place = np.array([a == "stir" for a in actions])
    within, between, p = within_and_between(ranking((place[:, None] == place) * 1.0, actions))
    assert (between == 1).all()
    assert (within == 0.5).all()
    assert p == 1
    away = np.abs(np.arange(60)[:, None] - np.arange(60))
    within, between, p = within_and_between(ranking(-(away % 30), actions))
    assert (within == 1).all()  # the same time within either action
    assert between.mean() < 1
    assert p < 0.01


def test_without_labels_there_is_neither():
    one = ranking(np.eye(12))
    within, _, p = within_and_between(one)
    assert np.isnan(within).all()
    assert p is None
    assert {row.reason for row in action_rows(one, BASE)} == {"no test window has an action"}


def test_similarity_tells_a_diagonal_from_blocks():
    actions = ["pour"] * 20 + ["stir"] * 20
    place = np.repeat([0, 1], 20)

    def similarity(values, names=actions):
        return {row.variant: row.value for row in similarity_rows(ranking(values, names), BASE)}

    blocks = similarity((place[:, None] == place) * 1.0)
    assert blocks["own window"] == pytest.approx(blocks["same action"]) == pytest.approx(1)
    assert blocks["elsewhere"] == pytest.approx(-1)
    diagonal = similarity(np.eye(40))
    assert diagonal["own window"] > 5
    assert diagonal["same action"] == pytest.approx(diagonal["elsewhere"])
    assert similarity(np.eye(40), None)["same action"] is None


# --- examples and figures ---------------------------------------------------------------------


def test_queries_are_told_apart_by_where_their_first_answer_lies():
    similarity = np.full((12, 12), 0.0)
    answers = {0: (0, 0.9), 1: (1, 0.7), 2: (2, 0.8), 3: (4, 0.6), 4: (11, 0.5), 5: (11, 0.4)}
    for query, (answered, cosine) in answers.items():
        similarity[query, answered] = cosine
    for query in range(6, 12):
        similarity[query, 0] = 0.1 * query
    found = queries_by_kind(ranking(similarity), near_frames=5)
    assert {kind: alike.tolist() for kind, alike in found.items()} == {
        "hit": [1, 2, 0],
        "near miss": [3],
        "failure": [5, 4, 6, 7, 8, 9, 10, 11],
    }
    assert len(queries_by_kind(ranking(np.eye(5)), 5)["failure"]) == 0


@pytest.mark.parametrize(
    ("aligned", "said"), [(True, "better than"), (False, "No significant difference")]
)
def test_the_figures_say_what_the_ranks_are(aligned, said):
    values = smooth_series(np.random.default_rng(7), 90)
    other = values if aligned else np.roll(values, 40, axis=0)
    similarity = -np.linalg.norm(values[:, None] - other, axis=2)
    one = ranking(similarity, ["pour"] * 45 + ["stir"] * 45)
    key = ("corrected", one.task)
    rankings, shifts = {key: one}, {key: circular_shifts(one)}
    rows = [*chance_rows(one, shifts[key], BASE), *tolerance_rows(one, (0, 20), BASE)]
    rows += [*similarity_rows(one, BASE), *action_rows(one, BASE)]
    assert said in draw_ranks(rankings, shifts, rows).title
    away_s = np.median(one.first_distance_frames) / 20
    assert f"top result: {away_s:.1f} s (" in draw_distances(rankings, rows, 20.0).title
    own = next(row.value for row in rows if row.variant == "own window")
    assert f"from the query's mean: {own:+.1f} SD (" in draw_similarity(rankings, rows, 20.0).title
    metrics = {row.metric for row in rows}
    assert {WITHIN, BETWEEN} <= metrics
    assert draw_actions(rows).title
