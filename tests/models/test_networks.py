"""The published network and the dense one, held to the plain loop beside this file."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xperience.errors import ParamsError
from xperience.models import goals, gram, linear, mlp, stacked
from xperience.models.conditioning import Inputs

from . import direct, direct_neural
from .designs import BLOCKS, blocks, pairs_design, shuffled_design, windows_design

SMALL = mlp.Settings(width=24, dropout=0.0, batch=16, epochs=5)
BRIEF = replace(stacked.DENSE, epochs=40, patience=8)


def one_way_design(n: int) -> gram.Design:
    """Pairs in one direction only: the moments of a and b differ."""
    a, b = np.arange(n - 5), np.arange(5, n)
    parts = (gram.Part(BLOCKS, a), gram.Part(BLOCKS, b), gram.Part(BLOCKS, b, a))
    return gram.Design(parts, np.arange(n // 2), np.arange(n // 2, n - 5))


def two_blocks_design(n: int) -> gram.Design:
    """Some blocks of one window beside another block of a shifted one."""
    i = np.repeat(np.arange(n - 8), 2)
    parts = (gram.Part(BLOCKS[:2], i), gram.Part(BLOCKS[2:], i + np.tile([0, 8], n - 8)))
    cut = round(0.7 * len(i))
    return gram.Design(parts, np.arange(cut), np.arange(cut, len(i)))


DESIGNS = (windows_design, shuffled_design, pairs_design, one_way_design, two_blocks_design)


def goal_of(kind: str, n: int, seed: int = 0) -> goals.Goal:
    rng = np.random.default_rng(seed)
    if kind == "classify":
        return goals.Goal(kind, rng.integers(0, 3, n), 4)
    if kind == "multilabel":
        return goals.Goal(kind, rng.random((n, 3)) < 0.3, 3)
    return goals.Goal(kind, rng.normal(5, 3, (n, 3)).astype(np.float32), 3)


def plain_loss(goal: goals.Goal, objective: goals.Objective):
    """Return the loss a plain loop would take, written with PyTorch's own functions."""
    own = torch.nn.functional
    if goal.kind == "classify":
        weights = torch.from_numpy(linear.class_weights(goal.values, goal.n_outputs)).float()
        codes = torch.from_numpy(goal.values)
        return lambda outputs, at: (
            weights[at] * own.cross_entropy(outputs, codes[at], reduction="none")
        ).mean()
    if goal.kind == "multilabel":
        positive = goal.values.sum(axis=0)
        gain = np.clip((len(goal) - positive) / np.maximum(positive, 1), 1, 20)
        members, gain = (torch.from_numpy(side).float() for side in (goal.values, gain))
        return lambda outputs, at: own.binary_cross_entropy_with_logits(
            outputs, members[at], pos_weight=gain
        )
    return lambda outputs, at: own.mse_loss(outputs, objective.targets[at])


def directly(design: gram.Design, values, goal: goals.Goal, seed: int) -> np.ndarray:
    """Return what the plain loop says of test samples, from the same start."""
    rows = direct.samples(design.parts, values.__getitem__)
    sides = [torch.from_numpy(z) for z in direct.z_scored(rows, design.train, design.test)]
    chance = torch.Generator().manual_seed(seed)
    model = direct_neural.network(rows.shape[1], goal.n_outputs, width=SMALL.width, dropout=0)
    for layer in model:
        if isinstance(layer, torch.nn.Linear):
            started = mlp.start(layer.in_features, layer.out_features, chance)
            layer.weight.data, layer.bias.data = started
    objective = goals.Objective(goal)
    adam, loss = direct_neural.adam(model), plain_loss(goal, objective)
    for _ in range(SMALL.epochs):
        order = torch.randperm(len(goal), generator=chance)
        options = {"batch": SMALL.batch, "order": order}
        direct_neural.epoch(model, adam, sides[0], loss, **options)
    return objective.answers(direct_neural.outputs(model, sides[1]))


@settings(max_examples=8, deadline=None)
@given(
    draw=st.sampled_from(DESIGNS),
    kind=st.sampled_from(goals.KINDS),
    n=st.integers(20, 40),
    seed=st.integers(0, 99),
)
def test_published_network_is_the_plain_loop(draw, kind, n, seed):
    design, values = draw(n), blocks(n, seed)
    goal = goal_of(kind, len(design.train), seed)
    (fit,) = mlp.published_mlp(design, values.__getitem__, goal, [seed], SMALL)
    n_features = sum(values[name].shape[1] for part in design.parts for name in part.blocks)
    sizes = (2 * n_features, (n_features + 1 + SMALL.width + 1) * SMALL.width)
    assert fit.n_parameters == sum(sizes) + (SMALL.width + 1) * goal.n_outputs
    test = directly(design, values, goal, seed)
    np.testing.assert_allclose(fit.test, test, rtol=2e-3, atol=2e-3 * np.abs(test).max())


