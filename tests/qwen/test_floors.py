from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.evaluation import metrics as scoring
from xperience.qwen.scores import average, best_constant_set, share
from xperience.qwen.scores import count_labels as tally
from xperience.qwen.scores import permuted as shuffled
from xperience.qwen.wording import LabelPairs as Pairs

names = st.sampled_from("abcd")
answers = st.lists(st.tuples(names, names, st.integers(0, 2)), min_size=2, max_size=12)


def columns(rows):
    truth, said, episodes = zip(*rows, strict=True)
    _, episodes = np.unique(episodes, return_inverse=True)
    return list(truth), list(said), episodes


def whole(score_of, episodes):
    return float(score_of(np.ones((1, episodes.max() + 1)))[0])


@given(answers)
def test_counts_by_recording_give_the_scores_of_the_samples(rows):
    truth, said, episodes = columns(rows)
    counts = tally([(t,) for t in truth], [(s,) for s in said], episodes, "xyz")
    plain = scoring.labels(truth, said, options="xyz")
    for metric in ("accuracy", "macro_f1_present", "macro_f1_union", "macro_f1_all"):
        expected = scoring.score(metric, plain, as_published=True).value
        assert whole(counts.score_of(metric), episodes) == pytest.approx(expected)


@given(answers, st.lists(st.integers(0, 3), min_size=3, max_size=3))
def test_a_recording_of_weight_two_counts_as_two(rows, weights):
    truth, said, episodes = columns(rows)
    weights = np.array(weights[: episodes.max() + 1])
    again = np.repeat(np.arange(len(rows)), weights[episodes])
    counts = tally([(t,) for t in truth], [(s,) for s in said], episodes)
    found = counts.score_of("macro_f1_present")(weights[None].astype(float))[0]
    if len(again) == 0:
        assert np.isnan(found)
        return
    drawn = scoring.labels([truth[i] for i in again], [said[i] for i in again])
    expected = scoring.score("macro_f1_present", drawn, as_published=True).value
    assert found == pytest.approx(expected)


def test_an_answer_that_could_not_be_read_is_wrong_and_claims_nothing():
    episodes = np.array([0, 1, 1])
    counts = tally([("a",), ("a",), ("b",)], [("a",), (), ("b",)], episodes)
    assert whole(counts.score_of("accuracy"), episodes) == pytest.approx(2 / 3)
    assert whole(counts.score_of("macro_f1_present"), episodes) == pytest.approx((2 / 3 + 1) / 2)


@given(st.lists(st.sets(names), min_size=1, max_size=6).filter(any))
def test_no_constant_set_beats_the_best_one(truth):
    truth = [frozenset(one) for one in truth]
    episodes = np.zeros(len(truth), dtype=int)

    def micro_f1(constant):
        counts = tally(truth, [constant] * len(truth), episodes)
        return whole(counts.score_of("micro_f1"), episodes)

    every = [set(some) for size in range(1, 5) for some in combinations("abcd", size)]
    assert micro_f1(best_constant_set(truth)) == pytest.approx(max(map(micro_f1, every)))


def pairs_of(rows, silent=()):
    truth, said, episodes = columns(rows)
    values = np.eye(4)
    places = ["abcd".index(name) for name in said]
    return Pairs(
        truth=np.array(["abcd".index(name) for name in truth]),
        said=np.array([-1 if i in silent else place for i, place in enumerate(places)]),
        episodes=episodes,
        values=values,
        among_true=values,
    )


@given(st.lists(st.tuples(names, names, st.integers(0, 1)), min_size=2, max_size=6), st.sets(
    st.integers(0, 5)
))  # fmt: skip
def test_chance_is_the_mean_over_every_way_to_deal_the_answers(rows, silent):
    pairs = pairs_of(rows, silent)
    same = np.zeros(len(rows), dtype=int)
    dealt = [
        np.mean([t == s for t, s in zip(pairs.truth, pairs.said[list(order)], strict=True)])
        for order in permutations(range(len(rows)))
    ]
    assert pairs.expected(same).mean() == pytest.approx(np.mean(dealt))
    assert pairs.expected(np.arange(len(rows))) == pytest.approx(pairs.hits)


@given(answers)
def test_the_constant_floor_is_the_most_frequent_truth(rows):
    pairs = pairs_of(rows)
    truth, _, _ = columns(rows)
    assert pairs.constant().mean() == pytest.approx(max(map(truth.count, "abcd")) / len(rows))


@given(answers)
def test_shuffles_keep_the_answers_of_their_group(rows):
    _, said, episodes = columns(rows)
    for groups in (None, episodes):
        for dealt in shuffled(said, groups):
            for one in np.unique(episodes if groups is not None else [0]):
                members = (
                    np.flatnonzero(episodes == one) if groups is not None else range(len(said))
                )
                assert sorted(dealt[i] for i in members) == sorted(said[i] for i in members)


def test_shuffles_differ():
    said = list(range(20))
    assert len({tuple(dealt) for dealt in shuffled(said)}) > 20


def test_shares_leave_out_what_does_not_count():
    episodes = np.array([0, 0, 1])
    hits, counted = np.array([1.0, 0.0, 1.0]), np.array([True, False, False])
    assert whole(share(hits, episodes, counted), episodes) == 1
    assert np.isnan(share(hits, episodes, counted)(np.array([[0.0, 1.0]]))[0])
    both = average([share(hits, episodes), share(1 - hits, episodes)])
    assert whole(both, episodes) == 0.5
