"""What is said and drawn of held-out episodes follows the rows."""

import pytest

from xperience.evaluation.records import (
    ACROSS,
    ENDS,
    GAP,
    POOLED,
    POOLED_ENDS,
    POOLED_GAP,
    POOLED_WITHIN,
    WITHIN,
    Record,
)
from xperience.report import heldout as words
from xperience.report.figures.heldout import (
    draw_ablation,
    draw_across,
    draw_gap,
    draw_scaling,
    draw_words,
)
from xperience.report.tables import number, signed

BASE = {"run": "r", "section": "06_heldout_episodes", "contract": "corrected", "head": "linear"}
UNITS = {"timeline_action": ("macro_f1", "1", True),
         "hand_trajectory_forecast": ("mpjpe", "m", False)}  # fmt: skip


def row(task, variant, value, ends=None, head="linear", **more):
    metric, unit, up = UNITS[task]
    ci = {} if ends is None else {"ci_low": ends[0], "ci_high": ends[1]}
    return Record(
        **BASE | {"head": head}, task=task, variant=variant, metric=metric, unit=unit,
        higher_is_better=up,
        value=value, **ci, **more,
    )  # fmt: skip


def sides(task, within, across, ends=None):
    return [
        row(task, POOLED_WITHIN, within),
        row(task, POOLED_ENDS, across),
        row(task, POOLED_GAP, across - within, ends, against=WITHIN),
    ]


def test_less_error_is_better_across():
    rows = sides("hand_trajectory_forecast", 0.06, 0.04, (-0.03, -0.01))
    assert "in 1 of 1 tested task, worse in 0" in draw_gap(rows).title
    assert "-20.0 mm" in draw_gap(rows).alt


def test_the_gap_stands_beside_the_scores_it_is_the_difference_of():
    turned = sides("timeline_action", 0.5, 0.4, (-0.2, -0.05))
    plain = [row("timeline_action", WITHIN, 0.9), row("timeline_action", ENDS, 0.1),
             row("timeline_action", GAP, -0.8, against=WITHIN)]  # fmt: skip
    for rows, expected in ((turned + plain, ("0.500", "0.400", "-0.100")),
                           (plain, ("0.900", "0.100", "-0.800"))):  # fmt: skip
        (line,) = words.gap_table(rows, "linear").to_dict("records")
        assert (line["within"], line["across"]) == expected[:2]
        assert line["across minus within"].startswith(expected[2])


def test_without_a_gap_the_figure_says_so():
    rows = [row("timeline_action", ACROSS, 0.5)]
    assert "not tested" in draw_gap(rows).title


def test_scores_are_drawn_with_their_floor():
    rows = beside_floor("timeline_action", 0.5, (0.2, 0.4))
    picture = draw_across(rows)
    assert picture.title.endswith("on unseen recordings: linear in 1 of 1 tested task")
    assert "linear macro-F1 0.500 [0.400, 0.600], floor 0.200 (majority)" in picture.alt
    assert "every recording" in words.score_table(rows, "linear").columns


def beside_floor(task, value, above, head="linear"):
    """A head's score, its difference from the floor of 0.2, and a difference from another head."""
    return [
        row(task, POOLED, value, (value - 0.1, value + 0.1), head, floor=0.2,
            floor_name="majority"),
        row(task, POOLED, value - 0.2, above, head, against="majority"),
    ]  # fmt: skip


def test_each_head_is_counted_by_its_difference_from_the_floor_alone():
    rows = [
        row("timeline_action", POOLED, 0.2, (0.1, 0.3), "neural", against="linear"),
        *beside_floor("timeline_action", 0.5, (0.2, 0.4)),
        *beside_floor("timeline_action", 0.3, (-0.1, 0.2), "neural"),
    ]
    title = words.floor_title(rows, ["linear", "neural"])
    assert title.endswith("linear in 1 of 1 tested task, neural in 0 of 1 tested task")
    assert words.against_floor(rows, "timeline_action", "neural").against == "majority"
    assert "not tested" in words.floor_title(rows[:1], ["linear", "neural"])


@pytest.mark.parametrize(
    ("task", "ends", "said", "counted"),
    [
        ("timeline_action", (0.01, 0.3), "better", "better than the linear one in 1 and"),
        ("timeline_action", (-0.3, -0.01), "worse", "worse in 1 of 1"),
        ("timeline_action", (-0.1, 0.2), "no significant difference", "in 1 there is no"),
        ("hand_trajectory_forecast", (0.01, 0.3), "worse", "worse in 1 of 1"),
        ("timeline_action", None, "not tested", "can't be tested"),
    ],
)
def test_two_heads_are_compared_by_their_interval(task, ends, said, counted):
    value = 0.05 if ends is None else sum(ends) / 2
    rows = [
        row(task, POOLED, 0.4),
        row(task, POOLED, 0.4 + value, head="neural"),
        row(task, POOLED, value, ends, "neural", against="linear"),
    ]
    (line,) = words.rival_table(rows, "neural", "linear").to_dict("records")
    apart = line["neural minus linear"]
    assert said in apart
    assert apart.startswith(signed(value, rows[0].unit))
    assert line["linear"].startswith(number(0.4, rows[0].unit))
    assert counted in words.rival_words(rows, "neural", "linear")


