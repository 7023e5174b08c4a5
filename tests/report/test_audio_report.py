"""The audio study told: sentences and titles follow the numbers, and figures draw whatever came."""

import io

import numpy as np
import pytest
from PIL import Image

from xperience.evaluation.uncertainty import Interval, Verdict
from xperience.report.audio import (
    SOUND,
    claim_sentences,
    looks_table,
    mean_sentences,
    moments_sentences,
    open_sound,
    score_table,
)
from xperience.report.figures.audio import draw_audio_forest, draw_mixed_mean
from xperience.report.figures.audio_time import action_levels, draw_sound, draw_when
from xperience.report.figures.style import png_bytes
from xperience.report.timeline import Timeline
from xperience.studies.audio.effects import Effect
from xperience.studies.audio.looks import COMPARED, Contest, Heard, Look
from xperience.studies.audio.moments import telling
from xperience.studies.audio.study import run_audio
from xperience.studies.audio.variants import AS_IS, REPLACED, WITHOUT, variant_task
from xperience.studies.problem import Answer, Outcome
from xperience.tasks.catalogue import TASKS_BY_NAME

NAMES = (AS_IS, WITHOUT, REPLACED)
FOUR = ("contact_prediction", "next_action", "cross_modal_retrieval", "modality_reconstruction")


def drawn(picture):
    assert picture.title in picture.alt
    assert len(np.unique(np.asarray(Image.open(io.BytesIO(png_bytes(picture.figure)))))) > 5
    return picture


def look(task: str, gain: float | None, ends=None, claimed=False) -> Look:
    """A made-up look: without a gain nobody answered, without ends there are too few blocks."""
    lost = {} if gain is not None else {"status": "skipped", "reason": "no sound: the file is gone"}
    asked = {
        name: Outcome(variant_task(TASKS_BY_NAME[task], name), "ridge", **lost) for name in NAMES
    }
    if gain is None:
        return Look(Contest(asked), AS_IS, WITHOUT, None)
    low, high = ends or (None, None)
    verdict = Verdict.OK if ends else Verdict.TOO_FEW_BLOCKS
    rest = (0.95, 100, 20.0, 9, 10, verdict, None if ends else "3 blocks")
    wins = Interval(np.sign(gain) * 0.25, low, high, *rest)
    effect = Effect(Interval(gain, low, high, *rest), wins, 0.01)
    return Look(Contest(asked), AS_IS, WITHOUT, effect, 0.02 if ends else None, claimed)


def heard(contract: str = "published", **looks: Look) -> Heard:
    found = {name: one.contest for name, one in looks.items()}
    return Heard(contract, found, dict.fromkeys(COMPARED, looks))


HELPS = {
    "contact_prediction": look("contact_prediction", 0.2, (0.1, 0.3), claimed=True),
    "next_action": look("next_action", -0.2, (-0.3, -0.1), claimed=True),
    "cross_modal_retrieval": look("cross_modal_retrieval", 0.1, (-0.1, 0.3)),
    "modality_reconstruction": look("modality_reconstruction", 0.1),
}
OPEN = {name: look(name, 0.1, (-0.1, 0.3)) for name in FOUR}
MUTE = {name: look(name, None) for name in FOUR}


@pytest.mark.parametrize(
    ("found", "title"),
    [
        (
            {"published": heard(**OPEN), "corrected": heard("corrected", **HELPS)},
            "Sound may be said to help in none of 4 tasks (published); help in contact prediction "
            "and hurt in 1 (corrected)",
        ),
        (
            {"published": heard(**OPEN), "corrected": heard("corrected", **OPEN)},
            "Sound may be said to help in none of 4 tasks, under both contracts",
        ),
        ({"published": heard(**MUTE)}, "Nothing can be asked about sound"),
    ],
    ids=["helps", "open", "mute"],
)
def test_the_forests_title_says_what_may_be_claimed(found, title):
    assert drawn(draw_audio_forest(found)).title == title


def test_sentences_name_every_task_once_by_what_it_shows():
    said = claim_sentences({"corrected": heard("corrected", **HELPS)}, SOUND)
    assert "that sound helps in *contact prediction*, and that it hurts in *next action*" in said
    assert "No difference can be claimed in *cross-modal retrieval*" in said
    assert "Too few blocks of time to tell in *modality reconstruction*" in said
    said = claim_sentences({"published": heard(**OPEN)}, SOUND)
    assert "in none of 4 tasks that sound helps, nor that it hurts" in said
    said = claim_sentences({"published": heard(**MUTE)}, SOUND)
    assert said.endswith("nothing can be asked about sound: no sound: the file is gone.")


