"""Do the intervals hold the truth as often as they say, and are they withheld where they cannot."""

import numpy as np
import pytest
from arch.bootstrap import CircularBlockBootstrap
from scipy.signal import lfilter

from xperience.evaluation.metrics import METRICS, boundaries, labels, score, weighted
from xperience.evaluation.resampling import (
    MIN_BLOCKS,
    IntervalStatus,
    Resampling,
    block_weights,
    choose_block_length,
    difference,
    effective_sample_size,
    fixed_b,
    interval,
    segments,
)

N = 350


def in_runs(rng, n, stay, share):
    """Right predictions in runs: with probability `stay` a window is as the one before."""
    fresh, renewed = rng.random(n) < share, rng.random(n) >= stay
    source = np.where(renewed, np.arange(n), 0)
    return fresh[np.maximum.accumulate(source)].astype(float)


def autoregressive(rng, n, phi):
    return lfilter([1], [1, -phi], rng.normal(size=n + 200))[200:]


def mean_of(series):
    return lambda weights: weights @ series / weights.sum(axis=1)


def interval_of(metric, evidence, how=None):
    return interval(weighted(metric, evidence), len(evidence), how, METRICS[metric].bounds)


def holds(found, truth):
    return found.low is not None and found.low <= truth <= found.high


def coverage(draw, truth, n_runs, n_resamples=400):
    """Return the share of stated intervals that hold the truth, for blocks and for single draws."""
    single = block_weights(N, 1, n_resamples)
    by_blocks, by_samples = [], []
    for seed in range(n_runs):
        series = draw(np.random.default_rng(seed))
        found = interval(mean_of(series), N, Resampling(n_resamples, seed))
        if found.verdict is IntervalStatus.OK:
            by_blocks.append(holds(found, truth))
        low, high = np.quantile(mean_of(series)(single), [0.025, 0.975])
        by_samples.append(low <= truth <= high)
    return np.mean(by_blocks), np.mean(by_samples), len(by_blocks) / n_runs


def test_blocks_cover_where_independent_draws_do_not():
    blocks, singles, stated = coverage(lambda rng: in_runs(rng, N, 0.7, 0.5), 0.5, n_runs=80)
    assert 0.90 <= blocks <= 0.98
    assert singles < 0.75
    assert stated > 0.9


@pytest.mark.slow
@pytest.mark.parametrize(("stay", "share"), [(0.5, 0.5), (0.5, 0.3), (0.7, 0.3), (0.8, 0.5)])
def test_coverage_of_accuracy(stay, share):
    blocks, singles, stated = coverage(lambda rng: in_runs(rng, N, stay, share), share, 400)
    assert 0.90 <= blocks <= 0.98
    assert singles < 0.80
    assert stated > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("phi", [0.5, 0.7, 0.8, 0.9])
def test_coverage_of_a_mean_error(phi):
    blocks, singles, stated = coverage(lambda rng: autoregressive(rng, N, phi), 0, 400)
    assert 0.90 <= blocks <= 0.98
    assert singles < 0.80
    assert stated > 0.7


def scene(rng, n, stay):
    """Actions in runs, and a head that is right in runs of its own."""
    renewed = np.where(rng.random(n) >= stay, np.arange(n), 0)
    truth = rng.integers(4, size=n)[np.maximum.accumulate(renewed)]
    return truth, np.where(in_runs(rng, n, stay, 0.6) > 0, truth, rng.integers(4, size=n))


@pytest.mark.slow
@pytest.mark.parametrize("stay", [0.5, 0.7, 0.8])
def test_coverage_of_macro_f1(stay):
    truth = score("macro_f1_present", labels(*scene(np.random.default_rng(0), 200_000, stay))).value
    held = []
    for seed in range(300):
        evidence = labels(*scene(np.random.default_rng(seed), N, stay))
        found = interval_of("macro_f1_present", evidence, Resampling(400, seed))
        if found.verdict is IntervalStatus.OK:
            held.append(holds(found, truth))
    assert 0.90 <= np.mean(held) <= 0.98
    assert len(held) > 270


@pytest.mark.slow
def test_coverage_of_a_paired_difference():
    held = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        shared = autoregressive(rng, N, 0.8)
        first, second = (shared + 0.3 * autoregressive(rng, N, 0.6) for _ in range(2))
        found = difference(mean_of(first + 0.1), mean_of(second), N, Resampling(400, seed))
        held.append(holds(found, 0.1))
    assert 0.90 <= np.mean(held) <= 0.98


@pytest.mark.slow
def test_coverage_over_recordings():
    held = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(14), 32)
        series = rng.normal(size=14)[groups] + rng.normal(size=len(groups))
        found = interval(mean_of(series), len(groups), Resampling(400, seed, groups=groups))
        held.append(holds(found, 0))
    assert 0.90 <= np.mean(held) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.05, 0.1, 0.15])
def test_the_fixed_b_factor_is_the_95_percent_point(share):
    rng = np.random.default_rng(0)
    n, length = 1000, int(1000 * share)
    ratio = []
    for _ in range(4000):
        series = rng.normal(size=n)
        deviation = series - series.mean()
        spectrum = np.abs(np.fft.rfft(deviation, 2 * n)) ** 2
        covariance = np.fft.irfft(spectrum)[:length] / n
        bartlett = 1 - np.arange(length) / length
        variance = 2 * covariance @ bartlett - covariance[0]
        ratio.append(abs(series.mean()) * np.sqrt(n / variance))
    assert np.quantile(ratio, 0.95) / 1.96 == pytest.approx(fixed_b(share), abs=0.05)


