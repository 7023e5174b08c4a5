"""The suite under corrected: what is purged, what is open, what a row must carry."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from xperience.evaluation import predictions as heads
from xperience.evaluation.evaluate import Scores, deviation, evaluate, floors, size_rows
from xperience.evaluation.predictions import (
    COLUMNS,
    Prediction,
    joint_errors,
    predict,
    predict_each,
    predict_heads,
    write_predictions,
)
from xperience.features.table import TableError
from xperience.models import forecast as forecasting
from xperience.models.stacked import StackedSettings
from xperience.report.figures.heads import (
    draw_by_speed,
    draw_hand_window,
    draw_horizon,
    forecasts,
)
from xperience.tasks.catalogue import ALL, AUDIO, TASKS_BY_NAME
from xperience.tasks.measures import CONFIDENCE
from xperience.tasks.problem import Problem, build, problems_of
from xperience.tasks.splits import touched, touching
from xperience.tasks.targets import boundary_frames
from xperience.tasks.task import Span

SCORED = (
    "timeline_action",
    "next_action",
    "action_change",
    "temporal_order",
    "transition_detection",
    "hand_trajectory_forecast",
    "object_relevance",
    "cross_modal_retrieval",
)
"""A task of each kind."""


@pytest.fixture(scope="module")
def problems(episode, table) -> dict[str, Problem]:
    return {one.task.name: one for one in problems_of(episode, table, "corrected")}


@pytest.fixture(scope="module")
def answered(problems) -> list:
    found = [problems[name] for name in SCORED]
    return list(zip(found, predict_heads(found, ["linear"]), strict=True))


@pytest.fixture(scope="module")
def rows(answered) -> list:
    return [row for pair in answered for row in evaluate(*pair, "short", "suite")]


@pytest.mark.parametrize("name", TASKS_BY_NAME)
def test_no_training_sample_touches_a_test_frame(name, problems):
    problem = problems[name]
    assert problem.split is not None, problem.reason
    frames, split = problem.samples.frames, problem.split
    assert not touching(frames[split.train], frames[split.test]).any()
    assert len(problem.split.purged)
    if problem.task.kind == "classify":
        known = tuple(dict.fromkeys(problem.train_targets))
        assert problem.labels == (problem.task.classes or known)


def test_a_leak_across_the_cut_is_purged_with_what_declares_it(episode, table):
    """A target that reads a second ahead: told so, the purge takes more samples away."""
    honest = TASKS_BY_NAME["timeline_action"]
    ahead = dataclasses.replace(honest, name="ahead", target_span=Span("end", 1, "end", 40))
    found = problems_of(episode, table, "corrected", [honest, ahead])
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


def test_what_is_open_is_counted(rows, problems):
    problem = problems["timeline_action"]
    (row,) = [r for r in rows if (r.task, r.metric) == ("timeline_action", "open_set_share")]
    train = set(problem.train_targets)
    assert row.value == pytest.approx(np.mean([t not in train for t in problem.test_targets]))
    for one in [r for r in rows if r.task == "timeline_action" and r.variant == "seen_classes"]:
        assert one.n_test == sum(t in train for t in problem.test_targets)


def test_where_the_next_action_changes_persistence_is_always_wrong(rows, answered):
    (problem,) = (one for one, _ in answered if one.task.name == "next_action")
    now = problem.naive("persistence")
    turned = [a not in (None, b) for a, b in zip(now, problem.test_targets, strict=True)]
    found = [r for r in rows if (r.task, r.variant) == ("next_action", "at_changes")]
    assert {r.metric for r in found if r.head == "linear"} >= {"macro_f1", "accuracy"}
    assert {r.n_test for r in found} == {sum(turned)}
    accuracy = next(r for r in found if (r.head, r.metric) == ("linear", "accuracy"))
    truth = np.array(problem.test_targets)[turned]
    said = np.array(answered[1][1]["linear"][0].predicted)[turned]
    assert accuracy.status == "degenerate" or accuracy.value == np.mean(truth == said)
    (unseen,) = (r for r in found if r.metric == "open_set_share")
    assert unseen.value == np.mean([label not in problem.train_targets for label in truth])
    only_there = Scores.of(problem, [Prediction(now)], np.array(turned))
    assert only_there.score(problem.task.measures[1]).value in (0.0, None)


def test_likelihoods_are_ranked_where_a_head_has_them(rows, problems):
    found = {(r.task, r.metric): r for r in rows if (r.head, r.against) == ("linear", None)}
    for task, primary in {"action_change": "auroc", "temporal_order": "balanced_accuracy"}.items():
        assert problems[task].task.primary.name == primary
        assert found[task, primary].floor == pytest.approx(0.5, abs=0.05)
        assert {"auroc", "balanced_accuracy", "accuracy"} <= {m for t, m in found if t == task}
    problem = problems["temporal_order"]
    truth = np.array(problem.test_targets) == "right"
    column = [problem.labels.index("right")]
    sure = np.zeros((len(truth), 2))
    sure[:, column] = (0.1 + 0.2 * truth)[:, None]  # right in order, and never above a half
    always = Prediction(["reversed"] * len(truth), sure)
    auroc, accuracy = (
        next(one for one in problem.task.measures if one.name == name)
        for name in ("auroc", "balanced_accuracy")
    )
    assert Scores.of(problem, [always]).score(auroc).value == 1.0
    assert Scores.of(problem, [always]).score(accuracy).value == 0.5
    unsure = dataclasses.replace(always, confidence=None)
    assert Scores.of(problem, [unsure]).score(auroc).value == 0.5


def test_every_score_has_its_floor_its_skill_and_an_interval_or_the_reason(rows):
    scored = [r for r in rows if r.head == "linear" and r.higher_is_better is not None
              and r.status == "ok" and r.metric != "train_final_accuracy"]  # fmt: skip
    assert len(scored) > 3 * len(SCORED)
    for row in scored:
        assert (row.ci_low is None) == bool(row.ci_reason), row
        if row.against is None:
            assert row.floor is not None, row
        if row.ci_low is not None:
            assert row.ci_low <= row.value <= row.ci_high


def test_what_probabilities_are_worth_is_told_once_a_head(rows, answered):
    asked = {"timeline_action": {m.name for m in CONFIDENCE}, "hand_trajectory_forecast": set()}
    for name, metrics in asked.items():
        found = {r.metric: r for r in rows if r.task == name and not r.variant and r.head}
        assert metrics == found.keys() & {m.name for m in CONFIDENCE}
    problem, predictions = answered[0]
    (one,) = predictions["linear"]
    mine = {r.metric: r for r in rows if (r.task, r.variant) == (problem.task.name, None)}
    right = np.array(one.predicted) == np.array(problem.test_targets)
    sure = np.argsort(-one.confidence.max(axis=1))[: problem.n_test // 2]
    assert mine["selective_accuracy_50"].value == pytest.approx(right[sure].mean(), abs=0.02)
    both = 0 < problem.unseen.sum() < problem.n_test
    assert mine["open_set_auroc"].status == ("ok" if both else "degenerate")
    shares = np.bincount(problem.train_codes) / problem.n_train
    plain = [sum((shares - (np.array(problem.labels) == t)) ** 2) + (t not in problem.labels)
             for t in problem.test_targets]  # fmt: skip
    assert mine["brier_score"].floor == pytest.approx(np.mean(plain))


def test_accuracy_near_and_far_from_a_change_adds_up_to_the_whole(rows, problems):
    found = [r for r in rows if (r.variant or "").startswith("boundary=")]
    assert [(r.task, r.variant) for r in found] == [
        ("timeline_action", f"boundary={zone}") for zone in ("near", "middle", "far")
    ]
    problem = problems["timeline_action"]
    changes = boundary_frames(problem.truth.action)
    away = np.array([min(abs(frame - changes)) for frame in problem.centers[1]])
    near, middle = (away <= 10).sum(), (away <= 40).sum()
    assert [r.n_test for r in found] == [near, middle - near, len(away) - middle]
    (whole,) = [r.value for r in rows
                if (r.task, r.metric, r.variant, r.head)
                == ("timeline_action", "accuracy", None, "linear")]  # fmt: skip
    parts = [(r.value, r.n_test) for r in found if r.n_test]
    assert np.average([v for v, _ in parts], weights=[n for _, n in parts]) == pytest.approx(whole)


def test_the_size_of_a_head_is_told_over_all_tasks_or_not_at_all(answered):
    base = {"run": "r", "section": "s", "contract": "corrected"}
    found = {row.metric: row for row in size_rows(answered, base)}
    assert (found["n_parameters"].task, found["n_parameters"].head) == (None, "linear")
    ones = [predictions["linear"][0] for _, predictions in answered]
    assert found["n_parameters"].value == sum(one.n_parameters for one in ones)
    axes = ones[0].n_parameters / len(answered[0][0].labels) - 1
    assert axes == int(axes) <= 256, "a weight for each axis and a bias, for each class"
    told = [(answered[0][0], {"mine": [Prediction([])]})]
    assert {row.status for row in size_rows(told, base)} == {"skipped"}


def test_differences_are_differences(rows):
    by_key = {(r.task, r.head, r.metric, r.variant): r for r in rows if r.against is None}
    found = [r for r in rows if r.against and r.status == "ok"]
    assert found
    for row in found:
        sides = ((row.head, row.variant), (row.against, row.variant or "floor"))
        mine, other = (by_key[row.task, who, row.metric, variant].value for who, variant in sides)
        assert row.value == pytest.approx(mine - other)


def test_a_head_with_seeds_is_their_mean_and_spread(problems):
    problem = problems["transition_detection"]
    rng = np.random.default_rng(0)
    truth = np.array(problem.test_targets)
    answers = []
    for seed in range(4):
        predicted = truth.copy()
        wrong = rng.choice(len(truth), 5 + seed, replace=False)
        predicted[wrong] = np.where(truth[wrong] == "transition", "steady", "transition")
        answers.append(Prediction(predicted.tolist(), seed=seed))
    mine, one = Scores.of(problem, answers), problem.task.measures[1]
    values = [s.value for s in mine.each(one)]
    assert len(set(values)) > 1
    assert mine.score(one).value == pytest.approx(np.mean(values))
    assert deviation(mine.by_seed(one).values()) == pytest.approx(np.std(values, ddof=1))
    assert mine.interval(one).estimate == pytest.approx(np.mean(values))
    of_time = problem.samples.centers[problem.split.test][problem.by_time]
    assert (np.diff(of_time) > 0).all(), "evidence is in the order of the recording"


def test_a_table_of_another_contract_is_refused(episode, table):
    with pytest.raises(TableError, match="'corrected', expected 'published'"):
        problems_of(episode, table, "published")


def test_floors_are_there_for_every_kind(problems):
    wanted = {
        "timeline_action": {"majority", "stratified_random"},
        "next_action": {"majority", "stratified_random", "persistence"},
        "hand_trajectory_forecast": {
            "zero_velocity",
            "constant_velocity",
            "damped_velocity",
            "train_mean",
        },
        "object_relevance": {"best_constant_set"},
        "cross_modal_retrieval": {"chance", "nearest_in_time"},
        "modality_reconstruction": {"train_mean", "nearest_in_time"},
        "temporal_order": {"majority", "stratified_random", "always_right"},
    }
    for name, names in wanted.items():
        assert names <= set(floors(problems[name])), name


def test_what_forecasts_read_is_declared_and_purged(episode, table, problems):
    honest = problems["hand_trajectory_forecast"]
    far = dataclasses.replace(honest.task, recent_frames=100)
    (span,) = {tuple(one) for one in touched(far, honest.truth, np.array([[30]]))[:, 1]}
    assert span == (honest.truth.ends[30] - 99, honest.truth.ends[30])
    found = build(far, honest.truth, honest.blocks, "corrected")
    assert len(found.split.purged) > len(honest.split.purged)
    assert found.motion[1].shape[1] == 99


def test_the_forecast_head_learns_from_the_training_part_and_answers_its_task_only(
    problems, monkeypatch
):
    monkeypatch.delitem(forecasting.FORECASTERS, "gain_network")
    hands = problems["hand_trajectory_forecast"]
    values = np.array(hands.samples.values)
    values[hands.split.test] = np.nan
    blind = dataclasses.replace(hands, samples=dataclasses.replace(hands.samples, values=values))
    asked = [hands, blind, problems["contact_prediction"]]
    (mine,), (theirs,), nothing = (one["forecast"] for one in predict_heads(asked, ["forecast"]))
    np.testing.assert_array_equal(mine.predicted, theirs.predicted)
    assert mine.facts == theirs.facts
    assert sum(mine.facts.values()) == 1
    assert not nothing
    assert all(fit.max() < held.min() for fit, held in hands.later_folds)


def test_errors_by_speed_part_the_samples(rows, problems):
    hands = [r for r in rows if r.task == "hand_trajectory_forecast" and r.metric == "mpjpe"]
    whole = {r.head: r.value for r in hands if r.variant in (None, "floor") and not r.against}
    assert {"linear", "zero_velocity", "damped_velocity"} <= set(whole)
    for head in ("linear", "zero_velocity", "damped_velocity"):
        parts = {r.variant: r for r in hands if r.head == head and not r.against
                 and (r.variant or "").startswith("speed=")}  # fmt: skip
        assert set(parts) == {"speed=slow", "speed=middle", "speed=fast"}
        n_test = [row.n_test for row in parts.values()]
        assert sum(n_test) == problems["hand_trajectory_forecast"].n_test
        mean = np.average([row.value for row in parts.values()], weights=n_test)
        assert mean == pytest.approx(whole[head])


def test_two_questions_to_one_forecast_are_answered_as_each_alone(episode, table, monkeypatch):
    tasks = [TASKS_BY_NAME["cross_modal_retrieval"], TASKS_BY_NAME["modality_reconstruction"]]
    trained = []
    dense = heads.stacked.dense
    brief = StackedSettings(epochs=3)
    monkeypatch.setattr(
        heads.stacked, "dense", lambda *given: trained.append(given) or dense(*given, brief)
    )

    def answers(*asked):
        found = problems_of(episode, table, "corrected", asked)
        return [one["neural"][0].predicted for one in predict_heads(found, ["neural"], 1)]

    together = answers(*tasks)
    assert len(trained) == 1
    for shared, task in zip(together, tasks, strict=True):
        np.testing.assert_array_equal(shared, *answers(task))


def test_predictions_are_kept_sample_by_sample(answered, rows, tmp_path):
    table = write_predictions(tmp_path / "p.parquet", answered)
    stored = pd.read_parquet(tmp_path / "p.parquet")
    assert list(stored) == list(COLUMNS)
    assert len(stored) == len(table)
    for problem, predictions in answered:
        of = stored[stored["task"] == problem.task.name]
        assert len(of) == sum(map(len, predictions.values())) * problem.n_test
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


def test_forecast_hands_are_drawn_with_the_message_of_the_numbers(answered):
    problem, predictions = forecasts(answered)
    named = {"zero_velocity": "zero velocity", "constant_velocity": "constant velocity",
             "damped_velocity": "damped velocity"}  # fmt: skip
    errors = {name: joint_errors(problem, predictions[name][0]).mean(axis=1) for name in named}
    for share in (0.0, 0.5, 1.0):
        here = int(problem.by_time[round(share * (problem.n_test - 1))])
        rival = min(named, key=lambda name: errors[name][here])
        title = draw_hand_window(answered, share).title
        assert f"than {named[rival]} ({1000 * errors[rival][here]:.0f} mm)" in title
    assert "by speed" in draw_by_speed([], "hand_trajectory_forecast").title
    picture = draw_horizon({"corrected": answered})
    ratio = joint_errors(problem, predictions["linear"][0]).mean()
    ratio /= joint_errors(problem, predictions["zero_velocity"][0]).mean()
    assert f"{ratio:.1f} times zero velocity's under corrected" in picture.title
    for picture in (draw_horizon({"corrected": []}), draw_hand_window([], 0.5)):
        assert picture.title == "No hands were forecast"


@pytest.mark.parametrize("workers", [1, 3])
def test_heads_and_tasks_that_share_inputs_are_answered_as_each_alone(
    episode, table, monkeypatch, workers
):
    """Bit for bit: inner products are summed in one order, whatever else is asked for."""
    brief = StackedSettings(axes=64, epochs=2)
    dense, temporal = heads.stacked.dense, heads.temporal
    monkeypatch.setattr(heads.stacked, "dense", lambda *given: dense(*given, brief))
    monkeypatch.setattr(heads, "temporal", lambda *given: temporal(*given, brief))
    names = ("timeline_action", "modality_reconstruction", "temporal_order")
    asked = problems_of(episode, table, "corrected", [TASKS_BY_NAME[name] for name in names])
    without_sound = [problem.with_blocks(set(ALL) - set(AUDIO)) for problem in asked]
    each = ["linear", "neural", "temporal"]
    together = predict_heads([*asked, *without_sound], each, 1, workers)
    in_turn = predict_each(iter([*asked, *without_sound]), each, 1, workers)
    for problem, found in zip([*asked, *without_sound], together, strict=True):
        same, alike = next(in_turn)
        assert same is problem
        for head in each:
            (alone,) = predict(problem, head)
            np.testing.assert_array_equal(alike[head][0].predicted, alone.predicted)
            np.testing.assert_array_equal(found[head][0].predicted, alone.predicted)
            np.testing.assert_array_equal(found[head][0].confidence, alone.confidence)
    assert next(in_turn, None) is None


def test_few_problems_are_held_at_a_time_and_what_cant_be_asked_has_no_predictions(episode, table):
    (problem,) = problems_of(episode, table, "corrected", [TASKS_BY_NAME["timeline_action"]])
    skipped = dataclasses.replace(problem, status="skipped", reason="no target")
    made = []

    def problems():
        for one in [problem, skipped] * 4:
            made.append(one)
            yield one

    for place, (one, found) in enumerate(predict_each(problems(), ["linear"], 1, 2)):
        assert len(made) <= place + 3
        assert bool(found["linear"]) == one.ok
    assert place == 7
