"""Label shift: what a split leaks, probes that read no feature, and what the section says of it."""

import dataclasses
import io
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from xperience.evaluation.evaluate import class_rows, evaluate, leak_rows, paired_row
from xperience.evaluation.predictions import Prediction, copy_nearest, only_time, predict
from xperience.evaluation.records import Record
from xperience.features.table import TableInfo
from xperience.features.windows import WINDOW_FRAMES
from xperience.report import shift as words
from xperience.report.figures.shift import (
    draw_class_times,
    draw_embargo,
    draw_split_scores,
    draw_splits,
)
from xperience.report.figures.style import png_bytes
from xperience.tasks.catalogue import ALL, TASKS_BY_NAME, TEXT
from xperience.tasks.problem import Blocks, Problem
from xperience.tasks.splits import Samples, Split
from xperience.tasks.truth import Truth

ACTION = TASKS_BY_NAME["timeline_action"]
BASE = {"run": "r", "section": "s", "variant": "local"}
INFO = TableInfo("published", "made-up", "", 115, 20.0, {}, {}, {})


class Table:
    """A windows table of 40 windows without words."""

    def block(self, name):
        return np.full((40, 3), np.nan if name == TEXT else 1.0, dtype=np.float32)


def problem_of(starts, labels, train, test, purged=()) -> Problem:
    """Return a published problem of made-up windows."""
    starts = np.asarray(starts)
    frames = np.stack([starts, starts + WINDOW_FRAMES - 1], axis=-1)[:, None]
    truth = Truth(int(starts.max()) + WINDOW_FRAMES, starts)
    samples = Samples(np.arange(len(starts))[:, None], list(labels), frames, truth.centers)
    split = Split(*(np.asarray(part, dtype=int) for part in (train, test, purged)))
    blocks = Blocks(Table(), {TEXT: "no captions"})
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


@settings(max_examples=40)
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


@settings(max_examples=40)
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
    for probe in (only_time, copy_nearest):
        assert predict(far, probe)[0].predicted == ["b"]


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


def test_without_training_windows_there_are_reasons(problem):
    far = problem.purged(200)
    assert (far.status, far.n_train) == ("degenerate", 0)
    overlap, frames, gap = leak_rows(far, BASE)
    assert (overlap.value, frames.value) == (0, 0)
    assert gap.reason == "no training window is left"
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
    assert sizes == {"all": problem.n_features, "time": 0}


