import json

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xperience.qwen.schema import (
    FAULTS,
    KEYS,
    UNKNOWN,
    AnswersError,
    Options,
    json_schema,
    published_label,
    read_answer,
    read_options,
)

OPTIONS = Options(("Cut", "Cut paper", "Hold pen"), subtask=("Drawing",), objects=("pen", "cup"))
OPEN = Options(("Cut", "Cut paper", "Hold pen"))
WHOLE = {
    "action": "Hold pen",
    "subtask": "Drawing",
    "objects": ["pen"],
    "contact": "yes",
    "transition": UNKNOWN,
    "next_action": UNKNOWN,
    "evidence_window": {"start_frame": 0, "end_frame": 19},
}

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
        key: value
        for key, value in (WHOLE | changed | more).items()
        if key not in dropped
    },
    st.dictionaries(st.sampled_from(KEYS), near_values, max_size=3),
    st.sets(st.sampled_from(KEYS), max_size=1),
    st.dictionaries(st.sampled_from(["reason", "Action"]), near_values, max_size=1),
)  # fmt: skip
texts = (
    st.text()
    | json_values.map(json.dumps)
    | near_answers.map(json.dumps)
    | near_answers.map(lambda value: f"Sure:\n```json\n{json.dumps(value)}\n```")
    | st.tuples(near_answers, st.integers(0, 200)).map(lambda cut: json.dumps(cut[0])[: cut[1]])
)


@given(texts)
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
        label.encode("utf-8")
        for said in (*reading.labels.values(), *reading.objects):
            said.encode("utf-8")


@given(near_answers | json_values)
def test_strict_is_what_the_exported_schema_says(value):
    for options, validator in VALIDATORS.items():
        fits = validator.is_valid(value)
        assert read_answer(json.dumps(value), options).strict == fits


def test_the_schema_is_a_schema_and_lists_the_options_in_their_order():
    schema = json_schema(OPTIONS)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["action"]["enum"] == ["Cut", "Cut paper", "Hold pen", UNKNOWN]
    assert schema["properties"]["next_action"] == schema["properties"]["action"]
    assert "enum" not in json_schema(OPEN)["properties"]["subtask"]
    assert set(schema["required"]) == set(KEYS)


@pytest.mark.parametrize(
    ("text", "faults", "lenient"),
    [
        (json.dumps(WHOLE), (), True),
        (" \n" + json.dumps(WHOLE) + "\n", (), True),
        ("```json\n" + json.dumps(WHOLE) + "\n```", ("not_json",), True),
        ("My answer: " + json.dumps(WHOLE) + " Done.", ("not_json",), True),
        (json.dumps(WHOLE)[:-1], ("not_json",), False),
        (json.dumps([WHOLE]), ("wrong_keys",), False),
        (json.dumps({k: v for k, v in WHOLE.items() if k != "contact"}), ("wrong_keys",), False),
        (json.dumps(WHOLE | {"why": "so"}), ("wrong_keys",), True),
        (json.dumps(WHOLE | {"contact": "maybe"}), ("wrong_value",), True),
        (json.dumps(WHOLE | {"objects": ["pen"] * 9}), ("too_many_objects",), True),
        (json.dumps(WHOLE | {"action": "hold pen"}), ("not_an_option",), True),
        (json.dumps(WHOLE | {"next_action": "Fly"}), ("not_an_option",), True),
        (json.dumps(WHOLE)[:-1] + ', "action": "Cut"}', ("wrong_keys",), True),
        (json.dumps(WHOLE).replace("{", '{"\\u0061ction": "Cut", ', 1), ("wrong_keys",), True),
        (json.dumps(WHOLE).replace('"end_frame"', '"start_frame": 3, "end_frame"'),
         ("wrong_keys",), True),
        (json.dumps(WHOLE)[:-1] + ', "contact": 1}', ("wrong_keys", "wrong_value"), True),
        (json.dumps(WHOLE | {"objects": ["table"], "contact": 1}),
         ("wrong_value", "not_an_option"), True),
    ],
)  # fmt: skip
def test_faults_are_named_apart_and_the_lenient_rule_forgives_them(text, faults, lenient):
    reading = read_answer(text, OPTIONS)
    assert (reading.faults, reading.lenient) == (faults, lenient)


@pytest.mark.parametrize(
    ("action", "label"),
    [
        ("hold PEN", "Hold pen"),
        ("Cut paper", "Cut paper"),  # an option stays, though a shorter one occurs in it
        ("Haircut at home", "Cut"),
        ("cut paper strip", "Cut"),  # the first in the file's order, not the longest
        ("Sing", "Sing"),
    ],
)
def test_the_published_rule_matches_an_action_to_the_options(action, label):
    text = json.dumps(WHOLE | {"action": action})
    assert published_label(text, read_answer(text, OPTIONS), OPTIONS) == label


def test_the_published_rule_searches_a_broken_text_as_a_whole():
    text = '{"action": "Sing", "objects": ["hold pen", "cup'
    assert published_label(text, read_answer(text, OPTIONS), OPTIONS) == "Hold pen"
    assert published_label("Sing {", read_answer("Sing {", OPTIONS), OPTIONS) == "Sing {"


def test_options_are_read_in_both_forms(tmp_path):
    path = tmp_path / "options.json"
    path.write_text('["b", "a"]')
    assert read_options(path) == Options(("b", "a"))
    path.write_text('{"action": ["b"], "subtask": ["c"], "objects": ["d"]}')
    assert read_options(path) == Options(("b",), ("c",), ("d",))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b'["a", "a"]', "names 1 labels again"),
        (b"[]", "is no list of labels"),
        (b'["a", 1]', "is no list of labels"),
        (b'{"actions": ["a"]}', "holds the keys ['actions']"),
        (b'"a"', "holds str"),
        (b'["a"', "cannot be read"),
        (b'["\xff"]', "cannot be read"),
    ],
)
def test_options_of_another_form_are_refused(tmp_path, content, found):
    path = tmp_path / "options.json"
    path.write_bytes(content)
    with pytest.raises(AnswersError) as caught:
        read_options(path)
    assert found in str(caught.value)
    assert "options.json" in str(caught.value)


def test_missing_options_are_named(tmp_path):
    with pytest.raises(AnswersError, match="nowhere"):
        read_options(tmp_path / "nowhere.json")
