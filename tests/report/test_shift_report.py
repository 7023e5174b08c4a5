"""Figures, tables and sentences of the label-shift study say what their numbers say."""

import io

import numpy as np
import pytest
from PIL import Image

from xperience.evaluation.records import Record
from xperience.features.table import TableInfo
from xperience.features.windows import WINDOW_FRAMES
from xperience.report import shift as words
from xperience.report.figures.embargo import draw_embargo
from xperience.report.figures.shift import draw_split_scores, draw_splits
from xperience.report.figures.shift_classes import draw_class_times
from xperience.report.figures.style import png_bytes
from xperience.studies.problem import Answer, Outcome, Problem
from xperience.studies.shift.study import SplitCase
from xperience.tasks.catalogue import TASKS_BY_NAME
from xperience.tasks.samples import Samples
from xperience.tasks.splits import Split
from xperience.tasks.truth import Truth

ACTION = TASKS_BY_NAME["timeline_action"]
INFO = TableInfo("published", "made-up", "", 115, 20.0, {}, {}, {})
HEADS = ("linear", "time_only", "copy_nearest")
LABELS = ["fill"] * 8 + ["pour"] * 6 + ["sip"] * 6


def case_of(split: str, train, test, purged=(), predicted="truth", contract="published"):
    """Return a case of 20 made-up windows."""
    starts = 5 * np.arange(len(LABELS))
    frames = np.stack([starts, starts + WINDOW_FRAMES - 1], axis=-1)[:, None]
    truth = Truth(INFO.n_frames, starts)
    samples = Samples(np.arange(len(starts))[:, None], LABELS, frames, truth.centers)
    parts = (np.array(part, dtype=int) for part in (train, test, purged))
    problem = Problem(ACTION, truth, samples, Split(*parts), tuple(dict.fromkeys(LABELS)))
    if predicted is None:
        outcomes = tuple(Outcome(ACTION, head, problem, (), "degenerate", "few") for head in HEADS)
    else:
        said = list(problem.test_targets) if predicted == "truth" else [predicted] * len(test)
        outcomes = tuple(Outcome(ACTION, head, problem, (Answer(said),)) for head in HEADS)
    return SplitCase(contract, split, ACTION, outcomes, problem)


LOCAL = case_of("local", [i for i in range(20) if i % 4], range(0, 20, 4))
LATE = case_of("chronological", range(14), range(14, 20), predicted="pour")
PURGED = case_of("chronological_purged", range(11), range(14, 20), [11, 12, 13], predicted="pour")
LOST = SplitCase(
    "published",
    "chronological",
    ACTION,
    tuple(Outcome(ACTION, head, status="skipped", reason="no captions") for head in HEADS),
)


def row(head: str, variant: str, value: float | None, **more) -> Record:
    base = {"run": "r", "section": "s", "contract": "published", "task": "timeline_action"}
    base |= {"metric": "macro_f1", "higher_is_better": True, "ceiling": 0.5, "n_train": 9}
    if value is None:
        base |= {"status": "skipped", "reason": "no captions"}
    return Record(**(base | {"head": head, "variant": variant, "value": value} | more))


def scores(local: float, late: float, copied: float) -> list[Record]:
    return [
        row("linear", "local", local, ci_low=0.1, ci_high=1.0),
        row("linear", "chronological", late),
        row("copy_nearest", "local", copied),
        row("copy_nearest", "chronological", 0.01),
    ]


def check(picture):
    assert picture.title in picture.alt
    assert len(picture.alt) > 60
    image = Image.open(io.BytesIO(png_bytes(picture.figure)))
    assert len(np.unique(np.asarray(image))) > 5
    return picture


def test_the_strips_say_what_is_shared():
    shared = check(draw_splits([LOCAL, LATE, PURGED], INFO))
    assert shared.title.startswith("100 % of the local split's test windows share frames")
    apart = check(draw_splits([PURGED], INFO))
    assert apart.title.startswith("No test window of the chronological, purged split shares")
    assert "11 training, 6 test, 3 purged" in shared.alt


def test_the_strips_of_nothing_say_why():
    picture = check(draw_splits([LOST], INFO))
    assert "no captions" in picture.alt


def test_class_times_follow_the_classes():
    unseen = check(draw_class_times(LATE, INFO))
    assert unseen.title == (
        "Chronological: 1 of 1 tested classes never trained, 100 % of the test windows"
    )
    assert "sip: never trained, recall 0 %" in unseen.alt
    known = check(draw_class_times(LOCAL, INFO))
    assert known.title.endswith("100 % of the test windows are named rightly")
    half = case_of("local", [i for i in range(20) if i % 4], range(0, 20, 4), predicted="fill")
    assert "40 % of the test windows" in draw_class_times(half, INFO).title


def test_class_times_without_answers_claim_no_recall():
    silent = case_of("local", [i for i in range(20) if i % 4], range(0, 20, 4), predicted=None)
    picture = check(draw_class_times(silent, INFO))
    assert picture.title.endswith("but nobody answered")
    assert "recall" not in picture.alt
    assert "no captions" in check(draw_class_times(LOST, INFO)).alt


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.9, 0.2, 0.95), ("falls from 0.90 to 0.20", "scores as much as 0.95")),
        ((0.9, 0.2, 0.4), ("falls from 0.90 to 0.20", "scores only 0.40")),
        ((0.3, 0.5, 0.3), ("rises from 0.30 to 0.50", "scores as much as 0.30")),
        ((0.3, 0.3, 0.1), ("stays at 0.30", "scores only 0.10")),
    ],
)
def test_the_scores_title_follows_the_scores(values, said):
    title = check(draw_split_scores(scores(*values))).title
    assert all(text in title for text in said)