def test_heads_that_were_not_asked_in_turns_have_no_line():
    rows = [row("timeline_action", ACROSS, 0.4), row("timeline_action", ACROSS, 0.5, head="neural")]
    assert words.rival_table(rows, "neural", "linear").empty
    assert "can't be tested" in words.rival_words(rows, "neural", "linear")
    assert "neural macro-F1 0.500" in draw_across(rows).alt


def worded(comparison, value, floor):
    return Record(
        **BASE, task="timeline_action", variant=ACROSS, metric=f"wording_{comparison}",
        higher_is_better=True, value=value, floor=floor, floor_name="majority",
    )  # fmt: skip


def test_looser_comparisons_are_told_beside_the_text():
    table = words.word_scores([worded("exact", 0.1, 0.05), worded("same_verb", 0.6, 0.5)], "linear")
    picture = draw_words(table)
    assert "10 % of action labels" in picture.title
    assert "60 % have the right verb" in picture.title
    skipped = table.assign(value=None, reason="not installed: x")
    assert "not installed: x" in draw_words(skipped).alt


def strict(author, value=1.0, **more):
    status = {} if value is not None else {"status": "skipped", "reason": "not installed: y"}
    return Record(
        **BASE | {"head": author}, metric="strict_validity", higher_is_better=True, value=value,
        **status, **more,
    )  # fmt: skip


def field(author, task, value, floor):
    return Record(
        **BASE | {"head": author}, task=task, variant="strict", metric="macro_f1_present",
        higher_is_better=True, value=value, floor=floor, floor_name="majority",
    )  # fmt: skip


def test_validity_is_told_beside_skill_and_an_absent_model_with_its_reason():
    rows = [
        strict("linear_json"), field("linear_json", "action", 0.4, 0.1),
        strict("random"), field("random", "action", 0.0, 0.2),
        strict("absent", None),
    ]  # fmt: skip
    said = words.strict_words(rows)
    assert "linear json: 100 % valid; above the best trivial baseline in action." in said
    assert "random: 100 % valid; above the best trivial baseline in no field." in said
    assert "absent: no predictions (not installed: y)." in said
    table = words.strict_table(rows).set_index("answers")
    assert table.loc["best constant", "action"] == "0.100"
    assert table.loc["absent", "valid JSON"] == "–"
    assert "not installed: y" in table.loc["absent", "note"]


def given(variant, value, floor=0.1, **more):
    return row("timeline_action", variant, value, floor=floor, floor_name="majority",
               skill=(value - floor) / (1 - floor), **more)  # fmt: skip


def gain(variant, against, value, p):
    ends = {"ci_low": value - 0.05, "ci_high": value + 0.05, "p": p, "p_holm": p}
    return row("timeline_action", variant, value, against=against).model_copy(
        update={"metric": "macro_f1_gain"} | ends
    )


@pytest.mark.parametrize(
    ("value", "p", "said"),
    [(-0.2, 0.01, "significantly worse without: motion 1 of 1"),
     (-0.2, 0.2, "No tested task is significantly worse without motion")],
)  # fmt: skip
def test_what_leaving_out_costs_is_corrected_for_the_number_of_tasks(value, p, said):
    rows = [given("ablation/all", 0.55), given("ablation/only=motion", 0.46),
            given("ablation/without=motion", 0.55 + value),
            gain("ablation/without=motion", "ablation/all", value, p),
            gain("ablation/only=motion", "floor", 0.36, 0.001)]  # fmt: skip
    picture = draw_ablation(rows)
    assert said in picture.title
    assert "timeline action without motion -0.22" in picture.alt
    change, alone = (axes.texts for axes in picture.figure.axes)
    assert [text.get_text() for text in alone] == ["0.50", "0.40 ▲"]
    assert [text.get_text() for text in change] == ["-0.22" + (" ▼" if p < 0.05 else "")]


def test_more_recordings_are_told_from_more_windows():
    sizes = {"scaling/recordings=1": 0.2, "scaling/recordings=16": 0.5,
             "scaling/recordings=16/windows_of_one": 0.3}  # fmt: skip
    rows = [given(variant, value, ends=(value - 0.1, value + 0.1))
            for variant, value in sizes.items()]  # fmt: skip
    one, most = "scaling/recordings=1", "scaling/recordings=16"
    rows += [gain(most, one, 0.3, 0.001), gain(f"{most}/windows_of_one", one, 0.1, 0.3)]
    picture = draw_scaling(rows)
    both = "in 1 of 1 tested task; with no more windows in 0 of 1 tested task"
    assert picture.title == f"16 training recordings are significantly better than 1 {both}"
    assert "timeline action, 16 recordings: 0.500 [0.400, 0.600]" in picture.alt


@pytest.mark.parametrize("draw", [draw_ablation, draw_scaling])
def test_a_run_without_variants_says_that_nothing_can_be_told(draw):
    assert draw([]).title.endswith("not tested")
