"""The suite under corrected: what is purged, what is open, what a row must carry."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from xperience.evaluation.metrics import score
from xperience.features.extract import extract
from xperience.features.table import TableError, WindowTable
from xperience.models.stacked import StackedSettings
from xperience.report.figures.hand_window import draw_hand_window
from xperience.report.figures.hands import draw_hands, draw_horizon, forecasts, moments
from xperience.studies import heads
from xperience.studies.heads import HEADS
from xperience.studies.predictions import COLUMNS, joint_errors, write_predictions
from xperience.studies.problem import Answer, Problem
from xperience.studies.rows import suite_rows
from xperience.studies.scores import contestant, floors
from xperience.studies.suite import pose_all, run_suite
from xperience.tasks.catalogue import TASKS, TASKS_BY_NAME
from xperience.tasks.splits import check_apart
from xperience.tasks.task import Span


@pytest.fixture(scope="module")
def episode(simulated):
    return simulated(frames=2000)


@pytest.fixture(scope="module")
def table(episode, tmp_path_factory):
    path = tmp_path_factory.mktemp("corrected") / "windows.parquet"
    extract(episode, path, contract="corrected", workers=1)
    return WindowTable(path)


@pytest.fixture(scope="module")
def posed(episode, table) -> dict:
    found, _ = pose_all(episode, table, "corrected")
    return {one.task.name: one for one in found}


@pytest.fixture(scope="module")
def outcomes(episode, table) -> list:
    return list(run_suite(episode, table, contract="corrected"))


@pytest.fixture(scope="module")
def rows(outcomes) -> list:
    return suite_rows(outcomes, "short", "corrected")


@pytest.mark.parametrize("name", TASKS_BY_NAME)
def test_no_training_sample_touches_a_test_frame(name, posed):
    problem = posed[name]
    assert isinstance(problem, Problem), problem.reason
    check_apart(problem.split, problem.samples.frames, name)
    assert len(problem.split.purged)
    if problem.task.kind == "classify":
        known = tuple(dict.fromkeys(problem.train_targets))
        assert problem.labels == (problem.task.classes or known)


def test_a_leak_across_the_cut_is_purged_with_what_declares_it(episode, table):
    """A target that reads a second ahead: told so, the purge takes more samples away."""
    honest = TASKS_BY_NAME["timeline_action"]
    ahead = dataclasses.replace(honest, name="ahead", target_span=Span("end", 1, "end", 40))
    found, _ = pose_all(episode, table, "corrected", [honest, ahead])
    for one, reach in zip(found, (0, 40), strict=True):
        starts = one.truth.starts[one.samples.members[:, 0]]
        first_tested = starts[one.split.test].min() - 5 * (one.task.history - 1)
        kept, gone = one.split.train, one.split.purged
        assert (starts[kept] + 19 + reach < first_tested).all()
        assert (starts[gone] + 19 + reach >= first_tested).all()
    assert len(found[1].split.purged) > len(found[0].split.purged)


def test_forecasts_start_from_the_present_pose_and_do_not_explode(rows):
    found = {
        r.metric: r
        for r in rows
        if (r.task, r.head, r.against) == ("hand_trajectory_forecast", "linear", None)
    }
    assert found["mpjpe"].floor_name in ("zero_velocity", "constant_velocity")
    assert found["mpjpe"].value < 3 * found["mpjpe"].floor
    assert found["r2"].value > -5


def test_what_is_open_is_counted(rows, posed):
    problem = posed["timeline_action"]
    (row,) = [r for r in rows if (r.task, r.metric) == ("timeline_action", "open_set_share")]
    train = set(problem.train_targets)
    assert row.value == pytest.approx(np.mean([t not in train for t in problem.test_targets]))
    for one in [r for r in rows if r.task == "timeline_action" and r.variant == "seen_classes"]:
        assert one.n_test == sum(t in train for t in problem.test_targets)


def test_every_score_has_its_floor_its_skill_and_an_interval_or_the_reason(rows):
    scored = [r for r in rows if r.head == "linear" and r.higher_is_better is not None
              and r.status == "ok" and r.metric != "train_final_accuracy"]  # fmt: skip
    assert len(scored) > 3 * len(TASKS)
    for row in scored:
        assert (row.ci_low is None) == bool(row.ci_reason), row
        if row.against is None:
            assert row.floor is not None, row
        if row.ci_low is not None:
            assert row.ci_low <= row.value <= row.ci_high


def test_differences_are_differences(rows):
    by_key = {(r.task, r.head, r.metric): r for r in rows if r.against is None and not r.variant}
    floors_of = {(r.task, r.head, r.metric): r for r in rows if r.variant == "floor"}
    found = [r for r in rows if r.against and r.status == "ok"]
    assert found
    for row in found:
        mine = by_key[row.task, row.head, row.metric].value
        assert row.value == pytest.approx(mine - floors_of[row.task, row.against, row.metric].value)


def test_a_head_with_seeds_is_their_mean_and_spread(posed):
    problem = posed["transition_detection"]
    rng = np.random.default_rng(0)
    truth = np.array(problem.test_targets)
    answers = []
    for seed in range(4):
        predicted = truth.copy()
        wrong = rng.choice(len(truth), 5 + seed, replace=False)
        predicted[wrong] = np.where(truth[wrong] == "transition", "steady", "transition")
        answers.append(Answer(predicted.tolist(), seed=seed))
    mine, one = contestant("mine", problem, answers), problem.task.measures[1]
    values = [s.value for s in mine.scores(one)]
    assert len(set(values)) > 1
    assert mine.score(one).value == pytest.approx(np.mean(values))
    assert mine.spread(one) == pytest.approx(np.std(values, ddof=1))
    found = mine.interval(one)
    assert found.estimate == pytest.approx(np.mean(values))


def test_floors_are_there_for_every_kind(posed):
    wanted = {
        "timeline_action": {"majority", "stratified_random"},
        "next_action": {"majority", "stratified_random", "persistence"},
        "hand_trajectory_forecast": {"zero_velocity", "constant_velocity", "train_mean"},
        "object_relevance": {"prior"},
        "cross_modal_retrieval": {"chance", "nearest_in_time"},
        "modality_reconstruction": {"train_mean", "nearest_in_time"},
        "temporal_order": {"majority", "stratified_random", "always_right"},
    }
    for name, names in wanted.items():
        assert names <= set(floors(posed[name])), name


def test_evidence_is_in_the_order_of_the_recording(posed):
    problem = posed["all_feature_action"]
    mine = contestant("mine", problem, [Answer(list(problem.test_targets))])
    centers = problem.samples.centers[problem.split.test][problem.by_time]
    assert (np.diff(centers) > 0).all()
    assert score("accuracy", mine.draws[0][0]).value == 1


def test_published_heads_are_not_corrected_ones(episode, table):
    assert HEADS["published"]["linear"] is not HEADS["corrected"]["linear"]
    with pytest.raises(TableError, match="'corrected', expected 'published'"):
        list(run_suite(episode, table, contract="published"))


def test_two_questions_to_one_forecast_are_answered_as_each_alone(episode, table, monkeypatch):
    tasks = [TASKS_BY_NAME["cross_modal_retrieval"], TASKS_BY_NAME["modality_reconstruction"]]
    trained = []
    dense = heads.stacked.dense
    brief = StackedSettings(epochs=3)
    monkeypatch.setattr(
        heads.stacked, "dense", lambda *given: trained.append(given) or dense(*given, brief)
    )

    def answers(*asked):
        given = {"contract": "corrected", "heads": ["neural"], "n_seeds": 1}
        return [one.answer.predicted for one in run_suite(episode, table, tasks=asked, **given)]

    together = answers(*tasks)
    assert len(trained) == 1
    for shared, task in zip(together, tasks, strict=True):
        np.testing.assert_array_equal(shared, *answers(task))


def test_predictions_are_kept_sample_by_sample(outcomes, rows, tmp_path):
    table = write_predictions(tmp_path / "p.parquet", outcomes)
    stored = pd.read_parquet(tmp_path / "p.parquet")
    assert list(stored) == list(COLUMNS)
    assert len(stored) == len(table)
    for outcome in outcomes:
        of = stored[stored["task"] == outcome.task.name]
        assert len(of) == len(outcome.answers) * (outcome.problem is not None) * len(
            outcome.problem.split.test if outcome.problem else ()
        )
    hands = stored[stored["task"] == "hand_trajectory_forecast"]
    scored = {(r.task, r.metric): r.value for r in rows
              if (r.head, r.against, r.variant) == ("linear", None, None)}  # fmt: skip
    assert hands["error"].mean() == pytest.approx(
        scored["hand_trajectory_forecast", "mpjpe"], rel=1e-5
    )
    kept = {"final_frame_mpjpe": "last_error", "mse": "squared_error"}
    for metric, column in kept.items():
        of_linear = hands[hands["head"] == "linear"][column].mean()
        assert of_linear == pytest.approx(scored["hand_trajectory_forecast", metric], rel=1e-5)
    actions = stored[stored["task"] == "transition_detection"]
    right = (actions["truth"] == actions["predicted"]).mean()
    assert right == pytest.approx(scored["transition_detection", "accuracy"])


def test_forecast_hands_are_drawn_with_the_message_of_the_numbers(outcomes):
    problem, answers = forecasts(outcomes)
    picture = draw_horizon({"corrected": outcomes})
    ratio = joint_errors(problem, answers["linear"][0]).mean()
    ratio /= joint_errors(problem, answers["zero_velocity"][0]).mean()
    assert f"{ratio:.1f} times that of hands that keep still under corrected" in picture.title
    places, moved = moments(problem, answers)
    assert moved[places["fastest"]] == moved.max()
    assert "moments drawn" in draw_hands(outcomes).title
    assert draw_hands([]).title == "No hands were forecast"
    assert draw_horizon({"corrected": []}).title == "No hands were forecast"


def test_one_window_is_told_against_the_better_naive_forecast(outcomes):
    problem, answers = forecasts(outcomes)
    named = {"zero_velocity": "zero velocity", "constant_velocity": "constant velocity"}
    errors = {name: joint_errors(problem, answers[name][0]).mean(axis=1) for name in named}
    rivals = set()
    for share in np.linspace(0, 1, 11):
        here = int(problem.by_time[round(share * (len(problem.by_time) - 1))])
        rival = min(named, key=lambda name: errors[name][here])
        title = draw_hand_window(outcomes, float(share)).title
        assert f"than {named[rival]} ({1000 * errors[rival][here]:.0f} mm)" in title
        rivals.add(rival)
    assert len(rivals) == 2, "each is the better one somewhere"
