"""Pictures and sentences of the published record follow from the numbers, whichever they are."""

import io

import numpy as np
import pytest
from PIL import Image

from xperience.evaluation.agreement import Figure
from xperience.evaluation.records import Record
from xperience.report.figures.record import (
    draw_agreement,
    draw_answers,
    draw_hand_forecasts,
    draw_scores,
)
from xperience.report.figures.style import png_bytes
from xperience.report.record import (
    agreement_sentence,
    answers_table,
    beyond_sentences,
    figures_table,
    forecast_verdict,
    logmel_table,
    scores_table,
    trajectory_sentence,
)

DRAWN_FROM_ROWS = [draw_scores, draw_hand_forecasts, draw_answers]


def row(**fields):
    base = {"run": "test", "section": "08", "contract": "published", "value": 0.5}
    return Record(**(base | fields))


def figure(status, published=0.5, recomputed=0.5, reason=None, group="table"):
    base = ("name", "label shift", "what", "1", published, 4, recomputed, status, reason)
    return Figure(*base, group=group)


def check(picture):
    assert picture.title in picture.alt
    image = Image.open(io.BytesIO(png_bytes(picture.figure)))
    assert len(np.unique(np.asarray(image))) > 5
    return picture.title


def gain(head, value, low, high, variant="walk_forward"):
    return row(
        contract="corrected", task="stitched_hand_forecast", head=head, metric="mpjpe", unit="m",
        higher_is_better=False, variant=variant, against="zero_velocity", value=value, ci_low=low,
        ci_high=high, n_test=100,
    )  # fmt: skip


def pair(neural, low, high):
    shared = {"task": "temporal_order", "metric": "f1", "higher_is_better": True}
    floor, ends = {"floor": 0.6, "floor_name": "majority"}, {"ci_low": low, "ci_high": high}
    return [
        row(**shared, **floor, head="linear", value=0.55),
        row(**shared, **floor, head="neural", value=neural, ci_low=neural - 0.1, ci_high=1.0),
        row(**shared, **ends, head="neural", against="majority", value=neural - 0.6),
        row(**shared, **ends, head="neural", against="linear", value=neural - 0.55),
    ]


def test_the_agreement_follows_the_statuses():
    right = [figure("exact"), figure("not recomputable", recomputed=None, reason="it is lost")]
    title = "Of 2 rows of the note's tables: 1 exact, 0 different, 1 not recomputable"
    assert check(draw_agreement(right)) == title
    beside = [
        *right,
        figure("differs", recomputed=0.9, group="study"),
        figure("exact", group="text"),
    ]
    assert check(draw_agreement(beside)) == title, "the note's own tables are counted alone"
    text, study = (
        "Of 1 number of the note's text: 1 exact, 0 different",
        "Of 1 score of the published audio study: 0 exact, 1 different",
    )
    below = draw_agreement(beside).figure.texts[1].get_text().replace("\n", " ")
    assert f"{text}. {study}." in below
    assert agreement_sentence(beside).splitlines()[:3] == [
        f"- {one}." for one in (title, text, study)
    ]
    wrong = [*right, figure("derived", recomputed=None), figure("differs", recomputed=0.9)]
    assert "1 derived, 1 different" in check(draw_agreement(wrong))


def test_an_absent_record_is_drawn_and_said():
    lost = [figure("skipped", recomputed=None, reason="it is not there")]
    assert check(draw_agreement(lost)) == "No published record, nothing recomputed"
    assert "it is not there" in agreement_sentence(lost)
    assert figures_table(lost)["recomputed"].tolist() == ["–"]
    skipped = [row(metric="real_hands", value=None, status="skipped", reason="it is not there")]
    for draw in DRAWN_FROM_ROWS:
        assert check(draw(skipped)).startswith("No ")
    for say in (beyond_sentences, forecast_verdict):
        assert "no" in say(skipped).lower()
    assert "it is not there" in trajectory_sentence(skipped)
    assert "it is not there" in answers_table(skipped).loc["model", "note"]
    assert len(scores_table(skipped)) == len(logmel_table([])) == 1


