"""Counts by recording give the scores of the samples, floors are what they are called."""

import json
from itertools import combinations
from itertools import permutations as orders

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xperience.evaluation import metrics as scoring
from xperience.models.baselines import best_constant_set
from xperience.qwen.predictions import read_predictions
from xperience.qwen.schema import Options
from xperience.qwen.scores import (
    count_labels,
    evidence_rows,
    overlap,
    permutations,
    share,
)
from xperience.qwen.wording import LabelPairs

from .conftest import answer, line

BASE = {"run": "run", "section": "evaluate", "contract": "corrected", "head": "model"}
names = st.sampled_from("abcd")
answers = st.lists(st.tuples(names, names, st.integers(0, 2)), min_size=2, max_size=12)
frames = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted).map(tuple)
few = settings(max_examples=40)


def columns(rows):
    truth, said, episodes = zip(*rows, strict=True)
    return list(truth), list(said), np.unique(episodes, return_inverse=True)[1]


@few
@given(answers, st.lists(st.integers(0, 3), min_size=3, max_size=3))
def test_counts_by_recording_give_the_scores_of_the_samples_under_any_weights(rows, weights):
    truth, said, episodes = columns(rows)
    counts = count_labels([(t,) for t in truth], [(s,) for s in said], episodes, "xyz")
    weights = np.array(weights[: episodes.max() + 1])
    for metric in ("accuracy", "macro_f1_present", "macro_f1_union", "macro_f1_all"):
        plain = scoring.labels(truth, said, options="xyz")
        expected = scoring.score(metric, plain, as_published=True).value
        assert counts.value(metric) == pytest.approx(expected)
    found = counts.score_of("macro_f1_present")(weights[None].astype(float))[0]
    again = np.repeat(np.arange(len(rows)), weights[episodes])
    if len(again) == 0:
        assert np.isnan(found)
        return
    drawn = scoring.labels([truth[i] for i in again], [said[i] for i in again])
    expected = scoring.score("macro_f1_present", drawn, as_published=True).value
    assert found == pytest.approx(expected)


def test_what_could_not_be_read_is_wrong_and_what_does_not_count_is_left_out():
    episodes = np.array([0, 1, 1])
    counts = count_labels([("a",), ("a",), ("b",)], [("a",), (), ("b",)], episodes)
    assert counts.value("accuracy") == pytest.approx(2 / 3)
    assert counts.value("macro_f1_present") == pytest.approx((2 / 3 + 1) / 2)
    mean = share(np.array([0.0, 0.0, 1.0]), episodes, np.array([False, True, True]))
    assert mean(np.array([[1.0, 1.0], [0.0, 1.0]])).tolist() == [0.5, 0.5]
    assert np.isnan(share(np.ones(3), episodes, np.array([True, False, False]))(np.eye(2))[1])


@few
@given(st.lists(st.sets(names), min_size=1, max_size=6).filter(any))
def test_no_constant_set_beats_the_best_one(truth):
    episodes = np.zeros(len(truth), dtype=int)

    def micro_f1(constant):
        return count_labels(truth, [constant] * len(truth), episodes).value("micro_f1")

    every = [set(some) for size in range(1, 5) for some in combinations("abcd", size)]
    assert micro_f1(best_constant_set(truth)) == pytest.approx(max(map(micro_f1, every)))


@few
@given(st.lists(st.integers(0, 2), min_size=1, max_size=12))
def test_permuted_answers_stay_in_their_group(groups):
    groups = np.array(groups)
    for places in permutations(groups):
        assert sorted(places) == list(range(len(groups)))
        np.testing.assert_array_equal(groups[places], groups)
    assert len({tuple(places) for places in permutations(np.zeros(20))}) > 20


@few
@given(
    st.lists(st.tuples(names, names, st.integers(0, 1)), min_size=2, max_size=5),
    st.sets(st.integers(0, 5)),
)
def test_chance_is_the_mean_over_every_permutation_and_the_constant_the_commonest(rows, silent):
    truth, said, episodes = columns(rows)
    pairs = LabelPairs(
        truth=np.array(["abcd".index(name) for name in truth]),
        said=np.array([-1 if i in silent else "abcd".index(x) for i, x in enumerate(said)]),
        episodes=episodes,
        counted=np.ones(len(rows), dtype=bool),
        values=np.eye(4, 5),
        among_true=np.eye(4),
    )
    hits = [np.mean(pairs.truth == pairs.said[list(order)]) for order in orders(range(len(rows)))]
    same = np.zeros(len(rows), dtype=int)
    assert pairs.expected(same).mean() == pytest.approx(np.mean(hits))
    assert pairs.expected(np.arange(len(rows))) == pytest.approx(pairs.hits)
    assert pairs.constant().mean() == pytest.approx(max(map(truth.count, "abcd")) / len(rows))


@given(one=frames, other=frames)
def test_overlap_is_a_share_that_is_whole_only_for_the_same_frames(one, other):
    first, second, none = np.array(one), np.array(other), np.array((9, 3))
    value = overlap(first, second)
    assert value == overlap(second, first)
    shared = set(range(one[0], one[1] + 1)) & set(range(other[0], other[1] + 1))
    either = set(range(one[0], one[1] + 1)) | set(range(other[0], other[1] + 1))
    assert value == len(shared) / len(either)
    assert overlap(none, first) == overlap(first, none) == overlap(none, none) == 0


def clip_line(place, said, true, **more):
    def evidence(span):
        return {"evidence_window": {"start_frame": span[0], "end_frame": span[1]}}

    raw = json.dumps(answer(**evidence(said)))
    sizes = {"clip_frames": 20, "window_frames": 4}
    return line(place, raw, truth=evidence(true)) | sizes | more


@pytest.fixture
def evidence_scores(write):
    """Return a function (lines) to the evidence rows by head and what they are against."""

    def scored(lines):
        rows = evidence_rows(read_predictions(write(lines), Options(("Hold pen",))), BASE)
        return {(row.head, row.against): row for row in rows}

    return scored


def test_evidence_is_the_mean_overlap_beside_answers_of_one_place(evidence_scores):
    found = evidence_scores([clip_line(0, (10, 19), (10, 19)), clip_line(1, (0, 9), (10, 19))])
    floors = {name: found[name, None].value for name, against in found if against is None}
    assert floors == {
        "model": 0.5, "whole_clip": 0.5, "asked_window": 0.4, "last_frames": 1,
        "centre_of_clip": 0.5, "shuffled_answers": 0.5,
    }  # fmt: skip
    assert found["model", "last_frames"].value == -0.5
    true = [(2 * place, 19 - place % 3) for place in range(8)]
    lines = [clip_line(place, span, span) for place, span in enumerate(true)]
    row = evidence_scores(lines)["model", None]
    assert row.value == row.skill == 1 > row.floor
    lines[1]["raw_prediction"] = "no JSON"  # without a window an answer is wrong
    lines[2] = clip_line(2, (0, 10**30), true[2])  # as it is with one that nothing can hold
    assert evidence_scores(lines)["model", None].value == pytest.approx(6 / 8)


@pytest.mark.parametrize(
    "more",
    [{"clip_frames": None}, {"true_json": answer(action="unknown")}],
    ids=["the clip's length is not told", "no action is known"],
)
def test_no_evidence_is_scored_where_none_could_be_found(evidence_scores, more):
    row = evidence_scores([clip_line(0, (0, 3), (0, 3), **more)])["model", None]
    assert (row.status, row.value) == ("skipped", None)
    assert row.reason
