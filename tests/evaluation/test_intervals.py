"""Do intervals hold the truth as often as they say, and is little called a difference that is none.

The slow tests are the simulation by which the method was chosen: docs/reading.md tells its figures.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import ttest_1samp

from xperience.evaluation.intervals import (
    FEWEST,
    IntervalStatus,
    Segmentation,
    difference,
    effective_sample_size,
    interval,
)
from xperience.evaluation.metrics import METRICS, boundaries, labels, score, weighted

N = 350


def in_runs(rng, n, stay, share):
    """Right predictions in runs: with probability `stay` a window is as the one before."""
    fresh, renewed = rng.random(n) < share, rng.random(n) >= stay
    source = np.where(renewed, np.arange(n), 0)
    return fresh[np.maximum.accumulate(source)].astype(float)


def autoregressive(rng, n, phi):
    return lfilter([1], [1, -phi], rng.normal(size=n + 200))[200:]


def scene(rng, n, stay):
    """Actions in runs, and a head that is right in runs of its own."""
    renewed = np.where(rng.random(n) >= stay, np.arange(n), 0)
    truth = rng.integers(4, size=n)[np.maximum.accumulate(renewed)]
    return truth, np.where(in_runs(rng, n, stay, 0.6) > 0, truth, rng.integers(4, size=n))


def mean_of(series):
    return lambda weights: weights @ series / weights.sum(axis=1)


def interval_of(metric, evidence, how=None):
    return interval(weighted(metric, evidence), len(evidence), how, METRICS[metric].bounds)


def share_held(draw, truth, n, n_runs):
    """Return the share of intervals that hold the truth; every series has one."""
    found = [interval(mean_of(draw(np.random.default_rng(seed), n)), n) for seed in range(n_runs)]
    assert all(one.status is IntervalStatus.OK for one in found)
    return np.mean([one.low <= truth <= one.high for one in found])


# --- coverage, and differences that are none ---------------------------------------------------


def test_intervals_hold_the_truth_where_independent_ones_do_not():
    def draw(rng, n):
        return in_runs(rng, n, 0.7, 0.5)

    assert 0.88 <= share_held(draw, 0.5, N, 100) <= 1
    means = np.array([draw(np.random.default_rng(seed), N).mean() for seed in range(100)])
    assert np.mean(np.abs(means - 0.5) < 1.96 * 0.5 / np.sqrt(N)) < 0.75


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "phi", "least"),
    [(100, 0.5, 0.91), (100, 0.8, 0.89), (100, 0.95, 0.78), (200, 0.9, 0.88),
     (400, 0.5, 0.92), (400, 0.8, 0.91), (400, 0.9, 0.90), (400, 0.95, 0.88)],
)  # fmt: skip
def test_coverage_of_a_mean_error(n, phi, least):
    held = share_held(lambda rng, n: autoregressive(rng, n, phi), 0, n, 500)
    assert least <= held <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize(("stay", "share"), [(0.5, 0.5), (0.5, 0.3), (0.7, 0.3), (0.8, 0.5)])
def test_coverage_of_accuracy(stay, share):
    assert 0.90 <= share_held(lambda rng, n: in_runs(rng, n, stay, share), share, N, 400) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("stay", [0.5, 0.7, 0.8])
def test_coverage_of_macro_f1(stay):
    truth = score("macro_f1_present", labels(*scene(np.random.default_rng(0), 200_000, stay))).value
    held, middles = [], []
    for seed in range(300):
        evidence = labels(*scene(np.random.default_rng(seed), N, stay))
        found = interval_of("macro_f1_present", evidence)
        held.append(found.low <= truth <= found.high)
        middles.append((found.low + found.high) / 2 - found.estimate)
    assert 0.90 <= np.mean(held) <= 0.98
    assert np.abs(middles).max() < 1e-9  # the score stands in the middle of its interval


@pytest.mark.slow
def test_coverage_over_recordings():
    held = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(14), 32)
        series = rng.normal(size=14)[groups] + rng.normal(size=len(groups))
        found = interval(mean_of(series), len(groups), Segmentation(groups=groups))
        held.append(found.low <= 0 <= found.high)
    assert 0.90 <= np.mean(held) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "stay", "share", "most"),
    [(100, 0.5, 0.5, 0.10), (100, 0.9, 0.5, 0.17), (200, 0.8, 0.5, 0.10), (200, 0.95, 0.5, 0.17),
     (350, 0.5, 0.1, 0.09), (350, 0.8, 0.5, 0.08), (350, 0.9, 0.1, 0.08), (350, 0.95, 0.5, 0.12)],
)  # fmt: skip
def test_a_difference_that_is_none_is_seldom_found(n, stay, share, most):
    found = 0
    for seed in range(600):
        rng = np.random.default_rng(seed)
        sides = [mean_of(in_runs(rng, n, stay, share)) for _ in range(2)]
        found += difference(*sides, n, bounds=(0, 1)).p <= 0.05
    assert found / 600 <= most


# --- what an interval is made of ---------------------------------------------------------------


@given(st.integers(3, 16), st.integers(4, 9), st.integers(0, 10**6))
def test_over_recordings_of_one_length_it_is_the_t_test_of_their_means(n_groups, size, seed):
    series = np.random.default_rng(seed).normal(1, 1, n_groups * size)
    groups = np.repeat(np.arange(n_groups), size)
    found = interval(mean_of(series), len(series), Segmentation(groups=groups))
    plain = ttest_1samp(series.reshape(n_groups, size).mean(axis=1), 0.0)
    assert found.p == pytest.approx(plain.pvalue, rel=1e-6)
    assert (found.low, found.high) == pytest.approx(tuple(plain.confidence_interval(0.95)))
    assert found.excludes_zero == (found.p < 0.05)


def test_the_interval_grows_with_dependence_and_keeps_its_range():
    rng = np.random.default_rng(1)
    independent, dependent = (in_runs(rng, N, stay, 0.5) for stay in (0.0, 0.9))
    short, long = (interval(mean_of(x), N, bounds=(0, 1)) for x in (independent, dependent))
    assert long.high - long.low > 1.8 * (short.high - short.low)
    assert long.n_segments < short.n_segments
    assert long.n_effective < 0.5 * short.n_effective
    rare = interval(mean_of(in_runs(rng, N, 0.3, 0.04)), N, bounds=(0, 1))
    assert rare.low >= 0


def test_a_paired_difference_is_surer_than_either_score():
    rng = np.random.default_rng(2)
    shared = autoregressive(rng, N, 0.7)
    first, second = (shared + 0.1 * rng.normal(size=N) + k for k in (0.1, 0.0))
    found = difference(mean_of(first), mean_of(second), N)
    alone = interval(mean_of(first), N)
    assert found.excludes_zero
    assert found.high - found.low < 0.2 * (alone.high - alone.low)


@pytest.mark.parametrize("metric", ["boundary_f1", "boundary_timing_error"])
def test_boundary_scores_have_intervals_too(metric):
    rng = np.random.default_rng(4)
    frames = np.arange(40, 8000, 160)
    centers = 9 + 5 * np.arange(1600)
    near = (np.abs(centers[:, None] - frames).min(axis=1) < 9) & (rng.random(1600) < 0.6)
    found = interval_of(metric, boundaries(centers, near | (rng.random(1600) < 0.01), frames))
    assert found.status is IntervalStatus.OK
    assert 0 <= found.low < found.estimate < found.high


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.8])
def test_the_effective_sample_size_of_an_autoregressive_series(phi):
    rng = np.random.default_rng(7)
    found = [effective_sample_size(autoregressive(rng, 4000, phi)) for _ in range(20)]
    assert np.mean(found) == pytest.approx(4000 * (1 - phi) / (1 + phi), rel=0.12)


def test_the_effective_sample_size_stays_between_one_and_n():
    assert effective_sample_size(np.ones(9)) == 9
    assert effective_sample_size(np.arange(300)) < 6
    assert effective_sample_size(np.tile([0.0, 1.0], 50)) == 100


# --- where little can be said -------------------------------------------------------------------


def test_what_never_varies_is_not_certain():
    right = interval_of("accuracy", labels(["a", "b"] * 100, ["a", "b"] * 100))
    assert (right.estimate, right.high, right.n_segments) == (1.0, 1.0, 16)
    assert right.low == pytest.approx(0.025 ** (1 / 16))  # exact, for 16 of 16
    always = mean_of(np.ones(N))
    nothing = difference(always, always, N, bounds=(0, 1))
    assert (nothing.estimate, nothing.p, nothing.low) == (0, 1, None)
    every = difference(always, mean_of(np.zeros(N)), N, bounds=(0, 1))
    assert every.excludes_zero
    assert every.p == pytest.approx(2.0**-15)
    unbounded = difference(mean_of(np.ones(N)), mean_of(np.zeros(N)), N)
    assert unbounded.status is IntervalStatus.NO_VARIATION
    assert unbounded.low is None


@pytest.mark.parametrize("groups", [None, np.repeat([0, 1], 5)])
def test_too_few_segments_have_no_interval(groups):
    found = interval(mean_of(np.arange(10.0)), 10, Segmentation(groups=groups))
    assert found.status is IntervalStatus.TOO_FEW_SEGMENTS
    assert (found.estimate, found.low, found.p, found.excludes_zero) == (4.5, None, None, False)
    assert f"at least {FEWEST} are needed" in found.reason


def test_an_undefined_score_has_no_interval():
    found = interval_of("f1_right", labels(["a"] * 50, ["a"] * 50, options="ab", positive="b"))
    assert (found.status, found.estimate) == (IntervalStatus.UNDEFINED, None)
    assert interval(mean_of(np.empty(0)), 0).reason == "no samples"
