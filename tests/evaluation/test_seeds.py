"""What is said of a network holds for all of five seeds, and of nothing that hangs on rounding."""

import numpy as np
import pytest

from xperience.evaluation.evaluate import evaluate
from xperience.evaluation.predictions import Prediction
from xperience.evaluation.records import UNSTABLE
from xperience.report.tables import Verdict, difference, score, verdict
from xperience.tasks.catalogue import TASKS_BY_NAME
from xperience.tasks.problem import problems_of

TASK = TASKS_BY_NAME["transition_detection"]


@pytest.fixture(scope="module")
def problem(episode, table):
    (found,) = problems_of(episode, table, "corrected", [TASK])
    return found


def predictions(problem, shares, **more):
    """Return predictions of as many seeds, each right on a share of the test samples."""
    found = []
    for seed, share in enumerate(shares):
        right = np.random.default_rng(seed).random(problem.n_test) < share
        other = {one: problem.labels[1 - place] for place, one in enumerate(problem.labels)}
        said = [true if ok else other[true]
                for true, ok in zip(problem.test_targets, right, strict=True)]  # fmt: skip
        found.append(Prediction(said, seed=seed, **more))
    return found


def compared(problem, mine, rival):
    """Return the network's own row, and its difference from the linear head."""
    rows = evaluate(problem, {"linear": rival, "neural": mine}, "run", "section")
    name = TASK.primary.name
    of_head = [r for r in rows if (r.head, r.metric, r.variant) == ("neural", name, None)]
    means = [r for r in of_head if r.seed is None or len(mine) == 1]
    return (next(r for r in means if r.against is None),
            next(r for r in means if r.against == "linear"))  # fmt: skip


@pytest.fixture(scope="module")
def rival(problem):
    return [Prediction(predictions(problem, [0.6])[0].predicted)]


@pytest.mark.parametrize(
    ("shares", "more", "found", "why"),
    [
        ([0.95] * 5, {}, Verdict.BETTER, ""),
        ([0.95] * 4, {}, Verdict.NOT_TESTED, "4 seeds; 5 needed"),
        ([0.95], {}, Verdict.NOT_TESTED, "1 seed; 5 needed"),
        ([0.98] * 4 + [0.4], {}, Verdict.NO_DIFFERENCE, "seeds disagree: 4 of 5"),
        ([0.95], {"recorded": True}, Verdict.BETTER, ""),
        ([0.95] * 5, {"no_verdict": f"{UNSTABLE}: it hangs"}, Verdict.NOT_TESTED, "it hangs"),
    ],
)
def test_a_verdict_needs_five_seeds_that_agree(shares, more, found, why, problem, rival):
    mine, gap = compared(problem, predictions(problem, shares, **more), rival)
    assert (verdict(gap)[0], why in verdict(gap)[1]) == (found, True), gap
    assert why in difference(gap)
    assert gap.value is not None
    assert (gap.n_seeds is None) == ("recorded" in more)
    assert (mine.spread is None) == (gap.spread is None) == (len(shares) == 1)
    assert score(mine).endswith("(unstable)") == ("no_verdict" in more)


def test_differences_of_two_networks_pair_their_seeds(problem):
    mine, rival = predictions(problem, [0.9, 0.8]), predictions(problem, [0.9, 0.8])
    assert compared(problem, mine, rival)[1].spread == 0
