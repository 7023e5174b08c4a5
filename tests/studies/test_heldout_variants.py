"""Other inputs and fewer recordings: what differs between variants, and how they are compared."""

from dataclasses import replace

import numpy as np
import pytest

from xperience.cohort.shards import Work, run_shard
from xperience.evaluation.ablation import ablations, variant_rows
from xperience.evaluation.evaluate import FLOOR, Scores, difference_row
from xperience.evaluation.predictions import Prediction, predict_all
from xperience.evaluation.records import ONE_WORTH, SCALING
from xperience.features.blocks import MODALITIES
from xperience.studies.heldout.cohort import open_cohort, tables_in
from xperience.studies.heldout.folds import cohort_problems, light, pooled_scores, problems_given
from xperience.studies.heldout.variants import compared_rows, fewer_recordings, keep, pooled
from xperience.tasks.catalogue import ALL, TASKS_BY_NAME, TEXT

from .heldout_family import family

TASKS = [TASKS_BY_NAME[n] for n in ("transition_detection", "object_relevance",
                                    "cross_modal_retrieval", "misalignment_detection")]  # fmt: skip
BASE = {"run": "r", "section": "s"}
VARIANTS = {"all": ALL, "only=audio": MODALITIES["audio"], "only=text": (TEXT,),
            "without=text": [name for name in ALL if name != TEXT]}  # fmt: skip


@pytest.fixture(scope="module")
def cohort(made_once):
    manifest = family(made_once)

    def windows(folder):
        assert not run_shard(manifest, 0, 1, Work(folder)).failed

    return open_cohort(manifest, tables_in(made_once("heldout-windows", windows) / "windows"))


@pytest.fixture(scope="module")
def given(cohort):
    found = {}
    for problems in problems_given(cohort, VARIANTS, TASKS):
        found |= problems
    return found


def test_a_variant_has_the_samples_of_the_task_and_the_inputs_of_its_blocks_alone(cohort, given):
    own = replace(TASKS[0], pieces=TASKS[0].given(MODALITIES["audio"]))
    (alone,) = cohort_problems(cohort, [own])
    variant, whole = (given["transition_detection", name] for name in ("only=audio", "all"))
    np.testing.assert_allclose(variant.inputs.train, alone.inputs.train, atol=1e-5)
    np.testing.assert_allclose(variant.inputs.test, alone.inputs.test, atol=1e-5)
    assert variant.test_targets == whole.test_targets
    assert not np.allclose(variant.inputs.train, whole.inputs.train)


@pytest.mark.parametrize(
    ("task", "variant", "why"),
    [("object_relevance", "without=text", "is given nothing of what is left out"),
     ("object_relevance", "only=text", "nothing is left"),
     ("cross_modal_retrieval", "only=text", "nothing is left"),
     ("misalignment_detection", "only=audio", "or of one of its parts")],
)  # fmt: skip
def test_what_is_no_ablation_of_a_task_is_skipped_and_says_why(given, task, variant, why):
    assert given[task, variant].status == "skipped"
    assert why in given[task, variant].reason
    assert given[task, "all"].ok


def test_modalities_are_disjoint_and_leave_the_scene():
    named = [name for blocks in MODALITIES.values() for name in blocks]
    assert len(named) == len(set(named))
    assert set(ALL) - set(named) == {"slam_point_cloud", "calibration"}


@pytest.fixture(scope="module")
def parts(cohort):
    found = {}
    for problems in fewer_recordings(cohort, (1, 2, 4), 2, seed=3):
        for key, problem in problems.items():
            found.setdefault(key, []).append(problem)
    return found


def test_parts_of_the_training_recordings_lie_within_larger_ones(parts):
    def learnt(size, draw, ending=""):
        problem = parts["transition_detection", f"{SCALING}{size}{ending}"][draw]
        assert not problem.parts["val"]
        return {one.recording.entry.episode for one in problem.parts["train"]}

    assert f"{SCALING}4" not in {variant for _, variant in parts}  # there are three
    assert learnt(2, 0) == learnt(1, 0) | learnt(1, 1) == learnt(2, 0, ONE_WORTH)
    assert len(parts["transition_detection", f"{SCALING}1"]) == 2
    assert len(parts["transition_detection", f"{SCALING}2"]) == 1