def test_a_table_has_a_row_a_task_and_contract():
    found = {"published": heard(**HELPS), "corrected": heard("corrected", **MUTE)}
    table = looks_table(found, SOUND)
    assert len(table) == 8
    assert table.loc[("published", "contact prediction"), "finding"] == "better"
    assert table.loc[("published", "contact prediction"), "gain"] == "+0.2"
    assert table.loc[("corrected", "next action"), "95 % interval"] == "no sound: the file is gone"


@pytest.mark.parametrize(
    ("gains", "title"),
    [
        (
            (0.1, 0.1, -0.1, -0.9),
            "One MAE task of 4 makes up 75 % of what the mixed mean sums; "
            "another unit could turn its sign",
        ),
        (
            (0.1, 0.1, 0.1, 0.1),
            "No kind of score outweighs the others in the mixed mean; no unit turns its sign",
        ),
        ((0.0, 0.0, 0.0, 0.0), "Every gain is zero, in any unit"),
        ((None,) * 4, "No task has both answers, so there is no mean"),
    ],
)
def test_the_mixed_means_title_says_which_unit_weighs(gains, title):
    looks = {name: look(name, gain) for name, gain in zip(FOUR, gains, strict=True)}
    assert drawn(draw_mixed_mean(looks)).title == title
    said = mean_sentences(looks)
    if gains[0] is None:
        assert said == "No task has both answers, so there is no mean."
    else:
        assert f"**{np.mean(gains):+.4f}**" in said


# --- over time ---------------------------------------------------------------------------------


def test_the_sounds_title_names_loudest_and_quietest_action(episode, make_table):
    table = make_table(["pour"] * 6 + [None] * 2 + ["sip"] * 9)
    sound, reason = open_sound(episode, table)
    assert reason == ""
    line = Timeline.of(table)
    window_db = np.where(line.action == 0, -40.0, -10.0)
    assert action_levels(line, window_db) == pytest.approx({"sip": -10, "pour": -40})
    levels = action_levels(line, sound.window_db)
    loud, quiet = sorted(levels, key=levels.get, reverse=True)
    apart = levels[loud] - levels[quiet]
    want = f"“{loud}” is the loudest action, {apart:.0f} dB above “{quiet}”"
    assert drawn(draw_sound(table, sound)).title == want


def test_a_recording_without_sound_says_so(make_table):
    picture = draw_sound(make_table(["pour"] * 4), None, "no audio stream")
    assert drawn(picture).title == "This recording has no sound"
    assert "no audio stream" in picture.alt


@pytest.fixture(scope="module")
def answered(folder, table) -> Heard:
    """Sound is right everywhere; without it the first two test windows are wrong."""

    def made_up(problems, context):
        for place, problem in enumerate(problems):
            said = list(problem.test_targets)
            if problem.task.variant == WITHOUT:
                said[:2] = ["something else"] * 2
            yield place, [Answer(said)]

    tasks = [TASKS_BY_NAME["transition_detection"]]
    found = run_audio(folder, table, head=("made up", made_up), tasks=tasks, variants=NAMES)
    return Heard.of(list(found), "published")


def test_wins_over_time_are_counted_in_the_title(answered, table):
    moments = telling(answered.looks[SOUND], 3)
    n = len(moments[0].won)
    picture = drawn(draw_when(table, moments, None))
    assert picture.title == (
        f"Sound decides 2 of {n} samples of transition detection (2 won, 0 lost)"
    )
    window_db = np.linspace(-60, -20, len(table))
    louder = drawn(draw_when(table, moments, window_db))
    assert louder.title.endswith(", not surely more where it is loud")
    loud = moments[0].louder(window_db)
    apart = moments[0].won[loud].mean() - moments[0].won[~loud].mean()
    assert f"quieter: {apart:+.2f} (" in moments_sentences(moments, window_db)


def test_nothing_decided_is_said(table):
    picture = drawn(draw_when(table, [], None))
    assert picture.title == "Hearing or not makes no difference to any answer"
    assert moments_sentences([], None).startswith("Hearing or not")


def test_the_score_table_holds_every_variant_and_the_floor(answered):
    row = score_table(answered).loc[("transition detection", "macro_f1")]
    assert row["as it is"] == "1.000" != row["without sound"]
    assert row["best floor"].endswith(")")
