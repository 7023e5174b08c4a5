"""What titles and sentences count holds for any rows: each outcome, none tested, none at all.

A comparison that was not tested is never told as no effect, and no denominator counts it.
"""

import re
from itertools import combinations_with_replacement

import pytest

from xperience.evaluation.ablation import NET_WINS
from xperience.evaluation.records import (
    POOLED,
    POOLED_GAP,
    ROLLING,
    STITCHED,
    WITHIN,
    Record,
)
from xperience.evaluation.retrieval import BETWEEN
from xperience.evaluation.retrieval import WITHIN as WITHIN_ACTION
from xperience.report import heldout
from xperience.report.figures import audio, heads, record, retrieval, shift
from xperience.report.heads import FLOOR
from xperience.report.record import PRIMARY, beyond_sentences, forecast_verdict
from xperience.report.tables import Rows, Verdict, verdict
from xperience.tasks.audio import WITH_SOUND
from xperience.tasks.catalogue import TASKS_BY_NAME

BETTER, WORSE, OPEN, UNTESTED = Verdict
TASKS = ("timeline_action", "timeline_subtask", "next_action")
ENDS = {BETTER: (0.1, 0.3), WORSE: (-0.3, -0.1), OPEN: (-0.1, 0.3)}
CASES = [(), *combinations_with_replacement(Verdict, 3)]


def row(task: str | None, head: str | None, value: float | None, **more) -> Record:
    base = {"run": "r", "section": "s", "contract": "corrected", "metric": "macro_f1", "unit": "1"}
    base |= {"higher_is_better": True, "n_test": 9}
    return Record(**base | {"task": task, "head": head, "value": value} | more)


def judged(one: Verdict, task: str | None, head: str | None, **more) -> Record:
    """Return a difference of which just that can be said."""
    if one is UNTESTED:
        return row(task, head, 0.2, ci_reason="too_few_segments: 2 segments", **more)
    low, high = ENDS[one]
    if more.get("higher_is_better") is False:
        low, high = -high, -low
    return row(task, head, (low + high) / 2, ci_low=low, ci_high=high, **more)


def scored(found, head="linear", **more) -> list[Record]:
    """Return a score for each task with its difference from the best trivial baseline."""
    rows = []
    for task, one in zip(TASKS, found, strict=False):
        floor = {"floor": 0.3, "floor_name": "majority", "skill": 0.2}
        rows.append(row(task, head, 0.5, **floor, **more))
        rows.append(judged(one, task, head, against="majority", **more))
    return rows


def gains_title(found) -> str:
    tasks = {name: TASKS_BY_NAME[name] for name in TASKS[: len(found)]}
    return heads.draw_gains({"corrected": (scored(found), tasks)}, FLOOR).title


def forest_title(found) -> str:
    rows = []
    for task, one in zip(TASKS, found, strict=False):
        variant, against = WITH_SOUND
        own = {"variant": variant, "against": against}
        rows.append(judged(one, task, "linear", **own | {"metric": "macro_f1_gain"}))
        rows.append(row(task, "linear", 0.1, **own | {"metric": NET_WINS}))
    return audio.draw_audio_forest(rows).title


def scores_title(found) -> str:
    return record.draw_scores(scored(found, contract="published")).title


def rivals_sentence(found) -> str:
    return beyond_sentences(
        judged(one, task, "neural", against="linear", contract="published")
        for task, one in zip(TASKS, found, strict=False)
    )


def answers_title(found) -> str:
    return record.draw_answers(scored(found, "qwen3_omni", contract="published")).title


def forecasts(found) -> list[Record]:
    own = {"metric": "mpjpe", "unit": "m", "higher_is_better": False, "variant": ROLLING}
    names = ("damped_velocity", "ridge_joint", "forecast")
    return [judged(one, STITCHED, head, against="zero_velocity", **own)
            for head, one in zip(names, found, strict=False)]  # fmt: skip


def floor_title(found) -> str:
    return heldout.floor_title(scored(found, variant=POOLED), ["linear"])


def gap_title(found) -> str:
    rows = [judged(one, task, "linear", variant=POOLED_GAP, against=WITHIN)
            for task, one in zip(TASKS, found, strict=False)]  # fmt: skip
    return heldout.gap_title(rows, "linear")


def rival_words(found) -> str:
    rows = [judged(one, task, "neural", variant=POOLED, against="linear")
            for task, one in zip(TASKS, found, strict=False)]  # fmt: skip
    return heldout.rival_words(rows, "neural", "linear")


def variants(found, variant, against) -> list[Record]:
    own = {"variant": variant, "against": against, "metric": "macro_f1_gain"}
    return [judged(one, task, "linear", **own) for task, one in zip(TASKS, found, strict=False)]


