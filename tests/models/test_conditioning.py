"""Inputs of the corrected contract: nothing explodes, nothing that heads could use is lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import eigh

from xperience.models.conditioning import (
    MAX_SCORE,
    InnerProducts,
    Moments,
    conditioned,
    conditioned_together,
    strongest_axes,
)
from xperience.models.gram import Design, Part

TRAIN, TEST = np.arange(40), np.arange(40, 60)


def source(values: dict):
    return lambda name: values[name]


@pytest.fixture
def values() -> dict:
    rng = np.random.default_rng(0)
    return {
        "a": rng.normal(3, 2, (60, 30)).astype(np.float32),
        "b": rng.normal(-1, 5, (60, 90)).astype(np.float32),
    }


def z(train: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return (rows - train.mean(axis=0)) / train.std(axis=0)


def test_inner_products_are_those_of_z_scores(values):
    design = Design((Part(("a", "b"), np.arange(60)),), TRAIN, TEST)
    products = conditioned(design, source(values))
    whole = np.hstack([values["a"], values["b"]]).astype(float)
    fit, held = z(whole[TRAIN], whole[TRAIN]), z(whole[TRAIN], whole[TEST])
    np.testing.assert_allclose(products.values[TRAIN], fit @ fit.T, atol=1e-3)
    np.testing.assert_allclose(products.values[TEST], held @ fit.T, atol=1e-3)
    inputs = products.first(len(TRAIN))
    np.testing.assert_allclose(inputs.train @ inputs.train.T, products.values[TRAIN], atol=1e-3)
    np.testing.assert_allclose(inputs.test @ inputs.train.T, products.values[TEST], atol=1e-3)
    lengths = np.square(inputs.train).sum(axis=0)
    assert (np.diff(lengths) <= 1e-2).all(), "strongest axes first"


@given(st.integers(1, 45))
def test_the_strongest_axes_are_another_solvers_and_have_a_sign(n_axes):
    rows = np.random.default_rng(n_axes).normal(0, 1, (60, 90)) * np.linspace(3, 0.1, 90)
    variance, axes = strongest_axes(rows @ rows.T, n_axes)
    theirs = eigh(rows @ rows.T, driver="evr", subset_by_index=(60 - n_axes, 59))
    np.testing.assert_allclose(variance, theirs[0][::-1], rtol=1e-8)
    np.testing.assert_allclose(np.abs((axes * theirs[1][:, ::-1]).sum(axis=0)), 1, rtol=1e-8)
    for axis in axes.T:
        large = axis[np.abs(axis) > np.abs(axis).max() / 2]
        assert large[0] > 0


@given(st.integers(1, 45))
def test_the_first_coordinates_are_the_first_of_all(n_axes):
    rows = np.random.default_rng(n_axes).normal(0, 1, (60, 90)) * np.linspace(3, 0.1, 90)
    products = InnerProducts(rows @ rows[TRAIN].T)
    some, every = products.first(n_axes), products.first(len(TRAIN)).first(n_axes)
    for mine, theirs in ((some.train, every.train), (some.test, every.test)):
        np.testing.assert_allclose(mine, theirs, atol=1e-3)


def test_a_pair_is_its_parts_side_by_side(values):
    first = np.arange(59)
    parts = (Part(("a",), first), Part(("a",), first + 1, first))
    products = conditioned(Design(parts, np.arange(40), np.arange(40, 59)), source(values))
    a = values["a"].astype(float)
    whole = np.hstack([a[:-1], a[1:] - a[:-1]])
    fit = z(whole[:40], whole[:40])
    np.testing.assert_allclose(products.values[:40], fit @ fit.T, atol=1e-3)


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e4])
def test_a_column_that_hardly_varies_in_training_cannot_explode(values, offset):
    rng = np.random.default_rng(1)
    still = np.full((60, 1), offset) + rng.normal(0, 1e-7, (60, 1)) * max(1.0, offset)
    still[TEST] = offset + 50  # moves in the test part only
    values["still"] = still.astype(np.float32)
    calm = conditioned(Design((Part(("a",), np.arange(60)),), TRAIN, TEST), source(values))
    with_it = Design((Part(("a", "still"), np.arange(60)),), TRAIN, TEST)
    found = conditioned(with_it, source(values))
    np.testing.assert_array_equal(found.values, calm.values)


def test_z_scores_are_clipped_and_missing_values_take_the_training_mean():
    train = np.random.default_rng(0).normal(0, 1, (50, 2))
    moments = Moments.of(train)
    said = moments(np.array([[1e9, np.nan], [-np.inf, 0.0]]))
    assert said[0].tolist() == [MAX_SCORE, 0]
    assert said[1, 0] == -MAX_SCORE or said[1, 0] == 0
    np.testing.assert_allclose(moments.back(np.zeros((1, 2)))[0], train.mean(axis=0))


@given(st.integers(2, 30), st.integers(1, 6), st.integers(0, 5))
def test_moments_go_there_and_back(n, d, seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(5, 3, (n, d)) * np.array([10.0**k for k in range(d)])
    moments = Moments.of(rows)
    error = np.abs(moments.back(moments(rows, np.inf)) - rows)
    assert (error <= 1e-5 * moments.std).all()


def test_designs_made_together_are_those_made_alone(values):
    windows = np.arange(60)
    both = Design((Part(("a", "b"), windows),), TRAIN, TEST)
    one = Design((Part(("b",), windows),), TRAIN, TEST)
    pairs = (Part(("a",), windows[:-1]), Part(("a",), windows[1:], windows[:-1]))
    other = Design(pairs, np.arange(40), np.arange(40, 59))
    designs = [both, one, other, both]
    found = dict(_by_place(conditioned_together(designs, source(values))))
    assert found[0] is found[3]
    for place, design in enumerate(designs):
        alone = conditioned(design, source(values))
        np.testing.assert_allclose(found[place].values, alone.values, atol=1e-9)


def _by_place(made):
    return ((place, inputs) for places, inputs in made for place in places)


def test_a_block_is_read_once_for_all_designs_of_the_same_samples(values):
    asked = []

    def counted(name):
        asked.append(name)
        return values[name]

    windows = np.arange(60)
    designs = [
        Design((Part(blocks, windows),), TRAIN, TEST) for blocks in (("a", "b"), ("b",), ("a",))
    ]
    assert len(list(conditioned_together(designs, counted))) == 3
    assert sorted(asked) == ["a", "b"]


def test_a_block_that_stands_twice_counts_twice(values):
    windows = np.arange(60)
    twice = conditioned(Design((Part(("a", "a"), windows),), TRAIN, TEST), source(values))
    once = conditioned(Design((Part(("a",), windows),), TRAIN, TEST), source(values))
    np.testing.assert_allclose(twice.values, 2 * once.values, atol=1e-3)
