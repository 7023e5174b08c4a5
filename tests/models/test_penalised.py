"""Corrected linear heads: the right solution for a penalty, and a penalty that generalises."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, Ridge

from xperience.models import penalised
from xperience.models.conditioning import InnerProducts, Inputs

N_TRAIN, N_TEST, N_AXES = 120, 80, 12


def folds(n: int = N_TRAIN, k: int = 4) -> list:
    parts = np.array_split(np.arange(n), k)
    return [(np.setdiff1d(np.arange(n), part), part) for part in parts]


@pytest.fixture
def inputs() -> Inputs:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (N_TRAIN + N_TEST, N_AXES)) * np.linspace(3, 0.5, N_AXES)
    x = x.astype(np.float32)
    return Inputs(x[:N_TRAIN], x[N_TRAIN:])


def size(inputs: Inputs) -> float:
    centred = inputs.train - inputs.train.mean(axis=0)
    return float(np.square(centred).sum(axis=1).mean())


def test_ridge_is_scikit_learns(inputs):
    rng = np.random.default_rng(1)
    y = inputs.train @ rng.normal(0, 1, (N_AXES, 5)) + rng.normal(0, 1, (N_TRAIN, 5))
    near = 5
    purged = [
        (fit[(fit < held[0] - near) | (fit > held[-1] + near)], held) for fit, held in folds()
    ]
    found = penalised.ridge(inputs, y, purged)
    alpha = found.penalty * size(inputs) * N_TRAIN
    z = (y - y.mean(axis=0)) / y.std(axis=0)
    reference = Ridge(alpha=alpha).fit(inputs.train, z).predict(inputs.test)
    np.testing.assert_allclose(found.test, reference * y.std(axis=0) + y.mean(axis=0), atol=1e-4)
    rows = np.concatenate([inputs.train, inputs.test]).astype(float)
    by_samples = penalised.ridge(InnerProducts(rows @ rows[:N_TRAIN].T), y, purged)
    assert by_samples.penalty == found.penalty
    np.testing.assert_allclose(by_samples.losses, found.losses, rtol=1e-5)
    wide = np.hstack([y] * 40)  # more values than samples
    many = penalised.ridge(inputs, wide, purged)
    np.testing.assert_allclose(many.test, np.hstack([found.test] * 40), atol=1e-8)
    np.testing.assert_allclose(many.losses, found.losses, rtol=1e-6)
    for penalty, loss in zip(penalised.PENALTIES[::-1], found.losses, strict=True):
        errors = []
        for fit, held in purged:
            x = inputs.train[fit]
            alpha = penalty * np.square(x - x.mean(axis=0)).sum()
            plain = Ridge(alpha=alpha).fit(x, z[fit])
            errors.append(np.square(plain.predict(inputs.train[held]) - z[held]).mean())
        assert loss == pytest.approx(np.mean(errors), rel=1e-4)
    np.testing.assert_allclose(by_samples.test, found.test, atol=1e-8)


def test_softmax_is_scikit_learns(inputs):
    codes = (inputs.train[:, 0] > 0).astype(int) + (inputs.train[:, 1] > 1)
    found = penalised.softmax_regression(inputs, codes, 3, folds())
    scale = np.sqrt(size(inputs))
    reference = LogisticRegression(
        C=1 / (found.penalty * N_TRAIN), class_weight="balanced", tol=1e-6, max_iter=2000
    ).fit(inputs.train / scale, codes)
    np.testing.assert_allclose(found.test, reference.predict_proba(inputs.test / scale), atol=0.02)


def test_noise_is_answered_with_the_mean(inputs):
    y = np.random.default_rng(2).normal(4, 1, (N_TRAIN, 3))
    found = penalised.ridge(inputs, y, folds())
    assert found.penalty >= 0.1
    assert np.abs(found.test - y.mean(axis=0)).max() < 0.5


def test_a_class_that_a_fold_lacks_and_one_without_samples_do_no_harm(inputs):
    codes = np.r_[np.zeros(60, int), np.ones(30, int), np.full(30, 2)]
    found = penalised.softmax_regression(inputs, codes, 4, folds(k=4))
    assert found.test.shape == (N_TEST, 4)
    assert np.isfinite(found.test).all()
    assert found.test[:, 3].max() < 0.35
    np.testing.assert_allclose(found.test.sum(axis=1), 1)


def test_labels_of_sets_are_found(inputs):
    rng = np.random.default_rng(3)
    weights = rng.normal(0, 1, (N_AXES, 6))
    members = expit(3 * inputs.train @ weights) > 0.5
    members[:, 5] = False
    found = penalised.logistic_regressions(inputs, members, folds())
    truth = inputs.test @ weights[:, :5] > 0
    assert ((found.test[:, :5] > 0.5) == truth).mean() > 0.85
    assert (found.test[:, 5] < 0.5).all()


def test_a_fold_whose_targets_do_not_vary_is_passed_over(inputs):
    y = np.zeros((N_TRAIN, 2))
    y[90:] = np.random.default_rng(4).normal(0, 1, (30, 2))
    constant = [(np.arange(90), np.arange(90, N_TRAIN))]
    for targets in (y, np.hstack([y + 1e-9] * 80)):  # few, and more than there are samples
        alone = penalised.ridge(inputs, targets, constant)
        assert (alone.losses, alone.penalty) == ((), penalised.PENALTIES[-1])
    assert len(penalised.ridge(inputs, y, [*constant, *folds()]).losses) > 0