def ablation_title(found) -> str:
    given = row(TASKS[0], "linear", 0.5, variant="ablation/only=motion")
    return heldout.ablation_title([given, *variants(found, "ablation/without=motion",
                                                    "ablation/all")])  # fmt: skip


def scaling_title(found) -> str:
    size = row(TASKS[0], "linear", 0.5, variant="scaling/recordings=16")
    rows = variants(found, "scaling/recordings=16", "scaling/recordings=1")
    return heldout.scaling_title([size, *rows])


def rebuilt_title(found) -> str:
    rows = []
    for name, one in zip(("imu", "audio_fft", "depth_confidence"), found, strict=False):
        own = {"metric": "r2", "variant": f"{name} from motion"}
        rows.append(
            row("modality_reconstruction", "linear", 0.5, floor=0.0, floor_name="mean", **own)
        )
        rows.append(judged(one, "modality_reconstruction", "linear", against="mean", **own))
    return retrieval.draw_reconstruction(rows).title


FAMILIES = {
    "gains": gains_title,
    "audio forest": forest_title,
    "published scores": scores_title,
    "published rivals": rivals_sentence,
    "published answers": answers_title,
    "floors": floor_title,
    "gaps": gap_title,
    "rivals": rival_words,
    "ablation": ablation_title,
    "scaling": scaling_title,
    "reconstruction": rebuilt_title,
}
COUNT = re.compile(r"(?:\bin|improves|from motion|,) (none|\d+) (?:of|is|are|and|\()")
"""How many are better, in the words around it."""
NOTHING = re.compile("not tested|none is tested|can't be tested|^No |^Nothing|There are no scores")


@pytest.mark.parametrize("say", FAMILIES.values(), ids=FAMILIES)
def test_what_was_not_tested_is_never_told_as_no_effect(say):
    for found in CASES:
        said, n = say(found), len(found) - found.count(UNTESTED)
        n_not = (len(PRIMARY) if say is rivals_sentence else len(found)) - n
        if n == 0:
            assert NOTHING.search(said), (found, said)
            assert not re.search("none of|no significant difference", said), (found, said)
        elif not (say is ablation_title and WORSE not in found):
            assert f" {n} tested " in said, (found, said)
            assert (f"({n_not} not tested)" in said) == (n_not > 0), (found, said)
        if say is not ablation_title and n:
            told = COUNT.search(said)[1].replace("none", "0")
            assert int(told) == found.count(BETTER), (found, said)


def test_every_forecast_is_told_by_its_own_verdict():
    names = ("damped velocity", "ridge joint", "forecast")
    for found in CASES:
        said = forecast_verdict(forecasts(found))
        title = record.draw_hand_forecasts(forecasts(found)).title
        for name, one in zip(names, found, strict=False):
            (group,) = [part for part in said.split("; ") if f"{name} " in part.split(": ", 1)[-1]]
            assert f"{one}: " in group, (found, said)
            assert (f"{name} by" in title) == (one is BETTER), (found, title)
        assert not found or "no significant difference" not in title


@pytest.mark.parametrize("within", Verdict)
@pytest.mark.parametrize("between", Verdict)
def test_a_retrieval_is_told_within_and_between_actions(within, between):
    def part(one, metric):
        difference = judged(one, "caption_grounding", None, metric=metric)
        ends = {"value": difference.value + 0.5}
        if one is not UNTESTED:
            ends |= {"ci_low": difference.ci_low + 0.5, "ci_high": difference.ci_high + 0.5}
        return difference.model_copy(update=ends)

    rows = Rows([part(within, WITHIN_ACTION), part(between, BETWEEN)])
    said = retrieval.action_words(rows, "caption_grounding", "corrected")
    if within is between:
        assert said == f"caption grounding {within} within and between actions"
    else:
        assert said == f"caption grounding {within} within actions, {between} between actions"


def test_pictures_of_no_rows_say_what_lacks():
    pictures = [
        heads.draw_gains({}), heads.draw_curves([]), heads.draw_horizon({}),
        heads.draw_by_speed([], "hand_trajectory_forecast"), heads.draw_near_changes([], []),
        heads.draw_hand_window([], 0.5), shift.draw_split_scores([], "timeline_action"),
        shift.draw_splits({}, [], None), shift.draw_class_times({}, {}, None),
        shift.draw_embargo([]), retrieval.draw_actions([]), retrieval.draw_similarity({}, [], 20),
        record.draw_agreement([]),
    ]  # fmt: skip
    lacking = "not tested|can't|[Nn]o |No$|Nothing|nothing"
    assert [one.title for one in pictures if not re.search(lacking, one.title + one.alt)] == []


def test_the_rows_of_these_tests_mean_what_they_say():
    assert [verdict(judged(one, TASKS[0], "linear"))[0] for one in Verdict] == list(Verdict)