def test_windows_of_one_are_as_many_and_the_same_are_tested(parts):
    counts = {
        ending: parts["transition_detection", f"{SCALING}{ending}"][0].counts
        for ending in ("1", "2", f"2{ONE_WORTH}")
    }
    assert len({one["n_test"] for one in counts.values()}) == 1
    assert abs(counts[f"2{ONE_WORTH}"]["n_train"] - counts["1"]["n_train"]) <= 2
    assert counts["2"]["n_train"] > 1.8 * counts["1"]["n_train"]


def test_settings_are_chosen_on_the_last_quarter_of_what_is_learnt_from(parts):
    problem = parts["transition_detection", f"{SCALING}2"][0]
    ((fit, held),) = problem.folds
    np.testing.assert_array_equal([*fit, *held], np.arange(problem.n_train))
    assert len(held) == problem.n_train // 4


def test_one_class_in_training_is_predicted_always(cohort):
    same = replace(TASKS[0], target=lambda truth, members: ["steady"] * len(members))
    (problems,) = problems_given(cohort, {"all": ALL}, [same])
    assert problems["transition_detection", "all"].status == "degenerate"
    parts = fewer_recordings(cohort, (1,), 1, seed=0, tasks=[same])
    ((problem,),) = (found.values() for found in parts)
    ((one,),) = predict_all([problem])
    assert set(one.predicted) == {"steady"}


def made_up(problem, share, seed):
    """Predictions that are right in a share of the samples."""
    rng, truth = np.random.default_rng(seed), problem.test_targets
    right = rng.random(len(truth)) < share
    other = {"transition": "steady", "steady": "transition"}
    said = [t if ok else other.get(t, "transition") for t, ok in zip(truth, right, strict=True)]
    return [Prediction(said)]


@pytest.fixture(scope="module")
def compared(given):
    """Eight folds' worth of made-up predictions, 0.9 of them right in one variant, 0.6 in two."""
    problem = given["transition_detection", "all"]
    folds, plain = [], []
    for seed in range(8):
        said = {"good": [made_up(problem, 0.9, seed)],
                "poor": [made_up(problem, 0.6, 100 + seed), made_up(problem, 0.6, 200 + seed)],
                "none": [()]}  # fmt: skip
        folds.append({})
        for variant, draws in said.items():
            asked = problem if draws[0] else replace(problem, status="skipped", reason="not there")
            for one in draws:
                found = ablations("linear", {("transition_detection", variant): asked}, [one])
                keep(folds[-1], found)
        of = {v: Scores.of(problem, [p for one in d for p in one]) for v, d in said.items() if d[0]}
        plain.append(light(of))
    return pooled(folds), pooled_scores(plain)


def test_pooled_over_folds_scores_and_intervals_are_those_of_the_samples(compared):
    found, plain = compared
    one = found["transition_detection"]
    (row,) = (r for r in variant_rows([one], BASE, every=False) if r.variant == "poor")
    own = plain["poor"]
    assert row.value == pytest.approx(own.score(one.primary).value)
    assert row.ci_low == pytest.approx(own.interval(one.primary).low)
    assert row.ci_high == pytest.approx(own.interval(one.primary).high)
    assert row.reason == "folds: 8"
    assert row.floor == one.scores[FLOOR].score(one.primary).value

    gain = compared_rows(found, ("good", "poor"), BASE)[0]
    paired = difference_row(plain["good"], own, one.primary, BASE | {"contract": "corrected"})
    fields = ("value", "ci_low", "ci_high")
    expected = [getattr(paired, name) for name in fields]
    assert [getattr(gain, name) for name in fields] == pytest.approx(expected)


def test_differences_have_a_corrected_p_and_what_was_not_asked_has_a_reason(compared):
    found, _ = compared
    rows = compared_rows(found, ("good", "poor"), BASE)
    assert rows[0].p_holm < 0.001
    assert next(r.value for r in rows if r.metric == "tasks_with_claimed_gain") == 1
    assert compared_rows(found, ("none", "good"), BASE) == []
    lost = [r for r in variant_rows(found.values(), BASE, every=False) if r.variant == "none"]
    assert [(row.status, row.reason) for row in lost] == [("skipped", "not there")]