@pytest.mark.parametrize("draw", [windows_design, pairs_design])
def test_a_seed_gives_the_same_bytes_whatever_ran_before(draw):
    design, values = draw(40), blocks(40, 4)
    goal = goal_of("classify", len(design.train))
    dropping = replace(SMALL, dropout=0.1)
    state = torch.get_rng_state()
    one, two = mlp.published_mlp(design, values.__getitem__, goal, [7, 8], dropping)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    torch.rand(17)
    (again,) = mlp.published_mlp(design, values.__getitem__, goal, [8], dropping)
    assert again.test.tobytes() == two.test.tobytes()
    assert again.curve == two.curve
    assert not np.allclose(one.test, two.test)


def test_a_gpu_gives_nearly_what_a_cpu_gives(monkeypatch):
    if not torch.cuda.is_available():
        pytest.skip("PyTorch sees no GPU")
    rows = drawn(120)
    inputs, goal = Inputs(rows[:90], rows[90:]), goal_of("classify", 90)
    sides = []
    for there in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        sides.append(stacked.dense(inputs, goal, halves(90), (7,), BRIEF)[0].test)
    np.testing.assert_allclose(*sides, atol=1e-2)


@pytest.mark.parametrize(
    ("kind", "values", "what"),
    [
        ("guess", np.zeros(3), "of kind 'guess'"),
        ("classify", np.zeros((3, 2)), "shape"),
        ("classify", np.array([0, 2]), "class codes 0 to 2"),
        ("vectors", np.zeros((3, 3)), "shape"),
    ],
)
def test_goals_that_do_not_fit_are_refused(kind, values, what):
    with pytest.raises(ParamsError, match=what):
        goals.Goal(kind, values, 2)


def drawn(n: int, n_axes: int = 20, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, n_axes)) * np.linspace(3, 0.3, n_axes)).astype(np.float32)


def halves(n: int) -> goals.Validation:
    return goals.Validation(np.arange(n * 2 // 3), np.arange(n * 2 // 3, n))


def test_dense_learns_what_no_linear_head_can():
    rows = drawn(600, 8)
    codes = (rows[:, 0] * rows[:, 1] > 0).astype(int)
    inputs, goal = Inputs(rows[:400], rows[400:]), goals.Goal("classify", codes[:400], 2)
    patient = replace(stacked.DENSE, epochs=40, rate=1e-2)
    for fit in stacked.dense(inputs, goal, halves(400), (1,), patient):
        assert (fit.test.argmax(axis=1) == codes[400:]).mean() > 0.85


def test_dense_stops_early_and_refits_on_everything():
    """Labels are noise: what is held out can only get worse, so few epochs are chosen."""
    rows = drawn(300, 40)
    codes = np.random.default_rng(1).integers(0, 2, 300)
    goal = goals.Goal("classify", codes[:200], 2)
    inputs = Inputs(rows[:200], rows[200:])
    quick = replace(stacked.DENSE, rate=1e-2, patience=5)
    for fit in stacked.dense(inputs, goal, halves(200), (1, 2, 3), quick):
        held = [row.validation_loss for row in fit.curve]
        assert fit.epochs == 1 + int(np.argmin(held))
        assert len(held) < quick.epochs
        assert fit.curve[-1].train_loss < fit.curve[0].train_loss


def test_dense_seeds_do_not_disturb_each_other():
    rows = drawn(120)
    goal = goals.Goal("classify", (rows[:90, 0] > 0).astype(int), 2)
    inputs = Inputs(rows[:90], rows[90:])
    many = stacked.dense(inputs, goal, halves(90), (3, 4, 5), BRIEF)
    again = stacked.dense(inputs, goal, halves(90), (3, 4, 5), BRIEF)
    (alone,) = stacked.dense(inputs, goal, halves(90), (4,), BRIEF)
    assert [fit.test.tobytes() for fit in many] == [fit.test.tobytes() for fit in again]
    np.testing.assert_allclose(alone.test, many[1].test, atol=1e-3)
    assert not np.allclose(many[0].test, many[1].test)


def test_classes_that_only_held_out_samples_have_do_not_count():
    rows = drawn(90)
    codes = np.r_[np.tile([0, 1], 30), np.full(30, 2)]
    goal = goals.Goal("classify", codes, 4)
    (fit,) = stacked.dense(Inputs(rows, rows[:5]), goal, halves(90), (1,), BRIEF)
    assert fit.epochs == BRIEF.unjudged == len(fit.curve), "nothing counts that is held out"
    assert (fit.test.shape, fit.seed) == ((5, 4), 1)
    width, n_axes = BRIEF.width, rows.shape[1]
    assert fit.n_parameters == (n_axes + 1) * width + (width + 1) * 4
    np.testing.assert_allclose(fit.test.sum(axis=1), 1, rtol=1e-5)
    assert fit.curve[-1].train_loss < fit.curve[0].train_loss
    mixed = goals.Validation(np.arange(50), np.arange(50, 90))
    (fit,) = stacked.dense(Inputs(rows, rows[:5]), goal, mixed, (1,), BRIEF)
    assert np.isfinite([row.validation_loss for row in fit.curve]).all()
    assert np.isfinite(fit.test).all()
