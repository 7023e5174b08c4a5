"""Published descents that are marked as hanging on rounding: the plain loop proves it."""

import numpy as np
import pytest

from xperience.models import linear
from xperience.tasks.problem import problems_of

from . import direct

MARKED = ("temporal_order", "misalignment_detection")
"""Pairs of windows: 106 of 25,638 columns and 97 of 7,511 don't let the descent settle."""
UNMARKED = ("transition_detection",)


@pytest.fixture(scope="module")
def problems(oracle, oracle_table):
    return {one.task.name: one for one in problems_of(oracle / "episode", oracle_table)}


@pytest.mark.slow  # every epoch reads every feature of every sample
@pytest.mark.parametrize("name", [*MARKED, *UNMARKED])
def test_the_plain_descent_differs_between_precisions_where_it_is_marked(name, problems):
    problem = problems[name]
    design, codes = problem.design, problem.train_codes
    samples = direct.samples(design.parts, problem.blocks.filled)
    z_scored = direct.z_scored(samples, design.train, design.test)
    found = []
    for precision in (np.float32, np.float64):
        z, z_test = (of.astype(precision) for of in z_scored)
        found.append(direct.softmax(z, z_test, codes, len(problem.labels))[0])
    change = np.abs(found[0] - found[1]).max()
    assert (change > linear.LARGEST_CHANGE) == (name in MARKED), change
