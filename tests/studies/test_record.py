"""The published record: what a made-up one gives back, and what the real one is known to say."""

import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.evaluation.agreement import agreement
from xperience.evaluation.evaluate import FLOOR
from xperience.evaluation.predictions import copy_nearest, predict
from xperience.evaluation.records import PRESENT_KNOWN, read_records, write_records
from xperience.features.windows import window_label
from xperience.models import forecast as forecasting
from xperience.project import RECORD_VARIABLE, at_root
from xperience.studies.record import hands as hands_study
from xperience.studies.record.audio import logmel_rows
from xperience.studies.record.hands import Trajectory, forecast_problem, forecasts, stitch
from xperience.studies.record.note import (
    FACTS,
    PARTS,
    note_figures,
    note_rows,
    part_rows,
)
from xperience.studies.record.predictions import (
    labelled_problem,
    score_rows,
    shared_frames,
)
from xperience.studies.record.record import (
    PublishedRecordError,
    frame_labels,
    open_record,
    real_truth,
)
from xperience.tasks.catalogue import ALL_FEATURE_ACTION, TASKS_BY_NAME
from xperience.tasks.splits import touching

SECTION = "08_published_record"
PARTS_BY_NAME = sorted({name for name, _ in PARTS})


@pytest.fixture(scope="module")
def record(published):
    return open_record(published)


@pytest.fixture(scope="module")
def truth(record):
    return real_truth(record)


@pytest.fixture(scope="module")
def scored(record, truth):
    return score_rows(record, truth, "test", SECTION)


def find(rows, **wanted):
    wanted = {"variant": None, "against": None} | wanted
    found = [row for row in rows if all(getattr(row, k) == v for k, v in wanted.items())]
    assert len(found) == 1, wanted
    return found[0]


# --- labels of frames -------------------------------------------------------------------------


@given(
    st.lists(st.integers(20, 70), min_size=1, max_size=8),
    st.lists(st.integers(0, 3), min_size=8, max_size=8),
)
def test_labels_of_frames_come_back_from_those_of_windows(lengths, names):
    frames = [f"label {name}" for name, n in zip(names, lengths, strict=False) for _ in range(n)]
    starts = np.arange(0, len(frames) - 19, 5)
    found = [window_label(frames[start : start + 20]) for start in starts]
    labels, shares = [label or "" for label, _ in found], np.array([share for _, share in found])
    again = frame_labels(labels, shares, starts, len(frames))
    # Beyond the last window nothing is known: its label goes on.
    last = int(starts[-1]) + 20
    assert again[:last] == frames[:last]


def test_windows_that_no_frames_explain_are_refused(record, tmp_path):
    folder = shutil.copytree(record.folder / "episode_task_suite", tmp_path / "episode_task_suite")
    windows = pd.read_csv(folder / "windows.csv", keep_default_na=False)
    windows.loc[100, "action_label"] = "Juggle"
    windows.to_csv(folder / "windows.csv", index=False)
    with pytest.raises(PublishedRecordError, match="action of 1 of 1161 windows"):
        real_truth(open_record(tmp_path))


def test_changed_predictions_are_refused(record, tmp_path):
    folder = shutil.copytree(record.folder / "episode_task_suite", tmp_path / "episode_task_suite")
    path = folder / "timeline_action" / "predictions.csv"
    table = pd.read_csv(path)
    table.loc[3, "true_label"] = "Juggle"
    table.to_csv(path, index=False)
    changed = open_record(tmp_path)
    with pytest.raises(PublishedRecordError, match="timeline_action"):
        score_rows(changed, real_truth(changed), "test", SECTION)


# --- the record's absence ---------------------------------------------------------------------


def test_without_a_record_every_part_is_skipped_with_the_reason(tmp_path):
    absent = open_record(tmp_path / "nowhere")
    rows = [row for part in PARTS_BY_NAME for row in part_rows(absent, part, "test", SECTION)]
    assert {row.status for row in rows} == {"skipped"}
    assert all("XPERIENCE_PUBLISHED" in row.reason for row in rows)
    figures = note_figures(absent, rows)
    assert {one.status for one in figures} == {"skipped"}
    assert all(one.recomputed is None and one.reason for one in figures)
    write_records(tmp_path / "m.json", [*note_rows(absent, figures, rows, "test", SECTION), *rows])


