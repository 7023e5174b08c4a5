"""Effects: what they measure, and that twelve comparisons of nothing find nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from xperience.evaluation.ablation import Effect, effect
from xperience.evaluation.intervals import Segmentation
from xperience.evaluation.records import ALPHA, Record, holm

N_TASKS, N = 12, 348


def dependent(rng: np.random.Generator, n_series: int, correlation: float) -> np.ndarray:
    """Series whose neighbours are correlated, shape (n_series, 348)."""
    noise = rng.normal(size=(n_series, N + 100))
    return lfilter([1], [1, -correlation], noise, axis=1)[:, 100:]


def between(first, second, **groups) -> Effect:
    """The effect between two scores that are means of what each sample contributes."""
    sides = tuple(lambda w, v=values: w @ v / w.sum(axis=1) for values in (first, second))
    return effect(sides, first - second, Segmentation(**groups))


def verdicts(found: list[Effect]) -> list[bool]:
    rows = [gap(place, one.gain.p) for place, one in enumerate(found)]
    return [row.p_holm <= ALPHA for row in holm(rows)]


def gap(place: int, p: float) -> Record:
    names = {"run": "r", "section": "s", "contract": "c", "head": "linear", "against": "rival"}
    return Record(**names, task=str(place), metric="f1", value=0.1, p=p)


def test_gain_is_the_difference_of_means_and_wins_count_samples():
    found = between(np.array([1.0, 1, 0, 5] * 20), np.array([0.0, 1, 1, 0] * 20))
    assert found.gain.estimate == pytest.approx(1.25)
    assert found.net_wins.estimate == pytest.approx(0.25)


def test_wins_do_not_heed_the_unit_and_turning_the_sides_turns_the_signs():
    first, second = dependent(np.random.default_rng(0), 2, 0.5)
    one, other = between(first, second), between(-1000 * first, -1000 * second)
    assert other.net_wins.estimate == pytest.approx(-one.net_wins.estimate)
    assert other.gain.estimate == pytest.approx(-1000 * one.gain.estimate)
    assert other.gain.p == pytest.approx(one.gain.p)


def test_equal_predictions_are_not_significant():
    same = np.random.default_rng(2).normal(size=N)
    found = between(same, same)
    assert found.gain.estimate == found.net_wins.estimate == 0
    assert found.gain.p == 1
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
    assert found.gain.n_segments == 12
    assert found.gain.p > 0.01


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=12))
def test_adjusted_p_values_are_holms(p_values):
    rows = holm([gap(place, p) for place, p in enumerate(p_values)])
    assert [row.p for row in rows] == p_values
    n = len(p_values)
    for row in rows:  # the greatest step of those that come before it
        steps = [min(1, (n - sorted(p_values).index(p)) * p) for p in p_values if p <= row.p]
        assert row.p_holm == pytest.approx(max(steps))
    assert holm(rows) == rows


def test_what_hangs_on_rounding_is_none_of_the_family():
    rows = [gap(place, p) for place, p in enumerate((0.01, 0.02, 0.03))]
    rows[0] = rows[0].model_copy(update={"no_verdict": "unstable: otherwise in single precision"})
    rows[1] = rows[1].model_copy(update={"no_verdict": "seeds disagree: 4 of 5"})
    assert [row.p_holm for row in holm(rows)] == [None, 0.04, 0.04]


def test_a_family_is_one_comparison_over_tasks_whichever_baseline_is_best():
    names = {"against": ("majority", "zero_velocity", "linear", "linear"), "p": (0.01,) * 4}
    tasks, variants = ("a", "b", "a", "b"), (None, None, None, "seen")
    rows = [
        gap(0, 1).model_copy(update={"task": task, "against": against, "p": p, "variant": of})
        for task, against, p, of in zip(tasks, *names.values(), variants, strict=True)
    ]
    own = {"variant": "floor", "against": None, "p": None}
    floors = [rows[0].model_copy(update={"head": name, **own}) for name in names["against"][:2]]
    assert [row.p_holm for row in holm(rows + floors)[:4]] == [0.02, 0.02, 0.01, 0.01]


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
