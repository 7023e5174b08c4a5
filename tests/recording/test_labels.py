"""Labels taken apart: the verb, the head noun, the words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.recording.labels import LabelParts, lemma, split, words_of


def as_is(word: str, kind: str) -> str:
    return word


@given(st.text())
def test_any_label_is_split(label: str) -> None:
    parts = split(label, as_is)
    assert (parts.verb is None) == (not words_of(label))
    assert parts.noun is None or parts.noun in words_of(label)[1:]


@pytest.mark.parametrize(
    ("label", "verb", "noun"),
    [
        ("Hold the red cup.", "hold", "cup"),
        ("Pick up cup from tray", "pick", "cup"),
        ("Reach for the green bowl", "reach", "bowl"),
        ("Wash and dry cup", "wash", "cup"),
        ("Search for and pick up spoon", "search", "spoon"),
        ("Turn around", "turn", None),
        ("Wait and listen", "wait", None),
        ("Peel potato and carrot", "peel", "potato"),
        ("The", None, None),
    ],
)
def test_the_rule_finds_the_verb_and_the_head_noun(
    label: str, verb: str | None, noun: str | None
) -> None:
    parts = split(label, as_is)
    assert (parts.verb, parts.noun) == (verb, noun)


def test_words_forget_their_order_case_and_articles() -> None:
    assert split("Put the cup ON tray", as_is) == LabelParts(
        "put", "cup", ("cup", "on", "put", "tray")
    )


@pytest.mark.extras("lemminflect")
@pytest.mark.parametrize(
    ("first", "second"),
    [("Cutting the potatoes", "cut potato"), ("Put down knives", "putting down knife")],
)
def test_forms_of_a_word_are_one(first: str, second: str) -> None:
    assert split(first) == split(second)
    assert lemma("repositioning", "VERB") == "reposition"  # in no dictionary: inferred