def test_scores_count_those_without_an_interval():
    subtitle = draw_split_scores(scores(0.9, 0.2, 0.9)).figure.texts[1].get_text()
    assert "3 of 4 scores have none" in subtitle.replace("\n", " ")


def test_scores_that_are_not_there_are_not_claimed():
    rows = [row(head, split, None) for head in HEADS for split in ("local", "chronological")]
    assert draw_split_scores(rows).title.startswith("Not every split")


def curve(value: float, low: float | None, high: float | None) -> list[Record]:
    bars = {"ci_low": low, "ci_high": high} if low is not None else {"ci_reason": "too few"}
    points = [row("linear", f"local_blocks/embargo={d}", 0.9 - d / 200) for d in (-15, 0, 40)]
    points += [row("linear_thinned", "local_blocks/embargo=40", 0.8)]
    return [
        *points,
        row("linear", "local_blocks/embargo=40", value, against="linear_thinned", **bars),
    ]


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((-0.4, -0.5, -0.2), "Distance costs 0.40 [0.20, 0.50] macro-F1 beyond"),
        ((0.3, 0.1, 0.5), "teach more than as many at random: 0.30 [0.10, 0.50]"),
        ((-0.4, -0.5, 0.1), "No cost of distance is shown"),
        ((-0.4, None, None), "No cost of distance is shown"),
    ],
)
def test_the_embargos_title_claims_what_its_interval_allows(ends, said):
    assert said in check(draw_embargo(curve(*ends))).title


def test_the_embargos_subtitle_names_the_point():
    far = draw_embargo(curve(-0.4, -0.5, -0.2)).figure.texts[1].get_text()
    assert "whole stretches, 40 frames apart" in far.replace("\n", " ")
    near = row("linear", "local/embargo=-5", -0.1, against="linear_thinned")
    shared = draw_embargo([row("linear", "local/embargo=-5", 0.5), near])
    assert "drawn singly, sharing 5 frames at most" in shared.figure.texts[1].get_text()


def test_an_embargo_without_scores_says_so():
    nothing = [
        row("linear", "local/embargo=0", None),
        row("linear", "local_blocks/embargo=0", None),
    ]
    assert draw_embargo(nothing).title == "No distance can be scored"
    alone = [row("linear", "local/embargo=-15", 0.9)]
    assert draw_embargo(alone).title.startswith("No distance beyond the split itself")


def test_sentences_hold_the_counts():
    cases = [LOCAL, LATE, PURGED]
    assert "5 of 5 test windows share frames" in words.leak_text(cases)
    assert "1 of 1 tested classes have no training window" in words.shift_text(cases)
    assert "accuracy of 0 % and a macro-F1 of 0.00" in words.shift_text(cases)
    assert words.shift_text([LOST]).startswith("No chronological split")
    table = words.split_table([LOCAL, LOST], 20.0)
    local = table.loc[("timeline_action", "published", "local")]
    assert (local["train"], local["test"], local["median distance (s)"]) == ("15", "5", "0.2")
    assert table.loc[("timeline_action", "published", "chronological"), "note"] == "no captions"


def test_the_purge_is_told_with_what_may_be_claimed():
    against = {"against": "linear on chronological"}
    held = row("linear", "chronological_purged", -0.2, ci_low=-0.3, ci_high=-0.1, **against)
    text = words.purge_text([held], [PURGED])
    assert "takes 3 of 14 training windows" in text
    assert "-0.20 [-0.30, -0.10], which excludes 0" in text
    open_ended = held.model_copy(update={"ci_high": 0.0})
    assert "includes 0: no claim" in words.purge_text([open_ended], [PURGED])
    assert "no comparison" in words.purge_text([], [PURGED])


def test_the_best_probe_is_set_beside_the_head():
    rows = [*scores(0.9, 0.2, 0.95), row("time_only", "local", 0.97)]
    rows += [
        row("time_only", "local", 0.07, against="linear", ci_reason="too_few_blocks: 3 blocks")
    ]
    first, *others = words.unsensed_text(rows, "timeline_action").splitlines()
    assert "**0.97**" in first
    assert "+0.07, without an interval (3 blocks)" in first
    assert "no score" in others[0]


def test_score_tables_show_intervals_floors_and_ceilings():
    table = words.score_table(scores(0.9, 0.2, 0.95), "timeline_action")
    assert table.loc["linear head, all features", ("published", "local")] == "0.90 [0.10, 1.00]"
    assert table.loc["ceiling", ("published", "local")] == "0.50"
    assert table.loc["linear head, all features", ("corrected", "chronological, purged")] == "–"


def test_seen_classes_stand_beside_all():
    shared = {"contract": "corrected"}
    rows = [
        row("linear", "local_blocks", 0.4, **shared),
        row("linear", "local_blocks/seen_classes", 0.8, **shared),
        row(None, "local_blocks", 0.25, **shared).model_copy(update={"metric": "open_set_share"}),
    ]
    (found,) = words.seen_table(rows).to_dict("records")
    assert (found["all test windows"], found["seen classes"], found["open set"]) == (
        "0.40",
        "0.80",
        "25 %",
    )
    assert len(words.seen_table([])) == 0
