"""The grammar of strictly valid answers, made from the options, and how long they can get.

It takes the texts that `xperience.qwen.schema.answer_text` writes, and no others. A grammar made
from any JSON schema would not do: limits on free texts, digits and white space are what makes the
longest answer finite, so that every answer is known to end.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from xperience.qwen.schema import KEYS, MAX_OBJECTS, UNKNOWN, EvidenceWindow, Options

MOST_LETTERS = 60
"""Of a label where any text may stand."""
MOST_DIGITS = 6
"""Of a frame's number."""
TERNARY = ("yes", "no", UNKNOWN)
# One byte each, so that letters can be counted; neither a quote nor a backslash.
FREE_LETTER = r"[ !#-\[\]-~]"


def spelt(label: str) -> str:
    """Return a label as JSON, quotes included, as answers write it."""
    return json.dumps(label, ensure_ascii=False)


def _either(labels: Iterable[str]) -> str:
    """Return a rule that takes any of these labels.

    Beginnings that labels share stand once. A list of thousands would be followed as thousands of
    parallel readings otherwise, for as long as a beginning fits them all.
    """
    return _branches(sorted(spelt(label) for label in set(labels)))


def _branches(texts: Sequence[str]) -> str:
    """Return a rule that takes any of these sorted texts, none of which begins another."""
    groups = [list(some) for _, some in groupby(texts, key=lambda text: text[:1])]
    return " | ".join(map(_branch, groups))


def _branch(texts: list[str]) -> str:
    first, last = texts[0], texts[-1]
    if first == last:
        return json.dumps(first)
    n_shared = next(n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    rest = _branches([text[n_shared:] for text in texts])
    return f"{json.dumps(first[:n_shared])} ({rest})"


def answer_grammar(options: Options) -> str:
    """Return the grammar of strictly valid answers, in the notation that xgrammar reads.

    Parameters
    ----------
    options : Options
        Lists that are not given leave a label free: 1 to `MOST_LETTERS` plain letters.

    Returns
    -------
    str
        EBNF. It takes exactly the texts that `answer_text` makes of answers whose labels are
        options, whose frames have at most `MOST_DIGITS` digits, and whose objects are at most
        eight; that objects differ is not in it.
    """
    frames = f'"0" | [1-9] [0-9]{{0,{MOST_DIGITS - 1}}}'
    evidence = _object(dict.fromkeys(EvidenceWindow.model_fields, "frame"))
    fields = dict.fromkeys(KEYS, "free") | {
        "action": "action", "next_action": "action", "objects": "objects", "contact": "ternary",
        "transition": "ternary", "evidence_window": "evidence",
        "subtask": "free" if options.subtask is None else "subtask",
    }  # fmt: skip
    one = "free" if options.objects is None else "object"
    rules = {
        "root": _object(fields),
        "action": _either([*options.action, UNKNOWN]),
        "objects": f'"[" ({one} (", " {one}){{0,{MAX_OBJECTS - 1}}})? "]"',
        "ternary": _either(TERNARY),
        "evidence": evidence,
        "frame": frames,
        "free": rf'"\"" {FREE_LETTER}{{1,{MOST_LETTERS}}} "\""',
    }
    if options.subtask is not None:
        rules["subtask"] = _either([*options.subtask, UNKNOWN])
    if options.objects is not None:
        rules["object"] = _either(options.objects)
    return "".join(f"{name} ::= {rule}\n" for name, rule in rules.items())


def _object(fields: dict[str, str]) -> str:
    parts = [
        f"{json.dumps(('{' if place == 0 else ', ') + json.dumps(name) + ': ')} {rule}"
        for place, (name, rule) in enumerate(fields.items())
    ]
    return " ".join([*parts, '"}"'])


@dataclass(frozen=True)
class Lengths:
    """The most bytes that parts of an answer can take; a byte takes at most one token.

    Parameters
    ----------
    head, tail : int
        All up to the list of objects, and all that follows the last object.
    item : int
        One object with the separator before it.
    """

    head: int
    tail: int
    item: int

    @property
    def least_limit(self) -> int:
        """Tokens that any answer without objects fits in, the end of the turn included."""
        return self.head + self.tail + 1

    @property
    def full_limit(self) -> int:
        """Tokens that every answer fits in."""
        return self.least_limit + MAX_OBJECTS * self.item


def answer_lengths(options: Options) -> Lengths:
    """Return the most bytes that parts of an answer can take."""
    empty = dict.fromkeys(KEYS, "") | {"objects": []}
    empty["evidence_window"] = dict.fromkeys(EvidenceWindow.model_fields, "")
    text = json.dumps(empty, ensure_ascii=False).replace('""', "")
    head = text.index("[") + 1 + _longest(options.action) + _longest(options.subtask)
    ternary = 2 * _longest(TERNARY)
    frames = len(EvidenceWindow.model_fields) * MOST_DIGITS
    tail = len(text) - text.index("]") + ternary + _longest(options.action) + frames
    item = len(", ") + (_longest(options.objects))
    return Lengths(head=head, tail=tail, item=item)


def _longest(labels: Sequence[str] | None) -> int:
    if labels is None:
        return MOST_LETTERS + 2
    return max(len(spelt(label).encode()) for label in [*labels, UNKNOWN])
