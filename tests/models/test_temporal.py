"""The temporal head on planted problems whose answer lies in what came before."""

from dataclasses import replace

import numpy as np
import pytest

from xperience.errors import ParamsError
from xperience.models import goals, stacked, temporal
from xperience.models.conditioning import Inputs

EAGER = replace(temporal.TEMPORAL, dropout=0.2, epochs=20, patience=5, rate=6e-3, width=32)
BRIEF = replace(stacked.DENSE, epochs=20)


def history(n: int, n_steps: int) -> np.ndarray:
    """Each window with those before it, oldest first; -1 before the first."""
    steps = np.arange(n)[:, None] - np.arange(n_steps - 1, -1, -1)
    return np.where(steps < 0, -1, steps)


def share_right(fits, truth) -> float:
    return float(np.mean([(fit.test.argmax(axis=1) == truth).mean() for fit in fits]))


def sides(n: int) -> tuple[np.ndarray, np.ndarray, goals.Validation]:
    cut = n * 2 // 3
    held = goals.Validation(np.arange(cut * 2 // 3), np.arange(cut * 2 // 3, cut))
    return np.arange(cut), np.arange(cut, n), held


def test_a_label_of_some_steps_ago_is_learnt_and_by_no_single_window():
    back = 5
    values = np.random.default_rng(1).normal(size=(600, 6)).astype(np.float32)
    codes = np.roll(values[:, 0] > 0, back).astype(int)
    train, test, held = sides(600)
    goal = goals.Goal("classify", codes[train], 2)
    inputs = temporal.Sequences((temporal.Steps(values, history(600, 6)),), train, test)
    assert share_right(temporal.temporal(inputs, goal, held, (1,), EAGER), codes[test]) > 0.85
    alone = stacked.dense(Inputs(values[train], values[test]), goal, held, (1,), BRIEF)
    assert share_right(alone, codes[test]) < 0.65


def test_a_vector_that_goes_on_as_it_went():
    """The next move is the last one: zero where only the present is seen."""
    rng = np.random.default_rng(2)
    moves = np.repeat(rng.normal(size=(60, 3)), 10, axis=0)
    values = (np.cumsum(moves, axis=0) + rng.normal(0, 0.05, (600, 3))).astype(np.float32)
    train, test, held = sides(600)
    goal = goals.Goal("vectors", moves[train].astype(np.float32), 3)
    inputs = temporal.Sequences((temporal.Steps(values, history(600, 4)),), train, test)
    (fit,) = temporal.temporal(inputs, goal, held, (1,), EAGER)
    still = np.square(moves[test]).mean()
    assert np.square(fit.test - moves[test]).mean() < 0.35 * still


def test_two_parts_that_belong_together_or_not():
    """Parts side by side: aligned where both show the same, else shifted."""
    rng = np.random.default_rng(3)
    state = np.sign(rng.normal(size=(500, 1)))
    seen, heard = (
        np.concatenate([state + rng.normal(0, 0.1, (500, 1)), rng.normal(0, 0.3, (500, 3))], 1)
        for _ in range(2)
    )
    own = np.arange(500)
    other = np.where(rng.random(500) < 0.5, own, rng.permutation(500))
    same = (state[own, 0] == state[other, 0]).astype(int)
    parts = tuple(
        temporal.Steps(values.astype(np.float32), rows[:, None])
        for values, rows in ((seen, own), (heard, other))
    )
    train, test, held = sides(500)
    goal = goals.Goal("classify", same[train], 2)
    patient = replace(EAGER, epochs=80, patience=30)
    fits = temporal.temporal(temporal.Sequences(parts, train, test), goal, held, (1,), patient)
    assert share_right(fits, same[test]) > 0.9


def test_what_lies_before_the_recording_is_not_read():
    values = np.random.default_rng(4).normal(size=(90, 4)).astype(np.float32)
    train, test, held = sides(90)
    goal = goals.Goal("classify", (values[train, 0] > 0).astype(int), 2)
    short, brief = history(90, 3), replace(EAGER, epochs=3, patience=3)
    long = np.concatenate([np.full((90, 1), -1), short], axis=1)
    answers = [
        temporal.temporal(
            temporal.Sequences((temporal.Steps(values, steps),), train, test),
            goal, held, (1,), brief,
        )[0].test
        for steps in (short, long)
    ]  # fmt: skip
    np.testing.assert_allclose(*answers, atol=1e-5)
    last = values.copy()
    last[-1] = 1e3
    shown = temporal.Sequences(
        (temporal.Steps(last, np.where(short == 89, -1, short)),), train, test
    )
    (fit,) = temporal.temporal(shown, goal, held, (1,), brief)
    np.testing.assert_allclose(fit.test[:-1], answers[0][:-1], atol=1e-5)


def test_a_seed_gives_the_same_bytes_twice_and_seeds_differ():
    values = np.random.default_rng(5).normal(size=(120, 4)).astype(np.float32)
    train, test, held = sides(120)
    goal = goals.Goal("multilabel", values[train, :2] > 0, 2)
    inputs = temporal.Sequences((temporal.Steps(values, history(120, 3)),), train, test)
    brief = replace(EAGER, epochs=4)
    one, two = temporal.temporal(inputs, goal, held, (7, 8), brief)
    again = temporal.temporal(inputs, goal, held, (7, 8), brief)
    assert [fit.test.tobytes() for fit in (one, two)] == [fit.test.tobytes() for fit in again]
    assert not np.allclose(one.test, two.test)
    assert [row.epoch for row in one.curve] == [1, 2, 3, 4]


def test_parts_that_disagree_are_refused():
    values = np.zeros((5, 2), np.float32)
    parts = tuple(temporal.Steps(values, np.zeros((4, n), int)) for n in (2, 3))
    with pytest.raises(ParamsError, match="samples and steps"):
        temporal.Sequences(parts, np.arange(2), np.arange(2, 4))