def test_problems_of_the_same_test_windows_are_compared_in_pairs(problem):
    near, far = problem, problem.purged()
    assert 0 < far.n_train < near.n_train
    sides = [(one, predict(one, copy_nearest)) for one in (far, near)]
    own = BASE | {"head": "copy_nearest", "against": "near"}
    row = paired_row(*sides, own)
    rows = [evaluate(one, {"h": found}, "r", "s") for one, found in sides]
    values = [
        next(r.value for r in own if r.head == "h" and r.metric == row.metric) for own in rows
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


LABELS = ["fill"] * 8 + ["pour"] * 6 + ["sip"] * 6
PARTS = {
    "local": ([i for i in range(20) if i % 4], range(0, 20, 4)),
    "chronological": (range(14), range(14, 20)),
    "chronological_purged": (range(11), range(14, 20), (11, 12, 13)),
}
PROBLEMS = {split: problem_of(range(0, 100, 5), LABELS, *parts) for split, parts in PARTS.items()}
LOST = Problem(ACTION, "published", None, None, status="skipped", reason="no captions")
SAID = {split: [Prediction(["pour"] * one.n_test)] for split, one in PROBLEMS.items()}


@pytest.fixture(scope="module")
def rows() -> list[Record]:
    """Rows of three splits, as the notebook makes them, from a head that always says "pour"."""
    found = []
    for split, problem in PROBLEMS.items():
        base = BASE | {"variant": split}
        found += evaluate(problem, {"linear": SAID[split]}, "r", "s", split)
        found += [*leak_rows(problem, base), *class_rows(problem, "linear", SAID[split], base)]
    purged, whole = ((PROBLEMS[s], SAID[s]) for s in ("chronological_purged", "chronological"))
    own = BASE | {"head": "linear", "variant": "chronological_purged"}
    return [*found, paired_row(purged, whole, own | {"against": "linear on chronological"})]


def row(head: str, variant: str, value: float | None, **more) -> Record:
    base = {"run": "r", "section": "s", "contract": "published", "task": "timeline_action"}
    base |= {"metric": "macro_f1", "higher_is_better": True, "ceiling": 0.5, "n_train": 9}
    if value is None:
        base |= {"status": "skipped", "reason": "no captions"}
    return Record(**(base | {"head": head, "variant": variant, "value": value} | more))


def check(picture):
    assert picture.title in picture.alt
    assert len(picture.alt) > 60
    return picture


def subtitle(picture) -> str:
    return picture.figure.texts[1].get_text().replace("\n", " ")


@pytest.mark.parametrize("draw", [draw_splits, draw_class_times, draw_split_scores, draw_embargo])
def test_figures_can_be_drawn(draw, rows):
    given = {
        draw_splits: (PROBLEMS, rows, INFO),
        draw_class_times: (PROBLEMS, SAID, INFO),
        draw_split_scores: (rows, ACTION.name),
        draw_embargo: (curve(-0.4, -0.5, -0.2),),
    }
    image = Image.open(io.BytesIO(png_bytes(check(draw(*given[draw])).figure)))
    assert len(np.unique(np.asarray(image))) > 5


def test_the_strips_say_what_is_shared(rows):
    shared = check(draw_splits(PROBLEMS, rows, INFO))
    assert shared.title.startswith("100 % of test windows share frames with training on the local")
    assert shared.title.endswith("split, 50 % on chronological")
    assert "11 training, 6 test, 3 purged windows; 0 % of test windows" in shared.alt
    assert "no captions" in check(draw_splits({"local": LOST}, [], INFO)).alt


def test_class_times_follow_the_classes():
    splits = ("chronological", "local")
    said = {"chronological": SAID["chronological"], "local": [Prediction(["fill"] * 5)]}
    both = check(draw_class_times({split: PROBLEMS[split] for split in splits}, said, INFO))
    assert both.title == "Chronological: 1 of 1 tested classes never trained; local: 0 of 3"
    assert "chronological, sip: 0 training windows, recall 0 %" in both.alt
    panels = [ax.get_title(loc="left") for ax in both.figure.axes]
    assert panels == [
        "chronological\n0 % of test windows correct",
        "local\n40 % of test windows correct",
    ]
    silent = check(draw_class_times({"local": PROBLEMS["local"]}, {"local": ()}, INFO))
    assert silent.figure.axes[0].get_title(loc="left").endswith("no predictions")
    assert "recall unknown" in silent.alt
    assert "no captions" in check(draw_class_times({"chronological": LOST}, {}, INFO)).alt


@pytest.mark.parametrize(
    ("local", "late", "said"),
    [
        (0.9, 0.2, "label 0.950; chronological split: linear head 0.200"),
        (0.3, None, "can't be set side by side"),
    ],
)
def test_the_scores_title_follows_the_scores(local, late, said):
    found = [
        row("linear", "local", local, ci_low=0.1, ci_high=1.0),
        row("linear", "chronological", late),
        row("copy_nearest", "local", 0.95),
    ]
    picture = check(draw_split_scores(found, ACTION.name))
    assert said in picture.title
    n = 3 if late is not None else 2
    assert f"{n - 1} of {n} scores have none" in subtitle(picture)


def curve(value: float, low: float | None, high: float | None) -> list[Record]:
    bars = {"ci_low": low, "ci_high": high} if low is not None else {"ci_reason": "too few"}
    far, against = "local_blocks/embargo=40", "linear_thinned"
    points = [row("linear", f"local_blocks/embargo={d}", 0.9 - d / 200) for d in (-15, 0, 40)]
    return [*points, row(against, far, 0.8), row("linear", far, value, against=against, **bars)]


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((-0.4, -0.5, -0.2), "40 frames costs 0.400 [0.200, 0.500] macro-F1 beyond what fewer"),
        ((0.3, 0.1, 0.5), "40 frames teaches 0.300 [0.100, 0.500] macro-F1 more than as many"),
        ((-0.4, -0.5, 0.1), "40 frames has no significant cost beyond"),
        (
            (-0.4, None, None),
            "40 frames: the cost beyond that of fewer training windows is not tested",
        ),
    ],
)
def test_the_embargos_title_claims_what_its_interval_allows(ends, said):
    picture = check(draw_embargo(curve(*ends)))
    assert said in picture.title
    assert "The title is of contiguous test segments" in subtitle(picture)


