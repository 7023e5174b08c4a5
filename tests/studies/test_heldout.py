"""Tasks across recordings: what is learnt from whom, what is scored, and how sure it is."""

import gc
import tracemalloc
import weakref
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xperience.cohort.roster import Entry, make_roster
from xperience.cohort.shards import Work, run_shard, tables_of
from xperience.errors import ParamsError
from xperience.evaluation.metrics import METRICS
from xperience.evaluation.records import write_records
from xperience.evaluation.vectors import Positions, cosine_ranks
from xperience.features.table import WindowTable
from xperience.models.conditioning import Moments
from xperience.report.takeaways.catalogue import TAKEAWAYS
from xperience.report.takeaways.evidence import EPISODES, Evidence
from xperience.studies.heldout import asked as asking
from xperience.studies.heldout import axes, study
from xperience.studies.heldout.asked import ask, sets_of
from xperience.studies.heldout.axes import fit_space, project
from xperience.studies.heldout.cohort import open_cohort
from xperience.studies.heldout.contest import Truths, entrant, merged, truths_of
from xperience.studies.heldout.heads import HEADS
from xperience.studies.heldout.predictions import COLUMNS, Said
from xperience.studies.heldout.rotation import (
    ROTATED,
    ROTATED_ENDS,
    ROTATED_GAP,
    ROTATED_WITHIN,
    run_turns,
    turn_rows,
    turns,
)
from xperience.studies.heldout.rows import ACROSS, ENDS, GAP, cohort_rows, heldout_rows
from xperience.studies.heldout.study import answer_cohort, run_heldout, tables_in
from xperience.studies.heldout.within import WITHIN, Gap
from xperience.studies.heldout.words import SAME_SUBTASK
from xperience.studies.problem import Answer
from xperience.tasks.catalogue import TASKS, TASKS_BY_NAME, tasks_of

from .heldout_family import family

BRIEF = [TASKS_BY_NAME[n] for n in ("timeline_action", "hand_trajectory_forecast",
                                    "cross_modal_retrieval", "temporal_order")]  # fmt: skip

TURNED = [*BRIEF[:2], TASKS_BY_NAME["modality_reconstruction"]]


@pytest.fixture(scope="module")
def run(made_once):
    """A family of five with its windows."""

    def windows(folder):
        report = run_shard(roster, 0, 1, Work(folder))
        assert not report.failed

    roster = family(made_once)
    return roster, made_once("heldout-windows", windows)


@pytest.fixture(scope="module")
def cohort(run):
    roster, folder = run
    return open_cohort(roster, tables_in(folder / "windows"))


@pytest.fixture(scope="module")
def held(cohort):
    return list(answer_cohort(cohort, ["linear"]))


@pytest.fixture(scope="module")
def rows(cohort, held):
    return [*cohort_rows(cohort, "tiny"), *heldout_rows(held, "tiny")]


def of(rows, task, variant, head="linear", against=None):
    wanted = (task, variant, head, against, TASKS_BY_NAME[task].primary.name)
    found = [r for r in rows if (r.task, r.variant, r.head, r.against, r.metric) == wanted]
    assert len(found) == 1, found
    return found[0]


def test_every_task_is_answered_and_every_row_is_whole(held, rows, tmp_path):
    assert [one.task.name for one in held] == [task.name for task in TASKS]
    for one in held:
        if one.status == "ok":
            truths = truths_of(one.asked)
            assert len(truths) == one.asked.n_test == len(one.answers["linear"][0].predicted)
    write_records(tmp_path / "m.json", rows)  # refuses two rows of one key
    scored = {row.task for row in rows if row.variant == ACROSS and row.status == "ok"}
    assert scored == {one.task.name for one in held if one.status == "ok"}
    assert all(row.floor is not None for row in rows
               if row.variant == ACROSS and row.against is None and row.value is not None
               and row.metric == TASKS_BY_NAME[row.task].primary.name)  # fmt: skip


