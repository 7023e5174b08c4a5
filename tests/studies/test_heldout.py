"""Tasks across recordings: what is learnt from whom, what is scored, and how sure it is."""

import gc
import tracemalloc
import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xperience.cohort.manifest import Entry, make_manifest
from xperience.cohort.shards import Work, run_shard, tables_of
from xperience.errors import ParamsError
from xperience.evaluation.evaluate import Scores
from xperience.evaluation.metrics import (
    Positions,
    RecordingVectors,
    cosine_ranks,
    vectors,
    weighted,
)
from xperience.evaluation.predictions import Prediction, predict
from xperience.evaluation.records import (
    ACROSS,
    ENDS,
    GAP,
    POOLED,
    POOLED_ENDS,
    POOLED_GAP,
    POOLED_WITHIN,
    WITHIN,
    write_records,
)
from xperience.models.conditioning import MAX_SCORE, Moments
from xperience.studies.heldout import axes, folds
from xperience.studies.heldout import problem as asking
from xperience.studies.heldout.axes import fit_space, project
from xperience.studies.heldout.cohort import open_cohort, tables_in
from xperience.studies.heldout.folds import (
    PREDICTED,
    Fold,
    cohort_problems,
    cohort_rows,
    fold_scores,
    heldout_rows,
    labels_by_window,
    pooled_rows,
    write_by_window,
)
from xperience.studies.heldout.problem import cohort_problem, sets_of
from xperience.studies.heldout.words import SAME_SUBTASK
from xperience.tasks.catalogue import TASKS, TASKS_BY_NAME, tasks_of

from .heldout_family import family

BRIEF = [TASKS_BY_NAME[n] for n in ("timeline_action", "hand_trajectory_forecast",
                                    "cross_modal_retrieval", "temporal_order")]  # fmt: skip
FOLDED = [*BRIEF[:2], *(TASKS_BY_NAME[n] for n in ("action_change", "modality_reconstruction"))]
PRIMARY = {task.name: task.primary.name for task in tasks_of("corrected")}


@pytest.fixture(scope="module")
def run(made_once):
    """A family of five with its windows."""

    def windows(folder):
        report = run_shard(manifest, 0, 1, Work(folder))
        assert not report.failed

    manifest = family(made_once)
    return manifest, made_once("heldout-windows", windows)


@pytest.fixture(scope="module")
def cohort(run):
    manifest, folder = run
    return open_cohort(manifest, tables_in(folder / "windows"))


def predicted(problem, heads=("linear",)):
    return {head: predict(problem, head) for head in heads}


@pytest.fixture(scope="module")
def answered(cohort):
    return [(one, predicted(one)) for one in cohort_problems(cohort)]


@pytest.fixture(scope="module")
def rows(cohort, answered):
    found = [row for pair in answered for row in heldout_rows(*pair, "tiny")]
    return [*cohort_rows(cohort, "tiny"), *found]


def of(rows, task, variant, head="linear", against=None):
    wanted = (task, variant, head, against, PRIMARY[task])
    found = [r for r in rows if (r.task, r.variant, r.head, r.against, r.metric) == wanted]
    assert len(found) == 1, found
    return found[0]


def test_every_task_is_answered_and_every_row_is_whole(answered, rows, tmp_path):
    assert [one.task.name for one, _ in answered] == [task.name for task in TASKS]
    for problem, heads in answered:
        if problem.ok:
            assert problem.n_test == len(problem.test_targets) == len(heads["linear"][0].predicted)
    write_records(tmp_path / "m.json", rows)  # refuses two rows of one key
    scored = {row.task for row in rows if row.variant == ACROSS and row.status == "ok"}
    assert scored == {one.task.name for one, _ in answered if one.ok}
    assert all(row.floor is not None for row in rows
               if row.variant == ACROSS and row.against is None and row.value is not None
               and row.metric == PRIMARY[row.task])  # fmt: skip


