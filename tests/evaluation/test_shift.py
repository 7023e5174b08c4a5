"""What a split leaks, probes that read no feature, and rows that compare problems."""

import dataclasses
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.evaluation.evaluate import class_rows, evaluate, leak_rows, paired_row
from xperience.evaluation.predictions import Prediction, copy_nearest, only_time, predict
from xperience.features.windows import WINDOW_FRAMES
from xperience.tasks.catalogue import ALL, TASKS_BY_NAME, TEXT
from xperience.tasks.problem import Blocks, Problem
from xperience.tasks.samples import Samples
from xperience.tasks.splits import Split
from xperience.tasks.truth import Truth

ACTION = TASKS_BY_NAME["timeline_action"]
BASE = {"run": "r", "section": "s", "variant": "local"}


class Coded:
    """A windows table whose features tell the class; no words are in it."""

    def __init__(self, labels):
        self.codes = np.unique(labels, return_inverse=True)[1]

    def block(self, name):
        values = np.eye(self.codes.max() + 1, dtype=np.float32)[self.codes]
        return np.full_like(values, np.nan) if name == TEXT else values


def problem_of(starts, labels, train, test) -> Problem:
    """Return a published problem of made-up windows."""
    starts = np.asarray(starts)
    frames = np.stack([starts, starts + WINDOW_FRAMES - 1], axis=-1)[:, None]
    truth = Truth(int(starts.max()) + WINDOW_FRAMES, starts)
    samples = Samples(np.arange(len(starts))[:, None], list(labels), frames, truth.centers)
    split = Split(np.asarray(train, dtype=int), np.asarray(test, dtype=int))
    blocks = Blocks(Coded(list(labels)), {TEXT: "no captions"})
    known = tuple(dict.fromkeys(labels))
    return Problem(ACTION, "published", truth, blocks, samples, split, known)


@st.composite
def problems(draw) -> Problem:
    """Windows at some of the regular places, assigned to training and test in any way."""
    places = draw(st.lists(st.integers(0, 60), min_size=4, max_size=25, unique=True))
    n = len(places)
    labels = draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n))
    parts = st.lists(st.sampled_from(["train", "test", "out"]), min_size=n - 2, max_size=n - 2)
    parts = np.array(["train", "test", *draw(parts)])
    order = draw(st.permutations(range(n)))  # splits need not be in the order of time
    sides = [[i for i in order if parts[i] == side] for side in ("train", "test")]
    return problem_of([5 * place for place in sorted(places)], labels, *sides)


@pytest.fixture(scope="module")
def problem() -> Problem:
    """Forty windows of three actions; the last, "sip", is tested only."""
    labels = ["fill"] * 12 + ["pour"] * 12 + ["fill"] * 8 + ["sip"] * 8
    test = [*range(4, 8), *range(16, 20), *range(32, 40)]
    return problem_of(range(0, 200, 5), labels, np.setdiff1d(np.arange(40), test), test)


@given(problems())
def test_what_leaks_is_counted_frame_by_frame(problem):
    starts, split = problem.truth.starts, problem.split
    spans = [set(range(start, start + WINDOW_FRAMES)) for start in starts]
    held = set().union(*(spans[place] for place in split.train))
    shared = [len(spans[place] & held) for place in split.test]
    gaps = [min(abs(int(starts[i] - starts[j])) for j in split.train) for i in split.test]
    found = {row.metric: row.value for row in leak_rows(problem, BASE)}
    assert found == {
        "overlap_share": pytest.approx(np.mean([n > 0 for n in shared])),
        "shared_frame_share": pytest.approx(np.mean(shared) / WINDOW_FRAMES),
        "median_gap": np.median(gaps),
    }


def test_without_training_windows_nothing_leaks(problem):
    far = problem.purged(200)
    assert (far.status, far.n_train) == ("degenerate", 0)
    overlap, frames, gap = leak_rows(far, BASE)
    assert (overlap.value, frames.value) == (0, 0)
    assert gap.reason == "no training window is left"


@given(problems())
def test_the_nearest_window_is_copied(problem):
    (found,) = predict(problem, copy_nearest)
    centers, labels, train = problem.samples.centers, problem.samples.values, problem.split.train
    for place, said in zip(problem.split.test, found.predicted, strict=True):
        distance = np.abs(centers[train] - centers[place])
        assert said in {labels[i] for i in train[distance == distance.min()]}


