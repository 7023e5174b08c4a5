"""Wide targets on their principal axes: the same loss, the same answers, fewer outputs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xperience.models.goals import Goal, Objective, target_axes
from xperience.models.stacked import Chances

SHARES = st.sampled_from([0.5, 0.9, 0.99, 1.0])


def low_rank(n: int, n_values: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    inner = min(3, n, n_values)
    values = (
        rng.normal(size=(n, inner)) * [4.0, 2.0, 1.0][:inner] @ rng.normal(size=(inner, n_values))
    )
    return (values + 0.05 * rng.normal(size=values.shape)).astype(np.float32)


@given(st.integers(2, 30), st.integers(1, 40), SHARES, st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_as_few_axes_as_hold_the_share(n, n_values, share, seed):
    scores = low_rank(n, n_values, seed)
    axes, scale = target_axes(scores, share)
    np.testing.assert_allclose(axes @ axes.T, np.eye(len(axes)), atol=2e-3)
    total = np.square(scores).sum()
    along = np.square(scores @ axes.T).sum(axis=0)
    assert along.sum() >= (share - 1e-4) * total
    assert along[:-1].sum() < share * total * (1 + 1e-4), "one axis fewer holds less"
    np.testing.assert_allclose(np.square(scores @ axes.T / scale).mean(), 1, rtol=1e-3)


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (1, 4), (4, 1)])
def test_targets_that_are_all_zero_have_an_axis_and_a_scale(shape):
    axes, scale = target_axes(np.zeros(shape, np.float32), 0.99)
    assert axes.shape == (1, shape[1])
    assert scale == 1


@given(SHARES, st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_the_loss_is_that_of_the_whole_vector_but_for_a_constant(share, seed):
    values = low_rank(20, 50, seed)
    goal, known = Goal("vectors", values, 50), np.arange(14)
    whole = Objective(goal, known, least_deviation=1e-2)
    turned = Objective(goal, known, least_deviation=1e-2, kept_share=share)
    samples = torch.arange(20)
    rng = np.random.default_rng(seed)
    gaps = []
    for _ in range(3):
        outputs = torch.from_numpy(rng.normal(size=(20, turned.n_outputs)).astype(np.float32))
        said = (turned.answers(outputs) - whole.answers(torch.zeros(1, 50))) / whole._std
        same = whole.losses(torch.from_numpy(said.astype(np.float32)), samples)
        gaps.append((same - turned.losses(outputs, samples)).numpy())
    np.testing.assert_allclose(gaps[1], gaps[0], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(gaps[2], gaps[0], rtol=1e-3, atol=1e-5)
    assert (gaps[0] > -1e-3).all()


def test_a_component_that_only_held_out_samples_have_does_not_swamp_their_loss():
    values = low_rank(20, 10, 1)
    values[:, 9] = 0
    values[15:, 9] = 50
    goal = Goal("vectors", values, 10)
    asked = {"known": np.arange(15), "least_deviation": 1e-2}
    held, zeros = torch.arange(15, 20), torch.zeros(5, 10)
    assert Objective(goal, **asked).losses(zeros, held).min() > 100
    turned = Objective(goal, **asked, kept_share=0.99)
    assert turned.losses(zeros[:, : turned.n_outputs], held).max() < 10


@pytest.mark.parametrize("share", [0.25, 0.3, 0.5])
def test_a_share_of_hidden_values_is_dropped_and_their_mean_is_kept(share):
    ones = torch.ones(2, 400, 64)
    dropped = Chances([7, 8]).dropped(ones, share)
    assert abs(float((dropped == 0).float().mean()) - share) < 0.01
    assert abs(float(dropped.mean()) - 1) < 0.02
    assert len(dropped.unique()) == 2
    assert not torch.equal(dropped[0], dropped[1])
    (alone,) = Chances([8]).dropped(ones[1:], share)
    assert torch.equal(alone, dropped[1]), "a seed's draws don't depend on its company"
