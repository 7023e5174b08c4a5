"""Figures, tables and sentences of the label-shift section say what their numbers say."""

import io

import numpy as np
import pytest
from PIL import Image

from xperience.evaluation.evaluate import class_rows, evaluate, leak_rows, paired_row
from xperience.evaluation.predictions import Prediction
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
from xperience.tasks.catalogue import TASKS_BY_NAME
from xperience.tasks.problem import Blocks, Problem
from xperience.tasks.samples import Samples
from xperience.tasks.splits import Split
from xperience.tasks.truth import Truth

ACTION = TASKS_BY_NAME["timeline_action"]
INFO = TableInfo("published", "made-up", "", 115, 20.0, {}, {}, {})
LABELS = ["fill"] * 8 + ["pour"] * 6 + ["sip"] * 6
PARTS = {
    "local": ([i for i in range(20) if i % 4], range(0, 20, 4), ()),
    "chronological": (range(14), range(14, 20), ()),
    "chronological_purged": (range(11), range(14, 20), (11, 12, 13)),
}


class Ones:
    def block(self, name):
        return np.ones((20, 1), dtype=np.float32)


def problem_of(split: str) -> Problem:
    """Return a problem of 20 made-up windows."""
    starts = 5 * np.arange(len(LABELS))
    frames = np.stack([starts, starts + WINDOW_FRAMES - 1], axis=-1)[:, None]
    truth = Truth(INFO.n_frames, starts)
    samples = Samples(np.arange(len(starts))[:, None], LABELS, frames, truth.centers)
    parts = Split(*(np.array(part, dtype=int) for part in PARTS[split]))
    blocks, known = Blocks(Ones(), {}), tuple(dict.fromkeys(LABELS))
    return Problem(ACTION, "published", truth, blocks, samples, parts, known)


PROBLEMS = {split: problem_of(split) for split in PARTS}
LOST = Problem(ACTION, "published", None, None, status="skipped", reason="no captions")
SAID = {split: [Prediction(["pour"] * one.n_test)] for split, one in PROBLEMS.items()}


@pytest.fixture(scope="module")
def rows() -> list[Record]:
    """Rows of three splits, as the notebook makes them, from a head that always says "pour"."""
    found = []
    for split, problem in PROBLEMS.items():
        base = {"run": "r", "section": "s", "variant": split}
        heads = {"linear": SAID[split], "copy_nearest": SAID[split]}
        scored = evaluate(problem, heads, "r", "s", split)
        found += [row for row in scored if row.metric in ("macro_f1", *words_of_splits())]
        found += [*leak_rows(problem, base), *class_rows(problem, "linear", SAID[split], base)]
    purged, whole = ((PROBLEMS[s], SAID[s]) for s in ("chronological_purged", "chronological"))
    own = {"run": "r", "section": "s", "head": "linear", "variant": "chronological_purged"}
    return [*found, paired_row(purged, whole, own | {"against": "linear on chronological"})]


def words_of_splits() -> tuple[str, str]:
    return "purged_samples", "open_set_share"


def row(head: str, variant: str, value: float | None, **more) -> Record:
    base = {"run": "r", "section": "s", "contract": "published", "task": "timeline_action"}
    base |= {"metric": "macro_f1", "higher_is_better": True, "ceiling": 0.5, "n_train": 9}
    if value is None:
        base |= {"status": "skipped", "reason": "no captions"}
    return Record(**(base | {"head": head, "variant": variant, "value": value} | more))


def check(picture):
    assert picture.title in picture.alt
    assert len(picture.alt) > 60
    image = Image.open(io.BytesIO(png_bytes(picture.figure)))
    assert len(np.unique(np.asarray(image))) > 5
    return picture


def test_the_strips_say_what_is_shared(rows):
    shared = check(draw_splits(PROBLEMS, rows, INFO))
    assert shared.title.startswith("100 % of the local split's test windows share frames")
    assert "11 training, 6 test, 3 purged windows; 0 % of test windows" in shared.alt
    assert "no captions" in check(draw_splits({"local": LOST}, [], INFO)).alt


def test_class_times_follow_the_classes():
    late = PROBLEMS["chronological"]
    unseen = check(draw_class_times(late, SAID["chronological"], "chronological", INFO))
    assert unseen.title.endswith(
        "1 of 1 tested classes were never trained, 100 % of the test windows"
    )
    assert "sip: 0 training windows, recall 0 %" in unseen.alt
    half = check(draw_class_times(PROBLEMS["local"], [Prediction(["fill"] * 5)], "local", INFO))
    assert half.title.endswith("40 % of test windows correctly classified")
    silent = check(draw_class_times(PROBLEMS["local"], (), "local", INFO))
    assert silent.title.endswith("there are no predictions")
    assert "recall unknown" in silent.alt
    assert "no captions" in check(draw_class_times(LOST, (), "chronological", INFO)).alt


@pytest.mark.parametrize(
    ("local", "late", "said"),
    [
        (0.9, 0.2, "falls from 0.900 to 0.200"),
        (0.3, 0.5, "rises from 0.300 to 0.500"),
        (0.3, 0.3, "stays at 0.300"),
        (0.3, None, "Not every split of this recording can be scored"),
    ],
)
def test_the_scores_title_follows_the_scores(local, late, said):
    found = [
        row("linear", "local", local, ci_low=0.1, ci_high=1.0),
        row("linear", "chronological", late),
        row("copy_nearest", "local", 0.95),
    ]
    picture = check(draw_split_scores(found))
    assert said in picture.title
    n = 3 if late is not None else 2
    assert f"{n - 1} of {n} scores have none" in picture.figure.texts[1].get_text().replace(
        "\n", " "
    )


def curve(value: float, low: float | None, high: float | None) -> list[Record]:
    bars = {"ci_low": low, "ci_high": high} if low is not None else {"ci_reason": "too few"}
    far, against = "local_blocks/embargo=40", "linear_thinned"
    points = [row("linear", f"local_blocks/embargo={d}", 0.9 - d / 200) for d in (-15, 0, 40)]
    return [*points, row(against, far, 0.8), row("linear", far, value, against=against, **bars)]


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((-0.4, -0.5, -0.2), "lowers the score significantly beyond what fewer windows do: -0.400"),
        ((0.3, 0.1, 0.5), "teach significantly more than as many at random: +0.300"),
        ((-0.4, -0.5, 0.1), "No significant cost of distance"),
        ((-0.4, None, None), "No significant cost of distance"),
    ],
)
def test_the_embargos_title_claims_what_its_interval_allows(ends, said):
    picture = check(draw_embargo(curve(*ends)))
    assert said in picture.title
    assert "contiguous segments, 40 frames apart" in picture.figure.texts[1].get_text().replace(
        "\n", " "
    )


def test_an_embargo_without_scores_says_so():
    near = row("linear", "local/embargo=-5", -0.1, against="linear_thinned")
    shared = draw_embargo([row("linear", "local/embargo=-5", 0.5), near])
    assert "sharing at most 5 frames" in shared.figure.texts[1].get_text().replace("\n", " ")
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
    assert "smooth vote **0.970**, linear head, all features 0.900" in first
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