@given(problems())
def test_votes_fade_with_time(problem):
    (found,) = predict(problem, only_time)
    centers, labels = problem.samples.centers, problem.samples.values
    for place, said in zip(problem.split.test, found.predicted, strict=True):
        votes = Counter()
        for i in problem.split.train:
            votes[labels[i]] += math.exp(-(((centers[place] - centers[i]) / 40) ** 2) / 2)
        assert votes[said] >= max(votes.values()) * (1 - 1e-9)


def test_far_from_everything_the_nearest_window_decides():
    far = problem_of([0, 5, 10, 15, 10_000], "aaabb", [0, 1, 2, 3], [4])
    assert predict(far, only_time)[0].predicted == ["b"]


def test_recalls_of_classes_add_up_to_the_accuracy(problem):
    (found,) = predict(problem, copy_nearest)
    rows = list(class_rows(problem, "copy_nearest", [found], BASE))
    assert [row.variant for row in rows] == [f"local/class={c}" for c in ("fill", "pour", "sip")]
    scored = evaluate(problem, {"copy_nearest": [found]}, "r", "s")
    accuracy = next(row.value for row in scored if row.metric == "accuracy" and not row.variant)
    hits = sum(row.value * row.n_test for row in rows)
    assert hits / problem.n_test == pytest.approx(accuracy)
    assert [row.n_train for row in rows] == [16, 8, 0]
    assert sum(row.n_test for row in rows if not row.n_train) == problem.unseen.sum()


def test_classes_that_nobody_predicted_have_rows_with_the_reason(problem):
    far = problem.purged(200)
    rows = list(class_rows(far, "linear", predict(far), BASE))
    assert {(row.status, row.value) for row in rows} == {("degenerate", None)}
    assert "training windows left: 0" in rows[0].reason


def test_heads_are_told_apart_by_what_they_were_given(problem):
    inputs = {"all": ALL, "words": (TEXT,), "time": ()}
    given = {head: problem.with_inputs(*names) for head, names in inputs.items()}
    found = {head: predict(given[head]) for head in ("all", "words")}
    found["time"] = predict(given["time"], copy_nearest)
    rows = evaluate(problem, found, "r", "s", "local", given)
    scores = {
        r.head: r for r in rows if r.metric == "macro_f1" and r.variant == "local" and not r.against
    }
    assert scores["all"].reason == f"{TEXT} is zeros: no captions"
    assert (scores["words"].status, scores["words"].reason) == ("skipped", "no input: no captions")
    assert (scores["time"].status, scores["time"].reason) == ("ok", None)
    sizes = {row.head: row.value for row in rows if row.metric == "feature_dim"}
    assert sizes == {"all": 3 * len(ALL), "time": 0}


def test_problems_of_the_same_test_windows_are_compared_in_pairs(problem):
    near, far = problem, problem.purged(30)
    assert 0 < far.n_train < near.n_train
    sides = [(one, predict(one, copy_nearest)) for one in (far, near)]
    own = BASE | {"head": "copy_nearest", "against": "near"}
    row = paired_row(*sides, own)
    values = [
        next(
            r.value
            for r in evaluate(one, {"h": found}, "r", "s")
            if r.metric == "macro_f1" and r.head == "h"
        )
        for one, found in sides
    ]
    assert row.value == pytest.approx(values[0] - values[1])
    assert (row.metric, row.n_train) == ("macro_f1", far.n_train)
    right = [Prediction(list(near.test_targets))]
    assert paired_row((near, right), (near, right), own).value == 0
    lost = paired_row((problem.purged(200), ()), sides[1], own)
    assert (lost.value, lost.status) == (None, "degenerate")


def test_a_problem_that_cannot_be_asked_stays_one(problem):
    lost = dataclasses.replace(
        problem, samples=None, split=None, status="skipped", reason="no captions"
    )
    far = lost.purged(5).with_inputs()
    assert predict(far, only_time) == ()
    rows = evaluate(far, {"time": ()}, "r", "s", "local/embargo=5")
    assert {(r.head, r.variant, r.reason) for r in rows} == {
        ("time", "local/embargo=5", "no captions")
    }
