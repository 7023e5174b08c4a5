"""One strict answer beside the truth: each field is a hit, a miss, or right in part."""

import json

import pytest

from xperience.qwen.schema import FrameRange, Options, answer_text, read_answer
from xperience.qwen.supervised import ClipAnswer, Media, Supervised
from xperience.report.strict_answer import HIT, MISS, NO_OPTION, asked_words, field_table

OPTIONS = Options(("Pour", "Stir"), ("Brew",), ("mug", "pot", "spoon"))
TRUTH = {
    "action": "Pour", "subtask": "Brew", "objects": ["mug", "pot"], "contact": "yes",
    "transition": "no", "next_action": "Decant", "evidence_window": {"start_frame": 1,
                                                                     "end_frame": 4},
}  # fmt: skip
VALID = TRUTH | {"next_action": "Stir"}


def record(truth):
    media = Media(
        video="v.mp4", video_sha256="0" * 64, fps=2.0, n_frames=5, window_frames=2, seconds=2.5,
        cameras=("stereo_left",), lost={}, audio=None, audio_sha256=None, audio_rate_hz=16000,
        audio_seconds=0, why_no_audio="none was recorded",
    )  # fmt: skip
    window, clip = (FrameRange(start_frame=first, end_frame=39) for first in (20, 0))
    text = answer_text(truth)
    return Supervised(
        id="e:20", episode="e", side="test", system="Answer in JSON.", user="Describe the end.",
        media=media, answer=text, target=text, action_is_option=True, window=window,
        clip=clip,
    )  # fmt: skip


def told(said, truth=TRUTH):
    raw = said if isinstance(said, str) else json.dumps(said)
    answer = ClipAnswer("linear_json", record(truth), raw, read_answer(raw, OPTIONS))
    table = field_table(answer, OPTIONS)
    return answer, dict(zip(table["field"], table["counts as"], strict=True)), table


def test_each_field_is_a_hit_or_a_miss_and_a_true_label_that_cannot_be_said_is_told():
    _, found, table = told(TRUTH | {"contact": "no", "next_action": "Stir"})
    hits = {name for name, counts in found.items() if counts == HIT}
    assert hits == {"action", "subtask", "objects", "transition", "evidence window"}
    assert (found["contact"], found["next action"]) == (MISS, NO_OPTION)
    assert list(table.columns) == ["field", "truth", "said", "counts as"]
    assert table.set_index("field").loc["objects", "truth"] == "mug, pot"
    _, found, _ = told(VALID, TRUTH | {"action": "unknown"})
    assert found["action"].startswith("not counted")


@pytest.mark.parametrize(
    ("field", "said", "counts"),
    [
        ("objects", ["pot", "mug"], HIT),
        ("objects", ["spoon"], MISS),
        ("objects", [], MISS),
        ("objects", ["mug", "spoon"], "1 hit, 1 left out, 1 wrong"),
        ("evidence_window", {"start_frame": 1, "end_frame": 4}, HIT),
        ("evidence_window", {"start_frame": 0, "end_frame": 0}, MISS),
        ("evidence_window", {"start_frame": 3, "end_frame": 4}, "0.50 of the frames"),
    ],
)
def test_sets_of_objects_and_segments_of_frames_may_be_right_in_part(field, said, counts):
    _, found, _ = told(VALID | {field: said})
    assert found[field.replace("_", " ")].startswith(counts)


@pytest.mark.parametrize("raw", ["no JSON at all", json.dumps(TRUTH), '{"action": "Pour"}'])
def test_an_answer_that_is_not_valid_is_wrong_in_every_field(raw):
    """The second says a next action that is no option."""
    answer, found, _ = told(raw)
    assert set(found.values()) == {MISS}
    assert "every field is a miss" in asked_words(answer, OPTIONS)


def test_what_was_asked_stands_beside_what_was_said():
    words = asked_words(told(VALID)[0], OPTIONS)
    for part in ("frames 20 to 39", "Describe the end.", "3 for action", json.dumps(VALID)):
        assert part in words  # for action two labels and "unknown"
    assert "linear json said, a valid answer" in words