def test_nothing_is_learnt_from_test_recordings(cohort):
    """Other test recordings, other test scores; but the same space, settings and predictions."""
    task = tasks_of("corrected", [TASKS_BY_NAME["timeline_action"]])[0]
    sets = sets_of([task])
    space = fit_space(cohort.on("train"), sets, 32)
    test = cohort.on("test")[0]
    without = replace(cohort, recordings=tuple(r for r in cohort.recordings if r is not test))
    found = []
    for some in (cohort, without):
        projected = project(some.recordings, space, sets)
        problem = cohort_problem(task, some.recordings, projected, space)
        found.append(predict(problem)[0].predicted)
    assert found[0][-len(found[1]) :] == found[1]


def test_axes_are_those_of_the_training_windows(cohort):
    """Projected windows have the inner products of z-scores, when all axes are kept."""
    blocks = ("hand_left_joints", "imu_accel_gyro")
    train = cohort.on("train")
    space = fit_space(train, [blocks], 10_000)
    rows = [np.concatenate([r.table.block(name) for r in train]) for name in blocks]
    scores = np.concatenate([Moments.of(block)(block) for block in rows], axis=1)
    found = np.concatenate([one.coordinates[blocks] for one in project(train, space, [blocks])])
    np.testing.assert_allclose(found @ found.T, scores @ scores.T, atol=0.02 * len(scores[0]))
    assert space.axes[blocks].kept_variance == pytest.approx(1, abs=1e-6)
    back = space.axes[blocks].back(found)
    np.testing.assert_allclose(back, scores, atol=0.05)


def test_axes_rest_on_an_even_sample_of_many_windows(cohort, monkeypatch):
    read = []
    whole = Moments.of
    monkeypatch.setattr(axes, "MAX_WINDOWS", 12)
    monkeypatch.setattr(axes.Moments, "of", lambda rows: read.append(len(rows)) or whole(rows))
    fit_space(cohort.on("train"), [("imu_accel_gyro",)], 4)
    assert 4 < read[0] <= 14


def test_a_missing_block_is_the_training_mean_and_is_said_to_be(run, tmp_path):
    manifest, folder = run
    lost = manifest.on("test")[0].episode
    for entry in manifest:
        target = tmp_path / f"{entry.episode}.corrected.parquet"
        target.write_bytes(tables_of(folder, entry.episode)[1].read_bytes())
    without_imu(tmp_path / f"{lost}.corrected.parquet")
    cohort = open_cohort(manifest, tables_in(tmp_path))
    (problem,) = cohort_problems(cohort, BRIEF[:1])
    part = next(p for p in problem.parts["test"] if p.recording.entry.episode == lost)
    assert not part.projected.known["imu_accel_gyro"].any()
    assert any("imu_accel_gyro is its training mean in 1 of" in note for note in problem.notes)
    assert not cohort.lost


def without_imu(path):
    table = pq.read_table(path)
    place = table.schema.get_field_index("imu_accel_gyro")
    nulls = pa.nulls(len(table), table.schema.field(place).type)
    pq.write_table(table.set_column(place, table.schema.field(place), nulls), path)


def test_a_recording_that_cannot_be_read_is_named(run):
    manifest, folder = run
    gone = manifest.on("train")[0]

    def tables(entry):
        return folder / "no.parquet" if entry == gone else tables_of(folder, entry.episode)[1]

    cohort = open_cohort(manifest, tables)
    assert list(cohort.lost) == [gone.episode]
    assert "no.parquet" in cohort.lost[gone.episode]
    row = next(r for r in cohort_rows(cohort, "tiny") if r.metric == "lost_recordings")
    assert (row.value, gone.episode in row.reason) == (1, True)
    with pytest.raises(ParamsError, match=r"train: has no recording that can be used.*published"):
        open_cohort(manifest, lambda entry: tables_of(folder, entry.episode)[0])


def test_the_gap_is_the_difference_on_the_same_windows(answered, rows):
    for problem, _ in answered:
        if not problem.ok:
            continue
        gap = of(rows, problem.task.name, GAP, against=WITHIN)
        if gap.status == "skipped":
            assert gap.reason
            continue
        within, ends = (of(rows, problem.task.name, name) for name in (WITHIN, ENDS))
        assert within.n_test == ends.n_test < problem.n_test
        if gap.value is not None:
            assert gap.value == pytest.approx(ends.value - within.value)


