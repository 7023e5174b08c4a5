"""Heads that work with inner products, held to the direct implementation beside this file."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xperience.models import gram, linear

from . import direct
from .designs import blocks, only, pairs_design, shuffled_design, windows_design

CALM = linear.Descent(epochs=40, step=0.01)


def z_scored(design: gram.Design, values: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    rows = direct.samples(design.parts, values.__getitem__)
    z, z_test = direct.z_scored(rows, design.train, design.test)
    return z.astype(np.float64), z_test.astype(np.float64)


DESIGNS = st.one_of(
    st.builds(windows_design, st.integers(6, 40)),
    st.builds(pairs_design, st.integers(6, 25), st.sampled_from([0.5, 0.61, 0.7])),
    st.builds(shuffled_design, st.integers(6, 40), st.integers(0, 99)),
)


@settings(max_examples=20, deadline=None)
@given(design=DESIGNS, seed=st.integers(0, 999))
def test_products_are_those_of_z_scored_samples(design, seed):
    values = blocks(41, seed)
    z, z_test = z_scored(design, values)
    made = only(design, values)
    scale = np.linalg.norm(z, axis=1)
    np.testing.assert_allclose(made.train, z @ z.T, rtol=1e-5, atol=1e-5 * scale.max() ** 2)
    bound = 1e-5 * np.outer(np.linalg.norm(z_test, axis=1), scale) + 1e-6
    assert (np.abs(made.test - z_test @ z.T) <= bound).all()
    weights = np.random.default_rng(seed).normal(size=(z.shape[1], 3))
    for side, rows in zip(made.project(weights), (z, z_test), strict=True):
        lengths = np.linalg.norm(rows, axis=1, keepdims=True) * np.linalg.norm(weights, axis=0)
        assert (np.abs(side - rows @ weights) <= 1e-5 * lengths + 1e-6).all()


@settings(max_examples=12, deadline=None)
@given(design=DESIGNS, seed=st.integers(0, 999), n_classes=st.integers(1, 8))
def test_softmax_is_the_direct_one(design, seed, n_classes):
    values = blocks(41, seed)
    z, z_test = z_scored(design, values)
    codes = np.random.default_rng(seed).integers(0, n_classes, len(z))
    ours = linear.softmax(only(design, values), codes, n_classes, CALM)
    test, train, loss = direct.softmax(z, z_test, codes, n_classes, epochs=40, step=0.01)
    np.testing.assert_allclose(ours.train, train, atol=2e-3)
    assert ours.train_loss == pytest.approx(loss, rel=1e-3)
    sure = np.abs(np.log(np.maximum(test, 1e-12))) < 3
    np.testing.assert_allclose(ours.test[sure], test[sure], atol=5e-3)


@settings(max_examples=12, deadline=None)
@given(n=st.integers(8, 40), seed=st.integers(0, 999), n_labels=st.integers(1, 5))
def test_logistic_is_the_direct_one(n, seed, n_labels):
    values, design = blocks(41, seed), windows_design(n)
    z, z_test = z_scored(design, values)
    members = np.random.default_rng(seed).random((len(z), n_labels)) < 0.3
    ours = linear.logistic(only(design, values), members, CALM)
    test = direct.logistic(z, z_test, members, epochs=40, step=0.01)
    np.testing.assert_allclose(ours.test, test, atol=2e-3)


@settings(max_examples=20, deadline=None)
@given(design=DESIGNS, seed=st.integers(0, 999))
def test_ridge_is_the_direct_one(design, seed):
    values = blocks(41, seed)
    z, z_test = z_scored(design, values)
    targets = np.random.default_rng(seed).normal(3, 2, (len(z), 4)).astype(np.float32)
    ours = linear.ridge(only(design, values), targets)
    theirs = direct.ridge(z, z_test, targets)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("design", [windows_design(30), pairs_design(30)], ids=["window", "pair"])
def test_chunks_do_not_change_products(design, monkeypatch):
    values = blocks(41, 4)
    whole = only(design, values)
    monkeypatch.setattr(gram, "CHUNK_COLUMNS", 5)
    parted = only(design, values)
    np.testing.assert_allclose(parted.train, whole.train, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(parted.test, whole.test, rtol=1e-4, atol=1e-4)


def test_designs_that_share_windows_share_the_work_and_equal_ones_the_products():
    values, asked = blocks(41, 5), []

    def source(name: str) -> np.ndarray:
        asked.append(name)
        return values[name]

    designs = [windows_design(30), windows_design(30, ("wide",)), windows_design(30)]
    made = {place: one for places, one in gram.products(designs, source) for place in places}
    assert made[0] is made[2]
    assert asked.count("wide") == 3  # one pass, and the sizes of the two that are left
    np.testing.assert_allclose(made[1].train, only(designs[1], values).train)


def test_an_empty_set_takes_its_likeliest_label():
    chosen = linear.chosen_sets(np.array([[0.2, 0.4, 0.1], [0.6, 0.5, 0.4]]))
    assert chosen.tolist() == [[False, True, False], [True, True, False]]
