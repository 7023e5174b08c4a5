"""Label shift: splits, leaks, probes and rows, against plain references."""

import dataclasses
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.evaluation.records import read_records, write_records
from xperience.features.blocks import BLOCKS, Block
from xperience.features.table import TableInfo, WindowRows, WindowTable, write_table
from xperience.features.windows import STRIDE_FRAMES, WINDOW_FRAMES
from xperience.recording.files import recording_digests
from xperience.studies.blocks import Blocks
from xperience.studies.problem import Outcome, Problem
from xperience.studies.rows import suite_rows
from xperience.studies.shift.probes import (
    COPY,
    SENSORS_ONLY,
    TEXT_ONLY,
    TIME,
    copy_nearest,
    only_time,
    with_inputs,
)
from xperience.studies.shift.rows import embargo_of, embargo_rows, kind_of, shift_rows, split_of
from xperience.studies.shift.study import (
    ASKED,
    EMBARGOES_FRAMES,
    SPLITS,
    THINNED,
    frames_between,
    leak_of,
    run_embargo,
    run_shift,
)
from xperience.studies.suite import run_suite
from xperience.tasks.catalogue import NO_TEXT, TASKS_BY_NAME, TEXT
from xperience.tasks.samples import Samples
from xperience.tasks.splits import Split, purge
from xperience.tasks.truth import Truth

ACTION = TASKS_BY_NAME["timeline_action"]


def problem_of(starts, labels, train, test) -> Problem:
    """Return a problem of made-up windows."""
    starts = np.asarray(starts)
    frames = np.stack([starts, starts + WINDOW_FRAMES - 1], axis=-1)[:, None]
    members = np.arange(len(starts))[:, None]
    truth = Truth(int(starts.max()) + WINDOW_FRAMES, starts)
    samples = Samples(members, list(labels), frames, truth.centers)
    split = Split(np.asarray(train, dtype=int), np.asarray(test, dtype=int))
    return Problem(ACTION, truth, samples, split, tuple(dict.fromkeys(labels)))


@st.composite
def problems(draw) -> Problem:
    """Windows at some of the regular places, dealt out to training and test in any way."""
    places = draw(st.lists(st.integers(0, 60), min_size=4, max_size=25, unique=True))
    n = len(places)
    labels = draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n))
    parts = draw(
        st.lists(st.sampled_from(["train", "test", "out"]), min_size=n - 2, max_size=n - 2)
    )
    parts = np.array(["train", "test", *parts])
    order = draw(st.permutations(range(n)))  # splits need not be in the order of time
    sides = [[i for i in order if parts[i] == side] for side in ("train", "test")]
    return problem_of([5 * place for place in sorted(places)], labels, *sides)


def frames_of(problem: Problem, place: int) -> set[int]:
    start = int(problem.truth.starts[place])
    return set(range(start, start + WINDOW_FRAMES))


@given(problems())
def test_what_leaks_is_counted_frame_by_frame(problem):
    split, leak = problem.split, leak_of(problem)
    held = set().union(*(frames_of(problem, place) for place in split.train))
    shared = [len(frames_of(problem, place) & held) for place in split.test]
    assert leak.overlap_share == pytest.approx(np.mean([n > 0 for n in shared]))
    assert leak.frame_share == pytest.approx(np.mean(shared) / WINDOW_FRAMES)
    starts = problem.truth.starts
    gaps = [min(abs(int(starts[i] - starts[j])) for j in split.train) for i in split.test]
    assert leak.gap_frames == np.median(gaps)


@given(problems(), st.integers(0, 60))
def test_keeping_a_distance_is_a_purge_with_an_embargo(problem, embargo):
    kept = problem.split.train[frames_between(problem) >= embargo]
    expected = purge(problem.split, problem.samples.frames, embargo).train
    assert kept.tolist() == expected.tolist()


@given(problems())
def test_the_nearest_window_is_copied(problem):
    centers, labels, train = problem.samples.centers, problem.samples.values, problem.split.train
    for place, said in zip(problem.split.test, copy_nearest(problem).predicted, strict=True):
        distance = np.abs(centers[train] - centers[place])
        assert said in {labels[i] for i in train[distance == distance.min()]}


