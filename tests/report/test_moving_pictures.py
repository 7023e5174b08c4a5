"""What a reader moves through: each picture at both ends, in the middle, and without data."""

import pandas as pd
import pytest

from xperience.report.figures.hand_window import draw_hand_window
from xperience.report.figures.told import TRUE, Told, draw_told
from xperience.report.figures.what_if import draw_what_if
from xperience.report.takeaways.evidence import Evidence
from xperience.report.takeaways.outcome import Outcome
from xperience.report.takeaways.wording import number
from xperience.report.what_if import all_decided, movable, what_if

from . import takeaway_rows as made

ENDS = (0.0, 0.5, 1.0)
SAID = pd.DataFrame(
    {
        "episode": "e",
        "task": "timeline_action",
        "head": ["linear"] * 3 + ["neural"] * 3,
        "start_frame": [0, 5, 10] * 2,
        "truth": ["pour", "pour", ""] * 2,
        "predicted": ["pour", "stir", "", "stir", "stir", "pour"],
    }
)


def test_labels_are_told_by_who_is_right_at_each_window():
    told = Told.of_table(SAID, "timeline_action", "e")
    assert list(told.strips) == [TRUE, "linear", "neural"]
    titles = [draw_told(told, share).title for share in ENDS]
    assert titles == [
        "Linear is right here: “pour”",
        "No head is right here: “pour”",
        "Linear is right here: nothing",
    ]


def test_a_recording_without_predictions_is_said_to_have_none():
    picture = draw_told(Told.of_table(SAID, "timeline_action", "another"), 0.5)
    assert picture.title == "Nothing was answered here"


def test_no_hand_forecast_is_said_to_be_none():
    assert draw_hand_window([], 0.5).title == "No hands were forecast"


@pytest.fixture(scope="module")
def evidence():
    return made.all_supported()


def test_rows_left_where_they_are_say_what_the_metric_files_say(evidence):
    for one in all_decided(evidence):
        same = what_if(evidence, one, 0.0)
        assert (same.outcome, same.sentence) == (one.judgement.outcome, one.sentence)
        assert same.moved == same.rows


def test_moving_rows_far_against_a_claim_takes_its_support_away(evidence):
    compared = [
        one
        for one in all_decided(evidence)
        if one.judgement.outcome == Outcome.SUPPORTED
        and any(row.against and row.ci_low is not None for row in movable(one))
    ]
    assert len(compared) > 10
    for one in compared:
        ends = {what_if(evidence, one, steps).outcome for steps in (-400.0, 400.0)}
        assert ends - {Outcome.SUPPORTED}, one.claim.name


def test_what_is_moved_is_drawn_with_the_sentence_that_follows(evidence):
    one = next(one for one in all_decided(evidence) if movable(one))
    for steps in (-4.0, 0.0, 4.0):
        moved = what_if(evidence, one, steps)
        picture = draw_what_if(moved)
        assert str(moved.outcome) in picture.title.lower()
        assert moved.sentence.replace("**", "") in picture.alt


def scored(one):
    """Return the head's own scores of a claim's differences."""
    heads = {row.head for row in movable(one)}
    return [row for row in one.judgement.rows if row.against is None and row.head in heads]


def test_a_score_moves_with_its_difference_and_its_rival_stays(evidence):
    found = [one for one in all_decided(evidence) if len(movable(one)) == len(scored(one)) == 1]
    told = [
        one for one in found if number(scored(one)[0].value, scored(one)[0].unit) in one.sentence
    ]
    one = told[0]
    (row,), (score,) = movable(one), scored(one)
    moved = what_if(evidence, one, -10.0)
    by = moved.moved[0].value - row.value
    assert by == pytest.approx(-5 * (row.ci_high - row.ci_low))
    assert number(score.value, score.unit) in one.sentence
    assert number(score.value + by, score.unit) in moved.sentence


def test_counts_shares_and_verdicts_are_never_moved(evidence):
    for one in all_decided(evidence):
        assert all(row.against and row.ci_low is not None for row in movable(one))


def test_a_claim_without_values_has_nothing_to_move(evidence):
    nothing = Evidence("standin", "family", {})
    for one in all_decided(nothing):
        assert movable(one) == []
        assert what_if(nothing, one, 1.0).sentence == one.sentence
    assert draw_what_if(what_if(nothing, all_decided(nothing)[0], 1.0)).alt