def test_an_embargo_without_scores_says_so():
    ends = {"ci_low": -0.3, "ci_high": 0.1}
    near = row("linear", "local/embargo=-5", -0.1, against="linear_thinned", **ends)
    shared = draw_embargo([row("linear", "local/embargo=-5", 0.5), near])
    assert shared.title.startswith("Sharing at most 5 frames has no significant cost")
    nothing = [row("linear", f"{split}/embargo=0", None) for split in ("local", "local_blocks")]
    assert check(draw_embargo(nothing)).title == "No distance can be scored"
    alone = [row("linear", "local/embargo=-15", 0.9)]
    assert draw_embargo(alone).title.startswith("No distance beyond the split itself")


def test_tables_and_sentences_hold_the_numbers_of_the_rows(rows):
    lost = row("linear", "chronological", None, task="timeline_subtask")
    table = words.split_table([*rows, lost], 20.0)
    local = table.loc[("timeline_action", "published", "local")]
    assert (local["train"], local["test"], local["median distance (s)"]) == ("15", "5", "0.2")
    assert (local["classes tested"], local["never trained"], local["open set"]) == ("3", "0", "0 %")
    assert table.loc[("timeline_subtask", "published", "chronological"), "note"] == "no captions"
    said = words.shift_text(rows)
    assert "1 of 1 tested classes have no training window" in said
    assert "an accuracy of 0 % and a macro-F1 of 0.000" in said
    assert words.shift_text([lost]).startswith("No chronological split")


def test_the_purge_is_told_with_what_may_be_claimed(rows):
    assert "no comparison (every true label is" in words.purge_text(rows)
    against = {"against": "linear on chronological", "n_train": 11}
    held = row("linear", "chronological_purged", -0.2, ci_low=-0.3, ci_high=-0.1, **against)
    facts = [one for one in rows if one.metric == "purged_samples"]
    text = words.purge_text([*facts, held])
    assert "takes 3 of 14 training windows" in text
    assert "-0.200 [-0.300, -0.100], worse" in text


def test_the_best_probe_is_set_beside_the_head():
    found = [
        row("linear", "local", 0.9),
        row("copy_nearest", "local", 0.95),
        row("time_only", "local", 0.97),
        row("time_only", "local", 0.07, against="linear", ci_reason="too_few_blocks: 3 blocks"),
        row("linear", "chronological", None),
    ]
    first, second = words.unsensed_text(found, "timeline_action").splitlines()
    assert "smooth vote **0.970**, linear head, the contract's inputs 0.900" in first
    assert "+0.070, not tested (no interval, 3 blocks)" in first
    assert "no score (no captions)" in second
    table = words.score_table(found, "timeline_action")
    assert table.loc["time alone, smooth vote", ("published", "local")] == "0.970"
    assert table.loc["ceiling: trained classes", ("published", "local")] == "0.500"
    assert table.loc["time alone, smooth vote", ("published", "chronological")] == "–"


def test_seen_classes_stand_beside_all():
    shared = {"contract": "corrected"}
    found = [
        row("linear", "local_blocks", 0.4, **shared),
        row("linear", "local_blocks/seen_classes", 0.8, **shared),
        row(None, "local_blocks", 0.25, **shared).model_copy(update={"metric": "open_set_share"}),
    ]
    (seen,) = words.seen_table(found).to_dict("records")
    assert (seen["all test windows"], seen["seen classes"], seen["open set"]) == (
        "0.400",
        "0.800",
        "25 %",
    )
    assert len(words.seen_table([])) == 0