@given(problems(), st.sampled_from([10.0, 40.0, 200.0]))
def test_votes_fade_with_time(problem, scale):
    centers, labels = problem.samples.centers, problem.samples.values
    for place, said in zip(problem.split.test, only_time(problem, scale).predicted, strict=True):
        votes = Counter()
        for i in problem.split.train:
            votes[labels[i]] += math.exp(-(((centers[place] - centers[i]) / scale) ** 2) / 2)
        assert votes[said] >= max(votes.values()) * (1 - 1e-9)


def test_far_from_everything_the_nearest_window_decides():
    problem = problem_of([0, 5, 10, 15, 10_000], "aaabb", [0, 1, 2, 3], [4])
    assert only_time(problem, 1.0).predicted == ["b"]


def test_a_leak_of_nothing_is_none():
    leak = leak_of(problem_of([0, 5, 10], "aab", [], [0, 1, 2]))
    assert (leak.overlap_share, leak.frame_share) == (0, 0)
    assert math.isnan(leak.gap_frames)


class Empty:
    """A table whose text is missing."""

    def block(self, name):
        return np.full((4, 2), np.nan if name == TEXT else 1.0, dtype=np.float32)


def test_an_input_that_is_missing_is_said_to_be():
    problem = problem_of([0, 5, 10, 15], "aabb", [0, 3], [1, 2])
    problem = dataclasses.replace(problem, notes=(f"{TEXT} is zeros: gone", "hands are odd"))
    blocks = Blocks(Empty(), {TEXT: "no captions"})
    gone = with_inputs(problem, (TEXT,), blocks)
    assert (gone.status, gone.reason) == ("skipped", "no input: no captions")
    left = with_inputs(problem, NO_TEXT, blocks)
    assert left.task.input_blocks == NO_TEXT
    assert left.notes == ("hands are odd",)


# --- a made-up recording -----------------------------------------------------------------------


N_FRAMES = 900
STEPS = ((0, "fill"), (110, "grind"), (230, "pour"), (330, "grind"), (470, "pour"), (590, "stir"),
         (680, "pour"), (760, "sip"), (850, "wash"))  # fmt: skip
"""First frame of each action: "sip" and "wash" come after the cut only."""


@pytest.fixture(scope="module")
def episode(builder, tmp_path_factory) -> Path:
    """A recording without videos whose actions come and go."""
    folder = tmp_path_factory.mktemp("shift") / "episode"
    folder.mkdir()
    builder.write_annotation(folder / "annotation.hdf5", N_FRAMES)
    names = builder.frame_names(N_FRAMES)
    ends = [start - 1 for start, _ in STEPS[1:]] + [N_FRAMES - 1]
    segments = [
        {
            "Sub Task": f"{label} it",
            "start_frame": names[start],
            "end_frame": names[end],
            "Current Action": [
                {"label": label, "start_frame_name": names[start], "end_frame_name": names[end]}
            ],
        }
        for (start, label), end in zip(STEPS, ends, strict=True)
    ]
    builder.put_captions(folder, {"config": {"Main Task": "Tea"}, "segments": segments})
    return folder


@pytest.fixture(scope="module")
def tables(episode) -> dict:
    return {contract: write_windows(episode, contract) for contract in SPLITS}


