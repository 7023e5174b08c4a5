"""Labels that people wrote, taken apart: the words that matter, the verb, the head noun.

A label is an instruction or a gerund with its object: "Place paper star on table", "Placing the
paper stars". The rule, which is right for such labels and for nothing else: the first word is the
verb; after it come particles and further verbs ("pick up", "sort and count"); then a noun phrase up
to the next preposition or conjunction, whose last word is the head. Lemmas come from lemminflect.
"""

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module

ARTICLES = frozenset(["a", "an", "the"])
CONJUNCTIONS = frozenset(["and", "or", "then", "while"])
_PARTICLES = (
    "about across against along around aside at away back backward between by down for forward "
    "from in inside into near of off on onto out over through to together toward towards under up "
    "with"
)
PARTICLES = frozenset(_PARTICLES.split())
"""Prepositions, and adverbs that go with a verb."""
_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")


@dataclass(frozen=True)
class LabelParts:
    """The lemmas of a label."""

    verb: str | None
    noun: str | None
    words: tuple[str, ...]  # all but articles, in order of the alphabet

    @property
    def both(self) -> tuple[str, str] | None:
        """Verb and head noun; None where one of them lacks."""
        return (self.verb, self.noun) if self.verb and self.noun else None


def words_of(label: str) -> list[str]:
    """Return a label's words in lower case, without punctuation and articles.

    >>> words_of("Place the paper-star, on table.")
    ['place', 'paper-star', 'on', 'table']
    """
    return [word for word in _WORD.findall(label.casefold()) if word not in ARTICLES]


def can_split() -> bool:
    """Return whether the lemmatiser is installed."""
    return importlib.util.find_spec("lemminflect") is not None


@lru_cache(maxsize=100_000)
def lemma(word: str, kind: str) -> str:
    """Return the base form of a word in lower case, the likeliest if there are several.

    "cutting" is a form of "cut" as a "VERB", and a word of its own as a "NOUN".
    """
    lemminflect = import_module("lemminflect")  # an extra, slow to load
    return next(iter(lemminflect.getLemma(word, upos=kind)), word)


def split(label: str, lemma_of: Callable[[str, str], str] = lemma) -> LabelParts:
    """Return the verb, the head noun and the words of a label, by the rule above."""
    words = words_of(label)
    if not words:
        return LabelParts(None, None, ())
    verb, phrase = lemma_of(words[0], "VERB"), _noun_phrase(words)
    noun = lemma_of(phrase[-1], "NOUN") if phrase else None
    rest = [lemma_of(word, "NOUN") for word in words[1:]]
    return LabelParts(verb, noun, tuple(sorted([verb, *rest])))


def _noun_phrase(words: list[str]) -> list[str]:
    start = 1
    while start < len(words) and words[start] in PARTICLES | CONJUNCTIONS:
        # The word after a conjunction is a second verb, and no object yet.
        start += 2 if words[start] in CONJUNCTIONS else 1
    stop = start
    while stop < len(words) and words[stop] not in PARTICLES | CONJUNCTIONS:
        stop += 1
    return words[start:stop]
