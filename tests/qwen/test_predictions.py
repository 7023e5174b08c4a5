import json
import tracemalloc

import pytest

from xperience.qwen.predictions import read_predictions
from xperience.qwen.schema import AnswersError, Options

OPTIONS = Options(("Hold pen", "Place pen"))
ANSWER = {
    "action": "Hold pen", "subtask": "Drawing", "objects": ["pen"], "contact": "yes",
    "transition": "no", "next_action": "Hold pen",
    "evidence_window": {"start_frame": 0, "end_frame": 19},
}  # fmt: skip


def line(place=0, **changed):
    whole = {"id": f"w{place}", "episode_id": "ep", "raw_prediction": json.dumps(ANSWER)}
    return whole | {"true_json": ANSWER} | changed


def written(path, *lines):
    path.write_bytes(b"".join(json.dumps(one).encode() + b"\n" for one in lines))
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "predictions.jsonl"


def refusal(path):
    with pytest.raises(AnswersError) as caught:
        read_predictions(path, OPTIONS)
    return str(caught.value)


def test_what_a_line_says_is_kept_and_blank_lines_are_none(path):
    broken = line(1, raw_prediction='{"action": "Place pen", "obj', episode_id="other")
    path.write_text(json.dumps(line(0)) + "\n\n" + json.dumps(broken))  # no newline at the end
    found = read_predictions(path, OPTIONS)
    assert [item.strict for item in found.items] == [True, False]
    assert found.items[0].said == {k: v for k, v in ANSWER.items() if isinstance(v, str)}
    assert found.items[1].said == {}
    assert found.items[1].published == "Place pen"
    assert found.episodes.tolist() == [0, 1]


def test_a_file_that_was_cut_off_is_refused_at_its_line(path):
    written(path, line(0), line(1))
    path.write_bytes(path.read_bytes()[:-30])
    assert refusal(path).startswith("predictions.jsonl:2: is cut off")


def test_an_id_that_stands_twice_is_refused_with_both_lines(path):
    written(path, line(0), line(1), line(0))
    said = refusal(path)
    assert said.startswith("predictions.jsonl:3: has the id 'w0' of line 1")


def test_an_answer_that_names_a_key_twice_is_not_strictly_valid(path):
    twice = json.dumps(ANSWER)[:-1] + ', "action": "Place pen"}'
    (item,) = read_predictions(written(path, line(0, raw_prediction=twice)), OPTIONS).items
    assert (item.strict, item.lenient, item.published) == (False, True, "Place pen")


def test_bytes_that_are_not_utf8_are_refused_at_their_line(path):
    written(path, line(0))
    path.write_bytes(path.read_bytes() + b'{"id": "caf\xe9"}\n')
    assert refusal(path).startswith("predictions.jsonl:2: is not UTF-8 at byte 11")


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"raw_prediction": None}, "1: raw_prediction"),
        ({"id": ""}, "1: id"),
        ({"true_json": {**ANSWER, "contact": "perhaps"}}, "1: true_json.contact"),
        ({"true_json": {k: v for k, v in ANSWER.items() if k != "objects"}}, "true_json.objects"),
    ],
)
def test_a_line_that_lacks_something_is_refused_by_name(path, changed, place):
    assert place in refusal(written(path, line(0, **changed)))


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_a_file_without_lines_is_refused(path, content):
    path.write_bytes(content)
    assert "holds no line" in refusal(path)


def test_a_line_that_is_no_object_and_a_missing_file_are_refused(path):
    assert "cannot be read" in refusal(path)
    path.write_text("[1]\n")
    assert "predictions.jsonl:1" in refusal(path)
    path.write_text("[" * 100_000 + "\n")
    assert "is no JSON" in refusal(path)


def test_the_files_own_parsing_is_compared_with_ours(path):
    same = line(0, predicted_label="Hold pen", pred_json=ANSWER)
    other = line(1, predicted_label="Place pen", pred_json=ANSWER)
    found = read_predictions(written(path, same, other, line(2)), OPTIONS)
    assert [item.agrees for item in found.items] == [True, False, None]


def test_runaway_texts_are_not_kept(path):
    long = [line(i, raw_prediction=f"{i} " + "walking on " * 20_000) for i in range(100)]
    written(path, *long)
    tracemalloc.start()
    found = read_predictions(path, OPTIONS)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size > 2e7
    assert kept < 1e6
    assert len({item.published for item in found.items}) == 100  # still told apart
