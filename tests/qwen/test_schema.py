"""A text is an answer by two rules, and a file of predictions is read or refused at its line."""

import json
import tracemalloc

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xperience.qwen.predictions import read_predictions
from xperience.qwen.schema import (
    FAULTS,
    KEYS,
    UNKNOWN,
    AnswersError,
    Options,
    answer_text,
    json_schema,
    published_label,
    read_answer,
    read_options,
)

from .conftest import answer, line

OPTIONS = Options(("Cut", "Cut paper", "Hold pen"), subtask=("Drawing",), objects=("pen", "cup"))
OPEN = Options(("Cut", "Cut paper", "Hold pen"))
WHOLE = answer(transition=UNKNOWN, next_action=UNKNOWN)
TEXT = json.dumps(WHOLE)
VALIDATORS = {one: jsonschema.Draft202012Validator(json_schema(one)) for one in (OPTIONS, OPEN)}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
labels = st.sampled_from(["Hold pen", "Cut", "Drawing", "pen", "yes", "no", "unknown", "", "cup"])
near_windows = st.fixed_dictionaries(
    {"start_frame": st.integers(-1, 9)}, optional={"end_frame": st.integers(-1, 9) | labels}
)
near_values = (
    labels | st.lists(labels, max_size=10) | st.integers(-2, 30) | st.none() | near_windows
)
near_answers = st.builds(
    lambda changed, dropped, more: {
        key: value for key, value in (WHOLE | changed | more).items() if key not in dropped
    },
    st.dictionaries(st.sampled_from(KEYS), near_values, max_size=3),
    st.sets(st.sampled_from(KEYS), max_size=1),
    st.dictionaries(st.sampled_from(["reason", "Action"]), near_values, max_size=1),
)
texts = (
    st.text()
    | json_values.map(json.dumps)
    | near_answers.map(json.dumps)
    | near_answers.map(lambda value: f"Sure:\n```json\n{json.dumps(value)}\n```")
    | st.tuples(near_answers, st.integers(0, 200)).map(lambda cut: json.dumps(cut[0])[: cut[1]])
)


@given(texts)
@settings(max_examples=60)
@example("[" * 100_000)
@example('{"a":' * 100_000)
@example("9" * 5000)
@example('{"action": NaN}')
@example('"\\ud800"')
@example(json.dumps(WHOLE | {"subtask": "x"}).replace("x", "\\ud800"))
@example("{}}{")
def test_any_text_is_read_and_strict_implies_lenient(text):
    for options in (OPTIONS, OPEN):
        reading = read_answer(text, options)
        assert set(reading.faults) <= set(FAULTS)
        assert reading.lenient or not reading.strict
        label = published_label(text, reading, options)
        for said in (label, *reading.labels.values(), *reading.objects):
            said.encode("utf-8")


@given(near_answers | json_values)
@settings(max_examples=60)
def test_strict_is_what_the_exported_schema_says(value):
    for options, validator in VALIDATORS.items():
        fits = validator.is_valid(value)
        assert read_answer(json.dumps(value), options).strict == fits


def test_the_schema_is_a_schema_and_lists_the_options_in_their_order():
    schema = json_schema(OPTIONS)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["action"]["enum"] == ["Cut", "Cut paper", "Hold pen", UNKNOWN]
    assert "enum" not in json_schema(OPEN)["properties"]["subtask"]


@pytest.mark.parametrize(
    ("text", "faults", "lenient"),
    [
        (f" \n{TEXT}\n", (), True),
        (f"```json\n{TEXT}\n```", ("not_json",), True),
        (f"My answer: {TEXT} Done.", ("not_json",), True),
        (TEXT[:-1], ("not_json",), False),
        (json.dumps([WHOLE]), ("wrong_keys",), False),
        (json.dumps({k: v for k, v in WHOLE.items() if k != "contact"}), ("wrong_keys",), False),
        (json.dumps(WHOLE | {"why": "so"}), ("wrong_keys",), True),
        (json.dumps(WHOLE | {"contact": "maybe"}), ("wrong_value",), True),
        (json.dumps(WHOLE | {"objects": ["pen"] * 9}), ("too_many_objects",), True),
        (json.dumps(WHOLE | {"action": "hold pen"}), ("not_an_option",), True),
        (TEXT[:-1] + ', "action": "Cut"}', ("wrong_keys",), True),
        (TEXT.replace("{", '{"\\u0061ction": "Cut", ', 1), ("wrong_keys",), True),
        (TEXT.replace('"end_frame"', '"start_frame": 3, "end_frame"'), ("wrong_keys",), True),
        (TEXT[:-1] + ', "contact": 1}', ("wrong_keys", "wrong_value"), True),
        (json.dumps(WHOLE | {"objects": ["table"], "contact": 1}),
         ("wrong_value", "not_an_option"), True),
    ],
)  # fmt: skip
def test_faults_are_named_apart_and_the_lenient_rule_forgives_them(text, faults, lenient):
    reading = read_answer(text, OPTIONS)
    assert (reading.faults, reading.lenient) == (faults, lenient)