def write_windows(episode: Path, contract: str) -> WindowTable:
    """Write windows whose features tell the action, blurred by noise and by a slow drift."""
    starts = np.arange(0, N_FRAMES - WINDOW_FRAMES + 1, STRIDE_FRAMES)
    rng = np.random.default_rng(7)
    at = np.searchsorted([first for first, _ in STEPS], starts + 10, side="right") - 1
    labels = [STEPS[place][1] for place in at]
    codes = np.unique(labels, return_inverse=True)[1]
    drift = np.cumsum(rng.normal(0, 0.3, (len(starts), 3)), axis=0)

    def features(block: Block) -> np.ndarray:
        kinds, blur = rng.normal(size=(6, block.dim)), 0.2 if block.name == TEXT else 2.0
        moves = drift @ rng.normal(size=(3, block.dim))
        noise = rng.normal(0, blur, (len(starts), block.dim))
        return (kinds[codes] + blur * moves / 2 + noise).astype(np.float32)

    info = TableInfo(contract, "episode", "", N_FRAMES, 20.0, recording_digests(episode), {}, {})
    said = [(label, 1.0) for label in labels]
    blocks = {block.name: features(block) for block in BLOCKS}
    path = episode.parent / f"{contract}.parquet"
    write_table(path, info, [WindowRows(np.arange(len(starts)), starts, said, said, blocks)])
    return WindowTable(path)


@pytest.fixture(scope="module")
def cases(episode, tables) -> dict:
    found = run_shift(episode, tables)
    return {(case.contract, case.task.name, case.split): case for case in found}


@pytest.fixture(scope="module")
def rows(cases) -> list:
    return shift_rows(cases.values(), "short", "shift")


@pytest.fixture(scope="module")
def curve(episode, tables) -> list:
    return run_embargo(episode, tables["published"])


def test_every_task_is_asked_on_every_split_of_its_contract(cases):
    names = [task.name for task, _ in ASKED]
    assert set(cases) == {(c, n, s) for c, splits in SPLITS.items() for n in names for s in splits}
    for case in cases.values():
        assert all(one.answer or one.reason for one in case.outcomes)


def test_splits_differ_in_what_they_share_and_in_nothing_else(cases):
    local, stretches, whole, purged = (
        cases["published", "timeline_action", split] for split in SPLITS["published"]
    )
    assert local.leak.overlap_share > 0.9
    assert whole.leak.overlap_share > 0
    for contract, name, split in cases:
        if "purged" in split or split == "local_blocks":
            assert cases[contract, name, split].leak.overlap_share == 0
    assert purged.problem.split.test.tolist() == whole.problem.split.test.tolist()
    assert len(purged.problem.split.train) < len(whole.problem.split.train)
    assert len(stretches.problem.split.test) == len(local.problem.split.test)


def test_the_head_answers_as_in_the_suite(cases, episode, tables):
    split = {"published": "chronological", "corrected": "chronological_purged"}
    for contract, table in tables.items():
        (expected,) = run_suite(episode, table, contract=contract, tasks=[ACTION])
        found = cases[contract, "timeline_action", split[contract]].by_head["linear"]
        assert found.answer.predicted == expected.answer.predicted
        ours, theirs = suite_rows([found], "r"), suite_rows([expected], "r")
        scores = [{r.metric: r.value for r in rows if r.head == "linear" and not r.variant
                   and not r.against} for rows in (ours, theirs)]  # fmt: skip
        assert scores[0]["macro_f1"] == scores[1]["macro_f1"]


def test_variants_of_the_head_see_what_they_are_named_after(cases):
    by_head = cases["published", "timeline_action", "local"].by_head
    seen = {
        name: set(by_head[name].problem.task.input_blocks) for name in (TEXT_ONLY, SENSORS_ONLY)
    }
    assert seen[TEXT_ONLY] == {TEXT}
    assert seen[SENSORS_ONLY] == set(NO_TEXT)
    assert by_head[TEXT_ONLY].answer.predicted != by_head[SENSORS_ONLY].answer.predicted


def test_rows_can_be_written_and_none_is_lost(rows, curve, tmp_path):
    every = rows + embargo_rows(curve, "short", "shift")
    write_records(tmp_path / "shift.json", every)
    assert read_records(tmp_path / "shift.json") == every
    assert {split_of(row) for row in every} == set(SPLITS["published"])


