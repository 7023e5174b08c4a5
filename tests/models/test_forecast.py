"""Forecasters on made-up movements with known dynamics."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize

from xperience.models import forecast as forecasting
from xperience.models.baselines import zero_velocity
from xperience.models.forecast import (
    DAMPINGS,
    FORECASTERS,
    MEMORIES,
    damped,
    damping_of,
    forecast,
    mean_distance,
)

N, N_STEPS, N_AHEAD, N_JOINTS = 90, 10, 10, 6
FIRST, LAST = np.arange(60), np.arange(60, N)


def moved(paths):
    """Return the steps and the way ahead of paths (n, N_STEPS + 1 + N_AHEAD, joints, 3)."""
    past, present = paths[:, N_STEPS::-1], paths[:, N_STEPS, None]
    return past[:, :-1] - past[:, 1:], paths[:, N_STEPS + 1 :] - present


def coasting(keeps, seed=0):
    """Return movements that keep a share of their velocity each frame, (steps, ahead)."""
    rng = np.random.default_rng(seed)
    speeds = 10 ** rng.uniform(-2, -1, (N, 1, 1))
    velocity = speeds * rng.normal(size=(N, N_JOINTS, 3))
    kept = keeps(speeds[:, 0, 0])[:, None] ** np.arange(-N_STEPS, N_AHEAD + 1)  # (n, times)
    return moved(np.cumsum(kept[..., None, None] * velocity[:, None], axis=1))


def answered(name, steps, ahead):
    found = FORECASTERS[name](steps[FIRST], ahead[FIRST], steps[LAST])
    return mean_distance(found, ahead[LAST])


def test_damping_is_found_and_goes_on_exactly():
    steps, ahead = coasting(lambda speed: np.full_like(speed, 0.7))
    assert damping_of(steps, ahead) == (1, 0.7)
    assert answered("damped_velocity", steps, ahead) < 1e-12


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_damping_is_the_best_of_all_forecasts(kind):
    rng = np.random.default_rng(4)
    steps, ahead = coasting(lambda speed: rng.uniform(0.5, 1, len(speed)), seed=4)
    steps, ahead = ((one + rng.normal(0, 0.01, one.shape)).astype(kind) for one in (steps, ahead))

    def off(one):
        return mean_distance(damped(steps, *one, N_AHEAD), ahead)

    assert damping_of(steps, ahead) == min(product(MEMORIES, DAMPINGS), key=off)


def test_one_autoregression_learns_a_swing_of_any_place_and_way():
    rng = np.random.default_rng(1)
    times = np.arange(N_STEPS + 1 + N_AHEAD)[None, :, None, None]
    phase, size = rng.uniform(0, 6, (N, 1, N_JOINTS, 1)), rng.normal(size=(N, 1, N_JOINTS, 3))
    steps, ahead = moved(0.1 * size * np.sin(times / 4 + phase))
    still = mean_distance(zero_velocity(0 * ahead[LAST, 0], N_AHEAD), ahead[LAST])
    assert answered("shared_ar", steps, ahead) < 0.02 * still
    assert answered("damped_velocity", steps, ahead) > 0.3 * still


def test_an_autoregression_has_the_least_distance_not_the_least_squares():
    steps, ahead = coasting(lambda speed: np.full_like(speed, 0.8))
    rng = np.random.default_rng(2)
    ahead = ahead + 0.1 * rng.standard_t(1.5, size=ahead.shape)
    last, wanted = steps[:, :1], ahead[:, :1]

    def distance(coefficient):
        return mean_distance(coefficient * last, wanted)

    best = minimize(distance, 1.0, method="Nelder-Mead").x[0]
    found = forecasting._least_distance(last, wanted)[0, 0]
    assert found == pytest.approx(best, abs=0.02)


def test_gates_let_slow_hands_stop_and_fast_ones_go_on():
    speed = 10 ** np.random.default_rng(4).uniform(-2, -1, N)
    last = speed[:, None, None, None] * np.ones((N, N_STEPS, N_JOINTS, 3)) / 3**0.5
    ahead = np.log(speed / 0.01)[:, None, None, None] * last  # the slowest stop at once
    assert answered("gated_ar", last, ahead) < 0.2 * answered("shared_ar", last, ahead)


def test_the_gain_network_learns_and_turns_with_the_axes():
    steps, ahead = coasting(lambda speed: 0.9 + 0.4 * np.log10(speed / 0.1))
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    network = FORECASTERS["gain_network"]
    plain = network(steps[FIRST], ahead[FIRST], steps[LAST])
    turned = network(steps[FIRST], ahead[FIRST], steps[LAST] @ turn)
    np.testing.assert_allclose(turned, plain @ turn, atol=1e-5)
    assert mean_distance(plain, ahead[LAST]) < answered("damped_velocity", steps, ahead)


@pytest.mark.parametrize("name", FORECASTERS)
def test_hands_that_never_move_are_forecast_to_rest(name, monkeypatch):
    monkeypatch.setattr(forecasting, "UPDATES", 5)
    steps, ahead = np.zeros((2, 20, N_STEPS, N_JOINTS, 3))
    assert not FORECASTERS[name](steps, ahead, steps).any()


def test_the_choice_is_made_by_what_comes_later_in_training_alone():
    steps, ahead = coasting(lambda speed: np.full_like(speed, 0.7))
    seen = []

    def spy(factor):
        def forecaster(steps, ahead, asked):
            seen.append((len(steps), len(asked)))
            return factor * asked[:, :1] * np.cumsum(0.7 ** np.arange(1, 11))[:, None, None]

        return forecaster

    spies = {"off": spy(0.5), "right": spy(1.0)}
    folds = [(FIRST[:30], FIRST[30:45]), (FIRST[:45], FIRST[45:])]
    asked = np.full_like(steps[LAST], np.nan)  # what is asked can't tell which one is right
    found, name = forecast(steps[FIRST], ahead[FIRST], asked, folds, spies)
    assert name == "right"
    assert np.isnan(found).all()
    assert seen == [(30, 15), (45, 15)] * 2 + [(60, 30)]
    assert forecast(steps[FIRST], ahead[FIRST], asked, [], spies)[1] == "off"