# --- verdicts ---------------------------------------------------------------------------------


def test_too_few_blocks_withholds_the_interval():
    series = autoregressive(np.random.default_rng(0), N, 0.995)
    found = interval(mean_of(series), N)
    assert found.verdict is IntervalStatus.TOO_FEW_BLOCKS
    assert (found.low, found.high) == (None, None)
    assert f"at least {MIN_BLOCKS} are needed" in found.reason
    assert found.estimate == pytest.approx(series.mean())
    assert not found.excludes_zero


def test_a_score_that_rests_on_two_segments_is_withheld():
    right = np.zeros(343, bool)
    right[0:5] = right[31:36] = True  # as the published head on the action task
    found = interval_of(
        "accuracy", labels(np.arange(343) % 5, np.where(right, np.arange(343) % 5, 9))
    )
    assert found.verdict is IntervalStatus.TOO_FEW_BLOCKS
    assert "too few independent segments (2; 8 needed)" in found.reason


def test_no_variation_is_not_certainty():
    found = interval_of("accuracy", labels(["a", "b"] * 100, ["a", "b"] * 100))
    assert found.verdict is IntervalStatus.NO_VARIATION
    assert (found.estimate, found.low) == (1.0, None)


def test_an_undefined_score_has_no_interval():
    found = interval_of("f1_right", labels(["a"] * 50, ["a"] * 50, options="ab", positive="b"))
    assert (found.verdict, found.estimate) == (IntervalStatus.UNDEFINED, None)
    assert interval(mean_of(np.empty(0)), 0).reason == "no samples"


def test_a_score_undefined_in_many_resamples_has_no_interval():
    series = np.random.default_rng(0).normal(size=N)

    def often_undefined(weights):
        return np.where(weights[:, 0] > 1, np.nan, mean_of(series)(weights))

    found = interval(often_undefined, N)
    assert found.verdict is IntervalStatus.UNDEFINED
    assert "% of the resamples" in found.reason


# --- what an interval is made of --------------------------------------------------------------


def test_the_interval_grows_with_dependence_and_keeps_its_range():
    rng = np.random.default_rng(1)
    independent, dependent = (in_runs(rng, N, stay, 0.5) for stay in (0.0, 0.8))
    short, long = (interval(mean_of(x), N, bounds=(0, 1)) for x in (independent, dependent))
    assert long.high - long.low > 1.8 * (short.high - short.low)
    assert long.block_length > short.block_length
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
    nothing = difference(mean_of(first), mean_of(first), N)
    assert nothing.verdict is IntervalStatus.NO_VARIATION


def test_boundary_f1_has_an_interval_too():
    rng = np.random.default_rng(4)
    frames = np.arange(40, 8000, 160)
    centers = 9 + 5 * np.arange(1600)
    near = (np.abs(centers[:, None] - frames).min(axis=1) < 3) & (rng.random(1600) < 0.6)
    found = interval_of(
        "boundary_f1", boundaries(centers, near | (rng.random(1600) < 0.01), frames)
    )
    assert found.verdict is IntervalStatus.OK
    assert 0 < found.low < found.estimate < found.high < 1


def test_the_block_length_follows_the_dependence_and_never_falls_below_the_overlap():
    rng = np.random.default_rng(6)
    lengths = [
        np.mean([choose_block_length(autoregressive(rng, N, phi)) for _ in range(20)])
        for phi in (0.0, 0.5, 0.8, 0.95)
    ]
    assert lengths == sorted(lengths)
    assert choose_block_length(rng.normal(size=N), min_block=30) == 30
    assert choose_block_length(np.ones(N)) == 4
    assert choose_block_length(np.ones(3)) == 3


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.8])
def test_the_effective_sample_size_of_an_autoregressive_series(phi):
    rng = np.random.default_rng(7)
    found = [effective_sample_size(autoregressive(rng, 4000, phi)) for _ in range(20)]
    assert np.mean(found) == pytest.approx(4000 * (1 - phi) / (1 + phi), rel=0.12)


def test_the_effective_sample_size_stays_between_one_and_n():
    assert effective_sample_size(np.ones(9)) == 9
    assert effective_sample_size(np.arange(300)) < 6
    assert effective_sample_size(np.tile([0.0, 1.0], 50)) == 100
    assert segments(np.array([1.0, 0, 1, 1, 0, 1])) == 2


@pytest.mark.parametrize(("n", "length"), [(348, 7), (50, 1), (50, 50), (10, 7)])
def test_block_weights_are_those_of_arch(n, length):
    plain = CircularBlockBootstrap(length, np.arange(n), seed=np.random.default_rng(3))
    drawn = [np.bincount(plain.update_indices(), minlength=n) for _ in range(40)]
    assert (block_weights(n, length, 40, seed=3) == np.array(drawn)).all()


def test_recordings_that_are_all_of_a_piece_count_as_few():
    groups = np.repeat(np.arange(14), 32)
    series = np.random.default_rng(8).normal(size=14)[groups]
    found = interval(mean_of(series), len(groups), Resampling(groups=groups))
    assert found.verdict is IntervalStatus.OK
    assert found.n_effective == pytest.approx(14, abs=0.1)
    assert (found.n_blocks, found.block_length) == (14, None)
    few = interval(mean_of(series[:96]), 96, Resampling(groups=groups[:96]))
    assert few.verdict is IntervalStatus.TOO_FEW_BLOCKS
    assert "3 recordings" in few.reason
