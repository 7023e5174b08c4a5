"""One strict answer beside the truth: each field is a hit, a miss, or right in part."""

import json

import pytest

from xperience.qwen.schema import Options, answer_text, read_answer
from xperience.qwen.supervised import Media, Span, Supervised
from xperience.report.strict_answer import HIT, MISS, NO_OPTION, asked_words, field_table
from xperience.studies.heldout.strict import Answer

OPTIONS = Options(("Pour", "Stir"), ("Brew",), ("mug", "pot", "spoon"))
TRUTH = {
    "action": "Pour", "subtask": "Brew", "objects": ["mug", "pot"], "contact": "yes",
    "transition": "no", "next_action": "Decant", "evidence_window": {"start_frame": 1,
                                                                     "end_frame": 4},
}  # fmt: skip


def record(truth):
    media = Media(
        video="v.mp4", video_sha256="0" * 64, fps=2.0, n_frames=5, window_frames=2, seconds=2.5,
        cameras=("stereo_left",), lost={}, audio=None, audio_sha256=None, audio_rate_hz=16000,
        audio_seconds=0, why_no_audio="none was recorded",
    )  # fmt: skip
    spans = {"window": Span(start_frame=20, end_frame=39), "clip": Span(start_frame=0,
                                                                       end_frame=39)}  # fmt: skip
    text = answer_text(truth)
    return Supervised(
        id="e:20", episode="e", side="test", system="Answer in JSON.", user="Describe the end.",
        media=media, answer=text, target=text, action_is_option=True, **spans,
    )  # fmt: skip


def told(said, truth=TRUTH):
    raw = said if isinstance(said, str) else json.dumps(said)
    answer = Answer("linear_json", record(truth), raw, read_answer(raw, OPTIONS))
    table = field_table(answer, OPTIONS)
    return answer, dict(zip(table["field"], table["counts as"], strict=True)), table


def test_each_field_is_a_hit_or_a_miss_and_a_true_label_that_cannot_be_said_is_told():
    _, found, table = told(TRUTH | {"contact": "no", "next_action": "Stir"})
    assert [found[name] for name in ("action", "subtask", "objects", "transition")] == [HIT] * 4
    assert found["evidence window"] == HIT
    assert found["contact"] == MISS
    assert found["next action"] == NO_OPTION
    assert list(table.columns) == ["field", "truth", "said", "counts as"]
    assert table.set_index("field").loc["objects", "truth"] == "mug, pot"


@pytest.mark.parametrize(
    ("objects", "counts"),
    [(["pot", "mug"], HIT), (["spoon"], MISS), ([], MISS),
     (["mug", "spoon"], "1 hit, 1 left out, 1 wrong")],
)  # fmt: skip
def test_a_set_of_objects_may_be_right_in_part(objects, counts):
    _, found, _ = told(TRUTH | {"next_action": "Stir", "objects": objects})
    assert found["objects"] == counts


@pytest.mark.parametrize(
    ("first", "last", "counts"), [(1, 4, HIT), (0, 0, MISS), (3, 4, "0.50 of the frames")]
)
def test_a_stretch_of_frames_may_be_right_in_part(first, last, counts):
    evidence = {"start_frame": first, "end_frame": last}
    _, found, _ = told(TRUTH | {"next_action": "Stir", "evidence_window": evidence})
    assert found["evidence window"].startswith(counts)


@pytest.mark.parametrize("raw", ["no JSON at all", json.dumps(TRUTH), '{"action": "Pour"}'])
def test_an_answer_that_is_not_valid_is_wrong_in_every_field(raw):
    """The second says a next action that is no option."""
    answer, found, _ = told(raw)
    assert set(found.values()) == {MISS}
    assert "every field is a miss" in asked_words(answer, OPTIONS)


def test_what_nobody_knows_is_not_counted():
    said = TRUTH | {"next_action": "Stir"}
    _, found, _ = told(said, TRUTH | {"action": "unknown"})
    assert found["action"].startswith("not counted")


def test_what_was_asked_stands_beside_what_was_said():
    said = TRUTH | {"next_action": "Stir"}
    words = asked_words(told(said)[0], OPTIONS)
    assert "frames 20 to 39" in words
    assert "Describe the end." in words
    assert "3 for action" in words  # two and "unknown"
    assert json.dumps(said) in words
    assert "linear json said, a valid answer" in words
