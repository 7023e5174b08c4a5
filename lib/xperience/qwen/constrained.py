"""Grammar-constrained decoding of strict answers: which tokens may come next.

The grammar is made from the options and takes the texts that `xperience.qwen.schema.answer_text`
writes, and no others. One made from any JSON schema would not do: limits on free texts, digits and
white space are what makes the longest answer finite, so that every answer is known to end.

xgrammar follows the grammar. What a context-free grammar cannot say in reasonable size stands
beside it: no object twice, and no further object once the tokens left might not suffice to finish.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import torch

from xperience.qwen.model import require
from xperience.qwen.schema import EVIDENCE_KEYS, KEYS, MAX_OBJECTS, UNKNOWN, AnswersError, Options

if TYPE_CHECKING:
    import xgrammar
    from transformers import PreTrainedTokenizerBase

MOST_LETTERS = 60
"""Of a label where any text may stand."""
MOST_DIGITS = 6
"""Of a frame's number."""
TERNARY = ("yes", "no", UNKNOWN)
# One byte each, so that letters can be counted; neither a quote nor a backslash.
FREE_LETTER = r"[ !#-\[\]-~]"
LIST_STARTS = b'"objects": ['
"""In no label, whose quotes are escaped, and before no other list."""
_OBJECT = re.compile(rb'(?:, )?("(?:[^"\\]|\\.)*")')


def spelt(label: str) -> str:
    """Return a label as JSON, quotes included, as answers write it."""
    return json.dumps(label, ensure_ascii=False)


def answer_grammar(options: Options) -> str:
    """Return the grammar of strictly valid answers, in the notation that xgrammar reads (EBNF).

    It takes exactly the texts that `answer_text` makes of answers whose labels are options, whose
    frames have at most `MOST_DIGITS` digits, and whose objects are at most eight; that objects
    differ is not in it. Lists that are not given leave a label free: 1 to `MOST_LETTERS` plain
    letters.
    """
    rules = {
        "action": _either([*options.action, UNKNOWN]),
        "ternary": _either(TERNARY),
        "evidence": _json_object(dict.fromkeys(EVIDENCE_KEYS, "frame")),
        "frame": f'"0" | [1-9] [0-9]{{0,{MOST_DIGITS - 1}}}',
        "free": rf'"\"" {FREE_LETTER}{{1,{MOST_LETTERS}}} "\""',
    }
    if options.subtask is not None:
        rules["subtask"] = _either([*options.subtask, UNKNOWN])
    if options.objects is not None:
        rules["object"] = _either(options.objects)
    one = "object" if "object" in rules else "free"
    rules["objects"] = f'"[" ({one} (", " {one}){{0,{MAX_OBJECTS - 1}}})? "]"'
    fields = {name: name if name in rules else "free" for name in KEYS} | {
        "next_action": "action", "contact": "ternary", "transition": "ternary",
        "evidence_window": "evidence",
    }  # fmt: skip
    rules = {"root": _json_object(fields)} | rules
    return "".join(f"{name} ::= {rule}\n" for name, rule in rules.items())


def _json_object(fields: dict[str, str]) -> str:
    parts = [
        f"{json.dumps(('{' if place == 0 else ', ') + json.dumps(name) + ': ')} {rule}"
        for place, (name, rule) in enumerate(fields.items())
    ]
    return " ".join([*parts, '"}"'])


def _either(labels: Iterable[str]) -> str:
    """Return a rule that takes any of these labels.

    Beginnings that labels share stand once. A list of thousands would be followed as thousands of
    parallel readings otherwise, for as long as a beginning fits them all.
    """
    return _branches(sorted(spelt(label) for label in set(labels)))


def _branches(texts: Sequence[str]) -> str:
    """Return a rule that takes any of these sorted texts, none of which begins another."""
    rules = []
    for _, some in groupby(texts, key=lambda text: text[:1]):
        group = list(some)
        if len(group) == 1:
            rules.append(json.dumps(group[0]))
            continue
        pairs = enumerate(zip(group[0], group[-1], strict=False))
        n_shared = next(n for n, (a, b) in pairs if a != b)
        tails = _branches([text[n_shared:] for text in group])
        rules.append(f"{json.dumps(group[0][:n_shared])} ({tails})")
    return " | ".join(rules)


@dataclass(frozen=True)
class Lengths:
    """The most bytes that parts of an answer can take; a byte takes at most one token."""

    head: int  # all up to the list of objects
    tail: int  # all that follows the last object
    item: int  # one object with the separator before it

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
    empty["evidence_window"] = dict.fromkeys(EVIDENCE_KEYS, "")
    text = json.dumps(empty, ensure_ascii=False).replace('""', "")
    head = text.index("[") + 1 + _longest(options.action) + _longest(options.subtask)
    frames = len(EVIDENCE_KEYS) * MOST_DIGITS
    tail = len(text) - text.index("]") + 2 * _longest(TERNARY) + _longest(options.action) + frames
    return Lengths(head=head, tail=tail, item=len(", ") + _longest(options.objects))


def _longest(labels: Sequence[str] | None) -> int:
    if labels is None:
        return MOST_LETTERS + 2
    return max(len(spelt(label).encode()) for label in [*labels, UNKNOWN])