@pytest.mark.parametrize(
    ("low", "high", "title", "verdict"),
    [
        (0.1, 0.4, "1 is significantly better", "better ([+0.100, +0.400])"),
        (-0.1, 0.4, "none is significantly better", "no significant difference"),
    ],
)
def test_a_score_is_called_better_than_its_floor_by_its_interval_only(low, high, title, verdict):
    assert f"Of 1 tested score (1 not tested), {title}" in check(draw_scores(pair(0.8, low, high)))
    assert f"order 0.800 against 0.600: {verdict}" in beyond_sentences(pair(0.8, low, high))


def test_the_forecast_verdict_follows_the_intervals():
    better = [
        gain("damped_velocity", -0.004, -0.007, -0.001),
        gain("ridge_joint", -0.001, -0.004, 0.002),
    ]
    title = check(draw_hand_forecasts(better))
    assert title == "Significantly better than zero velocity: damped velocity by 4.0 mm"
    said = forecast_verdict(better)
    assert "better: damped velocity -4.0 mm ([-7.0 mm, -1.0 mm])" in said
    assert "no significant difference: ridge joint" in said
    none = [gain("damped_velocity", -0.004, -0.009, 0.001)]
    assert check(draw_hand_forecasts(none)).endswith("none of 1 tested forecast")
    assert "significantly better: none" in forecast_verdict(none)
    worse = [gain("damped_velocity", 0.004, 0.001, 0.009, variant=None)]
    assert "significantly better: none; significantly worse: damped" in forecast_verdict(worse)


def test_resting_hands_are_compared_either_way():
    def hands(neural):
        shared = {"task": "hand_trajectory_forecast", "metric": "mpjpe", "unit": "m"}
        return [
            row(**shared, head="zero_velocity", variant="floor", value=0.02),
            row(**shared, head="constant_velocity", variant="floor", value=0.04),
            row(**shared, head="neural", variant="present_known", value=neural, n_test=9),
        ]

    assert "5.0 times the error of zero velocity" in beyond_sentences(hands(0.1))
    assert "less than that" in beyond_sentences(hands(0.01))


def test_the_local_split_is_judged_by_the_copied_label():
    def local(copied):
        shared = {"task": "all_feature_action"}
        return [
            row(**shared, head="linear", metric="macro_f1", value=0.9),
            row(**shared, head="nearest_in_time", metric="macro_f1", variant="floor", value=copied),
            row(**shared, metric="test_windows_sharing_frames", value=1.0),
            row(**shared, metric="test_frames_trained_on", value=0.97),
        ]

    assert "more than the model" in beyond_sentences(local(0.95))
    assert "not more than the model" in beyond_sentences(local(0.5))


@pytest.mark.parametrize(
    ("low", "high", "title", "said"),
    [
        (0.1, 0.3, "in 1 of 1 tested field, and worse in none", ", better"),
        (-0.3, -0.1, "in none of 1 tested field, and worse in 1", ", worse"),
        (-0.1, 0.2, "in none of 1 tested field, and worse in none", ", no significant difference"),
    ],
)
def test_real_answers_are_judged_by_their_differences(low, high, title, said):
    shared = {"task": "heldout_action", "metric": "macro_f1", "higher_is_better": True}
    model = shared | {"head": "qwen3_omni"}
    rivals = ("majority_of_test_truth", "shuffled_within_episode", "metadata_baseline")
    ends = {"value": (low + high) / 2, "ci_low": low, "ci_high": high}
    rows = [
        row(metric="lenient_validity", head="qwen3_omni", value=0.8, ci_low=0.7, ci_high=0.85),
        row(metric="strict_validity", head="qwen3_omni", value=None, status="skipped", reason="no"),
        row(**model, floor=0.4, floor_name=rivals[0]),
        *(row(**model, **ends, against=rival) for rival in rivals),
        row(**shared, head="metadata_baseline", value=0.3),
        row(**model, variant="without_one_episode", value=0.45),
    ]
    assert title in check(draw_answers(rows))
    table = answers_table(rows)["action"]
    assert all(table[name].endswith(said) for name in table.index if name.startswith("minus"))
    assert table["metadata baseline"] == "0.300"
    assert table["without the episode that changes it most"] == "0.450"
