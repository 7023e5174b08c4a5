"""Effects: what they measure, and that twelve comparisons of nothing find nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from xperience.evaluation.ablation import Effect, adjusted, effect, significant
from xperience.evaluation.resampling import Resampling

N_TASKS, N = 12, 348


def dependent(rng: np.random.Generator, n_series: int, correlation: float) -> np.ndarray:
    """Series whose neighbours are correlated, shape (n_series, 348)."""
    noise = rng.normal(size=(n_series, N + 100))
    return lfilter([1], [1, -correlation], noise, axis=1)[:, 100:]


def between(first, second, **groups) -> Effect:
    """The effect between two scores that are means of what each sample contributes."""
    sides = tuple(lambda w, v=values: w @ v / w.sum(axis=1) for values in (first, second))
    return effect(sides, first - second, Resampling(400, **groups))


def verdicts(found: list[Effect]) -> list[bool]:
    return [
        significant(*one) for one in zip(found, adjusted([one.p for one in found]), strict=True)
    ]


def test_gain_is_the_difference_of_means_and_wins_count_samples():
    found = between(np.array([1.0, 1, 0, 5] * 20), np.array([0.0, 1, 1, 0] * 20))
    assert found.gain.estimate == pytest.approx(1.25)
    assert found.net_wins.estimate == pytest.approx(0.25)


def test_wins_do_not_heed_the_unit_and_turning_the_sides_turns_the_signs():
    first, second = dependent(np.random.default_rng(0), 2, 0.5)
    one, other = between(first, second), between(-1000 * first, -1000 * second)
    assert other.net_wins.estimate == pytest.approx(-one.net_wins.estimate)
    assert other.gain.estimate == pytest.approx(-1000 * one.gain.estimate)
    assert other.p == pytest.approx(one.p)


def test_equal_predictions_are_not_significant():
    same = np.random.default_rng(2).normal(size=N)
    found = between(same, same)
    assert found.gain.estimate == found.net_wins.estimate == 0
    assert found.p is None
    assert verdicts([found]) == [False]


def test_a_clear_difference_is_significant_among_eleven_nulls():
    rng = np.random.default_rng(3)
    first, second = dependent(rng, N_TASKS, 0.5), dependent(rng, N_TASKS, 0.5)
    first[4] += 1.5
    found = [between(a, b) for a, b in zip(first, second, strict=True)]
    assert verdicts(found) == [place == 4 for place in range(N_TASKS)]


def test_recordings_are_the_units_where_there_are_several():
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(12), 29)
    own = rng.normal(size=12)[groups] + 0.01 * rng.normal(size=N)  # differs between, not within
    found = between(own, np.zeros(N), groups=groups)
    assert found.gain.n_blocks == 12
    assert found.p > 0.01


@settings(max_examples=10)
@given(st.lists(st.one_of(st.none(), st.floats(1e-6, 1)), max_size=12))
def test_adjusted_p_values_are_holms(p_values):
    found = adjusted(p_values)
    assert [one is None for one in found] == [one is None for one in p_values]
    known = sorted((p, q) for p, q in zip(p_values, found, strict=True) if p is not None)
    running = 0.0
    for place, (p, q) in enumerate(known):
        running = max(running, min(1.0, p * (len(p_values) - place)))
        assert q == pytest.approx(running)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twelve_comparisons_of_nothing_are_seldom_significant():
    """5 % of studies should be; 10 % is two standard errors above that, for 100 studies."""
    rng = np.random.default_rng(5)
    false, uncorrected, n_studies = 0, 0, 100
    for _ in range(n_studies):
        first, second = (dependent(rng, N_TASKS, correlation=0.8) for _ in range(2))
        found = [between(a, b) for a, b in zip(first, second, strict=True)]
        false += any(verdicts(found))
        uncorrected += any(one.gain.excludes_zero for one in found)
    assert false / n_studies <= 0.10
    assert uncorrected / n_studies > 0.25  # what comparing twelve times without correction does