class Rules:
    """The grammar compiled for one tokenizer, and the rules of the list of objects beside it.

    The vocabulary is the width of the model's logits; the end token, which ends the turn, is
    allowed when the answer is whole.
    """

    def __init__(
        self,
        options: Options,
        tokenizer: "PreTrainedTokenizerBase",
        vocabulary: int,
        end_token: int,
    ):
        require(("xgrammar",))
        import xgrammar  # noqa: PLC0415 - an extra

        info = xgrammar.TokenizerInfo.from_huggingface(
            tokenizer, vocab_size=vocabulary, stop_token_ids=[end_token]
        )
        compiler = xgrammar.GrammarCompiler(info, max_threads=1)
        self._grammar = compiler.compile_grammar(answer_grammar(options))
        self._matcher = xgrammar.GrammarMatcher
        self._bits = xgrammar.allocate_token_bitmask(1, vocabulary)
        self.tokenizer, self.end_token, self.vocabulary = tokenizer, end_token, vocabulary
        self.lengths = answer_lengths(options)
        self.pieces: list[bytes] = info.decoded_vocab
        self.opens_list = np.array([b"[" in piece for piece in self.pieces])
        # Their names are plain letters to the grammar, but they are no text.
        self._marks = [token for token in tokenizer.all_special_ids if token != end_token]
        self._n_starting: Counter[bytes] | None = None  # how many objects start with a text
        if options.objects is not None:
            objects = {spelt(label).encode() for label in options.objects}
            self._n_starting = Counter(x[:n] for x in objects for n in range(len(x) + 1))

    def matcher(self) -> "xgrammar.GrammarMatcher":
        """Return a matcher at the beginning of an answer."""
        return self._matcher(self._grammar)

    def next_tokens(self, matcher: "xgrammar.GrammarMatcher") -> np.ndarray:
        """Return which tokens the grammar allows next, bool (n_vocabulary,)."""
        matcher.fill_next_token_bitmask(self._bits, 0)
        bits = np.unpackbits(self._bits.numpy().view(np.uint8), bitorder="little")
        allowed = bits[: self.vocabulary].astype(bool)
        allowed[self._marks] = False
        return allowed

    def fits(self, text: bytes, n_left: int | None = None) -> bool:
        """Return whether a beginning that the grammar takes names no object twice and can end.

        It can end if it needs no more tokens than are left, where that is given.
        """
        found = objects_of(text)
        if found is None:
            return True
        used, begun = found
        if len(set(used)) < len(used):
            return False
        if begun.startswith(b"]"):
            return True
        if begun and not self._can_be_new(begun.lstrip(b", "), used):
            return False
        # An object that was begun must be ended, whatever tokens are taken.
        needed = self.lengths.tail + 1 + (self.lengths.item - len(begun)) * bool(begun)
        return n_left is None or needed <= n_left

    def _can_be_new(self, begun: bytes, used: Sequence[bytes]) -> bool:
        """Return whether what was begun can still become an object that is not used."""
        if self._n_starting is None:
            return begun not in {name[:-1] for name in used} or len(begun) <= MOST_LETTERS
        return self._n_starting[begun] > sum(name.startswith(begun) for name in used)


def objects_of(text: bytes) -> tuple[list[bytes], bytes] | None:
    """Return the objects that a beginning of an answer names, and what follows the last of them.

    None before the list of objects is opened.
    """
    _, opened, rest = text.partition(LIST_STARTS)
    if not opened:
        return None
    used, at = [], 0
    while found := _OBJECT.match(rest, at):
        used.append(found[1])
        at = found.end()
    return used, rest[at:]


class ConstrainedLogits:
    """Allows only what the rules do, row by row: a logits processor for one call of ``generate``.

    The limit is how many tokens an answer may take, the end of its turn included; what every answer
    fits in, if not given. One that even an answer without objects might not fit is an AnswersError.
    """

    def __init__(self, rules: Rules, limit: int | None = None):
        self.rules, self.limit = rules, limit or rules.lengths.full_limit
        if self.limit < rules.lengths.least_limit:
            raise AnswersError(
                "limit", f"is {limit} tokens",
                f"at least {rules.lengths.least_limit}, so that every answer can end",
                "Allow more tokens, or shorten the options.",
            )  # fmt: skip
        self._matchers: list[xgrammar.GrammarMatcher] = []
        self._said: list[bytes] = []
        self._n_said = 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores (n, n_vocabulary), minus infinity where a token must not come next.

        The ids (n, n_tokens) are the prompts and what was said so far.
        """
        if not self._matchers:
            self._matchers = [self.rules.matcher() for _ in input_ids]
            self._said = [b""] * len(input_ids)
        else:
            self._n_said += 1
            for row, token in enumerate(input_ids[:, -1].tolist()):
                self._take(row, token)
        allowed = torch.from_numpy(np.stack([self._allowed(row) for row in range(len(scores))]))
        blocked = torch.ones_like(scores, dtype=torch.bool)
        blocked[:, : allowed.shape[1]] = ~allowed.to(scores.device)
        return scores.masked_fill(blocked, -torch.inf)

    def _take(self, row: int, token: int) -> None:
        if self._matchers[row].is_terminated():
            return
        accepted = self._matchers[row].accept_token(token)
        assert accepted, f"token {token} was not allowed in row {row}"
        self._said[row] += self.rules.pieces[token]
        assert self.rules.fits(self._said[row]), f"token {token} names an object again in row {row}"

    def _allowed(self, row: int) -> np.ndarray:
        """Return which tokens may come next in a row, bool (n_vocabulary,)."""
        rules, said = self.rules, self._said[row]
        if self._matchers[row].is_terminated():
            return np.ones(rules.vocabulary, dtype=bool)  # the row only pads from here on
        allowed = rules.next_tokens(self._matchers[row])
        n_left, named = self.limit - self._n_said - 1, objects_of(said)
        if named is not None and named[1].startswith(b"]"):
            return allowed
        for token in np.flatnonzero(allowed & rules.opens_list if named is None else allowed):
            allowed[token] = rules.fits(said + rules.pieces[token], n_left)
        return allowed