def test_an_answer_is_written_in_one_way_and_never_in_part():
    assert answer_text(dict(reversed(WHOLE.items()))) == TEXT
    with pytest.raises(AnswersError, match="has the fields action"):
        answer_text({"action": "Cut"})


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (json.dumps(WHOLE | {"action": "hold PEN"}), "Hold pen"),
        # An option stays, though a shorter one occurs in it.
        (json.dumps(WHOLE | {"action": "Cut paper"}), "Cut paper"),
        (json.dumps(WHOLE | {"action": "Haircut at home"}), "Cut"),
        # The first in the file's order, not the longest.
        (json.dumps(WHOLE | {"action": "cut paper strip"}), "Cut"),
        (json.dumps(WHOLE | {"action": "Sing"}), "Sing"),
        ('{"action": "Sing", "objects": ["hold pen", "cup', "Hold pen"),
        ("Sing {", "Sing {"),
    ],
)
def test_the_published_rule_matches_an_action_or_a_broken_text_to_the_options(text, label):
    assert published_label(text, read_answer(text, OPTIONS), OPTIONS) == label


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b'["a", "a"]', "options.json: action: names 1 labels again"),
        (b"[]", "is no list of labels"),
        (b'["a", 1]', "is no list of labels"),
        (b'{"actions": ["a"]}', "holds the keys ['actions']"),
        (b'"a"', "holds str"),
        (b'["a"', "options.json: cannot be read"),
        (b'["\xff"]', "cannot be read"),
        (None, "options.json"),
    ],
)
def test_options_are_read_in_both_forms_and_refused_in_others(tmp_path, content, found):
    path = tmp_path / "options.json"
    for form, options in (('["b", "a"]', Options(("b", "a"))), (None, OPTIONS)):
        path.write_text(form or json.dumps(OPTIONS.as_json()))
        assert read_options(path) == options
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AnswersError) as caught:
        read_options(path)
    assert found in str(caught.value)


def lines_of(*lines):
    return b"".join(json.dumps(one).encode() + b"\n" for one in lines)


def test_what_a_line_says_is_kept_and_blank_lines_are_none(tmp_path):
    path = tmp_path / "predictions.jsonl"
    twice = TEXT[:-1] + ', "action": "Cut"}'
    same = line(0, TEXT, "ep", predicted_label="Hold pen", pred_json=WHOLE)
    other = line(1, twice, "ep", predicted_label="Hold pen")
    cut = line(2, '{"action": "Cut paper", "obj', "other")
    path.write_bytes(lines_of(same) + b"\n" + lines_of(other, cut)[:-1])  # no newline at the end
    found = read_predictions(path, OPTIONS)
    assert [item.strict for item in found.items] == [True, False, False]
    assert [item.lenient for item in found.items] == [True, True, False]
    assert [item.published for item in found.items] == ["Hold pen", "Cut", "Cut"]
    assert [item.agrees for item in found.items] == [True, False, None]
    assert found.items[0].said == {k: v for k, v in WHOLE.items() if isinstance(v, str)}
    assert found.items[2].said == {}
    assert found.episodes.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lines_of(line(0), line(1))[:-30], "predictions.jsonl:2: is cut off"),
        (lines_of(line(0), line(1), line(0)), "predictions.jsonl:3: has the id 'w0' of line 1"),
        (lines_of(line(0)) + b'{"id": "caf\xe9"}\n', "predictions.jsonl:2: is not UTF-8 at byte"),
        (lines_of(line(0, raw_prediction=None)), "predictions.jsonl:1: raw_prediction"),
        (lines_of(line(0, id="")), "predictions.jsonl:1: id"),
        (lines_of(line(0, truth={"contact": "perhaps"})), "true_json.contact"),
        (lines_of(line(0, true_json={"action": "Cut"})), "true_json.subtask"),
        (b"\n\n", "holds no line"),
        (b"[1]\n", "predictions.jsonl:1: the line"),
        (b"[" * 100_000 + b"\n", "is no JSON"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_at_its_line(tmp_path, content, said):
    path = tmp_path / "predictions.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AnswersError) as caught:
        read_predictions(path, OPTIONS)
    assert said in str(caught.value)


def test_runaway_texts_are_not_kept(tmp_path):
    path = tmp_path / "predictions.jsonl"
    path.write_bytes(lines_of(*(line(i, f"{i} " + "walking on " * 5000) for i in range(60))))
    tracemalloc.start()
    found = read_predictions(path, OPTIONS)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size > 3e6
    assert kept < 5e5
    assert len({item.published for item in found.items}) == 60  # still told apart