def test_the_environment_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(RECORD_VARIABLE, str(tmp_path))
    assert open_record("elsewhere").folder == tmp_path
    monkeypatch.setenv(RECORD_VARIABLE, str(tmp_path / "nowhere"))
    assert open_record().folder is None


def test_a_clone_of_the_public_repository_is_read_as_it_lies(record, tmp_path):
    nested = tmp_path / "episode_task_suite" / "neural_mlp"
    shutil.copytree(record.folder / "episode_task_suite", tmp_path / "episode_task_suite")
    shutil.copytree(record.folder / "neural_mlp", nested)
    clone = open_record(tmp_path)
    assert clone.path("neural", "temporal_order").parent.parent == nested


# --- the note ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("published", "found", "digits", "tolerance", "status"),
    [
        (0.05, 0.0504, 2, 0, "exact"),
        (0.05, 0.056, 2, 0, "differs"),
        (0.05, 0.056, 2, 0.01, "within tolerance"),
        (6, 6, 0, 0, "exact"),
        (6, 7, 0, 0, "differs"),
    ],
)
def test_agreement_is_rounding_then_tolerance(published, found, digits, tolerance, status):
    assert agreement(published, found, digits, tolerance) == status


def test_every_figure_of_the_note_says_where_it_comes_from():
    figures = open_record("nowhere").note["figures"]
    names = [one["name"] for one in figures]
    assert len(set(names)) == len(names)
    for one in figures:
        assert {"score", "fact", "derived", "missing"} & one.keys(), one["name"]
        assert one.get("fact") is None or one["fact"] in FACTS
        task, _, metric = one.get("score") or ("timeline_action", None, "macro_f1")
        known = {measure.name for measure in TASKS_BY_NAME[task].measures}
        assert metric in known | {"unseen_test_classes"}


def test_every_score_of_the_record_comes_out(record, scored):
    figures = note_figures(record, scored)
    rows = {row.metric: row for row in note_rows(record, figures, scored, "test", SECTION)
            if row.variant is None}  # fmt: skip
    assert rows["figures_differs"].value == 0
    assert rows["report_scores_exact"].value == rows["report_scores_recomputed"].value == 85
    of_note = [one for one in figures if not one.name.startswith("raw_logmel")]
    assert {one.status for one in of_note} == {"exact", "derived", "not recomputable"}
    lost = {one.name for one in of_note if one.status == "not recomputable"}
    assert lost == {
        "hand_mpjpe_minimal",
        "retrieval_mrr_minimal",
        "retrieval_mrr_neural",
        "retrieval_top5_minimal",
        "reconstruction_r2_minimal",
        "reconstruction_r2_neural",
        "json_validity_target",
    }
    assert all(one.recomputed is None and one.reason for one in figures if one.name in lost)
    frames, saved = (one for one in figures if one.status == "derived")
    assert frames.bounds == (5820, 5824)
    assert frames.bounds[0] <= frames.published <= frames.bounds[1]
    assert [round(end, 4) for end in saved.bounds] == [saved.published] * 2


def test_a_wrong_figure_is_seen(record, scored):
    record = open_record(record.folder)
    entry = next(one for one in record.note["figures"] if one["name"] == "temporal_order_f1_neural")
    entry["value"] = 0.9
    frames = next(one for one in record.note["figures"] if one["name"] == "frames")
    frames["value"] = 5825
    found = {one.name: one for one in note_figures(record, scored)}
    assert (found[entry["name"]].status, found[entry["name"]].published) == ("differs", 0.9)
    assert found["frames"].status == "differs"


# --- what the real data say -------------------------------------------------------------------


def test_floors_of_the_real_hands(scored):
    hands = {"task": "hand_trajectory_forecast", "metric": "mpjpe", "contract": "published"}
    still = find(scored, head="zero_velocity", variant=FLOOR, **hands)
    steady = find(scored, head="constant_velocity", variant=FLOOR, **hands)
    assert round(still.value, 4) == 0.0276
    assert round(steady.value, 4) == 0.0417
    worse = find(scored, head="neural", variant=PRESENT_KNOWN, against="zero_velocity", **hands)
    assert worse.ci_low > 0