def test_nothing_is_learnt_from_test_recordings(cohort, held):
    """Other test recordings, other test scores; but the same space, settings and predictions."""
    sets = sets_of(tasks_of("corrected", BRIEF))
    space = fit_space(cohort.on("train"), sets, 32)
    test = cohort.on("test")[0]
    without = replace(cohort, recordings=tuple(r for r in cohort.recordings if r is not test))
    task = tasks_of("corrected", [TASKS_BY_NAME["timeline_action"]])[0]
    said = []
    for some in (cohort, without):
        asked = ask(task, some.recordings, project(some.recordings, space), space)
        said.append(HEADS["linear"](asked, ())[0].predicted)
    assert said[0][-len(said[1]) :] == said[1]


def test_axes_are_those_of_the_training_windows(cohort):
    """Projected windows have the inner products of z-scores, when all axes are kept."""
    blocks = ("hand_left_joints", "imu_accel_gyro")
    train = cohort.on("train")
    space = fit_space(train, [blocks], 10_000)
    rows = [np.concatenate([r.table.block(name) for r in train]) for name in blocks]
    scores = np.concatenate([Moments.of(block)(block) for block in rows], axis=1)
    found = np.concatenate([one.coordinates[blocks] for one in project(train, space)])
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
    roster, folder = run
    target = tmp_path / "windows"
    target.mkdir()
    lost = roster.on("test")[0].episode
    for entry in roster:
        table = pd.read_parquet(tables_of(folder, entry.episode)[1])
        assert len(table)
        (target / f"{entry.episode}.corrected.parquet").write_bytes(
            tables_of(folder, entry.episode)[1].read_bytes()
        )
    without_imu(target / f"{lost}.corrected.parquet")
    cohort, outcomes = run_heldout(roster, target, tasks=BRIEF[:1])
    (held,) = outcomes
    part = next(p for p in held.asked.parts["test"] if p.recording.entry.episode == lost)
    assert not part.projected.known["imu_accel_gyro"].any()
    assert any("imu_accel_gyro is its training mean in 1 of" in note for note in held.asked.notes)
    assert not cohort.lost


def without_imu(path):
    table = pq.read_table(path)
    place = table.schema.get_field_index("imu_accel_gyro")
    nulls = pa.nulls(len(table), table.schema.field(place).type)
    pq.write_table(table.set_column(place, table.schema.field(place), nulls), path)


def test_a_recording_that_cannot_be_read_is_named(run, tmp_path):
    roster, folder = run
    gone = roster.on("train")[0]
    cohort = open_cohort(
        roster,
        lambda entry: (
            tmp_path / "no.parquet" if entry == gone else tables_of(folder, entry.episode)[1]
        ),
    )
    assert list(cohort.lost) == [gone.episode]
    assert "no.parquet" in cohort.lost[gone.episode]
    row = next(r for r in cohort_rows(cohort, "tiny") if r.metric == "lost_recordings")
    assert (row.value, gone.episode in row.reason) == (1, True)
    with pytest.raises(ParamsError, match="no recording that can be used"):
        open_cohort(roster, lambda entry: tmp_path / "no.parquet")


def test_published_tables_are_refused(run):
    roster, folder = run
    with pytest.raises(ParamsError, match="published"):
        open_cohort(roster, lambda entry: tables_of(folder, entry.episode)[0])


def test_the_gap_is_the_difference_on_the_same_windows(held, rows):
    for one in held:
        if one.status != "ok":
            continue
        if not isinstance(one.gap, Gap):
            assert of(rows, one.task.name, GAP, against=WITHIN).reason == one.gap
            continue
        within, ends = of(rows, one.task.name, WITHIN), of(rows, one.task.name, ENDS)
        assert within.n_test == ends.n_test == len(one.gap.within.problem)
        gap = of(rows, one.task.name, GAP, against=WITHIN)
        if gap.value is not None:
            assert gap.value == pytest.approx(ends.value - within.value)


def test_within_and_across_are_asked_about_the_same_samples(held):
    action = next(one for one in held if one.task.name == "timeline_action")
    kept = action.gap.across["linear"].problem
    assert list(action.gap.within.problem.values) == list(kept.values)
    assert (action.gap.within.problem.episodes == kept.episodes).all()
    for number in np.unique(kept.episodes):
        last = kept.values[np.flatnonzero(kept.episodes == number)[-1]]
        assert last == action.asked.parts["test"][number].samples.values[-1]


