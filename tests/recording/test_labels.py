import pytest
from hypothesis import given
from hypothesis import strategies as st

from xperience.recording.labels import Parts, lemma, split, words_of

needs_lemmas = pytest.mark.extras("lemminflect")


def as_is(word, kind):
    return word


@given(st.text())
def test_any_label_is_split(label):
    parts = split(label, as_is)
    assert (parts.verb is None) == (not words_of(label))
    assert parts.noun is None or parts.noun in words_of(label)[1:]


@pytest.mark.parametrize(
    ("label", "verb", "noun"),
    [
        ("Hold red cup", "hold", "cup"),
        ("Hold the cup.", "hold", "cup"),
        ("Pick up cup from tray", "pick", "cup"),
        ("Reach for the green bowl", "reach", "bowl"),
        ("Wash and dry cup", "wash", "cup"),
        ("Search for and pick up spoon", "search", "spoon"),
        ("Turn around", "turn", None),
        ("Wait and listen", "wait", None),
        ("Peel potato and carrot", "peel", "potato"),
        ("Wave", "wave", None),
        ("", None, None),
        ("The", None, None),
    ],
)
def test_the_rule_finds_the_verb_and_the_head_noun(label, verb, noun):
    parts = split(label, as_is)
    assert (parts.verb, parts.noun) == (verb, noun)


def test_words_forget_their_order_case_and_articles():
    assert split("Put the cup ON tray", as_is) == Parts("put", "cup", ("cup", "on", "put", "tray"))


@needs_lemmas
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Cutting the potatoes", "cut potato"),
        ("Folding towels on shelves", "Fold towel on shelf"),
        ("Put down knives", "putting down knife"),
    ],
)
def test_forms_of_a_word_are_one(first, second):
    assert split(first) == split(second)


@needs_lemmas
def test_a_lemma_depends_on_the_kind_of_word():
    assert lemma("cutting", "VERB") == "cut"
    assert lemma("shelves", "NOUN") == "shelf"
    assert lemma("repositioning", "VERB") == "reposition"  # in no dictionary: inferred