def test_the_action_ceiling_and_the_shared_frames(scored, truth):
    row = find(scored, task="timeline_action", head="linear", metric="accuracy")
    assert round(row.ceiling, 3) == 0.187
    shared = find(
        scored, task="all_feature_action", metric="test_windows_sharing_frames", head=None
    )
    assert shared.value == 1.0
    problem = labelled_problem(ALL_FEATURE_ACTION, truth)
    windows = problem.samples.members[:, 0]
    train = {frame for place in problem.split.train for frame in _frames(windows[place])}
    own = [len(train & set(_frames(windows[place]))) / 20 for place in problem.split.test]
    assert shared_frames(problem)["test_frames_trained_on"] == pytest.approx(np.mean(own))


def _frames(window):
    return range(5 * window, 5 * window + 20)


def test_copying_takes_the_nearest_training_label(truth):
    problem = labelled_problem(ALL_FEATURE_ACTION, truth)
    labels, centers = problem.samples.values, problem.samples.centers
    (nearest,) = predict(problem, copy_nearest)
    for said, place in list(zip(nearest.predicted, problem.split.test, strict=True))[::29]:
        gaps = np.abs(centers[problem.split.train] - centers[place])
        near = {labels[one] for one in problem.split.train[gaps == gaps.min()]}
        assert said in near


def test_contact_is_the_majority_class(scored):
    contact = {"task": "contact_prediction", "metric": "macro_f1"}
    assert find(scored, head="majority", variant=FLOOR, **contact).value == 1
    mine = find(scored, head="neural", **contact)
    assert mine.value == 1
    assert mine.skill is None
    assert find(scored, head="neural", against="majority", **contact).status == "degenerate"


def test_chance_of_348_candidates(scored):
    expected = np.mean(1 / np.arange(1, 349))
    for task in ("caption_grounding", "cross_modal_retrieval"):
        row = find(scored, task=task, head="chance", variant=FLOOR, metric="mrr")
        assert row.value == pytest.approx(expected, rel=0.05)


def test_log_mel_rows_are_the_published_ones(record, truth):
    rows = logmel_rows(record, truth, "test", SECTION, "published")
    told = {one.name: one for one in note_figures(record, rows) if "raw_logmel" in one.name}
    for task in ("timeline_action", "timeline_subtask", "transition_detection", "next_action"):
        assert told[f"raw_logmel_{task}"].status == "exact"
    for task in ("temporal_order", "misalignment_detection"):
        one = told[f"raw_logmel_{task}"]
        assert one.recomputed == pytest.approx(one.published, abs=0.02)
    assert told["raw_logmel_object_relevance"].status == "not recomputable"


# --- the stitched trajectory ------------------------------------------------------------------


@given(st.integers(2, 12), st.integers(1, 10), st.integers(0, 99))
def test_pieces_stitch_into_what_they_were_cut_from(n_windows, step, seed):
    whole = np.random.default_rng(seed).normal(size=(step * (n_windows - 1) + 10, 2, 3))
    first = 40 + step * np.arange(n_windows)
    pieces = np.stack([whole[start - 40 : start - 30] for start in first])
    found = stitch(pieces, first)
    assert found.first_frame == 40
    assert np.array_equal(found.joints_m, whole.astype(np.float32))
    assert found.disagreement_m == 0
    assert np.isnan(found.placed(1000)[:40]).all()


def test_pieces_that_disagree_are_measured_and_gaps_are_refused():
    pieces = np.zeros((2, 10, 1, 3))
    pieces[1] += 0.25
    assert stitch(pieces, np.array([0, 5])).disagreement_m == 0.25
    with pytest.raises(PublishedRecordError, match="2 frames open from frame 10"):
        stitch(pieces, np.array([0, 12]))


def test_the_real_targets_are_one_trajectory(record, truth):
    found = hands_study.real_hands(record, truth)
    assert (found.first_frame, found.joints_m.shape) == (4075, (1745, 42, 3))
    assert found.disagreement_m == 0
    stored = record.vectors("neural_vectors", "hand_trajectory_forecast")
    targets = stored["y_true"].reshape(-1, 10, 42, 3)
    assert np.array_equal(found.joints_m[:10], targets[0])
    assert np.array_equal(found.joints_m[-10:], targets[-1])