def test_rankings_are_made_within_a_recording():
    rng = np.random.default_rng(7)
    truth, said = rng.normal(size=(9, 4)), rng.normal(size=(9, 4))
    episodes = np.array([0] * 5 + [1] * 4)
    task = tasks_of("corrected", [TASKS_BY_NAME["cross_modal_retrieval"]])[0]
    truths = Truths(task, truth, episodes, ())
    mine = entrant("x", truths, [Answer(said)])
    apart = [cosine_ranks(said[episodes == n], truth[episodes == n]) for n in (0, 1)]
    expected = np.mean(np.concatenate([1 / (one.better + 1) for one in apart]))
    assert mine.score(task.primary).value == pytest.approx(expected)
    assert len(merged(apart)) == 9


def test_intervals_draw_recordings_and_need_enough_of_them():
    task = TASKS_BY_NAME["timeline_action"]
    rng = np.random.default_rng(7)
    truth = rng.choice(["a", "b"], 400)
    said = np.where(rng.random(400) < 0.8, truth, "a")
    for n, enough in ((4, False), (20, True)):
        truths = Truths(task, list(truth), np.repeat(np.arange(n), 400 // n), ("a", "b"))
        found = entrant("x", truths, [Answer(list(said))]).interval(task.measures[1])
        assert (found.low is not None) == enough
        if not enough:
            assert "4 recordings" in found.reason


def test_every_session_is_tested_and_validated_once():
    entries = [
        Entry(episode=f"e{n}", folder=f"e{n}", session=f"s{n // 2}", side="train")
        for n in range(14)
    ]
    found = turns(make_roster(entries, "."), 3)
    for side in ("test", "val"):
        told = [entry.episode for turn in found for entry in turn.on(side)]
        assert sorted(told) == sorted(entry.episode for entry in entries)
    with pytest.raises(ParamsError, match="3 to 7"):
        turns(make_roster(entries, "."), 8)


@pytest.fixture(scope="module")
def turned(run, cohort):
    """Tasks with rotating sides, answered by both heads."""
    return run_turns(cohort, run[0], 3, heads=["linear", "neural"], tasks=TURNED)


def test_turns_pool_to_every_recording(turned):
    found = turned
    rows = turn_rows(found, "tiny")
    for task in BRIEF[:2]:
        row = of(rows, task.name, ROTATED)
        whole = sum(len(turn.truths) for turn in found[task.name])
        assert row.n_test == whole
        assert row.floor is not None
        within, ends = (of(rows, task.name, name) for name in (ROTATED_WITHIN, ROTATED_ENDS))
        gap = of(rows, task.name, ROTATED_GAP, against=WITHIN)
        assert gap.value == pytest.approx(ends.value - within.value)
    action = found["timeline_action"]
    truth = [label for turn in action for label in turn.truths.values]
    heads = [turn.heads["linear"].draws[0][0] for turn in action]
    said = [one.names[code] for one in heads for code in one.predicted]
    expected = METRICS["accuracy"]
    assert expected.id == "accuracy"
    right = np.mean([a == b for a, b in zip(truth, said, strict=True)])
    measured = next(m for m in TASKS_BY_NAME["timeline_action"].measures if m.name == "accuracy")
    pooled = np.average(
        [turn.heads["linear"].score(measured).value for turn in action],
        weights=[len(turn.truths) for turn in action],
    )
    assert pooled == pytest.approx(right)


def test_heads_of_a_turn_are_paired_on_the_same_windows(turned):
    rows = turn_rows(turned, "tiny")
    for task in BRIEF[:2]:
        linear, neural = (of(rows, task.name, ROTATED, head) for head in ("linear", "neural"))
        assert linear.n_test == neural.n_test
        assert (linear.floor, linear.floor_name) == (neural.floor, neural.floor_name)
        apart = of(rows, task.name, ROTATED, "neural", "linear")
        assert apart.value == pytest.approx(neural.value - linear.value)
        above = of(rows, task.name, ROTATED, "neural", neural.floor_name)
        assert above.value == pytest.approx(neural.value - neural.floor)
        assert of(rows, task.name, ROTATED_GAP, "neural", WITHIN).n_test < neural.n_test


def test_a_head_is_not_held_against_itself_and_stands_alone_as_it_did_in_company(
    run, cohort, turned
):
    alone = turn_rows(run_turns(cohort, run[0], 3, tasks=TURNED), "tiny")
    company = turn_rows(turned, "tiny")
    assert [row for row in company if row.head != "neural"] == alone
    assert not [row for row in alone if row.against == "linear"]


@pytest.mark.parametrize("claim", ["neural_across_beats_linear", "neural_across_beats_floor"])
def test_claims_of_the_network_across_recordings_are_judged_by_the_rows_of_the_turns(turned, claim):
    """Five recordings have no interval: the claim stays open, and says that it is for that."""
    rows = tuple(turn_rows(turned, "tiny"))
    (rule,) = next(one for t in TAKEAWAYS for one in t.claims if one.name == claim).rules
    evidence = Evidence("other", "tiny", {(rule.place.column, EPISODES): rows})
    judgement = rule.test.judge(evidence, rule.place)
    assert [row.task for row in judgement.rows] == [task.name for task in BRIEF[:2]]
    assert {(row.head, row.variant) for row in judgement.rows} == {("neural", ROTATED)}
    assert "recordings" in judgement.why
    sure = [r if r.against is None or r.value is None else r.model_copy(
        update={"ci_low": r.value - 1e-9, "ci_high": r.value + 1e-9, "ci_reason": None})
        for r in rows]  # fmt: skip
    evidence = Evidence("other", "tiny", {(rule.place.column, EPISODES): tuple(sure)})
    untold = rule.test.judge(evidence, rule.place).words["untold"]
    assert "temporal order" in untold  # was not asked here
    assert not [task for task in BRIEF[:2] if task.name.replace("_", " ") in untold]


def test_what_has_no_common_unit_is_not_asked_in_turns(turned):
    task = TURNED[-1].name
    assert turned[task] == []
    (row,) = [row for row in turn_rows(turned, "tiny") if row.task == task]
    assert (row.status, row.variant) == ("skipped", ROTATED)
    assert "no common unit" in row.reason


def test_a_turn_keeps_no_more_than_its_primary_measure_needs(turned):
    for turn in turned["hand_trajectory_forecast"]:
        assert len(turn.truths.values) == 0
        for one in (*turn.heads.values(), *turn.floors.values(), turn.gap.within):
            assert [len(items) for items in one.draws] == [1] * len(one.draws)
            assert isinstance(one.draws[0][0], Positions)


def test_outcomes_are_let_go_one_at_a_time(cohort):
    seen = []

    def watched():
        for held in answer_cohort(cohort, ["linear"], BRIEF[:3]):
            gc.collect()
            assert not [one for one in seen if one() is not None], "an outcome is still held"
            seen.append(weakref.ref(held))
            yield held
            del held

    assert len(list(heldout_rows(Said().of(watched()), "tiny"))) > len(seen) == 3


def test_many_windows_are_read_once_a_round_and_answered_alike(cohort, monkeypatch):
    """Tasks that share coordinates share a round, whatever is allowed to be held."""
    found, readings, whole = [], [], study.project
    monkeypatch.setattr(study, "project", lambda *given: readings.append(1) or whole(*given))
    for held_bytes, expected in ((2**29, 1), (1, 3)):
        monkeypatch.setattr(study, "HELD_BYTES", held_bytes)
        found.append(list(answer_cohort(cohort, ["linear"], BRIEF)))
        assert len(readings) == expected
        readings.clear()
    for one, other in zip(*found, strict=True):
        first, second = (held.answers["linear"][0].predicted for held in (one, other))
        assert np.array_equal(first, second)


SAMPLED = [TASKS_BY_NAME[n] for n in ("timeline_action", "hand_trajectory_forecast",
                                      "cross_modal_retrieval", "temporal_order",
                                      "misalignment_detection",
                                      "modality_reconstruction")]  # fmt: skip
STEP = 3


@pytest.fixture
def sampled(cohort, monkeypatch):
    """Tasks asked about all windows, and the same when only one of `STEP` may be taken."""
    tasks = tasks_of("corrected", SAMPLED)
    space = fit_space(cohort.on("train"), sets_of(tasks), 8)
    projected = project(cohort.recordings, space)
    found = []
    for task in tasks:
        n = {side: sum(len(task.members(r.n_windows)) for r in some)
             for side, some in (("learn", [*cohort.on("train"), *cohort.on("val")]),
                                ("test", cohort.on("test")))}  # fmt: skip
        whole = ask(task, cohort.recordings, projected, space)
        with monkeypatch.context() as few:
            few.setattr(asking, "MAX_LEARNT", -(-n["learn"] // STEP))
            few.setattr(asking, "MAX_TESTED", -(-n["test"] // STEP))
            found.append((whole, ask(task, cohort.recordings, projected, space)))
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


def test_sampled_windows_are_answered_and_told_of_in_every_kind_of_row(run, cohort, monkeypatch):
    monkeypatch.setattr(asking, "MAX_LEARNT", 40)
    monkeypatch.setattr(asking, "MAX_TESTED", 20)
    tasks = SAMPLED[:3]
    rows = list(heldout_rows(answer_cohort(cohort, ["linear"], tasks), "tiny"))
    rows += turn_rows(run_turns(cohort, run[0], 3, tasks=tasks), "tiny")
    for task in tasks:
        for variant in (ACROSS, ROTATED):
            row = of(rows, task.name, variant)
            assert row.value is not None
            assert "windows of train recordings is taken" in row.reason
        within, ends = (of(rows, task.name, name) for name in (WITHIN, ENDS))
        assert within.n_test == ends.n_test


def test_labels_are_compared_in_other_words(rows):
    exact = [r for r in rows if r.metric == "wording_exact" and r.against is None]
    assert {row.task for row in exact} == {"timeline_action", "timeline_subtask", "next_action"}
    for row in exact:
        key = (row.task, row.head, ACROSS, "accuracy")
        same = next(r for r in rows if (r.task, r.head, r.variant, r.metric) == key)
        assert row.value == pytest.approx(same.value)


def test_an_action_counts_as_its_subtask(held, rows):
    mine = next(one for one in held if one.task.name == "timeline_action")
    seen = [
        {"action": action, "subtask": subtask}
        for side in ("train", "val")
        for part in mine.asked.parts[side]
        for action, subtask in zip(
            part.recording.truth.action, part.recording.truth.subtask, strict=True
        )
    ]
    counts = pd.DataFrame(seen).value_counts().reset_index().drop_duplicates("action")
    part_of = dict(zip(counts["action"], counts["subtask"], strict=True))
    true = [
        part.recording.truth.subtask[center]
        for part in mine.asked.parts["test"]
        for center in part.samples.centers
    ]
    said = [part_of[action] for action in mine.answers["linear"][0].predicted]
    row = next(
        r for r in rows
        if (r.task, r.metric, r.against) == ("timeline_action", SAME_SUBTASK, None)
    )  # fmt: skip
    assert row.value == pytest.approx(np.mean([a == b for a, b in zip(said, true, strict=True)]))
    assert {r.task for r in rows if r.metric == SAME_SUBTASK} == {"timeline_action", "next_action"}


def test_predictions_are_kept_window_by_window(held, tmp_path):
    said = Said()
    assert list(said.of(held)) == held
    table = said.write(tmp_path / "p.parquet")
    again = pd.read_parquet(tmp_path / "p.parquet")
    assert list(again.columns) == list(COLUMNS)
    action = table[table["task"] == "timeline_action"]
    mine = next(one for one in held if one.task.name == "timeline_action")
    assert list(action["predicted"]) == list(mine.answers["linear"][0].predicted)
    assert set(action["episode"]) == {
        part.recording.entry.episode for part in mine.asked.parts["test"]
    }


def test_an_unknown_head_is_named(run):
    roster, folder = run
    with pytest.raises(ParamsError, match="linear"):
        run_heldout(roster, folder / "windows", heads=["lineal"])


def test_a_network_answers_too(cohort):
    (held,) = answer_cohort(cohort, ["neural"], BRIEF[:1], 2)
    assert [answer.seed for answer in held.answers["neural"]] == [7, 8]
    assert set(held.answers["neural"][0].predicted) <= set(held.asked.labels)


def test_a_table_stays_on_disk(cohort):
    assert all(isinstance(one.table, WindowTable) for one in cohort.recordings)


def test_axes_take_no_more_memory_of_more_recordings(cohort, monkeypatch):
    """What is held of the training side is the sample; that stays the same size."""
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