def test_recalls_of_classes_add_up_to_the_accuracy(cases, rows):
    for (contract, task, split), case in cases.items():
        mine = [r for r in rows if (r.contract, r.task, split_of(r)) == (contract, task, split)]
        recalls = [r for r in mine if r.metric == "recall"]
        whole = [r for r in mine if r.metric == "accuracy" and r.head == "linear"
                 and kind_of(r) == "" and not r.against]  # fmt: skip
        if case.by_head["linear"].answer is None:
            assert not recalls
            continue
        right = sum(row.value * row.n_test for row in recalls)
        assert right / sum(row.n_test for row in recalls) == pytest.approx(whole[0].value)
        unseen = sum(row.n_test for row in recalls if row.n_train == 0)
        assert unseen == case.problem.unseen.sum()


def test_the_purge_is_a_paired_difference(rows):
    found = [row for row in rows if row.against == "linear on chronological"]
    assert {row.task for row in found} == {task.name for task, _ in ASKED}
    for row in found:
        sides = {
            r.variant: r.value
            for r in rows
            if (r.contract, r.task, r.head, r.metric)
            == ("published", row.task, "linear", "macro_f1")
            and not r.against
        }
        expected = sides["chronological_purged"] - sides["chronological"]
        assert row.value == pytest.approx(expected)


def test_seen_classes_are_scored_under_corrected_only(rows, cases):
    found = [row for row in rows if kind_of(row) == "seen_classes"]
    assert {row.contract for row in found} == {"corrected"}
    for row in found:
        case = cases[row.contract, row.task, split_of(row)]
        assert row.n_test == (~case.problem.unseen).sum()


def test_distance_takes_windows_away_and_the_control_as_many(curve):
    assert {point.split for point in curve} == set(EMBARGOES_FRAMES)
    for split, distances in EMBARGOES_FRAMES.items():
        points = [point for point in curve if point.split == split]
        assert [point.embargo_frames for point in points] == list(distances)
        sizes = []
        for point in points:
            by_head = {one.head: one for one in point.outcomes}
            problem = by_head["linear"].problem
            sizes.append(len(problem.split.train))
            between = frames_between(problem)
            assert (between >= point.embargo_frames).all()
            if THINNED in by_head:
                control = by_head[THINNED].problem.split
                assert len(control.train) == sizes[-1]
                assert control.test.tolist() == problem.split.test.tolist()
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] > sizes[-1]


def test_the_curve_starts_at_the_splits(curve, rows):
    found = embargo_rows(curve, "short", "shift")
    own = {(r.head, r.variant): r.value for r in rows if not r.against and r.metric == "macro_f1"
           and (r.contract, r.task) == ("published", "timeline_action")}  # fmt: skip
    for split, embargo in (("local", -15), ("local_blocks", 0)):
        first = [r for r in found if split_of(r) == split and embargo_of(r) == embargo]
        for head in ("linear", TIME, COPY):
            (row,) = [r for r in first if r.head == head and not r.against]
            assert row.value == own[head, split]


def test_points_of_the_curve_have_the_suites_floors_and_intervals(curve):
    point = next(one for one in curve if one.split == "local" and one.embargo_frames == -5)
    answered = [one for one in point.outcomes if one.head != THINNED]
    kept = ("value", "ci_low", "ci_high", "floor", "floor_name", "skill", "ceiling", "n_train")
    expected = {
        row.head: {name: getattr(row, name) for name in kept}
        for row in suite_rows(answered, "short", "published", "shift")
        if row.metric == "macro_f1" and not row.variant and not row.against
    }
    found = {
        row.head: {name: getattr(row, name) for name in kept}
        for row in embargo_rows([point], "short", "shift")
        if row.head != THINNED and not row.against
    }
    assert found == expected


def test_a_recording_without_labels_says_so(cases, tmp_path):
    some = cases["published", "timeline_action", "local"]
    lost = dataclasses.replace(
        some,
        problem=None,
        outcomes=tuple(
            Outcome(one.task, one.head, status="skipped", reason="no captions")
            for one in some.outcomes
        ),
    )
    assert lost.classes() == []
    assert lost.leak is None
    found = shift_rows([lost], "short", "shift")
    assert {row.head for row in found} == set(some.by_head)
    assert all((row.status, row.reason) == ("skipped", "no captions") for row in found)