def made_up(n_frames, motion):
    """Return hands whose joints all move alike, and their forecast as a problem."""
    place = np.asarray(motion, dtype=np.float32)
    joints = np.broadcast_to(place[:, None, None], (n_frames, 42, 3)).copy()
    joints += np.random.default_rng(7).normal(size=(42, 3)).astype(np.float32)
    problem = forecast_problem(Trajectory(100, joints, 0.0), 100 + n_frames)
    return problem


@pytest.fixture
def brief(monkeypatch):
    """Only forecasters that are fitted in no time."""
    monkeypatch.delitem(forecasting.FORECASTERS, "gain_network")


@pytest.fixture(scope="module")
def swinging():
    time = np.arange(300)
    return made_up(300, 0.2 * np.sin(time / 6))


def test_the_split_is_purged_of_history_and_horizon(swinging):
    split = swinging.split
    frames = swinging.samples.frames
    assert not touching(frames[split.train], frames[split.test]).any()
    assert len(split.purged) > 0
    last = swinging.samples.frames[split.train].max()
    assert last < swinging.samples.frames[split.test].min()


def test_forecasts_see_the_past_only(swinging, brief):
    histories = hands_study.Histories.of(swinging)
    blind = hands_study.Histories(
        histories.steps, histories.ahead.copy(), histories.frames, histories.split
    )
    blind.ahead[histories.split.test] = np.nan
    for name in hands_study.WALKERS:
        forecaster = hands_study.FORECASTERS[name]
        (mine,), (theirs,) = forecaster(histories), forecaster(blind)
        assert np.array_equal(mine.predicted, theirs.predicted)


def test_regressions_learn_a_swing_that_velocity_cannot(swinging, brief):
    some = {name: hands_study.FORECASTERS[name] for name in hands_study.WALKERS}
    error = {
        head: np.abs(one.predicted - swinging.test_targets).mean()
        for head, (one,) in forecasts(swinging, some).items()
    }
    still = np.abs(swinging.naive("zero_velocity") - swinging.test_targets).mean()
    assert error["ridge_shared"] < 0.1 * still
    assert error["ridge_joint"] < 0.1 * still
    assert error["damped_velocity"] < still
    assert error["forecast"] < 0.1 * still


def test_damping_is_chosen_to_rest_where_motion_is_noise():
    noise = np.random.default_rng(3).normal(size=200)  # each step is undone by the next on average
    histories = hands_study.Histories.of(made_up(200, noise))
    (found,) = hands_study.damped(histories)
    assert found.facts["damping"] == 0
    assert not found.predicted.any()


def test_a_trajectory_too_short_to_forecast_says_so():
    found = made_up(35, np.zeros(35))
    assert found.status == "skipped"
    assert "too few" in found.reason
    rows = hands_study.forecast_rows(
        Trajectory(100, np.zeros((35, 42, 3), np.float32), 0.0), found, "test", SECTION
    )
    assert {row.metric: row.value for row in rows}["stitched_frames"] == 35


def test_the_committed_study_forecasts_the_real_hands_better_than_standing_still():
    """Whoever has the record makes its rows anew with a run, which are then compared with these."""
    rows = read_records(at_root(f"artifacts/reference/standin/metrics/{SECTION}.json"))
    walked = find(rows, task="stitched_hand_forecast", head="damped_velocity",
                  variant="walk_forward", against="zero_velocity", metric="mpjpe")  # fmt: skip
    assert walked.ci_high < 0
    chosen = find(rows, task="stitched_hand_forecast", head="forecast",
                  variant="walk_forward", against="zero_velocity", metric="mpjpe")  # fmt: skip
    assert chosen.ci_high < 0
    temporal = [row for row in rows if row.head == "temporal" and row.metric == "mpjpe"]
    assert any(row.against == "zero_velocity" for row in temporal)


def test_the_notes_figures_stand_in_one_file_only():
    typed = [f"{one['value']}" for one in open_record("nowhere").note["figures"]
             if one["digits"] == 4]  # fmt: skip
    for path in [*at_root("lib").rglob("*.py"), *at_root("notebooks").glob("*.py")]:
        text = path.read_text(encoding="utf-8")
        assert [value for value in typed if len(value) > 5 and value in text] == [], path
