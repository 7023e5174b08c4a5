import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xperience.models import baselines

LABELS = st.lists(st.sampled_from("abcde"), min_size=1, max_size=30)


def mpjpe(predicted: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(predicted - truth, axis=-1).mean())


@given(train=LABELS, test=LABELS)
def test_no_closed_set_answer_beats_the_ceiling(train, test):
    bound = baselines.closed_set_ceiling(train, test)
    best = [label if label in train else train[0] for label in test]
    right = [a == b for a, b in zip(best, test, strict=True)]
    assert np.mean(right) == pytest.approx(bound.samples)
    recalls = [np.mean([r for r, t in zip(right, test, strict=True) if t == c]) for c in set(test)]
    assert np.mean(recalls) == pytest.approx(bound.classes)
    assert set(bound.unseen) == set(test) - set(train)


@given(
    train=arrays(np.int64, st.integers(1, 20), elements=st.integers(0, 500)),
    test=arrays(np.int64, st.integers(0, 20), elements=st.integers(0, 500)),
)
def test_nearest_in_time_is_nearest(train, test):
    places = baselines.nearest_in_time(train, test)
    distance = np.abs(train[places] - test)
    assert np.array_equal(distance, np.abs(train[:, None] - test).min(axis=0))


def test_chance_ties_exactly_where_candidates_are_equal():
    candidates = np.array([[1.0, 0], [2, 0], [1, 0]])
    drawn = baselines.chance_similarity(candidates, np.random.default_rng(0))
    assert np.array_equal(drawn[:, 0], drawn[:, 2])
    assert not np.array_equal(drawn[:, 0], drawn[:, 1])


@given(LABELS)
def test_class_floors_stay_in_the_training_classes(train):
    rng = np.random.default_rng(0)
    assert baselines.majority(train, 3) == [max(train, key=train.count)] * 3
    assert set(baselines.stratified(train, 50, rng)) <= set(train)


def test_prior_sets_name_the_usual_or_at_least_one():
    often = np.array([[1, 0, 1], [1, 0, 0]], dtype=bool)
    assert baselines.prior_sets(often, 2).tolist() == [[True, False, True]] * 2
    seldom = np.array([[1, 0, 0], [0, 0, 0], [0, 0, 0]], dtype=bool)
    assert baselines.prior_sets(seldom, 1).tolist() == [[True, False, False]]


def test_still_and_steady_hands_are_forecast_exactly():
    path = np.arange(15, dtype=float)[:, None] * np.ones(3)
    present, before = path[4:5], path[3:4]
    assert mpjpe(baselines.constant_velocity(present, before, 10), path[None, 5:15]) < 1e-12
    assert np.array_equal(baselines.zero_velocity(present, 2), np.stack([present, present], 1))
    assert baselines.train_mean(path, 2).tolist() == [[7.0] * 3] * 2