def some_problem(name, truth, groups, labels=()):
    """Return what `Scores` asks of a problem of several recordings."""
    task = tasks_of("corrected", [TASKS_BY_NAME[name]])[0]
    own = {
        "groups": groups,
        "sessions": groups // 2,
        "n_test": len(groups),
        "by_time": np.arange(len(groups)),
    }
    return SimpleNamespace(task=task, test_targets=truth, labels=labels, contract="corrected",
                           measures=task.measures[:2], **own)  # fmt: skip


def test_rankings_are_made_within_a_recording():
    rng = np.random.default_rng(7)
    truth, said = rng.normal(size=(9, 4)), rng.normal(size=(9, 4))
    groups = np.array([0] * 5 + [1] * 4)
    problem = some_problem("cross_modal_retrieval", truth, groups)
    apart = [cosine_ranks(said[groups == n], truth[groups == n]) for n in (0, 1)]
    expected = np.mean(np.concatenate([1 / (one.better + 1) for one in apart]))
    found = Scores.of(problem, [Prediction(said)]).score(problem.task.primary)
    assert found.value == pytest.approx(expected)


def test_intervals_leave_out_sessions_and_need_enough_of_them():
    rng = np.random.default_rng(7)
    truth = rng.choice(["a", "b"], 400)
    said = np.where(rng.random(400) < 0.8, truth, "a")
    for n, enough in ((4, False), (20, True)):
        groups = np.repeat(np.arange(n), 400 // n)
        problem = some_problem("timeline_action", list(truth), groups, ("a", "b"))
        scores = Scores.of(problem, [Prediction(list(said))])
        found = scores.interval(problem.task.measures[1])
        assert (found.low is not None) == enough
        assert found.n_segments == n // 2
        if not enough:
            assert "2 recordings or sessions" in found.reason


def test_every_session_is_tested_and_validated_once():
    entries = [
        Entry(episode=f"e{n}", folder=f"e{n}", session=f"s{n // 2}", side="train")
        for n in range(14)
    ]
    found = folds.folds(make_manifest(entries, "."), 3)
    for side in ("test", "val"):
        told = [entry.episode for fold in found for entry in fold.on(side)]
        assert sorted(told) == sorted(entry.episode for entry in entries)
    with pytest.raises(ParamsError, match="3 to 7"):
        folds.folds(make_manifest(entries, "."), 8)


@pytest.fixture(scope="module")
def folded(run, cohort):
    """Tasks in cross-validation, predicted by both heads."""
    found = {task.name: [] for task in FOLDED}
    for fold in folds.folds(run[0], 3):
        for problem in cohort_problems(cohort.split_as(fold), FOLDED):
            heads = predicted(problem, ("linear", "neural"))
            found[problem.task.name].append(fold_scores(problem, heads))
    return found


@pytest.fixture(scope="module")
def pooled(folded):
    return [row for task in FOLDED for row in pooled_rows(task, folded[task.name], "tiny")]


def test_folds_pool_to_every_recording_and_pair_their_heads(folded, pooled):
    for task in FOLDED:
        n_tests = [fold.heads["linear"].problem.n_test for fold in folded[task.name]]
        linear, neural = (of(pooled, task.name, POOLED, head) for head in ("linear", "neural"))
        assert linear.n_test == neural.n_test == sum(n_tests)
        each = [fold.heads["linear"].score(task.primary).value for fold in folded[task.name]]
        if task.primary.metric.unit == "m":
            assert linear.value == pytest.approx(np.average(each, weights=n_tests))
        if any(fold.ends for fold in folded[task.name]):
            within, ends = (of(pooled, task.name, name) for name in (POOLED_WITHIN, POOLED_ENDS))
            gap = of(pooled, task.name, POOLED_GAP, against=WITHIN)
            assert gap.value == pytest.approx(ends.value - within.value)
            assert of(pooled, task.name, POOLED_GAP, "neural", WITHIN).n_test < neural.n_test
        else:
            assert task.name == "action_change", "too rare in so short an end"
        assert (linear.floor, linear.floor_name) == (neural.floor, neural.floor_name)
        apart = of(pooled, task.name, POOLED, "neural", "linear")
        assert apart.value == pytest.approx(neural.value - linear.value)
        above = of(pooled, task.name, POOLED, "neural", neural.floor_name)
        assert above.value == pytest.approx(neural.value - neural.floor)
    assert not [row for row in pooled if row.head == row.against]


def test_a_fold_keeps_no_more_than_its_primary_measure_needs(folded):
    for fold in folded["hand_trajectory_forecast"]:
        assert isinstance(fold, Fold)
        for one in (*fold.heads.values(), *fold.floors.values(), *fold.ends.values()):
            assert [len(items) for items in one.draws] == [1] * len(one.draws)
            assert isinstance(one.draws[0][0], Positions)


def test_a_reconstruction_has_one_unit_within_and_across_recordings(cohort, answered, folded):
    problem, said = next(p for p in answered if p[0].task.name == "modality_reconstruction")
    truth = problem.test_targets
    ends = folds.ends_of(problem, said).scores
    within, across = (ends[name].draws[0][0] for name in (WITHIN, "linear"))
    assert np.array_equal(within.truth, across.truth), "the same samples in the same unit"
    part = problem.parts["test"][0]
    own = problem.space.scores(part.recording, problem.task.target_blocks)
    assert within.truth.shape[1] == own.shape[1] == truth.shape[1]
    assert np.abs(within.predicted).max() <= MAX_SCORE
    assert np.median(np.abs(within.predicted - within.truth)) < 1
    folds_of = folded["modality_reconstruction"]
    pooled = folds.pooled_scores([fold.heads for fold in folds_of])["linear"]
    assert len(pooled.draws[0][0]) == sum(len(f.heads["linear"].draws[0][0]) for f in folds_of)


def test_vectors_of_recordings_keep_their_r2():
    rng = np.random.default_rng(3)
    truth, said = rng.normal(size=(2, 12, 5)) + rng.normal(size=(2, 1, 5))
    groups, columns = np.repeat([4, 7, 9], [3, 5, 4]), np.array([1, 0, 1, 1, 1, 1], dtype=bool)
    whole = vectors(truth, said)
    halves = [
        RecordingVectors.of(vectors(truth[own], said[own]), groups[own], columns)
        for own in (groups == 4, groups != 4)
    ]
    weights = np.array([[1, 1, 1], [0, 2, 1], [3, 0, 0]], dtype=float)[
        :, [0] * 3 + [1] * 5 + [2] * 4
    ]
    merged = RecordingVectors.merged(halves)
    assert weighted("r2", merged)(weights) == pytest.approx(weighted("r2", whole)(weights))


def test_problems_are_let_go_one_at_a_time(cohort):
    seen = []
    for problem in cohort_problems(cohort, BRIEF[:3]):
        gc.collect()
        assert not [one for one in seen if one() is not None], "a problem is still held"
        seen.append(weakref.ref(problem))
        del problem


def test_many_windows_are_read_once_a_round_and_predicted_alike(cohort, monkeypatch):
    """Tasks that share coordinates share a round, whatever is allowed to be held."""
    found, readings, whole = [], [], folds.project
    asked = [BRIEF[0], TASKS_BY_NAME["action_verb"], *BRIEF[2:]]
    monkeypatch.setattr(folds, "project", lambda *given: readings.append(1) or whole(*given))
    for held_bytes, expected in ((2**29, 1), (1, 3)):
        monkeypatch.setattr(folds, "HELD_BYTES", held_bytes)
        found.append([predict(one)[0].predicted for one in cohort_problems(cohort, asked)])
        assert len(readings) == expected
        readings.clear()
    for one, other in zip(*found, strict=True):
        assert np.array_equal(one, other)


SAMPLED = [TASKS_BY_NAME[n] for n in ("timeline_action", "hand_trajectory_forecast",
                                      "cross_modal_retrieval", "temporal_order",
                                      "misalignment_detection",
                                      "modality_reconstruction")]  # fmt: skip
STEP = 3


@pytest.fixture
def sampled(cohort, monkeypatch):
    """Problems of all windows, and the same when only one of `STEP` may be taken."""
    tasks = tasks_of("corrected", SAMPLED)
    space = fit_space(cohort.on("train"), sets_of(tasks), 8)
    projected = project(cohort.recordings, space, sets_of(tasks))
    found = []
    for task in tasks:
        n = {side: sum(len(task.members(r.n_windows)) for r in some)
             for side, some in (("learn", [*cohort.on("train"), *cohort.on("val")]),
                                ("test", cohort.on("test")))}  # fmt: skip
        whole = cohort_problem(task, cohort.recordings, projected, space)
        with monkeypatch.context() as few:
            few.setattr(asking, "MAX_LEARNT", -(-n["learn"] // STEP))
            few.setattr(asking, "MAX_TESTED", -(-n["test"] // STEP))
            found.append((whole, cohort_problem(task, cohort.recordings, projected, space)))
    return found


def test_of_many_windows_every_so_many_are_taken_and_the_row_says_so(sampled):
    for whole, few in sampled:
        assert not whole.sampled
        wide = few.task.kind == "regress"
        assert few.steps == {"train": STEP, "val": STEP, "test": STEP if wide else 1}
        assert f"one of {STEP} windows of train recordings is taken" in few.notes
        assert ("test" in " ".join(few.sampled)) == wide
        for side, step in few.steps.items():
            for one, other in zip(whole.parts[side], few.parts[side], strict=True):
                kept = one.samples.members.min(axis=1) % step == 0
                assert np.array_equal(other.samples.members, one.samples.members[kept])
                assert list(map(str, other.samples.values)) == [
                    str(value) for value, kept in zip(one.samples.values, kept, strict=True) if kept
                ]


def test_pairs_and_candidates_stay_whole_however_few_windows_are_taken(sampled):
    of_task = {few.task.name: (whole, few) for whole, few in sampled}
    for name in ("temporal_order", "misalignment_detection"):
        _, few = of_task[name]
        for part in few.parts["train"]:
            twins = part.samples.members.min(axis=1).reshape(-1, 2)
            assert (twins[:, 0] == twins[:, 1]).all()
            assert list(part.samples.values) == list(part.samples.values[:2]) * len(twins)
    whole, few = of_task["cross_modal_retrieval"]
    assert len(few.parts["train"][0].samples) < len(whole.parts["train"][0].samples)
    assert few.n_test == whole.n_test


def test_labels_are_compared_in_other_words(rows):
    exact = [r for r in rows if r.metric == "wording_exact" and r.against is None]
    assert {row.task for row in exact} == {"timeline_action", "timeline_subtask", "next_action"}
    for row in exact:
        key = (row.task, row.head, ACROSS, "accuracy")
        same = next(r for r in rows if (r.task, r.head, r.variant, r.metric) == key)
        assert row.value == pytest.approx(same.value)
    assert {r.task for r in rows if r.metric == SAME_SUBTASK} == {"timeline_action", "next_action"}


def test_predictions_are_kept_window_by_window(answered, tmp_path):
    found = [labels_by_window(*pair) for pair in answered]
    table = write_by_window(tmp_path / "p.parquet", found)
    again = pd.read_parquet(tmp_path / "p.parquet")
    assert list(again.columns) == list(PREDICTED)
    action = table[table["task"] == "timeline_action"]
    problem, heads = next(pair for pair in answered if pair[0].task.name == "timeline_action")
    assert list(action["predicted"]) == list(heads["linear"][0].predicted)
    assert set(action["episode"]) == {p.recording.entry.episode for p in problem.parts["test"]}


def test_axes_take_no_more_memory_of_more_recordings(cohort, monkeypatch):
    """What is held of the training split is the sample; that stays the same size."""
    monkeypatch.setattr(axes, "MAX_WINDOWS", 48)
    train = cohort.on("train") * 4
    blocks = [("body_joints", "imu_accel_gyro"), ("imu_accel_gyro",)]

    def peak(recordings):
        gc.collect()
        tracemalloc.start()
        try:
            fit_space(recordings, blocks, 8)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few = peak(train)
    many = peak(train * 3)
    assert many < 1.2 * few
